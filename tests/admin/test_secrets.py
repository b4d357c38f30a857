"""Keys planted in every field of every answer, in the settings and in errors: none may reach a frame, repr or error."""

from __future__ import annotations

import base64
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bifrost_nb import BifrostError, Client
from bifrost_nb._admin.api import Admin
from bifrost_nb._admin.doctor import doctor
from bifrost_nb.charts.gateway import gateway_chart

from .servers import Log, Table, json, log_row, served

ClientOf = Callable[..., Client]

PROVIDER_KEY = "sk-proj-PLANTED0123456789abcdef"
MASKED_KEY = "sk-p************************cdef"
VIRTUAL_KEY = "sk-bf-PLANTED-0123456789abcdef"
OTHERS_VIRTUAL_KEY = "sk-bf-OTHERS-0123456789abcdef"
API_KEY = "plain-PLANTED-api-key"
PASSWORD = "planted-password"
TOKEN = "planted-session-token"
URL_PASSWORD = "planted-url-password"
PLANTED = {
    PROVIDER_KEY,
    MASKED_KEY,
    VIRTUAL_KEY,
    OTHERS_VIRTUAL_KEY,
    API_KEY,
    PASSWORD,
    TOKEN,
    URL_PASSWORD,
    base64.b64encode(f"admin:{PASSWORD}".encode()).decode(),
}
TALK = f"it is {PROVIDER_KEY} and Bearer {TOKEN} and {API_KEY} and {OTHERS_VIRTUAL_KEY} and {PASSWORD}"


def key(**facts: Any) -> dict[str, Any]:
    return {"id": "k1", "name": f"main {PROVIDER_KEY}", "value": MASKED_KEY, "models": [TALK]} | facts


ANSWERS: dict[str, Any] = {
    "/health": {"status": "ok", "components": {}},
    "/api/version": f"v2.2.5 {PROVIDER_KEY}",
    "/v1/models": {"data": [{"id": f"openai/{PROVIDER_KEY}", "name": TALK, "deployment": TALK, "pricing": {}}]},
    "/api/providers": {
        "providers": [
            {
                "name": "openai",
                "description": TALK,
                "provider_status": "error",
                "network_config": {
                    "base_url": f"https://user:{URL_PASSWORD}@host/v1?key={PROVIDER_KEY}",
                    "extra_headers": {"authorization": f"Bearer {PROVIDER_KEY}"},
                },
                "proxy_config": {"password": URL_PASSWORD},
                "keys": [
                    key(),
                    key(azure_key_config={"endpoint": f"https://{URL_PASSWORD}@azure/"}, aliases={TALK: TALK}),
                ],
            }
        ]
    },
    "/api/governance/virtual-keys": {
        "virtual_keys": [
            {
                "id": "vk-1",
                "name": f"team {OTHERS_VIRTUAL_KEY}",
                "description": TALK,
                "value": OTHERS_VIRTUAL_KEY,
                "provider_configs": [{"provider": TALK, "allowed_models": [TALK], "keys": [key()]}],
                "budgets": [{"max_limit": 1, "reset_duration": TALK}],
            }
        ]
    },
    "/api/governance/virtual-keys/quota": {"virtual_key_name": TALK, "is_active": True, "budgets": []},
    "/api/logs": Log(
        [
            log_row(
                1,
                id=f"row {PROVIDER_KEY}",
                model=PROVIDER_KEY,
                status="error",
                stop_reason=TALK,
                input_history=[{"role": "user", "content": TALK}],
                output_message={"content": TALK},
                params={"note": TALK, TALK: [TALK]},
                metadata={"authorization": f"Bearer {TOKEN}", "vk": OTHERS_VIRTUAL_KEY},
                error_details={"status_code": 401, "error": {"type": TALK, "code": PROVIDER_KEY, "message": TALK}},
                selected_key=key(),
                virtual_key={"value": OTHERS_VIRTUAL_KEY},
                raw_request=TALK,
                raw_response=TALK,
            )
        ]
    ).page,
    "/api/logs/stats": {"total_requests": TALK},
    "/api/logs/dropped": {"dropped_requests": TALK},
    "/api/logs/histogram/models": {
        "buckets": [{"timestamp": "2026-11-01T00:00:00Z", "by_model": {PROVIDER_KEY: {"total": 1, "success": 1}}}],
        "bucket_size_seconds": 60,
    },
}
CALLS: dict[str, Callable[[Admin], Any]] = {
    "models": Admin.models,
    "providers": Admin.providers,
    "virtual_keys": Admin.virtual_keys,
    "logs": Admin.logs,
    "stats": Admin.stats,
    "histogram": lambda admin: admin.histogram("models"),
    "reconcile": lambda admin: admin.reconcile(since=None).only_gateway,
}


def leaks(text: str) -> list[str]:
    return sorted(secret for secret in PLANTED if secret in text)


@pytest.fixture(params=["password", "token"])
def admin_of(request: pytest.FixtureRequest, client_of: ClientOf) -> Callable[[str], Admin]:
    own = (
        {"admin_user": "admin", "admin_password": PASSWORD} if request.param == "password" else {"session_token": TOKEN}
    )

    def make(url: str) -> Admin:
        return Admin(client_of(url, virtual_key=VIRTUAL_KEY, api_key=API_KEY), **own)

    return make


def shown(frame: Any) -> Iterator[str]:
    yield frame.to_csv()
    yield frame.to_json(date_format="iso")
    yield frame.to_html()
    yield repr(frame)


@pytest.mark.parametrize("name", CALLS)
def test_no_frame_holds_a_key(admin_of: Callable[[str], Admin], name: str) -> None:
    """Whatever field a key stands in, masked ones and other people's included, no frame shows it."""
    with served(Table(ANSWERS)) as url:
        admin = admin_of(url)
        frame = CALLS[name](admin)
    assert len(frame) == 1 or name == "histogram"
    mine = {VIRTUAL_KEY, API_KEY} | PLANTED
    if not admin._credentials.admin_password:  # then it is a word like any other
        mine = mine - {PASSWORD}
    if not admin._credentials.session_token:
        mine = mine - {TOKEN}
    for text in (*shown(frame), repr(admin)):
        assert not [secret for secret in mine if secret in text]


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("status", [200, 400, 401, 404, 500])
def test_no_error_holds_a_key(client_of: ClientOf, name: str, status: int) -> None:
    """A gateway that echoes all that it was sent puts no key into an error, its traceback or its attributes."""

    def echo(request: Any) -> Any:
        told = f"{dict(request.headers)} {TALK} at {request.url}"
        return json({"error": {"message": told, "type": told, "code": told}}, status) if status > 200 else json(told)

    paths = (*ANSWERS, "/api/providers/openai/keys", "/api/session/login")
    with served(Table(dict.fromkeys(paths, echo))) as url:
        client = client_of(url, virtual_key=VIRTUAL_KEY, api_key=API_KEY)
        admin = Admin(client, admin_user="admin", admin_password=PASSWORD)
        with pytest.raises(BifrostError) as caught:
            CALLS[name](admin)
    error = caught.value
    text = f"{error!r} {error} {vars(error)} {''.join(traceback.format_exception(error, chain=True))}"
    assert leaks(text) in ([], [TOKEN]), "a token that nobody configured looks like any word"
    assert PROVIDER_KEY not in text


def test_no_diagnosis_holds_a_key(client_of: ClientOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the doctor's text nor its HTML nor its frame shows a key."""
    monkeypatch.setenv("BIFROST_ADMIN_USER", "admin")
    monkeypatch.setenv("BIFROST_ADMIN_PASSWORD", PASSWORD)
    with served(Table(ANSWERS)) as url:
        found = doctor(client_of(url, virtual_key=VIRTUAL_KEY, api_key=API_KEY))
    assert len(found) > 5
    assert leaks(f"{found!r} {found._repr_html_()} {found.frame.to_csv()}") == []


def test_no_chart_holds_a_key(client_of: ClientOf) -> None:
    """A model named like a key is hidden in the legend, too."""
    with served(Table(ANSWERS)) as url:
        ax = gateway_chart(Admin(client_of(url)).histogram("models"))
    legend = ax.get_legend()
    assert legend is not None
    said = [text.get_text() for text in legend.get_texts()]
    assert said
    assert leaks(str(said)) == []
