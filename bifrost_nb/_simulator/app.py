"""All routes of the embedded gateway as one ASGI application, behind a guard that only serves this machine."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .admin_login import AdminDoor
from .deployments import Kind
from .dialects import Dialect
from .providers import Anthropic, AnthropicCount, Bedrock, Cohere, GenAI, GenAICount, ProviderFormat
from .routes.batches import batch_routes
from .routes.inference import OPERATIONS, Inference
from .routes.management import management_routes
from .routes.token_count import CountTokens, count_path
from .state import Simulator

__all__ = ["gateway_app"]

_OPENAI_PREFIXES = ("/openai", "/litellm", "/langchain", "/pydanticai")
"""Integrations that share one set of routes."""

_FRAMEWORKS = ("/litellm", "/langchain", "/pydanticai")
"""Integrations that speak every format under one prefix (integrations/{litellm,langchain,pydanticai}.go)."""

_PAGE = "<!doctype html><title>The embedded gateway has no pages</title>\n"

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
    operations = dict(OPERATIONS)
    if simulator.dialect.name == "1.3":  # measured: 405
        del operations["images/generations"]
    routes = [
        Route(f"/v1/{operation}", Inference(simulator, kind, "v1"), methods=["POST"])
        for operation, kind in operations.items()
    ]
    counted: Kind = "chat" if simulator.dialect.before(1, 4, 18) else "responses"
    routes.append(
        Route(f"/v1/{count_path(simulator.dialect)}", CountTokens(simulator, counted, "v1"), methods=["POST"])
    )
    for prefix in _OPENAI_PREFIXES:
        count = CountTokens(simulator, "responses", "openai")
        for version in ("", "/v1", "/openai"):  # measured from 1.4.0 on: the path of OpenAI's SDK is there in all
            routes.append(Route(f"{prefix}{version}/responses/input_tokens", count, methods=["POST"]))
        for operation, kind in operations.items():
            endpoint = Inference(simulator, kind, "openai")
            for version in ("", "/v1"):
                routes.append(Route(f"{prefix}{version}/{operation}", endpoint, methods=["POST"]))
        # An Azure SDK adds a second "openai" to the prefix itself.
        azure, responses = Inference(simulator, None, "openai"), Inference(simulator, "responses", "openai")
        routes.append(Route(f"{prefix}/openai/responses", responses, methods=["POST"]))
        routes.append(Route(f"{prefix}/openai/deployments/{{rest:path}}", azure, methods=["POST"]))
    for format, path in _FOREIGN:
        if simulator.dialect.before(1, 4, 18) and format.route == "cohere":  # measured of 1.3.63 and 1.4.0
            continue
        for prefix in (f"/{format.route}", *_FRAMEWORKS):
            endpoint = Inference(simulator, "chat", format.route, format)
            routes.append(Route(f"{prefix}{path}", endpoint, methods=["POST"]))
    routes += batch_routes(simulator, _OPENAI_PREFIXES)
    routes += management_routes(simulator, control_token)
    app: ASGIApp = Starlette(routes=routes, exception_handlers={404: _elsewhere, 405: _elsewhere})
    if simulator.protection.admin_username and not simulator.dialect.before(1, 4, 18):
        app = AdminDoor(app, simulator)
    return _Guard(app=app, added=_headers(simulator.dialect))


async def _elsewhere(request: Request, error: Exception) -> Response:
    """Measured: the gateway's own pages stand at every path that is no route, for GET; nothing else is allowed there.

    Routes below ``/api`` that a generation does not have are such paths too.
    """
    if request.method in ("GET", "HEAD"):
        return HTMLResponse(_PAGE, headers={"cache-control": "no-cache"})
    return PlainTextResponse("Method Not Allowed", 405, {"allow": "GET, OPTIONS"})


@dataclass(slots=True)
class _Guard:
    """Refuses requests that a web page smuggled in: a foreign Host (DNS rebinding) or a foreign Origin."""

    app: ASGIApp
    added: list[tuple[bytes, bytes]]
    """Headers of every answer."""

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

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                given = {name for name, _ in headers}
                message = {**message, "headers": headers + [item for item in self.added if item[0] not in given]}
            await send(message)

        await self.app(scope, receive, told)


def _headers(dialect: Dialect) -> list[tuple[bytes, bytes]]:
    """Measured: what every answer of a generation has."""
    headers = {"server": "fasthttp"}
    if not dialect.before(1, 4, 18):
        headers |= {
            "x-frame-options": "DENY",
            "x-content-type-options": "nosniff",
            "referrer-policy": "strict-origin-when-cross-origin",
            "content-security-policy": "frame-ancestors 'none'",
            "permissions-policy": "camera=(), microphone=(), geolocation=()",
            "access-control-allow-origin": "",
            "access-control-allow-methods": "GET, POST, PUT, DELETE, PATCH, OPTIONS, HEAD",
            "access-control-allow-headers": "Content-Type, Authorization, X-Requested-With, X-Stainless-Timeout, "
            "X-Api-Key, X-OpenAI-Agents-SDK, X-Operation-ID",
            "access-control-max-age": "86400",
            "vary": "Origin",
        }
    return [(name.encode(), value.encode()) for name, value in headers.items()]
