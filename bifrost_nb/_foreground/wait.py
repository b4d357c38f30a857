"""Wait in the cell's thread for work on the private loop, showing what arrives and staying interruptible.

The network side puts items into a `queue.SimpleQueue`; the thread that runs the cell takes them in batches and is the
only one that touches the front end. Between batches it lets widget messages through (`Pump`), so that a Stop button
works. An interrupt does not fly wherever the code happens to be: the first one becomes a cancel at a safe point, a
second one raises at once.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING, Any

from .comm_pump import Pump

if TYPE_CHECKING:
    from .._client.client import Client
    from .._runs.run import Run

__all__ = ["WAKE", "Interrupted", "Interrupts", "drain", "wait_for_costs"]

WAKE: Any = object()
"""An item that only wakes the waiting thread; `drain` never hands it on."""


class Interrupted(KeyboardInterrupt):
    """The interrupt key ended the cell. Stops Run All like any interrupt, but shows one line instead of a traceback.

    `runs`: what was recorded of the calls that it stopped, and of those that had ended before.
    """

    def __init__(self, message: str = "", runs: Sequence[Run] = ()) -> None:
        super().__init__(message)
        self.runs = list(runs)

    def _render_traceback_(self, *_: Any, **__: Any) -> list[str]:
        return [f"Interrupted: {self}" if str(self) else "Interrupted"]


class Interrupts:
    """While entered, the first interrupt (SIGINT) is counted and wakes `inbox`; the next one raises `Interrupted`.

    Signals reach only the main thread: elsewhere, and where the process ignores SIGINT, this does nothing.
    """

    def __init__(self, inbox: SimpleQueue[Any]) -> None:
        self.count = 0
        self._inbox = inbox
        self._previous: Any = None

    def __enter__(self) -> Interrupts:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, None):
            self._previous = signal.signal(signal.SIGINT, self._hit)
        return self

    def __exit__(self, *_: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._previous = None

    def _hit(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count > 1:
            raise Interrupted("a second time; what was still open has been left behind.")
        self._inbox.put(WAKE)  # SimpleQueue.put is reentrant; Queue.put in a signal handler can deadlock


def drain(
    futures: Iterable[Future[Any]],
    inbox: SimpleQueue[Any],
    on_batch: Callable[[list[Any]], None],
    *,
    interrupts: Interrupts | None = None,
    interval: float = 0.05,
    idle: float = 0.5,
    poll: float = 0.05,
    grace: float = 2.0,
) -> bool:
    """Hand what arrives in `inbox` to `on_batch`, in this thread, until every future has ended.

    `on_batch(items)` is called at most every `interval` seconds, with an empty list when nothing has arrived for
    `idle` seconds (so that clocks can move), and once more at the end. Widget messages are handled every `poll`
    seconds.

    The first interrupt cancels all futures; the wait then goes on until they have cleaned up, at most `grace`
    seconds. Returns whether there was an interrupt: the caller draws its last state and raises `Interrupted`. Pass
    `interrupts` if it was entered before the futures were started, so that none can be left running.
    """
    futures = list(futures)
    for future in futures:
        future.add_done_callback(lambda _: inbox.put(WAKE))
    with contextlib.ExitStack() as stack:
        hits = interrupts or stack.enter_context(Interrupts(inbox))
        pump = stack.enter_context(Pump())
        waiting: list[Any] = []
        shown = next_due = time.monotonic()
        give_up: float | None = None
        while not all(future.done() for future in futures):
            if hits.count and give_up is None:
                give_up = time.monotonic() + grace
                for future in futures:
                    future.cancel()
            now = time.monotonic()
            if give_up is not None and now > give_up:
                break
            if (waiting and now >= next_due) or now - shown >= idle:
                on_batch(waiting)
                waiting, shown, next_due = [], now, now + interval
            pump.tick()
            # The wait is always short: on Windows a wait without limit cannot be interrupted.
            waiting += _take(inbox, min(poll, max(0.0, next_due - time.monotonic())) if waiting else poll)
        on_batch(waiting + _take(inbox, 0.0))
    return hits.count > 0


def wait_for_costs(
    client: Client,
    runs: Iterable[Run],
    seconds: float,
    interrupts: Interrupts,
    look: Callable[[], object] = lambda: None,
    *,
    step: float = 0.2,
) -> None:
    """Wait until the costs of `runs` that come from the gateway's log are there, at most `seconds`.

    In short steps with a `look` after each, so that an interrupt ends the wait: the answers are complete and recorded.
    """
    runs, until = list(runs), time.monotonic() + seconds
    while not interrupts.count and (left := until - time.monotonic()) > 0:
        pending = [run for run in runs if run.cost_usd is None]
        began, pause = time.monotonic(), min(left, step)
        client.wait_costs(pending, pause)
        look()
        if not pending or time.monotonic() - began < pause / 2:  # known, or nobody is looking for them any more
            return


def _take(inbox: SimpleQueue[Any], seconds: float) -> list[Any]:
    """All that is in the queue, after waiting at most `seconds` for the first item."""
    items: list[Any] = []
    with contextlib.suppress(Empty):
        items.append(inbox.get(timeout=seconds) if seconds > 0 else inbox.get_nowait())
        while True:
            items.append(inbox.get_nowait())
    return [item for item in items if item is not WAKE]
