"""A playground in a notebook: the form (an anywidget), the live pane of the race, the rendered answers.

The page sends whole forms and wishes as custom messages and never changes a synced value itself. Python answers through
synced values, which a page that is opened later gets too. Messages come on the kernel's threads, the race is drawn from
the private loop: each only sets values, under one lock.

marimo has anywidgets and no boxes of them: there the form stands above the answers, which come when all are complete.
"""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Any

from ..._compare.scoring import Scorer
from ..._foreground.environment import place
from ..._keys import without_keys
from ..._safe_text import plain
from ...errors import BifrostError, ConfigurationError, TemplateError
from ..assets import page
from ..live.live_widget import WIDGET_MIME, Pane
from .form import Form

if TYPE_CHECKING:
    from .playground import Playground
    from .round import Round

__all__ = ["PlaygroundView"]

_FIELDS = tuple(name for name in Form.__dataclass_fields__ if name != "score")
"""What a page may set: functions come from Python only."""
LINE_S = 0.5
"""The line that says how far it is changes at most so often."""


class PlaygroundView:
    """The widgets of one playground."""

    def __init__(self, playground: Playground) -> None:
        import ipywidgets

        self.playground = playground
        self._lock = threading.RLock()
        self._pane: Pane | None = None
        self._said_at = 0.0
        self._shout = ""
        """What a wish of the page could not do; said until the next change."""
        self.form = _widget_class()()
        self.form.on_msg(self._hear)
        self._live = ipywidgets.VBox([])
        self._boxes = place() != "marimo"
        # Only what `render` made safe goes in here.
        self._results = ipywidgets.HTMLMath("") if self._boxes else _results_class()()
        self._results.add_class("bifrost-results")
        self.box = ipywidgets.VBox([self.form, self._live, self._results])
        self.box.add_class("bifrost-playground-box")
        if playground.shown is not None:
            self._results.value = playground.shown.html
        self.publish()

    @property
    def parts(self) -> list[Any]:
        """The form and the answers, to be shown one below the other where there are no boxes."""
        return [self.form, self._results]

    def bundle(self) -> dict[str, Any]:
        """What to display."""
        return {WIDGET_MIME: {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}}

    def publish(self) -> None:
        """Tell the page what is filled in, and what follows from it."""
        from ..known_models import known_models

        state = self.playground
        form = {name: getattr(state.form, name) for name in _FIELDS}
        form |= {name: list(form[name]) for name in ("deployments", "fallbacks", "scores")}
        form |= {name: dict(form[name]) for name in ("values", "parameters")}
        columns = _columns(state.inputs)
        told = {
            "variables": [[name, name in columns] for name in state.form.variables],
            "problem": state.problem or "",
            "calls": len(state.form.deployments) * state.form.repeats * state.form.rows(state.inputs),
            "rows": state.form.rows(state.inputs) if state.inputs is not None else None,
            "running": state.running,
            "scorers": [[name, _scorer_words(name, scorer)] for name, scorer in state.form.score.items()],
        }
        try:
            models = known_models(state.client).deployments
        except BifrostError:
            models = []
        with self._lock:
            self.form.models = models
            self.form.form = {**form, "revision": state.revision}
            self.form.told = told
            self.form.history = [[entry.number, entry.line] for entry in reversed(state.history)]
            self.form.shown = state.shown.number if state.shown is not None else 0
            self.form.line = self._line()

    def began(self, current: Round) -> None:
        """Show the race of `current` in place of the last answers."""
        with self._lock:
            self._let_go()
            self._shout = ""
            self._results.value = ""
            if self._boxes:
                self._pane = Pane(current.race, current.stop, hint="")
                self._live.children = (self._pane.widget,)
                self._pane.update()

    def draw(self, current: Round) -> None:
        """Send what is new of the race; on the private loop."""
        with self._lock:
            if self._pane is not None:
                self._pane.update()
            if current.race.elapsed_s - self._said_at >= LINE_S or current.race.elapsed_s < self._said_at:
                self._said_at = current.race.elapsed_s
                self.form.line = self._line(current)

    def ended(self, current: Round, html: str) -> None:
        """Put the rendered answers in the place of the race."""
        with self._lock:
            if self._pane is not None:
                self._pane.update(final=True)
            self._results.value = html
            self._live.children = ()
            self._let_go()
            self.publish()

    def results(self, html: str) -> None:
        """Show answers of the history."""
        with self._lock:
            self._results.value = html

    def close(self) -> None:
        """Let go of all widgets, on both sides."""
        with self._lock:
            self._let_go()
            self.form.on_msg(self._hear, remove=True)
            for widget in (self.box, self.form, self._live, self._results):
                parts = widget.layout, getattr(widget, "style", None)
                widget.close()
                for part in parts:
                    if part is not None:
                        part.close()

    def _let_go(self) -> None:
        pane, self._pane = self._pane, None
        if pane is not None:
            pane.close()

    def _line(self, current: Round | None = None) -> str:
        """What the status line says."""
        if self._shout:
            return self._shout
        state = self.playground
        if state.running:
            progress = current.progress if current is not None else None
            judging = " Judging the answers." if current is not None and current.judging else ""
            answered = f"Running: {progress.finished:,} of {progress.total:,} answered." if progress else "Running."
            return answered + judging
        shown = state.shown
        if shown is None:
            return ""
        from ..._compare.progress import summary_line

        how = "Done." if shown is state.history[-1] else f"Round {shown.number}, restored."
        return f"{how} {summary_line(shown.comparison.progress)}"

    def _hear(self, _: Any, content: Any, __: Any) -> None:
        """A message of the page; it may be anybody's, so nothing of it is trusted."""
        if not isinstance(content, dict):
            return
        state = self.playground
        try:
            self._shout = ""
            if isinstance(content.get("form"), dict):
                state.edited({name: value for name, value in content["form"].items() if name in _FIELDS})
            wish = content.get("do")
            if wish == "run" and not state.running:  # a second click changes nothing
                state.run()
            elif wish == "stop":
                state.stop()
            elif wish == "restore":
                number = content.get("number")
                state.restore(number if type(number) is int else 0)
            elif wish == "code":
                code = state.code(str(content.get("as")), content.get("deployment") or None)
                self.form.send({"code": str(code)})
            elif wish == "models":
                state.view.publish()
        except (ConfigurationError, TemplateError) as error:
            with self._lock:
                self._shout = plain(without_keys(error), 400)
                self.form.line = self._shout


def _scorer_words(name: str, scorer: Any) -> str:
    """A scorer as people choose it: its name, and what it is."""
    what = repr(scorer) if isinstance(scorer, Scorer) else str(getattr(scorer, "__name__", ""))
    short = name.removeprefix("score_")
    return plain(f"{short}: {what}" if what and what != short else short, 120)


def _columns(inputs: Any) -> set[str]:
    if inputs is None:
        return set()
    from ..._prompts.inputs import rows_of

    return set(rows_of(inputs)[0])


@functools.cache
def _widget_class() -> type[Any]:
    """Made at the first use: importing anywidget takes a while, and `import bifrost_nb` must not load it."""
    import anywidget
    import traitlets

    from .playground import CODE

    class PlaygroundForm(anywidget.AnyWidget):
        _esm = page("playground.js")
        _css = page("playground.css")
        form = traitlets.Dict().tag(sync=True)
        told = traitlets.Dict().tag(sync=True)
        models: Any = traitlets.List().tag(sync=True)
        history: Any = traitlets.List().tag(sync=True)
        shown = traitlets.Int(0).tag(sync=True)
        line = traitlets.Unicode().tag(sync=True)
        codes = traitlets.List(list(CODE)).tag(sync=True)

    return PlaygroundForm


@functools.cache
def _results_class() -> type[Any]:
    """Answers as markup that Python has made, where there is no ``HTMLMath``."""
    import anywidget
    import traitlets

    class PlaygroundResults(anywidget.AnyWidget):
        _esm = page("safe.js", "results.js")
        value = traitlets.Unicode().tag(sync=True)

    return PlaygroundResults
