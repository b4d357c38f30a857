"""The only file that opens a connection to a gateway: attempts, time limits, error mapping.

aiohttp carries it: it hands a stream over in blocks of many chunks and stays cheap with many connections. It is used
without httpx above it, which would take more time for a request than aiohttp and ourselves together. All clients of a
process share one session, and with it the connections, on the private loop.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import orjson

from .errors import (
    BifrostError,
    ConfigurationError,
    ConnectionFailed,
    ProtocolError,
    StreamInterrupted,
    TimedOut,
)
from .portal import portal
from .records.collector import Collector, Piece
from .wire.events import EventDecoder

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

    from .calls import Call
    from .records.run import Run

__all__ = ["MAX_ANSWER_BYTES", "Reply", "Sink", "attempt", "fetch", "gateway_at", "get_json", "mapped"]

Sink = Callable[["Run", list[Piece]], None]
"""Called on the private loop's thread: once when it is known who serves, once per block, once at the end."""

MAX_ANSWER_BYTES = 256 * 1024 * 1024
"""A longer answer is refused, so that a broken server cannot fill the memory."""

KEEPALIVE_S = 30.0
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


class Gateway:
    """How to reach one address."""

    def __init__(self, base_url: str, session: aiohttp.ClientSession) -> None:
        from yarl import URL

        try:
            self._base = str(URL(base_url)).rstrip("/")
        except ValueError:
            raise _no_address(base_url) from None
        self._session = session
        self._proxy = proxy_for(base_url)  # reading the environment takes as long as sending a request
        self._ssl = _certificates() if base_url.startswith("https:") else True

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any],
        headers: Mapping[str, str],
        body: bytes | None,
        timeout: aiohttp.ClientTimeout,
    ) -> Any:
        """A request, to be opened with ``async with``. `path` is percent-encoded. Redirects are not followed."""
        from yarl import URL

        told = {name: _query_text(value) for name, value in query.items()}
        url: URL = URL(f"{self._base}{path}{'?' if told else ''}{urlencode(told)}", encoded=True)  # `..` stays `..`
        return self._session.request(
            method,
            url,
            data=body,
            headers=headers,
            allow_redirects=False,
            timeout=timeout,
            proxy=self._proxy,
            ssl=self._ssl,
        )


def _query_text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _certificates() -> ssl.SSLContext:
    """The authorities of ``SSL_CERT_FILE`` or ``SSL_CERT_DIR`` where set, else those of certifi."""
    import certifi

    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if not file and not folder:
        file = certifi.where()
    return ssl.create_default_context(cafile=file or None, capath=folder or None)


async def gateway_at(base_url: str) -> Gateway:
    """The way to the gateway at this address; made late, since loading aiohttp takes 0.1 s.

    Raises ProtocolError for what cannot be an address, ConfigurationError for a proxy of a kind that cannot be used.
    """
    here = portal()
    known: Gateway | None = here.shared.get(base_url)
    if known is not None:
        return known
    session: aiohttp.ClientSession | None = here.shared.get("session")
    if session is None:
        import aiohttp

        session = here.shared["session"] = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_S),
            read_bufsize=64 * 1024,  # a block that stays in the processor's cache is read a fifth quicker
            cookie_jar=aiohttp.DummyCookieJar(),  # a cookie of one gateway must not reach another
        )
        here.closers.append(session.close)
    known = here.shared[base_url] = Gateway(base_url, session)
    return known


async def attempt(
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
    import aiohttp

    limits, run = call.timeouts, call.run
    phase = "first_byte"
    gateway = await gateway_at(base_url)
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
            body = orjson.dumps(call.body, option=orjson.OPT_NON_STR_KEYS)
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=limits.connect)
            async with gateway.request("POST", call.path, call.query, headers, body, timeout) as response:
                collector.headers(response.status, response.headers)
                streaming = call.stream and _is_event_stream(response)
                if streaming and sink is not None:
                    sink(run, [])
                if not streaming:
                    pieces = collector.answer(_answer(response, await _whole(response), collector))
                    if sink is not None:
                        sink(run, pieces)
                    return
                _check_size(response)
                decoder, taken, last_words, soon = EventDecoder(), 0, False, 0.0
                while block := await response.content.readany():
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
    except aiohttp.ServerTimeoutError as error:
        raise mapped(error, base_url, collector.received, limits.connect) from None
    except TimeoutError:
        if not collector.ended:
            passed = end is not None and loop.time() >= end
            raise _timed_out("total" if passed else phase, limits.total if passed else getattr(limits, phase)) from None
    except Exception as error:
        if not _of_the_connection(error):
            raise
        if not collector.ended:  # else it broke after all had been said
            raise mapped(error, base_url, collector.received) from None
    if not collector.complete:
        raise StreamInterrupted(
            "The stream ended before the answer was complete: no finish reason and no [DONE] came.",
            hint="The text so far is in .text; the provider or a proxy closed the connection.",
        )


def _is_event_stream(response: aiohttp.ClientResponse) -> bool:
    kind = response.headers.get("content-type", "").lower()
    return response.status < 300 and kind.startswith("text/event-stream")


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    _check_size(response)
    blocks, taken = [], 0
    while block := await response.content.readany():
        taken = _counted(taken, block)
        blocks.append(block)
    return b"".join(blocks)


def _check_size(response: aiohttp.ClientResponse) -> None:
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


def _answer(response: aiohttp.ClientResponse, body: bytes, collector: Collector) -> dict[str, Any]:
    """The JSON object of a good answer; anything else raises."""
    status = response.status
    if status >= 400:
        raise collector.refusal(body)
    what = f"{response.method} {response.url.path} answered {status}"
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


def _of_the_connection(error: Exception) -> bool:
    """Whether the error comes from aiohttp or the operating system, not from our own code."""
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] == "aiohttp"


def mapped(
    error: BaseException, base_url: str, received: bool = False, connect_limit: float | None = None
) -> BifrostError:
    """Our error for one of aiohttp's or of the operating system."""
    import aiohttp
    from aiohttp.http_exceptions import ContentEncodingError, HttpProcessingError

    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return _timed_out("connect", connect_limit)
    if isinstance(error, aiohttp.ServerTimeoutError):
        return _timed_out("between_chunks" if received else "first_byte", connect_limit)
    if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError | aiohttp.TooManyRedirects):
        return _no_address(base_url)
    if isinstance(error, aiohttp.ClientResponseError | HttpProcessingError) or isinstance(
        error.__cause__, ContentEncodingError
    ):  # by what was sent, not by its end
        return ProtocolError(
            f"{base_url} answered with something that is not HTTP as a gateway speaks it.",
            hint="Is base_url the address and port of a Bifrost gateway?",
        )
    if isinstance(error, aiohttp.ClientPayloadError) or received:
        return StreamInterrupted(
            "The connection broke in the middle of the answer.", hint="The text so far is in .text."
        )
    return ConnectionFailed(
        f"No gateway answered at {base_url} ({_reason(error)}).",
        hint="Start one, check base_url, or use Client('demo') for the embedded gateway.",
    )


def _no_address(base_url: str) -> ProtocolError:
    return ProtocolError(f"{base_url} cannot be used as an address.", hint="Check base_url.")


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

    `seconds` is the limit for connecting and for each silence. Raises ConnectionFailed and its relatives,
    ProtocolError for an answer longer than `MAX_ANSWER_BYTES`.
    """
    import aiohttp

    gateway = await gateway_at(base_url)
    body = None if content is None else orjson.dumps(content)
    sent = {**headers, "content-type": "application/json"} if body is not None else dict(headers)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=seconds, sock_read=seconds)
    try:
        async with gateway.request(method, path, params or {}, sent, body, timeout) as response:
            return Reply(response.status, response.headers, await _whole(response))
    except Exception as error:
        if not _of_the_connection(error):
            raise
        raise mapped(error, base_url, connect_limit=seconds) from None


async def get_json(
    base_url: str, path: str, headers: Mapping[str, str], params: Mapping[str, Any] | None = None, seconds: float = 10.0
) -> tuple[int, Any]:
    """GET a management resource: (status, decoded JSON or None). Raises as `fetch` does."""
    reply = await fetch(base_url, path, headers, params, seconds=seconds)
    return reply.status, reply.json()
