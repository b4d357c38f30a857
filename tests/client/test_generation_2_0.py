"""What a gateway 2.0 does otherwise than older ones, as its process was measured, and what becomes of it in a run."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator
from typing import Any

import pytest

import bifrost_nb as bf
from bifrost_nb import Client, LocalGateway, RunLog, Timeouts, local_gateway

from ..admin.servers import served

FINISHED = [
    'data: {"choices":[{"index":0,"text":"Once."}]}\n\n',
    'data: {"choices":[{"index":0,"text":"","finish_reason":"stop"}]}\n\n',
]


@pytest.fixture(scope="module")
def running() -> Iterator[LocalGateway]:
    """One gateway of this generation."""
    with local_gateway(dialect="2.0", speed=20) as gateway:
        yield gateway


@pytest.fixture
def gateway(running: LocalGateway) -> LocalGateway:
    """It, without memory of earlier tests."""
    running.reset()
    return running


def test_heartbeats_do_not_hide_a_stalled_provider(client: Client, gateway: LocalGateway) -> None:
    """The limit on silence counts what the provider says, not the gateway's comment lines."""
    gateway.script([{"chunks": 9, "gap_ms": 5, "stall_after_chunks": 3, "heartbeat_ms": 50}])
    began = time.monotonic()
    with (
        pytest.raises(bf.TimedOut) as caught,
        client.stream("azure/fast", "Hi", timeout=Timeouts(between_chunks=0.5)) as stream,
    ):
        list(stream)
    assert caught.value.phase == "between_chunks"
    assert time.monotonic() - began < 5


def test_a_stream_that_the_provider_cut_is_truncated_with_its_text(client: Client, gateway: LocalGateway) -> None:
    """Though the gateway sends an error of status 502, what had come is kept, and the run is no plain error."""
    gateway.script([{"provider_cut_after_chunks": 2, "chunks": 5, "gap_ms": 1}])
    with pytest.raises(bf.StreamInterrupted), client.stream("azure/fast", "Hi", retries=0) as stream:
        list(stream)
    assert (stream.run.status, stream.run.response) == ("truncated", " word0 word1")


def test_a_stream_of_geminis_that_is_cut_ends_in_good_order(client: Client, gateway: LocalGateway) -> None:
    """As the real 2.0 ends it (captured): no error and no last chunk. Half an answer is no answer all the same."""
    gateway.script([{"provider_cut_after_chunks": 2, "chunks": 5, "gap_ms": 1}])
    with pytest.raises(bf.StreamInterrupted), client.stream_chat("gemini/gemini-2.5-flash", "Hi", retries=0) as stream:
        list(stream)
    run = stream.run
    assert (run.status, run.response, run.error_type) == ("truncated", " word0 word1", "StreamInterrupted")


@pytest.mark.parametrize("route", ["azure", "v1"])
def test_when_all_fail_nobody_served(client: Client, gateway: LocalGateway, route: str) -> None:
    """The answer's headers count fallbacks all the same, which says nothing of who served."""
    gateway.script([{"status": 500}])
    with pytest.raises(bf.GatewayError) as caught:
        client.complete("azure/fast", "Hi", fallbacks=["azure/large"], retries=0, route=route)  # type: ignore[arg-type]
    assert caught.value.run is not None
    assert not caught.value.run.is_fallback
    assert [record["attempts"] for record in gateway.requests() if record["method"] == "POST"] == [
        ["azure/fast", "azure/large"]
    ]


def test_a_finished_answer_on_an_open_connection_ends_soon(client: Client, gateway: LocalGateway) -> None:
    """It has its reason and no usage, and the connection stays open: it is a good answer after a moment."""
    gateway.script([{"frames": FINISHED, "stall_after_chunks": 0}])
    began = time.monotonic()
    with client.stream("azure/fast", "Hi", timeout=30) as stream:
        assert list(stream) == ["Once."]
    assert (stream.run.status, stream.run.finish_reason, stream.run.total_tokens) == ("ok", "stop", None)
    assert time.monotonic() - began < 10


def test_models_are_listed_once(client: Client, gateway: LocalGateway) -> None:
    """The frame, the doctor and a price look-up share one list, as each makes the gateway ask all its providers."""
    bf.models(client)
    bf.doctor(client)
    bf.models(client)
    client.wait_costs([client.complete("azure/fast", "Hi", max_tokens=2)])
    assert [record["path"] for record in gateway.requests()].count("/v1/models") == 1


def test_a_streamed_fallback_is_told_from_the_alias_of_its_row(client: Client) -> None:
    """Its row in the log has the primary's name as the alias; the run keeps who answered, and its cost."""
    with client.stream("azure/always-fails", "Hi", fallbacks=["azure/fast"], retries=0, max_tokens=3) as stream:
        list(stream)
    client.wait_costs([stream.run])
    run = stream.run
    assert (run.served, run.requested, run.is_fallback) == ("azure/fast", "azure/always-fails", True)
    assert run.cost_usd is not None


NAME = "größe-日本"
UTF_8 = NAME.encode()
LATIN_1 = "größe".encode("latin-1")


class Named:
    """Answers whatever comes, with bodies that name nobody: who serves is in the headers' bytes alone."""

    def __init__(self) -> None:
        self.model, self.answer = UTF_8, b""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One answer, or the page that a gateway without log and lists has."""
        while (await receive()).get("more_body"):
            pass
        asked = scope["method"] == "POST"
        kind = b"text/event-stream" if self.answer.startswith(b"data") else b"application/json"
        headers = [(b"x-bifrost-provider", b"local"), (b"x-bifrost-resolved-model", self.model)]
        status = 429 if b'"error"' in self.answer else 200
        start = {"status": status, "headers": [(b"content-type", kind if asked else b"text/html"), *headers]}
        await send({"type": "http.response.start", **start})
        await send({"type": "http.response.body", "body": self.answer if asked else b"<html>"})


WHOLE = b'{"choices":[{"index":0,"text":"Once.","finish_reason":"stop"}],"usage":{"total_tokens":2}}'
CONVERSED = b'{"output":{"message":{"role":"assistant","content":[{"text":"Once."}]}},"stopReason":"end_turn"}'
REFUSED = b'{"is_bifrost_error":false,"error":{"message":"slow down"}}'


@pytest.mark.parametrize(("sent", "name"), [(UTF_8, NAME), (LATIN_1, "größe")], ids=["utf-8", "latin-1"])
def test_names_in_headers_are_utf_8(sent: bytes, name: str, log: RunLog) -> None:
    """Of answers, streams and errors, for our client and for each recorder; what is no UTF-8 is Latin-1 as of old."""
    server = Named()
    with served(server) as url:
        server.model = sent
        client = Client(url, log=log, retries=0)
        server.answer = WHOLE
        client.complete(f"local/{name}", "Hi")
        with bf.recording_client(client) as http:
            http.post(f"{url}/v1/completions", json={"model": f"local/{name}", "prompt": "Hi"})
        server.answer = "".join(FINISHED).encode()
        with client.stream(f"local/{name}", "Hi") as stream:
            list(stream)
        server.answer = REFUSED
        with pytest.raises(bf.RateLimited):
            client.complete(f"local/{name}", "Hi")
        if importlib.util.find_spec("boto3"):
            server.answer = CONVERSED
            asked: Any = [{"role": "user", "content": [{"text": "Hi"}]}]
            bf.sdk("bedrock", client=client).converse(modelId="amazon.nova-lite-v1:0", messages=asked)
    runs = list(log.read())
    assert [run.status for run in runs[:4]] == ["ok", "ok", "ok", "error"]
    assert {run.served for run in runs} == {f"local/{name}"}
    assert len(runs) == 4 + bool(importlib.util.find_spec("boto3"))


def test_who_serves_is_known_before_the_first_text(client: Client, gateway: LocalGateway) -> None:
    """From the head of the stream, while its provider still thinks."""
    gateway.script([{"frames": [{"text": FINISHED[0], "pause_ms": 30_000}]}])
    with client.stream("azure/fast", "Hi") as stream:
        end = time.monotonic() + 10
        while stream.run.served is None and time.monotonic() < end:
            time.sleep(0.01)
        assert (stream.run.served, stream.run.text) == ("azure/fast", "")
        stream.cancel()
