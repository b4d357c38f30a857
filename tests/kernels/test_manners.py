"""How the magic behaves in real kernels: errors, untrusted text, places, evidence."""

from __future__ import annotations

import ast
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import bifrost_nb as bf
from bifrost_nb._simulator.process import LocalGateway
from tests import lazy
from tests.data.hostile import HOSTILE
from tests.markup import read
from tests.prompts.test_template import UNTOUCHED

from .conftest import CHAT, TEXT, posts
from .frontend import Cell, FrontEnd

TWO = f"{TEXT} --max-tokens 2"


# Errors


class Wrong(NamedTuple):
    """A cell that must fail: the exception's name, words of its one line, and whether anything is sent."""

    cell: str
    kind: str
    says: str
    sent: bool = False


WRONG = {
    "no deployment": Wrong("%%bifrost\nhi", "UsageError", "name a deployment"),
    "no prompt": Wrong(f"%%bifrost {TEXT}\n  \n", "UsageError", "the prompt is empty; write it below the line"),
    "empty cell": Wrong(f"%%bifrost {TEXT}", "UsageError", "cell body is empty"),
    "unknown option": Wrong(f"%%bifrost {TEXT} --temprature 1\nhi", "UsageError", "Did you mean '--temperature'?"),
    "doubled option": Wrong(f"%%bifrost {TEXT} -t 1 -t 2\nhi", "UsageError", "given twice"),
    "open quote": Wrong(f"%%bifrost {TEXT} --system 'x\nhi", "UsageError", "a quote on the line is not closed"),
    "unknown command": Wrong("%bifrost modls", "UsageError", "Did you mean 'models'?"),
    "-p for an option": Wrong(f"%%bifrost {TEXT} -p timeout=3\nhi", "UsageError", "use --timeout"),
    "no such turn": Wrong(f"%%bifrost {CHAT} --history-from 3\nhi", "UsageError", "this chat has 0 turns"),
    "cost of one": Wrong(f"%%bifrost {TEXT} --max-cost 1\nhi", "UsageError", "--repeat or --inputs"),
    "no such inputs": Wrong(
        f"prodcts = {{}}\n%bifrost {TEXT} -i products 'hi'", "UsageError", "Did you mean 'prodcts'?"
    ),
    "inputs of one number": Wrong(
        f"rows = 5\n%bifrost {TEXT} -i rows 'a {{{{b}}}}'", "ConfigurationError", "must be a DataFrame"
    ),
    "a job with a name to bind": Wrong(f"%%bifrost {TEXT} --bg j -o a\nhi", "UsageError", "a = await j"),
    "undefined names": Wrong(
        f"topic = 1\n%bifrost {TEXT} '{{{{topc}}}} {{{{topic.x}}}} {{{{unheard}}}}'",
        "TemplateError",
        "{{topc}} is not defined (did you mean topic?); {{topic.x}} has no x in topic; {{unheard}} is not defined",
    ),
    "unknown parameter": Wrong(f"%%bifrost {TEXT} -p temprature=1\nhi", "ConfigurationError", "temperature"),
    "value out of bounds": Wrong(f"%%bifrost {TEXT} -t 99\nhi", "ConfigurationError", "temperature"),
    "no provider": Wrong("%%bifrost fast\nhi", "ConfigurationError", "Write provider/model"),
    "no such prompt": Wrong(f"%bifrost {TEXT} --use nothing-of-that-name", "ConfigurationError", "%bifrost prompts"),
    "no such deployment": Wrong("%%bifrost azure/nope -o failed\nhi", "NotFound", "Check the deployment's name", True),
    "a failing provider": Wrong("%%bifrost azure/always-fails -o failed\nhi", "GatewayError", "name a fallback", True),
    "one of two fails": Wrong(f"%%bifrost {TWO} azure/nope\nhi", "NotFound", "Check the deployment's name", True),
    "all of a comparison fail": Wrong(
        "%%bifrost azure/nope --repeat 2\nhi", "BifrostError", "Check the deployment's name", True
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_failure_is_one_line_and_stops_run_all(loaded: FrontEnd, gateway: LocalGateway, name: str) -> None:
    """It is typed, says once what to do, stops the cells behind it, and sends nothing where it need not."""
    wrong = WRONG[name]
    loaded.run("after = []").wait()
    failing, behind = loaded.run_all(wrong.cell, "after.append(1)")
    assert failing.wait().status == "error"
    assert failing.reply["content"]["ename"] == wrong.kind  # type: ignore[index]
    line = one_line(failing)
    assert (wrong.says in line) != wrong.sent  # what an answer shows is not said again
    if wrong.sent:
        assert "shown above" in line
        assert wrong.says in "".join(data.get("text/plain", "") for data in failing.shown)
    assert behind.wait().status == "aborted"
    assert loaded.value("after") == "[]"
    assert bool(posts(gateway)) == wrong.sent
    if "-o failed" in wrong.cell:
        assert loaded.value("failed.status, _bifrost is failed") == "('error', True)"


def one_line(cell: Cell) -> str:
    """The one line that a failed cell shows besides its answer: IPython prints a UsageError, all else is an error."""
    shown = [line for message in cell.of("error") for line in message["content"]["traceback"]]
    shown = shown or [cell.printed.strip()]
    assert len(shown) == 1
    line = re.sub(r"\x1b\[\d+m", "", shown[0])
    assert "\n" not in line
    return line


def test_where_nobody_watches_the_error_says_all(loaded: FrontEnd) -> None:
    """The log of nbconvert or papermill has the error and no answers."""
    assert "Check the deployment's name" in one_line(loaded.run("%%bifrost azure/nope\nhi", allow_stdin=False).wait())
    assert "Check the deployment's name" in one_line(loaded.run("%%bifrost azure/nope --quiet\nhi").wait())


def test_the_whole_traceback_on_request(loaded: FrontEnd) -> None:
    """The short line says how to see more, and then all is shown."""
    assert "%config Bifrost.short_errors = False" in one_line(loaded.run("%%bifrost azure/nope\nhi").wait())
    loaded.run("%config Bifrost.short_errors = False").wait()
    whole = "\n".join(loaded.run("%%bifrost azure/nope\nhi").wait().error["traceback"])
    assert "Traceback" in whole
    assert "run_cell.py" in whole


def test_a_broken_stream_keeps_what_was_paid_for(loaded: FrontEnd, gateway: LocalGateway) -> None:
    """A stream that ends early binds its text with -o, in `_` and in the log, and raises."""
    gateway.script([{"prompt": "break", "drop": {"after_chunks": 3}}])
    cell = loaded.run(f"%%bifrost {TEXT} -o part\nbreak").wait()
    assert cell.error["ename"] == "StreamInterrupted"
    text = ast.literal_eval(loaded.value("part.text"))
    assert text
    assert loaded.value("_ is part and part.status") == "'truncated'"
    loaded.run("from bifrost_nb import run_log").wait()
    assert loaded.value("run_log().read(run_id=part.run_id)[0].text") == repr(text)


# Text from the user and from the model


@pytest.mark.parametrize("start", range(0, len(UNTOUCHED), 12))
def test_prompts_reach_the_gateway_unchanged(loaded: FrontEnd, gateway: LocalGateway, start: int) -> None:
    """Apostrophes, open quotes and brackets, JSON, code, LaTeX, braces, %, $ and trailing blank lines: as typed."""
    bodies = [body for body in UNTOUCHED[start : start + 12] if body.strip()]
    for body in bodies:
        assert loaded.run(f"%%bifrost {TWO} --quiet\n{body}").wait().status == "ok"
    assert [record["body"]["prompt"] for record in posts(gateway)] == bodies


def test_hostile_answers_are_text(loaded: FrontEnd, gateway: LocalGateway) -> None:
    """Scripts, styles, images and links of an answer are inert in every display of it, live and static."""
    answers = [text for text in HOSTILE[::9] if text and "\ud800" not in text]
    gateway.script([{"prompt": f"number {index}.", "text": text} for index, text in enumerate(answers)])
    for index in range(len(answers)):
        cell = loaded.run(f"%%bifrost {TEXT}\nnumber {index}.").wait()
        assert cell.status == "ok"
        for message in cell.of("display_data", "update_display_data"):
            assert read(message["content"]["data"].get("text/html", "")).errors == []


def test_redraws_are_few_and_the_last_one_comes(loaded: FrontEnd, gateway: LocalGateway) -> None:
    """A stream of 2,000 quick chunks is drawn at most some ten times a second, and ends complete."""
    gateway.script([{"prompt": "many", "chunks": 2_000, "first_text_ms": 0, "gap_ms": 1}])
    cell = loaded.run(f"%%bifrost {TEXT} -o many\nmany").wait(60)
    assert cell.status == "ok"
    seconds = float(loaded.value("many.total_ms")) / 1000
    assert len(cell.pane().frames) <= 12 * seconds + 10
    text = ast.literal_eval(loaded.value("many.text"))
    assert cell.pane().text() == text
    assert text.strip() in cell.shown[0]["text/plain"]


def test_a_long_answer_stays_responsive(loaded: FrontEnd, gateway: LocalGateway) -> None:
    """20,000 characters of tables and formulas: widgets answer meanwhile, and what is left is whole, drawn and safe."""
    piece = "| a | b |\n|---|---|\n| $x^2$ | `code` |\n\nFrom $0.004 … $0.01 a call, and $$\\int x$$.\n\n"
    tokens = [word + " " for word in (piece * (20_000 // len(piece) + 1)).split(" ")]
    rule = {"prompt": "long", "text": tokens, "first_text_ms": 0, "gap_ms": 1, "hold_after_chunks": len(tokens) - 9}
    gateway.script([rule])
    made = loaded.run(
        "import ipywidgets\nslider = ipywidgets.IntSlider()\n"
        "slider.observe(lambda change: print('moved to', change['new']), 'value')\nprint(slider.comm.comm_id)"
    ).wait()
    cell = loaded.run(f"%%bifrost {TEXT} -o long\nlong")
    pane = cell.pane()
    pane.wait_for_text(19_000)
    start = len(loaded.messages)
    loaded.send_comm(made.printed.strip(), {"method": "update", "state": {"value": 7}})
    loaded.until(lambda: "moved to 7" in str(loaded.messages[start:]), 60, "the slider's answer")
    assert cell.reply is None
    gateway.script([])
    assert cell.wait().status == "ok"
    text = "".join(tokens)
    assert pane.text() == text
    assert loaded.value("long.text") == repr(text)
    shown = read(cell.shown[0]["text/html"])
    assert shown.errors == []
    assert "table" in shown.seen
    assert {formula for formula in shown.formulas if formula} == {"$x^2$", "$$\\int x$$"}


# Places


def test_in_a_thread(loaded: FrontEnd) -> None:
    """Called from a thread of the user's it answers, records and shows as in the cell; nothing is left running."""
    cell = loaded.run(
        "import threading\n"
        f"ask = lambda: get_ipython().run_cell_magic('bifrost', '{TWO} -o threaded', 'hi')\n"
        "thread = threading.Thread(target=ask); thread.start(); thread.join(20)"
    ).wait()
    assert cell.status == "ok"
    assert loaded.value("thread.is_alive(), threaded.status") == "(False, 'ok')"


def test_inside_a_running_loop(loaded: FrontEnd) -> None:
    """An async cell, and a coroutine that the user awaits, can use it."""
    source = f"async def ask(): get_ipython().run_cell_magic('bifrost', '{TWO} -o inside', 'hi'); return inside\n"
    assert loaded.run(source + "print((await ask()).status)").wait().printed == "ok\n"


def test_two_notebooks_write_one_log(new_front: Callable[[], FrontEnd], gateway: LocalGateway, kernel_log: Any) -> None:
    """Two kernels that ask at the same time lose no run and break no line of the log they share."""
    mark = f"together {time.monotonic_ns()}"
    cells = []
    for number in range(2):
        front = new_front()
        front.run(f"%load_ext bifrost_nb\n%config Bifrost.base_url = {gateway.url!r}").wait()
        prompt = f"f'{mark} {number} {{turn}}'"
        ask = f"for turn in range(20): get_ipython().run_cell_magic('bifrost', '{TWO} --quiet', {prompt})"
        cells.append(front.run(ask))
    assert [cell.wait(60).status for cell in cells] == ["ok", "ok"]
    prompts = [run.prompt for run in kernel_log.read() if run.prompt and run.prompt.startswith(mark)]
    assert sorted(prompts) == sorted(f"{mark} {number} {turn}" for number in range(2) for turn in range(20))


# Evidence


def test_the_file_alone_gives_the_runs_back(loaded: FrontEnd, tmp_path: Path) -> None:
    """Whatever shows a run carries it in the output's metadata: a cell, a race, a comparison, a job, a value."""
    unique = f"u{time.monotonic_ns()}"
    sources = [
        f"%%bifrost {TWO} --tag a=1 -o one\nhi",
        f"%%bifrost {TWO} azure/fast -o race\nhi",
        f"%%bifrost {TWO} --repeat 2 -p user={unique} -o compared\nhi",
        f'%bifrost {TWO} "in one line"',
        f"%%bifrost {TWO} --bg job\nhi",
        "await job",
        "one",
        "race",
        "compared",
    ]
    cells = [loaded.run(source).wait() for source in sources]
    assert [cell.status for cell in cells] == ["ok"] * len(cells)
    path = tmp_path / "evidence.ipynb"
    saved = [lazy.nbformat.v4.new_code_cell(cell.id, outputs=outputs(cell)) for cell in cells]
    lazy.nbformat.write(lazy.nbformat.v4.new_notebook(cells=saved), path)
    frame = bf.from_notebook(path)
    assert len(frame) == 1 + 2 + 2 + 1 + 1
    first = frame.iloc[0]
    assert first["run_id"] == ast.literal_eval(loaded.value("one.run_id"))
    assert (first["requested_model"], first["model"]) == ("gpt-35-turbo-instruct", "gpt-35-turbo-instruct")
    assert json.loads(first["params"])["max_tokens"] == 2
    assert json.loads(first["tags"])["a"] == 1
    assert first["completion_tokens"] == 2


def outputs(cell: Cell) -> list[Any]:
    """The cell's outputs as a front end saves them."""
    return [
        lazy.nbformat.v4.new_output("display_data", each["data"], metadata=each["metadata"]) for each in cell.displays
    ]
