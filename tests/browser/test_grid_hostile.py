"""Hostile answers in the grid, its word diff and the blind vote: nothing runs, nothing is loaded."""

from __future__ import annotations

from bifrost_nb._simulator.process import LocalGateway

from .lab import Notebook
from .test_hostile import HOSTILE, canary  # noqa: F401

SOURCE = """
from bifrost_nb._compare.compare import compare
comparison = compare(["azure/fast", "azure/large"], "{{p}}", client=client, fresh=True, inputs={"p": [hostile]})
"""
ACTIVE = "script, img[src^=http], svg, iframe, style, link, object, embed, video, base, meta, [onerror], [onload]"


def test_grid_diff_and_vote(lab: Notebook, gateway: LocalGateway, canary: tuple[str, list[str]]) -> None:  # noqa: F811
    """Prompt and answers full of markup are text in the grid, in opened answers, in the diff and in the vote."""
    address, asked = canary
    text = HOSTILE.format(canary=address)
    answers = {"azure/fast": text, "azure/large": text.replace("the end", "<b onclick=x>the very end</b>")}
    gateway.script([{"deployment": name, "text": answer, "gap_ms": 0} for name, answer in answers.items()])
    lab.page.evaluate("window.__ran = 0")
    lab.run(f"hostile = {text!r}" + SOURCE)
    grid = lab.run("comparison.grid()").output.locator(".bifrost-board")
    grid.get_by_role("button", name="azure/large:").first.click()
    grid.get_by_label("Compare words with").select_option("azure/fast")
    grid.locator("ins, del").first.wait_for()
    cell = lab.run("vote = comparison.vote(); vote")
    vote = cell.output.locator(".bifrost-board")
    vote.locator(".bifrost-v-body p").first.wait_for()
    for board in (grid, vote):
        assert "<script>window.__ran = 1</script>" in board.inner_text()
        assert board.locator(ACTIVE).count() == 0
        assert board.locator("a[href^=javascript]").count() == 0
    vote.get_by_role("button", name="End and reveal").click()
    lab.until(lambda: vote.count() == 0, 30, "the static result")
    result = cell.output.locator(".jp-RenderedHTMLCommon").last
    assert "azure/large" in result.inner_text()
    assert [one.evaluate("e => e.outerHTML") for one in result.locator(ACTIVE).all()] == []
    assert lab.page.evaluate("window.__ran") == 0
    assert asked == []
