"""What recorded runs learn later: the gateway's version, and costs from its log, looked up for many runs at once.

An SDK's call costs a few milliseconds of CPU, and asking the gateway for the log row of each would add half of that.
One page of the log serves all runs of the last moments; whatever it does not settle is looked for one by one, as for
our own calls (`bifrost_nb._client.costs`), and so are few runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

from .._client.portal import portal
from .._runs.cost import add_log_cost
from .._runs.pending import cost_follows, cost_settled
from .._runs.run import Run
from ..errors import BifrostError, LogError

if TYPE_CHECKING:
    from .._client.client import Client

__all__ = ["SETTLE_S", "Settling"]

SETTLE_S = 0.3
"""Runs are looked at so long after the first of them; rows of the log are there after 0.03 to 2 s."""
FEW = 4
"""So many runs are quicker looked for one by one."""
PAGE = 1000
"""Rows of a page; the gateway allows no more."""
AT_ONCE = 16
FACTS = ("input_cost_usd", "output_cost_usd", "cost_usd", "cost_source", "gateway_version")


class Settling:
    """The runs of one recorder that wait for what comes later. Any thread may add to it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._waiting: list[Run] = []
        self._process: int | None = None
        """Where somebody will look at them; a fork has a loop of its own."""
        self.version: str | None = None
        self._asked_version = False

    def add(self, run: Run) -> None:
        """Look later for what `run`, which is in the log, does not know yet."""
        if self._asked_version and (run.cost_usd is not None or run.http_status is None):
            return
        if run.cost_usd is None and run.http_status is not None:
            cost_follows(run, portal().thread)
        with self._lock:
            self._waiting.append(run)
            waking, self._process = self._process != os.getpid(), os.getpid()
        if waking:
            portal().start(self._settle())

    async def _settle(self) -> None:
        await asyncio.sleep(SETTLE_S)
        with self._lock:
            runs, self._waiting, self._process = self._waiting, [], None
        try:
            if not self._asked_version:
                self.version, self._asked_version = await self._client.sender().version(), True
            missing = [run for run in runs if run.cost_usd is None and run.http_status is not None]
            rows = await self._page(missing) if len(missing) > FEW else {}
            for number, run in enumerate(runs):
                self._learn(run, rows.get(run.request_id or ""))
                if number % AT_ONCE == AT_ONCE - 1:
                    await asyncio.sleep(0)  # our own calls are timed on this loop
        except BaseException:
            for run in runs:  # so that nobody waits for what will not come
                cost_settled(run)
            raise

    def _learn(self, run: Run, row: dict[str, Any] | None) -> None:
        """What is known now, into the run and its line of the log; a cost that is not is looked for on its own."""
        old = {name: getattr(run, name) for name in FACTS}
        run.gateway_version = run.gateway_version or self.version
        found = row is not None and run.cost_usd is None and _is_of(row, run) and add_log_cost(run, row)
        log = self._client.log
        with contextlib.suppress(LogError):  # as where a single cost is looked for
            log.update_soon(run.run_id, **{name: fact for name in FACTS if (fact := getattr(run, name)) != old[name]})
        if found or run.cost_usd is not None or run.http_status is None or run.cache_hit:
            cost_settled(run)
        else:
            self._client.sender().costs.follow(run, log)

    async def _page(self, runs: list[Run]) -> dict[str, Any]:
        """The newest rows of the gateway's log since the first of `runs` began, by id; empty where it has none."""
        first = min(run.started_at for run in runs) - timedelta(seconds=1)  # the gateway's clock may be another one
        query = {
            "start_time": first.astimezone(UTC).isoformat(),
            "limit": PAGE,
            "sort_by": "timestamp",
            "order": "desc",
        }
        try:
            status, answer = await self._client.get_json("/api/logs", query)
        except BifrostError:
            return {}
        found = answer.get("logs") if status == 200 and isinstance(answer, dict) else None
        return {str(row.get("id")): row for row in found or () if isinstance(row, dict)}


def _is_of(row: dict[str, Any], run: Run) -> bool:
    """Whether a row says what the run cost: the row of a primary that failed has a fallback's beside it."""
    return not run.is_fallback and (run.status != "ok" or row.get("status") == "success")
