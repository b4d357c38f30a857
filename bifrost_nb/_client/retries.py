"""Which failed attempts of a call are made again, and after what pause. What that may cost is said by `call_notes`."""

from __future__ import annotations

import random

from .._wire.gateway_errors import is_passing
from ..errors import BifrostError, ConnectionFailed, GatewayError, StreamInterrupted, TimedOut

__all__ = ["GIVEN_UP_ON", "pause_s", "worth_retrying"]

LONGEST_RETRY_AFTER_S = 60.0
"""A provider that asks for a longer pause gets no retry: the caller decides."""
GIVEN_UP_ON = (504, 524)
"""What the gateway, or a proxy before it, answers when it waits no longer for whoever works on the request."""
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.5, 8.0
"""Where the provider names no pause: a random one, up to the first, twice as long after each attempt."""


def worth_retrying(error: BifrostError, received: bool, left_s: float | None) -> bool:
    """Connection failures, 408, 429 and 5xx, also those that the gateway tells as 400, before the first text and inside
    the total limit."""
    if received:
        return False
    if isinstance(error, GatewayError):
        if not is_passing(error):
            return False
        pause = error.retry_after_s or 0.0
        return pause <= LONGEST_RETRY_AFTER_S and (left_s is None or pause < left_s)
    if isinstance(error, TimedOut):
        return error.phase == "connect"
    return isinstance(error, ConnectionFailed | StreamInterrupted)


def pause_s(error: BifrostError, number: int) -> float:
    """Seconds after attempt `number` (from 0): a little more than the provider asks for, else random and growing."""
    asked = getattr(error, "retry_after_s", None)
    if asked is not None:
        return float(asked) + random.uniform(0.0, 0.25)
    return random.uniform(0.0, min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** min(number, 10)))
