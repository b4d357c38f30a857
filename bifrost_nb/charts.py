"""Charts of runs: a DataFrame in, a matplotlib Axes out.

Each function takes a frame with the run columns (and, where it has one, a ``deployment`` column naming who was asked;
otherwise ``requested_provider/requested_model``) and an `ax` to draw into; without one it makes a figure of its own
that belongs to nobody: no pyplot, no global style. The Axes it returns shows itself in a notebook.

Times and costs are those of answered runs that no cache answered; runs that a fallback served are drawn apart, as
``asked → served``. Every series differs by line, marker or hatch as well as by colour, and a deployment looks the same
in every chart.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

__all__ = ["Style", "cost", "errors", "latency", "over_time", "styles", "timeline", "tokens", "tradeoff", "ttft"]


class Style(NamedTuple):
    """How one deployment is drawn."""

    colour: str
    dash: str | tuple[int, tuple[int, ...]]
    marker: str
    hatch: str


# Okabe and Ito's palette, which colour-blind readers can tell apart, without its yellow (too light on white).
_STYLES = (
    Style("#0072B2", "-", "o", "///"),
    Style("#D55E00", "--", "s", "\\\\\\"),
    Style("#009E73", "-.", "^", "xxx"),
    Style("#CC79A7", ":", "D", "..."),
    Style("#56B4E9", (0, (5, 1)), "v", "+++"),
    Style("#E69F00", (0, (1, 1)), "P", "ooo"),
    Style("#333333", (0, (3, 1, 1, 1)), "X", "---"),
    Style("#8B5A2B", (0, (8, 3)), "*", "|||"),
)
_OUTCOMES = {
    "answered": ("#009E73", ""),
    "by a fallback": ("#56B4E9", "///"),
    "from a cache": ("#F0E442", "..."),
    "error": ("#D55E00", "xxx"),
    "timeout": ("#E69F00", "\\\\\\"),
    "truncated": ("#CC79A7", "+++"),
    "cancelled": ("#999999", "---"),
}


class ShownAxes(Axes):
    """Axes of a figure without pyplot, which a notebook would otherwise show as text."""

    def _repr_png_(self) -> bytes:
        figure = self.figure
        assert isinstance(figure, Figure), "these axes are made with their figure"  # noqa: S101 - for the type checker
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        return buffer.getvalue()


def styles(names: Iterable[str]) -> dict[str, Style]:
    """A style for each name: always the same one, unless two names of the same chart would share it."""
    taken: dict[str, int] = {}
    for name in sorted(set(names)):
        place = zlib.crc32(name.encode()) % len(_STYLES)
        free = (at for step in range(len(_STYLES)) if (at := (place + step) % len(_STYLES)) not in taken.values())
        taken[name] = next(free, place)
    return {name: _STYLES[place] for name, place in taken.items()}


def latency(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """The distribution of the whole time (``total_ms``) with p50 and p95."""
    return _distribution(frame, "total_ms", "Time to the whole answer", "total time (ms)", ax)


def ttft(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """The distribution of the time to the first text (``ttft_ms``) with p50 and p95; streamed runs only."""
    return _distribution(frame, "ttft_ms", "Time to the first text", "time to first text (ms)", ax)


def tokens(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """The distribution of the speed (``tokens_per_s``) with p50 and p95."""
    return _distribution(frame, "tokens_per_s", "Speed of generation", "completion tokens per second", ax)


def cost(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Mean cost of an answered run, with the total and the number of runs whose cost is unknown."""
    ax = _axes(ax, "Cost of a run")
    ax.set_xlabel("mean cost of a run (USD)")
    groups = [(name, runs["cost_usd"]) for name, runs in _series(_clean(frame))]
    if not groups:
        return _empty(ax)
    look = styles(name for name, _ in groups)
    for row, (name, values) in enumerate(groups):
        known = values.dropna().to_numpy("float64")
        mean = known.mean() if len(known) else 0.0
        ax.barh(row, mean, color=look[name].colour, hatch=look[name].hatch, edgecolor="white", height=0.7)
        note = f" total {known.sum():.4g} USD" if len(known) else " cost unknown"
        note += f", {len(values) - len(known):,} runs unknown" if 0 < len(known) < len(values) else ""
        ax.annotate(note, (mean, row), va="center", fontsize="small")
    ax.set_yticks(range(len(groups)), [_text(name) for name, _ in groups])
    ax.invert_yaxis()
    ax.set_xlim(0, 1.4 * ax.get_xlim()[1])  # room for the notes
    return ax


def errors(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """How each deployment's runs ended: answered by itself, by a fallback, from a cache, or not."""
    ax = _axes(ax, "How the runs ended")
    ax.set_xlabel("share of runs")
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    if frame.empty:
        return _empty(ax)
    ended = frame["status"].fillna("error").replace("ok", "answered")
    answered = ended == "answered"
    ended = ended.mask(answered & frame["is_fallback"].fillna(value=False), "by a fallback")
    ended = ended.mask(answered & frame["cache_hit"].fillna(value=False), "from a cache")
    counts = pd.crosstab(_asked(frame).fillna("unknown"), ended).iloc[::-1]
    shares = counts.div(counts.sum(axis="columns"), axis="index")
    left = np.zeros(len(shares))
    for outcome, (colour, hatch) in _OUTCOMES.items():
        if outcome in shares:
            width = shares[outcome].to_numpy()
            label = f"{outcome} ({int(counts[outcome].sum()):,})"
            ax.barh(range(len(shares)), width, left=left, color=colour, hatch=hatch, edgecolor="white", label=label)
            left += width
    ax.set_yticks(range(len(shares)), [_text(name) for name in shares.index])
    ax.set_xlim(0, 1)
    ax.legend(loc="upper center", bbox_to_anchor=(0.4, -0.15), ncols=3, frameon=False)
    return ax


def tradeoff(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Median cost against median time, with the efficient frontier: what no other beats in both."""
    ax = _axes(ax, "Cost against time")
    ax.set_xlabel("median cost of a run (USD)")
    ax.set_ylabel("median total time (ms)")
    medians = {name: (_median(runs["cost_usd"]), _median(runs["total_ms"])) for name, runs in _series(_clean(frame))}
    points = {name: (x, y) for name, (x, y) in medians.items() if x is not None and y is not None}
    if not points:
        return _empty(ax, "no run with a known cost")
    look = styles(points)
    for name, (x, y) in points.items():
        ax.plot(x, y, look[name].marker, color=look[name].colour, markersize=9, linestyle="none", label=_text(name))
    ax.margins(0.15)
    ax.set_xlim(left=0)
    ax.set_ylim(bottom=0)
    best = sorted(
        (x, y)
        for x, y in points.values()
        if not any(a <= x and b <= y and (a, b) != (x, y) for a, b in points.values())
    )
    # From edge to edge, so that it is seen where one deployment beats all others.
    edges = [(best[0][0], ax.get_ylim()[1]), *best, (ax.get_xlim()[1], best[-1][1])]
    ax.step(
        *zip(*edges, strict=True), where="post", color="#999999", dashes=(4, 2), zorder=1, label="efficient frontier"
    )
    ax.locator_params(axis="x", nbins=4)  # small costs have long numbers
    ax.legend(frameon=False)
    return ax


def _median(values: pd.Series[Any]) -> float | None:
    known = values.dropna().to_numpy("float64")
    return float(np.median(known)) if len(known) else None


def over_time(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Each run's time against when it began, with a running median: shows drift."""
    ax = _axes(ax, "Over time")
    ax.set_xlabel("began (UTC)")
    ax.set_ylabel("total time (ms)")
    groups = list(_series(_clean(frame).dropna(subset=["started_at", "total_ms"]).sort_values("started_at")))
    if not groups:
        return _empty(ax)
    look = styles(name for name, _ in groups)
    for name, runs in groups:
        when = runs["started_at"].dt.tz_convert(None).to_numpy()
        values = runs["total_ms"].astype("float64")
        ax.plot(when, values, look[name].marker, color=look[name].colour, markersize=3, alpha=0.35, linestyle="none")
        running = values.rolling(max(3, len(values) // 20), center=True, min_periods=1).median()
        ax.plot(when, running, color=look[name].colour, linestyle=look[name].dash, label=_text(name))
    ax.legend(frameon=False)
    ax.tick_params(axis="x", rotation=30)
    return ax


def timeline(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """One line a run: waiting in our queue, waiting for the first text, generation."""
    ax = _axes(ax, "Timeline of the runs")
    ax.set_xlabel("seconds since the first run")
    ax.set_ylabel("runs")
    runs = frame.dropna(subset=["started_at", "total_ms"])
    if runs.empty:
        return _empty(ax)
    runs = runs.assign(_asked=_asked(runs).fillna("unknown")).sort_values(["_asked", "started_at"], kind="stable")
    sent = (runs["started_at"] - runs["started_at"].min()).dt.total_seconds().to_numpy()
    queued = sent - runs["queue_ms"].fillna(0).to_numpy("float64") / 1000
    ended = sent + runs["total_ms"].to_numpy("float64") / 1000
    first = sent + runs["ttft_ms"].fillna(runs["total_ms"]).to_numpy("float64") / 1000
    rows = np.arange(len(runs))
    width = float(np.clip(220 / len(runs), 0.4, 8))
    look = styles(runs["_asked"])
    colours = [look[name].colour for name in runs["_asked"]]
    ax.hlines(rows, queued, sent, colors="#BBBBBB", linewidth=width * 0.4, linestyles="dotted")
    ax.hlines(rows, sent, first, colors=colours, linewidth=width * 0.4)
    ax.hlines(rows, first, ended, colors=colours, linewidth=width)
    starts = np.flatnonzero(~runs["_asked"].duplicated())
    ax.set_yticks(starts, [_text(runs["_asked"].iloc[row]) for row in starts], va="top")
    ax.invert_yaxis()
    handles = [
        Line2D([], [], color="#666666", linewidth=1, linestyle=":", label="in our queue"),
        Line2D([], [], color="#666666", linewidth=1, label="to the first text"),
        Line2D([], [], color="#666666", linewidth=4, label="generation"),
    ]
    ax.legend(handles=handles, frameon=False)
    return ax


def _distribution(frame: pd.DataFrame, metric: str, title: str, unit: str, ax: Axes | None) -> Axes:
    """The share of runs that were at or below each value: no bins, no smoothing."""
    ax = _axes(ax, title)
    ax.set_xlabel(unit)
    ax.set_ylabel("share of runs")
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    groups = [(name, runs[metric].to_numpy("float64")) for name, runs in _series(_clean(frame).dropna(subset=[metric]))]
    if not groups:
        return _empty(ax)
    look = styles(name for name, _ in groups)
    for name, values in groups:
        p50, p95 = np.quantile(values, [0.5, 0.95])
        label = f"{_text(name)}: p50 {p50:,.4g}, p95 {p95:,.4g}, n = {len(values):,}"
        ax.ecdf(values, color=look[name].colour, linestyle=look[name].dash, label=label)
        ax.plot([p50, p95], [0.5, 0.95], look[name].marker, color=look[name].colour, linestyle="none", markersize=7)
    for share in (0.5, 0.95):
        ax.axhline(share, color="#CCCCCC", linewidth=0.8, zorder=0)
    ax.set_xlim(left=0)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), frameon=False)
    return ax


def _clean(frame: pd.DataFrame) -> pd.DataFrame:
    answered = (frame["status"] == "ok").fillna(value=False)
    return frame[answered & ~frame["cache_hit"].fillna(value=False)]


def _asked(frame: pd.DataFrame) -> pd.Series[Any]:
    if "deployment" in frame:
        return frame["deployment"].astype("string")
    return (frame["requested_provider"] + "/" + frame["requested_model"]).fillna(frame["requested_model"])


def _series(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """(name, runs) of each deployment in the order first seen; what a fallback served is a series of its own."""
    served = (frame["provider"] + "/" + frame["model"]).fillna(frame["model"]).fillna("unknown")
    asked = _asked(frame).fillna("unknown")
    names = asked.mask(frame["is_fallback"].fillna(value=False), asked + " → " + served)
    for name, runs in frame.groupby(names, sort=False):
        yield str(name), runs


def _axes(ax: Axes | None, title: str) -> Axes:
    if ax is None:
        figure = Figure(figsize=(7.5, 4.5), layout="constrained")
        FigureCanvasAgg(figure)
        ax = figure.add_subplot(axes_class=ShownAxes)
    ax.set_title(title)
    return ax


def _empty(ax: Axes, reason: str = "no runs") -> Axes:
    ax.text(0.5, 0.5, reason, transform=ax.transAxes, ha="center", va="center", color="#666666")
    return ax


def _text(name: object) -> str:
    """A name from outside as a label: matplotlib would set ``$...$`` as a formula and hide a leading underscore."""
    shown = "".join(sign if sign.isprintable() else " " for sign in str(name)).replace("$", r"\$")
    return "\u200b" + shown if shown.startswith("_") else shown
