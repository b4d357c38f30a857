"""What goes with a cell's text: pictures, tools, a schema, earlier messages, each out of a variable of the notebook."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from IPython.core.error import UsageError

from ..._client.typed_answers import AnswerSchema
from ..._prompts.messages import Turns, earlier_turns, pictures_of
from ..._prompts.pictures import MOST_BYTES
from ..._prompts.template import escape
from ..._suggest import did_you_mean

if TYPE_CHECKING:
    from .options import Options

__all__ = ["escaped", "images_of", "messages_of", "pictures_sent", "schema_of", "variable", "with_tools"]


def variable(option: str, name: str, values: Mapping[str, Any], what: str) -> Any:
    """The variable `name` that `option` asks for; `what` says what belongs into it. Raises UsageError.

    None is not taken for "nothing was given": it is what ``rows = frame.sort_values(..., inplace=True)`` leaves.
    """
    if name not in values:
        meant = did_you_mean(name, (each for each in values if not each.startswith("_")))
        raise UsageError(f"%%bifrost: {option} {name}: there is no such variable.{meant or f' Assign {what} to it.'}")
    if values[name] is None:
        raise UsageError(f"%%bifrost: {option} {name}: the variable is None. Assign {what} to it.")
    return values[name]


def _fitting(option: str, name: str, value: Any) -> Any:
    """`value`, where it is small enough to be sent. Raises UsageError: nothing of it was checked or copied before."""
    try:
        size = len(orjson.dumps(value)) if isinstance(value, Mapping | list | tuple) else 0
    except (orjson.JSONEncodeError, RecursionError):
        size = 0  # what is wrong with it is said by who reads it
    if size > MOST_BYTES:
        raise UsageError(
            f"%%bifrost: {option} {name} has {size / 1e6:,.0f} MB,"
            f" more than the {MOST_BYTES / 1e6:,.0f} MB that are sent."
        )
    return value


def images_of(options: Options, values: Mapping[str, Any], columns: Collection[str] = ()) -> dict[str, Any]:
    """What ``--image`` names, by the name under which it stands in the inputs: a variable's value, else a path.

    None for one of `columns`, whose pictures are in the inputs. Raises UsageError.
    """
    found: dict[str, Any] = {}
    for number, name in enumerate(options.images, 1):
        if name in columns:
            found[name] = None
        elif name in values or (name.isidentifier() and not Path(name).exists()):
            what = "a path, bytes, a PIL image, an array or a matplotlib figure"
            found[name] = variable("--image", name, values, what)
        else:
            found["image" if len(options.images) == 1 else f"image_{number}"] = name
    return found


def pictures_sent(images: Mapping[str, Any]) -> dict[str, str]:
    """The ``data:`` URL of each picture. Raises ConfigurationError."""
    return pictures_of(images, list(images), "--image")


def schema_of(options: Options, values: Mapping[str, Any]) -> AnswerSchema | None:
    """The schema that ``--schema`` names, checked. Raises UsageError, ConfigurationError."""
    if options.schema is None:
        return None
    found = variable("--schema", options.schema, values, "a pydantic model or a JSON schema")
    return AnswerSchema.of(_fitting("--schema", options.schema, found))


def with_tools(options: Options, values: Mapping[str, Any]) -> Options:
    """`options` with the tools that ``--tools`` names among its parameters. Raises UsageError."""
    if options.tools is None:
        return options
    if "tools" in options.parameters:
        raise UsageError("%%bifrost: tools is given twice: as --tools and with -p.")
    tools = _fitting("--tools", options.tools, variable("--tools", options.tools, values, "a list of tools"))
    tools = [tools] if isinstance(tools, Mapping) else tools
    if not isinstance(tools, Sequence) or isinstance(tools, str) or not all(isinstance(one, Mapping) for one in tools):
        raise UsageError(
            f"%%bifrost: --tools {options.tools} must be a list of dicts like"
            ' {"type": "function", "function": {"name": ..., "parameters": {...}}}.'
        )
    return replace(options, tools=None, parameters={**options.parameters, "tools": [dict(one) for one in tools]})


def messages_of(options: Options, values: Mapping[str, Any]) -> Turns | None:
    """The messages that ``--messages`` names, checked. Raises UsageError, ConfigurationError."""
    if options.messages is None:
        return None
    given = _fitting(
        "--messages", options.messages, variable("--messages", options.messages, values, "a list of messages")
    )
    if isinstance(given, str | Mapping) or not isinstance(given, Sequence) or not given:
        raise UsageError(
            f"%%bifrost: --messages {options.messages} must be a list like"
            ' [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}].'
        )
    return earlier_turns(list(given))


def escaped(turns: Turns) -> Turns:
    """`turns` as templates that are sent as they are: what others wrote names no variable of the notebook."""
    return Turns(_escaped(turn) for turn in turns)


def _escaped(turn: Mapping[str, Any]) -> dict[str, Any]:
    content = turn.get("content")
    if isinstance(content, str):
        return {**turn, "content": escape(content)}
    if not content:
        return dict(turn)
    parts = [{**part, "text": escape(part["text"])} if isinstance(part.get("text"), str) else part for part in content]
    return {**turn, "content": parts}
