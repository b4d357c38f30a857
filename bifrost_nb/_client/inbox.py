"""What one thread has for the event loop of another."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import weakref
from collections.abc import Callable
from typing import Any

__all__ = ["Inbox", "inbox_of"]


class Inbox:
    """Calls that other threads want a loop to make, in their order.

    The loop is woken once for all that came until it runs: waking it takes longer than most of these calls, and
    stops the thread that does it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._calls: collections.deque[tuple[Callable[..., object], tuple[Any, ...]]] = collections.deque()
        self._woken = False
        self._promised: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()
        """Loops that will wake this one."""

    def put(self, call: Callable[..., object], *arguments: Any) -> None:
        """Have the loop call that soon, from any thread. Raises RuntimeError where the loop has been closed."""
        self._calls.append((call, arguments))
        self._wake()

    def put_from(self, here: asyncio.AbstractEventLoop, call: Callable[..., object], *arguments: Any) -> None:
        """`put` by a callback of the loop `here`: the other is woken once, for all that its callbacks of now put."""
        self._calls.append((call, arguments))
        if not self._woken and here not in self._promised:
            try:
                self._promised.add(here)
                here.call_soon(self._keep_promise, here)
            except BaseException:  # an interrupt: the next call promises anew
                self._promised.discard(here)
                raise

    def _keep_promise(self, here: asyncio.AbstractEventLoop) -> None:
        self._promised.discard(here)
        with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits for it
            self._wake()

    def _wake(self) -> None:
        if self._woken:
            return
        try:
            self._woken = True  # two threads at once may wake it twice, which does no harm
            if (loop := self._loop()) is not None:
                loop.call_soon_threadsafe(self._make_calls)
        except BaseException:  # it was closed, or an interrupt came between: the next call wakes it
            self._woken = False
            raise

    def _make_calls(self) -> None:
        self._woken = False  # first, so that what comes from now on wakes it again
        for _ in range(len(self._calls)):
            call, arguments = self._calls.popleft()
            try:
                call(*arguments)
            except BaseException:  # an interrupt: the others are not lost
                self._wake()
                raise


_inboxes: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Inbox] = weakref.WeakKeyDictionary()


def inbox_of(loop: asyncio.AbstractEventLoop) -> Inbox:
    """The inbox of a loop. On its own thread."""
    inbox = _inboxes.get(loop)
    return _inboxes.setdefault(loop, Inbox(loop)) if inbox is None else inbox
