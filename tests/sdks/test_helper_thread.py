"""Recording on a thread of its own: what the calling thread is spared, and what holds all the same when it goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import bifrost_nb as bf
from bifrost_nb._sdks import exchange_to_run
from bifrost_nb._simulator.process import LocalGateway

PATH = "/openai/v1/chat/completions"
BODY = {"model": "azure/fast", "messages": [{"role": "user", "content": "Hi"}]}
KILLED = """
import asyncio, os, signal, sys
import bifrost_nb as bf
url, path, way = sys.argv[1:]
body = {"model": "azure/fast", "messages": [{"role": "user", "content": "Hi"}], "stream": "stream" in way}
client = bf.Client(url, log=bf.RunLog(path))
async def ask():
    http = bf.recording_async_client(client)
    async with http.stream("POST", url + "/openai/v1/chat/completions", json=body) as response:
        await response.aread()
    os.kill(os.getpid(), signal.SIGKILL)
if "async" in way:
    asyncio.run(ask())
bf.recording_client(client).post(url + "/openai/v1/chat/completions", json=body).raise_for_status()
os.kill(os.getpid(), signal.SIGKILL)
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and forks of POSIX")


@pytest.fixture
def log(tmp_path: Path) -> bf.RunLog:
    return bf.RunLog(tmp_path / "runs.jsonl")


def functions_of(work: Callable[[], object]) -> set[Any]:
    """The code of all functions that `work` calls on this thread."""
    seen: set[Any] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            seen.add(frame.f_code)

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return seen


@pytest.mark.parametrize("way", ["answer", "stream", "async answer", "async stream"])
def test_a_process_killed_after_a_call(gateway: LocalGateway, log: bf.RunLog, way: str) -> None:
    """A call that has returned is in the log, whole, though its process is killed at once."""
    killed = subprocess.run([sys.executable, "-c", KILLED, gateway.url, str(log.path), way], timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    (run,) = log.read()
    assert (run.status, run.http_status) == ("ok", 200)
    assert run.text
    assert run.completion_tokens


def test_the_calling_thread_does_not_read(gateway: LocalGateway, log: bf.RunLog) -> None:
    """Neither the answer is read nor its line made on the thread of the call; with a person's hook both are."""
    plain, hooked = (bf.Client(gateway.url, log=log, redact=hook) for hook in (None, lambda text, what: text))
    read, line = exchange_to_run.read.__code__, bf.RunLog._line.__code__
    for client, expected in ((plain, set()), (hooked, {read, line})):
        with bf.recording_client(client) as http:
            assert functions_of(lambda: http.post(gateway.url + PATH, json=BODY)) & {read, line} == expected
    assert [run.status for run in log.read()] == ["ok", "ok"]


def test_a_hook_that_asks_in_its_turn(gateway: LocalGateway, log: bf.RunLog) -> None:
    """A hook is called on the thread of its call, and may wait for recorded calls of other threads."""
    on: list[str] = []

    def hook(text: str, what: str) -> str:
        on.append(threading.current_thread().name)
        with bf.recording_client(bf.Client(gateway.url, log=bf.RunLog("off"))) as http, ThreadPoolExecutor(1) as pool:
            pool.submit(http.post, gateway.url + PATH, json=BODY).result(20)
        return text.upper()

    with bf.recording_client(bf.Client(gateway.url, log=log, redact=hook)) as http:
        http.post(gateway.url + PATH, json=BODY).raise_for_status()
    assert set(on) == {threading.current_thread().name}
    assert log.read()[0].prompt == "HI"


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_records(gateway: LocalGateway, log: bf.RunLog) -> None:
    """A process forked after a recorded call records its own."""
    with bf.recording_client(bf.Client(gateway.url, log=log)) as http:
        http.post(gateway.url + PATH, json=BODY).raise_for_status()
    pid = os.fork()
    if pid == 0:
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(30)
            with bf.recording_client(bf.Client(gateway.url, log=log)) as http:
                http.post(gateway.url + PATH, json=BODY)
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    assert [run.status for run in log.read()] == ["ok", "ok"]
