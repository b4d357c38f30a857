"""``until="decided"``: batches are sent until an interval that holds at every look decides; planted truths."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bifrost_nb import Client, ConfigurationError, LocalGateway, Run, scorers
from bifrost_nb._compare.compare import compare
from bifrost_nb._compare.comparison import Comparison
from bifrost_nb._compare.interrupted import ComparisonInterrupted
from bifrost_nb._compare.plan import make_plan
from bifrost_nb._compare.until import FIRST_INPUTS, Looks
from bifrost_nb._statistics.sequential import confidence_sequence

from .frames import frame

A, B, C = "azure/gpt-35-turbo-instruct", "openai/gpt-3.5-turbo-instruct", "azure/fast"


def course(client: Client, names: list[str], inputs: int, seed: int = 0, margin: float = 0.02) -> Looks:
    rows = {"n": list(range(inputs))}
    return Looks(make_plan(client, names, "{{n}}", inputs=rows, kind="text", seed=seed), "score", margin)


def answered(looks: Looks, scores: Mapping[str, Mapping[str, float]]) -> None:
    """Go through a course where each variant has the score `scores[variant][input]`, until it ends."""
    rows: list[dict[str, Any]] = []
    while batch := looks.next_batch():
        for trial in batch:
            provider, model = trial.variant.split("/")
            who = {"provider": provider, "model": model, "requested_provider": provider, "requested_model": model}
            rows.append({**who, "prompt_id": trial.prompt.input_id, "repeat": 0, "status": "ok", "is_fallback": False})
        table = frame(rows)
        table["variant"] = table["requested_provider"] + "/" + table["requested_model"]
        table["input_id"] = table["prompt_id"]
        values = [scores[name].get(of) for name, of in zip(table["variant"], table["input_id"], strict=True)]
        table["score"] = pd.array(values, dtype="Float64")
        table.loc[table["score"].isna(), "status"] = "error"
        looks.look(table)


def planted(looks: Looks, seed: int, **right: float) -> dict[str, dict[str, float]]:
    """Scores 0 and 1: of the variants named a, b, c the share that is right; inputs are as hard for all."""
    rng = np.random.default_rng([17, seed])
    names = dict(zip("abc", (A, B, C), strict=True))
    hard = rng.normal(0, 0.15, len(looks.order))
    return {
        names[name]: dict(zip(looks.order, (rng.random(len(hard)) < share + hard).astype(float), strict=True))
        for name, share in right.items()
    }


def test_equals_are_rarely_called_different_however_often_one_looks() -> None:
    """Of 100 pairs of equals, looked at after each of 300 inputs, at most 7 are ever called different."""
    wrong = fixed = 0
    for seed in range(100):
        rng = np.random.default_rng([31, seed])
        gaps = (rng.random(300) < 0.6).astype(float) - (rng.random(300) < 0.6)
        low, high = confidence_sequence((gaps + 1) / 2, 0.05)  # an interval narrows: it tells of all looks before
        wrong += not low <= 0.5 <= high
        sums, squares, steps = np.cumsum(gaps), np.cumsum(gaps**2), np.arange(1, 301)
        z = sums / np.sqrt(np.maximum(squares, 1))
        fixed += bool((np.abs(z[steps >= FIRST_INPUTS]) > 1.96).any())
    assert wrong <= 7
    assert fixed > 20  # a test meant for one look is wrong far more often: the trial can tell


@pytest.mark.thorough
def test_three_equals_are_rarely_told_apart(client: Client) -> None:
    """Of 100 comparisons of three equals over 125 inputs at most 7 lose a variant; a course says what intervals say."""
    wrong = 0
    for seed in range(100):
        looks = course(client, [A, B, C], 125, seed)
        scores = planted(looks, seed, a=0.6, b=0.6, c=0.6)
        table = np.array([[scores[name][of] for of in looks.order] for name in (A, B, C)])
        gaps = [table[one] - table[other] for one, other in ((0, 1), (0, 2), (1, 2))]
        sure = [confidence_sequence((gap + 1) / 2, 0.05 / 3) for gap in gaps]
        apart = any(not low <= 0.5 <= high for low, high in sure)
        wrong += apart
        if seed < 3:
            answered(looks, scores)
            assert bool(looks.out) == apart
            assert looks.decision().decided == apart
    assert wrong <= 7


def test_near_equals_are_called_equal_within_the_margin(client: Client) -> None:
    """Two that differ on one input in fifty end as equal within 20 points, both still in."""
    looks = course(client, [A, B], 400, margin=0.2)
    scores = planted(looks, 1, a=0.7)
    scores[B] = {name: 1 - value if place % 50 == 0 else value for place, (name, value) in enumerate(scores[A].items())}
    answered(looks, scores)
    decision = looks.decision()
    assert (decision.decided, decision.names, decision.out) == (True, [A, B], {})
    assert decision.inputs < 400
    assert f"{A}, {B} differ by less than 20 points in score." in decision.verdict
    assert decision.differences["outcome"].tolist() == ["equal"]


def test_a_winner_that_fails_is_said_to(client: Client) -> None:
    """What A does not answer does not count against it, which the decision says."""
    looks = course(client, [A, B], 200)
    scores = planted(looks, 3, a=1.0, b=0.3)
    scores[A] = {name: score for place, (name, score) in enumerate(scores[A].items()) if place % 4}
    answered(looks, scores)
    decision = looks.decision()
    assert decision.names == [A]
    assert f"{A} did not answer {-(-decision.inputs // 4)} of {decision.inputs}, which does not" in decision.verdict


def test_the_better_one_is_found_and_the_worse_leaves(client: Client) -> None:
    """90 against 50 and 10 % right: decided long before 600 inputs, each time for the right one; both others left."""
    right = []
    for seed in range(5):
        looks = course(client, [A, B, C], 600, seed)
        answered(looks, planted(looks, seed, a=0.9, b=0.5, c=0.1))
        decision = looks.decision()
        assert decision.decided
        assert decision.inputs < 300
        right.append(decision.names == [A])
        assert set(decision.out) == {B, C}
    assert all(right)


def drawn(run: Run, row: Mapping[str, Any]) -> float:
    """A score from the row and who answered, the same whenever it is judged."""
    name = f"{run.requested_provider}/{run.requested_model}"
    place = (A, B, C).index(name)
    return float(np.random.default_rng([int(row["n"]), place]).random() < {A: 0.95, B: 0.45, C: 0.95}[name])


@pytest.fixture
def ask(client: Client) -> Any:
    def ask(deployments: Any = (A, B), inputs: int = 300, **asked: Any) -> Comparison:
        given = {"inputs": {"n": list(range(inputs))}, "score": drawn, "until": "decided", "max_tokens": 2}
        asked = {"prompt": "About {{n}}", **given, **asked}
        result: Comparison = compare(list(deployments), client=client, stream=False, **asked)
        return result

    return ask


def sent(gateway: LocalGateway, start: int = 0) -> int:
    return sum(one["path"].endswith("completions") for one in gateway.requests(start))


def test_sending_ends_when_it_is_decided(ask: Any, gateway: LocalGateway) -> None:
    """95 against 45 % right: a part of 300 inputs is sent, table and verdict say so, and nothing counts as missing."""
    found = ask()
    decision = found.decision
    assert (decision.decided, decision.names, decision.of) == (True, [A], 300)
    assert decision.inputs < 150
    assert sent(gateway) == len(found) == 2 * decision.inputs
    assert found.missing == 0
    assert decision.verdict.startswith(f"Decided after {decision.inputs} of 300 inputs: {A} is best in score.")
    assert f"{B} was dropped: worse than {A} by" in decision.verdict
    assert ", valid whenever sending stops), seen after" in decision.out[B]
    assert decision.verdict in repr(found)
    assert decision.verdict in decision._repr_html_()
    assert f"{decision.inputs} of 300 inputs, 1 variant left" in repr(found)
    assert f"{decision.inputs} prompts x 2 deployments" in repr(found)
    assert "Decided after" in found._repr_html_()
    assert found.difference(A, B, "score").anytime
    assert found.differences("score")["winner"].tolist() == [A]
    assert found.best("score").names == [A]


def test_live_false_shows_nothing_of_it(ask: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a bar nor the line that says how many were sent; without it there is that line."""
    ask(inputs=12, live=False)
    assert capsys.readouterr() == ("", "")
    ask(inputs=12, fresh=True)
    assert "runs: " in capsys.readouterr().err


def test_running_it_again_pays_nothing_and_finds_the_same(ask: Any, gateway: LocalGateway) -> None:
    """A second run sends nothing and judges the same; one after sending all inputs looks at the same ones."""
    first, count = ask(), sent(gateway)
    again = ask()
    assert sent(gateway) == count
    assert again.decision == first.decision
    for found in (first, again):
        found.wait_for_costs(30)
    pd.testing.assert_frame_equal(again.frame, first.frame)
    ask(until=None)
    assert sent(gateway) == 600
    later = ask()
    assert (sent(gateway), later.decision) == (600, first.decision)
    assert later.frame["prompt_id"].tolist() == first.frame["prompt_id"].tolist()


def test_templates_and_repeats(ask: Any) -> None:
    """Of two templates over repeats the better is found; an input counts once, and is sent with all its repeats."""
    prompts = {"long": "Write about {{n}}.", "short": "{{n}}"}
    found = ask([A], prompt=prompts, repeats=2, score=lambda run: float(str(run.prompt).startswith("Write")))
    decision = found.decision
    assert (decision.decided, decision.names, decision.inputs) == (True, [f"{A} · long"], FIRST_INPUTS)
    assert len(found) == FIRST_INPUTS * 2 * 2
    assert decision.differences["n"].tolist() == [FIRST_INPUTS]
    assert found.difference("long", "short", "score").winner == "long"


def test_a_loser_leaves_early(ask: Any) -> None:
    """Of three the one that is worse gets no more inputs while the two that are near go on to the end."""
    found = ask([A, B, C], inputs=120)
    decision = found.decision
    counts = found.frame["variant"].value_counts()
    assert not decision.decided
    assert decision.names == [A, C]
    assert counts[A] == counts[C] == 120
    assert counts[B] < 120
    assert f"{A} and {C} cannot be told apart yet (difference " in decision.verdict
    assert ", valid whenever sending stops), and there are no further inputs." in decision.verdict
    assert found.best("score").out == {B: f"is worse than {found.best('score').names[0]}"}


def test_the_budget_ends_it(ask: Any, gateway: LocalGateway) -> None:
    """With two cents a call and a dollar it ends near 50 calls, undecided, and says why; a further run goes on."""
    gateway.script([{"cost": 0.02}])
    found = ask([A, C], max_cost_usd=1.0, concurrency=2)
    assert not found.decision.decided
    assert "max_cost_usd=1 is reached" in found.decision.verdict
    assert 50 <= sent(gateway) <= 54
    again = ask([A, C], max_cost_usd=1.0, concurrency=2)
    assert 100 <= sent(gateway) <= 108
    assert again.decision.inputs > found.decision.inputs


def test_judges_are_paid_from_the_same_budget_and_once(ask: Any, gateway: LocalGateway) -> None:
    """A rubric grades only what was sent, each answer once over all batches and runs; its cost counts."""
    judge = {"deployment": "openai/gpt-4o-mini", "concurrency": 2}
    gateway.script(
        [
            {"deployment": A, "text": ["Good."], "cost": 0.001},
            {"deployment": B, "text": ["Bad."], "cost": 0.001},
            {"prompt": "Good.", "text": ['{"reason": "r", "grade": "yes"}'], "cost": 0.01},
            {"prompt": "Bad.", "text": ['{"reason": "r", "grade": "no"}'], "cost": 0.01},
        ]
    )
    rubric = scorers.rubric("Is it right about {{n}}?", judge=judge)
    poor = ask(score={"grade": rubric}, max_cost_usd=0.1, concurrency=2)
    assert not poor.decision.decided
    assert poor.judging_cost_usd is not None
    assert poor.judging_cost_usd <= 0.12
    assert poor.decision.inputs == FIRST_INPUTS  # no answers that nobody can grade any more
    found = ask(score={"grade": rubric})
    judged = [one for one in gateway.requests() if one["path"].endswith("/chat/completions")]
    assert (found.decision.decided, found.decision.names, found.decision.metric) == (True, [A], "score_grade")
    assert found.frame["score_grade"].notna().all()
    assert len(judged) == len(found) == 2 * found.decision.inputs
    assert found.judging_cost_usd == pytest.approx(0.01 * len(judged))
    ask(score={"grade": rubric})
    assert len([one for one in gateway.requests() if one["path"].endswith("/chat/completions")]) == len(judged)


def test_an_interrupt_keeps_what_was_paid(ask: Any, gateway: LocalGateway) -> None:
    """Interrupted in a later batch it raises with answers, scores and decision so far; the next run sends the rest."""
    gateway.script([{"first_text_ms": 30}])
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        end = time.monotonic() + 60
        while sent(gateway) < 3 * FIRST_INPUTS and time.monotonic() < end:
            time.sleep(0.01)
        signal.pthread_kill(main, signal.SIGINT)

    watcher = threading.Thread(target=interrupt)
    watcher.start()
    with pytest.raises(ComparisonInterrupted) as stop:
        ask([A, C], concurrency=2)
    watcher.join()
    early = stop.value.comparison
    assert early.decision is not None
    assert not early.decision.decided
    frame = early.frame
    assert frame["score"].notna().sum() >= FIRST_INPUTS
    paid = int(frame["status"].eq("ok").sum())
    before = sent(gateway)
    whole = ask([A, C], inputs=300, margin=0.3)
    assert sent(gateway) - before == len(whole) - paid


def test_a_deployment_that_fails_does_not_cost_all_inputs(ask: Any, gateway: LocalGateway) -> None:
    """Where one of two never answers, the first batch is the last, and the verdict says who and why."""
    gateway.script([{"deployment": B, "status": 400}])
    found = ask()
    assert found.decision.inputs == FIRST_INPUTS
    assert "there is nothing to compare with" in found.decision.verdict
    assert f"{B} was dropped: no answer of it has a score" in found.decision.verdict


def test_scores_beyond_their_bounds_end_it(ask: Any, gateway: LocalGateway) -> None:
    """A score of 3 ends it after the first batch: no interval holds for it, and it says what to do."""
    found = ask(score={"long": lambda run: 3})
    assert (found.decision.decided, found.decision.inputs) == (False, FIRST_INPUTS)
    assert "score_long is 3 for an answer" in found.decision.verdict
    assert "bf.scorers.bounded(scorer, low, high)" in found.decision.verdict
    assert sent(gateway) == 2 * FIRST_INPUTS


def test_a_function_with_its_range_is_decided_in_its_own_unit(ask: Any, gateway: LocalGateway) -> None:
    """0 to 10 by a function of the user: refused without its range, decided with it, and no answer is sent twice."""

    def points(run: Run, row: Mapping[str, Any]) -> float:
        return 10 * drawn(run, row)

    poor = ask(score=points)
    assert "score is 10 for an answer, and its interval holds from 0 to 1 only" in poor.decision.verdict
    paid = sent(gateway)
    found = ask(score=scorers.bounded(points, 0, 10))
    decision = found.decision
    assert (decision.decided, decision.names, decision.bounds) == (True, [A], (0, 10))
    assert decision.margin == pytest.approx(0.2)
    assert sent(gateway) == len(found) == 2 * decision.inputs >= paid
    assert "points" not in decision.verdict
    later = found.difference(A, B, "score")
    assert later.anytime
    assert 0 < later.low < later.estimate < later.high <= 10
    plain = ask(score=drawn).decision  # the same scores from 0 to 1 are decided at the same input
    assert (plain.inputs, plain.names) == (decision.inputs, decision.names)


def test_a_scorer_keeps_its_nature_within_bounds(ask: Any) -> None:
    """An async function, one without the row, and a ready scorer are called as they are; the repr says the range."""

    async def awaited(run: Run) -> float:
        return 7.0

    def one(run: Run) -> float:
        return 5.0

    found = ask(inputs=6, until=None, score={
        "async": scorers.bounded(awaited, 0, 10),
        "one": scorers.bounded(scorers.bounded(one, 0, 5), 0, 10),
        "ready": scorers.bounded(scorers.contains("n"), 0, 1),
    }).frame  # fmt: skip
    assert set(found["score_async"]) == {7.0}
    assert set(found["score_one"]) == {5.0}
    assert found["score_ready"].notna().all()
    assert repr(scorers.bounded(one, 0, 10)) == "bounded(one, 0, 10)"
    assert repr(scorers.bounded(scorers.contains("n"), 0, 1)) == "bounded(contains('n'), 0, 1)"
    assert scorers.bounded(one, 0, 10)(found) == 5.0
    with pytest.raises(ConfigurationError, match="needs the column 'wanted'"):
        ask(score=scorers.bounded(scorers.exact("wanted"), 0, 1))
    for low, high in ((1, 1), (0, float("inf")), ("a", 1)):
        with pytest.raises(ConfigurationError, match="the least and the most"):
            scorers.bounded(one, low, high)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="a function of the run"):
        scorers.bounded(3, 0, 1)  # type: ignore[arg-type]


def test_grades_from_1_to_5_are_decided_in_their_own_unit(ask: Any, gateway: LocalGateway) -> None:
    """4 against 2 of 5: decided after the first batch or two, by 2 and not by points, also asked afterwards."""
    gateway.script(
        [
            {"deployment": A, "text": ["Good."]},
            {"deployment": B, "text": ["Bad."]},
            {"prompt": "Good.", "text": ['{"reason": "r", "grade": 4}']},
            {"prompt": "Bad.", "text": ['{"reason": "r", "grade": 2}']},
        ]
    )
    judge = scorers.rubric("How good is it about {{n}}?", judge="openai/gpt-4o-mini", scale=5)
    found = ask(score={"grade": judge}, inputs=60)
    decision = found.decision
    assert (decision.decided, decision.names, decision.bounds) == (True, [A], (1, 5))
    assert decision.margin == pytest.approx(0.08)
    assert f"{B} was dropped: worse than {A} by 2 (" in decision.verdict
    assert "points" not in decision.verdict
    later = found.difference(A, B, "score_grade")
    assert later.anytime
    assert 0 < later.low < later.estimate == pytest.approx(2)
    assert later.high <= 4


def test_equals_on_any_scale_are_rarely_called_different() -> None:
    """Of 100 pairs of equal grades from 1 to 5, looked at after each of 200 inputs, at most 7 ever look different."""
    wrong = 0
    for seed in range(100):
        rng = np.random.default_rng([37, seed])
        gaps = rng.choice([1, 2, 4, 5], 200) - rng.choice([1, 2, 4, 5], 200)
        low, high = confidence_sequence((gaps / 4 + 1) / 2, 0.05)
        wrong += not low <= 0.5 <= high
    assert wrong <= 7


def test_dry_run_says_the_most_it_can_take(ask: Any, gateway: LocalGateway) -> None:
    """Nothing is sent; the figures are a bound, and it says from when on it may be decided."""
    said = repr(ask(dry_run=True))
    assert "At most 600 of 600 calls are to be made" in said
    assert "It may be decided from 20 inputs on." in said
    assert sent(gateway) == 0


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"until": "enough"}, "until must be 'decided'"),
        ({"until": None, "margin": 0.1}, "without it they decide nothing"),
        ({"until": None, "metric": "score"}, "without it they decide nothing"),
        ({"metric": "total_ms"}, "Only scores have bounds"),
        ({"metric": "cost_usd"}, "Only scores have bounds"),
        ({"metric": "scor"}, "Did you mean 'score'"),
        ({"score": {"a": drawn, "b": drawn}}, "several scores.*score_a, score_b"),
        ({"score": None}, "there is no score"),
        ({"margin": 5}, "margin must be a number from 0 to below 1"),
        ({"margin": "small"}, "margin must be a number from 0 to below 1"),
        ({"deployments": [A]}, "nothing to decide"),
        ({"inputs": 5}, "needs 6 or more inputs"),
        ({"live": True}, "without live=True"),
        ({"score": scorers.rubric("Good?", judge="openai/gpt-4o", scale=5), "margin": 4}, "from 0 to below 4"),
        ({"cluster": object()}, "or a cluster"),
    ],
)
def test_what_cannot_be_decided_is_said_before_anything_is_sent(
    ask: Any, gateway: LocalGateway, asked: dict[str, Any], says: str
) -> None:
    """One clear error for each wrong argument."""
    with pytest.raises(ConfigurationError) as told:
        ask(**asked)
    assert pd.Series([str(told.value)]).str.contains(says, regex=True).all(), str(told.value)
    assert sent(gateway) == 0
