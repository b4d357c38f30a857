"""Tool calls put together from the fragments of a stream.

All take any JSON: a value of another type than expected counts as absent.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

__all__ = ["ToolCalls", "as_text"]

JsonDict = dict[str, Any]


class ToolCalls:
    """The tool calls of one streamed choice, put together from fragments.

    The first fragment of a call brings its id and name, later ones (same ``index``, or the same id, or neither: the
    latest call) more of its arguments. Other keys are kept as they first came. Providers that send each call whole give
    all of them one index, or none: a fragment that names a tool begins a new call where it has another id, or where the
    arguments so far are complete and it brings more. One with the same id, or without a name, that brings an object
    after complete arguments says them once more.
    """

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._latest: dict[object, _Call] = {}
        """By index and by id; under None the latest of all."""

    def add(self, fragments: list[JsonDict]) -> None:
        """Take the fragments of one chunk."""
        for fragment in fragments:
            function = _called(fragment)
            index, identity = fragment.get("index"), fragment.get("id")
            identity = identity if type(identity) is str and identity else None
            call = self._latest.get(index if type(index) is int else identity)
            if call is None or call.is_over(identity, function):
                call = self._begin()
            if type(index) is int:
                self._latest[index] = call
            if identity is not None:
                self._latest[identity] = call
            self._latest[None] = call
            call.add(fragment, function)

    def add_whole(self, calls: list[JsonDict]) -> None:
        """Take the calls of an answer that was not streamed, each whole."""
        for call in calls:
            self._begin().add(call, _called(call))

    def _begin(self) -> _Call:
        call = _Call()
        self._calls.append(call)
        return call

    def result(self) -> list[JsonDict]:
        """The calls so far, in the order they began."""
        return [call.result() for call in self._calls]

    def __bool__(self) -> bool:
        return bool(self._calls)


_INPUTS = {"function": "arguments", "custom": "input"}
"""The kinds of call, under whose name its own part stands, and where that has the text that grows."""


def _kind(fragment: JsonDict) -> str:
    return "custom" if type(fragment.get("custom")) is dict else "function"


def _called(fragment: JsonDict) -> JsonDict:
    """What is called, of a call or a fragment of one; empty where it says nothing."""
    part = fragment.get(_kind(fragment))
    return part if type(part) is dict else {}


class _Call:
    """One call, growing."""

    __slots__ = ("_arguments", "_facts", "_function", "_kind", "_object")

    def __init__(self) -> None:
        self._kind = "function"
        self._facts: JsonDict = {}
        self._function: JsonDict = {}
        self._arguments: list[str] = []
        self._object: object = None
        """Arguments that came as a value instead of its text; pieces of text that follow stand for it."""

    def is_over(self, identity: str | None, function: JsonDict) -> bool:
        """Whether a fragment with this id, under the same index, belongs to another call."""
        other = identity is not None and self._facts.get("id") not in (None, "", identity)
        if not function.get("name"):
            return other and self._complete()
        again = identity is not None and self._facts.get("id") == identity
        return other or (not again and function.get("arguments") not in (None, "") and self._complete())

    def _complete(self) -> bool:
        if not self._arguments:
            return self._object is not None
        if not self._arguments[-1].rstrip().endswith("}"):  # else all of a long call would be read for each fragment
            return False
        try:
            return type(orjson.loads("".join(self._arguments))) is dict
        except orjson.JSONDecodeError:
            return False

    def add(self, fragment: JsonDict, function: JsonDict) -> None:
        self._kind = _kind(fragment) if function else self._kind
        for name, value in fragment.items():
            if name not in _INPUTS and self._facts.get(name) in (None, ""):
                self._facts[name] = value
        for name, value in function.items():
            if name == _INPUTS[self._kind]:
                if type(value) is str:
                    if value.lstrip().startswith("{") and self._complete():
                        self._arguments = []
                    self._arguments.append(value)
                elif value is not None:
                    self._object = value
            elif name == "name":
                known = self._function.get("name", "")
                if type(value) is str and value and value != known:  # some repeat the whole name in every fragment
                    self._function["name"] = known + value
            else:
                self._function.setdefault(name, value)

    def result(self) -> JsonDict:
        arguments = "".join(self._arguments)
        if not arguments and self._object is not None:
            arguments = as_text(self._object)
        return {**self._facts, self._kind: {**self._function, _INPUTS[self._kind]: arguments}}


def as_text(value: object) -> str:
    """A JSON value as its text, whatever strange characters it holds."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # half of a character, or a number of more than 64 bits
        return json.dumps(value, default=str)
