"""The real SDK of OpenAI against the embedded gateway: the Responses API and embeddings, streamed and not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .conftest import Wire

if TYPE_CHECKING:
    from openai import OpenAI

SKY = "Why is the sky blue?"
WEATHER: Any = [
    {
        "type": "function",
        "name": "get_weather",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    }
]


@pytest.fixture
def sdk(each: Wire) -> OpenAI:
    openai = pytest.importorskip("openai", reason="the openai SDK is not installed")
    return openai.OpenAI(base_url=f"{each.gateway.url}/openai/v1", api_key="none", max_retries=0)


def test_a_response_is_created(sdk: OpenAI) -> None:
    """Text, usage and why it ended; a conversation goes on by the answer's id."""
    first = sdk.responses.create(model="gpt-4o-mini", input=SKY, max_output_tokens=20)
    assert first.output_text
    assert first.usage is not None
    assert (first.status, first.usage.output_tokens) == ("incomplete", 20)
    second = sdk.responses.create(model="gpt-4o-mini", input="And at night?", previous_response_id=first.id)
    assert second.usage is not None
    assert second.usage.input_tokens > first.usage.total_tokens


def test_a_response_is_streamed(sdk: OpenAI) -> None:
    """The SDK's own accumulation of the events ends at the answer that the last event holds."""
    events = list(sdk.responses.create(model="openrouter/deepseek/deepseek-r1", input=SKY, stream=True))
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.output_text == "".join(
        event.delta for event in events if event.type == "response.output_text.delta"
    )
    with sdk.responses.stream(model="gpt-4o-mini", input="What is the weather in Paris?", tools=WEATHER) as stream:
        kinds = {event.type for event in stream}
        [call] = stream.get_final_response().output
    assert "response.function_call_arguments.done" in kinds
    assert call.type == "function_call"
    assert (call.name, call.arguments) == ("get_weather", '{"city":"Paris"}')


def test_embeddings_are_created(sdk: OpenAI) -> None:
    """The SDK asks for base64 unless told otherwise; both give the same numbers."""
    asked: Any = {"model": "text-embedding-3-small", "input": ["a cat", "a dog"], "dimensions": 64}
    packed = sdk.embeddings.create(**asked)
    plain = sdk.embeddings.create(**asked, encoding_format="float")
    assert [item.embedding for item in packed.data] == [item.embedding for item in plain.data]
    assert [len(item.embedding) for item in plain.data] == [64, 64]
    assert plain.usage.total_tokens == 4


def test_errors_are_the_sdks_own(sdk: OpenAI, each: Wire) -> None:
    """Before an answer by status; in the middle of a stream as its event."""
    import openai

    with pytest.raises(openai.BadRequestError, match="resp_nobody"):
        sdk.responses.create(model="gpt-4o-mini", input=SKY, previous_response_id="resp_nobody")
    with pytest.raises(openai.PermissionDeniedError):
        sdk.embeddings.create(model="gpt-4o-mini", input="Hi")
    each.gateway.script([{"error_after_chunks": 2, "error": {"message": "too busy"}}])
    with pytest.raises(openai.APIError):
        list(sdk.responses.create(model="gpt-4o-mini", input=SKY, stream=True))
