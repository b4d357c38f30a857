"""Is the difference between two deployments real? Paired, with an interval, and said in words.

Each prompt (and repeat) was sent to both, so the two times of a pair share the prompt's own length, and only what is
left between them counts. The interval is SciPy's percentile bootstrap of the median; a difference is called only where
Wilcoxon's signed-rank test agrees. The bootstrap alone called 5 to 8 of 100 equal pairs different (400 seeded trials
for each n from 5 to 200), the two together 0 to 6; ``tests/compare/test_difference.py`` holds them to 7.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from .._suggest import did_you_mean
from ..errors import ConfigurationError
from .statistics import deployments, measured, served
from .verdict import verdict_text

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["Difference", "DifferenceOptions", "Mixed", "Outcome", "difference"]

Mixed = Literal["refuse", "drop", "keep"]
Outcome = Literal["a", "b", "equal", "unsure", "refused"]


class DifferenceOptions(TypedDict, total=False):
    """What `difference` takes beside names and metric."""

    mixed: Mixed
    margin: float
    confidence: float
    seed: int


FEWEST_PROMPTS = 8
"""From this many prompts on, prompts are the sample and repeats are folded into them; below, every pair counts."""
FEWEST_PAIRS = 6
"""Below this many, no interval of a median can exclude 0 with 95 % confidence."""
RESAMPLES = 4999


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """`a` minus `b`, paired.

    `estimate` is the median of the paired differences in the metric's unit, `low` and `high` its interval, NaN where
    there is none. `n` counts the sample: prompts, or pairs below 8 prompts (`unit` says which). `a_lower` and
    `a_higher` are the shares of the sample where `a` is below and above `b`. `outcome` names the better one: less time
    or cost, more tokens per second or score. `excluded` counts the runs left out, by reason.
    """

    a: str
    b: str
    metric: str
    estimate: float
    low: float
    high: float
    n: int
    unit: Literal["prompts", "pairs"]
    relative: float
    """`estimate` as a share of b's median; NaN where that is 0."""
    a_lower: float
    a_higher: float
    p_value: float
    margin: float
    confidence: float
    needed: int | None
    """How large `n` must be to tell a difference of `margin`; None where it suffices or cannot be said."""
    outcome: Outcome
    excluded: Mapping[str, int] = field(default_factory=dict)
    reason: str | None = None
    """Why nothing is said, where `outcome` is ``refused``."""

    @property
    def winner(self) -> str | None:
        """The better of the two where the data says so, else None."""
        return {"a": self.a, "b": self.b}.get(self.outcome)

    @property
    def verdict(self) -> str:
        """One or two sentences for people."""
        return verdict_text(self)

    def __repr__(self) -> str:
        return f"Difference({self.a!r}, {self.b!r}, {self.metric!r}): {self.verdict}"

    def _repr_html_(self) -> str:
        from .._display.markdown import text

        asked = f"{self.a} against {self.b}, {self.metric}"
        return f"<p><strong>{text(asked)}</strong><br>{text(self.verdict)}</p>"


def difference(
    frame: pd.DataFrame,
    a: str,
    b: str,
    metric: str = "total_ms",
    *,
    mixed: Mixed = "refuse",
    margin: float = 0.10,
    confidence: float = 0.95,
    seed: int = 0,
) -> Difference:
    """Compare deployments `a` and `b` on `metric`, paired by prompt and repeat.

    Only runs that were answered in full and not from a cache count. `mixed` says what to do where part of a
    deployment's answers came from another one (a fallback): ``refuse`` to compare, ``drop`` those runs, or ``keep``
    them and compare the two as services. `margin` is the smallest share of b's median that matters to you: an interval
    inside it is called equal. Each call is one test; among twenty comparisons of equals, one may look different.

    Raises ConfigurationError for an unknown deployment or metric, or a frame without prompts to pair by.
    """
    _check(frame, a, b, metric, mixed, margin, confidence)
    names = deployments(frame)
    excluded: dict[str, int] = {}
    sides = {name: _clean(frame[(names == name).fillna(value=False)], metric, mixed, excluded) for name in (a, b)}
    for name, side in sides.items() if mixed == "refuse" else ():
        if reason := _mixture(name, side):
            return _nothing(a, b, metric, margin, confidence, excluded, reason)
    left, right = (side.groupby(["prompt_id", "repeat"], dropna=False)[metric].mean() for side in sides.values())
    pairs = (left - right).dropna()
    if unpaired := len(left) + len(right) - 2 * len(pairs):
        excluded["without a partner"] = unpaired
    by_prompt = pairs.groupby(level="prompt_id", dropna=False).median()
    unit: Literal["prompts", "pairs"] = "prompts" if len(by_prompt) >= FEWEST_PROMPTS else "pairs"
    sample = (by_prompt if unit == "prompts" else pairs).to_numpy(dtype="float64")
    base = float(right[pairs.index].median()) if len(pairs) else math.nan
    return _judged(a, b, metric, sample, base, unit, margin, confidence, excluded, seed)


def _judged(
    a: str,
    b: str,
    metric: str,
    sample: np.ndarray[Any, Any],
    base: float,
    unit: Literal["prompts", "pairs"],
    margin: float,
    confidence: float,
    excluded: Mapping[str, int],
    seed: int,
) -> Difference:
    import numpy as np

    if not len(sample):
        reason = f"no prompt was answered by both {a} and {b}"
        return _nothing(a, b, metric, margin, confidence, excluded, reason)
    estimate = float(np.median(sample))
    low, high = _interval(sample, confidence, seed)
    p_value = _p_value(sample)
    matters = margin * abs(base)
    apart = (low > 0 or high < 0) and p_value <= 1 - confidence and len(sample) >= FEWEST_PAIRS
    inside = -matters <= low and high <= matters and len(sample) >= FEWEST_PAIRS
    outcome: Outcome = "equal" if inside else ("a" if estimate < 0 else "b") if apart else "unsure"
    if outcome in ("a", "b") and _higher_is_better(metric):
        outcome = "b" if outcome == "a" else "a"
    return Difference(
        a=a,
        b=b,
        metric=metric,
        estimate=estimate,
        low=low,
        high=high,
        n=len(sample),
        unit=unit,
        relative=estimate / base if base else math.nan,
        a_lower=float((sample < 0).mean()),
        a_higher=float((sample > 0).mean()),
        p_value=p_value,
        margin=margin,
        confidence=confidence,
        needed=_needed(sample, low, high, matters) if outcome == "unsure" else None,
        outcome=outcome,
        excluded=excluded,
    )


def _interval(sample: np.ndarray[Any, Any], confidence: float, seed: int) -> tuple[float, float]:
    import numpy as np
    from scipy.stats import bootstrap

    if len(sample) < 2:
        return -math.inf, math.inf
    if (sample == sample[0]).all():  # SciPy warns about a distribution without spread
        return float(sample[0]), float(sample[0])
    resamples = RESAMPLES if len(sample) <= 10_000 else 999
    found = bootstrap(
        (sample,),
        np.median,
        n_resamples=resamples,
        batch=max(1, 4_000_000 // len(sample)),  # bounds memory to some 32 MB
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


def _p_value(sample: np.ndarray[Any, Any]) -> float:
    from scipy.stats import wilcoxon

    moved = sample[sample != 0]
    return float(wilcoxon(moved).pvalue) if len(moved) else 1.0


def _needed(sample: np.ndarray[Any, Any], low: float, high: float, matters: float) -> int | None:
    """The sample size that sees a difference of the margin nine times in ten.

    The interval's half width (1.96 standard errors) falls with the root of n; 1.96 + 1.28 of them must fit the margin.
    """
    if len(sample) < 3 or not matters or not math.isfinite(high - low):
        return None
    needed = len(sample) * ((high - low) / 2 / matters * (1.96 + 1.28) / 1.96) ** 2
    digits = -math.floor(math.log10(max(needed, 10))) + 1  # two digits: more would claim to know
    return max(FEWEST_PAIRS, len(sample) + 1, math.ceil(round(needed, digits)))


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


def _mixture(name: str, side: pd.DataFrame) -> str | None:
    """Why the runs of `name` are not those of one deployment, or None."""
    fallback = side["is_fallback"].fillna(value=False)
    who = served(side)
    if not fallback.any() and who.nunique(dropna=False) <= 1:
        return None
    shares = who.fillna("unknown").value_counts(normalize=True)
    return f"{name} was served by " + ", ".join(f"{other} ({share:.0%})" for other, share in shares.items())


def _nothing(
    a: str, b: str, metric: str, margin: float, confidence: float, excluded: Mapping[str, int], reason: str
) -> Difference:
    nan = math.nan
    return Difference(
        a=a,
        b=b,
        metric=metric,
        estimate=nan,
        low=nan,
        high=nan,
        n=0,
        unit="pairs",
        relative=nan,
        a_lower=nan,
        a_higher=nan,
        p_value=nan,
        margin=margin,
        confidence=confidence,
        needed=None,
        outcome="refused",
        excluded=excluded,
        reason=reason,
    )


def _higher_is_better(metric: str) -> bool:
    return metric == "tokens_per_s" or metric.startswith("score")


def _check(frame: pd.DataFrame, a: str, b: str, metric: str, mixed: str, margin: float, confidence: float) -> None:
    numeric = [name for name in frame.columns if frame[name].dtype.kind in "iuf" and name != "repeat"]
    known = list(deployments(frame).dropna().unique())
    for what, name, choices in (("deployment", a, known), ("deployment", b, known), ("metric", metric, numeric)):
        if name not in choices:
            hint = did_you_mean(name, choices).strip() or f"Known are {', '.join(choices) or 'none'}."
            raise ConfigurationError(f"{name!r} is not a {what} of this frame.", hint=hint)
    if a == b:
        raise ConfigurationError(f"{a!r} cannot be compared with itself.")
    if mixed not in ("refuse", "drop", "keep"):
        raise ConfigurationError(f"mixed must be 'refuse', 'drop' or 'keep', not {mixed!r}.")
    if not 0 <= margin < 1 or not 0.5 <= confidence < 1:
        raise ConfigurationError("margin must be from 0 to below 1 and confidence from 0.5 to below 1.")
    if frame["prompt_id"].isna().all():
        raise ConfigurationError(
            "These runs have no prompt_id to pair them by.", hint="Take the frame of bf.compare(...)."
        )
