"""Cohere's chat, as the `cohere` SDK's ClientV2 speaks it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..dialects import Dialect
from ..http.framing import DONE, merged, sse
from ..http.request import SimulatedCall
from .base import Event, Kind, ProviderFormat, ProviderReply, ProviderStream, TokenCounts

__all__ = ["Cohere"]

_SAME = (
    "model", "messages", "max_tokens", "temperature", "frequency_penalty", "presence_penalty", "seed", "stream",
    "tools", "response_format",
)  # fmt: skip
"""Fields with the same name and meaning in a chat. There are no fallbacks on this route (providers/cohere/types.go)."""
_FINISH_REASONS = {"stop": "COMPLETE", "length": "MAX_TOKENS", "tool_calls": "TOOL_CALL"}


class Cohere(ProviderFormat):
    """``/cohere/v2/chat`` (integrations/cohere.go).

    The gateway converts nothing here: measured, its answer is that of a chat, which the SDK cannot read, and what
    Cohere itself said only where the request asks for raw answers (``x-bf-send-back-raw-response: true``; from 1.5 on
    a gateway's client setting ``allow_per_request_raw_override`` must allow that, as it does here). Measured: 1.3.63
    and 1.4.0 have no such route.
    """

    route = "cohere"
    provider = "cohere"
    operation = "chat_completion"
    done = DONE

    def request(self, body: dict[str, Any], model: str) -> dict[str, Any]:
        chat = {name: body[name] for name in _SAME if name in body}
        for theirs, ours in (("p", "top_p"), ("stop_sequences", "stop")):
            if theirs in body:
                chat[ours] = body[theirs]
        if body.get("tool_choice"):
            chat["tool_choice"] = str(body["tool_choice"]).lower()
        return chat

    def converts(self, call: SimulatedCall, provider: str) -> bool:
        return provider == self.provider and call.headers.get("x-bf-send-back-raw-response") == "true"

    def answer(self, reply: ProviderReply) -> dict[str, Any]:
        choice = reply.choice
        content: list[dict[str, Any]] = []
        if choice.reasoning:
            content.append({"type": "thinking", "thinking": "".join(choice.reasoning)})
        if choice.text:
            content.append({"type": "text", "text": choice.text})
        calls = [{name: call[name] for name in ("id", "type", "function")} for call in choice.tool_calls]
        message = {"role": "assistant"} | ({"content": content} if content else {})
        return {
            "id": reply.id,
            "finish_reason": _FINISH_REASONS.get(choice.finish_reason, choice.finish_reason),
            "message": message | ({"tool_calls": calls} if calls else {}),
            "usage": _usage(reply.tokens),
        }

    def stream(self, reply: ProviderReply) -> ProviderStream:
        return _CohereStream(reply)

    def error(self, error: dict[str, Any], dialect: Dialect) -> Any:
        return error

    def encode(self, event: Event) -> bytes:
        name, content = event
        return sse({"type": name} | content)

    def error_frame(self, error: dict[str, Any], dialect: Dialect) -> bytes:
        return sse(error)


class _CohereStream(ProviderStream):
    """providers/cohere/chat.go, ToBifrostChatCompletionStream: what it makes nothing of is not passed on, and that is
    the start and the end of each block."""

    def opening(self) -> Iterator[Event]:
        message = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
        yield "message-start", {"id": self.reply.id, "delta": {"message": message}}

    def open(self, kind: Kind, tool: Mapping[str, Any] | None) -> Iterator[Event]:
        if tool is not None:
            call = {name: tool[name] for name in ("id", "type", "function")}
            yield "tool-call-start", self._message({"tool_calls": call})

    def delta(self, kind: Kind, text: str) -> Iterator[Event]:
        if kind == "tool":
            yield "tool-call-delta", self._message({"tool_calls": {"function": {"arguments": text}}})
        else:
            yield "content-delta", self._message({"content": {"text" if kind == "text" else "thinking": text}})

    def finish(self) -> Iterator[Event]:
        reason = self.reply.choice.finish_reason
        delta = {"finish_reason": _FINISH_REASONS.get(reason, reason), "usage": _usage(self.reply.tokens)}
        yield "message-end", merged({"delta": delta}, self.reply.merge)

    def _message(self, message: dict[str, Any]) -> dict[str, Any]:
        return {"index": self.index, "delta": {"message": message}}


def _usage(tokens: TokenCounts) -> dict[str, Any]:
    counts = {"input_tokens": tokens.prompt, "output_tokens": tokens.completion}
    cached = {"cached_tokens": tokens.cache_read} if tokens.cache_read else {}
    return {"billed_units": counts, "tokens": counts} | cached
