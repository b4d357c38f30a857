"""Plans: every cell with an identity by content, in a fair order, and every mistake told before anything is sent."""

from __future__ import annotations

import io
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from bifrost_nb import Client, ConfigurationError, Run, TemplateError
from bifrost_nb._compare.plan import Plan, make_plan
from bifrost_nb._runs.log.log import RunLog

NOWHERE = Client("http://127.0.0.1:9", log=RunLog(None))
A, B, C = "azure/a", "azure/b", "openai/c"


def plan(deployments: Any = (A, B, C), prompt: Any = "Write about {{topic}}.", **asked: Any) -> Plan:
    return make_plan(NOWHERE, deployments, prompt, **{"inputs": {"topic": ["tea", "rain"]}, **asked})


def ids(made: Plan) -> set[str]:
    return {cell.trial_id for cell in made.trials}


def test_every_combination_once() -> None:
    """The table has prompts x deployments x repeats cells, each with its own identity."""
    made = plan(repeats=3)
    assert len(made.trials) == len(made.order) == len(ids(made)) == 2 * 3 * 3
    assert {cell.prompt.text for cell in made.trials} == {"Write about tea.", "Write about rain."}
    assert set(made.order) == set(made.trials)


@pytest.mark.parametrize(
    "inputs",
    [
        {"topic": ["tea", "rain"]},
        [{"topic": "tea"}, {"topic": "rain"}],
        pd.DataFrame({"topic": ["tea", "rain"]}),
        pd.DataFrame({"topic": ["tea", "rain"], "unused": [1, 2]}, index=[7, 7]),
        {"topic": np.array(["tea", "rain"]), "unused": (1, None)},
    ],
)
def test_inputs_in_any_form_are_the_same_plan(inputs: Any) -> None:
    """A DataFrame, a dict of lists and a list of dicts with the same values give the same identities."""
    assert ids(plan(inputs=inputs)) == ids(plan())


def test_identity_is_what_is_sent() -> None:
    """Rewriting a template or naming it changes nothing as long as the same text is sent."""
    assert ids(plan(prompt={"short": "Write about {{ topic }}."})) == ids(plan())
    assert ids(plan(prompt="Write about {{x}}.", inputs={"x": ["tea", "rain"]})) == ids(plan())


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "Write on {{topic}}."},
        {"parameters": {"temperature": 0.5}},
        {"fallbacks": ["openai/c2"]},
        {"kind": "chat"},
        {"kind": "chat", "system": "Be brief."},
        {"stream": False},
    ],
)
def test_another_question_is_another_identity(change: dict[str, Any]) -> None:
    """Prompt, parameters, fallbacks, kind, system message and streaming are part of the identity."""
    assert not ids(plan(**change)) & ids(plan())


TRACES = ["traceparent", "X-B3-TraceId", "x-datadog-trace-id", "x-correlation-id", "x-bf-dim-run", "x-bf-prom-team"]


@pytest.mark.parametrize("name", [*TRACES, "x-bf-maxim-session", "x-bf-parent-request-id", "User-Agent"])
def test_traces_and_labels_are_no_part_of_the_question(name: str) -> None:
    """What a header says about a call, for whoever looks at it later, changes no answer."""
    assert ids(plan(parameters={"headers": {name: "today"}})) == ids(plan())


@pytest.mark.parametrize(
    "name", ["x-bf-eh-mode", "x-bf-cache-key", "x-bf-session-id", "x-bf-api-key-id", "x-b3", "dim"]
)
def test_other_headers_are_part_of_the_question(name: str) -> None:
    """What reaches the provider, chooses its key or the gateway's cache, and what nobody knows, may change one."""
    assert not ids(plan(parameters={"headers": {name: "a"}})) & ids(plan())
    assert not ids(plan(parameters={"headers": {name: "a"}})) & ids(plan(parameters={"headers": {name: "b"}}))


def test_what_does_not_change_the_question_keeps_the_identity() -> None:
    """Time limits, concurrency, order and a deployment's name are not part of the identity."""
    named = [{"deployment": A, "name": "first"}, B, C]
    assert ids(plan(named, parameters={"timeout": 9.0}, concurrency=2, requests_per_minute=60, seed=5)) == ids(plan())


def test_another_gateway_is_another_identity() -> None:
    """The same names at another address are other deployments."""
    other = make_plan(Client("http://127.0.0.1:10"), [A], "x")
    assert not ids(other) & ids(make_plan(NOWHERE, [A], "x"))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://localhost:8080", "http://127.0.0.1:8080/", True),
        ("http://localhost:8080", "HTTP://LOCALHOST:8080", True),
        ("http://localhost:8080", "http://[::1]:8080", True),
        ("https://gateway.example", "https://Gateway.Example:443/", True),
        ("http://gateway.example", "http://gateway.example:80", True),
        ("http://gateway.example", "https://gateway.example", False),
        ("http://gateway.example/a", "http://gateway.example/A", False),
        ("http://localhost:8080", "http://localhost:8081", False),
        ("http://localhost:8080", "http://10.0.0.1:8080", False),
    ],
)
def test_one_gateway_spelled_in_two_ways(one: str, other: str, same: bool) -> None:
    """What was paid for at one spelling of an address is found at another."""
    first, second = (make_plan(Client(url, log=RunLog(None)), [A], "x") for url in (one, other))
    assert (ids(first) == ids(second)) is same
    assert (first.comparison_id == second.comparison_id) is same


def test_adding_keeps_what_was() -> None:
    """A further deployment, prompt row or repeat adds cells and changes none; the comparison stays the same one."""
    before = plan(repeats=2)
    more = plan((A, B, C, "azure/d"), inputs={"topic": ["tea", "rain", "sun"]}, repeats=3)
    assert ids(before) < ids(more)
    assert len(more.trials) == 3 * 4 * 3
    assert more.comparison_id == before.comparison_id


def test_the_same_prompt_twice_is_two_samples() -> None:
    """Equal rows are not merged: each is paired with its own counterpart."""
    made = plan(inputs={"topic": ["tea", "tea"]})
    assert len(ids(made)) == 6
    assert len({cell.prompt.prompt_id for cell in made.trials}) == 2


def test_order_is_seeded_and_interleaved() -> None:
    """Deployments of a prompt follow each other, each in every place; the same seed gives the same order."""
    made = plan(inputs={"topic": [str(number) for number in range(200)]}, repeats=2)
    blocks = [made.order[start : start + 3] for start in range(0, len(made.order), 3)]
    assert all(len({(cell.prompt.prompt_id, cell.repeat) for cell in block}) == 1 for block in blocks)
    assert all({cell.asked.name for cell in block} == {A, B, C} for block in blocks)
    firsts = [block[0].asked.name for block in blocks]
    assert all(90 < firsts.count(name) < 180 for name in (A, B, C))
    assert [block[0].prompt.text for block in blocks] != [f"Write about {n % 200}." for n in range(400)]
    assert [block[0].repeat for block in blocks] == [0] * 200 + [1] * 200
    again = plan(inputs={"topic": [str(number) for number in range(200)]}, repeats=2)
    assert [cell.trial_id for cell in again.order] == [cell.trial_id for cell in made.order]
    other = plan(inputs={"topic": [str(number) for number in range(200)]}, repeats=2, seed=1)
    assert [cell.trial_id for cell in other.order] != [cell.trial_id for cell in made.order]


def test_each_deployment_has_its_own_settings() -> None:
    """What a deployment's entry says wins over what is said for all, and reaches the call."""
    cold = {"deployment": A, "name": "cold", "temperature": 0.0, "fallbacks": [C], "concurrency": 3}
    made = plan([cold, B], parameters={"temperature": 0.9, "max_tokens": 7}, tags={"who": "me"})
    calls = {cell.asked.name: made.call(NOWHERE, cell) for cell in made.trials}
    assert (calls["cold"].body["temperature"], calls[B].body["temperature"]) == (0.0, 0.9)
    assert calls["cold"].body["fallbacks"] == [C]
    assert "fallbacks" not in calls[B].body
    run = calls["cold"].run
    assert run.tags["variant"] == "cold"
    assert run.tags["who"] == "me"
    assert "variant" not in calls[B].run.tags
    assert (run.repeat, run.comparison_id) == (0, made.comparison_id)
    assert made.asked[0].concurrency == 3
    assert calls["cold"].retries == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"deployments": []}, "no deployment"),
        ({"deployments": ["fast"]}, "does not say provider and model"),
        ({"deployments": [A, A]}, "2 deployments are called 'azure/a'"),
        (
            {
                "deployments": [{"deployment": A, "name": "a"}, {"deployment": A, "name": "a · b"}],
                "prompt": {"b · c": "x {{topic}}", "c": "y {{topic}}"},
            },
            "2 variants are called 'a · b · c'",
        ),
        ({"deployments": [{"name": "x"}]}, "'provider/model'"),
        ({"deployments": [{"deployment": A, "temprature": 1}]}, "temperature"),
        ({"deployments": [{"deployment": A, "prompt_id": "x"}]}, "prompt_id"),
        ({"deployments": [{"deployment": A, "concurrency": 0}]}, "concurrency"),
        ({"deployments": [{"deployment": A, "fallbacks": "openai/c"}]}, "['openai/c']"),
        ({"inputs": None}, "{{topic}}"),
        ({"inputs": {"topics": ["tea"]}}, "topics"),
        ({"inputs": [{"topic": "tea"}, {}]}, "row 1"),
        ({"inputs": pd.DataFrame({"topic": ["tea", None]})}, "row 1"),
        ({"inputs": pd.DataFrame({"topic": pd.array(["tea", pd.NA], dtype="string")})}, "row 1"),
        ({"inputs": pd.DataFrame([["a", "b"]], columns=["topic", "topic"])}, "'topic' more than once"),
        ({"inputs": {"topic": []}}, "no rows"),
        ({"inputs": {"topic": ["a"], "b": ["c", "d"]}}, "topic: 1, b: 2"),
        ({"inputs": {"topic": "tea"}}, "must be a list"),
        ({"inputs": ["tea"]}, "Row 0 of inputs must map names to values, not 'tea'. Give the values a name: {'name'"),
        ({"inputs": [{"topic": "tea", None: ["more"]}]}, "Row 0 of inputs has the name None, which is no text. A line"),
        ({"inputs": pd.DataFrame([["tea", 1]])}, "Row 0 of inputs has the name 0, which is no text. Name the columns"),
        ({"inputs": pa.table([["a"], ["b"]], names=["topic"] * 2)}, "The table has the column 'topic' more than once."),
        ({"inputs": {"topic": ["tea", "cut \ud83d"]}}, "'topic' in row 1 of inputs has half of a character"),
        ({"inputs": {"topic": ["a"], "other": ["\ud83d"]}}, "'other' in row 0 of inputs has half of a character"),
        ({"inputs": iter([{"topic": "tea"}])}, "not list_iterator. Pass list(...): it can be read only once."),
        ({"inputs": {"topic": iter(["tea"])}}, "inputs['topic'] must be a list of values. Pass list(...)."),
        ({"inputs": np.array(["tea"])}, "not ndarray. Pass {'name': values}, or pandas.DataFrame(...)."),
        ({"inputs": "cases/all.csv"}, "not str. Read the file first: pandas.read_csv(...)."),
        ({"inputs": io.StringIO("topic\ntea")}, "not StringIO. Read the file first"),
        (
            {"inputs": {"to-pic": ["a", "b"]}, "prompt": "About {{to-pic}}."},
            "{{to-pic}} names an input, and a",
        ),
        ({"inputs": 5}, "int"),
        ({"inputs": "tickets"}, "not str. Pass the variable itself, without quotes."),
        ({"inputs": {"topic": ["  ", "x"]}, "prompt": "{{topic}}"}, "empty (row 0 of inputs)"),
        ({"prompt": "No variable."}, "uses none of its columns"),
        ({"prompt": {}}, "no prompt"),
        ({"prompt": ["a {{topic}}", "b"]}, "not list. Name several in a dict: {'short'"),
        ({"prompt": {"a": 5}}, "template 'a'"),
        ({"repeats": 0}, "repeats"),
        ({"requests_per_minute": 0}, "requests_per_minute"),
        ({"tags": {"cell": 1}}, "tag 'cell'"),
        ({"system": "Be brief."}, "api='chat'"),
        ({"parameters": {"max_tokens": -1}}, "max_tokens"),
    ],
)
def test_a_mistake_is_one_error_before_anything_is_sent(arguments: dict[str, Any], message: str) -> None:
    """Each wrong argument names itself."""
    with pytest.raises((ConfigurationError, TemplateError)) as caught:
        plan(**arguments)
    assert message in str(caught.value)


def test_plans_are_quick() -> None:
    """Fifty thousand cells are planned in seconds, not minutes."""
    made = plan(inputs={"topic": [f"topic {number}" for number in range(5000)]}, repeats=4)
    assert len(ids(made)) == 60_000


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"kind": "chat"},
        {"kind": "chat", "system": "You know all about {{topic}}.", "parameters": {"max_tokens": 9, "stop": "x"}},
        {"kind": "responses", "system": "Be brief about {{topic}}."},
        {"prompt": '["Write", "{{topic}}"]', "fallbacks": ["openai/d"], "parameters": {"extra": {"top_k": 3}}},
        {"prompt": '[{"role": "user", "content": "{{topic}}"}]', "kind": "chat", "tags": {"who": "me"}},
        {"parameters": {"headers": {"x-bf-cache-key": "k"}}, "repeats": 2},
        {"kind": "chat", "parameters": {"tools": "tools"},
         "inputs": {"topic": ["tea", "rain"], "tools": [None, [{"type": "function", "function": {"name": "f"}}]]}},
        {"prompt": None, "messages": [{"role": "user", "content": "{{topic}}"}, {"role": "assistant", "content": "?"}],
         "kind": "chat"},
    ],
)  # fmt: skip
def test_a_call_made_like_another_is_the_call_that_would_be_checked(asked: dict[str, Any]) -> None:
    """What is not checked again is sent and recorded as if it were."""
    made = plan(**asked)
    like = {one.asked: made.call(NOWHERE, one) for one in made.trials}
    own = ("run_id", "started_at")
    for trial in made.trials:
        calls = made.call(NOWHERE, trial), made.call(NOWHERE, trial, like[trial.asked])
        told = [{one.name: getattr(call, one.name) for one in fields(call)} for call in calls]
        runs = [{one.name: getattr(each["run"], one.name) for one in fields(Run)} for each in told]
        assert all(run.pop(name) for run in runs for name in own)
        assert runs[0] == runs[1]
        assert {**told[0], "run": 0} == {**told[1], "run": 0}
        assert calls[0].run.params is not calls[1].run.params is not like[trial.asked].run.params
