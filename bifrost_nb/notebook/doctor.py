"""``%bifrost doctor``: what answers at the gateway's address, which keys and packages are there, what is missing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..errors import BifrostError, GatewayError
from ..gateway.access import Access
from ..portal import portal
from .models import all_models
from .tables import Table

if TYPE_CHECKING:
    from ..client import Client

__all__ = ["examine"]

WAIT_S = 5.0
PACKAGES = ("bifrost-nb", "ipython", "ipykernel", "jupyterlab", "ipywidgets", "anywidget", "httpx", "pandas")


def examine(client: Client) -> Table:
    """One row per check: what was looked at, what was found, what to do about it. Sends a few small requests."""
    rows = [*portal().call(_gateway(client)), *_settings(client), _run_log(client), *_surroundings()]
    return Table(
        ["check", "found", "advice"], [dict(zip(("check", "found", "advice"), row, strict=True)) for row in rows]
    )


Row = tuple[str, str, str | None]


async def _gateway(client: Client) -> list[Row]:
    access = Access(client, client.settings)
    try:
        await access.get("/health", seconds=WAIT_S)
    except GatewayError as error:
        health: Row = ("gateway", f"{access.base_url}: {error.message}", error.hint)
    except BifrostError as error:
        return [("gateway", error.message, error.hint)]
    else:
        health = ("gateway", f"{access.base_url} answers", None)
    return [health, await _version(access), *await _models(access), await _log(access)]


async def _version(access: Access) -> Row:
    try:
        return ("version", access.safe(await access.get("/api/version", seconds=WAIT_S), 40) or "not told", None)
    except BifrostError as error:
        return ("version", error.message, error.hint)


async def _models(access: Access) -> list[Row]:
    try:
        found = await all_models(access)
    except BifrostError as error:
        return [("deployments", error.message, "Check the keys, and the providers in the gateway's configuration.")]
    priced = sum(isinstance(item.get("pricing"), dict) and bool(item["pricing"]) for item in found)
    advice = None if priced else "Cost is then known only where the provider or the gateway's log tells it."
    return [
        ("deployments", str(len(found)), None if found else "The gateway has no provider configured, or the key none."),
        ("prices", f"for {priced} of {len(found)} deployments", advice),
    ]


async def _log(access: Access) -> Row:
    try:
        await access.get("/api/logs", {"limit": 1}, seconds=WAIT_S, missing="Switch the gateway's logging on.")
    except BifrostError as error:
        return ("gateway log", error.message, error.hint)
    return ("gateway log", "readable: costs that come later are filled in", None)


def _settings(client: Client) -> Iterator[Row]:
    for name, value, origin in client.settings.rows():
        if name == "run_log":
            continue  # a check of its own
        yield (name, f"{value} (from {origin})", None)


def _run_log(client: Client) -> Row:
    path = client.log.path
    if path is None:
        return ("run log", "off", "Set BIFROST_RUN_LOG to a file to record runs.")
    folder = next((parent for parent in path.parents if parent.exists()), path.parent)
    writable = os.access(path if path.exists() else folder, os.W_OK)
    return ("run log", str(path), None if writable else "It cannot be written; set BIFROST_RUN_LOG to another file.")


def _surroundings() -> Iterator[Row]:
    yield ("python", f"{platform.python_version()} on {platform.system()}", None)
    for name in PACKAGES:
        try:
            yield (name, importlib.metadata.version(name), None)
        except importlib.metadata.PackageNotFoundError:
            yield (name, "not installed here", None)
    if _is_nested():
        yield (
            "event loop",
            "patched by nest_asyncio",
            "On ipykernel 7 it can lose queued cells; bifrost-nb does not need it.",
        )


def _is_nested() -> bool:
    loop: Any = sys.modules.get("asyncio")
    return bool(getattr(loop, "_nest_patched", False))
