"""What works on which gateway, as the suite saw it: a Markdown table between two markers of RESULTS.md.

Written by ``BIFROST_NB_WRITE_TABLE=1 pytest tests/conformance``.
"""

from __future__ import annotations

from pathlib import Path

BEGIN, END = "<!-- conformance:begin -->", "<!-- conformance:end -->"


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

    def markdown(self) -> str:
        """The table, with its limits as notes below."""
        notes: dict[str, int] = {}
        lines = [
            "| | " + " | ".join(self._gateways) + " |",
            "|---" * (len(self._gateways) + 1) + "|",
        ]
        for feature, outcomes in self._outcomes.items():
            cells = (self._cell(feature, gateway, outcomes.get(gateway, []), notes) for gateway in self._gateways)
            lines.append(f"| {feature} | " + " | ".join(cells) + " |")
        return "\n".join([*lines, "", *(f"{number}. {words}" for words, number in notes.items())]).rstrip() + "\n"

    def write(self, path: Path) -> None:
        """Replace what stands between the markers. Raises ValueError for a run that proves nothing."""
        seen = {gateway for outcomes in self._outcomes.values() for gateway in outcomes}
        if gone := [gateway for gateway in self._gateways if gateway not in seen]:
            raise ValueError(f"The table needs every gateway; not run: {', '.join(gone)}.")
        bad = [(f, g) for f, row in self._outcomes.items() for g, found in row.items() if {*found} != {"passed"}]
        if bad:
            raise ValueError(f"The table is written when all tests pass, and these did not: {bad}.")
        text = path.read_text()
        head, begin, rest = text.partition(BEGIN)
        _, end, tail = rest.partition(END)
        if not (begin and end):
            raise ValueError(f"{path} lacks the lines {BEGIN} and {END}.")
        path.write_text(f"{head}{BEGIN}\n{self.markdown()}{END}{tail}")

    def _cell(self, feature: str, gateway: str, outcomes: list[str], notes: dict[str, int]) -> str:
        if not outcomes:
            return "–"
        numbers = [str(notes.setdefault(words, len(notes) + 1)) for words in self._limits.get((feature, gateway), [])]
        return ("✗" if (feature, gateway) in self._lost else "✓") + (
            f" <sup>{' '.join(numbers)}</sup>" if numbers else ""
        )
