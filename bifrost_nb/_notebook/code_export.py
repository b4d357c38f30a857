"""A run as code that repeats it: curl, httpx, the openai SDK, ``%%bifrost``. Keys are environment variables."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

from .._client.calls import asked_of
from .._display.table import Text
from .._keys import Secret, hide
from ..errors import ConfigurationError

if TYPE_CHECKING:
    from .._client.calls import Call
    from .._client.client import Client
    from .._runs.run import Run

__all__ = ["FORMS", "copy"]

# What the openai SDK takes by name; the rest goes into its extra_body.
_SDK_NAMES = {"messages", "prompt", "model", "temperature", "top_p", "stop", "seed", "n", "user"}
_SDK_NAMES |= {"max_tokens", "max_completion_tokens", "stream"}


def copy(client: Client, run: Run, form: str = "curl") -> Text:
    """`run` as code in one of `FORMS`. Raises ConfigurationError for a run that was no completion."""
    written = hide(FORMS[form](client, _call(client, run), run), client.credentials.secrets)
    return Text(written)


def _call(client: Client, run: Run) -> Call:
    """The request that `run` came from, made again from what was recorded."""
    kinds = {"text_completion": "text", "chat_completion": "chat"}
    if run.request_type not in kinds or run.requested is None or run.prompt is None:
        raise ConfigurationError(f"A run of type {run.request_type} cannot be copied.")
    options = dict(run.params)
    decoded = asked_of(run.prompt)
    asked: dict[str, Any] = {"prompt": run.prompt}
    if run.request_type == "chat_completion" and decoded and isinstance(decoded[0], dict):
        asked = {"messages": decoded}
    elif run.request_type == "text_completion" and decoded and isinstance(decoded[0], str):
        asked = {"prompt": decoded if len(decoded) > 1 else decoded[0]}
    streamed = bool(options.pop("stream", False))
    return client.prepare(
        "chat" if run.request_type == "chat_completion" else "text",
        run.requested,
        stream=streamed,
        fallbacks=run.fallbacks or None,
        **asked,
        **options,
    )


def _url(call: Call) -> str:
    query = "&".join(f"{name}={value}" for name, value in call.query.items())
    return call.path + (f"?{query}" if query else "")


def _keys(client: Client, call: Call) -> dict[str, str]:
    """Header and environment variable of each key that is configured, or was given as a header."""
    keys = {name: re.sub(r"\W", "_", name).upper() for name, value in call.headers.items() if isinstance(value, Secret)}
    if client.settings.virtual_key:
        keys["x-bf-vk"] = "BIFROST_VIRTUAL_KEY"
    if client.settings.api_key:
        keys["authorization"] = "BIFROST_API_KEY"
    return keys


def _curl(client: Client, call: Call, run: Run) -> str:
    plain_headers = ((name, value) for name, value in call.headers.items() if not isinstance(value, Secret))
    headers = ["content-type: application/json", *(f"{name}: {value}" for name, value in plain_headers)]
    keys = [
        f'  -H "{name}: {"Bearer " if variable == "BIFROST_API_KEY" else ""}${variable}"'
        for name, variable in _keys(client, call).items()
    ]
    lines = [
        f"curl{' -N' if call.stream else ''} {shlex.quote(client.base_url + _url(call))}",
        *(f"  -H {shlex.quote(header)}" for header in headers),
        *keys,
        f"  -d {shlex.quote(orjson.dumps(call.body).decode())}",
    ]
    return " \\\n".join(lines)


def _httpx(client: Client, call: Call, run: Run) -> str:
    headers = [
        f"    {json.dumps(name)}: {json.dumps(value)},"
        for name, value in call.headers.items()
        if not isinstance(value, Secret)
    ]
    for name, variable in _keys(client, call).items():
        start = '"Bearer " + ' if variable == "BIFROST_API_KEY" else ""
        headers.append(f'    "{name}": {start}os.environ["{variable}"],')
    given = [
        f"    {json.dumps(client.base_url + _url(call))},",
        "    json=body,",
        *(["    headers={", *(f"    {line}" for line in headers), "    },"] if headers else []),
        "    timeout=600,",
    ]
    lines = ["import os\n\nimport httpx\n", f"body = {_python(call.body)}"]
    if not call.stream:
        end = ["response.raise_for_status()", "print(response.json())"]
        return "\n".join([*lines, "response = httpx.post(", *given, ")", *end])
    end = ["    response.raise_for_status()", "    for line in response.iter_lines():", "        print(line)"]
    return "\n".join([*lines, "with httpx.stream(", '    "POST",', *given, ") as response:", *end])


def _openai(client: Client, call: Call, run: Run) -> str:
    body = {**call.body, "model": run.requested}
    extra = {name: body.pop(name) for name in list(body) if name not in _SDK_NAMES}
    lines = [f"    {name}={_python(value)}," for name, value in body.items()]
    if extra:
        lines.append(f"    extra_body={_python(extra)},")
    kind, text = ("chat.completions", ".message.content") if call.kind == "chat" else ("completions", ".text")
    headers = {name: json.dumps(value) for name, value in call.headers.items() if not isinstance(value, Secret)}
    headers |= {name: f'os.environ["{variable}"]' for name, variable in _keys(client, call).items()}
    key = headers.pop("authorization", '"none"') if client.settings.api_key else '"none"'  # the SDK wants one
    more = "{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in headers.items()) + "}"
    given = [f"base_url={json.dumps(client.base_url + '/v1')}", f"api_key={key}"]
    given += [f"default_headers={more}"] if headers else []
    if call.stream:
        piece = "chunk.choices[0].delta.content" if call.kind == "chat" else "chunk.choices[0].text"
        end = ["for chunk in answer:", "    if chunk.choices:", f'        print({piece} or "", end="")']
    else:
        end = [f"print(answer.choices[0]{text})"]
    return "\n".join(
        [
            "import os\n\nfrom openai import OpenAI\n",
            f"client = OpenAI({', '.join(given)})",
            f"answer = client.{kind}.create(",
            *lines,
            ")",
            *end,
        ]
    )


def _magic(client: Client, call: Call, run: Run) -> str:
    flags = {"temperature": "-t", "max_tokens": "--max-tokens", "top_p": "--top-p", "seed": "--seed", "n": "-n"}
    words = ["%%bifrost", run.requested or ""]
    for fallback in run.fallbacks:
        words += ["--fallback", fallback]
    prompt = call.body.get("prompt")
    if call.kind == "chat":
        turns = [(turn.get("role"), turn.get("content")) for turn in call.body["messages"] if len(turn) == 2]
        prompt = turns[-1][1] if turns and turns[-1][0] == "user" and len(turns) == len(call.body["messages"]) else None
        if len(turns) == 2 and turns[0][0] == "system" and isinstance(turns[0][1], str):
            words += _flag("--system", _as_template(turns[0][1]))
        else:
            words.append("--chat")
            prompt = prompt if len(turns) == 1 else None
    if not isinstance(prompt, str) or not prompt.strip():
        raise ConfigurationError(
            "Several prompts or turns, images and empty prompts cannot be written as a %%bifrost cell.",
            hint="Copy it as httpx.",
        )
    for name, value in run.params.items():
        if name in flags:
            words += [flags[name], str(value)]
        elif name == "extra":
            words += [word for key, each in value.items() for word in _flag("--extra", f"{key}={json.dumps(each)}")]
        elif name != "stream":
            words += ["-p", f"{name}={value if isinstance(value, str) and _is_text(value) else json.dumps(value)}"]
    odd = [key for key in run.params.get("extra") or () if "=" in key]
    if odd or any("\n" in word or "\r" in word for word in words):
        raise ConfigurationError(
            "System messages of several lines, and names with = in them, do not fit on the line of a %%bifrost cell.",
            hint="Copy it as httpx.",
        )
    return f"{shlex.join(words)}\n{_as_template(prompt)}"


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


def _python(value: Any) -> str:
    from pprint import pformat

    return pformat(value, width=100, sort_dicts=False)


FORMS: dict[str, Callable[[Client, Call, Run], str]] = {
    "curl": _curl,
    "httpx": _httpx,
    "openai": _openai,
    "magic": _magic,
}
"""How a run can be copied."""
