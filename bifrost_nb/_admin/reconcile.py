"""Our run log against the gateway's, joined by request id: what only one has, tokens, costs, and the time between.

The id is the ``x-request-id`` that the client sends with each attempt; the gateway writes a row under it, and rows with
ids of their own for fallbacks, whose parent it is.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from .._client.look_times import AGES_S
from .._display.describe import duration, usd
from .._numbers import fewest_for
from .._runs.columns import Column
from .._runs.frame import frame_of, to_frame
from .._runs.late_facts import row_tells_part_of_latency
from .._runs.log.log import RunLog
from .._runs.pending import is_pending, wait_for_costs
from .._runs.run import Run
from .log_query import LIST_MODELS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MARGIN", "Reconciliation", "all_rows", "reconciled", "sent_elsewhere", "settled"]

MARGIN = timedelta(minutes=1)
"""The two clocks may differ so much; rows of the gateway's log are read that far beyond the time asked for."""
LATEST_S = AGES_S[-1]
"""A row that comes later than so long after its answer is not waited for."""
AGAIN_S = 0.5
_SAME_USD = 1e-9
_FIGURES = ("prompt_tokens", "completion_tokens", "total_tokens", "cost_usd")


@dataclass(slots=True)
class _LoggedRun:
    """One of our runs and the gateway's rows of all its attempts."""

    run: Run
    rows: list[Run] = field(default_factory=list)

    @property
    def last(self) -> list[Run]:
        """The rows of the last attempt: the primary's and its fallbacks'."""
        return [row for row in self.rows if row.request_id == self.run.request_id]

    @property
    def served(self) -> Run:
        """The row that answered; where none did, the last that tried."""
        rows = sorted(self.last or self.rows, key=lambda row: row.fallback_index or 0)
        return next((row for row in rows if row.status == "ok"), rows[-1])

    @property
    def cost_usd(self) -> float | None:
        """What all attempts cost together: a retry or a failed primary may be billed, too.

        Unknown where that of the answer is: the others alone would be too little. So it is where the gateway ran tools
        between calls of the model (`late_facts.is_one_of_several`): the row has the tokens of one.
        """
        served = self.served
        # Both: Gemini's thinking is in one more count of ours (1.4.0), cached tokens are in one less of some SDKs'.
        counts = ((self.run.completion_tokens, served.completion_tokens), (self.run.total_tokens, served.total_tokens))
        part = all(ours and theirs and ours != theirs for ours, theirs in counts)
        if served.status == "ok" and (served.cost_usd is None or part):
            return None
        known = [row.cost_usd for row in self.rows if row.cost_usd is not None]
        return math.fsum(known) if known else None

    @property
    def client_ms(self) -> float | None:
        """Our time of the last attempt, without retries before it and their pauses."""
        attempt = self.run.attempts[-1] if self.run.attempts else None
        if attempt is None or attempt.ended_ms is None:
            return self.run.total_ms
        return attempt.ended_ms - attempt.started_ms

    @property
    def gateway_ms(self) -> float | None:
        """The gateway's time of the last attempt: primary and fallbacks one after the other."""
        if row_tells_part_of_latency(self.run):
            return None
        known = [row.latency_ms for row in self.last if row.latency_ms is not None]
        return math.fsum(known) if known else None

    @property
    def overhead_ms(self) -> float | None:
        """Client minus gateway: the way there and back, and what the gateway does around its own clock."""
        client, gateway = self.client_ms, self.gateway_ms
        return None if client is None or gateway is None else client - gateway


_JOINED: tuple[Column[_LoggedRun], ...] = (
    Column("run_id", "string", lambda pair: pair.run.run_id),
    Column("request_id", "string", lambda pair: pair.run.request_id),
    Column("started_at", "datetime64[us, UTC]", lambda pair: pair.run.started_at),
    Column("deployment", "string", lambda pair: pair.run.requested),
    Column("served", "string", lambda pair: pair.run.served),
    Column("gateway_served", "string", lambda pair: pair.served.served),
    Column("status", "string", lambda pair: pair.run.status),
    Column("gateway_status", "string", lambda pair: pair.served.status),
    Column("attempts", "Int64", lambda pair: len(pair.run.attempts) or None),
    Column("gateway_rows", "Int64", lambda pair: len(pair.rows)),
    Column("prompt_tokens", "Int64", lambda pair: pair.run.prompt_tokens),
    Column("gateway_prompt_tokens", "Int64", lambda pair: pair.served.prompt_tokens),
    Column("completion_tokens", "Int64", lambda pair: pair.run.completion_tokens),
    Column("gateway_completion_tokens", "Int64", lambda pair: pair.served.completion_tokens),
    Column("total_tokens", "Int64", lambda pair: pair.run.total_tokens),
    Column("gateway_total_tokens", "Int64", lambda pair: pair.served.total_tokens),
    Column("cost_usd", "Float64", lambda pair: pair.run.cost_usd),
    Column("cost_source", "string", lambda pair: pair.run.cost_source),
    Column("gateway_cost_usd", "Float64", lambda pair: pair.cost_usd),
    Column("client_ms", "Float64", lambda pair: pair.client_ms),
    Column("gateway_ms", "Float64", lambda pair: pair.gateway_ms),
    Column("overhead_ms", "Float64", lambda pair: pair.overhead_ms),
)


_DIFFERENCES: tuple[Column[Any], ...] = (
    *(Column(name, "string", itemgetter(name)) for name in ("run_id", "request_id", "figure")),
    *(Column(name, "Float64", itemgetter(name)) for name in ("ours", "gateway", "difference")),
)


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What `reconcile` found; it shows itself as a summary.

    `joined` has a row for each of our runs that the gateway logged, our figures beside the gateway's; `overhead_ms` is
    client minus gateway time. `only_ours` (runs that a gateway answered) and `only_gateway` (everybody else's requests
    are there, too) have the columns of every frame. `differences` has a row for each figure that differs: ``run_id``,
    ``request_id``, ``figure``, ``ours``, ``gateway``, ``difference``. `filled` counts the costs written to our log.
    `elsewhere` counts runs that were sent to another address and are not in this gateway's log: they are in no frame.
    `list_models_rows` counts rows that the gateway wrote when it was asked for its models: no call made them, and no
    frame has them.

        found = bf.reconcile(since="1h")
        found.summary()
        found.differences
    """

    joined: pd.DataFrame
    only_ours: pd.DataFrame
    only_gateway: pd.DataFrame
    differences: pd.DataFrame
    filled: int
    list_models_rows: int = 0
    elsewhere: int = 0

    def summary(self) -> dict[str, str]:
        """The findings in words, by what they are about.

        For example:

            bf.reconcile(since="1h").summary()["cost"]
        """
        joined, differ = self.joined, self.differences["figure"].value_counts()
        other = (joined["served"] != joined["gateway_served"]).fillna(value=False).sum()
        unknown = joined["cost_usd"].isna()
        fillable = int((unknown & joined["gateway_cost_usd"].notna()).sum())
        tokens = int(sum(differ.get(name, 0) for name in _FIGURES[:3]))
        both = joined[~unknown & joined["gateway_cost_usd"].notna()]
        ours, theirs = (usd(float(both[name].sum())) for name in ("cost_usd", "gateway_cost_usd"))
        told = {
            "runs": f"{len(joined):,} in both logs, {len(self.only_ours):,} only in ours, "
            f"{len(self.only_gateway):,} only in the gateway's",
            "served by another": f"{other:,} of {len(joined):,}",
            "tokens": f"{tokens:,} {'figure differs' if tokens == 1 else 'figures differ'}",
            "cost": f"{int(differ.get('cost_usd', 0)):,} of {len(both):,} differ; ours {ours}, the gateway's {theirs}",
            "cost unknown to us": f"{int(unknown.sum()):,}"
            + (f", of which the gateway knows {fillable:,}" if unknown.any() else ""),
            "client minus gateway": self._overhead(),
        }
        if len(self.only_gateway):
            ended = self.only_gateway["status"].value_counts()
            how = {"ok": "answered", "error": "failed", "cancelled": "cancelled"}
            told["only the gateway's"] = ", ".join(
                f"{int(ended.get(status, 0)):,} {word}" for status, word in how.items()
            )
        if self.list_models_rows:
            told["left out"] = f"{self.list_models_rows:,} rows of listing the models, which no call made"
        if self.elsewhere:
            told["sent elsewhere"] = f"{self.elsewhere:,} of our runs, to another gateway's address"
        if self.filled:
            told["filled in"] = f"{self.filled:,} costs, written to our run log"
        elif fillable:
            told["cost unknown to us"] += " (fill=True writes them to our run log)"
        return told

    def _overhead(self) -> str:
        known = self.joined["overhead_ms"].dropna().astype("float64")
        if known.empty:
            return "unknown"
        few = len(known) < fewest_for(0.95)
        tail = f"at most {duration(float(known.max()))}" if few else f"p95 {duration(float(known.quantile(0.95)))}"
        return f"p50 {duration(float(known.median()))}, {tail}, n = {len(known):,}"

    def __repr__(self) -> str:
        return "\n".join(f"{name + ':':<22}{said}" for name, said in self.summary().items())

    def _repr_html_(self) -> str:
        from .._display.html import table

        return table(self.summary().items(), label="Reconciliation", titles=True)


def settled(read: Callable[[], list[Run]]) -> list[Run]:
    """Our runs, when the costs that are being looked for are known or given up."""
    runs = read()
    if not any(map(is_pending, runs)):
        return runs
    wait_for_costs(runs, LATEST_S + 3)  # the last look takes a moment, too
    return read()


def sent_elsewhere(run: Run, base_url: str) -> bool:
    """Whether `run` was sent to another address: runs of older logs, and of files, do not tell."""
    return run.base_url is not None and run.base_url != base_url


async def all_rows(read: Callable[[datetime | None], Awaitable[Sequence[Run]]], runs: Iterable[Run]) -> list[Run]:
    """The gateway's rows, looked for again while one of an answer of `runs`, just given, may still come."""
    rows, until = {row.run_id: row for row in await read(None)}, time.monotonic() + LATEST_S
    while time.monotonic() < until and (late := _without_row(runs, rows.values())):
        await asyncio.sleep(AGAIN_S)
        rows |= {row.run_id: row for row in await read(min(run.started_at for run in late) - MARGIN)}
    return list(rows.values())


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


def reconciled(
    runs: Iterable[Run], rows: Iterable[Run], inside: Callable[[Run], bool], base_url: str, fill: RunLog | None
) -> Reconciliation:
    """Join `runs` and the `rows` of the gateway at `base_url`; `inside` says which belong to the time asked for.

    With `fill` the costs that only the gateway knows are written there. Raises LogError.
    """
    by_request: dict[str, list[Run]] = {}
    listed = 0
    for row in rows:
        if row.request_type == LIST_MODELS:
            listed += 1
            continue
        by_request.setdefault(row.request_id or row.run_id, []).append(row)
    pairs, alone, elsewhere = [], [], 0
    for run in runs:
        ids = [attempt.request_id for attempt in run.attempts] or [run.request_id or ""]
        pair = _LoggedRun(run, [row for request_id in dict.fromkeys(ids) for row in by_request.pop(request_id, ())])
        if pair.rows:
            pairs.append(pair)
        elif sent_elsewhere(run, base_url):  # one gateway may have several addresses, so its log is asked first
            elsewhere += 1
        elif run.http_status is not None:  # what no gateway answered is in no gateway's log
            alone.append(run)
    others = [row for left in by_request.values() for row in left if inside(row)]
    return Reconciliation(
        joined=frame_of(_JOINED, pairs),
        only_ours=to_frame(alone),
        only_gateway=to_frame(others),
        differences=_differences(pairs),
        filled=0 if fill is None else _fill(pairs, fill),
        list_models_rows=listed,
        elsewhere=elsewhere,
    )


def _fill(pairs: Iterable[_LoggedRun], log: RunLog) -> int:
    filled = 0
    for pair in pairs:
        if pair.run.cost_usd is None and (cost := pair.cost_usd) is not None:
            log.update(pair.run.run_id, cost_usd=cost, cost_source="log")
            filled += 1
    return filled


def _differences(pairs: Iterable[_LoggedRun]) -> pd.DataFrame:
    found: list[dict[str, Any]] = []
    for pair in pairs:
        for name in _FIGURES:
            ours = getattr(pair.run, name)
            theirs = pair.cost_usd if name == "cost_usd" else getattr(pair.served, name)
            if ours is None or theirs is None:
                continue
            same = math.isclose(ours, theirs, rel_tol=1e-6, abs_tol=_SAME_USD) if name == "cost_usd" else ours == theirs
            if not same:
                told = {"run_id": pair.run.run_id, "request_id": pair.run.request_id, "figure": name}
                found.append(told | {"ours": float(ours), "gateway": float(theirs), "difference": float(ours - theirs)})
    return frame_of(_DIFFERENCES, found)
