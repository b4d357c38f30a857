"""Calls that are made to judge an answer: each is tagged ``judge`` and counted, whoever's code makes it.

A scorer is user code: it may call a client of this package without knowing that it is scoring. What it spends must be
found in the log and in the comparison's figures all the same, so the client looks here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._runs.run import Run

__all__ = ["JUDGE_TAG", "NoCalls", "judging", "note_call"]

JUDGE_TAG = "judge"
"""The tag of a judge's run: the name of the score that it was made for."""
_CURRENT: ContextVar[tuple[str, list[Run]] | None] = ContextVar("bifrost_nb_judging", default=None)


class NoCalls(list["Run"]):
    """Stands where the runs of a judge are collected: a call is refused before it is sent, and remembered."""

    asked = False

    def append(self, run: Run) -> None:
        self.asked = True
        raise RuntimeError("This scorer may ask no model now.")


@contextmanager
def judging(name: str, runs: list[Run]) -> Iterator[None]:
    """Within it, each call that this thread or task prepares is tagged `name` and its run added to `runs`."""
    token = _CURRENT.set((name, runs))
    try:
        yield
    finally:
        _CURRENT.reset(token)


def note_call(run: Run) -> None:
    """Tag and collect the run of a call, if it is made to judge an answer."""
    if (current := _CURRENT.get()) is not None:
        name, runs = current
        run.tags.setdefault(JUDGE_TAG, name)
        runs.append(run)
