"""``--history``: each cell owns a turn of a chat."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from IPython.core.error import UsageError
from IPython.core.interactiveshell import ExecutionResult

from bifrost_nb._notebook.magic.chats import Cells, Chat
from bifrost_nb._notebook.magic.options import parse
from bifrost_nb._runs.run import Run
from bifrost_nb._simulator.process import LocalGateway

from .conftest import CHAT

FAST = "anthropic/claude-haiku-4-5"
Cell = Callable[[str], ExecutionResult]
Sent = Callable[[], list[dict[str, Any]]]


def said(request: dict[str, Any]) -> list[str]:
    return [message["content"] for message in request["body"]["messages"]]


def ask(chat: Chat, cell: str, prompt: str, after: int | None = None, answers: tuple[str, ...] = ("a",)) -> list[str]:
    """Run `cell`; the texts that would be sent."""
    asked = chat.next_turn((cell, 0), after, prompt)
    sent = [message["content"] for message in asked.messages()]
    runs = [Run(requested_provider="p", requested_model=name, response=f"{prompt}!", status="ok") for name in answers]
    chat.keep(asked, runs)
    return sent


def test_a_terminal_continues_the_chat(run: Cell, sent: Sent) -> None:
    """Without cell ids each call adds a turn; a failed call adds nothing; %bifrost forget begins anew."""
    first = run(f"%%bifrost {CHAT} --history --system Short. --max-tokens 3\nOne").result
    run("%%bifrost azure/nope --history\nLost")
    run(f"%%bifrost {CHAT} --history --max-tokens 3\nTwo")
    assert said(sent()[-1]) == ["Short.", "One", first.text, "Two"]
    assert run("%bifrost forget").result == "2 turns of the chat 'chat' forgotten"
    run(f"%%bifrost {CHAT} --history --max-tokens 3\nThree")
    assert said(sent()[-1]) == ["Three"]


def test_an_answer_without_text_ends_a_chat(run: Cell, sent: Sent, gateway: LocalGateway) -> None:
    """An empty turn, which providers refuse, is not sent; the chat goes on before it, or once its cell has a text."""
    gateway.script([{"prompt": "Think", "text": [""]}])
    for prompt in ("One", "Think"):
        assert run(f"%%bifrost {CHAT} --history --max-tokens 3\n{prompt}").success
    count = len(sent())
    stopped = run(f"%%bifrost {CHAT} --history --max-tokens 3\nGo on").error_in_exec
    assert "turn 2 of this chat has no text to go on from" in str(stopped)
    assert len(sent()) == count
    assert run(f"%%bifrost {CHAT} --history --history-from 1 --max-tokens 3\nGo on").success
    assert said(sent()[-1])[::2] == ["One", "Go on"]


def test_named_chats_are_apart(run: Cell, sent: Sent) -> None:
    """Each name is a chat of its own; an unknown one is said with the nearest."""
    run(f"%%bifrost {CHAT} --history poem --max-tokens 3\nOne")
    run(f"%%bifrost {CHAT} --history letter --max-tokens 3\nTwo")
    assert said(sent()[-1]) == ["Two"]
    run(f"%bifrost {CHAT} --history poem --max-tokens 3 -- Three")
    assert said(sent()[-1])[::2] == ["One", "Three"]
    shown = run("%bifrost chat poem").result
    assert [row["role"] for row in shown] == ["user", "assistant", "user", "assistant"]
    assert "Chat 'poem': 2 turns" in repr(shown)
    wrong = run("%bifrost chat peom")
    assert "Did you mean 'poem'?" in str(wrong.error_in_exec)


def test_the_last_word_of_a_line_is_its_prompt(run: Cell, sent: Sent) -> None:
    """``--history hi`` at the end of a line asks "hi" in the usual chat."""
    run(f"%bifrost {CHAT} --max-tokens 3 --history hi")
    assert said(sent()[-1]) == ["hi"]
    assert len(run("%bifrost chat").result) == 2


def test_one_answer_of_a_race_is_chosen(run: Cell, sent: Sent) -> None:
    """Several deployments answer one turn; the next is refused until one is chosen, then goes on with that."""
    race = run(f"%%bifrost {CHAT} {FAST} --history --max-tokens 3\nOne").result
    refused = run(f"%%bifrost {CHAT} --history --max-tokens 3\nTwo").error_in_exec
    assert isinstance(refused, UsageError)
    assert f"%bifrost chat --choose DEPLOYMENT ({CHAT} or {FAST})" in str(refused)
    assert "have" in str(run("%bifrost chat --choose openai/gpt-4").error_in_exec)
    states = [row.get("state") for row in run(f"%bifrost chat --choose {FAST}").result]
    assert states == [None, "not chosen", "chosen"]
    run(f"%%bifrost {CHAT} --history --max-tokens 3\nTwo")
    assert said(sent()[-1]) == ["One", race[1].text, "Two"]


def test_a_dry_run_keeps_nothing(run: Cell, sent: Sent) -> None:
    """--dry-run shows the whole chat that would be sent, and is no turn of it."""
    run(f"%%bifrost {CHAT} --history --max-tokens 3\nOne")
    assert "One" in run(f"%%bifrost {CHAT} --history --dry-run\nTwo").result
    assert len(run("%bifrost chat").result) == 2
    assert len(sent()) == 1


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("--history", "chat"),
        ("--history poem", "poem"),
        (f"--history {CHAT}", "chat"),
        (f"{CHAT} --history -t 1", "chat"),
        (f"{CHAT} --history=x", "x"),
    ],
)
def test_the_name_is_told_from_a_deployment(line: str, name: str) -> None:
    """What has no slash is the chat's name."""
    options = parse(line.split())
    assert options.chat_name == name
    assert options.deployments == ([CHAT] if CHAT in line else [])


def test_a_cell_that_is_run_again_replaces_its_turn() -> None:
    """What follows is out of date, is refused until its own cells are run again, and then holds."""
    chat = Chat("chat")
    for cell in "123":
        ask(chat, cell, f"p{cell}")
    assert ask(chat, "2", "new") == ["p1", "p1!", "new"]
    assert chat.outdated() == (
        "Turn 3 of this chat answers what is no longer there: run that cell again, or go on with --history-from 2."
    )
    with pytest.raises(UsageError, match="turn 3 of this chat is out of date"):
        chat.next_turn(("4", 0), None, "p4")
    assert ask(chat, "3", "p3") == ["p1", "p1!", "new", "new!", "p3"]
    assert chat.outdated() is None
    assert ask(chat, "4", "p4")[-2:] == ["p3!", "p4"]


def test_history_from_goes_on_after_an_earlier_turn() -> None:
    """The new turn stands beside what followed that turn, which is not lost, also where the cells are run again."""
    chat = Chat("chat")

    def run_all() -> list[list[str]]:
        return [
            *(ask(chat, cell, f"p{cell}") for cell in "123"),
            ask(chat, "4", "p4", after=1),
            ask(chat, "5", "p5"),
        ]

    first = run_all()
    assert first[3:] == [["p1", "p1!", "p4"], ["p1", "p1!", "p4", "p4!", "p5"]]
    assert run_all() == first
    assert [turn.prompt for turn in chat.line] == ["p1", "p4", "p5"]
    assert chat.outdated() is None
    with pytest.raises(UsageError, match="own turn or follows it"):
        chat.next_turn(("5", 0), 3, "p5")


def test_a_failed_cell_and_a_deleted_one_outdate_what_follows() -> None:
    """Nothing goes on from an answer that the notebook does not show any more."""
    chat = Chat("chat")
    for cell in "123":
        ask(chat, cell, f"p{cell}")
    chat.keep(chat.next_turn(("1", 0), None, "p1"), [Run(status="error")])
    assert [turn.stale for turn in chat.line] == [True, True, True]
    assert ask(chat, "1", "p1") == ["p1"]
    ask(chat, "2", "p2")
    ask(chat, "3", "p3")
    chat.drop({"2"})
    assert [(turn.prompt, turn.stale) for turn in chat.line] == [("p1", False), ("p3", True)]
    assert ask(chat, "3", "p3") == ["p1", "p1!", "p3"]


def test_a_long_chat_looks_at_each_turn_once() -> None:
    """A turn more goes through the line, not through the line of each turn; what it changes is out of date as ever."""
    chat = Chat("chat")
    for cell in range(300):
        ask(chat, str(cell), "p")
    paths = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal paths
        paths += event == "call" and frame.f_code.co_qualname == "Turn.path"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        ask(chat, "new", "p")
    finally:
        sys.setprofile(before)
    assert 0 < paths < 10
    ask(chat, "0", "p again")
    assert [one.stale for one in chat.turns] == [False, *[True] * 300]


def test_a_cell_that_goes_to_another_chat_leaves_the_first() -> None:
    """Its old turn, which the notebook does not show any more, is not sent; other calls of the cell keep theirs."""
    chat = Chat("chat")
    for cell in "123":
        ask(chat, cell, f"p{cell}")
    chat.drop(set(), ("2", 1))
    assert len(chat.line) == 3
    chat.drop(set(), ("2", 0))
    assert [(turn.prompt, turn.stale) for turn in chat.line] == [("p1", False), ("p3", True)]


def test_an_empty_name_is_no_chat(run: Cell, sent: Sent) -> None:
    """It was sent as a question of its own, without what was said before."""
    refused = run(f"%%bifrost {CHAT} --history= --max-tokens 3\nTwo").error_in_exec
    assert "--history= names no chat" in str(refused)
    assert not sent()


def test_a_choice_outlives_run_all_and_another_one_outdates() -> None:
    """The chosen deployment stays chosen where its cell is run again; choosing another changes what follows."""
    chat = Chat("chat")
    ask(chat, "1", "p1", answers=("x", "y"))
    chat.choose("p/y")
    ask(chat, "2", "p2")
    ask(chat, "1", "p1", answers=("x", "y"))
    assert chat.line[0].chosen == "p/y"
    ask(chat, "2", "p2")
    assert chat.outdated() is None
    chat.choose("p/x")
    assert chat.line[1].stale


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=25))
def test_run_all_always_gives_the_notebook(steps: list[tuple[int, bool]]) -> None:
    """Whatever was run, edited or deleted before: Run All of six cells gives a chat of six turns, none out of date."""
    chat, version = Chat("chat"), 0
    for cell in range(6):
        ask(chat, str(cell), f"{cell}")
    for cell, deleted in steps:
        if deleted:
            chat.drop({str(cell)})
            continue
        version += 1
        try:
            ask(chat, str(cell), f"{cell} {version}")
        except UsageError:
            assert chat.outdated()
    order = [turn.cell[0] for turn in chat.line if turn.cell]  # a deleted cell that comes back stands at the end
    order += [cell for cell in "012345" if cell not in order]
    for place, cell in enumerate(order):
        assert ask(chat, cell, cell)[::2] == order[: place + 1]
    assert chat.outdated() is None
    assert len(chat.line) == len(order)


def test_cells_are_told_apart() -> None:
    """A cell's id with the place of the call in it; odd metadata is as none."""
    cells = Cells()

    def request(message: str, **metadata: Any) -> dict[str, Any]:
        return {"header": {"msg_id": message}, "metadata": metadata}

    assert cells.current(request("m1", cellId="a", deletedCells=["b", 3])) == (("a", 0), {"b"})
    assert cells.current(request("m1", cellId="a")) == (("a", 1), set())
    assert cells.current(request("m2", cellId="a")) == (("a", 0), set())
    for odd in ({}, {"cellId": 3, "deletedCells": "ab"}, {"cellId": ""}):
        assert cells.current(request("m3", **odd)) == (None, set())
    assert cells.current({}) == (None, set())
    assert cells.current({"metadata": ["cellId"]}) == (None, set())
