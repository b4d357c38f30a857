"""Models, providers, virtual keys and statistics as frames: units, paging, every generation, nothing known."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from bifrost_nb import AuthenticationFailed, Client, ConfigurationError, ConnectionFailed
from bifrost_nb._admin import tables
from bifrost_nb._admin.api import Admin, gateway_stats, models, providers, virtual_keys
from bifrost_nb._compare.abilities import check_images_taken
from bifrost_nb._simulator.process import LocalGateway, local_gateway

from .conftest import logged
from .servers import Locked, Table, served

ClientOf = Callable[..., Client]


def known(frame: pd.DataFrame, row: int = 0) -> dict[str, Any]:
    return {str(name): value for name, value in frame.iloc[row].items() if not pd.isna(value)}


def test_models_have_prices_per_million_tokens(client_of: ClientOf, gateway: LocalGateway) -> None:
    """Each deployment stands under the id that a call names, prices in the unit of their column, NA without one."""
    frame = models(client_of(gateway.url)).set_index("id")
    large, unpriced = frame.loc["azure/large"], frame.loc["ollama/llama3.2"]
    assert (large["provider"], large["model"]) == ("azure", "large")
    assert (large["input_usd_per_million_tokens"], large["output_usd_per_million_tokens"]) == (5.0, 15.0)
    assert large["context_tokens"] == 128_000
    assert bool(large["text"])
    assert not bool(frame.loc["openai/gpt-4o-mini", "text"])
    assert frame.loc["azure/gpt-4o", "upstream_model"] == "gpt-4o-2024-11-20"
    assert frame.loc["azure/gpt-4o", "cached_usd_per_million_tokens"] == 1.25
    assert unpriced.filter(like="usd").isna().all()
    assert frame.loc["openrouter/deepseek/deepseek-r1", "model"] == "deepseek/deepseek-r1"


def test_models_of_all_pages(client_of: ClientOf) -> None:
    """Pages are followed to the end, a token that repeats itself ends them, and each model stands there once."""
    pages = {
        None: {"data": [{"id": "a/1"}, {"id": "a/2"}], "next_page_token": "x"},
        "x": {"data": [{"id": "a/2"}, {"id": "bare"}, {"id": 7}, None], "next_page_token": "y"},
        "y": {"data": None, "next_page_token": "y"},
    }
    gateway = Table({"/v1/models": lambda request: pages[request.query_params.get("page_token")]})
    with served(gateway) as url:
        frame = models(client_of(url))
    assert list(frame["id"]) == ["a/1", "a/2", "bare"]
    assert frame["provider"].fillna("none").tolist() == ["a", "a", "none"]
    assert len(gateway.asked) == 3


def test_what_a_model_does_not_tell_is_unknown(client_of: ClientOf) -> None:
    """Missing or nonsensical facts are NA, a price of 0 is 0, and an unknown method decides nothing."""
    rows = [
        {"id": "a/free", "pricing": {"prompt": "0", "completion": "-1"}, "supported_methods": ["generateContent"]},
        {"id": "a/odd", "pricing": "cheap", "context_length": "many", "architecture": [], "supported_methods": "all"},
        {"id": "a/embed", "supported_methods": ["embedding"], "pricing": {"prompt": "0.00000015", "request": "0.01"}},
    ]
    with served(Table({"/v1/models": {"data": rows}})) as url:
        frame = models(client_of(url))
    assert known(frame) == {"id": "a/free", "provider": "a", "model": "free", "input_usd_per_million_tokens": 0.0}
    assert known(frame, 1) == {"id": "a/odd", "provider": "a", "model": "odd"}
    embed = known(frame, 2)
    assert (embed["text"], embed["chat"], embed["embedding"]) == (False, False, True)
    assert embed["input_usd_per_million_tokens"] == 0.15
    assert embed["request_usd"] == 0.01


def test_one_odd_name_hides_no_other(client_of: ClientOf) -> None:
    """Half a character, control sequences, markup and formulas in a list: every model is there, and pictures are sent
    to those of which nothing readable is told."""
    from starlette.responses import Response

    text = b'{"data":[{"id":"a/\\ud83d"},{"id":"a/\\u001b[2J"},{"id":"a/<img src=x>"},{"id":"=1+1/$x_1$"},'
    text += b'{"id":"a/b","architecture":5},{"id":"a/c","architecture":{"input_modalities":[["image"]]}}]}'
    with served(Table({"/v1/models": Response(text, media_type="application/json")})) as url:
        client = client_of(url)
        frame = models(client)
        assert frame["id"].tolist() == ["a/\ufffd", "a/", "a/<img src=x>", "=1+1/$x_1$", "a/b", "a/c"]
        check_images_taken(client, ["a/b"])
        with pytest.raises(ConfigurationError, match="takes no images"):
            check_images_taken(client, ["a/c"])


@pytest.mark.parametrize("dialect", ["1.3", "2.2"])
def test_providers_of_every_generation(client_of: ClientOf, dialect: str) -> None:
    """Keys that stand inside the provider (1.3) and keys with a route of their own (1.5 on) give the same row."""
    with local_gateway(dialect=dialect) as gateway:
        frame = providers(client_of(gateway.url)).set_index("provider")
    azure = frame.loc["azure"]
    assert (azure["keys"], azure["key_names"], azure["status"]) == (1, "azure-demo-key", "active")
    assert azure["base_url"] == "https://demo.invalid"
    assert "gpt-4o → gpt-4o-2024-11-20" in azure["aliases"]
    assert pd.isna(azure["models"]) if dialect == "1.3" else azure["models"] == "*"  # each generation's word for all
    assert azure["timeout_s"] == 30.0
    assert frame.loc["openai", "speaks"] == "openai"


def test_a_provider_of_ones_own(client_of: ClientOf) -> None:
    """A custom provider says what it speaks; its address is shown without the password in it."""
    row = {
        "name": "mine",
        "network_config": {"base_url": "https://user:secret-password@models.example:8443/v1?key=abc"},
        "custom_provider_config": {"base_provider_type": "openai"},
        "provider_status": "error",
    }
    gateway = Table({"/api/providers": {"providers": [row, {"no": "name"}, None]}})
    with served(gateway) as url:
        frame = providers(client_of(url))
    assert known(frame) == {
        "provider": "mine",
        "status": "error",
        "speaks": "openai",
        "custom": True,
        "base_url": "https://models.example:8443/v1",
    }
    assert gateway.paths() == ["/api/providers", "/api/providers/mine/keys"]


@pytest.mark.parametrize("dialect", ["1.3", "2.2"])
def test_virtual_keys_of_every_generation(client_of: ClientOf, dialect: str) -> None:
    """One budget (1.3) and a list of them (2.2) give the same columns, in US dollars, and never the key's value."""
    with local_gateway(dialect=dialect) as gateway:
        frame = virtual_keys(client_of(gateway.url)).set_index("name")
    assert frame.loc["demo", "budget_usd"] == 10.0
    assert frame.loc["demo", "used_usd"] == 1.25
    assert frame.loc["demo", "budget_last_reset"] == pd.Timestamp("2026-11-01T00:00:00Z")
    assert not bool(frame.loc["blocked", "is_active"])
    assert "sk-bf" not in frame.to_csv()


def test_of_several_budgets_the_tightest_counts(client_of: ClientOf) -> None:
    """The columns tell the budget of which the least is left; all of them, those of providers too, are in `budgets`."""
    key = {
        "id": "vk",
        "name": "team",
        "budgets": [
            {"max_limit": 100.0, "current_usage": 20.0, "reset_duration": "1M"},
            {"max_limit": 5.0, "current_usage": 4.5, "reset_duration": "1d"},
        ],
        "provider_configs": [
            {"provider": "azure", "allowed_models": ["fast", "*"], "budget": {"max_limit": 1.0}},
            {"provider": "openai", "allowed_models": ["*"]},
        ],
        "rate_limit": {"token_max_limit": 1000, "token_current_usage": 0, "request_max_limit": 60},
    }
    with served(Table({"/api/governance/virtual-keys": {"virtual_keys": [key]}})) as url:
        row = known(virtual_keys(client_of(url)))
    assert (row["budget_usd"], row["used_usd"], row["budget_reset"]) == (5.0, 4.5, "1d")
    assert (row["token_limit"], row["used_tokens"], row["request_limit"]) == (1000, 0, 60)
    assert "used_requests" not in row
    assert (row["providers"], row["models"]) == ("azure, openai", "fast, *")
    assert json.loads(row["budgets"])[2] == {"provider": "azure", "limit_usd": 1.0}


@pytest.mark.parametrize("most", [30, 100])
def test_a_gateway_that_gives_fewer_a_page_is_read_to_its_end(client_of: ClientOf, most: int) -> None:
    """It says how many there are; one without an id, which nobody can ask for, hides no other."""
    keys = [{"id": f"vk-{number}", "name": f"key {number}"} for number in range(250)]
    keys[7] = {"name": "nameless"}

    def page(request: Any) -> Any:
        start = int(request.query_params["offset"])
        return {"virtual_keys": keys[start : start + most], "total_count": len(keys)}

    with served(Table({"/api/governance/virtual-keys": page})) as url:
        assert len(virtual_keys(client_of(url))) == 249


@pytest.mark.parametrize("pages", [True, False], ids=["paged", "all at once"])
def test_more_than_a_hundred_virtual_keys(client_of: ClientOf, pages: bool) -> None:
    """Newer gateways send at most 100 keys, older ones all each time; both are read whole and once."""
    keys = [{"id": f"vk-{number}", "name": f"n{number}"} for number in range(250 if pages else 100)]

    def answer(request: Any) -> Any:
        start = int(request.query_params["offset"]) if pages else 0
        return {"virtual_keys": keys[start : start + 100]}

    gateway = Table({"/api/governance/virtual-keys": answer})
    with served(gateway) as url:
        frame = virtual_keys(client_of(url))
    assert list(frame["id"]) == [key["id"] for key in keys]
    assert len(gateway.asked) == (3 if pages else 2)


def test_the_owner_of_a_key_sees_its_own(client_of: ClientOf, gateway: LocalGateway) -> None:
    """Who may not list the keys but has one gets the row of that one; with an unknown key it is an error."""
    from bifrost_nb._simulator.app import gateway_app
    from bifrost_nb._simulator.deployments import deployments_by_id
    from bifrost_nb._simulator.dialects import DIALECTS
    from bifrost_nb._simulator.state import Simulator

    app = gateway_app(Simulator(deployments_by_id(), DIALECTS["2.2"]))
    with served(Locked(app, "admin", "password")) as url:
        row = known(virtual_keys(client_of(url, virtual_key="sk-bf-demo-0123456789abcdef")))
        assert (row["name"], row["is_active"], row["budget_usd"], row["used_usd"]) == ("demo", True, 10.0, 1.25)
        with pytest.raises(AuthenticationFailed, match="BIFROST_ADMIN_USER"):
            virtual_keys(client_of(url, virtual_key="sk-bf-unknown-0123456789"))
        with pytest.raises(AuthenticationFailed, match="BIFROST_ADMIN_USER"):
            virtual_keys(client_of(url))


def test_statistics_are_one_row(client_of: ClientOf, gateway: LocalGateway) -> None:
    """Shares are between 0 and 1, costs in dollars, and the filters count."""
    client = client_of(gateway.url, retries=0)
    client.complete("azure/fast", "Hi", fallbacks=[], max_tokens=4)
    client.complete("azure/always-fails", "Hi", fallbacks=["azure/fast"], max_tokens=4)
    logged(client, 3)
    row = known(gateway_stats(client=client))
    assert (row["requests"], row["success_share"]) == (3, pytest.approx(2 / 3))
    assert row["total_tokens"] == row["prompt_tokens"] + row["completion_tokens"]
    assert row["cost_usd_total"] > 0
    assert row["latency_ms_mean"] > 0
    assert row["dropped_requests"] == 0
    assert known(gateway_stats(status="error", client=client))["requests"] == 1


def test_statistics_of_nothing_are_unknown(client_of: ClientOf) -> None:
    """Without a request there is no mean and no share; the gateway writes 0 there."""
    stats = {"total_requests": 0, "success_rate": 0, "average_latency": 0, "total_tokens": 0, "total_cost": 0}
    with served(Table({"/api/logs/stats": stats})) as url:
        assert known(gateway_stats(client=client_of(url))) == {
            "requests": 0,
            "list_models_rows": 0,
            "total_tokens": 0,
            "cost_usd_total": 0.0,
        }


@pytest.mark.parametrize(
    ("name", "path", "empty", "fields"),
    [
        ("models", "/v1/models", {"data": []}, tables.MODELS),
        ("providers", "/api/providers", {"providers": None}, tables.PROVIDERS),
        ("virtual_keys", "/api/governance/virtual-keys", {}, tables.VIRTUAL_KEYS),
    ],
)
def test_empty_frames_keep_their_dtypes(
    client_of: ClientOf, gateway: LocalGateway, name: str, path: str, empty: Any, fields: Any
) -> None:
    """For no row as for many: the same columns with the same dtypes."""
    with served(Table({path: empty})) as url:
        none = getattr(Admin(client_of(url)), name)()
    some = getattr(Admin(client_of(gateway.url)), name)()
    assert len(none) == 0
    assert len(some) > 0
    assert list(none.columns) == [field.name for field in fields]
    pd.testing.assert_series_equal(none.dtypes, some.dtypes)


def test_no_gateway_is_told(client_of: ClientOf) -> None:
    """Where nothing answers the error says so and what to do."""
    with pytest.raises(ConnectionFailed, match="demo"):
        models(client_of("http://127.0.0.1:9"))
