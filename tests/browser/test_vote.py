"""The blind vote in JupyterLab and Notebook 7, by keyboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

from bifrost_nb._simulator.process import LocalGateway
from tests.thorough import thorough

from .lab import Cell, Notebook
from .test_live import WIDGET, contrast

SOURCE = """
from bifrost_nb._compare.compare import compare
comparison = compare(["azure/fast", "azure/large"], "Explain {{thing}}.", client=client, fresh=True, max_tokens=60,
                     inputs={"thing": [f"thing {number}" for number in range(5)]})
vote = comparison.vote(seed=2)
vote
"""


@pytest.fixture
def vote(lab: Notebook, gateway: LocalGateway) -> Cell:
    """A vote in JupyterLab."""
    return shown(lab, gateway)


def shown(notebook: Notebook, gateway: LocalGateway) -> Cell:
    """A vote of five pairs; azure/fast is known by its code."""
    first, second = "Use `code` and a **bold** word.", "A table helps:\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    gateway.script(
        [
            {"deployment": "azure/fast", "text": first, "first_text_ms": 5, "gap_ms": 0},
            {"deployment": "azure/large", "text": second, "first_text_ms": 5, "gap_ms": 0},
        ]
    )
    cell = notebook.run(SOURCE)
    cell.output.locator(".bifrost-board").wait_for()
    return cell


def count(cell: Cell) -> Any:
    """The line that says which pair is shown."""
    return cell.output.locator(".bifrost-g-count")


def test_vote_by_keyboard(either: Notebook, gateway: LocalGateway) -> None:
    """1, 2, 0, t and s vote while no name is shown; the reveal is static, names all, and the frame has the votes."""
    vote = shown(either, gateway)
    root, keys = vote.output.locator(".bifrost-board"), either.page.keyboard
    root.focus()
    for number, key in enumerate("120ts"):
        either.until(lambda n=number: f"Pair {n + 1} of 5" in count(vote).inner_text(), 30, f"pair {number + 1}")
        assert "azure" not in root.inner_text()
        assert root.locator(".bifrost-v-body").first.inner_text()
        keys.press(key)
    either.until(lambda: "All 5 pairs are done" in count(vote).inner_text(), 30, "the end")
    kinds = either.page.evaluate("window.jupyterapp.shell.currentWidget.content.widgets.map(w => w.model.type)")
    assert set(kinds) == {"code"}  # in JupyterLab's command mode 1 makes a heading of a cell
    keys.press("Enter")  # the focus went to "End and reveal"
    either.until(lambda: root.count() == 0, 30, "the static result")
    assert "azure/fast" in vote.output.inner_text()
    assert "4 votes, 1 skipped (seed 2)" in vote.output.inner_text()
    assert WIDGET not in vote.outputs[-1]["data"]
    said = either.run("print(vote.frame['winner'].fillna('-').tolist())").outputs[0]["text"]
    assert said == "['model_a', 'model_b', 'tie', 'tie', '-']\n"
    assert "4 votes" in str(either.saved().cells[vote.index].outputs[-1]["data"]["text/html"])


def test_clicks_arrive_when_earlier_widgets_are_gone(lab: Notebook, gateway: LocalGateway) -> None:
    """JupyterLab ends its subshell with the widgets of one comparison and names it in messages of the next's."""
    for _ in range(2):
        vote = shown(lab, gateway)
        root = vote.output.locator(".bifrost-board")
        root.get_by_role("button", name="1 is better").click()
        lab.until(lambda cell=vote: "Pair 2 of 5" in count(cell).inner_text(), 30, "the second pair")
        root.get_by_role("button", name="End and reveal").click()
        lab.until(lambda board=root: board.count() == 0, 30, "the static result")


def test_no_vote_on_a_pair_that_is_not_shown_yet(lab: Notebook, vote: Cell) -> None:
    """The next pair waits for the end of a press; the click that comes first is about the pair on display."""
    root, mouse = vote.output.locator(".bifrost-board"), lab.page.mouse
    root.get_by_role("button", name="1 is better").hover()
    mouse.down()
    lab.page.keyboard.press("1")
    lab.page.wait_for_timeout(500)  # the next pair has come by then
    mouse.up()
    lab.until(lambda: "Pair 2 of 5" in count(vote).inner_text(), 30, "the second pair")
    root.get_by_role("button", name="End and reveal").click()
    lab.until(lambda: root.count() == 0, 30, "the static result")
    assert "1 vote, 0 skipped" in vote.output.inner_text()


@pytest.mark.parametrize("theme", ["Light", *thorough("Dark")])
def test_pictures(lab: Notebook, vote: Cell, pictures: Path, theme: Literal["Light", "Dark"]) -> None:
    """Pictures of both themes for people to look at; every button is named, and text differs enough from its ground."""
    lab.theme(theme)
    root = vote.output.locator(".bifrost-board")
    for name in ("1 is better", "2 is better", "Tie", "Skip", "End and reveal"):
        root.get_by_role("button", name=name).wait_for()  # the theme may still be loading
    for part in (".bifrost-g-count", ".bifrost-v-key", ".bifrost-v-number", ".bifrost-v-body p"):
        assert contrast(root.locator(part).first) >= 4.5, (theme, part)
    lab.picture(pictures / f"vote-{theme.lower()}.png", vote)
    root.get_by_role("button", name="1 is better").click()
    lab.until(lambda: "Pair 2 of 5" in count(vote).inner_text(), 30, "the second pair")
    root.get_by_role("button", name="End and reveal").click()
    lab.until(lambda: root.count() == 0, 30, "the static result")
    lab.picture(pictures / f"vote-revealed-{theme.lower()}.png", vote)
    lab.theme("Light")
