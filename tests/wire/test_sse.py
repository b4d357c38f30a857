"""The event stream decoder, fed in every way a network cuts bytes."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given, strategies as st

from bifrost_nb._wire.sse import DONE, EventDecoder
from bifrost_nb.errors import ProtocolError

MIB = 1024 * 1024
UNICODE = '{"t":"Größe 😀 \u2028 \u2029 \x85"}'

CASES: dict[str, tuple[bytes, list[bytes]]] = {
    "plain events": (b'data: {"a":1}\n\ndata: {"a":2}\n\ndata: [DONE]\n\n', [b'{"a":1}', b'{"a":2}', DONE]),
    "CRLF": (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
    "CR": (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
    "mixed line ends": (b"data: a\r\n\ndata: b\n\rdata: c\r\n\r", [b"a", b"b", b"c"]),
    "no blank after the colon": (b"data:a\n\ndata:  b\n\n", [b"a", b" b"]),
    "multi-line data": (b"data: a\ndata: b\ndata\n\n", [b"a\nb\n"]),
    "comment with blank line": (b"data: a\n\n: keep-alive\n\ndata: b\n\n", [b"a", b"b"]),
    "heartbeat without blank line": (b"data: a\n\n: heartbeat\n: heartbeat\ndata: b\n\n", [b"a", b"b"]),
    "heartbeat inside an event": (b"data: a\n: heartbeat\ndata: b\n\n", [b"a\nb"]),
    "comment first": (b":\n:\n\ndata: a\n\n", [b"a"]),
    "event names": (b'event: error\ndata: {"error":"x"}\n\nid: 1\nretry: 3\ndata: a\n\n', [b'{"error":"x"}', b"a"]),
    "named events": (b'event: a\ndata: {"n":1}\n\nevent: b\ndata:  x\n\n', [b'{"n":1}', b" x"]),
    "named events of more lines": (b"event: a\ndata: 1\ndata: 2\n\nevent: b\n\nevent: c\ndata: 3\n\n", [b"1\n2", b"3"]),
    "a name and no data": (b"event: a\ndata: \n\nevent: b\nid: 1\n\nevent: c\ndata: data: 3\n\n", [b"data: 3"]),
    "unknown field": (b"datas: a\ndat: b\nfoo\ndata: c\n\n", [b"c"]),
    "many blank lines": (b"\n\ndata: a\n\n\n\n\ndata: b\n\n", [b"a", b"b"]),
    "no data": (b"data: \n\ndata:\n\nevent: x\n\ndata: a\n\n", [b"a"]),
    "byte-order mark": (b"\xef\xbb\xbfdata: a\n\ndata: \xef\xbb\xbfb\n\n", [b"a", b"\xef\xbb\xbfb"]),
    "byte-order mark and comment": (b"\xef\xbb\xbf: x\ndata: a\n\n", [b"a"]),
    "no end": (b"data: a\n\ndata: b", [b"a", b"b"]),
    "no blank line at the end": (b"data: a\n\ndata: b\n", [b"a", b"b"]),
    "UTF-8": (f"data: {UNICODE}\n\n".encode(), [UNICODE.encode()]),
    "separator characters of Python": (b"data: a\x0bb\x0cc\x1cd\n\n", [b"a\x0bb\x0cc\x1cd"]),
    "empty": (b"", []),
    "only line ends": (b"\r\n\r\n\n", []),
}  # fmt: skip


def decoded(*blocks: bytes, limit: int = 8 * MIB) -> list[bytes]:
    """All payloads of a stream that arrives in these blocks."""
    decoder = EventDecoder(limit)
    return [payload for block in blocks for payload in decoder.feed(block)] + decoder.end()


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """`data` in pieces."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@pytest.mark.parametrize("name", CASES)
def test_each_form_of_event_is_read(name: str) -> None:
    """Every form that servers send gives its payloads, whole and cut at every single position, and byte by byte."""
    data, expected = CASES[name]
    assert decoded(data) == expected
    for place in range(len(data)):
        assert decoded(data[:place], data[place:]) == expected, f"cut at {place}"
    assert decoded(*(data[at : at + 1] for at in range(len(data)))) == expected


_LINES = st.sampled_from(
    [b"data: ", b"data:", b"data", b"event: error", b": heartbeat", b"id: 1", b"", b"", b"\xef\xbb\xbf", b"da"]
)
_TEXTS = st.text('{"}: aé\u2028😀\x00', max_size=6).map(str.encode)
_ENDS = st.sampled_from([b"\n", b"\n", b"\n\n", b"\r\n", b"\r\n\r\n", b"\r", b"\r\r", b""])
_STREAMS = st.lists(st.tuples(_LINES, _TEXTS, _ENDS).map(b"".join), max_size=25).map(b"".join)


@given(_STREAMS, st.lists(st.integers(0, 10_000), max_size=12))
def test_any_segmentation_gives_the_same_events(data: bytes, places: list[int]) -> None:
    """How the network cuts the bytes never changes the events."""
    assert decoded(*cut(data, places)) == decoded(data)


@given(_STREAMS, st.lists(st.integers(0, 10_000), max_size=12), st.integers(1, 40))
def test_the_limit_does_not_depend_on_segmentation(data: bytes, places: list[int], limit: int) -> None:
    """A stream is refused for its size, or read, however it is cut."""

    def outcome(blocks: list[bytes]) -> object:
        try:
            return decoded(*blocks, limit=limit)
        except ProtocolError:
            return "refused"

    assert outcome(cut(data, places)) == outcome([data])


@given(_STREAMS)
def test_we_agree_with_httpx_sse(data: bytes) -> None:
    """On streams without a byte-order mark whose last event is complete, httpx-sse gives the same payloads."""
    decoders = pytest.importorskip("httpx_sse._decoders")
    data = data.replace(b"\xef\xbb\xbf", b"") + b"\n\n"
    lines, events = decoders.SSELineDecoder(), decoders.SSEDecoder()
    theirs = [
        event.data.encode()
        for line in [*lines.decode(data.decode()), *lines.flush()]
        if (event := events.decode(line)) and event.data
    ]
    assert decoded(data) == theirs


def test_where_httpx_sse_is_not_enough() -> None:
    """The reasons for our own decoder still hold: byte-order mark, unfinished last event, lines of any length."""
    decoders = pytest.importorskip("httpx_sse._decoders")

    def theirs(text: str) -> list[str]:
        lines, events = decoders.SSELineDecoder(), decoders.SSEDecoder()
        found = (events.decode(line) for line in [*lines.decode(text), *lines.flush()])
        return [event.data for event in found if event]

    assert theirs("\ufeffdata: a\n\n") in ([], [""])
    assert decoded("\ufeffdata: a\n\n".encode()) == [b"a"]
    assert theirs("data: a\n\ndata: b\n") == ["a"]
    assert decoded(b"data: a\n\ndata: b\n") == [b"a", b"b"]
    assert len(theirs(f"data: {'x' * 10 * MIB}\n\n")[0]) == 10 * MIB


def test_a_line_of_10_mib_is_refused_early() -> None:
    """An endless line ends with an error that names the limit, as soon as the limit is passed, at linear cost."""
    decoder = EventDecoder()
    block = b"x" * 16 * 1024
    assert decoder.feed(b"data: ") == []
    for _ in range(8 * MIB // len(block) - 1):
        assert decoder.feed(block) == []
    with pytest.raises(ProtocolError, match="8,388,608 bytes"):
        decoder.feed(block)


@pytest.mark.parametrize("blocks", [1, 160])
def test_large_payloads_below_the_limit_arrive_whole(blocks: int) -> None:
    """A payload of 8 MiB less its field name passes, in one block or many, alone or between others."""
    payload = b"x" * (8 * MIB - 6)
    data = b"data: a\n\ndata: " + payload + b"\n\ndata: b\n\n"
    size = len(data) // blocks + 1
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert decoded(*pieces) == [b"a", payload, b"b"]
    with pytest.raises(ProtocolError, match="size limit"):
        decoded(data.replace(b"data: x", b"data: xx"))


def test_many_data_lines_of_one_event_are_limited_too() -> None:
    """An event of endless short lines is refused like an endless line."""
    decoder = EventDecoder(limit=1000)
    for _ in range(250):
        assert decoder.feed(b"data: abc\n") == []
    with pytest.raises(ProtocolError, match="1,000 bytes"):
        decoder.feed(b"data: abc\n")


def test_heartbeats_are_not_kept() -> None:
    """Comments of a day of silence neither fill memory nor reach the limit."""
    decoder = EventDecoder(limit=1000)
    for _ in range(86_400):
        assert decoder.feed(b": heartbeat\n") == []
    assert decoder.feed(b"data: a\n\n") == [b"a"]


def test_framing_is_many_times_quicker_than_httpx_sse() -> None:
    """Blocks of 64 KiB are framed under 1 µs an event, and several times quicker than by httpx-sse."""
    decoders = pytest.importorskip("httpx_sse._decoders")
    payload = b'{"id":"cmpl-1","object":"text_completion","choices":[{"index":0,"text":" word"}],"extra_fields":{}}'
    events = 20_000
    data = (b"data: " + payload + b"\n\n") * events
    blocks = [data[at : at + 65_536] for at in range(0, len(data), 65_536)]

    def ours() -> int:
        decoder = EventDecoder()
        return sum(len(decoder.feed(block)) for block in blocks)

    def theirs() -> int:
        lines, parser = decoders.SSELineDecoder(), decoders.SSEDecoder()
        return sum(parser.decode(line) is not None for block in blocks for line in lines.decode(block.decode()))

    def best(work: object) -> float:
        times = []
        for _ in range(5):
            start = time.process_time()
            assert work() == events  # type: ignore[operator]
            times.append(time.process_time() - start)
        return min(times)

    mine, other = best(ours), best(theirs)
    assert mine / events < 1e-6
    assert other / mine > 3
    print(f"{mine / events * 1e9:.0f} ns an event, httpx-sse {other / events * 1e9:.0f} ns")
