"""Which runs still wait for a cost from the gateway's log, so that a display can wait for it a moment too."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .run import Run

__all__ = ["PATIENCE_S", "cost_follows", "cost_settled", "is_pending", "wait_for_cost", "wait_for_costs"]

PATIENCE_S = 0.5
"""A log row is there after 0.03 to 0.15 s as a rule; a display is not held up for longer than this."""
FRAME_PATIENCE_S = 1.5
"""A frame of the run log, which is asked for more rarely than a display, waits for costs so long."""

_pending: dict[str, tuple[threading.Event, threading.Thread]] = {}


def cost_follows(run: Run, by: threading.Thread | None = None) -> None:
    """The thread `by` (that which calls this) is looking for the run's cost, or goes on with that."""
    _pending.setdefault(run.run_id, (threading.Event(), by or threading.current_thread()))


def cost_settled(run: Run) -> None:
    """The cost is known, or will not be."""
    found = _pending.pop(run.run_id, None)
    if found is not None:
        found[0].set()


def is_pending(run: Run) -> bool:
    """Whether the cost may still come."""
    return run.run_id in _pending


def wait_for_cost(run: Run, seconds: float = PATIENCE_S) -> None:
    """Wait until the cost is settled, at most `seconds`; never on the thread that looks for it."""
    found = _pending.get(run.run_id)
    if found is not None and found[1] is not threading.current_thread():
        found[0].wait(seconds)


def wait_for_costs(seconds: float = FRAME_PATIENCE_S) -> None:
    """Wait until the costs of all runs of this process are settled, at most `seconds`."""
    end = time.monotonic() + seconds
    for event, thread in list(_pending.values()):
        if thread is not threading.current_thread() and thread.is_alive():
            event.wait(max(0.0, end - time.monotonic()))
