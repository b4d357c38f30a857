"""The connection pools of the private loop, one for each way to a gateway (proxy, certificates)."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from ..portal import portal
from .route import route_to

if TYPE_CHECKING:
    import httpx

__all__ = ["pool"]

KEEPALIVE_S = 30.0


async def pool(base_url: str, ca_file: str | None = None) -> httpx.AsyncBaseTransport:
    """The connection pool of the private loop for this way to `base_url`; made late, as loading aiohttp takes 0.1 s.

    Raises ConfigurationError for a proxy or certificates that cannot be used.
    """
    import httpx

    here, route = portal(), route_to(base_url, ca_file)
    transport: httpx.AsyncBaseTransport | None = here.shared.get(route)
    if transport is None:
        import aiohttp
        from httpx_aiohttp import AiohttpTransport

        def session() -> aiohttp.ClientSession:
            return aiohttp.ClientSession(
                connector=_connector()(limit=0, keepalive_timeout=KEEPALIVE_S, ssl=route.tls or True),
                cookie_jar=aiohttp.DummyCookieJar(),  # a cookie of one gateway must not reach another
                read_bufsize=64 * 1024,  # a block that stays in the processor's cache is read a fifth quicker
            )

        transport = AiohttpTransport(client=session, proxy=httpx.Proxy(route.proxy) if route.proxy else None)
        here.shared[route] = transport
        here.closers.append(transport.aclose)
    return transport


@cache
def _connector() -> Any:
    """aiohttp's connector, which asks nothing over a connection on which something came while it was idle.

    aiohttp (3.14) takes that for the answer to what is asked next: a second answer, a proxy's 408 before it closes.
    """
    import aiohttp

    class Connector(aiohttp.TCPConnector):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
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
