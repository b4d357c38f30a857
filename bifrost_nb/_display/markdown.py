r"""Model text to HTML that is safe in a trusted notebook output, where any script would run with the user's rights.

The text is Markdown from outside. What comes out is a fixed set of elements and attributes (`ELEMENTS`, `ATTRIBUTES`)
and nothing remote: HTML in the text is escaped, images are shown as their address, links lead only to http, https and
mail addresses. Styles are inline literals because a notebook re-opened on another machine loses style sheets and
variables. Dollars and backslashes outside of formulas stand in an element of their own, which hides them from
MathJax: it pairs delimiters only within one text node.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .html import CELL, REVERSED_IN_DARK, displayable, text
from .math import CLOSING, add_formulas

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

__all__ = ["ATTRIBUTES", "ELEMENTS", "LONGEST_MARKDOWN", "LONGEST_SHOWN", "code", "preformatted", "to_html"]

ELEMENTS = frozenset(
    [
        "a",
        "blockquote",
        "br",
        "code",
        "del",
        "div",
        "em",
        "hr",
        "li",
        "ol",
        "p",
        "pre",
        "s",
        "span",
        "strong",
        "table",
        "tbody",
        "td",
        "th",
        "thead",
        "tr",
        "ul",
    ]
)
"""The elements that `to_html` can make."""
ATTRIBUTES = frozenset(["aria-level", "dir", "href", "rel", "role", "start", "style", "target"])
"""The attributes that `to_html` can make; `href` begins with ``http://``, ``https://`` or ``mailto:``."""

LONGEST_MARKDOWN = 60_000
"""Characters rendered as Markdown (half a second, seconds for planted text); longer text is shown as it is."""
LONGEST_SHOWN = 400_000
"""Characters shown at all; the rest is named, and is in the run."""
LONGEST_HTML = 1_500_000
LONGEST_COLOURED = 20_000
DEEPEST = 30

_BLOCK = (
    "padding:8px 10px;border-radius:4px;margin:0.5em 0;overflow-x:auto;"
    "white-space:pre-wrap;overflow-wrap:anywhere;word-break:normal;font-size:90%;line-height:1.4"
)
_PRE = f"background:rgba(128,128,128,0.12);{_BLOCK}"
"""Text of one colour takes the theme's, on a ground that lets the theme's through."""
_COLOURED = f"background:#f6f8fa;color:#1f2328;{_BLOCK}{REVERSED_IN_DARK}"
"""Coloured code has colours for a light ground, so it brings that ground."""
_HEADINGS = {"h1": "1.35em", "h2": "1.25em", "h3": "1.15em", "h4": "1.05em", "h5": "1em", "h6": "1em"}
# By name, not by guessing: lexers of rare languages have had patterns that take minutes on planted text.
_LANGUAGES = frozenset(
    [
        "bash",
        "c",
        "c++",
        "cpp",
        "css",
        "diff",
        "go",
        "html",
        "java",
        "javascript",
        "js",
        "json",
        "julia",
        "latex",
        "markdown",
        "md",
        "py",
        "python",
        "r",
        "rust",
        "sh",
        "shell",
        "sql",
        "toml",
        "ts",
        "typescript",
        "xml",
        "yaml",
        "yml",
    ]
)


def to_html(markdown: str) -> str:
    """`markdown`, a model's text, as safe HTML.

    Formulas keep their delimiters, for the page's typesetter. Text that is too long, too deeply nested or that the
    parser cannot take comes back preformatted; it is never lost.
    """
    clean = displayable(markdown)
    if len(clean) > LONGEST_MARKDOWN:
        return preformatted(clean)
    try:
        parser = _parser()
        env: dict[str, Any] = {}
        tokens = parser.parse(clean, env)
        if any(token.level >= DEEPEST - 1 for token in tokens):  # beyond that the parser drops text silently
            return preformatted(clean)
        html = str(parser.renderer.render(tokens, parser.options, env))
        return html if len(html) <= LONGEST_HTML else preformatted(clean)  # a few characters can make many cells
    except Exception:  # noqa: BLE001 - a parser's fault on odd text must not cost a paid answer
        return preformatted(clean)


def preformatted(content: str) -> str:
    """`content` as it is, in one ``<pre>``, wrapped at the width of the page."""
    clean = displayable(content)
    cut = clean[:LONGEST_SHOWN]
    rest = len(clean) - len(cut)
    more = f"<p>… and {rest:,} more characters, not shown here.</p>" if rest else ""
    return f'<pre dir="auto" style="{_PRE}">{escape(cut, quote=False)}</pre>{more}'


def code(content: str, language: str = "") -> str:
    """`content` as a code block, coloured where `language` is a common one."""
    clean, name = displayable(content), language.strip().lower()
    if name not in _LANGUAGES or len(clean) > LONGEST_COLOURED:
        return preformatted(clean)
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import get_lexer_by_name

    lexer = get_lexer_by_name(name, stripnl=False, ensurenl=False)
    coloured = highlight(clean, lexer, HtmlFormatter(noclasses=True, nowrap=True))
    coloured = coloured if clean.endswith("\n") else coloured.removesuffix("\n")  # the formatter ends its last line
    return f'<pre style="{_COLOURED}">{coloured}</pre>'


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererHTML

    class Renderer(RendererHTML):
        """One method for each kind of token whose default form would be wider than ours."""

        def text(self, tokens: Sequence[Token], index: int, *_: Any) -> str:
            return text(tokens[index].content)

        def code_inline(self, tokens: Sequence[Token], index: int, *_: Any) -> str:
            return f"<code>{escape(tokens[index].content)}</code>"

        def code_block(self, tokens: Sequence[Token], index: int, *_: Any) -> str:
            return preformatted(tokens[index].content)

        def fence(self, tokens: Sequence[Token], index: int, *_: Any) -> str:
            info = tokens[index].info.split()
            return code(tokens[index].content, info[0] if info else "")

        def image(self, tokens: Sequence[Token], index: int, *rest: Any) -> str:
            token = tokens[index]
            alt = self.renderInlineAsText(token.children, *rest)
            return text(f"[image: {alt} {token.attrGet('src') or ''}]")

        def link_open(self, tokens: Sequence[Token], index: int, *_: Any) -> str:
            address = escape(str(tokens[index].attrGet("href") or ""), quote=True)
            return f'<a href="{address}" target="_blank" rel="noopener noreferrer nofollow">'

        def paragraph_open(self, tokens: Sequence[Token], index: int, *_: Any) -> str:
            # The same distance above and below, in every front end's style sheet, in cells of tables too.
            return "" if tokens[index].hidden else '<p dir="auto" style="margin:0.5em 0">'

        def heading_open(self, tokens: Sequence[Token], index: int, *_: Any) -> str:
            # Not <h1>: an answer's headings do not belong into the notebook's table of contents.
            tag = tokens[index].tag
            style = f"font-weight:600;font-size:{_HEADINGS[tag]};margin:0.7em 0 0.4em"
            return f'<div role="heading" aria-level="{tag[1]}" dir="auto" style="{style}">'

        def heading_close(self, *_: Any) -> str:
            return "</div>\n"

        def list_item_open(self, *_: Any) -> str:
            return '<li dir="auto">'

        def table_open(self, *_: Any) -> str:
            return '<div style="overflow-x:auto"><table style="border-collapse:collapse;margin:0.5em 0">\n'

        def table_close(self, *_: Any) -> str:
            return "</table></div>\n"

        def th_open(self, tokens: Sequence[Token], index: int, *_: Any) -> str:
            return f'<th dir="auto" style="{CELL}{_alignment(tokens[index])}">'

        def td_open(self, tokens: Sequence[Token], index: int, *_: Any) -> str:
            return f'<td dir="auto" style="{CELL}{_alignment(tokens[index])}">'

        def math_inline(self, tokens: Sequence[Token], index: int, *_: Any) -> str:
            return f"<span>{_formula(tokens[index])}</span>"

        def math_block(self, tokens: Sequence[Token], index: int, *_: Any) -> str:
            return f'<div style="overflow-x:auto">{_formula(tokens[index])}</div>\n'

    parser = MarkdownIt("commonmark", {"html": False, "breaks": True, "maxNesting": DEEPEST}, renderer_cls=Renderer)
    parser.enable(["table", "strikethrough"])
    parser.validateLink = _is_safe_link  # type: ignore[method-assign, assignment]
    add_formulas(parser)
    return parser


def _formula(token: Token) -> str:
    return escape(f"{token.markup}{token.content}{CLOSING[token.markup]}")


def _alignment(token: Token) -> str:
    """``left``, ``center`` or ``right``: the parser's style attribute, from its own three values only."""
    style = str(token.attrGet("style") or "")
    return next((side for side in ("center", "right") if style == f"text-align:{side}"), "left")


def _is_safe_link(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return (parts.scheme in ("http", "https") and bool(parts.hostname)) or parts.scheme == "mailto"
    except ValueError:
        return False
