"""One budget for answers and for what judges them: costs that come late, functions that ask nobody, calls of theirs."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

import bifrost_nb as bf
from bifrost_nb import Client, LocalGateway, scorers
from bifrost_nb._client.client import forget_clients
from bifrost_nb._compare.budget import Budget

A, JUDGE = "openai/gpt-4o-mini", "azure/gpt-4o"
YES = json.dumps({"reason": "why", "grade": "yes"})
LATE = {"log_cost": 1.0, "log_delay_ms": 400}


def asked(gateway: LocalGateway, deployment: str) -> int:
    return sum(one["deployment"] == deployment for one in gateway.requests() if one["method"] == "POST")


def ask(client: Client, *, many: int = 6, **options: Any) -> bf.Comparison:
    given = {"inputs": {"x": list(range(many))}, "concurrency": 2, "max_tokens": 16, "live": False, **options}
    return bf.compare([A], "Name a {{x}}.", client=client, **given)


@pytest.mark.parametrize("until", [False, True])
def test_costs_that_come_late_are_gone_from_the_judges_money(
    client: Client, gateway: LocalGateway, until: bool
) -> None:
    """As those of real gateways do, seconds after the answer: the judge waits for them instead of taking them for 0."""
    gateway.script([{"deployment": A, "text": ["x"], **LATE}, {"text": [YES], **LATE}])
    grade = scorers.rubric("Good?", judge={"deployment": JUDGE, "concurrency": 2})
    more: dict[str, Any] = {"prompt": {"a": "Name a {{x}}.", "b": "Say {{x}}."}, "until": "decided"} if until else {}
    prompt = more.pop("prompt", "Name a {{x}}.")
    compared = bf.compare(
        [A], prompt, inputs={"x": list(range(6))}, client=client, concurrency=2, live=False, score=grade,
        max_cost_usd=14 if until else 8, **more,
    )  # fmt: skip
    answers = 12 if until else 6
    assert asked(gateway, A) == answers
    assert 2 <= asked(gateway, JUDGE) <= 2 + 2
    assert compared.frame["score_error"].dropna().str.startswith("not judged: max_cost_usd is reached").all()


@pytest.mark.parametrize(("limit", "over"), [(5.5, True), (6.5, False)])
def test_a_limit_that_nothing_could_keep_is_told(
    client: Client, gateway: LocalGateway, limit: float, over: bool
) -> None:
    """All six were under way before the first cost came; what the log had before is not counted again."""
    gateway.script([{"deployment": A, "text": ["x"], **LATE}])
    found = ask(client, concurrency=6, max_cost_usd=limit)
    found.wait_for_costs()
    assert asked(gateway, A) == 6
    for told in (repr(found), found._repr_html_(), repr(pickle.loads(pickle.dumps(found)))):
        assert ("more than max_cost_usd=5.5" in told) == over
    again = ask(client, concurrency=6, max_cost_usd=limit)
    assert (again.progress.reused, "more than max_cost_usd" in repr(again)) == (6, False)


@pytest.mark.parametrize("dear", ["answers", "judge"])
def test_a_deployment_is_as_dear_as_its_own_calls(client: Client, gateway: LocalGateway, dear: str) -> None:
    """A judge that costs a hundred times as much as the answers is no bargain until its first cost has come, and one
    that costs a hundredth gets what is left in one go."""
    costs = (0.01, 1.0) if dear == "judge" else (1.0, 0.01)
    answer, judging = ({"log_cost": cost, "log_delay_ms": 400} for cost in costs)
    gateway.script([{"deployment": A, "text": ["x"], **answer}, {"text": [YES], **judging}])
    grade = scorers.rubric("Good?", judge={"deployment": JUDGE, "concurrency": 2})
    compared = ask(client, many=10, score=grade, max_cost_usd=4 if dear == "judge" else 10.2)
    if dear == "judge":
        assert 4 <= asked(gateway, JUDGE) <= 4 + 2
    else:
        assert asked(gateway, JUDGE) == 10
        assert compared.frame["score"].count() == 10


def test_a_deployment_without_a_price_does_not_end_the_others(client: Client, gateway: LocalGateway) -> None:
    """It is settled at once that its cost is unknown, while the first cost of another is on its way."""
    gateway.script([{"deployment": A, "log_cost": 0.1, "log_delay_ms": 400}])
    compared = bf.compare(
        [A, "ollama/llama3.2"], "Name a {{x}}.", inputs={"x": list(range(8))}, client=client, concurrency=2,
        chat=True, live=False, max_cost_usd=3,
    )  # fmt: skip
    assert compared.notes == []
    assert compared.missing == 0


def test_a_cached_answer_says_nothing_of_a_price() -> None:
    """Its cost of 0 was taken for the deployment's, so that answers without a known cost were free for ever."""
    budget = Budget(1.0, wave=1)
    budget.add(bf.Run(status="ok", cache_hit=True, cost_usd=0.0, requested_provider="openai", requested_model="m"))
    budget.add(bf.Run(status="ok", requested_provider="openai", requested_model="m"))
    assert not budget.room(0)
    assert "no run's cost is known" in (budget.exhausted() or "")


@pytest.mark.parametrize("way", ["plain", "async"])
def test_a_function_that_asks_waits_for_late_costs(client: Client, gateway: LocalGateway, way: str) -> None:
    """Its calls are counted when their costs come, and no more than those that run at once go beyond."""
    gateway.script([{"deployment": A, "cost": 1.0}, {"deployment": JUDGE, **LATE}])

    def plain(run: Any) -> int:
        return len(client.chat(JUDGE, f"Grade {run.run_id}").text)

    async def later(run: Any) -> int:
        return len((await client.achat(JUDGE, f"Grade {run.run_id}")).text)

    compared = ask(client, many=40, score=plain if way == "plain" else later, max_cost_usd=42)
    assert 2 <= asked(gateway, JUDGE) <= 2 + 16
    assert compared.frame["score"].count() == asked(gateway, JUDGE)


@pytest.mark.parametrize("way", ["plain", "async"])
def test_answers_that_used_the_money_up_are_scored_by_what_costs_nothing(
    client: Client, gateway: LocalGateway, way: str
) -> None:
    """They are paid for. A function that turns out to ask a model is refused that, whatever it makes of the error."""
    gateway.script([{"cost": 1.0}])

    def free(run: Any) -> int:
        return 1

    async def free_later(run: Any) -> int:
        return 1

    def dear(run: Any) -> int:
        try:
            return len(client.chat(JUDGE, "Grade.").text)
        except RuntimeError:
            return 0

    async def dear_later(run: Any) -> int:
        try:
            return len((await client.achat(JUDGE, "Grade.")).text)
        except RuntimeError:
            return 0

    score = {"free": free, "dear": dear} if way == "plain" else {"free": free_later, "dear": dear_later}
    compared = ask(client, many=20, score=score, max_cost_usd=3)
    assert 3 <= asked(gateway, A) <= 3 + 2
    assert compared.frame["score_free"].tolist() == [1] * len(compared)
    assert compared.frame["score_dear"].isna().all()
    assert compared.frame["score_dear_error"].unique().tolist() == ["not judged: max_cost_usd is reached"]
    assert asked(gateway, JUDGE) == 0


def test_what_only_computes_needs_no_gateway(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison out of a file has no client, and a budget beside a function that asks nobody makes none."""
    loaded = pickle.loads(pickle.dumps(ask(client)))
    monkeypatch.setenv("BIFROST_BASE_URL", "no address")
    forget_clients()
    assert loaded.score(lambda run: 1, max_cost_usd=1).frame["score"].tolist() == [1] * 6


def test_what_a_scorer_only_plans_is_no_call(client: Client, gateway: LocalGateway) -> None:
    """A comparison within a scorer prepares calls to check them: those that were sent are counted, and their cost."""
    gateway.script([{"cost": 1.0}])

    def nested(run: Any) -> int:
        return len(bf.compare([JUDGE], "Grade {{a}}.", inputs={"a": [run.run_id]}, client=client, live=False))

    compared = ask(client, score=nested)
    assert compared.frame["score"].tolist() == [1] * 6
    assert len(compared.judge_runs("score")) == asked(gateway, JUDGE) == 6
    assert compared.judging_cost_usd == 6
