"""A bare gateway of whole text completions that writes its log rows late, and counts how often it is asked for them.

As measured on 1.5.16 and 2.0.0-prerelease3: a row is readable `delay_s` after the answer, in the list of ``/api/logs``.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus

import orjson
from starlette.types import Receive, Scope, Send

ANSWER = {
    "choices": [{"index": 0, "text": "hello", "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    "model": "m",
    "extra_fields": {"provider": "openai", "original_model_requested": "m", "resolved_model_used": "m"},
}

FILLING = {
    **dict.fromkeys(f"{of}_{what}" for of in ("user", "team", "customer", "routing_rule") for what in ("id", "name")),
    "content_summary": "How do tides come about? " + "The moon draws the water on its side of the earth. " * 6,
    "input_history": [{"role": "user", "content": "How do tides come about?"}],
    "token_usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    "selected_key": {"id": "128baf0e-ce5d-4669-9033-52c2b1bd4739", "name": "openai-1", "models": ["*"], "weight": 1},
    "raw_request": "",
    "raw_response": "",
    "created_at": "2026-11-27T23:49:10.08195949Z",
}
"""Makes a row as large as one of a real gateway: 1.0 to 1.5 kB in the lists of 1.4.0 to 2.0.0-prerelease3."""


class LogServer:
    """ASGI application; `route` False: it has no log, and says so with a page of HTML as a gateway does."""

    def __init__(self, delay_s: float = 2.0, *, route: bool = True) -> None:
        self.delay_s, self.route = delay_s, route
        self.rows: list[tuple[float, dict[str, Any]]] = []
        self.looks = self.told = 0
        """How often its list was asked for, and how many rows it gave."""
        self.single = 0
        """How often one row was asked for by its id."""
        self.price_lists = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path, kind, status = scope["path"], b"application/json", 200
        while (await receive()).get("more_body"):
            pass
        if path == "/v1/completions":
            sent = dict(scope["headers"])[b"x-request-id"].decode()
            row = {
                "id": sent,
                "parent_request_id": None,
                "timestamp": datetime.now(UTC).isoformat(),
                "status": "success",
            }
            row |= {"object": "text_completion", "provider": "openai", "model": "m", "fallback_index": 0, "cost": 0.25}
            row |= FILLING
            self.rows.append((time.monotonic(), row))
            body = orjson.dumps(ANSWER)
        elif path == "/api/logs" and self.route:
            self.looks += 1
            query = dict(pair.split("=") for pair in scope["query_string"].decode().split("&"))
            offset, limit = int(query["offset"]), int(query["limit"])
            until = time.monotonic() - self.delay_s
            since, before = (unquote_plus(query.get(name, "9")) for name in ("start_time", "end_time"))
            ready = [row for at, row in reversed(self.rows) if at <= until and since <= row["timestamp"] <= before]
            self.told += len(ready[offset : offset + limit])
            body = orjson.dumps({"logs": ready[offset : offset + limit], "has_logs": bool(ready), "pagination": {}})
        elif path.startswith("/api/"):
            self.looks += path.startswith("/api/logs")
            self.single += path.startswith("/api/logs/")
            body, kind = b"<!doctype html><title>gateway</title>", b"text/html; charset=utf-8"
        else:
            self.price_lists += path == "/v1/models"
            body, status = b'{"error":{"message":"no such route"}}', 404
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})
        await send({"type": "http.response.body", "body": body})
