"""The rows of both logs that `reconcile` joins, read when they have come, whatever the two clocks say."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from .._client.look_times import AGES_S
from .._runs.pending import is_pending, wait_for_costs
from .._runs.run import Run

__all__ = ["MARGIN", "all_rows", "settled"]

MARGIN = timedelta(minutes=1)
"""The two clocks may differ so much; rows of the gateway's log are read that far beyond the time asked for."""
LATEST_S = AGES_S[-1]
"""A row that comes later than so long after its answer is not waited for."""
AGAIN_S = 0.5
_NONE = timedelta(0)


def settled(read: Callable[[], list[Run]]) -> list[Run]:
    """Our runs, when the costs that are being looked for are known or given up."""
    runs = read()
    if not any(map(is_pending, runs)):
        return runs
    wait_for_costs(runs, LATEST_S + 3)  # the last look takes a moment, too
    return read()


async def all_rows(
    read: Callable[[datetime | None, timedelta], Awaitable[Sequence[Run]]],
    newest: Callable[[], Awaitable[Sequence[Run]]],
    runs: Iterable[Run],
) -> tuple[list[Run], timedelta]:
    """The gateway's rows, looked for again while one of an answer of `runs`, just given, may still come; and how far
    the gateway's clock is ahead of ours, where that is more than `MARGIN` makes up for.

    `read` takes the first moment, None for all that was asked for, and how far ahead to look; `newest` gives the last
    rows of any time, among which a clock shows that is further off than the time asked for is long.
    """
    rows, until = {row.run_id: row for row in await read(None, _NONE)}, time.monotonic() + LATEST_S
    while time.monotonic() < until and (late := _without_row(runs, rows.values())):
        await asyncio.sleep(AGAIN_S)
        first = min(run.started_at for run in late) - MARGIN
        rows |= {row.run_id: row for row in await read(first, _ahead(runs, rows))}
    if late := _without_row(runs, rows.values()):  # by a clock that is behind, they are further back
        rows |= {row.run_id: row for row in await read(None, _NONE)}
    known = {run.request_id for run in runs if run.http_status is not None}
    if known and known.isdisjoint(rows):
        rows |= {row.run_id: row for row in await newest() if row.run_id in known}
    if ahead := _ahead(runs, rows):
        rows |= {row.run_id: row for row in await read(None, ahead)}
    return list(rows.values()), ahead


def _ahead(runs: Iterable[Run], rows: Mapping[str, Run]) -> timedelta:
    """How far the clock of `rows` is ahead of that of `runs`, in the median; nothing where that is little."""
    gaps = []
    for run in runs:
        row = rows.get(run.request_id or "")
        if row is not None and row.started_at is not None and run.started_at is not None:
            began = run.attempts[-1].started_ms if run.attempts else 0.0
            gaps.append((row.started_at - run.started_at).total_seconds() - began / 1000)
    ahead = timedelta(seconds=statistics.median(gaps)) if gaps else _NONE
    return ahead if abs(ahead) > MARGIN / 2 else _NONE


def _without_row(runs: Iterable[Run], rows: Iterable[Run]) -> list[Run]:
    """Answered runs that no row of an answer tells of, so young that it may come; a log may hold any times."""
    answered, now = {row.request_id for row in rows if row.status == "ok"}, datetime.now(UTC)
    return [
        run
        for run in runs
        if run.status == "ok"
        and run.http_status is not None
        and run.started_at is not None
        and run.request_id not in answered
        and abs((now - run.started_at).total_seconds() - (run.total_ms or 0.0) / 1000) < LATEST_S
    ]
