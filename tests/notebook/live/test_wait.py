"""The waiting loop that every live view and progress display stands on."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Coroutine
from queue import SimpleQueue
from typing import Any

import pytest

from bifrost_nb._client.portal import portal
from bifrost_nb._foreground.wait import Interrupted, Interrupts, drain


def start(work: Coroutine[Any, Any, Any]) -> Any:
    return portal().start(work)


class Presses:
    """Presses the interrupt key so many times while `drain` is at work, never before: each after the last was seen."""

    def __init__(self, count: int = 1) -> None:
        self.inbox: SimpleQueue[Any] = SimpleQueue()
        self.interrupts = Interrupts(self.inbox)
        self._count = count
        self._thread: threading.Thread | None = None

    def begin(self, _: list[Any]) -> None:
        """What `drain` calls when nothing has arrived for a while, so surely while it waits."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._press)
            self._thread.start()

    def _press(self) -> None:
        for number in range(self._count):
            while self.interrupts.count < number:
                time.sleep(0.01)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def join(self) -> None:
        """Until all are pressed."""
        assert self._thread is not None
        self._thread.join()


async def chatter(inbox: SimpleQueue[int], count: int, pause: float) -> None:
    for number in range(count):
        inbox.put(number)
        await asyncio.sleep(pause)


def test_everything_arrives_in_order_and_in_batches() -> None:
    """Each item is handed on once, in order, in the caller's thread, with at most one batch per interval."""
    inbox: SimpleQueue[int] = SimpleQueue()
    batches: list[tuple[list[int], str]] = []
    job = start(chatter(inbox, 300, 0.001))
    began = time.monotonic()
    interrupted = drain(
        [job],
        inbox,
        lambda items: batches.append((items, threading.current_thread().name)),
        interval=0.1,
    )
    took = time.monotonic() - began
    assert interrupted is False
    assert [item for items, _ in batches for item in items] == list(range(300))
    assert {name for _, name in batches} == {threading.current_thread().name}
    assert len(batches) <= took / 0.1 + 2  # the first and the last, whenever that is


def test_idle_batches() -> None:
    """In silence an empty batch lets clocks move."""
    batches: list[list[int]] = []
    job = start(asyncio.sleep(60))

    def draw(batch: list[int]) -> None:
        batches.append(batch)
        if len(batches) == 3:
            job.cancel()

    drain([job], SimpleQueue(), draw, idle=0.1)
    assert batches[:3] == [[], [], []]


def test_interrupt_cancels_and_waits_for_the_clean_up() -> None:
    """The first interrupt cancels every future; drain returns after their clean-up, and the handler is the old one."""
    before = signal.getsignal(signal.SIGINT)
    cleaned = []

    async def work(number: int) -> None:
        try:
            await asyncio.sleep(20)
        finally:
            await asyncio.sleep(0.1)
            cleaned.append(number)

    key = Presses()
    began = time.monotonic()
    with key.interrupts:
        jobs = [start(work(number)) for number in range(3)]
        interrupted = drain(jobs, key.inbox, key.begin, interrupts=key.interrupts, idle=0.1, grace=15)
    key.join()
    assert interrupted is True
    assert time.monotonic() - began < 15
    assert sorted(cleaned) == [0, 1, 2]
    assert signal.getsignal(signal.SIGINT) is before


def test_work_that_does_not_end() -> None:
    """A future that ignores its cancellation holds the cell for the grace time and no longer."""
    released = threading.Event()

    async def stubborn() -> None:
        while not released.is_set():
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                continue

    job = start(stubborn())
    key = Presses()
    began = time.monotonic()
    with key.interrupts:
        assert drain([job], key.inbox, key.begin, interrupts=key.interrupts, idle=0.1, grace=0.5) is True
    assert time.monotonic() - began > 0.5
    assert not job.done()
    released.set()
    key.join()
    job.result(30)


def test_second_interrupt_raises_at_once() -> None:
    """The second interrupt raises from wherever the code is, as one line."""
    job = start(asyncio.sleep(60))
    key = Presses(2)
    began = time.monotonic()

    def blocked(items: list[Any]) -> None:
        key.begin(items)
        time.sleep(30)

    with pytest.raises(Interrupted) as caught, key.interrupts:
        drain([job], key.inbox, blocked, interrupts=key.interrupts, idle=0.05)
    assert time.monotonic() - began < 15
    assert len(caught.value._render_traceback_()) == 1
    assert isinstance(caught.value, KeyboardInterrupt)
    key.join()
    job.cancel()


def test_an_interrupt_before_the_wait_counts() -> None:
    """Between entering `Interrupts` and waiting, an interrupt is not lost: what was started is cancelled."""
    inbox: SimpleQueue[Any] = SimpleQueue()
    with Interrupts(inbox) as interrupts:
        signal.raise_signal(signal.SIGINT)
        job = start(asyncio.sleep(20))
        began = time.monotonic()
        assert drain([job], inbox, lambda items: None, interrupts=interrupts) is True
    assert time.monotonic() - began < 10
    assert job.cancelled()


def test_outside_the_main_thread() -> None:
    """In another thread, where no signal arrives, waiting works all the same."""
    results: list[bool] = []
    thread = threading.Thread(
        target=lambda: results.append(drain([start(asyncio.sleep(0.1))], SimpleQueue(), lambda items: None))
    )
    thread.start()
    thread.join(30)
    assert results == [False]
