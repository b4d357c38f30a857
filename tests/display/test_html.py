"""The one HTML table: what is escaped, how figures are aligned, what a screen reader is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import bifrost_nb
from bifrost_nb._display.html import Markup, note, table, text, verdict
from bifrost_nb._display.table import Table
from tests.markup import read

PACKAGE = Path(bifrost_nb.__file__).parent


def test_every_text_in_a_table_is_escaped() -> None:
    """Cells, headings, labels and notes hold no markup of theirs; what is `Markup` stays as it is."""
    hostile = "<img src=x onerror=alert(1)> $\\alpha$ \x1b[31m"
    found = read(table([[hostile, Markup("<em>kept</em>")]], [hostile, "x"], label=hostile + '"'))
    assert found.errors == []
    assert "img" not in found.seen
    assert "em" in found.seen
    assert found.formulas == []
    assert read(note(hostile)).errors == []


def _alignments(html: str) -> list[list[str]]:
    rows = re.findall(r"<tr>.*?</tr>", html)
    return [re.findall(r"text-align:(\w+)", row) for row in rows]


@pytest.mark.parametrize(
    "cells",
    [
        ["12", "1,204"],
        ["$0.0021", "<$0.001"],
        ["1.3 s", "–"],
        ["98%", "100 %"],
        ["+0.12", "-3"],
        [1, 2.5],
        ["n < 20", "137 ms"],
    ],
)
def test_figures_are_aligned_right(cells: list[object]) -> None:
    """A column of numbers, with a unit or an unknown among them, is aligned right together with its heading."""
    html = table([["a", cell] for cell in cells], ["name", "figure"])
    assert _alignments(html) == [["left", "right"]] * 3
    assert html.count("white-space:nowrap") == 2  # its unit does not stand in a line of its own


def test_names_and_sentences_are_aligned_left() -> None:
    """A version, a name with a digit and a column without any known value are no figures."""
    html = table([["gpt-4", "1.5.16", "–", "3 of 4"]], ["a", "b", "c", "d"])
    assert {side for row in _alignments(html) for side in row} == {"left"}


def test_a_table_says_what_it_is() -> None:
    """Headings have their scope, the table its label, and a table that is too wide scrolls by itself."""
    html = table([["total", "3"]], ["figure", "value"], label="Sums", titles=True)
    assert html.count('scope="col"') == 2
    assert html.count('<th scope="row"') == 1
    assert 'aria-label="Sums"' in html
    assert html.startswith('<div style="overflow-x:auto"><table')


def test_an_endless_name_is_broken() -> None:
    """A name that no browser would break leaves the page to the other columns; others stay as wide as they are."""
    endless, usual = "azure/" + "averylongname" * 8, "anthropic/claude-sonnet-4-5 · with-an-example-and-more"
    picture = Markup(f'<img alt="" src="data:image/png;base64,{"A" * 90}">')
    broken, whole, shown = table([[endless], [usual], [picture]], figures=()).split("<tr>")[1:]
    assert "max-width" in table([[endless, "1"]], titles=True)
    assert "overflow-wrap:break-word;max-width" in broken
    assert "max-width" not in whole + shown
    assert 'style="overflow-wrap:anywhere"' in verdict(f"{endless} against b", "It is faster.")


def test_no_style_needs_the_page() -> None:
    """Neither text colours nor grounds are set, so one table holds in light and dark themes, saved or exported."""
    html = table([["a", "1"]], ["b", "c"], label="x", wide=True, titles=True)
    assert not re.search(r"var\(|class=|[;\"]color:|background", html)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nobody_else_builds_a_table(path: Path) -> None:
    """Tables, note boxes and the colour of rules have one home; answers' own tables come from the Markdown renderer."""
    home = path.relative_to(PACKAGE).as_posix()
    source = path.read_text(encoding="utf-8")
    if home != "_display/html.py":
        assert not re.search(r"rgba\(128, ?128, ?128, ?0?\.[45]\)|border-left:3px|to_html\(index", source)
        if home != "_display/markdown.py":
            assert not re.search(r"<(table|tr|td|th)\b", source)


def test_a_terminal_has_figures_below_each_other() -> None:
    """As on a page, a column of numbers and its heading end at one edge."""
    shown = Table(["of", "runs", "limit_usd"], [{"of": "a", "runs": 9}, {"of": "all", "runs": 1204}])
    assert repr(shown) == "of   runs  limit_usd\na       9  –\nall  1204  –"


def test_text_keeps_what_it_says() -> None:
    """Escaping changes how text is written, never what is read."""
    assert read(text('a < b & c > d "quoted" $5')).text == 'a < b & c > d "quoted" $5'


def test_money_in_a_small_table_has_no_exponent() -> None:
    """What a person sees of costs is dollars; for Python they stay numbers."""
    shown = Table(["of", "cost_usd"], [{"of": "this session", "cost_usd": 1.395e-05}, {"of": "no cost"}])
    for seen in (repr(shown), shown._repr_html_().replace("<span>$</span>", "$")):
        assert "$0.0000140" in seen or "$0.0000139" in seen
        assert "e-05" not in seen
    assert shown[0]["cost_usd"] == 1.395e-05
