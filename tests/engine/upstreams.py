"""Simulated providers for Bifrost's engine: one server on this machine, one path prefix for each provider.

The deployments, their answers and the rules by which they misbehave are those of the embedded gateway
(`bifrost_nb._simulator`), told in the providers' own formats. So the same call with the same rules says the same words
through Bifrost and through the embedded gateway, and what differs is the gateways' doing.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import uvicorn
from starlette.types import Receive, Scope, Send

from bifrost_nb._simulator.deployments import SimulatedDeployment
from bifrost_nb._simulator.dialects import DIALECTS, Failure
from bifrost_nb._simulator.faults import FaultRule, Script
from bifrost_nb._simulator.http.connection import ClientGone, ServerConnection
from bifrost_nb._simulator.http.delivery import ProviderAttempt
from bifrost_nb._simulator.http.request import SimulatedCall
from bifrost_nb._simulator.records import RequestRecord, RequestRecorder
from bifrost_nb._simulator.state import Simulator

from .providers import Anthropic, OpenAI

__all__ = ["Upstreams"]

# Engine 1.4 takes a connection that broke for the next request to the same provider, which then fails.
_HEADERS = {"connection": "close", "x-request-id": "upstream-request", "x-ratelimit-remaining-requests": "41"}


class _Cut(Exception):
    """Ends the connection in the middle of an answer: the server closes it when the application fails."""


class _Over(Exception):
    """A stream has ended early and in good order, by script."""


@dataclass(slots=True)
class _Ask:
    """One request that a provider received."""

    format: OpenAI | Anthropic
    call: SimulatedCall
    provider: str


class Upstreams:
    """The providers behind a Bifrost engine: a context manager that serves in a thread of its own.

    `deployments` are what they offer, `keys` the key that each accepts; `speed` divides simulated times.
    """

    def __init__(
        self, deployments: Iterable[SimulatedDeployment], keys: Mapping[str, str], *, speed: float = 1.0
    ) -> None:
        table = {f"{item.provider}/{item.upstream_model or item.model}": item for item in deployments}
        self._simulator = Simulator(table, DIALECTS["2.2"], speed=speed, recorder=RequestRecorder(enabled=True))
        self._keys = dict(keys)
        self._models: dict[str, list[str]] = {}
        for item in table.values():
            self._models.setdefault(item.provider, []).append(item.upstream_model or item.model)
        self._bugs: list[Exception] = []

    def url(self, provider: str) -> str:
        """The base URL of one provider, as a gateway's config takes it: without ``/v1``."""
        return f"{self._address}/{provider}"

    def script(self, rules: Iterable[Mapping[str, Any]]) -> None:
        """Replace the rules by which the deployments misbehave (`bifrost_nb._simulator.faults.Rule`)."""
        self._simulator.script.rules = Script.parse(list(rules))

    def requests(self) -> list[RequestRecord]:
        """What the providers were asked, oldest first."""
        return list(self._simulator.recorder.records)

    def reset(self) -> None:
        """Forget rules, requests and counts: equal requests get equal answers again."""
        self._simulator.reset()

    def __enter__(self) -> Upstreams:
        listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        # Its logger stays quiet: a scripted cut is an application that fails.
        config = uvicorn.Config(
            self._app, interface="asgi3", ws="none", lifespan="off", log_config=None, log_level=100, access_log=False,
            proxy_headers=False, timeout_graceful_shutdown=1,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, args=(listening,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.should_exit = True
        self._thread.join(5)
        if self._bugs:
            raise self._bugs[0]

    def _serve(self, listening: socket.socket) -> None:
        with listening:
            asyncio.run(self._server.serve(sockets=[listening]))

    # -- one request ------------------------------------------------------------------------------------------------

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        link = ServerConnection(scope, receive, send)
        try:
            if scope["method"] == "GET":  # a whole gateway asks each provider what it has; not among `requests`
                return await self._list(link)
            ask = self._read(link.record, await link.body())
            self._simulator.recorder.add(link.record)
            link.watch()
            await self._answer(link, ask)
        except (ClientGone, _Over):
            pass
        except _Cut:
            raise
        except Exception as bug:
            self._bugs.append(bug)
            raise
        finally:
            link.close()

    async def _list(self, link: ServerConnection) -> None:
        """The models of one provider; the fields beyond OpenAI's are those that Azure and Anthropic send."""
        names = self._models.get(link.record.path.strip("/").partition("/")[0], [])
        capable = {"chat_completion": True, "completion": True, "embeddings": True, "inference": True}
        extra = {"object": "model", "type": "model", "status": "succeeded", "capabilities": capable}
        models = [{"id": name, "display_name": name, **extra} for name in names]
        await self._send(link, 200, orjson.dumps({"object": "list", "data": models, "has_more": False}), {})

    def _read(self, record: RequestRecord, content: bytes) -> _Ask:
        record.body = body = orjson.loads(content)
        provider, _, path = record.path.strip("/").partition("/")
        style = Anthropic() if path in ("v1/messages", "v1/complete") else OpenAI()
        endings = {"chat/completions": "chat", "messages": "chat", "responses": "responses", "embeddings": "embedding"}
        kind = next((kind for ending, kind in endings.items() if path.endswith(ending)), "text")
        segments = path.split("/")
        model = segments[2] if segments[:2] == ["openai", "deployments"] else body["model"]
        record.deployment = f"{provider}/{model}"
        number = len(self._simulator.recorder.records)
        return _Ask(style, style.call(kind, record.deployment, body, record.headers, number), provider)

    async def _answer(self, link: ServerConnection, ask: _Ask) -> None:
        simulator, call, record = self._simulator, ask.call, link.record
        rule = simulator.script.find(
            record.path, record.headers, deployment=record.deployment, prompt=call.prompt, stream=call.stream
        )
        rule = rule or FaultRule()
        if rule.silent or (rule.provider_timeout_ms is not None and not call.stream):
            await link.until(None)
        if not self._key_fits(ask):
            refused = Failure(status=401, type="invalid_request_error", code="invalid_api_key", message="Wrong key.")
            return await self._fail(link, ask, refused)
        as_provider = rule.model_copy(update={"provider_timeout_ms": None})  # the one who waits for it gives up, not it
        outcome = simulator.attempt(call, simulator.route(call, 0), as_provider, record.received_at)
        if rule.delay_ms is not None:
            await link.until(record.received_at + rule.delay_ms / 1e3)
        if isinstance(outcome, Failure):
            return await self._fail(link, ask, outcome)
        if call.stream:
            return await self._stream(link, ask, outcome, rule)
        first = outcome.first_s if rule.first_text_ms is None else rule.first_text_ms / 1e3
        await link.until(record.received_at + first)
        return await self._send(link, 200, orjson.dumps(ask.format.whole(call, outcome)), rule.headers)

    def _key_fits(self, ask: _Ask) -> bool:
        headers = ask.call.headers
        told = headers.get("api-key") or headers.get("x-api-key") or headers.get("authorization", "")[len("Bearer ") :]
        return told == self._keys.get(ask.provider)

    async def _fail(self, link: ServerConnection, ask: _Ask, failure: Failure) -> None:
        content = failure.content if failure.content is not None else orjson.dumps(ask.format.error(failure))
        await self._send(link, failure.status, content, failure.headers or {})

    async def _send(self, link: ServerConnection, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        told = {"content-type": "application/json", "content-length": str(len(content)), **_HEADERS}
        await link.start(status, told | {name.lower(): value for name, value in headers.items()})
        await link.write(content, last=True)

    async def _stream(self, link: ServerConnection, ask: _Ask, attempt: ProviderAttempt, rule: FaultRule) -> None:
        record = link.record
        scripted = rule.text is not None or rule.chunks is not None or rule.gap_ms is not None
        size = 1 if scripted else attempt.deployment.chunk_tokens
        gap = size * attempt.token_s if rule.gap_ms is None else rule.gap_ms / 1e3
        first = attempt.first_s if rule.first_text_ms is None else rule.first_text_ms / 1e3
        await link.start(200, {"content-type": "text/event-stream", **_HEADERS})
        if rule.frames is not None:
            for scripted_frame in rule.frames:
                await link.until(time.monotonic() + scripted_frame.pause_ms / 1e3)
                await link.write(b"".join(scripted_frame.pieces()))
            if rule.stall_after_chunks is not None:
                await link.until(None)
            return await link.write(b"", last=True)
        for frame in ask.format.frames(ask.call, attempt, size):
            if frame.text:
                await self._misbehave(link, ask, rule)
                await link.until(record.received_at + first + record.chunks * gap)
                record.chunks += 1
                record.chunk_times.append(time.monotonic())
            await link.write(frame.data)
        return await link.write(b"", last=True)

    async def _misbehave(self, link: ServerConnection, ask: _Ask, rule: FaultRule) -> None:
        """The scripted end of a stream after so many chunks."""
        sent = link.record.chunks
        if rule.stall_after_chunks == sent or rule.provider_timeout_ms is not None:
            await link.until(None)
        if rule.error_after_chunks == sent:
            failure = ask.format.error(rule.failure())
            prefix = b"event: error\n" if isinstance(ask.format, Anthropic) else b""
            await link.write(prefix + b"data: " + orjson.dumps(failure) + b"\n\n", last=True)
            raise _Over
        if rule.provider_cut_after_chunks == sent:
            raise _Cut
