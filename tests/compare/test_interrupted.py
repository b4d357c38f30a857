"""What was paid for is never paid for again: killed, interrupted and restarted comparisons."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bifrost_nb import Client, LocalGateway, Run, RunLog, local_gateway
from bifrost_nb._client.call_notes import TAKEN
from bifrost_nb._compare.compare import ComparisonInterrupted, compare

DEPLOYMENTS = ["azure/gpt-35-turbo-instruct", "openai/gpt-3.5-turbo-instruct", "azure/fast"]
PROGRAM = """
import sys
from bifrost_nb import Client, RunLog
from bifrost_nb._compare.compare import ComparisonInterrupted, compare
from tests.compare.test_interrupted import question

url, path, size, how = sys.argv[1:]
try:
    compare(**question(Client(url, log=RunLog(path)), int(size)))
except ComparisonInterrupted as stop:
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


@pytest.mark.thorough
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
    process = child(60)
    wait_for_runs(log, 100, process)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 3, errors
    made, counts = output.splitlines()[0].split(" ", 1)
    statuses = {run.status for run in log.read()}
    assert statuses == {"ok", "cancelled"}
    assert int(made) == len(log.read())
    answered = len(log.read(status="ok"))
    assert f"'ok': {answered}" in counts
    assert f"{answered:,} of 540 calls were answered and are in the run log; run the cell again" in output
    assert re.fullmatch(rf"540 runs: {answered:,} done, {int(made) - answered} cancelled\n", errors), "one line"
    assert answered <= len(sent(gateway)) <= int(made)  # a call that is cancelled on its way may not have arrived
    gateway.script([])
    paid, before = len(completed(log)), len(gateway.requests())
    result = compare(**question(Client(gateway.url, log=log), 60))
    assert len(sent(gateway, before)) == 540 - paid
    assert result.missing == 0


def interrupt_when(condition: Callable[[], bool]) -> threading.Thread:
    """Presses the interrupt key once in this process's main thread, as soon as `condition` holds."""

    def watch() -> None:
        end = time.monotonic() + 60
        while not condition() and time.monotonic() < end:
            time.sleep(0.01)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    watcher = threading.Thread(target=watch)
    watcher.start()
    return watcher


def test_an_interrupt_stops_every_open_call(gateway: LocalGateway, client: Client, log: RunLog) -> None:
    """Every connection is closed, every open call recorded as cancelled, and the old interrupt handler is back."""
    gateway.script([{"first_text_ms": 60_000}])
    before = signal.getsignal(signal.SIGINT)
    watcher = interrupt_when(lambda: len(sent(gateway)) == 9)
    with pytest.raises(ComparisonInterrupted) as stop:
        compare(**question(client, 1))
    watcher.join()
    assert signal.getsignal(signal.SIGINT) is before
    gateway.wait_for(lambda calls: sum(one["disconnected_at"] is not None for one in calls) == 9, 20)
    assert [run.status for run in stop.value.comparison.runs] == ["cancelled"] * 9 == [run.status for run in log.read()]
    assert stop.value.comparison.progress.cancelled == 9


def test_a_second_interrupt_leaves_at_once(gateway: LocalGateway, client: Client) -> None:
    """Where the first one cannot end the calls, since a view holds the loop up, the second does not wait for them."""
    released, begun = threading.Event(), threading.Event()

    def holds_up(run: Run, pieces: list[Any]) -> None:
        begun.set()
        released.wait(60)

    def counted() -> int:
        return getattr(getattr(signal.getsignal(signal.SIGINT), "__self__", None), "count", 0)

    first = interrupt_when(begun.is_set)
    second = interrupt_when(lambda: counted() == 1)
    try:
        with pytest.raises(ComparisonInterrupted) as stop:
            compare(**question(client, 1), live=holds_up)
        second.join(5)
        assert not second.is_alive(), "it came from the second, not from patience"
        assert stop.value.comparison.missing == 9
    finally:
        released.set()
        first.join()
        second.join()


def test_a_comparison_returns_before_its_costs(gateway: LocalGateway, client: Client, log: RunLog) -> None:
    """It says how many costs are awaited; waiting for them can be interrupted, and nothing that is there is lost."""
    gateway.script([{"log_cost": 1.0, "log_delay_ms": 60_000}])
    comparison = compare(**question(client, 1))
    assert comparison.costs_awaited == 9
    assert "9 costs are still awaited" in repr(comparison)
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        comparison.wait_for_costs(30)
    assert comparison.frame["status"].eq("ok").all()


def test_late_costs_arrive_in_the_frame(gateway: LocalGateway, client: Client, log: RunLog) -> None:
    """What the gateway writes after the comparison has returned is in its frame and in the run log."""
    gateway.script([{"log_cost": 1.0, "log_delay_ms": 1500}])
    comparison = compare(**question(client, 1))
    assert comparison.frame["cost_usd"].isna().all()
    assert comparison.wait_for_costs(20) == 0
    assert comparison.frame["cost_usd"].eq(1.0).all()
    assert log.frame(status="ok")["cost_usd"].eq(1.0).all()
    assert "awaited" not in repr(comparison)


def test_an_interrupt_while_answers_are_judged(gateway: LocalGateway, client: Client) -> None:
    """A judge that takes long can be interrupted too; the answers and the scores of other judges are kept."""

    def slow(run: Run) -> float:
        signal.raise_signal(signal.SIGINT)
        time.sleep(0.5)  # the waiting thread looks sooner
        return 1.0

    with pytest.raises(ComparisonInterrupted) as stop:
        compare(**question(client, 1), score={"quick": lambda run: 2, "slow": slow})
    frame = stop.value.comparison.frame
    assert frame["status"].eq("ok").all()
    assert frame["score_quick"].eq(2).all()
    assert frame["score_slow_error"].eq("not judged: interrupted").any()


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
            with local_gateway(speed=20, port=port) as second:
                result = job.result(120)
                again = {one["headers"].get("x-request-id") for one in second.requests()}
    assert result.missing == 0
    # Calls that were under way when the gateway died are errors: they may have been paid for, and are not sent a second
    # time unasked. 48 are open at once, and what takes the place of the first that break may still reach its sockets.
    lost = [run for run in result.runs if run.status != "ok"]
    assert len(lost) <= 2 * 48
    assert all(run.attempts[-1].taken for run in lost)
    assert again.isdisjoint(run.request_id for run in lost)
    assert not again.isdisjoint(run.request_id for run in result.runs if run.status == "ok")
    assert set(result.notes) <= {TAKEN}
