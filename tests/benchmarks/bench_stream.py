"""Streamed chunks parsed per second, side by side with what users would otherwise pick.

    python tests/benchmarks/bench_stream.py [--chunks 10000] [--rounds 5]

All ways read the same bytes from the same server in the same run, in turn. The openai SDK takes part where it is
installed. Ratios are of CPU time: whoever parses has the processor to itself all the time, and what else runs on the
machine does not count.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import httpx
from rows import Row, at_least, chunk_server, interleaved, row, told

import bifrost_nb as bf

BOUND = (
    "By parts, each alone over events of 285 bytes, µs a chunk: joining HTTP chunks before aiohttp's parser 0.14, "
    "events 0.20, msgspec's decoding with its checks 0.49, pieces and times of the run 0.19, reading the texts 0.05; "
    "the rest is sockets, aiohttp and two threads that take turns."
)


def plain_httpx(url: str) -> int:
    """What one writes by hand: httpx's lines, json, the text of each chunk."""
    count, body = 0, {"stream": True}
    with httpx.Client(timeout=60) as client, client.stream("POST", f"{url}/v1/completions", json=body) as response:
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


async def openai_sdk_async(url: str) -> int:
    import openai

    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client:
        stream = await client.completions.create(model="azure/fast", prompt="x", stream=True)
        return len([chunk async for chunk in stream if chunk.choices[0].text])


def ours(client: bf.Client) -> int:
    with client.stream("azure/fast", "x") as stream:
        count = sum(1 for _ in stream)
    assert stream.run.status == "ok"
    return count


async def ours_async(client: bf.Client) -> int:
    async with client.astream("azure/fast", "x") as stream:
        return len([piece async for piece in stream])


def rows(chunks: int, rounds: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder, chunk_server(chunks) as url:
        client = bf.Client(url, log=bf.RunLog(Path(folder) / "runs.jsonl"))
        ways: dict[str, Callable[[], int]] = {
            "bifrost-nb": lambda: ours(client),
            "httpx + json": lambda: plain_httpx(url),
            "bifrost-nb, async": lambda: asyncio.run(ours_async(client)),
            "httpx + json, async": lambda: asyncio.run(plain_httpx_async(url)),
        }
        if importlib.util.find_spec("openai"):
            ways["openai SDK"] = lambda: openai_sdk(url)
            ways["openai SDK, async"] = lambda: asyncio.run(openai_sdk_async(url))
        assert {way() for way in ways.values()} == {chunks}
        taken = interleaved(ways, rounds)
    found = []
    for kind in ("", ", async"):
        mine = taken[f"bifrost-nb{kind}"]
        for other, wanted in (("httpx + json", 7 if kind else 8), ("openai SDK", 10)):
            if theirs := taken.get(f"{other}{kind}"):
                found.append(
                    row(
                        f"a stream of {chunks:,} chunks{kind}, run logged (`bench_stream.py`)",
                        f"{chunks / mine.wall_s:,.0f} chunks a second, {1e6 * mine.cpu_s / chunks:.1f} µs of CPU each",
                        f"{other} {chunks / theirs.wall_s:,.0f}, {1e6 * theirs.cpu_s / chunks:.1f} µs",
                        *at_least(theirs.cpu_s / mine.cpu_s, wanted),
                        BOUND,
                    )
                )
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--chunks", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    told(rows(options.chunks, options.rounds))
