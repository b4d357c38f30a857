"""`launch_gateway` with the real programs that BIFROST_NB_GATEWAYS names."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from bifrost_nb import Admin, AuthenticationFailed, BifrostError, Client, compare, doctor
from bifrost_nb._launch.launch import LaunchedGateway, launch_gateway
from bifrost_nb._runs.log.log import RunLog
from bifrost_nb._simulator.deployments import DEFAULT_DEPLOYMENTS, SimulatedDeployment
from tests.conformance.programs import PROGRAMS, UNSET
from tests.engine.upstreams import Upstreams

EXTRA = [
    SimulatedDeployment(id="local/small", kinds=("text", "chat")),
    SimulatedDeployment(id="local/vectors", kinds=("embedding",)),
]
programs = pytest.mark.parametrize(
    "path", PROGRAMS or [pytest.param("", marks=(pytest.mark.real_gateway, pytest.mark.skip(UNSET)))]
)


def launched(**options: Any) -> LaunchedGateway | None:
    """The running program; None for one that says that it does not start offline, with a price list or without."""
    try:
        return launch_gateway(**options)
    except BifrostError as error:
        if "does not start without internet" not in str(error):
            raise
        return None


@programs
def test_a_real_program_serves_offline(path: str, log: RunLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Started without version, prices or internet it answers for known and custom providers, or says why it cannot."""
    keys = {name: f"provider-key-{name}" for name in ("openai", "azure", "local")}
    for name, key in keys.items():
        monkeypatch.setenv(f"TEST_{name.upper()}_KEY", key)
    with Upstreams([*DEFAULT_DEPLOYMENTS, *EXTRA], keys, speed=20) as upstreams, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = {name: {"key": f"env.TEST_{name.upper()}_KEY", "base_url": upstreams.url(name)} for name in keys}
        given["azure"] = {"key": "env.TEST_AZURE_KEY", "endpoint": upstreams.url("azure"), "deployments": ["fast"]}  # type: ignore[dict-item]
        gateway = launched(providers=given, binary=path)
        if gateway is None:
            return
        with gateway:
            client = Client(gateway.url, log=log, retries=0, timeout=20)
            for deployment in ("azure/fast", "local/small", "openai/gpt-3.5-turbo-instruct"):
                assert client.complete(deployment, "Hi", max_tokens=4).served == deployment
            assert client.respond("local/small", "Hi", max_output_tokens=4).status == "ok"
            assert client.embed("local/vectors", "Hi").status == "ok"
            folder = Path(gateway.app_dir)
        assert not folder.exists()


@programs
def test_a_real_program_takes_a_local_price_list(
    path: str, log: RunLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Costs are those of the given list from 1.4.10 on; older ones are said to take none, and costs stay unknown."""
    model = {"provider": "openai", "mode": "completion", "input_cost_per_token": 0.25, "output_cost_per_token": 0.5}
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps({"gpt-3.5-turbo-instruct": model, "openai/gpt-3.5-turbo-instruct": model}))
    monkeypatch.setenv("TEST_OPENAI_KEY", "provider-key-openai")
    with (
        Upstreams(DEFAULT_DEPLOYMENTS, {"openai": "provider-key-openai"}, speed=20) as upstreams,
        warnings.catch_warnings(record=True) as warned,
    ):
        warnings.simplefilter("always")
        given = {"openai": {"key": "env.TEST_OPENAI_KEY", "base_url": upstreams.url("openai")}}
        gateway = launched(providers=given, binary=path, prices=prices)
        if gateway is None:
            return
        with gateway:
            client = Client(gateway.url, log=log, retries=0, timeout=20)
            result = compare(["openai/gpt-3.5-turbo-instruct"], "Say tides", client=client, max_tokens=4)
            result.wait_for_costs(20)
        (run,) = result.runs
        if any("takes its price list from its database only" in str(one.message) for one in warned):
            assert run.cost_usd is None
        else:
            assert run.prompt_tokens is not None
            assert run.completion_tokens is not None
            assert run.cost_usd == pytest.approx(run.prompt_tokens * 0.25 + run.completion_tokens * 0.5)


CHILD = """
import os, sys, warnings
from bifrost_nb import Client, launch_gateway
warnings.simplefilter("ignore")
given = {"openai": {"key": "env.TEST_OPENAI_KEY", "base_url": os.environ["TEST_UPSTREAM"]}}
try:
    gateway = launch_gateway(providers=given, binary=sys.argv[1])
except Exception as error:
    sys.exit(0 if "does not start without internet" in str(error) else str(error))
client = Client(gateway.url, retries=0, timeout=30)
client.complete("openai/gpt-3.5-turbo-instruct", sys.argv[2], max_tokens=4)
print(gateway.app_dir, gateway.url, flush=True)
sys.stdin.read()
"""
PROMPT = "a prompt that nobody may find later"


@programs
def test_a_kill_leaves_no_folder_with_prompts(path: str, tmp_path: Path) -> None:
    """After a `kill -9` of the notebook's process the real gateway ends, and its folder with the prompts is gone."""
    places = {name: str(tmp_path / name) for name in ("TMPDIR", "BIFROST_NB_LOG")}
    (tmp_path / "TMPDIR").mkdir()
    with Upstreams(DEFAULT_DEPLOYMENTS, {"openai": "provider-key-openai"}, speed=20) as upstreams:
        environment = {**os.environ, **places, "TEST_OPENAI_KEY": "provider-key-openai"}
        environment["TEST_UPSTREAM"] = upstreams.url("openai")
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, path, PROMPT],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        with child:
            assert child.stdout is not None
            told = child.stdout.readline().decode().split()
            if not told:
                assert child.wait(10) == 0  # 1.5.1 does not start
                return
            assert within(20, lambda: PROMPT.encode() in everything(Path(told[0])))  # it is there to be found
            child.kill()
        assert within(30, lambda: not Path(told[0]).exists())
        assert within(10, lambda: not answers(told[1]))
    assert PROMPT.encode() not in everything(tmp_path / "TMPDIR")


def everything(folder: Path) -> bytes:
    """The content of all files of a folder."""
    found = []
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # the gateway is writing, and may be gone
            found.append(path.read_bytes() if path.is_file() else b"")
    return b"".join(found)


def answers(url: str) -> bool:
    """Whether anybody listens there."""
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{url}/health", timeout=2).status_code == 200
    return False


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    """Whether it becomes true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@programs
def test_the_first_administrator_of_2_0_takes_the_setup_token(
    path: str, log: RunLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The launched gateway has the token of our environment, the doctor tells that nobody has used it, and after that
    the administrator's user and password open what is then closed to all others."""
    monkeypatch.setenv("BIFROST_SETUP_TOKEN", "setup-token-of-the-test")
    monkeypatch.setenv("TEST_OPENAI_KEY", "provider-key-openai")
    with (
        Upstreams(DEFAULT_DEPLOYMENTS, {"openai": "provider-key-openai"}, speed=20) as upstreams,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        given = {"openai": {"key": "env.TEST_OPENAI_KEY", "base_url": upstreams.url("openai")}}
        gateway = launched(providers=given, binary=path)
        if gateway is None:
            return
        with gateway:
            client = Client(gateway.url, log=log, retries=0, timeout=20)
            nobody = [check.result for check in doctor(client) if check.check == "administrator"]
            if not str(gateway.version).startswith("v2."):
                assert nobody == []
                return
            assert "BIFROST_SETUP_TOKEN" in nobody[0]
            for token, status in (("another", 403), ("setup-token-of-the-test", 200)):
                found = httpx.get(f"{gateway.url}/api/config", timeout=20).json()
                account = {"is_enabled": True, "admin_username": "root", "admin_password": "Long-enough-1!"}
                changed = {
                    "client_config": found["client_config"] | {"log_retention_days": 1},
                    "auth_config": account | {"setup_token": token},
                }
                answer = httpx.put(f"{gateway.url}/api/config", json=changed, timeout=20)
                assert answer.status_code == status, answer.text
            with pytest.raises(AuthenticationFailed) as refused:
                Admin(client).providers()
            assert "BIFROST_ADMIN_USER" in str(refused.value)
            admin = Admin(client, admin_user="root", admin_password="Long-enough-1!")
            assert list(admin.providers()["provider"]) == ["openai"]
            assert client.complete("openai/gpt-3.5-turbo-instruct", "Hi", max_tokens=4).status == "ok"
            assert "administrator" not in [check.check for check in doctor(client)]
