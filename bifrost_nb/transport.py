"""The only file that opens a connection to a gateway: attempts, time limits, error mapping.

httpx is the API and aiohttp carries the bytes (``httpx-aiohttp``): it hands a stream over in blocks of many chunks
and stays cheap with many connections. All clients of a process share one pool on the private loop. Requests go to
httpx's transport itself: what its client does besides (redirects, cookies, log-ins, default headers) is wanted by no
call here, and takes a third of the processor time of a short one.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx
import orjson

from .errors import BifrostError, ConfigurationError, ConnectionFailed, ProtocolError, StreamInterrupted, TimedOut
from .portal import portal
from .records.collector import Collector, Piece
from .wire.events import EventDecoder
from .wire.reading import LowerNames

if TYPE_CHECKING:
    from .calls import Call
    from .records.run import Run

__all__ = ["MAX_ANSWER_BYTES", "Reply", "Sink", "attempt", "fetch", "get_json", "mapped", "pool"]

Sink = Callable[["Run", list[Piece]], None]
"""Called on the private loop's thread: once when it is known who serves, once per block, once at the end."""

MAX_ANSWER_BYTES = 256 * 1024 * 1024
"""A longer answer is refused, so that a broken server cannot fill the memory."""

KEEPALIVE_S = 30.0
_HEADERS = {"accept": "*/*", "accept-encoding": "gzip, deflate", "user-agent": "bifrost-nb"}
_PROXY_NAMES = tuple(
    name for scheme in ("http", "https", "all", "no") for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper())
)
LAST_WORD_S = 1.0
"""How long to wait for ``[DONE]`` after finish reason and usage."""


def proxy_for(base_url: str) -> str | None:
    """The proxy that the environment sets for this address (``HTTPS_PROXY``, ``NO_PROXY``, ...)."""
    parts = urlsplit(base_url)
    if not parts.hostname or proxy_bypass(parts.hostname):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy:
        return None
    scheme, separator, _ = proxy.partition("://")
    if separator and scheme.lower() not in ("http", "https"):
        raise ConfigurationError(
            f"The environment sets a {scheme} proxy for {base_url}; only HTTP proxies can be used.",
            hint="Set NO_PROXY for the gateway's host, or name an HTTP proxy.",
        )
    return proxy if separator else f"http://{proxy}"


async def pool(base_url: str) -> httpx.AsyncBaseTransport:
    """The connection pool of the private loop, one for each proxy; made late, since loading aiohttp takes 0.1 s."""
    here = portal()
    asked = (base_url, *map(os.environ.get, _PROXY_NAMES))  # a cell may set a proxy at any time
    known: httpx.AsyncBaseTransport | None = here.shared.get(asked)
    if known is not None:
        return known
    proxy = proxy_for(base_url)
    transport: httpx.AsyncBaseTransport | None = here.shared.get(proxy)
    if transport is None:
        import aiohttp
        from httpx_aiohttp import AiohttpTransport

        def session() -> aiohttp.ClientSession:
            return aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_S, ssl=context),
                cookie_jar=aiohttp.DummyCookieJar(),  # a cookie of one gateway must not reach another
                read_bufsize=64 * 1024,  # a block that stays in the processor's cache is read a fifth quicker
            )

        context = httpx.create_ssl_context()
        transport = AiohttpTransport(client=session, proxy=httpx.Proxy(proxy) if proxy else None)
        here.shared[proxy] = transport
        here.closers.append(transport.aclose)
    here.shared[asked] = transport  # working out which proxy is meant takes as long as sending a request
    return transport


@lru_cache(maxsize=256)  # a client asks few addresses, and reading one takes as long as parsing an answer
def _url(address: str, query: tuple[tuple[str, str], ...] = ()) -> httpx.URL:
    return httpx.URL(address, params=dict(query)) if query else httpx.URL(address)


async def attempt(
    http: httpx.AsyncBaseTransport,
    base_url: str,
    call: Call,
    headers: Mapping[str, str],
    collector: Collector,
    began: float,
    sink: Sink | None,
) -> None:
    """Send `call` once and feed what comes back into `collector`.

    `began` is `time.monotonic()` when the call began: all times and the total limit count from there.
    Raises a BifrostError; what had arrived is in the collector.
    """
    limits, run = call.timeouts, call.run
    phase = "first_byte"
    loop = asyncio.get_running_loop()
    end = None if limits.total is None else loop.time() + limits.total - (time.monotonic() - began)

    # Silence between chunks may last a fiftieth longer than its limit, so that not every chunk sets a new timer.
    slack = 0.0 if limits.between_chunks is None else limits.between_chunks / 50
    slow = None if limits.between_chunks is None else limits.between_chunks + slack

    def limit(seconds: float | None) -> float | None:
        now = None if seconds is None else loop.time() + seconds
        return min((when for when in (now, end) if when is not None), default=None)

    try:
        async with asyncio.timeout_at(limit(limits.first_byte)) as deadline:
            request = httpx.Request(
                "POST",
                _url(base_url + call.path, tuple(call.query.items())),
                content=orjson.dumps(call.body, option=orjson.OPT_NON_STR_KEYS),
                headers={**_HEADERS, **headers},
                extensions={"timeout": {"connect": limits.connect}},
            )
            async with _sent(http, request) as response:
                collector.headers(response.status_code, LowerNames.of(response.headers.raw))
                streaming = call.stream and _is_event_stream(response)
                if streaming and sink is not None:
                    collector.who_serves()
                    sink(run, [])
                if not streaming:
                    body = await _whole(response)
                    pieces = collector.answer(_answer(response, body, collector))
                    if sink is not None:
                        sink(run, pieces)
                    return
                decoder, taken, last_words, soon = EventDecoder(), 0, False, 0.0
                async for block in _blocks(response):
                    now = time.monotonic()
                    at_ms = 1000 * (now - began)
                    phase = "between_chunks"
                    taken = _counted(taken, block)
                    pieces = collector.feed(decoder.feed(block), at_ms)
                    if not last_words:  # only once: heartbeats after the end must not prolong it
                        last_words = collector.ended
                        if last_words or now >= soon:  # setting a timer takes as long as reading a chunk
                            deadline.reschedule(limit(LAST_WORD_S if last_words else slow))
                            soon = now + slack
                    if pieces and sink is not None:
                        sink(run, pieces)
                with suppress(ProtocolError):  # an event that was cut off: the answer is not complete
                    collector.feed(decoder.end(), 1000 * (time.monotonic() - began))
    except TimeoutError:
        if not collector.ended:
            passed = end is not None and loop.time() >= end
            raise _timed_out("total" if passed else phase, limits.total if passed else getattr(limits, phase)) from None
    except httpx.ConnectTimeout as error:
        raise mapped(error, base_url, collector.received, limits.connect) from None
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
        if not collector.ended:  # else it broke after all had been said
            raise mapped(error, base_url, collector.received) from None
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "aiohttp":
            raise
        raise mapped(error, base_url, collector.received) from None
    if not collector.complete:
        raise StreamInterrupted(
            "The stream ended before the answer was complete: no finish reason and no [DONE] came.",
            hint="The text so far is in .text; the provider or a proxy closed the connection.",
        )


@asynccontextmanager
async def _sent(http: httpx.AsyncBaseTransport, request: httpx.Request) -> AsyncIterator[httpx.Response]:
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


def _blocks(response: httpx.Response) -> AsyncIterator[bytes]:
    """The body as it arrives. The transport's own stream where nothing is compressed: httpx wraps it four times."""
    _check_size(response)
    stream = response.stream
    if "content-encoding" in response.headers or not isinstance(stream, httpx.AsyncByteStream):
        return response.aiter_bytes()
    return stream.__aiter__()


def _is_event_stream(response: httpx.Response) -> bool:
    kind = response.headers.get("content-type", "").lower()
    return response.status_code < 300 and kind.startswith("text/event-stream")


async def _whole(response: httpx.Response) -> bytes:
    body, taken = bytearray(), 0
    async for block in _blocks(response):
        taken = _counted(taken, block)
        body += block
    return bytes(body)


def _check_size(response: httpx.Response) -> None:
    """Refuse what its head already says to be too long, or what may unfold without bound."""
    length = response.headers.get("content-length", "")
    if length.isdecimal() and len(length) < 20:
        _counted(int(length), b"")
    if "," in response.headers.get("content-encoding", ""):
        raise ProtocolError("The answer is compressed several times over and was refused.")


def _counted(taken: int, block: bytes) -> int:
    """Bytes of a body so far. Raises ProtocolError above the limit."""
    taken += len(block)
    if taken > MAX_ANSWER_BYTES:
        raise ProtocolError(f"The answer is longer than {MAX_ANSWER_BYTES // 2**20} MiB and was refused.")
    return taken


def _answer(response: httpx.Response, body: bytes, collector: Collector) -> dict[str, Any]:
    """The JSON object of a good answer; anything else raises."""
    status = response.status_code
    if status >= 400:
        raise collector.refusal(body)
    what = f"{response.request.method} {response.request.url.path} answered {status}"
    if status >= 300:
        raise ProtocolError(f"{what}, a redirect, which is not followed.", hint="Set base_url to the gateway itself.")
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        kind = response.headers.get("content-type") or "no content type"
        raise ProtocolError(
            f"{what} with something that is not JSON ({kind}, {len(body)} bytes).",
            hint="Is base_url the address of a Bifrost gateway?",
        ) from None
    if not isinstance(answer, dict):
        raise ProtocolError(f"{what} with JSON that is not an object.")
    if answer.get("error") and not answer.get("choices"):
        raise collector.refusal(answer)
    return answer


def _timed_out(phase: str, seconds: float | None) -> TimedOut:
    what = {
        "connect": "The gateway did not accept the connection",
        "first_byte": "The gateway sent nothing",
        "between_chunks": "The stream sent nothing more",
        "total": "The call did not finish",
    }[phase]
    error = TimedOut(
        f"{what} within {seconds:g} s." if seconds is not None else f"{what} in time.",
        hint=f"Raise the limit with timeout=Timeouts({phase}=...), or look at the load.",
    )
    error.phase, error.seconds = phase, seconds
    return error


def mapped(
    error: BaseException, base_url: str, received: bool = False, connect_limit: float | None = None
) -> BifrostError:
    """Our error for one of httpx's (or of aiohttp beneath it)."""
    import aiohttp

    cause = error.__cause__ or error
    if isinstance(cause, aiohttp.ConnectionTimeoutError | httpx.ConnectTimeout | httpx.PoolTimeout):
        return _timed_out("connect", connect_limit)
    if isinstance(cause, aiohttp.ServerTimeoutError | httpx.TimeoutException):
        return _timed_out("between_chunks" if received else "first_byte", connect_limit)
    broken = isinstance(error, aiohttp.ClientResponseError | httpx.DecodingError)  # by what was sent, not by its end
    if not broken and (
        isinstance(cause, aiohttp.ClientPayloadError | httpx.ReadError | httpx.RemoteProtocolError) or received
    ):
        return StreamInterrupted(
            "The connection broke in the middle of the answer.", hint="The text so far is in .text."
        )
    if broken or isinstance(cause, aiohttp.ClientResponseError):
        return ProtocolError(
            f"{base_url} answered with something that is not HTTP as a gateway speaks it.",
            hint="Is base_url the address and port of a Bifrost gateway?",
        )
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol | httpx.TooManyRedirects):
        return ProtocolError(f"{base_url} cannot be used as an address.", hint="Check base_url.")
    return ConnectionFailed(
        f"No gateway answered at {base_url} ({_reason(cause)}).",
        hint="Start one, check base_url, or use Client('demo') for the embedded gateway.",
    )


def _reason(cause: BaseException) -> str:
    import aiohttp

    if isinstance(cause, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return f"TLS: {cause.__cause__ or type(cause).__name__}"
    if isinstance(cause, aiohttp.ClientConnectorDNSError):
        return "unknown host"
    if isinstance(cause, aiohttp.ServerDisconnectedError):
        return "it closed the connection without an answer"
    number = cause.__cause__ if isinstance(cause.__cause__, OSError) else cause
    if isinstance(number, ConnectionRefusedError):
        return "connection refused"
    if isinstance(number, ConnectionResetError):
        return "connection reset"
    if isinstance(number, OSError) and number.strerror:
        return str(number.strerror)
    return type(cause).__name__


class Reply(NamedTuple):
    """An answer of the management API, whatever its status."""

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
    seconds: float = 10.0,
) -> Reply:
    """One request to the management API, `content` sent as JSON; redirects are not followed.

    Raises ConnectionFailed and its relatives, ProtocolError for an answer longer than `MAX_ANSWER_BYTES`.
    """
    http = await pool(base_url)
    body = None if content is None else orjson.dumps(content)
    sent = {**_HEADERS, **headers} if body is None else {**_HEADERS, **headers, "content-type": "application/json"}
    try:
        request = httpx.Request(
            method,
            base_url + path,
            params=dict(params or {}),
            content=body,
            headers=sent,
            extensions={"timeout": httpx.Timeout(seconds).as_dict()},
        )
        async with _sent(http, request) as response:
            return Reply(response.status_code, response.headers, await _whole(response))
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
        raise mapped(error, base_url, connect_limit=seconds) from None
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "aiohttp":
            raise
        raise mapped(error, base_url, connect_limit=seconds) from None


async def get_json(
    base_url: str, path: str, headers: Mapping[str, str], params: Mapping[str, Any] | None = None, seconds: float = 10.0
) -> tuple[int, Any]:
    """GET a management resource: (status, decoded JSON or None). Raises as `fetch` does."""
    reply = await fetch(base_url, path, headers, params, seconds=seconds)
    return reply.status, reply.json()
