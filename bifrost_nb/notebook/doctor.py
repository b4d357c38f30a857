"""``%bifrost doctor``: what answers at the gateway's address, which keys and packages are there, what is missing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..errors import BifrostError
from ..portal import portal
from ..transport import get_json
from ..untrusted import plain
from .models import fetch
from .tables import Table

if TYPE_CHECKING:
    from ..client import Client

__all__ = ["examine"]

WAIT_S = 5.0
PACKAGES = ("bifrost-nb", "ipython", "ipykernel", "jupyterlab", "ipywidgets", "anywidget", "httpx", "pandas")


def examine(client: Client) -> Table:
    """One row per check: what was looked at, what was found, what to do about it. Sends four small requests."""
    rows = [*portal().call(_gateway(client)), *_settings(client), _run_log(client), *_surroundings()]
    return Table(
        ["check", "found", "advice"], [dict(zip(("check", "found", "advice"), row, strict=True)) for row in rows]
    )


Row = tuple[str, str, str | None]


async def _gateway(client: Client) -> list[Row]:
    address, auth = client.base_url, client._auth()
    try:
        status, _ = await get_json(address, "/health", auth, seconds=WAIT_S)
    except BifrostError as error:
        return [
            ("gateway", f"{address}: {error.message}", "Start it, or set BIFROST_BASE_URL; 'demo' needs no gateway.")
        ]
    rows: list[Row] = [("gateway", f"{address} answers ({status})", None)]
    rows.append(await _version(address, auth))
    rows += await _models(client)
    rows.append(await _logs(address, auth))
    return rows


async def _version(address: str, auth: dict[str, str]) -> Row:
    try:
        status, body = await get_json(address, "/api/version", auth, seconds=WAIT_S)
    except BifrostError as error:
        return ("version", error.message, None)
    known = status == 200 and isinstance(body, str)
    return ("version", plain(body, 40) if known else f"not told ({status})", None)


async def _models(client: Client) -> list[Row]:
    try:
        found = await fetch(client, WAIT_S)
    except BifrostError as error:
        return [("deployments", error.message, "Check the keys, and the providers in the gateway's configuration.")]
    priced = sum(isinstance(item.get("pricing"), dict) and bool(item["pricing"]) for item in found)
    advice = None if priced else "Cost is then known only where the provider or the gateway's log tells it."
    return [
        ("deployments", str(len(found)), None if found else "The gateway has no provider configured, or the key none."),
        ("prices", f"for {priced} of {len(found)} deployments", advice),
    ]


async def _logs(address: str, auth: dict[str, str]) -> Row:
    try:
        status, _ = await get_json(address, "/api/logs", auth, {"limit": 1}, WAIT_S)
    except BifrostError as error:
        return ("gateway log", error.message, None)
    if status == 200:
        return ("gateway log", "readable: costs that come later are filled in", None)
    return (
        "gateway log",
        f"not readable ({status})",
        "It needs logging, and a login where one is set.",
    )


def _settings(client: Client) -> Iterator[Row]:
    for name, value, origin in client.settings.rows():
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
