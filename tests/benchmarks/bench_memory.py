"""What the result of a comparison takes in memory for each of its runs.

    python tests/benchmarks/bench_memory.py [--runs 10000]

Two comparisons of streamed calls to a bare server, one twice as large as the other; a run takes the difference of
what Python has allocated for both, divided. Its trial, its prompt and its row of inputs are counted with it. Beside it
stands a run as an object, its prompt and trial not counted.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import tracemalloc
from pathlib import Path

from load import server
from rows import Row, at_most, row, told

import bifrost_nb as bf

BOUND = "The prompt, its row of inputs and the ids of its trial, which stay objects, take two thirds."


def traced() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def taken(client: bf.Client, runs: int) -> tuple[bf.Comparison, int]:
    """A comparison of so many runs, and the bytes that it keeps."""
    before = traced()
    inputs = {"n": range(runs)}
    result = bf.compare(["azure/fast"], "Cell {{n}}", inputs=inputs, concurrency=64, client=client, fresh=True)
    assert all(run.status == "ok" for run in result.runs)
    result.frame_now()
    result._frame = None  # a frame is a second result
    return result, traced() - before


def rows(runs: int) -> list[Row]:
    with server(5, 0) as url, tempfile.TemporaryDirectory() as folder:
        client = bf.Client(url, log=bf.RunLog(Path(folder) / "runs.jsonl"))
        bf.compare(["azure/fast"], "Warm {{n}}", inputs={"n": [1, 2]}, client=client)
        tracemalloc.start()
        small, few = taken(client, runs // 2)
        large, many = taken(client, runs)
        each = (many - few) / (runs - runs // 2)
        before = traced()
        objects = list(large.runs)
        as_objects = (traced() - before) / len(objects)
        tracemalloc.stop()
    assert len(small) + len(large) == runs + runs // 2
    return [
        row(
            f"a result of {runs:,} runs: memory of a run, its prompt and trial included (`bench_memory.py`)",
            f"{each / 1024:.2f} kB",
            f"as an object {as_objects / 1024:.2f} kB, without prompt and trial",
            *at_most(each / 1024, 1.2, " kB"),
            BOUND,
        )
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--runs", type=int, default=10_000)
    told(rows(parser.parse_args().runs))
