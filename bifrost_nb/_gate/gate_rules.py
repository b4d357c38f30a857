"""The rules of a gate, each decided from an interval: holds, does not hold, or cannot be told.

A rule holds where the figure is on its right side with the wanted confidence (a one-sided test), and does not hold
where it is on the wrong side with the same confidence; between the two the data does not say. A gate passes only where
every rule holds, which needs no correction for their number; it fails where one does not, so that side is corrected
(Bonferroni). How often it errs was measured, see `bifrost_nb._gate.gate`.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from .._compare import groups
from .._compare.difference import (
    FEWEST_INPUTS,
    FEWEST_INPUTS_MONEY,
    FEWEST_INPUTS_P95,
    Mixed,
    difference,
    of_several,
    rare_kind,
)
from .._compare.metrics import Statistic, default_margin, higher_is_better, is_score, is_time, score_columns
from .._compare.summary import measured
from .._compare.verdict import Mixture, amount
from .._numbers import number
from .._safe_text import plain, quoted
from .._statistics.bounded_means import limit_interval
from .._statistics.intervals import mean_interval
from .._suggest import did_you_mean
from ..errors import ConfigurationError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["GateOutcome", "Rule", "RuleCheck", "Sides", "decide", "parse_rules"]

GateOutcome = Literal["passed", "failed", "undecided"]
Kind = Literal["not worse", "better", "at least", "at most"]
_TEXT = re.compile(
    r"\s*(?:(?P<kind>not worse)(?:\s+(?:by|than)\s+(?P<margin>[\d.]+)\s*(?P<percent>%)?)?|(?P<better>better)"
    r"|(?P<limit>at least|at most)\s+(?P<value>-?[\d.]+)\s*(?P<share>%)?)\s*\Z",
    re.IGNORECASE,
)


class Figure(NamedTuple):
    """What a rule is about: a column, the statistic of it, and the unit in which limits are given."""

    column: str
    statistic: Literal["mean", "p50", "p95", "p99"]
    unit: str
    """As `verdict.amount` reads it; ``""`` for plain numbers."""
    scale: float = 1.0
    """What the column is multiplied by before it is set against a limit."""


FIGURES: Mapping[str, Figure] = {
    "p50_ms": Figure("total_ms", "p50", "total_ms"),
    "p95_ms": Figure("total_ms", "p95", "total_ms"),
    "p99_ms": Figure("total_ms", "p99", "total_ms"),
    "ttft_p50_ms": Figure("ttft_ms", "p50", "ttft_ms"),
    "ttft_p95_ms": Figure("ttft_ms", "p95", "ttft_ms"),
    "cost_usd_per_1000": Figure("cost_usd", "mean", "cost_usd", 1000.0),
    "error_rate": Figure("score_answered", "mean", "share"),  # 1 or 0, so that it is counted as scores are
}
ANSWERED = "score_answered"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule as it was asked for: the name of a figure, what is wanted of it, and the number."""

    name: str
    kind: Kind
    value: float
    percent: bool
    figure: Figure

    @property
    def relative(self) -> bool:
        """Whether it needs a baseline."""
        return self.kind in ("not worse", "better")

    @property
    def higher_is_better(self) -> bool:
        return higher_is_better(self.figure.column)

    @property
    def at_least(self) -> bool:
        """Whether the figure (for a relative rule: candidate minus baseline) is to be at or above the limit."""
        return self.higher_is_better if self.relative else self.kind == "at least"

    def say(self, value: float) -> str:
        """`value` with its unit."""
        if self.figure.unit == "share":
            return f"{100 * value:.3g}%"
        return amount(value, self.figure.unit) + (" per 1,000 runs" if self.figure.scale != 1 else "")

    @property
    def edge(self) -> str:
        """`value` as it was asked for."""
        return f"{100 * self.value:.3g}%" if self.percent else self.say(self.value)

    def __str__(self) -> str:
        if self.kind == "better":
            return "better"
        return f"{self.kind} by {self.edge}" if self.relative else f"{self.kind} {self.edge}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleCheck:
    """One rule of a gate with what was found: `outcome`, the figure with its interval, and a `sentence` for people.

    `name` is what the rule is about (``score``, ``p95_ms``), `rule` what is asked (``not worse by 0.02``).
    `estimate`, `low` and `high` are in the rule's unit, of the candidate's figure, or for a rule against a baseline of
    candidate minus baseline (for a share: minus the baseline's figure with the margin on it). `n` counts inputs.
    """

    name: str
    rule: str
    outcome: GateOutcome
    sentence: str
    estimate: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Sides:
    """The runs of a gate: frames of the candidate and of the baseline (None: there is none), and their names."""

    candidate: pd.DataFrame
    name: str
    baseline: pd.DataFrame | None
    baseline_name: str | None
    mixed: Mixed
    seed: int


_Ends = Callable[[int], tuple[float, float]]


class _Interval(NamedTuple):
    estimate: float
    low: float
    high: float
    n: int
    words: str
    """The figures, for the sentence."""
    refused: str | None = None
    """Why nothing can be said."""
    graded: bool = False
    """Whether scores are paired that are not all 0 or 1: their interval does not know what is rare."""
    with_inputs: _Ends | None = None
    """Of a share: its interval's ends if so many inputs had given it."""


_Bounds = Callable[[float], _Interval]


def parse_rules(asked: Mapping[str, Any], frame: pd.DataFrame) -> list[Rule]:
    """The rules of keyword arguments. Raises ConfigurationError for an unknown figure or words."""
    return [_parse(name, wanted, frame) for name, wanted in asked.items() if wanted is not None]


def _parse(name: str, wanted: Any, frame: pd.DataFrame) -> Rule:
    figure = _figure(name, frame)
    score = is_score(figure.column)
    limit = number(wanted)
    if limit is not None and math.isfinite(limit):
        more = higher_is_better(figure.column) and figure.column != ANSWERED
        return Rule(name, "at least" if more else "at most", _share(name, figure, limit), False, figure)
    found = _TEXT.match(wanted) if isinstance(wanted, str) else None
    if found is None:
        raise ConfigurationError(
            f"{name}={quoted(wanted, 60)} is no rule.",
            hint="Write a number, 'at least 0.9', 'at most 1500', 'not worse by 0.02', 'not worse by 10%' or 'better'.",
        )
    if found["better"]:
        kind: Kind = "better"
        value, percent = 0.0, False
    elif found["kind"]:
        kind = "not worse"
        percent = bool(found["percent"]) if found["margin"] else not score
        value = _number(name, found["margin"], found["percent"]) if found["margin"] else default_margin(figure.column)
    else:
        kind = "at least" if found["limit"].lower() == "at least" else "at most"
        value, percent = _share(name, figure, _number(name, found["value"], found["share"])), False
    relative = kind in ("not worse", "better")
    if relative and percent and score:
        raise ConfigurationError(f"{name}: a margin of scores is in their own unit: 0.02 for two points, not a share.")
    if relative and figure.statistic == "p99":
        raise ConfigurationError(f"{name} is held to a limit only.", hint="Against a baseline there are p50 and p95.")
    if percent and not 0 <= value < 1:
        raise ConfigurationError(f"{name}: a margin is from 0 to below 100%, not {100 * value:g}%.")
    return Rule(name, kind, value, percent, figure)


def _number(name: str, text: str, percent: str | None) -> float:
    try:
        return float(text) / (100 if percent else 1)
    except ValueError:
        raise ConfigurationError(f"{name}: {plain(text, 40)} is no number.") from None


def _share(name: str, figure: Figure, limit: float) -> float:
    if figure.unit == "share" and not 0 <= limit <= 1:
        raise ConfigurationError(f"{name} is a share from 0 to 1, not {limit:g}.", hint="Write 0.05, or 'at most 5%'.")
    return limit


def _figure(name: str, frame: pd.DataFrame) -> Figure:
    if name in FIGURES:
        return FIGURES[name]
    scores = list(dict.fromkeys([*score_columns(frame), *(["valid"] if "valid" in frame else [])]))
    for column in (name, f"score_{name}"):
        if column in scores:
            return Figure(column, "mean", "")
    known = [*scores, *FIGURES]
    hint = did_you_mean(name, known).strip() or f"Known are {', '.join(map(plain, known))}."
    raise ConfigurationError(
        f"{plain(name, 60)!r} is no figure of this comparison that a rule can be about.", hint=hint
    )


def decide(rule: Rule, sides: Sides, confidence: float, rules: int) -> RuleCheck:
    """`rule` held against the runs; `rules` is how many the gate has."""
    miss = 1 - confidence
    bounds, limit = (_relative if rule.relative else _absolute)(rule, sides)
    found = bounds(1 - 2 * miss)
    outcome: GateOutcome = "undecided"
    if found.refused is None:
        strict = found if rules == 1 else bounds(1 - 2 * miss / rules)
        if (found.low >= limit if rule.at_least else found.high <= limit) and not _level(rule, found):
            outcome = "passed"
        elif strict.high < limit if rule.at_least else strict.low > limit:
            outcome = "failed"
    return RuleCheck(
        name=rule.name,
        rule=str(rule),
        outcome=outcome,
        sentence=_sentence(rule, sides, found, outcome, limit, confidence),
        estimate=found.estimate,
        low=found.low,
        high=found.high,
        n=found.n,
    )


def _level(rule: Rule, found: _Interval) -> bool:
    """Whether the interval touches 0 where a candidate is to be better: one that costs the same is not."""
    near = found.low if rule.at_least else found.high
    return rule.kind == "better" and math.isclose(near, 0, abs_tol=1e-9)


def _sentence(rule: Rule, sides: Sides, found: _Interval, outcome: GateOutcome, limit: float, confidence: float) -> str:
    if found.refused is not None:
        return f"{rule.name}: cannot tell: {found.refused}."
    edge, basis = rule.edge, f"{100 * confidence:.3g}% confidence, n = {found.n:,} inputs"
    if rule.kind == "better":
        said = {"passed": "better", "failed": "worse", "undecided": "neither shown to be better nor to be worse"}
    elif rule.relative:
        said = {
            "passed": f"worse by more than {edge} is ruled out",
            "failed": f"worse by more than {edge}",
            "undecided": f"worse by more than {edge} is neither shown nor ruled out",
        }
    else:
        right, wrong = ("at least", "below") if rule.at_least else ("at most", "above")
        said = {
            "passed": f"{right} {edge}",
            "failed": f"{wrong} {edge}",
            "undecided": f"cannot be told from {edge}",
        }
    more = _more(found, limit) if outcome == "undecided" else _rare(rule, found)
    return f"{rule.name}: {found.words}: {said[outcome]} ({basis}).{more}"


def _rare(rule: Rule, found: _Interval) -> str:
    """What a verdict on money or paired grades cannot know from so few inputs, as `Difference.caution` says it.

    Where one answer in twenty of a candidate is 0 and its other grades are spread as the baseline's, "not worse by" the
    difference itself passes 35 of 100 at 20 inputs and 11 at 50 (300 trials).
    """
    if found.n >= FEWEST_INPUTS_MONEY or not (found.graded or rule.figure.column == "cost_usd"):
        return ""
    return f" {rare_kind(found.n, 'the poorest answers') if found.graded else rare_kind(found.n)}."


def _more(found: _Interval, limit: float) -> str:
    """How many inputs would decide if the figure stays.

    Of a share it is searched for; else the distance to the interval's end on the limit's side falls with the root of n.
    """
    above = found.estimate > limit
    distance, side = abs(found.estimate - limit), found.estimate - found.low if above else found.high - found.estimate
    if not distance or not math.isfinite(side) or side <= 0:
        return ""
    if found.with_inputs is None:
        needed = max(found.n + 1, found.n * (side / distance) ** 2)
    else:
        ends = found.with_inputs
        tells = (lambda n: ends(n)[0] >= limit) if above else (lambda n: ends(n)[1] <= limit)
        needed = bisect_left(range(1_000_001), True, lo=found.n + 1, key=tells)
    if needed > 1e6:
        return ""
    digits = -math.floor(math.log10(max(needed, 10))) + 1
    return f" About {math.ceil(round(needed, digits)):,} inputs would tell, if the figures stay as they are."


# A limit of one's own


def _absolute(rule: Rule, sides: Sides) -> tuple[_Bounds, float]:
    figure, limit = rule.figure, rule.value
    side, words = _ready(figure, sides.candidate, candidate=True)
    if sides.mixed == "refuse" and (reason := of_several(side, groups.Labels(side))) is not None:
        return _nothing(reason), limit
    if side.empty:
        return _nothing(f"no run of {sides.name} has a known {figure.column}"), limit
    of, values = groups.questions(side), side[figure.column].astype("float64") * figure.scale
    n = int(of.nunique())

    def shown(confidence: float, estimate: float, low: float, high: float, ends: _Ends | None = None) -> _Interval:
        interval = f"{100 * confidence:.3g}% interval {rule.say(low)} to {rule.say(high)}"
        said = f"{sides.name} has {rule.say(estimate)} ({interval}){words}"
        return _Interval(estimate, low, high, n, said, with_inputs=ends)

    if figure.statistic != "mean":
        share = int(figure.statistic[1:]) / 100
        weights = 1 / (of.map(of.value_counts()).to_numpy(dtype="float64") * n)
        return lambda c: shown(c, *_quantile(values.to_numpy(), weights, n, share, c)), limit
    if figure.column == ANSWERED:
        values = 1 - values
    per_input = values.groupby(of.to_numpy()).mean().to_numpy()
    mean = float(per_input.mean())
    if set(values.unique()) <= {0.0, 1.0}:

        def exact(c: float) -> _Interval:
            bounds = _clopper_pearson(float(per_input.sum()), n, c)
            return shown(c, mean, *bounds, lambda count: _clopper_pearson(mean * count, count, c))

        return exact, limit
    if n < FEWEST_INPUTS:
        return _nothing(f"{n} inputs are too few, {FEWEST_INPUTS} or more are needed"), limit
    if is_score(figure.column):
        return lambda c: shown(c, mean, *limit_interval(per_input, values.to_numpy(), c, sides.seed)), limit
    return lambda c: shown(c, mean, *mean_interval(per_input, c, sides.seed, sizes=per_input)), limit


def _clopper_pearson(count: float, n: int, confidence: float) -> tuple[float, float]:
    """The exact interval of a share of inputs; `count` may be broken where repeats of an input differ."""
    from scipy.stats import beta

    tail = (1 - confidence) / 2
    low = 0.0 if count <= 0 else float(beta.ppf(tail, count, n - count + 1))
    high = 1.0 if count >= n else float(beta.ppf(1 - tail, count + 1, n - count))
    return low, high


def _quantile(values: Any, weights: Any, n: int, share: float, confidence: float) -> tuple[float, float, float]:
    """A quantile with its exact interval by order statistics, for which no shape of the distribution is assumed.

    Repeats weigh as parts of their input, and inputs are the sample. An end that so few inputs cannot give is infinite:
    the 95th percentile has an upper one from 59 inputs on (95 % one-sided).
    """
    import numpy as np
    from scipy.stats import beta

    order = np.argsort(values)
    ordered, below = values[order], np.minimum(np.cumsum(weights[order]) * n, n)
    tail = (1 - confidence) / 2
    with np.errstate(invalid="ignore"):
        fewest = beta.ppf(tail, below, n - below + 1)  # of all answers that would come, at least so many are below
        most = np.where(below < n - 1e-9, beta.ppf(1 - tail, below + 1, n - below), 1.0)
    low, high = int(np.argmax(most >= share)), ordered[fewest >= share]
    bounded = low > 0 or 1 - tail ** (1 / n) < share  # else nothing is known below the smallest
    with np.errstate(invalid="ignore"):
        estimate = float(np.quantile(values, share))
    estimate = math.inf if math.isnan(estimate) else estimate  # between two that never came
    return estimate, float(ordered[low]) if bounded else -math.inf, float(high[0]) if len(high) else math.inf


# Against a baseline


def _relative(rule: Rule, sides: Sides) -> tuple[_Bounds, float]:
    figure = rule.figure
    if sides.baseline is None or sides.baseline_name is None:
        raise ConfigurationError(
            f"{rule.name}: {str(rule)!r} needs a baseline.",
            hint="Pass baseline=, the name of a variant or the path of a report or Parquet file.",
        )
    import pandas as pd

    ours, words = _ready(figure, sides.candidate, candidate=True, relative=True)
    theirs, _ = _ready(figure, sides.baseline, candidate=False)
    if ours.empty or theirs.empty:
        who = sides.name if ours.empty else sides.baseline_name
        return _nothing(f"no run of {who} has a known {figure.column}"), 0.0
    sign = -1 if rule.at_least else 1  # of what worse adds
    factor = 1 + sign * rule.value if rule.percent else 1.0
    limit = 0.0 if rule.percent else sign * rule.value
    theirs = theirs.assign(**{figure.column: theirs[figure.column] * factor})
    frame = pd.concat([ours, theirs], ignore_index=True)
    graded = is_score(figure.column) and not frame[figure.column].isin([0, 1]).all()
    names: dict[str, Statistic] = {"mean": "mean", "p50": "median", "p95": "p95"}
    statistic = names[figure.statistic]

    def bounds(confidence: float) -> _Interval:
        found = difference(
            frame, sides.name, str(sides.baseline_name), figure.column, by="variant", statistic=statistic,
            mixed=sides.mixed, confidence=confidence, seed=sides.seed,
        )  # fmt: skip
        if found.outcome == "refused" or found.pairs is None:
            return _nothing(found.reason or "the runs cannot be compared")(confidence)
        fewest = FEWEST_INPUTS_P95 if statistic == "p95" else FEWEST_INPUTS
        if found.n < fewest:
            return _nothing(f"{found.n} inputs were answered by both, {fewest} or more are needed")(confidence)
        scale = -1.0 if figure.column == ANSWERED else figure.scale
        if statistic == "p95":
            base = found.estimate / found.relative if found.relative else math.nan
            gap = found.estimate + base * (1 - 1 / factor)
        else:
            gaps, base = found.pairs["a"] - found.pairs["b"] / factor, float(found.pairs["b"].mean())
            gap = float(gaps.mean() if statistic == "mean" else gaps.median())
        share = "" if is_score(figure.column) or not base else f" ({gap / (base / factor):+.1%})"
        text = f"{sides.name} differs from {sides.baseline_name} by {rule.say(scale * gap)}{share}"
        if not rule.percent:
            low, high = sorted((scale * found.low, scale * found.high))
            text += f" ({100 * confidence:.3g}% interval {rule.say(low)} to {rule.say(high)})"
        left = "".join(f", {count:,} runs {why} left out" for why, count in found.excluded.items())
        scale = abs(scale)
        low, high = scale * found.low, scale * found.high
        return _Interval(scale * found.estimate, low, high, found.n, text + words + left, graded=graded)

    return bounds, limit


# Both


def _nothing(reason: str) -> _Bounds:
    if isinstance(reason, Mixture):
        reason += "; pass mixed='drop' or mixed='keep'"
    return lambda _: _Interval(math.nan, math.nan, math.nan, 0, "", reason)


def _ready(figure: Figure, frame: pd.DataFrame, *, candidate: bool, relative: bool = False) -> tuple[pd.DataFrame, str]:
    """The rows that count for `figure`, and what is to be said about them.

    A run that a person or a budget stopped says nothing of a deployment. An answer that never came is an error, for a
    score the worst there is, and later than any limit: a deployment that fails on what is hard, or ends what takes
    long, would else be better for it. Of a baseline it is left out, which is to the baseline's favour; so it is where
    two times or costs are paired, and said.
    """
    import pandas as pd

    frame = frame[frame["status"].ne("cancelled").fillna(value=True)]
    answered = frame["status"].eq("ok").fillna(value=False).astype(bool)
    if figure.column == ANSWERED:
        return _as_answered(frame, answered).assign(**{ANSWERED: answered.astype("Float64")}), ""
    if figure.column not in frame:
        return frame.iloc[:0].assign(**{figure.column: pd.array([], dtype="Float64")}), ""
    values = frame[figure.column].astype("Float64")
    said = ""
    if candidate and (failed := int((~answered).sum())) and answered.any():
        never = f"{failed:,} {'answer that' if failed == 1 else 'answers that'} never came"
        worst = min(0.0, float(values[answered].min())) if values[answered].notna().any() else 0.0
        late = is_time(figure.column) and not relative
        if late or is_score(figure.column):
            frame, values = _as_answered(frame, answered), values.where(answered, math.inf if late else worst)
            said = f", with {never} counted as {'later than all' if late else f'{worst:g}'}"
        else:
            said = f", without {never}"
    frame = frame.assign(**{figure.column: values})
    frame = frame[measured(frame)]
    known = frame[figure.column].notna()
    if candidate and (unknown := int((~known & frame["status"].eq("ok")).sum())) and known.any():
        said += f", without {unknown:,} of unknown {figure.column}"
    return frame[known], said


def _as_answered(frame: pd.DataFrame, answered: pd.Series[Any]) -> pd.DataFrame:
    """`frame` as if every run had been answered by who answers most, so that failed ones are neither dropped nor
    taken for a second server."""
    filled = {"status": "ok", "cache_hit": False}
    served = frame[answered]
    sizes = served.groupby(["provider", "model"], dropna=False).size()
    who: Any = sizes.idxmax() if len(sizes) else (None, None)
    out = frame.assign(**{name: frame[name].where(answered, value) for name, value in filled.items()})
    for name, value in zip(("provider", "model"), who, strict=True):
        out[name] = frame[name].where(answered, value)
    return out
