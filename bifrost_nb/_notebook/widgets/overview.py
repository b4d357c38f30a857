"""How a large comparison is getting on, as plain Python: per deployment what is done, failed and running."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any, NamedTuple

from ..._compare.plan import Plan
from ..._compare.sweep import Progress
from ..._display.describe import duration, usd
from ..._display.html import table, text
from ..._runs.run import Run
from .grid_scores import cut

__all__ = ["TITLES", "Event", "Overview"]

TITLES = ("deployment", "progress", "running", "first text", "cost so far")


class Event(NamedTuple):
    """A cell began (`run` is None), or ended with `run`; not `final`: it will be sent again."""

    cell_id: str
    run: Run | None = None
    final: bool = True


class Overview:
    """Counts what the sweep tells. Costs that arrive later are in the next `rows`."""

    def __init__(self, plan: Plan, done: Mapping[str, Run], progress: Progress) -> None:
        self._names = {cell.trial_id: cell.asked.name for cell in plan.trials}
        self._totals = {asked.name: 0 for asked in plan.asked}
        for name in self._names.values():
            self._totals[name] += 1
        self._running: set[str] = set()
        self._ended: dict[str, dict[str, Run]] = {name: {} for name in self._totals}
        self._progress = progress
        self._lacking = "pending"
        for cell_id, run in done.items():
            self._ended[self._names[cell_id]][cell_id] = run

    def receive(self, events: Iterable[Event]) -> None:
        """Take in what happened."""
        for cell_id, run, final in events:
            if run is None:
                self._running.add(cell_id)
                continue
            self._running.discard(cell_id)
            if final:
                self._ended[self._names[cell_id]][cell_id] = run

    def rows(self) -> list[dict[str, Any]]:
        """One row per deployment, in words; `share` is the part that has ended, from 0 to 1."""
        running = [self._names[cell_id] for cell_id in self._running]
        return [
            self._row(name, list(ended.values()), running.count(name), self._totals[name])
            for name, ended in self._ended.items()
        ]

    def settle(self) -> None:
        """Nobody waits for costs any more: those not known are unknown."""
        self._lacking = "unknown"

    def said(self) -> str:
        """All deployments in one line."""
        total, ended = sum(self._totals.values()), sum(map(len, self._ended.values()))
        notes = "".join(f" {cut(note)}" for note in self._progress.notes)
        return f"{ended:,} of {total:,} runs, {len(self._running):,} running.{notes}"

    def as_html(self) -> str:
        """The same as a static table."""
        rows = [[row[key] for key in ("name", "ended", "running", "first", "cost")] for row in self.rows()]
        return f"<div><div>{text(self.said())}</div>{table(rows, TITLES, label='Progress')}</div>"

    def _row(self, name: str, ended: list[Run], running: int, total: int) -> dict[str, Any]:
        statuses = [run.status for run in ended]
        answered, stopped = statuses.count("ok"), statuses.count("cancelled")
        failed = len(ended) - answered - stopped
        first = [run.ttft_ms for run in ended if run.ttft_ms is not None and not run.cache_hit]
        costs = [run.cost_usd for run in ended if run.cost_usd is not None]
        unknown = answered - sum(run.status == "ok" and run.cost_usd is not None for run in ended)
        return {
            "name": cut(name, 200),
            "share": len(ended) / total if total else 0.0,
            "ended": ", ".join(
                [f"{answered:,} of {total:,} done", *_some(failed, "failed"), *_some(stopped, "stopped")]
            ),
            "running": f"{running:,}",
            "first": f"median {duration(median(first))}" if first else "–",
            "cost": " + ".join([*([usd(sum(costs))] if costs else []), *_some(unknown, self._lacking)]) or "–",
        }


def _some(count: int, what: str) -> list[str]:
    return [f"{count:,} {what}"] if count else []
