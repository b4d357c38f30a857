"""The user's own entries in the gateway's cache: ``DELETE /api/cache/clear-by-key/{key}`` of gateways from 1.5.16 on.

Measured on 1.5.16 and 2.0.0-prerelease3 without the plugin (400) and on 1.4.0, 1.4.18 and 1.5.1 (405, or the plugin is
off); that a loaded one answers 200 was read in the source: it needs a vector store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from .._client.portal import portal
from .access import Access

if TYPE_CHECKING:
    from .._client.client import Client

__all__ = ["clear_cache"]

_MISSING = (
    "This gateway has no cache that can be cleared: the plugin semantic_cache is off, or it is older than 1.5.16."
)


def clear_cache(client: Client, key: str) -> None:
    """Forget all answers that the gateway cached under `key`.

    Raises GatewayError where it has no such cache, AuthenticationFailed, ConnectionFailed.
    """
    access = Access(client, client.settings)
    portal().call(access.delete(f"/api/cache/clear-by-key/{quote(key, safe='')}", missing=_MISSING))
