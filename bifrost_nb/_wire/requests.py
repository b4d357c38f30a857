"""Requests, strict: a wrong name or value is one clear ConfigurationError before anything is sent.

Format: the gateway's OpenAPI specification for ``POST /openai/openai/deployments/{deployment-id}/completions``;
``/v1/completions`` takes the same body, ``/v1/chat/completions`` the chat form; `responding` and `embedding` hold the
requests of the other two routes. Where the running gateway is
narrower than its specification (``stop`` as one string, fallbacks without a provider), what it accepts is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, model_validator

from .._safe_text import quoted
from ..errors import ConfigurationError
from .base import BaseRequest, build
from .deployments import Deployment, Endpoint, Kind, MediaKind, Route, endpoint
from .embedding_request import EmbeddingRequest, build_embedding
from .fields import Count, Index, JsonObject, LogitBias, Penalty, Probability, Prompt, Seed, Stop, Temperature
from .responses_request import ResponsesRequest, build_responses

__all__ = [
    "ChatCompletionRequest",
    "Deployment",
    "EmbeddingRequest",
    "Endpoint",
    "Kind",
    "MediaKind",
    "Request",
    "ResponsesRequest",
    "Route",
    "TextCompletionRequest",
    "body",
    "build_chat",
    "build_embedding",
    "build_responses",
    "build_text",
    "chat_messages",
    "endpoint",
    "headers",
]

_PASSTHROUGH = {"x-bf-passthrough-extra-params": "true"}
_ROLES = ("system", "developer", "user", "assistant", "tool", "function")


class _Request(BaseRequest):
    """What both kinds share. None means: not sent."""

    reserved: ClassVar[frozenset[str]] = frozenset({"prompt", "messages", "max_tokens", "extra_params"})

    stream: bool | None = None
    temperature: Temperature | None = None
    top_p: Probability | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    logit_bias: LogitBias | None = None
    n: Count | None = None
    stop: Stop | None = None
    user: str | None = None
    seed: Seed | None = None


class TextCompletionRequest(_Request):
    """A text completion: the 18 fields of the specification."""

    prompt: Prompt
    """One text, or several that are completed in one call (`n` choices each)."""
    max_tokens: Count | None = None
    logprobs: Index | None = None
    """How many alternatives to report for each token."""
    suffix: str | None = None
    echo: bool | None = None
    best_of: Count | None = None

    @model_validator(mode="after")
    def _best_of_covers_n(self) -> TextCompletionRequest:
        if self.best_of is not None and self.best_of < (self.n or 1):
            raise ValueError(f"best_of must be at least n ({self.n}), not {self.best_of}")
        return self


def _messages(messages: Any) -> Any:
    if not messages:
        raise ValueError("messages is empty")
    for position, message in enumerate(messages):
        where = f"messages[{position}]"
        if message.get("role") not in _ROLES:
            has = f", not {quoted(message['role'])}" if "role" in message else ""
            raise ValueError(f"{where} needs a 'role': one of {', '.join(_ROLES)}{has}")
        content = message.get("content")
        if isinstance(content, list):
            if not all(isinstance(block, dict) and isinstance(block.get("type"), str) for block in content):
                raise ValueError(f"{where}: each block of 'content' must be a dict with a 'type'")
        elif content is not None and not isinstance(content, str):
            raise ValueError(f"{where}: 'content' must be text or a list of blocks, not {type(content).__name__}")
        elif content is None and message["role"] != "assistant":
            raise ValueError(f"{where} has no 'content'")
        if message["role"] == "tool" and not isinstance(message.get("tool_call_id"), str):
            raise ValueError(f"{where} answers a tool call: it needs its 'tool_call_id'")
    return messages


def _chat_tools(tools: list[JsonObject]) -> list[JsonObject]:
    for position, tool in enumerate(tools):
        if "name" in tool and "type" not in tool:  # the function alone
            shape = "{'type': 'function', 'function': {'name': ..., 'parameters': {...}}}"
            raise ValueError(f"tools[{position}] needs a 'type'; write it as {shape}")
    return tools


class ChatCompletionRequest(_Request):
    """A chat completion. Objects (tools, response_format, audio, ...) go to the provider as they are."""

    messages: Annotated[list[JsonObject], AfterValidator(_messages)]
    max_completion_tokens: Count | None = None
    """The name that the gateway knows; callers may write ``max_tokens``."""
    logprobs: bool | None = None
    top_logprobs: Index | None = None
    tools: Annotated[list[JsonObject], AfterValidator(_chat_tools)] | None = None
    tool_choice: str | JsonObject | None = None
    parallel_tool_calls: bool | None = None
    response_format: JsonObject | None = None
    reasoning: JsonObject | None = None
    """Like ``{"effort": "low", "max_tokens": 1024}``."""
    reasoning_effort: str | None = None
    modalities: list[str] | None = None
    audio: JsonObject | None = None
    service_tier: str | None = None
    store: bool | None = None
    metadata: JsonObject | None = None
    stream_options: JsonObject | None = None

    @model_validator(mode="after")
    def _one_reasoning(self) -> ChatCompletionRequest:
        if self.reasoning is not None and self.reasoning_effort is not None:
            raise ValueError("reasoning and reasoning_effort say the same; pass one of them")
        return self


Request = TextCompletionRequest | ChatCompletionRequest | ResponsesRequest | EmbeddingRequest


def build_text(
    deployment: Deployment | str,
    prompt: str | Sequence[str],
    *,
    fallbacks: Sequence[str] | None = None,
    extra: Mapping[str, Any] | None = None,
    **parameters: Any,
) -> TextCompletionRequest:
    """A text completion of `prompt`; raises one ConfigurationError that names all that is wrong."""
    return build(TextCompletionRequest, deployment, {"prompt": prompt}, fallbacks, extra, parameters)


def build_chat(
    deployment: Deployment | str,
    messages: Sequence[Mapping[str, Any]],
    *,
    fallbacks: Sequence[str] | None = None,
    extra: Mapping[str, Any] | None = None,
    **parameters: Any,
) -> ChatCompletionRequest:
    """A chat completion of `messages`; raises one ConfigurationError that names all that is wrong."""
    limits = [parameters.get(name) for name in ("max_tokens", "max_completion_tokens")]
    if None not in limits and limits[0] != limits[1]:
        raise ConfigurationError(
            f"max_tokens ({limits[0]!r}) and max_completion_tokens ({limits[1]!r}) say the same; pass one of them."
        )
    short = "max_tokens" in parameters and limits[1] is None
    if "max_tokens" in parameters:
        parameters["max_completion_tokens"] = limits[0] if limits[1] is None else limits[1]
        del parameters["max_tokens"]
    try:
        return build(ChatCompletionRequest, deployment, {"messages": messages}, fallbacks, extra, parameters)
    except ConfigurationError as error:
        if not short:
            raise
        message = error.message.replace("max_completion_tokens must", "max_tokens must")  # as the caller wrote it
        raise ConfigurationError(message, hint=error.hint) from None


def chat_messages(
    prompt: str | None = None,
    *,
    system: str | None = None,
    messages: Sequence[Mapping[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """The messages of a chat call: `system`, then `messages`, then `prompt` as the user's turn, each where given."""
    for name, value in (("prompt", prompt), ("system", system)):
        if value is not None and not isinstance(value, str):
            raise ConfigurationError(
                f"{name} must be text, not {type(value).__name__}.", hint="Pass a conversation as messages=[...]."
            )
        if value == "":
            raise ConfigurationError(f"{name} is empty.")
    if isinstance(messages, str | Mapping) or not isinstance(messages, Sequence | None):
        raise ConfigurationError(f"messages must be a list of dicts, not {type(messages).__name__}.")
    for position, message in enumerate(messages or ()):
        if not isinstance(message, Mapping):
            raise ConfigurationError(f"messages[{position}] must be a dict, not {type(message).__name__}.")
    result = [] if system is None else [{"role": "system", "content": system}]
    result += [dict(message) for message in messages or ()]
    if prompt is not None:
        result.append({"role": "user", "content": prompt})
    if not result:
        raise ConfigurationError("There is nothing to send: pass a prompt, or messages=[...].")
    return result


def body(request: BaseRequest, deployment: Deployment, address: Endpoint) -> dict[str, Any]:
    """The JSON object to send for `request` to `address`. Fields that are not set are left out."""
    result: dict[str, Any] = {
        name: value
        for name in type(request).model_fields
        if name != "extra" and (value := getattr(request, name)) is not None
    }
    if address.route == "azure":
        # The provider stands beside the name: 1.3.63 and 1.4.0 do not read the path of a text completion and send a
        # bare name to OpenAI; from 1.4.18 on the path decides (measured).
        result["model"] = str(deployment)
        return result | {"extra_params": request.extra} if request.extra else result
    return result | request.extra


def headers(request: BaseRequest, address: Endpoint) -> dict[str, str]:
    """Headers that the gateway needs on `address` to hand `request.extra` on to the provider.

    The same on both routes: on ``/v1`` Bifrost's engine (1.4.0 to 1.7.0, measured) takes unknown fields, and drops
    them in silence without it.
    """
    return dict(_PASSTHROUGH) if request.extra else {}
