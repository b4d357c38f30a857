"""What the recorder costs: CPU of an SDK's call with it, beside the same call without it, in one process.

    python tests/benchmarks/bench_recorder.py [SDK ...] [--calls 60] [--rounds 40] [--profile]

Both ways take turns on the embedded gateway, which is another process. Two ratios for each SDK and kind of call:

- of the calling thread, in many short rounds: the tenth percentiles of both ways compared, since whatever else the
  machine does only ever adds;
- of the whole process, in a few long rounds (medians): the search for costs in the gateway's log included.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import pstats
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).parents[2]))

from rows import Row, at_most, row, told

import bifrost_nb as bf
from tests.sdks.drivers import DRIVERS, Driver

Work = Callable[[], object]
CHUNKS = 100
SETTLE_S = 1.5
"""Seconds after which costs have been looked for."""
SHORT = 5
"""Calls of a short round."""
LONG_ROUNDS = 7
KINDS = {"answer": "one answer", "stream": f"a stream of {CHUNKS} chunks"}
BOUND = (
    "On the calling thread is what passes by (identities, headers, blocks with their times: 80 to 120 µs) and the "
    "hand-over of all else to the helper thread, for which it waits (5 to 12 µs of its CPU). There: reading an answer "
    "160 to 200 µs, a stream of 100 chunks 600 to 1,100, the line 65 to 90, asking for the cost 30. Beside other work."
)


def whole(driver: Driver, client: Any, loop: asyncio.AbstractEventLoop) -> Work:
    if driver.blocking:
        return lambda: driver.answer(client)
    return lambda: loop.run_until_complete(driver.aanswer(client))


def streamed(driver: Driver, client: Any, loop: asyncio.AbstractEventLoop) -> Work:
    async def read() -> None:
        async for _ in driver.astream(client):
            pass

    if driver.blocking:
        return lambda: sum(1 for _ in driver.stream(client))
    return lambda: loop.run_until_complete(read())


def thread_us(work: Work, calls: int) -> float:
    """CPU microseconds of this thread per call."""
    began = time.thread_time()
    for _ in range(calls):
        work()
    return 1e6 * (time.thread_time() - began) / calls


def process_us(work: Work, calls: int) -> float:
    """CPU microseconds of the whole process per call, until all costs have been looked for."""
    gc.collect()
    began = time.process_time()
    for _ in range(calls):
        work()
    time.sleep(SETTLE_S)
    return 1e6 * (time.process_time() - began) / calls


def compare(alone: Work, recorded: Work, calls: int, rounds: int) -> tuple[float, float, float]:
    """(CPU of the call alone, ratio on the calling thread, ratio of the process)."""
    for work in (alone, recorded):  # what is loaded late
        thread_us(work, SHORT)
    short = [(thread_us(alone, SHORT), thread_us(recorded, SHORT)) for _ in range(rounds)]
    base, ours = (statistics.quantiles(figures, n=10)[0] for figures in zip(*short, strict=True))
    long = [process_us(recorded, calls) / process_us(alone, calls) for _ in range(LONG_ROUNDS)]
    return base, ours / base, statistics.median(long)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    names = [type(driver).__name__ for driver in DRIVERS]
    parser.add_argument("sdks", nargs="*", metavar="SDK", help=", ".join(names))
    parser.add_argument("--calls", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--profile", action="store_true", help="show where the recorded calls of each SDK spend time")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    loop = asyncio.new_event_loop()
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as folder, bf.local_gateway(speed=1000) as gateway:
        client = bf.Client(gateway.url, log=bf.RunLog(Path(folder) / "runs.jsonl"))
        print(f"{'SDK':12}{'call':10}{'CPU us alone':>14}{'thread ratio':>14}{'process ratio':>15}")
        for driver in (each for each in DRIVERS if not options.sdks or type(each).__name__ in options.sdks):
            gateway.script([{"deployment": driver.deployment, "chunks": CHUNKS}])
            alone = driver.alone(gateway.url, not driver.blocking)
            ours = bf.sdk(cast(Any, driver.name), client=client, asynchronous=not driver.blocking, **driver.options)

            for kind, make in (("answer", whole), ("stream", streamed)):
                calls = options.calls if kind == "answer" else max(5, options.calls // 6)
                works = make(driver, alone, loop), make(driver, ours, loop)
                base, on_thread, in_all = compare(*works, calls, options.rounds)
                name = type(driver).__name__
                print(f"{name:12}{kind:10}{base:14,.0f}{on_thread:14.3f}{in_all:15.3f}", flush=True)
                found.append(told_row(f"{name}'s SDK, {KINDS[kind]}", base, on_thread, in_all))
                if options.profile:
                    profile(works[1], calls)
    told(found)


def told_row(what: str, base: float, on_thread: float, in_all: float) -> Row:
    return row(
        f"{what}, recorded (`bench_recorder.py`)",
        f"{base * on_thread:,.0f} µs of CPU; of the whole process {in_all:.2f} times",
        f"the SDK alone {base:,.0f} µs",
        *at_most(on_thread, 1.15),
        BOUND,
    )


def profile(work: Work, calls: int) -> None:
    with cProfile.Profile(time.thread_time) as profiler:
        for _ in range(calls):
            work()
    statistics_of = pstats.Stats(profiler).sort_stats("tottime")
    statistics_of.print_stats("bifrost_nb|orjson|posix", 18)


if __name__ == "__main__":
    main()
