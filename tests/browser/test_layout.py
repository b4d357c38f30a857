"""How high a cell's output is from its first sign of life to the static answer: what is below it must not jump."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import pytest

from bifrost_nb._simulator.process import LocalGateway
from tests.thorough import thorough

from .lab import Cell, Notebook

WORDS = ("word of a paragraph that goes on for a while. " * 6 + "\n\n* item\n* item\n\n").split(" ")
RULES: list[dict[str, Any]] = [  # every stream waits after its first chunk until its pane has been seen
    {"prompt": "short", "text": ["one ", "line ", "only."], "gap_ms": 100, "hold_after_chunks": 1},
    {"prompt": "medium", "text": [word + " " for word in WORDS] * 4, "gap_ms": 5, "hold_after_chunks": 1},
    {"prompt": "broken", "text": ["one ", "two "], "hold_after_chunks": 1, "error_after_chunks": 1, "status": 500},
]
CELLS = {
    "short": "show('short');",
    "medium": "show('medium');",
    "race": "show('short', 'medium');",
    "failure": "show('broken', retries=0);",
}
RECORD = """index => {
    const out = document.querySelectorAll('.jp-Notebook .jp-Cell')[index].querySelector('.jp-Cell-outputArea');
    const drawn = new MessageChannel(), heights = window.__heights = [];
    const state = () => ['live', 'static', ''].find((_, i) => [
        out.querySelector('.bifrost-live'), out.querySelector('.jp-RenderedHTML'), out][i]);
    drawn.port1.onmessage = ({data}) => {  // what was there when a frame began, after its layout and its observers
        if (data === state()) heights.push([data, Math.round(out.getBoundingClientRect().height)]);
        if (data !== 'static') requestAnimationFrame(() => drawn.port2.postMessage(state()));
    };
    drawn.port2.postMessage('');
}"""


class Seen(NamedTuple):
    """One frame: ``live``, ``static`` or empty, and the output's height in pixels."""

    state: str
    height: int


def watched(notebook: Notebook, gateway: LocalGateway, source: str) -> list[Seen]:
    """Every frame of the cell's output, up to the first one with the static answer."""
    gateway.script(RULES)
    cell: Cell = notebook.start(source)
    notebook.page.evaluate(RECORD, cell.index)
    notebook.until(lambda: notebook.page.evaluate("(window.__heights.at(-1) || [])[0] === 'live'"), 60, "the pane")
    gateway.script([])
    cell.wait()
    notebook.until(lambda: notebook.page.evaluate("window.__heights.at(-1)[0] === 'static'"), 60, "the static answer")
    return [Seen(*each) for each in notebook.page.evaluate("window.__heights")]


@pytest.mark.parametrize("name", ["race", "failure", *thorough("short", "medium")])
def test_the_output_never_jumps(either: Notebook, gateway: LocalGateway, name: str) -> None:
    """The live view only grows, by what has come; the static answer follows it with no empty frame between them."""
    frames = watched(either, gateway, CELLS[name])
    states = [state for state, _ in itertools.groupby(frame.state for frame in frames)]
    assert states in (["", "live", "static"], ["live", "static"])
    live = [frame.height for frame in frames if frame.state == "live"]
    assert live == sorted(live)
    if name == "short":
        assert abs(frames[-1].height - live[-1]) <= 100
