"""The figures of RESULTS.md: runs the benchmark scripts and gathers their rows.

    python tests/benchmarks/measure.py            prints the section
    python tests/benchmarks/measure.py --write    writes it between the markers in RESULTS.md
    python tests/benchmarks/measure.py --only bench_stream.py bench_calls.py
    python tests/benchmarks/measure.py --write --promptfoo node_modules/.bin/promptfoo --inspect venv/bin/python

The last sets a whole scored sweep beside promptfoo and inspect_ai (see `bench_evals.py`); what was not named is left
out, and the section says so.

Needs no attention and takes some fifteen minutes; a script that fails or takes too long is named in the section instead
of its figures. A new script is one line in `scripts`; its last line of output is `{"rows": [...]}` (see `rows.py`).
Each script may write what Python compiles, into a folder that is deleted after it: as an installed package, nothing is
compiled again and again, whatever the environment says.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from rows import Row

HERE = Path(__file__).parent
RESULTS = HERE / "RESULTS.md"
BEGIN, END = "<!-- measured:begin -->", "<!-- measured:end -->"
PACKAGES = ("aiohttp", "httpx", "openai", "orjson", "msgspec", "pydantic", "pyarrow", "pandas")
OTHERS = ("promptfoo", "inspect")
ROWS_NEED_GB = 14
"""Free memory for `pandas.read_json` of a million runs; with less, a fifth of them is read."""


class Script(NamedTuple):
    """A benchmark: its file, its arguments, and the seconds after which it is given up."""

    name: str
    arguments: tuple[str, ...] = ()
    seconds: float = 115


def scripts(options: argparse.Namespace) -> list[Script]:
    rows = "1000000" if _free_gb() >= ROWS_NEED_GB else "200000"
    others = [f"--{name}={path}" for name in OTHERS if (path := getattr(options, name))]
    return [
        Script("bench_stream.py"),
        Script("bench_calls.py", seconds=240),
        Script("bench_evals.py", tuple(others), 600),
        Script("bench_costs.py", seconds=600),
        Script("bench_memory.py", seconds=240),
        Script("bench_cluster.py", seconds=300),
        Script("bench_paced.py"),
        Script("bench_arrivals.py"),
        Script("bench_import.py"),
        Script("bench_kernel.py", seconds=240),
        Script("bench_recorder.py", ("OpenAI", "Anthropic", "Bedrock", "--calls", "150"), 300),
        Script("bench_log.py", ("--rows", rows, "--rounds", "1"), 240),
    ]


def _free_gb() -> float:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 2**20 for line in lines if line.startswith("MemAvailable:")), 0.0)


def run(script: Script) -> list[Row] | str:
    """The rows of a script, or what went wrong. None of its processes is left."""
    program = [sys.executable, "-W", "ignore", str(HERE / script.name), *script.arguments]
    group: dict[str, bool] = {"start_new_session": True} if os.name == "posix" else {}
    with (
        tempfile.TemporaryDirectory() as compiled,
        subprocess.Popen(
            program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(compiled), **group
        ) as process,
    ):
        try:
            output, errors = process.communicate(timeout=script.seconds)
        except subprocess.TimeoutExpired:
            _end(process)
            return f"took longer than {script.seconds:g} s"
    if process.returncode:
        return f"failed: {(errors.strip().splitlines() or ['no reason'])[-1][:200]}"
    told = [line for line in output.splitlines() if line.startswith('{"rows"')]
    return json.loads(told[-1])["rows"] if told else "told no rows"


def environment(compiled: str) -> dict[str, str]:
    """The environment of a script, with a folder for what Python compiles."""
    paths = {"PYTHONPATH": os.pathsep.join([str(HERE.parent.parent), str(HERE)]), "PYTHONPYCACHEPREFIX": compiled}
    return {**{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}, **paths}


def _end(process: subprocess.Popen[str]) -> None:
    """End a script and what it started, which share a session."""
    if os.name == "posix":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.communicate()


def section(found: dict[str, list[Row] | str], load: float) -> str:
    """The section in Markdown."""
    versions = {name: _version(name) for name in PACKAGES}
    told = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    lines = [
        f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, load {load:.1f} before, "
        f"Python {platform.python_version()}, {told}; loopback, ratios within one run.",
        "",
        "| what | bifrost-nb | beside | target: measured |",
        "|---|---|---|---|",
    ]
    notes: list[str] = []
    for rows in found.values():
        for row in [] if isinstance(rows, str) else rows:
            mark = {True: " ✓", False: " ✗", None: ""}[row["met"]]
            if row["met"] is False and row["bound"]:
                notes += [row["bound"]] if row["bound"] not in notes else []
                mark += f" <sup>{notes.index(row['bound']) + 1}</sup>"
            cells = (row["what"], row["ours"], row["beside"], f"{row['target']}{mark}" if row["target"] else "")
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    numbered = [f"{number}. {note}" for number, note in enumerate(notes, 1)]
    failed = [f"`{name}` {why}." for name, why in found.items() if isinstance(why, str)]
    if numbered:
        lines += ["", "What bounds the figures that miss their target:", "", *numbered]
    return "\n".join([*lines, *([""] if failed else []), *failed])


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def write(text: str) -> None:
    """Put `text` between the markers of RESULTS.md."""
    document = RESULTS.read_text(encoding="utf-8")
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"{RESULTS} has no {BEGIN} ... {END}")
    RESULTS.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--write", action="store_true", help="write the section into RESULTS.md")
    parser.add_argument("--only", nargs="+", metavar="SCRIPT", help="run these alone (not with --write)")
    parser.add_argument("--promptfoo", metavar="PROGRAM", help="its program, for bench_evals.py")
    parser.add_argument("--inspect", metavar="PYTHON", help="a Python that has inspect_ai, for bench_evals.py")
    options = parser.parse_args()
    if options.write and options.only:
        parser.error("--write needs all scripts")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    found: dict[str, list[Row] | str] = {}
    for script in scripts(options):
        if not options.only or script.name in options.only:
            began = time.monotonic()
            found[script.name] = run(script)
            print(f"{script.name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    text = section(found, load)
    if options.write:
        write(text)
    print(text)


if __name__ == "__main__":
    main()
