"""Judging answers with the user's own functions. A judge that fails makes an unknown score with the reason."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .._client.portal import Portal
from .._safe_text import plain, redact
from ..errors import ConfigurationError

if TYPE_CHECKING:
    from .._runs.run import Run

__all__ = ["Judge", "Score", "judges_of", "scores"]

Judge = Callable[..., Any]
AT_ONCE = 16
"""So many async judgements run at the same time."""


class Score(NamedTuple):
    """A number, or the reason why there is none."""

    value: float | None
    error: str | None = None


def judges_of(score: Any) -> dict[str, Judge]:
    """Column name to function: ``score`` for one function, ``score_<name>`` for each of a dict."""
    if score is None:
        return {}
    named = (
        {f"score_{name}": judge for name, judge in score.items()} if isinstance(score, Mapping) else {"score": score}
    )
    for name, judge in named.items():
        if f"{name}_error" in named:
            raise ConfigurationError(f"{name}_error holds the reasons of {name}.", hint="Give that judge another name.")
        if not callable(judge):
            raise ConfigurationError(f"{name} must be a function of the run, not {type(judge).__name__}.")
    return named


def scores(judge: Judge, work: Sequence[tuple[Run, Mapping[str, Any]]]) -> list[Score]:
    """One score for each (run, row of inputs); a run without an answer has none.

    `judge(run)` or, where it takes two positional arguments, `judge(run, row)` returns a number, a bool or None. A
    plain function is called here, one run after the other; an async one on a loop of its own, several at once, so
    that it can ask another model.
    """
    with_row = _takes_row(judge)

    def called(run: Run, row: Mapping[str, Any]) -> Any:
        if "response" in run.written and run.written["response"] == run.response:
            raise LookupError("the answer comes from the log, where a redact hook had changed or left out its text")
        return judge(run, row) if with_row else judge(run)

    asynchronous = inspect.iscoroutinefunction(judge) or inspect.iscoroutinefunction(type(judge).__call__)
    if not asynchronous:
        return [_score_or_error(called, run, row) for run, row in work]

    async def all_of_them() -> list[Score]:
        room = asyncio.Semaphore(AT_ONCE)

        async def one(run: Run, row: Mapping[str, Any]) -> Score:
            async with room:
                return await _score_or_error_async(called, run, row)

        return await asyncio.gather(*(one(run, row) for run, row in work))

    loop = Portal()  # not the private loop: a judge that blocks must not disturb a clock
    try:
        return loop.call(all_of_them())
    finally:
        loop.stop()


def _score_or_error(called: Judge, run: Run, row: Mapping[str, Any]) -> Score:
    if run.status != "ok":
        return Score(None)
    try:
        return _number(called(run, row))
    except Exception as error:  # noqa: BLE001 - whatever a user's function does, the answers are paid for
        return _failed(error)


async def _score_or_error_async(called: Callable[..., Awaitable[Any]], run: Run, row: Mapping[str, Any]) -> Score:
    if run.status != "ok":
        return Score(None)
    try:
        return _number(await called(run, row))
    except Exception as error:  # noqa: BLE001 - as above
        return _failed(error)


def _number(value: Any) -> Score:
    if value is None:
        return Score(None)
    try:
        number = float(value)
    except (TypeError, ValueError):
        return Score(None, f"returned {type(value).__name__}, not a number")
    return Score(number) if math.isfinite(number) else Score(None, f"returned {number}")


def _failed(error: Exception) -> Score:
    return Score(None, redact(plain(f"{type(error).__name__}: {error}", 300)))


def _takes_row(judge: Judge) -> bool:
    try:
        parameters = inspect.signature(judge).parameters.values()
    except (TypeError, ValueError):  # some built-in functions do not tell
        return False
    positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    return len([one for one in positional if one.default is one.empty]) >= 2
