"""Judging answers with functions: which may be scorers, how they are called, what they may return.

A scorer that fails makes an unknown score with the reason; what was judged before an interrupt is kept. Functions that
ask models are paid for, so a judgement that made calls is remembered and not made again for the same answer.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from .._client.judge_tag import NoCalls, judging
from .._client.portal import Portal
from .._keys import without_keys
from .._numbers import as_python, missing
from .._safe_text import plain, quoted, type_with_article
from .._suggest import did_you_mean
from ..errors import ConfigurationError
from .identity import content_of
from .kept_media import is_gone
from .paid_judgements import AtIt, JudgedOf, Judgements, judgements_of

if TYPE_CHECKING:
    from .._runs.run import Run
    from .judge_calls import JudgeCalls

__all__ = [
    "Bounded",
    "Judged",
    "ModelScorer",
    "Score",
    "Scorer",
    "ScorerFunction",
    "asks_models",
    "called",
    "check_columns",
    "judged_of",
    "notes_on_scores",
    "scorers_of",
    "scores",
    "takes_row",
]

ScorerFunction = Callable[..., Any]
"""``scorer(run)`` or ``scorer(run, row)``: a number, a bool, None, NaN or a `Score`; sync or async."""
Row = Mapping[str, Any]
AT_ONCE = 16
"""So many judgements of user code run at the same time, in threads or on a loop."""
SLOW_S, PATIENCE_S = 0.1, 0.5
"""A judgement that takes so long, or all of them so far, is waited for by more than one thread."""
LONGEST = 2_000
"""Characters of a reason that are kept."""
LOOK_S = 0.05
"""Whether costs have come, that a judge waits for, is looked at so often."""
INTERRUPTED = "not judged: interrupted"
FAILURES = (Exception, asyncio.CancelledError, SystemExit)
"""What a scorer may raise without ending the comparison, whose answers are paid for: code of a model's that it runs,
or a parser of arguments, may call `sys.exit`."""


@dataclass(frozen=True, slots=True)
class Score:
    """What a scorer may return instead of a bare number.

        comparison.score(total=lambda run: scorers.Score(0, reason="no total", label="wrong"))

    `value` is a number or a bool, None where the answer could not be judged. `reason` and `label` are for people; the
    frame shows both in ``score_<name>_reason``.
    """

    value: float | None
    reason: str | None = None
    label: str | None = None


class Judged(NamedTuple):
    """One answer's score as the frame holds it: a number, the reason for it, or why there is none."""

    value: float | None
    reason: str | None = None
    error: str | None = None


UNSCORED = Judged(None)
"""Of a run without an answer, and of an answer that its scorer had nothing to say about."""


class Scorer:
    """A scorer of `bifrost_nb.scorers`: call it with a run and its row of inputs.

        scorers.exact("expected")(run, {"expected": "Paris"}).value
        mine = scorers.Scorer("short", "short()", lambda run, row: len(run.text) < 100)

    `name` is that of its column, `shown` what it shows itself as, `judge` the function of the run and its row.
    `columns` are the inputs that it cannot do without; a comparison that lacks one is refused before it is sent.
    """

    def __init__(self, name: str, shown: str, judge: Callable[[Run, Row], Any], columns: Sequence[str] = ()) -> None:
        self.__name__ = name
        self.columns = tuple(columns)
        self.bounds = (0.0, 1.0)
        """The least and the most that it can give."""
        self._shown = shown
        self._judge = judge

    def __call__(self, run: Run, row: Row | None = None) -> Any:
        """The score of one answer: of `run`, asked with the values of `row`. Raises ConfigurationError for no run."""
        if not hasattr(run, "text"):  # a stand-in that has what is judged will do
            raise ConfigurationError(f"{self!r} judges a run, not {type_with_article(run)}.", hint="Pass (run, row).")
        return self._judge(run, row or {})

    def __repr__(self) -> str:
        return self._shown


class Bounded(Scorer):
    """A scorer with the range of what it gives; the scorer itself judges. See `bifrost_nb.scorers.bounded`."""

    def __init__(self, scorer: ScorerFunction, low: float, high: float) -> None:
        name = str(getattr(scorer, "__name__", "scorer"))
        said = repr(scorer) if isinstance(scorer, Scorer) else name
        columns = scorer.columns if isinstance(scorer, Scorer) else ()
        super().__init__(name, f"bounded({said}, {low:g}, {high:g})", scorer, columns)
        self.scorer = scorer
        self.bounds = (low, high)

    def __call__(self, run: Run, row: Row | None = None) -> Any:
        """What the scorer says of one answer."""
        return self.scorer(run, row or {}) if takes_row(self.scorer) else self.scorer(run)


class ModelScorer(Scorer):
    """A scorer that asks models. It judges many answers in one pass, through a comparison's own calls."""

    def judge_all(self, name: str, work: Sequence[tuple[Run, Row]], calls: JudgeCalls, into: list[Judged]) -> None:
        """Put a judgement of each (run, row) into the same place of `into`. Raises KeyboardInterrupt, with what is
        known by then in place."""
        raise NotImplementedError


def scorers_of(score: Any) -> dict[str, ScorerFunction]:
    """Column name to function: ``score`` for one function, ``score_<name>`` for each of a dict."""
    if score is None:
        return {}
    named = {"score": score}
    if isinstance(score, Mapping):
        named = {f"score_{name if isinstance(name, str) else quoted(name)}": each for name, each in score.items()}
    for name, scorer in named.items():
        if not name.isidentifier() or name == "score_":
            raise ConfigurationError(
                f"{quoted(name.removeprefix('score_'))} cannot be the name of a score.",
                hint="Use letters, digits and underscores: it becomes a column.",
            )
        for end in ("error", "reason"):
            if name.endswith(f"_{end}"):  # by that end every table and chart leaves it out
                whose = name.removesuffix(f"_{end}")
                raise ConfigurationError(f"{name} is the {end} of {whose}.", hint="Give that scorer another name.")
        if not callable(scorer) or isinstance(scorer, type):
            what = (scorer if isinstance(scorer, type) else type(scorer)).__name__
            hint = "bf.scorers has ready ones: score=bf.scorers.exact('expected')."
            if isinstance(scorer, list | tuple | set):
                hint = "Name several in a dict: score={'right': ..., 'short': ...}."
            raise ConfigurationError(f"{name} must be a function of the run, not {plain(what)}.", hint=hint)
        if maker := _maker_of(scorer):
            raise ConfigurationError(f"{name} is {maker} itself, which makes scorers.", hint=f"Call it: {maker}(...).")
    return named


def _maker_of(scorer: ScorerFunction) -> str | None:
    """The name of `scorer` where it is no scorer but a function of `bifrost_nb.scorers` that makes one."""
    made = inspect.isfunction(scorer) and scorer.__module__ == "bifrost_nb.scorers"
    return f"bf.scorers.{scorer.__name__}" if made else None


def asks_models(scorers: Mapping[str, ScorerFunction]) -> bool:
    """Whether one of `scorers` is known to ask models, which costs."""
    own = (each.scorer if isinstance(each, Bounded) else each for each in scorers.values())
    return any(isinstance(each, ModelScorer) for each in own)


def check_columns(scorers: Mapping[str, ScorerFunction], columns: Sequence[str]) -> None:
    """Raises ConfigurationError where a scorer needs a column that the inputs do not have."""

    for name, scorer in scorers.items():
        for column in getattr(scorer, "columns", ()) if isinstance(scorer, Scorer) else ():
            if column not in columns:
                have = f"They have {', '.join(map(repr, columns))}." if columns else "There are no inputs."
                raise ConfigurationError(
                    f"{name} = {scorer!r} needs the column {column!r}, which the inputs do not have.",
                    hint=did_you_mean(column, columns).strip() or have,
                )


def scores(name: str, scorer: ScorerFunction, work: Sequence[tuple[Run, Row]], calls: JudgeCalls) -> None:
    """Judge each (run, row of inputs): `calls.found[name]` gets one judgement for each, in order.

    It is complete from the first moment on ("not judged" where nothing is known yet), so that what was judged is there
    when KeyboardInterrupt is raised. Plain functions that take their time run beside each other in threads, async ones
    on a loop of their own; on a cluster the plain ones run on its workers. A run without an answer has no score.
    """
    scorer = scorer.scorer if isinstance(scorer, Bounded) else scorer
    into = [_prejudged(run) or Judged(None, None, INTERRUPTED) for run, _ in work]
    calls.found[name] = into
    places = [place for place, (run, _) in enumerate(work) if _prejudged(run) is None]
    if isinstance(scorer, ModelScorer):
        some = [Judged(None, None, INTERRUPTED) for _ in places]
        try:
            scorer.judge_all(name, [work[place] for place in places], calls, some)
        finally:
            for place, judged in zip(places, some, strict=True):
                into[place] = judged
        return
    judgements = Judgements() if calls.fresh else judgements_of(scorer)
    scoring = _Scoring(name, scorer, work, calls, into, takes_row(scorer), judgements)
    known = dict(judgements.known)
    found = {place: known.get(scoring.key(place)) for place in places} if known else {}
    for place, before in found.items():
        into[place] = before or into[place]
    todo = [place for place in places if found.get(place) is None]
    if isinstance(scorer, Scorer):  # computes, and waits for nothing: threads would only cost
        for place in todo:
            into[place] = scoring.called(place)
    elif inspect.iscoroutinefunction(scorer) or inspect.iscoroutinefunction(getattr(scorer, "__call__", None)):  # noqa: B004 - an object whose call is async
        scoring.on_a_loop(todo)
    else:
        scoring.in_threads(scoring.on_workers(todo))


def _prejudged(run: Run) -> Judged | None:
    """What is to be said without asking the scorer; None where there is an answer to judge."""
    if run.status != "ok":
        return UNSCORED
    if run.is_answer_hidden:
        text = "the answer comes from the log, where a redact hook had changed or left out its text"
        return Judged(None, None, text)
    if is_gone(run):
        return Judged(None, None, "the answer comes from the log, which keeps no pictures and no sound")
    return None


@dataclass(frozen=True, slots=True)
class _Scoring:
    """One function of the user over the answers of a comparison."""

    name: str
    scorer: ScorerFunction
    work: Sequence[tuple[Run, Row]]
    calls: JudgeCalls
    into: list[Judged]
    with_row: bool
    judgements: Judgements
    under_way: list[AtIt] = field(default_factory=list)
    """What is being judged just now."""

    def in_threads(self, places: Sequence[int]) -> None:
        """One thread at first, and more once the function turns out to take its time.

        Threads would only slow down what computes for some microseconds, and an interrupt loses what is under way.
        """
        queue, over = iter(places), threading.Event()
        lock = threading.Lock()

        def judge_on() -> None:
            while not over.is_set():
                with lock:
                    place = next(queue, None)
                if place is None:
                    return
                for mine in self._turns(place):
                    if mine is not None:
                        self._in_a_thread(place, mine)
                    elif over.wait(LOOK_S):
                        return
                ended[0] += 1

        ended, at_once = [0], 1
        pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="bifrost-nb-score")
        try:
            running, began = {pool.submit(judge_on)}, time.monotonic()
            while running:
                before = ended[0]
                # Short: on Windows a wait without limit cannot be interrupted.
                done, running = wait(running, timeout=SLOW_S, return_when=FIRST_COMPLETED)
                for one in done:
                    one.result()  # an interrupt or exit of the user's function itself
                if running and (ended[0] == before or time.monotonic() - began > PATIENCE_S):
                    more = min(AT_ONCE, len(places)) - at_once
                    at_once += more
                    running |= {pool.submit(judge_on) for _ in range(more)}
        finally:
            over.set()
            for left in list(self.under_way):
                left.leave()
            pool.shutdown(wait=False)  # what runs goes on, and is remembered when it ends

    def on_a_loop(self, places: Sequence[int]) -> None:
        async def all_of_them() -> None:
            room = asyncio.Semaphore(AT_ONCE)

            async def one(place: int) -> None:
                async with room:
                    for mine in self._turns(place):
                        if mine is not None:
                            await self._awaited(place, mine)
                        else:
                            await asyncio.sleep(LOOK_S)

            await asyncio.gather(*(one(place) for place in places))

        loop = Portal()  # not the private loop: a scorer that blocks must not disturb a clock
        try:
            loop.call(all_of_them())
        finally:
            loop.stop()

    def on_workers(self, places: Sequence[int]) -> Sequence[int]:
        """Judge on the workers of a cluster, where there is one; the places that are to be judged here."""
        if self.calls.cluster is None or not places:
            return places
        from .dask_scoring import Unsendable, left_by_workers, pickled

        try:
            sent = pickled(self.scorer, self.calls.client.credentials.secrets)
        except Unsendable as why:
            self.calls.notes.append(f"{self.name} was computed in this process: {why}.")
            return places
        left = left_by_workers(self.calls.cluster, sent, self.name, self.work, places, self.into)
        if left:
            self.calls.notes.append(f"{self.name}: {len(left):,} answers were judged in this process: no worker could.")
        return left

    def called(self, place: int) -> Judged:
        return called(self.scorer, *self.work[place], self.with_row)

    def key(self, place: int) -> JudgedOf:
        """What is judged: the answer, with the row if the function is given one, such as a corrected expectation."""
        run, row = self.work[place]
        return run.run_id, content_of(row) if self.with_row else ""

    def _turns(self, place: int) -> Iterator[AtIt | None]:
        """None again and again while a judgement has to wait, then it, to be made; nothing where it need not be made.

        It waits for costs, which come on another thread, and for another thread that judges the same answer just now:
        one that an interrupt left behind, or one that runs the same cell.
        """
        while self._waits():
            yield None
        if (made := self._room_for_calls(place)) is None:
            return
        mine = AtIt(self.key(place), made)
        while (at_it := self.judgements.turn(mine)) is not mine:
            if at_it.judged is None:
                yield None
            if at_it.judged is not None:
                self.into[place] = at_it.judged
                return
        yield mine

    def _in_a_thread(self, place: int, mine: AtIt) -> None:
        with self._making(place, mine):
            with judging(self.name, mine.calls):
                judged = self.called(place)
            self._keep(place, judged, mine)

    async def _awaited(self, place: int, mine: AtIt) -> None:
        with self._making(place, mine):
            with judging(self.name, mine.calls):
                try:
                    judged = judged_of(await _call(self.scorer, *self.work[place], self.with_row))
                except FAILURES as error:
                    task = asyncio.current_task()
                    if task is not None and task.cancelling():  # by us, not by the function itself
                        raise
                    judged = _failed(error)
            self._keep(place, judged, mine)

    @contextmanager
    def _making(self, place: int, mine: AtIt) -> Iterator[None]:
        self.under_way.append(mine)
        try:
            yield
        finally:
            self.under_way.remove(mine)
            self.judgements.end(mine)

    def _asks(self) -> bool:
        """Whether this function is known to ask a model."""
        return bool(self.calls.runs.get(self.name))

    def _waits(self) -> bool:
        return self._asks() and self.calls.waits(len(self.under_way), AT_ONCE)

    def _room_for_calls(self, place: int) -> list[Run] | None:
        """Where the calls that judge an answer are collected; None where it is not to be judged any more.

        Without money a function is still called, since most ask nobody: if it does ask, that is refused.
        """
        if (stop := self.calls.exhausted()) is None:
            return []
        if not (self.calls.stopped or self._asks()):
            return NoCalls()
        self.into[place] = Judged(None, None, f"not judged: {stop}")
        return None

    def _keep(self, place: int, judged: Judged, mine: AtIt) -> None:
        made = mine.calls
        if isinstance(made, NoCalls) and made.asked:
            judged = Judged(None, None, f"not judged: {self.calls.exhausted()}")
        self.into[place] = judged
        sent = [run for run in made if run.attempts]  # what was only planned is no call
        self.calls.pay(sent)
        self.calls.count(self.name, sent)
        if judged.error is None:
            self.judgements.keep(mine, judged, paid=bool(sent))


def called(scorer: ScorerFunction, run: Run, row: Row, with_row: bool) -> Judged:
    """What a function that is not async says of one answer; whatever it does, that is a judgement."""
    try:
        given = _call(scorer, run, row, with_row)
        return judged_of(_ended(given) if inspect.iscoroutine(given) else given)
    except FAILURES as error:
        return _failed(error)


def _call(scorer: ScorerFunction, run: Run, row: Row, with_row: bool) -> Any:
    # A row of its own: what a function changes there would be the inputs of the frame, of other functions, of the user.
    return scorer(run, _own(dict(row))) if with_row else scorer(run)


def _own(value: Any) -> Any:
    """`value` in lists, dicts and sets of its own; what else a function may change in place it shares."""
    if type(value) is list:
        return [_own(each) for each in value]
    if type(value) is dict:
        return {name: _own(each) for name, each in value.items()}
    return set(value) if type(value) is set else value


def _ended(begun: Coroutine[Any, Any, Any]) -> Any:
    """What comes of the coroutine that a plain function returned, as a lambda does that calls an async one."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:  # none runs on this thread
        return asyncio.run(begun)
    begun.close()
    return begun


def judged_of(given: Any) -> Judged:
    """What a scorer returned, as the frame holds it."""
    score = given if isinstance(given, Score) else Score(given)
    parts = [plain(without_keys(str(part)), LONGEST) for part in (score.label, score.reason) if part is not None]
    reason = ": ".join(parts) or None
    if score.value is None:
        return Judged(None, reason)
    if isinstance(score.value, str | bytes):  # "0.7" is more likely a mistake than a score
        return Judged(None, reason, f"returned {type(score.value).__name__}, not a number")
    try:
        number = float(as_python(score.value))  # a 32-bit 0.1 is 0.1
    except OverflowError:  # an integer of hundreds of digits
        number = math.inf
    except (TypeError, ValueError):
        # pandas' NA has no truth and no number: it says "unknown"
        unknown = missing(score.value)
        return Judged(None, reason, None if unknown else f"returned {type(score.value).__name__}, not a number")
    if math.isnan(number):
        return Judged(None, reason)
    return Judged(number, reason) if math.isfinite(number) else Judged(None, reason, f"returned {number}")


def _failed(error: BaseException) -> Judged:
    try:
        said = str(error)
    except Exception:  # noqa: BLE001 - the user's own class
        said = ""
    return Judged(None, None, without_keys(plain(f"{type(error).__name__}: {said}".removesuffix(": "), 300)))


def takes_row(scorer: ScorerFunction) -> bool:
    """Whether it is called with the row of inputs as well."""
    if isinstance(scorer, Scorer):
        return True
    try:
        parameters = inspect.signature(scorer).parameters.values()
    except (TypeError, ValueError):  # some built-in functions do not tell
        return False
    positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    needed = [one for one in positional if one.default is one.empty]
    return len(needed) >= 2 or any(one.name == "row" for one in positional[1:])


def notes_on_scores(found: Mapping[str, Sequence[Judged]]) -> list[str]:
    """What a comparison's own table must say of its scores: which failed, for how many answers and why."""
    notes = []
    for name, judged in found.items():
        errors = [one.error for one in judged if one.error is not None]
        if not errors:
            continue
        common = max(dict.fromkeys(errors), key=errors.count)
        given = sum(one.value is not None for one in judged)
        extent = f"{len(errors):,} answers have no score" if given else "no answer has a score"
        other = len(errors) - errors.count(common)
        more = f" ({other:,} for other reasons, see {name}_error)" if other else ""
        notes.append(f"{name}: {extent}: {plain(common, 600)}{more}")
    return notes
