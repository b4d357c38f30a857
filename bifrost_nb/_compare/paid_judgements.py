"""What functions that asked models judged in this process, so that no thread pays again for the same answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .same_function import sameness

if TYPE_CHECKING:
    from .._runs.run import Run
    from .scoring import Judged

__all__ = ["AtIt", "JudgedOf", "Judgements", "judgements_of"]

JudgedOf = tuple[str, str]
"""The id of an answer's run, and a digest of the row of inputs that it was judged with."""

PATIENCE_S = 10.0
"""So long is waited for a judgement that has asked no model yet, or that an interrupt left behind: it may be stuck."""


class AtIt:
    """A judgement that is under way: what is judged, as it was before, and the runs that were made for it by now."""

    def __init__(self, of: JudgedOf, calls: list[Run]) -> None:
        self.of, self.calls = of, calls
        self.judged: Judged | None = None
        """What came of it; None until it has ended well."""
        self._since, self._left = time.monotonic(), False

    def leave(self) -> None:
        """Nobody waits for it any more, after an interrupt; perhaps because it was stuck."""
        self._since, self._left = time.monotonic(), True

    @property
    def may_be_stuck(self) -> bool:
        """Whether it has had its time. A call that somebody waits for ends at its limit."""
        return (self._left or not self.calls) and time.monotonic() - self._since > PATIENCE_S


class Judgements:
    """Those of one function, by what was judged."""

    def __init__(self) -> None:
        self.known: dict[JudgedOf, Judged] = {}
        """What was paid for."""
        self._under_way: dict[JudgedOf, AtIt] = {}
        self._lock = threading.Lock()

    def turn(self, mine: AtIt) -> AtIt:
        """Who judges that answer: `mine`, until `end`, unless another thread is at it or has just paid for it."""
        with self._lock:
            if (known := self.known.get(mine.of)) is not None:
                other = AtIt(mine.of, [])
                other.judged = known
                return other
            at_it = self._under_way.get(mine.of)
            if at_it is None or at_it.may_be_stuck:
                at_it = self._under_way[mine.of] = mine
            return at_it

    def keep(self, mine: AtIt, judged: Judged, *, paid: bool) -> None:
        """What came of `mine`, for whoever waits for it, and for later where it was paid for."""
        with self._lock:
            mine.judged = judged
            if paid:
                self.known[mine.of] = judged

    def end(self, mine: AtIt) -> None:
        """`mine` is over. Where nothing came of it, whoever waits for it judges by himself."""
        with self._lock:
            if self._under_way.get(mine.of) is mine:
                del self._under_way[mine.of]


_OF: dict[Any, Judgements] = {}


def judgements_of(scorer: Callable[..., Any]) -> Judgements:
    """The judgements of `scorer`; ``fresh=True`` judges anew.

    What it reads from elsewhere, or what changed inside an object that it closes over, is not seen.
    """
    return _OF.setdefault(sameness(scorer), Judgements())
