"""Completions and chats through the embedded gateway: what is sent, what is recorded."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import threading
import time
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

import bifrost_nb as bf
from bifrost_nb import Client, LocalGateway, RunLog, Timeouts, local_gateway
from bifrost_nb._client.portal import portal


def test_a_completion_is_answered_and_recorded(client: Client, gateway: LocalGateway, log: RunLog) -> None:
    """A text completion of an azure deployment uses the Azure route; its run is in the log before the caller has it."""
    run = client.complete("azure/gpt-35-turbo-instruct", "Once upon a time", max_tokens=12, temperature=0.2)
    assert [logged.run_id for logged in log.read()] == [run.run_id]
    [sent] = [record for record in gateway.requests() if record["method"] == "POST"]
    assert sent["path"] == "/openai/openai/deployments/gpt-35-turbo-instruct/completions"
    assert sent["headers"]["x-request-id"] == run.request_id
    assert sent["body"]["prompt"] == "Once upon a time"
    assert sent["body"]["max_tokens"] == 12
    assert run.status == "ok"
    assert run.text
    assert run.texts == [run.text]
    assert (run.requested, run.provider) == ("azure/gpt-35-turbo-instruct", "azure")
    assert run.completion_tokens == 12
    assert run.finish_reason == "length"
    assert run.total_tokens == (run.prompt_tokens or 0) + 12
    assert run.total_ms is not None
    assert run.total_ms > 0
    assert run.ttft_ms is None, "a call that is not streamed has no time to first text"
    assert run.params == {"max_tokens": 12, "temperature": 0.2}
    assert run.is_fallback is False


@pytest.mark.parametrize(
    ("deployment", "route", "path"),
    [
        ("azure/fast", None, "/openai/openai/deployments/fast/completions"),
        ("azure/fast", "v1", "/v1/completions"),
        ("openai/gpt-3.5-turbo-instruct", None, "/v1/completions"),
    ],
)
def test_routes(client: Client, gateway: LocalGateway, deployment: str, route: str | None, path: str) -> None:
    """The deployment decides the route unless the caller does."""
    assert client.complete(deployment, "Hi", route=route, max_tokens=3).status == "ok"  # type: ignore[arg-type]
    assert [record["path"] for record in gateway.requests() if record["method"] == "POST"] == [path]


def test_a_chat_has_messages(client: Client, gateway: LocalGateway) -> None:
    """A prompt and a system message become messages; one user turn is recorded as its text."""
    run = client.chat("openai/gpt-4o-mini", "Why is the sky blue?", system="Be brief.", max_tokens=20)
    [sent] = [record for record in gateway.requests() if record["method"] == "POST"]
    assert sent["path"] == "/v1/chat/completions"
    assert [message["role"] for message in sent["body"]["messages"]] == ["system", "user"]
    assert run.request_type == "chat_completion"
    assert run.text
    assert '"Be brief."' in (run.prompt or "")
    assert client.chat("openai/gpt-4o-mini", "Hi", max_tokens=3).prompt == "Hi"


def test_a_stream_arrives_piece_by_piece(client: Client) -> None:
    """The pieces of a stream are the whole text; times of our own clock grow; tokens come from the last chunk."""
    with client.stream("azure/fast", "Once upon a time", max_tokens=30) as stream:
        pieces = list(stream)
    run = stream.run
    assert "".join(pieces) == run.text
    assert len(pieces) > 3
    assert run.status == "ok"
    assert run.chunks == len(run.chunk_times_ms)
    assert run.chunk_times_ms == sorted(run.chunk_times_ms)
    assert run.ttft_ms == run.chunk_times_ms[0]
    assert run.total_ms is not None
    assert run.total_ms >= run.chunk_times_ms[-1]
    assert run.completion_tokens == 30
    assert run.params == {"max_tokens": 30, "stream": True}


def test_several_choices_stay_apart(client: Client) -> None:
    """With n=3 each choice has its own text, streamed or not."""
    with client.stream("azure/fast", "Once upon a time", n=3, max_tokens=8, temperature=1.0) as stream:
        pieces = list(stream.pieces())
    texts = ["".join(piece.text for piece in pieces if piece.choice == choice) for choice in range(3)]
    assert stream.run.texts == texts
    assert all(texts)
    assert len(client.complete("azure/fast", ["One", "Two"], n=2, max_tokens=4).texts) == 4


def test_the_fallback_that_answers_is_recorded(client: Client) -> None:
    """Who was asked and who answered are two things."""
    run = client.complete(
        "azure/always-fails", "Hi", max_tokens=4, fallbacks=["openai/gpt-3.5-turbo-instruct"], retries=0
    )
    assert run.requested == "azure/always-fails"
    assert run.served == "openai/gpt-3.5-turbo-instruct"
    assert (run.is_fallback, run.fallback_index) == (True, 1)


def test_the_async_forms_give_the_same(client: Client, gateway: LocalGateway) -> None:
    """acomplete, achat, astream and astream_chat work on the caller's own event loop."""

    async def all_four() -> list[bf.Run]:
        runs = list(
            await asyncio.gather(
                client.acomplete("azure/fast", "Hi", max_tokens=4),
                client.achat("openai/gpt-4o-mini", "Hi", max_tokens=4),
            )
        )
        async with client.astream("azure/fast", "Hi", max_tokens=4) as text:
            assert "".join([piece async for piece in text]) == text.run.text
        async with client.astream_chat("openai/gpt-4o-mini", "Hi", max_tokens=4) as chat:
            assert "".join([piece async for piece in chat]) == chat.run.text
        return [*runs, text.run, chat.run]

    assert [run.status for run in asyncio.run(all_four())] == ["ok"] * 4


def test_the_blocking_forms_work_inside_a_running_loop(client: Client) -> None:
    """A notebook cell runs inside an event loop; nothing needs patching there."""

    async def cell() -> bf.Run:
        return client.complete("azure/fast", "Hi", max_tokens=4)

    assert asyncio.run(cell()).status == "ok"


def test_cost_comes_from_the_response_first(client: Client, gateway: LocalGateway) -> None:
    """A provider that reports its cost is believed, split included."""
    gateway.script([{"cost": {"input_cost": 0.001, "output_cost": 0.002, "total_cost": 0.003}}])
    run = client.complete("azure/fast", "Hi", max_tokens=4)
    assert (run.input_cost_usd, run.output_cost_usd, run.cost_usd) == (0.001, 0.002, 0.003)
    assert run.cost_source == "response"


def test_cost_comes_from_the_gateways_log_next(client: Client, gateway: LocalGateway, log: RunLog) -> None:
    """The gateway's log row fills the cost in later: into the run and into the run log."""
    gateway.script([{"log_cost": 0.25, "log_delay_ms": 150}])
    run = client.complete("azure/fast", "Hi", max_tokens=4)
    assert (run.cost_usd, run.cost_source) == (None, None)
    client.wait_costs([run])
    assert (run.cost_usd, run.cost_source) == (0.25, "log")
    [logged] = log.read()
    assert (logged.cost_usd, logged.cost_source) == (0.25, "log")


def test_the_cost_of_a_fallback_is_found_under_its_parent(client: Client, gateway: LocalGateway) -> None:
    """The gateway logs a fallback in a row of its own; its cost, not the failed primary's, is the run's."""
    gateway.script([{"deployment": "openai/gpt-3.5-turbo-instruct", "log_cost": 0.125}])
    run = client.complete("azure/always-fails", "Hi", max_tokens=4, fallbacks=["openai/gpt-3.5-turbo-instruct"])
    client.wait_costs([run])
    assert (run.cost_usd, run.cost_source) == (0.125, "log")


def test_cost_comes_from_the_price_list_last(client: Client, gateway: LocalGateway) -> None:
    """Without a log row the price list is used, and says so; without a price the cost stays unknown."""
    gateway.script([{"path": "/api/logs*", "status": 403, "body": {"error": "no"}}])
    run = client.complete("azure/fast", "Hi", max_tokens=4)
    client.wait_costs([run])
    assert run.cost_source == "prices"
    assert run.cost_usd is not None
    assert run.input_cost_usd is not None
    assert run.output_cost_usd is not None
    assert run.cost_usd == pytest.approx(run.input_cost_usd + run.output_cost_usd)
    gateway.script(
        [{"path": "/api/logs*", "status": 403, "body": "no"}, {"path": "/v1/models", "status": 404, "body": "no"}]
    )
    unknown = Client(gateway.url, virtual_key="sk-bf-another", log=client.log).complete(
        "azure/fast", "Hi", max_tokens=4
    )
    client.wait_costs([unknown])
    assert (unknown.cost_usd, unknown.cost_source) == (None, None)


def test_a_cache_hit_is_marked(client: Client, gateway: LocalGateway) -> None:
    """An answer of the gateway's cache says so."""
    gateway.script([{"cache": {"cache_hit": True, "hit_type": "semantic", "similarity": 0.93}}])
    run = client.complete("azure/fast", "Hi", max_tokens=4)
    assert (run.cache_hit, run.cache_hit_type, run.cache_similarity) == (True, "semantic", 0.93)


def test_the_version_is_recorded(client: Client) -> None:
    """Each run says which gateway version answered."""
    assert client.complete("azure/fast", "Hi", max_tokens=4).gateway_version == client.version()
    assert (client.version() or "").lstrip("v").startswith("2.")


def test_keys_are_sent_and_shown_nowhere(gateway: LocalGateway, log: RunLog) -> None:
    """The virtual key goes as x-bf-vk, the API key as a bearer; neither shows in a repr, an error or the log."""
    client = Client(gateway.url, virtual_key="sk-bf-0123456789abcdef", api_key="very-secret-key", log=log)
    gateway.script(
        [{"status": 401, "error": {"message": "Incorrect API key very-secret-key or sk-bf-0123456789abcdef"}}]
    )
    with pytest.raises(bf.AuthenticationFailed) as caught:
        client.complete("azure/fast", "Hi", max_tokens=4)
    [sent] = [record for record in gateway.requests() if record["method"] == "POST"]
    assert sent["headers"]["x-bf-vk"] == "sk-bf-0123456789abcdef"
    assert sent["headers"]["authorization"] == "Bearer very-secret-key"
    shown = (
        f"{client!r} {client.settings!r} {caught.value!r} {caught.value} {caught.value.run!r} {log.path.read_text()}"
    )
    assert "very-secret-key" not in shown
    assert "0123456789abcdef" not in shown
    with pytest.raises(TypeError, match="keys"):
        pickle.dumps(client)


def test_nothing_is_left_after_many_calls(client: Client) -> None:
    """Threads, sockets and tasks do not grow with the number of calls."""
    client.complete("azure/fast", "Hi", max_tokens=2)
    threads, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        client.complete("azure/fast", "Hi", max_tokens=2)
        with client.stream("azure/fast", "Hi", max_tokens=2) as stream:
            list(stream)
        with client.stream("azure/fast", "Hi", max_tokens=50) as stream:
            next(iter(stream))
    assert threading.active_count() == threads
    assert len(os.listdir("/proc/self/fd")) <= files + 2


def test_connections_are_used_again(log: RunLog) -> None:
    """A stream is read to its very end, so that the next request needs no new connection."""
    with local_gateway(speed=20) as gateway:  # of its own: background questions of other tests use the same pool
        gateway.script([{"cost": 0.001}])  # known at once, so that nothing is asked after the answer
        client = Client(gateway.url, log=log)
        for _ in range(8):
            with client.stream("azure/fast", "Hi", max_tokens=3) as stream:
                list(stream)
        connections = {record["connection"] for record in gateway.requests() if record["method"] == "POST"}
    assert len(connections) <= 2  # the first call asks for the gateway's version at the same time


def test_a_forked_process_has_its_own_loop(client: Client) -> None:
    """After a fork the client works in the child, with connections of its own, and in the parent."""
    client.complete("azure/fast", "Hi", max_tokens=2)
    child = os.fork()
    if child == 0:
        ok = False
        try:
            ok = client.complete("azure/fast", "Hi", max_tokens=2).status == "ok"
        finally:
            os._exit(0 if ok else 1)
    end = time.monotonic() + 20
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < end:
        time.sleep(0.02)
    assert ended == (child, 0)
    assert client.complete("azure/fast", "Hi", max_tokens=2).status == "ok"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_tokns": 3}, "max_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"fallbacks": "openai/x"}, "fallbacks"),
        ({"fallbacks": ["gpt"]}, "provider"),
        ({"retries": -1}, "retries"),
        ({"timeout": 0}, "timeout"),
        ({"headers": {"x-request-id": "1"}}, "request_id"),
        ({"headers": {"Content-Length": "1"}}, "Content-Length belongs to the connection"),
        ({"headers": {"transfer-encoding": "chunked"}}, "belongs to the connection"),
        ({"headers": [("Connection", "close")]}, "belongs to the connection"),
        ({"headers": {"a b": "1"}}, "header"),
        ({"headers": {"x-user": "Zoë\nx-bf-vk: mine"}}, "header 'x-user' holds characters that HTTP does not allow"),
        ({"headers": {"x-user": "\ud800"}}, "header 'x-user' holds characters"),
        ({"headers": {"x-Zoë": "1"}}, "holds characters"),
        ({"headers": {"x-user": 1}}, "headers must map names to text; 'x-user' does not"),
        ({"route": "v2"}, "route"),
    ],
)
def test_bad_arguments_are_refused_before_sending(
    client: Client, gateway: LocalGateway, arguments: dict[str, object], message: str
) -> None:
    """One clear error names what was wrong, and nothing is sent."""
    with pytest.raises(bf.ConfigurationError, match=message):
        client.complete("azure/fast", "Hi", **arguments)  # type: ignore[arg-type]
    assert not [record for record in gateway.requests() if record["method"] == "POST"]


@pytest.mark.parametrize("wrong", ["runs.jsonl", Path("runs.jsonl"), 5])
def test_a_log_that_is_none_is_refused_before_an_answer_is_paid_for(wrong: Any) -> None:
    """A path in the place of a `RunLog` lost the first answer to an AttributeError."""
    with pytest.raises(bf.ConfigurationError, match=r"log must be a bf\.RunLog, not \w+\. Pass log=bf\.RunLog\('runs"):
        Client("demo", log=wrong)


def test_this_machine_by_its_name_is_no_key() -> None:
    """Written without http:// it was hidden as a word that may be a key."""
    with pytest.raises(bf.ConfigurationError, match=r"base_url 'localhost' .+ is not an address"):
        Client("localhost")


@pytest.mark.parametrize("name", ["Zoë", "Łukasz", "日本 \N{GRINNING FACE}", "Zoë".encode(), "Zoë".encode("latin-1")])
def test_a_name_in_a_header_is_sent_as_utf8(gateway: LocalGateway, log: RunLog, name: Any) -> None:
    """Of a client and of a call, as text or bytes, to completions, comparisons and the management API alike."""
    mine, sent = Client(gateway.url, log=log, headers={"x-user": name}), len(gateway.requests())
    mine.complete("azure/fast", "Hi", max_tokens=1)
    mine.chat("openai/gpt-4o-mini", "Hi", headers={"x-user": name}, max_tokens=1)
    entry = {"deployment": "azure/large", "headers": [("x-user", name)]}
    assert bf.compare(["azure/fast", entry], "Hi", client=mine, max_tokens=1).frame["status"].eq("ok").all()
    bf.Admin(mine).models()
    # An earlier test's client may look at the log as late as now.
    records = [record for record in gateway.requests(sent) if not record["path"].startswith("/api/logs")]
    received = {record["headers"]["x-user"] for record in records if "x-user" in record["headers"]}
    assert received == {(name if isinstance(name, str) else "Zoë").encode().decode("latin-1")}


def test_timeouts_are_checked() -> None:
    """A limit is a positive number or None."""
    with pytest.raises(bf.ConfigurationError, match="between_chunks"):
        Timeouts(between_chunks=-1)


def test_the_end_is_not_waited_for_when_all_is_told(client: Client, gateway: LocalGateway) -> None:
    """Finish reason and usage end a stream whose [DONE] never comes: some gateways keep the connection open."""
    last = '{"choices":[{"index":0,"text":"","finish_reason":"stop"}],"usage":{"prompt_tokens":1,"total_tokens":3}}'
    whole = [f'data: {{"choices":[{{"index":0,"text":"Once"}}]}}\n\ndata: {last}\n\n', {"text": "", "pause_ms": 8000}]
    gateway.script([{"frames": whole}])
    with client.stream("azure/fast", "Hi") as stream:
        assert list(stream) == ["Once"]
    assert stream.run.status == "ok"
    assert stream.run.total_ms is not None
    assert stream.run.total_ms < 4000


def test_a_broken_upstream_that_ends_in_good_order_is_truncated(client: Client, gateway: LocalGateway) -> None:
    """A last chunk without finish reason that counts no tokens is how a gateway ends a stream that broke behind it."""
    frames = [
        'data: {"choices":[{"index":0,"text":"Once "}]}\n\n',
        'data: {"choices":[{"index":0}],"usage":{"total_tokens":0}}\n\ndata: [DONE]\n\n',
    ]
    gateway.script([{"frames": frames}])
    with pytest.raises(bf.StreamInterrupted) as caught, client.stream("azure/fast", "Hi") as stream:
        list(stream)
    assert (caught.value.text, stream.run.status, stream.run.total_tokens) == ("Once ", "truncated", None)


def test_tool_calls_audio_annotations_and_reasoning_of_a_stream_are_kept(client: Client, gateway: LocalGateway) -> None:
    """What a chat streams beside its text is put together and kept in the run; the log has all but the sound."""
    deltas = [
        {"reasoning": "Let me "},
        {"reasoning": "see.", "audio": {"id": "a1", "data": b64encode(b"so").decode(), "transcript": "Blue "}},
        {"audio": {"data": b64encode(b"und").decode(), "transcript": "sky."}},
        {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "look", "arguments": "{"}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]},
        {"annotations": [{"type": "url_citation", "url_citation": {"url": "https://example.org"}}]},
    ]
    chunks = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
    gateway.script([{"frames": [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"]}])
    with client.stream_chat("openai/gpt-4o-mini", "Why is the sky blue?") as stream:
        assert "".join(stream) == "Blue sky."
    run = stream.run
    assert run.reasoning == "Let me see."
    assert run.tool_calls == [
        {"index": 0, "id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    ]
    assert run.annotations[0]["url_citation"]["url"] == "https://example.org"
    assert run.audio == {"id": "a1", "data": b64encode(b"sound").decode(), "transcript": "Blue sky."}
    [logged] = client.log.read()
    assert (logged.tool_calls, logged.annotations, logged.reasoning) == (run.tool_calls, run.annotations, run.reasoning)


def test_cancelled_before_it_began(client: Client, log: RunLog) -> None:
    """A call that is cancelled while the private loop is busy with something else is recorded all the same."""
    portal().loop.call_soon_threadsafe(time.sleep, 0.2)
    job = client.start(client.prepare("text", "azure/fast", "Hi"))
    job.cancel()
    assert job.result(20).run.status == "cancelled"
    assert [run.status for run in log.read()] == ["cancelled"]
