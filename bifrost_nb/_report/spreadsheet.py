"""Frames as files for spreadsheets, in which no text of a model becomes a formula.

A program that opens CSV takes a cell that begins with ``=``, ``+``, ``-``, ``@``, a tab or a return (after blanks,
too) for a formula, which can send data away (OWASP, "CSV Injection"); such texts get a leading apostrophe. In Excel
files every text is typed as text instead, so nothing of it changes.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Sequence
from datetime import date, timedelta
from numbers import Number
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._files import user_path, write_private
from .._prompts.shown_value import shown_value
from .._prompts.value_text import no_value
from .._runs.log.export import FORMULA
from ..errors import ConfigurationError, LogError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LONGEST_CELL", "WRITERS", "to_csv", "to_excel", "write"]

_FIGURES = (Number, date, timedelta)
"""A minus sign before these is one."""
_LARGEST = 10**15
"""Excel keeps 15 digits of a number; an identifier that has more is written as text."""
LONGEST_CELL = 32_767
"""Characters that Excel takes in one cell; longer texts are cut and end in an ellipsis."""
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""What XML 1.0 cannot hold."""


def to_csv(frame: pd.DataFrame) -> bytes:
    """`frame` as CSV in UTF-8 with a byte-order mark, which Excel needs to read it as such."""
    inert = frame.map(_inert).set_axis([_inert(str(name)) for name in frame.columns], axis="columns")
    return inert.to_csv(index=False).encode("utf-8-sig", "replace")


def to_excel(frame: pd.DataFrame, title: str = "runs") -> bytes:
    """`frame` as an Excel workbook of one sheet: numbers and times (UTC) are typed, unknown is empty."""
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font

    book = Workbook(write_only=True)
    sheet = book.create_sheet(title[:31])
    sheet.freeze_panes = "A2"

    def cell(value: Any, bold: bool = False) -> Any:
        made = WriteOnlyCell(sheet, value=_excel_value(value))
        if isinstance(made.value, str):
            made.data_type = "s"  # else openpyxl takes a text that begins with "=" for a formula
        if bold:
            made.font = Font(bold=True)
        return made

    sheet.append([cell(str(name), bold=True) for name in frame.columns])
    for row in frame.itertuples(index=False, name=None):
        sheet.append([cell(value) for value in row])
    written = io.BytesIO()
    book.save(written)
    return written.getvalue()


WRITERS = {".csv": to_csv, ".xlsx": to_excel}


def write(frame: pd.DataFrame, path: str | os.PathLike[str], suffixes: Sequence[str] = tuple(WRITERS)) -> Path:
    """Write `frame` to a file of one of `suffixes`, readable by its owner only. Raises ConfigurationError, LogError."""
    target = user_path(path)
    if target.suffix not in suffixes:
        raise ConfigurationError(f"{target.name} does not end in {' or '.join(suffixes)}.", hint="Name it so.")
    try:
        write_private(target, WRITERS[target.suffix](frame))
    except OSError as error:
        raise LogError(
            f"{target} cannot be written: {error.strerror or error}.", hint="Write to another place."
        ) from None
    return target


def _inert(value: Any) -> Any:
    """`value`, or its text where a spreadsheet would run it, whatever it is of: a path, a member of an enumeration."""
    if no_value(value) or isinstance(value, _FIGURES):
        return value
    text = shown_value(value)
    return f"'{text}" if re.match(FORMULA, text) else text


def _excel_value(value: Any) -> Any:
    import numpy as np
    import pandas as pd

    if isinstance(value, pd.Timestamp):
        return value.tz_convert("UTC").tz_localize(None).to_pydatetime() if value.tzinfo else value.to_pydatetime()
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return None
    if isinstance(value, np.generic):
        value = value.item()
    if (isinstance(value, float) and abs(value) < 1e300) or (isinstance(value, int) and abs(value) < _LARGEST):
        return value
    text = _ILLEGAL.sub("\ufffd", shown_value(value))
    return text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "\u2026"
