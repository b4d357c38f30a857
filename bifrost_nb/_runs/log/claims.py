"""Who is sending which cells of a log right now, so that two kernels with one comparison do not both pay for it.

A claim is a file beside the log, in the folder ``<log>.claims``: one line of JSON (host, process, cells), held under an
advisory lock while the calls are made, with a dot added every few seconds. It is over when its file is gone, when its
lock can be taken (the process ended, however), or when no dot has come for `EXPIRY_S` by the clock of who waits: no
two clocks are compared. Where a file system has no locks the dots alone tell. A folder that cannot be written makes no
claim, and nobody waits.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from .file_lock import HELD_BY_ANOTHER, lock, unlock

__all__ = ["BEAT_S", "EXPIRY_S", "claimed"]

BEAT_S = 5.0
EXPIRY_S = 60.0
"""Twelve dots: a loop that is late, or a network file system that tells late, is no process that is gone."""
LOOK_S = 0.25
_OPEN = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)


@dataclass(slots=True)
class _Seen:
    """Another's claim, as far as this process has watched it."""

    holder: str
    cells: frozenset[str]
    size: int = -1
    changed: float = field(default_factory=time.monotonic)


@contextlib.contextmanager
def claimed(
    log: Path | None, cells: Iterable[str], tell: Callable[[str], None], *, expiry_s: float = EXPIRY_S
) -> Iterator[bool]:
    """Hold `cells` until the block ends, having waited for others who hold some of them; whether that was so.

    `tell` gets a sentence when there is something to wait for. Raises KeyboardInterrupt while it waits.
    """
    wanted = frozenset(cells)
    if log is None or not wanted or (log.exists() and not log.is_file()):  # a device or pipe: it is refused later
        yield False
        return
    folder = log.with_name(log.name + ".claims")
    seen: dict[str, _Seen] = {}
    told: set[str] = set()
    while True:
        try:
            with _registry(folder):
                if (other := _held(folder, wanted, seen, expiry_s)) is None:
                    claim = _Claim(folder, wanted)
                    break
        except OSError:
            yield bool(told)
            return
        if other.holder not in told:
            told.add(other.holder)
            count = len(wanted & other.cells)
            calls = "call is" if count == 1 else "calls are"
            tell(f"{count:,} of these {calls} being made by {other.holder}; waiting for the answers.")
        time.sleep(LOOK_S)
    try:
        yield bool(told)
    finally:
        claim.release()


class _Claim:
    """Our own claim: its file, its lock, and the thread that adds dots."""

    def __init__(self, folder: Path, cells: frozenset[str]) -> None:
        self._path = folder / f"{uuid.uuid4().hex}.claim"
        self._descriptor = os.open(self._path, _OPEN | os.O_EXCL | os.O_APPEND, 0o600)
        try:
            _locked(self._descriptor)
            line = {"host": socket.gethostname(), "process": os.getpid(), "cells": sorted(cells)}
            os.write(self._descriptor, orjson.dumps(line) + b"\n")
        except OSError:  # a full disk
            os.close(self._descriptor)
            self._path.unlink()
            raise
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="bifrost-nb-claim", daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        while not self._over.wait(BEAT_S):
            with contextlib.suppress(OSError):
                os.write(self._descriptor, b".")

    def release(self) -> None:
        self._over.set()
        self._thread.join()
        if self._path.exists():  # else the log's folder was deleted meanwhile: nothing is made again
            with contextlib.suppress(OSError), _registry(self._path.parent):
                self._path.unlink()
                if not any(self._path.parent.glob("*.claim")):
                    shutil.rmtree(self._path.parent, ignore_errors=True)
        with contextlib.suppress(OSError):
            unlock(self._descriptor)  # explicitly: a process forked meanwhile shares the open file
        os.close(self._descriptor)
        with contextlib.suppress(OSError):  # Windows deletes no file that is open
            self._path.unlink()


@contextlib.contextmanager
def _registry(folder: Path) -> Iterator[None]:
    """One process at a time looks at the claims and makes one. Raises OSError where the folder cannot be made."""
    descriptor = None
    give_up = time.monotonic() + EXPIRY_S
    while descriptor is None:
        folder.mkdir(0o700, parents=True, exist_ok=True)
        try:
            descriptor = os.open(folder / "lock", _OPEN, 0o600)
        except FileNotFoundError:  # the last claim was just released, and the folder with it
            continue
        while not _locked(descriptor) and time.monotonic() < give_up:
            time.sleep(0.005)
        if os.fstat(descriptor).st_nlink == 0 and time.monotonic() < give_up:
            os.close(descriptor)
            descriptor = None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            unlock(descriptor)
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    """Take the lock; False while another holds it, True where the file system has none."""
    try:
        lock(descriptor, False)
    except OSError as error:
        return error.errno not in HELD_BY_ANOTHER
    return True


def _held(folder: Path, wanted: frozenset[str], seen: dict[str, _Seen], expiry_s: float) -> _Seen | None:
    """A claim of others on some of `wanted` that is not over; what is over is cleared away."""
    for path in folder.glob("*.claim"):
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(path, _OPEN & ~os.O_CREAT)  # opened anew each time: so a network file system tells
            try:
                if _is_over(descriptor):
                    path.unlink()
                    continue
                one = seen.get(path.name) or seen.setdefault(path.name, _read(descriptor))
                size = os.fstat(descriptor).st_size
            finally:
                os.close(descriptor)
            if size != one.size:
                one.size, one.changed = size, time.monotonic()
            if wanted & one.cells and time.monotonic() - one.changed < expiry_s:
                return one
    return None


def _is_over(descriptor: int) -> bool:
    """Whether nobody holds this claim any more; where there are no locks that is not known."""
    try:
        lock(descriptor, False)
    except OSError:
        return False
    unlock(descriptor)
    return True


def _read(descriptor: int) -> _Seen:
    data = b""
    while b"\n" not in data and (more := os.read(descriptor, 1 << 20)):
        data += more
    try:
        claim = orjson.loads(data.partition(b"\n")[0])
        holder = f"process {int(claim['process'])}"
        if claim["host"] != socket.gethostname():
            holder += f" on {claim['host']!a}"
        return _Seen(holder, frozenset(claim["cells"]))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return _Seen("another process", frozenset())
