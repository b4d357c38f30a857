"""Open-loop sending on the private loop: calls start when the schedule says, not when others have ended.

A closed loop (so many workers, each waiting for its answer) slows down with the server it measures and so hides how
long people would wait; arrivals of independent users do not. The schedule's own lateness is kept with each call.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .._compare.budget import Budget
from .._compare.sweep import Progress

if TYPE_CHECKING:
    from .._client.calls import Call
    from .._client.client import Client
    from .._runs.run import Run

__all__ = ["Arrival", "Arrivals", "Step", "poisson"]

RECENT = 20
"""A window of the last calls that ended; half of them failing is an error burst."""
SPIN_S = 0.002
"""The loop's timer may be late by a millisecond or two, so it is set early by this."""


def poisson(rate: float, seconds: float, generator: np.random.Generator) -> list[float]:
    """Seconds from the start at which calls arrive; at least one.

    Given how many there are, the arrivals of a Poisson process lie uniformly in time. Their number is what `rate`
    says, so that runs with different seeds ask for the same load.

    ::

        poisson(50, 10, np.random.default_rng(0))   # 500 times between 0 and 10
    """
    return sorted(generator.uniform(0.0, seconds, max(1, round(rate * seconds))).tolist())


@dataclass(slots=True)
class Arrival:
    """One call of a step: how late it was sent, and its run."""

    late_ms: float
    run: Run


@dataclass(slots=True)
class Step:
    """One rate: what was planned and what came of it."""

    rate: float
    planned: int
    arrivals: list[Arrival] = field(default_factory=list)
    stopped: str | None = None
    """Why not all of it was sent."""
    cut: bool = False
    """Whether that is no doing of the deployment's: money ran out."""


class Arrivals:
    """Sends the calls of each rate in turn. `steps` is complete for what was sent at any moment."""

    def __init__(
        self,
        client: Client,
        rates: Sequence[float],
        seconds: float,
        make: Callable[[int], Call],
        *,
        seed: int,
        max_open: int,
        max_cost_usd: float | None,
        good: Callable[[Run], bool | None],
        target: float,
    ) -> None:
        self.client, self.make, self.max_open = client, make, max_open
        self.good, self.target = good, target
        generator = np.random.default_rng(seed)
        self._schedules = [(rate, poisson(rate, seconds, generator)) for rate in rates]
        self.steps: list[Step] = []
        self.progress = Progress(total=sum(len(times) for _, times in self._schedules))
        self._budget = None
        if max_cost_usd is not None:
            self._budget = Budget(max_cost_usd, max_open, lambda run: client.sender().costs.estimate_usd(run))
        self._sent = 0

    async def run(self) -> None:
        """Send all rates, until one does not hold. Being cancelled cancels what is open, whose runs are kept."""
        await self.client.sender().version()  # loads what sends, and opens a connection, before the clock runs
        if self._budget is not None:
            await self.client.sender().costs.prices()
        for rate, times in self._schedules:
            step = Step(rate, len(times))
            self.steps.append(step)
            await self._send(step, times)
            if step.stopped is not None:
                return
            runs = [one.run for one in step.arrivals]
            if runs and sum(self.good(run) is not False for run in runs) / len(runs) < self.target / 2:
                step.stopped = "fewer than half as many calls as wanted were good; higher rates were not tried"
                return

    async def _send(self, step: Step, times: Sequence[float]) -> None:
        calls = [self.make(self._sent + number) for number in range(len(times))]  # before the clock runs
        self._sent += len(times)
        tasks: set[asyncio.Task[None]] = set()
        ended: deque[bool] = deque(maxlen=RECENT)
        begin = time.perf_counter() + 0.01
        try:
            for at, call in zip(times, calls, strict=True):
                while (left := begin + at - time.perf_counter()) > 0:  # noqa: ASYNC110 - time is all there is to wait for
                    await asyncio.sleep(max(0.0, left - SPIN_S))
                step.stopped = self._reason(tasks, ended)
                if step.stopped is None and (spent := self._spent(len(tasks))) is not None:
                    step.stopped, step.cut = spent, True
                if step.stopped is not None:
                    break
                task = asyncio.get_running_loop().create_task(self._one(step, call, begin + at, ended))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            if tasks:
                await asyncio.wait(tasks)
        finally:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)

    def _reason(self, tasks: set[asyncio.Task[None]], ended: deque[bool]) -> str | None:
        """Why nothing more may be sent."""
        if len(tasks) >= self.max_open:
            return f"{self.max_open:,} calls were open at once (max_open)"
        if len(ended) == RECENT and ended.count(False) * 2 >= RECENT:
            return f"{ended.count(False)} of the last {RECENT} calls failed"
        return None

    def _spent(self, open_calls: int) -> str | None:
        """Why no more money may be spent."""
        if self._budget is None or self._budget.room(open_calls):
            return None
        return self._budget.exhausted() or f"max_cost_usd={self._budget.limit_usd:g} may be reached"

    async def _one(self, step: Step, call: Call, due: float, ended: deque[bool]) -> None:
        step.arrivals.append(Arrival(1000 * (time.perf_counter() - due), call.run))
        try:
            outcome = await self.client.send(call)
        except asyncio.CancelledError:
            self.progress.cancelled += 1
            raise
        ended.append(outcome.error is None)
        self.progress.done += outcome.error is None
        self.progress.failed += outcome.error is not None
        self.progress.cached += bool(outcome.run.cache_hit)
        if self._budget is not None:
            self._budget.add(outcome.run)
