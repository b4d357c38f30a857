"""Sending one answer as the Responses API has it: a ``response`` object, or the events that build one.

Framing and fields follow what was measured of the gateway's engine (1.4 to 1.7) and the published source of its routes:
each event has an ``event:`` line, there is no ``[DONE]``, a provider that breaks off is not noticed (the stream ends
without a last event), and the ``/openai`` routes rebuild each event without the gateway's own fields, which then are
empty, as they always are in the response inside an event.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..dialects import Failure
from ..faults import FaultRule
from .delivery import Delivery, TimedPiece
from .framing import merged, sse
from .responses_as_chat import response_usage
from .responses_writer import ResponseWriter

__all__ = ["ResponsesDelivery"]

Json = dict[str, Any]

_OF_ANTHROPIC = frozenset(
    ("id", "object", "created_at", "completed_at", "error", "model", "output", "usage", "extra_fields")
)
_NULL_OF_ANTHROPIC = (
    "incomplete_details", "instructions", "max_output_tokens", "max_tool_calls", "previous_response_id",
    "prompt_cache_key", "reasoning", "safety_identifier", "service_tier", "tools",
)  # fmt: skip
_NOT_OF_OPENAI = frozenset(
    (
        "extra_fields", "completed_at", "max_tool_calls", "prompt_cache_key", "safety_identifier", "service_tier",
    )
)  # fmt: skip
"""What no simulated provider of the captures sent by itself."""
_ANTHROPIC_REASONS = {"length": "max_tokens", "stop": "end_turn"}


@dataclass(slots=True)
class ResponsesDelivery(Delivery):
    """The sending of one attempt's answer."""

    _writer: ResponseWriter = field(init=False)
    _sequence: int = 0

    def __post_init__(self) -> None:
        self.answer_id = f"resp_{self.answer_id}"
        facts: Json = {"id": self.answer_id, "object": "response", "created_at": int(time.time())}
        if self.dialect.before(1, 4, 18) and not self._is_raw:
            del facts["object"]  # this generation does not know the field
        facts |= {"model": self.dialect.model_name(self.attempt.route), "extra_fields": self._empty}
        self._writer = ResponseWriter(self.attempt.answer, self.call.body, facts)

    @property
    def _empty(self) -> Json:
        """``extra_fields`` in which nothing has been filled in."""
        return {"request_type": "", **self.dialect.routing_info, "latency": 0, "chunk_index": 0}

    def _usage(self) -> Json:
        dialect = self.dialect
        split = () if dialect.before(1, 4, 18) else ("cached_read_tokens", "cached_write_tokens")
        written = ("cache_write_tokens",) if dialect.second else ()
        return response_usage(self.attempt.usage, "cached_tokens", *split, *written)

    def _body(self) -> Json:
        response = self._told(self._converted(self._writer.response(self._usage()), whole=True))
        if self._is_raw:
            return response
        return response | {"extra_fields": self._extra(self.attempt.tell_latency(), 0)}

    def _converted(self, response: Json, *, whole: bool) -> Json:
        """What becomes of an answer of Anthropic's: nothing of what was asked, no status, and why it ended in
        Anthropic's words up to 1.5.1, in a chat's later; the whole answers of 1.4.0 do not tell it."""
        if self.attempt.route.provider != "anthropic":
            return response
        kept = {name: response[name] for name in response.keys() & _OF_ANTHROPIC} | dict.fromkeys(_NULL_OF_ANTHROPIC)
        kept["usage"] = response["usage"] | {
            name: counts if any(counts.values()) else None
            for name, counts in response["usage"].items()
            if name.endswith("_details")
        }
        kept["output"] = [_of_anthropic(item, bare=self.dialect.name == "1.3") for item in response["output"]]
        if not self.dialect.before(1, 4, 18) and (self.dialect.name == "1.4.18" or not whole):
            kept["object"] = ""
        reason = self.attempt.answer.choices[0].finish_reason
        if whole and self.dialect.before(1, 5, 16):
            reason = _ANTHROPIC_REASONS.get(reason, reason)
        return kept | ({} if whole and self.dialect.before(1, 4, 18) else {"stop_reason": reason})

    @property
    def _is_raw(self) -> bool:
        """Whether all is the provider's own, whole answers too."""
        return self.dialect.name == "1.3" and self._raw_answer == "instead"

    def _told(self, response: Json) -> Json:
        """A ``response`` with the defaults that the ``/openai`` routes fill in; in 1.3 without all that is empty."""
        if self._is_raw:
            return {name: value for name, value in response.items() if name not in _NOT_OF_OPENAI}
        if self.dialect.name == "1.3":
            return _without_empty(response)
        if self.call.route == "v1" or self.attempt.route.provider == "anthropic":
            return response
        filled = {"background": False, "presence_penalty": 0, "frequency_penalty": 0, "top_logprobs": 0}
        told = {**filled, **response, "service_tier": response["service_tier"] or "auto"}
        return told | {"text": {"verbosity": "medium"} | response["text"]}

    # -- stream -----------------------------------------------------------------------------------------------------

    def _burst(self, rule: FaultRule, first: float) -> list[bytes] | None:
        return None  # its events are numbered, and nobody measures with them

    def _opening(self) -> Json | None:
        return {}

    def _frame(self, piece: TimedPiece, latency_ms: int) -> bytes:
        if piece.kind == "role":
            events = self._writer.opening()
            if self.attempt.route.provider == "anthropic":
                events = [event | {"response": self._begun(event["response"])} for event in events]
        elif piece.kind == "tool":
            call = (piece.delta or {})["tool_calls"][0]
            events = self._writer.called(call["index"], call["function"]["arguments"])
        else:
            events = self._writer.said(piece.kind, piece.start, piece.end)
        return self._encode(events, latency_ms)

    def _begun(self, response: Json) -> Json:
        """An answer of Anthropic's that has begun. Measured: it knows its usage already, but not in 1.4.0."""
        told = self._converted(response | {"usage": self._usage()}, whole=False)
        usage = None if self.dialect.before(1, 4, 18) else told["usage"]
        return {name: value for name, value in told.items() if name != "stop_reason"} | {"output": None, "usage": usage}

    def _ending(self) -> bytes:
        *others, last = self._writer.ending(self._usage())
        if self.attempt.route.provider == "anthropic":
            response = self._converted(last["response"], whole=False)
            if self.dialect.before(1, 5, 16):
                response["output"] = None  # measured: only the events before it say what was answered
            last = {"type": "response.completed", "response": response}
        return self._encode(others, 0) + self._encode(
            [merged(last, self.attempt.rule.merge)], self.attempt.tell_latency()
        )

    def _cut_off(self) -> bytes:
        return b""

    def _error_frame(self, failure: Failure) -> bytes:
        return sse(self.dialect.error_frame(failure, self.attempt.route), "error")

    def _encode(self, events: Iterable[Json], latency_ms: int) -> bytes:
        encoded = b""
        for event in events:
            number, self._sequence = self._sequence, self._sequence + 1
            content = {**event, "sequence_number": number}
            if "response" in event:
                content["response"] = self._told(event["response"])
            if not self._is_raw:
                content = (
                    _without_empty(content)
                    if self.dialect.name == "1.3"
                    else {"item": None, "logprobs": None} | content
                )
                content["extra_fields"] = self._extra(latency_ms, number) if self.call.route == "v1" else self._empty
            encoded += sse(content, str(event["type"]))
        return encoded


def _of_anthropic(item: Json, *, bare: bool) -> Json:
    """An item as the gateway makes it of Anthropic's answer: always completed; `bare`: without what 1.4.0 adds."""
    if not bare:
        return item | ({"status": "completed"} if "status" in item else {})
    told = {name: value for name, value in item.items() if name != "status"}
    if "content" in item:
        told["content"] = [{"type": part["type"], "text": part["text"]} for part in item["content"]]
    return told


def _without_empty(content: Json) -> Json:
    """Measured of 1.3.63: neither what is null nor an empty list of log probabilities, tools or output is there."""
    kept = {name: _kept(value) for name, value in content.items()}
    return {
        name: value
        for name, value in kept.items()
        if (value is not None or name.endswith("put_tokens_details"))
        and (value or name not in ("logprobs", "tools", "output", "cached_tokens"))
    }


def _kept(value: Any) -> Any:
    if isinstance(value, dict):
        return _without_empty(value)
    return [_kept(item) for item in value] if isinstance(value, list) else value
