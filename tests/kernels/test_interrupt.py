"""The interrupt key: connections closed, runs kept, one line shown, the next cells not run."""

from __future__ import annotations

import ast
import time
from collections.abc import Callable

import pytest

from bifrost_nb._runs.log.log import RunLog
from bifrost_nb._runs.run import Run
from bifrost_nb._simulator.process import LocalGateway

from .conftest import TEXT
from .frontend import FrontEnd
from .test_stop import AT_ONCE_S, gone_at


def test_interrupt(front: FrontEnd, slow: LocalGateway, logged: Callable[[str], Run]) -> None:
    """One interrupt closes the connection at once, logs the partial text, shows one line and stops Run All."""
    prompt = f"slowly, interrupted {time.monotonic()}"
    cell = front.run(f"show({prompt!r})")
    queued = [front.run("print('this must not run')") for _ in range(2)]
    pane = cell.pane()
    pane.wait_for_text(20)
    pressed = front.interrupt()
    cell.wait()
    assert gone_at(slow, prompt) - pressed < AT_ONCE_S
    assert cell.idle_at is not None
    assert cell.idle_at - pressed < AT_ONCE_S
    assert cell.status == "error"
    assert cell.error["ename"] == "Interrupted"
    assert len(cell.error["traceback"]) == 1
    assert cell.error["traceback"][0].startswith("Interrupted: the call was stopped after ")
    run = logged(prompt)
    assert run.status == "cancelled"
    assert run.text.startswith(pane.text())
    assert len(run.text) >= 20
    assert run.text[:20] in cell.shown[0]["text/plain"]
    assert "application/vnd.jupyter.widget-view+json" not in cell.shown[0]
    assert [other.wait().status for other in queued] == ["aborted", "aborted"]
    assert front.value("1 + 1") == "2"


def test_interrupt_of_several(front: FrontEnd, slow: LocalGateway, logged: Callable[[str], Run]) -> None:
    """One interrupt stops every call that still runs; one that had ended before stays as it was."""
    mark = time.monotonic()
    prompts = [f"slowly {number} {mark}" for number in range(3)]
    cell = front.run(f"show('quickly {mark}', *{prompts!r})")
    pane = cell.pane()
    pane.wait_for_text(20, column=3)
    front.until(lambda: "1 of 4 finished" in str(pane.frames), 60, "the quick one to end")
    pressed = front.interrupt()
    cell.wait()
    assert all(gone_at(slow, prompt) - pressed < AT_ONCE_S for prompt in prompts)
    assert "3 of 4 calls were stopped" in cell.error["evalue"]
    assert logged(f"quickly {mark}").status == "ok"
    assert {logged(prompt).status for prompt in prompts} == {"cancelled"}


def test_interrupt_before_the_first_text(front: FrontEnd, gateway: LocalGateway, logged: Callable[[str], Run]) -> None:
    """A gateway that never answers is left as quickly; the run is logged without text."""
    prompt = f"silent {time.monotonic()}"
    gateway.script([{"prompt": "silent", "silent": True}])
    cell = front.run(f"show({prompt!r})")
    gateway.wait_for(lambda requests: any(prompt in str(request["body"]) for request in requests), 20)
    cell.pane()
    pressed = front.interrupt()
    cell.wait()
    assert gone_at(gateway, prompt) - pressed < AT_ONCE_S
    assert cell.error["ename"] == "Interrupted"
    run = logged(prompt)
    assert (run.status, run.response) == ("cancelled", None)


def test_second_interrupt(front: FrontEnd, slow: LocalGateway) -> None:
    """Where the first interrupt cannot finish (the private loop is stuck), the second one ends the cell at once."""
    made = front.run(
        "import ipywidgets, threading\nfrom bifrost_nb._client.portal import portal\n"
        "stuck, free, button = threading.Event(), threading.Event(), ipywidgets.Button()\n"
        "def stick(): stuck.set(); free.wait(60)\n"
        "button.on_click(lambda _: (portal().loop.call_soon_threadsafe(stick), stuck.wait(20), print('stuck')))\n"
        "print(button.comm.comm_id)"
    ).wait()
    cell = front.run(f"show('slowly, stuck {time.monotonic()}')")
    pane = cell.pane()
    pane.wait_for_text(20)
    start = len(front.messages)
    front.send_comm(made.printed.strip(), {"method": "custom", "content": {"event": "click"}})
    front.until(lambda: "stuck" in str(front.messages[start:]), 60, "the loop to be stuck")
    first = front.interrupt()
    front.until(lambda: time.monotonic() - first > 0.3, 1, "the first interrupt to be waiting")
    assert cell.idle_at is None
    front.interrupt()
    cell.wait()
    front.run("free.set()").wait()
    assert cell.error["ename"] == "Interrupted"
    assert "a second time" in cell.error["evalue"]
    assert len(cell.error["traceback"]) == 1
    assert pane.text()[:20] in cell.shown[0]["text/plain"]


def test_interrupts_work_again_afterwards(front: FrontEnd, slow: LocalGateway) -> None:
    """The kernel's own interrupt handling is back after a call, whether it was interrupted or not."""
    front.run(f"show('quickly {time.monotonic()}')").wait()
    cell = front.run("print('sleeping', flush=True); time.sleep(20)")
    front.until(lambda: "sleeping" in cell.printed, 60, "the cell to sleep")
    front.interrupt()
    assert cell.wait().error["ename"] == "KeyboardInterrupt"


TASKS = """[name for name in (task.get_coro().__qualname__ for task in __import__("asyncio").all_tasks(
    __import__("bifrost_nb._client.portal")._client.portal.portal().loop)) if "Costs." not in name]"""
"""What runs on the private loop, in the kernel's Python; looking up a cost goes on for seconds."""
MAGIC = {  # a cell, and the runs that it leaves behind
    "one": (f"%%bifrost {TEXT} -o part\nMARK", "[part]"),
    "several": (f"%%bifrost {TEXT} azure/fast azure/large -o part\nMARK", "list(part)"),
    "one line": (f'%bifrost {TEXT} -o part "MARK"', "[part]"),
    "a comparison": (f"%%bifrost {TEXT} azure/fast --repeat 2 -o part\nMARK", "part.runs"),
}


@pytest.mark.parametrize("name", MAGIC)
def test_interrupt_of_the_magic(loaded: FrontEnd, slow: LocalGateway, kernel_log: RunLog, name: str) -> None:
    """■ ends every call of the cell; -o, `_bifrost` and the log hold what had come; later cells do not run."""
    source, runs = MAGIC[name]
    mark = f"slowly {time.monotonic_ns()}"
    cell = loaded.run(source.replace("MARK", mark))
    behind = loaded.run("1")
    count = {"one": 1, "several": 3, "one line": 1, "a comparison": 4}[name]
    slow.wait_for(lambda requests: sum(record["chunks"] > 5 for record in requests) == count, 20)
    pressed = loaded.interrupt()
    assert cell.wait().error["ename"] == ("ComparisonInterrupted" if name == "a comparison" else "Interrupted")
    assert len(cell.error["traceback"]) == 1
    assert "in the run log" in cell.error["evalue"]
    assert behind.wait().status == "aborted"
    slow.wait_for(lambda requests: sum(bool(record["disconnected_at"]) for record in requests) == count, 20)
    gone = [record["disconnected_at"] for record in slow.requests() if record["disconnected_at"]]
    assert max(gone) - pressed < AT_ONCE_S
    kept = ast.literal_eval(loaded.value(f"[(run.run_id, run.status, run.text) for run in {runs}]"))
    assert len(kept) == count
    assert {status for _, status, _ in kept} == {"cancelled"}
    assert all(text for *_, text in kept)
    recorded = {run.run_id: run.text for run in kernel_log.read() if mark in (run.prompt or "")}
    assert recorded == {run_id: text for run_id, _, text in kept}
    assert loaded.value("_bifrost is part") == "True"
    assert loaded.value(TASKS) == "[]"
    assert loaded.run(f"%%bifrost {TEXT} --max-tokens 2\nhi").wait().status == "ok"


def test_interrupt_while_only_a_cost_is_awaited(loaded: FrontEnd, gateway: LocalGateway) -> None:
    """The answer is complete and kept; the interrupt still stops the cells behind it."""
    gateway.script([{"path": "/api/logs*", "silent": True}])
    loaded.run("from bifrost_nb._notebook.live import watch as live; live.COST_WAIT_S = 60").wait()
    cell = loaded.run(f"%%bifrost {TEXT} --max-tokens 2 -o complete\nhi")
    behind = loaded.run("1")
    gateway.wait_for(looked_up, 20)
    loaded.interrupt()
    assert "nothing was left to stop" in cell.wait().error["evalue"]
    assert behind.wait().status == "aborted"
    assert loaded.value("complete.status") == "'ok'"
    loaded.run("live.COST_WAIT_S = 1.0").wait()


def looked_up(requests: list[dict]) -> bool:
    """Whether the gateway's log was asked after a completion among `requests`, not about one before them."""
    paths = [record["path"] for record in requests if record["method"] == "POST" or "/api/logs" in record["path"]]
    sent = next((place for place, path in enumerate(paths) if "/api/logs" not in path), len(paths))
    return any("/api/logs" in path for path in paths[sent:])


def test_interrupt_of_waiting_leaves_the_job(loaded: FrontEnd, slow: LocalGateway) -> None:
    """Interrupting ``await NAME`` ends the wait, not the work."""
    loaded.run(f"%%bifrost {TEXT} --bg job\nslowly {time.monotonic()}").wait()
    waiting = loaded.run("print('waiting', flush=True); await job")
    loaded.until(lambda: "waiting" in waiting.printed, 60, "the cell to wait")
    loaded.interrupt()
    assert waiting.wait().status == "error"
    assert loaded.value("job.done") == "False"
    assert loaded.run("job.cancel(); print((await job).status)").wait().printed == "cancelled\n"
