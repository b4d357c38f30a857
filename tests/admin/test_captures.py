"""What six real gateways answered, through our tables: nothing raises, and nothing that they tell is NA."""

from __future__ import annotations

import json as json_format
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import bifrost_nb as bf
from bifrost_nb import Admin, Client

from .servers import Table, json, served

CAPTURES = Path(__file__).parents[2].parent / "shared" / "captures"
VERSIONS = ("1.3.63", "1.4.0", "1.4.18", "1.5.1", "1.5.16", "2.0.0-prerelease3")
ROUTES = {
    "084_models": "/v1/models",
    "087_api_providers": "/api/providers",
    "093_vks": "/api/governance/virtual-keys",
    "096_logs": "/api/logs",
    "099_logs_stats": "/api/logs/stats",
    "100_histogram": "/api/logs/histogram",
    "101_histogram_tokens": "/api/logs/histogram/tokens",
    "102_histogram_cost": "/api/logs/histogram/cost",
    "103_histogram_models": "/api/logs/histogram/models",
    "104_histogram_latency": "/api/logs/histogram/latency",
    "106_dropped": "/api/logs/dropped",
}

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not CAPTURES.is_dir(), reason="the captured answers (../shared/captures) are not here"),
]


def captured(version: str, name: str) -> tuple[Any, int]:
    """(JSON or text, status) of one captured answer."""
    found = json_format.loads((CAPTURES / version / f"{name}.json").read_text())
    return found.get("json", found.get("text")), found["status"]


def gateway(version: str) -> Table:
    """Answers the management routes as that version did; a page of HTML where it did so."""
    from starlette.responses import HTMLResponse

    answers: dict[str, Any] = {}
    for name, path in ROUTES.items():
        body, status = captured(version, name)
        answers[path] = HTMLResponse(body, status) if isinstance(body, str) else json(body, status)
    return Table(answers)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_tables_of_a_real_gateway(version: str, client_of: Callable[..., Client]) -> None:
    """Log, statistics, models, providers and histograms: each figure that the version tells is in our table."""
    with served(gateway(version)) as url:
        admin = Admin(client_of(url))
        logs, models, stats = admin.logs(), admin.models(), admin.stats()
        providers = admin.providers()
        for kind, name in (("requests", "100_histogram"), ("latency", "104_histogram_latency")):
            if isinstance(captured(version, name)[0], str):
                with pytest.raises(bf.NotFound):
                    admin.histogram(kind)  # type: ignore[arg-type]
            else:
                assert len(admin.histogram(kind)) > 0  # type: ignore[arg-type]
    rows = {row["id"]: row for row in captured(version, "096_logs")[0]["logs"]}
    assert set(logs["run_id"]) == set(rows)
    for run in logs.itertuples():
        row = rows[str(run.run_id)]
        assert (run.provider, run.latency_ms) == (row["provider"], row["latency"])
        assert bool(run.cost_usd == row["cost"] if row.get("cost") else logs["cost_usd"].isna()[run.Index])
        if row["status"] == "error":
            assert isinstance(run.error_message, str)
        told_of = row.get("token_usage") or {}
        for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
            assert getattr(run, name) == told_of[name] if told_of.get(name) else True, name
        assert {run.model, run.model_deployment} & {row["model"]}
        assert {"started_at", "request_type", "prompt", "request_id"} <= {
            name for name in logs if pd.notna(getattr(run, name))
        }
    told = captured(version, "099_logs_stats")[0]
    assert stats["requests"][0] == told["total_requests"]
    assert stats["cost_usd_total"][0] == told["total_cost"]
    listed = captured(version, "084_models")[0]["data"]
    assert set(models["id"]) == {one["id"] for one in listed}
    priced = [one["id"] for one in listed if one.get("pricing")]
    known = models[models["input_usd_per_million_tokens"].notna()]["id"]
    assert set(known) == (set() if version == "1.3.63" else set(priced)), "1.3.63 rounds its prices"
    assert providers["provider"].notna().all()


@pytest.mark.parametrize("version", VERSIONS)
def test_errors_of_the_log_have_a_message(version: str, client_of: Callable[..., Client]) -> None:
    """Each failed row says why; list rows of 2.0 say it only in their summary, after the prompt."""
    table = gateway(version)
    table.answers["/api/logs"] = json(captured(version, "098_logs_error")[0])
    with served(table) as url:
        logs = Admin(client_of(url)).logs()
    assert logs["status"].eq("error").all()
    assert logs["error_message"].notna().all()
    assert not logs["error_message"].str.startswith("x ").any()


def told_pairs(version: str, name: str) -> list[dict[str, Any]]:
    """The buckets of a captured histogram."""
    body: Any = captured(version, name)[0]
    assert isinstance(body, dict)
    return list(body["buckets"])


@pytest.mark.parametrize("version", VERSIONS)
def test_each_figure_of_the_histograms(version: str, client_of: Callable[..., Client]) -> None:
    """Tokens, costs and requests by model: every figure of every bucket stands in its row, and no other is there."""
    with served(gateway(version)) as url:
        admin = Admin(client_of(url))
        if isinstance(captured(version, "102_histogram_cost")[0], str):
            for kind in ("tokens", "cost", "models"):
                with pytest.raises(bf.NotFound):
                    admin.histogram(kind)  # type: ignore[arg-type]
            return
        tokens, cost, models = admin.histogram("tokens"), admin.histogram("cost"), admin.histogram("models")
    assert dict(zip(tokens["token_type"], tokens["tokens"], strict=True)) == {
        kind: bucket[f"{kind}_tokens"]
        for bucket in told_pairs(version, "101_histogram_tokens")
        for kind in ("prompt", "completion")
    }
    (costs,) = told_pairs(version, "102_histogram_cost")
    assert dict(zip(cost["model"], cost["cost_usd"], strict=True)) == costs["by_model"]
    assert cost["cost_usd"].sum() == pytest.approx(costs["total_cost"])
    (counted,) = told_pairs(version, "103_histogram_models")
    words = {"success": "ok", "error": "error", "cancelled": "cancelled"}
    assert {(row.model, row.status): row.requests for row in models.itertuples()} == {
        (model, words[word]): count
        for model, counts in counted["by_model"].items()
        for word, count in counts.items()
        if word in words
    }
    for frame, name in (
        (tokens, "101_histogram_tokens"),
        (cost, "102_histogram_cost"),
        (models, "103_histogram_models"),
    ):
        assert set(frame["bucket_s"]) == {captured(version, name)[0]["bucket_size_seconds"]}
        assert {start.isoformat().replace("+00:00", "Z") for start in frame["bucket_start"]} == {
            bucket["timestamp"] for bucket in told_pairs(version, name)
        }


@pytest.mark.parametrize("version", ["1.5.1", "1.5.16", "2.0.0-prerelease3"])
def test_the_quota_of_a_key(version: str, client_of: Callable[..., Client]) -> None:
    """Who may not list the keys sees the own one: state, providers, models and budgets as the quota route tells."""
    told, status = captured(version, "gov_quota_vk")
    table = Table(
        {
            "/api/governance/virtual-keys": json({"error": {"message": "Unauthorized"}}, 401),
            "/api/governance/virtual-keys/quota": json(told, status),
        }
    )
    with served(table) as url:
        row = Admin(client_of(url, virtual_key="sk-bf-free-0001")).virtual_keys().iloc[0]
    assert row["is_active"] == told["is_active"]
    assert row["name"] == told["virtual_key_name"]
    if "provider_configs" in told:  # 1.5.1 does not tell them
        assert row["providers"] == ", ".join(config["provider"] for config in told["provider_configs"])
    else:
        assert pd.isna(row["providers"])


@pytest.mark.parametrize("version", VERSIONS[1:])
def test_each_virtual_key(version: str, client_of: Callable[..., Client]) -> None:
    """Every key of the list with its budget and limit, and no key's value."""
    told = captured(version, "gov_vks")[0]["virtual_keys"]
    with served(Table({"/api/governance/virtual-keys": {"virtual_keys": told}})) as url:
        frame = Admin(client_of(url)).virtual_keys()
    assert list(frame["id"]) == [key["id"] for key in told]
    for row, key in zip(frame.to_dict("records"), told, strict=True):
        budgets = key.get("budgets") or ([key["budget"]] if key.get("budget") else [])
        assert (row["name"], row["is_active"]) == (key["name"], key["is_active"])
        assert row["budget_usd"] == budgets[0]["max_limit"] if budgets else pd.isna(row["budget_usd"])
        limit = (key.get("rate_limit") or {}).get("request_max_limit")
        assert row["request_limit"] == limit if limit else pd.isna(row["request_limit"])
    assert "sk-bf-" not in frame.to_csv()


@pytest.mark.parametrize("version", VERSIONS)
def test_the_keys_of_providers(version: str, client_of: Callable[..., Client]) -> None:
    """Names and models of each provider's keys, inline up to 1.4.18 and of a route of their own later; no value."""
    table = gateway(version)
    inline = {row["name"]: row.get("keys") for row in captured(version, "087_api_providers")[0]["providers"]}
    apart = captured(version, "088_api_provider_keys")[0]
    keys = inline["openai"] if isinstance(apart, str) else apart["keys"]
    if not isinstance(apart, str):
        table.answers = {**table.answers, "/api/providers/openai/keys": apart}
    with served(table) as url:
        row = Admin(client_of(url)).providers().set_index("provider").loc["openai"]
    assert row["keys"] == len(keys)
    assert row["key_names"] == ", ".join(key["name"] for key in keys)
    named = [model for key in keys for model in key.get("models") or ()]
    assert row["models"] == ", ".join(named) if named else pd.isna(row["models"])
    assert not any("***" in str(value) for value in row)
