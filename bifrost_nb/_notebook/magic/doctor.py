"""``%bifrost doctor``: what answers at the gateway's address, which keys and packages are there, what is missing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..._admin.doctor import doctor
from ..._display.table import Table

if TYPE_CHECKING:
    from ..._client.client import Client

__all__ = ["examine"]

PACKAGES = ("bifrost-nb", "ipython", "ipykernel", "jupyterlab", "ipywidgets", "anywidget", "httpx", "pandas")


def examine(client: Client) -> Table:
    """One row per check: what was looked at, what was found, what to do about it. Sends a few small requests."""
    gateway = [(check.check, check.result, check.advice) for check in doctor(client)]
    rows = [*gateway, *_settings(client), _run_log(client), *_surroundings()]
    return Table(
        ["check", "found", "advice"], [dict(zip(("check", "found", "advice"), row, strict=True)) for row in rows]
    )


Row = tuple[str, str, str | None]


def _settings(client: Client) -> Iterator[Row]:
    for name, value, origin in client.settings.rows():
        if name in ("base_url", "run_log"):
            continue  # checks of their own
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
