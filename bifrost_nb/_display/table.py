"""Small results of ``%bifrost``: they show themselves and are plain lists and text for Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._safe_text import plain
from .describe import usd

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Table", "Text"]


class Text(str):
    """Text that shows itself as it is, not quoted."""

    __slots__ = ()

    def __repr__(self) -> str:
        return plain(str(self))

    def _repr_html_(self) -> str:
        from .markdown import preformatted

        return preformatted(str(self))


class Table(list[dict[str, Any]]):
    """Rows by column name; None shows as ``–``. `frame` makes a DataFrame of it."""

    def __init__(self, columns: Sequence[str], rows: Iterable[Mapping[str, Any]] = (), *, title: str = "") -> None:
        super().__init__(dict(row) for row in rows)
        self.columns = list(columns)
        self.title = title

    @property
    def frame(self) -> pd.DataFrame:
        """The rows as a DataFrame."""
        import pandas as pd

        return pd.DataFrame(list(self), columns=self.columns)

    def __repr__(self) -> str:
        from .html import figure_columns
        from .terminal_table import table_lines

        cells = [self._cells(row) for row in self]
        lines = table_lines([self.columns, *cells], figure_columns(cells))
        return "\n".join([*([self.title] if self.title else []), *lines])

    def _repr_html_(self) -> str:
        from .html import table, text

        title = f'<p style="font-weight:600">{text(self.title)}</p>' if self.title else ""
        return title + table(map(self._cells, self), self.columns, label=self.title)

    def _cells(self, row: Mapping[str, Any]) -> list[str]:
        return [_cell(name, row.get(name)) for name in self.columns]


def _cell(name: str, value: object) -> str:
    if value is None:
        return "–"
    if name.endswith("_usd") and isinstance(value, int | float) and value == value:
        return usd(value)
    return plain(value, 200).replace("\n", " ")
