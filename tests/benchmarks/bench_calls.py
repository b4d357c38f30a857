"""CPU time of one short completion, recorded in the log, beside the openai SDK that records nothing.

    python tests/benchmarks/bench_calls.py [--calls 200] [--rounds 7]

One after another and blocking, 64 at once in async code, and 64 at once in `compare`, planning and frame included; the
server is `chunk_server.py`, whose own time is not counted. It has no log of its own, so no cost is looked up. Beside
them stand the openai SDK (without it those rows have no target) and aiohttp alone, which reads JSON and keeps nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from rows import Row, at_most, chunk_server, interleaved, row, told

import bifrost_nb as bf

AT_ONCE = 64
BOUND = (
    "By instructions, which no other work disturbs (callgrind, 1,000 calls): 1.43 million a call, aiohttp alone 0.61, "
    "so 2.3 times. Beside that, a full garbage collection falls into nearly every round of ours, 115 µs a call in a "
    "process that has loaded the openai SDK too, and none into aiohttp's: a call under way is 123 objects that Python "
    "tracks, of aiohttp 69. And on Python 3.11 each request is written at once, for its clock's sake, not many "
    "together. By leaving parts out, of some 300 µs on our loop: the request over aiohttp's connections 95, completing "
    "the run 40 (a third of it who served), its line 40, all that is left without sending anything 88; the way from "
    "the caller's loop and back takes 40 more. The target leaves 80 beside the request."
)
COMPARE_BOUND = (
    "By instructions 1.07 times: 1.53 million a call beside 1.43. By samples planning takes 40 µs a call, the frame "
    "30, handing results over 9."
)


async def _at_once(calls: int, call: Callable[[], Awaitable[object]]) -> None:
    room = asyncio.Semaphore(AT_ONCE)

    async def one() -> None:
        async with room:
            await call()

    await asyncio.gather(*(one() for _ in range(calls)))


def ours(client: bf.Client, calls: int) -> None:
    for _ in range(calls):
        client.complete("azure/fast", "x", max_tokens=10)


def ours_at_once(client: bf.Client, calls: int) -> None:
    asyncio.run(_at_once(calls, lambda: client.acomplete("azure/fast", "x", max_tokens=10)))


def compared(client: bf.Client, calls: int) -> None:
    inputs = {"n": range(calls)}
    result = bf.compare(
        ["azure/fast"],
        "{{n}}",
        inputs=inputs,
        api="text",
        stream=False,
        concurrency=AT_ONCE,
        max_tokens=10,
        client=client,
        fresh=True,
    )
    assert len(result.frame) == calls


def aiohttp_alone(url: str, calls: int) -> None:
    import aiohttp

    async def sweep() -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def call() -> None:
                body = {"model": "azure/fast", "prompt": "x", "max_tokens": 10}
                async with session.post(f"{url}/v1/completions", json=body) as answer:
                    assert (await answer.json())["choices"]

            await _at_once(calls, call)

    asyncio.run(sweep())


def openai_sdk(url: str, calls: int) -> None:
    import openai

    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        for _ in range(calls):
            client.completions.create(model="azure/fast", prompt="x", max_tokens=10)


def openai_sdk_at_once(url: str, calls: int) -> None:
    import openai

    async def sweep() -> None:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
            await _at_once(calls, lambda: client.completions.create(model="azure/fast", prompt="x", max_tokens=10))

    asyncio.run(sweep())


def rows(calls: int, rounds: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder, chunk_server(1) as url:
        log = bf.RunLog(Path(folder) / "runs.jsonl")
        client = bf.Client(url, log=log)
        ways: dict[str, Callable[[], None]] = {
            "one after another": lambda: ours(client, calls),
            f"{AT_ONCE} at once": lambda: ours_at_once(client, calls),
            "compare": lambda: compared(client, calls),
            "aiohttp": lambda: aiohttp_alone(url, calls),
        }
        if importlib.util.find_spec("openai"):
            ways["openai SDK, one after another"] = lambda: openai_sdk(url, calls)
            ways[f"openai SDK, {AT_ONCE} at once"] = lambda: openai_sdk_at_once(url, calls)
        taken = interleaved(ways, rounds)
        assert len(log.read(status="ok")) == 3 * calls * (rounds + 1)
    found = []
    for kind in ("one after another", f"{AT_ONCE} at once"):
        mine, theirs = taken[kind].cpu_s, taken.get(f"openai SDK, {kind}")
        told_of = f"openai SDK {1e6 * theirs.cpu_s / calls:,.0f} µs" if theirs else "-"
        target, met = at_most(mine / theirs.cpu_s, 0.7) if theirs else ("", None)
        what = f"a short completion, {kind}, run logged (`bench_calls.py`)"
        found.append(row(what, f"{1e6 * mine / calls:,.0f} µs of CPU", told_of, target, met))
    alone, bare, sweep = (taken[name].cpu_s / calls for name in ("aiohttp", f"{AT_ONCE} at once", "compare"))
    what = f"a short completion, {AT_ONCE} at once, run logged (`bench_calls.py`)"
    beside = f"aiohttp and json alone {1e6 * alone:,.0f} µs"
    found.append(row(what, f"{1e6 * bare:,.0f} µs of CPU", beside, *at_most(bare / alone, 1.7), BOUND))
    what = f"a call in `compare`, {AT_ONCE} at once, to the frame (`bench_calls.py`)"
    beside = f"a call of the bare client {1e6 * bare:,.0f} µs"
    found.append(row(what, f"{1e6 * sweep:,.0f} µs of CPU", beside, *at_most(sweep / bare, 1.3), COMPARE_BOUND))
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    told(rows(options.calls, options.rounds))
