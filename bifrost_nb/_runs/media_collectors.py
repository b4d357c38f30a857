"""Collectors for the routes that answer with pictures, with sound, or with what a sound says."""

from __future__ import annotations

import base64
from typing import Any

from .._wire.json_text import whole
from .._wire.media import pictures_of, sound_kind
from ..errors import ProtocolError
from .collector import Collector
from .pieces import Pieces
from .run import Run

__all__ = ["ImageCollector", "SpeechCollector", "TranscriptionCollector"]


class ImageCollector(Collector):
    """Reads drawn pictures."""

    def answer(self, body: dict[str, Any]) -> Pieces:
        super().answer(body)
        self.run.images, self._annotations = pictures_of(body)
        return Pieces(self.began_ms)

    def finish(self, ended_ms: float) -> Run:
        run = super().finish(ended_ms)
        run.tokens_per_s = None  # a picture does not come token by token
        return run


class SpeechCollector(Collector):
    """Reads spoken text: bytes, which the transport hands in as ``sound``."""

    def answer(self, body: dict[str, Any]) -> Pieces:
        content = body.pop("sound", b"")
        super().answer(body)
        if not content:
            raise ProtocolError("The answer holds no sound.", hint="The answer as received is in .run.raw.")
        self._audio = {"data": base64.b64encode(content).decode("ascii"), "format": sound_kind(content)}
        return Pieces(self.began_ms)


class TranscriptionCollector(Collector):
    """Reads what a sound says."""

    def answer(self, body: dict[str, Any]) -> Pieces:
        super().answer(body)
        said = body.get("text")
        if not isinstance(said, str):
            raise ProtocolError("The answer holds no text.", hint="The answer as received is in .run.raw.")
        self._texts[0] = [whole(said)]
        return Pieces(self.began_ms)
