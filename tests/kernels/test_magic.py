"""``%%bifrost`` in real kernels: shown once, kept everywhere, stopped and interrupted as users expect."""

from __future__ import annotations

import ast
import time
from typing import Any

import pytest

from bifrost_nb._simulator.process import LocalGateway

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
    kept = redrawn(loaded, cell)[-1]["metadata"]["bifrost_nb"]
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


def test_a_background_job_lives_beside_other_cells(loaded: FrontEnd, slow: LocalGateway) -> None:
    """--bg returns at once with a card that goes on changing; another cell runs meanwhile; cancel ends both."""
    cell = loaded.run(f"%%bifrost {TEXT} --bg later\nslowly {time.monotonic()}").wait()
    assert loaded.run("6 * 7").wait().shown[0]["text/plain"] == "42"
    cell.pane().wait_for_text(20)
    assert loaded.value("later.done") == "False"
    assert loaded.run("%bifrost cancel later").wait().status == "ok"
    loaded.until(lambda: "cancelled" in str(redrawn(loaded, cell)[-1:]), 60, "the card to show the end")
    assert loaded.value("later.runs[0].status") == "'cancelled'"


def test_a_background_job_can_be_awaited(loaded: FrontEnd) -> None:
    """``await NAME`` in a later cell gives the run; the card ends as the static answer."""
    cell = loaded.run(f"%%bifrost {TEXT} --max-tokens 3 --bg later\nhi").wait()
    assert loaded.run("answer = await later").wait().status == "ok"
    text = ast.literal_eval(loaded.value("answer.text.strip()"))

    def shows_the_answer() -> bool:
        return any(text in content["data"]["text/plain"] for content in redrawn(loaded, cell))

    loaded.until(shows_the_answer, 60, "the card to show the answer")
    metadata = redrawn(loaded, cell)[-1]["metadata"]
    assert metadata["bifrost_nb"]["runs"][0]["run_id"] == ast.literal_eval(loaded.value("answer.run_id"))
