"""The grid in JupyterLab and Notebook 7, clicked through and by keyboard alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pytest

from bifrost_nb._simulator.process import LocalGateway
from tests.thorough import thorough

from .lab import Cell, Notebook
from .test_live import WIDGET, contrast

SOURCE = """
from bifrost_nb._compare.compare import compare
deployments = ["azure/fast", "azure/large", "openai/gpt-3.5-turbo-instruct"]
comparison = compare(deployments, "Name a colour for {{thing}}.", client=client, repeats=3, fresh=True, max_tokens=40,
                     inputs={"thing": [f"thing {number:02}" for number in range(45)]})
grid = comparison.grid()
grid
"""


@pytest.fixture
def grid(lab: Notebook, gateway: LocalGateway) -> Cell:
    """A grid in JupyterLab."""
    return shown(lab, gateway)


def shown(notebook: Notebook, gateway: LocalGateway) -> Cell:
    """A grid of 45 prompts, 3 deployments and 3 repeats; one prompt fails at one deployment."""
    text = "A **fine** colour: `blue`, as the sea is on a clear morning, and some grey beside it."
    gateway.script(
        [
            {"prompt": "thing 07", "deployment": "azure/large", "status": 500},
            {"deployment": "azure/fast", "text": text, "first_text_ms": 5, "gap_ms": 0},
            {"deployment": "azure/large", "text": text.replace("blue", "red"), "first_text_ms": 5, "gap_ms": 0},
        ]
    )
    cell = notebook.run(SOURCE)
    board(cell).wait_for()
    return cell


def board(cell: Cell) -> Any:
    """The grid in a cell's output."""
    return cell.output.locator(".bifrost-board")


def test_the_whole_header_sorts(lab: Notebook, grid: Cell) -> None:
    """A click anywhere in a header sorts by it, also beside its words."""
    root = board(grid)
    head = root.locator("thead th").nth(1)
    head.wait_for()
    box = head.bounding_box()
    head.click(position={"x": box["width"] - 8, "y": box["height"] / 2})
    lab.until(lambda: head.get_attribute("aria-sort") == "ascending", 30, "the order")


def test_look_through(either: Notebook, gateway: LocalGateway) -> None:
    """Filter, sort and pages change the rows; an opened answer has text, facts and story; a diff marks words."""
    root = board(shown(either, gateway))
    rows, count = root.locator("tbody tr"), root.locator(".bifrost-g-count")
    either.until(lambda: rows.count() == 20, 30, "twenty rows")
    root.get_by_role("button", name="Next page").click()
    either.until(lambda: "21 to 40 of 45 prompts" in count.inner_text(), 30, "the second page")
    root.get_by_label("Show", exact=True).select_option("errors")
    either.until(lambda: rows.count() == 1, 30, "the one prompt with errors")
    assert "3 failed" in rows.inner_text()
    root.get_by_label("Show", exact=True).select_option("all")
    root.get_by_label("Sort", exact=True).select_option("errors")
    either.until(lambda: "thing 07" in rows.first.inner_text(), 30, "the prompt with errors first")
    root.get_by_label("Search prompts, inputs, answers").fill("colour")
    first = root.get_by_role("button", name="azure/fast: A **fine** colour").first
    first.click(delay=600)  # the rows that were found come while the button is down
    detail = root.locator(".bifrost-g-detail")
    either.until(lambda: "Answer, 3 of 3 runs" in detail.inner_text(), 30, "the opened answer")
    assert detail.locator("strong").inner_text() == "fine"
    assert "Asked azure/fast. azure/fast served." in detail.inner_text()
    detail.get_by_label("Compare words with").select_option("openai/gpt-3.5-turbo-instruct")
    either.until(lambda: detail.locator("ins").count() > 0, 30, "the word diff")
    detail.get_by_role("button", name="Good answer").click()
    either.until(lambda: "Recorded." in detail.inner_text(), 30, "the rating to be recorded")
    detail.get_by_label("Note on this answer").fill("a note")
    detail.get_by_role("button", name="Save note").click()
    read = "read = comparison._log.read(comparison_id=comparison.id)\n"
    read += "print({run.rating for run in read}, {run.tags.get('note') for run in read})"

    def recorded() -> bool:  # a click may reach the kernel after a cell that was started later
        (said,) = either.run(read).outputs
        return "'up'" in said["text"] and "'a note'" in said["text"]

    either.until(recorded, 30, "rating and note in the log")


def test_by_keyboard(lab: Notebook, grid: Cell) -> None:
    """Tab reaches one cell, arrows move, Enter opens, Escape closes, focus returns; no key reaches the Lab."""
    root, keys = board(grid), lab.page.keyboard
    focused = "document.activeElement.closest('td')?.cellIndex + ' ' + document.activeElement.closest('tr')?.rowIndex"
    root.get_by_role("button", name="Next page").focus()
    for _ in range(5):  # the four headers, then one cell
        keys.press("Tab")
    assert lab.page.evaluate(focused) == "1 1"
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        keys.press(key)
    assert lab.page.evaluate(focused) == "2 3"
    keys.press("Enter")
    detail = root.locator(".bifrost-g-detail")
    lab.until(lambda: detail.is_visible() and "azure/large" in detail.inner_text(), 30, "the opened answer")
    keys.press("Escape")
    lab.until(lambda: not detail.is_visible(), 30, "it to close")
    assert lab.page.evaluate(focused) == "2 3"
    before = lab.page.locator(".jp-Cell").count()
    for key in ("b", "a", "1", "x"):  # in JupyterLab's command mode: new cells, another type, cut
        keys.press(key)
    assert lab.page.locator(".jp-Cell").count() == before
    keys.press("PageDown")
    lab.until(lambda: "page 2 of 3" in root.locator(".bifrost-g-count").inner_text(), 30, "the second page")
    assert lab.page.evaluate(focused) == "2 3"
    root.get_by_label("Search prompts, inputs, answers").fill("thing")
    root.locator("tbody button").first.focus()
    keys.down("Space")
    lab.page.wait_for_timeout(600)  # the rows that were found come while the key is down
    keys.up("Space")
    lab.until(detail.is_visible, 10, "the opened answer")


SCORED = """
from bifrost_nb import to_frame
from bifrost_nb._notebook.widgets.grid import GridView
from bifrost_nb._notebook.widgets.grid_rows import contexts
from bifrost_nb._runs.run import Run
import pandas as pd
names = [f"provider-{n}/a-model-with-a-long-name-{n}" for n in range(8)]
pairs, rows = [], []
for place in range(30):
    for number, name in enumerate(names):
        text = f"Answer {place} of {number}: **certainly**, though `{place * number}` may be more."
        if place == 3 and number < 2:  # two that have no word in common
            text = " ".join(f"{'leaf' if number else 'cloud'}{word}" for word in range(60))
        provider, model = name.split("/")
        run = Run(status="ok", response=text, texts=[text], prompt=f"Question {place}?",
                  requested_provider=provider, requested_model=model, total_ms=100.0 * number + place, cost_usd=0.001,
                  prompt_id=f"p{place}")
        pairs.append((name, run))
        rows.append({"input_id": str(place), "input_topic": "tea" if place % 2 else "rain",
                     "score_right": float((place + number) % 3 > 0), "score_right_reason": f"reason {place}.{number}"})
frame = pd.concat([to_frame([run for _, run in pairs]), pd.DataFrame(rows)], axis=1)
view = GridView(pairs, known=contexts(frame))
view
"""


def test_scored_answers_of_eight_variants(lab: Notebook, pictures: Path) -> None:
    """Search, input column, header clicks, columns, badges and a download, with eight variants that stay readable."""
    cell = lab.run(SCORED)
    root = board(cell)
    root.wait_for()
    rows, count = root.locator("tbody tr"), root.locator(".bifrost-g-count")
    root.get_by_label("topic").select_option("tea")
    lab.until(lambda: "of 15 prompts" in count.inner_text(), 30, "the rows about tea")
    root.get_by_label("Search prompts, inputs, answers").fill("answer 7 of 3")
    lab.until(lambda: rows.count() == 1, 30, "the one answer that is searched for")
    assert "\u2713 right" in rows.inner_text()
    assert "\u2715 right" in rows.inner_text()
    root.get_by_label("Search prompts, inputs, answers").fill("")
    lab.until(lambda: "of 15 prompts" in count.inner_text(), 30, "the search to be over")
    root.get_by_role("button", name="Sort by provider-0/a-model-with-a-long-name-0").click()
    head = root.locator("thead th").nth(1)
    lab.until(lambda: head.get_attribute("aria-sort") == "ascending", 30, "the first variant's failures first")
    assert "\u2715" in rows.first.locator("td").first.inner_text()
    root.get_by_role("button", name="Sort by provider-0/a-model-with-a-long-name-0").click()
    lab.until(lambda: head.get_attribute("aria-sort") == "descending", 30, "the other way round")
    with lab.page.expect_download() as download:
        root.get_by_role("button", name="Download what is shown as an Excel file").click()
    assert download.value.suggested_filename == "answers.xlsx"
    try:
        lab.page.set_viewport_size({"width": 700, "height": 900})
        narrow = root.locator("tbody td").evaluate_all(
            "cells => Math.min(...cells.map(c => c.getBoundingClientRect().width))"
        )
        assert narrow > 120  # words, not letters under each other
        root.locator(".bifrost-g-scroll").evaluate("node => { node.scrollLeft = 500; }")
        assert root.evaluate(
            "root => root.querySelector('tbody th').getBoundingClientRect().left"
            " - root.querySelector('.bifrost-g-scroll').getBoundingClientRect().left"
        ) == pytest.approx(0, abs=2)
        lab.picture(pictures / "grid-scored-700.png", cell)
        root.get_by_text("Columns", exact=True).click()
        for number in range(3, 8):
            root.get_by_role("checkbox", name=f"provider-{number}/").uncheck()
        root.get_by_label("Render Markdown").check()
        lab.until(lambda: rows.first.locator("strong").count() == 3, 30, "three rendered columns")
        assert root.locator(".bifrost-g-scroll").evaluate("node => node.scrollWidth <= node.clientWidth"), (
            "all in sight"
        )
        root.get_by_text("Columns", exact=True).click()
    finally:
        lab.page.set_viewport_size({"width": 1280, "height": 900})
    for theme in ("Dark", "Light"):
        lab.theme(theme)
        for part in (".bifrost-g-badge", ".bifrost-g-text"):
            assert contrast(root.locator(part).first) >= 4.5, (theme, part)
        lab.picture(pictures / f"grid-scored-{theme.lower()}.png", cell)


def test_what_was_found_is_read_and_exported(lab: Notebook) -> None:
    """Filters by score, of two chosen variants and of people leave what they say, and the files hold just that.

    A word diff names its prompt and folds two texts that have nothing in common.
    """
    root = board(lab.run(SCORED))
    root.wait_for()
    rows, count = root.locator("tbody tr"), root.locator(".bifrost-g-count")
    show = root.get_by_label("Show", exact=True)

    def found(words: str, what: str) -> None:
        lab.until(lambda: words in count.inner_text(), 30, what)

    root.get_by_text("Columns", exact=True).click()
    for number in (1, 2, 4, 5, 6, 7):
        root.get_by_role("checkbox", name=f"provider-{number}/").click()
    show.select_option(label="right below 0.5")
    found("of 10 prompts", "the rows that the two fail")
    show.select_option(label="right differs")
    found("no prompt of 30", "none where these two differ: they fail together")
    root.get_by_role("checkbox", name="provider-3/").click()
    root.get_by_role("checkbox", name="provider-1/").click()
    found("of 20 prompts", "the rows where the other two differ")
    root.get_by_text("Columns", exact=True).click()
    root.get_by_label("topic").select_option("tea")
    found("of 10 prompts", "those of them about tea")
    said = []
    for name, read in (("CSV", pd.read_csv), ("an Excel file", pd.read_excel)):
        with lab.page.expect_download() as download:
            root.get_by_role("button", name=f"Download what is shown as {name}").click()
        said.append(read(download.value.path()))
    for table in said:
        assert len(table) == 20
        assert set(table["input_topic"]) == {"tea"}
        assert set(table["requested_provider"]) == {"provider-0", "provider-1"}
        assert table.groupby("prompt_id")["score_right"].agg(list).map(sorted).tolist() == [[0, 1]] * 10
        assert table["score_right_reason"].str.startswith("reason ").all()
    rows.first.locator("button").first.click()
    detail = root.locator(".bifrost-g-detail")
    assert "\u2715 right" in detail.locator(".bifrost-g-scores").inner_text()
    assert "reason 3.0" in detail.locator(".bifrost-g-scores").inner_text()
    detail.get_by_label("Compare words with").select_option("provider-1/a-model-with-a-long-name-1")
    changed = detail.locator(".bifrost-g-diff")
    lab.until(lambda: "Unlike: 0%" in changed.inner_text(), 30, "the word diff")
    assert "Question 3?" in changed.inner_text()
    folds = changed.locator("details")
    assert folds.count() == 2
    assert "leaf59" not in changed.inner_text()
    folds.nth(1).locator("summary").click()
    lab.until(lambda: "leaf59" in changed.inner_text(), 30, "the whole second text")
    detail.get_by_role("button", name="Good answer").click()
    lab.until(lambda: "Kept" in detail.inner_text(), 30, "the thumb to be kept")
    show.select_option(label="right and people disagree")
    found("of 1 prompts", "the answer that a person likes and the score fails")
    assert "Question 3?" in rows.inner_text()


def test_every_choice_can_be_made(lab: Notebook) -> None:
    """An input's empty value is one of its values; the order that only a header makes is not offered."""
    root = board(
        lab.run(
            "import bifrost_nb as bf\n"
            "bf.compare(['azure/fast'], '{{word}}{{more}}', inputs={'word': list('abc'), 'more': ['', '!', '']},\n"
            "           client=client, max_tokens=3).grid()"
        )
    )
    root.wait_for()
    prompts = root.locator("tbody th")
    more = root.get_by_label("more", exact=True)
    assert more.locator("option").all_inner_texts() == ["any", "(empty)", "!"]
    for choice, shown in (("(empty)", ["a", "c"]), ("!", ["b!"]), ("any", ["a", "b!", "c"])):
        more.select_option(label=choice)
        lab.until(lambda shown=shown: prompts.all_inner_texts() == shown, 30, choice)
        assert more.locator("option:checked").inner_text() == choice
    sort = root.get_by_label("Sort", exact=True)
    assert sort.locator("option:disabled").all_inner_texts() == ["by a column"]
    root.get_by_role("button", name="Sort by azure/fast").click()
    lab.until(lambda: sort.locator("option:checked").inner_text() == "by a column", 30, "the header's order")


WATCHED = """root => {
  const boxes = [...root.querySelectorAll('input[type=checkbox]')];
  const { get, set } = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'checked');
  root.jumps = [];
  boxes.forEach((box, place) => Object.defineProperty(box, 'checked', {
    get() { return get.call(box); },
    set(value) { if (value !== get.call(box)) root.jumps.push([place, value]); set.call(box, value); },
  }));
}"""
"""Notes each tick that the page itself turns round."""
AT_ONCE = """(root, places) => {
  const boxes = [...root.querySelectorAll('input[type=checkbox]')];
  for (const place of places) boxes[place].click();
}"""
"""Clicks that no page can come between."""


def test_clicks_are_answered_while_a_cell_runs(lab: Notebook, grid: Cell, tmp_path: Path) -> None:
    """The first click, too: JupyterLab sends it to a subshell."""
    root, clicked = board(grid), tmp_path / "clicked"
    cell = lab.start(f"import pathlib, time\nwhile not pathlib.Path({str(clicked)!r}).exists(): time.sleep(0.01)")
    try:
        root.get_by_role("button", name="Next page").click()
        lab.until(lambda: "21 to 40" in root.locator(".bifrost-g-count").inner_text(), 30, "the second page")
        assert cell.running
    finally:
        clicked.touch()
        cell.wait()


def test_no_tick_jumps_back(lab: Notebook, grid: Cell) -> None:
    """Clicks at once: the first one's page is older than the last click and leaves what that has ticked alone.

    What Python refuses, the last column, and what another view clicks is drawn.
    """
    root = board(grid)
    other = board(lab.run("grid"))
    other.wait_for()
    for one in (root, other):
        one.get_by_text("Columns", exact=True).click()
    boxes, others = root.get_by_role("checkbox"), other.get_by_role("checkbox")
    root.evaluate(WATCHED)
    root.evaluate(AT_ONCE, [0, 1, 3])
    lab.until(lambda: root.locator("thead th").count() == 2 and root.locator("td p, td code").count(), 30, "the page")
    assert root.evaluate("e => e.jumps") == []
    lab.until(lambda: [others.nth(place).is_checked() for place in range(4)] == [False, False, True, True], 30, "both")
    boxes.nth(2).click()
    lab.until(boxes.nth(2).is_checked, 30, "the last column back")
    others.nth(0).check()
    lab.until(boxes.nth(0).is_checked, 30, "the click in the other view")


def test_every_control_is_named(grid: Cell) -> None:
    """Each control of the table and of an opened answer has an accessible name."""
    root = board(grid)
    root.get_by_role("button", name="azure/fast: A **fine** colour").first.click()
    root.get_by_role("button", name="Good answer").wait_for()
    for role in ("button", "combobox", "textbox"):
        every = root.get_by_role(role).count()
        assert every > 0
        unnamed = (
            "e => [...e.querySelectorAll('button, select, input')].filter(n => !(n.ariaLabel || n.textContent.trim()"
        )
        assert root.evaluate(unnamed + " || n.labels?.length)).length") == 0


def test_the_saved_notebook_keeps_a_table(lab: Notebook, grid: Cell) -> None:
    """Beside the widget the file has a static table, for every reader without a kernel."""
    output = grid.outputs[-1]  # the one before is the progress bar
    assert "<table" in "".join(output["data"]["text/html"])
    assert "thing 00" in "".join(output["data"]["text/plain"])
    assert WIDGET in lab.saved().cells[grid.index].outputs[-1]["data"]


@pytest.mark.parametrize("theme", ["Light", *thorough("Dark")])
def test_pictures(lab: Notebook, grid: Cell, pictures: Path, theme: Literal["Light", "Dark"]) -> None:
    """Pictures of both themes for people to look at; in both, text and ground differ enough to read."""
    lab.theme(theme)
    root = board(grid)
    root.get_by_label("Sort", exact=True).select_option("errors")
    lab.until(lambda: "thing 07" in root.locator("tbody tr").first.inner_text(), 30, "the prompt with errors first")
    lab.picture(pictures / f"grid-{theme.lower()}.png", grid)
    root.get_by_role("button", name="azure/fast: A **fine** colour").nth(1).click()
    root.locator(".bifrost-g-detail .bifrost-g-label").first.wait_for()
    root.get_by_label("Compare words with").select_option("azure/large")
    root.locator("ins").first.wait_for()
    for part in (".bifrost-g-said", ".bifrost-g-text", ".bifrost-g-story", ".bifrost-g-count", ".bifrost-g-label"):
        assert contrast(root.locator(part).first) >= 4.5, (theme, part)
    lab.picture(pictures / f"grid-detail-{theme.lower()}.png")
    lab.theme("Light")


def test_pictures_of_a_prompt(lab: Notebook) -> None:
    """Table, opened answer and vote show the picture that was asked about; an address becomes no picture."""
    cell = lab.run(
        "import json, numpy as np, bifrost_nb as bf\n"
        "from bifrost_nb._notebook.widgets.vote import Vote\n"
        "asked = bf.compare(['openai/gpt-4o-mini', 'azure/gpt-4o'], 'What is it?', client=client, max_tokens=8,\n"
        "                   inputs={'shot': [np.zeros((8, 9))]}, images='shot')\n"
        "seen = asked.grid()\n"
        "seen"
    )
    root = board(cell)
    image = root.locator("th img.bifrost-picture")
    image.wait_for()
    lab.until(lambda: image.evaluate("image => image.naturalWidth") == 9, 30, "the picture in the table")
    root.locator("tbody button").first.click()
    image = root.locator(".bifrost-g-detail img.bifrost-picture")
    image.wait_for()
    lab.until(lambda: image.evaluate("image => image.naturalWidth") == 9, 30, "the picture")
    vote = lab.run("asked.runs[0].response = asked.runs[0].texts[0] = 'other'; asked.vote()")
    picture = board(vote).locator("img.bifrost-picture")
    picture.wait_for()
    assert picture.get_attribute("src").startswith("data:image/png;base64,")
    lab.run(
        "bad = ['https://example.com/a.png', 'data:image/svg+xml;base64,PHN2Zz4=']\n"
        "seen.widget.send({'detail': {**seen.detail(0, 0), 'pictures': bad}})"
    )
    lab.until(lambda: image.count() == 0, 30, "no picture")
