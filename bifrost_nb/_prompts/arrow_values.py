"""Values of Arrow and polars as Python has them, with the digits that they show.

Both give a 32-bit 0.1 as 0.10000000149011612, the same number with more digits than it has. A person who sees 0.1 in
the frame means 0.1 in the prompt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._safe_text import quoted
from ..errors import ConfigurationError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["arrow_rows", "arrow_values"]


def arrow_rows(stream: Any) -> list[dict[str, Any]]:
    """The rows of anything with ``__arrow_c_stream__``, as Python values.

    Raises ConfigurationError for columns of one name, of which a row would keep the last; TypeError, ValueError where
    there are no columns.
    """
    import pyarrow as pa

    table = pa.table(stream)
    names = table.column_names
    if doubled := next((name for name in names if names.count(name) > 1), None):
        raise ConfigurationError(
            f"The table has the column {quoted(doubled)} more than once.", hint="Rename one of them."
        )
    short = {field.name: field.type for field in table.schema if _has_short_floats(field.type)}
    rows: list[dict[str, Any]] = table.to_pylist()
    for row in rows if short else ():
        row.update({name: _shortest(row[name], kind) for name, kind in short.items()})
    return rows


def arrow_values(value: Any) -> Any:
    """A scalar, column or table of pyarrow or polars as Python values; None for anything else of theirs."""
    if hasattr(value, "as_py"):
        return _shortest(value.as_py(), value.type)
    if hasattr(value, "column_names"):  # pyarrow's tables and batches
        return arrow_rows(value)
    if callable(dicts := getattr(value, "to_dicts", None)):
        return arrow_rows(value) if "Float32" in str(value.schema) else dicts()
    if callable(listed := getattr(value, "to_pylist", None)):
        return _shortest_of(listed(), value.type)
    if not callable(listed := getattr(value, "to_list", None)):
        return None
    if "Float32" not in str(value.dtype):
        return listed()
    import pyarrow as pa

    return arrow_values(pa.chunked_array(value))


def _has_short_floats(kind: pa.DataType) -> bool:
    return "float" in str(
        kind
    )  # "float" and "halffloat", also inside of list<...> and struct<...>; others are "double"


def _shortest_of(values: list[Any], kind: pa.DataType) -> list[Any]:
    return [_shortest(value, kind) for value in values] if _has_short_floats(kind) else values


def _shortest(value: Any, kind: pa.DataType) -> Any:
    """`value` of Arrow's type `kind`; its 16- and 32-bit numbers with the fewest digits that tell them."""
    import numpy as np
    import pyarrow as pa

    if value is None or not _has_short_floats(kind):
        return value
    if pa.types.is_float32(kind):
        return float(str(np.float32(value)))
    if pa.types.is_float16(kind):
        return float(str(np.float16(value)))
    if pa.types.is_struct(kind):
        return {name: _shortest(one, kind.field(name).type) for name, one in value.items()}
    if pa.types.is_map(kind):
        return [(_shortest(key, kind.key_type), _shortest(one, kind.item_type)) for key, one in value]
    if pa.types.is_dictionary(kind) or hasattr(kind, "value_type"):
        inner = kind.value_type
        return [_shortest(one, inner) for one in value] if isinstance(value, list) else _shortest(value, inner)
    return value
