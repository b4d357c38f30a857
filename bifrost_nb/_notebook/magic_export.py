"""A run as a ``%%bifrost`` cell.

What a cell reads from variables (messages, pictures, tools, a schema) is defined above it; then the magic is called by
``run_cell_magic``, since its own line must be the cell's first.
"""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from .._client.token_count import as_items
from .._client.typed_answers import AnswerSchema, with_schema
from .._prompts.messages import Message
from .._prompts.pictures import data_url
from .._prompts.value_text import Fault
from ..errors import ConfigurationError

if TYPE_CHECKING:
    from .._client.calls import Call
    from .._runs.run import Run

__all__ = ["as_magic", "as_python"]


def as_magic(call: Call, run: Run) -> str:
    """`call`, which `run` came from, as a cell. Raises ConfigurationError for what does not fit into one."""
    flags = {"temperature": "-t", "max_tokens": "--max-tokens", "top_p": "--top-p", "seed": "--seed", "n": "-n"}
    flags |= {"max_output_tokens": "--max-tokens"} if call.kind == "responses" else {}
    words = ["%%bifrost", run.requested or ""]
    for fallback in run.fallbacks:
        words += ["--fallback", fallback]
    params = dict(run.params)
    prompt, more, variables = _magic_prompt(call, params)
    words += more
    schema = _schema_of(call, params)
    for option, value in {"tools": params.pop("tools", None), "schema": schema}.items():
        if value is not None:
            variables[option] = value
            words += [f"--{option}", option]
    for name, value in params.items():
        if name in flags:
            words += [flags[name], str(value)]
        elif name == "extra":
            words += [word for key, each in value.items() for word in _flag("--extra", f"{key}={json.dumps(each)}")]
        elif name != "stream":
            words += ["-p", f"{name}={value if isinstance(value, str) and _is_text(value) else json.dumps(value)}"]
    odd = [key for key in params.get("extra") or () if "=" in key]
    if odd or any("\n" in word or "\r" in word for word in words):
        raise ConfigurationError(
            "Names with = in them, and options of several lines, do not fit on the line of a %%bifrost cell.",
            hint="Copy it as httpx.",
        )
    if not variables:
        return f"{shlex.join(words)}\n{prompt}"
    defined = [f"{name} = {as_python(value)}" for name, value in variables.items()]
    line = shlex.join(words[1:])
    end = f"get_ipython().run_cell_magic('bifrost', {line!r}, {prompt!r})" if prompt else f"%bifrost {line}"
    return "\n".join([*defined, end])


def _magic_prompt(call: Call, params: dict[str, Any]) -> tuple[str, list[str], dict[str, Any]]:
    """What is asked as the cell's text, words for its line, and variables to be defined above it."""
    if call.kind == "text":
        if not isinstance(call.body["prompt"], str) or not call.body["prompt"].strip():
            raise ConfigurationError(
                "Several prompts, and empty ones, cannot be written as a %%bifrost cell.", hint="Copy it as httpx."
            )
        return _as_template(call.body["prompt"]), [], {}
    turns = _turns_of(call)
    words = ["--chat"] if call.kind == "chat" else ["--api", "responses"]
    if call.kind == "responses" and _one_line(params.get("instructions")):
        words += _flag("--system", _as_template(params.pop("instructions")))
    first = turns[0]
    is_system = first.keys() == {"role", "content"} and first["role"] == "system"
    if len(turns) == 2 and is_system and _one_line(first["content"]):
        words, turns = _flag("--system", _as_template(first["content"])), turns[1:]
    text, urls = _text_and_pictures(turns[-1])
    if len(turns) == 1 and text is not None:
        names = ["picture"] if len(urls) == 1 else [f"picture_{number}" for number in range(1, len(urls) + 1)]
        return (
            _as_template(text),
            [*words, *(word for name in names for word in ("--image", name))],
            dict(zip(names, urls, strict=True)),
        )
    return "", [*words, "--messages", "messages"], {"messages": turns}


def _one_line(text: Any) -> bool:
    return isinstance(text, str) and "\n" not in text and "\r" not in text


def _turns_of(call: Call) -> list[Message]:
    """The turns of a call as a chat has them. Raises ConfigurationError for items of other kinds."""
    if call.kind == "chat":
        return list(call.body["messages"])
    items = call.body["input"]
    if isinstance(items, str):
        return [{"role": "user", "content": items}]
    turns = [{**item, "content": _chat_parts(item.get("content"))} for item in items]
    if as_items(turns) != items:
        raise ConfigurationError("Items other than turns do not fit into a %%bifrost cell.", hint="Copy it as httpx.")
    return turns


def _chat_parts(content: Any) -> Any:
    if not isinstance(content, list):
        return content
    return [
        {"type": "image_url", "image_url": {"url": part.get("image_url")}}
        if part.get("type") == "input_image"
        else {"type": "text", "text": part.get("text")}
        for part in content
    ]


def _text_and_pictures(turn: Message) -> tuple[str | None, list[str]]:
    """The text of a user's turn and the pictures behind it; no text where it is more, or something else."""
    content = turn.get("content")
    if turn.get("role") != "user" or len(turn) != 2:
        return None, []
    if isinstance(content, str):
        return (content if content.strip() else None), []
    parts = content if isinstance(content, list) else []
    text = parts[0].get("text") if parts and parts[0].get("type") == "text" else None
    found = [part["image_url"].get("url") for part in parts[1:] if isinstance(part.get("image_url"), dict)]
    urls = [url for url in found if isinstance(url, str) and url.startswith("data:")]  # of a path nothing is read
    try:
        exact = bool(urls) and parts[1:] == [{"type": "image_url", "image_url": {"url": data_url(url)}} for url in urls]
    except Fault:
        exact = False
    return (text, urls) if exact and isinstance(text, str) and text.strip() else (None, [])


def _schema_of(call: Call, params: dict[str, Any]) -> Any:
    """The schema of a typed answer, where ``--schema`` sends the same; it is taken out of `params`."""
    form = params.get("response_format") if call.kind == "chat" else params.get("text")
    told = form.get("json_schema") or form.get("format") if isinstance(form, dict) else None
    schema = told.get("schema") if isinstance(told, dict) else None
    if not isinstance(schema, dict):
        return None
    sent: dict[str, Any] = {}
    try:
        with_schema(AnswerSchema.of(schema), call.kind, sent)
    except ConfigurationError:
        return None
    [(name, value)] = sent.items()
    if params.get(name) != value:
        return None
    params.pop(name)
    return schema


def _flag(name: str, value: str) -> list[str]:
    """The words of a flag; a value that begins like a flag is written into its word."""
    return [f"{name}={value}"] if value.startswith("-") else [name, value]


def _is_text(value: str) -> bool:
    """Whether the magic reads `value` as the text it is, without quotes of JSON around it."""
    from .magic.options import literal

    return value.isprintable() and bool(literal(value) == value)


def _as_template(prompt: str) -> str:
    """`prompt` so that the magic sends it unchanged: what looks like a placeholder is doubled."""
    from .._prompts.template import escape

    return escape(prompt)


def as_python(value: Any) -> str:
    """`value` as a literal of Python, in lines of 100 characters."""
    from pprint import pformat

    return pformat(value, width=100, sort_dicts=False)
