"""`launch_gateway`: a real Bifrost gateway as a process of this notebook, from what the machine has.

Tried in this order: the binary given (or ``BIFROST_BINARY``), ``bifrost-http`` on PATH, a binary that the npm package
downloaded earlier, the npm package itself, Docker. The gateway serves this machine only and ends with this process.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import warnings
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from .._files import user_path
from .._numbers import number, version_numbers, whole
from .._safe_text import plain, quoted
from ..errors import BifrostError, ConfigurationError
from .config_file import Providers, check_config
from .methods import HOST, PACKAGE, LaunchMethod, LaunchPlan, ways
from .prices import ListServer
from .start import OFFLINE, as_json, config_for, end_process, planned_config, seen_as, started, told_version

__all__ = ["LaunchedGateway", "launch_gateway"]


class LaunchedGateway:
    """A running gateway: a context manager. It ends at `stop`, or with this process.

    For example:

        with bf.launch_gateway(providers=["openai"]) as gateway:
            bf.Client(gateway.url).chat("openai/gpt-4o-mini", "Hi")
    """

    def __init__(
        self, process: subprocess.Popen[bytes], plan: LaunchPlan, way: LaunchMethod, version: str | None, own: bool
    ) -> None:
        self.url = plan.url
        """Its address, for ``bf.Client(url)``."""
        self.app_dir = plan.folder
        """Where it keeps its config and databases; a folder that was made for it goes with it."""
        self.log_path = plan.folder / "gateway.log"
        """What it prints."""
        self.way = way.name
        """How it was started."""
        self.version = version
        """As it says itself; None where it does not."""
        self._process = process
        self._owner = os.getpid()
        guard = _guard(plan.folder) if own else None
        self._end = weakref.finalize(
            self, end_process, process, self._owner, way.container, plan.folder if own else None, guard
        )

    @property
    def running(self) -> bool:
        """Whether it lives and belongs to this process."""
        return self._owner == os.getpid() and self._process.poll() is None

    def stop(self) -> None:
        """End the gateway and wait until it is gone. A second call does nothing.

        For example:

            gateway.stop()
        """
        self._end()

    def __enter__(self) -> LaunchedGateway:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "running" if self.running else "stopped"
        return f"<LaunchedGateway {self.url} {self.version or 'of unknown version'}, by {self.way}, {state}>"


def launch_gateway(
    config: Mapping[str, Any] | None = None,
    *,
    providers: Providers | None = None,
    binary: str | os.PathLike[str] | None = None,
    version: str | None = None,
    port: int = 0,
    app_dir: str | os.PathLike[str] | None = None,
    prices: str | os.PathLike[str] | None = None,
    ca_file: str | os.PathLike[str] | None = None,
    timeout: float = 60.0,
) -> LaunchedGateway:
    """Start a real Bifrost gateway and wait until it answers; use it in a ``with`` statement or call `stop`.

    `providers` names providers (``["openai"]``, the key is in ``OPENAI_API_KEY``) or maps names to ``"env.VARIABLE"``
    or to options: ``{"azure": {"endpoint": ..., "deployments": [...], "key": "env.AZURE_KEY"}}``; a name of your own
    with a ``base_url`` is an OpenAI-style provider. `config` is a whole ``config.json`` instead. Keys are references to
    the environment; a key itself is refused. `prices` is a local price list, for machines without internet.

    `ca_file` (a PEM file, or a folder of them) holds the authorities by which the *gateway* believes its providers, as
    behind a company's proxy: it gets them as ``SSL_CERT_FILE`` or ``SSL_CERT_DIR``, else those of this process
    (measured on Linux with 1.4.18 and 1.5.16; read: on macOS and Windows only the system's count). The gateway itself
    is asked on this machine without encryption: ``BIFROST_CA_FILE`` and `ca_file` of a `Client` play no part in it.
    A gateway from 2.0 on takes its first administrator only with the ``BIFROST_SETUP_TOKEN`` of this environment.

    `binary` is the only one tried; `version` (``"1.5.16"``) wants that one. `port` 0 takes a free one. `app_dir` keeps
    config, databases and log; without it a folder is made, readable by its owner only, that goes when the gateway does.
    `timeout` is in seconds, for all that is tried.

    Raises ConfigurationError for an argument that cannot be used, BifrostError with every way that was tried and why it
    failed.

        with bf.launch_gateway(providers=["openai"]) as gateway:
            client = bf.Client(gateway.url)
    """
    if config is not None and providers is not None:
        raise ConfigurationError("Pass config or providers, not both.")
    wanted = _version(version)
    price_file = _existing("prices", prices)
    authorities = None if ca_file is None else _certificates(user_path(ca_file, "ca_file").absolute())
    seconds = number(timeout)
    if seconds is None or not 0 < seconds < float("inf"):
        raise ConfigurationError(f"timeout must be seconds above 0, not {quoted(timeout)}.")
    try:
        variables = check_config(
            config if config is not None else config_for(providers, PurePath(), wanted, bool(price_file))
        )
    except ConfigurationError as error:
        config = providers = None  # they hold the key that is refused, and no traceback shows it
        raise error.bare() from None
    if missing := [name for name in variables if not os.environ.get(name)]:
        raise ConfigurationError(
            f"Not set in the environment: {', '.join(missing)}.", hint="Set what the keys refer to."
        )
    chosen, free = _port(port), app_dir is None
    folder = Path(tempfile.mkdtemp(prefix="bifrost-nb-gateway-")) if app_dir is None else _folder(app_dir)
    if not free and (config or providers is not None):
        _leave_alone(folder / "config.json", config or config_for(providers, folder, wanted, bool(price_file)))
    end = time.monotonic() + seconds
    plan = LaunchPlan(
        chosen, folder, config, providers, price_file, wanted, end, variables, form=wanted, ca_file=authorities
    )
    try:
        return _first_that_works(plan, ways(binary, plan), own=free)
    except BaseException:
        if free:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _guard(folder: Path) -> subprocess.Popen[bytes]:
    """Removes the folder if this process is killed: the gateway's database there holds prompts."""
    return subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, "-I", "-S", str(Path(__file__).with_name("clean_up.py")), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _first_that_works(plan: LaunchPlan, ways: Iterator[LaunchMethod], *, own: bool) -> LaunchedGateway:
    tried = []
    for way in ways:
        reason = way.reason
        if not reason and time.monotonic() >= plan.end:
            reason = "not tried: the time was used up"
        if not reason:
            process, reason, used = _with_prices(plan, way)
            if process is not None:
                return LaunchedGateway(process, used, way, told_version(plan), own)
        tried.append(f"  {way.name}: {reason}")
    raise BifrostError(
        "No Bifrost gateway could be started:\n" + "\n".join(tried) + "\n",
        hint=f"Put bifrost-http on PATH, set BIFROST_BINARY, or install Node (npx -y {PACKAGE}) or Docker. "
        "bf.local_gateway() needs none of them: it simulates one.",
    )


def _with_prices(plan: LaunchPlan, way: LaunchMethod) -> tuple[subprocess.Popen[bytes] | None, str, LaunchPlan]:
    """`_in_its_form`, with the price list at an address that each version reads: 1.5.1 ends over ``file:``."""
    if plan.prices is None or way.container:  # a container sees the folder, and not our loopback
        return _in_its_form(plan, way)
    server = ListServer({"/prices.json": plan.prices.read_bytes(), "/parameters.json": b"{}"})
    process = None
    try:
        process, reason, used = _in_its_form(replace(plan, prices_url=server.url), way)
    finally:
        if process is None:
            server.close()
    if process is not None:
        weakref.finalize(process, server.close)
    return process, reason, used


def _in_its_form(plan: LaunchPlan, way: LaunchMethod) -> tuple[subprocess.Popen[bytes] | None, str, LaunchPlan]:
    """The process, with a config in the form of the version that answers, or the reason; and the plan that was used."""
    fresh = not (plan.folder / "config.db").exists()
    process, reason = started(plan, way)
    if process is None and "pricing" in reason.lower() and plan.prices is None and plan.providers is not None:
        # 2.0 starts without internet only with a price list that it can read.
        plan = replace(plan, no_prices=True)
        process, reason = started(plan, way)
        if process is None and "pricing" in reason.lower():
            reason = OFFLINE
    told = told_version(plan) if process is not None else None
    if process is None or told is None or not fresh:
        return process, reason, plan
    better = replace(plan, form=told)
    if plan.prices is not None and version_numbers(told) < (1, 4, 10):  # 1.4.9 takes none, 1.4.10 does (measured)
        warnings.warn(
            f"Gateway {told} takes its price list from its database only: prices= has no effect, costs stay unknown.",
            RuntimeWarning,
            stacklevel=4,
        )
    folder = seen_as(plan, way)
    if planned_config(better, folder) == planned_config(plan, folder):
        return process, "", plan
    # A config of another version's form is taken in silence, and then refuses every model.
    end_process(process, os.getpid(), way.container, None)
    for store in plan.folder.glob("*.db*"):  # made by this start: it would keep what the first config said
        store.unlink(missing_ok=True)
    process, reason = started(better, way)
    return process, reason, better


def _folder(given: str | os.PathLike[str]) -> Path:
    """An app dir that the caller names, made if missing."""
    path = user_path(given, "app_dir").absolute()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"app_dir {path} cannot be made: {error.strerror}.") from None
    return path


def _leave_alone(path: Path, config: Mapping[str, Any]) -> None:
    """Nobody's config is written over; the gateway would go by its database, which has the old one, anyway."""
    if path.exists() and path.read_bytes() != as_json(config):
        raise ConfigurationError(
            f"{path} is there already, with another config.",
            hint="Choose another app_dir, or pass neither config nor providers to start with what is there.",
        )


def _version(version: str | None) -> str | None:
    if version is None:
        return None
    if not isinstance(version, str) or not re.fullmatch(r"v?\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?", version):
        raise ConfigurationError(f"version is written like '1.5.16', not {quoted(version)}.")
    return "v" + version.removeprefix("v")


def _existing(name: str, path: str | os.PathLike[str] | None) -> Path | None:
    if path is None:
        return None
    found = user_path(path, name).absolute()
    if not found.is_file():
        raise ConfigurationError(f"{name}: there is no file {found}.")
    return found


def _certificates(path: Path) -> Path:
    """`path`, if a gateway can read certificates there."""
    try:
        if not path.is_dir():
            ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError; a path may hold what none can
        told = getattr(error, "strerror", None) or plain(error, 100)
        reason = "it holds no certificate in PEM form" if isinstance(error, ssl.SSLError) else told
        raise ConfigurationError(
            f"The certificates of {plain(path, 300)} (ca_file) cannot be used: {reason}.",
            hint="Name a PEM file, or a folder of them.",
        ) from None
    return path


def _port(port: int) -> int:
    """A port that is free now; the gateway takes it a moment later."""
    wanted = whole(port)
    if wanted is None or not 0 <= wanted < 65_536:
        raise ConfigurationError(f"port must be a number from 0 to 65535, not {quoted(port)}.")
    with socket.socket() as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError as error:
            raise ConfigurationError(
                f"Port {port} cannot be used: {error.strerror}.", hint="Choose another, or 0 for any free one."
            ) from None
        return int(probe.getsockname()[1])
