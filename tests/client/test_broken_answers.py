"""Answers with a good status that tell a failure, and what they counted in another place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.responses import JSONResponse

from bifrost_nb import Client, GatewayError, ProtocolError, RateLimited, Run, RunLog, StreamInterrupted, compare

from ..admin.servers import Table, served
from ..sdks.test_exchange_to_run import exchange, read
from ..sdks.wires import WIRES
from .test_odd_streams import CHAT, RESPONSES, USAGE, chatted, chunk, client_of, events, streamed

MANY = [chunk(f"word{n} ") for n in range(20)]
"""So many chunks in one block are read together."""


def answered(log: RunLog, body: Any) -> Run:
    with client_of(log, {CHAT: JSONResponse(body)}) as client:
        return client.chat("azure/large", "Hi")


def whole(content: Any = "half", finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": content}
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish, **more}], "usage": USAGE}


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        ({"choices": [], "usage": USAGE}, ProtocolError, "it has no choices"),  # LiteLLM, of a candidate without parts
        ({"choices": None, "base_resp": {"status_code": 1008}}, ProtocolError, "it has no choices"),  # MiniMax
        ({}, ProtocolError, "it has no choices"),
        ({"detail": "Not Found"}, GatewayError, "Not Found"),
        ({"message": "no quota left"}, GatewayError, "no quota left"),
    ],
)
def test_an_answer_without_choices_is_a_failure(body: Any, kind: type[Exception], said: str, log: RunLog) -> None:
    """It was a good answer without text, which a comparison kept and scored; what it used is in the run."""
    with pytest.raises(kind, match=said):
        answered(log, body)
    [run] = log.read()
    assert (run.status, run.http_status, run.prompt_tokens) == ("error", 200, 30 if "usage" in body else None)


def test_choices_that_are_all_called_the_first_stay_apart(log: RunLog) -> None:
    """Two answers are two texts; a text and the call of a tool that stand in two choices are one answer."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    one, other, called = (whole(text)["choices"][0] for text in ("one", "other", None))
    called["message"]["tool_calls"] = [call]
    assert answered(log, {"choices": [one, other], "usage": USAGE}).texts == ["one", "other"]
    both = answered(log, {"choices": [one, called], "usage": USAGE})
    assert (both.texts, [each["id"] for each in both.tool_calls]) == (["one"], ["c"])


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        ({}, ProtocolError, "it has no output"),
        ({"message": "no quota left"}, GatewayError, "no quota left"),
        ({"object": "error", "message": "no quota left"}, GatewayError, "no quota left"),
        (
            {"status": "failed", "error": None, "output": [], "usage": {"input_tokens": 3}},
            StreamInterrupted,
            "'failed'",
        ),
    ],
)
def test_a_response_that_is_none_is_a_failure(body: Any, kind: type[Exception], said: str, log: RunLog) -> None:
    """Of the Responses API too, by the client and by OpenAI's SDK; one that only has nothing to say is none."""
    with client_of(log, {RESPONSES: JSONResponse(body)}) as client, pytest.raises(kind, match=said):
        client.respond("azure/large", "Hi")
    with client_of(log, {RESPONSES: JSONResponse({"status": "completed", "output": []})}) as client:
        assert client.respond("azure/large", "Hi").status == "ok"
    made = exchange(WIRES["responses"])
    made.blocks = [(1.0, json.dumps(body).encode())]
    broken, run = log.read()[0], read(made)
    assert said in (run.error_message or "")
    assert (broken.status, broken.prompt_tokens) == (run.status, run.prompt_tokens)


def test_a_stream_without_choices_is_a_failure(log: RunLog) -> None:
    """So it is in a recorded SDK's stream, and an end mark alone is no answer there either."""
    body = events({"choices": []}, {"choices": [], "usage": USAGE})
    with pytest.raises(ProtocolError, match="it has no choices"):
        chatted(log, body)
    for run in (*log.read(), read(exchange(WIRES["openai"], [body]))):
        assert (run.status, run.total_tokens) == ("error", 34)
    assert read(exchange(WIRES["openai"], [events()])).status == "truncated"


def test_an_event_that_is_all_error_is_one_in_responses_too(log: RunLog) -> None:
    """As vLLM writes it in a chat's stream."""
    body = events({"type": "response.output_text.delta", "delta": "half"}, {"object": "error", "message": "gone"})
    with client_of(log, {RESPONSES: streamed(body)}) as client, pytest.raises(GatewayError, match="gone"):
        list(client.stream_respond("azure/large", "Hi"))


def test_a_stream_takes_what_is_no_error_for_none(log: RunLog) -> None:
    """Some write an empty error into each chunk."""
    run, _ = chatted(log, events(chunk("hello", error={}), chunk(None, "stop", error="", usage=USAGE)))
    assert (run.status, run.response) == ("ok", "hello")


def test_other_sdks_answers_without_choices_are_failures() -> None:
    """OpenAI's SDK hands such an answer on, and its run says that there is none."""
    made = exchange(WIRES["openai"])
    made.blocks = [(1.0, b'{"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3}}')]
    run = read(made)
    assert (run.status, run.error_type, run.prompt_tokens) == ("error", "ProtocolError", 3)


@pytest.mark.parametrize(("code", "kind"), [(429, RateLimited), (502, GatewayError), ("429", RateLimited)])
def test_an_error_inside_a_choice_is_read(code: Any, kind: type[GatewayError], log: RunLog) -> None:
    """OpenRouter writes it there, with its status as the code, where the text was begun."""
    error = {"code": code, "message": "the provider is gone"}
    with pytest.raises(kind, match="the provider is gone") as caught:
        answered(log, whole(finish="error", error=error))
    assert (caught.value.status, caught.value.run.response) == (int(code), "half")  # type: ignore[attr-defined,union-attr]
    broken = {"choices": [{"index": 0, "delta": {}, "finish_reason": "error", "error": error}]}
    for begun in ([chunk("half")], MANY):
        with pytest.raises(kind, match="the provider is gone"):
            chatted(log, events(*begun, broken))
    with pytest.raises(kind, match="the provider is gone"):
        chatted(log, events(chunk("half"), {"error": error}))


@pytest.mark.parametrize("error", [{"code": 429, "message": "the provider is gone"}, "the provider is gone"])
def test_an_error_beside_choices_is_a_failure(error: Any, log: RunLog) -> None:
    """As in a stream: what was written by then and what it used are in the run, and no comparison takes it for whole.

    An error that says nothing is none.
    """
    with pytest.raises(GatewayError, match="the provider is gone") as caught:
        answered(log, {**whole(), "error": error})
    run = caught.value.run
    assert run is not None
    assert (run.status, run.response, run.prompt_tokens) == ("error", "half", USAGE["prompt_tokens"])
    made = exchange(WIRES["openai"])
    made.blocks = [(1.0, json.dumps({**whole(), "error": error}).encode())]
    assert read(made).status == "error"
    for nothing in (None, {}, "", False):
        assert answered(log, {**whole(), "error": nothing}).status == "ok"


@pytest.mark.parametrize("location", [{}, {"location": "http://127.0.0.1:1/"}])
def test_a_providers_redirect_is_told_as_the_providers(location: dict[str, str], log: RunLog) -> None:
    """The gateway hands on the status 302 of a provider in an error of its own: base_url is right, it says nothing."""
    moved = {"is_bifrost_error": False, "status_code": 302, "error": {"message": "Moved"}}
    moved |= {"extra_fields": {"provider": "azure", "request_type": "chat_completion"}}
    answer = JSONResponse(moved, 302, headers=location)
    with client_of(log, {CHAT: answer}) as client, pytest.raises(GatewayError) as caught:
        client.chat("azure/large", "Hi", retries=0)
    assert "answered 302 for azure: Moved" in caught.value.message
    assert "base_url" not in str(caught.value)
    assert caught.value.run is not None
    assert (caught.value.status, caught.value.run.provider) == (302, "azure")
    made = exchange(WIRES["openai"])
    made.status, made.blocks = 302, [(1.0, json.dumps(moved).encode())]
    run = read(made)
    assert (run.status, run.error_type, run.provider) == ("error", "GatewayError", "azure")


@pytest.mark.parametrize("reason", ["error", "ERROR", "insufficient_system_resource", "network_error"])
def test_an_answer_that_the_provider_broke_off_is_truncated(reason: str, log: RunLog) -> None:
    """Mistral, DeepSeek and others say so by the finish reason alone; the text and its tokens are kept."""
    with pytest.raises(StreamInterrupted, match=f"finish reason '{reason}'"):
        answered(log, whole(finish=reason))
    for begun in ([chunk("half")], MANY):
        with pytest.raises(StreamInterrupted, match=f"finish reason '{reason}'"):
            chatted(log, events(*begun, chunk(None, reason), {"choices": [], "usage": USAGE}))
    assert [(run.status, run.total_tokens) for run in log.read()] == [("truncated", 34)] * 3
    assert log.read()[1].response == "half"


def test_a_broken_off_answer_without_text_is_asked_for_again(log: RunLog) -> None:
    """Whole as streamed: nothing of it was seen."""
    answers = iter([whole(None, "error"), whole("", error={"code": 502, "message": "gone"}), whole("all of it")])
    told = pytest.warns(RuntimeWarning, match="2 earlier attempts were answered and broke off")
    with client_of(log, {CHAT: lambda _: JSONResponse(next(answers))}) as client, told:
        run = client.chat("azure/large", "Hi", retries=2)
    assert (run.status, run.response, len(run.attempts)) == ("ok", "all of it", 3)


@pytest.mark.parametrize("usage", [{}, {"usage": USAGE}])
@pytest.mark.parametrize("end", [{"usage": {"total_tokens": 0}}, {"extra_fields": {"provider": "anthropic"}}])
def test_an_sdks_stream_that_the_provider_broke_off_is_truncated(usage: Any, end: Any) -> None:
    """OpenAI's SDK reads to the end mark and no further; what was counted by then does not make it whole."""
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": None}], **end}
    made = exchange(WIRES["openai"], [events(chunk("half", **usage), last)])
    made.exhausted = False
    run = read(made)
    assert (run.status, run.response, run.completion_tokens) == ("truncated", "half", None)


def test_what_an_error_with_a_status_of_its_own_ended_is_paid_for(log: RunLog) -> None:
    """Its cost is looked for, though its status is that of a refusal: the gateway's log has one."""

    def rows(_: Any) -> Any:
        sent = next(one for one in table.asked if one.url.path == CHAT)
        row = {"id": sent.headers["x-request-id"], "status": "error", "provider": "azure", "model": "large"}
        return {"logs": [{**row, "cost": 0.5}], "has_logs": True}

    error = {"error": {"code": 429, "message": "Slow down"}}
    table = Table({CHAT: streamed(events(chunk("half"), error)), "/api/logs": rows})
    with served(table) as url:
        client = Client(url, log=log)
        with pytest.raises(RateLimited), client.stream_chat("azure/large", "Hi") as stream:
            list(stream)
        client.wait_costs([stream.run], 5)
    assert (stream.run.status, stream.run.response, stream.run.cost_usd) == ("error", "half", 0.5)


@pytest.mark.parametrize("begun", [{"reasoning": "hm"}, {"tool_calls": [{"index": 0, "function": {"name": "f"}}]}])
def test_a_comparison_does_not_pay_twice_for_thoughts_that_a_limit_ends(begun: Any, log: RunLog) -> None:
    """What was billed is not sent again, whether it had come to a text or not."""
    first = {"choices": [{"index": 0, "delta": begun, "finish_reason": None}]}
    table = Table({CHAT: streamed(events(first, {"error": {"type": "rate_limit_error"}}))})
    with served(table) as url:
        result = compare(["azure/large"], "Hi", client=Client(url, log=log), chat=True, live=False)
    assert result.frame["status"].tolist() == ["error"]
    assert table.paths().count(CHAT) == 1


@pytest.mark.parametrize(
    ("told", "known"),
    [("model_length", "length"), ("RECITATION", "content_filter"), ("sensitive", "content_filter"), ("odd", "odd")],
)
def test_a_finish_reason_has_the_gateways_name(told: str, known: str, log: RunLog) -> None:
    """Those of Mistral, Google and z.AI too; what nobody documents stays as it came."""
    assert answered(log, whole(finish=told)).finish_reason == known


@pytest.mark.parametrize(
    "last",
    [
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": USAGE}]},  # Moonshot
        chunk(None, "stop", x_groq={"usage": USAGE}),
    ],
)
def test_usage_that_stands_elsewhere_is_read(last: dict[str, Any], log: RunLog) -> None:
    """In the last choice, or in Groq's own object."""
    for begun in ([chunk("half")], MANY):
        run, _ = chatted(log, events(*begun, last))
        assert (run.prompt_tokens, run.completion_tokens, run.usage) == (30, 4, USAGE)


def test_an_answer_has_no_zero_tokens(log: RunLog) -> None:
    """A stream whose only usage is that of its prompt does not tell what the answer cost; it was free."""
    first = chunk("half", usage={"prompt_tokens": 30, "completion_tokens": 0, "total_tokens": 30})
    run, _ = chatted(log, events(first, chunk(None, "stop")))
    assert (run.prompt_tokens, run.completion_tokens, run.total_tokens) == (30, None, None)


def test_thoughts_in_the_content_are_thoughts(log: RunLog) -> None:
    """Mistral's Magistral writes them as blocks beside the text."""
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}, {"type": "text", "text": "m"}]}
    run = answered(log, whole([thought, {"type": "text", "text": "hi"}]))
    assert (run.response, run.reasoning) == ("hi", "hmm")
    run, pieces = chatted(log, events(chunk_of([thought]), chunk_of([{"type": "thinking", "thinking": "!"}]),
                                      chunk("hi"), chunk(None, "stop", usage=USAGE)))  # fmt: skip
    assert (run.response, run.reasoning, pieces) == ("hi", "hmm!", ["hi"])


def chunk_of(content: list[dict[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(chunk()))
    made["choices"][0]["delta"] = {"content": content}
    return made
