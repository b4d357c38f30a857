"""Is the difference between two variants real? Paired by input, with an interval, and said in words.

Each input (and repeat) was sent to both, so the two figures of a pair share what is the input's own, and only what is
left between them counts. Inputs are the sample: repeats of an input are folded into it, however few inputs there are,
because more repeats tell more of these inputs and nothing of others. A difference is called only where interval and
test agree, and equal only where the whole interval is inside the margin.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict, Unpack

from .._numbers import number, whole_number
from .._safe_text import quoted
from .._statistics.intervals import (
    mean_interval,
    mean_p_value,
    median_interval,
    median_p_value,
    quantile,
    quantile_interval,
    variance,
)
from .._suggest import did_you_mean
from ..errors import ConfigurationError
from . import groups
from .groups import By
from .metrics import (
    Statistic,
    checked_statistic,
    default_margin,
    higher_is_better,
    is_score,
    is_time,
    unknown_metric,
)
from .same_questions import question_of
from .summary import measured
from .unlike_sides import Asked, asked_of, unlike
from .verdict import OTHER_SWEEP, Mixture, counts_text, verdict_text

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = [
    "Difference",
    "DifferenceOptions",
    "Mixed",
    "Outcome",
    "PairedRuns",
    "difference",
    "difference_of",
    "of_several",
    "rare_kind",
]

Mixed = Literal["refuse", "drop", "keep"]
Outcome = Literal["a", "b", "equal", "unsure", "refused"]
Side = Literal["better", "worse", "same"]
_KEYS = ["input", "other", "repeat"]


class DifferenceOptions(TypedDict, total=False):
    """What `difference` takes beside names and metric."""

    by: By | None
    statistic: Statistic | None
    mixed: Mixed
    margin: float | None
    confidence: float
    seed: int
    order: Sequence[str] | None
    bounds: tuple[float, float]


FEWEST_INPUTS = 6
"""Below this many, no test can call a difference at 5 %: 5 inputs that all agree have p = 0.06."""
FEWEST_INPUTS_MONEY = 30
"""Below this many, a kind of input that is one in ten is absent in more than 4 of 100 samples."""
FEWEST_INPUTS_P95 = 60
"""Below this many, the 95th percentile hangs on three inputs or fewer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """`a` minus `b`, paired by input.

    `estimate` is the difference of the `statistic` in the unit of `metric` (for medians: the median of the paired
    differences), `low` and `high` its interval, NaN where there is none. `n` counts inputs. `better`, `worse` and
    `same` count the inputs on which `a` was so. `outcome` names the better one: less time or cost, more tokens per
    second or score. `excluded` counts the runs left out, by reason. Inputs that ask the same are one, asked repeatedly.

        found = comparison.difference("azure/large", "azure/fast", "score")
        found.verdict             # 'Against azure/fast, azure/large is better by 26 points (18 to 34): ...'
        found.inputs("worse")     # the inputs on which it was not
    """

    a: str
    b: str
    metric: str
    statistic: Statistic
    estimate: float
    low: float
    high: float
    n: int
    relative: float
    """`estimate` as a share of b's figure; NaN where that is 0."""
    better: int
    worse: int
    same: int
    p_value: float
    """Two-sided, of this pair alone; NaN where `anytime` or ``refused``."""
    margin: float
    """Absolute for scores, a share of b's figure for all else."""
    confidence: float
    """Of the interval, 0.95 unless asked otherwise."""
    needed: int | None
    """How many inputs tell a difference of `margin`; None where `n` suffices or it cannot be said, as for scores on a
    scale of their own (1 to 5, a length) unless you say which `margin` matters there."""
    outcome: Outcome
    points: bool = False
    """True for scores from 0 to 1, which are told in points (hundredths)."""
    anytime: bool = False
    """True where the interval stays valid however often the data were looked at, so that sending may stop on it."""
    excluded: Mapping[str, int] = field(default_factory=dict)
    reason: str | None = None
    """Why nothing is said, where `outcome` is ``refused``; why the interval alone does not decide, where ``unsure``."""
    notes: tuple[str, ...] = ()
    """What may have made the difference beside who was asked: one failed more often, or was asked otherwise."""
    pairs: pd.DataFrame | None = field(default=None, repr=False, compare=False)
    """A row for each input, as `inputs` has it; None where ``refused``."""

    @property
    def unit(self) -> str:
        """What `n` counts."""
        return "inputs"

    @property
    def caution(self) -> str | None:
        """What a verdict on money, tokens or grades cannot know from so few inputs; None where there is nothing to say.

        Their mean depends on the dearest inputs or the poorest answers, and of fewer than 30 a kind that is one in ten
        may be missing. By simulation, of equal means of spread grades of which one in twenty of a side is 0, 34 of 100
        were called different at 20 inputs and 10 at 50. The intervals of 0 and 1, and those for any look, know it.
        """
        if self.statistic != "mean" or self.n >= FEWEST_INPUTS_MONEY or self.outcome not in ("a", "b", "equal"):
            return None
        if not is_score(self.metric):
            return rare_kind(self.n)
        known = self.anytime or self.pairs is None or bool(self.pairs[["a", "b"]].isin([0, 1]).all(axis=None))
        return None if known else rare_kind(self.n, "the poorest answers")

    @property
    def winner(self) -> str | None:
        """The better of the two where the data says so, else None."""
        return {"a": self.a, "b": self.b}.get(self.outcome)

    @property
    def verdict(self) -> str:
        """One or two sentences for people."""
        return verdict_text(self)

    def inputs(self, which: Side | None = None) -> pd.DataFrame:
        """The inputs on which `a` was ``better``, ``worse`` or the ``same``; all without `which`.

            comparison.difference("azure/fast", "azure/large", "cost_usd").inputs("worse")

        Columns: ``input_id``, ``a``, ``b`` (the metric, repeats folded), ``difference``, ``outcome``, then the columns
        ``input_<name>`` of the frame. Raises ConfigurationError where no inputs were compared.
        """
        if which not in (None, "better", "worse", "same"):
            raise ConfigurationError(f"which must be 'better', 'worse' or 'same', not {quoted(which)}.")
        if self.pairs is None:
            raise ConfigurationError(f"No inputs were compared: {self.reason}.")
        table = self.pairs if which is None else self.pairs[self.pairs["outcome"] == which]
        return table.reset_index(drop=True)

    def __repr__(self) -> str:
        return f"Difference({self.a!r}, {self.b!r}, {self.metric!r}): {self.verdict}"

    def _repr_html_(self) -> str:
        from .._display.html import verdict

        return verdict(f"{self.a} against {self.b}, {self.metric}", self.verdict)


def rare_kind(inputs: int, weighty: str = "the dearest inputs") -> str:
    """What a mean of so few inputs may not have met, which depends on what is `weighty`."""
    rare = math.ceil(1 / (1 - 0.05 ** (1 / inputs)))  # what one sample of so many in twenty has none of
    return f"A mean depends on {weighty}, and a kind that is 1 input in {rare} may be missing among {inputs}"


class _Question(NamedTuple):
    a: str
    b: str
    metric: str
    statistic: Statistic
    margin: float
    confidence: float
    seed: int
    told: bool
    """Whether the margin was named: that of the house is one of scores from 0 to 1, and of shares."""


class _Figures(NamedTuple):
    estimate: float
    low: float
    high: float
    p_value: float
    base: float


def difference(
    frame: pd.DataFrame,
    a: str,
    b: str,
    metric: str = "total_ms",
    *,
    by: By | None = None,
    statistic: Statistic | None = None,
    mixed: Mixed = "refuse",
    margin: float | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    order: Sequence[str] | None = None,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Difference:
    """Compare `a` and `b` on `metric`, paired by input and repeat, in any frame of a comparison's runs.

        bf.difference(bf.runs(since="1d"), "azure/fast", "azure/large", "cost_usd").verdict

    `a` and `b` are names of variants, or of templates or deployments (`by` decides where a name could be both): two
    templates are paired by input, deployment and repeat, two deployments by input, template and repeat. `statistic` is
    ``mean`` for scores, money and tokens, ``median`` for times and speeds, unless you ask for another one or
    ``p95`` (by Harrell and Davis, from all values near it: it differs a little from the plain quantile of `summary`).

    Only runs that were answered in full and not from a cache count; times and speeds are paired only where both were
    sent in the same sweep. `mixed` says what to do where part of a deployment's answers came from another one (a
    fallback): ``refuse`` to compare, ``drop`` those runs, or ``keep`` them and compare the two as services.
    `margin` is the smallest difference that matters to you, for scores in their own unit (default 0.02), else a share
    of b's figure (0.10): an interval inside it is called equal. Each call is one test; among twenty comparisons of
    equals one may look different, so use `differences` for many. `order`, the ids of the inputs as they were sent,
    makes the interval one that holds however often one looks; for that the score must stay within `bounds`.

    Raises ConfigurationError for an unknown name or metric, or a frame without prompts to pair by.

    `confidence` is that of the interval, 0.95 unless you say otherwise; `seed` is that of the bootstrap.
    """
    return difference_of(
        PairedRuns(frame), a, b, metric, by=by, statistic=statistic, mixed=mixed, margin=margin, confidence=confidence,
        seed=seed, order=order, bounds=bounds,
    )  # fmt: skip


class OneSide(NamedTuple):
    """The runs of one name that count for a metric: for each input, the dimension that is not compared, and repeat."""

    values: pd.Series[Any]
    in_sweeps: pd.Series[Any]
    """`values` by sweep too."""
    excluded: Mapping[str, int]
    reason: str | None
    """Why it is not compared."""
    asked: Asked


class PairedRuns:
    """A frame of runs whose names are set beside each other in pairs; each name's runs are gone through once.

    Raises ConfigurationError for what is no frame of runs.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self.labels = groups.Labels(groups.runs_frame(frame))
        self._made: dict[tuple[str, ...], OneSide] = {}

    def side(self, name: str, metric: str, by: By, mixed: Mixed) -> OneSide:
        """What is compared of `name`."""
        key = (name, metric, by, mixed)
        if key not in self._made:
            self._made[key] = _side(self.labels, *key)
        return self._made[key]


def _side(labels: groups.Labels, name: str, metric: str, by: By, mixed: Mixed) -> OneSide:
    import pandas as pd

    excluded: dict[str, int] = {}
    every = labels.frame[(labels.names(by) == name).fillna(value=False)]
    runs = _clean(every, metric, mixed, excluded)
    reason = of_several(runs, labels) if mixed == "refuse" else None
    others: dict[By, By] = {"template": "deployment", "deployment": "template"}
    values = pd.DataFrame({
        "input": labels.inputs[runs.index],
        "other": labels.names(others[by])[runs.index].fillna("") if by in others else "",
        "repeat": runs["repeat"].fillna(0),
        "sweep": labels.sweeps[runs.index],
        "value": runs[metric].astype("float64"),
    })  # fmt: skip
    loose, in_sweeps = (values.groupby(keys)["value"].mean() for keys in (_KEYS, [*_KEYS, "sweep"]))
    return OneSide(loose, in_sweeps, excluded, reason, asked_of(every, labels))


def difference_of(runs: PairedRuns, a: str, b: str, metric: str, **options: Unpack[DifferenceOptions]) -> Difference:
    """`difference` of one of the pairs of `runs`."""
    mixed, confidence, margin = options.get("mixed", "refuse"), options.get("confidence", 0.95), options.get("margin")
    if margin is not None:
        margin = math.nan if (found := number(margin)) is None else found
    seed = whole_number("seed", options.get("seed", 0), least=0)
    by = _check(runs.labels, a, b, metric, options.get("by"), mixed, margin, confidence)
    told, margin = margin is not None, default_margin(metric) if margin is None else margin
    statistic = checked_statistic(metric, options.get("statistic"))
    question = _Question(a, b, metric, statistic, margin, confidence, seed, told)
    excluded: dict[str, int] = {}
    left, right = (runs.side(name, metric, by, mixed) for name in (a, b))
    for side in (left, right):
        for reason, count in side.excluded.items():
            excluded[reason] = excluded.get(reason, 0) + count
        if side.reason is not None:
            return _nothing(question, excluded, side.reason)
    pairs = _paired(left, right, is_time(metric), excluded)
    if pairs.empty:
        apart = f" ({excluded[OTHER_SWEEP]:,} runs {OTHER_SWEEP})" if OTHER_SWEEP in excluded else ""
        return _nothing(question, excluded, f"no input was answered by both {a} and {b}{apart}")
    order, bounds = options.get("order"), options.get("bounds", (0.0, 1.0))
    said = _judged(question, pairs, runs.labels.input_columns, excluded, order, bounds)
    return replace(said, notes=unlike(said, left.asked, right.asked))


def decided(found: Difference, p_value: float) -> Difference:
    """`found` with the outcome that `p_value` (corrected for several tests) leaves of it."""
    if found.outcome in ("a", "b") and p_value > 1 - found.confidence:
        reason = f"The interval is that of one pair; corrected for all pairs p is {p_value:.2g}"
        return replace(found, outcome="unsure", reason=reason)
    return found


def _paired(left: OneSide, right: OneSide, same_sweep: bool, excluded: dict[str, int]) -> pd.DataFrame:
    """The pairs: index input, columns ``a`` and ``b``. Counts what has no partner into `excluded`.

    Inputs that ask the same are one from here on.
    """
    import pandas as pd

    def beside(*sides: pd.Series[Any]) -> pd.DataFrame:
        return pd.concat(sides, axis="columns", keys=["a", "b"])

    loose = beside(left.values, right.values)
    table = beside(left.in_sweeps, right.in_sweeps) if same_sweep else loose
    found = table.dropna()
    alone = table[table.isna().any(axis="columns")]
    if same_sweep and (apart := int(alone[_keys_in(alone, loose.dropna())].notna().to_numpy().sum())):
        excluded[OTHER_SWEEP] = apart
    if single := int(loose.isna().to_numpy().sum()):
        excluded["without a partner"] = single
    found = found.reset_index()
    found["input"] = found["input"].map(question_of)
    return found.set_index("input")[["a", "b"]]


def _keys_in(table: pd.DataFrame, pairs: pd.DataFrame) -> np.ndarray[Any, Any]:
    """For each row of `table`, which has the sweep too, whether its keys are those of a pair."""
    return table.reset_index("sweep").index.isin(pairs.index)


def _judged(
    question: _Question,
    pairs: pd.DataFrame,
    columns: pd.DataFrame,
    excluded: Mapping[str, int],
    order: Sequence[str] | None,
    bounds: tuple[float, float],
) -> Difference:
    import numpy as np

    metric, score = question.metric, is_score(question.metric)
    values = pairs.to_numpy()
    points = score and bool(values.min() >= 0 and values.max() <= 1)
    span = (1.0 if points else float(np.ptp(values)) or 1.0) if score else 0.0
    fold = "median" if question.statistic == "median" else "mean"
    gaps = (pairs["a"] - pairs["b"]).groupby(level="input", sort=False).agg(fold)
    sides = pairs.groupby(level="input", sort=False).agg(fold)
    sample = gaps.to_numpy(dtype="float64")
    binary = points and len(pairs) == len(sample) and bool(np.isin(values, (0.0, 1.0)).all())
    anytime = order is not None and score and bool(values.min() >= bounds[0] and values.max() <= bounds[1])
    if anytime and order is not None:
        points = points and bounds == (0.0, 1.0)
        figures = _anytime(question, gaps, sides, order, bounds[1] - bounds[0])
    else:
        figures = _figures(question, pairs, sample, sides, span, binary)
    matters = question.margin if score else question.margin * abs(figures.base)
    outcome = _outcome(question, figures, len(sample), matters, anytime=anytime)
    signs = np.sign(sample) * (1 if higher_is_better(metric) else -1)
    table = sides.rename_axis("input_id").reset_index()
    table["difference"] = sample
    table["outcome"] = np.select([signs > 0, signs < 0], ["better", "worse"], "same")
    fits = question.told or points or not score  # 0.02 of a scale from 1 to 5, or of a length, says nothing
    tell = outcome == "unsure" and not anytime and fits
    return Difference(
        a=question.a,
        b=question.b,
        metric=metric,
        statistic=question.statistic,
        estimate=figures.estimate,
        low=figures.low,
        high=figures.high,
        n=len(sample),
        relative=figures.estimate / figures.base if figures.base else math.nan,
        better=int((signs > 0).sum()),
        worse=int((signs < 0).sum()),
        same=int((signs == 0).sum()),
        p_value=figures.p_value,
        margin=question.margin,
        confidence=question.confidence,
        needed=_needed(question, sample, figures, matters, span) if tell else None,
        outcome=outcome,
        points=points,
        anytime=anytime,
        excluded=excluded,
        reason=_doubt(figures, len(sample), binary) if outcome == "unsure" and not anytime else None,
        pairs=table.merge(columns, on="input_id", how="left"),
    )


def _figures(
    question: _Question,
    pairs: pd.DataFrame,
    sample: np.ndarray[Any, Any],
    sides: pd.DataFrame,
    span: float,
    binary: bool,
) -> _Figures:
    """Estimate, interval and p-value, each by the method of the statistic."""
    import numpy as np

    confidence, seed = question.confidence, question.seed
    if question.statistic == "mean":
        sizes = None if span else sides.mean(axis=1).to_numpy(dtype="float64")
        low, high = mean_interval(sample, confidence, seed, sizes=sizes, span=span)
        p_value = mean_p_value(sample, seed, binary=binary)
        return _Figures(float(sample.mean()), low, high, p_value, float(sides["b"].mean()))
    if question.statistic == "median":
        low, high = median_interval(sample, confidence)
        return _Figures(float(np.median(sample)), low, high, median_p_value(sample), float(sides["b"].median()))
    a, b = _matrix(pairs["a"]), _matrix(pairs["b"])
    (low, high), p_value = quantile_interval(a, b, 0.95, confidence, seed)
    base = quantile(b, 0.95)
    return _Figures(quantile(a, 0.95) - base, low, high, p_value, base)


def _anytime(
    question: _Question, gaps: pd.Series[Any], sides: pd.DataFrame, order: Sequence[str], width: float
) -> _Figures:
    from .._statistics.sequential import confidence_sequence

    known = [name for name in order if name in gaps.index]
    sample = gaps.loc[known].to_numpy(dtype="float64")
    low, high = (
        width * (2 * end - 1) for end in confidence_sequence((sample / width + 1) / 2, 1 - question.confidence)
    )
    return _Figures(float(gaps.mean()), low, high, math.nan, float(sides["b"].mean()))


def _matrix(values: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """Inputs x repeats, NaN where an input has fewer."""
    place = values.groupby(level=0, sort=False).cumcount()
    table = values.to_frame("value").assign(place=place).reset_index().pivot(index="input", columns="place")
    return table.to_numpy(dtype="float64")


def _outcome(question: _Question, figures: _Figures, count: int, matters: float, *, anytime: bool) -> Outcome:
    if count < (FEWEST_INPUTS_P95 if question.statistic == "p95" else FEWEST_INPUTS):
        return "unsure"
    if -matters <= figures.low and figures.high <= matters:
        return "equal"
    apart = figures.low > 0 or figures.high < 0
    if not apart or not (anytime or figures.p_value <= 1 - question.confidence):
        return "unsure"
    return "a" if (figures.low > 0) == higher_is_better(question.metric) else "b"


def _doubt(figures: _Figures, count: int, binary: bool) -> str | None:
    """Why a difference is not called whose interval leaves 0 out: the two are not the same test."""
    if count < FEWEST_INPUTS or not (figures.low > 0 or figures.high < 0):
        return None
    test = "McNemar's exact test" if binary else "the test, which swaps the sides of inputs,"
    return f"The interval leaves 0 out, but {test} does not call a difference (p = {figures.p_value:.2g})"


def _needed(
    question: _Question, sample: np.ndarray[Any, Any], figures: _Figures, matters: float, span: float
) -> int | None:
    """How many inputs see a difference of the margin nine times in ten.

    The interval's half width (at 95 % 1.96 standard errors) falls with the root of n; it and 1.28 more must fit the
    margin. For scores the standard error is that of the observed discordance, never 0.
    """
    if len(sample) < 3 or not matters or not math.isfinite(figures.high - figures.low):
        return None
    wide = NormalDist().inv_cdf((1 + question.confidence) / 2)
    if question.statistic == "mean":
        needed = variance(sample, span) * ((wide + 1.28) / matters) ** 2
    else:
        needed = len(sample) * ((figures.high - figures.low) / 2 / matters * (wide + 1.28) / wide) ** 2
    digits = -math.floor(math.log10(max(needed, 10))) + 1  # two digits: more would claim to know
    return max(FEWEST_INPUTS, len(sample) + 1, math.ceil(round(needed, digits)))


def _clean(frame: pd.DataFrame, metric: str, mixed: Mixed, excluded: dict[str, int]) -> pd.DataFrame:
    """The rows whose figure is the deployment's own; counts the others into `excluded`."""

    def drop(reason: str, rows: pd.Series[Any]) -> None:
        nonlocal frame
        rows = rows.fillna(value=False).astype(bool)
        if count := int(rows.sum()):
            excluded[reason] = excluded.get(reason, 0) + count
            frame = frame[~rows]

    drop("not answered", frame["status"].ne("ok").fillna(value=True))
    drop("from a cache", ~measured(frame))
    if mixed == "drop":
        drop("by a fallback", frame["is_fallback"])
    drop("unknown", frame[metric].isna())
    return frame


def of_several(side: pd.DataFrame, labels: groups.Labels) -> str | None:
    """Why the runs of this side are not those of one deployment and model each, or None."""
    return _mixture(side, labels) or _moved(side, labels)


def _mixture(side: pd.DataFrame, labels: groups.Labels) -> Mixture | None:
    """Why the runs of a deployment of this side are not those of one deployment, or None."""
    for name, runs in side.groupby(labels.names("deployment")[side.index], sort=False, dropna=False):
        who = labels.served[runs.index]
        if runs["is_fallback"].fillna(value=False).any() or who.nunique(dropna=False) > 1:
            return Mixture(f"{name} was served by {counts_text(who.fillna('unknown'))}")
    return None


def _moved(side: pd.DataFrame, labels: groups.Labels) -> str | None:
    """Why the runs of a deployment are not those of one model: the gateway's alias was pointed elsewhere, or None.

    Keys of one alias may have models of different names; then a sweep has all of them.
    """
    told = side["model_deployment"].notna() & side["model_deployment"].ne(side["model"]).fillna(value=True)
    known = side[told]
    if known.empty:
        return None
    for name, runs in known.groupby(labels.names("deployment")[known.index], sort=False):
        models = runs["model_deployment"]
        if not set.intersection(*(set(some) for _, some in models.groupby(labels.sweeps[runs.index]))):
            stood = counts_text(models)
            return f"{name} stood for {stood} in different sweeps (fresh=True asks all anew, mixed='keep' takes them)"
    return None


def _nothing(question: _Question, excluded: Mapping[str, int], reason: str) -> Difference:
    nan = math.nan
    return Difference(
        a=question.a,
        b=question.b,
        metric=question.metric,
        statistic=question.statistic,
        estimate=nan,
        low=nan,
        high=nan,
        n=0,
        relative=nan,
        better=0,
        worse=0,
        same=0,
        p_value=nan,
        margin=question.margin,
        confidence=question.confidence,
        needed=None,
        outcome="refused",
        excluded=excluded,
        reason=reason,
    )


def _check(
    labels: groups.Labels, a: str, b: str, metric: str, by: By | None, mixed: str, margin: Any, confidence: float
) -> By:
    """How the names are to be read. Raises ConfigurationError."""
    if by is not None:
        groups.check_by(by)
    ways: tuple[By, ...] = ("variant", "deployment", "template") if by is None else (by,)
    frame, known = labels.frame, {way: labels.known(way) for way in ways}
    numeric = [name for name, dtype in frame.dtypes.items() if dtype.kind in "iufb" and name != "repeat"]
    every = list(dict.fromkeys(name for way in ways for name in known[way]))
    for what, name, choices in ((by or "variant", a, every), (by or "variant", b, every), ("metric", metric, numeric)):
        if not isinstance(name, str):
            raise ConfigurationError(f"{what} must be text, not {type(name).__name__}.")
        if name not in choices:
            if what == "metric":
                raise unknown_metric(name, frame)
            hint = did_you_mean(name, choices).strip() or f"Known are {', '.join(map(str, choices)) or 'none'}."
            raise ConfigurationError(f"{name!r} is not a {what} of this frame.", hint=hint)
    groups.check_finite(frame, [metric])
    if a == b:
        raise ConfigurationError(f"{a!r} cannot be compared with itself.")
    found = next((way for way in ways if a in known[way] and b in known[way]), None)
    if found is None:
        raise ConfigurationError(
            f"{quoted(a)} and {quoted(b)} are not of one kind: compare two variants, deployments or templates."
        )
    if mixed not in ("refuse", "drop", "keep"):
        raise ConfigurationError(f"mixed must be 'refuse', 'drop' or 'keep', not {quoted(mixed)}.")
    if (margin is not None and not 0 <= margin < (math.inf if is_score(metric) else 1)) or not 0.5 <= confidence < 1:
        raise ConfigurationError("margin must be from 0 to below 1 and confidence from 0.5 to below 1.")
    if frame["prompt_id"].isna().all():
        raise ConfigurationError(
            "These runs have no prompt_id to pair them by.", hint="Take the frame of bf.compare(...)."
        )
    return found
