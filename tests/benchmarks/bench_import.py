"""What `import bifrost_nb`, and a first `Client`, add to a bare interpreter.

    python tests/benchmarks/bench_import.py [--rounds 7]

CPU time of whole processes, with a bare interpreter's taken off; all are started in turn.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys

from rows import Row, at_most, row, told

WAYS = {
    "bare": "pass",
    "httpx, pydantic": "import httpx, pydantic",
    "bifrost_nb": "import bifrost_nb",
    "Client": "import bifrost_nb as bf; bf.Client('http://127.0.0.1:1')",
    "pydantic.BaseModel": "import httpx; from pydantic import BaseModel",
    "openai": "import openai",
}


def _cpu_s(code: str) -> float | None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    good = subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime if good else None


def rows(rounds: int) -> list[Row]:
    taken: dict[str, list[float]] = {name: [] for name in WAYS}
    for number in range(rounds + 1):
        for name, code in WAYS.items():
            seconds = _cpu_s(code)
            if number and seconds is not None:
                taken[name].append(seconds)
    median = {name: statistics.median(seconds) for name, seconds in taken.items() if seconds}
    ms = {name: 1000 * (seconds - median["bare"]) for name, seconds in median.items()}
    beside = f"`import httpx, pydantic` {ms['httpx, pydantic']:.0f} ms"
    sdk = f"; `import openai` {ms['openai']:.0f} ms" if "openai" in ms else ""
    models = f"; httpx with pydantic's `BaseModel` {ms['pydantic.BaseModel']:.0f} ms"
    return [
        row(
            "`import bifrost_nb` (`bench_import.py`)",
            f"{ms['bifrost_nb']:.0f} ms",
            f"{beside}{sdk}",
            *at_most(ms["bifrost_nb"] / ms["httpx, pydantic"], 1.5),
        ),
        row(
            "the same and a first `bf.Client(...)`",
            f"{ms['Client']:.0f} ms",
            f"{beside}{models}",
            *at_most(ms["Client"] / ms["httpx, pydantic"], 1.3),
        ),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    told(rows(parser.parse_args().rounds))
