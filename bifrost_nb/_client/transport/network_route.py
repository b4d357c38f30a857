"""How a gateway is reached: through which proxy of the environment, and whose certificates are believed.

Both are looked up when something is about to be sent, so that a cell may set them at any time, and anew where they or
a certificate file have changed since. One place decides for calls, the management API and the clients of SDKs alike.

An address on this machine is always asked directly: to a proxy, ``localhost`` is another machine, which must get
neither prompts nor keys. And where nothing is encrypted no certificate file is read, so a stale one stops nothing.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from ..._safe_text import plain
from ...errors import ConfigurationError

__all__ = ["NetworkRoute", "ca_variable", "proxy_for", "proxy_of", "route_to"]

_PROXY_NAMES = tuple(
    name for scheme in ("http", "https", "all", "no") for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper())
)
_HERE = ("localhost", "localhost.localdomain", "localhost6", "localhost6.localdomain6", "ip6-localhost", "ip6-loopback")
"""The names that systems give the loopback addresses (/etc/hosts of Debian and Red Hat)."""
_CA_NAMES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_NAMES = (*_PROXY_NAMES, *_CA_NAMES)


@dataclass(frozen=True, slots=True)
class NetworkRoute:
    """The way to a gateway. `tls` is None where nothing on it is encrypted."""

    proxy: str | None
    tls: ssl.SSLContext | None


def route_to(base_url: str, ca_file: str | None = None) -> NetworkRoute:
    """The way to `base_url` as the environment is now; equal surroundings give the same object.

    `ca_file` is a PEM file, or a folder of them as OpenSSL names them; without it ``SSL_CERT_FILE`` and
    ``SSL_CERT_DIR`` count, else the certificates that certifi has. Raises ConfigurationError for a proxy or
    certificates that cannot be used.
    """
    if _plainly_here(base_url):
        return _route(None, None, None)
    proxy = _proxy(base_url, tuple(map(os.environ.get, _NAMES)))
    if base_url.startswith("http://") and not (proxy or "").lower().startswith("https://"):
        return _route(proxy, None, None)
    path, told_by = (ca_file, "ca_file") if ca_file else ca_variable()
    if path is None:
        return _route(proxy, "", None)
    try:
        found = Path(path).stat()
    except OSError as error:
        raise _unreadable(path, told_by, error.strerror or type(error).__name__) from None
    try:
        return _route(proxy, path, (found.st_mtime_ns, found.st_size, found.st_ino))
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = "it holds no certificate in PEM form" if isinstance(error, ssl.SSLError) else plain(error, 200)
        raise _unreadable(path, told_by, reason) from None


def ca_variable() -> tuple[str | None, str]:
    """The certificates that the environment names, and the variable that does."""
    return next(((path, name) for name in _CA_NAMES if (path := os.environ.get(name))), (None, ""))


def proxy_for(base_url: str) -> str | None:
    """The proxy that the environment sets for this address (``HTTPS_PROXY``, ``NO_PROXY``, ...).

    Raises ConfigurationError for one that cannot be used.
    """
    return _proxy(base_url, tuple(map(os.environ.get, _NAMES)))


def proxy_of(base_url: str) -> str | None:
    """`proxy_for` as it may be shown: host and port alone. Never raises."""
    try:
        parts = urlsplit(proxy_for(base_url) or "")
        return plain(f"{parts.hostname}:{parts.port or 80}", 200) if parts.hostname else None
    except (ConfigurationError, ValueError):
        return None


@lru_cache(maxsize=64)  # reading twenty variables takes as long as encoding an answer
def _plainly_here(base_url: str) -> bool:
    """Whether `base_url` is on this machine and not encrypted, so that nothing of the environment counts."""
    return base_url.startswith("http://") and _is_here((urlsplit(base_url).hostname or "").rstrip("."))


@lru_cache(maxsize=64)  # working out which proxy is meant takes as long as sending a request
def _proxy(base_url: str, surroundings: tuple[str | None, ...]) -> str | None:
    parts = urlsplit(base_url)
    host = (parts.hostname or "").rstrip(".")
    if not host or _is_here(host) or _excepted(host, parts.port):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy:
        return None
    scheme, separator, _ = proxy.partition("://")
    if separator and scheme.lower() not in ("http", "https"):
        raise ConfigurationError(
            f"The environment sets a {plain(scheme, 20)} proxy for {base_url}; only HTTP proxies can be used.",
            hint="Set NO_PROXY for the gateway's host, or name an HTTP proxy.",
        )
    found = proxy if separator else f"http://{proxy}"
    try:
        where = urlsplit(found)
        usable = bool(where.hostname) and where.port != 0
    except ValueError:
        usable = False
    if not usable:  # not shown: it may hold a password
        raise ConfigurationError(
            f"The environment sets a proxy for {base_url} that is no address.",
            hint="HTTP_PROXY, HTTPS_PROXY and ALL_PROXY are written like http://proxy.example:3128.",
        )
    return found


@lru_cache(maxsize=16)
def _route(proxy: str | None, ca: str | None, version: object) -> NetworkRoute:
    if ca is None:
        return NetworkRoute(proxy, None)
    if not ca:
        from .httpx_work import certifi_context  # late: no other address needs it

        return NetworkRoute(proxy, certifi_context())
    if Path(ca).is_dir():
        return NetworkRoute(proxy, ssl.create_default_context(capath=ca))
    return NetworkRoute(proxy, ssl.create_default_context(cafile=ca))


def _unreadable(path: str, told_by: str, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"The certificates of {plain(path, 300)!r} (from {told_by}) cannot be used: {reason}.",
        hint="Name a PEM file that is there by ca_file= or BIFROST_CA_FILE, or unset the variable.",
    )


def _is_here(host: str) -> bool:
    """Whether `host` is this machine, in any spelling of its loopback address."""
    if host.lower() in _HERE or host.lower().endswith(".localhost"):
        return True
    address = _address(host)
    return address is not None and (address.is_loopback or address.is_unspecified)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        try:  # 127.1 and 0x7f000001, as the operating system reads them
            return ipaddress.ip_address(socket.inet_aton(host)) if host[:1].isdigit() else None
        except OSError:
            return None
    return getattr(address, "ipv4_mapped", None) or address


def _excepted(host: str, port: int | None) -> bool:
    """Whether ``NO_PROXY`` (or the system's settings) names this host.

    Beside names and their ends, which the standard library reads: ``*`` among others, ``*.example.com``, a port, an
    address with a scheme, IPv6 with and without brackets, networks like ``10.0.0.0/8``.
    """
    if proxy_bypass(host) or (port and ":" not in host and proxy_bypass(f"{host}:{port}")):
        return True
    address = _address(host)
    for entry in (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").split(","):
        name = entry.strip().lower().rpartition("://")[2].rstrip("/")
        try:
            network = ipaddress.ip_network(name.strip("[]"), strict=False)
            if address is not None and address in network:
                return True
        except ValueError:
            if name.startswith("["):
                name, _, only = name[1:].partition("]")
                only = only.removeprefix(":")
            else:
                name, _, only = name.partition(":")
            if name == "*":
                return True
            name = name.removeprefix("*").strip(".")
            same = host.lower() == name or host.lower().endswith(f".{name}")
            if name and same and (not only or only == str(port)):
                return True
    return False
