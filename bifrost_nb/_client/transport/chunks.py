"""Many small HTTP chunks that came together, as one.

A gateway writes each event of a stream in an HTTP chunk of its own, and for each aiohttp (3.14) runs a dozen functions
in Python: it tells its reader of the chunk's begin, data and end, and when the reader takes it, whether the transport
paused. So what arrives together is put into one chunk before aiohttp's parser sees it. That parser remains the judge of
everything: what is not exactly a row of whole chunks goes to it as it came.
"""

from __future__ import annotations

import re

__all__ = ["OneChunk"]

_SIZES = [b"%x" % size for size in range(4096)]  # of nearly all events
_HEX = re.compile(rb"[0-9a-fA-F]{0,15}\r?")
_ends = re.compile(rb"\r\n").split  # twice as fast as the method of bytes, which looks for two bytes one by one


class OneChunk:
    """Follows the chunks of one body; `joined` takes what the socket gave and gives what to parse.

    >>> OneChunk().joined(b"2\\r\\nab\\r\\n3\\r\\ncde\\r\\n")
    b'5\\r\\nabcde\\r\\n'
    """

    def __init__(self) -> None:
        self._left = 0  # bytes of the chunk that was cut off at the end of the last block, its CRLF included
        self._line = b""  # of a size that was cut off there
        self._lost = False  # something was there that is not followed here

    def joined(self, block: bytes) -> bytes:
        """The same body in fewer chunks, all of it: nothing is held back."""
        if self._lost:
            return block
        start = self._left
        if self._line:
            line = self._line + block[:20]
            size, end, _ = line.partition(b"\r\n")
            if not end:
                self._cut(self._line + block)
                return block
            start = self._behind(size) + len(size) + 2 - len(self._line)
            self._line = b""
        if self._lost or start >= len(block):
            self._left = start - len(block)
            return block
        self._left = 0
        return self._whole(block, start)

    def _whole(self, block: bytes, start: int) -> bytes:
        """`block`, of which a chunk begins at `start`."""
        parts = _ends(block[start:] if start else block)
        last = len(parts) - 1 & ~1  # each chunk is its size, its data, and what follows
        sizes, contents = parts[:last:2], parts[1:last:2]
        if sizes and sizes[-1] == b"0":  # the end of the body
            last -= 2
            self._lost = True
            del sizes[-1], contents[-1]
        # As Go's servers write it; and what has a CRLF inside does not agree.
        if _sizes_of(contents) != sizes or b"" in contents:
            self._lost = True
            return block
        if not self._lost:
            self._cut(*parts[last:])
        if len(sizes) < 2:
            return block
        content = b"".join(contents)
        return b"%b%x\r\n%b\r\n%b" % (block[:start], len(content), content, b"\r\n".join(parts[last:]))

    def _cut(self, size: bytes, content: bytes | None = None) -> None:
        """A chunk that is cut off at the end of a block: in its size, or behind it."""
        if content is not None:
            self._left = self._behind(size) - len(content)
            self._lost = self._lost or self._left <= 0
        elif _HEX.fullmatch(size):
            self._line = size
        else:
            self._lost = True

    def _behind(self, size: bytes) -> int:
        """The bytes of a chunk behind its size line."""
        if not _HEX.fullmatch(size) or not size.strip(b"0"):  # what follows the last chunk is none
            self._lost = True
            return 0
        return int(size, 16) + 2


def _sizes_of(contents: list[bytes]) -> list[bytes]:
    """As Go's servers write them."""
    try:
        return list(map(_SIZES.__getitem__, map(len, contents)))
    except IndexError:
        return [b"%x" % len(content) for content in contents]
