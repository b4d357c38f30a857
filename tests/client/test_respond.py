"""The Responses API through the client: what is sent, what arrives, what is recorded."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

import bifrost_nb as bf
from bifrost_nb import Client, LocalGateway, RunLog, Timeouts, local_gateway
from bifrost_nb._client.call_notes import EXTRA_DROPPED

MINI = "openai/gpt-4o-mini"
SKY = "Why is the sky blue?"
WEATHER = [{"type": "function", "name": "get_weather", "parameters": {"properties": {"city": {"type": "string"}}}}]


def posts(gateway: LocalGateway) -> list[dict[str, Any]]:
    return [record for record in gateway.requests() if record["method"] == "POST"]


@pytest.fixture(scope="module", params=["1.3", "1.5", "2.2"])
def every_gateway(request: pytest.FixtureRequest) -> Iterator[LocalGateway]:
    with local_gateway(dialect=request.param, speed=20) as gateway:
        yield gateway


def test_an_answer_is_recorded(client: Client, gateway: LocalGateway, log: RunLog) -> None:
    """Text, tokens, cost and who served are in the run, and the run is in the log before the caller has it."""
    run = client.respond(MINI, SKY, instructions="Be brief.", max_output_tokens=20, tags={"a": 1})
    [logged] = log.read()
    [sent] = posts(gateway)
    assert sent["path"] == "/v1/responses"
    assert sent["body"] == {"model": MINI, "input": SKY, "instructions": "Be brief.", "max_output_tokens": 20}
    assert sent["headers"]["x-request-id"] == run.request_id
    assert (run.status, run.finish_reason, run.request_type) == ("ok", "length", "responses")
    assert (run.prompt, run.params) == (SKY, {"instructions": "Be brief.", "max_output_tokens": 20})
    assert run.text
    assert run.texts == [run.text]
    assert run.completion_tokens == 20
    assert run.total_tokens == (run.prompt_tokens or 0) + 20
    assert (run.requested, run.served, run.is_fallback) == (MINI, MINI, False)
    assert run.raw is not None
    assert run.raw["incomplete_details"] == {"reason": "max_output_tokens"}
    assert (run.ttft_ms, run.chunks) == (None, None)
    assert (logged.request_type, logged.response, logged.usage) == ("responses", run.text, run.usage)
    client.wait_costs([run])
    assert run.cost_source == "log"
    [row] = log.frame().to_dict("records")
    assert row["cost_usd"] == run.cost_usd
    assert row["tags"] == '{"a":1}'


def test_a_stream_arrives_piece_by_piece(every_gateway: LocalGateway, log: RunLog) -> None:
    """The pieces are the text; reasoning, times on our clock, tokens and the end are those of every stream."""
    client = Client(every_gateway.url, log=log)
    with client.stream_respond("openrouter/deepseek/deepseek-r1", SKY) as stream:
        pieces = list(stream.pieces())
    run = stream.run
    assert "".join(piece.text for piece in pieces) == run.text
    assert "".join(piece.reasoning for piece in pieces) == run.reasoning
    assert (run.status, run.finish_reason, run.served) == ("ok", "stop", "openrouter/deepseek/deepseek-r1")
    assert run.chunks == len(run.chunk_times_ms) == len(pieces)
    assert run.chunk_times_ms == sorted(run.chunk_times_ms)
    assert run.ttft_ms == next(piece.at_ms for piece in pieces if piece.text)
    assert run.tokens_per_s is not None or run.chunk_times_ms[-1] == run.ttft_ms  # this process was busy: all at once
    assert run.reasoning_tokens is not None
    assert run.completion_tokens is not None
    assert 0 < run.reasoning_tokens < run.completion_tokens
    assert run.raw is not None
    assert run.raw["type"] == "response.completed"
    assert run.latency_ms is not None or run.gateway_version == "v1.3.63"  # there only the log has it


def test_whole_and_streamed_are_the_same_run(every_gateway: LocalGateway, log: RunLog) -> None:
    """The same question, answered the same: no difference but the times."""
    client = Client(every_gateway.url, log=log)
    asked: dict[str, Any] = {"temperature": 0, "tools": WEATHER, "include": ["message.output_text.logprobs"]}
    for question in (SKY, "What is the weather in Paris?"):
        whole = client.respond(MINI, question, **asked)
        with client.stream_respond(MINI, question, **asked) as stream:
            assert "".join(stream) == whole.text
        streamed = stream.run
        same = ("text", "texts", "reasoning", "finish_reason", "prompt_tokens", "completion_tokens", "usage", "served")
        assert {name: getattr(streamed, name) for name in same} == {name: getattr(whole, name) for name in same}
        assert streamed.logprobs == whole.logprobs
        assert [call["function"] for call in streamed.tool_calls] == [call["function"] for call in whole.tool_calls]
    assert whole.finish_reason == "tool_calls"
    assert json.loads(whole.tool_calls[0]["function"]["arguments"]) == {"city": "Paris"}
    assert "get_weather" in repr(whole)


def test_the_gateways_log_says_the_same(client: Client, log: RunLog) -> None:
    """Tokens and texts of its rows are those of our runs."""
    whole = client.respond(MINI, SKY)
    with client.stream_respond(MINI, SKY) as stream:
        list(stream)
    client.wait_costs([whole, stream.run])
    theirs = bf.gateway_logs(since="1h", texts=True, client=client).set_index("request_id")
    for run in (whole, stream.run):
        row = theirs.loc[run.request_id]
        assert (row["request_type"], row["prompt"], row["response"]) == ("responses", SKY, run.text)
    assert len(bf.Admin(client).reconcile(since="1h").differences) == 0


def test_a_conversation_goes_on(client: Client, gateway: LocalGateway) -> None:
    """By the id of the answer before, and by items; items are recorded as JSON."""
    first = client.respond(MINI, SKY)
    assert first.raw is not None
    second = client.respond(MINI, "And at night?", previous_response_id=first.raw["id"])
    assert (second.prompt_tokens or 0) > (first.total_tokens or 0)
    items = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
    third = client.respond(MINI, [*items, {"role": "user", "content": SKY}])
    assert json.loads(third.prompt or "")[:2] == items
    assert posts(gateway)[-1]["body"]["input"][:2] == items


def test_the_async_forms_take_the_same(client: Client) -> None:
    """On any event loop, several at once."""

    async def ask() -> list[Any]:
        async with client.astream_respond(MINI, SKY, max_output_tokens=16) as stream:
            text = "".join([piece async for piece in stream])
        answers = await asyncio.gather(*(client.arespond(MINI, SKY, max_output_tokens=16) for _ in range(5)))
        return [text, stream.run, *answers]

    text, streamed, *answers = asyncio.run(ask())
    assert text == streamed.text
    assert {run.completion_tokens for run in (streamed, *answers)} == {16}
    assert len({run.run_id for run in answers}) == 5


def test_the_azure_route_is_there_where_it_is_asked_for(every_gateway: LocalGateway, log: RunLog) -> None:
    """Its events tell nothing of who serves; headers do, from 2.0 on. Unknown stays unknown."""
    client = Client(every_gateway.url, log=log)
    with client.stream_respond("azure/fast", SKY, route="azure") as stream:
        assert "".join(stream)
    assert stream.run.model == "fast"
    assert stream.run.provider == ("azure" if every_gateway.dialect in ("2.0", "2.2") else None)
    assert stream.run.latency_ms is None, "the empty field of the gateway is not 0 ms"
    whole = client.start(client.prepare("responses", "azure/fast", SKY, route="azure", extra={"top_k": 3})).result().run
    assert whole.served == "azure/fast"
    assert (EXTRA_DROPPED in whole.notes) == (every_gateway.dialect in ("1.3", "1.4"))


def test_a_fallback_is_told(every_gateway: LocalGateway, log: RunLog) -> None:
    """Whole and streamed, by what each generation says."""
    client = Client(every_gateway.url, log=log)
    whole = client.respond("azure/always-fails", SKY, fallbacks=["azure/fast"])
    with client.stream_respond("azure/always-fails", SKY, fallbacks=["azure/fast"]) as stream:
        list(stream)
    for run in (whole, stream.run):
        assert (run.requested, run.served) == ("azure/always-fails", "azure/fast")
        assert (run.is_fallback, run.fallback_index) == (True, 1)
    client.wait_costs([whole, stream.run])
    assert whole.cost_source == "log"


@pytest.mark.parametrize("stream", [False, True])
def test_errors_before_the_answer_are_typed_and_tried_again(
    client: Client, gateway: LocalGateway, log: RunLog, stream: bool
) -> None:
    """429 and 5xx again, 404 not; each run is logged."""
    gateway.script([{"times": 1, "status": 429, "headers": {"retry-after": "0"}}, {"times": 1, "status": 503}])
    if stream:
        with client.stream_respond(MINI, SKY) as running:
            list(running)
        run = running.run
    else:
        run = client.respond(MINI, SKY)
    assert [attempt.http_status for attempt in run.attempts] == [429, 503, 200]
    with pytest.raises(bf.NotFound) as caught:
        client.respond("openai/nobody", SKY)
    assert caught.value.run is not None
    assert [logged.status for logged in log.read()] == ["ok", "error"]


@pytest.mark.parametrize(
    ("rule", "error", "status"),
    [
        ({"error_after_chunks": 3, "error": {"message": "too busy"}}, bf.GatewayError, "error"),
        ({"provider_cut_after_chunks": 3}, bf.StreamInterrupted, "truncated"),
        ({"drop": {"after_chunks": 3, "how": "rst"}}, bf.StreamInterrupted, "truncated"),
        ({"drop": {"after_chunks": 3, "how": "fin"}}, bf.StreamInterrupted, "truncated"),
        ({"omit_end": True, "text": ["a", "b", "c"]}, bf.StreamInterrupted, "truncated"),
        ({"stall_after_chunks": 3}, bf.TimedOut, "timeout"),
    ],
)
def test_a_stream_that_breaks_keeps_what_came(
    client: Client, gateway: LocalGateway, log: RunLog, rule: dict[str, Any], error: type[bf.BifrostError], status: str
) -> None:
    """Nothing is tried again after the first text; the text so far is in the run and in the log."""
    gateway.script([{"gap_ms": 1, **rule}])
    with pytest.raises(error) as caught, client.stream_respond(MINI, SKY, timeout=Timeouts(between_chunks=1)) as stream:
        list(stream)
    run = caught.value.run
    assert run is not None
    assert run.text
    assert (run.status, run.chunks, len(posts(gateway))) == (status, 3, 1)
    assert (run.completion_tokens, run.finish_reason) == (None, None)
    assert [(logged.status, logged.response) for logged in log.read()] == [(status, run.text)]


def test_cancelling_reaches_the_gateway(client: Client, gateway: LocalGateway, log: RunLog) -> None:
    """Leaving the block ends the call; what came is recorded as cancelled."""
    gateway.script([{"gap_ms": 50, "chunks": 400}])
    with client.stream_respond(MINI, SKY) as stream:
        next(iter(stream))
    assert stream.run.status == "cancelled"
    assert stream.run.text
    assert [logged.status for logged in log.read()] == ["cancelled"]
    end = time.monotonic() + 10
    while posts(gateway)[0]["disconnected_at"] is None and time.monotonic() < end:
        time.sleep(0.01)
    assert posts(gateway)[0]["disconnected_at"] is not None


def test_a_response_that_failed_is_an_error_with_its_usage(client: Client, gateway: LocalGateway, log: RunLog) -> None:
    """Status 200 and ``failed``: what it used was paid for."""
    usage = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    failed = {"status": "failed", "error": {"code": "server_error", "message": "it broke"}, "usage": usage}
    frame = "event: response.failed\ndata: " + json.dumps({"type": "response.failed", "response": failed}) + "\n\n"
    gateway.script([{"status": 200, "body": failed, "stream": False}, {"frames": [frame], "stream": True}])
    with pytest.raises(bf.GatewayError, match="it broke"):
        client.respond(MINI, SKY)
    with pytest.raises(bf.GatewayError, match="it broke"), client.stream_respond(MINI, SKY) as stream:
        list(stream)
    for run in log.read():
        assert (run.status, run.error_code, run.total_tokens) == ("error", "server_error", 10)


def test_an_answer_that_was_not_streamed_after_all_is_read(client: Client, gateway: LocalGateway) -> None:
    """A proxy in between may gather a stream; the answer counts all the same."""
    message = {"type": "message", "content": [{"type": "output_text", "text": "whole"}]}
    gateway.script([{"status": 200, "body": {"status": "completed", "output": [message]}}])
    with client.stream_respond(MINI, SKY) as stream:
        assert list(stream) == ["whole"]


def test_wrong_arguments_are_told_before_anything_is_sent(client: Client, gateway: LocalGateway) -> None:
    """One clear error, from every form."""
    forms: tuple[Any, ...] = (client.respond, client.stream_respond, client.astream_respond)
    for form in forms:
        with pytest.raises(bf.ConfigurationError, match="did you mean 'max_output_tokens'"):
            form(MINI, SKY, max_tokens=5)
    with pytest.raises(bf.ConfigurationError, match="neither system nor messages") as caught:
        client.respond(MINI, SKY, system="Be brief.")  # type: ignore[call-arg]
    assert "instructions" in (caught.value.hint or "")
    assert posts(gateway) == []
