"""The newest real SDKs, each behind the same few methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any

import httpx
import pytest

PROMPT = "Explain tides briefly"
REASON = "the SDK is not installed"
KEY = "sk-bf-demo-0123456789abcdef"
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ASKED = "What is the weather in Paris?"


class Sdk(ABC):
    """One SDK, and where its objects keep what every answer has."""

    model: str
    sends_key = True
    """Whether the virtual key is sent as the API key; else requests are signed."""

    @abstractmethod
    def answer(self, model: str, prompt: str = PROMPT, limit: int = 200) -> Any: ...

    @abstractmethod
    def facts(self, answer: Any) -> tuple[str, str, int, int]:
        """Text, reason, prompt tokens, completion tokens with reasoning."""

    @abstractmethod
    def stream(self, model: str) -> AbstractContextManager[Iterator[str]]:
        """The pieces of text as they come; leaving the context closes the connection."""

    @abstractmethod
    def streamed(self) -> tuple[str, int, int]:
        """Reason and tokens of the stream that was read to its end."""

    @abstractmethod
    def tool(self) -> tuple[str, Any]:
        """Name and arguments of the call that a question about the weather brings."""

    @abstractmethod
    def error(self, raised: Exception) -> tuple[int | None, str]:
        """Status and message; no status where an error broke a stream."""

    @abstractmethod
    def close(self) -> None: ...


class AnthropicSdk(Sdk):
    model = "claude-haiku-4-5"

    def __init__(self, url: str) -> None:
        anthropic = pytest.importorskip("anthropic", reason=REASON)
        self.client = anthropic.Anthropic(base_url=f"{url}/anthropic", api_key=KEY, max_retries=0)

    def answer(self, model: str, prompt: str = PROMPT, limit: int = 200) -> Any:
        messages = [{"role": "user", "content": prompt}]
        return self.client.messages.create(model=model, max_tokens=limit, system="Be exact.", messages=messages)

    def facts(self, answer: Any) -> tuple[str, str, int, int]:
        text = "".join(block.text for block in answer.content if block.type == "text")
        return text, answer.stop_reason, answer.usage.input_tokens, answer.usage.output_tokens

    @contextmanager
    def stream(self, model: str) -> Iterator[Iterator[str]]:
        messages = [{"role": "user", "content": PROMPT}]
        with self.client.messages.stream(model=model, max_tokens=200, messages=messages) as stream:
            self._stream = stream
            yield iter(stream.text_stream)

    def streamed(self) -> tuple[str, int, int]:
        return self.facts(self._stream.get_final_message())[1:]

    def tool(self) -> tuple[str, Any]:
        tools = [{"name": "get_weather", "description": "The weather.", "input_schema": WEATHER}]
        messages = [{"role": "user", "content": ASKED}]
        asked = {"model": self.model, "max_tokens": 200, "tools": tools, "messages": messages}
        answer = self.client.messages.create(**asked)
        with self.client.messages.stream(**asked) as stream:
            again = stream.get_final_message()
        assert answer.stop_reason == again.stop_reason == "tool_use"
        assert (answer.content[0].name, answer.content[0].input) == (again.content[0].name, again.content[0].input)
        return answer.content[0].name, answer.content[0].input

    def error(self, raised: Exception) -> tuple[int | None, str]:
        body: Any = raised.body  # type: ignore[attr-defined]
        return raised.status_code, body["error"]["message"]  # type: ignore[attr-defined]

    def close(self) -> None:
        self.client.close()


class GenAISdk(Sdk):
    model = "gemini-2.5-flash"

    def __init__(self, url: str) -> None:
        genai = pytest.importorskip("google.genai", reason=REASON)
        # The gateway has v1beta alone; the SDK's own default changes from version to version.
        options = genai.types.HttpOptions(base_url=f"{url}/genai", api_version="v1beta", retry_options=None)
        self.types, self.client = genai.types, genai.Client(api_key=KEY, http_options=options)

    def answer(self, model: str, prompt: str = PROMPT, limit: int = 200) -> Any:
        config = self.types.GenerateContentConfig(max_output_tokens=limit, system_instruction="Be exact.")
        return self.client.models.generate_content(model=model, contents=prompt, config=config)

    def facts(self, answer: Any) -> tuple[str, str, int, int]:
        usage = answer.usage_metadata
        written = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
        return answer.text, answer.candidates[0].finish_reason.name, usage.prompt_token_count, written

    @contextmanager
    def stream(self, model: str) -> Iterator[Iterator[str]]:
        chunks = self.client.models.generate_content_stream(model=model, contents=PROMPT)

        def texts() -> Iterator[str]:
            for self._last in chunks:
                yield self._last.text or ""

        with closing(chunks):
            yield texts()

    def streamed(self) -> tuple[str, int, int]:
        return self.facts(self._last)[1:]

    def tool(self) -> tuple[str, Any]:
        types = self.types
        declared = types.FunctionDeclaration(name="get_weather", parameters_json_schema=WEATHER)
        config = types.GenerateContentConfig(
            tools=[types.Tool(function_declarations=[declared])],
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        )
        asked = {"model": self.model, "contents": ASKED, "config": config}
        call = self.client.models.generate_content(**asked).function_calls[0]
        chunks = list(self.client.models.generate_content_stream(**asked))
        again = next(chunk.function_calls[0] for chunk in chunks if chunk.function_calls)
        assert (call.name, call.args) == (again.name, again.args)
        return call.name, call.args

    def error(self, raised: Exception) -> tuple[int | None, str]:
        return raised.code, raised.message  # type: ignore[attr-defined]

    def close(self) -> None:
        self.client.close()


class BedrockSdk(Sdk):
    model, sends_key = "amazon.nova-lite-v1:0", False

    def __init__(self, url: str) -> None:
        boto3 = pytest.importorskip("boto3", reason=REASON)
        config = pytest.importorskip("botocore.config", reason=REASON).Config(retries={"max_attempts": 0})
        self.client = boto3.client(
            "bedrock-runtime", endpoint_url=f"{url}/bedrock", region_name="us-east-1", config=config,
            aws_access_key_id="id", aws_secret_access_key="secret",
        )  # fmt: skip

    def answer(self, model: str, prompt: str = PROMPT, limit: int = 200) -> Any:
        messages = [{"role": "user", "content": [{"text": prompt}]}]
        config = {"maxTokens": limit}
        return self.client.converse(
            modelId=model, messages=messages, system=[{"text": "Be exact."}], inferenceConfig=config
        )

    def facts(self, answer: Any) -> tuple[str, str, int, int]:
        text = "".join(block.get("text", "") for block in answer["output"]["message"]["content"])
        return text, answer["stopReason"], answer["usage"]["inputTokens"], answer["usage"]["outputTokens"]

    @contextmanager
    def stream(self, model: str) -> Iterator[Iterator[str]]:
        messages = [{"role": "user", "content": [{"text": PROMPT}]}]
        stream = self.client.converse_stream(modelId=model, messages=messages)["stream"]
        self._end: dict[str, Any] = {}

        def texts() -> Iterator[str]:
            for event in stream:
                self._end |= event
                yield event.get("contentBlockDelta", {}).get("delta", {}).get("text", "")

        with closing(stream):
            yield texts()

    def streamed(self) -> tuple[str, int, int]:
        usage = self._end["metadata"]["usage"]
        return self._end["messageStop"]["stopReason"], usage["inputTokens"], usage["outputTokens"]

    def tool(self) -> tuple[str, Any]:
        tools = {"tools": [{"toolSpec": {"name": "get_weather", "inputSchema": {"json": WEATHER}}}]}
        messages = [{"role": "user", "content": [{"text": ASKED}]}]
        answer = self.client.converse(modelId=self.model, messages=messages, toolConfig=tools)
        call = answer["output"]["message"]["content"][0]["toolUse"]
        assert answer["stopReason"] == "tool_use"
        return call["name"], call["input"]

    def error(self, raised: Exception) -> tuple[int | None, str]:
        response: Any = raised.response  # type: ignore[attr-defined]
        status = response["ResponseMetadata"]["HTTPStatusCode"] if "ResponseMetadata" in response else None
        return status, response["Error"]["Message"]

    def close(self) -> None:
        self.client.close()


class CohereSdk(Sdk):
    model = "command-r"

    def __init__(self, url: str) -> None:
        cohere = pytest.importorskip("cohere", reason=REASON)
        self.http = httpx.Client(headers={"x-bf-send-back-raw-response": "true"}, timeout=20)
        self.client = cohere.ClientV2(api_key=KEY, base_url=f"{url}/cohere", httpx_client=self.http)

    def answer(self, model: str, prompt: str = PROMPT, limit: int = 200) -> Any:
        messages = [{"role": "system", "content": "Be exact."}, {"role": "user", "content": prompt}]
        return self.client.chat(model=model, messages=messages, max_tokens=limit)

    def facts(self, answer: Any) -> tuple[str, str, int, int]:
        text = "".join(block.text for block in answer.message.content or [])
        return text, answer.finish_reason, answer.usage.tokens.input_tokens, answer.usage.tokens.output_tokens

    @contextmanager
    def stream(self, model: str) -> Iterator[Iterator[str]]:
        events = self.client.chat_stream(model=model, messages=[{"role": "user", "content": PROMPT}])

        def texts() -> Iterator[str]:
            for self._last in events:
                yield self._last.delta.message.content.text if self._last.type == "content-delta" else ""

        with closing(events):
            yield texts()

    def streamed(self) -> tuple[str, int, int]:
        end = self._last.delta
        return end.finish_reason, end.usage.tokens.input_tokens, end.usage.tokens.output_tokens

    def tool(self) -> tuple[str, Any]:
        tools = [{"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}]
        messages = [{"role": "user", "content": ASKED}]
        call = self.client.chat(model=self.model, messages=messages, tools=tools).message.tool_calls[0]
        events = list(self.client.chat_stream(model=self.model, messages=messages, tools=tools))
        parts = [event.delta.message.tool_calls.function for event in events if event.type == "tool-call-delta"]
        assert "".join(part.arguments for part in parts) == call.function.arguments
        return call.function.name, {"city": call.function.arguments.split('"')[3]}

    def error(self, raised: Exception) -> tuple[int | None, str]:
        return raised.status_code, raised.body["error"]["message"]  # type: ignore[attr-defined]

    def close(self) -> None:
        self.http.close()


SDKS = {"anthropic": AnthropicSdk, "genai": GenAISdk, "bedrock": BedrockSdk, "cohere": CohereSdk}
