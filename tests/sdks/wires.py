"""What the providers' APIs put on the wire, as their documentation shows it: one question and its answers each.

`whole` and `stream` say the same thing twice, so that reading them must give the same run. Amazon's frames are made
here, since their bytes are not readable; `tests/simulator/sdk_routes.py` reads such frames another way.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Wire:
    """One API's bytes and what a run of them must hold."""

    path: str
    question: Json
    whole: Json
    stream: bytes
    stream_type: str = "text/event-stream"
    stream_path: str = ""
    expected: Json = field(default_factory=dict)


def sse(*events: Json, named: bool = False, done: bool = False) -> bytes:
    lines = [
        (f"event: {event['type']}\n" if named else "") + f"data: {json.dumps(event, ensure_ascii=False)}\n\n"
        for event in events
    ]
    return "".join(lines).encode() + (b"data: [DONE]\n\n" if done else b"")


def frame(kind: str, body: Json, message: str = "event") -> bytes:
    """One message of ``application/vnd.amazon.eventstream``."""
    headers = {":event-type" if message == "event" else ":exception-type": kind, ":content-type": "application/json"}
    headers[":message-type"] = message
    head = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack("!H", len(value)) + value.encode()
        for name, value in headers.items()
    )
    payload = json.dumps(body, ensure_ascii=False).encode()
    prelude = struct.pack("!II", 16 + len(head) + len(payload), len(head))
    start = prelude + struct.pack("!I", zlib.crc32(prelude)) + head + payload
    return start + struct.pack("!I", zlib.crc32(start))


SAID, THOUGHT = "Ebbe und Flut, größer 🌊", "Mond …"
TOOL = {"name": "tide", "arguments": '{"port":"Brest"}'}

OPENAI = Wire(
    path="/openai/chat/completions",
    question={"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Tides?"}], "temperature": 0.5},
    whole={
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini-2024-07-18",
        "choices": [
            {
                "index": 0, "finish_reason": "tool_calls",
                "message": {
                    "role": "assistant", "content": SAID, "reasoning": THOUGHT,
                    "tool_calls": [{"id": "t1", "type": "function", "function": TOOL}],
                },
            }
        ],
        "usage": {
            "prompt_tokens": 20, "completion_tokens": 12, "total_tokens": 32,
            "prompt_tokens_details": {"cached_tokens": 8}, "completion_tokens_details": {"reasoning_tokens": 5},
        },
    },
    stream=sse(
        {"model": "gpt-4o-mini-2024-07-18", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]},
        {"choices": [{"index": 0, "delta": {"reasoning": THOUGHT}}]},
        {"choices": [{"index": 0, "delta": {"content": SAID[:9]}}]},
        {"choices": [{"index": 0, "delta": {"content": SAID[9:]}}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "t1", "type": "function",
            "function": {"name": "tide", "arguments": ""}}]}}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": [
            {"index": 0, "function": {"arguments": TOOL["arguments"]}}]}}]},
        {"model": "gpt-4o-mini-2024-07-18", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
        {"model": "gpt-4o-mini-2024-07-18", "choices": [], "usage": {
            "prompt_tokens": 20, "completion_tokens": 12, "total_tokens": 32,
            "prompt_tokens_details": {"cached_tokens": 8}, "completion_tokens_details": {"reasoning_tokens": 5}}},
        done=True,
    ),
    expected={"requested_provider": "openai", "requested_model": "gpt-4o-mini", "model": "gpt-4o-mini-2024-07-18",
              "finish_reason": "tool_calls", "params": {"temperature": 0.5}},
)  # fmt: skip

_RESPONSE = {
    "id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-4o-mini-2024-07-18", "status": "completed",
    "output": [
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": THOUGHT}]},
        {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
         "content": [{"type": "output_text", "text": SAID, "annotations": []}]},
        {"type": "function_call", "id": "fc_1", "call_id": "t1", **TOOL},
    ],
    "usage": {"input_tokens": 20, "output_tokens": 12, "total_tokens": 32,
              "input_tokens_details": {"cached_tokens": 8}, "output_tokens_details": {"reasoning_tokens": 5}},
}  # fmt: skip
RESPONSES = Wire(
    path="/openai/v1/responses",
    question={"model": "openai/gpt-4o-mini", "input": "Tides?", "temperature": 0.5},
    whole=_RESPONSE,
    stream=sse(
        {"type": "response.created", "response": {**_RESPONSE, "status": "in_progress", "output": [], "usage": None}},
        {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": THOUGHT},
        {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": SAID[:9]},
        {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": SAID[9:]},
        {"type": "response.output_item.added", "output_index": 2,
         "item": {"type": "function_call", "id": "fc_1", "call_id": "t1", "name": "tide", "arguments": ""}},
        {"type": "response.function_call_arguments.delta", "output_index": 2, "delta": TOOL["arguments"]},
        {"type": "response.completed", "response": _RESPONSE},
        named=True,
    ),
    expected={"request_type": "responses", "requested_provider": "openai", "requested_model": "gpt-4o-mini",
              "model": "gpt-4o-mini-2024-07-18", "finish_reason": "tool_calls", "params": {"temperature": 0.5}},
)  # fmt: skip

ANTHROPIC = Wire(
    path="/anthropic/v1/messages",
    question={"model": "claude-haiku-4-5", "max_tokens": 64, "messages": [{"role": "user", "content": "Tides?"}]},
    whole={
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-4-5-20251001",
        "content": [
            {"type": "thinking", "thinking": THOUGHT, "signature": "x"},
            {"type": "text", "text": SAID},
            {"type": "tool_use", "id": "t1", "name": "tide", "input": {"port": "Brest"}},
        ],
        "stop_reason": "tool_use", "stop_sequence": None,
        "usage": {"input_tokens": 9, "cache_read_input_tokens": 8, "cache_creation_input_tokens": 3,
                  "output_tokens": 12},
    },
    stream=sse(
        {"type": "message_start", "message": {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-4-5-20251001", "content": [],
            "stop_reason": None, "usage": {"input_tokens": 9, "cache_read_input_tokens": 8,
                                           "cache_creation_input_tokens": 3, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": THOUGHT}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": SAID[:9]}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": SAID[9:]}},
        {"type": "content_block_stop", "index": 1},
        {"type": "content_block_start", "index": 2,
         "content_block": {"type": "tool_use", "id": "t1", "name": "tide", "input": {}}},
        {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": ""}},
        {"type": "content_block_delta", "index": 2,
         "delta": {"type": "input_json_delta", "partial_json": TOOL["arguments"]}},
        {"type": "content_block_stop", "index": 2},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None},
         "usage": {"output_tokens": 12}},
        {"type": "message_stop"},
        named=True,
    ),
    expected={"requested_provider": "anthropic", "requested_model": "claude-haiku-4-5",
              "model": "claude-haiku-4-5-20251001", "finish_reason": "tool_calls", "reasoning_tokens": None,
              "params": {"max_tokens": 64}},
)  # fmt: skip

_GENAI_USAGE = {"promptTokenCount": 20, "candidatesTokenCount": 7, "thoughtsTokenCount": 5, "totalTokenCount": 32,
                "cachedContentTokenCount": 8}  # fmt: skip
_CALL = {"functionCall": {"id": "t1", "name": "tide", "args": {"port": "Brest"}}}


def _candidate(*parts: Json, finish: str | None = None) -> list[Json]:
    end = {"finishReason": finish} if finish else {}
    return [{"content": {"role": "model", "parts": list(parts)}, "index": 0, **end}]


GENAI = Wire(
    path="/genai/v1beta/models/gemini-2.5-flash:generateContent",
    stream_path="/genai/v1beta/models/gemini-2.5-flash:streamGenerateContent",
    question={"contents": [{"role": "user", "parts": [{"text": "Tides?"}]}], "generationConfig": {"temperature": 0.5}},
    whole={
        "candidates": _candidate({"text": THOUGHT, "thought": True}, {"text": SAID}, _CALL, finish="STOP"),
        "modelVersion": "gemini-2.5-flash-001", "responseId": "r1", "usageMetadata": _GENAI_USAGE,
    },
    stream=sse(
        {"candidates": _candidate({"text": THOUGHT, "thought": True}), "modelVersion": "gemini-2.5-flash-001",
         "usageMetadata": {"promptTokenCount": 20, "totalTokenCount": 20}},
        {"candidates": _candidate({"text": SAID[:9]}), "modelVersion": "gemini-2.5-flash-001"},
        {"candidates": _candidate({"text": SAID[9:]}), "modelVersion": "gemini-2.5-flash-001"},
        {"candidates": _candidate(_CALL, finish="STOP"), "modelVersion": "gemini-2.5-flash-001",
         "usageMetadata": _GENAI_USAGE},
    ),
    expected={"requested_provider": "gemini", "requested_model": "gemini-2.5-flash", "model": "gemini-2.5-flash-001",
              "finish_reason": "tool_calls", "params": {"temperature": 0.5}},
)  # fmt: skip

COHERE = Wire(
    path="/cohere/v2/chat",
    question={"model": "command-r", "messages": [{"role": "user", "content": "Tides?"}], "temperature": 0.5},
    whole={
        "id": "c1", "finish_reason": "TOOL_CALL",
        "message": {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": THOUGHT}, {"type": "text", "text": SAID}],
            "tool_calls": [{"id": "t1", "type": "function", "function": TOOL}],
        },
        "usage": {"billed_units": {"input_tokens": 4, "output_tokens": 9},
                  "tokens": {"input_tokens": 20.0, "output_tokens": 12.0}, "cached_tokens": 8},
    },
    stream=sse(
        {"type": "message-start", "id": "c1", "delta": {"message": {"role": "assistant", "content": []}}},
        {"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "thinking", "thinking": ""}}}},
        {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"thinking": THOUGHT}}}},
        {"type": "content-end", "index": 0},
        {"type": "content-delta", "index": 1, "delta": {"message": {"content": {"text": SAID[:9]}}}},
        {"type": "content-delta", "index": 1, "delta": {"message": {"content": {"text": SAID[9:]}}}},
        {"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": {
            "id": "t1", "type": "function", "function": {"name": "tide", "arguments": ""}}}}},
        {"type": "tool-call-delta", "index": 0,
         "delta": {"message": {"tool_calls": {"function": {"arguments": TOOL["arguments"]}}}}},
        {"type": "tool-call-end", "index": 0},
        {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": {
            "billed_units": {"input_tokens": 4, "output_tokens": 9},
            "tokens": {"input_tokens": 20.0, "output_tokens": 12.0}, "cached_tokens": 8}}},
        named=True,
    ),
    expected={"requested_provider": "cohere", "requested_model": "command-r", "model": None,
              "finish_reason": "tool_calls", "reasoning_tokens": None, "params": {"temperature": 0.5}},
)  # fmt: skip

_BEDROCK_USAGE = {"inputTokens": 9, "outputTokens": 12, "totalTokens": 32, "cacheReadInputTokens": 8,
                  "cacheWriteInputTokens": 3}  # fmt: skip
BEDROCK = Wire(
    path="/bedrock/model/amazon.nova-lite-v1%3A0/converse",
    stream_path="/bedrock/model/amazon.nova-lite-v1%3A0/converse-stream",
    question={"messages": [{"role": "user", "content": [{"text": "Tides?"}]}], "inferenceConfig": {"temperature": 0.5}},
    whole={
        "output": {"message": {"role": "assistant", "content": [
            {"reasoningContent": {"reasoningText": {"text": THOUGHT}}},
            {"text": SAID},
            {"toolUse": {"toolUseId": "t1", "name": "tide", "input": {"port": "Brest"}}},
        ]}},
        "stopReason": "tool_use", "usage": _BEDROCK_USAGE, "metrics": {"latencyMs": 41},
    },
    stream_type="application/vnd.amazon.eventstream",
    stream=b"".join([
        frame("messageStart", {"role": "assistant"}),
        frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": THOUGHT}}}),
        frame("contentBlockStop", {"contentBlockIndex": 0}),
        frame("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": SAID[:9]}}),
        frame("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": SAID[9:]}}),
        frame("contentBlockStart", {"contentBlockIndex": 2, "start": {"toolUse": {"toolUseId": "t1", "name": "tide"}}}),
        frame("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": TOOL["arguments"]}}}),
        frame("messageStop", {"stopReason": "tool_use"}),
        frame("metadata", {"usage": _BEDROCK_USAGE, "metrics": {"latencyMs": 41}}),
    ]),
    expected={"requested_provider": "bedrock", "requested_model": "amazon.nova-lite-v1:0", "model": None,
              "finish_reason": "tool_calls", "reasoning_tokens": None, "latency_ms": 41.0,
              "params": {"temperature": 0.5}},
)  # fmt: skip

WIRES = {"openai": OPENAI, "responses": RESPONSES, "anthropic": ANTHROPIC, "genai": GENAI, "cohere": COHERE,
         "bedrock": BEDROCK}  # fmt: skip
