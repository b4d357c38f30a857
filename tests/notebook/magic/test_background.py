"""``--bg NAME``: calls that go on while other cells run."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell

from bifrost_nb import NotFound
from bifrost_nb._runs.log.log import run_log
from bifrost_nb._simulator.process import LocalGateway

from .conftest import TEXT

Cell = Callable[[str], ExecutionResult]


@pytest.fixture
def slow(gateway: LocalGateway) -> LocalGateway:
    """Prompts with "slowly" are answered for a minute, a chunk each 10 ms."""
    gateway.script([{"prompt": "slowly", "chunks": 6000, "first_text_ms": 30, "gap_ms": 10}])
    return gateway


def test_the_cell_returns_at_once(run: Cell, shell: InteractiveShell, slow: LocalGateway) -> None:
    """The job is there while the answer still comes; cancelling ends it, with its partial text in the log."""
    assert run(f"%%bifrost {TEXT} --bg later\nslowly").success
    job: Any = shell.user_ns["later"]
    assert not job.done
    slow.wait_for(lambda requests: [each for each in requests if each["chunks"] > 5], 20)
    assert [row["state"] for row in run("%bifrost jobs").result] == ["running"]
    run("%bifrost cancel later")
    finished = job.result(20)
    assert finished.status == "cancelled"
    assert finished.text
    assert run_log().read(run_id=finished.run_id)[0].response == finished.text
    assert [row["state"] for row in run("%bifrost jobs").result] == ["done"]


def test_the_card_says_what_stops_the_job(run: Cell, shell: InteractiveShell, slow: LocalGateway) -> None:
    """Not the interrupt key, which is for the cell that runs; and what it names does stop it."""
    run(f"%%bifrost {TEXT} --bg later\nslowly")
    job: Any = shell.user_ns["later"]
    shown = job._repr_mimebundle_()[0]["text/html"]
    assert "interrupt" not in shown
    [command] = re.findall(r"%bifrost cancel \w+", shown)
    run(command)
    assert job.result(20).status == "cancelled"
    assert "%bifrost cancel" not in job._repr_mimebundle_()[0]["text/html"]


def test_a_job_can_be_awaited(run: Cell, shell: InteractiveShell) -> None:
    """``await NAME`` gives the run, or all runs; again it gives the same."""
    run(f"%%bifrost {TEXT} --max-tokens 3 --bg one\nhi")
    assert run("answer = await one").success
    assert shell.user_ns["answer"].status == "ok"
    assert run("(await one) is answer").result is True
    run(f"%%bifrost {TEXT} azure/large --max-tokens 3 --bg two\nhi")
    run("both = await two")
    assert list(shell.user_ns["both"].frame["status"]) == ["ok", "ok"]


def test_errors_come_with_the_result(run: Cell, shell: InteractiveShell) -> None:
    """A job that failed raises its typed error where it is awaited, and is in the log."""
    run("%%bifrost azure/nope --bg bad\nhi")
    assert isinstance(run("await bad").error_in_exec, NotFound)
    assert shell.user_ns["bad"].done
    assert run_log().read(status="error")[0].requested == "azure/nope"
    run("%%bifrost azure/nope --no-raise --bg tolerated\nhi")
    assert run("(await tolerated).status").result == "error"


def test_waiting_can_have_a_limit(shell: InteractiveShell, run: Cell, slow: LocalGateway) -> None:
    """``result(seconds)`` gives up waiting, not the work."""
    run(f"%%bifrost {TEXT} --bg later\nslowly")
    job: Any = shell.user_ns["later"]
    with pytest.raises(TimeoutError, match="later is still running"):
        job.result(0.1)
    assert not job.done
    job.cancel()
    job.result(20)


def test_unloading_ends_jobs(run: Cell, shell: InteractiveShell, slow: LocalGateway) -> None:
    """%unload_ext cancels what runs; it is recorded as cancelled."""
    run(f"%%bifrost {TEXT} --bg later\nslowly")
    slow.wait_for(lambda requests: [each for each in requests if each["chunks"] > 2], 20)
    run("%unload_ext bifrost_nb")
    job: Any = shell.user_ns["later"]
    assert job.result(20).status == "cancelled"
    slow.wait_for(lambda requests: [each for each in requests if each["disconnected_at"]], 20)


def test_a_running_job_keeps_its_name(run: Cell, shell: InteractiveShell, slow: LocalGateway) -> None:
    """A second job of that name would leave the first one without a handle: refused until it has ended."""
    run(f"%%bifrost {TEXT} --bg later\nslowly")
    first: Any = shell.user_ns["later"]
    refused = run(f"%%bifrost {TEXT} --bg later\nhi").error_in_exec
    assert "%bifrost cancel later ends it" in str(refused)
    assert shell.user_ns["later"] is first
    first.cancel()
    first.result(20)
    assert run(f"%%bifrost {TEXT} --bg later --max-tokens 2\nhi").success
    assert shell.user_ns["later"].result(20).status == "ok"


@pytest.mark.parametrize(("options", "words"), [("--history --chat", "ask without --bg"), ("-o x", "x = await later")])
def test_what_does_not_go_with_a_job(run: Cell, options: str, words: str) -> None:
    """A chat goes on from complete answers, and a job's result has its own way: said before anything is sent."""
    assert words in str(run(f"%%bifrost {TEXT} --bg later {options}\nhi").error_in_exec)
