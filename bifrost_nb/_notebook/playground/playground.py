"""`playground`: try prompts on deployments side by side, by hand; everything readable and settable from Python.

The object holds the state and knows no widget: `playground_form` is what is filled in, `playground_round` what runs,
`playground_view` draws both in a notebook.
"""

from __future__ import annotations

import concurrent.futures
import threading
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from ..._client.portal import Job, portal
from ..._compare.api_choice import decided_kind
from ..._display.html import text as escape
from ..._display.table import Text
from ..._foreground.environment import takes_clicks
from ..._keys import hide
from ..._safe_text import plain
from ...errors import ConfigurationError
from ..code_export import FORMS, copy
from .form import Form
from .results import results_html
from .round import Round

if TYPE_CHECKING:
    import pandas as pd

    from ..._client.client import Client
    from ..._compare.comparison import Comparison
    from .view import PlaygroundView

__all__ = ["CODE", "Entry", "Playground", "playground"]

CODE = ("compare", *FORMS)
"""How a request can be copied: as a `compare` call with everything, else as the call of one deployment."""
LONGEST_HISTORY = 50


class Entry(NamedTuple):
    """One finished round: what was asked, and what came back."""

    number: int
    at: datetime
    """Local time."""
    form: Form
    inputs: Any
    comparison: Comparison
    html: str

    @property
    def line(self) -> str:
        """One line for a list."""
        count = len(self.form.deployments)
        who = self.form.deployments[0] if count == 1 else f"{count} deployments"
        return plain(f"#{self.number} · {self.at:%H:%M:%S} · {who} · {' '.join(self.form.prompt.split())}", 90)


def playground(
    deployments: Any = (),
    prompt: str = "",
    *,
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

    Raises ConfigurationError for wrong types; what cannot be sent yet is said in the form.

    `api`, `chat`, `system`, `fallbacks`, `repeats` and `parameters` are as in `compare`; `client` sends (None:
    one of the settings).
    """
    from ..._client.client import default_client

    made = Playground(client or default_client())
    made.update(
        deployments=deployments,
        prompt=prompt,
        inputs=inputs,
        values=values or {},
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
        self.form = Form()
        self.inputs: Any = None
        self.history: list[Entry] = []
        self.revision = 0
        """Counts the changes that did not come from the page."""
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

        Raises ConfigurationError and changes nothing where a type is wrong.
        """
        with self._lock:
            inputs = fields.pop("inputs", self.inputs)
            if inputs is not None:
                from ..._prompts.inputs import rows_of

                rows_of(inputs)
            if "chat" in fields:
                if not isinstance(chat := fields.pop("chat"), bool):
                    raise ConfigurationError(f"chat must be True or False, not {plain(repr(chat), 60)}.")
                fields["api"] = decided_kind(fields.get("api") or None, chat)
            own = {name: fields.pop(name) for name in Form.__dataclass_fields__ if name in fields}
            if fields:
                own["parameters"] = {**self.form.parameters, **own.get("parameters", {}), **fields}
            if own.get("system", "") is None:
                own["system"] = ""
            self.form, self.inputs = self.form.changed(**own), inputs
            self._changed()
        return self

    @property
    def request(self) -> dict[str, Any]:
        """What is filled in, as arguments of `compare`. Raises TemplateError while a variable has no value."""
        return self.form.request(self.inputs)

    @property
    def problem(self) -> str | None:
        """Why it cannot be run as it is filled in; None where it can."""
        return self.form.problem(self.client, self.inputs)

    def code(self, form: str = "compare", deployment: str | None = None) -> Text:
        """The request as code in one of `CODE`; other forms than ``compare`` show one deployment's first call.

        Keys are environment variables. Raises ConfigurationError and TemplateError for what cannot be sent.
        """
        if form not in CODE:
            raise ConfigurationError(f"There is no form {plain(form, 40)!r}.", hint=f"There are {', '.join(CODE)}.")
        plan = self.form.plan(self.client, self.inputs)
        if form == "compare":
            written = self.form.code(self.inputs, self.client.settings.base_url)
            return Text(hide(written, self.client.credentials.secrets))
        cells = [cell for cell in plan.trials if deployment in (None, cell.asked.deployment)]
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
        return self

    def stop(self) -> None:
        """End what runs; what had arrived is kept, and recorded as cancelled."""
        if self._round is not None and self.running:
            self._round.stop()

    def wait(self, seconds: float | None = None) -> Comparison:
        """Wait for the end of what runs, and give the comparison. An interrupt ends the wait, not the calls.

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
        """Bring back round `number` of the history: its form, its bound inputs and its answers."""
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
        return self

    def close(self) -> None:
        """Stop what runs and let go of the widgets; the object stays readable."""
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

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        last = self.shown.html if self.shown is not None else ""
        why = "The form needs a running kernel: run the cell to get it back."
        prompt = f'<div style="white-space:pre-wrap;overflow-wrap:anywhere">{escape(self.form.prompt)}</div>'
        html = f'<div><div><b>{escape(repr(self))}</b></div>{prompt}<div style="opacity:.75">{why}</div>{last}</div>'
        bundle: dict[str, Any] = {"text/plain": repr(self), "text/html": html}
        if takes_clicks():
            bundle |= self.view.bundle()
        return bundle

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
                self.history.append(Entry(self._count, datetime.now(), form, inputs, comparison, html))
                del self.history[:-LONGEST_HISTORY]
                if self._view is not None:
                    self._view.ended(current, html)
