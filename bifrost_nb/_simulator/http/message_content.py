"""Which contents of messages the gateway can decode."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["UNREADABLE", "is_readable"]

UNREADABLE = "content field is neither a string nor an array of Content blocks"
"""Measured of 1.3.63 to 2.0: said of the whole content, whichever of its parts it is. Not measured of 2.2."""


def is_readable(content: Any, *, of_chat: bool = False) -> bool:
    """Whether `content` is a text, a list of parts, or absent; a part may be null, and so may what is in it (measured).

    The parts of a chat in OpenAI's words (`of_chat`) hold pictures, sounds and files as objects; the Responses API has
    a picture as its address, other SDKs have names of their own: of theirs ``type`` and ``text`` alone are looked at.
    """
    if content is None or isinstance(content, str):
        return True
    if not isinstance(content, list):
        return False
    parts = [part for part in content if part is not None]
    objects = ("image_url", "input_audio", "file") if of_chat else ()
    return all(
        isinstance(part, dict) and _are(str, part, ("type", "text")) and _are(dict, part, objects) for part in parts
    )


def _are(kind: type, part: dict[str, Any], names: Iterable[str]) -> bool:
    return all(part.get(name) is None or isinstance(part[name], kind) for name in names)
