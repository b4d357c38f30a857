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
    """Arguments for a tool call: each property of a JSON schema gets a value of its type, texts from the prompt."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    topic, words = subject(prompt)
    names = re.findall(r"\b(?:in|at|for|from|to) ([A-Z][\w-]+(?: [A-Z][\w-]+)*)", prompt)
    numbers = re.findall(r"\d{1,9}", prompt)
    values: dict[str, Any] = {}
    for name, rule in (properties or {}).items():
        rule = rule if isinstance(rule, dict) else {}
        kind = rule.get("type")
        if rule.get("enum"):
            values[name] = rng.choice(rule["enum"])
        elif kind in ("integer", "number"):
            values[name] = int(numbers[0]) if numbers else rng.randint(1, 10)
        elif kind == "boolean":
            values[name] = True
        elif kind == "array":
            values[name] = words[:2]
        elif kind == "object":
            values[name] = fill_arguments(rule, prompt, rng)
        else:
            values[name] = names[0] if names else topic
    return values


def tool_deltas(call: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """A tool call in parts: who is called first, then the arguments token by token."""
    function = call["function"]
    yield call | {"function": {"name": function["name"], "arguments": ""}}
    for token in tokenize(function["arguments"]):
        yield {"index": call["index"], "function": {"arguments": token}}
