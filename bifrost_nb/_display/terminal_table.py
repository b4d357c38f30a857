"""Tables in plain text: figures below each other, parts that fit the terminal, long names without their middle."""

from __future__ import annotations

from collections.abc import Collection, Sequence

__all__ = ["shortened", "table_lines"]


def table_lines(
    rows: Sequence[Sequence[str]], right: Collection[int], *, width: int | None = None, ruled: bool = False
) -> list[str]:
    """`rows`, the first of which are the headings, in columns; those of the places in `right` end at one edge.

    What is wider than `width` goes on below, behind the same first column, as pandas has it. `ruled`: a line stands
    under the headings.
    """
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    shown = [*rows[:1], ["─" * each for each in widths], *rows[1:]] if ruled else rows

    def cell(row: Sequence[str], place: int) -> str:
        return row[place].rjust(widths[place]) if place in right else row[place].ljust(widths[place])

    lines: list[str] = []
    for places in _that_fit(widths, width):
        lines += [""] if lines else []
        lines += ["  ".join(cell(row, place) for place in places).rstrip() for row in shown]
    return lines


def _that_fit(widths: Sequence[int], width: int | None) -> list[list[int]]:
    """The places of columns that stand beside each other, each time behind the first."""
    parts = [[0]]
    for place in range(1, len(widths)):
        taken = sum(widths[each] + 2 for each in parts[-1])
        if width is not None and taken + widths[place] > width and len(parts[-1]) > 1:
            parts.append([0])
        parts[-1].append(place)
    return parts


def shortened(name: str, most: int) -> str:
    """`name` of at most `most` signs, without its middle where it is longer: names differ at their ends."""
    return name if len(name) <= most else f"{name[: most // 2]}…{name[len(name) - (most - 1) // 2 :]}"
