"""`launch_gateway` with the real programs that BIFROST_NB_GATEWAYS names."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

from bifrost_nb import BifrostError, Client, compare
from bifrost_nb._launch.launch import launch_gateway
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
        try:
            gateway = launch_gateway(providers=given, binary=path)
        except BifrostError as error:
            if "does not start without internet" not in str(error):
                raise
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
    """Costs are those of the given list from 1.4.18 on; older ones are said to take none, and costs stay unknown."""
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
        try:
            gateway = launch_gateway(providers=given, binary=path, prices=prices)
        except BifrostError as error:  # 1.5.1 reads the list, and then wants another from the internet
            if "does not start without internet" not in str(error):
                raise
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
