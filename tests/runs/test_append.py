"""Appending: durable against killed writers, full disks, deleted files, forks and stopped processes."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bifrost_nb import LogError
from bifrost_nb._runs.log.blocks import blocks
from bifrost_nb._runs.log.log import LogWarning, RunLog
from bifrost_nb._runs.run import Run

# Says each run id on a line of its own once `append` has returned.
WRITER = """
import sys
from bifrost_nb._runs.log.log import RunLog
from bifrost_nb._runs.run import Run
log, name, count = RunLog(sys.argv[1]), sys.argv[2], int(sys.argv[3])
sys.stdin.readline()
for number in range(count):
    run = Run(run_id=f"{name}-{number}", response="x" * 60_000)
    log.append(run)
    print(run.run_id, flush=True)
"""


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.filterwarnings("ignore::bifrost_nb._runs.log.log.LogWarning")
def test_killed_writers_lose_no_finished_run(log: RunLog) -> None:
    """Four processes append 1,000 runs, two are killed with SIGKILL in the middle: each run whose append had returned
    is in the log exactly once, whole, and the other two are not disturbed."""
    assert log.path is not None
    writers = [python(WRITER, log.path, name, 250) for name in "abcd"]
    finished: list[str] = []
    middle = threading.Event()

    def listen(writer: subprocess.Popen[str]) -> None:
        assert writer.stdout is not None
        for line in writer.stdout:
            finished.append(line.strip())
            if len(finished) >= 300:
                middle.set()

    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.close()
    with ThreadPoolExecutor(4) as listeners:
        listening = [listeners.submit(listen, writer) for writer in writers]
        assert middle.wait(60)
        for writer in writers[:2]:
            writer.kill()
        for future in listening:
            future.result()
    codes = []
    for writer in writers:
        codes.append(writer.wait())
        writer.stdout.close()  # type: ignore[union-attr]
    assert codes[2:] == [0, 0]
    assert -signal.SIGKILL in codes[:2]

    log.append(Run(run_id="after"))
    frame = log.frame()
    assert frame["run_id"].is_unique
    assert set(finished) <= set(frame["run_id"])
    assert len(set(finished)) >= 500
    assert "after" in set(frame["run_id"])
    assert (frame["response"].dropna().str.len() == 60_000).all()


@pytest.mark.parametrize("torn", [b'{"schema":1,"run_id":"torn","resp', b"{", b"\xff\xfe", b"x" * 100_000])
def test_a_torn_line_does_not_swallow_the_next(log: RunLog, torn: bytes) -> None:
    """After half a line, by whoever it was written, the next append starts a line of its own."""
    assert log.path is not None
    log.append(Run(run_id="a"))
    with log.path.open("ab") as file:
        file.write(torn)
    log.append(Run(run_id="b"))
    log.append(Run(run_id="c"))
    with pytest.warns(LogWarning, match="1 cut off or damaged"):
        assert list(log.frame()["run_id"]) == ["a", "b", "c"]


def test_a_whole_last_line_without_its_newline_counts(log: RunLog) -> None:
    """A writer killed between the last brace and the newline has finished its run."""
    assert log.path is not None
    log.append(Run(run_id="a"))
    log.path.write_bytes(log.path.read_bytes().rstrip(b"\n"))
    assert list(log.frame()["run_id"]) == ["a"]
    log.append(Run(run_id="b"))
    assert list(log.frame()["run_id"]) == ["a", "b"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on file sizes to act as a full disk")
def test_a_full_disk_is_told_and_costs_no_other_run(tmp_path: Path) -> None:
    """A line that fits only in part raises LogError with path and advice; runs after it are whole again."""
    path = tmp_path / "runs.jsonl"
    code = """
import resource, sys
from bifrost_nb import LogError
from bifrost_nb._runs.log.log import RunLog
from bifrost_nb._runs.run import Run
log = RunLog(sys.argv[1])
log.append(Run(run_id="a"))
size = log.path.stat().st_size
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, unlimited[1]))
for name in "bc":
    try:
        log.append(Run(run_id=name))
    except LogError as error:
        print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
log.append(Run(run_id="d"))
"""
    answer = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    told = answer.stdout.splitlines()
    assert len(told) == 2
    for message in told:
        assert message.startswith(f"The run log {path} cannot be written: File too large.")
        assert message.endswith("Free some space, or set BIFROST_RUN_LOG to a file on another disk.")
    with pytest.warns(LogWarning, match=r"1 cut off or damaged \(line 2\)"):
        assert list(RunLog(path).frame()["run_id"]) == ["a", "d"]


def test_a_log_that_cannot_be_written_is_told_and_works_again(tmp_path: Path) -> None:
    """A folder in the way, then gone: LogError first, recorded after, by the same log."""
    log = RunLog(tmp_path / "runs.jsonl")
    assert log.path is not None
    log.path.mkdir()
    for method in (lambda: log.append(Run()), lambda: log.update("a", rating="good")):
        with pytest.raises(LogError, match=r"cannot be written: Is a directory. Set BIFROST_RUN_LOG to a file"):
            method()
    with pytest.raises(LogError, match="cannot be read: Is a directory"):
        log.frame()
    log.path.rmdir()
    log.append(Run())
    assert len(log.frame()) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="a folder of Windows has no such permission")
def test_a_read_only_folder_is_told() -> None:
    """Permission denied is a LogError; for the superuser, who may write everywhere, as somebody else."""
    code = """
import os, sys
from bifrost_nb import LogError
from bifrost_nb._runs.log.log import RunLog
from bifrost_nb._runs.run import Run
if os.geteuid() == 0:
    os.setuid(65534)
try:
    RunLog(sys.argv[1]).append(Run())
except LogError as error:
    print(error)
"""
    with tempfile.TemporaryDirectory() as folder:  # not tmp_path, which is inside a folder that is closed to others
        Path(folder).chmod(0o555)
        path = Path(folder) / "runs.jsonl"
        answer = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    told = f"The run log {path} cannot be written: Permission denied. Set BIFROST_RUN_LOG to a file"
    assert answer.stdout.startswith(told)


def test_a_deleted_log_is_made_again(tmp_path: Path) -> None:
    """Whether the file or its whole folder is deleted, or the folder moved away, no later run is lost."""
    log = RunLog(tmp_path / "folder" / "runs.jsonl")
    assert log.path is not None
    log.append(Run(run_id="a"))
    log.path.unlink()
    log.append(Run(run_id="b"))
    assert list(log.frame()["run_id"]) == ["b"]
    shutil.rmtree(log.path.parent)
    log.append(Run(run_id="c"))
    assert list(log.frame()["run_id"]) == ["c"]
    log.path.parent.rename(tmp_path / "moved")
    for number in range(2000):
        log.append(Run(run_id=f"d{number}"))
        if log.path.exists():
            break
        threading.Event().wait(0.001)
    moved = RunLog(tmp_path / "moved" / "runs.jsonl")
    assert {*moved.frame()["run_id"], *log.frame()["run_id"]} == {"c", *(f"d{n}" for n in range(number + 1))}
    assert len(log.frame()) == 1


def test_many_threads_share_one_log(log: RunLog) -> None:
    """Sixteen threads on one RunLog: every run once, whole."""
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: log.append(Run(run_id=str(number), response="é" * 5000)), range(800)))
    frame = log.frame()
    assert sorted(frame["run_id"], key=int) == [str(number) for number in range(800)]
    assert (frame["response"].str.len() == 5000).all()


def _without_responses(text: str, what: str) -> str | None:
    return None if what == "response" else text


def test_a_pickle_is_the_same_log(log: RunLog) -> None:
    """In a worker it is the log at that path, which it opens anew, and its `redact` hook goes with it."""
    log.append(Run(run_id="first", response="kept"))
    hooked = RunLog(log.path, redact=_without_responses)
    for number, back in enumerate((pickle.loads(pickle.dumps(log)), pickle.loads(pickle.dumps(hooked)))):
        back.append(Run(run_id=str(number), response="said"))
    assert pickle.loads(pickle.dumps(RunLog(None))).off
    assert {run.run_id: run.response for run in log.read()} == {"first": "kept", "0": "said", "1": None}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_goes_on_with_the_log(log: RunLog) -> None:
    """Forked while other threads append, the child appends too; neither waits for the other's lock for ever."""
    code = """
import os, sys, threading
from bifrost_nb._runs.log.log import RunLog
from bifrost_nb._runs.run import Run
log = RunLog(sys.argv[1])
def work(t):
    for n in range(500):
        log.append(Run(run_id=f"{t}-{n}"))
threads = [threading.Thread(target=work, args=(t,)) for t in range(3)]
for thread in threads:
    thread.start()
children = []
for c in range(8):
    pid = os.fork()
    if pid == 0:
        for n in range(20):
            log.append(Run(run_id=f"child{c}-{n}"))
        os._exit(0)
    children.append(pid)
for thread in threads:
    thread.join()
assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 8
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(log.path)], check=True, timeout=60)
    expected = {f"{t}-{n}" for t in range(3) for n in range(500)} | {
        f"child{c}-{n}" for c in range(8) for n in range(20)
    }
    frame = log.frame()
    assert len(frame) == len(expected)
    assert set(frame["run_id"]) == expected


@pytest.mark.skipif(sys.platform == "win32", reason="uses fcntl to hold the lock")
def test_a_stopped_lock_holder_stops_nobody(log: RunLog) -> None:
    """Another process holds the lock and never lets go: the append is done all the same, after a bounded wait."""
    log.append(Run(run_id="a"))
    code = """
import fcntl, sys
file = open(sys.argv[1])
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.readline()
"""
    holder = python(code, log.path)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        appending = threading.Thread(target=log.append, args=(Run(run_id="b"),), daemon=True)
        appending.start()
        appending.join(10)
        assert not appending.is_alive()
    finally:
        holder.communicate("\n")
    assert list(log.frame()["run_id"]) == ["a", "b"]


def test_logs_leave_no_file_open(tmp_path: Path) -> None:
    """A thousand logs, each used and dropped, leave no more open files than before."""
    folder = Path("/dev/fd")
    before = len(list(folder.iterdir()))
    for number in range(1000):
        RunLog(tmp_path / f"{number % 7}.jsonl").append(Run())
    assert len(list(folder.iterdir())) <= before  # fewer: what an earlier test left may be collected meanwhile


@pytest.mark.parametrize("block_bytes", [1, 2, 3, 7, 64, 10_000])
@pytest.mark.parametrize("content", [b"", b"\n", b"a", b"a\n", b"a\n\nbb\nccc", b"aaaaaaaaaaaa\nb\n", b"\n\n\n"])
def test_blocks_are_the_file(tmp_path: Path, content: bytes, block_bytes: int) -> None:
    """Whatever the block size, blocks are the file's bytes, hold whole lines, and count them right."""
    path = tmp_path / "lines"
    path.write_bytes(content)
    found = list(blocks(path, block_bytes))
    assert b"".join(block.data for block in found) == content
    number = 1
    for block in found:
        assert block.first == number
        assert block.newlines == block.data.count(b"\n")
        number += block.newlines
    assert all(block.data.endswith(b"\n") for block in found[:-1])


def test_an_endless_line_is_not_held_in_memory(tmp_path: Path) -> None:
    """A line far above the limit is skipped in bounded memory, and what follows it is read."""
    path = tmp_path / "runs.jsonl"
    with path.open("wb") as file:
        file.write(b'{"run_id":"a"}\n{"run_id":"long","response":"')
        for _ in range(300):
            file.write(b"x" * (1 << 20))
        file.write(b'"}\n{"run_id":"b"}\n')
    code = """
import resource, sys, warnings
from pathlib import Path
from bifrost_nb._runs.log.blocks import blocks
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
ends = [(block.data[:20], block.data[-20:]) for block in blocks(Path(sys.argv[1]))]
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
assert ends[0][0].startswith(b'{"run_id":"a"}'), ends
assert ends[-1][1].endswith(b'{"run_id":"b"}\\n'), ends
"""
    answer = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert int(answer.stdout) < 150
    with pytest.warns(LogWarning, match=r"1 longer than 32 MiB \(line 2\)"):
        assert list(RunLog(path).frame()["run_id"]) == ["a", "b"]


def test_zeros_that_a_crash_left_are_damage(log: RunLog) -> None:
    """A file system that lost power leaves them, short as they are, between whole lines."""
    log.append(Run(run_id="a"))
    with log.path.open("ab") as file:
        file.write(b"\0" * 50)
    log.append(Run(run_id="b"))
    with pytest.warns(LogWarning, match=r"skipped: 1 cut off or damaged \(line 2\)"):
        assert list(log.frame()["run_id"]) == ["a", "b"]


def test_records_that_share_a_line_are_all_read(log: RunLog) -> None:
    """A line end was lost, or zeros stand before a record: what was paid for is there, each with what is its own."""
    assert log.path is not None
    for name in "abcd":
        nested = {"schema": {"schema": 1}, "of": [{"schema": 1}]}  # an object in a record may begin as one does
        log.append(Run(run_id=name, status="ok", prompt='{"schema":1}', notes=[f"of {name}"], extra_fields=nested))
    log.update("a", rating="down")
    log.update("a", rating="up")
    a, b, c, d, down, up = log.path.read_bytes().splitlines()
    log.path.write_bytes(a + b + b"\n\0\0" + c + b"\n" + d[:-100] + down + up + b"\n" + b[:100] + d + b"\n")
    with pytest.warns(LogWarning, match=r"3 cut off or damaged \(line 2, 3, 4\)"):
        runs = log.read()
    assert [(run.run_id, run.notes) for run in runs] == [(name, [f"of {name}"]) for name in "abcd"]
    assert [run.rating for run in runs] == ["up", None, None, None]
    assert [run.run_id for run in log.read(run_id="b")] == ["b"]


def test_a_run_too_long_for_a_line_is_recorded_shortened(log: RunLog) -> None:
    """A run beyond the longest line keeps its facts and the beginning of its texts."""
    log.append(Run(run_id="a", response="é" * (20 << 20), prompt="p" * 100, texts=["x" * 100], cost_usd=0.5))
    (run,) = log.read()
    assert (run.run_id, run.prompt, run.cost_usd, run.texts) == ("a", "p" * 100, 0.5, [])
    assert run.response == "é" * (1 << 20) + "…"


@pytest.mark.skipif(sys.platform == "win32", reason="uses fcntl to ask for the lock")
def test_the_lock_is_free_after_each_append(log: RunLog) -> None:
    """Nobody has to wait for a log that is merely open."""
    import fcntl

    log.append(Run())
    assert log.path is not None
    with log.path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises if it is held
