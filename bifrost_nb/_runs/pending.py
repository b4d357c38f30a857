"""Which runs still wait for a cost from the gateway's log, so that a display, a frame or a person can wait for it too.

Written by what looks for costs (`bifrost_nb._client.cost_lookup`), on its own thread; read and waited for on any other.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .run import Run

__all__ = [
    "PATIENCE_S",
    "UNATTENDED_PATIENCE_S",
    "cost_follows",
    "costs_settled",
    "is_pending",
    "somebody_waits",
    "wait_for_cost",
    "wait_for_costs",
]

UNATTENDED_PATIENCE_S = 8.0
"""A row of the gateway's log can be read 2 to 5 s after its answer (measured, see `_client.look_times`)."""
PATIENCE_S = 0.5
"""A display is not held up for longer than this; real gateways write their rows after 2 to 5 s, so it often goes on
without a cost."""
FRAME_PATIENCE_S = 1.5
"""A frame of the run log, which is asked for more rarely than a display, waits for costs so long."""

_pending: dict[str, threading.Thread] = {}
"""run_id -> the thread that looks for its cost."""
_settled = threading.Condition()
_waiters: set[int] = set()
"""A number for each that waits just now."""
_marks = itertools.count()


def cost_follows(run: Run, by: threading.Thread | None = None) -> None:
    """The thread `by` (that which calls this) is looking for the run's cost, or goes on with that."""
    _pending.setdefault(run.run_id, by or threading.current_thread())


def costs_settled(runs: Iterable[Run]) -> None:
    """The costs are known, or will not be."""
    known = [_pending.pop(run.run_id, None) for run in runs]
    if any(known):
        with _settled:
            _settled.notify_all()


def is_pending(run: Run) -> bool:
    """Whether the cost may still come."""
    return run.run_id in _pending


def somebody_waits() -> bool:
    """Whether a thread is held up until a cost is there, so that it is worth hurrying."""
    return bool(_waiters)


def wait_for_cost(run: Run, seconds: float = PATIENCE_S) -> None:
    """Wait until the cost is settled, at most `seconds`; never on the thread that looks for it."""
    wait_for_costs([run], seconds)


def wait_for_costs(runs: Iterable[Run] | None = None, seconds: float = FRAME_PATIENCE_S) -> int:
    """Wait until the costs of `runs` (None: of all runs of this process) are settled, at most `seconds`.

    Returns how many are still awaited.
    """
    me = threading.current_thread()
    left = set(_pending) if runs is None else {run.run_id for run in runs}

    def settled() -> bool:
        left.intersection_update(_pending)  # without a step of Python's for each: asked again whenever a cost comes
        idle = {by for by in set(map(_pending.get, left)) if by is None or by is me or not by.is_alive()}
        if idle:
            left.difference_update([one for one in left if _pending.get(one) in idle])
        return not left

    if not settled():
        mark = next(_marks)
        _waiters.add(mark)
        try:
            with _settled:
                _settled.wait_for(settled, seconds)
        finally:
            _waiters.discard(mark)
    return len(left)
