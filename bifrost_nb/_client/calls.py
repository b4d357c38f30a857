"""`Call`: one completion, checked and ready to send, with the `Run` it will fill. Nothing is sent here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast

import orjson

from .._keys import without_tool_keys
from .._numbers import as_python, number, whole
from .._runs.run import Run
from .._safe_text import quoted
from .._wire.deployments import Deployment, Kind, MediaKind, endpoint
from ..errors import BifrostError, ConfigurationError

if TYPE_CHECKING:
    from .._wire.requests import Request

__all__ = [
    "AnyKind",
    "Asked",
    "Call",
    "CallOptions",
    "ChatParameters",
    "EmbeddingParameters",
    "Kind",
    "Outcome",
    "ResponsesParameters",
    "TextParameters",
    "Timeouts",
    "asked_of",
    "chat_parameters",
    "check_shapes",
    "checked_retries",
    "prepare",
    "same_for",
    "text_parameters",
]

AnyKind = Kind | MediaKind
Message = Mapping[str, Any]
Asked = str | Sequence[str] | Sequence[Message] | None
"""A prompt, several of them, or the items of a call of the Responses API."""

REQUEST_TYPES: Mapping[AnyKind, str] = {
    "text": "text_completion",
    "chat": "chat_completion",
    "responses": "responses",
    "embedding": "embedding",
    "image": "image_generation",
    "speech": "speech",
    "transcription": "transcription",
}


class CallOptions(TypedDict, total=False):
    """What every call takes beside its parameters."""

    fallbacks: Sequence[str] | None
    """Deployments tried in order when the asked one fails, each ``provider/model``."""
    route: Literal["azure", "v1"] | None
    """Overrides the choice of route: ``azure/...`` text completions use the Azure route, all else ``/v1``."""
    extra: Mapping[str, Any] | None
    """Provider parameters that the gateway's API does not name."""
    timeout: float | Timeouts | None
    """Seconds for the whole call, or all four limits."""
    retries: int | None
    headers: Mapping[str, str] | None
    tags: Mapping[str, Any] | None
    """Kept with the run, as JSON in the frame; not sent."""
    comparison_id: str | None
    prompt_id: str | None
    repeat: int | None


class _Shared(CallOptions, total=False):
    temperature: float | None
    top_p: float | None
    frequency_penalty: float | None
    presence_penalty: float | None
    max_tokens: int | None
    logit_bias: Mapping[str, float] | None
    n: int | None
    stop: str | Sequence[str] | None
    seed: int | None
    user: str | None


class TextParameters(_Shared, total=False):
    """Parameters of a text completion (the specification's names and bounds)."""

    logprobs: int | None
    suffix: str | None
    echo: bool | None
    best_of: int | None


class ChatParameters(_Shared, total=False):
    """Parameters of a chat completion."""

    max_completion_tokens: int | None
    logprobs: bool | None
    top_logprobs: int | None
    tools: Sequence[Mapping[str, Any]] | None
    tool_choice: str | Mapping[str, Any] | None
    parallel_tool_calls: bool | None
    response_format: Mapping[str, Any] | None
    reasoning: Mapping[str, Any] | None
    reasoning_effort: str | None
    modalities: Sequence[str] | None
    audio: Mapping[str, Any] | None
    service_tier: str | None
    store: bool | None
    metadata: Mapping[str, Any] | None
    stream_options: Mapping[str, Any] | None


class ResponsesParameters(CallOptions, total=False):
    """Parameters of a call of the Responses API; `wire.responding` says what each one is."""

    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    temperature: float | None
    top_p: float | None
    top_logprobs: int | None
    tools: Sequence[Mapping[str, Any]] | None
    tool_choice: str | Mapping[str, Any] | None
    parallel_tool_calls: bool | None
    reasoning: Mapping[str, Any] | None
    text: Mapping[str, Any] | None
    previous_response_id: str | None
    conversation: str | Mapping[str, Any] | None
    include: Sequence[str] | None
    store: bool | None
    metadata: Mapping[str, Any] | None
    prompt_cache_key: str | None
    safety_identifier: str | None
    service_tier: str | None
    stream_options: Mapping[str, Any] | None
    truncation: str | None
    user: str | None


class EmbeddingParameters(CallOptions, total=False):
    """Parameters of embeddings."""

    dimensions: int | None
    """Numbers in each vector, where the model can do with fewer than it has."""
    encoding_format: Literal["float", "base64"] | None
    """How vectors travel; the run holds numbers in both cases."""
    user: str | None


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Time limits in seconds; None: no limit.

    `connect` is the time until there is a connection. `first_byte` counts from sending to the first bytes of the
    answer, which without streaming is the whole generation. `between_chunks` is silence inside a stream; a gateway's
    heartbeats do not end it, since they come from a gateway whose provider hangs as well. `total` covers everything,
    retries and their waits included.

        bf.Client(timeout=bf.Timeouts(first_byte=30, total=120))

    Raises ConfigurationError for what is no time above 0; a limit that passes is a TimedOut of that `phase`.
    """

    connect: float | None = 10.0
    first_byte: float | None = 300.0
    between_chunks: float | None = 120.0
    total: float | None = 600.0

    def __post_init__(self) -> None:
        for name in ("connect", "first_byte", "between_chunks", "total"):
            value = getattr(self, name)
            if value is None:
                continue
            seconds = number(value)
            if seconds is None or not 0 < seconds < float("inf"):
                raise ConfigurationError(f"timeout: {name} must be seconds above 0 or None, not {quoted(value)}.")
            object.__setattr__(self, name, seconds)

    @classmethod
    def of(cls, value: float | Timeouts | None, default: Timeouts | None = None) -> Timeouts:
        """A number is the limit for the whole call."""
        base = default or cls()
        if value is None:
            return base
        return value if isinstance(value, Timeouts) else replace(base, total=value)


@dataclass(slots=True)
class Outcome:
    """How a call ended: always a run, and the error where it did not end well."""

    run: Run
    error: BifrostError | None = None
    log_error: BifrostError | None = None
    """The run could not be written to the log; it is complete all the same."""


@dataclass(slots=True, kw_only=True)
class Call:
    """A checked request. `run` is its record: in flight while `run.status` is None."""

    kind: AnyKind
    stream: bool
    path: str
    """Percent-encoded, below the base URL."""
    query: Mapping[str, str]
    body: dict[str, Any]
    """Sent as JSON, or with `file` as the fields of a form."""
    headers: Mapping[str, str]
    """Keys among them are `Secret`."""
    timeouts: Timeouts
    retries: int
    run: Run = field(default_factory=Run)
    file: tuple[str, bytes] | None = None
    """A name and the content, sent as the form's ``file``."""
    before_log: Callable[[Run], None] | None = None
    """Called with the finished run just before it is written to the log, on the private loop."""


def prepare(
    kind: Kind,
    deployment: str,
    prompt: Asked,
    *,
    stream: bool = False,
    system: str | None = None,
    messages: Sequence[Message] | None = None,
    api_version: str | None = None,
    default_timeouts: Timeouts | None = None,
    default_retries: int = 2,
    fallbacks: Sequence[str] | None = None,
    route: Literal["azure", "v1"] | None = None,
    extra: Mapping[str, Any] | None = None,
    timeout: float | Timeouts | None = None,
    retries: int | None = None,
    headers: Mapping[str, str] | None = None,
    tags: Mapping[str, Any] | None = None,
    comparison_id: str | None = None,
    prompt_id: str | None = None,
    repeat: int | None = None,
    **parameters: Any,
) -> Call:
    """Check everything that can be checked before sending. Raises ConfigurationError."""
    from .._wire import requests as wire  # late: pydantic and the models that check requests are for the first call

    target = Deployment.parse(deployment)
    address = endpoint(kind, target, route, api_version)
    check_shapes(fallbacks, tags)
    parameters = {**parameters, "stream": True} if stream else parameters
    options: dict[str, Any] = {"fallbacks": fallbacks, "extra": extra, **parameters}
    request = _build(kind, target, prompt, system, messages, options)
    again = checked_retries(default_retries if retries is None else retries)
    body = wire.body(request, target, address)
    run = Run(
        comparison_id=comparison_id,
        prompt_id=prompt_id,
        repeat=repeat,
        request_type=REQUEST_TYPES[kind],
        requested_provider=target.provider,
        requested_model=target.model,
        fallbacks=list(request.fallbacks or ()),
        prompt=_asked(kind, getattr(request, _ASKED[kind])),
        params=without_tool_keys(
            {
                **{name: as_python(value) for name, value in parameters.items() if value is not None},
                **({"route": route} if route else {}),
                **({"extra": dict(extra)} if extra else {}),
            }
        ),
        tags=dict(tags or {}),
    )
    return Call(
        kind=kind,
        stream=stream,
        path=address.path,
        query=address.query,
        body=body,
        headers={**wire.headers(request, address), **(headers or {})},
        timeouts=Timeouts.of(timeout, default_timeouts),
        retries=again,
        run=run,
    )


def check_shapes(fallbacks: Any, tags: Any) -> None:
    """Raises ConfigurationError where these are no list and no dict."""
    if isinstance(fallbacks, str):
        raise ConfigurationError(f"fallbacks must be a list of deployments, like [{fallbacks!r}].")
    if fallbacks is not None and not isinstance(fallbacks, list | tuple):
        raise ConfigurationError(f"fallbacks must be a list of deployments, not {type(fallbacks).__name__}.")
    if tags is not None and not isinstance(tags, Mapping):
        raise ConfigurationError(f"tags must be a dict, not {type(tags).__name__}.")


def checked_retries(given: Any) -> int:
    """How often a call may be sent again. Raises ConfigurationError."""
    again = whole(given)
    if again is None or again < 0:
        raise ConfigurationError(f"retries must be a whole number from 0, not {quoted(given)}.")
    return again


_ASKED: Mapping[Kind, str] = {"text": "prompt", "chat": "messages", "responses": "input", "embedding": "input"}
"""Where a request has what is asked."""


def same_for(call: Call, prompt: str, *, system: str | None, tags: Mapping[str, Any], **facts: Any) -> Call:
    """`call`, a text completion or chat, with another text: what was checked for it holds for this one as well.

    The same as a `prepare` with all arguments of `call` but these. `prompt` and `system` are texts of whole characters;
    `facts` are fields of the run. Raises ConfigurationError for a text that is empty.
    """
    from .._wire import requests as wire

    asked: Any = prompt
    if call.kind == "chat":
        asked = wire.chat_messages(prompt, system=system)
    elif not prompt:
        raise ConfigurationError("prompt is empty.")
    like, kind = call.run, cast("Kind", call.kind)
    run = Run(
        comparison_id=like.comparison_id,
        request_type=like.request_type,
        requested_provider=like.requested_provider,
        requested_model=like.requested_model,
        fallbacks=list(like.fallbacks),
        prompt=_asked(kind, asked),
        params=dict(like.params),
        tags=dict(tags),
        **facts,
    )
    return Call(
        kind=kind,
        stream=call.stream,
        path=call.path,
        query=call.query,
        body={**call.body, _ASKED[kind]: asked},
        headers=call.headers,
        timeouts=call.timeouts,
        retries=call.retries,
        run=run,
    )


def _build(
    kind: Kind,
    target: Deployment,
    prompt: Any,
    system: str | None,
    messages: Sequence[Message] | None,
    options: dict[str, Any],
) -> Request:
    """The request, checked."""
    from .._wire import requests as wire

    if kind == "chat":
        if prompt is not None and not isinstance(prompt, str):
            raise ConfigurationError("A chat takes one prompt as text.", hint="Pass several turns as messages=[...].")
        return wire.build_chat(target, wire.chat_messages(prompt, system=system, messages=messages), **options)
    if system is not None or messages is not None or prompt is None:
        what = {"text": "A text completion takes a prompt", "responses": "The Responses API takes an input"}
        hint = (
            "Pass instructions=..., and a list of messages as input." if kind == "responses" else "Use chat for those."
        )
        raise ConfigurationError(
            f"{what.get(kind, 'Embeddings take texts')}, and neither system nor messages.", hint=hint
        )
    if kind == "responses":
        return wire.build_responses(target, prompt, **options)
    if kind == "embedding":
        return wire.build_embedding(target, prompt, **options)
    return wire.build_text(target, prompt, **options)


def _asked(kind: Kind, asked: Any) -> str:
    """One text, or one user turn that is no more, as it is; all else as JSON, and what could be taken for that: see
    `asked_of`."""
    if kind == "chat":
        alone = len(asked) == 1 and asked[0].get("role") == "user" and asked[0].keys() == {"role", "content"}
        turn = asked[0]["content"] if alone else None
        if isinstance(turn, str) and not asked_of(turn):
            asked = turn
    elif kind == "text" and isinstance(asked, str) and asked_of(asked):
        asked = [asked]
    return asked if isinstance(asked, str) else orjson.dumps(asked).decode()


def asked_of(prompt: str) -> list[Any]:
    """The messages or several prompts that a run's `prompt` records as JSON; empty where it is the text itself."""
    try:
        found = orjson.loads(prompt) if prompt.startswith("[") else None
    except orjson.JSONDecodeError:
        return []
    if not isinstance(found, list) or not found:
        return []
    turns = all(isinstance(each, dict) and "role" in each for each in found)
    return found if turns or all(isinstance(each, str) for each in found) else []


@cache
def chat_parameters() -> frozenset[str]:
    """The names of parameters that a chat takes and a text completion does not."""
    from .._wire import requests as wire

    return frozenset(wire.ChatCompletionRequest.model_fields) - frozenset(wire.TextCompletionRequest.model_fields)


@cache
def text_parameters() -> frozenset[str]:
    """The names of parameters whose values are text, as ``user``: of what looks like a number, too."""
    from .._wire import requests as wire

    kinds = (wire.TextCompletionRequest, wire.ChatCompletionRequest)
    return frozenset(name for kind in kinds for name, one in kind.model_fields.items() if one.annotation == str | None)
