"""Reading answers side by side: equal ones folded with a count, two of them as a word diff."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .._display.html import text as safe
from .._safe_text import plain

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TextDiff", "folded", "text_diff"]

_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
_MOST_WORDS = 4000
"""Beyond this many words a word diff takes seconds; longer answers are compared line by line."""


def folded(frame: pd.DataFrame) -> pd.DataFrame:
    """Every distinct answer once: ``prompt_id``, ``variant``, ``response``, ``count``, ``share``.

    `share` is of the variant's answers to that prompt; the most frequent answer comes first. `frame` has a
    ``variant`` column beside those of all frames. Runs without an answer are left out.
    """
    answered = frame[frame["response"].notna() & (frame["status"] == "ok").fillna(value=False)]
    keys = ["prompt_id", "variant"]
    table = answered.groupby([*keys, "response"], sort=False, dropna=False).size().rename("count").reset_index()
    table["count"] = table["count"].astype("Int64")
    totals = table.groupby(keys, sort=False, dropna=False)["count"].transform("sum")
    table["share"] = (table["count"] / totals).astype("Float64")
    places = {key: place for place, key in enumerate(zip(table["prompt_id"], table["variant"], strict=True))}
    place = [places[key] for key in zip(table["prompt_id"], table["variant"], strict=True)]
    table = table.assign(_place=place).sort_values(["_place", "count"], ascending=[True, False], kind="stable")
    return table.drop(columns="_place").reset_index(drop=True)


Kind = Literal["same", "removed", "added"]


@dataclass(frozen=True, slots=True)
class TextDiff:
    """What to change in `a` to get `b`. Text marks ``[-removed-]`` and ``{+added+}``, HTML strikes and underlines."""

    a: str
    b: str
    title: str = ""

    @property
    def similarity(self) -> float:
        """From 0 (nothing in common) to 1 (equal), by words."""
        return difflib.SequenceMatcher(None, _pieces(self.a), _pieces(self.b), autojunk=False).ratio()

    def parts(self) -> Iterator[tuple[Kind, str]]:
        """The texts in order, each ``same``, ``removed`` (only in a) or ``added`` (only in b)."""
        a, b = _pieces(self.a), _pieces(self.b)
        if len(a) + len(b) > _MOST_WORDS:
            a, b = self.a.splitlines(keepends=True), self.b.splitlines(keepends=True)
        for kind, start, end, other, last in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
            if kind == "equal":
                yield "same", "".join(a[start:end])
                continue
            if end > start:
                yield "removed", "".join(a[start:end])
            if last > other:
                yield "added", "".join(b[other:last])

    def __str__(self) -> str:
        marks = {"same": "{}", "removed": "[-{}-]", "added": "{{+{}+}}"}
        shown = "".join(marks[kind].format(plain(text)) for kind, text in self.parts())
        return shown.encode("utf-8", "replace").decode()  # half characters cannot be printed or sent

    def __repr__(self) -> str:
        return f"{plain(self.title)}\n{self}" if self.title else str(self)

    def _repr_html_(self) -> str:
        tags = {
            "same": "<span>{}</span>",
            "removed": '<del style="background:rgba(213,94,0,0.25)">{}</del>',
            "added": '<ins style="background:rgba(0,114,178,0.25)">{}</ins>',
        }
        text = "".join(tags[kind].format(safe(text)) for kind, text in self.parts())
        head = f"<div><b>{safe(self.title)}</b></div>" if self.title else ""
        return f'<div>{head}<div style="white-space:pre-wrap;overflow-wrap:anywhere">{text}</div></div>'


def text_diff(a: str, b: str, title: str = "") -> TextDiff:
    """The word diff from `a` to `b`."""
    return TextDiff(a, b, title)


def _pieces(text: str) -> list[str]:
    return _WORDS.findall(text)
