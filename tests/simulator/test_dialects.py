"""Each generation of the gateway differs on the wire as measured and as its source says."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from bifrost_nb import local_gateway

from .conftest import AZURE, Wire, joined

FAILING = {"model": "azure/always-fails", "prompt": "Write a tagline for tea.", "fallbacks": ["azure/fast"]}


def test_identity_is_told_in_the_words_of_each_generation(each: Wire) -> None:
    """Names of requested and served model, and the headers that exist from 1.5 on."""
    answer = each.post(
        "/openai/openai/deployments/gpt-4o/chat/completions", {"messages": [{"role": "user", "content": "Hi"}]}
    )
    body, extra = answer.json(), answer.json()["extra_fields"]
    identity = {name for name in answer.headers if name.startswith("x-bifrost-")}
    assert extra["provider"] == "azure"
    if each.gateway.dialect == "1.3":
        assert (extra["model_requested"], extra["model_deployment"]) == ("gpt-4o", "gpt-4o-2024-11-20")
        assert body["model"] == "gpt-4o-2024-11-20"
        assert identity == set()
        return
    # Measured on 1.5.16: the provider's own name stands in routing_info alone.
    resolved = "gpt-4o-2024-11-20" if each.gateway.dialect == "2.2" else "gpt-4o"
    assert (extra["original_model_requested"], extra["resolved_model_used"]) == ("gpt-4o", resolved)
    assert extra["routing_info"]["resolved_key_alias"] == {"model_id": "gpt-4o-2024-11-20"}
    assert body["model"] == ("gpt-4o" if each.gateway.dialect == "2.2" else "gpt-4o-2024-11-20")
    assert answer.headers["x-bifrost-provider"] == "azure"
    assert ("x-bifrost-routing-info-provider" in identity) == (each.gateway.dialect == "2.2")


def test_created_is_new_on_text(each: Wire) -> None:
    """Only the newest generation says when a text was made; a chat always does."""
    assert ("created" in each.text("azure/fast", "x", max_tokens=1)) == (each.gateway.dialect == "2.2")
    assert abs(each.chat("groq/llama-3.3-70b-versatile", "x")["created"] - time.time()) < 10


def test_a_fallback_is_visible_as_far_as_the_generation_tells(each: Wire) -> None:
    """A whole answer names the primary from 1.5 on; a stream does so in its headers alone, from 2.0 on."""
    whole = each.post("/v1/completions", FAILING)
    extra = whole.json()["extra_fields"]
    stream = each.post("/v1/completions", FAILING | {"stream": True})
    first = each.stream("/v1/completions", FAILING)[0]["extra_fields"]
    if each.gateway.dialect == "1.3":
        assert extra["model_requested"] == "fast"
        assert "x-bifrost-fallback-index" not in whole.headers
        return
    assert extra["original_model_requested"] == "always-fails"
    assert extra["routing_info"]["is_fallback"] is True
    assert extra["routing_info"]["primary_model"] == "always-fails"
    assert first["original_model_requested"] == "fast"
    assert "is_fallback" not in first["routing_info"]
    told = "1" if each.gateway.dialect == "2.2" else None  # measured: 1.5 has no such headers on /v1
    assert whole.headers.get("x-bifrost-fallback-index") == stream.headers.get("x-bifrost-fallback-index") == told


def test_a_stream_frames_its_chunks_and_its_end(each: Wire) -> None:
    """Content chunks know neither usage nor finish reason, the gateway's last one does; then the end marker."""
    chunks = each.stream("/v1/completions", {"model": "azure/fast", "prompt": "Explain tides"})
    assert chunks.pop() == "[DONE]"
    last = chunks.pop()
    assert all("usage" not in chunk and "finish_reason" not in chunk["choices"][0] for chunk in chunks)
    assert last["usage"]["total_tokens"] > 0
    assert last["choices"] == [{"index": 0, "finish_reason": "stop"}]
    assert last["model"] == ("" if each.gateway.dialect == "1.3" else "fast")
    total = last["extra_fields"]["latency"]
    assert abs(total - sum(chunk["extra_fields"]["latency"] for chunk in chunks)) <= len(chunks) + 20


def test_a_role_chunk_exists_in_the_oldest_generation_only(each: Wire) -> None:
    """From 1.5 on no chunk of a chat carries the role."""
    body = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
    chunks = each.stream("/v1/chat/completions", body)
    roles = [chunk["choices"][0]["delta"].get("role") for chunk in chunks[:-1]]
    assert ("assistant" in roles) == (each.gateway.dialect == "1.3")


@pytest.mark.parametrize("path", ["/v1/completions", AZURE.format("fast")])
def test_an_error_in_a_stream_ends_it_as_its_route_does(each: Wire, path: str) -> None:
    """The frame is nested in 1.3; `/v1` still sends the end marker, `/openai` does not."""
    each.gateway.script(
        [{"error_after_chunks": 2, "status": 503, "error": {"type": "overloaded", "message": "too busy"}}]
    )
    chunks = each.stream(path, {"model": "azure/fast", "prompt": "Explain tides"})
    assert (chunks[-1] == "[DONE]") == path.startswith("/v1")
    error = [chunk for chunk in chunks if chunk != "[DONE]"][-1]["error"]
    assert (error["error"]["message"] if each.gateway.dialect == "1.3" else error["message"]) == "too busy"


def test_heartbeats_are_lines_without_an_end_of_event(wires: dict[str, Wire]) -> None:
    """2.x sends a comment line, and no blank line, when a stream idles; older ones send nothing."""
    for dialect, expected in (("2.2", 3), ("1.5", 0)):
        quick = [{"text": ["a", "b"], "gap_ms": 100, "first_text_ms": 0, "heartbeat_ms": 30 if expected else None}]
        wires[dialect].gateway.script([{name: value for name, value in quick[0].items() if value is not None}])
        body = {"model": "azure/fast", "prompt": "x", "stream": True}
        content = wires[dialect].post("/v1/completions", body).content
        # A machine that is late sends fewer.
        assert bool(expected) <= content.count(b": heartbeat\n") <= expected
        assert b": heartbeat\n\n" not in content
        wires[dialect].gateway.reset()


def test_an_idle_second_brings_a_heartbeat_by_itself(wire: Wire) -> None:
    """Without a script the newest generation sends one heartbeat per idle second."""
    wire.gateway.script([{"text": ["a", "b"], "gap_ms": 1_200, "first_text_ms": 0}])
    content = wire.post("/v1/completions", {"model": "azure/fast", "prompt": "x", "stream": True}).content
    assert content.count(b": heartbeat\n") == 1


def test_a_bare_model_name_is_resolved_from_1_5_on(each: Wire) -> None:
    """`/v1` wants provider/model in 1.3; later the catalogue is asked; `/openai` takes openai."""
    answer = each.post("/v1/completions", {"model": "large", "prompt": "x", "max_tokens": 1})
    assert answer.status_code == (400 if each.gateway.dialect == "1.3" else 200)
    openai = each.post("/openai/v1/completions", {"model": "gpt-3.5-turbo-instruct", "prompt": "x", "max_tokens": 1})
    if each.gateway.dialect == "1.3":  # which hands the provider's own answer on, on this route
        assert openai.json()["model"] == "gpt-3.5-turbo-instruct"
    else:
        assert openai.json()["extra_fields"]["provider"] == "openai"
    assert each.post("/v1/completions", {"model": "nobody-has-this", "prompt": "x"}).status_code == 400


def test_the_azure_path_decides_over_the_body_from_1_5_on(each: Wire) -> None:
    """Before, a text is asked of the body's model, of openai where it is bare; the single prefix is no route."""
    path = AZURE.format("fast")
    answer = each.post(path + "?api-version=2024-10-21", {"model": "large", "prompt": "x", "max_tokens": 1})
    record = each.gateway.requests()[0]
    assert record["query"] == {"api-version": "2024-10-21"}
    if each.gateway.dialect == "1.3":
        assert (answer.status_code, record["deployment"]) == (404, "openai/large")
        nameless = each.post(path, {"prompt": "x"})
        assert (nameless.status_code, nameless.json()["error"]) == (500, {"message": "model is required"})
        assert each.post(path, {"model": "azure/fast", "prompt": "x", "max_tokens": 1}).status_code == 200
    else:
        assert (answer.status_code, record["deployment"]) == (200, "azure/fast")
    assert each.post("/openai/deployments/fast/completions", {"prompt": "x"}).status_code == 405
    page = each.http.get(path)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")


def test_several_segments_name_a_provider_from_1_5_on(each: Wire) -> None:
    """A deployment with a slash goes to another provider, where that is known at all; an encoded one does not."""
    old = each.gateway.dialect == "1.3"
    answer = each.post(AZURE.format("openai/gpt-3.5-turbo-instruct"), {"prompt": "x", "max_tokens": 1})
    assert answer.status_code == (405 if old else 200)
    encoded = each.post(AZURE.format("openai%2Fgpt-3.5-turbo-instruct"), {"prompt": "x"})
    assert encoded.status_code == (500 if old else 404)
    assert each.gateway.requests()[1]["raw_path"].endswith("openai%2Fgpt-3.5-turbo-instruct/completions")
    assert each.post("/openai/openai/deployments//completions", {"prompt": "x"}).status_code == 400


def test_fallbacks_are_tried_in_order_and_the_first_error_is_told(each: Wire) -> None:
    """`/v1` drops an entry without provider, an unconfigured one is skipped, the primary's error is told at the end."""
    names = ["fast", "nebius/x", "azure/no-such-deployment", "azure/fast"]
    answer = each.post(
        "/v1/completions", {"model": "azure/always-fails", "prompt": "x", "max_tokens": 1, "fallbacks": names}
    )
    assert answer.status_code == 200
    record = each.gateway.requests()[0]
    assert record["attempts"] == ["azure/always-fails", "azure/no-such-deployment", "azure/fast"]
    assert record["served"] == "azure/fast"
    failed = each.post(
        "/v1/completions", {"model": "azure/always-fails", "prompt": "x", "fallbacks": ["azure/no-such"]}
    )
    assert failed.status_code == 500
    assert failed.json()["error"]["type"] == "server_error"
    failing = {"model": "azure/always-fails", "prompt": "x", "fallbacks": ["fast"], "max_tokens": 1}
    azure = each.post(AZURE.format("always-fails"), failing)
    assert azure.status_code == 200


def test_an_unconfigured_primary_falls_back_and_an_unknown_one_does_not(each: Wire) -> None:
    """A provider without key is an error that falls back; a word that is no provider cannot be resolved from 1.5 on."""
    body: dict[str, Any] = {"prompt": "x", "max_tokens": 1, "fallbacks": ["azure/fast"]}
    assert each.post("/v1/completions", body | {"model": "nebius/llama"}).status_code == 200
    expected = 200 if each.gateway.dialect == "1.3" else 400
    assert each.post("/v1/completions", body | {"model": "nowhere/llama"}).status_code == expected


def test_cost_is_in_the_body_only_where_the_provider_reports_it(each: Wire) -> None:
    """Flat in 1.3 and 1.5, nested in 2.2, one number from one provider; else absent."""
    reported = each.chat("perplexity/sonar", "Why is the sky blue?", max_completion_tokens=20)["usage"]["cost"]
    total = reported["total_cost"]
    parts = (
        ("input_cost", "output_cost") if each.gateway.dialect == "2.2" else ("input_tokens_cost", "output_tokens_cost")
    )
    assert total == pytest.approx(sum(reported[part] for part in parts))
    assert total == pytest.approx((12 + 20) * 1e-6, rel=0.3)
    number = each.chat("openrouter/deepseek/deepseek-r1", "Hi")["usage"]["cost"]
    assert isinstance(number, dict if each.gateway.dialect == "1.3" else float)
    assert "cost" not in each.chat("openai/gpt-4o-mini", "Hi")["usage"]


def test_a_chat_limit_is_raised_to_sixteen(each: Wire) -> None:
    """The gateway lets no `max_completion_tokens` below 16 through."""
    assert each.chat("azure/large", "Explain tides", max_completion_tokens=3)["usage"]["completion_tokens"] == 16


def test_text_becomes_a_chat_on_request(each: Wire) -> None:
    """A text completion of a chat model is an error, or, from 1.5 on and when asked for, converted."""
    body = {"model": "openai/gpt-4o-mini", "prompt": "Hi", "n": 2}
    assert each.post("/v1/completions", body).status_code == 404
    converted = each.http.post("/v1/completions", json=body, headers={"x-bf-compat": '["convert_text_to_chat"]'})
    if each.gateway.dialect == "1.3":
        assert converted.status_code == 404
    else:
        assert len(converted.json()["choices"]) == 1


def test_a_rate_limit_says_how_long_to_wait(wire: Wire) -> None:
    """Beyond five requests in a second: 429 with Retry-After."""
    body = {"model": "azure/rate-limited", "prompt": "x", "max_tokens": 1}
    answers = [wire.post("/v1/completions", body) for _ in range(8)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
    assert answers[0].status_code == 200


def test_about_fifteen_percent_of_the_flaky_one_fail(wire: Wire) -> None:
    """The error rate holds, and the seed decides which requests it hits."""

    def statuses() -> list[int]:
        wire.gateway.reset()
        body = {"model": "azure/flaky", "max_tokens": 1}
        return [wire.post("/v1/completions", {**body, "prompt": f"question {i}"}).status_code for i in range(100)]

    first = statuses()
    assert 7 <= first.count(500) <= 25
    assert set(first) == {200, 500}
    assert statuses() == first


def test_equal_requests_are_answered_from_the_cache_when_asked(each: Wire) -> None:
    """With a cache key the second answer is the first one again, flagged as a hit, and quicker."""
    body = {"model": "azure/large", "prompt": "Explain tides"}
    answers = [each.post("/v1/completions", body, **{"x-bf-cache-key": "k"}).json() for _ in range(2)]
    assert [answer["extra_fields"]["cache_debug"]["cache_hit"] for answer in answers] == [False, True]
    assert answers[1]["extra_fields"]["cache_debug"]["hit_type"] == "direct"
    assert answers[0]["choices"] == answers[1]["choices"]
    assert "cache_debug" not in each.post("/v1/completions", body).json()["extra_fields"]


def test_planted_virtual_keys_are_known(each: Wire) -> None:
    """Two keys work, one has no budget left, one is switched off; any other is not looked at."""
    body = {"model": "azure/fast", "prompt": "x", "max_tokens": 1}
    found = each.http.get("/api/governance/virtual-keys").json()["virtual_keys"]
    statuses = {
        key["name"]: each.post("/v1/completions", body, **{"x-bf-vk": key["value"]}).status_code for key in found
    }
    assert statuses == {"demo": 200, "spent": 402, "blocked": 403, "slow": 200}
    assert each.post("/v1/completions", body, **{"x-bf-vk": "sk-bf-anything"}).status_code == 200
    bearer = {"authorization": f"Bearer {found[1]['value']}"}
    assert each.post("/v1/completions", body, **bearer).json()["type"] == "budget_exceeded"


def test_a_stream_with_several_choices_joins_by_index(each: Wire) -> None:
    """Chunks of both choices come on one stream, told apart by their index."""
    chunks = each.stream("/v1/completions", {"model": "azure/fast", "prompt": "Explain tides", "n": 2})
    assert joined(chunks, 0)
    assert joined(chunks, 1)


LATE = {"deployment": "azure/large", "provider_timeout_ms": 60}


@pytest.mark.parametrize(
    ("dialect", "told"),
    [("1.4", "error frame"), ("1.4.18", "fallback"), ("1.5.1", "nothing"), ("1.5", "error"), ("2.0", "fallback")],
)
def test_a_first_chunk_that_is_late(dialect: str, told: str) -> None:
    """An error in the stream, a fallback, silence without end, or an error although a fallback answered: measured."""
    body = {"model": "azure/large", "prompt": "x", "max_tokens": 3, "stream": True, "fallbacks": ["azure/fast"]}
    with local_gateway(dialect=dialect, speed=50) as gateway:
        gateway.script([LATE])
        if told == "nothing":
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(f"{gateway.url}/v1/completions", json=body, timeout=0.8)
        else:
            answer = httpx.post(f"{gateway.url}/v1/completions", json=body, timeout=20)
            assert answer.status_code == (500 if told == "error" else 200)
            assert ("Error reading stream" in answer.text) == (told != "fallback")
        asked = ["azure/large"] if told in ("error frame", "nothing") else ["azure/large", "azure/fast"]
        (record,) = [each for each in gateway.requests() if each["method"] == "POST"]
        assert record["attempts"] == asked


MALFORMED = [
    [{"type": "text", "text": {"a": 1}}],
    [{"type": "text", "text": False}],
    ["words"],
    [{"type": 5, "text": "words"}],
    [{"type": "image_url", "image_url": "https://example.com/a.png"}],
    {"a": 1},
]
TAKEN = [[{"type": "text"}, None, {"text": "words"}, {"type": "text", "text": None}], None, []]


@pytest.mark.parametrize("dialect", ["1.3", "1.5", "2.0"])
def test_a_malformed_content_is_refused_in_the_gateways_words(dialect: str) -> None:
    """Measured of 1.3.63 to 2.0: of any part the whole content is meant; a part without a text is the provider's."""
    words = "content field is neither a string nor an array of Content blocks"
    said = {"1.3": f"Invalid request format: {words}", "1.5": f"invalid request format: {words}"}
    with local_gateway(dialect=dialect, speed=50) as gateway:  # type: ignore[arg-type]

        def post(path: str, field: str, content: Any) -> httpx.Response:
            body = {"model": "openai/gpt-4o-mini", "max_tokens": 20, field: [{"role": "user", "content": content}]}
            return httpx.post(f"{gateway.url}{path}", json=body)

        for content in MALFORMED:
            refused = post("/v1/chat/completions", "messages", content)
            assert refused.status_code == 400
            assert refused.json()["error"]["message"] == said.get(dialect, "Invalid request payload")
            own = post("/openai/v1/chat/completions", "messages", content)
            assert (own.status_code, own.json()["error"]["message"]) == (
                500 if dialect == "1.3" else 400,
                "Invalid JSON",
            )
        for path, field in (("/v1/responses", "input"), ("/anthropic/v1/messages", "messages")):
            refused = post(path, field, MALFORMED[0])
            assert refused.status_code == (500 if dialect == "1.3" and "anthropic" in path else 400)
        assert [post("/v1/chat/completions", "messages", content).status_code for content in TAKEN] == [200] * 3
