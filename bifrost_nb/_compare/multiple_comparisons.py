"""Many differences at once, corrected for their number (Holm; what is equal, Bonferroni), and who is best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any, Unpack

from .._suggest import did_you_mean
from ..errors import ConfigurationError
from . import groups
from .difference import Difference, DifferenceOptions, PairedRuns, decided, difference_of
from .metrics import checked_options, checked_statistic, higher_is_better, unknown_metric
from .summary import measured
from .verdict import NOT_COMPARED

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Best", "best", "differences", "equal_confidence", "shared_confidence", "table_of", "unanswered"]

_COLUMNS = (
    *("a", "b", "outcome", "winner", "metric", "statistic", "estimate", "low", "high", "n"),
    *("better", "worse", "same", "p_value", "p_adjusted", "verdict"),
)
"""Who won stands beside the names, so that it is in sight: the table is wider than most pages."""
MOST_NAMED = 4
"""So many names stand in a list of a sentence; who they all are is in the table of differences."""
_LIMITS = ("max_cost_usd_per_1000", "max_p50_ms", "max_p95_ms")
_INTEGERS = ("n", "better", "worse", "same")
_FLOATS = ("estimate", "low", "high", "p_value", "p_adjusted")


@dataclass(frozen=True, slots=True)
class Best:
    """Who is best in `metric`: `names`, the leader first, then all that cannot be told from it; `out` are the others.

    Of two that were not compared (their times are of different sweeps) neither leads: both are in `names`.
    """

    metric: str
    names: list[str]
    out: Mapping[str, str]
    """Name to reason: worse than the leader, or beyond a limit."""
    differences: pd.DataFrame = field(repr=False)
    """A row for each pair, as `Comparison.differences` has it."""
    partial: Mapping[str, str] = field(default_factory=dict)
    """Of `names` who did not answer everything, and how much: what failed is left out, and is often what is hard."""
    figures: Mapping[str, float] = field(default_factory=dict, repr=False)
    """Of all that were compared the median or mean over what all have answered, by which the leader was found."""

    @property
    def verdict(self) -> str:
        """One sentence for people."""
        if not self.names:
            return f"Nobody leads in {self.metric}: {'; '.join(_grouped(self.out)) or 'there are no runs'}."
        leader, *others = self.names
        refused, level = self._not_compared(), self.level
        equals = [name for name in others if name not in (*refused, *level)]
        said = f"{leader} leads in {self.metric}"
        if level:
            first = " and ".join([leader, *level]) if len(level) == 1 else _listed([leader, *level])
            said = f"{first} have the same figure in {self.metric}, and none leads"
        elif refused and not equals and len(refused) == len(others):
            said = f"{leader} has the best figure in {self.metric}"
        said += f"; {_listed(equals)} cannot be told from {'them' if level else 'it'}" if equals else ""
        said += "".join(f"; {name} was not compared with it: {why}" for name, why in refused.items())
        out = "; ".join(_grouped(self.out))
        missing = "".join(f" {each}, which does not count here." for each in _grouped(self.partial))
        rest = f"{'. Out' if others else ', and every other is out'}: {out}" if out else ""
        return f"{said}{rest}.{missing}"

    @property
    def level(self) -> list[str]:
        """Who has the very figure of the first of `names`, as where all answers are right: none of them leads."""
        best = self.figures.get(self.names[0], math.nan) if self.names else math.nan
        refused = self._not_compared() if self.names else {}
        # the same numbers, added up in another order, may differ in their last digit
        same = [name for name in self.names[1:] if math.isclose(self.figures.get(name, math.nan), best, rel_tol=1e-12)]
        return [name for name in same if name not in refused]

    def _not_compared(self) -> dict[str, str]:
        """Why others were not compared with the leader."""
        found: dict[str, str] = {}
        for one in self.differences.to_dict("records"):
            pair = (one["a"], one["b"])
            if one["outcome"] == "refused" and self.names[0] in pair:
                other = _other(one, self.names[0])
                found[other] = str(one["verdict"]).removeprefix(NOT_COMPARED).rstrip(".")
        return {name: found[name] for name in self.names if name in found}

    def __repr__(self) -> str:
        return f"Best({self.metric!r}): {self.verdict}"

    def _repr_html_(self) -> str:
        from .._display.html import verdict

        return verdict(f"Best in {self.metric}", self.verdict)


def _listed(names: Sequence[str]) -> str:
    """The names; of many the first, and how many more."""
    if len(names) <= MOST_NAMED:
        return ", ".join(names)
    return f"{', '.join(names[: MOST_NAMED - 1])} and {len(names) - MOST_NAMED + 1} more"


def _grouped(reasons: Mapping[str, str]) -> list[str]:
    """Each reason once, with all who have it."""
    names: dict[str, list[str]] = {}
    for name, why in reasons.items():
        names.setdefault(why, []).append(name)
    return [f"{each[0]} {why}" if len(each) == 1 else f"{_listed(each)}: each {why}" for why, each in names.items()]


def differences(
    frame: pd.DataFrame, metric: str, baseline: str | None = None, **options: Unpack[DifferenceOptions]
) -> pd.DataFrame:
    """A row for each pair, or for each name against `baseline`; see `Comparison.differences`."""
    checked_options("differences()", options, DifferenceOptions.__annotations__)
    runs = PairedRuns(frame)
    names = runs.labels.known(_asked_by(runs.labels, options))
    if baseline is not None and baseline not in names:
        hint = did_you_mean(baseline, names).strip() or f"Known are {', '.join(names)}."
        raise ConfigurationError(f"{baseline!r} is not in this frame.", hint=hint)
    if len(names) < 2:
        raise ConfigurationError(f"There is only {names[0] if names else 'nothing'} to compare.")
    chosen = list(combinations(names, 2)) if baseline is None else [(n, baseline) for n in names if n != baseline]
    if options.get("order") is not None:  # intervals that hold at any look have no p-value to correct (Holm)
        options = {**options, "confidence": shared_confidence(options.get("confidence", 0.95), len(chosen))}
    found = [difference_of(runs, a, b, metric, **options) for a, b in chosen]
    tested = sum(one.outcome != "refused" for one in found)
    if options.get("order") is None and tested > 2:
        found = [_equal_among(one, tested, runs, options) if one.outcome == "equal" else one for one in found]
    return table_of(found)


def equal_confidence(confidence: float, pairs: int) -> float:
    """That of the interval that calls one of so many pairs equal: of its two ends, one can be on the wrong side."""
    return max(confidence, 2 * shared_confidence(confidence, pairs) - 1)


def _equal_among(one: Difference, pairs: int, runs: PairedRuns, options: DifferenceOptions) -> Difference:
    """`one`, called equal by its own interval, as what it is among so many `pairs` (Bonferroni).

    An interval of 95 % is inside the margin of a difference that is as large as that in 2.5 of 100. Of six variants,
    three of them better than the others by the margin, one such pair was called equal in 13 to 18 of 100 comparisons,
    of four in 8; it is in 1 to 3 and in 2 (40 and 200 inputs, scores and medians of times, 400 trials each).
    """
    asked: DifferenceOptions = {**options, "confidence": equal_confidence(one.confidence, pairs)}
    again = difference_of(runs, one.a, one.b, one.metric, **asked)
    if again.outcome == "equal":
        return one
    reason = f"The interval is inside the margin as that of one pair; corrected for all {pairs} it is not"
    return replace(one, outcome="unsure", reason=reason)


def _asked_by(labels: groups.Labels, options: DifferenceOptions) -> groups.By:
    """What is compared. Raises ConfigurationError."""
    by = options.get("by")
    if by is None:
        return groups.default_by(labels.frame)
    groups.check_by(by, labels.known("template") if by == "template" else None)
    return by


def shared_confidence(confidence: float, pairs: int) -> float:
    """The confidence of each of so many intervals that all hold together with `confidence` (Bonferroni)."""
    return 1 - (1 - confidence) / max(1, pairs)


def best(frame: pd.DataFrame, metric: str, limits: Mapping[str, float], **options: Unpack[DifferenceOptions]) -> Best:
    """The leader and all that cannot be told from it, among those within `limits`; see `Comparison.best`.

    The leader is chosen by the same data that it is tested with, so all pairs are corrected for, not only its own.
    """
    checked_options("best()", options, (*DifferenceOptions.__annotations__, *_LIMITS))
    frame = frame.reset_index(drop=True)
    labels = groups.Labels(frame)
    by = _asked_by(labels, options)
    options = {**options, "by": by}
    label, known = labels.names(by), labels.known(by)
    if not isinstance(metric, str) or metric not in frame or frame[metric].dtype.kind not in "iufb":
        raise unknown_metric(metric, frame)
    out: dict[str, str] = {}
    for name in known:
        if reason := _beyond(frame[(label == name).fillna(value=False)], limits):
            out[name] = reason
    inside = [name for name in known if name not in out]
    fold = "median" if checked_statistic(metric, options.get("statistic")) == "median" else "mean"
    figures = _figures(frame[label.isin(inside).fillna(value=False)], metric, by, fold)
    for name in inside:
        if name not in figures:
            out[name] = f"has no {metric}"
    sign = -1 if higher_is_better(metric) else 1
    order = sorted((name for name in inside if name in figures), key=lambda name: sign * figures[name])
    if len(order) < 2:
        return Best(metric, order, out, table_of([]), figures=figures)
    table = differences(frame[label.isin(order)], metric, **options)
    won = {(one["winner"], _other(one, one["winner"])) for one in table[table["winner"].notna()].to_dict("records")}
    beaten = {loser for _, loser in won}
    leader = next((name for name in order if name not in beaten), order[0])
    lost = {name: f"is worse than {leader}" for name in order if (leader, name) in won}
    names = [leader, *(name for name in order if name not in (leader, *lost))]
    partial = {name: how for name in names if (how := unanswered(frame[(label == name).fillna(value=False)]))}
    return Best(metric, names, {**out, **lost}, table, partial, figures)


def _figures(frame: pd.DataFrame, metric: str, by: groups.By, fold: str) -> dict[str, float]:
    """Each name's figure, of what all have answered where there is anything: a deployment that fails on what is hard
    has the better mean for it. What a cache answered or nobody says nothing of a deployment."""
    own = frame[measured(frame) & frame[metric].notna()]
    label, value = groups.names(own, by), own[metric].astype("float64")
    cells = value.groupby([groups.inputs(own), own["repeat"].fillna(0), label]).mean().unstack()
    of = cells.dropna() if len(cells.dropna()) else cells
    return {str(name): float(column.dropna().agg(fold)) for name, column in of.items()}


def _other(pair: Mapping[Any, Any], name: str) -> str:
    return str(pair["b"] if pair["a"] == name else pair["a"])


def unanswered(runs: pd.DataFrame) -> str | None:
    """How many of `runs` have no answer, in words; None where all have."""
    failed = int(runs["status"].ne("ok").fillna(value=True).sum())
    return f"did not answer {failed:,} of {len(runs):,}" if failed else None


def _beyond(runs: pd.DataFrame, limits: Mapping[str, float]) -> str | None:
    from .verdict import amount

    clean = runs[measured(runs)]
    for name, limit in limits.items():
        values = clean["cost_usd" if name.startswith("cost") else "total_ms"].dropna().astype("float64")
        if values.empty:
            return f"has no known {'cost' if name.startswith('cost') else 'time'}"
        figure = 1000 * values.mean() if name.startswith("cost") else values.quantile(0.5 if "p50" in name else 0.95)
        if figure > limit:
            unit = "cost_usd" if name.startswith("cost") else "total_ms"
            what = "per 1,000 runs" if name.startswith("cost") else f"at {name[:3]}"
            return f"takes {amount(float(figure), unit)} {what}, above {amount(float(limit), unit)}"
    return None


def table_of(found: Sequence[Difference]) -> pd.DataFrame:
    """A row for each difference, corrected for their number."""
    import pandas as pd

    adjusted = holm([one.p_value for one in found])
    rows: list[dict[str, Any]] = []
    for one, p_value in zip(found, adjusted, strict=True):
        judged = decided(one, p_value)
        rows.append({name: getattr(judged, name, None) for name in _COLUMNS} | {"p_adjusted": p_value})
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    dtypes = {name: "Int64" if name in _INTEGERS else "Float64" if name in _FLOATS else "string" for name in _COLUMNS}
    return table.astype(dtypes)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction; NaN (nothing was tested) stays and does not count."""
    order = sorted((place for place, p in enumerate(p_values) if p == p), key=lambda place: p_values[place])
    adjusted, largest = list(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted
