"""A kernel of every ipykernel version whose widget and interrupt behaviour differs.

The current environment's kernel always takes part. Others are found in the folder that BIFROST_NB_KERNELS names; it
holds one environment per version, made by ``.ci/kernels.sh``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from bifrost_nb._runs.log.log import RunLog
from bifrost_nb._runs.run import Run
from bifrost_nb._simulator.process import LocalGateway

from .frontend import Cell, FrontEnd
from .terminal import TerminalIPython

TEXT = "azure/gpt-35-turbo-instruct"
CHAT = "openai/gpt-4o-mini"
VERSIONS = ("6.31", "7.3", "7.4")
SETUP = """
import sys, threading, time
from bifrost_nb import Client
from bifrost_nb._notebook.live.watch import watch
client = Client({url!r})
def show(*prompts, deployment="azure/fast", **options):
    calls = [client.prepare("text", deployment, prompt, stream=True, retries=0, **options) for prompt in prompts]
    return [outcome.run for outcome in watch(client, calls)]
"""


def _kernels() -> list[object]:
    current = version("ipykernel")
    folder = os.environ.get("BIFROST_NB_KERNELS")
    found: list[object] = [pytest.param(Path(sys.executable), id=f"ipykernel-{current}")]
    for number in VERSIONS:
        if current.startswith(f"{number}."):
            continue
        python = Path(folder or "", f"ik-{number}", "bin", "python")
        reason = f"no kernel with ipykernel {number}; make it with .ci/kernels.sh and set BIFROST_NB_KERNELS"
        marks = [pytest.mark.kernels, pytest.mark.skipif(not (folder and python.exists()), reason=reason)]
        found.append(pytest.param(python, id=f"ipykernel-{number}", marks=marks))
    return found


@pytest.fixture(scope="session", params=_kernels())
def python(request: pytest.FixtureRequest) -> Path:
    """The interpreter of one kernel version; every test that asks for a kernel runs once for each."""
    return Path(request.param)


@pytest.fixture(scope="session")
def kernel_log(tmp_path_factory: pytest.TempPathFactory) -> RunLog:
    """The run log into which all kernels write."""
    return RunLog(tmp_path_factory.mktemp("kernels") / "runs.jsonl")


@pytest.fixture(scope="session")
def new_front(python: Path, kernel_log: RunLog, shared_gateway: LocalGateway) -> Iterator[Callable[..., FrontEnd]]:
    """Starts a kernel with the toolkit loaded, or with `setup` run; for tests that leave a kernel changed."""
    opened: list[FrontEnd] = []

    def start(setup: str | None = None) -> FrontEnd:
        front = FrontEnd(python, {"BIFROST_RUN_LOG": str(kernel_log.path)})
        opened.append(front)
        loaded = front.run(setup or SETUP.format(url=shared_gateway.url)).wait()
        assert loaded.status == "ok", loaded.error
        return front

    yield start
    for front in opened:
        front.stop()


@pytest.fixture(scope="session")
def shared_front(new_front: Callable[[], FrontEnd]) -> FrontEnd:
    """One kernel for all tests that leave it as they found it; use `front`."""
    return new_front()


@pytest.fixture
def front(shared_front: FrontEnd, gateway: LocalGateway) -> Iterator[FrontEnd]:
    """A front end with an idle kernel, and the gateway without records of earlier tests."""
    yield shared_front
    for cell in shared_front.cells.values():  # a failed test must not leave a busy kernel to the next one
        if cell.reply is None:
            shared_front.interrupt()
            cell.wait()


@pytest.fixture
def loaded(front: FrontEnd, gateway: LocalGateway) -> Iterator[FrontEnd]:
    """A kernel with the extension loaded for this test, anew where a failed one left it loaded."""
    try:
        cell = front.run(f"%reload_ext bifrost_nb\n%config Bifrost.base_url = {gateway.url!r}").wait()
        assert (cell.status, cell.printed, cell.shown) == ("ok", "", []), cell.messages
        yield front
    finally:  # or one test's trouble would be that of all that follow
        cell = front.run("%unload_ext bifrost_nb\nget_ipython().config.pop('Bifrost', None);").wait()
    assert (cell.status, cell.printed) == ("ok", ""), cell.messages


def heard(gateway: LocalGateway) -> list[str]:
    """What the gateway was asked, without looks at its log: those of an earlier test's runs may come as late as now."""
    paths = (record["path"] for record in gateway.requests())
    return [path for path in paths if not path.startswith("/api/logs")]


def posts(gateway: LocalGateway) -> list[dict[str, Any]]:
    """The completions that the gateway was asked for, in order."""
    return [record for record in gateway.requests() if record["method"] == "POST"]


@pytest.fixture
def slow(gateway: LocalGateway) -> LocalGateway:
    """The gateway answers prompts that hold "slowly" for a minute, a chunk each 10 ms."""
    gateway.script([{"prompt": "slowly", "chunks": 6000, "first_text_ms": 30, "gap_ms": 10}])
    return gateway


@pytest.fixture
def logged(kernel_log: RunLog) -> Callable[[str], Run]:
    """The one run in the log whose prompt holds this text."""

    def find(prompt: str) -> Run:
        (run,) = [run for run in kernel_log.read() if prompt in (run.prompt or "")]
        return run

    return find


@pytest.fixture
def ipython(gateway: LocalGateway, kernel_log: RunLog) -> Iterator[TerminalIPython]:
    """Terminal IPython with the toolkit loaded."""
    terminal = TerminalIPython({"BIFROST_RUN_LOG": str(kernel_log.path)})
    try:
        terminal.read_until(r"In \[1\]: ")
        source = SETUP.format(url=gateway.url)
        terminal.type(f"exec({source!r})")
        terminal.read_until(r"In \[2\]: ")
        yield terminal
    finally:
        terminal.close()


__all__ = ["CHAT", "TEXT", "Cell", "FrontEnd", "heard", "posts"]
