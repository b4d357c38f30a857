"""What a playground's fields may be: each check gives the field's value, or raises ConfigurationError that names it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ..._client.typed_answers import LONGEST_SCHEMA, AnswerSchema
from ..._compare.api_choice import decided_kind
from ..._compare.scoring import scorers_of
from ..._keys import guard_headers
from ..._numbers import as_python, whole
from ..._prompts.messages import Message, user_turn
from ..._prompts.pictures import MOST_BYTES, data_url
from ..._prompts.value_text import Fault, as_text
from ..._safe_text import plain, quoted, type_with_article
from ...errors import ConfigurationError

__all__ = ["CHECKS", "NOW", "EarlierTurn", "as_columns", "as_json", "schema_of_text"]

NOW = "now"
"""The name of what is filled in, among prompts that are asked beside each other."""
OWN = ("deployment", "name")
"""What a column's dict says beside settings."""


class EarlierTurn(NamedTuple):
    """An earlier turn of the conversation: ``user`` or ``assistant``, its template, the ``data:`` URLs behind it."""

    role: str
    text: str
    pictures: tuple[str, ...] = ()

    @property
    def message(self) -> Message:
        """As a chat sends it."""
        return {**user_turn(self.text, self.pictures), "role": self.role}


def as_columns(value: Any) -> tuple[tuple[str, ...], dict[str, dict[str, Any]]]:
    """Deployments as `compare` takes them: the columns' names in order, and the settings of those that have some."""
    listed = [value] if isinstance(value, Mapping) else _listed(value)
    if listed is None or not all(isinstance(each, str | Mapping) for each in listed):
        raise ConfigurationError(f"deployments must be a list like ['azure/fast'], not {quoted(value, 60)}.")
    names: list[str] = []
    settings: dict[str, dict[str, Any]] = {}
    for each in listed:
        if isinstance(each, str):
            if (name := each.strip()) and name not in names:
                names.append(name)
            continue
        deployment = each.get("deployment")
        if not isinstance(deployment, str) or not deployment.strip():
            raise ConfigurationError(
                "deployments: a dict names its deployment, like {'deployment': 'azure/fast', 'temperature': 0}."
            )
        name = str(each.get("name") or _free(deployment.strip(), names))
        if name in names:
            raise ConfigurationError(f"Two columns are called {plain(name, 60)!r}; give each a name of its own.")
        names.append(name)
        own = {key: one for key, one in each.items() if key not in OWN}
        if own or name != deployment.strip():
            settings[name] = own | ({"deployment": deployment.strip()} if name != deployment.strip() else {})
    return tuple(names), settings


def _listed(value: Any) -> list[Any] | None:
    """A name as a list, and any other row of them: a column of a frame, an array; None for what is neither."""
    if isinstance(value, str):
        return [value]
    return None if isinstance(value, Mapping) or not isinstance(value, Iterable) else list(value)


def _free(name: str, taken: Sequence[str]) -> str:
    number = 1
    while (found := name if number == 1 else f"{name} ({number})") in taken:
        number += 1
    return found


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} must be text, not {type(value).__name__}.")
    return value


def _names(name: str, value: Any) -> tuple[str, ...]:
    listed = _listed(value)
    if listed is None or not all(isinstance(each, str) for each in listed):
        raise ConfigurationError(f"{name} must be a list like ['azure/fast'], not {quoted(value, 60)}.")
    return tuple(dict.fromkeys(each.strip() for each in listed if each.strip()))


def _settings(name: str, value: Any) -> dict[str, dict[str, Any]]:
    """Of each column; what is None or empty there is as all have it."""
    if not isinstance(value, Mapping) or not all(
        isinstance(key, str) and isinstance(own, Mapping) and all(isinstance(each, str) for each in own)
        for key, own in value.items()
    ):
        raise ConfigurationError(
            f"{name} must be a dict like {{'azure/fast': {{'temperature': 0}}}}, not {quoted(value, 60)}."
        )
    kept = {key: {each: one for each, one in own.items() if not _unset(one)} for key, own in value.items()}
    for key, own in kept.items():
        guard_headers(own)
        _check_json(f"{name} of {plain(key, 60)}", {each: one for each, one in own.items() if each != "history"})
        for text in ("system", "deployment"):
            _text(f"{name} of {plain(key, 60)}: {text}", own.get(text, ""))
        decided_kind(own.get("api"))
    return {key: own for key, own in kept.items() if own}


def _turns(name: str, value: Any) -> tuple[EarlierTurn, ...]:
    """Turns, or messages with texts and pictures."""
    if isinstance(value, str | Mapping) or not isinstance(value, Sequence):
        raise ConfigurationError(f"{name} must be a list of messages, not {quoted(value, 60)}.")
    return tuple(one if isinstance(one, EarlierTurn) else _turn(name, one) for one in value)


def _turn(name: str, message: Any) -> EarlierTurn:
    role = message.get("role") if isinstance(message, Mapping) else None
    content = message.get("content") if isinstance(message, Mapping) else None
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if role not in ("user", "assistant") or not isinstance(parts, Sequence):
        raise ConfigurationError(
            f"{name}: a turn is {{'role': 'user' or 'assistant', 'content': text}}, not {quoted(message, 80)}.",
            hint="Conversations in which tools are called: bf.compare(..., messages=[...]).",
        )
    texts, urls = [], []
    for part in parts:
        image = part.get("image_url") if isinstance(part, Mapping) else None
        if isinstance(part, Mapping) and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif isinstance(image, Mapping) and str(image.get("url")).startswith("data:"):
            urls.append(image["url"])
        else:
            raise ConfigurationError(f"{name}: a turn holds texts and pictures (data: URLs), not {quoted(part, 80)}.")
    return EarlierTurn(role, "\n\n".join(texts), _pictures(name, urls))


def _chats(name: str, value: Any) -> dict[str, tuple[EarlierTurn, ...]]:
    """Of each column; one without turns has no conversation of its own."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ConfigurationError(f"{name} must be a dict of columns' messages, not {quoted(value, 60)}.")
    found = {key: _turns(f"{name} of {plain(key, 60)}", turns) for key, turns in value.items()}
    return {key: turns for key, turns in found.items() if turns}


def _schema(_: str, value: Any) -> Any:
    """A pydantic model or a JSON schema, as it was given; a text is read when it is sent, since one types it."""
    if isinstance(value, str):
        if len(value) > LONGEST_SCHEMA:
            raise ConfigurationError(f"The schema has {len(value):,} characters, more than {LONGEST_SCHEMA:,}.")
        return value if value.strip() else None
    if value is not None:
        AnswerSchema.of(value)
    return value


def schema_of_text(text: str) -> dict[str, Any]:
    """The JSON schema that `text` is. Raises ConfigurationError that says where it is wrong."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigurationError(
            f"The schema is no JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from None
    except (RecursionError, ValueError) as error:  # nested too deeply; a number of more digits than Python reads
        raise ConfigurationError(f"The schema cannot be read: {plain(error, 200)}") from None
    if not isinstance(found, dict):
        raise ConfigurationError('The schema must be an object: {"type": "object", "properties": {...}}.')
    AnswerSchema.of(found)
    return found


def _pictures(name: str, value: Any) -> tuple[str, ...]:
    """Paths, bytes, PIL images, arrays, figures or ``data:`` URLs, as ``data:`` URLs."""
    listed = value if isinstance(value, list | tuple) else [value]
    found = []
    for each in listed:
        try:
            found.append(data_url(each))
        except Fault as fault:
            raise ConfigurationError(f"{name}: a picture {fault}.") from None
    if (size := sum(map(len, found)) * 3 // 4) > MOST_BYTES:
        raise ConfigurationError(
            f"{name}: {size / 1e6:,.0f} MB together, more than the {MOST_BYTES / 1e6:,.0f} MB that are sent."
        )
    return tuple(found)


def _api(name: str, value: Any) -> str:
    return decided_kind(value or None) or ""


def _values(name: str, value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(each, str) for each in value):
        raise ConfigurationError(f"{name} must be a dict of name to text, not {quoted(value, 60)}.")
    found = {}
    for key, each in value.items():
        try:
            found[key] = as_text(each)
        except Fault as fault:
            raise ConfigurationError(f"{name}: {plain(key, 60)} {fault}.") from None
    return found


def _templates(name: str, value: Any) -> dict[str, str]:
    """Prompts by name; ``now`` is what is filled in."""
    if not isinstance(value, Mapping) or not all(
        isinstance(key, str) and key.strip() and isinstance(text, str) and text.strip() for key, text in value.items()
    ):
        raise ConfigurationError(f"{name} must be a dict of name to prompt, not {quoted(value, 60)}.")
    if NOW in value:
        raise ConfigurationError(f"{name}: {NOW!r} is what is filled in; take another name.")
    return dict(value)


def _parameters(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(each, str) for each in value):
        raise ConfigurationError(f"{name} must be a dict like {{'temperature': 0.2}}, not {quoted(value, 60)}.")
    given = {key: as_python(each) for key, each in value.items()}
    guard_headers(given)
    _check_json(name, given)
    return {key: each for key, each in given.items() if each is not None and not (isinstance(each, list) and not each)}


def _unset(value: Any) -> bool:
    return value is None or (isinstance(value, str | list) and not value)


def _check_json(name: str, given: Mapping[str, Any]) -> None:
    """Raise ConfigurationError for what neither a request nor the page can hold, such as a class or a frame."""
    for key, each in given.items():
        try:
            as_json(each)
        except (TypeError, ValueError, RecursionError) as error:
            raise ConfigurationError(f"{name}: {plain(key, 60)}: {plain(error, 200)}.") from None


def as_json(value: Any) -> Any:
    """`value` as JSON brings it back. Raises TypeError, ValueError, RecursionError for what it cannot hold."""
    return json.loads(json.dumps(_own_keys(value), allow_nan=False, default=_own_number))


def _own_keys(value: Any) -> Any:
    """`value` with Python's own numbers as keys, such as tokens' out of an array: JSON takes no others."""
    if isinstance(value, Mapping):
        return {as_python(key): _own_keys(each) for key, each in value.items()}
    return [_own_keys(each) for each in value] if isinstance(value, list) else value


def _own_number(value: Any) -> Any:
    if (found := as_python(value)) is value:
        raise TypeError(f"JSON cannot carry {type_with_article(value)}")
    return found


def _count(name: str, value: Any) -> int:
    found = whole(value)
    if found is None or not 1 <= found <= 1000:
        raise ConfigurationError(f"{name} must be a whole number from 1 to 1000, not {quoted(value, 60)}.")
    return found


CHECKS: Mapping[str, Any] = {
    "deployments": _names,
    "settings": _settings,
    "api": _api,
    "system": _text,
    "turns": _turns,
    "chats": _chats,
    "prompt": _text,
    "templates": _templates,
    "pictures": _pictures,
    "images": _names,
    "values": _values,
    "parameters": _parameters,
    "schema": _schema,
    "fallbacks": _names,
    "repeats": _count,
    "score": lambda name, value: scorers_of(value),
    "scores": _names,
}
