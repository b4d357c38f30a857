"""A run as code that repeats it: curl, httpx, the openai SDK, ``%%bifrost``. Keys are environment variables.

What a ``%%bifrost`` cell reads from variables (messages, pictures, tools, a schema) is defined above it; then the
magic is called by ``run_cell_magic``, since its own line must be the cell's first.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from .._client.calls import Kind, asked_of
from .._client.token_count import as_items
from .._client.typed_answers import AnswerSchema, with_schema
from .._display.table import Text
from .._keys import Secret, hide
from .._prompts.messages import Message
from .._prompts.pictures import data_url
from .._prompts.value_text import Fault
from ..errors import ConfigurationError

if TYPE_CHECKING:
    from .._client.calls import Call
    from .._client.client import Client
    from .._runs.run import Run

__all__ = ["FORMS", "ClientCode", "client_code", "copy"]

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
        headers.append(f"{name!r}: {f'os.environ[{_variable(name)!r}]' if secret else repr(value)}")
    arguments += [f"headers={{{', '.join(headers)}}}"] if headers else []
    for name in ("api_version", "ca_file"):
        arguments += [f"{name}={value!r}"] if (value := getattr(settings, name)) else []
    note = f"# The client reads {' and '.join(told)} from the environment.\n" if told else ""
    code = f"bf.Client({', '.join(arguments)})"
    return ClientCode(code, ("os",) if "os.environ" in code else (), note)


def _variable(header: str) -> str:
    """The environment variable for a key that was given as a header."""
    return re.sub(r"\W", "_", header).upper()


def _url(call: Call) -> str:
    query = "&".join(f"{name}={value}" for name, value in call.query.items())
    return call.path + (f"?{query}" if query else "")


def _keys(client: Client, call: Call) -> dict[str, str]:
    """Header and environment variable of each key that is configured, or was given as a header."""
    keys = {name: _variable(name) for name, value in call.headers.items() if isinstance(value, Secret)}
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


_SDK_CALLS = {
    "text": ("completions", "answer.choices[0].text", "chunk.choices[0].text"),
    "chat": ("chat.completions", "answer.choices[0].message.content", "chunk.choices[0].delta.content"),
    "responses": ("responses", "answer.output_text", "chunk.delta"),
}
"""Of each kind the SDK's method, the answer's text, and that of a chunk."""


def _openai(client: Client, call: Call, run: Run) -> str:
    body = {**call.body, "model": run.requested}
    extra = {name: body.pop(name) for name in list(body) if name not in _SDK_NAMES}
    lines = [f"    {name}={_python(value)}," for name, value in body.items()]
    if extra:
        lines.append(f"    extra_body={_python(extra)},")
    kind, text, piece = _SDK_CALLS[call.kind]
    headers = {name: json.dumps(value) for name, value in call.headers.items() if not isinstance(value, Secret)}
    headers |= {name: f'os.environ["{variable}"]' for name, variable in _keys(client, call).items()}
    key = headers.pop("authorization", '"none"') if client.settings.api_key else '"none"'  # the SDK wants one
    more = "{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in headers.items()) + "}"
    given = [f"base_url={json.dumps(client.base_url + '/v1')}", f"api_key={key}"]
    given += [f"default_headers={more}"] if headers else []
    if call.stream:
        there = "chunk.choices" if "choices" in piece else 'chunk.type == "response.output_text.delta"'
        end = ["for chunk in answer:", f"    if {there}:", f'        print({piece} or "", end="")']
    else:
        end = [f"print({text})"]
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
    defined = [f"{name} = {_python(value)}" for name, value in variables.items()]
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
