"""The time limits of one attempt."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from ...errors import TimedOut
from .network_errors import timed_out

if TYPE_CHECKING:
    from ..calls import Timeouts

__all__ = ["Deadline"]

DONE_GRACE_S = 1.0
"""How long to wait for ``[DONE]`` after finish reason and usage."""
USAGE_GRACE_S = 2.0
"""How long to wait for usage after the finish reason; providers that send it do so in the next chunk."""


class Deadline:
    """The limit in force: of the phase that an attempt is in, or the total one where that passes first.

    `began` is `time.monotonic()` when the call began. `timer` is an ``asyncio.Timeout`` to work in.
    """

    def __init__(self, limits: Timeouts, began: float) -> None:
        self._limits, self._phase, self._last_word, self._soon = limits, "first_byte", False, 0.0
        self._loop = asyncio.get_running_loop()
        self._end = None if limits.total is None else self._loop.time() + limits.total - (time.monotonic() - began)
        # Silence may last a fiftieth longer than its limit, so that not every chunk sets a new timer, which takes as
        # long as reading it.
        silence = limits.between_chunks
        self._slack = float("inf") if silence is None else silence / 50
        self._silence = None if silence is None else silence + self._slack
        self.timer = asyncio.timeout_at(self._at(limits.first_byte))

    def heard(self, now: float, ended: bool, finished: bool = False) -> None:
        """Data came at `now` (`time.monotonic()`); heartbeats are none, since a gateway sends them for a provider that
        hangs. `ended`: only ``[DONE]`` can follow; `finished`: only usage can.
        """
        self._phase = "between_chunks"
        if self._last_word:  # set only once: heartbeats after the end must not prolong it
            return
        if ended:
            self._last_word = True
            self.timer.reschedule(self._at(DONE_GRACE_S))
        elif finished:
            self.timer.reschedule(self._at(USAGE_GRACE_S))
        elif now >= self._soon:
            self._soon = now + self._slack
            self.timer.reschedule(self._at(self._silence))

    def passed(self) -> TimedOut:
        """The error for the limit that has just passed."""
        phase = "total" if self._end is not None and self._loop.time() >= self._end else self._phase
        return timed_out(phase, getattr(self._limits, phase))

    def _at(self, seconds: float | None) -> float | None:
        """The loop's time in `seconds`, or that of the total limit; None where there is neither."""
        now = None if seconds is None else self._loop.time() + seconds
        return min((when for when in (now, self._end) if when is not None), default=None)
