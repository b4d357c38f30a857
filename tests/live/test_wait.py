"""The waiting loop that every live view and progress display stands on."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Coroutine
from itertools import pairwise
from queue import SimpleQueue
from typing import Any

import pytest

from bifrost_nb.notebook.wait import Interrupted, Interrupts, drain
from bifrost_nb.portal import portal


def start(work: Coroutine[Any, Any, Any]) -> Any:
    return portal().start(work)


def press_interrupt_after(seconds: float) -> threading.Timer:
    timer = threading.Timer(seconds, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT])
    timer.start()
    return timer


async def chatter(inbox: SimpleQueue[int], count: int, pause: float) -> None:
    for number in range(count):
        inbox.put(number)
        await asyncio.sleep(pause)


def test_everything_arrives_in_order_and_in_batches() -> None:
    """Each item is handed on once, in order, in the caller's thread, with at most one batch per interval."""
    inbox: SimpleQueue[int] = SimpleQueue()
    batches: list[tuple[float, list[int], str]] = []
    job = start(chatter(inbox, 300, 0.001))
    interrupted = drain(
        [job],
        inbox,
        lambda items: batches.append((time.monotonic(), items, threading.current_thread().name)),
        interval=0.1,
    )
    assert interrupted is False
    assert [item for _, items, _ in batches for item in items] == list(range(300))
    assert {name for *_, name in batches} == {threading.current_thread().name}
    times = [at for at, *_ in batches[:-1]]  # the last batch comes at the end, whenever that is
    assert all(later - earlier > 0.095 for earlier, later in pairwise(times))


def test_idle_batches() -> None:
    """In silence an empty batch lets clocks move."""
    batches: list[list[int]] = []
    drain([start(asyncio.sleep(0.5))], SimpleQueue(), batches.append, idle=0.1)
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

    timer = press_interrupt_after(0.2)
    began = time.monotonic()
    interrupted = drain([start(work(number)) for number in range(3)], SimpleQueue(), lambda items: None)
    timer.join()
    assert interrupted is True
    assert time.monotonic() - began < 2
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
    timer = press_interrupt_after(0.1)
    began = time.monotonic()
    assert drain([job], SimpleQueue(), lambda items: None, grace=0.5) is True
    assert 0.5 < time.monotonic() - began < 2
    released.set()
    timer.join()
    job.result(2)


def test_second_interrupt_raises_at_once() -> None:
    """The second interrupt raises from wherever the code is, as one line."""
    job = start(asyncio.sleep(20))
    timers = [press_interrupt_after(0.1), press_interrupt_after(0.3)]
    began = time.monotonic()

    def blocked(items: list[Any]) -> None:
        time.sleep(5)

    with pytest.raises(Interrupted) as caught:
        drain([job], SimpleQueue(), blocked, idle=0.05)
    assert time.monotonic() - began < 2
    assert len(caught.value._render_traceback_()) == 1
    assert isinstance(caught.value, KeyboardInterrupt)
    for timer in timers:
        timer.join()
    job.cancel()


def test_an_interrupt_before_the_wait_counts() -> None:
    """Between entering `Interrupts` and waiting, an interrupt is not lost: what was started is cancelled."""
    inbox: SimpleQueue[Any] = SimpleQueue()
    with Interrupts(inbox) as interrupts:
        signal.raise_signal(signal.SIGINT)
        job = start(asyncio.sleep(20))
        began = time.monotonic()
        assert drain([job], inbox, lambda items: None, interrupts=interrupts) is True
    assert time.monotonic() - began < 1
    assert job.cancelled()


def test_outside_the_main_thread() -> None:
    """In another thread, where no signal arrives, waiting works all the same."""
    results: list[bool] = []
    thread = threading.Thread(
        target=lambda: results.append(drain([start(asyncio.sleep(0.1))], SimpleQueue(), lambda items: None))
    )
    thread.start()
    thread.join(5)
    assert results == [False]
