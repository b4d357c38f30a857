"""Asking a model about answers: through a comparison's own client, lanes, budget and log, and never twice.

`judge_question` is what it is asked, `judge_reply` how its reply is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .._client.judge_tag import JUDGE_TAG
from .._safe_text import plain
from ..errors import ConfigurationError
from .abilities import check_images_taken
from .budget import Budget, budget_of
from .judge_question import ALSO_PICTURES, Question
from .plan import Plan, make_plan
from .progress import Bar
from .resume import resumed
from .run_sweep import run_sweep
from .scoring import Judged
from .sweep import Sweep

if TYPE_CHECKING:
    from .._client.client import Client
    from .._runs.run import Run

__all__ = ["JudgeCalls", "error_of"]

_REFUSED = (400, 404, 415, 422, 501)
"""Answers of a gateway or provider that does not take a `response_format`."""


class JudgeCalls:
    """The calls that judge the answers of one comparison: who makes them, what they cost, what they found.

    `budget` is what they spend from, together with the answers; without one `max_cost_usd` is what may be spent, None
    without limit. `fresh` asks again what the log has answers of;
    `silent` shows no progress. Functions that ask nobody are computed on the workers of a `cluster`.
    """

    stopped = False
    """Whether even judging that asks nobody is to end."""

    def __init__(
        self,
        client: Client | None,
        *,
        of: str | None = None,
        max_cost_usd: float | None = None,
        budget: Budget | None = None,
        fresh: bool = False,
        silent: bool = False,
        cluster: Any = None,
    ) -> None:
        self._client, self._of, self.fresh = client, of, fresh
        self.budget = budget_of(lambda: self.client, max_cost_usd) if budget is None else budget
        self._silent, self.cluster = silent, cluster
        self.found: dict[str, list[Judged]] = {}
        """Score's name -> a judgement for each run."""
        self.runs: dict[str, list[Run]] = {}
        """Score's name -> the judge's runs behind it, those out of the log included."""
        self.notes: list[str] = []
        self.new: list[Run] = []
        """What was asked just now, and paid for."""

    def run(self, sweep: Sweep) -> bool:
        """Run a sweep of judging; True if the interrupt key stopped it."""
        bar = Bar(sweep.progress, silent=self._silent, unit="judge call")
        try:
            return run_sweep(self.client, sweep, bar)
        finally:
            bar.close()

    @property
    def client(self) -> Client:
        """The comparison's client; for a scorer that is called alone the default one."""
        if self._client is None:
            from .._client.client import default_client

            self._client = default_client()
        return self._client

    def count(self, name: str, runs: Iterable[Run]) -> None:
        """Runs that were made just now to judge answers."""
        runs = list(runs)
        self.runs.setdefault(name, []).extend(runs)
        self.new += runs

    def pay(self, runs: Iterable[Run]) -> None:
        """Count runs that no sweep has counted into the budget."""
        if self.budget is not None:
            for run in runs:
                self.budget.add(run)

    def waits(self, in_flight: int, wave: int) -> bool:
        """Whether costs that are to come say if one more call may be made; `wave` calls need none."""
        if self.budget is None:
            return False
        self.budget.wave = wave
        return self.budget.waits(in_flight)

    def exhausted(self) -> str | None:
        """Why nothing more may be asked, in words; None while there is money left."""
        if self.budget is None or self.budget.exhausted() is None:
            return None
        reached = self.budget.spent_usd >= self.budget.limit_usd
        return f"max_cost_usd {'is reached' if reached else 'cannot be kept, as no cost is known'}"

    def ask(
        self,
        name: str,
        judge: Any,
        questions: Sequence[Question],
        schema: Mapping[str, Any],
        into: dict[Question, Run],
    ) -> None:
        """Ask `judge` each question once; its runs come into `into`. Raises KeyboardInterrupt with what is known there.

        The reply's form is asked for as `response_format`; a judge that refuses that is asked without. A question that
        could not be sent has no run.
        """
        alike: dict[tuple[str, int], list[Question]] = {}
        for question in dict.fromkeys(questions):
            alike.setdefault((question.system, len(question.pictures)), []).append(question)
        form = {"type": "json_schema", "json_schema": {"name": "verdict", "strict": True, "schema": dict(schema)}}
        for (system, pictures), some in alike.items():
            shown = pictures if pictures and self._sees(judge) else 0
            with_form = self._plan(name, judge, system, some, shown, response_format=form)
            without = self._plan(name, judge, system, some, shown)
            with resumed([without, with_form], self.client, fresh=self.fresh) as found:
                known = {one: run for one, run in found.done.items() if "response" not in run.written}
                for plan in (without, with_form):
                    self._file(name, plan, some, known, into)
                if found.interrupted:
                    raise KeyboardInterrupt
                missing = [question for question in some if question not in into]
                for plan, part in self._forms(name, with_form, without, some, missing, into):
                    self._send(name, plan, some, part, into)

    def _forms(
        self,
        name: str,
        with_form: Plan,
        without: Plan,
        some: list[Question],
        missing: list[Question],
        into: dict[Question, Run],
    ) -> Iterable[tuple[Plan, list[Question]]]:
        """Which plan asks which questions: one question finds out whether this judge takes a `response_format`."""
        if not missing:
            return
        first, rest = missing[:1], missing[1:]
        yield with_form, first
        plan = with_form
        if (run := into.get(first[0])) is not None and run.status != "ok" and run.http_status in _REFUSED:
            yield without, first
            if into[first[0]].status == "ok":
                plan = without
        if rest:
            yield plan, rest

    def _sees(self, judge: Any) -> bool:
        """Whether `judge` takes pictures, as far as the gateway tells; it is said where it does not."""
        who = judge if isinstance(judge, str) else judge.get("deployment")
        try:
            check_images_taken(self.client, [who])
        except ConfigurationError as error:
            self.notes.append(f"Judged without the pictures: {error.message}")
            return False
        return True

    def _plan(
        self, name: str, judge: Any, system: str, questions: Sequence[Question], pictures: int, **parameters: Any
    ) -> Plan:
        if isinstance(judge, Mapping) and (own := sorted({"system", "messages", "response_format"} & judge.keys())):
            raise ConfigurationError(f"A judge's {own[0]} is set by the judging itself; leave it out.")
        tags = {JUDGE_TAG: name, **({"judged": self._of} if self._of else {})}
        columns = [f"picture_{number}" for number in range(pictures)]
        return make_plan(
            self.client,
            [judge],
            "{{asked}}",
            inputs=[{"asked": one.text, **dict(zip(columns, one.pictures, strict=False))} for one in questions],
            images=columns or None,
            kind="chat",
            stream=False,
            system=f"{system}{ALSO_PICTURES if pictures else ''}",
            tags=tags,
            parameters=parameters,
        )

    def _file(
        self,
        name: str,
        plan: Plan,
        questions: Sequence[Question],
        results: Mapping[str, Run],
        into: dict[Question, Run],
    ) -> None:
        for question, trial in zip(questions, plan.trials, strict=True):
            if trial.trial_id in results:
                into[question] = results[trial.trial_id]
                self.runs.setdefault(name, []).append(results[trial.trial_id])

    def _send(
        self, name: str, plan: Plan, questions: Sequence[Question], some: list[Question], into: dict[Question, Run]
    ) -> None:
        if self.exhausted() is not None:
            return
        wanted = set(some)
        trials = tuple(one for question, one in zip(questions, plan.trials, strict=True) if question in wanted)
        ids = {trial.trial_id for trial in trials}
        part = replace(plan, trials=trials, order=tuple(trial for trial in plan.order if trial.trial_id in ids))
        sweep = Sweep(self.client, part, {}, budget=self.budget)
        interrupted = self.run(sweep)
        self.count(name, sweep.results.values())
        self.notes += [note for note in sweep.progress.notes if note not in self.notes]
        by_id = {trial.trial_id: question for question, trial in zip(questions, plan.trials, strict=True)}
        into.update({by_id[trial_id]: run for trial_id, run in sweep.results.items()})
        if interrupted:
            raise KeyboardInterrupt


def error_of(run: Run | None, calls: JudgeCalls) -> str | None:
    """Why a judge's run gave no reply; None where it did."""
    if run is None:
        return f"not judged: {calls.exhausted() or (calls.notes[-1] if calls.notes else 'the judge was not asked')}"
    if run.status != "ok":
        return f"the judge failed ({run.status}): {plain(run.error_message or 'no message', 600)}"
    if run.finish_reason == "length":
        return "the judge's reply was cut off at max_tokens"
    return None
