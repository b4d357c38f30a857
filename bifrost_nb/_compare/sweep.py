"""Run the calls of a plan on the private loop: at the pace of each deployment, within a budget, one result a cell.

One task decides what starts next; nothing waits in line with a connection or a clock running. A call's own times begin
when it is sent, its time in our queue is kept apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .._client.call_notes import is_shared
from .._display.describe import error_text
from .._runs.redact_hook import as_written
from .._runs.store import RunStore
from .._safe_text import plain
from ..errors import (
    AuthenticationFailed,
    BifrostError,
    BudgetExceeded,
    ConnectionFailed,
    GatewayError,
    NotFound,
    RateLimited,
)
from .asked_deployments import AskedDeployment
from .budget import Budget
from .concurrency import ConcurrencyLimiter
from .plan import Plan, Trial
from .resume import notes_on

if TYPE_CHECKING:
    from .._client.calls import Call, Outcome
    from .._client.client import Client
    from .._client.transport import Sink
    from .._runs.run import Run

__all__ = ["GIVEN_UP", "Progress", "Sweep"]

GIVEN_UP = " was given up: "
"""Between a deployment's name and why nothing more was sent to it."""

MAX_SENDS = 6
"""Most times that one cell is sent when the answer is 429."""
SETBACKS = 8
"""After this many bursts of refusals without an answer between them, some 90 s, its other trials stay unsent."""
SETBACKS_AT_FIRST = 2
"""The same for a gateway that never answered in this sweep: its address is more likely wrong than it is restarting."""
MAX_FATAL_IN_A_ROW = 3
"""The same after so many answers in a row that will not change: a wrong key, no budget, no such deployment."""
LONGEST_RETRY_AFTER_S = 300.0
"""A deployment that asks for a longer pause has used up its quota: its other trials stay unsent."""
TICK_S = 0.05
BEGUN_TOGETHER = 4
"""So many calls are begun in one turn of the loop, which takes a tenth less processor time than one; more take no less,
and where each opens a connection the clock of the first runs while the others are prepared."""


@dataclass(slots=True)
class Progress:
    """How far a comparison is. Written on the private loop, read anywhere."""

    total: int
    reused: int = 0
    """Taken from the run log."""
    done: int = 0
    failed: int = 0
    cached: int = 0
    cancelled: int = 0
    resent: int = 0
    """Sendings beyond the first of a cell."""
    notes: list[str] = field(default_factory=list)
    """What the user should know: a deployment given up, the budget reached."""
    said: str | None = None
    """What a bar says beside the counts."""
    limit_usd: float | None = None
    """What may be spent."""
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def finished(self) -> int:
        """Cells with a final result."""
        return self.reused + self.done + self.failed


@dataclass(slots=True, eq=False)
class _DeploymentQueue:
    """One deployment's trials that wait, and its lane."""

    asked: AskedDeployment
    lane: ConcurrencyLimiter
    waiting: deque[tuple[int, Trial]] = field(default_factory=deque)
    """(place in the order, cell)."""
    like: Call | None = None
    """One of its calls, by which the others are made."""
    head_since: float = 0.0
    hopeless: int = 0
    exemplified: bool = False
    """Whether a note of one of its runs is shown for all."""
    closed: str | None = None
    """Why nothing more is sent."""

    @property
    def open(self) -> bool:
        return self.closed is None and bool(self.waiting)


class Sweep:
    """One pass over the trials of `plan` that are not in `done` yet.

    `results` maps a cell's identity to its run; it is complete for what was paid for at any moment, also after the
    sweep was cancelled. `finished(run, final)` is called on the private loop for every run that ends (not final: its
    cell is sent again), `sink` gets the pieces.
    """

    def __init__(
        self,
        client: Client,
        plan: Plan,
        done: Mapping[str, Run],
        *,
        budget: Budget | None = None,
        sink: Sink | None = None,
        finished: Callable[[Run, bool], None] | None = None,
    ) -> None:
        self.client, self.plan, self.sink, self.finished = client, plan, sink, finished
        self.results = RunStore(done)
        limit = None if budget is None else budget.limit_usd
        self.progress = Progress(total=len(plan.trials), reused=len(done), notes=notes_on(plan, done), limit_usd=limit)
        self._ways = {
            asked.name: _DeploymentQueue(asked, ConcurrencyLimiter(asked.concurrency, asked.requests_per_minute))
            for asked in plan.asked
        }
        self._places = itertools.count()
        self._queue(plan.order)
        # How far one deployment may run ahead of the slowest. All end with the slowest anyway, so this costs no time,
        # and it keeps the runs of a pair close together.
        self._lead = 2 * sum(asked.concurrency for asked in plan.asked)
        self._budget = budget
        self._throttled: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._answered = False
        self._defect: BaseException | None = None
        self._stopped: str | None = None
        self.quoting: dict[str, tuple[str, str]] = {}
        """Notes that quote the error of a run: its deployment and trial."""

    def add(self, trials: Sequence[Trial], done: Mapping[str, Run]) -> None:
        """Further trials, for the next `run`; those in `done` are not sent. What was given up stays so."""
        self.results.update(done)
        self.progress.total += len(trials)
        self.progress.reused += len(done)
        self._queue(trials)

    def _queue(self, trials: Iterable[Trial]) -> None:
        for trial in trials:
            if trial.trial_id not in self.results:
                self._ways[trial.asked.name].waiting.append((next(self._places), trial))

    @property
    def stopped(self) -> str | None:
        """Why nothing more is sent to anybody: no money is left."""
        return self._stopped

    @property
    def given_up(self) -> list[str]:
        """The names of the deployments to which nothing more is sent."""
        return [name for name, way in self._ways.items() if way.closed is not None]

    def stop_if_spent(self) -> None:
        """Between two `run`: others, such as a judge, spend from the same budget."""
        if self._budget is not None and (reason := self._budget.exhausted()):
            self._stop(reason)

    async def run(self) -> None:
        """Send everything. Being cancelled cancels what is in flight, whose runs are recorded, and is raised again."""
        if self._budget is not None:
            self._budget.wave = self._lead // 2
            await self.client.sender().costs.prices()  # for the estimates of costs that come late
        now = time.monotonic()
        for way in self._ways.values():
            way.head_since = now
        try:
            while self._tasks or any(way.open for way in self._ways.values()):
                self._wake.clear()
                pause = self._start_some()
                if pause == 0:
                    await asyncio.sleep(0)  # they are on their way before others are begun
                    continue
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), pause)
                if self._budget is not None and (reason := self._budget.exhausted()):
                    self._stop(reason)
        finally:
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)
        if self._defect is not None:
            raise self._defect

    def _start_some(self) -> float | None:
        """Start the next calls in order that may start, and return 0 where more may; else as `_start_next`."""
        pause: float | None = 0
        for _ in range(BEGUN_TOGETHER):
            if (pause := self._start_next()) != 0:
                break
        return pause

    def _start_next(self) -> float | None:
        """Start the next call in order that may start, and return 0.

        Else the seconds until one may, None when a call must end first.
        """
        ways = sorted((way for way in self._ways.values() if way.open), key=lambda way: way.waiting[0][0])
        pauses: list[float] = []
        for way in ways:
            if way.waiting[0][0] > ways[0].waiting[0][0] + self._lead:
                break
            if self._budget is not None and not self._budget.room(len(self._tasks)):
                return TICK_S
            wait = way.lane.wait_s(time.monotonic())
            if wait == 0:
                self._start(way)
                return 0
            if wait is not None:
                pauses.append(wait)
        return min(pauses) if pauses else None

    def _start(self, way: _DeploymentQueue) -> None:
        place, trial = way.waiting.popleft()
        now = time.monotonic()
        way.lane.started(now)
        task = asyncio.get_running_loop().create_task(self._one(way, place, trial, 1000 * (now - way.head_since)))
        way.head_since = now
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            # The client turns every failure of a call into an outcome, so this is a prompt that cannot be sent, or a
            # defect of ours. What is in flight may end; then it is raised.
            self._defect = self._defect or error
            self._close(self._ways.values(), f"{type(error).__name__}: {plain(error, 200)}")

    async def _one(self, way: _DeploymentQueue, place: int, trial: Trial, queue_ms: float) -> None:
        call = way.like = self.plan.call(self.client, trial, way.like)
        call.run.queue_ms = queue_ms
        started = time.monotonic()
        try:
            outcome = await self.client.send(call, self.sink)
        except asyncio.CancelledError:
            self.results[trial.trial_id] = call.run
            self.progress.cancelled += 1
            raise
        finally:
            way.lane.ended()
        if self._budget is not None:
            self._budget.add(outcome.run)
        self.results[trial.trial_id] = outcome.run
        again = self._again(way, place, trial, outcome, started)
        if not again:
            self._count(way, trial.trial_id, outcome)
        if self.finished is not None:
            self.finished(outcome.run, not again)

    def _again(self, way: _DeploymentQueue, place: int, trial: Trial, outcome: Outcome, started: float) -> bool:
        """Adapt the lane to how a call ended; put the cell back in front if it is to be sent again."""
        now, error = time.monotonic(), outcome.error
        unreachable = isinstance(error, ConnectionFailed) and outcome.run.http_status is None
        self._answered = self._answered or not unreachable
        if error is None:
            way.lane.succeeded()
            return False
        if isinstance(error, RateLimited):
            way.lane.throttled(now, started)
            self._throttled[trial.trial_id] = self._throttled.get(trial.trial_id, 0) + 1
        elif unreachable:
            way.lane.unreachable(now, started)
        else:
            way.lane.answered()
        pause = error.retry_after_s if isinstance(error, GatewayError) else None
        if pause is not None:
            way.lane.hold(now, pause)
            if pause > LONGEST_RETRY_AFTER_S:
                self._close([way], f"{way.asked.name}{GIVEN_UP}it asks to wait for {pause:,.0f} s.")
        refused = isinstance(error, RateLimited) and not outcome.run.has_begun  # a limit may also end a stream
        if not refused and not (unreachable and not getattr(error, "taken", False)):
            return False  # what the gateway may have taken is not sent, and paid, again
        if way.lane.setbacks > (SETBACKS if self._answered else SETBACKS_AT_FIRST):
            self._give_up(way, trial.trial_id, error)
        if way.closed is not None or self._throttled.get(trial.trial_id, 0) >= MAX_SENDS:
            return False
        if not way.waiting:
            way.head_since = now
        way.waiting.appendleft((place, trial))
        self.progress.resent += 1
        return True

    def _count(self, way: _DeploymentQueue, trial_id: str, outcome: Outcome) -> None:
        error = outcome.error
        if error is None:
            way.hopeless = 0
            self.progress.done += 1
            self.progress.cached += bool(outcome.run.cache_hit)
        else:
            self.progress.failed += 1
            hopeless = isinstance(error, (AuthenticationFailed, BudgetExceeded, NotFound))
            way.hopeless = way.hopeless + 1 if hopeless else 0
            if way.hopeless >= MAX_FATAL_IN_A_ROW:
                self._give_up(way, trial_id, error)
        for note in filter(is_shared, outcome.run.notes):
            self._note(note)
        own = [note for note in outcome.run.notes if not is_shared(note)]
        if own and not way.exemplified:
            way.exemplified = True
            self._note(f"{way.asked.name}: some runs carry notes (run.notes), for example: {own[0]}")
        if isinstance(outcome.log_error, BifrostError):
            self._note(plain(outcome.log_error, 300))

    def _close(self, ways: Iterable[_DeploymentQueue], reason: str) -> None:
        """Send nothing more on `ways`; what is in flight ends by itself."""
        for way in ways:
            if way.closed is None:
                way.closed = reason
                refused = sum(trial.trial_id in self.results for _, trial in way.waiting)
                self.progress.failed += refused  # once, and never sent again: their last answer stands
                self.progress.resent -= refused
        self._note(reason)

    def _give_up(self, way: _DeploymentQueue, trial_id: str, error: BifrostError) -> None:
        name = way.asked.name
        reason = f"{name}{GIVEN_UP}{plain(error, 200)}"
        if error.run is not None:
            reason = without_what_is_hidden(reason, name, error.run)
            self.quoting[reason] = (name, trial_id)
        self._close([way], reason)

    def _stop(self, reason: str) -> None:
        """No money is left. Said once: what is still in flight then makes it cost a little more."""
        if self._stopped is not None and self._stopped in self.progress.notes:
            self.progress.notes.remove(self._stopped)
        self._stopped = reason
        self._close(self._ways.values(), reason)

    def _note(self, text: str) -> None:
        if text not in self.progress.notes:
            self.progress.notes.append(text)


def without_what_is_hidden(reason: str, name: str, run: Run) -> str:
    """`reason`, why nothing more is sent to `name`, as reports and pickles may keep it, which keep notes as they are.

    It quotes the error of `run`, whose words a `redact` hook may want otherwise.
    """
    if "error_message" not in run.written:
        return reason
    words = plain(error_text(as_written(run)), 200) or plain(f"{run.error_type} ({run.http_status})", 200)
    return f"{name}{GIVEN_UP}{words}"
