"""How charts look: a style for each name, figures of our own, labels, legends.

Every series differs by line, marker or hatch as well as by colour, and a name looks the same in every chart.
"""

from __future__ import annotations

import base64
import io
import re
import threading
import warnings
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from html import escape
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from ..errors import ConfigurationError

__all__ = [
    "HEIGHT",
    "ShownAxes",
    "Style",
    "as_ink",
    "as_label",
    "axes",
    "describe",
    "empty",
    "layer",
    "legend_below",
    "missing_signs",
    "name_rows",
    "styles",
    "time_axis",
]


class Style(NamedTuple):
    """How one deployment is drawn: `colour`, `dash` of its lines, `marker` of its points, `hatch` of its bars.

    For example:

        charts.styles(["azure/fast"])["azure/fast"].colour
    """

    colour: str
    dash: str | tuple[int, tuple[int, ...]]
    marker: str
    hatch: str


# After Okabe and Ito, whose colours colour-blind readers can tell apart; some are darker or lighter than theirs, so
# that each has a contrast of 3 to white, and to a dark ground where they are shown reversed. So dark, their two blues
# would be one colour: the second is violet.
_STYLES = (
    Style("#1F78B4", "-", "o", "///"),
    Style("#D55E00", "--", "s", "\\\\\\"),
    Style("#009E73", "-.", "^", "xxx"),
    Style("#BC62A0", ":", "D", "..."),
    Style("#7A2BD0", (0, (4, 2, 1, 2, 1, 2)), "v", "+++"),
    Style("#B88300", (0, (2, 2)), "P", "ooo"),
    Style("#7A7A7A", (0, (3, 1, 1, 1)), "X", "---"),
    Style("#A0694B", (0, (8, 3)), "*", "|||"),
)
HEIGHT = 4.5
"""Inches of a figure of our own, before its legend makes it higher."""
_LINE, _LONGEST = 36, 144
"""Signs of a name in one line of a label, and at most."""
_PIECES = re.compile(rf".{{1,{_LINE}}}$|.{{{_LINE // 2},{_LINE - 1}}}[-/._: ]|.{{1,{_LINE}}}")
"""A name's lines: broken behind a sign that ends a part of it, where there is one."""


_LACKED = re.compile(r"Glyph (\d+) \(.*\) missing from (?:current font|font\(s\)( .*))\.")
"""matplotlib's warning: of 3.8, and of later ones."""
_told: set[str] = set()
"""Signs that were told to be missing."""
_catching = threading.RLock()
"""Two threads that catch warnings at once would leave the filters of one behind."""


class ShownAxes(Axes):
    """Axes of a figure without pyplot, which a notebook would otherwise show as text.

    The picture has its own ground, so that its words can be read on any page and wherever it is copied: no one ink has
    a contrast of 4.5 to both white and black. A dark theme of JupyterLab shows a light one reversed.
    """

    bifrost_words = ""
    """What the chart says, for those who do not see it."""

    def _repr_png_(self) -> bytes:
        figure = self.figure
        assert isinstance(figure, Figure), "these axes are made with their figure"  # noqa: S101 - for the type checker
        buffer = io.BytesIO()
        with missing_signs():
            figure.savefig(buffer, format="png", transparent=False)
        return buffer.getvalue()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """The picture with its words: JupyterLab reads alternative text from HTML only, nbconvert from the metadata."""
        from .._display.html import REVERSED_IN_DARK

        words = self._words()
        picture = base64.b64encode(self._repr_png_()).decode()
        look = "max-width:100%" + (REVERSED_IN_DARK if _light(self.figure.get_facecolor()) > 0.5 else "")
        image = f'<img alt="{escape(words)}" style="{look}" src="data:image/png;base64,{picture}">'
        return {"text/plain": words, "text/html": image, "image/png": picture}, {"image/png": {"alt": words}}

    def _words(self) -> str:
        title = self.get_title()
        labels = ", ".join(label for label in (self.get_xlabel(), self.get_ylabel()) if label)
        told = self.bifrost_words or "; ".join(
            text.get_text().strip() for text in self.texts if text.get_text().strip()
        )
        said = f"Chart: {title} ({labels})" + (f". {told}" if told else "")
        return " ".join(_printable(said.replace("\\$", "$").replace("\u200b", "")).split())[:2_000]


@contextmanager
def missing_signs() -> Iterator[None]:
    """One warning about all signs that the font lacks, with the way out, and about each sign once in a process.

    matplotlib warns of each sign, whenever a name with it is measured or drawn: a screen full for a name in Chinese.
    """
    with _catching, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    lacked = []
    for one in caught:
        if found := _LACKED.match(str(one.message)):
            lacked.append(found)
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    if signs := "".join(sign for sign in dict.fromkeys(chr(int(each[1])) for each in lacked) if sign not in _told):
        _told.update(signs)
        said = f"The font{lacked[0][2] or ''} has no {signs}; name one that has it first in matplotlib's"
        # Not the line that happened to measure it, of which nobody learns anything, but who says so.
        warnings.warn_explicit(f'{said} rcParams["font.family"].', UserWarning, "bifrost_nb.charts", 1)


def as_ink(colour: str) -> str:
    """`colour` for words: as it is, or darker until small words can be read on white, with a contrast of 4.6."""
    parts = np.array(to_rgb(colour))
    shades = (to_hex(tuple(parts * (1 - step / 100))) for step in range(100))
    return next(shade for shade in shades if 1.05 / (_light(shade) + 0.05) >= 4.6)


def _light(colour: Any) -> float:
    """The relative luminance of WCAG 2."""
    parts = np.array(to_rgb(colour))
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def describe(ax: Axes, words: str) -> None:
    """What `ax` says in words, as its alternative text."""
    if isinstance(ax, ShownAxes):
        ax.bifrost_words = words


_given: dict[str, int] = {}
_giving = threading.Lock()
_MOST = len(_STYLES) ** 3


def styles(names: Iterable[str]) -> dict[str, Style]:
    """A style for each name: the one that it was given first, in whichever chart of this process that was.

    A name that is new takes the place that its hash says, or the next that no name has. So a deployment looks the same
    in all charts of a notebook, and no two of them share a style. Beyond eight names the colours come again, with
    another line, marker and hatch, and no two of 64 share line and marker; beyond 512 styles are shared, though not by
    two names of one chart.

        charts.styles(["azure/fast", "azure/large"])["azure/large"].colour

    `names` are those of deployments or variants, as a frame's ``deployment`` has them. Raises ConfigurationError for
    anything else.
    """
    given = list(names) if isinstance(names, Iterable) and not isinstance(names, str) else [names]
    if odd := [each for each in given if not isinstance(each, str)]:
        raise ConfigurationError(f"charts.styles takes names, not {type(odd[0]).__name__}.")
    wanted = sorted(set(given))
    with _giving:
        beside = {_given[name] % len(_STYLES) for name in wanted if name in _given}
        for name in wanted:
            if name not in _given and len(_given) < _MOST:
                _given[name] = _free(name, set(_given.values()), beside)
                beside.add(_given[name] % len(_STYLES))
        places = {name: _given[name] for name in wanted if name in _given}
        for name in wanted:
            if name not in places:
                places[name] = _free(name, set(places.values()), {place % len(_STYLES) for place in places.values()})
    return {name: _style(place) for name, place in places.items()}


def _free(name: str, taken: set[int], beside: set[int]) -> int:
    """The place of `name`'s hash, or the next free one: of the eight colours first.

    A colour that is not `beside` it in this chart goes before one that is, however many names other charts brought.
    """
    place = zlib.crc32(name.encode()) % len(_STYLES)
    count = len(_STYLES)
    steps = (turn * count + (place + step) % count for turn in range(count**2) for step in range(count))
    free = [at for at in steps if at not in taken]
    return next((at for at in free if at % count not in beside), free[0] if free else place)


def _style(place: int) -> Style:
    """Another colour in each of eight places, another line and marker in each turn of them.

    Of 64 no two have both the line and the marker of another, so that they are told apart without their colours.
    """
    count = len(_STYLES)
    turn, first = divmod(place, count)
    line, mark = _STYLES[(first + turn) % count], _STYLES[(first + 2 * turn + turn // count) % count]
    return Style(_STYLES[first].colour, line.dash, mark.marker, mark.hatch)


def layer(dash: str | tuple[int, tuple[int, ...]]) -> float:
    """Where a line lies: the fuller, the lower, so that through the gaps of one that coincides with it it is seen."""
    if isinstance(dash, str):
        return {"-": 2.0, "--": 2.3, "-.": 2.35, ":": 2.6}[dash]
    return 3 - sum(dash[1][::2]) / sum(dash[1])


# Of each level (year, month, day, hour, minute, second) the label of a tick, of one at its zero, and what stands once.
_TICKS = ("%Y", "%b %Y", "%d %b", "%H:%M", "%H:%M", "%H:%M:%S.%f")
_ZEROS = ("", "%Y", "%d %b", "%d %b", "%H:%M", "%H:%M:%S")
_ONCE = ("", "", "%Y", "%d %b %Y", "%d %b %Y", "%d %b %Y")


def time_axis(ax: Axes) -> None:
    """Times of day along the bottom, each whole (``10:00:05``), with the date said once."""
    locator = AutoDateLocator(minticks=3, maxticks=7)  # type: ignore[no-untyped-call]
    formatter = ConciseDateFormatter(  # type: ignore[no-untyped-call]
        locator, formats=[*_TICKS], zero_formats=[*_ZEROS], offset_formats=[*_ONCE]
    )
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(formatter)


def axes(ax: Axes | None, title: str) -> Axes:
    """`ax`, or one of a figure of our own, with its title. Raises ConfigurationError for what is no Axes."""
    if ax is None:
        figure = Figure(figsize=(7.5, HEIGHT), layout="constrained")
        FigureCanvasAgg(figure)
        ax = figure.add_subplot(axes_class=ShownAxes)
    elif not isinstance(ax, Axes):
        raise ConfigurationError(
            f"A chart is drawn into an Axes of matplotlib, not into {type(ax).__name__}.",
            hint="figure, ax = plt.subplots() makes one.",
        )
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


def name_rows(ax: Axes, names: Iterable[str], rows: Any = None, least: float = HEIGHT, **look: Any) -> None:
    """Names beside rows of bars; a figure of our own grows until long ones have room."""
    labels = [as_label(name) for name in names]
    ax.set_yticks(range(len(labels)) if rows is None else rows, labels, **look)
    if isinstance(ax, ShownAxes) and isinstance(ax.figure, Figure):
        tallest = max(1 + label.count("\n") for label in labels)
        ax.figure.set_figheight(max(least, 1.2 + 0.2 * tallest * len(labels)))


def as_label(name: object) -> str:
    """A name from outside as a label, a long one in lines.

    matplotlib would set ``$...$`` as a formula and hide a leading underscore.
    """
    shown = _printable(str(name))
    if len(shown) > _LONGEST:
        shown = f"{shown[: _LONGEST // 2]}…{shown[-_LONGEST // 2 :]}"
    shown = "\n".join(_PIECES.findall(shown)).replace("$", r"\$")
    return "\u200b" + shown if shown.startswith("_") else shown


def _printable(text: str) -> str:
    """Without control characters and what turns the direction of words round."""
    return "".join(sign if sign.isprintable() else " " for sign in text)
