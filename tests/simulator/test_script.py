"""Scripts make the gateway do, byte for byte and in time, what a test planted."""

from __future__ import annotations

import base64
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from bifrost_nb.errors import ConfigurationError

from .conftest import AZURE, Wire, events, joined

BODY = {"model": "azure/fast", "prompt": "Explain tides"}
STREAM = BODY | {"stream": True}


def received(wire: Wire, body: dict[str, Any]) -> tuple[bytes, type[BaseException] | None]:
    """What arrives of a stream, and how it broke off."""
    content = b""
    try:
        with wire.http.stream("POST", "/v1/completions", json=body) as answer:
            for block in answer.iter_raw():
                content += block
    except httpx.HTTPError as error:
        return content, type(error)
    return content, None


def test_a_status_is_planted_as_often_as_asked(wire: Wire) -> None:
    """`times` limits a rule; headers and error fields arrive; afterwards the deployment answers again."""
    error = {"type": "rate_limit_error", "code": "slow", "message": "wait a little"}
    wire.gateway.script(
        [{"deployment": "azure/fast", "times": 2, "status": 429, "headers": {"Retry-After": "7"}, "error": error}]
    )
    answers = [wire.post("/v1/completions", BODY) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].headers["retry-after"] == "7"
    assert answers[0].json()["error"] == error


@pytest.mark.parametrize(
    ("rule", "matching", "other"),
    [
        ({"deployment": "azure/large"}, {"model": "azure/large"}, {}),
        ({"prompt": "needle"}, {"prompt": "a needle in hay"}, {}),
        ({"stream": True}, {"stream": True}, {}),
        ({"request_headers": {"X-Tag": "a"}}, {"x-tag": "a"}, {"x-tag": "b"}),
    ],
)
def test_a_rule_applies_only_where_all_its_conditions_hold(
    wire: Wire, rule: dict[str, Any], matching: dict[str, Any], other: dict[str, Any]
) -> None:
    """Deployment, prompt, streaming and headers choose the requests."""
    wire.gateway.script([rule | {"status": 418}])

    def status(change: dict[str, Any]) -> int:
        headers = {name: value for name, value in change.items() if name.startswith("x-")}
        fields = {name: value for name, value in change.items() if not name.startswith("x-")}
        return wire.post("/v1/completions", BODY | fields, **headers).status_code

    assert status(matching) == 418
    assert status(other) == 200


def test_the_nth_attempt_can_be_chosen(wire: Wire) -> None:
    """`nth` counts the attempts that the other conditions hold for."""
    wire.gateway.script([{"nth": [2, 4], "status": 500}])
    assert [wire.post("/v1/completions", BODY).status_code for _ in range(5)] == [200, 500, 200, 500, 200]


def test_a_scripted_failure_of_the_primary_falls_back(wire: Wire) -> None:
    """A rule for one deployment leaves its fallback alone."""
    wire.gateway.script([{"deployment": "azure/large", "status": 503}])
    answer = wire.post("/v1/completions", BODY | {"model": "azure/large", "fallbacks": ["azure/fast"]})
    assert answer.json()["extra_fields"]["routing_info"]["model"] == "fast"


@pytest.mark.parametrize(
    ("body", "content"),
    [
        ("{not json", b"{not json"),
        ({"base64": base64.b64encode(b"\xff\x00").decode()}, b"\xff\x00"),
        ({"a": 1}, b'{"a":1}'),
    ],
)
def test_a_body_is_sent_as_it_is(wire: Wire, body: Any, content: bytes) -> None:
    """Text, bytes or JSON replace the answer, under any content type and status."""
    wire.gateway.script([{"status": 200, "body": body, "headers": {"content-type": "text/html"}}])
    answer = wire.post("/v1/completions", BODY)
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, content, "text/html")


def test_frames_are_sent_byte_for_byte_in_the_cuts_asked_for(wire: Wire) -> None:
    """Frames arrive unchanged, each cut as an HTTP chunk of its own."""
    text = 'data: {"choices":[{"index":0,"text":"ü\u2028"}]}\r\n\r\n'
    frames = [
        {"text": text, "cut": 5},
        {"base64": base64.b64encode(b"\xff\n\n").decode(), "pause_ms": 20},
        "data: [DONE]\n\n",
    ]
    wire.gateway.script([{"frames": frames}])
    raw = _raw(wire, STREAM)
    pieces = _chunks(raw)
    assert b"".join(pieces) == text.encode() + b"\xff\n\ndata: [DONE]\n\n"
    assert pieces[:3] == [b"data:", b' {"ch', b"oices"]


def test_an_oversized_line_is_one_line(wire: Wire) -> None:
    """A frame can be repeated into a line of any size."""
    wire.gateway.script([{"frames": ["data: ", {"text": "x" * 1000, "repeat": 10_000}, "\n\n"]}])
    content, error = received(wire, STREAM)
    assert error is None
    assert len(content) == 10_000_008


@pytest.mark.parametrize("how", ["rst", "fin"])
@pytest.mark.parametrize("after", [{"after_chunks": 3}, {"after_bytes": 700}, {"after_chunks": 0}])
def test_a_stream_can_be_cut(wire: Wire, how: str, after: dict[str, int]) -> None:
    """The connection ends after exactly so many chunks or bytes, and the record says so."""
    wire.gateway.script([{"drop": after | {"how": how}, "gap_ms": 5, "first_text_ms": 0}])
    content, error = received(wire, STREAM)
    assert error in (httpx.ReadError, httpx.RemoteProtocolError)
    if "after_bytes" in after:
        assert len(content) == 700
    else:
        assert len(events(content)) == after["after_chunks"]
    record = wire.gateway.requests()[0]
    assert record["dropped_at"] is not None
    assert record["ended_at"] is record["disconnected_at"] is None


def test_a_connection_can_be_dropped_without_an_answer(wire: Wire) -> None:
    """A drop without a count comes before any byte."""
    wire.gateway.script([{"drop": {"how": "rst"}, "times": 1}])
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        wire.post("/v1/completions", BODY)
    assert wire.post("/v1/completions", BODY).status_code == 200


def test_a_silent_gateway_never_answers(wire: Wire) -> None:
    """`silent` accepts the request and sends nothing; the client's leaving is recorded."""
    wire.gateway.script([{"silent": True}])
    with pytest.raises(httpx.ReadTimeout):
        wire.http.post("/v1/completions", json=BODY, timeout=0.2)
    records = wire.gateway.wait_for(lambda found: found[0]["disconnected_at"])
    assert records[0]["status"] is None


def test_a_stream_can_stall(wire: Wire) -> None:
    """After so many chunks nothing more comes, with the connection open."""
    wire.gateway.script([{"stall_after_chunks": 2, "gap_ms": 1, "first_text_ms": 0, "heartbeat_ms": 0}])
    with pytest.raises(httpx.ReadTimeout):
        wire.http.post("/v1/completions", json=STREAM, timeout=0.3)
    assert wire.gateway.requests()[0]["chunks"] == 2


def test_a_stream_can_be_held(wire: Wire) -> None:
    """After so many chunks a stream waits for the next script, or a reset, and then goes on to its end."""
    tokens = ["a", "b", "c"]
    for limit, held, release in ((1, 1, lambda: wire.gateway.script([])), (9, 3, wire.gateway.reset)):
        wire.gateway.reset()  # the record that is waited for is this answer's
        wire.gateway.script([{"text": tokens, "first_text_ms": 0, "gap_ms": 1, "hold_after_chunks": limit}])
        with ThreadPoolExecutor() as pool:
            answer = pool.submit(wire.post, "/v1/completions", STREAM)
            wire.gateway.wait_for(lambda found: found and found[-1]["chunks"] == held)  # noqa: B023
            assert not answer.done()
            release()
            assert joined(events(answer.result(10).content)) == "abc"


def test_a_stream_can_lack_its_end(wire: Wire) -> None:
    """`omit_end` leaves out usage, finish reason and end marker, and closes in good order."""
    wire.gateway.script([{"text": ["a", "b"], "omit_end": True}])
    chunks = events(wire.post("/v1/completions", STREAM).content)
    assert joined(chunks) == "ab"
    assert all("usage" not in chunk for chunk in chunks)


def test_text_usage_cost_and_cache_can_be_fixed(wire: Wire) -> None:
    """The answer's text, usage, cost and cache facts are what the rule says, streamed or not, and in the log."""
    usage = {"prompt_tokens": 11, "completion_tokens": 22, "total_tokens": 33}
    cache = {"cache_hit": True, "hit_type": "semantic", "similarity": 0.93}
    rule = {"text": ["Hel", "lo"], "usage": usage, "cost": 0.5, "cache": cache, "finish_reason": "content_filter"}
    wire.gateway.script([rule | {"merge": {"extra_fields": {"new": 1}, "model": None}, "log_delay_ms": 0}])
    whole = wire.http.post("/v1/completions", json=BODY, headers={"x-request-id": "fixed"}).json()
    chunks = wire.stream("/v1/completions", BODY)
    assert whole["choices"][0]["text"] == joined(chunks) == "Hello"
    for body in (whole, chunks[-2]):
        assert body["usage"] == usage | {"cost": 0.5}
        assert body["extra_fields"]["cache_debug"] == cache
        assert body["extra_fields"]["new"] == 1
        assert body["model"] is None
        assert body["choices"][0]["finish_reason"] == "content_filter"
    row = wire.http.get("/api/logs/fixed").json()
    assert (row["cost"], row["token_usage"]) == (0.5, usage)


def test_times_are_kept(wire: Wire) -> None:
    """Headers, first text and gaps come when the script says, whatever the gateway's speed."""
    wire.gateway.script([{"delay_ms": 60, "first_text_ms": 150, "gap_ms": 30, "chunks": 6}])
    wire.post("/v1/completions", STREAM)
    record = wire.gateway.requests()[0]
    planned = [0.060, *(0.150 + 0.030 * place for place in range(6))]
    happened = [moment - record["received_at"] for moment in (record["headers_at"], *record["chunk_times"])]
    late = [now - plan for now, plan in zip(happened, planned, strict=True)]
    assert min(late) > -0.001
    assert sorted(late)[3] < 0.030


def test_many_chunks_come_at_once(wire: Wire) -> None:
    """20,000 chunks without gaps are complete and in order."""
    wire.gateway.script([{"chunks": 20_000, "gap_ms": 0, "first_text_ms": 0}])
    body = STREAM | {"model": "azure/large", "max_tokens": 50_000}
    for _ in range(2):
        chunks = events(wire.post("/v1/completions", body).content)
        assert joined(chunks) == "".join(f" word{place}" for place in range(20_000))
        assert chunks[-2]["extra_fields"]["chunk_index"] == 20_001
        assert wire.gateway.requests()[-1]["chunks"] == 20_000


def test_the_log_can_be_late_or_silent(wire: Wire) -> None:
    """A row comes when the script says, or never."""
    wire.gateway.script([{"prompt": "late", "log_delay_ms": 150}, {"prompt": "never", "log": False}])
    began = time.monotonic()
    for name in ("late", "never"):
        wire.post("/v1/completions", BODY | {"prompt": name}, **{"x-request-id": name})
    while wire.http.get("/api/logs/late").status_code == 404:
        assert time.monotonic() < began + 30
    assert time.monotonic() > began + 0.15
    assert wire.http.get("/api/logs/never").status_code == 404


def test_other_routes_can_be_scripted_by_their_path(wire: Wire) -> None:
    """A rule with a path answers for health, models and log routes too; without one it leaves them alone."""
    wire.gateway.script(
        [{"path": "/api/logs/*", "status": 503, "body": "down"}, {"path": "/health", "silent": True}, {"status": 500}]
    )
    assert wire.http.get("/api/logs/x").text == "down"
    assert wire.http.get("/v1/models").status_code == 200
    with pytest.raises(httpx.ReadTimeout):
        wire.http.get("/health", timeout=0.1)
    assert [record["path"] for record in wire.gateway.requests()] == ["/api/logs/x", "/v1/models", "/health"]


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        ([{"deploiment": "azure/fast"}], "deploiment"),
        ([{"status": 42}], "status"),
        ([{"frames": [{}]}], "either text or base64"),
        (["x"], "valid dictionary"),
    ],
)
def test_a_rule_that_cannot_be_used_is_refused_by_name(wire: Wire, rules: Any, named: str) -> None:
    """The error names the field in one line; the rules in force stay."""
    wire.gateway.script([{"status": 418}])
    with pytest.raises(ConfigurationError, match=named) as caught:
        wire.gateway.script(rules)
    assert "\n" not in str(caught.value)
    assert "pydantic" not in str(caught.value)
    assert wire.post("/v1/completions", BODY).status_code == 418


def test_requests_are_recorded_as_they_arrived(wire: Wire) -> None:
    """Path, query, headers, body, connection, who served, and the times of this machine's clocks."""
    before = time.monotonic(), time.time()
    wire.post(AZURE.format("a%20b") + "?api-version=1&x=%26", {"prompt": "x"}, **{"X-Tag": "t", "x-request-id": "r1"})
    wire.post("/v1/completions", STREAM)
    first, second = wire.gateway.requests()
    assert first["id"] == "r1"
    assert first["path"].endswith("/a b/completions")
    assert first["raw_path"].endswith("/a%20b/completions")
    assert first["query"] == {"api-version": "1", "x": "&"}
    assert (first["headers"]["x-tag"], first["body"]) == ("t", {"prompt": "x"})
    assert first["connection"] == second["connection"]
    assert (second["served"], second["status"]) == ("azure/fast", 200)
    times = [second[name] for name in ("received_at", "headers_at", "first_text_at", "ended_at")]
    moments = [before[0], *times, time.monotonic()]
    assert moments == sorted(moments)
    assert before[1] <= second["received_time"] <= time.time()
    assert wire.gateway.requests(start=1) == [second]


def _raw(wire: Wire, body: dict[str, Any]) -> bytes:
    """The answer's bytes, transfer encoding included."""
    where = urlsplit(wire.gateway.url)
    content = httpx.Request("POST", wire.gateway.url, json=body).content
    head = f"POST /v1/completions HTTP/1.1\r\nHost: {where.netloc}\r\nConnection: close\r\n"
    head += f"Content-Length: {len(content)}\r\n\r\n"
    with socket.create_connection((where.hostname, where.port), timeout=5) as connection:
        connection.sendall(head.encode() + content)
        blocks = iter(lambda: connection.recv(65_536), b"")
        return b"".join(blocks).partition(b"\r\n\r\n")[2]


def _chunks(raw: bytes) -> list[bytes]:
    """The parts of a chunked body."""
    parts = []
    while raw:
        size, _, raw = raw.partition(b"\r\n")
        parts.append(raw[: int(size, 16)])
        raw = raw[int(size, 16) + 2 :]
    return parts[:-1]
