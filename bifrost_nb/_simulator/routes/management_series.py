"""Further management routes of the embedded gateway: time series of its log, a key's own quota, whether to log in."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..dialects import Dialect, Failure
from ..governance import BUDGET_USD, VIRTUAL_KEYS
from ..http.framing import json_response
from ..records import LogRow
from ..state import Simulator
from .management_log import found_rows, key_shape, rfc3339, statistics

__all__ = ["series_routes"]

# The gateway's own rule (handlers/logging.go): seconds of the range, seconds of a bucket.
_BUCKETS = ((365 * 86_400, 30 * 86_400), (90 * 86_400, 7 * 86_400), (31 * 86_400 + 1, 3 * 86_400), (7 * 86_400, 86_400),
            (3 * 86_400, 8 * 3_600), (86_400, 3_600), (7_200, 600), (0, 60))  # fmt: skip

Bucket = dict[str, Any]
_NAMED = {"cost": "model", "models": "model", "by-provider": "provider"}
"""What a series is told apart by; its answer lists those names, too."""


def series_routes(simulator: Simulator) -> list[Route]:
    """The routes; those that a generation of the gateway does not have are left out."""
    dialect = simulator.dialect
    counters: dict[str, Callable[[list[LogRow]], Bucket]] = {
        "": _requests(dialect),
        "/tokens": _tokens,
        "/cost": _cost,
        "/models": _models(dialect),
        "/latency": _latency(dialect),
        "/tokens/by-provider": _by_provider(_tokens),
        "/cost/by-provider": lambda rows: {"total_cost": _spent(rows)} | _by_provider(_spent)(rows),
        "/latency/by-provider": _by_provider(_latency(dialect)),
    }
    if dialect.second:  # measured: only 2.0.0-prerelease3 has it
        counters |= {"/throughput": _throughput, "/throughput/by-provider": _by_provider(_throughput)}
    routes = []
    if not dialect.before(1, 4, 18):  # measured: older ones answer with their page
        routes = [
            Route(f"/api/logs/histogram{name}", _series(simulator, count, named=_NAMED.get(name.rpartition("/")[2])))
            for name, count in counters.items()
        ]
        routes.append(Route("/api/logs/rankings", _rankings(simulator)))
    routes.append(Route("/api/logs/filterdata", _filter_data(simulator)))
    routes.append(Route("/api/logs/dropped", _answers({"dropped_requests": 0})))
    newer = {} if dialect.before(1, 5, 16) else {"has_valid_token": False, "auth_type": "none"}
    routes.append(Route("/api/session/is-auth-enabled", _answers({"is_auth_enabled": False} | newer)))
    if not dialect.before(1, 4, 0):
        routes.append(Route("/api/governance/virtual-keys/quota", _quota(simulator)))
    return routes


def _answers(content: Any) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        return json_response(content)

    return answer


def _quota(simulator: Simulator) -> Callable[[Request], Response]:
    """What the asking key may still spend; for everybody who has it."""
    dialect = simulator.dialect
    headers = "x-bf-vk header, Authorization Bearer, x-api-key, or x-goog-api-key header"
    if dialect.second:
        headers = "x-bf-vk header, Authorization Bearer, x-api-key, x-goog-api-key, or api-key header"
    missing = Failure(status=401, message=f"Missing virtual key. Provide it via {headers}.")

    def answer(request: Request) -> Response:
        facts = VIRTUAL_KEYS.get(request.headers.get("x-bf-vk", ""))
        if dialect.old:  # measured: they take "quota" for a key's name
            return json_response(dialect.error(Failure(status=404, message="Virtual key not found"), None), 404)
        if facts is None:
            return json_response(dialect.error(missing, None), 401)
        budget = {"max_limit": BUDGET_USD, "current_usage": facts["spent"], "reset_duration": "1M"}
        told = {"virtual_key_name": facts["name"], "is_active": facts["is_active"], "budgets": [budget]}
        told["rate_limit"] = None
        return json_response(told if dialect.before(1, 5, 16) else told | {"model_configs": [], "provider_configs": []})

    return answer


def _series(
    simulator: Simulator, count: Callable[[list[LogRow]], Bucket], *, named: str | None
) -> Callable[[Request], Response]:
    """A handler that counts the rows of each bucket of time. `named` as in `_NAMED`."""

    def answer(request: Request) -> Response:
        rows = found_rows(simulator.logs, request.query_params, simulator.dialect)
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
        if named:
            body[f"{named}s"] = sorted({row.facts[named] for row in rows})
        return json_response(body)

    return answer


def _moment(request: Request, name: str) -> float | None:
    """Seconds since 1970; None where absent or unreadable, which the gateway ignores."""
    try:
        return min(datetime.fromisoformat(request.query_params.get(name, "")).timestamp(), time.time() + 86_400)
    except ValueError:
        return None


def _ends(dialect: Dialect) -> tuple[str, ...]:
    """How a call ended; up to 1.5.16 a cancelled one is an error."""
    return ("success", "error", "cancelled") if dialect.second else ("success", "error")


def _requests(dialect: Dialect) -> Callable[[list[LogRow]], Bucket]:
    def count(rows: list[LogRow]) -> Bucket:
        ended = [row.facts["status"] for row in rows]
        return {"count": len(rows)} | {end: ended.count(end) for end in _ends(dialect)}

    return count


def _tokens(rows: list[LogRow]) -> Bucket:
    usages = [row.facts.get("token_usage") or {} for row in rows]
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    told = {name: sum(usage.get(name) or 0 for usage in usages) for name in names}
    cached = ((usage.get("prompt_tokens_details") or {}).get("cached_read_tokens") or 0 for usage in usages)
    return told | {"cached_read_tokens": sum(cached)}


def _cost(rows: list[LogRow]) -> Bucket:
    costs: dict[str, float] = {}
    for row in rows:
        if row.facts.get("cost"):
            costs[row.facts["model"]] = costs.get(row.facts["model"], 0.0) + row.facts["cost"]
    return {"total_cost": sum(costs.values()), "by_model": costs}


def _models(dialect: Dialect) -> Callable[[list[LogRow]], Bucket]:
    def count(rows: list[LogRow]) -> Bucket:
        counts: dict[str, dict[str, int]] = {}
        for row in rows:
            count = counts.setdefault(row.facts["model"], {"total": 0} | dict.fromkeys(_ends(dialect), 0))
            count["total"] += 1
            count[row.facts["status"]] += 1
        return {"by_model": counts}

    return count


def _rankings(simulator: Simulator) -> Callable[[Request], Response]:
    """A handler that tells each model's figures, the most used first; there is no earlier period to compare with."""
    figures = ("requests", "tokens", "cost", "latency") + (("throughput",) if simulator.dialect.second else ())

    def answer(request: Request) -> Response:
        by_model: dict[tuple[str, str], list[LogRow]] = {}
        for row in found_rows(simulator.logs, request.query_params, simulator.dialect):
            by_model.setdefault((row.facts["provider"], row.facts["model"]), []).append(row)
        ranked = []
        for (provider, model), rows in sorted(by_model.items(), key=lambda item: -len(item[1])):
            sums, answered = statistics(rows, simulator.dialect), sum(row.facts["status"] == "success" for row in rows)
            told = {"model": model, "provider": provider, "total_requests": len(rows), "success_count": answered}
            told |= {name: sums[name] for name in ("success_rate", "total_tokens", "total_cost")}
            told["avg_latency"] = sums["average_latency"]
            if simulator.dialect.second:
                seconds = sum(row.facts["latency"] for row in rows) / 1e3
                written = sum((row.facts.get("token_usage") or {}).get("completion_tokens") or 0 for row in rows)
                told["throughput"] = written / seconds if seconds else 0
            trend = {"has_previous_period": False} | {f"{name}_trend": 0 for name in figures}
            ranked.append(told | {"trend": trend})
        return json_response({"rankings": ranked})

    return answer


def _filter_data(simulator: Simulator) -> Callable[[Request], Response]:
    """A handler that tells what a log can be filtered by; real ones know more than was asked here."""
    dialect = simulator.dialect

    def answer(request: Request) -> Response:
        rows = [row.facts for row in simulator.logs.written()]
        keys = {(row["selected_key_id"], row["selected_key_name"]) for row in rows if "selected_key_id" in row}
        told: dict[str, Any] = {
            "models": sorted({row["model"] for row in rows}),
            "selected_keys": [key_shape(dialect, {"id": key, "name": name}, "") for key, name in sorted(keys)],
            "virtual_keys": [],
        }
        if not dialect.before(1, 4, 18):
            told |= {"metadata_keys": {}, "routing_engines": [], "routing_rules": []}
        if not dialect.old:
            told["routing_engines"] = ["model-catalog"] if dialect.before(1, 5, 16) else ["core", "model-catalog"]
            told |= {name: [] for name in ("business_units", "customers", "teams", "users")}
            told["aliases"] = sorted({row["alias"] for row in rows if "alias" in row})
            told["stop_reasons"] = sorted({row["stop_reason"] for row in rows if row.get("stop_reason")})
        if dialect.second:
            told |= {"apps": ["Other"], "user_agents": sorted({row.get("user_agent", "") for row in rows})}
        return json_response(told)

    return answer


def _latency(dialect: Dialect) -> Callable[[list[LogRow]], Bucket]:
    """The gateway's percentiles: of the sorted values the one at that share.

    Measured: before 2.0 those of answered calls only.
    """

    def count(rows: list[LogRow]) -> Bucket:
        counted = [row for row in rows if dialect.second or row.facts["status"] == "success"]
        values = sorted(row.facts["latency"] for row in counted)

        def at(share: float) -> float:
            return values[min(len(values) - 1, int(share * len(values)))] if values else 0.0

        mean = sum(values) / len(values) if values else 0.0
        told = {"avg_latency": mean, "p90_latency": at(0.9), "p95_latency": at(0.95), "p99_latency": at(0.99)}
        return told | {"total_requests": len(values)}

    return count


def _throughput(rows: list[LogRow]) -> Bucket:
    """Measured: of answered calls, over the time of all of them."""
    answered = [row for row in rows if row.facts["status"] == "success"]
    seconds = sum(row.facts["latency"] for row in answered) / 1e3
    written = sum((row.facts.get("token_usage") or {}).get("completion_tokens") or 0 for row in answered)
    speed = written / seconds if seconds else 0
    return {"tokens_per_second": speed, "total_completion_tokens": written, "total_requests": len(answered)}


def _spent(rows: list[LogRow]) -> float:
    return sum(row.facts.get("cost") or 0.0 for row in rows)


def _by_provider(count: Callable[[list[LogRow]], Any]) -> Callable[[list[LogRow]], Bucket]:
    """The same figures, of each provider; of tokens without those of the cache."""

    def each(rows: list[LogRow]) -> Bucket:
        found: dict[str, list[LogRow]] = {}
        for row in rows:
            found.setdefault(row.facts["provider"], []).append(row)
        told = {provider: count(theirs) for provider, theirs in sorted(found.items())}
        for figures in told.values():
            if isinstance(figures, dict):
                figures.pop("cached_read_tokens", None)
        return {"by_provider": told}

    return each
