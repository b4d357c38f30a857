"""A cost from the price list is told only where the list has all prices of the answer."""

from __future__ import annotations

from typing import Any

import pytest

from bifrost_nb._runs.cost import Price, add_price_cost
from bifrost_nb._runs.run import Run

PRICE = Price(2.5e-6, 1e-5, None, 1.25e-6, 5e-6)
UNLISTED: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    # (usage, the answer, parameters)
    "sound that was spoken": ({"completion_tokens_details": {"audio_tokens": 482, "text_tokens": 110}}, {}, {}),
    "sound that was heard": ({"prompt_tokens_details": {"audio_tokens": 480}}, {}, {}),
    "sound, in the Responses API": ({"output_tokens_details": {"audio_tokens": 3}}, {}, {}),
    "a picture that was drawn": ({"completion_tokens_details": {"image_tokens": 1290}}, {}, {}),
    "searches": ({"completion_tokens_details": {"num_search_queries": 3}}, {}, {}),
    "searches, as Perplexity writes them": ({"num_search_queries": 1}, {}, {}),
    "searches, as Anthropic writes them": ({"server_tool_use": {"web_search_requests": 2}}, {}, {}),
    "searches, as OpenAI lists them": ({}, {"output": [{"type": "web_search_call"}]}, {}),
    "searches of a stream": ({}, {"response": {"output": [{"type": "file_search_call"}]}}, {}),
    "written to the cache for an hour": (
        {"prompt_tokens_details": {"cached_write_token_details": {"cached_write_tokens_1h": 9}}}, {}, {}
    ),
    "the same as Anthropic writes it": ({"cache_creation": {"ephemeral_1h_input_tokens": 9}}, {}, {}),
    "sound, as Google writes it": ({"candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 5}]}, {}, {}),
    "a tier that was told": ({}, {"service_tier": "flex"}, {"service_tier": "auto"}),
    "a tier of a stream": ({}, {"response": {"service_tier": "priority"}}, {}),
    "a tier that was asked for, where the answer is gone": ({}, {}, {"service_tier": "priority"}),
    "a tier of Anthropic's": ({"service_tier": "priority"}, {}, {}),
    "fast serving": ({"speed": "fast"}, {}, {}),
}  # fmt: skip
LISTED: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "none of it": ({"prompt_tokens_details": {"audio_tokens": 0}, "server_tool_use": {"web_search": 0}}, {}, {}),
    "nothing told": ({"prompt_tokens_details": None, "completion_tokens_details": "x", "cache_creation": []}, {}, {}),
    "the usual tier instead of the one asked for": ({}, {"service_tier": "default"}, {"service_tier": "flex"}),
    "Anthropic's usual one": ({"service_tier": "standard", "speed": "standard"}, {}, {"service_tier": "auto"}),
    "Anthropic's usual one, asked for": ({}, {}, {"service_tier": "standard_only"}),
    "own tools": ({}, {"output": [{"type": "function_call"}, {"type": "message"}, 5]}, {}),
    "text and pictures read by Google": ({"promptTokensDetails": [{"modality": "IMAGE", "tokenCount": 5}, 5]}, {}, {}),
}  # fmt: skip


def priced(usage: dict[str, Any], raw: dict[str, Any], params: dict[str, Any]) -> float | None:
    run = Run(prompt_tokens=500, completion_tokens=100, usage=usage, raw=raw, params=params)
    return run.cost_usd if add_price_cost(run, PRICE) else None


@pytest.mark.parametrize("case", UNLISTED)
def test_what_the_list_has_no_price_for_makes_the_cost_unknown(case: str) -> None:
    """Sound at the price of text was a tenth of the cost, the flex tier at the usual price twice as much."""
    assert priced(*UNLISTED[case]) is None


@pytest.mark.parametrize("case", LISTED)
def test_all_else_is_priced(case: str) -> None:
    """Counts of 0, values of any type and the usual tier hide no cost."""
    assert priced(*LISTED[case]) == pytest.approx(500 * 2.5e-6 + 100 * 1e-5)


@pytest.mark.parametrize(
    ("tokens", "known"),
    [
        ({"prompt_tokens": 128_000}, True),
        ({"prompt_tokens": 128_001}, False),
        ({"prompt_tokens": 100, "cached_tokens": 150_000}, False),  # beside the prompt's, as Anthropic counts them
        ({"prompt_tokens": 128_000, "cached_tokens": 90_000}, True),
        ({"prompt_tokens": 500_000, "request_type": "embedding"}, True),  # of many texts
    ],
)
def test_long_prompts_have_prices_of_their_own(tokens: dict[str, Any], known: bool) -> None:
    """With some models a token of a long prompt costs twice as much, and the list has the price of short ones alone."""
    assert add_price_cost(Run(completion_tokens=100, **tokens), PRICE) is known
