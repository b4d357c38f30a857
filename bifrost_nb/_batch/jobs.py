"""Send what is missing as jobs, look after those that are under way, and fetch what has ended. On the private loop.

Nothing is paid for twice: a job is in the ledger before it leaves, its trials are not sent again until it is over, and
a job whose fate is not known (the answer to its sending never came) is looked for at the provider first.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._compare.plan import Plan, Trial
from .._runs.run import Run
from .._safe_text import plain
from ..errors import BifrostError, NotFound
from . import transport
from .ledger import Ledger, SentJob
from .requests import PROVIDERS, chunks, item_of
from .result_line import run_of

if TYPE_CHECKING:
    from .._client.client import Client

__all__ = ["fetch", "gateway_of", "refresh", "submit"]

GRACE_S = 120.0
"""A job that was sent longer ago and is in no list of the provider's never arrived."""
_UNSURE = (
    "it is not known whether this job was made, so its requests are not sent again. Run the cell again in a few "
    "minutes; fresh=True sends them anew."
)


async def _names_of(client: Client, plan: Plan) -> dict[str, str]:
    """The provider's name of each deployment: what the gateway's list says, else the name itself."""
    found = {asked.deployment: asked.deployment.partition("/")[2] for asked in plan.asked}
    try:
        listed = await client.models()
    except BifrostError:
        return found
    for model in listed:
        name = model.get("deployment") or model.get("alias")  # the latter from 1.5.1 on (captured)
        if model.get("id") in found and isinstance(name, str):
            found[str(model["id"])] = name
    return found


async def submit(
    client: Client, plan: Plan, trials: Sequence[Trial], ledger: Ledger, costs: Mapping[str, tuple[Any, Any]]
) -> tuple[list[SentJob], list[str]]:
    """Send `trials` as jobs of one variant each; (jobs, what is to be said). `costs`: of all calls of a variant."""
    names, jobs, notes = await _names_of(client, plan), list[SentJob](), list[str]()
    for asked in plan.asked:
        mine = [trial for trial in trials if trial.asked is asked]
        model, rules = names[asked.deployment], PROVIDERS[asked.deployment.partition("/")[0]]
        for items in chunks(rules, [item_of(client, plan, trial, model) for trial in mine]):
            low, high = (_share(cost, len(items), len(mine)) for cost in costs.get(asked.name, (None, None)))
            job = SentJob(
                gateway=gateway_of(client), variant=asked.name, deployment=asked.deployment, model=model,
                kind=asked.kind, rate=rules.rate, cells=[item["custom_id"] for item, _ in items],
                cost_low_usd=low, cost_high_usd=high,
            )  # fmt: skip
            try:
                await _send(client, job, ledger, items)
            except BifrostError as error:
                notes.append(f"{asked.name} was not sent: {plain(str(error), 600)}")
                break
            jobs.append(job)
    return jobs, notes


def _share(cost: Any, part: int, of: int) -> float | None:
    return None if cost is None else float(cost) * part / of


def gateway_of(client: Client) -> str:
    """Where the jobs of `client` are: the address of its settings."""
    return client.settings.base_url.rstrip("/")


async def _send(client: Client, job: SentJob, ledger: Ledger, items: Sequence[transport.Item]) -> None:
    """Raises BifrostError where the job certainly was not made."""
    file_id = await transport.upload(client, job, items)
    ledger.sending(job)
    try:
        ledger.sent(job, await transport.create(client, job, file_id, items))
    except BifrostError as error:
        if transport.was_refused(error):
            ledger.over(job, "refused")
            raise
        job.problem = f"{plain(str(error), 300)} {_UNSURE[0].upper()}{_UNSURE[1:]}"
        await _settle(client, job, ledger)


async def _settle(client: Client, job: SentJob, ledger: Ledger) -> None:
    """Look for a job whose id never arrived."""
    try:
        found = await transport.find(client, job)
    except BifrostError as error:
        job.problem = f"{plain(str(error), 300)} So {_UNSURE}"
        return
    if len(found) == 1 and isinstance(found[0].get("id"), str):
        ledger.sent(job, found[0]["id"])
        job.facts, job.problem = found[0], None
    elif not found and time.time() - job.at > GRACE_S:
        ledger.over(job, "never arrived")
    else:
        job.problem = (
            f"At {job.provider} {len(found)} jobs may be this one; {_UNSURE}" if found else f"So far {_UNSURE}"
        )


async def refresh(client: Client, jobs: Sequence[SentJob], ledger: Ledger) -> None:
    """What became of jobs that are not over."""
    await asyncio.gather(*(_look(client, job, ledger) for job in jobs if job.over is None))


async def _look(client: Client, job: SentJob, ledger: Ledger) -> None:
    job.problem = None
    if job.batch_id is None:
        await _settle(client, job, ledger)
        if job.batch_id is None:
            return
    try:
        job.facts = await transport.look(client, job)
    except NotFound as error:
        if job.gateway == "demo":  # whose jobs end with its process
            ledger.over(job, "lost")
        else:
            job.problem = (
                f"{plain(str(error), 300)} It may have been made with another key or gateway; "
                "fresh=True sends its requests anew."
            )
    except BifrostError as error:
        job.problem = plain(str(error), 300)


async def fetch(
    client: Client, plan: Plan, jobs: Sequence[SentJob], done: Mapping[str, Run]
) -> list[tuple[SentJob, dict[str, Run]]]:
    """The runs of each job that has ended, by trial, without those of `done`."""
    ended = [job for job in jobs if job.over is None and str(job.facts.get("status")) in transport.ENDED]
    prices = await client.sender().costs.prices() if ended else {}
    trials = {trial.trial_id: trial for trial in plan.trials}
    found = []
    for job in ended:
        try:
            lines = {str(line.get("custom_id")): line for line in await transport.results(client, job)}
        except BifrostError as error:
            job.problem = plain(str(error), 300)
            continue
        if not lines and (answered := _answered(job)):  # paid for: nothing says that they are gone
            job.problem = f"{job.provider} has answers to {answered:,} requests, but gave none of them; collect again."
            continue
        if lines and lines.keys().isdisjoint(job.cells):  # found by time and size, and somebody else's
            job.problem = f"The job {job.batch_id} at {job.provider} holds other requests; {_UNSURE}"
            continue
        if job.facts.get("status") == "failed" and not lines:
            lines = {cell: {"error": _reason(job)} for cell in job.cells}
        missing = [cell for cell in job.cells if cell in trials and cell not in done]
        price = prices.get(job.deployment)
        found.append((job, {cell: run_of(client, plan, trials[cell], job, lines.get(cell), price) for cell in missing}))
    return found


def _answered(job: SentJob) -> int:
    """How many requests of a job were answered, as far as it is told."""
    counts = job.facts.get("request_counts")
    told = counts.get("completed") if isinstance(counts, dict) else None
    return told if isinstance(told, int) else 0


def _reason(job: SentJob) -> str:
    """Why the provider refused a whole job."""
    errors = job.facts.get("errors")
    data = errors.get("data") if isinstance(errors, dict) else None
    said = [str(one.get("message")) for one in data if isinstance(one, dict)] if isinstance(data, list) else []
    return plain("; ".join(said[:3]) or "the provider refused the job", 500)
