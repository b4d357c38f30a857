"""The connection pools of the private loop, one for each way to a gateway (proxy, certificates)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from ..._loading import loading
from ...errors import ProtocolError
from ..portal import portal
from .chunks import OneChunk
from .eager_request import request_class
from .network_route import route_to

if TYPE_CHECKING:
    import aiohttp
    import yarl
    from aiohttp.http import RawResponseMessage

__all__ = ["Pool", "address", "pool"]

KEEPALIVE_S = 30.0


class Pool:
    """Connections to one gateway, and how each request goes over them: unchanged there, unchanged back."""

    def __init__(self, session: aiohttp.ClientSession, proxy: str | None) -> None:
        self._session, self._proxy = session, proxy

    def request(
        self,
        method: str,
        url: yarl.URL,
        headers: Mapping[str, str],
        body: bytes | AsyncIterator[bytes] | None,
        connect_s: float | None,
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """The answer's head, its body to be read; raises what aiohttp raises. No redirect is followed."""
        return self._session.request(
            method,
            url,
            headers=headers,
            data=body,
            allow_redirects=False,
            proxy=self._proxy,
            timeout=_limits(connect_s),
        )


async def pool(base_url: str, ca_file: str | None = None) -> Pool:
    """The connection pool of the private loop for this way to `base_url`; made late, as loading aiohttp takes 0.1 s.

    Raises ConfigurationError for a proxy or certificates that cannot be used.
    """
    here, route = portal(), route_to(base_url, ca_file)
    found: Pool | None = here.shared.get(route)
    if found is None:
        with loading():
            import aiohttp

        session = aiohttp.ClientSession(
            connector=_connector()(limit=0, keepalive_timeout=KEEPALIVE_S, ssl=route.tls or True),
            request_class=request_class(),
            cookie_jar=aiohttp.DummyCookieJar(),  # a cookie of one gateway must not reach another
            auto_decompress=False,  # see `body.blocks`
            read_bufsize=64 * 1024,  # a block that stays in the processor's cache is read a fifth quicker
        )
        here.shared[route] = found = Pool(session, route.proxy)
        here.closers.append(session.close)
    return found


@lru_cache(maxsize=1)
def _connector() -> Any:
    """aiohttp's connector with three differences.

    It asks nothing over a connection on which something came while it was idle. aiohttp (3.14) takes that for the
    answer to what is asked next: a second answer, a proxy's 408 before it closes.

    And it reads a head before what came with it: aiohttp's parser gives nothing of a block in which something is wrong,
    so that bytes behind a whole answer, of which its head does not tell, lost the answer, which was paid for.

    And chunks that came together are parsed as one, see `chunks`.
    """
    import aiohttp
    from aiohttp.client_proto import ResponseHandler

    class HeadFirst(ResponseHandler):
        _awaits_head = False
        _chunks: OneChunk | None = None

        def set_response_params(self, **params: Any) -> None:
            self._awaits_head, self._chunks = True, None
            super().set_response_params(**params)

        def feed_data(self, data: tuple[RawResponseMessage, aiohttp.StreamReader], size: int = 0) -> None:
            self._chunks = OneChunk() if data[0].chunked else None
            super().feed_data(data, size)

        def data_received(self, data: bytes) -> None:
            while self._awaits_head and (end := data.find(b"\r\n\r\n") + 4) > 3:
                self._awaits_head = data[9:10] == b"1"  # early hints go before the head
                super().data_received(data[:end])
                data = data[end:]
                if not data:
                    return
            wrong: object = None
            if data and self._chunks is not None:
                data, wrong = self._chunks.joined(data), self._chunks.wrong
            super().data_received(data)  # also nothing: so aiohttp goes on with what it had not parsed yet
            if wrong:
                self.force_close()
            # What is wrong is told to whoever waits for a head; who reads the body would wait until the time is up.
            body, wrong = self._payload, wrong or self.exception()
            if wrong and body is not None and not body.is_eof():
                body.set_exception(aiohttp.ClientPayloadError(f"the body is broken: {wrong}"))

    class Connector(aiohttp.TCPConnector):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self._factory = partial(HeadFirst, loop=self._loop)  # type: ignore[assignment]
            self._used: WeakSet[Any] = WeakSet()

        async def connect(self, *arguments: Any, **options: Any) -> aiohttp.connector.Connection:
            while True:
                connection = await super().connect(*arguments, **options)
                protocol = connection.protocol
                if protocol not in self._used:  # a new one, whose server may say what it likes
                    self._used.add(protocol)
                    return connection
                if protocol is None or not protocol.should_close:
                    return connection
                connection.close()

    return Connector


@lru_cache(maxsize=64)
def _limits(connect_s: float | None) -> aiohttp.ClientTimeout:
    """All other limits are those of `deadline`."""
    import aiohttp

    return aiohttp.ClientTimeout(total=None, sock_connect=connect_s)


@lru_cache(maxsize=256)  # a client asks few addresses, and reading one takes as long as parsing an answer
def address(text: str, query: tuple[tuple[str, Any], ...] = ()) -> yarl.URL:
    """An address to ask. Raises ProtocolError for one that is none."""
    from urllib.parse import urlencode

    import yarl

    try:
        return yarl.URL(f"{text}?{urlencode(query)}" if query else text)
    except ValueError:
        raise ProtocolError(f"{text} cannot be used as an address.", hint="Check base_url.") from None
