"""Whether a turn of a conversation is recorded as its text: a replay asks what is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["is_only_text"]

_TURN, _PART = frozenset({"type", "role", "content", "parts"}), frozenset({"type", "text"})


def is_only_text(turn: Mapping[str, Any]) -> bool:
    """Whether nothing would be lost: with a name, a mark for a cache or the like it is another question.

    >>> is_only_text({"role": "user", "content": "Hi"}), is_only_text({"role": "user", "content": "Hi", "name": "Zoe"})
    (True, False)
    """
    content = turn.get("content", turn.get("parts"))
    parts = content if isinstance(content, list) else ()
    return _TURN.issuperset(turn) and all(_PART.issuperset(part) for part in parts if isinstance(part, Mapping))
