"""`playground`: try prompts on deployments side by side, by hand; everything readable and settable from Python.

The object holds the state and knows no widget: `form` is what is filled in, `round` what runs, `view` draws both in a
notebook, and `kept` is what stays in the notebook's file.
"""

from __future__ import annotations

import concurrent.futures
import threading
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from ..._client.portal import Job, portal
from ..._compare.api_choice import decided_kind
from ..._compare.text_diff import TextDiff
from ..._display.table import Text
from ..._foreground.environment import kernel, takes_clicks
from ..._keys import hide
from ..._prompts.inputs import rows_of
from ..._prompts.messages import checked_turns
from ..._prompts.template import escape
from ..._safe_text import plain, quoted
from ...errors import ConfigurationError
from ..code_export import FORMS, copy
from .checks import CHECKS, EarlierTurn
from .code import request_code
from .form import Form
from .kept import kept_bundle
from .results import results_html
from .round import Round
from .versions import Version, Versions

if TYPE_CHECKING:
    import pandas as pd

    from ..._client.client import Client
    from ..._compare.comparison import Comparison
    from ..._runs.run import Run
    from .view import PlaygroundView

__all__ = ["CODE", "Entry", "Playground", "playground"]

CODE = ("compare", *FORMS)
"""How a request can be copied: as a `compare` call with everything, else as the call of one deployment."""
LONGEST_HISTORY = 50


class Entry(NamedTuple):
    """One finished round, `number` from 1: what was asked (`form`, bound `inputs`), and what came back (`comparison`).

    `html` is how it is shown.
    """

    number: int
    at: datetime
    """Local time."""
    form: Form
    inputs: Any
    comparison: Comparison
    html: str
    answers: list[tuple[str, Run]]
    """Of each column, by its name: the answer to the first prompt."""

    @property
    def line(self) -> str:
        """One line for a list."""
        count = len(self.form.deployments)
        who = self.form.deployments[0] if count == 1 else f"{count} deployments"
        return plain(f"#{self.number} · {self.at:%H:%M:%S} · {who} · {' '.join(self.form.prompt.split())}", 90)


def playground(
    deployments: Any = (),
    prompt: Any = "",
    *,
    messages: Any = None,
    turns: Any = (),
    pictures: Any = (),
    images: Any = (),
    schema: Any = None,
    settings: Any = None,
    inputs: Any = None,
    values: Any = None,
    api: str | None = None,
    chat: bool = False,
    system: str = "",
    fallbacks: Any = (),
    repeats: int = 1,
    score: Any = None,
    client: Client | None = None,
    **parameters: Any,
) -> Playground:
    """A form to choose deployments, write a prompt with ``{{variables}}``, run it, and read the answers side by side.

    What is passed fills the form in, under the names of `compare`; `inputs` (a DataFrame, a dict of lists, a list of
    dicts) binds rows for the variables, `values` gives one text for each. `score` judges the answers: a scorer of
    `bifrost_nb.scorers`, a function, or a dict of them, among which the form then lets one choose::

        play = bf.playground(["azure/fast", "azure/large"], "Capital of {{country}}?", inputs=rows,
                             score={"right": bf.scorers.contains("capital")})
        play.run().wait().frame["score_right"]

    A deployment may be a dict with settings of its own, as in `compare`: what it has takes the place of what all have,
    and with a `name` the same one can stand there twice. `settings` gives them by column, to the same effect::

        bf.playground(["azure/fast", {"deployment": "azure/fast", "name": "cold", "temperature": 0}], "Name a bird.")

    `prompt` may be a dict of named prompts, which are asked beside each other: variants, as in `compare`. Each is kept
    as a version (`Playground.keep`), the last is filled in; `Playground.beside` chooses others.
    `turns` are what was said before, as messages of ``user`` and ``assistant``; `messages` is a whole conversation,
    whose last turn becomes the prompt. `pictures` (paths, bytes, PIL images, arrays, figures) go behind the prompt;
    `images` names columns of `inputs` that hold pictures. With a `schema` (a pydantic model, a JSON schema, or its text
    as it is typed on the page) each answer is read by it: the round then says which fit it, and on which fields the
    columns differ.

    In a notebook each round stays beside the form as a static output: a saved notebook shows what was asked and
    answered without a kernel, and `bf.from_notebook` reads the runs from it.

    Raises ConfigurationError for wrong types; what cannot be sent yet is said in the form.

    `api`, `chat`, `system`, `fallbacks`, `repeats` and `parameters` are as in `compare`; `client` sends (None:
    one of the settings).
    """
    from ..._client.client import chosen_client
    from ..._compare.asked_deployments import check_names

    check_names(playground, parameters)
    made = Playground(chosen_client(client))
    made.update(
        deployments=deployments,
        prompt=prompt,
        turns=turns,
        **({} if messages is None else {"messages": messages}),
        pictures=pictures,
        images=() if images is None else images,
        schema=schema,
        settings={} if settings is None else settings,
        inputs=inputs,
        values={} if values is None else values,
        api=decided_kind(api, chat),
        system=system,
        fallbacks=fallbacks,
        repeats=repeats,
        score=score,
        **parameters,
    )
    return made


class Playground:
    """The state of a playground. Its display in a notebook is the form; the object works without one.

    `form` is what is filled in, `inputs` the bound rows, `history` the finished rounds, the last 50 of them.

        form = bf.playground(["azure/fast"], "Name a {{what}}.", values={"what": "bird"})
        form.frame
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        """What sends."""
        self.form = Form()
        self.inputs: Any = None
        self.history: list[Entry] = []
        self.versions = Versions()
        """The kept prompts by name."""
        self.revision = 0
        """Counts the changes that did not come from the page."""
        self._display_id = f"bifrost-playground-{uuid.uuid4().hex[:12]}"
        self._kept_shown = False
        """There is an output of the rounds in the notebook, to be written anew."""
        self._lock = threading.RLock()
        self._round: Round | None = None
        self._shown: Comparison | None = None
        self._job: Job[None] | None = None
        self._busy = False
        self._count = 0
        self._view: PlaygroundView | None = None

    # What is filled in

    def update(self, **fields: Any) -> Playground:
        """Fill fields in, under the names of `compare`; everything else is a parameter (None: the default).

            play.update(prompt="Name a {{what}}.", values={"what": "tree"}, max_tokens=20)

        `settings` of a column stay with it while it is not chosen.

        Raises ConfigurationError and changes nothing where a type is wrong.
        """
        with self._lock:
            inputs = fields.pop("inputs", self.inputs)
            if inputs is not None:
                rows_of(inputs)
            if (messages := fields.pop("messages", None)) is not None:
                fields |= _conversation(messages)
            named = fields.get("prompt")
            if isinstance(named, Mapping) and named:
                fields["prompt"] = list(named.values())[-1]
            if named is not None:  # a text asks that alone
                fields.setdefault("templates", named if isinstance(named, Mapping) and len(named) > 1 else {})
            if "chat" in fields:
                if not isinstance(chat := fields.pop("chat"), bool):
                    raise ConfigurationError(f"chat must be True or False, not {quoted(chat, 60)}.")
                fields["api"] = decided_kind(fields.get("api") or None, chat)
            own = {name: fields.pop(name) for name in Form.__dataclass_fields__ if name in fields}
            if fields:
                own["parameters"] = {**self.form.parameters, **own.get("parameters", {}), **fields}
            if own.get("system", "") is None:
                own["system"] = ""
            form, versions = self.form.changed(**own), Versions(self.versions)
            for name, text in (named if isinstance(named, Mapping) else {}).items():
                versions.keep(form.changed(prompt=text), name)
            more = len(versions) > len(self.versions)
            self.form, self.inputs, self.versions = form, inputs, versions
            self._changed()
            if more:
                self._write()
        return self

    @property
    def request(self) -> dict[str, Any]:
        """What is filled in, as arguments of `compare`. Raises TemplateError while a variable has no value, and
        ConfigurationError while the schema is not one."""
        return self.form.request(self.inputs)

    @property
    def problem(self) -> str | None:
        """Why it cannot be run as it is filled in; None where it can."""
        return self.form.problem(self.client, self.inputs)

    def code(self, form: str = "compare", deployment: str | None = None) -> Text:
        """The request as code; other forms than ``compare`` show the first call of one `deployment` (None: the first).

            print(play.code("curl"))

        `form` is ``compare``, ``curl``, ``httpx``, ``openai`` or ``magic``. Keys are environment variables. Raises
        ConfigurationError and TemplateError for what cannot be sent.
        """
        if form not in CODE:
            raise ConfigurationError(f"There is no form {plain(form, 40)!r}.", hint=f"There are {', '.join(CODE)}.")
        plan = self.form.plan(self.client, self.inputs)
        if form == "compare":
            written = request_code(self.form, self.inputs, self.client)
            return Text(hide(written, self.client.credentials.secrets))
        cells = [cell for cell in plan.trials if deployment in (None, cell.asked.name, cell.asked.deployment)]
        if not cells:
            raise ConfigurationError(f"{plain(deployment, 100)!r} is not chosen.")
        return copy(self.client, plan.call(self.client, cells[0]).run, form)

    # What runs

    @property
    def running(self) -> bool:
        """Whether calls are under way."""
        return self._busy

    def run(self) -> Playground:
        """Send what is filled in and return at once; `wait` gives the result. Every call is sent anew.

            play.run().wait().summary()

        Raises ConfigurationError and TemplateError, also while a round is under way.
        """
        with self._lock:
            if self.running:
                raise ConfigurationError("The playground is running.", hint="stop() it, or wait() for its end.")
            self._round = Round(self.client, self.form.plan(self.client, self.inputs), self.form.scorers)
            self._busy = True
            if self._view is not None:
                self._view.began(self._round)
            self._job = portal().start(self._run(self._round, self.form, self.inputs))
            self._published()
            self._write()
        return self

    def stop(self) -> None:
        """End what runs; what had arrived is kept, and recorded as cancelled.

        For example:

            play.stop()
        """
        if self._round is not None and self.running:
            self._round.stop()

    def wait(self, seconds: float | None = None) -> Comparison:
        """Wait for the end of what runs, and give the comparison. An interrupt ends the wait, not the calls.

            play.wait(seconds=60).frame

        Raises TimeoutError after `seconds`, ConfigurationError where nothing was run.
        """
        if self._job is None:
            raise ConfigurationError("Nothing was run yet.", hint="Fill the form in and run() it.")
        try:
            self._job.result(seconds)
        except concurrent.futures.TimeoutError:
            raise TimeoutError(f"The playground is still running after {seconds} s.") from None
        found = self.comparison
        if found is None:
            raise ConfigurationError("Nothing was run yet.", hint="Fill the form in and run() it.")
        return found

    @property
    def comparison(self) -> Comparison | None:
        """The answers on display: of the round under way as far as it is, else of the last or the restored one."""
        with self._lock:
            return self._round.comparison if self._round is not None and self._busy else self._shown

    @property
    def shown(self) -> Entry | None:
        """The round of the history whose answers are on display; None while one runs and before the first."""
        with self._lock:
            return next((entry for entry in self.history if entry.comparison is self.comparison), None)

    @property
    def frame(self) -> pd.DataFrame:
        """One row per run of `comparison`, with the columns of every frame."""
        from ..._runs.frame import to_frame

        found = self.comparison
        return to_frame([]) if found is None else found.frame

    def restore(self, number: int) -> Playground:
        """Bring back round `number` of the history: its form, its bound inputs and its answers.

            play.restore(1)

        Raises ConfigurationError where there is no such round.
        """
        entry = next((each for each in self.history if each.number == number), None)
        if entry is None:
            known = ", ".join(str(each.number) for each in self.history) or "none"
            raise ConfigurationError(f"The history has no round {plain(number, 20)}.", hint=f"It has {known}.")
        with self._lock:
            self.form, self.inputs = entry.form, entry.inputs
            if not self.running:
                self._shown = entry.comparison
                if self._view is not None:
                    self._view.results(entry.html)
            self._changed()
            self._write()
        return self

    # Conversations and versions

    def go_on(self, column: str | None = None, *, each: bool = False) -> Playground:
        """Let the conversation go on with the answer of `column` to the round on display: a turn more, for all columns.

        What was asked and that answer become earlier turns, and the prompt is free for what comes next. The other
        answers stay in the history. With `each` every column goes on with its own answer, in a conversation of its own
        (`Form.chats`), until one of them is chosen to go on with. Of several bound rows each goes on with its own
        answer, in a new column ``answer_1``. Raises ConfigurationError where there is no such answer.

            play.run().wait()
            play.go_on("azure/fast").update(prompt="And in winter?").run().wait()
            play.go_on(each=True).update(prompt="And in spring?").run()
        """
        with self._lock:
            entry = self.shown
            if entry is None:
                raise ConfigurationError("There is no answer to go on with.", hint="run() first, and wait() for it.")
            if each and column is not None:
                raise ConfigurationError("Each column goes on, or one that is named.", hint="Leave one of the two out.")
            form, inputs = entry.form, entry.inputs
            if form.templates:
                raise ConfigurationError(
                    "Several prompts were asked beside each other.",
                    hint="Ask one of them alone: play.beside().use(...).",
                )
            names = [name for name, _ in entry.answers] if each else [_column_of(entry, column)]
            chats: dict[str, tuple[EarlierTurn, ...]] = {}
            for place, name in enumerate(names, 1):
                before, found = form.turns_of(name), _answers_of(entry, name)
                said = escape(found[0])
                if len(found) > 1:
                    number = 1 + sum(turn.role == "assistant" for turn in before)
                    made = f"answer_{number}_{place}" if each else f"answer_{number}"
                    said = f"{{{{{made}}}}}"
                    inputs = [{**row, made: answer} for row, answer in zip(rows_of(inputs), found, strict=True)]
                chats[name] = (
                    *before, EarlierTurn("user", form.prompt, form.pictures), EarlierTurn("assistant", said),
                )  # fmt: skip
            drafted = self.form.prompt != form.prompt  # what was typed meanwhile is the next turn
            self.form = form.changed(
                turns=() if each else chats[names[0]],
                chats=chats if each else {},
                prompt=self.form.prompt if drafted else "",
                pictures=self.form.pictures if drafted else (),
                values={**form.values, **self.form.values},
            )
            self.inputs = inputs
            self._changed()
        return self

    def keep(self, name: str | None = None) -> Version:
        """Keep the prompt that is filled in, with system message and earlier turns, as `name` (None: v1, v2, ...).

        A kept prompt stays as it is. Raises ConfigurationError where `name` is another prompt's.

            play.keep("short")
        """
        with self._lock:
            version = self.versions.keep(self.form, name)
            self._changed()
            self._write()
        return version

    def use(self, name: str) -> Playground:
        """Fill in the prompt that was kept as `name`. Raises ConfigurationError where there is none.

        For example:

            play.use("short")
        """
        with self._lock:
            self.form = self.form.changed(**self.versions.named(name).fields)
            self._changed()
        return self

    def beside(self, *names: str) -> Playground:
        """Ask the prompts that were kept as `names` beside each other, each of each deployment; no name: one prompt.

        What is filled in is one more of them, called ``now``, where it is another text. Raises ConfigurationError for
        a name that there is not, or whose prompt has another system message, earlier turns or pictures.

            play.keep("short")
            play.update(prompt="Please be so kind as to name a {{what}}.")
            play.beside("short").run()
        """
        with self._lock:
            chosen = [self.versions.named(name) for name in dict.fromkeys(names)]
            for version in chosen:
                if version.fields != {name: getattr(self.form, name) for name in version.fields} | {
                    "prompt": version.prompt
                }:
                    raise ConfigurationError(
                        f"{version.name} was kept with another system message, earlier turns or pictures.",
                        hint="use() it alone.",
                    )
            self.form = self.form.changed(templates={version.name: version.prompt for version in chosen})
            self._published()  # no field of the page is another one: what is typed meanwhile stays
        return self

    def diff(self, a: str, b: str | None = None) -> TextDiff:
        """The words that change from the kept prompt `a` to `b`; without `b`, to what is filled in now.

        Raises ConfigurationError where there is no such prompt.

            play.diff("short", "long")
        """
        return self.versions.diff(a, b, self.form.text)

    def close(self) -> None:
        """Stop what runs and let go of the widgets; the object stays readable.

        For example:

            play.close()
        """
        self.stop()
        with self._lock:
            view, self._view = self._view, None
        if view is not None:
            view.close()

    # How it shows itself

    def __repr__(self) -> str:
        asked = ", ".join(self.form.deployments) or "no deployment chosen"
        rounds = f"{len(self.history)} {'round' if len(self.history) == 1 else 'rounds'} in the history"
        state = "running" if self.running else "not running"
        return plain(f"Playground: {asked}{f' · {self.form.api}' if self.form.api else ''} · {state} · {rounds}", 400)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """The rounds, as they are kept."""
        bundle, metadata = self.kept()
        return {**bundle, "text/plain": f"{self!r}\n\n{bundle['text/plain']}"}, metadata

    def _ipython_display_(self) -> None:
        """The form where somebody can fill it in, and the rounds below it: an output that the notebook keeps."""
        if takes_clicks():
            _display({**self.view.bundle(), "text/plain": repr(self)}, {})
        if not takes_clicks() or self.view.keeps:
            self._kept_shown = kernel() is not None
            _display(*self._repr_mimebundle_(), display_id=self._display_id)

    def kept(self) -> tuple[dict[str, str], dict[str, Any]]:
        """What the notebook keeps: the rounds and versions as static text and HTML, and their runs as metadata."""
        with self._lock:
            entries, versions, shown = list(self.history), Versions(self.versions), self.shown
        return kept_bundle(entries, versions, None if shown is None else shown.number)

    def _display_(self) -> Any:
        """What marimo shows."""
        import marimo

        return marimo.vstack(self.view.parts)

    @property
    def view(self) -> PlaygroundView:
        """The form in the notebook, made at the first use."""
        with self._lock:
            if self._view is None:
                from .view import PlaygroundView

                self._view = PlaygroundView(self)
                if self._round is not None and self._busy:
                    self._view.began(self._round)
            return self._view

    def edited(self, fields: dict[str, Any]) -> None:
        """Take in what was filled in on the page. Raises ConfigurationError."""
        with self._lock:
            self.form = self.form.changed(**fields)
            self._published()

    def _changed(self) -> None:
        self.revision += 1
        self._published()

    def _write(self) -> None:
        """Let the notebook's output of the rounds be what there is now; from any thread."""
        if self._kept_shown:
            _display(*self._repr_mimebundle_(), display_id=self._display_id, update=True)

    def _published(self) -> None:
        if self._view is not None:
            self._view.publish()

    async def _run(self, current: Round, form: Form, inputs: Any) -> None:
        import asyncio

        def draw() -> None:
            if self._view is not None:
                self._view.draw(current)

        try:
            await current.run(draw)
        finally:
            comparison = current.comparison
            html = await asyncio.to_thread(results_html, current, comparison)
            with self._lock:
                self._count += 1
                self._busy, self._shown = False, comparison
                answers = list(zip(current.names, current.shown, strict=True))
                self.history.append(Entry(self._count, datetime.now(), form, inputs, comparison, html, answers))
                del self.history[:-LONGEST_HISTORY]
                if self._view is not None:
                    self._view.ended(current, html)
                self._write()


def _conversation(messages: Any) -> dict[str, Any]:
    """A whole conversation as fields: system message, earlier turns, prompt. Raises ConfigurationError."""
    turns = list(checked_turns(messages))
    system = turns.pop(0)["content"] if turns[0]["role"] in ("system", "developer") else None
    if not turns or turns[-1]["role"] != "user":
        raise ConfigurationError("messages must end with a turn of the user: it becomes the prompt.")
    last = CHECKS["turns"]("messages", turns[-1:])[0]
    fields = {"turns": turns[:-1], "prompt": last.text, "pictures": last.pictures}
    return fields if system is None else {**fields, "system": system}


def _column_of(entry: Entry, column: str | None) -> str:
    """The column of a round that is meant. Raises ConfigurationError."""
    names = [name for name, _ in entry.answers]
    if column is None and len(names) == 1:
        column = names[0]
    if column is None or column not in names:
        what = f"{plain(column, 60)!r} is no column of that round" if column else "Choose whose answer goes on"
        raise ConfigurationError(f"{what}; it has {', '.join(names)}.", hint="Or each with its own: go_on(each=True).")
    return column


def _answers_of(entry: Entry, column: str) -> list[str]:
    """The answers of one column of a round, a text for each prompt. Raises ConfigurationError."""
    plan = entry.comparison.plan
    by_prompt = {
        trial.prompt.prompt_id: run
        for trial, run in zip(entry.comparison.trials, entry.comparison.runs, strict=True)
        if trial.asked.name == column and trial.repeat == 0
    }
    runs = [by_prompt.get(prompt.prompt_id) for prompt in plan.prompts]
    texts = [run.text for run in runs if run is not None and run.status == "ok" and run.text.strip()]
    if len(texts) < len(runs):
        called = any(run is not None and run.tool_calls for run in runs)
        hint = (
            "It calls tools: compare conversations with tools by bf.compare(..., messages=[...])." if called else None
        )
        count = f"{len(runs) - len(texts)} of {len(runs)} answers" if len(runs) > 1 else "The answer"
        raise ConfigurationError(f"{count} of {column} cannot be gone on with: no text, or not complete.", hint=hint)
    return texts


def _display(bundle: dict[str, Any], metadata: dict[str, Any], **options: Any) -> None:
    from IPython.display import display

    display(bundle, metadata=metadata, raw=True, **options)  # type: ignore[no-untyped-call]
