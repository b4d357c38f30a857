"""`%bifrost cache clear`: the user's own cached answers are forgotten, and nobody else's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from IPython.core.interactiveshell import ExecutionResult

from bifrost_nb import Client, GatewayError, LocalGateway, RunLog, local_gateway
from bifrost_nb._admin.cache import clear_cache

Cell = Callable[[str], ExecutionResult]
CHAT = "openai/gpt-4o-mini"


def test_only_my_own_answers_are_forgotten(run: Cell, gateway: LocalGateway) -> None:
    """After it the same cell is answered anew; another key still finds its answer."""
    other: dict[str, Any] = {"headers": {"x-bf-cache-key": "somebody"}, "max_tokens": 5}
    client = Client(gateway.url, log=RunLog("off"))
    client.chat(CHAT, "Hi", **other)
    cell = f"%%bifrost {CHAT} --cache on --max-tokens 5\nHi"
    hits = [run(cell).result.cache_hit for _ in range(2)]
    told = run("%bifrost cache clear").result
    hits.append(run(cell).result.cache_hit)
    assert hits == [False, True, False]
    assert "nobody else's" in repr(told)
    assert client.chat(CHAT, "Hi", **other).cache_hit


def test_a_gateway_without_that_says_so() -> None:
    """Gateways up to 1.5.1 have no such route."""
    with local_gateway(dialect="1.4") as gateway:
        client = Client(gateway.url, log=RunLog("off"))
        with pytest.raises(GatewayError, match="no cache that can be cleared"):
            clear_cache(client, "mine")
