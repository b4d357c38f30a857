"""How the live pane draws what comes: nothing jumps, collected text appears evenly, and none of it is lost."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from bifrost_nb._simulator.process import LocalGateway

from .conftest import SETUP
from .lab import Notebook, Server


def test_nothing_jumps(lab: Notebook, gateway: LocalGateway) -> None:
    """From waiting to streaming the pane's header keeps its height, and for short answers the pane does."""
    for source in ("show('short');", "show('short', 'short', 'short', 'short');"):
        # Held before the first text, after it, and at the end.
        seen = {heights(lab, gateway, source, count) for count in (0, 1, 5)}
        assert len(seen) == 1, seen


def heights(lab: Notebook, gateway: LocalGateway, source: str, count: int) -> tuple[int, ...]:
    """How high the columns are and where their text begins, after `count` chunks."""
    tokens = ["one ", "two ", "three ", "four ", "five "]
    gateway.script([{"prompt": "short", "text": tokens, "first_text_ms": 0, "hold_after_chunks": count}])
    cell = lab.start(source)
    texts, shown = cell.pane.locator(".bifrost-text"), "".join(tokens[:count])
    lab.until(lambda: set(texts.all_text_contents()) == {shown}, 30, f"{shown!r}")
    lab.page.evaluate("new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    found = cell.output.evaluate(
        """e => [...e.querySelectorAll('.bifrost-column')]
            .flatMap(c => [c.offsetHeight, c.querySelector('.bifrost-text').offsetTop])"""
    )
    gateway.script([])
    cell.wait()
    return tuple(found)


@pytest.mark.thorough
def test_collected_text_is_drawn_evenly(lab: Notebook, gateway: LocalGateway) -> None:
    """Late in a long answer, where a frame holds the text of seconds, the page draws it in small steps."""
    begin, words = "so far " * 3_000, ["on \U0001f30a\U0001f30a\U0001f30a, "] * 300  # 21,000, then 3,300 in 3 seconds
    gateway.script([{"prompt": "even", "text": [begin, *words], "gap_ms": 10, "hold_after_chunks": 301}])
    cell = lab.start("show('even');")
    text = cell.pane.locator(".bifrost-text")
    lab.until(lambda: cell.pane.count() and len(text.text_content()) > len(begin), 30, "the text to begin")
    lengths = """async end => { const body = document.querySelector('.bifrost-live .bifrost-text'), seen = [];
        while (body.isConnected && seen.at(-1) !== end) {
            const text = body.textContent;
            if (!text.isWellFormed()) throw new Error('half a character');
            if (seen.at(-1) !== text.length) seen.push(text.length);
            await new Promise(drawn => requestAnimationFrame(drawn));
        }
        return seen; }"""
    whole = begin + "".join(words)
    seen = lab.page.evaluate(lengths, len(whole.encode("utf-16-le")) // 2)
    collected = 4.5 * len(begin) ** 0.5  # characters in a frame, at least
    assert max(new - old for old, new in pairwise(seen)) < collected
    assert len(seen) > 2 * (seen[-1] - seen[0]) / collected
    assert text.text_content() == whole
    gateway.script([])
    cell.wait()


def test_a_page_that_is_not_drawn_loses_nothing(context: Any, server: Server, gateway: LocalGateway) -> None:
    """What came, and ended, while the browser drew no frames (its tab was hidden) is there when it draws again."""
    # A page of its own, as JupyterLab draws nothing either.
    lab = Notebook(context, server, "lab", "hidden.ipynb", new_page=True)
    lab.run(SETUP.format(url=gateway.url))
    begin, words = "so far " * 10_000, ["and on it goes, "] * 100
    gateway.script(
        [
            {"prompt": "hidden", "text": [begin, *words], "gap_ms": 2, "hold_after_chunks": 1},
            {"prompt": "other", "text": ["x"], "stall_after_chunks": 1},
        ]
    )
    cell = lab.start("show('hidden', 'other', fallbacks=None);")
    text = cell.pane.locator(".bifrost-text").first
    lab.until(lambda: cell.pane.count() and text.text_content() == begin, 30, "the text to begin")
    lab.page.evaluate(
        "() => { window.__draw = window.requestAnimationFrame; window.__waiting = [];"
        " window.requestAnimationFrame = (draw) => window.__waiting.push(draw); }"
    )
    gateway.script([])
    lab.until(lambda: cell.pane.locator(".bifrost-state").first.text_content() == "done", 30, "the first to end")
    assert text.text_content() == begin
    lab.page.evaluate(
        "() => { window.requestAnimationFrame = window.__draw; for (const draw of window.__waiting) draw(0); }"
    )
    lab.until(lambda: text.text_content() == begin + "".join(words), 30, "the rest")
    lab.command("notebook:interrupt-kernel")
    cell.wait()
    lab.close(page=True)
