"""Send the inputs of a comparison in batches, judge each, and stop as soon as `until` says that it is decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from .budget import budget_of
from .comparison import Comparison
from .interrupted import ComparisonInterrupted
from .judge_calls import JudgeCalls
from .progress import Bar
from .resume import notes_on
from .run_sweep import run_sweep
from .sweep import Sweep

if TYPE_CHECKING:
    from .._client.client import Client
    from .._client.transport import Sink
    from .._runs.run import Run
    from .plan import Trial
    from .scoring import ScorerFunction
    from .until import Looks

__all__ = ["decide"]


def decide(
    client: Client,
    looks: Looks,
    done: Mapping[str, Run],
    scorers: Mapping[str, ScorerFunction],
    *,
    max_cost_usd: float | None,
    sink: Sink | None,
    fresh: bool,
    silent: bool = False,
) -> Comparison:
    """The comparison of what was sent until it was decided, or no input or money was left.

    Answers in `done` are taken instead of sent, at the place of their input. Raises ComparisonInterrupted.
    """
    course = _Course(client, looks, scorers, max_cost_usd, sink, fresh, silent)
    batch = looks.next_batch()
    try:
        while True:
            known = {one.trial_id: done[one.trial_id] for one in batch if one.trial_id in done}
            result = course.pass_over(batch, known)
            if not (batch := looks.next_batch()):
                return result
    finally:
        course.close()


class _Course:
    """What stays from batch to batch: one sweep with its pace and budget, one bar, the comparison so far."""

    def __init__(
        self,
        client: Client,
        looks: Looks,
        scorers: Mapping[str, ScorerFunction],
        max_cost_usd: float | None,
        sink: Sink | None,
        fresh: bool,
        silent: bool,
    ) -> None:
        self.client, self.looks, self.scorers, self.fresh = client, looks, scorers, fresh
        nothing = replace(looks.plan, trials=(), order=())
        self._budget = budget_of(lambda: client, max_cost_usd)
        self.sweep = Sweep(client, nothing, {}, budget=self._budget, sink=sink)
        self._before: Comparison | None = None
        self._from_log: dict[str, Run] = {}
        self._bar = Bar(self.sweep.progress, silent=True) if silent else None

    def pass_over(self, batch: list[Trial], known: Mapping[str, Run]) -> Comparison:
        """Send a batch, judge its answers, and look at all."""
        looks, sweep, before = self.looks, self.sweep, self._before
        sweep.add(batch, known)
        self._from_log |= {key: run for key, run in known.items() if run.redacted}
        self._say_who_is_left()
        interrupted = False
        if len(known) < len(batch):
            self._bar = self._bar or Bar(sweep.progress)
            interrupted = run_sweep(self.client, sweep, self._bar)
        result = self._before = Comparison(looks.asked(), sweep.results, sweep.progress, self.client)
        result.decision = looks.decision()  # of the last look, if an interrupt prevents another
        calls = JudgeCalls(
            self.client,
            of=looks.plan.comparison_id,
            budget=self._budget,
            fresh=self.fresh,
            silent=True,
        )
        if interrupted:
            result.judge_answers({}, calls, before)
            raise ComparisonInterrupted(result)
        result.judge_answers(self.scorers, calls, before)
        sweep.stop_if_spent()
        looks.look(result.frame_now(), sweep.given_up, sweep.stopped)
        self._say_who_is_left()
        result.decision = looks.decision()
        return result

    def _say_who_is_left(self) -> None:
        looks, left = self.looks, len(self.looks.left)
        inputs = f"{looks.sent:,} of {len(looks.order):,} inputs"
        self.sweep.progress.said = f"{inputs}, {left} {'variant' if left == 1 else 'variants'} left"

    def close(self) -> None:
        """The bar's last state stays; what is to be said of answers out of the log is said once."""
        progress = self.sweep.progress
        progress.notes += notes_on(self.sweep.plan, self._from_log)
        if self._bar is not None:
            self._bar.close()
