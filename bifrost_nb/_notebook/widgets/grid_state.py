"""What a person looking through a large comparison sees, as plain Python: no widget, no HTML page, no clock.

Rows of inputs go down, variants across; equal answers of repeats are folded with a count. Only `Grid.page` crosses to
a browser, so 10,000 runs cost what twenty rows cost.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from ..._display.describe import duration, error_text, usd
from ..._display.markdown import to_html
from ..._display.media import media_text, media_urls, small_urls
from ..._display.run import called
from ..._prompts.shown_value import shown_value
from ..._runs.run import Run
from ..._safe_text import plain, quoted
from ...errors import ConfigurationError
from .grid_rows import Box, Context, GridAnswer, Row
from .grid_scores import badges, cut, middle, score_filters, score_sorts, score_tests

if TYPE_CHECKING:
    from ..._runs.log.log import RunLog

__all__ = ["FILTERS", "PAGE", "SORTS", "Grid"]

PAGE = 20
CELL_SIDE, CELL_PICTURES = 320, 4
"""Pixels of a picture in the table, and how many a cell shows; all are in the opened answer."""
CELL_SOUND = 1_000_000
"""Characters of a sound that was asked about, as a ``data:`` URL; a longer one is in the opened answer alone."""
_ENDS = {None: "in flight", "error": "failed", "timeout": "timed out", "truncated": "cut off"}
SHARE = 0.1
"""The slowest and the dearest are this part of the prompts, at least one."""
CHOICES = 60
"""An input column with more distinct values is searched rather than chosen from."""

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
    """A comparison's answers with a search, filters, an order and a page. `runs` are (variant's name, run) pairs.

    `log` is where ratings and notes go; None keeps them on the runs alone. `known` has inputs and scores by run id
    (`contexts`).
    """

    def __init__(
        self,
        runs: Iterable[tuple[str, Run]],
        log: RunLog | None = None,
        known: Mapping[str, Context] | None = None,
    ) -> None:
        self.log = log
        self.deployments: list[str] = []
        self.rows: list[Row] = []
        self.scores: list[str] = []
        self._add(runs, known or {})
        self._middles = {score: middle(self.rows, score) for score in self.scores}
        self.filters = {**FILTERS, **score_filters(self._middles)}
        self.sorts = {**SORTS, **score_sorts(self.scores)}
        self.columns = list(range(len(self.deployments)))
        """The places of the variants that are shown, in order."""
        self.filter, self.sort, self.descending, self.number, self.size = "all", "order", False, 0, PAGE
        self.search, self.where, self.rendered = "", ("", ""), False
        self._seen: list[Row] = self.rows
        """`rows` with the chosen variants alone: filters and orders are about what is shown."""
        self._shown: list[Row] = self.rows

    def _add(self, runs: Iterable[tuple[str, Run]], known: Mapping[str, Context]) -> None:
        rows: dict[str, Row] = {}
        for name, run in runs:
            context = known.get(run.run_id)
            key = (context.row if context is not None else None) or str(
                run.tags.get("input") or run.prompt_id or run.prompt or ""
            )
            if key not in rows:
                rows[key] = Row(
                    key,
                    run.prompt or "",
                    len(self.rows),
                    context.inputs if context else {},
                    context.sounds if context else (),
                )
                self.rows.append(rows[key])
            if name not in self.deployments:
                self.deployments.append(name)
            rows[key].boxes.setdefault(name, Box()).add(run, context)
            if context is not None:
                self.scores += [score for score in context.scores if score not in self.scores]

    def choices(self) -> dict[str, list[str]]:
        """Input columns with few distinct values -> those values, in order of appearance."""
        found: dict[str, dict[str, None]] = {}
        for row in self.rows:
            for name, value in row.inputs.items():
                found.setdefault(name, {})[cut(shown_value(value), 80)] = None
        return {name: list(values) for name, values in found.items() if 1 < len(values) <= CHOICES}

    @property
    def shown(self) -> list[Row]:
        """The rows that pass the filter, in order, on all pages."""
        return self._shown

    @property
    def pages(self) -> int:
        """How many pages there are; one where nothing is shown."""
        return max(1, math.ceil(len(self._shown) / self.size))

    def show(
        self,
        filter: str | None = None,
        sort: str | None = None,
        page: int | None = None,
        *,
        search: str | None = None,
        where: tuple[str, str] | None = None,
        columns: Sequence[int] | None = None,
        descending: bool | None = None,
        rendered: bool | None = None,
    ) -> None:
        """Choose what is shown; what is not named stays as it is.

        `filter` is one of `filters`, `sort` one of `sorts` or ``column:<place>`` (that variant's score, or its time
        where nothing was scored), `search` a text in prompts, inputs and answers, `where` an input column and its
        value, `columns` places of variants (filters, orders and search are about these alone), `page` counts from 0;
        one beyond the end is the last one. Raises ConfigurationError.
        """
        sorts = [*self.sorts, *(f"column:{place}" for place in range(len(self.deployments)))]
        for name, value, choices in (("filter", filter, [*self.filters]), ("sort", sort, sorts)):
            if value is not None and not (isinstance(value, str) and value in choices):
                raise ConfigurationError(f"{name} must be one of {', '.join(choices)}, not {quoted(value)}.")
        if search is not None and not isinstance(search, str):
            raise ConfigurationError(f"search must be text, not {quoted(search)}.")
        if columns is not None:
            wanted = [place for place in range(len(self.deployments)) if place in columns]
            self.columns = wanted or self.columns
            names = [self.deployments[place] for place in self.columns]
            self._seen = self.rows if len(names) == len(self.deployments) else [row.of(names) for row in self.rows]
        self.rendered = self.rendered if rendered is None else rendered
        if any(value is not None for value in (filter, sort, search, where, descending, columns)):
            self.filter, self.sort = filter or self.filter, sort or self.sort
            self.descending = self.descending if descending is None else descending
            self.search = self.search if search is None else search
            self.where = self.where if where is None else where
            self._shown = [self.rows[row.place] for row in sorted(self._filtered(), key=self._key())]
            if self.descending:
                self._shown.reverse()
            self.number = 0
        if page is not None:
            self.number = min(max(0, page), self.pages - 1)

    def _key(self) -> Callable[[Row], Any]:
        if not self.sort.startswith("column:"):
            return self.sorts[self.sort][1]
        name = self.deployments[int(self.sort.partition(":")[2])]

        def key(row: Row) -> tuple[bool, float]:
            box = row.boxes.get(name)
            value = None if box is None else box.score(self.scores[0]) if self.scores else _median_ms(box)
            return value is None, value or 0.0

        return key

    def _filtered(self) -> Sequence[Row]:
        return [row for row in self._by_filter() if self._matches(row)]

    def _matches(self, row: Row) -> bool:
        column, value = self.where
        if column and cut(shown_value(row.inputs.get(column, "")), 80) != value:
            return False
        return self.search.casefold() in row.haystack

    def _by_filter(self) -> Sequence[Row]:
        if self.filter in _DIFFER:
            return [row for row in self._seen if _DIFFER[self.filter](row)]
        if (test := score_tests(self._middles).get(self.filter)) is not None:
            return [row for row in self._seen if test(row)]
        size: Callable[[Row], float] = Row.slowest_ms if self.filter == "slowest" else Row.cost_usd
        ranked = sorted((row for row in self._seen if size(row) >= 0), key=size, reverse=True)
        return ranked[: math.ceil(SHARE * len(self.rows))]

    def runs(self) -> list[Run]:
        """The runs of all rows and variants that are shown, in order."""
        names = [self.deployments[place] for place in self.columns]
        return [run for row in self._shown for name in names if name in row.boxes for run in row.boxes[name].runs]

    def telling(self) -> list[Row]:
        """The shown rows, those that failed, failed a score or differ first: what a saved copy should keep."""

        def key(row: Row) -> tuple[bool, ...]:
            row = self._seen[row.place]
            low = any((least := row.lowest(name)) is not None and least < half for name, half in self._middles.items())
            return not row.failed(), not low, not any(row.spread(name) for name in self.scores), row.distinct() < 2

        return sorted(self._shown, key=key)

    def page(self) -> dict[str, Any]:
        """The visible page as JSON values, texts cut to a preview and safe as plain text."""
        begin = self.number * self.size
        return {
            "filter": self.filter,
            "sort": self.sort,
            "descending": self.descending,
            "search": self.search,
            "where": list(self.where),
            "columns": self.columns,
            "rendered": self.rendered,
            "page": self.number,
            "pages": self.pages,
            "said": self.said(),
            "rows": [self.row(row) for row in self._shown[begin : begin + self.size]],
        }

    def row(self, row: Row) -> dict[str, Any]:
        """One row as JSON values, with a cell for each variant that is shown."""
        names = [self.deployments[place] for place in self.columns]
        return {
            "row": row.place,
            "prompt": cut(row.title),
            "pictures": [
                *small_urls(row.pictures[:CELL_PICTURES], CELL_SIDE),
                *(url for url in row.sounds if len(url) <= CELL_SOUND),
            ],
            "cells": [_cell(row.boxes.get(name), self.rendered) for name in names],
        }

    def said(self) -> str:
        """What is shown, in words."""
        begin, count = self.number * self.size, len(self._shown)
        narrowed = [] if self.filter == "all" else [self.filters[self.filter]]
        if self.search:
            narrowed.append(f"with {cut(self.search, 40)!r}")
        if self.where[0]:
            narrowed.append(f"{cut(self.where[0], 40)} = {cut(self.where[1], 40)}")
        if not count:
            return f"no prompt of {len(self.rows):,} ({', '.join(narrowed) or self.filters['all']})"
        shown = f"{begin + 1:,} to {min(begin + self.size, count):,} of {count:,} prompts"
        return f"{shown} ({', '.join(narrowed)}, {len(self.rows):,} in all)" if narrowed else shown

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


def _median_ms(box: Box) -> float | None:
    times = [run.total_ms for run in box.runs if run.total_ms is not None and not run.cache_hit]
    return median(times) if times else None


def _cell(box: Box | None, rendered: bool = False) -> dict[str, Any]:
    if box is None or not box.runs:
        return {"text": "", "said": "not sent", "state": "none", "badges": [], "html": "", "pictures": []}
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
    if (choices := len(top.runs[0].texts)) > 1:
        said.append(f"first of {choices:,} choices")
    if ended := sum(run.status == "ok" and run.finish_reason == "length" for run in box.runs):
        said.append(f"{ended} of {count} at the token limit" if count > 1 else "token limit")
    if rating := next((run.rating for run in top.runs if run.rating), None):
        said.append(f"rated {plain(rating, 20)}")
    failed = top.text is None
    drawn = [] if failed else media_urls(top.runs[0], CELL_SIDE)[:CELL_PICTURES]
    text = error_text(top.runs[0]) or str(top.runs[0].status) if failed else top.text or "(the answer is empty)"
    text = top.runs[0].text or media_text(top.runs[0]) if drawn else text
    if not failed and top.runs[0].tool_calls:  # each in its line: a cell shows few
        text = "\n".join(filter(None, (top.runs[0].text, called(top.runs[0]))))
    return {
        "text": cut(text),
        "pictures": drawn,
        "html": to_html(cut(text, 600)) if rendered and not failed else "",
        "badges": badges(box),
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
