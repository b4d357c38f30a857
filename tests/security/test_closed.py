"""Files are their owner's, whatever the umask; gateways are this machine's, whoever asks."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

import bifrost_nb as bf
from bifrost_nb import Client, LocalGateway, RunLog, local_gateway
from tests.faults.server import FaultServer
from tests.thorough import thorough

from .conftest import API_KEY, HEADER_KEY, VIRTUAL_KEY, leaks

UMASKED = """
import os, sys
from pathlib import Path
from bifrost_nb import Run, RunLog
from bifrost_nb._notebook.magic.saved_prompts import SavedPrompts
for umask in sys.argv[2:]:
    os.umask(int(umask, 8))
    log = RunLog(Path(sys.argv[1]) / umask / "deep" / "er" / "runs.jsonl")
    log.append(Run(run_id="a", prompt="x", response="y"))
    RunLog(log.path).append(Run(run_id="b"))
    assert len(log.read()) == 2
    for kind in ("csv", "jsonl", "parquet"):
        log.export(log.path.with_name(f"export.{kind}"))
    SavedPrompts(log.path.with_name("prompts.jsonl")).save("name", "text")
"""


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_files_are_their_owners(tmp_path: Path) -> None:
    """Log, exports and saved prompts are 0600, folders made for them 0700, whatever the umask."""
    umasks = ["000", "022", "077", "177"]
    done = subprocess.run([sys.executable, "-c", UMASKED, str(tmp_path), *umasks], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for umask in umasks:
        files = [path for path in (tmp_path / umask).rglob("*") if path.is_file()]
        assert len(files) == 5
        assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in files} == {path.name: 0o600 for path in files}
        folders = [tmp_path / umask, tmp_path / umask / "deep", tmp_path / umask / "deep" / "er"]
        assert [stat.S_IMODE(path.stat().st_mode) for path in folders] == [0o700] * 3


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_what_is_handed_on_is_its_owners(gateway: LocalGateway, log: RunLog, tmp_path: Path) -> None:
    """Report, workbook, CSV, picture, sound and the list of batch jobs are 0600 with a umask that forbids nothing."""
    client, folder = Client(gateway.url, log=log), tmp_path / "handed"
    folder.mkdir()
    umask = os.umask(0)
    try:
        result = bf.compare(["azure/fast"], "Hi", client=client, max_tokens=2)
        files = [result.report(folder / "x.html"), result.to_csv(folder / "x.csv"), result.to_excel(folder / "x.xlsx")]
        client.image("openai/gpt-image-1", "a cat", path=folder / "x.png")
        client.speech("openai/gpt-4o-mini-tts", "Hello", voice="alloy", path=folder / "x.mp3")
        bf.compare(["openai/gpt-4o-mini"], "Hi", client=client, chat=True, mode="batch")
    finally:
        os.umask(umask)
    assert log.path is not None
    files += [*folder.iterdir(), *log.path.parent.glob(f"{log.path.name}*")]
    assert len(files) >= 3 + 5 + 2
    assert {str(path): stat.S_IMODE(path.stat().st_mode) for path in files} == dict.fromkeys(map(str, files), 0o600)


def test_no_redirect_is_followed_and_no_cookie_kept(gateway: LocalGateway, log: RunLog) -> None:
    """A gateway that sends elsewhere is an error, elsewhere nobody hears of it, and what it wants kept is forgotten."""
    client = Client(gateway.url, log=log, virtual_key="sk-bf-0123456789", retries=0)
    with FaultServer(lambda wire: None) as stranger:
        away = {"location": f"{stranger.url}/v1/models", "set-cookie": "session=planted; Path=/"}
        gateway.script([{"status": 307, "headers": away}, {"path": "/v1/models", "status": 302, "headers": away}])
        asks: list[Callable[[], object]] = [
            lambda: client.complete("azure/fast", "Hi"),
            lambda: client.chat("openai/gpt-4o-mini", "Hi"),
            lambda: list(client.stream("azure/fast", "Hi").__enter__()),
            lambda: bf.models(client),
        ]
        for ask in asks:
            with pytest.raises(bf.BifrostError):
                ask()
        gateway.script([])
        assert client.complete("azure/fast", "Hi", max_tokens=2).status == "ok"
        assert stranger.seen == 0
    assert not [one for one in gateway.requests() if "cookie" in one["headers"]]


def close(sdk: Any) -> None:
    """End the connections of an SDK's client: Cohere's has no method, Google's leaves a given client open."""
    if hasattr(sdk, "_client_wrapper"):
        sdk._client_wrapper.httpx_client.httpx_client.close()
    elif hasattr(sdk, "_api_client"):
        sdk._api_client._httpx_client.close()
    else:
        sdk.close()


def test_no_sdk_takes_a_key_elsewhere(gateway: LocalGateway, log: RunLog) -> None:
    """A gateway that sends to another host gets no SDK to carry a key there, in whatever header the SDK has it."""
    keys: dict[str, Any] = {"virtual_key": VIRTUAL_KEY, "api_key": API_KEY, "headers": {"x-own-token": HEADER_KEY}}
    client = Client(gateway.url, log=log, **keys)
    turns: Any = [{"role": "user", "content": "Hi"}]
    asks: dict[str, Callable[[Any], object]] = {
        "openai": lambda sdk: sdk.chat.completions.create(model="openai/gpt-4o-mini", messages=turns),
        "anthropic": lambda sdk: sdk.messages.create(model="claude-haiku-4-5", max_tokens=5, messages=turns),
        "genai": lambda sdk: sdk.models.generate_content(model="gemini-2.5-flash", contents="Hi"),
        "cohere": lambda sdk: sdk.chat(model="command-a", messages=turns),
    }
    with local_gateway() as elsewhere:
        there = elsewhere.url.replace("127.0.0.1", "localhost")
        gateway.script([{"path": "*", "status": 307, "headers": {"location": f"{there}/v1/chat/completions"}}])
        for name, ask in asks.items():
            if find_spec("google.genai" if name == "genai" else name) is None:
                continue
            before = len(gateway.requests())
            made: Any = bf.sdk(name, client=client, **({"max_retries": 0} if name in ("openai", "anthropic") else {}))  # type: ignore[call-overload]
            with contextlib.suppress(Exception):
                ask(made)
            close(made)
            asked = [one for one in gateway.requests()[before:] if one["method"] == "POST"]
            assert leaks(str(asked)), f"{name} asked with a key"
            assert leaks(str(elsewhere.requests())) == [], name


def test_no_sdk_tells_the_gateway_what_the_environment_says_of_its_provider(
    gateway: LocalGateway, log: RunLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Organisations, projects, tokens and header lines that SDKs read on their own stay here, our key does not; what
    is passed to the SDK goes along."""
    theirs = {
        **dict.fromkeys(("OPENAI_ORG_ID", "OPENAI_ORGANIZATION"), "theirs-1"),
        "OPENAI_PROJECT_ID": "theirs-0",
        **dict.fromkeys(("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "CO_API_KEY"), "theirs-2"),
        **dict.fromkeys(("GOOGLE_API_KEY", "AWS_BEARER_TOKEN_BEDROCK", "AWS_SESSION_TOKEN"), "theirs-3"),
        "OPENAI_CUSTOM_HEADERS": "Authorization: Bearer theirs-4\nx-own: theirs-5",
        "ANTHROPIC_CUSTOM_HEADERS": "x-api-key: theirs-6\nauthorization: theirs-7",
    }
    for name, value in theirs.items():
        monkeypatch.setenv(name, value)
    client = Client(gateway.url, log=log, api_key=API_KEY)
    turns: Any = [{"role": "user", "content": "Hi"}]
    aws: Any = [{"role": "user", "content": [{"text": "Hi"}]}]
    model = {"model": "openai/gpt-4o-mini"}
    asks: dict[str, tuple[str, dict[str, Any], Callable[[Any], object]]] = {
        "openai": ("openai", {}, lambda sdk: sdk.copy().chat.completions.create(messages=turns, **model)),
        "anthropic": ("anthropic", {}, lambda sdk: sdk.messages.create(max_tokens=5, messages=turns, **model)),
        "genai": ("google.genai", {}, lambda sdk: sdk.models.generate_content(model="gemini-2.5-flash", contents="Hi")),
        "cohere": ("cohere", {}, lambda sdk: sdk.chat(model="command-a", messages=turns)),
        "bedrock": ("boto3", {}, lambda sdk: sdk.converse(modelId="bedrock/claude-haiku-4-5", messages=aws)),
        "langchain": ("langchain_openai", model, lambda sdk: sdk.invoke("Hi")),
    }
    for name, (package, options, ask) in asks.items():
        if find_spec(package.partition(".")[0]) is None or find_spec(package) is None:
            continue
        before = len(gateway.requests())
        sdk: Any = bf.sdk(name, client=client, **options)  # type: ignore[call-overload]
        with contextlib.suppress(Exception):
            ask(sdk)
        close(sdk.http_client if name == "langchain" else sdk)
        asked = [one for one in gateway.requests()[before:] if one["method"] == "POST"]
        assert asked, name
        assert "theirs" not in str(asked), name
        assert name == "bedrock" or API_KEY in str(asked), f"{name} asked without the gateway's key"
    if find_spec("openai") is not None:
        made = bf.sdk("openai", client=client, organization="theirs-1", default_headers={"x-own": "theirs-5"})
        made.chat.completions.create(messages=turns, **model)
        close(made)
        headers = [one["headers"] for one in gateway.requests() if one["method"] == "POST"][-1]
        assert (headers["openai-organization"], headers["x-own"]) == ("theirs-1", "theirs-5")
        assert "theirs-0" not in str(headers)


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="Linux lists what is listened on")
def test_the_embedded_gateway_listens_on_loopback_only() -> None:
    """Every socket that its process listens on is bound to 127.0.0.1."""
    with local_gateway() as gateway:
        inodes = set()
        for descriptor in Path(f"/proc/{gateway.pid}/fd").iterdir():
            name = str(descriptor.readlink())
            if name.startswith("socket:["):
                inodes.add(name[8:-1])
        lines = (line for kind in ("tcp", "tcp6") for line in Path(f"/proc/net/{kind}").read_text().splitlines()[1:])
        rows = [line.split() for line in lines]
        listening = [row[1] for row in rows if row[3] == "0A" and row[9] in inodes]
    port = urlsplit(gateway.url).port
    assert listening == [f"0100007F:{port:04X}"]


def test_other_addresses_of_this_machine_reach_nothing(gateway: LocalGateway) -> None:
    """The port is closed on whatever other address this machine has."""
    port = urlsplit(gateway.url).port
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None)} - {"127.0.0.1", "::1"}
    for other in others:
        with socket.socket(socket.AF_INET6 if ":" in str(other) else socket.AF_INET) as probe:
            probe.settimeout(1)
            assert probe.connect_ex((str(other), port)) != 0


ROUTES = ["/v1/models", "/api/logs", "/api/providers", "/health", "/metrics", "/_embedded/requests", "/nowhere"]


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1.attacker.example", *thorough("attacker.example", "localhost.attacker.example:80", "0.0.0.0")],
)
def test_a_foreign_host_is_refused_on_every_route(gateway: LocalGateway, host: str) -> None:
    """A web page whose name was made to point here reads nothing and asks nothing."""
    port = urlsplit(gateway.url).port
    for path in ROUTES:
        for named in (host, f"{host}:{port}"):
            assert httpx.get(gateway.url + path, headers={"host": named}).status_code == 403
    body = {"model": "azure/fast", "prompt": "Hi"}
    before = len(gateway.requests())
    for headers in ({"host": host}, {"origin": f"http://{host}"}, {"origin": "null"}):
        answer = httpx.post(f"{gateway.url}/v1/completions", json=body, headers=headers)
        assert answer.status_code == 403
    assert [one for one in gateway.requests()[before:] if one["path"] == "/v1/completions"] == []
