"""``Did you mean 'x'?``: the names most like one that is not known, and how an error says so."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean", "similar"]


_LEAST, _MORE = 0.6, 5
"""How much two names share at least, and how many more are looked at."""


def similar(name: object, known: Iterable[object], count: int = 1) -> list[str]:
    """At most `count` of the `known` names, whatever their case; empty if none is like it.

    First those that `name` begins, the shortest before others, then the most similar.
    """
    if not isinstance(name, str):  # nobody mistyped it, and it may have no text at all
        return []
    by_lower = {str(each).lower(): str(each) for each in known}
    begun = sorted((each for each in by_lower if len(name) > 3 and each.startswith(name.lower())), key=len)
    close = difflib.get_close_matches(name.lower(), by_lower, count + _MORE, _LEAST)
    alike = [each for each in close if _alike(name.lower(), each)]
    return [by_lower[each] for each in dict.fromkeys([*begun, *alike])][:count]


def _alike(name: str, other: str) -> bool:
    """Whether models of one provider are alike without it: ``azure/nope`` and ``azure/large`` share nothing else."""
    provider, slash, model = name.partition("/")
    if not slash or not other.startswith(provider + slash):
        return True
    return difflib.SequenceMatcher(None, model, other.partition("/")[2]).ratio() >= _LEAST


def did_you_mean(name: object, known: Iterable[object], count: int = 1) -> str:
    """`` Did you mean 'x'?``, to follow a sentence; empty if no known name is like it."""
    return f" Did you mean {' or '.join(map(repr, found))}?" if (found := similar(name, known, count)) else ""
