"""One private event loop on a daemon thread: all network work runs there, whatever the caller's own loop is doing.

A notebook cell blocks the kernel's loop, a script has none, an async application has its own. Work handed to this
loop behaves the same in all three, and cancelling the returned future cancels the task at once.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["Portal", "portal"]

T = TypeVar("T")


class Portal:
    """An event loop on its own daemon thread, belonging to one process (a fork makes a new one)."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._serve, name="bifrost-nb-io", daemon=True)
        self.thread.start()
        atexit.register(self.stop)

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.close()

    def start(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run `work` on the private loop. Cancelling the future cancels the task."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` and wait for its result. An interrupt cancels it, waits until it has ended, and is raised again.

        Must not be called on the private loop's own thread.
        """
        future = self.start(work)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            with contextlib.suppress(BaseException):  # a second interrupt leaves at once
                self.settle(future)
            raise

    def settle(self, future: concurrent.futures.Future[Any], seconds: float = 2.0) -> None:
        """Wait until the task behind a cancelled `future` has finished its clean-up, at most `seconds`."""
        # Cancelling marks the future at once, while its task ends a few loop turns later.
        task = getattr(future, "_bifrost_done", None)
        if isinstance(task, threading.Event):
            task.wait(seconds)

    def stop(self) -> None:
        """Cancel what runs, let it clean up, end the thread."""
        atexit.unregister(self.stop)
        if self.pid != os.getpid() or not self.loop.is_running():
            return

        async def finish() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=1) if tasks else None

        with contextlib.suppress(Exception):
            self.start(finish()).result(2)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(2)


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
