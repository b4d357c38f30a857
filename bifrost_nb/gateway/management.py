"""The other routes: health, models, the gateway's log, providers, virtual keys, and the hook that tests script by."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .deployments import SimulatedDeployment
from .link import ClientGone, Dropped, Link
from .management_series import series_routes
from .parameters import REQUEST_TYPES
from .records import LogRow
from .script import Script
from .simulator import VIRTUAL_KEYS, Simulator

__all__ = ["Management", "management_routes"]

_BUDGET_USD = 10.0


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


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
        *series_routes(handlers),
        Route("/api/logs/{log_id:path}", handlers.log),
        Route("/api/providers", handlers.providers),
        Route("/api/providers/{provider}/keys", handlers.provider_keys),
        Route("/api/keys", handlers.keys),
        Route("/api/models", handlers.model_names),
        Route("/api/governance/virtual-keys", handlers.virtual_keys),
    ]
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
    """Records the requests of a route, and lets rules that name its path answer instead."""

    def __init__(self, app: ASGIApp, simulator: Simulator) -> None:
        self.app = app
        self.simulator = simulator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        link = Link(scope, receive, send)
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

            async def observed(message: Message) -> None:
                if message["type"] == "http.response.start":
                    link.record.status, link.record.headers_at = message["status"], time.monotonic()
                elif not message.get("more_body"):
                    link.record.ended_at = time.monotonic()
                await send(message)

            await self.app(scope, receive, observed)
        except (ClientGone, Dropped):
            pass
        finally:
            link.close()


class Management:
    """Handlers in the shapes of the real management API."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator

    async def health(self, request: Request) -> Response:
        return _json({"status": "ok", "components": {"db_pings": "ok"}})

    async def version(self, request: Request) -> Response:
        return _json(self.simulator.dialect.version)

    async def models(self, request: Request) -> Response:
        """Pages of `page_size`; the token is the place of the next one."""
        wanted = request.query_params.get("provider")
        found = [item for item in self.simulator.deployments.values() if wanted in (None, "", item.provider)]
        start = _integer(request, "page_token", 0)
        size = _integer(request, "page_size", len(found)) or len(found)
        page = found[start : start + size]
        body: dict[str, Any] = {
            "data": [_model(item) for item in page],
            "extra_fields": {"request_type": "list_models"},
        }
        if start + size < len(found):
            body["next_page_token"] = str(start + size)
        return _json(body)

    async def openai_models(self, request: Request) -> Response:
        items = self.simulator.deployments.values()
        data = [{"id": item.id, "object": "model", "created": 0, "owned_by": item.provider} for item in items]
        return _json({"object": "list", "data": data})

    async def model_names(self, request: Request) -> Response:
        query, wanted = request.query_params.get("query", ""), request.query_params.get("provider")
        found = [
            {"name": item.model, "provider": item.provider, "accessible_by_keys": [f"key-{item.provider}"]}
            for item in self.simulator.deployments.values()
            if query in item.model and wanted in (None, "", item.provider)
        ]
        return _json({"models": found[: _integer(request, "limit", 5)], "total": len(found)})

    # -- the log ----------------------------------------------------------------------------------------------------

    async def logs(self, request: Request) -> Response:
        parameters = request.query_params
        try:
            limit, offset = int(parameters.get("limit", 50)), int(parameters.get("offset", 0))
        except ValueError:
            return _json({"error": {"message": "limit and offset must be integers"}, "is_bifrost_error": False}, 400)
        if not 1 <= limit <= 1000 or offset < 0:
            return _json({"error": {"message": "limit must be between 1 and 1000"}, "is_bifrost_error": False}, 400)
        sort_by, order = parameters.get("sort_by", "timestamp"), parameters.get("order", "desc")
        rows = sorted(self._filtered(request), key=_SORTS.get(sort_by, _SORTS["timestamp"]), reverse=order != "asc")
        return _json(
            {
                "logs": [_row(row) for row in rows[offset : offset + limit]],
                "pagination": {
                    "limit": limit, "offset": offset, "sort_by": sort_by, "order": order, "total_count": len(rows),
                },
                "stats": _stats(rows),
                "has_logs": bool(self.simulator.logs.rows),
            }
        )  # fmt: skip

    async def stats(self, request: Request) -> Response:
        return _json(_stats(self._filtered(request)))

    async def log(self, request: Request) -> Response:
        row = self.simulator.logs.get(request.path_params["log_id"])
        if row is None:
            return _json({"error": {"message": "log not found"}, "is_bifrost_error": False, "status_code": 404}, 404)
        return _json(_row(row))

    def _filtered(self, request: Request) -> list[LogRow]:
        checks = [check for check in (_filter(*item) for item in request.query_params.multi_items()) if check]
        return [row for row in self.simulator.logs.written() if all(check(row) for check in checks)]

    # -- providers and keys -----------------------------------------------------------------------------------------

    async def providers(self, request: Request) -> Response:
        found = []
        for name in self.simulator.providers:
            provider = {
                "name": name,
                "network_config": {"default_request_timeout_in_seconds": 30, "max_retries": 0},
                "concurrency_and_buffer_size": {"concurrency": 1000, "buffer_size": 5000},
                "send_back_raw_request": False,
                "send_back_raw_response": False,
                "provider_status": "active",
            }
            if self.simulator.dialect.name == "1.3":
                provider["keys"] = [self._key(name)]
            found.append(provider)
        return _json({"providers": found, "total": len(found)})

    async def provider_keys(self, request: Request) -> Response:
        name = request.path_params["provider"]
        if name not in self.simulator.providers:
            return _json({"error": {"message": "provider not found"}, "is_bifrost_error": False}, 404)
        return _json({"keys": [self._key(name)], "total": 1})

    async def keys(self, request: Request) -> Response:
        return _json([self._key(name) for name in self.simulator.providers])

    def _key(self, provider: str) -> dict[str, Any]:
        names = [item.model for item in self.simulator.deployments.values() if item.provider == provider]
        key = {
            "id": f"key-{provider}",
            "name": f"{provider}-demo-key",
            "value": "sk-d****demo",
            "models": names,
            "weight": 1.0,
        }
        if provider == "azure":
            mapped = {
                item.model: item.upstream_model or item.model
                for item in self.simulator.deployments.values()
                if item.provider == "azure"
            }
            flat = self.simulator.dialect.name == "1.3"
            key["azure_key_config"] = {"endpoint": "https://demo.invalid"} | ({"deployments": mapped} if flat else {})
            if not flat:
                key["aliases"] = mapped
        return key | {"enabled": True}

    async def virtual_keys(self, request: Request) -> Response:
        found = []
        for value, facts in VIRTUAL_KEYS.items():
            budget = {"id": f"budget-{facts['id']}", "max_limit": _BUDGET_USD, "current_usage": facts["spent"]}
            budget |= {"reset_duration": "1M", "last_reset": "2026-11-01T00:00:00Z"}
            key = {"id": facts["id"], "name": facts["name"], "description": "", "value": value}
            key |= {"is_active": facts["is_active"], "provider_configs": [], "created_at": "2026-11-01T00:00:00Z"}
            found.append(key | ({"budget": budget} if self.simulator.dialect.name == "1.3" else {"budgets": [budget]}))
        return _json({"virtual_keys": found, "count": len(found)})


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
            return _json({"error": str(error)}, 400)
        return _json({"rules": len(self.simulator.script.rules)})

    async def requests(self, request: Request) -> Response:
        if self._forbidden(request):
            return Response(status_code=403)
        return _json(self.simulator.recorder.dump(_integer(request, "start", 0)))

    async def reset(self, request: Request) -> Response:
        if self._forbidden(request):
            return Response(status_code=403)
        self.simulator.reset()
        return _json({})


def _model(item: SimulatedDeployment) -> dict[str, Any]:
    prices = {"prompt": _usd(item.input_usd), "completion": _usd(item.output_usd)}
    prices["input_cache_read"] = _usd(item.cached_input_usd)
    model: dict[str, Any] = {
        "id": item.id,
        "name": item.model,
        "created": 1_760_000_000,
        "context_length": item.context_tokens,
        "max_input_tokens": item.context_tokens,
        "max_output_tokens": item.max_output_tokens,
        "architecture": {"modality": "text->text", "input_modalities": ["text"], "output_modalities": ["text"]},
        "owned_by": item.provider,
        "supported_methods": [REQUEST_TYPES[kind] for kind in item.kinds],
    }
    if item.input_usd is not None:
        model["pricing"] = {name: price for name, price in prices.items() if price is not None}
    if item.upstream_model:
        model["deployment"] = item.upstream_model
    return model


def _integer(request: Request, name: str, otherwise: int) -> int:
    try:
        return max(0, int(request.query_params.get(name, otherwise)))
    except ValueError:
        return otherwise


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _row(row: LogRow) -> dict[str, Any]:
    return {**row.facts, "timestamp": _time(row.timestamp), "created_at": _time(row.timestamp)}


_SORTS: dict[str, Callable[[LogRow], float]] = {
    "timestamp": lambda row: row.timestamp,
    "latency": lambda row: row.facts.get("latency") or 0,
    "tokens": lambda row: row.tokens,
    "cost": lambda row: row.facts.get("cost") or 0,
}
_LISTS = {
    "providers": "provider", "models": "model", "status": "status", "objects": "object", "stop_reasons": "stop_reason",
    "virtual_key_ids": "virtual_key_id", "selected_key_ids": "selected_key_id",
}  # fmt: skip
_EXACT = {"parent_request_id": "parent_request_id", "request_id": "id"}
_PERIODS = {"1h": 3_600, "6h": 21_600, "24h": 86_400, "7d": 604_800, "30d": 2_592_000}


def _filter(name: str, value: str) -> Callable[[LogRow], bool] | None:
    """The check behind one query parameter; None: it filters nothing (an unreadable time is ignored)."""
    if name in _LISTS:
        wanted = value.split(",")
        return lambda row: row.facts.get(_LISTS[name]) in wanted
    if name in _EXACT:
        return lambda row: row.facts.get(_EXACT[name]) == value
    if name in ("start_time", "end_time"):
        try:
            moment = datetime.fromisoformat(value).timestamp()
        except ValueError:
            return None
        return (lambda row: row.timestamp >= moment) if name == "start_time" else (lambda row: row.timestamp <= moment)
    if name == "period" and value in _PERIODS:
        return lambda row: row.timestamp >= time.time() - _PERIODS[value]
    if name == "content_search":
        return lambda row: value in str(row.facts.get("input_history")) + str(row.facts.get("output_message"))
    if name.startswith("metadata_"):
        return lambda row: (row.facts.get("metadata") or {}).get(name[9:]) == value
    if name == "missing_cost_only" and value == "true":
        return lambda row: row.facts.get("cost") is None
    side, _, figure = name.partition("_")
    if side in ("min", "max") and figure in ("latency", "tokens", "cost"):
        return _bound(side, _SORTS[figure], value)
    return None


def _bound(side: str, figure: Callable[[LogRow], float], value: str) -> Callable[[LogRow], bool] | None:
    try:
        limit = float(value)
    except ValueError:
        return None
    return (lambda row: figure(row) >= limit) if side == "min" else (lambda row: figure(row) <= limit)


def _stats(rows: list[LogRow]) -> dict[str, Any]:
    usages = [row.facts.get("token_usage") or {} for row in rows]
    succeeded = sum(row.facts["status"] == "success" for row in rows)
    return {
        "total_requests": len(rows),
        "success_rate": 100 * succeeded / len(rows) if rows else 0,
        "average_latency": sum(row.facts["latency"] for row in rows) / len(rows) if rows else 0,
        "total_tokens": sum(usage.get("total_tokens") or 0 for usage in usages),
        "prompt_tokens": sum(usage.get("prompt_tokens") or 0 for usage in usages),
        "completion_tokens": sum(usage.get("completion_tokens") or 0 for usage in usages),
        "total_cost": sum(row.facts.get("cost") or 0 for row in rows),
    }
