"""Failures: fallbacks, errors, broken streams, time limits and cancelling through each gateway."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest

import bifrost_nb as bf
from bifrost_nb import Client, Run, Timeouts

from .conftest import engines_only
from .subjects import Limit, Subject
from .test_answers import PROMPT, good, streamed, told

OVERLOADED = {"type": "server_error", "code": "overloaded", "message": "The server is overloaded"}
SLOW_DOWN = {"type": "rate_limit_error", "code": "rate_limit_exceeded", "message": "Slow down"}


def failed(client: Client, deployment: str, *, kind: str = "text", stream: bool = False, **options: Any) -> Any:
    """The error of a call that fails; its run is recorded, with the same facts."""
    call = client.prepare("text" if kind == "text" else "chat", deployment, PROMPT, stream, **options)
    outcome = client.start(call).result()
    error, run = outcome.error, outcome.run
    assert error is not None, f"{run.status}: {run.text!r}"
    assert error.run is run
    assert [logged.status for logged in client.log.read()][-1] == run.status
    assert run.error_message == str(error)
    return error


# -- fallbacks --------------------------------------------------------------------------------------------------------


@pytest.mark.feature("Fallbacks")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "rule", [{"status": 429, "error": SLOW_DOWN}, {"status": 500, "error": OVERLOADED}, {"status": 401}], ids=str
)
def test_the_second_fallback_answers(client: Client, subject: Subject, rule: dict[str, Any], stream: bool) -> None:
    """When the primary and the first fallback fail the second answers, and the run says so."""
    subject.script([{"deployment": "azure/fast", **rule}, {"deployment": "openai/gpt-3.5-turbo-instruct", **rule}])
    fallbacks = ["openai/gpt-3.5-turbo-instruct", "local/small"]
    run = (
        streamed(client, "text", "azure/fast", fallbacks=fallbacks, max_tokens=8)
        if stream
        else client.complete("azure/fast", PROMPT, fallbacks=fallbacks, max_tokens=8)
    )
    assert subject.asked() == ["azure/fast", *fallbacks]
    assert (run.status, run.requested, run.served) == ("ok", "azure/fast", "local/small")
    assert (run.is_fallback, run.fallback_index) == (True, 2)
    assert (run.completion_tokens, run.fallbacks) == (8, fallbacks)


@pytest.mark.feature("Fallbacks")
@pytest.mark.parametrize("stream", [False, True])
def test_a_fallback_of_the_same_provider(client: Client, subject: Subject, stream: bool) -> None:
    """Another deployment of the same provider is recognised as the fallback it is."""
    options: dict[str, Any] = {"fallbacks": ["azure/large"], "max_tokens": 8}
    run = (
        streamed(client, "text", "azure/always-fails", **options)
        if stream
        else client.complete("azure/always-fails", PROMPT, **options)
    )
    assert (run.served, run.is_fallback, run.fallback_index) == ("azure/large", True, 1)
    assert subject.asked() == ["azure/always-fails", "azure/large"]


@pytest.mark.feature("Fallbacks")
def test_a_chat_falls_back_to_another_format(client: Client) -> None:
    """A chat's fallback may be a provider with a format of its own."""
    run = client.chat("azure/always-fails", PROMPT, fallbacks=["anthropic/claude-haiku-4-5"], max_tokens=20)
    assert (run.status, run.served) == ("ok", "anthropic/claude-haiku-4-5")
    assert (run.is_fallback, run.fallback_index) == (True, 1)


@pytest.mark.feature("Fallbacks")
def test_a_fallback_that_was_not_needed(client: Client, subject: Subject) -> None:
    """Where the primary answers nobody else is asked."""
    good(client.complete("azure/fast", PROMPT, fallbacks=["local/small"], max_tokens=8), "azure/fast")
    assert subject.asked() == ["azure/fast"]


@pytest.mark.feature("Fallbacks")
def test_providers_that_are_not_configured_are_skipped(client: Client, subject: Subject) -> None:
    """A fallback, or a primary, whose provider has no key at the gateway is passed over."""
    run = client.complete("azure/always-fails", PROMPT, fallbacks=["xai/grok", "local/small"], max_tokens=8)
    assert (run.served, run.fallback_index) == ("local/small", 2)
    run = client.complete("xai/grok", PROMPT, fallbacks=["local/small"], max_tokens=8)
    assert (run.served, run.is_fallback) == ("local/small", True)
    assert subject.asked() == ["azure/always-fails", "local/small", "local/small"]


@pytest.mark.feature("Fallbacks")
@pytest.mark.parametrize("stream", [False, True])
def test_when_all_fail(client: Client, subject: Subject, stream: bool) -> None:
    """The primary's error is the one that is told."""
    subject.script([{"deployment": "azure/fast", "status": 429, "error": SLOW_DOWN}])
    error = failed(client, "azure/fast", stream=stream, fallbacks=["azure/always-fails", "openai/none"])
    assert isinstance(error, bf.RateLimited)
    assert (error.provider, error.code) == ("azure", "rate_limit_exceeded")
    assert subject.asked() == ["azure/fast", "azure/always-fails", "openai/none"]


@pytest.mark.feature("Fallbacks")
def test_a_repeated_call_forgets_who_failed(client: Client, subject: Subject) -> None:
    """After a failed attempt the run says who answered the next one, and nothing of who failed the first."""
    subject.script(
        [{"deployment": "azure/fast", "status": 500}, {"deployment": "local/small", "status": 500, "times": 1}]
    )
    run = client.complete("azure/fast", PROMPT, fallbacks=["local/small"], max_tokens=8, retries=1)
    assert [attempt.http_status for attempt in run.attempts] == [500, 200]
    assert (run.served, run.is_fallback, run.fallback_index) == ("local/small", True, 1)
    assert run.model_deployment in (None, "small")


# -- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.feature("Errors of the provider")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (401, {"code": "invalid_api_key", "message": "Wrong key"}, bf.AuthenticationFailed),
        (404, {"code": "DeploymentNotFound", "message": "Not here"}, bf.NotFound),
        (429, SLOW_DOWN, bf.RateLimited),
        (500, OVERLOADED, bf.GatewayError),
        (503, OVERLOADED, bf.GatewayError),
    ],
)
def test_a_providers_error(
    client: Client, subject: Subject, status: int, error: dict[str, str], kind: type, stream: bool
) -> None:
    """Status, code, message and provider come through, and make the exception; nothing is recorded as an answer."""
    subject.script([{"deployment": "azure/fast", "status": status, "error": error}])
    found = failed(client, "azure/fast", stream=stream)
    assert type(found) is kind
    assert (found.status, found.code, found.provider) == (status, error["code"], "azure")
    assert error["message"] in str(found)
    run = found.run
    assert (run.status, run.http_status, run.error_code) == ("error", status, error["code"])
    assert (run.served, run.is_fallback) == ("azure/fast", False)
    assert run.response is run.total_tokens is run.ttft_ms is None


@pytest.mark.feature("Errors of the provider")
def test_a_key_that_the_provider_refuses(client: Client, subject: Subject) -> None:
    """A wrong key at the gateway is told as the provider's refusal, without the key."""
    if not subject.real:
        error = {"type": "invalid_request_error", "code": "invalid_api_key", "message": "Wrong key."}
        subject.script([{"deployment": "wrong-key/small", "status": 401, "error": error}])
    found = failed(client, "wrong-key/small")
    assert isinstance(found, bf.AuthenticationFailed)
    assert (found.provider, found.code) == ("wrong-key", "invalid_api_key")
    assert "provider-key" not in f"{found!r} {found.run!r}"


@pytest.mark.feature("Errors of the provider")
def test_a_deployment_that_does_not_exist(client: Client, subject: Subject) -> None:
    """Asking for a deployment that is not there says so."""
    found = failed(client, "openai/none")
    assert isinstance(found, bf.NotFound)
    assert (found.provider, found.code) == ("openai", "model_not_found")
    found = failed(client, "azure/none")
    if subject.generation == "1.3":
        assert found.status in (400, 500)  # 500 on the Azure route of a gateway
        assert type(found) is bf.GatewayError
        assert "no keys found that support model/deployment: none" in str(found)
    else:
        assert (found.code, type(found)) == ("DeploymentNotFound", bf.NotFound)


@pytest.mark.feature("Errors of the provider")
def test_a_chat_deployment_completes_no_text(client: Client) -> None:
    """A text completion of a chat model ends with the provider's words."""
    found = failed(client, "openai/gpt-4o-mini")
    assert isinstance(found, bf.NotFound)
    assert "chat model" in str(found)


@pytest.mark.feature("Errors of the gateway")
def test_a_provider_that_is_not_configured(client: Client, subject: Subject) -> None:
    """A provider without a key at the gateway, or that nobody knows, is named, with what to do."""
    found = failed(client, "xai/grok")
    assert (found.status, found.provider, type(found)) == (400, "xai", bf.GatewayError)
    engine = not subject.version and "embedded" not in subject.name
    assert ("xai is not configured" if engine else "failed to get config for provider") in str(found)
    assert "bf.providers()" in str(found)
    found = failed(client, "nowhere/small")
    assert found.status == 400
    if subject.version:  # gateways use three wordings
        assert found.hint
        return
    assert ("nowhere" if subject.generation == "1.3" else "specify a provider") in str(found)


@pytest.mark.feature("Errors of the gateway")
@pytest.mark.parametrize("content", [[{"type": "text", "text": {"a": 1}}], ["words"], {"a": 1}], ids=str)
def test_a_content_that_cannot_be_decoded(subject: Subject, content: Any) -> None:
    """The gateway's own decoder refuses it; newer ones keep its words, and no provider is asked."""
    if subject.real and not subject.version:
        return  # an engine alone decodes no requests
    body = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": content}]}
    refused = httpx.post(f"{subject.url}/v1/chat/completions", json=body, timeout=20)
    said = str(refused.json()["error"]["message"]).lower()
    assert (refused.status_code, subject.asked()) == (400, [])
    words = "content field is neither a string nor an array of content blocks"
    assert said in (f"invalid request format: {words}", "invalid request payload", f"invalid request payload: {words}")


@engines_only
@pytest.mark.feature("Errors of the gateway")
def test_a_provider_at_whose_address_nobody_listens(client: Client, subject: Subject) -> None:
    """The gateway's own network error is told as such."""
    found = failed(client, "refused/small")
    old = subject.generation == "1.3" or subject.before(1, 5, 16)
    assert found.status == (400 if old else 502)
    assert ("failed to execute HTTP request" if subject.before(1, 4, 0) else "network error") in str(found)
    assert "provider" in str(found.hint)


@engines_only
@pytest.mark.feature("The gateway's own retries")
def test_the_gateway_asks_again(client: Client, subject: Subject, limit: Limit) -> None:
    """A failure that the gateway cures by asking again is an answer like any other, and only takes longer."""
    subject.script([{"deployment": "persistent/small", "status": 500, "error": OVERLOADED, "times": 1}])
    good(client.complete("persistent/small", PROMPT, max_tokens=8), "persistent/small")
    assert subject.asked() == ["persistent/small"] * 2
    refused = {"code": "invalid_api_key", "message": "Wrong key"}
    subject.script([{"deployment": "persistent/small", "status": 401, "error": refused}])
    found = failed(client, "persistent/small")
    if subject.generation == "1.3" or subject.before(1, 5, 16):
        assert isinstance(found, bf.AuthenticationFailed)
    else:
        limit(f"With retries, a provider's 401 becomes 502 `upstream_credentials_exhausted`: {found.hint}")
        assert (found.status, found.type) == (502, "upstream_credentials_exhausted")
        assert "renew" in str(found.hint)


# -- streams that break -----------------------------------------------------------------------------------------------


@pytest.mark.feature("Streams that break")
@pytest.mark.parametrize(
    ("kind", "deployment", "route"),
    [("text", "azure/fast", "azure"), ("text", "azure/fast", "v1"), ("chat", "openai/gpt-4o-mini", None)],
)
def test_an_error_in_the_middle(
    client: Client, subject: Subject, kind: str, deployment: str, route: str | None
) -> None:
    """An error frame ends a stream as that error; the text before it is kept, and no fallback is asked."""
    subject.script([{"deployment": deployment, "error_after_chunks": 2, "gap_ms": 1, "error": OVERLOADED}])
    found = failed(client, deployment, kind=kind, stream=True, route=route, fallbacks=["local/small"])
    assert isinstance(found, bf.GatewayError)
    assert (found.provider, found.code) == (deployment.partition("/")[0], "overloaded")
    run: Run = found.run
    assert (run.status, run.error_code, run.chunks) == ("error", "overloaded", 2)
    assert run.served == deployment
    assert run.text
    assert run.ttft_ms is not None
    assert run.finish_reason is run.total_tokens is run.latency_ms is None
    assert subject.asked() == [deployment]


@pytest.mark.feature("Streams that break")
@pytest.mark.parametrize(
    ("kind", "deployment"), [("text", "azure/fast"), ("chat", "azure/fast"), ("chat", "anthropic/claude-haiku-4-5")]
)
def test_a_provider_that_breaks_off(client: Client, subject: Subject, kind: str, deployment: str) -> None:
    """A stream that its provider cuts is truncated, although the gateway ends it in good order."""
    subject.script([{"deployment": deployment, "provider_cut_after_chunks": 2, "gap_ms": 1}])
    found = failed(client, deployment, kind=kind, stream=True)
    assert isinstance(found, bf.StreamInterrupted)
    run: Run = found.run
    assert (run.status, run.chunks, run.provider) == ("truncated", 2, deployment.partition("/")[0])
    assert found.text == run.text != ""
    assert run.finish_reason is run.total_tokens is run.completion_tokens is run.tokens_per_s is None


# -- time limits and cancelling ---------------------------------------------------------------------------------------


@pytest.mark.feature("Time limits")
def test_the_gateways_own_time_limit(client: Client, subject: Subject, limit: Limit) -> None:
    """A provider that goes silent ends with the gateway's error, not with our own time limit, or with a fallback."""
    # Bifrost itself is configured to wait 1 s for this provider.
    subject.script([{"deployment": "impatient/small", "provider_timeout_ms": 300}])

    def start(stream: bool, *fallbacks: str) -> Any:
        options = {"max_tokens": 8, "fallbacks": fallbacks}
        return client.start(client.prepare("text", "impatient/small", PROMPT, stream, **options))

    jobs = [start(False), start(False, "local/small")]
    hangs = subject.version == (1, 5, 1)
    if not hangs:
        jobs += [start(True), start(True, "local/small")]
    alone, helped, *streams = (job.result() for job in jobs)
    early = subject.generation == "1.3"
    for outcome in (alone, *streams[:1]):
        assert isinstance(outcome.error, bf.GatewayError)
        assert (outcome.run.status, outcome.run.response, outcome.error.provider) == ("error", None, "impatient")
        assert "took too long" in str(outcome.error.hint)
    slow = subject.before(1, 5, 16) and not early
    assert (alone.error.status, alone.error.type) in (
        {(500, None), (504, None), (504, "request_timed_out")} if slow or early else {(504, "request_timed_out")}
    )
    assert (helped.run.status, helped.run.served, helped.run.is_fallback) == ("ok", "local/small", True)
    if hangs:
        found = failed(client, "impatient/small", stream=True, timeout=2, max_tokens=8)
        assert isinstance(found, bf.TimedOut)
        limit(told(found.run, "waits without end"))
        return
    alone_stream, helped_stream = streams
    assert "Error reading stream" in str(alone_stream.error)
    if early and subject.version != (1, 4, 18):
        assert helped_stream.run.status == "error"
        if subject.version:
            limit(told(helped_stream.run, "asks no fallback"))
        else:
            limit("A stream's first chunk that is late is an error in the stream: no fallback.")
    elif subject.generation == "1.5":
        assert helped_stream.error.status == 500
        if subject.version:
            limit(told(helped_stream.run, "loses its answer"))
        else:
            limit("When a stream's first chunk is late, Bifrost 1.5 asks the fallback and loses its answer.")
        assert subject.asked().count("local/small") == 2
    else:
        assert (helped_stream.run.status, helped_stream.run.served) == ("ok", "local/small")


@pytest.mark.feature("Time limits")
@pytest.mark.parametrize(
    ("rule", "limits", "phase"),
    [
        ({"first_text_ms": 5000, "delay_ms": 5000}, Timeouts(first_byte=0.2), "first_byte"),
        ({"stall_after_chunks": 2, "gap_ms": 1}, Timeouts(between_chunks=0.2), "between_chunks"),
        ({"gap_ms": 80}, Timeouts(total=0.3), "total"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_our_own_time_limits(
    client: Client, subject: Subject, limit: Limit, rule: dict[str, Any], limits: Timeouts, phase: str
) -> None:
    """Each of our limits ends the call, and keeps the text so far."""
    subject.script([{"deployment": "local/small", **rule}])
    if held := subject.version == (1, 4, 0):  # nothing comes before the end, so no other limit can tell what is wrong
        limits, phase = (limits, phase) if phase == "total" else (Timeouts(first_byte=0.4), "first_byte")
    found = failed(client, "local/small", stream=True, timeout=limits, max_tokens=20)
    assert isinstance(found, bf.TimedOut)
    assert (found.phase, found.run.status) == (phase, "timeout")
    if held:
        limit(told(found.run, "when it is over"))
        assert not found.run.text
        return
    assert bool(found.run.text) == (phase != "first_byte")


@pytest.mark.feature("Cancelling")
def test_cancelling_reaches_the_provider(client: Client, subject: Subject, limit: Limit) -> None:
    """A cancelled stream is recorded with its text, and the one who was asked hears of it."""
    subject.script([{"deployment": "local/small", "gap_ms": 60}])
    with client.stream("local/small", PROMPT, max_tokens=20) as stream:
        if subject.version == (1, 4, 0):  # sends a stream when it is over
            threading.Timer(0.2, stream.cancel).start()
            assert not list(stream)
        else:
            next(iter(stream))
            stream.cancel()
    assert stream.run.status == "cancelled"
    assert bool(stream.run.text) == (subject.version != (1, 4, 0))
    if subject.version == (1, 4, 0):
        limit(told(stream.run, "when it is over"))
    if subject.before(1, 5, 16):
        limit(told(stream.run, "does not pass a cancel on"))
        assert not subject.wait_left(0.3)
    elif subject.real and subject.generation == "1.3":
        limit("Bifrost 1.4 reads the provider's answer to its end all the same.")
        assert not subject.wait_left(0.3)
    else:
        assert subject.wait_left(3)
