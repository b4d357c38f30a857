"""Send what is missing as jobs, look after those that are under way, and fetch what has ended. On the private loop.

Nothing is paid for twice: a job is in the ledger before it leaves, its trials are not sent again until it is over, and
a job whose fate is not known (the answer to its sending never came) is looked for at the provider first.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .._compare.plan import Plan, Trial
from .._runs.run import Run
from .._safe_text import plain
from .._wire.gateway_errors import TryAgain
from ..errors import BifrostError, NotFound
from . import transport
from .ledger import Ledger, SentJob
from .requests import PROVIDERS, chunks, item_of
from .result_line import is_answer, run_of

if TYPE_CHECKING:
    from .._client.client import Client

__all__ = ["fetch", "gateway_of", "refresh", "submit"]

GRACE_S = 120.0
"""A job that was sent longer ago and is in no list of the provider's never arrived."""
_UNSURE = (
    "it is not known whether this job was made, so its requests are not sent again. Run the cell again in a few "
    "minutes; fresh=True sends them anew."
)
_UNTIL = "ended; until then its requests are not sent again. Run the cell again later; fresh=True sends them anew."
_OTHER_KEY = (
    "The gateway may have uploaded the file with one of its keys and made the job with another: run the cell again, or "
    "mark one key alone for batches there."
)
"""With two keys each second job is refused so, where these do not share their files (1.3.63 to 2.0.0-prerelease3)."""
_GONE = "It may have been deleted, or made with another key or gateway; fresh=True sends its requests anew."


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
                left = len(mine) - sum(len(one.cells) for one in jobs if one.variant == asked.name)
                part = f": {left:,} of {len(mine):,} requests" if left < len(mine) else " was"
                notes.append(f"{asked.name}{part} not sent: {_said(error, 'Run the cell again to send it.')}")
                break
            jobs.append(job)
            if job.batch_id is not None and job.problem:  # it was made several times, which no later look tells
                notes.append(f"{asked.name}: {job.problem}")
                job.problem = None
    return jobs, notes


def _said(error: BifrostError, again: str) -> str:
    """An error with what to do, which for a single call is to name a fallback."""
    hint = error.hint or again
    return f"{plain(error.message, 500)} {again if isinstance(hint, TryAgain) else plain(hint, 300)}"


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
            if file_id is not None and file_id in error.message:
                error.hint = _OTHER_KEY
            raise
        job.problem = f"{plain(error.message, 300)} {_UNSURE[0].upper()}{_UNSURE[1:]}"
        await _settle(client, job, ledger)


async def _settle(client: Client, job: SentJob, ledger: Ledger) -> None:
    """Look for a job whose id never arrived."""
    try:
        listed, is_whole = await transport.find(client, job)
    except BifrostError as error:
        job.problem = f"{plain(error.message, 300)} So {_UNSURE}"
        return
    others = ledger.ids_of_others(job)
    found = [one for one in listed if one["id"] not in others]
    surely = PROVIDERS[job.provider].by_file
    if not surely:
        held = [(one, await _holds(client, job, one)) for one in found]
        ours = [one for one, holds in held if holds]
        found, surely = ours or [one for one, holds in held if holds is None], bool(ours)
    if found and surely:
        job.facts, *surplus = sorted(found, key=lambda one: (str(one.get("created_at")), one["id"]))
        ledger.sent(job, job.facts["id"])
        job.problem = _repeated(job, [one["id"] for one in surplus]) if surplus else None
    elif not found and is_whole and time.time() - job.at > GRACE_S:
        ledger.over(job, "never arrived")
    elif found:
        may_be = "1 job" if len(found) == 1 else f"{len(found):,} jobs"
        job.problem = f"{may_be} at {job.provider} may be this one, which shows when {_UNTIL}"
    else:
        job.problem = (
            f"So far {_UNSURE}" if is_whole else f"The gateway lists only some of {job.provider}'s jobs; {_UNSURE}"
        )


async def _holds(client: Client, job: SentJob, one: dict[str, Any]) -> bool | None:
    """Whether a job of the provider's holds requests of `job`; None where that does not show.

    It shows when it has ended; where Gemini does not hand back their names, the gateway makes up ``request-0``.
    """
    candidate = replace(job, batch_id=one["id"])
    try:
        candidate.facts = await transport.look(client, candidate)
        if str(candidate.facts.get("status")) not in transport.ENDED:
            return None
        lines = await transport.results(client, candidate)
    except BifrostError:
        return None
    names = {name for line in lines if not (name := str(line.get("custom_id"))).startswith("request-")}
    return not names.isdisjoint(job.cells) if names else None


def _repeated(job: SentJob, surplus: Sequence[str]) -> str:
    """Gateways send a request again whose connection broke: 1.4.18 twice, 2.0.0-prerelease3 four times (measured)."""
    return (
        f"The gateway sent this job {len(surplus) + 1} times to {job.provider}, which takes payment for each. One is "
        f"collected; cancel the others there: {plain(', '.join(surplus), 300)}."
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
            job.problem = f"{plain(error.message, 300)} {_GONE}"
    except BifrostError as error:
        job.problem = _said(error, "Collect again.")


async def fetch(
    client: Client, plan: Plan, jobs: Sequence[SentJob], done: Mapping[str, Run]
) -> list[tuple[SentJob, dict[str, Run], bool]]:
    """The runs of each job that has ended, by trial, without those of `done`; and whether no more are to come."""
    ended = [job for job in jobs if job.over is None and str(job.facts.get("status")) in transport.ENDED]
    prices = await client.sender().costs.prices() if ended else {}
    trials = {trial.trial_id: trial for trial in plan.trials}
    found = []
    for job in ended:
        try:
            lines = _by_request(await transport.results(client, job))
        except NotFound as error:
            job.problem = f"{plain(error.message, 300)} {_GONE}"
            continue
        except BifrostError as error:
            job.problem = _said(error, "Collect again.")
            continue
        if lines and lines.keys().isdisjoint(job.cells):  # found by time and size, and somebody else's
            job.problem = f"The job {plain(job.batch_id or '', 80)} at {job.provider} holds other requests; {_UNSURE}"
            continue
        if job.facts.get("status") == "failed" and not lines and not _answered(job):
            lines = {cell: {"error": {"message": _reason(job)}} for cell in job.cells}
        is_whole = not _lacks_answers(job, lines)
        missing = [cell for cell in job.cells if cell in trials and cell not in done and (is_whole or cell in lines)]
        price = prices.get(job.deployment)
        runs = {cell: run_of(client, plan, trials[cell], job, lines.get(cell), price) for cell in missing}
        found.append((job, runs, is_whole))
    return found


def _by_request(lines: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The line of each request; of several the first that is an answer."""
    found: dict[str, dict[str, Any]] = {}
    for line in lines:
        name = str(line.get("custom_id"))
        if name not in found or (is_answer(line) and not is_answer(found[name])):
            found[name] = line
    return found


def _lacks_answers(job: SentJob, lines: Mapping[str, dict[str, Any]]) -> bool:
    """Whether the provider says that it answered, and so is paid for, more than `lines` hold; then `problem` says so.

    Once a part of them is here, the rest comes at most in a file, and soon after the job ended.
    """
    told, here = _answered(job), [cell for cell in job.cells if cell in lines]
    answers = sum(is_answer(lines[cell]) for cell in here)
    if len(here) == len(job.cells) or answers >= told:
        return False
    if answers and not (PROVIDERS[job.provider].by_file and _ended_just_now(job)):
        return False
    requests = "1 request" if told == 1 else f"{told:,} requests"
    job.problem = f"{job.provider} has answers to {requests}, but gave {answers or 'none'} of them; collect again."
    return True


def _answered(job: SentJob) -> int:
    """How many requests of a job were answered, as far as it is told."""
    counts = job.facts.get("request_counts")
    completed, failed = (counts.get(name) if isinstance(counts, dict) else None for name in ("completed", "failed"))
    if not isinstance(completed, int):
        return 0
    # Of Gemini's the gateway counts those that failed among the completed (2.0.0-prerelease3, measured).
    return completed - failed if job.provider == "gemini" and isinstance(failed, int) else completed


def _ended_just_now(job: SentJob) -> bool:
    told = (job.facts.get(f"{name}_at") for name in ("completed", "expired", "cancelled", "failed"))
    ended = next((moment for moment in told if isinstance(moment, int | float) and moment > 0), None)
    return ended is None or time.time() - ended < GRACE_S


def _reason(job: SentJob) -> str:
    """Why the provider refused a whole job."""
    errors = job.facts.get("errors")
    data = errors.get("data") if isinstance(errors, dict) else None
    said = [str(one.get("message")) for one in data if isinstance(one, dict)] if isinstance(data, list) else []
    return plain("; ".join(said[:3]) or "the provider refused the job", 500)
