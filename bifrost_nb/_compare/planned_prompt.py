"""One prompt of a comparison, filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .._client.media import Sound
from .._prompts.messages import Message

__all__ = ["PlannedPrompt"]


@dataclass(frozen=True, slots=True, eq=False)
class PlannedPrompt:
    """One prompt, rendered. `values` is its row of inputs, `template` the template's name (None: there is one)."""

    prompt_id: str
    text: str
    """To be read: of several turns, each behind its role."""
    template: str | None
    values: Mapping[str, Any] = field(repr=False)
    input_id: str = ""
    """The row's identity: two templates filled in from one row are paired by it."""
    messages: Sequence[Message] | None = field(default=None, repr=False)
    """What is sent, where that is more than the text."""
    pictures: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The ``data:`` URLs among it, by column of the inputs."""
    sounds: Mapping[str, Sound] = field(default_factory=dict, repr=False)
    """What is to be written down, by column of the inputs."""
    hint: str | None = None
    """The text beside a sound: names and words that it may hold."""
