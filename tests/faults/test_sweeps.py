"""The ground gives way in the middle of a comparison: no answer is lost, none is paid for twice, and it is told."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bifrost_nb import Client, LocalGateway, RunLog, local_gateway
from bifrost_nb._client.call_notes import TAKEN
from bifrost_nb._compare.compare import compare
from bifrost_nb._runs.log.log import LogWarning

from .conftest import nothing_left

SIZE = 60
ROOT = Path(__file__).parents[2]


def question(client: Client, size: int = SIZE, **more: Any) -> dict[str, Any]:
    inputs = {"n": [f"topic {number}" for number in range(size)]}
    asked = {"deployments": ["azure/fast"], "prompt": "About {{n}}.", "inputs": inputs, "max_tokens": 4}
    return {**asked, "client": client, "concurrency": 8, **more}


def at_run(count: int, act: Callable[[], object]) -> Callable[[Any, list[Any]], None]:
    """A listener that acts once, when so many runs have ended."""
    ended: set[str] = set()

    def live(run: Any, pieces: list[Any]) -> None:
        if run.status is not None and run.run_id not in ended:
            ended.add(run.run_id)
            if len(ended) == count:
                act()

    return live


def sent(gateway: LocalGateway, start: int = 0) -> int:
    return sum(one["path"].endswith("completions") for one in gateway.requests(start))


def cells(log: RunLog) -> Counter[str]:
    return Counter(str(run.tags["cell"]) for run in log.read(status="ok"))


def assert_resumes(gateway: LocalGateway, log: RunLog) -> None:
    """What the log has is not sent again, and all else exactly once."""
    recorded = cells(log)
    assert set(recorded.values()) <= {1}
    before = len(gateway.requests())
    result = compare(**question(Client(gateway.url, log=log)))
    assert (result.missing, result.progress.reused) == (0, len(recorded))
    assert sent(gateway, before) == SIZE - len(recorded)
    assert set(cells(log).values()) == {1}
    assert len(cells(log)) == SIZE


@pytest.mark.usefixtures("_warm")
def test_the_log_folder_is_deleted(tmp_path: Path) -> None:
    """Deleted with all that was in it: every answer is in the result, and each later one in a new log."""
    with nothing_left(), local_gateway(speed=20) as gateway:
        log = RunLog(tmp_path / "folder" / "runs.jsonl")
        client = Client(gateway.url, log=log)
        result = compare(**question(client, live=at_run(20, lambda: shutil.rmtree(tmp_path / "folder"))))
        assert result.frame["status"].eq("ok").all()
        assert (result.missing, result.notes, sent(gateway)) == (0, [], SIZE)
        assert SIZE - 20 <= sum(cells(log).values()) < SIZE
        assert_resumes(gateway, log)
        del log, client, result


CHILD = """
import json, os, resource, sys, tempfile
from pathlib import Path
from bifrost_nb import Client, RunLog
from bifrost_nb._compare.compare import compare
from tests.faults.test_sweeps import at_run, question

url, path, how = sys.argv[1:]
folder = Path(path).parent
with tempfile.TemporaryDirectory() as elsewhere:  # loads what is loaded late, while it may be read
    compare(**question(Client(url, log=RunLog(Path(elsewhere) / "runs.jsonl")), 2))

def close():
    Path(path).unlink()
    folder.chmod(0o555)

if how == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    act = lambda: None
else:
    act = close
    if os.geteuid() == 0:  # who may write everywhere
        os.chown(folder, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
result = compare(**question(Client(url, log=RunLog(path)), live=at_run(20, act)))
print(json.dumps([result.missing, result.frame["status"].value_counts().to_dict(), result.notes]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither limit nor permission of this kind")
@pytest.mark.parametrize(
    ("how", "said"), [("full", "File too large. Free some space"), ("closed", "Permission denied")]
)
def test_the_log_cannot_be_written_any_more(gateway: LocalGateway, how: str, said: str) -> None:
    """A full disk, a folder made read-only: one note, every answer in the result, what was recorded is whole."""
    with tempfile.TemporaryDirectory() as folder:  # not tmp_path, which is inside a folder that is closed to others
        Path(folder).chmod(0o755)
        path = Path(folder) / "log" / "runs.jsonl"
        path.parent.mkdir()
        command = [sys.executable, "-c", CHILD, gateway.url, str(path), how]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        missing, statuses, notes = json.loads(done.stdout)
        assert (missing, statuses) == (0, {"ok": SIZE})
        assert [said in note for note in notes] == [True], notes
        assert sent(gateway) == SIZE + 2
        path.parent.chmod(0o755)
        log = RunLog(path)
        with pytest.warns(LogWarning) if how == "full" else contextlib.nullcontext():  # the line that fitted in part
            recorded = len(cells(log))
        assert 0 < recorded < SIZE if how == "full" else recorded == 0
        assert_resumes(gateway, log)


@pytest.mark.usefixtures("_warm")
def test_the_gateway_is_killed_and_restarted_twice(log: RunLog) -> None:
    """SIGKILL, back at the same address, and again: every cell ends, answered ones are kept, nothing is left behind."""
    with nothing_left():
        first = local_gateway(speed=20)
        port = int(first.url.rsplit(":", 1)[1])
        running = [first]
        lives: list[threading.Thread] = []

        def restart() -> None:
            def again() -> None:  # not on the private loop, which has a sweep to go on with
                os.kill(running[-1].pid, signal.SIGKILL)
                running[-1].stop()
                running.append(local_gateway(speed=20, port=port))

            lives.append(threading.Thread(target=again))
            lives[-1].start()

        listeners = [at_run(20, restart), at_run(60, restart)]
        client = Client(first.url, log=log)
        try:
            asked = question(client, 120, live=lambda run, pieces: [each(run, pieces) for each in listeners])
            result = compare(**asked)
            for thread in lives:
                thread.join(60)
            assert len(running) == 3
            assert (result.missing, set(result.notes) - {TAKEN}) == (0, set())  # what was under way may be billed
            failed = [run for run in result.runs if run.status != "ok"]
            assert all(run.attempts[-1].taken for run in failed), "only what had reached it when it died may fail"
            lost = len(failed)
            assert lost <= 2 * 2 * 8, "of each lane a call, and one sent on a connection that the kernel closes last"
            answered = cells(log)
            assert set(answered.values()) == {1}
            assert len(answered) == 120 - lost
            rest = compare(**{**asked, "live": None})
            assert (rest.missing, rest.progress.reused, rest.progress.done) == (0, 120 - lost, lost)
        finally:
            for one in running:
                one.stop()
        del client, result, rest
