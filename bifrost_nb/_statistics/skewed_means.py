"""The interval of a mean of money or tokens, whose few dearest inputs weigh most.

On each side the widest of three ends, since each alone fails somewhere (`tests/benchmarks/bench_statistics.py`, 20
inputs):

- Student's t covers 87 % of skewed differences (lognormal, sigma 1, against a constant).
- The studentised bootstrap covers 88 to 91 % of those with two heavy tails (lognormal against lognormal); BCa 85 to
  89 % of both, a bootstrap of the bootstrap 90 %. It is asked for more than 95 % where the sample, or what the two
  cost, is skewed (`_stretch`): with a heavy tail of the inputs 20 differences of both signs may look even.
- The differences of the dearest inputs are few, and where they happen to be small the sample's own spread is too. If
  differences spread in proportion to what an input costs, all inputs tell by how much, and Student's t takes its error
  from these (`_error_by_size`). Without it, inputs of which one in ten is tenfold were covered in 86 % at 20 inputs
  and 91 at 50; with it in 91.5 and 95. It makes the other intervals up to 4 % wider, and most of that where they
  called on a spread too small: of 30 % dearer at 20 inputs it calls 20 to 33 of 100 where 30 to 41 were called. Where
  something is the same for all inputs, as the tokens that a longer template adds, it is 1 to 3 % wider and calls 44
  where it called 48.

Together they cover 94 to 98 % of the benchmark's shapes, and are 6 % wider than t for normal differences, 55 to 100 %
for lognormal ones. What a sample has none of nothing can know (Bahadur and Savage 1956: no interval of a mean covers
every distribution): RESULTS.md has how much can be had at 20 inputs where one in ten is tenfold (92.7 %), and
`Difference.caution` says so to whoever reads a verdict. An error 15 % larger would cover 92.9 % there; it covers 96 to
99 % of the other shapes of this kind, and calls 22 of 100 where this calls 28 (lognormal of the input, 1,000 trials).
"""

from __future__ import annotations

import math

import numpy as np

from .resampling import RESAMPLES, Interval, Sample, expanded, resampled

__all__ = ["skewed_mean_interval"]

_MOST_STRETCHED = 0.15
_ROUNDING = 1e-12
_EVEN = 0.5
"""Samples of even distributions have about so much skewness."""
_SEEN_ENOUGH = 10
"""From so many inputs on the bootstrap's ends stay within the differences that were seen, and hold as much as before;
of 6 inputs they would hold up to 3 points less where costs are skewed (simulated, 700 trials)."""
_UNLIKELY = 20
"""Differences are taken to spread in proportion to size unless an even spread is so many times as likely."""


def skewed_mean_interval(sample: Sample, sizes: Sample, confidence: float, seed: int) -> Interval:
    """The interval of the mean of `sample`, paired differences of inputs that cost `sizes`. `sample` has a spread."""
    from scipy.stats import t

    mean, student = float(sample.mean()), float(t.ppf((1 + confidence) / 2, len(sample) - 1))
    low, high = _studentised(sample, confidence, seed, _stretch(sample, sizes), student)
    reach = student * _error_by_size(sample, sizes)
    return min(low, mean - reach), max(high, mean + reach)


def _studentised(sample: Sample, confidence: float, seed: int, part: float, student: float) -> Interval:
    """The wider end, on each side, of Student's t and of the studentised bootstrap at `part` of the allowed error."""
    mean, error = float(sample.mean()), float(sample.std(ddof=1)) / math.sqrt(len(sample))

    def scores(drawn: Sample) -> Sample:
        errors = drawn.std(axis=1, ddof=1) / math.sqrt(len(sample))
        errors[errors <= _ROUNDING * float(np.abs(sample).max())] = 0.0  # all alike, but for the last bit
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray((drawn.mean(axis=1) - mean) / errors)

    found = resampled(sample, seed, scores)
    tail = part * (1 - confidence) / 2
    found = found[np.isfinite(found)]
    if len(found) < RESAMPLES / 2:  # nearly all inputs are alike: most resamples have no spread
        return expanded(sample, confidence, seed)
    low, high = np.quantile(found, [tail, 1 - tail])
    # Little further than what was seen: of differences in two clusters, as of answers that end at the token limit or do
    # not, a resample within one has next to no spread, so that its score has no bound.
    least, most = float(sample.min()), float(sample.max())
    beyond = most - least if len(sample) < _SEEN_ENOUGH else 0.0
    below = max(student * error, min(float(high) * error, mean - least + beyond))
    above = max(student * error, min(-float(low) * error, most - mean + beyond))
    return mean - below, mean + above


def _stretch(sample: Sample, sizes: Sample) -> float:
    """The part of the allowed error that the studentised bootstrap is asked for: its long tail is too short.

    The more so the more skewed the few inputs are (its own error falls with n as skewness / n does).
    """
    skewness = max(_skewness(sample), _skewness(sizes))
    return max(_MOST_STRETCHED, 1 - 18 * max(0.0, skewness - _EVEN) / len(sample))


def _skewness(sample: Sample) -> float:
    gaps = sample - sample.mean()
    spread = float((gaps**2).mean())
    return abs(float((gaps**3).mean())) / spread**1.5 if spread > 1e-24 * float((sample**2).mean()) else 0.0


def _error_by_size(sample: Sample, sizes: Sample) -> float:
    """The standard error of the mean where differences spread in proportion to size; 0 where they clearly do not.

    Difference = constant + slope x size + size x noise, fitted relative to size, so that the noise is known from all
    inputs and not from the dearest alone.
    """
    paid = sizes > 0
    count = int(paid.sum())
    if count < 4:
        return 0.0
    share, size = sample[paid] / sizes[paid], sizes[paid]
    terms = np.column_stack([1 / size, np.ones(count)])
    fitted, *_ = np.linalg.lstsq(terms, share, rcond=None)
    left = float(((share - terms @ fitted) ** 2).sum())
    even = float(sample[paid].var())
    if left > 0 and even > 0:
        evidence = count * (float(np.log(size).mean()) + (math.log(left / count) - math.log(even)) / 2)
        if evidence > math.log(_UNLIKELY):
            return 0.0
    of_noise = left / (count - 2) * float((sizes**2).mean())
    return math.sqrt((float(fitted[1]) ** 2 * float(sizes.var()) + of_noise) / len(sample))
