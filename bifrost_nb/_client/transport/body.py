"""What goes out and comes back: the body of a request, and that of its answer, never longer than is safe."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..._wire.metadata import LowerNames
from ...errors import ProtocolError

if TYPE_CHECKING:
    from aiohttp import ClientResponse

__all__ = ["HEADERS", "MAX_ANSWER_BYTES", "blocks", "counted", "form", "head", "in_pieces", "whole"]

MAX_ANSWER_BYTES = 256 * 1024 * 1024
"""A longer answer is refused, so that a broken server cannot fill the memory."""
HEADERS = {"accept": "*/*", "accept-encoding": "gzip, deflate", "user-agent": "bifrost-nb"}
"""What each request has unless it says otherwise."""
PIECE = 2**18
"""Bytes of a body that are sent in one go; aiohttp warns of much more, which holds up the loop."""
_UNBOUNDED = ("br", "zstd")
"""What nobody asked for and httpx unfolds all the same where their libraries happen to be there: a kilobyte of them
makes gigabytes before anybody can count. What is asked for unfolds to a thousandfold at most."""
BLOCK = 2**18
"""Bytes of an answer that are read in one go."""
PACKED_BLOCK = 2**14
"""The same of a compressed one, of which each may unfold to a thousand."""


def in_pieces(content: bytes, headers: dict[str, str]) -> bytes | AsyncIterator[bytes]:
    """`content` to be sent; a long one in pieces, with its length among `headers`."""
    if len(content) <= PIECE:
        return content
    headers["content-length"] = str(len(content))
    return _pieces(content)


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), PIECE):
        yield content[start : start + PIECE]


def form(data: Mapping[str, Any], files: Mapping[str, Any] | None, headers: dict[str, str]) -> AsyncIterator[bytes]:
    """A form as httpx writes it, with `files` as httpx takes them; its type and length go into `headers`."""
    from .httpx_work import form_parts  # late, as below: no other call needs httpx

    more, parts = form_parts(data, files)
    headers |= more
    return parts


def head(response: ClientResponse) -> LowerNames:
    """The headers of an answer. Raises ProtocolError where it does not begin with text."""
    try:
        (response.reason or "").encode()
    except UnicodeEncodeError:
        raise ProtocolError(
            "The answer begins with bytes that are no text.", hint="Is base_url the address of a Bifrost gateway?"
        ) from None
    return LowerNames.of(response.raw_headers)


def blocks(response: ClientResponse, headers: Mapping[str, str]) -> AsyncIterator[bytes]:
    """The body as it arrives, unpacked where something on the way has compressed it."""
    _check_size(headers)
    if "content-encoding" not in headers:
        return response.content.iter_chunked(BLOCK)
    from .httpx_work import unpacked

    return unpacked(response.content.iter_chunked(PACKED_BLOCK), headers["content-encoding"])


async def whole(response: ClientResponse, headers: Mapping[str, str], came: Callable[[], None] | None = None) -> bytes:
    """The whole body; `came` is called for each block. Raises ProtocolError above `MAX_ANSWER_BYTES`."""
    body, taken = bytearray(), 0
    async for block in blocks(response, headers):
        taken = counted(taken, block)
        if came is not None:
            came()
        body += block
    return bytes(body)


def _check_size(headers: Mapping[str, str]) -> None:
    """Refuse what its head already says to be too long, or what may unfold without bound."""
    length = headers.get("content-length", "")
    if length.isdecimal() and len(length) < 20:
        counted(int(length), b"")
    encoding = headers.get("content-encoding", "").strip().lower()
    if "," in encoding:
        raise ProtocolError("The answer is compressed several times over and was refused.")
    if encoding in _UNBOUNDED:
        raise ProtocolError(
            f"The answer is compressed as {encoding!r}, which was not asked for, and was refused.",
            hint="Look at what stands between here and the gateway; it may send gzip.",
        )


def counted(taken: int, block: bytes) -> int:
    """Bytes of a body so far. Raises ProtocolError above the limit."""
    taken += len(block)
    if taken > MAX_ANSWER_BYTES:
        raise ProtocolError(f"The answer is longer than {MAX_ANSWER_BYTES // 2**20} MiB and was refused.")
    return taken
