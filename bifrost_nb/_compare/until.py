"""``compare(..., until="decided")``: inputs go out in batches until an interval that holds at every look decides.

After each batch every pair of variants that are still in is looked at by a confidence sequence
(`bifrost_nb._statistics.sequential`), whose error holds over all looks together, and is shared out over the pairs
(Bonferroni). So one may look as often as one likes, in this run and in further ones of the same cell: answers out of
the log stand at the same places of the order.

A variant that is worse than another leaves. It has ended when one is left, or when all that are left differ by less
than the margin.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

from .._numbers import number
from .._safe_text import quoted
from .._suggest import did_you_mean
from ..errors import ConfigurationError
from .difference import FEWEST_INPUTS, Difference, PairedRuns, difference_of
from .metrics import default_margin, is_score
from .multiple_comparisons import shared_confidence, table_of, unanswered
from .same_questions import question_of
from .scoring import Scorer
from .verdict import ANYTIME, lead, margin_text, points_text

if TYPE_CHECKING:
    import pandas as pd

    from .plan import Plan, Trial
    from .scoring import ScorerFunction

__all__ = ["FIRST_INPUTS", "Decision", "Looks", "looks_of"]

FIRST_INPUTS = 20
"""Inputs of the first batch, and the fewest of a further one."""
GROWTH = 4
"""A further batch is a quarter of what was sent: at most so much is sent beyond what decides, in few rounds."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What ``until="decided"`` decided, or why it ended before.

    comparison.decision.verdict      # 'Decided after 60 of 500 inputs: azure/large is best in score. ...'
    comparison.decision.names        # who remains: one, or several that differ by less than the margin
    comparison.decision.out          # {'azure/fast': 'worse than azure/large by 31 points (9 to 52), ...'}
    """

    metric: str
    """The score that decided."""
    margin: float
    """The smallest difference that matters, in the score's unit."""
    inputs: int
    """How many inputs were sent, of `of`."""
    of: int
    """How many inputs there were."""
    names: list[str]
    """Who remains: one, or several that differ by less than `margin`."""
    out: Mapping[str, str]
    """Who was dropped, and why and when."""
    reason: str | None
    """Why it ended undecided; None where it is decided."""
    differences: pd.DataFrame = field(repr=False, compare=False)
    """A row for each pair, as it stood when it was last looked at; see `Comparison.differences`."""
    order: Sequence[str] = field(repr=False, compare=False)
    """The ids of the inputs as they were sent."""
    bounds: tuple[float, float] = (0.0, 1.0)
    """The least and the most that the score can be."""
    partial: Mapping[str, str] = field(default_factory=dict)
    """Of `names` who did not answer everything, and how much: what failed is left out, and is often what is hard."""

    @property
    def decided(self) -> bool:
        """Whether the data decided."""
        return self.reason is None

    @property
    def verdict(self) -> str:
        """One or a few sentences for people."""
        head = f"after {self.inputs:,} of {self.of:,} {'input' if self.of == 1 else 'inputs'}"
        left = ", ".join(self.names)
        if self.reason is not None:
            said = f"Not decided {head}: {self.reason}."
        elif len(self.names) == 1:
            said = f"Decided {head}: {left} is best in {self.metric}."
        else:
            margin = margin_text(self.margin, points=self.bounds == (0, 1))
            said = f"Decided {head}: {left} differ by less than {margin} in {self.metric}."
        said += "".join(f" {name} {how}, which does not count here." for name, how in self.partial.items())
        return said + "".join(f" {name} was dropped: {why}." for name, why in self.out.items())

    def __repr__(self) -> str:
        return f"Decision({self.metric!r}): {self.verdict}"

    def _repr_html_(self) -> str:
        from .._display.html import verdict

        return verdict(f"Decision by {self.metric}", self.verdict)


class Looks:
    """The course of one comparison that is to be decided: what is sent next, who remains, whether it has ended."""

    def __init__(self, plan: Plan, metric: str, margin: float, bounds: tuple[float, float] = (0.0, 1.0)) -> None:
        self.plan, self.metric, self.margin, self.bounds = plan, metric, margin, bounds
        self.order: list[str] = list(dict.fromkeys(trial.prompt.input_id for trial in plan.order))
        self.left: list[str] = list(dict.fromkeys(trial.variant for trial in plan.trials))
        self.sent = 0
        """How many inputs, from the front of `order`."""
        self.out: dict[str, str] = {}
        self.reason: str | None = None
        self._lost = False
        """Somebody left because of a worse score."""
        self._ended = False
        self._confidence = shared_confidence(0.95, len(list(combinations(self.left, 2))))
        self._pairs: dict[tuple[str, str], Difference] = {}
        self._partial: dict[Any, str] = {}
        self._asked: set[str] = set()
        self._by_input: dict[str, list[Trial]] = {}
        for trial in plan.order:
            self._by_input.setdefault(trial.prompt.input_id, []).append(trial)

    def next_batch(self) -> list[Trial]:
        """The trials of the next inputs for all that are left, in the order of sending; none where it has ended."""
        if self._ended:
            return []
        inputs = self.order[self.sent : self.sent + max(FIRST_INPUTS, self.sent // GROWTH)]
        self.sent += len(inputs)
        batch = [
            trial
            for repeat in range(self.plan.repeats)  # round by round, as a comparison sends them
            for name in inputs
            for trial in self._by_input[name]
            if trial.repeat == repeat and trial.variant in self.left
        ]
        self._asked |= {trial.trial_id for trial in batch}
        return batch

    def asked(self) -> Plan:
        """The part of the plan that was asked so far."""
        prompts = {id(trial.prompt) for trial in self.plan.trials if trial.trial_id in self._asked}
        return replace(
            self.plan,
            trials=tuple(trial for trial in self.plan.trials if trial.trial_id in self._asked),
            order=tuple(trial for trial in self.plan.order if trial.trial_id in self._asked),
            prompts=tuple(one for one in self.plan.prompts if id(one) in prompts),
        )

    def look(self, frame: pd.DataFrame, given_up: Collection[str] = (), stopped: str | None = None) -> None:
        """Take in all answers so far. `given_up` are deployments that get nothing more, `stopped` says why all do."""
        values = frame[self.metric].astype("Float64")
        outside = values[(values < self.bounds[0]) | (values > self.bounds[1])]
        if len(outside):
            allowed = "{:g} to {:g}".format(*self.bounds)
            self.end(
                f"{self.metric} is {outside.iloc[0]:g} for an answer, and its interval holds from {allowed} only:"
                " say what it can be with bf.scorers.bounded(scorer, low, high), no answer is paid for again"
            )
            return
        known = set(frame.loc[values.notna(), "variant"])
        self._partial = {name: how for name, runs in frame.groupby("variant") if (how := unanswered(runs))}
        closed = {trial.variant for trial in self.plan.trials if trial.asked.name in given_up}
        for name in list(self.left):
            if name not in known:
                self._leave(name, f"no answer of it has a {self.metric}")
            elif name in closed and stopped is None:
                self._leave(name, "it was given up")
        runs = PairedRuns(frame)
        found = {pair: self._difference(runs, *pair) for pair in combinations(self.left, 2)}
        self._pairs |= found
        for (a, b), one in found.items():
            if one.winner is not None:
                loser = b if one.winner == a else a
                self._lost = True
                self._leave(loser, f"worse than {one.winner} by {lead(one)}, seen after {self.sent:,} inputs")
        self._settle(stopped)

    def _difference(self, runs: PairedRuns, a: str, b: str) -> Difference:
        return difference_of(
            runs, a, b, self.metric,
            by="variant", margin=self.margin, confidence=self._confidence, order=self.order,
            bounds=self.bounds,
        )  # fmt: skip

    def _leave(self, name: str, why: str) -> None:
        if name in self.left:
            self.left.remove(name)
        self.out.setdefault(name, why)

    def _settle(self, stopped: str | None) -> None:
        """Whether that was the last look."""
        open_pairs = [self._pairs[pair] for pair in combinations(self.left, 2)]
        if not self.left or (len(self.left) == 1 and not self._lost):
            self.end("there is nothing to compare with")
        elif all(one.outcome == "equal" for one in open_pairs):
            self._ended = True
        elif all(one.outcome in ("equal", "refused") for one in open_pairs):  # who answered does not change any more
            refused = next(one for one in open_pairs if one.outcome == "refused")
            self.end(f"{refused.reason}, so {refused.a} and {refused.b} are not compared")
        elif stopped is not None:
            self.end(f"{self._undecided()}; {stopped[0].lower()}{stopped[1:].rstrip('.')}")
        elif self.sent == len(self.order):
            self.end(f"{self._undecided()}, and there are no further inputs")

    def _undecided(self) -> str:
        said = f"{' and '.join(self.left)} cannot be told apart yet"
        if len(self.left) != 2 or (found := self._pairs.get((self.left[0], self.left[1]))) is None or not found.n:
            return said
        points = self.bounds == (0, 1)
        ends = [points_text(end) if points else f"{end:.2g}" for end in (found.estimate, found.low, found.high)]
        return said + f" (difference {ends[0]}{' points' if points else ''}, {ends[1]} to {ends[2]}, {ANYTIME})"

    def end(self, reason: str) -> None:
        """It ends here, undecided."""
        self._ended, self.reason = True, reason

    def decision(self) -> Decision:
        """What has come out by now."""
        reason = self.reason or (None if self._ended else self._undecided())
        pairs = list(self._pairs.values())
        return Decision(
            self.metric,
            self.margin,
            self.sent,
            len(self.order),
            list(self.left),
            dict(self.out),
            reason,
            table_of(pairs),
            tuple(self.order),
            self.bounds,
            {name: self._partial[name] for name in self.left if name in self._partial},
        )


def looks_of(until: Any, metric: Any, margin: Any, plan: Plan, scorers: Mapping[str, ScorerFunction]) -> Looks | None:
    """The course that `until` asks for; None where it is not given. Raises ConfigurationError."""
    if until is None:
        if metric is not None or margin is not None:
            raise ConfigurationError(
                "metric and margin say when until='decided' may end; without it they decide nothing.",
                hint="Pass until='decided', or ask comparison.difference(a, b, metric, margin=...) afterwards.",
            )
        return None
    if not isinstance(until, str) or until != "decided":
        raise ConfigurationError(f"until must be 'decided' or left out, not {quoted(until)}.")
    chosen = _metric(metric, [*scorers, *(["valid"] if plan.schema is not None else [])])
    scorer = scorers.get(chosen)
    bounds = scorer.bounds if isinstance(scorer, Scorer) else (0.0, 1.0)
    width = bounds[1] - bounds[0]
    smallest = default_margin(chosen) * width if margin is None else number(margin)
    if smallest is None or not 0 <= smallest < width:
        raise ConfigurationError(
            f"margin must be a number from 0 to below {width:g}, not {quoted(margin)}.", hint=_MARGIN
        )
    looks = Looks(plan, chosen, smallest, bounds)
    if len(looks.left) < 2:
        raise ConfigurationError(f"There is only {looks.left[0]}, so there is nothing to decide.")
    if (inputs := len({question_of(one) for one in looks.order})) < FEWEST_INPUTS:
        raise ConfigurationError(
            f"until='decided' needs {FEWEST_INPUTS} or more inputs to send one batch after another, not {inputs}."
        )
    return looks


_MARGIN = "margin=0.05: variants whose scores differ by less than 5 points count as equal."


def _metric(metric: Any, known: Sequence[str]) -> str:
    """The score to decide by. Raises ConfigurationError."""
    if metric is None and len(known) == 1:
        return known[0]
    have = f"This comparison has {', '.join(known)}." if known else "Pass score=bf.scorers.exact('expected')."
    if metric is None:
        what = "several scores" if known else "no score"
        raise ConfigurationError(f"until='decided' needs a score to decide by, and there is {what}.", hint=have)
    if metric not in known:
        if isinstance(metric, str) and not is_score(metric) and f"score_{metric}" not in known:
            have = f"Only scores have bounds, which such an interval needs. {have}"
        hint = f"{did_you_mean(str(metric), known)} {have}".strip()
        raise ConfigurationError(f"{metric!r} is no score of this comparison.", hint=hint)
    return str(metric)
