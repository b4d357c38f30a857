"""How smooth the page stays while eight columns stream 100 chunks a second each: the time between drawn frames.

    python tests/benchmarks/bench_pane.py [--seconds 10]

Three views in JupyterLab in Chromium: the race of eight calls, the counters of a comparison (80 calls, eight at once
for each of four deployments), and a grid of 10,000 runs that is paged through. Before them the page alone, since
other work on the machine delays frames too; the processor time of the page's longest task does not depend on that. The
first two seconds, in which the view is loaded, are left out. Needs what the browser tests need.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from playwright.sync_api import sync_playwright  # noqa: E402

from bifrost_nb._simulator.process import local_gateway  # noqa: E402
from tests.browser.conftest import SETUP  # noqa: E402
from tests.browser.lab import CHROMIUM, CHROMIUM_FLAGS, Notebook, Server  # noqa: E402

WARM_MS = 2000
GAPS = """warm => { window.__gaps = []; let last = performance.now(); const began = last;
    const step = now => { if (now - began > warm) window.__gaps.push(now - last); last = now;
        window.__step = requestAnimationFrame(step); };
    window.__step = requestAnimationFrame(step); }"""
RACE = "show(*(f'column {{n}}' for n in range(8)), max_tokens={tokens});"
COUNTERS = """
from bifrost_nb import compare
names = ["azure/fast", "azure/large", "azure/gpt-35-turbo-instruct", "openai/gpt-3.5-turbo-instruct"]
compare(names, "column {{{{n}}}}", client=client, live=True, fresh=True, concurrency=8, max_tokens={tokens},
        inputs={{"n": list(range(20))}});
"""
GRID = """
from bifrost_nb._notebook.widgets.grid import GridView
from bifrost_nb._runs.run import Run
pairs = [(f"a/m{place % 5}", Run(requested_provider="a", requested_model=f"m{place % 5}", status="ok", total_ms=5.0,
          prompt=f"prompt {place // 5}", prompt_id=str(place // 5), response="An **answer** of some words. " * 20))
         for place in range(10_000)]
GridView(pairs)
"""


@contextlib.contextmanager
def measured(name: str, notebook: Notebook) -> Iterator[None]:
    """Print the gaps between frames drawn meanwhile, and the longest task's processor time."""
    browser = notebook.page.context.browser
    browser.start_tracing(page=notebook.page, categories=["toplevel"])
    notebook.page.evaluate(GAPS, WARM_MS)
    yield
    gaps = sorted(notebook.page.evaluate("() => { cancelAnimationFrame(window.__step); return window.__gaps; }"))
    over, task = sum(gap > 100 for gap in gaps), longest(browser.stop_tracing())
    print(
        f"{name:<28} {len(gaps):>5} frames  median {gaps[len(gaps) // 2]:5.1f}  p99 {gaps[len(gaps) * 99 // 100]:5.1f}"
        f"  max {gaps[-1]:5.1f} ms, {over} over 100 ms; longest task {task:.0f} ms of processor"
    )


def longest(trace: bytes) -> float:
    """Processor time in ms of the longest task on a page's main thread, after the first seconds."""
    events = json.loads(trace)["traceEvents"]
    mains = {(e["pid"], e["tid"]) for e in events if e.get("args", {}).get("name") == "CrRendererMain"}
    tasks = [e for e in events if (e["pid"], e["tid"]) in mains and "tdur" in e]
    began = min((e["ts"] for e in tasks), default=0)
    return max((e["tdur"] for e in tasks if e["ts"] > began + 1000 * WARM_MS), default=float("nan")) / 1000


def streams(notebook: Notebook, name: str, source: str) -> None:
    """Run a cell that streams and measure while it does."""
    with measured(name, notebook):
        notebook.start(source).wait(180)


def paging(notebook: Notebook, seconds: int) -> None:
    """Page through a large grid, twice a second, opening an answer on each page."""
    root = notebook.run(GRID).output.locator(".bifrost-board")
    root.wait_for()
    with measured("grid of 10,000 runs, paged", notebook):
        for _ in range(2 * seconds):
            root.get_by_role("button", name="Next page").click()
            root.locator(".bifrost-g-cell").first.click()
            notebook.page.wait_for_timeout(500)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=int, default=10)
    seconds = parser.parse_args().seconds
    tokens = 100 * (seconds + WARM_MS // 1000)
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder, local_gateway() as gateway, sync_playwright() as playwright:
        gateway.script([{"prompt": "column", "chunks": tokens, "first_text_ms": 50, "gap_ms": 10}])
        own = {"PYTHONPATH": str(ROOT), "BIFROST_RUN_LOG": f"{folder}/runs.jsonl"}
        browser: Any = playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_FLAGS))
        server = Server(Path(folder), own)
        try:
            notebook = Notebook(browser.new_context(viewport={"width": 1280, "height": 900}), server, "lab", "b.ipynb")
            notebook.run(SETUP.format(url=gateway.url))
            with measured("nothing", notebook):
                notebook.page.wait_for_timeout(1000 * seconds)
            streams(notebook, "race of 8 columns", RACE.format(tokens=tokens))
            streams(notebook, "counters of 80 calls", COUNTERS.format(tokens=tokens))
            paging(notebook, seconds)
        finally:
            server.stop()
            browser.close()


if __name__ == "__main__":
    main()
