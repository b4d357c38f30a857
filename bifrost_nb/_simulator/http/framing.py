"""The bytes around an answer: server-sent events, and what a script changes of a body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

__all__ = ["DONE", "STREAM_HEADERS", "json_response", "merged", "sse"]

DONE = b"data: [DONE]\n\n"
STREAM_HEADERS = {"content-type": "text/event-stream", "cache-control": "no-cache", "connection": "keep-alive"}


def sse(content: Any, name: str = "") -> bytes:
    """One server-sent event."""
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + orjson.dumps(content) + b"\n\n"


def json_response(content: Any, status: int = 200) -> Response:
    """`content` as a whole JSON answer."""
    return Response(orjson.dumps(content), status, media_type="application/json")


def merged(body: Any, changes: Mapping[str, Any]) -> Any:
    """`body` with `changes`, objects deeply."""
    result = dict(body)
    for name, value in changes.items():
        inner = isinstance(value, Mapping) and isinstance(result.get(name), Mapping)
        result[name] = merged(result[name], value) if inner else value
    return result
