"""Keys: known by the names of headers and by their shapes, and taken out of whatever is shown.

What is known to be a key is hidden wherever it stands; a shape only where the characters look drawn by chance.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any, SupportsIndex

__all__ = [
    "HIDDEN",
    "SHORTEST_SECRET",
    "Secret",
    "guard_entries",
    "guard_headers",
    "guarded",
    "hide",
    "hide_in",
    "keys_sent",
    "secrets_in",
    "shown_address",
    "tool_keys",
    "without_keys",
    "without_tool_keys",
]

HIDDEN = "[hidden]"
_SECRET_HEADER = re.compile(
    r"auth|cookie|token|secret|passw|credential|bearer|jwt|signature|(^|-)vk$|(api|access|subscription)key$"
    r"|(^|(?<!cache)(?<!idempotency)[-_])key$",
    re.I,
)
SHORTEST_SECRET = 8
"""A shorter word may stand in any text; it is not taken out of what others wrote."""

# The prefixes of the keys of the providers behind the gateway and of Bifrost's virtual keys, each with its separator,
# and the tokens behind an authorization scheme. What follows must also look drawn by chance: see `_is_random`.
_SHAPES = re.compile(
    r"(?<![A-Za-z0-9])(?:sk|pk|rk|xai|pplx|nvapi|glpat)-[A-Za-z0-9_-]{16,}"
    r"|(?<![A-Za-z0-9])(?:gsk|hf|gh[opsu])_[A-Za-z0-9]{16,}"
    r"|(?<![A-Za-z0-9])(?:AIza[A-Za-z0-9_-]{35}|(?:AKIA|ASIA)[A-Z0-9]{16})(?![A-Za-z0-9])"
    r"|(?i:(?<=\bbearer ))[A-Za-z0-9_\-.=+/~]{16,}"
)
_PAIR = re.compile(r"(?i:(?<=\bbasic ))[A-Za-z0-9+/]{8,}={0,2}(?![A-Za-z0-9+/=])")
"""What may be a user and a password behind the scheme ``Basic``: see `_is_pair`."""
_MASKED = re.compile(r"(?<![A-Za-z0-9])(?:sk|pk|rk|gsk|xai|pplx|nvapi|hf)[-_][A-Za-z0-9_-]*\*{3,}[A-Za-z0-9*]*")
"""A key of which a provider's error shows the ends."""
_HEXADECIMAL = re.compile(r"(?=[a-f]{0,14}[0-9])(?=[0-9]{0,14}[a-f])[0-9a-f]{16}")
_CLASS_CHANGES = re.compile(r"(?<=[a-z])[A-Z0-9]|(?<=[A-Z])[a-z0-9]|(?<=[0-9])[A-Za-z]")


class Secret(str):
    """A key: text like any other, but every look at it (repr, a traceback's variables, a debugger) hides it.

    Where it is sent, `str` gives the key itself. It is not pickled.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(HIDDEN)

    def __getitem__(self, key: SupportsIndex | slice) -> str:
        return Secret(super().__getitem__(key))  # displays that cut long texts look at a slice

    def __deepcopy__(self, memo: Any) -> Secret:
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        raise TypeError("A key is not pickled; let the other process read its own settings.")


def guarded(headers: Any) -> dict[str, Any]:
    """`headers` (a mapping, or pairs as httpx takes them) with the values that are keys, by their names, as `Secret`.

    Bytes become text. What is neither stands under its name as None, so that whoever checks the headers can name it
    while no frame holds the value; what is no collection of pairs at all becomes ``{"": None}``.
    """
    try:
        pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
        return {_as_text(name): _guarded(name, value) for name, value in pairs}
    except (TypeError, ValueError):  # no pairs
        return {"": None}


def guard_headers(options: Any) -> None:
    """`guarded` for the ``headers`` among keyword arguments, in place: they are a dictionary of the calling frame."""
    if options.get("headers") is not None:
        options["headers"] = guarded(options["headers"])


def guard_entries(entries: Any) -> Any:
    """Deployments as `compare` takes them, with `guarded` headers in those that are dicts."""
    if not isinstance(entries, list | tuple):
        return entries
    return [
        {**entry, "headers": guarded(entry["headers"])} if isinstance(entry, dict) and entry.get("headers") else entry
        for entry in entries
    ]


def _as_text(name: Any) -> Any:
    if not isinstance(name, bytes):
        return name
    try:
        return name.decode()  # as it is sent
    except UnicodeDecodeError:
        return name.decode("latin-1")


def _guarded(name: Any, value: Any) -> Any:
    value = _as_text(value)
    if not isinstance(value, str):
        return None
    secret = _is_of_a_key(str(_as_text(name))) or without_keys(value) != value
    return Secret(value) if secret else value


def secrets_in(headers: Mapping[str, str]) -> tuple[str, ...]:
    """The keys among `headers`, those behind a scheme such as ``Bearer`` as well without it."""
    keys = [value for value in headers.values() if isinstance(value, Secret)]
    return tuple(Secret(part) for key in keys for part in dict.fromkeys((str(key), key.rpartition(" ")[2])))


def keys_sent(headers: Iterable[tuple[str | bytes, str | bytes]]) -> tuple[str, ...]:
    """The keys among `headers` of a request that is not ours, by their names."""
    told = ((str(_as_text(name)), _as_text(value)) for name, value in headers)
    return secrets_in({name: Secret(value) for name, value in told if _is_of_a_key(name)})


@lru_cache(maxsize=256)
def _is_of_a_key(name: str) -> bool:
    return bool(_SECRET_HEADER.search(name))


_TOOLS = ("tools", "mcp_servers", "extra")
"""Parameters that may hold keys for servers of tools: OpenAI's and Anthropic's ways to name a remote MCP server."""
_SCHEMAS = ("function", "parameters", "input_schema", "output_schema")
"""What describes a tool's arguments, whose names are no names of keys."""
_TOOL_KEY = re.compile(r"authorization(_token)?|(bearer_|access_)?token|api[_-]?key|password|secret", re.I)
"""Names of keys in a tool itself; in its headers they are those of any headers."""
_IN_URL = re.compile(r"(?<=//)[^/?#@]+(?=@)|(?<=[?&])([^=&#]+)=([^&#]+)")
"""User and password of an address, and the values of its query with their names."""


def without_tool_keys(params: Mapping[str, Any]) -> dict[str, Any]:
    """`params` of a call with the keys for servers of its tools, known by their names, as ``[hidden]``."""
    return {name: _without(value, []) if name in _TOOLS else value for name, value in params.items()}


def tool_keys(params: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys that `without_tool_keys` hides."""
    keys: list[str] = []
    for name in _TOOLS:
        _without(params.get(name), keys)
    return tuple(Secret(part) for key in keys for part in dict.fromkeys((key, key.rpartition(" ")[2])))


def _without(value: Any, keys: list[str], names: re.Pattern[str] = _TOOL_KEY) -> Any:
    if isinstance(value, list | tuple):
        return [_without(item, keys) for item in value]
    if not isinstance(value, Mapping):
        return value
    shown: dict[str, Any] = {}
    for name, item in value.items():
        if not isinstance(item, str):
            shown[name] = item if name in _SCHEMAS else _without(item, keys, _names_within(name))
        elif name in ("url", "server_url"):
            shown[name] = _address(item, keys)
        else:
            secret = len(item) >= SHORTEST_SECRET and _is_name(names, str(name))
            keys += [item] if secret else []
            shown[name] = HIDDEN if secret else item
    return shown


def _names_within(name: Any) -> re.Pattern[str]:
    return _SECRET_HEADER if name == "headers" else _TOOL_KEY


def _is_name(names: re.Pattern[str], name: str) -> bool:
    return bool(names.search(name) if names is _SECRET_HEADER else names.fullmatch(name))


def _address(url: str, keys: list[str]) -> str:
    def hidden(found: re.Match[str]) -> str:
        name, value = found[1], found[2] or found[0]
        if name and not _SECRET_HEADER.search(name):
            return found[0]
        keys.append(value)
        return f"{name}={HIDDEN}" if name else HIDDEN

    return _IN_URL.sub(hidden, url)


def hide(text: str, secrets: Iterable[str | None]) -> str:
    """`text` without `secrets`, also where it holds them as JSON would write them."""
    for secret in secrets:
        if secret and len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, HIDDEN)
            if not secret.isalnum() and (written := json.dumps(str(secret))[1:-1]) != secret:
                text = text.replace(written, HIDDEN)
    return text


def hide_in(value: Any, secrets: Collection[str | None]) -> Any:
    """`value`, JSON or tuples, without `secrets` in any text or name in it; itself where there is none."""
    if isinstance(value, str):
        return hide(value, secrets)
    if isinstance(value, dict):
        found = {hide_in(name, secrets): hide_in(item, secrets) for name, item in value.items()}
        return found if found != value else value
    if isinstance(value, list | tuple):
        if value and isinstance(value[0], int | float):  # vectors, times: thousands of numbers
            return value
        items = [hide_in(item, secrets) for item in value]
        return type(value)(items) if items != list(value) else value
    return value


def without_keys(text: object, *secrets: str | None) -> str:
    """`text` with each given secret, and what can only be a key of a provider, replaced by ``[hidden]``.

    For what comes from outside and is only shown. Never for names and prompts that are sent again.
    """
    result = _SHAPES.sub(lambda found: HIDDEN if _is_random(found[0]) else found[0], hide(str(text), secrets))
    result = _PAIR.sub(lambda found: HIDDEN if _is_pair(found[0]) else found[0], result)
    return _MASKED.sub(HIDDEN, result)


def shown_address(url: str) -> str:
    """`url` without what may hold a key: user and password, query, fragment; a word alone may be one itself."""
    if url.lower() == "localhost":
        return url
    if len(url) >= SHORTEST_SECRET and not re.search(r"[./ ]|:\d{1,5}$", url):  # given in the place of the address
        return HIDDEN
    return without_keys(re.split("[?#]", url.rpartition("@")[2])[0])


def _is_pair(token: str) -> bool:
    """Whether `token` is ``user:password`` in base64, which neither words nor formulas are."""
    try:
        text = base64.b64decode(token, validate=True).decode("utf-8")
    except ValueError:
        return False
    return ":" in text and text.isprintable()


def _is_random(token: str) -> bool:
    """Whether `token` changes between small letters, capitals and digits as often as drawn characters do.

    Base 62 changes class at 62 % of its places; words with separators, versions and dates at less than 20 %.
    Hexadecimal digits, and those of AWS, are told by their alphabet.
    """
    signs = re.sub(r"[^A-Za-z0-9]", "", token)
    if not any(sign.isdigit() for sign in signs):
        return False
    if _HEXADECIMAL.search(signs) or token.startswith(("AKIA", "ASIA")):
        return True
    return len(_CLASS_CHANGES.findall(signs)) >= max(4, 0.25 * len(signs))
