"""What a dry run says something costs, held beside options that change it: tools, formats, short answers, pictures."""

from __future__ import annotations

from typing import Any

import pytest

import bifrost_nb as bf
from bifrost_nb import Client, ConfigurationError, LocalGateway

CHAT, OTHER = "openai/gpt-4o-mini", "azure/gpt-4o"
TOOLS = [{"type": "function", "function": {"name": "look", "description": "Searches catalogues thoroughly. " * 150}}]
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "description": "Searches catalogues thoroughly. " * 150}},
}
ASKED: dict[str, Any] = {"prompt": "Name a {{x}}.", "inputs": {"x": ["bird", "tree"]}, "max_tokens": 20}


@pytest.mark.parametrize(
    "options",
    [
        {"tools": TOOLS},
        {"tools": "theirs", "inputs": {"x": ["bird", "tree"], "theirs": [TOOLS, None]}},
        {"schema": SCHEMA},
        {"schema": SCHEMA, "api": "responses"},
    ],
    ids=["tools", "tools of a row", "schema", "schema of responses"],
)
@pytest.mark.parametrize("mode", ["live", "batch"])
def test_tools_and_formats_are_in_the_estimate(client: Client, gateway: LocalGateway, options: Any, mode: Any) -> None:
    """A model reads them beside the prompt, and they are most of what is sent; a batch that costs more is not sent."""
    asked = {**ASKED, "chat": "api" not in options, **options, "client": client, "mode": mode}
    estimate = bf.compare([OTHER], **asked, dry_run=True)
    tokens = 2000 if asked.get("tools") == TOOLS else 1000
    assert estimate.frame["prompt_tokens"][0] > tokens
    low, high = estimate.cost_range_usd or (0, 0)
    if mode == "batch":
        with pytest.raises(ConfigurationError, match="Nothing was sent"):
            bf.compare([OTHER], **asked, max_cost_usd=high / 2)
        return
    compared = bf.compare([OTHER], **asked)
    compared.wait_for_costs(20)
    assert low <= compared.frame["cost_usd"].sum() <= high


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_the_least_limit_of_an_answer_is_in_the_estimate(client: Client, gateway: LocalGateway, api: Any) -> None:
    """The gateway raises `max_tokens` of a chat to 16, and that is paid."""
    asked = {**ASKED, "api": api, "max_tokens": 3, "client": client}
    estimate = bf.compare([CHAT], **asked, dry_run=True)
    compared = bf.compare([CHAT], **asked)
    compared.wait_for_costs(20)
    assert estimate.frame["max_completion_tokens"].tolist() == [compared.frame["completion_tokens"].sum()] == [32]
    assert compared.frame["cost_usd"].sum() <= (estimate.cost_range_usd or (0, 0))[1] * 1.0001


@pytest.mark.parametrize(
    "options",
    [
        {"deployments": ["openai/gpt-image-1"], "api": "image"},
        {"deployments": ["openai/gpt-4o-mini-tts"], "api": "speech", "voice": "alloy"},
        {"api": "responses", "previous_response_id": "resp_1"},
        {"chat": True, "headers": {"X-BF-Prompt-ID": "p1"}},
        {"api": "responses", "tools": [{"type": "web_search"}]},
        {"api": "responses", "tools": "t", "inputs": {"x": ["bird", "tree"], "t": [None, [{"type": "web_search"}]]}},
        {"chat": True, "extra": {"web_search_options": {}}},
        {"chat": True, "service_tier": "priority"},
        {"chat": True, "prompt": "word " * 150_000 + "{{x}}"},
    ],
    ids=[
        "image",
        "speech",
        "conversation",
        "repository",
        "search",
        "search of a row",
        "search of a chat",
        "tier",
        "long",
    ],
)
def test_what_is_not_priced_by_what_is_sent_is_unknown(client: Client, gateway: LocalGateway, options: Any) -> None:
    """A picture is none of its prompt's tokens; turns that the provider or the gateway keeps are not seen here, and
    the price list has neither its searches nor its tiers, be they of speed or of length."""
    asked = {"deployments": [OTHER], **ASKED, **options, "client": client}
    if options.get("api") in ("image", "speech"):
        del asked["max_tokens"]
    estimate = bf.compare(**asked, dry_run=True)
    assert estimate.cost_range_usd is None
    assert estimate.frame["cost_low_usd"].isna().all()
    assert "cost unknown" in repr(estimate)


def test_a_price_by_the_request_is_in_the_estimate(log: bf.RunLog, gateway: LocalGateway) -> None:
    """Some lists have one beside those by the token."""
    pricing = {"prompt": "0", "completion": "0", "request": "0.25"}
    gateway.script([{"path": "/v1/models", "body": {"data": [{"id": CHAT, "pricing": pricing}]}}])
    client = Client(gateway.url, log=log, virtual_key="sk-bf-by-request")  # the list is kept for each key
    assert bf.compare([CHAT], **ASKED, chat=True, client=client, dry_run=True).cost_range_usd == (0.5, 0.5)
