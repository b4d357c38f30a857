"""Times of different sweeps are never set against each other without a word, whoever asks."""

from __future__ import annotations

from typing import Any

import pytest

from bifrost_nb import Client, LocalGateway, RunLog
from bifrost_nb._compare.compare import compare
from bifrost_nb._compare.difference import difference
from bifrost_nb._compare.multiple_comparisons import best

from .frames import calls, frame, times

A, B = "azure/fast", "azure/gpt-35-turbo-instruct"


def _days(**facts: Any) -> Any:
    """One deployment on Monday, its equal on a slower Tuesday."""
    old, new = ({"tags": f'{{"sweep":"{name}"}}', "cost_usd": 0.001} for name in ("mon", "tue"))
    slow = times(1, 30, of=2, factor=5)
    return frame([*calls("x/a", times(1, 30, of=1), **old, **facts), *calls("x/b", slow, **new)])


@pytest.mark.parametrize("metric", ["total_ms", "ttft_ms"])
def test_nobody_leads_who_was_not_compared(metric: str) -> None:
    """`best` says of times of two days that they were not compared, and how to measure them together."""
    days = _days()
    days["ttft_ms"] = days["total_ms"]
    found = best(days, metric, {})
    assert found.names == ["x/a", "x/b"]
    assert "leads" not in found.verdict
    assert "x/b was not compared with it" in found.verdict
    assert found.verdict.count("fresh=True") == 1
    assert "have the same figure" in best(days, "cost_usd", {}).verdict, "money may be set against another day's"


def test_what_has_no_partner_in_its_sweep_is_counted() -> None:
    """Of one deployment measured on two days those of the day without the other are left out, and it is said."""
    days = frame([*calls("x/a", times(1, 30, of=1), tags='{"sweep":"mon"}'),
                  *calls("x/a", times(1, 30, of=2) / 9, tags='{"sweep":"tue"}'),
                  *calls("x/b", times(1, 30, of=3), tags='{"sweep":"mon"}')])  # fmt: skip
    found = difference(days, "x/a", "x/b")
    assert found.winner is None
    assert list(found.excluded.values()) == [30]
    assert "30 runs sent in another sweep" in found.verdict


@pytest.mark.parametrize(
    ("monday", "tuesday", "same"),
    [
        (["gpt-4o-05"], ["gpt-4o-08"], False),
        (["gpt-4o-05", "gpt-4o-08"], ["gpt-4o-11"], False),
        (["gpt-4o-05"], ["gpt-4o-05"], True),
        (["eu", "us"], ["us", "eu"], True),
        (["eu", "us"], ["us"], True),
        ([None], ["gpt-4o-08"], True),
        (["a"], ["gpt-4o-08"], True),
    ],
    ids=["moved", "two, then another", "one", "two keys", "one key left", "not told before", "the alias alone before"],
)
@pytest.mark.parametrize("metric", ["total_tokens", "score"])
def test_an_alias_that_was_pointed_elsewhere(monday: list[Any], tuesday: list[Any], same: bool, metric: str) -> None:
    """A comparison that was resumed after it holds two models under one name: said, and not compared."""
    rows = calls("x/a", times(1, 40, of=1), total_tokens=10)
    for n, run in enumerate(rows):
        models, day = (monday, "mon") if n < 20 else (tuesday, "tue")
        run.update(model_deployment=models[n % len(models)], tags=f'{{"sweep":"{day}"}}')
    table = frame([*rows, *calls("x/b", times(1, 40, of=2), total_tokens=10, tags='{"sweep":"tue"}')])
    table["score"] = 1.0
    found = difference(table, "x/a", "x/b", metric)
    assert (found.outcome != "refused") is same
    if not same:
        assert "x/a stood for gpt-4o-" in found.verdict
        assert difference(table, "x/a", "x/b", metric, mixed="keep").outcome != "refused"


def test_the_best_is_chosen_by_what_was_measured() -> None:
    """A deployment's cached and failed answers, which came at once, make it no leader."""
    quick = {"status": "error", "total_ms": 1.0}
    rows = [
        *calls("x/a", times(1, 20, of=1)),
        *calls("x/b", times(1, 20, of=2, factor=2)),
        *({**row, **quick} for row in calls("x/b", times(1, 60, of=3))),
        *({**row, "cache_hit": True, "total_ms": 1.0} for row in calls("x/b", times(1, 60, of=3))),
    ]
    assert best(frame(rows), "total_ms", {}).names == ["x/a"]


def test_the_table_says_what_was_measured_apart(client: Client, gateway: LocalGateway) -> None:
    """A deployment that is added later stands beside times of another hour; once measured together nothing is said."""
    asked: dict[str, Any] = {"inputs": {"i": ["one", "two"]}, "client": client, "max_tokens": 3}
    assert "another sweep" not in repr(compare([A], "{{i}}", **asked))
    added = compare([A, B], "{{i}}", **asked)
    told = f"The times of {B} are of another sweep than those of {A}: they cannot be compared."
    assert told in repr(added)
    assert told in added._repr_html_()
    assert "another sweep" not in repr(compare([A, B], "{{i}}", fresh=True, **asked))


def test_the_budget_is_said_once(gateway: LocalGateway, log: RunLog) -> None:
    """However many calls are in flight when the money is spent, one note says so, with what was spent in the end."""
    inputs = {"i": [f"number {n}" for n in range(30)]}
    done = compare(
        [A], "{{i}}", inputs=inputs, client=Client(gateway.url, log=log), concurrency=4, max_cost_usd=1e-6, max_tokens=3
    )
    assert sum(note.startswith("Stopped") for note in done.notes) == 1
