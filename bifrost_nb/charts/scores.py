"""Charts of scores: how good each variant is, what that costs, how far two judges agree."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ..errors import ConfigurationError
from .direct_labels import label_at_end, label_directly
from .label_grid import NamedSeries
from .runs import checked, clean, series
from .style import as_label, axes, describe, empty, legend_below, name_rows, styles

__all__ = ["agreement", "scores", "tradeoff"]

FRONTIER = "#7F7F7F"
FEWEST_INPUTS = 6
"""Below this many inputs a mean has no interval."""
_UNITS = {
    "cost_usd": "cost of 1,000 runs (USD)",
    "total_ms": "total time (ms)",
    "ttft_ms": "time to first text (ms)",
    "tokens_per_s": "completion tokens per second",
    "completion_tokens": "completion tokens",
    "total_tokens": "tokens",
}


def scores(frame: pd.DataFrame, score: str | None = None, ax: Axes | None = None) -> Axes:
    """The mean of a score for each variant, with its 95 % interval over inputs and how many were judged.

        charts.scores(comparison.frame, "brief")

    `score` is a column of `frame` or a score's name, by default the first score. Repeats of an input are one sample of
    it. Draws into `ax`. Raises ConfigurationError for a score that is not there.
    """
    frame = checked(frame)
    name = _score(frame, score)
    ax = axes(ax, "How good the answers are")
    ax.set_xlabel(f"mean of {as_label(name)}")
    judged = frame[frame[name].notna()] if name in frame else frame.iloc[:0]
    groups = [(who, runs) for who, runs in series(judged) if len(runs)]
    if not groups:
        return empty(ax, "no scores")
    look = styles(who for who, _ in groups)
    for row, (who, runs) in enumerate(groups):
        mean, low, high, count = _mean_interval(runs, name)
        style = look[who]
        if low is not None and high is not None:
            ax.hlines(row, low, high, colors=style.colour, linewidth=6, alpha=0.35)
        ax.plot(mean, row, style.marker, color=style.colour, markersize=10, linestyle="none")
        interval = "" if low is None or high is None else f" ({_two(low)} to {_two(high)})"
        note = f"{_two(mean)}{interval}, {count:,} input{'' if count == 1 else 's'}"
        ax.annotate(note, (1.02, row), xycoords=("axes fraction", "data"), va="center", fontsize="small")
    name_rows(ax, [who for who, _ in groups], least=1.4 + 0.45 * len(groups))
    ax.set_ylim(len(groups) - 0.5, -0.5)
    values = judged[name].to_numpy("float64")
    if values.min() >= 0 and values.max() <= 1:
        ax.set_xlim(-0.03, 1.03)
    else:
        ax.margins(x=0.1)
    ax.grid(axis="x", color="#808080", alpha=0.3, linewidth=0.8)
    ax.set_axisbelow(True)
    return ax


def tradeoff(frame: pd.DataFrame, x: str = "cost_usd", y: str = "total_ms", ax: Axes | None = None) -> Axes:
    """Two figures against each other, with the efficient frontier: what no other beats in both.

        charts.tradeoff(comparison.frame, x="cost_usd", y="score")

    `x` (across) and `y` (up) are columns of `frame`. Times and speeds are medians, money, tokens and scores means, over
    answered runs that no cache answered; money is that of 1,000 runs. Less is better for times, money and tokens, more
    for scores and speeds. Draws into `ax`. Raises ConfigurationError for a column that is not there.
    """
    frame = checked(frame)
    for name in (x, y):
        if not isinstance(name, str) or name not in frame:
            have = [str(column) for column in frame if _is_score(str(column))]
            raise ConfigurationError(
                f"The frame has no column {name!r}.", hint=f"Its scores are {', '.join(have)}." if have else None
            )
        if frame[name].dtype.kind not in "iufb" or not np.isfinite(frame[name].dropna().to_numpy("float64")).all():
            raise ConfigurationError(f"Not all values of {name!r} are finite numbers.")
    default = (x, y) == ("cost_usd", "total_ms")
    ax = axes(ax, "Cost against time" if default else f"{_short(x).capitalize()} against {_short(y)}")
    ax.set_xlabel(_unit(x))
    ax.set_ylabel(_unit(y))
    figures = {name: (_figure(runs[x], x), _figure(runs[y], y)) for name, runs in series(clean(frame))}
    points = {name: (a, b) for name, (a, b) in figures.items() if a is not None and b is not None}
    if not points:
        return empty(ax, "no run with a known cost" if default else f"no run with both {_short(x)} and {_short(y)}")
    look = styles(points)
    for name, (a, b) in points.items():
        ax.plot(a, b, look[name].marker, color=look[name].colour, markersize=9, linestyle="none", label=as_label(name))
    describe(ax, "; ".join(f"{name}: {_two(a)} and {_two(b)}" for name, (a, b) in points.items()))
    ax.margins(0.15)
    for figure, place, set_limits in ((x, 0, ax.set_xlim), (y, 1, ax.set_ylim)):
        if not _is_score(figure):  # the margin is a part of what lies between the points, and they may lie close
            set_limits(0, 1.15 * max(point[place] for point in points.values()) or None)
    edges = _frontier(ax, list(points.values()), more=(_more_is_better(x), _more_is_better(y)))
    ax.locator_params(axis="x", nbins=4)  # small costs have long numbers
    drawn = [NamedSeries(as_label(name), look[name].colour, [a], [b], joined=False) for name, (a, b) in points.items()]
    drawn.append(NamedSeries("efficient frontier", FRONTIER, *edges, thin=True))
    if not (label_directly(ax, drawn) or label_at_end(ax, drawn)):
        legend_below(ax, columns=2)
    return ax


def _frontier(ax: Axes, points: list[tuple[float, float]], more: tuple[bool, bool]) -> tuple[Any, Any]:
    """Draw it; its points, a step at each."""
    across, up = (-1 if one else 1 for one in more)
    best = sorted(
        {(a, b) for a, b in points
         if not any(c * across <= a * across and d * up <= b * up and (c, d) != (a, b) for c, d in points)},
        key=lambda point: point[0] * across,
    )  # fmt: skip
    # From edge to edge, so that it is seen where one deployment beats all others.
    right, top = ax.get_xlim()[0 if more[0] else 1], ax.get_ylim()[0 if more[1] else 1]
    edges = [(best[0][0], top), *best, (right, best[-1][1])]
    limits = ax.get_xlim(), ax.get_ylim()
    ax.step(
        *zip(*edges, strict=True), where="post", color=FRONTIER, dashes=(4, 2), zorder=1, label="efficient frontier"
    )
    ax.set_xlim(limits[0])
    ax.set_ylim(limits[1])
    steps = [(x, y) for (_, y), (x, _) in pairwise(edges)]
    corners = [point for pair in zip(edges, steps, strict=False) for point in pair] + edges[-1:]
    across_them, up_them = zip(*corners, strict=True)
    return across_them, up_them


def agreement(found: Any, ax: Axes | None = None) -> Axes:
    """How often the first (rows) and the second (columns) said what.

        charts.agreement(comparison.agreement("score_brief", "score_mentions"))

    `found` is what `comparison.agreement` returned. Draws into `ax`. Raises ConfigurationError for anything else.
    """
    from .._compare.agreement import Agreement

    if not isinstance(found, Agreement):
        raise ConfigurationError(
            f"charts.agreement draws what comparison.agreement(...) returned, not {type(found).__name__}.",
            hint='Of a comparison there is comparison.plot.agreement("score_brief", "score_mentions").',
        )
    counts = found.confusion
    ax = axes(ax, "")
    kappa = "" if found.kappa != found.kappa else f", kappa {found.kappa:.2f}"
    kappa += f" ({found.low:.2f} to {found.high:.2f})" if found.low == found.low else ""
    ax.set_title(
        f"{round(found.share * found.n):,} of {found.n:,} {found.unit} alike{kappa}"
        if found.n
        else "Nothing judged by both"
    )
    ax.set_xlabel(as_label(counts.columns.name))
    ax.set_ylabel(as_label(counts.index.name))
    if not found.n:
        return empty(ax, "no judgements of both")
    table = counts.to_numpy("float64")
    ax.imshow(table, cmap="Blues", vmin=0, vmax=1.15 * table.max())
    for (row, column), count in np.ndenumerate(table):
        light = count < 0.55 * table.max()
        weight = "bold" if row == column else "normal"
        shown = f"{int(count):,}"
        colour = "black" if light else "white"
        ax.text(column, row, shown, ha="center", va="center", color=colour, weight=weight)
    names = [as_label(f"{name:g}" if isinstance(name, float) else name) for name in counts.index]
    ax.set_xticks(range(len(names)), names)
    ax.set_yticks(range(len(names)), names)
    return ax


def _two(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"


def _score(frame: pd.DataFrame, score: str | None) -> str:
    found = [str(name) for name in frame if _is_score(str(name))]
    if score is None:
        return found[0] if found else "score"
    if isinstance(score, str) and score not in frame and f"score_{score}" in frame:
        return f"score_{score}"
    if not isinstance(score, str) or score not in frame:
        raise ConfigurationError(
            f"The frame has no score {score!r}.",
            hint=f"It has {', '.join(found)}." if found else "Add some with comparison.score(...).",
        )
    return score


def _is_score(name: str) -> bool:
    return (name == "score" or name.startswith("score_")) and not name.endswith(("_reason", "_error"))


def _more_is_better(name: str) -> bool:
    return _is_score(name) or name == "tokens_per_s"


def _statistic(name: str) -> str:
    return "median" if name.endswith("_ms") or name == "tokens_per_s" else "mean"


def _short(name: str) -> str:
    return {"cost_usd": "cost", "total_ms": "time", "ttft_ms": "time to first text"}.get(name, name.replace("_", " "))


def _unit(name: str) -> str:
    return f"{_statistic(name)} {as_label(_UNITS.get(name, name))}"


def _figure(values: pd.Series[Any], name: str) -> float | None:
    known = values.dropna().to_numpy("float64")
    if not len(known):
        return None
    figure = float(np.median(known) if _statistic(name) == "median" else known.mean())
    return 1000 * figure if name == "cost_usd" else figure


def _mean_interval(runs: pd.DataFrame, name: str) -> tuple[float, float | None, float | None, int]:
    """The figures of a comparison's own summary; no interval where it has none or too few inputs."""
    import pandas as pd

    from .._compare.groups import questions
    from .._compare.summary import score_figures

    found = score_figures(runs[name], questions(runs))
    if found["n"] < FEWEST_INPUTS or pd.isna(found["low"]):
        return float(found["mean"]), None, None, found["n"]
    return float(found["mean"]), float(found["low"]), float(found["high"]), found["n"]
