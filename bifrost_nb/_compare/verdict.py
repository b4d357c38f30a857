"""Numbers as people say them: values with units, and the verdict of a difference."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .._display.describe import usd

if TYPE_CHECKING:
    from .difference import Difference

__all__ = ["amount", "verdict_text"]

# less of it, more of it
_WORDS = {"ms": ("faster", "slower"), "usd": ("cheaper", "dearer")}


def amount(value: float | None, metric: str) -> str:
    """`value` with the unit that `metric` ends in: milliseconds or seconds, dollars, tokens, plain numbers."""
    if value is None or value != value:
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if metric.endswith("_ms"):
        return f"{value / 1000:.3g} s" if abs(value) >= 1000 else f"{value:.3g} ms"
    if metric.endswith("_usd"):
        return ("-" if value < 0 else "") + usd(abs(value))
    unit = " tokens/s" if metric == "tokens_per_s" else " tokens" if metric.endswith("_tokens") else ""
    return f"{value:.3g}{unit}" if abs(value) < 1000 else f"{value:,.0f}{unit}"


def verdict_text(found: Difference) -> str:
    """The verdict, with what it rests on and what was left out."""
    return _verdict(found) + _left_out(found)


def _verdict(found: Difference) -> str:
    a, b = found.a, found.b
    if found.outcome == "refused":
        if found.reason and "was served by" in found.reason:
            return (
                f"Not compared: {found.reason}. Pass mixed='drop' to leave those runs out,"
                " or mixed='keep' to compare the two as services with their fallbacks."
            )
        return f"Not compared: {found.reason}."
    basis = f"n = {found.n}" if found.unit == "pairs" else f"n = {found.n} prompts"
    interval = _interval(found, found.low, found.high)
    if found.outcome == "unsure":
        more = f"; about {found.needed:,} needed to see a difference of {found.margin:.0%}" if found.needed else ""
        return f"Cannot tell with {basis}{more} (median difference {amount(found.estimate, found.metric)}, {interval})."
    if found.outcome == "equal":
        seen = " A difference can be seen, but it is below the margin." if found.low > 0 or found.high < 0 else ""
        return (
            f"Equal: {a} and {b} differ by less than {found.margin:.0%} in {found.metric}"
            f" (median difference {amount(found.estimate, found.metric)}, {interval}, {basis}).{seen}"
        )
    less, more = _WORDS.get(found.metric.rpartition("_")[2], ("lower", "higher"))
    word, share = (less, found.a_lower) if found.estimate < 0 else (more, found.a_higher)
    percent = "" if found.relative != found.relative else f" ({abs(found.relative):.0%})"
    ends = sorted((abs(found.low), abs(found.high)))  # both on the side that the word says, or it would not be said
    return (
        f"{a} is {word} than {b} by {amount(abs(found.estimate), found.metric)}{percent} in {found.metric}"
        f" ({_interval(found, *ends)}, {basis}), {word} in {share:.0%} of {found.unit}."
    )


def _interval(found: Difference, low: float, high: float) -> str:
    return f"{found.confidence:.0%} interval {amount(low, found.metric)} to {amount(high, found.metric)}"


def _left_out(found: Difference) -> str:
    if not found.excluded:
        return ""
    return " Left out: " + ", ".join(f"{count:,} runs {reason}" for reason, count in found.excluded.items()) + "."
