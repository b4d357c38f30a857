"""A plot as a coarse grid of cells: which of them hold something that is drawn, and which are free for words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

__all__ = ["CELL", "NamedSeries", "fill", "free", "pixels_of", "sums_of", "taken_cells"]

CELL = 4
"""Pixels of a cell of the grid."""


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


def taken_cells(ax: Axes, drawn: Sequence[NamedSeries]) -> np.ndarray:
    """The plot's cells, True where one of `drawn` is."""
    box = ax.get_window_extent()
    taken = np.zeros((max(0, int(box.width // CELL)), max(0, int(box.height // CELL))), dtype=bool)
    for one in drawn if taken.size else ():
        _mark(taken, pixels_of(ax, one), joined=one.joined)
    return taken


def pixels_of(ax: Axes, one: NamedSeries) -> np.ndarray:
    """Its points in pixels from the plot's lower left corner."""
    box = ax.get_window_extent()
    x = ax.convert_xunits(np.asarray(one.x))  # type: ignore[no-untyped-call]
    y = np.asarray(one.y, dtype="float64")
    points = ax.transData.transform(np.column_stack([np.asarray(x, dtype="float64"), y]))
    return np.asarray(points[np.isfinite(points).all(axis=1)] - [box.x0, box.y0])


def _mark(taken: np.ndarray, pixels: np.ndarray, *, joined: bool) -> None:
    """Cells that the series crosses are taken, and those round its points."""
    if joined and len(pixels) > 1:
        steps = np.maximum(1, np.abs(np.diff(pixels, axis=0)).max(axis=1) * 2 / CELL).astype(int) + 1
        parts = [np.linspace(a, b, n) for a, b, n in zip(pixels, pixels[1:], steps, strict=False)]
        pixels = np.concatenate(parts)
    cells = (pixels // CELL).astype(int)
    if joined:  # also the cell beside a diagonal step: a leader would slip through between the two
        cells = np.concatenate([cells, np.column_stack([cells[1:, 0], cells[:-1, 1]])])
    cells = np.unique(cells, axis=0)
    spread = (0,) if joined else (-1, 0, 1)
    for across in spread:
        for up in spread:
            near = cells + np.array([across, up])
            near = near[((near >= 0) & (near < taken.shape)).all(axis=1)]
            taken[near[:, 0], near[:, 1]] = True


def fill(taken: np.ndarray, x: float, y: float, width: float, height: float) -> None:
    left, low = max(0, int(x // CELL)), max(0, int(y // CELL))
    taken[left : int((x + width) // CELL) + 1, low : int((y + height) // CELL) + 1] = True


def sums_of(taken: np.ndarray) -> np.ndarray:
    """For each cell how many are taken left of it and below, by which `free` counts those of a rectangle."""
    return np.pad(taken.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))


def free(sums: np.ndarray, x: float, y: float, width: float, height: float) -> bool:
    left, low, right, top = x // CELL, y // CELL, (x + width) // CELL + 1, (y + height) // CELL + 1
    if left < 1 or low < 1 or right > sums.shape[0] - 2 or top > sums.shape[1] - 2:
        return False
    a, b, c, d = int(left), int(low), int(right), int(top)
    return bool(sums[c, d] - sums[a, d] - sums[c, b] + sums[a, b] == 0)
