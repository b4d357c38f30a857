"""Removes one folder once the process that asked for it is gone, however that ended.

A script of its own, run as ``python -I -S clean_up.py FOLDER``: standard input is a pipe from the asking process, which
the system closes even after a ``kill -9``. A gateway's folder holds a database with prompts.
"""

import os
import shutil
import signal
import sys
import time

LONGER_S = 7.0
"""The gateway's supervisor gives it 5 s to end; until then it may write."""


def main(folder: str) -> None:
    """Wait, then remove until nothing comes back."""
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: None)
    while os.read(0, 65_536):
        pass
    end = time.monotonic() + LONGER_S
    while time.monotonic() < end:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.1)


if __name__ == "__main__":
    main(sys.argv[1])
