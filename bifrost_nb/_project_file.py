"""``[tool.bifrost_nb]`` of the project's ``pyproject.toml``, and which of them the person at the keyboard trusts.

A project file comes with whatever was cloned or unpacked. Where it says how long to wait, it is taken at its word;
where it says to which address prompts and keys go (`base_url`), whose certificates prove that it is that (`ca_file`),
or into which file is written (`run_log`), it counts only after the person has said so once for that file and these
values (``bifrost-nb trust``, ``%bifrost trust``), as direnv asks.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ._keys import shown_address
from ._paths import data_path
from ._safe_text import plain
from ._suggest import did_you_mean
from .errors import ConfigurationError

__all__ = ["ProjectFile", "distrust", "find", "trust"]

LARGEST_BYTES = 4 << 20
_TABLE = "tool.bifrost_nb"
_HARMLESS = {"base_url": "demo", "run_log": "off", "ca_file": None}
"""What asks for trust, and the value, if any, that sends nothing and writes nothing."""
_told: set[str] = set()


class ProjectFile(NamedTuple):
    """The nearest project file with a table of ours; `path` None: there is none."""

    path: Path | None
    table: Mapping[str, Any]

    @property
    def origin(self) -> str:
        """How an error or `%bifrost config` names it."""
        return "project file" if self.path is None else str(self.path)

    @property
    def needs_trust(self) -> dict[str, str]:
        """The settings that count only when trusted."""
        return {
            name: str(self.table[name]) for name, safe in _HARMLESS.items() if self.table.get(name) not in (None, safe)
        }

    @property
    def trusted(self) -> bool:
        """Whether `trust` was called for this file as it is now."""
        return not self.needs_trust or _entry(self) in _trusted()

    def in_force(self) -> Mapping[str, Any]:
        """The settings that count now. Each left out is told once in a process, with how to allow it."""
        if self.trusted:
            return self.table
        asked = " and ".join(f"{name} to {_shown(name, value)!r}" for name, value in self.needs_trust.items())
        _tell_once(
            f"{self.path} sets {asked}; that is not used, since a project file can come from anybody. If you trust it,"
            f" run %bifrost trust in a cell or bifrost-nb trust in its folder; or set"
            f" {' and '.join('BIFROST_' + name.upper() for name in self.needs_trust)} yourself."
        )
        return {name: value for name, value in self.table.items() if name not in self.needs_trust}


def find(known: Collection[str], secrets: Collection[str], folder: Path | None = None) -> ProjectFile:
    """The nearest ``pyproject.toml`` in or above `folder` (None: the working folder) that has a table of ours.

    A file that cannot be read or is no TOML is somebody else's and passed over; if it seems to hold a table of ours, or
    has it under another name or as a list, that is told once. Raises ConfigurationError for a table of ours with a key
    in it or a name that is not known.
    """
    try:
        start = Path.cwd() if folder is None else folder.absolute()
    except OSError:  # the working folder was deleted
        return ProjectFile(None, {})
    for path in (parent / "pyproject.toml" for parent in (start, *start.parents)):
        table = _table(path)
        if table is not None:
            _check(table, path, known, secrets)
            return ProjectFile(path, table)
    return ProjectFile(None, {})


def trust(file: ProjectFile) -> str:
    """Let `file` choose address and run log, with the values it has now; what that means. Raises ConfigurationError."""
    if not file.needs_trust:
        place = "" if file.path is None else f" ({file.path})"
        return f"No project file here sets an address, a run log or certificates{place}."
    if not file.trusted:
        _write([*_trusted(), _entry(file)])
    where = {
        "base_url": "prompts and your keys go to",
        "run_log": "runs are recorded in",
        "ca_file": "gateway certificates are checked against",
    }
    said = ", ".join(f"{where[name]} {_shown(name, value)}" for name, value in file.needs_trust.items())
    return f"{file.path} is trusted: {said}. A change of these is asked for again."


def distrust(file: ProjectFile) -> str:
    """Take `trust` back, for all values that the file ever had. Raises ConfigurationError."""
    kept = [entry for entry in _trusted() if entry.partition("\t")[0] != _name(file)]
    if kept == _trusted():
        return f"{file.path or 'No project file here'} was not trusted."
    _write(kept)
    return f"{file.path} is no longer trusted: its address and run log are not used."


def _shown(name: str, value: str) -> str:
    return plain(shown_address(value) if name == "base_url" else value, 200)


def _entry(file: ProjectFile) -> str:
    """One line: the file and what it may choose. A file that is changed afterwards is asked for again."""
    values = (f"{name}={value!r}" for name, value in sorted(file.needs_trust.items()))
    return "\t".join((_name(file), *values))


def _name(file: ProjectFile) -> str:
    """Its path without line ends and tabs, which a folder's name may have: they would make entries of others."""
    return re.sub(r"[^ -\[\]-~]", lambda sign: ascii(sign[0])[1:-1], str(file.path))


def _trusted() -> list[str]:
    try:
        return data_path("trusted-projects").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []


def _write(entries: list[str]) -> None:
    path = data_path("trusted-projects")
    scratch = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.writelines(f"{entry}\n" for entry in entries)
        scratch.replace(path)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror or error}.") from None


def _table(path: Path) -> Mapping[str, Any] | None:
    """The table of ours in the file at `path`; None where there is none."""
    text = ""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST_BYTES:  # a pipe would be waited for
            return None
        text = path.read_text(encoding="utf-8-sig")
        tool = tomllib.loads(text).get("tool")
    except (OSError, ValueError, RecursionError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        if _TABLE in text:
            reason = plain(str(error), 200) if isinstance(error, ValueError) else type(error).__name__
            _tell_once(f"{path} is no valid TOML, so its [{_TABLE}] is not used: {reason}.")
        return None
    names = tool if isinstance(tool, Mapping) else {}
    table = names.get("bifrost_nb")
    if "bifrost-nb" in names:  # the package's name, which other tools' tables have
        _tell_once(f"{path} has [tool.bifrost-nb], which is not used: settings belong in [{_TABLE}].")
    if table is not None and not isinstance(table, Mapping):
        _tell_once(
            f"{path} has {_TABLE} that is no table, so it is not used: write [{_TABLE}] once, in single brackets."
        )
    return table if isinstance(table, Mapping) else None


def _check(table: Mapping[str, Any], path: Path, known: Collection[str], secrets: Collection[str]) -> None:
    if found := sorted(set(secrets) & table.keys()):
        raise ConfigurationError(
            f"{path} holds {', '.join(found)}: keys do not belong in a file that is shared.",
            hint=f"Set the environment variable BIFROST_{found[0].upper()} instead.",
        )
    if unknown := sorted(table.keys() - set(known)):
        raise ConfigurationError(
            f"{path} sets {plain(', '.join(unknown), 200)}.{did_you_mean(unknown[0], known)}",
            hint=f"Known are {', '.join(name for name in known if name not in secrets)}.",
        )


def _tell_once(message: str) -> None:
    if message not in _told:
        _told.add(message)
        warnings.warn(message, stacklevel=5)
