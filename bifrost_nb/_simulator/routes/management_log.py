"""The gateway's log as the management API tells it: which rows a query asks for, in which order, and their sums."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import QueryParams

from ..content.tokens import message_text
from ..dialects import Dialect
from ..records import LogRow, LogStore

__all__ = ["SORTS", "counted", "found_rows", "key_shape", "moment_of", "rfc3339", "statistics", "told_row"]


def found_rows(logs: LogStore, query: QueryParams, dialect: Dialect) -> list[LogRow]:
    """The rows written by now that pass every filter of `query` that the generation knows, oldest first."""
    known = [item for item in query.multi_items() if _known(item[0], dialect)]
    checks = [check for check in (_filter(*item) for item in known) if check]
    if "missing_cost_only" in query and not dialect.before(1, 4, 18):  # measured: a failed call is not missing one
        checks.append(lambda row: row.facts["status"] != "error")
    return [row for row in logs.written() if all(check(row) for check in checks)]


def rfc3339(seconds: float) -> str:
    """`seconds` since 1970 as text, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def moment_of(text: str) -> float:
    """Seconds since 1970 of a time as text. Raises ValueError."""
    return datetime.fromisoformat(text).timestamp()


_LEFT_OUT = ("output_message", "responses_output", "params", "metadata", "stop_reason", "attempt_trail")
"""What a list of 1.4.18 and later leaves out of its rows."""
_NAMELESS = ("routing_rule_id", "routing_rule_name")
_PEOPLE = tuple(f"{who}_{what}" for who in ("user", "team", "customer", "business_unit") for what in ("id", "name"))
_PROMPTS = ("selected_prompt_id", "selected_prompt_name", "selected_prompt_version")


def told_row(row: LogRow, dialect: Dialect, *, listed: bool) -> dict[str, Any]:
    """The row as the log's routes tell it: one of a list, or by itself with all that is known."""
    facts, at = row.facts, rfc3339(row.timestamp)
    told = {name: value for name, value in facts.items() if name not in ("metadata", "user_agent") or value}
    told |= {"timestamp": at, "created_at": at, "raw_request": "", "raw_response": ""}
    failed = facts["status"] != "success"
    left = "request_cancelled" in str(facts.get("error_details"))
    if facts["status"] == "processing":
        told |= {"selected_key_id": "", "selected_key_name": ""}
        for name in ("token_usage", "output_message", "responses_output"):
            told.pop(name, None)
    if failed and not dialect.second and not left:
        told.pop("latency", None)
    if failed and not dialect.old and not left:
        told |= {"selected_key_id": "", "selected_key_name": ""}
    else:
        key = {"id": facts.get("selected_key_id", ""), "name": facts.get("selected_key_name", "")}
        told["selected_key"] = key_shape(dialect, key, "")
    if not dialect.second:
        told.pop("user_agent", None)
    if dialect.before(1, 4, 18):
        told.pop("stop_reason", None)
        return told
    told |= dict.fromkeys(_NAMELESS) | {"is_large_payload_request": False, "is_large_payload_response": False}
    if not dialect.old:
        attempt = {"attempt": 0, "key_id": facts.get("selected_key_id"), "key_name": facts.get("selected_key_name")}
        attempt |= {} if dialect.before(1, 5, 16) else {"triggered_rotation": False}
        told["attempt_trail"] = [attempt]
        told = dict.fromkeys((*_PEOPLE, *_PROMPTS)) | told
    if not dialect.before(1, 5, 16):
        told["content_summary"] = _summary(facts)
    if dialect.second:
        told |= {"app": "Other", "content_hidden": False}
    left_out = (*_LEFT_OUT, "error_details") if dialect.second else _LEFT_OUT
    return {name: value for name, value in told.items() if not (listed and name in left_out)}


def key_shape(dialect: Dialect, key: dict[str, Any], value: str) -> dict[str, Any]:
    """A provider's key as the management API tells it: never the value, `value` is what stands for it."""
    reference: dict[str, Any] = {"ref": "env.DEMO_KEY", "type": "env"} if value else {}
    if dialect.before(1, 5, 16):
        reference = {"env_var": "env.DEMO_KEY" if value else "", "from_env": bool(value)}
    told: dict[str, Any] = {**key, "value": value if dialect.name == "1.3" else {"value": value, **reference}}
    told["models"] = [] if dialect.old else ["*"]
    if not dialect.before(1, 4, 18):
        told["blacklisted_models"] = []
    return told | {"weight": 1}


def _summary(facts: dict[str, Any]) -> str:
    """Measured: the last message, the answer and the error, with blanks between."""
    asked = facts.get("input_history") or facts.get("responses_input_history") or [{}]
    error = ((facts.get("error_details") or {}).get("error") or {}).get("message")
    answers = [facts.get("output_message") or {}, *(facts.get("responses_output") or ())]
    said = [message_text(each) for each in (asked[-1], *answers) if each.get("content")]
    return " ".join(part for part in (*said, error) if part)


SORTS: dict[str, Callable[[LogRow], float]] = {
    "timestamp": lambda row: row.timestamp,
    "latency": lambda row: row.facts.get("latency") or 0,
    "tokens": lambda row: row.tokens,
    "cost": lambda row: row.facts.get("cost") or 0,
}
_LISTS: dict[str, str] = {
    "providers": "provider", "models": "model", "status": "status", "objects": "object", "stop_reasons": "stop_reason",
    "virtual_key_ids": "virtual_key_id", "selected_key_ids": "selected_key_id", "aliases": "alias",
}  # fmt: skip
_SINCE: dict[str, tuple[int, ...]] = {
    "metadata_": (1, 4, 18), "aliases": (1, 5, 1), "stop_reasons": (1, 5, 1), "parent_request_id": (1, 5, 1),
    "session_id": (1, 5, 1),
}  # fmt: skip
"""Measured: the first of the six gateways that filters by it; older ones, as for ``request_id`` all, ignore it."""
_CONTENT = ("input_history", "responses_input_history", "output_message", "responses_output")
_PERIODS = {"1h": 3_600, "6h": 21_600, "24h": 86_400, "7d": 604_800, "30d": 2_592_000}


def _known(name: str, dialect: Dialect) -> bool:
    since = _SINCE.get("metadata_" if name.startswith("metadata_") else name)
    return since is None or not dialect.before(*since)


def _filter(name: str, value: str) -> Callable[[LogRow], bool] | None:
    """The check behind one query parameter; None: it filters nothing (an unreadable time is ignored)."""
    if name in _LISTS:
        wanted = value.split(",")
        return lambda row: row.facts.get(_LISTS[name]) in wanted
    if name in ("parent_request_id", "session_id"):
        return lambda row: row.facts.get("parent_request_id") == value
    if name in ("start_time", "end_time"):
        try:
            moment = moment_of(value)
        except ValueError:
            return None
        return (lambda row: row.timestamp >= moment) if name == "start_time" else (lambda row: row.timestamp <= moment)
    if name == "period" and value in _PERIODS:
        return lambda row: row.timestamp >= time.time() - _PERIODS[value]
    if name == "content_search":
        return lambda row: any(value in str(row.facts.get(part)) for part in _CONTENT)
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


def statistics(rows: list[LogRow], dialect: Dialect) -> dict[str, Any]:
    """Counts, shares in percent, the mean latency in ms and the cost in US dollars, of `rows`."""
    latencies = [row.facts["latency"] for row in rows if row.facts["status"] == "success" or dialect.second]
    told: dict[str, Any] = {"total_requests": len(rows), "success_rate": _share(rows, _succeeded(rows))}
    if not dialect.old:
        asked = [row for row in rows if not row.facts["fallback_index"]]
        ends = {row.facts.get("parent_request_id") or row.facts["id"] for row in _succeeded(rows)}
        answered = [row for row in asked if row.facts["id"] in ends]
        told |= {"user_facing_success_rate": _share(asked, answered), "user_facing_total_requests": len(asked)}
    told["average_latency"] = sum(latencies) / len(latencies) if latencies else 0
    kinds = ("total", "prompt", "completion") if dialect.second else ("total",)
    usages = [row.facts.get("token_usage") or {} for row in rows]
    told |= {f"{kind}_tokens": sum(usage.get(f"{kind}_tokens") or 0 for usage in usages) for kind in kinds}
    told["total_cost"] = sum(row.facts.get("cost") or 0 for row in rows)
    return told if dialect.old else told | {"cache_hit_rate_total_requests": len(rows)}


def counted(rows: list[LogRow], dialect: Dialect) -> dict[str, Any]:
    """Measured: the sums that stand beside a list know how many rows there are, and nothing else."""
    nothing = statistics([], dialect) | {"total_requests": len(rows)}
    return {name: value for name, value in nothing.items() if name != "cache_hit_rate_total_requests"}


def _succeeded(rows: list[LogRow]) -> list[LogRow]:
    return [row for row in rows if row.facts["status"] == "success"]


def _share(whole: list[LogRow], part: list[LogRow]) -> float:
    return 100 * len(part) / len(whole) if whole else 0
