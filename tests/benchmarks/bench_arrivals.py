"""How late `bf.load_curve` sends: its own schedule's error at 200 calls a second.

    python tests/benchmarks/bench_arrivals.py [--seconds 10]

Poisson arrivals of streamed calls of 20 chunks, 5 ms apart, against `chunk_server.py`. A call is late by the time from
its place in the schedule to the moment it begins to be sent.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from rows import Row, at_most, chunk_server, row, told

import bifrost_nb as bf

RATE = 200
BOUND = "Calls begin on the loop that reads all answers, and beside it the server has the other core."


def rows(seconds: float) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder, chunk_server(20, 5) as url:
        client = bf.Client(url, log=bf.RunLog(Path(folder) / "runs.jsonl"))
        bf.load_curve("azure/fast", "Hi", rates=[50], seconds=1, client=client, max_tokens=20)  # what is loaded late
        curve = bf.load_curve("azure/fast", "Hi", rates=[RATE], seconds=seconds, client=client, max_tokens=20)
    (step,) = curve.frame.to_dict("records")
    assert step["sent"] == step["planned"], step["stopped"]
    return [
        row(
            f"`load_curve` at {RATE} streamed calls a second: sent late (`bench_arrivals.py`)",
            f"p50 {step['late_ms_p50']:.2f} ms, p99 {step['late_ms_p99']:.2f} ms of {step['sent']:,}",
            "the schedule",
            *at_most(step["late_ms_p99"], 5, " ms"),
            BOUND,
        )
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=10)
    told(rows(parser.parse_args().seconds))
