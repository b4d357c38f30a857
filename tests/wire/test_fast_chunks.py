"""Chunks read many at a time give what they give one by one."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings, strategies as st

from bifrost_nb import Run
from bifrost_nb._runs.collector import Collector
from bifrost_nb._wire.fast_chunks import plain_chunks
from bifrost_nb.errors import BifrostError, GatewayError, StreamInterrupted

FIRST = b'{"id":"cmpl-1","model":"fast","choices":[],"extra_fields":{"provider":"azure","chunk_index":0}}'
TEXT = {"id": "cmpl-1", "choices": [{"index": 0, "text": "a ", "finish_reason": None, "logprobs": None}], "usage": None}
CHAT = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "b", "refusal": None, "tool_calls": None}}]}
DEEP = b'{"choices":[{"text":"a"}],"x":' + b"[" * 2000 + b"]" * 2000 + b"}"

_TEXTS = st.sampled_from(["", "a", "Größe 😀", "\u2028", 'quote "\n', "\\ud83d"])
_VALUES = st.one_of(st.none(), st.booleans(), st.integers(-2, 2**63), st.just(0.5), _TEXTS, st.just([]), st.just({}))
_INDEXES = st.sampled_from([0, 0, 0, 0, 0, 1, -1, 0.0, "0", True, None])


def _part(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({}, optional=fields)


_DELTAS = _part({
    "role": st.just("assistant"), "content": _TEXTS, "reasoning": _TEXTS, "reasoning_content": _TEXTS,
    "refusal": st.one_of(st.none(), _TEXTS), "audio": st.sampled_from([None, {"transcript": "t"}]),
    "annotations": st.sampled_from([None, [], [{"type": "url_citation"}]]),
    "reasoning_details": st.sampled_from([None, [{"text": "r"}]]),
    "tool_calls": st.sampled_from([None, [{"index": 0, "function": {"name": "f", "arguments": "{}"}}]]),
})  # fmt: skip
_CHOICES = _part({
    "index": _INDEXES, "text": st.one_of(_TEXTS, _TEXTS, _VALUES), "delta": st.one_of(_DELTAS, _DELTAS, _VALUES),
    "finish_reason": st.sampled_from([None, None, "", "stop", "length", 5]), "other": _VALUES,
    "logprobs": st.sampled_from([None, None, {"tokens": ["a"]}]), "message": st.sampled_from([None, {"content": "m"}]),
})  # fmt: skip
_CHUNKS = _part({
    "choices": st.one_of(st.lists(_CHOICES, min_size=1, max_size=1), st.lists(_CHOICES, max_size=2), _VALUES),
    "usage": st.sampled_from([None, None, {"total_tokens": 3}]), "other": _VALUES,
    "error": st.sampled_from([None, None, None, None, {"message": "broke"}]),
    "extra_fields": st.one_of(st.none(), _part({"chunk_index": st.integers(0, 12), "latency": _VALUES})),
})  # fmt: skip
_PLAIN = st.sampled_from([TEXT, CHAT, {"choices": [{"text": ""}]}, {"choices": [{"delta": {"reasoning": "r"}}]}])
_ODD = (
    st.sampled_from([
        b"[DONE]", b" ", b"{}", b"[1]", b'{"choices":[{"text":"a"}]}\n{"choices":[{"text":"b"}]}',
        b'{"choices":[{"text":"a"}],\n"x":1}', b'{"choices":[{"text":"\xff"}]}',
        b'{"choices":[{"text":"a"}],"x":"\xff"}',
        b'{"choices":[{"text":"a"}],"x":"\\ud800"}', b'{"choices":[{"text":"\\uD83D\\uDE00"}]}', b'{"choices":[{"te',
        b'{"choices":[{"text":"a","text":"b"}]}', b'{"choices":[{"text":"a"}],"choices":[{"text":"c"}]}',
        b'{"choices":[{"text":"a"}]}{"choices":[{"text":"b"}]}', b'{"choices":[{"text":"a"}],"x":NaN}',
        "deep",
    ]).map(lambda payload: DEEP if payload == "deep" else payload)
)  # fmt: skip
_COMMON = st.one_of(_PLAIN.map(lambda chunk: json.dumps(chunk).encode()), _PLAIN.map(orjson.dumps))
_PAYLOADS = st.integers(0, 9).flatmap(
    lambda number: _ODD if number == 0 else _CHUNKS.map(orjson.dumps) if number < 4 else _COMMON
)


def collected(*blocks: list[bytes]) -> tuple[list[tuple[Any, ...]], str, Run]:
    """The pieces, the error if any, and the run of a stream whose payloads came in these blocks."""
    run = Run(run_id="r", requested_provider="azure", requested_model="fast")
    collector, pieces, error, rest = Collector(run), [], "", iter(blocks)
    run.started_at = None  # type: ignore[assignment]
    try:
        for block in rest:
            pieces += collector.feed(block, 5.0)
    except BifrostError as failure:
        error = str(failure)
        if isinstance(failure, GatewayError | StreamInterrupted):  # who transports it reads on
            for block in rest:
                collector.after_error(block)
    return pieces, error, collector.finish(10.0)


@settings(max_examples=150, deadline=None)
@given(st.lists(_PAYLOADS, min_size=8, max_size=40))
@example([orjson.dumps(TEXT)] * 20)
@example([orjson.dumps(CHAT)] * 20)
def test_chunks_read_together_are_chunks_read_one_by_one(payloads: list[bytes]) -> None:
    """Whatever a stream holds, a block of many chunks gives the run that the same chunks give singly."""
    pieces, error, run = collected([FIRST], payloads)
    singly, its_error, its_run = collected([FIRST], *([payload] for payload in payloads))
    assert (error, run) == (its_error, its_run)
    if not error:  # the pieces before an error in the same block are in the run alone
        assert pieces == singly


@pytest.mark.parametrize(
    "chunk",
    [
        TEXT,
        CHAT,
        {**TEXT, "extra_fields": {"provider": "azure", "chunk_index": 3, "latency": 4}, "system_fingerprint": "x"},
        {"choices": [{"index": 0, "delta": {"reasoning_content": "hm"}, "content_filter_results": {"hate": {}}}]},
    ],
)
def test_common_chunks_are_read_together(chunk: dict[str, Any]) -> None:
    """The chunks of ordinary streams are plain, unknown fields or not; a single one that is not ends it for all."""
    payloads = [orjson.dumps(chunk)] * 9
    assert len(plain_chunks(payloads) or ()) == 9
    assert plain_chunks([*payloads, orjson.dumps({**chunk, "usage": {"total_tokens": 1}})]) is None
