"""Where the time of a call went."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from .runs import checked, clean, series
from .style import axes, empty, legend_below, name_rows

__all__ = ["PARTS", "anatomy", "anatomy_parts"]

PARTS = {  # part -> colour, hatch
    "waiting here": ("#7A7A7A", "---"),
    "network": ("#2E97C4", "..."),
    "gateway": ("#BC62A0", "xxx"),
    "to first text": ("#B88300", "///"),
    "generation": ("#009E73", ""),
}


def anatomy_parts(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean milliseconds of each part of a call, a row for each deployment: the columns of `PARTS`, and ``runs``.

    - *waiting here*: in the comparison's own queue (``queue_ms``); no part of ``total_ms``.
    - *network*: our clock minus the gateway's (``total_ms - latency_ms``): the way there and back, and our reading.
    - *gateway*: the gateway's time minus the provider's (``latency_ms - upstream_ms``), where the gateway tells that
      one (2.0 and later; a column ``upstream_ms``).
    - *to first text*: what remains until the first text: the provider at work, and what is not told apart from it.
    - *generation*: from the first text to the end; NA where no run was streamed.

    Of answered runs that no cache answered. A part that no run of a deployment tells is NA and is in *to first text*;
    where only some runs tell it the others are left out, so that the parts add up (``runs`` counts those used). A part
    that comes out below 0, since two clocks were read, is 0.

    `frame` is one of runs, see `bifrost_nb.charts`.

        charts.anatomy_parts(bf.runs(since="1d"))
    """
    rows = {}
    frame = checked(frame)
    for name, answered in series(clean(frame).dropna(subset=["total_ms"])):
        runs = answered
        for told in ("latency_ms", "upstream_ms", "ttft_ms"):
            if told in runs and runs[told].notna().any():
                runs = runs[runs[told].notna()]
        value = {part: _values(runs, part) for part in ("queue_ms", "total_ms", "latency_ms", "ttft_ms", "upstream_ms")}
        total, before = value["total_ms"], value["ttft_ms"]
        network = (total - value["latency_ms"]).clip(0)
        gateway = (value["latency_ms"] - value["upstream_ms"]).clip(0)
        first = np.where(np.isnan(before), total, before)
        parts = {
            "waiting here": value["queue_ms"],
            "network": network,
            "gateway": gateway,
            "to first text": (first - np.nan_to_num(network) - np.nan_to_num(gateway)).clip(0),
            "generation": total - before,
        }
        rows[name] = {part: _mean(values) for part, values in parts.items()} | {"runs": len(runs)}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=[*PARTS, "runs"])
    return table.astype({**dict.fromkeys(PARTS, "Float64"), "runs": "Int64"}).rename_axis("deployment")


def anatomy(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Where the time of a call went, on average: `anatomy_parts` as bars, a part of it told only where it is known.

        charts.anatomy(frame)

    `frame` and `ax` as in `bifrost_nb.charts`.
    """
    from .._compare.verdict import amount

    ax = axes(ax, "Where the time goes")
    ax.set_xlabel("mean time (ms)")
    table = anatomy_parts(frame)
    if table.empty:
        return empty(ax)
    left = np.zeros(len(table))
    for part, (colour, hatch) in PARTS.items():
        width = table[part].to_numpy("float64", na_value=np.nan)
        if np.isnan(width).all():
            continue
        width = np.nan_to_num(width)
        ax.barh(range(len(table)), width, left=left, color=colour, hatch=hatch, edgecolor="white", label=part)
        left += width
    for row, end in enumerate(left):
        ax.annotate(f" {amount(float(end), 'total_ms')}", (end, row), va="center", fontsize="small")
    name_rows(ax, table.index)
    ax.invert_yaxis()
    ax.set_xlim(0, 1.15 * float(left.max()) or 1)
    legend_below(ax, columns=max(1, len(ax.containers)))  # one row: in columns it would run down, not along the bar
    return ax


def _values(runs: pd.DataFrame, name: str) -> np.ndarray:
    if name not in runs:
        return np.full(len(runs), np.nan)
    return runs[name].to_numpy("float64", na_value=np.nan)


def _mean(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None
