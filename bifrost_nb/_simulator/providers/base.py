"""What the drop-in routes for other SDKs have in common: a request read as a chat, an answer told in another's words.

The gateway turns a foreign request into its own, asks a provider, and turns the answer back. Where a comment names a
Go file, the fact was read there: ``integrations/`` is ``transports/bifrost-http/integrations/`` of the gateway's
published source, ``providers/`` belongs to its engine (core 1.4.0 for generation 1.3, 1.5.22 for 1.5, 1.7.0 for 2.2).
None of these answers carries the gateway's own ``extra_fields``: who served is told by its headers alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import orjson

from ..content.answers import SimulatedChoice
from ..dialects import Dialect
from ..http.framing import STREAM_HEADERS
from ..http.request import SimulatedCall

__all__ = [
    "Event",
    "Kind",
    "ProviderFormat",
    "ProviderReply",
    "ProviderStream",
    "TokenCounts",
    "arguments",
    "conversation",
    "fields",
    "function_tool",
    "objects",
    "tool_call",
]

Event = tuple[str, dict[str, Any]]
"""Name and content of one event of a stream."""
Kind = Literal["text", "reasoning", "tool"]


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """The gateway's usage, by what is counted. Unknown counts are 0, as Go writes them."""

    prompt: int
    """All of the prompt, cached or not."""
    completion: int
    """Reasoning included."""
    total: int
    cache_read: int
    cache_write: int
    reasoning: int

    @classmethod
    def of(cls, usage: Mapping[str, Any]) -> TokenCounts:
        prompt, completion = usage.get("prompt_tokens_details") or {}, usage.get("completion_tokens_details") or {}
        return cls(
            prompt=usage.get("prompt_tokens") or 0,
            completion=usage.get("completion_tokens") or 0,
            total=usage.get("total_tokens") or 0,
            cache_read=prompt.get("cached_read_tokens") or prompt.get("cached_tokens") or 0,
            cache_write=prompt.get("cached_write_tokens") or 0,
            reasoning=completion.get("reasoning_tokens") or 0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderReply:
    """One answer of a deployment, before it has the words of an SDK."""

    id: str
    """Unique, without a prefix."""
    model: str
    provider: str
    dialect: Dialect
    choice: SimulatedChoice
    """The first and only one: these routes know no ``n``."""
    usage: Mapping[str, Any]
    latency_ms: int = 0
    """Since the attempt began; only a whole answer tells it."""
    merge: Mapping[str, Any]
    """Scripted changes of the object that carries the usage."""

    @property
    def tokens(self) -> TokenCounts:
        return TokenCounts.of(self.usage)

    @property
    def told_reason(self) -> str:
        """Why the answer ended, as most formats tell it: up to 1.4.0 only ends and tool calls are known."""
        reason = self.choice.finish_reason
        return "stop" if self.dialect.before(1, 4, 18) and reason != "tool_calls" else reason


class ProviderStream(ABC):
    """The events of one streamed reply. Blocks of reasoning, text and tool calls follow each other."""

    def __init__(self, reply: ProviderReply) -> None:
        self.reply = reply
        self.index = -1
        """Place of the open block; -1 before the first."""
        self.kind: Kind | None = None

    def opening(self) -> Iterator[Event]:
        """Before any content."""
        return iter(())

    def said(self, kind: Literal["text", "reasoning"], text: str) -> Iterator[Event]:
        """A piece of text or reasoning."""
        if kind != self.kind:
            yield from self._enter(kind, None)
        yield from self.delta(kind, text)

    def called(self, part: Mapping[str, Any]) -> Iterator[Event]:
        """A part of a tool call: the first names the function, the others carry its arguments."""
        if "id" in part:
            yield from self._enter("tool", part)
        else:
            yield from self.delta("tool", part["function"]["arguments"])

    def ending(self) -> Iterator[Event]:
        """After all content."""
        if self.kind is None:  # a provider that says nothing still says it in a block
            yield from self._enter("text", None)
        yield from self.close()
        yield from self.finish()

    def _enter(self, kind: Kind, tool: Mapping[str, Any] | None) -> Iterator[Event]:
        if self.kind is not None:
            yield from self.close()
        self.index, self.kind = self.index + 1, kind
        yield from self.open(kind, tool)

    def open(self, kind: Kind, tool: Mapping[str, Any] | None) -> Iterator[Event]:
        """The start of block `index`. `tool`: a call's id and function, for kind "tool"."""
        return iter(())

    def close(self) -> Iterator[Event]:
        """The end of block `index`."""
        return iter(())

    @abstractmethod
    def delta(self, kind: Kind, text: str) -> Iterator[Event]:
        """More of block `index`; `text` of a tool call is a part of its arguments' JSON."""

    @abstractmethod
    def finish(self) -> Iterator[Event]:
        """The end of the reply: why it ended, and its tokens."""


class ProviderFormat(ABC):
    """One SDK's words."""

    route: ClassVar[str]
    """Name of the integration, as `Call.route`."""
    provider: ClassVar[str]
    """Whose models go by bare names here, up to 1.4; later generations look them up."""
    operation: ClassVar[Literal["responses", "chat_completion", "count_tokens"]] = "responses"
    """What the gateway makes of such a request, which is what its headers and its log call it."""
    stream_headers: ClassVar[Mapping[str, str]] = STREAM_HEADERS
    comments: ClassVar[bool] = True
    """Whether a stream can carry heartbeats, which are comment lines."""
    done: ClassVar[bytes] = b""
    """What ends a stream after its last event."""

    def __init__(self, streamed: bool | None = None) -> None:
        """`streamed`: whether the answer is a stream, where the path says so; None: the body does."""
        self.streamed = streamed

    @abstractmethod
    def request(self, body: dict[str, Any], model: str) -> dict[str, Any]:
        """The body of the same request as a chat. `model`: where the path names it."""

    def converts(self, call: SimulatedCall, provider: str) -> bool:
        """Whether answers of this provider are told in the SDK's words; else in the gateway's own."""
        return True

    @abstractmethod
    def answer(self, reply: ProviderReply) -> dict[str, Any]:
        """A whole answer."""

    @abstractmethod
    def stream(self, reply: ProviderReply) -> ProviderStream:
        """The events of a streamed answer."""

    @abstractmethod
    def error(self, error: dict[str, Any], dialect: Dialect) -> Any:
        """The body of an error, made of the gateway's own."""

    @abstractmethod
    def encode(self, event: Event) -> bytes:
        """An event as it goes over the wire."""

    @abstractmethod
    def error_frame(self, error: dict[str, Any], dialect: Dialect) -> bytes:
        """An error in the middle of a stream, which it ends."""


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; none where `value` is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def fields(value: Any) -> dict[str, Any]:
    """The fields of an object; none where `value` is no object."""
    return value if isinstance(value, dict) else {}


def conversation(messages: Any, system: Any, convert: Callable[[Any], list[Any]]) -> Any:
    """A chat's messages, `system` first; what is no list is left to whoever checks the fields."""
    if not isinstance(messages, list):
        return messages
    spoken = [{"role": "system", "content": system}] if system else []
    return spoken + [part for message in messages for part in convert(message)]


def tool_call(id: Any, name: Any, given: Any) -> dict[str, Any]:
    """A tool call as a chat has it, from one whose arguments are an object."""
    function = {"name": name, "arguments": orjson.dumps(given or {}).decode()}
    return {"id": id, "type": "function", "function": function}


def arguments(text: str) -> Any:
    """A tool call's arguments, which the gateway keeps as JSON text, as an object."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}


def function_tool(name: Any, description: Any, parameters: Any) -> dict[str, Any]:
    """A tool as the gateway's own chats describe it."""
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": {key: value for key, value in function.items() if value is not None}}
