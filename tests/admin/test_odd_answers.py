"""Whatever stands in an answer of the management API: a frame with NA for it, or one error of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pandas as pd
import pytest
from starlette.responses import Response

import bifrost_nb as bf
from bifrost_nb import Client, ConfigurationError

from ..thorough import some_of, thorough
from .servers import Table, log_row, served

WHEN = "2026-11-01T00:00:00Z"
BUDGET = {"id": "b", "max_limit": 5.0, "current_usage": 1.0, "reset_duration": "1d", "last_reset": WHEN}
LIMIT = {"id": "l", "token_max_limit": 5, "token_current_usage": 1, "token_last_reset": WHEN, "request_max_limit": 5}
CONFIG = {"provider": "openai", "budgets": [BUDGET], "rate_limit": LIMIT, "allowed_models": ["a"]}
KEY = {"id": "v", "name": "vk", "budgets": [BUDGET], "provider_configs": [CONFIG], "rate_limit": LIMIT}
RULE = {"id": "r", "name": "n", "cel_expression": "true", "targets": [{"provider": "a"}], "fallbacks": ["a/b"]}
NETWORK = {"base_url": "https://u:p@x/y", "max_retries": 1}
ALIASES = {"aliases": {"a": {"model_id": "b"}}, "azure_key_config": {"endpoint": "https://x"}}
PROVIDER = {"name": "openai", "keys": [{"name": "k", "models": ["a"], **ALIASES}], "network_config": NETWORK}
VERSION = {"version_number": 1, "messages": [{"message": {"role": "user", "content": "hi"}}], "created_at": WHEN}
PROMPT = {"id": "p", "name": "tag", "folder": {"name": "team"}, "latest_version": {**VERSION, "model_params": {"n": 1}}}
MODEL = {"id": "openai/gpt", "supported_methods": ["chat"], "pricing": {"prompt": "0.1"}, "alias": "x"}
COUNTS = {"a": {"success": 1, "error": 0}}
BUCKET = {"timestamp": WHEN, "count": 1, "success": 1, "by_model": COUNTS, "by_provider": {"a": {"total_requests": 1}}}
HISTOGRAM = {"buckets": [BUCKET], "bucket_size_seconds": 60, "models": ["a"], "providers": ["a"]}
ERROR = {"error": {"message": "x", "code": "y"}, "status_code": 500}
ROW = log_row(1, status="error", error_details=ERROR, metadata={"a": "b"}, params={"n": 1}, responses_output=[{}])
CALL = {"id": "1", "tool_name": "t", "timestamp": WHEN, "arguments": {"a": 1}, "result": {"is_error": True}}
PLUGIN = {"name": "semantic_cache", "enabled": True, "status": {"status": "active"}}

ASKS: dict[str, tuple[str, Any, Callable[[Client], Any]]] = {
    "prompts": ("/api/prompt-repo/prompts", {"prompts": [PROMPT]}, bf.prompts),
    "prompt": ("/api/prompt-repo/prompts", {"prompts": [PROMPT]}, lambda client: bf.prompt("team/tag", client=client)),
    "rules": ("/api/governance/routing-rules", {"rules": [RULE]}, bf.routing_rules),
    "budgets": ("/api/governance/budgets", {"budgets": [BUDGET]}, bf.budgets),
    "limits": ("/api/governance/rate-limits", {"rate_limits": [LIMIT]}, bf.rate_limits),
    "keys": ("/api/governance/virtual-keys", {"virtual_keys": [KEY]}, bf.virtual_keys),
    "owners": ("/api/governance/virtual-keys", {"virtual_keys": [KEY]}, bf.budgets),
    "providers": ("/api/providers", {"providers": [PROVIDER]}, bf.providers),
    "models": ("/v1/models", {"data": [MODEL]}, bf.models),
    "logs": ("/api/logs", {"logs": [ROW]}, lambda client: bf.gateway_logs(client=client)),
    "reconcile": ("/api/logs", {"logs": [ROW]}, lambda client: bf.reconcile(client=client)),
    "stats": ("/api/logs/stats", {"total_requests": 5, "total_cost": 1}, lambda one: bf.gateway_stats(client=one)),
    "models' histogram": (
        "/api/logs/histogram/models", HISTOGRAM,
        lambda client: bf.gateway_chart(bf.gateway_histogram("models", client=client)),
    ),
    "providers' histogram": (
        "/api/logs/histogram/tokens/by-provider", HISTOGRAM,
        lambda client: bf.gateway_histogram("tokens", by="provider", client=client),
    ),
    "tools": ("/mcp", {"result": {"tools": [{"name": "s-t", "inputSchema": {"a": 1}}]}}, bf.mcp_tools),
    "tool log": ("/api/mcp-logs", {"logs": [CALL]}, lambda client: bf.mcp_logs(client=client)),
    "doctor": ("/api/providers", {"providers": [PROVIDER]}, bf.doctor),
    "doctor's log": ("/api/logs", {"logs": [ROW]}, bf.doctor),
    "doctor's plugins": ("/api/plugins", {"plugins": [PLUGIN]}, bf.doctor),
}  # fmt: skip
OTHERS = {
    "/api/governance/budgets": {"budgets": [BUDGET]},
    "/api/logs": {"logs": []},
    "/api/logs/stats": {"total_requests": 0},
    "/api/version": "v1.5.16",
}
DEEP = b"[" * 900 + b"1" + b"]" * 900
ODD = (b"5", b"true", DEEP, b"[NaN, 1%s]" % (b"0" * 30))
"""In place of a part: of another type, more than can be written again, a number of more than 64 bits."""


def with_odd(value: Any) -> Iterator[Any]:
    """`value` with each of its parts in turn replaced by a mark, itself too."""
    yield "@odd"
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in parts:
        for changed in with_odd(part):
            copy = value.copy()
            copy[name] = changed
            yield copy


def bodies(whole: dict[str, Any]) -> Iterator[Any]:
    """Answers in place of `whole`: other ones, lists that are none, and its rows with each part replaced in turn."""
    yield from ("@odd", dict.fromkeys(whole, "@odd"))
    for name, rows in whole.items():
        if isinstance(rows, list):
            changed = list(with_odd(rows[0]))
            numbered = [
                {**row, "id": f"{place}{row['id']}"} if "id" in row and row["id"] != "@odd" else row
                for place, row in enumerate(changed[1:])
            ]
            yield {**whole, name: [changed[0], *numbered, *rows]}


@pytest.fixture(scope="module")
def table() -> Iterator[tuple[Table, str]]:
    """A gateway for all of them, and its address."""
    answers = Table({})
    with served(answers) as url:
        yield answers, url


@pytest.mark.parametrize("name", some_of(ASKS))
def test_odd_parts_of_an_answer(client_of: Callable[..., Client], table: tuple[Table, str], name: str) -> None:
    """A number, a list of 900 levels and the like in place of each part in turn."""
    path, whole, ask = ASKS[name]
    answers, url = table
    for number, body in enumerate(bodies(whole)):
        for place, odd in enumerate(ODD):
            content = orjson.dumps(body).replace(b'"@odd"', odd)
            answers.answers = {**OTHERS, path: Response(content, media_type="application/json")}
            try:
                found = ask(client_of(url, virtual_key=f"sk-{name}-{number}-{place}"))  # of whom no list is kept yet
            except bf.BifrostError as refused:
                found = str(refused)[:2000]
            assert repr(found)
            if isinstance(found, pd.DataFrame):
                assert found.to_csv()


ENDLESS: dict[str, tuple[int, Callable[[Client], Any]]] = {
    "log": (1000, lambda client: bf.gateway_logs(client=client)),
    "log, a row a page": (1, lambda client: bf.gateway_logs(client=client)),
    "log, none of them wanted": (1000, lambda client: bf.gateway_logs(client=client, provider="nobody", limit=5)),
    "reconcile": (1000, lambda client: bf.reconcile(client=client, since="1d")),
    "tool log": (1000, lambda client: bf.mcp_logs(client=client)),
    "models": (1000, bf.models),
    "virtual keys": (100, bf.virtual_keys),
    "rules": (100, bf.routing_rules),
}


@pytest.mark.parametrize("name", ["tool log", *thorough(*sorted(ENDLESS.keys() - {"tool log"}))])
def test_a_list_without_an_end_ends(client_of: Callable[..., Client], table: tuple[Table, str], name: str) -> None:
    """A gateway that always has another page, whole or of one row, is left: with what came, or with one clear error."""
    size, ask = ENDLESS[name]

    def page(_: Any) -> Any:
        number = len(table[0].asked)
        rows = [{"id": f"{number}-{place}", "timestamp": WHEN, "status": "success"} for place in range(size)]
        token = {"next_page_token": f"{number}"}
        return {"logs": rows, "data": rows, "virtual_keys": rows, "rules": rows, "has_logs": True, **token}

    paths = (
        "/api/logs",
        "/api/mcp-logs",
        "/v1/models",
        "/api/governance/virtual-keys",
        "/api/governance/routing-rules",
    )
    table[0].answers = dict.fromkeys(paths, page)
    client, before = client_of(table[1]), len(table[0].asked)
    if "log" in name or name == "reconcile":
        with pytest.raises(ConfigurationError, match="goes on after"):
            ask(client)
    else:
        assert len(ask(client)) >= size
    assert len(table[0].asked) - before < 510
