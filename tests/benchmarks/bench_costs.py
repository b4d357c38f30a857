"""What looking for costs takes: requests for the log and CPU, beside the CPU of sending. Run: python -m
tests.benchmarks.bench_costs [calls]

Against a bare local server in a process of its own whose log rows come 2 s late. CPU is this process's.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from bifrost_nb import Client, RunLog, compare

from ..admin.servers import served
from .log_server import LogServer


def _serve(pipe: Connection, delay_s: float, route: bool) -> None:
    server = LogServer(delay_s, route=route)
    with served(server) as url:
        pipe.send(url)
        pipe.recv()
    pipe.send((server.looks, server.single))


def measured(calls: int, *, route: bool) -> tuple[float, float, float, int]:
    """(CPU seconds until the answers are there, CPU and wall seconds till costs are, requests for the log)."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, 2.0, route))
    process.start()
    with tempfile.TemporaryDirectory() as folder:
        client = Client(ours.recv(), log=RunLog(Path(folder) / "runs.jsonl"))
        cpu = time.process_time()
        result = compare(
            ["openai/m"], "Say {{n}}", inputs={"n": range(calls)}, client=client, stream=False, concurrency=32
        )
        sending, cpu, wall = time.process_time() - cpu, time.process_time(), time.monotonic()
        result.wait_for_costs(60)
        looking, waited = time.process_time() - cpu, time.monotonic() - wall
        known = int(result.frame["cost_usd"].notna().sum())
        assert known == (calls if route else 0), known
    ours.send(None)
    looks, _ = ours.recv()
    process.join()
    return sending, looking, waited, looks


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    for has_log in (True, False):
        sent, looked, waited_s, looks_made = measured(count, route=has_log)
        print(
            f"{count} calls, {'rows after 2 s' if has_log else 'no log'}: {looks_made} requests for the log; CPU "
            f"{sent:.2f} s until the answers were there, {looked:.2f} s after that; costs {waited_s:.1f} s later"
        )
