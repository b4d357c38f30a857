"""`compare(..., live=True)` in a notebook: the race for a few calls, counters per deployment for many, with Stop all.

As everywhere, only the cell's thread draws; the private loop puts what happens into a queue.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

from ..._client.portal import portal
from ..._compare.budget import Budget
from ..._compare.comparison import Comparison
from ..._compare.interrupted import ComparisonInterrupted
from ..._compare.plan import Plan, Trial
from ..._compare.sweep import Sweep
from ..._foreground.comm_pump import reachable
from ..._foreground.environment import front_end
from ..._foreground.wait import Interrupts, drain, wait_for_costs
from ..._runs.pieces import Pieces
from ..._runs.run import Run
from ..assets import page
from ..live.live_widget import WIDGET_MIME, Pane
from ..live.race import Race, RaceColumn, RaceUpdate
from .overview import TITLES, Event, Overview

if TYPE_CHECKING:
    from ..._client.client import Client

__all__ = ["RACE_AT_MOST", "run_live"]

RACE_AT_MOST = 8
"""So many calls are shown as a race; more as counters."""
DRAW_S = 0.25
COSTS_S = 0.5
"""What is shown waits so long for costs; later ones are in the comparison's frame."""


class _CallPieces(NamedTuple):
    run: Run
    pieces: Pieces


class _Watched(Sweep):
    """A sweep that tells when a call begins and ends, and can stop a single one."""

    def __init__(self, client: Client, plan: Plan, done: Mapping[str, Run], **options: Any) -> None:
        self.inbox: SimpleQueue[Any] = SimpleQueue()
        super().__init__(client, plan, done, finished=self._tell, **options)
        self._at_work: dict[str, asyncio.Task[Any] | None] = {}
        self._unwanted: set[str] = set()

    def stop(self, cell_id: str) -> None:
        """Cancel one call, also one that has not begun; from any thread."""

        def cancel() -> None:
            self._unwanted.add(cell_id)
            if (task := self._at_work.get(cell_id)) is not None:
                task.cancel()

        portal().loop.call_soon_threadsafe(cancel)

    def _tell(self, run: Run, final: bool) -> None:
        self.inbox.put(Event(str(run.tags.get("cell")), run, final))

    async def _one(self, way: Any, place: int, cell: Trial, queue_ms: float) -> None:
        task = self._at_work[cell.trial_id] = asyncio.current_task()
        self.inbox.put(Event(cell.trial_id))
        if task is not None and cell.trial_id in self._unwanted:
            task.cancel()
        try:
            await super()._one(way, place, cell, queue_ms)
        except asyncio.CancelledError:
            if (run := self.results.get(cell.trial_id)) is not None:
                self._tell(run, True)
            raise
        finally:
            del self._at_work[cell.trial_id]


def run_live(client: Client, plan: Plan, done: Mapping[str, Run], budget: Budget | None = None) -> Sweep:
    """Run what `plan` lacks, showing it until all has ended; the finished sweep.

    A click on Stop cancels; the result then lacks what was stopped. The interrupt key does the same and raises
    `bifrost_nb._compare.interrupted.Interrupted`.
    """
    sweep = _Watched(client, plan, done, budget=budget)
    if len(done) == len(plan.trials):
        return sweep
    few = len(plan.trials) - len(done) <= RACE_AT_MOST
    if few:
        sweep.sink = lambda run, pieces: sweep.inbox.put(_CallPieces(run, pieces))
    with Interrupts(sweep.inbox) as interrupts:
        view = (_RaceView if few else _OverviewView)(client, sweep, lambda: job.cancel())
        view.open()
        job = portal().start(sweep.run())
        try:
            drain([job], sweep.inbox, view.draw, interrupts=interrupts, interval=0.1)
            wait_for_costs(client, sweep.results.values(), COSTS_S, interrupts, lambda: view.draw([]))
        except KeyboardInterrupt:  # a second one: left at once
            raise ComparisonInterrupted(Comparison(plan, sweep.results, sweep.progress, client)) from None
        finally:
            job.cancel()
            view.close()
    if interrupts.count:
        raise ComparisonInterrupted(Comparison(plan, sweep.results, sweep.progress, client))
    if job.cancelled():
        sweep.progress.notes.append("Stopped by a click.")
    else:
        job.result()
    return sweep


class _CompareView:
    """One display: the live widget first, static markup at the end; in marimo, whose outputs stay, the widget stays."""

    widget: Any
    handle: Any = None
    stays = False

    def open(self) -> None:
        if front_end() == "marimo":
            import marimo

            marimo.output.append(self.widget)
            self.stays = True
            return
        from IPython.display import display

        view = {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id}
        bundle = {WIDGET_MIME: view, "text/plain": "A comparison is running …"}
        self.handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]

    def _replace(self, bundle: Mapping[str, str], metadata: Mapping[str, Any] | None = None) -> None:
        if self.handle is not None:  # where no shell runs nothing was displayed
            self.handle.update(dict(bundle), metadata=dict(metadata or {}), raw=True)


class _RaceView(_CompareView):
    """A column per call that is still to be made."""

    def __init__(self, client: Client, sweep: _Watched, stop: Callable[[], object]) -> None:
        cells = [cell for cell in sweep.plan.trials if cell.trial_id not in sweep.results]
        self._columns = {cell.trial_id: place for place, cell in enumerate(cells)}
        self._race = Race(sweep.plan.call(client, cell).run for cell in cells)

        def stop_some(column: int | None) -> None:
            if column is None:
                stop()
            else:
                sweep.stop(cells[column].trial_id)

        self._pane = Pane(self._race, stop_some)
        self.widget = self._pane.widget

    def draw(self, items: list[Any]) -> None:
        for item in items:
            run = item.run
            if run is None:
                continue
            place = self._columns[str(run.tags.get("cell"))]
            if self._race.columns[place].run is not run:  # another sending of the cell, or the first
                self._race.columns[place] = RaceColumn(run)
            self._race.receive([RaceUpdate(place, item.pieces if isinstance(item, _CallPieces) else [])])
        self._pane.update()

    def close(self) -> None:
        from ..._display.run import metadata_many, mimebundle_many, without_texts

        for column in self._race.columns:
            column.cost_settled = True
        self._pane.update(final=True)
        runs = [column.so_far for column in self._race.columns]
        bundle = mimebundle_many(runs)
        if self.stays:
            self._pane.keep()
            return
        self._replace(bundle, without_texts(metadata_many(runs), runs, bundle["text/plain"]))
        self._pane.close()


class _OverviewView(_CompareView):
    """Counters per deployment, sent as a whole four times a second at most: they are small."""

    def __init__(self, client: Client, sweep: _Watched, stop: Callable[[], object]) -> None:
        self.overview = Overview(sweep.plan, sweep.results, sweep.progress)
        self._stop = stop
        self._drawn_at = 0.0
        self.widget = reachable(_widget_class()(titles=list(TITLES), **self._state()))
        self.widget.on_msg(self._hear)

    def draw(self, items: list[Any], final: bool = False) -> None:
        self.overview.receive(items)
        now = time.monotonic()
        if final or now - self._drawn_at >= DRAW_S:
            self._drawn_at = now
            self.widget.set_state(self._state())
            self.widget.send_state(["rows", "said"])

    def close(self) -> None:
        layout = self.widget.layout
        self.overview.settle()
        if self.stays:
            self.draw([], final=True)
            return
        self._replace({"text/plain": self.overview.said(), "text/html": self.overview.as_html()})
        self.widget.on_msg(self._hear, remove=True)
        self.widget.close()
        layout.close()

    def _state(self) -> dict[str, Any]:
        return {"rows": self.overview.rows(), "said": self.overview.said()}

    def _hear(self, _: Any, content: Any, __: Any) -> None:
        if isinstance(content, dict) and content.get("stop") == "all":
            self._stop()


@functools.cache
def _widget_class() -> type[Any]:
    """Made at the first use: importing anywidget takes a while, and `import bifrost_nb` must not load it."""
    import anywidget
    import traitlets

    class OverviewWidget(anywidget.AnyWidget):
        _esm = page("press.js", "grid_overview.js")
        _css = page("grid.css")
        titles = traitlets.List(traitlets.Unicode()).tag(sync=True)
        rows = traitlets.List(traitlets.Dict()).tag(sync=True)
        said = traitlets.Unicode().tag(sync=True)

    return OverviewWidget
