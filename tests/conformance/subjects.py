"""What the suite runs against: Bifrost's engine in three versions, the embedded gateway's matching dialects, and real
gateway programs.

All have the same simulated deployments behind them, and all take the same rules of misbehaviour.
"""

from __future__ import annotations

import contextlib
import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from bifrost_nb import Client, LocalGateway, RunLog, local_gateway
from bifrost_nb._simulator.deployments import DEFAULT_DEPLOYMENTS, SimulatedDeployment
from tests.engine.configs import gateway_config, key_variable
from tests.engine.engines import ENGINES, Engine
from tests.engine.upstreams import Upstreams

from .programs import Program, numbers, price_list, served_lists

__all__ = ["EMBEDDED", "SUBJECTS", "Limit", "Subject", "embedded", "engine", "program"]

SPEED = 20.0
EMBEDDED = {"1.4": "1.3", "1.5": "1.5", "1.7": "2.2"}
"""Engine -> the embedded gateway's dialect of that generation."""
SUBJECTS = {f"engine {ENGINES[version]}": version for version in ENGINES} | {
    f"embedded {dialect}": dialect for dialect in EMBEDDED.values()
}
"""Name of each subject -> engine version or dialect."""

PROVIDERS = ("azure", "openai", "anthropic", "local", "impatient", "persistent", "wrong-key", "refused")
"""Configured. Of `impatient` the gateway awaits an answer for 1 s, `persistent` it asks again once; `wrong-key` has a
key that its provider does not accept, nobody listens at the address of `refused`. Other providers that Bifrost knows,
like xai, are not configured."""
EXTRA = tuple(
    SimulatedDeployment(id=id_, ttft_ms=100, tokens_per_s=300, **facts)
    for id_, facts in {
        "local/small": {},
        "local/thinker": {"kinds": ("chat",), "reasoning": True},
        "impatient/small": {},
        "persistent/small": {},
        "wrong-key/small": {},
        "refused/small": {},
        "azure/big window": {"context_tokens": 100_000},
        "local/größe-日本": {},
    }.items()
)


class Limit(Protocol):
    """Notes what a gateway itself cannot do (`lost`: it can do nothing of the feature)."""

    def __call__(self, words: str, lost: bool = False) -> None: ...


@dataclass
class Subject:
    """One gateway under test."""

    name: str
    generation: str
    """The dialect that it speaks: "1.3", "1.5" or "2.2"."""
    real: bool
    url: str
    script: Callable[[Iterable[Mapping[str, Any]]], None]
    """Replace the rules by which deployments misbehave."""
    reset: Callable[[], None]
    asked: Callable[[], list[str]]
    """Whom it asked, as ``provider/model``, in order."""
    bodies: Callable[[], list[Any]]
    """The bodies received: by the providers where it is real, else by the gateway."""
    left: Callable[[], int]
    """How many requests were left by the one who asked before their answer was complete."""
    version: tuple[int, int, int] | None = None
    """Of a gateway program; None for all else."""

    def before(self, *version: int) -> bool:
        """Whether it is a gateway program older than `version`; an engine or the embedded gateway is not."""
        return self.version is not None and self.version < version

    def client(self, folder: Path, **options: Any) -> Client:
        """A client of it with a log of its own, that does not repeat what fails."""
        return Client(self.url, log=RunLog(folder / "runs.jsonl"), **{"retries": 0, "timeout": 20.0, **options})

    def wait_left(self, seconds: float) -> bool:
        """Whether somebody leaves within `seconds`."""
        end = time.monotonic() + seconds
        while not self.left() and time.monotonic() < end:
            time.sleep(0.01)
        return self.left() > 0


@contextlib.contextmanager
def engine(version: str) -> Iterator[Subject]:
    """Bifrost's engine of `version` ("1.4") before simulated providers."""
    with (
        _upstreams() as upstreams,
        tempfile.TemporaryDirectory() as folder,
        Engine(version, _config(version, upstreams), _KEYS, Path(folder)) as running,
    ):
        yield _before(upstreams, f"engine {running.version}", EMBEDDED[version], running.url)


@contextlib.contextmanager
def program(path: str) -> Iterator[Subject]:
    """The gateway program at `path`, whatever its version, before simulated providers."""
    lists = {"/prices.json": price_list([*DEFAULT_DEPLOYMENTS, *EXTRA]), "/empty.json": {}}
    with _upstreams() as upstreams, tempfile.TemporaryDirectory() as folder, served_lists(lists) as files:
        gateway = Program(path, Path(folder), files)
        version = numbers(gateway.version)
        with gateway.running(_config(gateway.version, upstreams), _KEYS) as url:
            generation = "1.3" if version < (1, 5, 0) else "1.5" if version < (1, 6, 0) else "2.2"
            subject = _before(upstreams, f"Bifrost {gateway.version}", generation, url)
            subject.version = version
            yield subject


_KEYS = {key_variable(provider): f"provider-key-{provider}" for provider in PROVIDERS} | {
    key_variable("wrong-key"): "provider-key-revoked"
}
"""The environment of a gateway."""


def _upstreams() -> Upstreams:
    deployments = [item for item in (*DEFAULT_DEPLOYMENTS, *EXTRA) if item.provider in PROVIDERS]
    return Upstreams(deployments, {provider: f"provider-key-{provider}" for provider in PROVIDERS}, speed=SPEED)


def _config(version: str, upstreams: Upstreams) -> dict[str, Any]:
    """The config.json of a gateway, or an engine, of `version` before `upstreams`."""
    azure = {item.model: item.upstream_model or item.model for item in (*DEFAULT_DEPLOYMENTS, *EXTRA)
             if item.provider == "azure"}  # fmt: skip
    urls = {provider: upstreams.url(provider) for provider in PROVIDERS} | {"refused": _closed_address()}
    config = gateway_config(version, urls, "", deployments=azure, timeout_s=20, raw_override=True)
    network = config["providers"]["impatient"]["network_config"]
    network |= dict.fromkeys(network.keys() & {"stream_idle_timeout_in_seconds"}, 1)
    network["default_request_timeout_in_seconds"] = 1
    again = config["providers"]["persistent"]["network_config"]
    again |= {"max_retries": 1, "retry_backoff_initial": 100, "retry_backoff_max": 100}
    return config


def _before(upstreams: Upstreams, name: str, generation: str, url: str) -> Subject:
    """A subject that asks `upstreams`."""
    return Subject(
        name=name,
        generation=generation,
        real=True,
        url=url,
        script=upstreams.script,
        reset=upstreams.reset,
        asked=lambda: [str(record.deployment) for record in upstreams.requests()],
        bodies=lambda: [record.body for record in upstreams.requests()],
        left=lambda: sum(record.disconnected_at is not None for record in upstreams.requests()),
    )


@contextlib.contextmanager
def embedded(dialect: str) -> Iterator[Subject]:
    """The embedded gateway, with the same deployments."""
    with local_gateway(dialect=dialect, speed=SPEED, deployments=[item.model_dump() for item in EXTRA]) as gateway:
        yield Subject(
            name=f"embedded {dialect}",
            generation=dialect,
            real=False,
            url=gateway.url,
            script=gateway.script,
            reset=gateway.reset,
            asked=lambda: [name for record in _inference(gateway) for name in record["attempts"]],
            bodies=lambda: [record["body"] for record in _inference(gateway)],
            left=lambda: sum(record["disconnected_at"] is not None for record in _inference(gateway)),
        )


def _inference(gateway: LocalGateway) -> list[dict[str, Any]]:
    return [record for record in gateway.requests() if record["method"] == "POST"]


def _closed_address() -> str:
    """An address at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"
