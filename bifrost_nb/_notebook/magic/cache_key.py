"""``--cache on|off``: what the gateway is told about its cache.

The gateway caches only what carries a cache key, and hands an answer to whoever sends the same key. A key that all
notebooks knew would show one user another one's answers; so each user has a random one, kept in the user's data
folder: all notebooks of one user share their answers, also tomorrow, and with nobody else.
"""

from __future__ import annotations

import functools
import os
import re
import secrets
from pathlib import Path

from ..._paths import data_path

__all__ = ["cache_headers", "own_cache_key"]

_FORM = re.compile(r"[0-9a-f]{32}")


def cache_headers(cache: str | None) -> dict[str, str] | None:
    """The headers for ``on`` and ``off``; ``off`` also keeps the answer out of the cache. None leaves it as it is."""
    if cache is None:
        return None
    return {"x-bf-cache-key": own_cache_key()} if cache == "on" else {"x-bf-cache-no-store": "true"}


def own_cache_key() -> str:
    """This user's key, under which ``--cache on`` keeps answers."""
    return f"bifrost-nb-{_key()}"


def _key() -> str:
    path = data_path("cache-key")
    if (kept := _kept(path)) is not None:
        return kept
    scratch = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(_new())
        scratch.replace(path)  # another kernel never reads half a key
    except OSError:
        return _new()  # nowhere to keep it: this session's own
    return _kept(path) or _new()


def _kept(path: Path) -> str | None:
    try:
        found = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return found if _FORM.fullmatch(found) else None


@functools.cache
def _new() -> str:
    return secrets.token_hex(16)
