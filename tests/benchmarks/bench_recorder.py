"""What the recorder costs: CPU of an SDK's call with it, beside the same call without it, in one process.

    python tests/benchmarks/bench_recorder.py [SDK ...] [--calls 60] [--rounds 9] [--profile SDK]

Both ways take turns on the embedded gateway, which is another process. Three figures for each SDK, medians of the
rounds: CPU of the whole process per call without the recorder; what the recorder adds on the calling thread; and what
the process spends in all, the search for costs in the gateway's log included. Each round waits until that has ended.
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
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import bifrost_nb as bf
from tests.sdks.drivers import DRIVERS, Driver

Work = Callable[[], object]
CHUNKS = 100
SETTLE_S = 1.5
"""Seconds after which costs have been looked for."""


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


def spent(work: Work, calls: int, settle_s: float) -> tuple[float, float]:
    """CPU microseconds per call: (of this thread, of the whole process with what follows)."""
    gc.collect()
    process, thread = time.process_time(), time.thread_time()
    for _ in range(calls):
        work()
    thread = time.thread_time() - thread
    time.sleep(settle_s)
    return 1e6 * thread / calls, 1e6 * (time.process_time() - process) / calls


def compare(alone: Work, recorded: Work, calls: int, rounds: int, settle_s: float) -> tuple[float, float, float]:
    """(CPU of the call, ratio on the calling thread, ratio of the process), medians; the first round is not counted."""
    base, on_thread, in_all = [], [], []
    for number in range(rounds + 1):
        pair = [
            (work, spent(work, calls, settle_s)) for work in ((alone, recorded) if number % 2 else (recorded, alone))
        ]
        found = dict(pair)
        if number:
            base.append(found[alone][1])
            on_thread.append(found[recorded][0] / found[alone][0])
            in_all.append(found[recorded][1] / found[alone][1])
    return statistics.median(base), statistics.median(on_thread), statistics.median(in_all)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    names = [type(driver).__name__ for driver in DRIVERS]
    parser.add_argument("sdks", nargs="*", metavar="SDK", help=", ".join(names))
    parser.add_argument("--calls", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--profile", action="store_true", help="show where the recorded calls of each SDK spend time")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    loop = asyncio.new_event_loop()
    with tempfile.TemporaryDirectory() as folder, bf.local_gateway(speed=1000) as gateway:
        client = bf.Client(gateway.url, log=bf.RunLog(Path(folder) / "runs.jsonl"))
        print(f"{'SDK':12}{'call':10}{'CPU us alone':>14}{'thread ratio':>14}{'process ratio':>15}")
        for driver in (each for each in DRIVERS if not options.sdks or type(each).__name__ in options.sdks):
            gateway.script([{"deployment": driver.deployment, "chunks": CHUNKS}])
            name: Any = driver.name
            alone = driver.alone(gateway.url, not driver.blocking)
            ours = bf.sdk(name, client=client, asynchronous=not driver.blocking, **driver.options)

            for kind, make in (("answer", whole), ("stream", streamed)):
                calls = options.calls if kind == "answer" else max(5, options.calls // 6)
                works = make(driver, alone, loop), make(driver, ours, loop)
                figures = compare(*works, calls, options.rounds, SETTLE_S)
                print(
                    f"{type(driver).__name__:12}{kind:10}{figures[0]:14,.0f}{figures[1]:14.3f}{figures[2]:15.3f}",
                    flush=True,
                )
                if options.profile:
                    profile(works[1], calls)


def profile(work: Work, calls: int) -> None:
    with cProfile.Profile(time.thread_time) as profiler:
        for _ in range(calls):
            work()
    statistics_of = pstats.Stats(profiler).sort_stats("tottime")
    statistics_of.print_stats("bifrost_nb|orjson|posix", 18)


if __name__ == "__main__":
    main()
