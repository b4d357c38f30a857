"""Who is asked: the deployments of a comparison as a person wrote them, each with its own settings."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from .._client.calls import AnyKind, CallOptions
from .._keys import without_tool_keys
from .._numbers import as_python, number, whole_number
from .._prompts.messages import Turns, checked_turns
from .._safe_text import quoted
from .._suggest import similar
from ..errors import ConfigurationError

__all__ = ["AskedDeployment", "asked_deployments", "check_names", "check_prompts"]

MOST_AT_ONCE = 100_000
_OWN = ("deployment", "name", "fallbacks", "concurrency", "requests_per_minute", "system", "history")
_FOR_ALL = ("schema", "inputs", "images", "sounds", "repeats", "score")
"""A comparison has one of each: its columns and its pairs rest on that."""
_RESERVED = {"comparison_id", "prompt_id", "repeat", "tags", "stream", "messages", "input", "kind", "self"}
"""What a comparison fills in, and names under which a call is put together."""


@dataclass(frozen=True, slots=True, eq=False)
class AskedDeployment:
    """A deployment with the settings it is asked with."""

    name: str
    """What tables and charts call it; ``provider/model`` unless a name was given."""
    deployment: str
    parameters: Mapping[str, Any]
    fallbacks: tuple[str, ...]
    concurrency: int
    requests_per_minute: float | None
    system: str | None = None
    """A template too; its own, else the comparison's."""
    kind: AnyKind = "text"
    """By which API it is asked."""
    history: Turns | None = field(default=None, repr=False)
    """What was said before in its own conversation: turns in front of the prompt, templates too."""

    def __repr__(self) -> str:
        """Who is asked with what, without the keys of tools: a notebook keeps what a cell shows."""
        return f"AskedDeployment({self.name!r}, {self.deployment!r}, {without_tool_keys(self.parameters)!r})"


@cache
def _known() -> frozenset[str]:
    """What a call takes: fields of its body, and options that are none, such as ``retries``."""
    from .._wire.media_request import ImageRequest, SpeechRequest, TranscriptionRequest
    from .._wire.requests import ChatCompletionRequest, TextCompletionRequest
    from .._wire.responses_request import ResponsesRequest

    models = (
        *(TextCompletionRequest, ChatCompletionRequest, ResponsesRequest),
        *(ImageRequest, SpeechRequest, TranscriptionRequest),
    )
    fields = {name for model in models for name in model.model_fields} - {"input"}  # which a comparison fills in
    return frozenset(fields | (set(CallOptions.__annotations__) - {"comparison_id", "prompt_id", "repeat"}))


def check_names(function: Callable[..., Any], parameters: Iterable[str]) -> None:
    """Raises ConfigurationError for one of `parameters` that is no parameter of a call, but is like an argument that
    `function` has itself."""
    own = [name for name, one in inspect.signature(function).parameters.items() if one.kind is not one.VAR_KEYWORD]
    for name in parameters:
        meant = [] if name in _known() else similar(name, [*own, *_known()])
        if meant and meant[0] in own:
            raise ConfigurationError(
                f"{function.__name__}() has no argument {quoted(name, 60)}.", hint=f"Did you mean {meant[0]!r}?"
            )


def asked_deployments(deployments: Any, shared: Mapping[str, Any]) -> tuple[AskedDeployment, ...]:
    """One name or dict, or several; `shared` are the settings of all. Raises ConfigurationError."""
    if isinstance(deployments, (str, Mapping)):
        deployments = [deployments]
    if deployments is None or not isinstance(deployments, Iterable):
        raise ConfigurationError(f"deployments must be a list like ['azure/fast'], not {quoted(deployments)}.")
    entries = list(deployments)
    if not entries:
        raise ConfigurationError("There is no deployment to compare.", hint="Pass a list like ['azure/fast'].")
    asked = tuple(_one(entry, shared) for entry in entries)
    for name, count in Counter(who.name for who in asked).items():
        if count > 1:
            raise ConfigurationError(
                f"{count} deployments are called {name!r}.", hint="Give each a name of its own: {'name': ...}."
            )
    return asked


def _one(entry: Any, shared: Mapping[str, Any]) -> AskedDeployment:
    own = dict(entry) if isinstance(entry, Mapping) else {"deployment": entry}
    deployment = own.get("deployment")
    if not isinstance(deployment, str):
        raise ConfigurationError(
            f"A deployment is written 'provider/model' or {{'deployment': 'provider/model', ...}}, not {quoted(entry)}."
        )
    if common := sorted(own.keys() & set(_FOR_ALL)):
        raise ConfigurationError(
            f"{common[0]} goes for all deployments of a comparison, not for {quoted(deployment, 80)} alone.",
            hint=f"Pass it to the call: compare(..., {common[0]}=...).",
        )
    settings = {**shared, **own}
    fallbacks = () if settings["fallbacks"] is None else settings["fallbacks"]
    if isinstance(fallbacks, str) or not isinstance(fallbacks, Sequence):
        example = fallbacks if isinstance(fallbacks, str) else "openai/gpt-4o-mini"
        raise ConfigurationError(f"fallbacks must be a list of deployments, like [{example!r}].")
    name = settings.get("name", deployment)
    if not isinstance(name, str) or not name.strip():
        raise ConfigurationError(f"The name of {deployment} must be text, not {quoted(name)}.")
    pace = settings["requests_per_minute"]
    if pace is not None:
        pace = number(pace)
        if pace is None or not 0 < pace < 1e9:
            raise ConfigurationError(
                f"requests_per_minute must be a number above 0, not {settings['requests_per_minute']!r}."
            )
    parameters = {key: as_python(value) for key, value in settings.items() if key not in _OWN and value is not None}
    if reserved := sorted(_RESERVED & parameters.keys()):
        raise _reserved(reserved[0])
    system = settings.get("system")
    if system is not None and not isinstance(system, str):
        raise ConfigurationError(f"The system message of {deployment} must be text, not {type(system).__name__}.")
    concurrency = whole_number("concurrency", settings["concurrency"], most=MOST_AT_ONCE)
    history = settings.get("history")
    if history is not None and not isinstance(history, Turns):
        if isinstance(history, str | Mapping) or not isinstance(history, Sequence):
            raise ConfigurationError(f"The history of {deployment} must be a list of messages, not {quoted(history)}.")
        history = checked_turns(list(history)) if history else None
    return AskedDeployment(name, deployment, parameters, tuple(fallbacks), concurrency, pace, system, history=history)


def check_prompts(asked: Iterable[AskedDeployment]) -> None:
    """Raises ConfigurationError for a prompt of one's own, but beside a sound, where it is a parameter."""
    if any("prompt" in who.parameters and who.kind != "transcription" for who in asked):
        raise _reserved("prompt")


def _reserved(name: str) -> ConfigurationError:
    return ConfigurationError(
        f"{name} cannot be a parameter of a comparison's calls.",
        hint="compare itself takes prompt, system, stream and tags, and counts repeats; the rest it sets.",
    )
