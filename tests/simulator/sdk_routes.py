"""The drop-in routes as a table, and readers of what comes back: for tests of the wire, without any SDK."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from .conftest import DIALECTS, Wire, events
from .test_management import written

PROMPT = "Explain tides briefly"


@dataclass(frozen=True)
class Route:
    """How one format asks, and where its answers keep what every answer has."""

    name: str
    deployment: str
    """Of the provider whose bare model names go here."""
    operation: str
    whole: str
    """Path of a whole answer, with the model where the path has it."""
    stream: str
    body: Callable[[str], dict[str, Any]]
    """The body for a prompt."""
    limited: Callable[[dict[str, Any], int], None]
    """Sets the limit on the answer's tokens."""
    text: Callable[[Any], str]
    reason: Callable[[Any], Any]
    counts: Callable[[Any], tuple[int, int]]
    """(prompt, completion) tokens of a whole answer."""
    in_path: bool = False
    """Whether the path, not the body, has the model."""
    headers: dict[str, str] = field(default_factory=dict)
    """What a request needs to be answered in the SDK's words."""

    def request(self, model: str | None = None, *, stream: bool = False, **extra: Any) -> tuple[str, dict[str, Any]]:
        """Path and body."""
        body = self.body(PROMPT) | extra
        model = model or self.deployment
        if not self.in_path:
            body |= {"model": model} | ({"stream": True} if stream else {})
        return (self.stream if stream else self.whole).format(model=model.replace("/", "%2F")), body

    def ask(self, wire: Wire, model: str | None = None, *, stream: bool = False, **extra: Any) -> httpx.Response:
        path, body = self.request(model, stream=stream, **extra)
        return wire.http.post(path, json=body, headers=self.headers)


def _openai(prompt: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": prompt}]}


ANTHROPIC = Route(
    name="anthropic",
    deployment="anthropic/claude-haiku-4-5",
    operation="responses",
    whole="/anthropic/v1/messages",
    stream="/anthropic/v1/messages",
    body=lambda prompt: _openai(prompt) | {"max_tokens": 200},
    limited=lambda body, limit: body.update(max_tokens=limit),
    text=lambda answer: "".join(block["text"] for block in answer["content"] if block["type"] == "text"),
    reason=lambda answer: answer["stop_reason"],
    counts=lambda answer: (answer["usage"]["input_tokens"], answer["usage"]["output_tokens"]),
)
GENAI = Route(
    name="genai",
    deployment="gemini/gemini-2.5-flash",
    operation="responses",
    whole="/genai/v1beta/models/{model}:generateContent",
    stream="/genai/v1beta/models/{model}:streamGenerateContent?alt=sse",
    body=lambda prompt: {"contents": [{"role": "user", "parts": [{"text": prompt}]}], "generationConfig": {}},
    limited=lambda body, limit: body["generationConfig"].update(maxOutputTokens=limit),
    text=lambda answer: "".join(
        part["text"] for part in answer["candidates"][0]["content"].get("parts", []) if not part.get("thought")
    ),
    reason=lambda answer: answer["candidates"][0]["finishReason"],
    counts=lambda answer: (
        answer["usageMetadata"]["promptTokenCount"],
        answer["usageMetadata"].get("candidatesTokenCount", 0) + answer["usageMetadata"].get("thoughtsTokenCount", 0),
    ),
    in_path=True,
)
BEDROCK = Route(
    name="bedrock",
    deployment="bedrock/amazon.nova-lite-v1:0",
    operation="responses",
    whole="/bedrock/model/{model}/converse",
    stream="/bedrock/model/{model}/converse-stream",
    body=lambda prompt: {"messages": [{"role": "user", "content": [{"text": prompt}]}], "inferenceConfig": {}},
    limited=lambda body, limit: body["inferenceConfig"].update(maxTokens=limit),
    text=lambda answer: "".join(block.get("text", "") for block in answer["output"]["message"]["content"]),
    reason=lambda answer: answer["stopReason"],
    counts=lambda answer: (answer["usage"]["inputTokens"], answer["usage"]["outputTokens"]),
    in_path=True,
)
COHERE = Route(
    name="cohere",
    deployment="cohere/command-r",
    operation="chat_completion",
    whole="/cohere/v2/chat",
    stream="/cohere/v2/chat",
    body=_openai,
    limited=lambda body, limit: body.update(max_tokens=limit),
    text=lambda answer: "".join(block["text"] for block in answer["message"]["content"] if block["type"] == "text"),
    reason=lambda answer: answer["finish_reason"],
    counts=lambda answer: (
        answer["usage"]["tokens"]["input_tokens"],
        answer["usage"]["tokens"]["output_tokens"],
    ),
    headers={"x-bf-send-back-raw-response": "true"},
)
ROUTES = (ANTHROPIC, GENAI, BEDROCK, COHERE)
every_route = pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
ROUTES_OF_DIALECTS = [
    pytest.param(dialect, route, id=f"{dialect}-{route.name}")
    for dialect in DIALECTS
    for route in ROUTES
    if (dialect, route) != ("1.3", COHERE)  # which that generation does not have
]
every_dialect_and_route = pytest.mark.parametrize(("each", "route"), ROUTES_OF_DIALECTS, indirect=["each"])


def row_of(wire: Wire, record: dict[str, Any]) -> Any:
    """The log row of a request with all that the gateway knows of it, once it is written."""
    row = written(wire, record["id"])
    whole = wire.http.get(f"/api/logs/{record['id']}")
    return whole.json() if whole.headers["content-type"] == "application/json" else row  # 1.3 and 1.4 have lists only


def said(row: Any) -> str:
    """The answer's text in a log row, which has it as its kind of request has it."""
    if "output_message" in row:
        return str(row["output_message"]["content"])
    return "".join(part["text"] for item in row["responses_output"] for part in item["content"])


def aws_messages(content: bytes) -> list[tuple[dict[str, str], Any]]:
    """(headers, JSON) of each message of an AWS event stream; its lengths and both its CRCs are checked."""
    found = []
    while content:
        length, head_length, crc = struct.unpack("!III", content[:12])
        assert crc == zlib.crc32(content[:8])
        message, content = content[:length], content[length:]
        assert len(message) == length
        assert struct.unpack("!I", message[-4:])[0] == zlib.crc32(message[:-4])
        head, payload = message[12 : 12 + head_length], message[12 + head_length : -4]
        headers = {}
        while head:
            name_end = 1 + head[0]
            kind, size = struct.unpack("!BH", head[name_end : name_end + 3])
            assert kind == 7
            value_end = name_end + 3 + size
            headers[head[1:name_end].decode()] = head[name_end + 3 : value_end].decode()
            head = head[value_end:]
        found.append((headers, json.loads(payload)))
    return found


def stream_events(route: Route, content: bytes) -> list[Any]:
    """Each event of a stream as (name, JSON); the name is "" where the format has none. ``[DONE]`` stays a text."""
    if route is BEDROCK:
        return [(headers.get(":event-type", ""), body) for headers, body in aws_messages(content)]
    if route is ANTHROPIC:
        frames = [frame for frame in content.decode().replace(": heartbeat\n", "").split("\n\n") if frame]
        named = [frame.split("\n") for frame in frames]
        return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in named]
    return [body if body == "[DONE]" else (body.get("type", ""), body) for body in events(content)]


def streamed_text(route: Route, found: list[Any]) -> str:
    """The text of a stream's events."""
    pick: dict[str, Callable[[str, Any], str | None]] = {
        "anthropic": lambda name, body: body.get("delta", {}).get("text"),
        "genai": lambda name, body: route.text(body),
        "bedrock": lambda name, body: body.get("delta", {}).get("text"),
        "cohere": lambda name, body: name == "content-delta" and body["delta"]["message"]["content"].get("text"),
    }
    return "".join(pick[route.name](*event) or "" for event in found if event != "[DONE]")


def streamed_end(route: Route, found: list[Any]) -> Any:
    """What ends a stream, put together as a whole answer has it: its reason and its usage."""
    bodies = dict(event for event in found if event != "[DONE]")
    if route is ANTHROPIC:
        return bodies["message_delta"]["delta"] | {"usage": bodies["message_delta"]["usage"]}
    if route is BEDROCK:
        return bodies["messageStop"] | bodies["metadata"]
    return bodies["message-end"]["delta"] if route is COHERE else found[-1][1]
