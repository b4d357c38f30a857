"""The chart of a load curve."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from .style import as_label, axes, empty, styles

__all__ = ["load"]


def load(frame: pd.DataFrame, deployment: str, ax: Axes | None = None) -> Axes:
    """Good answers a second against calls a second, with 95 % intervals; `frame` is that of a `LoadCurve`."""
    ax = axes(ax, "Answers within the service level")
    ax.set_xlabel("calls a second")
    ax.set_ylabel("good answers a second")
    known = frame.dropna(subset=["goodput_per_s"])
    if known.empty:
        return empty(ax)
    rate, good = known["rate_per_s"].to_numpy("float64"), known["goodput_per_s"].to_numpy("float64")
    low, high = (rate * known[f"good_{end}"].to_numpy("float64") for end in ("low", "high"))
    look = styles([deployment])[deployment]
    ax.axline((0, 0), slope=1, color="#999999", linestyle=":", linewidth=1)
    ax.annotate(
        "all good", (rate[-1], rate[-1]), xytext=(-14, 2), textcoords="offset points", ha="right", fontsize="small"
    )
    ax.errorbar(
        rate,
        good,
        [(good - low).clip(0), (high - good).clip(0)],
        color=look.colour,
        linestyle=look.dash,
        marker=look.marker,
        capsize=3,
    )
    ax.annotate(as_label(deployment), (rate[-1], good[-1]), xytext=(-8, -40), textcoords="offset points", ha="right")
    ax.set_xlim(0, 1.05 * rate[-1])
    ax.set_ylim(0, 1.1 * max(rate[-1], float(high.max())))
    return ax
