"""Error answers and frames: what they say, which exception they become, what to do next."""

from __future__ import annotations

import re
import time
from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st

from bifrost_nb._wire.gateway_errors import ErrorInfo, TryAgain, gateway_error, is_error, parse_error, retry_after
from bifrost_nb.errors import AuthenticationFailed, BudgetExceeded, GatewayError, NotFound, RateLimited

from .spec import anything

INNER = {"type": "rate_limit_error", "code": "rate_limit_exceeded", "message": "Slow down", "param": None}
FLAT: dict[str, Any] = {
    "is_bifrost_error": False,
    "status_code": 429,
    "error": INNER,
    "extra_fields": {"provider": "azure", "model_requested": "fast"},
}
AZURE = {"provider": "azure"}
EXPECTED = ErrorInfo(429, "rate_limit_error", "rate_limit_exceeded", "Slow down", "azure", None, None)


def told(body: Any, status: int | None = None, **headers: str) -> ErrorInfo:
    """`parse_error` with headers as keywords."""
    return parse_error(body, status, {name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize("form", ["flat", "nested", "bytes", "text"])
def test_the_same_error_in_every_frame(form: str) -> None:
    """The gateway's object, the same inside another one, decoded or not: one reading."""
    body: Any = {"error": FLAT} if form == "nested" else FLAT
    body = orjson.dumps(body) if form == "bytes" else orjson.dumps(body).decode() if form == "text" else body
    assert told(body, 429) == EXPECTED
    assert told(body) == EXPECTED, "inside a stream the body's own status counts"
    assert told(body, 200) == EXPECTED


def test_an_error_of_plain_text() -> None:
    """Some endpoints, and plugin failures in streams, send only a sentence."""
    assert told({"error": "no such key"}, 401)[:4] == (401, None, None, "no such key")
    assert told({"error": {"is_bifrost_error": True, "error": "inner"}}).message == "inner"
    assert told({"message": "from a proxy"}, 502).message == "from a proxy"


def test_governance_writes_its_kind_on_top() -> None:
    """The kind of a refused virtual key is in the outer type, a provider's in the inner one."""
    refused = {"type": "budget_exceeded", "is_bifrost_error": False, "error": {"message": "over", "type": "x"}}
    assert told(refused, 402).type == "budget_exceeded"
    assert (
        told({"type": "error", "error": {"type": "overloaded_error", "message": "m"}}, 529).type == "overloaded_error"
    )
    assert told({"type": "error", "error": {"message": "m"}}, 500).type == "error"
    assert told({"error": {"message": "m"}, "extra_fields": {"error_type": "provider_timeout"}}, 504).type == (
        "provider_timeout"
    )


def test_the_cause_stands_beside_the_message() -> None:
    """The engine's own error text is added where it says more than the message."""
    body = {"error": {"message": "network error occurred", "error": "dial tcp: connection refused"}}
    assert told(body, 502).message == "network error occurred: dial tcp: connection refused"
    assert told({"error": {"message": "same", "error": "same"}}, 400).message == "same"
    assert told({"error": {"error": "<html><title>502</title></html>", "message": "HTML received"}}, 502).message == (
        "HTML received: a web page instead of JSON: '502'"
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the answer has no body"),
        (b"  \r\n", "the answer has no body"),
        (b"Method Not Allowed", "Method Not Allowed"),
        (b"two\n\n lines", "two lines"),
        (b'"a JSON text"', "a JSON text"),
        (b"[1, 2]", "[1, 2]"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"<html><head><title>502 &lt;b&gt; Gate</title></head><p>x", "a web page instead of JSON: '502 <b> Gate'"),
        (b"<!DOCTYPE html><body><h1>Not\nhere</h1> nginx", "a web page instead of JSON: 'Not here nginx'"),
        (b"{}", "no reason was given"),
        (b'{"error": {}}', "no reason was given"),
        (b'{"error": 5}', "no reason was given"),
        (b'{"detail": [], "errors": {}}', "no reason was given"),
        (b'{"detail": [{"loc": ["body", "n", 0], "msg": "too many", "input": "x"}]}', "body.n.0: too many"),
        (b'{"detail": [{"loc": ["n"], "msg": "a"}, {"msg": "b"}]}', "n: a; b"),
        (b'{"detail": {"reason": "no such route"}}', '{"reason": "no such route"}'),
        (b'{"error": {"message": {"en": "no"}}}', '{"en": "no"}'),
        (b'{"errors": ["first", "second"]}', '["first", "second"]'),
        (b'[{"error": {"code": 400, "message": "of Gemini", "status": "INVALID_ARGUMENT"}}]', "of Gemini"),
    ],
)  # fmt: skip
def test_what_stands_between_speaks_too(body: bytes, message: str) -> None:
    """Pages and words of proxies and web servers become one line."""
    assert told(body, 502).message == message


def test_identity_comes_from_headers_where_the_body_has_none() -> None:
    """Provider and request id from the gateway's headers, whatever their case; the body's provider first."""
    headers = {"X-Bifrost-Provider": "openai", "X-Request-Id": "r1", "X-Bifrost-Request-Id": "r2"}
    info = parse_error({"error": {"message": "m"}}, 500, headers)
    assert (info.provider, info.request_id) == ("openai", "r2")
    assert parse_error(FLAT, 500, {**headers}).provider == "azure"
    assert parse_error({"extra_fields": {"routing_info": {"provider": "local"}}}, 500, {}).provider == "local"


def test_the_http_status_counts_before_the_bodys() -> None:
    """What was measured beats what was written; nonsense in the body is no status."""
    assert told({**FLAT, "status_code": 400}, 429).status == 429
    for nonsense in (0, 200, 1000, "429", True, None):
        assert told({"error": {"message": "m"}, "status_code": nonsense}).status is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"Retry-After": "0.5"}, 0.5),
        ({"retry-after": "3", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "Sun, 22 Nov 2026 10:00:30 GMT", "date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 30.0),
        ({"retry-after": "Sun, 22 Nov 2026 09:00:00 GMT", "date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 0.0),
        ({"retry-after": "Mon, 01 Jan 2001 00:00:00 GMT"}, 0.0),
        ({"retry-after": "1795341630", "date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 30.0),
        ({"retry-after": "1795341570", "date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 0.0),
        *(({"retry-after": text}, None) for text in ("", "soon", "-1", "nan", "inf", "Sun, 99 Foo 2026", "1e999")),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, milliseconds or a date on the server's own clock; nonsense is ignored."""
    assert retry_after(headers) == seconds


@pytest.mark.parametrize(
    ("info", "kind"),
    [
        ({"status": 401}, AuthenticationFailed),
        ({"status": 403, "type": "model_blocked"}, AuthenticationFailed),
        ({"status": 402}, BudgetExceeded),
        ({"status": 429, "type": "budget_exceeded"}, BudgetExceeded),
        ({"status": 404}, NotFound),
        ({"status": 429}, RateLimited),
        ({"status": 500, "type": "rate_limit_error"}, GatewayError),
        ({"status": 400}, GatewayError),
        ({"status": 400, "type": "rate_limit_error"}, RateLimited),
        ({"status": 400, "type": "error", "code": "rate_limit_exceeded"}, RateLimited),
        ({"status": 400, "type": "authentication_error"}, AuthenticationFailed),
        ({"status": 400, "type": "overloaded_error"}, GatewayError),
        ({"type": "rate_limit_error"}, RateLimited),
        ({"code": "model_not_found"}, NotFound),
        ({"type": "virtual_key_blocked"}, AuthenticationFailed),
        ({"type": "server_error"}, GatewayError),
        ({}, GatewayError),
    ],
)
def test_the_exception_fits_the_error(info: dict[str, Any], kind: type[GatewayError]) -> None:
    """By status, by the kind where a stream's frame has none or its first one became a 400; all facts are on it."""
    full = ErrorInfo(None, None, None, "what happened", "azure", "r1", 2.0)._replace(**info)
    error = gateway_error(full)
    assert type(error) is kind
    assert (error.status, error.type, error.code) == (full.status, full.type, full.code)
    assert (error.provider, error.request_id, error.retry_after_s) == ("azure", "r1", 2.0)
    assert "what happened" in str(error)
    assert "for azure" in str(error)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"type": "virtual_key_required", "error": {"message": "m"}}, 401, "BIFROST_VIRTUAL_KEY"),
        ({"type": "virtual_key_required", "error": {"message": "m"}}, 401, "a key that it does not know"),
        ({"type": "budget_exceeded", "error": {"message": "m"}}, 402, "bf.budgets()"),
        ({"type": "request_limited", "error": {"message": "m"}}, 429, "bf.rate_limits()"),
        ({"type": "missing_required_headers", "error": {"message": "missing required headers: x"}}, 400, "headers="),
        ({"error": {"message": "Insufficient Balance"}, "extra_fields": AZURE}, 402, "account has no money"),
        ({"error": {"message": "m"}, "extra_fields": AZURE}, 405, "The provider has no such route"),
        ({"error": {"message": "m"}, "extra_fields": AZURE}, 407, "between the gateway and the provider"),
        ({"error": {"message": "m"}, "extra_fields": AZURE}, 502, "The provider, or what is before it"),
        ({"error": {"type": "overloaded_error", "message": "m"}, "extra_fields": AZURE}, 400, "overloaded"),
        ({"error": {"type": "rate_limit_error", "message": "m"}, "extra_fields": AZURE}, 400, "Wait and try again"),
        (
            {"error": {"code": "invalid_api_key", "message": "m"}, "extra_fields": AZURE},
            400,
            "provider refused the key",
        ),
        ({"error": {"message": "azure key config not set"}, "extra_fields": AZURE}, 500, "leave it out"),
        ({"error": {"message": "request dropped: queue is full"}, "extra_fields": AZURE}, 400, "send fewer at once"),
        (
            {"error": {"message": "network error occurred while connecting: read: connection reset by peer"}},
            502,
            "broke before its answer came",
        ),
        (b"Error when parsing request", 400, "max_request_body_size_mb"),
        ({"error": {"code": "content_filter", "message": "m"}}, 400, "change the prompt"),
        ({"error": {"code": "moderation_blocked", "message": "m"}}, 400, "change the prompt"),
        ({"error": {"code": "context_length_exceeded", "message": "m"}}, 400, "Shorten the prompt"),
        ({"error": {"type": "server_error", "message": "m"}}, None, "try again"),
        ({"error": {"message": 'no supported key found with name "x" for provider: a and model: b'}}, 400, "Configure"),
        (
            {"error": {"message": "model should be in provider/model format"}},
            400,
            "Write the deployment as provider/model",
        ),
        ({"error": {"message": "provider is required"}}, 400, "Write the deployment as provider/model"),
        (
            {"error": {"message": "failed to get config for provider: provider x is not configured"}},
            400,
            "bf.providers()",
        ),
        ({"error": {"message": "no keys found that support model: x"}}, 400, "Configure this provider"),
        ({"error": {"message": "text completion is not supported by anthropic"}}, 400, "chat"),
        (
            {"error": {"message": "This is a chat model and not supported in the v1/completions endpoint."}},
            404,
            "ask it by chat",
        ),
        ({"error": {"message": "The completion operation does not work with the specified model"}}, 400, "by chat"),
        ({"error": {"message": "The chatCompletion operation does not work with the specified"}}, 400, "has no chat"),
        ({"error": {"message": "This is not a chat model and thus not supported in the"}}, 404, "client.complete"),
        ({"error": {"message": "gone"}}, 404, "bf.models()"),
        ({"error": {"code": "insufficient_quota", "message": "m"}}, 429, "waiting does not help"),
        ({"error": {"code": "upstream_credentials_exhausted", "message": "m"}}, 502, "refused every key"),
        ({"error": {"message": "m"}, "extra_fields": {"provider": "azure"}}, 401, "The provider refused the key"),
        (b"Method Not Allowed", 405, "without /v1"),
        ({"error": {"message": "m"}}, 503, "name a fallback"),
    ],
)
def test_the_hint_says_what_to_do(body: Any, status: int | None, words: str) -> None:
    """Each common failure names the next step."""
    hint = gateway_error(told(body, status)).hint
    assert hint is not None
    assert words in hint


@pytest.mark.parametrize("status", [*range(400, 432), 451, 499, *range(500, 530), 599])
def test_every_status_has_a_hint(status: int) -> None:
    """Whatever a gateway, a provider or a proxy between answers, the error says what to do about it."""
    error = gateway_error(parse_error(b'{"error": {"message": "no"}}', status, {}))
    assert error.hint
    assert error.hint in str(error)
    assert isinstance(error.hint, TryAgain) == ("fallback" in error.hint), "a batch says that its own way"


@pytest.mark.parametrize("status", [400, 409, 422])
def test_no_hint_sends_to_a_message_that_is_not_there(status: int) -> None:
    """Where no reason was given, the hint names where one may be found."""
    assert "gateway_logs" in (gateway_error(told(b"{}", status)).hint or "")


def test_a_limited_answer_says_how_long_to_wait() -> None:
    """The provider's own waiting time is in the hint."""
    assert "Wait 3 s" in str(gateway_error(told(FLAT, 429, retry_after="3")))
    assert "Wait 86400 s" in str(gateway_error(told(FLAT, 429, retry_after="86400")))
    for absurd in ("86401", "1e9", "1796010000000", "Fri, 31 Dec 9999 23:59:59 GMT"):
        assert re.search(r"\d s\b", str(gateway_error(told(FLAT, 429, retry_after=absurd)))) is None


def test_no_key_and_no_control_sequence_gets_through() -> None:
    """Keys that servers repeat are hidden, also when cut by control characters, and the terminal is safe."""
    secret = "my-own-secret-value"
    text = f"bad key sk-bf-\x1b[31m0123456789abcdef \x1b]0;title\x07{secret} \u202e x"
    body = {"error": {"message": text, "type": f"t{secret}", "code": "sk-proj-0123456789abcdefgh", "error": text}}
    for form in (body, orjson.dumps(body), text):
        info = parse_error(form, 401, {"x-request-id": secret}, secrets=[None, secret])
        shown = repr(tuple(info)) + str(gateway_error(info))
        for forbidden in (secret, "0123456789", "\x1b", "\u202e", "\\x1b", "\\u202e"):
            assert forbidden not in shown


def test_hostile_pages_cost_little() -> None:
    """Megabytes of markup, nesting or words are read in well under a second and cut."""
    start = time.process_time()
    nested: Any = {"error": "x"}
    for _ in range(900):
        nested = {"error": nested}
    for body in (
        b"<html>" + b"<" * 2_000_000,
        b"<html>" + b"<title" * 300_000,
        b"x " * 1_000_000,
        b"\x1b]" * 500_000,
        nested,
    ):
        assert len(told(body, 500).message) <= 2000
    assert time.process_time() - start < 1


def test_error_frames_are_told_from_chunks() -> None:
    """A chunk may carry an empty error field; only a filled one makes it an error frame."""
    assert is_error(FLAT)
    assert is_error({"error": "x"})
    chunks: list[Any] = [{}, {"error": None, "choices": []}, {"error": {}}, {"error": ""}, [], None, "error"]
    for chunk in chunks:
        assert not is_error(chunk)


@given(anything() | st.binary() | st.text(), st.none() | st.integers(0, 700))
def test_any_error_body_gives_a_message(body: Any, status: int | None) -> None:
    """Whatever a server answers, there is one safe message and an exception for it."""
    if not isinstance(body, bytes | str | dict):
        body = orjson.dumps(body)
    info = parse_error(body, status, {})
    assert info.message
    assert "\x1b" not in str(gateway_error(info))
