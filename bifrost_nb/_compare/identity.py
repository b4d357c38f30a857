"""What makes two calls the same: an identity by content, which a second run of a cell finds in the log.

Two trials have the same identity only if they ask the same gateway the same thing for the same time. `plan` puts it
together (see `make_plan`), `resume` and `replay` look for it.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import re
from collections import Counter
from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any
from urllib.parse import urlsplit

import orjson

from .._client.calls import Call
from .._keys import Secret, without_tool_keys
from .._prompts.value_text import Fault, as_text
from ..errors import ConfigurationError

__all__ = ["address_of", "content_of", "digest_of", "identity_of", "numbered", "shown_values"]

_QUESTION = ("prompt", "messages", "input", "instructions")
"""Where a request's body holds what differs from prompt to prompt."""
_TRACING = re.compile(
    r"traceparent|tracestate|baggage|user-agent|sentry-trace|b3|(x-b3|x-datadog|x-amzn-trace|x-cloud-trace)-.+"
    r"|(x-)?correlation-id|x-bf-(dim|prom|maxim)-.+|x-bf-parent-request-id"
    r"|x-bf-(store-raw-request-response|disable-content-logging)"
)
"""Headers that change no answer: traces, labels, and what the gateway's own log keeps of it."""


def address_of(base_url: str) -> str:
    """The gateway's address in one spelling: names in lower case, no usual port, this machine as ``localhost``."""
    parts = urlsplit(base_url)
    if not parts.hostname:  # "demo"
        return base_url
    host = "localhost" if parts.hostname in ("127.0.0.1", "::1") else parts.hostname
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, {"http": 80, "https": 443}.get(parts.scheme)) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}"


def identity_of(call: Call, *, question: bool = True) -> list[Any]:
    """All of a call that decides about its answer: way, API version, body, headers; no key, no limit of time.

    Without `question` the prompt is left out: what is common to all calls of a variant.
    """
    asked = without_tool_keys(call.body)
    body = {name: _same(value) for name, value in asked.items() if question or name not in _QUESTION}
    headers = {
        name.lower(): str(value)
        for name, value in call.headers.items()
        if not isinstance(value, Secret) and not _TRACING.fullmatch(name.lower())
    }
    return [call.kind, call.stream, call.path, dict(call.query), body, headers]


def _same(value: Any) -> Any:
    """0 and 0.0 are the same number."""
    if isinstance(value, Mapping):
        return {key: _same(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_same(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def digest_of(content: Any, length: int) -> str:
    try:
        canonical = orjson.dumps(
            content, option=orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS, default=repr
        )
    except TypeError as error:  # half of a character that UTF-16 writes in two
        raise ConfigurationError(f"A prompt or parameter cannot be sent: {error}.", hint="Repair its text.") from None
    return hashlib.sha256(canonical).hexdigest()[:length]


def numbered(digest: str, seen: Counter[str]) -> str:
    seen[digest] += 1
    return digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"


def shown_values(values: Mapping[str, Any]) -> list[Any]:
    """A row's values so that the same row has the same identity tomorrow: whole, and without an object's address."""
    return [[name, _shown_value(value)] for name, value in sorted(values.items())]


def content_of(values: Mapping[str, Any]) -> str:
    """A digest of a row with all that its values hold, also those that have no text: pictures, and lists with NaN."""
    return digest_of([[name, _shown_value(value, _pickled)] for name, value in sorted(values.items())], 16)


def _pickled(value: Any) -> str:
    """What tells `value` from others of its type; only the type where it cannot be pickled."""
    try:
        return _Contents().of(value)
    except Exception:  # noqa: BLE001 - it holds itself, or the user's own class cannot be pickled
        try:
            return hashlib.sha256(pickle.dumps(value)).hexdigest()
        except Exception:  # noqa: BLE001 - the user's own class
            return type(value).__name__


_SIMPLE = (str, bytes, int, float, bool, NoneType)
"""Types of the parts that are written as they are."""


class _Contents:
    """Digests of what values hold, part by part, each part once.

    An ordinary pickle tells whether two equal parts are one object, and has a set in the order of its hashes.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, str]] = {}
        """By the id of a part, which is kept so that no other takes its place in memory; "" while it is under way."""

    def of(self, value: Any) -> str:
        """Raises ValueError for what holds itself, and what pickling raises."""
        if id(value) in self._known:
            if not (found := self._known[id(value)][1]):
                raise ValueError("it holds itself")
            return found
        self._known[id(value)] = value, ""
        if type(value) in (set, frozenset):
            content = "".join([type(value).__name__, *sorted(map(self.of, value))]).encode()
        else:
            pickler = _Pickler(self)
            pickler.dump(value)
            content = pickler.written.getvalue()
        self._known[id(value)] = value, (found := hashlib.sha256(content).hexdigest())
        return found


class _Pickler(pickle.Pickler):
    """One value, its parts by their digests."""

    def __init__(self, contents: _Contents) -> None:
        self.written = io.BytesIO()
        super().__init__(self.written)
        self.fast = True  # no memo
        self._contents, self._begun = contents, False

    def persistent_id(self, part: Any) -> str | None:
        if self._begun and type(part) not in _SIMPLE:
            return self._contents.of(part)
        self._begun = True
        return None


def _shown_value(value: Any, without_text: Callable[[Any], str] = lambda value: type(value).__name__) -> Any:
    if isinstance(value, int) and not -(2**63) <= value < 2**64:  # more than the canonical JSON holds
        return str(value)
    if isinstance(value, str | int | float | bool | None):
        return value
    try:
        return as_text(value)
    except Fault:  # of a column that no template uses, such as a picture
        return without_text(value)
