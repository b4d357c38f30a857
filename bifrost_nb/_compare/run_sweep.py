"""Run a sweep from the cell's thread: showing how far it is, with costs, and stopped by the interrupt key."""

from __future__ import annotations

from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from .._client.portal import portal
from .progress import Bar

if TYPE_CHECKING:
    from .._client.client import Client
    from .sweep import Sweep

__all__ = ["run_sweep"]

REDRAW_S = 0.1


def run_sweep(client: Client, sweep: Sweep, bar: Bar | None = None) -> bool:
    """Run `sweep` on the private loop; True if the interrupt key stopped it. A `bar` that was passed is left open.

    The first interrupt cancels every call and waits for their records, a second one leaves at once. What was answered
    is in `sweep.results` in both cases.
    """
    from .._foreground.undisturbed import undisturbed
    from .._foreground.wait import Interrupts, drain

    if sweep.progress.reused == sweep.progress.total:
        return False
    inbox: SimpleQueue[Any] = SimpleQueue()
    with undisturbed(), Interrupts(inbox) as interrupts:
        job = portal().start(sweep.run())
        shown = bar or Bar(sweep.progress)
        try:
            drain([job], inbox, lambda _: shown.update(), interrupts=interrupts, interval=REDRAW_S, idle=REDRAW_S)
            if not interrupts.count:
                job.result()
        except KeyboardInterrupt:
            return True
        finally:
            job.cancel()
            if bar is None:
                shown.close()
            else:
                shown.update()
    return bool(interrupts.count)
