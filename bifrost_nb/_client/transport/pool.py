"""The connection pools of the private loop, one for each proxy that the environment sets."""

from __future__ import annotations

import os
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from ...errors import ConfigurationError
from ..portal import portal

__all__ = ["pool"]

KEEPALIVE_S = 30.0
_PROXY_NAMES = tuple(
    name for scheme in ("http", "https", "all", "no") for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper())
)


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
