"""``%%bifrost`` in real kernels: shown once, kept everywhere, stopped and interrupted as users expect."""

from __future__ import annotations

import ast
import time
from collections.abc import Callable
from typing import Any

import pytest

from bifrost_nb.gateway.local import LocalGateway
from bifrost_nb.records.run import Run

from .conftest import TEXT
from .frontend import Cell, FrontEnd


def test_the_answer_is_shown_once_and_kept(loaded: FrontEnd) -> None:
    """One display with the static answer, nothing returned beside it; _, Out, _bifrost and -o hold the run."""
    cell = loaded.run(f"%%bifrost {TEXT} --max-tokens 9 -t 0 -o answer\nOnce upon a time").wait()
    assert cell.status == "ok"
    assert not cell.of("execute_result")
    (shown,) = cell.shown
    assert set(shown) == {"text/plain", "text/html"}
    number = cell.reply["content"]["execution_count"]  # type: ignore[index]
    assert loaded.value(f"_ is answer and _bifrost is answer and Out[{number}] is answer") == "True"
    assert ast.literal_eval(loaded.value("answer.text.strip()")) in shown["text/plain"]
    assert loaded.run("answer").wait().shown[0]["text/plain"] == shown["text/plain"]


def test_the_display_carries_the_evidence(loaded: FrontEnd) -> None:
    """The output's metadata has run id, asked and served, parameters and usage."""
    cell = loaded.run(f"%%bifrost {TEXT} --max-tokens 4 --tag a=1 -o answer\nhi").wait()
    kept = [message["content"]["metadata"].get("bifrost_nb") for message in cell.of("update_display_data")][-1]
    assert kept["run_id"] == ast.literal_eval(loaded.value("answer.run_id"))
    assert kept["requested_model"] == kept["model"] == "gpt-35-turbo-instruct"
    assert ast.literal_eval(kept["params"].replace("true", "True"))["max_tokens"] == 4
    assert kept["completion_tokens"] == 4


def redrawn(front: FrontEnd, cell: Cell) -> list[dict[str, Any]]:
    """The contents that replaced the cell's display, whichever cell ran then: front ends go by the display's id."""
    wanted = cell.of("display_data")[0]["content"]["transient"]["display_id"]
    updates = [each["content"] for each in front.messages if each["msg_type"] == "update_display_data"]
    return [content for content in updates if content["transient"]["display_id"] == wanted]


@pytest.mark.parametrize("body", ["hi", "hi\n", "hi\n\n\n", "it's an \"open [ {x} $y %z << \\frac{a}{b}"])
def test_the_prompt_is_what_was_typed(loaded: FrontEnd, gateway: LocalGateway, body: str) -> None:
    """In a kernel every line end is known to be typed or not, so each prompt arrives exactly."""
    mark = f"{time.monotonic()} {body}"
    assert loaded.run(f"%%bifrost {TEXT} --max-tokens 2 --quiet\n{mark}").wait().status == "ok"
    prompts = [request["body"]["prompt"] for request in gateway.requests() if request["method"] == "POST"]
    assert prompts[-1] == mark


def test_a_failure_stops_run_all(loaded: FrontEnd) -> None:
    """A failed cell is one line and typed; cells queued behind it do not run."""
    loaded.run("after = []").wait()
    loaded.run("import time; time.sleep(0.5)")  # all three are in the kernel's queue when the first ends
    failing = loaded.run("%%bifrost azure/nope -o failed\nhi")
    behind = loaded.run("after.append(1)")
    assert failing.wait().status == "error"
    assert failing.error["ename"] == "NotFound"
    assert len(failing.error["traceback"]) == 1
    assert behind.wait().status == "aborted"
    assert loaded.value("(after, failed.status)") == "([], 'error')"


def test_bad_usage_stops_run_all(loaded: FrontEnd) -> None:
    """A wrong option is one line and a UsageError that stops Run All."""
    loaded.run("import time; time.sleep(0.5)")  # all three are in the kernel's queue when the first ends
    failing = loaded.run(f"%%bifrost {TEXT} --nope\nhi")
    behind = loaded.run("1")
    assert failing.wait().reply["content"]["ename"] == "UsageError"  # type: ignore[index]
    assert failing.printed.strip().count("\n") == 0
    assert "no option --nope" in failing.printed
    assert behind.wait().status == "aborted"


def test_an_interrupt_keeps_the_partial_answer(
    loaded: FrontEnd, slow: LocalGateway, logged: Callable[[str], Run]
) -> None:
    """■ ends the cell with one line; -o and _ hold what had arrived; later cells do not run; the next one works."""
    mark = f"slowly {time.monotonic()}"
    cell = loaded.run(f"%%bifrost {TEXT} -o part\n{mark}")
    behind = loaded.run("1")
    cell.pane().wait_for_text(20)
    loaded.interrupt()
    assert cell.wait().error["ename"] == "Interrupted"
    assert len(cell.error["traceback"]) == 1
    assert behind.wait().status == "aborted"
    status, text = ast.literal_eval(loaded.value("(part.status, part.text)"))
    assert status == "cancelled"
    assert text
    assert logged(mark).response == text
    assert loaded.value("_bifrost is part") == "True"
    assert loaded.run(f"%%bifrost {TEXT} --max-tokens 2\nhi").wait().status == "ok"


def test_a_background_job_lives_beside_other_cells(loaded: FrontEnd, slow: LocalGateway) -> None:
    """--bg returns at once with a card that goes on changing; another cell runs meanwhile; cancel ends both."""
    began = time.monotonic()
    cell = loaded.run(f"%%bifrost {TEXT} --bg later\nslowly {began}").wait()
    assert time.monotonic() - began < 5
    assert loaded.run("6 * 7").wait().shown[0]["text/plain"] == "42"
    loaded.until(lambda: len(redrawn(loaded, cell)) >= 3, 10, "the card to change")
    assert loaded.value("later.done") == "False"
    assert loaded.run("%bifrost cancel later").wait().status == "ok"
    loaded.until(lambda: "cancelled" in redrawn(loaded, cell)[-1]["data"]["text/plain"], 10, "the card to show the end")
    assert loaded.value("later.runs[0].status") == "'cancelled'"


def test_a_background_job_can_be_awaited(loaded: FrontEnd) -> None:
    """``await NAME`` in a later cell gives the run; the card ends as the static answer."""
    cell = loaded.run(f"%%bifrost {TEXT} --max-tokens 3 --bg later\nhi").wait()
    assert loaded.run("answer = await later").wait().status == "ok"
    text = ast.literal_eval(loaded.value("answer.text.strip()"))

    def shows_the_answer() -> bool:
        return any(text in content["data"]["text/plain"] for content in redrawn(loaded, cell))

    loaded.until(shows_the_answer, 10, "the card to show the answer")
    metadata = redrawn(loaded, cell)[-1]["metadata"]
    assert metadata["bifrost_nb"]["runs"][0]["run_id"] == ast.literal_eval(loaded.value("answer.run_id"))
