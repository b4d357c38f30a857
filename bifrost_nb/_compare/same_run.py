"""One run in several rows of a frame: of two comparisons that share it, or of one and the run log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .._runs.columns import COLUMNS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["each_once"]

_OF_A_RUN = frozenset(column.name for column in COLUMNS)


def each_once(frame: pd.DataFrame, apart: Callable[[], Sequence[pd.Series[Any]]]) -> pd.DataFrame:
    """`frame`, of whose rows those of one run are one; `apart` is what else they must share, such as the variant.

    An edited comparison has answers of the one before it: in a frame of both they are paid once. The first row stays;
    what it lacks, such as the score of the other comparison, comes from the others. A score, or a figure of the
    user's own, that differs between them is their mean, as that of several raters.
    """
    import pandas as pd

    if "run_id" not in frame:
        return frame
    ids = frame["run_id"].astype("string")
    if not ids.dropna().duplicated().any():
        return frame
    shared = pd.concat([ids, *apart()], axis="columns", ignore_index=True)
    row = shared.groupby(list(shared.columns), dropna=False).ngroup()
    row = row.where(ids.notna(), -1 - pd.Series(range(len(frame)), index=frame.index))  # without an id each is its own
    again = row.duplicated()
    several = frame[row.isin(row[again])]
    kept, own = frame[~again].copy(), row[~again]
    for name in several.columns:
        kept[name] = _of_all(kept[name], several[name].dropna(), own, row, mean=name not in _OF_A_RUN)
    return kept.reset_index(drop=True)


def _of_all(
    kept: pd.Series[Any], known: pd.Series[Any], own: pd.Series[Any], row: pd.Series[Any], *, mean: bool
) -> pd.Series[Any]:
    """A column of the rows that stay, `own`, with what is `known` of it in all rows of their runs."""
    import pandas as pd

    if mean and known.dtype.kind in "iufb":
        groups = known.astype("Float64").groupby(row[known.index])
        if (groups.nunique() > 1).any():
            means = groups.mean().reindex(own)
            return pd.Series(means.array, index=kept.index).fillna(kept.astype("Float64"))
    if not kept.isna().any() or known.empty:
        return kept
    first = known[~row[known.index].duplicated()]
    first.index = pd.Index(row[first.index])
    return kept.where(kept.notna(), pd.Series(first.reindex(own).array, index=kept.index))
