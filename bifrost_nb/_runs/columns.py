"""The columns of every frame and of every log line, in order: name, dtype, how to get it from a `Run`.

No pandas here: the log writes the same columns without loading it. A new column is one line, and one expected value
in ``tests/runs/test_frame.py``, where every field differs.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import orjson

from .._numbers import as_python, missing
from .run import Run

__all__ = ["COLUMNS", "NAMES", "Column", "Dtype"]

Dtype = Literal["string", "Int64", "Float64", "boolean", "datetime64[us, UTC]"]
T = TypeVar("T")


class Column(NamedTuple, Generic[T]):
    """One column of a frame of `T` (runs, rows of the gateway's answers, pairs): `value(row)` is None where unknown."""

    name: str
    dtype: Dtype
    value: Callable[[T], Any]


def _json(name: str) -> Callable[[Run], str | None]:
    """An attribute as compact JSON with sorted keys, None where it is empty."""

    def value(run: Run) -> str | None:
        content = getattr(run, name)
        return orjson.dumps(content, default=_plain, option=orjson.OPT_SORT_KEYS).decode() if content else None

    return value


def _plain(value: Any) -> Any:
    """A number of numpy's is one in JSON, too; what is missing is null, and what JSON has no form for is text."""
    if missing(value):
        return None
    return str(value) if (found := as_python(value)) is value else found


def _columns(dtype: Dtype, names: str) -> list[Column[Run]]:
    return [Column(name, dtype, attrgetter(name)) for name in names.split()]


COLUMNS: tuple[Column[Run], ...] = (
    *_columns("string", "run_id request_id comparison_id prompt_id"),
    *_columns("datetime64[us, UTC]", "started_at"),
    *_columns("string", "request_type requested_provider requested_model"),
    Column("fallbacks", "string", _json("fallbacks")),
    *_columns("Int64", "repeat"),
    *_columns("string", "provider model model_deployment"),
    *_columns("boolean", "is_fallback"),
    *_columns("Int64", "fallback_index"),
    *_columns("string", "status finish_reason"),
    *_columns("Int64", "http_status"),
    *_columns("string", "error_type error_code error_message"),
    *_columns(
        "Int64", "prompt_tokens completion_tokens total_tokens cached_tokens cache_write_tokens reasoning_tokens"
    ),
    *_columns("Float64", "input_cost_usd output_cost_usd cost_usd"),
    *_columns("string", "cost_source"),
    *_columns("Float64", "queue_ms ttft_ms total_ms latency_ms gap_p50_ms gap_max_ms"),
    *_columns("Int64", "chunks"),
    *_columns("Float64", "tokens_per_s"),
    *_columns("boolean", "cache_hit"),
    *_columns("string", "cache_hit_type"),
    *_columns("Float64", "cache_similarity"),
    *_columns("string", "prompt response"),
    Column("tool_calls", "string", _json("tool_calls")),
    Column("params", "string", _json("params")),
    Column("tags", "string", _json("tags")),
    *_columns("string", "rating gateway_version"),
)

NAMES: tuple[str, ...] = tuple(column.name for column in COLUMNS)
