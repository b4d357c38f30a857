"""Differences with planted truths: what is there is found, what is not is not claimed."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bifrost_nb._compare.difference import Difference, difference
from bifrost_nb.errors import ConfigurationError
from tests.markup import read
from tests.thorough import thorough

from .frames import calls, frame, times

A, B = "azure/a", "azure/b"


def compared(
    prompts: int,
    repeats: int = 1,
    *,
    factor: float = 1.0,
    seed: int = 0,
    facts: dict[str, Any] | None = None,
    **asked: Any,
) -> Difference:
    """`A` against `B`, where `B` takes `factor` times as long."""
    a = calls(A, times(seed, prompts, repeats, of=1), repeats=repeats, **(facts or {}))
    b = calls(B, times(seed, prompts, repeats, of=2, factor=factor), repeats=repeats)
    return difference(frame(a + b), A, B, **asked)


def test_a_deployment_20_percent_slower_is_found() -> None:
    """In 3 x 200 x 3 with 25 % noise a call, 20 % slower is called slower every time, in the right direction."""
    for seed in range(20):
        found = compared(200, 3, factor=1.2, seed=seed)
        assert (found.outcome, found.winner, found.n, found.unit) == ("a", A, 200, "inputs")
        assert found.low < found.estimate < found.high < 0
        assert 0.6 < found.better / found.n < 0.95
        assert f"{A} is faster than {B}" in found.verdict


def test_the_interval_covers_the_truth() -> None:
    """A 95 % interval holds the true median difference in at least 54 of 60 seeded trials."""
    rng = np.random.default_rng(5)
    hits = 0
    for seed in range(60):
        base = rng.lognormal(6, 0.4, 60)
        rows = calls(A, base + 30 + rng.normal(0, 40, 60)) + calls(B, base)
        found = difference(frame(rows), A, B, seed=seed)
        hits += found.low <= 30 <= found.high
    assert hits >= 54


@pytest.mark.thorough
def test_equals_are_called_equal() -> None:
    """Two equal deployments, 200 prompts x 3: called equal in at least 55 of 60 seeded trials."""
    outcomes = Counter(compared(200, 3, seed=seed).outcome for seed in range(60))
    assert outcomes["equal"] >= 55, outcomes


@pytest.mark.parametrize(("prompts", "repeats"), [(12, 1), *thorough((6, 1), (40, 1), (3, 10), (1, 30))])
def test_equals_are_rarely_called_different(prompts: int, repeats: int) -> None:
    """With too little data for a verdict, a difference is claimed in at most 5 of 60 seeded trials of equals."""
    outcomes = Counter(compared(prompts, repeats, seed=seed).outcome for seed in range(60))
    assert outcomes["a"] + outcomes["b"] <= 5, outcomes


def test_shown_in_a_notebook() -> None:
    """In a notebook it is a sentence that wraps between words, with names as text."""
    name = "azure/<img src=x>"
    a, b = (calls(each, times(0, 12, of=number)) for number, each in enumerate((name, B)))
    shown = difference(frame(a + b), name, B)._repr_html_()
    assert read(shown).errors == []
    assert "azure/&lt;img src=x&gt; against azure/b, total_ms" in shown
    assert "95% interval" in shown


def test_the_verdict_reads_one_way() -> None:
    """Estimate and interval count in the direction of the verdict's word, whichever side is named first."""
    rows = calls(A, times(1, 40, of=1)) + calls(B, times(1, 40, of=1) + 100)
    for found, word in ((difference(frame(rows), A, B), "faster"), (difference(frame(rows), B, A), "slower")):
        assert f"is {word} than" in found.verdict
        assert "by 100 ms (" in found.verdict
        assert "95% interval 100 ms to 100 ms" in found.verdict


def test_inputs_are_counted() -> None:
    """A verdict says on how many inputs, as those on scores do: 100 % of six claims more than six do."""
    fast, slow = times(1, 6, of=1), 3 * times(1, 6, of=1)
    assert difference(frame(calls(A, fast) + calls(B, slow)), A, B).verdict.endswith("faster on all 6 inputs.")
    fast, slow = (np.concatenate([each, last]) for each, last in ((times(1, 19), [9e5]), (3 * times(1, 19), [1.0])))
    assert "faster on 19 of 20 inputs." in difference(frame(calls(A, fast) + calls(B, slow)), A, B).verdict


def test_too_few_says_how_many_are_needed() -> None:
    """An open verdict names the number of prompts that would settle it."""
    found = compared(12, seed=3)
    assert found.outcome == "unsure"
    assert found.needed is not None
    assert found.needed > 12
    assert found.verdict.startswith(f"Cannot tell with n = 12 inputs; about {found.needed:,} needed")


@pytest.mark.thorough
def test_the_number_needed_is_enough() -> None:
    """With as many prompts as named, a difference of the margin is seen and equals are called so, 4 times in 5."""

    def trial(seed: int, prompts: int, extra: float) -> Difference:
        rng = np.random.default_rng([9, seed])
        a, b = rng.normal(400, 80, prompts), rng.normal(400 + extra, 80, prompts)
        return difference(frame(calls(A, a) + calls(B, b)), A, B, seed=seed)

    named = [found.needed for seed in range(20) if (found := trial(seed, 30, 0.0)).needed]
    needed = int(np.median(named))
    assert Counter(trial(seed, needed, 42.0).outcome for seed in range(50))["a"] >= 40
    assert Counter(trial(seed, needed, 0.0).outcome for seed in range(50))["equal"] >= 40


def test_served_by_another_is_refused_unless_told() -> None:
    """30 % served by a fallback: no verdict by default, one on request with those runs dropped or kept."""
    a = calls(A, times(1, 200, of=1))
    for one in a[:60]:
        one.update(provider="openai", model="x", is_fallback=True, total_ms=one["total_ms"] * 3)
    data = frame(a + calls(B, times(1, 200, of=2)))
    refused = difference(data, A, B)
    assert (refused.outcome, refused.winner) == ("refused", None)
    assert np.isnan(refused.estimate)
    assert "azure/a was served by azure/a (140 of 200), openai/x (60 of 200)" in refused.verdict
    assert "mixed='drop'" in refused.verdict
    dropped = difference(data, A, B, mixed="drop")
    assert (dropped.outcome, dropped.n) != ("b", 200)
    assert dropped.n == 140
    assert dropped.excluded == {"by a fallback": 60, "without a partner": 60}
    kept = difference(data, A, B, mixed="keep")
    assert (kept.outcome, kept.n) == ("b", 200)


def test_a_single_server_that_was_not_asked_is_refused_too() -> None:
    """All of one side answered by a fallback is a comparison of somebody else."""
    found = compared(50, facts={"provider": "openai", "model": "x", "is_fallback": True})
    assert found.outcome == "refused"


def test_cache_hits_and_errors_are_left_out_and_said() -> None:
    """Cached repeats ten times as quick do not make a deployment faster; the verdict counts them."""
    rows = calls(A, times(1, 200, 3, of=1), repeats=3)
    for one in rows:
        if one["repeat"]:
            one.update(cache_hit=True, total_ms=one["total_ms"] / 10)
    for one in rows[:6:3]:
        one.update(status="error")
    found = difference(frame(rows + calls(B, times(1, 200, 3, of=2), repeats=3)), A, B)
    assert found.excluded == {"not answered": 2, "from a cache": 400, "without a partner": 402}
    assert found.outcome in ("equal", "unsure")
    odd = difference(frame(calls(A, times(1, 9, of=1)) + calls(B, times(1, 8, of=2))), A, B)
    assert "Left out: 1 run without a partner." in odd.verdict
    assert "400 runs from a cache" in found.verdict
    assert found.n == 198


@pytest.mark.parametrize(("metric", "word"), [("cost_usd", "cheaper"), ("completion_tokens", "lower")])
def test_constant_differences_need_no_spread(metric: str, word: str) -> None:
    """A fixed price difference is exact: the interval is a point and the verdict has its own word."""
    rows = calls(A, np.ones(20), **{metric: 1}) + calls(B, np.ones(20), **{metric: 2})
    found = difference(frame(rows), A, B, metric)
    assert (found.low, found.estimate, found.high, found.outcome) == (-1, -1, -1, "a")
    assert f"{A} is {word} than {B}" in found.verdict


def test_mean_costs_are_told_for_a_thousand_runs() -> None:
    """As in tables, charts and gates; figures stay those of one run, and a median is that of one run in words, too."""
    rows = calls(A, np.ones(20), cost_usd=0.0003) + calls(B, np.ones(20), cost_usd=0.0005)
    found = difference(frame(rows), A, B, "cost_usd")
    assert found.estimate == pytest.approx(-0.0002)
    assert "by $0.200 per 1,000 runs (40%) in mean cost_usd (95% interval $0.200 to $0.200" in found.verdict
    unsure = difference(
        frame(calls(A, times(1, 9), cost_usd=1.0) + calls(B, times(1, 9), cost_usd=1.0)), A, B, "cost_usd"
    )
    assert "mean difference $0.00 per 1,000 runs" in unsure.verdict
    median = difference(frame(rows), A, B, "cost_usd", statistic="median")
    assert "by $0.000200 (40%)" in median.verdict


def test_more_tokens_per_second_is_better() -> None:
    """The winner is the one with the better figure, not the lower one."""
    rows = calls(A, np.ones(20), tokens_per_s=50.0) + calls(B, np.ones(20), tokens_per_s=20.0)
    found = difference(frame(rows), A, B, "tokens_per_s")
    assert found.winner == A
    assert "higher" in found.verdict


def test_no_common_prompt_is_said() -> None:
    """Deployments that share no answered prompt get no figure."""
    a, b = calls(A, np.ones(5)), calls(B, np.ones(5))
    for one in b:
        one["prompt_id"] = "other"
    found = difference(frame(a + b), A, B)
    assert found.outcome == "refused"
    assert "no input was answered by both" in found.verdict


def test_a_name_that_reads_like_a_reason_is_a_name() -> None:
    """What helps is told by the kind of a reason: of names that have its words, and share no prompt, nothing else."""
    odd = "azure/3 runs not answered, was served by sweep"
    a, b = calls(odd, np.ones(5)), calls(B, np.ones(5), prompt_id="other")
    a += calls(odd, np.ones(3), status="error", prompt_id="third")
    found = difference(frame(a + b), odd, B)
    assert found.verdict == (
        f"Not compared: no input was answered by both {odd} and {B}. Left out: 3 runs not answered, 6 runs without a "
        "partner."
    )


def test_one_pair_claims_nothing() -> None:
    """A single pair has an unbounded interval and no verdict."""
    found = compared(1, factor=50)
    assert (found.outcome, found.n, found.low, found.high) == ("unsure", 1, -np.inf, np.inf)
    assert "Cannot tell with n = 1" in found.verdict


def test_same_seed_same_interval() -> None:
    """The bootstrap is seeded: the same frame gives the same figures."""
    assert compared(40) == compared(40)
    assert compared(40).low != compared(40, seed=1).low


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"a": "azure/aa"}, "Did you mean 'azure/a'?"),
        ({"a": B}, "cannot be compared with itself"),
        ({"metric": "total"}, "Did you mean 'total_ms'?"),
        ({"metric": "prompt"}, "is not a metric of this frame. Not all of its values are numbers"),
        ({"mixed": "ignore"}, "mixed must be"),
        ({"confidence": 95}, "confidence"),
    ],
)
def test_a_wrong_question_names_the_way_out(arguments: dict[str, Any], message: str) -> None:
    """Each mistake is one error that says what was wrong."""
    data = frame(calls(A, np.ones(8)) + calls(B, np.ones(8)))
    with pytest.raises(ConfigurationError) as caught:
        difference(data, **{"a": A, "b": B, **arguments})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "kept",
    [
        lambda column: column.astype(object),
        lambda column: column.astype("string"),
        lambda column: column.map(lambda value: None if pd.isna(value) else Decimal(repr(value))).astype(object),
        lambda column: column.astype(object).where(column.notna(), None),
    ],
    ids=["objects", "text", "decimals", "None among objects"],
)
@pytest.mark.parametrize("metric", ["total_ms", "score_tone", *thorough("cost_usd", "score")])
def test_numbers_are_numbers_however_a_frame_keeps_them(kept: Any, metric: str) -> None:
    """As `pd.concat`, a database or a file of text leave them."""
    data = frame(calls(A, np.ones(9)) + calls(B, np.ones(9)))
    values = [*np.linspace(0.1, 0.9, 9), *np.linspace(0.2, 1.0, 9)]
    data[metric] = pd.array([None, *values[1:]], dtype="Float64")
    expected = difference(data, A, B, metric)
    assert expected.n == 8
    assert difference(data.assign(**{metric: kept(data[metric])}), A, B, metric) == expected
    words = data.assign(**{metric: kept(data[metric]).astype(object).where(data.index != 3, "n/a")})
    with pytest.raises(ConfigurationError, match="Not all of its values are numbers"):
        difference(words, A, B, metric)


def test_runs_without_prompts_cannot_be_paired() -> None:
    """Runs of a log that belong to no comparison are refused with the reason."""
    with pytest.raises(ConfigurationError, match="no prompt_id"):
        difference(frame(calls(A, np.ones(8), prompt_id=None) + calls(B, np.ones(8), prompt_id=None)), A, B)


def test_how_many_inputs_are_needed_grows_with_the_confidence() -> None:
    """What 99 % takes is (2.58 + 1.28)^2 to (1.96 + 1.28)^2 as many, of means and medians."""
    rows = calls(A, times(1, 400, of=1)) + calls(B, times(1, 400, of=2))
    table = frame(rows).assign(score=pd.array(np.random.default_rng(1).random(800), dtype="Float64"))
    for metric, slack in (("score", 0.05), ("total_ms", 0.2)):
        some, more = (
            difference(table, A, B, metric, confidence=share, margin=0.001).needed or 0 for share in (0.95, 0.99)
        )
        assert more / some == pytest.approx((3.856 / 3.242) ** 2, rel=slack)
