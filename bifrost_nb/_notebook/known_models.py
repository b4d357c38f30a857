"""The gateway's deployments: asked for in the background, remembered in a file, so that completion never waits."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from .._keys import without_keys
from .._paths import cache_path
from .._safe_text import plain
from ..errors import BifrostError

if TYPE_CHECKING:
    from .._client.client import Client
    from .._client.portal import Job

# What asks a gateway is imported where it is used: it takes longer than a completion may.
__all__ = ["KnownModels", "known_models", "refresh", "remembered"]

FRESH_S = 600.0
"""A list this old is asked for again."""
PAUSE_S = 30.0
"""A gateway that did not answer is asked again at most so often."""

_asked: dict[str, float] = {}
_failed: dict[str, str] = {}
"""Why a gateway, by its address, told none when it was asked last."""
_job: Job[Any] | None = None


class KnownModels(NamedTuple):
    """Deployments as ``provider/model``, and how old the list is in seconds; None: never got one.

    `problem` is why none came when the gateway was asked last.
    """

    deployments: list[str]
    age_s: float | None
    problem: str | None = None


def known_models(client: Client) -> KnownModels:
    """The remembered list of the client's gateway; asks for a new one in the background where it is old or missing."""
    found = remembered(client.settings.base_url)
    if found.age_s is None or found.age_s > FRESH_S:
        refresh(client)
    return found


def remembered(address: str, client: Callable[[], Client] | None = None) -> KnownModels:
    """The remembered list of the gateway at `address`. Answers at once, without a client.

    With `client`, which makes one, a list that is old or missing is asked for again by a thread of its own.
    """
    if address == "demo":
        from .._simulator.deployments import DEFAULT_DEPLOYMENTS

        return KnownModels([each.id for each in DEFAULT_DEPLOYMENTS], 0.0)
    entry = _remembered().get(address)
    found, age = [], None
    if isinstance(entry, dict) and isinstance(entry.get("at"), int | float):
        found = [name for name in entry.get("deployments", ()) if isinstance(name, str)]
        age = max(0.0, time.time() - entry["at"])
    if client is not None and (age is None or age > FRESH_S) and _is_due(address):

        def ask() -> None:
            with contextlib.suppress(BifrostError):  # a wrong setting is told when a cell runs
                refresh(client())

        threading.Thread(target=ask, name="bifrost-nb models", daemon=True).start()
    return KnownModels(found, age, _failed.get(address))


def _is_due(address: str) -> bool:
    """Whether nobody is asked just now, and this gateway was not a moment ago."""
    asked = _asked.get(address)
    return (_job is None or _job.done()) and (asked is None or time.monotonic() - asked >= PAUSE_S)


def refresh(client: Client) -> Job[Any] | None:
    """Ask the gateway in the background; the job, or None where it was asked a moment ago."""
    global _job
    from .._client.portal import portal

    address = client.settings.base_url
    if not _is_due(address):
        return None
    _asked[address] = time.monotonic()
    _job = portal().start(_refreshed(client))
    return _job


async def _refreshed(client: Client) -> None:
    from .._admin.access import Access
    from .._admin.row_fetch import model_rows as all_models

    address = client.settings.base_url
    try:
        offered = await all_models(Access(client, client.settings))
    except BifrostError as error:  # completion then has the old list, or none
        _failed[address] = plain(without_keys(error, *client.credentials.secrets), 300)
        return
    _failed.pop(address, None)
    names = sorted({plain(model["id"], 200) for model in offered})
    lists = _remembered()
    lists[address] = {"at": time.time(), "deployments": names}
    path = cache_path("models.json")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(f".{time.monotonic_ns()}")
        scratch.write_bytes(orjson.dumps(lists))
        scratch.replace(path)  # another kernel never reads half a file
    except OSError:
        return


def _remembered() -> dict[str, Any]:
    try:
        lists = orjson.loads(cache_path("models.json").read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return dict(lists) if isinstance(lists, Mapping) else {}
