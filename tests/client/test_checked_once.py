"""A call like one before it is not checked again, and is the same as if it were."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from bifrost_nb import Client, ConfigurationError, RunLog, Timeouts

OPTIONS: list[dict[str, Any]] = [
    {},
    {"max_tokens": 5, "temperature": 0.5, "seed": 1},
    {"fallbacks": ["openai/gpt-4o-mini", "azure/large"]},
    {"stop": ["\n", "."], "logit_bias": {"50256": -100}},
    {"timeout": Timeouts(total=3), "retries": 0},
    {"extra": {"top_k": 3}, "tags": {"a": 1}},
    {"route": "v1", "prompt_id": "p", "repeat": 2, "comparison_id": "c"},
    {"headers": {"x-team": "a"}},
]
OWN = ("run_id", "started_at", "prompt", "tags")
"""What is each run's own."""


def facts(call: Any) -> dict[str, Any]:
    """All of a call that does not differ from time to time."""
    of_call = {each.name: getattr(call, each.name) for each in fields(call) if each.name != "run"}
    return of_call | {each.name: getattr(call.run, each.name) for each in fields(call.run) if each.name not in OWN}


@pytest.fixture
def client() -> Client:
    return Client("http://127.0.0.1:9", log=RunLog(None), retries=1)


@pytest.mark.parametrize("kind", ["text", "chat"])
@pytest.mark.parametrize("options", OPTIONS)
def test_the_second_call_is_as_the_first(client: Client, kind: Any, options: dict[str, Any]) -> None:
    """Its body, its limits and its run are those of a call of a client that has checked nothing before."""
    client.prepare(kind, "azure/fast", "before", **options)
    again = client.prepare(kind, "azure/fast", "Ünïcode \N{GRINNING FACE}", **options)
    fresh = Client("http://127.0.0.1:9", log=RunLog(None), retries=1)
    anew = fresh.prepare(kind, "azure/fast", "Ünïcode \N{GRINNING FACE}", **options)
    assert facts(again) == facts(anew)
    assert list(again.body) == list(anew.body), "in the same order"
    assert (again.run.prompt, again.run.tags) == (anew.run.prompt, anew.run.tags)
    assert again.run.run_id != anew.run.run_id


def test_a_system_message_and_tags_are_each_calls_own(client: Client) -> None:
    """They are no part of what was checked."""
    for system, tags in (("Be brief.", {"n": 1}), (None, {"n": 2}), ("Be long.", None)):
        call = client.prepare("chat", "azure/fast", "Hi", system=system, tags=tags, max_tokens=3)
        roles = {turn["role"]: turn["content"] for turn in call.body["messages"]}
        assert roles == ({"user": "Hi"} if system is None else {"system": system, "user": "Hi"})
        assert call.run.tags == (tags or {})


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"n": 1}, {"n": True}),
        ({"max_tokens": 5}, {"max_tokens": 5.5}),
        ({"tags": {}}, {"tags": []}),
        ({"tags": {}}, {"tags": ""}),
        ({"fallbacks": ["azure/large"]}, {"fallbacks": "azure/large"}),
        ({"fallbacks": ["azure/large"]}, {"fallbacks": ["azure/large", 1]}),
        ({"user": "me"}, {"user": "\ud800"}),
    ],
)
def test_what_is_wrong_is_refused_after_what_is_right(
    client: Client, first: dict[str, Any], second: dict[str, Any]
) -> None:
    """Values that compare equal, and options that are not looked at, are told apart."""
    client.prepare("text", "azure/fast", "Hi", **first)
    with pytest.raises(ConfigurationError):
        client.prepare("text", "azure/fast", "Hi", **second)


@pytest.mark.parametrize("prompt", ["", "half a character \ud83d", None, 5, {"a": 1}])
def test_prompts_that_are_none_are_refused_as_ever(client: Client, prompt: Any) -> None:
    """A text is looked at each time."""
    client.prepare("text", "azure/fast", "Hi")
    with pytest.raises(ConfigurationError) as again:
        client.prepare("text", "azure/fast", prompt)
    with pytest.raises(ConfigurationError) as fresh:
        Client("http://127.0.0.1:9", log=RunLog(None)).prepare("text", "azure/fast", prompt)
    assert str(again.value) == str(fresh.value)


def test_a_system_message_of_a_text_completion_is_refused_after_a_chat(client: Client) -> None:
    """The kind of a call is part of what was checked."""
    client.prepare("chat", "azure/fast", "Hi", system="Be brief.")
    client.prepare("text", "azure/fast", "Hi")
    with pytest.raises(ConfigurationError, match="system"):
        client.prepare("text", "azure/fast", "Hi", system="Be brief.")


def test_a_run_that_was_changed_changes_no_later_one(client: Client) -> None:
    """Each run's dictionaries and lists are its own."""
    for _ in range(3):
        call = client.prepare("text", "azure/fast", "Hi", max_tokens=5, fallbacks=["azure/large"])
        assert call.run.params == {"max_tokens": 5}
        assert call.run.fallbacks == ["azure/large"]
        call.run.params.clear()
        call.run.fallbacks.append("azure/other")
        call.run.tags["mine"] = 1


def test_what_the_client_says_of_all_calls_counts_as_it_is_now(client: Client) -> None:
    """Limits and retries may be set between two calls."""
    assert client.prepare("text", "azure/fast", "Hi").retries == 1
    client.retries, client.timeouts = 5, Timeouts(total=7)
    call = client.prepare("text", "azure/fast", "Hi")
    assert (call.retries, call.timeouts.total) == (5, 7)


def test_a_loop_over_many_parameters_keeps_few(client: Client) -> None:
    """What is kept does not grow with what is asked."""
    for tokens in range(1, 500):
        client.prepare("text", "azure/fast", "Hi", max_tokens=tokens)
    assert len(client._checked._likes) <= 64
