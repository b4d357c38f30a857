"""The diagnosis of a gateway: each state is told apart and says what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import Request

from bifrost_nb import Client
from bifrost_nb._admin.doctor import Doctor, doctor
from bifrost_nb._simulator.deployments import DEFAULT_DEPLOYMENTS
from bifrost_nb._simulator.process import LocalGateway, local_gateway

from .conftest import logged
from .servers import Locked, Table, json, log_row, served

ClientOf = Callable[..., Client]
NO_MODEL = json({"error": {"message": "model is required"}, "is_bifrost_error": False, "status_code": 400}, 400)
BIFROST: dict[str, Any] = {
    "/v1/completions": NO_MODEL,
    "/health": {"status": "ok", "components": {"db_pings": "ok"}},
    "/api/version": "v2.2.5",
    "/v1/models": {"data": [{"id": "a/b", "pricing": {"prompt": "0.1"}}]},
    "/api/providers": {"providers": [{"name": "a", "provider_status": "active"}]},
    "/api/logs": {"logs": [log_row(1)]},
}


CONFIG = {"id": 7, "provider": "azure", "weight": 1, "allowed_models": ["*"], "rate_limit_id": "l1"}
QUOTA = {"virtual_key_name": "slow", "is_active": True, "budgets": [], "model_configs": [], "rate_limit": None}
LIMIT = {"id": "l1", "token_current_usage": 10, "request_current_usage": 2, "request_reset_duration": "1h"}
"""What 1.5.16 and 2.0.0-prerelease3 tell of a key whose requests are all refused (captured)."""


def state(found: Doctor, check: str) -> tuple[str, str, str]:
    row = next(each for each in found if each.check == check)
    return row.state, row.result, row.advice or ""


def examined(client_of: ClientOf, changes: dict[str, Any], **options: Any) -> Doctor:
    with served(Table({**BIFROST, **changes})) as url:
        return doctor(client_of(url, **options))


@pytest.mark.parametrize("dialect", ["1.3", "1.5", "2.2"])
def test_a_healthy_gateway(client_of: ClientOf, dialect: str) -> None:
    """Everything is found and nothing is advised, on each generation."""
    with local_gateway(dialect=dialect, speed=20) as gateway:
        client = client_of(gateway.url)
        client.complete("azure/fast", "Hi", max_tokens=2)
        logged(client, 1)
        found = doctor(client)
    assert found.healthy
    assert {check.state for check in found} == {"ok"}
    assert state(found, "gateway")[1].startswith(f"Bifrost v{dialect}")
    assert state(found, "deployments")[1] == str(len(DEFAULT_DEPLOYMENTS))
    assert state(found, "gateway log")[1] == "on; 1 of the last 1 answered requests have a cost"


def test_nothing_answers(client_of: ClientOf) -> None:
    """Where nothing listens the diagnosis ends there, with the address and where it came from."""
    found = doctor(client_of("http://127.0.0.1:9"))
    assert not found.healthy
    assert [check.check for check in found] == ["address", "gateway"]
    assert "from argument" in state(found, "address")[1]
    assert "connection refused" in state(found, "gateway")[1]
    assert "demo" in state(found, "gateway")[2]


@pytest.mark.parametrize(
    "health", [json({"status": "ok"}), json("fine", 200), json({}, 404)], ids=["ok", "text", "404"]
)
def test_another_server_is_no_gateway(client_of: ClientOf, health: Any) -> None:
    """A server that answers, even one whose /health is ok, is not taken for Bifrost."""
    with served(Table({"/health": health, "/v1/models": {"data": []}})) as url:
        found = doctor(client_of(url))
    assert not found.healthy
    assert "no Bifrost gateway" in state(found, "gateway")[1]


@pytest.mark.parametrize(
    ("changes", "check", "expected", "said"),
    [
        ({"/api/version": json({}, 404)}, "gateway", "ok", "unknown version"),
        ({"/health": json({"status": "error"}, 503)}, "gateway", "warning", "/health says 503"),
        ({"/v1/models": json({"error": {"message": "no"}}, 401)}, "keys", "problem", "BIFROST_VIRTUAL_KEY"),
        ({"/v1/models": {"data": []}}, "deployments", "problem", "Configure a provider"),
        ({"/v1/models": json({"error": {"message": "panic"}}, 500)}, "deployments", "warning", "panic"),
        ({"/v1/models": {"data": [{"id": "a/b"}]}}, "prices", "warning", "no price list"),
        ({"/api/logs": json({}, 404)}, "gateway log", "warning", "logs_store"),
        ({"/api/logs": {"logs": []}}, "gateway log", "ok", "no answered request"),
        ({"/api/logs": {"logs": [log_row(1, cost=0)]}}, "gateway log", "warning", "no costs"),
        (
            {"/api/providers": {"providers": [{"name": "bad\x1b[31m", "provider_status": "error"}]}},
            "providers",
            "warning",
            "in error: bad",
        ),
    ],
)
def test_each_trouble_has_its_advice(
    client_of: ClientOf, changes: dict[str, Any], check: str, expected: str, said: str
) -> None:
    """One thing wrong gives one row that says so, and the others stay well."""
    found = examined(client_of, changes)
    got, result, advice = state(found, check)
    assert got == expected
    assert said in f"{result} {advice}"
    assert {row.state for row in found if row.check not in (check, "prices")} == {"ok"}


@pytest.mark.parametrize(
    ("quota", "expected", "said"),
    [
        (json({"error": "no"}, 401), "problem", "does not know it"),
        (json({}, 404), "ok", "does not tell"),
        ({"is_active": False}, "problem", "switched off"),
        ({"is_active": True, "budgets": [{"max_limit": 5, "current_usage": 5}]}, "problem", "$0.00 left of $5.00"),
        ({"is_active": True, "budgets": [{"max_limit": 5, "current_usage": 1}]}, "ok", "$4.00 left of $5.00"),
        ({"is_active": True, "budgets": [{"max_limit": 5e-7, "current_usage": 1e-7}]}, "ok", "$0.000000400 left of"),
        ({"is_active": True}, "ok", "active"),
        (QUOTA | {"rate_limit": LIMIT | {"request_max_limit": 2}}, "problem", "no requests left (2 of 2 used)"),
        (QUOTA | {"rate_limit": LIMIT | {"token_max_limit": 3}}, "problem", "no tokens left (10 of 3 used)"),
        (QUOTA | {"rate_limit": LIMIT | {"request_max_limit": 3, "token_max_limit": 11}}, "ok", "active"),
        (
            QUOTA | {"provider_configs": [CONFIG | {"rate_limit": LIMIT | {"request_max_limit": 1}}]},
            "warning",
            "active, no requests left for azure (2 of 1 used)",
        ),
    ],
)
def test_a_virtual_key(client_of: ClientOf, quota: Any, expected: str, said: str) -> None:
    """A key that is unknown, switched off or used up is told from one that works, without its value."""
    found = examined(client_of, {"/api/governance/virtual-keys/quota": quota}, virtual_key="sk-bf-secret-0123456789")
    got, result, _ = state(found, "virtual key")
    assert got == expected
    assert said in result
    assert "0123456789" not in f"{found!r}{found._repr_html_()}"


def test_headers_that_every_request_needs(client_of: ClientOf) -> None:
    """Where the gateway wants headers that are not sent no completion is answered (1.5.16, 2.0.0-prerelease3)."""
    missing = {
        "type": "missing_required_headers",
        "is_bifrost_error": False,
        "status_code": 400,
        "error": {"message": "missing required headers: x-team"},
        "extra_fields": {"routing_info": {}, "provider": "azure", "request_type": "list_models"},
    }
    found = examined(client_of, {"/v1/models": json(missing, 400)})
    assert not found.healthy
    assert state(found, "headers")[0] == "problem"
    assert "x-team" in state(found, "headers")[1]
    assert "headers=" in state(found, "headers")[2]


def test_a_protected_management_api(client_of: ClientOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials completions still work; the advice names the variables; with them all is open."""
    with served(Locked(Table(BIFROST), "admin", "secret-word")) as url:
        found = doctor(client_of(url))
        assert found.healthy
        assert state(found, "management API")[0] == "warning"
        assert "BIFROST_ADMIN_USER" in state(found, "management API")[2]
        assert "not readable" in state(found, "gateway log")[1]
        monkeypatch.setenv("BIFROST_ADMIN_USER", "admin")
        monkeypatch.setenv("BIFROST_ADMIN_PASSWORD", "wrong-word")
        assert "refuses" in state(doctor(client_of(url)), "management API")[1]
        monkeypatch.setenv("BIFROST_ADMIN_PASSWORD", "secret-word")
        assert state(doctor(client_of(url)), "management API")[:2] == ("ok", "open with these credentials")


def test_it_shows_itself(client_of: ClientOf, gateway: LocalGateway) -> None:
    """Text has a line for each check, HTML escapes what a gateway says, and there is a frame."""
    found = examined(client_of, {"/api/version": "<script>alert(1)</script>"})
    assert len(found.frame) == len(found)
    assert list(found.frame.columns) == ["check", "state", "result", "advice"]
    assert "<script" not in found._repr_html_()
    lines = repr(examined(client_of, {"/api/logs": json({}, 404)})).splitlines()
    assert lines[0].startswith("✓ address")
    assert any(line.lstrip().startswith("→ Switch on logs_store") for line in lines)


class LocksAll:
    """A gateway as 1.4.18 and 1.5.1 with admin protection (captures gov_authTrue_*): Basic opens, no key does."""

    def __init__(self, gateway: Table, basic: str = "Basic YWRtaW46c2VjcmV0LXdvcmQ=") -> None:
        self.gateway, self.basic = gateway, basic

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        path, given = request.url.path, request.headers.get("authorization")
        if path == "/api/session/is-auth-enabled":
            await json({"has_valid_token": False, "is_auth_enabled": True})(scope, receive, send)
        elif path == "/health" or given == self.basic:
            await self.gateway(scope, receive, send)
        else:
            body = {"is_bifrost_error": False, "status_code": 401, "error": {"message": "Unauthorized"}}
            await json({**body, "extra_fields": {}}, 401)(scope, receive, send)


def test_admin_protection_that_also_locks_completions(client_of: ClientOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named with what opens it, no key is called accepted, and with user and password all is open."""
    gateway = Table({**BIFROST, "/api/governance/virtual-keys/quota": {"is_active": True}})
    with served(LocksAll(gateway)) as url:
        for options in ({}, {"virtual_key": "sk-bf-free-0001"}, {"api_key": "sk-0123456789"}):
            found = doctor(client_of(url, **options))
            got, result, advice = state(found, "completions")
            assert got == "problem"
            assert "admin protection also guards completions" in result
            assert "BIFROST_ADMIN_USER" in advice
            assert not found.healthy
            assert "accepted" not in repr(found)
        monkeypatch.setenv("BIFROST_ADMIN_USER", "admin")
        monkeypatch.setenv("BIFROST_ADMIN_PASSWORD", "wrong-word")
        found = doctor(client_of(url, virtual_key="sk-bf-free-0001"))
        assert "refuses this user and password" in state(found, "completions")[1]
        assert "accepted" not in repr(found)
        monkeypatch.setenv("BIFROST_ADMIN_PASSWORD", "secret-word")
        assert "unset BIFROST_API_KEY" in state(doctor(client_of(url, api_key="sk-0123456789")), "completions")[2]
        found = doctor(client_of(url, virtual_key="sk-bf-free-0001"))
        assert found.healthy
        assert state(found, "completions")[:2] == ("ok", "opened by the administrator's user and password")
        assert state(found, "keys")[1] == "virtual key accepted"


@pytest.mark.parametrize(
    ("version", "listing", "expected", "said"),
    [
        ("v1.4.18", ("virtual_key_required", 401), "problem", "virtual key is required"),
        ("v1.5.1", ("virtual_key_not_found", 401), "problem", "virtual key not found"),
        ("v1.4.0", None, "warning", "not checked"),
        ("v1.4.18", None, "ok", "virtual key accepted"),
    ],
)
def test_a_refused_virtual_key(
    client_of: ClientOf, version: str, listing: tuple[str, int] | None, expected: str, said: str
) -> None:
    """A key is called accepted only where the gateway looked at it; 1.4.0 lists its models for anybody's."""
    changes: dict[str, Any] = {
        "/api/version": version,
        "/api/governance/virtual-keys/quota": json({"error": {"message": "Virtual key not found"}}, 404),
    }
    if listing is not None:
        kind, status = listing
        message = f"{kind.removesuffix('_required').replace('_', ' ')}{' is required' * kind.endswith('required')}"
        changes["/v1/models"] = json({"type": kind, "status_code": status, "error": {"message": message}}, status)
    found = examined(client_of, changes, virtual_key="sk-bf-nope")
    got, result, _ = state(found, "virtual key" if listing else "keys")
    assert got == expected
    assert said in result
    assert ("accepted" in repr(found)) == (expected == "ok")


def test_it_asks_as_a_completion_does(client_of: ClientOf) -> None:
    """The one completion names no model, and has the keys and headers of the client's own calls."""
    gateway = Table(BIFROST)
    with served(gateway) as url:
        doctor(client_of(url, virtual_key="sk-bf-free-0001", headers={"x-team": "blue"}))
    asked = [request for request in gateway.asked if request.method == "POST"]
    assert [request.url.path for request in asked] == ["/v1/completions"]
    assert asked[0].headers["x-bf-vk"] == "sk-bf-free-0001"
    assert asked[0].headers["x-team"] == "blue"
    assert "authorization" not in asked[0].headers


LOADED = {"plugins": ["governance", "logging"]}


@pytest.mark.parametrize(
    ("changes", "check", "expected", "said"),
    [
        ({}, "logged content", "ok", "prompts and answers"),
        (
            {"/api/config": {"client_config": {"enable_logging": True, "disable_content_logging": True}}},
            "logged content", "ok", "no prompts and answers",
        ),
        ({"/api/config": {"client_config": {"enable_logging": False}}}, "logged content", "ok", "switched off"),
        ({}, "cache", "ok", "off"),
        ({"/api/plugins/loaded": {"plugins": ["semantic_cache"]}}, "cache", "ok", "on for requests"),
        ({}, "plugins", "ok", "governance, logging"),
        ({}, "administrator", "ok", "BIFROST_SETUP_TOKEN"),
        (
            {"/api/plugins": {"plugins": [{"name": "otel", "enabled": True, "status": {"status": "error"}}]}},
            "plugins", "warning", "governance, logging",
        ),
    ],
)  # fmt: skip
def test_what_the_gateway_does_with_content(
    client_of: ClientOf, changes: dict[str, Any], check: str, expected: str, said: str
) -> None:
    """Whether content is logged, the cache is on and plugins run, from its configuration as real ones tell it."""
    config = {"client_config": {"enable_logging": True, "disable_content_logging": False}, "is_cache_connected": False}
    known = {"/api/config": config, "/api/plugins": {"plugins": [], "count": 0}, "/api/plugins/loaded": LOADED}
    found = state(examined(client_of, {**known, **changes}), check)
    assert found[0] == expected
    assert said in found[1]
    assert ("otel (error)" in found[2]) == (expected == "warning")


def test_an_old_gateway_tells_less_of_its_plugins(client_of: ClientOf) -> None:
    """1.4 has no list of loaded plugins: nothing is said of them, and of the cache only that no store is connected."""
    config = {"client_config": {"enable_logging": True, "disable_content_logging": False}, "is_cache_connected": False}
    found = examined(client_of, {"/api/config": config, "/api/plugins": {"plugins": [], "count": 0}})
    assert state(found, "cache")[1] == "off"
    assert "plugins" not in [check.check for check in found]
    config = {"client_config": {"enable_logging": True}}
    assert not {"cache", "logged content"} & {
        check.check for check in examined(client_of, {"/api/config": config, "/api/plugins": {"plugins": []}})
    }


@pytest.mark.parametrize(("version", "made"), [("v1.5.16", False), ("v2.0.0-prerelease3", True)])
def test_who_has_an_administrator_needs_no_setup_token(client_of: ClientOf, version: str, made: bool) -> None:
    """As measured: before 2.0 nobody asks for a token, and from 2.0 on only a gateway without ``auth_config`` does."""
    config: dict[str, Any] = {"client_config": {}} | ({"auth_config": {"is_enabled": True}} if made else {})
    found = examined(client_of, {"/api/version": version, "/api/config": config})
    assert "administrator" not in [check.check for check in found]
