"""An answer read by its schema into `Run.parsed`, `Run.valid` and `Run.valid_error`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._runs.collector import REFUSED_BESIDE
from .._wire.answer_schema import LONGEST_SCHEMA, AnswerSchema
from .._wire.choices import choices_of, refusal_text
from .._wire.responses_stream import answer_of
from ..errors import ConfigurationError
from .call_notes import REFUSAL_LOST

if TYPE_CHECKING:
    from .._runs.run import Run

__all__ = ["LONGEST_SCHEMA", "AnswerSchema", "read_answer", "with_schema"]


def with_schema(schema: Any, kind: str, options: dict[str, Any]) -> AnswerSchema | None:
    """Add to `options` what asks for `schema` (None: nothing). Raises ConfigurationError."""
    if schema is None:
        return None
    found = AnswerSchema.of(schema)
    added = found.parameters(kind)
    for name in added:
        if options.get(name) is not None:
            raise ConfigurationError(f"schema and {name} say the same; pass one of them.")
    options |= added
    return found


def read_answer(run: Run, schema: AnswerSchema | None) -> Run:
    """`run` with its answer read. One that never came, or of which the log does not hold the text, is neither."""
    if schema is None or run.status not in ("ok", "truncated"):
        return run
    text = run.text
    if run.is_answer_hidden:
        return _read_of_hidden(run, *schema.read(text)) if text.strip() else run
    if text.strip():
        run.parsed, run.valid_error = schema.read(text)
        if run.valid_error is not None and _cut_off(run):
            after = "" if run.completion_tokens is None else f" after {run.completion_tokens:,} tokens"
            why = "raise max_tokens" if run.status == "ok" else "ask again"
            run.valid_error = f"The answer was cut off{after}, so its JSON is not complete: {why}."
        elif run.valid_error is not None:
            run.valid_error = _refused(run) or run.valid_error
    elif refused := _refused(run):
        run.valid_error = refused
    else:
        called = ": it calls a tool" if run.tool_calls else ""
        run.valid_error = f"The answer has no text{called}."
    run.valid = run.valid_error is None
    return run


def _read_of_hidden(run: Run, parsed: Any, error: str | None) -> Run:
    """What a `redact` hook left may still be an answer, whose fields are read; else the hook may be why it is none."""
    if run.valid is False:
        run.valid_error = error
    elif error is None:
        run.parsed, run.valid = parsed, True
    return run


def _refused(run: Run) -> str | None:
    """That the model refused, as far as that is known; None where nothing tells of it."""
    if run.finish_reason == "content_filter":
        return "The model refused, or a filter stopped its answer (content_filter)."
    raw = run.raw or {}  # of an answer that came whole; gateways drop a refusal from a chat's stream
    choice = next(iter(choices_of(raw) or choices_of(answer_of(raw))), {})
    if refusal_text(choice) or REFUSED_BESIDE in run.notes:
        return "The model refused to answer."
    if REFUSAL_LOST in run.notes:
        return "The answer has no text: the model may have refused. Ask with stream=False to read what it says."
    return None


def _cut_off(run: Run) -> bool:
    return run.status == "truncated" or run.finish_reason in ("length", "max_tokens", "max_output_tokens")
