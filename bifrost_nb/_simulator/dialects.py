"""What differs on the wire between generations of the gateway: names, shapes, headers, ends of streams.

Six dialects are held against what one gateway process each answered (``tests/simulator/test_captures.py``;
``captures_kinds.py`` beside it lists what is otherwise on purpose, and why): 1.3 is 1.3.63, 1.4 is 1.4.0, 1.5 is
1.5.16, 2.0 is 2.0.0-prerelease3, and 1.4.18 and 1.5.1 are themselves, as they stand between two generations: 1.4.18 has
the names of 1.4 with the headers, the Azure route and the late log of 1.5, and 1.5.1 has no ``routing_info`` yet.
**2.2 was read, not measured**: no process of 2.2 was ever seen, it follows the published source, what was measured of
the gateway's engine alone (``tests/engine/MEASURED.md``) and, in its log, 2.0.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from .http.request import SimulatedCall

__all__ = ["DIALECTS", "Dialect", "DialectName", "Failure", "Route"]

DialectName = Literal["1.3", "1.4", "1.4.18", "1.5.1", "1.5", "2.0", "2.2"]


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
    stream: bool
    integration: bool
    """Asked for on the route of an SDK's format, not on the native one."""
    request_id: str
    log_id: str
    """Id of the attempt's log row: the request's own for the primary, a new one for a fallback."""

    @classmethod
    def of_list(cls, provider: str) -> Route:
        """A list of models, which asks no model."""
        request = str(uuid.uuid4())
        return cls(
            provider=provider, model="", upstream_model="", primary_provider=provider, primary_model="",
            fallback_index=0, request_type="list_models", stream=False, integration=False, request_id=request,
            log_id=request,
        )  # fmt: skip

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
    of_engine: bool = False
    """Found by the gateway's engine itself: no ``status_code``."""
    cause: str | None = None
    """What the engine ran into, in its own words: ``error.error``."""
    asked: bool = True
    """Whether a provider was asked; if not, ``routing_info`` is empty."""
    answered: bool = True
    """Whether that provider said anything."""
    latency_ms: int | None = None
    """Of the attempt, which errors of 2.0 tell."""
    top_type: str | None = None
    """Governance puts the kind at the top level, providers inside ``error``."""
    headers: Mapping[str, str] | None = None
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Dialect:
    """One generation of the gateway."""

    name: DialectName
    version: str
    numbers: tuple[int, int, int]
    """The version, to tell older from newer."""
    logprobs: str
    """Name of a choice's log probabilities."""
    created_on_text: bool
    nested_error_frames: bool
    heartbeat_s: float | None
    """Idle time in a stream after its first chunk after which a comment line is sent; None: never."""
    resolves_bare_models: bool
    log_interval_s: float
    """The log is written in batches: so long after the first row of one. 0: each row by itself, nearly at once."""
    buffers_streams: bool = False
    """A stream reaches the client as one piece, when it has ended."""

    def before(self, *numbers: int) -> bool:
        """Whether the gateway is older than a version: ``before(1, 5)``."""
        return self.numbers < numbers

    @property
    def old(self) -> bool:
        """A generation before 1.5."""
        return self.before(1, 5)

    @property
    def second(self) -> bool:
        """A generation from 2.0 on."""
        return not self.before(2)

    @property
    def routing_info(self) -> dict[str, Any]:
        """``routing_info`` of whoever was not routed: empty where a gateway has the field."""
        return {} if self.before(1, 5, 16) else {"routing_info": {}}

    # -- answers ----------------------------------------------------------------------------------------------------

    def answer(
        self, call: SimulatedCall, route: Route, answer_id: str, choices: list[Any], usage: Any, extra: Any
    ) -> dict[str, Any]:
        """A whole answer."""
        kind = "text_completion" if call.kind == "text" else "chat.completion"
        if self.old and call.kind == "chat" and route.provider == "anthropic":
            kind = ""  # measured: this generation leaves it empty
        body = self._envelope(call, route, answer_id, kind)
        if self.before(1, 4, 18) and route.provider == "gemini":  # measured: why its answer ended is not known here
            choices = [{name: value for name, value in choice.items() if name != "finish_reason"} for choice in choices]
        return body | {"choices": choices, "usage": usage, "extra_fields": extra}

    def chunk(self, call: SimulatedCall, route: Route, answer_id: str, choice: Any, extra: Any) -> dict[str, Any]:
        """One chunk of a stream. Real ones carry ``usage: null``, which the specification does not allow: left out."""
        kind = "text_completion" if call.kind == "text" else "chat.completion.chunk"
        return self._envelope(call, route, answer_id, kind) | {"choices": [choice], "extra_fields": extra}

    def last_chunk(self, route: Route, chunk: dict[str, Any], usage: Any) -> dict[str, Any]:
        """The chunk that the gateway itself adds: it knows less than the ones before it."""
        if route.provider == "gemini":  # its last chunk is the provider's own
            return chunk | {"usage": usage}
        known = {"system_fingerprint": "", "usage": usage}
        nameless = self.before(1, 5, 16) and chunk["object"] == "text_completion"  # measured of 1.5.1, too
        if not self.old and not nameless:
            return chunk | known | {"model": "" if route.provider == "cohere" else self.model_name(route)}
        return chunk | known | {"model": ""} | ({"created": 0} if "created" in chunk else {})

    def opening(self, route: Route) -> dict[str, Any] | None:
        """The delta that opens a streamed chat, before any text; None where there is none."""
        if route.provider == "cohere" or (route.provider == "anthropic" and not self.before(1, 5, 16)):
            return {"role": "assistant"}
        if route.provider in ("anthropic", "gemini"):
            return None
        return {"role": "assistant", "content": ""} if self.old else None

    def _envelope(self, call: SimulatedCall, route: Route, answer_id: str, kind: str) -> dict[str, Any]:
        body: dict[str, Any] = {"id": answer_id, "object": kind}
        body["model"] = self.model_name(route)
        if self.created_on_text or call.kind == "chat":
            body["created"] = int(time.time())
        if route.provider not in ("anthropic", "cohere", "gemini"):
            return body | {"system_fingerprint": "fp_simulated"}
        body["system_fingerprint"] = ""
        # Measured: the chunks of these providers do not know their time, nor, but for Gemini's, their model.
        if route.provider == "gemini":
            return body | {"created": 0} if route.stream or self.old else body
        return body | {"model": "", "created": 0} if route.stream else body

    def model_name(self, route: Route) -> str:
        """An answer's own `model`: what the provider said. The engine of 2.2 puts the asked-for name in its place."""
        return route.model if self.name == "2.2" else route.upstream_model

    def extra_fields(self, route: Route, latency_ms: Any, chunk_index: Any = 0) -> dict[str, Any]:
        """The gateway's own fields. `latency_ms`: the total, or for a content chunk the time since the one before."""
        extra = self._identity(route) | {"latency": latency_ms, "chunk_index": chunk_index}
        if self.old and route.provider == "azure":
            extra["model_deployment"] = route.upstream_model
        if self.second and not route.stream:
            extra["upstream_latency"] = latency_ms
        if not self.before(1, 4, 18) and not route.stream and (headers := _provider_headers(route)):
            extra["provider_response_headers"] = {name.title(): value for name, value in headers.items()}
        return extra

    def _identity(self, route: Route) -> dict[str, Any]:
        extra: dict[str, Any] = {"request_type": route.request_type}
        if route.provider:
            extra["provider"] = route.provider
        if not route.model and (not self.old or route.request_type == "list_models"):
            return extra
        if self.old:
            return extra | {"model_requested": route.model}
        told = self._tells_fallback(route)
        # Measured: a whole answer knows the gateway's name of an alias only, a stream the provider's.
        upstream = self.name == "2.2" or route.stream
        return (
            extra
            | {
                "original_model_requested": route.primary_model if told else route.model,
                "resolved_model_used": route.upstream_model if upstream else route.model,
            }
            | ({} if self.before(1, 5, 16) else {"routing_info": self._routing_info(route, told=told)})
        )

    def _tells_fallback(self, route: Route) -> bool:
        """Whether a body says that, and for whom, a fallback stepped in: a whole answer, measured in 2.0 a chunk too.

        1.5.1 was measured not to say it, and the engine of 2.2 not in a stream; whether its gateway does is not known.
        """
        told = not self.before(1, 5, 16) and (not route.stream or self.name == "2.0")
        return route.fallback_index > 0 and told

    def _routing_info(self, route: Route, *, told: bool) -> dict[str, Any]:
        info: dict[str, Any] = {"provider": route.provider, "model": route.model, "key": route.key}
        if route.upstream_model != route.model:
            info["resolved_key_alias"] = {"model_id": route.upstream_model}
        if told:
            info["is_fallback"] = True
            info |= {"primary_provider": route.primary_provider, "primary_model": route.primary_model}
        return info

    def headers(self, route: Route, upstream_ms: float, failure: Failure | None = None) -> dict[str, str]:
        """The identity headers of an answer, a stream or an error, and those that a provider's answer had.

        Measured: the provider's own from 1.4.18 on; the others from 1.5 on, there only on whole answers of the
        integration routes, and from 2.0 on everywhere.
        """
        if self.before(1, 4, 18):
            return self._old_stream_headers(route) if failure is not None and route.stream else {}
        asked = failure is None or failure.asked
        headers = _provider_headers(route) if failure is None or (asked and failure.answered) else {}
        if self.old or (not self.second and (failure is not None or route.stream or not route.integration)):
            return headers
        if self.second:
            headers = {"x-request-id": route.request_id, "x-bifrost-trace-id": uuid.uuid4().hex} | headers
        if self.name == "2.2":
            headers["x-bifrost-request-id"] = route.request_id
        if route.provider:
            headers["x-bifrost-provider"] = route.provider
        told = route.fallback_index > 0
        if route.model:
            headers["x-bifrost-original-model"] = route.primary_model if told else route.model
            headers["x-bifrost-resolved-model"] = route.upstream_model if self.name == "2.2" else route.model
        headers["x-bifrost-request-type"] = route.request_type
        if told:
            headers["x-bifrost-fallback-index"] = str(route.fallback_index)
        if self.second and asked:
            info = self._routing_info(route, told=told)
            if alias := info.pop("resolved_key_alias", None):
                info["alias_model_id"] = alias["model_id"]
            for name, value in info.items():
                headers[f"x-bifrost-routing-info-{name.replace('_', '-')}"] = "true" if value is True else value
        if self.second and (failure is None or (route.integration and route.model)):
            headers["x-bifrost-upstream-latency-ms"] = f"{upstream_ms if asked else 0:.3f}"
        return headers

    def stream_headers(self, route: Route) -> dict[str, str]:
        """What a stream lets web pages of other origins read: measured in 1.3 always, later on integration routes."""
        return {"access-control-allow-origin": "*"} if route.integration or self.name == "1.3" else {}

    def _old_stream_headers(self, route: Route) -> dict[str, str]:
        """Measured: an error that comes instead of a stream has the stream's headers already."""
        return {"cache-control": "no-cache", "connection": "keep-alive"} | self.stream_headers(route)

    def refused_headers(self, request_id: str) -> dict[str, str]:
        """Headers of a request that is refused before anybody is to be asked."""
        return {"x-request-id": request_id, "x-bifrost-trace-id": uuid.uuid4().hex} if self.second else {}

    # -- usage and cost ---------------------------------------------------------------------------------------------

    def usage(self, prompt: int, completion: int, *, cached: int = 0, reasoning: int | None = None) -> dict[str, Any]:
        """Token counts; one that is 0 is left out, as Go does, but for the total."""
        usage: dict[str, Any] = {"prompt_tokens": prompt} if prompt else {}
        if completion:
            usage["completion_tokens"] = completion
        usage["total_tokens"] = prompt + completion
        if cached:
            names = ("cached_tokens",) if self.before(1, 4, 18) else ("cached_read_tokens", "cached_tokens")
            usage["prompt_tokens_details"] = dict.fromkeys(names, cached)
        if reasoning is not None:
            usage["completion_tokens_details"] = {"reasoning_tokens": reasoning}
        return usage

    def cost(self, shape: Literal["object", "number"], input_usd: float, output_usd: float) -> float | dict[str, Any]:
        """``usage.cost`` of a provider that reports it: a number, the flat object of 1.3, or the nested one of 2.x."""
        if shape == "number" and not self.old:
            return input_usd + output_usd
        if self.second:
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
        if route is not None and route.provider == "anthropic":  # its errors have nothing else
            details |= {"code": None, "param": None}
        body: dict[str, Any] = {"is_bifrost_error": failure.is_bifrost_error}
        if failure.cause:
            details["error"] = failure.cause
        if not failure.of_engine:
            body["status_code"] = failure.status
        body["error"] = {name: value for name, value in details.items() if value is not None}
        if failure.top_type:
            body["type"] = failure.top_type
        if route is not None:
            body["extra_fields"] = self._identity(route)
            if not failure.asked:
                body["extra_fields"] |= self.routing_info
            if self.second and failure.latency_ms is not None:
                body["extra_fields"]["latency"] = failure.latency_ms
        elif self.before(1, 4, 18):  # measured: empty, and all the same there
            body["extra_fields"] = {"provider": "", "model_requested": "", "request_type": ""}
        else:
            body["extra_fields"] = self.routing_info
        return body

    def error_frame(self, failure: Failure, route: Route) -> dict[str, Any]:
        """An error in the middle of a stream."""
        body = self.error(failure, route)
        if self.nested_error_frames:
            return {"error": body}
        body.pop("status_code", None)  # measured: it is known for whole answers only
        return body

    def first_frame(self, failure: Failure) -> Failure:
        """An error that is the first frame of a stream, as the ordinary error that it becomes from 1.4.18 on.

        Measured: its status is not known, so it is that of a request that was wrong.
        """
        return replace(failure, status=400, of_engine=True)

    def cut(self) -> Failure | None:
        """The error of a provider that breaks off a stream, measured of 2.0; None: nobody notices.

        The engine of 2.2 alone was measured not to notice either.
        """
        if self.name != "2.0":
            return None
        message = "provider closed the stream before sending a completion marker (upstream connection ended mid-stream)"
        return Failure(status=502, message=message, type="provider_connection_failed", cause="unexpected EOF")

    def refused(self) -> Failure:
        """The error of a provider at whose address nobody listens."""
        message = "network error occurred while connecting to provider API (DNS lookup, connection refused, etc.)"
        if self.name == "1.3":
            message = "failed to execute HTTP request to provider API"
        cause = "dial tcp 127.0.0.1:9: connect: connection refused"
        if self.before(1, 4, 18):
            cause = f"error when dialing 127.0.0.1:9: {cause}"
        if self.before(1, 5, 16):
            return Failure(status=400, message=message, of_engine=True, cause=cause, answered=False)
        kind = "provider_connection_failed"
        return Failure(status=502, message=message, type=kind, cause=cause, answered=False)

    def gave_up(self, *, stream: bool) -> Failure:
        """The error of a provider that goes silent, after the time that the gateway is configured to wait."""
        if not stream:
            message = (
                "request timed out (default is 30 seconds). You can increase it by setting the "
                "default_request_timeout_in_seconds in the network_config or in UI - Providers > Provider Name > "
                "Network Config."
            )
            if self.old:
                return Failure(
                    status=500, message=message, is_bifrost_error=True, of_engine=True, cause="timeout", answered=False
                )
            return Failure(
                status=504, message=message, type="request_timed_out", is_bifrost_error=True, cause="timeout",
                answered=False,
            )  # fmt: skip
        cause = "i/o timeout" if self.old else "stream idle timeout: no data received within configured window"
        message = f"Error reading stream: {cause}"
        return Failure(status=500, message=message, is_bifrost_error=True, of_engine=True, cause=cause)


def _provider_headers(route: Route) -> dict[str, str]:
    """What a provider's own answer has for headers; the simulated Gemini and Cohere have none."""
    if route.provider in ("gemini", "cohere"):
        return {}
    return {"x-request-id": f"upstream-{route.request_id[:8]}", "x-ratelimit-remaining-requests": "41"}


DIALECTS: dict[str, Dialect] = {
    "1.3": Dialect(
        name="1.3", version="v1.3.63", numbers=(1, 3, 63), logprobs="log_probs", created_on_text=False,
        nested_error_frames=True, heartbeat_s=None, resolves_bare_models=False, log_interval_s=0,
    ),
    "1.4": Dialect(
        name="1.4", version="v1.4.0", numbers=(1, 4, 0), logprobs="log_probs", created_on_text=False,
        nested_error_frames=False, heartbeat_s=None, resolves_bare_models=False, log_interval_s=0, buffers_streams=True,
    ),
    "1.4.18": Dialect(
        name="1.4.18", version="v1.4.18", numbers=(1, 4, 18), logprobs="logprobs", created_on_text=False,
        nested_error_frames=False, heartbeat_s=None, resolves_bare_models=False, log_interval_s=2,
    ),
    "1.5.1": Dialect(
        name="1.5.1", version="v1.5.1", numbers=(1, 5, 1), logprobs="logprobs", created_on_text=False,
        nested_error_frames=False, heartbeat_s=None, resolves_bare_models=True, log_interval_s=2,
    ),
    "1.5": Dialect(
        name="1.5", version="v1.5.16", numbers=(1, 5, 16), logprobs="logprobs", created_on_text=False,
        nested_error_frames=False, heartbeat_s=None, resolves_bare_models=True, log_interval_s=5,
    ),
    "2.0": Dialect(
        name="2.0", version="v2.0.0-prerelease3", numbers=(2, 0, 0), logprobs="logprobs", created_on_text=True,
        nested_error_frames=False, heartbeat_s=1.0, resolves_bare_models=True, log_interval_s=5,
    ),
    "2.2": Dialect(
        name="2.2", version="v2.2.5", numbers=(2, 2, 5), logprobs="logprobs", created_on_text=True,
        nested_error_frames=False, heartbeat_s=1.0, resolves_bare_models=True, log_interval_s=0,
    ),
}  # fmt: skip
