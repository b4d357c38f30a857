"""How charts look: a style for each name, figures of our own, labels, legends.

Every series differs by line, marker or hatch as well as by colour, and a name looks the same in every chart.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterable
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

__all__ = ["HEIGHT", "ShownAxes", "Style", "as_label", "axes", "empty", "legend_below", "name_rows", "styles"]


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
HEIGHT = 4.5
"""Inches of a figure of our own, before its legend makes it higher."""
_LINE, _LONGEST = 36, 144
"""Signs of a name in one line of a label, and at most."""
_PIECES = re.compile(rf".{{1,{_LINE}}}$|.{{{_LINE // 2},{_LINE - 1}}}[-/._: ]|.{{1,{_LINE}}}")
"""A name's lines: broken behind a sign that ends a part of it, where there is one."""


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


def axes(ax: Axes | None, title: str) -> Axes:
    if ax is None:
        figure = Figure(figsize=(7.5, HEIGHT), layout="constrained")
        FigureCanvasAgg(figure)
        ax = figure.add_subplot(axes_class=ShownAxes)
    ax.set_title(title)
    return ax


def empty(ax: Axes, reason: str = "no runs") -> Axes:
    ax.text(0.5, 0.5, reason, transform=ax.transAxes, ha="center", va="center", color="#666666")
    return ax


def legend_below(ax: Axes, *, columns: int = 1, points: float = 36, handles: list[Line2D] | None = None) -> None:
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


def name_rows(ax: Axes, names: Iterable[str], rows: Any = None, **look: Any) -> None:
    """Names beside rows of bars; a figure of our own grows until long ones have room."""
    labels = [as_label(name) for name in names]
    ax.set_yticks(range(len(labels)) if rows is None else rows, labels, **look)
    if isinstance(ax, ShownAxes) and isinstance(ax.figure, Figure):
        tallest = max(1 + label.count("\n") for label in labels)
        ax.figure.set_figheight(max(HEIGHT, 1.2 + 0.2 * tallest * len(labels)))


def as_label(name: object) -> str:
    """A name from outside as a label, a long one in lines.

    matplotlib would set ``$...$`` as a formula and hide a leading underscore.
    """
    shown = "".join(sign if sign.isprintable() else " " for sign in str(name))
    if len(shown) > _LONGEST:
        shown = f"{shown[: _LONGEST // 2]}…{shown[-_LONGEST // 2 :]}"
    shown = "\n".join(_PIECES.findall(shown)).replace("$", r"\$")
    return "\u200b" + shown if shown.startswith("_") else shown
