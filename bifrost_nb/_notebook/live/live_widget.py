"""The live view in a notebook: an anywidget whose text arrives as numbered frames of what is new.

Sending the whole text each time would cost bytes with the square of its length, and one message per token would drown
the server, which drops widget messages above 1,000 a second. So a frame carries the new text of all columns; the
longer the answer already is, the longer frames are collected (`_patience`), and the page draws what it gets at the
pace at which it came. All frames together are one deflated stream, which halves the text. They are numbered: a page
that misses one asks for the whole text once.

A column that has ended while others go on gets its answer rendered (`bifrost_nb._display.markdown`), as it will stay.

Only the thread that runs the cell sends. Clicks may be delivered on another one (JupyterLab's subshells), so they
only cancel, which is safe from anywhere, or leave a wish that the cell's thread fulfils.
"""

from __future__ import annotations

import functools
import json
import math
import zlib
from collections.abc import Callable
from typing import Any

from ..._display.markdown import LONGEST_MARKDOWN
from ..._display.run import answer_html, asked_pictures
from ..._foreground.comm_pump import reachable
from ..assets import page
from .race import Facts, Race, RaceColumn

__all__ = ["Pane"]

WIDGET_MIME = "application/vnd.jupyter.widget-view+json"
HEARTBEAT_S = 4.0
"""A frame is sent at least so often: without one for ten seconds the page's clocks stand still."""
FACTS_S = 0.4
"""Speed and the like are not redrawn more often than this; who serves and how it ended are sent at once."""
REDRAW_S = 0.09
"""Text is collected for so long at least, the first of it excepted."""


class Pane:
    """Shows a race while it runs. `stop(column)` is called, on any thread, for a click; None stands for all.

    `form` is how an answer is read once it is complete (`_display.run.FORMS`); `hint` says beside the button what else
    stops it.
    """

    def __init__(
        self, race: Race, stop: Callable[[int | None], None], form: str = "md", hint: str = "or press ■ (interrupt)"
    ) -> None:
        self.race = race
        self._stop = stop
        self._form = form
        self._number = 0
        self._deflate: Any = zlib.compressobj(9, zlib.DEFLATED, -15)
        self._rendered: dict[int, str] = {}
        """Of ended columns by their place; empty for one that stays as it is."""
        self._end_seen = False
        self._whole_wanted = False
        self._plain = False
        """The page cannot inflate."""
        self._drawn = list(race.columns)
        self._known: list[Facts | None] = [None] * len(race.columns)
        self._summary = ""
        self._sent_at = 0.0
        self._facts_at = 0.0
        self._sent = [0] * len(race.columns)
        columns = [column.facts(0.0)._asdict() for column in race.columns]
        asked = {column.run.prompt: column.run for column in race.columns}
        pictures = asked_pictures(*asked.values()) if len(asked) == 1 else []
        self.widget = reachable(_widget_class()(columns=columns, title=race.title, hint=hint, pictures=pictures))
        self.widget.on_msg(self._hear)

    def bundle(self) -> dict[str, Any]:
        """What to display: the widget, and words for a front end that has no widgets."""
        asked = ", ".join(column.facts(0.0).asked for column in self.race.columns)
        view = {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id}
        return {WIDGET_MIME: view, "text/plain": f"Waiting for {asked} …"}

    def update(self, final: bool = False) -> None:
        """Send what is new, if it is time to."""
        now = self.race.elapsed_s
        if self._whole_wanted or self._drawn != self.race.columns:  # a call that is sent again has a column of its own
            self._send_whole()
            return
        fresh = sum(column.characters for column in self.race.columns) - sum(self._sent)
        rendered = [] if final else self._newly_rendered()
        facts, urgent = self._changed_facts(now)
        if not (final or urgent or now - self._facts_at >= FACTS_S):
            facts = {}
        wait = self._patience(fresh) if fresh else FACTS_S if facts else HEARTBEAT_S
        if not (final or urgent or rendered or now - self._sent_at >= wait):
            return
        frame = self._frame(facts, now)
        taken = ((index, self._taken(index, column)) for index, column in enumerate(self.race.columns))
        if texts := [[index, text] for index, text in taken if text]:
            frame["t"] = texts
        if rendered:
            frame["h"] = rendered
        self._send(frame)

    def keep(self) -> None:
        """Leave the end of the race in the widget's state: for a page that stays, or that came late."""
        self._end_seen = True  # so that what was complete last is rendered, too
        self._newly_rendered()
        self.widget.whole = self._whole_frame()

    def close(self) -> None:
        """Let go of the widget on both sides; ipywidgets would keep it, and its layout, for ever."""
        layout = self.widget.layout
        self.widget.on_msg(self._hear, remove=True)
        self.widget.close()
        layout.close()

    def _taken(self, index: int, column: RaceColumn) -> str:
        self._sent[index] = column.characters
        return column.take()

    def _patience(self, fresh: int) -> float:
        """Seconds to collect text: none for the first of it, then more and more.

        A message costs some 600 bytes besides its text. To keep their share small however slowly a long answer comes,
        a frame is due when its text has grown with the root of what was sent: so there are few of them, most of them
        early. At a pace at which that takes long, time decides.
        """
        sent = sum(self._sent)
        if sent == 0:
            return 0.0
        return REDRAW_S if fresh >= 4.5 * math.sqrt(sent) else min(REDRAW_S + sent / 3_000, HEARTBEAT_S)

    def _newly_rendered(self) -> list[tuple[int, str]]:
        """Complete answers as HTML, each once. What was complete last is left out at first: as a rule the static
        answers follow at once. So are answers that would be shown as they are, for their length."""
        if self.race.ended and not self._end_seen:
            self._end_seen = True
            return []
        columns = enumerate(self.race.columns)
        complete = [(index, column) for index, column in columns if column.ended and index not in self._rendered]
        for index, column in complete:
            short = column.characters <= LONGEST_MARKDOWN
            self._rendered[index] = answer_html(column.run, self._form, media="small") if short else ""
        return [(index, html) for index, _ in complete if (html := self._rendered[index])]

    def _changed_facts(self, now: float) -> tuple[dict[int, dict[str, str]], bool]:
        """For each column the facts the page does not have yet, and whether they must not wait: who serves, the end.

        The clocks of the page run by themselves.
        """
        changed: dict[int, dict[str, str]] = {}
        urgent = False
        for index, (known, column) in enumerate(zip(self._known, self.race.columns, strict=True)):
            facts = column.facts(now)
            fresh = {name: value for name, value in facts._asdict().items() if getattr(known, name, None) != value}
            urgent = urgent or "state" in fresh or "served" in fresh
            if known is not None and not column.ended:
                fresh.pop("time", None)
            if fresh:
                changed[index] = fresh
        return changed, urgent

    def _frame(self, facts: dict[int, dict[str, str]], now: float) -> dict[str, Any]:
        frame: dict[str, Any] = {"at": round(now, 2)}
        if facts:
            frame["f"] = facts
            self._facts_at = now
            for index in facts:
                self._known[index] = self.race.columns[index].facts(now)
        if len(self.race.columns) > 1 and self.race.summary != self._summary:
            frame["s"] = self._summary = self.race.summary
        self._sent_at = now
        return frame

    def _send_whole(self) -> None:
        """All text and facts, for a page that may know nothing, as the beginning of a new stream."""
        self._whole_wanted = False
        self._deflate = None if self._plain else zlib.compressobj(9, zlib.DEFLATED, -15)
        self._send(self._whole_frame(), begin=True)

    def _whole_frame(self) -> dict[str, Any]:
        now = self.race.elapsed_s
        replaced = (index for index, column in enumerate(self.race.columns) if column is not self._drawn[index])
        for index in replaced:
            self._rendered.pop(index, None)
        self._drawn = list(self.race.columns)
        self._known, self._summary = [None] * len(self.race.columns), ""
        frame = self._frame(self._changed_facts(now)[0], now)
        for index, column in enumerate(self.race.columns):
            self._taken(index, column)
        frame["w"] = [column.text for column in self.race.columns]
        frame["h"] = [(index, html) for index, html in self._rendered.items() if html]
        return frame

    def _send(self, frame: dict[str, Any], begin: bool = False) -> None:
        head: dict[str, Any] = {"n": self._number}
        if begin or self._number == 0:
            head["begin"] = True
        self._number += 1
        if self._deflate is None:
            self.widget.send({**head, "frame": frame})
            return
        line = json.dumps(frame, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
        self.widget.send(head, [self._deflate.compress(line) + self._deflate.flush(zlib.Z_SYNC_FLUSH)])

    def _hear(self, _: Any, content: Any, __: Any) -> None:
        """A message of the page; it may be anybody's, so nothing of it is trusted."""
        if not isinstance(content, dict):
            return
        if content.get("whole") is True:
            self._plain = self._plain or content.get("plain") is True
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

    class LivePane(anywidget.AnyWidget):
        _esm = page("safe.js", "picture.js", "press.js", "pane_parts.js", "pane.js")
        _css = page("pane.css")
        columns = traitlets.List(traitlets.Dict()).tag(sync=True)
        title = traitlets.Unicode().tag(sync=True)
        pictures: Any = traitlets.List().tag(sync=True)
        whole = traitlets.Dict().tag(sync=True)
        hint = traitlets.Unicode().tag(sync=True)

    return LivePane
