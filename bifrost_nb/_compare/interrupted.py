"""What the interrupt key makes of a comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .comparison import Comparison

__all__ = ["ComparisonInterrupted"]


class ComparisonInterrupted(KeyboardInterrupt):
    """A comparison was stopped by the interrupt key. `comparison` holds what was paid for until then.

    After it has been raised in a notebook or an interactive session, ``sys.last_value.comparison`` still reaches it.
    """

    def __init__(self, comparison: Comparison, *, judging: bool = False) -> None:
        answered = sum(run.status == "ok" for run in comparison.runs)
        total = len(comparison.plan.trials)
        rest = "run the cell again for the rest" if answered < total else "running the cell again sends nothing"
        under_way = getattr(comparison, "pending", 0)  # of a batch
        sent = f", {under_way:,} are in batch jobs, which are not sent again" if under_way else ""
        were, are = ("was", "is") if answered == 1 else ("were", "are")
        said = f"{answered:,} of {total:,} calls {were} answered and {are} in the run log{sent}; {rest}."
        if judging:  # which may ask models, so that there is something left to send
            said = "Judging was stopped; answers and judgements so far are kept. Run the cell again for the rest."
        super().__init__(f"{said} (import sys; sys.last_value.comparison shows them.)")
        self.comparison = comparison

    def _render_traceback_(self, *_: Any, **__: Any) -> list[str]:
        return [f"Interrupted: {self}"]
