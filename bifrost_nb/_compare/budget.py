"""Stop before more is spent than allowed: what is known to have been spent, plus an estimate for what is not known yet.

A run's cost is often known only seconds after its answer, from the gateway's log. Until then it counts as the dearest
run of its deployment so far, or by the price list where that is more. Until a first cost of a deployment is known, one
wave of calls at most is sent.

Answers and those who judge them spend from one budget: what a judge may spend depends on costs that are still to come.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from .._display.describe import usd
from .._runs.pending import is_pending

if TYPE_CHECKING:
    from .._client.client import Client
    from .._runs.run import Run
    from .comparison import Comparison

__all__ = ["Budget", "budget_of", "overspent"]

COST_WAIT_S = 15.0
"""A cost that has not come by then will not: the estimate stands. The log is looked through for 12 s."""


class Budget:
    """Spending up to `limit_usd`. `estimate` is what a run costs by the price list; None: it does not tell.

    The limit can be passed by what is in flight when it is reached, at most `wave` calls. Of any thread.
    """

    def __init__(self, limit_usd: float, wave: int, estimate: Callable[[Run], float | None] = lambda _: None) -> None:
        self.limit_usd, self.wave, self.estimate = limit_usd, wave, estimate
        self.spent_usd = 0.0
        """Known costs, and the estimates of those that did not come."""
        self.awaited_usd = 0.0
        """An upper estimate of what is not known yet."""
        self._dearest: dict[str | None, float] = {}
        self._lock = threading.RLock()
        self._pending: list[tuple[float, Run]] = []
        self._unknown = 0
        self._blind = False

    def add(self, run: Run) -> None:
        """A run has ended. Only what can have cost something counts: it may have reached a provider, and no cache."""
        with self._lock:
            if run.cache_hit:  # says nothing of what the deployment costs
                self.spent_usd += run.cost_usd or 0.0
            elif run.cost_usd is not None:
                self._learn(run, run.cost_usd)
            elif run.status in ("ok", "truncated", "timeout"):
                self._pending.append((time.monotonic(), run))

    def room(self, in_flight: int) -> bool:
        """Whether one more call may start."""
        with self._lock:
            self._look()
            if self.exhausted() is not None or self.spent_usd + self.awaited_usd >= self.limit_usd:
                return False
            return in_flight + self._unknown < self.wave

    def waits(self, in_flight: int) -> bool:
        """Whether the costs that are to come say if one more call may start."""
        with self._lock:
            return not self.room(in_flight) and self.exhausted() is None

    def exhausted(self) -> str | None:
        """Why nothing more may be spent, in words; None while there is room, or may be when costs arrive."""
        if self._blind:
            return (
                f"Stopped: no run's cost is known, so max_cost_usd={self.limit_usd:g} cannot be kept."
                " Give the gateway prices, or leave max_cost_usd out."
            )
        if self.spent_usd >= self.limit_usd:
            return f"Stopped: {usd(self.spent_usd)} spent, max_cost_usd={self.limit_usd:g} is reached."
        return None

    def _learn(self, run: Run, cost_usd: float) -> None:
        self.spent_usd += cost_usd
        self._dearest[run.requested] = max(cost_usd, self._dearest.get(run.requested, 0.0))

    def _upper(self, run: Run) -> float | None:
        dearest = self._dearest.get(run.requested)
        if dearest is None:  # a price list alone may be wrong: one cost that was charged is waited for
            return None
        return max(dearest, self.estimate(run) or 0.0)

    def _assume(self, run: Run) -> None:
        """No cost of this deployment has come, so it is taken to be as dear as the dearest."""
        if self._dearest:
            self._dearest.setdefault(run.requested, max(self._dearest.values()))

    def _look(self) -> None:
        """Take in the costs that have arrived, and estimate the others."""
        now = time.monotonic()
        still: list[tuple[float, Run]] = []
        gone: list[tuple[float, Run]] = []
        for ended, run in self._pending:
            if run.cost_usd is not None:
                self._learn(run, run.cost_usd)
            elif is_pending(run) and now - ended < COST_WAIT_S:
                still.append((ended, run))
            else:
                gone.append((ended, run))
        coming = bool(still)
        for ended, run in gone:
            self._assume(run)
            if (upper := self._upper(run)) is not None:
                self.spent_usd += upper
            elif coming:  # another's cost may still tell how dear it was
                still.append((ended, run))
            else:
                self._blind = True
        self._pending = still
        uppers = [self._upper(run) for _, run in still]
        self._unknown = uppers.count(None)
        self.awaited_usd = sum(upper for upper in uppers if upper is not None)


def budget_of(client: Callable[[], Client], max_cost_usd: float | None) -> Budget | None:
    """`max_cost_usd` for the calls of a client; None without one. How many may be open is up to what sends them.

    The client is asked for when there is a cost to be estimated: what only computes needs none.
    """
    if max_cost_usd is None:
        return None
    return Budget(max_cost_usd, 1, lambda run: client().sender().costs.estimate_usd(run))


def overspent(comparison: Comparison) -> str | None:
    """Where all calls were under way before a cost was known, nothing was left to stop, and more was spent."""
    progress = comparison.progress
    if progress.limit_usd is None or comparison.missing:
        return None
    frame = comparison.frame_now()
    spent = float(frame.loc[frame["started_at"] >= progress.began_at, "cost_usd"].sum())  # the log's were paid before
    if spent <= progress.limit_usd:
        return None
    return (
        f"The answers cost {usd(spent)}, more than max_cost_usd={progress.limit_usd:g}: all calls were under way before"
        " it was known what one costs. A lower concurrency leaves more to stop."
    )
