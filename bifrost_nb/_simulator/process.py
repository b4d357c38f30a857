"""The embedded gateway for users and tests: a child process on this machine, started when asked for.

It needs no key and no network, and it ends with the process that started it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from .._numbers import as_python, whole_number
from ..errors import BifrostError, ConfigurationError, ConnectionFailed, TimedOut

__all__ = ["LocalGateway", "demo_url", "local_gateway"]

_START_S = 30.0
_ROOT = str(Path(__file__).resolve().parents[2])
# Found by its folder, and never shadowed by a file of the notebook's folder (-P leaves that out of the path).
_PROGRAM = f"import sys; sys.path.append({_ROOT!r}); from bifrost_nb._simulator.serve import child; child()"


class LocalGateway:
    """A running embedded gateway: a context manager. It ends at `stop`, or with this process.

    For example:

        with bf.local_gateway(seed=1) as gateway:
            bf.Client(gateway.url).chat("openai/gpt-4o-mini", "Hi")
            gateway.requests()
    """

    def __init__(self, process: subprocess.Popen[bytes], url: str, token: str, dialect: str) -> None:
        self.url = url
        """Its address, for ``bf.Client(url)``."""
        self.dialect = dialect
        """The gateway version that it answers as."""
        self._process = process
        self._token = token
        self._owner = os.getpid()
        self._end = weakref.finalize(self, _end_process, process, self._owner)

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the child lives, and belongs to this process (not to the one this was forked from)."""
        return self._owner == os.getpid() and self._process.poll() is None

    def stop(self) -> None:
        """End the gateway and wait until it is gone. A second call does nothing.

        For example:

            gateway.stop()
        """
        self._end()

    def script(self, rules: Iterable[Mapping[str, Any]]) -> None:
        """Replace the `rules` by which it misbehaves; the first that fits an attempt counts, ``[]`` ends them.

            gateway.script([
                {"deployment": "azure/fast", "times": 1, "status": 429, "headers": {"retry-after": "0"}},
                {"prompt": "slowly", "first_text_ms": 300, "gap_ms": 50},
                {"deployment": "azure/large", "drop": {"after_chunks": 2}},
            ])

        All fields are those of `bifrost_nb._simulator.faults.FaultRule`. Raises ConfigurationError for a rule that
        cannot be used.
        """
        self._call("POST", "script", list(rules))

    def requests(self, start: int = 0) -> list[dict[str, Any]]:
        """The requests received, oldest first, from the one at `start` on.

        Fields are those of `bifrost_nb._simulator.records.RequestRecord`; times in seconds of this machine's clocks.

            gateway.requests()[-1]["body"]
        """
        found: list[dict[str, Any]] = self._call("GET", f"requests?start={start}")
        return found

    def wait_for(self, condition: Callable[[list[dict[str, Any]]], Any], seconds: float = 5.0) -> list[dict[str, Any]]:
        """The requests, as soon as `condition(requests)` holds. Raises TimedOut after `seconds`.

        For example:

            gateway.wait_for(lambda requests: len(requests) >= 1, seconds=10)
        """
        end = time.monotonic() + seconds
        while True:
            found = self.requests()
            if condition(found):
                return found
            if time.monotonic() > end:
                raise TimedOut(f"The condition did not hold for the {len(found)} requests received in {seconds} s.")
            time.sleep(0.01)

    def reset(self) -> None:
        """Forget rules, requests, log and caches: equal requests get equal answers again.

        For example:

            gateway.reset()
        """
        self._call("POST", "reset", {})

    def _call(self, method: str, path: str, content: Any = None) -> Any:
        where = urlsplit(self.url)
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=10)
        try:
            body = None if content is None else json.dumps(content, default=_own_number)
            headers = {"content-type": "application/json", "x-embedded-token": self._token}
            connection.request(method, f"/_embedded/{path}", body, headers)
            answer = connection.getresponse()
            facts = json.loads(answer.read() or b"{}")
        except OSError as error:
            raise ConnectionFailed(f"The embedded gateway at {self.url} does not answer: {error}.") from None
        finally:
            connection.close()
        if answer.status == 400:
            raise ConfigurationError(f"The script cannot be used: {facts['error']}")
        if answer.status != 200:
            raise BifrostError(f"The embedded gateway answered /_embedded/{path} with status {answer.status}.")
        return facts

    def __enter__(self) -> LocalGateway:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "running" if self.running else "stopped"
        return f"<LocalGateway {self.url} dialect {self.dialect}, {state}>"


def local_gateway(
    *,
    seed: int = 0,
    dialect: str = "2.2",
    port: int = 0,
    speed: float = 1.0,
    deployments: Iterable[Mapping[str, Any]] | None = None,
    protection: Mapping[str, Any] | None = None,
) -> LocalGateway:
    """Start an embedded gateway on 127.0.0.1: simulated deployments, no key, no network.

    `seed` decides its texts, times and errors; `dialect` is the generation of gateway it speaks like (``"1.3"``,
    ``"1.4"``, ``"1.4.18"``, ``"1.5.1"``, ``"1.5"`` and ``"2.0"``, held against captures of 1.3.63, 1.4.0, 1.4.18,
    1.5.1, 1.5.16 and 2.0.0-prerelease3; ``"2.2"`` is read from published source, not measured); `port` 0 takes a free
    one; `speed` divides every simulated time; `deployments` adds some, as dictionaries with the fields of
    `bifrost_nb._simulator.deployments.SimulatedDeployment`; `protection` is what it asks of a caller (default nothing):
    ``{"admin_username": "admin", "admin_password": "secret"}`` keeps its data for the administrator,
    ``{"virtual_key_required": True}`` its deployments for whoever sends a virtual key that it has, for example
    ``sk-bf-demo-0123456789abcdef``.

    Raises ConfigurationError for an argument that cannot be used.

        with bf.local_gateway(seed=1, speed=10) as gateway:
            bf.Client(gateway.url).complete("azure/gpt-35-turbo-instruct", "Hi")
    """
    token = secrets.token_urlsafe(16)
    options = {
        "seed": whole_number("seed", seed, least=None),
        "dialect": dialect,
        "port": whole_number("port", port, least=0, most=65_535),
        "speed": speed,
        "deployments": [dict(item) for item in deployments or ()],
        "protection": dict(protection or {}),
        "token": token,
        "parent": os.getpid(),
    }
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
            [sys.executable, "-P", "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,  # the interrupt key of a notebook or terminal is not for the gateway
        )
        try:
            facts = _greeting(process, options, errors)
        except BaseException:
            _end_process(process, os.getpid())
            raise
    if "error" in facts:
        _end_process(process, os.getpid())
        raise ConfigurationError(facts["error"])
    return LocalGateway(process, facts["url"], token, dialect)


def _own_number(value: Any) -> Any:
    if (found := as_python(value)) is value:
        raise ConfigurationError(f"A {type(value).__name__} cannot be told to the embedded gateway.")
    return found


def _greeting(process: subprocess.Popen[bytes], options: dict[str, Any], errors: IO[bytes]) -> dict[str, Any]:
    """The child's first line."""
    assert process.stdin is not None  # noqa: S101 - both are pipes
    assert process.stdout is not None  # noqa: S101
    patience = threading.Timer(_START_S, process.kill)
    patience.daemon = True
    patience.start()
    try:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(options, default=_own_number).encode() + b"\n")
            process.stdin.flush()
        line = process.stdout.readline()
        process.stdout.close()
    finally:
        patience.cancel()
    if line:
        facts: dict[str, Any] = json.loads(line)
        return facts
    process.wait()
    errors.seek(0)
    reason = errors.read().decode(errors="replace").strip().rpartition("\n")[2]
    raise BifrostError(f"The embedded gateway did not start: {reason or f'exit status {process.returncode}'}.")


def _end_process(process: subprocess.Popen[bytes], owner: int) -> None:
    """Close its input, which ends it; wait, so that no zombie is left. A forked process leaves it alone."""
    if owner != os.getpid():
        process.returncode = 0  # not ours: no warning that it still runs
        return
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    try:
        process.wait(2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


_demo: LocalGateway | None = None
_demo_lock = threading.Lock()


def _forget_demo() -> None:
    """In a forked process: the parent's gateway is not ours, and its lock may be held by a thread that is gone."""
    global _demo, _demo_lock
    _demo, _demo_lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_demo)


def demo_url() -> str:
    """The address of this process's shared embedded gateway, started at the first use, again if it died."""
    global _demo
    with _demo_lock:
        if _demo is None or not _demo.running:
            _demo = local_gateway()
        return _demo.url
