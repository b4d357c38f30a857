"""`compare(mode="batch")`: a comparison whose answers come later, and the card that says how far they are."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from .._compare.comparison import Comparison
from .._compare.dry_run import estimated
from .._compare.interrupted import ComparisonInterrupted
from .._compare.plan import Plan
from .._compare.resume import recorded, resumed
from .._compare.scoring import Judged, ScorerFunction
from .._compare.sweep import Progress
from .._compare.verdict import amount
from .._numbers import number
from .._runs.run import Run
from .._safe_text import plain, quoted
from ..errors import ConfigurationError
from . import jobs as work
from .collect import collected, not_older, problems_of
from .ledger import Ledger, SentJob
from .requests import check_plan, rate_of

if TYPE_CHECKING:
    import pandas as pd

    from .._client.client import Client

__all__ = ["BatchComparison", "compare_by_batch", "rates_of"]

POLL_S = (0.2, 30.0)
"""`collect(wait=)` looks after so many seconds first, and at most."""
_LATER = Judged(None, None, "not judged: the answer came after the others were")


class BatchComparison(Comparison):
    """A comparison by batch jobs. `batches` has a row for each job, `collect` fetches what has ended.

    The answers that are here make the same frame as those of single calls: times are NA, ``cost_source`` is
    ``prices``, and ``params`` names the ``batch_id`` and the ``batch_rate``.

        comparison = bf.compare(["openai/gpt-4o-mini"], "Name a {{x}}.", inputs={"x": ["bird"]}, mode="batch")
        comparison.batches
        comparison.collect(wait=60)
    """

    def __init__(
        self,
        plan: Plan,
        results: Mapping[str, Run],
        jobs: Sequence[SentJob],
        client: Client,
        scorers: Mapping[str, ScorerFunction],
        notes: Sequence[str] = (),
        *,
        reused: Collection[str] | None = None,
        max_cost_usd: float | None = None,
        fresh: bool = False,
    ) -> None:
        """`reused` are the trials whose results were in the run log before (None: all). What the answers leave of
        `max_cost_usd` is for judging, which asks anew what the log has if `fresh`."""
        self._reused = frozenset(results if reused is None else reused)
        self._max_cost_usd, self._fresh = max_cost_usd, fresh
        super().__init__(plan, results, _progress(plan, results, reused=len(self._reused)), client)
        self._jobs, self._scorers = list(jobs), dict(scorers)
        self._results = dict(results)
        self.notes += notes
        self._own_notes = [note for note in self.notes if note not in problems_of(jobs)]

    @property
    def pending(self) -> int:
        """How many trials are in jobs that are not over."""
        waiting = {cell for job in self._jobs if job.over is None for cell in job.cells}
        return len(waiting & {trial.trial_id for trial in self.plan.trials} - self._results.keys())

    @property
    def batches(self) -> pd.DataFrame:
        """A row for each job, as far as the gateway told when it was last asked.

        Columns: ``batch_id``, ``deployment`` (the variant), ``status`` (the provider's word; ``sending``: not known
        whether it arrived), ``requests``, ``completed``, ``failed``, ``submitted_at``, ``expires_at``,
        ``cost_low_usd``, ``cost_high_usd`` (by the list price and ``batch_rate``), ``batch_rate``, ``problem``.
        """
        import pandas as pd

        rows = [_row(job) for job in self._jobs]
        frame = pd.DataFrame(rows, columns=list(_COLUMNS))
        for name in ("submitted_at", "expires_at"):
            frame[name] = pd.to_datetime(pd.array(frame[name].tolist(), dtype="Float64"), unit="s", utc=True).astype(
                "datetime64[us, UTC]"
            )
        return frame.astype({name: dtype for name, dtype in _COLUMNS.items() if dtype})

    def collect(self, wait: float = 0.0) -> Self:
        """Fetch what has ended, waiting up to `wait` seconds for it; returns this comparison.

            batch.collect(wait=60).frame

        What was collected is in the run log: after that it is found there by the same call of `compare`, and no job is
        fetched twice. An interrupt ends the wait; nothing is lost by it. Raises ConfigurationError for one out of a
        file, which has no client.
        """
        patience = number(wait)
        if patience is None or not 0 <= patience < 1e7:
            raise ConfigurationError(f"collect takes seconds to wait from 0 on, not {quoted(wait)}.")
        give_up, pause = time.monotonic() + patience, POLL_S[0]
        while True:
            self._collect()
            left = give_up - time.monotonic()
            if not self.pending or left <= 0:
                return self
            time.sleep(min(pause, left))
            pause = min(1.5 * pause, POLL_S[1])

    def _collect(self) -> None:
        client, plan = self._client, self.plan
        if client is None:
            raise ConfigurationError(
                "A comparison out of a file has no client to collect with.", hint="Run the cell again: it collects."
            )
        held = {run.run_id for run in self._results.values()}  # whole, which those of the log may not be
        known = not_older(recorded(plan, client.log), self._jobs)
        self._results |= {cell: run for cell, run in known.items() if run.run_id not in held}
        found, problems = collected(client, plan, self._jobs, self._results)
        self._results |= found
        if {run.run_id for run in self._results.values()} != held:
            self._take()
        self.notes[:] = [*self._own_notes, *problems]

    def _take(self) -> None:
        """The answers that are here now, with what was judged of them before."""
        known, runs, notes = self.judged(), self._judge_runs, self.judge_notes
        progress = _progress(self.plan, self._results, reused=len(self._reused))
        super().__init__(self.plan, self._results, progress, self._client)
        self._scores = {name: [judged.get(run.run_id, _LATER) for run in self.runs] for name, judged in known.items()}
        self._judge_runs, self.judge_notes = runs, notes
        self.judge_collected()

    def judge_collected(self) -> None:
        """Once no answer is missing any more, the scorers of the call. What a judge graded before is not paid again."""
        from .._compare.judge_calls import JudgeCalls

        if not self._scorers or not self.runs or self.pending:
            return
        left = None
        if self._max_cost_usd is not None:
            new = (run.cost_usd or 0.0 for cell, run in self._results.items() if cell not in self._reused)
            left = self._max_cost_usd - sum(new)
        self.judge_answers(self._scorers, JudgeCalls(self._client, of=self.id, max_cost_usd=left, fresh=self._fresh))

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_scorers": {}}

    def __repr__(self) -> str:
        if not self._jobs:
            return super().__repr__()
        card = f"{self._sentence()}\n\n{plain(self._shown().to_string(index=False))}"
        return f"{card}\n\n{super().__repr__()}" if self.runs else "\n".join([card, *map(plain, self.notes)])

    def _repr_html_(self) -> str:
        from .._display.html import note, table, text

        if not self._jobs:
            return super()._repr_html_()
        shown = self._shown()
        rows = table(shown.itertuples(index=False), list(shown.columns), label="Batch jobs")
        card = f"<div><div><b>{text(self._sentence())}</b></div>{rows}</div>"
        if self.runs:
            return f"<div>{card}{super()._repr_html_()}</div>"
        return f"<div>{card}{''.join(note(plain(each)) for each in self.notes)}</div>"

    def _sentence(self) -> str:
        frame, total = self.batches, len(self.plan.trials)
        low, high = frame["cost_low_usd"], frame["cost_high_usd"]
        cost = "cost unknown"
        if not low.isna().any() and not high.isna().any():
            cost = f"{amount(float(low.sum()), 'cost_usd')} to {amount(float(high.sum()), 'cost_usd')}"
        rates = sorted(set(frame["batch_rate"]))
        said = f"{len(frame):,} batch {'job' if len(frame) == 1 else 'jobs'}, {cost} at "
        said += " and ".join(f"{rate:.0%}" for rate in rates) + " of the list price; "
        said += f"{len(self.runs):,} of {total:,} answers are here"
        if not self.pending:
            return said + "."
        return (
            f"{said}, {self.pending:,} under way. To fetch them call .collect() or run this cell again, also tomorrow "
            "and in another kernel."
        )

    def _shown(self) -> pd.DataFrame:
        shown = self.batches[["batch_id", "deployment", "status", "requests", "completed", "failed", "expires_at"]]
        shown = shown.assign(problem=self.batches["problem"]) if self.batches["problem"].notna().any() else shown
        shown = shown.astype(object).where(shown.notna(), "–")
        return shown.map(lambda value: plain(str(value), 200))


_COLUMNS = {
    "batch_id": "string", "deployment": "string", "status": "string", "requests": "Int64", "completed": "Int64",
    "failed": "Int64", "submitted_at": None, "expires_at": None, "cost_low_usd": "Float64",
    "cost_high_usd": "Float64", "batch_rate": "Float64", "problem": "string",
}  # fmt: skip


def _row(job: SentJob) -> dict[str, Any]:
    counts = job.facts.get("request_counts")
    counts = counts if isinstance(counts, dict) else {}
    status = job.facts.get("status") if isinstance(job.facts.get("status"), str) else None
    return {
        "batch_id": job.batch_id,
        "deployment": job.variant,
        "status": job.over or status or ("sending" if job.batch_id is None else "submitted"),
        "requests": len(job.cells),
        "completed": _count(counts.get("completed")),
        "failed": _count(counts.get("failed")),
        "submitted_at": job.at,
        "expires_at": _count(job.facts.get("expires_at")),
        "cost_low_usd": job.cost_low_usd,
        "cost_high_usd": job.cost_high_usd,
        "batch_rate": job.rate,
        "problem": job.problem,
    }


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1e11 else None


def _progress(plan: Plan, results: Mapping[str, Run], *, reused: int) -> Progress:
    failed = sum(run.status != "ok" for run in results.values())
    return Progress(total=len(plan.trials), reused=reused, done=max(0, len(results) - failed - reused), failed=failed)


def rates_of(plan: Plan) -> dict[str, float]:
    """The share of the list price by the variant's name."""
    return {asked.name: rate_of(asked.deployment.partition("/")[0]) for asked in plan.asked}


def compare_by_batch(
    client: Client,
    plan: Plan,
    *,
    scorers: Mapping[str, ScorerFunction],
    max_cost_usd: float | None,
    fresh: bool,
) -> BatchComparison:
    """Collect what has ended, send what is neither answered nor under way, and return at once.

    Raises ConfigurationError before anything is sent.
    """
    ledger = Ledger(client.log)
    check_plan(client, plan)
    cells = [trial.trial_id for trial in plan.trials]
    with resumed([plan], client, fresh=fresh) as found:
        notes = list[str]()
        if found.interrupted:
            raise ComparisonInterrupted(BatchComparison(plan, found.done, [], client, scorers))
        known = [] if fresh else [job for job in ledger.jobs_of(work.gateway_of(client), cells) if job.over is None]
        done, began = not_older(found.done, known), time.time()
        reused = list(done)
        try:
            if known:
                new, notes = collected(client, plan, known, done)
                done |= new
            under_way = {cell for job in known if job.over is None for cell in job.cells}
            missing = [trial for trial in plan.trials if trial.trial_id not in done and trial.trial_id not in under_way]
            sent: list[SentJob] = []
            if missing:
                costs = _costs(client, plan, missing, max_cost_usd)
                sent, more = client.run_on_loop(work.submit(client, plan, missing, ledger, costs))
                notes += more
        except KeyboardInterrupt:
            jobs = [job for job in ledger.jobs_of(work.gateway_of(client), cells) if job.over is None]
            jobs = [job for job in jobs if job.at >= began] if fresh else jobs
            raise ComparisonInterrupted(BatchComparison(plan, done, jobs, client, scorers)) from None
    comparison = BatchComparison(
        plan, done, [*known, *sent], client, scorers, notes, reused=reused, max_cost_usd=max_cost_usd, fresh=fresh
    )
    comparison.judge_collected()
    return comparison


def _costs(
    client: Client, plan: Plan, missing: Sequence[Any], max_cost_usd: float | None
) -> dict[str, tuple[Any, Any]]:
    """Least and most that `missing` costs, by the variant's name. Raises ConfigurationError above `max_cost_usd`."""
    wanted = {trial.trial_id for trial in missing}
    others = {trial.trial_id: None for trial in plan.trials if trial.trial_id not in wanted}
    estimate = estimated(client, plan, others, batch_rates=rates_of(plan), count=False)
    frame = estimate.frame.astype(object).where(estimate.frame.notna(), None)
    if max_cost_usd is not None:
        cost = estimate.cost_range_usd
        if cost is None or cost[1] > max_cost_usd:
            most = "unknown" if cost is None else f"up to {amount(cost[1], 'cost_usd')}"
            raise ConfigurationError(
                f"Nothing was sent: the cost of the batch is {most}, and max_cost_usd={max_cost_usd:g}. A batch cannot "
                "be stopped halfway.",
                hint="Set max_tokens lower, send less, or leave max_cost_usd out.",
            )
    costs = zip(frame["cost_low_usd"], frame["cost_high_usd"], strict=True)
    return dict(zip([asked.name for asked in plan.asked], costs, strict=True))
