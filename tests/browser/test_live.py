"""The live pane in a real front end: it draws while the answer comes, its buttons work, the static answer follows."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from bifrost_nb._simulator.process import LocalGateway
from tests.colours import contrast as ratio
from tests.thorough import thorough

from .lab import Cell, Notebook

WIDGET = "application/vnd.jupyter.widget-view+json"


def slowly(gateway: LocalGateway) -> None:
    """Answers to "slowly" stand still after 60 chunks: what is to be seen stays, until the script is replaced."""
    held = {"chunks": 100, "first_text_ms": 300, "gap_ms": 20, "hold_after_chunks": 60}
    gateway.script([{"prompt": "slowly", **held}])


def test_live_then_static(either: Notebook, gateway: LocalGateway) -> None:
    """Text is there long before the end, then the static answer takes the pane's place, on the page and in the file."""
    slowly(gateway)
    cell = either.start("run, = show('slowly')")
    cell.pane.wait_for()
    text = cell.pane.locator(".bifrost-text")
    either.until(lambda: len(text.inner_text()) > 50, 30, "text in the pane")
    assert cell.running
    assert cell.pane.locator(".bifrost-name").inner_text() == "azure/fast"
    assert cell.pane.locator(".bifrost-served").inner_text() == "served by azure/fast"
    assert cell.pane.locator(".bifrost-state").inner_text() == "answering"
    seen = text.inner_text()
    gateway.script([])
    cell.wait()
    assert cell.pane.count() == 0
    (output,) = cell.outputs
    assert set(output["data"]) == {"text/html", "text/plain"}
    assert " ".join(seen.split()[:8]) in " ".join(cell.output.inner_text().split())
    saved = either.saved().cells[cell.index].outputs
    assert [set(output.data) for output in saved] == [{"text/html", "text/plain"}]


def test_cancel(either: Notebook, gateway: LocalGateway) -> None:
    """A click on Cancel ends the call while its cell runs; what had arrived stays."""
    slowly(gateway)
    cell = either.start("run, = show('slowly'); print(run.status)")
    text = cell.pane.locator(".bifrost-text")
    either.until(lambda: cell.pane.count() and len(text.inner_text()) > 30, 30, "text in the pane")
    seen = text.inner_text()
    cell.pane.get_by_role("button", name="Cancel", exact=True).click()
    cell.wait()
    assert cell.outputs[-1]["text"] == "cancelled\n"
    assert " ".join(seen.split()[:5]) in " ".join(cell.output.inner_text().split())


def test_interrupt(either: Notebook, gateway: LocalGateway) -> None:
    """The front end's interrupt button ends the call with one line under the partial answer."""
    slowly(gateway)
    cell = either.start("show('slowly')")
    text = cell.pane.locator(".bifrost-text")
    either.until(lambda: cell.pane.count() and len(text.inner_text()) > 30, 30, "text in the pane")
    either.command("notebook:interrupt-kernel")
    cell.wait()
    answer, error = cell.outputs
    assert WIDGET not in answer["data"]
    assert error["ename"] == "Interrupted"
    assert "Traceback" not in cell.output.inner_text()


def test_race_by_keyboard(lab: Notebook, gateway: LocalGateway) -> None:
    """In a race each column has a named Stop that the keyboard reaches; Stop all ends the rest."""
    slowly(gateway)
    names = "azure/fast", "azure/large", "openai/gpt-3.5-turbo-instruct"
    cell = lab.start(f"print(*(run.status for run in show('slowly', deployments={names!r})))")
    texts = cell.pane.locator(".bifrost-text")
    lab.until(lambda: texts.count() == 3 and all(len(text) > 20 for text in texts.all_inner_texts()), 30, "three texts")
    assert cell.pane.locator(".bifrost-summary").inner_text() == "0 of 3 finished"
    button = cell.pane.get_by_role("button", name="Stop azure/large", exact=True)
    button.focus()
    lab.page.keyboard.press("Enter")
    states = cell.pane.locator(".bifrost-state")
    lab.until(lambda: states.all_inner_texts() == ["answering", "stopped", "answering"], 30, "one column to stop")
    assert not button.is_visible()
    cell.pane.get_by_role("button", name="Stop all", exact=True).click()
    cell.wait()
    assert cell.outputs[-1]["text"] == "cancelled cancelled cancelled\n"


def rows_of(cell: Cell) -> list[int]:
    """How many columns stand in each row."""
    tops = cell.output.evaluate("e => [...e.querySelectorAll('.bifrost-column')].map(c => c.offsetTop)")
    return [tops.count(top) for top in sorted(set(tops))]


def test_columns_wrap_in_even_rows(lab: Notebook, gateway: LocalGateway) -> None:
    """1 to 8 columns stand in rows of equal length that fit the width, one below the other on a narrow screen."""
    slowly(gateway)

    def check(count: int, rows: list[int], width: int = 1280) -> None:
        lab.page.set_viewport_size({"width": width, "height": 900})
        cell = lab.start(f"show(*['slowly {count}'] * {count});")
        lab.until(lambda: rows_of(cell) == rows, 30, f"{count} columns in rows of {rows}")
        lab.command("notebook:interrupt-kernel")
        cell.wait()

    check(1, [1])
    check(2, [2])
    check(3, [3])
    check(5, [3, 2])
    check(8, [4, 4])
    check(8, [1] * 8, width=420)
    lab.page.set_viewport_size({"width": 1280, "height": 900})


def test_stop_counts_while_it_moves(lab: Notebook, gateway: LocalGateway) -> None:
    """The second row of columns moves down while the first one's text grows, but not under a button that is pressed."""
    gateway.script([{"prompt": "fast", "chunks": 10_000, "first_text_ms": 300, "gap_ms": 25}])
    cell = lab.start("show(*['fast'] * 5);")
    stop = cell.pane.get_by_role("button", name="Stop azure/fast", exact=True).last
    text = cell.pane.locator(".bifrost-text").first
    lab.until(lambda: text.count() and text.evaluate("e => e.clientHeight > 100"), 30, "the first row to grow")
    while True:
        x, y = stop.evaluate("e => { e.scrollIntoView(); const at = e.getBoundingClientRect(); return [at.x, at.y]; }")
        lab.page.mouse.move(x + 5, y + 5)
        lab.page.mouse.down()
        if stop.evaluate("e => e.matches(':active')"):
            break
        lab.page.mouse.up()  # the column has moved while the mouse was under way
    lab.page.wait_for_timeout(800)
    lab.page.mouse.up()
    states = cell.pane.locator(".bifrost-state")
    lab.until(lambda: states.all_inner_texts()[-1:] == ["stopped"], 30, "the column to stop")
    cell.pane.get_by_role("button", name="Stop all", exact=True).click()
    cell.wait()


def test_said_aloud(lab: Notebook, gateway: LocalGateway) -> None:
    """A screen reader hears sentences when they are complete, then the end, from a place that outlives the pane."""
    tokens = ["The ", "tide ", "turns. ", "Nobody ", "sees ", "it. ", "So ", "be it."]
    gateway.script([{"prompt": "aloud", "text": tokens, "first_text_ms": 300, "gap_ms": 0, "hold_after_chunks": 5}])
    cell = lab.start("show('aloud');")
    text = cell.pane.locator(".bifrost-text")
    lab.until(lambda: text.text_content() == "The tide turns. Nobody sees ", 30, "five tokens")
    speaker = lab.page.locator(".bifrost-speaker").last
    assert speaker.get_attribute("aria-live") == "polite"
    assert speaker.locator("p").all_text_contents() == ["The tide turns."]
    gateway.script([])
    cell.wait()
    assert cell.pane.count() == 0
    _, *rest = speaker.locator("p").all_text_contents()
    assert " ".join(rest).startswith("Nobody sees it. So be it. azure/fast done, ")


STORY = "The tide turns twice a day, and **nobody** sees it.\n\n* first the sound\n* then the salt\n\nSo be it. "
SCENES = {
    "one": "show('{}', deployments=['azure/large'], fallbacks=['openai/gpt-3.5-turbo-instruct'], retries=0);",
    "three": "show('{}', deployments=['azure/fast', 'azure/flaky', 'azure/large'], retries=0, title='Tides');",
}


@pytest.mark.thorough  # what it asks of each state, test_eight_columns asks of more of them
@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_pictures(lab: Notebook, gateway: LocalGateway, pictures: Path, theme: Literal["Light", "Dark"]) -> None:
    """Pictures of both themes for people to look at; in both, text and ground differ enough to read."""
    failing = {"status": 429, "error": {"message": "Too many requests."}}
    words = [word + " " for word in (STORY * 4).split(" ")]
    gateway.script(
        [
            {"deployment": "azure/large", "prompt": "picture", **failing},
            {
                "prompt": "long picture",
                "text": words,
                "first_text_ms": 300,
                "gap_ms": 15,
                "hold_after_chunks": len(words),
            },
            {"prompt": "picture", "text": words, "first_text_ms": 300, "gap_ms": 5},
        ]
    )
    lab.theme(theme)
    for name, source in SCENES.items():
        cell = lab.start(source.format("long picture"))
        texts = cell.pane.locator(".bifrost-text")
        lab.until(lambda: texts.count() and len(texts.first.inner_text()) > 300, 30, "text")  # noqa: B023
        for part in (".bifrost-text", ".bifrost-name", ".bifrost-served", ".bifrost-cost"):
            assert contrast(cell.pane.locator(part).first) >= 4.5, (theme, part)
        lab.picture(pictures / f"live-{name}-{theme.lower()}.png", cell)
        lab.command("notebook:interrupt-kernel")
        cell.wait()
        cell = lab.run(source.format("picture"))
        lab.picture(pictures / f"static-{name}-{theme.lower()}.png", cell)
    lab.theme("Light")


RICH = """# A heading

A [link](https://example.org/a), `code`, **bold**.

| a | b |
|---|---|
| 1 | 2 |

```python
def tide(hours: float) -> str:  # twice a day
    return "high" if hours % 12.4 < 6 else "low"
```
"""
EIGHT = "show(*(f'eight {number};' for number in range(8)), retries=0, fallbacks=None, title='Eight');"


@pytest.mark.thorough
@pytest.mark.parametrize("theme", ["Light", *thorough("Dark")])
def test_eight_columns(lab: Notebook, gateway: LocalGateway, pictures: Path, theme: Literal["Light", "Dark"]) -> None:
    """Complete columns are rendered while others go on; all can be read, are named in words and fit their width."""
    words = [word + " " for word in (STORY * 4).split(" ")]
    gateway.script(
        [
            {"prompt": "eight 0;", "text": RICH, "first_text_ms": 10},
            {"prompt": "eight 1;", "status": 429, "error": {"message": "Too many requests."}},
            {"prompt": "eight 2;", "text": STORY, "first_text_ms": 10},
            {"prompt": "eight 7;", "silent": True},
            {"prompt": "eight", "text": words, "first_text_ms": 100, "gap_ms": 5, "stall_after_chunks": len(words)},
        ]
    )
    lab.theme(theme)
    cell = lab.start(EIGHT)
    pane, texts = cell.pane, cell.pane.locator(".bifrost-text")
    whole = "".join(words)
    lab.until(lambda: texts.all_text_contents()[3:7] == [whole] * 4, 60, "the texts")
    lab.until(lambda: pane.locator(".bifrost-rendered").count() == 3, 60, "three rendered columns")
    first = texts.first
    assert first.locator("[role=heading]").inner_text() == "A heading"
    assert first.locator("a").get_attribute("rel") == "noopener noreferrer nofollow"
    states = pane.locator(".bifrost-state").all_inner_texts()
    assert states == ["done", "failed", "done", *["answering"] * 4, "waiting"]
    said = [".bifrost-hint", ".bifrost-summary", ".bifrost-heading", ".bifrost-stop", ".bifrost-note", ".bifrost-state"]
    rich = ["p", "a", "code", "strong", "th", "td", "pre", "pre span >> nth=0", "pre span >> nth=3", "[role=heading]"]
    pane.locator(".bifrost-stop").locator("visible=true").first.hover()  # the least contrast that it has
    for part in (*said, *(f".bifrost-rendered {name}" for name in rich)):
        assert contrast(pane.locator(part).locator("visible=true").first) >= 4.5, (theme, part)
    names = pane.get_by_role("button").evaluate_all("all => all.map(e => e.getAttribute('aria-label'))")
    assert names == ["Stop all", *["Stop azure/fast"] * 5]
    assert pane.get_by_role("region", name="Answer of azure/fast").count() == 8
    for width in (1280, 420):
        lab.page.set_viewport_size({"width": width, "height": 1000})
        rows = [1] * 8 if width == 420 else [4, 4]
        lab.until(lambda: rows_of(cell) == rows, 30, f"columns in rows of {rows}")  # noqa: B023
        inner = "e => [...e.querySelectorAll('.bifrost-column')].every(c => c.scrollWidth <= c.clientWidth)"
        assert pane.evaluate(inner)
        lab.picture(pictures / f"live-eight-{width}-{theme.lower()}.png", cell)
    lab.page.set_viewport_size({"width": 1280, "height": 900})
    pane.get_by_role("button", name="Stop all").click()
    cell.wait()
    lab.theme("Light")


def contrast(locator: object) -> float:
    """That of text and ground."""
    colours = locator.evaluate(  # type: ignore[attr-defined]
        """e => {
            const grounds = ['rgb(255, 255, 255)']; // what lies below first; each may let it shine through
            for (let n = e; n; n = n.parentElement) grounds.splice(1, 0, getComputedStyle(n).backgroundColor);
            const paint = (...over) => { const x = document.createElement('canvas').getContext('2d');
                for (const c of [...grounds, ...over]) { x.fillStyle = c; x.fillRect(0, 0, 1, 1); }
                return [...x.getImageData(0, 0, 1, 1).data].slice(0, 3); };
            return [paint(getComputedStyle(e).color), paint()]; }"""
    )
    ink, paper = ([value / 255 for value in rgb] for rgb in colours)
    return ratio(ink, paper)
