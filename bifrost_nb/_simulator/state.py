"""The state behind all routes of the embedded gateway, and what one deployment does with one call.

In one file, as whether, when and for how much a deployment answers all depend on that state.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter, deque
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import unquote

import orjson

from .batches import BatchStore
from .content.answers import SimulatedAnswer, compose, prompt_tokens, seeded
from .content.embeddings import refused_embedding
from .content.media import MEDIA, make, media_usd, refused_media
from .deployments import SimulatedDeployment
from .dialects import Dialect, Failure, Route
from .faults import FaultRule, Script
from .governance import Governance, Protection
from .http.delivery import ProviderAttempt
from .http.request import Refused, SimulatedCall, out_of_bounds
from .log_writer import row_of
from .mcp_tools import ToolBox
from .prompt_repository import PromptRepository
from .records import LogStore, RequestRecorder

__all__ = ["Simulator"]


@dataclass(slots=True)
class Simulator:
    """The state behind all routes."""

    deployments: dict[str, SimulatedDeployment]
    dialect: Dialect
    seed: int = 0
    speed: float = 1.0
    """Divides every simulated time; scripted times stay."""
    recorder: RequestRecorder = field(default_factory=lambda: RequestRecorder(enabled=False))
    script: Script = field(default_factory=Script)
    logs: LogStore = field(default_factory=LogStore)
    conversations: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """The messages up to and with each stored answer of the Responses API, by its id."""
    prompts: PromptRepository = field(default_factory=PromptRepository)
    batches: BatchStore = field(default_factory=BatchStore)
    spoken: dict[bytes, str] = field(default_factory=dict)
    """The text of each sound that was made here, by its hash, so that it can be written down again."""
    protection: Protection = field(default_factory=Protection)
    governance: Governance = field(init=False)
    tools: ToolBox = field(init=False)
    _seen: Counter[Any] = field(default_factory=Counter)
    _recent: dict[str, deque[float]] = field(default_factory=dict)
    _prefixes: dict[int, None] = field(default_factory=dict)
    _cache: dict[Any, SimulatedAnswer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.governance = Governance(self.dialect, self.protection)
        self.tools = ToolBox(self.dialect)

    def reset(self) -> None:
        """Forget requests, rules, log, caches and counts: the same requests get the same answers again."""
        self.recorder.records.clear()
        self.script.replace([])
        self.logs.rows.clear()
        self.prompts.clear()
        self.batches.clear()
        self.tools.rows.clear()
        self.governance.asked.clear()
        for state in (self._seen, self._recent, self._prefixes, self._cache, self.conversations, self.spoken):
            state.clear()

    def clear_cache(self, key: str) -> None:
        """Forget the answers that were cached under ``x-bf-cache-key: key``."""
        for each in [each for each in self._cache if each[0] == key]:
            del self._cache[each]

    def resolve(self, model: str) -> str:
        """``provider/model`` of a bare model name, from 1.5 on by the catalogue; ``/model`` where it is not known.

        Raises Refused before 1.5.
        """
        if not self.dialect.resolves_bare_models:
            raise Refused("model should be in provider/model format")
        for name, item in self.deployments.items():
            if item.model == model:
                return name
        return f"/{model}"

    def deployment(self, target: str) -> SimulatedDeployment | None:
        """The deployment of ``provider/model``. Measured: an escaped name that 1.5.1 hands on as it came is found."""
        found = self.deployments.get(target)
        if found is None and self.dialect.name == "1.5.1" and target.startswith("azure/"):
            return self.deployments.get(unquote(target))
        return found

    @property
    def providers(self) -> list[str]:
        """The configured providers."""
        return list(dict.fromkeys(deployment.provider for deployment in self.deployments.values()))

    def route(self, call: SimulatedCall, place: int) -> Route:
        """The facts of the attempt at target `place`."""
        provider, _, model = call.targets[place].partition("/")
        primary, _, primary_model = call.targets[0].partition("/")
        deployment = self.deployment(call.targets[place])
        return Route(
            provider=provider,
            model=model,
            upstream_model=(deployment and (deployment.upstream_model or deployment.model)) or model,
            primary_provider=primary,
            primary_model=primary_model,
            fallback_index=place,
            request_type=call.request_type,
            stream=call.stream,
            integration=call.route != "v1",
            request_id=call.request_id,
            log_id=call.request_id if place == 0 else str(uuid.uuid4()),
        )

    # -- one attempt ------------------------------------------------------------------------------------------------

    def attempt(self, call: SimulatedCall, route: Route, rule: FaultRule, began: float) -> ProviderAttempt | Failure:
        """What the deployment does with the call, decided at once; the caller lets the time pass."""
        name = f"{route.provider}/{route.model}"
        deployment = self.deployment(name)
        if rule.refused:
            return self.dialect.refused()
        if rule.replaces_answer:
            return rule.failure()
        if rule.provider_timeout_ms is not None and not (call.stream and self.dialect.before(1, 4, 18)):
            return self.dialect.gave_up(stream=call.stream)
        if self.dialect.name == "1.5.1" and call.route == "genai" and route.provider != "gemini":
            # Measured: that provider gets Google's JSON unread, and does not know what to do with it.
            return Failure(status=500, message="provider API error: Internal Server Error", answered=False)
        if deployment is None:
            return _unknown_deployment(route, self.dialect)
        if failure := self._rejection(call, deployment):
            return failure
        occasion = (name, call.request_type.removesuffix("_stream"), call.prompt, call.body.get("seed"))
        self._seen[occasion] += 1
        occurrence = self._seen[occasion]
        random = seeded(self.seed, "time", occasion, occurrence)
        if random.random() < deployment.error_rate:
            return Failure(
                status=500, type="server_error", code="InternalServerError",
                message="The server had an error while processing your request. Sorry about that!",
            )  # fmt: skip
        answer, cache = self._answer(call, deployment, rule, occurrence)
        hit = bool(cache and cache.get("cache_hit"))
        usage = self._usage(call, deployment, rule, answer)
        priced = media_usd(answer) if call.kind in MEDIA else _priced(deployment, usage)
        if rule.cost is not None:
            usage["cost"] = rule.cost
        elif deployment.reports_cost and priced and not hit:
            usage["cost"] = self.dialect.cost(deployment.reports_cost, *priced)
        first_s = _log_normal(random, deployment.spread) * deployment.ttft_ms / 1e3 / self.speed
        return ProviderAttempt(
            route=route,
            deployment=deployment,
            rule=rule,
            answer=answer,
            usage=usage,
            cost_usd=_log_cost(rule, priced, hit=hit),
            cache=cache,
            began=began,
            first_s=first_s * 0.03 if hit else first_s,
            token_s=_log_normal(random, deployment.spread / 2) / deployment.tokens_per_s / self.speed,
            random=random,
        )

    def partial_cost(self, attempt: ProviderAttempt, usage: dict[str, Any]) -> float | None:
        """What the log says about a stream that the client left: from 1.5 on the tokens sent are billed."""
        priced = _priced(attempt.deployment, usage)
        return None if self.dialect.old or priced is None else sum(priced)

    def remember(self, response_id: str, messages: list[dict[str, Any]]) -> None:
        """Keep a conversation, so that a later request can go on from it."""
        self.conversations[response_id] = [each for each in messages if each["role"] != "system"]
        if len(self.conversations) > 1_000:
            del self.conversations[next(iter(self.conversations))]

    def _rejection(self, call: SimulatedCall, deployment: SimulatedDeployment) -> Failure | None:
        if call.kind in MEDIA and (refused := refused_media(call, deployment)):
            return refused
        if not deployment.answers(call.kind) and not self._converts(call):
            return _unsupported(call, deployment)
        if call.kind == "embedding" and (refused := refused_embedding(call, deployment)):
            return refused
        previous = call.body.get("previous_response_id") if call.kind == "responses" else None
        if previous and previous not in self.conversations:
            return Failure(
                status=400, type="invalid_request_error", code="previous_response_not_found",
                param="previous_response_id", message=f"Previous response with id '{previous}' not found.",
            )  # fmt: skip
        call = call.as_chat()
        if wrong := out_of_bounds(call):
            return Failure(status=400, type="invalid_request_error", param=wrong[0], message=wrong[1])
        asked = prompt_tokens(call)
        wanted_tokens = asked + (call.max_tokens or 0)
        if wanted_tokens > deployment.context_tokens:
            return Failure(
                status=400, type="invalid_request_error", code="context_length_exceeded", param="messages",
                message=f"This model's maximum context length is {deployment.context_tokens} tokens; "
                f"{wanted_tokens} were requested ({asked} in the prompt).",
            )  # fmt: skip
        return self._over_rate(deployment)

    def _converts(self, call: SimulatedCall) -> bool:
        """Whether the gateway was asked to turn a text completion into a chat, from 1.5 on."""
        compat = call.headers.get("x-bf-compat", "")
        wanted = compat == "true" or "convert_text_to_chat" in compat
        if wanted and call.kind == "text" and not self.dialect.old:
            call.body["n"] = 1  # only the first choice is mapped back
            return True
        return False

    def _over_rate(self, deployment: SimulatedDeployment) -> Failure | None:
        if deployment.requests_per_s is None:
            return None
        now = time.monotonic()
        recent = self._recent.setdefault(deployment.id, deque())
        while recent and recent[0] <= now - 1:
            recent.popleft()
        if len(recent) < deployment.requests_per_s:
            recent.append(now)
            return None
        return Failure(
            status=429, type="rate_limit_error", code="429",
            message=f"Requests to {deployment.model} have exceeded the call rate limit. Please retry after 1 second.",
            headers={"retry-after": "1", "x-ratelimit-remaining-requests": "0"},
        )  # fmt: skip

    def _answer(
        self, call: SimulatedCall, deployment: SimulatedDeployment, rule: FaultRule, occurrence: int
    ) -> tuple[SimulatedAnswer, dict[str, Any] | None]:
        """The answer and ``cache_debug``: with ``x-bf-cache-key`` an equal request is answered from the cache."""
        chat = call.as_chat()
        if rule.cache is not None:
            return self._composed(chat, deployment, rule, occurrence), rule.cache
        cache_key = call.headers.get("x-bf-cache-key")
        if not cache_key:
            return self._composed(chat, deployment, rule, occurrence), None
        asked = {name: value for name, value in call.body.items() if name != "fallbacks"}
        if call.kind == "embedding":  # its body may be that of a call of the Responses API
            asked["kind"] = call.kind
        key = (cache_key, deployment.id, orjson.dumps(asked, option=orjson.OPT_SORT_KEYS))
        facts = {
            "cache_id": str(uuid.UUID(int=seeded(key).getrandbits(128))),
            "requested_provider": deployment.provider,
            "requested_model": deployment.model,
        }
        if key in self._cache:
            hit = {
                "cache_hit": True,
                "hit_type": "direct",
                "provider_used": deployment.provider,
                "model_used": deployment.model,
            }
            return self._cache[key], facts | hit
        answer = self._composed(chat, deployment, rule, occurrence)
        if call.headers.get("x-bf-cache-no-store") != "true" and len(self._cache) < 10_000:
            self._cache[key] = answer
        return answer, facts | {"cache_hit": False}

    def _composed(
        self, call: SimulatedCall, deployment: SimulatedDeployment, rule: FaultRule, occurrence: int
    ) -> SimulatedAnswer:
        if call.kind in MEDIA:
            return make(call, deployment, rule, seeded(self.seed, deployment.id, call.prompt, occurrence), self.spoken)
        return compose(call, deployment, rule, self.seed, occurrence)

    def _usage(
        self, call: SimulatedCall, deployment: SimulatedDeployment, rule: FaultRule, answer: SimulatedAnswer
    ) -> dict[str, Any]:
        if rule.usage is not None:
            return {"prompt_tokens": 0, "total_tokens": 0} | rule.usage
        cached = 0
        if deployment.cached_input_usd is not None and answer.prompt_tokens >= 1_024:
            # As the real ones: prompts from 1,024 tokens on, in steps of 128, when the beginning was seen before.
            prefix = hash((deployment.id, call.prompt[:4_000]))
            cached = answer.prompt_tokens // 128 * 128 if prefix in self._prefixes else 0
            self._prefixes[prefix] = None
        return self.dialect.usage(
            answer.prompt_tokens, answer.completion_tokens, cached=cached, reasoning=answer.reasoning_tokens
        )

    def log(
        self, call: SimulatedCall, route: Route, *, rule: FaultRule, began: float, status: str, **facts: Any
    ) -> None:
        """Write a row of the gateway's log, a little later. `began`: monotonic seconds."""
        if rule.log:
            self.logs.add(row_of(self, call, route, rule=rule, began=began, status=status, **facts))


def _log_normal(random: Random, sigma: float) -> float:
    """A factor around 1: its median."""
    return random.lognormvariate(0, sigma)


def _priced(deployment: SimulatedDeployment, usage: dict[str, Any]) -> tuple[float, float] | None:
    details = usage.get("prompt_tokens_details") or {}
    cached = details.get("cached_tokens") or details.get("cached_read_tokens") or 0
    return deployment.cost(usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0, cached)


def _log_cost(rule: FaultRule, priced: tuple[float, float] | None, *, hit: bool) -> float | None:
    if rule.log_cost is not None:
        return rule.log_cost
    if isinstance(rule.cost, int | float):
        return float(rule.cost)
    if hit:
        return 0.0
    return None if priced is None else sum(priced)


def _unknown_deployment(route: Route, dialect: Dialect) -> Failure:
    if route.provider == "azure" and dialect.old:
        message = f"no keys found that support model/deployment: {route.model}"
        return Failure(status=400, message=message, of_engine=True, cause=message, answered=False)
    if route.provider == "azure":
        return Failure(
            status=404,
            code="DeploymentNotFound",
            message="The API deployment for this resource does not exist. If you created the deployment within the "
            "last 5 minutes, please wait a moment and try again.",
        )
    return Failure(
        status=404,
        type="invalid_request_error",
        code="model_not_found",
        message=f"The model '{route.model}' does not exist or you do not have access to it.",
    )


def _unsupported(call: SimulatedCall, deployment: SimulatedDeployment) -> Failure:
    """A text completion of a chat model or the reverse, in the words of the provider."""
    text = call.kind == "text"
    if deployment.provider == "azure":
        operation = {"text": "completion", "embedding": "embeddings"}.get(call.kind, "chatCompletion")
        message = f"The {operation} operation does not work with the specified model, {deployment.model}. "
        message += "Please choose different model and try again."
        return Failure(status=400, code="OperationNotSupported", message=message)
    if deployment.provider == "openai" and call.kind == "embedding":
        message = "You are not allowed to generate embeddings from this model"
        return Failure(status=403, type="invalid_request_error", message=message)
    if deployment.provider == "openai":
        asked, other = ("v1/completions", "v1/chat/completions") if text else ("v1/chat/completions", "v1/completions")
        message = (
            f"This is {'a' if text else 'not a'} chat model and {'thus ' if not text else ''}not supported in the "
        )
        message += f"{asked} endpoint. Did you mean to use {other}?"
        return Failure(status=404, type="invalid_request_error", param="model", message=message)
    message = f"{call.request_type} is not supported by {deployment.provider} provider"
    return Failure(status=400, type="invalid_request_error", code="unsupported_operation", message=message)
