"""One of our runs beside the gateway's rows of all its attempts, and the columns of `Reconciliation.joined`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from .._runs.columns import Column
from .._runs.late_facts import row_tells_part_of_latency
from .._runs.run import Run

__all__ = ["JOINED", "LoggedRun"]


@dataclass(slots=True)
class LoggedRun:
    """One of our runs and the gateway's rows of all its attempts."""

    run: Run
    rows: list[Run] = field(default_factory=list)

    @property
    def last(self) -> list[Run]:
        """The rows of the last attempt: the primary's and its fallbacks'."""
        return [row for row in self.rows if row.request_id == self.run.request_id]

    @property
    def served(self) -> Run:
        """The row that answered; where none did, the last that tried."""
        rows = sorted(self.last or self.rows, key=lambda row: row.fallback_index or 0)
        return next((row for row in rows if row.status == "ok"), rows[-1])

    @property
    def has_the_answer(self) -> bool:
        """Whether an answered run has its row: that of a failed attempt says nothing of the answer."""
        return self.run.status != "ok" or self.served.status == "ok"

    @property
    def cost_usd(self) -> float | None:
        """What all attempts cost together: a retry or a failed primary may be billed, too.

        Unknown where that of the answer is, or its row is missing: the others alone would be too little. So it is
        where the gateway ran tools between calls of the model (`late_facts.is_one_of_several`): the row has the tokens
        of one.
        """
        served = self.served
        if not self.has_the_answer:
            return None
        # Both: Gemini's thinking is in one more count of ours (1.4.0), cached tokens are in one less of some SDKs'.
        counts = ((self.run.completion_tokens, served.completion_tokens), (self.run.total_tokens, served.total_tokens))
        part = all(ours and theirs and ours != theirs for ours, theirs in counts)
        if served.status == "ok" and (served.cost_usd is None or part):
            return None
        known = [row.cost_usd for row in self.rows if row.cost_usd is not None]
        return math.fsum(known) if known else None

    @property
    def client_ms(self) -> float | None:
        """Our time of the last attempt, without retries before it and their pauses."""
        attempt = self.run.attempts[-1] if self.run.attempts else None
        if attempt is None or attempt.ended_ms is None:
            return self.run.total_ms
        return attempt.ended_ms - attempt.started_ms

    @property
    def gateway_ms(self) -> float | None:
        """The gateway's time of the last attempt: primary and fallbacks one after the other; None if one is unknown."""
        if row_tells_part_of_latency(self.run) or not self.has_the_answer:
            return None
        known = [row.latency_ms for row in self.last if row.latency_ms is not None]
        tried = max((one.fallback_index or 0 for one in (self.run, *self.last)), default=0) + 1
        return math.fsum(known) if len(known) >= max(tried, len(self.last)) else None

    @property
    def overhead_ms(self) -> float | None:
        """Client minus gateway: the way there and back, and what the gateway does around its own clock.

        Only where both saw the same end: a gateway may work on for seconds on what its client no longer waits for.
        """
        client, gateway = self.client_ms, self.gateway_ms
        ended = self.run.status if self.run.http_status is not None else None
        if client is None or gateway is None or ended not in ("ok", "error") or ended != self.served.status:
            return None
        return client - gateway


JOINED: tuple[Column[LoggedRun], ...] = (
    Column("run_id", "string", lambda pair: pair.run.run_id),
    Column("request_id", "string", lambda pair: pair.run.request_id),
    Column("started_at", "datetime64[us, UTC]", lambda pair: pair.run.started_at),
    Column("deployment", "string", lambda pair: pair.run.requested),
    Column("served", "string", lambda pair: pair.run.served),
    Column("gateway_served", "string", lambda pair: pair.served.served),
    Column("status", "string", lambda pair: pair.run.status),
    Column("gateway_status", "string", lambda pair: pair.served.status),
    Column("attempts", "Int64", lambda pair: len(pair.run.attempts) or None),
    Column("gateway_rows", "Int64", lambda pair: len(pair.rows)),
    Column("prompt_tokens", "Int64", lambda pair: pair.run.prompt_tokens),
    Column("gateway_prompt_tokens", "Int64", lambda pair: pair.served.prompt_tokens),
    Column("completion_tokens", "Int64", lambda pair: pair.run.completion_tokens),
    Column("gateway_completion_tokens", "Int64", lambda pair: pair.served.completion_tokens),
    Column("total_tokens", "Int64", lambda pair: pair.run.total_tokens),
    Column("gateway_total_tokens", "Int64", lambda pair: pair.served.total_tokens),
    Column("cost_usd", "Float64", lambda pair: pair.run.cost_usd),
    Column("cost_source", "string", lambda pair: pair.run.cost_source),
    Column("gateway_cost_usd", "Float64", lambda pair: pair.cost_usd),
    Column("client_ms", "Float64", lambda pair: pair.client_ms),
    Column("gateway_ms", "Float64", lambda pair: pair.gateway_ms),
    Column("overhead_ms", "Float64", lambda pair: pair.overhead_ms),
)
