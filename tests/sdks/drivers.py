"""How each SDK is used: made by hand without the recorder, asked, streamed, and its results as plain data.

Imported only where the SDKs are; each driver imports its own.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

import httpx

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # litellm asks the internet for prices when imported
os.environ.setdefault("LANGSMITH_TRACING", "false")

__all__ = ["DRIVERS", "Driver", "plain"]

PROMPT = "Explain tides briefly"
MESSAGES = [{"role": "user", "content": PROMPT}]
NO_KEY = "no-key"

VOLATILE = {  # names of what differs from call to call: identities, times of day, headers, measured times
    "id", "created", "created_at", "response_id", "responseId", "latency", "latencyMs", "sdk_http_response", "headers",
    "ResponseMetadata", "_hidden_params", "timestamp", "run_id", "conversation_id", "provider_response_id",
    "upstream_latency", "_request_id", "metrics", "_response_ms", "logging_id", "provider_details",
    "last_response_timestamp", "completed_at", "provider_response_headers",
    "item_id",
}  # fmt: skip


def plain(value: Any) -> Any:
    """An SDK's object as plain data, without what differs from call to call."""
    if hasattr(value, "model_dump"):
        value = value.model_dump()
    elif hasattr(value, "__dataclass_fields__"):
        value = {name: getattr(value, name) for name in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items() if name not in VOLATILE}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else type(value).__name__


class Driver(ABC):
    """One SDK. `client` is what `bf.sdk(name)` or `alone` gives."""

    name: ClassVar[str]
    deployment: ClassVar[str]
    model: ClassVar[str]
    """The deployment as this SDK writes it."""
    options: ClassVar[dict[str, Any]] = {}
    """For `bf.sdk`."""
    blocking: ClassVar[bool] = True
    awaited: ClassVar[bool] = True

    @abstractmethod
    def alone(self, url: str, asynchronous: bool) -> Any:
        """The SDK's client as its users make it, without the recorder."""

    @abstractmethod
    def answer(self, client: Any) -> Any: ...

    @abstractmethod
    def stream(self, client: Any) -> Iterator[Any]:
        """The events; closing the iterator leaves the stream as the SDK's users do."""

    async def aanswer(self, client: Any) -> Any:
        raise NotImplementedError

    def astream(self, client: Any) -> AsyncIterator[Any]:
        raise NotImplementedError

    @abstractmethod
    def counts(self, answer: Any) -> tuple[int, int]:
        """(prompt, completion) tokens of a whole answer, as the SDK tells them."""


class OpenAI(Driver):
    name, deployment, model = "openai", "openai/gpt-4o-mini", "openai/gpt-4o-mini"
    options: ClassVar[dict[str, Any]] = {"max_retries": 0}

    def alone(self, url: str, asynchronous: bool) -> Any:
        import openai

        kind: Any = openai.AsyncOpenAI if asynchronous else openai.OpenAI
        return kind(base_url=f"{url}/openai", api_key=NO_KEY, max_retries=0)

    def answer(self, client: Any) -> Any:
        return client.chat.completions.create(model=self.model, messages=MESSAGES)

    def stream(self, client: Any) -> Iterator[Any]:
        with client.chat.completions.create(model=self.model, messages=MESSAGES, stream=True) as stream:
            yield from stream

    async def aanswer(self, client: Any) -> Any:
        return await client.chat.completions.create(model=self.model, messages=MESSAGES)

    async def astream(self, client: Any) -> AsyncIterator[Any]:
        async with await client.chat.completions.create(model=self.model, messages=MESSAGES, stream=True) as stream:
            async for event in stream:
                yield event

    def counts(self, answer: Any) -> tuple[int, int]:
        return answer.usage.prompt_tokens, answer.usage.completion_tokens


class Responses(OpenAI):
    """The same SDK's other API."""

    def answer(self, client: Any) -> Any:
        return client.responses.create(model=self.model, input=PROMPT)

    def stream(self, client: Any) -> Iterator[Any]:
        with client.responses.create(model=self.model, input=PROMPT, stream=True) as stream:
            yield from stream

    async def aanswer(self, client: Any) -> Any:
        return await client.responses.create(model=self.model, input=PROMPT)

    async def astream(self, client: Any) -> AsyncIterator[Any]:
        async with await client.responses.create(model=self.model, input=PROMPT, stream=True) as stream:
            async for event in stream:
                yield event

    def counts(self, answer: Any) -> tuple[int, int]:
        return answer.usage.input_tokens, answer.usage.output_tokens


class Anthropic(Driver):
    name, deployment, model = "anthropic", "anthropic/claude-haiku-4-5", "claude-haiku-4-5"
    options: ClassVar[dict[str, Any]] = {"max_retries": 0}

    def alone(self, url: str, asynchronous: bool) -> Any:
        import anthropic

        kind: Any = anthropic.AsyncAnthropic if asynchronous else anthropic.Anthropic
        return kind(base_url=f"{url}/anthropic", api_key=NO_KEY, max_retries=0)

    def answer(self, client: Any) -> Any:
        return client.messages.create(model=self.model, messages=MESSAGES, max_tokens=300)

    def stream(self, client: Any) -> Iterator[Any]:
        with client.messages.create(model=self.model, messages=MESSAGES, max_tokens=300, stream=True) as stream:
            yield from stream

    async def aanswer(self, client: Any) -> Any:
        return await client.messages.create(model=self.model, messages=MESSAGES, max_tokens=300)

    async def astream(self, client: Any) -> AsyncIterator[Any]:
        asked = client.messages.create(model=self.model, messages=MESSAGES, max_tokens=300, stream=True)
        async with await asked as stream:
            async for event in stream:
                yield event

    def counts(self, answer: Any) -> tuple[int, int]:
        return answer.usage.input_tokens, answer.usage.output_tokens


class GenAI(Driver):
    name, deployment, model = "genai", "gemini/gemini-2.5-flash", "gemini-2.5-flash"

    def alone(self, url: str, asynchronous: bool) -> Any:
        from google import genai

        http = {"base_url": f"{url}/genai", "api_version": "v1beta"}
        client = genai.Client(api_key=NO_KEY, vertexai=False, http_options=http)
        return client.aio if asynchronous else client

    def answer(self, client: Any) -> Any:
        return client.models.generate_content(model=self.model, contents=PROMPT)

    def stream(self, client: Any) -> Iterator[Any]:
        yield from client.models.generate_content_stream(model=self.model, contents=PROMPT)

    async def aanswer(self, client: Any) -> Any:
        return await client.models.generate_content(model=self.model, contents=PROMPT)

    async def astream(self, client: Any) -> AsyncIterator[Any]:
        stream = await client.models.generate_content_stream(model=self.model, contents=PROMPT)
        try:
            async for event in stream:
                yield event
        finally:
            await stream.aclose()

    def counts(self, answer: Any) -> tuple[int, int]:
        usage = answer.usage_metadata
        return usage.prompt_token_count, usage.candidates_token_count + (usage.thoughts_token_count or 0)


class Cohere(Driver):
    name, deployment, model = "cohere", "cohere/command-r", "command-r"
    options: ClassVar[dict[str, Any]] = {"max_retries": 0}

    def alone(self, url: str, asynchronous: bool) -> Any:
        import cohere

        kind: Any = cohere.AsyncClientV2 if asynchronous else cohere.ClientV2
        raw = {"x-bf-send-back-raw-response": "true"}  # else the gateway answers in its own form
        http: Any = httpx.AsyncClient if asynchronous else httpx.Client
        return kind(base_url=f"{url}/cohere", api_key=NO_KEY, max_retries=0, httpx_client=http(headers=raw, timeout=60))

    def answer(self, client: Any) -> Any:
        return client.chat(model=self.model, messages=MESSAGES)

    def stream(self, client: Any) -> Iterator[Any]:
        yield from client.chat_stream(model=self.model, messages=MESSAGES)

    async def aanswer(self, client: Any) -> Any:
        return await client.chat(model=self.model, messages=MESSAGES)

    async def astream(self, client: Any) -> AsyncIterator[Any]:
        stream = client.chat_stream(model=self.model, messages=MESSAGES)
        try:
            async for event in stream:
                yield event
        finally:
            await stream.aclose()

    def counts(self, answer: Any) -> tuple[int, int]:
        return int(answer.usage.tokens.input_tokens), int(answer.usage.tokens.output_tokens)


class Bedrock(Driver):
    name, deployment, model = "bedrock", "bedrock/amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"
    awaited = False
    messages: ClassVar[list[Any]] = [{"role": "user", "content": [{"text": PROMPT}]}]

    def alone(self, url: str, asynchronous: bool) -> Any:
        import boto3
        import botocore
        from botocore.config import Config

        config = Config(signature_version=botocore.UNSIGNED)
        return boto3.client("bedrock-runtime", endpoint_url=f"{url}/bedrock", region_name="us-east-1", config=config)

    def answer(self, client: Any) -> Any:
        return client.converse(modelId=self.model, messages=self.messages)

    def stream(self, client: Any) -> Iterator[Any]:
        stream = client.converse_stream(modelId=self.model, messages=self.messages)["stream"]
        try:
            yield from stream
        finally:
            stream.close()

    def counts(self, answer: Any) -> tuple[int, int]:
        return answer["usage"]["inputTokens"], answer["usage"]["outputTokens"]


class LangChain(Driver):
    name, deployment, model = "langchain", "openai/gpt-4o-mini", "openai/gpt-4o-mini"
    options: ClassVar[dict[str, Any]] = {"model": model, "max_retries": 0}

    def alone(self, url: str, asynchronous: bool) -> Any:
        from langchain_openai import ChatOpenAI

        return ChatOpenAI(base_url=f"{url}/langchain", api_key=NO_KEY, model=self.model, max_retries=0)

    def answer(self, client: Any) -> Any:
        return client.invoke(PROMPT)

    def stream(self, client: Any) -> Iterator[Any]:
        yield from client.stream(PROMPT)

    async def aanswer(self, client: Any) -> Any:
        return await client.ainvoke(PROMPT)

    async def astream(self, client: Any) -> AsyncIterator[Any]:
        stream = client.astream(PROMPT)
        try:
            async for event in stream:
                yield event
        finally:
            await stream.aclose()

    def counts(self, answer: Any) -> tuple[int, int]:
        return answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"]


class LiteLLM(Driver):
    name, deployment, model = "litellm", "openai/gpt-4o-mini", "openai/gpt-4o-mini"
    options: ClassVar[dict[str, Any]] = {"max_retries": 0}

    def alone(self, url: str, asynchronous: bool) -> Any:
        from functools import partial
        from types import SimpleNamespace

        import litellm

        given = {
            "custom_llm_provider": "openai",
            "api_base": f"{url}/litellm",
            "api_key": NO_KEY,
            "max_retries": 0,
        }
        return SimpleNamespace(
            completion=partial(litellm.completion, **given), acompletion=partial(litellm.acompletion, **given)
        )

    def answer(self, client: Any) -> Any:
        return client.completion(model=self.model, messages=MESSAGES)

    def stream(self, client: Any) -> Iterator[Any]:
        stream = client.completion(model=self.model, messages=MESSAGES, stream=True)
        try:
            yield from stream
        finally:
            if stream.completion_stream is not None:  # what litellm wraps is the openai SDK's stream
                stream.completion_stream.close()

    async def aanswer(self, client: Any) -> Any:
        return await client.acompletion(model=self.model, messages=MESSAGES)

    async def astream(self, client: Any) -> AsyncIterator[Any]:
        stream = await client.acompletion(model=self.model, messages=MESSAGES, stream=True)
        try:
            async for event in stream:
                yield event
        finally:
            await stream.aclose()

    def counts(self, answer: Any) -> tuple[int, int]:
        return answer.usage.prompt_tokens, answer.usage.completion_tokens


class PydanticAI(Driver):
    name, deployment, model = "pydanticai", "openai/gpt-4o-mini", "openai/gpt-4o-mini"
    options: ClassVar[dict[str, Any]] = {"model": model}
    blocking = False

    def alone(self, url: str, asynchronous: bool) -> Any:
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai import OpenAIProvider

        return OpenAIChatModel(self.model, provider=OpenAIProvider(base_url=f"{url}/pydanticai", api_key=NO_KEY))

    def answer(self, client: Any) -> Any:
        raise NotImplementedError

    def stream(self, client: Any) -> Iterator[Any]:
        raise NotImplementedError

    async def aanswer(self, client: Any) -> Any:
        from pydantic_ai import Agent

        return (await Agent(client).run(PROMPT)).all_messages()[-1]

    async def astream(self, client: Any) -> AsyncIterator[Any]:
        from pydantic_ai import Agent

        async with Agent(client).run_stream(PROMPT) as result:
            async for text in result.stream_text(delta=True, debounce_by=None):
                yield text

    def counts(self, answer: Any) -> tuple[int, int]:
        return answer.usage.input_tokens, answer.usage.output_tokens


DRIVERS: tuple[Driver, ...] = (
    OpenAI(),
    Responses(),
    Anthropic(),
    GenAI(),
    Cohere(),
    Bedrock(),
    LangChain(),
    LiteLLM(),
    PydanticAI(),
)
