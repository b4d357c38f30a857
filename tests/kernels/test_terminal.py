"""Terminal IPython and plain Python: text as it comes, and Ctrl-C."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bifrost_nb._runs.run import Run
from bifrost_nb._simulator.process import LocalGateway

from .conftest import SETUP
from .terminal import TerminalIPython
from .test_stop import AT_ONCE_S, gone_at


def test_text_streams(ipython: TerminalIPython, gateway: LocalGateway) -> None:
    """The answer is written while it arrives, who serves before it and the facts after it, without control signs."""
    gateway.script([{"prompt": "colours", "text": ["Red \x1b[31m", "one\r", " two ", "three."], "gap_ms": 300}])
    ipython.type("run, = show('colours', deployment='azure/large')")
    first = ipython.read_until("Red ")
    assert "azure/large · served by azure/large" in first
    rest = ipython.read_until(r"In \[3\]: ")
    assert "two three." in rest
    assert "served by azure/large · first text" in rest
    assert "\x1b[31m" not in rest
    assert "\r" not in rest.replace("\r\n", "\n")


def test_ctrl_c(ipython: TerminalIPython, slow: LocalGateway, logged: Callable[[str], Run]) -> None:
    """Ctrl-C closes the connection at once, says so in one line, keeps the text, and the prompt is back."""
    prompt = f"slowly, in a terminal {time.monotonic()}"
    ipython.type(f"show({prompt!r})")
    ipython.read_until(r"served by azure/fast\r\n.{20}")
    pressed = ipython.press_ctrl_c()
    said = ipython.read_until(r"In \[\d+\]: ")
    assert gone_at(slow, prompt) - pressed < AT_ONCE_S
    assert "Interrupted: the call was stopped after" in said
    assert "Traceback" not in said
    run = logged(prompt)
    assert run.status == "cancelled"
    assert len(run.text) >= 20
    ipython.type("print(6 * 7)")
    ipython.read_until("42")


def test_the_magic_in_a_terminal(ipython: TerminalIPython, slow: LocalGateway) -> None:
    """Text as it comes and Ctrl-C with what had come; a failure is one line with what to do; the prompt is back."""
    ask = "get_ipython().run_cell_magic('bifrost', 'azure/fast -o part', 'slowly')"
    ipython.type("%load_ext bifrost_nb")
    ipython.read_until(r"In \[\d+\]: ")
    ipython.type(f"%config Bifrost.base_url = {slow.url!r}")
    ipython.read_until(r"In \[\d+\]: ")
    ipython.type(ask)
    ipython.read_until(r"served by azure/fast\r\n.{20}")
    ipython.press_ctrl_c()
    said = ipython.read_until(r"In \[\d+\]: ")
    assert "Interrupted: the call was stopped after" in said
    assert "Traceback" not in said
    ipython.type("print(part.status, len(part.text) >= 20)")
    assert "cancelled True" in ipython.read_until(r"In \[\d+\]: ")
    ipython.type('%bifrost azure/nope "hi"')
    said = ipython.read_until(r"In \[\d+\]: ")
    assert "Check the deployment's name" in said
    assert "Traceback" not in said


def test_plain_python(gateway: LocalGateway, tmp_path: Path) -> None:
    """Plain Python writes several answers one after the other, each whole with its header, and loads no IPython."""
    source = SETUP.format(url=gateway.url) + (
        "calls = [client.prepare('text', d, 'hello', stream=True) for d in ('azure/fast', 'azure/large')]\n"
        "watch(client, calls, title='Two')\n"
        "print('loaded', sorted({'ipywidgets', 'anywidget', 'IPython'} & sys.modules.keys()))\n"
    )
    environment = {
        **os.environ,
        "BIFROST_RUN_LOG": str(tmp_path / "runs.jsonl"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    result = subprocess.run(
        [sys.executable, "-c", source], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    lines = result.stdout.splitlines()
    assert lines[0] == "Two"
    assert [line for line in lines if line.startswith("azure/")] in (
        ["azure/fast · served by azure/fast", "azure/large · served by azure/large"],
        ["azure/large · served by azure/large", "azure/fast · served by azure/fast"],
    )
    assert lines[-1] == "loaded []"
    assert "\r" not in result.stdout
