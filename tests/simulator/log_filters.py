"""Which filters a gateway's log obeys, asked of real programs and of the embedded gateway by the same calls."""

from __future__ import annotations

import time
import uuid
from collections.abc import Container
from typing import Any

import httpx

__all__ = ["Numbers", "found_by_filter", "obeyed"]

Numbers = tuple[int, int, int]
_MESSAGES = [{"role": "user", "content": "Explain tides briefly"}]
_CALLS: dict[str, tuple[str, dict[str, Any], dict[str, str]]] = {
    "tagged": (
        "/v1/chat/completions",
        {"model": "openai/gpt-4o-mini", "messages": _MESSAGES},
        {"x-bf-dim-team": "a", "baggage": "a=b,session-id=session-of-this-one"},
    ),
    "cut": ("/v1/completions", {"model": "azure/fast", "prompt": "x", "max_tokens": 4}, {}),
    "alias": ("/v1/chat/completions", {"model": "azure/gpt-4o", "messages": _MESSAGES}, {}),
    "failed": (
        "/v1/completions",
        {"model": "azure/always-fails", "prompt": "x", "fallbacks": ["openai/gpt-3.5-turbo-instruct"]},
        {},
    ),
}
ALL = {*_CALLS, "fallback"}


def obeyed(numbers: Numbers) -> dict[str, set[str]]:
    """The rows that each filter leaves, by gateway version; all where it ignores the filter."""
    new = numbers >= (1, 5, 1)
    return {
        "request_id": ALL,
        "parent_request_id": {"fallback"} if new else ALL,
        "stop_reasons": {"cut"} if new else ALL,
        "aliases": {"alias"} if new else ALL,
        # 1.4.18 filters by what it does not keep.
        "metadata_team": {"tagged"} if new else set() if numbers == (1, 4, 18) else ALL,
        # The provider's name of it from 1.5.1 on, before that the gateway's.
        "models": set() if new else {"alias"},
        "status": {"failed"},
        "providers": {"cut", "alias", "failed"},
        "missing_cost_only": set() if numbers >= (1, 4, 9) else {"failed"},
        # Of the header baggage, as the parent of a call; x-bf-session-id, which binds it to a key, is in no row.
        "session_id": {"tagged"} if new else ALL,
        "virtual_key_ids": set(),
        "min_tokens": set(),
        "content_search": {"tagged", "alias"},
        "no_such_filter": ALL,
    }


def found_by_filter(url: str) -> dict[str, set[str]]:
    """What the gateway at `url` leaves by each filter, of the rows of some calls."""
    ids = {name: str(uuid.uuid4()) for name in _CALLS}
    values = {
        "request_id": ids["cut"], "parent_request_id": ids["failed"], "stop_reasons": "length", "aliases": "gpt-4o",
        "metadata_team": "a", "models": "gpt-4o", "status": "error", "providers": "azure", "missing_cost_only": "true",
        "session_id": "session-of-this-one", "virtual_key_ids": "no-such-key", "min_tokens": "1000000",
        "content_search": "tides", "no_such_filter": "x",
    }  # fmt: skip
    with httpx.Client(base_url=url, timeout=30) as http:
        for name, (path, body, headers) in _CALLS.items():
            answer = http.post(path, json=body, headers={"x-request-id": ids[name], **headers})
            assert answer.status_code == 200, answer.text
        names = {row_id: name for name, row_id in ids.items()}
        end = time.monotonic() + 30
        while len(rows := _rows(http, names)) < len(ALL) or any(row["status"] == "processing" for row in rows):
            assert time.monotonic() < end, rows
            time.sleep(0.1)
        return {
            name: {names.get(row["id"], "fallback") for row in _rows(http, names, **{name: value})}
            for name, value in values.items()
        }


def _rows(http: httpx.Client, names: Container[str], **filters: str) -> list[dict[str, Any]]:
    """The rows of our calls: others of earlier ones may still come."""
    found: list[dict[str, Any]] = http.get("/api/logs", params={"limit": "1000", **filters}).json()["logs"] or []
    return [row for row in found if (row["parent_request_id"] if row["fallback_index"] else row["id"]) in names]
