"""What looking for costs takes: requests for the log, and the share of the CPU that goes into them.

    python tests/benchmarks/bench_costs.py [--calls 2000] [--pairs 25]

Against a bare local server in a process of its own whose log rows, as large as real ones, come 2 s late; beside the
same sweep at a gateway that keeps no log. CPU is this process's, from the first call to the last cost; one sweep warms
up, then pairs are measured in turn, and medians are told.

The two sweeps differ by a twentieth, and two of a kind by a tenth, so their difference would have to be taken of
hundreds. So the share is counted: all CPU from the last answer on, when nothing but looking is left, and before it the
steps of the task that looks.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Coroutine, Generator
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2]))

from rows import Row, at_most, row, told

from bifrost_nb import Client, RunLog, compare
from bifrost_nb._client.portal import portal
from tests.admin.servers import served
from tests.benchmarks.log_server import LogServer

BOUND = (
    "Of what looking takes, some two fifths are filling in what the rows say, with the lines of the run log; two "
    "fifths fetching pages and parsing their rows of 1.3 kB, of which ten fields are read; the rest is going through "
    "what waits."
)


def _serve(pipe: Connection, delay_s: float, route: bool) -> None:
    server = LogServer(delay_s, route=route)
    with served(server) as url:
        pipe.send(url)
        pipe.recv()
    pipe.send((server.looks, server.single))


class Timed(Coroutine[Any, Any, Any]):
    """A coroutine that counts the CPU of its steps."""

    cpu_s = 0.0
    """Of all of them so far."""

    def __init__(self, of: Coroutine[Any, Any, Any]) -> None:
        self._of = of

    def send(self, value: Any) -> Any:
        began = time.thread_time()
        try:
            return self._of.send(value)
        finally:
            Timed.cpu_s += time.thread_time() - began

    def throw(self, *error: Any) -> Any:
        return self._of.throw(*error)

    def close(self) -> None:
        self._of.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._of.__await__()


def _count_looking() -> None:
    """Have the task that looks for costs counted from now on."""

    def task(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        looks = getattr(work, "__qualname__", "") == "Costs._look_on"
        return asyncio.Task(Timed(work) if looks else work, loop=loop, **options)

    portal().loop.call_soon_threadsafe(portal().loop.set_task_factory, task)


class Sweep(NamedTuple):
    """Seconds, but for `looks`."""

    cpu: float
    looking: float
    """CPU that went into looking for costs."""
    waited: float
    """From the last answer to the last cost."""
    looks: int
    """Requests for the log."""


def measured(calls: int, *, route: bool) -> Sweep:
    """One sweep at a server of its own."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, 2.0, route))
    process.start()
    with tempfile.TemporaryDirectory() as folder:
        client = Client(ours.recv(), log=RunLog(Path(folder) / "runs.jsonl"))
        gc.collect()  # so that what came before is not collected within this sweep, which takes 50 ms, or is not
        cpu, Timed.cpu_s = time.process_time(), 0.0
        result = compare(
            ["openai/m"], "Say {{n}}", inputs={"n": range(calls)}, client=client, stream=False, concurrency=32
        )
        answered, alone, looking = time.monotonic(), time.process_time(), Timed.cpu_s
        result.wait_for_costs(60)
        waited, ended = time.monotonic() - answered, time.process_time()
        known = int(result.frame["cost_usd"].notna().sum())
        assert known == (calls if route else 0), known
    ours.send(None)
    looks, _ = ours.recv()
    process.join()
    return Sweep(ended - cpu, looking + ended - alone, waited, looks)


def rows(calls: int, pairs: int) -> list[Row]:
    _count_looking()
    measured(200, route=True)
    found = [(measured(calls, route=True), measured(calls, route=False)) for _ in range(pairs)]
    with_log, without = median(one.cpu for one, _ in found), median(other.cpu for _, other in found)
    share = 100 * median(one.looking / one.cpu for one, _ in found)
    looks, later = max(one.looks for one, _ in found), median(one.waited for one, _ in found)
    what = f"costs of {calls:,} calls in `compare`, their log rows 2 s late (`bench_costs.py`)"
    return [
        row(
            f"{what}: requests for the log",
            f"{looks} requests, all costs known {later:.1f} s after the last answer",
            f"1 request a call: {calls:,}",
            *at_most(looks, calls / 50, " requests"),
        ),
        row(
            "the same: CPU of looking, of that of the sweep",
            f"{1e3 * median(one.looking for one, _ in found):.0f} ms of {with_log:.2f} s",
            f"the sweep at a gateway without a log {without:.2f} s",
            *at_most(share, 5, " %"),
            BOUND,
        ),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--pairs", type=int, default=25)
    options = parser.parse_args()
    told(rows(options.calls, options.pairs))
