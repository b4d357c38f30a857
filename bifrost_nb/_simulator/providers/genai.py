"""Google's generateContent, as the `google-genai` SDK speaks it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

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
    fields,
    function_tool,
    objects,
    tool_call,
)

__all__ = ["GenAI"]

_CONFIG = {
    "maxOutputTokens": "max_tokens", "temperature": "temperature", "topP": "top_p", "stopSequences": "stop",
    "seed": "seed", "presencePenalty": "presence_penalty", "frequencyPenalty": "frequency_penalty",
}  # fmt: skip
_MODES = {"ANY": "required", "NONE": "none", "AUTO": "auto"}
_FINISH_REASONS = {"stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}
"""providers/gemini/utils.go; anything else, tool calls too, is STOP."""
_SAY_IT_AGAIN = frozenset(("gemini", "openai"))
"""Providers whose streams tell each block of text once more as a whole, up to 1.4.0. Measured: Anthropic's do not
(``tests/conformance/test_sdks.py``, as for the next)."""
_UNTOLD_CUTS = frozenset(("openai",))
"""Providers whose stream ends without its last event when it reached ``maxOutputTokens``: measured of all versions but
1.5.1, which asks no other provider than Gemini over this route."""


class GenAI(ProviderFormat):
    """``/genai/v1beta/models/{model}:generateContent`` and ``:streamGenerateContent`` (integrations/genai.go).

    Streams are server-sent events with or without ``alt=sse``; they end without ``[DONE]`` (integrations/router.go).
    """

    route = "genai"
    provider = "gemini"

    def request(self, body: dict[str, Any], model: str) -> dict[str, Any]:
        config = fields(body.get("generationConfig"))
        system = objects(fields(body.get("systemInstruction")).get("parts"))
        spoken = conversation(body.get("contents"), system, _chat_messages)
        chat = {ours: config[theirs] for theirs, ours in _CONFIG.items() if theirs in config}
        chat |= {"model": model, "stream": bool(self.streamed), "messages": spoken}
        if "fallbacks" in body:
            chat["fallbacks"] = body["fallbacks"]
        if config.get("responseMimeType") == "application/json":
            chat["response_format"] = {"type": "json_object"}
        if tools := _tools(body):
            chat["tools"] = tools
            calling = fields(fields(body.get("toolConfig")).get("functionCallingConfig"))
            chat["tool_choice"] = _MODES.get(str(calling.get("mode")), "auto")
        return chat

    def answer(self, reply: ProviderReply) -> dict[str, Any]:
        parts: list[dict[str, Any]] = []
        if reply.choice.reasoning:
            parts.append({"text": "".join(reply.choice.reasoning), "thought": True})
        if reply.choice.text:
            parts.append({"text": reply.choice.text})
        parts += [_function_call(call, call["function"]["arguments"]) for call in reply.choice.tool_calls]
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        body: dict[str, Any] = {"createTime": now, "modelVersion": reply.model, "responseId": reply.id}
        if reply.dialect.name == "1.3" and reply.provider == "gemini":  # measured: its own answer, as it is
            body = {"modelVersion": reply.model}
        if parts:  # providers/gemini/responses.go: an empty answer has no candidate at all
            body["candidates"] = [_candidate(parts, _reason(reply))]
        return body | {"usageMetadata": _usage(reply.tokens)}

    def stream(self, reply: ProviderReply) -> ProviderStream:
        return _GenaiStream(reply)

    def error(self, error: dict[str, Any], dialect: Dialect) -> Any:
        """providers/gemini/errors.go; an error of the engine itself has code 500, whatever its status line says."""
        details = error["error"]
        known = {"code": error.get("status_code", 500), "message": details["message"]}
        return {"error": known | {"status": details.get("type") or "", "details": None}}

    def encode(self, event: Event) -> bytes:
        return sse(event[1])

    def error_frame(self, error: dict[str, Any], dialect: Dialect) -> bytes:
        return sse(self.error(error, dialect))


class _GenaiStream(ProviderStream):
    """providers/gemini/responses.go, ToGeminiResponsesStreamResponse: a function call is told when it is whole."""

    def __init__(self, reply: ProviderReply) -> None:
        super().__init__(reply)
        self._call: Mapping[str, Any] = {}
        self._arguments = ""
        self._text = ""

    def open(self, kind: Kind, tool: Mapping[str, Any] | None) -> Iterator[Event]:
        self._call, self._arguments, self._text = tool or {}, "", ""
        return iter(())

    def delta(self, kind: Kind, text: str) -> Iterator[Event]:
        if kind == "tool":
            self._arguments += text
            return
        self._text += text
        yield "", {"candidates": [_candidate([{"text": text} | ({"thought": True} if kind == "reasoning" else {})])]}

    def close(self) -> Iterator[Event]:
        if self.kind == "tool":
            yield "", {"candidates": [_candidate([_function_call(self._call, self._arguments)])]}
        again = self.reply.dialect.before(1, 4, 18) and self.reply.provider in _SAY_IT_AGAIN
        if again and self.kind == "text" and self._text:
            yield "", {"candidates": [_candidate([{"text": self._text}])]}

    def finish(self) -> Iterator[Event]:
        if self.reply.choice.finish_reason == "length" and self.reply.provider in _UNTOLD_CUTS:
            return
        last = {"candidates": [_candidate([], _reason(self.reply))], "modelVersion": self.reply.model}
        if self.reply.dialect.name == "2.0":  # measured of it alone
            last["responseId"] = self.reply.id
        yield "", merged(last | {"usageMetadata": _usage(self.reply.tokens)}, self.reply.merge)


def _reason(reply: ProviderReply) -> str:
    """Why the answer ended. Measured (``tests/conformance/test_sdks.py``): what OpenAI cut is OTHER before 2.0, and
    1.4.18 knows no reason here either."""
    if reply.choice.finish_reason == "length" and reply.provider in _UNTOLD_CUTS and reply.dialect.before(2, 0):
        return "OTHER"
    return _FINISH_REASONS.get("stop" if reply.dialect.before(1, 5) else reply.told_reason, "STOP")


def _candidate(parts: list[dict[str, Any]], finish_reason: str | None = None) -> dict[str, Any]:
    content: dict[str, Any] = ({"parts": parts} if parts else {}) | {"role": "model"}
    reason = {} if finish_reason is None else {"finishReason": finish_reason}
    return {"content": content} | reason


def _usage(tokens: TokenCounts) -> dict[str, Any]:
    """providers/gemini/utils.go: thoughts stand beside the candidates' tokens, the cache inside the prompt's."""
    counts = {
        "promptTokenCount": tokens.prompt,
        "candidatesTokenCount": tokens.completion - tokens.reasoning,
        "totalTokenCount": tokens.total,
        "thoughtsTokenCount": tokens.reasoning,
        "cachedContentTokenCount": tokens.cache_read,
    }
    return {name: count for name, count in counts.items() if count}


def _function_call(call: Mapping[str, Any], text: str) -> dict[str, Any]:
    return {"functionCall": {"id": call["id"], "name": call["function"]["name"], "args": arguments(text)}}


def _chat_messages(content: Any) -> list[Any]:
    """One content as the chat has it: function responses are messages of their own there."""
    if not isinstance(content, dict):
        return [content]
    parts = objects(content.get("parts"))
    results = [part["functionResponse"] for part in parts if isinstance(part.get("functionResponse"), dict)]
    calls = [part["functionCall"] for part in parts if isinstance(part.get("functionCall"), dict)]
    rest = [part for part in parts if "functionResponse" not in part and "functionCall" not in part]
    messages = [
        {"role": "tool", "tool_call_id": result.get("id"), "content": _text(result.get("response"))}
        for result in results
    ]
    if rest or calls or not results:
        role = "assistant" if content.get("role") == "model" else "user"
        called = [tool_call(call.get("id"), call.get("name"), call.get("args")) for call in calls]
        messages.append({"role": role, "content": rest} | ({"tool_calls": called} if called else {}))
    return messages


def _text(value: Any) -> str:
    return orjson.dumps(value or {}).decode()


def _tools(body: dict[str, Any]) -> list[dict[str, Any]]:
    declared = [item for tool in objects(body.get("tools")) for item in objects(tool.get("functionDeclarations"))]
    return [function_tool(item.get("name"), item.get("description"), _parameters(item)) for item in declared]


def _parameters(item: dict[str, Any]) -> Any:
    """A function's parameters, under each of the names by which the SDK sends them."""
    names = ("parametersJsonSchema", "parameters_json_schema", "parameters")
    return _schema(next((item[name] for name in names if item.get(name)), None))


def _schema(value: Any) -> Any:
    """A schema with its types in small letters, as JSON Schema has them and Google has not."""
    if isinstance(value, dict):
        return {
            name: item.lower() if name == "type" and isinstance(item, str) else _schema(item)
            for name, item in value.items()
        }
    return [_schema(item) for item in value] if isinstance(value, list) else value
