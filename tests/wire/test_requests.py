"""Requests: what is accepted, what is sent, and how a mistake reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, strategies as st

from bifrost_nb._client.calls import ChatParameters, TextParameters
from bifrost_nb._wire.requests import (
    ChatCompletionRequest,
    Deployment,
    Request,
    TextCompletionRequest,
    body,
    build_chat,
    build_text,
    chat_messages,
    endpoint,
    headers,
)
from bifrost_nb.errors import ConfigurationError

AZURE = Deployment("azure", "fast")
USER = [{"role": "user", "content": "Hi"}]


def sent(request: Request, deployment: Deployment = AZURE, route: Any = None) -> dict[str, Any]:
    """The JSON object that would be sent."""
    kind: Any = "text" if isinstance(request, TextCompletionRequest) else "chat"
    return body(request, deployment, endpoint(kind, deployment, route))


def wrong(*arguments: Any, **parameters: Any) -> ConfigurationError:
    """The error of a text completion that must not be built."""
    with pytest.raises(ConfigurationError) as caught:
        build_text(*(arguments or ("azure/fast", "Hi")), **parameters)
    return caught.value


def test_all_fields_of_the_specification_are_sent_as_given() -> None:
    """A request that sets every field carries every field, and nothing else."""
    sampling = {"temperature": 0.5, "top_p": 0.9, "frequency_penalty": -2, "presence_penalty": 2, "seed": -7}
    shape = {"max_tokens": 5, "n": 2, "best_of": 2, "stop": ["a", "b"], "suffix": "", "echo": False, "logprobs": 0}
    rest = {"stream": True, "logit_bias": {"5": 1}, "user": "u", "fallbacks": ["openai/gpt-4o-mini"]}
    parameters: dict[str, Any] = {**sampling, **shape, **rest}
    assert len(parameters) + len({"model", "prompt"}) == 18
    request = build_text("azure/fast", ["Hi", "Ho"], **parameters)
    assert sent(request) == {"model": "azure/fast", "prompt": ["Hi", "Ho"], **parameters}
    assert sent(request, route="v1") == {"model": "azure/fast", "prompt": ["Hi", "Ho"], **parameters}


def test_nothing_that_was_not_set_is_sent() -> None:
    """None means not set: the gateway's and the provider's own defaults stay in force."""
    request = build_text("azure/fast", "Hi", temperature=None, stop=None, fallbacks=None, extra=None)
    assert sent(request) == {"model": "azure/fast", "prompt": "Hi"}
    assert sent(build_chat("azure/fast", USER, tools=None)) == {"model": "azure/fast", "messages": USER}


def test_one_stop_text_is_sent_as_a_list() -> None:
    """The gateway refuses a plain string, so a list is sent."""
    assert sent(build_text("azure/fast", "Hi", stop="END"))["stop"] == ["END"]
    assert sent(build_chat("azure/fast", USER, stop=("a", "b")))["stop"] == ["a", "b"]


@pytest.mark.parametrize(
    ("parameters", "parts"),
    [
        ({"temperature": 2.01}, ["temperature must be a number from 0 to 2, not 2.01 (float)"]),
        ({"temperature": "hot"}, ["temperature must be a number from 0 to 2, not 'hot' (str)"]),
        ({"temperature": True}, ["temperature must be a number from 0 to 2, not True (bool)"]),
        ({"temperature": float("nan")}, ["temperature", "from 0 to 2", "nan"]),
        ({"top_p": float("inf")}, ["top_p", "inf"]),
        ({"top_p": -0.1}, ["top_p must be a number from 0 to 1"]),
        ({"frequency_penalty": -2.1}, ["frequency_penalty must be a number from -2 to 2"]),
        ({"presence_penalty": 3}, ["presence_penalty must be a number from -2 to 2"]),
        ({"n": 0}, ["n must be an integer of at least 1, not 0 (int)"]),
        ({"n": True}, ["n must be an integer of at least 1, not True (bool)"]),
        ({"max_tokens": 1.5}, ["max_tokens must be an integer of at least 1, not 1.5 (float)"]),
        ({"max_tokens": "5"}, ["max_tokens must be an integer", "'5' (str)"]),
        ({"best_of": 0}, ["best_of must be an integer of at least 1"]),
        ({"n": 3, "best_of": 2}, ["best_of must be at least n (3), not 2"]),
        ({"logprobs": -1}, ["logprobs must be an integer of at least 0"]),
        ({"seed": 2**64}, ["seed must be an integer of at most 64 bits"]),
        ({"echo": 1}, ["echo must be True or False, not 1 (int)"]),
        ({"stream": "yes"}, ["stream must be True or False"]),
        ({"suffix": 5}, ["suffix must be text, not 5 (int)"]),
        ({"user": b"u"}, ["user", "bytes"]),
        ({"stop": [1]}, ["stop must be text or a list of texts"]),
        ({"stop": ""}, ["stop", "none empty"]),
        ({"logit_bias": [1]}, ["logit_bias must be a dict of token id to number, not list"]),
        ({"logit_bias": {"5": "x"}}, ["logit_bias of token '5' must be a number, not 'x'"]),
        ({"logit_bias": {"5": float("nan")}}, ["logit_bias of token '5' must be a number, not nan"]),
        ({"logit_bias": {1.5: 1}}, ["keys are token ids"]),
        ({"fallbacks": "openai/gpt"}, ["fallbacks must be a list like", "'openai/gpt' (str)"]),
        ({"fallbacks": ["gpt"]}, ["fallbacks[0] 'gpt' does not say provider and model"]),
        ({"fallbacks": ["openai/gpt", {"provider": "a", "model": "b"}]}, ["fallbacks[1]", "not dict"]),
        ({"user": "\ud800"}, ["user holds half of a character"]),
        ({"model": "x"}, ["model is part of the deployment"]),
        ({"extra": [1]}, ["extra must be a dict"]),
        ({"extra": {"a": [{1, 2}]}}, ["extra.a[0] is of type set"]),
        ({"extra": {"a": {"b": float("inf")}}}, ["extra.a.b is inf"]),
        ({"extra": {1: 2}}, ["extra has the key 1"]),
        ({"extra": {"a": 2**70}}, ["extra.a", "64 bits"]),
        ({"extra": {"temperature": 1}}, ["extra holds 'temperature'; pass it as an argument"]),
        ({"extra": {"prompt": 1, "model": 1}}, ["extra holds 'model', 'prompt'"]),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(parameters: dict[str, Any], parts: list[str]) -> None:
    """The message says which field, which value of which type came, and what may come instead."""
    message = str(wrong(**parameters))
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("prompt", "part"),
    [
        ("", "prompt is empty"),
        ([], "prompt is an empty list"),
        (["a", ""], "prompt[1] is empty"),
        ([1, 2, 3], "the gateway takes no token numbers"),
        ([[1, 2], [3]], "the gateway takes no token numbers"),
        (["a", None], "prompt[1] must be text, not NoneType"),
        (None, "prompt must be text or a list of texts, not NoneType"),
        (5, "prompt must be text or a list of texts, not int"),
        (b"bytes", "prompt is of type bytes"),
        ("half \ud83d", "prompt holds half of a character"),
        (["a", "\udc00"], "prompt[1] holds half of a character"),
    ],
)
def test_a_prompt_that_cannot_be_completed_is_refused(prompt: Any, part: str) -> None:
    """Empty prompts, token arrays and what is not text end before anything is sent."""
    assert part in str(wrong("azure/fast", prompt))


def test_all_mistakes_come_in_one_message() -> None:
    """Whoever made three mistakes reads of three."""
    message = str(wrong(temperature=3, n=0, echo="x"))
    assert all(name in message for name in ("temperature must", "n must", "echo must"))


def test_an_unknown_name_brings_the_near_one_and_the_way_around() -> None:
    """A typo names the parameter meant; a provider's own parameter goes into extra."""
    error = wrong(max_token=5, min_p=0.1)
    assert "'max_token' is not a parameter: did you mean 'max_tokens'?" in error.message
    assert "'min_p' is not a parameter" in error.message
    assert error.hint == "Pass a provider's own parameters as extra={'max_token': ..., 'min_p': ...}."
    assert str(wrong(score=1, repeats=2)).endswith("'repeats' is not a parameter. bf.compare takes score and repeats.")
    assert "{'type': 'image_url'" in str(wrong(images=["a.png"]))  # no provider takes them beside the messages


def test_a_key_in_a_wrong_place_is_not_shown() -> None:
    """A value that looks like a key never reaches the message or its causes."""
    error = wrong(user=["sk-bf-0123456789abcdef0123"])
    assert "user must be text" in str(error)
    assert "0123456789" not in str(error)
    assert error.__suppress_context__
    assert error.__cause__ is None


def test_numbers_of_other_libraries_are_numbers() -> None:
    """Cells of a DataFrame go into a request as they are."""
    request = build_text(
        "azure/fast", np.str_("Hi"), max_tokens=np.int64(5), temperature=np.float32(0.5), top_p=np.float64(0.25),
        logit_bias={np.int64(7): np.float64(1.5)}, stop=(np.str_("x"),), extra={"a": (np.int32(1), np.float64(0.5))},
    )  # fmt: skip
    content = orjson.loads(orjson.dumps(sent(request)))
    assert content == {
        "model": "azure/fast", "prompt": "Hi", "max_tokens": 5, "temperature": 0.5, "top_p": 0.25,
        "logit_bias": {"7": 1.5}, "stop": ["x"], "extra_params": {"a": [1, 0.5]},
    }  # fmt: skip


def test_truth_values_of_other_libraries_are_truth_values() -> None:
    """A cell of a column of booleans, in a field of its own and deep in another; a text is none."""
    request = build_chat("azure/fast", USER, logprobs=np.bool_(True), store=np.False_, extra={"a": [np.True_]})
    content = orjson.loads(orjson.dumps(sent(request)))
    assert (content["logprobs"], content["store"]) == (True, False)
    assert [True] in (content.get("a"), (content.get("extra_params") or {}).get("a"))
    with pytest.raises(ConfigurationError):
        build_chat("azure/fast", USER, logprobs="no")


def test_extra_goes_where_the_route_takes_it() -> None:
    """On /v1 beside the other fields, on the Azure route as an object; with the header that lets it pass."""
    request = build_text("azure/fast", "Hi", extra={"min_p": 0.1})
    for route in ("azure", "v1"):
        assert headers(request, endpoint("text", AZURE, route)) == {"x-bf-passthrough-extra-params": "true"}
    assert sent(request) == {"model": "azure/fast", "prompt": "Hi", "extra_params": {"min_p": 0.1}}
    assert sent(request, route="v1") == {"model": "azure/fast", "prompt": "Hi", "min_p": 0.1}
    assert headers(build_text("azure/fast", "Hi"), endpoint("text", AZURE)) == {}


def test_extra_that_holds_itself_is_refused() -> None:
    """A structure without end is an error, not a crash."""
    loop: dict[str, Any] = {}
    loop["again"] = loop
    assert "nested more than 100 levels" in str(wrong(extra=loop))


def test_a_request_keeps_its_own_copy() -> None:
    """What the caller changes afterwards does not change what is sent."""
    extra = {"a": [1]}
    request = build_text("azure/fast", "Hi", extra=extra)
    extra["a"].append(2)
    assert request.extra == {"a": [1]}


def test_a_chat_carries_its_fields() -> None:
    """Every chat parameter arrives unchanged; max_tokens goes by the name that the gateway knows."""
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    parameters: dict[str, Any] = {
        "n": 2, "logprobs": True, "top_logprobs": 3, "tools": tools, "parallel_tool_calls": False,
        "tool_choice": {"type": "function", "function": {"name": "f"}}, "response_format": {"type": "json_object"},
        "reasoning": {"effort": "low"}, "modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"},
        "service_tier": "flex", "store": False, "metadata": {"k": "v"}, "stream_options": {"include_usage": True},
    }  # fmt: skip
    request = build_chat("azure/fast", USER, max_tokens=7, **parameters)
    assert sent(request) == {"model": "azure/fast", "messages": USER, "max_completion_tokens": 7, **parameters}
    assert sent(build_chat("azure/fast", USER, tool_choice="auto"))["tool_choice"] == "auto"
    assert sent(build_chat("azure/fast", USER), route="azure")["model"] == "azure/fast"


def test_both_names_of_the_token_limit() -> None:
    """Either name works, both at once only with the same value, and a message uses the caller's word."""
    for parameters in ({"max_tokens": 5}, {"max_completion_tokens": 5}, {"max_tokens": 5, "max_completion_tokens": 5}):
        assert sent(build_chat("azure/fast", USER, **parameters))["max_completion_tokens"] == 5  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="pass one of them"):
        build_chat("azure/fast", USER, max_tokens=5, max_completion_tokens=6)
    with pytest.raises(ConfigurationError, match=r"^max_tokens must be an integer of at least 1"):
        build_chat("azure/fast", USER, max_tokens=0)


@pytest.mark.parametrize(
    ("messages", "part"),
    [
        ([], "messages is empty"),
        ("Hi", "messages must be a list of dicts"),
        (["Hi"], "messages must be a list of dicts"),
        ([{"content": "Hi"}], "messages[0] needs a 'role'"),
        ([{"role": "me", "content": "Hi"}], "messages[0] needs a 'role': one of system"),
        ([{"role": "me", "content": "Hi"}], "function, not 'me'"),
        ([*USER, {"role": "user"}], "messages[1] has no 'content'"),
        ([{"role": "user", "content": 5}], "messages[0]: 'content' must be text or a list of blocks, not int"),
        ([{"role": "user", "content": [{"text": "x"}]}], "each block of 'content' must be a dict with a 'type'"),
        ([{"role": "tool", "content": "x"}], "messages[0] answers a tool call"),
        ([{"role": "user", "content": "\ud800"}], "messages[0].content holds half of a character"),
    ],
)
def test_messages_that_no_provider_takes_are_refused(messages: Any, part: str) -> None:
    """The message that is wrong is named by its position."""
    with pytest.raises(ConfigurationError) as caught:
        build_chat("azure/fast", messages)
    assert part in str(caught.value)


def test_a_function_is_no_tool_by_itself() -> None:
    """A tool without its type is told with the form that providers take; what providers have besides goes out."""
    function = {"name": "f", "parameters": {}}
    with pytest.raises(ConfigurationError, match=r"tools\[1\] needs a 'type'; write it as {'type': 'function', "):
        build_chat("azure/fast", USER, tools=[{"type": "function", "function": function}, function])
    assert sent(build_chat("azure/fast", USER, tools=[{"google_search": {}}]))["tools"] == [{"google_search": {}}]


def test_messages_of_every_kind_are_kept_as_they_are() -> None:
    """Blocks, tool calls, tool answers and fields we do not know pass unchanged, None included."""
    block = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}
    call = {"id": "1", "type": "function", "function": {"name": "f"}}
    messages: list[dict[str, Any]] = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "name": "Ann", "content": [block]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "5"},
        {"role": "assistant", "content": "x", "reasoning_details": [{"type": "reasoning.text", "text": "y"}]},
    ]
    assert sent(build_chat("openai/gpt", messages), Deployment("openai", "gpt"))["messages"] == messages


def test_reasoning_is_said_once() -> None:
    """The object and the short form together are refused, as the gateway does."""
    with pytest.raises(ConfigurationError, match="pass one of them"):
        build_chat("openai/gpt", USER, reasoning={"effort": "low"}, reasoning_effort="low")


def test_chat_messages_are_put_together() -> None:
    """System first, then the conversation, then the new turn; nothing at all is an error."""
    history = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert chat_messages("c", system="s", messages=history) == [
        {"role": "system", "content": "s"}, *history, {"role": "user", "content": "c"},
    ]  # fmt: skip
    assert chat_messages("c") == [{"role": "user", "content": "c"}]
    for arguments in ({}, {"prompt": ""}, {"prompt": ["a"]}, {"messages": "a"}, {"messages": [1]}, {"system": 5}):
        with pytest.raises(ConfigurationError):
            chat_messages(**arguments)


@pytest.mark.parametrize(
    ("declared", "model"), [(TextParameters, TextCompletionRequest), (ChatParameters, ChatCompletionRequest)]
)
def test_an_editor_offers_the_parameters_that_exist(declared: Any, model: Any) -> None:
    """The keywords that a type checker knows are the fields of the request."""
    not_parameters = {"timeout", "retries", "headers", "tags", "comparison_id", "prompt_id", "repeat", "route"}
    content = {"model", "prompt", "messages", "stream"}
    renamed = {"max_tokens"} if model is ChatCompletionRequest else set()
    assert declared.__annotations__.keys() - not_parameters == (model.model_fields.keys() - content) | renamed


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(st.dictionaries(st.text(min_size=1).map("x-{}".format), _JSON, max_size=4))
def test_whatever_extra_is_accepted_can_be_sent(extra: dict[str, Any]) -> None:
    """All that JSON can carry passes through extra unchanged."""
    assert (
        orjson.loads(orjson.dumps(sent(build_text("azure/fast", "Hi", extra=extra)))).get("extra_params", {}) == extra
    )


_NAMES = st.text(max_size=12) | st.sampled_from(sorted(TextCompletionRequest.model_fields.keys()))
_VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers(), max_size=2)
_CONTENT = {"deployment", "prompt", "extra", "fallbacks"}


@given(st.dictionaries(_NAMES.filter(lambda name: name not in _CONTENT), _VALUES, max_size=5))
def test_any_parameters_give_a_request_or_one_clear_error(parameters: dict[str, Any]) -> None:
    """Nothing but ConfigurationError ever comes out, it names a parameter, and what is built can be encoded."""
    try:
        request = build_text("azure/fast", "Hi", **parameters)
    except ConfigurationError as error:
        if not any(name.isascii() and name.isprintable() and name in str(error) for name in parameters):
            assert any(not name.isascii() or not name.isprintable() for name in parameters)
    else:
        orjson.dumps(sent(request))
