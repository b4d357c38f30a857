"""Whether the bytes of a picture are all there: a download that broke off is a question that nobody asked.

Only the structure is walked, of PNG with its checksums; nothing is decoded, so that thousands of photographs cost
milliseconds. What follows the end (a camera's second picture, say) is not looked at.
"""

from __future__ import annotations

import struct
import zlib

__all__ = ["is_whole"]


def is_whole(content: bytes, kind: str) -> bool:
    """Whether `content`, of the media type `kind`, goes on to its own end; True for a kind that is not known here."""
    try:
        return _WALKS.get(kind, lambda _: True)(content)
    except (IndexError, struct.error):
        return False


def _png(content: bytes) -> bool:
    place = 8
    while True:
        length, name = struct.unpack_from(">I4s", content, place)
        body = memoryview(content)[place + 4 : place + 8 + length]
        if struct.unpack_from(">I", content, place + 8 + length)[0] != zlib.crc32(body):
            return False
        if name == b"IEND":
            return True
        place += 12 + length


def _jpeg(content: bytes) -> bool:
    """Segments with lengths up to the first scan, then an end: inside a scan FF is followed by 00 or a restart."""
    place = 2
    while True:
        while content[place : place + 2] == b"\xff\xff":  # fill
            place += 1
        if content[place] != 0xFF:
            return False
        if content[place + 1] == 0xDA:
            return content.find(b"\xff\xd9", place) >= 0
        place += 2 + struct.unpack_from(">H", content, place + 2)[0]


def _gif(content: bytes) -> bool:
    place = 13 + _table(content[10])
    while (block := content[place]) != 0x3B:
        if block == 0x2C:
            place += 11 + _table(content[place + 9])  # the descriptor, its colours, one byte of the code's size
        elif block == 0x21:
            place += 2
        else:
            return False
        while size := content[place]:
            place += 1 + size
        place += 1
    return True


def _table(flags: int) -> int:
    """The bytes of a table of colours."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _webp(content: bytes) -> bool:
    return len(content) - 8 >= int.from_bytes(content[4:8], "little")


_WALKS = {"image/png": _png, "image/jpeg": _jpeg, "image/gif": _gif, "image/webp": _webp}
