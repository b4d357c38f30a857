"""The Responses API and embeddings: what they become through each gateway."""

from __future__ import annotations

import json
from typing import Any

import pytest

import bifrost_nb as bf
from bifrost_nb import Client, Run, Timeouts
from bifrost_nb._runs.late_facts import tells_part_of_latency

from .conftest import engines_only
from .subjects import Limit, Subject
from .test_answers import told

SKY = "Why is the sky blue?"
DEPLOYMENTS = ["openai/gpt-4o-mini", "azure/fast", "anthropic/claude-haiku-4-5"]
WEATHER: Any = [{"type": "function", "name": "get_weather", "parameters": {"properties": {"city": {"type": "string"}}}}]
SMALL = "openai/text-embedding-3-small"


def streamed(client: Client, deployment: str, asked: Any, **options: Any) -> Run:
    """The run of a stream that was read to its end; its pieces are its text."""
    with client.stream_respond(deployment, asked, **options) as stream:
        assert "".join(stream) == stream.run.text
    return stream.run


def respond(client: Client, stream: bool, deployment: str, asked: Any, **options: Any) -> Run:
    return (streamed if stream else Client.respond)(client, deployment, asked, **options)


@pytest.mark.feature("Responses API")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_responses(client: Client, subject: Subject, limit: Limit, deployment: str, stream: bool) -> None:
    """Text, who served, tokens, why it ended; of providers with the API and of those that only chat."""
    run = respond(client, stream, deployment, SKY, instructions="Be brief.", max_output_tokens=20)
    assert (run.status, run.request_type, run.served) == ("ok", "responses", deployment)
    assert run.text
    assert run.completion_tokens == 20
    if subject.generation == "1.3" and deployment.startswith("anthropic/") and not stream:
        assert run.finish_reason == ("length" if subject.version == (1, 4, 18) else None)
        if run.finish_reason is None:
            limit(told(run, "why it ended"))
    else:
        assert run.finish_reason == "length"
    assert run.total_tokens == (run.prompt_tokens or 0) + 20
    assert run.latency_ms is not None or tells_part_of_latency(run)
    assert (run.ttft_ms is not None, run.chunks is not None) == (stream, stream)


@pytest.mark.feature("Responses API")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("deployment", DEPLOYMENTS[:2])
def test_tools_of_responses(client: Client, deployment: str, stream: bool) -> None:
    """A call with its arguments, and the answer to its result."""
    run = respond(client, stream, deployment, "What is the weather in Paris?", tools=WEATHER)
    [call] = run.tool_calls
    assert (run.status, run.finish_reason) == ("ok", "tool_calls")
    assert call["function"]["name"] == "get_weather"
    assert json.loads(call["function"]["arguments"]) == {"city": "Paris"}
    given = {"type": "function_call", "call_id": call["id"], **call["function"]}
    result = {"type": "function_call_output", "call_id": call["id"], "output": "18 degrees"}
    asked = [{"role": "user", "content": "What is the weather in Paris?"}, given, result]
    assert respond(client, stream, deployment, asked, tools=WEATHER).text


@pytest.mark.feature("Responses API")
def test_parameters_of_responses(client: Client, subject: Subject, limit: Limit) -> None:
    """Each reaches the provider."""
    asked: dict[str, Any] = {
        "instructions": "Be brief.", "max_output_tokens": 20, "temperature": 0.5, "top_p": 0.9,
        "text": {"format": {"type": "text"}}, "store": False, "truncation": "auto",
        "metadata": {"a": "b"}, "parallel_tool_calls": False, "include": ["reasoning.encrypted_content"], "user": "u",
    }  # fmt: skip
    run = client.respond("openai/gpt-4o-mini", SKY, extra={"top_k": 3}, **asked)
    [body] = subject.bodies()
    assert {name: body.get(name) for name in asked} == asked
    if subject.before(1, 4, 9):
        limit(told(run, "extra="))
        assert "top_k" not in body
    else:
        assert body["top_k"] == 3


@pytest.mark.feature("Responses API")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_fallbacks_of_responses(client: Client, stream: bool) -> None:
    """Another deployment answers, and the run says which."""
    run = respond(client, stream, "azure/always-fails", SKY, fallbacks=["openai/gpt-4o-mini"])
    assert (run.served, run.is_fallback, run.fallback_index) == ("openai/gpt-4o-mini", True, 1)


@pytest.mark.feature("Responses API")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_errors_of_responses(client: Client, subject: Subject, stream: bool) -> None:
    """The provider's refusal is typed, whole or streamed."""
    subject.script([{"status": 429, "error": {"message": "too fast", "type": "rate_limit_error"}}])
    with pytest.raises(bf.RateLimited, match="too fast"):
        respond(client, stream, "openai/gpt-4o-mini", SKY)


@engines_only
@pytest.mark.feature("Responses API")
def test_a_failure_in_the_middle_of_a_response(client: Client, subject: Subject) -> None:
    """The provider's own event becomes the gateway's error, and the error ours; the text so far is kept."""
    parts = [{"type": "response.output_text.delta", "output_index": 0, "delta": "so far", "sequence_number": 0}]
    parts.append({"type": "error", "code": "server_error", "message": "it broke", "sequence_number": 1})
    frames = [f"event: {part['type']}\ndata: {json.dumps(part)}\n\n" for part in parts]
    subject.script([{"frames": frames}])
    with pytest.raises(bf.GatewayError, match="it broke") as caught:
        streamed(client, "openai/gpt-4o-mini", SKY)
    assert caught.value.run is not None
    assert (caught.value.run.text, caught.value.run.error_code) == ("so far", "server_error")


@pytest.mark.feature("Responses API")
def test_a_provider_that_breaks_off_a_response(client: Client, subject: Subject) -> None:
    """Whatever the gateway makes of it, the run is not taken for a whole one, and keeps its text."""
    subject.script([{"provider_cut_after_chunks": 3}])
    with pytest.raises(bf.BifrostError) as caught:
        streamed(client, "openai/gpt-4o-mini", SKY, timeout=Timeouts(between_chunks=3))
    assert caught.value.run is not None
    assert caught.value.run.status in ("truncated", "error", "timeout")
    assert caught.value.run.text


@pytest.mark.feature("Embeddings")
@pytest.mark.parametrize("encoding", ["float", "base64"])
@pytest.mark.parametrize("deployment", [SMALL, "azure/embeddings"])
def test_embeddings(client: Client, deployment: str, encoding: Any) -> None:
    """A vector for each text, tokens, who served."""
    run = client.embed(deployment, ["a cat", "a dog", "a cat"], dimensions=64, encoding_format=encoding)
    assert (run.status, run.request_type, run.served) == ("ok", "embedding", deployment)
    assert run.embedding_array.shape == (3, 64)
    assert run.embeddings[0] == run.embeddings[2] != run.embeddings[1]
    assert (run.prompt_tokens, run.total_tokens, run.completion_tokens) == (6, 6, None)
    assert run.latency_ms is not None


@pytest.mark.feature("Embeddings")
def test_parameters_and_errors_of_embeddings(client: Client, subject: Subject) -> None:
    """What was asked reaches the provider; what it refuses is typed."""
    client.embed(SMALL, "a cat", dimensions=64)
    [body] = subject.bodies()
    assert (body["input"], body["dimensions"]) in (("a cat", 64), (["a cat"], 64))
    with pytest.raises(bf.GatewayError, match="not allowed to generate embeddings"):
        client.embed("openai/gpt-4o-mini", "a cat")
    fallen = client.embed("anthropic/claude-haiku-4-5", "a cat", fallbacks=[SMALL])
    assert (fallen.served, fallen.is_fallback) == (SMALL, True)
