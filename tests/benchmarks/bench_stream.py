"""Streamed chunks parsed per second, side by side with what users would otherwise pick.

    python tests/benchmarks/bench_stream.py [--chunks 20000] [--rounds 5]

All ways read the same bytes from the same server in the same run, one after another, and the table gives the median
of the rounds. The openai SDK takes part where it is installed.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx

import bifrost_nb as bf


def plain_httpx(url: str) -> int:
    """What one writes by hand: httpx's lines, json, the text of each chunk."""
    count = 0
    with (
        httpx.Client(timeout=60) as client,
        client.stream("POST", f"{url}/v1/completions", json={"stream": True}) as response,
    ):
        for line in response.iter_lines():
            if line.startswith("data: {") and json.loads(line[6:])["choices"][0]["text"]:
                count += 1
    return count


async def plain_httpx_async(url: str) -> int:
    count = 0
    async with (
        httpx.AsyncClient(timeout=60) as client,
        client.stream("POST", f"{url}/v1/completions", json={"stream": True}) as response,
    ):
        async for line in response.aiter_lines():
            if line.startswith("data: {") and json.loads(line[6:])["choices"][0]["text"]:
                count += 1
    return count


def openai_sdk(url: str) -> int:
    import openai

    with openai.OpenAI(base_url=f"{url}/v1", api_key="none") as client:
        stream = client.completions.create(model="azure/fast", prompt="x", stream=True)
        return sum(1 for chunk in stream if chunk.choices[0].text)


def ours(client: bf.Client) -> int:
    with client.stream("azure/fast", "x") as stream:
        count = sum(1 for _ in stream)
    assert stream.run.status == "ok"
    return count


async def ours_async(client: bf.Client) -> int:
    async with client.astream("azure/fast", "x") as stream:
        return len([piece async for piece in stream])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--chunks", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    server = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("chunk_server.py"), str(options.chunks)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    url = f"http://127.0.0.1:{int(server.stdout.readline())}"
    with tempfile.TemporaryDirectory() as folder:
        client = bf.Client(url, log=bf.RunLog(Path(folder) / "runs.jsonl"))
        ways: dict[str, Callable[[], int]] = {
            "httpx + json": lambda: plain_httpx(url),
            "bifrost-nb, run logged": lambda: ours(client),
            "httpx + json, async": lambda: asyncio.run(plain_httpx_async(url)),
            "bifrost-nb, run logged, async": lambda: asyncio.run(ours_async(client)),
        }
        if importlib.util.find_spec("openai"):
            ways["openai SDK"] = lambda: openai_sdk(url)
        speeds = measure(ways, options.chunks, options.rounds)
    server.communicate()
    print(f"{'way':32}{'chunks/s':>12}{'ratio to httpx + json':>24}")
    for name, speed in speeds.items():
        base = speeds["httpx + json, async" if name.endswith("async") else "httpx + json"]
        print(f"{name:32}{speed:12,.0f}{speed / base:24.2f}")


def measure(ways: dict[str, Callable[[], int]], chunks: int, rounds: int) -> dict[str, float]:
    """Median chunks per second of each way, after one round that loads what is loaded late."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            began = time.perf_counter()
            assert way() == chunks, name
            if number:
                taken[name].append(time.perf_counter() - began)
    return {name: chunks / statistics.median(seconds) for name, seconds in taken.items()}


if __name__ == "__main__":
    main()
