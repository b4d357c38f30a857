"""A playground in a notebook: the form (an anywidget), the live pane of the race, the rendered answers.

In a notebook the answers are an output of their own below the form, which the file keeps (`kept`): it is replaced
after each round. Voila and marimo have no such output; there a widget shows the answers.

The page sends whole forms and wishes as custom messages and never changes a synced value itself. Python answers through
synced values, which a page that is opened later gets too. Messages come on the kernel's threads, the race is drawn from
the private loop: each only sets values, under one lock.

marimo has anywidgets and no boxes of them: there the form stands above the answers, which come when all are complete.
"""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..._client.typed_answers import AnswerSchema
from ..._compare.scoring import Scorer
from ..._foreground.comm_pump import reachable
from ..._foreground.environment import front_end
from ..._keys import without_keys
from ..._safe_text import plain
from ...errors import BifrostError, ConfigurationError, TemplateError
from ..assets import page
from ..live.live_widget import WIDGET_MIME, Pane
from .checks import EarlierTurn
from .form import Form
from .hidden_keys import put_back, without_own_keys

if TYPE_CHECKING:
    from .playground import Playground
    from .round import Round

__all__ = ["PlaygroundView"]

_FROM_PYTHON = ("score", "pictures", "images", "chats", "templates")
_FIELDS = tuple(name for name in Form.__dataclass_fields__ if name not in _FROM_PYTHON)
"""What a page may set: functions come from Python only, and pictures as bytes (``attach``)."""
MOST_PARTS = 4000
"""Of a word diff on the page; a longer one is shown as far as that."""
MOST_OF_A_TURN = 2_000
"""Characters of an earlier turn that the page shows and does not edit."""
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
        self.form = reachable(_widget_class()())
        self.form.on_msg(self._hear)
        self._live = ipywidgets.VBox([])
        where = front_end()
        self._boxes = where != "marimo"
        self.keeps = where == "notebook"
        """The answers are in an output of the notebook."""
        # Only what `render` made safe goes in here.
        self._results = ipywidgets.HTMLMath("") if self._boxes else reachable(_results_class()())
        self._results.add_class("bifrost-results")
        shown = [] if self.keeps else [self._results]
        self.box = ipywidgets.VBox([self.form, self._live, *shown])
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
        from ..known_models import KnownModels, known_models

        state = self.playground
        form = {name: getattr(state.form, name) for name in _FIELDS}
        form |= {name: list(form[name]) for name in ("deployments", "fallbacks", "scores")}
        form |= {"values": dict(form["values"]), "parameters": without_own_keys(form["parameters"])}
        form["schema"] = _schema_text(form["schema"])
        form["settings"] = {name: without_own_keys(own) for name, own in form["settings"].items()}
        form["turns"] = [[turn.role, turn.text, place] for place, turn in enumerate(form["turns"])]
        columns = _columns(state.inputs)
        told = {
            "variables": [[name, name in columns] for name in state.form.variables],
            "problem": state.problem or "",
            "calls": len(state.form.deployments)
            * len(state.form.prompts)
            * state.form.repeats
            * state.form.rows(state.inputs),
            "rows": state.form.rows(state.inputs) if state.inputs is not None else None,
            "running": state.running,
            "scorers": [[name, _scorer_words(name, scorer)] for name, scorer in state.form.score.items()],
            "goes_on": _goes_on(state),
            "version": state.versions.of(state.form) or "",
            "beside": list(state.form.templates),
            "chats": [
                [plain(name, 200), [[turn.role, plain(turn.text, MOST_OF_A_TURN)] for turn in state.form.chats[name]]]
                for name in state.form.deployments
                if name in state.form.chats
            ],
            "typed": _schema_words(state.form),
        }
        pictures = [list(turn.pictures) for turn in state.form.turns]
        try:
            known = known_models(state.client)
        except BifrostError as error:
            known = KnownModels([], None, plain(without_keys(error), 300))
        with self._lock:
            self.form.models, self.form.missing = known.deployments, known.problem or ""
            self.form.pictures = [list(state.form.pictures), *pictures]
            self.form.versions = [[name, version.line] for name, version in state.versions.items()]
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
            self._show("")
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
            self._show(html)
            self._live.children = ()
            self._let_go()
            self.publish()

    def results(self, html: str) -> None:
        """Show answers of the history."""
        with self._lock:
            self._show(html)

    def _show(self, html: str) -> None:
        if not self.keeps:
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

    def _hear(self, _: Any, content: Any, buffers: Any) -> None:
        """A message of the page; it may be anybody's, so nothing of it is trusted."""
        if not isinstance(content, dict):
            return
        try:
            self._shout = ""
            if isinstance(content.get("form"), dict):
                fields = {name: value for name, value in content["form"].items() if name in _FIELDS}
                if "turns" in fields:
                    fields["turns"] = self._turns(fields["turns"])
                given = self.playground.form
                own = (given.parameters, *given.settings.values())
                if "parameters" in fields:
                    fields["parameters"] = put_back(fields["parameters"], own)
                if isinstance(fields.get("settings"), dict):
                    fields["settings"] = {name: put_back(told, own) for name, told in fields["settings"].items()}
                if fields.get("schema") == _schema_text(self.playground.form.schema):
                    del fields["schema"]  # as Python gave it: a model stays that model
                self.playground.edited(fields)
            wish = content.get("do")
            if isinstance(wish, str) and (do := _WISHES.get(wish)) is not None:
                do(self, content, buffers)
        except (ConfigurationError, TemplateError) as error:
            with self._lock:
                self._shout = plain(without_keys(error), 400)
                self.form.line = self._shout

    def _turns(self, given: Any) -> list[EarlierTurn]:
        """The turns of the page: [role, text, which turn of ours has its pictures]. Raises ConfigurationError."""
        ours, turns = self.playground.form.turns, []
        for each in given if isinstance(given, list) else [None]:
            if not (isinstance(each, list) and len(each) == 3 and each[0] in ("user", "assistant")):
                raise ConfigurationError("turns: a turn has a role and a text.")
            role, text, at = each
            pictures = ours[at].pictures if type(at) is int and 0 <= at < len(ours) else ()
            turns.append(EarlierTurn(role, str(text), pictures))
        return turns

    def _run(self, _: Any, __: Any) -> None:
        if not self.playground.running:  # a second click changes nothing
            self.playground.run()

    def _restore(self, content: Any, _: Any) -> None:
        number = content.get("number")
        self.playground.restore(number if type(number) is int else 0)

    def _code(self, content: Any, _: Any) -> None:
        code = self.playground.code(str(content.get("as")), content.get("deployment") or None)
        self.form.send({"code": str(code)})

    def _go_on(self, content: Any, _: Any) -> None:
        each = content.get("each") is True
        self.playground.go_on(None if each else str(content.get("column")), each=each)

    def _forget(self, _: Any, __: Any) -> None:
        self.playground.update(chats={})

    def _keep(self, content: Any, _: Any) -> None:
        self.playground.keep(str(content.get("name") or "").strip() or None)

    def _use(self, content: Any, _: Any) -> None:
        self.playground.use(str(content.get("name")))

    def _beside(self, content: Any, _: Any) -> None:
        names = content.get("names")
        self.playground.beside(*(map(str, names) if isinstance(names, list) else ()))

    def _diff(self, content: Any, _: Any) -> None:
        other = content.get("to")
        diff = self.playground.diff(str(content.get("name")), str(other) if other else None)
        parts = [[kind, plain(text)] for kind, text in islice(diff.parts(), MOST_PARTS)]
        self.form.send({"diff": parts, "title": plain(diff.title, 200)})

    def _attach(self, _: Any, buffers: Any) -> None:
        pictures = [bytes(one) for one in buffers or ()]
        self.playground.update(pictures=[*self.playground.form.pictures, *pictures])

    def _detach(self, content: Any, _: Any) -> None:
        at = content.get("place")
        kept = [url for place, url in enumerate(self.playground.form.pictures) if place != at]
        self.playground.update(pictures=kept)


_WISHES: Mapping[str, Callable[[PlaygroundView, Any, Any], None]] = {
    "run": PlaygroundView._run,
    "stop": lambda view, _, __: view.playground.stop(),
    "restore": PlaygroundView._restore,
    "code": PlaygroundView._code,
    "models": lambda view, _, __: view.publish(),
    "go_on": PlaygroundView._go_on,
    "forget": PlaygroundView._forget,
    "keep": PlaygroundView._keep,
    "use": PlaygroundView._use,
    "beside": PlaygroundView._beside,
    "diff": PlaygroundView._diff,
    "attach": PlaygroundView._attach,
    "detach": PlaygroundView._detach,
}


def _goes_on(state: Playground) -> list[str]:
    """The columns whose answers a conversation can go on with: none where several prompts were asked."""
    entry = state.shown
    if state.running or entry is None or entry.form.templates:
        return []
    return [name for name, _ in entry.answers]


def _scorer_words(name: str, scorer: Any) -> str:
    """A scorer as people choose it: its name, and what it is."""
    what = repr(scorer) if isinstance(scorer, Scorer) else str(getattr(scorer, "__name__", ""))
    short = name.removeprefix("score_")
    return plain(f"{short}: {what}" if what and what != short else short, 120)


def _schema_text(schema: Any) -> str:
    """What answers must look like, as a person edits it."""
    if schema is None or isinstance(schema, str):
        return schema or ""
    return json.dumps(AnswerSchema.of(schema).schema, indent=2, ensure_ascii=False)


def _schema_words(form: Form) -> list[str]:
    """[how answers are read, what is wrong with the schema]: both empty where they may be anything."""
    try:
        given = form.answer_schema
    except ConfigurationError as error:
        return ["", plain(without_keys(error), 400)]
    if given is None:
        return ["", ""]
    found = AnswerSchema.of(given)
    return [plain(f"Answers are read as {found.name}: {', '.join(found.dtypes) or 'no fields'}", 200), ""]


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
        _esm = page("picture.js", "press.js", "playground_parts.js", "playground.js")
        _css = page("playground.css")
        form = traitlets.Dict().tag(sync=True)
        told = traitlets.Dict().tag(sync=True)
        models: Any = traitlets.List().tag(sync=True)
        missing = traitlets.Unicode().tag(sync=True)
        pictures: Any = traitlets.List().tag(sync=True)
        versions: Any = traitlets.List().tag(sync=True)
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
