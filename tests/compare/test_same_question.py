"""What is asked once more is a repeat and no further sample, whatever its row is called."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from bifrost_nb import Client, ConfigurationError, Run, compare, difference, gate, summary
from bifrost_nb._compare.agreement import agreement
from bifrost_nb._compare.judge_bias import preferences

from .frames import calls, frame

A, B = "azure/fast", "azure/large"


def right(run: Run) -> bool:
    """One deployment is always right, the other never."""
    return run.requested_model == "fast"


@pytest.mark.parametrize(
    ("inputs", "asked", "questions"),
    [
        ({"what": ["bird"] * 12}, {}, 1),
        ({"what": ["bird"] * 12, "id": list(range(12))}, {}, 1),
        ({"what": ["bird", "tree"] * 6, "expected": list("abcdefghijkl")}, {}, 2),
        ({"what": ["bird"] * 12, "tone": list("abcdefghijkl")}, {"system": "Be {{tone}}.", "api": "chat"}, 12),
        ({"what": ["bird"] * 12, "tone": list("ab") * 6}, {"system": "Be {{tone}}.", "api": "chat"}, 2),
        ({"what": ["bird"] * 6 + list("abcdef")}, {}, 7),
    ],
    ids=["copies", "other names", "other expectations", "other systems", "two systems", "partly"],
)
def test_copies_of_an_input_are_one_input(
    client: Client, inputs: dict[str, Any], asked: dict[str, Any], questions: int
) -> None:
    """Scores, times, summaries and limits count questions; every answer is still sent and there."""
    comparison = compare([A, B], "Name a {{what}}.", inputs=inputs, max_tokens=2, score=right, client=client,
                         stream=False, **asked)  # fmt: skip
    assert len(comparison.frame) == 24
    assert comparison.frame["input_id"].nunique() == 12
    for metric in ("score", "total_ms", "total_tokens"):
        found = comparison.difference(A, B, metric)
        assert found.n == questions
        assert found.winner is None or questions >= 6
        assert len(found.inputs()) == questions
    assert comparison.summary()["score_n"].tolist() == [questions, questions]
    assert [check.n for check in comparison.gate(A, score=0.5, p50_ms=1).checks] == [questions] * 2
    assert (comparison.difference(A, B, "score").winner == A) == (questions >= 6)


def test_templates_tell_rows_apart_that_one_of_them_does_not_use(client: Client) -> None:
    """A column that only one template uses makes inputs of its rows, for both templates."""
    comparison = compare([A], {"plain": "Name a {{what}}.", "with": "Name a {{tone}} {{what}}."},
                         inputs={"what": ["bird"] * 8, "tone": list("abcdefgh")}, max_tokens=2, client=client,
                         stream=False)  # fmt: skip
    assert comparison.difference("plain", "with", "total_tokens").n == 8


def test_until_decided_needs_questions(client: Client) -> None:
    """Thirty copies of one question decide nothing, and none is sent."""
    with pytest.raises(ConfigurationError, match="needs 6 or more inputs"):
        compare([A, B], "Name a {{what}}.", inputs={"what": ["bird"] * 30}, score=right, until="decided", client=client)


def test_who_judges_is_not_surer_for_copies() -> None:
    """Agreement and a judge's leanings have no interval of one question that was asked thirty times."""
    ids = ["0123456789ab", *(f"0123456789ab-{n}" for n in range(2, 31))]
    said = [1.0, 0.0, 1.0] * 10
    judged = pd.DataFrame({"input_id": ids, "one": said, "two": said})
    assert np.isnan(agreement(judged, "one", "two").low)
    assert not np.isnan(agreement(judged.assign(input_id=[f"x-{n}" for n in range(30)]), "one", "two").low)
    pairs = pd.DataFrame({"input_id": ids, "model_a": "a", "model_b": "b", "winner": "model_a", "first_ab": 1,
                          "first_ba": -1, "longer": 1})  # fmt: skip
    assert preferences(pairs, None, {})["low"].isna().all()


def test_a_cached_answer_is_no_further_repeat() -> None:
    """Four repeats out of a cache are copies of the first: they are in no mean, interval or share of all-right."""
    rows = calls(A, np.full(40, 100.0), repeats=4)
    for run in rows:
        run["cache_hit"] = run["repeat"] > 0
    table = frame(rows)
    table["score"] = pd.array([1.0, 0.0, 0.0, 0.0] * 10, dtype="Float64")
    found = summary(table).iloc[0]
    assert (found["score_mean"], found["score_n"], found["score_all"]) == (1.0, 10, 1.0)


def sent(deployment: str, factor: float, start: str, pause_s: float = 1.0, **facts: Any) -> list[dict[str, Any]]:
    """Forty single calls, which tell no sweep."""
    rows = calls(deployment, factor * np.linspace(100, 200, 40), **facts)
    return [{**run, "started_at": pd.Timestamp(start, tz="UTC") + pd.Timedelta(seconds=pause_s * n)}
            for n, run in enumerate(rows)]  # fmt: skip


@pytest.mark.parametrize("metric", ["total_ms", "ttft_ms", "tokens_per_s"])
def test_single_calls_of_two_days_are_not_timed_together(metric: str) -> None:
    """Times and speeds of calls that no comparison sent pair within one sitting; tokens pair across days."""
    facts: dict[str, Any] = {metric: 100.0, "total_tokens": 10}
    monday, thursday = sent(A, 1, "2026-01-05", **facts), sent(B, 2, "2026-01-08", **facts)
    apart = difference(frame(monday + thursday), A, B, metric)
    assert (apart.outcome, apart.n) == ("refused", 0)
    assert "another sweep" in apart.verdict
    assert "fresh=True" in apart.verdict
    assert difference(frame(monday + thursday), A, B, "total_tokens").outcome == "equal"
    together = frame(sent(A, 1, "2026-01-05", **facts) + sent(B, 2, "2026-01-05 00:05", **facts))
    assert difference(together, A, B, metric).n == 40


def test_a_gate_does_not_time_single_calls_against_those_of_another_day() -> None:
    """A baseline of last week is no measure of today's times."""
    old, new = frame(sent(A, 2, "2026-01-05")), frame(sent(A, 1, "2026-01-12"))
    check = gate(new, A, baseline=old, p50_ms="not worse by 10%").checks[0]
    assert check.outcome == "undecided"
    assert "another sweep" in check.sentence


def test_calls_beside_a_comparison_are_not_of_its_sweep() -> None:
    """Runs that tell a sweep and runs that tell none are two sittings, at whatever hour."""
    swept = sent(A, 1, "2026-01-05", tags='{"sweep":"one"}')
    assert difference(frame(swept + sent(B, 2, "2026-01-05")), A, B).outcome == "refused"
