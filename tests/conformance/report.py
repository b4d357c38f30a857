"""What works on which gateway, as the suite saw it: a Markdown table between two markers of RESULTS.md.

Written by ``BIFROST_NB_WRITE_TABLE=1 pytest tests/conformance``. A column of a gateway that is not on this machine, or
a program that BIFROST_NB_GATEWAYS does not name, stays as it was, date
included; so does one of which only a part of the tests ran.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

BEGIN, END = "<!-- conformance:begin -->", "<!-- conformance:end -->"
_BREAK = "<br>"


class Cell(NamedTuple):
    """One feature on one gateway."""

    sign: str
    limits: list[str]
    """Its notes, in words."""


Column = dict[str, Cell]
"""By feature."""


class Report:
    """Outcomes by feature and gateway. Features stand in the order in which they were first tested."""

    def __init__(self, gateways: list[str]) -> None:
        self._gateways = gateways
        self._outcomes: dict[str, dict[str, list[str]]] = {}
        self._limits: dict[tuple[str, str], list[str]] = {}
        self._lost: set[tuple[str, str]] = set()

    def enter(self, feature: str, gateway: str, outcome: str) -> None:
        """One test's outcome: passed, failed or skipped."""
        self._outcomes.setdefault(feature, {}).setdefault(gateway, []).append(outcome)

    def limit(self, feature: str, gateway: str, words: str, *, lost: bool) -> None:
        """A part of a feature that this gateway cannot do, or all of it (`lost`), as a test has shown."""
        if lost:
            self._lost.add((feature, gateway))
        limits = self._limits.setdefault((feature, gateway), [])
        if words not in limits:
            limits.append(words)

    def write(self, path: Path) -> None:
        """Replace what stands between the markers. Raises ValueError for a run that proves nothing."""
        ran = {name for row in self._outcomes.values() for name, found in row.items() if {*found} != {"skipped"}}
        bad = [(f, g) for f, row in self._outcomes.items() for g in ran & {*row} if {*row[g]} != {"passed"}]
        if bad:
            raise ValueError(f"The table is written when all tests pass, and these did not: {bad}.")
        text = path.read_text()
        head, begin, rest = text.partition(BEGIN)
        old, end, tail = rest.partition(END)
        if not (begin and end):
            raise ValueError(f"{path} lacks the lines {BEGIN} and {END}.")
        columns = read_table(old)
        today = f"{datetime.now(UTC):%Y-%m-%d}"
        for gateway in ran:
            column = self._column(gateway)
            before = [title for title in columns if title.partition(_BREAK)[0] == gateway]
            if any(columns[title].keys() - column.keys() for title in before):
                continue  # a part of the tests, as with -k: what it does not tell would be lost
            for title in before:
                del columns[title]
            columns[f"{gateway}{_BREAK}{today}"] = column
        if gone := {*self._gateways} - {title.partition(_BREAK)[0] for title in columns}:
            raise ValueError(f"The table needs every gateway; neither run nor in it: {', '.join(sorted(gone))}.")
        features = list(dict.fromkeys([*self._outcomes, *(name for column in columns.values() for name in column)]))
        ordered = dict(sorted(columns.items(), key=lambda item: self._place(item[0])))
        path.write_text(f"{head}{BEGIN}\n{table(features, ordered)}{END}{tail}")

    def _column(self, gateway: str) -> Column:
        return {
            feature: Cell("✗" if (feature, gateway) in self._lost else "✓", self._limits.get((feature, gateway), []))
            for feature, row in self._outcomes.items()
            if gateway in row
        }

    def _place(self, title: str) -> tuple[int, list[int]]:
        """Gateway programs first, by version; then the others in their order."""
        name = title.partition(_BREAK)[0]
        if name in self._gateways:
            return 1 + self._gateways.index(name), []
        return 0, [int(number) for number in re.findall(r"\d+", name)]


def table(features: list[str], columns: dict[str, Column]) -> str:
    """The table, with its limits as numbered notes below."""
    notes: dict[str, int] = {}
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for feature in features:
        cells = []
        for column in columns.values():
            cell = column.get(feature, Cell("–", []))
            numbers = [str(notes.setdefault(words, len(notes) + 1)) for words in cell.limits]
            cells.append(cell.sign + (f" <sup>{' '.join(numbers)}</sup>" if numbers else ""))
        lines.append(f"| {feature} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *(f"{number}. {words}" for words, number in notes.items())]).rstrip() + "\n"


def read_table(text: str) -> dict[str, Column]:
    """What `table` wrote: each column by its title, and its cells by feature, without those that say nothing."""
    lines = [line for line in text.splitlines() if line]
    rows = [[cell.strip() for cell in line.strip("|").split(" |")] for line in takewhile(lambda x: x[0] == "|", lines)]
    notes = dict(re.findall(r"^(\d+)\. (.*)$", text, re.MULTILINE))
    titles = rows[0][1:] if rows else []
    columns: dict[str, Column] = {title: {} for title in titles}
    for feature, *cells in rows[2:]:
        for title, cell in zip(titles, cells, strict=True):
            if cell != "–":
                columns[title][feature] = Cell(cell[0], [notes[number] for number in re.findall(r"\d+", cell)])
    return columns
