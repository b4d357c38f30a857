"""100 streams at once, 200 chunks each, one every 5 ms: how much longer than that do they take?

    python tests/benchmarks/bench_paced.py [--rounds 3]

The ideal is 1 s: all chunks of all streams are then handled as they come. `beside` are the openai SDK (where it is
installed) and aiohttp alone with json, which shows what server and machine allow. The error of the time to the first
text is the distance to what the server saw between request and first chunk.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from statistics import median

import aiohttp
import numpy as np
from rows import Row, at_most, chunk_server, row, told

import bifrost_nb as bf

STREAMS, CHUNKS, GAP_MS = 100, 200, 5.0
IDEAL_S = (CHUNKS + 1) * GAP_MS / 1000  # the last chunk is the finish reason
Times = dict[str, float]


def ours(url: str) -> Times:
    """Every run logged."""

    async def one(client: bf.Client) -> bf.Run:
        async with client.astream("azure/fast", "x") as stream:
            async for _ in stream:
                pass
        return stream.run

    async def all_of_them(client: bf.Client) -> list[bf.Run]:
        return await asyncio.gather(*(one(client) for _ in range(STREAMS)))

    with tempfile.TemporaryDirectory() as folder:
        runs = asyncio.run(all_of_them(bf.Client(url, log=bf.RunLog(Path(folder) / "runs.jsonl"))))
    assert all(run.status == "ok" and run.chunks == CHUNKS for run in runs)
    return {run.request_id or "": run.ttft_ms or 0.0 for run in runs}


def openai_sdk(url: str) -> Times:
    import openai

    times: Times = {}

    async def one(client: openai.AsyncOpenAI) -> None:
        request_id, began = str(uuid.uuid4()), time.perf_counter()
        stream = await client.completions.create(
            model="azure/fast", prompt="x", stream=True, extra_headers={"x-request-id": request_id}
        )
        async for chunk in stream:
            if chunk.choices[0].text and request_id not in times:
                times[request_id] = 1000 * (time.perf_counter() - began)

    async def all_of_them() -> None:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
            await asyncio.gather(*(one(client) for _ in range(STREAMS)))

    asyncio.run(all_of_them())
    return times


def bare_aiohttp(url: str) -> Times:
    """The least that one can do: each line parsed, nothing kept."""
    times: Times = {}

    async def one(session: aiohttp.ClientSession) -> None:
        request_id, began = str(uuid.uuid4()), time.perf_counter()
        body, headers = {"stream": True}, {"x-request-id": request_id}
        async with session.post(f"{url}/v1/completions", json=body, headers=headers) as response:
            async for line in response.content:
                if line.startswith(b"data: {") and json.loads(line[6:])["choices"][0]["text"]:
                    times.setdefault(request_id, 1000 * (time.perf_counter() - began))

    async def all_of_them() -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await asyncio.gather(*(one(session) for _ in range(STREAMS)))

    asyncio.run(all_of_them())
    return times


async def _server_times(url: str) -> Times:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/times") as response:
        return dict(await response.json())


def measure(ways: dict[str, Callable[[str], Times]], url: str, rounds: int) -> dict[str, tuple[float, float, float]]:
    """Of each way the medians of wall seconds, CPU seconds, and the error's 95th percentile in ms."""
    taken: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            wall, cpu = time.perf_counter(), time.process_time()
            times = way(url)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            seen = asyncio.run(_server_times(url))
            errors = [abs(ms - seen[request_id]) for request_id, ms in times.items()]
            if number:  # the first round loads what is loaded late
                taken[name].append((wall, cpu, float(np.percentile(errors, 95))))
    return {name: tuple(map(median, zip(*figures, strict=True))) for name, figures in taken.items()}  # type: ignore[misc]


def rows(rounds: int) -> list[Row]:
    ways = {"bifrost-nb": ours, "aiohttp + json alone": bare_aiohttp}
    if importlib.util.find_spec("openai"):
        ways["openai SDK"] = openai_sdk
    with chunk_server(CHUNKS, GAP_MS) as url:
        found = measure(ways, url, rounds)
    (wall, cpu, error), others = found.pop("bifrost-nb"), found
    what = f"{STREAMS} streams x {CHUNKS} chunks at {GAP_MS:g} ms, runs logged (`bench_paced.py`)"
    bound = (
        "The machine: aiohttp alone with json, beside, needs no less. A chunk that comes alone costs a wake-up, a read "
        "and an HTTP chunk in aiohttp before anything of it is looked at, and the server is busy on the other core."
    )
    return [
        row(
            what,
            f"{wall:.2f} s, {cpu:.2f} s of CPU",
            "; ".join(f"{name} {each[0]:.2f} s, {each[1]:.2f} s of CPU" for name, each in others.items()),
            *at_most(wall / IDEAL_S, 1.15, f" times the ideal {IDEAL_S:.3f} s"),
            bound,
        ),
        row(
            "the same: error of the measured time to the first text, p95",
            f"{error:.1f} ms",
            "; ".join(f"{name} {each[2]:.1f} ms" for name, each in others.items()),
            *at_most(error, 60, " ms"),
            bound,
        ),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    told(rows(parser.parse_args().rounds))
