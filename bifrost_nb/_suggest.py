"""``Did you mean 'x'?``: the names most like one that is not known, and how an error says so."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean", "similar"]


def similar(name: object, known: Iterable[object], count: int = 1) -> list[str]:
    """At most `count` of the `known` names, whatever their case; empty if none is like it.

    First those that `name` begins, the shortest before others, then the most similar.
    """
    if not isinstance(name, str):  # nobody mistyped it, and it may have no text at all
        return []
    by_lower = {str(each).lower(): str(each) for each in known}
    begun = sorted((each for each in by_lower if len(name) > 3 and each.startswith(name.lower())), key=len)
    alike = difflib.get_close_matches(name.lower(), by_lower, count, 0.6)
    return [by_lower[each] for each in dict.fromkeys([*begun, *alike])][:count]


def did_you_mean(name: object, known: Iterable[object], count: int = 1) -> str:
    """`` Did you mean 'x'?``, to follow a sentence; empty if no known name is like it."""
    return f" Did you mean {' or '.join(map(repr, found))}?" if (found := similar(name, known, count)) else ""
