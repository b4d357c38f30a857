"""Prompts kept by name on a playground, and what changed from one to another."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from ..._compare.text_diff import TextDiff, text_diff
from ..._safe_text import plain, quoted
from ..._suggest import did_you_mean
from ...errors import ConfigurationError
from .checks import EarlierTurn
from .form import Form

__all__ = ["LONGEST_NAME", "Version", "Versions"]

LONGEST_NAME = 60
NOW = "what is filled in"


class Version(NamedTuple):
    """A `prompt` as it was when it was kept as `name`: with `system` message, earlier `turns` and `pictures`."""

    name: str
    at: datetime
    """Local time."""
    system: str
    turns: tuple[EarlierTurn, ...]
    prompt: str
    pictures: tuple[str, ...]

    @property
    def fields(self) -> dict[str, Any]:
        """The form's fields that it fills in."""
        return {name: getattr(self, name) for name in ("system", "turns", "prompt", "pictures")}

    @property
    def text(self) -> str:
        """All of it, to be read and compared."""
        return Form().changed(**self.fields).text

    @property
    def line(self) -> str:
        """One line for a list."""
        return plain(f"{self.name} · {self.at:%H:%M} · {' '.join(self.prompt.split())}", 90)


class Versions(dict[str, Version]):
    """The kept prompts by name, in the order in which they were kept; each stays as it is."""

    def keep(self, form: Form, name: str | None) -> Version:
        """Keep what `form` asks as `name` (None: the next of v1, v2, ...). Raises ConfigurationError."""
        if name is None:
            number = 1
            while f"v{number}" in self:
                number += 1
            name = f"v{number}"
        if not isinstance(name, str) or not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
            raise ConfigurationError(f"A version's name is a short text on one line, not {quoted(name, 80)}.")
        name = name.strip()
        if not form.prompt.strip():
            raise ConfigurationError("There is no prompt to keep yet.")
        made = Version(name, datetime.now(), form.system, form.turns, form.prompt, form.pictures)
        if (known := self.get(name)) is not None:
            if known.fields == made.fields:
                return known
            raise ConfigurationError(f"There is another prompt called {name!r}, which stays.", hint="Take a new name.")
        self[name] = made
        return made

    def named(self, name: Any) -> Version:
        """The version `name`. Raises ConfigurationError."""
        if name not in self:
            meant = did_you_mean(str(name), self) or f" There are {', '.join(self) or 'none yet'}."
            raise ConfigurationError(f"No prompt was kept as {quoted(name, 60)}.{meant}")
        return self[name]

    def of(self, form: Form) -> str | None:
        """The name under which what `form` asks was kept."""
        asked = {name: getattr(form, name) for name in ("system", "turns", "prompt", "pictures")}
        return next((name for name, version in self.items() if version.fields == asked), None)

    def diff(self, a: str, b: str | None, now: str = "") -> TextDiff:
        """The words that change from version `a` to `b` (None: to `now`). Raises ConfigurationError."""
        old = self.named(a)
        new = now if b is None else self.named(b).text
        return text_diff(old.text, new, f"{old.name} → {NOW if b is None else b}")
