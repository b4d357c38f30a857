"""What the gateway is set to do with what is sent: is content logged, is the cache on, which plugins run.

``/api/config`` and ``/api/plugins`` answered on all six processes that were asked (1.3.63 to 2.0.0-prerelease3),
``/api/plugins/loaded`` from 1.5.16 on (older ones take "loaded" for a plugin's name: 404). None of them ran the cache
or a plugin of its own: how those are told was read in the source, not measured.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from ..errors import BifrostError
from .access import Access
from .fields import objects, read, read_flag, read_text

__all__ = ["Told", "configuration"]

CACHES = {"semantic_cache", "semanticcache"}
"""The plugin that answers from a cache."""
FIRST_WITH_SETUP_TOKEN = (2,)
"""Measured on 2.0.0-prerelease3: its configuration has no ``auth_config`` until there is an administrator, and it takes
the first one only with the setup token that it was started with, and none at all without one; 1.5.16 has an empty one,
and asks for no token. We name the token and make nobody: ``PUT /api/config``, the only way, wants the whole client
configuration with it, and not even as the gateway tells it (400 until ``log_retention_days``, told as 0, is 1)."""
_NOBODY = (
    "none yet: whoever reaches this gateway may change it; the first one is made on its own page with the setup token "
    "that it was started with (BIFROST_SETUP_TOKEN, or setup_token in its config.json; without it, none can be made)"
)
Told = tuple[str, str, str | None]
"""What was looked at, what was found, and what to do about it."""


async def configuration(access: Access, seconds: float, version: tuple[int, ...]) -> list[Told]:
    """One fact each on the administrator, the log's content, the cache and the plugins; none where the gateway of
    `version` does not tell."""
    config, plugins, loaded = await asyncio.gather(
        *(_told(access, path, seconds) for path in ("/api/config", "/api/plugins", "/api/plugins/loaded"))
    )
    found: list[Told] = []
    if config is not None and version >= FIRST_WITH_SETUP_TOKEN and "auth_config" not in config:
        found.append(("administrator", _NOBODY, None))
    if config is not None and (content := _content(config)):
        found.append(content)
    if plugins is None and loaded is None:
        return found
    states = {
        access.safe(read_text("name")(row), 60) or "?": _state(access, row)
        for row in objects((plugins or {}).get("plugins"))
    }
    names = (loaded or {}).get("plugins")
    for name in names if isinstance(names, list) else ():
        if (shown := access.safe(name, 60)) and states.get(shown) in (None, "off"):
            states[shown] = "active"
    if cache := _cache(states, config, complete=isinstance(names, list)):
        found.append(cache)
    failing = sorted(name for name, state in states.items() if state not in ("active", "off"))
    running = sorted(name for name, state in states.items() if state == "active")
    advice = None
    if failing:
        advice = f"Not running as configured: {', '.join(f'{name} ({states[name]})' for name in failing)}."
    if running or failing or isinstance(names, list):
        found.append(("plugins", ", ".join(running) or "none", advice))
    return found


def _content(config: Mapping[str, Any]) -> Told | None:
    logging = read_flag("client_config", "enable_logging")(config)
    hidden = read_flag("client_config", "disable_content_logging")(config)
    if logging is False:
        return "logged content", "nothing: the gateway's log is switched off", None
    if hidden is None:
        return None
    kept = "no prompts and answers, only their facts" if hidden else "prompts and answers, for all who may read its log"
    return "logged content", kept, None


def _cache(states: Mapping[str, str], config: Mapping[str, Any] | None, *, complete: bool) -> Told | None:
    """On, off, or nothing where neither is known: before 1.5.16 the list has only plugins of a config store."""
    if any(states.get(name) == "active" for name in CACHES):
        return "cache", "on for requests that name a cache key (--cache on)", None
    connected = read("is_cache_connected")(config or {})
    if complete or connected is False:
        return "cache", "off", None
    return None


def _state(access: Access, row: Mapping[str, Any]) -> str:
    if read_flag("enabled")(row) is False:
        return "off"
    return access.safe(read_text("status", "status")(row), 40) or "state unknown"


async def _told(access: Access, path: str, seconds: float) -> dict[str, Any] | None:
    try:
        return await access.get_object(path, seconds=seconds)
    except BifrostError:  # the check of the management API says why
        return None
