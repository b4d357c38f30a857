"""What has come back: the runs of jobs that have ended, and which answers of the log they come in place of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from .._compare.plan import Plan
from .._runs.run import Run
from . import jobs as work
from .ledger import Ledger, SentJob

if TYPE_CHECKING:
    from .._client.client import Client

__all__ = ["collected", "not_older", "problems_of"]


def not_older(answers: Mapping[str, Run], jobs: Iterable[SentJob]) -> dict[str, Run]:
    """`answers` without those that were there before one of `jobs` asked the same anew (``fresh=True``)."""
    asked_at = {cell: job.started_at for job in sorted(jobs, key=lambda job: job.at) for cell in job.cells}
    return {
        cell: run
        for cell, run in answers.items()
        if cell not in asked_at or (run.started_at is not None and run.started_at >= asked_at[cell])
    }


def collected(
    client: Client, plan: Plan, jobs: Sequence[SentJob], done: Mapping[str, Run]
) -> tuple[dict[str, Run], list[str]]:
    """The runs of jobs that have ended, recorded; and what is to be said of the others."""
    ledger, found = Ledger(client.log), dict[str, Run]()
    client.run_on_loop(work.refresh(client, jobs, ledger))
    for job, runs, is_whole in client.run_on_loop(work.fetch(client, plan, jobs, done)):
        for run in runs.values():
            client.record(run)  # raises LogError: then the job stays what it is, and is fetched again
        found |= runs
        if not is_whole:  # `problem` says why; the rest may still come
            continue
        if set(job.cells) <= {trial.trial_id for trial in plan.trials}:
            ledger.over(job, "collected")
        else:  # a part of it belongs to another comparison, which fetches the rest
            job.problem = None
    return found, problems_of(jobs)


def problems_of(jobs: Iterable[SentJob]) -> list[str]:
    """What is to be said of jobs just now."""
    return [f"{job.variant}: {job.problem}" for job in jobs if job.problem]
