"""The advisory lock on the log's file: a writer holds it while it appends a line."""

from __future__ import annotations

import errno
import os
import sys
import time

__all__ = ["HELD_BY_ANOTHER", "Busy", "lock", "lock_or_go_on", "unlock"]

LOCK_SECONDS = 2.0
HELD_BY_ANOTHER = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)


class Busy(Exception):
    """Another writer holds the lock, and the caller does not wait."""


def lock_or_go_on(descriptor: int, seconds: float = LOCK_SECONDS, *, shared: bool = False) -> bool:
    """Take the advisory lock; after `seconds`, or where the file system has none, go on without it (False).

    With 0 seconds raises Busy while another holds it.

    A process that was stopped while it held the lock must not stop all others, and a line is one appending write,
    which local file systems keep whole by themselves.
    """
    give_up = 0.0
    while True:
        try:
            lock(descriptor, shared)
            return True
        except OSError as error:
            if error.errno not in HELD_BY_ANOTHER:
                return False
            if seconds == 0:
                raise Busy from None
            now = time.monotonic()
            give_up = give_up or now + seconds
            if now > give_up:
                return False
            time.sleep(0.0005)


if sys.platform == "win32":
    import msvcrt

    _LOCKED_BYTE = 1 << 62  # Windows locks bytes, and forbids others to read them: one that no log reaches

    def lock(descriptor: int, shared: bool) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def unlock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def lock(descriptor: int, shared: bool) -> None:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)

    def unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
