"""Figures over a frame of runs: who was asked, who served, how long, how dear, how good.

Works on every frame with the package's columns: a comparison's, the run log's, the gateway's. Numbers come from pandas
and NumPy; unknown values are left out and counted, never taken as 0.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from .groups import By, check_by, default_by, names, questions, runs_frame, served
from .metrics import score_columns
from .same_run import each_once

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["METRICS", "QUANTILES", "measured", "score_figures", "summary"]

METRICS = ("total_ms", "ttft_ms", "tokens_per_s", "cost_usd")
QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


def measured(frame: pd.DataFrame) -> pd.Series[Any]:
    """True for rows whose times are a deployment's own: answered in full, and not out of a cache."""
    return ((frame["status"] == "ok") & ~frame["cache_hit"].fillna(value=False)).fillna(value=False).astype(bool)


def summary(frame: pd.DataFrame, by: By | None = None) -> pd.DataFrame:
    """One row per (deployment asked, deployment that served), in the order asked.

        bf.summary(bf.runs(since="1d"))
        bf.summary(comparison.frame, by="template")

    `by` is ``deployment``, ``variant`` or ``template``; by default ``variant`` where there are several templates.
    Columns: what `by` says, ``served`` (NA: nobody answered), ``runs``, ``ok``, ``errors`` (every other status),
    ``fallback_share`` (of the answered runs of the row's name, the share that a fallback served; NA where the
    gateway never tells), ``cached``; then ``<metric>_mean``, ``_p50``, ``_p95``, ``_p99`` for ``total_ms``,
    ``ttft_ms`` (milliseconds), ``tokens_per_s`` and ``cost_usd``, over answered runs that no cache answered;
    ``cost_usd_total`` over all runs with a known cost, and ``cost_usd_unknown``, how many had none.
    Quantiles are linearly interpolated; NA where no run is left. A p95 of fewer than 20 runs and a p99 of fewer than
    100 say little (none of so few is expected beyond them): tables and charts leave them out.

    For each column ``score`` or ``score_<name>`` follow, over the same runs, ``<score>_mean``, ``_low`` and ``_high``
    (95 % interval over inputs; those that ask the same are one), ``_n`` (inputs with a score), and where inputs were
    repeated ``_all``: of the inputs with a score, the share whose every repeat scored 1 (NA for other scales).
    """
    import pandas as pd

    if by is not None:
        check_by(by)
    runs = runs_frame(frame)
    by = by or default_by(runs)
    frame = each_once(runs, lambda: [names(runs, by)])
    keys = [names(frame, by), served(frame)]
    ok = (frame["status"] == "ok").fillna(value=False)
    facts = pd.DataFrame(
        {
            "runs": 1,
            "ok": ok.astype("int64"),
            "errors": (~ok).astype("int64"),
            "cached": frame["cache_hit"].fillna(value=False).astype("int64"),
            "cost_usd_unknown": frame["cost_usd"].isna().astype("int64"),
        },
        index=frame.index,
    )
    table = facts.groupby(keys, dropna=False, sort=False).sum().astype("Int64")
    table["cost_usd_total"] = frame["cost_usd"].groupby(keys, dropna=False, sort=False).sum(min_count=1)
    clean = frame.loc[measured(frame), list(METRICS)]
    groups = clean.groupby([key[clean.index] for key in keys], dropna=False, sort=False)
    for metric in METRICS:
        table[f"{metric}_mean"] = groups[metric].mean()
        for name, share in QUANTILES.items():
            table[f"{metric}_{name}"] = groups[metric].quantile(share)
    table = table.reset_index()
    fallbacks = frame["is_fallback"][ok].astype("Float64").groupby(keys[0][ok], dropna=False).mean()
    table["fallback_share"] = table[by].map(fallbacks).astype("Float64")
    return _with_scores(_ordered(table, by), frame, keys, by)


def score_figures(values: pd.Series[Any], of: pd.Series[Any]) -> dict[str, Any]:
    """Mean, 95 % interval, n and the share of inputs that are all right, of scores of the inputs `of`."""
    import pandas as pd

    from .._statistics.intervals import score_interval, share_interval

    known = values.dropna().astype("float64")
    if known.empty:
        return {"mean": pd.NA, "low": pd.NA, "high": pd.NA, "n": 0, "all": pd.NA}
    folded = known.groupby(of[known.index]).mean()
    sample = folded.to_numpy()
    right = known.isin([0.0, 1.0]).all()
    if right and set(sample) <= {0.0, 1.0}:
        low, high = share_interval(int(sample.sum()), len(sample))
    else:
        low, high = score_interval(sample, 0.95, 0)
    every = known.groupby(of[known.index]).min().eq(1).mean() if right else pd.NA
    # An interval without ends (a single input, or all alike on a scale that is not known) is unknown, not infinite.
    bounded = len(sample) > 1 and low > -math.inf
    ends = {"low": low if bounded else pd.NA, "high": high if bounded else pd.NA}
    return {"mean": float(sample.mean()), **ends, "n": len(sample), "all": every}


def _with_scores(table: pd.DataFrame, frame: pd.DataFrame, keys: list[pd.Series[Any]], by: By) -> pd.DataFrame:
    import pandas as pd

    scores = score_columns(frame)
    if not scores:
        return table
    of, known = questions(frame), frame[scores].astype("Float64").where(measured(frame))
    repeated = frame["repeat"].nunique() > 1
    groups = known.groupby(keys, dropna=False, sort=False)
    rows = {_key(*pair): part for pair, part in groups}
    for score in scores:
        parts = (rows[_key(name, who)] for name, who in zip(table[by], table["served"], strict=True))
        found = [score_figures(part[score], of) for part in parts]
        for figure in ("mean", "low", "high", "n", *(("all",) if repeated else ())):
            values = pd.Series([one[figure] for one in found], index=table.index, dtype=object)
            table[f"{score}_{figure}"] = values.astype("Int64" if figure == "n" else "Float64")
    return table


def _key(name: Any, who: Any) -> tuple[str | None, str | None]:
    """NA is no key of a dict that finds itself again."""
    return (name if isinstance(name, str) else None, who if isinstance(who, str) else None)


def _ordered(table: pd.DataFrame, by: By) -> pd.DataFrame:
    """The contract's columns and dtypes; names in the order first seen, their most frequent server first."""
    order = [by, "served", "runs", "ok", "errors", "fallback_share", "cached"]
    figures = [f"{metric}_{name}" for metric in METRICS for name in ("mean", *QUANTILES)]
    table = table[[*order, *figures, "cost_usd_total", "cost_usd_unknown"]]
    floats = dict.fromkeys(["fallback_share", *figures, "cost_usd_total"], "Float64")
    table = table.astype({by: "string", "served": "string", **floats})
    seen = {name: place for place, name in enumerate(table[by].drop_duplicates())}
    place = table[by].map(seen)
    return (
        table.assign(_place=place)
        .sort_values(["_place", "runs"], ascending=[True, False], kind="stable")[list(table.columns)]
        .reset_index(drop=True)
    )
