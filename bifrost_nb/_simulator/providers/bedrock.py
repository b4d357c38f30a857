"""Bedrock's Converse, as `boto3` speaks it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import orjson

from ..dialects import Dialect
from ..http.framing import merged
from .base import (
    Event,
    Kind,
    ProviderFormat,
    ProviderReply,
    ProviderStream,
    TokenCounts,
    arguments,
    conversation,
    fields,
    function_tool,
    objects,
    tool_call,
)
from .eventstream import message

__all__ = ["Bedrock"]

_CONFIG = {"maxTokens": "max_tokens", "temperature": "temperature", "topP": "top_p", "stopSequences": "stop"}
_STOP_REASONS = {
    "stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "content_filtered",
}  # fmt: skip

_EXCEPTIONS = (
    "internalServerException", "modelStreamErrorException", "serviceUnavailableException", "throttlingException",
    "validationException",
)  # fmt: skip
"""What AWS calls an error in the middle of a stream; boto3 reads no other."""


class Bedrock(ProviderFormat):
    """``/bedrock/model/{modelId}/converse`` and ``/converse-stream`` (integrations/bedrock.go)."""

    route = "bedrock"
    provider = "bedrock"
    stream_headers: ClassVar[Mapping[str, str]] = {
        "content-type": "application/vnd.amazon.eventstream",
        "x-amzn-bedrock-content-type": "application/json",
        "cache-control": "no-cache",
        "connection": "keep-alive",
    }
    comments = False

    def request(self, body: dict[str, Any], model: str) -> dict[str, Any]:
        config = fields(body.get("inferenceConfig"))
        spoken = conversation(body.get("messages"), body.get("system"), _chat_messages)
        chat = {ours: config[theirs] for theirs, ours in _CONFIG.items() if theirs in config}
        chat |= {"model": model, "stream": bool(self.streamed), "messages": spoken}
        if "fallbacks" in body:
            chat["fallbacks"] = body["fallbacks"]
        tools = body.get("toolConfig")
        if isinstance(tools, dict):
            specs = [tool["toolSpec"] for tool in objects(tools.get("tools")) if isinstance(tool.get("toolSpec"), dict)]
            chat["tools"] = [
                function_tool(spec.get("name"), spec.get("description"), fields(spec.get("inputSchema")).get("json"))
                for spec in specs
            ]
            chat["tool_choice"] = _tool_choice(fields(tools.get("toolChoice")))
        return chat

    def answer(self, reply: ProviderReply) -> dict[str, Any]:
        choice = reply.choice
        content: list[dict[str, Any]] = []
        if choice.reasoning:
            content.append({"reasoningContent": {"reasoningText": {"text": "".join(choice.reasoning)}}})
        if choice.text or (reply.dialect.old and not (choice.reasoning or choice.tool_calls)):
            content.append({"text": choice.text})
        for call in choice.tool_calls:
            content.append({"toolUse": _tool_use(call) | {"input": arguments(call["function"]["arguments"])}})
        return {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": _STOP_REASONS.get(reply.told_reason, reply.told_reason),
            "usage": _usage(reply.tokens, reply.dialect),
            "metrics": {"latencyMs": reply.latency_ms},
        }

    def stream(self, reply: ProviderReply) -> ProviderStream:
        return _BedrockStream(reply)

    def error(self, error: dict[str, Any], dialect: Dialect) -> Any:
        """providers/bedrock/utils.go. No ``x-amzn-errortype`` was found in the source: botocore reads the body too."""
        details = error["error"]
        code = details.get("code")
        kind = code or error.get("type") or "InternalServerError"
        return {"__type": kind, "message": details["message"]} | ({"code": code} if code else {})

    def encode(self, event: Event) -> bytes:
        name, content = event
        headers = {":content-type": "application/json", ":event-type": name, ":message-type": "event"}
        return message(headers, orjson.dumps(content))

    def error_frame(self, error: dict[str, Any], dialect: Dialect) -> bytes:
        """An exception, as integrations/bedrock.go of 2.x has it; before, a ``data:`` line stood in the binary stream,
        which nobody can read. How 2.x names its type was not found: here as AWS does."""
        body = self.error(error, dialect)
        kind = body["__type"] if body["__type"] in _EXCEPTIONS else _EXCEPTIONS[0]
        headers = {":content-type": "application/json", ":exception-type": kind, ":message-type": "exception"}
        return message(headers, orjson.dumps({"message": body["message"]}))


class _BedrockStream(ProviderStream):
    """providers/bedrock/responses.go, ToBedrockConverseStreamResponse."""

    def opening(self) -> Iterator[Event]:
        yield "messageStart", {"role": "assistant"}

    def open(self, kind: Kind, tool: Mapping[str, Any] | None) -> Iterator[Event]:
        if tool is not None:  # text and reasoning begin without a word
            yield "contentBlockStart", {"start": {"toolUse": _tool_use(tool)}, "contentBlockIndex": self.index}

    def delta(self, kind: Kind, text: str) -> Iterator[Event]:
        content = {"text": text, "reasoning": {"text": text}, "tool": {"input": text}}[kind]
        name = {"text": "text", "reasoning": "reasoningContent", "tool": "toolUse"}[kind]
        yield "contentBlockDelta", {"delta": {name: content}, "contentBlockIndex": self.index}

    def close(self) -> Iterator[Event]:
        if self.reply.dialect.second:  # core 1.4.0 and 1.5.22 never close a block
            yield "contentBlockStop", {"contentBlockIndex": self.index}

    def finish(self) -> Iterator[Event]:
        # Measured up to core 1.7.0: whatever ended it, a stream says this.
        yield "messageStop", {"stopReason": "end_turn"}
        yield "metadata", merged({"usage": _usage(self.reply.tokens, self.reply.dialect)}, self.reply.merge)


def _usage(tokens: TokenCounts, dialect: Dialect) -> dict[str, int]:
    """From 1.5 on as AWS counts: ``inputTokens`` leaves out what the cache had. In 1.3 it has everything."""
    cached = 0 if dialect.old else tokens.cache_read + tokens.cache_write
    return {
        "inputTokens": tokens.prompt - cached,
        "outputTokens": tokens.completion,
        "totalTokens": tokens.total,
        "cacheReadInputTokens": tokens.cache_read,
        "cacheWriteInputTokens": tokens.cache_write,
    }


def _tool_use(call: Mapping[str, Any]) -> dict[str, Any]:
    return {"toolUseId": call["id"], "name": call["function"]["name"]}


def _tool_choice(choice: Mapping[str, Any]) -> Any:
    if isinstance(tool := choice.get("tool"), dict):
        return {"type": "function", "function": {"name": tool.get("name")}}
    return "required" if "any" in choice else "auto"


def _chat_messages(message: Any) -> list[Any]:
    """One message as the chat has it: tool results are messages of their own there."""
    blocks = objects(message.get("content")) if isinstance(message, dict) else []
    results = [block["toolResult"] for block in blocks if isinstance(block.get("toolResult"), dict)]
    calls = [block["toolUse"] for block in blocks if isinstance(block.get("toolUse"), dict)]
    rest = [block for block in blocks if "toolResult" not in block and "toolUse" not in block]
    if not results and not calls:
        return [message]
    told: list[dict[str, Any]] = [
        {"role": "tool", "tool_call_id": result.get("toolUseId"), "content": _result(result)} for result in results
    ]
    if rest or calls:
        called = [tool_call(call.get("toolUseId"), call.get("name"), call.get("input")) for call in calls]
        told.append({"role": message.get("role"), "content": rest} | ({"tool_calls": called} if called else {}))
    return told


def _result(result: dict[str, Any]) -> str:
    """A tool's result as text; JSON stays JSON."""
    blocks = objects(result.get("content"))
    return "".join(
        block["text"] if isinstance(block.get("text"), str) else _json(block.get("json")) for block in blocks
    )


def _json(value: Any) -> str:
    return "" if value is None else orjson.dumps(value).decode()
