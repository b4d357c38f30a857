"""`Retry-After` in every form: seconds, a date, nonsense. A sensible pause is kept, no other is waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

import bifrost_nb as bf
from bifrost_nb import RunLog

from .server import FaultServer, Wire, done, head

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def at(seconds: float) -> str:
    return format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0), ("1", 1.0), ("1.5", 1.5), (" 2 ", 2.0), ("86400", 86_400.0), ("1e9", 1e9),
        (at(3), 3.0), (at(-3), 0.0), (at(86_400), 86_400.0), ("Fri, 31 Dec 9999 23:59:59 GMT", None),
        ("Mon, 01 Jan 0001 00:00:00 GMT", 0.0), ("Wed, 25 Nov 2026 12:00:05", 5.0),
        ("", None), ("-1", None), ("nan", None), ("inf", None), ("1e999", None), ("soon", None), ("1 hour", None),
        ("Wed, 99 Nov 2026 12:00:05 GMT", None), ("Mon, 01 Jan 99999 00:00:00 GMT", None), ("\xe9", None),
        ("9" * 400, None), ("0x10", None), ("1;2", None), ("None", None),
    ],
)  # fmt: skip
def test_each_form(ask: Any, faulty: Callable[..., FaultServer], value: str, seconds: float | None) -> None:
    """What the error says to wait; a date counts from the answer's own clock, and nonsense says nothing."""
    page = head("429 Slow down", "text/html", f"retry-after: {value}", f"date: {at(0)}")
    server = faulty(lambda wire: wire.send(page.decode().encode("latin-1") + b"<html>slow down"))
    with pytest.raises(bf.RateLimited) as caught:
        ask(server.url, True)
    told = caught.value.retry_after_s
    if value.startswith("Fri, 31 Dec 9999"):
        assert told is not None
        assert told > 1e11
    else:
        assert told == seconds


@pytest.mark.parametrize("value", ["0", "0.2", at(-60), "soon", "-5", "nan"])
def test_a_retry_waits_as_told_or_as_usual(
    ask: Any, faulty: Callable[..., FaultServer], log: RunLog, value: str
) -> None:
    """The second attempt comes after the pause that was asked for, or after the usual one where that was nonsense."""
    times: list[float] = []

    def act(wire: Wire) -> None:
        times.append(time.monotonic())
        first = head("503 Busy", "text/html", f"retry-after: {value}", f"date: {at(0)}") + b"busy"
        wire.send(first if len(times) == 1 else head() + done())

    server = faulty(act)
    ask(server.url, True, retries=1)
    [run] = log.read()
    assert len(run.attempts) == len(times) == 2
    assert run.attempts[0].wait_ms is not None
    assert run.attempts[0].wait_ms <= 1000
    assert times[1] - times[0] >= (0.2 if value == "0.2" else 0)


@pytest.mark.parametrize("value", ["61", "1e9", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_pause_beyond_reason_is_not_waited_for(ask: Any, faulty: Callable[..., FaultServer], value: str) -> None:
    """Neither a call nor a comparison sleeps for as long as a server likes."""
    server = faulty(lambda wire: wire.send(head("429 Slow down", "text/html", f"retry-after: {value}")))
    began = time.monotonic()
    with pytest.raises(bf.RateLimited):
        ask(server.url, True, retries=5)
    assert server.asked == 1
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("value", ["86400", "1e9", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_comparison_gives_up_a_deployment_that_wants_hours(
    faulty: Callable[..., FaultServer], log: RunLog, value: str
) -> None:
    """A pause longer than a call may take ends the deployment's part, with a note that says how long was asked."""
    server = faulty(lambda wire: wire.send(head("429 Slow down", "text/html", f"retry-after: {value}")))
    client = bf.Client(server.url, log=log, timeout=100)
    began = time.monotonic()
    result = bf.compare(["azure/fast"], "{{n}}", inputs={"n": list(range(9))}, concurrency=2, client=client)
    assert time.monotonic() - began < 20
    assert server.asked <= 2
    assert "azure/fast was given up: it asks to wait" in result.notes[0]
    assert len(log.read()) == server.asked
