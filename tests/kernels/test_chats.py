"""Chats by cells in real kernels, with the cell ids that JupyterLab sends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bifrost_nb._runs.log.log import RunLog
from bifrost_nb._simulator.process import LocalGateway

from .conftest import CHAT, posts
from .frontend import FrontEnd


def said(record: dict[str, Any]) -> list[str]:
    return [message["content"] for message in record["body"]["messages"] if message["role"] == "user"]


def test_each_cell_owns_its_turn(loaded: FrontEnd, gateway: LocalGateway) -> None:
    """Editing and running turn 1 again replaces it and says what is out of date, until that was run again."""
    line = f"%%bifrost {CHAT} --history --max-tokens 2"
    for number in (1, 2):
        assert loaded.run_cell(f"cell-{number}", f"{line}\nquestion {number}").wait().status == "ok"
    again = loaded.run_cell("cell-1", f"{line}\nedited").wait()
    assert said(posts(gateway)[-1]) == ["edited"]
    assert "Turn 2 of this chat answers what is no longer there" in str(again.shown[-1]["text/plain"])
    refused = loaded.run_cell("cell-3", f"{line}\nquestion 3").wait()
    assert "turn 2 of this chat is out of date" in refused.printed
    second = loaded.run_cell("cell-2", f"{line}\nquestion 2").wait()
    assert said(posts(gateway)[-1]) == ["edited", "question 2"]
    cleared = [one["content"]["data"]["text/plain"] for one in second.of("update_display_data")]
    assert "" in cleared  # cards of earlier background jobs may be drawn again after it
    loaded.run_cell("cell-3", f"{line}\nquestion 3", deleted=["cell-2"]).wait()
    assert said(posts(gateway)[-1]) == ["edited", "question 3"]
    assert loaded.value("[row['text'] for row in get_ipython().run_line_magic('bifrost', 'chat')][::2]") == (
        "['edited', 'question 3']"
    )


def test_a_cell_with_two_calls_owns_two_turns(loaded: FrontEnd, gateway: LocalGateway) -> None:
    """The calls of one cell are turns in their order, and are replaced together."""
    both = f"%bifrost {CHAT} --history --max-tokens 2 'first'\n%bifrost {CHAT} --history --max-tokens 2 'second'"
    for _ in range(2):
        assert loaded.run_cell("pair", both).wait().status == "ok"
    assert [said(record) for record in posts(gateway)] == [["first"], ["first", "second"]] * 2


def test_chats_of_one_name_in_two_kernels(
    loaded: FrontEnd, new_front: Callable[[], FrontEnd], gateway: LocalGateway, kernel_log: RunLog
) -> None:
    """Each kernel has its own chat, even with the same cell ids: none loses a turn, asks twice or hears the other."""
    other = new_front()
    other.run(f"%reload_ext bifrost_nb\n%config Bifrost.base_url = {gateway.url!r}").wait()
    line = f"%%bifrost {CHAT} --history tides --max-tokens 2"
    for number in (1, 2):
        cells = [
            front.run_cell(f"tide-{number}", f"{line}\nturn {number} of {name}")
            for name, front in (("one", loaded), ("other", other))
        ]
        assert [cell.wait().status for cell in cells] == ["ok", "ok"]
    sent = sorted(tuple(said(record)) for record in posts(gateway))
    alone = [("turn 1 of one",), ("turn 1 of other",)]
    assert sent == [alone[0], (*alone[0], "turn 2 of one"), alone[1], (*alone[1], "turn 2 of other")]
    logged = [run.prompt or "" for run in kernel_log.read()]
    for turn in ("turn 1 of one", "turn 2 of one", "turn 1 of other", "turn 2 of other"):
        assert any(turn in prompt for prompt in logged)
    said_by = "[row['text'] for row in get_ipython().run_line_magic('bifrost', 'chat tides')][::2]"
    assert other.value(said_by) == "['turn 1 of other', 'turn 2 of other']"
