"""How smooth the grid and the report of 10,000 answers are: 2,500 inputs x 4 variants, two scores, in Chromium.

    python -m tests.benchmarks.bench_grid [--write]

Prints when the grid is there after its cell was run in JupyterLab, how long each action takes from the click to the
changed page; then the gaps between drawn frames while the page itself does the same, since what looks from outside
whether it has changed holds it up, beside those of a cell with one line; then when the report of the same comparison, a
file without a server, has loaded and shows its first answers. ``--write`` puts the table between its markers in
RESULTS.md. The load of the machine is written beside it: other work delays frames too. Needs what the browser tests
need.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import sync_playwright

from bifrost_nb._simulator.process import local_gateway
from tests.benchmarks.bench_pane import GAPS
from tests.browser.conftest import SETUP
from tests.browser.lab import CHROMIUM, CHROMIUM_FLAGS, Notebook, Server

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "RESULTS.md"
BEGIN, END = "<!-- grid:begin -->", "<!-- grid:end -->"
INPUTS = 2500
MADE = f"""
from bifrost_nb import Run, compare
from bifrost_nb._compare.comparison import Comparison
names = ["azure/fast", "azure/large", "azure/gpt-35-turbo-instruct", "openai/gpt-3.5-turbo-instruct"]
rows = {{"n": list(range({INPUTS})), "topic": ["law", "tea", "rain", "sport"] * {INPUTS // 4}}}
comparison = compare(names, "Question {{{{n}}}} about {{{{topic}}}}", inputs=rows, client=client, stream=False,
                     max_tokens=40, concurrency=8, score={{
    "even": lambda run, row: (row["n"] + len(run.text)) % 2,
    "grade": lambda run, row: (row["n"] * 7 + len(run.text)) % 100 / 100,
}});
"""
SHOWN = "comparison.grid()"
PLAIN = "'one line'"
USED = """board => new Promise(done => {
    const at = name => board.querySelector(`[aria-label="${name}"]`);
    const changed = (name, kind, change) => () => {
        change(at(name));
        at(name).dispatchEvent(new Event(kind, {bubbles: true}));
    };
    const search = text => changed("Search prompts, inputs, answers", "input", node => { node.value = text; });
    const chosen = (name, value) => changed(name, "change", node => { node.value = value; });
    const steps = [
        () => at("Next page").click(), () => at("Next page").click(), search("Question 1999"), search(""),
        chosen("topic", "tea"), changed("topic", "change", node => { node.selectedIndex = 0; }),
        chosen("Show", "low:score_even"), chosen("Show", "differs:score_grade"), chosen("Show", "all"),
        () => at("Sort by azure/large").click(), () => board.querySelector(".bifrost-g-cell").click(),
    ];
    const next = () => { steps.length ? (steps.shift()(), setTimeout(next, 600)) : done(); };
    next();
})"""
"""What `actions` does, each time with what follows from it."""
REPORT_OPENINGS = 5
Timed = Callable[[str, Callable[[], object], Callable[[], bool]], None]


def actions(root: Any, timed: Timed) -> None:
    """What somebody does with a grid, each with the sign that the page has followed."""
    first, count = root.locator("tbody tr").first, root.locator(".bifrost-g-count")
    choose = root.get_by_label("Show", exact=True)

    def other(text: str) -> Callable[[], bool]:
        return lambda: bool(first.inner_text() != text)

    def counted(text: str) -> Callable[[], bool]:
        return lambda: bool(count.inner_text() != text)

    timed("next page", root.get_by_role("button", name="Next page").click, other(first.inner_text()))
    search = root.get_by_label("Search prompts, inputs, answers")
    timed("search", lambda: search.fill("Question 1999"), counted(count.inner_text()))
    timed("search cleared", lambda: search.fill(""), counted(count.inner_text()))
    timed("filter by an input", lambda: root.get_by_label("topic").select_option("tea"), counted(count.inner_text()))
    timed("all inputs", lambda: root.get_by_label("topic").select_option(index=0), counted(count.inner_text()))
    for name in ("low:score_even", "differs:score_grade"):
        timed(f"filter {name}", lambda name=name: choose.select_option(name), counted(count.inner_text()))
    timed("filter off", lambda: choose.select_option("all"), counted(count.inner_text()))
    head = root.get_by_role("button", name="Sort by azure/large")
    sorted_by = root.locator("thead th").nth(2)
    timed("sort by a header", head.click, lambda: sorted_by.get_attribute("aria-sort") == "ascending")
    detail = root.locator(".bifrost-g-detail .bifrost-g-label")
    timed("open an answer", root.locator(".bifrost-g-cell").first.click, lambda: detail.count() > 0)


def measure(notebook: Notebook) -> list[str]:
    """The lines of the table."""
    page = notebook.page
    page.evaluate(GAPS, 0)
    notebook.run(PLAIN)
    frames = [_frames(page, "JupyterLab shows another cell's one line")]
    began = time.monotonic()
    root = notebook.run(SHOWN).output.locator(".bifrost-board")
    root.locator("tbody tr").first.wait_for()
    took: dict[str, float] = {"the grid is there after its cell was run": time.monotonic() - began}
    frames.append(_frames(page, "the grid appears"))

    def timed(name: str, act: Callable[[], object], done: Callable[[], bool]) -> None:
        began = time.monotonic()
        act()
        while not done():
            if time.monotonic() > began + 30:
                raise TimeoutError(name)
            page.wait_for_timeout(5)
        took[name] = time.monotonic() - began

    actions(root, timed)
    _frames(page, "it was watched")
    root.evaluate(USED)
    frames.append(_frames(page, "it is used"))
    page.evaluate("cancelAnimationFrame(window.__step)")
    return [*(f"| {name} | {1000 * seconds:,.0f} ms |" for name, seconds in took.items()), *frames]


def _frames(page: Any, while_what: str) -> str:
    """The line that tells the gaps between frames since the last time."""
    gaps = sorted(page.evaluate("() => { const gaps = window.__gaps; window.__gaps = []; return gaps; }"))
    p99 = gaps[len(gaps) * 99 // 100]
    told = f"median {median(gaps):.0f}, p99 {p99:.0f}, longest {gaps[-1]:.0f} ms of {len(gaps):,}"
    return f"| time between two frames while {while_what} | {told} |"


def opening(browser: Any, report: Path) -> list[str]:
    """The lines of the report: it is opened some times, each in a context of its own without a cache."""
    loaded, shown = [], []
    for _ in range(REPORT_OPENINGS):
        context = browser.new_context(offline=True, viewport={"width": 1280, "height": 900})
        page, began = context.new_page(), time.monotonic()
        page.goto(report.as_uri())
        loaded.append(page.evaluate("performance.timing.loadEventEnd - performance.timing.navigationStart"))
        page.locator(".group").first.wait_for()
        shown.append(1000 * (time.monotonic() - began))
        context.close()
    name = f"the report ({report.stat().st_size / 2**20:.1f} MB)"
    return [
        f"| {name} has loaded, median of {REPORT_OPENINGS} | {median(loaded):,.0f} ms |",
        f"| {name} shows its first answers, from its opening | {median(shown):,.0f} ms |",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--write", action="store_true", help="write the table into RESULTS.md")
    parser.add_argument("--pictures", type=Path, help="a folder for a picture of it")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, local_gateway(speed=100) as gateway, sync_playwright() as playwright:
        own = {"PYTHONPATH": str(ROOT), "BIFROST_RUN_LOG": f"{folder}/runs.jsonl"}
        browser: Any = playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_FLAGS))
        server = Server(Path(folder), own)
        try:
            notebook = Notebook(browser.new_context(viewport={"width": 1280, "height": 900}), server, "lab", "b.ipynb")
            notebook.run(SETUP.format(url=gateway.url))
            notebook.start(MADE).wait(400)
            load = f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
            lines = measure(notebook)
            report = Path(folder, "report.html")
            notebook.start(f"comparison.report({str(report)!r})").wait(120)
            lines += opening(browser, report)
            if given.pictures:
                notebook.picture(given.pictures / "grid-10000.png")
        finally:
            server.stop()
            browser.close()
    head = f"Grid and report of {INPUTS:,} inputs x 4 variants, 10,000 answers with two scores, in Chromium ({load}):"
    made = "\n".join([head, "", "| from the click to the changed page | |", "|---|---|", *lines])
    print(made)
    if given.write:
        before, _, rest = RESULTS.read_text(encoding="utf-8").partition(BEGIN)
        RESULTS.write_text(f"{before}{BEGIN}\n{made}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
