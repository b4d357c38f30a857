"""What a finished run says of its gateway's limits and of what else may have been billed.

The texts say nothing of the single run, so that a comparison shows each of them once. Measured on gateways 1.3.63,
1.4.0, 1.4.18, 1.5.1, 1.5.16 and 2.0.0-prerelease3; of the versions between, nothing is said.
"""

from __future__ import annotations

import re

from .._numbers import version_numbers
from .._runs.collector import FEWER_CHOICES, HELD_BACK
from .._runs.cost import broken_off
from .._runs.run import Attempt, Run

__all__ = ["REFUSAL_LOST", "is_shared", "missing_notes", "notes_for"]

EXTRA_DROPPED = "The gateway is of a version that drops extra= in silence (up to 1.4.0): no provider saw it."
CANCEL_NOT_PASSED_ON = (
    "The gateway is of a version that does not pass a cancel on (1.5.1 and before): the provider goes on writing, and "
    "bills what nobody reads."
)
BILLED_TWICE = (
    "An earlier attempt reached the gateway and got no answer before the connection closed or a wait ended; it was "
    "sent again, and both may be billed."
)
TAKEN = (
    "The gateway took the request and no whole answer came: it may be billed, and once more where it is sent again. "
    "cost_usd counts it only where the gateway's log has its cost."
)
NO_LOGPROBS = (
    "No log-probabilities came, although logprobs= asked for them: gateways up to 1.4.9 lose those of OpenAI-style "
    "providers, and some providers have none."
)
NO_REASON = (
    "The answer does not say why it ended, so it may have been cut by a limit: gateways up to 1.4.10 leave that out of "
    "what Anthropic answers to the Responses API; streamed they tell it."
)
NOT_ENDED = (
    "The answer does not say why it ended, so a limit may have cut it, or its provider broken it off: gateways end a "
    "stream that broke off in good order (up to 1.5.16), and up to 1.4.0 leave out what Gemini says."
)
REFUSAL_LOST = (
    "Tokens were counted and no text came: the model may have refused. Gateways drop such words from the stream of a "
    "chat (measured on 1.3.63 to 2.0.0-prerelease3); without streaming they come."
)
SENT_AT_THE_END = (
    "Gateway 1.4.0 sends a stream in one piece when it is over: what the provider had written by then is lost, and "
    "time limits for the first text or between two texts cannot tell a slow provider from one that hangs."
)
FIRST_CHUNK_FATAL = (
    "The gateway is of a version that asks no fallback when the first chunk of a stream is late (up to 1.4.10); "
    "without streaming it asks one."
)
FIRST_CHUNK_HANGS = (
    "Gateway 1.5.1 waits without end, and asks no fallback, when the first chunk of a stream is late; without "
    "streaming its own time limit counts."
)
FALLBACK_LOST = (
    "Gateway 1.5.16 asks the fallback when the first chunk of a stream is late, and loses its answer: that is billed, "
    "and did not come; without streaming it comes."
)
NO_SOUND_FALLBACKS = (
    "Gateways up to 1.5.1 ask no fallback of a transcription (measured on 1.3.63 to 1.5.1): those given were not used."
)
FIRST_FALLBACK_ONLY = (
    "Of a transcription's fallbacks the gateway reads only the first (measured on 1.5.16 and 2.0.0-prerelease3)."
)
_SHARED = frozenset(
    {EXTRA_DROPPED, CANCEL_NOT_PASSED_ON, BILLED_TWICE, TAKEN, HELD_BACK, FEWER_CHOICES, NO_LOGPROBS, NO_REASON}
    | {SENT_AT_THE_END, FIRST_CHUNK_FATAL, FIRST_CHUNK_HANGS, FALLBACK_LOST, NO_SOUND_FALLBACKS, FIRST_FALLBACK_ONLY}
    | {NOT_ENDED, REFUSAL_LOST}
)
_NO_REASONS = {"responses": NO_REASON, "chat_completion": NOT_ENDED, "text_completion": NOT_ENDED}
_LATE = re.compile("error reading stream", re.IGNORECASE)


def is_shared(note: str) -> bool:
    """Whether a note is of the gateway rather than of one run: a comparison shows it once for all."""
    return note in _SHARED


def notes_for(run: Run) -> list[str]:
    """The notes of a run whose status and gateway version are known as far as they will be."""
    notes = missing_notes(run)
    if any(map(_unanswered, run.attempts[:-1])):
        notes.append(BILLED_TWICE)
    if run.status in ("error", "timeout", "truncated") and any(last.taken for last in run.attempts[-1:]):
        notes.append(TAKEN)
    if version := version_numbers(run.gateway_version):
        notes += _of_version(run, version)
    if count := len(broken_off(run)):
        what = "1 earlier attempt was" if count == 1 else f"{count} earlier attempts were"
        notes.append(
            f"{what} answered and broke off, and may be billed: cost_usd counts that when and as far as the gateway's "
            "log has its cost."
        )
    return notes


def missing_notes(run: Run) -> list[str]:
    """What was asked for and is not in a good answer."""
    if run.status != "ok" or run.cache_hit:
        return []
    notes, asked = [], run.params.get("logprobs")
    if asked is not None and asked is not False and run.logprobs is None and run.text:
        notes.append(NO_LOGPROBS)
    if run.finish_reason is None and (note := _NO_REASONS.get(run.request_type)):
        notes.append(note)
    if _lost_a_refusal(run):
        notes.append(REFUSAL_LOST)
    return notes


def _lost_a_refusal(run: Run) -> bool:
    """Whether a streamed chat ended by itself, was counted and said nothing."""
    said = run.text or run.reasoning or run.tool_calls or run.audio
    if said or run.request_type != "chat_completion" or not run.params.get("stream"):
        return False
    return run.finish_reason == "stop" and (run.completion_tokens or 0) > (run.reasoning_tokens or 0) + 1


def _of_version(run: Run, version: tuple[int, ...]) -> list[str]:
    """What gateways of this version do not do; measured (see above)."""
    notes = []
    streamed, last = bool(run.params.get("stream")), run.attempts[-1:]
    if version <= (1, 4, 0) and run.params.get("extra"):
        notes.append(EXTRA_DROPPED)
    if run.request_type == "transcription" and run.status != "ok" and run.fallbacks:
        if version <= (1, 5, 1):
            notes.append(NO_SOUND_FALLBACKS)
        elif len(run.fallbacks) > 1:
            notes.append(FIRST_FALLBACK_ONLY)
    left = run.status == "cancelled" or (run.status == "timeout" and any(one.taken for one in last))
    if version <= (1, 5, 1) and left:
        notes.append(CANCEL_NOT_PASSED_ON)
    if not streamed or run.texts:
        return notes
    if version == (1, 4, 0) and left:
        notes.append(SENT_AT_THE_END)
    if version == (1, 5, 1) and run.status == "timeout" and left:
        notes.append(FIRST_CHUNK_HANGS)
    if run.status == "error" and run.fallbacks and _LATE.search(run.error_message or ""):
        notes += [FIRST_CHUNK_FATAL] if version <= (1, 4, 10) else [FALLBACK_LOST] if version == (1, 5, 16) else []
    return notes


def _unanswered(attempt: Attempt) -> bool:
    """Whether an attempt was taken and not answered at all (`broken_off`: answered in part)."""
    return attempt.taken and (attempt.http_status is None or attempt.http_status >= 300)
