"""Who opens a protected management API, what is said to those who may not, and what no repr or error shows."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.requests import Request

from bifrost_nb import AuthenticationFailed, Client, ConfigurationError, GatewayError, NotFound, ProtocolError
from bifrost_nb._admin.api import Admin, gateway_histogram, providers
from bifrost_nb._admin.doctor import doctor
from bifrost_nb._admin.prompts import prompt, prompts
from bifrost_nb._simulator.app import gateway_app
from bifrost_nb._simulator.deployments import DEFAULT_DEPLOYMENTS, deployments_by_id
from bifrost_nb._simulator.dialects import DIALECTS
from bifrost_nb._simulator.process import local_gateway
from bifrost_nb._simulator.state import Simulator

from .servers import Locked, Table, json, served

ClientOf = Callable[..., Client]
DEMO = "sk-bf-demo-0123456789abcdef"
USER, PASSWORD = "administrator", "pässword with: blanks"
PROVIDERS = len({deployment.provider for deployment in DEFAULT_DEPLOYMENTS})


def simulated() -> Simulator:
    return Simulator(deployments_by_id(), DIALECTS["2.2"])


@pytest.fixture
def lock() -> Locked:
    return Locked(gateway_app(simulated()), USER, PASSWORD)


@pytest.fixture
def locked(lock: Locked) -> Iterator[str]:
    with served(lock) as url:
        yield url


def test_user_and_password_open_it(client_of: ClientOf, locked: str, lock: Locked) -> None:
    """Basic authentication, whatever the password's characters; no login is needed."""
    admin = Admin(client_of(locked), admin_user=USER, admin_password=PASSWORD)
    assert len(admin.providers()) == PROVIDERS
    assert len(admin.models()) > PROVIDERS
    assert lock.logins == 0


def test_prompts_of_a_protected_gateway(client_of: ClientOf, locked: str) -> None:
    """Reading and committing prompts go with the credentials that were given, and not without."""
    admin = Admin(client_of(locked), admin_user=USER, admin_password=PASSWORD)
    made = admin.prompt("team/first", create=True).commit("Write about {{thing}}.", message="first")
    assert list(admin.prompts()["name"]) == ["team/first"]
    assert admin.prompt("team/first", version=made.version) == made
    for ask in (lambda: prompts(client_of(locked)), lambda: prompt("team/first", client=client_of(locked))):
        with pytest.raises(AuthenticationFailed):
            ask()


def test_the_environment_opens_it(client_of: ClientOf, locked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """BIFROST_ADMIN_USER and BIFROST_ADMIN_PASSWORD are enough for every function."""
    monkeypatch.setenv("BIFROST_ADMIN_USER", USER)
    monkeypatch.setenv("BIFROST_ADMIN_PASSWORD", PASSWORD)
    assert len(providers(client_of(locked))) == PROVIDERS


def test_a_session_token_opens_it(
    client_of: ClientOf, locked: str, lock: Locked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token goes as bearer; user and password given as arguments count before one of the environment."""
    monkeypatch.setenv("BIFROST_SESSION_TOKEN", lock.token)
    assert len(providers(client_of(locked))) == PROVIDERS
    with pytest.raises(AuthenticationFailed):
        Admin(client_of(locked), session_token="another-token").providers()
    monkeypatch.setenv("BIFROST_SESSION_TOKEN", "an-old-one")
    assert len(Admin(client_of(locked), admin_user=USER, admin_password=PASSWORD).providers()) == PROVIDERS


@pytest.mark.parametrize("cookie", [False, True], ids=["in the answer", "in a cookie"])
def test_a_gateway_that_wants_a_login_gets_one(client_of: ClientOf, cookie: bool) -> None:
    """Where Basic is refused the pair is traded for a token, once; older gateways answer it, newer set a cookie."""
    lock = Locked(gateway_app(simulated()), USER, PASSWORD, basic=False, cookie=cookie)
    with served(lock) as url:
        admin = Admin(client_of(url), admin_user=USER, admin_password=PASSWORD)
        assert len(admin.providers()) == PROVIDERS
        assert lock.logins == 1
        with pytest.raises(AuthenticationFailed, match="does not know this user"):
            Admin(client_of(url), admin_user=USER, admin_password="wrong").providers()
        assert lock.logins == 2


def test_who_has_no_credentials_is_told_how(client_of: ClientOf, locked: str) -> None:
    """The error names the variables and says that a virtual key does not open it."""
    for options in ({}, {"virtual_key": "sk-bf-demo-0123456789abcdef"}, {"api_key": "some-api-key"}):
        with pytest.raises(AuthenticationFailed) as caught:
            providers(client_of(locked, **options))
        said = str(caught.value)
        assert "BIFROST_ADMIN_USER" in said
        assert "virtual key does not open it" in said
        assert caught.value.status == 401
        assert "0123456789abcdef" not in said
        assert "some-api-key" not in said


def test_costs_come_from_a_protected_log(client_of: ClientOf, locked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the administrator's credentials in the settings a run's cost is found in the log, else by the price list."""
    outside = client_of(locked)
    run = outside.complete("azure/fast", "Hi", max_tokens=3)
    outside.wait_costs([run])
    assert run.cost_source == "prices"
    monkeypatch.setenv("BIFROST_ADMIN_USER", USER)
    monkeypatch.setenv("BIFROST_ADMIN_PASSWORD", PASSWORD)
    inside = client_of(locked)
    run = inside.complete("azure/fast", "Hi", max_tokens=3)
    inside.wait_costs([run])
    assert run.cost_source == "log"


def test_a_lock_before_completions_opens_too(client_of: ClientOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the log-in protects completions (1.4.18, 1.5.1), user and password are sent for them, and only then."""
    given: list[str | None] = []

    def complete(request: Request) -> Any:
        given.append(request.headers.get("authorization"))
        if given[-1] is None:
            refused = {"is_bifrost_error": False, "status_code": 401, "error": {"message": "Unauthorized"}}
            return json(refused, 401)
        return {"choices": [{"index": 0, "text": "open", "finish_reason": "stop"}]}

    with served(Table({"/v1/completions": complete})) as url:
        with pytest.raises(AuthenticationFailed):
            client_of(url).complete("openai/m", "Hi")
        monkeypatch.setenv("BIFROST_ADMIN_USER", USER)
        monkeypatch.setenv("BIFROST_ADMIN_PASSWORD", PASSWORD)
        inside = client_of(url, virtual_key="sk-bf-demo-0123456789abcdef", retries=0)
        assert [inside.complete("openai/m", "Hi").text for _ in range(2)] == ["open", "open"]
    assert [one is None for one in given] == [True, True, False, False]


@pytest.mark.parametrize("dialect", ["1.4", "1.4.18", "1.5.1", "1.5", "2.0"])
def test_the_embedded_gateway_is_locked_as_its_version_is(client_of: ClientOf, dialect: str) -> None:
    """Its data opens for the administrator only, from 1.4.18 on; 1.4.18 and 1.5.1 lock completions too."""
    protection = {"admin_username": USER, "admin_password": PASSWORD}
    with local_gateway(dialect=dialect, speed=50, protection=protection) as gateway:
        outside = client_of(gateway.url, retries=0)
        assert len(Admin(outside, admin_user=USER, admin_password=PASSWORD).providers())
        if dialect == "1.4":
            assert len(Admin(outside).providers())
            return
        for wrong in ({}, {"admin_user": USER, "admin_password": "no"}):
            with pytest.raises(AuthenticationFailed, match="Unauthorized"):
                Admin(outside, **wrong).providers()
        if dialect in ("1.4.18", "1.5.1"):
            with pytest.raises(AuthenticationFailed, match="Unauthorized"):
                outside.complete("azure/fast", "Hi", max_tokens=2)
        else:
            assert outside.complete("azure/fast", "Hi", max_tokens=2).status == "ok"


def test_a_virtual_key_can_be_required_of_callers(client_of: ClientOf) -> None:
    """Without one, and with one that nobody knows, the error says which; doctor says the same before."""
    with local_gateway(speed=50, protection={"virtual_key_required": True}) as gateway:
        assert client_of(gateway.url, virtual_key=DEMO).complete("azure/fast", "Hi", max_tokens=2).status == "ok"
        for sent, said in ((None, "virtual key is required"), ("sk-bf-nobody", "virtual key not found")):
            with pytest.raises(AuthenticationFailed, match=said):
                client_of(gateway.url, virtual_key=sent, retries=0).complete("azure/fast", "Hi")
            checks = doctor(client_of(gateway.url, virtual_key=sent))
            assert any(check.state == "problem" and said in check.result for check in checks), checks


def test_protection_that_cannot_be_used_is_one_error() -> None:
    """A name that it does not have, and a value of another type, are told before anything starts."""
    for protection in ({"admin_user": "me"}, {"virtual_key_required": "perhaps"}):
        with pytest.raises(ConfigurationError, match="protection= cannot be used"):
            local_gateway(protection=protection)


def test_half_a_pair_is_told_before_anything_is_sent(
    client_of: ClientOf, locked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user without a password, or a user with a colon in the name, is a mistake of the settings."""
    with pytest.raises(ConfigurationError, match="admin_password is missing"):
        Admin(client_of(locked), admin_user=USER)
    with pytest.raises(ConfigurationError, match="colon"):
        Admin(client_of(locked), admin_user="a:b", admin_password="c")
    monkeypatch.setenv("BIFROST_ADMIN_PASSWORD", PASSWORD)
    with pytest.raises(ConfigurationError, match="BIFROST_ADMIN_USER") as caught:
        providers(client_of(locked))
    assert PASSWORD not in str(caught.value)


def test_credentials_show_nowhere(client_of: ClientOf, locked: str, lock: Locked) -> None:
    """Neither repr nor settings nor pickles of an Admin hold what it was given."""
    admin = Admin(client_of(locked), admin_user=USER, admin_password=PASSWORD)
    token = Admin(client_of(locked), session_token=lock.token)
    shown = f"{admin!r} {admin.client.settings!r} {token!r} {admin._credentials!r} {token._credentials.rows()}"
    assert PASSWORD not in shown
    assert lock.token not in shown
    assert "configured" in shown
    for each in (admin, token):
        with pytest.raises(TypeError, match="credentials"):
            pickle.dumps(each)


def test_an_older_gateway_is_told_as_such(client_of: ClientOf) -> None:
    """A route that this generation does not have gives NotFound, saying that the gateway is older."""
    with local_gateway(dialect="1.3") as gateway, pytest.raises(NotFound, match="older than its latency histogram"):
        gateway_histogram("latency", client=client_of(gateway.url))


def test_something_else_than_a_gateway_is_told(client_of: ClientOf) -> None:
    """A web page, other JSON, a redirect and a broken server are told apart, without their contents."""
    from starlette.responses import HTMLResponse, RedirectResponse

    answers = {
        "/api/providers": HTMLResponse("<html>Sign in</html>"),
        "/api/governance/virtual-keys": ["a", "list"],
        "/v1/models": RedirectResponse("http://127.0.0.1:1/elsewhere"),
        "/api/logs": json({"error": {"message": "disk \x1b[31mfull"}, "is_bifrost_error": True}, 500),
    }
    with served(Table(answers)) as url:
        admin = Admin(client_of(url))
        with pytest.raises(
            ProtocolError, match=r"/api/providers answered 200 with something that is not JSON \(text/html"
        ):
            admin.providers()
        with pytest.raises(ProtocolError, match="not an object"):
            admin.virtual_keys()
        with pytest.raises(ProtocolError, match="answered 307"):
            admin.models()
        with pytest.raises(GatewayError, match=r"GET /api/logs: .*disk full") as caught:
            admin.logs()
        assert caught.value.status == 500
