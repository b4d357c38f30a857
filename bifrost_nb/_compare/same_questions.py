"""Inputs that ask the same: within a comparison they are numbered when it is planned, in a frame of several here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import orjson

from .row_parameters import BY_ROW

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["named_apart", "question_of"]

_TWIN = re.compile(r"([0-9a-f]{12})-([0-9]+)")
"""The id of an input that asks what one before it asks, see `plan.make_plan`."""
_ID = re.compile(r"[0-9a-f]{12}")


def question_of(input_id: str) -> str:
    """The id of the first input that asks what this one asks."""
    found = _TWIN.fullmatch(input_id)
    return input_id if found is None else found[1]


def named_apart(frame: pd.DataFrame, inputs: pd.Series[Any]) -> pd.Series[Any]:
    """`inputs`, of which those that ask the same have the id of the first and a number.

    Rows of two comparisons that differ in a column that nothing used have ids of their own; counted as two questions
    they would make a difference look surer than it is.
    """
    first = _first_of(frame, inputs)
    if not first:
        return inputs
    taken = [str(one) for one in inputs.dropna().unique()]
    last: dict[str, int] = {}
    for one in taken:
        twin = _TWIN.fullmatch(one)
        last[question_of(one)] = max(last.get(question_of(one), 1), int(twin[2]) if twin else 1)
    named: dict[str, str] = {}
    for one in taken:
        if (base := first.get(question_of(one))) is not None:
            last[base] += 1
            named[one] = f"{base}-{last[base]}"
    return inputs.map(lambda one: named.get(one, one), na_action="ignore").astype(inputs.dtype)


def _first_of(frame: pd.DataFrame, inputs: pd.Series[Any]) -> dict[str, str]:
    """For each input that asked what an earlier one asked, all of it and nothing else, that one."""
    nothing = [None] * len(frame)
    columns = [frame[name].to_list() if name in frame else nothing for name in ("prompt_id", "prompt", "params")]
    asked: dict[str, set[tuple[str, ...]]] = {}
    for one, prompt_id, prompt, params in zip(inputs.to_list(), *columns, strict=True):
        if isinstance(one, str) and isinstance(prompt_id, str):
            text = prompt if isinstance(prompt, str) else ""  # with the system message, which may be a row's own
            said = (prompt_id.partition("-")[0], text, *_by_row(params))
            asked.setdefault(question_of(one), set()).add(said)
    seen: dict[frozenset[tuple[str, ...]], str] = {}
    first = {one: seen.setdefault(frozenset(said), one) for one, said in asked.items()}
    return {one: other for one, other in first.items() if one != other and _ID.fullmatch(other)}


def _by_row(params: Any) -> Iterator[str]:
    """The parameters that each row of inputs may have its own of."""
    if isinstance(params, str) and any(f'"{name}"' in params for name in BY_ROW):
        try:
            given = orjson.loads(params)
        except orjson.JSONDecodeError:  # a frame of somebody's own
            return
        yield from (str(given.get(name)) for name in BY_ROW if isinstance(given, dict))
