"""What the embedded gateway remembers: each request as it arrived, and the rows of its own log.

Times are those of this process: `time.monotonic()` and `time.time()`, in seconds, so that tests on the same machine
can compare clocks.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["LogRow", "LogStore", "RequestRecord", "RequestRecorder"]

_MOST = 50_000
"""Requests and log rows kept; the oldest go first, so that memory stays bounded."""


@dataclass(slots=True, kw_only=True)
class RequestRecord:
    """One request. Times in seconds: `*_at` monotonic, `*_time` wall clock; None where it has not happened."""

    id: str
    received_at: float = field(default_factory=time.monotonic)
    received_time: float = field(default_factory=time.time)
    method: str
    path: str
    raw_path: str
    query: dict[str, str]
    headers: dict[str, str]
    connection: str
    """``host:port`` of the client's end: the same for two requests on one connection."""
    body: Any = None
    """JSON as parsed, other content as text."""
    deployment: str | None = None
    served: str | None = None
    """``provider/model`` that answered."""
    attempts: list[str] = field(default_factory=list)
    status: int | None = None
    headers_at: float | None = None
    first_text_at: float | None = None
    chunk_times: list[float] = field(default_factory=list)
    """Monotonic time at which each chunk was handed to the connection."""
    chunks: int = 0
    bytes: int = 0
    ended_at: float | None = None
    """The answer was sent completely."""
    disconnected_at: float | None = None
    disconnected_time: float | None = None
    dropped_at: float | None = None
    """This gateway ended the connection, by script."""


class RequestRecorder:
    """The requests received, oldest first."""

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled
        self.records: deque[RequestRecord] = deque(maxlen=_MOST)

    def add(self, record: RequestRecord) -> None:
        if self.enabled:
            self.records.append(record)

    def dump(self, start: int = 0) -> list[dict[str, Any]]:
        return [asdict(record) for record in list(self.records)[start:]]


@dataclass(slots=True, kw_only=True)
class LogRow:
    """One row of the gateway's log, as `/api/logs` shows it; visible from `written_at` (monotonic) on."""

    written_at: float
    timestamp: float
    """Wall clock, seconds."""
    facts: dict[str, Any]

    @property
    def tokens(self) -> int:
        """All tokens of the row."""
        return int((self.facts.get("token_usage") or {}).get("total_tokens") or 0)


class LogStore:
    """The gateway's own log, newest last."""

    def __init__(self) -> None:
        self.rows: dict[str, LogRow] = {}
        self._batch_end = 0.0

    def next_batch(self, now: float, interval_s: float) -> float:
        """When a row that is known at `now` gets written: with the open batch, or a new one `interval_s` later."""
        if now >= self._batch_end:
            self._batch_end = now + interval_s
        return self._batch_end

    def add(self, row: LogRow) -> None:
        self.rows[row.facts["id"]] = row
        if len(self.rows) > _MOST:
            del self.rows[next(iter(self.rows))]

    def get(self, row_id: str) -> LogRow | None:
        """The row; None until it is written."""
        row = self.rows.get(row_id)
        return row if row is not None and row.written_at <= time.monotonic() else None

    def written(self) -> list[LogRow]:
        """All rows that are written by now."""
        now = time.monotonic()
        return [row for row in self.rows.values() if row.written_at <= now]
