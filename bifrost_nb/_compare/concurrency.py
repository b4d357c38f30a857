"""How many calls a deployment may have in flight, and when the next may start. No I/O, no clock of its own.

Additive increase, multiplicative decrease: every success widens a lane a little, a 429 halves it, and a provider that
names a time to wait gets it. A 5xx says nothing about too many calls and changes nothing.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

__all__ = ["ConcurrencyLimiter"]

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
"""Bounds of the wait after a setback for which nobody named a time; doubled from one to the next."""


@dataclass(slots=True)
class ConcurrencyLimiter:
    """The way to one deployment. Times are seconds of the caller's monotonic clock."""

    ceiling: int
    """The concurrency that was asked for: where the lane starts, and never wider."""
    requests_per_minute: float | None = None
    in_flight: int = 0
    setbacks: int = 0
    """Bursts of refusals since the last success."""
    limit: float = field(init=False)
    _not_before: float = field(default=float("-inf"), init=False)
    _paced_until: float = field(default=float("-inf"), init=False)
    _set_back_at: float = field(default=float("-inf"), init=False)
    _unreachable: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.limit = float(self.ceiling)

    def wait_s(self, now: float) -> float | None:
        """Seconds until a call may start: 0 now, None when that depends on a call in flight to end."""
        if self.in_flight >= (1 if self._unreachable else int(self.limit)):
            return None
        return max(0.0, self._not_before - now, self._paced_until - now)

    def started(self, now: float) -> None:
        """A call was started."""
        self.in_flight += 1
        if self.requests_per_minute is not None:
            # Spread over the minute: providers count over shorter times as well.
            self._paced_until = max(now, self._paced_until) + 60.0 / self.requests_per_minute

    def ended(self) -> None:
        """A call ended, whatever came of it."""
        self.in_flight -= 1

    def answered(self) -> None:
        """There was an answer, an error perhaps, and no 429: nothing holds the lane back."""
        self.setbacks = 0
        self._unreachable = False

    def succeeded(self) -> None:
        """The deployment completed a call: wider by one for every lane's width of completed calls."""
        self.answered()
        self.limit = min(float(self.ceiling), self.limit + 1.0 / self.limit)

    def throttled(self, now: float, started_at: float) -> None:
        """A 429: half as wide, and a pause."""
        self._unreachable = False
        self._set_back(now, started_at, narrower=True)

    def hold(self, now: float, seconds: float) -> None:
        """The provider named a time to wait: nothing starts before it."""
        self._not_before = max(self._not_before, now + seconds)

    def unreachable(self, now: float, started_at: float) -> None:
        """Nobody answered at the gateway's address: a pause, then one call at a time until there is an answer."""
        self._unreachable = True
        self._set_back(now, started_at, narrower=False)

    def _set_back(self, now: float, started_at: float, *, narrower: bool) -> None:
        # All calls that were in flight together are refused together: that is one setback.
        if started_at >= self._set_back_at:
            self._set_back_at = now
            self.setbacks += 1
            if narrower:
                self.limit = max(1.0, self.limit / 2)
            pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (self.setbacks - 1)) * random.uniform(0.5, 1.0)
            self.hold(now, pause)
