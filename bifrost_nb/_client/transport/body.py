"""A request out, and the body of its answer back: in blocks or whole, never longer than is safe."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx

from ...errors import ProtocolError

__all__ = ["HEADERS", "MAX_ANSWER_BYTES", "blocks", "counted", "sent", "whole"]

MAX_ANSWER_BYTES = 256 * 1024 * 1024
"""A longer answer is refused, so that a broken server cannot fill the memory."""
HEADERS = {"accept": "*/*", "accept-encoding": "gzip, deflate", "user-agent": "bifrost-nb"}
"""What httpx's client would add to each request."""
_UNBOUNDED = ("br", "zstd")
"""What nobody asked for and httpx unfolds all the same where their libraries happen to be there: a kilobyte of them
makes gigabytes before anybody can count. What is asked for unfolds to a thousandfold at most."""


@asynccontextmanager
async def sent(http: httpx.AsyncBaseTransport, request: httpx.Request) -> AsyncIterator[httpx.Response]:
    """The answer's head; its connection is given back at the end. Raises what httpx and aiohttp raise."""
    try:
        response = await http.handle_async_request(request)
    except UnicodeError:  # out of the transport, which takes the reason of a status line for UTF-8
        raise ProtocolError(
            "The answer begins with bytes that are no text.", hint="Is base_url the address of a Bifrost gateway?"
        ) from None
    try:
        yield response
    finally:
        await response.aclose()


def blocks(response: httpx.Response) -> AsyncIterator[bytes]:
    """The body as it arrives. The transport's own stream where nothing is compressed: httpx wraps it four times."""
    _check_size(response)
    stream = response.stream
    if "content-encoding" in response.headers or not isinstance(stream, httpx.AsyncByteStream):
        return response.aiter_bytes()
    return stream.__aiter__()


async def whole(response: httpx.Response, came: Callable[[], None] | None = None) -> bytes:
    """The whole body; `came` is called for each block. Raises ProtocolError above `MAX_ANSWER_BYTES`."""
    body, taken = bytearray(), 0
    async for block in blocks(response):
        taken = counted(taken, block)
        if came is not None:
            came()
        body += block
    return bytes(body)


def _check_size(response: httpx.Response) -> None:
    """Refuse what its head already says to be too long, or what may unfold without bound."""
    length = response.headers.get("content-length", "")
    if length.isdecimal() and len(length) < 20:
        counted(int(length), b"")
    encoding = response.headers.get("content-encoding", "").strip().lower()
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
