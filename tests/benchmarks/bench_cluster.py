"""A sweep that a person's own function scores, CPU-bound: four Dask workers beside one process.

    python tests/benchmarks/bench_cluster.py [--calls 400] [--workers 4]

Each process that scores (the one, or each worker) may use the same share of a core, set by a control group, so that
four of them fit on two cores beside the server, the scheduler and the process that compares: what is measured is how
the work spreads, not how many cores the machine has. It takes a system whose control groups can be written (Linux, as
root); elsewhere each process takes what it gets, and no target is held against that.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench_evals import answer_server
from rows import Row, at_least, row, told

SHARE = 0.35
"""Of a core: four workers, and more than half a core for all else, on two."""
PERIOD_US = 20_000
ROUNDS = 3
V1, V2 = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")
BOUND = "The sweep before the scoring, which four workers share as well, and what one shard takes longer than another."

PROGRAM = """
import contextlib, difflib, os, sys, time
from pathlib import Path
import bifrost_nb as bf

def likeness(run):
    text = (run.text + " and so on ") * 24
    return difflib.SequenceMatcher(None, text, text[::-1], autojunk=False).ratio()

def limit(pid, group):
    Path(group, "cgroup.procs").write_text(str(pid))

def main():
    url, folder, calls, workers, *groups = sys.argv[1:]
    client = bf.Client(url, log=bf.RunLog(folder + "/runs.jsonl"))
    with contextlib.ExitStack() as stack:
        more = {}
        if int(workers):
            from distributed import Client, LocalCluster
            local = stack.enter_context(LocalCluster(n_workers=int(workers), threads_per_worker=1,
                                                     dashboard_address=None))
            more["cluster"] = stack.enter_context(Client(local))
            for pid, group in zip(more["cluster"].run(os.getpid).values(), groups):
                limit(pid, group)
        elif groups:
            limit(os.getpid(), groups[0])
        def scored(calls):
            found = bf.compare(["openai/m"], "Say {{n}}", inputs={"n": range(calls)}, api="chat", stream=False,
                               score=likeness, concurrency=32, client=client, fresh=True, **more)
            assert found.frame["score"].notna().all() and len(found) == calls, found.notes
        scored(16)
        began = time.monotonic()
        scored(int(calls))
        print("seconds", time.monotonic() - began)

if __name__ == "__main__":
    main()
"""


@contextlib.contextmanager
def limited(count: int) -> Iterator[list[str]]:
    """So many control groups of `SHARE` of a core; none where they cannot be made."""
    root = V1 if (V1 / "cpu.cfs_quota_us").exists() else V2
    groups = [root / f"bifrost-nb-{os.getpid()}-{number}" for number in range(count)]
    made: list[str] = []
    quota = int(PERIOD_US * SHARE)
    try:
        with contextlib.suppress(OSError):
            for group in groups:
                group.mkdir()
                if root == V1:
                    (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
                    (group / "cpu.cfs_quota_us").write_text(str(quota))
                else:
                    (group / "cpu.max").write_text(f"{quota} {PERIOD_US}")
            made = [str(group) for group in groups]
        yield made
    finally:
        for group in groups:
            with contextlib.suppress(OSError):
                group.rmdir()


def taken(url: str, calls: int, workers: int, groups: list[str]) -> float:
    """Seconds from the first call to the frame, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "program.py"  # workers import what started them
        program.write_text(PROGRAM)
        command = [sys.executable, str(program), url, folder, str(calls), str(workers), *groups]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    return float(done.stdout.split("seconds")[-1])


def measured(calls: int, workers: int) -> list[Row]:
    with answer_server() as url, limited(workers) as groups:
        found = [(taken(url, calls, 0, groups), taken(url, calls, workers, groups)) for _ in range(ROUNDS)]
    one, spread = (statistics.median(each) for each in zip(*found, strict=True))
    share = f"each with {SHARE:g} of a core" if groups else f"on {os.cpu_count()} cores"
    target = at_least(one / spread, 3) if groups and workers == 4 else ("", None)
    return [
        row(
            f"{calls:,} chat calls, each scored for some 20 ms of CPU, {share} (`bench_cluster.py`)",
            f"{workers} Dask workers {spread:.1f} s",
            f"one process {one:.1f} s",
            *target,
            bound=BOUND,
        )
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
    told(measured(options.calls, options.workers))
