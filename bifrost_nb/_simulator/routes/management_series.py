"""Further management routes of the embedded gateway: time series of its log, a key's own quota, whether to log in."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..http.framing import json_response
from ..records import LogRow
from ..state import BUDGET_USD, VIRTUAL_KEYS, Simulator
from .management_log import found_rows, rfc3339

__all__ = ["series_routes"]

# The gateway's own rule (handlers/logging.go): seconds of the range, seconds of a bucket.
_BUCKETS = ((365 * 86_400, 30 * 86_400), (90 * 86_400, 7 * 86_400), (31 * 86_400 + 1, 3 * 86_400), (7 * 86_400, 86_400),
            (3 * 86_400, 8 * 3_600), (86_400, 3_600), (7_200, 600), (0, 60))  # fmt: skip

Bucket = dict[str, Any]


def series_routes(simulator: Simulator) -> list[Route]:
    """The routes; those that a generation of the gateway does not have are left out."""
    old = simulator.dialect.old
    histograms: dict[str, Callable[[list[LogRow]], Bucket]] = {
        "": _requests(old),
        "/tokens": _tokens,
        "/cost": _cost,
        "/models": _models,
    }
    if not old:
        histograms["/latency"] = _latency
    routes = [Route(f"/api/logs/histogram{name}", _series(simulator, count)) for name, count in histograms.items()]
    routes.append(Route("/api/logs/dropped", _answers({"dropped_requests": 0})))
    told = {"is_auth_enabled": False} | ({} if old else {"has_valid_token": False, "auth_type": "none"})
    routes.append(Route("/api/session/is-auth-enabled", _answers(told)))
    if simulator.dialect.second:
        routes.append(Route("/api/governance/virtual-keys/quota", _quota))
    return routes


def _answers(content: Any) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        return json_response(content)

    return answer


def _quota(request: Request) -> Response:
    """What the asking key may still spend; for everybody who has it."""
    facts = VIRTUAL_KEYS.get(request.headers.get("x-bf-vk", ""))
    if facts is None:
        return json_response({"error": "virtual key not found"}, 401)
    budget = {"max_limit": BUDGET_USD, "current_usage": facts["spent"], "reset_duration": "1M"}
    return json_response({"virtual_key_name": facts["name"], "is_active": facts["is_active"], "budgets": [budget]})


def _series(simulator: Simulator, count: Callable[[list[LogRow]], Bucket]) -> Callable[[Request], Response]:
    """A handler that counts the rows of each bucket of time."""

    def answer(request: Request) -> Response:
        rows = found_rows(simulator.logs, request.query_params)
        start, end = _moment(request, "start_time"), _moment(request, "end_time")
        width = 3_600
        if start is not None and end is not None:
            width = next(width for least, width in _BUCKETS if end - start >= least)
            starts: Iterable[int] = range(int(start) // width * width, int(end) + 1, width)
        else:
            starts = sorted({int(row.timestamp) // width * width for row in rows})
        by_bucket: dict[int, list[LogRow]] = {each: [] for each in starts}
        for row in rows:
            by_bucket.setdefault(int(row.timestamp) // width * width, []).append(row)
        buckets = [{"timestamp": rfc3339(each)} | count(found) for each, found in sorted(by_bucket.items())]
        body: dict[str, Any] = {"buckets": buckets, "bucket_size_seconds": width}
        if count in (_cost, _models):
            body["models"] = sorted({row.facts["model"] for row in rows})
        return json_response(body)

    return answer


def _moment(request: Request, name: str) -> float | None:
    """Seconds since 1970; None where absent or unreadable, which the gateway ignores."""
    try:
        return min(datetime.fromisoformat(request.query_params.get(name, "")).timestamp(), time.time() + 86_400)
    except ValueError:
        return None


def _requests(old: bool) -> Callable[[list[LogRow]], Bucket]:
    def count(rows: list[LogRow]) -> Bucket:
        ended = [row.facts["status"] for row in rows]
        bucket = {"count": len(rows), "success": ended.count("success"), "error": ended.count("error")}
        return bucket if old else bucket | {"cancelled": ended.count("cancelled")}

    return count


def _tokens(rows: list[LogRow]) -> Bucket:
    usages = [row.facts.get("token_usage") or {} for row in rows]
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    return {name: sum(usage.get(name) or 0 for usage in usages) for name in names}


def _cost(rows: list[LogRow]) -> Bucket:
    costs: dict[str, float] = {}
    for row in rows:
        if row.facts.get("cost"):
            costs[row.facts["model"]] = costs.get(row.facts["model"], 0.0) + row.facts["cost"]
    return {"total_cost": sum(costs.values()), "by_model": costs}


def _models(rows: list[LogRow]) -> Bucket:
    counts: dict[str, dict[str, int]] = {}
    for row in rows:
        count = counts.setdefault(row.facts["model"], {"total": 0, "success": 0, "error": 0})
        count["total"] += 1
        if row.facts["status"] in count:
            count[row.facts["status"]] += 1
    return {"by_model": counts}


def _latency(rows: list[LogRow]) -> Bucket:
    """The gateway's percentiles: of the sorted values the one at that share."""
    values = sorted(row.facts["latency"] for row in rows)

    def at(share: float) -> float:
        return values[min(len(values) - 1, int(share * len(values)))] if values else 0.0

    mean = sum(values) / len(values) if values else 0.0
    return {"avg_latency": mean, "p90_latency": at(0.9), "p95_latency": at(0.95), "p99_latency": at(0.99)} | {
        "total_requests": len(values)
    }
