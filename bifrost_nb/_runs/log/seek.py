"""Where to begin reading a long log, so that asking for its end does not cost as much as asking for all of it.

Lines stand in the order in which runs finished, so a run that started at some time or later stands behind every line of
a run that had finished by then. Clocks of several processes differ, and logs are joined: so samples are taken from the
left, and the place is searched before the first that is new enough: what was joined on behind it misleads nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from .codec import cell
from .reader import load

__all__ = ["since_start", "tail_starts"]

FIRST_TAIL_BYTES = 128 << 10
SHORT_BYTES = 4 << 20
"""A file that is read as quickly as it is searched."""
_SAMPLES = 64
_STEP_BYTES = 1 << 20
"""Nearer than this the place is not searched for."""
_CLOCKS = timedelta(hours=1)
"""By so much the clocks of two machines that share a log may differ."""
_SCAN_BYTES = 1 << 20
"""How far after a place a line that says when it finished is looked for."""


def tail_starts(path: Path, first: int = 0) -> Iterator[int]:
    """Positions to read the file from, each twice as far from its end as the one before; the last is `first`.

    A position may be inside a line. Together the readings take at most twice as long as the longest.
    """
    size = _size(path)
    length = FIRST_TAIL_BYTES
    while size - length > first:
        yield size - length
        length *= 2
    yield first


def since_start(path: Path, since: datetime) -> int:
    """A position, possibly inside a line, before which no run of the file started at `since` or later; 0 if unsure."""
    size = _size(path)
    if size <= SHORT_BYTES:
        return 0
    with path.open("rb") as file:
        low, high = 0, size
        for place in range(size // _SAMPLES, size, size // _SAMPLES):
            if not _older(file, place, since):
                high = place
                break
            low = place
        while high - low > _STEP_BYTES:
            middle = (low + high) // 2
            if _older(file, middle, since):
                low = middle
            else:
                high = middle
        return low


def _older(file: BinaryIO, place: int, since: datetime) -> bool:
    """Whether the first run that is told about after `place` had finished before `since`, by any clock."""
    file.seek(max(0, place - 1))
    file.readline(_SCAN_BYTES)  # the rest of a line
    end = place + _SCAN_BYTES
    while file.tell() < end and (line := file.readline(_SCAN_BYTES)):
        record = load(line)
        if not isinstance(record, dict) or record.get("update"):
            continue
        started, total = cell(record.get("started_at"), "datetime64[us, UTC]"), cell(record.get("total_ms"), "Float64")
        if started is not None and total is not None:
            try:
                return bool(started + timedelta(milliseconds=total) + _CLOCKS < since)
            except OverflowError:
                continue
    return False


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # the reader says what is wrong with it
        return 0
