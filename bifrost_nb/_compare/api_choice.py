"""By which API each deployment of a comparison is asked: what was decided, else what it can do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .._client.calls import Kind
from ..errors import BifrostError, ConfigurationError

if TYPE_CHECKING:
    from .._client.client import Client
    from .plan import Plan, Variant

__all__ = ["check_images_taken", "kinds_note", "with_kinds"]

LIST_WAIT_S = 5.0
"""A gateway asks all its providers for their lists; a comparison waits at most so long for that."""
_WORDS = {"text": "text completions", "chat": "chat", "responses": "the Responses API"}


def with_kinds(client: Client, asked: Sequence[Variant], kind: Kind | None) -> tuple[Variant, ...]:
    """`asked`, each with its API: its own ``api``, else `kind`, else as the gateway's list of models says.

    There a text completion is chosen where the deployment has them (and there is no system message, which they do not
    take), else chat; text where the list does not tell. Raises ConfigurationError for an API that is not known.
    """
    if kind is not None and kind not in _WORDS:
        raise _unknown(kind)
    own = [one.parameters.get("api", kind) for one in asked]
    able = _able(client) if None in own else {}
    found = []
    for one, chosen in zip(asked, own, strict=True):
        if chosen is not None and chosen not in _WORDS:
            raise _unknown(chosen)
        names = able.get(one.deployment, frozenset())
        plain_text = "text_completion" in names and (one.system is None or "chat_completion" not in names)
        automatic: Kind = "chat" if "chat_completion" in names and not plain_text else "text"
        api: Kind = automatic if chosen is None else chosen
        names_of = {"max_tokens": "max_output_tokens"} if api == "responses" else {}  # one limit for all of them
        rest = {names_of.get(name, name): value for name, value in one.parameters.items() if name != "api"}
        found.append(replace(one, parameters=rest, kind=api))
    return tuple(found)


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


def check_images_taken(client: Client, asked: Sequence[Variant]) -> None:
    """Raises ConfigurationError where the gateway's list says that a deployment takes no images.

    The list names the kinds of input of some deployments only (``architecture.input_modalities``); the others are
    asked, and their providers decide.
    """
    for model in _listed(client):
        modalities = (model.get("architecture") or {}).get("input_modalities")
        if not isinstance(modalities, list) or not modalities or "image" in modalities:
            continue
        if any(one.deployment == model["id"] for one in asked):
            raise ConfigurationError(
                f"{model['id']} takes no images, only {', '.join(map(str, modalities))} (bf.models()).",
                hint="Choose deployments whose input_modalities in bf.models() name image.",
            )


def _able(client: Client) -> dict[str, frozenset[str]]:
    """The kinds of requests that each listed deployment takes; empty where the gateway does not tell."""
    told = ((str(model["id"]), model.get("supported_methods")) for model in _listed(client))
    return {
        name: frozenset(str(one).removesuffix("_stream") for one in methods)
        for name, methods in told
        if isinstance(methods, list)
    }


def _listed(client: Client) -> Sequence[Any]:
    """The gateway's models; none where it does not tell: the calls will say what is wrong."""

    async def listed() -> Sequence[Any]:
        async with asyncio.timeout(LIST_WAIT_S):
            return await client.models()

    try:
        return client.run_on_loop(listed())
    except (BifrostError, TimeoutError):
        return ()


def _unknown(kind: object) -> ConfigurationError:
    return ConfigurationError(
        f"api must be 'text', 'chat' or 'responses', not {kind!r}.",
        hint="Leave it out to go by what bf.models() says that each deployment can do.",
    )
