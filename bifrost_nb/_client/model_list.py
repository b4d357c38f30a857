"""``GET /v1/models``: the one place that reads it page by page, and what it says of prices.

Each request makes the gateway ask every provider and write a ``list_models`` row for each into its log (measured,
1.3.63 to 2.0.0-prerelease3), so a list is kept for a while and shared by all clients of one address with the same keys.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from .._runs.cost import Price
from .portal import portal

__all__ = ["MODELS_LAST_S", "ROUNDED", "known_list", "model_list", "prices_in"]

MODELS_LAST_S = 600.0
"""A list this old is asked for again."""
ROUNDED = "pricing_is_rounded"
"""Set in the entries of a list whose prices were left out, as the gateway rounds them."""

PAGE = 1000
MOST_PAGES = 200
_SIX_DECIMALS = re.compile(r"\d+\.\d{6}")

Model = Mapping[str, Any]
Ask = Callable[[str, Mapping[str, Any]], Awaitable[Any]]
"""GET the JSON at a path with query parameters."""


async def model_list(
    base_url: str, keys: Mapping[str, str], ask: Ask, max_age_s: float = MODELS_LAST_S
) -> Sequence[Model]:
    """The gateway's models, each once. On the private loop; `keys` are the headers with which `ask` asks.

    A list that is younger than `max_age_s` is not asked for again. Raises what `ask` raises, which is not kept.
    """
    shared, identity = portal().shared, _identity(base_url, keys)
    async with shared.setdefault(("lock", *identity), asyncio.Lock()):
        asked_at, found = shared.get(identity, (None, ()))
        if asked_at is None or time.monotonic() - asked_at >= max_age_s:
            found = _with_true_prices(await _pages(ask))
            shared[identity] = time.monotonic(), found
    return found  # type: ignore[no-any-return]


def known_list(base_url: str, keys: Mapping[str, str]) -> Sequence[Model]:
    """What `model_list` found before, if that is young enough; empty: nothing. Asks nobody; from any thread."""
    asked_at, found = portal().shared.get(_identity(base_url, keys), (None, ()))
    young = asked_at is not None and time.monotonic() - asked_at < MODELS_LAST_S
    return found if young else ()


def _identity(base_url: str, keys: Mapping[str, str]) -> tuple[Any, ...]:
    return "models", base_url, *sorted(keys.items())


async def _pages(ask: Ask) -> list[Model]:
    found: dict[str, Model] = {}
    params: dict[str, Any] = {"page_size": PAGE}
    for _ in range(MOST_PAGES):
        answer = await ask("/v1/models", params)
        data = answer.get("data") if isinstance(answer, Mapping) else None
        listed = data if isinstance(data, list) else []
        found |= {row["id"]: row for row in listed if isinstance(row, Mapping) and isinstance(row.get("id"), str)}
        token = answer.get("next_page_token") if isinstance(answer, Mapping) else None
        if not isinstance(token, str) or not token or token == params.get("page_token"):
            break
        params = {**params, "page_token": token}
    return list(found.values())


def _with_true_prices(models: list[Model]) -> list[Model]:
    """The same without prices where the gateway rounds them.

    Gateway 1.3.63 writes them with six decimals: 0.15 dollars for a million tokens become "0.000000" (measured). A cost
    worked out from such a price would be wrong, so it counts as unknown.
    """
    told = [price for model in models for price in _pricing(model).values() if isinstance(price, str) and price]
    if not told or not all(_SIX_DECIMALS.fullmatch(price) for price in told):
        return models
    return [{**{name: model[name] for name in model if name != "pricing"}, ROUNDED: True} for model in models]


def prices_in(models: Iterable[object]) -> dict[str, Price]:
    """Price per token by ``provider/model``; what is no price is left out."""
    return {
        str(model.get("id")): Price(
            _number(pricing.get("prompt")),
            _number(pricing.get("completion")),
            _number(pricing.get("request")),
            _number(pricing.get("input_cache_read")),
            _number(pricing.get("input_cache_write")),
            _number(pricing.get("internal_reasoning")) or None,  # 0 of OpenRouter's: as the completion
        )
        for model in models
        if isinstance(model, Mapping) and (pricing := _pricing(model))
    }


def _pricing(model: Model) -> Mapping[str, Any]:
    pricing = model.get("pricing")
    return pricing if isinstance(pricing, Mapping) else {}


def _number(value: Any) -> float | None:
    """The price list writes numbers as text."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 <= number < float("inf") else None
