"""Small functions that read one field of what the management API told: None where it is missing or something else."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import orjson

__all__ = ["Row", "as_json", "objects", "read", "read_flag", "read_json", "read_number", "read_text"]

Row = Mapping[str, Any]


def read(*path: str) -> Callable[[Row], Any]:
    """The value under `path`; None where a step is missing or the value is empty text."""

    def value(row: Row) -> Any:
        found: Any = row
        for name in path:
            found = found.get(name) if isinstance(found, Mapping) else None
        return None if found == "" else found

    return value


def read_text(*path: str) -> Callable[[Row], str | None]:
    get = read(*path)
    return lambda row: found if isinstance(found := get(row), str) else None


def read_flag(*path: str) -> Callable[[Row], bool | None]:
    get = read(*path)
    return lambda row: found if isinstance(found := get(row), bool) else None


def read_number(*path: str) -> Callable[[Row], float | None]:
    """A number that is not negative, or text that holds one."""
    get = read(*path)

    def value(row: Row) -> float | None:
        found = get(row)
        if isinstance(found, bool) or not isinstance(found, int | float | str):
            return None
        try:
            number = float(found)
        except (ValueError, OverflowError):
            return None
        return number if math.isfinite(number) and number >= 0 else None

    return value


def read_json(*path: str) -> Callable[[Row], str | None]:
    """A list, an object or anything else but text as JSON; text as it is."""
    get = read(*path)

    def value(row: Row) -> str | None:
        found = get(row)
        return found if found is None or isinstance(found, str) else as_json(found)

    return value


def as_json(value: Any) -> str:
    """What an answer holds, as JSON."""
    try:
        return orjson.dumps(value, default=str).decode()
    except TypeError:  # a number of more than 64 bits
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def objects(value: Any) -> list[Row]:
    """The objects of a list; none where it is no list."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
