"""Every setting, its value and where it came from.

Precedence: argument > magic flag > ``%config Bifrost.*`` > project ``pyproject.toml`` ``[tool.bifrost_nb]`` >
environment > default. A secret shows as ``configured`` and nothing else. What a project file may choose unasked, and
what only after the person trusted it, is in `bifrost_nb._project_file`.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from . import _project_file
from ._files import user_path
from ._keys import SHORTEST_SECRET, Secret, shown_address, without_keys
from ._numbers import number
from ._safe_text import plain, quoted
from .errors import ConfigurationError

__all__ = ["DEFAULTS", "SECRETS", "Settings", "masked", "project_file", "resolve", "use_notebook_config"]

DEFAULTS: dict[str, str | None] = {
    "base_url": "http://localhost:8080",
    "virtual_key": None,
    "api_key": None,
    "api_version": None,
    "run_log": None,
    "timeout": None,
    "admin_user": None,
    "admin_password": None,
    "session_token": None,
    "redact": None,
    "ca_file": None,
}
SECRETS = frozenset({"virtual_key", "api_key", "admin_password", "session_token"})

_notebook_config: Callable[[], Mapping[str, Any]] = dict


def use_notebook_config(values: Callable[[], Mapping[str, Any]]) -> None:
    """Let `values` supply the ``%config Bifrost.*`` layer; the magic calls this when it is loaded and unloaded."""
    global _notebook_config
    _notebook_config = values


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings in force. `origins` maps each name to the layer its value came from."""

    base_url: str
    virtual_key: str | None
    api_key: str | None
    api_version: str | None
    run_log: str | None
    timeout: float | None
    admin_user: str | None
    """With `admin_password`: who may read the gateway's management API, where that asks for it."""
    admin_password: str | None
    session_token: str | None
    """Instead of the two: a token that the gateway's login gave."""
    redact: str | None
    """What no run log is to hold: ``prompt``, ``response`` or both, with a comma between them."""
    ca_file: str | None
    """A PEM file, or a folder of them: the authorities whose certificates an ``https`` gateway may show."""
    origins: Mapping[str, str]

    def admin_headers(self) -> dict[str, str]:
        """The headers that open the management API; empty where nothing is configured.

        Raises ConfigurationError for a user without a password, or the other way round.
        """
        if self.session_token:
            return {"authorization": Secret(f"Bearer {self.session_token}")}
        if self.admin_user is None and self.admin_password is None:
            return {}
        if self.admin_user is None or self.admin_password is None:
            missing = "admin_user" if self.admin_user is None else "admin_password"
            raise ConfigurationError(
                f"The management API needs a user and a password; {missing} is missing.",
                hint=f"Set BIFROST_{missing.upper()} as well.",
            )
        pair = base64.b64encode(f"{self.admin_user}:{self.admin_password}".encode()).decode()
        return {"authorization": Secret(f"Basic {pair}")}

    def rows(self) -> list[tuple[str, str, str]]:
        """(name, value, origin) of each setting, secrets shown as ``configured``."""
        return [(name, self._shown(name), self.origins[name]) for name in DEFAULTS]

    def _shown(self, name: str) -> str:
        value = getattr(self, name)
        if value is None:
            return "not configured"
        if name in SECRETS:
            return "configured"
        return str(value)

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value}' for name, value, _ in self.rows())})"


def resolve(**arguments: Any) -> Settings:
    """The settings in force, given what the caller passed (None: not passed).

    Raises ConfigurationError for a value that cannot be used, naming the layer it came from.
    """
    arguments = masked(arguments)
    project = project_file()
    layers: list[tuple[str, Mapping[str, Any]]] = [
        ("argument", arguments),
        ("%config", masked(_notebook_config())),
        (project.origin, project.in_force()),
        ("environment", masked({name: os.environ.get(f"BIFROST_{name.upper()}") or None for name in DEFAULTS})),
        ("default", DEFAULTS),
    ]
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for name in DEFAULTS:
        found = ((layer, table[name]) for layer, table in layers if table.get(name) is not None)
        origin, value = next(found, ("default", None))
        values[name] = _checked(name, value, origin)
        if name == "redact" and origin == project.origin:  # a project file may ask for more silence, never for less
            values[name] = _redacted(f"{values[name] or ''},{os.environ.get('BIFROST_REDACT', '')}", origin)
        origins[name] = f"environment BIFROST_{name.upper()}" if origin == "environment" else origin
    _check_path(values, origins["base_url"])
    return Settings(**values, origins=origins)


def project_file(folder: Path | None = None) -> _project_file.ProjectFile:
    """The project file that counts in `folder` (None: the working folder), trusted or not. Raises
    ConfigurationError."""
    if folder is not None and not folder.is_dir():  # or a parent's file would count in its place
        raise ConfigurationError(f"{plain(str(folder), 200)} is no folder.")
    return _project_file.find(DEFAULTS, SECRETS, folder)


def masked(values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with each key, and an address that may hold one, as `Secret`: no traceback shows it.

    A key in bytes is text.
    """

    def secret(name: str, value: Any) -> bool:
        return isinstance(value, str) and (
            name in SECRETS or (name == "base_url" and ("://" not in value or bool(_path(value)) or "@" in value))
        )

    texts = {
        name: value.decode("latin-1") if isinstance(value, bytes) and name in SECRETS else value
        for name, value in values.items()
    }
    return {name: Secret(value) if secret(name, value) else value for name, value in texts.items()}


def _checked(name: str, value: Any, origin: str) -> Any:
    if value is None:
        return None
    if name == "timeout":
        try:
            seconds = float(value) if isinstance(value, str) else number(value)
        except ValueError:
            seconds = None
        if seconds is None or not 0 < seconds < float("inf"):
            raise ConfigurationError(
                f"timeout must be a number of seconds above 0, not {quoted(value)} (from {origin})."
            )
        return seconds
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} must be text, not {type(value).__name__} (from {origin}).")
    if name == "base_url":
        return _url(value, origin)
    if name == "redact":
        return _redacted(value, origin)
    if name == "ca_file":
        if not value:
            raise ConfigurationError(f"ca_file (from {origin}) is empty.", hint="Name a PEM file, or leave it out.")
        return str(user_path(value, f"ca_file (from {origin})").absolute())  # a notebook may change its folder
    if name == "admin_user" and ":" in value:
        raise ConfigurationError(f"admin_user (from {origin}) holds a colon, which HTTP does not allow there.")
    if name == "admin_password":  # sent as base64: any character will do
        return value
    if name in SECRETS and any(not 32 < ord(character) < 127 for character in value):
        raise ConfigurationError(
            f"{name} (from {origin}) holds blanks, line ends or characters that no HTTP header can carry.",
            hint="Copy the key again, without quotes or spaces.",
        )
    return value


def _url(value: str, origin: str) -> str:
    if value == "demo":
        return "demo"  # text that shows itself, whatever it came in
    if "@" in value.partition("://")[2].partition("/")[0]:
        raise ConfigurationError(f"base_url (from {origin}) holds a user name or password.", hint=_NO_KEYS)
    whole = "://" in value and set("?#").isdisjoint(value) and len(value.split()) == 1 and value.strip().isprintable()
    host = _host(value) if whole else None  # no frame holds what may be a key
    if host is None:
        raise ConfigurationError(
            f"base_url {plain(shown_address(value), 200)!r} (from {origin}) is not an address of a gateway.",
            hint="Write it like http://localhost:8080, or 'demo' for the embedded gateway.",
        )
    if without_keys(value) != str(value):
        raise ConfigurationError(f"base_url (from {origin}) holds a key.", hint=_NO_KEYS)
    return value.strip().rstrip("/")


_NO_KEYS = "Pass keys as virtual_key= or api_key=, so that they never show in an address."


def _path(url: str) -> str:
    """What follows the host of an address, as `Secret`: in a query, a fragment or a path a key may stand."""
    return Secret("".join(re.split("[/?#]", url.partition("://")[2], maxsplit=1)[1:]).strip("/ "))


def _check_path(values: dict[str, Any], origin: str) -> None:
    """Raises ConfigurationError where the address repeats one of the keys: it is shown, and stands in every run."""
    path = _path(values["base_url"])
    if any(len(values[name] or "") >= SHORTEST_SECRET and values[name] in path for name in SECRETS):
        values.clear()  # no frame holds it
        raise ConfigurationError(f"The path of base_url (from {origin}) holds a key.", hint=_NO_KEYS)


def _host(url: str) -> str | None:
    """The host of an address of HTTP; None where it is none, or has a port that is none."""
    try:
        parts = urlsplit(url.strip())
        known = parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:  # of a port, and of an IPv6 address that has no end
        return None
    return parts.hostname if known else None


def _redacted(value: str, origin: str) -> str | None:
    """The words sorted, so that equal settings are equal."""
    words = sorted({word.strip() for word in value.split(",")} - {""})
    if set(words) - {"prompt", "response"}:
        raise ConfigurationError(
            f"redact must be prompt, response, or both with a comma, not {plain(value, 80)!r} (from {origin}).",
            hint="A function goes to Client(redact=...) or RunLog(path, redact=...).",
        )
    return ",".join(words) or None
