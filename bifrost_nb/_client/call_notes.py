"""What a finished run says of its gateway's limits and of what else may have been billed.

The texts say nothing of the single run, so that a comparison shows each of them once. Measured on gateways 1.3.63,
1.4.0, 1.4.18, 1.5.1, 1.5.16 and 2.0.0-prerelease3; of the versions between, nothing is said.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from .._runs.collector import HELD_BACK
from .._runs.run import Attempt, Run

__all__ = ["BILLED_TWICE", "CANCEL_NOT_PASSED_ON", "EXTRA_DROPPED", "is_shared", "notes_for"]

EXTRA_DROPPED = "The gateway is of a version that drops extra= in silence (up to 1.4.0): no provider saw it."
CANCEL_NOT_PASSED_ON = (
    "The gateway is of a version that does not pass a cancel on (1.5.1 and before): the provider goes on writing, and "
    "bills what nobody reads."
)
BILLED_TWICE = (
    "An earlier attempt reached the gateway, which closed the connection without an answer; it was sent again, and "
    "both may be billed."
)
_SHARED = frozenset({EXTRA_DROPPED, CANCEL_NOT_PASSED_ON, BILLED_TWICE, HELD_BACK})


def is_shared(note: str) -> bool:
    """Whether a note is of the gateway rather than of one run: a comparison shows it once for all."""
    return note in _SHARED


def notes_for(run: Run) -> list[str]:
    """The notes of a run whose status and gateway version are known as far as they will be."""
    version = _version(run.gateway_version)
    notes = []
    if version is not None and version <= (1, 4, 0) and run.params.get("extra"):
        notes.append(EXTRA_DROPPED)
    left = run.status == "cancelled" or (run.status == "timeout" and any(one.taken for one in run.attempts[-1:]))
    if version is not None and version <= (1, 5, 1) and left:
        notes.append(CANCEL_NOT_PASSED_ON)
    if _billed_before(run.attempts):
        notes.append(BILLED_TWICE)
    return notes


def _billed_before(attempts: Sequence[Attempt]) -> bool:
    """Whether an attempt before the last was taken and not answered; `note_broken_off` tells of those answered."""
    return any(attempt.taken and attempt.http_status is None for attempt in attempts[:-1])


def _version(text: str | None) -> tuple[int, ...] | None:
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", text or "")
    return None if found is None else tuple(map(int, found.groups()))
