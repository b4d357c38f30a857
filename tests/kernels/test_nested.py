"""Someone else's patched event loop does not break a live call."""

from __future__ import annotations

import subprocess
import sys
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


LOOP_IN_LOOP = """
import asyncio, sys
import bifrost_nb as bf

async def inner():
    client = bf.Client(sys.argv[1])
    return (await client.acomplete("azure/fast", "Hi", max_tokens=4)).status

async def outer():
    assert bf.allow_nested_loops() == "nest_asyncio2"
    print(asyncio.run(inner()))
    if sys.version_info >= (3, 12):  # which nest_asyncio does not take
        print(asyncio.run(inner(), loop_factory=asyncio.new_event_loop))

asyncio.run(outer())
"""


def test_a_loop_in_a_running_loop(shared_gateway: LocalGateway) -> None:
    """`allow_nested_loops` prefers the kept fork; `asyncio.run` then works in a loop, with a factory, too."""
    done = subprocess.run(
        [sys.executable, "-c", LOOP_IN_LOOP, shared_gateway.url], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["ok"] * (2 if sys.version_info >= (3, 12) else 1)
