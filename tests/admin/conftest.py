"""Shared by the tests of the management functions."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bifrost_nb import Client
from bifrost_nb._client.transport import fetch
from bifrost_nb._runs.log.log import RunLog


@pytest.fixture
def client_of(tmp_path: Path) -> Callable[..., Client]:
    """Makes a client of an address with a log of this test's own."""

    def make(url: str, **options: object) -> Client:
        return Client(url, log=RunLog(tmp_path / "runs.jsonl"), **options)  # type: ignore[arg-type]

    return make


def logged(client: Client, count: int, seconds: float = 60.0) -> None:
    """Wait until the gateway's log has `count` rows: it writes them a moment late."""
    from bifrost_nb._client.portal import portal

    end = time.monotonic() + seconds
    while True:
        reply = portal().call(fetch(client.base_url, "/api/logs", {}, {"limit": 1}))
        if reply.json()["stats"]["total_requests"] >= count:  # older ones count nowhere else
            return
        assert time.monotonic() < end, "the gateway's rows did not come"
        time.sleep(0.01)
