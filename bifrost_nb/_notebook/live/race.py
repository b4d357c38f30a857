"""What a person watching one or several calls needs to know, as plain Python: no widget, no HTML, no clock but its own.

`Race` holds one `RaceColumn` per call. The waiting thread feeds it what the network side sent (`receive`); every view
(`live_widget`, `terminal_view`, `html_view`) asks it for text not yet shown (`RaceColumn.take`) and for
`RaceColumn.facts`, which are written once, here, in words.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from ..._display.describe import asked_name, called_tools, duration, error_text, notes_text, usd
from ..._runs.pieces import Piece
from ..._runs.run import Run
from ..._safe_text import plain

__all__ = ["Facts", "Race", "RaceColumn", "RaceUpdate", "safe"]

_WORDS = {
    "ok": "done",
    "cancelled": "stopped",
    "error": "failed",
    "timeout": "timed out",
    "truncated": "cut off",
}


class RaceUpdate(NamedTuple):
    """What the network side hands over: which column, and what came (nothing: only the run's facts changed)."""

    column: int
    pieces: Sequence[Piece]


class Facts(NamedTuple):
    """A column's header in words, each empty while there is nothing to say.

    `state` is one of waiting, answering, done, stopped, failed, timed out, cut off.
    """

    asked: str
    served: str
    state: str
    time: str
    speed: str
    cost: str
    note: str


class RaceColumn:
    """One call in flight. `run` is its record, finished once `run.status` is set."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.chunks = 0
        self.characters = 0
        """Length of the first choice's text received so far."""
        self.choices = 1
        self.cost_settled = False
        """Nobody waits for the cost any more: it is known, or unknown."""
        self._fresh: list[str] = []
        self._shown: list[str] = []
        self._reasoning = 0
        self._answered = False
        self._first_ms: float | None = None
        self._last_ms: float | None = None
        self._ended_s: float | None = None

    @property
    def ended(self) -> bool:
        """Whether the call is finished and recorded."""
        return self.run.status is not None

    @property
    def text(self) -> str:
        """The first choice's text received so far, safe to show as plain text."""
        return "".join(self._shown) + "".join(self._fresh)

    @property
    def so_far(self) -> Run:
        """The run; where it was left behind unfinished, a copy with the text received so far."""
        text = self.text
        return self.run if self.ended or not text else replace(self.run, response=text, texts=[text])

    def take(self) -> str:
        """The text that came since the last `take`, safe to show as plain text."""
        fresh = "".join(self._fresh)
        if fresh:
            self._shown.append(fresh)
            self._fresh.clear()
        return fresh

    def receive(self, pieces: Iterable[Piece], elapsed_s: float) -> None:
        """Take in what arrived; `elapsed_s` is the time since the race began."""
        self._answered = True
        arrived: set[float] = set()
        for index, text, reasoning, at_ms in pieces:
            arrived.add(at_ms)
            self.choices = max(self.choices, index + 1)
            if index != 0:
                continue
            self.chunks += 1
            self._reasoning += len(reasoning)
            if text:
                self._fresh.append(safe(text))
                self.characters += len(self._fresh[-1])
        if arrived:
            self._first_ms = min(arrived) if self._first_ms is None else self._first_ms
            self._last_ms = max(arrived)
        if self.ended and self._ended_s is None:
            self._ended_s = elapsed_s

    def elapsed_s(self, race_s: float) -> float:
        """Time since the call began, standing still once it has ended."""
        if self.run.total_ms is not None and self.ended:
            return self.run.total_ms / 1000
        return race_s if self._ended_s is None else self._ended_s

    def facts(self, race_s: float) -> Facts:
        """The header `race_s` seconds after the race began."""
        return Facts(
            asked=plain(asked_name(self.run), 200),
            served=self._served(),
            state=self._state(),
            time=duration(1000 * self.elapsed_s(race_s)),
            speed=self._speed(),
            cost=self._cost(),
            note=self._note(),
        )

    def _state(self) -> str:
        if self.run.status is not None:
            return _WORDS[self.run.status]
        return "answering" if self._answered else "waiting"

    def _served(self) -> str:
        run = self.run
        if run.served is None:
            if self.ended:
                return "nobody answered" if run.status == "error" else "who served is unknown"
            return "gateway does not say yet who serves" if self._answered else "waiting for the gateway"
        served = plain(run.served, 200)
        if run.status == "error":
            return f"no answer from {served}"
        if run.is_fallback:
            number = "" if run.fallback_index is None else f" {run.fallback_index}"
            return f"fallback{number}: served by {served}"
        return f"served by {served}"

    def _speed(self) -> str:
        """Chunks per second: how many tokens a chunk holds is unknown until the usage arrives at the end."""
        run = self.run
        if self.ended and run.tokens_per_s is not None:
            return f"{run.tokens_per_s:.0f} tokens/s"
        if self._first_ms is None or self._last_ms is None or self._last_ms - self._first_ms < 100 or self.chunks < 3:
            return ""
        return f"{1000 * (self.chunks - 1) / (self._last_ms - self._first_ms):.0f} chunks/s"

    def _cost(self) -> str:
        if self.run.cost_usd is not None:
            return usd(self.run.cost_usd)
        if self.run.status == "error":
            return ""
        return "cost unknown" if self.cost_settled else "cost pending"

    def _note(self) -> str:
        run = self.run
        if self.ended and (went_wrong := error_text(run)):
            return f"{plain(went_wrong, 300)} {plain(notes_text(run), 600)}".strip()
        if self._reasoning and not self.characters and not self.ended:
            return f"thinking, {self._reasoning:,} characters so far"
        if self.ended and run.tool_calls and not self.characters:
            return f"calls {plain(', '.join(called_tools(run)), 300)}"
        return f"first of {self.choices} choices" if self.choices > 1 else ""


class Race:
    """All calls that are watched together, and the clock they share."""

    def __init__(
        self, runs: Iterable[Run], title: str | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.columns = [RaceColumn(run) for run in runs]
        self.title = plain(title, 200) if title else ""
        self._clock = clock
        self._began = clock()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the race began."""
        return self._clock() - self._began

    @property
    def ended(self) -> bool:
        """Whether every call is finished and recorded."""
        return all(column.ended for column in self.columns)

    @property
    def summary(self) -> str:
        """One line over all columns."""
        ended = sum(column.ended for column in self.columns)
        return f"{ended} of {len(self.columns)} finished"

    def receive(self, arrivals: Iterable[RaceUpdate]) -> None:
        """Take in a batch from the network side."""
        elapsed = self.elapsed_s
        for arrival in arrivals:
            self.columns[arrival.column].receive(arrival.pieces, elapsed)


def safe(text: str) -> str:
    """Text from outside for a plain-text view: no control sequences, nothing that cannot be sent as UTF-8."""
    return plain(text).encode("utf-8", "replace").decode()
