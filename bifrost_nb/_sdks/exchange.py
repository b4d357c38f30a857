"""`Exchange`: one request of an SDK and what came back, as it passed by. Nothing is read here, only kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from .._runs.run import new_id
from .._wire.metadata import LowerNames

__all__ = ["KEPT_BYTES", "Exchange"]

KEPT_BYTES = 64 * 1024 * 1024
"""Of a longer answer (a video, say) only size and times are kept."""


@dataclass(slots=True)
class Exchange:
    """One attempt. Times in ms since `began`, which is of the monotonic clock."""

    path: str
    """Below the gateway's address, percent-encoded, without query."""
    question: bytes
    """The request's body; empty where it is read from a file while it is sent."""
    run_id: str = field(default_factory=new_id)
    """Of the run that it becomes; its trace is named after it."""
    asked: Callable[[], Iterable[tuple[str | bytes, str | bytes]]] = field(default=tuple, repr=False)
    """The headers that the SDK sends, the keys among them: read when the call has ended, and not kept."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """What none of its texts may hold; known when it has been read."""
    request_id: str = field(default_factory=new_id)
    tags: dict[str, Any] = field(default_factory=dict)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    began: float = field(default_factory=time.monotonic)
    status: int | None = None
    raw_headers: Iterable[tuple[bytes, bytes]] = ()
    """Of the answer."""
    _headers: LowerNames | None = None
    blocks: list[tuple[float, bytes]] = field(default_factory=list)
    """The body as it came, each block with its arrival."""
    size: int = 0
    ended_ms: float | None = None
    """When it was seen to end."""
    over: bool = False
    """Recorded already, or not to be recorded."""
    exhausted: bool = False
    """The body came to its own end, rather than being closed by the SDK."""
    failure: BaseException | None = None
    dropped: int = 0
    """Comment lines that the SDK was not given."""

    def now_ms(self) -> float:
        return 1000 * (time.monotonic() - self.began)

    def head(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """The answer's status and raw headers."""
        self.status, self.raw_headers, self._headers = status, headers, None

    @property
    def headers(self) -> LowerNames:
        """Those of the answer by name; read when they are first asked for, as a rule once the call has ended."""
        if self._headers is None:
            self._headers = LowerNames.of(self.raw_headers)
        return self._headers

    def take(self, block: bytes) -> None:
        """A block of the body has arrived."""
        if self.over:
            return
        self.size += len(block)
        if self.size <= KEPT_BYTES:
            self.blocks.append((1000 * (time.monotonic() - self.began), block))
        else:
            self.blocks.clear()

    @property
    def too_long(self) -> bool:
        """Whether the body was not kept."""
        return self.size > KEPT_BYTES
