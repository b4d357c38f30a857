"""Budgets, rate limits, routing rules, tools and their log: as real gateways told them, and from the embedded one."""

from __future__ import annotations

import json as json_format
import time
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse

import bifrost_nb as bf
from bifrost_nb import Admin, Client
from bifrost_nb._client.portal import portal
from bifrost_nb._client.transport import fetch
from bifrost_nb._simulator.process import LocalGateway, local_gateway

from .servers import Table, json, served

ClientOf = Callable[..., Client]
DEMO = "sk-bf-demo-0123456789abcdef"
STAMP = "2026-11-28T11:19:13.80314193Z"
KEY = {"id": "beadfcff", "name": "k1", "value": "sk-bf-ba868689-54fb-4870-8af4-0a709f25f819"}
BUDGET = {"id": "b-1", "max_limit": 5, "reset_duration": "1M", "last_reset": STAMP, "current_usage": 1.5}
LIMIT = {
    "id": "l-1", "token_max_limit": 100000, "token_reset_duration": "1h", "token_current_usage": 250,
    "token_last_reset": STAMP, "request_max_limit": 1000, "request_reset_duration": "1d", "request_current_usage": 0,
    "request_last_reset": STAMP,
}  # fmt: skip
PAGE = HTMLResponse("<!doctype html><title>Bifrost</title>")
"""What a gateway answers at a path that is no route of its version."""


@pytest.fixture(scope="module", params=["1.5", "2.0"])
def embedded(request: pytest.FixtureRequest) -> Iterator[LocalGateway]:
    with local_gateway(dialect=request.param, speed=1000) as gateway:
        yield gateway


@pytest.mark.parametrize(
    "key",
    [
        KEY | {"budget": BUDGET, "rate_limit": LIMIT},  # 1.4.0, 1.4.18
        KEY | {"budgets": [BUDGET | {"model_config_id": "e1cb"}], "rate_limit": LIMIT},  # 1.5.16, 2.0.0-prerelease3
        KEY | {"provider_configs": [{"provider": "openai", "budgets": [BUDGET], "rate_limit": LIMIT}]},
    ],
    ids=["1.4", "1.5", "at a provider"],
)
def test_budgets_and_limits_name_their_owner(client_of: ClientOf, key: dict[str, Any]) -> None:
    """Limit, use and rest stand with the key (and provider) whose they are; what has no owner there is NA."""
    other = {"id": "b-2", "max_limit": 2, "current_usage": 2, "team_id": "t-1"}
    answers = {
        "/api/governance/virtual-keys": {"virtual_keys": [key]},
        "/api/governance/budgets": {"budgets": [BUDGET, other], "count": 2},
        "/api/governance/rate-limits": {"rate_limits": [LIMIT, {"id": "l-2"}], "count": 2},
    }
    with served(Table(answers)) as url:
        budgets, limits = bf.budgets(client_of(url)), bf.rate_limits(client_of(url))
    mine, theirs = budgets.to_dict("records")
    provider = "openai" if "provider_configs" in key else None
    assert (mine["virtual_key"], mine["virtual_key_id"]) == ("k1", "beadfcff")
    assert (mine["provider"] if provider else None) == provider
    assert (mine["budget_usd"], mine["used_usd"], mine["left_usd"], mine["reset"]) == (5, 1.5, 3.5, "1M")
    assert mine["last_reset"] == pd.Timestamp("2026-11-28T11:19:13.803141Z")
    assert (theirs["team_id"], theirs["left_usd"]) == ("t-1", 0)
    assert pd.isna(theirs["virtual_key"])
    assert limits["virtual_key"].fillna("none").tolist() == ["k1", "none"]
    assert [limits[name][0] for name in ("token_limit", "used_tokens", "request_limit", "used_requests")] == [
        100000, 250, 1000, 0,
    ]  # fmt: skip
    assert limits.loc[1].drop("id").isna().all()
    assert KEY["value"] not in budgets.to_csv() + limits.to_csv()


def test_what_is_used_is_told_at_once(client_of: ClientOf) -> None:
    """The gateway's memory knows it when a call is refused, its lists of budgets and limits up to 10 s later."""

    def keys(request: Request) -> dict[str, Any]:
        at_once = "from_memory=true" in str(request.url)
        used = {"budget": BUDGET | {"current_usage": 5.5}, "rate_limit": LIMIT | {"request_current_usage": 1000}}
        return {"virtual_keys": [KEY | (used if at_once else {"budget": BUDGET, "rate_limit": LIMIT})]}

    answers = {
        "/api/governance/virtual-keys": keys,
        "/api/governance/budgets": {"budgets": [BUDGET], "count": 1},
        "/api/governance/rate-limits": {"rate_limits": [LIMIT], "count": 1},
    }
    with served(Table(answers)) as url:
        [budget] = bf.budgets(client_of(url)).to_dict("records")
        [limit] = bf.rate_limits(client_of(url)).to_dict("records")
    assert (budget["virtual_key"], budget["budget_usd"], budget["used_usd"]) == ("k1", 5, 5.5)
    assert (limit["virtual_key"], limit["used_requests"]) == ("k1", 1000)


def test_budgets_and_limits_of_a_model_name_it(client_of: ClientOf) -> None:
    """They stand in no virtual key, but in the configuration of their model (its form was read, not measured)."""
    mine = {"id": "m-1", "model_name": "gpt-4o", "provider": "openai", "scope": "global", "budgets": [{"id": "b-2"}]}
    keys = {"id": "m-2", "model_name": "*", "scope": "virtual_key", "scope_id": "beadfcff", "scope_name": "k1"}
    answers = {
        "/api/governance/virtual-keys": {"virtual_keys": [KEY | {"budgets": [BUDGET], "rate_limit": LIMIT}]},
        "/api/governance/budgets": {"budgets": [BUDGET, {"id": "b-2"}, {"id": "b-3", "model_config_id": "m-2"}]},
        "/api/governance/rate-limits": {"rate_limits": [LIMIT, {"id": "l-2"}]},
        "/api/governance/model-configs": {"model_configs": [mine | {"rate_limit": {"id": "l-2"}}, keys]},
    }
    with served(Table(answers)) as url:
        budgets, limits = bf.budgets(client_of(url)), bf.rate_limits(client_of(url))
    owners = ["virtual_key", "provider", "model"]
    assert budgets[owners].fillna("").to_numpy().tolist() == [["k1", "", ""], ["", "openai", "gpt-4o"], ["k1", "", "*"]]
    assert limits[owners].fillna("").to_numpy().tolist() == [["k1", "", ""], ["", "openai", "gpt-4o"]]


def test_routing_rules_of_all_pages(client_of: ClientOf) -> None:
    """Pages of 100 are followed; an empty condition holds for everything; targets and fallbacks are JSON lists."""
    first = {
        "id": "r-0", "name": "r1", "description": "to azure", "enabled": True,
        "cel_expression": "model == 'gpt-4o-mini'", "targets": [{"provider": "azure", "model": "fast", "weight": 1}],
        "fallbacks": ["openai/gpt-4o-mini"], "scope": "global", "scope_id": None, "chain_rule": False, "priority": 1,
        "created_at": STAMP, "updated_at": STAMP,
    }  # fmt: skip
    rules = [first, *({"id": f"r-{number}", "cel_expression": "", "enabled": False} for number in range(1, 150))]

    def page(request: Request) -> Any:
        start, size = int(request.query_params["offset"]), int(request.query_params["limit"])
        return json({"rules": rules[start : start + min(size, 100)], "total_count": 150})

    with served(Table({"/api/governance/routing-rules": page})) as url:
        frame = bf.routing_rules(client_of(url))
    assert len(frame) == 150
    row = frame.to_dict("records")[0]
    assert (row["name"], row["enabled"], row["priority"], row["scope"]) == ("r1", True, 1, "global")
    assert json_format.loads(row["targets"]) == [{"provider": "azure", "model": "fast", "weight": 1}]
    assert (row["condition"], json_format.loads(row["fallbacks"])) == ("model == 'gpt-4o-mini'", ["openai/gpt-4o-mini"])
    assert pd.isna(row["scope_id"])
    last = frame.iloc[149]
    assert (last["condition"], last["enabled"]) == ("true", False)
    assert last[["name", "priority", "targets", "chain"]].isna().all()


CALLS: dict[str, tuple[str, Callable[[Admin], Any]]] = {
    "budgets": ("/api/governance/budgets", Admin.budgets),
    "rate_limits": ("/api/governance/rate-limits", Admin.rate_limits),
    "routing_rules": ("/api/governance/routing-rules", Admin.routing_rules),
    "mcp_logs": ("/api/mcp-logs", Admin.mcp_logs),
    "mcp_tools": ("/mcp", Admin.mcp_tools),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_version_without_the_route(client_of: ClientOf, name: str) -> None:
    """A page of HTML, or 405 for a POST, is one NotFound that says since when there is such a route."""
    path, call = CALLS[name]
    missing = PlainTextResponse("Method Not Allowed", 405) if name == "mcp_tools" else PAGE
    with (
        served(Table({path: missing, "/api/governance/virtual-keys": PAGE})) as url,
        pytest.raises(bf.NotFound, match="no such route") as caught,
    ):
        call(Admin(client_of(url)))
    assert caught.value.hint
    assert "1." in caught.value.hint


@pytest.mark.parametrize("dialect", ["1.3", "1.4"])
def test_old_embedded_gateways_lack_what_real_ones_lack(client_of: ClientOf, dialect: str) -> None:
    """1.3.63 has none of the routes; 1.4.0 has budgets and tools, under names joined by an underscore."""
    with local_gateway(dialect=dialect) as gateway:
        admin = Admin(client_of(gateway.url))
        for name in CALLS if dialect == "1.3" else ("routing_rules", "mcp_logs"):
            with pytest.raises(bf.NotFound):
                CALLS[name][1](admin)
        if dialect == "1.4":
            tools = admin.mcp_tools()
            assert list(tools["name"]) == ["calculator_add", "calculator_divide"]
            assert tools["server"].isna().all()
            assert len(admin.budgets()) == 4


def test_the_embedded_gateways_governance(client_of: ClientOf, embedded: LocalGateway) -> None:
    """Its planted keys' budgets add up; it has no rules, with all columns there, and one limit."""
    admin = Admin(client_of(embedded.url))
    budgets = admin.budgets().set_index("virtual_key")
    assert [budgets[name]["demo"] for name in ("budget_usd", "used_usd", "left_usd")] == [10.0, 1.25, 8.75]
    assert budgets.loc["spent", "left_usd"] == 0
    rules, limits = admin.routing_rules(), admin.rate_limits()
    assert len(rules) == 0
    assert {"condition", "targets"} <= set(rules)
    assert limits[["virtual_key", "request_limit", "request_reset"]].to_numpy().tolist() == [["slow", 2, "1h"]]
    assert limits["token_limit"].isna().all()


def test_a_limit_is_used_up(client_of: ClientOf) -> None:
    """Two calls of the limited key are answered, the third is refused, and the frame of limits has counted them."""
    with bf.local_gateway(speed=50) as gateway:
        client = client_of(gateway.url, virtual_key="sk-bf-slow-0123456789abcdef", retries=0)
        for _ in range(2):
            client.complete("azure/fast", "Hi", max_tokens=2)
        with pytest.raises(bf.RateLimited, match="request limit exceeded"):
            client.complete("azure/fast", "Hi", max_tokens=2)
        assert bf.rate_limits(client)["used_requests"].tolist() == [2]


def test_the_tools_of_my_key(client_of: ClientOf, embedded: LocalGateway) -> None:
    """Everybody's tools without a key, those it names with one, none of a key that names none; 401 for an unknown."""
    frame = bf.mcp_tools(client_of(embedded.url))
    assert frame[["server", "tool"]].to_numpy().tolist() == [["calculator", "add"], ["calculator", "divide"]]
    assert json_format.loads(frame["parameters"][0])["required"] == ["a", "b"]
    assert len(bf.mcp_tools(client_of(embedded.url, virtual_key=DEMO))) == 2
    assert len(bf.mcp_tools(client_of(embedded.url, virtual_key="sk-bf-spent-0123456789abcdef"))) == 0
    with pytest.raises(bf.AuthenticationFailed, match="virtual key not found"):
        bf.mcp_tools(client_of(embedded.url, virtual_key="sk-bf-nobody"))


def called(gateway: LocalGateway, name: str, key: str | None = None, **arguments: float) -> Any:
    """One call of a tool, as a program of its own would make it."""
    function = {"name": name, "arguments": json_format.dumps(arguments)}
    content = {"id": "c1", "type": "function", "function": function}
    headers = {} if key is None else {"x-bf-vk": key}
    return portal().call(fetch(gateway.url, "/v1/mcp/tool/execute", headers, method="POST", content=content)).json()


def test_the_log_of_tools(client_of: ClientOf, embedded: LocalGateway) -> None:
    """Each call stands there with who, what and the result; what a tool calls an error is told where that is kept."""
    second = "2.0" in portal().call(fetch(embedded.url, "/api/version", {})).json()
    assert called(embedded, "calculator-add", DEMO, a=1, b=2)["content"] == "3"
    called(embedded, "calculator-divide", a=1, b=0)
    assert "not available" in called(embedded, "nothing")["error"]["message"]
    client, end = client_of(embedded.url), time.monotonic() + 10
    expected = 3 if second else 2  # 1.5.16 logs no calls of unknown tools
    while len(log := bf.mcp_logs(client=client)) < expected and time.monotonic() < end:
        time.sleep(0.01)
    assert len(log) == expected
    add, divide = log.iloc[0], log.iloc[1]
    assert (add["server"], add["tool"], add["virtual_key"], add["status"]) == ("calculator", "add", "demo", "ok")
    assert (json_format.loads(add["arguments"]), add["result"]) == ({"a": 1, "b": 2}, "3")
    assert add["latency_ms"] >= 0
    assert (divide["status"], json_format.loads(divide["result"])["content"]) == ("ok", "division by zero")
    assert bool(divide["tool_error"]) if second else pd.isna(divide["tool_error"])
    assert pd.isna(add["tool_error"])
    assert pd.isna(add["cost_usd"])
    assert list(bf.mcp_logs(tool="divide", client=client)["tool"]) == ["divide"]
    assert len(bf.mcp_logs(since="1h", server=["calculator"], limit=1, client=client)) == 1
    assert len(bf.mcp_logs(until="1h", client=client)) == 0
    errors = bf.mcp_logs(status="error", client=client)
    assert errors["error_message"].tolist() == (["tool 'nothing' is not available or not permitted"] if second else [])


def test_filters_of_the_tool_log_are_checked(client_of: ClientOf) -> None:
    """An unknown status, a time that ends before it begins, no number of rows: told before anything is sent."""
    table = Table({})
    with served(table) as url:
        client = client_of(url)
        with pytest.raises(bf.ConfigurationError, match="no status 'success'"):
            bf.mcp_logs(status="success", client=client)
        with pytest.raises(bf.ConfigurationError, match="not before until"):
            bf.mcp_logs(since="1h", until="2h", client=client)
        with pytest.raises(bf.ConfigurationError, match="limit takes"):
            bf.mcp_logs(limit=-1, client=client)
    assert table.asked == []


def test_hostile_tools(client_of: ClientOf) -> None:
    """Endless pages, nonsense rows, control characters and an error in place of tools end in rows or one error."""
    pages = iter(range(1000))

    def endless(request: Request) -> Any:
        number = next(pages)
        tools = [{"name": "a-\x1b[31mb", "inputSchema": [["x"] * 3]}, {"name": 7}, None]
        return json({"result": {"tools": tools, "nextCursor": f"c{number}"}})

    table = Table({"/mcp": endless, "/api/mcp-logs": {"logs": [{"id": "x", "status": 7, "latency": "nan"}, "row"]}})
    with served(table) as url:
        admin = Admin(client_of(url))
        tools, log = admin.mcp_tools(), admin.mcp_logs()
        assert (len(tools), tools["tool"][0], len(table.paths())) == (1, "b", 3)
        assert log.iloc[0].drop("id").isna().all()
        table.answers = {"/mcp": {"error": {"code": -32602, "message": "\x1b[2Jno"}}}
        with pytest.raises(bf.ProtocolError, match="did not list the tools: no"):
            admin.mcp_tools()


READS: dict[str, Callable[[Client], Any]] = {
    name: getattr(bf, name)
    for name in ("models", "providers", "virtual_keys", "budgets", "rate_limits", "routing_rules", "prompts", "doctor")
} | {
    "mcp_tools": bf.mcp_tools,
    "mcp_logs": lambda client: bf.mcp_logs(client=client),
    "gateway_logs": lambda client: bf.gateway_logs(client=client, texts=True),
    "gateway_stats": lambda client: bf.gateway_stats(client=client),
    "gateway_histogram": lambda client: bf.gateway_histogram("tokens", client=client),
    "reconcile": lambda client: bf.reconcile(client=client),
}


@pytest.mark.parametrize("name", READS)
def test_the_gateway_is_only_read(client_of: ClientOf, gateway: LocalGateway, name: str) -> None:
    """GETs alone; but tools are listed by a POST, and doctor asks for a completion of no model, which no provider
    hears of."""
    # A header of its own: a list of models that a client of another test asked for would be taken.
    READS[name](client_of(gateway.url, virtual_key=DEMO, headers={"x-test": name}))
    records = gateway.requests()
    assert records
    others = [(one["path"], one["body"]) for one in records if one["method"] != "GET"]
    if name == "mcp_tools":
        assert {path for path, _ in others} == {"/mcp"}
        assert {body["method"] for _, body in others} <= {"initialize", "notifications/initialized", "tools/list"}
    elif name == "doctor":
        assert [path for path, _ in others] == ["/v1/completions"]
        assert others[0][1]["model"] == ""
    else:
        assert others == []
    assert [one["attempts"] for one in records if one["attempts"]] == []
