"""The gateway's deployments: asked for in the background, remembered in a file, so that completion never waits."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from ..errors import BifrostError
from ..gateway.access import Access
from ..gateway.admin import _models as all_models
from ..portal import Job, portal
from ..untrusted import plain

if TYPE_CHECKING:
    from ..client import Client

__all__ = ["KnownModels", "all_models", "known_models", "refresh"]

FRESH_S = 600.0
"""A list this old is asked for again."""
PAUSE_S = 30.0
"""A gateway that did not answer is asked again at most so often."""

_asked: dict[str, float] = {}
_job: Job[Any] | None = None


class KnownModels(NamedTuple):
    """Deployments as ``provider/model``, and how old the list is in seconds; None: never got one."""

    deployments: list[str]
    age_s: float | None


def known_models(client: Client) -> KnownModels:
    """The remembered list of the client's gateway; asks for a new one in the background where it is old or missing."""
    address = client.settings.base_url
    if address == "demo":
        from ..gateway.deployments import DEFAULT_DEPLOYMENTS

        return KnownModels([each.id for each in DEFAULT_DEPLOYMENTS], 0.0)
    entry = _remembered().get(address)
    found, age = [], None
    if isinstance(entry, dict) and isinstance(entry.get("at"), int | float):
        found = [name for name in entry.get("deployments", ()) if isinstance(name, str)]
        age = max(0.0, time.time() - entry["at"])
    if age is None or age > FRESH_S:
        refresh(client)
    return KnownModels(found, age)


def refresh(client: Client) -> Job[Any] | None:
    """Ask the gateway in the background; the job, or None where it was asked a moment ago."""
    global _job
    address, now = client.settings.base_url, time.monotonic()
    if (_job is not None and not _job.done()) or now - _asked.get(address, -PAUSE_S) < PAUSE_S:
        return None
    _asked[address] = now
    _job = portal().start(_refreshed(client))
    return _job


async def _refreshed(client: Client) -> None:
    try:
        offered = await all_models(Access(client, client.settings))
    except BifrostError:
        return  # completion then has the old list, or none
    names = sorted({plain(model["id"], 200) for model in offered})
    lists = _remembered()
    lists[client.settings.base_url] = {"at": time.time(), "deployments": names}
    path = _path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(f".{time.monotonic_ns()}")
        scratch.write_bytes(orjson.dumps(lists))
        scratch.replace(path)  # another kernel never reads half a file
    except OSError:
        return


def _remembered() -> dict[str, Any]:
    try:
        lists = orjson.loads(_path().read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return dict(lists) if isinstance(lists, Mapping) else {}


def _path() -> Path:
    import platformdirs

    return platformdirs.user_cache_path("bifrost-nb", appauthor=False) / "models.json"
