"""The Bradley-Terry ranking: known answers, honest intervals, hostile input."""

from __future__ import annotations

import math
import time
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from bifrost_nb import ConfigurationError
from bifrost_nb._statistics.ranking import COLUMNS, MOST_VOTES, ranking, strength_text
from tests.thorough import thorough


def votes(*rows: tuple[str, str, str | None]) -> pd.DataFrame:
    """A frame of votes."""
    return pd.DataFrame(rows, columns=["model_a", "model_b", "winner"])


def test_recovers_known_strengths() -> None:
    """From votes drawn with known strengths the true values lie inside the intervals, in the right order."""
    rng, true = np.random.default_rng(5), {"x": 1.0, "y": 0.0, "z": -1.0}
    rows = []
    for _ in range(150):
        a, b = rng.permutation(list(true))[:2]
        won = rng.random() < 1 / (1 + math.exp(true[b] - true[a]))
        rows.append((str(a), str(b), "model_a" if won else "model_b"))
    table = ranking(votes(*rows)).set_index("model")
    assert list(table.index) == ["x", "y", "z"]
    for name, strength in true.items():
        assert table.loc[name, "low"] < strength < table.loc[name, "high"]
    assert table["votes"].sum() == 300


def test_the_interval_agrees_with_theory() -> None:
    """For two models the width is that of the log-odds of a share: 1.96 / sqrt(n p q), halved for a mean of two."""
    table = ranking(votes(*[("a", "b", "model_a")] * 60, *[("a", "b", "model_b")] * 40)).set_index("model")
    expected = 1.96 / math.sqrt(100 * 0.6 * 0.4) / 2
    half = (table.loc["a", "high"] - table.loc["a", "low"]) / 2
    assert half == pytest.approx(expected, rel=0.03)
    assert table.loc["a", "strength"] == pytest.approx(math.log(60 / 40) / 2, rel=0.03)
    assert table["strength"].sum() == pytest.approx(0, abs=1e-9)


def test_three_wins_of_three_are_not_certainty() -> None:
    """A model that won every one of few votes is ahead, with an interval that still has room for the other."""
    table = ranking(votes(*[("a", "b", "model_a")] * 3)).set_index("model")
    assert 0 < table.loc["a", "strength"] < 3
    assert table.loc["a", "low"] < 0.2
    assert table.loc["a", "high"] > 1.5


def test_one_question_asked_thirty_times_is_one_vote() -> None:
    """Its votes are counted and weigh as one; of thirty questions each counts, and so does one without a name."""
    many = votes(*[("a", "b", "model_a")] * 30)
    one, all_ = (ranking(many.assign(question=asked)) for asked in (["x"] * 30, [f"x{n}" for n in range(30)]))
    assert one["wins"][0] == 30
    assert one["low"][0] < 0 < all_["low"][0]
    once = ranking(votes(*[("a", "b", "model_a")] * 500).assign(question=["x", *map(str, range(499))]))
    assert once["low"][0] > all_["low"][0]
    pd.testing.assert_frame_equal(ranking(many.assign(question=pd.NA)), ranking(many))
    mixed = many[:10].assign(question="x", winner=["model_a"] * 6 + ["model_b"] * 4)
    assert 0 < ranking(mixed)["strength"][0] < ranking(many[:1])["strength"][0]


def test_sides_and_ties() -> None:
    """Which side a model stood on changes nothing; ties alone leave all equal, and are counted."""
    left = ranking(votes(("a", "b", "model_a"), ("a", "b", "tie"), ("a", "b", "model_b")))
    right = ranking(votes(("b", "a", "model_b"), ("b", "a", "tie"), ("b", "a", "model_a")), models=["a", "b"])
    pd.testing.assert_frame_equal(left, right, rtol=1e-5)
    assert left["ties"].tolist() == [1, 1]
    assert left["strength"].tolist() == pytest.approx([0, 0], abs=1e-6)


def test_ties_are_no_noise() -> None:
    """12 wins, a loss and 27 ties say who is better, which 25 wins and 15 losses of the same strength do not."""
    tied, none = (
        ranking(votes(*[("a", "b", winner) for winner, count in told.items() for _ in range(count)])).set_index("model")
        for told in ({"model_a": 12, "model_b": 1, "tie": 27}, {"model_a": 25, "model_b": 15})
    )
    assert tied.loc["a", "low"] > 0 > none.loc["a", "low"]
    assert tied.loc["a", "strength"] == pytest.approx(0.28, abs=0.01)
    alone = ranking(votes(*[("a", "b", "tie")] * 3)).set_index("model")
    assert alone.loc["a", "high"] > 0.5  # three ties do not say that there will be nothing else


@pytest.mark.parametrize("share", [0.6, *thorough(0.5)])
def test_intervals_of_tied_votes_hold_the_truth(share: float) -> None:
    """By votes of a planted strength, 70 % of them ties: intervals hold it, and leave 0 out where it is not 0."""
    rng, trials = np.random.default_rng(8), 100
    true, held, found = math.log(share / (1 - share)) / 2, 0, 0
    for _ in range(trials):
        drawn = rng.choice(["model_a", "tie", "model_b"], size=40, p=[share - 0.35, 0.7, 0.65 - share])
        cast = votes(*[("a", "b", str(winner)) for winner in drawn for _ in range(2)])  # both of one question: as one
        row = ranking(cast.assign(question=[str(place // 2) for place in range(80)])).set_index("model").loc["a"]
        held += row["low"] <= true <= row["high"]
        found += not row["low"] <= 0 <= row["high"]
    assert held >= 90  # 95 less two standard errors
    assert found >= 50 if share > 0.5 else found <= 10


def test_votes_that_hang_on_the_order_are_no_sign_of_equality() -> None:
    """Forty contradictions say as little as no vote; beside votes that were settled the interval has room for both."""
    tied = votes(*[("a", "b", "tie")] * 40)
    unsure, equal, none = ranking(tied.assign(unsettled=True)), ranking(tied), ranking(tied[:0], ["a", "b"])
    assert none["low"].isna().all()
    assert equal["high"][0] < 0.2
    assert unsure["high"][0] == pytest.approx(1.96 * math.sqrt(2), rel=0.01)  # the prior's
    assert unsure["strength"].tolist() == equal["strength"].tolist()
    settled = votes(*[("a", "b", "model_a")] * 12, ("a", "b", "model_b"))
    both = pd.concat([settled.assign(unsettled=False), tied[:27].assign(unsettled=True)], ignore_index=True)
    found, alone, cautious = (ranking(one).iloc[0] for one in (both, settled, both.drop(columns="unsettled")))
    assert found["low"] == cautious["low"] > 0
    assert found["high"] == alone["high"] > cautious["high"]


def test_votes_on_one_question_are_not_independent() -> None:
    """Of five equal models, whose answers each beat all that are poorer, 95 % of the intervals have 0 in them."""
    rng, names, held = np.random.default_rng(3), list("abcde"), 0
    for _ in range(60):
        rows = [
            (a, b, "model_a" if quality[a] > quality[b] else "model_b", str(question))
            for question in range(25)
            for quality in [dict(zip(names, rng.random(5), strict=True))]
            for a, b in combinations(names, 2)
        ]
        cast = pd.DataFrame(rows * 2, columns=["model_a", "model_b", "winner", "question"])  # twice: fitted at once
        table = ranking(cast)
        held += int(((table["low"] <= 0) & (table["high"] >= 0)).sum())
    assert held >= 0.92 * 300
    one = ranking(cast[:10])
    assert (one["low"] < 0).all(), "of one question nothing is known of others"


def test_no_votes_no_numbers() -> None:
    """Without votes types stay and strengths are NA; among others a model without a vote is the least sure."""
    empty, full = ranking(votes(), models=["a", "b"]), ranking(votes(("a", "b", "tie")), models=["a", "b", "c"])
    assert tuple(empty.columns) == COLUMNS
    assert (empty.dtypes == full.dtypes).all()
    assert empty["strength"].isna().all()
    assert (full["high"] - full["low"]).idxmax() == full.index[full["model"] == "c"][0]
    assert ranking(votes(("a", "b", None)), models=["a", "b"])["votes"].tolist() == [0, 0]


@pytest.mark.parametrize("wrong", [("a", "b", "a"), ("a", "a", "tie")])
def test_wrong_votes(wrong: tuple[str, str, str]) -> None:
    """A winner that is no side, and a vote of a model against itself, are named."""
    with pytest.raises(ConfigurationError, match="'a'"):
        ranking(votes(wrong))
    with pytest.raises(ConfigurationError, match="winner"):
        ranking(pd.DataFrame({"model_a": ["a"], "model_b": ["b"]}))


def test_the_same_votes_give_the_same_numbers() -> None:
    """The ranking is a function of the votes: twice the same, and numpy's global generator is left as it was."""
    cast = votes(*[("a", "b", "model_a")] * 5, ("b", "c", "tie"), ("c", "a", "model_a"))
    np.random.seed(7)
    expected = np.random.random()
    np.random.seed(7)
    first = ranking(cast)
    assert np.random.random() == expected
    pd.testing.assert_frame_equal(first, ranking(cast), check_exact=True)


def test_many_votes_are_ranked_at_once_and_alike() -> None:
    """Both fits of the posterior agree within 2 % where one gives way to the other; 12,000 votes take no second."""
    rng, strength = np.random.default_rng(2), {"a": 0.8, "b": 0.2, "c": -1.0}
    pairs = [(a, b) for a in strength for b in strength if a < b]
    rows = [
        (a, b, "model_a" if rng.random() < 1 / (1 + np.exp(strength[b] - strength[a])) else "model_b")
        for a, b in (pairs[n % 3] for n in range(12_000))
    ]
    few, more = ranking(votes(*rows[:MOST_VOTES])), ranking(votes(*rows[: MOST_VOTES + 1]))
    for column in ("strength", "low", "high"):
        np.testing.assert_allclose(few[column].to_numpy("float64"), more[column].to_numpy("float64"), atol=0.03)
    began = time.perf_counter()
    all_of_them = ranking(votes(*rows))
    assert time.perf_counter() - began < 2
    assert all_of_them["model"].tolist() == ["a", "b", "c"]
    sure = ranking(votes(*[("a", "b", "model_a")] * 1000))
    assert 3 < sure["strength"].iloc[0] < 20
    assert sure["low"].iloc[0] > 0


def test_a_tie_is_no_negative_strength() -> None:
    """Equals are +0.00, whatever the last digits say; one without votes has no strength to tell."""
    table = ranking(votes(("a", "b", "model_a"), ("a", "b", "model_b"), ("a", "b", "tie")))
    said = [strength_text(row) for row in table.astype("object").itertuples(index=False)]
    assert all(one is not None and one.startswith("+0.00 (") for one in said)
    empty = ranking(votes(("a", "b", None)), ["a", "b"])
    assert {strength_text(row) for row in empty.astype("object").itertuples(index=False)} == {None}
