"""A real gateway as a process: which executable is taken, what it is given, how it ends, what a failure says."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bifrost_nb import BifrostError, Client, ConfigurationError
from bifrost_nb._launch.launch import launch_gateway
from bifrost_nb._runs.log.log import RunLog
from tests.faults.server import PEM

from .executables import CRASHING, DOCKER, HANGING, SERVING, STUBBORN, install

KEY = "sk-planted-0123456789abcdefghij"
pytestmark = pytest.mark.skipif(os.name != "posix", reason="executables are scripts with a first line for POSIX")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine with nothing on PATH, an empty cache, a key in the environment and its own temporary folder."""
    for name in ("bin", "cache", "tmp"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("SEEN_BY_EXECUTABLE", str(tmp_path / "seen.json"))
    monkeypatch.setenv("SEEN_BY_DOCKER", str(tmp_path / "docker.jsonl"))
    monkeypatch.setenv("TEST_UPSTREAM_KEY", KEY)
    yield tmp_path
    assert list((tmp_path / "tmp").iterdir()) == [], "an app dir was left behind"


def seen(machine: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((machine / "seen.json").read_text())
    return found


def gone(pid: int, seconds: float = 60.0) -> bool:
    return _within(seconds, lambda: not Path(f"/proc/{pid}").exists() and not _alive(pid))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def test_the_binary_on_path_serves_and_ends(machine: Path, log: RunLog) -> None:
    """`bifrost-http` on PATH is started on loopback with its own private folder, serves, and is gone after the with."""
    install(machine / "bin", "bifrost-http", SERVING)
    with launch_gateway(providers={"openai": "env.TEST_UPSTREAM_KEY"}) as gateway:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", gateway.url)
        assert gateway.version == "v2.2.5"
        assert gateway.way == "bifrost-http on PATH"
        assert Client(gateway.url, log=log).complete("azure/fast", "Hi", max_tokens=2).status == "ok"
        folder = gateway.app_dir
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in folder.iterdir())
        assert "Embedded gateway" in gateway.log_path.read_text()
        config = json.loads((folder / "config.json").read_text())
        assert config["providers"]["openai"]["keys"] == [
            {"name": "openai-1", "value": "env.TEST_UPSTREAM_KEY", "models": ["*"], "weight": 1}
        ]
        assert config["logs_store"]["config"]["path"] == str(folder / "logs.db")
        assert KEY not in "".join(path.read_text() for path in folder.iterdir())
        assert "running" in repr(gateway)
    facts = seen(machine)
    assert facts["key"] == KEY, "the reference is resolved by the gateway, from the environment"
    assert facts["cwd"] == str(folder)
    assert KEY not in str(facts["argv"])
    assert gone(facts["pid"])
    assert "stopped" in repr(gateway)
    assert not folder.exists()
    gateway.stop()  # a second time does nothing


def test_an_app_dir_of_the_callers_stays(machine: Path) -> None:
    """A folder that the caller names is kept, used again with the same config, and no other config is written over."""
    install(machine / "bin", "bifrost-http", SERVING)
    folder = machine / "kept"
    for _ in range(2):
        with launch_gateway(providers=["ollama"], app_dir=folder) as gateway:
            assert gateway.app_dir == folder
        assert (folder / "config.json").exists()
    with pytest.raises(ConfigurationError, match="is there already"):
        launch_gateway({"providers": {}, "client": {"enable_logging": False}}, app_dir=folder)


def test_local_prices_need_no_internet(machine: Path) -> None:
    """A price list, and an empty one of model parameters, are served on loopback while the gateway runs."""
    install(machine / "bin", "bifrost-http", SERVING)
    (machine / "mine.json").write_text('{"azure/fast": {}}')
    with launch_gateway(providers=["ollama"], prices=machine / "mine.json") as gateway:
        pricing = json.loads((gateway.app_dir / "config.json").read_text())["framework"]["pricing"]
        assert set(pricing) == {"pricing_url", "model_parameters_url"}
        for address, content in zip(pricing.values(), ('{"azure/fast": {}}', "{}"), strict=True):
            assert address.startswith("http://127.0.0.1:")
            assert httpx.get(address, trust_env=False).text == content


def test_nothing_there_is_explained(machine: Path) -> None:
    """Where no way works one error names each way and why."""
    with pytest.raises(BifrostError) as caught:
        launch_gateway(providers={"openai": "env.TEST_UPSTREAM_KEY"})
    said = str(caught.value)
    for part in (
        "bifrost-http on PATH: not found",
        f"binary downloaded by @maximhq/bifrost: none in {machine / 'cache'}",
        "npx -y @maximhq/bifrost: npx not found",
        "docker run maximhq/bifrost: docker not found",
        "bf.local_gateway()",
    ):
        assert part in said


def test_a_crash_is_told_without_keys(machine: Path) -> None:
    """Of an executable that ends the status and its last words are told, the key in them hidden."""
    install(machine / "bin", "bifrost-http", CRASHING)
    with pytest.raises(BifrostError) as caught:
        launch_gateway(providers={"openai": "env.TEST_UPSTREAM_KEY"})
    said = str(caught.value)
    assert "bifrost-http on PATH: it ended with status 3; it said: cannot open config: key [hidden] is wrong" in said
    assert KEY not in said
    assert "docker run maximhq/bifrost: docker not found" in said, "the other ways were tried, too"


def test_a_binary_that_hangs_is_ended(machine: Path) -> None:
    """An executable that never answers is given up after the time limit, and ended."""
    binary = install(machine / "elsewhere", "gateway", HANGING)
    began = time.monotonic()
    with pytest.raises(BifrostError, match=r"binary .*gateway: nothing answered in time"):
        launch_gateway(binary=binary, timeout=2)
    assert time.monotonic() - began < 8
    assert gone(seen(machine)["pid"])


def test_the_given_binary_is_the_only_one(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who names a binary gets that one or an error, by argument before environment."""
    install(machine / "bin", "bifrost-http", SERVING)
    monkeypatch.setenv("BIFROST_BINARY", str(machine / "missing"))
    with pytest.raises(BifrostError, match=r"BIFROST_BINARY .*missing: no such file") as caught:
        launch_gateway()
    assert "PATH:" not in str(caught.value)
    (machine / "plain").write_text("")
    with pytest.raises(BifrostError, match="not executable"):
        launch_gateway(binary=machine / "plain")
    with launch_gateway(binary=install(machine / "b", "mine", SERVING)) as gateway:
        assert gateway.way == f"binary {machine / 'b' / 'mine'}"


def test_a_downloaded_binary_is_used_by_version(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the npm package's downloads the newest is taken, or the version asked for; another version is refused."""
    for version in ("v1.4.20", "v1.10.0", "v1.9.1"):
        install(machine / "cache" / "bifrost" / version / "bin", "bifrost-http-0", SERVING)
    with launch_gateway() as gateway:
        assert gateway.way == "binary downloaded by @maximhq/bifrost"
    monkeypatch.setenv("TEST_DIALECT", "1.3")
    with pytest.raises(BifrostError, match=r"it is version v1\.3\.63, not v1\.4\.20"):
        launch_gateway(version="1.4.20")
    with pytest.raises(BifrostError, match=r"none of version v7\.0\.0"):
        launch_gateway(version="v7.0.0")


def test_the_npm_package_is_called_with_a_pinned_version(machine: Path) -> None:
    """Through npx the gateway gets the same flags, and the version goes to the package."""
    npx = SERVING.replace("sys.argv[1::2], sys.argv[2::2]", "sys.argv[5::2], sys.argv[6::2]")
    install(machine / "bin", "npx", npx)
    with launch_gateway(version="2.2.5", providers=["ollama"]) as gateway:
        assert gateway.way == "npx -y @maximhq/bifrost"
    assert seen(machine)["argv"][:4] == ["-y", "@maximhq/bifrost", "--transport-version", "v2.2.5"]


def test_docker_gets_names_of_variables_only(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container publishes on loopback, sees its folder as /app/data, gets keys by name, and is removed."""
    install(machine / "bin", "docker", DOCKER)
    with pytest.raises(BifrostError, match="docker run maximhq/bifrost: Cannot connect to the Docker daemon"):
        launch_gateway(providers={"openai": "env.TEST_UPSTREAM_KEY"})
    (machine / "docker.jsonl").unlink()
    monkeypatch.setenv("TEST_DOCKER_VERSION", "27.0")
    with launch_gateway(providers={"openai": "env.TEST_UPSTREAM_KEY"}) as gateway:
        config = json.loads((gateway.app_dir / "config.json").read_text())
        assert config["logs_store"]["config"]["path"] == "/app/data/logs.db"
        port = gateway.url.rpartition(":")[2]
    _, run, remove = [json.loads(line) for line in (machine / "docker.jsonl").read_text().splitlines()]
    assert f"127.0.0.1:{port}:8080" in run
    assert run[run.index("-e") + 1] == "TEST_UPSTREAM_KEY"
    assert run[-1] == "maximhq/bifrost"
    assert KEY not in str(run)
    assert remove == ["rm", "-f", run[run.index("--name") + 1]]


def test_authorities_reach_the_gateway(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`ca_file` is in the gateway's environment, a folder as such; in a container it is seen at its place there."""
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", "/inherited.pem")
    binary = install(machine / "bin", "bifrost-http", SERVING)
    for given, wanted in ((None, ("/inherited.pem", None)), (PEM, (PEM, None)), (machine, ("/inherited.pem", machine))):
        with launch_gateway(ca_file=given):
            assert [seen(machine)[f"SSL_CERT_{name}"] for name in ("FILE", "DIR")] == [
                None if one is None else str(one) for one in wanted
            ]
    assert os.environ["SSL_CERT_FILE"] == "/inherited.pem"
    binary.unlink()
    install(machine / "bin", "docker", DOCKER)
    monkeypatch.setenv("TEST_DOCKER_VERSION", "27.0")
    with launch_gateway(providers=["ollama"], ca_file=PEM):
        run = [json.loads(line) for line in (machine / "docker.jsonl").read_text().splitlines()][1]
    assert f"{PEM}:/etc/bifrost-nb-ca:ro" in run
    assert "SSL_CERT_FILE=/etc/bifrost-nb-ca" in run


def test_a_stubborn_gateway_is_killed(machine: Path) -> None:
    """Who ignores the request to end is killed after a few seconds."""
    install(machine / "bin", "bifrost-http", STUBBORN)
    with launch_gateway():
        began = time.monotonic()
    assert time.monotonic() - began > 4, "it did take the request to end"
    assert gone(seen(machine)["pid"])


PARENT = """
import sys, time
from bifrost_nb._launch.launch import launch_gateway
gateway = launch_gateway(app_dir=sys.argv[1])
print(gateway.url, flush=True)
time.sleep(600)
"""


def test_it_ends_with_a_killed_parent(machine: Path) -> None:
    """After a `kill -9` of the notebook's process the gateway ends by itself."""
    install(machine / "bin", "bifrost-http", SERVING)
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(machine / "app")], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent:
        port = int(parent.stdout.readline().rpartition(b":")[2])
        parent.kill()
    assert gone(seen(machine)["pid"])
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_an_interrupt_while_waiting_leaves_nothing(machine: Path) -> None:
    """Ctrl-C during the start ends what was started and is raised."""
    install(machine / "bin", "bifrost-http", HANGING)
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(machine / "app")], stderr=subprocess.PIPE)
    assert _within(60, (machine / "seen.json").exists)
    assert _within(60, lambda: bool((machine / "seen.json").read_text()))
    parent.send_signal(signal.SIGINT)
    _, errors = parent.communicate(timeout=60)
    assert b"KeyboardInterrupt" in errors
    assert gone(seen(machine)["pid"])


LITERAL = {"providers": {"openai": {"keys": [{"name": "k", "value": KEY, "models": ["*"]}]}}}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"config": LITERAL}, "providers.openai.keys.0.value"),
        ({"config": {"providers": {"bedrock": {"keys": [{"bedrock_key_config": {"secret_key": KEY}}]}}}}, "secret_key"),
        ({"config": {"auth_config": {"admin_password": KEY}}}, "admin_password"),
        ({"config": {"governance": {"virtual_keys": [{"value": KEY}]}}}, "virtual_keys.0.value"),
        (
            {"config": {"providers": {"x": {"network_config": {"extra_headers": {"Authorization": KEY}}}}}},
            "Authorization",
        ),
        ({"providers": {"openai": KEY}}, "openai"),
        ({"providers": {"openai": {"key": KEY}}}, "openai"),
        ({"providers": {"openai": {"keys": "env.TEST_UPSTREAM_KEY"}}}, "Did you mean 'key'"),
        ({"providers": {"mine": "env.TEST_UPSTREAM_KEY"}}, "base_url"),
        ({"providers": {"azure": "env.TEST_UPSTREAM_KEY"}}, "endpoint"),
        ({"providers": {"open ai": "env.TEST_UPSTREAM_KEY"}}, "open ai"),
        ({"providers": "openai"}, "list of names"),
        ({"providers": []}, "empty"),
        ({"providers": ["openai"]}, "OPENAI_API_KEY"),
        ({"providers": ["openai"], "config": {}}, "not both"),
        ({"version": "newest"}, "newest"),
        ({"port": -1}, "port"),
        ({"timeout": 0}, "timeout"),
        ({"prices": "/nowhere/prices.json"}, "prices"),
        ({"ca_file": "/nowhere/ca.pem"}, "No such file"),
        ({"ca_file": __file__}, "no certificate in PEM form"),
    ],
)
def test_bad_arguments_start_nothing(
    machine: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], named: str
) -> None:
    """An argument that cannot be used, above all a key itself, is named and never quoted where it may be a key."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    install(machine / "bin", "bifrost-http", SERVING)
    with pytest.raises(ConfigurationError) as caught:
        launch_gateway(**arguments)
    assert named in str(caught.value)
    assert KEY not in str(caught.value)
    assert not (machine / "seen.json").exists()


def test_a_taken_port_is_told(machine: Path) -> None:
    """A port that another program holds is refused before anything starts."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigurationError, match="cannot be used"):
            launch_gateway(port=taken.getsockname()[1])


def test_the_config_of_older_gateways(machine: Path) -> None:
    """Before 1.5 an empty list of models means all, and Azure's deployments stand in their own part."""
    from bifrost_nb._launch.config_file import gateway_config

    azure = {
        "key": "env.K",
        "endpoint": "https://x.openai.azure.com",
        "deployments": ["gpt"],
        "api_version": "2024-10-21",
    }
    old = gateway_config({"azure": azure}, folder=Path("/a"), version="v1.4.20")["providers"]["azure"]["keys"][0]
    new = gateway_config({"azure": azure}, folder=Path("/a"))["providers"]["azure"]["keys"][0]
    assert old["models"] == []
    assert old["azure_key_config"]["deployments"] == {"gpt": "gpt"}
    assert new["models"] == ["*"]
    assert new["aliases"] == {"gpt": "gpt"}
    assert "deployments" not in new["azure_key_config"]


OWN_FOLDER = """
import time
from bifrost_nb._launch.launch import launch_gateway
gateway = launch_gateway()
print(gateway.app_dir, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("first", ["parent", "gateway"])
def test_no_folder_is_left_after_a_kill(machine: Path, first: str) -> None:
    """After a `kill -9` of the notebook's process, or of the gateway and then of it, the folder is gone."""
    install(machine / "bin", "bifrost-http", SERVING)
    environment = {**os.environ, "TMPDIR": str(machine / "tmp")}
    parent = subprocess.Popen([sys.executable, "-c", OWN_FOLDER], stdout=subprocess.PIPE, env=environment)
    assert parent.stdout is not None
    with parent:
        folder = Path(parent.stdout.readline().decode().strip())
        assert (folder / "gateway.log").exists()
        if first == "gateway":
            os.kill(seen(machine)["pid"], signal.SIGKILL)
            assert gone(seen(machine)["pid"])
        parent.kill()
    assert gone(seen(machine)["pid"])
    assert _within(60, lambda: not folder.exists())


def test_the_config_fits_the_version_that_answers(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `version` an old gateway gets its own form of config, and a custom provider may respond and embed."""
    monkeypatch.setenv("TEST_DIALECT", "1.3")
    install(machine / "bin", "bifrost-http", SERVING)
    mine = {"mine": {"base_url": "http://127.0.0.1:9"}}
    with launch_gateway(providers={"openai": "env.TEST_UPSTREAM_KEY", **mine}) as gateway:
        assert gateway.version == "v1.3.63"
        providers = json.loads((gateway.app_dir / "config.json").read_text())["providers"]
    assert providers["openai"]["keys"][0]["models"] == []
    assert {"responses", "responses_stream", "embedding"} <= set(
        providers["mine"]["custom_provider_config"]["allowed_requests"]
    )
