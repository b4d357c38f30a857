"""Tool calls of the simulated deployments: which tool a question asks for, and arguments that fit its schema."""

from __future__ import annotations

import re
from collections.abc import Iterable
from random import Random
from typing import Any

from ..http.request import SimulatedCall
from .prose import subject
from .tokens import tokenize

__all__ = ["chosen_tool", "fill_arguments", "tool_deltas"]


def chosen_tool(call: SimulatedCall, prompt: str) -> dict[str, Any] | None:
    """The tool to call: the one that is required, else the first whose name shares a word with the question."""
    functions: list[dict[str, Any]] = [
        tool["function"]
        for tool in call.get("tools", [])
        if isinstance(tool, dict) and isinstance(tool.get("function"), dict)
    ]
    choice = call.body.get("tool_choice")
    if not functions or choice == "none" or call.messages[-1]["role"] == "tool":
        return None
    if isinstance(choice, dict):
        wanted = (choice.get("function") or {}).get("name")
        return next((function for function in functions if function.get("name") == wanted), None)
    words = set(prompt.lower().replace("?", " ").replace(".", " ").split())
    for function in functions:
        if words & {word for word in str(function.get("name", "")).lower().split("_") if len(word) > 3}:
            return function
    return functions[0] if choice == "required" else None


def fill_arguments(schema: Any, prompt: str, rng: Random) -> dict[str, Any]:
    """Arguments for a tool call: each property of a JSON schema gets a value of its type, texts from the prompt.

    An answer whose format is a schema is made the same way.
    """
    root = schema if isinstance(schema, dict) else {}
    return _filled(root, _Filling(root, prompt, rng), 0)


class _Filling:
    """What values are made of."""

    def __init__(self, root: dict[str, Any], prompt: str, rng: Random) -> None:
        self.root, self.rng = root, rng
        self.topic, self.words = subject(prompt)
        self.names = re.findall(r"\b(?:in|at|for|from|to) ([A-Z][\w-]+(?: [A-Z][\w-]+)*)", prompt)
        self.numbers = re.findall(r"\d{1,9}", prompt)


def _filled(rule: dict[str, Any], of: _Filling, depth: int) -> dict[str, Any]:
    properties = rule.get("properties")
    return {name: _value(one, of, depth) for name, one in (properties or {}).items()} if depth < 8 else {}


_DEEP = 3
"""From here on a schema that refers to itself is given nothing more."""
_FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "PT90M",
    "uuid": "5f0c7a52-3c1e-4d8b-9a6f-2b7e1d4c8a90",
    "email": "ada@example.org",
    "uri": "https://example.org/",
}


def _value(rule: Any, of: _Filling, depth: int) -> Any:
    """A value of one property; of several alternatives the first."""
    rule = rule if isinstance(rule, dict) else {}
    if "const" in rule:
        return rule["const"]
    if isinstance(ways := rule.get("anyOf") or rule.get("oneOf") or rule.get("allOf"), list):
        if depth >= _DEEP and {"type": "null"} in ways:
            return None
        return _value(ways[0], of, depth + 1) if depth < 8 else None
    if isinstance(ref := rule.get("$ref"), str):
        found = (of.root.get("$defs") or {}).get(ref.rpartition("/")[2])
        return _value(found, of, depth + 1) if depth < 8 else None
    kind = rule.get("type")
    if rule.get("enum"):
        return of.rng.choice(rule["enum"])
    if kind in ("integer", "number"):
        return _within(rule, int(of.numbers[0]) if of.numbers else of.rng.randint(1, 10))
    if kind == "boolean":
        return True
    if kind == "array":
        return _list(rule, of, depth)
    if kind == "object":
        return _filled(rule, of, depth + 1)
    text = _FORMATS.get(str(rule.get("format"))) or (of.names[0] if of.names else of.topic)
    return text[: rule["maxLength"]] if isinstance(rule.get("maxLength"), int) else text


def _within(rule: dict[str, Any], number: float) -> float:
    """`number`, or one that the limits of `rule` allow."""
    step = 1 if rule.get("type") == "integer" else 0.5

    def limits(*named: tuple[str, float]) -> list[float]:
        return [rule[name] + inside for name, inside in named if isinstance(rule.get(name), int | float)]

    above = max([number, *limits(("minimum", 0), ("exclusiveMinimum", step))])
    return min([above, *limits(("maximum", 0), ("exclusiveMaximum", -step))])


def _list(rule: dict[str, Any], of: _Filling, depth: int) -> list[Any]:
    if isinstance(first := rule.get("prefixItems"), list):  # a tuple
        return [_value(item, of, depth + 1) for item in first]
    items, least = rule.get("items"), rule.get("minItems", 0)
    if not isinstance(items, dict) or (items.get("type") == "string" and len(items) == 1 and least < 3):
        return of.words[:2]
    return [_value(items, of, depth + 1) for _ in range(max(1, least) if depth < _DEEP else least)]


def tool_deltas(call: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """A tool call in parts: who is called first, then the arguments token by token."""
    function = call["function"]
    yield call | {"function": {"name": function["name"], "arguments": ""}}
    for token in tokenize(function["arguments"]):
        yield {"index": call["index"], "function": {"arguments": token}}
