"""Runs one command until the process that asked for it is gone; then it ends the command and all that it started.

A script of its own, run as ``python -I -S supervise.py COMMAND...``: standard input is a pipe from the asking process,
which the system closes even after a ``kill -9``. The exit status is the command's.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

GRACE_S = 5.0


def main(command: list[str]) -> int:
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        if hasattr(signal, name):  # sent to the whole group; this process stays until the command has ended
            signal.signal(getattr(signal, name), lambda *_: None)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 - what this script is for
    threading.Thread(target=_end_with_input, args=(child,), daemon=True).start()
    status = child.wait()
    _tell_group(child, "SIGTERM")  # what the command left behind
    return status if status >= 0 else 128 - status


def _end_with_input(child: subprocess.Popen[bytes]) -> None:
    while os.read(0, 65_536):
        pass
    _tell_group(child, "SIGTERM")
    try:
        child.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        _tell_group(child, "SIGKILL")  # this process as well


def _tell_group(child: subprocess.Popen[bytes], name: str) -> None:
    if os.name == "nt":
        child.terminate()
    elif os.getpgid(0) == os.getpid():  # started in a group of its own, as `launch` does
        os.killpg(0, getattr(signal, name))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
