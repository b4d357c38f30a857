"""Names of deployments, and the address a request for one of them goes to."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal, NamedTuple
from urllib.parse import quote

from .._keys import without_keys
from .._safe_text import plain, quoted
from ..errors import ConfigurationError

__all__ = ["Deployment", "Endpoint", "Kind", "MediaKind", "Route", "endpoint"]

Kind = Literal["text", "chat", "responses", "embedding"]
MediaKind = Literal["image", "speech", "transcription"]
"""Pictures and sound, which are no completions."""
Route = Literal["azure", "v1"]

_OPERATION: dict[Kind | MediaKind, str] = {
    "text": "completions",
    "chat": "chat/completions",
    "responses": "responses",
    "embedding": "embeddings",
    "image": "images/generations",
    "speech": "audio/speech",
    "transcription": "audio/transcriptions",
}

_NAME = re.compile(r"[!-+\--.0-~]+/[!-+\--~]+").fullmatch
_SEVERAL = re.compile(r",\s*(?=[^,/\s]+/[^,/\s])")


@dataclass(frozen=True, slots=True)
class Deployment:
    """Who is asked: ``str()`` gives the form that users write, ``provider/model``.

    The model may hold further slashes (``openrouter/meta-llama/llama-3``).
    """

    provider: str
    model: str

    @classmethod
    def parse(cls, text: object, *, what: str = "deployment") -> Deployment:
        """``provider/model`` taken apart; raises ConfigurationError, which calls the argument `what`."""
        if isinstance(text, Deployment):
            return text
        if type(text) is str and _NAME(text):  # what nearly every name is like
            provider, _, model = text.partition("/")
            return cls(provider, model)
        if not isinstance(text, str):
            raise ConfigurationError(
                f"{what} must be text like 'azure/my-deployment', not {type(text).__name__}.",
                hint="Write provider/model; bf.models() lists what the gateway has.",
            )
        provider, slash, model = text.partition("/")
        shown = without_keys(quoted(text, 80))
        if not (slash and provider and model):
            like = plain(text.strip("/"), 40) or "my-deployment"
            hint = f"Write provider/model, like 'azure/{like}'; bf.models() lists what the gateway has."
            if len(text.split()) > 1:  # a prompt in the wrong place
                hint = "The deployment, like 'azure/my-deployment', comes before the prompt."
            raise ConfigurationError(f"{what} {shown} does not say provider and model.", hint=hint)
        if text.rstrip().endswith(","):  # of a list on a magic line
            hint = "Leave the comma out; between deployments on a %%bifrost line stand blanks alone."
            raise ConfigurationError(f"{what} {shown} ends in a comma.", hint=hint)
        if text != text.strip() or any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
            raise ConfigurationError(
                f"{what} {shown} holds control characters, or blanks around the name.",
                hint="Write it as bf.models() shows it.",
            )
        if len(each := _SEVERAL.split(text)) > 1:  # asked for as one model it fails only where needed
            raise ConfigurationError(
                f"{what} {shown} names {len(each)} deployments in one text.",
                hint=f"Name each by itself: {', '.join(without_keys(quoted(one, 80)) for one in each)}.",
            )
        return cls(provider, model)

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


class Endpoint(NamedTuple):
    """Where a request goes. `path` is percent-encoded and starts with a slash; `query` is not encoded."""

    path: str
    query: dict[str, str]
    route: Route


def endpoint(
    kind: Kind | MediaKind, deployment: Deployment, route: Route | None = None, api_version: str | None = None
) -> Endpoint:
    """The address for a request of `kind` to `deployment`.

    Text completions of ``azure/...`` use the Azure route where the name can stand in an address as it is, all else
    uses ``/v1``, unless `route` says otherwise. `api_version` goes with the Azure route only. Raises
    ConfigurationError for what an address cannot carry.
    """
    if route is None:
        route = "azure" if kind == "text" and deployment.provider == "azure" and _is_segment(deployment.model) else "v1"
    if not isinstance(route, str):
        raise ConfigurationError(f"route must be 'azure' or 'v1', not {type(route).__name__}.")
    if route == "v1":
        return Endpoint(f"/v1/{_OPERATION[kind]}", {}, "v1")
    if route != "azure":
        raise ConfigurationError(f"route must be 'azure' or 'v1', not {quoted(route, 80)}.")
    query = {} if api_version is None else {"api-version": _version(api_version)}
    return Endpoint(f"/openai/openai/deployments/{_segment(deployment)}/{_OPERATION[kind]}", query, "azure")


def _is_segment(name: str) -> bool:
    """Whether a name is a path segment as it is. No gateway decodes one (1.3.63 to 2.0.0-prerelease3, measured)."""
    return quote(name, safe="") == name and name not in (".", "..")


def _segment(deployment: Deployment) -> str:
    """The deployment's name as one path segment.

    What would have to be escaped is refused: the gateway takes the escaped name for the name, and asks for a
    deployment that does not exist. ``.`` and ``..`` are removed by clients and proxies on the way.
    """
    if deployment.provider != "azure":
        raise ConfigurationError(
            f"{plain(deployment, 80)} cannot be asked over the Azure route, which always asks the provider azure.",
            hint="Leave out route='azure', or name an azure/... deployment.",
        )
    if not _is_segment(deployment.model):
        raise ConfigurationError(
            f"The deployment name {quoted(deployment.model, 80)} cannot be part of the Azure route's address: "
            "it would have to be escaped there, and no gateway turns it back.",
            hint="Leave out route='azure': /v1 sends the name in the body.",
        )
    return deployment.model


def _version(api_version: str) -> str:
    if not isinstance(api_version, str) or not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", api_version):
        raise ConfigurationError(
            f"api_version {without_keys(quoted(api_version, 80))} is not a version.",
            hint="Write it like '2024-10-21'.",
        )
    return api_version
