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


@dataclass(slots=True)
class ResponsesDelivery(Delivery):
    """The sending of one attempt's answer."""

    _writer: ResponseWriter = field(init=False)
    _sequence: int = 0

    def __post_init__(self) -> None:
        self.answer_id = f"resp_{self.answer_id}"
        facts: Json = {"id": self.answer_id, "object": "response", "created_at": int(time.time())}
        if self.dialect.old:
            del facts["object"]  # this generation does not know the field
        facts |= {"model": self.dialect.model_name(self.attempt.route), "extra_fields": self._empty}
        self._writer = ResponseWriter(self.attempt.answer, self.call.body, facts)

    @property
    def _empty(self) -> Json:
        """``extra_fields`` in which nothing has been filled in."""
        routing: Json = {} if self.dialect.old else {"routing_info": {}}
        return {"request_type": "", **routing, "latency": 0, "chunk_index": 0}

    def _usage(self) -> Json:
        return response_usage(self.attempt.usage, splits_cached=not self.dialect.old)

    def _body(self) -> Json:
        response = self._converted(self._writer.response(self._usage()), told=not self.dialect.old)
        return response | {"extra_fields": self._extra(round(self.attempt.elapsed_ms), 0)}

    def _converted(self, response: Json, *, told: bool) -> Json:
        """What becomes of an answer of Anthropic's: no status; a chat's finish reason where it is `told`."""
        if self.attempt.route.provider != "anthropic":
            return response
        kept = {name: value for name, value in response.items() if name not in ("status", "incomplete_details")}
        reason = {"stop_reason": self.attempt.answer.choices[0].finish_reason} if told else {}
        return kept | {"incomplete_details": None} | reason

    # -- stream -----------------------------------------------------------------------------------------------------

    def _burst(self, rule: FaultRule, first: float) -> list[bytes] | None:
        return None  # its events are numbered, and nobody measures with them

    def _opening(self) -> Json | None:
        return {}

    def _frame(self, piece: TimedPiece, latency_ms: int) -> bytes:
        if piece.kind == "role":
            events = self._writer.opening()
        elif piece.kind == "tool":
            call = (piece.delta or {})["tool_calls"][0]
            events = self._writer.called(call["index"], call["function"]["arguments"])
        else:
            events = self._writer.said(piece.kind, piece.start, piece.end)
        return self._encode(events, latency_ms)

    def _ending(self) -> bytes:
        *others, last = self._writer.ending(self._usage())
        if self.attempt.route.provider == "anthropic":
            response = self._converted(last["response"], told=True)
            if self.dialect.old:
                response["output"] = None  # measured: only the events before it say what was answered
            last = {"type": "response.completed", "response": response}
        return self._encode(others, 0) + self._encode(
            [merged(last, self.attempt.rule.merge)], round(self.attempt.elapsed_ms)
        )

    def _cut_off(self) -> bytes:
        return b""

    def _error_frame(self, failure: Failure) -> bytes:
        return sse(self.dialect.error_frame(failure, self.attempt.route), "error")

    def _encode(self, events: Iterable[Json], latency_ms: int) -> bytes:
        encoded = b""
        for event in events:
            number, self._sequence = self._sequence, self._sequence + 1
            extra = self._extra(latency_ms, number) if self.call.route == "v1" else self._empty
            content = {**event, "sequence_number": number, "extra_fields": extra}
            encoded += sse(content, str(event["type"]))
        return encoded
