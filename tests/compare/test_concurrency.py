"""Lanes: wider on success, half as wide on 429, never before the time a provider names."""

from __future__ import annotations

import pytest

from bifrost_nb._compare.concurrency import LONGEST_PAUSE_S, ConcurrencyLimiter


def filled(lane: ConcurrencyLimiter, now: float) -> int:
    """Start as many calls as the lane lets through at `now`."""
    count = 0
    while lane.wait_s(now) == 0:
        lane.started(now)
        count += 1
    return count


def test_starts_at_what_was_asked_and_never_exceeds_it() -> None:
    """Success keeps a lane at its ceiling, not above."""
    lane = ConcurrencyLimiter(8)
    assert filled(lane, 0) == 8
    assert lane.wait_s(0) is None
    for _ in range(100):
        lane.ended()
        lane.succeeded()
        lane.started(0)
    assert lane.limit == 8


def test_one_burst_of_refusals_halves_once() -> None:
    """Calls that were in flight together count as one setback; a later one halves again."""
    lane = ConcurrencyLimiter(16)
    filled(lane, 0)
    for _ in range(16):
        lane.ended()
        lane.throttled(1, 0)
    assert (lane.limit, lane.setbacks) == (8, 1)
    lane.throttled(60, 50)
    assert (lane.limit, lane.setbacks) == (4, 2)
    for start in range(100, 900, 100):
        lane.throttled(start + 1, start)
    assert lane.limit == 1


def test_grows_back_by_one_per_round_of_answers() -> None:
    """From 4, four answers widen to about 5, and enough of them back to the ceiling."""
    lane = ConcurrencyLimiter(16)
    lane.limit = 4
    for _ in range(4):
        lane.succeeded()
    assert lane.limit == pytest.approx(5, abs=0.15)
    for _ in range(200):
        lane.succeeded()
    assert lane.limit == 16


def test_retry_after_is_honoured() -> None:
    """Nothing starts before the time the provider named, also when a later answer names a shorter one."""
    lane = ConcurrencyLimiter(4)
    lane.throttled(10, 9)
    lane.hold(10, 20)
    lane.throttled(10.5, 9)
    lane.hold(10.5, 1)
    assert lane.wait_s(10.5) == pytest.approx(19.5)
    assert lane.wait_s(30.1) == 0


def test_pauses_double_up_to_a_bound_and_success_forgets_them() -> None:
    """Without a named time each setback waits longer, at most 30 s; one success starts afresh."""
    lane, waits = ConcurrencyLimiter(4), []
    for start in range(0, 1000, 100):
        lane.throttled(start, start)
        waits.append(lane.wait_s(start) or 0)
    assert 0.25 <= waits[0] <= 0.5
    assert 1 <= waits[2] <= 2
    assert LONGEST_PAUSE_S / 2 <= waits[-1] <= LONGEST_PAUSE_S
    lane.succeeded()
    lane.throttled(2000, 2000)
    assert (lane.wait_s(2000) or 0) <= 0.5


def test_an_unreachable_gateway_is_probed_by_one_call() -> None:
    """A refused connection is no sign of too many calls: after a pause one call asks, and an answer opens the lane."""
    lane = ConcurrencyLimiter(8)
    lane.unreachable(1, 0)
    assert lane.limit == 8
    assert (lane.wait_s(1) or 0) > 0
    assert filled(lane, 2) == 1
    lane.ended()
    lane.answered()
    assert filled(lane, 2) == 8


def test_requests_per_minute_are_spread() -> None:
    """120 a minute is one every half second, however many may be in flight."""
    lane = ConcurrencyLimiter(100, requests_per_minute=120)
    starts, now = 0, 0.0
    while now < 60:
        starts += (count := filled(lane, now))
        lane.in_flight -= count
        now += lane.wait_s(now) or 0.01
    assert 119 <= starts <= 121
