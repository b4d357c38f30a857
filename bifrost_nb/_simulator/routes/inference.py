"""The inference routes: one call, its attempts at the primary and the fallbacks, and the answer or the error."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import orjson
from starlette.types import Receive, Scope, Send

from ..deployments import Kind
from ..dialects import Failure, Route
from ..faults import FaultRule
from ..http.connection import BodyTooLarge, ClientGone, Dropped, ServerConnection
from ..http.delivery import Delivery, ProviderAttempt
from ..http.embedding_delivery import EmbeddingDelivery
from ..http.form import form_as_json
from ..http.framing import STREAM_HEADERS, sse
from ..http.media_delivery import MediaDelivery
from ..http.request import PROVIDERS, UNRESOLVED, Malformed, Refused, SimulatedCall, azure_target, read_call
from ..http.responses_delivery import ResponsesDelivery
from ..providers import ForeignDelivery, ProviderFormat
from ..state import Simulator

__all__ = ["OPERATIONS", "Inference"]

OPERATIONS: dict[str, Kind] = {
    "completions": "text",
    "chat/completions": "chat",
    "responses": "responses",
    "embeddings": "embedding",
    "images/generations": "image",
    "audio/speech": "speech",
    "audio/transcriptions": "transcription",
}
"""What is asked for, by how a route's path ends; an Azure path has it behind the deployment."""
CANCELLED = Failure(status=499, type="request_cancelled", message="Request cancelled: client disconnected")
"""What the log says of a call that was left before its end."""
_DELIVERIES: dict[Kind, type[Delivery]] = {
    "responses": ResponsesDelivery,
    "embedding": EmbeddingDelivery,
    "image": MediaDelivery,
    "speech": MediaDelivery,
    "transcription": MediaDelivery,
}


@dataclass(slots=True)
class Inference:
    """The ASGI endpoint of one inference route. `kind` None: the path names deployment and operation, as Azure does.
    `format`: the words of another SDK, in which the route is spoken."""

    simulator: Simulator
    kind: Kind | None
    route: str
    format: ProviderFormat | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        link = ServerConnection(scope, receive, send)
        self.simulator.recorder.add(link.record)
        try:
            await self._serve(link)
        except (ClientGone, Dropped):
            pass
        finally:
            link.close()

    async def _serve(self, link: ServerConnection) -> None:
        try:
            content = await link.body()
            link.record.body = _readable(content)
            link.watch()
            call = self._read(link, content) if self.format is None else self._read_foreign(link, content, self.format)
        except BodyTooLarge:
            return await self._send_error(link, Failure(status=413, message="Request body too large"), None)
        except Malformed as malformed:
            return await self._send_error(link, self._malformed(malformed.message), None)
        except Refused as refused:
            if refused.status == 405:
                return await self._send_plain(link, 405, refused.message, {"allow": "GET, OPTIONS"})
            return await self._send_error(link, Failure(status=refused.status, message=refused.message), None)
        if call.targets[0] == "openai/" and call.route == "openai":
            if not self.simulator.dialect.before(1, 5, 16):
                nowhere = self.simulator.route(replace(call, targets=["/"]), 0)
                return await self._send_error(link, *self._unresolved(nowhere))
            return await self._no_model(link, call)
        link.record.deployment = call.targets[0]
        self.simulator.prompts.apply(call)
        if failure := self.simulator.governance.refusal(call.headers):
            return await self._send_error(link, failure, self.simulator.route(call, 0))
        return await self._answer(link, call)

    def _read(self, link: ServerConnection, content: bytes) -> SimulatedCall:
        record, kind, deployment = link.record, self.kind, None
        if kind is None:
            old = self.simulator.dialect.before(1, 4, 18)
            rest = record.raw_path.partition("?")[0].partition("/deployments/")[2]
            deployment, operation = azure_target(rest, several_segments=not old)
            kind = OPERATIONS.get(operation)
            if kind is None:
                raise Refused("Method Not Allowed", 405)
            if kind == "text" and old:
                deployment = None  # measured: these generations take the body's model, of openai where it is bare
        if kind == "transcription":
            reads = not self.simulator.dialect.before(1, 5, 16)
            content = form_as_json(record.headers.get("content-type", ""), content, reads_fallback=reads)
        call = read_call(
            kind,
            self.route,
            content,
            record.headers,
            request_id=record.id,
            deployment=deployment,
            resolve=self.simulator.resolve,
        )
        if kind == "chat" and self.simulator.dialect.old:
            call.body.pop("n", None)  # measured: this generation does not know it in a chat
        if kind == "chat" and self.route == "openai" and not self.simulator.dialect.second:
            call.body.pop("max_tokens", None)  # measured up to 1.5.16: only max_completion_tokens counts on this route
        if kind == "responses":
            call.messages = self.simulator.conversations.get(call.get("previous_response_id", ""), []) + call.messages
        return call

    def _read_foreign(self, link: ServerConnection, content: bytes, format: ProviderFormat) -> SimulatedCall:
        """The chat that a request in another SDK's words amounts to."""
        record, simulator = link.record, self.simulator
        found = simulator.resolve if simulator.dialect.resolves_bare_models else f"{format.provider}/{{}}".format
        return read_call(
            "chat",
            format.route,
            content,
            record.headers,
            request_id=record.id,
            deployment=None,
            resolve=found,
            convert=lambda body: format.request(body, link.model),
            operation=format.operation,
        )

    async def _answer(self, link: ServerConnection, call: SimulatedCall) -> None:
        """Try the primary, then each fallback; when all fail, the primary's error is the one to tell.

        Measured of 1.5.16: so it is when a stream's first chunk was late, though a fallback is asked, and answers.
        """
        simulator, record, lost = self.simulator, link.record, False
        first: tuple[Failure, Route] | None = None
        for place, target in enumerate(call.targets):
            route = simulator.route(call, place)
            if route.provider not in simulator.providers:
                if place == 0:
                    if not self.simulator.dialect.before(1, 4, 18) and route.provider not in PROVIDERS:
                        return await self._send_error(link, *self._unresolved(route))
                    first = (self._unconfigured(route), route)
                continue
            record.attempts.append(target)
            began = time.monotonic()
            rule = (
                simulator.script.find(
                    record.path, record.headers, deployment=target, prompt=call.prompt, stream=call.stream
                )
                or FaultRule()
            )
            outcome = simulator.attempt(call, route, rule, began)
            if isinstance(outcome, ProviderAttempt) and lost:
                self._log_lost(call, outcome)
                break
            if isinstance(outcome, ProviderAttempt):
                delivery = self._delivery(link, call, outcome)
                if not delivery.starts_with_error:
                    record.served = target
                    return await self._deliver(delivery)
                outcome = simulator.dialect.first_frame(rule.failure())
            late = call.stream and rule.provider_timeout_ms is not None
            if late and simulator.dialect.name == "1.5.1":
                await link.until(None)  # measured: it waits without end
            lost = lost or (late and simulator.dialect.name == "1.5")
            await self._let_fail(link, call, route, rule, began, outcome)
            first = first or (outcome, route)
        if first is None:
            raise RuntimeError("the primary neither answered nor failed")
        return await self._send_error(link, *first)

    def _unconfigured(self, route: Route) -> Failure:
        """A provider without a key, which falls back."""
        named = "" if self.simulator.dialect.before(1, 5, 16) else f" {route.provider}"
        message = f"failed to get config for provider{named}: not found"
        return Failure(status=400, message=message, of_engine=True, cause=message, asked=False)

    def _unresolved(self, route: Route) -> tuple[Failure, Route | None]:
        """A word before the slash that is no provider is taken for a part of the model's name, which nobody has."""
        dialect, name = self.simulator.dialect, f"{route.provider}/{route.model}".removeprefix("/")
        if dialect.old:
            return Failure(status=400, message="model should be in provider/model format"), None
        if dialect.before(1, 5, 16):
            none = f'no providers found for model "{name}" in model catalog to auto-resolve'
            message = f"provider is required in model field (format: provider/model) \u2014 {none}"
            return Failure(status=400, message=message if name else "model is required"), None
        failure = Failure(status=400, message=UNRESOLVED, of_engine=True, asked=False)
        return failure, replace(route, provider="", model=name, upstream_model=name)

    def _malformed(self, words: str) -> Failure:
        """A body that cannot be decoded. `words`: of the decoder, which real ones quote and from 2.0 on keep."""
        dialect = self.simulator.dialect
        if self.route != "v1":
            unknown = dialect.before(1, 5, 16)
            headers = None if unknown else {"connection": "close"}
            # Measured: of a text completion newer ones say less. What is said of embeddings and media was not measured.
            of_text = self.format is None and self.kind in ("text", None)
            message = "failed to parse request" if of_text and not dialect.before(1, 4, 18) else "Invalid JSON"
            return Failure(status=400, message=message, cause=words, of_engine=unknown, headers=headers)
        if dialect.second:  # measured of 2.0, which says no more; 2.2 was not
            detail = "" if dialect.name == "2.0" else f": {words}"
            return Failure(status=400, message=f"Invalid request payload{detail}")
        begin = "Invalid" if dialect.before(1, 4, 18) else "invalid"
        return Failure(status=400, message=f"{begin} request format: {words}")

    async def _let_fail(
        self, link: ServerConnection, call: SimulatedCall, route: Route, rule: FaultRule, began: float, failure: Failure
    ) -> None:
        """Let the time of a failing attempt pass, log it, do what its rule says about the connection."""
        delay_ms = rule.delay_ms if rule.provider_timeout_ms is None else rule.provider_timeout_ms
        if delay_ms is None:
            delay_ms = (60 if failure.status >= 500 and not rule.replaces_answer else 5) / self.simulator.speed
        status = "cancelled"
        try:
            await link.until(began + delay_ms / 1e3)
            if rule.silent:
                await link.until(None)
            status = "error"
        finally:
            if failure.answered:
                failure.latency_ms = round((time.monotonic() - began) * 1e3)
            details = self.simulator.dialect.error(failure, route)
            self.simulator.log(call, route, rule=rule, began=began, status=status, error_details=details)
        if rule.drop is not None:
            link.drop_how, link.drop_after = rule.drop.how, rule.drop.after_bytes
            if rule.drop.after_bytes is None:
                await link.drop()

    def _delivery(self, link: ServerConnection, call: SimulatedCall, attempt: ProviderAttempt) -> Delivery:
        dialect, format = self.simulator.dialect, self.format
        if format is not None and format.converts(call, attempt.route.provider):
            return ForeignDelivery(dialect, call, attempt, link, format=format)
        return _DELIVERIES.get(call.kind, Delivery)(dialect, call, attempt, link)

    async def _deliver(self, delivery: Delivery) -> None:
        call, link = delivery.call, delivery.link
        try:
            await delivery.run()
        finally:
            self._log(delivery)
            whole = link.complete and delivery.failure is None
            if call.kind == "responses" and whole and call.get("store", True):
                said = {"role": "assistant", "content": delivery.text()}
                self.simulator.remember(delivery.answer_id, [*call.messages, said])

    def _log_lost(self, call: SimulatedCall, attempt: ProviderAttempt) -> None:
        """The row of a fallback's answer that nobody gets."""
        usage = {name: value for name, value in attempt.usage.items() if name != "cost"}
        self.simulator.log(
            call,
            attempt.route,
            rule=attempt.rule,
            began=attempt.began,
            status="success",
            cost=attempt.cost_usd,
            token_usage=usage,
            **_told_answer(call, attempt.route, attempt.answer.choices[0].text),
        )

    def _log(self, delivery: Delivery) -> None:
        call, attempt, link = delivery.call, delivery.attempt, delivery.link
        usage, cost = delivery.usage(), attempt.cost_usd
        status, details, dialect = "success", None, self.simulator.dialect
        said = delivery.text()
        if delivery.failure is not None:
            status, cost = "error", None
            details = dialect.error(delivery.failure, attempt.route)
        elif not link.complete and dialect.name == "1.3" and call.stream:
            # Measured: its row never gets an end.
            status, cost, usage, said = "processing", None, {}, ""
        elif not link.complete and dialect.before(1, 4, 18):
            # Measured of a stream in 1.4.0: nobody tells the provider, so the log has the whole answer and its cost.
            usage, said = attempt.usage, attempt.answer.choices[0].text
        elif not link.complete:
            status, cost = "cancelled", self.simulator.partial_cost(attempt, usage) if call.stream else None
            details = dialect.error(CANCELLED, attempt.route)
        self.simulator.log(
            call,
            attempt.route,
            rule=attempt.rule,
            began=attempt.began,
            status=status,
            latency=attempt.latency_ms if status == "success" else None,
            cost=cost,
            cache_debug=attempt.cache,
            token_usage=None
            if call.kind == "speech"
            else {name: value for name, value in usage.items() if name != "cost"},
            stop_reason=self._stop_reason(call, attempt) if status == "success" else None,
            **_told_answer(call, attempt.route, said),
            error_details=details,
        )

    def _stop_reason(self, call: SimulatedCall, attempt: ProviderAttempt) -> str | None:
        """Measured: a whole answer of the Responses API has one in the log where Anthropic gave it, no other."""
        if attempt.route.request_type.startswith("responses") and attempt.route.provider != "anthropic":
            return None
        return attempt.answer.choices[0].finish_reason or None

    async def _no_model(self, link: ServerConnection, call: SimulatedCall) -> None:
        """Measured: the engine misses the model, which costs a status 500, or a frame in a stream that has begun."""
        failure = Failure(status=400, message="model is required", of_engine=not call.stream)
        dialect, route = self.simulator.dialect, self.simulator.route(call, 0)
        if not call.stream:
            return await self._send_error(link, replace(failure, status=500), route)
        content = sse({"error": dialect.error(failure, route)})
        headers = {**STREAM_HEADERS, **dialect.stream_headers(route), "content-length": str(len(content))}
        await link.start(200, headers)
        return await link.write(content, last=True)

    async def _send_plain(self, link: ServerConnection, status: int, text: str, headers: dict[str, str]) -> None:
        content = text.encode()
        told = {"content-type": "text/plain; charset=utf-8", "content-length": str(len(content))}
        await link.start(status, told | headers)
        await link.write(content, last=True)

    async def _send_error(self, link: ServerConnection, failure: Failure, route: Route | None) -> None:
        dialect, content = self.simulator.dialect, failure.content
        if failure.of_engine and self.route != "v1" and dialect.before(1, 5, 16):
            failure = replace(failure, status=500)  # measured: an error whose status is not known, on SDKs' routes
        if content is None:
            error = dialect.error(failure, route)
            content = orjson.dumps(error if self.format is None else self.format.error(error, dialect))
        headers = {"content-type": "application/json"}
        if route is not None:
            elapsed_ms = (time.monotonic() - link.record.received_at) * 1e3
            headers |= dialect.headers(route, elapsed_ms, failure)
        else:
            headers |= dialect.refused_headers(link.record.id)
        headers |= {name.lower(): value for name, value in (failure.headers or {}).items()}
        headers.setdefault("content-length", str(len(content)))
        await link.start(failure.status, headers)
        await link.write(content, last=True)


def _told_answer(call: SimulatedCall, route: Route, said: str) -> dict[str, Any]:
    """The answer, as the log keeps it."""
    if call.kind not in ("text", "chat", "responses"):
        return {}
    if not route.request_type.startswith("responses"):
        return {"output_message": {"role": "assistant", "content": said}}
    part = {"type": "output_text", "text": said, "annotations": [], "logprobs": []}
    return {"responses_output": [{"type": "message", "role": "assistant", "content": [part]}]}


def _readable(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return content.decode(errors="replace")
