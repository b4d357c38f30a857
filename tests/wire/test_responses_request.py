"""The Responses API: what is accepted and sent, and how its answers and events are read."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import example, given, strategies as st

from bifrost_nb._client.calls import ResponsesParameters
from bifrost_nb._runs.route_collectors import ResponsesCollector
from bifrost_nb._runs.run import Run
from bifrost_nb._wire.choices import choice_text, finish_reason, logprobs_of, reasoning_text, tool_calls_of
from bifrost_nb._wire.requests import Deployment, ResponsesRequest, body, build_responses, endpoint, headers
from bifrost_nb._wire.responses_stream import ResponseEvents, answer_of
from bifrost_nb.errors import ConfigurationError, GatewayError, ProtocolError, RateLimited

MINI = Deployment("openai", "gpt-4o-mini")
TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object"}}


def sent(request: ResponsesRequest, deployment: Deployment = MINI, route: Any = None) -> dict[str, Any]:
    return body(request, deployment, endpoint("responses", deployment, route))


def wrong(*arguments: Any, **parameters: Any) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        build_responses(*(arguments or (MINI, "Hi")), **parameters)
    return caught.value


def test_every_parameter_is_sent_as_given() -> None:
    """A request that sets every field carries every field, and nothing else."""
    parameters: dict[str, Any] = {
        "stream": True, "instructions": "Be brief.", "max_output_tokens": 20, "max_tool_calls": 2, "temperature": 0.5,
        "top_p": 0.9, "top_logprobs": 2, "tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": False,
        "reasoning": {"effort": "low"}, "text": {"format": {"type": "json_object"}}, "previous_response_id": "resp_1",
        "conversation": "conv_1", "include": ["reasoning.encrypted_content"], "store": False, "metadata": {"a": "b"},
        "prompt_cache_key": "k", "safety_identifier": "s", "service_tier": "flex",
        "stream_options": {"include_obfuscation": False}, "truncation": "auto", "user": "u",
    }  # fmt: skip
    assert parameters.keys() | {"input"} == ResponsesRequest.model_fields.keys() - {"model", "fallbacks", "extra"}
    request = build_responses(MINI, "Hi", fallbacks=["azure/fast"], **parameters)
    whole = {"model": "openai/gpt-4o-mini", "input": "Hi", "fallbacks": ["azure/fast"], **parameters}
    assert sent(request) == whole
    assert set(ResponsesParameters.__annotations__) >= parameters.keys() - {"stream"}


def test_items_are_sent_as_given() -> None:
    """Messages, calls and their results; numbers of other libraries become JSON's."""
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "Weather?"}]},
        {"type": "message", "role": "assistant", "content": "One moment."},
        {"type": "function_call", "call_id": "c", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "18"},
        {"type": "item_reference", "id": "msg_1"},
    ]
    assert sent(build_responses(MINI, items, max_output_tokens=np.int64(16))) == {
        "model": "openai/gpt-4o-mini",
        "input": items,
        "max_output_tokens": 16,
    }


def test_the_address_is_v1_unless_asked_otherwise() -> None:
    """Azure deployments too; `extra` goes where the route wants it, with the header that lets it through."""
    azure = Deployment("azure", "fast")
    assert endpoint("responses", azure).path == "/v1/responses"
    address = endpoint("responses", azure, "azure", "2025-01-01")
    assert address.path == "/openai/openai/deployments/fast/responses"
    assert address.query == {"api-version": "2025-01-01"}
    request = build_responses(azure, "Hi", extra={"prompt": {"id": "pmpt_1"}})
    assert sent(request, azure)["prompt"] == {"id": "pmpt_1"}
    assert sent(request, azure, "azure")["extra_params"] == {"prompt": {"id": "pmpt_1"}}
    assert headers(request, address) == {"x-bf-passthrough-extra-params": "true"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "input is empty"),
        ([], "input is an empty list"),
        (7, "input must be text or a list of items, not int"),
        (["Hi"], "input[0] must be a dict, not str"),
        ([{"content": "Hi"}], "input[0] needs a 'role' (one of user, assistant, system, developer)"),
        ([{"role": "tool", "content": "x"}], "input[0] needs a 'role'"),
        ([{"role": "user"}], "input[0]: 'content' must be text or a list of blocks, not NoneType"),
        ([{"role": "user", "content": ["x"]}], "input[0]: each block of 'content' must be a dict with a 'type'"),
        ([{"type": 3}], "input[0]: 'type' must be text"),
        ([{"type": "function_call_output", "output": "x"}], "input[0] answers a tool call: it needs its 'call_id'"),
        ("half \ud83d", "input holds half of a character"),
    ],
)
def test_a_wrong_input_is_named(given: Any, said: str) -> None:
    """Before anything is sent."""
    assert said in wrong(MINI, given).message


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"max_tokens": 5}, "'max_tokens' is not a parameter: did you mean 'max_output_tokens'?"),
        ({"instruction": "x"}, "did you mean 'instructions'?"),
        ({"reasoning_effort": "low"}, "did you mean 'reasoning'?"),
        ({"frobnicate": 1}, "'frobnicate' is not a parameter"),
        ({"temperature": 3}, "temperature must be a number from 0 to 2, not 3"),
        ({"max_output_tokens": 0}, "max_output_tokens must be an integer of at least 1"),
        ({"store": "no"}, "store must be True or False"),
        ({"tools": [{"name": "f"}]}, "tools[0] needs a 'type'"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "not inside 'function', as in a chat"),
        ({"model": "x"}, "model is part of the deployment"),
        ({"extra": {"input": "x"}}, "extra holds 'input'"),
        ({"fallbacks": ["gpt-4o"]}, "write provider/model"),
    ],
)
def test_a_wrong_parameter_is_named(parameters: dict[str, Any], said: str) -> None:
    """With the near match where there is one; several mistakes are one error."""
    assert said in wrong(MINI, "Hi", **parameters).message
    assert "top_p must be" in wrong(MINI, "Hi", top_p=7, **parameters).message or "model" in parameters


# -- answers ---------------------------------------------------------------------------------------------------------

REASONING = {"type": "reasoning", "summary": [{"text": "First."}, {"text": "Then."}], "content": [{"text": "So."}]}
MESSAGE = {
    "type": "message",
    "content": [
        {"type": "output_text", "text": "The sky ", "annotations": [{"type": "url_citation"}], "logprobs": [{"a": 1}]},
        {"type": "output_text", "text": "is blue.", "logprobs": [{"b": 2}]},
    ],
}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": '{"a":1}'}
CUSTOM = {"type": "custom_tool_call", "call_id": "call_2", "name": "run", "input": "ls"}


def test_a_whole_answer_is_read_as_a_chat() -> None:
    """Text of all messages, reasoning in parts, citations, log-probabilities and calls."""
    chat = answer_of({"model": "m", "status": "completed", "output": [REASONING, MESSAGE, CALL, CUSTOM]})
    [choice] = chat["choices"]
    assert chat["model"] == "m"
    assert choice_text(choice) == "The sky is blue."
    assert reasoning_text(choice) == "First.\n\nThen.\n\nSo."
    assert logprobs_of(choice) == {"content": [{"a": 1}, {"b": 2}]}
    assert choice["message"]["annotations"] == [{"type": "url_citation"}]
    assert tool_calls_of(choice) == [
        {"index": 2, "type": "function", "id": "call_1", "function": {"name": "f", "arguments": '{"a":1}'}},
        {"index": 3, "type": "custom", "id": "call_2", "function": {"name": "run", "arguments": "ls"}},
    ]


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ({"status": "completed", "output": [MESSAGE]}, "stop"),
        ({"output": [MESSAGE]}, None),
        ({"output": [CALL]}, "tool_calls"),
        ({"stop_reason": "length", "output": [MESSAGE]}, "length"),
        ({"status": "completed", "stop_reason": "length", "output": [MESSAGE]}, "length"),
        ({"stop_reason": "stop", "output": [CALL]}, "tool_calls"),
        ({"status": "completed", "output": [CALL]}, "tool_calls"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter"),
        ({"status": "incomplete", "incomplete_details": None}, "incomplete"),
        ({"status": "queued"}, "queued"),
        ({"status": "cancelled"}, "cancelled"),
        ({"status": 7, "output": []}, None),
    ],
)
def test_the_status_is_a_finish_reason(response: dict[str, Any], reason: str | None) -> None:
    """The mapping that the frame's column has."""
    assert finish_reason(answer_of(response)["choices"][0]) == reason


def test_a_refusal_is_the_text() -> None:
    """As in a chat."""
    part = {"type": "refusal", "refusal": "I cannot."}
    assert choice_text(answer_of({"output": [{"type": "message", "content": [part]}]})["choices"][0]) == "I cannot."


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
names = (
    "type", "response", "output", "summary", "content", "text", "delta", "item", "usage", "status", "annotations",
    "extra_fields", "incomplete_details", "logprobs", "output_index", "annotation", "model", "call_id", "arguments",
)  # fmt: skip
kinds = st.sampled_from(
    [
        "response.created", "response.output_text.delta", "response.reasoning_text.delta", "response.completed",
        "response.output_item.added", "response.function_call_arguments.delta", "response.incomplete", "response.ping",
        "response.output_text.annotation.added", "function_call", "message", "reasoning",
    ]
)  # fmt: skip
shaped = st.recursive(
    json_values | kinds,
    lambda inner: st.dictionaries(st.sampled_from(names), inner, max_size=5) | st.lists(inner, max_size=3),
    max_leaves=25,
)
objects = st.dictionaries(st.sampled_from(names), shaped, max_size=8)


@given(objects, st.lists(objects, max_size=6))
@example({}, [{"type": "response.function_call_arguments.delta", "output_index": {}}])
def test_any_json_is_read(response: dict[str, Any], events: list[dict[str, Any]]) -> None:
    """Whatever arrives, whole or streamed, becomes a run or one of our errors, never another exception."""
    whole = ResponsesCollector(Run(request_type="responses"))
    whole.answer(response)
    assert whole.finish(1.0).raw is response
    stream = ResponsesCollector(Run(request_type="responses"))
    try:
        stream.feed([orjson.dumps(event) for event in events], 1.0)
    except GatewayError:
        assert any(event.get("type") == "error" or "response" in event for event in events)
    stream.finish(2.0)


# -- events ----------------------------------------------------------------------------------------------------------


def collect(*events: dict[str, Any]) -> Run:
    collector = ResponsesCollector(Run(request_type="responses", requested_provider="openai", requested_model="m"))
    collector.headers(200, {})
    for at, event in enumerate(events):
        collector.feed([orjson.dumps(event)], float(at))
    return collector.finish(float(len(events)))


def text(delta: str, **facts: Any) -> dict[str, Any]:
    return {"type": "response.output_text.delta", "delta": delta, **facts}


def completed(*output: Any, **facts: Any) -> dict[str, Any]:
    response = {"status": "completed", "model": "m-1", "output": list(output), "usage": USAGE, **facts}
    return {"type": "response.completed", "response": response, "extra_fields": EXTRA}


USAGE = {"input_tokens": 3, "output_tokens": 5, "total_tokens": 8, "output_tokens_details": {"reasoning_tokens": 2}}
EXTRA = {"request_type": "responses_stream", "provider": "openai", "latency": 40}


def test_events_become_the_run() -> None:
    """Text, reasoning, times, tokens, who served and the last event as it came."""
    thought = {"type": "response.reasoning_summary_text.delta", "output_index": 0}
    last = completed(REASONING, MESSAGE)
    run = collect(
        {"type": "response.created", "response": {"status": "in_progress", "usage": None}, "extra_fields": EXTRA},
        {**thought, "summary_index": 0, "delta": "Fir"},
        {**thought, "summary_index": 0, "delta": "st."},
        {**thought, "summary_index": 1, "delta": "Then."},
        text("The sky "),
        text("is blue."),
        last,
    )
    assert (run.text, run.texts) == ("The sky is blue.", ["The sky is blue."])
    assert run.reasoning == "First.\n\nThen."
    assert (run.ttft_ms, run.chunks, run.chunk_times_ms) == (4.0, 5, [1.0, 2.0, 3.0, 4.0, 5.0])
    assert (run.prompt_tokens, run.completion_tokens, run.total_tokens, run.reasoning_tokens) == (3, 5, 8, 2)
    assert (run.finish_reason, run.served, run.latency_ms) == ("stop", "openai/m-1", 40.0)
    assert (run.raw, run.usage) == (last, USAGE)
    assert run.annotations == [{"type": "url_citation"}]


def test_a_call_comes_in_parts() -> None:
    """Name first, then arguments; the last event has it whole, and decides."""
    added = {"type": "response.output_item.added", "output_index": 0, "item": {**CALL, "arguments": ""}}
    delta = {"type": "response.function_call_arguments.delta", "output_index": 0}
    parts = [added, {**delta, "delta": '{"a":'}, {**delta, "delta": "1}"}]
    [call] = collect(*parts).tool_calls
    assert (call["id"], call["function"]) == ("call_1", {"name": "f", "arguments": '{"a":1}'})
    assert collect(*parts, completed(CALL)).tool_calls == [call]
    assert collect(added, completed(CALL)).tool_calls == [call], "an answer without deltas"


def test_what_came_in_no_delta_is_taken_from_the_last_event() -> None:
    """Some providers send it only there; nothing that was paid for is lost, and it has a time."""
    run = collect({"type": "response.created"}, completed(REASONING, MESSAGE))
    assert (run.text, run.reasoning) == ("The sky is blue.", "First.\n\nThen.\n\nSo.")
    assert (run.ttft_ms, run.chunks) == (1.0, 1)


def test_a_stream_that_says_that_it_is_completed_is() -> None:
    """Also where the response inside has neither status nor reason; a reason that is there counts."""
    assert collect({"type": "response.completed", "response": {}}).finish_reason == "stop"
    assert collect({"type": "response.incomplete", "response": {}}).finish_reason == "incomplete"
    assert collect({"type": "response.completed", "response": {"stop_reason": "length"}}).finish_reason == "length"


def test_empty_fields_of_the_gateway_say_nothing() -> None:
    """On `/openai` each event has them empty, and so has the response inside every event."""
    empty = {"request_type": "", "latency": 0, "chunk_index": 0}
    run = collect(text("a", extra_fields=empty), {**completed(MESSAGE, extra_fields=empty), "extra_fields": empty})
    assert (run.latency_ms, run.extra_fields, run.provider, run.model) == (None, None, None, "m-1")
    assert collect(completed(MESSAGE, extra_fields=empty)).provider == "openai"


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "code": "rate_limit_exceeded", "message": "too fast", "param": None},
        {"type": "error", "error": {"code": "rate_limit_exceeded", "message": "too fast"}},
        {"error": {"is_bifrost_error": False, "error": {"code": "rate_limit_exceeded", "message": "too fast"}}},
        {"is_bifrost_error": False, "type": "error", "error": {"code": "rate_limit_exceeded", "message": "too fast"}},
        {
            "type": "response.failed",
            "response": {"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "too fast"}},
        },
    ],
)
def test_each_form_of_an_error_is_one(event: dict[str, Any]) -> None:
    """OpenAI's own event, the gateway's object, nested or not, and a response that failed; text before it stays."""
    collector = ResponsesCollector(Run(request_type="responses"))
    collector.feed([orjson.dumps(text("so far"))], 1.0)
    with pytest.raises(RateLimited, match="too fast") as caught:
        collector.feed([orjson.dumps(event)], 2.0)
    assert caught.value.code == "rate_limit_exceeded"
    assert not collector.complete
    assert collector.finish(3.0).text == "so far"


def test_what_a_failed_response_used_is_kept() -> None:
    """Streamed or whole; a failure without a reason is one too."""
    failed = {"status": "failed", "error": None, "usage": USAGE}
    collector = ResponsesCollector(Run(request_type="responses"))
    with pytest.raises(GatewayError, match="no reason"):
        collector.feed([orjson.dumps({"type": "response.failed", "response": failed})], 1.0)
    assert collector.finish(2.0).total_tokens == 8
    whole = ResponsesCollector(Run(request_type="responses"))
    assert "overloaded" in str(whole.refusal({**failed, "error": {"code": "x", "message": "overloaded"}}))
    assert whole.finish(2.0).completion_tokens == 5


def test_an_unfinished_stream_is_not_complete() -> None:
    """Only the last event completes it; there is no [DONE]."""
    collector = ResponsesCollector(Run(request_type="responses"))
    collector.feed([orjson.dumps(text("a")), orjson.dumps({"type": "response.output_text.done", "text": "a"})], 1.0)
    assert not collector.complete
    collector.feed([orjson.dumps(completed(MESSAGE))], 2.0)
    assert collector.complete
    assert collector.told_all


def test_an_event_that_is_no_object_is_a_protocol_error() -> None:
    """As with every stream."""
    collector = ResponsesCollector(Run(request_type="responses"))
    for payload in (b"[1]", b"{"):
        with pytest.raises(ProtocolError):
            collector.feed([payload], 1.0)


def test_log_probabilities_and_citations_of_a_broken_stream_are_kept() -> None:
    """They came with deltas; the last event never did."""
    run = collect(
        text("a", logprobs=[{"token": "a"}]),
        text("b", logprobs=[{"token": "b"}]),
        {"type": "response.output_text.annotation.added", "annotation": {"type": "file_path"}},
    )
    assert run.logprobs == {"content": [{"token": "a"}, {"token": "b"}]}
    assert run.annotations == [{"type": "file_path"}]
    assert ResponseEvents().chunk({"type": "response.ping"}) == {"choices": []}


def test_tokens_read_from_the_cache_are_not_those_written_to_it() -> None:
    """From 1.5 on `cached_tokens` counts both, and `cached_read_tokens` what the column means."""
    details = {"cached_tokens": 30, "cached_read_tokens": 10, "cached_write_tokens": 20}
    run = collect(completed(MESSAGE, usage={**USAGE, "input_tokens": 50, "input_tokens_details": details}))
    assert run.cached_tokens == 10
