"""A script that ends in the middle of calls ends quietly: nothing is printed, and what was under way is recorded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bifrost_nb import RunLog

from .conftest import good
from .server import FaultServer, Wire, chunk, head

OPEN = "client.stream('azure/fast', 'Hi').__enter__()"
ENDS = {
    "a stream": f"stream = {OPEN}; print(next(iter(stream)))",
    "three streams": f"streams = [{OPEN} for _ in range(3)]; print([next(iter(one)) for one in streams])",
    "an async stream": """
import asyncio
async def main():
    async for piece in await client.astream('azure/fast', 'Hi').__aenter__():
        return print(piece)
asyncio.run(main())""",
    "an exit": f"stream = {OPEN}; print(next(iter(stream))); sys.exit(0)",
    "three tasks left behind": """
import asyncio
async def main():
    tasks = [asyncio.create_task(client.acomplete('azure/fast', 'Hi', timeout=9)) for _ in range(3)]
    await asyncio.wait(tasks, timeout=0.3)
asyncio.run(main())""",
    "another library": """
sdk = bf.sdk('openai', client=client)
stream = sdk.completions.create(model='azure/fast', prompt='Hi', stream=True)
print(next(iter(stream)).choices[0].text)""",
}


def _drip(wire: Wire) -> None:
    wire.send(head())
    wire.drip(chunk("word ") * 40, 0.002)


@pytest.mark.parametrize("what", list(ENDS))
def test_the_end_of_the_interpreter_is_quiet(what: str, tmp_path: Path) -> None:
    """No task was destroyed, no exception was ignored, and the log has each call that was begun."""
    path = tmp_path / "runs.jsonl"
    with FaultServer(_drip) as server:
        code = f"import sys, bifrost_nb as bf\nclient = bf.Client({server.url!r}, retries=0)\n{ENDS[what]}"
        done = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "BIFROST_RUN_LOG": str(path)},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert len(RunLog(path).read()) == (3 if "three" in what else 1)


def test_a_server_that_answers_is_no_trouble(tmp_path: Path) -> None:
    """The same for a call that had ended: looking for its cost does not show at the end either."""
    with FaultServer(good) as server:
        code = f"import bifrost_nb as bf; print(bf.Client({server.url!r}, retries=0).stream('azure/fast', 'Hi'))"
        env = {**os.environ, "BIFROST_RUN_LOG": str(tmp_path / "runs.jsonl")}
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60, check=False
        )
    assert (done.returncode, done.stderr) == (0, "")
