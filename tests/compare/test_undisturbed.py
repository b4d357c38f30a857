"""Calls that are measured are not held up by garbage collections of what the process had before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bifrost_nb import LocalGateway

BEGIN = """
import gc, sys, warnings, weakref
import bifrost_nb as bf
from bifrost_nb._foreground.undisturbed import undisturbed
warnings.simplefilter("ignore")
frozen = []
def redact(text, what):  # is asked whenever a call has ended
    frozen.append(gc.get_freeze_count())
    return text
client = bf.Client(sys.argv[1], log=bf.RunLog(sys.argv[2], redact=redact))
"""

SWEEPS = """
bf.compare(["azure/fast"], "Hi", client=client)
assert frozen and min(frozen) > 10_000, frozen
assert gc.get_freeze_count() == 0
frozen.clear()
bf.load_curve("azure/fast", "Hi", rates=[20], seconds=1, client=client)
assert frozen and min(frozen) > 10_000, frozen
assert gc.get_freeze_count() == 0
"""

GARBAGE = """
class Cycle:
    def __init__(self):
        self.me = self
old = Cycle()
seen_old = weakref.ref(old)
with undisturbed():
    with undisturbed():
        del old
    seen_new = weakref.ref(Cycle())
    gc.collect()
    assert seen_new() is None  # what is made meanwhile is collected as ever
    assert seen_old() is not None
gc.collect()
assert seen_old() is None  # and what was there before, when the last block has ended
"""

THEIRS = """
gc.freeze()
before = gc.get_freeze_count()
bf.compare(["azure/fast"], "Hi", client=client)
assert gc.get_freeze_count() > before - 1_000
try:
    with undisturbed():
        1 / 0
except ZeroDivisionError:
    pass
assert gc.get_freeze_count() > before - 1_000
"""


@pytest.mark.parametrize("source", [SWEEPS + GARBAGE, THEIRS], ids=["nothing frozen", "the user has frozen objects"])
def test_only_what_was_there_is_left_out(source: str, gateway: LocalGateway, tmp_path: Path) -> None:
    """While calls are under way, and not where somebody has frozen objects; in a process that no test has frozen."""
    command = [sys.executable, "-c", BEGIN + source, gateway.url, str(tmp_path / "runs.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
