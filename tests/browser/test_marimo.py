"""marimo: a real application with our functions, tables, chart and widgets, used by clicks in Chromium."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bifrost_nb._simulator.process import LocalGateway

ROOT = Path(__file__).parents[2]
APP = """
import marimo
app = marimo.App()

@app.cell
def _():
    import bifrost_nb as bf
    client = bf.Client({url!r})
    client.complete("azure/fast", "About tea")
    return bf, client

@app.cell
def _(bf, client):
    inputs = {{"thing": ["tea", "rain"]}}
    both = ["azure/fast", "azure/large"]
    comparison = bf.compare(both, "About {{{{thing}}}}", inputs=inputs, client=client, live=True)
    return (comparison,)

@app.cell
def _(comparison):
    comparison
    return

@app.cell
def _(comparison):
    comparison.grid()
    return

@app.cell
def _(comparison):
    comparison.vote()
    return

@app.cell
def _(comparison):
    comparison.plot.latency()
    return

@app.cell
def _(bf, client):
    bf.playground(["azure/fast"], "Name a bird.", client=client)
    return
"""


@pytest.fixture
def address(gateway: LocalGateway, tmp_path: Path) -> Iterator[str]:
    """The application, served by marimo."""
    pytest.importorskip("marimo", reason="marimo is not installed")
    others = {"azure/fast": "Some **words**.", "azure/large": "Other words."}
    gateway.script([{"prompt": "bird", "text": "A wren."}, *({"deployment": n, "text": t} for n, t in others.items())])
    (tmp_path / "app.py").write_text(APP.format(url=gateway.url))
    port = _free_port()
    options = ["--headless", "--no-token", "--host", "127.0.0.1", "--port", str(port)]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "marimo", "-q", "run", "app.py", *options],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "BIFROST_RUN_LOG": str(tmp_path / "runs.jsonl"),
                 "XDG_CONFIG_HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until and server.poll() is None:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
                break
            time.sleep(0.1)
        else:
            raise RuntimeError(f"no marimo: {(tmp_path / 'log').read_text()[-2000:]}")
        yield f"http://127.0.0.1:{port}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)


def test_everything_but_magics(chromium: Any, address: str, tmp_path: Path, pictures: Path) -> None:
    """Answers, live race, table, grid, blind vote, chart and playground are there and take clicks; no error is told."""
    context = chromium.new_context(viewport={"width": 1280, "height": 3000})
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address, timeout=90_000)
    page.locator(".bifrost-pg-root").wait_for(timeout=60_000)
    live = page.locator(".bifrost-live")
    assert live.locator("section").count() == 4
    live.locator("strong", has_text="words").first.wait_for(timeout=5_000)
    assert live.get_by_role("button").count() == 0
    assert page.locator("table[aria-label]", has_text="azure/large").first.is_visible()
    grid, vote = page.locator(".bifrost-board").first, page.locator(".bifrost-board").last
    grid.get_by_text("Other words.").first.click()
    grid.locator(".bifrost-g-detail", has_text="served by").wait_for()
    assert "azure/large" not in vote.inner_text()
    vote.get_by_role("button", name="1 is better").click()
    vote.get_by_text("Pair 2 of 2").wait_for()
    vote.get_by_role("button", name="End and reveal").click()
    vote.locator("table", has_text="azure/large").first.wait_for()
    page.locator(".bifrost-pg-root").get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("A wren.").wait_for()
    page.screenshot(path=str(pictures / "marimo.png"), full_page=True)
    assert page.locator("img[src*=png]").count() == 1
    assert errors == []
    context.close()


def _free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
