"""Every fault that was once reported, as a script of its own: each exits 0. They stand beside the repository."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).parents[3] / "shared" / "cases"
MOVED = {
    "bifrost_nb.records.record": "bifrost_nb._runs.log.codec",
    "bifrost_nb.notebook.copying": "bifrost_nb._notebook.code_export",
    "bifrost_nb.notebook.vote_state": "bifrost_nb._notebook.widgets.vote_state",
}
"""Modules that the scripts import by names of an older plan."""
ELSEWHERE = {  # script -> why it is not run here
    "19-judges-paid-again": "counts on functions that judge one after the other; they judge side by side, and"
    " tests/compare/test_scoring.py interrupts them so",
    "33-limit-reads-all": "takes a minute; tests/runs/test_seek.py counts the bytes that are read",
    "03-repeats-as-independent": "takes half a minute; tests/compare/test_difference.py draws more samples",
    "23-finish-reason-and-then-silence": "waits for seconds; tests/faults/test_wire.py has the same stream",
}
RUN = """
import os, sys
path, moved = sys.argv[1], eval(sys.argv[2])
source = open(path, encoding="utf-8").read()
for old, new in moved.items():
    source = source.replace(old, new)
sys.path.insert(0, os.path.dirname(path))
exec(compile(source, path, "exec"), {"__name__": "__main__", "__file__": path})
"""
SCRIPTS = [
    path
    for path in sorted([*CASES.glob("reports/[0-9]*.py"), *CASES.glob("review/[0-9]*.py")])
    if path.stem not in ELSEWHERE
]


@pytest.mark.shared
@pytest.mark.thorough  # the suite has a test of its own for each kind
@pytest.mark.skipif(not SCRIPTS, reason="the scripts (../shared/cases) are not here")
@pytest.mark.timeout(180)
@pytest.mark.parametrize("path", SCRIPTS, ids=[path.stem for path in SCRIPTS])
def test_the_fault_is_gone(path: Path) -> None:
    """The script finds the right value."""
    command = [sys.executable, "-c", RUN, str(path), repr(MOVED)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BIFROST_")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False, env=environment)
    assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
