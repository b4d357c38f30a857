"""Clients of httpx and httpx2 that record what they send to the gateway.

Recorded is at the transport, below everything that an SDK sees: the bytes, the errors and the times of each attempt
pass through unchanged, but for comments before Google's SDK (`comment_filter`). Requests to other hosts,
redirects there included, are not looked at and get no header of ours.
"""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from functools import lru_cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from .._safe_text import quoted
from ..errors import ConfigurationError
from .comment_filter import comment_filter
from .exchange import Exchange
from .per_loop import PerLoop
from .recorder import ASKED_HEADERS, Recorder

if TYPE_CHECKING:
    from .._client.client import Client

__all__ = ["Library", "closed_with", "record", "recording_async_client", "recording_client", "to_the_gateway"]

Library = Literal["httpx", "httpx2"]


def recording_client(
    client: Client | None = None,
    *,
    library: Library = "httpx",
    tags: Mapping[str, Any] | None = None,
    **options: Any,
) -> Any:
    """An ``httpx.Client`` that writes each call to the gateway into the run log, for SDKs that accept one.

    `client` says which gateway, keys and log (None: the default one, see `Client`); `library` is the HTTP library that
    the SDK uses, ``"httpx"`` or ``"httpx2"``; `tags` go with each run; `options` are those of the library's own
    ``Client``. Each POST below the gateway's address becomes a `Run`, retries one each (tags ``sdk_call``,
    ``attempt``); the virtual key and ``x-request-id`` are added where the SDK sets none. The SDK notices nothing else.

    The gateway is asked as `bf.Client` asks it: one on this machine directly, whatever proxies the environment names,
    and by the client's `ca_file`. Raises ConfigurationError where the library is not installed.

        openai.OpenAI(base_url="http://localhost:8080/openai", http_client=bf.recording_client(tags={"job": "nightly"}))
    """
    recorder = Recorder(client, tags)
    return record(partial(_library(library).Client, **_on_the_way(recorder, options)), recorder)


def recording_async_client(
    client: Client | None = None,
    *,
    library: Library = "httpx",
    tags: Mapping[str, Any] | None = None,
    **options: Any,
) -> Any:
    """`recording_client` for async code: an ``httpx.AsyncClient``.

    `client`, `library`, `tags` and `options` are as there, and so is what it raises. It may outlive an event loop, as
    between two ``asyncio.run``: each has connections of its own.

        openai.AsyncOpenAI(base_url="http://localhost:8080/openai", http_client=bf.recording_async_client())
    """
    recorder = Recorder(client, tags)
    return record(partial(_library(library).AsyncClient, **_on_the_way(recorder, options)), recorder)


def to_the_gateway(recorder: Recorder) -> dict[str, Any]:
    """Options of an httpx client that asks nobody but the gateway: as our own client does."""
    route = recorder.route
    return {"trust_env": False, "proxy": route.proxy, "verify": route.tls or _certifi()}


def _on_the_way(recorder: Recorder, options: dict[str, Any]) -> dict[str, Any]:
    """`options` for a client that may ask others as well, by the proxies of the environment."""
    route, where = recorder.route, urlsplit(recorder.base_url)
    if route.proxy is None:
        host = f"[{where.hostname}]" if ":" in (where.hostname or "") else where.hostname
        port = f":{where.port}" if where.port else ""
        options["mounts"] = {f"{where.scheme}://{host}{port}": None, **options.get("mounts", {})}
    return {"verify": route.tls or _certifi(), **options}


@lru_cache(maxsize=1)
def _certifi() -> Any:
    """The usual certificates, where the gateway needs none: a stale file of the environment stops nothing then."""
    import httpx

    return httpx.create_ssl_context(trust_env=False)


def record(make: Callable[[], Any], recorder: Recorder) -> Any:
    """Let `recorder` see what the client of httpx or httpx2 that `make` gives sends; returns that client."""
    http_client = make()
    library = next((kind.__module__.partition(".")[0] for kind in type(http_client).__mro__ if _is_client(kind)), None)
    if library is None or not hasattr(http_client, "_transport") or not hasattr(http_client, "_mounts"):
        raise ConfigurationError(
            f"{type(http_client).__name__} is no client of httpx or httpx2 that can be recorded.",
            hint="Make one with recording_client(library=...).",
        )
    blocking, awaited = _streams(library)
    own = _transports(http_client)
    of_loop = PerLoop(own, lambda: _transports(make())) if hasattr(http_client, "aclose") else None

    def wrapped(place: Any, transport: Any) -> Any:
        if transport is None:
            return None
        if of_loop is None:
            return _Transport(transport, recorder, blocking)
        return _AsyncTransport(of_loop, place, recorder, awaited)

    # httpx has no public way to wrap the transport that it has chosen (proxies of the environment, HTTP/2, TLS, what
    # an SDK prefers); these two names are what its instrumentations wrap too, and are the same in both libraries.
    http_client._transport = wrapped(None, own[None])
    http_client._mounts = {pattern: wrapped(pattern, own[pattern]) for pattern in http_client._mounts}
    return http_client


def closed_with(http_client: Any) -> None:
    """Let the connections of a client that is recorded and blocking end when it does, or when the process does."""
    weakref.finalize(http_client, _close, _transports(http_client).values())


def _close(transports: Iterable[Any]) -> None:
    for transport in transports:
        if transport is not None:
            transport.close()


def _transports(http_client: Any) -> dict[Any, Any]:
    """Those of a client by the pattern of the addresses that they are for; None: of all others."""
    return {**http_client._mounts, None: http_client._transport}


def _is_client(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in ("httpx", "httpx2")


def _library(name: str) -> Any:
    if name not in ("httpx", "httpx2"):
        raise ConfigurationError(f"library must be 'httpx' or 'httpx2', not {quoted(name)}.")
    try:
        return import_module(name)
    except ModuleNotFoundError:
        raise ConfigurationError(f"{name} is not installed.", hint=f"Run `pip install {name}`.") from None


_ASKED = tuple((name.encode(), name) for name in (*ASKED_HEADERS, "x-stainless-retry-count"))


class _Sent:
    """The headers that a request has while it is sent, and not a moment longer: a redirect or a retry is made from the
    same request, and must not carry our key elsewhere. (A copy of the request would cost ten times as much.)
    """

    def __init__(self, recorder: Recorder, request: Any) -> None:
        url, headers = request.url, request.headers
        self.headers = headers
        raw = {name.lower(): value for name, value in headers.raw}
        given = {name: raw[key].decode("latin-1") for key, name in _ASKED if key in raw}
        try:
            question = request.content
        except Exception:  # noqa: BLE001 - a body that is read while it is sent: each library has its own error
            question = b""
        path = url.raw_path.partition(b"?")[0].decode("ascii")
        attempt = given.get("x-stainless-retry-count")
        self.exchange = recorder.begin(request.method, url.scheme, url.host, url.port, path, question, attempt)
        if self.exchange is not None:
            self.exchange.asked = raw.items
            self.added, dropped = recorder.headers(self.exchange, given)
            self.dropped = {name: given[name] for name in dropped}

    def __enter__(self) -> None:
        for name, value in self.added.items():
            self.headers[name] = value
        for name in self.dropped:
            del self.headers[name]

    def __exit__(self, *exception: object) -> None:
        for name in self.added:
            del self.headers[name]
        for name, value in self.dropped.items():
            self.headers[name] = value


class _Transport:
    """Passes requests on to `inner`; the stream of each answer from the gateway is watched."""

    def __init__(self, inner: Any, recorder: Recorder, stream: type) -> None:
        self._inner, self._recorder, self._stream = inner, recorder, stream

    def handle_request(self, request: Any) -> Any:
        sent = _Sent(self._recorder, request)
        exchange = sent.exchange
        if exchange is None:
            return self._inner.handle_request(request)
        try:
            with sent:
                response = self._inner.handle_request(request)
        except BaseException as failure:
            self._recorder.end(exchange, failure)
            raise
        exchange.head(response.status_code, response.headers.raw)
        response.stream = self._stream(response.stream, exchange, self._recorder)
        return response

    def close(self) -> None:
        self._inner.close()

    def __enter__(self) -> Any:
        self._inner.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._inner.__exit__(*exception)


class _AsyncTransport:
    """The same for async clients, by the transport that the running loop has at `place`."""

    def __init__(self, of_loop: PerLoop, place: Any, recorder: Recorder, stream: type) -> None:
        self._of_loop, self._place, self._recorder, self._stream = of_loop, place, recorder, stream

    async def handle_async_request(self, request: Any) -> Any:
        sent = _Sent(self._recorder, request)
        exchange = sent.exchange
        inner = self._of_loop.get(self._place)
        if exchange is None:
            return await inner.handle_async_request(request)
        try:
            with sent:
                response = await inner.handle_async_request(request)
        except BaseException as failure:
            await self._recorder.aend(exchange, failure)
            raise
        exchange.head(response.status_code, response.headers.raw)
        response.stream = self._stream(response.stream, exchange, self._recorder)
        return response

    async def aclose(self) -> None:
        await self._of_loop.get(self._place).aclose()

    async def __aenter__(self) -> Any:
        await self._of_loop.get(self._place).__aenter__()
        return self

    async def __aexit__(self, *exception: Any) -> None:
        await self._of_loop.get(self._place).__aexit__(*exception)


class _RecordedStream:
    """The body of an answer: each block passes on as it comes, and is kept with its time."""

    def __init__(self, inner: Any, exchange: Exchange, recorder: Recorder) -> None:
        self._inner, self._exchange, self._recorder = inner, exchange, recorder
        self._filter = comment_filter(exchange)

    def __del__(self) -> None:  # a stream that was dropped instead of closed
        self._recorder.end(self._exchange, late=True)


class _SyncStream(_RecordedStream):
    def __iter__(self) -> Iterator[bytes]:
        take = self._exchange.take
        try:
            for block in self._inner:
                take(block)
                if self._filter is None:
                    yield block
                elif kept := self._filter.feed(block):
                    yield kept
        except GeneratorExit:  # closed before its end, which `close` says too
            raise
        except BaseException as failure:
            self._recorder.end(self._exchange, failure)
            raise
        self._recorder.end(self._exchange, exhausted=True)

    def close(self) -> None:
        try:
            self._inner.close()
        finally:
            self._recorder.end(self._exchange)


class _AwaitedStream(_RecordedStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        take = self._exchange.take
        try:
            async for block in self._inner:
                take(block)
                if self._filter is None:
                    yield block
                elif kept := self._filter.feed(block):
                    yield kept
        except GeneratorExit:
            raise
        except BaseException as failure:
            await self._recorder.aend(self._exchange, failure)
            raise
        await self._recorder.aend(self._exchange, exhausted=True)

    async def aclose(self) -> None:
        try:
            await self._inner.aclose()
        finally:
            await self._recorder.aend(self._exchange)


@lru_cache(maxsize=2)
def _streams(library: str) -> tuple[type, type]:
    """The two stream classes for a library, which wants its own base classes."""
    module = import_module(library)
    blocking = type("RecordedStream", (_SyncStream, module.SyncByteStream), {})
    return blocking, type("RecordedAsyncStream", (_AwaitedStream, module.AsyncByteStream), {})
