"""The rows of a grid: a prompt's runs by variant, with its inputs and the scores of each run.

`contexts` reads inputs and scores from any frame that has them: ``input_id``, ``input_<name>``, ``score`` and
``score_<name>`` with their ``_reason`` and ``_error``.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from ..._display.describe import error_text
from ..._display.run import said
from ..._prompts.messages import pictures_sent, readable
from ..._prompts.pictures import showable
from ..._prompts.shown_value import shown_value
from ..._runs.run import Run

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Box", "Context", "GridAnswer", "Row", "ShownScore", "contexts", "score_names"]

_THUMBS = {"up": True, "down": False}
_VOTES = ("win", "loss", "tie")


class ShownScore(NamedTuple):
    """What one scorer found of one run."""

    value: float | None
    reason: str | None
    error: str | None
    graded: bool = False
    """True where the scorer gives more than 0 and 1, so that neither is a pass or a fail."""


@dataclass(frozen=True, slots=True)
class Context:
    """What belongs to a run beside what it says: the row of inputs it was asked for, and its scores."""

    row: str | None = None
    """Runs of one row are compared; None: those of one prompt."""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, ShownScore] = field(default_factory=dict)
    sounds: Sequence[str] = ()
    """``data:`` addresses of what was to be written down."""


_NOTHING = Context()


def score_names(columns: Sequence[str]) -> list[str]:
    """The score columns of a frame: ``score`` and ``score_<name>``, without their reasons and errors."""
    named = [name for name in columns if name == "score" or name.startswith("score_")]
    return [name for name in named if not name.endswith(("_reason", "_error"))]


def contexts(frame: pd.DataFrame, sounds: Mapping[str, Sequence[str]] | None = None) -> dict[str, Context]:
    """The context of each run of `frame`, by ``run_id``, as are `sounds`."""
    inputs = [
        name for name in frame.columns if name.startswith("input_") and name not in ("input_id", "input_cost_usd")
    ]
    scores = score_names(list(frame.columns))
    graded = {name for name in scores if not frame[name].dropna().isin((0.0, 1.0)).all()}
    nothing = [None] * len(frame)

    def known(name: str) -> list[Any]:
        """A column with None for what is unknown."""
        if name not in frame:
            return nothing
        return [None if missing else value for value, missing in zip(frame[name], frame[name].isna(), strict=True)]

    rows = known("input_id")
    given = {name.removeprefix("input_"): known(name) for name in inputs}
    judged = {name: tuple(known(f"{name}{end}") for end in ("", "_reason", "_error")) for name in scores}
    return {
        str(run_id): Context(
            None if rows[place] is None else str(rows[place]),
            {name: values[place] for name, values in given.items() if values[place] is not None},
            dict(_scores(place, judged, graded)),
            (sounds or {}).get(str(run_id), ()),
        )
        for place, run_id in enumerate(frame["run_id"])
    }


def _scores(
    place: int, judged: Mapping[str, tuple[list[Any], ...]], graded: Container[str]
) -> Iterator[tuple[str, ShownScore]]:
    for name, columns in judged.items():
        value, reason, error = (column[place] for column in columns)
        if value is not None or error is not None:
            why, wrong = (None if text is None else str(text) for text in (reason, error))
            shown = ShownScore(None if value is None else float(value), why, wrong, name in graded)
            yield name, shown


@dataclass(frozen=True, slots=True, eq=False)
class GridAnswer:
    """One distinct outcome of a prompt and a deployment: what was said, or a failure. `runs` all gave it."""

    text: str | None
    """Text and tool calls; None for a failure."""
    runs: list[Run]


class Box:
    """A prompt's runs at one deployment."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.contexts: list[Context] = []

    @cached_property
    def answers(self) -> list[GridAnswer]:
        """Every distinct answer, the most frequent first; then every distinct failure."""
        texts: dict[str, list[Run]] = {}
        failures: dict[str, list[Run]] = {}
        for run in self.runs:
            if run.status == "ok":
                texts.setdefault(said(run), []).append(run)
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

    def scores(self, name: str) -> list[ShownScore]:
        """What the scorer `name` found of each run that it was asked about."""
        return [context.scores[name] for context in self.contexts if name in context.scores]

    def score(self, name: str) -> float | None:
        """The mean of a score over the runs, None where nothing was judged."""
        values = [found.value for found in self.scores(name) if found.value is not None]
        return fmean(values) if values else None

    def disagrees(self, name: str, middle: float) -> bool:
        """Whether a thumb is up for an answer that the score has below `middle`, or down for one above."""
        for run, context in zip(self.runs, self.contexts, strict=True):
            liked, found = _THUMBS.get(run.rating or ""), context.scores.get(name)
            if liked is not None and found is not None and found.value is not None and liked != (found.value >= middle):
                return True
        return False

    def voted(self, name: str) -> Iterator[tuple[str, float]]:
        """(vote, score) of each run that has both."""
        for run, context in zip(self.runs, self.contexts, strict=True):
            found = context.scores.get(name)
            if run.rating in _VOTES and found is not None and found.value is not None:
                yield run.rating, found.value

    def add(self, run: Run, context: Context | None) -> None:
        """One more run."""
        self.runs.append(run)
        self.contexts.append(context or _NOTHING)


_DIGEST = re.compile(r", sha256=[0-9a-f]{16}\]")
"""Of a sound, in what a run says was asked: it tells two sounds apart, to nobody who looks at them."""


@dataclass(eq=False)
class Row:
    """One prompt."""

    prompt_id: str
    prompt: str
    place: int
    inputs: Mapping[str, Any] = field(default_factory=dict)
    sounds: Sequence[str] = ()
    boxes: dict[str, Box] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The prompt; where templates make several of one row, the row's inputs."""
        if len({run.prompt for run in self.runs}) > 1 and self.inputs:
            return "\n".join(f"{name}: {shown_value(value)}" for name, value in self.inputs.items())
        return self.asked

    @cached_property
    def asked(self) -> str:
        """The prompt to be read: of messages each turn behind its role, and words for pictures and sounds."""
        return _DIGEST.sub("]", readable(self.prompt)) if self.sounds else readable(self.prompt)

    @property
    def pictures(self) -> list[str]:
        """The pictures of the prompt that a page may show."""
        return showable(pictures_sent(self.prompt))

    @cached_property
    def haystack(self) -> str:
        """All that a search looks through, casefolded."""
        texts = [self.asked, *map(shown_value, self.inputs.values())]
        texts += [text for run in self.runs for text in (said(run), *run.texts[1:])]
        return "\n".join(texts).casefold()

    @property
    def runs(self) -> list[Run]:
        """All runs of the prompt."""
        return [run for box in self.boxes.values() for run in box.runs]

    def of(self, names: Sequence[str]) -> Row:
        """The same with the answers of these variants alone."""
        return replace(self, boxes={name: self.boxes[name] for name in names if name in self.boxes})

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

    def spread(self, name: str) -> float:
        """How far the variants' means of a score lie apart; 0 where fewer than two are known."""
        known = [mean for box in self.boxes.values() if (mean := box.score(name)) is not None]
        return max(known) - min(known) if len(known) > 1 else 0.0

    def disagrees(self, name: str, middle: float) -> bool:
        """Whether people and a score say different things: a thumb of an answer, or a vote between two of them.

        A vote says which of two answers is better, and so does a score by being higher; it disagrees where it sees none
        or the other, as `Comparison.agreement` counts. Of answers that were on several ballots only the last vote is
        known, so there it must contradict one.
        """
        if any(box.disagrees(name, middle) for box in self.boxes.values()):
            return True
        votes = [one for box in self.boxes.values() for one in box.voted(name)]
        won, lost, tied = ([value for vote, value in votes if vote == kind] for kind in _VOTES)
        if len(votes) == 2:
            return won[0] <= lost[0] if won and lost else len(tied) == 2 and tied[0] != tied[1]
        return any(better < worse for better in won for worse in lost)

    def lowest(self, name: str) -> float | None:
        """The lowest mean of a score over the variants, None where none is known."""
        return min((mean for box in self.boxes.values() if (mean := box.score(name)) is not None), default=None)
