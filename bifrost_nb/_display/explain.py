"""One run's story in sentences: who was asked, what went wrong, who served, where the time and money went."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from .._keys import without_keys
from .._runs.run import Attempt, Run
from .._safe_text import plain
from .describe import duration, error_text, usd

__all__ = ["explain"]

_TIMES = {1: "", 2: " twice"}
_SOURCES = {"response": "from the response", "log": "from the gateway's log", "prices": "computed from prices"}
_ENDS = {
    None: "It is still in flight.",
    "cancelled": "It was stopped.",
    "timeout": "It ran out of time.",
    "truncated": "The answer broke off.",
}


def explain(run: Run, earlier: Sequence[Run] = ()) -> str:
    """What happened to `run`, as plain text that is safe to show; what is not known is said to be unknown.

    `earlier` are sendings of the same call that were refused and sent again as runs of their own, as `compare` does
    with 429.
    """
    asked = _name(run.requested) or "a deployment that is not recorded"
    story = [f"Asked {asked}."]
    story += _earlier(run, earlier)
    story += _refusals(asked, run.attempts)
    story += [_outcome(run), _time(run), _cost(run)]
    return " ".join(sentence for sentence in story if sentence)


def _name(deployment: str | None) -> str:
    return "" if deployment is None else plain(deployment, 200)


def _earlier(run: Run, earlier: Sequence[Run]) -> list[str]:
    if not earlier:
        return []
    first = min(one.started_at for one in earlier)
    lost = 1000 * max(0.0, (run.started_at - first).total_seconds())
    count = _times(len(earlier))
    return [f"It had already been refused{count or ' once'}, the first time {duration(lost)} earlier."]


def _refusals(asked: str, attempts: Sequence[Attempt]) -> list[str]:
    """The attempts that another one followed; equal ones in a row are said once."""
    return [f"{asked} {what}{_times(len(list(group)))}." for what, group in groupby(attempts[:-1], _what)]


def _what(attempt: Attempt) -> str:
    if attempt.http_status is not None:
        return f"answered {attempt.http_status}"
    return f"did not answer ({without_keys(plain(attempt.error, 120))})" if attempt.error else "did not answer"


def _times(count: int) -> str:
    return _TIMES.get(count, f" {count} times")


def _outcome(run: Run) -> str:
    served = _name(run.served)
    if run.status == "error":
        status = "" if run.http_status is None else f" with {run.http_status}"
        by = f" at {served}" if served and served != _name(run.requested) else ""
        return f"It failed{status}{by}: {error_text(run) or 'no reason was given'}"
    if run.status != "ok":
        went_wrong = error_text(run)
        return _ENDS.get(run.status, f"It ended as {plain(run.status, 40)}.") + (f" {went_wrong}" if went_wrong else "")
    if not served:
        return "It was answered; the gateway does not say by whom."
    if run.is_fallback:
        number = "" if run.fallback_index is None else f" {run.fallback_index}"
        return f"The gateway turned to fallback{number}: {served} served."
    cached = " from the gateway's cache" if run.cache_hit else ""
    return f"{served} served{cached}."


def _time(run: Run) -> str:
    if run.total_ms is None:
        return "How long it took is unknown."
    total = duration(run.total_ms)
    said = f"It took {total}"
    if len(run.attempts) > 1:
        # Until the last attempt began: the failed sendings and the pauses after them.
        said = f"{duration(run.attempts[-1].started_ms)} of {total} were retries"
    if run.ttft_ms is not None:
        said += f", first text after {duration(run.ttft_ms)}"
    if run.queue_ms is not None and run.queue_ms >= 1000:
        said += f"; before that it waited {duration(run.queue_ms)} in our own queue"
    return said + "."


def _cost(run: Run) -> str:
    if run.cost_usd is None:
        return "" if run.status == "error" else "Its cost is unknown."
    source = _SOURCES.get(run.cost_source or "", "from an unknown source")
    return f"It cost {usd(run.cost_usd)}, {source}."
