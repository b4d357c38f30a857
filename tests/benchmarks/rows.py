"""What the benchmark scripts share: rows of figures, ways measured in turn, and a server beside.

Each script prints its rows as one line of JSON, `{"rows": [...]}`, last; `measure.py` gathers them into RESULTS.md.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypedDict


class Row(TypedDict):
    """One row: what was measured, ours, what stands beside it (both with units), and the target."""

    what: str
    ours: str
    beside: str
    target: str
    met: bool | None
    """None: no target was set."""
    bound: str
    """What bounds the figure, from a profile; shown where the target is missed."""


class Taken(NamedTuple):
    """Seconds of one way, one entry a round."""

    wall: list[float]
    cpu: list[float]

    @property
    def wall_s(self) -> float:
        return statistics.median(self.wall)

    @property
    def cpu_s(self) -> float:
        return statistics.median(self.cpu)


def row(what: str, ours: str, beside: str, target: str = "", met: bool | None = None, bound: str = "") -> Row:
    return Row(what=what, ours=ours, beside=beside, target=target, met=met, bound=bound)


def at_least(ratio: float, wanted: float) -> tuple[str, bool]:
    """The target cell, and whether it is met."""
    return f"at least {wanted:g} times: {_beside(ratio, wanted)}", ratio >= wanted


def at_most(ratio: float, wanted: float, unit: str = " times") -> tuple[str, bool]:
    return f"at most {wanted:g}{unit}: {_beside(ratio, wanted)}", ratio <= wanted


def _beside(ratio: float, wanted: float) -> str:
    """`ratio` to two digits, or to four where it would look like what is wanted."""
    shown = two_digits(ratio)
    return f"{ratio:.4g}" if float(shown) == wanted else shown


def two_digits(ratio: float) -> str:
    """`ratio` to two digits, or whole from 100 on. To three between 1 and 2, where an overhead is told apart."""
    if ratio >= 100:
        return f"{ratio:.0f}"
    return f"{ratio:.3g}" if 1 <= ratio < 2 else f"{ratio:.2g}"


def told(rows: list[Row]) -> None:
    """Print the rows, for people and for `measure.py`."""
    for each in rows:
        mark = {True: "met", False: "MISSED", None: "-"}[each["met"]]
        print(f"{each['what']}\n    {each['ours']}\n    {each['beside']}\n    {each['target'] or '-'} ({mark})")
    print(json.dumps({"rows": rows}), flush=True)


def interleaved(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Taken]:
    """Each way once a round, in turn, so that all meet the same other work; one round before loads what loads late."""
    taken = {name: Taken([], []) for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            wall, cpu = time.perf_counter(), time.process_time()
            way()
            if number:
                taken[name].wall.append(time.perf_counter() - wall)
                taken[name].cpu.append(time.process_time() - cpu)
    return taken


@contextlib.contextmanager
def chunk_server(chunks: int, gap_ms: float = 0.0) -> Iterator[str]:
    """The address of a `chunk_server.py` in a process of its own."""
    program = [sys.executable, str(Path(__file__).with_name("chunk_server.py")), str(chunks), str(gap_ms)]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.communicate()
