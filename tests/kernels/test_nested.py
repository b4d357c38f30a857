"""Someone else's patched event loop does not break a live call."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from bifrost_nb._runs.run import Run
from bifrost_nb._simulator.process import LocalGateway

from .frontend import FrontEnd
from .test_stop import AT_ONCE_S, gone_at


@pytest.mark.parametrize("package", ["nest_asyncio", "nest_asyncio2"])
def test_after_nesting(
    new_front: Callable[[], FrontEnd], slow: LocalGateway, logged: Callable[[str], Run], package: str
) -> None:
    """After `nest_asyncio` or `nest_asyncio2` was applied, answers, clicks and interrupts work as before."""
    front = new_front()
    applied = front.run(f"import {package}, asyncio; {package}.apply(); asyncio.run(asyncio.sleep(0))").wait()
    assert applied.status == "ok"
    quick = front.run(f"print(*(run.status for run in show('quick {time.monotonic()}')))").wait()
    assert (quick.status, quick.printed.split()) == ("ok", ["ok"]), quick.messages
    prompt = f"slowly, nested {time.monotonic()}"
    cell = front.run(f"print(*(run.status for run in show({prompt!r})))")
    pane = cell.pane()
    pane.wait_for_text(20)
    clicked = pane.send({"stop": 0})
    assert cell.wait().printed.split() == ["cancelled"]
    assert gone_at(slow, prompt) - clicked < AT_ONCE_S
    prompt = f"slowly, nested and interrupted {time.monotonic()}"
    cell = front.run(f"show({prompt!r})")
    cell.pane().wait_for_text(20)
    pressed = front.interrupt()
    assert cell.wait().error["ename"] == "Interrupted"
    assert gone_at(slow, prompt) - pressed < AT_ONCE_S
    assert logged(prompt).status == "cancelled"
