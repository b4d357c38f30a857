"""Runs as a folder of Parquet files, one partition a day, for engines that read many files at once.

The layout is Hive's (``day=2026-11-22/part-0.parquet``). `dask.dataframe`, DuckDB, pyarrow and pandas read it; the
frame's columns keep their types, and ``day`` is added by the reader from the folder's name.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from ..._files import user_path
from ..._safe_text import quoted
from ...errors import ConfigurationError, LogError
from .codec import valid

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["export_dataset"]


def export_dataset(frame: pd.DataFrame, folder: str | os.PathLike[str]) -> Path:
    """Write the runs of `frame` (``bf.runs(...)``, ``comparison.frame``) into `folder`; returns its path.

    A day that is already there is replaced as a whole, other days stay. The files are readable by their owner only.
    Texts are those of the frame: a client's `redact` has left out what ``bf.runs(...)`` reads from the log, while
    ``comparison.frame`` is whole. A column of values of several kinds (an input of numbers and texts) is written as
    texts; ``day``, of a frame that was read from such a folder, is written anew.
    Raises ConfigurationError for something else than such a frame or a folder that is a file, LogError when it cannot
    be written.

        bf.export_dataset(bf.runs(since="30d"), "runs")
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.dataset

    if not isinstance(frame, pd.DataFrame) or "started_at" not in frame:
        what = "a frame without started_at" if isinstance(frame, pd.DataFrame) else type(frame).__name__
        raise ConfigurationError(
            f"export_dataset takes a frame of runs, not {what}.", hint="Pass bf.runs(...) or bf.to_frame(runs)."
        )
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise ConfigurationError(f"The frame has the column {quoted(twice, 60)} twice.", hint="Drop one of them.")
    target = user_path(folder, "folder").absolute()
    if target.exists() and not target.is_dir():
        raise ConfigurationError(f"{target} is a file.", hint="Name a folder, or use RunLog.export for one file.")
    table = _table_of(frame.drop(columns="day", errors="ignore"))
    days = _times(frame["started_at"]).dt.strftime("%Y-%m-%d").fillna("unknown")
    table = table.append_column("day", pa.array(days, pa.string()))

    def owner_only(written: pa.dataset.WrittenFile) -> None:
        Path(written.path).chmod(0o600)

    try:
        target.mkdir(0o700, parents=True, exist_ok=True)
        pa.dataset.write_dataset(
            table,
            target,
            format="parquet",
            partitioning=pa.dataset.partitioning(pa.schema([("day", pa.string())]), flavor="hive"),
            existing_data_behavior="delete_matching",
            basename_template="part-{i}.parquet",
            file_visitor=owner_only,
            max_rows_per_file=1_000_000,
            max_rows_per_group=100_000,
        )
    except OSError as error:
        raise LogError(
            f"{target} cannot be written: {error.strerror or error}.", hint="Export to another place."
        ) from None
    return target


def _times(column: pd.Series[Any]) -> pd.Series[Any]:
    """The times of a frame, also where they were read from a CSV file as texts."""
    import pandas as pd

    if column.dtype.kind == "M":
        return column
    return pd.to_datetime(column.astype("string"), utc=True, format="ISO8601", errors="coerce")


def _table_of(frame: pd.DataFrame) -> pa.Table:
    """`frame` in Arrow's types; of a column that none of them holds, texts as they are and the rest as JSON."""
    import pyarrow as pa

    written = frame.copy(deep=False)
    for name in (name for name, kind in frame.dtypes.items() if kind.kind in "Oc"):
        try:
            kept = _in_parquet(pa.array(frame[name], from_pandas=True).type)
        except (pa.ArrowException, OverflowError):
            kept = False
        if not kept:
            written[name] = frame[name].map(_as_text, na_action="ignore").astype("string")
    return pa.Table.from_pandas(written, preserve_index=False)


def _in_parquet(kind: pa.DataType) -> bool:
    """Whether Parquet has a place for Arrow's `kind`: for an object without any field, also inside of lists, not."""
    import pyarrow as pa

    inner = [kind.field(place).type for place in range(kind.num_fields)]
    return (bool(inner) or not pa.types.is_struct(kind)) and all(map(_in_parquet, inner))


def _as_text(value: Any) -> str:
    held = valid(value)
    return held if isinstance(held, str) else orjson.dumps(held).decode()
