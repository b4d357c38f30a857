"""Counting a prompt's tokens: ``/v1/count_tokens`` up to 1.4.9, ``/v1/responses/input_tokens`` after.

Measured on gateways 1.4.0, 1.4.18, 1.5.1, 1.5.16 and 2.0.0-prerelease3 with OpenAI, Anthropic, Gemini and Azure, and
which route there is on 1.3.63, 1.4.9 and 1.4.10, too: the older route takes ``messages``, the newer one ``input``;
OpenAI's answer has no ``total_tokens``; Azure is refused by the gateway itself; up to 1.5.16 Gemini is not sent the
system message. That Cohere, Vertex and (from 1.5 on) Bedrock count and all others do not was read in the source.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import orjson

from ..content.answers import prompt_tokens
from ..dialects import Dialect, Failure
from ..faults import FaultRule
from ..http.connection import ServerConnection
from ..http.request import Refused, SimulatedCall, read_call
from .inference import Inference

__all__ = ["CountTokens", "count_path"]

_COUNTING = {"openai", "anthropic", "gemini", "cohere", "vertex"}
_OPERATION = "count_tokens"


def count_path(dialect: Dialect) -> str:
    """Where this generation counts, below ``/v1``."""
    return "count_tokens" if dialect.before(1, 4, 10) else "responses/input_tokens"


@dataclass(slots=True)
class CountTokens(Inference):
    """The ASGI endpoint that counts. `kind` is ``chat`` for the older route, ``responses`` for the newer one."""

    def _read(self, link: ServerConnection, content: bytes) -> SimulatedCall:
        try:
            body = orjson.loads(content)
        except orjson.JSONDecodeError:
            body = {}
        if isinstance(body, dict) and body.get("model"):
            if self.kind == "chat" and not body.get("messages"):
                raise Refused("messages is required for count tokens")
            if self.kind == "responses" and not body.get("input"):
                raise Refused("input is required for responses")
        return read_call(
            self.kind or "responses",
            self.route,
            content,
            link.record.headers,
            request_id=link.record.id,
            deployment=None,
            resolve=self.simulator.resolve,
            operation=_OPERATION,
        )

    async def _answer(self, link: ServerConnection, call: SimulatedCall) -> None:
        simulator, began, target = self.simulator, time.monotonic(), call.targets[0]
        call.stream = False
        route = simulator.route(call, 0)
        if route.provider not in simulator.providers:
            return await Inference._answer(self, link, call)  # which says what it makes of such a name
        link.record.attempts.append(target)
        record = link.record
        rule = simulator.script.find(record.path, record.headers, deployment=target, prompt=call.prompt, stream=False)
        rule = rule or FaultRule()
        failure = self._failure(call, route.provider, rule)
        if failure is not None:
            details = simulator.dialect.error(failure, route)
            simulator.log(call, route, rule=rule, began=began, status="error", error_details=details)
            return await self._send_error(link, failure, route)
        link.record.served = target
        simulator.log(call, route, rule=rule, began=began, status="success")
        chat = call.as_chat()
        if route.provider == "gemini" and not simulator.dialect.second:
            heard = [turn for turn in chat.messages if turn.get("role") not in ("system", "developer")]
            chat = replace(chat, messages=heard)
        count = prompt_tokens(chat)
        elapsed_ms = 1e3 * (time.monotonic() - began)
        body: dict[str, Any] = {
            "object": "response.input_tokens",
            "model": simulator.dialect.model_name(route),
            "input_tokens": count,
            "tokens": None,
            "total_tokens": None if route.provider == "openai" else count,
            "extra_fields": simulator.dialect.extra_fields(route, int(elapsed_ms)),
        }
        content = orjson.dumps(body)
        headers = {"content-type": "application/json", "content-length": str(len(content))}
        await link.start(200, headers | simulator.dialect.headers(route, elapsed_ms))
        return await link.write(content, last=True)

    def _failure(self, call: SimulatedCall, provider: str, rule: FaultRule) -> Failure | None:
        dialect = self.simulator.dialect
        if rule.refused:
            return dialect.refused()
        if rule.replaces_answer:
            return rule.failure()
        if provider not in _COUNTING and not (provider == "bedrock" and not dialect.old):
            message = f"{_OPERATION} is not supported by {provider} provider"
            return Failure(status=400, code="unsupported_operation", message=message, of_engine=True, asked=True)
        deployment = self.simulator.deployments.get(call.targets[0])
        if deployment is None or not deployment.answers("chat"):
            model = call.targets[0].partition("/")[2]
            message = f"The model `{model}` does not exist or you do not have access to it."
            return Failure(status=404, type="invalid_request_error", code="model_not_found", message=message)
        return None
