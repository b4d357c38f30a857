"""The other routes: health, models, the gateway's log, providers, virtual keys, and the hook that tests script by."""

from __future__ import annotations

import contextlib
import hashlib
import time
import uuid
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..deployments import SimulatedDeployment
from ..dialects import Dialect, Failure, Route as Attempt
from ..faults import Script, in_one_line
from ..governance import VIRTUAL_KEYS
from ..http.connection import ClientGone, Dropped, ServerConnection
from ..http.framing import json_response
from ..http.request import REQUEST_TYPES
from ..state import Simulator
from .cache import cache_routes
from .management_governance import budget_of, governance_routes, rate_limit_of
from .management_log import SORTS, counted, found_rows, key_shape, statistics, told_row
from .management_prompts import repository_routes
from .management_series import series_routes

__all__ = ["Management", "management_routes"]


def _usd(per_million: float | None) -> str | None:
    """US dollars per token, as text without an exponent."""
    return None if per_million is None else f"{per_million / 1e6:.12f}".rstrip("0").rstrip(".")


def management_routes(simulator: Simulator, control_token: str | None) -> list[Route]:
    """Routes for administration; with a token also the ones under ``/_embedded``, which ask for it."""
    handlers = Management(simulator)
    routes = [
        Route("/health", handlers.health),
        Route("/v1/models", handlers.models),
        Route("/openai/v1/models", handlers.openai_models),
        Route("/openai/models", handlers.openai_models),
        Route("/api/version", handlers.version),
        Route("/api/logs", handlers.logs),
        Route("/api/logs/stats", handlers.stats),
        *series_routes(simulator),
        Route("/api/providers", handlers.providers),
        Route("/api/keys", handlers.keys),
        Route("/api/config", handlers.config),
        Route("/api/plugins", handlers.plugins),
        Route("/api/plugins/{name}", handlers.plugin),
        Route("/api/models", handlers.model_names),
        Route("/api/governance/virtual-keys", handlers.virtual_keys),
        *governance_routes(simulator),
        *cache_routes(simulator),
    ]
    # Measured: where a generation lacks one of these, it answers with its page.
    if not simulator.dialect.before(1, 4, 18):
        routes += [Route("/api/logs/{log_id:path}", handlers.log), *repository_routes(simulator.prompts)]
    if not simulator.dialect.old:
        routes.append(Route("/api/providers/{provider}/keys", handlers.provider_keys))
    for route in routes:
        route.app = _Observed(route.app, simulator)
    if control_token is not None:
        control = _Control(simulator, control_token)
        routes += [
            Route("/_embedded/script", control.script, methods=["POST"]),
            Route("/_embedded/requests", control.requests),
            Route("/_embedded/reset", control.reset, methods=["POST"]),
        ]
    return routes


class _Observed:
    """Records the requests of a route with their JSON, and lets rules that name its path answer instead."""

    def __init__(self, app: ASGIApp, simulator: Simulator) -> None:
        self.app = app
        self.simulator = simulator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        link = ServerConnection(scope, receive, send)
        self.simulator.recorder.add(link.record)
        rule = self.simulator.script.find(link.record.path, link.record.headers)
        try:
            if rule is not None:
                link.watch()
                await link.until(link.record.received_at + (rule.delay_ms or 0) / 1e3)
                if rule.silent:
                    await link.until(None)
                if rule.drop is not None:
                    await link.drop(rule.drop.how)
                if rule.status is not None or rule.body is not None:
                    headers = {"content-type": "application/json"} | rule.headers
                    await link.start(rule.status or 200, headers)
                    return await link.write(rule.content() if rule.body is not None else b"{}", last=True)
                link.close()

            content = bytearray()

            async def heard() -> Message:
                message = await receive()
                content.extend(message.get("body", b""))
                if content and not message.get("more_body"):
                    with contextlib.suppress(orjson.JSONDecodeError):
                        link.record.body = orjson.loads(content)
                return message

            async def observed(message: Message) -> None:
                if message["type"] == "http.response.start":
                    link.record.status, link.record.headers_at = message["status"], time.monotonic()
                elif not message.get("more_body"):
                    link.record.ended_at = time.monotonic()
                await send(message)

            await self.app(scope, heard, observed)
        except (ClientGone, Dropped):
            pass
        finally:
            link.close()


class Management:
    """Handlers in the shapes of the real management API."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator

    def _refused(self, status: int, message: str) -> Response:
        return json_response(self.simulator.dialect.error(Failure(status=status, message=message), None), status)

    async def health(self, request: Request) -> Response:
        components = {} if self.simulator.dialect.before(1, 4, 18) else {"components": {"db_pings": "ok"}}
        return json_response({"status": "ok"} | components)

    async def version(self, request: Request) -> Response:
        return json_response(self.simulator.dialect.version)

    async def models(self, request: Request) -> Response:
        """Pages of `page_size`; the token is the place of the next one."""
        if refusal := self._listing_refused(request):
            return refusal
        wanted = request.query_params.get("provider")
        found = [item for item in self.simulator.deployments.values() if wanted in (None, "", item.provider)]
        start = _integer(request, "page_token", 0)
        size = _integer(request, "page_size", len(found)) or len(found)
        page = found[start : start + size]
        dialect = self.simulator.dialect
        body: dict[str, Any] = {
            "data": [_model(item, dialect) for item in page],
            "extra_fields": {"request_type": "list_models", **dialect.routing_info, "latency": 0, "chunk_index": 0},
        }
        if not dialect.before(1, 4, 18):
            body["key_statuses"] = [
                {"key_id": f"key-{name}", "status": "success", "provider": name} for name in self.simulator.providers
            ]
        if start + size < len(found):
            body["next_page_token"] = str(start + size)
        return self._listed(body, since=(2,))

    def _listing_refused(self, request: Request) -> Response | None:
        """Measured from 1.4.18 on: a list is for whoever may ask a deployment."""
        simulator = self.simulator
        failure = simulator.governance.refusal(request.headers, counted=False)
        if failure is None or simulator.dialect.before(1, 4, 18) or not simulator.protection.virtual_key_required:
            return None
        route = Attempt.of_list(simulator.providers[0])
        answer = json_response(simulator.dialect.error(failure, route), failure.status)
        answer.headers.update(simulator.dialect.headers(route, 0, failure))
        return answer

    def _listed(self, body: dict[str, Any], since: tuple[int, ...]) -> Response:
        """A list of models with the headers that it has from a version on."""
        dialect, answer = self.simulator.dialect, json_response(body)
        if not dialect.before(*since):
            answer.headers["x-bifrost-request-type"] = "list_models"
            answer.headers.update(dialect.refused_headers(str(uuid.uuid4())))
        return answer

    async def openai_models(self, request: Request) -> Response:
        items = self.simulator.deployments.values()
        data = [{"id": item.id, "object": "model", "created": 0, "owned_by": item.provider} for item in items]
        return self._listed({"object": "", "data": data}, since=(1, 5))  # measured: object is empty

    async def model_names(self, request: Request) -> Response:
        query, wanted = request.query_params.get("query", ""), request.query_params.get("provider")
        found = [
            {"name": item.model, "provider": item.provider}
            for item in self.simulator.deployments.values()
            if query in item.model and wanted in (None, "", item.provider)
        ]
        return json_response({"models": found[: _integer(request, "limit", 5)], "total": len(found)})

    async def config(self, request: Request) -> Response:
        """The switches that tell what happens to content; real ones have more."""
        client = {"drop_excess_requests": False, "enable_logging": True, "disable_content_logging": False}
        told = {
            "is_cache_connected": not self.simulator.dialect.old,  # by our own doing: it has a cache to try
            "is_db_connected": True,
            "is_logs_connected": True,
        }
        return json_response({"client_config": client, **told, "restart_required": {"required": False}})

    async def plugins(self, request: Request) -> Response:
        """Measured: only plugins that somebody configured stand here, none of the built-in ones."""
        return json_response({"count": 0, "plugins": []})

    async def plugin(self, request: Request) -> Response:
        """From 1.5.16 on "loaded" is a list of its own; before, a plugin that is not there. The cache is built in."""
        if request.path_params["name"] == "loaded" and not self.simulator.dialect.before(1, 5, 16):
            return json_response({"plugins": ["governance", "logging", "prompts", "semantic_cache", "telemetry"]})
        return self._refused(404, "Plugin not found")

    # -- the log ----------------------------------------------------------------------------------------------------

    async def logs(self, request: Request) -> Response:
        parameters = request.query_params
        limit, offset = _whole(parameters.get("limit"), 50), _whole(parameters.get("offset"), 0)
        if limit > 1000:
            return self._refused(400, "limit cannot exceed 1000")
        if limit < 1:
            return self._refused(400, "limit must be greater than 0")
        if offset < 0:
            return self._refused(400, "offset cannot be negative")
        sort_by, order = parameters.get("sort_by", "timestamp"), parameters.get("order", "desc")
        rows = sorted(
            found_rows(self.simulator.logs, request.query_params, self.simulator.dialect),
            key=SORTS.get(sort_by, SORTS["timestamp"]),
            reverse=order != "asc",
        )
        dialect = self.simulator.dialect
        pagination: dict[str, Any] = {"limit": limit, "offset": offset, "sort_by": sort_by, "order": order}
        if not dialect.before(1, 4, 18):  # measured: older ones do not have it, and up to 1.5.1 it is 0
            pagination["total_count"] = 0 if dialect.before(1, 5, 16) else len(rows)
        return json_response(
            {
                "logs": [told_row(row, dialect, listed=True) for row in rows[offset : offset + limit]],
                "pagination": pagination,
                "stats": counted(rows, dialect),
                "has_logs": bool(self.simulator.logs.rows),
            }
        )

    async def stats(self, request: Request) -> Response:
        rows = found_rows(self.simulator.logs, request.query_params, self.simulator.dialect)
        return json_response(statistics(rows, self.simulator.dialect))

    async def log(self, request: Request) -> Response:
        row = self.simulator.logs.get(request.path_params["log_id"])
        if row is None:
            return self._refused(404, "log not found")
        return json_response(told_row(row, self.simulator.dialect, listed=False))

    # -- providers and keys -----------------------------------------------------------------------------------------

    async def providers(self, request: Request) -> Response:
        found, dialect = [], self.simulator.dialect
        for name in self.simulator.providers:
            network: dict[str, Any] = {"default_request_timeout_in_seconds": 30, "max_retries": 0}
            network |= {"retry_backoff_initial": 0, "retry_backoff_max": 0}
            provider: dict[str, Any] = {
                "name": name,
                "network_config": network,
                "concurrency_and_buffer_size": {"concurrency": 1000, "buffer_size": 5000},
                "proxy_config": None,
                "send_back_raw_request": False,
                "send_back_raw_response": False,
                "status": "active" if dialect.before(1, 4, 18) else "unknown",
            }
            if not dialect.before(1, 4, 0):
                provider["config_hash"] = hashlib.sha256(name.encode()).hexdigest()
            if not dialect.before(1, 4, 18):
                provider |= {"store_raw_request_response": False, "provider_status": "active"}
            if dialect.old:
                provider["keys"] = [self._key(name)]
            else:
                network["stream_idle_timeout_in_seconds"] = 30
            found.append(provider)
        return json_response({"providers": found, "total": len(found)})

    async def provider_keys(self, request: Request) -> Response:
        name = request.path_params["provider"]
        if name not in self.simulator.providers:
            return self._refused(404, "provider not found")
        return json_response({"keys": [self._key(name)], "total": 1})

    async def keys(self, request: Request) -> Response:
        return json_response([self._stored_key(name) for name in self.simulator.providers])

    def _stored_key(self, provider: str) -> dict[str, Any]:
        """A key as the list of all keys tells it: its row in the database, most of it empty."""
        dialect, never = self.simulator.dialect, "0001-01-01T00:00:00Z"
        shape = key_shape(dialect, {}, "" if dialect.old else "sk-d****demo")
        told = {"id": 0, "name": f"{provider}-demo-key", "provider_id": 0, "provider": provider}
        told |= {"key_id": f"key-{provider}", "created_at": never, "updated_at": never, "config_hash": ""}
        return told | shape | ({} if dialect.before(1, 4, 18) else {"status": ""})

    def _key(self, provider: str) -> dict[str, Any]:
        dialect = self.simulator.dialect
        shape = key_shape(dialect, {"id": f"key-{provider}", "name": f"{provider}-demo-key"}, "sk-d****demo")
        key = shape | {"use_for_batch_api": False}
        if dialect.name in ("1.3", "1.4.18", "1.5.1"):  # measured: on their keys alone
            key["enabled"] = True
        if not dialect.before(1, 4, 18):
            key["status"] = "success"
        if dialect.name in ("1.4.18", "1.5.1"):
            key["config_hash"] = hashlib.sha256(provider.encode()).hexdigest()
        if dialect.second:
            key["use_anthropic_endpoints"] = False
        if provider == "azure":
            mapped = {
                item.model: item.upstream_model or item.model
                for item in self.simulator.deployments.values()
                if item.provider == "azure"
            }
            flat = dialect.old
            key["azure_key_config"] = {"endpoint": "https://demo.invalid"} | ({"deployments": mapped} if flat else {})
            if not flat:
                key["aliases"] = mapped
        return key

    async def virtual_keys(self, request: Request) -> Response:
        found, dialect, at = [], self.simulator.dialect, "2026-11-01T00:00:00Z"
        for value, facts in VIRTUAL_KEYS.items():
            stored = {"config_hash": hashlib.sha256(value.encode()).hexdigest(), "created_at": at, "updated_at": at}
            key = {"id": facts["id"], "name": facts["name"], "value": value, "is_active": facts["is_active"]}
            key |= {"provider_configs": [], "mcp_configs": [], **stored}
            budget = budget_of(facts) | stored
            if dialect.name in ("1.4.18", "1.5.1"):
                budget["calendar_aligned"] = False
            if dialect.old:
                key |= {"budget_id": budget["id"], "budget": budget}
            else:
                key |= {"calendar_aligned": False, "budgets": [budget | {"virtual_key_id": facts["id"]}]}
            if limit := rate_limit_of(facts, self.simulator.governance.asked[facts["id"]]):
                aligned = {"calendar_aligned": False} if dialect.name == "1.5.1" else {}
                key |= {"rate_limit_id": limit["id"], "rate_limit": limit | aligned | stored}
            found.append(key)
        told = {"virtual_keys": found, "count": len(found)}
        paged = {"limit": len(found), "offset": 0, "total_count": len(found)}
        return json_response(told if dialect.before(1, 4, 18) else told | paged)


class _Control:
    """What `LocalGateway` talks to: scripts and the requests received."""

    def __init__(self, simulator: Simulator, token: str) -> None:
        self.simulator = simulator
        self.token = token

    def _forbidden(self, request: Request) -> bool:
        return request.headers.get("x-embedded-token") != self.token

    async def script(self, request: Request) -> Response:
        if self._forbidden(request):
            return Response(status_code=403)
        try:
            self.simulator.script.replace(Script.parse(orjson.loads(await request.body())))
        except ValueError as error:
            return json_response({"error": in_one_line(error)}, 400)
        return json_response({"rules": len(self.simulator.script.rules)})

    async def requests(self, request: Request) -> Response:
        if self._forbidden(request):
            return Response(status_code=403)
        return json_response(self.simulator.recorder.dump(_integer(request, "start", 0)))

    async def reset(self, request: Request) -> Response:
        if self._forbidden(request):
            return Response(status_code=403)
        self.simulator.reset()
        return json_response({})


def _model(item: SimulatedDeployment, dialect: Dialect) -> dict[str, Any]:
    prices = {"prompt": _usd(item.input_usd), "completion": _usd(item.output_usd)}
    prices["input_cache_read"] = _usd(item.cached_input_usd)
    model: dict[str, Any] = {
        "id": item.id,
        "name": item.model,
        "created": 1_760_000_000,
        "context_length": item.context_tokens,
        "max_input_tokens": item.context_tokens,
        "max_output_tokens": item.max_output_tokens,
        "architecture": {  # read in the gateway's source, not measured: no capture has it
            "modality": "text+image->text" if item.images else "text->text",
            "input_modalities": ["text", "image"] if item.images else ["text"],
            "output_modalities": ["text"],
        },
        "owned_by": item.provider,
        "supported_methods": [REQUEST_TYPES[kind] for kind in item.kinds],
    }
    if item.input_usd is not None:
        model["pricing"] = {name: price for name, price in prices.items() if price is not None}
    if item.upstream_model:
        model["deployment" if dialect.old else "alias"] = item.upstream_model
    return model


def _whole(text: str | None, otherwise: int) -> int:
    """Measured: what is no number is ignored."""
    try:
        return otherwise if text is None else int(text)
    except ValueError:
        return otherwise


def _integer(request: Request, name: str, otherwise: int) -> int:
    try:
        return max(0, int(request.query_params.get(name, otherwise)))
    except ValueError:
        return otherwise
