"""What SDKs send of the environment on their own: meant for their provider, so a gateway gets none of it.

``OPENAI_ORG_ID``, ``OPENAI_PROJECT_ID`` and the lines of ``OPENAI_CUSTOM_HEADERS`` and ``ANTHROPIC_CUSTOM_HEADERS``
(read in the SDKs' sources) hold names and often keys. An option of `sdk` (``default_headers``, ``organization``) is
another matter: who writes it there means the gateway.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

__all__ = ["event_hooks"]

_OF_ONE = {
    "OPENAI_ORG_ID": ("openai-organization", ""),
    "OPENAI_ORGANIZATION": ("openai-organization", ""),
    "OPENAI_PROJECT_ID": ("openai-project", ""),
    "ANTHROPIC_AUTH_TOKEN": ("authorization", "Bearer "),
}
_OF_LINES = ("OPENAI_CUSTOM_HEADERS", "ANTHROPIC_CUSTOM_HEADERS")
_KEYS = ("authorization", "x-api-key")


def event_hooks(key: str, options: Mapping[str, Any], *, asynchronous: bool) -> dict[str, Any]:
    """``event_hooks`` of an httpx client that take such headers out of each request; none where there are none.

    `key` is what the SDK sends where one of them had taken its header, `options` what the person passed to the SDK.
    """
    passed = {str(value) for value in _flat(options)}
    taken = [(name, value) for name, value in _told() if value not in passed]
    if not taken:
        return {}
    forget = _forgetting(taken, key)

    async def forget_too(request: Any) -> None:
        forget(request)

    return {"event_hooks": {"request": [forget_too if asynchronous else forget]}}


def _told() -> Iterator[tuple[str, str]]:
    for variable, (name, before) in _OF_ONE.items():
        if value := os.environ.get(variable):
            yield name, before + value
    for variable in _OF_LINES:
        for line in os.environ.get(variable, "").split("\n"):
            name, colon, value = line.partition(":")
            if colon and name.strip():
                yield name.strip().lower(), value.strip()


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for one in value.values():
            yield from _flat(one)
    else:
        yield value


def _forgetting(taken: list[tuple[str, str]], key: str) -> Callable[[Any], None]:
    def forget(request: Any) -> None:
        headers = request.headers
        for name, value in taken:
            if headers.get(name) == value:
                del headers[name]
                if name in _KEYS and not any(each in headers for each in _KEYS):
                    headers[name] = f"Bearer {key}" if name == "authorization" else key

    return forget
