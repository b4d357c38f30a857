"""Voila: a page of ours is served as an application, and its widgets work though nobody saw its cells run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bifrost_nb._simulator.process import LocalGateway
from tests import lazy

from .lab import Server

CELLS = [
    """
import bifrost_nb as bf
client = bf.Client({url!r})
inputs = {{"thing": ["tea", "rain"]}}
comparison = bf.compare(["azure/fast", "azure/large"], "About {{{{thing}}}}", inputs=inputs, client=client, live=True)
comparison""",
    "comparison.vote()",
    "bf.playground(['azure/fast'], 'Name a bird.', client=client)",
]


def test_a_page_is_an_application(context: Any, server: Server, gateway: LocalGateway, pictures: Path) -> None:
    """The comparison is a static table; a vote is taken and revealed, and the playground asks, all by clicks."""
    pytest.importorskip("voila", reason="voila is not installed")
    others = {"azure/fast": "Some words.", "azure/large": "Other words."}
    gateway.script([{"prompt": "bird", "text": "A wren."}, *({"deployment": n, "text": t} for n, t in others.items())])
    cells = [lazy.nbformat.v4.new_code_cell(source.strip().format(url=gateway.url)) for source in CELLS]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    lazy.nbformat.write(
        lazy.nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), server.root / "page.ipynb"
    )
    page = context.new_page()
    page.goto(f"{server.url}/voila/render/page.ipynb?token={server.token}", timeout=90_000)
    page.get_by_text("4 runs: 4 done").first.wait_for(timeout=60_000)
    assert page.locator("table[aria-label]", has_text="azure/large").first.is_visible()
    page.get_by_role("button", name="1 is better").click()
    page.get_by_text("Pair 2 of 2").wait_for()
    assert "azure/large" not in page.locator(".bifrost-board").inner_text()
    page.get_by_role("button", name="End and reveal").click()
    page.locator(".bifrost-board table", has_text="azure/large").first.wait_for()
    page.locator(".bifrost-pg-root").get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("A wren.").first.wait_for()  # a second one is there until the markdown has come
    page.screenshot(path=str(pictures / "voila.png"), full_page=True)
    page.close()
