"""How often an interval holds the truth, and how often equals are called different, by simulation with planted truths.

Run: python -m tests.benchmarks.bench_statistics [trials] [--write]. Without `trials` 2,000; that takes some forty
minutes of one processor, and it uses all there are. ``--write`` puts the table between its markers in RESULTS.md.
Seeded: the same figures.
"""

from __future__ import annotations

import argparse
import functools
import math
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bifrost_nb._compare.agreement import agreement
from bifrost_nb._compare.judge_bias import preferences
from bifrost_nb._compare.multiple_comparisons import holm
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


def _times(rng: np.random.Generator, n: int) -> Drawn:
    """Of one input's time twice: the median of its difference is 0."""
    length = rng.lognormal(6, 0.5, n)
    return length * (rng.lognormal(0, 0.25, n) - rng.lognormal(0, 0.25, n)), 0.0


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


def coverage_of_money(trials: int) -> Iterator[tuple[str, list[float]]]:
    """The same of money and tokens."""
    for name, costs in MONEY.items():
        yield name, [_share(_held_money(costs, n, trials)) for n in SIZES]


def coverage_of_medians(trials: int) -> Iterator[tuple[str, list[float]]]:
    """The same of times."""
    yield "times, median", [_share(_held(_times, n, trials, lambda x, _: median_interval(x, 0.95))) for n in SIZES]


def _of_score(sample: np.ndarray, seed: int, span: float) -> tuple[float, float]:
    return mean_interval(sample, 0.95, seed, span=span)


def _held(draw: Draw, n: int, trials: int, interval: Callable[..., tuple[float, float]]) -> Iterator[bool]:
    rng = np.random.default_rng([41, n])
    for trial in range(trials):
        sample, truth = draw(rng, n)
        low, high = interval(sample, trial)
        yield low <= truth <= high


def _held_money(costs: Callable[[np.random.Generator, int], Costs], n: int, trials: int) -> Iterator[bool]:
    rng = np.random.default_rng([41, n])
    for trial in range(trials):
        a, b, truth = costs(rng, n)
        low, high = mean_interval(a - b, 0.95, trial, sizes=(a + b) / 2)
        yield low <= truth <= high


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
    """The same of a judge's kappa with people, who say one of two things as often."""
    import pandas as pd

    def held(kappa: float, n: int) -> Iterator[bool]:
        rng = np.random.default_rng([49, n, round(100 * kappa)])
        for trial in range(trials):
            truth = rng.random(n) < 0.5
            judge = np.where(rng.random(n) < (1 + kappa) / 2, truth, ~truth)
            table = pd.DataFrame({"input_id": np.arange(n).astype(str), "a": truth * 1.0, "b": judge * 1.0})
            found = agreement(table, "a", "b", seed=trial)
            yield not found.low > kappa + 1e-9 and not found.high < kappa - 1e-9

    for kappa in (0.4, 0.6, 0.8):
        yield f"kappa of {kappa}", [_share(held(kappa, n)) for n in SIZES]


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


def false_alarms(trials: int) -> Iterator[tuple[str, int, float]]:
    """(kind, trials, of 100 comparisons of equals, in how many something is called different)."""

    def right(rng: np.random.Generator, count: int, n: int) -> list[np.ndarray]:
        hard = rng.beta(2, 2, n)
        return [(rng.random(n) < hard).astype(float) for _ in range(count)]

    def alone(kind: str) -> Iterator[bool]:
        rng = np.random.default_rng(43)
        for trial in range(4 * trials):
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

    yield "two equals, scores 0 and 1, 100 inputs (McNemar)", 4 * trials, _share(alone("binary"))
    yield "two equals, graded, 50 inputs (permutation)", 4 * trials, _share(alone("graded"))
    for name in ("money, lognormal (sigma 1) against a constant", "money, gamma (0.5) of the input, 30 % dearer"):
        yield f"equal means of {name.removesuffix(', 30 % dearer')}, 20 inputs", trials, _share(money(MONEY[name], 20))
    yield "six equals with Holm, 100 inputs", trials, _share(six())
    yield 'two equals with `until="decided"`, a look after each of 1,000 inputs', trials, _share(until(2, 1000))
    yield 'six equals with `until="decided"`, a look after each of 200 inputs', trials, _share(until(6, 200))


def power(trials: int) -> Iterator[float]:
    """Of 100 comparisons of 80 with 60 % right at 100 inputs: called by test and interval, and by McNemar's test."""
    rng = np.random.default_rng(46)
    both = tested = 0
    for trial in range(trials):
        sample = (rng.random(100) < 0.8).astype(float) - (rng.random(100) < 0.6)
        significant = mean_p_value(sample, trial, binary=True) <= 0.05
        low, _ = mean_interval(sample, 0.95, trial, span=1.0)
        tested += significant
        both += significant and low > 0
    yield from (100 * both / trials, 100 * tested / trials)


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


def _listed(section: Callable[[int], Iterator[Any]], trials: int) -> list[Any]:
    found = list(section(trials))
    print(section.__name__, file=sys.stderr, flush=True)
    return found


def table(trials: int) -> str:
    """The section of RESULTS.md."""
    few = max(100, trials // 4)
    long = (coverage_of_scores, coverage_of_money, coverage_of_medians, coverage_of_one, coverage_of_kappa, power)
    short = (coverage_of_leanings, coverage_of_p95, rare, false_alarms, inputs_until_decided)
    with ProcessPoolExecutor() as pool:
        asked = {one: pool.submit(_listed, one, trials if one in long else few) for one in (*long, *short)}
        found = {one: each.result() for one, each in asked.items()}
    error = 100 * math.sqrt(0.05 * 0.95 / trials)
    marked = f" ({few:,} trials)"
    lines = [
        f"{trials:,} trials each ({few:,} for what is marked); the standard error of a share near 95 is {error:.1f}.",
        "",
        "| intervals of 95 % that hold the truth, of 100 | 20 inputs | 50 | 100 |",
        "|---|---|---|---|",
    ]
    for section in (*long[:5], *short[:1]):
        lines += _rows(found[section], marked if section in short else "")
    lines += ["", "| times, p95: intervals that hold the truth, of 100 | 60 inputs | 100 | 200 |", "|---|---|---|---|"]
    lines += _rows(found[coverage_of_p95], marked)
    lines += [
        "",
        "Scores 0 and 1 that rarely differ, computed: few outcomes are possible, so no interval that holds 93 for all"
        " shares can hold less than this.",
        "",
        "| inputs | better | worse | holds, of 100 | least of any |",
        "|---|---|---|---|---|",
    ]
    for (n, p, q), (ours, least) in zip(RARE, found[rare], strict=True):
        lines.append(f"| {n} | {p:.0%} | {q:.0%} | {ours:.1f} | {least:.1f} |")
    lines += ["", "| equals called different, of 100 | aim: at most 5 |", "|---|---|"]
    lines += [f"| {name} ({count:,} trials) | {share:.1f} |" for name, count, share in found[false_alarms]]
    called, tested = found[power]
    median, most = found[inputs_until_decided]
    lines += [
        "",
        f"80 against 60 % right at 100 inputs is called in {called:.1f} of 100 (McNemar's test alone: {tested:.1f})."
        f' With `until="decided"` it takes {median:.0f} inputs in the median,'
        f" {most:.0f} in nine of ten{marked}.",
    ]
    return "\n".join(lines)


def _rows(found: list[tuple[str, list[float]]], note: str) -> list[str]:
    return [f"| {name}{note} | " + " | ".join(f"{share:.1f}" for share in shares) + " |" for name, shares in found]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trials", nargs="?", type=int, default=2000)
    parser.add_argument("--write", action="store_true", help="write the table into RESULTS.md")
    given = parser.parse_args()
    made = table(given.trials)
    print(made)
    if given.write:
        before, _, rest = RESULTS.read_text(encoding="utf-8").partition(BEGIN)
        RESULTS.write_text(f"{before}{BEGIN}\n{made}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
