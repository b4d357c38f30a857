"""One function that writes a Bifrost gateway's config.json, with all differences between versions in one place.

The part under "providers" is proved: Bifrost's own engine loads it and serves requests with it (engines 1.4.0, 1.5.22,
1.7.0; see MEASURED.md). The rest (stores, prices, virtual keys, client switches) follows the gateway's published schema
and examples; no gateway could be started with it here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OPENAI_REQUESTS = (
    "text_completion",
    "text_completion_stream",
    "chat_completion",
    "chat_completion_stream",
    "list_models",
)


@dataclass(frozen=True)
class VirtualKey:
    """A key that the gateway hands out. `value` starts with sk-bf- or is an env.NAME reference."""

    name: str
    value: str
    budget_usd: float | None = None  # a month's limit
    requests_per_hour: int | None = None


def key_variable(provider: str) -> str:
    """The environment variable that holds a provider's key."""
    return f"BIFROST_{provider.upper().replace('-', '_')}_KEY"


def gateway_config(
    version: str,
    upstreams: Mapping[str, str],
    pricing_url: str,
    *,
    deployments: Mapping[str, str] | None = None,
    virtual_keys: Sequence[VirtualKey] = (),
    require_virtual_key: bool = False,
    timeout_s: int = 30,
    retries: int = 0,
    raw_override: bool = False,
) -> dict[str, Any]:
    """The config.json of gateway `version` ("1.4", "1.5.16", "2.2").

    `upstreams` maps provider names to base URLs without /v1. A name that is not azure, openai or anthropic becomes a
    custom OpenAI-style provider. `deployments` maps model names to Azure deployments: 1.4 refuses every model that is
    not listed; from 1.5 on only names that differ need to be.
    Keys are references to `key_variable(provider)`; no secret enters the result.
    """
    before_1_5 = tuple(int(part) for part in version.split(".")[:2]) < (1, 5)
    providers = {
        name: _provider(name, url, before_1_5, deployments or {}, timeout_s, retries) for name, url in upstreams.items()
    }
    client: dict[str, Any] = {"enable_logging": True, "drop_excess_requests": False}
    client["enforce_governance_header" if before_1_5 else "enforce_auth_on_inference"] = require_virtual_key
    pricing: dict[str, Any] = {"pricing_url": pricing_url}
    if not before_1_5:
        client["allow_per_request_raw_override"] = raw_override
        # Each of these would otherwise ask the internet at start; 2.1 then refuses to start at all.
        pricing |= {"model_parameters_url": pricing_url, "live_models_sync_interval": 0, "mcp_library_sync_interval": 0}
    return {
        "$schema": "https://www.getbifrost.ai/schema",
        "client": client,
        "providers": providers,
        "config_store": {"enabled": True, "type": "sqlite", "config": {"path": "./config.db"}},
        "logs_store": {"enabled": True, "type": "sqlite", "config": {"path": "./logs.db"}},
        "framework": {"pricing": pricing},
        "governance": _governance(virtual_keys, list(upstreams), before_1_5),
    }


def _provider(
    name: str, url: str, before_1_5: bool, deployments: Mapping[str, str], timeout_s: int, retries: int
) -> dict[str, Any]:
    key: dict[str, Any] = {
        "name": f"{name}-1",
        "value": f"env.{key_variable(name)}",
        "weight": 1,
        "models": [] if before_1_5 else ["*"],  # an empty list means every model before 1.5, and none since
    }
    network: dict[str, Any] = {"default_request_timeout_in_seconds": timeout_s, "max_retries": retries}
    if not before_1_5:
        network["stream_idle_timeout_in_seconds"] = timeout_s
    if name == "azure":
        key["azure_key_config"] = {"endpoint": url}
        if before_1_5:
            key["azure_key_config"]["deployments"] = dict(deployments)
        else:
            key["aliases"] = {model: name for model, name in deployments.items() if model != name}
    else:
        network["base_url"] = url
    provider: dict[str, Any] = {"keys": [key], "network_config": network}
    if name not in ("azure", "openai", "anthropic"):
        provider["custom_provider_config"] = {
            "base_provider_type": "openai",
            "is_key_less": False,
            "allowed_requests": dict.fromkeys(OPENAI_REQUESTS, True),
        }
    return provider


def _governance(virtual_keys: Sequence[VirtualKey], providers: Sequence[str], before_1_5: bool) -> dict[str, Any]:
    keys, budgets, limits = [], [], []
    for each in virtual_keys:
        key: dict[str, Any] = {
            "id": f"vk-{each.name}",
            "name": each.name,
            "value": each.value,
            "is_active": True,
            "provider_configs": [
                {"provider": p, "weight": 1, "allowed_models": [] if before_1_5 else ["*"]}
                | ({} if before_1_5 else {"key_ids": ["*"]})
                for p in providers
            ],
        }
        if each.budget_usd is not None:
            budget: dict[str, Any] = {"id": f"budget-{each.name}", "max_limit": each.budget_usd, "reset_duration": "1M"}
            if before_1_5:
                key["budget_id"] = budget["id"]
            else:
                budget["virtual_key_id"] = key["id"]
            budgets.append(budget)
        if each.requests_per_hour is not None:
            key["rate_limit_id"] = f"limit-{each.name}"
            limits.append(
                {
                    "id": key["rate_limit_id"],
                    "request_max_limit": each.requests_per_hour,
                    "request_reset_duration": "1h",
                }
            )
        keys.append(key)
    return {"virtual_keys": keys, "budgets": budgets, "rate_limits": limits}
