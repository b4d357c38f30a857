"""The runs that a saved notebook shows, read from its file: no log, no kernel, no gateway needed.

Every answer's output carries its run as display metadata (`bifrost_nb._display.run.metadata`): under ``bifrost_nb`` the
known columns, or ``runs``, a list of them. A long answer is not repeated there: ``response_at`` says where the output's
``text/plain`` has it (`bifrost_nb._display.run.without_texts`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

import orjson

from .._files import read_file, user_path
from .._keys import without_keys
from .._runs.columns import COLUMNS
from .._runs.frame import to_frame
from .._runs.log.codec import cell, decode
from ..errors import LogError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["from_notebook"]


def from_notebook(path: str | PathLike[str]) -> pd.DataFrame:
    """The runs shown in the notebook file `path`, each once, in the order of the cells; columns as in every frame.

    Keys were taken out when the file was written. Raises LogError for a file that is no notebook.

        bf.from_notebook("analysis.ipynb")[["prompt", "response", "cost_usd"]]
    """
    try:
        notebook = orjson.loads(read_file(user_path(path)))
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
                text = _plain_text(output.get("data"))
                yield from (_with_text(row, text) for row in (several if isinstance(several, list) else (kept,)))


def _plain_text(data: Any) -> str:
    """An output's ``text/plain``; a notebook file may have it as a list of lines."""
    text = data.get("text/plain") if isinstance(data, dict) else None
    lines = text if isinstance(text, list) else [text]
    return "".join(line for line in lines if isinstance(line, str))


def _with_text(row: Any, text: str) -> Any:
    """`row` with the answer that it has left in `text`."""
    at = row.get("response_at") if isinstance(row, dict) else None
    if not (isinstance(at, list) and len(at) == 2 and all(type(one) is int and one >= 0 for one in at)):
        return row
    start, length = at
    found = text[start : start + length]
    return {**row, "response": without_keys(found)} if len(found) == length else row
