"""The diagnosis of a gateway: each state is told apart and says what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bifrost_nb import Client
from bifrost_nb._admin.doctor import Doctor, doctor
from bifrost_nb._simulator.deployments import DEFAULT_DEPLOYMENTS
from bifrost_nb._simulator.process import LocalGateway, local_gateway

from .conftest import logged
from .servers import Locked, Table, json, log_row, served

ClientOf = Callable[..., Client]
BIFROST: dict[str, Any] = {
    "/health": {"status": "ok", "components": {"db_pings": "ok"}},
    "/api/version": "v2.2.5",
    "/v1/models": {"data": [{"id": "a/b", "pricing": {"prompt": "0.1"}}]},
    "/api/providers": {"providers": [{"name": "a", "provider_status": "active"}]},
    "/api/logs": {"logs": [log_row(1)]},
}


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
        ({"is_active": True}, "ok", "active"),
    ],
)
def test_a_virtual_key(client_of: ClientOf, quota: Any, expected: str, said: str) -> None:
    """A key that is unknown, switched off or used up is told from one that works, without its value."""
    found = examined(client_of, {"/api/governance/virtual-keys/quota": quota}, virtual_key="sk-bf-secret-0123456789")
    got, result, _ = state(found, "virtual key")
    assert got == expected
    assert said in result
    assert "0123456789" not in f"{found!r}{found._repr_html_()}"


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
