"""What a person looking through a large comparison sees, as plain Python: no widget, no HTML page, no clock.

Prompts go down, deployments across; equal answers of repeats are folded with a count. Only `Grid.page` crosses to a
browser, so 10,000 runs cost what twenty rows cost.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import median
from typing import TYPE_CHECKING, Any

from ..._display.describe import duration, error_text, usd
from ..._runs.run import Run
from ..._safe_text import plain
from ...errors import ConfigurationError

if TYPE_CHECKING:
    from ..._runs.log.log import RunLog

__all__ = ["FILTERS", "PAGE", "SORTS", "Box", "Grid", "GridAnswer", "Row"]

PAGE = 20
_ENDS = {None: "in flight", "error": "failed", "timeout": "timed out", "truncated": "cut off"}
PREVIEW = 220
SHARE = 0.1
"""The slowest and the dearest are this part of the prompts, at least one."""


@dataclass(frozen=True, slots=True, eq=False)
class GridAnswer:
    """One distinct outcome of a prompt and a deployment: a text, or a failure. `runs` all gave it."""

    text: str | None
    """None for a failure."""
    runs: list[Run]


class Box:
    """A prompt's runs at one deployment."""

    def __init__(self) -> None:
        self.runs: list[Run] = []

    @cached_property
    def answers(self) -> list[GridAnswer]:
        """Every distinct answer, the most frequent first; then every distinct failure."""
        texts: dict[str, list[Run]] = {}
        failures: dict[str, list[Run]] = {}
        for run in self.runs:
            if run.status == "ok":
                texts.setdefault(run.text.strip(), []).append(run)
            else:
                failures.setdefault(f"{run.status}: {error_text(run)}", []).append(run)
        ordered = sorted(texts.items(), key=lambda item: -len(item[1]))
        return [GridAnswer(text, runs) for text, runs in ordered] + [
            GridAnswer(None, runs) for runs in failures.values()
        ]

    @property
    def failed(self) -> int:
        """How many runs gave no answer."""
        return sum(run.status != "ok" for run in self.runs)

    @property
    def top(self) -> str | None:
        """The most frequent answer, None where there is none."""
        return self.answers[0].text if self.answers else None


@dataclass(slots=True, eq=False)
class Row:
    """One prompt."""

    prompt_id: str
    prompt: str
    place: int
    boxes: dict[str, Box] = field(default_factory=dict)

    @property
    def runs(self) -> list[Run]:
        """All runs of the prompt."""
        return [run for box in self.boxes.values() for run in box.runs]

    def failed(self) -> int:
        """How many runs gave no answer."""
        return sum(box.failed for box in self.boxes.values())

    def distinct(self) -> int:
        """How many different answers were given, over all deployments."""
        return len({answer.text for box in self.boxes.values() for answer in box.answers if answer.text is not None})

    def slowest_ms(self) -> float:
        """The longest time of a run that did not come from a cache; -1 where none is known."""
        return max((run.total_ms for run in self.runs if run.total_ms is not None and not run.cache_hit), default=-1.0)

    def cost_usd(self) -> float:
        """What all runs together are known to have cost; -1 where none is known."""
        known = [run.cost_usd for run in self.runs if run.cost_usd is not None]
        return sum(known) if known else -1.0


FILTERS = {
    "all": "all prompts",
    "errors": "with errors",
    "different": "answers differ",
    "slowest": "slowest tenth",
    "dearest": "dearest tenth",
}
SORTS: dict[str, tuple[str, Callable[[Row], Any]]] = {
    "order": ("in order", lambda row: row.place),
    "prompt": ("prompt, A to Z", lambda row: row.prompt.casefold()),
    "slowest": ("slowest first", lambda row: -row.slowest_ms()),
    "dearest": ("dearest first", lambda row: -row.cost_usd()),
    "errors": ("most errors first", lambda row: -row.failed()),
    "different": ("most different answers first", lambda row: -row.distinct()),
}
"""name -> (words, key). Equal ones stay in order."""
_DIFFER: dict[str, Callable[[Row], bool]] = {
    "all": lambda row: True,
    "errors": lambda row: row.failed() > 0,
    "different": lambda row: row.distinct() > 1,
}


class Grid:
    """A comparison's answers with a filter, an order and a page. `runs` are (deployment's name, run) pairs.

    `log` is where ratings and notes go; None keeps them on the runs alone.
    """

    def __init__(self, runs: Iterable[tuple[str, Run]], log: RunLog | None = None) -> None:
        self.log = log
        self.deployments: list[str] = []
        self.rows: list[Row] = []
        known: dict[str, Row] = {}
        for name, run in runs:
            key = run.prompt_id or run.prompt or ""
            if key not in known:
                known[key] = Row(key, run.prompt or "", len(self.rows))
                self.rows.append(known[key])
            if name not in self.deployments:
                self.deployments.append(name)
            known[key].boxes.setdefault(name, Box()).runs.append(run)
        self.filter, self.sort, self.number, self.size = "all", "order", 0, PAGE
        self._shown: list[Row] = self.rows

    @property
    def shown(self) -> list[Row]:
        """The rows that pass the filter, in order, on all pages."""
        return self._shown

    @property
    def pages(self) -> int:
        """How many pages there are; one where nothing is shown."""
        return max(1, math.ceil(len(self._shown) / self.size))

    def show(self, filter: str | None = None, sort: str | None = None, page: int | None = None) -> None:
        """Choose what is shown: a filter of `FILTERS`, an order of `SORTS`, a page from 0. Others stay as they are.

        A page beyond the end is the last one. Raises ConfigurationError.
        """
        for name, value, choices in (("filter", filter, FILTERS), ("sort", sort, SORTS)):
            if value is not None and value not in choices:
                raise ConfigurationError(f"{name} must be one of {', '.join(choices)}, not {value!r}.")
        if filter is not None or sort is not None:
            self.filter, self.sort = filter or self.filter, sort or self.sort
            self._shown = sorted(self._filtered(), key=SORTS[self.sort][1])
            self.number = 0
        if page is not None:
            self.number = min(max(0, page), self.pages - 1)

    def _filtered(self) -> Sequence[Row]:
        if self.filter in _DIFFER:
            return [row for row in self.rows if _DIFFER[self.filter](row)]
        size: Callable[[Row], float] = Row.slowest_ms if self.filter == "slowest" else Row.cost_usd
        ranked = sorted((row for row in self.rows if size(row) >= 0), key=size, reverse=True)
        return ranked[: math.ceil(SHARE * len(self.rows))]

    def page(self) -> dict[str, Any]:
        """The visible page as JSON values, texts cut to a preview and safe as plain text."""
        begin = self.number * self.size
        rows = self._shown[begin : begin + self.size]
        return {
            "filter": self.filter,
            "sort": self.sort,
            "page": self.number,
            "pages": self.pages,
            "said": self.said(),
            "rows": [
                {
                    "row": row.place,
                    "prompt": cut(row.prompt),
                    "cells": [_cell(row.boxes.get(name)) for name in self.deployments],
                }
                for row in rows
            ],
        }

    def said(self) -> str:
        """What is shown, in words."""
        begin, count = self.number * self.size, len(self._shown)
        if not count:
            return f"no prompt of {len(self.rows):,} ({FILTERS[self.filter]})"
        shown = f"{begin + 1:,} to {min(begin + self.size, count):,} of {count:,} prompts"
        return shown if self.filter == "all" else f"{shown} ({FILTERS[self.filter]}, {len(self.rows):,} in all)"

    def answer(self, row: int, deployment: int, answer: int) -> GridAnswer:
        """An answer by its place: the row's in the comparison, the deployment's, the answer's in its box.

        Raises IndexError.
        """
        box = self.rows[row].boxes.get(self.deployments[deployment])
        if box is None or min(row, deployment, answer) < 0:
            raise IndexError(answer)
        return box.answers[answer]

    def rate(self, answer: GridAnswer, rating: str | None = None, note: str | None = None) -> None:
        """Record a rating (``up``, ``down``) or a note of an answer, on all runs that gave it.

        A note is the tag ``note``. Raises LogError where the log cannot be written.
        """
        for run in answer.runs:
            if rating is not None:
                run.rating = rating
            if note is not None:
                run.tags = {**run.tags, "note": note}
            if self.log is not None:
                self.log.update(run.run_id, rating=rating, tags=run.tags if note is not None else None)


def cut(text: str, length: int = PREVIEW) -> str:
    """The beginning of `text`, safe as plain text and sendable."""
    return plain(text, length).encode("utf-8", "replace").decode()


def _cell(box: Box | None) -> dict[str, Any]:
    if box is None or not box.runs:
        return {"text": "", "said": "not sent", "state": "none"}
    top, count = box.answers[0], len(box.runs)
    said = [_times(box)] if count > 1 else []
    if box.failed:
        ends = Counter(_ENDS.get(run.status, str(run.status)) for run in box.runs if run.status != "ok")
        said.append(", ".join(f"{number} {status}" if count > 1 else status for status, number in ends.items()))
    times = [run.total_ms for run in box.runs if run.total_ms is not None]
    if times:
        said.append(f"median {duration(median(times))}" if count > 1 else duration(times[0]))
    costs = [run.cost_usd for run in box.runs if run.cost_usd is not None]
    said.append(f"{usd(sum(costs))}{' in all' if len(costs) > 1 else ''}" if costs else "cost unknown")
    if any(run.is_fallback for run in box.runs):
        said.append("by fallback")
    if rating := next((run.rating for run in top.runs if run.rating), None):
        said.append(f"rated {plain(rating, 20)}")
    failed = top.text is None
    text = error_text(top.runs[0]) or str(top.runs[0].status) if failed else top.text or "(the answer is empty)"
    return {
        "text": cut(text),
        "said": " · ".join(said),
        "state": "failed" if failed else "mixed" if box.failed else "ok",
    }


def _times(box: Box) -> str:
    """How the repeats fold: ``3 of 5 alike``, ``all 5 alike``, ``5 different``."""
    texts = [answer for answer in box.answers if answer.text is not None]
    if not texts:
        return f"{len(box.runs)} runs"
    most, count = len(texts[0].runs), len(box.runs)
    if most == count:
        return f"all {count} alike"
    if most == 1 and len(texts) > 1:
        return f"{len(texts)} different"
    return f"{most} of {count} alike"
