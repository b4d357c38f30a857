"""What is asked once more is a repeat and no further sample, whatever its row is called."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bifrost_nb import Client, ConfigurationError, LocalGateway, Run, compare, difference, gate, summary
from bifrost_nb._compare.agreement import agreement
from bifrost_nb._compare.judge_bias import preferences
from bifrost_nb._compare.judge_question import fenced
from bifrost_nb._notebook.widgets.vote_state import Ballots
from tests.thorough import thorough

from .frames import calls, frame

A, B = "azure/fast", "azure/large"


def right(run: Run) -> bool:
    """One deployment is always right, the other never."""
    return run.requested_model == "fast"


@pytest.mark.parametrize(
    ("inputs", "asked", "questions"),
    [
        *thorough(({"what": ["bird"] * 12}, {}, 1)),
        ({"what": ["bird"] * 12, "id": list(range(12))}, {}, 1),
        ({"what": ["bird", "tree"] * 6, "expected": list("abcdefghijkl")}, {}, 2),
        ({"what": ["bird"] * 12, "tone": list("abcdefghijkl")}, {"system": "Be {{tone}}.", "api": "chat"}, 12),
        *thorough(({"what": ["bird"] * 12, "tone": list("ab") * 6}, {"system": "Be {{tone}}.", "api": "chat"}, 2)),
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


def asked_twice(client: Client, first: dict[str, Any], second: dict[str, Any], **asked: Any) -> pd.DataFrame:
    """What the log has of two comparisons, both of which were sent."""
    for inputs in (first, second):
        compare([A, B], "Name a {{what}}.", inputs=inputs, max_tokens=2, client=client, stream=False, fresh=True,
                **asked)  # fmt: skip
    return client.log.frame()


TONES = {"tone": list("abcdef")}
CHAT: dict[str, Any] = {"api": "chat"}
TOOLS = [[{"type": "function", "function": {"name": name}}] for name in "abcdefghijkl"]


@pytest.mark.parametrize(
    ("first", "second", "asked", "questions"),
    [
        ({"id": [1, 2, 3, 4, 5, 6]}, {"id": [7, 8, 9, 10, 11, 12]}, {}, 6),
        ({}, {"id": [1, 2, 3, 4, 5, 6]}, {}, 6),
        ({"what": list("uvwxyz")}, {}, {}, 12),
        ({"tone": list("abcdef")}, {"tone": list("ghijkl")}, {"system": "Be {{tone}}.", **CHAT}, 12),
        ({"own": TOOLS[:6]}, {"own": TOOLS[6:]}, {"tools": "own", **CHAT}, 12),
    ],
    ids=["another unused column", "one more column", "other prompts", "other systems", "other tools"],
)
def test_the_log_counts_a_question_of_two_comparisons_once(
    client: Client, first: dict[str, Any], second: dict[str, Any], asked: dict[str, Any], questions: int
) -> None:
    """Rows that differ in a column that nothing used are one input in a frame of the log, too."""
    what = {"what": list("opqrst")}
    frame = asked_twice(client, {**what, **first}, {**what, **second}, **asked)
    assert len(frame) == 24
    found = difference(frame, A, B, "total_ms")
    assert (found.n, sum(found.excluded.values())) == (questions, 0)
    scored = frame.assign(score=1.0)
    assert summary(scored)["score_n"].tolist() == [questions, questions]
    assert [check.n for check in gate(scored, A, baseline=B, score="not worse by 0.5").checks] == [questions]
    # Where one deployment answered those of the second comparison alone, what both answered is still a pair.
    late = scored[(scored["requested_model"] == "fast") | (np.arange(24) >= 12)]
    assert [check.n for check in gate(late, A, baseline=B, score="not worse by 0.5").checks] == [6]


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


@pytest.mark.parametrize("asked", [{"repeats": 12}, {"inputs": {"what": ["bird"] * 12}}])
def test_one_question_ranks_nobody(client: Client, gateway: LocalGateway, asked: dict[str, Any]) -> None:
    """Twelve repeats or copies that a judge or a voter decides alike leave the ranking as open as one vote does."""
    reply = '{"reason": "r", "better": "%s"}'
    rules = [{"deployment": A, "text": ["good"]}, {"deployment": B, "text": ["bad"]}]
    for first, better in (("good", "first"), ("bad", "second")):
        rules.append({"deployment": "openai/gpt-4o-mini", "prompt": fenced("first answer", first),
                      "text": [reply % better]})  # fmt: skip
    gateway.script(rules)
    comparison = compare([A, B], "Name a {{what}}.", client=client, stream=False,
                         **{"inputs": {"what": ["bird"]}, **asked})  # fmt: skip
    judged = comparison.judge("Which is better?", judge="openai/gpt-4o-mini").ranking()
    assert (judged["model"][0], judged["wins"][0]) == (A, 12)
    assert judged["low"][0] < 0
    ballots = Ballots([(run.requested_model or "", run) for run in comparison.runs])
    while (ballot := ballots.current) is not None:
        ballots.choose("1" if ballot.model_a == "fast" else "2")
    assert ballots.ranking()["low"][0] < 0


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


@pytest.mark.parametrize("pause_s", [300.0, 600.0, 899.0])
def test_a_job_that_never_pauses_is_no_sitting(pause_s: float) -> None:
    """One that asks every few minutes, and from some hour on another deployment, did not time the two together."""
    later = str(pd.Timestamp("2026-01-05") + pd.Timedelta(seconds=40 * pause_s))
    found = difference(frame(sent(A, 1, "2026-01-05", pause_s) + sent(B, 2, later, pause_s)), A, B)
    assert (found.outcome, found.n) == ("refused", 0)


@pytest.mark.parametrize("write", ["csv", "json", "text"])
def test_frames_that_went_through_a_file_of_text(write: str) -> None:
    """Times, flags and days mean the same once their columns have lost their types."""
    rows = sent(A, 1, "2026-01-05") + sent(B, 2, "2026-01-05 00:05") + sent(B, 9, "2026-01-08")
    for run in rows[::4]:
        run["cache_hit"] = True
    whole = frame(rows)
    if write == "text":
        read = whole.astype({"started_at": "string", "cache_hit": object, "is_fallback": "string"})
    elif write == "csv":
        read = pd.read_csv(io.StringIO(whole.to_csv(index=False)))
    else:
        read = pd.read_json(
            io.StringIO(whole.to_json(orient="records", lines=True, date_format="iso", double_precision=15)), lines=True
        )
    found, known = (difference(each, A, B) for each in (read, whole))
    assert found == known
    assert (found.winner, found.excluded["from a cache"]) == (A, 30)
    assert summary(read)["cached"].tolist() == summary(whole)["cached"].tolist()
    with pytest.raises(ConfigurationError, match="started_at"):
        difference(whole.assign(started_at="some day"), A, B)
    few = read[["status", "requested_provider", "requested_model", "prompt_id", "tags", "total_ms"]]
    assert difference(few, A, B).n == 40
    assert summary(few)["runs"].tolist() == [40, 80]


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
