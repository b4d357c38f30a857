"""The grid in a notebook: an anywidget that shows the visible page and asks for everything else.

The page crosses as the widget's state; an opened answer crosses alone, as a message, when it is opened, and so does an
exported file. The saved notebook keeps a static table beside the widget, frozen when the grid was displayed: the rows
that failed, failed a score or differ come first.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..._compare.text_diff import text_diff
from ..._display.describe import describe
from ..._display.explain import explain
from ..._display.html import Markup, pictures_html, table, text as escape
from ..._display.media import media_urls
from ..._display.run import answer_html, said_html
from ..._foreground.comm_pump import reachable
from ..._foreground.environment import takes_clicks
from ..._prompts.pictures import showable
from ..._report.redacted import frame_as_written
from ..._report.spreadsheet import WRITERS, write
from ..._runs.run import Run
from ..._safe_text import plain
from ...errors import BifrostError
from ..assets import page
from .grid_rows import Context, GridAnswer
from .grid_scores import badge, cut
from .grid_state import Grid

if TYPE_CHECKING:
    import os
    from pathlib import Path

    import pandas as pd

    from ..._runs.log.log import RunLog

__all__ = ["GridView"]

WIDGET_MIME = "application/vnd.jupyter.widget-view+json"
ANSWERS = 12
"""So many distinct answers of one prompt and deployment are shown in full."""
ANSWER_SIDE = 1_024
"""Pixels of a picture of the answer in full."""
STATIC_ROWS = 20
STATIC_PICTURES = 2_000_000
"""Characters of pictures in the saved table; for the others there are words."""
NOTE = 2_000
"""The longest note, in characters."""
LONGEST_SEARCH = 200
LONGEST_VIEW = 40
"""Characters of the name that a view gives itself."""


class GridView:
    """Shows a comparison's answers, rows of inputs down and variants across. `state` is what it shows (`Grid`).

    It shows itself as the last expression of a cell; `close` lets go of the widget, which ipywidgets would keep.
    `frame` has the shown runs, `export` writes them to a file. `known` has inputs and scores by run id.
    """

    def __init__(
        self, runs: Iterable[tuple[str, Run]], log: RunLog | None = None, known: Mapping[str, Context] | None = None
    ) -> None:
        self._known = known or {}
        self.state = Grid(runs, log, self._known)
        self._widget: Any = None
        self._by: list[Any] = ["", 0]
        """The view whose request was answered last, and the request's number there."""

    def __reduce__(self) -> Any:
        # It shows inputs, which a `redact` hook keeps out of files; the comparison's pickle has looked to that.
        raise TypeError("A grid is a view and is not pickled; pickle its comparison and call .grid() there.")

    @property
    def frame(self) -> pd.DataFrame:
        """The runs that are shown, on all pages: the columns of every frame, then inputs and scores."""
        import pandas as pd

        from ..._runs.frame import to_frame

        runs = self.state.runs()
        found = to_frame(runs)
        known = [self._known.get(run.run_id) for run in runs]
        names = list(dict.fromkeys(name for one in known if one for name in one.inputs))
        more: dict[str, Any] = {
            f"input_{name}": [one.inputs.get(name) if one else None for one in known] for name in names
        }
        for score in self.state.scores:
            judged = [one.scores.get(score) if one else None for one in known]
            more[score] = pd.array([None if one is None else one.value for one in judged], dtype="Float64")
            more[f"{score}_reason"] = pd.array([None if one is None else one.reason for one in judged], dtype="string")
        return pd.concat([found, pd.DataFrame(more, index=found.index)], axis=1)

    def export(self, path: str | os.PathLike[str]) -> Path:
        """Write the shown runs to a ``.csv`` or ``.xlsx`` file, readable by its owner only; returns its `path`.

            comparison.grid().export("answers.csv")

        No text of an answer becomes a formula there; what the client's `redact` left out of the log is left out. Raises
        ConfigurationError for another suffix, LogError where the file cannot be written.
        """
        return write(self._handed_on(), path)

    def _handed_on(self) -> pd.DataFrame:
        return frame_as_written(self.frame, self.state.runs())

    @property
    def widget(self) -> Any:
        """The widget, made at the first use."""
        if self._widget is None:
            self._widget = _widget_class()(
                page=self._page(),
                deployments=[cut(name, 200) for name in self.state.deployments],
                filters=[list(item) for item in self.state.filters.items()],
                sorts=[[name, words] for name, (words, _) in self.state.sorts.items()],
                choices=self.state.choices(),
            )
            reachable(self._widget).on_msg(self._hear)
        return self._widget

    def close(self) -> None:
        """Let go of the widget on both sides.

        For example:

            grid = comparison.grid()
            grid.close()
        """
        if self._widget is not None:
            layout = self._widget.layout
            self._widget.on_msg(self._hear, remove=True)
            self._widget.close()
            layout.close()
            self._widget = None

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        bundle: dict[str, Any] = {"text/plain": repr(self), "text/html": self._repr_html_()}
        if takes_clicks():
            bundle[WIDGET_MIME] = {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id}
        return bundle

    def _display_(self) -> Any:
        """What marimo shows."""
        return self.widget

    def __repr__(self) -> str:
        state = self.state
        names = [state.deployments[place] for place in state.columns]
        lines = [f"{state.said()} x {len(names)} deployments"]
        for row in state.page()["rows"]:
            lines += ["", f"» {' '.join(row['prompt'].split())}"]
            for name, cell in zip(names, row["cells"], strict=True):
                said = " · ".join([*(one["text"] for one in cell["badges"]), cell["said"]])
                lines.append(f"  {cut(name, 80)}: {' '.join(cell['text'].split())} [{said}]")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        wrap = "white-space:pre-wrap;min-width:9em"
        state = self.state
        telling = state.telling()[:STATIC_ROWS]
        rows = [state.row(row) for row in telling]
        more = len(state.shown) - len(rows)
        names = [cut(state.deployments[place], 200) for place in state.columns]

        left = STATIC_PICTURES

        def _drawn(one: dict[str, Any]) -> Markup:
            nonlocal left
            kept = []
            for url in one["pictures"]:
                if (size := len(url) * 3 // 4) <= left:
                    left -= size
                    kept.append(url)
            return pictures_html(kept, "a picture of the answer")

        def answer(one: dict[str, Any]) -> Markup:
            return Markup(
                f'<div style="{wrap}">{escape(one["text"])}</div>{_drawn(one)}{_static_badges(one["badges"])}'
                f'<div style="opacity:0.8">{escape(one["said"])}</div>'
            )

        shown = []
        for one, row in zip(telling, rows, strict=True):
            asked_with = showable(one.pictures, left)
            asked_with += [url for url in one.sounds if len(url) * 3 // 4 <= left]
            left -= sum(map(len, asked_with)) * 3 // 4
            asked = f'<div style="{wrap}">{escape(row["prompt"])}</div>{pictures_html(asked_with)}'
            shown.append([Markup(asked), *map(answer, row["cells"])])
        answers = table(shown, ["prompt", *names], label="Answers", titles=True, wide=True, widths=["24%"])
        said = (
            f"{len(rows):,} of {len(state.shown):,} prompts, those with errors and differences first"
            if more > 0 or telling != list(state.shown)
            else state.said()
        )
        return f"<div><div>{escape(said)}</div>{answers}</div>"

    def _hear(self, _: Any, content: Any, __: Any) -> None:
        """A message of the page; it may be anybody's, so nothing of it is trusted."""
        if not isinstance(content, dict):
            return
        try:
            if isinstance(content.get("show"), dict):
                self._choose(content["show"], content.get("by"))
            elif (at := _places(content.get("open"), 2)) is not None:
                self.widget.send({"detail": self.detail(*at)})
            elif (at := _places(content.get("diff"), 3)) is not None:
                self.widget.send({"diff": self.diff(*at)})
            elif (at := _places(content.get("rate"), 3)) is not None:
                self._rate(at, content)
            elif (suffix := content.get("export")) in WRITERS:
                self.widget.send({"file": f"answers{suffix}"}, buffers=[WRITERS[suffix](self._handed_on())])
        except (IndexError, KeyError):
            self.widget.send({"problem": "That answer is not in this comparison."})
        except BifrostError as error:
            self.widget.send({"problem": plain(error, 300)})

    def _page(self) -> dict[str, Any]:
        return {**self.state.page(), "by": self._by}

    def _choose(self, wish: dict[str, Any], by: Any) -> None:
        texts = {name: wish[name] for name in ("filter", "sort") if isinstance(wish.get(name), str)}
        flags = {name: wish[name] for name in ("descending", "rendered") if isinstance(wish.get(name), bool)}
        turn, search, where = wish.get("turn"), wish.get("search"), wish.get("where")
        self.state.show(
            **texts,
            **flags,
            page=self.state.number + turn if type(turn) is int and turn in (-1, 1) else None,
            search=search[:LONGEST_SEARCH] if isinstance(search, str) else None,
            where=_pair(where),
            columns=_ticked(self.state.columns, wish.get("tick")),
        )
        if isinstance(by, list) and len(by) == 2 and isinstance(by[0], str) and type(by[1]) is int:
            self._by = [by[0][:LONGEST_VIEW], by[1]]
        self.widget.page = self._page()

    def _rate(self, at: tuple[int, ...], content: dict[str, Any]) -> None:
        row, deployment, answer = at
        rating, note = content.get("rating"), content.get("note")
        self.state.rate(
            self.state.answer(row, deployment, answer),
            rating=rating if rating in ("up", "down") else None,
            note=note[:NOTE] if isinstance(note, str) else None,
        )
        self.widget.page = self._page()
        self.widget.send(
            {"rated": [*at, rating, "Recorded." if self.state.log is not None else "Kept, but not logged."]}
        )

    def detail(self, row: int, deployment: int) -> dict[str, Any]:
        """Every answer of a prompt and a deployment in full, with its facts and its story, as JSON values."""
        asked = self.state.rows[row]
        box = asked.boxes[self.state.deployments[deployment]]
        shown = box.answers[:ANSWERS]
        return {
            "row": row,
            "deployment": deployment,
            "prompt": cut(asked.asked, 20_000),
            "pictures": [*asked.pictures, *asked.sounds],
            "answers": [self._answer(answer, len(box.runs)) for answer in shown],
            "more": len(box.answers) - len(shown),
        }

    def diff(self, row: int, a: int, b: int) -> str:
        """The most frequent answers of two deployments as a word diff in HTML; words where there is none."""
        boxes = [self.state.rows[row].boxes.get(self.state.deployments[place]) for place in (a, b)]
        texts = [None if box is None else box.top for box in boxes]
        if texts[0] is None or texts[1] is None:
            return "<p>One of the two gave no answer.</p>"
        names = [cut(self.state.deployments[place], 200) for place in (a, b)]
        asked = " ".join(cut(self.state.rows[row].title, 120).split())
        changed = text_diff(texts[0], texts[1], title=f"{names[0]} → {names[1]}: {asked}")
        return cut(changed._repr_html_(), 400_000)

    def _answer(self, answer: GridAnswer, of: int) -> dict[str, Any]:
        run = answer.runs[0]
        context = self._known.get(run.run_id)
        found = _answer(answer, of)
        judged = [] if context is None else [badge(name, [score]) for name, score in context.scores.items()]
        return {**found, "scores": judged}


def _pair(value: Any) -> tuple[str, str] | None:
    good = isinstance(value, list) and len(value) == 2 and all(isinstance(one, str) for one in value)
    return (value[0], value[1]) if good else None


def _ticked(columns: list[int], tick: Any) -> list[int] | None:
    """`columns` with one of them added or taken away, as ``[place, whether it is shown]`` says."""
    if not (isinstance(tick, list) and len(tick) == 2 and type(tick[0]) is int and isinstance(tick[1], bool)):
        return None
    return [*columns, tick[0]] if tick[1] else [place for place in columns if place != tick[0]]


def _static_badges(badges: list[dict[str, str]]) -> str:
    if not badges:
        return ""
    said = " · ".join(f"{one['text']}: {one['reason']}" if one["reason"] else one["text"] for one in badges)
    return f"<div>{escape(said)}</div>"


def _answer(answer: GridAnswer, of: int) -> dict[str, Any]:
    run = answer.runs[0]
    count, drawn = len(answer.runs), media_urls(run, ANSWER_SIDE)
    return {
        "label": f"{'Answer' if answer.text is not None else 'Failure'}, {count:,} of {of:,} runs"
        if of > 1
        else ("Answer" if answer.text is not None else "Failure"),
        "html": said_html(run) if drawn else answer_html(run, media="words"),
        "drawn": drawn,
        "facts": [[name, cut(said, 400)] for name, said in describe(run).items()],
        "story": cut(explain(run), 4_000),
        "rating": run.rating if run.rating in ("up", "down") else "",
        "note": cut(str(run.tags.get("note", "")), NOTE),
    }


def _places(value: Any, count: int) -> tuple[int, ...] | None:
    """`value` if it is a list of `count` indices."""
    good = isinstance(value, list) and len(value) == count and all(type(one) is int and one >= 0 for one in value)
    return tuple(value) if good else None


@functools.cache
def _widget_class() -> type[Any]:
    """Made at the first use: importing anywidget takes a while, and `import bifrost_nb` must not load it."""
    import anywidget
    import traitlets

    class GridWidget(anywidget.AnyWidget):
        _esm = page("safe.js", "picture.js", "press.js", "grid.js")
        _css = page("grid.css")
        page = traitlets.Dict().tag(sync=True)
        deployments = traitlets.List(traitlets.Unicode()).tag(sync=True)
        filters = traitlets.List(traitlets.List()).tag(sync=True)
        sorts = traitlets.List(traitlets.List()).tag(sync=True)
        choices = traitlets.Dict().tag(sync=True)

    return GridWidget
