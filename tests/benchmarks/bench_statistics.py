"""How often an interval holds the truth, and how often equals are called different, by simulation with planted truths.

Run: python -m tests.benchmarks.bench_statistics [trials] [--write]. Without `trials` 2,000; that takes an hour of one
processor, and it uses all there are. ``--write`` puts the table between its markers in RESULTS.md. ``--keep FILE``
reads from FILE the sections that it has and adds what is measured, ``--only SECTION ...`` measures just these: so a
section is measured by itself, also with other trials. Seeded: the same figures.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import statistics
import sys
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bifrost_nb._compare.agreement import agreement
from bifrost_nb._compare.judge_bias import preferences
from bifrost_nb._compare.multiple_comparisons import equal_confidence, holm
from bifrost_nb._statistics.bounded_means import limit_interval
from bifrost_nb._statistics.intervals import (
    mean_interval,
    mean_p_value,
    median_interval,
    quantile_interval,
    score_interval,
)
from bifrost_nb._statistics.sequential import confidence_sequence

if TYPE_CHECKING:
    import pandas as pd

RESULTS = Path(__file__).parent / "RESULTS.md"
BEGIN, END = "<!-- statistics:begin -->", "<!-- statistics:end -->"
Drawn = tuple[np.ndarray, float]
"""A sample of paired differences, and their true mean or median."""
Draw = Callable[[np.random.Generator, int], Drawn]
Costs = tuple[np.ndarray, np.ndarray, float]
"""What two variants cost for each input, and the true difference of their means."""


def _right(rng: np.random.Generator, n: int) -> Drawn:
    return (rng.random(n) < 0.75).astype(float) - (rng.random(n) < 0.60), 0.15


def _few(rng: np.random.Generator, n: int) -> Drawn:
    u = rng.random(n)
    return np.where(u < 0.08, 1.0, np.where(u < 0.10, -1.0, 0.0)), 0.06


def _repeated(rng: np.random.Generator, n: int) -> Drawn:
    """Three repeats of inputs that are hard or easy for both, and better or worse for one: folded to an input."""
    hard, own = rng.normal(0.6, 0.3, n), rng.normal(0.1, 0.2, n)
    a, b = (rng.random((3, n)) < np.clip(share, 0, 1) for share in (hard + own, hard))
    return a.mean(axis=0) - b.mean(axis=0), _truth_of_repeated()


@functools.cache
def _truth_of_repeated() -> float:
    rng = np.random.default_rng(1)
    hard, own = rng.normal(0.6, 0.3, 4_000_000), rng.normal(0.1, 0.2, 4_000_000)
    return float((np.clip(hard + own, 0, 1) - np.clip(hard, 0, 1)).mean())


def _skewed(rng: np.random.Generator, n: int) -> Costs:
    return rng.lognormal(0, 1, n), np.ones(n), math.exp(0.5) - 1


def _mild(rng: np.random.Generator, n: int) -> Costs:
    return rng.lognormal(0, 0.7, n), np.ones(n), math.exp(0.245) - 1


def _two_tails(rng: np.random.Generator, n: int) -> Costs:
    return rng.lognormal(0, 1, n), rng.lognormal(0, 1, n), 0.0


def _dearer(of_input: np.ndarray, mean: float, rng: np.random.Generator) -> Costs:
    """30 % dearer than what an input costs, each call with its own noise."""
    n = len(of_input)
    a, b = (factor * of_input * rng.lognormal(0, 0.3, n) for factor in (1.3, 1.0))
    return a, b, 0.3 * mean * math.exp(0.045)


def _gamma(rng: np.random.Generator, n: int) -> Costs:
    return 1.3 * rng.gamma(2, 1, n), rng.gamma(2, 1, n), 0.6


def _tokens(rng: np.random.Generator, n: int) -> Costs:
    return 1.2 * rng.geometric(1 / 200, n), 1.0 * rng.geometric(1 / 200, n), 40.0


def _even(rng: np.random.Generator, n: int) -> Costs:
    return 3.3 + rng.normal(0, 1, n), np.full(n, 3.0), 0.3


def _ten(rng: np.random.Generator, n: int) -> Costs:
    return _dearer(np.where(rng.random(n) < 0.1, 10.0, 1.0), 1.9, rng)


def _longer_template(rng: np.random.Generator, n: int) -> Costs:
    """A prompt that is longer by 300 tokens for every input, and answers of 200 each."""
    question = rng.lognormal(5, 1, n)
    return question + 300 + rng.geometric(1 / 200, n), question + rng.geometric(1 / 200, n), 300.0


def _constant_and_share(rng: np.random.Generator, n: int) -> Costs:
    of_input = rng.lognormal(0, 1, n)
    a, b = (factor * of_input * rng.lognormal(0, 0.3, n) for factor in (1.1, 1.0))
    return 0.3 + a, b, 0.3 + 0.1 * math.exp(0.545)


def _times(rng: np.random.Generator, n: int) -> Drawn:
    """Of one input's time twice: the median of its difference is 0."""
    length = rng.lognormal(6, 0.5, n)
    return length * (rng.lognormal(0, 0.25, n) - rng.lognormal(0, 0.25, n)), 0.0


def _clusters(rng: np.random.Generator, n: int) -> Drawn:
    """Of two clusters, one of which is 52 of 100, and the median at its upper end."""
    median = statistics.NormalDist(-100, 5).inv_cdf(0.5 / 0.52)
    return np.where(rng.random(n) < 0.52, rng.normal(-100, 5, n), rng.normal(100, 5, n)), median


SCORES: dict[str, tuple[Draw, float]] = {
    "scores 0 and 1, 75 against 60 % right": (_right, 1.0),
    "scores 0 and 1 that differ on one input in ten": (_few, 1.0),
    "scores over three repeats, strong input effects": (_repeated, 1.0),
}
MONEY: dict[str, Callable[[np.random.Generator, int], Costs]] = {
    "money, normal against a constant": _even,
    "money, gamma": _gamma,
    "tokens, geometric": _tokens,
    "money, lognormal (sigma 0.7) against a constant": _mild,
    "money, lognormal (sigma 1) against a constant": _skewed,
    "money, lognormal (sigma 1), unrelated": _two_tails,
    "money, lognormal (sigma 1) of the input, 30 % dearer": lambda rng, n: _dearer(
        rng.lognormal(0, 1, n), math.exp(0.5), rng
    ),
    "money, exponential of the input, 30 % dearer": lambda rng, n: _dearer(rng.gamma(1, 1, n), 1.0, rng),
    "money, gamma (0.5) of the input, 30 % dearer": lambda rng, n: _dearer(rng.gamma(0.5, 1, n), 0.5, rng),
    "money, constant and 10 % dearer": _constant_and_share,
    "tokens, a template longer by 300": _longer_template,
    "money, one input in five tenfold, 30 % dearer": lambda rng, n: _dearer(
        np.where(rng.random(n) < 0.2, 10.0, 1.0), 2.8, rng
    ),
    "money, one input in ten tenfold, 30 % dearer": _ten,
}
SIZES = (20, 50, 100)


def _share(held: Iterator[bool | None]) -> float:
    """The share of those that are known: of a sample that tells nothing there is no interval."""
    every = [one for one in held if one is not None]
    return 100 * sum(every) / len(every)


def coverage_of_scores(trials: int) -> Iterator[tuple[str, list[float]]]:
    """(kind, the share of intervals of 95 % that hold the truth with 20, 50 and 100 inputs)."""
    for name, (draw, span) in SCORES.items():
        yield name, [_share(_held(draw, n, trials, functools.partial(_of_score, span=span))) for n in SIZES]


def coverage_of_money(trials: int) -> Iterator[tuple[str, list[float], list[float]]]:
    """The same of money and tokens, and the share of intervals that leave 0 out."""
    for name, costs in MONEY.items():
        shares = np.array([np.mean(list(_held_money(costs, n, trials)), axis=0) for n in SIZES])
        held, called = (100 * shares.T).tolist()
        yield name, held, called


def coverage_of_medians(trials: int) -> Iterator[tuple[str, list[float]]]:
    """The same of times."""
    for name, draw in (("times, median", _times), ("times in two clusters, median", _clusters)):
        yield name, [_share(_held(draw, n, trials, lambda x, _: median_interval(x, 0.95))) for n in SIZES]


def _of_score(sample: np.ndarray, seed: int, span: float) -> tuple[float, float]:
    return mean_interval(sample, 0.95, seed, span=span)


def _held(draw: Draw, n: int, trials: int, interval: Callable[..., tuple[float, float]]) -> Iterator[bool]:
    rng = np.random.default_rng([41, n])
    for trial in range(trials):
        sample, truth = draw(rng, n)
        low, high = interval(sample, trial)
        yield low <= truth <= high


def _held_money(costs: Callable[[np.random.Generator, int], Costs], n: int, trials: int) -> Iterator[tuple[bool, bool]]:
    """Whether the interval holds the truth, and whether it leaves 0 out."""
    rng = np.random.default_rng([41, n])
    for trial in range(trials):
        a, b, truth = costs(rng, n)
        low, high = mean_interval(a - b, 0.95, trial, sizes=(a + b) / 2)
        yield low <= truth <= high, not low <= 0 <= high


def most_coverage(_: int) -> Iterator[tuple[int, float, float, float]]:
    """Of one input in ten tenfold: inputs, the share of samples without any, and the most that can be held of all by an
    interval that holds 95, or 97, where all inputs cost the same; in %.

    Samples without any are those of a world where all inputs cost the same. There the mean is another, so an interval
    that errs there on both sides alike, and moves and widens with the differences, holds our mean in so many and no
    more: its ends are the mean and so many standard deviations of the sample, found here by simulation.
    """
    own, ours = 0.3 * math.exp(0.045), 0.57 * math.exp(0.045)
    for n in SIZES:
        rng, count = np.random.default_rng([52, n]), 200_000
        gaps = 1.3 * rng.lognormal(0, 0.3, (count, n)) - rng.lognormal(0, 0.3, (count, n))
        mean, spread = gaps.mean(axis=1), gaps.std(axis=1)
        without, away, most = 0.9**n, (ours - mean) / spread, []
        for errs in (0.05, 0.03):
            low, high = np.quantile((own - mean) / spread, [errs / 2, 1 - errs / 2])
            most.append(100 * (1 - without * float(((away < low) | (away > high)).mean())))
        yield n, 100 * without, most[0], most[1]


def _mostly_right(rng: np.random.Generator, n: int) -> Drawn:
    return np.where(rng.random(n) < 0.1, rng.random(n), 1.0), 0.95


ONE_SCORE: dict[str, Draw] = {
    "mean score of one variant, over three repeats": lambda rng, n: (rng.binomial(3, 0.9, n) / 3, 0.9),
    "mean score of one variant, graded": lambda rng, n: (rng.beta(8, 2, n), 0.8),
    "mean score of one variant, one answer in ten not perfect": _mostly_right,
}


def coverage_of_one(trials: int) -> Iterator[tuple[str, list[float]]]:
    """The same of one variant's mean score, as the table has it."""

    def held(draw: Draw, n: int) -> Iterator[bool]:
        rng = np.random.default_rng([48, n])
        for trial in range(trials):
            sample, truth = draw(rng, n)
            low, high = score_interval(sample, 0.95, trial)
            yield low <= truth <= high

    for name, draw in ONE_SCORE.items():
        yield name, [_share(held(draw, n)) for n in SIZES]


def coverage_of_kappa(trials: int) -> Iterator[tuple[str, list[float]]]:
    """The same of a judge's kappa with people, who say one of two things as often, or one of them rarely."""
    import pandas as pd

    def held(kappa: float, share: float, n: int) -> Iterator[bool]:
        rng = np.random.default_rng([49, n, round(100 * kappa)])
        for trial in range(trials):
            truth = rng.random(n) < share
            judge = np.where(rng.random(n) < kappa, truth, rng.random(n) < share)
            table = pd.DataFrame({"input_id": np.arange(n).astype(str), "a": truth * 1.0, "b": judge * 1.0})
            found = agreement(table, "a", "b", seed=trial)
            yield not found.low > kappa + 1e-9 and not found.high < kappa - 1e-9

    for kappa in (0.4, 0.6, 0.8):
        yield f"kappa of {kappa}", [_share(held(kappa, 0.5, n)) for n in SIZES]
    for kappa in (0.0, 0.4, 0.8):
        yield f"kappa of {kappa}, one of two values in one of ten", [_share(held(kappa, 0.9, n)) for n in SIZES]


def leanings(rng: np.random.Generator, n: int, position: float, length: float) -> pd.DataFrame:
    """Pairs of two variants and a judge with planted leanings (differences of probabilities)."""
    import pandas as pd

    longer = np.where(rng.random(n) < 0.7, 1, -1)
    better = np.where(rng.random(n) < (1.2 + length * longer) / 2, 1, -1)  # a's answers are better by 20 points
    biased = rng.random(n) < position
    return pd.DataFrame({
        "input_id": np.arange(n).astype(str),
        "model_a": "a",
        "model_b": "b",
        "winner": np.where(biased, "tie", np.where(better > 0, "model_a", "model_b")),
        "first_ab": np.where(biased, 1, better),
        "first_ba": np.where(biased, 1, -better),
        "longer": longer,
    })  # fmt: skip


def coverage_of_leanings(trials: int) -> Iterator[tuple[str, list[float]]]:
    """The same of a judge's liking for the first answer and for the longer one."""

    def held(kind: str, position: float, length: float, truth: float, n: int) -> Iterator[bool | None]:
        rng = np.random.default_rng([50, n, round(100 * (position + length))])
        for trial in range(trials):
            table = preferences(leanings(rng, n, position, length), None, {}, seed=trial)
            row = table.set_index("preference").loc[kind]
            known = row.notna()[["low", "high"]].all()
            yield row["low"] - 1e-9 <= truth <= row["high"] + 1e-9 if known else None

    for name, kind, position, length, truth in (
        ("a judge's liking for the first place, 5 points", "position", 0.05, 0.0, 5.0),
        ("a judge's liking for the first place, 20 points", "position", 0.2, 0.0, 20.0),
        ("a judge's liking for length, none", "length", 0.1, 0.0, 0.0),
        ("a judge's liking for length, 27 points", "length", 0.1, 0.3, 27.0),
    ):
        yield name, [_share(held(kind, position, length, truth, n)) for n in SIZES]


P95_SIZES = (60, 100, 200)


def _slower(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, float]:
    length = rng.lognormal(6, 0.5, (n, 1))
    a, b = (factor * length * rng.lognormal(0, 0.25, (n, 1)) for factor in (1.2, 1.0))
    return a, b, 0.2 * math.exp(6 + 1.6448536 * math.hypot(0.5, 0.25))


def _slower_thrice(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, float]:
    length = rng.lognormal(6, 0.5, (n, 1))
    a, b = (factor * length * rng.lognormal(0, 0.25, (n, 3)) for factor in (1.2, 1.0))
    return a, b, 0.2 * math.exp(6 + 1.6448536 * math.hypot(0.5, 0.25))


def _stalls(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, float]:
    """One call in twelve stalls at either, so that the 95th percentile is of a stall."""
    a, b = (rng.normal(100, 10, (n, 1)) + (rng.random((n, 1)) < 1 / 12) * rng.gamma(4, 50, (n, 1)) for _ in "ab")
    return a, b, 0.0


P95: dict[str, Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray, float]]] = {
    "20 % slower": _slower,
    "20 % slower, over three repeats": _slower_thrice,
    "equal, one call in twelve stalls": _stalls,
}


def coverage_of_p95(trials: int) -> Iterator[tuple[str, list[float]]]:
    """The same of the difference of two 95th percentiles, with 60, 100 and 200 inputs."""

    def held(draw: Callable[..., tuple[np.ndarray, np.ndarray, float]], n: int) -> Iterator[bool]:
        rng = np.random.default_rng([42, n])
        for trial in range(trials):
            a, b, truth = draw(rng, n)
            (low, high), _ = quantile_interval(a, b, 0.95, 0.95, trial)
            yield low <= truth <= high

    for name, draw in P95.items():
        yield name, [_share(held(draw, n)) for n in P95_SIZES]


RARE = ((20, 0.05, 0.05), (20, 0.08, 0.02), (20, 0.10, 0.00), (20, 0.15, 0.05), (50, 0.05, 0.05), (50, 0.08, 0.02))
"""Inputs, and the shares of them that are better and worse: scores 0 and 1 that rarely differ."""


def rare(_: int) -> Iterator[tuple[float, float]]:
    """Of each of `RARE` the coverage of our interval, and the least that any has."""
    for case in RARE:
        yield exact_coverage(*case), least_coverage(*case)


def _outcomes(n: int) -> list[tuple[int, int]]:
    return [(better, worse) for better in range(n + 1) for worse in range(n + 1 - better)]


def _chances(n: int, p: float, q: float) -> np.ndarray:
    from scipy.stats import multinomial

    found: np.ndarray = multinomial.pmf([(b, c, n - b - c) for b, c in _outcomes(n)], n, [p, q, 1 - p - q])
    return found


def exact_coverage(n: int, p: float, q: float) -> float:
    """Of scores 0 and 1: the chance of the outcomes whose interval holds the truth, summed up, in %."""
    held = []
    for better, worse in _outcomes(n):
        sample = np.repeat([1.0, -1.0, 0.0], [better, worse, n - better - worse])
        low, high = mean_interval(sample, 0.95, 0, span=1.0)
        held.append(low - 1e-12 <= p - q <= high + 1e-12)
    return 100 * float(_chances(n, p, q)[held].sum())


def least_coverage(n: int, p: float, q: float, everywhere: float = 0.93) -> float:
    """The least coverage, in %, that an interval can have at (p, q) if it has 93 % at every (x + p - q, x).

    Of all rules that say for each outcome whether p - q is too high for it, too low, or neither: further inputs that
    are better never make it too high, nor those that are worse too low. An integer program over all such rules.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    outcomes = _outcomes(n)
    place = {outcome: number for number, outcome in enumerate(outcomes)}
    count = len(outcomes)
    rows: list[dict[int, float]] = []
    bounds: list[float] = []
    for share in np.linspace(0, (1 - (p - q)) / 2, 60):
        chances = _chances(n, share + p - q, share)
        rows.append(dict(enumerate(np.append(chances, chances))))
        bounds.append(1 - everywhere)
    for (better, worse), own in place.items():
        implied = [(own, place.get((better + 1, worse))), (own, place.get((better, worse - 1)))]
        implied += [(count + own, place.get((better, worse + 1))), (count + own, place.get((better - 1, worse)))]
        # Variables: p - q is too low for this outcome (own), and too high (count + own).
        for side, (out, further) in enumerate(implied):
            if further is not None:
                rows.append({out: 1.0, further + (count if side > 1 else 0): -1.0})
                bounds.append(0.0)
        rows.append({own: 1.0, count + own: 1.0})
        bounds.append(1.0)
    entries = [(value, number, column) for number, row in enumerate(rows) for column, value in row.items()]
    values, numbers, columns = zip(*entries, strict=True)
    matrix = csr_array((values, (numbers, columns)), shape=(len(rows), 2 * count))
    wanted = np.tile(_chances(n, p, q), 2)
    found = milp(
        -wanted, constraints=LinearConstraint(matrix, -np.inf, bounds), integrality=np.ones(2 * count),
        bounds=Bounds(0, 1),
    )  # fmt: skip
    if not found.success:
        raise RuntimeError(found.message)
    return 100 * (1 + float(found.mip_dual_bound))


GRADES: dict[str, Draw] = {
    "from 0.9 to 1, one in 20 is 0": lambda rng, n: (np.where(rng.random(n) < 0.05, 0, rng.uniform(0.9, 1, n)), 0.9025),
    "1, 0.9 or, one in 20, 0": lambda rng, n: (rng.choice([1, 0.9, 0], n, p=[0.5, 0.45, 0.05]), 0.905),
    "5, 4 or, one in ten, 1": lambda rng, n: (rng.choice([5.0, 4.0, 1.0], n, p=[0.7, 0.2, 0.1]), 4.4),
    "1 less a lognormal loss": lambda rng, n: (np.clip(1 - 0.1 * rng.lognormal(0, 1, n), 0, 1), 0.84025),
    "1, or two in five anything": lambda rng, n: (np.where(rng.random(n) < 0.4, rng.random(n), 1.0), 0.8),
    "beta(8, 2)": lambda rng, n: (rng.beta(8, 2, n), 0.8),
    "lengths, lognormal (sigma 1)": lambda rng, n: (rng.lognormal(0, 1, n), math.exp(0.5)),
}
LIMIT_SIZES = (10, 20, 50)


def limits_on_the_edge(trials: int) -> Iterator[tuple[str, list[float], list[float]]]:
    """(kind, in how many of 100 the lower end of a gate's 95 % is above the mean itself, and the upper one below)."""
    for name, draw in GRADES.items():
        sides = []
        for n in LIMIT_SIZES:
            rng = np.random.default_rng([53, n])
            samples = [draw(rng, n) for _ in range(trials)]
            ends = [limit_interval(sample, sample, 0.9, trial) for trial, (sample, _) in enumerate(samples)]
            low, high = np.array(ends).T
            sides.append([100 * float((low > samples[0][1]).mean()), 100 * float((high < samples[0][1]).mean())])
        above, below = np.array(sides).T.tolist()
        yield name, above, below


def false_alarms(trials: int) -> Iterator[tuple[str, int, float]]:
    """(kind, trials, of 100 comparisons of equals, in how many something is called different)."""

    def right(rng: np.random.Generator, count: int, n: int) -> list[np.ndarray]:
        hard = rng.beta(2, 2, n)
        return [(rng.random(n) < hard).astype(float) for _ in range(count)]

    def alone(kind: str) -> Iterator[bool]:
        rng = np.random.default_rng(43)
        for trial in range(trials):
            a, b = right(rng, 2, 100)
            sample = a - b if kind == "binary" else rng.normal(0, 1, 50)
            yield mean_p_value(sample, trial, binary=kind == "binary") <= 0.05

    def six() -> Iterator[bool]:
        rng = np.random.default_rng(44)
        for trial in range(trials):
            p_values = [mean_p_value(a - b, trial, binary=True) for a, b in combinations(right(rng, 6, 100), 2)]
            yield min(holm(p_values)) <= 0.05

    def until(count: int, n: int) -> Iterator[bool]:
        rng = np.random.default_rng([45, count])
        pairs = count * (count - 1) // 2
        for _ in range(trials):
            intervals = (
                confidence_sequence((a - b + 1) / 2, 0.05 / pairs) for a, b in combinations(right(rng, count, n), 2)
            )
            yield any(not low <= 0.5 <= high for low, high in intervals)

    def money(costs: Callable[[np.random.Generator, int], Costs], n: int) -> Iterator[bool]:
        """Moved so that both cost the same in the mean; called where interval and test agree."""
        rng = np.random.default_rng([51, n])
        for trial in range(trials):
            a, b, truth = costs(rng, n)
            low, high = mean_interval(a - b, 0.95, trial, sizes=(a + b) / 2)
            yield not low <= truth <= high and mean_p_value(a - b - truth, trial) <= 0.05

    def apart(count: int) -> Iterator[bool]:
        """Half of them take longer by the margin itself, a tenth; whether a pair of which one does is called equal."""
        rng = np.random.default_rng([55, count])
        half, confidence = count // 2, equal_confidence(0.95, count * (count - 1) // 2)
        for _ in range(trials):
            times = np.where(np.arange(count) < half, 1000, 1100)[:, None] + rng.normal(0, 200, (count, 100))
            pairs = ((times[i], times[j]) for i in range(half) for j in range(half, count))
            ends = (median_interval(b - a, confidence) for a, b in pairs)
            yield any(low >= -100 and high <= 100 for low, high in ends)

    yield "two equals, scores 0 and 1, 100 inputs (McNemar)", trials, _share(alone("binary"))
    yield "two equals, graded, 50 inputs (permutation)", trials, _share(alone("graded"))
    for name in ("money, lognormal (sigma 1) against a constant", "money, gamma (0.5) of the input, 30 % dearer"):
        yield f"equal means of {name.removesuffix(', 30 % dearer')}, 20 inputs", trials, _share(money(MONEY[name], 20))
    yield "six equals with Holm, 100 inputs", trials, _share(six())
    yield "the other way: two of four slower by the margin, any two called equal, 100 inputs", trials, _share(apart(4))
    yield "the other way: three of six slower by the margin, any two called equal, 100 inputs", trials, _share(apart(6))
    yield 'two equals with `until="decided"`, a look after each of 1,000 inputs', trials, _share(until(2, 1000))
    yield 'six equals with `until="decided"`, a look after each of 200 inputs', trials, _share(until(6, 200))


CORRELATIONS = (0.0, 0.1, 0.2)
"""Of right answers of the two over inputs: some inputs are easy or hard for both."""


def power(_: int) -> Iterator[tuple[float, float]]:
    """Of 100 comparisons of 80 with 60 % right at 100 inputs: called by test and interval, and by McNemar's test.

    Computed: the chances of the outcomes that are called, summed up.
    """
    outcomes = _outcomes(100)
    tested, called = np.zeros(len(outcomes), bool), np.zeros(len(outcomes), bool)
    for place, (better, worse) in enumerate(outcomes):
        if better > worse:
            sample = np.repeat([1.0, -1.0, 0.0], [better, worse, 100 - better - worse])
            tested[place] = mean_p_value(sample, 0, binary=True) <= 0.05
            called[place] = tested[place] and mean_interval(sample, 0.95, 0, span=1.0)[0] > 0
    for correlation in CORRELATIONS:
        both = correlation * math.sqrt(0.8 * 0.2 * 0.6 * 0.4)
        chances = _chances(100, 0.32 - both, 0.12 - both)
        yield 100 * float(chances[called].sum()), 100 * float(chances[tested].sum())


def inputs_until_decided(trials: int) -> Iterator[float]:
    """Median and 90 % quantile of the inputs after which 80 against 60 % right is decided, with a look after each."""
    rng = np.random.default_rng(47)
    needed = []
    for _ in range(trials):
        gaps = (rng.random(1600) < 0.8).astype(float) - (rng.random(1600) < 0.6)
        low, high = 1, len(gaps)
        while low < high:  # intervals only narrow, so the first that decides can be searched for
            middle = (low + high) // 2
            if confidence_sequence((gaps[:middle] + 1) / 2, 0.05)[0] > 0.5:
                high = middle
            else:
                low = middle + 1
        needed.append(low)
    yield from (float(np.median(needed)), float(np.quantile(needed, 0.9)))


COVERAGES = (coverage_of_scores, coverage_of_money, coverage_of_medians, coverage_of_one, coverage_of_kappa,
             coverage_of_leanings)  # fmt: skip
SECTIONS: dict[str, Callable[[int], Iterator[Any]]] = {
    one.__name__: one
    for one in (*COVERAGES, coverage_of_p95, most_coverage, rare, limits_on_the_edge, false_alarms, power,
                inputs_until_decided)
}  # fmt: skip
Found = dict[str, tuple[int, list[Any]]]
"""Of each section the trials, and what it yields."""


def _listed(name: str, trials: int) -> list[Any]:
    found = list(SECTIONS[name](trials))
    print(name, file=sys.stderr, flush=True)
    return found


def measured(trials: int, names: Collection[str]) -> Found:
    """Each section with so many trials; sequences for any look are slow and get a quarter."""
    counts = {name: trials // 4 if name == "inputs_until_decided" else trials for name in names}
    with ProcessPoolExecutor() as pool:
        asked = {name: pool.submit(_listed, name, count) for name, count in counts.items()}
        return {name: (counts[name], one.result()) for name, one in asked.items()}


def table(found: Found) -> str:
    """The section of RESULTS.md. Rows with other trials than most are marked by theirs."""
    usual = found["coverage_of_scores"][0]
    error = 100 * math.sqrt(0.05 * 0.95 / usual)
    head = "| intervals of 95 % that hold the truth, of 100 | 20 inputs | 50 | 100 |"
    lines = [
        f"{usual:,} trials each, or as is marked; the standard error of a share near 95 is {error:.1f}.",
        "",
        head,
        "|---|---|---|---|",
    ]
    for section in COVERAGES:
        lines += _rows(found[section.__name__], usual)
    lines += ["", _bound(found["most_coverage"][1]), ""]
    lines += ["| times, p95: intervals that hold the truth, of 100 | 60 inputs | 100 | 200 |", "|---|---|---|---|"]
    lines += _rows(found["coverage_of_p95"], usual)
    lines += ["", "| money: intervals that leave 0 out, of 100 | 20 inputs | 50 | 100 |", "|---|---|---|---|"]
    trials, rows = found["coverage_of_money"]
    lines += _rows((trials, [(name, called) for name, _, called in rows if "unrelated" not in name]), usual)
    lines += [
        "",
        "Scores 0 and 1 that rarely differ, computed: few outcomes are possible, so no interval that holds 93 for all"
        " shares can hold less than this.",
        "",
        "| inputs | better | worse | holds, of 100 | least of any |",
        "|---|---|---|---|---|",
    ]
    for (n, p, q), (ours, least) in zip(RARE, found["rare"][1], strict=True):
        lines.append(f"| {n} | {p:.0%} | {q:.0%} | {ours:.1f} | {least:.1f} |")
    lines += ["", _LIMITS_HEAD, "|---|---|---|---|"]
    trials, edges = found["limits_on_the_edge"]
    lines += [f"| {name} | {_pairs(above, below)} |" for name, above, below in edges]
    lines += ["", "| equals called different, of 100 | aim: at most 5 |", "|---|---|"]
    lines += [f"| {name} ({count:,} trials) | {share:.1f} |" for name, count, share in found["false_alarms"][1]]
    lines += ["", "| 80 against 60 % right at 100 inputs, computed: called, of 100 | by McNemar's test alone |"]
    lines += ["|---|---|"]
    for correlation, (called, tested) in zip(CORRELATIONS, found["power"][1], strict=True):
        lines.append(f"| answers correlate over inputs by {correlation:.1f}: {called:.1f} | {tested:.1f} |")
    trials, (median, most) = found["inputs_until_decided"]
    lines += [
        "",
        f'With `until="decided"` it takes {median:.0f} inputs in the median, {most:.0f} in nine of ten'
        f" ({trials:,} trials).",
    ]
    return "\n".join(lines)


_LIMITS_HEAD = "| a gate's limit on the mean grade itself: at least / at most it passes, of 100 | 10 inputs | 20 | 50 |"


def _pairs(above: list[float], below: list[float]) -> str:
    return " | ".join(f"{low:.1f} / {high:.1f}" for low, high in zip(above, below, strict=True))


def _bound(found: list[tuple[int, float, float, float]]) -> str:
    told = {n: rest for n, *rest in found}
    without, most, wide = told[20]
    return (
        f"Where one input in ten costs tenfold, {without:.1f} of 100 samples of 20 inputs hold none of these. Such a"
        " sample is one of a world where all inputs cost the same, whose mean is half as large, and nothing in it tells"
        " the two apart. An interval that moves and widens with the differences, errs on both sides alike and holds 95"
        f" in that world reaches the larger mean so seldom that of all samples it holds at most {most:.1f}, even if it"
        f" never missed where a tenfold input is seen; one that holds 97 there, at most {wide:.1f}. With hundredfold"
        f" inputs it would be {100 - without:.1f}. So at 20 inputs 93 is not to be had by an interval of 95 %."
        f" At 50 inputs {told[50][0]:.1f} of 100 samples hold none, and the bound is {told[50][1]:.1f}."
    )


def _rows(section: tuple[int, list[Any]], usual: int) -> list[str]:
    trials, found = section
    note = "" if trials == usual else f" ({trials:,} trials)"
    return [f"| {name}{note} | " + " | ".join(f"{share:.1f}" for share in shares) + " |" for name, shares, *_ in found]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trials", nargs="?", type=int, default=2000)
    parser.add_argument("--write", action="store_true", help="write the table into RESULTS.md")
    parser.add_argument("--keep", type=Path, help="a JSON file of measured sections")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, metavar="SECTION", help="measure these sections alone")
    given = parser.parse_args()
    kept: Found = json.loads(given.keep.read_text(encoding="utf-8")) if given.keep and given.keep.exists() else {}
    kept |= measured(given.trials, given.only or [name for name in SECTIONS if name not in kept])
    if given.keep:
        given.keep.write_text(json.dumps(kept), encoding="utf-8")
    if missing := [name for name in SECTIONS if name not in kept]:
        sys.exit(f"Not measured yet: {', '.join(missing)}.")
    made = table(kept)
    print(made)
    if given.write:
        before, _, rest = RESULTS.read_text(encoding="utf-8").partition(BEGIN)
        RESULTS.write_text(f"{before}{BEGIN}\n{made}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
