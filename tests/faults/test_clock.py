"""The wall clock may be set while calls run: durations, limits, pauses and pace go by the monotonic clock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bifrost_nb as bf
from bifrost_nb import LocalGateway

HERE = Path(__file__).parent
PROGRAM = """
import json, sys, time, warnings
import bifrost_nb as bf

leaps = {round(time.time() / 1e6) for _ in range(8)}
client = bf.Client(sys.argv[1], log=bf.RunLog(sys.argv[2]))
facts = {"leaps": len(leaps)}

def timed(name, call):
    began = time.perf_counter()
    try:
        result = call()
    except bf.BifrostError as error:
        result = error.run
        facts[name + "_error"] = type(error).__name__
    facts[name + "_s"] = time.perf_counter() - began
    return result

def streamed(**options):
    with client.stream("azure/fast", "stream this", **options) as stream:
        list(stream)
    return stream.run

streamed()  # loads what is loaded late
run = timed("stream", streamed)
facts["ttft_ms"], facts["total_ms"], facts["gaps"] = run.ttft_ms, run.total_ms, [run.gap_p50_ms, run.gap_max_ms]
facts["times"] = run.chunk_times_ms
client.wait_costs([run], 10)
facts["cost_source"] = run.cost_source
run = timed("limit", lambda: client.complete("azure/fast", "be silent", timeout=0.5))
facts["limit_status"], facts["limit_ms"] = run.status, run.total_ms
run = timed("retry", lambda: client.complete("azure/fast", "refuse once"))
facts["retry_wait_ms"], facts["retry_attempts"] = run.attempts[0].wait_ms, len(run.attempts)
result = timed("sweep", lambda: bf.compare(
    ["azure/fast"], "cell {{n}}", inputs={"n": [1, 2, 3, 4]}, requests_per_minute=240, client=client))
facts["sweep"] = [result.missing, result.notes, result.frame["total_ms"].between(0, 20_000).all().item()]
facts["log"] = [[one.status, one.total_ms] for one in client.log.read()]
print(json.dumps(facts))
"""


@pytest.fixture(scope="module")
def facts(shared_gateway: LocalGateway, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process measured whose time of day leaps by years at every look."""
    gateway = shared_gateway
    gateway.reset()
    gateway.script(
        [
            {"prompt": "stream this", "first_text_ms": 200, "gap_ms": 30, "chunks": 11, "log_cost": 0.5},
            {"prompt": "be silent", "silent": True},
            {"prompt": "refuse once", "times": 1, "status": 429, "headers": {"retry-after": "1"}},
        ]
    )
    log = tmp_path_factory.mktemp("clock") / "runs.jsonl"
    path = os.pathsep.join([str(HERE / "jumping"), str(HERE.parents[1])])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, gateway.url, str(log)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 0, done.stderr
    gateway.script([])
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["leaps"] > 3, "the clock of the child did not leap"
    return found


def test_durations_are_real(facts: dict[str, Any]) -> None:
    """Time to first text, total and gaps are those of the server, whatever the time of day did."""
    assert 200 <= facts["ttft_ms"] <= facts["total_ms"]
    assert 200 + 10 * 30 - 30 <= facts["total_ms"] <= 1000 * facts["stream_s"]
    assert 0 <= facts["gaps"][0] <= facts["gaps"][1] <= facts["total_ms"]
    assert facts["times"] == sorted(facts["times"])
    assert facts["cost_source"] == "log"


def test_limits_hold(facts: dict[str, Any]) -> None:
    """A time limit neither ends a call early nor lets it hang."""
    assert (facts["limit_error"], facts["limit_status"]) == ("TimedOut", "timeout")
    assert 500 <= facts["limit_ms"] <= 1000 * facts["limit_s"]
    assert facts["limit_s"] < 20


def test_pauses_and_pace_hold(facts: dict[str, Any]) -> None:
    """Retry-After is waited for, and 240 a minute are four a second."""
    assert facts["retry_attempts"] == 2
    assert 1000 <= facts["retry_wait_ms"] < 2000
    assert 1.0 <= facts["retry_s"] < 30
    assert facts["sweep"] == [0, [], True]
    assert 3 * 0.25 <= facts["sweep_s"] < 30


def test_the_log_is_whole(facts: dict[str, Any]) -> None:
    """Every run is recorded once, with durations that can be."""
    assert [status for status, _ in facts["log"]] == ["ok", "ok", "timeout", *["ok"] * 5]
    assert all(0 < total_ms < 60_000 for _, total_ms in facts["log"])


def by_an_sdk(client: bf.Client) -> None:
    with bf.sdk("openai", client=client) as sdk:
        sdk.completions.create(model="azure/large", prompt="beside")


WRITES: dict[str, Callable[[bf.Client], Any]] = {
    "a call": lambda client: client.complete("azure/large", "beside"),
    "a rating": lambda client: client.log.update("x", rating="up"),
    "a comparison": lambda client: bf.compare(["azure/large"], "{{n}}", inputs={"n": [1, 2]}, client=client),
    "another SDK": by_an_sdk,
}


@pytest.mark.skipif(os.name == "nt", reason="flock is not on Windows")
@pytest.mark.parametrize("what", WRITES)
def test_a_wait_for_the_log_is_in_no_time(what: str, gateway: LocalGateway, tmp_path: Path) -> None:
    """While another process holds the log for a second and a half, what is streamed beside that is timed as it came."""
    import fcntl

    slow = {"deployment": "azure/fast", "first_text_ms": 100, "gap_ms": 50, "chunks": 20}
    gateway.script([slow, {"text": "Soon.", "first_text_ms": 5}])
    client = bf.Client(gateway.url, log=bf.RunLog(tmp_path / "runs.jsonl"))
    client.complete("azure/large", "first")
    held = os.open(tmp_path / "runs.jsonl", os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)
    beside = threading.Thread(target=lambda: WRITES[what](client))
    with client.stream("azure/fast", "timed") as stream:
        beside.start()
        free = threading.Timer(1.5, lambda: os.close(held))
        free.start()
        list(stream)
    for thread in (beside, free):
        thread.join()
    run = stream.run
    assert run.status == "ok"
    assert max(run.ttft_ms or 9e9, run.gap_max_ms or 9e9) < 1000
