"""What a format says of one API, and the small readers that all formats share.

A format is three pure functions from JSON to plain facts. Answers and events are given back in the gateway's own
shape (that of a chat completion), which the collector of our own calls reads; so times, tokens, cost and who served
are worked out in one place, whatever the SDK speaks. Any JSON will do: what is not of the expected type is absent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from ..._wire.tool_calls import as_text
from ..._wire.turns import is_only_text

__all__ = [
    "Format",
    "Json",
    "RequestFacts",
    "as_it_came",
    "asked",
    "choice",
    "count",
    "fallbacks_of",
    "items",
    "object_of",
    "others",
    "stateless",
    "text_of",
    "tokens",
    "tool_call",
    "total_of",
]

Json = dict[str, Any]


class RequestFacts(NamedTuple):
    """What a request asks. `model` is as the request writes it; None where the path has it."""

    model: str | None = None
    prompt: str | None = None
    params: Mapping[str, Any] = MappingProxyType({})
    fallbacks: tuple[str, ...] = ()


class Format(NamedTuple):
    """How one API writes what we record."""

    question: Callable[[Json], RequestFacts]
    answer: Callable[[Json], Json]
    """A whole answer, in the gateway's shape; its ``usage`` still as it came."""
    events: Callable[[], Callable[[Json], Json]]
    """For one stream: the same for each of its events. Usage may come in parts, put together before `usage` sees it."""
    usage: Callable[[Json], Json]
    """Token counts in the gateway's names."""


def stateless(event: Callable[[Json], Json]) -> Callable[[], Callable[[Json], Json]]:
    """`Format.events` where an event needs nothing of those before it."""
    return lambda: event


def as_it_came(value: Json) -> Json:
    """For what already has the gateway's shape."""
    return value


def object_of(value: object) -> Json:
    """`value` if it is an object, else an empty one."""
    return value if type(value) is dict else {}


def items(value: object) -> list[Json]:
    """The objects of a list."""
    return [each for each in value if type(each) is dict] if type(value) is list else []


def text_of(value: object) -> str:
    """`value` if it is text, else nothing."""
    return value if type(value) is str else ""


def count(value: object) -> int | None:
    """A count of tokens; None where it is none."""
    if type(value) is float and value.is_integer():  # Cohere writes its counts so
        value = int(value)
    return value if type(value) is int and 0 <= value < 1 << 63 else None


def total_of(*counts: int | None) -> int | None:
    """The sum of what is known; None where nothing is."""
    known = [each for each in counts if each is not None]
    return sum(known) if known else None


def tokens(
    prompt: int | None,
    completion: int | None,
    *,
    total: int | None = None,
    cached: int | None = None,
    written: int | None = None,
    reasoning: int | None = None,
) -> Json:
    """Usage in the gateway's names; `cached` and `written` (to the provider's cache) are parts of `prompt`."""
    usage: Json = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}
    if cached is not None or written is not None:
        usage["prompt_tokens_details"] = {"cached_tokens": cached, "cached_write_tokens": written}
    if reasoning is not None:
        usage["completion_tokens_details"] = {"reasoning_tokens": reasoning}
    return usage


def choice(
    text: str = "",
    *,
    index: int = 0,
    reasoning: str = "",
    finish: str | None = None,
    tool_calls: list[Json] | None = None,
) -> Json:
    """One choice of an answer or of a chunk, in the gateway's shape."""
    part: Json = {"content": text}
    if reasoning:
        part["reasoning"] = reasoning
    if tool_calls:
        part["tool_calls"] = tool_calls
    return {"index": index, "delta": part, "finish_reason": finish}


def tool_call(index: int, identity: object = None, name: object = None, arguments: object = "") -> Json:
    """A tool call, or a fragment of one; `arguments` is JSON as text, or the object itself."""
    written = arguments if isinstance(arguments, str) else as_text(arguments)
    call: Json = {"index": index, "type": "function", "function": {"arguments": written}}
    if text_of(identity):
        call["id"] = identity
    if text_of(name):
        call["function"]["name"] = name
    return call


def asked(turns: Iterable[object], instructions: object = None) -> str | None:
    """A prompt as the column has it: one user turn as its text, anything more as JSON. None where there is none."""
    turns = list(turns)
    if instructions:
        turns.insert(0, {"role": "system", "content": instructions})
    if not turns:
        return None
    turn = object_of(turns[0]) if len(turns) == 1 else {}
    if turn.get("role", "user") == "user" and is_only_text(turn):
        content = turn.get("content", turn.get("parts"))
        if type(content) is list and len(content) == 1 and type(content[0]) is dict:
            content = content[0].get("text")
        if type(content) is str:
            return content
    return as_text(turns)


def others(body: Mapping[str, Any], *known: str) -> Json:
    """The parameters of a request: all but `known` and what is not set."""
    return {name: value for name, value in body.items() if name not in known and value is not None}


def fallbacks_of(body: Json) -> tuple[str, ...]:
    """The deployments that the gateway is to try when the first fails."""
    listed = body.get("fallbacks")
    return tuple(each for each in listed if type(each) is str) if type(listed) is list else ()
