"""What stays in a notebook at 1280 and 700 pixels: tables, the cards of a race, wide and right-to-left text."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from bifrost_nb import Client, LocalGateway, Run, compare, scorers
from bifrost_nb._display.run import Runs, mimebundle, mimebundle_many
from tests.thorough import thorough

from .lab import Notebook

WIDE = "| " + " | ".join(f"column {n}" for n in range(16)) + " |\n" + "|---" * 16 + "|\n" + "| 1,234.56 " * 16 + "|"
HEBREW, ENGLISH = "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd, 3 \u05e4\u05e2\u05de\u05d9\u05dd.", "Plain words."
ANSWER = f"{ENGLISH}\n\n{HEBREW}\n\n* {HEBREW}\n* {ENGLISH}\n\n{WIDE}\n"
OUTPUT = {1280: 1150, 700: 570}
"""How wide JupyterLab's output is in a window of that width."""
SEEN = """root => {
    const table = root.querySelector('table'), box = table.parentElement.getBoundingClientRect();
    return [...table.querySelectorAll('thead th')].filter(th => th.getBoundingClientRect().right <= box.right + 1)
        .map(th => th.textContent);
}"""
RECTS = "nodes => nodes.map(n => n.getBoundingClientRect()).map(r => [r.top, r.left, r.width].map(Math.round))"
Shown = Callable[..., Any]


@pytest.fixture
def shown(chromium: Any) -> Any:
    """Opens markup in a page whose output is so wide, in that theme, with the cell styles of a notebook."""
    context = chromium.new_context(offline=True)

    def open_(html: str, width: int, theme: str = "light") -> Any:
        ink, paper = ("#e6edf3", "#111111") if theme == "dark" else ("#1f2328", "#ffffff")
        page = context.new_page()
        page.set_viewport_size({"width": width, "height": 900})
        style = f"body {{ margin: 0; color: {ink}; background: {paper}; font: 13px/1.5 sans-serif; }}"
        page.set_content(f"<style>{style}</style><body>{html}</body>")
        return page

    yield open_
    context.close()


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (700, "dark")])
def test_a_table_shows_what_it_costs(shown: Shown, client: Client, pictures: Path, width: int, theme: str) -> None:
    """Names are whole with their provider, figures are aligned right, both columns of money are in sight."""
    names = ["azure/gpt-35-turbo-instruct", "openai/gpt-3.5-turbo-instruct", "azure/large"]
    found = compare(
        names, "Say {{n}}.", inputs={"n": list(range(6))}, client=client, max_tokens=8, score=scorers.length(max=1000)
    )
    client.wait_costs(found.runs)
    page = shown(found._repr_html_(), OUTPUT[width], theme)
    page.screenshot(path=str(pictures / f"narrow-table-{width}-{theme}.png"))
    assert {"$ per 1,000", "cost in all"} <= set(page.locator("body").evaluate(SEEN))
    assert all(name in page.inner_text("table") for name in names)
    money = page.locator("tbody tr").first.locator("td").nth(3)
    assert money.inner_text().startswith("$")
    assert money.evaluate("td => getComputedStyle(td).textAlign") == "right"


def test_a_table_fits_a_narrow_page(shown: Shown, client: Client, pictures: Path) -> None:
    """At 700 pixels nothing of it is out of sight: a column of no fallbacks is left out, one of some is not."""
    names = ["azure/fast", "azure/large", "openai/gpt-3.5-turbo-instruct"]
    asked: dict[str, Any] = {"prompt": "Say {{n}}.", "inputs": {"n": list(range(6))}, "client": client, "max_tokens": 8}
    found = compare(names, **asked)
    client.wait_costs(found.runs)
    page = shown(found._repr_html_(), OUTPUT[700])
    page.screenshot(path=str(pictures / "narrow-table-whole.png"))
    heads = page.locator("thead th").all_inner_texts()
    assert page.locator("body").evaluate(SEEN) == heads
    assert heads[-1] == "tokens/s"
    rescued = compare(["azure/always-fails"], fallbacks=["azure/fast"], **asked)
    page = shown(rescued._repr_html_(), OUTPUT[700])
    assert "by fallback" in page.locator("body").evaluate(SEEN)
    page = shown(compare(names, dry_run=True, fresh=True, **asked)._repr_html_(), OUTPUT[700])
    assert "cost_high_usd" in page.locator("body").evaluate(SEEN)
    endless = {"deployment": "azure/large", "name": "azure/" + "withoutanybreak" * 8}
    both = compare([endless, "azure/fast"], **asked)
    page = shown(both._repr_html_() + both.difference(endless["name"], "azure/fast")._repr_html_(), OUTPUT[700])
    assert {"$ per 1,000", "cost in all"} <= set(page.locator("body").evaluate(SEEN))
    assert page.evaluate("document.documentElement.scrollWidth") <= OUTPUT[700]
    assert "by fallback" in repr(rescued)
    assert "too_<wbr>long" not in compare(names, dry_run=True, fresh=True, **asked)._repr_html_()


def rows_of(rects: list[list[int]]) -> list[tuple[int, int]]:
    """The top of each row, and how many stand in it."""
    return [(top, len(list(row))) for top, row in groupby(top for top, _, _ in rects)]


def runs(count: int) -> Runs:
    asked = {"status": "ok", "requested_provider": "azure", "requested_model": "m"}
    return Runs(Run(response=f"Answer {n}.", **asked) for n in range(count))  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [5, 8, *thorough(1, 2, 3)])
def test_cards_stand_in_even_rows(shown: Shown, count: int) -> None:
    """As the live race's columns, at any width: rows of equal length, all cards as wide, nothing past the edge."""
    page = shown(mimebundle_many(runs(count))["text/html"], 1280)
    for width in (230, 480, 492, 570, 700, 742, 990, 992, 1150, 1242, 1990):
        page.set_viewport_size({"width": width, "height": 900})
        cards = page.locator("[role=group]").evaluate_all(RECTS)
        room = max(1, (width + 8) // 250)
        full = math.ceil(count / math.ceil(count / room))
        rows = [number for _, number in rows_of(cards)]
        assert rows == [full] * (count // full) + ([count % full] if count % full else []), width
        assert len({wide for _, _, wide in cards} - {cards[0][2] - 1, cards[0][2] + 1}) == 1
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_race_keeps_its_cards(lab: Notebook, gateway: LocalGateway, pictures: Path) -> None:
    """In JupyterLab, when the last answer has come, each card stands where its column stood."""
    try:
        for width, count in ((1280, 5), (700, 3)):
            lab.page.set_viewport_size({"width": width, "height": 1000})
            gateway.script([{"text": ["one ", "line ", "only."], "gap_ms": 50, "hold_after_chunks": 1}])
            cell = lab.start(f"show(*(f'race {{number}} of {count}' for number in range({count})), retries=0);")
            columns = cell.pane.locator("section")
            lab.until(lambda: columns.count() == count, 30, "the columns")  # noqa: B023
            lab.until(lambda: len(rows_of(columns.evaluate_all(RECTS))) < count, 30, "their style sheet")  # noqa: B023
            live = columns.evaluate_all(RECTS)
            gateway.script([])
            cell.wait()
            cards = cell.output.locator("[role=group]")
            lab.until(lambda: cards.count() == count and cell.pane.count() == 0, 30, "the static cards")  # noqa: B023
            static = cards.evaluate_all(RECTS)
            # JupyterLab leaves 20 px free right of HTML, which it does not beside a widget.
            assert [one[1:] for one in static] == [pytest.approx(one[1:], abs=24) for one in live]
            assert [n for _, n in rows_of(static)] == [n for _, n in rows_of(live)]
            lab.picture(pictures / f"narrow-race-{width}.png", cell)
    finally:
        lab.page.set_viewport_size({"width": 1280, "height": 900})


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (700, "dark")])
def test_wide_tables_and_right_to_left(shown: Shown, pictures: Path, width: int, theme: str) -> None:
    """A table that is too wide scrolls inside its card; each paragraph and item reads in the direction of its words."""
    run = Run(status="ok", response=ANSWER, texts=[ANSWER], requested_provider="azure", requested_model="m")
    for count, html in enumerate((mimebundle(run)["text/html"], mimebundle_many(Runs([run, run]))["text/html"]), 1):
        page = shown(html, OUTPUT[width], theme)
        page.screenshot(path=str(pictures / f"narrow-answer-{count}-{width}-{theme}.png"))
        table = page.locator("table").first
        if width == 700 or count == 2:
            assert table.evaluate("t => t.parentElement.scrollWidth > t.parentElement.clientWidth")
        assert page.evaluate("document.documentElement.scrollWidth") <= OUTPUT[width]
        for words, direction in ((HEBREW, "rtl"), (ENGLISH, "ltr")):
            for tag in ("p", "li"):
                said = page.locator(tag, has_text=words).first
                assert said.evaluate("e => getComputedStyle(e).direction") == direction
        assert table.locator("td").first.evaluate("td => getComputedStyle(td).direction") == "ltr"
