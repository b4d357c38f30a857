"""`explain`: every sentence says what is recorded, and only that."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bifrost_nb import Client
from bifrost_nb._display.explain import explain
from bifrost_nb._runs.run import Attempt, Run
from bifrost_nb._simulator.process import LocalGateway


def a_run(**known: Any) -> Run:
    """A run that openai answered for azure after two refusals."""
    attempts = [
        Attempt(request_id="1", started_ms=0, ended_ms=300, http_status=429, wait_ms=500),
        Attempt(request_id="2", started_ms=800, ended_ms=1000, http_status=429, wait_ms=800),
        Attempt(request_id="3", started_ms=1800, ended_ms=2400, http_status=200),
    ]
    values: dict[str, Any] = {
        "requested_provider": "azure", "requested_model": "fast", "provider": "openai", "model": "mini",
        "is_fallback": True, "fallback_index": 1, "status": "ok", "total_ms": 2400.0, "ttft_ms": 2000.0,
        "cost_usd": 0.0012, "cost_source": "log", "attempts": attempts,
    }  # fmt: skip
    return Run(**{**values, **known})


def test_the_whole_story() -> None:
    """Asked, refused, served by a fallback, the share of retries, the cost and its source, in that order."""
    assert explain(a_run()) == (
        "Asked azure/fast. azure/fast answered 429 twice. The gateway turned to fallback 1: openai/mini served."
        " 1.8 s of 2.4 s were retries, first text after 2 s. It cost $0.00120, from the gateway's log."
    )


@pytest.mark.parametrize(
    ("known", "said", "unsaid"),
    [
        ({"cost_usd": None, "cost_source": None}, "Its cost is unknown.", "$0"),
        ({"cost_source": "prices"}, "computed from prices", "log"),
        ({"total_ms": None}, "How long it took is unknown.", "retries"),
        ({"attempts": []}, "It took 2.4 s", "answered 429"),
        ({"provider": None, "model": None, "is_fallback": None}, "does not say by whom", "fallback"),
        ({"status": "cancelled"}, "It was stopped.", "served"),
        ({"is_fallback": False, "cache_hit": True}, "openai/mini served from the gateway's cache.", "fallback"),
        ({"status": "error", "http_status": 503, "error_message": "down", "cost_usd": None}, "503", "cost"),
        ({"queue_ms": 3000.0}, "waited 3 s in our own queue", "–"),
    ],
)
def test_each_fact_has_its_words(known: dict[str, Any], said: str, unsaid: str) -> None:
    """What changed is said, what no longer holds or is unknown is not."""
    story = explain(a_run(**known))
    assert said in story
    assert unsaid not in story


def test_attempts_are_grouped_as_they_came() -> None:
    """Equal failures in a row are counted, different ones stand apart, control characters and keys go."""
    attempts = [Attempt(request_id=str(n), started_ms=n, http_status=500) for n in range(3)]
    attempts += [Attempt(request_id="4", started_ms=4, error="reset\x1b[31m sk-bf-0123456789abcdef0123")]
    attempts += [Attempt(request_id="5", started_ms=5, http_status=200)]
    story = explain(a_run(attempts=attempts))
    assert "answered 500 3 times. azure/fast did not answer (reset" in story
    assert "\x1b" not in story
    assert "0123456789abcdef" not in story


def test_earlier_sendings() -> None:
    """Sendings that were runs of their own are counted with the time they cost."""
    run = a_run(attempts=[])
    refused = [Run(started_at=run.started_at - timedelta(seconds=seconds)) for seconds in (5, 2)]
    assert "It had already been refused twice, the first time 5 s earlier." in explain(run, refused)


def test_a_real_run_with_retries(client: Client, gateway: LocalGateway) -> None:
    """The client's own record of two refused attempts is told as such."""
    gateway.script([{"deployment": "azure/fast", "times": 2, "status": 429, "headers": {"retry-after": "0"}}])
    story = explain(client.complete("azure/fast", "Hello", max_tokens=3, retries=3))
    assert "azure/fast answered 429 twice. azure/fast served." in story
    assert "were retries" in story
