"""Planted truths: a gateway answers and judges as a seeded world says, and what comes out must be that world."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import bifrost_nb as bf
from bifrost_nb import Client, LocalGateway, scorers
from bifrost_nb._compare.compare import compare
from bifrost_nb._compare.comparison import Comparison
from bifrost_nb._compare.judge_question import fenced

A, B, C = "azure/gpt-35-turbo-instruct", "openai/gpt-3.5-turbo-instruct", "azure/fast"
JUDGE = "openai/gpt-4o-mini"
PROMPTS = {"short": "Short: question {{n}}.", "long": "Long: question {{n}}."}
SIZE = 100


def world(seed: int, right: int, mended: int, broken: int) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Rules for a gateway, and who is right (template x question).

    The short prompt is right in `right` of 100 questions; the long one mends so many of the others and breaks so many.
    """
    order = np.random.default_rng([16, seed]).permutation(SIZE)
    short, long = np.zeros(SIZE, dtype=bool), np.zeros(SIZE, dtype=bool)
    short[order[:right]] = True
    long[order[broken : right + mended]] = True
    rules = [
        {"deployment": A, "prompt": f"{template}: question {n}.", "text": ["yes" if truth[n] else "no"]}
        for template, truth in (("Short", short), ("Long", long))
        for n in range(SIZE)
    ]
    return rules, np.stack([short, long])


@pytest.fixture
def ask(client: Client) -> Any:
    def ask(deployments: list[str], prompt: Any = PROMPTS, **more: Any) -> Comparison:
        inputs = {"n": range(SIZE), "expected": ["yes"] * SIZE, "topic": ["law", "sport"] * (SIZE // 2)}
        return compare(deployments, prompt, inputs=inputs, client=client, stream=False, **more)

    return ask


def test_a_prompt_that_is_15_points_better_wins(ask: Any, gateway: LocalGateway) -> None:
    """70 against 85 % right: the verdict names it, its interval holds the truth, and the counts are the world's."""
    rules, right = world(0, 70, mended=19, broken=4)
    gateway.script(rules)
    comparison = ask([A], score=scorers.exact("expected"))
    found = comparison.difference("long", "short", "score")
    assert found.winner == "long"
    assert found.estimate == pytest.approx(0.15)
    assert 0 < found.low < 0.15 < found.high < 0.30
    assert (found.better, found.worse, found.same) == (19, 4, 77)
    assert sorted(found.inputs("worse")["input_n"]) == np.flatnonzero(right[0] & ~right[1]).tolist()
    assert "long is better by 15 points" in found.verdict
    assert "better on 19 of 100 inputs, worse on 4, the same on 77" in found.verdict
    assert comparison.best("score", by="template").names == ["long"]
    means = comparison.frame.groupby("template")["score"].mean()
    assert (means["short"], means["long"]) == (0.70, 0.85)


def test_a_model_that_grades_finds_the_same(ask: Any, gateway: LocalGateway) -> None:
    """The same world through a rubric whose judge errs in 4 of 100: the same winner, and the card says how often."""
    rules, right = world(1, 70, mended=19, broken=4)
    rng = np.random.default_rng(9)
    graded = np.stack([some != (rng.permutation(SIZE) < 4) for some in right])
    rubric = [
        {
            "deployment": JUDGE,
            "prompt": "\n\n".join(
                [fenced("prompt", f"{template}: question {n}."), fenced("answer", "yes" if right[j, n] else "no")]
            ),
            "text": [json.dumps({"reason": "r", "grade": "yes" if graded[j, n] else "no"})],
        }
        for j, template in enumerate(("Short", "Long"))
        for n in range(SIZE)
    ]
    gateway.script([*rules, *rubric])
    comparison = ask([A], score={"grade": scorers.rubric("Is it right?", judge=JUDGE)})
    found = comparison.difference("long", "short", "score_grade")
    assert found.estimate == pytest.approx(graded[1].mean() - graded[0].mean())
    assert found.winner == "long"
    known = comparison.score(right=scorers.exact("expected")).agreement("score_grade", "score_right")
    assert known.share == pytest.approx(0.96)
    assert len(known.disagreements) == 8
    assert 0.75 < known.low < known.kappa < known.high <= 1


def test_equal_prompts_are_not_told_apart(ask: Any, gateway: LocalGateway) -> None:
    """Two templates, each right in 75 of 100: no winner, nobody out, and a number of inputs that would tell more."""
    gateway.script(world(2, 75, mended=9, broken=9)[0])
    comparison = ask([A], score=scorers.exact("expected"))
    found = comparison.difference("long", "short", "score")
    assert found.winner is None
    assert found.needed is not None
    assert found.needed > SIZE
    assert comparison.best("score").names == [f"{A} · short", f"{A} · long"]


def test_a_deployment_better_on_one_topic_only(ask: Any, gateway: LocalGateway) -> None:
    """30 points better in law, as good in sport: one groupby shows it, and a verdict is called for law alone."""
    rng = np.random.default_rng(5)
    law = np.arange(SIZE) % 2 == 0
    easy = rng.random(SIZE)
    right = {A: easy < np.where(law, 0.9, 0.6), B: easy < 0.6}
    gateway.script(
        [{"deployment": name, "prompt": f"question {n}.", "text": ["yes" if right[name][n] else "no"]}
         for name in (A, B) for n in range(SIZE)]
    )  # fmt: skip
    comparison = ask([A, B], prompt="Tell me: question {{n}}.", score=scorers.exact("expected"))
    frame = comparison.frame
    by_topic = {topic: bf.difference(some, A, B, "score") for topic, some in frame.groupby("input_topic")}
    assert by_topic["law"].winner == A
    assert by_topic["law"].low <= 0.3 <= by_topic["law"].high
    assert by_topic["sport"].winner is None
    means = frame.groupby(["variant", "input_topic"])["score"].mean()
    assert means[A, "law"] - means[B, "law"] == pytest.approx(by_topic["law"].estimate)
    assert set(comparison.difference(A, B, "score").inputs("better")["input_topic"]) == {"law"}


def test_a_judge_that_likes_the_first_ranks_three_right(client: Client, gateway: LocalGateway) -> None:
    """In a fifth of all pairs it says "first" whatever stands there: 20 points are reported, and A > B > C is found."""
    rng = np.random.default_rng(11)
    size, quality = 30, {A: 2.0, B: 1.0, C: 0.0}
    topic = [f"topic {n}!" for n in range(size)]
    rules: list[dict[str, Any]] = [
        {"deployment": name, "prompt": topic[n], "text": [f"{name} on {n}"]} for name in quality for n in range(size)
    ]
    always = np.zeros((3, size), dtype=bool)
    for place, (one, other) in enumerate(((A, B), (A, C), (B, C))):
        always[place, rng.permutation(size)[: size // 5]] = True
        wins = rng.random(size) < 1 / (1 + np.exp(quality[other] - quality[one]))
        for n in range(size):
            for first, second in ((one, other), (other, one)):
                better = "first" if always[place, n] or (first == one) == wins[n] else "second"
                texts = fenced("first answer", f"{first} on {n}"), fenced("second answer", f"{second} on {n}")
                reply = json.dumps({"reason": "r", "better": better})
                rules.append({"deployment": JUDGE, "prompt": "\n\n".join(texts), "text": [reply]})
    gateway.script(rules)
    comparison = compare(list(quality), "About topic {{n}}!", inputs={"n": range(size)}, client=client, stream=False)
    judgement = comparison.judge("Which is better?", judge=JUDGE)
    position = judgement.preferences.set_index("preference").loc["position"]
    assert judgement.flips == always.sum() == 3 * size // 5
    assert judgement.frame.loc[judgement.frame["flip"], "winner"].eq("tie").all()
    assert position["points"] == pytest.approx(20)
    assert position["low"] > 0
    assert "prefers the first answer" in repr(judgement)
    ranking = judgement.ranking()
    assert ranking["model"].tolist() == [A, B, C]
    assert ((ranking["low"] < ranking["strength"]) & (ranking["strength"] < ranking["high"])).all()
    assert ranking["low"].iloc[0] > ranking["high"].iloc[2]
