"""Figures over a frame of runs: who was asked, who served, how long, how dear.

Works on every frame with the package's columns: a comparison's, the run log's, the gateway's. Numbers come from pandas
and NumPy; unknown values are left out and counted, never taken as 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["METRICS", "QUANTILES", "deployments", "measured", "served", "summary"]

METRICS = ("total_ms", "ttft_ms", "tokens_per_s", "cost_usd")
QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


def deployments(frame: pd.DataFrame) -> pd.Series[Any]:
    """Who was asked, one name a row: the name given in the comparison, else ``provider/model``. NA where unknown."""
    names = _joined(frame["requested_provider"], frame["requested_model"])
    tags = frame["tags"]
    for row in frame.index[tags.str.contains('"variant"', regex=False, na=False)]:
        tag = orjson.loads(tags[row]).get("variant")
        if isinstance(tag, str):
            names[row] = tag
    return names.rename("deployment")


def served(frame: pd.DataFrame) -> pd.Series[Any]:
    """Who answered, as ``provider/model``; NA where nobody did or the gateway does not tell."""
    return _joined(frame["provider"], frame["model"]).rename("served")


def _joined(provider: pd.Series[Any], model: pd.Series[Any]) -> pd.Series[Any]:
    # A missing provider leaves the model alone, a missing model leaves the provider alone.
    return (provider + "/" + model).fillna(model).fillna(provider).astype("string")


def measured(frame: pd.DataFrame) -> pd.Series[Any]:
    """True for rows whose times are a deployment's own: answered in full, and not out of a cache."""
    return ((frame["status"] == "ok") & ~frame["cache_hit"].fillna(value=False)).fillna(value=False).astype(bool)


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per (deployment asked, deployment that served), in the order asked.

    Columns: ``deployment``, ``served`` (NA: nobody answered), ``runs``, ``ok``, ``errors`` (every other status),
    ``fallback_share`` (of the answered runs of the deployment asked, the share that a fallback served; NA where the
    gateway never tells), ``cached``; then ``<metric>_mean``, ``_p50``, ``_p95``, ``_p99`` for ``total_ms``,
    ``ttft_ms`` (milliseconds), ``tokens_per_s`` and ``cost_usd``, over answered runs that no cache answered;
    ``cost_usd_total`` over all runs with a known cost, and ``cost_usd_unknown``, how many had none.
    Quantiles are linearly interpolated; NA where no run is left.
    """
    import pandas as pd

    frame = frame.reset_index(drop=True)
    keys = [deployments(frame), served(frame)]
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
    table["fallback_share"] = table["deployment"].map(fallbacks).astype("Float64")
    return _ordered(table)


def _ordered(table: pd.DataFrame) -> pd.DataFrame:
    """The contract's columns and dtypes; deployments in the order first seen, their most frequent server first."""
    order = ["deployment", "served", "runs", "ok", "errors", "fallback_share", "cached"]
    figures = [f"{metric}_{name}" for metric in METRICS for name in ("mean", *QUANTILES)]
    table = table[[*order, *figures, "cost_usd_total", "cost_usd_unknown"]]
    floats = dict.fromkeys(["fallback_share", *figures, "cost_usd_total"], "Float64")
    table = table.astype({"deployment": "string", "served": "string", **floats})
    seen = {name: place for place, name in enumerate(table["deployment"].drop_duplicates())}
    place = table["deployment"].map(seen)
    return (
        table.assign(_place=place)
        .sort_values(["_place", "runs"], ascending=[True, False], kind="stable")[list(table.columns)]
        .reset_index(drop=True)
    )
