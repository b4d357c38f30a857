"""How quickly runs are recorded and read back, beside what a person would write instead.

Run with ``python tests/benchmarks/bench_log.py --rows 1000000``. Each way of reading runs in a process of its own, so
that its peak memory is its own; the memory said is what the peak adds to a process that has its imports done. Ratios
are taken within one run: absolute times move with the machine. Those of reading are of time on the clock, since pandas
reads on one processor and we on all there are; the ratio of CPU time stands beside it.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
from rows import Row, at_least, at_most, row, told, two_digits

from bifrost_nb._runs.log.codec import encode
from bifrost_nb._runs.log.log import RunLog
from bifrost_nb._runs.run import Attempt, Run

WORDS = """bridge light rainbow river stone morning quiet signal harbour window garden letter winter music paper
copper lantern distant gentle narrow brilliant ordinary careful sudden open keep carry follow build gather
whisper travel remember between beyond under against toward never always almost often""".split()  # noqa: SIM905  a list of words reads better as words
BY_LINE = "the same, line by line"
WAYS = {
    "pandas.read_json(lines=True)": "frame = pandas.read_json(log, lines=True)",
    "RunLog.frame()": "frame = RunLog(log).frame()",
    BY_LINE: "table.parse_quickly = lambda block: None; frame = RunLog(log).frame()",
    "pandas.read_parquet, exported": "frame = pandas.read_parquet(parquet)",
    "the same, three columns": "frame = pandas.read_parquet(parquet, columns=['model', 'total_ms', 'cost_usd'])",
}
DISTINCT = 100_000
"""So many runs differ in all: more than a dictionary or a compressor of Parquet looks back."""
JSON_BOUND = "pyarrow's JSON reader takes three quarters of the time; it reads the part it leaves out as well."
APPEND_BOUND = (
    "By parts: the line 11 µs (reading the run's fields 5, four of them as JSON text 1.4, encoding 2.5), the file 10 "
    "(the write 3, lock and unlock 1.2, looking whether it is still the file at that path and ends whole 1.2, "
    "the rest Python)."
)
PARQUET_BOUND = "Decompressing (zstd) and copying texts that nearly all differ."
CHILD = """
import resource, sys, time
import numpy, orjson, pandas, pyarrow.dataset, pyarrow.json, pyarrow.parquet
from bifrost_nb._runs.log import reader as table
from bifrost_nb._runs.log.log import RunLog
log, parquet = sys.argv[1:3]
def peak():
    if sys.platform == "linux":  # getrusage would count what the parent had when it started us
        return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
if sys.platform == "linux":
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak so far is forgotten
before, start, cpu = peak(), time.perf_counter(), time.process_time()
{way}
print(time.perf_counter() - start, time.process_time() - cpu, peak() - before, len(frame))
"""


FIRST = datetime(2026, 1, 1, tzinfo=UTC)


def sample(rng: random.Random, number: int, words: int = 40, chunks: int = 31) -> Run:
    """A run as the client records it: an answer of so many words in so many chunks, one attempt."""
    text = " ".join(rng.choices(WORDS, k=words))
    total = rng.uniform(200, 3000)
    provider, model = rng.choice(["azure/fast", "azure/large", "openai/gpt-3.5-turbo-instruct"]).split("/")
    prompt_tokens, completion_tokens = rng.randint(5, 50), rng.randint(20, 60)
    request = f"{rng.getrandbits(128):032x}"
    return Run(
        run_id=f"{rng.getrandbits(128):032x}",
        request_id=request,
        comparison_id="5e0d7c0c",
        prompt_id=f"prompt-{number % 50}",
        started_at=FIRST + timedelta(seconds=number, microseconds=rng.randrange(10**6)),
        requested_provider=provider,
        requested_model=model,
        fallbacks=["openai/gpt-4o-mini"],
        repeat=number % 3,
        provider=provider,
        model=model,
        model_deployment=f"{model}-deployment",
        is_fallback=False,
        fallback_index=0,
        status="ok",
        finish_reason="stop",
        http_status=200,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        total_tokens=prompt_tokens + completion_tokens,
        cached_tokens=0,
        input_cost_usd=prompt_tokens * 1.5e-6,
        output_cost_usd=completion_tokens * 2e-6,
        cost_usd=prompt_tokens * 1.5e-6 + completion_tokens * 2e-6,
        cost_source="response",
        queue_ms=round(rng.random(), 3),
        ttft_ms=round(total / 4, 3),
        total_ms=round(total, 3),
        latency_ms=round(total - 3),
        gap_p50_ms=round(rng.random() * 20, 3),
        gap_max_ms=round(rng.random() * 90, 3),
        chunks=chunks,
        tokens_per_s=round(completion_tokens / total * 1000, 2),
        cache_hit=False,
        prompt=f"Write a tagline for {rng.choice(WORDS)} {rng.choice(WORDS)}.",
        response=text,
        params={"max_tokens": 60, "temperature": 0.7},
        gateway_version="2.2.5",
        texts=[text],
        chunk_times_ms=[round(total / 4 + n * 20, 2) for n in range(chunks)],
        attempts=[Attempt(request_id=request, started_ms=0.1, ended_ms=round(total, 3), http_status=200)],
    )


def measure(code: str, log: Path, parquet: Path) -> tuple[float, float, float]:
    """Seconds, CPU seconds and added megabytes of one way, in a process of its own."""
    child = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHILD.format(way=code), str(log), str(parquet)],
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, cpu, megabytes, _ = map(float, child.stdout.split())
    return seconds, cpu, megabytes


def reading(rows: int, folder: Path, rounds: int) -> list[Row]:
    """Print the table of ways to read `rows` runs; its rows for RESULTS.md."""
    log, rng = folder / "runs.jsonl", random.Random(0)
    lines = [encode(sample(rng, number, words=8, chunks=0)) for number in range(min(rows, DISTINCT))]
    start = lines[0].index(b'"run_id":"') + len(b'"run_id":"')
    month = datetime.now(UTC) - timedelta(days=30)
    with log.open("wb") as file:
        for number in range(rows):  # runs that differ in all, and then once more under other ids and times
            line = lines[number % DISTINCT]
            at = line.index(b'"started_at":"') + len(b'"started_at":"')
            began = (month + timedelta(days=30) * (number / rows)).isoformat().encode()
            rest = line[start + 32 : at] + began + line[line.index(b'"', at) :]
            file.write(b"%s%032x%s" % (line[:start], rng.getrandbits(128), rest))
    parquet = RunLog(log).export(folder / "runs.parquet")
    size = {path.suffix: path.stat().st_size / 1e6 for path in (log, parquet)}
    print(f"\n{rows:,} runs to a DataFrame; log {size['.jsonl']:,.0f} MB, Parquet {size['.parquet']:,.0f} MB\n")
    print(
        "| way | s | CPU s | peak MB added | times quicker | by CPU | share of memory |\n|---|---|---|---|---|---|---|"
    )
    found: dict[str, tuple[float, float, float]] = {}
    base: tuple[float, float, float] | None = None
    for name, code in WAYS.items():
        if name == BY_LINE and rows > 200_000:
            continue
        times = [measure(code, log, parquet) for _ in range(1 if base is None else rounds)]
        seconds, cpu, megabytes = found[name] = tuple(statistics.median(column) for column in zip(*times, strict=True))
        base = base or found[name]
        print(
            f"| {name} | {seconds:.2f} | {cpu:.2f} | {megabytes:,.0f} "
            f"| {base[0] / seconds:.1f} | {base[1] / cpu:.1f} | {megabytes / base[2]:.2f} |",
            flush=True,
        )
    assert base is not None
    newest = [measure("frame = RunLog(log).frame(limit=50)", log, parquet) for _ in range(max(3, rounds))]
    newest_s, _, newest_mb = (statistics.median(column) for column in zip(*newest, strict=True))
    print(f"\nthe newest 50 of them: {1000 * newest_s:.0f} ms, {newest_mb:.0f} MB added")
    day = [measure("frame = RunLog(log).frame(since='1d')", log, parquet) for _ in range(max(3, rounds))]
    day_s, _, day_mb = (statistics.median(column) for column in zip(*day, strict=True))
    print(f"those of the last day of 30: {1000 * day_s:.0f} ms, {day_mb:.0f} MB added")
    frame, parquet_s = found["RunLog.frame()"], found["pandas.read_parquet, exported"]
    what = f"{rows:,} logged runs of {size['.jsonl'] * 1e6 / rows:,.0f} bytes to a typed DataFrame (`bench_log.py`)"
    beside = f"`pandas.read_json(lines=True)` {base[0]:.1f} s, {base[1]:.1f} s of CPU, {base[2]:,.0f} MB"
    mine = f"{frame[0]:.2f} s, {frame[1]:.2f} s of CPU"
    return [
        row(what, mine, beside, *_quicker(base, frame, 6), JSON_BOUND),
        row(
            "the same: peak memory added",
            f"{frame[2]:,.0f} MB",
            f"{base[2]:,.0f} MB",
            *at_most(frame[2] / base[2], 0.2),
        ),
        row(
            "the same from the Parquet export",
            f"{parquet_s[0]:.2f} s, {parquet_s[1]:.2f} s of CPU",
            beside,
            *_quicker(base, parquet_s, 60),
            PARQUET_BOUND,
        ),
        row(
            "`bf.runs(limit=50)` of the same log",
            f"{1000 * newest_s:.0f} ms, {newest_mb:.0f} MB added",
            "50 ms",
            *at_most(newest_s / 0.05, 1),
        ),
        row(
            f'`bf.runs(since="1d")` of the same log, which is of 30 days: {rows // 30:,} runs',
            f"{1000 * day_s:.0f} ms, {day_mb:.0f} MB added",
            f"a thirtieth of the whole, {1000 * frame[0] / 30:.0f} ms",
            *at_most(30 * day_s / frame[0], 2),
            "Finding the day, and reading a few megabytes before it: what clocks may differ by.",
        ),
    ]


def _quicker(base: tuple[float, ...], mine: tuple[float, ...], wanted: float) -> tuple[str, bool]:
    target, met = at_least(base[0] / mine[0], wanted)
    return f"{target} (by CPU time {two_digits(base[1] / mine[1])})", met


def per_call(ways: Mapping[str, Callable[[], object]], calls: int = 300, rounds: int = 100) -> dict[str, float]:
    """CPU microseconds of one call of each way: the best of many rounds in turn, which other work leaves be."""
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, function in ways.items():
            start = time.process_time()
            for _ in range(calls):
                function()
            best[name] = min(best[name], 1e6 * (time.process_time() - start) / calls)
    return best


def appending(folder: Path) -> list[Row]:
    """Print what one durable append costs beside the bare encoding and writing of the same run."""
    run = sample(random.Random(0), 0)
    log = RunLog(folder / "append.jsonl")
    line = encode(run)
    record = orjson.loads(line)
    descriptor = os.open(folder / "bare.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    ways = {
        "orjson.dumps of the run, os.write": lambda: os.write(descriptor, orjson.dumps(run)),
        "orjson.dumps of a ready dict, os.write": lambda: os.write(descriptor, orjson.dumps(record)),
        "os.write of a ready line": lambda: os.write(descriptor, line),
        "RunLog.append": lambda: log.append(run),
        "its encoding alone": lambda: encode(run),
    }
    print(f"\nOne append, {len(line):,} bytes\n\n| way | µs of CPU | times the first |\n|---|---|---|")
    found = per_call(ways)
    base = found["orjson.dumps of the run, os.write"]
    for name in ways:
        print(f"| {name} | {found[name]:.1f} | {found[name] / base:.2f} |")
    os.close(descriptor)
    mine = found["RunLog.append"]
    what = f"one durable append of a run of {len(line):,} bytes (`bench_log.py`)"
    beside = f"bare encode and write {base:.1f} µs"
    return [row(what, f"{mine:.1f} µs", beside, *at_most(mine / base, 2), APPEND_BOUND)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each way but the first; the median counts")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = appending(Path(folder)) + reading(options.rows, Path(folder), options.rounds)
    print(
        f"\n{time.strftime('%Y-%m-%d')}, Python {sys.version.split()[0]}, {os.cpu_count()} cores, "
        f"peak of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB"
    )
    told(rows)


if __name__ == "__main__":
    main()
