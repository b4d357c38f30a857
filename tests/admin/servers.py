"""Gateways of all kinds for these tests: any ASGI application on a free port, one that answers from a table, a lock."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson
import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

Answer = Callable[[Request], Any]
"""JSON to send, or a `Response`."""


@contextlib.contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """The address at which `app` answers."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, lifespan="off", ws="none", log_config=None, access_log=False, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()
        assert not thread.is_alive()


class Table:
    """A gateway that answers each path from a table and remembers what it was asked; 404 for all else."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = answers
        self.asked: list[Request] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        self.asked.append(request)
        answer = self.answers.get(request.url.path, json({"error": {"message": "no such route"}}, 404))
        if callable(answer) and not isinstance(answer, Response):
            answer = answer(request)
        await (answer if isinstance(answer, Response) else json(answer))(scope, receive, send)

    def paths(self) -> list[str]:
        return [request.url.path for request in self.asked]


def json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


class Locked:
    """Before a gateway: its management API opens for user and password, or for the token of a login.

    `basic` False: only for the token. The login tells it in its answer, or (`cookie`) in a cookie only.
    """

    def __init__(self, app: ASGIApp, user: str, password: str, *, basic: bool = True, cookie: bool = False) -> None:
        self.app, self.user, self.password, self.basic, self.cookie = app, user, password, basic, cookie
        self.token = "session-0123456789abcdef"
        self.logins = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        path = request.url.path
        if path == "/api/session/login":
            await (await self._login(request))(scope, receive, send)
        elif path.startswith("/api/") and not path.endswith("/quota") and not self._opens(request):
            await json({"error": {"message": "Unauthorized"}, "is_bifrost_error": True}, 401)(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _opens(self, request: Request) -> bool:
        given = request.headers.get("authorization", "")
        pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return given == f"Bearer {self.token}" or (self.basic and given == f"Basic {pair}")

    async def _login(self, request: Request) -> Response:
        self.logins += 1
        if orjson.loads(await request.body()) != {"username": self.user, "password": self.password}:
            return json({"error": {"message": "Invalid username or password"}}, 401)
        answer = json({"message": "Login successful"} | ({} if self.cookie else {"token": self.token}))
        answer.set_cookie("token", self.token, httponly=True)
        return answer


def log_row(number: int, **facts: Any) -> dict[str, Any]:
    """A row of the gateway's log; later numbers are later in time."""
    minute, second = divmod(number, 60)
    hour, minute = divmod(minute, 60)
    return {
        "id": f"row-{number}",
        "parent_request_id": None,
        "timestamp": f"2026-11-0{1 + hour // 24}T{hour % 24:02d}:{minute:02d}:{second:02d}.123456789Z",
        "object": "text_completion",
        "provider": "azure",
        "model": "fast",
        "fallback_index": 0,
        "status": "success",
        "latency": 12.5,
        "cost": 0.25,
        "token_usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
        "input_history": [{"role": "user", "content": f"prompt {number}"}],
        "output_message": {"role": "assistant", "content": f"answer {number}"},
    } | facts


class Log:
    """The log routes of a gateway over `rows`, newest last; `most` rows a page, 400 beyond 1,000 as the real one."""

    def __init__(self, rows: list[dict[str, Any]], *, most: int = 1000, total: bool = True) -> None:
        self.rows, self.most, self.total = rows, most, total
        self.before_page: Callable[[], object] = lambda: None

    def page(self, request: Request) -> Any:
        limit, offset = int(request.query_params["limit"]), int(request.query_params.get("offset", 0))
        if not 1 <= limit <= 1000:
            return json({"error": {"message": "limit cannot exceed 1000"}}, 400)
        self.before_page()
        found = sorted(self.rows, key=lambda row: row["timestamp"], reverse=request.query_params.get("order") != "asc")
        answer: dict[str, Any] = {"logs": found[offset : offset + min(limit, self.most)] or None}
        return answer | ({"pagination": {"total_count": len(found), "limit": limit}} if self.total else {})
