"""Whether a value fits a JSON schema, in bounded time: a schema may be somebody else's, as the answer is a model's.

One pattern can keep Python's regular expressions busy for ever, ``uniqueItems`` compares each item with each other, and
references lead through a small schema in more ways than can be gone. So patterns are matched by Rust's engine, whose
time is linear (pydantic's, as in its models), items are told apart by a set, and what is looked at is counted.
"""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any

from .._numbers import instant
from .._safe_text import plain

__all__ = ["TooMuch", "fault_of", "problem_of", "without_unmatched"]

MOST_STEPS = 200_000
"""Keywords looked at, and their parts, for one answer: some seconds. Four thousand objects take less than half."""
_MOST_FAULTS = 1_000
_VALUES = ("const", "enum", "default", "examples")
"""Keywords whose parts are no schemas."""
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_left = threading.local()


class TooMuch(Exception):
    """More steps than `MOST_STEPS`."""


def problem_of(schema: Mapping[str, Any]) -> tuple[str, str] | None:
    """What keeps `schema` from being used, and what to do: references that lead out of it or nowhere, patterns without
    a bound."""
    own_bases = False
    for part in _parts(schema):
        own_bases = own_bases or "$id" in part
        for name in _REFERENCES:
            if isinstance(ref := part.get(name), str) and not ref.startswith("#"):
                return f"The schema refers to {plain(ref, 100)!r}; nothing is fetched.", "Write it into its $defs."
        if isinstance(pattern := part.get("pattern"), str) and (why := _unmatched(pattern)):
            return f"The pattern {plain(pattern, 100)!r} cannot be matched in bounded time: {why}.", (
                "Write it without looking ahead or back, and shorter."
            )
        if isinstance(part.get("patternProperties"), dict):
            return "The schema has patternProperties, and a strict format names every property.", (
                "Name them in properties, or take a list of names and values."
            )
    return None if own_bases else _lost_reference(schema)


def without_unmatched(schema: Any) -> Any:
    """`schema` without the patterns that `problem_of` refuses, for a model that checks by its own: pydantic 2.12 and
    2.13 write one that looks ahead for each Decimal."""
    if isinstance(schema, list):
        return [without_unmatched(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {
        name: one if name in _VALUES else without_unmatched(one)
        for name, one in schema.items()
        if not (name == "pattern" and isinstance(one, str) and _unmatched(one))
    }


def fault_of(schema: dict[str, Any], value: Any) -> Any:
    """The fault of `value` that matters most, an error of jsonschema's; None where it fits.

    Raises TooMuch, RecursionError, and referencing's Unresolvable.
    """
    from jsonschema.exceptions import best_match
    from jsonschema.validators import Draft202012Validator, validator_for
    from referencing import Registry

    # A registry of its own, since the default one fetches what a schema refers to.
    checked = _bounded(validator_for(schema, default=Draft202012Validator))
    validator = checked(_without_dialect(schema), registry=Registry())
    _left.steps = MOST_STEPS
    return best_match(itertools.islice(validator.iter_errors(value), _MOST_FAULTS))


def _parts(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Each object in `schema` that may be a schema."""
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, Mapping):
            yield part
            waiting += [one for name, one in part.items() if name not in _VALUES]


def _lost_reference(schema: Mapping[str, Any]) -> tuple[str, str] | None:
    from referencing import Registry, Resource
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    whole = Resource.from_contents(schema, default_specification=DRAFT202012)
    resolver = Registry().with_resource("", whole).resolver()
    # jsonschema's `$dynamicRef` falls back to what `$ref` finds.
    refs = {part[name] for part in _parts(schema) for name in _REFERENCES if isinstance(part.get(name), str)}
    for first in sorted(refs):
        gone, ref = set(), first
        while isinstance(ref, str):
            if ref in gone:
                return f"The reference {plain(first, 100)!r} of the schema goes in a circle.", "Say what it stands for."
            gone.add(ref)
            try:
                found = resolver.lookup(ref).contents
            except Unresolvable:
                return f"The schema refers to {plain(ref, 100)!r}, which it does not hold.", "Write it into its $defs."
            ref = found.get("$ref") if isinstance(found, Mapping) else None
    return None


@functools.lru_cache(maxsize=256)
def _matcher(pattern: str) -> Any:
    from pydantic import StringConstraints, TypeAdapter

    return TypeAdapter(Annotated[str, StringConstraints(pattern=pattern)])


def _unmatched(pattern: str) -> str | None:
    try:
        _matcher(pattern)
    except Exception as error:  # noqa: BLE001 - the engine's own class is not public
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return plain(lines[-1], 150) if lines else type(error).__name__
    return None


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema.exceptions import ValidationError
    from pydantic import ValidationError as NoMatch

    if validator.is_type(instance, "string"):
        try:
            _matcher(pattern).validate_python(instance)
        except NoMatch:
            yield ValidationError(f"{plain(repr(instance), 100)} does not match {pattern!r}")


def _unique(validator: Any, wanted: bool, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema.exceptions import ValidationError

    if wanted and validator.is_type(instance, "array") and len(set(map(_identity, instance))) < len(instance):
        yield ValidationError(f"{plain(repr(instance[:20]), 100)} has non-unique elements")


def _format(validator: Any, name: str, instance: Any, schema: Any) -> Iterator[Any]:
    """Formats are remarks, as JSON schema has it, but this one is the dtype of a column, which would have nothing."""
    from jsonschema.exceptions import ValidationError

    if name == "date-time" and validator.is_type(instance, "string") and instant(instance) is None:
        yield ValidationError(f"{plain(repr(instance), 100)} is no date-time (2026-01-31T09:00:00Z)")


def _identity(value: Any) -> Any:
    """Equal for what JSON schema calls equal: 1 is 1.0, and no truth value."""
    if isinstance(value, dict):
        return "object", frozenset((name, _identity(one)) for name, one in value.items())
    if isinstance(value, list):
        return "array", tuple(map(_identity, value))
    return isinstance(value, bool), value


@functools.cache
def _bounded(base: Any) -> Any:
    """The class of validators `base`, whose keywords are counted."""
    from jsonschema.validators import extend

    own = {"pattern": _pattern, "uniqueItems": _unique, "format": _format}
    return extend(base, {name: _counted(own.get(name, check)) for name, check in base.VALIDATORS.items()})


def _counted(check: Callable[..., Any]) -> Callable[..., Any]:
    def counted(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
        _left.steps -= 1 + (len(value) if isinstance(value, list | dict) else 0)
        if _left.steps < 0:
            raise TooMuch
        return check(validator, value, instance, schema)

    return counted


def _without_dialect(schema: Any) -> Any:
    """Where a part names one, jsonschema takes that one's class, which does not count."""
    if isinstance(schema, list):
        return [_without_dialect(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: one if name in _VALUES else _without_dialect(one)
        for name, one in schema.items()
        if not (name == "$schema" and isinstance(one, str))
    }
