"""Nothing is paid for twice: answers, grades, pairs and embeddings, after a kill, an interrupt, and with ``until=``."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bifrost_nb import Client, LocalGateway, RunLog, scorers
from bifrost_nb._compare.compare import compare
from bifrost_nb._compare.comparison import Comparison
from bifrost_nb._compare.interrupted import ComparisonInterrupted
from bifrost_nb._compare.judge_pairs import Judgement
from tests.thorough import thorough

A, B = "azure/gpt-35-turbo-instruct", "openai/gpt-3.5-turbo-instruct"
JUDGE = {"deployment": "openai/gpt-4o-mini", "concurrency": 3}
PROGRAM = """
import sys
from bifrost_nb import Client, RunLog
from tests.compare.test_paid_once import everything

url, path, mode = sys.argv[1:]
everything(Client(url, log=RunLog(path)), mode)
"""
INPUTS = {"plain": 15, "until": 40}
CALLS = {"plain": 15 * 2 * 3 + 15 * 2, "until": 40 * 2 * 3 + 40 * 2}
"""Two answers, two grades and two embeddings for each input, and its pair in both orders."""
RULES: list[dict[str, Any]] = [
    {"prompt": "<<<DATA first answer", "text": [json.dumps({"reason": "r", "better": "tie"})]},
    {"prompt": "<<<DATA answer", "text": [json.dumps({"reason": "r", "grade": "yes"})]},
]


def everything(client: Client, mode: str = "plain") -> tuple[Comparison, Judgement]:
    """Answers, a grade and an embedding for each, and a judge between them."""
    inputs = {"n": range(INPUTS[mode]), "expected": [f"text {n}" for n in range(INPUTS[mode])]}
    score = {
        "grade": scorers.rubric("Is it right?", judge=JUDGE),
        "near": scorers.similar("expected", deployment="openai/text-embedding-3-small"),
    }
    more: dict[str, Any] = {"until": "decided", "metric": "score_grade"} if mode == "until" else {}
    comparison = compare(
        [A, B], "About {{n}}!", inputs=inputs, client=client, stream=False, concurrency=3, score=score, **more
    )
    return comparison, comparison.judge("Which is better?", judge=JUDGE)


def posts(gateway: LocalGateway) -> list[str]:
    """What was sent and costs money."""
    return [str(one["path"]) + str(one["body"]) for one in gateway.requests() if one["method"] == "POST"]


def answered(log: RunLog) -> int:
    assert log.path is not None
    return log.path.read_bytes().count(b'"status":"ok"') if log.path.exists() else 0


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def check(gateway: LocalGateway, log: RunLog, mode: str = "plain") -> None:
    """The rest is sent and nothing else; what comes out of the log then is the same and costs nothing."""
    before, paid = len(posts(gateway)), len(log.read(status="ok"))
    assert 0 < paid < CALLS[mode]
    first = everything(Client(gateway.url, log=RunLog(log.path)), mode)
    assert first[0].wait_for_costs() == 0  # so that the log has them, also those of judges
    sent = posts(gateway)
    assert len(sent) - before == CALLS[mode] - paid
    assert len(set(sent)) == CALLS[mode]
    assert sum(count - 1 for count in Counter(sent).values()) <= 16, "only what was under way when it ended"
    again = everything(Client(gateway.url, log=RunLog(log.path)), mode)
    assert len(posts(gateway)) == len(sent)
    pd.testing.assert_frame_equal(again[0].frame, first[0].frame)
    pd.testing.assert_frame_equal(again[1].frame, first[1].frame)
    assert again[0].judging_cost_usd == pytest.approx(first[0].judging_cost_usd)
    assert first[0].frame[["score_grade", "score_near"]].notna().all(axis=None)


@pytest.mark.parametrize(("mode", "at"), [("plain", 70), *thorough(("until", 190))])
def test_after_a_kill(gateway: LocalGateway, log: RunLog, mode: str, at: int) -> None:
    """Killed among the embeddings, of the second batch with `until`: the next run sends what has no answer."""
    gateway.script(RULES)
    command = [sys.executable, "-c", PROGRAM, gateway.url, str(log.path), mode]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: answered(log) >= at or process.poll() is not None)
    finally:
        process.kill()
        process.wait()
    check(gateway, log, mode)


@pytest.mark.parametrize("at", [70, *thorough(40, 100)])
def test_after_the_interrupt_key(gateway: LocalGateway, log: RunLog, client: Client, at: int) -> None:
    """Interrupted among the grades, the embeddings or the pairs: what was answered is kept, the rest is sent."""
    gateway.script(RULES)
    main = threading.main_thread().ident or 0

    def watch() -> None:
        wait_for(lambda: answered(log) >= at)
        signal.pthread_kill(main, signal.SIGINT)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with pytest.raises(ComparisonInterrupted):
        everything(client)
    watcher.join()
    wait_for(lambda: all(run.cost_usd is not None for run in log.read(status="ok")))  # they come late, also now
    check(gateway, log)
