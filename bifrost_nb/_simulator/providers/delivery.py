"""Sending one answer in an SDK's own words: the times, the scripts and the record are those of every delivery."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..content.answers import SimulatedChoice
from ..dialects import Failure
from ..faults import FaultRule
from ..http.delivery import Delivery, TimedPiece
from .base import Event, ProviderFormat, ProviderReply, ProviderStream

__all__ = ["ForeignDelivery"]


@dataclass  # without slots, for super()
class ForeignDelivery(Delivery):
    """The sending of one attempt's answer as `format` has it."""

    format: ProviderFormat = field(kw_only=True)
    _stream_of: ProviderStream | None = None

    def __post_init__(self) -> None:
        attempt = self.attempt
        if self.format.operation == "count_tokens":  # nothing is generated, and nobody has a price for counting
            attempt.usage, attempt.cost_usd = self.dialect.usage(attempt.answer.prompt_tokens, 0), None
            nothing = SimulatedChoice(index=0, prompt="", tokens=[], finish_reason="stop")
            attempt.answer = replace(attempt.answer, choices=[nothing])

    @property
    def _stream_headers(self) -> Mapping[str, str]:
        return self.format.stream_headers

    @property
    def _heartbeat_s(self) -> float | None:
        return super()._heartbeat_s if self.format.comments else None

    def _body(self) -> dict[str, Any]:
        return self.format.answer(self._reply())

    def _reply(self) -> ProviderReply:
        attempt = self.attempt
        return ProviderReply(
            id=self.answer_id,
            model=self.dialect.model_name(attempt.route),
            provider=attempt.route.provider,
            dialect=self.dialect,
            choice=attempt.answer.choices[0],
            usage=attempt.usage,
            latency_ms=attempt.tell_latency(),
            merge=attempt.rule.merge,
        )

    @property
    def _events(self) -> ProviderStream:
        if self._stream_of is None:
            self._stream_of = self.format.stream(self._reply())
        return self._stream_of

    def _burst(self, rule: FaultRule, first: float) -> list[bytes] | None:
        return None  # a stream of blocks has a state, which bytes kept from another one have not

    def _opening(self) -> dict[str, Any] | None:
        return {}  # what it is, `_frame` knows

    def _frame(self, piece: TimedPiece, latency_ms: int) -> bytes:
        events = self._events
        if piece.kind == "role":
            return self._encode(events.opening())
        if piece.kind == "tool":
            return self._encode(events.called((piece.delta or {})["tool_calls"][0]))
        tokens = piece.choice.reasoning if piece.kind == "reasoning" else piece.choice.tokens
        return self._encode(events.said(piece.kind, "".join(tokens[piece.start : piece.end])))

    def _ending(self) -> bytes:
        return self._encode(self._events.ending()) + self.format.done

    def _cut_off(self) -> bytes:
        return self.format.done  # measured: a provider that broke off is not noticed, and nothing follows

    def _cut_frame(self, failure: Failure) -> bytes:
        return self._error_frame(failure)

    def _error_frame(self, failure: Failure) -> bytes:
        error = self.dialect.error(failure, self.attempt.route)
        error.pop("status_code", None)  # measured: it is known for whole answers only
        return self.format.error_frame(error, self.dialect)

    def _encode(self, events: Iterable[Event]) -> bytes:
        return b"".join(map(self.format.encode, events))
