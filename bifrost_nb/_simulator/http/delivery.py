"""Sending one answer as the dialect has it, whole or as a stream, at the times planned for each piece.

In one file, as the other deliveries replace single steps of what is planned, encoded and sent here.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

import orjson

from ..content.answers import SimulatedAnswer, SimulatedChoice
from ..content.tools import tool_deltas
from ..deployments import SimulatedDeployment
from ..dialects import Dialect, Failure, Route
from ..faults import FaultRule
from .connection import ServerConnection
from .framing import DONE, STREAM_HEADERS, merged, sse
from .request import SimulatedCall

__all__ = ["Delivery", "ProviderAttempt", "TimedPiece"]

_BLOCK = 64 * 1024
_HOLD_STEP_S = 0.02


@dataclass(slots=True, kw_only=True)
class ProviderAttempt:
    """One try at a deployment that answers: what, at which pace, for how much."""

    route: Route
    deployment: SimulatedDeployment
    rule: FaultRule
    answer: SimulatedAnswer
    usage: dict[str, Any]
    cost_usd: float | None
    """For the gateway's log."""
    cache: dict[str, Any] | None
    began: float
    """Monotonic seconds, as all times here."""
    first_s: float
    """From `began` to the first token."""
    token_s: float
    """Mean time per token."""
    random: Random
    latency_ms: int | None = None
    """What the answer said that it took. Measured: its row in the log says the same."""

    @property
    def elapsed_ms(self) -> float:
        """Since `began`."""
        return (time.monotonic() - self.began) * 1e3

    def tell_latency(self) -> int:
        """Whole milliseconds since `began`, for the answer to tell now."""
        self.latency_ms = round(self.elapsed_ms)
        return self.latency_ms


@dataclass(slots=True)
class TimedPiece:
    """One chunk to send: tokens `start` to `end` of a choice's text or reasoning, or a part of a tool call."""

    at: float
    choice: SimulatedChoice
    kind: Literal["text", "reasoning", "role", "tool"]
    start: int = 0
    end: int = 0
    delta: dict[str, Any] | None = None
    last: bool = False
    """It says why the answer ended, too: a provider's that has no chunk for that alone."""


@dataclass(slots=True)
class Delivery:
    """The sending of one attempt's answer."""

    dialect: Dialect
    call: SimulatedCall
    attempt: ProviderAttempt
    link: ServerConnection
    answer_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    failure: Failure | None = None
    """The error that broke the stream, by script."""
    _sent_tokens: int = 0
    _sent_text: list[str] = field(default_factory=list)
    _chunk_index: int = 0
    _ended: bool = False
    _templates: dict[Any, tuple[list[bytes], bytes, bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.answer_id = ("cmpl-" if self.call.kind == "text" else "chatcmpl-") + self.answer_id

    @property
    def _stream_headers(self) -> Mapping[str, str]:
        return STREAM_HEADERS

    @property
    def _heartbeat_s(self) -> float | None:
        scripted_ms = self.attempt.rule.heartbeat_ms
        return self.dialect.heartbeat_s if scripted_ms is None else scripted_ms / 1e3

    @property
    def starts_with_error(self) -> bool:
        """Whether by script a stream's first frame is an error, and the gateway sees that before it begins its answer.

        Measured from 1.4.18 on, of the providers that open a stream with the first piece of text; others have begun.
        """
        scripted = self.call.stream and self.attempt.rule.error_after_chunks == 0
        return scripted and not self.dialect.before(1, 4, 18) and self._opening() is None

    async def run(self) -> None:
        """Send everything. Raises ClientGone, Dropped. Afterwards `failure` tells whether the stream broke."""
        rule = self.attempt.rule
        if rule.drop is not None:
            self.link.drop_how, self.link.drop_after = rule.drop.how, rule.drop.after_bytes
        if self.call.stream:
            self.link.buffers = self.dialect.buffers_streams
            await self._stream(rule)
        else:
            await self._whole(rule)

    def usage(self) -> dict[str, Any]:
        """Usage so far: all of it once complete, the tokens sent when the client left before."""
        if self.link.complete:
            return self.attempt.usage
        return self.dialect.usage(self.attempt.answer.prompt_tokens, self._sent_tokens)

    def text(self) -> str:
        """The first choice's text sent so far."""
        return "".join(self._sent_text) if self.call.stream else self.attempt.answer.choices[0].text

    # -- whole ------------------------------------------------------------------------------------------------------

    async def _whole(self, rule: FaultRule) -> None:
        attempt = self.attempt
        total = attempt.first_s + attempt.answer.slowest * attempt.token_s
        for planned in (rule.first_text_ms, rule.delay_ms):
            total = total if planned is None else planned / 1e3
        await self.link.until(attempt.began + total)
        await self._silence(rule)
        content = rule.content() if rule.body is not None else orjson.dumps(merged(self._body(), rule.merge))
        headers = {"content-type": "application/json", "content-length": str(len(content))}
        await self.link.start(rule.status or 200, self._headers(headers, rule))
        if rule.drop is not None and rule.drop.after_chunks is not None:
            await self.link.drop()
        await self.link.write(content, last=True)

    def _body(self) -> dict[str, Any]:
        attempt = self.attempt
        choices = [self._choice(choice) for choice in attempt.answer.choices]
        extra = self._extra(attempt.tell_latency(), 0)
        answer = self.dialect.answer(self.call, attempt.route, self.answer_id, choices, attempt.usage, extra)
        if not self._raw_answer:
            return answer
        own = self._as_provider(answer)
        if self._raw_answer == "instead":
            return own
        return answer | {"extra_fields": extra | {"raw_response": own}}

    @property
    def _raw_answer(self) -> Literal["", "beside", "instead"]:
        """How the provider's own answer is handed on.

        Measured: up to 1.4.18 where a request asks for it, later only with a setting of the gateway's, which is off; in
        1.3.63 always on the routes of OpenAI's SDK. There OpenAI's own stands in place of the gateway's.
        """
        on_sdks_route = self.call.route == "openai"
        asked = self.call.headers.get("x-bf-send-back-raw-response") == "true"
        if not self.dialect.old or not (asked or (on_sdks_route and self.dialect.name == "1.3")):
            return ""
        return "instead" if on_sdks_route and self.attempt.route.provider == "openai" else "beside"

    def _as_provider(self, body: dict[str, Any]) -> dict[str, Any]:
        """An answer, or a chunk, as a provider of OpenAI's style sent it."""
        own = {name: value for name, value in body.items() if name != "extra_fields"}
        own = {"created": int(time.time())} | own | {"usage": body.get("usage")}
        own["choices"] = [
            {"finish_reason": None}
            | {name: value for name, value in choice.items() if name != self.dialect.logprobs}
            | ({} if "role" in choice.get("delta", {}) else {"logprobs": choice.get(self.dialect.logprobs)})
            for choice in body["choices"]
        ]
        return own

    def _choice(self, choice: SimulatedChoice) -> dict[str, Any]:
        body: dict[str, Any] = {"index": choice.index, "finish_reason": choice.finish_reason}
        if self.call.kind == "text":
            body["text"] = choice.text
        else:
            message: dict[str, Any] = {"role": "assistant"}
            if choice.tool_calls:
                message["tool_calls"] = choice.tool_calls
            else:
                message["content"] = choice.text
            if choice.reasoning:
                message |= _reasoning("".join(choice.reasoning))
            body["message"] = message
        return body | self._logprobs(choice, 0, len(choice.tokens))

    def _logprobs(self, choice: SimulatedChoice, start: int, end: int) -> dict[str, Any]:
        if not self.attempt.answer.wants_logprobs or choice.probabilities is None:
            return {}
        layout = choice.text_logprobs if self.call.kind == "text" else choice.chat_logprobs
        return {self.dialect.logprobs: layout(start, end)}

    # -- stream -----------------------------------------------------------------------------------------------------

    async def _stream(self, rule: FaultRule) -> None:
        attempt, link = self.attempt, self.link
        first = attempt.first_s if rule.first_text_ms is None else rule.first_text_ms / 1e3
        # The provider accepts the request well before it has its first token.
        accepted = min(first, 0.4 * attempt.first_s) if rule.delay_ms is None else rule.delay_ms / 1e3
        await link.until(attempt.began + accepted)
        await self._silence(rule)
        headers = {**self._stream_headers, **self.dialect.stream_headers(attempt.route)}
        if rule.provider_timeout_ms is not None:  # 1.3 has begun its answer by then; later ones answer with a status
            await link.until(attempt.began + rule.provider_timeout_ms / 1e3)
            await link.start(200, self._headers(headers, rule))
            return await self._break(self.dialect.gave_up(stream=True))
        burst = self._burst(rule, first)
        await link.start(rule.status if rule.status and rule.frames else 200, self._headers(headers, rule))
        if rule.frames is not None:
            return await self._raw(rule)
        stops = rule.stops
        if 0 in stops and await self._stop_at(0, rule):
            return None
        if burst is not None:
            await self._play_burst(burst, first)
        elif await self._play(rule, self._plan(first, rule), stops):
            return None
        if rule.hold_after_chunks is not None:  # the answer has fewer chunks
            await self._hold(rule)
        if rule.omit_end:
            return await link.write(b"", last=True)
        return await link.write(self._ending(), last=True)

    async def _play(self, rule: FaultRule, pieces: list[TimedPiece], stops: set[int]) -> bool:
        """Send each piece at its time, those that are late together. True: a scripted end came first."""
        link, record, began = self.link, self.link.record, self.attempt.began
        place, before = 0, began
        while place < len(pieces):
            # Measured: before its first frame a stream is silent.
            await link.idle(began + pieces[place].at, self._heartbeat_s if place else None)
            now = time.monotonic()
            block: list[bytes] = []
            size, due = 0, now - began + 0.0002
            stopped = False
            while place < len(pieces) and pieces[place].at <= due and size < _BLOCK and not stopped:
                piece = pieces[place]
                place += 1
                frame = self._frame(piece, round((now - before) * 1e3))
                before = now
                block.append(frame)
                size += len(frame)
                if piece.kind != "role":
                    self._note(piece, now)
                    stopped = record.chunks in stops
            await link.write(b"".join(block))
            if stopped and await self._stop_at(record.chunks, rule):
                return True
        return False

    def _note(self, piece: TimedPiece, now: float) -> None:
        record = self.link.record
        record.chunks += 1
        record.chunk_times.append(now)
        self._sent_tokens += piece.end - piece.start
        if piece.kind == "text":
            if record.first_text_at is None:
                record.first_text_at = now
            if piece.choice.index == 0:
                self._sent_text += piece.choice.tokens[piece.start : piece.end]

    async def _stop_at(self, chunks: int, rule: FaultRule) -> bool:
        """What is scripted after `chunks` chunks: drop, stall, hold or an error frame. True: the stream is over."""
        if rule.drop is not None and rule.drop.after_chunks == chunks:
            await self.link.drop()
        if rule.stall_after_chunks == chunks:
            await self.link.until(None)
        if rule.hold_after_chunks == chunks:
            await self._hold(rule)
        if rule.error_after_chunks == chunks:
            await self._break(rule.failure())
            return True
        if rule.provider_cut_after_chunks == chunks:
            await self._cut()
            return True
        return False

    async def _hold(self, rule: FaultRule) -> None:
        while rule.holds:
            await self.link.until(time.monotonic() + _HOLD_STEP_S)

    async def _cut(self) -> None:
        """End the stream as where its provider broke off."""
        provider, prompt = self.attempt.route.provider, self.attempt.usage.get("prompt_tokens", 0)
        begun = {"prompt_tokens": prompt, "completion_tokens": 1, "total_tokens": prompt + 1}
        self.attempt.usage = begun if provider == "anthropic" else {"total_tokens": 0}  # its first event has counts
        self.attempt.cost_usd = None
        unnoticed = self.call.kind == "chat" and provider == "gemini"  # of 2.0, too
        self.failure = None if unnoticed else self.dialect.cut()
        content = self._cut_off() if self.failure is None else self._cut_frame(self.failure)
        await self.link.write(content, last=True)

    async def _break(self, failure: Failure) -> None:
        """End the stream with an error frame."""
        self.failure = failure
        if self.attempt.route.provider != "anthropic":
            failure.latency_ms = self.attempt.tell_latency()
        await self.link.write(self._error_frame(failure), last=True)

    async def _raw(self, rule: FaultRule) -> None:
        for frame in rule.frames or []:
            await self.link.until(time.monotonic() + frame.pause_ms / 1e3)
            pieces = frame.pieces()
            for place, piece in enumerate(pieces):
                if place and frame.cut_pause_ms:
                    await self.link.until(time.monotonic() + frame.cut_pause_ms / 1e3)
                await self.link.write(piece)
        if rule.stall_after_chunks is not None:
            await self.link.until(None)
        if rule.drop is not None and rule.drop.after_bytes is None:
            await self.link.drop()
        await self.link.write(b"", last=True)

    async def _silence(self, rule: FaultRule) -> None:
        """Never answer, or drop the connection before any answer, where the rule says so."""
        if rule.silent:
            await self.link.until(None)
        if rule.drop is not None and rule.drop.after_bytes is rule.drop.after_chunks is None and rule.frames is None:
            await self.link.drop(rule.drop.how)

    # -- a stream without gaps --------------------------------------------------------------------------------------

    def _burst(self, rule: FaultRule, first: float) -> list[bytes] | None:
        """The content chunks as blocks of bytes, when they are sent without gaps and nothing stops them on the way."""
        if rule.gap_ms != 0 or rule.stops or self._ends_in_a_piece:
            return None
        key = (self.call.kind, self.call.route, self.attempt.route.fallback_index, orjson.dumps(self.call.body))
        if key not in rule.burst:
            pieces = self._plan(first, rule)
            blocks, block, size = [], [], 0
            for piece in pieces:
                block.append(self._frame(piece, 0))
                size += len(block[-1])
                if size >= _BLOCK:
                    blocks.append(b"".join(block))
                    block, size = [], 0
            rule.burst[key] = (len(pieces), [*blocks, b"".join(block)])
        self._chunk_index, blocks = rule.burst[key]
        return blocks

    async def _play_burst(self, blocks: list[bytes], first: float) -> None:
        await self.link.until(self.attempt.began + first)
        record = self.link.record
        record.first_text_at = time.monotonic()
        record.chunks = self._chunk_index
        self._sent_tokens = self.attempt.answer.completion_tokens
        self._sent_text = self.attempt.answer.choices[0].tokens
        for block in blocks:
            await self.link.write(block)

    # -- planning and encoding --------------------------------------------------------------------------------------

    def _plan(self, first: float, rule: FaultRule) -> list[TimedPiece]:
        """All pieces of all choices, by time."""
        pieces: list[TimedPiece] = []
        for choice in self.attempt.answer.choices:
            pieces += self._plan_choice(choice, first, rule)
        pieces.sort(key=lambda piece: piece.at)
        if self._ends_in_a_piece and pieces and not rule.omit_end:
            pieces[-1].last = True
        return pieces

    @property
    def _ends_in_a_piece(self) -> bool:
        """Measured of Gemini's chats: the last piece of text has the finish reason and the usage."""
        return self.call.kind == "chat" and self.attempt.route.provider == "gemini"

    def _plan_choice(self, choice: SimulatedChoice, first: float, rule: FaultRule) -> Iterable[TimedPiece]:
        attempt = self.attempt
        scripted = rule.text is not None or rule.chunks is not None
        size = 1 if scripted or rule.gap_ms is not None else attempt.deployment.chunk_tokens
        gap = size * attempt.token_s if rule.gap_ms is None else rule.gap_ms / 1e3
        jitter = 0.0 if rule.gap_ms is not None else 0.35
        at = first
        if (opening := self._opening()) is not None:
            yield TimedPiece(first * 0.98, choice, "role", delta=opening)
        kinds: tuple[tuple[Literal["reasoning", "text"], list[str]], ...]
        kinds = (("reasoning", choice.reasoning), ("text", choice.tokens))
        number = 0
        for kind, tokens in kinds:
            for start in range(0, len(tokens), size):
                # Jitter moves a piece around its place on the grid, so that a long stream does not drift.
                late = gap * jitter * attempt.random.random() if jitter and number else 0.0
                yield TimedPiece(at + number * gap + late, choice, kind, start, min(start + size, len(tokens)))
                number += 1
        for call in choice.tool_calls:
            for place, delta in enumerate(tool_deltas(call)):
                yield TimedPiece(at + place * gap, choice, "tool", delta={"tool_calls": [delta]})

    def _opening(self) -> dict[str, Any] | None:
        """The delta before any content; None where there is none."""
        return self.dialect.opening(self.attempt.route) if self.call.kind == "chat" else None

    def _extra(self, latency_ms: Any, chunk_index: Any) -> dict[str, Any]:
        extra = self.dialect.extra_fields(self.attempt.route, latency_ms, chunk_index)
        if self.attempt.cache is not None:
            extra["cache_debug"] = self.attempt.cache
        return extra

    def _frame(self, piece: TimedPiece, latency_ms: int) -> bytes:
        """One chunk as bytes; the parts that stay the same are encoded once."""
        if piece.last:
            self._ended = True
            part = self._part(piece, "".join(self._tokens(piece)))
            return self._last_frame(piece.choice.finish_reason, part)
        index, self._chunk_index = self._chunk_index, self._chunk_index + 1
        logprobs = self._logprobs(piece.choice, piece.start, piece.end) if piece.kind == "text" and piece.end else {}
        if piece.delta is not None or logprobs or self._raw_stream:
            choice = self._part(piece, "".join(self._tokens(piece))) | logprobs
            return self._encoded(choice, latency_ms, index)
        key = (piece.choice.index, piece.kind)
        if key not in self._templates:
            whole = self._encoded(self._part(piece, "@text@"), "@latency@", "@index@")
            head, tail = whole.split(b'"@latency@"')
            middle, end = tail.split(b'"@index@"')
            self._templates[key] = (head.split(b'"@text@"'), middle, end)
        head_parts, middle, end = self._templates[key]
        text = orjson.dumps("".join(self._tokens(piece)))
        return b"%b%d%b%d%b" % (text.join(head_parts), latency_ms, middle, index, end)

    def _tokens(self, piece: TimedPiece) -> list[str]:
        tokens = piece.choice.reasoning if piece.kind == "reasoning" else piece.choice.tokens
        return tokens[piece.start : piece.end]

    def _part(self, piece: TimedPiece, text: str) -> dict[str, Any]:
        if self.call.kind == "text":
            return {"index": piece.choice.index, "text": text}
        delta = piece.delta
        if delta is None:
            delta = _reasoning(text) if piece.kind == "reasoning" else {"content": text}
        if self.attempt.route.provider == "gemini":  # measured: each of its chunks has the role
            delta = {"role": "assistant"} | delta
        return {"index": piece.choice.index, "delta": delta}

    def _encoded(self, choice: dict[str, Any], latency_ms: Any, index: Any) -> bytes:
        extra = self._extra(latency_ms, index)
        chunk = self.dialect.chunk(self.call, self.attempt.route, self.answer_id, choice, extra)
        return sse(self._as_provider(chunk) if self._raw_stream else chunk)

    @property
    def _raw_stream(self) -> bool:
        """Whether the chunks are the provider's own, all but the last; measured of 1.3.63."""
        return self.dialect.name == "1.3" and self._raw_answer == "instead"

    def _ending(self) -> bytes:
        """All that follows the content of a stream."""
        if self._ended:
            return DONE
        return self._closing_frame() + self._last_frame(self.attempt.answer.choices[0].finish_reason) + DONE

    def _cut_off(self) -> bytes:
        """What the gateway ends a stream with whose provider broke off: measured, of these two without a last chunk."""
        if self.call.kind == "chat" and self.attempt.route.provider in ("gemini", "cohere"):
            return DONE
        return self._last_frame(finish_reason=None) + DONE

    def _cut_frame(self, failure: Failure) -> bytes:
        """The error that tells of it: other than one that the provider sent, it has a status."""
        return sse(self.dialect.error(failure, self.attempt.route))

    def _error_frame(self, failure: Failure) -> bytes:
        """An error in the middle of a stream; before 2.0 the native route ends the stream in good order all the same,
        one of Anthropic's even with a last chunk."""
        route = self.attempt.route
        frame = sse(self.dialect.error_frame(failure, route))
        if self.call.route != "v1" or self.dialect.name == "2.0":
            return frame
        told_all = route.provider == "anthropic" and self.call.kind == "chat"
        return frame + (self._last_frame(finish_reason=None) if told_all else b"") + DONE

    def _closing_frame(self) -> bytes:
        """A text provider's own last chunk, without text and, by the gateway's doing, without its finish reason."""
        if self.call.kind == "chat":
            return b""
        choice = self.attempt.answer.choices[0]
        if self._raw_stream:
            index, self._chunk_index = self._chunk_index, self._chunk_index + 1
            return self._encoded({"index": choice.index, "text": "", "finish_reason": choice.finish_reason}, 0, index)
        return self._frame(TimedPiece(0, choice, "text"), 0)

    def _last_frame(self, finish_reason: str | None, part: dict[str, Any] | None = None) -> bytes:
        """The synthesized last chunk: finish reason of the first choice only, usage, the total latency. `part`: the
        choice where it has a piece of text, too."""
        choice: dict[str, Any] = {"index": 0} | ({"finish_reason": finish_reason} if finish_reason else {})
        if self.call.kind == "chat":
            choice["delta"] = {}
        choice |= part or {}
        extra = self._extra(self.attempt.tell_latency(), self._chunk_index)
        route = self.attempt.route
        chunk = self.dialect.chunk(self.call, route, self.answer_id, choice, extra)
        return sse(merged(self.dialect.last_chunk(route, chunk, self.attempt.usage), self.attempt.rule.merge))

    def _headers(self, headers: Mapping[str, str], rule: FaultRule) -> dict[str, str]:
        identity = self.dialect.headers(self.attempt.route, self.attempt.elapsed_ms)
        return {**headers, **identity, **{name.lower(): value for name, value in rule.headers.items()}}


def _reasoning(text: str) -> dict[str, Any]:
    return {"reasoning": text, "reasoning_details": [{"index": 0, "type": "reasoning.text", "text": text}]}
