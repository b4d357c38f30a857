"""``--bg NAME``: calls that go on while other cells run."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
from collections.abc import Generator, Sequence
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from ..._client.typed_answers import AnswerSchema, read_answer
from ..._display.run import Runs, metadata_many, mimebundle, mimebundle_many
from ..._foreground.environment import front_end
from ..._runs.pending import UNATTENDED_PATIENCE_S
from ..magic.options import Options
from .race import Race, RaceUpdate

if TYPE_CHECKING:
    from ..._client.calls import Call, Outcome
    from ..._client.client import Client
    from ..._runs.run import Run

__all__ = ["BackgroundJob"]

REDRAW_S = 0.25
COST_WAIT_S = 2.0
"""How long whoever waits for a job waits on for a cost that only the gateway's log tells."""


class BackgroundJob:
    """Calls in the background: ``await job`` gives their result, ``job.cancel()`` ends them.

    `runs` are their records, in flight while ``status`` is None. Each is in the run log when it ends, whether or not
    anybody looks. The card under the cell has a Stop button where the front end has widgets; it is redrawn by the
    kernel's own loop between cells, and without such a loop (terminal) there is no card.
    """

    def __init__(
        self, client: Client, calls: Sequence[Call], options: Options, schema: AnswerSchema | None = None
    ) -> None:
        self.name = name = options.bg or "job"
        self._schema = schema
        self._form, self._raises = options.format, not options.no_raise
        self.runs = Runs(call.run for call in calls)
        self._inbox: SimpleQueue[RaceUpdate] = SimpleQueue()
        self._race = Race(self.runs, name)
        self._client = client
        self._handle: Any = None
        self._pane: Any = None
        self._late_s = 0.0
        self._jobs: list[concurrent.futures.Future[Outcome]] = [
            client.start(call, lambda _, pieces, index=index: self._inbox.put(RaceUpdate(index, pieces)))  # type: ignore[misc]
            for index, call in enumerate(calls)
        ]
        if not options.quiet:
            self._show()

    @property
    def done(self) -> bool:
        """Whether every call has ended and is recorded."""
        return all(job.done() for job in self._jobs)

    def cancel(self, column: int | None = None) -> None:
        """End what still runs, or call number `column`; what had arrived is kept, with status ``cancelled``."""
        for job in self._jobs if column is None else self._jobs[column : column + 1]:
            job.cancel()

    def result(self, timeout: float | None = None) -> Run | Runs:
        """Wait for the end, at most `timeout` seconds; the run, or all runs. Raises the first error."""
        waiting = concurrent.futures.wait(self._jobs, timeout).not_done
        if waiting:
            raise TimeoutError(f"{self.name} is still running; {self._race.summary}.")
        return self._finished()

    def __await__(self) -> Generator[Any, None, Run | Runs]:
        return self._waited().__await__()

    async def _waited(self) -> Run | Runs:
        # Shielded: interrupting the wait must not end the work.
        await asyncio.gather(*(asyncio.shield(asyncio.wrap_future(job)) for job in self._jobs))
        alone = front_end() in ("unattended", "page")  # nobody looks again there
        patience = UNATTENDED_PATIENCE_S if alone else COST_WAIT_S
        await asyncio.to_thread(self._client.wait_costs, self.runs, patience)
        return self._finished()

    def _read(self) -> None:
        """Read the answers by their schema, each once it is complete."""
        for run in self.runs:
            if run.status is not None and run.valid is None:
                read_answer(run, self._schema)

    def _finished(self) -> Run | Runs:
        self._read()
        self._draw()  # now and for the cell that waits: unattended tools drop what is sent for an earlier one
        for job in self._jobs:
            if (error := job.result().error) is not None and self._raises:
                raise error
        return self.runs[0] if len(self.runs) == 1 else self.runs

    @property
    def _how_to_stop(self) -> str:
        # The interrupt key stops what the kernel does just now, which this is not.
        return f"Goes on in the background; %bifrost cancel {self.name} stops it."

    @property
    def states(self) -> str:
        """How far each run is, in words."""
        return ", ".join(f"{run.requested}: {run.status or 'in flight'}" for run in self.runs)

    def __repr__(self) -> str:
        return f"<{self.name}: {self.states}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, str], dict[str, Any]]:
        return self._bundle(), self._evidence()

    def _evidence(self) -> dict[str, Any]:
        return metadata_many(self.runs) if self.done else {}

    def _bundle(self) -> dict[str, str]:
        if not self.done:
            from .html_view import Basic

            return {**Basic(self._race, self._how_to_stop).bundle(), "text/plain": repr(self)}
        if len(self.runs) == 1:
            return mimebundle(self.runs[0], form=self._form)
        return mimebundle_many(self.runs, form=self._form)

    def _show(self) -> None:
        from IPython.core.getipython import get_ipython
        from IPython.display import display

        shell = get_ipython()
        if shell is None or not hasattr(shell, "kernel"):
            return
        bundle = self._bundle()
        if front_end() == "notebook":
            with contextlib.suppress(Exception):  # widgets missing, broken or of another version: a card without
                from .live_widget import Pane

                self._pane = Pane(self._race, self.cancel, self._form, hint=self._how_to_stop)
                bundle = {**self._pane.bundle(), "text/plain": repr(self)}
        self._handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        with contextlib.suppress(RuntimeError):  # no loop in this thread: the card stays as it is
            asyncio.get_running_loop().call_later(REDRAW_S, self._redraw)

    def _redraw(self) -> None:
        done = self.done  # asked before drawing, so that the last drawing shows the end
        self._draw()
        lacking = done and any(run.cost_usd is None for run in self.runs)
        self._late_s += REDRAW_S if lacking else 0
        if not done or (lacking and self._late_s < UNATTENDED_PATIENCE_S):
            asyncio.get_running_loop().call_later(REDRAW_S, self._redraw)

    def _draw(self) -> None:
        if self._handle is None:
            return
        with contextlib.suppress(Empty):
            while True:
                self._race.receive([self._inbox.get_nowait()])
        self._read()
        if self._pane is not None:
            self._pane.update(final=self.done)
            if not self.done:
                return
            pane, self._pane = self._pane, None
            self._handle.update(self._bundle(), raw=True, metadata=self._evidence())
            pane.close()
            return
        self._handle.update(self._bundle(), raw=True, metadata=self._evidence())
