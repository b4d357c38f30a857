"""A JSON schema as OpenAI's strict mode takes it, which is not all of JSON schema.

Format: https://platform.openai.com/docs/guides/structured-outputs, "Supported schemas". An answer is checked by the
schema as it was given, so what strict mode has no word for, and what only narrows a value, may be left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["strict_of"]

_LISTS = ("anyOf", "allOf")
_NAMED = ("properties", "$defs", "definitions")
_DROPPED = ("default", "discriminator", "uniqueItems")
_FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}
_REFUSED = {
    "patternProperties", "propertyNames", "minProperties", "maxProperties", "dependentRequired", "dependentSchemas",
    "unevaluatedProperties", "unevaluatedItems", "prefixItems", "contains", "not", "if", "then", "else",
}  # fmt: skip


class _NotStrictError(Exception):
    """Part of a schema cannot be said in strict mode."""


def strict_of(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """`schema` for strict mode: every property required, no others, references alone; None where it cannot be said.

    That is so of a dict with keys of any name, which strict mode would keep empty, of a tuple and of a value of any
    type.
    """
    try:
        return _strict(schema)
    except _NotStrictError:
        return None


def _strict(rule: Any) -> dict[str, Any]:
    if not isinstance(rule, Mapping) or _REFUSED & rule.keys():
        raise _NotStrictError
    made = {name: value for name, value in rule.items() if name not in _DROPPED}
    if made.get("format") not in _FORMATS:
        made.pop("format", None)
    if "oneOf" in made:  # how pydantic writes a union that a field tells apart
        if "anyOf" in made:
            raise _NotStrictError
        made["anyOf"] = made.pop("oneOf")
    for name in _NAMED:
        if isinstance(made.get(name), Mapping):
            made[name] = {key: _strict(one) for key, one in made[name].items()}
    for name in _LISTS:
        if isinstance(made.get(name), list):
            made[name] = [_strict(one) for one in made[name]]
    if isinstance(made.get("allOf"), list):
        made = _merged(made)
    if "$ref" in made and len(made) > 1 and "properties" not in made:
        made = {**{name: value for name, value in made.items() if name != "$ref"}, "anyOf": [{"$ref": made["$ref"]}]}
    return _closed(made)


def _merged(made: dict[str, Any]) -> dict[str, Any]:
    """`made` with the one part of its ``allOf`` written into it; strict mode takes no ``allOf``."""
    parts = made.pop("allOf")
    if len(parts) != 1 or made.keys() & parts[0].keys() - {"title", "description"}:
        raise _NotStrictError
    return {**parts[0], **made}


def _closed(made: dict[str, Any]) -> dict[str, Any]:
    """`made` with what strict mode wants of an object and of a list."""
    kinds = made.get("type")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if isinstance(made.get("properties"), Mapping):
        made["required"], made["additionalProperties"] = list(made["properties"]), False
    elif "object" in kinds and made.get("additionalProperties") is not False:
        raise _NotStrictError
    if "array" in kinds:
        made["items"] = _strict(made.get("items"))
    if kinds == [None] and not made.keys() & {"$ref", "anyOf", "enum", "const", "properties"}:
        raise _NotStrictError
    return made
