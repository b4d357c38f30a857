"""All pairs at once with Holm's correction, who is best, and how many inputs a score needs: planted truths."""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from bifrost_nb import ConfigurationError, difference
from bifrost_nb._compare.multiple_comparisons import best, differences, holm
from bifrost_nb._statistics.intervals import mean_p_value
from tests.thorough import thorough

from .frames import calls, frame


def scored(**shares: np.ndarray) -> pd.DataFrame:
    """One deployment for each name, with a score for each input, a cost and a time."""
    rows = [
        run
        for place, (name, values) in enumerate(shares.items(), 1)
        for run in calls(f"azure/{name}", np.full(len(values), 100.0 * place), cost_usd=0.001 * place)
    ]
    table = frame(rows)
    table["score"] = pd.array(np.concatenate(list(shares.values())).astype(float), dtype="Float64")
    return table


def test_holm_by_hand() -> None:
    """Smallest times the number of tests, then ever one fewer, never falling; what was not tested counts as no test."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    found = holm([0.02, math.nan, 0.03])
    assert found[0] == found[2] == pytest.approx(0.04)
    assert math.isnan(found[1])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_six_equal_variants_are_rarely_called_different() -> None:
    """Of six equals (15 pairs) any is called different in at most 7 of 100 comparisons; uncorrected, in some 40."""
    wrong = uncorrected = 0
    for seed in range(100):
        rng = np.random.default_rng([21, seed])
        hard = rng.beta(2, 2, 100)  # an input is as hard for all
        scores = [(rng.random(100) < hard).astype(float) for _ in range(6)]
        p_values = [mean_p_value(a - b, seed, binary=True) for a, b in combinations(scores, 2)]
        uncorrected += min(p_values) <= 0.05
        wrong += min(holm(p_values)) <= 0.05
    assert wrong <= 7
    assert uncorrected > 14  # the trial can tell


def test_equal_is_corrected_for_the_number_of_pairs() -> None:
    """Two of four are slower by the margin itself: a pair that its own interval calls equal is not called so here.

    Of 100 such comparisons 9 called one of these pairs equal, of six variants 17; 3 do.
    """
    rng = np.random.default_rng([54, 42])
    means = {"a": 1000, "b": 1000, "c": 1100, "d": 1100}
    table = frame(
        [run for name, mean in means.items() for run in calls(f"azure/{name}", mean + rng.normal(0, 200, 100))]
    )
    assert difference(table, "azure/b", "azure/c").outcome == "equal", "the sample is one that looks so"
    found = differences(table, "total_ms").set_index(["a", "b"])
    assert found["outcome"].tolist() == ["unsure", "a", "a", "unsure", "a", "equal"]
    assert "as that of one pair; corrected for all 6 it is not" in found.loc[("azure/b", "azure/c"), "verdict"]
    assert found.loc[("azure/c", "azure/d"), "outcome"] == "equal"


def test_a_table_of_pairs_calls_by_the_corrected_p_values() -> None:
    """A pair that would be called alone (p = 0.03) is not called among six pairs."""
    right = np.zeros(60)
    once = right.copy()
    once[:6] = 1.0
    table = differences(scored(a=once, b=right, c=right, d=right), "score")
    assert len(table) == 6
    assert table["p_adjusted"].tolist() == pytest.approx(holm(table["p_value"].tolist()))
    assert table.loc[0, "p_value"] == pytest.approx(2 * 0.5**6)
    assert table["winner"].isna().all()
    assert "corrected for all pairs p is" in table.loc[0, "verdict"]
    assert differences(scored(a=once, b=right), "score").loc[0, "winner"] == "azure/a"


@pytest.mark.parametrize("inputs", [2, *thorough(1, 20)])
@pytest.mark.parametrize("metric", ["score", "cost_usd", "total_tokens", "total_ms"])
def test_one_input_that_differs_says_nothing(inputs: int, metric: str) -> None:
    """Of each metric: a single input on which two differ, alone or among equal ones, is a verdict of no kind."""
    table = scored(a=np.full(inputs, 0.5), b=np.full(inputs, 0.5))
    table["total_tokens"] = pd.array([20] * len(table), dtype="Int64")
    table["total_ms"], table["cost_usd"] = pd.array([100.0] * len(table)), pd.array([0.001] * len(table))
    table.loc[0, metric] = table.loc[0, metric] * 2
    found = difference(table, "azure/a", "azure/b", metric)
    assert (found.n, found.winner) == (inputs, None)
    assert found.p_value is not None
    assert found.p_value >= 0.5  # of a median between two inputs; else 1
    assert differences(table, metric)["winner"].isna().all()


def test_differences_against_a_baseline() -> None:
    """Each other name against the one given, in the documented columns; a mistyped one is answered with the right."""
    right = np.tile([1.0, 1.0, 1.0, 0.0], 25)
    table = scored(large=np.ones(100), small=right, other=right)
    found = differences(table, "score", baseline="azure/small")
    assert found[["a", "b"]].to_numpy().tolist() == [["azure/large", "azure/small"], ["azure/other", "azure/small"]]
    assert found["winner"].fillna("").tolist() == ["azure/large", ""]
    assert found.loc[0, ["estimate", "better", "worse", "same", "n"]].tolist() == [0.25, 25, 0, 75, 100]
    assert str(found["p_adjusted"].dtype) == "Float64"
    with pytest.raises(ConfigurationError, match="azure/smal") as told:
        differences(table, "score", baseline="azure/smal")
    assert "azure/small" in str(told.value)
    with pytest.raises(ConfigurationError, match="only azure/large"):
        differences(scored(large=np.ones(8)), "score")


def test_best_is_a_set_within_limits() -> None:
    """Leader and those not told from it stay; the worse is out and says so; limits take the leader out."""
    rng = np.random.default_rng(5)
    good, bad = rng.random(100) < 0.9, rng.random(100) < 0.4
    twin = np.roll(good, 3)
    twin[np.flatnonzero(twin)[0]] = False
    table = scored(bad=bad, twin=twin, good=good)
    found = best(table, "score", {})
    assert sorted(found.names) == ["azure/good", "azure/twin"]
    assert found.out == {"azure/bad": f"is worse than {found.names[0]}"}
    assert "cannot be told from it" in found.verdict
    assert found.verdict in found._repr_html_()
    cheap = best(table, "score", {"cost_usd_per_1000": 2.5})
    assert cheap.names == ["azure/twin"]
    assert "azure/good takes $3.00 per 1,000 runs, above $2.50" in cheap.verdict
    assert best(table, "score", {"p95_ms": 150.0}).names == ["azure/bad"]
    nobody = best(table, "score", {"p50_ms": 50.0})
    assert nobody.names == []
    assert nobody.verdict.startswith("Nobody leads in score: ")
    assert "above 50" in nobody.verdict
    unjudged = best(table.assign(score=pd.array([None] * len(table), dtype="Float64")), "score", {})
    assert unjudged.verdict == "Nobody leads in score: azure/bad, azure/twin, azure/good: each has no score."
    assert best(table.iloc[:0], "score", {}).verdict == "Nobody leads in score: there are no runs."


def test_a_verdict_over_many_is_short() -> None:
    """A reason stands once with who has it, of many the first; who they all are is in `names` and `out`."""
    rng = np.random.default_rng(5)
    good = rng.random(200) < 0.9
    right = np.flatnonzero(good)
    twins = {f"twin{place}": np.where(np.isin(np.arange(200), right[:place]), 0, good) for place in range(6)}
    found = best(scored(**twins, bad=rng.random(200) < 0.2, worse=rng.random(200) < 0.1), "score", {})
    assert len(found.names) == 6
    leader, *others = found.names
    assert f"{', '.join(others[:3])} and 2 more cannot be told from it" in found.verdict
    assert found.verdict.endswith(f"Out: azure/bad, azure/worse: each is worse than {leader}.")
    assert set(found.out) == {"azure/bad", "azure/worse"}


def test_best_needs_what_it_limits() -> None:
    """A name whose cost is unknown does not pass a limit of cost, one without a score is not best."""
    table = scored(a=np.ones(20), b=np.zeros(20))
    table.loc[table["requested_model"] == "a", "cost_usd"] = pd.NA
    assert best(table, "score", {"cost_usd_per_1000": 9.0}).out == {"azure/a": "has no known cost"}
    table.loc[table["requested_model"] == "b", "score"] = pd.NA
    found = best(table, "score", {})
    assert found.names == ["azure/a"]
    assert found.out == {"azure/b": "has no score"}
    with pytest.raises(ConfigurationError, match="scor"):
        best(table, "scor", {})


def test_none_leads_of_equal_figures() -> None:
    """Who has the very figure of another does not lead before it, also where the sums differ in their last digit."""
    third = np.tile([0.1, 0.2, 0.3], 10)
    found = best(scored(one=third, two=third[::-1], three=third - 0.001), "score", {})
    first, second = found.names[0], *found.level
    assert {first, second} == {"azure/one", "azure/two"}
    assert found.verdict == (
        f"{first} and {second} have the same figure in score, and none leads; azure/three cannot be told from them."
    )
    every = best(scored(**{name: np.ones(8) for name in "abcde"}), "score", {})
    assert every.verdict == "azure/a, azure/b, azure/c and 2 more have the same figure in score, and none leads."
    alone = best(scored(a=np.ones(40), b=np.zeros(40)), "score", {})
    assert (alone.level, alone.verdict.startswith("azure/a leads in score")) == ([], True)
    assert best(scored(a=np.ones(8)), "score", {"p50_ms": 1.0}).level == []


def test_a_scale_of_its_own_has_no_margin_of_the_house() -> None:
    """0.02 is one of scores from 0 to 1: of grades from 1 to 4 no number of inputs is told without a margin."""
    rng = np.random.default_rng(3)
    grades = {name: rng.integers(1, 5, 40).astype(float) for name in "ab"}
    found = difference(scored(**grades), "azure/a", "azure/b", "score")
    assert (found.outcome, found.needed) == ("unsure", None)
    assert "needed" not in found.verdict
    told = difference(scored(**grades), "azure/a", "azure/b", "score", margin=0.2).needed
    assert told is not None
    assert 400 < told < 1_000  # 2.5 * (3.24 / 0.2) ** 2 = 656
    shares = {name: (values - 1) / 3 for name, values in grades.items()}
    assert difference(scored(**shares), "azure/a", "azure/b", "score").needed is not None


@pytest.mark.thorough
def test_the_number_of_inputs_a_score_needs_is_enough() -> None:
    """A prompt better by the margin on as many inputs as were named gets a verdict in at least 4 of 5."""

    def trial(seed: int, inputs: int, better: float, worse: float) -> tuple[str, int | None]:
        rng = np.random.default_rng([23, seed])
        u, b = rng.random(inputs), (rng.random(inputs) < 0.6).astype(float)
        won, lost = u < better, (u >= better) & (u < better + worse)
        a, b = np.where(won, 1.0, np.where(lost, 0.0, b)), np.where(won, 0.0, np.where(lost, 1.0, b))
        found = difference(scored(a=a, b=b), "azure/a", "azure/b", "score", margin=0.10, seed=seed)
        return found.outcome, found.needed

    named = [needed for seed in range(10) if (needed := trial(seed, 40, 0.10, 0.10)[1])]
    needed = int(np.median(named))
    assert 150 < needed < 300  # 0.2 * (3.24 / 0.10) ** 2 = 210
    outcomes = Counter(trial(seed, needed, 0.15, 0.05)[0] for seed in range(25))
    assert outcomes["a"] >= 20


def test_better_on_one_topic_only_shows_there() -> None:
    """A deployment better on one topic wins among its rows and is not called better on the other's."""
    rng = np.random.default_rng(8)
    topic = np.tile(["law", "sport"], 60)
    b = (rng.random(120) < 0.5).astype(float)
    a = np.where((topic == "law") & (rng.random(120) < 0.8), 1.0, b)
    table = scored(a=a, b=b)
    table["input_topic"] = np.tile(topic, 2)
    outcomes = {
        name: difference(part, "azure/a", "azure/b", "score").outcome for name, part in table.groupby("input_topic")
    }
    assert outcomes["law"] == "a"
    assert outcomes["sport"] not in ("a", "b")
    means = table.groupby(["requested_model", "input_topic"])["score"].mean()
    assert means["a", "law"] > means["b", "law"] + 0.2


def lacking(table: pd.DataFrame, name: str, inputs: range) -> pd.DataFrame:
    """`table` where the deployment answered only `inputs`."""
    place = table["prompt_id"].str.removeprefix("p").astype(int)
    lost = (table["requested_model"] == name) & ~place.isin(inputs)
    table.loc[lost, "status"] = "error"
    table.loc[lost, ["score", "total_ms", "cost_usd"]] = pd.NA
    return table


def test_who_fails_on_what_is_hard_does_not_lead() -> None:
    """Worse on each input that both answered is worse, however much better the mean of the easy ones looks."""
    easy = np.arange(100) < 40
    table = lacking(scored(picky=np.where(easy, 0.8, 0.0), whole=np.where(easy, 0.95, 0.5)), "picky", range(40))
    found = best(table, "score", {})
    assert found.names == ["azure/whole"]
    assert found.out == {"azure/picky": "is worse than azure/whole"}


@pytest.mark.parametrize("metric", ["score", "cost_usd", "total_ms"])
def test_equals_on_what_both_answered_are_not_ranked_by_the_rest(metric: str) -> None:
    """The figure that decides who is named first is of the inputs that all answered, and what is missing is said."""
    easy = np.arange(60) < 20
    both = np.where(easy, 1.0, 0.0)
    table = scored(whole=both, picky=both)
    table["cost_usd"] = table["total_ms"] = np.tile(np.where(easy, 1.0, 9.0), 2)
    table[["cost_usd", "total_ms"]] = table[["cost_usd", "total_ms"]].astype("Float64")
    found = best(lacking(table, "picky", range(20)), metric, {})
    assert found.names == ["azure/whole", "azure/picky"]
    assert "azure/picky did not answer 40 of 60" in found.verdict
    assert best(table.assign(status="ok"), metric, {}).partial == {}


def test_no_leader_is_beaten_by_one_that_it_is_set_above() -> None:
    """Where three share no input, the one that none beats leads."""
    table = scored(a=np.full(90, 0.8), b=np.full(90, 0.6), c=np.full(90, 0.7))
    deployment, place = table["requested_model"], table["prompt_id"].str.removeprefix("p").astype(int)
    table.loc[(deployment == "b") & (place < 30), "score"] = 0.9  # b is above a where both answered
    for name, known in (("a", range(30)), ("b", range(60)), ("c", range(40, 90))):
        table = lacking(table, name, known)
    found = best(table, "score", {})
    assert found.names[0] != "azure/a"
    won = found.differences.dropna(subset="winner")
    assert len(won)
    assert not [one for one in won.itertuples() if found.names[0] in (one.a, one.b) and one.winner != found.names[0]]


@pytest.mark.parametrize(
    ("by", "message"),
    [("deployments", "by must be 'variant', 'deployment' or 'template'"), ("template", "There are no two templates.")],
)
def test_what_cannot_be_compared_is_told(by: str, message: str) -> None:
    """`best` and `differences` read `by` as `difference` does: a KeyError, and a list of nobody's reasons, before."""
    table = scored(a=np.ones(8), b=np.zeros(8))
    for ask in (lambda: best(table, "score", {}, by=by), lambda: differences(table, "score", by=by)):  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError) as caught:
            ask()
        assert message in str(caught.value)
