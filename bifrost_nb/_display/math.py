r"""Markdown rules for formulas: what may reach the page's typesetter, and what stays text.

A notebook front end gives every ``$…$``, ``$$…$$``, ``\(…\)`` and ``\[…\]`` it finds in an HTML output to MathJax.
Model text is full of dollars that are prices, and MathJax has commands that make links, redefine others or draw
outside their line. So these rules decide: a formula becomes a token of its own, and the renderer keeps all other text
away from MathJax. Every search is bounded by `LONGEST`, so that hostile text costs no more than ordinary text (the
rules of mdit-py-plugins search to the end of the text at every opening).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_inline import StateInline

__all__ = ["CLOSING", "LONGEST", "MOST", "add_formulas"]

LONGEST = 2_000
"""Characters of one formula; a longer one is shown as text."""
MOST = 500
"""Formulas in one text, and openings of one that come to nothing. Typesetting is the browser's slowest work, looking
for an end ours; what comes later is shown as text."""
CLOSING = {"$$": "$$", "$": "$", "\\(": "\\)", "\\[": "\\]"}
"""Delimiters; the longer of two that begin alike comes first."""

# Commands of MathJax (all its packages, as JupyterLab loads them) that act outside their formula: links and
# attributes, definitions that outlive it, boxes of any size, numbers and labels that clash across cells.
_FORBIDDEN = re.compile(
    r"\\(?:href|url|require|unicode|class|style|cssId|data|bbox|mmlToken|toggle|mathtip|texttip|Tooltip|verb"
    r"|[gex]?def|let|futurelet|csname|catcode|char|input|include\w*|setOptions|mathtoolsset|Declare\w+"
    r"|(?:re|provide)?(?:new)?(?:command|environment)|[mhv]?skip|[hv]space|m?kern|[rR]ule|Space|raise|lower"
    r"|move(?:left|right)|fontsize|[rlc]lap|math[rlc]lap|smash|label|tag|ref|eqref)(?![A-Za-z])"
)
_PRICE = re.compile(r"[\d.,]+\s*(?:[kKMB]\b|[(\[]?[A-Za-z]{2,}|…|\.\.|[-–—/]\s*$|[)\]*_`])")
"""What follows a dollar that means money: a number, then words, marks or nothing that a formula could go on with."""


def add_formulas(markdown: MarkdownIt) -> None:
    """Teach `markdown` the tokens ``math_inline`` and ``math_block``: `content` the formula, `markup` its opening."""
    markdown.inline.ruler.before("escape", "math_inline", _inline)
    markdown.block.ruler.before(
        "fence", "math_block", _block, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )


def _allowed(content: str, env: Mapping[str, Any]) -> bool:
    return (
        len(content) <= LONGEST
        and bool(content.strip())
        and not _FORBIDDEN.search(content)
        and env.get("formulas", 0) < MOST
    )


def _inline(state: StateInline, silent: bool) -> bool:
    text, start = state.src, state.pos
    if text[start] not in "$\\":
        return False
    opening = next((each for each in CLOSING if text.startswith(each, start)), None)
    if opening is None:
        return False
    first = start + len(opening)
    end = _end(text, first, CLOSING[opening])
    if end < 0:
        return False
    content, after = text[first:end], end + len(opening)
    if opening == "$" and not _is_formula(content, before=text[start - 1 : start], after=text[after : after + 1]):
        return False
    if not _allowed(content, state.env):
        return False
    if not silent:
        token = state.push("math_inline", "span", 0)
        token.content, token.markup = content, opening
        state.env["formulas"] = state.env.get("formulas", 0) + 1
    state.pos = after
    return True


def _is_formula(content: str, *, before: str, after: str) -> bool:
    """Whether the text between two single dollars is meant as a formula. In doubt it is text."""
    if before.isalnum() or before == "$" or after.isalnum() or after == "$":
        return False
    if not content or content[0].isspace() or content[-1].isspace() or "\n" in content:
        return False
    return not _PRICE.match(content)


def _end(text: str, first: int, closing: str) -> int:
    """Where the formula that begins at `first` ends; -1 where it does not, or not within `LONGEST`."""
    end = first
    while (end := text.find(closing, end, first + LONGEST + len(closing))) >= 0:
        before = text[first:end]
        if (len(before) - len(before.rstrip("\\"))) % 2 == 0:  # an odd number of backslashes escapes it
            return end
        end += 1
    return -1


def _block(state: StateBlock, start: int, last: int, silent: bool) -> bool:
    if state.is_code_block(start):
        return False
    begin = state.bMarks[start] + state.tShift[start]
    opening = state.src[begin : begin + 2]
    if opening not in ("$$", "\\["):
        return False
    closing = CLOSING[opening]
    state.env["openings"] = state.env.get("openings", 0) + 1
    if state.env["openings"] > 2 * MOST:
        return False
    for line in range(start, min(last, start + LONGEST // 2)):
        if state.eMarks[line] - begin > LONGEST + 8:
            return False
        written = state.src[state.bMarks[line] : state.eMarks[line]].strip()
        if not written:
            return False  # a blank line ends a formula in LaTeX too
        if written.endswith(closing) and (line > start or len(written) > len(opening) + len(closing)):
            content = state.getLines(start, line + 1, state.blkIndent, False).strip()[2:-2]
            break
    else:
        return False
    if closing in content or not _allowed(content, state.env):
        return False
    if not silent:
        token = state.push("math_block", "div", 0)
        token.block, token.content, token.markup, token.map = True, content, opening, [start, line + 1]
        state.env["formulas"] = state.env.get("formulas", 0) + 1
        state.line = line + 1
    return True
