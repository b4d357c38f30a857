"""Requests to the Responses API, strict. Format: the gateway's OpenAPI documents (``/v1/responses``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from .base import BaseRequest, build
from .deployments import Deployment
from .fields import Count, Index, JsonObject, Probability, Temperature, one_or_several

__all__ = ["ResponsesRequest", "build_responses"]

_ROLES = ("user", "assistant", "system", "developer")


def _input(value: Any) -> Any:
    return one_or_several(value, "items", _check_item)


def _check_item(item: Any, where: str) -> None:
    if not isinstance(item, dict):
        raise ValueError(f"{where} must be a dict, not {type(item).__name__}")
    kind = item.get("type", "message")
    if not isinstance(kind, str):
        raise ValueError(f"{where}: 'type' must be text, like 'message' or 'function_call_output'")
    if kind == "message":
        if item.get("role") not in _ROLES:
            raise ValueError(f"{where} needs a 'role' (one of {', '.join(_ROLES)}), or the 'type' of another item")
        content = item.get("content")
        if isinstance(content, list):
            if not all(isinstance(block, dict) and isinstance(block.get("type"), str) for block in content):
                raise ValueError(f"{where}: each block of 'content' must be a dict with a 'type'")
        elif not isinstance(content, str):
            raise ValueError(f"{where}: 'content' must be text or a list of blocks, not {type(content).__name__}")
    elif kind == "function_call_output" and not isinstance(item.get("call_id"), str):
        raise ValueError(f"{where} answers a tool call: it needs its 'call_id'")


def _tools(tools: list[JsonObject]) -> list[JsonObject]:
    for position, tool in enumerate(tools):
        if not isinstance(tool.get("type"), str):
            raise ValueError(f"tools[{position}] needs a 'type', like 'function'")
        if tool["type"] == "function" and not isinstance(tool.get("name"), str):
            nested = " (not inside 'function', as in a chat)" if "function" in tool else ""
            raise ValueError(f"tools[{position}] needs its 'name' beside its 'type'{nested}")
    return tools


class ResponsesRequest(BaseRequest):
    """A call of the Responses API. Objects (tools, reasoning, text, ...) go to the provider as they are."""

    input: Annotated[str | list[JsonObject], BeforeValidator(_input)]
    """The question as text, or items: messages, calls of tools and their results."""
    stream: bool | None = None
    instructions: str | None = None
    """What a system message says in a chat; not kept by `previous_response_id`."""
    max_output_tokens: Count | None = None
    """Reasoning counts. The gateway raises less than 16 to 16."""
    max_tool_calls: Count | None = None
    temperature: Temperature | None = None
    top_p: Probability | None = None
    top_logprobs: Index | None = None
    """Log-probabilities come only where `include` holds ``message.output_text.logprobs``."""
    tools: Annotated[list[JsonObject], AfterValidator(_tools)] | None = None
    tool_choice: str | JsonObject | None = None
    parallel_tool_calls: bool | None = None
    reasoning: JsonObject | None = None
    """Like ``{"effort": "low", "summary": "auto"}``."""
    text: JsonObject | None = None
    """Like ``{"format": {"type": "json_schema", ...}, "verbosity": "low"}``."""
    previous_response_id: str | None = None
    conversation: str | JsonObject | None = None
    include: list[str] | None = None
    store: bool | None = None
    metadata: JsonObject | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    stream_options: JsonObject | None = None
    truncation: str | None = None
    user: str | None = None


def build_responses(
    deployment: Deployment | str,
    input: str | Sequence[Mapping[str, Any]],
    *,
    fallbacks: Sequence[str] | None = None,
    extra: Mapping[str, Any] | None = None,
    **parameters: Any,
) -> ResponsesRequest:
    """A call of the Responses API; raises one ConfigurationError that names all that is wrong."""
    return build(ResponsesRequest, deployment, {"input": input}, fallbacks, extra, parameters)
