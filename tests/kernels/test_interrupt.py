"""The interrupt key: connections closed, runs kept, one line shown, the next cells not run."""

from __future__ import annotations

import time
from collections.abc import Callable

from bifrost_nb.gateway.local import LocalGateway
from bifrost_nb.records.run import Run

from .frontend import FrontEnd
from .test_stop import AT_ONCE_S, gone_at


def test_interrupt(front: FrontEnd, slow: LocalGateway, logged: Callable[[str], Run]) -> None:
    """One interrupt closes the connection within 0.2 s, logs the partial text, shows one line and stops Run All."""
    prompt = f"slowly, interrupted {time.monotonic()}"
    cell = front.run(f"show({prompt!r})")
    queued = [front.run("print('this must not run')") for _ in range(2)]
    pane = cell.pane()
    pane.wait_for_text(20)
    pressed = front.interrupt()
    cell.wait()
    assert gone_at(slow, prompt) - pressed < AT_ONCE_S
    assert cell.idle_at is not None
    assert cell.idle_at - pressed < 1.0
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
    front.until(lambda: "1 of 4 finished" in str(pane.frames), 10, "the quick one to end")
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
    gateway.wait_for(lambda requests: any(prompt in str(request["body"]) for request in requests))
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
        "import ipywidgets\nfrom bifrost_nb.portal import portal\nstuck = ipywidgets.Button()\n"
        "stuck.on_click(lambda _: portal().loop.call_soon_threadsafe(time.sleep, 2))\nprint(stuck.comm.comm_id)"
    ).wait()
    cell = front.run(f"show('slowly, stuck {time.monotonic()}')")
    pane = cell.pane()
    pane.wait_for_text(20)
    clicked = front.send_comm(made.printed.strip(), {"method": "custom", "content": {"event": "click"}})
    front.until(lambda: time.monotonic() - clicked > 0.5, 1, "the loop to be stuck")
    first = front.interrupt()
    front.until(lambda: time.monotonic() - first > 0.3, 1, "the first interrupt to be waiting")
    assert cell.idle_at is None
    second = front.interrupt()
    cell.wait()
    assert cell.idle_at - second < 0.5
    assert cell.error["ename"] == "Interrupted"
    assert len(cell.error["traceback"]) == 1
    assert pane.text()[:20] in cell.shown[0]["text/plain"]


def test_interrupts_work_again_afterwards(front: FrontEnd, slow: LocalGateway) -> None:
    """The kernel's own interrupt handling is back after a call, whether it was interrupted or not."""
    front.run(f"show('quickly {time.monotonic()}')").wait()
    cell = front.run("print('sleeping', flush=True); time.sleep(20)")
    front.until(lambda: "sleeping" in cell.printed, 5, "the cell to sleep")
    front.interrupt()
    assert cell.wait().error["ename"] == "KeyboardInterrupt"
