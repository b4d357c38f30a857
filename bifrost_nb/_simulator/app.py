"""All routes of the embedded gateway as one ASGI application, behind a guard that only serves this machine."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from .providers import Anthropic, AnthropicCount, Bedrock, Cohere, GenAI, GenAICount, ProviderFormat
from .routes.inference import OPERATIONS, Inference
from .routes.management import management_routes
from .state import Simulator

__all__ = ["gateway_app"]

_OPENAI_PREFIXES = ("/openai", "/litellm", "/langchain", "/pydanticai")
"""Integrations that share one set of routes."""

_FRAMEWORKS = ("/litellm", "/langchain", "/pydanticai")
"""Integrations that speak every format under one prefix (integrations/{litellm,langchain,pydanticai}.go)."""

_FOREIGN: tuple[tuple[ProviderFormat, str], ...] = (
    (Anthropic(), "/v1/messages"),
    (AnthropicCount(), "/v1/messages/count_tokens"),
    (GenAI(streamed=False), "/v1beta/models/{model:path}:generateContent"),
    (GenAI(streamed=True), "/v1beta/models/{model:path}:streamGenerateContent"),
    (GenAICount(streamed=False), "/v1beta/models/{model:path}:countTokens"),
    (Bedrock(streamed=False), "/model/{model:path}/converse"),
    (Bedrock(streamed=True), "/model/{model:path}/converse-stream"),
    (Cohere(), "/v2/chat"),
)
"""The routes of other providers' SDKs, below the format's name or a framework's prefix."""


def gateway_app(simulator: Simulator, *, control_token: str | None = None) -> ASGIApp:
    """The application. `control_token` opens the routes by which tests script it; None: there are none."""
    routes = [
        Route(f"/v1/{operation}", Inference(simulator, kind, "v1"), methods=["POST"])
        for operation, kind in OPERATIONS.items()
    ]
    for prefix in _OPENAI_PREFIXES:
        for operation, kind in OPERATIONS.items():
            endpoint = Inference(simulator, kind, "openai")
            for version in ("", "/v1"):
                routes.append(Route(f"{prefix}{version}/{operation}", endpoint, methods=["POST"]))
        # An Azure SDK adds a second "openai" to the prefix itself.
        azure, responses = Inference(simulator, None, "openai"), Inference(simulator, "responses", "openai")
        routes.append(Route(f"{prefix}/openai/responses", responses, methods=["POST"]))
        routes.append(Route(f"{prefix}/openai/deployments/{{rest:path}}", azure, methods=["POST"]))
    for format, path in _FOREIGN:
        for prefix in (f"/{format.route}", *_FRAMEWORKS):
            endpoint = Inference(simulator, "chat", format.route, format)
            routes.append(Route(f"{prefix}{path}", endpoint, methods=["POST"]))
    routes += management_routes(simulator, control_token)
    return _Guard(Starlette(routes=routes, exception_handlers={404: _plain, 405: _plain}))


async def _plain(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for status codes only
    return PlainTextResponse(error.detail, error.status_code, error.headers)


@dataclass(slots=True)
class _Guard:
    """Refuses requests that a web page smuggled in: a foreign Host (DNS rebinding) or a foreign Origin."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            port = (scope.get("server") or ("", 80))[1]
            ours = {name.encode() for host in ("127.0.0.1", "localhost", "[::1]") for name in (f"{host}:{port}", host)}
            if port != 80:
                ours = {name for name in ours if name.endswith(b":%d" % port)}
            origin = headers.get(b"origin")
            if headers.get(b"host", b"").lower() not in ours or (origin and origin.partition(b"://")[2] not in ours):
                await PlainTextResponse("This gateway serves only the machine it runs on.", 403)(scope, receive, send)
                return
        await self.app(scope, receive, send)
