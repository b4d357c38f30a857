"""Intervals and p-values of paired differences: one number for each input.

The methods were chosen by simulation with a planted truth; ``tests/benchmarks/bench_statistics.py`` repeats it at
length and has the figures (``tests/benchmarks/RESULTS.md``), ``tests/compare/test_intervals.py`` in small.

- means: the bootstrap over inputs. Its percentiles are taken further out by the factor by which Student's t is wider
  than the normal (Hesterberg 2015, "expanded percentile"): plain percentiles cover 91 % at 20 inputs.
- means of money and tokens: `skewed_means`.
- means of scores that are 0 or 1 on either side: Tango's score interval of the difference of two paired shares (1998,
  Statistics in Medicine 17:891). It covers 94 to 97 % wherever one input in four differs or more; where fewer do, so
  few outcomes are possible that no interval stays near 95. Exact coverage where a share p of 20 inputs is better and q
  worse, and the least there of any interval that covers 93 % for every p and q (found by integer programming,
  `least_coverage` in the benchmark):

  ====  ====  =====  =============  =================
  p     q     here   least of any   bootstrap, before
  ====  ====  =====  =============  =================
  0.05  0.05   98.6           96.3              100.0
  0.08  0.02   99.5           97.4               99.8
  0.10  0.00   99.8           98.9              100.0
  ====  ====  =====  =============  =================

- other scores of which few differ: one input better and one worse by the whole range are added first. Without them, 20
  inputs answered alike would give an interval of width 0. So would 10 of which each is better by half a point: with the
  two of `_with_pseudo_inputs` intervals hold the truth in 98 of 100, which without held it in 36 (where 5 of 100 are
  worse).
- medians: between two order statistics, by Hettmansperger and Sheather's interpolation (1986, Statistics & Probability
  Letters 4:75), but for gaps between clusters (`_is_split`); the p-value is the level at which the interval just
  touches 0, a sign test without its steps. Interval and test so never contradict each other, and neither assumes a
  shape, as Wilcoxon's test does. The percentile
  bootstrap covers 92 % at 20 inputs.
- other quantiles: Harrell and Davis's estimate, a mean of the ordered values with weights, and its percentile bootstrap
  over both sides together (Wilcox and Erceg-Hurn 2012, Psychological Methods 17:466), taken further out as those of
  means: where one call in twelve stalls plain percentiles cover 93.2 % at 60 inputs (3,000 trials), these 93.9, and are
  3 % wider. Of a plain p95 the bootstrap sees a few values only: it covers 97.5 to 99.2 % at 60 to 200 inputs and is a
  tenth to a seventh wider.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from .resampling import BATCH, RESAMPLES, Interval, Sample, expanded, expanded_tail
from .skewed_means import skewed_mean_interval

__all__ = [
    "FEW",
    "mean_interval",
    "mean_p_value",
    "median_interval",
    "median_p_value",
    "quantile",
    "quantile_interval",
    "scale_of",
    "score_interval",
    "share_interval",
    "variance",
]

FEW = 8
"""With fewer inputs that differ, a bootstrap has too little to draw from."""
_SPLIT = 0.9
"""A gap that is so much of the interval of a median parts two clusters."""
BEST_GRADE = 10
"""Whole numbers from 1 to so much are grades, of which 1 is the least; others may be lengths."""


def mean_interval(
    sample: Sample, confidence: float, seed: int, *, sizes: Sample | None = None, span: float = 0.0
) -> Interval:
    """The interval of a mean, one number for each input.

    `span` is the range of a score (0: no score). For money and tokens `sizes` has what each input cost: their tail is
    that of the differences in `sample`, also where these do not show it.
    """
    if len(sample) < 2:
        return -math.inf, math.inf
    if span:
        if np.isin(sample, (-span, 0.0, span)).all():
            low, high = _paired_shares(int((sample > 0).sum()), int((sample < 0).sum()), len(sample), confidence)
            return span * low, span * high
        sample = _with_pseudo_inputs(sample, span)
    spread = float(sample.std(ddof=1))
    if spread <= 1e-12 * max(1.0, abs(float(sample.mean()))):
        return float(sample[0]), float(sample[0])
    if sizes is None:
        return expanded(sample, confidence, seed)
    return skewed_mean_interval(sample, sizes, confidence, seed)


def score_interval(sample: Sample, confidence: float, seed: int, ends: Interval | None = None) -> Interval:
    """The interval of the mean of one variant's scores, one for each input; `ends` is what they can be.

    Without `ends` that is 0 to 1, of grades from 1 on 1 to the best that was seen, else what was seen. Where fewer than
    `FEW` inputs differ from the most frequent score, one of the least and one of the most that it can be are added:
    twenty answers alike do not show that there is no other. Where nothing says what else it can be, there is no end.
    """
    low, high = ends or scale_of(sample)[0]
    if low == high:
        return -math.inf, math.inf
    _, counts = np.unique(sample, return_counts=True)
    few = len(sample) - counts.max() < FEW
    found = mean_interval(np.append(sample, [low, high]) if few else sample, confidence, seed)
    mean = float(sample.mean())
    return max(low, min(mean, found[0])), min(high, max(mean, found[1]))


def scale_of(sample: Sample) -> tuple[Interval, bool]:
    """What a score can be, as far as it shows, and whether that is more than what was seen."""
    least, most = float(sample.min()), float(sample.max())
    if least >= 0 and most <= 1:
        return (0.0, 1.0), True
    grades = least >= 1 and most <= BEST_GRADE and bool((sample == sample.round()).all())
    return (1.0 if grades else least, most), grades


def _paired_shares(better: int, worse: int, count: int, confidence: float) -> Interval:
    """Tango's interval: the differences d that a score test of `better` against `worse` of `count` inputs leaves in."""
    from scipy.stats import norm

    limit = float(norm.ppf((1 + confidence) / 2))

    def score(d: float) -> float:
        """How far what was seen is from `d`, in standard errors; falls from -1 to 1."""
        linear = (2 * count - better + worse) * d - better - worse
        root = math.sqrt(max(0.0, linear * linear + 8 * count * worse * d * (1 - d)))
        fewest = (root - linear) / (4 * count)  # the share that is worse, as likely as it can be where d is the truth
        variance = count * (2 * fewest + d * (1 - d))
        away = better - worse - count * d
        return away / math.sqrt(variance) if variance > 1e-15 else math.copysign(math.inf, away) if away else 0.0

    def crossing(wanted: float, left: float, right: float) -> float:
        for _ in range(50):
            middle = (left + right) / 2
            left, right = (middle, right) if score(middle) > wanted else (left, middle)
        return (left + right) / 2

    estimate = (better - worse) / count
    low = -1.0 if worse == count else crossing(limit, -1.0, estimate)
    high = 1.0 if better == count else crossing(-limit, estimate, 1.0)
    return low, high


def share_interval(count: int, of: int, confidence: float = 0.95) -> Interval:
    """Wilson's interval of a share."""
    from scipy.stats import binomtest

    found = binomtest(count, of).proportion_ci(confidence, method="wilson")
    return float(found.low), float(found.high)


def median_interval(sample: Sample, confidence: float) -> Interval:
    """The interval of a median; infinite where so few inputs cannot give one (95 % takes six)."""
    count, levels = len(sample), _median_levels(len(sample))
    inner = int(np.searchsorted(-levels, -confidence, side="right"))  # so many pairs of order statistics are enough
    if inner == 0:
        return -math.inf, math.inf
    ordered = np.sort(sample)
    share = (levels[inner - 1] - confidence) / (levels[inner - 1] - levels[inner])
    part = (count - inner) * share / (inner + (count - 2 * inner) * share)

    def end(values: Sample) -> float:
        return float(
            values[inner - 1] + (0.0 if _is_split(values, inner) else part * (values[inner] - values[inner - 1]))
        )

    return end(ordered), end(ordered[::-1])


def _is_split(ordered: Sample, inner: int) -> bool:
    """Whether an end would be interpolated in a gap between two clusters, as of times with and without a queue.

    There it would be no nearer to the median and leave out the cluster that has it: of two clusters as large intervals
    of 95 % held the truth in 88 to 93 of 100 at 6 to 12 inputs. With the outer one of the two order statistics, which
    are exact for any shape, they hold it in 97 to 99, and others are as wide as before (from nine inputs on; with six
    to eight up to a tenth wider where tails are heavy).
    """
    outer, whole = ordered[inner - 1], ordered[len(ordered) - inner] - ordered[inner - 1]
    return bool(abs(ordered[inner] - outer) > _SPLIT * abs(whole))


def median_p_value(sample: Sample) -> float:
    """One minus the least confidence whose `median_interval` has 0 in it."""
    count, ordered = len(sample), np.sort(sample)
    if np.median(ordered) < 0:
        ordered = -ordered[::-1]
    inner = int((ordered <= 0).sum())  # of the order statistics from below so many have 0 in their interval
    levels = _median_levels(count)
    if inner >= len(levels):
        return 1.0
    if inner == 0:
        return float(1 - levels[0])
    split = _is_split(ordered, inner)
    part = 1.0 if split else -ordered[inner - 1] / (ordered[inner] - ordered[inner - 1])
    share = part * inner / (count - inner - part * (count - 2 * inner))
    return min(1.0, float(1 - levels[inner - 1] + share * (levels[inner - 1] - levels[inner])))


@functools.lru_cache(64)
def _median_levels(count: int) -> Sample:
    """How surely the median is between the k-th smallest and the k-th largest of `count`, k = 1, 2, ...

    The last one is below every confidence: those two have changed places.
    """
    from scipy.stats import binom

    places = np.arange(count // 2 + 1)
    return np.asarray(1 - 2 * binom.cdf(places, count, 0.5))


def quantile(values: Sample, share: float) -> float:
    """Harrell and Davis's estimate of a quantile of all numbers in `values`; NaN are left out."""
    return float(_quantiles(values[None], share)[0])


def quantile_interval(a: Sample, b: Sample, share: float, confidence: float, seed: int) -> tuple[Interval, float]:
    """Interval and p-value of a `quantile` of `a` minus that of `b`: inputs x repeats each, NaN where a run is missing.

    Inputs are drawn with all their repeats, the same for both sides; the p-value swaps the sides of inputs.
    """
    if len(a) < 2:
        return (-math.inf, math.inf), 1.0
    rng = np.random.default_rng(seed)

    def gap(left: Sample, right: Sample) -> Sample:
        return np.asarray(_quantiles(left, share) - _quantiles(right, share))

    observed = float(gap(a[None], b[None])[0])
    count, resamples = len(a), 1999
    drawn, swapped = np.empty(resamples), np.empty(resamples)
    step = max(1, BATCH // (4 * a.size))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        index = rng.integers(0, count, (size, count))
        drawn[start : start + size] = gap(a[index], b[index])
        flip = rng.random((size, count, 1)) < 0.5
        swapped[start : start + size] = gap(np.where(flip, b, a), np.where(flip, a, b))
    tail = expanded_tail(count, confidence)
    low, high = np.nanquantile(drawn, [tail, 1 - tail])
    extreme = int((np.abs(swapped) >= abs(observed) * (1 - 1e-12)).sum())
    return (float(low), float(high)), (extreme + 1) / (resamples + 1)


def mean_p_value(sample: Sample, seed: int, *, binary: bool = False) -> float:
    """McNemar's exact test where each side is 0 or 1, else a permutation test that swaps the sides of inputs."""
    from scipy.stats import binomtest, permutation_test

    moved = sample[sample != 0]
    if len(moved) < 2:  # of one that moved, either sign is as likely
        return 1.0
    if binary:
        return float(binomtest(int((moved > 0).sum()), len(moved)).pvalue)
    found = permutation_test(
        (moved,),
        lambda x, axis: np.mean(x, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=max(1, BATCH // len(moved)),
        rng=np.random.default_rng(seed),
    )
    return min(1.0, float(found.pvalue))


def variance(sample: Sample, span: float) -> float:
    """The variance of a mean's sample, as the interval counts it: not 0 because few inputs were seen."""
    if span:
        sample = _with_pseudo_inputs(sample, span)
    return float(sample.var(ddof=1)) if len(sample) > 1 else math.nan


def _with_pseudo_inputs(sample: Sample, span: float) -> Sample:
    """Two inputs more, one better and one worse by the whole range, where few differ.

    Where all differ by the same, one that does not and one that differs by twice as much: by the whole range, the
    interval would not leave 0 out where each of ten is better by one of five grades.
    """
    if np.count_nonzero(sample) < min(FEW, len(sample)):
        return np.append(sample, [span, -span])
    alike = np.ptp(sample) <= 1e-12  # 0.9 - 0.8 is not 0.8 - 0.7 to the last digit
    return np.append(sample, [0.0, np.clip(2 * sample[0], -span, span)]) if alike else sample


def _quantiles(values: Sample, share: float) -> Sample:
    """`quantile` of each resample, over its inputs and repeats."""
    ordered = np.sort(values.reshape(len(values), -1), axis=1)  # NaN last
    known = ordered.shape[1] - np.isnan(ordered).sum(axis=1)
    found = np.full(len(ordered), np.nan)
    for count in np.unique(known[known > 0]):
        rows = known == count
        found[rows] = ordered[rows, :count] @ _harrell_davis(int(count), share)
    return found


@functools.cache
def _harrell_davis(count: int, share: float) -> Sample:
    from scipy.stats import beta

    return np.diff(beta.cdf(np.linspace(0, 1, count + 1), (count + 1) * share, (count + 1) * (1 - share)))
