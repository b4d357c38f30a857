"""`watch`: start calls, show them while they run, leave the finished answers in the notebook."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from ..._client.calls import Call, Outcome
from ..._client.typed_answers import AnswerSchema, read_answer
from ..._display.describe import duration
from ..._foreground.environment import front_end
from ..._foreground.wait import Interrupted, Interrupts, drain, wait_for_costs
from ..._runs.pieces import Pieces
from ..._runs.run import Run
from .race import Race, RaceUpdate

if TYPE_CHECKING:
    from ..._client.client import Client

__all__ = ["Interrupted", "watch"]

COST_WAIT_S = 1.0
"""The static answer waits at most so long for a cost that comes from the gateway's log."""

Stop = Callable[[int | None], None]


def watch(
    client: Client,
    calls: Iterable[Call],
    *,
    title: str | None = None,
    quiet: bool = False,
    form: str = "md",
    schema: AnswerSchema | None = None,
) -> list[Outcome]:
    """Send all `calls` at once and show them live until every one has ended; their outcomes, in order.

    In a notebook the live view has a Stop button for each call and is replaced by the static answers (HTML and
    text); in a terminal the text is written as it comes; where nobody watches (nbconvert, papermill) only the static
    answers are shown. `quiet` shows nothing; `form` is how the static answers are read (`_display.run.FORMS`), `schema`
    what they must fit. A call stopped by a click ends with status ``cancelled`` and no error.

    The interrupt key cancels all calls, waits until they are recorded, shows what had arrived, and raises
    `Interrupted` (one line, Run All stops), whose `runs` are the recorded runs; a second one leaves at once.
    """
    calls = list(calls)
    if not calls:
        return []
    race = Race((call.run for call in calls), title)
    inbox: SimpleQueue[RaceUpdate] = SimpleQueue()
    jobs: list[Future[Outcome]] = []

    def stop(column: int | None) -> None:
        for job in jobs if column is None else jobs[column : column + 1]:
            job.cancel()

    def draw(arrivals: list[RaceUpdate]) -> None:
        race.receive(arrivals)
        view.update()

    with Interrupts(inbox) as interrupts:
        view = _view(race, stop, quiet, form)  # before the calls: loading the widgets would disturb their times
        try:
            jobs += [client.start(call, _sink(inbox, index)) for index, call in enumerate(calls)]
            view.open()
            drain(jobs, inbox, draw, interrupts=interrupts)
            asked = [column.run for column in race.columns]
            wait_for_costs(client, asked, COST_WAIT_S, interrupts, view.update, step=0.1)
        finally:  # also after a second interrupt: nothing is left running, and what had arrived is shown
            stop(None)
            for column in race.columns:
                column.cost_settled = True
                read_answer(column.run, schema)
            view.close()
    if interrupts.count:
        raise Interrupted(_what_was_stopped(race), [call.run for call in calls])
    return [job.result() for job in jobs]


def _sink(inbox: SimpleQueue[RaceUpdate], index: int) -> Callable[[Run, Pieces], None]:
    """What the private loop calls for column `index`: it only queues, drawing is the cell's thread's work."""
    return lambda _, pieces: inbox.put(RaceUpdate(index, pieces))


def _what_was_stopped(race: Race) -> str:
    count = len(race.columns)
    stopped = sum(column.run.status == "cancelled" for column in race.columns)
    if not stopped:
        return "nothing was left to stop; what has arrived is in the run log."
    calls = "the call was stopped" if count == 1 else f"{stopped} of {count} calls were stopped"
    return f"{calls} after {duration(1000 * race.elapsed_s)}; what had arrived is in the run log."


class _WatchView(Protocol):
    def open(self) -> None: ...

    def update(self) -> None: ...

    def close(self) -> None: ...


def _view(race: Race, stop: Stop, quiet: bool, form: str) -> _WatchView:
    if quiet:
        return _Silent()
    where = front_end()
    if where == "terminal":
        return _InTerminal(race)
    return _InNotebook(race, stop, form) if where == "notebook" else _Unattended(race, form)


class _Silent:
    def open(self) -> None:
        pass

    update = close = open


class _InTerminal:
    def __init__(self, race: Race) -> None:
        from .terminal_view import Terminal

        self._terminal = Terminal(race)
        self.open, self.update = self._terminal.open, self._terminal.update

    def close(self) -> None:
        self._terminal.update(final=True)


class _Unattended:
    """Shows the static answers at the end and nothing before: a widget would only be saved into the file."""

    def __init__(self, race: Race, form: str) -> None:
        self._race, self._form = race, form

    def open(self) -> None:
        pass

    update = open

    def close(self) -> None:
        _display(*_static(self._race, self._form))


class _InNotebook:
    """One display: the live view first, the static answers at the end."""

    def __init__(self, race: Race, stop: Stop, form: str) -> None:
        self._race, self._form = race, form
        self._pane: Any = None
        self._basic: Any = None
        self._handle: Any = None
        try:
            from .live_widget import Pane

            self._pane = Pane(race, stop, form)
        except Exception:  # noqa: BLE001 - widgets missing, broken or of another version: show it without
            from .html_view import Basic

            self._basic = Basic(race)

    def open(self) -> None:
        self._handle = _display((self._pane or self._basic).bundle())

    def update(self) -> None:
        if self._pane is not None:
            self._pane.update()
        elif self._basic.due():
            self._handle.update(self._basic.bundle(), raw=True)

    def close(self) -> None:
        if self._pane is not None:
            self._pane.update(final=True)
        if self._handle is not None:
            bundle, metadata = _static(self._race, self._form)
            self._handle.update(bundle, metadata=metadata, raw=True)
        if self._pane is not None:
            self._pane.close()


def _static(race: Race, form: str) -> tuple[dict[str, str], dict[str, Any]]:
    """What stays in the notebook, and its metadata: markup and text only, that need no kernel, widget or network."""
    from ..._display.run import metadata, metadata_many, mimebundle, mimebundle_many, without_texts

    runs = [column.so_far for column in race.columns]
    one = len(runs) == 1
    bundle = mimebundle(runs[0], form=form) if one else mimebundle_many(runs, form=form)
    return bundle, without_texts(metadata(runs[0]) if one else metadata_many(runs), runs, bundle["text/plain"])


def _display(bundle: dict[str, Any], metadata: dict[str, Any] | None = None) -> Any:
    from IPython.display import display

    return display(bundle, metadata=metadata, raw=True, display_id=True)  # type: ignore[no-untyped-call]
