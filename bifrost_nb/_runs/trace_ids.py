"""The ids that a run has in distributed tracing, from its `run_id` alone: what is sent and what is exported agree.

The trace's is the run's own without the dashes, so that either is found by the other; all attempts of a run are in it.
"""

from __future__ import annotations

import re
from hashlib import sha256

__all__ = ["span_id", "trace_id", "traceparent"]


def trace_id(run_id: str) -> str:
    """32 hexadecimal digits, not all zero."""
    found = run_id.replace("-", "").lower()
    if not re.fullmatch("[0-9a-f]{32}", found) or not int(found, 16):
        found = sha256(run_id.encode()).hexdigest()[:32]
    return found


def span_id(run_id: str) -> str:
    """16 hexadecimal digits, not all zero: the span of the whole call."""
    return sha256(f"span of {run_id}".encode()).hexdigest()[:16]


def traceparent(run_id: str) -> str:
    """The W3C header that makes what the gateway does for this run a child of its span."""
    return f"00-{trace_id(run_id)}-{span_id(run_id)}-01"
