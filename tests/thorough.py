"""What `.ci/run` does beside what a plain `pytest` does: one more of a kind that a shorter test shows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def thorough(*cases: Any, ids: list[str] | None = None) -> list[Any]:
    """Cases of a parametrised test, ``["Light", *thorough("Dark")]``, that run only where BIFROST_NB_THOROUGH is set.

    A tuple is the values of one case.
    """
    names: list[str | None] = [*ids] if ids else [None] * len(cases)
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.thorough, id=name)
        for case, name in zip(cases, names, strict=True)
    ]


def some_of(cases: Iterable[Any], each: int = 2) -> list[Any]:
    """The first of each `each` cases as it is; the others run only where BIFROST_NB_THOROUGH is set."""
    return [case if place % each == 0 else thorough(case)[0] for place, case in enumerate(cases)]
