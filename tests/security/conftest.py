"""Keys in every place a key can be, and what must not show them."""

from __future__ import annotations

import base64
import contextlib
import itertools
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bifrost_nb import Client, RunLog
from tests.admin.servers import served

VIRTUAL_KEY = "sk-bf-PLANTED-virtual-0123456789"
API_KEY = "planted-api-key-of-no-known-shape"
HEADER_KEY = "planted-header-of-no-known-shape"
CALL_KEY = "planted-call-header-of-no-known-shape"
PASSWORD = "planted password of the administrator"
TOKEN = "planted-session-token-of-no-known-shape"
URL_PASSWORD = "planted-url-password"
PLANTED = {VIRTUAL_KEY, API_KEY, HEADER_KEY, CALL_KEY, PASSWORD, TOKEN, URL_PASSWORD}
PLANTED |= {base64.b64encode(f"admin:{PASSWORD}".encode()).decode()}
HERE = str(Path(__file__).parents[1])


def leaks(*texts: object) -> list[str]:
    """The planted keys that stand in these texts."""
    return sorted(key for key, text in itertools.product(PLANTED, map(str, texts)) if key in text)


def call_headers() -> dict[str, str]:
    return {"x-api-key": CALL_KEY, "x-bf-cache-key": "not secret"}


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch, log: RunLog) -> Callable[[str], Client]:
    """Clients with a key in every place that takes one."""
    for name, value in (
        ("VIRTUAL_KEY", VIRTUAL_KEY),
        ("API_KEY", API_KEY),
        ("ADMIN_USER", "admin"),
        ("ADMIN_PASSWORD", PASSWORD),
    ):
        monkeypatch.setenv(f"BIFROST_{name}", value)
    return lambda url: Client(url, headers={"x-portkey-auth": f"Bearer {HEADER_KEY}"}, log=log, retries=0)


def variables(error: BaseException) -> Iterator[str]:
    """Every variable of every frame that is not a test's, of the error and of all that caused it, as shown."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        waiting += [one.__cause__, one.__context__]
        yield f"{one!r} {one} {vars(one)!r}"
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if not frame.f_code.co_filename.startswith(HERE):
                yield from (f"{frame.f_code.co_name} {name}={value!r}" for name, value in frame.f_locals.items())


def below_the_tests(trace: TracebackType | None) -> TracebackType | None:
    """The part of a traceback that begins in the package."""
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(HERE):
        trace = trace.tb_next
    return trace


class Echo:
    """A gateway that repeats all it was sent, in whatever it answers; `status` of completions, other routes 404."""

    def __init__(self, status: int) -> None:
        self.status = status

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        told = f"{dict(request.headers)} {(await request.body()).decode()}"
        if not request.url.path.endswith("completions"):
            await self._json({"error": {"message": told}}, 404)(scope, receive, send)
            return
        if self.status >= 400:
            named = {"provider": request.headers.get("x-bf-vk")}
            content: Any = {"error": {"message": told, "type": told, "code": told}, "extra_fields": named}
        else:
            extra = {"provider": "azure", "raw_request": told, "raw_response": {"headers": told}}
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            choice = {"index": 0, "text": told, "finish_reason": "stop"}
            content = {"choices": [choice], "usage": usage, "extra_fields": extra, "model": told}
        await self._json(content, self.status, told)(scope, receive, send)

    @staticmethod
    def _json(content: Any, status: int, told: str = "") -> Response:
        headers = {"x-request-id": told[:500], "x-bifrost-provider": told[:500]}
        return Response(orjson.dumps(content), status, headers, media_type="application/json")


@pytest.fixture
def echo() -> Iterator[Callable[[int], str]]:
    """Addresses of echoing gateways."""
    with contextlib.ExitStack() as stack:
        yield lambda status: stack.enter_context(served(Echo(status)))
