"""Our run log against the gateway's, joined by request id: what only one has, tokens, costs, and the time between.

The id is the ``x-request-id`` that the client sends with each attempt; the gateway writes a row under it, and rows with
ids of their own for fallbacks, whose parent it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from .._display.describe import duration, usd
from .._numbers import fewest_for
from .._runs.columns import Column
from .._runs.frame import frame_of, to_frame
from .._runs.log.log import RunLog
from .._runs.run import Run
from .log_query import LIST_MODELS
from .logged_run import JOINED, LoggedRun

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Reconciliation", "reconciled", "sent_elsewhere"]

_NONE = timedelta(0)
_NONE_OF_OURS = (
    "the gateway may not have logged or not have kept them, or its clock may differ from ours by more than the time "
    "asked for; since=None looks through all that it has"
)
_SAME_USD = 1e-9
_FIGURES = ("prompt_tokens", "completion_tokens", "total_tokens", "cost_usd")


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
    frame has them. `gateway_ahead_s` is by how much the gateway's clock is ahead of ours (below 0: behind), where that
    is more than half a minute, else 0.

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
    gateway_ahead_s: float = 0.0

    def summary(self) -> dict[str, str]:
        """The findings in words, by what they are about.

        For example:

            bf.reconcile(since="1h").summary()["cost"]
        """
        joined, unknown = self.joined, self.joined["cost_usd"].isna()
        fillable = int((unknown & joined["gateway_cost_usd"].notna()).sum())
        answered = joined["status"].eq("ok").fillna(value=False).astype(bool)
        untold = int((answered & joined["gateway_status"].ne("ok").fillna(value=True)).sum())
        told = {
            "runs": f"{len(joined):,} in both logs, {len(self.only_ours):,} only in ours, "
            f"{len(self.only_gateway):,} only in the gateway's"
            + (f"; of {untold:,} in both the gateway's has attempts, but not the answer" if untold else ""),
            "served by another": self._served_by_another(),
            "tokens": self._tokens(),
            "cost": self._cost(),
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
        if self.gateway_ahead_s:
            which = "ahead of" if self.gateway_ahead_s > 0 else "behind"
            told["clocks"] = f"the gateway's is {duration(1000 * abs(self.gateway_ahead_s))} {which} ours"
        elif joined.empty and len(self.only_ours):
            told["none of ours"] = _NONE_OF_OURS
        if self.list_models_rows:
            told["left out"] = f"{self.list_models_rows:,} rows of listing the models, which no call made"
        if self.elsewhere:
            told["sent elsewhere"] = f"{self.elsewhere:,} of our runs, to another gateway's address"
        if self.filled:
            told["filled in"] = f"{self.filled:,} costs, written to our run log"
        elif fillable:
            told["cost unknown to us"] += " (fill=True writes them to our run log)"
        return told

    def _served_by_another(self) -> str:
        ok = self.joined["status"].eq("ok") & self.joined["gateway_status"].eq("ok")
        answers = self.joined[ok.fillna(value=False).astype(bool)]
        both = answers[answers[["served", "gateway_served"]].notna().all(axis="columns")]
        other, lacking = int((both["served"] != both["gateway_served"]).sum()), len(answers) - len(both)
        return f"{other:,} of {len(both):,}" + (f", unknown of {lacking:,}" if lacking else "")

    def _tokens(self) -> str:
        """How many differ of the figures that both know."""
        names = _FIGURES[:3]
        known = sum(int(self.joined[[name, f"gateway_{name}"]].notna().all(axis="columns").sum()) for name in names)
        tokens = int(self.differences["figure"].isin(names).sum())
        return f"{tokens:,} of {known:,} figures {'differs' if tokens == 1 else 'differ'}" if known else "unknown"

    def _cost(self) -> str:
        """How many differ of the costs that both know; one that was read in this log agrees with it by itself."""
        both = self.joined[self.joined[["cost_usd", "gateway_cost_usd"]].notna().all(axis="columns")]
        if both.empty:
            return "unknown"
        differ = both["run_id"].isin(self.differences.loc[self.differences["figure"] == "cost_usd", "run_id"])
        taken = int((both["cost_source"].eq("log").fillna(value=False) & ~differ).sum())
        ours, theirs = (usd(float(both[name].sum())) for name in ("cost_usd", "gateway_cost_usd"))
        checked = len(both) - taken
        said = f"{int(differ.sum()):,} of {checked:,} differ" if checked else "nothing to check"
        said += f" ({taken:,} {'more ' if checked else ''}of ours read in this log)" if taken else ""
        return f"{said}; ours {ours}, the gateway's {theirs}"

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


def sent_elsewhere(run: Run, base_url: str) -> bool:
    """Whether `run` was sent to another address: runs of older logs, and of files, do not tell."""
    return run.base_url is not None and run.base_url != base_url


def reconciled(
    runs: Iterable[Run],
    rows: Iterable[Run],
    inside: Callable[[datetime | None], bool],
    base_url: str,
    fill: RunLog | None,
    ahead: timedelta = _NONE,
) -> Reconciliation:
    """Join `runs` and the `rows` of the gateway at `base_url`; `inside` says which belong to the time asked for.

    The others of both are there to be joined: what began just before it by one clock began within it by the other.
    `ahead` is by how much the gateway's clock is so. With `fill` the costs that only the gateway knows are written to
    our log. Raises LogError.
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
        pair = LoggedRun(run, [row for request_id in dict.fromkeys(ids) for row in by_request.pop(request_id, ())])
        if not inside(run.started_at):
            continue
        if pair.rows:
            pairs.append(pair)
        elif sent_elsewhere(run, base_url):  # one gateway may have several addresses, so its log is asked first
            elsewhere += 1
        elif run.http_status is not None:  # what no gateway answered is in no gateway's log
            alone.append(run)
    left = [row for some in by_request.values() for row in some]
    others = [row for row in left if inside(row.started_at and row.started_at - ahead)]
    return Reconciliation(
        joined=frame_of(JOINED, pairs),
        only_ours=to_frame(alone),
        only_gateway=to_frame(others),
        differences=_differences(pairs),
        filled=0 if fill is None else _fill(pairs, fill),
        list_models_rows=listed,
        elsewhere=elsewhere,
        gateway_ahead_s=ahead.total_seconds(),
    )


def _fill(pairs: Iterable[LoggedRun], log: RunLog) -> int:
    filled = 0
    for pair in pairs:
        if pair.run.cost_usd is None and (cost := pair.cost_usd) is not None:
            log.update(pair.run.run_id, cost_usd=cost, cost_source="log")
            filled += 1
    return filled


def _differences(pairs: Iterable[LoggedRun]) -> pd.DataFrame:
    found: list[dict[str, Any]] = []
    for pair in pairs:
        if not pair.has_the_answer:
            continue
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
