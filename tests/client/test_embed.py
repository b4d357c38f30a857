"""Embeddings through the client: vectors for the caller, everything else for the log."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bifrost_nb as bf
from bifrost_nb import Client, LocalGateway, RunLog, local_gateway

SMALL = "openai/text-embedding-3-small"
TEXTS = ["A cat sat on the mat.", "The cat sat on a mat.", "Stock prices fell sharply today."]


def posts(gateway: LocalGateway) -> list[dict[str, Any]]:
    return [record for record in gateway.requests() if record["method"] == "POST"]


@pytest.fixture(scope="module", params=["1.3", "1.5", "2.2"])
def every_gateway(request: pytest.FixtureRequest) -> Iterator[LocalGateway]:
    with local_gateway(dialect=request.param, speed=20) as gateway:
        yield gateway


def test_vectors_and_facts_are_in_the_run(every_gateway: LocalGateway, log: RunLog) -> None:
    """A vector for each text in order, tokens of the input only, the cost of the gateway's log."""
    client = Client(every_gateway.url, log=log)
    run = client.embed(SMALL, TEXTS, dimensions=256, tags={"a": 1})
    array = run.embedding_array
    assert (len(run.embeddings), array.shape, run.embedding_shape) == (3, (3, 256), [3, 256])
    assert array @ array.T == pytest.approx((array @ array.T).T)
    assert (array[0] @ array[1]) > 0.7 > 0.4 > (array[0] @ array[2])
    assert (run.request_type, run.status, run.served) == ("embedding", "ok", SMALL)
    assert (run.response, run.texts, run.text) == (None, [], "")
    assert run.prompt_tokens == run.total_tokens
    assert (run.completion_tokens, run.tokens_per_s, run.ttft_ms, run.finish_reason) == (None, None, None, None)
    assert json.loads(run.prompt or "") == TEXTS
    assert run.params == {"dimensions": 256}
    client.wait_costs([run])
    assert run.cost_usd == pytest.approx((run.prompt_tokens or 0) * 2e-8)
    assert run.cost_source == "log"


def test_the_log_keeps_no_vectors(client: Client, log: RunLog) -> None:
    """How many and of how many numbers, beside the facts; the line is short and reads back."""
    run = client.embed("azure/embeddings", TEXTS * 100)
    assert len(run.embeddings) == 300
    assert log.path is not None
    assert log.path.stat().st_size < 20_000
    [logged] = log.read()
    assert (logged.embeddings, logged.embedding_shape) == ([], [300, 3_072])
    assert logged.embedding_array.shape == (0, 0)
    frame = log.frame()
    assert frame["request_type"].tolist() == ["embedding"]
    assert frame[["response", "completion_tokens", "ttft_ms"]].isna().all(axis=None)
    assert frame["total_tokens"].tolist() == [run.total_tokens]


def test_a_run_says_what_it_holds(client: Client) -> None:
    """Not an empty answer, and not its numbers."""
    run = client.embed(SMALL, "Hi", dimensions=8)
    client.wait_costs([run])
    shown = repr(run)
    assert "1 vector of 8 numbers" in shown
    assert "in" in shown
    assert " out" not in shown
    assert "1 vector of 8 numbers" in run._repr_mimebundle_()[0]["text/html"]


def test_base64_gives_the_same_numbers(client: Client, gateway: LocalGateway) -> None:
    """The encoding is how they travel."""
    plain = client.embed(SMALL, TEXTS, dimensions=64)
    packed = client.embed(SMALL, TEXTS, dimensions=64, encoding_format="base64")
    assert np.array_equal(plain.embedding_array, packed.embedding_array)
    assert posts(gateway)[1]["body"]["encoding_format"] == "base64"
    assert packed.raw is not None
    assert isinstance(packed.raw["data"][0]["embedding"], str)


def test_the_price_list_is_asked_where_the_log_says_nothing(client: Client, gateway: LocalGateway) -> None:
    """Only what was sent has a price."""
    gateway.script([{"path": "/api/logs/*", "status": 403}, {"path": "/api/logs", "status": 403}])
    run = client.embed(SMALL, TEXTS)
    client.wait_costs([run])
    assert run.cost_source == "prices"
    assert run.cost_usd == run.input_cost_usd == pytest.approx((run.prompt_tokens or 0) * 2e-8)
    assert run.output_cost_usd is None


def test_retries_fallbacks_and_routes_are_those_of_every_call(client: Client, gateway: LocalGateway) -> None:
    """A 503 is tried again; a fallback may answer; the Azure route is there where it is asked for."""
    gateway.script([{"times": 1, "status": 503}, {"deployment": SMALL, "status": 400}])
    run = client.embed(SMALL, "Hi", fallbacks=["azure/embeddings"])
    assert [attempt.http_status for attempt in run.attempts][-1] == 200
    assert (run.served, run.is_fallback, run.fallback_index) == ("azure/embeddings", True, 1)
    gateway.script([])
    client.embed("azure/embeddings", "Hi", route="azure")
    assert posts(gateway)[-1]["path"] == "/openai/openai/deployments/embeddings/embeddings"


def test_the_async_form_takes_the_same(client: Client) -> None:
    """On any event loop, several at once."""

    async def ask() -> list[bf.Run]:
        return await asyncio.gather(*(client.aembed(SMALL, text, dimensions=16) for text in TEXTS))

    found = [run.embeddings[0] for run in asyncio.run(ask())]
    assert found == client.embed(SMALL, TEXTS, dimensions=16).embeddings


def test_the_gateways_log_says_the_same(client: Client, log: RunLog) -> None:
    """Its row has the columns of ours; a count that it leaves out is unknown in both, so nothing differs."""
    run = client.embed(SMALL, TEXTS)
    client.wait_costs([run])
    theirs = bf.gateway_logs(since="1h", client=client).set_index("request_id").loc[run.request_id]
    assert (theirs["request_type"], theirs["prompt"]) == ("embedding", run.prompt)
    assert (theirs["total_tokens"], theirs["completion_tokens"] is pd.NA) == (run.total_tokens, True)
    found = bf.Admin(client).reconcile(since="1h")
    assert len(found.joined) == 1
    assert len(found.differences) == 0


def test_an_error_is_typed_and_says_what_to_do(client: Client, log: RunLog) -> None:
    """A deployment that only chats has no embeddings."""
    with pytest.raises(bf.GatewayError, match="has no embeddings"):
        client.embed("openai/gpt-4o-mini", "Hi")
    with pytest.raises(bf.GatewayError, match="has no embeddings"):
        client.embed("anthropic/claude-haiku-4-5", "Hi")
    assert [(run.status, run.embedding_shape) for run in log.read()] == [("error", []), ("error", [])]


def test_a_missing_vector_is_an_error_with_its_run(client: Client, gateway: LocalGateway, log: RunLog) -> None:
    """It was paid for: tokens and the answer are kept, and nothing is asked again."""
    data = [{"index": 0, "embedding": [1.0, 2.0]}]
    gateway.script([{"status": 200, "body": {"data": data, "usage": {"prompt_tokens": 9, "total_tokens": 9}}}])
    with pytest.raises(bf.ProtocolError, match=r"the first without is input\[1\]") as caught:
        client.embed(SMALL, ["a", "b"])
    run = caught.value.run
    assert run is not None
    assert run.raw is not None
    assert run.raw["data"] == data
    assert (run.status, run.prompt_tokens, run.embeddings, len(posts(gateway))) == ("error", 9, [], 1)
    assert [logged.status for logged in log.read()] == ["error"]


def test_a_call_can_be_cancelled_and_has_limits(client: Client, gateway: LocalGateway, log: RunLog) -> None:
    """As every call."""
    gateway.script([{"silent": True}])
    with pytest.raises(bf.TimedOut):
        client.embed(SMALL, "Hi", timeout=0.2)
    job = client.start(client.prepare("embedding", SMALL, "Hi"))
    end = time.monotonic() + 60
    while len(posts(gateway)) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    job.cancel()
    assert job.result(timeout=10).run.status == "cancelled"
    assert [run.status for run in log.read()] == ["timeout", "cancelled"]


def test_wrong_arguments_are_told_before_anything_is_sent(client: Client, gateway: LocalGateway) -> None:
    """One clear error."""
    with pytest.raises(bf.ConfigurationError, match="did you mean 'dimensions'"):
        client.embed(SMALL, "Hi", dimension=8)  # type: ignore[call-arg]
    with pytest.raises(bf.ConfigurationError, match=r"input\[1\] is empty"):
        client.embed(SMALL, ["Hi", ""])
    with pytest.raises(bf.ConfigurationError, match="neither system nor messages"):
        client.prepare("embedding", SMALL, "Hi", system="x")
    assert posts(gateway) == []
