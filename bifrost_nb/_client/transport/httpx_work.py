"""All that is still httpx's work here: a form's bytes, unpacking an answer block by block, certifi's certificates.

On 2026-11-28 its newest release was 0.28.1, of 2024-12. ``httpx2`` 2.16.2 has the same API and is what the newest
openai and anthropic SDKs use, whose clients ``_sdks/httpx_clients.py`` records with either. Measured that day with it
in place of httpx below (``import httpx2 as httpx``, nothing else): forms, compressed answers and certificates pass
their tests; 217 ms to import (httpx 217), 1.6 ms to unpack 2 MB of gzip (1.4), 76 µs for a form of 100 kB (54). It does
not take httpx's place yet: older SDKs still need httpx, and a second HTTP library would be one more for everybody.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx

__all__ = ["certifi_context", "form_parts", "unpacked"]


def form_parts(data: Mapping[str, Any], files: Mapping[str, Any] | None) -> tuple[dict[str, str], AsyncIterator[bytes]]:
    """The headers (type, and length where it is known) and the bytes of a form; `files` as httpx takes them."""
    request = httpx.Request("POST", "http://localhost", data=dict(data), files=files)
    told = {name: request.headers[name] for name in ("content-type", "content-length") if name in request.headers}
    return told, _parts(request.stream)


async def _parts(stream: Any) -> AsyncIterator[bytes]:
    async for part in stream:
        yield part


async def unpacked(raw: AsyncIterator[bytes], encoding: str) -> AsyncIterator[bytes]:
    """`raw` unpacked block by block; aiohttp gives as much at once as comes out of what it has."""
    async for block in httpx.Response(200, headers={"content-encoding": encoding}, content=raw).aiter_bytes():
        yield block


def certifi_context() -> ssl.SSLContext:
    """The certificates that certifi has, whatever the environment names."""
    return httpx.create_ssl_context(trust_env=False)
