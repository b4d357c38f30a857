"""One way tried: the config written, the process started under a supervisor, waited for and ended."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from .._safe_text import plain
from .config_file import Providers, gateway_config
from .methods import HOST, LaunchMethod, LaunchPlan, last_line

__all__ = ["OFFLINE", "as_json", "config_for", "end_process", "planned_config", "seen_as", "started", "told_version"]

_STOP_S = 8.0
OFFLINE = (
    "this version (1.5.1 is like that) does not start without internet, since it fetches the lists of prices and of "
    "model parameters and takes them from no file; 1.4 starts, and so does 1.5.16 or later"
)
_SUPERVISE = Path(__file__).with_name("supervise.py")


def started(plan: LaunchPlan, way: LaunchMethod) -> tuple[subprocess.Popen[bytes] | None, str]:
    """The gateway's supervisor once the gateway answers, or None and the reason."""
    in_container = bool(way.container)
    _write_config(plan, seen_as(plan, way))
    flags = ["-host", HOST, "-port", str(plan.port), "-app-dir", str(plan.folder), "-log-level", "info"]
    command = [*way.command, *([] if in_container else flags)]
    log = plan.folder / "gateway.log"
    with open(log, "ab", opener=_private) as output:
        begin = output.tell()
        process = subprocess.Popen(  # noqa: S603 - our own script around the command named above
            [sys.executable, "-I", "-S", str(_SUPERVISE), *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=plan.folder,
            env={**os.environ, **plan.ca_variables},
            start_new_session=True,  # the interrupt key of a notebook or terminal is not for the gateway
        )
    try:
        reason = _wait_for_health(plan, process)
        if (
            not reason
            and plan.version
            and (told := told_version(plan))
            and told.lstrip("v") != plan.version.lstrip("v")
        ):
            reason = f"it is version {told}, not {plan.version}"
    except BaseException:
        end_process(process, os.getpid(), way.container, None)
        raise
    if not reason:
        return process, ""
    end_process(process, os.getpid(), way.container, None)
    output_of_it = log.read_bytes()[begin:]
    if b"model parameters" in output_of_it:  # measured on 1.5.1, whose database is empty then
        return None, OFFLINE
    said = last_line(output_of_it, *(os.environ.get(name) for name in plan.variables))
    return None, f"{reason}{f'; it said: {said}' if said else ''}"


def seen_as(plan: LaunchPlan, way: LaunchMethod) -> PurePath:
    """The gateway's own name for its folder."""
    return PurePosixPath("/app/data") if way.container else plan.folder


def _wait_for_health(plan: LaunchPlan, process: subprocess.Popen[bytes]) -> str:
    """Empty once ``/health`` answers 200; else why not."""
    pause, last = 0.02, "nothing answered"
    while time.monotonic() < plan.end:
        if process.poll() is not None:
            return f"it ended with status {process.returncode}"
        with contextlib.suppress(OSError, http.client.HTTPException):
            status, _ = _get(plan.port, "/health")
            last = f"/health answered {status}"
            if status == 200 and process.poll() is None:
                return ""
        time.sleep(pause)
        pause = min(0.25, 1.5 * pause)
    return f"{last} in time (timeout=)"


def told_version(plan: LaunchPlan) -> str | None:
    with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
        status, body = _get(plan.port, "/api/version")
        told = json.loads(body)
        return plain(told, 40) if status == 200 and isinstance(told, str) else None
    return None


def _get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(100_000)
    finally:
        connection.close()


def end_process(
    process: subprocess.Popen[bytes],
    owner: int,
    container: str,
    folder: Path | None,
    guard: subprocess.Popen[bytes] | None = None,
) -> None:
    """Close the supervisor's input, which ends the gateway; a forked process leaves it alone."""
    if owner != os.getpid():
        process.returncode = 0  # not ours: no warning that it still runs
        if guard is not None:
            guard.returncode = 0
        return
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()
    if container and (docker := shutil.which("docker")):
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(  # noqa: S603 - our own container
                [docker, "rm", "-f", container], capture_output=True, timeout=20, check=False
            )
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    if guard is not None:  # the folder is gone, so is its task
        guard.kill()
        guard.wait()
        if guard.stdin is not None:
            guard.stdin.close()


def config_for(
    providers: Providers | None, folder: PurePath, version: str | None, prices: bool, url: str = ""
) -> dict[str, Any]:
    if providers is None:
        return {}
    return gateway_config(providers, folder=folder, version=version, prices=prices, url=url)


def planned_config(plan: LaunchPlan, seen_as: PurePath) -> Mapping[str, Any]:
    """The config in the form of `plan.form`, for a gateway that sees the folder as `seen_as`; empty where none is."""
    if plan.config is not None:
        return plan.config
    listed = plan.prices is not None or plan.no_prices
    return config_for(plan.providers, seen_as, plan.form, listed, plan.prices_url)


def _write_config(plan: LaunchPlan, seen_as: PurePath) -> None:
    """``config.json`` for a gateway that sees the folder as `seen_as`; nothing where none was given."""
    if plan.prices is not None or plan.no_prices:
        _write(plan.folder / "prices.json", plan.prices.read_bytes() if plan.prices is not None else b"{}")
        _write(plan.folder / "parameters.json", b"{}")
    config = planned_config(plan, seen_as)
    if config:
        _write(plan.folder / "config.json", as_json(config))


def _write(path: Path, content: bytes) -> None:
    with open(path, "wb", opener=_private) as file:
        file.write(content)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def as_json(config: Mapping[str, Any]) -> bytes:
    return json.dumps(config, indent=2).encode()
