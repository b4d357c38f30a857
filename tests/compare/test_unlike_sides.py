"""Verdicts say what the two sides do not share: who failed more, and what was asked otherwise on another day."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest

from bifrost_nb._compare.difference import Difference, difference
from bifrost_nb._compare.multiple_comparisons import differences

from .frames import calls, frame

A, B = "azure/a", "azure/b"


def scored(failed_a: int, failed_b: int = 0, right_b: int = 12) -> Difference:
    """A is right on all 60 inputs, B on the first `right_b`; of each the last ones fail."""
    table = frame(calls(A, np.ones(60)) + calls(B, np.ones(60)))
    table["score"] = pd.array([1] * 60 + [int(n < right_b) for n in range(60)], dtype="Float64")
    for start, failed in ((60, failed_a), (120, failed_b)):
        table.loc[start - failed : start - 1, "status"] = "error"
    return difference(table, A, B, "score")


def test_who_is_better_where_it_answers_and_fails_elsewhere_is_said_to() -> None:
    """A wins on the 40 inputs that it answers, and fails on 20: the verdict says so, and that these do not count."""
    found = scored(20)
    assert found.winner == A
    assert f"{A} did not answer 20 of 60 runs, {B} 0 of 60: what failed does not count here" in found.verdict
    assert scored(1).notes == (), "one failure of 60 moves no lead of 80 points"
    assert scored(0, 20).notes == (), "the loser's failures make it no better"


def asked(name: str, sweep: str, prompt: str = "About {}", **parameters: Any) -> list[dict[str, Any]]:
    params = orjson.dumps({"stream": True, **parameters}).decode()
    rows = calls(name, np.ones(10), params=params, total_tokens=parameters.get("max_tokens", 50))
    for number, row in enumerate(rows):
        tags = {"sweep": sweep, "input": f"i{number}"}
        row.update(prompt=prompt.format(number), prompt_id=f"{prompt[:1]}{number}", tags=orjson.dumps(tags).decode())
    return rows


@pytest.mark.parametrize("metric", ["total_tokens", "cost_usd"])
def test_another_days_parameters_are_said(metric: str) -> None:
    """A asked for 20 tokens on Monday and B for 200 on Tuesday differ by that; in one sweep it is what is compared."""
    rows = asked(A, "monday", max_tokens=20, temperature=0.5) + asked(B, "tuesday", max_tokens=200)
    table = frame([{**row, "cost_usd": row["total_tokens"] / 1e6} for row in rows])
    said = difference(table, A, B, metric).verdict
    assert f"asked apart and with other parameters: {A} with max_tokens 20, temperature 0.5, {B} with" in said
    assert "max_tokens 200, temperature not set." in said
    assert differences(table, metric)["verdict"].str.contains("other parameters").all()
    same = frame(asked(A, "monday", max_tokens=20) + asked(B, "tuesday", max_tokens=20))
    assert difference(same, A, B, "total_tokens").notes == ()
    meant = frame(asked(A, "monday", max_tokens=20) + asked(B, "monday", max_tokens=200))
    assert difference(meant, A, B, "total_tokens").notes == ()


def test_the_job_of_a_batch_is_no_parameter() -> None:
    """Each deployment has a job of its own, which changes no answer; half the price is told beside answers without."""
    first, second = ({"batch_id": name, "batch_rate": 0.5} for name in ("one", "two"))
    apart = frame(asked(A, "monday", **first) + asked(B, "tuesday", **second))
    assert difference(apart, A, B, "total_tokens").notes == ()
    live = frame(asked(A, "monday", **first) + asked(B, "tuesday"))
    assert f"{A} with batch_rate 0.5, {B} with batch_rate not set." in difference(live, A, B, "total_tokens").verdict


def test_another_days_prompts_are_said() -> None:
    """The same inputs in other words, each deployment in its own: the difference may be of the words."""
    rows = asked(A, "monday") + asked(B, "tuesday", "Write briefly about {}")
    assert (
        "They were asked apart, and 10 inputs in other words." in difference(frame(rows), A, B, "total_tokens").verdict
    )
    mixed = frame([*asked(A, "monday", x="<b>"), *asked(A, "tuesday", x="</p>"), *asked(B, "tuesday", x="</p>")])
    assert '"</p>" or "<b>"' in difference(mixed, A, B, "total_tokens").verdict
