"""Reading a request the way the gateway and the provider behind it do.

The gateway decodes JSON into typed fields, so a wrong type never gets past it; the bounds are the provider's, so they
come back as that provider's error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from ..content.tokens import message_text
from ..deployments import Kind
from .message_content import UNREADABLE, is_readable
from .responses_as_chat import chat_body, chat_messages

__all__ = [
    "PROVIDERS",
    "REQUEST_TYPES",
    "UNRESOLVED",
    "Malformed",
    "Refused",
    "SimulatedCall",
    "azure_target",
    "out_of_bounds",
    "read_call",
]

PROVIDERS = frozenset(
    (
        "openai", "azure", "anthropic", "bedrock", "cohere", "vertex", "mistral", "ollama", "groq", "sgl", "parasail",
        "perplexity", "cerebras", "gemini", "openrouter", "elevenlabs", "huggingface", "nebius", "xai",
    )
)  # fmt: skip
"""The providers that the gateway knows by name."""

REQUEST_TYPES: dict[Kind, str] = {
    "text": "text_completion",
    "chat": "chat_completion",
    "responses": "responses",
    "embedding": "embedding",
    "image": "image_generation",
    "speech": "speech",
    "transcription": "transcription",
}

UNRESOLVED = "could not auto resolve a provider for the request, please specify a provider explicitly"


class Refused(Exception):
    """The gateway answers with an error before any provider is asked."""

    def __init__(
        self, message: str, status: int = 400, *, type: str | None = None, provider: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.type = type
        self.provider = provider


class Malformed(Refused):
    """A body that the gateway cannot decode, told in words that each generation has of its own."""


@dataclass(slots=True, kw_only=True)
class SimulatedCall:
    """One inference request, decoded. `targets` are ``provider/model``, the primary first."""

    kind: Kind
    route: str
    """``v1``, ``openai`` or another SDK's: they differ in how a stream ends and in how bare model names are read."""
    request_id: str
    targets: list[str]
    stream: bool
    prompts: list[str] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    body: dict[str, Any]
    headers: Mapping[str, str]
    operation: str = ""
    """What the gateway calls the request where the route, not the kind, says so."""

    @property
    def prompt(self) -> str:
        """All the prompt's text."""
        return "\n".join(self.prompts or map(message_text, self.messages))

    @property
    def request_type(self) -> str:
        """The gateway's name for this sort of request."""
        return (self.operation or REQUEST_TYPES[self.kind]) + ("_stream" if self.stream else "")

    def as_chat(self) -> SimulatedCall:
        """A call of the Responses API as the chat that is simulated for it; every other one as it is."""
        return replace(self, kind="chat", body=chat_body(self.body)) if self.kind == "responses" else self

    @property
    def max_tokens(self) -> int | None:
        """The limit on the answer's tokens. The gateway raises a chat's ``max_completion_tokens`` to at least 16."""
        if self.kind == "embedding":
            return None
        limit = self.body.get("max_completion_tokens") if self.kind == "chat" else None
        return max(16, limit) if limit is not None else self.body.get("max_tokens")

    def get(self, name: str, default: Any) -> Any:
        """A body field; `default` where it is absent or null."""
        value = self.body.get(name)
        return default if value is None else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_integers(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_integer, value))


def _is_bias(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_number, value.values()))


_Check = tuple[Callable[[Any], bool], str]
_TEXT: _Check = (_is_text, "a string")
_INTEGER: _Check = (_is_integer, "an integer")
_NUMBER: _Check = (_is_number, "a number")
_TEXTS: _Check = (_is_texts, "a list of strings")
_FLAG: _Check = (lambda value: isinstance(value, bool), "a boolean")
_BIAS: _Check = (_is_bias, "an object of numbers")
_LIST: _Check = (lambda value: isinstance(value, list), "a list")
_OBJECT: _Check = (lambda value: isinstance(value, dict), "an object")

_SHARED: dict[str, _Check] = {
    "model": _TEXT, "stream": _FLAG, "max_tokens": _INTEGER, "temperature": _NUMBER, "top_p": _NUMBER,
    "frequency_penalty": _NUMBER, "presence_penalty": _NUMBER, "logit_bias": _BIAS, "n": _INTEGER, "stop": _TEXTS,
    "user": _TEXT, "seed": _INTEGER, "fallbacks": _TEXTS,
}  # fmt: skip
_FIELDS: dict[Kind, dict[str, _Check]] = {
    "text": _SHARED | {"logprobs": _INTEGER, "suffix": _TEXT, "echo": _FLAG, "best_of": _INTEGER},
    "chat": _SHARED | {
        "messages": _LIST, "max_completion_tokens": _INTEGER, "logprobs": _FLAG, "top_logprobs": _INTEGER,
        "tools": _LIST,
    },
    "responses": {
        "model": _TEXT, "stream": _FLAG, "fallbacks": _TEXTS, "instructions": _TEXT, "max_output_tokens": _INTEGER,
        "max_tool_calls": _INTEGER, "temperature": _NUMBER, "top_p": _NUMBER, "top_logprobs": _INTEGER,
        "tools": _LIST, "parallel_tool_calls": _FLAG, "reasoning": _OBJECT, "text": _OBJECT, "metadata": _OBJECT,
        "previous_response_id": _TEXT, "include": _TEXTS, "store": _FLAG, "truncation": _TEXT, "user": _TEXT,
        "seed": _INTEGER,
    },
    "embedding": {
        "model": _TEXT, "fallbacks": _TEXTS, "encoding_format": _TEXT, "dimensions": _INTEGER, "user": _TEXT,
        "seed": _INTEGER,
    },
    "image": {
        "model": _TEXT, "fallbacks": _TEXTS, "prompt": _TEXT, "n": _INTEGER, "size": _TEXT, "quality": _TEXT,
        "style": _TEXT, "background": _TEXT, "moderation": _TEXT, "output_format": _TEXT,
        "output_compression": _INTEGER, "response_format": _TEXT, "user": _TEXT, "seed": _INTEGER,
    },
    "speech": {
        "model": _TEXT, "fallbacks": _TEXTS, "input": _TEXT, "voice": _TEXT, "instructions": _TEXT,
        "response_format": _TEXT, "speed": _NUMBER,
    },
    "transcription": {"model": _TEXT, "fallbacks": _TEXTS},
}  # fmt: skip


def read_call(
    kind: Kind,
    route: str,
    content: bytes,
    headers: Mapping[str, str],
    *,
    request_id: str,
    deployment: str | None,
    resolve: Callable[[str], str],
    convert: Callable[[dict[str, Any]], dict[str, Any]] = dict,
    operation: str = "",
) -> SimulatedCall:
    """Decode a request. `deployment` is the ``provider/model`` its path names; `resolve` finds a bare model's one;
    `convert` makes our body of another SDK's.

    Raises Refused as the gateway would, `resolve` and `convert` too.
    """
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise Malformed("the body is not JSON") from None
    if not isinstance(body, dict):
        raise Malformed("the body is not an object")
    body = convert(body)
    for name, (holds, wanted) in _FIELDS[kind].items():
        if body.get(name) is not None and not holds(body[name]):
            raise Malformed(f"{name} must be {wanted}")
    call = SimulatedCall(
        kind=kind,
        route=route,
        request_id=request_id,
        targets=[deployment or _primary(body.get("model") or "", route, resolve, _default(kind, headers))],
        stream=bool(body.get("stream")) and kind in ("text", "chat", "responses"),
        body=body,
        headers=headers,
        operation=operation,
    )
    if kind == "text":
        call.prompts = _prompts(body.get("prompt"))
    elif kind == "embedding":
        call.prompts = _inputs(body.get("input"))
    elif kind in ("image", "speech", "transcription"):
        call.prompts = _media(kind, body)
    elif kind == "responses":
        try:
            call.messages = chat_messages(body)
        except ValueError as error:
            raise Malformed(str(error)) from None
    else:
        call.messages = _messages(body.get("messages"), of_chat=not operation)
    call.targets += _fallbacks(body.get("fallbacks") or [], route, call.targets[0])
    return call


def _default(kind: Kind, headers: Mapping[str, str]) -> str:
    """The provider of a bare name on ``/openai``. Azure's SDK has no deployment in the path of the Responses API."""
    return "azure" if kind == "responses" and "AzureOpenAI" in headers.get("user-agent", "") else "openai"


def _primary(model: str, route: str, resolve: Callable[[str], str], default: str) -> str:
    if "/" in model and not model.startswith("/"):
        return model
    if route == "openai":
        return f"{default}/{model}"
    return resolve(model)


def _prompts(prompt: Any) -> list[str]:
    if prompt is None or prompt == []:  # measured: an empty text is a prompt
        raise Refused("prompt is required for text completion")
    if isinstance(prompt, str):
        return [prompt]
    if not _is_texts(prompt):
        raise Malformed("invalid text completion input")
    return list(prompt)


def _inputs(given: Any) -> list[str]:
    """The texts to embed. Token numbers, which OpenAI-style providers take too, become words of their own.

    Raises Refused for all but a text, a list of texts, a list of integers and a list of such lists: nothing mixed
    (core/schemas/embedding.go in an older version; newer ones also take parts of several media, not simulated).
    """
    if given is None or given in ("", []):
        raise Refused("input is required for embeddings")
    if isinstance(given, str):
        return [given]
    if _is_texts(given):
        return list(given)
    lists = [given] if _is_integers(given) else given
    if isinstance(lists, list) and all(map(_is_integers, lists)):
        return [" ".join(map(str, numbers)) for numbers in lists]
    raise Malformed("invalid embedding input")


def _media(kind: Kind, body: Mapping[str, Any]) -> list[str]:
    """The text to draw or speak, and what is said beside a sound (measured: what is missed, in which words)."""
    if kind == "image" and not body.get("prompt"):
        raise Refused("prompt cannot be empty")
    if kind == "speech" and not body.get("input"):
        raise Refused("input is required for speech completion")
    if kind == "speech" and not body.get("voice"):
        raise Refused("voice is required for speech completion")
    return [body.get("input" if kind == "speech" else "prompt") or ""]


def _messages(messages: Any, *, of_chat: bool) -> list[dict[str, Any]]:
    if not messages:
        raise Refused("messages is required for chat completion")
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise Malformed("each message must be an object with a role")
        if not is_readable(message.get("content"), of_chat=of_chat):
            raise Malformed(UNREADABLE)
    return list(messages)


def _fallbacks(names: list[str], route: str, primary: str) -> list[str]:
    """``/v1`` drops an entry without a provider silently; ``/openai`` gives it the primary's."""
    provider = primary.partition("/")[0]
    if route == "v1":
        return [name for name in names if "/" in name]
    return [name if "/" in name else f"{provider}/{name}" for name in names]


def azure_target(raw_path: str, *, several_segments: bool) -> tuple[str, str]:
    """(``provider/model``, operation) of the part of an Azure path behind ``/deployments/``.

    Measured: no version decodes a segment, so a name that needs escaping is asked for with its escapes. Raises Refused.
    """
    segments = raw_path.split("/")
    operation = segments.pop()
    if operation == "completions" and len(segments) > 1 and segments[-1] == "chat":
        operation = f"{segments.pop()}/{operation}"
    name = [segment for segment in segments if segment]
    if not name:
        raise Refused("missing deployment id")
    if len(name) > 1 and not several_segments:
        raise Refused("Method Not Allowed", 405)
    if len(name) != len(segments):
        raise Refused("invalid azure deployment path")
    return ("/".join(name) if len(name) > 1 else f"azure/{name[0]}"), operation


_BOUNDS: dict[str, tuple[float, float]] = {
    "max_tokens": (0, 1e9), "max_completion_tokens": (1, 1e9), "temperature": (0, 2), "top_p": (0, 1),
    "frequency_penalty": (-2, 2), "presence_penalty": (-2, 2), "n": (1, 128), "best_of": (1, 20),
}  # fmt: skip


def out_of_bounds(call: SimulatedCall) -> tuple[str, str] | None:
    """(field, what is wrong) of the first value that no provider accepts."""
    if call.kind == "embedding":
        return None  # none of these is known there
    bounds = _BOUNDS | ({"logprobs": (0, 5)} if call.kind == "text" else {"top_logprobs": (0, 20)})
    for name, (low, high) in bounds.items():
        value = call.body.get(name)
        if value is not None and not low <= value <= high:
            return name, f"{value} is not between {low:g} and {high:g} - '{name}'"
    if len(call.get("stop", [])) > 4:
        return "stop", "at most 4 stop sequences are allowed - 'stop'"
    if any(not -100 <= value <= 100 for value in call.get("logit_bias", {}).values()):
        return "logit_bias", "biases must be between -100 and 100 - 'logit_bias'"
    if call.kind == "text" and (best_of := call.body.get("best_of")) is not None:
        if best_of < call.get("n", 1):
            return "best_of", "best_of must be at least n - 'best_of'"
        if call.stream and best_of > call.get("n", 1):
            return "best_of", "best_of greater than n cannot be streamed - 'best_of'"
    if call.kind == "chat" and call.body.get("top_logprobs") is not None and not call.body.get("logprobs"):
        return "top_logprobs", "top_logprobs needs logprobs set to true - 'top_logprobs'"
    return None
