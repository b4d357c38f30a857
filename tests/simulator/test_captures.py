"""The embedded gateway answers as the real ones did: every captured request again, compared with what was captured."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterator
from itertools import chain
from typing import Any

import httpx
import pytest

from bifrost_nb import LocalGateway, local_gateway
from tests.conformance.subjects import EXTRA

from .captures import CAPTURES, GENERATIONS, captured, differences
from .captures_kinds import KINDS

WRONG_KEY = {"type": "invalid_request_error", "code": "invalid_api_key", "message": "Wrong key."}
SAID = ["The", " tide", " is", " the", " rise", " and", " fall", " of", " the", " sea", "."]
RULES: list[dict[str, Any]] = [
    {"deployment": "gemini/gemini-2.5-flash", "text": SAID},
    {"deployment": "cohere/command-r", "text": SAID},
    {"deployment": "wrong-key/small", "status": 401, "error": WRONG_KEY},
    {"deployment": "refused/small", "refused": True},
]
"""What the simulated providers of the captures did that no deployment does by itself."""


GUARDS: dict[str, dict[str, Any]] = {
    "gov_[!a]*.json": {"virtual_key_required": True},
    "gov_apikey*.json": {"virtual_key_required": True},
    "gov_authTrue*.json": {"admin_username": "admin", "admin_password": "S3cret-pass"},
    "gov_authFalse*.json": {
        "admin_username": "admin", "admin_password": "S3cret-pass", "disable_auth_on_inference": True,
    },
}  # fmt: skip
"""How the gateways were set up of which those captures are."""


@contextlib.contextmanager
def setup(dialect: str, protection: dict[str, Any] | None = None) -> Iterator[tuple[LocalGateway, httpx.Client]]:
    """A gateway with the deployments before which the captures were made."""
    extra = [item.model_dump() for item in EXTRA]
    with local_gateway(dialect=dialect, speed=20, deployments=extra, protection=protection) as gateway:
        gateway.script(RULES)
        with httpx.Client(base_url=gateway.url, timeout=20) as http:
            yield gateway, http


def ask(gateway: LocalGateway, http: httpx.Client, real: dict[str, Any]) -> dict[str, Any]:
    """What the gateway answers to the request of a capture, as a capture has it."""
    method, path, body, headers = real["request"]
    http.cookies.clear()  # that of a log-in
    headers = ({"x-request-id": real["sent_id"]} if "sent_id" in real else {}) | (headers or {})
    if isinstance(body, str):
        answer = http.request(method, path, content=body, headers=headers | {"content-type": "application/json"})
    else:
        answer = http.request(method, path, json=body, headers=headers)
    told: dict[str, Any] = {"status": answer.status_code, "headers": [list(item) for item in answer.headers.items()]}
    if answer.headers.get("content-type", "").startswith("application/json"):
        return told | {"json": answer.json()}
    return told | {"text": answer.text}


def await_row(http: httpx.Client, request_id: str) -> None:
    """Wait until the log has the row of a request: it is written in batches, and those of before come with it."""
    end = time.monotonic() + 10
    while all(row["id"] != request_id for row in http.get("/api/logs?limit=100").json()["logs"]):
        assert time.monotonic() < end, f"no row of {request_id}"
        time.sleep(0.02)


def replayed(version: str) -> Iterator[tuple[str, str]]:
    """(capture, difference) of all that was captured of a version and can be asked again."""
    answered = ""
    with setup(GENERATIONS[version]) as (gateway, http):
        for name, real in captured(version, "[0-9]*.json"):
            if real["request"][1].startswith("/api/logs") and answered:
                await_row(http, answered)
                answered = ""
            ours = ask(gateway, http, real)
            yield from ((name, line) for line in differences(real, ours))
            if "/chat/completions" in real["request"][1] and ours["status"] == 200:
                answered = real["sent_id"]
        for name, real in captured(version, "mid_*.json"):
            path, body, rules = real["request"]
            if name == "mid_slow_stream" and GENERATIONS[version] != "2.0":  # without heartbeats only slow
                rules = [rule | {"first_text_ms": 40, "gap_ms": 12} for rule in rules]
            gateway.script(rules)
            streamed = real | {"request": ["POST", path, body | {"stream": True}, {}]}
            yield from ((name, line) for line in differences(real, ask(gateway, http, streamed)))


def guarded(version: str) -> Iterator[tuple[str, str]]:
    """(capture, difference) of what was captured of gateways that asked for a log-in or a virtual key."""
    for pattern, protection in GUARDS.items():
        with setup(GENERATIONS[version], protection) as (gateway, http):
            for name, real in captured(version, pattern):
                asked = governed(version, real)
                for _ in range(2 if name == "gov_rate_limited" else 0):  # what used its limit up was not captured
                    ask(gateway, http, asked)
                yield from ((name, line) for line in differences(real, ask(gateway, http, asked)))


def governed(version: str, real: dict[str, Any]) -> dict[str, Any]:
    """The request of a capture with the planted virtual key that stands for the one it was sent with."""
    method, path, body, headers = real["request"]
    named = json.dumps(headers or {})
    if version != "1.4.0":  # it had made values of its own for the keys of its configuration, and knew none of these
        named = re.sub(r"sk-bf-(free|poor|slow)-0001", lambda found: PLANTED[found[1]], named)
    return real | {"request": [method, path, body, json.loads(named)]}


PLANTED = {
    "free": "sk-bf-demo-0123456789abcdef",
    "poor": "sk-bf-spent-0123456789abcdef",
    "slow": "sk-bf-slow-0123456789abcdef",
}


@pytest.mark.skipif(not CAPTURES.is_dir(), reason="the captures of real gateways (../shared/captures) are not there")
def test_each_captured_request_is_answered_as_the_real_gateways_did() -> None:
    """Status, header names, body, frames, log rows: nothing is otherwise than captured, but for the listed kinds.

    A short run asks the oldest and the newest of six.
    """
    whole = bool(os.environ.get("BIFROST_NB_THOROUGH"))
    unexplained, used = [], set()
    for version in GENERATIONS if whole else (min(GENERATIONS), max(GENERATIONS)):
        for name, line in chain(replayed(version), guarded(version)):
            told = f"{version} {name}: {line}"
            rule = next((rule for rule in KINDS if rule.holds(version, name, line)), None)
            if rule is None:
                unexplained.append(told)
            used.add(rule)
    assert unexplained == []
    if whole:  # what was corrected is to be taken out
        assert [rule.reason for rule in KINDS if rule not in used] == []


def test_rows_of_the_log_come_as_late_as_measured() -> None:
    """In batches from 1.4.18 on, 2 s after the first call of one, 5 s from 1.5.16 on (a fifth of that here)."""
    late = {"1.4": (0.0, 0.8), "1.4.18": (0.35, 2.4), "1.5.1": (0.35, 2.4), "1.5": (0.9, 3.0), "2.0": (0.9, 3.0)}
    for dialect, (earliest, latest) in late.items():
        with local_gateway(dialect=dialect, speed=5) as gateway, httpx.Client(base_url=gateway.url) as http:
            body = {"model": "azure/fast", "prompt": "x", "max_tokens": 1}
            sent = time.monotonic()
            assert http.post("/v1/completions", json=body).status_code == 200
            answered = time.monotonic()
            while not http.get("/api/logs").json()["logs"]:
                assert time.monotonic() - answered < 10
                time.sleep(0.02)
            assert earliest < time.monotonic() - sent  # the call ended somewhere between the two
            assert time.monotonic() - answered < latest


ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "row_text": ("/v1/completions", {"model": "azure/fast", "prompt": "x", "max_tokens": 8}),
    "row_fails": ("/v1/completions", {"model": "azure/always-fails", "prompt": "x"}),
    "row_alias": ("/v1/chat/completions", {"model": "azure/gpt-4o", "messages": [{"role": "user", "content": "x"}]}),
    "row_chat_stream": (
        "/v1/chat/completions",
        {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "x"}], "stream": True},
    ),
}


@pytest.mark.skipif(not CAPTURES.is_dir(), reason="the captures of real gateways (../shared/captures) are not there")
def test_a_row_by_itself_has_the_captured_fields() -> None:
    """What ``/api/logs/{id}`` of 2.0 has that its list leaves out, and nothing else."""
    with local_gateway(dialect="2.0", speed=50) as gateway, httpx.Client(base_url=gateway.url, timeout=20) as http:
        for name, (path, body) in ROWS.items():
            http.post(path, json=body, headers={"x-request-id": name, "x-bf-dim-team": "blue"})
        await_row(http, name)
        for name in ROWS:
            real = json.loads((CAPTURES / "2.0.0-prerelease3" / f"{name}.json").read_text())["row"]
            ours = http.get(f"/api/logs/{name}").json()
            # Why routing failed is told in words of the engine's.
            assert set(ours) == set(real) - {"routing_engine_logs"}, name
            assert {each: ours[each] for each in ("object", "status", "provider", "model")} == {
                each: real[each] for each in ("object", "status", "provider", "model")
            }


def test_1_4_hands_a_stream_on_when_it_has_ended() -> None:
    """Nothing arrives before the end, then everything, with its length; 1.5 says each chunk as it comes."""
    for dialect, buffered in (("1.4", True), ("1.5", False)):
        with local_gateway(dialect=dialect) as gateway, httpx.Client(base_url=gateway.url) as http:
            gateway.script([{"text": ["a", "b", "c"], "gap_ms": 150, "first_text_ms": 0}])
            body = {"model": "azure/fast", "prompt": "x", "stream": True}
            began = time.monotonic()
            with http.stream("POST", "/v1/completions", json=body) as answer:
                headers_after = time.monotonic() - began
                content = answer.read()
            assert content.endswith(b"data: [DONE]\n\n")
            assert (headers_after > 0.28, "content-length" in answer.headers) == (buffered, buffered)
