"""An interval for a mean that holds at every look, so that one may stop when it has decided.

The hedged betting confidence sequence of Waudby-Smith and Ramdas (2024, JRSS B, "Estimating means of bounded random
variables by betting"): for each possible mean a gambler bets against it; a mean against which a fortune of 1/alpha was
made is out, for good. By Ville's inequality the true mean is ever out with probability alpha at most.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["confidence_sequence"]

GRID = 1001
_AT_ONCE = 500
"""Values of the sample that are worked on together: some 4 MB for each array."""


def confidence_sequence(sample: np.ndarray[Any, Any], alpha: float) -> tuple[float, float]:
    """The interval of the mean of `sample` (values from 0 to 1, in the order seen), valid at its end and before.

    It is (0, 1) where nothing was seen. Values must not depend on what later ones will be; that an input is sent at
    random makes it so.
    """
    if not len(sample):
        return 0.0, 1.0
    steps = np.arange(1, len(sample) + 1)
    means = (0.5 + np.cumsum(sample)) / (steps + 1)
    variances = (0.25 + np.cumsum((sample - means) ** 2)) / (steps + 1)
    before = np.concatenate(([0.25], variances[:-1]))  # a bet knows only what came before it
    stakes = np.sqrt(2 * math.log(2 / alpha) / (before * steps * np.log(steps + 1)))
    grid = np.linspace(0, 1, GRID)
    with np.errstate(divide="ignore"):
        up, down = 0.5 / np.maximum(grid, 1e-12), 0.5 / np.maximum(1 - grid, 1e-12)
    rise, fall, most = np.zeros(GRID), np.zeros(GRID), np.zeros(GRID)
    for start in range(0, len(sample), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        value, stake = sample[part, None], stakes[part, None]
        rises = rise + np.cumsum(np.log1p(np.minimum(stake, up) * (value - grid)), axis=0)
        falls = fall + np.cumsum(np.log1p(-np.minimum(stake, down) * (value - grid)), axis=0)
        most = np.maximum(most, np.maximum(rises, falls).max(axis=0))
        rise, fall = rises[-1], falls[-1]
    alive = most < math.log(2 / alpha)  # half of the fortune on either side
    if not alive.any():  # the data contradicts itself beyond alpha; the last mean is all there is to say
        return float(means[-1]), float(means[-1])
    inside = np.flatnonzero(alive)
    step = 1 / (GRID - 1)  # a mean between two points of the grid is not out before both are
    return max(0.0, float(grid[inside[0]]) - step), min(1.0, float(grid[inside[-1]]) + step)
