"""Numbers as people say them: values with units, and the verdict of a difference."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from .._display.describe import duration, usd
from .._runs.pending import is_pending

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from .._runs.run import Run
    from .difference import Difference

__all__ = [
    "ANYTIME",
    "NOT_COMPARED",
    "OTHER_SWEEP",
    "Mixture",
    "amount",
    "cost_text",
    "counts_text",
    "lead",
    "margin_text",
    "points_text",
    "verdict_text",
]

ANYTIME = "valid whenever sending stops"
"""Of an interval that holds at any look."""
NOT_COMPARED = "Not compared: "
OTHER_SWEEP = "sent in another sweep than their partner (fresh=True measures them together)"
"""Why runs are left out of `Difference.excluded`; where no pair is left, the reason of the refusal says it."""

# less of it, more of it
_WORDS = {"ms": ("faster", "slower"), "usd": ("cheaper", "dearer")}


def amount(value: float | None, metric: str) -> str:
    """`value` with the unit that `metric` ends in: a time, dollars, tokens, plain numbers."""
    if value is None or value != value:
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if metric.endswith("_ms"):
        return duration(value)
    if metric.endswith("_usd"):
        return usd(value)
    unit = " tokens/s" if metric == "tokens_per_s" else " tokens" if metric.endswith("_tokens") else ""
    return f"{value:.3g}{unit}" if abs(value) < 999.5 else f"{value:,.0f}{unit}"


def counts_text(values: pd.Series[Any]) -> str:
    """Each value with how often it is there, the most frequent first: counts, since a share of a few claims more."""
    return ", ".join(f"{value} ({count:,} of {len(values):,})" for value, count in values.value_counts().items())


def cost_text(runs: Iterable[Run]) -> str:
    """What `runs` cost so far, with how many costs are still awaited from the gateway's log, or unknown."""
    every = list(runs)
    costs = [run.cost_usd for run in every if run.cost_usd is not None]
    lacking = [run for run in every if run.cost_usd is None and run.status == "ok"]
    awaited = sum(map(is_pending, lacking))
    if not costs:
        return f"not known yet, {awaited:,} awaited" if awaited else "unknown"
    said = [usd(sum(costs))]
    said += [f"{awaited:,} awaited"] if awaited else []
    said += [f"{len(lacking) - awaited:,} unknown"] if len(lacking) > awaited else []
    return " + ".join(said)


def verdict_text(found: Difference) -> str:
    """The verdict, with what it rests on and what was left out."""
    notes = "".join(f" {note}." for note in (found.caution, *found.notes) if note)
    return _verdict(found) + notes + _left_out(found)


class Mixture(str):
    """A reason to say nothing: several served a side, so that ``mixed=`` helps."""

    __slots__ = ()


def _verdict(found: Difference) -> str:
    from .metrics import is_score

    if found.outcome == "refused":
        if isinstance(found.reason, Mixture):
            return (
                f"{NOT_COMPARED}{found.reason}. Pass mixed='drop' to leave those runs out,"
                " or mixed='keep' to compare the two as services with their fallbacks."
            )
        return f"{NOT_COMPARED}{found.reason}."
    if found.outcome == "unsure":
        return _unsure(found)
    if found.outcome == "equal":
        seen = " A difference can be seen, but it is below the margin." if found.low > 0 or found.high < 0 else ""
        return (
            f"Equal: {found.a} and {found.b} differ by less than {_margin(found)} in {found.metric}"
            f" ({_basis(found)}, n = {_inputs(found.n)}).{seen}"
        )
    return _score(found) if is_score(found.metric) else _figure(found)


def _unsure(found: Difference) -> str:
    from .difference import FEWEST_INPUTS, FEWEST_INPUTS_P95

    fewest = FEWEST_INPUTS_P95 if found.statistic == "p95" else FEWEST_INPUTS
    head = f"Cannot tell with n = {_inputs(found.n)}"
    if found.n < fewest:
        return f"{head}: a verdict needs {fewest} or more ({_basis(found)})."
    more = f"; about {found.needed:,} needed to see a difference of {_margin(found)}" if found.needed else ""
    doubt = f" {found.reason}." if found.reason else ""
    return f"{head}{more} ({_basis(found)}; {_counts(found)}).{doubt}"


def _score(found: Difference) -> str:
    """`Against b, a is better by 26 points (18 to 34): better on 27 of 100 inputs, worse on 1, the same on 72.`"""
    word = "better" if found.estimate > 0 else "worse"
    return f"Against {found.b}, {found.a} is {word} by {lead(found)}: {_counts(found)}."


def lead(found: Difference) -> str:
    """By how much one score is above the other: ``26 points (18 to 34)``."""
    low, high = sorted((abs(found.low), abs(found.high)))
    scale = 100 if found.points else 1
    unit = " points" if found.points else ""
    ever = f", {ANYTIME}" if found.anytime else ""
    return f"{_plain(scale * abs(found.estimate))}{unit} ({_plain(scale * low)} to {_plain(scale * high)}{ever})"


def _figure(found: Difference) -> str:
    less, more = _WORDS.get(found.metric.rpartition("_")[2], ("lower", "higher"))
    word = less if found.estimate < 0 else more
    better = (found.estimate < 0) != (found.metric == "tokens_per_s")
    count = found.better if better else found.worse
    percent = "" if found.relative != found.relative else f" ({abs(found.relative):.0%})"
    ends = sorted((abs(found.low), abs(found.high)))  # both on the side that the word says, or it would not be said
    of = "" if found.statistic == "median" else f" {found.statistic}"
    return (
        f"{found.a} is {word} than {found.b} by {_value(found, abs(found.estimate))}{_per(found)}{percent} in{of}"
        f" {found.metric} ({_interval(found, *ends)}, n = {_inputs(found.n)}),"
        f" {word} {_on(count, found.n)}."
    )


def _on(count: int, total: int) -> str:
    """Of how many inputs, counted: a share of a few says more than they do."""
    return f"on all {_inputs(total)}" if count == total else f"on {count:,} of {_inputs(total)}"


def _counts(found: Difference) -> str:
    return f"better on {found.better:,} of {_inputs(found.n)}, worse on {found.worse:,}, the same on {found.same:,}"


def _inputs(count: int) -> str:
    return f"{count:,} {'input' if count == 1 else 'inputs'}"


def _basis(found: Difference) -> str:
    """The figure and its interval, in brackets behind a sentence."""
    figure = f"{_value(found, found.estimate)}{_per(found)}"
    return f"{found.statistic} difference {figure}, {_interval(found, found.low, found.high)}"


def _per(found: Difference) -> str:
    """Mean costs are told for 1,000 runs, as tables, charts and gates tell them: of one run they are mostly zeros."""
    return " per 1,000 runs" if found.metric.endswith("cost_usd") and found.statistic == "mean" else ""


def _interval(found: Difference, low: float, high: float) -> str:
    if math.isinf(low) and math.isinf(high):
        return f"too few for a {found.confidence:.0%} interval"
    ever = f", {ANYTIME}" if found.anytime else ""
    return f"{found.confidence:.0%} interval {_value(found, low)} to {_value(found, high)}{ever}"


def _value(found: Difference, value: float) -> str:
    if found.points:
        return "–" if value != value else amount(value, "") if math.isinf(value) else f"{_plain(100 * value)} points"
    return amount(1_000 * value if _per(found) else value, found.metric)


def _margin(found: Difference) -> str:
    from .metrics import is_score

    if not is_score(found.metric):
        return f"{found.margin:.0%}"
    return margin_text(found.margin, points=found.points)


def margin_text(margin: float, *, points: bool) -> str:
    """The margin of a score."""
    return f"{_plain(100 * margin)} points" if points else f"{margin:.3g}"


def points_text(value: float) -> str:
    """A score from -1 to 1 in points, without the word."""
    return _plain(100 * value)


def _plain(value: float) -> str:
    """Two digits where there are no more: 26, 0.43."""
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.2g}"


def _left_out(found: Difference) -> str:
    said = OTHER_SWEEP if found.outcome == "refused" else None
    left = [
        f"{count:,} {'run' if count == 1 else 'runs'} {reason}"
        for reason, count in found.excluded.items()
        if reason != said
    ]
    return f" Left out: {', '.join(left)}." if left else ""
