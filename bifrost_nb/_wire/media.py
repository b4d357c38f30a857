"""Pictures and sound: what their answers hold.

Measured on gateways 1.3.63 (without pictures), 1.4.0, 1.4.18, 1.5.16 and 2.0.0-prerelease3 before a simulated OpenAI:
speech comes as bytes that are called ``audio/mpeg`` whatever they are, the other two as JSON.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from ..errors import ProtocolError

__all__ = ["pictures_of", "sound_kind"]


def pictures_of(body: Mapping[str, Any]) -> tuple[list[bytes], list[dict[str, Any]]]:
    """The pictures of an answer, and what else it says of each: the prompt it was drawn from, an address.

    Addresses are not fetched. Raises ProtocolError where nothing of that can be read.
    """
    data = body.get("data")
    pictures: list[bytes] = []
    said: list[dict[str, Any]] = []
    for place, item in enumerate(data if isinstance(data, list) else []):
        if not isinstance(item, dict):
            continue
        content = _decoded(item.get("b64_json"))
        if content:
            pictures.append(content)
        elif isinstance(item.get("url"), str):
            said.append({"type": "image_url", "index": place, "url": item["url"]})
        if isinstance(item.get("revised_prompt"), str) and item["revised_prompt"]:
            said.append({"type": "revised_prompt", "index": place, "text": item["revised_prompt"]})
    if not pictures and not any(one["type"] == "image_url" for one in said):
        raise ProtocolError("The answer holds no picture.", hint="The answer as received is in .run.raw.")
    return pictures, said


def _decoded(text: object) -> bytes:
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        return b""


_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"ID3", "mpeg"),
    (b"\xff\xfb", "mpeg"),
    (b"\xff\xf3", "mpeg"),
    (b"\xff\xf2", "mpeg"),
    (b"OggS", "ogg"),
    (b"fLaC", "flac"),
    (b"\xff\xf1", "aac"),
    (b"\xff\xf9", "aac"),
    (b"\x1aE\xdf\xa3", "webm"),
)


def sound_kind(content: bytes) -> str | None:
    """What a sound is by its first bytes, as browsers call it after ``audio/``; None: not known (so plain samples)."""
    if content[:4] == b"RIFF" and content[8:12] == b"WAVE":
        return "wav"
    if content[4:8] == b"ftyp":
        return "mp4"
    return next((kind for start, kind in _BEGINNINGS if content.startswith(start)), None)
