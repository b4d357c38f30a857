"""Answers, lenient: every field optional, unknown fields kept, a field of the wrong type kept as it came.

Format: the gateway's OpenAPI specification (gateway 1.3/1.4) and what 1.5 to 2.x changed. These models are for people
who explore an answer; the client reads the plain dicts (`choices`, `reading`, `failures`), which costs less per chunk.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, SerializeAsAny, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

__all__ = [
    "CacheDebug",
    "Choice",
    "Chunk",
    "Completion",
    "ErrorBody",
    "ErrorDetail",
    "ExtraFields",
    "LogProbs",
    "Message",
    "RoutingInfo",
    "TokenDetails",
    "TokenLogProb",
    "ToolCall",
    "Usage",
    "UsageCost",
]

T = TypeVar("T")


def _as_it_came(value: Any, parse: ValidatorFunctionWrapHandler) -> Any:
    try:
        return parse(value)
    except ValidationError:
        return value


Soft = Annotated[SerializeAsAny[T] | None, WrapValidator(_as_it_came)]
"""A field that is None where absent, and keeps a value of another type as it came."""

Number = float | int  # an int stays one: amounts of tokens above 2**53 lose nothing


class _GatewayAnswer(BaseModel):
    """Unknown fields are kept as attributes. ``model_dump(exclude_unset=True)`` gives back what was received."""

    model_config = ConfigDict(extra="allow", strict=True, protected_namespaces=())

    def model_dump(self, **options: Any) -> dict[str, Any]:
        """As pydantic's; without its warnings about fields that hold another type than declared."""
        return super().model_dump(**{"warnings": False, **options})

    def model_dump_json(self, **options: Any) -> str:
        """As pydantic's; without its warnings about fields that hold another type than declared."""
        return super().model_dump_json(**{"warnings": False, **options})


class TokenDetails(_GatewayAnswer):
    """Parts of a token count. Later gateways write `cached_read_tokens` for `cached_tokens`."""

    text_tokens: Soft[int] = None
    audio_tokens: Soft[int] = None
    image_tokens: Soft[int] = None
    cached_tokens: Soft[int] = None
    cached_read_tokens: Soft[int] = None
    cached_write_tokens: Soft[int] = None
    reasoning_tokens: Soft[int] = None
    accepted_prediction_tokens: Soft[int] = None
    rejected_prediction_tokens: Soft[int] = None
    citation_tokens: Soft[int] = None
    num_search_queries: Soft[int] = None


class UsageCost(_GatewayAnswer):
    """US dollars, as the provider reported them; `reading.parse_cost` reads all shapes."""

    input_tokens_cost: Soft[Number] = None
    output_tokens_cost: Soft[Number] = None
    request_cost: Soft[Number] = None
    input_cost: Soft[Number] = None
    """Gateway 2.x; so are the next two."""
    output_cost: Soft[Number] = None
    additional_cost: Soft[Number] = None
    total_cost: Soft[Number] = None


class Usage(_GatewayAnswer):
    """Tokens. `completion_tokens` is left out by the gateway where it is 0."""

    prompt_tokens: Soft[int] = None
    prompt_tokens_details: Soft[TokenDetails] = None
    completion_tokens: Soft[int] = None
    completion_tokens_details: Soft[TokenDetails] = None
    total_tokens: Soft[int] = None
    cost: Soft[UsageCost | Number] = None


class CacheDebug(_GatewayAnswer):
    """What the gateway's cache did; absent unless it looked."""

    cache_hit: Soft[bool] = None
    cache_id: Soft[str] = None
    hit_type: Soft[str] = None
    """``direct`` or ``semantic``."""
    requested_provider: Soft[str] = None
    requested_model: Soft[str] = None
    provider_used: Soft[str] = None
    model_used: Soft[str] = None
    input_tokens: Soft[int] = None
    threshold: Soft[Number] = None
    similarity: Soft[Number] = None
    """0 to 1."""


class RoutingInfo(_GatewayAnswer):
    """Who served; gateway 1.6 and later."""

    provider: Soft[str] = None
    model: Soft[str] = None
    key: Soft[str] = None
    resolved_key_alias: Soft[dict[str, Any]] = None
    is_fallback: Soft[bool] = None
    primary_provider: Soft[str] = None
    primary_model: Soft[str] = None
    server_side_fallback_model: Soft[str] = None


class ExtraFields(_GatewayAnswer):
    """What the gateway adds to an answer. `latency` in ms: of a chunk since the one before, of the last one in all."""

    request_type: Soft[str] = None
    provider: Soft[str] = None
    model_requested: Soft[str] = None
    """Gateway up to 1.4; so is the next."""
    model_deployment: Soft[str] = None
    original_model_requested: Soft[str] = None
    """Gateway 1.5 and later; so is the next."""
    resolved_model_used: Soft[str] = None
    routing_info: Soft[RoutingInfo] = None
    latency: Soft[Number] = None
    upstream_latency: Soft[Number] = None
    chunk_index: Soft[int] = None
    cost: Soft[UsageCost | Number] = None
    raw_request: Soft[dict[str, Any] | str] = None
    raw_response: Soft[dict[str, Any] | str] = None
    cache_debug: Soft[CacheDebug] = None


class TokenLogProb(_GatewayAnswer):
    """One token and how likely it was (natural logarithm)."""

    token: Soft[str] = None
    logprob: Soft[Number] = None
    bytes: Soft[list[int]] = None
    top_logprobs: Soft[list[dict[str, Any]]] = None


class LogProbs(_GatewayAnswer):
    """Both layouts: of chat (`content`, `refusal`) and of text completions (the other four)."""

    content: Soft[list[Soft[TokenLogProb]]] = None
    refusal: Soft[list[Soft[TokenLogProb]]] = None
    text_offset: Soft[list[int]] = None
    token_logprobs: Soft[list[Number | None]] = None
    """None for the first token of an echoed prompt."""
    tokens: Soft[list[str]] = None
    top_logprobs: Soft[list[dict[str, Number] | None]] = None


class ToolCall(_GatewayAnswer):
    """A function that the model wants called; `function` has `name` and `arguments` (JSON as text)."""

    index: Soft[int] = None
    id: Soft[str] = None
    type: Soft[str] = None
    function: Soft[dict[str, Any]] = None


class Message(_GatewayAnswer):
    """A turn of a chat, or a part of one (delta)."""

    role: Soft[str] = None
    name: Soft[str] = None
    content: Soft[str | list[dict[str, Any]]] = None
    tool_call_id: Soft[str] = None
    refusal: Soft[str] = None
    audio: Soft[dict[str, Any]] = None
    reasoning: Soft[str] = None
    reasoning_details: Soft[list[dict[str, Any]]] = None
    annotations: Soft[list[dict[str, Any]]] = None
    tool_calls: Soft[list[Soft[ToolCall]]] = None


class Choice(_GatewayAnswer):
    """One of the `n` answers: `text` of a text completion, `message` of a chat, `delta` of a streamed chat."""

    index: Soft[int] = None
    finish_reason: Soft[str] = None
    log_probs: Soft[LogProbs] = None
    """Gateway up to 1.4; `logprobs` later."""
    logprobs: Soft[LogProbs] = None
    text: Soft[str] = None
    message: Soft[Message] = None
    delta: Soft[Message] = None


class Completion(_GatewayAnswer):
    """A whole answer."""

    id: Soft[str] = None
    object: Soft[str] = None
    created: Soft[int] = None
    """Seconds since 1970; text completions of gateways up to 1.5 have none."""
    model: Soft[str] = None
    choices: Soft[list[Soft[Choice]]] = None
    usage: Soft[Usage] = None
    system_fingerprint: Soft[str] = None
    service_tier: Soft[str] = None
    extra_fields: Soft[ExtraFields] = None


class Chunk(Completion):
    """One event of a stream: an answer whose choices hold the next piece of text. A usage chunk has no choices."""


class ErrorDetail(_GatewayAnswer):
    """What went wrong; of a nested frame (gateway 1.3) `error` holds it once more."""

    type: Soft[str] = None
    code: Soft[str | int] = None
    message: Soft[str] = None
    param: Soft[str] = None
    event_id: Soft[str] = None
    error: Soft[dict[str, Any]] = None


class ErrorBody(_GatewayAnswer):
    """An error answer or frame; `failures.parse_error` reads all shapes."""

    event_id: Soft[str] = None
    type: Soft[str] = None
    is_bifrost_error: Soft[bool] = None
    status_code: Soft[int] = None
    error: Soft[ErrorDetail | str] = None
    extra_fields: Soft[dict[str, Any]] = None
