"""The frame of a report, read from the file that `report.write_report` wrote; nothing of the file runs."""

from __future__ import annotations

import json
import os
from datetime import datetime
from typing import TYPE_CHECKING, Any

from .._files import read_file, user_path
from .._runs.columns import COLUMNS
from .._safe_text import plain
from ..errors import LogError
from .report import FORMAT

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["load_report"]

_OPENING = '<script type="application/json" id="bifrost-data">'
_INSTANT = "datetime64[us, UTC]"
_OWN_DTYPES = ("boolean", "Int64", "Float64")
"""What columns beside those of every frame may be (``valid``, typed answers, scores); their JSON is not enough."""


def load_report(path: str | os.PathLike[str]) -> pd.DataFrame:
    """The frame of a report that `Comparison.report` wrote: one row per run, as ``comparison.frame`` was.

    ``frame = bf.load_report("report.html")``. The file is read as text, nothing of it runs. Columns of every frame have
    their types again, scores are Float64, the columns of inputs what JSON keeps of them. Raises LogError where the file
    cannot be read or holds no report, or one of a later format.

    `path` is that of the file.

        bf.load_report("report.html").groupby("variant")["total_ms"].median()
    """
    target = user_path(path)
    try:
        text = read_file(target).decode("utf-8", "replace")
    except OSError as error:
        raise LogError(f"{target} cannot be read: {error.strerror or error}.") from None
    start = text.find(_OPENING)  # a pattern would look through the whole file from each opening of a hostile one
    end = text.find("</script>", start)
    try:
        block = json.loads(text[start + len(_OPENING) : end]) if 0 <= start < end else None
    except (ValueError, RecursionError):
        block = None
    if not isinstance(block, dict) or not isinstance(block.get("columns"), list):
        hint = "comparison.report(path) writes one."
        if target.suffix == ".parquet":
            hint = "pd.read_parquet(path) reads a frame that was saved as such."
        raise LogError(f"{target.name} holds no report of a comparison.", hint=hint)
    if block.get("format") != FORMAT:
        raise LogError(f"{target.name} has format {plain(block.get('format'), 20)}; this version reads {FORMAT}.")
    try:
        return _typed(block)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise LogError(f"{target.name} is damaged: {plain(error, 100)}.") from None


def _typed(block: dict[str, Any]) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa

    from .._runs.frame import frame_from_arrow
    from .._runs.log.reader import ARROW_TYPES

    rows = int(block["rows"])
    given = {column["name"]: column["values"] for column in block["columns"]}
    if len(given) < len(block["columns"]) or not all(isinstance(name, str) and name for name in given):
        raise ValueError("columns without names of their own")
    dtypes = {column["name"]: column.get("dtype") for column in block["columns"]}
    if any(not isinstance(values, list) or len(values) != rows for values in given.values()):
        raise ValueError("columns of different lengths")
    if rows and not given:  # as many as somebody likes to write down
        raise ValueError("rows without columns")
    ours = {}
    for column in COLUMNS:
        kind = ARROW_TYPES[column.dtype]
        values = given.pop(column.name, None)
        if values is not None and column.dtype.startswith("datetime"):
            values = [None if value is None else datetime.fromisoformat(value) for value in values]
        ours[column.name] = pa.nulls(rows, kind) if values is None else pa.array(values, kind)
    frame = frame_from_arrow(pa.table(ours))
    scores = set(block.get("scores", ()))
    more: dict[str, Any] = {}
    for name, values in given.items():
        kind = "Float64" if name in scores else dtypes[name]
        if kind in _OWN_DTYPES:
            more[name] = pd.array(values, dtype=kind)
        elif kind == _INSTANT:
            more[name] = pd.DatetimeIndex(pd.to_datetime(values, utc=True, format="ISO8601")).as_unit("us")
        elif kind in ("object", "float64") and all(value is None for value in values):
            more[name] = pd.Series(values, dtype=kind, index=frame.index)
        elif all(value is None or isinstance(value, str) for value in values):
            more[name] = pd.Series(values, dtype=frame["prompt"].dtype, index=frame.index)
        else:
            more[name] = pd.Series(values, index=frame.index, dtype=object if kind == "object" else None)
    return pd.concat([frame, pd.DataFrame(more, index=frame.index)], axis=1)
