"""Costs that arrive after the answer: from the gateway's log by request id, else from its price list.

The gateway writes its log row a moment after it has answered, so a run's cost is filled in in the background: into the
run, and as a later fact into its log line. Everything here runs on the private loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .._runs.cost import Price, add_log_cost, add_price_cost
from .._runs.pending import cost_follows, cost_settled
from .._runs.run import Run
from ..errors import BifrostError
from .transport import get_json

if TYPE_CHECKING:
    from .._runs.log.log import RunLog

__all__ = ["Costs"]

WAITS_S = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""Pauses between the looks at the gateway's log; rows were seen after 0.03 to 2 s."""
PARALLEL = 8
PRICES_LAST_S = 600.0
GIVE_UP_AFTER = 3
"""So many runs in a row without a row in the log: the gateway keeps none, so stop asking for a while."""
ASK_AGAIN_S = 300.0


class Costs:
    """Fills in costs for the runs of one client."""

    def __init__(self, base_url: str, headers: Mapping[str, str]) -> None:
        self.base_url = base_url
        self.headers = headers
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(PARALLEL)
        self._misses = 0
        self._silent_until = 0.0
        self._prices: dict[str, Price] = {}
        self._prices_until = 0.0
        self._prices_lock = asyncio.Lock()

    def follow(self, run: Run, log: RunLog) -> None:
        """Look for the cost of a finished run in the background, if it has none yet and may have one."""
        if run.cost_usd is not None or run.http_status is None or run.cache_hit or self._in_vain(run):
            return
        task = asyncio.get_running_loop().create_task(self._find(run, log))
        self._tasks[run.run_id] = task
        cost_follows(run)
        task.add_done_callback(lambda _: self._settled(run))

    def _in_vain(self, run: Run) -> bool:
        """Whether it is known that neither the gateway's log nor its price list would tell."""
        if time.monotonic() >= min(self._silent_until, self._prices_until):
            return False
        return run.status != "ok" or run.prompt_tokens is None or run.served not in self._prices

    def _settled(self, run: Run) -> None:
        self._tasks.pop(run.run_id, None)
        cost_settled(run)

    async def wait(self, runs: Iterable[Run], seconds: float) -> None:
        """Until the costs of `runs` are known or given up, at most `seconds`."""
        tasks = [task for run in runs if (task := self._tasks.get(run.run_id)) is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)

    async def _find(self, run: Run, log: RunLog) -> None:
        # A gateway that is gone leaves the cost unknown (RuntimeError: at the end of the interpreter no name resolves).
        with contextlib.suppress(BifrostError, RuntimeError):
            if await self._from_log(run) or await self._from_prices(run):
                names = ("input_cost_usd", "output_cost_usd", "cost_usd", "cost_source")
                facts = {name: getattr(run, name) for name in names}
                log.update_soon(run.run_id, **{name: fact for name, fact in facts.items() if fact is not None})

    async def _from_log(self, run: Run) -> bool:
        if time.monotonic() < self._silent_until:
            return False
        for wait in WAITS_S:
            await asyncio.sleep(wait)
            async with self._room:
                status, row = await self._row(run)
            if row is not None and row.get("status") != "processing":
                self._misses = 0
                return add_log_cost(run, row)
            if status in (401, 403, 405):
                self._silent_until = time.monotonic() + ASK_AGAIN_S
                return False
            if time.monotonic() < self._silent_until:  # another run found out meanwhile
                return False
        self._misses += 1
        if self._misses >= GIVE_UP_AFTER:
            self._misses, self._silent_until = 0, time.monotonic() + ASK_AGAIN_S
        return False

    async def _row(self, run: Run) -> tuple[int, dict[str, Any] | None]:
        """(HTTP status, the log row of what answered, or None).

        A fallback has a row of its own, whose `parent_request_id` is the id that was sent; the row under that id
        is the primary's failure.
        """
        if not run.is_fallback:
            status, row = await get_json(self.base_url, f"/api/logs/{run.request_id}", self.headers)
            if status != 200 or not isinstance(row, dict):
                return status, None
            if run.status != "ok" or row.get("status") == "success" or run.is_fallback is False:
                return status, row
        query = {"parent_request_id": run.request_id, "limit": 100}
        status, found = await get_json(self.base_url, "/api/logs", self.headers, query)
        rows = found.get("logs") if status == 200 and isinstance(found, dict) else None
        children = [row for row in rows or () if isinstance(row, dict) and row.get("status") == "success"]
        return status, next((row for row in children if row.get("parent_request_id") == run.request_id), None)

    async def _from_prices(self, run: Run) -> bool:
        if run.status != "ok" or run.prompt_tokens is None:
            return False
        price = (await self.prices()).get(run.served or "")
        return price is not None and add_price_cost(run, price)

    async def prices(self) -> dict[str, Price]:
        """Price per token by ``provider/model``, from ``/v1/models``; kept for ten minutes."""
        async with self._prices_lock:
            if time.monotonic() >= self._prices_until:
                self._prices = await self._price_list()
                self._prices_until = time.monotonic() + PRICES_LAST_S
        return self._prices

    async def _price_list(self) -> dict[str, Price]:
        found: dict[str, Price] = {}
        token: str | None = None
        for _ in range(100):  # pages
            params = {"page_size": 1000, **({"page_token": token} if token else {})}
            status, answer = await get_json(self.base_url, "/v1/models", self.headers, params)
            if status != 200 or not isinstance(answer, dict):
                break
            found |= self.prices_in([answer])
            following = answer.get("next_page_token")
            if not isinstance(following, str) or not following or following == token:
                break
            token = following
        return found

    @staticmethod
    def prices_in(pages: Iterable[object]) -> dict[str, Price]:
        """The prices on pages of ``/v1/models``; what is no price is left out."""
        lists = (page.get("data") for page in pages if isinstance(page, dict))
        models = (model for listed in lists if isinstance(listed, list) for model in listed if isinstance(model, dict))
        return {
            str(model.get("id")): Price(
                _number(pricing.get("prompt")),
                _number(pricing.get("completion")),
                _number(pricing.get("request")),
                _number(pricing.get("input_cache_read")),
            )
            for model in models
            if isinstance(pricing := model.get("pricing"), dict)
        }


def _number(value: Any) -> float | None:
    """The price list writes numbers as text."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if 0 <= number < float("inf") else None
