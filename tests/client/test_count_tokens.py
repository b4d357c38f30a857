"""Counting tokens: what the gateway's two routes take and say, and what `dry_run` makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

import bifrost_nb as bf
from bifrost_nb import Client, ConfigurationError, LocalGateway, NotFound, RunLog, local_gateway
from tests import lazy
from tests.admin.servers import Table, served

A, B, REFUSED = "openai/gpt-4o-mini", "anthropic/claude-haiku-4-5", "azure/gpt-4o"


@pytest.fixture(scope="module", params=["1.3", "1.4", "1.5", "2.0", "2.2"])
def every_gateway(request: pytest.FixtureRequest) -> Iterator[LocalGateway]:
    with local_gateway(dialect=request.param, speed=20) as gateway:
        yield gateway


def counted(gateway: LocalGateway) -> list[Any]:
    paths = ("/v1/responses/input_tokens", "/v1/count_tokens")
    return [one for one in gateway.requests() if one["path"] in paths]


def test_the_count_is_what_a_call_is_charged_for(every_gateway: LocalGateway, log: RunLog) -> None:
    """In each generation, by its own route: the same number as the usage of the call itself; no run is recorded."""
    client = Client(every_gateway.url, log=log)
    turns = [{"role": "user", "content": "Why is the sky blue?"}, {"role": "assistant", "content": "It scatters."}]
    turns.append({"role": "user", "content": [{"type": "text", "text": "What does?"}]})
    for deployment in (A, B):
        assert (
            client.count_tokens(deployment, "How long?", system="Be brief.")
            == client.chat(deployment, "How long?", system="Be brief.", max_tokens=16).prompt_tokens
        )
        assert client.count_tokens(deployment, turns) == client.chat(deployment, messages=turns).prompt_tokens
    assert asyncio.run(client.acount_tokens(A, "How long?")) == client.count_tokens(A, "How long?")
    assert client.count_tokens(REFUSED, "How long?") is None
    assert len(log.read()) == 4
    with pytest.raises(NotFound):
        client.count_tokens("openai/nobody", "How long?")


def test_a_gateway_that_is_replaced_counts_by_its_own_route(log: RunLog) -> None:
    """An update in the same place, and the way back: each time the route that is there now is found."""
    with local_gateway(dialect="1.4") as first:
        client, port = Client(first.url, log=log), httpx.URL(first.url).port
        count = client.count_tokens(A, "How long?")
    for dialect in ("1.5", "1.4"):
        with local_gateway(dialect=dialect, port=port):
            assert client.count_tokens(A, "How long?") == count


@pytest.mark.parametrize(
    ("told", "count"),
    [
        ({"input_tokens": 0, "total_tokens": 10}, 10),  # gateway 1.4.10 and 1.5.16 of Gemini's answer without details
        ({"input_tokens": 7, "total_tokens": None}, 7),
        ({"input_tokens": 0, "total_tokens": 0}, None),
        ({"input_tokens": True, "total_tokens": "10"}, None),
        ({"input_tokens": -1}, None),
        ({}, None),
    ],
)
def test_what_a_gateway_tells_is_read(log: RunLog, told: dict[str, Any], count: int | None) -> None:
    """Gemini's number may stand in the total alone; what is no number of tokens is unknown, never 0."""
    with served(Table({"/v1/responses/input_tokens": told})) as url:
        assert Client(url, log=log).count_tokens(A, "How long?") == count


def test_geminis_system_message_is_counted_from_2_0_on(every_gateway: LocalGateway, log: RunLog) -> None:
    """Before, the gateway leaves it out, so the number would not be that of the call: unknown, and an estimate."""
    client, gemini = Client(every_gateway.url, log=log), "gemini/gemini-2.5-flash"
    charged = [client.chat(gemini, "How long?", system=one, max_tokens=16).prompt_tokens for one in (None, "Be brief.")]
    assert client.count_tokens(gemini, "How long?") == charged[0]
    exact = every_gateway.dialect.startswith("2.")
    assert client.count_tokens(gemini, "How long?", system="Be brief.") == (charged[1] if exact else None)
    estimate = bf.compare([gemini], "Why?", system="Be brief.", chat=True, client=client, dry_run=True)
    assert estimate.frame["counted"].tolist() == [exact]
    path = "/v1/responses/input_tokens" if every_gateway.dialect >= "1.5" else "/v1/count_tokens"
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How long?"}]
    asked = {"model": gemini, "messages": turns, "input": turns}
    told = httpx.post(f"{every_gateway.url}{path}", json=asked).json()
    assert told["input_tokens"] == charged[exact]  # what it says itself, right or not


@pytest.mark.parametrize("wrong", ["", [], [{"content": "x"}], None, 5])
def test_nothing_to_count_is_told_before_it_is_sent(client: Client, gateway: LocalGateway, wrong: Any) -> None:
    """An empty prompt, or what is none."""
    with pytest.raises(ConfigurationError, match="nothing to count"):
        client.count_tokens(A, wrong)
    assert not [record for record in gateway.requests() if record["method"] == "POST"]


@pytest.mark.parametrize(
    ("dialect", "path", "body", "message"),
    [
        ("1.4", "/v1/count_tokens", {"input": "Hi"}, "messages is required for count tokens"),
        ("1.5", "/v1/responses/input_tokens", {"messages": []}, "input is required for responses"),
    ],
)
def test_each_route_takes_its_own_field(dialect: str, path: str, body: dict[str, Any], message: str) -> None:
    """The refusals of gateways 1.4.0 and 1.5.16, word for word; the other generation's route is no route (405)."""
    other = {"/v1/count_tokens": "/v1/responses/input_tokens", "/v1/responses/input_tokens": "/v1/count_tokens"}[path]
    with local_gateway(dialect=dialect) as gateway, httpx.Client(base_url=gateway.url) as http:
        answer = http.post(path, json={"model": A, **body})
        assert (answer.status_code, answer.json()["error"]["message"]) == (400, message)
        assert http.post(other, json={"model": A, "input": "Hi", "messages": []}).status_code == 405


def test_who_does_not_count_says_so(gateway: LocalGateway) -> None:
    """The refusal of Azure as gateways from 1.4.18 on word it."""
    answer = httpx.post(f"{gateway.url}/v1/responses/input_tokens", json={"model": REFUSED, "input": "Hi"})
    error = answer.json()
    assert answer.status_code == 400
    assert error["error"] == {
        "code": "unsupported_operation",
        "message": "count_tokens is not supported by azure provider",
    }
    assert (error["is_bifrost_error"], "status_code" in error) == (False, False)
    assert error["extra_fields"]["request_type"] == "count_tokens"


def test_openais_own_library_counts_the_same(every_gateway: LocalGateway, log: RunLog) -> None:
    """Its path below /openai is there in each generation."""
    sdk = lazy.openai.OpenAI(base_url=f"{every_gateway.url}/openai/v1", api_key="unused")
    found = sdk.responses.input_tokens.count(model="gpt-4o-mini", input="How long?", instructions="Be brief.")
    assert found.object == "response.input_tokens"
    assert found.input_tokens == Client(every_gateway.url, log=log).count_tokens(A, "How long?", system="Be brief.")


def test_dry_run_is_exact_where_the_provider_counts(client: Client, gateway: LocalGateway) -> None:
    """The tokens of the dry run are those of the runs, each prompt counted once; the others are called an estimate."""
    question: dict[str, Any] = {
        "prompt": "Why {{x}}?", "system": "Be {{x}}.", "inputs": {"x": ["blue", "a longer one", "blue"]},
        "repeats": 2, "chat": True, "max_tokens": 16, "client": client,
    }  # fmt: skip
    estimate = bf.compare([A, REFUSED, B], dry_run=True, **question)
    assert estimate.frame["counted"].tolist() == [True, False, True]
    assert len(counted(gateway)) == 2 + 1 + 2
    shown = repr(estimate)
    assert shown.startswith("No call was made; the provider only counted tokens. 18 of 18 calls")
    assert "Prompt tokens of azure/gpt-4o are an estimate." in shown
    assert "by the provider" in estimate._repr_html_()
    frame = bf.compare([A, REFUSED, B], **question).frame
    sums = frame.groupby("variant")["prompt_tokens"].sum()
    assert [sums[A], sums[B]] == estimate.frame["prompt_tokens"].tolist()[::2]
    later = bf.compare([A, REFUSED, B], dry_run=True, **question)
    assert later.frame["counted"].isna().all()
    assert later.frame["prompt_tokens"].tolist() == [0, 0, 0]


def test_what_only_the_call_knows_is_not_counted(client: Client, gateway: LocalGateway) -> None:
    """Tools and text completions: no count would be that of the call, so nobody is asked."""
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    found = bf.compare(
        [{"deployment": A, "tools": tools}, "openai/gpt-3.5-turbo-instruct"], "Hi", client=client, dry_run=True
    )
    assert found.frame["counted"].tolist() == [False, False]
    assert not counted(gateway)
    assert repr(found).startswith("Nothing was sent.")
