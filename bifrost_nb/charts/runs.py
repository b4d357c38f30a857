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
import re
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
from matplotlib.transforms import ScaledTranslation

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
_HEIGHT = 4.5
"""Inches of a figure of our own, before its legend makes it higher."""
_LINE, _LONGEST = 36, 144
"""Signs of a name in one line of a label, and at most."""
_PIECES = re.compile(rf".{{1,{_LINE}}}$|.{{{_LINE // 2},{_LINE - 1}}}[-/._: ]|.{{1,{_LINE}}}")
"""A name's lines: broken behind a sign that ends a part of it, where there is one."""
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
    """A style for each name: always the same one, unless two names of the same chart would share it.

    Beyond eight names the colours come again, with another line, marker and hatch.
    """
    count = len(_STYLES)
    taken: dict[str, int] = {}
    for name in sorted(set(names)):
        place = zlib.crc32(name.encode()) % count
        free = (at for step in range(count**2) if (at := (place + step) % count**2) not in taken.values())
        taken[name] = next(free, place)
    return {name: _style(place) for name, place in taken.items()}


def _style(place: int) -> Style:
    turn, first = divmod(place, len(_STYLES))
    other = _STYLES[(first + turn) % len(_STYLES)]
    return other._replace(colour=_STYLES[first].colour)


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
    _name_rows(ax, [name for name, _ in groups])
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
    asked = _asked(frame).fillna("unknown")
    counts = pd.crosstab(asked, ended).loc[asked.unique()[::-1]]
    shares = counts.div(counts.sum(axis="columns"), axis="index")
    left = np.zeros(len(shares))
    for outcome, (colour, hatch) in _OUTCOMES.items():
        if outcome in shares:
            width = shares[outcome].to_numpy()
            label = f"{outcome} ({int(counts[outcome].sum()):,})"
            ax.barh(range(len(shares)), width, left=left, color=colour, hatch=hatch, edgecolor="white", label=label)
            left += width
    _name_rows(ax, shares.index)
    ax.set_xlim(0, 1)
    _legend_below(ax, columns=3)
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
    _legend_below(ax, columns=2)
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
    ax.tick_params(axis="x", rotation=30)
    _legend_below(ax, columns=2, points=62)  # below the slanted dates
    return ax


def timeline(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """One line a run: waiting in our queue, waiting for the first text, generation."""
    ax = _axes(ax, "Timeline of the runs")
    ax.set_xlabel("seconds since the first run")
    ax.set_ylabel("runs")
    runs = frame.dropna(subset=["started_at", "total_ms"])
    if runs.empty:
        return _empty(ax)
    runs = runs.assign(_asked=_asked(runs).fillna("unknown"))
    runs = runs.assign(_place=pd.factorize(runs["_asked"])[0]).sort_values(["_place", "started_at"], kind="stable")
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
    _name_rows(ax, runs["_asked"].iloc[starts], starts, va="top")
    ax.invert_yaxis()
    handles = [
        Line2D([], [], color="#666666", linewidth=1, linestyle=":", label="in our queue"),
        Line2D([], [], color="#666666", linewidth=1, label="to the first text"),
        Line2D([], [], color="#666666", linewidth=4, label="generation"),
    ]
    _legend_below(ax, columns=3, handles=handles)
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
    _legend_below(ax)
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
        figure = Figure(figsize=(7.5, _HEIGHT), layout="constrained")
        FigureCanvasAgg(figure)
        ax = figure.add_subplot(axes_class=ShownAxes)
    ax.set_title(title)
    return ax


def _empty(ax: Axes, reason: str = "no runs") -> Axes:
    ax.text(0.5, 0.5, reason, transform=ax.transAxes, ha="center", va="center", color="#666666")
    return ax


def _legend_below(ax: Axes, *, columns: int = 1, points: float = 36, handles: list[Line2D] | None = None) -> None:
    """A legend that covers no data, `points` below the axes; a figure of our own grows with it."""
    figure = ax.figure
    below = ax.transAxes + ScaledTranslation(0, -points / 72, figure.dpi_scale_trans)
    legend = ax.legend(
        handles=ax.get_legend_handles_labels()[0] if handles is None else handles,
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        bbox_transform=below,
        frameon=False,
        fontsize="small",
        ncols=columns,
        borderaxespad=0,
    )
    if isinstance(ax, ShownAxes) and isinstance(figure, Figure):
        lines = sum(1 + text.get_text().count("\n") for text in legend.get_texts()) / columns
        figure.set_figheight(figure.get_figheight() + 0.2 * max(0.0, lines - 3))


def _name_rows(ax: Axes, names: Iterable[str], rows: Any = None, **look: Any) -> None:
    """Names beside rows of bars; a figure of our own grows until long ones have room."""
    labels = [_text(name) for name in names]
    ax.set_yticks(range(len(labels)) if rows is None else rows, labels, **look)
    if isinstance(ax, ShownAxes) and isinstance(ax.figure, Figure):
        tallest = max(1 + label.count("\n") for label in labels)
        ax.figure.set_figheight(max(_HEIGHT, 1.2 + 0.2 * tallest * len(labels)))


def _text(name: object) -> str:
    """A name from outside as a label, a long one in lines.

    matplotlib would set ``$...$`` as a formula and hide a leading underscore.
    """
    shown = "".join(sign if sign.isprintable() else " " for sign in str(name))
    if len(shown) > _LONGEST:
        shown = f"{shown[: _LONGEST // 2]}…{shown[-_LONGEST // 2 :]}"
    shown = "\n".join(_PIECES.findall(shown)).replace("$", r"\$")
    return "\u200b" + shown if shown.startswith("_") else shown
