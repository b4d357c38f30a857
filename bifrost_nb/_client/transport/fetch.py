"""Single requests that are no completions: to the management API, for files, batches and counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple, cast

import httpx
import orjson

from .body import HEADERS, sent, whole
from .error_map import foreign, mapped, timed_out
from .pool import pool

__all__ = ["Reply", "fetch", "get_json"]


PIECE = 2**18
"""Bytes of a body that are sent in one go."""


class Reply(NamedTuple):
    """An answer, whatever its status."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The decoded body; None where it is not JSON."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None


async def fetch(
    base_url: str,
    path: str,
    headers: Mapping[str, str],
    params: Mapping[str, Any] | None = None,
    *,
    method: str = "GET",
    content: Any = None,
    form: Mapping[str, Any] | None = None,
    files: Mapping[str, Any] | None = None,
    seconds: float = 10.0,
    ca_file: str | None = None,
) -> Reply:
    """One request, `content` sent as JSON, `form` and `files` (httpx's) as a form; redirects are not followed.

    Raises ConnectionFailed and its relatives, ProtocolError for an answer longer than `MAX_ANSWER_BYTES`.
    """
    http = await pool(base_url, ca_file)
    body = None if content is None else orjson.dumps(content)
    all_headers = {**HEADERS, **headers} if body is None else {**HEADERS, **headers, "content-type": "application/json"}
    if body is not None and len(body) > PIECE:  # aiohttp warns of more in one piece, which holds up the loop
        all_headers["content-length"] = str(len(body))
    silence, heard = _Silence(seconds), False
    try:
        request = httpx.Request(
            method,
            base_url + path,
            params=dict(params or {}),
            content=_pieces(body) if body is not None and len(body) > PIECE else body,
            data=None if form is None else dict(form),
            files=files,
            headers=httpx.Headers(all_headers, encoding="utf-8"),
            extensions={"timeout": {"connect": seconds}},
        )
        if not isinstance(request.stream, httpx.ByteStream):
            request.stream = silence.broken_by(cast(AsyncIterator[bytes], request.stream))
        async with silence.timer, sent(http, request) as response:
            heard = True
            return Reply(response.status_code, response.headers, await whole(response, silence.broken))
    except TimeoutError as error:
        if not silence.timer.expired():
            raise mapped(error, base_url, connect_limit=seconds) from None
        late = timed_out("between_chunks" if heard else "first_byte", seconds)
        late.hint = "Ask again when the gateway has less to do."  # no setting of a call reaches these requests
        raise late from None
    except Exception as error:
        if not foreign(error):
            raise
        raise mapped(error, base_url, connect_limit=seconds) from None


class _Silence:
    """The limit of one request: so many seconds in which nothing goes out and nothing comes in.

    aiohttp has such a limit (`sock_read`), which must not be used: it is armed again when a reader that was full reads
    on, after the end as well, and then breaks whatever call has the connection next (3.14, tests/faults/test_pool.py).
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.timer = asyncio.timeout(seconds)

    def broken(self) -> None:
        """Something went out or came in."""
        self.timer.reschedule(asyncio.get_running_loop().time() + self._seconds)

    def broken_by(self, stream: AsyncIterator[bytes]) -> httpx.AsyncByteStream:
        """`stream`, of which each piece that is taken breaks the silence."""
        broken = self.broken

        class Heard(httpx.AsyncByteStream):
            async def __aiter__(self) -> AsyncIterator[bytes]:
                async for piece in stream:
                    broken()
                    yield piece

        return Heard()


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), PIECE):
        yield body[start : start + PIECE]


async def get_json(
    base_url: str,
    path: str,
    headers: Mapping[str, str],
    params: Mapping[str, Any] | None = None,
    seconds: float = 10.0,
    ca_file: str | None = None,
) -> tuple[int, Any]:
    """GET a management resource: (status, decoded JSON or None). Raises as `fetch` does."""
    reply = await fetch(base_url, path, headers, params, seconds=seconds, ca_file=ca_file)
    return reply.status, reply.json()
