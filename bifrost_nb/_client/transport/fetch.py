"""Single requests that are no completions: to the management API, for files, batches and counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import orjson

from ..._wire.json_text import loads, whole as whole_values
from .body import HEADERS, form as as_form, head, in_pieces, whole
from .network_errors import foreign, mapped, timed_out
from .pool import address, pool

__all__ = ["Reply", "fetch", "get_json"]


class Reply(NamedTuple):
    """An answer, whatever its status."""

    status: int
    headers: Mapping[str, str]
    """Their names in lower case."""
    body: bytes

    def json(self) -> Any:
        """The decoded body, with whole characters only; None where it is not JSON."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            with suppress(orjson.JSONDecodeError):  # half of a character in one name would hide all others
                return whole_values(loads(self.body))
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
    sent: dict[str, str] = {**HEADERS, **headers}
    body: bytes | AsyncIterator[bytes] | None = None
    if content is not None:
        sent["content-type"] = "application/json"
        body = in_pieces(orjson.dumps(content), sent)
    elif form is not None or files is not None:
        body = as_form(form or {}, files, sent)
    silence, heard = _Silence(seconds), False
    if body is not None and not isinstance(body, bytes):
        body = silence.broken_by(body)
    try:
        url = address(base_url + path, _query(params or {}))
        async with silence.timer, http.request(method, url, sent, body, seconds) as response:
            heard, answered = True, head(response)
            return Reply(response.status, answered, await whole(response, answered, silence.broken))
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

    async def broken_by(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """`body`, of which each piece that is taken breaks the silence."""
        async for piece in body:
            self.broken()
            yield piece


def _query(params: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name, str(value).lower() if isinstance(value, bool) else str(value)) for name, value in params.items()
    )


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
