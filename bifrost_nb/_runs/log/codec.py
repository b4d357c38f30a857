"""A `Run` as one line of the log, and back.

A line is one JSON object: ``schema`` (1), every column of a frame under its name (``fallbacks``, ``tool_calls``,
``params`` and ``tags`` as JSON text, ``started_at`` as ISO 8601 in UTC, null where unknown) and ``extra``, an object
with what a Run holds beyond the columns. A later fact is a line with ``schema``, ``run_id``, ``"update": true`` and the
columns that changed. Whatever a run holds becomes a line: what JSON cannot carry is replaced, never an error.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC
from numbers import Integral, Real
from typing import Any, SupportsInt, cast

import orjson

from ..._numbers import as_python, flag, instant, missing
from ..._wire.json_text import whole_characters
from ..columns import COLUMNS, NAMES, Column, Dtype
from ..run import Attempt, Run
from .blocks import LINE_BYTES

__all__ = ["EXTRA", "JSON_COLUMNS", "SCHEMA", "cell", "decode", "encode", "encode_update", "valid"]

SCHEMA = 1
"""Version of the line format. Columns may be added under the same number: a reader leaves out what it does not know."""

EXTRA = (
    "texts",
    "reasoning",
    "annotations",
    "embedding_shape",
    "logprobs",
    "usage",
    "extra_fields",
    "chunk_times_ms",
    "attempts",
    "notes",
    "redacted",
    "base_url",
)

JSON_COLUMNS: Mapping[str, type] = {"fallbacks": list, "tool_calls": list, "params": dict, "tags": dict}
"""Columns that hold JSON as text, and what it is."""
_OPTIONS = orjson.OPT_APPEND_NEWLINE | orjson.OPT_NAIVE_UTC
_CUT = 1 << 20
_DEPTH = 64

# One call into C reads all columns; those that need more than reading are computed after.
_read_columns = operator.attrgetter(*NAMES)
_read_extra = operator.attrgetter(*EXTRA)
_TEMPLATE: dict[str, Any] = dict.fromkeys(("schema", *NAMES, "extra")) | {"schema": SCHEMA}
_computed = [(column.name, column.value) for column in COLUMNS if not isinstance(column.value, operator.attrgetter)]


def encode(run: Run) -> bytes:
    """The line of a finished run, newline included."""
    record = _TEMPLATE.copy()
    record.update(zip(NAMES, _read_columns(run)))  # noqa: B905  strict= costs a twentieth of an append
    try:
        for name, value in _computed:
            record[name] = value(run)
        if run.started_at.tzinfo is not UTC:
            record["started_at"] = cell(run.started_at, "datetime64[us, UTC]")
        record["extra"] = {name: value for name, value in zip(EXTRA, _read_extra(run)) if value}  # noqa: B905
        line = orjson.dumps(record, option=_OPTIONS)
    except (TypeError, ValueError, AttributeError, RecursionError):
        line = _encode_anything(run)
    return line if len(line) <= LINE_BYTES else _encode_shortened(line)


def _encode_anything(run: Run) -> bytes:
    """The line of a run that holds what JSON cannot carry: lone surrogates, foreign objects, endless nesting."""
    record: dict[str, Any] = {"schema": SCHEMA}
    record.update((column.name, column_value(column, run)) for column in COLUMNS)
    record["extra"] = {name: valid(getattr(run, name)) for name in EXTRA}
    return orjson.dumps(record, option=_OPTIONS)


def _encode_shortened(line: bytes) -> bytes:
    """The line without its extra part and with each text cut to a million characters: a record, not an archive."""
    record = orjson.loads(line)
    record["extra"] = {}
    texts = {name: text for name, text in record.items() if isinstance(text, str) and len(text) > _CUT}
    record.update((name, text[:_CUT] + "…") for name, text in texts.items())
    return orjson.dumps(record, option=_OPTIONS)


def encode_update(run_id: str, facts: Mapping[str, Any]) -> bytes:
    """The line that adds `facts` (column name to cell) to a run, newline included."""
    return orjson.dumps({"schema": SCHEMA, "run_id": run_id, "update": True, **facts}, option=_OPTIONS)


def column_value(column: Column[Run], run: Run) -> Any:
    """What a frame shows of `run` in `column`: of the column's type, None where unknown or of another type."""
    try:
        return cell(column.value(run), column.dtype)
    except (TypeError, ValueError, AttributeError, RecursionError):  # a JSON column that holds what JSON cannot carry
        return json_text(getattr(run, column.name, None))


def json_text(value: Any) -> str | None:
    """`value` as compact JSON with sorted keys, as the columns ``fallbacks``, ``params`` and others hold it."""
    return orjson.dumps(valid(value), option=orjson.OPT_SORT_KEYS).decode() if value else None


def cell(value: Any, dtype: Dtype) -> Any:
    """`value` if it fits `dtype`, else None. Whole floats fit Int64; NaN and infinities fit nothing."""
    return None if value is None else _CELLS[dtype](value)


def _string(value: Any) -> str | None:
    return whole_characters(value) if isinstance(value, str) else None


def _int64(value: Any) -> int | None:
    if type(value) is int:  # nearly always, and told at once: asking for an abstract kind takes longer than all else
        return value if -(1 << 63) <= value < 1 << 63 else None
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    if not isinstance(value, Integral) and not float(value).is_integer():
        return None
    number = int(cast(SupportsInt, value))
    return number if -(1 << 63) <= number < 1 << 63 else None


def _float64(value: Any) -> float | None:
    if type(value) is float:
        return value if math.isfinite(value) else None
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer of hundreds of digits
        return None
    return number if math.isfinite(number) else None


def _boolean(value: Any) -> bool | None:
    return flag(value)


_CELLS: dict[Dtype, Callable[[Any], Any]] = {
    "string": _string,
    "Int64": _int64,
    "Float64": _float64,
    "boolean": _boolean,
    "datetime64[us, UTC]": instant,
}


def valid(value: Any, depth: int = _DEPTH) -> Any:
    """`value` as JSON can carry it; what it cannot becomes text, and what lies too deep None."""
    value = as_python(value)
    if isinstance(value, str):
        return whole_characters(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and -(1 << 63) <= value < 1 << 63:
        return value
    if isinstance(value, float):
        return _float64(value)
    if missing(value):
        return None
    if depth == 0:
        return None
    if isinstance(value, Mapping):
        return {whole_characters(_text(key)): valid(item, depth - 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [valid(item, depth - 1) for item in value]
    if isinstance(value, Attempt):
        return {name: valid(getattr(value, name)) for name in _ATTEMPT}
    return whole_characters(_text(value))


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001  a foreign object whose __str__ fails, or an integer too long to print
        return f"<{type(value).__name__}>"


def decode(columns: Mapping[str, Any], extra: Any) -> Run:
    """The run of one merged row (column name to cell) and the ``extra`` part of its line.

    What is not of the expected shape is left at its default: a log may come from anywhere.
    """
    # None where unknown, also for what a new run always has: a start that was never logged is not now.
    run = Run(**{name: columns.get(name) for name in NAMES if name not in JSON_COLUMNS})  # type: ignore[arg-type]
    run.started_at = cell(run.started_at, "datetime64[us, UTC]")
    for name in JSON_COLUMNS:
        _restore(run, name, _parsed(columns.get(name)))
    if isinstance(extra, dict):
        for name in (*_STORED, *_MOVED):
            if name in extra:
                _restore(run, name, extra[name])
        told = extra.get("redacted")
        for name in told if isinstance(told, list) else ():
            if name in _TEXTS:
                run.written[name] = getattr(run, name)
    return run


def _parsed(text: str | None) -> Any:
    try:
        return orjson.loads(text) if text else None
    except orjson.JSONDecodeError:
        return None


def _restore(run: Run, name: str, value: Any) -> None:
    container, item = _SHAPES[name]
    if not isinstance(value, container):
        return
    if isinstance(value, list):
        if not all(isinstance(element, item) for element in value):
            return
        if name == "attempts":
            value = [attempt for attempt in map(_attempt, value) if attempt is not None]
    setattr(run, name, value)


_SHAPES: dict[str, tuple[type, Any]] = {
    "fallbacks": (list, str),
    "params": (dict, object),
    "tags": (dict, object),
    "texts": (list, str),
    "reasoning": (str, object),
    "tool_calls": (list, dict),
    "annotations": (list, dict),
    "embedding_shape": (list, int),
    "logprobs": (dict, object),
    "usage": (dict, object),
    "extra_fields": (dict, object),
    "chunk_times_ms": (list, (int, float)),
    "attempts": (list, dict),
    "notes": (list, str),
    "base_url": (str, object),
}
_STORED = tuple(name for name in EXTRA if name in _SHAPES)
_MOVED = ("tool_calls",)
"""Columns that stood in ``extra`` before they were columns."""
_TEXTS = ("prompt", "response", "params", "error_message", *_MOVED, *_STORED)
_ATTEMPT = tuple(field.name for field in fields(Attempt))


def _attempt(values: dict[str, Any]) -> Attempt | None:
    try:
        return Attempt(**{name: value for name, value in values.items() if name in _ATTEMPT})
    except TypeError:  # without a request id or a start
        return None
