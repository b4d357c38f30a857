"""The bootstrap over inputs: a figure of each resample, and the interval that these leave."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["BATCH", "RESAMPLES", "Interval", "Sample", "expanded", "expanded_tail", "resampled"]

Sample = np.ndarray[Any, Any]
Interval = tuple[float, float]
RESAMPLES = 4999
BATCH = 4_000_000
"""So many numbers are drawn at once: some 32 MB."""


def expanded_tail(count: int, confidence: float) -> float:
    """The share of resamples of `count` inputs that is left out on each side (Hesterberg 2015)."""
    from scipy.stats import norm, t

    return float(norm.cdf(-math.sqrt(count / (count - 1)) * t.ppf((1 + confidence) / 2, count - 1)))


def expanded(sample: Sample, confidence: float, seed: int) -> Interval:
    """The interval of a mean: percentiles, taken further out."""
    tail = expanded_tail(len(sample), confidence)
    low, high = np.quantile(resampled(sample, seed, lambda drawn: drawn.mean(axis=1)), [tail, 1 - tail])
    return float(low), float(high)


def resampled(sample: Sample, seed: int, figure: Callable[[Sample], Sample]) -> Sample:
    """`figure` of each resample, as many numbers as resamples; of more than 10,000 inputs there are fewer of these."""
    rng = np.random.default_rng(seed)
    resamples = RESAMPLES if len(sample) <= 10_000 else 999
    step = max(1, BATCH // len(sample))
    parts = [
        figure(sample[rng.integers(0, len(sample), (min(step, resamples - start), len(sample)))])
        for start in range(0, resamples, step)
    ]
    return np.concatenate(parts)
