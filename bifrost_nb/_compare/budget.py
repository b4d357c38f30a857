"""Stop before more is spent than allowed, judging by what is known to have been spent.

A run's cost is known only after it has ended, often a moment later. So a run counts as unobserved until its cost is
there, and no more than one wave of unobserved runs may be out: that wave is the most the budget can be passed by.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._runs.run import Run

__all__ = ["Budget"]

COST_WAIT_S = 8.0
"""A cost that has not come by then is taken to be the mean of the known ones; the gateway's log takes up to 6 s."""


class Budget:
    """Spending up to `limit_usd`, with at most `wave` runs whose cost is not known yet."""

    def __init__(self, limit_usd: float, wave: int) -> None:
        self.limit_usd, self.wave = limit_usd, wave
        self.spent_usd = 0.0
        self._known = 0
        self._pending: list[tuple[float, Run]] = []
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
        return self.exhausted() is None and in_flight + len(self._pending) < self.wave

    def exhausted(self) -> str | None:
        """Why nothing more may be spent, in words; None while there is room."""
        if self._blind:
            return (
                f"Stopped: no run's cost is known, so max_cost_usd={self.limit_usd:g} cannot be kept."
                " Give the gateway prices, or leave max_cost_usd out."
            )
        if self.spent_usd >= self.limit_usd:
            return f"Stopped: ${self.spent_usd:.4g} spent, max_cost_usd={self.limit_usd:g} is reached."
        return None

    def _learn(self, cost_usd: float) -> None:
        self.spent_usd += cost_usd
        self._known += 1

    def _look(self) -> None:
        """Take in the costs that have arrived, and estimate those that will not."""
        now, still = time.monotonic(), []
        for ended, run in self._pending:
            if run.cost_usd is not None:
                self._learn(run.cost_usd)
            elif now - ended < COST_WAIT_S:
                still.append((ended, run))
            elif self._known:
                self.spent_usd += self.spent_usd / self._known
                self._known += 1
            else:
                self._blind = True
        self._pending = still
