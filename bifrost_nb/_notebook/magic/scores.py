"""``--score`` on the magic line: a scorer of the notebook, or a ready one like ``contains:must_mention``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from IPython.core.error import UsageError

from ..._suggest import did_you_mean
from ...errors import ConfigurationError
from .options import literal

__all__ = ["READY", "scorers_for"]

READY = ("exact", "contains", "regex", "number", "json_valid", "fields", "called", "length")
"""The scorers that need one argument at most, as ``name:argument``; others are made in the notebook and named here."""


def scorers_for(written: Sequence[str], values: Mapping[str, Any]) -> Any:
    """What ``compare(score=...)`` takes: one scorer where one is given without a name, else a dict. Raises UsageError.

    Each is ``SCORER`` or ``NAME=SCORER``; a scorer is a variable of the notebook or ``contains:must_mention``.
    """
    found: dict[str, Any] = {}
    for one in written:
        name, equals, rest = one.partition("=")
        named = bool(equals) and name.isidentifier() and ":" not in name
        scorer = _scorer(rest if named else one, values)
        if isinstance(scorer, Mapping):
            if named:
                raise UsageError(f"%%bifrost: --score {one}: {rest} is a dict, which brings names of its own.")
            found |= scorer
            continue
        if len(written) == 1 and not named:
            return scorer
        key = name if named else one.partition(":")[0]
        if key in found:
            raise UsageError(f"%%bifrost: two scores are called {key}; write --score NAME={rest if named else one}.")
        found[key] = scorer
    return found or None


def _scorer(written: str, values: Mapping[str, Any]) -> Any:
    if written in values and (callable(values[written]) or isinstance(values[written], Mapping)):
        return values[written]
    kind, colon, argument = written.partition(":")
    if kind not in READY:
        meant = did_you_mean(kind, [*READY, *(name for name in values if callable(values[name]))])
        meant = meant or f" Ready are {', '.join(READY)}."
        raise UsageError(f"%%bifrost: --score {written}: there is no such scorer.{meant}")
    from ... import scorers

    make = getattr(scorers, kind)
    if kind == "json_valid":
        if colon:
            raise UsageError("%%bifrost: --score json_valid takes nothing after it.")
        return make()
    if not argument:
        raise UsageError(f"%%bifrost: --score {kind} needs a value, as in --score {kind}:{_EXAMPLES[kind]}.")
    try:
        return make(max=literal(argument)) if kind == "length" else make(argument)
    except ConfigurationError as error:
        raise UsageError(f"%%bifrost: --score {written}: {error}") from None


_EXAMPLES = {
    "exact": "expected",
    "contains": "must_mention",
    "regex": r"\d+",
    "number": "total",
    "fields": "expected",
    "called": "weather",
    "length": "400",
}
