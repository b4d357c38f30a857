"""The gateway's deployments: asked for in the background, remembered in a file, so that completion never waits."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from ..errors import BifrostError, GatewayError
from ..portal import Job, portal
from ..transport import get_json
from ..untrusted import plain

if TYPE_CHECKING:
    from ..client import Client

__all__ = ["KnownModels", "fetch", "known_models", "refresh"]

FRESH_S = 600.0
"""A list this old is asked for again."""
PAUSE_S = 30.0
"""A gateway that did not answer is asked again at most so often."""
MOST_PAGES = 50

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


async def fetch(client: Client, seconds: float = 10.0) -> list[dict[str, Any]]:
    """``GET /v1/models``, all pages: one dict per deployment. Raises BifrostError."""
    found: list[dict[str, Any]] = []
    token: str | None = None
    for _ in range(MOST_PAGES):
        query = {"page_token": token} if token else {}
        status, body = await get_json(client.base_url, "/v1/models", client._auth(), query, seconds)
        if status != 200 or not isinstance(body, dict):
            raise GatewayError(f"The gateway answered {status} to GET /v1/models.", hint="%bifrost doctor tells more.")
        data = body.get("data")
        found += [item for item in data or () if isinstance(item, dict) and isinstance(item.get("id"), str)]
        token = body.get("next_page_token") or None
        if not isinstance(token, str):
            break
    return found


async def _refreshed(client: Client) -> None:
    try:
        names = sorted({plain(item["id"], 200) for item in await fetch(client)})
    except BifrostError:
        return  # completion then has the old list, or none
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
