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

from bifrost_nb.notebook.wait import Interrupted, Interrupts, drain
from bifrost_nb.portal import portal


def start(work: Coroutine[Any, Any, Any]) -> Any:
    return portal().start(work)


def press_interrupt(times: int = 1) -> threading.Thread:
    """Presses the key as soon as `Interrupts` is entered, and again each time that it has counted the last."""

    def counted() -> int | None:
        return getattr(getattr(signal.getsignal(signal.SIGINT), "__self__", None), "count", None)

    def press() -> None:
        for number in range(times):
            until = time.monotonic() + 60
            while counted() != number and time.monotonic() < until:
                time.sleep(0.01)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    return presser


async def chatter(inbox: SimpleQueue[int], count: int, pause: float) -> None:
    for number in range(count):
        inbox.put(number)
        await asyncio.sleep(pause)


def test_everything_arrives_in_order_and_in_batches() -> None:
    """Each item is handed on once, in order, in the caller's thread, with at most one batch per interval."""
    inbox: SimpleQueue[int] = SimpleQueue()
    batches: list[tuple[float, list[int], str]] = []
    began = time.monotonic()
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
    assert len(batches) <= (batches[-1][0] - began) / 0.1 + 2  # the last comes at the end, whenever that is


def test_idle_batches() -> None:
    """In silence an empty batch lets clocks move."""
    batches: list[list[int]] = []

    async def silent() -> None:
        while len(batches) < 3:
            await asyncio.sleep(0.01)

    drain([start(silent())], SimpleQueue(), batches.append, idle=0.1)
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

    presser = press_interrupt()
    began = time.monotonic()
    interrupted = drain([start(work(number)) for number in range(3)], SimpleQueue(), lambda items: None)
    presser.join()
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
    presser = press_interrupt()
    began = time.monotonic()
    assert drain([job], SimpleQueue(), lambda items: None, grace=0.5) is True
    assert 0.5 < time.monotonic() - began < 15
    released.set()
    presser.join()
    job.result(30)


def test_second_interrupt_raises_at_once() -> None:
    """The second interrupt raises from wherever the code is, as one line."""
    job = start(asyncio.sleep(20))
    presser = press_interrupt(2)
    released = threading.Event()

    def blocked(items: list[Any]) -> None:
        released.wait(60)

    with pytest.raises(Interrupted) as caught:
        drain([job], SimpleQueue(), blocked, idle=0.05, grace=60)
    assert len(caught.value._render_traceback_()) == 1
    assert isinstance(caught.value, KeyboardInterrupt)
    presser.join()
    job.cancel()


def test_an_interrupt_before_the_wait_counts() -> None:
    """Between entering `Interrupts` and waiting, an interrupt is not lost: what was started is cancelled."""
    inbox: SimpleQueue[Any] = SimpleQueue()
    with Interrupts(inbox) as interrupts:
        signal.raise_signal(signal.SIGINT)
        job = start(asyncio.sleep(20))
        began = time.monotonic()
        assert drain([job], inbox, lambda items: None, interrupts=interrupts) is True
    assert time.monotonic() - began < 15
    assert job.cancelled()


def test_outside_the_main_thread() -> None:
    """In another thread, where no signal arrives, waiting works all the same."""
    results: list[bool] = []
    thread = threading.Thread(
        target=lambda: results.append(drain([start(asyncio.sleep(0.1))], SimpleQueue(), lambda items: None))
    )
    thread.start()
    thread.join(60)
    assert results == [False]
