"""Asking for the end of a long log gives what reading all of it would give, and reads the end."""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bifrost_nb import LogError, Run, RunLog
from bifrost_nb._runs.log.blocks import blocks, newlines_before
from bifrost_nb._runs.log.codec import encode, encode_update
from bifrost_nb._runs.log.filters import selection
from bifrost_nb._runs.log.log import LogWarning
from bifrost_nb._runs.log.reader import LINE, merge
from bifrost_nb._runs.log.seek import since_start, tail_starts
from tests.thorough import some_of

START = datetime(2026, 1, 1, tzinfo=UTC)
COUNT = 30_000


def lines(first: int, count: int, start: datetime, minutes: float = 1.0) -> list[bytes]:
    """Runs a minute apart, each 100th line with a later fact about a run of a while before."""
    template = encode(
        Run(
            run_id="ID" * 8, started_at=datetime(2000, 1, 1, tzinfo=UTC), status="ok", total_ms=5000.0,
            prompt="p" * 100,
            response="größer " * 40, requested_provider="azure", requested_model="MODELMODEL",
        )
    )  # fmt: skip
    made = []
    for number in range(first, first + count):
        moment = start + timedelta(minutes=minutes * (number - first))
        line = template.replace(b"ID" * 8, b"%016d" % number)
        line = line.replace(b"2000-01-01T00:00:00", moment.isoformat()[:19].encode())
        made.append(line.replace(b"MODELMODEL", b"rare" if number % 5000 == 7 else b"usual"))
        if number % 100 == 99:
            made.append(encode_update(f"{number - 40:016d}", {"rating": f"r{number}"}))
    return made


@pytest.fixture(scope="module")
def long_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some 30 MB, with a damaged line near the end and an older log joined on behind."""
    path = tmp_path_factory.mktemp("long") / "runs.jsonl"
    made = lines(0, COUNT, START)
    made.insert(len(made) - 20, b'{"run_id": "cut o\n')
    path.write_bytes(b"".join(made + lines(COUNT, 200, START - timedelta(days=300))))
    return path


def whole(path: Path, **filters: Any) -> Any:
    """What reading all of it gives."""
    return selection(**filters).apply(merge(blocks(path))[0]).drop_columns([LINE])


ASKED: list[dict[str, Any]] = [
    {"limit": 1},
    {"limit": 50},
    {"limit": np.int64(300)},
    {"limit": 2, "deployment": "azure/rare"},
    {"limit": 0},
    {"since": START + timedelta(minutes=COUNT - 100)},
    {"since": START + timedelta(minutes=COUNT // 2), "limit": 7},
    {"since": START + timedelta(minutes=COUNT // 3), "until": START + timedelta(minutes=COUNT // 2)},
    {"since": START - timedelta(days=1)},
    {"since": START + timedelta(days=9_000)},
]
ASKED_OF_ALL: list[dict[str, Any]] = [{"limit": 50, "deployment": "azure/rare"}, {"limit": 50, "status": "error"}]
"""So few of them are there that all of the log is read, as for an earlier time."""


@pytest.mark.filterwarnings("ignore:.*lines were skipped:bifrost_nb._runs.log.log.LogWarning")
@pytest.mark.parametrize("filters", some_of([*ASKED, *ASKED_OF_ALL], 4), ids=str)
def test_the_end_is_what_all_of_it_would_give(long_log: Path, filters: dict[str, Any]) -> None:
    """The same runs in the same order with their newest facts, as a frame and as objects."""
    expected = whole(long_log, **filters)
    log = RunLog(long_log)
    assert log._table_from(**filters)[0].drop_columns([LINE]).to_pylist() == expected.to_pylist()
    if len(expected) < 1000:
        assert [run.run_id for run in log.read(**filters)] == expected["run_id"].to_pylist()


def test_a_damaged_line_is_named_by_its_number_in_the_file(long_log: Path) -> None:
    """Whether all of the file was read or its end."""
    number = 1 + next(i for i, line in enumerate(long_log.read_bytes().split(b"\n")) if line.endswith(b"cut o"))
    for filters in ({}, {"limit": 300}):
        with pytest.warns(LogWarning, match=rf"1 cut off or damaged \(line {number}\)"):
            RunLog(long_log).frame(**filters)  # type: ignore[arg-type]


def test_little_is_read(long_log: Path) -> None:
    """Fifty runs are in the last few hundred kilobytes; a day is found to within a megabyte or two."""
    size = long_log.stat().st_size
    assert size > 20 << 20
    assert size - next(tail_starts(long_log)) < 200 << 10
    day = START + timedelta(minutes=COUNT) - timedelta(days=1)
    assert size - since_start(long_log, day) < 6 << 20
    assert since_start(long_log, START) == 0
    assert newlines_before(long_log, 1) == 1


@pytest.mark.parametrize("start", [0, 1, 5, 6, 7, 12, 13])
def test_blocks_begin_at_a_line(tmp_path: Path, start: int) -> None:
    """A place inside a line is the next line; the begin of a line is that line."""
    (tmp_path / "x").write_bytes(b"{123}\n{456}\n")
    begin = {0: 0, 1: 6, 5: 6, 6: 6, 7: 12, 12: 12, 13: 12}[start]
    assert b"".join(block.data for block in blocks(tmp_path / "x", start=start)) == b"{123}\n{456}\n"[begin:]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in the file system here")
def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A pipe, a device and a link to one: told at once, for writing and for reading."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/null")
    for path in (tmp_path / "pipe", tmp_path / "link", Path("/dev/zero")):
        log = RunLog(path)
        for act in (lambda log=log: log.append(Run()), lambda log=log: log.update("x", rating="y"), log.frame):
            with pytest.raises(LogError, match="no file but a pipe"):
                act()
        with pytest.raises(LogError, match="no file but a pipe"):
            log.frame(limit=1, since="1d")


@pytest.mark.skipif(os.name == "nt", reason="flock is not on Windows")
def test_an_offer_waits_for_nobody_and_nothing_is_lost(tmp_path: Path) -> None:
    """While another holds the file, lines go to the log's own thread, which keeps their order."""
    import fcntl

    log = RunLog(tmp_path / "x")
    log.append(Run(run_id="0"))
    handle = os.open(tmp_path / "x", os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX)
    began = time.monotonic()
    for number in range(5):
        log.update_soon({"0": {"rating": f"r{number}"}})
    assert time.monotonic() - began < 0.5
    assert len((tmp_path / "x").read_bytes().splitlines()) == 1
    threading.Timer(0.2, lambda: os.close(handle)).start()
    assert log._appender is not None
    log._appender.later(encode(Run(run_id="1"))).result(timeout=5)
    assert [(run.run_id, run.rating) for run in log.read()] == [("0", "r4"), ("1", None)]
