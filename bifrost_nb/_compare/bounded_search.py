"""Searching an answer by a person's regular expression, in bounded time.

Some patterns take for ever on some texts (``(a+)+$``), and Python's engine holds the whole process meanwhile: no other
thread runs, and the interrupt key does nothing. Patterns in which that may be are searched by a process of their own,
which ends itself when a search takes too long. Another engine with a bound, as typed answers have, would read some
patterns otherwise and take no look-ahead.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import time

__all__ = ["LIMIT_S", "found_in"]

LIMIT_S = 1.0
"""Searching a long answer takes milliseconds."""
_IDLE_S = 60.0
"""A process that nobody asks for so long ends."""
_SHORT = 10_000
"""Of a text so short, one repetition that fails takes at most a hundred million steps."""
_CODE = f"""
import faulthandler, json, os, re, sys
nowhere = open(os.devnull, "w")
while True:
    faulthandler.dump_traceback_later({_IDLE_S}, exit=True, file=nowhere)
    line = sys.stdin.readline()
    if not line:
        break
    pattern, flags, text = json.loads(line)
    faulthandler.dump_traceback_later({LIMIT_S}, exit=True, file=nowhere)
    print(int(re.compile(pattern, flags).search(text) is not None), flush=True)
"""

_lock = threading.Lock()
_process: subprocess.Popen[str] | None = None
_of = 0
"""The process whose child it is: a fork has none."""


def found_in(compiled: re.Pattern[str], text: str) -> bool:
    """Whether `compiled` is found in `text`. Raises ValueError where that takes longer than `LIMIT_S`."""
    quick = sum(map(compiled.pattern.count, "*+?{|")) <= 1 and len(text) <= _SHORT
    if quick or not sys.executable:  # a Python inside of another program
        return compiled.search(text) is not None
    asked = json.dumps([compiled.pattern, compiled.flags, text]) + "\n"
    with _lock:
        for _ in range(2):  # the first time it may just have ended for want of work
            began = time.monotonic()
            if said := _answer(asked):
                return said == "1\n"
            if time.monotonic() - began >= 0.9 * LIMIT_S:
                break
    raise ValueError(f"searching for the pattern took longer than {LIMIT_S:g} s: it may never end, write it simpler")


def _answer(asked: str) -> str:
    """What the process says; nothing where it has ended."""
    global _process, _of
    if _process is None or _of != os.getpid():
        _process, _of = _started(), os.getpid()
    stdin, stdout = _process.stdin, _process.stdout
    assert stdin is not None and stdout is not None  # noqa: S101, PT018 - for the type checker
    said = ""
    try:
        with contextlib.suppress(OSError):
            stdin.write(asked)
            stdin.flush()
            said = stdout.readline()
    finally:
        if not said:  # after the interrupt key, too: what it answers later is to another question
            _end()
    return said


def _started() -> subprocess.Popen[str]:
    process = subprocess.Popen(  # noqa: S603 - our own code
        [sys.executable, "-I", "-S", "-c", _CODE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="ascii",
        start_new_session=True,  # the interrupt key is for the kernel
    )
    threading.Thread(target=_reap, args=(process,), daemon=True, name="bifrost-nb-search").start()
    return process


def _reap(process: subprocess.Popen[str]) -> None:
    """One that ends for want of work is no zombie until the next search, which may never come."""
    process.wait()
    with _lock:
        if process is _process:
            _end()


@atexit.register
def _end() -> None:
    global _process
    ended, _process = _process, None
    if ended is None or _of != os.getpid():
        return
    ended.kill()
    with contextlib.suppress(OSError):  # what was not written yet
        ended.communicate()
