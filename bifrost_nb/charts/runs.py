"""Charts of runs: a DataFrame in, a matplotlib Axes out.

Each function takes a frame with the run columns (and, where it has one, a ``deployment`` column naming who was asked;
otherwise ``requested_provider/requested_model``) and an `ax` to draw into; without one it makes a figure of its own
that belongs to nobody: no pyplot, no global style. The Axes it returns shows itself in a notebook.

Times and costs are those of answered runs that no cache answered; runs that a fallback served are drawn apart, as
``asked → served``. Every series differs by line, marker or hatch as well as by colour, and a deployment looks the same
in every chart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation, Text
from matplotlib.ticker import PercentFormatter

from .direct_labels import label_at_end, label_directly, label_in_corner
from .label_grid import NamedSeries
from .style import (
    ShownAxes,
    as_label,
    axes,
    describe,
    empty,
    layer,
    legend_below,
    missing_signs,
    name_rows,
    styles,
    time_axis,
)

__all__ = [
    *("checked", "clean", "cost", "errors", "latency", "over_time", "room_for_notes", "series"),
    *("timeline", "tokens", "ttft"),
]


_OUTCOMES = {
    "answered": ("#009E73", ""),
    "by a fallback": ("#2E97C4", "///"),
    "from a cache": ("#968E00", "..."),
    "error": ("#D55E00", "xxx"),
    "timeout": ("#B88300", "\\\\\\"),
    "truncated": ("#BC62A0", "+++"),
    "cancelled": ("#7A7A7A", "---"),
}
LINES_AT_MOST = 400
"""So many runs are lines of their own in a timeline; more would run into each other."""
_MOMENTS = 600


def latency(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """The distribution of the whole time (``total_ms``) with p50 and p95.

        charts.latency(frame)

    `frame` and `ax` as in `bifrost_nb.charts`.
    """
    return _distribution(frame, "total_ms", "Time to the whole answer", "total time (ms)", ax)


def ttft(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """The distribution of the time to the first text (``ttft_ms``) with p50 and p95; streamed runs only.

        charts.ttft(frame)

    `frame` and `ax` as in `bifrost_nb.charts`.
    """
    return _distribution(frame, "ttft_ms", "Time to the first text", "time to first text (ms)", ax)


def tokens(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """The distribution of the speed (``tokens_per_s``) with p50 and p95.

        charts.tokens(frame)

    `frame` and `ax` as in `bifrost_nb.charts`.
    """
    return _distribution(frame, "tokens_per_s", "Speed of generation", "completion tokens per second", ax)


def cost(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Mean cost of 1,000 answered runs, with the total and the number of runs whose cost is unknown, cached ones too.

        charts.cost(frame)

    US dollars, the figures of ``summary()``. `frame` and `ax` as in `bifrost_nb.charts`.
    """
    from .._compare.verdict import amount

    ax = axes(ax, "Cost of 1,000 runs")
    ax.set_xlabel("mean cost of 1,000 runs (USD)")
    frame = checked(frame)
    groups = [(name, runs["cost_usd"]) for name, runs in series(clean(frame))]
    if not groups:
        return empty(ax)
    look = styles(name for name, _ in groups)
    every = dict(series(frame.dropna(subset=["model"])))
    notes: list[tuple[float, Annotation]] = []
    for row, (name, values) in enumerate(groups):
        known = values.dropna().to_numpy("float64")
        mean = 1000 * known.mean() if len(known) else 0.0
        ax.barh(row, mean, color=look[name].colour, hatch=look[name].hatch, edgecolor="white", height=0.7)
        spent = every[name]["cost_usd"] if name in every else values
        unknown = int(spent.isna().sum())
        note = (
            f" {amount(mean, 'cost_usd')}, in all {amount(spent.sum(), 'cost_usd')}" if len(known) else " cost unknown"
        )
        note += f", {unknown:,} run{'' if unknown == 1 else 's'} unknown" if len(known) and unknown else ""
        notes.append((mean, ax.annotate(note.replace("$", r"\$"), (mean, row), va="center", fontsize="small")))
    name_rows(ax, [name for name, _ in groups])
    ax.invert_yaxis()
    room_for_notes(ax, notes)
    return ax


@missing_signs()
def room_for_notes(ax: Axes, notes: Sequence[tuple[float, Annotation]]) -> None:
    """Let the axis end where the last note behind a bar does: long names leave it little width."""
    if isinstance(ax, ShownAxes) and isinstance(ax.figure, Figure):
        ax.figure.draw_without_rendering()  # lets the layout settle
    width = ax.get_window_extent().width
    ends = [end / max(0.1, 0.98 - Text.get_window_extent(note).width / width) for end, note in notes]
    ax.set_xlim(0, max(ends) or 1)


def errors(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """How each deployment's runs ended: answered by itself, by a fallback, from a cache, or not.

        charts.errors(bf.runs(since="1d"))

    `frame` and `ax` as in `bifrost_nb.charts`.
    """
    frame = checked(frame)
    ax = axes(ax, "How the runs ended")
    ax.set_xlabel("share of runs")
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    if frame.empty:
        return empty(ax)
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
    name_rows(ax, shares.index)
    ax.set_xlim(0, 1)
    legend_below(ax, columns=3)
    return ax


def over_time(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Each run's time against when it began, with a running median: shows drift.

        charts.over_time(frame)

    Milliseconds against UTC. `frame` and `ax` as in `bifrost_nb.charts`.
    """
    frame = checked(frame)
    ax = axes(ax, "Over time")
    ax.set_xlabel("began (UTC)")
    ax.set_ylabel("total time (ms)")
    groups = list(series(clean(frame).dropna(subset=["started_at", "total_ms"]).sort_values("started_at")))
    if not groups:
        return empty(ax)
    look = styles(name for name, _ in groups)
    drawn = []
    for name, runs in groups:
        when = runs["started_at"].dt.tz_convert(None).to_numpy()
        values = runs["total_ms"].astype("float64")
        ax.plot(when, values, look[name].marker, color=look[name].colour, markersize=3, alpha=0.35, linestyle="none")
        running = values.rolling(max(3, len(values) // 20), center=True, min_periods=1).median()
        dash = look[name].dash
        ax.plot(when, running, color=look[name].colour, linestyle=dash, zorder=layer(dash), label=as_label(name))
        drawn.append(NamedSeries(as_label(name), look[name].colour, when, running))
    ax.set_ylim(bottom=0)
    time_axis(ax)
    if not label_at_end(ax, drawn):
        legend_below(ax, columns=2)
    return ax


def timeline(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """One line a run: waiting in our queue, waiting for the first text, generation.

        charts.timeline(frame)

    Of more than `LINES_AT_MOST` runs how many of each deployment were in which of the three at a time. `frame` and `ax`
    as in `bifrost_nb.charts`.
    """
    frame = checked(frame)
    ax = axes(ax, "Timeline of the runs")
    ax.set_xlabel("seconds since the first run")
    ax.set_ylabel("runs")
    runs = frame.dropna(subset=["started_at", "total_ms"])
    if runs.empty:
        return empty(ax)
    runs = runs.assign(_asked=_asked(runs).fillna("unknown"))
    runs = runs.assign(_place=pd.factorize(runs["_asked"])[0]).sort_values(["_place", "started_at"], kind="stable")
    sent = (runs["started_at"] - runs["started_at"].min()).dt.total_seconds().to_numpy()
    queued = sent - runs["queue_ms"].fillna(0).to_numpy("float64") / 1000
    ended = sent + runs["total_ms"].to_numpy("float64") / 1000
    first = sent + runs["ttft_ms"].fillna(runs["total_ms"]).to_numpy("float64") / 1000
    if len(runs) > LINES_AT_MOST:
        return _under_way(ax, runs["_asked"].to_numpy("str"), queued, sent, first, ended)
    rows = np.arange(len(runs))
    width = float(np.clip(220 / len(runs), 0.4, 8))
    look = styles(runs["_asked"])
    colours = [look[name].colour for name in runs["_asked"]]
    ax.hlines(rows, queued, sent, colors="#BBBBBB", linewidth=width * 0.4, linestyles="dotted")
    ax.hlines(rows, sent, first, colors=colours, linewidth=width * 0.4)
    ax.hlines(rows, first, ended, colors=colours, linewidth=width)
    starts = np.flatnonzero(~runs["_asked"].duplicated())
    name_rows(ax, runs["_asked"].iloc[starts], starts, va="top")
    ax.invert_yaxis()
    handles = [
        Line2D([], [], color="#666666", linewidth=1, linestyle=":", label="in our queue"),
        Line2D([], [], color="#666666", linewidth=1, label="to the first text"),
        Line2D([], [], color="#666666", linewidth=4, label="generation"),
    ]
    legend_below(ax, columns=3, handles=handles)
    return ax


def _under_way(ax: Axes, asked: Any, queued: Any, sent: Any, first: Any, ended: Any) -> Axes:
    """How many runs were under way, a band for each deployment: generating below, waiting above, our queue on top."""
    moments = np.linspace(queued.min(), ended.max(), _MOMENTS)
    names = list(dict.fromkeys(asked))
    look = styles(names)
    said = []
    for row, name in enumerate(names):
        own = asked == name
        times = [np.sort(edge[own]) for edge in (queued, sent, first, ended)]
        past = [np.searchsorted(edge, moments, side="right") for edge in times]  # so many had got there
        within = [before - after for before, after in pairwise(past)]
        most = int(np.sum(within, axis=0).max())
        height = 0.85 / max(1, most)
        base = np.full(_MOMENTS, row + 0.95)
        for count, alpha in zip(reversed(within), (1.0, 0.55, 0.2), strict=True):
            top = base - height * count
            ax.fill_between(moments, base, top, color=look[name].colour, alpha=alpha, linewidth=0, step="mid")
            base = top
        said.append(f"{int(own.sum()):,} runs of {name}, at most {most:,} at once")
        ax.annotate(f"at most {most:,} at once ", (1, row + 0.02), xycoords=("axes fraction", "data"),
                    ha="right", va="top", fontsize="small")  # fmt: skip
    name_rows(ax, names, np.arange(len(names)) + 0.5)
    ax.set_ylabel("runs under way")
    ax.set_ylim(len(names), -0.12)
    ax.set_xlim(moments[0], moments[-1])
    handles = [
        Line2D([], [], color="#7A7A7A", linewidth=8, alpha=alpha, label=words)
        for words, alpha in (("in our queue", 0.2), ("to the first text", 0.55), ("generation", 1.0))
    ]
    describe(ax, "; ".join(said))
    legend_below(ax, columns=3, handles=handles)
    return ax


def _distribution(frame: pd.DataFrame, metric: str, title: str, unit: str, ax: Axes | None) -> Axes:
    """The share of runs that were at or below each value: no bins, no smoothing.

    Between two runs the line is straight, as NumPy's quantiles are, so that p50 and p95 lie on it.
    """
    from .._compare.verdict import amount
    from .._numbers import fewest_for

    frame = checked(frame)
    ax = axes(ax, title)
    ax.set_xlabel(unit)
    ax.set_ylabel("share of runs")
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    groups = [(name, runs[metric].to_numpy("float64")) for name, runs in series(clean(frame).dropna(subset=[metric]))]
    if not groups:
        return empty(ax)
    look = styles(name for name, _ in groups)
    said, drawn = [], []
    kind = "number" if metric == "tokens_per_s" else metric  # as the table has it: the axis says the unit
    for name, values in groups:
        told = {part: share for part, share in (("p50", 0.5), ("p95", 0.95)) if len(values) >= fewest_for(share)}
        marks = np.quantile(values, [*told.values()])
        figures = ", ".join(f"{part} {amount(mark, kind)}" for part, mark in zip(told, marks, strict=True))
        label = f"{as_label(name)}: {figures}, n = {len(values):,}"
        shares = np.linspace(0, 1, len(values)) if len(values) > 1 else np.array([0, 1])
        at = np.sort(values) if len(values) > 1 else np.repeat(values, 2)
        dash = look[name].dash
        ax.plot(at, shares, color=look[name].colour, linestyle=dash, zorder=layer(dash), label=label)
        ax.plot(marks, [*told.values()], look[name].marker, color=look[name].colour, linestyle="none", markersize=7)
        said.append(label)
        drawn.append(NamedSeries(label.replace(": p50", "\np50"), look[name].colour, at, shares))
    if any(len(values) < fewest_for(0.95) for _, values in groups):
        ax.set_xlabel(f"{unit} (p95 from {fewest_for(0.95)} runs on)")
    ax.set_xlim(left=0)
    ax.set_ylim(0, 1.02)
    for share in (0.5, 0.95):
        ax.axhline(share, color="#999999", alpha=0.5, linewidth=0.8, zorder=0)
        drawn.append(NamedSeries("", "#999999", [0, 2 * ax.get_xlim()[1]], [share, share], thin=True))
    describe(ax, "; ".join(said))
    if not (label_directly(ax, drawn, widen=True) or label_in_corner(ax, drawn)):
        legend_below(ax)
    return ax


def checked(frame: pd.DataFrame) -> pd.DataFrame:
    """`frame`, of a file, a merge or a concatenation, as figures are read from it. Raises ConfigurationError."""
    from .._compare.groups import runs_frame
    from .._compare.same_run import each_once

    runs = runs_frame(frame)
    return each_once(runs, lambda: [_asked(runs)])


def clean(frame: pd.DataFrame) -> pd.DataFrame:
    answered = (frame["status"] == "ok").fillna(value=False)
    return frame[answered & ~frame["cache_hit"].fillna(value=False)]


def _asked(frame: pd.DataFrame) -> pd.Series[Any]:
    for name in ("deployment", "variant"):
        if name in frame:
            return frame[name].astype("string")
    return (frame["requested_provider"] + "/" + frame["requested_model"]).fillna(frame["requested_model"])


def series(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """(name, runs) of each deployment in the order first seen; what a fallback served is a series of its own."""
    served = (frame["provider"] + "/" + frame["model"]).fillna(frame["model"]).fillna("unknown")
    asked = _asked(frame).fillna("unknown")
    names = asked.mask(frame["is_fallback"].fillna(value=False), asked + " → " + served)
    for name, runs in frame.groupby(names, sort=False):
        yield str(name), runs
