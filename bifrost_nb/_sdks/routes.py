"""Which call a request is, told by its path: the kind of request, the format it is written in, who is asked.

The drop-in routes of the gateway and its unified ``/v1`` (https://docs.getbifrost.ai, "drop-in replacement"). One
row for each; a POST to another path is recorded too, under a name made of its path, read as far as it looks alike.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from .._wire.deployments import Deployment
from .formats import anthropic, bedrock, cohere, genai, openai
from .formats.shape import Format, RequestFacts, as_it_came, stateless

__all__ = ["OTHER", "PREFIXES", "Operation", "asked_of", "operation"]

PREFIXES = {
    "openai": "/openai",
    "anthropic": "/anthropic",
    "genai": "/genai",
    "bedrock": "/bedrock",
    "cohere": "/cohere",
    "litellm": "/litellm",
    "langchain": "/langchain",
    "pydanticai": "/pydanticai",
}
"""The gateway's route for each SDK."""


class Operation(NamedTuple):
    """What a path says."""

    request_type: str
    """As in the frame's column."""
    format: Format
    provider: str | None = None
    """Who is asked where the model's name does not say."""
    model: str | None = None
    """Where the path names it."""


OTHER = Format(
    lambda body: RequestFacts(model if type(model := body.get("model")) is str else None),
    as_it_came,
    stateless(as_it_came),
    as_it_came,
)
"""What is not a completion: neither prompt nor parameters are read, model and usage where they look as usual."""

_OPENAI: tuple[tuple[str, str, Format], ...] = (
    (r"/chat/completions", "chat_completion", openai.CHAT),
    (r"/completions", "text_completion", openai.TEXT),
    (r"/embeddings", "embedding", openai.EMBEDDING),
    (r"/responses", "responses", openai.RESPONSES),
    (r"/images/generations", "image_generation", OTHER),
    (r"/audio/speech", "speech", OTHER),
    (r"/audio/transcriptions", "transcription", OTHER),
)
_ROWS: tuple[tuple[str, str, Format, str], ...] = (
    *((rf"/openai/deployments/(?P<model>.+){path}", kind, form, "azure") for path, kind, form in _OPENAI),
    *((path, kind, form, "openai") for path, kind, form in _OPENAI),
    (r"/v1/messages", "chat_completion", anthropic.MESSAGES, "anthropic"),
    (r"/models/(?P<model>.+):(?:streamG|g)enerateContent", "chat_completion", genai.GENERATE, "gemini"),
    (r"/models/(?P<model>.+):(?:batchEmbedContents|embedContent)", "embedding", genai.EMBED, "gemini"),
    (r"/model/(?P<model>.+)/converse(?:-stream)?", "chat_completion", bedrock.CONVERSE, "bedrock"),
    (r"/model/(?P<model>.+)/(?P<name>invoke)(?:-with-response-stream)?", "", OTHER, "bedrock"),
    (r"/models/(?P<model>.+):(?P<name>[A-Za-z]+)", "", OTHER, "gemini"),
    (r"/openai/deployments/(?P<model>[^/]+)/(?P<name>.+)", "", OTHER, "azure"),
    (r"/v2/chat", "chat_completion", cohere.CHAT, "cohere"),
    (r"/v[12]/embed", "embedding", cohere.EMBED, "cohere"),
)
_PATTERNS = tuple((re.compile(rf".*{row[0]}\Z"), *row[1:]) for row in _ROWS)
_BEGINNING = re.compile(r"(?:/[a-z]+)?/(?:openai/)?(?:v\d+(?:beta\d*)?/)?")


@lru_cache(maxsize=256)
def operation(path: str) -> Operation:
    """What a POST to `path` (below the gateway's address, percent-encoded) is."""
    for pattern, request_type, form, provider in _PATTERNS:
        if found := pattern.match(path):
            model = unquote(found["model"]) if "model" in pattern.groupindex else None
            # The unified routes name the provider in the model; they have no default.
            kind = request_type or _name(found["name"])
            return Operation(kind, form, None if path.startswith("/v1/") else provider, model)
    return Operation(_name(path[_end_of_beginning(path) :]), OTHER)


def _name(path: str) -> str:
    return re.sub(r"\W+", "_", unquote(path)).strip("_")[:60] or "other"


def _end_of_beginning(path: str) -> int:
    found = _BEGINNING.match(path)
    return found.end() if found else 0


def asked_of(kind: Operation, model: str | None) -> Deployment:
    """Who is asked, from what the path and the body name."""
    name = kind.model or model or ""
    provider, slash, rest = name.partition("/")
    if slash and ":" not in provider:  # a resource name of AWS has colons before its first slash
        return Deployment(provider, rest)
    return Deployment(kind.provider or "", name)
