"""The virtual keys that are planted in the embedded gateway."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["BUDGET_USD", "VIRTUAL_KEYS", "virtual_key"]

BUDGET_USD = 10.0
"""What each planted virtual key may spend."""
VIRTUAL_KEYS: dict[str, dict[str, Any]] = {
    "sk-bf-demo-0123456789abcdef": {"id": "vk-demo", "name": "demo", "is_active": True, "spent": 1.25},
    "sk-bf-spent-0123456789abcdef": {"id": "vk-spent", "name": "spent", "is_active": True, "spent": 10.0},
    "sk-bf-blocked-0123456789abcdef": {"id": "vk-blocked", "name": "blocked", "is_active": False, "spent": 0.0},
}
"""The planted virtual keys: one that works, one without budget left, one switched off. Others are not looked at."""

_KEY_HEADERS = ("x-bf-vk", "authorization", "x-api-key", "x-goog-api-key", "api-key")


def virtual_key(headers: Mapping[str, str]) -> dict[str, Any] | None:
    """The planted virtual key of a request, from any of the headers in which an SDK sends its key."""
    sent = (headers.get(name, "").removeprefix("Bearer ") for name in _KEY_HEADERS)
    return next((VIRTUAL_KEYS[key] for key in sent if key in VIRTUAL_KEYS), None)
