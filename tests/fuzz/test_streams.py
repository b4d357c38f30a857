"""Random bytes, broken real streams and any JSON: only our own errors come out, and a run that can be kept."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable

import orjson
import pytest
from hypothesis import given, strategies as st

from bifrost_nb._client.model_list import prices_in
from bifrost_nb._runs.collector import Collector
from bifrost_nb._runs.cost import add_log_cost
from bifrost_nb._runs.pieces import Piece
from bifrost_nb._runs.run import Run
from bifrost_nb._wire.gateway_errors import gateway_error, parse_error
from bifrost_nb._wire.metadata import parse_cache, parse_cost, parse_usage, served
from bifrost_nb._wire.sse import EventDecoder
from bifrost_nb.errors import BifrostError, GatewayError, ProtocolError

from .conftest import cases
from .streams import ANSWERS, HEADERS, JSON, OBJECTS, STREAMS, check, cut, mutated, read

pytestmark = pytest.mark.timeout(0)  # the number of cases decides


def events(*strategies: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.lists(st.one_of(*strategies), max_size=12).map(
        lambda found: b"".join(b"data: %s\n\n" % one for one in found)
    )


def as_json(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)


DUMPED = OBJECTS.map(lambda value: _dumped(value))


def _dumped(value: object) -> bytes:
    try:
        return as_json(value)
    except TypeError:  # an integer beyond 64 bits, half a character
        return b"{}"


@cases(0.3)
@given(cut(mutated(STREAMS)))
def test_broken_real_streams(blocks: list[bytes]) -> None:
    """Recorded streams of three generations of Bifrost's engine with parts replaced, lost, doubled and moved."""
    check(*read(blocks))


@cases(0.2)
@given(cut(events(DUMPED, st.just(b"[DONE]"), st.binary(max_size=30))))
def test_events_of_any_json(blocks: list[bytes]) -> None:
    """Chunks with the right names and any values beneath them."""
    check(*read(blocks))


@cases(0.15)
@given(cut(st.binary(max_size=2000)))
def test_random_bytes(blocks: list[bytes]) -> None:
    """Bytes without any sense."""
    check(*read(blocks))


@cases(0.1)
@given(cut(mutated(STREAMS)), st.data())
def test_how_it_is_cut_changes_nothing(blocks: list[bytes], data: st.DataObject) -> None:
    """The same bytes in other blocks: the same text, the same end."""
    whole = b"".join(blocks)
    places = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    other = [whole[start:end] for start, end in zip([0, *places], [*places, len(whole)], strict=True)]
    (one, _, error), (two, _, other_error) = read(blocks), read(other)
    if error is None or "size limit" not in str(error):
        assert (one.texts, one.finish_reason, one.usage, type(error)) == (
            (two.texts, two.finish_reason, two.usage, type(other_error))
        )


@cases(0.15)
@given(mutated(ANSWERS) | DUMPED | JSON.map(_dumped))
def test_whole_answers(body: bytes) -> None:
    """The answers that are not streamed, recorded, broken and invented."""
    run = Run(requested_provider="azure", requested_model="fast")
    collector = Collector(run)
    collector.headers(200, HEADERS)
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = None
    pieces: Iterable[Piece] = []
    failed = False
    if isinstance(answer, dict):
        try:
            pieces = collector.answer(answer)
        except BifrostError:  # it says of its failure
            failed = True
        assert isinstance(collector.refusal(answer), GatewayError)
    collector.finish(5.0)
    if failed:
        check(run, _nothing(run))
        return
    texts: dict[int, str] = {}
    for piece in pieces:
        texts[piece.choice] = texts.get(piece.choice, "") + piece.text
    assert run.texts == [texts[index] for index in sorted(texts)]
    check(run, [piece for piece in pieces if piece.text] if all(texts.values()) else _nothing(run))


def _nothing(run: Run) -> list[object]:
    """Empty texts make no pieces: nothing to compare with."""
    run.texts = []
    return []


@cases(0.1)
@given(
    mutated(ANSWERS) | st.binary(max_size=300) | st.text(max_size=100) | OBJECTS,
    st.none() | st.integers(100, 599),
    st.dictionaries(
        st.sampled_from(["retry-after", "retry-after-ms", "date", "x-request-id", "x-bifrost-provider"]),
        st.text(max_size=30),
    ),
)
def test_errors_and_their_parts(body: object, status: int | None, headers: dict[str, str]) -> None:
    """Whatever an error answer holds becomes one of our errors, short and without control sequences."""
    info = parse_error(body, status, headers, secrets=("sk-planted-key",))  # type: ignore[arg-type]
    error = gateway_error(info)
    assert isinstance(error, GatewayError)
    assert len(str(error)) < 4000
    assert "\x1b" not in str(error)
    assert info.retry_after_s is None or 0 <= info.retry_after_s < float("inf")


@cases(0.1)
@given(OBJECTS, JSON)
def test_readers_take_any_json(body: dict[str, object], other: object) -> None:
    """Usage, cost, cache, who served, rows of the log: any JSON gives known or unknown, never an exception."""
    served(body, HEADERS)
    cost, usage, cache = parse_cost(body, {"x-bifrost-cost-usd": str(other)}), parse_usage(other), parse_cache(other)
    assert cost is None or all(value is None or value >= 0 for value in cost)
    assert all(value is None or (type(value) is int and value >= 0) for value in usage)
    assert cache.hit in (None, True, False)
    run = Run()
    add_log_cost(run, body)
    assert run.cost_usd is None or run.cost_usd > 0


def test_an_endless_stream_fills_no_memory() -> None:
    """Thousands of events without text, a line that never ends: memory stays where it was."""
    collector, decoder = Collector(Run()), EventDecoder(1 << 20)
    block = (
        b'data: {"choices":[{"index":0,"text":""}],"extra_fields":{"chunk_index":7,"provider":"x"}}\n\n: beat\n' * 1000
    )
    collector.feed(decoder.feed(block), 1.0)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for at in range(20):
            collector.feed(decoder.feed(block), float(at))
        assert tracemalloc.get_traced_memory()[0] - before < 200_000
        with pytest.raises(ProtocolError, match="size limit"):
            for _ in range(1_000):
                decoder.feed(b": never ends" * 1000)
        assert tracemalloc.get_traced_memory()[0] - before < 3 << 20
        assert tracemalloc.get_traced_memory()[1] - before < 8 << 20
    finally:
        tracemalloc.stop()


@cases(0.05)
@given(cut(mutated(STREAMS)))
def test_memory_is_bounded_by_what_came(blocks: list[bytes]) -> None:
    """No stream makes more of itself than a constant factor."""
    size = sum(map(len, blocks))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        read(blocks)
        assert tracemalloc.get_traced_memory()[1] - before < 200_000 + 60 * size
    finally:
        tracemalloc.stop()


@cases(0.05)
@given(st.lists(JSON | OBJECTS, max_size=3))
def test_price_lists_of_any_shape(models: list[object]) -> None:
    """The price list comes from outside too: what is no price is none."""
    prices = prices_in(models)
    assert all(value is None or value >= 0 for price in prices.values() for value in price)
