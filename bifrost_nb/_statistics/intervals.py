"""Intervals and p-values of paired differences: one number for each input.

The methods were chosen by simulation with a planted truth; ``tests/benchmarks/bench_statistics.py`` repeats it at
length and has the figures (``tests/benchmarks/RESULTS.md``), ``tests/compare/test_intervals.py`` in small.

- means: the bootstrap over inputs. Its percentiles are taken further out by the factor by which Student's t is wider
  than the normal (Hesterberg 2015, "expanded percentile"): plain percentiles cover 91 % at 20 inputs.
- means of money and tokens: the wider end, on each side, of Student's t and of a studentised bootstrap at 96 instead
  of 95 %. Either alone fails somewhere (3,000 trials, 20 inputs): t covers 86 % of skewed differences (lognormal,
  sigma 1, against a constant), the studentised bootstrap 88 to 91 % of those with two heavy tails (lognormal against
  lognormal), BCa 85 to 89 % of both. Together they are some 10 to 50 % wider than t there, 5 % wider for normal ones.
- scores of which few differ: one input better and one worse by the whole range are added first (for 0 and 1 this is
  Bonett and Price 2012). Without them, 20 inputs answered alike would give an interval of width 0.
- medians: percentile bootstrap. Other quantiles: the same, over both sides together.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["FEW", "mean_interval", "mean_p_value", "median_interval", "median_p_value", "quantile_interval", "variance"]

Sample = np.ndarray[Any, Any]
Interval = tuple[float, float]
RESAMPLES = 4999
FEW = 8
"""With fewer inputs that differ, a bootstrap has too little to draw from."""
_BATCH = 4_000_000
"""So many numbers are drawn at once: some 32 MB."""


def mean_interval(sample: Sample, confidence: float, seed: int, *, skewed: bool = False, span: float = 0.0) -> Interval:
    """The interval of a mean. `span` is the range of a score (0: no score), `skewed` that of money and tokens."""
    if len(sample) < 2:
        return -math.inf, math.inf
    if span:
        sample = _with_pseudo_inputs(sample, span)
    spread = float(sample.std(ddof=1))
    if spread <= 1e-12 * max(1.0, abs(float(sample.mean()))):
        return float(sample[0]), float(sample[0])
    return (_studentised if skewed else _expanded)(sample, confidence, seed)


def share_interval(count: int, of: int, confidence: float = 0.95) -> Interval:
    """Wilson's interval of a share."""
    from scipy.stats import binomtest

    found = binomtest(count, of).proportion_ci(confidence, method="wilson")
    return float(found.low), float(found.high)


def median_interval(sample: Sample, confidence: float, seed: int) -> Interval:
    """The percentile bootstrap of the median, by SciPy."""
    from scipy.stats import bootstrap

    if len(sample) < 2:
        return -math.inf, math.inf
    if (sample == sample[0]).all():  # SciPy warns about a distribution without spread
        return float(sample[0]), float(sample[0])
    found = bootstrap(
        (sample,),
        np.median,
        n_resamples=RESAMPLES if len(sample) <= 10_000 else 999,
        batch=max(1, _BATCH // len(sample)),
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


def quantile_interval(a: Sample, b: Sample, share: float, confidence: float, seed: int) -> tuple[Interval, float]:
    """Interval and p-value of a quantile of `a` minus that of `b`: inputs x repeats each, NaN where a run is missing.

    Inputs are drawn with all their repeats, the same for both sides; the p-value swaps the sides of inputs.
    """
    rng = np.random.default_rng(seed)

    def gap(left: Sample, right: Sample) -> Sample:
        return np.asarray(_nanquantile(left, share) - _nanquantile(right, share))

    observed = float(gap(a[None], b[None])[0])
    count, resamples = len(a), 1999
    drawn, swapped = np.empty(resamples), np.empty(resamples)
    step = max(1, _BATCH // (4 * a.size))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        index = rng.integers(0, count, (size, count))
        drawn[start : start + size] = gap(a[index], b[index])
        flip = rng.random((size, count, 1)) < 0.5
        swapped[start : start + size] = gap(np.where(flip, b, a), np.where(flip, a, b))
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(drawn, [tail, 1 - tail])
    extreme = int((np.abs(swapped) >= abs(observed) * (1 - 1e-12)).sum())
    return (float(low), float(high)), (extreme + 1) / (resamples + 1)


def mean_p_value(sample: Sample, seed: int, *, binary: bool = False) -> float:
    """McNemar's exact test where each side is 0 or 1, else a permutation test that swaps the sides of inputs."""
    from scipy.stats import binomtest, permutation_test

    moved = sample[sample != 0]
    if not len(moved):
        return 1.0
    if binary:
        return float(binomtest(int((moved > 0).sum()), len(moved)).pvalue)
    found = permutation_test(
        (moved,),
        lambda x, axis: np.mean(x, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=max(1, _BATCH // len(moved)),
        rng=np.random.default_rng(seed),
    )
    return min(1.0, float(found.pvalue))


def median_p_value(sample: Sample) -> float:
    """Wilcoxon's signed-rank test."""
    from scipy.stats import wilcoxon

    moved = sample[sample != 0]
    return float(wilcoxon(moved).pvalue) if len(moved) else 1.0


def variance(sample: Sample, span: float) -> float:
    """The variance of a mean's sample, as the interval counts it: not 0 because few inputs were seen."""
    if span:
        sample = _with_pseudo_inputs(sample, span)
    return float(sample.var(ddof=1)) if len(sample) > 1 else math.nan


def _with_pseudo_inputs(sample: Sample, span: float) -> Sample:
    few = min(FEW, len(sample))
    return np.append(sample, [span, -span]) if np.count_nonzero(sample) < few else sample


def _expanded(sample: Sample, confidence: float, seed: int) -> Interval:
    from scipy.stats import norm, t

    count = len(sample)
    tail = norm.cdf(-math.sqrt(count / (count - 1)) * t.ppf((1 + confidence) / 2, count - 1))
    low, high = np.quantile(_resampled(sample, seed, lambda drawn: drawn.mean(axis=1)), [tail, 1 - tail])
    return float(low), float(high)


_STRETCH = 0.8
"""The studentised bootstrap leaves out so much of the error that is allowed: its tails are too short at 20 inputs."""


def _studentised(sample: Sample, confidence: float, seed: int) -> Interval:
    from scipy.stats import t

    mean, error = float(sample.mean()), float(sample.std(ddof=1)) / math.sqrt(len(sample))
    student = float(t.ppf((1 + confidence) / 2, len(sample) - 1))

    def scores(drawn: Sample) -> Sample:
        errors = drawn.std(axis=1, ddof=1) / math.sqrt(len(sample))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray((drawn.mean(axis=1) - mean) / errors)

    found = _resampled(sample, seed, scores)
    tail = _STRETCH * (1 - confidence) / 2
    found = found[np.isfinite(found)]
    if len(found) < RESAMPLES / 2:  # nearly all inputs are alike: most resamples have no spread
        return _expanded(sample, confidence, seed)
    low, high = np.quantile(found, [tail, 1 - tail])
    return mean - max(student, float(high)) * error, mean + max(student, -float(low)) * error


def _resampled(sample: Sample, seed: int, figure: Callable[[Sample], Sample]) -> Sample:
    rng = np.random.default_rng(seed)
    resamples = RESAMPLES if len(sample) <= 10_000 else 999
    step = max(1, _BATCH // len(sample))
    parts = [
        figure(sample[rng.integers(0, len(sample), (min(step, resamples - start), len(sample)))])
        for start in range(0, resamples, step)
    ]
    return np.concatenate(parts)


def _nanquantile(values: Sample, share: float) -> Sample:
    """Over inputs and repeats of each resample; `numpy.nanquantile` is slow where nothing is missing."""
    flat = values.reshape(len(values), -1)
    return np.asarray(np.nanquantile(flat, share, axis=1) if np.isnan(flat).any() else np.quantile(flat, share, axis=1))
