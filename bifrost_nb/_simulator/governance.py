"""Who may ask the embedded gateway for what: its planted virtual keys, and what it can be told to ask of a caller.

Held against the captures ``gov_*`` of ``../shared/captures``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict

from .dialects import Dialect, Failure

__all__ = ["BUDGET_USD", "VIRTUAL_KEYS", "Governance", "Protection", "virtual_key"]

BUDGET_USD = 10.0
"""What each planted virtual key may spend."""
VIRTUAL_KEYS: dict[str, dict[str, Any]] = {
    "sk-bf-demo-0123456789abcdef": {"id": "vk-demo", "name": "demo", "is_active": True, "spent": 1.25},
    "sk-bf-spent-0123456789abcdef": {"id": "vk-spent", "name": "spent", "is_active": True, "spent": 10.0},
    "sk-bf-blocked-0123456789abcdef": {"id": "vk-blocked", "name": "blocked", "is_active": False, "spent": 0.0},
    "sk-bf-slow-0123456789abcdef": {
        "id": "vk-slow", "name": "slow", "is_active": True, "spent": 0.0, "requests_per_hour": 2,
    },
}  # fmt: skip
"""The planted virtual keys: one that works, one without budget left, one switched off, one with a limit."""

_PREFIX = "sk-bf-"
_KEY_HEADERS = ("x-bf-vk", "authorization", "x-api-key", "x-goog-api-key", "api-key")


class Protection(BaseModel):
    """What the gateway asks of a caller, named as in a real gateway's configuration where that has it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    admin_username: str | None = None
    """With the password: ``/api`` is for the administrator. 1.3 and 1.4.0 were measured not to ask."""
    admin_password: str | None = None
    disable_auth_on_inference: bool = False
    """Measured: unless this is set, 1.4.18 and 1.5.1 keep completions for the administrator too."""
    virtual_key_required: bool = False
    """Whoever asks a deployment needs a virtual key that the gateway knows."""


def _sent(headers: Mapping[str, str], dialect: Dialect) -> list[str]:
    """The virtual keys of a request, from any of the headers in which an SDK sends its key.

    Measured: ``api-key`` is one of them from 2.0 on.
    """
    told = _KEY_HEADERS if dialect.second else _KEY_HEADERS[:-1]
    values = (headers.get(name, "").removeprefix("Bearer ") for name in told)
    return [value for value in values if value.startswith(_PREFIX)]


def virtual_key(headers: Mapping[str, str], dialect: Dialect) -> dict[str, Any] | None:
    """The planted virtual key of a request."""
    return next((VIRTUAL_KEYS[key] for key in _sent(headers, dialect) if key in VIRTUAL_KEYS), None)


@dataclass(slots=True)
class Governance:
    """Whether a caller may ask, and how often each key did."""

    dialect: Dialect
    protection: Protection = field(default_factory=Protection)
    asked: Counter[str] = field(default_factory=Counter)
    """Requests of each key, by its id."""

    def refusal(self, headers: Mapping[str, str], *, counted: bool = True) -> Failure | None:
        """What governance says against a call; keys that it does not know are looked at only where one is required."""
        key = virtual_key(headers, self.dialect)
        if key is None:
            return self._stranger(headers) if self.protection.virtual_key_required else None
        if not key["is_active"]:
            kind = "access_blocked" if self.dialect.second else "virtual_key_blocked"
            return _refused(403, kind, "Virtual key is inactive")
        if key["spent"] >= BUDGET_USD:
            message = "Budget exceeded: VK budget exceeded: 10.0000 >= 10.0000 dollars"
            return _refused(402, "budget_exceeded", message)
        limit = key.get("requests_per_hour")
        if limit is not None and self.asked[key["id"]] >= limit:
            reached = f"request limit exceeded ({limit}/{limit}, resets every 1h)"
            reached = reached if self.dialect.old else f"[{reached}]"
            return _refused(429, "request_limited", f"Rate limit check failed: rate limit violated for VK: {reached}")
        self.asked[key["id"]] += counted
        return None

    def _stranger(self, headers: Mapping[str, str]) -> Failure:
        """Of a caller without a key that is known. Measured: 1.4.18 calls an unknown one missing."""
        first = self.dialect.before(1, 4, 18)
        if _sent(headers, self.dialect) and self.dialect.name != "1.4.18":
            if first:
                return _refused(403, "virtual_key_not_found", "Virtual key not found")
            message = "virtual key not found. The provided virtual key does not exist or has been revoked."
            return _refused(401, "virtual_key_not_found", message)
        message = "virtual key is required. Provide a virtual key via the x-bf-vk header."
        if first:
            message = "virtual key is missing in headers and is mandatory."
        return _refused(401, "virtual_key_required", message)


def _refused(status: int, kind: str, message: str) -> Failure:
    return Failure(status=status, top_type=kind, message=message, asked=False)
