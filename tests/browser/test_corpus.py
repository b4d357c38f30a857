"""The corpus of hostile answers in every view, in a real browser: nothing runs, nothing loads, nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from bifrost_nb._simulator.process import LocalGateway
from tests import lazy
from tests.thorough import thorough

from .conftest import SETUP
from .lab import Server
from .test_hostile import listening
from .watched import KERNEL, MARKS, WATCH, Watched, corpus, joined, pieces

# One page for all, and the last test opens what the others left: they stay in one process (`tests/conftest.py`).


@pytest.fixture(scope="module")
def server_asked() -> Iterator[tuple[str, list[str]]]:
    """One canary for all views: those that come later show what earlier ones left."""
    with listening() as canary:
        yield canary


@pytest.fixture
def alarm() -> Iterator[tuple[str, list[str]]]:
    """A canary that is to be asked; not the one of the views."""
    with listening() as canary:
        yield canary


@pytest.fixture(scope="module")
def opened(context: Any, server: Server, shared_gateway: LocalGateway, server_asked: tuple[str, list[str]]) -> Watched:
    """The notebook in which every view is shown."""
    notebook = Watched(context, server, "corpus.ipynb", server_asked)
    notebook.run(SETUP.format(url=shared_gateway.url) + KERNEL.format(canary=server_asked[0]))
    return notebook


@pytest.fixture
def page(opened: Watched, gateway: LocalGateway) -> Watched:
    """That notebook, with nothing seen yet."""
    opened.page.evaluate("() => { window.__marks.clear(); window.__suspects = []; }")
    return opened


def test_the_watchers_see(context: Any, alarm: tuple[str, list[str]]) -> None:
    """The same answers taken for HTML do run, do load and are suspected: so the tests below would notice."""
    address, asked = alarm
    page = context.new_page()
    page.goto("about:blank")
    page.evaluate(WATCH)
    answers = corpus(address)
    page.evaluate(
        """answers => answers.forEach(text => {
            const frame = document.createElement('iframe'); frame.srcdoc = text; document.body.append(frame); })""",
        answers,
    )
    ran = "[...document.querySelectorAll('iframe')].filter(f => f.contentWindow?.bifrostHacked).length"
    page.wait_for_function(f"{ran} > 40", timeout=60_000)
    found = "[...f.contentDocument.body?.querySelectorAll('*') || []].some(window.suspect)"
    suspected = f"[...document.querySelectorAll('iframe')].filter(f => f.contentDocument && {found}).length"
    page.wait_for_function(f"{suspected} > 60", timeout=60_000)
    page.close()
    page = context.new_page()
    naming = [text for text in answers if address in text and "refresh" not in text]
    page.set_content("".join(f"<div>{text}</div>" for text in naming if "=" in text), wait_until="commit")
    end = time.monotonic() + 30
    while len(set(asked)) < 3 and time.monotonic() < end:
        page.wait_for_timeout(20)
    assert len(set(asked)) >= 3
    page.close()


STATIC = {
    "one run": "display(*(run('', texts=row, reasoning='\\n'.join(row), model=row[0]) for row in rows))",
    "as text": "from bifrost_nb._display.run import mimebundle\n"
    "for row in rows: display(mimebundle(run('', texts=row), form='text'), raw=True)",
    "as json": "from bifrost_nb._display.run import mimebundle\n"
    "for row in rows: display(mimebundle(run('', texts=row), form='json'), raw=True)",
    "as code": "from bifrost_nb._display.run import mimebundle\n"
    "for row in rows: display(mimebundle(run('', texts=row), form='code'), raw=True)",
    "side by side": "from bifrost_nb._display.run import mimebundle_many\n"
    "for row in rows: display(mimebundle_many([run(text) for text in row]), raw=True)",
    "a long answer": """
from bifrost_nb._display.markdown import LONGEST_MARKDOWN
for told in ("\\n\\n".join(answers), "\\n\\n".join(answers).replace(":", " ")):
    long = run(told + "\\n\\nlong" * LONGEST_MARKDOWN)
    display(long)
assert set(long._repr_mimebundle_()[0]) == {"text/plain"}
""",
    "without widgets": """
from bifrost_nb._notebook.live.html_view import Basic
from bifrost_nb._notebook.live.race import RaceUpdate, Piece, Race
for row in (sendable[start:start + COLUMNS] for start in range(0, len(sendable), COLUMNS)):
    race = Race([run("", model=text, status=None) for text in row], title=row[0])
    race.receive(RaceUpdate(place, [Piece(0, text, "", 1.0)]) for place, text in enumerate(row))
    display(Basic(race).bundle(), raw=True)
""",
    "errors": "from bifrost_nb._display.run import mimebundle_many\n"
    "def failed(text): return run('', error_message=text[-150:], status='error', error_type='x', http_status=500)\n"
    "for row in rows: display(mimebundle_many(map(failed, row)), raw=True)",
    "word diff": "from bifrost_nb._compare.text_diff import text_diff\n"
    "lines = [sendable[start:start + COLUMNS] for start in range(0, len(sendable), COLUMNS)]\n"
    "for row in lines: display(text_diff('\\n'.join(row), '\\n'.join(reversed(row)), title=row[0]))",
    "comparison": """
from bifrost_nb._compare.comparison import Comparison
from bifrost_nb._compare.plan import make_plan
from bifrost_nb._compare.sweep import Progress
plan = make_plan(client, ["azure/fast"], "{{p}}", inputs={"p": sendable})
results = {cell.trial_id: run(cell.prompt.text, cell.prompt.text[-70:], total_ms=5.0) for cell in plan.trials}
Comparison(plan, results, Progress(total=len(answers), notes=sendable))
""",
}


@pytest.mark.parametrize("source", STATIC.values(), ids=STATIC.keys())
def test_static(page: Watched, source: str) -> None:
    """What stays in a notebook: answers in every form and as errors, names, reasoning, word diffs, a comparison."""
    cell = page.run(source)
    assert not [one for one in cell.outputs if one["output_type"] == "error"], cell.outputs
    page.check()
    assert "script" in cell.output.inner_text()


@pytest.mark.thorough
def test_grid(page: Watched) -> None:
    """Every answer opened in the grid, and the word diff of every prompt."""
    page.run(
        """
from bifrost_nb._notebook.widgets.grid import GridView
pairs = [(["<img src=x onerror=window.bifrostHacked=1>", "<script>b"][place // 12 % 2],
          run(text, prompt=answers[place // 24], prompt_id=str(place // 24))) for place, text in enumerate(answers)]
view = GridView(pairs)
"""
    )
    cell = page.run("view")
    board = cell.output.locator(".bifrost-board")
    board.wait_for()
    cells = board.locator(".bifrost-g-cell")
    detail = board.locator(".bifrost-g-detail")
    for number in range(cells.count()):
        detail.evaluate("e => e.replaceChildren()")
        cells.nth(number).evaluate("e => e.click()")
        page.until(
            lambda: detail.locator(".bifrost-g-answer").count() or "no run" in detail.inner_text(), 30, "answers"
        )
        if number % 2 == 0:
            detail.get_by_label("Compare words with").select_option(index=1)
            page.until(lambda: detail.locator(".bifrost-g-diff").inner_text() != "", 30, "the diff")
    page.check()


@pytest.mark.thorough
def test_vote(page: Watched) -> None:
    """Every pair of a blind vote, and the reveal with its prompts and names."""
    page.run(
        """
from bifrost_nb._notebook.widgets.vote import Vote
names = ["<img src=x onerror=window.bifrostHacked=1>", "<script>b"]
texts = [*answers, "last"]
vote = Vote((names[place % 2], run(text, prompt=texts[place - place % 2][-150:], prompt_id=str(place // 2)))
            for place, text in enumerate(texts))
"""
    )
    cell = page.run("vote")
    board = cell.output.locator(".bifrost-board")
    board.wait_for()
    page.page.evaluate(
        """() => { const board = document.querySelector('.bifrost-board .bifrost-v-pair').closest('.bifrost-board');
            const keys = ['1', '2', 't', 's'];
            let pressed = 0, last = '';
            window.__voting = setInterval(() => {
                const line = board.querySelector('.bifrost-g-count').textContent;
                if (line.startsWith('All') || !board.isConnected) { clearInterval(window.__voting); return; }
                if (line === last) return;
                last = line;
                board.dispatchEvent(new KeyboardEvent('keydown', {key: keys[pressed++ % 4], bubbles: true}));
            }, 5); }"""
    )
    page.until(lambda: "pairs are done" in board.locator(".bifrost-g-count").inner_text(), 120, "all pairs")
    page.check()
    board.get_by_role("button", name="End and reveal").click()
    page.until(lambda: board.count() == 0, 30, "the static result")
    page.check()
    told, marks = cell.output.inner_text(), sorted(MARKS)  # a pair is told under the prompt of both, the first's text
    assert [pair for pair in zip(marks[::2], marks[1::2], strict=False) if not any(one in told for one in pair)] == []


@pytest.mark.parametrize("size", [3, *thorough(1, 7, 100_000)])
def test_live(page: Watched, gateway: LocalGateway, size: int) -> None:
    """Eight columns while they stream, markup cut anywhere, then rendered while a ninth goes on, then static."""
    told = [pieces(text, size) for text in joined(page.canary)]
    held = [{"text": text, "first_text_ms": 100, "gap_ms": 1, "hold_after_chunks": len(text)} for text in told]
    rules = [{"prompt": f"column {n};", **rule} for n, rule in enumerate(held)]
    gateway.script([*rules, {"prompt": "column 8;", "chunks": 9, "stall_after_chunks": 9}])
    page.page.evaluate("window.__live.clear(); window.__rendered.clear()")
    cell = page.start("runs = show(*(f'column {n};' for n in range(9)));")
    page.until(lambda: page.page.evaluate("window.__live.size") == len(MARKS), 90, "all answers in the pane")
    page.check()
    assert cell.pane.locator(".bifrost-rendered").count() == 0
    gateway.script([])
    page.until(lambda: cell.pane.locator(".bifrost-rendered").count() == 8, 90, "eight columns to be rendered")
    assert page.page.evaluate("window.__rendered.size") == len(MARKS)
    page.check()
    assert cell.pane.locator(".bifrost-rendered strong, .bifrost-rendered code").count() > 5
    cell.pane.get_by_role("button", name="Stop all").click()
    cell.wait()
    assert cell.pane.count() == 0
    page.page.evaluate("window.__marks.clear()")
    page.run("display(*runs)")
    page.check()


def test_magic(page: Watched, gateway: LocalGateway) -> None:
    """All answers in the one column of a magic cell, live and as it stays, and from the commands that show it again."""
    (whole,) = joined(page.canary, 1)
    text = pieces(whole, 5)
    gateway.script([{"prompt": "magic", "text": text, "gap_ms": 0, "hold_after_chunks": len(text)}])
    page.run(f"%load_ext bifrost_nb\n%config Bifrost.base_url = {gateway.url!r}")
    page.page.evaluate("window.__live.clear()")
    cell = page.start("%%bifrost azure/fast -o told\nmagic <script>window.bifrostHacked = 1</script>")
    page.until(lambda: page.page.evaluate("window.__live.size") == len(MARKS), 90, "all answers in the pane")
    page.check()
    gateway.script([])
    cell.wait()
    assert cell.pane.count() == 0
    for source in ("told", "%bifrost last", "%bifrost copy told"):
        page.page.evaluate("window.__marks.clear()")
        shown = page.run(source)
        assert not [one for one in shown.outputs if one["output_type"] == "error"], shown.outputs
        page.check(MARKS if source != "%bifrost copy told" else set())
    page.run("%unload_ext bifrost_nb")


def test_playground(page: Watched, gateway: LocalGateway) -> None:
    """The playground: live columns, results, a hostile prompt and history."""
    columns = enumerate(joined(page.canary, 2))
    names = ["azure/fast", "azure/large"]
    gateway.script([{"deployment": names[n], "text": pieces(text, 40), "gap_ms": 2} for n, text in columns])
    source = "from bifrost_nb import playground\nplay = playground({!r}, answers[0], client=client)"
    page.run(source.format(names))
    cell = page.run("play")
    button = cell.output.locator(".bifrost-pg-run")
    page.until(button.is_enabled, 30, "Run")
    button.click()
    results = cell.output.locator(".bifrost-rounds > details[open]")
    ends = ("mark305", "mark306")
    page.until(lambda: results.count() and all(mark in results.inner_text() for mark in ends), 30, "the results")
    page.check()
    told = results.inner_text()
    assert [mark for mark in sorted(MARKS) if mark not in told] == []


@pytest.mark.thorough
def test_replay(page: Watched, gateway: LocalGateway) -> None:
    """Prompts, old answers and new ones in what a replay shows."""
    answers = [text.replace("\ud800", "\ufffd") for text in corpus(page.canary)]
    told = zip(answers, [*answers[1:], answers[0]], strict=True)
    gateway.script([{"prompt": f"mark{n:03}", "text": new, "gap_ms": 0} for n, (_, new) in enumerate(told)])
    page.run(
        """
from bifrost_nb._compare.replay import replay
asked = [run(text, request_type="text_completion", params={"max_tokens": 500}) for text in sendable]
asked = [asked[start:start + 20] for start in range(0, len(asked), 20)]
replayed = [replay(rows, ["azure/fast"], client=client, fresh=True) for rows in asked]
print(sum(map(len, replayed)))
"""
    )
    page.page.evaluate("window.__marks.clear()")
    page.run("display(*replayed)")
    page.check()


@pytest.mark.thorough
def test_reopened_untrusted(context: Any, server: Server, opened: Watched) -> None:
    """The saved notebook, changed by somebody else and so no longer trusted, opened again."""
    saved = opened.saved()
    saved.cells.append(lazy.nbformat.v4.new_markdown_cell("Changed."))  # type: ignore[no-untyped-call]
    lazy.nbformat.write(saved, server.root / "untrusted.ipynb")  # type: ignore[no-untyped-call]
    opened.close()
    again = Watched(context, server, "untrusted.ipynb", (opened.canary, opened.asked))
    trusted = "window.jupyterapp.shell.currentWidget.content.widgets.map(w => w.model.trusted)"
    assert True not in again.page.evaluate(trusted)
    again.page.evaluate("document.querySelectorAll('.jp-OutputArea').forEach(look)")
    again.check()
    again.close(page=True)
