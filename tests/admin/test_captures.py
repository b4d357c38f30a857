"""What six real gateways answered, through our tables: nothing raises, and nothing that they tell is NA."""

from __future__ import annotations

import json as json_format
from collections.abc import Callable
from pathlib import Path
from typing import Any

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

pytestmark = pytest.mark.skipif(not CAPTURES.is_dir(), reason="the captured answers (../shared/captures) are not here")


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
