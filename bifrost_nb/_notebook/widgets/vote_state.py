"""A blind vote as plain Python: pairs of answers, shuffled and unlabelled, until the votes are in.

Each ballot is one prompt and two models; which answer stands on which side, which repeat is shown and the order of the
ballots come from `seed` alone, so a vote can be set up again as it was.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal

from ..._compare.comparison_frame import asked_of_both
from ..._compare.same_questions import question_of
from ..._display.run import said
from ..._numbers import whole, whole_number
from ..._runs.redact_hook import as_written
from ..._runs.run import Run
from ..._safe_text import quoted
from ...errors import ConfigurationError

if TYPE_CHECKING:
    import pandas as pd

    from ..._compare.planned_prompt import PlannedPrompt
    from ..._runs.log.log import RunLog
    from ..._runs.redact_hook import Redact

__all__ = ["COLUMNS", "Ballot", "Ballots", "Choice"]

Choice = Literal["1", "2", "tie", "skip"]
_WINNERS: dict[str, str | None] = {"1": "model_a", "2": "model_b", "tie": "tie", "skip": None}
_RATINGS: dict[str, tuple[str, str]] = {"1": ("win", "loss"), "2": ("loss", "win"), "tie": ("tie", "tie")}
_Answered = dict[tuple[str, str], dict[str, list[Run]]]
"""(input, what else both sides share) -> model -> its answers."""
COLUMNS = ("model_a", "model_b", "winner", "prompt_id", "seed", "at", "run_a", "run_b")


@dataclass(frozen=True, slots=True, eq=False)
class Ballot:
    """One question to the voter: answer 1 is model a's, answer 2 model b's."""

    prompt_id: str
    prompt: str
    model_a: str
    model_b: str
    run_a: Run
    run_b: Run


@dataclass(frozen=True, slots=True, eq=False)
class _CastVote:
    ballot: Ballot
    choice: Choice
    at: datetime


class Ballots:
    """The ballots of a vote, and the votes. `runs` are (model's name, run) pairs; only answered ones are voted on.

    Two equal answers make no ballot: nobody can choose between them, so they are ties of the ranking, as many in
    proportion as ballots were voted on. `limit` is the most ballots; None asks about every pair of every prompt. `log`
    is where ratings go (``win``, ``loss``, ``tie``; of an answer that was on several ballots the last). `prompts` are
    those of the plan by the id of the run: where two runs were not asked the same, that is shown which both share, as
    the rest would tell whose answer is whose. `apart` is what both sides of a ballot must share beside the input, by
    the id of the run.
    """

    def __init__(
        self,
        runs: Iterable[tuple[str, Run]],
        *,
        seed: int = 0,
        limit: int | None = None,
        log: RunLog | None = None,
        prompts: Mapping[str, PlannedPrompt] | None = None,
        apart: Mapping[str, str] | None = None,
        redact: Redact | None = None,
    ) -> None:
        most = None if limit is None else whole(limit) or 0
        if most is not None and most < 1:
            raise ConfigurationError(f"limit must be a number of ballots from 1, not {quoted(limit)}.")
        self.seed, self.log, self.redact = whole_number("seed", seed, least=None), log, redact
        answered: _Answered = {}
        for name, run in runs:
            if run.status == "ok" and said(run):
                key = str(run.tags.get("input") or run.prompt_id or run.prompt or ""), (apart or {}).get(run.run_id, "")
                answered.setdefault(key, {}).setdefault(name, []).append(run)
        self.models = list(dict.fromkeys(name for models in answered.values() for name in models))
        draw = random.Random(self.seed)
        everything, equal = _pairs(answered, draw, prompts or {})
        draw.shuffle(everything)
        self.ballots = everything[:most]
        self._equal = [(draw.randint(1, max(1, len(everything))), pair) for pair in equal]
        """(ballots that must be behind for it to count, the models and the input) of each pair of equal answers."""
        if len(self.models) == 1:
            raise ConfigurationError(
                f"A vote is between two or more, and here only {quoted(self.models[0], 80)} has answers.",
                hint="Compare two or more, or leave out names=.",
            )
        if not self.ballots:
            raise ConfigurationError(
                "There is nothing to vote on: no prompt has different answers of two deployments.",
                hint="Compare two deployments or more, on prompts that they answer differently.",
            )
        self._votes: list[_CastVote] = []
        self.revealed = False

    def __getstate__(self) -> dict[str, Any]:
        """What a file gets: prompts as `redact` wants them, the log by its path."""
        kept = [replace(one, prompt=_prompt_as_written(one, self.redact)) for one in self.ballots]
        votes = [replace(vote, ballot=ballot) for vote, ballot in zip(self._votes, kept, strict=False)]
        log = None if self.log is None else self.log.path
        return {**self.__dict__, "ballots": kept, "_votes": votes, "redact": None, "log": log}

    def __setstate__(self, state: dict[str, Any]) -> None:
        from ..._runs.log.log import RunLog

        self.__dict__.update(state)
        self.log = None if state["log"] is None else RunLog(state["log"])

    @property
    def current(self) -> Ballot | None:
        """The ballot to be voted on; None when all are done or the vote was revealed."""
        return None if self.revealed or len(self._votes) == len(self.ballots) else self.ballots[len(self._votes)]

    @property
    def number(self) -> int:
        """How many ballots are behind, skipped ones included."""
        return len(self._votes)

    def choose(self, choice: Choice) -> None:
        """Vote on the current ballot: ``1``, ``2``, ``tie``, or ``skip``.

        Raises ConfigurationError for another choice or when no ballot is left, LogError where the log cannot be
        written; the vote counts all the same.
        """
        ballot = self.current
        if choice not in _WINNERS:
            raise ConfigurationError(f"A vote is one of {', '.join(_WINNERS)}, not {quoted(choice)}.")
        if ballot is None:
            raise ConfigurationError("The vote is closed: every ballot is done, or it was revealed.")
        self._votes.append(_CastVote(ballot, choice, datetime.now(UTC)))
        if choice in _RATINGS:
            ratings = _RATINGS[choice]
            ballot.run_a.rating, ballot.run_b.rating = ratings
            if self.log is not None:
                for run, rating in zip((ballot.run_a, ballot.run_b), ratings, strict=True):
                    self.log.update(run.run_id, rating=rating)

    def reveal(self) -> None:
        """End the vote: what follows shows who is who, so nothing after it would be blind."""
        self.revealed = True

    @property
    def frame(self) -> pd.DataFrame:
        """One row per vote, columns `COLUMNS`; `winner` is ``model_a``, ``model_b`` or ``tie``, NA where skipped."""
        import pandas as pd

        rows = [
            (one.ballot.model_a, one.ballot.model_b, _WINNERS[one.choice], one.ballot.prompt_id, self.seed, one.at,
             one.ballot.run_a.run_id, one.ballot.run_b.run_id)
            for one in self._votes
        ]  # fmt: skip
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        types: dict[str, Any] = dict.fromkeys(COLUMNS, "string")
        return table.astype({**types, "seed": "Int64", "at": "datetime64[us, UTC]"})

    def ranking(self, confidence: float = 0.95) -> pd.DataFrame:
        """The models from strongest to weakest; see `bifrost_nb._statistics.ranking.ranking`.

        Pairs of equal answers are among the ties: a model that wins 5 prompts of 100, of which 95 were answered alike,
        is hardly better.
        """
        import pandas as pd

        from ..._statistics.ranking import ranking

        ties = [(a, b, "tie", question) for due, (a, b, question) in self._equal if due <= self.number]
        votes = self.frame[["model_a", "model_b", "winner", "prompt_id"]]
        alike = pd.DataFrame(ties, columns=votes.columns).astype("string")
        every = pd.concat([votes, alike], ignore_index=True)
        return ranking(every.assign(question=every["prompt_id"].map(question_of)), self.models, confidence)

    @property
    def alike(self) -> int:
        """How many pairs of equal answers count as ties by now."""
        return sum(due <= self.number for due, _ in self._equal)


def _pairs(
    answered: _Answered, draw: random.Random, prompts: Mapping[str, PlannedPrompt]
) -> tuple[list[Ballot], list[tuple[str, str, str]]]:
    """A ballot for each prompt and pair of models that answered it differently, and the pairs that answered alike."""
    ballots: list[Ballot] = []
    alike: list[tuple[str, str, str]] = []
    for (prompt_id, _), models in answered.items():
        for pair in combinations(models, 2):
            a, b = draw.sample(pair, 2)
            run_a = draw.choice(models[a])
            # The same repeat where there is one, as a model that judges pairs takes them: the two can be compared.
            run_b = draw.choice([one for one in models[b] if one.repeat == run_a.repeat] or models[b])
            if said(run_a) != said(run_b):
                ballots.append(Ballot(prompt_id, _asked(run_a, run_b, prompts), a, b, run_a, run_b))
            else:
                alike.append((a, b, prompt_id))
    return ballots, alike


def _prompt_as_written(ballot: Ballot, redact: Redact | None) -> str:
    """The prompt of `ballot` as a file may hold it; what `redact` made of it once, where that is no longer there."""
    if ballot.prompt == ballot.run_a.prompt:
        return as_written(ballot.run_a).prompt or ""
    return ballot.prompt if redact is None else redact(ballot.prompt, "prompt") or ""


def _asked(run_a: Run, run_b: Run, prompts: Mapping[str, PlannedPrompt]) -> str:
    """What both answered: the prompt, or what two prompts share, of two templates the inputs."""
    if run_a.prompt == run_b.prompt:
        return run_a.prompt or ""
    if run_a.run_id not in prompts or run_b.run_id not in prompts:
        return ""
    shared = asked_of_both(prompts[run_a.run_id], prompts[run_b.run_id])
    if "prompt" in shared:
        return shared["prompt"]
    return "\n".join(f"{name.removeprefix('input ')}: {value}" for name, value in shared.items())
