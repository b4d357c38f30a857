"""A thread beside those of the SDKs, which reads and records what passed by while the thread that called waits.

So a call's own thread spends next to no CPU time on its record, which is nevertheless there when the SDK returns. (What
the helper does lets the other threads of a process do their work; a call of its own takes some 30 µs longer.) The
thread belongs to one process, is started when it is first needed, and keeps no process alive.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

__all__ = ["beside"]

T = TypeVar("T")


def beside(work: Callable[[], T]) -> T:
    """What `work()` returns or raises, done on the helper thread while this one waits."""
    helper = _helper()
    if helper is None:
        return work()
    job = _Job(work)
    helper.put(job)
    return job.result()


class _Job(Generic[T]):
    """Work that somebody waits for. A bare lock, since a `Future` would cost that thread half of what it saves."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._value: T
        self._error: BaseException | None = None
        self._done = threading.Lock()
        self._done.acquire()

    def __call__(self) -> None:
        try:
            self._value = self._work()
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            self._error = error
        finally:
            self._done.release()

    def result(self) -> T:
        self._done.acquire()
        if self._error is not None:
            raise self._error
        return self._value


def _serve(jobs: SimpleQueue[_Job[Any]]) -> None:
    while True:
        jobs.get()()


_jobs: SimpleQueue[_Job[Any]] | None = None
_thread: threading.Thread | None = None
_starting = threading.RLock()  # reentrant: a dropped stream may be recorded in the midst of it


def _helper() -> SimpleQueue[_Job[Any]] | None:
    """The queue of the helper thread; None on that thread itself and where the interpreter ends."""
    global _jobs, _thread
    if _jobs is None and not sys.is_finalizing():
        with _starting:
            if _jobs is None:
                jobs: SimpleQueue[_Job[Any]] = SimpleQueue()
                _thread = threading.Thread(target=_serve, args=(jobs,), name="bifrost-nb-recorder", daemon=True)
                _thread.start()
                _jobs = jobs
    return None if sys.is_finalizing() or threading.current_thread() is _thread else _jobs


def _after_fork() -> None:
    """A forked process has none of the threads, and begins anew."""
    global _jobs, _thread, _starting
    _jobs, _thread, _starting = None, None, threading.RLock()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_after_fork)
