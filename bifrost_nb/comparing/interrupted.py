"""What the interrupt key makes of a comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .comparison import Comparison

__all__ = ["Interrupted"]


class Interrupted(KeyboardInterrupt):
    """A comparison was stopped by the interrupt key. `comparison` holds what was paid for until then.

    After it has been raised in a notebook or an interactive session, ``sys.last_value.comparison`` still reaches it.
    """

    def __init__(self, comparison: Comparison) -> None:
        done, total = len(comparison), len(comparison.plan.cells)
        super().__init__(
            f"{done:,} of {total:,} runs were made and are in the run log; run the cell again for the rest."
            " (import sys; sys.last_value.comparison shows them.)"
        )
        self.comparison = comparison

    def _render_traceback_(self, *_: Any, **__: Any) -> list[str]:
        return [f"Interrupted: {self}"]
