"""What of a run is written, where a `redact` hook decides: the run itself stays as it is in memory.

The hook is called as ``redact(text, what)`` for every text of a run, `what` being ``"prompt"`` or ``"response"``, and
returns the text to write, or None to write none. Identities, times, tokens, costs and names are not texts and stay, so
that a comparison finds its answers again.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import fields
from typing import Any, Literal

from .._keys import SHORTEST_SECRET, hide_in
from .log.codec import EXTRA
from .run import Run

__all__ = [
    "WHATS",
    "Redact",
    "What",
    "as_handed_on",
    "as_written",
    "decide",
    "dropping",
    "guarded",
    "hide_keys",
    "redacted_params",
    "redacted_value",
]

What = Literal["prompt", "response"]
Redact = Callable[[str, What], str | None]

WHATS: tuple[What, ...] = ("prompt", "response")
_RESPONSE = ("response", "texts", "reasoning", "tool_calls", "annotations")
_NO_TEXT = ("usage", "chunk_times_ms", "attempts", "notes", "redacted", "embedding_shape", "base_url")
_WORDS = ("route", "reasoning_effort", "service_tier", "modalities")
"""Parameters whose texts are words of the API and say nothing about the prompt."""
_QUOTING = ("ConnectionFailed", "TimedOut", "StreamInterrupted")
"""Errors that quote nobody: their message is ours alone."""


def dropping(whats: Iterable[str]) -> Redact:
    """A hook that writes no text of these kinds and leaves all others."""
    dropped = frozenset(whats)
    return lambda text, what: None if what in dropped else text


def decide(run: Run, hooks: Iterable[Redact]) -> None:
    """Ask each hook in turn and note in `run.written` what is to be written instead.

    If one fails, or returns something else than a text, nothing of what the run says is written, and `run.notes` tells.
    """
    hooks = tuple(hooks)
    try:
        run.written = _changed(run, lambda text, what: _through(hooks, text, what))
    except BaseException as error:  # noqa: BLE001 - even SystemExit must neither cost the run nor leak it
        run.written = _changed(run, dropping(WHATS))
        # Not its message, which may quote the text.
        kind = type(error).__name__
        run.notes.append(
            f"The redact hook failed ({kind}): prompt, answer and parameters of this run were not written."
        )


def as_written(run: Run) -> Run:
    """`run` as files may hold it."""
    if not run.written:
        return run
    written = copy.copy(run)
    for name, value in run.written.items():
        setattr(written, name, value)
    return written


def as_handed_on(run: Run) -> Run:
    """`run` as a pickle may hold it: beside `as_written` without what a hook cannot look at."""
    if not run.written:
        return run
    kept = as_written(run)
    kept.raw = kept.audio = None
    kept.images, kept.embeddings = [], []
    if {"response", "texts"} & run.written.keys():
        kept.parsed = kept.valid_error = None
    return kept


def guarded(*hooks: Redact | None) -> Redact | None:
    """These hooks as one, for a file beside the log; None where there is none.

    A text on which one fails is left out: its error may quote what the hook was to hide.
    """
    asked = [hook for hook in hooks if hook is not None]

    def through(text: str, what: What) -> str | None:
        try:
            return _through(asked, text, what)
        except Exception:  # noqa: BLE001 - see above
            return None

    return through if asked else None


_OURS = frozenset(
    (
        "run_id",
        "request_id",
        "comparison_id",
        "prompt_id",
        "request_type",
        "status",
        "cost_source",
        "rating",
        "written",
        "parsed",
        "valid_error",
        "base_url",
    )
)
"""Fields of a run whose texts are our own words: a key that reads like one of them must not change them."""
_ASKED = frozenset(("requested_provider", "requested_model", "fallbacks", "prompt", "params", "tags"))
"""What the person wrote: whole in memory, since it may be sent again; without keys where it is written."""


_FIELDS = tuple(
    field.name
    for field in fields(Run)
    if field.name not in _OURS and field.name not in ("embeddings", "images", "attempts")
)


def hide_keys(run: Run, secrets: Collection[str]) -> Run:
    """Take `secrets` out of all of `run` that came from outside, in place; the run as the log may hold it.

    Who answered (a model's name), tool calls, raw parts and errors may repeat a key as well as texts do. Values are
    changed before they are encoded: in a line of JSON a key can look like the line's own words.
    """
    secrets = [secret for secret in secrets if len(secret) >= SHORTEST_SECRET]
    if not secrets:
        return run
    line = run
    for name in _FIELDS:
        value = getattr(run, name)
        if value and (found := hide_in(value, secrets)) is not value and found != value:
            if name in _ASKED:
                line = copy.copy(run) if line is run else line
                setattr(line, name, found)
            else:
                setattr(run, name, found)
                setattr(line, name, found)
    if run.written:
        run.written = hide_in(run.written, secrets)
        line.written = run.written
    return line


def _through(hooks: Iterable[Redact], text: str, what: What) -> str | None:
    found: str | None = text
    for hook in hooks:
        if found is None:
            return None
        found = hook(found, what)
        if found is not None and not isinstance(found, str):
            raise TypeError
    return found


def redacted_params(params: Mapping[str, Any], hook: Redact) -> dict[str, Any]:
    """`params` with every text of the prompt's kind as `hook` wants it."""
    return {name: value if name in _WORDS else redacted_value(value, hook, "prompt") for name, value in params.items()}


def _changed(run: Run, hook: Redact) -> dict[str, Any]:
    """The fields of `run` that hold text, as the hook wants them, where they differ."""
    wanted: dict[str, Any] = {"prompt": redacted_value(run.prompt, hook, "prompt")}
    wanted["params"] = redacted_params(run.params, hook)
    for name in _RESPONSE:
        wanted[name] = redacted_value(getattr(run, name), hook, "response")
    wanted["texts"] = [text for text in wanted["texts"] if text is not None]
    if run.error_type not in _QUOTING:  # else it may quote either
        wanted["error_message"] = redacted_value(redacted_value(run.error_message, hook, "prompt"), hook, "response")
    changed = {name: value for name, value in wanted.items() if value != getattr(run, name)}
    if changed:
        # What holds the same texts in pieces, or as the provider wrote them: it cannot be gone through.
        changed |= {name: None for name in EXTRA if name not in wanted and name not in _NO_TEXT}
    return changed


def redacted_value(value: Any, hook: Redact, what: What) -> Any:
    """Every text inside JSON values; what is dropped from a list or object leaves None."""
    if isinstance(value, str):
        return hook(value, what)
    if isinstance(value, dict):
        return {name: redacted_value(item, hook, what) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)([redacted_value(item, hook, what) for item in value])
    return value
