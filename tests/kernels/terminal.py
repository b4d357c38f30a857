"""IPython in a pseudo-terminal, for tests that type and read."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path


class TerminalIPython:
    """An `ipython` in a pseudo-terminal."""

    def __init__(self, environment: dict[str, str], simple_prompt: bool = True) -> None:
        self.master, slave = pty.openpty()
        command = [sys.executable, "-m", "IPython", "--no-banner", "--colors=nocolor"]
        command += ["--simple-prompt"] if simple_prompt else []
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TERM": "dumb", **environment},
            start_new_session=True,
            # The pseudo-terminal becomes the controlling one, so that Ctrl-C is a signal.
            preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0),
        )
        os.close(slave)
        self.seen = ""

    def type(self, line: str) -> None:
        self.send(line + "\n")

    def send(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def press_ctrl_c(self) -> float:
        at = time.monotonic()
        os.write(self.master, b"\x03")
        return at

    def read_until(self, pattern: str, seconds: float = 20) -> str:
        """What was written from the last call's end up to the pattern."""
        end = time.monotonic() + seconds
        while (found := re.search(pattern, self.seen)) is None:
            assert time.monotonic() < end, f"waited for {pattern!r}; got {self.seen!r}"
            if select.select([self.master], [], [], 0.1)[0]:
                self.seen += os.read(self.master, 65536).decode("utf-8", "replace")
        text, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return text

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)
