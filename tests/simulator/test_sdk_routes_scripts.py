"""Scripts, keys, refusals and prefixes hold on the drop-in routes as on all others."""

from __future__ import annotations

import httpx
import orjson
import pytest

from .conftest import Wire
from .sdk_routes import (
    ANTHROPIC,
    BEDROCK,
    GENAI,
    PROMPT,
    Route,
    aws_messages,
    every_route,
    row_of,
)


@every_route
def test_scripts_apply_as_on_every_route(wire: Wire, route: Route) -> None:
    """Times, merged fields, scripted bodies and drops work here too, chosen by this route's path."""
    path, body = route.request(stream=True)
    where = {"path": path.partition("?")[0].replace("%2F", "/")}
    wire.gateway.script([{**where, "delay_ms": 60, "first_text_ms": 120, "text": ["One", " two"], "gap_ms": 60}])
    with wire.http.stream("POST", path, json=body) as answer:
        answer.read()
    record = wire.gateway.requests()[0]
    assert record["headers_at"] - record["received_at"] >= 0.06
    assert record["first_text_at"] - record["received_at"] >= 0.12
    assert record["chunk_times"][1] - record["received_at"] >= 0.18
    path, body = route.request()
    wire.gateway.script([{"merge": {"surprise": 1}, "times": 1}, {"body": {"odd": True}}])
    assert (
        wire.http.post(path, json=body if route.in_path else body | {"model": route.deployment}).json()["surprise"] == 1
    )
    assert wire.http.post(path, json=body).json() == {"odd": True}
    wire.gateway.script([{"drop": {"after_chunks": 1, "how": "rst"}, "chunks": 3, "gap_ms": 1}])
    path, body = route.request(stream=True)
    with pytest.raises(httpx.TransportError), wire.http.stream("POST", path, json=body) as answer:
        answer.read()
    assert wire.gateway.wait_for(lambda found: found[-1]["dropped_at"])[-1]["chunks"] == 1


@every_route
def test_the_same_seed_gives_the_same_answers(wire: Wire, route: Route) -> None:
    """After a reset the same request gets the same text again; a second one without a reset another."""
    first, second = (route.text(route.ask(wire).json()) for _ in range(2))
    wire.gateway.reset()
    assert route.text(route.ask(wire).json()) == first != second


@every_route
def test_what_cannot_be_read_is_refused_in_the_sdks_shape(wire: Wire, route: Route) -> None:
    """No JSON, no object and a wrong type are 400 before any deployment is asked."""
    path, body = route.request()
    wrong = {"generationConfig": {"maxOutputTokens": "many"}} if route is GENAI else {"max_tokens": "many"}
    wrong = {"inferenceConfig": {"maxTokens": "many"}} if route is BEDROCK else wrong
    for content in (b"{", b"[1]", orjson.dumps(body | wrong)):
        answer = wire.http.post(path, content=content)
        assert answer.status_code == 400
        error = answer.json()
        message = error["message"] if route is BEDROCK else error["error"]["message"]
        assert message == "Invalid JSON"
    assert all(not record["attempts"] for record in wire.gateway.requests())


@pytest.mark.parametrize("header", ["x-bf-vk", "x-api-key", "x-goog-api-key", "authorization"])
def test_a_virtual_key_counts_in_whichever_header_an_sdk_sends_it(wire: Wire, header: str) -> None:
    """A blocked key is refused in the SDK's shape; a good one is named in the log."""
    prefix = "Bearer " if header == "authorization" else ""
    path, body = ANTHROPIC.request()
    refused = wire.http.post(path, json=body, headers={header: f"{prefix}sk-bf-blocked-0123456789abcdef"})
    assert (refused.status_code, refused.json()["error"]["message"]) == (403, "Virtual key is inactive")
    wire.http.post(path, json=body, headers={header: f"{prefix}sk-bf-demo-0123456789abcdef"})
    assert row_of(wire, wire.gateway.requests()[1])["virtual_key_name"] == "demo"


def test_an_idle_stream_of_bedrock_has_no_comments(wire: Wire) -> None:
    """Heartbeats are lines of server-sent events; a binary stream has no place for them."""
    wire.gateway.script([{"text": ["a", "b"], "gap_ms": 100, "first_text_ms": 0, "heartbeat_ms": 20}])
    assert len(aws_messages(BEDROCK.ask(wire, stream=True).content)) == 6
    assert b": heartbeat\n" in ANTHROPIC.ask(wire, stream=True).content


@pytest.mark.parametrize("prefix", ["/litellm", "/langchain", "/pydanticai"])
@every_route
def test_frameworks_reach_every_format_under_their_prefix(wire: Wire, route: Route, prefix: str) -> None:
    """The same routes are below each framework's prefix, without the format's name."""
    for stream in (False, True):
        path, body = route.request(stream=stream)
        answer = wire.http.post(path.replace(f"/{route.name}/", f"{prefix}/"), json=body, headers=route.headers)
        assert answer.status_code == 200
        assert stream or route.text(answer.json())


def test_tokens_are_counted_without_an_answer(wire: Wire) -> None:
    """Both counts are those of an answer's prompt; nothing is generated and nothing is paid."""
    body = ANTHROPIC.body(PROMPT) | {"model": "claude-haiku-4-5"}
    counted = wire.http.post("/anthropic/v1/messages/count_tokens", json=body).json()
    assert counted == {"input_tokens": ANTHROPIC.counts(ANTHROPIC.ask(wire).json())[0]}
    path = "/genai/v1beta/models/gemini-2.5-flash:countTokens"
    assert wire.http.post(path, json=GENAI.body(PROMPT)).json() == {"totalTokens": counted["input_tokens"]}
    row = row_of(wire, wire.gateway.requests()[0])
    assert (row["object"], row.get("cost")) == ("count_tokens", None)
