"""Prompts kept under a name, with versions: ``--save NAME``, ``--use NAME`` and ``--use NAME@2``.

One JSON object per line (name, version, saved_at, template), appended and never changed, in the user's data folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson

from ..._display.table import Table
from ..._paths import data_path
from ..._runs.log.blocks import parts
from ..._suggest import did_you_mean
from ...errors import ConfigurationError

__all__ = ["SavedPrompt", "SavedPrompts", "saved_prompts"]


@dataclass(frozen=True, slots=True)
class SavedPrompt:
    """One version of a saved prompt. `saved_at` is ISO 8601, UTC."""

    name: str
    version: int
    saved_at: str
    template: str

    @property
    def id(self) -> str:
        """``name@version``; the frame's `prompt_id`."""
        return f"{self.name}@{self.version}"


class SavedPrompts:
    """The saved prompts in one file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[SavedPrompt]:
        try:
            # Each version begins with its name; half a line of a process that was killed may stand before it.
            lines = [part for line in self.path.read_bytes().split(b"\n") for part in parts(line, b'{"name":')]
        except FileNotFoundError:
            return
        except OSError as error:
            raise ConfigurationError(f"The saved prompts in {self.path} cannot be read: {error}.") from None
        for line in lines:
            try:
                found = orjson.loads(line)
                yield SavedPrompt(
                    str(found["name"]), int(found["version"]), str(found["saved_at"]), str(found["template"])
                )
            except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
                continue  # a line that was cut off loses one version, not the others

    def names(self) -> list[str]:
        """Every name once, sorted."""
        return sorted({prompt.name for prompt in self})

    def get(self, wanted: str) -> SavedPrompt:
        """The newest version of a name, or the one that ``name@version`` asks for. Raises ConfigurationError."""
        name, _, version = wanted.partition("@")
        found = [prompt for prompt in self if prompt.name == name and version in ("", str(prompt.version))]
        if found:
            return found[-1]
        names = self.names()
        known = did_you_mean(name, names, 2) or f" Saved are: {', '.join(names[:20]) or 'none'}."
        raise ConfigurationError(f"There is no saved prompt {wanted!r}.{known}", hint="%bifrost prompts lists them.")

    def save(self, name: str, template: str) -> SavedPrompt:
        """Keep `template` as the next version of `name`; the newest version if nothing changed."""
        if not name or set(name) & set("@ \t\n\"'"):
            raise ConfigurationError(f"A prompt cannot be saved as {name!r}: names have no blanks, quotes or @.")
        versions = [prompt for prompt in self if prompt.name == name]
        if versions and versions[-1].template == template:
            return versions[-1]
        number = versions[-1].version + 1 if versions else 1
        prompt = SavedPrompt(name, number, datetime.now(UTC).isoformat(timespec="seconds"), template)
        line = {"name": name, "version": number, "saved_at": prompt.saved_at, "template": template}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(handle, "ab") as file:
                file.write(orjson.dumps(line) + b"\n")
        except OSError as error:
            raise ConfigurationError(f"The prompt cannot be saved in {self.path}: {error}.") from None
        return prompt

    def table(self) -> Table:
        """The newest version of each prompt."""
        newest = {prompt.name: prompt for prompt in self}
        rows = (
            {"name": each.name, "versions": each.version, "saved_at": each.saved_at, "template": each.template}
            for each in sorted(newest.values(), key=lambda prompt: prompt.name)
        )
        return Table(["name", "versions", "saved_at", "template"], rows)


def saved_prompts() -> SavedPrompts:
    """The user's saved prompts."""
    return SavedPrompts(data_path("prompts.jsonl"))
