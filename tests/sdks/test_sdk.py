"""`bf.sdk` itself, retries of the real SDKs, and boto3's events."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import subprocess
import sys
import warnings
from contextlib import closing
from typing import Any

import pytest

import bifrost_nb as bf
from bifrost_nb import Client, ConfigurationError, RunLog
from bifrost_nb._simulator.process import LocalGateway

PACKAGES = {
    "openai": ("openai", "openai"),
    "anthropic": ("anthropic", "anthropic"),
    "genai": ("google.genai", "google-genai"),
    "cohere": ("cohere", "cohere"),
    "bedrock": ("boto3", "boto3"),
    "langchain": ("langchain_openai", "langchain-openai"),
    "litellm": ("litellm", "litellm"),
    "pydanticai": ("pydantic_ai", "pydantic-ai-slim"),
}
needs_sdks = pytest.mark.skipif(importlib.util.find_spec("cohere") is None, reason="the SDKs are not installed (sdks)")
MESSAGES = [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize("name", PACKAGES)
def test_a_missing_package_is_one_line(name: Any, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """An SDK that is not installed is one error that names the `pip install`."""
    module, package = PACKAGES[name]
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigurationError, match=rf"pip install '?{package}") as caught:
        bf.sdk(name, client=client)
    assert "\n" not in str(caught.value)


@needs_sdks
def test_wrong_arguments(client: Client) -> None:
    """An unknown name lists those there are; a framework wants a model; boto3 is not async."""
    with pytest.raises(ConfigurationError, match="openai, anthropic"):
        bf.sdk("open-ai", client=client)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="model='openai/gpt-4o-mini'"):
        bf.sdk("pydanticai", client=client)
    with pytest.raises(ConfigurationError, match="async"):
        bf.sdk("bedrock", asynchronous=True, client=client)
    with pytest.raises(ConfigurationError, match="tags must be a dict, not str"):
        bf.sdk("openai", client=client, tags="nightly")  # type: ignore[arg-type]


ASKED: dict[str, Any] = {
    "openai": lambda sdk: sdk.chat.completions.create(model="openai/gpt-4o-mini", messages=MESSAGES),
    "anthropic": lambda sdk: sdk.messages.create(model="anthropic/claude-haiku-4-5", messages=MESSAGES, max_tokens=9),
    "genai": lambda sdk: sdk.models.generate_content(model="gemini/gemini-2.5-flash", contents="Hi"),
    "langchain": lambda sdk: sdk.ainvoke("Hi"),
}


@needs_sdks
@pytest.mark.parametrize("name", ASKED)
def test_one_event_loop_after_the_other(name: Any, gateway: LocalGateway, log: RunLog) -> None:
    """An async client that was made once answers in each `asyncio.run`, by connections of that loop's own."""
    options = {"model": "openai/gpt-4o-mini"} if name == "langchain" else {"asynchronous": True}
    made = bf.sdk(name, client=Client(gateway.url, log=log), **options)

    async def ask() -> None:
        await ASKED[name](made)

    for _ in range(3):
        asyncio.run(ask())
    assert [run.status for run in log.read()] == ["ok"] * 3


@needs_sdks
@pytest.mark.parametrize("name", ["openai", "anthropic"])
def test_a_client_that_nobody_closes_leaves_no_socket_open(name: Any, gateway: LocalGateway, log: RunLog) -> None:
    """As the SDK's own HTTP client, ours ends with it: no ResourceWarning at the end of a script."""
    made = bf.sdk(name, client=Client(gateway.url, log=log))
    ask = made.chat.completions if name == "openai" else made.messages
    ask.create(model="azure/fast", messages=[{"role": "user", "content": "Hi"}], max_tokens=3)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ResourceWarning)
        del made, ask
        gc.collect()
    assert [str(one.message) for one in told] == []


@needs_sdks
def test_an_sdk_loads_no_other(gateway: LocalGateway) -> None:
    """Asking for one SDK imports that one."""
    code = f"""
import sys, bifrost_nb as bf
bf.sdk("cohere", client=bf.Client({gateway.url!r}))
others = {{"openai", "anthropic", "google.genai", "boto3", "litellm", "pydantic_ai"}}
print(*sorted(others & sys.modules.keys()))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert found.stdout.strip() == ""


@needs_sdks
def test_keys(gateway: LocalGateway, log: RunLog) -> None:
    """The configured keys are sent as our own client sends them; without one no stand-in leaves."""
    for key in (None, "sk-own-key"):
        gateway.reset()
        ours = Client(gateway.url, log=log, virtual_key="sk-bf-sdk", api_key=key)
        with bf.sdk("openai", client=ours) as openai:
            openai.chat.completions.create(model="azure/fast", messages=MESSAGES)
        turns = [{"role": "user", "content": [{"text": "Hi"}]}]
        with closing(bf.sdk("bedrock", client=ours)) as bedrock:
            bedrock.converse(modelId="azure/fast", messages=turns)
        for request in (each for each in gateway.requests() if each["method"] == "POST"):
            assert request["headers"]["x-bf-vk"] == "sk-bf-sdk"
            assert request["headers"].get("authorization") == (key and f"Bearer {key}")


@needs_sdks
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # not all of them can be closed
@pytest.mark.parametrize("name", ["openai", "anthropic", "genai", "cohere"])
def test_a_key_given_to_an_sdk(name: Any, gateway: LocalGateway, log: RunLog) -> None:
    """A key passed to an SDK's own constructor is in no line of the log where the gateway's refusal repeats it."""
    key = "my-own-word-12345"
    gateway.script([{"status": 401, "body": {"error": {"message": f"Incorrect API key provided: {key}"}}}])
    made = bf.sdk(name, client=Client(gateway.url, log=log), api_key=key)
    with pytest.raises(Exception, match=key):
        if name == "openai":
            made.chat.completions.create(model="azure/fast", messages=MESSAGES)
        elif name == "anthropic":
            made.messages.create(model="azure/fast", max_tokens=3, messages=MESSAGES)
        elif name == "genai":
            made.models.generate_content(model="azure/fast", contents="Hi")
        else:
            made.chat(model="azure/fast", messages=MESSAGES)
    assert log.path is not None
    assert key not in log.path.read_text()
    assert "Incorrect API key provided: [hidden]" in str(log.read()[0].error_message)


@needs_sdks
def test_retries_of_the_sdks(client: Client, gateway: LocalGateway, log: RunLog) -> None:
    """Each attempt of an SDK's own retries is a run; number and link tell the call they belong to."""
    import boto3
    import botocore
    from botocore.config import Config

    gateway.script([{"times": 1, "status": 503, "headers": {"retry-after-ms": "1"}}])
    with bf.sdk("openai", client=client, tags={"team": "a"}) as openai:
        openai.chat.completions.create(model="azure/fast", messages=MESSAGES)
    gateway.script([{"times": 1, "status": 503}])
    turns = [{"role": "user", "content": [{"text": "Hi"}]}]
    config = Config(signature_version=botocore.UNSIGNED, retries={"mode": "standard", "total_max_attempts": 2})
    made = boto3.client("bedrock-runtime", endpoint_url=f"{gateway.url}/bedrock", region_name="x", config=config)
    assert bf.recording_boto3(made, client) is made
    with closing(made):
        made.converse(modelId="azure/fast", messages=turns)
    runs = log.read()
    assert [(run.status, run.http_status, run.tags["attempt"]) for run in runs] == [
        ("error", 503, 1), ("ok", 200, 2), ("error", 503, 1), ("ok", 200, 2),
    ]  # fmt: skip
    assert [run.tags["sdk_call"] for run in runs] == [runs[place].request_id for place in (0, 0, 2, 2)]
    assert (runs[0].tags["sdk"], runs[0].tags["team"]) == ("openai", "a")
    assert "sdk" not in runs[2].tags


@needs_sdks
def test_boto3_time_limits_and_strangers(client: Client, gateway: LocalGateway, log: RunLog) -> None:
    """A time limit of boto3 is a timeout; another service's client is refused; another endpoint is left alone."""
    import boto3
    import botocore
    from botocore.config import Config
    from botocore.exceptions import ReadTimeoutError

    with pytest.raises(ConfigurationError, match="bedrock-runtime"):
        bf.recording_boto3(boto3.client("s3", region_name="eu-west-1"), client)
    config = Config(read_timeout=0.2, retries={"total_max_attempts": 1})
    turns = [{"role": "user", "content": [{"text": "Hi"}]}]
    gateway.script([{"silent": True}])
    with closing(bf.sdk("bedrock", client=client, config=config)) as bedrock, pytest.raises(ReadTimeoutError):
        bedrock.converse(modelId="azure/fast", messages=turns)
    (run,) = log.read()
    assert (run.status, run.http_status, run.error_type) == ("timeout", None, "TimedOut")
    gateway.reset()
    unsigned = Config(signature_version=botocore.UNSIGNED)
    made = boto3.client("bedrock-runtime", endpoint_url=f"{gateway.url}/bedrock", region_name="x", config=unsigned)
    bf.recording_boto3(made, Client("http://127.0.0.1:9", virtual_key="sk-bf-other", log=log))
    with closing(made):
        made.converse(modelId="azure/fast", messages=turns)
    assert len(log.read()) == 1
    (asked,) = [each for each in gateway.requests() if "/bedrock/" in each["path"]]  # a look for a cost may come late
    assert "x-bf-vk" not in asked["headers"]


@needs_sdks
@needs_sdks
@pytest.mark.parametrize("body", [{}, {"data": []}, {"data": None}])
def test_an_answer_without_embeddings_is_no_success(
    client: Client, gateway: LocalGateway, log: RunLog, body: dict[str, Any]
) -> None:
    """The SDK raises, and so it is in the log, as of the client's own call; what it cost stays."""
    usage = {"prompt_tokens": 9, "total_tokens": 9}
    gateway.script([{"status": 200, "body": {"object": "list", "usage": usage, **body}}])
    with bf.sdk("openai", client=client) as openai, pytest.raises(ValueError, match="No embedding data"):
        openai.embeddings.create(model="openai/text-embedding-3-small", input=["a tide", "a moon"])
    with pytest.raises(bf.ProtocolError):
        client.embed("openai/text-embedding-3-small", ["a tide", "a moon"])
    theirs, ours = log.read()
    assert (theirs.status, theirs.error_type, theirs.http_status) == (ours.status, ours.error_type, ours.http_status)
    assert (theirs.status, theirs.error_type, theirs.total_tokens) == ("error", "ProtocolError", 9)
    assert "holds no embeddings" in (theirs.error_message or "")


def test_embeddings(client: Client, log: RunLog) -> None:
    """Embeddings of an SDK are runs too, with the tokens that the SDK tells."""
    with bf.sdk("openai", client=client) as openai:
        answer = openai.embeddings.create(model="openai/text-embedding-3-small", input=["a tide", "a moon"])
    (run,) = log.read()
    assert (run.status, run.request_type, run.prompt) == ("ok", "embedding", '["a tide","a moon"]')
    assert (run.prompt_tokens, run.completion_tokens) == (answer.usage.prompt_tokens, None)


@needs_sdks
def test_spans_of_other_sdks_join_the_gateways(gateway: LocalGateway, log: RunLog) -> None:
    """With the client's ``traceparent`` each attempt is sent in the trace of its run; a header of the user's stays."""
    spans = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter", reason="needs the extra otel")
    client = Client(gateway.url, log=log, traceparent=True)
    asked: dict[str, Any] = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
    with bf.sdk("openai", client=client) as openai:
        openai.chat.completions.create(**asked)
        openai.chat.completions.create(**asked, extra_headers={"traceparent": THEIRS})
    with bf.sdk("anthropic", client=client) as anthropic:
        anthropic.messages.create(**asked, max_tokens=5)
    said = [{"role": "user", "content": [{"text": "Hi"}]}]
    bf.sdk("bedrock", client=client).converse(modelId="openai/gpt-4o-mini", messages=said)
    sent = [one["headers"].get("traceparent") for one in gateway.requests() if one["method"] == "POST"]
    runs, exporter = log.read(), spans.InMemorySpanExporter()
    bf.export_spans(runs, exporter=exporter)
    made = [one.context for one in exporter.get_finished_spans()]
    ours = [f"00-{one.trace_id:032x}-{one.span_id:016x}-01" for one in made]
    assert sent == [ours[0], THEIRS, ours[2], ours[3]]
    with bf.sdk("openai", client=Client(gateway.url, log=log)) as openai:
        openai.chat.completions.create(**asked)
    last = [one for one in gateway.requests() if one["method"] == "POST"][-1]
    assert "traceparent" not in last["headers"]


THEIRS = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
