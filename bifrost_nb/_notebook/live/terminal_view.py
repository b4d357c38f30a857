"""The live view where there is only a stream of text: terminal IPython and plain Python.

One answer is written as it arrives. Several would mix, so each is written whole when it has ended. Nothing is ever
overwritten: no carriage returns, no escape sequences, so that a log file of it reads well.
"""

from __future__ import annotations

import sys
from typing import TextIO

from ..._display.describe import error_text, line, notes_text
from ..._display.run import asked_pictures_text, beside_first
from .race import Race, RaceColumn

__all__ = ["Terminal"]


class Terminal:
    """Writes a race to `out` (default: the standard output of the moment)."""

    def __init__(self, race: Race, out: TextIO | None = None) -> None:
        self.race = race
        self._out = out
        self._headed: set[int] = set()
        self._written: set[int] = set()
        self._at_line_start = True

    def open(self) -> None:
        """Say what was asked, before anything has come."""
        if self.race.title:
            self._write(self.race.title + "\n")
        if len(self.race.columns) > 1:
            self._write(f"{len(self.race.columns)} deployments; each answer follows when it is complete.\n")

    def update(self, final: bool = False) -> None:
        """Write what is new."""
        for index, column in enumerate(self.race.columns):
            if len(self.race.columns) == 1:
                self._follow(index, column, final)
            elif index not in self._written and (final or (column.ended and column.run.cost_usd is not None)):
                self._follow(index, column, True)

    def _follow(self, index: int, column: RaceColumn, final: bool) -> None:
        facts = column.facts(self.race.elapsed_s)
        if index not in self._headed and (column.run.served or column.characters or final):
            self._headed.add(index)
            blank = "\n" if len(self.race.columns) > 1 else ""
            self._write(f"{blank}{facts.asked} · {facts.served}\n")
            if pictures := asked_pictures_text(column.run):
                self._write(f"{pictures}\n")
        if index in self._headed and (text := column.take()):
            self._write(text)
        if final and index not in self._written:
            self._written.add(index)
            if not self._at_line_start:
                self._write("\n")
            run = column.so_far
            told = (beside_first(run), line(run), error_text(run), notes_text(run))
            self._write("\n".join(part for part in told if part) + "\n")

    def _write(self, text: str) -> None:
        out = self._out or sys.stdout
        # What the terminal's encoding cannot show must not end the cell.
        encoding = getattr(out, "encoding", None) or "utf-8"
        out.write(text.encode(encoding, "replace").decode(encoding))
        out.flush()
        self._at_line_start = text.endswith("\n")
