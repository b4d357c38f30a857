"""The ways to start a real gateway on this machine, in the order in which they are tried."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .._files import user_path
from .._keys import without_keys
from .._safe_text import plain
from .config_file import Providers

__all__ = ["HOST", "LaunchMethod", "LaunchPlan", "last_line", "ways"]

HOST = "127.0.0.1"
PACKAGE = "@maximhq/bifrost"
IMAGE = "maximhq/bifrost"


@dataclass(frozen=True, slots=True)
class LaunchMethod:
    """One way to start a gateway: a command without flags, or the reason why it cannot be tried."""

    name: str
    command: Sequence[str] = ()
    reason: str = ""
    container: str = ""


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """What every way has in common."""

    port: int
    folder: Path
    config: Mapping[str, Any] | None
    providers: Providers | None
    prices: Path | None
    version: str | None
    end: float
    """`time.monotonic()` when the patience ends."""
    variables: list[str] = field(default_factory=list)
    form: str | None = None
    """The version whose config is written: the one wanted, later the one that answers."""
    prices_url: str = ""
    """Where the lists are, for a version that takes no file address."""
    no_prices: bool = False
    """Give it an empty price list, since it cannot fetch its own and does not start without."""

    ca_file: Path | None = None
    """The authorities that the gateway believes its providers by; None: those of the environment."""

    @property
    def ca_variables(self) -> dict[str, str]:
        """What tells the gateway (a Go program) and npx (Node) of `ca_file`."""
        if self.ca_file is None:
            return {}
        if self.ca_file.is_dir():
            return {"SSL_CERT_DIR": str(self.ca_file)}
        return {"SSL_CERT_FILE": str(self.ca_file), "NODE_EXTRA_CA_CERTS": str(self.ca_file)}

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"


def ways(binary: str | os.PathLike[str] | None, plan: LaunchPlan) -> Iterator[LaunchMethod]:
    origin = "binary" if binary is not None else "BIFROST_BINARY"
    if explicit := binary if binary is not None else os.environ.get("BIFROST_BINARY"):
        path = user_path(explicit, origin).absolute()
        yield LaunchMethod(f"{origin} {path}", [str(path)], _not_runnable(path))
        return  # who names one wants no other
    found = shutil.which("bifrost-http")
    yield LaunchMethod("bifrost-http on PATH", [found or ""], "" if found else "not found")
    cached = _cached(plan.version)
    yield LaunchMethod(
        f"binary downloaded by {PACKAGE}",
        [str(cached)],
        "" if cached else f"none{f' of version {plan.version}' if plan.version else ''} in {_caches()[0]}",
    )
    npx = shutil.which("npx")
    pinned = ["--transport-version", plan.version] if plan.version else []
    yield LaunchMethod(
        f"npx -y {PACKAGE}", [npx or "", "-y", PACKAGE, *pinned], "" if npx else "npx not found (install Node)"
    )
    yield _docker(plan)


def _docker(plan: LaunchPlan) -> LaunchMethod:
    image = f"{IMAGE}:{plan.version}" if plan.version else IMAGE
    name, docker = f"docker run {image}", shutil.which("docker")
    if docker is None:
        return LaunchMethod(name, reason="docker not found")
    try:
        asked = subprocess.run(  # noqa: S603 - the user's own docker
            [docker, "version", "--format", "{{.Server.Version}}"], capture_output=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return LaunchMethod(name, reason=f"docker does not answer ({type(error).__name__})")
    if asked.returncode:
        return LaunchMethod(name, reason=last_line(asked.stderr) or "the docker daemon does not answer")
    container = f"bifrost-nb-{secrets.token_hex(6)}"
    command = [docker, "run", "--rm", "--name", container, "-p", f"{HOST}:{plan.port}:8080"]
    command += ["-v", f"{plan.folder}:/app/data"]
    if hasattr(os, "getuid"):
        command += ["--user", f"{os.getuid()}:{os.getgid()}"]
    for variable, path in plan.ca_variables.items():
        if variable.startswith("SSL"):
            command += ["-v", f"{path}:/etc/bifrost-nb-ca:ro", "-e", f"{variable}=/etc/bifrost-nb-ca"]
    for variable in plan.variables:  # by name only: the value never stands on a command line
        command += ["-e", variable]
    return LaunchMethod(name, [*command, image], container=container)


def _caches() -> list[Path]:
    """Where the npm package keeps what it downloads: ``bifrost/VERSION/bin`` below these folders."""
    if sys.platform == "darwin":
        return [Path.home() / "Library" / "Caches", Path.home() / ".cache"]
    if sys.platform == "win32":
        return [Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")]
    return [Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")]


def _cached(version: str | None) -> Path | None:
    found = [
        path
        for cache in _caches()
        for path in cache.glob(f"bifrost/{version or '*'}/bin/bifrost-http*")
        if not _not_runnable(path)
    ]
    return max(found, key=lambda path: [int(part) for part in re.findall(r"\d+", path.parts[-3])], default=None)


def _not_runnable(path: Path) -> str:
    if not path.is_file():
        return "no such file"
    return "" if os.access(path, os.X_OK) else "not executable (chmod +x)"


def last_line(output: bytes, *hidden: str | None) -> str:
    """The last line with text, without keys."""
    lines = [line for line in plain(output[-20_000:].decode(errors="replace")).splitlines() if line.strip()]
    return plain(without_keys(lines[-1].strip(), *hidden), 300) if lines else ""
