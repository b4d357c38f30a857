"""What a run cost, in US dollars, and who says so.

Order of trust: the response (up to gateway 2.2 only where the provider itself reports cost), the gateway's log row
(written a moment after the answer), the price list of ``/v1/models``. Otherwise the cost is unknown, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import mul
from typing import Any, NamedTuple

from .._wire.metadata import number_of, parse_cost
from .run import Attempt, Run
from .unlisted_prices import has_unlisted

__all__ = [
    "Price",
    "add_log_cost",
    "add_price_cost",
    "add_response_cost",
    "broken_off",
    "logged_usd",
]


_BY_UNIT = ("image_generation", "speech", "transcription")
"""What is priced by the picture, character or second: the list of models has no such price, the log's cost counts
it (measured on 1.5.16 and 2.0.0-prerelease3)."""


class Price(NamedTuple):
    """US dollars per token; None where the list does not say."""

    prompt: float | None
    completion: float | None
    request: float | None = None
    cache_read: float | None = None
    cache_write: float | None = None
    reasoning: float | None = None
    """Of hidden reasoning, where the list has one; what the gateway's own costs make of it was not measured."""


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
    cost = logged_usd(row)
    if cost is None:
        return False
    run.cost_usd, run.cost_source = cost, "log"
    usage = row.get("token_usage")
    detail = parse_cost({"usage": usage}, {}) if isinstance(usage, Mapping) and "cost" in usage else None
    if detail is not None:
        run.input_cost_usd, run.output_cost_usd = detail.input_usd, detail.output_usd
    return True


def logged_usd(row: Mapping[str, Any]) -> float | None:
    """The cost that a row of the gateway's log says; None where it says none, or what is none."""
    return number_of(row.get("cost")) or None


def add_price_cost(run: Run, price: Price) -> bool:
    """The cost from a price list and the tokens counted; False where either is unknown."""
    if run.request_type in _BY_UNIT or has_unlisted(run):
        return False
    embedding = run.request_type == "embedding"  # nothing is written, so nothing of it has a price
    if price.prompt is None or (price.completion is None and not embedding):
        return False
    if run.prompt_tokens is None or (run.completion_tokens is None and not embedding):
        return False
    read, written = run.cached_tokens or 0, run.cache_write_tokens or 0
    # Where both together exceed the prompt's, the provider counts them beside it (Anthropic's own way).
    plain = run.prompt_tokens - read - written if read + written <= run.prompt_tokens else run.prompt_tokens
    prices = (price.prompt, price.cache_read, price.cache_write)
    dear = (price.prompt if each is None else each for each in prices)  # not discounted where no discount is told
    run.input_cost_usd = sum(map(mul, (plain, read, written), dear))
    made = 0.0 if embedding else _written(run, price)
    run.output_cost_usd = None if embedding else made
    run.cost_usd = run.input_cost_usd + made + (price.request or 0.0)
    run.cost_source = "prices"
    return True


def _written(run: Run, price: Price) -> float:
    """What the completion costs, of which reasoning is a part."""
    made, thought = run.completion_tokens or 0, run.reasoning_tokens or 0
    usual = price.completion or 0.0
    if price.reasoning is None or thought > made:
        return made * usual
    return (made - thought) * usual + thought * price.reasoning


def broken_off(run: Run) -> Sequence[Attempt]:
    """The attempts before the last that were answered and broke off: a provider may bill them, too."""
    return [one for one in run.attempts[:-1] if one.http_status is not None and one.http_status < 300]
