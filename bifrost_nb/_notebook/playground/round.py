"""One press of Run: every call of a playground's request, while they run and afterwards.

All of it happens on the private loop, so that the cell or callback that started it is free at once. There the pieces
arrive, there the race's state changes, and from there the view is told to draw.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from ..._client.portal import portal
from ..._compare.comparison import Comparison
from ..._compare.interrupted import ComparisonInterrupted
from ..._compare.judge_calls import JudgeCalls
from ..._compare.plan import Plan
from ..._compare.sweep import Progress, Sweep
from ..live.race import Race, RaceColumn

if TYPE_CHECKING:
    from ..._client.client import Client
    from ..._compare.scoring import ScorerFunction
    from ..._runs.pieces import Pieces
    from ..._runs.run import Run

__all__ = ["Round"]

TICK_S = 0.05
COST_WAIT_S = 1.0
"""The results wait at most so long for costs that come from the gateway's log; later ones are in the frame."""


class _Judging(JudgeCalls):
    """The judge's calls of a round; Stop keeps further ones from being made. Those under way are waited for."""

    def exhausted(self) -> str | None:
        return "the round was stopped" if self.stopped else super().exhausted()


class Round:
    """The calls of `plan`: a sweep for each deployment, so that each can be stopped by itself.

    `race` shows one column per variant: its answer to the first row of inputs. `progress` counts all calls.
    """

    def __init__(self, client: Client, plan: Plan, scorers: Mapping[str, ScorerFunction] | None = None) -> None:
        self.client, self.plan, self.scorers = client, plan, dict(scorers or {})
        first = list({cell.variant: cell for cell in reversed(plan.trials)}.values())
        order = {variant: place for place, variant in enumerate(dict.fromkeys(cell.variant for cell in plan.trials))}
        places = {id(asked): place for place, asked in enumerate(plan.asked)}
        first.sort(key=lambda cell: (places[id(cell.asked)], order[cell.variant]))
        self.names = [cell.variant for cell in first]
        """Of the columns."""
        self._sweep_of = [places[id(cell.asked)] for cell in first]
        self._columns = {cell.trial_id: place for place, cell in enumerate(first)}
        self.race = Race(plan.call(client, cell).run for cell in first)
        self._sweeps = [Sweep(client, _part(plan, place), {}, sink=self._arrived) for place in range(len(plan.asked))]
        self._tasks: list[asyncio.Task[None]] = []
        self._unwanted: set[int] = set()
        self._judged: Comparison | None = None
        self._judging = _Judging(client, of=plan.comparison_id)
        self.judging = False
        self.ended = False

    @property
    def progress(self) -> Progress:
        """Counts over all deployments; notes each once."""
        total = Progress(total=0)
        for each in fields(Progress):
            if each.type == "int":
                setattr(total, each.name, sum(getattr(sweep.progress, each.name) for sweep in self._sweeps))
        total.notes = list(dict.fromkeys(note for sweep in self._sweeps for note in sweep.progress.notes))
        return total

    @property
    def comparison(self) -> Comparison:
        """What has been answered so far, with scores at the end."""
        if self._judged is not None:
            return self._judged
        results = {name: run for sweep in self._sweeps for name, run in list(sweep.results.items())}
        return Comparison(self.plan, results, self.progress, self.client)

    @property
    def shown(self) -> list[Run]:
        """The runs of the race's columns."""
        return [column.so_far for column in self.race.columns]

    def stop(self, column: int | None = None) -> None:
        """Stop the deployment of one column, or all; from any thread. What had arrived is recorded as cancelled."""
        places = range(len(self._sweeps)) if column is None else [self._sweep_of[column]]
        portal().loop.call_soon_threadsafe(self._cancel, set(places))

    async def run(self, draw: Callable[[], None]) -> None:
        """Send everything and call `draw` twenty times a second; on the private loop. Raises what was our own defect.

        Ends when every call has ended or was stopped and is recorded.
        """
        self._tasks = [asyncio.create_task(sweep.run()) for sweep in self._sweeps]
        self._cancel(self._unwanted)
        try:
            open_ones = set(self._tasks)
            while open_ones:
                _, open_ones = await asyncio.wait(open_ones, timeout=TICK_S)
                draw()
            await asyncio.to_thread(self.client.wait_costs, self.comparison.runs, COST_WAIT_S)
            if self.scorers:
                judging = asyncio.create_task(asyncio.to_thread(self._judge))
                while not judging.done():
                    await asyncio.wait({judging}, timeout=TICK_S)
                    draw()
                await judging
        finally:  # also where this itself is cancelled: nothing is left running
            for task in self._tasks:
                task.cancel()
            ends = await asyncio.gather(*self._tasks, return_exceptions=True)
            for column in self.race.columns:
                column.cost_settled = True
            self.ended = True
        for end in ends:
            if isinstance(end, BaseException) and not isinstance(end, asyncio.CancelledError):
                raise end

    def _judge(self) -> None:
        """Judge the answers that are here; in a thread, since scorers may block and ask models."""
        self.judging = True
        comparison = self.comparison
        try:
            comparison.judge_answers(self.scorers, self._judging)
        except ComparisonInterrupted:  # of a scorer itself: what it had judged is kept
            comparison.notes.append("Judging was interrupted.")
        finally:
            self.judging, self._judged = False, comparison

    def _cancel(self, places: set[int]) -> None:
        self._unwanted |= places
        if len(self._unwanted) == len(self._sweeps):
            self._judging.stopped = True
        for place, task in enumerate(self._tasks):
            # A task that has not begun yet would end without recording anything; there is nothing to record.
            if place in places:
                task.cancel()

    def _arrived(self, run: Run, pieces: Pieces) -> None:
        place = self._columns.get(str(run.tags.get("cell")))
        if place is None:
            return
        if self.race.columns[place].run is not run:  # the first that is heard of it, or it is sent again after a 429
            self.race.columns[place] = RaceColumn(run)
        self.race.columns[place].receive(pieces, self.race.elapsed_s)


def _part(plan: Plan, place: int) -> Plan:
    """The calls of one deployment."""
    asked = plan.asked[place]
    cells = tuple(cell for cell in plan.trials if cell.asked is asked)
    return replace(plan, asked=(asked,), trials=cells, order=tuple(cell for cell in plan.order if cell.asked is asked))
