"""Bifrost's engine as a process: the binaries that ``engine/build.sh`` makes, started for tests."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["ENGINES", "Engine", "binary", "missing"]

ENGINES = {"1.4": "1.4.0", "1.5": "1.5.22", "1.7": "1.7.0"}
"""Folder of the binary -> version of Bifrost's module ``core`` in it."""

_START_S = 20.0


def binary(version: str) -> Path:
    """Where ``engine/build.sh`` puts the engine of `version` ("1.4")."""
    cache = Path(os.environ.get("BIFROST_NB_CACHE") or Path.home() / ".cache" / "bifrost-nb")
    return cache / "engines" / version / "bifrost-engine"


def missing(version: str) -> str | None:
    """Why the engine of `version` cannot be started here; None when it can."""
    path = binary(version)
    if os.access(path, os.X_OK):
        return None
    return f"Bifrost's engine {ENGINES[version]} is not built at {path}: run tests/engine/program/build.sh"


class Engine:
    """A running engine: a context manager. `config` is a gateway's config.json, `keys` its environment variables."""

    def __init__(self, version: str, config: Mapping[str, Any], keys: Mapping[str, str], folder: Path) -> None:
        self.version = ENGINES[version]
        path = folder / "config.json"
        path.write_text(json.dumps(config))
        self._complaints = folder / "engine.log"
        with self._complaints.open("wb") as complaints:
            # Nothing of the surroundings reaches it: no proxy, no key of a real provider.
            self._process = subprocess.Popen(
                [binary(version), "-port", "0", "-config", path],
                env={"PATH": os.environ.get("PATH", ""), "HOME": str(folder), **keys},
                stdout=subprocess.PIPE,
                stderr=complaints,
                start_new_session=True,
            )
        try:
            self.url = self._address()
        except BaseException:
            self.stop()
            raise

    def _address(self) -> str:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            line = self._process.stdout.readline().decode() if selector.select(_START_S) else ""
        greeting, _, url = line.strip().rpartition(" ")
        if greeting != "listening on":
            said = (line + self._complaints.read_text(errors="replace")).strip()
            raise RuntimeError(f"engine {self.version} did not start: {said[-500:] or 'it said nothing'}")
        return url

    def stop(self) -> None:
        """End it, and wait until it is gone."""
        self._process.terminate()
        try:
            self._process.wait(3)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
