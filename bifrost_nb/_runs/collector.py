"""What arrives for one call becomes its `Run`: pieces of text, times on our clock, tokens, cost, who answered.

No I/O: the transport hands in headers, whole answers and event payloads with their arrival times. The chunk path
looks only at what a chunk needs; the rest stays as received until somebody asks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from operator import sub
from statistics import median
from typing import Any

import orjson

from .._keys import hide
from .._wire.choices import (
    BROKEN_OFF,
    annotations_of,
    audio_of,
    choice_error,
    choice_index,
    choice_text,
    choices_of,
    content_text,
    documented,
    finish_reason,
    logprobs_of,
    merge_audio,
    merge_logprobs,
    reasoning_text,
    refusal_text,
    tool_calls_of,
    usage_beside,
)
from .._wire.chunk_sequence import ChunkOrder
from .._wire.deployments import Deployment
from .._wire.fast_chunks import NO_EXTRA, PlainChunk, plain_chunks
from .._wire.gateway_errors import ErrorInfo, TryAgain, gateway_error, innermost, is_error, no_answer, parse_error
from .._wire.json_text import loads, whole, whole_characters
from .._wire.metadata import header, merged_usage, number_of, parse_cache, parse_usage, rejected_tokens, served
from .._wire.sse import is_done
from .._wire.tool_calls import ToolCalls
from ..errors import BifrostError, GatewayError, ProtocolError, StreamInterrupted
from .cost import add_response_cost
from .pieces import Pieces
from .run import Run

__all__ = [
    "FEWER_CHOICES",
    "HELD_BACK",
    "NOTHING_COUNTED",
    "REFUSED_BESIDE",
    "UNEXPLAINED",
    "Collector",
    "parsed",
    "unexplained",
    "whole",
]


HELD_BACK = (
    "The gateway (1.4.0 does so), or something in front of it, held the stream back and sent it in one piece: ttft_ms "
    "is the time to all of the text, not to a first token, and there is no speed to tell."
)
FEWER_CHOICES = (
    "The answer has fewer choices than n= asked for: gateways up to 1.4.18 drop n= of a chat in silence, and some "
    "providers do."
)
REFUSED_BESIDE = "The answer also holds a refusal, apart from its text: the model may have broken off what it began."
_APART_MS = 1000.0
"""Chunks that the gateway got within less may come in one block because this process was busy."""
_CUT = "provider_connection_failed"
"""What gateway 2.0 calls a provider that closed its stream (captured)."""
NOTHING_COUNTED = {"total_tokens": 0}
"""The usage at the end of a stream that its provider broke off (measured with Bifrost's engine 1.4.0 to 1.7.0)."""
_RESET = re.compile(r"error reading stream: .*(?:connection reset|broken pipe|unexpected EOF)", re.IGNORECASE)
"""What all versions say of a connection that broke under a stream (measured on 1.4.18 to 2.0.0-prerelease3)."""
_HOLDERS = {"chat_completion": "choices", "text_completion": "choices", "responses": "output"}
"""What holds the answer, in each of the gateway's own forms that have texts."""
_MANY = 8
"""So many payloads are worth trying to be read together."""


class Collector:
    """Fills `run` from one attempt's answer. Make a new one for each attempt."""

    def __init__(self, run: Run, began_ms: float = 0.0, secrets: Sequence[str] = ()) -> None:
        self.run = run
        self.began_ms = began_ms
        self.secrets = secrets
        """Keys that no text and no error message may repeat; the log takes them out of all else."""
        self.done = False
        """The stream said that it is complete (``[DONE]``)."""
        self._texts: dict[int, list[str]] = {}
        self._instead: dict[int, list[str]] = {}
        """Of a stream: refusals and transcripts, which are the text of a choice without content."""
        self._refused = False
        """The model refused, in words of their own."""
        self._reasoning: list[str] = []
        self._finish: dict[int, str] = {}
        self._chosen = False
        """A choice has come, whatever it held."""
        self._logprobs: dict[str, Any] | None = None
        self._tool_calls = ToolCalls()
        self._annotations: list[dict[str, Any]] = []
        self._audio: dict[str, Any] | None = None
        self._last: dict[str, Any] | bytes | None = None
        """The latest chunk; as it came where nothing of it has been needed but the text."""
        self._usage: dict[str, Any] | None = None
        self._cut_off = False
        """The latest usage is the one by which the gateway ends a stream that its provider broke off."""
        self._told_after = False
        """The latest usage is that of all that was written, told after the error that ended it."""
        self._extra: dict[str, Any] = {}
        self._headers: Mapping[str, str] = {}
        self._order = ChunkOrder()
        self._streamed = False
        self.choices = 1
        """So many choices were asked for."""
        self._halves: dict[int, str] = {}
        """The first half of a character that was cut between two chunks, by choice: no piece ends in it."""
        self._last_text_ms = 0.0
        self._gaps_ms = 0.0
        """The times between chunks, as the gateway tells them."""
        run.chunk_times_ms = []
        run.ttft_ms = run.http_status = None
        # Who failed an earlier attempt says nothing about this one.
        run.provider = run.model = run.model_deployment = run.is_fallback = run.fallback_index = None

    @property
    def received(self) -> bool:
        """Whether any text or reasoning has arrived."""
        return bool(self.run.chunk_times_ms or self._instead or any(map(any, self._texts.values())))

    def headers(self, status: int, headers: Mapping[str, str]) -> None:
        """The answer's head."""
        self.run.http_status, self._headers = status, headers

    def who_serves(self) -> None:
        """Into the run what the head alone says of it: from gateway 1.5 on that is known before any text."""
        self._who({})

    def answer(self, body: dict[str, Any]) -> Pieces:
        """A whole answer that was not streamed. Raises what it tells of a failure; its text and usage are kept."""
        self._last = body
        self._extra = _mapping(body.get("extra_fields"))
        self._usage = _mapping(body.get("usage")) or None
        pieces = Pieces(self.began_ms)
        choices = choices_of(body)
        places = _places(choices)
        for index, choice in zip(places, choices, strict=True):
            text, reasoning = choice_text(choice), reasoning_text(choice)
            self._texts.setdefault(index, []).append(text)
            self._refused = self._refused or bool(content_text(choice) and refusal_text(choice))
            if reasoning and index == 0:
                self._reasoning.append(reasoning)
            self._rest(choice, index)
            pieces.add(index, text, reasoning)
        self._check(choices)
        return pieces

    def refusal(self, body: bytes | dict[str, Any]) -> GatewayError:
        """The error that a whole answer tells; who failed goes into the run, as from an error inside a stream."""
        try:
            content = loads(body) if isinstance(body, bytes) else body
        except orjson.JSONDecodeError:  # a page of something in between
            content = None
        self._who(_mapping(content))
        return gateway_error(parse_error(body, self.run.http_status, self._headers, secrets=self.secrets))

    def take(self, body: dict[str, Any]) -> Pieces:
        """`answer`; raises what `body` tells of a failure, whatever its status: an error, or no choices."""
        failed = is_error(body)
        if failed and not choices_of(body):
            raise self.refusal(body)
        pieces = self.answer(body)
        if failed:  # beside choices: in a stream it would be a frame of its own, and ends it as well
            self._who(innermost(body))
            raise self._broken(parse_error(body, None, self._headers, secrets=self.secrets))
        self.check_choices(body)
        return pieces

    def check_choices(self, body: dict[str, Any] | None = None) -> None:
        """Raises what an answer without choices tells, in `body` or at its end: some say so that they failed."""
        lacking = _HOLDERS.get(self.run.request_type or "")
        if lacking is not None and self._expects_choices and not self._chosen:
            told = self._latest() or {} if body is None else body
            raise no_answer(parse_error(told, None, self._headers, secrets=self.secrets), lacking)

    @property
    def _expects_choices(self) -> bool:
        return True

    def feed(self, payloads: Sequence[bytes], at_ms: float, pieces: Pieces | None = None) -> Pieces:
        """The event payloads of one block of bytes that arrived at `at_ms`.

        Raises GatewayError for an error frame and ProtocolError for a payload that is no JSON object; what came
        before stays in the run, and in `pieces` if those are given.
        """
        self._streamed = True
        pieces = Pieces(at_ms) if pieces is None else pieces
        try:
            self._feed(payloads, pieces)
        except (GatewayError, StreamInterrupted):
            self.after_error(payloads)
            raise
        return pieces

    def after_error(self, payloads: Sequence[bytes]) -> bool:
        """Take the token counts that follow an error frame; whether nothing else can follow.

        What broke off is billed as well, and gateways 1.4.0 to 1.5.16 tell what an Anthropic stream had used in a chunk
        after its error (captured).
        """
        for payload in payloads:
            with suppress(ProtocolError):
                chunk = {} if is_done(payload) else self._read(payload)
                if "choices" in chunk and isinstance(usage := chunk.get("usage"), dict):
                    self._usage, self._told_after = merged_usage(self._usage, usage), True
        return any(map(is_done, payloads))

    def _feed(self, payloads: Sequence[bytes], pieces: Pieces) -> None:
        if self.done:  # nothing that follows is part of the answer, and no SDK reads it
            return
        if len(payloads) >= _MANY:
            if self._last is not None and (chunks := plain_chunks(payloads)) is not None:
                self._plain(chunks, pieces)
                self._last = payloads[-1]
                return
            middle = len(payloads) // 2  # plain chunks before or after the others are still read together
            self._feed(payloads[:middle], pieces)
            self._feed(payloads[middle:], pieces)
            return
        for payload in payloads:
            if is_done(payload):
                self.done = True
                return
            try:
                chunk = self._read(payload)
            except ProtocolError:
                if self.ended or self.finished:  # something on the way added it to an answer that is whole
                    continue
                raise
            if is_error(chunk):
                self._who(innermost(chunk))
                raise self._broken(parse_error(chunk, None, self._headers, secrets=self.secrets))
            self._chunk(chunk, pieces)

    def _broken(self, info: ErrorInfo) -> BifrostError:
        """The error that a frame of a stream tells; a provider that broke off after text left a truncated answer."""
        if not (self.received and (info.type == _CUT or _RESET.match(info.message))):
            return gateway_error(info)
        error = StreamInterrupted(
            f"The provider broke off its stream: {info.message}.", hint="The text so far is in .text."
        )
        error.type, error.code = info.type, info.code
        return error

    def _plain(self, chunks: list[PlainChunk], pieces: Pieces) -> None:
        """What `_chunk` does, for many chunks of one plain choice each."""
        run = self.run
        choices, extra = [chunk.choices[0] for chunk in chunks], [chunk.extra_fields or NO_EXTRA for chunk in chunks]
        self._order.take([each.chunk_index for each in extra])
        reasons, gaps = [choice.finish_reason for choice in choices], [each.latency for each in extra]
        if told := list(filter(None, reasons)):
            self._finish[0] = told[-1]
            gaps = [gap for gap, reason in zip(gaps, reasons, strict=True) if not reason]
        self._gaps_ms += sum(filter(None, gaps))
        deltas = [choice.delta for choice in choices]
        if any(deltas):  # a chat
            texts, reasonings = [choice.written for choice in choices], [choice.reasoning for choice in choices]
        else:
            texts, reasonings = [choice.text or "" for choice in choices], [""] * len(choices)
        said, thought = "".join(texts), "".join(reasonings)
        if not all(texts):
            both = [(text, reasoning) for text, reasoning in zip(texts, reasonings, strict=True) if text or reasoning]
            texts, reasonings = [text for text, _ in both], [reasoning for _, reasoning in both]
        if thought:
            self._reasoning.append(thought)
        if said:
            self._texts.setdefault(0, []).append(said)
            self._last_text_ms = pieces.at_ms
            if run.ttft_ms is None:
                run.ttft_ms = pieces.at_ms
        self._chosen = True
        pieces.extend(texts, reasonings)
        run.chunk_times_ms += [pieces.at_ms] * len(texts)
        self._check_reason(self._finish.get(0))

    def _read(self, payload: bytes) -> dict[str, Any]:
        """The chunk of one payload, in the gateway's own shape."""
        return parsed(payload)

    def _chunk(self, chunk: dict[str, Any], pieces: Pieces) -> None:
        at_ms = pieces.at_ms
        if self._last is None:
            self._who(chunk)
        elif (gap := number_of(_mapping(chunk.get("extra_fields")).get("latency"))) and not _has_ended(chunk):
            self._gaps_ms += gap
        self._last = chunk
        if isinstance(usage := chunk.get("usage"), dict):
            self._cut_off = usage == NOTHING_COUNTED
            self._usage = usage if self._usage is None else merged_usage(self._usage, usage)
        if type(extra := chunk.get("extra_fields")) is dict and (number := extra.get("chunk_index")) is not None:
            if number == self._order.due:
                self._order.due += 1
            else:
                self._order.odd(number)
        arrived = False
        for position, choice in enumerate(choices_of(chunk)):
            index = choice_index(choice, position)
            text, reasoning = self._part(choice, index), reasoning_text(choice)
            if text:
                self._last_text_ms = at_ms
                if self.run.ttft_ms is None:
                    self.run.ttft_ms = at_ms
            if reasoning and index == 0:
                self._reasoning.append(reasoning)
            if text or reasoning:
                arrived = True
                pieces.add(index, text if text.isascii() and not self._halves else self._uncut(text, index), reasoning)
            self._rest(choice, index)
        if arrived:
            self.run.chunk_times_ms.append(at_ms)
        self._check(choices_of(chunk))

    def _check(self, choices: Sequence[dict[str, Any]]) -> None:
        """Choices have come. Raises what one says of its failure: the answer is not whole, whatever its status."""
        for choice in choices:
            self._chosen = True
            if (told := choice_error(choice)) is not None:
                raise self._broken(parse_error({"error": told}, None, self._headers, secrets=self.secrets))
            self._check_reason(finish_reason(choice))

    def _check_reason(self, reason: str | None) -> None:
        if reason is not None and reason.lower() in BROKEN_OFF:
            raise StreamInterrupted(
                f"The provider broke off its answer: it ended with the finish reason {reason!r}.",
                hint=TryAgain("Try again, or name a fallback; the text so far is in .run."),
            )

    def _uncut(self, text: str, index: int) -> str:
        """`text` in whole characters; half of one waits for the other half."""
        text = self._halves.pop(index, "") + text
        if "\ud800" <= text[-1:] < "\udc00":
            self._halves[index], text = text[-1], text[:-1]
        return whole_characters(text)

    def _part(self, choice: dict[str, Any], index: int) -> str:
        """What a chunk adds to the text of a choice, kept."""
        text = content_text(choice)
        if text and "message" in choice and "delta" not in choice:  # some providers end by saying all of it once more
            text = self._beyond(text, self._texts.get(index, []))
        if text:
            self._texts.setdefault(index, []).append(text)
        if refusal_text(choice):
            self._refused = True
        if not text and (text := choice_text(choice)):
            self._instead.setdefault(index, []).append(text)
            text = "" if index in self._texts else text
        return text

    def _beyond(self, text: str, said: list[str]) -> str:
        """`text` without what was `said` before, which becomes one, so that a shorter text needs no look at it."""
        if said and len(text) >= len(said[0]):
            said[:] = ["".join(said)]
            return text.removeprefix(said[0])
        return text

    def _rest(self, choice: dict[str, Any], index: int) -> None:
        if (reason := finish_reason(choice)) is not None:
            self._finish[index] = reason
        if index:
            return
        if (logprobs := logprobs_of(choice)) is not None:
            self._logprobs = merge_logprobs(self._logprobs, logprobs)
        if "delta" in choice or "message" in choice:  # what only a chat has
            if calls := tool_calls_of(choice):
                (self._tool_calls.add_whole if "message" in choice else self._tool_calls.add)(calls)
            self._annotations += annotations_of(choice)
            self._audio = merge_audio(self._audio, audio_of(choice))

    @property
    def complete(self) -> bool:
        """Whether the answer ended as an answer does: with a finish reason, or with ``[DONE]`` after its usage.

        When a provider breaks off, the gateway ends its stream in good order all the same: without finish reason, and
        with a usage that counts nothing, with none (Gemini, 2.0 too), or with the one that an Anthropic stream begins
        with (measured on gateways 1.3.63 to 2.0.0-prerelease3). Anthropic always says why it ends. A server that names
        no provider is no gateway, and may leave out both.
        """
        if self._finish or not self.done:
            return bool(self._finish)
        if self._usage is None:
            return self.received and self.run.provider is None
        return not self._cut_off and self.run.provider != "anthropic"

    @property
    def told_all(self) -> bool:
        """Finish reason and usage are here: nothing but ``[DONE]`` can follow, and some gateways never send it."""
        return bool(self._finish) and self._usage is not None

    @property
    def ended(self) -> bool:
        """Whether nothing can follow that would change the run: all is told, or ``[DONE]`` has come."""
        return self.done or self.told_all

    @property
    def finished(self) -> bool:
        """Whether every choice has its finish reason: the texts are whole, and only usage may be missing."""
        return self._streamed and len(self._finish) >= self.choices

    def finish(self, ended_ms: float) -> Run:
        """Write all that is known into the run; also after a failure, with what had arrived by then."""
        run = self.run
        texts = self._instead | self._texts
        run.texts = [self._without_keys("".join(texts[index])) for index in sorted(texts)]
        run.response = run.texts[0] if run.texts else None
        run.reasoning = self._without_keys("".join(self._reasoning)) or None
        reason = whole(self._finish.get(0) or next(iter(self._finish.values()), None))
        run.finish_reason = None if reason is None else documented(reason)
        run.logprobs, run.tool_calls = whole(self._logprobs), whole(self._tool_calls.result())
        run.annotations, run.audio = whole(self._annotations), whole(self._audio)
        run.raw = whole(self._latest())
        last = run.raw or {}
        if isinstance(extra := last.get("extra_fields"), dict):
            self._extra = {**self._extra, **extra}
        self._who(last)
        self._extra = whole(self._extra)
        run.extra_fields = self._extra or None
        run.usage = self._usage = whole(self._usage or usage_beside(last))
        tokens = parse_usage(self._usage)
        run.prompt_tokens, run.completion_tokens, run.total_tokens = tokens.prompt, tokens.completion, tokens.total
        begun = run.provider == "anthropic" and not (self._told_after or self.complete)  # counted before it wrote
        unsaid = tokens.completion == 0 and (run.response or run.reasoning or run.tool_calls)  # of the prompt alone
        if unsaid or (self._streamed and begun):
            run.completion_tokens = run.total_tokens = None
        run.cached_tokens, run.cache_write_tokens = tokens.cached, tokens.cache_write
        run.reasoning_tokens = tokens.reasoning
        cache = parse_cache(self._extra)
        run.cache_hit, run.cache_hit_type, run.cache_similarity = cache.hit, cache.type, cache.similarity
        if self.complete or not self._streamed:
            # On an unfinished stream it is only the gap before the last chunk.
            run.latency_ms = number_of(self._extra.get("latency"))
        add_response_cost(run, {**last, "usage": self._usage or {}, "extra_fields": self._extra}, self._headers)
        self._times(ended_ms)
        run.notes = [self._without_keys(note) for note in (unexplained(run), self._order.note()) if note]
        if self.complete and 1 < self.choices > len({*texts, *self._finish}):
            run.notes.append(FEWER_CHOICES)
        if self._refused and any(map(any, self._texts.values())):
            run.notes.append(REFUSED_BESIDE)
        if self._held_back():
            run.notes.append(HELD_BACK)
            run.gap_p50_ms = run.gap_max_ms = run.tokens_per_s = None
        return run

    def _latest(self) -> dict[str, Any] | None:
        if isinstance(self._last, bytes):
            with suppress(ProtocolError):  # a number too large for a float, which `plain_chunks` passes over
                return parsed(self._last)
            return None
        return self._last

    def _without_keys(self, text: str) -> str:
        """No model knows our keys; a gateway that repeats them is not helped to spread them."""
        return hide(whole_characters(text), self.secrets)

    def _times(self, ended_ms: float) -> None:
        run, times = self.run, self.run.chunk_times_ms
        if self._streamed:
            run.chunks = len(times)
            gaps = list(map(sub, times[1:], times))
            run.gap_p50_ms, run.gap_max_ms = (median(gaps), max(gaps)) if gaps else (None, None)
            tokens, span = self._visible_tokens() - 1, self._last_text_ms - (run.ttft_ms or 0.0)
        else:
            tokens, span = run.completion_tokens or 0, ended_ms - self.began_ms
        # A stream that came in one block has no measurable speed.
        run.tokens_per_s = 1000 * tokens / span if tokens > 0 and span > 0 else None

    def _visible_tokens(self) -> int:
        """The tokens of the text that came piece by piece; 0 where it cannot be told how many those were."""
        run = self.run
        if run.ttft_ms is None or run.tool_calls or run.audio or (run.reasoning_tokens is None and self._reasoning):
            return 0
        return (run.completion_tokens or 0) - (run.reasoning_tokens or 0) - rejected_tokens(self._usage)

    def _held_back(self) -> bool:
        """Whether chunks that the gateway got one after another came here all at once.

        A head that tells the length of a stream was written when the stream was over: all 29 streams captured of
        1.4.0 have one, none of the five other versions. What stands between may hold back too: then the gateway's own
        times between chunks (``latency`` of each but the first and the last, measured) are a second or more, and here
        all text came within a fifth of that, after a silence at least as long.
        """
        times, apart = self.run.chunk_times_ms, self._gaps_ms
        if not self._streamed or len(times) < 2:
            return False
        if header(self._headers, "content-length") is not None:
            return True
        return apart >= _APART_MS and times[0] - self.began_ms >= apart and times[-1] - times[0] < apart / 5

    def _who(self, body: Mapping[str, Any]) -> None:
        run = self.run
        asked = Deployment(run.requested_provider or "", run.requested_model or "")
        told = served(body, self._headers, requested=asked, fallbacks=run.fallbacks)
        run.provider = whole(told.provider) or run.provider
        run.model = whole(told.model) or run.model
        run.model_deployment = whole(told.deployment) or run.model_deployment
        if told.is_fallback is not None:
            run.is_fallback, run.fallback_index = told.is_fallback, told.fallback_index


def _places(choices: Sequence[dict[str, Any]]) -> Sequence[int]:
    """The position of each choice of a whole answer. Some servers call all of them the first; what one says and what it
    calls may stand in two."""
    told = [choice_index(choice, position) for position, choice in enumerate(choices)]
    said = [index for index, choice in zip(told, choices, strict=True) if choice_text(choice)]
    return told if len(set(said)) == len(said) else range(len(choices))


UNEXPLAINED = "no fallback of this call names that provider"


def unexplained(run: Run) -> str | None:
    """A note where another provider answered than was asked, and no fallback of the call explains it."""
    named = {run.requested_provider, *(entry.partition("/")[0] for entry in run.fallbacks)}
    if run.provider is None or run.requested_provider is None or run.provider in named:
        return None
    return (
        f"{run.served} answered for {run.requested}, and {UNEXPLAINED}: a rule or a "
        "virtual key of the gateway may have sent the prompt there, or the gateway misread the deployment."
    )


def parsed(payload: bytes) -> dict[str, Any]:
    """The JSON object of one event of a stream. Raises ProtocolError."""
    try:
        chunk = loads(payload)
    except orjson.JSONDecodeError as error:
        raise ProtocolError(
            f"The stream holds a chunk that is not JSON ({error}): {_start(payload)}",
            hint="Something between here and the gateway may change the stream; the text before it is kept in .run.",
        ) from None
    if not isinstance(chunk, dict):
        raise ProtocolError(f"The stream holds a chunk that is not an object: {_start(payload)}")
    return chunk


def _start(payload: bytes) -> str:
    return repr(payload[:80].decode("utf-8", "replace"))


def _has_ended(chunk: Mapping[str, Any]) -> bool:
    """Whether a chunk tells why its choice ended: its ``latency`` is that of the whole call."""
    return any(finish_reason(choice) is not None for choice in choices_of(chunk))


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
