"""Recorded runs replayed from a cell in JupyterLab and Notebook 7, and what changed read on the page."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from bifrost_nb._simulator.process import LocalGateway

from .lab import Notebook
from .test_grid import board
from .test_live import WIDGET, contrast

THEMES: tuple[Literal["Dark", "Light"], ...] = ("Dark", "Light")
ASK = """
import bifrost_nb as bf
for number in range(3):
    client.complete("azure/large", f"A colour for thing {number}?", max_tokens=20, tags={"sheet": "replay"})
"""
REPLAY = """
rows = bf.runs(tags={"sheet": "replay"}, limit=3)
replayed = bf.replay(rows, ["azure/fast", "openai/gpt-3.5-turbo-instruct"], client=client, fresh=True)
client.wait_costs(replayed.comparison.runs)
replayed
"""
FIGURES = """
for row in replayed.summary().itertuples():
    print(row.deployment, row.ok, row.same, row.cost_usd_pairs, row.cost_usd_change < 0, row.total_ms_change < 0)
"""


def test_a_flow(either: Notebook, gateway: LocalGateway, pictures: Path) -> None:
    """Totals for each deployment, each prompt with its changes and word diff, and the new answers in the grid."""
    quick = {"first_text_ms": 5, "gap_ms": 0}
    gateway.script(
        [
            {"deployment": "azure/large", "text": ["The ", "**old** ", "answer."], "first_text_ms": 400, "cost": 0.004},
            {"deployment": "azure/fast", "text": ["The ", "**new** ", "answer."], **quick, "cost": 0.001},
            {"text": ["The ", "**old** ", "answer."], **quick, "cost": 0.003},
        ]
    )
    either.run(ASK)
    cell = either.run(REPLAY)
    shown = cell.output.locator(".jp-RenderedHTMLCommon").last
    fast, other = (" ".join(text.split()) for text in shown.locator("tbody tr").all_inner_texts())
    assert "azure/fast 3 of 3 answered, 0 the same" in fast
    assert "$0.0120 → $0.00300 (-$0.00900, -75%)" in fast
    assert "3 of 3 answered, 3 the same, 100% of the words alike" in other
    assert "$0.0120 → $0.00900 (-$0.00300, -25%)" in other
    assert [figures.count("ms median over 3") for figures in (fast, other)] == [1, 1]
    said = either.run(FIGURES).outputs[0]["text"].splitlines()
    assert said == ["azure/fast 3 0 3 True True", "openai/gpt-3.5-turbo-instruct 3 3 3 True True"]

    prompts = shown.locator("details")
    assert prompts.count() == 6
    first = prompts.first
    assert "A colour for thing 0? · azure/fast · -$0.00300 · -" in first.locator("summary").inner_text()
    assert "the same answer" in prompts.nth(1).locator("summary").inner_text()
    assert not first.locator("ins").is_visible()
    first.locator("summary").click()
    assert (first.locator("del").inner_text(), first.locator("ins").inner_text()) == ("old", "new")
    for theme in THEMES:
        either.theme(theme)
        for part in ("td", "summary span", "del", "ins"):
            assert contrast(shown.locator(part).first) >= 4.5, (theme, part)
        either.picture(pictures / f"replay-{either.app}-{theme.lower()}.png", cell)
    assert set(either.saved().cells[cell.index].outputs[-1].data) == {"text/html", "text/plain"}

    grid = either.run("replayed.comparison.grid()")
    assert WIDGET in grid.outputs[-1]["data"]
    board(grid).get_by_role("button", name="azure/fast: The **new** answer.").first.click()
    detail = board(grid).locator(".bifrost-g-detail")
    either.until(lambda: "azure/fast served." in detail.inner_text(), 30, "the opened answer")
    detail.get_by_label("Compare words with").select_option("openai/gpt-3.5-turbo-instruct")
    either.until(lambda: detail.locator("ins").count() == 1, 30, "the word diff")
