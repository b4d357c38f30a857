"""Numbers and moments as people pass them: Python's, numpy's and pandas' (a cell of a frame), decimals and fractions.

A truth value is no number, although Python counts with it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

from ._safe_text import quoted
from .errors import ConfigurationError

__all__ = [
    "as_python",
    "fewest_for",
    "flag",
    "instant",
    "missing",
    "number",
    "version_numbers",
    "whole",
    "whole_number",
]

_PLAIN = frozenset({bool, int, float, str, list, dict, type(None)})


def as_python(value: Any) -> Any:
    """Any kind of number or truth value as Python's own; everything else as it is."""
    if type(value) in _PLAIN:  # asking for an abstract kind of number takes longer than all else here
        return value
    for found in (flag(value), _integer(value), number(value)):
        if found is not None:
            return found
    return value


def missing(value: object) -> bool:
    """Whether it is pandas' word for what is not there, which is no number, no text and has no truth."""
    return type(value).__name__ in ("NAType", "NaTType")


def fewest_for(share: float) -> int:
    """How many values tell a quantile of the upper tail: with fewer, less than one of them is expected beyond it, and
    what is calculated is the largest value under another name. 20 for a p95, 100 for a p99."""
    return round(1 / (1 - share)) if share > 0.5 else 1


def flag(value: object) -> bool | None:
    """A truth value, Python's or numpy's; None for everything else, a text such as ``"no"`` too."""
    return bool(value) if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_") else None


def instant(value: Any) -> datetime | None:
    """A moment in UTC, of a datetime or of ISO 8601 text, without a zone taken for UTC; None for everything else."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        found: datetime = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, AttributeError, OverflowError):
        return None
    return found


def whole(value: object) -> int | None:
    """A whole number of any kind as an int; None for everything else.

    5.0 is 5: so a column of whole numbers is given where one is missing. Beyond 2**53 a float stands for several.

    >>> whole(3), whole(3.0), whole(True), whole(3.5)
    (3, 3, None, None)
    """
    if (found := _integer(value)) is not None:
        return found
    real = number(value)
    return int(real) if real is not None and real.is_integer() and abs(real) <= 2**53 else None


def _integer(value: object) -> int | None:
    return None if isinstance(value, bool) or not isinstance(value, Integral) else int(value)


def whole_number(name: str, value: Any, least: int | None = 1, most: int | None = None) -> int:
    """The argument `name` as an int. Raises ConfigurationError where it is none, or not from `least` to `most`."""
    found = whole(value)
    if found is None or (least is not None and found < least):
        bound = "" if least is None else f" from {least}"
        raise ConfigurationError(f"{name} must be a whole number{bound}, not {quoted(value, 60)}.")
    if most is not None and found > most:
        raise ConfigurationError(f"{name} is {most:,} at most, not {quoted(value, 60)}.")
    return found


def number(value: object) -> float | None:
    """A number of any kind as a float; None for everything else. NaN and infinities stay what they are.

    A 32-bit 0.7 is 0.7, the number that it shows, and not 0.699999988079071.

    >>> number(Decimal("0.5")), number("0.5")
    (0.5, None)
    """
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        return None
    try:
        return float(value) if isinstance(value, float | int | Decimal) else float(_shown(value))
    except (OverflowError, ValueError):  # more than a float holds, a signalling NaN
        return float("nan")


def _shown(value: Real) -> Real | str:
    """numpy's shorter floats as they show themselves."""
    return str(value) if type(value).__name__ in ("float16", "float32", "longdouble") else value


def version_numbers(text: str | None) -> tuple[int, ...]:
    """``(1, 4, 18)`` of a gateway's ``v1.4.18``; empty, and so before all others, where `text` names no version."""
    found = re.search(r"(?<![\d.])(\d+)\.(\d+)\.(\d+)", text or "")
    return tuple(map(int, found.groups())) if found else ()
