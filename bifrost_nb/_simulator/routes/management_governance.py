"""Budgets, rate limits and routing rules of the embedded gateway; the tools of MCP servers and their log.

Shapes, statuses and words as processes 1.3.63, 1.4.0, 1.5.16 and 2.0.0-prerelease3 answered: a generation without a
route answers GET with its page and POST with 405. It has no rate limits and no routing rules: nothing would obey them.
"""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..dialects import Failure
from ..governance import BUDGET_USD, VIRTUAL_KEYS, virtual_key
from ..http.framing import json_response
from ..state import Simulator
from .management_log import moment_of, rfc3339

__all__ = ["budget_of", "governance_routes"]


def budget_of(facts: dict[str, Any]) -> dict[str, Any]:
    """The budget of a planted virtual key."""
    budget = {"id": f"budget-{facts['id']}", "max_limit": BUDGET_USD, "current_usage": facts["spent"]}
    return budget | {"reset_duration": "1M", "last_reset": "2026-11-01T00:00:00Z"}


def rate_limit_of(facts: dict[str, Any], used: int) -> dict[str, Any] | None:
    """The limit of a planted virtual key that has one."""
    if "requests_per_hour" not in facts:
        return None
    requests = {"request_max_limit": facts["requests_per_hour"], "request_current_usage": used}
    resets = {"request_reset_duration": "1h", "request_last_reset": "2026-11-01T00:00:00Z"}
    tokens = {"token_current_usage": 0, "token_last_reset": "0001-01-01T00:00:00Z"}
    return {"id": f"limit-{facts['id']}", **requests, **resets, **tokens}


def governance_routes(simulator: Simulator) -> list[Route]:
    """The routes that the simulator's generation has."""
    if simulator.dialect.name == "1.3":
        return []
    handlers = _Governance(simulator)
    routes = [
        Route("/api/governance/budgets", handlers.budgets),
        Route("/api/governance/rate-limits", handlers.rate_limits),
        Route("/mcp", handlers.mcp, methods=["POST"]),
        Route("/v1/mcp/tool/execute", handlers.execute, methods=["POST"]),
    ]
    if not simulator.dialect.before(1, 4, 18):
        routes += [
            Route("/api/governance/routing-rules", handlers.rules),
            Route("/api/mcp-logs", handlers.tool_log),
        ]
    return routes


class _Governance:
    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator

    def _refused(self, status: int, message: str, *, of_engine: bool = False) -> Response:
        failure = Failure(status=status, message=message, of_engine=of_engine)
        return json_response(self.simulator.dialect.error(failure, None), status)

    async def budgets(self, request: Request) -> Response:
        found = [budget_of(facts) for facts in VIRTUAL_KEYS.values()]
        return json_response({"budgets": found, "count": len(found)})

    async def rate_limits(self, request: Request) -> Response:
        asked = self.simulator.governance.asked
        found = [limit for facts in VIRTUAL_KEYS.values() if (limit := rate_limit_of(facts, asked[facts["id"]]))]
        return json_response({"count": len(found), "rate_limits": found})

    async def rules(self, request: Request) -> Response:
        asked = request.query_params
        limit = min(100, int(asked["limit"])) if asked.get("limit", "").isdecimal() else 0
        offset = int(asked["offset"]) if asked.get("offset", "").isdecimal() else 0
        return json_response({"count": 0, "limit": limit, "offset": offset, "rules": [], "total_count": 0})

    # -- tools --------------------------------------------------------------------------------------------------------

    def _called(self, name: str, arguments: Any, key: Any, call_id: str) -> Any:
        delay_s = self.simulator.dialect.log_interval_s / self.simulator.speed
        return self.simulator.tools.call(name, arguments if isinstance(arguments, dict) else {}, key, call_id, delay_s)

    async def mcp(self, request: Request) -> Response:
        """JSON-RPC as MCP has it. Measured: ``initialize``, ``tools/list``, ``tools/call``; other methods were read."""
        key = virtual_key(request.headers, self.simulator.dialect)
        if key is None and request.headers.get("x-bf-vk"):
            return self._refused(401, "virtual key not found" + ("." if self.simulator.dialect.old else ""))
        asked = await _object(request)
        if asked is None:
            return json_response(_rpc(None, error=(-32700, "Parse error")))
        method, params = asked.get("method"), asked.get("params")
        params = params if isinstance(params, dict) else {}
        if "id" not in asked:
            return Response(status_code=200 if self.simulator.dialect.old else 202)
        if method == "initialize":
            told = {"protocolVersion": params.get("protocolVersion"), "capabilities": {"tools": {"listChanged": True}}}
            told["serverInfo"] = {"name": "global", "version": self.simulator.dialect.version}
            return json_response(_rpc(asked, told))
        if method == "tools/list":
            if params.get("cursor"):
                return json_response(_rpc(asked, error=(-32602, "illegal base64 data at input byte 0")))
            return json_response(_rpc(asked, {"tools": self.simulator.tools.listed(key)}))
        if method == "tools/call":
            name = str(params.get("name"))
            result = self._called(name, params.get("arguments"), key, "")
            if result is None:
                return json_response(_rpc(asked, error=(-32602, f"tool '{name}' not found: tool not found")))
            told = {"content": [{"type": "text", "text": result.text}]}
            return json_response(_rpc(asked, told | ({"isError": True} if result.is_error else {})))
        return json_response(
            _rpc(asked, {} if method == "ping" else None, error=(-32601, f"Method {method} not found"))
        )

    async def execute(self, request: Request) -> Response:
        """``POST /v1/mcp/tool/execute``, in the form of chats: one call of a tool, answered as its message."""
        asked = await _object(request) or {}
        function = asked.get("function")
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            return self._refused(400, "Tool function name is required")
        try:
            arguments = orjson.loads(function.get("arguments") or "{}")
        except (orjson.JSONDecodeError, TypeError):
            arguments = {}
        call_id, name = str(asked.get("id") or ""), function["name"]
        result = self._called(name, arguments, virtual_key(request.headers, self.simulator.dialect), call_id)
        if result is None:
            return self._refused(400, f"tool '{name}' is not available or not permitted", of_engine=True)
        flag = {"is_error": True} if result.is_error and self.simulator.dialect.second else {}
        return json_response({"role": "tool", "content": result.text, "tool_call_id": call_id, **flag})

    async def tool_log(self, request: Request) -> Response:
        asked = request.query_params
        try:
            limit, offset = int(asked.get("limit", 50)), int(asked.get("offset", 0))
            start, end = (moment_of(asked[name]) if name in asked else None for name in ("start_time", "end_time"))
        except ValueError as error:
            return self._refused(400, f"invalid parameter: {error}")
        if limit > 1000:
            return self._refused(400, "limit cannot exceed 1000")
        lists = {"tool_names": "tool_name", "server_labels": "server_label", "status": "status"}
        rows = [
            row
            for row in self.simulator.tools.written()
            if all(name not in asked or row.get(field) in asked[name].split(",") for name, field in lists.items())
            and (start is None or row["timestamp"] >= start)
            and (end is None or row["timestamp"] <= end)
        ]
        if asked.get("order") != "asc":
            rows.reverse()
        told = [
            {
                **{name: value for name, value in row.items() if name != "written_at"},
                "timestamp": rfc3339(row["timestamp"]),
            }
            for row in rows[offset : offset + limit]
        ]
        pagination = {"limit": limit, "offset": offset, "sort_by": "timestamp", "order": asked.get("order", "desc")}
        pagination["total_count"] = len(rows)
        return json_response({"logs": told, "pagination": pagination, "has_logs": bool(self.simulator.tools.rows)})


def _rpc(asked: Any, result: Any = None, error: tuple[int, str] | None = None) -> dict[str, Any]:
    head = {"jsonrpc": "2.0", "id": asked.get("id") if asked else None}
    if result is not None or error is None:
        return head | {"result": result}
    return head | {"error": {"code": error[0], "message": error[1]}}


async def _object(request: Request) -> dict[str, Any] | None:
    try:
        found = orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None
