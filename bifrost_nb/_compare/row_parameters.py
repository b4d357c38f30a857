"""``tools="column"``, ``response_format="column"``: parameters that each row of the inputs has its own of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from .._prompts.value_text import no_value
from .._safe_text import quoted
from .._suggest import did_you_mean
from ..errors import ConfigurationError

__all__ = ["BY_ROW", "check_columns_of", "columns_of", "for_row", "shared_by_rows"]

BY_ROW = ("tools", "response_format")


def columns_of(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Each parameter that is the name of a column, with that name."""
    return {name: parameters[name] for name in BY_ROW if isinstance(parameters.get(name), str)}


def shared_by_rows(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that are the same for every row."""
    by_row = columns_of(parameters)
    return {name: value for name, value in parameters.items() if name not in by_row}


def for_row(parameters: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of one row; where its cell is empty, without that one. Raises ConfigurationError."""
    found = shared_by_rows(parameters)
    for name, column in columns_of(parameters).items():
        value = row[column]
        if not no_value(value):
            found[name] = _as_json(value, f"{name} in the column {column!r} of inputs")
    return found


def check_columns_of(parameters: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Whether all rows have what is named. Raises ConfigurationError with the number of the row that has not."""
    for name, column in columns_of(parameters).items():
        if column not in rows[0]:
            known = [str(each) for each in rows[0]]
            shown = f" ({', '.join(known)})" if known else ""
            raise ConfigurationError(
                f"{name}={column!r} names no column of inputs{shown}.{did_you_mean(column, known)}",
                hint=f"Pass the {name} itself for all rows, or the name of a column with those of each row.",
            )
        for number, row in enumerate(rows):
            try:
                for_row({name: column}, row)
            except ConfigurationError as error:
                raise ConfigurationError(f"Row {number}: {error.message}", hint=error.hint) from None


def _as_json(value: Any, what: str) -> Any:
    """Lists and objects as they are, out of Arrow and NumPy too; a text (a cell of a CSV) is read as JSON."""
    try:
        if isinstance(value, str):
            return orjson.loads(value)
        written = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY, default=lambda one: one.tolist())
        return orjson.loads(written)
    except (TypeError, AttributeError, orjson.JSONDecodeError):
        raise ConfigurationError(
            f"{what} must be a list or an object, or a text that is one in JSON, not {quoted(value, 80)}."
        ) from None
