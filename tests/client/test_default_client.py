"""Which gateway is asked without ``client=``: that of the client made last, else that of the settings."""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell

import bifrost_nb as bf
from bifrost_nb import Client, LocalGateway, RunLog
from bifrost_nb._client.client import default_client

NOWHERE = "http://127.0.0.1:9"
"""Where nobody listens: whatever asks it fails."""

DOORS: dict[str, Callable[[], Any]] = {
    "compare": lambda: bf.compare(["azure/fast"], "Hi", max_tokens=2).frame["status"].tolist() == ["ok"],
    "replay": lambda: (
        bf.replay(bf.compare(["azure/fast"], "Hi", max_tokens=2).frame, ["azure/large"]).frame["status"].tolist()
        == ["ok"]
    ),
    "models": lambda: len(bf.models()),
    "providers": lambda: len(bf.providers()),
    "gateway_logs": lambda: bf.gateway_logs(since="1d"),
    "gateway_stats": lambda: len(bf.gateway_stats(since="1d")),
    "doctor": lambda: bf.doctor()[1].state == "ok",
    "Admin": lambda: len(bf.Admin().models()),
    "sdk": lambda: _with_sdk(),
    "recording_client": lambda: _with_recording_client(),
    "recording_async_client": lambda: asyncio.run(_with_recording_async_client()),
    "recording_boto3": lambda: _with_boto3(),
    "playground": lambda: bf.playground(["azure/fast"], "Hi").client is default_client(),
    "virtual_keys": lambda: len(bf.virtual_keys().columns),
    "budgets": lambda: len(bf.budgets().columns),
    "rate_limits": lambda: len(bf.rate_limits().columns),
    "routing_rules": lambda: len(bf.routing_rules().columns),
    "mcp_tools": lambda: len(bf.mcp_tools().columns),
    "mcp_logs": lambda: len(bf.mcp_logs(since="1d").columns),
    "prompt": lambda: bf.prompt("kept", create=True).name == "kept",
    "prompts": lambda: len(bf.prompts().columns),
    "gateway_histogram": lambda: len(bf.gateway_histogram("requests", since="1d").columns),
    "reconcile": lambda: bf.reconcile(since="1d") is not None,
    "fill": lambda: _filled(),
    "load_curve": lambda: bf.load_curve("azure/fast", "Hi", rates=[4], seconds=1, max_tokens=2) is not None,
}


def test_every_door_is_tried() -> None:
    """Whatever public function takes ``client=`` is in the list above; classes are made by those."""
    functions = {name: each for name in bf.__all__ if inspect.isfunction(each := getattr(bf, name))}
    asking = {name for name, each in functions.items() if "client" in inspect.signature(each).parameters}
    assert asking | {"Admin"} == set(DOORS)


def _with_sdk() -> Any:
    with bf.sdk("openai") as openai:
        return openai.completions.create(model="azure/fast", prompt="Hi", max_tokens=2)


def _with_recording_client() -> Any:
    with bf.recording_client() as http:
        return http.get(f"{default_client().base_url}/health")


async def _with_recording_async_client() -> Any:
    async with bf.recording_async_client() as http:
        return await http.get(f"{default_client().base_url}/health")


def _with_boto3() -> Any:
    boto3 = pytest.importorskip("boto3", reason="needs the extra sdks")
    own = {"region_name": "eu-west-1", "aws_access_key_id": "none", "aws_secret_access_key": "none"}
    bedrock = boto3.client("bedrock-runtime", endpoint_url=f"{default_client().base_url}/bedrock", **own)
    turn = {"role": "user", "content": [{"text": "Hi"}]}
    bf.recording_boto3(bedrock).converse(modelId="openai/gpt-4o-mini", messages=[turn])
    return len(default_client().log.read()) == 1


def _filled() -> Any:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    table = pd.DataFrame({"text": ["one"]})
    return bf.fill(table, "{{text}}", schema=schema, deployment="openai/gpt-4o-mini") is not None


@pytest.mark.parametrize("name", DOORS)
def test_after_a_client_nothing_goes_elsewhere(
    name: str, gateway: LocalGateway, log: RunLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The settings name another address, which nothing asks once there is a client."""
    monkeypatch.setenv("BIFROST_BASE_URL", NOWHERE)
    client = Client(gateway.url, log=log)
    found = DOORS[name]()
    assert found is not False
    assert default_client() is client


def test_without_a_client_the_settings_count(gateway: LocalGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are read each time, and a client of theirs is nobody's default."""
    for address in (NOWHERE, gateway.url):
        monkeypatch.setenv("BIFROST_BASE_URL", address)
        assert default_client().base_url == address
    assert len(bf.models())


def test_the_last_one_counts_and_a_failed_one_does_not(gateway: LocalGateway) -> None:
    """A second client takes over; one that could not be made changes nothing."""
    Client(NOWHERE)
    last = Client(gateway.url)
    with pytest.raises(bf.ConfigurationError):
        Client("ftp://nowhere")
    assert default_client() is last


def test_what_was_not_passed_is_read_each_time(
    gateway: LocalGateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Settings changed after the client count where it was told nothing; what it was told stays, keys and all."""
    client = Client(gateway.url, api_key="of-the-client", retries=0, headers={"x-team": "blue"})
    assert default_client() is client
    first = client.log.path
    monkeypatch.setenv("BIFROST_TIMEOUT", "7")
    monkeypatch.setenv("BIFROST_API_KEY", "of-the-environment")
    monkeypatch.setenv("BIFROST_BASE_URL", NOWHERE)
    monkeypatch.setenv("BIFROST_RUN_LOG", str(tmp_path / "other.jsonl"))
    renewed = default_client()
    assert renewed is default_client()
    assert (renewed.base_url, renewed.timeouts.total, renewed.retries) == (gateway.url, 7, 0)
    assert renewed.credentials.inference["authorization"] == "Bearer of-the-client"
    assert renewed.credentials.own == {"x-team": "blue"}
    assert renewed.log.path == tmp_path / "other.jsonl"
    assert client.timeouts.total != 7
    assert client.log.path == first != renewed.log.path  # whoever holds the client goes on in one log
    monkeypatch.undo()
    assert default_client() is client


class Team(Client):
    """A client of somebody's own."""

    def __init__(self, url: str, team: str) -> None:
        super().__init__(url)
        self.team = team


def test_a_client_of_a_class_of_ones_own(gateway: LocalGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays of its class, with its own attributes."""
    Team(gateway.url, "blue")
    monkeypatch.setenv("BIFROST_TIMEOUT", "7")
    found = default_client()
    assert isinstance(found, Team)
    assert (found.team, found.timeouts.total) == ("blue", 7)


def test_threads_make_no_default(gateway: LocalGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """While settings change, clients of the settings are made all the time, and a client made meanwhile stays last."""
    monkeypatch.setenv("BIFROST_TIMEOUT", "1")
    ends = threading.Event()

    def read() -> None:
        while not ends.is_set():
            os.environ["BIFROST_TIMEOUT"] = str(1 + time.monotonic() % 1)
            default_client()

    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(read) for _ in range(2)]
        try:
            for _ in range(40):
                Client(gateway.url)
                assert default_client().base_url == gateway.url
        finally:
            ends.set()
        for each in asked:
            each.result()


def test_in_a_cell(gateway: LocalGateway, log: RunLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """``%%bifrost`` asks the client made last; an address of ``%config`` takes its place, here and in `bf.models`."""
    shell: Any = InteractiveShell()
    monkeypatch.setenv("BIFROST_BASE_URL", NOWHERE)
    bf.load_ipython_extension(shell)

    def address() -> str:
        (row,) = [row for row in shell.run_line_magic("bifrost", "config") if row["name"] == "base_url"]
        assert row["value"] == default_client().base_url
        return str(row["value"])

    try:
        assert address() == NOWHERE
        Client(gateway.url, log=log)
        assert address() == gateway.url
        shell.run_line_magic("config", "Bifrost.timeout = 9")
        assert (address(), default_client().timeouts.total, default_client().log) == (gateway.url, 9, log)
        for _ in range(2):  # the cell run again says it again
            shell.run_line_magic("config", "Bifrost.base_url = 'http://127.0.0.1:7'")
            assert address() == "http://127.0.0.1:7"
            Client(gateway.url)
            assert address() == gateway.url
        shell.run_line_magic("reload_ext", "bifrost_nb")
        assert address() == gateway.url
    finally:
        bf.unload_ipython_extension(shell)
