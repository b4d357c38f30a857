"""The administrator's log-in before the embedded gateway's routes, where `Protection` asks for one."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, field

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from .dialects import Failure
from .http.connection import ServerConnection
from .http.framing import json_response
from .state import Simulator

__all__ = ["AdminDoor"]

_ENABLED = "/api/session/is-auth-enabled"
_LOGIN = "/api/session/login"
_INTEGRATIONS = ("openai", "anthropic", "genai", "bedrock", "cohere", "litellm", "langchain", "pydanticai")
_INFERENCE = tuple(f"/{prefix}/" for prefix in ("v1", *_INTEGRATIONS))


@dataclass(slots=True)
class AdminDoor:
    """Opens for user and password, or for the token of a log-in as bearer or cookie."""

    app: ASGIApp
    simulator: Simulator
    token: str = field(default_factory=lambda: secrets.token_urlsafe(16))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        path = request.url.path
        if path == _LOGIN and request.method == "POST":
            answer = await self._login(request)
        elif path == _ENABLED:
            answer = self._enabled(request)
        elif self._is_locked(path) and not self._opens(request):
            answer = self._refused("Unauthorized")
        else:
            await self.app(scope, receive, send)
            return
        self.simulator.recorder.add(ServerConnection(scope, receive, send).record)
        await answer(scope, receive, send)

    def _is_locked(self, path: str) -> bool:
        """Measured but for the quota of a virtual key, which was read to open for that key."""
        dialect, protection = self.simulator.dialect, self.simulator.protection
        if path.startswith("/api/"):
            return path != "/api/governance/virtual-keys/quota" and (path != "/api/version" or dialect.name == "1.4.18")
        guards = dialect.name in ("1.4.18", "1.5.1") and not protection.disable_auth_on_inference
        return guards and path.startswith(_INFERENCE)

    def _opens(self, request: Request) -> bool:
        given = request.headers.get("authorization", "")
        protection = self.simulator.protection
        pair = base64.b64encode(f"{protection.admin_username}:{protection.admin_password}".encode()).decode()
        return given in (f"Basic {pair}", f"Bearer {self.token}") or request.cookies.get("token") == self.token

    def _refused(self, message: str) -> Response:
        return json_response(self.simulator.dialect.error(Failure(status=401, message=message), None), 401)

    def _enabled(self, request: Request) -> Response:
        told = {"is_auth_enabled": True, "has_valid_token": request.cookies.get("token") == self.token}
        return json_response(told if self.simulator.dialect.before(1, 5, 16) else told | {"auth_type": "password"})

    async def _login(self, request: Request) -> Response:
        try:
            told = orjson.loads(await request.body())
        except orjson.JSONDecodeError:
            told = None
        protection = self.simulator.protection
        if told != {"username": protection.admin_username, "password": protection.admin_password}:
            return self._refused("Invalid username or password")
        answer = json_response({"message": "Login successful"})
        answer.set_cookie("token", self.token, max_age=30 * 86_400, httponly=True, samesite="lax")
        return answer
