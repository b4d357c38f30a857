"""The command line, as a person types it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

from bifrost_nb import Client, LocalGateway, RunLog

COMMAND = [sys.executable, "-m", "bifrost_nb.cli"]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_demo_streams_and_compares(tmp_path: Path) -> None:
    """`bifrost-nb demo` needs nothing: it prints a completion, the comparison table, and logs every run."""
    done = run("demo", "--repeats", "1", BIFROST_RUN_LOG=str(tmp_path / "runs.jsonl"))
    assert done.returncode == 0, done.stderr
    for name in ("azure/fast", "azure/large", "openai/gpt-3.5-turbo-instruct"):
        assert name in done.stdout
    assert "\x1b" not in done.stdout, "no control sequences into a pipe"
    assert f"Every run is a line of {tmp_path / 'runs.jsonl'}" in done.stdout
    assert len(list(RunLog(tmp_path / "runs.jsonl").read())) == 10


def test_the_gateway_command_serves_until_interrupted(tmp_path: Path) -> None:
    """`bifrost-nb gateway` says where it listens, answers there, and ends cleanly on Ctrl-C."""
    process = subprocess.Popen(
        [*COMMAND, "gateway", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        url = ""
        while not url:
            line = process.stdout.readline()
            assert line, "it ended without an address"
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            url = found.group() if found else ""
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert "Traceback" not in errors
    assert process.returncode in (0, 130)


def test_runs_are_exported(client: Client, gateway: LocalGateway, tmp_path: Path) -> None:
    """`bifrost-nb runs export` writes the log by the ending of the name, and says so when it cannot."""
    client.complete("azure/fast", "Hi", max_tokens=3)
    target = tmp_path / "runs.csv"
    done = run("runs", "export", str(target), "--log", str(client.log.path))
    assert done.returncode == 0, done.stderr
    assert target.read_text().startswith('"run_id",')
    bad = run("runs", "export", str(tmp_path / "runs.xlsx"), "--log", str(client.log.path))
    assert bad.returncode == 1
    assert "xlsx" in bad.stderr
    assert "Traceback" not in bad.stderr


def test_a_log_that_is_not_there_is_exported_over_nothing(tmp_path: Path) -> None:
    """A mistyped ``--log`` is told; it replaced an earlier export by an empty one, with success."""
    kept = tmp_path / "runs.csv"
    kept.write_text("earlier")
    done = run("runs", "export", str(kept), "--log", str(tmp_path / "run.jsonl"))
    assert (done.returncode, kept.read_text()) == (1, "earlier")
    assert "There is no run log" in done.stderr


def test_a_gates_rules_are_each_held(tmp_path: Path) -> None:
    """Two rules for one figure are refused, of which the last alone was held; a name that is none is no failed gate."""
    script = tmp_path / "evals.py"
    script.write_text("from bifrost_nb import *\ncomparison = compare(['azure/fast'], 'Hi', client=Client('demo'))")
    twice = run("gate", str(script), "--rule", "p95_ms=1", "--rule", "p95_ms=better")
    assert (twice.returncode, "p95_ms is given twice" in twice.stderr) == (3, True)
    itself = run("gate", str(script), "--rule", "self=1", BIFROST_RUN_LOG=str(tmp_path / "runs.jsonl"))
    assert (itself.returncode, "'self' is no figure" in itself.stderr) == (3, True)


def test_trust_of_a_folder_that_is_not_there_fails(tmp_path: Path) -> None:
    """A misspelled folder is an error; its parent's project file is not trusted in its place."""
    (tmp_path / "pyproject.toml").write_text('[tool.bifrost_nb]\nbase_url = "http://project:1"\n')
    done = run("trust", str(tmp_path / "typo"))
    assert (done.returncode, done.stdout, "typo is no folder" in done.stderr) == (1, "", True)


def test_a_wrong_command_line_is_usage() -> None:
    """A misspelled command exits with 2 and shows the usage."""
    done = run("gatway")
    assert done.returncode == 2
    assert "usage" in done.stderr
