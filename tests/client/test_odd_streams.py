"""Streams and answers that are right in the main and odd in one thing, as one server or another sends them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from starlette.responses import Response

import bifrost_nb as bf
from bifrost_nb import Client, Run, RunLog
from bifrost_nb._client.call_notes import NOT_ENDED, TAKEN
from bifrost_nb._runs.route_collectors import collector_of

from ..admin.servers import Table, json as answer, served

USAGE = {"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 34}
ZEROS = dict.fromkeys(USAGE, 0)
CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
SSE = "text/event-stream"


def chunk(text: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    delta = {} if text is None else {"content": text}
    return {
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    } | more


def events(*payloads: Any, done: bool = True) -> bytes:
    written = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in payloads]
    return b"".join(b"data: %s\n\n" % each for each in (*written, *([b"[DONE]"] * done)))


@contextmanager
def client_of(log: RunLog, answers: dict[str, Any]) -> Iterator[Client]:
    """A client of a gateway that answers so."""
    with served(Table(answers)) as url:
        yield Client(url, log=log, retries=0)


def streamed(answer: bytes, status: int = 200) -> Response:
    return Response(answer, status, media_type=SSE)


def chatted(log: RunLog, body: bytes) -> tuple[Run, list[str]]:
    """The run of a streamed chat that is answered by `body`, and the pieces that its reader got."""
    with client_of(log, {CHAT: streamed(body)}) as client, client.stream_chat("azure/large", "Hi") as stream:
        pieces = list(stream)
    return stream.run, pieces


@pytest.mark.parametrize(
    "last",
    [
        [chunk(None, "stop", usage=USAGE), {"choices": [], "usage": ZEROS}],
        [chunk(None, "stop", usage=USAGE), {"choices": [], "usage": {}}],
        [chunk(None, "stop", usage=USAGE), {"choices": [], "usage": {"cost": 0.5}}],
        [chunk(usage={"prompt_tokens": 30}), chunk(None, "stop", usage={"completion_tokens": 4})],
        [chunk(usage={**USAGE, "completion_tokens": 1, "total_tokens": 31}), chunk(None, "stop", usage=USAGE)],
    ],
    ids=["zeros", "empty", "cost alone", "in parts", "running sum"],
)  # fmt: skip
def test_usage_that_comes_in_several_chunks_is_put_together(log: RunLog, last: list[Any]) -> None:
    """What counts nothing takes nothing away."""
    run, _ = chatted(log, events(chunk("hello"), *last))
    assert (run.prompt_tokens, run.completion_tokens, run.total_tokens) == (30, 4, 34)


def test_details_of_usage_are_put_together_too(log: RunLog) -> None:
    """A last chunk of zeros took away what had been read from a cache, and so the price of that."""
    counted, nothing = ({"prompt_tokens_details": {"cached_tokens": count}} for count in (20, 0))
    run, _ = chatted(
        log, events(chunk("hello", "stop", usage=USAGE | counted), {"choices": [], "usage": ZEROS | nothing})
    )
    assert (run.prompt_tokens, run.cached_tokens) == (30, 20)


@pytest.mark.parametrize("cost", ["price list", "none"])
def test_tokens_that_nobody_counted_cost_an_unknown_sum(log: RunLog, cost: str) -> None:
    """Zeros beside an answer are no count: the call is not free."""
    whole = {"choices": [{"index": 0, "message": {"content": "hello"}, "finish_reason": "stop"}], "usage": ZEROS}
    prices = {"data": [{"id": "azure/large", "pricing": {"prompt": "0.001", "completion": "0.002"}}]}
    table = {CHAT: whole, **({"/v1/models": prices} if cost == "price list" else {})}
    with client_of(log, table) as client:
        run = client.chat("azure/large", "Hi")
        client.wait_costs([run], 3)
    assert (run.total_tokens, run.cost_usd, run.cost_source) == (None, None, None)


@pytest.mark.parametrize("garbage", [b"null", b'"[DONE]"', b"[done]", b" [DONE]", b"<html>502</html>", b"{"])
def test_what_is_added_to_a_whole_answer_is_passed_over(log: RunLog, garbage: bytes) -> None:
    """The answer was whole and is paid: it is good, and its reader has all of it."""
    run, pieces = chatted(log, events(chunk("hello"), chunk(None, "stop", usage=USAGE), garbage, done=False))
    assert (run.status, run.response, run.total_tokens, pieces) == ("ok", "hello", 34, ["hello"])


@pytest.mark.parametrize("last", [{"error": {"message": "boom", "type": "server_error"}}, b"{", chunk(None, "error")])
def test_what_came_with_an_error_is_read_before_it(log: RunLog, last: Any) -> None:
    """A text that arrives in one packet with the error behind it is handed on, as one that came before it is."""
    pieces = list[str]()
    with client_of(log, {CHAT: streamed(events(chunk("hel"), chunk("lo"), last))}) as client:
        stream = client.stream_chat("azure/large", "Hi")
        with pytest.raises(bf.BifrostError), stream:
            for piece in stream:
                pieces.append(piece)
    assert ("".join(pieces), stream.run.response) == ("hello", "hello")


def test_an_end_mark_alone_is_no_answer(log: RunLog) -> None:
    """Nothing came: it is no empty answer that a comparison would keep."""
    with pytest.raises(bf.StreamInterrupted, match=r"no finish reason came\.") as caught:
        chatted(log, events())
    assert caught.value.run is not None
    assert (caught.value.run.status, caught.value.run.response) == ("truncated", None)


def by(provider: str) -> dict[str, Any]:
    return {"extra_fields": {"provider": provider}}


@pytest.mark.parametrize(
    "last",
    [
        pytest.param([chunk(" there", **by("gemini"))], id="gemini"),
        pytest.param(
            [chunk(" there", **by("cohere")), chunk(None, usage={"total_tokens": 0}, **by("cohere"))], id="1.4"
        ),
        pytest.param([chunk(" there"), chunk(usage=USAGE, **by("anthropic"))], id="anthropic"),
    ],
)
def test_a_stream_that_its_provider_broke_off_is_truncated(log: RunLog, last: list[Any]) -> None:
    """The gateway ends it in good order, without a reason: half an answer is no answer of a comparison (captured)."""
    with pytest.raises(bf.StreamInterrupted) as caught:
        chatted(log, events(chunk("hello", extra_fields=last[-1]["extra_fields"]), *last))
    run = caught.value.run
    assert run is not None
    assert (run.status, run.response, run.finish_reason) == ("truncated", "hello there", None)
    assert run.completion_tokens is None  # Anthropic's first event counts what is not written yet
    assert TAKEN in run.notes


def test_a_stream_that_ends_after_its_usage_without_a_reason_is_whole(log: RunLog) -> None:
    """Some providers tell none; that the answer may have been broken off is said."""
    run, _ = chatted(log, events(chunk("hello", **by("azure")), chunk(None, "", usage=USAGE, **by("azure"))))
    assert (run.status, run.finish_reason, run.notes) == ("ok", None, [NOT_ENDED])


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"message": "Error reading stream: read tcp 10.0.0.1:5: read: connection reset by peer"}, "truncated"),
        ({"message": "The engine broke.", "type": "server_error"}, "error"),
    ],
)
def test_what_broke_after_text_may_be_billed(log: RunLog, error: dict[str, Any], status: str) -> None:
    """However the gateway tells it (captured from 1.4.18 to 2.0.0-prerelease3)."""
    frame = {"is_bifrost_error": False, "error": error, "extra_fields": {"provider": "openai"}}
    with pytest.raises(bf.BifrostError) as caught:
        chatted(log, events(chunk("hello"), frame))
    run = caught.value.run
    assert run is not None
    assert (run.status, run.response) == (status, "hello")
    assert TAKEN in run.notes


def test_a_connection_that_broke_before_the_provider_answered_is_tried_again(log: RunLog) -> None:
    """Gateways up to 1.5.1 tell it as 400 (captured), later ones as 502."""
    message = "failed to execute HTTP request to provider API: the server closed connection before returning a byte"
    broken = {"is_bifrost_error": False, "error": {"message": message}, "extra_fields": {"provider": "openai"}}
    whole = {"choices": [{"index": 0, "message": {"content": "hello"}, "finish_reason": "stop"}], "usage": USAGE}
    answers = iter([answer(broken, 400), answer(whole)])
    with served(Table({CHAT: lambda _: next(answers)})) as url:
        assert Client(url, log=log).chat("openai/gpt-4o-mini", "Hi").text == "hello"
    with client_of(log, {CHAT: answer(broken, 400)}) as client, pytest.raises(bf.GatewayError, match="try again"):
        client.chat("openai/gpt-4o-mini", "Hi")


def test_an_answer_without_choices_names_its_provider(log: RunLog) -> None:
    """A gateway does not read an error that a provider sends with a good status (captured up to 1.5.16)."""
    told = pytest.raises(bf.ProtocolError, match="of openai that has no choices")
    with client_of(log, {CHAT: {"choices": None, **by("openai")}}) as client, told as caught:
        client.chat("openai/gpt-4o-mini", "Hi")
    assert "base_url" not in str(caught.value)


def test_a_last_chunk_that_says_all_once_more_adds_nothing(log: RunLog) -> None:
    """MiniMax ends its streams by the whole message."""
    message = {"index": 0, "message": {"role": "assistant", "content": "hello there"}, "finish_reason": "stop"}
    run, pieces = chatted(log, events(chunk("hello"), chunk(" there"), {"choices": [message], "usage": USAGE}))
    assert (run.response, "".join(pieces)) == ("hello there", "hello there")


def test_no_piece_is_half_of_a_character(log: RunLog) -> None:
    """Each can be printed, though the two halves of one came in two chunks."""
    run, pieces = chatted(log, events(chunk("a\ud83d"), chunk("\ude00b"), chunk("\ud83d"), chunk("c", "stop")))
    assert "".join(pieces).encode().decode() == run.response == "a\U0001f600b\ufffdc"


def test_an_error_that_vllm_writes_into_a_stream_is_one(log: RunLog) -> None:
    """It has its words at the top, under ``"object": "error"``; what came before is no whole answer."""
    frame = {"object": "error", "message": "out of memory", "type": "InternalServerError", "code": 500}
    with pytest.raises(bf.GatewayError, match="out of memory") as caught:
        chatted(log, events(chunk("he"), frame))
    assert caught.value.run is not None
    assert (caught.value.run.status, caught.value.run.response) == ("error", "he")


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_that_is_written_as_an_event_is_read(log: RunLog, stream: bool) -> None:
    """Its kind decides what is raised and advised, as in JSON."""
    body = b'event: error\ndata: {"error":{"message":"no money","type":"budget_exceeded"}}\n\ndata: [DONE]\n\n'
    with client_of(log, {CHAT: streamed(body, 400)}) as client, pytest.raises(bf.BudgetExceeded) as caught:
        if stream:
            with client.stream_chat("azure/large", "Hi") as running:
                list(running)
        else:
            client.chat("azure/large", "Hi")
    assert (caught.value.status, caught.value.type) == (400, "budget_exceeded")
    assert "data:" not in caught.value.message


@pytest.mark.parametrize("kind", [SSE, "Text/Event-Stream; charset=UTF-8", "text/plain", "application/json", None])
@pytest.mark.parametrize("stream", [False, True])
def test_events_are_an_answer_whatever_was_asked_for(log: RunLog, kind: str | None, stream: bool) -> None:
    """Servers stream to whoever did not ask for it, and proxies mistake the type: it was paid for all the same."""
    body = events(chunk("hel"), chunk("lo"), chunk(None, "stop", usage=USAGE))
    headers = {} if kind is None else {"content-type": kind}
    with client_of(log, {CHAT: Response(body, headers=headers)}) as client:
        if stream:
            with client.stream_chat("azure/large", "Hi") as running:
                assert "".join(running) == "hello"
            run = running.run
        else:
            run = client.chat("azure/large", "Hi")
    assert (run.status, run.response, run.total_tokens) == ("ok", "hello", 34)


def test_events_of_another_type_that_broke_off_are_truncated(log: RunLog) -> None:
    """As those of the right type are."""
    body = events(chunk("he"), done=False)
    with client_of(log, {CHAT: Response(body)}) as client, pytest.raises(bf.StreamInterrupted) as caught:
        client.chat("azure/large", "Hi")
    assert caught.value.run is not None
    assert (caught.value.run.status, caught.value.run.response) == ("truncated", "he")


def test_an_error_inside_events_that_nobody_asked_for_is_raised(log: RunLog) -> None:
    """With what had come before."""
    body = events(chunk("he"), {"error": {"message": "boom"}})
    with client_of(log, {CHAT: streamed(body)}) as client, pytest.raises(bf.GatewayError, match="boom") as caught:
        client.chat("azure/large", "Hi")
    assert caught.value.run is not None
    assert (caught.value.run.status, caught.value.run.response) == ("error", "he")


def test_calls_of_the_responses_api_at_one_place_stay_apart(log: RunLog) -> None:
    """Each has its own id, and its own arguments."""

    def call(identity: str, arguments: str) -> dict[str, Any]:
        return {"type": "function_call", "call_id": identity, "name": f"tool_{identity}", "arguments": arguments}

    def told(kind: str, **more: Any) -> dict[str, Any]:
        return {"type": f"response.{kind}", "output_index": 0, **more}

    grown = [
        each
        for identity, arguments in (("a", '{"x":1}'), ("b", '{"y":2}'))
        for each in (
            told("output_item.added", item=call(identity, "")),
            told("function_call_arguments.delta", delta=arguments[:3]),
            told("function_call_arguments.delta", delta=arguments[3:]),
            told("output_item.done", item=call(identity, arguments)),
        )
    ]
    last = {"type": "response.completed", "response": {"status": "completed", "output": []}}
    body = events(*grown, last, done=False)
    with client_of(log, {RESPONSES: streamed(body)}) as client, client.stream_respond("azure/large", "Hi") as stream:
        list(stream)
    calls = [(each["id"], each["function"]["arguments"]) for each in stream.run.tool_calls]
    assert calls == [("a", '{"x":1}'), ("b", '{"y":2}')]


@pytest.mark.parametrize("response", [None, {}, [], {"output": None}])
def test_a_response_that_was_completed_without_its_content_is_whole(log: RunLog, response: Any) -> None:
    """All of the text had come."""
    text = {"type": "response.output_text.delta", "delta": "hello"}
    body = events(text, {"type": "response.completed", "response": response}, done=False)
    with client_of(log, {RESPONSES: streamed(body)}) as client, client.stream_respond("azure/large", "Hi") as stream:
        list(stream)
    assert (stream.run.status, stream.run.response, stream.run.finish_reason) == ("ok", "hello", "stop")


def test_a_message_of_the_responses_api_may_be_plain_text(log: RunLog) -> None:
    """The gateway's own type allows it."""
    output = [{"type": "message", "role": "assistant", "content": "hello"}]
    with client_of(log, {RESPONSES: {"status": "completed", "output": output}}) as client:
        assert client.respond("azure/large", "Hi").response == "hello"


@pytest.mark.parametrize("latency", ["1" + "0" * 400, "1e400", "NaN", "-Infinity", "-5", "true", '"12"'])
@pytest.mark.parametrize("stream", [False, True])
def test_a_latency_that_is_none_costs_no_run(log: RunLog, latency: str, stream: bool) -> None:
    """It is unknown; the answer is paid for, and recorded."""
    extra = {"provider": "azure", "latency": "LATENCY"}
    message = {"index": 0, "message": {"content": "hello"}, "finish_reason": "stop"}
    chunks = [
        chunk("hel", extra_fields=extra),
        chunk("lo", extra_fields=extra),
        chunk(None, "stop", extra_fields=extra),
    ]
    written = events(*chunks) if stream else json.dumps({"choices": [message], "extra_fields": extra}).encode()
    body = written.replace(b'"LATENCY"', latency.encode())
    with client_of(log, {CHAT: Response(body, media_type=SSE if stream else "application/json")}) as client:
        if stream:
            with client.stream_chat("azure/large", "Hi") as running:
                list(running)
            run = running.run
        else:
            run = client.chat("azure/large", "Hi")
    assert (run.status, run.response, run.latency_ms) == ("ok", "hello", None)
    assert [each.run_id for each in log.read()] == [run.run_id]


CALL = {"type": "function_call", "name": "f", "arguments": "{}"}
HOSTILE: dict[str, Callable[[int], dict[str, Any]]] = {
    "names of counts": lambda n: chunk("a", usage={"prompt_tokens": n, f"count{n}": 1, "d": {f"count{n}": 1}}),
    "whole messages": lambda n: {"choices": [{"index": 0, "message": {"content": f"{n:010}"}, "finish_reason": None}]},
    "calls": lambda n: {"type": "response.output_item.added", "output_index": n, "item": {**CALL, "call_id": f"c{n}"}},
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_chunk_takes_longer_the_more_came_before(kind: str) -> None:
    """Ten thousand that each bring something new take about as long as any others: they ran for seconds, others for
    a twentieth. The least of three times counts, since other work of the machine adds to it."""

    def taken(make: Callable[[int], dict[str, Any]]) -> float:
        request_type = "responses" if kind == "calls" else "chat_completion"
        collector = collector_of(
            "responses" if kind == "calls" else "chat", Run(request_type=request_type), 0.0, (), None
        )
        payloads = [json.dumps(make(number)).encode() for number in range(10_000)]
        began = time.process_time()
        for start in range(0, len(payloads), 50):
            collector.feed(payloads[start : start + 50], 1.0)
        return time.process_time() - began

    plain = {"type": "response.output_item.added", "output_index": 0, "item": {**CALL, "call_id": "c"}}
    odd = min(taken(HOSTILE[kind]) for _ in range(3))
    assert odd < 20 * min(taken(lambda _: plain if kind == "calls" else chunk("a", usage=USAGE)) for _ in range(3))
