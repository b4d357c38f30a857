"""Where the time of a call went."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from .runs import checked, clean, room_for_notes, series
from .style import axes, empty, legend_below, name_rows

__all__ = ["PARTS", "anatomy", "anatomy_parts"]

PARTS = {  # part -> colour, hatch
    "waiting here": ("#7A7A7A", "---"),
    "network": ("#2E97C4", "..."),
    "gateway": ("#BC62A0", "xxx"),
    "to first text": ("#B88300", "///"),
    "generation": ("#009E73", ""),
}


_ROUNDING_MS = 1.0
"""Gateways tell whole milliseconds."""


def anatomy_parts(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean milliseconds of each part of a call, a row for each deployment: the columns of `PARTS`, and ``runs``.

    - *waiting here*: in the comparison's own queue (``queue_ms``); no part of ``total_ms``.
    - *network*: our clock minus the gateway's (``total_ms - latency_ms``): the way there and back, and our reading.
    - *gateway*: the gateway's time minus the provider's (``latency_ms - upstream_ms``), where the gateway tells that
      one (2.0 and later; a column ``upstream_ms``).
    - *to first text*: what remains until the first text: the provider at work, and what is not told apart from it.
    - *generation*: from the first text to the end; NA where no run was streamed.

    Of answered runs that no cache answered. A part that no run of a deployment tells is NA and is in *to first text*;
    where only some runs tell it the others are left out, so that the parts but for the first add up to the mean time
    (``runs`` counts those used). So it is where the gateway's time is of a part of the call: of a fallback, and of the
    last attempt of several. A part that comes out a millisecond below 0 is NA, too, since its clocks do not agree, and
    one that is longer than it took to the first text, as where text was read late. Less is rounding, and 0.

    `frame` is one of runs, see `bifrost_nb.charts`. How often a call was tried is in none of the columns of every
    frame, and without a column ``attempts`` what failed before and the pauses could not be told from the network:
    *network* and *gateway* are NA then. `comparison.plot.anatomy()` knows; of the run log, runs tell:

        runs = bf.run_log().read(since="1d")
        charts.anatomy_parts(bf.to_frame(runs).assign(attempts=[len(run.attempts) or None for run in runs]))
    """
    return _table(frame).drop(columns="answered")


def _table(frame: pd.DataFrame) -> pd.DataFrame:
    """`anatomy_parts`, and how many runs were ``answered``."""
    rows = {}
    for name, answered in series(clean(checked(frame)).dropna(subset=["total_ms"])):
        runs = _of_whole_calls(answered)
        for told in ("latency_ms", "upstream_ms", "ttft_ms"):
            if told in runs and runs[told].notna().any():
                runs = runs[runs[told].notna()]
        total, latency, upstream, before = (
            _mean(runs, name) for name in ("total_ms", "latency_ms", "upstream_ms", "ttft_ms")
        )
        first = total if np.isnan(before) else before
        network = _part(total - latency, first)
        gateway = _part(latency - upstream, first - np.nan_to_num(network))
        rows[name] = {
            "waiting here": _mean(runs, "queue_ms"),
            "network": network,
            "gateway": gateway,
            "to first text": first - np.nan_to_num(network) - np.nan_to_num(gateway),
            "generation": total - before,
            "runs": len(runs),
            "answered": len(answered),
        }
    table = pd.DataFrame.from_dict(rows, orient="index", columns=[*PARTS, "runs", "answered"])
    kinds = {**dict.fromkeys(PARTS, "Float64"), "runs": "Int64", "answered": "Int64"}
    return table.astype(kinds).rename_axis("deployment")


def _of_whole_calls(runs: pd.DataFrame) -> pd.DataFrame:
    """`runs` without the gateway's times where these may be of the last attempt, and ours of all."""
    part = runs["is_fallback"].fillna(value=False).astype(bool)
    part |= ~runs["attempts"].eq(1).fillna(value=False).astype(bool) if "attempts" in runs else True
    times = [name for name in ("latency_ms", "upstream_ms") if name in runs]
    return runs.assign(**{name: runs[name].mask(part) for name in times})


def _part(mean: float, most: float) -> float:
    """A part of the `most` it can be; unknown where it comes out as none."""
    return float(np.clip(mean, 0.0, most)) if -_ROUNDING_MS < mean < most + _ROUNDING_MS else np.nan


def anatomy(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Where the time of a call went, on average: `anatomy_parts` as bars, a part of it told only where it is known.

    Beside a bar stands which of the parts that others have are unknown of it, and how many runs tell those it has;
    below, where nothing tells how often calls were tried, so that none has a *network*.

        charts.anatomy(frame)

    `frame` and `ax` as in `bifrost_nb.charts`.
    """
    from .._compare.verdict import amount

    ax = axes(ax, "Where the time goes")
    ax.set_xlabel("mean time (ms)")
    table = _table(frame)
    if table.empty:
        return empty(ax)
    if "attempts" not in frame and "latency_ms" in frame and frame["latency_ms"].notna().any():
        ax.set_xlabel("mean time (ms); network not told apart: the frame has no column attempts")
    left = np.zeros(len(table))
    for part, (colour, hatch) in PARTS.items():
        width = table[part].to_numpy("float64", na_value=np.nan)
        if np.isnan(width).all():
            continue
        width = np.nan_to_num(width)
        ax.barh(range(len(table)), width, left=left, color=colour, hatch=hatch, edgecolor="white", label=part)
        left += width
    drawn = [part for part in PARTS if table[part].notna().any()]
    notes = []
    for row, (end, (_, told)) in enumerate(zip(left, table.iterrows(), strict=True)):
        said = [f" {amount(float(end), 'total_ms')}"]
        unknown = [part for part in drawn if pd.isna(told[part])]
        said += [f"{', '.join(unknown)} unknown"] if unknown else []
        said += [f"{told['runs']:,} of {told['answered']:,} runs"] if told["runs"] < told["answered"] else []
        notes.append((float(end), ax.annotate("; ".join(said), (end, row), va="center", fontsize="small")))
    name_rows(ax, table.index)
    ax.invert_yaxis()
    room_for_notes(ax, notes)
    legend_below(ax, columns=max(1, len(ax.containers)))  # one row: in columns it would run down, not along the bar
    return ax


def _mean(runs: pd.DataFrame, name: str) -> float:
    return float(runs[name].astype("Float64").mean()) if name in runs and runs[name].notna().any() else np.nan
