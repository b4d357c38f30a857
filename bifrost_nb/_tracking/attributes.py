"""A run and its scores as OpenTelemetry's conventions for generative AI name them.

Source: github.com/open-telemetry/semantic-conventions-genai, v0.1.0 (span ``gen_ai.client.inference``, event
``gen_ai.evaluation.result``), status "development". What those have no name for is ``bifrost.*``. Unknown is absent.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from .._client.calls import asked_of
from .._runs.run import Run
from .._safe_text import plain

__all__ = ["error_type", "evaluation_attributes", "operation", "span_attributes"]

OPERATIONS = {
    "text_completion": "text_completion",
    "chat_completion": "chat",
    "responses": "chat",
    "embedding": "embeddings",
}
PROVIDERS = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "vertex": "gcp.vertex_ai",
    "xai": "x_ai",
}
"""The gateway's name -> the convention's, where they differ."""
_NUMBERS = {
    **dict.fromkeys(("max_tokens", "max_completion_tokens", "max_output_tokens", "maxTokens"), "max_tokens"),
    "maxOutputTokens": "max_tokens",
    "temperature": "temperature",
    "seed": "seed",
    **dict.fromkeys(("top_p", "topP", "p"), "top_p"),
    **dict.fromkeys(("top_k", "topK", "k"), "top_k"),
    **dict.fromkeys(("frequency_penalty", "frequencyPenalty"), "frequency_penalty"),
    **dict.fromkeys(("presence_penalty", "presencePenalty"), "presence_penalty"),
}
"""A parameter, as the gateway or the API of an SDK calls it -> the convention's name."""
_STOPS = ("stop", "stop_sequences", "stopSequences")
_OURS = (
    *("run_id", "comparison_id", "prompt_id", "repeat", "requested_provider", "model_deployment"),
    *("is_fallback", "fallback_index", "status", "cost_usd", "cost_source", "queue_ms", "latency_ms", "chunks"),
    *("tokens_per_s", "cache_hit", "gateway_version"),
)


def operation(run: Run) -> str:
    """``gen_ai.operation.name``."""
    kind = run.request_type or "unknown"  # a line of the log may tell none
    return OPERATIONS.get(kind, kind)


def error_type(run: Run) -> str | None:
    """``error.type`` of a run that did not end well: the gateway's type, else the HTTP status, else our status."""
    if run.status in ("ok", None):
        return None
    status = run.http_status if run.http_status is not None and run.http_status >= 400 else run.status
    return plain(run.error_type or status, 100)


def span_attributes(run: Run, *, content: bool = False) -> dict[str, Any]:
    """The attributes of the span of `run`; `content` adds prompt, answer and the words of an error."""
    provider = run.provider or run.requested_provider or "unknown"
    found: dict[str, Any] = {
        "gen_ai.operation.name": operation(run),
        "gen_ai.provider.name": PROVIDERS.get(provider, provider),
        "gen_ai.request.model": run.requested_model,
        "gen_ai.response.model": run.model,
        "gen_ai.response.id": (run.raw or {}).get("id"),
        "gen_ai.response.finish_reasons": [run.finish_reason] if run.finish_reason else None,
        "gen_ai.response.time_to_first_chunk": None if run.ttft_ms is None else run.ttft_ms / 1000,
        "gen_ai.usage.input_tokens": run.prompt_tokens,
        "gen_ai.usage.output_tokens": run.completion_tokens,
        "gen_ai.usage.cache_read.input_tokens": run.cached_tokens,
        "gen_ai.usage.cache_write.input_tokens": run.cache_write_tokens,
        "gen_ai.usage.reasoning.output_tokens": run.reasoning_tokens,
        "gen_ai.embeddings.dimension.count": run.embedding_shape[1] if len(run.embedding_shape) > 1 else None,
        "error.type": error_type(run),
        **_parameters(run.params),
        **{f"bifrost.{name}": getattr(run, name) for name in _OURS},
        "bifrost.request.id": run.request_id,  # as the gateway's own spans name it (1.5.16; "gen_ai.request_id" before)
        "bifrost.fallbacks": list(run.fallbacks) or None,
        "bifrost.attempts": len(run.attempts) or None,
    }
    if content:
        found["gen_ai.input.messages"] = _json(_asked(run))
        found["gen_ai.output.messages"] = _json(_answered(run))
        found["bifrost.error_message"] = run.error_message
    return {name: value for name, value in found.items() if isinstance(value, bool | int | float | str | list)}


def evaluation_attributes(
    name: str, value: float | None, *, label: str | None, explanation: str | None, error: str | None, run: Run
) -> dict[str, Any]:
    """The attributes of a ``gen_ai.evaluation.result``. `error` is the score's error, of which the type is told."""
    kind = re.match(r"\w+", error or "")
    found = {
        "gen_ai.evaluation.name": name,
        "gen_ai.evaluation.score.value": value,
        "gen_ai.evaluation.score.label": label,
        "gen_ai.evaluation.explanation": explanation,
        "gen_ai.response.id": (run.raw or {}).get("id"),
        "error.type": (kind[0] if kind and re.search("Error|Failed|TimedOut|Limited", kind[0]) else "_OTHER")
        if error
        else None,
        "bifrost.run_id": run.run_id,
    }
    return {key: each for key, each in found.items() if isinstance(each, float | str)}


def _parameters(params: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, attribute in _NUMBERS.items():
        value = params.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            whole = attribute in ("max_tokens", "seed", "top_k")
            found[f"gen_ai.request.{attribute}"] = int(value) if whole else float(value)
    if stop := next((params[name] for name in _STOPS if params.get(name)), None):
        found["gen_ai.request.stop_sequences"] = [str(each) for each in (stop if isinstance(stop, list) else [stop])]
    if params.get("stream"):
        found["gen_ai.request.stream"] = True
    if isinstance(params.get("n"), int) and params["n"] != 1:
        found["gen_ai.request.choice.count"] = params["n"]
    reasoning = params.get("reasoning")
    effort = reasoning.get("effort") if isinstance(reasoning, Mapping) else params.get("reasoning_effort")
    if isinstance(effort, str):
        found["gen_ai.request.reasoning.level"] = effort
    form = params.get("response_format")
    if isinstance(form, Mapping) and str(form.get("type")).startswith("json"):
        found["gen_ai.output.type"] = "json"
    return found


def _json(messages: list[dict[str, Any]]) -> str | None:
    """On spans, messages are a JSON text (backends that take structures are few)."""
    return json.dumps(messages, default=str, ensure_ascii=False) if messages else None


def _asked(run: Run) -> list[dict[str, Any]]:
    if run.prompt is None:
        return []
    turns = asked_of(run.prompt) or [run.prompt]
    return [_turn(each) if isinstance(each, dict) else _said("user", each) for each in turns]


def _answered(run: Run) -> list[dict[str, Any]]:
    texts = run.texts or ([run.response] if run.response is not None else [])
    found = [_said("assistant", text) for text in texts]
    if run.tool_calls:
        found = found or [{"role": "assistant", "parts": []}]
        found[0]["parts"] += [_called(each) for each in run.tool_calls]
    for each in found:
        each["finish_reason"] = run.finish_reason or "unknown"
    return found


def _said(role: str, text: Any) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": str(text)}]}


def _turn(message: Mapping[str, Any]) -> dict[str, Any]:
    """A turn, as any of the APIs that a run may have come by writes it."""
    role, content = message.get("role"), message.get("content", message.get("parts"))
    if role == "tool" and "tool_call_id" in message:
        return {"role": role, "parts": [_returned(message.get("tool_call_id"), content)]}
    role = "assistant" if role == "model" else str(role)
    parts = [_part(each) for each in content] if isinstance(content, list) else []
    calls = message.get("tool_calls")
    calls = calls if isinstance(calls, list) else []
    if isinstance(content, str):
        parts = [{"type": "text", "content": content}]
    return {"role": role, "parts": [*parts, *(_called(each) for each in calls)]}


def _part(part: Any) -> dict[str, Any]:
    """A text as such; of a picture its address where it has one, never its bytes."""
    if not isinstance(part, Mapping):
        return {"type": "text", "content": str(part)}
    if isinstance(part.get("text"), str):
        return {"type": "text", "content": part["text"]}
    if (tool := _tool(part)) is not None:
        return tool
    picture = part.get("image_url")
    address = picture.get("url") if isinstance(picture, Mapping) else picture
    if isinstance(address, str) and address.startswith("http"):
        return {"type": "uri", "modality": "image", "uri": address}
    return {"type": str(part.get("type") or next(iter(part), "unknown"))}


def _tool(part: Mapping[str, Any]) -> dict[str, Any] | None:
    """A call of a tool or what it gave back, as Anthropic, Bedrock or Google write it; else None."""
    if part.get("type") == "tool_use":
        return _call(part.get("id"), part.get("name"), part.get("input"))
    if part.get("type") == "tool_result":
        return _returned(part.get("tool_use_id"), part.get("content"))
    for name in ("toolUse", "functionCall"):
        if isinstance(use := part.get(name), Mapping):
            return _call(use.get("toolUseId", use.get("id")), use.get("name"), use.get("input", use.get("args")))
    for name in ("toolResult", "functionResponse"):
        if isinstance(use := part.get(name), Mapping):
            return _returned(use.get("toolUseId", use.get("id")), use.get("content", use.get("response")))
    return None


def _call(identity: Any, name: Any, arguments: Any) -> dict[str, Any]:
    return {"type": "tool_call", "id": identity, "name": name, "arguments": arguments}


def _returned(identity: Any, response: Any) -> dict[str, Any]:
    told = [_part(each) for each in response] if isinstance(response, list) else response
    return {"type": "tool_call_response", "id": identity, "response": told}


def _called(call: Any) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping):
        return {"type": "tool_call", "name": "unknown"}
    return _call(call.get("id"), function.get("name"), function.get("arguments"))
