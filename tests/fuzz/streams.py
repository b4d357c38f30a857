"""Real streams and answers, whole and broken: what the fuzzers begin with, and how they break it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from bifrost_nb import BifrostError
from bifrost_nb._runs.collector import Collector
from bifrost_nb._runs.log.codec import decode, encode
from bifrost_nb._runs.pieces import Piece
from bifrost_nb._runs.run import Run
from bifrost_nb._wire.sse import EventDecoder
from bifrost_nb.errors import GatewayError, ProtocolError

SAMPLES = Path(__file__).parents[1] / "engine" / "samples"
STREAMS = [path.read_bytes() for path in sorted(SAMPLES.glob("*/*.sse"))]
ANSWERS = [path.read_bytes() for path in sorted(SAMPLES.glob("*/*.json"))]
HEADERS: dict[str, str] = {"x-bifrost-provider": "azure", "retry-after": "1"}

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("azure") | st.just("stop")
)
_FIELDS = """
choices index text delta message content finish_reason usage extra_fields error type code provider model
chunk_index latency logprobs tool_calls function arguments annotations audio data transcript reasoning
refusal prompt_tokens completion_tokens total_tokens prompt_tokens_details cached_tokens cost total_cost
cache_debug cache_hit similarity routing_info is_fallback resolved_key_alias model_id status_code
is_bifrost_error request_type object tokens token_logprobs top_logprobs text_offset id name
"""
NAMES = st.sampled_from(_FIELDS.split())
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=5), inner, max_size=6),
    max_leaves=25,
)
OBJECTS = st.dictionaries(NAMES, JSON, max_size=8)


@st.composite
def mutated(draw: st.DrawFn, originals: list[bytes]) -> bytes:
    """A real one with parts replaced, left out, doubled or moved, or flipped bits."""
    data = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 200)))
        how = draw(st.sampled_from(["replace", "remove", "double", "move", "flip", "events"]))
        part = bytes(data[start:end])
        if how == "replace":
            data[start:end] = draw(
                st.binary(max_size=20) | st.sampled_from([b"null", b"[]", b"{}", b"-1", b'"x"', b"1e999"])
            )
        elif how == "remove":
            del data[start:end]
        elif how == "double":
            data[end:end] = part
        elif how == "move":
            del data[start:end]
            at = draw(st.integers(0, len(data)))
            data[at:at] = part
        elif how == "flip" and data:
            data[start % len(data)] ^= 1 << draw(st.integers(0, 7))
        else:
            events = bytes(data).split(b"\n\n")
            data = bytearray(b"\n\n".join(draw(st.permutations(events)) if len(events) < 40 else events[::-1]))
    return bytes(data)


@st.composite
def cut(draw: st.DrawFn, contents: st.SearchStrategy[bytes]) -> list[bytes]:
    """Bytes in the blocks in which a network might hand them over."""
    data = draw(contents)
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=6)))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


def read(blocks: list[bytes], limit: int = 1 << 20) -> tuple[Run, list[Piece], BifrostError | None]:
    """What a client makes of a stream: the run, its pieces, and the error if one of ours came out."""
    run = Run(prompt="Hi", requested_provider="azure", requested_model="fast", fallbacks=["openai/x"])
    collector, decoder, pieces = Collector(run, secrets=["sk-planted-key"]), EventDecoder(limit), []
    collector.headers(200, HEADERS)
    error: BifrostError | None = None
    try:
        for at, block in enumerate(blocks):
            pieces += collector.feed(decoder.feed(block), float(at))
        pieces += collector.feed(decoder.end(), float(len(blocks)))
    except (GatewayError, ProtocolError) as ours:
        error = ours
    collector.finish(float(len(blocks)))
    return run, pieces, error


def check(run: Run, pieces: list[Piece], error: BifrostError | None = None) -> None:
    """What holds of every run, whatever came: texts are its pieces, figures are possible, it can be logged and read."""
    texts: dict[int, str] = {}
    for piece in pieces:
        if piece.text:
            texts[piece.choice] = texts.get(piece.choice, "") + piece.text
    if error is None:
        assert run.texts == [texts[index] for index in sorted(texts)]
    else:  # what stood in the block of the error is in the run alone
        assert "".join(texts.values()) == "" or all(
            any(text in whole for whole in run.texts) for text in texts.values()
        )
    figures = (run.prompt_tokens, run.completion_tokens, run.total_tokens, run.cached_tokens, run.cost_usd)
    for value in (*figures, run.latency_ms, run.tokens_per_s, run.gap_max_ms, run.cache_similarity):
        assert value is None or (type(value) in (int, float) and value >= 0)
    assert run.chunks is None or run.chunks == len(run.chunk_times_ms)
    run.status = "ok"
    line = encode(run)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    repr(run)
    run._repr_mimebundle_()


def as_logged(run: Run) -> Run:
    """The run as its line gives it back."""
    import orjson

    record: dict[str, Any] = orjson.loads(encode(run))
    return decode(record, record.get("extra"))
