"""One private event loop on a daemon thread: all network work runs there, whatever the caller's own loop is doing.

A notebook cell blocks the kernel's loop, a script has none, an async application has its own. Work handed to this
loop behaves the same in all three, and a cancelled job has really ended when its result is there.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import contextvars
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

from ..errors import BifrostError
from .inbox import Inbox, inbox_of

__all__ = ["Job", "Portal", "portal"]

T = TypeVar("T")


class _Errand(Generic[T]):
    """A task on the private loop, begun and cancelled from any thread; `ended` is called there with the ended task."""

    __slots__ = ("_ended", "_portal", "_task")

    def __init__(
        self,
        portal: Portal,
        work: Coroutine[Any, Any, T],
        ended: Callable[[asyncio.Task[T]], object],
        here: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._portal, self._ended = portal, ended
        self._task: asyncio.Task[T] | None = None
        context = contextvars.copy_context()
        if here is None:
            portal.inbox.put(self._begin, work, context)
        else:
            portal.inbox.put_from(here, self._begin, work, context)

    def _begin(self, work: Coroutine[Any, Any, T], context: contextvars.Context) -> None:
        self._task = self._portal.loop.create_task(work, context=context)
        self._task.add_done_callback(self._ended)

    def cancel(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has been closed
            self._portal.inbox.put(self._cancel)

    def _cancel(self) -> None:
        if self._task is not None:  # a task that has just begun first reaches an await, so that its clean-up runs
            self._portal.loop.call_soon(self._task.cancel)


class Job(concurrent.futures.Future[T], Generic[T]):
    """A task on the private loop, seen from any thread.

    Unlike the future of `asyncio.run_coroutine_threadsafe`, `cancel` only asks: the job is done when the task is,
    its clean-up included, so that whoever waits finds the connection closed and the run in the log.
    """

    def __init__(self, portal: Portal, work: Coroutine[Any, Any, T]) -> None:
        super().__init__()
        self._errand = _Errand(portal, work, self._end)

    def _end(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            super().cancel()
            self.set_running_or_notify_cancel()
        elif (error := task.exception()) is not None:
            self.set_exception(_bare(error))
        else:
            self.set_result(task.result())

    def cancel(self) -> bool:
        """Ask the task to end at once; from any thread. False if it had already ended."""
        if self.done():
            return False
        self._errand.cancel()
        return True


def _bare(error: BaseException) -> BaseException:
    return error.bare() if isinstance(error, BifrostError) else error


class Portal:
    """An event loop on its own daemon thread, belonging to one process (a fork makes a new one)."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.loop = asyncio.new_event_loop()
        self.inbox = Inbox(self.loop)
        self.closers: list[Callable[[], Awaitable[object]]] = []
        """Awaited when the portal stops: what lives as long as it does."""
        self.shared: dict[Any, Any] = {}
        """What the work on this loop keeps from one call to the next, such as its connection pool."""
        self.thread = threading.Thread(target=self._serve, name="bifrost-nb-io", daemon=True)
        self.thread.start()
        atexit.register(self.stop)

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.close()

    def start(self, work: Coroutine[Any, Any, T]) -> Job[T]:
        """Run `work` on the private loop."""
        return Job(self, work)

    def awaitable(self, work: Coroutine[Any, Any, T]) -> asyncio.Future[T]:
        """Run `work` on the private loop; its result, to be awaited on the caller's. Being cancelled asks it to end.

        `asyncio.wrap_future` of a job does the same and wakes the caller's loop for each.
        """
        caller = asyncio.get_running_loop()
        future, inbox = caller.create_future(), inbox_of(caller)

        def ended(task: asyncio.Task[T]) -> None:
            with contextlib.suppress(RuntimeError):  # the caller's loop has been closed
                inbox.put_from(self.loop, hand_over, task)

        def hand_over(task: asyncio.Task[T]) -> None:
            error = None if task.cancelled() else task.exception()
            if future.done():
                return  # cancelled
            if task.cancelled():
                future.cancel()
            elif error is not None:
                future.set_exception(_bare(error))
            else:
                future.set_result(task.result())

        errand = _Errand(self, work, ended, caller)
        future.add_done_callback(lambda done: errand.cancel() if done.cancelled() else None)
        return future

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` and wait for its result. An interrupt cancels it, waits for its end, and is raised again.

        Raises RuntimeError on the private loop's own thread, where waiting would never end.
        """
        if threading.current_thread() is self.thread:
            work.close()
            raise RuntimeError("A blocking call was made on bifrost-nb's own event loop; use the async form there.")
        job = self.start(work)
        try:
            while True:  # with a limit, since a wait without one cannot be interrupted on Windows
                with contextlib.suppress(concurrent.futures.TimeoutError):
                    return job.result(0.5)
                if job.done():
                    return job.result()
        except KeyboardInterrupt:
            job.cancel()
            concurrent.futures.wait([job], timeout=2)
            raise

    def stop(self) -> None:
        """Cancel what runs, let it clean up, close what was opened, end the thread."""
        atexit.unregister(self.stop)
        if self.pid != os.getpid() or not self.loop.is_running():
            return

        async def finish() -> None:
            await _cancel_all(seconds=1)
            for close in self.closers:
                with contextlib.suppress(Exception):
                    await close()
            await _cancel_all(seconds=0.5)  # what the closing began
            await self.loop.shutdown_asyncgens()

        with contextlib.suppress(Exception):
            self.start(finish()).result(3)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(2)


async def _cancel_all(seconds: float) -> None:
    """Cancel every other task, and what those begin as they end: a call that is cancelled is recorded and followed."""
    asked: set[asyncio.Task[Any]] = {task for task in [asyncio.current_task()] if task is not None}
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while new := asyncio.all_tasks() - asked:
        for task in new:
            task.cancel()  # once: a second time would interrupt its clean-up
        asked |= new
        ending = asyncio.all_tasks() - {asyncio.current_task()}
        while ending and loop.time() < end and not asyncio.all_tasks() - asked:
            await asyncio.wait(ending, timeout=end - loop.time(), return_when=asyncio.FIRST_COMPLETED)
            ending = {task for task in ending if not task.done()}


_current: Portal | None = None
_lock = threading.Lock()


def portal() -> Portal:
    """This process's portal, started at the first use and again after a fork."""
    global _current, _lock
    if _current is not None and _current.pid != os.getpid():
        _lock = threading.Lock()  # the parent may have held it when it forked
        _current = None
    with _lock:
        if _current is None or not _current.thread.is_alive():
            _current = Portal()
        return _current
