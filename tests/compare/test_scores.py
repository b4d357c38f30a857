"""Scores, money and templates through `difference` and `summary`: planted truths come out as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from bifrost_nb import difference, summary
from bifrost_nb._statistics.sequential import confidence_sequence

from .frames import calls, frame

A, B = "azure/a", "azure/b"


def scored(a: np.ndarray, b: np.ndarray, *, repeats: int = 1, metric: str = "score") -> pd.DataFrame:
    """Two deployments with a score for each run."""
    table = frame(calls(A, np.ones(len(a)), repeats=repeats) + calls(B, np.ones(len(b)), repeats=repeats))
    table[metric] = pd.array(np.concatenate([a, b]).astype(float), dtype="Float64")
    return table


def pairs(rng: np.random.Generator, n: int, better: float, worse: float) -> tuple[np.ndarray, np.ndarray]:
    """0/1 scores in which the first is better on a share of the inputs and worse on another."""
    u = rng.random(n)
    base = (rng.random(n) < 0.6).astype(float)
    a = np.where(u < better, 1.0, np.where(u < better + worse, 0.0, base))
    b = np.where(u < better, 0.0, np.where(u < better + worse, 1.0, base))
    return a, b


def test_98_against_72_right_is_better_and_says_on_which() -> None:
    """27 of 100 inputs better and one worse is a verdict with McNemar's p-value, its counts and its inputs."""
    a, b = np.ones(100), np.ones(100)
    b[:27] = 0
    a[27] = 0
    found = difference(scored(a, b), A, B, "score")
    assert (found.winner, found.better, found.worse, found.same, found.n) == (A, 27, 1, 72, 100)
    assert found.p_value == pytest.approx(2.16e-7, rel=0.01)  # 2 * (1 + 28) / 2**28
    assert "better by 26 points (" in found.verdict
    assert "better on 27 of 100 inputs, worse on 1, the same on 72" in found.verdict
    assert 15 < 100 * found.low < 20
    assert 32 < 100 * found.high < 37
    assert found.inputs("worse")["input_id"].tolist() == ["p27"]
    assert len(found.inputs("better")) == 27


@pytest.mark.thorough
def test_a_verdict_never_contradicts_its_interval_unsaid() -> None:
    """Called only where interval and test agree; where the interval alone leaves 0 out the verdict says so, with p.

    Times: the test of a median is its interval, so that nothing needs to be said.
    """
    rng = np.random.default_rng(19)
    doubts = 0
    for seed in range(60):
        n = int(rng.integers(6, 30))
        kind = ("score", "cost_usd", "total_ms")[seed % 3]
        shift = rng.choice([0.0, 0.25, 0.5])
        if kind == "score":
            a, b = (rng.random(n) < 0.5 + shift).astype(float), (rng.random(n) < 0.5).astype(float)
        else:
            a, b = rng.lognormal(shift, 1, n), rng.lognormal(0, 1, n)
        found = difference(scored(a, b, metric=kind), A, B, kind, seed=seed)
        apart = found.low > 0 or found.high < 0
        if found.winner is not None:
            assert apart
            assert found.p_value <= 0.05
        told = "The interval leaves 0 out, but " in found.verdict
        assert told == (apart and found.outcome == "unsure")
        doubts += told
        if told:
            assert f"(p = {found.p_value:.2g})" in found.verdict
            assert found.p_value > 0.05
            assert kind != "total_ms"
    few = difference(scored(np.ones(20), np.repeat([0.0, 1.0], [5, 15])), A, B, "score")
    assert (few.outcome, few.p_value) == ("unsure", 0.0625)
    assert few.low > 0
    assert "but McNemar's exact test does not call a difference (p = 0.062)" in few.verdict


@pytest.mark.thorough
def test_power_is_that_of_mcnemar() -> None:
    """80 against 60 % right on 100 inputs: a verdict wherever McNemar's exact test has one, some 9 times in 10."""
    from scipy.stats import binomtest

    found = tested = 0
    for seed in range(40):
        rng = np.random.default_rng([1, seed])
        a, b = (rng.random(100) < share for share in (0.8, 0.6))
        won, lost = int((a & ~b).sum()), int((b & ~a).sum())
        tested += binomtest(won, won + lost).pvalue <= 0.05
        found += difference(scored(a, b), A, B, "score", seed=seed).outcome == "a"
    assert found >= tested
    assert found >= 32


@pytest.mark.thorough
@pytest.mark.parametrize("inputs", [20, 100])
def test_equal_scores_are_rarely_called_different(inputs: int) -> None:
    """Where the truth is no difference, one is called in at most 7 of 100 (6 of 60), and "equal" never of few."""
    outcomes = []
    for seed in range(60):
        a, b = pairs(np.random.default_rng([2, seed]), inputs, 0.15, 0.15)
        outcomes.append(difference(scored(a, b), A, B, "score", seed=seed).outcome)
    assert sum(one in ("a", "b") for one in outcomes) <= 6
    assert "equal" not in outcomes


def test_twenty_inputs_answered_alike_are_not_called_equal() -> None:
    """No difference on 20 inputs leaves room for one of several points; on 1,000 it does not."""
    few = difference(scored(np.ones(20), np.ones(20)), A, B, "score")
    assert few.outcome == "unsure"
    assert few.low < -0.02 < 0.02 < few.high
    many = difference(scored(np.ones(1000), np.ones(1000)), A, B, "score")
    assert many.outcome == "equal"


def test_repeats_do_not_narrow_an_interval() -> None:
    """Thirty repeats of 7 inputs are 7 inputs: with effects of the inputs the interval holds the truth."""
    hits = 0
    for seed in range(40):
        rng = np.random.default_rng([3, seed])
        effect = rng.normal(0, 1, 7).repeat(30)
        base = rng.normal(100, 1, 210)
        rows = calls(A, base, repeats=30, cost_usd=None) + calls(B, base, repeats=30)
        table = frame(rows)
        table["cost_usd"] = pd.array(np.concatenate([10 + effect, np.full(210, 10.0)]), dtype="Float64")
        found = difference(table, A, B, "cost_usd", seed=seed)
        assert found.n == 7
        hits += found.low <= 0 <= found.high
    assert hits >= 35


def test_money_counts_by_its_mean() -> None:
    """Three answers in ten at fifty times the price make a deployment dearer, though the median says nothing."""
    table = frame(calls(A, np.ones(100), cost_usd=0.001) + calls(B, np.ones(100), cost_usd=0.001))
    table.loc[100:129, "cost_usd"] = 0.05
    found = difference(table, A, B, "cost_usd")
    assert (found.winner, found.statistic) == (A, "mean")
    assert difference(table, A, B, "cost_usd", statistic="median").outcome == "equal"


@pytest.mark.parametrize(
    ("metric", "statistic"),
    [
        *((name, "mean") for name in ("score", "score_grade", "cost_usd", "input_cost_usd")),
        *((name, "mean") for name in ("prompt_tokens", "completion_tokens", "total_tokens")),
        *((name, "median") for name in ("total_ms", "ttft_ms", "latency_ms", "tokens_per_s")),
    ],
)
def test_each_metric_has_its_statistic(metric: str, statistic: str) -> None:
    """Scores, money and tokens by their means, times and speeds by medians; each by any other that is asked for."""
    a = np.random.default_rng(8).integers(1, 4, 20).astype(float)
    table = scored(a, np.ones(20), metric=metric)
    found = difference(table, A, B, metric)
    assert found.statistic == statistic
    assert found.estimate == pytest.approx((np.mean if statistic == "mean" else np.median)(a - 1))
    assert difference(table, A, B, metric, statistic="p95").statistic == "p95"


def test_graded_scores_have_a_paired_permutation_test() -> None:
    """Where values are more than 0 and 1 the p-value is that of all ways to swap the sides of eight inputs."""
    a = np.array([0.9, 0.7, 0.8, 0.4, 0.95, 0.6, 0.85, 0.7])
    b = np.array([0.5, 0.65, 0.2, 0.5, 0.6, 0.3, 0.4, 0.75])
    signs = np.array(np.meshgrid(*[[-1, 1]] * 8)).reshape(8, -1)
    means = abs((signs * (a - b)[:, None]).mean(axis=0))
    found = difference(scored(a, b), A, B, "score")
    assert found.p_value == pytest.approx((means >= (a - b).mean() - 1e-12).mean())


def test_a_verdict_on_money_of_few_inputs_says_what_it_cannot_know() -> None:
    """Of 20 inputs a kind that one in six is may be missing, so the verdict says so; not of 30, nor of scores."""
    for inputs, said in ((20, True), (30, False)):
        table = frame(calls(A, np.ones(inputs), cost_usd=0.002) + calls(B, np.ones(inputs), cost_usd=0.001))
        found = difference(table, A, B, "cost_usd")
        assert found.winner == B
        assert (found.caution is not None) == said
        assert ("a kind that is 1 input in 8 may be missing among 20." in found.verdict) == said
        assert difference(table, A, B, "total_ms").caution is None
    few = difference(scored(np.ones(20), np.zeros(20)), A, B, "score")
    assert (few.winner, few.caution) == (A, None)


def test_a_verdict_on_grades_of_few_inputs_says_what_it_cannot_know() -> None:
    """Equal means, one answer in twenty of one side being 0: 34 of 100 samples of 20 call it better."""
    rng = np.random.default_rng(0)
    for inputs, said in ((20, True), (30, False)):
        found = difference(scored(rng.uniform(0.9, 1, inputs), rng.uniform(0.8525, 0.9525, inputs)), A, B, "score")
        assert found.winner == A
        assert ("A mean depends on the poorest answers, and a kind that is 1 input in 8" in found.verdict) == said


def test_few_inputs_get_no_verdict() -> None:
    """Five inputs that all agree are told as too few."""
    found = difference(scored(np.ones(5), np.zeros(5)), A, B, "score")
    assert found.outcome == "unsure"
    assert "a verdict needs 6 or more" in found.verdict


def test_p95_is_compared_as_a_p95() -> None:
    """A deployment whose slow tail is longer is slower by its p95 while the medians are equal."""
    rng = np.random.default_rng(4)
    a = rng.normal(100, 5, 400)
    b = np.where(rng.random(400) < 0.12, 400, rng.normal(100, 5, 400))
    table = frame(calls(A, a) + calls(B, b))
    assert difference(table, A, B, "total_ms", statistic="p95").winner == A
    assert difference(table, A, B, "total_ms").outcome == "equal"
    assert "p95" in difference(table, A, B, "total_ms", statistic="p95").verdict
    assert difference(frame(calls(A, a[:30]) + calls(B, b[:30])), A, B, statistic="p95").outcome == "unsure"


def test_templates_are_paired_by_input_and_deployment() -> None:
    """`short` against `long` over two deployments counts inputs, whichever deployment answered."""
    rows: list[dict[str, Any]] = []
    for deployment in (A, B):
        for template, ms in (("short", 100.0), ("long", 150.0)):
            tags = f'{{"template":"{template}","variant":"{deployment} · {template}","input":"IN"}}'
            for one in calls(deployment, np.full(20, ms)):
                rows.append(
                    {**one, "tags": tags.replace("IN", one["prompt_id"]), "prompt_id": template + one["prompt_id"]}
                )
    table = frame(rows)
    found = difference(table, "short", "long", by="template")
    assert (found.n, found.estimate, found.winner) == (20, -50.0, "short")
    assert difference(table, "short", "long") == found
    assert difference(table, f"{A} · short", f"{A} · long").n == 20
    assert difference(table, A, B).outcome == "equal"
    assert summary(table, by="template")["template"].unique().tolist() == ["short", "long"]
    assert summary(table)["variant"].nunique() == 4


def test_times_of_different_sweeps_are_not_paired() -> None:
    """Times of two days are left out and said, with the way out; scores pair across."""
    old, new = ({"tags": f'{{"sweep":"{name}"}}'} for name in ("mon", "tue"))
    table = frame(calls(A, np.full(20, 30.0), **old) + calls(B, np.full(20, 150.0), **new))
    found = difference(table, A, B)
    assert found.outcome == "refused"
    assert "fresh=True" in found.verdict
    table["score"] = pd.array([1.0] * 20 + [0.0] * 20, dtype="Float64")
    assert difference(table, A, B, "score").winner == A


def test_scores_stand_in_the_summary() -> None:
    """Each score has mean, interval and inputs; with repeats the share of inputs that are always right."""
    a = np.array([1, 1, 1, 0] * 10)
    table = summary(scored(a, np.ones(40), repeats=2))
    row = table.set_index("deployment").loc[A]
    assert (row["score_mean"], row["score_n"], row["score_all"]) == (0.75, 20, 0.5)
    assert row["score_low"] < 0.75 < row["score_high"]
    assert "score_all" not in summary(scored(a, np.ones(40)))


def test_a_confidence_sequence_is_rarely_wrong_at_any_look() -> None:
    """Looking after each of 200 inputs, the truth is ever out in at most 7 of 100 (3 of 60 here), and it narrows."""
    wrong = 0
    for seed in range(60):
        sample = (np.random.default_rng([5, seed]).random(200) < 0.7).astype(float)
        looks = [confidence_sequence(sample[:count], 0.05) for count in (10, 25, 50, 100, 200)]
        wrong += any(not low <= 0.7 <= high for low, high in looks)
        assert looks[-1][1] - looks[-1][0] < 0.25
    assert wrong <= 4
    assert confidence_sequence(np.array([]), 0.05) == (0.0, 1.0)
