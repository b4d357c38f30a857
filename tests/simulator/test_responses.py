"""The Responses API: a whole answer, the events that build one, conversations, errors; on every route that has it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from bifrost_nb._simulator.content.tokens import count

from .conftest import Wire
from .sdk_routes import said as answer_of

ASKED = {"model": "openai/gpt-4o-mini", "input": "Why is the sky blue?"}
THINKING = {"model": "openrouter/deepseek/deepseek-r1", "input": "Why is the sky blue?"}
WEATHER: dict[str, Any] = {
    "model": "openai/gpt-4o-mini",
    "input": "What is the weather in Paris?",
    "tools": [{"type": "function", "name": "get_weather", "parameters": {"properties": {"city": {"type": "string"}}}}],
}
ROUTES = (
    "/v1/responses", "/openai/v1/responses", "/openai/responses", "/openai/openai/responses",
    "/openai/openai/deployments/gpt-4o/responses", "/litellm/v1/responses", "/langchain/responses",
    "/pydanticai/v1/responses",
)  # fmt: skip


def read(content: bytes) -> list[dict[str, Any]]:
    """The events of a stream; the line that names each agrees with its data."""
    found = re.findall(r"(?m)^event: (.*)\ndata: (.*)\n\n", content.decode())
    events = [json.loads(data) for _, data in found]
    assert [name for name, _ in found] == [event["type"] for event in events]
    return events


def stream(wire: Wire, body: dict[str, Any], path: str = "/v1/responses") -> list[dict[str, Any]]:
    answer = wire.post(path, body | {"stream": True})
    assert answer.status_code == 200, answer.text
    assert b"[DONE]" not in answer.content
    return read(answer.content)


def joined(events: list[dict[str, Any]], kind: str) -> str:
    return "".join(event["delta"] for event in events if event["type"] == f"response.{kind}.delta")


@pytest.mark.parametrize("path", ROUTES)
def test_every_route_answers_whole_and_streamed(wire: Wire, path: str) -> None:
    """The native route, the integrations and the path of an Azure deployment all have it."""
    whole = wire.post(path, ASKED)
    assert whole.status_code == 200, whole.text
    body = whole.json()
    assert (body["object"], body["status"], body["output"][0]["type"]) == ("response", "completed", "message")
    assert body["extra_fields"]["request_type"] == "responses"
    assert body["extra_fields"]["provider"] == ("azure" if "deployments" in path else "openai")
    assert stream(wire, ASKED, path)[-1]["type"] == "response.completed"


def test_events_build_the_answer_that_the_last_one_holds(each: Wire) -> None:
    """Items are opened, filled and closed in order; the deltas, the closing events and the response agree."""
    events = stream(each, THINKING)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    kinds = list(dict.fromkeys(event["type"].removeprefix("response.") for event in events))
    assert kinds[:2] == ["created", "in_progress"]
    assert kinds[2:7] == [
        "output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta",
        "reasoning_summary_text.done", "reasoning_summary_part.done",
    ]  # fmt: skip
    assert kinds[7:] == [
        "output_item.done", "content_part.added", "output_text.delta", "output_text.done", "content_part.done",
        "completed",
    ]  # fmt: skip
    response = events[-1]["response"]
    assert [item["type"] for item in response["output"]] == ["reasoning", "message"]
    assert response["output"] == [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert joined(events, "output_text") == response["output"][1]["content"][0]["text"]
    assert joined(events, "reasoning_summary_text") == response["output"][0]["summary"][0]["text"]
    assert response["usage"]["output_tokens_details"]["reasoning_tokens"] > 0
    assert events[0]["response"].get("usage") is None
    assert ("object" in response) == (each.gateway.dialect != "1.3")


def test_the_openai_routes_leave_the_gateways_own_fields_out_of_events(each: Wire) -> None:
    """Their events are rebuilt without them, as in the published source; who served is in headers, from 2.0 on."""
    native = stream(each, ASKED)
    assert all(event["extra_fields"]["provider"] == "openai" for event in native)
    assert native[-1]["extra_fields"]["request_type"] == "responses_stream"
    answer = each.post("/openai/v1/responses", ASKED | {"stream": True})
    rebuilt = read(answer.content)
    if each.gateway.dialect == "1.3":  # measured: the provider's own events
        assert all("extra_fields" not in event for event in rebuilt)
        return
    assert all(event["extra_fields"] == rebuilt[0]["response"]["extra_fields"] for event in rebuilt)
    assert "provider" not in rebuilt[0]["extra_fields"]
    assert ("x-bifrost-provider" in answer.headers) == (each.gateway.dialect == "2.2")


def test_a_tool_is_called_in_parts(wire: Wire) -> None:
    """The call is opened with its name, its arguments come in deltas, and no message is there."""
    events = stream(wire, WEATHER)
    added = next(event["item"] for event in events if event["type"] == "response.output_item.added")
    assert (added["name"], added["arguments"], added["status"]) == ("get_weather", "", "in_progress")
    response = events[-1]["response"]
    assert [item["type"] for item in response["output"]] == ["function_call"]
    assert joined(events, "function_call_arguments") == response["output"][0]["arguments"]
    assert json.loads(response["output"][0]["arguments"]) == {"city": "Paris"}


def test_the_result_of_a_tool_is_answered_with_text(wire: Wire) -> None:
    """A conversation with a call and its output is understood."""
    call = wire.post("/v1/responses", WEATHER).json()["output"][0]
    told = {"type": "function_call_output", "call_id": call["call_id"], "output": "18 degrees"}
    given = [{"role": "user", "content": WEATHER["input"]}, call, told]
    answer = wire.post("/v1/responses", WEATHER | {"input": given}).json()
    assert [item["type"] for item in answer["output"]] == ["message"]


def test_a_limit_makes_an_answer_incomplete(wire: Wire) -> None:
    """Its status and reason say so, whole and streamed; the gateway raises a limit below 16."""
    whole = wire.post("/v1/responses", ASKED | {"max_output_tokens": 3, "instructions": "Be long."}).json()
    assert (whole["status"], whole["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert whole["usage"]["output_tokens"] == count(whole["output"][0]["content"][0]["text"]) == 16
    assert whole["output"][0]["status"] == "incomplete"
    last = stream(wire, ASKED | {"max_output_tokens": 20})[-1]
    assert (last["type"], last["response"]["usage"]["output_tokens"]) == ("response.incomplete", 20)


def test_anthropics_answers_have_no_status(each: Wire) -> None:
    """As measured: a chat's finish reason instead, which 1.3 tells in streams only, and there without the output."""
    body = ASKED | {"model": "anthropic/claude-haiku-4-5", "max_output_tokens": 20}
    whole = each.post("/v1/responses", body).json()
    last = stream(each, body)[-1]
    assert last["type"] == "response.completed"
    assert last["response"]["stop_reason"] == "length"
    assert (last["response"].get("output") is None) == (each.gateway.dialect == "1.3")
    assert whole["output"]
    assert whole.get("stop_reason") == (None if each.gateway.dialect == "1.3" else "length")
    assert all("status" not in answer and not answer.get("incomplete_details") for answer in (whole, last["response"]))


def test_usage_has_the_names_of_its_generation(each: Wire) -> None:
    """Input and output; what was read from the provider's cache is split from 1.5 on."""
    long = ASKED | {"input": "Explain tides. " * 400}
    each.post("/v1/responses", long)
    usage = each.post("/v1/responses", long).json()["usage"]
    cached = usage["input_tokens_details"]["cached_tokens"]
    assert 1_024 <= cached <= usage["input_tokens"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    split = {"cached_read_tokens", "cached_write_tokens"} & usage["input_tokens_details"].keys()
    assert bool(split) == (each.gateway.dialect != "1.3")


def test_a_conversation_goes_on_from_a_stored_answer(wire: Wire) -> None:
    """What was said before counts as prompt; an id that nobody has, or that was not to be stored, is an error."""
    first = wire.post("/v1/responses", ASKED).json()
    again = ASKED | {"input": "And at night?", "previous_response_id": first["id"]}
    second = wire.post("/v1/responses", again).json()
    assert second["usage"]["input_tokens"] > first["usage"]["total_tokens"]
    forgotten = wire.post("/v1/responses", ASKED | {"store": False}).json()["id"]
    for identity in ("resp_nobody", forgotten):
        refused = wire.post("/v1/responses", again | {"previous_response_id": identity})
        assert refused.status_code == 400
        assert refused.json()["error"]["code"] == "previous_response_not_found"


def test_log_probabilities_come_where_they_are_asked_for(wire: Wire) -> None:
    """They are in the text's part, and in deltas."""
    body = ASKED | {"include": ["message.output_text.logprobs"], "top_logprobs": 2, "max_output_tokens": 16}
    whole = wire.post("/v1/responses", body).json()["output"][0]["content"][0]["logprobs"]
    assert len(whole) == 16
    assert len(whole[0]["top_logprobs"]) == 2
    events = stream(wire, body)
    assert sum(len(event["logprobs"]) for event in events if event["type"].endswith("text.delta")) == 16


def test_a_fallback_answers_as_in_a_chat(each: Wire) -> None:
    """The primary's failure is followed by the fallback, and told as far as the generation tells it."""
    body = ASKED | {"model": "azure/always-fails", "fallbacks": ["azure/fast"]}
    extra = each.post("/v1/responses", body).json()["extra_fields"]
    assert each.gateway.requests()[0]["served"] == "azure/fast"
    if each.gateway.dialect != "1.3":
        assert extra["routing_info"]["is_fallback"] is True
    assert stream(each, body)[-1]["type"] == "response.completed"


def test_an_error_in_a_stream_is_its_last_event(each: Wire) -> None:
    """It is named `error`, holds the gateway's error object, and nothing follows."""
    each.gateway.script([{"error_after_chunks": 2, "error": {"type": "overloaded", "message": "too busy"}}])
    for path in ("/v1/responses", "/openai/v1/responses"):
        content = each.post(path, ASKED | {"stream": True}).content
        assert b"[DONE]" not in content
        name, data = content.decode().strip().split("\n\n")[-1].split("\n")
        error = json.loads(data.removeprefix("data: "))["error"]
        assert name == "event: error"
        assert (error["error"]["message"] if each.gateway.dialect == "1.3" else error["message"]) == "too busy"
        assert content.count(b"output_text.delta\ndata") == 2


def test_a_provider_that_breaks_off_leaves_no_last_event(wire: Wire) -> None:
    """The gateway does not notice: the stream ends in good order, after the last delta."""
    wire.gateway.script([{"provider_cut_after_chunks": 3}])
    assert stream(wire, ASKED)[-1]["type"] == "response.output_text.delta"


def test_scripted_text_is_streamed_token_by_token(wire: Wire) -> None:
    """The rules for text, finish reason, usage and the last event hold here too."""
    wire.gateway.script(
        [
            {
                "text": ["a ", "b"],
                "finish_reason": "content_filter",
                "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
                "merge": {"response": {"service_tier": "flex"}},
            }
        ]
    )
    events = stream(wire, ASKED)
    response = events[-1]["response"]
    assert [event["delta"] for event in events if "delta" in event] == ["a ", "b"]
    assert response["incomplete_details"] == {"reason": "content_filter"}
    assert (response["usage"]["input_tokens"], response["usage"]["output_tokens"]) == (5, 2)
    assert response["service_tier"] == "flex"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "input is required"),
        ("", "input is required"),
        (7, "neither a string nor a list"),
        (["x"], "neither a string nor a list"),
        ([{"role": "user"}], "a role and a content"),
        ([{"type": "reasoning"}], "no message"),
    ],
)
def test_what_cannot_be_decoded_is_refused(wire: Wire, given: Any, said: str) -> None:
    """An input that the gateway has no type for never reaches a provider."""
    answer = wire.post("/v1/responses", {"model": "openai/gpt-4o-mini", "input": given})
    assert answer.status_code == 400
    assert said in answer.json()["error"]["message"]
    assert wire.gateway.requests()[0]["attempts"] == []


def test_azures_sdk_names_no_provider_and_no_deployment_in_the_path(wire: Wire) -> None:
    """A bare name on `/openai/responses` is Azure's where Azure's SDK asks, else OpenAI's."""
    body = {"model": "gpt-4o", "input": "Hi"}
    asked = wire.post("/openai/openai/responses", body, **{"user-agent": "AzureOpenAI/Python 3"})
    assert asked.json()["extra_fields"]["provider"] == "azure"
    assert wire.post("/openai/openai/responses", body).json()["extra_fields"]["provider"] == "openai"


def test_the_gateways_log_has_the_call(wire: Wire) -> None:
    """Its row has the request type, the tokens under the log's names, and what was said."""
    identity = "00000000-0000-4000-8000-000000000001"
    answer = wire.post("/v1/responses", ASKED, **{"x-request-id": identity}).json()
    row = wire.row(identity)
    assert (row["object"], row.get("stop_reason")) == ("responses", None)  # measured: OpenAI's have none there
    assert row["token_usage"]["prompt_tokens"] == answer["usage"]["input_tokens"]
    assert answer_of(row) == answer["output"][0]["content"][0]["text"]
    assert row["cost"] > 0


def test_an_answer_without_a_word_is_begun_and_ended(wire: Wire) -> None:
    """Every item of the final response has been opened and closed before."""
    wire.gateway.script([{"text": []}])
    told = wire.stream("/v1/responses", {"model": "openai/gpt-4o-mini", "input": "Hi", "stream": True})
    output = told[-1]["response"]["output"]
    for end in ("added", "done"):
        assert len([event for event in told if event["type"] == f"response.output_item.{end}"]) == len(output) > 0
