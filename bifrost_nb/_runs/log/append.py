"""A file of lines that several processes append to: durable, owner-only, never torn into each other.

Knows nothing of runs. One line is one `os.write` to a file opened for appending, under an advisory lock.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from ...errors import LogError
from .blocks import refuse_special
from .file_lock import LOCK_SECONDS, Busy, lock_or_go_on, unlock

__all__ = ["Appender"]

_APPEND = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)  # readable, to see how the file ends


class Appender:
    """Appends lines to the file at `path`, from any thread; a forked process goes on with a file of its own.

    The file (0600) and its folder (0700) are made where missing, again whenever they were deleted or moved away.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mutex = threading.Lock()
        self._mutex_of_writer = threading.Lock()
        self._writer: ThreadPoolExecutor | None = None
        self._descriptor: int | None = None
        self._end = -1  # size after our last line; -1: unknown
        self._look_again = 0.0
        _appenders.add(self)

    def __reduce__(self) -> tuple[type[Appender], tuple[Path]]:
        return Appender, (self._path,)  # in another process, or from a file, it opens the file anew

    def append(self, line: bytes) -> None:
        """Append `line`, which ends in a newline. If the file ends inside a line, a new line is started first.

        Raises LogError when not all of the line was written, or where the path is no file but a pipe or a device.
        """
        with self._mutex:
            self._append_held(line, LOCK_SECONDS)

    def offer(self, line: bytes) -> bool:
        """`append` without waiting for anybody: False, and nothing written, while another writer holds the file."""
        if not self._mutex.acquire(blocking=False):
            return False
        try:
            self._append_held(line, 0.0)
        except Busy:
            return False
        finally:
            self._mutex.release()
        return True

    def later(self, line: bytes) -> Future[None]:
        """`append` on a thread of this file's own, for an event loop that must go on; lines keep their order."""
        with self._mutex_of_writer:
            if self._writer is None:
                self._writer = ThreadPoolExecutor(1, thread_name_prefix="bifrost-nb-log")
            return self._writer.submit(self.append, line)

    def _append_held(self, line: bytes, lock_seconds: float) -> None:
        try:
            for _ in range(3):  # again where the file was gone, and should it vanish between opening and locking it
                if self._append(line, lock_seconds):
                    return
            raise FileNotFoundError(errno.ENOENT, "it is deleted again and again")
        except OSError as error:
            raise _failed(self._path, error) from None

    def _append(self, line: bytes, lock_seconds: float) -> bool:
        """False if the open file is no longer the one at the path; it is then closed and opened afresh next time."""
        descriptor = self._descriptor
        if descriptor is None:
            self._descriptor = descriptor = _open(self._path)
            self._end, self._look_again = -1, 0.0
        locked = lock_or_go_on(descriptor, lock_seconds)
        try:
            found = os.fstat(descriptor)
            if found.st_nlink == 0 or self._moved_away(found):
                self._descriptor = None
                return False
            if found.st_size != self._end and not _ends_whole(descriptor, found.st_size):
                line = b"\n" + line
            self._end = -1
            _write(descriptor, line)
            self._end = found.st_size + len(line)
            return True
        finally:
            if locked:  # explicitly: a process forked meanwhile shares the open file, and with it the lock
                unlock(descriptor)
            if self._descriptor is None:
                os.close(descriptor)

    def _moved_away(self, opened: os.stat_result) -> bool:
        """Whether the path now names another file. Looked at five times a second: what is moved loses no line."""
        now = time.monotonic()
        if now < self._look_again:
            return False
        self._look_again = now + 0.2
        try:
            return not os.path.samestat(opened, self._path.stat())
        except FileNotFoundError:
            return True

    def _after_fork(self) -> None:
        """Start without an open file: its lock is shared with the parent, and so may be the state of our mutex."""
        self._mutex, self._mutex_of_writer, self._writer = threading.Lock(), threading.Lock(), None
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __del__(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)


_appenders: weakref.WeakSet[Appender] = weakref.WeakSet()


def _after_fork() -> None:
    for appender in tuple(_appenders):
        appender._after_fork()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_after_fork)


def _open(path: Path) -> int:
    try:
        return _made(path)
    except FileNotFoundError:
        missing = [folder for folder in path.parents if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(0o700, exist_ok=True)
            folder.chmod(0o700)  # whatever the umask
        return _made(path)


def _made(path: Path) -> int:
    """The open file, made if missing: for its owner, who can read and write it whatever the umask."""
    try:
        descriptor = os.open(path, _APPEND | os.O_EXCL, 0o600)
    except FileExistsError:
        refuse_special(path.stat())  # before it is opened: that alone may wait, or do something
        descriptor = os.open(path, _APPEND, 0o600)
        try:
            refuse_special(os.fstat(descriptor))
        except OSError:
            os.close(descriptor)
            raise
        return descriptor
    if hasattr(os, "fchmod"):
        os.fchmod(descriptor, 0o600)
    return descriptor


def _ends_whole(descriptor: int, size: int) -> bool:
    if size == 0:
        return True
    os.lseek(descriptor, size - 1, os.SEEK_SET)  # where to write is decided by O_APPEND, not by this position
    return os.read(descriptor, 1) == b"\n"


def _write(descriptor: int, line: bytes) -> None:
    written = os.write(descriptor, line)
    while written < len(line):  # a full disk takes a part first and refuses the rest; the next line starts afresh
        line = line[written:]
        written = os.write(descriptor, line)


def _failed(path: Path, error: OSError) -> LogError:
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        hint = "Free some space, or set BIFROST_RUN_LOG to a file on another disk."
    else:
        hint = "Set BIFROST_RUN_LOG to a file that can be written, or to 'off'."
    return LogError(f"The run log {path} cannot be written: {reason}.", hint=hint)
