"""Keys among a playground's parameters: hidden wherever the form is shown, and put back into what the page returns.

A widget's state is saved with the notebook, and so are the rounds; and the page returns all parameters, also those that
it has no control for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..._keys import HIDDEN, Secret, without_tool_keys
from .checks import as_json

__all__ = ["put_back", "without_own_keys"]


def without_own_keys(own: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters with the keys in their headers and tools as ``[hidden]``."""
    shown = without_tool_keys(own)
    if isinstance(headers := shown.get("headers"), Mapping):
        shown["headers"] = {name: HIDDEN if isinstance(one, Secret) else one for name, one in headers.items()}
    return shown


def put_back(told: Any, given: Iterable[Mapping[str, Any]]) -> Any:
    """`told`, parameters of the page, with the values of `given` for those that are shown as they are told.

    A column that was made from another one on the page has that one's.
    """
    if not isinstance(told, Mapping):
        return told
    found = dict(told)
    for own in given:
        shown = without_own_keys(own)
        for name in told.keys() & own.keys():
            if shown[name] != own[name] and as_json(shown[name]) == told[name]:
                found[name] = own[name]
    return found
