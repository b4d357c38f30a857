"""Two kernels with one comparison do not pay twice, whatever becomes of the one that began."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from bifrost_nb import Client, LocalGateway, RunLog, local_gateway, replay, scorers
from bifrost_nb._compare.compare import compare
from bifrost_nb._runs.log.claims import claimed

ROOT = Path(__file__).parents[2]
SIZE = 12
PROGRAM = """
import sys
import bifrost_nb as bf
url, path, deployments = sys.argv[1], sys.argv[2], sys.argv[3].split(",")
client = bf.Client(url, log=bf.RunLog(path), retries=0)
bf.compare(deployments[:1], "warm", client=bf.Client(url, log=bf.RunLog(None)), max_tokens=3)  # loads what is needed
print("ready", flush=True)
input()
inputs = {"i": [f"number {n}" for n in range(12)]}
try:
    done = bf.compare(deployments, "{{i}}", inputs=inputs, client=client, max_tokens=3, concurrency=2)
except KeyboardInterrupt as stop:
    done = stop.comparison
    print("interrupted", end=" ")
print(len(done), done.progress.reused)
"""


@pytest.fixture
def gateway() -> Iterator[LocalGateway]:
    """Each answer takes a while, so that two sweeps overlap."""
    with local_gateway(speed=0.25) as gateway:
        yield gateway


@contextlib.contextmanager
def kernel(gateway: LocalGateway, path: Path, deployments: str = "azure/fast") -> Iterator[subprocess.Popen[str]]:
    """A process that is about to run the comparison; a line on its stdin lets it go."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, gateway.url, str(path), deployments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", process.communicate()[1]
    process.stdin.write("\n")
    process.stdin.flush()


def until_it_waits(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    assert any("waiting for the answers" in line for line in process.stderr)


def ended(process: subprocess.Popen[str]) -> tuple[str, str]:
    out, told = process.communicate(timeout=60)
    return out.strip(), told


def sent(gateway: LocalGateway) -> Counter[tuple[str, str]]:
    asked = (one["body"] for one in gateway.requests() if one["path"].endswith("completions"))
    return Counter((str(body.get("model")), str(body["prompt"])) for body in asked if body["prompt"] != "warm")


def until(gateway: LocalGateway, count: int) -> None:
    end = time.monotonic() + 30
    while sent(gateway).total() < count:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_two_kernels_at_once(gateway: LocalGateway, tmp_path: Path) -> None:
    """Each call is made once; who comes second waits, says so, and has all answers, and only its own are added."""
    path = tmp_path / "runs.jsonl"
    with kernel(gateway, path) as one, kernel(gateway, path, "azure/fast,openai/gpt-3.5-turbo-instruct") as two:
        go(one)
        until(gateway, 1)
        go(two)
        assert ended(one)[0] == "12 0"
        out, told = ended(two)
    assert out == "24 12"
    # How many are left by then is a matter of time; the one that the gateway has begun is.
    assert re.search(rf"\d+ of these (calls are|call is) being made by process {one.pid}; waiting for the answer", told)
    assert set(sent(gateway).values()) == {1}
    assert sent(gateway).total() == 24
    assert [found.name for found in tmp_path.iterdir()] == ["runs.jsonl"], "a claim was left behind"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_the_kernel_that_began_is_gone(gateway: LocalGateway, tmp_path: Path) -> None:
    """After a kill -9 the other goes on at once, and sends what is not answered."""
    path = tmp_path / "runs.jsonl"
    with kernel(gateway, path) as one, kernel(gateway, path) as two:
        go(one)
        until(gateway, 4)
        go(two)
        until_it_waits(two)
        one.kill()
        one.wait(60)
        out, _ = ended(two)
    assert out.split()[0] == "12"
    assert sent(gateway).total() <= SIZE + 4, "what was in flight may be sent again, no more"
    assert {run.status for run in RunLog(path).read()} <= {"ok", "cancelled"}


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.thorough
def test_who_waits_can_be_interrupted(gateway: LocalGateway, tmp_path: Path) -> None:
    """The interrupt key ends the waiting, with what the log has by then; the other one's calls go on."""
    path = tmp_path / "runs.jsonl"
    with kernel(gateway, path) as one, kernel(gateway, path) as two:
        go(one)
        until(gateway, 1)
        go(two)
        until_it_waits(two)
        two.send_signal(signal.SIGINT)
        assert ended(two)[0].startswith("interrupted ")
        assert ended(one)[0] == "12 0"
    assert sent(gateway).total() == SIZE


def test_other_calls_do_not_wait(tmp_path: Path) -> None:
    """Only who would send the same is held up; what is released or left by a crash holds nobody."""
    log, told = tmp_path / "runs.jsonl", []  # type: ignore[var-annotated]
    with claimed(log, ["a", "b"], told.append) as waited, claimed(log, ["c"], told.append):
        assert not waited
    folder = tmp_path / "runs.jsonl.claims"
    folder.mkdir()
    (folder / "left.claim").write_text('{"host": "x", "process": 1, "cells": ["a"]}\n')
    (folder / "odd.claim").write_bytes(b"\xff{")
    with claimed(log, ["a"], told.append) as waited:
        assert not waited
    assert told == []
    assert list(tmp_path.iterdir()) == []


def test_a_claim_without_a_sign_of_life_expires(tmp_path: Path) -> None:
    """A process that was stopped still holds its lock; by the clock of who waits it has had its time."""
    log, told = tmp_path / "runs.jsonl", []  # type: ignore[var-annotated]
    with claimed(log, ["a"], told.append):
        began = time.monotonic()
        with claimed(log, ["a"], told.append, expiry_s=1.0) as waited:
            assert waited
        assert 1.0 <= time.monotonic() - began < 5.0  # dots come every five seconds
    assert told == [f"1 of these call is being made by process {os.getpid()}; waiting for the answers."]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes")
def test_beside_what_is_no_file_nothing_is_made(tmp_path: Path) -> None:
    """A pipe as log is refused when it is written; no claim is put beside it, nor where the folder is none."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("")
    for log in (tmp_path / "pipe", tmp_path / "file" / "runs.jsonl", None):
        with claimed(log, ["a"], print) as waited:
            assert not waited
            assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "pipe"]


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder in which nobody can make a file")
def test_a_folder_that_cannot_be_written_holds_nobody() -> None:
    """Where no claim can be made the calls are made all the same."""
    with claimed(Path("/proc/self/runs.jsonl"), ["a"], print) as waited:
        assert not waited


def test_threads_judges_and_replays_are_paid_once(tmp_path: Path) -> None:
    """Two threads of one process with the same judged comparison, then the same replay: every call is made once."""
    results = []
    with local_gateway(speed=10) as gateway:

        def ask() -> None:
            client = Client(gateway.url, log=RunLog(tmp_path / "runs.jsonl"), retries=0)
            inputs = {"i": [f"n {n}" for n in range(6)]}
            score = scorers.rubric("Is it short?", judge="openai/gpt-4o-mini")
            done = compare(["azure/fast"], "{{i}}", inputs=inputs, client=client, max_tokens=3, score=score)
            again = replay(done.frame, ["openai/gpt-3.5-turbo-instruct"], client=client)
            results.append((len(done), len(again.frame)))

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        bodies = [str(one["body"]) for one in gateway.requests() if one["path"].endswith("completions")]
    assert results == [(6, 6), (6, 6)]
    refused = [body for body in bodies if "response_format" in body]  # the first judge's call may be asked plainly
    assert set(Counter(bodies).values()) == {1}, refused
