"""Whether a call was good, and whether a rate holds: yes, no, or not to be told from what is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._runs.run import Run
    from .arrivals import Step

__all__ = ["LIMITS", "holds", "is_good"]

LIMITS = {"ttft_ms": False, "total_ms": False, "gap_max_ms": False, "tokens_per_s": True}
"""Metric of a service level -> whether it is a least value."""


def is_good(run: Run, slo: Mapping[str, float]) -> bool | None:
    """Whether `run` was answered within `slo`; None where a figure of it is unknown and none is beyond its limit.

    An answer in one piece has no gap and no speed.
    """
    if run.status != "ok" or run.is_fallback:
        return False
    unknown = False
    for name, limit in slo.items():
        value = getattr(run, name)
        if value is None:
            unknown = True
        elif value < limit if LIMITS[name] else value > limit:
            return False
    return None if unknown else True


def holds(step: Step, goods: list[bool | None], target: float) -> bool | None:
    """Whether the share of good calls of `step` is `target` at least; `goods` are those that no cache answered.

    None where calls that money did not suffice for, or whose figures are unknown, may decide it either way. Where a
    cache answered, or the deployment was the reason to stop, it does not hold.
    """
    if len(goods) < len(step.arrivals) or (step.stopped is not None and not step.cut):
        return False
    if goods.count(True) / step.planned >= target:
        return True
    return None if (step.planned - goods.count(False)) / step.planned >= target else False
