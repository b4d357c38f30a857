"""The simulator's tokens: pieces of text, at most eight letters or three digits long.

A piece is a run of up to 8 letters or 3 digits, or one other sign, each with the single space before it; a run of line
ends; or one more blank. English prose comes out at about 1.3 tokens a word, close to what real tokenisers give.
Joining the pieces gives the text back, exactly. Prompts and answers are counted by the same rule.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["count", "count_messages", "message_text", "tokenize"]

_PIECE = re.compile(r"\n+| ?[^\W\d_]{1,8}| ?\d{1,3}| ?[^\w\s]| ?_+|\s", re.UNICODE)


def tokenize(text: str) -> list[str]:
    """The pieces of `text`; ``"".join(tokenize(text)) == text``."""
    return _PIECE.findall(text)


def count(text: str) -> int:
    """How many tokens `text` has."""
    return len(_PIECE.findall(text))


def message_text(message: Mapping[str, Any]) -> str:
    """The text of a chat message, whose content is a string or a list of blocks."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(block.get("text") or "" for block in content if isinstance(block, Mapping))
    return ""


def count_messages(messages: Sequence[Mapping[str, Any]]) -> int:
    """Tokens of a chat prompt: each message costs 4 besides its text, the answer's opening 3."""
    return 3 + sum(4 + count(message_text(message)) for message in messages)
