"""What two sides of a difference do not share, so that it may be of that and not of who was asked: who failed more
often, and other parameters at another time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import orjson

from .._safe_text import plain
from .row_parameters import BY_ROW

if TYPE_CHECKING:
    import pandas as pd

    from .difference import Difference
    from .groups import Labels

__all__ = ["Asked", "asked_of", "other_parameters", "unlike"]

MANY = 0.05
"""Who fails so much more often is told, and of scores who fails in a larger share than the nearer end of the interval:
counted as wrong, these would leave nothing of it."""
_ALIKE = (*BY_ROW, "stream", "user", "metadata", "seed", "timeout", "retries", "batch_id")
"""Parameters that rows have their own of, or that change no answer by design."""
_SHOWN = 3


class Asked(NamedTuple):
    """How one side was asked: how many runs, how many of them failed, in which sweeps, with which parameters."""

    runs: int
    failed: int
    sweeps: frozenset[str]
    parameters: Mapping[str, frozenset[str]]
    """Each parameter's values as text; an empty one where a run did not set it."""
    prompts: pd.DataFrame
    """Input, template and prompt of each run."""


def asked_of(runs: pd.DataFrame, labels: Labels) -> Asked:
    """How `runs` were asked. What a person or a budget stopped has not failed."""
    import pandas as pd

    sweeps = labels.sweeps[runs.index]
    prompts = {
        "input": labels.inputs,
        "template": labels.names("template").fillna(""),
        "prompt": labels.frame.get("prompt"),
    }
    failed = int((~runs["status"].isin(["ok", "cancelled"])).sum())
    given = [_parsed(text) for text in (runs["params"].dropna().unique() if "params" in runs else ())]
    names = {name for one in given for name in one}
    values = {name: frozenset(one.get(name, "") for one in given) for name in sorted(names)}
    table = pd.DataFrame({name: None if column is None else column[runs.index] for name, column in prompts.items()},
                         index=runs.index)  # fmt: skip
    return Asked(len(runs), failed, frozenset(map(str, sweeps.unique())), values, table)


def unlike(found: Difference, a: Asked, b: Asked) -> tuple[str, ...]:
    """What is to be said of it beside the verdict of `found`."""
    return (*_failing(found, a, b), *_asked_apart(found, a, b))


def _failing(found: Difference, a: Asked, b: Asked) -> Iterator[str]:
    if found.outcome not in ("a", "b", "equal") or not a.runs or not b.runs:
        return
    sides = [(found.a, a), (found.b, b)]
    if found.outcome == "b" or (found.outcome == "equal" and a.failed / a.runs < b.failed / b.runs):
        sides.reverse()
    (name, more), (other, less) = sides
    nearest = found.margin if found.outcome == "equal" else min(abs(found.low), abs(found.high))
    if more.failed / more.runs - less.failed / less.runs > (min(MANY, nearest) if found.points else MANY):
        yield (
            f"{name} did not answer {more.failed:,} of {more.runs:,} runs, {other} {less.failed:,} of {less.runs:,}:"
            " what failed does not count here, and is often what is hard"
        )


def _asked_apart(found: Difference, a: Asked, b: Asked) -> Iterator[str]:
    if a.sweeps == b.sweeps or found.outcome == "refused":
        return
    yield from other_parameters(found.a, a, found.b, b)
    if count := _reworded(a, b):
        yield f"They were asked apart, and {count:,} {'input' if count == 1 else 'inputs'} in other words"


def other_parameters(name_a: str, a: Asked, name_b: str, b: Asked) -> Iterator[str]:
    """In one sweep variants may have parameters of their own; of several it may be another day's setting."""
    if a.sweeps == b.sweeps:
        return
    none = frozenset([""])
    names = [
        name
        for name in {**a.parameters, **b.parameters}
        if a.parameters.get(name, none) != b.parameters.get(name, none)
    ]
    if names:
        left, right = ([f"{plain(name, 40)} {_said(side.parameters.get(name, none))}" for name in names[:_SHOWN]]
                       for side in (a, b))  # fmt: skip
        yield (
            f"They were asked apart and with other parameters: {name_a} with {', '.join(left)}, {name_b} with"
            f" {', '.join(right)}"
        )


def _reworded(a: Asked, b: Asked) -> int:
    """Of how many inputs the prompts of one template, or of none, differ."""
    keys = ["input", "template"]
    left, right = (side.prompts.dropna().groupby(keys)["prompt"].agg(frozenset) for side in (a, b))
    both = left.index.intersection(right.index)
    return int((left[both] != right[both]).groupby(level="input").any().sum()) if len(both) else 0


def _said(values: frozenset[str]) -> str:
    return " or ".join(plain(one, 40) if one else "not set" for one in sorted(values)[:_SHOWN])


def _parsed(text: str) -> dict[str, str]:
    try:
        given = orjson.loads(text)
    except (orjson.JSONDecodeError, TypeError):  # a frame of somebody's own
        return {}
    if not isinstance(given, dict):
        return {}
    return {name: orjson.dumps(value).decode() for name, value in given.items() if name not in _ALIKE}
