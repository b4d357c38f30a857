"""A table of runs as a file to hand on.

- ``.parquet``: all columns with their types; `pandas.read_parquet` gives the same frame back.
- ``.jsonl``: one object per run, as a log line without its extra part; it can be read as a run log.
- ``.csv``: for spreadsheets, so text that a spreadsheet would run as a formula (it begins with ``=``, ``+``, ``-``,
  ``@``, a tab or a carriage return, after blanks too) gets a ``'`` in front. Nothing else changes; an unknown cell is
  empty, an empty text is ``""``. Times are ISO 8601 in UTC.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from ..._files import check_file
from ...errors import ConfigurationError, LogError
from ..columns import COLUMNS, NAMES, Dtype
from .codec import SCHEMA

__all__ = ["FORMULA", "export", "writer"]

FORMULA = r"\A([\t\r]|\s*[=+\-@＝＋－＠])"
"""What a spreadsheet takes for a formula at the beginning of a text."""
_BATCH_ROWS = 10_000


def export(table: pa.Table, path: Path, write: Callable[[pa.Table, Path], None]) -> Path:
    """Let `write` (see `writer`) write the frame's columns of `table`. The file appears whole or not at all.

    Raises LogError when it cannot be written.
    """
    try:
        check_file(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".", suffix=path.suffix, dir=path.parent)  # readable by its owner only
        os.close(handle)
        try:
            write(table.select(NAMES), Path(name))
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise LogError(
            f"{path} cannot be written: {error.strerror or error}.", hint="Export to another place."
        ) from None
    return path


def writer(path: Path) -> Callable[[pa.Table, Path], None]:
    """The writer for `path`'s suffix. Raises ConfigurationError for an unknown one."""
    try:
        return _WRITERS[path.suffix.lower()]
    except KeyError:
        raise ConfigurationError(
            f"Runs cannot be exported as {path.suffix or path.name!r}.", hint=f"Use {', '.join(_WRITERS)}."
        ) from None


def _parquet(table: pa.Table, path: Path) -> None:
    from ..frame import frame_from_arrow

    # pandas' own notes on the columns, so that reading gives the same dtypes, boolean and Int64 with NA included.
    notes = pa.Schema.from_pandas(frame_from_arrow(table.slice(0, 0)), preserve_index=False).metadata
    pa.parquet.write_table(table.replace_schema_metadata(notes), path, compression="zstd")


def _csv(table: pa.Table, path: Path) -> None:
    types = [pa.large_string() if name == "started_at" else table.schema.field(name).type for name in NAMES]
    schema = pa.schema(list(zip(NAMES, types, strict=True)))
    with pa.csv.CSVWriter(path, schema) as file:
        for batch in table.to_batches():
            if len(batch):  # pyarrow before 18 writes the header again for an empty one
                cells = [_csv_cells(batch.column(index), column.dtype) for index, column in enumerate(COLUMNS)]
                file.write(pa.record_batch(cells, schema=schema))


def _csv_cells(values: pa.Array, dtype: Dtype) -> pa.Array:
    if dtype == "string":
        return pc.replace_substring_regex(values, FORMULA, r"'\1")
    if dtype == "datetime64[us, UTC]":
        return pc.strftime(values, "%Y-%m-%dT%H:%M:%S+00:00").cast(pa.large_string())
    return values


def _jsonl(table: pa.Table, path: Path) -> None:
    with path.open("wb") as file:
        for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
            for row in batch.to_pylist():
                file.write(orjson.dumps({"schema": SCHEMA, **row}, option=orjson.OPT_APPEND_NEWLINE))


_WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {".parquet": _parquet, ".csv": _csv, ".jsonl": _jsonl}
