"""Frames in which one run stands several times: it is counted, and paid, once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import bifrost_nb as bf
from bifrost_nb import Client, ConfigurationError
from bifrost_nb._compare.compare import compare
from tests.compare.frames import calls, frame, times

A, B, C = "azure/fast", "azure/large", "azure/gpt-35-turbo-instruct"
WHAT = {"what": ["owl", "oak", "sea", "hat", "pen", "cup"]}


def ask(client: Client, deployments: Any = (A, B), **asked: Any) -> bf.Comparison:
    given = {"prompt": "Name a {{what}}.", "inputs": WHAT, "max_tokens": 2, "client": client, "stream": False}
    return compare(list(deployments), **{**given, **asked})


def planted(**facts: Any) -> pd.DataFrame:
    """Two deployments on twelve inputs, with ids of their runs."""
    rows = calls(A, times(1, 12), cost_usd=1.0, **facts) + calls(B, times(1, 12, of=1), cost_usd=2.0, **facts)
    return frame([{**row, "run_id": f"r{number}"} for number, row in enumerate(rows)])


def test_comparisons_that_share_answers_are_one_frame(client: Client) -> None:
    """An edited comparison takes answers of the first: in a frame of both they are counted once, with all scores."""
    first = ask(client, score={"short": lambda run: len(run.text) < 9})
    more = ask(client, (A, B, C), score={"even": lambda run: len(run.text) % 2})
    client.wait_costs([*first.runs, *more.runs])
    both = pd.concat([first.frame, more.frame, client.log.frame()])
    assert len(both) == 12 + 18 + 18
    found, alone = bf.summary(both), more.summary()
    assert found["runs"].tolist() == [6, 6, 6]
    assert found["cost_usd_total"].tolist() == alone["cost_usd_total"].tolist()
    assert found["score_even_mean"].tolist() == alone["score_even_mean"].tolist()
    assert found["score_short_mean"].tolist()[:2] == first.summary()["score_short_mean"].tolist()
    for metric, one in (("total_ms", first), ("score_short", first), ("score_even", more)):
        shared = bf.difference(both, A, B, metric)
        assert (shared.estimate, shared.n, shared.excluded) == (one.difference(A, B, metric).estimate, 6, {})
    assert bf.gate(both, A, error_rate=0.9).checks[0].n == 6


def test_an_answer_beside_a_corrected_row_is_one_run(client: Client) -> None:
    """A column that nothing used, corrected: the same answers stand under two inputs, and still pair with others."""
    first = ask(client, inputs={**WHAT, "expected": list("abcdef")})
    more = ask(client, (A, C), inputs={**WHAT, "expected": list("ghijkl")})
    both = pd.concat([first.frame, more.frame])
    assert bf.summary(both)["runs"].tolist() == [6, 6, 6]
    assert bf.difference(both, A, C, "total_tokens").n == 6
    assert bf.difference(both, A, B, "total_tokens").n == 6


def test_a_template_that_got_a_name_is_the_same_run(client: Client) -> None:
    """By deployment its runs are counted once; by variant each has a name of its own, as named settings have."""
    first, named = ask(client), ask(client, prompt={"plain": "Name a {{what}}."})
    both = pd.concat([first.frame, named.frame])
    assert bf.summary(both)["runs"].tolist() == [6, 6]
    assert bf.summary(both, by="variant")["runs"].tolist() == [6] * 4


def test_rows_of_one_run_fill_each_other_in() -> None:
    """What was learned later is known of the run; values of any type, and runs without an id, stay as they are."""
    data = planted().assign(input_x=[{"a": [1]}] * 24, score_b=pd.array([None] * 24, dtype="Float64"))
    late = data.iloc[::-1].assign(score_b=1.0, note="seen")
    early = data.assign(cost_usd=pd.array([None] * 24, dtype="Float64"))
    found = bf.summary(pd.concat([early, late]))
    assert found["runs"].tolist() == [12, 12]
    assert found["cost_usd_total"].tolist() == [12.0, 24.0]
    assert found["score_b_n"].tolist() == [12, 12]
    unnamed = data.assign(run_id=pd.array([None] * 24, dtype="string"))
    assert bf.summary(pd.concat([unnamed, unnamed]))["runs"].tolist() == [24, 24]
    assert bf.summary(pd.concat([data, data]).drop(columns="run_id"))["runs"].tolist() == [24, 24]


def test_a_partial_copy_has_no_more_weight() -> None:
    """A merge that doubles some rows leaves every figure as it was, whatever the types of the columns."""
    data = planted(prompt_id="p", repeat=0).assign(score=pd.array(np.arange(24) / 24, dtype="Float64"))
    data["input_id"] = [f"i{number // 3}" for number in range(12)] * 2
    data["repeat"] = pd.array([number % 3 for number in range(12)] * 2, dtype="Int64")
    doubled = data.merge(pd.DataFrame({"run_id": ["r0", "r0", "r0", "r13", "r13"], "rater": list("abcde")}), how="left")
    assert len(doubled) == 27
    for kept in (doubled, doubled.astype(object), doubled.convert_dtypes(dtype_backend="pyarrow")):
        pd.testing.assert_frame_equal(bf.summary(kept), bf.summary(data))
        for metric in ("total_ms", "score", "cost_usd"):
            assert bf.difference(kept, A, B, metric) == bf.difference(data, A, B, metric)


def test_ratings_of_several_people_are_their_mean() -> None:
    """One row for each rater: a run's score is the mean of its own, and a whole number no longer."""
    data = planted()
    long = pd.concat([data.assign(stars=2, score_tone=0.0), data.assign(stars=5, score_tone=1.0)])
    assert bf.summary(long)["score_tone_mean"].tolist() == [0.5, 0.5]
    assert bf.summary(long)["runs"].tolist() == [12, 12]
    assert bf.difference(long, A, B, "stars").inputs()["a"].tolist() == [3.5] * 12


@pytest.mark.parametrize("metric", ["score", "total_ms", "ratio"])
def test_an_infinite_figure_is_one_clear_error(metric: str) -> None:
    """There is no mean of it, and no interval: no NaN with a p-value beside it."""
    data = planted().assign(**{metric: [*np.ones(23), np.inf]})
    with pytest.raises(ConfigurationError, match=f"'{metric}' of the frame has an infinite value. Put NA"):
        bf.difference(data, A, B, metric)
    if metric != "ratio":
        with pytest.raises(ConfigurationError, match="infinite"):
            bf.summary(data)
