"""Comparisons side by side with a sweep written by hand on the openai SDK.

    python tests/benchmarks/bench_compare.py [--rounds 3]

Two questions, each asked of both ways in the same run, against the same embedded gateway:

- 100 streams at once, 200 chunks each at 5 ms, first text after 200 ms (ideal: 1.2 s): how long it takes, and how far
  the measured time to the first text is from what the server recorded.
- 600 short streamed calls, 48 at once: calls per second and CPU per call. Ours also records every run in the log,
  looks up its cost, and can be resumed.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import bifrost_nb as bf
from bifrost_nb._compare.compare import compare

DEPLOYMENT = "openai/gpt-3.5-turbo-instruct"
STREAMS = {"first_text_ms": 200, "gap_ms": 5, "chunks": 200}
SHORT = {"first_text_ms": 0, "gap_ms": 0, "chunks": 5}


class Measured(NamedTuple):
    """One sweep: seconds on the wall and of CPU, and the ms to the first text by request id."""

    wall_s: float
    cpu_s: float
    first_text_ms: dict[str, float]


def ours(url: str, calls: int, at_once: int) -> Measured:
    """`compare`, every run logged."""
    with tempfile.TemporaryDirectory() as folder:
        client = bf.Client(url, log=bf.RunLog(Path(folder) / "runs.jsonl"))
        inputs = {"number": list(range(calls))}
        wall, cpu = time.perf_counter(), time.process_time()
        result = compare([DEPLOYMENT], "Call {{number}}", inputs=inputs, concurrency=at_once, client=client)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    assert not result.missing
    return Measured(wall, cpu, {run.request_id or "": run.ttft_ms or 0.0 for run in result.runs})


def openai_sdk(url: str, calls: int, at_once: int) -> Measured:
    """What one writes by hand: a semaphore, gather, a clock around each call; nothing is recorded."""
    import openai

    times: dict[str, float] = {}

    async def sweep() -> None:
        room = asyncio.Semaphore(at_once)
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:

            async def one(number: int) -> None:
                async with room:
                    request_id = str(uuid.uuid4())
                    began = time.perf_counter()
                    stream = await client.completions.create(
                        model=DEPLOYMENT,
                        prompt=f"Call {number}",
                        stream=True,
                        extra_headers={"x-request-id": request_id},
                    )
                    async for chunk in stream:
                        if chunk.choices and chunk.choices[0].text and request_id not in times:
                            times[request_id] = 1000 * (time.perf_counter() - began)

            await asyncio.gather(*(one(number) for number in range(calls)))

    wall, cpu = time.perf_counter(), time.process_time()
    asyncio.run(sweep())
    return Measured(time.perf_counter() - wall, time.process_time() - cpu, times)


Way = Callable[[str, int, int], Measured]


def first_text_errors_ms(measured: Measured, requests: list[dict[str, Any]]) -> np.ndarray:
    """How far each measured time to the first text is from the server's own, ms."""
    server = {
        one["id"]: 1000 * (one["first_text_at"] - one["received_at"]) for one in requests if one.get("first_text_at")
    }
    return np.array([abs(ms - server[request_id]) for request_id, ms in measured.first_text_ms.items()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    ways: dict[str, Way] = {"bifrost-nb compare": ours}
    if importlib.util.find_spec("openai"):
        ways["openai SDK"] = openai_sdk
    with bf.local_gateway() as gateway:
        for way in ways.values():  # load what is loaded late
            way(gateway.url, 10, 10)
        print(f"{'100 streams x 200 chunks':28}{'wall s':>8}{'first text error p50 ms':>26}{'p95 ms':>8}")
        for name, way in ways.items():
            rows = [_streams(gateway, way) for _ in range(rounds)]
            wall, p50, p95 = (statistics.median(column) for column in zip(*rows, strict=True))
            print(f"{name:28}{wall:8.2f}{p50:26.1f}{p95:8.1f}")
        print(f"\n{'600 short calls, 48 at once':28}{'calls/s':>8}{'CPU ms a call':>26}")
        for name, way in ways.items():
            rows = [_short(gateway, way) for _ in range(rounds)]
            per_second, cpu = (statistics.median(column) for column in zip(*rows, strict=True))
            print(f"{name:28}{per_second:8.0f}{cpu:26.2f}")


def _streams(gateway: bf.LocalGateway, way: Way) -> tuple[float, float, float]:
    gateway.reset()
    gateway.script([STREAMS])
    measured = way(gateway.url, 100, 100)
    errors = first_text_errors_ms(measured, gateway.requests())
    return measured.wall_s, float(np.percentile(errors, 50)), float(np.percentile(errors, 95))


def _short(gateway: bf.LocalGateway, way: Way) -> tuple[float, float]:
    gateway.reset()
    gateway.script([SHORT])
    measured = way(gateway.url, 600, 48)
    return 600 / measured.wall_s, 1000 * measured.cpu_s / 600


if __name__ == "__main__":
    main()
