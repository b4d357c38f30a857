"""When the gateway's log is worth a look: `cost_lookup` asks, this says when, and learns from what was found.

A gateway writes its log row 2.0 to 5.0 s after the answer (measured, 1.4.18 to 2.0.0-prerelease3; 1.3 and 1.4.0 at
once). So a run is looked for at ages at which rows were seen to come, and how many looks follow each other is bounded.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .._runs.cost import broken_off
from .._runs.pending import somebody_waits
from .._runs.run import Run

if TYPE_CHECKING:
    from .._runs.log.log import RunLog

__all__ = ["AGES_S", "GIVE_UP_AFTER", "LookTimes", "Waiting"]

AGES_S = (0.08, 0.3, 0.9, 2.15, 3.2, 5.3, 8.0, 12.0)
"""A run is looked for when it has ended so long ago: rows come at once, after 2.0 or 5.0 s, or later."""
BURST = 8
"""So many looks may follow each other as the ages say; then there is one for `EVERY_S` or for `MANY` runs."""
EVERY_S = 10.0
MANY = 400
URGENT_S = 0.25
"""The pause between two looks while somebody waits for a cost."""
GIVE_UP_AFTER = 3
"""So many answered runs in a row without a row in the log: the gateway keeps none, so stop asking for a while. So many
without one at some age: no row is there at that age."""
ASK_AGAIN_S = 300.0


@dataclass(slots=True)
class Waiting:
    """A run that is looked for."""

    run: Run
    log: RunLog
    since: float = field(default_factory=time.monotonic)
    step: int = 0
    """The next of `AGES_S`."""
    due: float = field(init=False)
    """When it is looked for next. Read for all that wait, many times a second."""
    ids: list[str] = field(init=False)
    """The log ids of all attempts that may have cost something, that of the answer last."""

    def __post_init__(self) -> None:
        self.due = self.since + AGES_S[self.step]
        self.ids = [*(one.request_id for one in broken_off(self.run)), self.run.request_id or ""]

    def not_before(self, step: int) -> None:
        """Leave out the ages below that of `step`, at which no row was there yet."""
        if self.step < step:
            self.step, self.due = step, self.since + AGES_S[step]

    def next_age(self, now: float) -> bool:
        """Go on to the next age that is still to come; False where none is left."""
        while self.due <= now:
            self.step += 1
            if self.step == len(AGES_S):
                return False
            self.due = self.since + AGES_S[self.step]
        return True


class LookTimes:
    """When to look, for one gateway."""

    def __init__(self) -> None:
        self.soonest_s = AGES_S[-1]
        """The least age of a run whose row was there."""
        self._first_step = len(AGES_S)
        """The earliest age at which a row of this gateway was found."""
        self._tried_step = 0
        """As long as none was: the ages below this one were tried for several runs."""
        self._allowed, self._allowed_at = float(BURST), time.monotonic()
        self._looked_at = 0.0
        self._misses = 0
        self._silent_until = 0.0

    @property
    def start_step(self) -> int:
        """The first age at which a row may be there."""
        return self._tried_step if self._first_step == len(AGES_S) else self._first_step

    def silent(self) -> bool:
        """Whether the gateway is known to tell nothing by its log."""
        return time.monotonic() < self._silent_until

    def fall_silent(self) -> None:
        """The log tells nothing: ask no more for a while."""
        self._misses = self._tried_step = 0
        self._silent_until = time.monotonic() + ASK_AGAIN_S

    def pause_s(self, dues: Sequence[float]) -> float:
        """Seconds to wait and ask again, for runs that are due then; 0: a look is worth it and allowed now."""
        now = time.monotonic()
        self._allowed = min(BURST, self._allowed + (now - self._allowed_at) / EVERY_S)
        self._allowed_at = now
        next_due = min(dues)
        due = sum(map(now.__ge__, dues)) if next_due <= now else 0
        spaced = now - self._looked_at >= URGENT_S
        free = spaced and somebody_waits()
        if spaced or not self.start_step:  # rows that come late anyway are not hurried after
            free = free or self._allowed >= 1 or due >= MANY
        if due and free:
            self._allowed = max(0.0, self._allowed - 1)
            self._looked_at = now
            return 0.0
        # Short: whoever begins to wait, and so makes a look urgent, does so on another thread.
        return URGENT_S if due else min(max(next_due - now, 0.02), URGENT_S)

    def found(self, age_s: float) -> None:
        """The row of a run of this age was there."""
        self.soonest_s = min(self.soonest_s, age_s)
        # The nearest, since a look for others may find a row a little before its own age.
        nearest = min(range(len(AGES_S)), key=lambda step: abs(AGES_S[step] - age_s))
        self._first_step, self._misses = min(self._first_step, nearest), 0

    def not_found(self, ages_s: Sequence[float]) -> None:
        """No row was there of answered runs of these ages."""
        if len(ages_s) >= GIVE_UP_AFTER:
            tried = sorted(ages_s)[-GIVE_UP_AFTER]
            self._tried_step = min(bisect_right(AGES_S, tried), len(AGES_S) - 1)

    def given_up(self, answered: int) -> None:
        """So many more answered runs got no row at all."""
        self._misses += answered
        if self._misses >= GIVE_UP_AFTER:
            self.fall_silent()
