"""Which batch jobs were sent, beside the run log: ``<log>.batches``, a line of JSON for each thing that happened.

A job's first line, ``sending``, is on disk before the job leaves; so whatever ends this process, the next one knows
which trials may be paid for already. ``sent`` adds the provider's id; ``over`` says that nothing of it is waited for
any more. No prompt, answer or key stands here.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from .._compare.identity import address_of
from .._runs.log.append import Appender
from .._runs.log.blocks import blocks, parts
from .._runs.log.log import RunLog
from .._runs.run import new_id
from ..errors import ConfigurationError

__all__ = ["Ledger", "SentJob"]


@dataclass(slots=True, kw_only=True)
class SentJob:
    """A batch job, as far as it is known here."""

    job: str = field(default_factory=new_id)
    """Our own name of it, which OpenAI and Azure keep with it as metadata."""
    gateway: str
    variant: str
    deployment: str
    model: str
    """The provider's name, which its requests have."""
    kind: str
    rate: float
    cells: list[str]
    """The trials in it; their identities are the ``custom_id`` of its requests."""
    at: float = field(default_factory=time.time)
    """When it was sent, in seconds since 1970."""
    cost_low_usd: float | None = None
    cost_high_usd: float | None = None
    """What all of it costs at least and at most, by the list price and the batch rate; None where unknown."""
    batch_id: str | None = None
    over: str | None = None
    """Why nothing of it is waited for: ``collected``, or what became of it."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the gateway last said of it. Not written."""
    problem: str | None = None
    """Why it could not be asked for just now. Not written."""

    @property
    def provider(self) -> str:
        return self.deployment.partition("/")[0]

    @property
    def started_at(self) -> datetime:
        """When its answers count as asked."""
        return datetime.fromtimestamp(self.at, UTC)


_WRITTEN = (
    "job",
    "gateway",
    "variant",
    "deployment",
    "model",
    "kind",
    "rate",
    "cells",
    "at",
    "cost_low_usd",
    "cost_high_usd",
)


class Ledger:
    """The jobs of one run log. Raises ConfigurationError where that is off: they would be lost with the kernel."""

    def __init__(self, log: RunLog) -> None:
        if log.path is None:
            raise ConfigurationError(
                "mode='batch' needs the run log, which remembers the jobs until they are collected; it is off.",
                hint="Set BIFROST_RUN_LOG to a file, or pass client=bf.Client(log=bf.RunLog('runs.jsonl')).",
            )
        self.path: Path = log.path.with_name(log.path.name + ".batches")
        self._appender = Appender(self.path)

    def sending(self, job: SentJob) -> None:
        """Before a job leaves. Raises LogError: then nothing may be sent."""
        self._write({"state": "sending", **{name: getattr(job, name) for name in _WRITTEN}})

    def sent(self, job: SentJob, batch_id: str) -> None:
        job.batch_id = batch_id
        self._write({"state": "sent", "job": job.job, "batch_id": batch_id})

    def over(self, job: SentJob, why: str) -> None:
        job.over = why
        self._write({"state": "over", "job": job.job, "why": why})

    def _write(self, line: Mapping[str, Any]) -> None:
        self._appender.append(orjson.dumps(line) + b"\n")

    def jobs_of(self, gateway: str, cells: Iterable[str]) -> list[SentJob]:
        """The jobs of `gateway` that hold some of `cells`, oldest first, over or not. Damaged lines are passed over."""
        wanted, here = set(cells), address_of(gateway)  # its address may have been written otherwise, as for identities
        held = [job for job in self._read().values() if not wanted.isdisjoint(job.cells)]
        return [job for job in held if address_of(job.gateway) == here]

    def ids_of_others(self, job: SentJob) -> set[str]:
        """The provider's ids of all jobs but `job`."""
        return {other.batch_id for other in self._read().values() if other.batch_id and other.job != job.job}

    def _read(self) -> dict[str, SentJob]:
        found: dict[str, SentJob] = {}
        if not self.path.exists():
            return found
        for block in blocks(self.path):
            # Where a line end was lost, each of the jobs on a line counts: none must be paid for twice.
            for part in (part for line in block.data.splitlines() for part in parts(line, b'{"state":')):
                try:
                    told = orjson.loads(part)
                    state, name = told["state"], str(told["job"])
                    if state == "sending":
                        job = SentJob(**{key: told.get(key) for key in _WRITTEN})
                        job.cells = [str(cell) for cell in told["cells"]]
                        job.at, job.rate = float(told["at"]), float(told["rate"])
                        if all(isinstance(getattr(job, key), str) for key in _WRITTEN[:6]):
                            address_of(job.gateway)  # raises ValueError where it cannot be one
                            found[name] = job
                    elif state == "sent" and name in found:
                        found[name].batch_id = str(told["batch_id"])
                    elif state == "over" and name in found:
                        found[name].over = str(told["why"])
                except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
                    continue
        return found
