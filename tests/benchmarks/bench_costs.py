"""What looking for costs takes: requests for the log, and the share of the CPU that goes into them.

    python tests/benchmarks/bench_costs.py [--calls 2000] [--pairs 25]

Against a bare local server in a process of its own whose log rows, as large as real ones, come 2 s late; beside the
same sweep at a gateway that keeps no log. CPU is this process's, from the first call to the last cost; one sweep warms
up, then pairs are measured in turn, and medians are told.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[2]))

from rows import Row, at_most, row, told

from bifrost_nb import Client, RunLog, compare
from tests.admin.servers import served
from tests.benchmarks.log_server import LogServer

BOUND = (
    "What looking takes beside following each run, 53 ms by its own clock: half is filling in what the rows say, with "
    "the lines of the run log; a fifth fetching pages, an eighth parsing their rows of 1.3 kB, of which ten fields are "
    "read; the rest is going through what waits."
)


def _serve(pipe: Connection, delay_s: float, route: bool) -> None:
    server = LogServer(delay_s, route=route)
    with served(server) as url:
        pipe.send(url)
        pipe.recv()
    pipe.send((server.looks, server.single))


def measured(calls: int, *, route: bool) -> tuple[float, float, int]:
    """(CPU seconds in all, wall seconds from the answers to the costs, requests for the log)."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, 2.0, route))
    process.start()
    with tempfile.TemporaryDirectory() as folder:
        client = Client(ours.recv(), log=RunLog(Path(folder) / "runs.jsonl"))
        gc.collect()  # so that what came before is not collected within this sweep, which takes 50 ms, or is not
        cpu = time.process_time()
        result = compare(
            ["openai/m"], "Say {{n}}", inputs={"n": range(calls)}, client=client, stream=False, concurrency=32
        )
        answered = time.monotonic()
        result.wait_for_costs(60)
        waited, cpu = time.monotonic() - answered, time.process_time() - cpu
        known = int(result.frame["cost_usd"].notna().sum())
        assert known == (calls if route else 0), known
    ours.send(None)
    looks, _ = ours.recv()
    process.join()
    return cpu, waited, looks


def rows(calls: int, pairs: int) -> list[Row]:
    measured(200, route=True)
    found = [(measured(calls, route=True), measured(calls, route=False)) for _ in range(pairs)]
    with_log, without = median(one[0] for one, _ in found), median(other[0] for _, other in found)
    share = 100 * (median(one[0] / other[0] for one, other in found) - 1)
    looks, later = max(one[2] for one, _ in found), median(one[1] for one, _ in found)
    what = f"costs of {calls:,} calls in `compare`, their log rows 2 s late (`bench_costs.py`)"
    return [
        row(
            f"{what}: requests for the log",
            f"{looks} requests, all costs known {later:.1f} s after the last answer",
            f"1 request a call: {calls:,}",
            *at_most(looks, calls / 50, " requests"),
        ),
        row(
            "the same: CPU of the sweep",
            f"{with_log:.2f} s, {1e6 * with_log / calls:,.0f} µs a call",
            f"at a gateway without a log {without:.2f} s",
            *at_most(max(share, 0.0), 5, " % more"),
            BOUND,
        ),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--pairs", type=int, default=25)
    options = parser.parse_args()
    told(rows(options.calls, options.pairs))
