"""`compare(..., live=True)` in JupyterLab: a race for a few calls, counters for many, static markup at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from bifrost_nb._simulator.process import LocalGateway
from tests.thorough import thorough

from .lab import Notebook
from .test_live import WIDGET, contrast

SOURCE = """
from bifrost_nb._compare.compare import compare
comparison = compare(["azure/fast", "azure/large", "openai/gpt-3.5-turbo-instruct"], "Live {{{{n}}}}", client=client,
                     live=True, fresh=True, concurrency=2, max_tokens=40, inputs={{"n": list(range({prompts}))}})
print(comparison.missing, comparison.notes)
"""


@pytest.mark.parametrize("theme", ["Light", *thorough("Dark")])
def test_many(lab: Notebook, gateway: LocalGateway, pictures: Path, theme: Literal["Light", "Dark"]) -> None:
    """Counters move while the cell runs; Stop all ends it, and a table stays."""
    lab.theme(theme)
    quick = {"prompt": "Live", "chunks": 10, "first_text_ms": 300, "gap_ms": 5}
    gateway.script([{**quick, "times": 7}, {**quick, "hold_after_chunks": 5}])
    cell = lab.start(SOURCE.format(prompts=40))
    root = cell.output.locator(".bifrost-board")
    root.wait_for()
    count = root.locator(".bifrost-g-count")
    lab.until(lambda: count.inner_text().startswith("7 of 120 runs"), 30, "the first runs to end")
    assert cell.running
    for part in (".bifrost-g-count", ".bifrost-g-figure span", ".bifrost-g-hint"):
        assert contrast(root.locator(part).first) >= 4.5, (theme, part)
    insets = root.locator("th, td").evaluate_all("nodes => nodes.map(n => getComputedStyle(n).paddingLeft)")
    assert set(insets) == {"10px"}  # a heading stands above its figures
    lab.picture(pictures / f"overview-{theme.lower()}.png", cell)
    root.get_by_role("button", name="Stop all").click()
    cell.wait()
    assert root.count() == 0
    assert WIDGET not in cell.outputs[0]["data"]
    assert "<table" in str(cell.outputs[0]["data"]["text/html"])
    assert "Stopped by a click." in cell.outputs[-1]["text"]
    lab.theme("Light")


def test_few(lab: Notebook, gateway: LocalGateway) -> None:
    """Three calls are three columns with text before the end; the answers stay."""
    gateway.script([{"prompt": "Live", "chunks": 60, "first_text_ms": 300, "gap_ms": 5, "hold_after_chunks": 30}])
    cell = lab.start(SOURCE.format(prompts=1))
    texts = cell.pane.locator(".bifrost-text")
    lab.until(lambda: texts.count() == 3 and all(map(len, texts.all_inner_texts())), 30, "text in three columns")
    assert cell.running
    gateway.script([])
    cell.wait()
    assert cell.pane.count() == 0
    assert cell.outputs[-1]["text"] == "0 []\n"
    assert "azure/large" in cell.output.inner_text()
