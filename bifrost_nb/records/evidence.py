"""The runs that a saved notebook shows, read from its file: no log, no kernel, no gateway needed.

Every answer's output carries its run as display metadata (`bifrost_nb.records.show.metadata`): under ``bifrost_nb`` the
known columns, or ``runs``, a list of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from ..errors import LogError
from .columns import COLUMNS
from .frame import to_frame
from .record import cell, decode

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["from_notebook"]


def from_notebook(path: str | PathLike[str]) -> pd.DataFrame:
    """The runs shown in the notebook file `path`, each once, in the order of the cells; columns as in every frame.

    Keys were taken out when the file was written. Raises LogError for a file that is no notebook.
    """
    try:
        notebook = orjson.loads(Path(path).expanduser().read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise LogError(f"{path} cannot be read as a notebook: {error}.") from None
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        raise LogError(f"{path} is no notebook of format 4.", hint="Open and save it in Jupyter first.")
    found: dict[str, Mapping[str, Any]] = {}
    for row in _rows(notebook["cells"]):
        if isinstance(row, dict) and isinstance(row.get("run_id"), str):
            found[row["run_id"]] = {column.name: cell(row.get(column.name), column.dtype) for column in COLUMNS}
    return to_frame(decode(row, None) for row in found.values())


def _rows(cells: list[Any]) -> Iterator[Any]:
    for each in cells:
        outputs = each.get("outputs") if isinstance(each, dict) else None
        for output in outputs if isinstance(outputs, list) else ():
            metadata = output.get("metadata") if isinstance(output, dict) else None
            kept = metadata.get("bifrost_nb") if isinstance(metadata, dict) else None
            if isinstance(kept, dict):
                several = kept.get("runs")
                yield from several if isinstance(several, list) else (kept,)
