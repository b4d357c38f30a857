"""Amazon's event stream: bytes of a response body to events, as `bifrost_nb._wire.sse` does for server-sent ones.

Format: https://smithy.io/2.0/aws/amazon-eventstream.html. A frame has its length, the length of its headers, a
checksum of both, headers, payload, a checksum of all. Botocore's own decoder, beside which this runs, checks the sums
and costs several times as much for a frame, which would be felt in every stream.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import orjson

from .._wire.json_text import loads
from ..errors import ProtocolError

__all__ = ["FrameDecoder", "is_frame"]

_PRELUDE = struct.Struct("!II")
_STRING = 7
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of a header's value, by its type; types 6 (bytes) and 7 (text) say their length."""
_LONGEST = 24 * 1024 * 1024


def is_frame(head: bytes) -> bool:
    """Whether a body that begins so is such a stream: the checksum of a frame's first eight bytes follows them."""
    return len(head) >= 12 and zlib.crc32(head[:8]) == int.from_bytes(head[8:12], "big")


class FrameDecoder:
    """Bytes in blocks of any size to events: objects with one key, the kind, as boto3 gives them."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, block: bytes) -> list[Any]:
        """The events of all frames that `block` completes. Raises ProtocolError for what is no such stream."""
        content, start, events = self._rest + block, 0, []
        while len(content) - start >= 16:
            length, head = _PRELUDE.unpack_from(content, start)
            if not 16 + head <= length <= _LONGEST:
                raise ProtocolError("The stream holds a damaged frame.")
            if len(content) - start < length:
                break
            end = start + 12 + head
            events.append(_event(content[start + 12 : end], content[end : start + length - 4]))
            start += length
        self._rest = content[start:]
        return events


def _event(head: bytes, payload: bytes) -> dict[str, Any]:
    headers = _headers(head)
    if headers.get(b":message-type") == "error":
        return {"exception": {"message": headers.get(b":error-message") or headers.get(b":error-code")}}
    try:
        content = loads(payload) if payload else {}
    except orjson.JSONDecodeError:
        content = {}
    return {headers.get(b":event-type") or headers.get(b":exception-type") or "": content}


def _headers(head: bytes) -> dict[bytes, str]:
    """The headers that are text."""
    found: dict[bytes, str] = {}
    at = 0
    try:
        while at < len(head):
            name = head[at + 1 : (at := at + 1 + head[at])]
            kind, at = head[at], at + 1
            if kind in _SIZES:
                at += _SIZES[kind]
                continue
            size = int.from_bytes(head[at : at + 2], "big")
            if kind == _STRING:
                found[name] = head[at + 2 : at + 2 + size].decode("utf-8", "replace")
            at += 2 + size
    except IndexError:
        raise ProtocolError("The stream holds a damaged frame.") from None
    return found
