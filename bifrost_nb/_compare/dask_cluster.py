"""The same plan on Dask: shards to the workers, every finished run back at once, into one log.

A worker runs the engine that also runs here (`sweep`). Each finished run goes to the scheduler before anything else
happens to it, and from there to this process, which alone writes the log. Dask runs a lost worker's task again of its
own accord, which here would pay twice; so a task first leaves its mark at the scheduler, and one that finds a mark
gives up. This process then sends out again what it has no run for.

What the client was told (headers, API version, time limits, retries, certificates) goes along, so that a worker sends
what this process would. No key travels: a worker takes its keys from its own settings.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
import uuid
from collections.abc import Mapping, Sequence
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import orjson

from .._client.portal import portal
from .._keys import Secret, tool_keys
from .._runs.columns import COLUMNS
from .._runs.log.codec import cell as cell_value, decode, encode
from .._runs.log.log import RunLog
from .._runs.run import Run
from .._runs.store import RunStore
from .._safe_text import plain
from ..errors import ConfigurationError
from .comparison import Comparison
from .interrupted import ComparisonInterrupted
from .plan import Plan, Trial, without_keys
from .progress import Bar
from .resume import notes_on
from .row_parameters import columns_of, for_row
from .sweep import Progress, Sweep, without_what_is_hidden

if TYPE_CHECKING:
    from .._client.client import Client
    from .._foreground.wait import Interrupts

__all__ = ["Remote", "decoded", "run_on_cluster"]

CELLS_PER_SHARD = 60
STOP_LOOK_S = 0.5
GRACE_S = 5.0
"""After an interrupt, shards that have not ended by then are left behind."""
LOST_AT_MOST = 5
"""A shard whose workers were lost so often in a row, without one new run, is left unsent."""


class Remote:
    """The driver's side: what has come back so far. Looks like a finished `Sweep`."""

    def __init__(self, client: Client, plan: Plan, done: Mapping[str, Run]) -> None:
        self.client, self.plan = client, without_keys(plan)
        self.results = RunStore(done)
        self.settled: set[str] = set(done)
        self.progress = Progress(total=len(plan.trials), reused=len(done), notes=notes_on(plan, done))

    def receive(self, event: tuple[float, Mapping[str, Any]]) -> None:
        """A run from a worker: into the log, then into the results. Called on Dask's own thread."""
        line, final = event[1]["run"], event[1]["final"]
        run = decoded(line)
        run.written = {}  # this process writes, so its hook decides
        try:
            self.client.record(run)
        except Exception as error:  # noqa: BLE001 - the run itself is here; why the log lacks it is a note
            self.note(plain(error, 300))
        trial_id = str(run.tags.get("cell"))
        self.results[trial_id] = run
        portal().start(self._follow_cost(run))
        if run.status == "cancelled":
            self.progress.cancelled += 1
            return
        if not final:
            self.progress.resent += 1
            return
        self.settled.add(trial_id)
        self.progress.done += run.status == "ok"
        self.progress.failed += run.status != "ok"
        self.progress.cached += bool(run.cache_hit)

    async def _follow_cost(self, run: Run) -> None:
        # The worker is gone before the gateway's log has the cost; this process asks for it as for its own runs.
        self.client.sender().costs.follow(run, self.client.log)

    def note(self, text: str) -> None:
        """Say something about the whole comparison, once."""
        if text not in self.progress.notes:
            self.progress.notes.append(text)

    def quoted(self, note: str, name: str, trial_id: str) -> None:
        """A worker's note that quotes the error of a run. There is no `redact` hook there, so here it is looked at."""
        run = self.results.get(trial_id)  # None where the run itself has not come back
        self.note(f"{name} was given up." if run is None else without_what_is_hidden(note, name, run))

    def open_trials(self) -> list[Trial]:
        """What no worker has brought to an end, in the order of sending."""
        return [trial for trial in self.plan.order if trial.trial_id not in self.settled]


def run_on_cluster(
    cluster: Any, client: Client, plan: Plan, done: Mapping[str, Run], *, silent: bool = False
) -> Remote:
    """Run `plan` on the workers of a ``dask.distributed.Client``.

    `concurrency` is shared out over the workers' threads. Raises ConfigurationError before anything is sent, and
    `ComparisonInterrupted`.
    """
    from .._foreground.wait import Interrupts

    _check(cluster, client, plan)
    remote = Remote(client, plan, done)
    if left_behind := sorted(_keys_of(client, plan)):
        remote.note(
            f"Keys are not sent to a cluster, so its requests went without {plain(', '.join(left_behind), 200)}; "
            "BIFROST_API_KEY and BIFROST_VIRTUAL_KEY in the environment of the workers are used."
        )
    topic = f"bifrost-nb-{uuid.uuid4().hex}"
    with Interrupts(SimpleQueue()) as interrupts:
        bar = Bar(remote.progress, silent=silent)
        cluster.subscribe_topic(topic, remote.receive)
        try:
            _until_done(cluster, remote, topic, bar, interrupts)
        except KeyboardInterrupt:  # a second one: left at once
            raise ComparisonInterrupted(Comparison(plan, remote.results, remote.progress, client)) from None
        finally:
            cluster.log_event(f"{topic}-stop", "stop")  # nothing is left running, whatever ended this
            cluster.unsubscribe_topic(topic)
            bar.close()
    if interrupts.count:
        raise ComparisonInterrupted(Comparison(plan, remote.results, remote.progress, client))
    return remote


def _until_done(cluster: Any, remote: Remote, topic: str, bar: Bar, interrupts: Interrupts) -> None:
    """Send out shards of what is open until nothing is, or until workers are lost again and again."""
    lost = 0
    while (trials := remote.open_trials()) and lost < LOST_AT_MOST and not interrupts.count:
        before = len(remote.settled)
        threads = max(1, sum(cluster.nthreads().values()))
        narrowest = min(asked.concurrency for asked in remote.plan.asked)
        # A shard sends one call at a time at least, so there are no more than the calls that may be open.
        shards = _shards(trials, threads) if narrowest >= threads else _shards(trials, narrowest, len(trials))
        width = min(threads, len(shards))
        futures = [
            cluster.submit(
                _run_shard,
                _lean(remote.plan, shard, width),
                _told(remote.client),
                topic,
                uuid.uuid4().hex,
                pure=False,
                retries=0,
            )
            for shard in shards
        ]
        try:
            _wait(cluster, futures, topic, bar, interrupts)
            failures = [future for future in futures if future.status == "error"]
            for future in failures:
                remote.note(plain(f"A shard failed: {future.exception()}", 300))
            ended = [future.result() for future in futures if future.status == "finished"]
            notes = {note: quoting for each in ended if each is not None for note, quoting in each.items()}
        finally:
            cluster.cancel(futures)
        for note, quoting in sorted(notes.items()):
            if quoting is None:
                remote.note(note)
            else:
                remote.quoted(note, *quoting)
        if notes or failures:
            return
        lost = 0 if len(remote.settled) > before else lost + 1
    if remote.open_trials() and not interrupts.count:
        remote.note("Workers were lost again and again; the rest was not sent.")


def _wait(cluster: Any, futures: Sequence[Any], topic: str, bar: Bar, interrupts: Interrupts) -> None:
    """Until every shard has ended. An interrupt stops them; what they had open comes back as cancelled."""
    give_up: float | None = None
    while not all(future.done() for future in futures):
        if interrupts.count and give_up is None:
            give_up = time.monotonic() + GRACE_S
            cluster.log_event(f"{topic}-stop", "stop")
        if give_up is not None and time.monotonic() > give_up:
            return
        time.sleep(0.05)
        bar.update()


def _shards(trials: Sequence[Trial], at_once: int, most: int = CELLS_PER_SHARD) -> list[list[Trial]]:
    """The trials by prompt identity, so that all deployments of a prompt run on the same worker, close in time.

    As many shards as `at_once`, or more of `most` trials.
    """
    count = max(min(at_once, len(trials)), -(-len(trials) // most))
    shards: list[list[Trial]] = [[] for _ in range(count)]
    for trial in trials:
        shards[int(trial.prompt.prompt_id[:12], 16) % count].append(trial)
    return [shard for shard in shards if shard]


def _lean(plan: Plan, trials: Sequence[Trial], width: int) -> Plan:
    """The part of `plan` that a worker needs: its trials, of the inputs what is sent, and its share of the pace."""
    lean = tuple(
        dataclasses.replace(one, prompt=dataclasses.replace(one.prompt, values=_sent_of(one))) for one in trials
    )
    asked = tuple(
        dataclasses.replace(
            one,
            concurrency=max(1, one.concurrency // width),
            requests_per_minute=None if one.requests_per_minute is None else one.requests_per_minute / width,
        )
        for one in plan.asked
    )
    return dataclasses.replace(plan, asked=asked, prompts=(), trials=lean, order=lean, schema=None)


def _sent_of(trial: Trial) -> dict[str, Any]:
    """What is sent of the trial's row as it is; all else is in its texts."""
    return {column: trial.prompt.values[column] for column in columns_of(trial.asked.parameters).values()}


def _told(client: Client) -> dict[str, Any]:
    """What a worker makes its client of: all that this one was told, but for keys and the log."""
    own = client.credentials.own
    return {
        "base_url": client.base_url,
        "headers": {name: value for name, value in own.items() if not isinstance(value, Secret)},
        "api_version": client.settings.api_version,
        "timeout": client.timeouts,
        "retries": client.retries,
        "ca_file": client.credentials.ca_file,
        "traceparent": client.traceparent,
    }


def _keys_of(client: Client, plan: Plan) -> set[str]:
    """The names of headers that are keys, of the client and of its calls."""
    every = (client.credentials.own, *(one.parameters.get("headers") or {} for one in plan.asked))
    return {name for headers in every for name, value in headers.items() if isinstance(value, Secret)}


def _run_shard(plan: Plan, told: Mapping[str, Any], topic: str, mark: str) -> dict[str, tuple[str, str] | None] | None:
    """On a worker: run the shard and report each run. None if a lost worker had begun it before.

    Returns what the person should know, with the deployment and the trial of the run that it quotes.
    """
    from distributed import get_worker

    from .._client.client import unremembered

    worker = get_worker()
    loop: asyncio.AbstractEventLoop = worker.loop.asyncio_loop  # type: ignore[attr-defined]

    async def scheduler(operation: str, **arguments: Any) -> Any:
        call = getattr(worker.scheduler, operation)(**arguments)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(call, loop))

    async def shard() -> dict[str, tuple[str, str] | None] | None:
        if await scheduler("events", topic=f"{topic}-{mark}"):
            return None
        if await scheduler("events", topic=f"{topic}-stop"):
            return {}
        await scheduler("log_event", topic=f"{topic}-{mark}", msg="begun")
        reports: set[asyncio.Task[Any]] = set()

        def report(run: Run, final: bool) -> None:
            message = {"run": encode(run), "final": final}
            reports.add(asyncio.get_running_loop().create_task(scheduler("log_event", topic=topic, msg=message)))

        # A worker may live in the process of the person who compares.
        client = unremembered({**told, "log": RunLog(None)})
        sweep = Sweep(client, plan, {}, finished=report)
        running = asyncio.get_running_loop().create_task(sweep.run())
        while not (await asyncio.wait([running], timeout=STOP_LOOK_S))[0]:
            if await scheduler("events", topic=f"{topic}-stop"):
                running.cancel()
        if running.cancelled():
            for run in sweep.results.values():
                if run.status == "cancelled":
                    report(run, False)
        await asyncio.gather(*reports)
        if not running.cancelled():
            running.result()
        return {note: sweep.quoting.get(note) for note in sweep.progress.notes}

    return portal().call(shard())


def decoded(line: bytes) -> Run:
    """The run that `encode` made a line of."""
    record = orjson.loads(line)
    columns = {column.name: cell_value(record.get(column.name), column.dtype) for column in COLUMNS}
    return decode(columns, record.get("extra"))


def _check(cluster: Any, client: Client, plan: Plan) -> None:
    if not hasattr(cluster, "subscribe_topic") or not hasattr(cluster, "submit"):
        raise ConfigurationError(f"cluster must be a dask.distributed.Client, not {type(cluster).__name__}.")
    passed = [name for name in ("virtual_key", "api_key") if client.settings.origins.get(name) == "argument"]
    if passed:
        raise ConfigurationError(
            f"{passed[0]} was passed to this client, and keys are not sent to a cluster.",
            hint=f"Set BIFROST_{passed[0].upper()} in the environment of the workers and of this process.",
        )
    if any(tool_keys(for_row(one.asked.parameters, one.prompt.values)) for one in plan.trials):
        raise ConfigurationError(
            "tools hold a key for their server, and keys are not sent to a cluster.",
            hint="Leave cluster= out, or let the gateway connect to that server by itself.",
        )
    if not cluster.nthreads():
        raise ConfigurationError("The cluster has no workers.", hint="Scale it up first.")
