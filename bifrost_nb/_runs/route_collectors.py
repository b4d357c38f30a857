"""Collectors for the routes that do not answer as completions do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._wire.deployments import Kind, MediaKind
from .._wire.embeddings import vectors_of
from .._wire.json_text import whole
from .._wire.responses_stream import ResponseEvents, answer_of
from .._wire.tool_calls import ToolCalls
from ..errors import GatewayError
from .collector import Collector, parsed
from .media_collectors import ImageCollector, SpeechCollector, TranscriptionCollector
from .pieces import Pieces
from .run import Run

__all__ = ["EmbeddingCollector", "ResponsesCollector", "collector_of"]


_MEDIA: Mapping[str, type[Collector]] = {
    "image": ImageCollector,
    "speech": SpeechCollector,
    "transcription": TranscriptionCollector,
}


def collector_of(kind: Kind | MediaKind, run: Run, began_ms: float, secrets: Sequence[str], asked: object) -> Collector:
    """The collector for one attempt at a call of this kind; `asked` is what was to be embedded."""
    if kind == "responses":
        return ResponsesCollector(run, began_ms, secrets)
    if kind == "embedding":
        return EmbeddingCollector(run, began_ms, secrets, len(asked) if isinstance(asked, list) else 1)
    return _MEDIA.get(kind, Collector)(run, began_ms, secrets)


class ResponsesCollector(Collector):
    """Reads the Responses API; `usage` and `raw` of the run stay in its own words."""

    def __init__(self, run: Run, began_ms: float = 0.0, secrets: Sequence[str] = ()) -> None:
        super().__init__(run, began_ms, secrets)
        self._events = ResponseEvents()
        self._received: dict[str, Any] | None = None

    def answer(self, body: dict[str, Any]) -> Pieces:
        self._received = body
        return super().answer(answer_of(body))

    def refusal(self, body: bytes | dict[str, Any]) -> GatewayError:
        if isinstance(body, dict):  # a response that failed may have been paid for
            self._received = body
            self._usage = body["usage"] if isinstance(body.get("usage"), dict) else None
        return super().refusal(body)

    def _read(self, payload: bytes) -> dict[str, Any]:
        event = self._received = parsed(payload)
        chunk = self._events.chunk(event)
        if chunk.get("error") and isinstance(usage := chunk.get("usage"), dict):
            self._usage = usage
        return chunk

    def finish(self, ended_ms: float) -> Run:
        run = super().finish(ended_ms)
        run.raw = whole(self._received)
        if not any(run.texts):  # calls of tools alone, whole or streamed
            run.texts, run.response = [], None
        if (final := self._events.final) is not None:  # it holds once more, and whole, what came in parts
            calls = ToolCalls()
            calls.add_whole(final["message"]["tool_calls"])
            run.tool_calls = whole(calls.result()) or run.tool_calls
            run.annotations = whole(final["message"]["annotations"]) or run.annotations
            run.logprobs = whole(final["logprobs"]) or run.logprobs
        return run


class EmbeddingCollector(Collector):
    """Reads embeddings of `inputs` texts: an answer without text and without completion tokens."""

    def __init__(self, run: Run, began_ms: float = 0.0, secrets: Sequence[str] = (), inputs: int = 1) -> None:
        super().__init__(run, began_ms, secrets)
        self._inputs = inputs
        run.embeddings, run.embedding_shape = [], []

    def answer(self, body: dict[str, Any]) -> Pieces:
        super().answer(body)
        self.run.embeddings = vectors_of(body, self._inputs)
        self.run.embedding_shape = [self._inputs, len(self.run.embeddings[0])]
        return Pieces(self.began_ms)

    def finish(self, ended_ms: float) -> Run:
        run = super().finish(ended_ms)
        run.completion_tokens = None  # the gateway leaves it out, as it does a 0
        return run
