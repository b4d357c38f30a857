"""What each deployment can do by the gateway's own list of models: which requests it takes, whether pictures too."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import BifrostError, ConfigurationError

if TYPE_CHECKING:
    from .._client.client import Client

__all__ = ["check_images_taken", "methods_of"]

LIST_WAIT_S = 5.0
"""A gateway asks all its providers for their lists; a comparison waits at most so long for that."""


def check_images_taken(client: Client, deployments: Iterable[str], *, known_only: bool = False) -> None:
    """Raises ConfigurationError where the gateway's list says that a deployment takes no images.

    The list names the kinds of input of some deployments only (``architecture.input_modalities``); the others are
    asked, and their providers decide. `known_only` reads what was listed before and asks nobody.
    """
    asked = set(deployments)
    for model in client.known_models() if known_only else _listed(client):
        told = model.get("architecture")
        modalities = told.get("input_modalities") if isinstance(told, Mapping) else None
        if not isinstance(modalities, list) or not modalities or "image" in modalities:
            continue
        if model["id"] in asked:
            raise ConfigurationError(
                f"{model['id']} takes no images, only {', '.join(map(str, modalities))} (bf.models()).",
                hint="Choose deployments whose input_modalities in bf.models() name image.",
            )


def methods_of(client: Client, known_only: bool = False) -> dict[str, frozenset[str]]:
    """The kinds of requests that each listed deployment takes; empty where the gateway does not tell."""
    listed = client.known_models() if known_only else _listed(client)
    told = ((str(model["id"]), model.get("supported_methods")) for model in listed)
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

    if found := client.known_models():
        return found
    try:
        return client.run_on_loop(listed())
    except (BifrostError, TimeoutError):
        return ()
