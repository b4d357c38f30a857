r"""The one HTML table, note box and escaping: whatever shows itself as HTML is put together from these.

Styles are inline literals, because a saved notebook that is opened elsewhere has neither our style sheets nor the
theme's variables. Text takes the theme's colour, and rules are a grey that lets the ground through, so that one style
holds in light and in dark themes; JupyterLab aligns cells right and lays columns out by itself, so each cell says how
it is aligned.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from html import escape

from .._safe_text import plain

__all__ = [
    "BLUE",
    "CELL",
    "RED",
    "REVERSED_IN_DARK",
    "RULE",
    "Markup",
    "displayable",
    "figure_columns",
    "note",
    "table",
    "text",
    "verdict",
]

RULE = "rgba(128,128,128,0.5)"
"""The colour of rules and boxes, on light and on dark ground."""
BLUE, RED = "#0072B2", "#d1242f"
"""Bars, and what went wrong: both can be told apart and read on light and on dark ground."""
CELL = f"border:1px solid {RULE};padding:3px 6px;vertical-align:top;text-align:"
"""The style of a cell, of our own tables and of those in answers; the alignment goes behind it."""
REVERSED_IN_DARK = (
    ";--bf-dark:clamp(0,var(--jp-shadow-base-lightness,0) - 15,1)"
    ";filter:invert(calc(.93*var(--bf-dark))) hue-rotate(calc(180deg*var(--bf-dark)))"
)
"""For what has a light ground of its own: white becomes #121212, a colour keeps its hue, in JupyterLab's dark themes.

The theme is told by the one of its variables that is a number: 0 in the light one, 32 in the dark ones. A page without
it, or which allows no filters, shows it as it is.
"""
_FIGURE = re.compile(r"n < \d+|[<≥≤±+−-]?\s?\$?\d[\d,]*(\.\d+)?(e[+-]?\d+)?\s?(%|ms|s|min|h|USD)?")
_UNKNOWN = ("–", "")
_ENDLESS = re.compile(r"[^\s<>/.:?-]{30}")
"""A piece of a word that no browser would break, so long that it would push other columns off the page."""


class Markup(str):
    """HTML that is safe already. All other text is escaped where it meets HTML."""

    __slots__ = ()


def text(content: object) -> str:
    r"""`content` as HTML text: escaped, without control sequences, and of no interest to MathJax.

    Dollars and backslashes stand in an element of their own: MathJax pairs delimiters only within one text node.
    """
    escaped = escape(displayable(str(content)), quote=True)
    return escaped.replace("\\", "<span>\\</span>").replace("$", "<span>$</span>")


def displayable(content: str) -> str:
    """One kind of line end, no control sequences, no half characters that could not be sent to the browser."""
    lines = content.replace("\r\n", "\n").replace("\r", "\n")
    return plain(lines).encode("utf-8", "replace").decode("utf-8")


def table(
    rows: Iterable[Sequence[object]],
    head: Sequence[object] = (),
    *,
    label: str = "",
    titles: bool = False,
    figures: Collection[int] | None = None,
    wide: bool = False,
    widths: Sequence[str] = (),
) -> Markup:
    """A table of `rows`, whose cells are text, or `Markup` where they are HTML; it scrolls where it is too wide.

        table([["azure/fast", "12", "1.3 s"]], head=["deployment", "runs", "p50"], label="Summary")

    `titles`: the first cell of each row is its heading. `figures` are the places of the columns that are aligned
    right; None takes those that hold numbers, with a unit or without. `label` is read out by screen readers. `wide`
    takes the page's width and breaks long words, for whole answers; `widths` are those of the columns, in CSS.
    """
    lines = [list(row) for row in rows]
    right = figure_columns(lines) if figures is None else figures
    more = ";overflow-wrap:anywhere" if wide else ""

    def style(place: int) -> str:
        width = f";width:{widths[place]}" if place < len(widths) and widths[place] else ""
        return f"{CELL}{'right' if place in right else 'left'}{more}{width}"

    def row(cells: Sequence[object]) -> str:
        look = f"{style(0)};font-weight:400{_broken(cells[0])}"
        first = f'<th scope="row" style="{look}">{_cell(cells[0])}</th>' if titles else ""
        rest = [
            # a figure and its unit stay in one line, an endless name does not
            (style(at) + (";white-space:nowrap" if at in right and figures is None else _broken(cell)), cell)
            for at, cell in enumerate(cells)
        ][1 if titles else 0 :]
        return f"<tr>{first}" + "".join(f'<td style="{look}">{_cell(cell)}</td>' for look, cell in rest) + "</tr>"

    heads = "".join(f'<th scope="col" style="{style(place)}">{_heading(cell)}</th>' for place, cell in enumerate(head))
    top = f"<thead><tr>{heads}</tr></thead>" if head else ""
    named = f' aria-label="{escape(displayable(label), quote=True)}"' if label else ""
    body = "".join(map(row, lines))
    layout = ";table-layout:auto;width:100%" if wide else ""
    look = f"border-collapse:collapse;margin:4px 0;font-size:90%{layout}"
    return Markup(f'<div style="overflow-x:auto"><table{named} style="{look}">{top}<tbody>{body}</tbody></table></div>')


def pictures_html(urls: Iterable[str], said: str = "a picture of the prompt") -> Markup:
    """Pictures, small, and players: `urls` that `_prompts.pictures.showable` or `media.media_urls` let through."""
    look = "max-width:12em;max-height:9em;margin:4px 4px 0 0"
    return Markup(
        "".join(
            f'<audio controls preload="metadata" src="{escape(url, quote=True)}" style="max-width:100%"></audio>'
            if url.startswith("data:audio/")
            else f'<img src="{escape(url, quote=True)}" alt="{escape(said, quote=True)}" style="{look}">'
            for url in urls
        )
    )


def verdict(title: str, sentence: str) -> Markup:
    """A heading and what was found; names in them may be longer than a line."""
    return Markup(f'<p style="overflow-wrap:anywhere"><strong>{text(title)}</strong><br>{text(sentence)}</p>')


def note(content: object) -> Markup:
    """What a reader must not overlook, in a box with a red edge."""
    edge = f"border-left:3px solid {RED};padding:2px 8px;margin:4px 0;overflow-wrap:anywhere"
    return Markup(f'<div style="{edge}">{_cell(content)}</div>')


def _cell(content: object) -> str:
    return content if isinstance(content, Markup) else text(content)


def _broken(content: object) -> str:
    said = re.sub("<[^>]*>", "", content) if isinstance(content, Markup) else str(content)
    return ";overflow-wrap:break-word;max-width:24em" if _ENDLESS.search(said) else ""


def _heading(content: object) -> str:
    """A column's name, which may break behind its underscores: ``max_completion_tokens`` over figures of one digit."""
    return _cell(content) if isinstance(content, Markup) else text(content).replace("_", "_<wbr>")


def figure_columns(rows: Sequence[Sequence[object]]) -> set[int]:
    """The columns in which every known cell is a number, with a unit or without."""
    found = set()
    for place in range(max(map(len, rows), default=0)):
        known = [cell for row in rows if place < len(row) and (cell := str(row[place])) not in _UNKNOWN]
        if known and all(_FIGURE.fullmatch(cell) for cell in known):
            found.add(place)
    return found
