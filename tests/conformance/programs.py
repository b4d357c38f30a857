"""Real gateway programs, started for tests: the files that ``BIFROST_NB_GATEWAYS`` names, separated as in ``PATH``.

Each is asked for its version. It serves this machine only, gets keys of simulated providers only, and finds every list
that it would fetch from the internet at an address of this machine. Tried with 1.3.63, 1.4.0, 1.4.9,
1.4.10, 1.4.18, 1.5.1, 1.5.16 and 2.0.0-prerelease3; what differs between them is in `_prepare` and `gateway_config`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from bifrost_nb._launch.prices import ListServer
from bifrost_nb._simulator.deployments import SimulatedDeployment

__all__ = ["PROGRAMS", "UNSET", "Program", "numbers", "price_list", "served_lists"]

PROGRAMS = [name for name in os.environ.get("BIFROST_NB_GATEWAYS", "").split(os.pathsep) if name]
UNSET = "BIFROST_NB_GATEWAYS names no real gateway programs (/path/a:/path/b)"
_START_S = 120.0
_MODES = {
    "text": "completion", "chat": "chat", "responses": "responses", "embedding": "embedding",
    "image": "image_generation", "speech": "audio_speech", "transcription": "audio_transcription",
}  # fmt: skip


def numbers(version: str) -> tuple[int, int, int]:
    """``v1.5.16`` or ``2.0.0-prerelease3`` as numbers, for comparing."""
    major, minor, patch = re.findall(r"\d+", version)[:3]
    return int(major), int(minor), int(patch)


def price_list(deployments: Iterable[SimulatedDeployment]) -> dict[str, dict[str, Any]]:
    """The gateway's price list: the model is a key's part after the first ``/``; one entry for each kind of request."""
    entries: dict[str, dict[str, Any]] = {}
    for each in deployments:
        if each.input_usd is None or each.output_usd is None:
            continue
        for kind in (*each.kinds, *(("responses",) if "chat" in each.kinds else ())):
            for name in {each.model, each.upstream_model or each.model}:
                entries[f"{kind}-{each.provider}/{name}"] = {
                    "provider": each.provider,
                    "mode": _MODES[kind],
                    "input_cost_per_token": each.input_usd / 1e6,
                    "output_cost_per_token": each.output_usd / 1e6,
                    "max_input_tokens": each.context_tokens,
                    "max_output_tokens": each.max_output_tokens,
                }
    return entries


@contextlib.contextmanager
def served_lists(documents: Mapping[str, Any]) -> Iterator[str]:
    """The address of this machine at which JSON documents are, by path."""
    server = ListServer({path: json.dumps(document).encode() for path, document in documents.items()})
    try:
        yield server.url
    finally:
        server.close()


class Program:
    """A gateway program in a folder of its own, with the databases that its version needs.

    `lists` is the address of ``/prices.json`` and ``/empty.json``.
    """

    def __init__(self, path: str, folder: Path, lists: str) -> None:
        self.path, self._folder, self._lists = path, folder, lists
        self._stores = {
            name: {"enabled": True, "type": "sqlite", "config": {"path": str(folder / f"{name}.db")}}
            for name in ("config_store", "logs_store")
        }
        self._pricing = {
            "pricing_url": f"{lists}/prices.json",
            "pricing_sync_interval": 86_400,
            "model_parameters_url": f"{lists}/empty.json",
            "mcp_library_url": f"{lists}/empty.json",  # 1.5.16 waits 8 s for one that cannot be had
        }
        with self.running({}, {}) as url:
            self.version = str(httpx.get(f"{url}/api/version", timeout=10).json()).removeprefix("v")
        self._prepare()

    @contextlib.contextmanager
    def running(self, config: Mapping[str, Any], keys: Mapping[str, str]) -> Iterator[str]:
        """The gateway's address, while it runs with `config` and the environment variables `keys`."""
        written = {**config, **self._stores, "framework": {"pricing": self._pricing}}
        (self._folder / "config.json").write_text(json.dumps(written))
        try:
            process, url = self._started(keys)
        except RuntimeError as error:
            # 1.5.1 has no setting for the address of the model parameters, and does not start without any in its
            # database, which it has made by now.
            if "model parameters" not in str(error):
                raise
            self._execute("insert into governance_model_parameters (model, data) values ('none', '{}')")
            process, url = self._started(keys)
        try:
            yield url
        finally:
            _end(process)

    def _prepare(self) -> None:
        if numbers(self.version) < (1, 4, 18):
            # With a config store these take the address of the price list from there, and ignore config.json's.
            self._execute("delete from framework_configs")
            self._execute(
                "insert into framework_configs (id, pricing_url, pricing_sync_interval) values (1, ?, 86400)",
                f"{self._lists}/prices.json",
            )

    def _execute(self, statement: str, *values: str) -> None:
        with contextlib.closing(sqlite3.connect(self._folder / "config_store.db")) as database, database:
            database.execute(statement, values)

    def _started(self, keys: Mapping[str, str]) -> tuple[subprocess.Popen[bytes], str]:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        url, said = f"http://127.0.0.1:{port}", self._folder / "gateway.log"
        flags = ["-host", "127.0.0.1", "-port", str(port), "-app-dir", str(self._folder), "-log-level", "warn"]
        with said.open("wb") as output:
            # Nothing of the surroundings reaches it: no proxy, no key of a real provider.
            process = subprocess.Popen(
                [self.path, *flags],
                env={"PATH": os.environ.get("PATH", ""), "HOME": str(self._folder), **keys},
                cwd=self._folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        end = time.monotonic() + _START_S
        while True:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{url}/health", timeout=2).status_code == 200:
                    return process, url
            if process.poll() is not None or time.monotonic() > end:
                _end(process)
                raise RuntimeError(f"{self.path} did not start:\n{said.read_text(errors='replace')[-3_000:]}")
            time.sleep(0.05)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
