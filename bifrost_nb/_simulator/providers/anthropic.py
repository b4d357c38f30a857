"""Anthropic's Messages, as the `anthropic` SDK speaks them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..dialects import Dialect
from ..http.framing import merged, sse
from .base import (
    Event,
    Kind,
    ProviderFormat,
    ProviderReply,
    ProviderStream,
    TokenCounts,
    arguments,
    conversation,
    function_tool,
    objects,
    tool_call,
)

__all__ = ["Anthropic"]

_SAME = ("model", "max_tokens", "temperature", "top_p", "stream", "fallbacks")
"""Fields with the same name and meaning in a chat."""
_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
"""providers/anthropic/utils.go; a stop sequence is "stop" to the gateway, so it comes back as the end of a turn."""


class Anthropic(ProviderFormat):
    """``/anthropic/v1/messages`` (integrations/anthropic.go)."""

    route = "anthropic"
    provider = "anthropic"

    def request(self, body: dict[str, Any], model: str) -> dict[str, Any]:
        chat = {name: body[name] for name in _SAME if name in body}
        chat["messages"] = conversation(body.get("messages"), body.get("system"), _chat_messages)
        if "stop_sequences" in body:
            chat["stop"] = body["stop_sequences"]
        if tools := objects(body.get("tools")):
            chat["tools"] = [
                function_tool(tool.get("name"), tool.get("description"), tool.get("input_schema")) for tool in tools
            ]
        if isinstance(choice := body.get("tool_choice"), dict):
            chat["tool_choice"] = _tool_choice(choice)
        return chat

    def answer(self, reply: ProviderReply) -> dict[str, Any]:
        choice = reply.choice
        content: list[dict[str, Any]] = []
        if choice.reasoning:
            content.append({"type": "thinking", "thinking": "".join(choice.reasoning), "signature": ""})
        if choice.text or not (choice.reasoning or choice.tool_calls):
            content.append({"type": "text", "text": choice.text})
        for call in choice.tool_calls:
            function = call["function"]
            content.append(_tool_use(call) | {"input": arguments(function["arguments"])})
        reason, usage = reply.told_reason, _usage(reply.tokens, reply.dialect)
        if reason == "length" and reply.provider != "anthropic":
            reason = "stop"  # measured: what stopped another provider is lost
        told = _message(reply) | {"content": content}
        if reply.dialect.name == "1.3" and reply.provider == "anthropic":  # measured: its own answer, as it is
            reason, told["stop_sequence"] = choice.finish_reason, None
            usage = {name: usage[name] for name in ("input_tokens", "output_tokens")}
        return told | {"stop_reason": _STOP_REASONS.get(reason, reason), "usage": usage}

    def stream(self, reply: ProviderReply) -> ProviderStream:
        return _AnthropicStream(reply)

    def error(self, error: dict[str, Any], dialect: Dialect) -> Any:
        """providers/anthropic/errors.go; an error without a type has an empty one in 1.4.0, in 1.3 every other
        provider's."""
        details = error["error"]
        kind = details.get("type") or ("" if dialect.before(1, 4, 18) else "api_error")
        if dialect.name == "1.3" and error["extra_fields"].get("provider") != "anthropic":
            kind = ""
        return {"type": "error", "error": {"type": kind, "message": details["message"]}}

    def encode(self, event: Event) -> bytes:
        name, content = event
        return sse({"type": name} | content, name)

    def error_frame(self, error: dict[str, Any], dialect: Dialect) -> bytes:
        return sse(self.error(error, dialect), "error")


class _AnthropicStream(ProviderStream):
    """providers/anthropic/responses.go, ToAnthropicResponsesStreamResponse."""

    @property
    def _native(self) -> bool:
        """Whether Anthropic itself speaks."""
        return self.reply.provider == "anthropic"

    def opening(self) -> Iterator[Event]:
        reply, usage = self.reply, TokenCounts.of({})
        # Only this provider tells the prompt's tokens before the answer.
        if self._native and not reply.dialect.before(1, 4, 18):
            usage = TokenCounts.of({**reply.usage, "completion_tokens": 1})
        start = _message(reply) | {"content": [], "usage": _usage(usage, reply.dialect)}
        yield "message_start", {"message": start}

    def open(self, kind: Kind, tool: Mapping[str, Any] | None) -> Iterator[Event]:
        if tool is not None:
            block: dict[str, Any] = _tool_use(tool) | {"input": {}}
        elif kind == "reasoning":
            block = {"type": "thinking", "thinking": "", "signature": ""}
        else:
            block = {"type": "text", "text": ""}
        yield "content_block_start", {"index": self.index, "content_block": block}
        if self.index == 0 and self._native:
            yield "ping", {}  # that provider's own, passed on

    def delta(self, kind: Kind, text: str) -> Iterator[Event]:
        names = {"text": ("text_delta", "text"), "reasoning": ("thinking_delta", "thinking")}
        name, field = names.get(kind, ("input_json_delta", "partial_json"))
        # Measured: each delta says null of a stop sequence.
        yield "content_block_delta", {"index": self.index, "delta": {"type": name, field: text, "stop_sequence": None}}

    def close(self) -> Iterator[Event]:
        yield "content_block_stop", {"index": self.index}

    def finish(self) -> Iterator[Event]:
        reason = self.reply.choice.finish_reason
        delta = {"stop_reason": _STOP_REASONS.get(reason, reason), "stop_sequence": None}
        end = merged({"delta": delta, "usage": _usage(self.reply.tokens, self.reply.dialect)}, self.reply.merge)
        if self._native and self.reply.dialect.before(1, 4, 18):
            yield "message_delta", end  # measured: the provider's own, and then the gateway's
        yield "message_delta", end
        yield "message_stop", {}


def _message(reply: ProviderReply) -> dict[str, Any]:
    return {"id": f"msg_{reply.id}", "type": "message", "role": "assistant", "model": reply.model}


def _usage(tokens: TokenCounts, dialect: Dialect) -> dict[str, Any]:
    """From 1.5 on as Anthropic counts: ``input_tokens`` leaves out what the cache had. In 1.3 it has everything."""
    cached = 0 if dialect.old else tokens.cache_read + tokens.cache_write
    return {
        "input_tokens": tokens.prompt - cached,
        "output_tokens": tokens.completion,
        "cache_read_input_tokens": tokens.cache_read,
        "cache_creation_input_tokens": tokens.cache_write,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
    }


def _tool_use(call: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "tool_use", "id": call["id"], "name": call["function"]["name"]}


def _tool_choice(choice: dict[str, Any]) -> Any:
    if choice.get("type") == "tool":
        return {"type": "function", "function": {"name": choice.get("name")}}
    return {"any": "required"}.get(str(choice.get("type")), choice.get("type"))


def _chat_messages(message: Any) -> list[Any]:
    """One message as the chat has it: tool results are messages of their own there."""
    blocks = objects(message.get("content")) if isinstance(message, dict) else []
    results = [
        {"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": block.get("content") or ""}
        for block in blocks
        if block.get("type") == "tool_result"
    ]
    calls = [
        tool_call(block.get("id"), block.get("name"), block.get("input"))
        for block in blocks
        if block.get("type") == "tool_use"
    ]
    rest = [block for block in blocks if block.get("type") not in ("tool_result", "tool_use")]
    if not results and not calls:
        return [message]
    spoken = [{"role": message.get("role"), "content": rest} | ({"tool_calls": calls} if calls else {})]
    return results + (spoken if rest or calls else [])
