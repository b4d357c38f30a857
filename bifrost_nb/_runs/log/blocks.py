"""The log's file, read in blocks of whole lines."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import orjson

from ...errors import LogError
from .file_lock import lock_or_go_on, unlock

__all__ = ["BLOCK_BYTES", "LINE_BYTES", "TOO_LONG", "Block", "blocks", "newlines_before", "parts", "refuse_special"]

LINE_BYTES = 32 << 20
"""Longest line that is written or read; a longer one is skipped without being held in memory."""

TOO_LONG = b"\0too long\0"
"""What stands for a line above LINE_BYTES, or for its beginning."""

BLOCK_BYTES = 8 << 20
"""About how much is read at once."""


class Block(NamedTuple):
    """Whole lines of a file: the 1-based number of the first, and how many newlines there are.

    Only the last line of a file may be without one.
    """

    first: int
    newlines: int
    data: bytes


def blocks(path: Path, block_bytes: int = BLOCK_BYTES, start: int = 0) -> Iterator[Block]:
    """The lines that `path` holds now, in blocks of about `block_bytes`; none if there is no such file.

    With `start` only those that begin at that byte or later, numbered from 1 there. A line above LINE_BYTES
    comes as TOO_LONG, which no reader takes for content. Raises LogError.
    """
    try:
        refuse_special(path.stat())
        with path.open("rb", buffering=0) as file:
            left = _whole_size(file.fileno())
            if start:
                left -= _to_line_start(file, start)
            first, rest, head = 1, b"", not start
            while left > 0 and (data := file.read(min(block_bytes, left))):
                left -= len(data)
                if head:  # an editor on Windows may have put it there
                    data, head = data.removeprefix(b"\xef\xbb\xbf"), False
                end = data.rfind(b"\n") + 1
                if end:
                    newlines = data.count(b"\n")
                    yield Block(first, newlines, rest + data[:end])
                    first += newlines
                    rest = data[end:]
                else:
                    rest += data
                if len(rest) > LINE_BYTES:
                    rest = TOO_LONG
            if rest:
                yield Block(first, 0, rest)
    except FileNotFoundError:
        return
    except OSError as error:
        raise LogError(
            f"The run log {path} cannot be read: {error.strerror or error}.",
            hint="Set BIFROST_RUN_LOG to a file that can be read.",
        ) from None


def _to_line_start(file: BinaryIO, start: int) -> int:
    """Go to the first line that begins at `start` or later; the position."""
    file.seek(start - 1)
    place = start - 1
    while data := file.read(1 << 16):
        if (found := data.find(b"\n")) >= 0:
            file.seek(place + found + 1)
            return place + found + 1
        place += len(data)
    return place


def newlines_before(path: Path, start: int) -> int:
    """How many lines end before the first that begins at byte `start` or later."""
    count = 0
    with path.open("rb") as file:
        left = _to_line_start(file, start)
        file.seek(0)
        while left > 0 and (data := file.read(min(BLOCK_BYTES, left))):
            left -= len(data)
            count += data.count(b"\n")
    return count


def _whole_size(descriptor: int) -> int:
    """Bytes of the file at a moment when nobody is in the middle of writing a line."""
    locked = lock_or_go_on(descriptor, shared=True)
    try:
        return os.fstat(descriptor).st_size
    finally:
        if locked:
            unlock(descriptor)


def parts(line: bytes, start: bytes) -> list[bytes]:
    """The records on a `line`, each of which begins with `start`, and what is left of others.

    A line end that was lost joins two, and a crash may leave half a record or zeros before one. Inside of a record's
    texts `start` cannot stand: its quotes have backslashes there. An object in it may begin so, but behind a colon, a
    comma or a bracket; where half a record happens to end with one of these, what stands there is no JSON, and each
    `start` is tried.

    >>> parts(b'{"a":1}{"a":{"a":2}}{"a":{"a":3}', b'{"a":')
    [b'{"a":1}', b'{"a":{"a":2}}', b'{"a":', b'{"a":3}']
    """
    begins = b"(?=" + re.escape(start) + b")"
    found: list[bytes] = []
    for piece in re.split(rb"(?<![:,\[])" + begins, line):
        try:
            orjson.loads(piece)
            found.append(piece)
        except orjson.JSONDecodeError:
            found += re.split(begins, piece)
    return [piece for piece in found if piece]


def refuse_special(found: os.stat_result) -> None:
    """A pipe takes a few lines and then blocks for ever, a device keeps none, and neither can be read back."""
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):  # a folder has an error of its own
        raise OSError(errno.EINVAL, "it is no file but a pipe, a socket or a device")
