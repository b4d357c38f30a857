"""A state machine over decoder and collector: any order of events, however cut, leaves what a simple model expects."""

from __future__ import annotations

import itertools
from typing import Any

import orjson
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bifrost_nb._runs.collector import Collector
from bifrost_nb._runs.pieces import Piece
from bifrost_nb._runs.run import Run
from bifrost_nb._wire.sse import EventDecoder
from bifrost_nb.errors import GatewayError, ProtocolError

from .conftest import cases
from .streams import JSON, as_logged, check

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
CHOICES = st.integers(0, 2)
STEPS = 30


class Stream(RuleBasedStateMachine):
    """The model: texts by choice, the last finish reason and usage, the chunks by number, whether it has ended."""

    @initialize(chat=st.booleans())
    def begin(self, chat: bool) -> None:
        self.run, self.chat = Run(requested_provider="azure", requested_model="fast"), chat
        self.collector, self.decoder = Collector(self.run), EventDecoder(1 << 16)
        self.collector.headers(200, {})
        self.texts: dict[int, str] = {}
        self.reasoning = ""
        self.finish: dict[int, str] = {}
        self.usage: dict[str, Any] | None = None
        self.pieces: list[Piece] = []
        self.timed = self.number = self.late = self.twice = 0
        self.missing: set[int] = set()
        self.begun = self.done = self.broken = False
        self.at = 0.0

    def feed(self, data: bytes, places: list[int]) -> None:
        """Hand over bytes, cut at `places`."""
        edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
        for start, end in itertools.pairwise(edges):
            self.at += 1
            self.pieces += self.collector.feed(self.decoder.feed(data[start:end]), self.at)

    def event(self, content: dict[str, Any], places: list[int]) -> None:
        self.feed(b"data: " + orjson.dumps(content) + b"\n\n", places)
        self.begun = True

    def content(self, text: str) -> dict[str, Any]:
        return {"delta": {"content": text}} if self.chat else {"text": text}

    @precondition(lambda self: not (self.broken or self.done))
    @rule(text=WORDS, choice=CHOICES, places=st.lists(st.integers(0, 200), max_size=3))
    def says(self, text: str, choice: int, places: list[int]) -> None:
        self.event({"choices": [{"index": choice, **self.content(text)}]}, places)
        if text:
            self.texts[choice] = self.texts.get(choice, "") + text
            self.timed += 1

    @precondition(lambda self: not (self.broken or self.done))
    @rule(text=WORDS, places=st.lists(st.integers(0, 200), max_size=3))
    def thinks(self, text: str, places: list[int]) -> None:
        if self.chat:
            self.event({"choices": [{"index": 0, "delta": {"reasoning": text}}]}, places)
            self.reasoning += text
            self.timed += bool(text)

    @precondition(lambda self: not (self.broken or self.done))
    @rule(skip=st.integers(0, 2))
    def numbered(self, skip: int) -> None:
        number = self.number + skip
        if self.number or number != 1:
            self.missing.update(range(self.number, number))
        self.number = number + 1
        self.event({"choices": [], "extra_fields": {"chunk_index": number}}, [])

    @precondition(lambda self: not (self.broken or self.done) and self.number)
    @rule(data=st.data())
    def numbered_again(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, self.number - 1))
        if number in self.missing:
            self.missing.remove(number)
            self.late += 1
        else:
            self.twice += 1
        self.event({"choices": [], "extra_fields": {"chunk_index": number}}, [])

    @precondition(lambda self: not (self.broken or self.done))
    @rule(choice=CHOICES, reason=st.sampled_from(["stop", "length", "tool_calls"]))
    def finishes(self, choice: int, reason: str) -> None:
        self.event({"choices": [{"index": choice, **self.content(""), "finish_reason": reason}]}, [])
        self.finish[choice] = reason

    @precondition(lambda self: not (self.broken or self.done))
    @rule(prompt=st.integers(0, 999), made=st.integers(0, 999))
    def counts(self, prompt: int, made: int) -> None:
        """A 0 takes nothing away from what was counted before."""
        told = {"prompt_tokens": prompt, "completion_tokens": made, "total_tokens": prompt + made}
        self.event({"choices": [], "usage": told}, [])
        known = self.usage or {}
        self.usage = {name: count or known.get(name, 0) for name, count in told.items()}

    @precondition(lambda self: not (self.broken or self.done))
    @rule(
        form=st.sampled_from([b": beat\n", b"\n", b"event: x\n\n", b"retry: 5\n\n", b"id\n\n", b"data:\n\n", b":\n\n"])
    )
    def idles(self, form: bytes) -> None:
        self.feed(form, [])

    @precondition(lambda self: not (self.broken or self.done))
    @rule(content=JSON)
    def odd_parts(self, content: Any) -> None:
        """Parts of a chunk that say nothing to us, of any shape."""
        try:
            self.event({"choices": [], "new": content, "object": content, "created": content}, [])
        except TypeError:  # orjson cannot write it
            return

    @precondition(lambda self: not (self.broken or self.done))
    @rule()
    def ends(self) -> None:
        self.feed(b"data: [DONE]\n\n", [3])
        self.done = True

    @precondition(lambda self: not (self.broken or self.done))
    @rule(
        frame=st.sampled_from(
            [b'{"error":{"message":"no"}}', b'{"error":"no"}', b'{"error":{"error":{"message":"x"}}}']
        )
    )
    def fails(self, frame: bytes) -> None:
        with pytest.raises(GatewayError):
            self.feed(b"data: " + frame + b"\n\n", [])
        self.broken = True

    @precondition(lambda self: not (self.broken or self.done))
    @rule(payload=st.sampled_from([b"[]", b"null", b"5", b"{", b"\xff", b'{"a":}', b"x" * (1 << 17)]))
    def garbles(self, payload: bytes) -> None:
        """What is added to a whole answer is passed over, unless no event can be read from it."""
        if self.finish and len(payload) < 1 << 16:
            self.feed(b"data: " + payload + b"\n\n", [])
            return
        with pytest.raises(ProtocolError):
            self.feed(b"data: " + payload + b"\n\n", [])
        self.broken = True

    @precondition(lambda self: self.done)
    @rule(
        payload=st.sampled_from(
            [b'{"choices":[{"index":0,"text":"x","delta":{"content":"x"}}]}', b"{", b'{"error":"no"}']
        )
    )
    def goes_on(self, payload: bytes) -> None:
        """What follows the end changes nothing."""
        self.feed(b"data: " + payload + b"\n\n", [])

    @precondition(lambda self: self.broken)
    @rule()
    def rests(self) -> None:
        """After an error nothing is fed any more."""

    @invariant()
    def is_what_the_model_says(self) -> None:
        """At any moment the run could be finished with all that came."""
        if not hasattr(self, "run"):
            return
        self.collector.finish(self.at + 1)
        run = self.run
        assert run.texts == [self.texts[choice] for choice in sorted(self.texts)]
        assert run.reasoning == (self.reasoning or None)
        assert run.finish_reason == (self.finish.get(0) or next(iter(self.finish.values()), None))
        assert run.usage == self.usage
        counts = list((self.usage or {"total_tokens": 0}).values())
        assert run.total_tokens == (max(counts[-1], sum(counts[:-1])) or None)
        assert len(run.chunk_times_ms) == self.timed
        assert self.collector.done == self.done
        ended = self.done and (bool(self.timed) if self.usage is None else self.usage != {"total_tokens": 0})
        assert self.collector.complete == (bool(self.finish) or ended)
        assert self.collector.received == bool(self.timed)
        # One alone before the last is what Anthropic's streams leave out.
        missing = len(self.missing) - (self.number - 2 in self.missing and self.number - 3 not in self.missing)
        odd = missing + self.late + self.twice
        assert bool(run.notes) == (0 < odd <= self.number - missing)

    def teardown(self) -> None:
        if hasattr(self, "run"):
            check(self.run, self.pieces, GatewayError("broken") if self.broken else None)
            assert as_logged(self.run).texts == self.run.texts


Stream.TestCase.settings = cases(0.02, stateful_step_count=STEPS)  # one case is a whole history
TestStream = pytest.mark.timeout(0)(Stream.TestCase)  # the number of cases decides
