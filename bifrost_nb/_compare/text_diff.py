"""Reading answers side by side: equal ones folded with a count, two of them as a word diff, unlike ones each alone."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from .._display.html import text as safe
from .._safe_text import plain
from .groups import By, names

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TextDiff", "folded", "text_diff"]

_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
_MOST_WORDS = 4000
"""Beyond this many words a word diff takes seconds; longer answers are compared line by line."""
_MOST_PAIRS = 3_000_000
"""Of equal words or lines, one of each text: difflib looks at each, over and over, and texts of one line repeated would
take minutes."""
_SHORT = 40
"""Two texts with no more words than this are read at a glance, however they differ."""
_ALIKE = 0.4
"""Texts with less in common are unlike: marked word by word they would be read as neither."""
_FIRST = 160
"""Characters of a folded text that are seen before it is opened."""


def folded(frame: pd.DataFrame, by: By = "variant") -> pd.DataFrame:
    """Every distinct answer once: ``prompt_id``, what `by` says (``variant``), ``response``, ``count``, ``share``.

    `share` is of its answers to that prompt; the most frequent answer comes first. Runs without an answer are left out.
    """
    answered = frame.assign(**{by: names(frame, by)})
    answered = answered[frame["response"].notna() & (frame["status"] == "ok").fillna(value=False)]
    keys = ["prompt_id", by]
    table = answered.groupby([*keys, "response"], sort=False, dropna=False).size().rename("count").reset_index()
    table["count"] = table["count"].astype("Int64")
    totals = table.groupby(keys, sort=False, dropna=False)["count"].transform("sum")
    table["share"] = (table["count"] / totals).astype("Float64")
    pairs = list(zip(table["prompt_id"], table[by], strict=True))
    places = {key: place for place, key in enumerate(dict.fromkeys(pairs))}
    place = [places[key] for key in pairs]
    table = table.assign(_place=place).sort_values(["_place", "count"], ascending=[True, False], kind="stable")
    return table.drop(columns="_place").reset_index(drop=True)


Kind = Literal["same", "removed", "added"]


@dataclass(frozen=True)
class TextDiff:
    """What to change in `a` to get `b`. Text marks ``[-removed-]`` and ``{+added+}``, HTML strikes and underlines.

    Of texts that have little in common (`unlike`) the whole of `a` is removed and the whole of `b` added, and HTML
    folds each. `title` stands above both.
    """

    a: str
    b: str
    title: str = ""

    @cached_property
    def similarity(self) -> float:
        """From 0 (nothing in common) to 1 (equal), by words; the blanks between them do not count."""
        a, b = self._units()
        a, b = ([one for one in side if not one.isspace()] for side in (a, b))
        same = sum(end - start for kind, start, end, *_ in _opcodes(a, b) if kind == "equal")
        return 2 * same / (len(a) + len(b)) if a or b else 1.0

    @property
    def unlike(self) -> bool:
        """Whether so little is common to both that marked words would not help: less than two in five."""
        words = max(len(self.a.split()), len(self.b.split()))
        return bool(self.a and self.b) and words > _SHORT and self.similarity < _ALIKE

    def _units(self) -> tuple[list[str], list[str]]:
        """Both texts in words, or in lines where they are long."""
        a, b = _WORDS.findall(self.a), _WORDS.findall(self.b)
        if len(a) + len(b) > _MOST_WORDS:
            a, b = self.a.splitlines(keepends=True), self.b.splitlines(keepends=True)
        return a, b

    def parts(self) -> Iterator[tuple[Kind, str]]:
        """The texts in order, each ``same``, ``removed`` (only in a) or ``added`` (only in b).

        For example:

            "".join(text for kind, text in changes.parts() if kind != "removed") == changes.b
        """
        if self.unlike:
            yield "removed", self.a
            yield "added", self.b
            return
        a, b = self._units()
        for kind, start, end, other, last in _opcodes(a, b):
            if kind == "equal":
                yield "same", "".join(a[start:end])
                continue
            if end > start:
                yield "removed", "".join(a[start:end])
            if last > other:
                yield "added", "".join(b[other:last])

    def __str__(self) -> str:
        marks = {"same": "{}", "removed": "[-{}-]", "added": "{{+{}+}}"}
        between = "\n" if self.unlike else ""
        shown = between.join(marks[kind].format(plain(text)) for kind, text in self.parts())
        return shown.encode("utf-8", "replace").decode()  # half characters cannot be printed or sent

    def __repr__(self) -> str:
        head = "\n".join(plain(line) for line in (self.title, self._said()) if line)
        return f"{head}\n{self}" if head else str(self)

    def _said(self) -> str:
        return f"Unlike: {self.similarity:.0%} of the words are common to both." if self.unlike else ""

    def _repr_html_(self) -> str:
        tags = {
            "same": "<span>{}</span>",
            "removed": '<del style="background:rgba(213,94,0,0.25)">{}</del>',
            "added": '<ins style="background:rgba(0,114,178,0.25)">{}</ins>',
        }
        wrap = "white-space:pre-wrap;overflow-wrap:anywhere"
        head = f"<div><b>{safe(self.title)}</b></div>" if self.title else ""
        if self.unlike:
            folds = "".join(_fold(tags[kind], text, wrap) for kind, text in self.parts())
            return f"<div>{head}<div>{safe(self._said())}</div>{folds}</div>"
        text = "".join(tags[kind].format(safe(text)) for kind, text in self.parts())
        return f'<div>{head}<div style="{wrap}">{text}</div></div>'


def _opcodes(a: list[str], b: list[str]) -> list[tuple[str, int, int, int, int]]:
    """As difflib's `get_opcodes`; what repeats itself too often between its equal ends is one replacement."""
    first = next((at for at, (one, other) in enumerate(zip(a, b, strict=False)) if one != other), min(len(a), len(b)))
    rest = list(zip(reversed(a[first:]), reversed(b[first:]), strict=False))
    last = next((at for at, (one, other) in enumerate(rest) if one != other), len(rest))
    middle_a, middle_b = a[first : len(a) - last], b[first : len(b) - last]
    of_b = Counter(middle_b)
    if sum(count * of_b[unit] for unit, count in Counter(middle_a).items()) <= _MOST_PAIRS:
        found = difflib.SequenceMatcher(None, middle_a, middle_b, autojunk=False).get_opcodes()
    else:
        found = [("replace", 0, len(middle_a), 0, len(middle_b))]
    middle = [(kind, first + i, first + j, first + k, first + m) for kind, i, j, k, m in found]
    ends = ("equal", 0, first, 0, first), ("equal", len(a) - last, len(a), len(b) - last, len(b))
    return [one for one in (ends[0], *middle, ends[1]) if one[2] > one[1] or one[4] > one[3]]


def text_diff(a: str, b: str, title: str = "") -> TextDiff:
    """The word diff from `a` to `b`."""
    return TextDiff(a, b, title)


def _fold(tag: str, whole: str, wrap: str) -> str:
    """A text that shows its beginning until it is opened."""
    first = plain(" ".join(whole.split()), _FIRST)
    shown = f'<summary style="overflow-wrap:anywhere">{tag.format(safe(first))}</summary>'
    return f'<details>{shown}<div style="{wrap};padding:2px 0 4px 16px">{safe(whole)}</div></details>'
