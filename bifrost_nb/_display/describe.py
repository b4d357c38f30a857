"""What is known about a `Run`, in words for people. Unknown is ``–`` with the reason, never 0."""

from __future__ import annotations

import math

from .._keys import without_keys
from .._runs.pending import is_pending
from .._runs.run import Run
from .._safe_text import plain

__all__ = ["asked_name", "called_tools", "describe", "duration", "error_text", "line", "notes_text", "parts", "usd"]

_SOURCES = {"response": "", "log": " (gateway log)", "prices": " (from prices)"}
_STATUS = {
    "ok": "ok",
    "error": "failed",
    "cancelled": "cancelled",
    "timeout": "timed out",
    "truncated": "cut off",
    None: "in flight",
}


def describe(run: Run) -> dict[str, str]:
    """What is known about `run`, in words for people, in the order in which it is shown. Safe as plain text."""
    return {
        _verb(run): _served(run),
        "first text": _first_text(run),
        "total": "–" if run.total_ms is None else duration(run.total_ms),
        "tokens": _tokens(run),
        "speed": "–" if run.tokens_per_s is None else f"{run.tokens_per_s:.0f} tokens/s",
        "cost": _cost(run),
        "status": _status(run),
    }


def _verb(run: Run) -> str:
    return "served by" if run.response or run.status in ("ok", None) else "asked"  # an error serves nothing


def asked_name(run: Run) -> str:
    """Who was asked: the name of the comparison's variant where it has one, else ``provider/model``; ``?`` unknown."""
    variant = run.tags.get("variant") if run.comparison_id else None  # else the tag is somebody's own
    return variant if isinstance(variant, str) and variant else run.requested or "?"


def called_tools(run: Run) -> list[str]:
    """The names of the tools that the model wants called, each once."""
    functions = (call.get("function") for call in run.tool_calls if isinstance(call, dict))
    named = (function.get("name") for function in functions if isinstance(function, dict))  # it comes from outside
    return list(dict.fromkeys(name for name in named if isinstance(name, str)))


def parts(run: Run) -> list[str]:
    """The facts as one line says them: what needs its label has it, what is not known only where it matters."""
    known, verb = describe(run), _verb(run)
    said = [f"{verb} {known[verb]}" if run.served else known[verb].removeprefix("– ").strip("()")]
    if run.ttft_ms is not None:
        said.append(f"first text {known['first text']}")
    if run.total_ms is not None:
        said.append(f"total {known['total']}")
    said.append(f"tokens {known['tokens']}")
    if run.tokens_per_s is not None:
        said.append(known["speed"])
    waiting = "cost pending" if is_pending(run) else "cost unknown"
    said.append(waiting if run.cost_usd is None else known["cost"])
    if known["status"] != "ok":
        said.append(known["status"])
    return said


def line(run: Run) -> str:
    """The facts in one line."""
    return " · ".join(parts(run))


def error_text(run: Run) -> str:
    """What went wrong, also with an answer that does not fit its schema; empty where nothing did."""
    if run.status in ("ok", None) or not run.error_message:
        unfit = [f"The answer does not fit the schema: {run.valid_error}"] if run.valid is False else []
        return plain(" ".join([*run.notes, *unfit]), 2_000)
    kind = run.error_code or run.error_type
    return f"{plain(kind, 80)}: {_message(run)}" if kind else _message(run)


def notes_text(run: Run) -> str:
    """What the notes add to an error's message; empty where there is none, and `error_text` has the notes."""
    failed = run.status not in ("ok", None) and bool(run.error_message)
    return plain(" ".join(run.notes), 2_000) if failed else ""


def duration(milliseconds: float) -> str:
    """A time for people, three digits of it: ``310 ms``, ``1.23 s``, ``12.4 s``, ``2:05 min``.

    Written here alone, as money is by `usd`: a table, a vote and a verdict show one number.
    """
    if milliseconds < 0:
        return f"-{duration(-milliseconds)}"
    seen = float(f"{milliseconds:.3g}")  # first, so that 999.6 ms is 1 s
    if seen < 1_000:
        return f"{seen:g} ms"
    if seen < 60_000:
        return f"{seen / 1_000:g} s"
    minutes, seconds = divmod(round(milliseconds / 1_000), 60)
    return f"{minutes}:{seconds:02d} min"


def usd(amount: float) -> str:
    """Dollars for people, three significant digits below a dollar and no exponent: ``$0.000124``."""
    # A sum has another last bit in another order: 12 digits of it say the same in a table and in a chart.
    sign, size = "-" if amount < 0 else "", float(f"{abs(amount):.12g}")
    if size == 0 or size >= 0.9995:
        return f"{sign}${size:,.2f}"
    places = min(12, 2 - math.floor(math.log10(float(f"{size:.3g}"))))
    return f"{sign}${size:.{places}f}"


def _served(run: Run) -> str:
    if run.served is None:
        asked = f"{plain(run.requested, 200)} was asked" if run.requested else "the gateway does not say"
        return f"– ({asked})"
    served = plain(run.served, 200)
    if run.is_fallback:
        number = "" if run.fallback_index is None else f" {run.fallback_index}"
        return f"{served} (fallback{number} for {plain(run.requested, 200)})"
    return served


def _first_text(run: Run) -> str:
    if run.ttft_ms is not None:
        return duration(run.ttft_ms)
    if run.chunks is None and run.status == "ok":
        return "– (not streamed)"
    return "–" if run.status is None else "– (no text came)"


def _tokens(run: Run) -> str:
    if run.prompt_tokens is None and run.completion_tokens is None:
        return f"{run.total_tokens:,}" if run.total_tokens is not None else "– (not reported)"
    said = [f"{_count(run.prompt_tokens)} in"]
    if run.request_type != "embedding":
        said.append(f"{_count(run.completion_tokens)} out")
    more = [(run.cached_tokens, "cached"), (run.cache_write_tokens, "cache write"), (run.reasoning_tokens, "reasoning")]
    said += [f"{count:,} {name}" for count, name in more if count]
    return ", ".join(said)


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _cost(run: Run) -> str:
    if run.cost_usd is None:
        return "– (pending)" if is_pending(run) else "– (unknown)"
    return usd(run.cost_usd) + _SOURCES.get(run.cost_source or "response", "")


def _status(run: Run) -> str:
    said = _STATUS.get(run.status, str(run.status))
    if run.status == "ok" and run.finish_reason not in (None, "stop"):
        said += f" ({'token limit' if run.finish_reason == 'length' else plain(run.finish_reason, 40)})"
    if run.status not in ("ok", None) and run.http_status is not None and run.http_status >= 400:
        said += f" ({run.http_status})"
    if run.cache_hit:
        said += f", from the gateway's cache{f' ({plain(run.cache_hit_type, 20)})' if run.cache_hit_type else ''}"
    return said


def _message(run: Run) -> str:
    return without_keys(plain(run.error_message, 2_000))
