"""The gateway's log as the management API tells it: which rows a query asks for, in which order, and their sums."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import QueryParams

from ..records import LogRow, LogStore

__all__ = ["SORTS", "found_rows", "moment_of", "rfc3339", "statistics", "told_row"]


def found_rows(logs: LogStore, query: QueryParams) -> list[LogRow]:
    """The rows written by now that pass every filter of `query`, oldest first."""
    checks = [check for check in (_filter(*item) for item in query.multi_items()) if check]
    return [row for row in logs.written() if all(check(row) for check in checks)]


def rfc3339(seconds: float) -> str:
    """`seconds` since 1970 as text, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def moment_of(text: str) -> float:
    """Seconds since 1970 of a time as text. Raises ValueError."""
    return datetime.fromisoformat(text).timestamp()


def told_row(row: LogRow) -> dict[str, Any]:
    """The row as the log's routes tell it."""
    return {**row.facts, "timestamp": rfc3339(row.timestamp), "created_at": rfc3339(row.timestamp)}


SORTS: dict[str, Callable[[LogRow], float]] = {
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
            moment = moment_of(value)
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
        return _bound(side, SORTS[figure], value)
    return None


def _bound(side: str, figure: Callable[[LogRow], float], value: str) -> Callable[[LogRow], bool] | None:
    try:
        limit = float(value)
    except ValueError:
        return None
    return (lambda row: figure(row) >= limit) if side == "min" else (lambda row: figure(row) <= limit)


def statistics(rows: list[LogRow]) -> dict[str, Any]:
    """Counts, shares in percent, the mean latency in ms and the cost in US dollars, of `rows`."""
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
