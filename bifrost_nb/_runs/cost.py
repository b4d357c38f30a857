"""What a run cost, in US dollars, and who says so.

Order of trust: the response (up to gateway 2.2 only where the provider itself reports cost), the gateway's log row
(written a moment after the answer), the price list of ``/v1/models``. Otherwise the cost is unknown, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from .._wire.metadata import parse_cost
from .run import Run

__all__ = ["Price", "add_log_cost", "add_price_cost", "add_response_cost"]


class Price(NamedTuple):
    """US dollars per token; None where the list does not say."""

    prompt: float | None
    completion: float | None
    request: float | None = None
    cache_read: float | None = None


def add_response_cost(run: Run, body: Mapping[str, Any], headers: Mapping[str, str]) -> None:
    """The cost that the answer itself carries, in any of its shapes."""
    cost = parse_cost(body, headers)
    if cost is not None and cost.total_usd is not None:
        run.input_cost_usd, run.output_cost_usd, run.cost_usd = cost.input_usd, cost.output_usd, cost.total_usd
        run.cost_source = "response"


def add_log_cost(run: Run, row: Mapping[str, Any]) -> bool:
    """The cost of the gateway's log row; False where it has none.

    A row of a model without a known price says 0 or nothing, so 0 counts as unknown here; a price list that says
    0 makes it a real 0.
    """
    cost = row.get("cost")
    if isinstance(cost, bool) or not isinstance(cost, int | float) or cost <= 0:
        return False
    run.cost_usd, run.cost_source = float(cost), "log"
    detail = parse_cost({"usage": row.get("token_usage") or {}}, {})
    if detail is not None:
        run.input_cost_usd, run.output_cost_usd = detail.input_usd, detail.output_usd
    return True


def add_price_cost(run: Run, price: Price) -> bool:
    """The cost from a price list and the tokens counted; False where either is unknown."""
    embedding = run.request_type == "embedding"  # nothing is written, so nothing of it has a price
    if price.prompt is None or (price.completion is None and not embedding):
        return False
    if run.prompt_tokens is None or (run.completion_tokens is None and not embedding):
        return False
    cached = run.cached_tokens or 0 if price.cache_read is not None else 0
    run.input_cost_usd = (run.prompt_tokens - cached) * price.prompt + cached * (price.cache_read or 0.0)
    made = 0.0 if embedding else (run.completion_tokens or 0) * (price.completion or 0.0)
    run.output_cost_usd = None if embedding else made
    run.cost_usd = run.input_cost_usd + made + (price.request or 0.0)
    run.cost_source = "prices"
    return True
