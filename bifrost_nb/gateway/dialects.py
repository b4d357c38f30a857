"""What differs on the wire between gateway generations 1.3, 1.5 and 2.2: names, shapes, headers, ends of streams.

Field by field this follows the gateway's published source; `usage`, `finish_reason` and log probabilities are left out
where they are unknown, as the specification types them without null.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .parameters import Call

__all__ = ["DIALECTS", "Dialect", "DialectName", "Failure", "Route"]

DialectName = Literal["1.3", "1.5", "2.2"]


@dataclass(slots=True, kw_only=True)
class Route:
    """Who serves (or failed) one attempt, and who was asked first."""

    provider: str
    model: str
    upstream_model: str
    """What the provider calls the model; the same as `model` unless a key maps the name."""
    primary_provider: str
    primary_model: str
    fallback_index: int
    """0 for the primary, else the position in the fallbacks, from 1."""
    request_type: str
    request_id: str
    log_id: str
    """Id of the attempt's log row: the request's own for the primary, a new one for a fallback."""

    @property
    def key(self) -> str:
        """The name of the gateway's key for this provider; no secret."""
        return f"{self.provider}-demo-key"


@dataclass(slots=True, kw_only=True)
class Failure:
    """An error, before it has the shape of a dialect. `content` replaces the whole body (a scripted one)."""

    status: int
    message: str
    type: str | None = None
    code: str | None = None
    param: str | None = None
    is_bifrost_error: bool = False
    top_type: str | None = None
    """Governance puts the kind at the top level, providers inside ``error``."""
    headers: Mapping[str, str] | None = None
    content: bytes | None = None
    allow_fallbacks: bool = True


@dataclass(frozen=True, slots=True)
class Dialect:
    """One generation of the gateway."""

    name: DialectName
    version: str
    logprobs: str
    """Name of a choice's log probabilities."""
    created_on_text: bool
    identity_headers: bool
    nested_error_frames: bool
    heartbeat_s: float | None
    """Idle time in a stream after which a comment line is sent; None: never."""
    resolves_bare_models: bool
    cached_tokens: str
    """Name of the count of prompt tokens read from a cache."""

    # -- answers ----------------------------------------------------------------------------------------------------

    def answer(
        self, call: Call, route: Route, answer_id: str, choices: list[Any], usage: Any, extra: Any
    ) -> dict[str, Any]:
        """A whole answer."""
        body = self._envelope(call, route, answer_id, "text_completion" if call.kind == "text" else "chat.completion")
        return body | {"choices": choices, "usage": usage, "extra_fields": extra}

    def chunk(self, call: Call, route: Route, answer_id: str, choice: Any, extra: Any) -> dict[str, Any]:
        """One chunk of a stream, without usage."""
        kind = "text_completion" if call.kind == "text" else "chat.completion.chunk"
        return self._envelope(call, route, answer_id, kind) | {"choices": [choice], "extra_fields": extra}

    def _envelope(self, call: Call, route: Route, answer_id: str, kind: str) -> dict[str, Any]:
        # From 1.5 on the asked-for name replaces the provider's own.
        body: dict[str, Any] = {"id": answer_id, "object": kind}
        body["model"] = route.upstream_model if self.name == "1.3" else route.model
        if self.created_on_text or call.kind == "chat":
            body["created"] = int(time.time())
        if call.kind == "text":
            body["system_fingerprint"] = ""
        return body

    def extra_fields(self, route: Route, latency_ms: int, chunk_index: int = 0) -> dict[str, Any]:
        """The gateway's own fields. `latency_ms`: the total, or for a content chunk the time since the one before."""
        extra = self._identity(route) | {"latency": latency_ms, "chunk_index": chunk_index}
        if self.name != "1.3":
            extra["provider_response_headers"] = {"x-request-id": f"upstream-{route.request_id[:8]}"}
        return extra

    def _identity(self, route: Route) -> dict[str, Any]:
        extra: dict[str, Any] = {"request_type": route.request_type, "provider": route.provider}
        if self.name == "1.3":
            extra["model_requested"] = route.model
            if route.provider == "azure":
                extra["model_deployment"] = route.upstream_model
            return extra
        extra |= {"original_model_requested": route.model, "resolved_model_used": route.upstream_model}
        if self.name == "2.2":
            extra["routing_info"] = self._routing_info(route)
        return extra

    def _routing_info(self, route: Route) -> dict[str, Any]:
        info: dict[str, Any] = {
            "provider": route.provider,
            "model": route.model,
            "key": route.key,
            "is_fallback": False,
        }
        if route.upstream_model != route.model:
            info["resolved_key_alias"] = {"model_id": route.upstream_model}
        if route.fallback_index:
            info |= {
                "is_fallback": True,
                "primary_provider": route.primary_provider,
                "primary_model": route.primary_model,
            }
        return info

    def headers(self, route: Route, upstream_ms: float) -> dict[str, str]:
        """The identity headers of an answer, a stream or an error; none before 1.5."""
        if not self.identity_headers:
            return {}
        headers = {
            "x-bifrost-provider": route.provider,
            "x-bifrost-original-model": route.model,
            "x-bifrost-resolved-model": route.upstream_model,
            "x-bifrost-request-type": route.request_type,
        }
        if route.fallback_index:
            headers["x-bifrost-fallback-index"] = str(route.fallback_index)
        if self.name == "2.2":
            headers |= {"x-bifrost-request-id": route.request_id, "x-bifrost-upstream-latency-ms": f"{upstream_ms:.3f}"}
            info = self._routing_info(route)
            alias = info.pop("resolved_key_alias", None)
            if not info["is_fallback"]:
                del info["is_fallback"]
            headers |= {
                f"x-bifrost-routing-info-{name.replace('_', '-')}": "true" if value is True else value
                for name, value in info.items()
            }
            if alias:
                headers["x-bifrost-routing-info-alias-model-id"] = alias["model_id"]
        return headers

    # -- usage and cost ---------------------------------------------------------------------------------------------

    def usage(self, prompt: int, completion: int, *, cached: int = 0, reasoning: int | None = None) -> dict[str, Any]:
        """Token counts; ``completion_tokens`` is left out when it is 0, as Go does."""
        usage: dict[str, Any] = {"prompt_tokens": prompt}
        if completion:
            usage["completion_tokens"] = completion
        usage["total_tokens"] = prompt + completion
        if cached:
            usage["prompt_tokens_details"] = {self.cached_tokens: cached}
        if reasoning is not None:
            usage["completion_tokens_details"] = {"reasoning_tokens": reasoning}
        return usage

    def cost(self, shape: Literal["object", "number"], input_usd: float, output_usd: float) -> float | dict[str, Any]:
        """``usage.cost`` of a provider that reports it: a number, the flat object of 1.3, or the nested one of 2.x."""
        if shape == "number" and self.name != "1.3":
            return input_usd + output_usd
        if self.name == "2.2":
            return {
                "input_cost": input_usd,
                "input_cost_details": {"text_cost": input_usd},
                "output_cost": output_usd,
                "output_cost_details": {"text_cost": output_usd},
                "additional_cost": 0.0,
                "total_cost": input_usd + output_usd,
            }
        return {
            "input_tokens_cost": input_usd,
            "output_tokens_cost": output_usd,
            "request_cost": 0.0,
            "total_cost": input_usd + output_usd,
        }

    # -- errors -----------------------------------------------------------------------------------------------------

    def error(self, failure: Failure, route: Route | None) -> dict[str, Any]:
        """An error body."""
        details = {"type": failure.type, "code": failure.code, "message": failure.message, "param": failure.param}
        body: dict[str, Any] = {
            "is_bifrost_error": failure.is_bifrost_error,
            "status_code": failure.status,
            "error": {name: value for name, value in details.items() if value is not None},
        }
        if failure.top_type:
            body["type"] = failure.top_type
        if route is not None:
            body["extra_fields"] = self._identity(route)
        return body

    def error_frame(self, failure: Failure, route: Route) -> dict[str, Any]:
        """An error in the middle of a stream."""
        body = self.error(failure, route)
        return {"error": body} if self.nested_error_frames else body


DIALECTS: dict[str, Dialect] = {
    "1.3": Dialect(
        name="1.3", version="v1.3.12", logprobs="log_probs", created_on_text=False, identity_headers=False,
        nested_error_frames=True, heartbeat_s=None, resolves_bare_models=False, cached_tokens="cached_tokens",
    ),
    "1.5": Dialect(
        name="1.5", version="v1.5.16", logprobs="logprobs", created_on_text=False, identity_headers=True,
        nested_error_frames=False, heartbeat_s=None, resolves_bare_models=True, cached_tokens="cached_tokens",
    ),
    "2.2": Dialect(
        name="2.2", version="v2.2.5", logprobs="logprobs", created_on_text=True, identity_headers=True,
        nested_error_frames=False, heartbeat_s=1.0, resolves_bare_models=True, cached_tokens="cached_read_tokens",
    ),
}  # fmt: skip
