"""A program that asks through every format of one framework, in a process of its own: frameworks leave sockets open,
start threads and fetch things.

Arguments: the framework and the gateway's address. Prints a JSON object: by format, text and tokens of a whole answer
and the text of a streamed one.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable, Iterable
from typing import Any

PROMPT = "Explain tides briefly"
AWS = {"aws_access_key_id": "id", "aws_secret_access_key": "secret"}
RAW = {"x-bf-send-back-raw-response": "true"}
"""Without it Cohere's route answers in the gateway's own form."""
NOVA = "amazon.nova-lite-v1:0"
Asked = tuple[str, int, int, str | None]
"""Text, prompt tokens, completion tokens of a whole answer; text of a stream."""


def langchain(url: str) -> Iterable[tuple[str, Asked]]:
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model="gpt-4o-mini", base_url=f"{url}/v1", api_key="k")
    answer = model.invoke(PROMPT)
    usage = answer.usage_metadata
    streamed = "".join(chunk.content for chunk in model.stream(PROMPT))
    yield "openai", (answer.content, usage["input_tokens"], usage["output_tokens"], streamed)


def litellm(url: str) -> Iterable[tuple[str, Asked]]:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # otherwise it fetches prices from the internet
    import litellm

    calls: dict[str, dict[str, Any]] = {
        "openai": {"model": "openai/gpt-4o-mini", "api_base": url, "api_key": "k"},
        "anthropic": {"model": "anthropic/claude-haiku-4-5", "api_base": url, "api_key": "k"},
        "genai": {"model": "gemini/gemini-2.5-flash", "api_base": f"{url}/v1beta", "api_key": "k"},
        "bedrock": {
            "model": f"bedrock/converse/{NOVA}", "aws_bedrock_runtime_endpoint": url, "aws_region_name": "us-east-1",
            **AWS,
        },
        "cohere": {
            "model": "cohere_chat/command-r", "api_base": f"{url}/v2/chat", "api_key": "k", "extra_headers": RAW,
        },
    }  # fmt: skip
    for name, call in calls.items():
        call["messages"] = [{"role": "user", "content": PROMPT}]
        answer = litellm.completion(**call)
        streamed = None
        if name != "cohere":  # which this package takes for lines of bare JSON
            chunks = litellm.completion(**call, stream=True)
            streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        usage = answer.usage
        yield name, (answer.choices[0].message.content, usage.prompt_tokens, usage.completion_tokens, streamed)


def pydanticai(url: str) -> Iterable[tuple[str, Asked]]:
    import anthropic
    import cohere
    import httpx
    from google import genai
    from pydantic_ai import Agent
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.models.bedrock import BedrockConverseModel
    from pydantic_ai.models.cohere import CohereModel
    from pydantic_ai.models.google import GoogleModel
    from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
    from pydantic_ai.providers.anthropic import AnthropicProvider
    from pydantic_ai.providers.bedrock import BedrockProvider
    from pydantic_ai.providers.cohere import CohereProvider
    from pydantic_ai.providers.google import GoogleProvider
    from pydantic_ai.providers.openai import OpenAIProvider

    claude = AnthropicProvider(anthropic_client=anthropic.AsyncAnthropic(base_url=url, api_key="k"))
    asking = httpx.AsyncClient(headers=RAW, timeout=60)
    command = CohereProvider(cohere_client=cohere.AsyncClientV2(base_url=url, api_key="k", httpx_client=asking))
    google = genai.Client(api_key="k", http_options={"base_url": url, "api_version": "v1beta"})
    nova = BedrockProvider(base_url=url, region_name="us-east-1", **AWS)
    openai = OpenAIProvider(base_url=f"{url}/v1", api_key="k")
    models = {
        "openai": OpenAIChatModel("gpt-4o-mini", provider=openai),
        "responses": OpenAIResponsesModel("gpt-4o-mini", provider=openai),
        "anthropic": AnthropicModel("claude-haiku-4-5", provider=claude),
        "genai": GoogleModel("gemini-2.5-flash", provider=GoogleProvider(client=google)),
        "bedrock": BedrockConverseModel(NOVA, provider=nova),
        "cohere": CohereModel("command-r", provider=command),
    }
    for name, model in models.items():
        result = Agent(model).run_sync(PROMPT)
        usage = result.usage() if callable(result.usage) else result.usage
        streamed = Agent(model).run_stream_sync(PROMPT).get_output()
        yield name, (result.output, usage.input_tokens, usage.output_tokens, streamed)


FRAMEWORKS: dict[str, Callable[[str], Iterable[tuple[str, Asked]]]] = {
    "langchain": langchain,
    "litellm": litellm,
    "pydanticai": pydanticai,
}

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print("\n" + json.dumps(dict(FRAMEWORKS[sys.argv[1]](f"{sys.argv[2]}/{sys.argv[1]}"))))
