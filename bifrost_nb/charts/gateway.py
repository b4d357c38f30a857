"""A chart of the gateway's own time series: a frame of `gateway_histogram` in, a matplotlib Axes out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ..errors import ConfigurationError
from .style import Style, as_label, axes, styles, time_axis

__all__ = ["gateway_chart"]

_FIGURES = {
    "requests": ("Requests through the gateway", "requests"),
    "tokens": ("Tokens through the gateway", "tokens"),
    "cost_usd": ("Cost of the gateway's requests", "cost (USD)"),
    "tokens_per_s": ("Throughput by the gateway's clock", "completion tokens per second"),
    "latency_ms": ("Latency by the gateway's clock", "latency (ms)"),
}
_MOST = 8
"""Series drawn one by one; a legend of thirty models tells nothing."""
_FURTHER = (("--", "s", "xxx"), (":", "D", "..."), ("-.", "^", "|||"), ("-", "v", "---"))
"""Line, marker and hatch of what is told of one model beyond its first series."""
_TIME = ("bucket_start", "bucket_s")


def gateway_chart(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw what `gateway_histogram` returned: counts and costs as stacked bars, latency as lines.

    `ax` None: a figure of its own that belongs to nobody (no pyplot), shown by the Axes it returns. An empty frame
    gives an empty chart with its title. Raises ConfigurationError for any other frame.

        bf.gateway_chart(bf.gateway_histogram("tokens", since="7d"))
    """
    figure, labels = _columns(frame)
    title, unit = _FIGURES[figure]
    ax = axes(ax, title)
    ax.set_xlabel("time (UTC)")
    ax.set_ylabel(unit)
    frame = frame[frame["bucket_start"].notna()]
    if frame.empty:
        ax.text(0.5, 0.5, "no requests", transform=ax.transAxes, ha="center", va="center", color="#666666")
        return ax
    said = frame[labels].fillna("unknown")
    names = said.agg(" ".join, axis="columns") if labels else "all"
    owners = dict(zip(names, said[labels[0]], strict=True)) if labels else {}
    table = frame.assign(series=names).pivot_table(
        index="bucket_start", columns="series", values=figure, aggfunc="sum", min_count=1, sort=False, dropna=False
    )
    table = table.astype("float64").sort_index()
    # In the gateway's order: prompt before completion, mean before p99.
    table = table[list(dict.fromkeys(names if labels else ["all"]))]
    widths = frame["bucket_s"].dropna()
    bucket_s = float(widths.max() or 60) if len(widths) else 60.0
    if figure in ("latency_ms", "tokens_per_s"):
        _lines(ax, table, _looks(table.columns, owners), bucket_s)
    else:
        table = _largest(table)
        _bars(ax, table, _looks(table.columns, owners), bucket_s)
    first, last = (when.tz_convert(None) for when in (table.index[0], table.index[-1]))
    ax.set_xlim(first, last + np.timedelta64(int(1000 * bucket_s), "ms"))  # empty buckets are a fact, too
    ax.set_ylim(bottom=0)
    time_axis(ax)
    ax.legend(frameon=False)
    return ax


def _looks(names: Iterable[str], owners: Mapping[str, str]) -> dict[str, Style]:
    """A model, or provider, has one colour in every chart: its further series differ by line, marker and hatch."""
    look = styles(owners.get(name, name) for name in names)
    found: dict[str, Style] = {}
    drawn: dict[str, int] = {}
    for name in names:
        owner = owners.get(name, name)
        style = look[owner]
        others = [style, *(Style(style.colour, *one) for one in _FURTHER if one[-1] != style.hatch)]
        found[name] = others[drawn.get(owner, 0) % len(others)]
        drawn[owner] = drawn.get(owner, 0) + 1
    return found


def _columns(frame: pd.DataFrame) -> tuple[str, list[str]]:
    is_frame = isinstance(frame, pd.DataFrame)
    names = list(frame.columns) if is_frame else []
    if len(names) < 3 or tuple(names[:2]) != _TIME or names[-1] not in _FIGURES:
        what = "this frame has other columns" if is_frame else f"not {type(frame).__name__}"
        raise ConfigurationError(
            f"gateway_chart draws what bf.gateway_histogram(...) returned; {what}.",
            hint="For runs there are comparison.plot and bifrost_nb.charts.",
        )
    return names[-1], names[2:-1]


def _largest(table: pd.DataFrame) -> pd.DataFrame:
    """The series that count for something; beyond `_MOST` the smaller ones as one."""
    totals = table.sum()
    table = table[totals[totals > 0].index] if (totals > 0).any() else table
    if len(table.columns) <= _MOST:
        return table
    kept = list(totals.nlargest(_MOST - 1).index)
    return table[[name for name in table if name in kept]].assign(
        **{"all others": table.drop(columns=kept).sum(axis="columns")}
    )


def _lines(ax: Axes, table: pd.DataFrame, look: Any, bucket_s: float) -> None:
    when = pd.DatetimeIndex(table.index).tz_convert(None).to_numpy() + np.timedelta64(
        int(500 * bucket_s), "ms"
    )  # a bucket's middle
    for name in table:
        style = look[name]
        ax.plot(when, table[name], color=style.colour, linestyle=style.dash, marker=style.marker, label=as_label(name))


def _bars(ax: Axes, table: pd.DataFrame, look: Any, bucket_s: float) -> None:
    when = pd.DatetimeIndex(table.index).tz_convert(None).to_numpy()
    width = np.timedelta64(int(900 * bucket_s), "ms")  # nine tenths of a bucket
    bottom = np.zeros(len(table))
    for name in table:
        style, heights = look[name], table[name].fillna(0).to_numpy()
        look_of = {"color": style.colour, "hatch": style.hatch, "edgecolor": "white", "label": as_label(name)}
        edges = np.where(heights > 0, 1.0, 0.0)  # of an empty bucket nothing is seen, on dark ground either
        ax.bar(when, heights, width, bottom=bottom, align="edge", linewidth=edges, **look_of)
        bottom = bottom + heights
