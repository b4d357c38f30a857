"""Transports of an async client, anew for each event loop.

A connection belongs to the loop that opened it: a client that outlives one ``asyncio.run`` would take it up again in
the next, and fail.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["PerLoop"]

_Transports = Mapping[Any, Any]


class PerLoop:
    """The transports of one client by their place, in the loop that asks. `first` are those of the first loop."""

    def __init__(self, first: _Transports, again: Callable[[], _Transports]) -> None:
        self._first, self._again = first, again
        self._known: dict[asyncio.AbstractEventLoop, _Transports] = {}
        self._mutex = threading.Lock()

    def get(self, place: Any) -> Any:
        """The transport at `place`; one that is None for all others."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # trio, whose runs end what they opened
            return self._first[place]
        if loop not in self._known:
            with self._mutex:  # loops of other threads come as well
                # A closed loop's connections cannot be closed any more; they go when nothing holds them.
                alive = {one: theirs for one, theirs in self._known.items() if not one.is_closed()}
                self._known = {**alive, loop: self._again() if self._known else self._first}
        return self._known[loop][place]
