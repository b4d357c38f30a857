"""Under load: many streams at once for a minute, sweeps of many cells, a kernel's week. Prints one line of JSON.

    python tests/benchmarks/load.py streams [--at-once 5000] [--seconds 60]
    python tests/benchmarks/load.py sweep [--cells 50000] [--at-once 64]
    python tests/benchmarks/load.py killed [--cells 200000] [--at-once 64] [--kills 3]
    python tests/benchmarks/load.py magic [--cells 100000]

`killed` ends the process of a sweep with SIGKILL after a quarter, the half and three quarters of it, and begins anew
each time: what was answered is not sent again, so the server has served at most `at_once` more for each kill. `magic`
runs so many ``%%bifrost`` cells in one IPython, and as many that only print in another (`printing`), since IPython
keeps the source and the output of every cell for ever. All go against a bare loopback server in another process
(`stream_server.py`) and look afterwards whether the log has every run exactly once and whether tasks, sockets or
threads are left. Memory is this process's resident size, sampled every half second. A sweep keeps every run, since its
result is all of them: `rss_kb_per_cell` says what one takes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bifrost_nb as bf
from bifrost_nb._client.calls import Outcome
from bifrost_nb._client.portal import portal

DEPLOYMENT = "azure/fast"
WARM_CELLS = 1_200
"""After so many, all is loaded, and what IPython keeps of results (1,000) is full."""


@contextlib.contextmanager
def server(chunks: int, gap_ms: float) -> Iterator[str]:
    """The address of a stream server; it ends with the block."""
    command = [sys.executable, str(Path(__file__).with_name("stream_server.py")), str(chunks), str(gap_ms)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.stdin.close()
            process.wait(10)


def stats(url: str) -> dict[str, int]:
    with urllib.request.urlopen(f"{url}/stats", timeout=30) as answer:
        found: dict[str, int] = json.load(answer)
        return found


def rss_mb() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


class Memory:
    """Samples of the resident size while its block runs."""

    def __enter__(self) -> Memory:
        self.samples = [rss_mb()]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def _sample(self) -> None:
        while not self._over.wait(0.5):
            self.samples.append(rss_mb())

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()
        self.samples.append(rss_mb())

    def quarters(self) -> list[float]:
        """At the start, after a quarter, the half, three quarters, and at the end: MB."""
        last = len(self.samples) - 1
        return [round(self.samples[last * part // 4], 1) for part in range(5)]


def settled(seconds: float = 30.0) -> dict[str, int]:
    """Tasks of the private loop, threads and sockets, as soon as no task is left: a cost is looked for some 11 s."""
    end = time.monotonic() + seconds
    while True:
        gc.collect()
        tasks = sum(not task.done() for task in asyncio.all_tasks(portal().loop))
        if not tasks or time.monotonic() > end:
            break
        time.sleep(0.05)
    sockets = 0
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            sockets += str(Path("/proc/self/fd", descriptor).readlink()).startswith("socket:")
    return {"tasks": tasks, "threads": threading.active_count(), "sockets": sockets}


def logged(log: bf.RunLog) -> dict[str, Any]:
    """How often the log has each run, by its lines and as it is read."""
    assert log.path is not None
    ids = Counter(
        record["run_id"] for record in map(json.loads, log.path.read_bytes().splitlines()) if not record.get("update")
    )
    frame = log.frame()
    return {
        "logged": len(ids),
        "exactly_once": set(ids.values()) <= {1} and frame["run_id"].is_unique and len(frame) == len(ids),
        "ok": int(frame["status"].eq("ok").sum()),
    }


def streams(at_once: int, seconds: float, chunks: int = 40, gap_ms: float = 250.0) -> dict[str, Any]:
    """`at_once` streams open all the time for `seconds`: whoever has ended begins again. No run is kept in memory."""
    ended: Counter[str] = Counter()

    async def worker(client: bf.Client, over: asyncio.Event) -> None:
        while not over.is_set():
            outcome: Outcome = await client.send(client.prepare("text", DEPLOYMENT, "Count", stream=True, retries=0))
            ended[type(outcome.error).__name__ if outcome.error else "ok"] += 1

    async def all_of_them(client: bf.Client, url: str) -> float:
        over = asyncio.Event()
        work = [asyncio.create_task(worker(client, over)) for _ in range(at_once)]
        look = time.monotonic() + 120
        while (await asyncio.to_thread(stats, url))["most"] < 0.99 * at_once and time.monotonic() < look:
            await asyncio.sleep(0.5)  # the time counts from when all are open
        began = time.monotonic()
        await asyncio.sleep(seconds)
        over.set()
        await asyncio.gather(*work)
        return time.monotonic() - began

    with server(chunks, gap_ms) as url, tempfile.TemporaryDirectory() as folder:
        patient = bf.Timeouts(connect=120, first_byte=120, between_chunks=120, total=None)  # a busy machine is no fault
        client = bf.Client(url, log=bf.RunLog(Path(folder) / "runs.jsonl"), timeout=patient)
        with client.stream(DEPLOYMENT, "Warm up") as warm:
            list(warm)
        began, cpu = time.monotonic(), time.process_time()
        with Memory() as memory:
            steady = portal().call(all_of_them(client, url))
        took, cpu = time.monotonic() - began, time.process_time() - cpu
        seen = stats(url)
        facts = logged(client.log)
    runs = sum(ended.values())
    return {
        "what": "streams",
        "at_once": at_once,
        "open_at_once": seen["most"],
        "seconds": round(took, 1),
        "seconds_with_all_open": round(steady, 1),
        "runs": runs,
        "ended": dict(ended),
        "all_ok": ended == {"ok": runs} and facts["ok"] == runs + 1,
        **facts,
        "exactly_once": facts["exactly_once"] and facts["logged"] == runs + 1 == seen["served"],
        "chunks_per_s": round(runs * chunks / took),
        "cpu_share": round(cpu / took, 2),
        "rss_mb": memory.quarters(),
        "left": settled(),
    }


def sweep(cells: int, at_once: int, chunks: int = 5) -> dict[str, Any]:
    """One comparison of so many cells."""
    with server(chunks, 0) as url, tempfile.TemporaryDirectory() as folder:
        client = bf.Client(url, log=bf.RunLog(Path(folder) / "runs.jsonl"))
        warm = bf.compare([DEPLOYMENT], "Warm {{n}}", inputs={"n": [1, 2]}, client=client)
        inputs = {"n": list(range(cells))}
        began, cpu = time.monotonic(), time.process_time()
        with Memory() as memory:
            result = bf.compare([DEPLOYMENT], "Cell {{n}}", inputs=inputs, concurrency=at_once, client=client)
        took, cpu = time.monotonic() - began, time.process_time() - cpu
        seen, facts = stats(url), logged(client.log)
        all_ok = bool(result.frame["status"].eq("ok").all()) and not result.missing and len(result) == cells
    quarters = memory.quarters()
    return {
        "what": "sweep",
        "cells": cells,
        "at_once": at_once,
        "seconds": round(took, 1),
        "cells_per_s": round(cells / took),
        "cpu_ms_per_cell": round(1000 * cpu / cells, 2),
        "all_ok": all_ok and facts["ok"] == cells + len(warm),
        **facts,
        "exactly_once": facts["exactly_once"] and facts["logged"] == cells + len(warm) == seen["served"],
        "rss_mb": quarters,
        "rss_kb_per_cell": round(1024 * (quarters[4] - quarters[1]) / (0.75 * cells), 2),
        "left": settled(),
    }


def killed(cells: int, at_once: int, kills: int) -> dict[str, Any]:
    """One comparison whose process is killed `kills` times on the way."""
    began = time.monotonic()
    with server(2, 0) as url, tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "runs.jsonl"
        program = [sys.executable, str(Path(__file__)), "part", "--cells", str(cells), "--at-once", str(at_once)]
        program += ["--url", url, "--log", str(log)]
        served = []
        for number in range(kills):
            with subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                while stats(url)["served"] < cells * (number + 1) / (kills + 1):
                    assert process.poll() is None, "the sweep ended before it was killed"
                    time.sleep(0.2)
                process.kill()
            served.append(stats(url)["served"])
        last = subprocess.run(program, capture_output=True, text=True, check=True)
        part, seen, facts = json.loads(last.stdout.splitlines()[-1]), stats(url), logged(bf.RunLog(log))
    return {
        "what": "killed",
        "cells": cells,
        "at_once": at_once,
        "seconds": round(time.monotonic() - began, 1),
        "served_at_each_kill": served,
        "served": seen["served"],
        "sent_again": seen["served"] - cells,
        "nothing_paid_twice": seen["served"] - cells <= kills * at_once and facts["ok"] == cells,
        **facts,
        "last_part": part,
    }


def part_of_a_sweep(url: str, log: str, cells: int, at_once: int) -> dict[str, Any]:
    """What is left of `killed`, in a process of its own."""
    client = bf.Client(url, log=bf.RunLog(log))
    inputs = {"n": range(cells)}
    result = bf.compare([DEPLOYMENT], "Cell {{n}}", inputs=inputs, concurrency=at_once, client=client)
    return {
        "all_ok": len(result) == cells and bool(result.frame["status"].eq("ok").all()),
        "from_the_log": result.progress.reused,
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def ipython(cells: int, magic: str, register: Callable[[Any], object]) -> dict[str, Any]:
    """So many cells of a magic, one after another and numbered as a person's are, in one IPython."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output
    from traitlets.config import Config

    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    register(shell)
    warnings.filterwarnings("ignore", "Output cache limit")

    def run(number: int) -> None:
        with capture_output():
            done = shell.run_cell(f"%%{magic} {DEPLOYMENT}\nSay {number}", store_history=True)
        done.raise_error()

    for number in range(WARM_CELLS):
        run(number)
    began, cpu = time.monotonic(), time.process_time()
    with Memory() as memory:
        for number in range(cells):
            run(number)
    took, cpu = time.monotonic() - began, time.process_time() - cpu
    quarters = memory.quarters()
    return {
        "cells": cells,
        "seconds": round(took, 1),
        "cpu_ms_per_cell": round(1000 * cpu / cells, 2),
        "rss_mb": quarters,
        "rss_kb_per_cell": round(1024 * (quarters[4] - quarters[1]) / (0.75 * cells), 3),
    }


def magic(cells: int) -> dict[str, Any]:
    """``%%bifrost`` cells; beside them, in a process of their own, as many of a magic that only prints."""
    with server(3, 0) as url, tempfile.TemporaryDirectory() as folder:
        bf.Client(url, log=bf.RunLog(Path(folder) / "runs.jsonl"))
        ours = ipython(cells, "bifrost", lambda shell: shell.run_line_magic("load_ext", "bifrost_nb"))
        facts = logged(bf.RunLog(Path(folder) / "runs.jsonl"))
    program = [sys.executable, str(Path(__file__)), "printing", "--cells", str(cells)]
    alone = json.loads(subprocess.run(program, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
    return {
        "what": "magic",
        **ours,
        "ipython_alone_kb_per_cell": alone["rss_kb_per_cell"],
        "all_ok": facts["ok"] == cells + WARM_CELLS,
        **facts,
        "left": settled(),
    }


def printing(cells: int) -> dict[str, Any]:
    """What IPython itself keeps of cells that write what a ``%%bifrost`` cell writes here."""
    texts = (f"{DEPLOYMENT} · served by {DEPLOYMENT}\n", "word0 word1 word2 ", "\n", f"served by {DEPLOYMENT:·<84}\n")

    def echo(line: str, cell: str) -> None:
        for text in texts:
            sys.stdout.write(text.encode().decode())  # each time a text of its own, as what arrives is

    return ipython(cells, "printing", lambda shell: shell.register_magic_function(echo, "cell", "printing"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("what", choices=["streams", "sweep", "killed", "magic", "part", "printing"])
    parser.add_argument("--at-once", type=int)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--cells", type=int)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--url", help="of `part`, which `killed` starts; so is --log")
    parser.add_argument("--log")
    asked = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a socket for each stream, here and in the server
    at_once = asked.at_once or (5000 if asked.what == "streams" else 64)
    if asked.what == "streams":
        facts = streams(at_once, asked.seconds)
    elif asked.what == "sweep":
        facts = sweep(asked.cells or 50_000, at_once)
    elif asked.what == "killed":
        facts = killed(asked.cells or 200_000, at_once, asked.kills)
    elif asked.what == "magic":
        facts = magic(asked.cells or 100_000)
    elif asked.what == "printing":
        facts = printing(asked.cells or 100_000)
    else:
        facts = part_of_a_sweep(asked.url, asked.log, asked.cells, at_once)
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
