"""AWS's event-stream framing (``application/vnd.amazon.eventstream``), in which Bedrock streams.

A message is: its length, the length of its headers, a CRC of these eight bytes; the headers; the payload; a CRC of all
before it. Numbers are big-endian, CRCs are CRC-32. A header is a name (one byte of length), its type, a value; only
strings (type 7, two bytes of length) are used here.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

__all__ = ["message"]

_STRING = 7


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message."""
    head = b"".join(_header(name.encode(), value.encode()) for name, value in headers.items())
    prelude = struct.pack("!II", 16 + len(head) + len(payload), len(head))
    whole = prelude + struct.pack("!I", zlib.crc32(prelude)) + head + payload
    return whole + struct.pack("!I", zlib.crc32(whole))


def _header(name: bytes, value: bytes) -> bytes:
    return struct.pack("!B", len(name)) + name + struct.pack("!BH", _STRING, len(value)) + value
