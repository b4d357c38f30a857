"""Names beside what they name: each series gets its label in a free place of the plot, in its own colour.

The places are searched once, when the chart is made: what is drawn is put on a coarse grid, and each label takes the
free rectangle that is nearest to its series, with a thin leader where that is not beside it.

adjustText (1.4.0, maintained) was measured before this was kept. On nine such charts of 8, 12 and 16 close points it
took 0.1 to 1.3 s, as we do with the whole chart, overlapped no two names either, and laid up to five of them over
points of others, where ours lie on none. Of 16 it names all within the plot, we two charts in three; the rest have a
list at the right, with leaders. It knows points and no lines, so names of curves would still need this.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .label_grid import CELL, NamedSeries, fill, free, pixels_of, sums_of, taken_cells
from .style import ShownAxes, as_ink, missing_signs

__all__ = ["DIRECT", "label_at_end", "label_directly", "label_in_corner"]

DIRECT = "bifrost-direct-label"
"""The gid of such a label."""
MOST = 6
"""So many lines are named directly; labels of more would be a thicket."""
MOST_POINTS = 16
"""So many single points are: they leave more room than lines."""
WIDTHS = (1, 1.25, 1.5)
"""So many times as wide an axis may become to make room for names."""
_CORNERS: tuple[Literal["lower right", "upper left", "center right", "upper right", "lower left"], ...] = (
    "lower right", "upper left", "center right", "upper right", "lower left",
)  # fmt: skip
_GAP = 9
"""Pixels between a label and its series."""
_CLEAR = CELL
"""Pixels left and right of a label that had better be free, lest it reads on into the curve of another."""
_CROWDED = 30
"""What a place costs where they are not."""
_REACH = (0, 25, 50, 80, 110, 150, 200, 260, 330, 400)
"""How far from its series a label may stand, in pixels; beyond the first with a leader."""
_ORDERS = 30
"""Orders by chance in which labels of points are placed, before there is held to be no room."""
_ANCHORS = 24
"""Points of a series beside which its label is tried."""


class _LabelPlace(NamedTuple):
    cost: float
    anchor: tuple[float, float]
    corner: tuple[float, float]
    size: tuple[float, float]


@missing_signs()
def label_directly(ax: Axes, drawn: Sequence[NamedSeries], *, widen: bool = False) -> bool:
    """Name each of `drawn` beside itself; False, with nothing changed, where there is no room for all of them.

    Limits and ticks of `ax` must be final; with `widen` the right one is moved until there is room. A series
    without a label is only kept free.
    """
    named = [one for one in drawn if one.label and not one.thin]
    most = MOST if any(one.joined for one in named) else MOST_POINTS
    if len(named) > most or any(one.label.count("\n") > 2 for one in drawn):
        return False
    left, right = ax.get_xlim()
    widths = WIDTHS if widen else WIDTHS[:1]
    points_only = not any(one.joined for one in named)  # a leader over another line looks like one itself
    for wider, through in [*((each, False) for each in widths), *([(widths[-1], True)] if points_only else [])]:
        _widen(ax, left, left + wider * (right - left))
        overs = (True,) if through else (False, True)
        found = next((got for over in overs if (got := _places(ax, drawn, over=over, through=through))), None)
        if found is not None:
            for one, place in found:
                _write(ax, one, place)
            return True
    ax.set_xlim(left, right)
    return False


def _widen(ax: Axes, left: float, right: float) -> None:
    ax.set_xlim(left, right)
    if isinstance(ax, ShownAxes) and isinstance(ax.figure, Figure):
        ax.figure.draw_without_rendering()  # lets the layout settle


@missing_signs()
def label_in_corner(ax: Axes, drawn: Sequence[NamedSeries]) -> bool:
    """Name lines in one list, each behind a piece of its line, in a corner of the plot that holds nothing else.

    The right limit of `ax` is moved until there is one; False, with nothing changed, where there is none.
    """
    left, right = ax.get_xlim()
    labels = [one.label for one in drawn if one.label]
    handles, every = ax.get_legend_handles_labels()
    if len(every) != len(labels):  # something was there before, which a legend of all names too
        return False
    colours = [as_ink(one.colour) for one in drawn if one.label]
    for wider in WIDTHS:
        _widen(ax, left, left + wider * (right - left))
        sums = sums_of(taken_cells(ax, drawn))
        for corner in _CORNERS:
            legend = ax.legend(
                handles, labels,
                loc=corner, frameon=False, fontsize="small", labelcolor=colours, handlelength=3,
            )  # fmt: skip
            box, plot = legend.get_window_extent(), ax.get_window_extent()
            if free(sums, box.x0 - plot.x0, box.y0 - plot.y0, box.width, box.height):
                return True
            legend.remove()
    ax.set_xlim(left, right)
    return False


@missing_signs()
def label_at_end(ax: Axes, drawn: Sequence[NamedSeries]) -> bool:
    """Name lines right of the plot, at the height of their ends; False where there is no room for all of them."""
    box = ax.get_window_extent()
    heights = [1.1 * _size(ax, one.label)[1] / box.height for one in drawn]
    if not drawn or sum(heights) > 0.9:
        return False
    ends = [(one.x[-1], float(one.y[-1])) for one in (_finite(one) for one in drawn)]
    bottom, top = ax.get_ylim()
    wanted = [(y - bottom) / (top - bottom) for _, y in ends]
    below = 0.0
    for place in sorted(range(len(drawn)), key=wanted.__getitem__):
        half = heights[place] / 2
        wanted[place] = below = max(wanted[place], below + half)
        below += half
    above = 1.0
    for place in sorted(range(len(drawn)), key=wanted.__getitem__, reverse=True):
        half = heights[place] / 2
        wanted[place] = above = min(wanted[place], above - half)
        above -= half
    for one, end, height in zip(drawn, ends, wanted, strict=True):
        line = {"arrowstyle": "-", "color": one.colour, "linewidth": 0.6, "alpha": 0.7, "shrinkA": 1, "shrinkB": 2}
        line["relpos"] = (0, 0.5)  # it ends before the name, not under it
        ax.annotate(
            one.label, end, xytext=(1.02, height), textcoords="axes fraction", ha="left", va="center",
            fontsize="small", color=as_ink(one.colour), gid=DIRECT, arrowprops=line,
        )  # fmt: skip
    return True


def _finite(one: NamedSeries) -> NamedSeries:
    known = np.isfinite(np.asarray(one.y, dtype="float64"))
    return one._replace(x=np.asarray(one.x)[known], y=np.asarray(one.y)[known])


def _places(
    ax: Axes, drawn: Sequence[NamedSeries], *, over: bool, through: bool
) -> list[tuple[NamedSeries, _LabelPlace]] | None:
    """A place for each label, near in all; `over`: they may cover what is thin; `through`: leaders may cross all.

    Each takes the best place that those before it have left, so orders are tried: as they come, who has least room
    first, and where neither has a place for all, others by chance (of a fixed seed) until one has.
    """
    taken = taken_cells(ax, [one for one in drawn if not (over and one.thin)])
    if not taken.size:
        return None
    points = [pixels_of(ax, one) for one in drawn]
    series = [(one, pixels, _size(ax, one.label)) for one, pixels in zip(drawn, points, strict=True) if one.label]
    orders = (series, sorted(series, key=lambda each: _room(each[1], points)))
    tried = [found for order in orders if (found := _placed(taken.copy(), order, through)) is not None]
    if tried:
        return min(tried, key=lambda found: sum(place.cost for _, place in found))
    chance = np.random.default_rng(0)
    for _ in range(0 if any(one.joined and not one.thin for one, *_ in series) else _ORDERS):  # lines cost too much
        order = [series[at] for at in chance.permutation(len(series))]
        if (found := _placed(taken.copy(), order, through)) is not None:
            return found
    return None


def _placed(
    taken: np.ndarray, series: Sequence[tuple[NamedSeries, np.ndarray, tuple[float, float]]], through: bool
) -> list[tuple[NamedSeries, _LabelPlace]] | None:
    """The nearest place for one after another; None where one finds none."""
    found = []
    walls = np.zeros_like(taken) if through else taken  # what no leader crosses: labels, and points as a rule
    for one, pixels, size in series:
        place = _nearest(taken, walls, pixels, size)
        if place is None:
            return None
        for cells in (taken, walls):
            fill(cells, *place.corner, *place.size)
        found.append((one, place))
    return found


def _room(pixels: np.ndarray, points: Sequence[np.ndarray]) -> float:
    """Pixels from a single point to the nearest other; 0 for a line."""
    single = [one[0] for one in points if len(one) == 1]
    if len(pixels) != 1 or len(single) < 2:
        return 0.0
    return float(np.sort(np.hypot(*(np.array(single) - pixels[0]).T))[1])


def _size(ax: Axes, label: str) -> tuple[float, float]:
    text = ax.text(0, 0, label, fontsize="small")
    box = text.get_window_extent()
    text.remove()
    return float(box.width), float(box.height)


def _nearest(taken: np.ndarray, walls: np.ndarray, pixels: np.ndarray, size: tuple[float, float]) -> _LabelPlace | None:
    """The free place that is nearest to one of the series' points, with a leader that crosses none of `walls`."""
    width, height = size
    inside = pixels[((pixels >= 0) & (pixels < np.multiply(taken.shape, CELL))).all(axis=1)]
    if not len(inside):
        return None
    chosen = inside[np.unique(np.linspace(0, len(inside) - 1, _ANCHORS).round().astype(int))]
    sums = sums_of(taken)
    best: _LabelPlace | None = None
    for reach in _REACH:
        away = _GAP + reach
        for place, (x, y) in enumerate(chosen.tolist()):
            corners = (
                (x + away, y - height / 2), (x - away - width, y - height / 2),
                (x - width / 2, y + away), (x - width / 2, y - away - height),
                (x + 0.7 * away, y + 0.7 * away), (x + 0.7 * away, y - 0.7 * away - height),
                (x - 0.7 * away - width, y + 0.7 * away), (x - 0.7 * away - width, y - 0.7 * away - height),
                (x + 0.9 * away, y + 0.4 * away), (x + 0.9 * away, y - 0.4 * away - height),
                (x - 0.9 * away - width, y + 0.4 * away), (x - 0.9 * away - width, y - 0.4 * away - height),
                (x + 0.4 * away, y + 0.9 * away), (x + 0.4 * away, y - 0.9 * away - height),
                (x - 0.4 * away - width, y + 0.9 * away), (x - 0.4 * away - width, y - 0.9 * away - height),
            )  # fmt: skip
            for order, (left, low) in enumerate(corners):
                cost = reach + 0.5 * abs(place - len(chosen) / 2) + order
                if (best is None or cost < best.cost) and free(sums, left, low, width, height):
                    if not free(sums, left - _CLEAR, low, width + 2 * _CLEAR, height):
                        cost += _CROWDED
                        if best is not None and cost >= best.cost:
                            continue
                    found = _LabelPlace(cost, (x, y), (left, low), size)
                    if not reach or _sees(walls, found):
                        best = found
        if best is not None:
            return best
    return None


def _sees(walls: np.ndarray, place: _LabelPlace) -> bool:
    """True if the leader from the label to its point crosses nothing but what is right at the point."""
    start, end = np.array(place.anchor), np.array(_edge(place))
    length = float(np.hypot(*(end - start)))
    way = np.linspace(start, end, max(2, int(length / 2)))
    cells = (way[np.hypot(*(way - start).T) > 4 * CELL] // CELL).astype(int)
    cells = cells[((cells >= 0) & (cells < walls.shape)).all(axis=1)]
    return not walls[cells[:, 0], cells[:, 1]].any()


def _edge(place: _LabelPlace) -> tuple[float, float]:
    """The point of the label's rectangle that is nearest to its anchor."""
    (x, y), (left, low), (width, height) = place.anchor, place.corner, place.size
    return min(max(x, left), left + width), min(max(y, low), low + height)


def _write(ax: Axes, one: NamedSeries, place: _LabelPlace) -> None:
    box, figure = ax.get_window_extent(), ax.figure.figure
    assert figure is not None, "axes that are drawn belong to a figure"  # noqa: S101 - for the type checker
    points = 72 / figure.dpi
    (x, y), (left, low) = place.anchor, place.corner
    at = ax.transData.inverted().transform((x + box.x0, y + box.y0))
    edge = _edge(place)
    far = np.hypot(edge[0] - x, edge[1] - y) > 2 * _GAP
    leader = {"arrowstyle": "-", "color": one.colour, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 4}
    ax.annotate(
        one.label, tuple(at), xytext=((left - x) * points, (low - y) * points), textcoords="offset points",
        ha="left", va="bottom", fontsize="small", color=as_ink(one.colour), gid=DIRECT,
        arrowprops=leader if far else None,
    )  # fmt: skip
