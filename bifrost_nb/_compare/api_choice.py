"""By which API each deployment of a comparison is asked: what was decided, else what it can do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from .._client.calls import AnyKind, Kind, chat_parameters
from .._safe_text import quoted
from .._wire.deployments import Deployment
from ..errors import ConfigurationError
from .abilities import methods_of

if TYPE_CHECKING:
    from .._client.client import Client
    from .asked_deployments import AskedDeployment
    from .plan import Plan

__all__ = [
    "MEDIA",
    "compared_kind",
    "decided_kind",
    "kind_of",
    "kinds_note",
    "parameters_for",
    "system_for",
    "with_kinds",
]

_WORDS: Mapping[AnyKind, str] = {"text": "text completions", "chat": "chat", "responses": "the Responses API"}
MEDIA = ("image", "speech", "transcription")
"""By which a comparison asks as well; all of it or none, since a picture and a text are not compared."""


def decided_kind(api: Any, chat: bool = False) -> Kind | None:
    """The API that ``api=`` and ``chat=True`` ask for; None: the gateway's list of models is to decide.

    Raises ConfigurationError for an API that is not known, and where the two contradict each other.
    """
    if api is not None and (not isinstance(api, str) or api not in tuple(_WORDS)):
        raise _unknown(api, tuple(_WORDS))
    if chat and api not in (None, "chat"):
        raise ConfigurationError(f"chat=True and api={api!r} contradict each other.", hint="Pass api= alone.")
    return "chat" if chat else cast("Kind | None", api)


def compared_kind(api: Any, chat: bool = False) -> AnyKind | None:
    """`decided_kind` for a comparison, which can be of the kinds of `MEDIA`, too. Raises ConfigurationError."""
    if api is not None and (not isinstance(api, str) or api not in (*_WORDS, *MEDIA)):
        raise _unknown(api, (*_WORDS, *MEDIA))
    if api not in MEDIA:
        return decided_kind(api, chat)
    if chat:
        raise ConfigurationError(f"chat=True and api={api!r} contradict each other.", hint="Pass api= alone.")
    return cast("AnyKind", api)


def _unknown(api: Any, known: Sequence[str]) -> ConfigurationError:
    *others, last = map(repr, known)
    return ConfigurationError(
        f"api must be {', '.join(others)} or {last}, not {quoted(api, 80)}.",
        hint="Leave it out to go by what bf.models() says that each deployment can do.",
    )


def kind_of(
    client: Client,
    deployment: str,
    kind: Kind | None,
    system: str | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Kind:
    """By which API one deployment is asked: as `with_kinds` chooses. Raises ConfigurationError for what is no name."""
    Deployment.parse(deployment)
    return kind or _chosen(methods_of(client).get(deployment, frozenset()), system, parameters or {})


def with_kinds(
    client: Client, asked: Sequence[AskedDeployment], kind: AnyKind | None, *, known_only: bool = False
) -> tuple[AskedDeployment, ...]:
    """`asked`, each with its API: its own ``api``, else `kind`, else as the gateway's list of models says.

    There a text completion is chosen where the deployment has them (and there is no system message or parameter, such
    as tools, that only chats take), else chat; text where the list does not tell and nothing needs a chat. `known_only`
    reads what was listed before and asks nobody. Raises ConfigurationError for an API that is not known.
    """
    if kind in MEDIA:
        if other := next((one.parameters["api"] for one in asked if one.parameters.get("api", kind) != kind), None):
            raise ConfigurationError(f"api={kind!r} goes for all deployments; one says api={quoted(other, 40)}.")
        return tuple(
            replace(one, parameters={k: v for k, v in one.parameters.items() if k != "api"}, kind=kind) for one in asked
        )
    kind = decided_kind(kind)
    own = [decided_kind(one.parameters.get("api", kind)) for one in asked]
    able = methods_of(client, known_only) if None in own else {}
    found = []
    for one, chosen in zip(asked, own, strict=True):
        api = chosen or _chosen(able.get(one.deployment, frozenset()), one.system, one.parameters)
        rest = {name: value for name, value in one.parameters.items() if name != "api"}
        found.append(replace(one, parameters=parameters_for(api, rest), kind=api))
    return tuple(found)


def parameters_for(kind: AnyKind, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """`parameters` by the names of that API: one limit of the answer's length for all."""
    names = {"max_tokens": "max_output_tokens"} if kind == "responses" else {}
    return {names.get(name, name): value for name, value in parameters.items()}


def system_for(kind: AnyKind, system: str | None) -> dict[str, Any]:
    """A system message by that API's name for it."""
    return {} if system is None else {"instructions" if kind == "responses" else "system": system}


def _chosen(able: frozenset[str], system: str | None, parameters: Mapping[str, Any]) -> Kind:
    needs_chat = system is not None or any(parameters.get(name) is not None for name in chat_parameters())
    if not able:
        return "chat" if needs_chat else "text"
    plain_text = "text_completion" in able and (not needs_chat or "chat_completion" not in able)
    return "chat" if "chat_completion" in able and not plain_text else "text"


def kinds_note(plan: Plan) -> str | None:
    """How the deployments were asked, where that was not the same for all."""
    if len({one.kind for one in plan.asked}) < 2:
        return None
    said = (
        f"{', '.join(one.name for one in plan.asked if one.kind == kind)} by {words}"
        for kind, words in _WORDS.items()
        if any(one.kind == kind for one in plan.asked)
    )
    return f"Not all were asked the same way: {'; '.join(said)}. api= decides otherwise."
