"""Every fault of the wire: the right error, the run recorded with what arrived, no hang, nothing left behind.

One table; each row is what the server does to the completion. All run streamed and whole where that makes a difference.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

import bifrost_nb as bf
from bifrost_nb import RunLog, Timeouts
from bifrost_nb._client.transport import MAX_ANSWER_BYTES
from tests.thorough import some_of

from .server import FaultServer, Wire, chunk, done, event, head, http_chunk

Faulty = Callable[..., FaultServer]

JSON = "application/json"
HTML = "text/html"
WHOLE = (
    b'{"choices":[{"index":0,"text":"Once upon","finish_reason":"stop"}],"usage":{"prompt_tokens":1,'
    b'"completion_tokens":2,"total_tokens":3}}'
)
ONCE = chunk("Once ")
PAGE = "<html><head><title>Bad <b>gateway</title></head><body><script>steal()</script></body></html>"
LONG = Timeouts(connect=20, first_byte=20, between_chunks=20, total=20)
"""Never reached: a busy machine must not turn another fault into a time limit."""
FIRST = Timeouts(connect=20, first_byte=0.4, between_chunks=20, total=20)
BETWEEN = Timeouts(connect=20, first_byte=20, between_chunks=0.4, total=20)
TOTAL = Timeouts(connect=20, first_byte=20, between_chunks=20, total=1.5)


class Fault(NamedTuple):
    """What the server does, and what must come of it."""

    name: str
    act: Callable[[Wire], Any]
    error: type[bf.BifrostError]
    status: str = "error"
    text: str = ""
    """What is in the record of a streamed call."""
    stream: bool | None = None
    """None: the same for both ways."""
    limits: Timeouts = LONG
    within_s: float = 15.0


def sends(*parts: bytes) -> Callable[[Wire], None]:
    return lambda wire: [wire.send(part) for part in parts] and None  # type: ignore[func-returns-value]


def then_silent(*parts: bytes) -> Callable[[Wire], Any]:
    return lambda wire: (sends(*parts)(wire), wire.wait())


def then_reset(*parts: bytes) -> Callable[[Wire], Any]:
    return lambda wire: (sends(*parts)(wire), wire.wait(0.1), wire.reset())  # so that the client reads before the RST


def drips(data: bytes, gap_s: float = 0.02) -> Callable[[Wire], None]:
    return lambda wire: wire.drip(data, gap_s)


def body(kind: str | None, content: bytes, status: str = "200 OK", *lines: str) -> bytes:
    return head(status, kind, f"content-length: {len(content)}", *lines) + content


def unfolds(wire: Wire) -> None:
    """One line of 20 MB in 90 kB."""
    wire.send(body("text/event-stream", zlib.compress(bytes(20 << 20), 1), "200 OK", "content-encoding: deflate"))


CHUNKED = head("200 OK", "text/event-stream", "transfer-encoding: chunked")
LENGTH_10 = head("200 OK", JSON, "content-length: 1000")

FAULTS = [
    # The connection ends
    Fault("reset before a byte", then_reset(), bf.ConnectionFailed),
    Fault("closed before a byte", sends(), bf.ConnectionFailed),
    Fault("closed inside the status line", sends(b"HTTP/1.1 2"), bf.ConnectionFailed),
    Fault("reset inside the headers", then_reset(b"HTTP/1.1 200 OK\r\ncontent-ty"), bf.ConnectionFailed),
    Fault("reset after the headers", then_reset(head()), bf.StreamInterrupted, "truncated", stream=True),
    Fault("reset in the middle", then_reset(head() + ONCE), bf.StreamInterrupted, "truncated", "Once ", True),
    Fault("closed in the middle", sends(head() + ONCE), bf.StreamInterrupted, "truncated", "Once ", True),
    Fault("closed inside an event", sends(head() + ONCE + ONCE[:20]), bf.StreamInterrupted, "truncated", "Once ", True),
    Fault("HTTP chunk cut off", sends(CHUNKED + http_chunk(ONCE) + b"40\r\ndata"), bf.StreamInterrupted, "truncated",
          "Once ", True),
    Fault("length not reached, streamed", sends(head("200 OK", "text/event-stream", "content-length: 9999") + ONCE),
          bf.StreamInterrupted, "truncated", "Once ", True),
    Fault("length not reached", sends(LENGTH_10 + WHOLE[:50]), bf.StreamInterrupted, "truncated", stream=False),
    Fault("reset in the body", then_reset(LENGTH_10 + WHOLE[:50]), bf.StreamInterrupted, "truncated", stream=False),
    Fault("error page cut off", sends(head("502 Bad Gateway", HTML, "content-length: 500") + b"<html>"),
          bf.StreamInterrupted, "truncated"),
    # It stays open and nothing comes
    Fault("never answers", then_silent(), bf.TimedOut, "timeout", limits=FIRST),
    Fault("half a status line", then_silent(b"HTTP/1.1 200"), bf.TimedOut, "timeout", limits=FIRST),
    Fault("headers, then nothing", then_silent(head()), bf.TimedOut, "timeout", limits=FIRST),
    Fault("half-open stream", then_silent(head() + ONCE), bf.TimedOut, "timeout", "Once ", True, BETWEEN),
    Fault("half-open inside an event", then_silent(head() + ONCE + ONCE[:9]), bf.TimedOut, "timeout", "Once ", True,
          BETWEEN),
    Fault("half-open body", then_silent(LENGTH_10 + WHOLE[:50]), bf.TimedOut, "timeout", stream=False, limits=FIRST),
    # Byte by byte
    Fault("headers drip", drips(head() + ONCE + done(), 0.05), bf.TimedOut, "timeout", limits=FIRST),
    Fault("body drips", drips(LENGTH_10 + b" " * 900, 0.002), bf.TimedOut, "timeout", stream=False, limits=FIRST),
    Fault("stream drips", lambda wire: (wire.send(head() + ONCE), wire.drip(ONCE * 50, 0.01)), bf.TimedOut, "timeout",
          None, True, TOTAL),  # type: ignore[arg-type]
    Fault("heartbeats without end", lambda wire: (wire.send(head() + ONCE), wire.drip(b": heartbeat\n\n" * 50, 0.01)),
          bf.TimedOut, "timeout", "Once ", True, TOTAL),
    # Too much
    Fault("endless body",
          lambda wire: (wire.send(head("200 OK", JSON)), wire.flood(b" " * 2**20, 2 * MAX_ANSWER_BYTES)),
          bf.ProtocolError, within_s=20, stream=False),
    Fault("endless heartbeats at full speed",
          lambda wire: (wire.send(head() + ONCE), wire.flood(b":" * 2**20 + b"\n", 2 * MAX_ANSWER_BYTES)),
          bf.ProtocolError, text="Once ", within_s=60, stream=True),
    Fault("a length beyond the limit", then_silent(head("200 OK", JSON, f"content-length: {MAX_ANSWER_BYTES + 1}")),
          bf.ProtocolError, stream=False),
    Fault("endless line", lambda wire: (wire.send(head() + ONCE), wire.flood(b"data: xxxxxxxxx" * 2**16, 2**26)),
          bf.ProtocolError, text="Once ", stream=True),
    Fault("endless header", lambda wire: (wire.send(b"HTTP/1.1 200 OK\r\nx: "), wire.flood(b"x" * 2**16, 2**26)),
          bf.ProtocolError),
    Fault("a stream that unfolds", unfolds, bf.ProtocolError, stream=True),
    Fault("Brotli", sends(body(JSON, WHOLE, "200 OK", "content-encoding: br")), bf.ProtocolError),
    Fault("Zstandard", sends(body("text/event-stream", WHOLE, "200 OK", "Content-Encoding: ZSTD")), bf.ProtocolError),
    Fault("compressed twice", sends(body(JSON, WHOLE, "200 OK", "content-encoding: gzip, gzip")), bf.ProtocolError),
    # Something else than an answer
    Fault("no HTTP", sends(b"SSH-2.0-OpenSSH_9.6\r\n"), bf.ProtocolError),
    Fault("a TLS alert", sends(b"\x15\x03\x01\x00\x02\x02\x46"), bf.ProtocolError),
    Fault("two lengths", sends(body(JSON, WHOLE, "200 OK", "content-length: 3")), bf.ProtocolError),
    Fault("a reason that is no text", sends(b"HTTP/1.1 200 \x80OK\r\ncontent-length: 0\r\n\r\n"), bf.ProtocolError),
    Fault("a status without number", sends(b"HTTP/1.1 OK\r\n\r\n"), bf.ProtocolError),
    Fault("no content", sends(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"), bf.ProtocolError),
    Fault("not gzip", sends(body(JSON, WHOLE, "200 OK", "content-encoding: gzip")), bf.ProtocolError),
    Fault("a web page", sends(body(HTML, PAGE.encode())), bf.ProtocolError),
    Fault("an image", sends(body("image/png", b"\x89PNG\r\n\x1a\n\0\0")), bf.ProtocolError),
    Fault("empty", sends(body(JSON, b"")), bf.ProtocolError),
    Fault("an array", sends(body(JSON, b"[]")), bf.ProtocolError),
    Fault("two answers", sends(body(JSON, WHOLE + WHOLE)), bf.ProtocolError),
    Fault("deep nesting", sends(body(JSON, b'{"choices":' + b"[" * 100_000)), bf.ProtocolError),
    Fault("invalid JSON in an event", sends(head() + ONCE + event('{"choices":[}')), bf.ProtocolError, text="Once ",
          stream=True),
    Fault("JSON cut off by the gateway", sends(head() + ONCE + event('{"choices":[{"ind') + done()), bf.ProtocolError,
          text="Once ", stream=True),
    Fault("deep nesting in an event", sends(head() + ONCE + event('{"a":' + "[" * 100_000)), bf.ProtocolError,
          text="Once ", stream=True),
    Fault("no stream after all, and no answer", sends(head() + event("[DONE]").replace(b"[DONE]", b"null")),
          bf.ProtocolError, stream=True),
    # Status
    *(Fault(f"{status} elsewhere", sends(body(HTML, PAGE.encode(), f"{status} Moved", "location: http://127.0.0.1:1/")),
            bf.ProtocolError) for status in (300, 301, 302, 303, 307, 308)),
    *(Fault(f"{status} with a page", sends(body(HTML, PAGE.encode(), f"{status} Oops")), error)
      for status, error in ((400, bf.GatewayError), (401, bf.AuthenticationFailed), (403, bf.AuthenticationFailed),
                            (404, bf.NotFound), (405, bf.GatewayError), (413, bf.GatewayError), (429, bf.RateLimited),
                            (500, bf.GatewayError), (502, bf.GatewayError), (503, bf.GatewayError),
                            (504, bf.GatewayError), (520, bf.GatewayError), (599, bf.GatewayError))),
    Fault("500 that is not UTF-8", sends(body(HTML, b"<html><title>\xff\xfe", "500 Oops")), bf.GatewayError),
    Fault("502 without a body", sends(body(None, b"", "502 Bad Gateway")), bf.GatewayError),
    Fault("error as an event stream", sends(head("503 Busy") + event('{"error":{"message":"busy"}}')), bf.GatewayError),
]  # fmt: skip


ROWS = [(fault, way) for fault in FAULTS for way in ((True, False) if fault.stream is None else (fault.stream,))]


@pytest.mark.parametrize(
    ("fault", "stream"), some_of(ROWS), ids=[f"{fault.name}, {'streamed' if way else 'whole'}" for fault, way in ROWS]
)
def test_each_fault(faulty: Faulty, ask: Any, log: RunLog, fault: Fault, stream: bool) -> None:
    """One typed error that holds the run, the run in the log with the text received, in time, and nothing left."""
    server = faulty(fault.act)
    began = time.monotonic()
    with pytest.raises(bf.BifrostError) as caught:
        ask(server.url, stream, timeout=fault.limits)
    took = time.monotonic() - began
    error = caught.value
    assert type(error) is fault.error, f"{type(error).__name__}: {error}"
    assert took < fault.within_s
    assert server.asked == 1
    [run] = log.read()
    assert (run.status, run.run_id) == (fault.status, error.run.run_id if error.run else None)
    assert run.total_ms is not None
    assert 0 < run.total_ms < 1000 * fault.within_s
    assert run.error_message == error.run.error_message if error.run else False
    if fault.text is not None and stream:
        assert run.text == fault.text
    elif stream:
        assert run.text.startswith("Once ")
    assert (run.cost_usd, run.completion_tokens) == (None, None), "unknown is unknown"
    assert "<script" not in str(error)
    if isinstance(error, bf.TimedOut):
        assert error.seconds == getattr(fault.limits, error.phase or "") < 20
    if isinstance(error, bf.StreamInterrupted):
        assert error.text == run.text


DEEP = b"[" * 900 + b"1" + b"]" * 900
"""As much as orjson reads, more than it writes and than functions that call themselves can go through."""


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + WHOLE,
        WHOLE.replace(b"upon", b"\xff\xfe"),
        WHOLE.replace(b"upon", b"\\ud800"),
        WHOLE[:-1] + b',"score":NaN}',
        WHOLE[:-1] + b',"extra_fields":{"raw_response":' + DEEP + b"}}",
        WHOLE[:-1] + b',"model":' + DEEP + b"}",
        WHOLE[:-1] + b',"service_tier":' + b'{"a":' * 240 + b"1" + b"}" * 241,
    ],
    ids=["byte-order mark", "invalid UTF-8", "half a character", "NaN", "900 levels", "in a name", "240 levels"],
)
def test_what_python_reads_is_an_answer(faulty: Faulty, ask: Any, log: RunLog, content: bytes) -> None:
    """What the SDKs' own reader takes is an answer, with what cannot be kept replaced, and one line of the log."""
    server = faulty(sends(body(JSON, content)))
    text = ask(server.url, False)
    assert text.startswith("Once ")
    assert [(run.status, run.text) for run in log.read()] == [("ok", text)]


USAGE = event('{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}')
STOP = chunk("", None, "stop")

WHOLE_ALL_THE_SAME = {
    "events in capitals": sends(head("200 OK", "Text/Event-Stream; Charset=UTF-8") + ONCE + done()),
    "an answer where a stream was asked for": sends(body(JSON, WHOLE.replace(b"upon", b""))),
    "a chunk of 900 levels": sends(
        head() + ONCE + event(f'{{"choices":[],"extra_fields":{{"a":{DEEP.decode()}}}}}') + done()
    ),
    "[DONE] without usage, then silence": then_silent(head() + ONCE + STOP + event("[DONE]")),
    "finish and usage, then silence": then_silent(head() + ONCE + STOP + USAGE),
    "finish and usage, then heartbeats": lambda wire: (
        wire.send(head() + ONCE + STOP + USAGE),
        wire.drip(b":\n\n" * 500, 0.05),
    ),
    "[DONE], then a reset": then_reset(head() + ONCE + STOP + USAGE + event("[DONE]")),
    "[DONE], length not reached": sends(
        head("200 OK", "text/event-stream", "content-length: 9999") + ONCE + STOP + USAGE + event("[DONE]")
    ),
    "[DONE] without its blank line": sends(head() + ONCE + STOP + b"data: [DONE]"),
    "[DONE] with a blank behind it": sends(head() + ONCE + STOP + USAGE + event("[DONE] ")),
    "[DONE] with a tab, then silence": then_silent(head() + ONCE + STOP + event("[DONE]\t")),
    "[DONE] with words behind it": sends(head() + ONCE + STOP + event("[DONE] bye")),
    "all of it without a blank line": sends(head() + chunk("Once", None, "stop").rstrip(b"\n")),
    "the end of the text without its blank line": sends(
        head() + chunk("On") + chunk("ce", None, "stop").removesuffix(b"\n")
    ),
    "no [DONE]": sends(head() + ONCE + STOP),
    "byte by byte": lambda wire: wire.drip(head() + ONCE + STOP + USAGE + event("[DONE]"), 0),
    "HTTP/1.0": sends(b"HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + ONCE + done()),
    "early hints": sends(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + head() + ONCE + done()),
}


@pytest.mark.parametrize("act", WHOLE_ALL_THE_SAME.values(), ids=WHOLE_ALL_THE_SAME.keys())
def test_what_was_paid_for_and_came_whole_is_kept(faulty: Faulty, ask: Any, log: RunLog, act: Any) -> None:
    """An answer that has all been said is good, however its connection ends, and is not waited for."""
    server = faulty(act)
    began = time.monotonic()
    assert ask(server.url, True, timeout=Timeouts(first_byte=30, between_chunks=60, total=60)).strip() == "Once"
    assert time.monotonic() - began < 20
    [run] = log.read()
    assert (run.status, run.finish_reason) == ("ok", "stop")
    assert server.asked == 1


CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"

WITH_MORE_BEHIND = {
    "junk": body(JSON, WHOLE) + b"garbage",
    "junk, closing": body(JSON, WHOLE).replace(b"\r\n", b"\r\nconnection: close\r\n", 1) + b"garbage",
    "a second answer, broken": body(JSON, WHOLE) + b"HTTP/9.9 what\r\n\r\n",
    "zero bytes": body(JSON, WHOLE) + bytes(50),
    "behind chunks": CHUNKED + http_chunk(WHOLE) + b"0\r\n\r\n" + b"garbage",
    "behind early hints": b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + body(JSON, WHOLE) + b"\r\n{}",
}


@pytest.mark.parametrize("sent", WITH_MORE_BEHIND.values(), ids=WITH_MORE_BEHIND.keys())
def test_bytes_behind_a_whole_answer_lose_nothing(faulty: Faulty, ask: Any, log: RunLog, sent: bytes) -> None:
    """In one packet with it: the answer is whole by its own length, as every SDK reads it, and is asked for once."""
    server = faulty(sends(sent))
    assert ask(server.url, False).startswith("Once ")
    assert [run.status for run in log.read()] == ["ok"]
    assert server.asked == 1


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("begun", [b"", http_chunk(WHOLE[:9])], ids=["at once", "behind a chunk"])
def test_what_is_no_chunk_is_told_at_once(faulty: Faulty, ask: Any, begun: bytes, streamed: bool) -> None:
    """A body that breaks its framing ends the call then, not when its time is up."""
    kind = CHUNKED.replace(b"application/json", b"text/event-stream") if streamed else CHUNKED
    server, began = faulty(sends(kind + begun + b"{no length}")), time.monotonic()
    with pytest.raises(bf.BifrostError):
        ask(server.url, streamed, timeout=Timeouts(first_byte=60, between_chunks=60, total=60))
    assert time.monotonic() - began < 20


NUMBERED = [chunk(word, at) for at, word in enumerate(("Once ", "upon ", "a ", "time "))]


@pytest.mark.parametrize(
    ("order", "said"),
    [((0, 1, 3), "1 chunk never came"), ((0, 1, 1, 2, 3), "1 chunk came twice"), ((0, 2, 1, 3), "1 chunk came late")],
)
def test_chunks_that_are_missing_doubled_or_out_of_order_are_told(
    faulty: Faulty, ask: Any, log: RunLog, order: tuple[int, ...], said: str
) -> None:
    """The text is as received; caller, log, display and comparison all say that it is not as it was sent."""
    content = b"".join(NUMBERED[at] for at in order)
    server = faulty(sends(head() + content + done(4)))
    with pytest.warns(RuntimeWarning, match=said):
        text = ask(server.url, True)
    assert text.split() == [("Once", "upon", "a", "time")[at] for at in order]
    [run] = log.read()
    assert (run.status, run.text) == ("ok", text)
    assert said in run.notes[0]
    assert said in repr(run)
    result = bf.compare(["azure/fast"], "Hello", client=bf.Client(server.url, log=log))
    [note] = result.notes
    assert note.startswith("azure/fast: some runs carry notes (run.notes), for example: By the gateway's")
