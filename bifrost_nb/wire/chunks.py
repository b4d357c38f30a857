"""Many chunks of a stream read at once, where they hold nothing but text: by far the most of nearly every stream.

`msgspec` reads only the fields below and passes over the rest without making an object of it: 0.4 µs a chunk, where
orjson's dicts and looking through them take 3 µs. Whatever is not plain (several choices, tool calls,
log-probabilities, usage, an error, ...) is left to `bifrost_nb.wire.choices`, which would read plain chunks the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

__all__ = ["PlainChoice", "plain_choices"]


class _Delta(msgspec.Struct, gc=False):
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    reasoning_details: None = None
    refusal: None = None
    audio: None = None
    annotations: None = None
    tool_calls: None = None


class PlainChoice(msgspec.Struct, gc=False):
    """The one choice of a plain chunk."""

    finish_reason: str | None = None
    index: Literal[0] = 0
    text: str | None = None
    delta: _Delta | None = None
    message: None = None
    logprobs: None = None
    log_probs: None = None

    @property
    def written(self) -> str:
        """What `choice_text` gives."""
        if self.text is not None:
            return self.text
        return (self.delta and self.delta.content) or ""

    @property
    def reasoning(self) -> str:
        """What `reasoning_text` gives."""
        return (self.delta and (self.delta.reasoning or self.delta.reasoning_content)) or ""


class _Chunk(msgspec.Struct, gc=False):
    choices: tuple[PlainChoice]
    error: None = None
    usage: None = None


_decoder = msgspec.json.Decoder(_Chunk)


def plain_choices(payloads: Sequence[bytes]) -> list[PlainChoice] | None:
    """The choice of each chunk; None if any payload is not a plain chunk."""
    lines = b"\n".join(payloads)
    if lines.count(b"\n") != len(payloads) - 1 or b"\\ud" in lines or b"\\uD" in lines:
        return None  # as for bytes that are not UTF-8: msgspec would not look at them in what it passes over
    try:
        if not lines.isascii():
            lines.decode()
        chunks = _decoder.decode_lines(lines)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return None
    # Each value ends its line, so as many values as lines means one whole value in every line.
    return [chunk.choices[0] for chunk in chunks] if len(chunks) == len(payloads) else None
