"""Libraries that print long values with an ellipsis print all of them, inside of one block."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

__all__ = ["printed_whole"]

_PANDAS_WHOLE = [
    part
    for option in ("max_rows", "max_columns", "max_colwidth", "max_seq_items", "width")
    for part in (f"display.{option}", None)
] + ["display.precision", 17]


@contextmanager
def printed_whole() -> Iterator[None]:
    """Arrays, Series and frames inside of an object (a dataclass, a model) print all that they hold, here only."""
    with ExitStack() as stack:
        if (numpy := sys.modules.get("numpy")) is not None:
            stack.enter_context(numpy.printoptions(threshold=sys.maxsize, floatmode="unique"))
        if (pandas := sys.modules.get("pandas")) is not None:
            stack.enter_context(pandas.option_context(*_PANDAS_WHOLE))
        if (polars := sys.modules.get("polars")) is not None:
            stack.enter_context(
                polars.Config(
                    tbl_rows=-1, tbl_cols=-1, fmt_str_lengths=2**31 - 1, fmt_table_cell_list_len=-1,
                    tbl_width_chars=65_535, fmt_float="full",
                )
            )  # fmt: skip
        yield
