"""One embedded gateway per dialect, and a plain HTTP client for each: nothing of ours is between test and wire."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from bifrost_nb._simulator.process import LocalGateway, local_gateway

DIALECTS = ("1.3", "1.5", "2.2")
AZURE = "/openai/openai/deployments/{}/completions"


class Wire:
    """Speaks to one gateway over plain HTTP."""

    def __init__(self, gateway: LocalGateway) -> None:
        self.gateway = gateway
        self.http = httpx.Client(base_url=gateway.url, timeout=20)

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        return self.http.post(path, json=body, headers=headers)

    def text(self, deployment: str, prompt: Any, *, headers: dict[str, str] | None = None, **fields: Any) -> Any:
        """A text completion over `/v1` that must succeed."""
        return self._ok("/v1/completions", {"model": deployment, "prompt": prompt, **fields}, headers)

    def chat(self, deployment: str, prompt: str, *, headers: dict[str, str] | None = None, **fields: Any) -> Any:
        """A chat over `/v1` that must succeed."""
        messages = fields.pop("messages", [{"role": "user", "content": prompt}])
        return self._ok("/v1/chat/completions", {"model": deployment, "messages": messages, **fields}, headers)

    def stream(self, path: str, body: dict[str, Any], **headers: str) -> list[Any]:
        """The JSON of each event of a stream; the end marker as the text ``[DONE]``."""
        answer = self.post(path, {**body, "stream": True}, **headers)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "text/event-stream"
        return events(answer.content)

    def row(self, request_id: str, *, parent: bool = False) -> Any:
        """The row of the gateway's log for a request, or of the fallback that served it, once it is written."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if not parent:
                answer = self.http.get(f"/api/logs/{request_id}")
                rows = [answer.json()] if answer.status_code == 200 else []
            else:
                rows = self.http.get("/api/logs", params={"parent_request_id": request_id}).json()["logs"]
            if rows:
                return rows[0]
            time.sleep(0.01)
        raise AssertionError(f"no row for {request_id}")

    def _ok(self, path: str, body: dict[str, Any], headers: dict[str, str] | None) -> Any:
        answer = self.http.post(path, json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()


def events(content: bytes) -> list[Any]:
    """The JSON of each `data:` line, heartbeats left out."""
    payloads = [line[6:] for line in content.decode().split("\n") if line.startswith("data: ")]
    return [payload if payload == "[DONE]" else json.loads(payload) for payload in payloads]


def joined(chunks: list[Any], index: int = 0) -> str:
    """The text of one choice of a stream."""
    choices = [choice for chunk in chunks if chunk != "[DONE]" for choice in chunk["choices"]]
    mine = [choice for choice in choices if choice["index"] == index]
    return "".join(choice.get("text") or choice.get("delta", {}).get("content") or "" for choice in mine)


@pytest.fixture(scope="session")
def wires() -> Iterator[dict[str, Wire]]:
    """A quick gateway of each dialect."""
    with ThreadPoolExecutor() as pool:
        gateways = pool.map(lambda dialect: local_gateway(dialect=dialect, speed=50), DIALECTS)
        started = {gateway.dialect: Wire(gateway) for gateway in gateways}
    yield started
    for wire in started.values():
        wire.http.close()
        wire.gateway.stop()


@pytest.fixture(params=DIALECTS)
def each(request: pytest.FixtureRequest, wires: dict[str, Wire]) -> Wire:
    """Each dialect in turn, without state of earlier tests."""
    wire = wires[request.param]
    wire.gateway.reset()
    return wire


@pytest.fixture
def wire(wires: dict[str, Wire]) -> Wire:
    """The newest dialect, without state of earlier tests."""
    wires["2.2"].gateway.reset()
    return wires["2.2"]
