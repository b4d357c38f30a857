"""Intervals and p-values of paired differences, by simulation with a planted truth."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import binom, binomtest, mstats, multinomial

from bifrost_nb._statistics.bounded_means import limit_interval
from bifrost_nb._statistics.intervals import (
    mean_interval,
    mean_p_value,
    median_interval,
    median_p_value,
    quantile,
    quantile_interval,
    score_interval,
)
from bifrost_nb._statistics.skewed_means import skewed_mean_interval
from tests.thorough import some_of, thorough

TRIALS = 300


@pytest.mark.parametrize("inputs", [20, *thorough(100)])
@pytest.mark.parametrize("kind", ["0 or 1", "graded"])
def test_score_intervals_cover_the_truth(inputs: int, kind: str) -> None:
    """Of 100 intervals of 95 %, at least 91 hold the planted difference of 15 points (three standard errors of 93)."""
    rng = np.random.default_rng(7)
    held = 0
    for trial in range(TRIALS):
        if kind == "0 or 1":
            better, worse = rng.random(inputs) < 0.75, rng.random(inputs) < 0.60
            sample = better.astype(float) - worse.astype(float)
        else:
            sample = rng.normal(0.15, 0.3, inputs)
        low, high = mean_interval(sample, 0.95, trial, span=1.0 if kind == "0 or 1" else 0.0)
        held += low <= 0.15 <= high
    assert held >= 0.91 * TRIALS


@pytest.mark.parametrize(("inputs", "least"), [(20, 94), (50, 93.5)])
def test_intervals_of_scores_cover_the_truth_everywhere(inputs: int, least: float) -> None:
    """Computed, not drawn: of 0 and 1, for each share of inputs that are better and worse; near 95 where they differ.

    Where few of 20 inputs differ no interval can stay near 95 (`least_coverage` in the benchmark).
    """
    outcomes = [(better, worse) for better in range(inputs + 1) for worse in range(inputs + 1 - better)]
    signs = [np.repeat([1.0, -1.0, 0.0], [b, w, inputs - b - w]) for b, w in outcomes]
    low, high = np.array([mean_interval(sample, 0.95, 0, span=1.0) for sample in signs]).T
    held: dict[float, list[float]] = {}
    for better in np.arange(0, 0.61, 0.1):
        for worse in np.arange(0, min(better, 0.99 - better) + 0.01, 0.1):
            chances = multinomial.pmf(
                [(b, w, inputs - b - w) for b, w in outcomes], inputs, [better, worse, 1 - better - worse]
            )
            inside = (low - 1e-9 <= better - worse) & (better - worse <= high + 1e-9)
            held.setdefault(better + worse, []).append(100 * chances[inside].sum())
    assert min(min(some) for some in held.values()) >= least
    usual = [share for apart, some in held.items() if apart > 0.35 for share in some]
    assert 94.4 < np.mean(usual) < 95.6


@pytest.mark.parametrize(("better", "worse", "inputs"), [(3, 0, 20), (12, 2, 50), (0, 1, 44), (27, 1, 100)])
def test_the_ends_of_a_score_interval_are_what_a_score_test_just_allows(better: int, worse: int, inputs: int) -> None:
    """At each end the most likely shares, found by a general optimiser, are 1.96 standard errors from what was seen."""
    sample = np.repeat([1.0, -1.0, 0.0], [better, worse, inputs - better - worse])
    for end, sign in zip(mean_interval(sample, 0.95, 0, span=1.0), (1, -1), strict=True):

        def unlikely(share: float, d: float = end) -> float:
            rest = max(1 - d - 2 * share, 1e-300)
            seen = ((better, max(share + d, 1e-300)), (worse, max(share, 1e-300)), (inputs - better - worse, rest))
            return -sum(count * math.log(chance) for count, chance in seen if count)

        share = minimize_scalar(unlikely, bounds=(max(0, -end), (1 - end) / 2), method="bounded",
                                options={"xatol": 1e-10}).x  # fmt: skip
        error = math.sqrt((2 * share + end - end**2) / inputs)
        assert (sample.mean() - end) / error == pytest.approx(sign * 1.96, abs=2e-3)


MEDIANS: dict[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = {
    "normal": lambda rng, size: rng.normal(0, 1, size),
    "times of one input": lambda rng, size: (
        rng.lognormal(6, 0.5, size) * (rng.lognormal(0, 0.25, size) - rng.lognormal(0, 0.25, size))
    ),
    "one long tail": lambda rng, size: rng.lognormal(0, 1, size) - 1,
    "two endless tails": lambda rng, size: rng.standard_cauchy(size),
}
"""Paired differences whose median is 0."""


@pytest.mark.parametrize("inputs", [6, 20, 50])
@pytest.mark.parametrize("kind", MEDIANS)
def test_intervals_of_medians_cover_the_truth(kind: str, inputs: int) -> None:
    """Whatever the shape, 93.5 to 96.5 of 100 hold the median, from six inputs on (3,000 trials: four errors are 1.6).

    The percentile bootstrap held it in 92 of 100 at 20 inputs.
    """
    samples = MEDIANS[kind](np.random.default_rng(15), (3000, inputs))
    held = [low <= 0 <= high for low, high in (median_interval(sample, 0.95) for sample in samples)]
    assert 0.934 <= np.mean(held) <= 0.966


def test_the_test_of_a_median_is_its_interval() -> None:
    """0 is outside the interval of a confidence just where one minus it is above p: at every size, with ties too."""
    rng = np.random.default_rng(16)
    for trial in range(300):
        count = int(rng.integers(2, 60))
        sample = rng.normal(rng.normal(0, 0.5), 1, count)
        if trial % 3 == 0:
            sample = sample.round()
        p_value = median_p_value(sample)
        assert p_value == pytest.approx(median_p_value(-sample))
        for confidence in (1 - p_value - 1e-6, 1 - p_value + 1e-6):
            if 0.5 <= confidence < 1:
                low, high = median_interval(sample, confidence)
                assert (low > 0 or high < 0) == (1 - confidence > p_value), (count, p_value)


def test_a_median_of_five_has_no_interval_and_that_of_order_statistics_is_known() -> None:
    """Five inputs cannot give 95 %; where a level falls on order statistics the interval is theirs (binomial)."""
    assert median_interval(np.arange(5.0), 0.95) == (-math.inf, math.inf)
    ordered = np.arange(20.0) ** 2
    for place in (5, 6, 7):
        level = 1 - 2 * float(binom.cdf(place - 1, 20, 0.5))
        ends = ordered[place - 1], ordered[20 - place]
        assert median_interval(ordered, level - 1e-12) == pytest.approx(ends)
    assert median_p_value(np.arange(1.0, 7.0)) == pytest.approx(2 * 0.5**6)
    assert median_p_value(np.zeros(9)) == 1.0


def test_rounding_is_no_spread_of_money() -> None:
    """Nine inputs that differ by the same sum, but for its last bit, and one dearer: the interval stays near them."""
    gaps = np.array([-0.0588] * 5 + [math.nextafter(-0.0588, 0)] * 4 + [-0.067])
    low, high = skewed_mean_interval(gaps, np.array([0.06] * 9 + [0.0695]), 0.95, 0)
    assert -0.07 < low < high < -0.05


def test_two_clusters_of_money_have_an_interval_of_what_was_seen() -> None:
    """Answers that end at the token limit cost nearly the same, and so do those that do not."""
    gaps = np.concatenate([-9 + 0.001 * np.arange(7), -1 + 0.001 * np.arange(3)])
    low, high = skewed_mean_interval(gaps, np.full(10, 10.0), 0.95, 0)
    assert -10 < low < gaps.mean() < high < 0


def test_a_p95_of_one_input_has_no_interval() -> None:
    """Nothing is said where there is nothing to draw from."""
    one = np.array([[1.0, 2.0]])
    assert quantile_interval(one, one + 1, 0.95, 0.95, 0) == ((-math.inf, math.inf), 1.0)


def test_the_p95_is_harrell_and_davis() -> None:
    """As SciPy computes it for one sample, over inputs and repeats together, runs that are missing left out."""
    values = np.random.default_rng(3).lognormal(6, 0.5, (40, 3))
    values[5, 2] = values[7, 1] = np.nan
    known = values[~np.isnan(values)]
    assert quantile(values, 0.95) == pytest.approx(float(mstats.hdquantiles(known, [0.95])[0]))


@pytest.mark.parametrize(("kind", "repeats"), [("stalls", 1), *thorough(("20 % slower", 1), ("20 % slower", 3))])
def test_intervals_of_a_p95_cover_the_truth(kind: str, repeats: int) -> None:
    """At 60 inputs, with repeats, with one call in twelve that stalls: held in 91 to 99 of 100 (93 to 97, and luck).

    Equals are called different in at most 9 of 100 (5, and luck), by interval and test together.
    """
    rng = np.random.default_rng(13)
    truth = 0.0 if kind == "stalls" else 0.2 * math.exp(6 + 1.6448536 * math.hypot(0.5, 0.25))
    held = called = 0
    trials = 150 if repeats == 1 else 100
    for trial in range(trials):
        if kind == "stalls":
            a, b = (
                rng.normal(100, 10, (60, 1)) + (rng.random((60, 1)) < 1 / 12) * rng.gamma(4, 50, (60, 1)) for _ in "ab"
            )
        else:
            length = rng.lognormal(6, 0.5, (60, 1))
            a, b = (factor * length * rng.lognormal(0, 0.25, (60, repeats)) for factor in (1.2, 1.0))
        (low, high), p_value = quantile_interval(a, b, 0.95, 0.95, trial)
        held += low <= truth <= high
        called += (low > 0 or high < 0) and p_value <= 0.05
    assert 0.91 * trials <= held <= 0.99 * trials
    if not truth:
        assert called <= 0.09 * trials


def dearer(of_input: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """30 % dearer than what an input costs, each call with its own noise."""
    return 1.3 * of_input * rng.lognormal(0, 0.3, 20), of_input * rng.lognormal(0, 0.3, 20)


MONEY: dict[str, tuple[Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]], float]] = {
    "against a constant": (lambda rng: (rng.lognormal(0, 1, 20), np.ones(20)), math.exp(0.5) - 1),
    "unrelated": (lambda rng: (rng.lognormal(0, 1, 20), rng.lognormal(0, 1, 20)), 0.0),
    "lognormal of the input": (lambda rng: dearer(rng.lognormal(0, 1, 20), rng), 0.3 * math.exp(0.545)),
    "most inputs nearly free": (lambda rng: dearer(rng.gamma(0.5, 1, 20), rng), 0.15 * math.exp(0.045)),
    "hardly skewed": (lambda rng: (1.3 * rng.gamma(2, 1, 20), rng.gamma(2, 1, 20)), 0.6),
    "not skewed": (lambda rng: (3.3 + rng.normal(0, 1, 20), np.full(20, 3.0)), 0.3),
}
"""What two variants cost for each of 20 inputs, and the true difference of their means."""


@pytest.mark.parametrize("kind", some_of(MONEY))
def test_intervals_of_money_cover_the_truth(kind: str) -> None:
    """Costs with long tails and without, of the call or of the input: held in 90.5 to 99 of 100 (93 to 97, and luck).

    Student's t alone holds the first in 87 and the fourth in 89.
    """
    draw, truth = MONEY[kind]
    rng = np.random.default_rng(9)
    held = 0
    for trial in range(TRIALS):
        a, b = draw(rng)
        low, high = mean_interval(a - b, 0.95, trial, sizes=(a + b) / 2)
        held += low <= truth <= high
    assert 0.905 * TRIALS <= held <= 0.99 * TRIALS


def test_costs_count_for_the_tail_of_even_differences() -> None:
    """Even differences get a far wider interval where costs have a long tail, and hardly one where these are even."""
    sample = np.random.default_rng(4).normal(0, 1, 20)
    even, tail = (mean_interval(sample, 0.95, 0, sizes=sizes) for sizes in (np.full(20, 3.0), np.arange(20.0) ** 6))
    assert tail[0] < even[0] < even[1] < tail[1]
    assert mean_interval(sample, 0.95, 0, sizes=np.linspace(1, 2, 20)) == pytest.approx(even, rel=0.05)
    assert tail[1] - tail[0] > 1.3 * (even[1] - even[0])


def test_dear_inputs_whose_differences_happen_to_be_small() -> None:
    """Two of 20 inputs cost tenfold, and the others show how far a difference spreads: the mean is as unsure as that.

    By the spread of these differences alone it would be two thirds as wide.
    """
    sizes = np.repeat([1.0, 10.0], [18, 2])
    share = np.append(np.linspace(-0.7, 1.3, 18), [0.3, 0.3])
    low, high = mean_interval(share * sizes, 0.95, 0, sizes=sizes)
    error = math.sqrt(0.3**2 * sizes.var() + share[:18].var(ddof=1) * (sizes**2).mean()) / math.sqrt(20)
    assert high - low >= 2 * 2.09 * 0.93 * error
    assert high - low > 1.4 * np.subtract(*mean_interval(share * sizes, 0.95, 0, sizes=np.ones(20))[::-1])


def test_what_is_the_same_for_all_inputs_stays_sure() -> None:
    """A template that costs a tenth of a dollar more, whatever the input costs, is not as unsure as dear inputs are."""
    rng = np.random.default_rng(6)
    sizes, sample = rng.lognormal(0, 1, 20), rng.normal(0.1, 0.02, 20)
    low, high = mean_interval(sample, 0.95, 0, sizes=sizes)
    assert 0.08 < low < high < 0.12


@pytest.mark.parametrize("kind", ["a few are lower", "thirds of repeats", "graded"])
def test_intervals_of_one_variants_score_cover_the_truth(kind: str) -> None:
    """The interval of the table at 20 inputs holds the mean in 91 of 100 or more, also where nearly all scored 1.

    Plain percentiles hold the first in 78: of 20 answers alike they make an interval without width.
    """
    rng = np.random.default_rng(10)

    def draw(size: int) -> np.ndarray:
        if kind == "thirds of repeats":
            return rng.binomial(3, 0.9, size) / 3
        if kind == "graded":
            return rng.beta(8, 2, size)
        return np.where(rng.random(size) < 0.1, rng.random(size), 1.0)

    truth = {"thirds of repeats": 0.9, "graded": 0.8, "a few are lower": 0.95}[kind]
    held = [low <= truth <= high for low, high in (score_interval(draw(20), 0.95, n) for n in range(TRIALS))]
    assert np.mean(held) >= 0.91
    alike = score_interval(np.ones(20), 0.95, 0)
    assert 0.7 < alike[0] < 0.95
    assert alike[1] == 1


def test_power_and_false_alarms_of_paired_scores() -> None:
    """80 against 60 % right at 100 inputs is found in at least 80 of 100, equals are called different in at most 7."""
    rng = np.random.default_rng(11)
    found = wrong = 0
    for trial in range(TRIALS):
        for share, equal in ((0.8, False), (0.6, True)):
            sample = (rng.random(100) < share).astype(float) - (rng.random(100) < 0.6).astype(float)
            called = mean_p_value(sample, trial, binary=True) < 0.05
            found += called and not equal
            wrong += called and equal
    assert found >= 0.80 * TRIALS
    assert wrong <= 0.07 * TRIALS


@pytest.mark.parametrize("usual", [0.5, -0.25])
def test_inputs_that_all_differ_by_the_same_leave_room_for_others(usual: float) -> None:
    """Of ten that are better by half a point, that one in ten is not is as likely as not; yet it is better."""
    sample = np.full(10, usual) + np.arange(10) * 1e-17
    low, high = sorted(abs(end) for end in mean_interval(sample, 0.95, 0, span=1.0))
    assert 0 < low < 0.9 * abs(usual)
    assert abs(usual) < high <= 1


def test_grades_that_are_all_alike_leave_room_for_others() -> None:
    """Twenty 5s of 5 may be of a model that has poorer ones; of twenty lengths alike nothing says what else comes."""
    low, high = score_interval(np.full(20, 5.0), 0.95, 0)
    assert 4 < low < 4.95
    assert high == 5
    assert score_interval(np.full(20, 200.0), 0.95, 0) == (-math.inf, math.inf)


@pytest.mark.parametrize(
    ("draw", "mean"),
    [
        (lambda rng, n: np.where(rng.random(n) < 0.05, 0.0, rng.uniform(0.9, 1, n)), 0.95 * 0.95),
        (lambda rng, n: rng.choice([1.0, 0.9, 0.0], n, p=[0.5, 0.45, 0.05]), 0.905),
        (lambda rng, n: np.clip(1 - 0.1 * rng.lognormal(0, 1, n), 0, 1), 0.84025),
        (lambda rng, n: rng.choice([5.0, 4.0, 1.0], n, p=[0.5, 0.45, 0.05]), 4.35),
        (lambda rng, n: -rng.lognormal(5, 1, n), -math.exp(5.5)),
    ],
    ids=["spread at the top", "two at the top", "a long tail", "grades to five", "no known scale"],
)
def test_the_ends_of_a_limit_hold_where_poor_answers_are_rare(draw: Callable[..., np.ndarray], mean: float) -> None:
    """Of 20 inputs each end is on the wrong side in 5 of 100; a bootstrap's lower one was in 11 to 36."""
    rng = np.random.default_rng(53)
    ends = [limit_interval(x, x, 0.9, trial) for trial, x in enumerate(draw(rng, 20) for _ in range(50))]
    low, high = np.array(ends).T
    assert (low > mean).sum() <= 5  # a chance of 4 in 100 where it is in 5 of 100
    assert (high < mean).sum() <= 5


@pytest.mark.parametrize(("right", "inputs"), [(20, 20), (17, 20), (49, 50)])
def test_the_ends_of_a_limit_are_exact_for_scores_0_and_1(right: int, inputs: int) -> None:
    """They are Clopper and Pearson's, of which they are the graded form."""
    sample = np.repeat([1.0, 0.0], [right, inputs - right])
    exact = binomtest(right, inputs).proportion_ci(0.9)
    assert limit_interval(sample, sample, 0.9, 0) == pytest.approx((exact.low, exact.high), abs=0.006)


@pytest.mark.parametrize("inputs", [6, 9, 12])
def test_medians_of_two_clusters_are_covered(inputs: int) -> None:
    """Half of the times are with a queue: 88 to 93 of 100 intervals held the median; p says what the interval does."""
    rng, trials = np.random.default_rng(56), 600

    def centre(size: int) -> np.ndarray:
        return np.where(rng.random(size) < 0.505, rng.normal(-100, 5, size), rng.normal(100, 5, size))

    truth, held = float(np.median(centre(400_001))), 0
    for _ in range(trials):
        sample = centre(inputs) - truth
        low, high = median_interval(sample, 0.95)
        held += low <= 0 <= high
        assert (median_p_value(sample) > 0.05) == (low <= 0 <= high)
    assert held >= 0.94 * trials
