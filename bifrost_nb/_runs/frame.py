"""Runs as a pandas DataFrame: the same columns, order and dtypes for none, one or a million."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, overload

from .._safe_text import quoted, type_with_article
from .._suggest import did_you_mean
from ..errors import ConfigurationError
from .columns import COLUMNS, NAMES, Column, Dtype
from .log.codec import column_value
from .log.filters import Filters, shows_filters
from .run import Run

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

__all__ = ["Library", "frame_from_arrow", "frame_of", "runs", "table_as", "table_of", "to_array", "to_frame"]

T = TypeVar("T")
_BLOCK = 10_000
"""So many runs are objects at once; those of a large comparison are packed before and after."""
Library = Literal["pandas", "arrow", "polars"]
"""Whose table the runs are to be in."""


@overload
def to_frame(runs: Iterable[Run], to: Literal["pandas"] = "pandas") -> pd.DataFrame: ...
@overload
def to_frame(runs: Iterable[Run], to: Literal["arrow"]) -> pa.Table: ...
@overload
def to_frame(runs: Iterable[Run], to: Literal["polars"]) -> pl.DataFrame: ...
def to_frame(runs: Iterable[Run], to: Library = "pandas") -> Any:
    """One row per run, one column per entry of `COLUMNS`, NA where unknown or not of the column's type.

    `runs` is any iterable of `Run`; with `to` ``"arrow"`` it is a `pyarrow.Table`, with ``"polars"`` a polars frame.
    Raises ConfigurationError for what is no run.

        bf.to_frame([client.chat("azure/fast", "Hi")])[["total_ms", "cost_usd"]]
    """
    return table_as(table_of(runs), to)


def table_as(table: pa.Table, to: Library) -> Any:
    """The frame's columns of an Arrow table in the library that `to` names; strings are not copied.

    Raises ConfigurationError for another name, or where polars is not installed.
    """
    if to == "pandas":
        return frame_from_arrow(table)
    if to == "arrow":
        return table.select(NAMES)
    if to != "polars":
        hint = did_you_mean(to, ("pandas", "arrow", "polars")).strip()
        raise ConfigurationError(f"to must be 'pandas', 'arrow' or 'polars', not {quoted(to)}.", hint=hint or None)
    try:
        import polars as pl
    except ModuleNotFoundError:
        raise ConfigurationError("polars is not installed.", hint="Run `pip install polars`.") from None
    return pl.from_arrow(table.select(NAMES))


def table_of(runs: Iterable[Run]) -> pa.Table:
    """The columns of `runs` as an Arrow table."""
    import pyarrow as pa

    from .log.reader import column_array, schema

    if not isinstance(runs, Iterable):
        raise ConfigurationError(
            f"A frame of runs is made of several, not of {type_with_article(runs)}.", hint="Pass a list."
        )
    rest, tables = iter(runs), [schema().empty_table()]
    while block := list(islice(rest, _BLOCK)):
        arrays = [column_array(_values(column, block), column.dtype) for column in COLUMNS]
        tables.append(pa.table(arrays, schema=schema()))
        del block  # before the next is read
    return pa.concat_tables(tables)


def _values(column: Column[Run], runs: list[Run]) -> list[Any]:
    try:
        return [column.value(run) for run in runs]
    except (TypeError, ValueError, AttributeError, RecursionError):  # a run holds what JSON cannot carry
        if odd := next((type(run).__name__ for run in runs if not isinstance(run, Run)), None):
            raise ConfigurationError(f"A frame of runs is made of Run objects, not {odd}.") from None
        return [column_value(column, run) for run in runs]


def frame_from_arrow(table: pa.Table) -> pd.DataFrame:
    """The frame of an Arrow table that has the columns (a Parquet export, a part of a log), each of its Arrow type.

    A missing column is NA throughout; others are left out. Texts are not copied; numbers are, since Arrow's memory is
    read-only and a user may want to change a cell.
    """
    import pandas as pd
    import pyarrow as pa

    from .log.reader import ARROW_TYPES

    data: dict[str, Any] = {}
    for column in COLUMNS:
        kind = ARROW_TYPES[column.dtype]
        if column.name in table.column_names:
            values = table[column.name].cast(kind)
        else:
            values = pa.chunked_array([pa.nulls(len(table), kind)])
        array = _dtype(column.dtype).__from_arrow__(values)
        data[column.name] = array if column.dtype == "string" else array.copy()
    return pd.DataFrame(data, copy=False)


def to_array(values: Iterable[Any], dtype: Dtype) -> Any:
    """A pandas array of one of the dtypes of every frame, NA for what does not fit it."""
    import pandas as pd

    from .log.codec import cell

    return pd.array([cell(value, dtype) for value in values], dtype=_dtype(dtype))


def frame_of(columns: Iterable[Column[T]], rows: Iterable[T]) -> pd.DataFrame:
    """One row per entry of `rows`, by columns other than those of a run; NA for what does not fit its column."""
    import pandas as pd

    found = list(rows)
    return pd.DataFrame({one.name: to_array([one.value(row) for row in found], one.dtype) for one in columns})


def _dtype(dtype: Dtype) -> Any:
    """The pandas dtype object of a column.

    Named ``"string"``, pandas 2 would hold a Python object per cell and pandas 3 whatever its options say. Asked for by
    storage it is Arrow's in both, with `pandas.NA`: texts pass from the log to the frame without a copy.
    """
    import pandas as pd

    return pd.StringDtype("pyarrow") if dtype == "string" else pd.api.types.pandas_dtype(dtype)


@overload
def runs(to: Literal["pandas"] = "pandas", **filters: Unpack[Filters]) -> pd.DataFrame: ...
@overload
def runs(to: Literal["arrow"], **filters: Unpack[Filters]) -> pa.Table: ...
@overload
def runs(to: Literal["polars"], **filters: Unpack[Filters]) -> pl.DataFrame: ...
@shows_filters
def runs(to: Library = "pandas", **filters: Unpack[Filters]) -> Any:
    """The run log in force, one row per run; `Filters` says what each filter takes.

    `since` and `until` are ages (``"1d"``), datetimes or ISO texts, `limit` keeps the newest; `deployment`, `status`,
    `run_id`, `comparison_id` and `prompt_id` take one or several, `tags` a dict of which all must be there. `to` is
    ``"pandas"`` (a DataFrame), ``"arrow"`` (a `pyarrow.Table`) or ``"polars"`` (its DataFrame); unknown is NA or null.

    Raises ConfigurationError for a filter or library that is none, LogError where the log cannot be read.

        bf.runs(since="1d", deployment="azure/fast", status="ok")[["total_ms", "cost_usd"]]
        bf.runs("polars", since="1d")       # or "arrow": a pyarrow.Table, which duckdb reads as it is
    """
    from .log.log import run_log
    from .pending import wait_for_costs

    wait_for_costs()  # those of the calls just made come a moment after their answers
    return run_log().frame(to, **filters)
