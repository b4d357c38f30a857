"""What a judge replies, read strictly: one JSON object with one of the grades asked for, or there is no grade."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from .._safe_text import plain
from .._wire.json_text import unfenced

__all__ = ["json_reply", "reply_schema"]


def reply_schema(key: str, allowed: Sequence[Any]) -> dict[str, Any]:
    """The JSON schema of a reply: a reason, then one of `allowed`. The reason comes first, so that it can matter."""
    kind = "integer" if all(isinstance(one, int) for one in allowed) else "string"
    return {
        "type": "object",
        "properties": {"reason": {"type": "string"}, key: {"type": kind, "enum": list(allowed)}},
        "required": ["reason", key],
        "additionalProperties": False,
    }


class _Unreadable(ValueError):
    pass


def json_reply(text: str, key: str, allowed: Sequence[Any]) -> tuple[Any, str]:
    """(verdict, reason) of a judge's reply. Raises ValueError where it is anything but the one object asked for.

    Nothing is searched for in a reply: a judge that quotes the answer before it grades would be quoted as grading.
    """
    try:
        reply = json.loads(unfenced(text), object_pairs_hook=_once)
    except _Unreadable as error:
        raise ValueError(f"the judge's reply names {error} twice: {plain(text, 120)!r}") from None
    except (ValueError, RecursionError):
        raise ValueError(f"the judge's reply is not the JSON asked for: {plain(text, 120)!r}") from None
    if not isinstance(reply, dict) or reply.keys() != {"reason", key}:
        raise ValueError(f"the judge's reply is not {{reason, {key}}}: {plain(text, 120)!r}")
    verdict, reason = reply[key], reply["reason"]
    if isinstance(verdict, bool | list | dict) or verdict not in allowed:
        shown = ", ".join(map(str, allowed))
        raise ValueError(f"the judge's {key} is {plain(str(verdict), 40)!r}, not one of {shown}")
    if not isinstance(reason, str):
        raise ValueError(f"the judge's reason is no text: {plain(text, 120)!r}")
    return verdict, reason


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for name, value in pairs:
        if name in seen:
            raise _Unreadable(repr(name))
        seen[name] = value
    return seen
