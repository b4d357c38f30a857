"""The live view in a notebook: an anywidget whose text arrives as numbered frames of what is new.

Sending the whole text each time would cost bytes with the square of its length, and one message per token would drown
the server, which drops widget messages above 1,000 a second. So a frame carries the new text of all columns; the
longer the answer already is, the longer frames are collected (`_patience`). Frames are numbered: a page that misses one
asks for the whole text once.

Only the thread that runs the cell sends. Clicks may be delivered on another one (JupyterLab's subshells), so they
only cancel, which is safe from anywhere, or leave a wish that the cell's thread fulfils.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from .race import Column, Facts, Race

__all__ = ["Pane"]

WIDGET_MIME = "application/vnd.jupyter.widget-view+json"
HEARTBEAT_S = 1.0
"""A frame is sent at least so often: without one for three seconds the page's clocks stand still."""
FACTS_S = 0.4
"""Speed and the like are not redrawn more often than this; who serves and how it ended are sent at once."""


class Pane:
    """Shows a race while it runs. `stop(column)` is called, on any thread, for a click; None stands for all."""

    def __init__(self, race: Race, stop: Callable[[int | None], None]) -> None:
        self.race = race
        self._stop = stop
        self._number = 0
        self._whole_wanted = False
        self._known: list[Facts | None] = [None] * len(race.columns)
        self._summary = ""
        self._sent_at = 0.0
        self._facts_at = 0.0
        self._sent = [0] * len(race.columns)
        columns = [column.facts(0.0)._asdict() for column in race.columns]
        self.widget = _widget_class()(columns=columns, title=race.title)
        self.widget.on_msg(self._hear)

    def bundle(self) -> dict[str, Any]:
        """What to display: the widget, and words for a front end that has no widgets."""
        asked = ", ".join(column.facts(0.0).asked for column in self.race.columns)
        view = {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id}
        return {WIDGET_MIME: view, "text/plain": f"Waiting for {asked} …"}

    def update(self, final: bool = False) -> None:
        """Send what is new, if it is time to."""
        now = self.race.elapsed_s
        if self._whole_wanted:
            self._whole_wanted = False
            self._send_whole(now)
            return
        facts = self._changed_facts(now, final)
        fresh = sum(column.characters for column in self.race.columns) - sum(self._sent)
        if not (final or facts or now - self._sent_at >= (self._patience() if fresh else HEARTBEAT_S)):
            return
        frame = self._frame(facts, now)
        taken = ((index, self._taken(index, column)) for index, column in enumerate(self.race.columns))
        if texts := [[index, text] for index, text in taken if text]:
            frame["t"] = texts
        self.widget.send(frame)

    def close(self) -> None:
        """Let go of the widget on both sides; ipywidgets would keep it, and its layout, for ever."""
        layout = self.widget.layout
        self.widget.on_msg(self._hear, remove=True)
        self.widget.close()
        layout.close()

    def _taken(self, index: int, column: Column) -> str:
        self._sent[index] = column.characters
        return column.take()

    def _patience(self) -> float:
        """Seconds to collect text: none for the first of it, then 0.09, up to 0.4 in a very long answer.

        A frame costs some hundred bytes besides its text; so its share stays small where it would add up.
        """
        sent = sum(self._sent)
        return 0.0 if sent == 0 else min(0.09 + sent / 200_000, 0.4)

    def _changed_facts(self, now: float, final: bool) -> dict[int, dict[str, str]]:
        """For each column the facts the page does not have yet. Its clocks run by themselves."""
        current = [column.facts(now) for column in self.race.columns]
        due = final or now - self._facts_at >= FACTS_S
        changed: dict[int, dict[str, str]] = {}
        for index, (known, facts) in enumerate(zip(self._known, current, strict=True)):
            moved = known is None or (known.state, known.served) != (facts.state, facts.served)
            if not (moved or due):
                continue
            fresh = {name: value for name, value in facts._asdict().items() if getattr(known, name, None) != value}
            if known is not None and not self.race.columns[index].ended:
                fresh.pop("time", None)
            if fresh:
                changed[index], self._known[index] = fresh, facts
        if changed:
            self._facts_at = now
        return changed

    def _frame(self, facts: dict[int, dict[str, str]], now: float) -> dict[str, Any]:
        frame: dict[str, Any] = {"n": self._number, "at": round(now, 2)}
        if facts:
            frame["f"] = facts
        if len(self.race.columns) > 1 and self.race.summary != self._summary:
            frame["s"] = self._summary = self.race.summary
        self._number += 1
        self._sent_at = now
        return frame

    def _send_whole(self, now: float) -> None:
        self._known, self._summary = [None] * len(self.race.columns), ""
        frame = self._frame(self._changed_facts(now, True), now)
        for index, column in enumerate(self.race.columns):
            self._taken(index, column)
        frame["w"] = [column.text for column in self.race.columns]
        self.widget.send(frame)

    def _hear(self, _: Any, content: Any, __: Any) -> None:
        """A message of the page; it may be anybody's, so nothing of it is trusted."""
        if not isinstance(content, dict):
            return
        if content.get("whole") is True:
            self._whole_wanted = True
        wish = content.get("stop")
        if wish == "all":
            self._stop(None)
        elif type(wish) is int and 0 <= wish < len(self.race.columns):
            self._stop(wish)


@functools.cache
def _widget_class() -> type[Any]:
    """Made at the first use: importing anywidget takes a while, and `import bifrost_nb` must not load it."""
    import anywidget
    import traitlets

    here = files("bifrost_nb.notebook")

    class LivePane(anywidget.AnyWidget):
        # As text, not as paths: anywidget keeps every widget alive that was made from a file.
        _esm = here.joinpath("pane.js").read_text(encoding="utf-8")
        _css = here.joinpath("pane.css").read_text(encoding="utf-8")
        columns = traitlets.List(traitlets.Dict()).tag(sync=True)
        title = traitlets.Unicode().tag(sync=True)

    return LivePane
