"""Sending one answer as the Responses API has it: a ``response`` object, or the events that build one.

Framing and fields follow the published source of the gateway and its engine (1.4 to 1.7): each event has an ``event:``
line, there is no ``[DONE]``, a provider that breaks off is not noticed (the stream ends without a last event), and the
``/openai`` routes rebuild each event without the gateway's own fields, which then are empty.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from .delivery import Delivery, Piece, merged
from .responding import response_object, response_usage
from .script import Rule

__all__ = ["ResponsesDelivery"]

_EMPTY = {"request_type": "", "latency": 0, "chunk_index": 0}
"""``extra_fields`` where the gateway has filled in nothing: of the inner object, and of events on ``/openai``."""

Json = dict[str, Any]


@dataclass(slots=True)
class ResponsesDelivery(Delivery):
    """The sending of one attempt's answer."""

    _items: list[Json] = field(default_factory=list)
    """What the answer consists of, whole: reasoning, the message, calls of tools."""
    _open: int | None = None
    """The item whose pieces are being sent."""
    _sequence: int = 0
    _created: int = field(default_factory=lambda: int(time.time()))

    def __post_init__(self) -> None:
        self.answer_id = f"resp_{self.answer_id}"
        choice = self.attempt.answer.choices[0]
        status = "incomplete" if choice.finish_reason in ("length", "content_filter") else "completed"
        if choice.reasoning:
            summary = [{"type": "summary_text", "text": "".join(choice.reasoning)}]
            self._items.append({"id": _new("rs"), "type": "reasoning", "summary": summary})
        if choice.tokens or not choice.tool_calls:
            part = {"type": "output_text", "text": choice.text, "annotations": [], "logprobs": self._probabilities()}
            message = {"id": _new("msg"), "type": "message", "status": status, "role": "assistant", "content": [part]}
            self._items.append(message)
        for call in choice.tool_calls:
            facts = {"id": _new("fc"), "type": "function_call", "status": "completed", "call_id": call["id"]}
            self._items.append(facts | call["function"])

    def _probabilities(self, start: int = 0, end: int | None = None) -> list[Any]:
        choice = self.attempt.answer.choices[0]
        if not self.attempt.answer.wants_logprobs or choice.probabilities is None:
            return []
        found: list[Any] = choice.chat_logprobs(start, len(choice.tokens) if end is None else end)["content"]
        return found

    # -- whole ------------------------------------------------------------------------------------------------------

    def _body(self) -> Json:
        return self._response(self._reason) | {"extra_fields": self._extra(self._elapsed_ms(), 0)}

    @property
    def _reason(self) -> str:
        return self.attempt.answer.choices[0].finish_reason

    def _response(self, finish_reason: str | None) -> Json:
        facts: Json = {"id": self.answer_id, "object": "response", "created_at": self._created}
        if self.dialect.name == "1.3":
            del facts["object"]  # this generation does not know the field
        facts |= {"model": self.dialect.model_name(self.attempt.route), "output": [], "extra_fields": _EMPTY}
        if finish_reason is not None:
            usage = response_usage(self.attempt.usage, splits_cached=self.dialect.name != "1.3")
            facts |= {"output": self._items, "usage": usage}
        return response_object(self.call.body, facts, finish_reason)

    # -- stream -----------------------------------------------------------------------------------------------------

    def _burst(self, rule: Rule, first: float) -> list[bytes] | None:
        return None  # its events are numbered, and nobody measures with them

    def _begin(self) -> bytes:
        response = self._response(None)
        return b"".join(self._event(f"response.{name}", 0, response=response) for name in ("created", "in_progress"))

    def _frame(self, piece: Piece, latency_ms: int) -> bytes:
        """The events that one piece of text, reasoning or a call brings, with those that begin and end an item."""
        self._chunk_index += 1
        place = self._place(piece)
        before = b"" if place == self._open else self._close() + self._start(place)
        item = self._items[place]
        where: Json = {"item_id": item["id"], "output_index": place}
        if piece.kind == "reasoning":
            text = "".join(piece.choice.reasoning[piece.start : piece.end])
            delta = self._event(
                "response.reasoning_summary_text.delta", latency_ms, **where, summary_index=0, delta=text
            )
        elif piece.kind == "text":
            text = "".join(piece.choice.tokens[piece.start : piece.end])
            logprobs = self._probabilities(piece.start, piece.end)
            delta = self._event(
                "response.output_text.delta", latency_ms, **where, content_index=0, delta=text, logprobs=logprobs
            )
        else:
            text = (piece.delta or {})["tool_calls"][0]["function"]["arguments"]
            name = "response.function_call_arguments.delta"
            delta = self._event(name, latency_ms, **where, delta=text) if text else b""
        return before + delta

    def _place(self, piece: Piece) -> int:
        kinds = {"reasoning": "reasoning", "text": "message", "tool": "function_call"}
        number = (piece.delta or {})["tool_calls"][0]["index"] if piece.kind == "tool" else 0
        places = [place for place, item in enumerate(self._items) if item["type"] == kinds[piece.kind]]
        return places[number]

    def _start(self, place: int) -> bytes:
        """The events that begin an item."""
        self._open = place
        item = self._items[place]
        empty: Json = {"reasoning": {"summary": []}, "message": {"content": []}}.get(item["type"], {"arguments": ""})
        status = {"status": "in_progress"} if "status" in item else {}
        events = self._event("response.output_item.added", 0, output_index=place, item=item | empty | status)
        where: Json = {"item_id": item["id"], "output_index": place}
        if item["type"] == "message":
            part = item["content"][0] | {"text": "", "logprobs": []}
            events += self._event("response.content_part.added", 0, **where, content_index=0, part=part)
        elif item["type"] == "reasoning":
            part = {"type": "summary_text", "text": ""}
            events += self._event("response.reasoning_summary_part.added", 0, **where, summary_index=0, part=part)
        return events

    def _close(self) -> bytes:
        """The events that end the item that is open."""
        if self._open is None:
            return b""
        place, self._open = self._open, None
        item = self._items[place]
        where: Json = {"item_id": item["id"], "output_index": place}
        if item["type"] == "message":
            part, at = item["content"][0], {**where, "content_index": 0}
            events = self._event("response.output_text.done", 0, **at, text=part["text"], logprobs=part["logprobs"])
            events += self._event("response.content_part.done", 0, **at, part=part)
        elif item["type"] == "reasoning":
            part, at = item["summary"][0], {**where, "summary_index": 0}
            events = self._event("response.reasoning_summary_text.done", 0, **at, text=part["text"])
            events += self._event("response.reasoning_summary_part.done", 0, **at, part=part)
        else:
            facts = {"name": item["name"], "arguments": item["arguments"]}
            events = self._event("response.function_call_arguments.done", 0, **where, **facts)
        return events + self._event("response.output_item.done", 0, output_index=place, item=item)

    def _end(self, rule: Rule, finish_reason: str | None) -> bytes:
        if finish_reason is None:
            return b""
        events = self._close()
        response = self._response(finish_reason)
        kind = f"response.{response['status']}"
        return events + self._event(kind, self._elapsed_ms(), changes=rule.merge, response=response)

    def _error(self, frame: Json) -> bytes:
        return b"event: error\ndata: " + orjson.dumps(frame) + b"\n\n"

    def _event(self, kind: str, latency_ms: int, changes: Mapping[str, Any] | None = None, **facts: Any) -> bytes:
        number, self._sequence = self._sequence, self._sequence + 1
        extra = self._extra(latency_ms, number) if self.call.route == "v1" else _EMPTY
        body = {"type": kind, "sequence_number": number, **facts, "extra_fields": extra}
        return b"event: " + kind.encode() + b"\ndata: " + orjson.dumps(merged(body, changes or {})) + b"\n\n"


def _new(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex}"
