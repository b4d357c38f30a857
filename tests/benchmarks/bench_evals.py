"""A scored sweep of chat calls, whole processes, beside promptfoo and inspect_ai.

    python tests/benchmarks/bench_evals.py [--calls 2000] [--promptfoo PROGRAM] [--inspect PYTHON]

Each way starts from nothing, asks a bare server that answers after 20 ms, 32 calls at once, compares each answer with
what was expected, and writes its results into a file. `--promptfoo` is its program (``node_modules/.bin/promptfoo``, or
``"npx -y promptfoo@0.121"``), `--inspect` a Python that has inspect_ai and openai; what is not named is left out.
CPU is that of the process and its children. A first sweep of 20 calls reads and compiles all files, into a folder that
the next ones use: as where the packages are installed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from rows import Row, at_least, row, told

WAIT_MS, AT_ONCE = 20, 32
ROUNDS = 3
BOUND = (
    "The server's waits alone take {ideal:.2f} s, the calls with aiohttp alone 1.34, here 1.36. Before the first call "
    "and after the last 0.5 s load libraries (pandas, numpy, aiohttp, pyarrow, pydantic): loaded beside the calls they "
    "would be measured as latency. Our own modules, checks, scores and the frame take 0.2 s, and Python's end 0.2 s: "
    "it collects what all of these have loaded."
)

OURS = """
import sys
import bifrost_nb as bf
url, folder, calls = sys.argv[1], sys.argv[2], int(sys.argv[3])
client = bf.Client(url, api_key="none", log=bf.RunLog(folder + "/runs.jsonl"))
result = bf.compare(["openai/m"], "Say {{n}}", inputs={"n": range(calls), "expected": ["leaf"] * calls},
                    api="chat", stream=False, score=bf.scorers.exact("expected"), concurrency=32, client=client)
frame = result.frame
assert len(frame) == calls and (frame["status"] == "ok").all() and frame["score"].mean() == 1
frame.to_parquet(folder + "/frame.parquet")
"""
INSPECT = """
import sys
from inspect_ai import Task, eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.scorer import exact
from inspect_ai.solver import generate
url, folder, calls = sys.argv[1], sys.argv[2], int(sys.argv[3])
data = MemoryDataset([Sample(input=f"Say {n}", target="leaf") for n in range(calls)])
(log,) = eval(Task(dataset=data, solver=generate(), scorer=exact()), model="openai/m", model_base_url=url + "/v1",
              model_args={"responses_api": False}, log_dir=folder, display="none", max_connections=32, max_samples=32)
assert log.status == "success" and log.results.scores[0].metrics["mean"].value == 1, log.status
"""


class Taken(NamedTuple):
    """Seconds on the wall and of CPU."""

    wall: float
    cpu: float


@contextmanager
def answer_server() -> Iterator[str]:
    """The address of an `answer_server.py` in a process of its own."""
    program = [sys.executable, str(Path(__file__).with_name("answer_server.py")), str(WAIT_MS)]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.communicate()


def promptfoo_config(url: str, folder: Path, calls: int) -> Path:
    """Its configuration: the provider, the prompt, and one test a call."""
    tests = [{"vars": {"n": str(n)}, "assert": [{"type": "equals", "value": "leaf"}]} for n in range(calls)]
    provider = {"id": "openai:chat:m", "config": {"apiBaseUrl": f"{url}/v1", "apiKey": "none"}}
    path = folder / "promptfooconfig.json"
    path.write_text(json.dumps({"providers": [provider], "prompts": ["Say {{n}}"], "tests": tests}))
    return path


def commands(options: argparse.Namespace) -> dict[str, list[str]]:
    """How each way is started; ``URL``, ``FOLDER`` and ``CALLS`` are filled in."""
    found = {"bifrost-nb": [sys.executable, "-c", OURS, "URL", "FOLDER", "CALLS"]}
    if options.promptfoo:
        program, *arguments = shlex.split(options.promptfoo)
        promptfoo = [str(Path(shutil.which(program) or program).absolute()), *arguments]
        sent = ["-j", str(AT_ONCE), "--no-cache", "--no-progress-bar", "--no-table", "-o", "FOLDER/out.json"]
        found["promptfoo"] = [*promptfoo, "eval", "-c", "FOLDER/promptfooconfig.json", *sent]
    if options.inspect:
        found["inspect_ai"] = [str(Path(options.inspect).absolute()), "-c", INSPECT, "URL", "FOLDER", "CALLS"]
    return found


def taken(command: list[str], url: str, calls: int, compiled: str) -> Taken:
    """One sweep in a process of its own, from its start to its end."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        promptfoo_config(url, folder, calls)
        filled = [each.replace("FOLDER", name).replace("URL", url) for each in command]
        filled = [str(calls) if each == "CALLS" else each for each in filled]
        off = ("TELEMETRY", "UPDATE", "DEBUG_LOG", "ERROR_LOG")  # its log files sometimes end a process with an error
        quiet = {**{f"PROMPTFOO_DISABLE_{each}": "1" for each in off}, "OPENAI_API_KEY": "none"}
        places = {"PROMPTFOO_CONFIG_DIR": name, "XDG_DATA_HOME": name, "HOME": name, "PYTHONPYCACHEPREFIX": compiled}
        environment = {**os.environ, **quiet, **places}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        done = subprocess.run(filled, env=environment, cwd=name, capture_output=True, text=True, check=False)
        wall, after = time.monotonic() - wall, resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            sys.exit(f"{filled[0]} failed: {done.stderr[-2000:] or done.stdout[-2000:]}")
        results = folder / "out.json"
        if results.exists():
            assert json.loads(results.read_text())["results"]["stats"]["successes"] == calls
    return Taken(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def measured(options: argparse.Namespace) -> list[Row]:
    found: dict[str, list[Taken]] = {}
    ways = commands(options)
    with answer_server() as url, tempfile.TemporaryDirectory() as compiled:
        for way in ways:
            taken(ways[way], url, 20, compiled)
        for number in range(ROUNDS):
            for way in ways:
                if way == "bifrost-nb" or number == 0:  # the others take a minute each, and vary less than the ratio
                    found.setdefault(way, []).append(taken(ways[way], url, options.calls, compiled))
    wall = {way: statistics.median(one.wall for one in each) for way, each in found.items()}
    cpu = {way: statistics.median(one.cpu for one in each) for way, each in found.items()}
    ideal = options.calls * WAIT_MS / 1000 / AT_ONCE
    rows = []
    for way, wanted in (("promptfoo", 5), ("inspect_ai", 15)):
        beside = f"{way} {wall[way]:.1f} s, {cpu[way]:.1f} s of CPU" if way in wall else f"{way} was left out"
        target = at_least(wall[way] / wall["bifrost-nb"], wanted) if way in wall else ("", None)
        what = f"{options.calls:,} scored chat calls, 20 ms each, {AT_ONCE} at once, whole process (`bench_evals.py`)"
        ours = f"{wall['bifrost-nb']:.1f} s, {cpu['bifrost-nb']:.1f} s of CPU"
        rows.append(row(what, ours, beside, *target, bound=BOUND.format(ideal=ideal)))
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--promptfoo", metavar="PROGRAM", help="its program")
    parser.add_argument("--inspect", metavar="PYTHON", help="a Python that has inspect_ai and openai")
    told(measured(parser.parse_args()))
