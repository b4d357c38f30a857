"""What only a whole gateway has: routes, a log with costs, a version. Real gateway programs only."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest

import bifrost_nb as bf
from bifrost_nb import Client
from tests.simulator.log_filters import found_by_filter, obeyed

from .conftest import programs_only
from .subjects import Limit, Subject
from .test_answers import PROMPT, good, streamed, within

pytestmark = programs_only


@pytest.mark.feature("A prompt for Azure reaches only Azure")
@pytest.mark.parametrize("route", [None, "azure", "v1"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", ["text", "chat"])
def test_azure_only(client: Client, subject: Subject, kind: str, stream: bool, route: str | None) -> None:
    """On each route, streamed or not, nobody but Azure is asked, a failure included."""
    for deployment in ("azure/fast", "azure/gpt-35-turbo-instruct", "azure/always-fails"):
        if kind == "chat" and "instruct" in deployment:
            continue
        call = client.prepare("text" if kind == "text" else "chat", deployment, PROMPT, stream, route=route)
        run = client.start(call).result().run
        assert run.status == ("error" if "fails" in deployment else "ok"), run.error_message
        assert run.is_fallback in (False, None)
    providers = {asked.partition("/")[0] for asked in subject.asked()}
    assert providers == {"azure"}


@pytest.mark.feature("A prompt for Azure reaches only Azure")
def test_a_name_that_needs_escaping(client: Client, subject: Subject) -> None:
    """A deployment with a blank in its name is asked under that name; the Azure route, which cannot, is refused."""
    good(client.complete("azure/big window", PROMPT, max_tokens=5), "azure/big window")
    assert subject.asked() == ["azure/big window"]
    with pytest.raises(bf.ConfigurationError):
        client.complete("azure/big window", PROMPT, max_tokens=5, route="azure")
    assert subject.asked() == ["azure/big window"]


@pytest.mark.feature("Names beyond ASCII")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_name_beyond_ascii(client: Client, subject: Subject, stream: bool) -> None:
    """It is asked, answers and fails under its own name; in headers (2.0) it stands in UTF-8."""
    name = "local/größe-日本"
    run = streamed(client, "text", name, max_tokens=5) if stream else client.complete(name, PROMPT, max_tokens=5)
    good(run, name)
    subject.script([{"status": 429, "error": {"message": "slow down"}}])
    with pytest.raises(bf.RateLimited) as refused:
        client.complete(name, PROMPT)
    assert refused.value.run is not None
    assert refused.value.run.served == name
    assert subject.asked() == [name] * 2
    if subject.before(2, 0, 0):
        return
    body = {"model": name, "prompt": PROMPT, "stream": stream}
    with httpx.stream("POST", f"{subject.url}/v1/completions", json=body, timeout=20) as answer:
        raw = {key.lower(): value for key, value in answer.headers.raw}
    assert raw[b"x-bifrost-resolved-model"].decode() == name.partition("/")[2]


@pytest.mark.feature("Cost of a call")
def test_costs(subject: Subject, tmp_path: Path) -> None:
    """Whole and streamed answers get their cost, and say where it is from; a refused call gets none."""
    client = subject.client(tmp_path)
    runs = [
        client.complete("openai/gpt-3.5-turbo-instruct", PROMPT, max_tokens=50),
        client.chat("openai/gpt-4o-mini", PROMPT, max_tokens=50),
        streamed(client, "chat", "openai/gpt-4o-mini", max_tokens=50),
        client.complete("azure/fast", PROMPT, max_tokens=50),
    ]
    assert within(15, lambda: all(run.cost_usd is not None for run in runs)), [run.cost_usd for run in runs]
    for run in runs:
        assert run.cost_usd is not None
        assert run.cost_usd > 0
        assert run.cost_source
    with pytest.raises(bf.BifrostError) as refused:
        client.complete("azure/always-fails", PROMPT)
    assert refused.value.run is not None
    assert refused.value.run.cost_usd is None


@pytest.mark.feature("Version and lists of the gateway")
def test_the_lists(client: Client, subject: Subject, limit: Limit) -> None:
    """Models, providers, log rows and the doctor's findings of a real gateway."""
    run = client.complete("openai/gpt-3.5-turbo-instruct", PROMPT, max_tokens=5)
    if subject.version == (1, 4, 10):  # where a provider refuses to list, as `wrong-key` does
        with pytest.raises(bf.GatewayError, match="encountered a cycle"):
            bf.models(client=client)
        limit("Lists no models while one provider fails to list its own (500, a cycle).")
    else:
        assert "openai/gpt-4o-mini" in set(bf.models(client=client)["id"])
    assert {"azure", "openai"} <= set(bf.providers(client=client)["provider"])
    end = time.monotonic() + 10
    while time.monotonic() < end:
        rows = bf.gateway_logs(client=client)
        if run.request_id in set(rows.get("request_id", rows.get("id", []))):
            break
        time.sleep(0.25)
    else:
        pytest.fail(f"no row of {run.request_id} in {rows}")


@pytest.mark.feature("Version and lists of the gateway")
def test_an_alias_is_found_in_the_log(client: Client) -> None:
    """A call of a deployment that has another name at its provider is found by the name that was asked for."""
    run = client.chat("azure/gpt-4o", PROMPT, max_tokens=20)

    def found() -> bool:
        return run.request_id in set(bf.gateway_logs(model="gpt-4o", since="1h", client=client)["request_id"])

    assert within(20, found)


@pytest.mark.feature("Version and lists of the gateway")
def test_the_filters_of_the_log(subject: Subject) -> None:
    """The log is filtered as the table says that the embedded gateway's dialects are held to."""
    assert subject.version is not None
    assert found_by_filter(subject.url) == obeyed(subject.version)


@pytest.mark.feature("Version and lists of the gateway")
def test_the_route_that_counts_tokens(subject: Subject) -> None:
    """Up to 1.4.9 it is ``/v1/count_tokens``, from 1.4.10 on ``/v1/responses/input_tokens``; the other is none."""
    told = [
        httpx.post(f"{subject.url}/v1/{path}", json={"model": "openai/gpt-4o-mini"}, timeout=20)
        for path in ("count_tokens", "responses/input_tokens")
    ]
    assert [answer.status_code for answer in told] == ([400, 405] if subject.before(1, 4, 10) else [405, 400])
    [refusal] = [answer.json()["error"]["message"] for answer in told if answer.status_code == 400]
    assert refusal in ("messages is required for count tokens", "input is required for responses")
