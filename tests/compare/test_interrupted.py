"""What was paid for is never paid for again: killed, interrupted and restarted comparisons."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bifrost_nb import Client, LocalGateway, RunLog, local_gateway
from bifrost_nb.comparing.compare import compare

DEPLOYMENTS = ["azure/gpt-35-turbo-instruct", "openai/gpt-3.5-turbo-instruct", "azure/fast"]
PROGRAM = """
import sys
from bifrost_nb import Client, RunLog
from bifrost_nb.comparing.compare import Interrupted, compare
from tests.compare.test_interrupted import question

url, path, size, how = sys.argv[1:]
try:
    compare(**question(Client(url, log=RunLog(path)), int(size)))
except Interrupted as stop:
    print(f"{len(stop.comparison)} {stop.comparison.frame['status'].value_counts().to_dict()}")
    print(stop)
    raise SystemExit(3)
"""


def question(client: Client, size: int) -> dict[str, Any]:
    """3 deployments x `size` prompts x 3 repeats."""
    return {
        "deployments": DEPLOYMENTS,
        "prompt": "Write about {{topic}}.",
        "inputs": {"topic": [f"topic {number}" for number in range(size)]},
        "repeats": 3,
        "max_tokens": 4,
        "client": client,
    }


def sent(gateway: LocalGateway, start: int = 0) -> list[str]:
    return [one["body"]["prompt"] for one in gateway.requests(start) if one["path"].endswith("completions")]


def completed(log: RunLog) -> set[str]:
    """The identities of the cells that the log has an answer for."""
    return {run.tags["cell"] for run in log.read(status="ok")}


@pytest.fixture
def child(gateway: LocalGateway, log: RunLog) -> Iterator[Any]:
    """Starts the comparison in another process; ends it after the test, however that went."""
    started: list[subprocess.Popen[str]] = []

    def start(size: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", PROGRAM, gateway.url, str(log.path), str(size), "run"]
        folder = Path(__file__).parents[2]
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_for_runs(log: RunLog, count: int, process: subprocess.Popen[str]) -> None:
    """Until the log holds so many finished runs."""
    assert log.path is not None
    end = time.monotonic() + 120
    while not log.path.exists() or log.path.read_bytes().count(b'"status":"ok"') < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


def test_killed_at_40_percent_it_sends_exactly_what_is_missing(gateway: LocalGateway, log: RunLog, child: Any) -> None:
    """3 x 200 x 3 killed with SIGKILL at 40 %: the next run sends each missing cell once and no other."""
    process = child(200)
    wait_for_runs(log, 720, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    paid = completed(log)
    assert 720 <= len(paid) < 1800
    before = len(gateway.requests())
    result = compare(**question(Client(gateway.url, log=log), 200))
    assert len(sent(gateway, before)) == 1800 - len(paid)
    assert (result.progress.reused, result.progress.done) == (len(paid), 1800 - len(paid))
    frame = result.frame
    assert (len(frame), frame["status"].eq("ok").sum(), result.missing) == (1800, 1800, 0)
    assert frame.groupby(["prompt_id", "requested_model", "repeat"]).size().eq(1).all()
    runs = log.read(status="ok")
    assert len(runs) == len({run.tags["cell"] for run in runs}) == 1800
    again = compare(**question(Client(gateway.url, log=log), 200))
    pd.testing.assert_frame_equal(again.frame, frame)


def test_an_interrupt_keeps_what_was_paid_for(gateway: LocalGateway, log: RunLog, child: Any) -> None:
    """One interrupt ends the sweep: answers are in the log, open calls recorded as cancelled, no more is sent."""
    gateway.script([{"first_text_ms": 50}])
    process = child(200)
    wait_for_runs(log, 100, process)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 3, errors
    assert time.monotonic() - began < 10
    made, counts = output.splitlines()[0].split(" ", 1)
    statuses = {run.status for run in log.read()}
    assert statuses == {"ok", "cancelled"}
    assert int(made) == len(log.read())
    assert f"'ok': {len(log.read(status='ok'))}" in counts
    assert "run the cell again for the rest" in output
    assert len(sent(gateway)) == int(made)
    gateway.script([])
    paid, before = len(completed(log)), len(gateway.requests())
    result = compare(**question(Client(gateway.url, log=log), 200))
    assert len(sent(gateway, before)) == 1800 - paid
    assert result.missing == 0


def test_a_gateway_restarted_in_the_middle_loses_nothing(log: RunLog) -> None:
    """The gateway goes away and comes back at its address: the sweep waits and every cell is answered."""
    with local_gateway(speed=20) as first:
        port = int(first.url.rsplit(":", 1)[1])
        first.script([{"first_text_ms": 30}])
        client = Client(first.url, log=log)
        with ThreadPoolExecutor(1) as pool:
            job = pool.submit(lambda: compare(**question(client, 30)))
            end = time.monotonic() + 60
            while len(sent(first)) < 60:
                assert time.monotonic() < end
                time.sleep(0.01)
            os.kill(first.pid, signal.SIGKILL)
            first.stop()
            with local_gateway(speed=20, port=port):
                result = job.result(120)
    assert result.missing == 0
    # Calls whose answer was being read when the gateway died are errors: they may have been paid for, and are not
    # sent a second time unasked.
    lost = (result.frame["status"] != "ok").sum()
    assert lost <= 48
    assert result.notes == []
