"""What looking for costs takes: requests for the log, and the share of the CPU that goes into them.

Run: python -m tests.benchmarks.bench_costs [calls]. Against a bare local server in a process of its own whose log rows,
as large as real ones, come 2 s late; beside the same sweep at a gateway that keeps no log. CPU is this process's, from
the first call to the last cost; one sweep warms up, then three pairs are measured in turn, and medians are told.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

from bifrost_nb import Client, RunLog, compare

from ..admin.servers import served
from .log_server import LogServer

PAIRS = 3


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


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    measured(200, route=True)
    pairs = [(measured(count, route=True), measured(count, route=False)) for _ in range(PAIRS)]
    with_log, without = median(one[0] for one, _ in pairs), median(other[0] for _, other in pairs)
    looks_made, later = max(one[2] for one, _ in pairs), median(one[1] for one, _ in pairs)
    print(f"{count} calls: {looks_made} requests for the log, costs known {later:.1f} s after the answers; CPU")
    print(f"{with_log:.2f} s with a log, {without:.2f} s without: {100 * (with_log / without - 1):.0f} % for looking")
