"""Text from outside, made safe to show: no terminal control sequences, no keys.

Model output, gateway errors and log contents are hostile input. HTML escaping is the renderer's work
(`bifrost_nb._display.markdown`); this module serves every other place: messages, terminals, the log.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, SupportsIndex

__all__ = [
    "HIDDEN",
    "SHORTEST_SECRET",
    "Secret",
    "guarded",
    "hidden",
    "plain",
    "redact",
    "secrets_in",
    "shown",
    "spellings",
]

HIDDEN = "[hidden]"
_SECRET_HEADER = re.compile(r"auth|cookie|token|secret|passw|credential|(^|-)vk$|(api|access|subscription)-?key$", re.I)
SHORTEST_SECRET = 8
"""A shorter word may stand in any text; it is not taken out of what others wrote."""

# C0 and C1 controls except tab and newline, DEL, and the bidirectional overrides that can reorder a line on screen.
_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)
# The key shapes of the providers behind the gateway, of Bifrost's virtual keys, and bearer headers.
_KEYS = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|pplx|nvapi|hf|AIza|AKIA|ASIA)[-_]?[A-Za-z0-9][A-Za-z0-9_\-*.]{11,}"
    r"|(?i:(?<=bearer )|(?<=basic ))[A-Za-z0-9_\-.=+/~]{8,}"
)


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


def guarded(headers: Mapping[str, Any]) -> dict[str, Any]:
    """`headers` with the values that are keys, by their names, as `Secret`."""
    return {
        name: Secret(value) if isinstance(value, str) and _SECRET_HEADER.search(str(name)) else value
        for name, value in headers.items()
    }


def secrets_in(headers: Mapping[str, str]) -> tuple[str, ...]:
    """The keys among `headers`, those behind a scheme such as ``Bearer`` as well without it."""
    keys = [value for value in headers.values() if isinstance(value, Secret)]
    return tuple(Secret(part) for key in keys for part in dict.fromkeys((str(key), key.rpartition(" ")[2])))


def shown(text: str, secrets: Iterable[str]) -> bool:
    """Whether any of `secrets` stands in `text`."""
    return any(len(secret) >= SHORTEST_SECRET and secret in text for secret in secrets)


def spellings(secrets: Iterable[str]) -> tuple[str, ...]:
    """`secrets` as they are and as JSON writes them inside a text, where that differs."""
    return tuple(
        dict.fromkeys(text for key in secrets for text in (str(key), json.dumps(str(key), ensure_ascii=False)[1:-1]))
    )


def hidden(value: Any, secrets: Sequence[str]) -> Any:
    """A JSON value without `secrets`, whoever put them there: in its texts, and in the names of its objects.

    In the value, not in its encoded form, where a key such as ``"response"`` would change what the line says.

    >>> hidden({"model": "m-key-0123456789"}, ["key-0123456789"])
    {'model': 'm-[hidden]'}
    """
    if isinstance(value, str):
        if shown(value, secrets):
            for secret in secrets:
                value = value.replace(secret, HIDDEN) if len(secret) >= SHORTEST_SECRET else value
        return value
    if isinstance(value, dict):
        return {hidden(name, secrets): hidden(each, secrets) for name, each in value.items()}
    return [hidden(each, secrets) for each in value] if isinstance(value, list) else value


def plain(text: object, limit: int | None = None) -> str:
    """`text` without control sequences; cut after `limit` characters with an ellipsis."""
    result = _CONTROL.sub("", str(text))
    return result if limit is None or len(result) <= limit else result[: limit - 1] + "…"


def redact(text: object, *secrets: str | None) -> str:
    """`text` with each given secret, and all that looks like a provider key, replaced by ``[hidden]``."""
    result = str(text)
    for secret in secrets:
        if secret and len(secret) >= 4:
            result = result.replace(secret, HIDDEN)
    return _KEYS.sub(HIDDEN, result)
