"""What the drop-in routes say, event by event and count by count."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Wire
from .sdk_routes import (
    ANTHROPIC,
    BEDROCK,
    COHERE,
    GENAI,
    Route,
    aws_messages,
    every_dialect_and_route,
    every_route,
    row_of,
    stream_events,
    streamed_end,
    streamed_text,
)

TOOL = {"name": "get_weather", "description": "The weather of a city."}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
ASKED = "What is the weather in Paris?"


def test_anthropics_events_in_their_order(wire: Wire) -> None:
    """Start with the prompt's tokens, ping, one block with its deltas, then reason and usage, then the stop."""
    wire.gateway.script([{"text": ["One", " two"], "gap_ms": 1}])
    answer = ANTHROPIC.ask(wire, stream=True)
    assert answer.headers["content-type"] == "text/event-stream"
    found = stream_events(ANTHROPIC, answer.content)
    start = found[0][1]["message"]
    assert found[0] == ("message_start", {"type": "message_start", "message": start})
    assert {name: start[name] for name in ("type", "role", "content", "model")} == {
        "type": "message", "role": "assistant", "content": [], "model": "claude-haiku-4-5",
    }  # fmt: skip
    assert start["id"].startswith("msg_")
    prompt = start["usage"]["input_tokens"]
    cache = {
        "cache_read_input_tokens": 0,
        "cache_creation_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
    }
    assert start["usage"] == {"input_tokens": prompt, "output_tokens": 1, **cache}
    assert prompt > 3
    assert found[1:] == [
        (body["type"], body)
        for body in (
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "ping"},
            {"type": "content_block_delta", "index": 0, "delta": _said("One")},
            {"type": "content_block_delta", "index": 0, "delta": _said(" two")},
            {"type": "content_block_stop", "index": 0},
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                "usage": {"input_tokens": prompt, "output_tokens": 2, **cache},
            },
            {"type": "message_stop"},
        )
    ]


def _said(text: str) -> dict[str, Any]:
    return {"type": "text_delta", "text": text, "stop_sequence": None}


def test_the_oldest_generation_tells_anthropics_end_twice(wires: dict[str, Wire]) -> None:
    """1.3 sends Anthropic's `message_delta` and then one of its own, and no tokens before; other providers' once."""
    wires["1.3"].gateway.reset()
    for model, times in (("anthropic/claude-haiku-4-5", 2), ("azure/fast", 1)):
        found = stream_events(ANTHROPIC, ANTHROPIC.ask(wires["1.3"], model, stream=True).content)
        ends = [body for name, body in found if name == "message_delta"]
        assert ends == [ends[0]] * times
        assert found[0][1]["message"]["usage"]["input_tokens"] == 0


def test_a_stream_without_text_has_an_empty_block(wire: Wire) -> None:
    """A provider that says nothing still opens and closes a block."""
    wire.gateway.script([{"text": ""}])
    names = [name for name, _ in stream_events(ANTHROPIC, ANTHROPIC.ask(wire, stream=True).content)]
    assert [name for name in names if name != "ping"] == [
        "message_start", "content_block_start", "content_block_stop", "message_delta", "message_stop",
    ]  # fmt: skip
    assert ANTHROPIC.ask(wire).json()["content"] == [{"type": "text", "text": ""}]


@every_route
def test_a_provider_that_breaks_off_is_not_noticed(wire: Wire, route: Route) -> None:
    """Nothing follows what was said until then: no end, no error, no usage."""
    wire.gateway.script([{"provider_cut_after_chunks": 2, "chunks": 5, "gap_ms": 1}])
    found = stream_events(route, route.ask(wire, stream=True).content)
    assert streamed_text(route, found) == " word0 word1"
    said = [event for event in found if event != "[DONE]"]
    assert streamed_text(route, said[-1:]) == " word1"


def test_another_provider_tells_anthropics_sdk_no_tokens_before_the_end(wire: Wire) -> None:
    """Only Anthropic itself counts the prompt at the start and sends pings."""
    found = stream_events(ANTHROPIC, ANTHROPIC.ask(wire, "azure/fast", stream=True).content)
    assert found[0][1]["message"]["usage"]["input_tokens"] == 0
    assert "ping" not in [name for name, _ in found]
    assert streamed_end(ANTHROPIC, found)["usage"]["input_tokens"] > 0


def test_bedrocks_messages_in_their_order(each: Wire) -> None:
    """Each has the three headers of an event; the end of a block is told from 2.x on alone."""
    each.gateway.script([{"text": ["One", " two"], "gap_ms": 1}])
    answer = BEDROCK.ask(each, stream=True)
    assert answer.headers["content-type"] == "application/vnd.amazon.eventstream"
    assert answer.headers["x-amzn-bedrock-content-type"] == "application/json"
    messages = aws_messages(answer.content)
    kinds = {(headers[":content-type"], headers[":message-type"]) for headers, _ in messages}
    assert kinds == {("application/json", "event")}
    usage = messages[-1][1]["usage"]
    stop = [("contentBlockStop", {"contentBlockIndex": 0})] if each.gateway.dialect == "2.2" else []
    assert [(headers[":event-type"], body) for headers, body in messages] == [
        ("messageStart", {"role": "assistant"}),
        ("contentBlockDelta", {"delta": {"text": "One"}, "contentBlockIndex": 0}),
        ("contentBlockDelta", {"delta": {"text": " two"}, "contentBlockIndex": 0}),
        *stop,
        ("messageStop", {"stopReason": "end_turn"}),
        ("metadata", {"usage": usage}),
    ]
    assert usage == {
        "inputTokens": usage["inputTokens"], "outputTokens": 2, "totalTokens": usage["inputTokens"] + 2,
        "cacheReadInputTokens": 0, "cacheWriteInputTokens": 0,
    }  # fmt: skip


def test_genais_chunks(wire: Wire) -> None:
    """Each carries a part of the answer; the last one reason, model and usage, and no end marker follows."""
    wire.gateway.script([{"text": ["One", " two"], "gap_ms": 1}])
    found = [body for _, body in stream_events(GENAI, GENAI.ask(wire, stream=True).content)]
    parts = [[{"text": "One"}], [{"text": " two"}]]
    assert found[:-1] == [{"candidates": [{"content": {"parts": part, "role": "model"}}]} for part in parts]
    usage = found[-1]["usageMetadata"]
    prompt = usage["promptTokenCount"]
    assert found[-1] == {
        "candidates": [{"content": {"role": "model"}, "finishReason": "STOP"}],
        "modelVersion": "gemini-2.5-flash",
        "usageMetadata": {"promptTokenCount": prompt, "candidatesTokenCount": 2, "totalTokenCount": prompt + 2},
    }


def test_what_genai_says_again_and_leaves_out(each: Wire) -> None:
    """Measured: up to 1.4.0 the whole text of Gemini and OpenAI comes once more, not Anthropic's; and OpenAI's stream
    that reached its limit ends without a last event in each version."""
    each.gateway.script([{"text": ["One", " two", " three"], "gap_ms": 1}])
    old = each.gateway.dialect in ("1.3", "1.4")
    for model, cut in (("gemini/gemini-2.5-flash", 1), ("openai/gpt-4o-mini", 0), ("anthropic/claude-haiku-4-5", 1)):
        path = f"/genai/v1beta/models/{model}:streamGenerateContent?alt=sse"
        for limit, pieces, ends in ((20, ["One", " two", " three"], 1), (2, ["One", " two"], cut)):
            asked = {"contents": [{"parts": [{"text": "Hi"}]}], "generationConfig": {"maxOutputTokens": limit}}
            found = [body for _, body in stream_events(GENAI, each.http.post(path, json=asked).content)]
            texts = [body["candidates"][0]["content"].get("parts", [{}])[0].get("text") for body in found]
            again = ["".join(pieces)] if old and not model.startswith("anthropic") else []
            assert texts == [*pieces, *again, *[None] * ends]


def test_coheres_events(wire: Wire) -> None:
    """What Cohere itself said, without the starts and ends of blocks, which the gateway does not pass on."""
    wire.gateway.script([{"text": ["One", " two"], "gap_ms": 1}])
    found = stream_events(COHERE, COHERE.ask(wire, stream=True).content)
    start, *deltas, end, done = found
    assert start[1]["delta"]["message"]["role"] == "assistant"
    assert [body for _, body in deltas] == [
        {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": text}}}}
        for text in ("One", " two")
    ]
    counts = {"input_tokens": end[1]["delta"]["usage"]["tokens"]["input_tokens"], "output_tokens": 2}
    usage = {"billed_units": counts, "tokens": counts}
    assert end == ("message-end", {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": usage}})
    assert done == "[DONE]"


def test_another_provider_answers_coheres_route_as_in_a_chat(wire: Wire) -> None:
    """The gateway converts nothing there: its own chat comes back, with its own fields, whole and streamed."""
    body = COHERE.ask(wire, "azure/fast").json()
    assert (body["object"], body["extra_fields"]["provider"]) == ("chat.completion", "azure")
    found = stream_events(COHERE, COHERE.ask(wire, "azure/fast", stream=True).content)
    assert found[0][1]["object"] == "chat.completion.chunk"
    assert found[-1] == "[DONE]"


@pytest.mark.parametrize("route", [ANTHROPIC, GENAI, BEDROCK], ids=lambda route: route.name)
def test_reasoning_is_a_block_of_its_own(wire: Wire, route: Route) -> None:
    """Thoughts come before the text, apart from it, whole and streamed; Google counts them apart too."""
    model = "openrouter/deepseek/deepseek-r1"
    whole = route.ask(wire, model).json()
    found = stream_events(route, route.ask(wire, model, stream=True).content)
    if route is ANTHROPIC:
        assert [block["type"] for block in whole["content"]] == ["thinking", "text"]
        starts = [body["content_block"]["type"] for name, body in found if name == "content_block_start"]
        assert starts == ["thinking", "text"]
        kinds = [body["delta"]["type"] for name, body in found if name == "content_block_delta"]
        assert sorted(set(kinds)) == ["text_delta", "thinking_delta"]
        assert kinds == sorted(kinds, reverse=True)
    elif route is GENAI:
        assert [part.get("thought", False) for part in whole["candidates"][0]["content"]["parts"]] == [True, False]
        thoughts = [body["candidates"][0]["content"]["parts"][0].get("thought", False) for _, body in found[:-1]]
        assert thoughts == sorted(thoughts, reverse=True)
        row = row_of(wire, wire.gateway.requests()[0])["token_usage"]
        usage = whole["usageMetadata"]
        assert usage["thoughtsTokenCount"] == row["completion_tokens_details"]["reasoning_tokens"] > 0
        assert usage["thoughtsTokenCount"] + usage["candidatesTokenCount"] == row["completion_tokens"]
        assert usage["totalTokenCount"] == row["total_tokens"]
    else:
        assert [list(block) for block in whole["output"]["message"]["content"]] == [["reasoningContent"], ["text"]]
        assert whole["output"]["message"]["content"][0]["reasoningContent"]["reasoningText"]["text"]
        kinds = [(next(iter(body["delta"])), body["contentBlockIndex"]) for name, body in found if "delta" in body]
        assert set(kinds) == {("reasoningContent", 0), ("text", 1)}


CACHED: dict[str, Any] = {
    "prompt_tokens": 2_000, "completion_tokens": 10, "total_tokens": 2_010,
    "prompt_tokens_details": {"cached_read_tokens": 1_280, "cached_write_tokens": 512},
}  # fmt: skip


@every_dialect_and_route
@pytest.mark.parametrize("stream", [False, True])
def test_cached_tokens_are_counted_as_each_provider_does(each: Wire, route: Route, stream: bool) -> None:
    """Anthropic and AWS leave them out of the prompt's tokens from 1.5 on; Google and Cohere keep them in."""
    each.gateway.script([{"usage": CACHED, "text": "Yes."}])
    answer = route.ask(each, stream=stream)
    body = streamed_end(route, stream_events(route, answer.content)) if stream else answer.json()
    usage = body.get("usage") or body["usageMetadata"]
    apart = 0 if each.gateway.dialect == "1.3" else 1_792
    if each.gateway.dialect == "1.3" and not stream and route is ANTHROPIC:  # Anthropic's own answer, as it is
        assert usage == {"input_tokens": 2_000, "output_tokens": 10}
        return
    expected: dict[str, dict[str, Any]] = {
        "anthropic": {
            "input_tokens": 2_000 - apart, "cache_read_input_tokens": 1_280, "cache_creation_input_tokens": 512,
        },
        "genai": {"promptTokenCount": 2_000, "cachedContentTokenCount": 1_280, "candidatesTokenCount": 10},
        "bedrock": {
            "inputTokens": 2_000 - apart, "cacheReadInputTokens": 1_280, "cacheWriteInputTokens": 512,
            "totalTokens": 2_010,
        },
        "cohere": {"tokens": {"input_tokens": 2_000, "output_tokens": 10}, "cached_tokens": 1_280},
    }  # fmt: skip
    assert usage.items() >= expected[route.name].items()


GOOGLES_SCHEMA = {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}}
TOOLS: dict[str, Any] = {
    "anthropic": {"tools": [{**TOOL, "input_schema": SCHEMA}]},
    "genai": {"tools": [{"functionDeclarations": [{**TOOL, "parameters": GOOGLES_SCHEMA}]}]},
    "bedrock": {"toolConfig": {"tools": [{"toolSpec": {**TOOL, "inputSchema": {"json": SCHEMA}}}]}},
    "cohere": {"tools": [{"type": "function", "function": {**TOOL, "parameters": SCHEMA}}]},
}


@every_route
def test_a_tools_result_is_talked_about(wire: Wire, route: Route) -> None:
    """A call, its result in the SDK's own form, and the next answer explains the result instead of calling again."""
    body = route.body(ASKED) | TOOLS[route.name]
    first = route.ask(wire, **body).json()
    follow = _with_result(route, first)
    second = route.ask(wire, **(body | follow)).json()
    assert len(route.text(second)) > 20
    row = row_of(wire, wire.gateway.requests()[1])
    if route is COHERE:
        asked, called, result = row["input_history"]
        assert [message["role"] for message in (asked, called, result)] == ["user", "assistant", "tool"]
        assert called["tool_calls"][0]["function"]["name"] == "get_weather"
    else:  # which became a call of the Responses API
        asked, called, result = row["responses_input_history"]
        assert [item["type"] for item in (asked, called, result)] == [
            "message",
            "function_call",
            "function_call_output",
        ]
        assert called["name"] == "get_weather"
    assert "21" in str(result)


def _with_result(route: Route, answer: Any) -> dict[str, Any]:
    """The conversation after a tool was called: question, the call as it came, its result."""
    question = route.body(ASKED)
    if route is GENAI:
        call = answer["candidates"][0]["content"]
        part = call["parts"][0]["functionCall"]
        result = {"id": part["id"], "name": part["name"], "response": {"degrees": 21}}
        return {"contents": [*question["contents"], call, {"role": "user", "parts": [{"functionResponse": result}]}]}
    messages = question["messages"]
    if route is ANTHROPIC:
        use = {"type": "tool_result", "tool_use_id": answer["content"][0]["id"], "content": "21 degrees"}
        told = [{"role": "assistant", "content": answer["content"]}, {"role": "user", "content": [use]}]
    elif route is BEDROCK:
        message = answer["output"]["message"]
        result = {"toolUseId": message["content"][0]["toolUse"]["toolUseId"], "content": [{"json": {"degrees": 21}}]}
        told = [message, {"role": "user", "content": [{"toolResult": result}]}]
    else:
        calls = answer["message"]["tool_calls"]
        called = {"role": "assistant", "tool_calls": calls}
        told = [called, {"role": "tool", "tool_call_id": calls[0]["id"], "content": "21 degrees"}]
    return {"messages": messages + told}
