"""The management routes answer in the real gateway's shapes."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from bifrost_nb import local_gateway
from bifrost_nb._simulator.dialects import DIALECTS
from tests.thorough import thorough

from .conftest import Wire
from .log_filters import found_by_filter, obeyed


def make(wire: Wire, count: int = 3, **fields: Any) -> None:
    """Answered requests with ids r0, r1, ..., and their log rows written."""
    for place in range(count):
        body = {"model": "azure/fast", "prompt": f"question {place}", "max_tokens": 5 + place, **fields}
        assert wire.post("/v1/completions", body, **{"x-request-id": f"r{place}"}).status_code in (200, 500)
    written(wire, f"r{count - 1}")


def written(wire: Wire, row: str) -> Any:
    """The log row, once it is there."""
    end = time.monotonic() + 5
    while not (found := [each for each in wire.http.get("/api/logs").json()["logs"] if each["id"] == row]):
        assert time.monotonic() < end
    return found[0]


def test_models_have_prices_as_text_per_token(each: Wire) -> None:
    """Prices are decimal text without exponent; a deployment without price has none; pages join to the whole list."""
    whole = {item["id"]: item for item in each.http.get("/v1/models").json()["data"]}
    assert whole["azure/gpt-35-turbo-instruct"]["pricing"] == {"prompt": "0.0000015", "completion": "0.000002"}
    assert "pricing" not in whole["ollama/llama3.2"]
    assert whole["azure/large"]["context_length"] == 128_000
    paged: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = each.http.get("/v1/models", params={"page_size": 5, **token}).json()
        paged += [item["id"] for item in page["data"]]
        if "next_page_token" not in page:
            break
        token = {"page_token": page["next_page_token"]}
    assert paged == list(whole)
    azure = each.http.get("/v1/models", params={"provider": "azure"}).json()["data"]
    assert {item["id"].partition("/")[0] for item in azure} == {"azure"}


def test_the_deployments_that_examples_name_are_there(wire: Wire) -> None:
    """At least five providers; text and chat; the ones that fail, limit, think and report cost."""
    names = {item["id"] for item in wire.http.get("/v1/models").json()["data"]}
    assert len({name.partition("/")[0] for name in names}) >= 5
    assert {
        "azure/gpt-35-turbo-instruct", "azure/fast", "azure/large", "azure/flaky", "azure/always-fails",
        "azure/rate-limited", "openai/gpt-3.5-turbo-instruct", "openai/gpt-4o-mini",
    } <= names  # fmt: skip


def test_health_and_version(each: Wire) -> None:
    """Health is ok; the version is a JSON text of the dialect's generation."""
    pings = {} if each.gateway.dialect == "1.3" else {"components": {"db_pings": "ok"}}
    assert each.http.get("/health").json() == {"status": "ok"} | pings
    assert each.http.get("/api/version").json().startswith(f"v{each.gateway.dialect}")


def test_a_log_row_comes_later_and_has_the_cost(each: Wire) -> None:
    """The row's id is the client's request id; it is missing at first; its cost is tokens times price."""
    body = {"model": "azure/gpt-35-turbo-instruct", "prompt": "Explain tides", "stream": True}
    each.gateway.script([{"log_delay_ms": 100}])
    each.post("/v1/completions", body, **{"x-request-id": "mine"})
    assert each.http.get("/api/logs").json()["logs"] == []
    row = written(each, "mine")
    usage = row["token_usage"]
    assert row["cost"] == pytest.approx((usage["prompt_tokens"] * 1.5 + usage["completion_tokens"] * 2.0) / 1e6)
    assert (row["provider"], row["model"], row["status"]) == ("azure", "gpt-35-turbo-instruct", "success")
    assert row["stream"] is True
    assert ("output_message" in row) == (each.gateway.dialect == "1.3")  # later lists leave it out
    unknown = each.http.get("/api/logs/unknown")
    if each.gateway.dialect == "1.3":  # measured: no such route yet, so the gateway's page
        assert unknown.headers["content-type"].startswith("text/html")
    else:
        assert unknown.status_code == 404
        whole = each.http.get("/api/logs/mine").json()
        assert (whole["cost"], whole["stop_reason"]) == (row["cost"], "stop")
        assert whole["output_message"]["content"]


def test_a_log_row_took_as_long_as_its_answer_says(each: Wire) -> None:
    """Captured of 1.4.0 to 2.0: the row's latency is the answer's, in whole milliseconds, streamed or not."""
    body = {"model": "azure/fast", "prompt": "Explain tides"}
    whole = each.post("/v1/completions", body, **{"x-request-id": "whole"}).json()
    chunks = each.stream("/v1/completions", body, **{"x-request-id": "streamed"})
    told = [answer["extra_fields"]["latency"] for answer in (whole, chunks[-2])]  # the last is [DONE]
    assert [written(each, name)["latency"] for name in ("whole", "streamed")] == told


def test_a_fallback_has_a_row_of_its_own_under_the_request(each: Wire) -> None:
    """The request's own row tells the primary's failure, without cost; the row that costs names it as its parent."""
    body = {"model": "azure/always-fails", "prompt": "x", "fallbacks": ["azure/fast"]}
    each.post("/v1/completions", body, **{"x-request-id": "chain"})
    primary = written(each, "chain")
    assert (primary["status"], primary["fallback_index"], "cost" in primary) == ("error", 0, False)
    end = time.monotonic() + 5
    while not (rows := [row for row in each.http.get("/api/logs").json()["logs"] if row["id"] != "chain"]):
        assert time.monotonic() < end
    assert rows[0]["parent_request_id"] == "chain"
    assert [(row["model"], row["fallback_index"], row["status"]) for row in rows] == [("fast", 1, "success")]
    assert rows[0]["cost"] > 0
    assert rows[0]["id"] != "chain"


def test_a_model_without_price_has_no_cost(wire: Wire) -> None:
    """Unknown is absent, not 0."""
    wire.post("/v1/completions", {"model": "ollama/llama3.2", "prompt": "x"}, **{"x-request-id": "free"})
    assert "cost" not in written(wire, "free")


def test_logs_are_paged_and_sorted(wire: Wire) -> None:
    """Limit, offset, order and the total; a limit out of range is an error."""
    make(wire, 5)
    answer = wire.http.get("/api/logs", params={"limit": 2, "offset": 1, "sort_by": "tokens", "order": "asc"}).json()
    assert [row["id"] for row in answer["logs"]] == ["r1", "r2"]
    assert answer["pagination"] == {"limit": 2, "offset": 1, "sort_by": "tokens", "order": "asc", "total_count": 5}
    assert answer["stats"]["total_requests"] == 5
    newest = wire.http.get("/api/logs").json()["logs"]
    assert [row["id"] for row in newest] == ["r4", "r3", "r2", "r1", "r0"]
    for limit in ("0", "1001"):
        assert wire.http.get("/api/logs", params={"limit": limit}).status_code == 400


def test_logs_are_filtered(wire: Wire) -> None:
    """Lists with commas, times, figures, metadata and text; an unreadable time is ignored, as it really is."""
    make(wire, 3)
    wire.post("/v1/completions", {"model": "azure/always-fails", "prompt": "zebra"}, **{"x-request-id": "bad"})
    headers = {"x-request-id": "tagged", "x-bf-dim-team": "blue"}
    wire.http.post("/v1/completions", json={"model": "openai/gpt-3.5-turbo-instruct", "prompt": "x"}, headers=headers)
    written(wire, "bad")
    written(wire, "tagged")

    def found(**filters: Any) -> set[str]:
        return {row["id"] for row in wire.http.get("/api/logs", params=filters).json()["logs"]}

    fine, hour = {"r0", "r1", "r2"}, timedelta(hours=1)
    everything = fine | {"bad", "tagged"}
    assert found(models="fast") == fine
    assert found(models="fast,always-fails") == fine | {"bad"}
    assert found(providers="openai") == {"tagged"}
    assert found(status="error") == {"bad"}
    assert found(content_search="zebra") == {"bad"}
    assert found(metadata_team="blue") == {"tagged"}
    assert found(start_time=(datetime.now(UTC) - hour).isoformat()) == everything
    assert found(end_time=(datetime.now(UTC) - hour).isoformat()) == set()
    assert found(start_time="yesterday-ish") == everything
    assert found(max_tokens=9, min_tokens=1) == {"r0", "r1", "r2"} - {row for row in ("r2",) if _tokens(wire, row) > 9}
    assert found(missing_cost_only="true") == set()  # a failed call is missing none


def _tokens(wire: Wire, row: str) -> int:
    return int(written(wire, row)["token_usage"]["total_tokens"])


def test_stats_add_up(wire: Wire) -> None:
    """Totals are those of the rows."""
    make(wire, 3)
    rows = wire.http.get("/api/logs").json()["logs"]
    stats = wire.http.get("/api/logs/stats").json()
    assert stats["total_requests"] == 3
    assert stats["success_rate"] == 100
    assert stats["total_tokens"] == sum(row["token_usage"]["total_tokens"] for row in rows)
    assert stats["total_cost"] == pytest.approx(sum(row["cost"] for row in rows))


def test_keys_of_providers_are_masked(each: Wire) -> None:
    """Inline in 1.3, later on their own route; never a whole secret."""
    providers = each.http.get("/api/providers").json()
    assert providers["total"] == len(providers["providers"]) >= 5
    assert all(("keys" in item) == (each.gateway.dialect == "1.3") for item in providers["providers"])
    if each.gateway.dialect == "1.3":
        keys = [key for item in providers["providers"] for key in item["keys"]]
    else:
        keys = each.http.get("/api/providers/azure/keys").json()["keys"]
        assert each.http.get("/api/providers/nobody/keys").status_code == 404
    assert all("****" in (key["value"] if each.gateway.dialect == "1.3" else key["value"]["value"]) for key in keys)
    few = each.http.get("/api/models").json()
    assert len(few["models"]) == 5 < few["total"]


@pytest.mark.parametrize("dialect", ["1.3", "2.2", *thorough(*sorted(DIALECTS.keys() - {"1.3", "2.2"}))])
def test_the_log_is_filtered_as_the_version_does(dialect: str) -> None:
    """Filters that real gateways of the generation ignore are ignored, the others obeyed (measured of each of six)."""
    with local_gateway(dialect=dialect, speed=50) as gateway:
        assert found_by_filter(gateway.url) == obeyed(DIALECTS[dialect].numbers)


@pytest.mark.parametrize(
    ("dialect", "there", "missing"),
    [
        ("1.4", {"/v1/count_tokens"}, {"/api/prompt-repo/prompts", "/v1/responses/input_tokens"}),
        (
            "1.4.18",
            {
                "/api/prompt-repo/prompts",
                "/api/mcp-logs",
                "/api/governance/routing-rules",
                "/v1/responses/input_tokens",
            },
            {"/v1/count_tokens", "/api/cache/clear-by-key/x"},
        ),
        ("1.5.1", {"/api/prompt-repo/prompts", "/api/providers/openai/keys"}, {"/api/cache/clear-by-key/x"}),
        ("1.5", {"/api/cache/clear-by-key/x"}, {"/v1/count_tokens"}),
    ],
)
def test_routes_came_with_the_versions_that_were_measured(dialect: str, there: set[str], missing: set[str]) -> None:
    """What a gateway does not have is its page for GET, and 405 for all else."""
    with local_gateway(dialect=dialect) as gateway, httpx.Client(base_url=gateway.url, timeout=20) as http:
        for path in there | missing:
            method = "DELETE" if "cache" in path else "POST" if path.startswith("/v1") else "GET"
            body = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "x"}], "input": "x"}
            answer = http.request(method, path, json=body if method == "POST" else None)
            page = answer.headers["content-type"].startswith("text/html")
            assert (answer.status_code == 200 and not page) == (path in there), (path, answer.status_code)
