"""How far judges agree: known tables, planted truths, votes, and a card that is safe to show."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bifrost_nb import Client, ConfigurationError, LocalGateway, scorers
from bifrost_nb._compare.agreement import agreement
from bifrost_nb._compare.compare import compare
from bifrost_nb._compare.comparison import Comparison
from tests.thorough import thorough

A, B = "azure/gpt-35-turbo-instruct", "openai/gpt-3.5-turbo-instruct"
JUDGE = "openai/gpt-4o-mini"


def frame(first: Any, second: Any, inputs: Any = None) -> pd.DataFrame:
    size = len(first)
    return pd.DataFrame(
        {
            "run_id": [f"r{n}" for n in range(size)],
            "prompt_id": [str(n) for n in (range(size) if inputs is None else inputs)],
            "prompt": ["p"] * size,
            "response": [f"answer {n}" for n in range(size)],
            "score": pd.array(first, dtype="Float64"),
            "rating": pd.array(second, dtype="string"),
        }
    )


def test_a_known_table_has_the_known_kappa() -> None:
    """Cohen's example of 50 grants: 35 of 50 alike, kappa 0.4; the confusion and the disagreements add up."""
    scores = [1] * 20 + [1] * 5 + [0] * 10 + [0] * 15
    thumbs = ["up"] * 20 + ["down"] * 5 + ["up"] * 10 + ["down"] * 15
    found = agreement(frame(scores, thumbs), "score", "rating")
    assert (found.n, found.share, found.kappa) == (50, 0.7, pytest.approx(0.4))
    assert found.low < 0.4 < found.high
    assert found.confusion.to_numpy().tolist() == [[15, 10], [5, 20]]
    assert len(found.disagreements) == 15
    assert found.disagreements.columns[:4].tolist() == ["prompt", "response", "score", "rating"]
    assert "35 of 50 answers (70%)" in found.verdict
    assert "Beyond chance, agreement is slight to substantial: kappa = 0.40 (95% interval 0." in repr(found)


def test_edges_of_kappa() -> None:
    """All alike is 1 and not certain, one value alone has no kappa, few inputs no interval, nothing is a sentence."""
    alike = agreement(frame([1, 0] * 5, ["up", "down"] * 5), "score", "rating")
    assert (alike.kappa, alike.high, alike.disagreements.empty) == (1, 1, True)
    assert alike.low == pytest.approx(1 - (1 - 0.025**0.1) / 0.5)  # of ten without a mistake three in ten are possible
    one = agreement(frame([1] * 9, ["up"] * 9), "score", "rating")
    assert np.isnan([one.kappa, one.low, one.high]).all()
    assert "one value is all" in one.verdict
    few = agreement(frame([1, 0, 1], ["up", "down", "down"]), "score", "rating")
    assert np.isnan(few.low)
    assert few.verdict.endswith("; kappa = 0.40. Too few inputs for an interval.")
    none = agreement(frame([1, None], [None, "up"]), "score", "rating")
    assert (none.n, none.left_out) == (0, {"judged by one alone": 2})
    assert "Nothing was judged both" in none.verdict
    assert "<table" not in none._repr_html_()
    assert "↓" not in repr(none)
    for found in (alike, one, few, none):
        assert found.verdict.split(";")[0][:20] in found._repr_html_()


def test_weights_and_thresholds() -> None:
    """Weighted kappa forgives near misses, as published for ordered scales; a measurement needs a threshold."""
    table = frame([1, 2, 3, 4, 5, 1, 2, 3, 4, 5], ["up"] * 10)
    table["score_other"] = pd.array([1, 2, 3, 4, 5, 2, 3, 4, 5, 4], dtype="Float64")
    plain = agreement(table, "score", "score_other")
    squared = agreement(table, "score", "score_other", weights="quadratic")
    assert plain.kappa == pytest.approx(0.375)
    assert squared.kappa == pytest.approx(1 - 5 / 41.5 * 1, abs=0.05)
    assert plain.kappa < agreement(table, "score", "score_other", weights="linear").kappa < squared.kappa
    fine = frame(np.linspace(0, 1, 40), ["down"] * 20 + ["up"] * 20)
    with pytest.raises(ConfigurationError, match="different values") as caught:
        agreement(fine, "score", "rating")
    assert "threshold" in str(caught.value)
    assert agreement(fine, "score", "rating", threshold=0.5).kappa == 1
    for wrong in (("score", "nothing"), ("nothing", "rating")):
        with pytest.raises(ConfigurationError, match="no column"):
            agreement(fine, *wrong)
    with pytest.raises(ConfigurationError, match="weights"):
        agreement(fine, "score", "rating", weights="cubic")  # type: ignore[arg-type]


def test_intervals_hold_the_planted_kappa_and_repeats_do_not_narrow_them() -> None:
    """Of 100 seeded judges that agree in 80 of 100 (kappa 0.6), 90 or more intervals hold 0.6 at n = 60; five repeats
    of each input that say the same make no interval narrower."""
    rng, held = np.random.default_rng(3), 0
    for _ in range(100):
        truth = rng.random(60) < 0.5
        judge = np.where(rng.random(60) < 0.8, truth, ~truth)
        thumbs = np.where(truth, "up", "down")
        once = agreement(frame(judge.astype(float), thumbs), "score", "rating")
        held += once.low <= 0.6 <= once.high
    assert held >= 90
    again = frame(np.repeat(judge.astype(float), 5), np.repeat(thumbs, 5), np.repeat(np.arange(60), 5))
    five = agreement(again, "score", "rating")
    assert (five.low, five.high) == (pytest.approx(once.low), pytest.approx(once.high))


@pytest.mark.parametrize(("inputs", "kappa", "most"), [(20, 0.9, 1.0), *thorough((20, 0.6, 1.0), (40, 0.8, 0.99))])
def test_intervals_hold_the_kappa_of_a_judge_that_is_good(inputs: int, kappa: float, most: float) -> None:
    """At 20 and 40 inputs 91 to 99 of 100 (93 to 97, and luck; near 1 few tables are possible, so more hold it).

    Plain percentiles hold a kappa of 0.9 at 20 inputs in 65, since two judges that agreed on all have no width there.
    """
    rng, trials = np.random.default_rng(29), 100
    held = 0
    for _ in range(trials):
        truth = rng.random(inputs) < 0.5
        judge = np.where(rng.random(inputs) < (1 + kappa) / 2, truth, ~truth)
        found = agreement(frame(judge.astype(float), np.where(truth, "up", "down")), "score", "rating")
        held += not found.low > kappa + 1e-9 and not found.high < kappa - 1e-9
    assert 0.9 * trials <= held <= most * trials


def test_intervals_hold_the_kappa_of_a_rare_value() -> None:
    """Nine in ten are right; a judge repeats 4 of 10 verdicts and guesses the rest: kappa 0.4 was held in 58 of 100.

    Where one judge says the same of all 20, the interval was from 0 to 0.01.
    """
    rng, held = np.random.default_rng(31), 0
    for _ in range(30):
        truth = rng.random(20) < 0.9
        judge = np.where(rng.random(20) < 0.4, truth, rng.random(20) < 0.9)
        found = agreement(frame(judge.astype(float), np.where(truth, "up", "down")), "score", "rating")
        held += not found.low > 0.4 and not found.high < 0.4
    assert held >= 27
    same = agreement(frame([1] * 20, ["up", "down"] * 10), "score", "rating")
    assert (same.kappa, same.low) == (0, pytest.approx(0, abs=0.01))
    assert same.high > 0.2


def test_words_hold_at_the_ends() -> None:
    """999 of 1,000 are not all; who agrees never is not "no better than by chance" but worse."""
    nearly = agreement(frame([1] * 500 + [0] * 500, ["up"] * 501 + ["down"] * 499), "score", "rating")
    assert "999 of 1,000 answers (99.90%)" in nearly.verdict
    assert "99.90%" in nearly._repr_html_()
    never = agreement(frame([1, 0] * 10, ["down", "up"] * 10), "score", "rating").verdict
    assert never.endswith("They agree less often than by chance: one may mean by a value what the other denies.")


@pytest.fixture
def comparison(client: Client, gateway: LocalGateway) -> Comparison:
    """Ten inputs; the judge prefers A's answers but for the last two, and grades accordingly."""
    rules: list[dict[str, Any]] = []
    for n in range(10):
        rules += [{"deployment": who, "prompt": f"topic {n}!", "text": [f"{who[0]} on {n}"]} for who in (A, B)]
        better = "a" if n < 8 else "o"
        grade = [json.dumps({"reason": "<i>r</i>", "grade": "yes"})]
        rules += [{"deployment": JUDGE, "prompt": f"{better} on {n}\n", "text": grade}]
    rules += [{"deployment": JUDGE, "text": [json.dumps({"reason": "r", "grade": "no"})]}]
    gateway.script(rules)
    return compare([A, B], "About topic {{n}}!", inputs={"n": range(10)}, client=client, stream=False)


def test_scores_against_blind_votes(comparison: Comparison) -> None:
    """A vote prefers one of two answers; the score with the higher value agrees or not. Skipped pairs are left out."""
    comparison.score(grade=scorers.rubric("Good?", judge=JUDGE))
    ballots = comparison.vote(seed=1).state
    while (ballot := ballots.current) is not None:
        number = int(ballot.prompt.removeprefix("About topic ").rstrip("!"))
        if number == 0:
            ballots.choose("skip")
        else:  # this voter always prefers A
            ballots.choose("1" if ballot.model_a == A else "2")
    found = comparison.agreement("score_grade", "rating")
    assert (found.n, found.unit, found.share) == (9, "pairs", pytest.approx(7 / 9))
    assert len(found.disagreements) == 2
    assert set(found.disagreements["prompt"]) == {"About topic 8!", "About topic 9!"}
    assert comparison.agreement("rating", "score_grade").share == found.share


def test_a_judges_pairs_against_votes(comparison: Comparison, gateway: LocalGateway) -> None:
    """The same pairs with the sides in any order are found by their runs; what only one judged is left out."""
    gateway.script([{"deployment": JUDGE, "text": [json.dumps({"reason": "r", "better": "tie"})]}])
    judgement = comparison.judge("Which?", judge=JUDGE)
    vote = comparison.vote(seed=2, limit=8)
    choices = iter(["tie", "tie", "1", "2", "skip", "tie", "tie", "tie"])
    while vote.state.current is not None:
        vote.state.choose(next(choices))  # type: ignore[arg-type]
    for second in (vote, vote.frame):
        found = comparison.agreement(judgement, second)
        assert (found.n, found.share) == (7, pytest.approx(5 / 7))
        assert found.left_out == {"pairs judged by one alone": 3}
    swapped = judgement.frame.rename(columns={"run_a": "run_b", "run_b": "run_a"})
    swapped["winner"] = "model_a"
    straight = judgement.frame.assign(winner="model_b")
    judgement.frame = swapped
    assert comparison.agreement(judgement, straight).share == 1
    with pytest.raises(ConfigurationError, match="column with a column"):
        comparison.agreement(judgement, "rating")


def test_votes_on_repeats_meet_the_judges_pairs(client: Client, gateway: LocalGateway) -> None:
    """With three repeats a ballot shows the same repeat of both, so every vote has its pair among the judge's."""
    rules = [{"deployment": who, "nth": n, "text": [f"{who[:2]} {n}"]} for who in (A, B) for n in range(1, 31)]
    gateway.script([{"deployment": JUDGE, "text": [json.dumps({"reason": "r", "better": "tie"})]}, *rules])
    comparison = compare([A, B], "About {{n}}", inputs={"n": range(4)}, repeats=3, client=client, stream=False)
    judgement = comparison.judge("Which?", judge=JUDGE)
    vote = comparison.vote(seed=3)
    while vote.state.current is not None:
        vote.state.choose("tie")
    found = comparison.agreement(judgement, vote)
    assert (found.n, found.share) == (4, 1)


def test_the_card_is_safe_and_says_what_counts() -> None:
    """Hostile texts are escaped; the card has share, kappa with its interval, counts and the first disagreements."""
    table = frame([1, 0] * 10, ["up", "up"] * 10)
    table["response"] = "<script>alert(1)</script>\x1b[2J"
    shown = agreement(table, "score", "rating")._repr_html_()
    assert "<script>" not in shown
    assert "\x1b" not in shown
    for part in ("50%", "kappa", "10 disagreements", "style=", ">0</span>", ">1</span>"):  # ends of its line
        assert part in shown
    assert "prefers-color-scheme" not in shown
    assert "color:#" not in shown.replace("background:#", ""), "text has the page's colour, on light and dark ground"
