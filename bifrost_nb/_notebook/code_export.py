"""A run as code that repeats it: curl, httpx, the openai SDK, ``%%bifrost`` (`magic_export`). Keys are environment
variables.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from .._client.calls import Kind, asked_of
from .._display.table import Text
from .._keys import Secret, hide
from ..errors import ConfigurationError
from .magic_export import as_magic, as_python

if TYPE_CHECKING:
    from .._client.calls import Call
    from .._client.client import Client
    from .._runs.run import Run

__all__ = ["FORMS", "ClientCode", "client_code", "copy", "header_variable"]

# What the openai SDK takes by name; the rest goes into its extra_body.
_SDK_NAMES = {"messages", "prompt", "model", "temperature", "top_p", "stop", "seed", "n", "user"}
_SDK_NAMES |= {"max_tokens", "max_completion_tokens", "stream", "input", "instructions", "max_output_tokens"}
_KINDS: dict[str | None, Kind] = {"text_completion": "text", "chat_completion": "chat", "responses": "responses"}


def copy(client: Client, run: Run, form: str = "curl") -> Text:
    """`run` as code in one of `FORMS`. Raises ConfigurationError for a run that was no completion."""
    written = hide(FORMS[form](client, _call(client, run), run), client.credentials.secrets)
    return Text(written)


def _call(client: Client, run: Run) -> Call:
    """The request that `run` came from, made again from what was recorded."""
    kind = _KINDS.get(run.request_type)
    if kind is None or run.requested is None or run.prompt is None:
        raise ConfigurationError(f"A run of type {run.request_type} cannot be copied.")
    options = dict(run.params)
    decoded = asked_of(run.prompt)
    asked: dict[str, Any] = {"prompt": run.prompt}
    if kind == "chat" and decoded and isinstance(decoded[0], dict):
        asked = {"messages": decoded}
    elif kind == "text" and decoded and isinstance(decoded[0], str):
        asked = {"prompt": decoded if len(decoded) > 1 else decoded[0]}
    elif kind == "responses" and decoded and isinstance(decoded[0], dict):
        asked = {"prompt": decoded}
    streamed = bool(options.pop("stream", False))
    return client.prepare(kind, run.requested, stream=streamed, fallbacks=run.fallbacks or None, **asked, **options)


class ClientCode(NamedTuple):
    """How a client is made in copied code."""

    code: str
    imports: tuple[str, ...]
    """Modules that it needs."""
    note: str
    """A comment about keys that are not in it; empty without any."""


def client_code(client: Client) -> ClientCode:
    """`client` as Python that makes one which asks the same gateway in the same way; its keys are left out."""
    settings = client.settings
    keys = {"virtual_key": settings.virtual_key, "api_key": settings.api_key}
    told = [f"BIFROST_{name.upper()}" for name, value in keys.items() if value]
    arguments = [repr(str(settings.base_url))]
    headers: list[str] = []
    for name, value in client.credentials.own.items():
        secret = isinstance(value, Secret)
        headers.append(f"{name!r}: {f'os.environ[{header_variable(name)!r}]' if secret else repr(value)}")
    arguments += [f"headers={{{', '.join(headers)}}}"] if headers else []
    for name in ("api_version", "ca_file"):
        arguments += [f"{name}={value!r}"] if (value := getattr(settings, name)) else []
    note = f"# The client reads {' and '.join(told)} from the environment.\n" if told else ""
    code = f"bf.Client({', '.join(arguments)})"
    return ClientCode(code, ("os",) if "os.environ" in code else (), note)


def header_variable(header: str) -> str:
    """The environment variable for a key that was given as a header."""
    return re.sub(r"\W", "_", header).upper()


def _url(call: Call) -> str:
    query = "&".join(f"{name}={value}" for name, value in call.query.items())
    return call.path + (f"?{query}" if query else "")


def _keys(client: Client, call: Call) -> dict[str, str]:
    """Header and environment variable of each key that is configured, or was given as a header."""
    keys = {name: header_variable(name) for name, value in call.headers.items() if isinstance(value, Secret)}
    if client.settings.virtual_key:
        keys["x-bf-vk"] = "BIFROST_VIRTUAL_KEY"
    if client.settings.api_key:
        keys["authorization"] = "BIFROST_API_KEY"
    return keys


def _value(header: str) -> str:
    """A header's value as Python; httpx takes letters beyond ASCII as bytes alone."""
    return json.dumps(header, ensure_ascii=False) + ("" if header.isascii() else ".encode()")


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
        f"    {json.dumps(name)}: {_value(value)},"
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
    lines = ["import os\n\nimport httpx\n", f"body = {as_python(call.body)}"]
    if not call.stream:
        end = ["response.raise_for_status()", "print(response.json())"]
        return "\n".join([*lines, "response = httpx.post(", *given, ")", *end])
    end = ["    response.raise_for_status()", "    for line in response.iter_lines():", "        print(line)"]
    return "\n".join([*lines, "with httpx.stream(", '    "POST",', *given, ") as response:", *end])


_SDK_CALLS = {
    "text": ("completions", "answer.choices[0].text", "chunk.choices[0].text"),
    "chat": ("chat.completions", "answer.choices[0].message.content", "chunk.choices[0].delta.content"),
    "responses": ("responses", "answer.output_text", "chunk.delta"),
}
"""Of each kind the SDK's method, the answer's text, and that of a chunk."""


def _openai(client: Client, call: Call, run: Run) -> str:
    body = {**call.body, "model": run.requested}
    extra = {name: body.pop(name) for name in list(body) if name not in _SDK_NAMES}
    lines = [f"    {name}={as_python(value)}," for name, value in body.items()]
    if extra:
        lines.append(f"    extra_body={as_python(extra)},")
    kind, text, piece = _SDK_CALLS[call.kind]
    plain = {name: value for name, value in call.headers.items() if not isinstance(value, Secret)}
    headers = {name: _value(value) for name, value in plain.items() if value.isascii()}
    odd = [f"{json.dumps(name)}: {_value(value)}" for name, value in plain.items() if not value.isascii()]
    headers |= {name: f'os.environ["{variable}"]' for name, variable in _keys(client, call).items()}
    key = headers.pop("authorization", '"none"') if client.settings.api_key else '"none"'  # the SDK wants one
    more = "{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in headers.items()) + "}"
    given = [f"base_url={json.dumps(client.base_url + '/v1')}", f"api_key={key}"]
    given += [f"default_headers={more}"] if headers else []
    if odd:  # the SDK itself takes ASCII alone
        given.append(f"http_client=DefaultHttpxClient(headers={{{', '.join(odd)}}})")
    if call.stream:
        there = "chunk.choices" if "choices" in piece else 'chunk.type == "response.output_text.delta"'
        end = ["for chunk in answer:", f"    if {there}:", f'        print({piece} or "", end="")']
    else:
        end = [f"print({text})"]
    return "\n".join(
        [
            f"import os\n\nfrom openai import {'DefaultHttpxClient, ' if odd else ''}OpenAI\n",
            f"client = OpenAI({', '.join(given)})",
            f"answer = client.{kind}.create(",
            *lines,
            ")",
            *end,
        ]
    )


FORMS: dict[str, Callable[[Client, Call, Run], str]] = {
    "curl": _curl,
    "httpx": _httpx,
    "openai": _openai,
    "magic": lambda _, call, run: as_magic(call, run),
}
"""How a run can be copied."""
