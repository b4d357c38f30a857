"""Stop before more is spent than allowed: what is known to have been spent, plus an estimate for what is not known yet.

A run's cost is often known only seconds after its answer, from the gateway's log. Until then it counts as the dearest
run so far, or by the price list where that is more. Until a first cost is known, one wave of calls at most is sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from .._display.describe import usd
from .._runs.pending import is_pending

if TYPE_CHECKING:
    from .._runs.run import Run

__all__ = ["Budget"]

COST_WAIT_S = 15.0
"""A cost that has not come by then will not: the estimate stands. The log is looked through for 12 s."""


class Budget:
    """Spending up to `limit_usd`. `estimate` is what a run costs by the price list; None: it does not tell.

    The limit can be passed by what is in flight when it is reached, at most `wave` calls.
    """

    def __init__(self, limit_usd: float, wave: int, estimate: Callable[[Run], float | None] = lambda _: None) -> None:
        self.limit_usd, self.wave, self.estimate = limit_usd, wave, estimate
        self.spent_usd = 0.0
        """Known costs, and the estimates of those that did not come."""
        self.awaited_usd = 0.0
        """An upper estimate of what is not known yet."""
        self._dearest: float | None = None
        self._pending: list[tuple[float, Run]] = []
        self._unknown = 0
        self._blind = False

    def add(self, run: Run) -> None:
        """A run has ended. Only what can have cost something counts: it may have reached a provider, and no cache."""
        if run.cost_usd is not None:
            self._learn(run.cost_usd)
        elif run.status in ("ok", "truncated", "timeout") and not run.cache_hit:
            self._pending.append((time.monotonic(), run))

    def room(self, in_flight: int) -> bool:
        """Whether one more call may start."""
        self._look()
        if self.exhausted() is not None or self.spent_usd + self.awaited_usd >= self.limit_usd:
            return False
        return in_flight + self._unknown < self.wave

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

    def left_usd(self) -> float:
        """What is left of the limit by the costs that are known."""
        self._look()
        return self.limit_usd - self.spent_usd

    def _learn(self, cost_usd: float) -> None:
        self.spent_usd += cost_usd
        self._dearest = max(cost_usd, self._dearest or 0.0)

    def _upper(self, run: Run) -> float | None:
        if self._dearest is None:  # a price list alone may be wrong: one cost that was charged is waited for
            return None
        return max(self._dearest, self.estimate(run) or 0.0)

    def _look(self) -> None:
        """Take in the costs that have arrived, and estimate the others."""
        now, still = time.monotonic(), []
        for ended, run in self._pending:
            if run.cost_usd is not None:
                self._learn(run.cost_usd)
            elif is_pending(run) and now - ended < COST_WAIT_S:
                still.append((ended, run))
            elif (upper := self._upper(run)) is not None:
                self.spent_usd += upper
            else:
                self._blind = True
        self._pending = still
        uppers = [self._upper(run) for _, run in still]
        self._unknown = uppers.count(None)
        self.awaited_usd = sum(upper for upper in uppers if upper is not None)
