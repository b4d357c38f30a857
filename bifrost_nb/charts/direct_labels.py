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
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import ShownAxes

__all__ = ["DIRECT", "NamedSeries", "label_at_end", "label_directly"]

DIRECT = "bifrost-direct-label"
"""The gid of such a label."""
MOST = 6
"""So many lines are named directly; labels of more would be a thicket."""
MOST_POINTS = 16
"""So many single points are: they leave more room than lines."""
_CELL = 4
"""Pixels of a cell of the grid."""
_GAP = 9
"""Pixels between a label and its series."""
_REACH = (0, 25, 50, 80, 110, 150, 200, 260, 330, 400)
"""How far from its series a label may stand, in pixels; beyond the first with a leader."""
_ORDERS = 30
"""Orders by chance in which labels of points are placed, before there is held to be no room."""
_ANCHORS = 24
"""Points of a series beside which its label is tried."""


class NamedSeries(NamedTuple):
    """A series to be named: its label, its colour, and its points in data coordinates."""

    label: str
    colour: str
    x: Any
    y: Any
    joined: bool = True
    """True for a line; the points alone are drawn otherwise."""
    thin: bool = False
    """True for what a label may stand on where there is no other place."""


class _LabelPlace(NamedTuple):
    cost: float
    anchor: tuple[float, float]
    corner: tuple[float, float]
    size: tuple[float, float]


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
    widths = (1, 1.25, 1.5) if widen else (1,)
    for wider, through in [*((each, False) for each in widths), (widths[-1], True)]:
        ax.set_xlim(left, left + wider * (right - left))
        if isinstance(ax, ShownAxes) and isinstance(ax.figure, Figure):
            ax.figure.draw_without_rendering()  # lets the layout settle
        overs = (True,) if through else (False, True)
        found = next((got for over in overs if (got := _places(ax, drawn, over=over, through=through))), None)
        if found is not None:
            for one, place in found:
                _write(ax, one, place)
            return True
    ax.set_xlim(left, right)
    return False


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
            fontsize="small", color=one.colour, gid=DIRECT, arrowprops=line,
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
    box = ax.get_window_extent()
    shape = (int(box.width // _CELL), int(box.height // _CELL))
    if min(shape) < 1:
        return None
    taken = np.zeros(shape, dtype=bool)
    points = [_pixels(ax, one) - [box.x0, box.y0] for one in drawn]
    for one, pixels in zip(drawn, points, strict=True):
        if not (over and one.thin):
            _mark(taken, pixels, joined=one.joined)
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
            _fill(cells, *place.corner, *place.size)
        found.append((one, place))
    return found


def _room(pixels: np.ndarray, points: Sequence[np.ndarray]) -> float:
    """Pixels from a single point to the nearest other; 0 for a line."""
    single = [one[0] for one in points if len(one) == 1]
    if len(pixels) != 1 or len(single) < 2:
        return 0.0
    return float(np.sort(np.hypot(*(np.array(single) - pixels[0]).T))[1])


def _pixels(ax: Axes, one: NamedSeries) -> np.ndarray:
    x = ax.convert_xunits(np.asarray(one.x))  # type: ignore[no-untyped-call]
    y = np.asarray(one.y, dtype="float64")
    points = ax.transData.transform(np.column_stack([np.asarray(x, dtype="float64"), y]))
    return np.asarray(points[np.isfinite(points).all(axis=1)])


def _mark(taken: np.ndarray, pixels: np.ndarray, *, joined: bool) -> None:
    """Cells that the series crosses are taken, and those round its points."""
    if joined and len(pixels) > 1:
        steps = np.maximum(1, np.abs(np.diff(pixels, axis=0)).max(axis=1) / _CELL).astype(int) + 1
        parts = [np.linspace(a, b, n) for a, b, n in zip(pixels, pixels[1:], steps, strict=False)]
        pixels = np.concatenate(parts)
    cells = np.unique((pixels // _CELL).astype(int), axis=0)
    spread = (0,) if joined else (-1, 0, 1)
    for across in spread:
        for up in spread:
            near = cells + np.array([across, up])
            near = near[((near >= 0) & (near < taken.shape)).all(axis=1)]
            taken[near[:, 0], near[:, 1]] = True


def _fill(taken: np.ndarray, x: float, y: float, width: float, height: float) -> None:
    left, low = max(0, int(x // _CELL)), max(0, int(y // _CELL))
    taken[left : int((x + width) // _CELL) + 1, low : int((y + height) // _CELL) + 1] = True


def _size(ax: Axes, label: str) -> tuple[float, float]:
    text = ax.text(0, 0, label, fontsize="small")
    box = text.get_window_extent()
    text.remove()
    return float(box.width), float(box.height)


def _nearest(taken: np.ndarray, walls: np.ndarray, pixels: np.ndarray, size: tuple[float, float]) -> _LabelPlace | None:
    """The free place that is nearest to one of the series' points, with a leader that crosses none of `walls`."""
    width, height = size
    inside = pixels[((pixels >= 0) & (pixels < np.multiply(taken.shape, _CELL))).all(axis=1)]
    if not len(inside):
        return None
    chosen = inside[np.unique(np.linspace(0, len(inside) - 1, _ANCHORS).round().astype(int))]
    sums = np.pad(taken.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
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
                if (best is None or cost < best.cost) and _free(sums, left, low, width, height):
                    found = _LabelPlace(cost, (x, y), (left, low), size)
                    if not reach or _sees(walls, found):
                        best = found
        if best is not None:
            return best
    return None


def _free(sums: np.ndarray, x: float, y: float, width: float, height: float) -> bool:
    left, low, right, top = x // _CELL, y // _CELL, (x + width) // _CELL + 1, (y + height) // _CELL + 1
    if left < 1 or low < 1 or right > sums.shape[0] - 2 or top > sums.shape[1] - 2:
        return False
    a, b, c, d = int(left), int(low), int(right), int(top)
    return bool(sums[c, d] - sums[a, d] - sums[c, b] + sums[a, b] == 0)


def _sees(walls: np.ndarray, place: _LabelPlace) -> bool:
    """True if the leader from the label to its point crosses nothing but what is right at the point."""
    start, end = np.array(place.anchor), np.array(_edge(place))
    length = float(np.hypot(*(end - start)))
    way = np.linspace(start, end, max(2, int(length / 2)))
    cells = (way[np.hypot(*(way - start).T) > 4 * _CELL] // _CELL).astype(int)
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
        ha="left", va="bottom", fontsize="small", color=one.colour, gid=DIRECT,
        arrowprops=leader if far else None,
    )  # fmt: skip
