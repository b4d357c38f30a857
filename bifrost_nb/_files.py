"""Files of the user's: read and written only where they are files, and written whole and for their owner only.

A pipe that nobody reads blocks for ever, and a device such as ``/dev/zero`` never ends.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path

from ._safe_text import plain, type_with_article
from .errors import ConfigurationError

__all__ = ["check_file", "read_file", "user_path", "write_private"]

_NO_FILE = "it is no file but a pipe, a socket or a device"


def user_path(given: object, what: str = "path") -> Path:
    """The path that a person gave as the argument `what`, its ``~`` filled in. Raises ConfigurationError."""
    shown = plain(repr(given), 80) if isinstance(given, str | bytes) else type_with_article(given)
    try:
        text = os.fsdecode(given)  # type: ignore[arg-type]
        os.fsencode(text)  # not every text can be one
        if not text or "\0" in text:
            raise ValueError
        return Path(text).expanduser()
    except RuntimeError:
        raise ConfigurationError(f"{what} {shown} names the home of a user who is not known here.") from None
    except (TypeError, ValueError):
        raise ConfigurationError(f"{what} must be the path of a file or folder, not {shown}.") from None


def check_file(path: Path) -> None:
    """Raise OSError where `path` is there and neither a file nor a folder (which opening it tells)."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, _NO_FILE)


def read_file(path: Path) -> bytes:
    """The bytes of the file at `path`. Raises OSError, also where it is no file."""
    check_file(path)
    return path.read_bytes()


def write_private(path: Path, content: bytes) -> None:
    """Write the file at `path`, readable by its owner only; it appears whole or not at all. Raises OSError."""
    check_file(path)
    target = Path(os.path.realpath(path))  # a link stays a link
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    handle, scratch = tempfile.mkstemp(prefix=".", suffix=target.suffix, dir=target.parent)  # with mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(scratch).replace(target)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise
