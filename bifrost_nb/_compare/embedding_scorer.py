"""`similar`: how near an answer is to what was expected, by the cosine of their embeddings.

Vectors are not written to the log, so the cosine is: as the tag ``cosine`` of the run that embedded the two texts. A
pair that was embedded once is found there again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from .._client.calls import Call
from .._client.judge_tag import JUDGE_TAG
from .._safe_text import quoted
from ..errors import ConfigurationError
from .judge_calls import JudgeCalls, error_of
from .plan import Plan, Trial, make_plan
from .resume import COSINE_TAG, resumed
from .scoring import Judged, ModelScorer, Row, Score, judged_of
from .sweep import Sweep

if TYPE_CHECKING:
    from .._client.client import Client
    from .._runs.run import Run

__all__ = ["Similar"]

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _EmbeddingPlan(Plan):
    """A plan whose trials embed two texts each."""

    def call(self, client: Client, trial: Trial, like: Call | None = None) -> Call:
        call = client.prepare(
            "embedding",
            trial.asked.deployment,
            list(trial.prompt.values["pair"]),
            tags=self.tags_of(trial),
            comparison_id=self.comparison_id,
            prompt_id=trial.prompt.prompt_id,
            repeat=trial.repeat,
            retries=0,
        )
        call.before_log = _keep_cosine  # in the same line: what is killed after it has lost nothing
        return call


class Similar(ModelScorer):
    """See `bifrost_nb.scorers.similar`."""

    def __init__(self, column: str, deployment: str, client: Client | None) -> None:
        if not isinstance(deployment, str) or "/" not in deployment:
            raise ConfigurationError(
                f"deployment must be one for embeddings, 'provider/model', not {quoted(deployment)}."
            )
        self.column, self.deployment, self._client = column, deployment, client
        super().__init__("similar", f"similar({column!r}, deployment={deployment!r})", self._alone, [column])
        self.bounds = (-1.0, 1.0)

    def judge_all(self, name: str, work: Sequence[tuple[Run, Row]], calls: JudgeCalls, into: list[Judged]) -> None:
        """See `ModelScorer.judge_all`."""
        import pandas as pd

        pairs: dict[int, Pair] = {}
        for place, (run, row) in enumerate(work):
            expected = row.get(self.column)
            if not isinstance(expected, str) and bool(pd.isna(expected)):
                into[place] = Judged(None)
            elif not run.text.strip() or not str(expected).strip():
                into[place] = Judged(None, None, "there is no text to embed")
            else:
                pairs[place] = (run.text, str(expected))
        if not pairs:
            return
        found: dict[Pair, Run] = {}
        interrupted = True
        try:
            self._embed(name, list(dict.fromkeys(pairs.values())), calls, found)
            interrupted = False
        finally:
            for place, pair in pairs.items():
                if pair in found or not interrupted:
                    into[place] = _cosine_of(found.get(pair), calls)

    def _embed(self, name: str, pairs: list[Pair], calls: JudgeCalls, found: dict[Pair, Run]) -> None:
        client = calls.client
        plan = self._plan(name, client, pairs)
        by_id = {trial.trial_id: pair for trial, pair in zip(plan.trials, pairs, strict=True)}
        with resumed([plan], client, fresh=calls.fresh) as before:
            done = {key: run for key, run in before.done.items() if COSINE_TAG in run.tags}
            calls.runs.setdefault(name, []).extend(done.values())
            found.update({by_id[trial_id]: run for trial_id, run in done.items()})
            if before.interrupted:
                raise KeyboardInterrupt
            missing = tuple(trial for trial in plan.trials if trial.trial_id not in done)
            if not missing or calls.exhausted() is not None:
                return
            part = replace(plan, trials=missing, order=missing)
            sweep = Sweep(client, part, {}, budget=calls.budget)
            interrupted = calls.run(sweep)
            calls.count(name, sweep.results.values())
            calls.notes += [note for note in sweep.progress.notes if note not in calls.notes]
            found.update({by_id[trial_id]: run for trial_id, run in sweep.results.items()})
            if interrupted:
                raise KeyboardInterrupt

    def _plan(self, name: str, client: Client, pairs: list[Pair]) -> _EmbeddingPlan:
        plan = make_plan(
            client,
            [self.deployment],
            "{{pair}}",
            inputs=[{"pair": list(pair)} for pair in pairs],
            kind="chat",  # of the check; the identity differs from a chat's by the shape of the prompt
            stream=False,
            tags={JUDGE_TAG: name},
        )
        return _EmbeddingPlan(**{field.name: getattr(plan, field.name) for field in fields(plan)})

    def _alone(self, run: Run, row: Row) -> Score:
        found = [Judged(None)]
        self.judge_all("score", [(run, row)], JudgeCalls(self._client), found)
        if found[0].error is not None:
            raise ValueError(found[0].error)
        return Score(found[0].value)


def _cosine_of(run: Run | None, calls: JudgeCalls) -> Judged:
    error = error_of(run, calls)
    if error is not None or run is None:
        return Judged(None, None, error)
    cosine: Any = run.tags.get(COSINE_TAG)
    return (
        Judged(None, None, "the embeddings are not two vectors of one length") if cosine is None else judged_of(cosine)
    )


def _keep_cosine(run: Run) -> None:
    if run.status == "ok" and (cosine := _cosine(run.embeddings)) is not None:
        run.tags = {**run.tags, COSINE_TAG: cosine}


def _cosine(vectors: Sequence[Sequence[float]]) -> float | None:
    if len(vectors) != 2 or len(vectors[0]) != len(vectors[1]):
        return None
    a, b = vectors
    size = math.hypot(*a) * math.hypot(*b)
    return math.fsum(x * y for x, y in zip(a, b, strict=True)) / size if size else None
