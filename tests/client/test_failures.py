"""What goes wrong becomes a typed error and a run that holds all that was received."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import socket
import threading
import time
from typing import Any

import aiohttp
import httpx
import pytest

import bifrost_nb as bf
from bifrost_nb import Client, LocalGateway, RunLog, Timeouts
from bifrost_nb._client.call_notes import BILLED_TWICE, TAKEN
from bifrost_nb._client.transport.network_errors import foreign, mapped

HTML = {"content-type": "text/html"}
LONG = {"text": "data: " + "x" * 1000, "repeat": 10_500}
STREAM_HEAD = 'data: {"choices":[{"index":0,"text":"Once "}]}\n\n'


def posts(gateway: LocalGateway) -> list[dict[str, Any]]:
    return [record for record in gateway.requests() if record["method"] == "POST"]


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, {"message": "bad"}, bf.GatewayError),
        (401, {"message": "no key"}, bf.AuthenticationFailed),
        (402, {"message": "spent", "type": "budget_exceeded"}, bf.BudgetExceeded),
        (403, {"message": "no"}, bf.AuthenticationFailed),
        (404, {"message": "no such deployment"}, bf.NotFound),
        (429, {"message": "slow down"}, bf.RateLimited),
        (500, {"message": "oops"}, bf.GatewayError),
        (503, {"message": "busy"}, bf.GatewayError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_error_answer_is_typed_and_recorded(
    client: Client, gateway: LocalGateway, log: RunLog, status: int, error: dict[str, str], kind: type, stream: bool
) -> None:
    """Each status has its error class; status, message and request id are told; the run is logged."""
    gateway.script([{"status": status, "error": error}])
    with pytest.raises(kind, match=error["message"]) as caught:
        if stream:
            with client.stream("azure/fast", "Hi", retries=0) as running:
                list(running)
        else:
            client.complete("azure/fast", "Hi", retries=0)
    assert type(caught.value) is kind
    run = caught.value.run
    assert run is not None
    assert (caught.value.status, run.http_status, run.status) == (status, status, "error")
    assert caught.value.request_id == run.request_id
    [logged] = log.read()
    assert (logged.run_id, logged.status, logged.error_message) == (run.run_id, "error", run.error_message)
    assert run.cost_usd is None


@pytest.mark.parametrize("dialect_frame", [
    '{"is_bifrost_error":false,"error":{"message":"broke off","type":"server_error"},"extra_fields":{}}',
    '{"error":{"is_bifrost_error":false,"status_code":500,"error":{"message":"broke off"},"extra_fields":{}}}',
    '{"error":"broke off"}',
])  # fmt: skip
def test_an_error_frame_in_the_middle_keeps_the_text(client: Client, gateway: LocalGateway, dialect_frame: str) -> None:
    """All three shapes of error frames end the stream with the gateway's message; the text before stays."""
    gateway.script([{"frames": [STREAM_HEAD, f"data: {dialect_frame}\n\n"]}])
    with pytest.raises(bf.GatewayError, match="broke off") as caught, client.stream("azure/fast", "Hi") as stream:
        assert next(iter(stream)) == "Once "
        list(stream)
    assert caught.value.run is stream.run
    assert (stream.run.text, stream.run.status) == ("Once ", "error")
    assert len(posts(gateway)) == 1, "nothing is repeated after the first text"


@pytest.mark.parametrize(
    ("rule", "kind", "status", "text"),
    [
        ({"frames": [STREAM_HEAD]}, bf.StreamInterrupted, "truncated", "Once "),
        ({"frames": [STREAM_HEAD], "drop": {"after_bytes": 30}}, bf.StreamInterrupted, "truncated", ""),
        ({"chunks": 9, "drop": {"after_chunks": 3}}, bf.StreamInterrupted, "truncated", None),
        ({"chunks": 9, "drop": {"after_chunks": 3, "how": "fin"}}, bf.StreamInterrupted, "truncated", None),
        ({"frames": [STREAM_HEAD, "data: {not json\n\n"]}, bf.ProtocolError, "error", "Once "),
        ({"frames": [STREAM_HEAD, "data: [1]\n\n"]}, bf.ProtocolError, "error", "Once "),
        ({"frames": [STREAM_HEAD, LONG]}, bf.ProtocolError, "error", "Once "),
        ({"status": 200, "body": "<html>hello</html>", "headers": HTML}, bf.ProtocolError, "error", None),
        ({"status": 302, "body": "", "headers": {"location": "http://127.0.0.1:1/"}}, bf.ProtocolError, "error", None),
        ({"status": 502, "body": "<html><h1>Bad gateway</h1></html>", "headers": HTML}, bf.GatewayError, "error", None),
        ({"drop": {}}, bf.ConnectionFailed, "error", None),
    ],
)  # fmt: skip
def test_broken_answers(
    client: Client, gateway: LocalGateway, rule: dict[str, Any], kind: type, status: str, text: str | None
) -> None:
    """Whatever comes back, the caller gets one of our errors and a run with the text received so far."""
    gateway.script([rule])
    with pytest.raises(kind) as caught, client.stream("azure/fast", "Hi", retries=0) as stream:
        list(stream)
    assert type(caught.value) is kind, caught.value
    assert stream.run.status == status
    if text is not None:
        assert stream.run.text == text
    if kind is bf.StreamInterrupted:
        assert caught.value.text == stream.run.text


def test_a_stream_without_done_is_whole_when_it_has_a_finish_reason(client: Client, gateway: LocalGateway) -> None:
    """Some gateways leave [DONE] out; a finish reason is an end too."""
    gateway.script([{"frames": [STREAM_HEAD, 'data: {"choices":[{"index":0,"text":"","finish_reason":"stop"}]}\n\n']}])
    with client.stream("azure/fast", "Hi") as stream:
        assert list(stream) == ["Once "]
    assert (stream.run.status, stream.run.finish_reason) == ("ok", "stop")


def test_odd_chunks_are_no_error(client: Client, gateway: LocalGateway) -> None:
    """Heartbeats, chunks without choices, unknown fields and line separators inside JSON change nothing."""
    odd = [
        ": heartbeat\n",
        'data: {"choices":[]}\n\n',
        'data: {"choices":[{"index":0,"text":"a\u2028b"}],"new_field":{"x":1}}\r\n\r\n',
        'data: {"choices":[{"index":0,"text":"","finish_reason":"stop"}],"usage":null}\n\n',
        'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}\n\ndata: [DONE]\n\n',
    ]
    gateway.script([{"frames": [{"text": frame, "cut": 7} for frame in odd]}])
    with client.stream("azure/fast", "Hi") as stream:
        assert "".join(stream) == "a\u2028b"
    assert stream.run.total_tokens == 3


def test_a_refused_connection_says_what_to_do(log: RunLog) -> None:
    """No gateway at the address: one error that names the address and the way out, and a run."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        with pytest.raises(bf.ConnectionFailed, match="refused") as caught:
            Client(url, log=log, retries=0).complete("azure/fast", "Hi")
    assert url in str(caught.value)
    assert "demo" in str(caught.value)
    [run] = log.read()
    assert (run.status, run.error_type, run.http_status) == ("error", "ConnectionFailed", None)


def test_an_unknown_host_and_broken_tls_are_connection_failures(log: RunLog, gateway: LocalGateway) -> None:
    """A name that nobody knows and a server that does not speak TLS are told apart from an answer."""
    with pytest.raises(bf.ConnectionFailed):
        Client("http://no-such-host.invalid", log=log, retries=0).complete("azure/fast", "Hi")
    with pytest.raises(bf.ConnectionFailed, match=r"TLS|SSL"):
        Client(gateway.url.replace("http:", "https:"), log=log, retries=0).complete("azure/fast", "Hi")


@pytest.mark.parametrize(
    ("rule", "limits", "phase"),
    [
        ({"silent": True}, Timeouts(first_byte=0.3), "first_byte"),
        ({"silent": True}, Timeouts(total=0.3), "total"),
        ({"chunks": 9, "gap_ms": 5, "stall_after_chunks": 3}, Timeouts(between_chunks=0.3), "between_chunks"),
        ({"chunks": 1000, "gap_ms": 20}, Timeouts(total=0.4), "total"),
    ],
)
def test_each_time_limit_ends_the_call(
    client: Client, gateway: LocalGateway, rule: dict[str, Any], limits: Timeouts, phase: str
) -> None:
    """The limit that passed is named, the connection is closed at once, and the text so far is kept."""
    gateway.script([rule])
    began = time.monotonic()
    with pytest.raises(bf.TimedOut, match=r"0\.\d s") as caught, client.stream("azure/fast", "Hi", timeout=limits) as s:
        list(s)
    assert caught.value.phase == phase
    assert time.monotonic() - began < 2
    assert s.run.status == "timeout"
    assert bool(s.run.text) == ("chunks" in rule)
    _wait_until(lambda: posts(gateway)[0]["disconnected_at"] is not None)


def test_a_port_that_accepts_nothing_ends_with_the_connect_limit(log: RunLog) -> None:
    """The connect limit is separate from the time the answer may take."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(8)]  # fill the queue of connections that nobody accepts
        try:
            for one in waiting:
                one.setblocking(False)
                one.connect_ex(full.getsockname())
            client = Client(f"http://127.0.0.1:{full.getsockname()[1]}", log=log, retries=0)
            with pytest.raises(bf.TimedOut) as caught:
                client.complete("azure/fast", "Hi", timeout=Timeouts(connect=0.3, total=5))
        finally:
            for one in waiting:
                one.close()
    assert caught.value.phase == "connect"


@pytest.mark.filterwarnings("ignore:An earlier attempt")
@pytest.mark.parametrize("rule", [*({"status": status} for status in (429, 408, 503, 504, 524)), {"drop": {}}])
def test_a_passing_failure_is_tried_again(client: Client, gateway: LocalGateway, rule: dict[str, Any]) -> None:
    """Connection failures, 408, 429 and 5xx are repeated, each attempt under a request id of its own."""
    gateway.script([{**rule, "times": 1}])
    run = client.complete("azure/fast", "Hi", max_tokens=3)
    assert run.status == "ok"
    assert len(run.attempts) == 2
    assert run.attempts[0].error is not None
    assert run.attempts[0].wait_ms is not None
    ids = [record["headers"]["x-request-id"] for record in posts(gateway)]
    assert ids == [attempt.request_id for attempt in run.attempts]
    assert len(set(ids)) == 2
    assert run.request_id == ids[-1]
    taken = rule.get("status") in (None, 504, 524)
    assert (BILLED_TWICE in run.notes) == taken, "only what was taken may have been billed"


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"drop": {}}, True), ({"drop": {"after_chunks": 2, "how": "rst"}, "chunks": 5}, True),
        ({"silent": True}, True), ({"status": 504}, True), ({"status": 500}, False), ({"status": 429}, False),
    ],
)  # fmt: skip
def test_what_was_taken_and_not_answered_may_be_billed(
    client: Client, gateway: LocalGateway, rule: dict[str, Any], told: bool
) -> None:
    """Alone and in a comparison, which sends it once: run, log and comparison say so; a refusal says nothing."""
    gateway.script([rule])
    limits = Timeouts(first_byte=0.3 if rule.get("silent") else 20)
    with pytest.raises(bf.BifrostError) as caught, client.stream("azure/fast", "Hi", retries=0, timeout=limits) as one:
        list(one)
    assert caught.value.run is not None
    gateway.reset()
    gateway.script([{**rule, "times": 1}] if rule.get("status") == 429 else [rule])
    result = bf.compare(["azure/fast"], "Hello", client=client, timeout=limits)
    assert [TAKEN in notes for notes in (caught.value.run.notes, result.runs[0].notes, result.notes)] == [told] * 3
    assert len(posts(gateway)) == (2 if rule.get("status") == 429 else 1)


BEGUN_WITH = {
    kind: {
        "is_bifrost_error": False,
        "error": {"type": kind, "message": "Told"},
        "extra_fields": {"provider": "azure", "original_model_requested": "fast", "latency": 1},
    }
    for kind in ("rate_limit_error", "overloaded_error", "server_error", "invalid_request_error")
}
"""What gateways 1.4.18, 1.5.16 and 2.0.0-prerelease3 answer with 400 (captured) to a provider's stream that begins with
an error."""


@pytest.mark.parametrize("kind", BEGUN_WITH)
def test_a_stream_that_begins_with_a_passing_error_is_tried_again(
    client: Client, gateway: LocalGateway, kind: str
) -> None:
    """Also where the gateway tells it as a 400; what is wrong in the request itself is sent once."""
    gateway.script([{"status": 400, "body": BEGUN_WITH[kind], "times": 1}])
    passing = kind != "invalid_request_error"
    with contextlib.nullcontext() if passing else pytest.raises(bf.GatewayError):
        assert client.complete("azure/fast", "Hi", max_tokens=3).status == "ok"
    assert len(posts(gateway)) == (2 if passing else 1)


@pytest.mark.parametrize(("status", "kind"), [(503, "request_dropped"), (400, None), (500, None)])
def test_a_full_queue_of_the_gateway_narrows_a_comparison(
    client: Client, gateway: LocalGateway, status: int, kind: str | None
) -> None:
    """What it dropped is sent again, as after a 429 (captured from 2.0.0-prerelease3, 1.5.16 and 1.4.18)."""
    error = {"type": kind, "message": "request dropped: queue is full"}
    body = {"is_bifrost_error": False, "status_code": status, "error": error, "extra_fields": {"provider": "azure"}}
    gateway.script([{"status": status, "body": body, "times": 2}])
    result = bf.compare(["azure/fast"], "Say {{n}}", inputs={"n": range(4)}, client=client, max_tokens=3)
    assert result.frame["status"].tolist() == ["ok"] * 4
    assert len(posts(gateway)) == 6
    told = [result.explain("azure/fast", prompt_id) for prompt_id in result.prompts["prompt_id"]]
    assert any("It had already been refused" in one for one in told)


def test_a_request_that_is_too_large_for_the_gateway_says_so(log: RunLog) -> None:
    """Gateways end the connection while it is sent: 1.4.0 to 2.0.0-prerelease3 do, with max_request_body_size_mb."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def reset() -> None:
            with listening.accept()[0] as one:
                one.recv(1000)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

        thread = threading.Thread(target=reset)
        thread.start()
        client = Client(f"http://127.0.0.1:{listening.getsockname()[1]}", log=log, retries=0)
        with pytest.raises(bf.ConnectionFailed) as caught:
            client.complete("azure/fast", "w " * 2_000_000)
        thread.join(10)
    assert "max_request_body_size_mb" in str(caught.value.hint)


def test_a_comparison_does_not_pay_twice_for_a_stream_that_a_limit_ends(client: Client, gateway: LocalGateway) -> None:
    """What is refused before any text is sent again, once the lane is narrower; what had text is not."""
    gateway.script([{"status": 400, "body": BEGUN_WITH["rate_limit_error"], "times": 1}])
    assert bf.compare(["azure/fast"], "Hello", client=client, max_tokens=3).frame["status"].tolist() == ["ok"]
    assert len(posts(gateway)) == 2
    gateway.reset()
    gateway.script([{"error_after_chunks": 2, "error": {"type": "rate_limit_error", "message": "Slow down"}}])
    result = bf.compare(["azure/fast"], "Hello again", client=client)
    assert result.runs[0].text
    assert len(posts(gateway)) == 1


def test_retry_after_is_honoured(client: Client, gateway: LocalGateway) -> None:
    """The provider's pause is kept; one that is too long is not waited for."""
    gateway.script([{"status": 429, "headers": {"retry-after": "1"}, "times": 1}])
    run = client.complete("azure/fast", "Hi", max_tokens=3)
    first, second = (record["received_at"] for record in posts(gateway))
    assert 1.0 <= second - first < 2.0
    assert run.attempts[0].wait_ms == pytest.approx(1000 * (second - first), abs=200)
    gateway.reset()
    gateway.script([{"status": 429, "headers": {"retry-after": "3600"}}])
    with pytest.raises(bf.RateLimited) as caught:
        client.complete("azure/fast", "Hi")
    assert caught.value.retry_after_s == 3600
    assert len(posts(gateway)) == 1


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 413, 422, 425])
def test_retries_can_be_switched_off_and_do_not_repeat_the_callers_mistakes(
    client: Client, gateway: LocalGateway, status: int
) -> None:
    """retries=0 sends once; what the same request gets again is never repeated."""
    gateway.script([{"deployment": "azure/fast", "status": 503}, {"deployment": "azure/large", "status": status}])
    with pytest.raises(bf.GatewayError):
        client.complete("azure/fast", "Hi", retries=0)
    with pytest.raises(bf.GatewayError):
        client.complete("azure/large", "Hi")
    assert len(posts(gateway)) == 2


def test_cancelling_closes_the_connection_at_once(client: Client, gateway: LocalGateway, log: RunLog) -> None:
    """Cancelled from another thread: the server sees it within 0.2 s, the run is logged with its text."""
    gateway.script([{"chunks": 1000, "gap_ms": 20}])
    with client.stream("azure/fast", "Hi") as stream:
        parts = iter(stream)
        text = next(parts)
        at = time.monotonic()
        threading.Thread(target=stream.cancel).start()
        text += "".join(parts)
    _wait_until(lambda: posts(gateway)[0]["disconnected_at"] is not None)
    assert posts(gateway)[0]["disconnected_at"] - at < 0.2
    [run] = log.read()
    assert (run.status, run.text) == ("cancelled", text)


@pytest.mark.parametrize("rule", [{"silent": True}, {"chunks": 1000, "gap_ms": 20}])
def test_a_cancelled_task_closes_the_connection(
    client: Client, gateway: LocalGateway, log: RunLog, rule: dict[str, Any]
) -> None:
    """Cancelling the awaiting task of an async call ends the request, also before the first byte."""
    gateway.script([rule])

    async def cancelled() -> float:
        task = asyncio.create_task(client.acomplete("azure/fast", "Hi"))
        while not posts(gateway):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic()

    at = asyncio.run(cancelled())
    _wait_until(lambda: posts(gateway)[0]["disconnected_at"] is not None and bool(list(log.read())))
    assert posts(gateway)[0]["disconnected_at"] - at < 0.2
    assert [run.status for run in log.read()] == ["cancelled"]


def test_leaving_a_stream_early_cancels_it(client: Client, gateway: LocalGateway, log: RunLog) -> None:
    """`break` inside the block costs no more tokens, and an error in the block is not hidden."""
    gateway.script([{"chunks": 1000, "gap_ms": 20}])
    with pytest.raises(ZeroDivisionError), client.stream("azure/fast", "Hi") as stream:
        for _ in stream:
            1 / 0  # noqa: B018
    assert stream.run.status == "cancelled"
    assert [run.status for run in log.read()] == ["cancelled"]


def test_a_proxy_of_another_kind_is_named(log: RunLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """A SOCKS proxy cannot be used: one error that says so and what to do, and nothing is sent."""
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1080")
    with pytest.raises(bf.ConfigurationError, match="socks5") as caught:
        Client("http://gateway.invalid", log=log).complete("azure/fast", "Hi")
    assert "NO_PROXY" in str(caught.value)


def test_a_proxy_of_the_environment_is_asked(
    gateway: LocalGateway, log: RunLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request for a gateway elsewhere goes to the HTTP proxy, whole address included; a scheme may be missing."""
    proxy = gateway.url.partition("://")[2]  # any HTTP server will do: it gets the request
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(bf.BifrostError):
        Client("http://gateway.invalid", log=log, retries=0).complete("azure/other", "Hi", route="v1", timeout=5)
    [run] = log.read()
    assert run.http_status is not None, "the proxy answered; nobody looked up gateway.invalid"


def test_every_error_of_aiohttp_is_mapped() -> None:
    """Each of aiohttp's errors for a client becomes one of ours; a new one fails here until somebody decides."""
    expected = {
        "ClientError": bf.ConnectionFailed, "ClientConnectionError": bf.ConnectionFailed,
        "ClientConnectionResetError": bf.ConnectionFailed, "ClientOSError": bf.ConnectionFailed,
        "ClientConnectorError": bf.ConnectionFailed, "ClientConnectorDNSError": bf.ConnectionFailed,
        "ClientProxyConnectionError": bf.ConnectionFailed, "ClientHttpProxyError": bf.ConnectionFailed,
        "UnixClientConnectorError": bf.ConnectionFailed, "ClientSSLError": bf.ConnectionFailed,
        "ClientConnectorSSLError": bf.ConnectionFailed, "ClientConnectorCertificateError": bf.ConnectionFailed,
        "ServerConnectionError": bf.ConnectionFailed, "ServerDisconnectedError": bf.ConnectionFailed,
        "ServerFingerprintMismatch": bf.ConnectionFailed, "UploadAbortedError": bf.ConnectionFailed,
        "RedirectClientError": bf.ConnectionFailed,
        "ServerTimeoutError": bf.TimedOut, "ConnectionTimeoutError": bf.TimedOut, "SocketTimeoutError": bf.TimedOut,
        "ClientPayloadError": bf.StreamInterrupted,
        "ClientResponseError": bf.ProtocolError, "ContentTypeError": bf.ProtocolError,
        "WSServerHandshakeError": bf.ProtocolError, "TooManyRedirects": bf.ProtocolError,
        "InvalidURL": bf.ProtocolError, "InvalidUrlClientError": bf.ProtocolError,
        "NonHttpUrlClientError": bf.ProtocolError, "InvalidUrlRedirectClientError": bf.ProtocolError,
        "NonHttpUrlRedirectClientError": bf.ProtocolError,
    }  # fmt: skip
    kinds = {
        name: kind
        for name, kind in vars(aiohttp.client_exceptions).items()
        if inspect.isclass(kind) and issubclass(kind, aiohttp.ClientError) and kind.__name__ == name
    }
    assert kinds.keys() <= expected.keys()
    key = aiohttp.client_reqrep.ConnectionKey("gateway.invalid", 80, False, True, None, None, None)
    for name, kind in kinds.items():
        error = kind.__new__(kind)
        vars(error).update(_conn_key=key, _os_error=OSError("x"), _certificate_error=OSError("x"), status=500)
        assert foreign(error)
        assert type(mapped(error, "http://127.0.0.1:1")) is expected[name], name
    assert type(mapped(httpx.DecodingError("x"), "http://127.0.0.1:1")) is bf.ProtocolError


def _wait_until(true: Any, seconds: float = 3.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


@pytest.mark.parametrize("apart", [0, 60], ids=["in one block", "apart"])
def test_tokens_that_follow_an_error_are_counted(client: Client, gateway: LocalGateway, apart: int) -> None:
    """A stream that failed is billed as well: the counts after its error frame, as captured, are in the run."""
    error = 'data: {"is_bifrost_error":false,"error":{"type":"server_error","message":"overloaded"}}\n\n'
    usage = '"usage":{"prompt_tokens":8,"completion_tokens":56,"total_tokens":64}'
    last = f'data: {{"choices":[{{"index":0,"text":""}}],{usage}}}\n\ndata: [DONE]\n\n'
    frames = [STREAM_HEAD, error, last] if apart else [STREAM_HEAD + error + last]
    gateway.script([{"frames": frames, "gap_ms": apart}])
    with pytest.raises(bf.GatewayError, match="overloaded") as caught, client.stream("azure/fast", "Hi") as running:
        list(running)
    run = caught.value.run
    assert run is not None
    assert (run.status, run.text, run.finish_reason) == ("error", "Once ", None)
    assert (run.prompt_tokens, run.completion_tokens, run.total_tokens) == (8, 56, 64)
