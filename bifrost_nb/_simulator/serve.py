"""The embedded gateway as a process: ``bifrost-nb gateway`` in the foreground, or the child behind `LocalGateway`.

The child gets its options as one JSON line on standard input, answers with one JSON line (``{"url": ...}`` or
``{"error": ...}``), and ends when standard input does: then its parent is gone, even after a ``kill -9``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson
import uvicorn

from ..errors import ConfigurationError
from .app import gateway_app
from .deployments import deployments_by_id
from .dialects import DIALECTS
from .faults import in_one_line
from .governance import Protection
from .records import RequestRecorder
from .state import Simulator

__all__ = ["child", "serve"]

_LOOPBACK = {"localhost": "127.0.0.1", "127.0.0.1": "127.0.0.1", "::1": "::1", "[::1]": "::1"}
_KEEP_ALIVE_S = 300
"""Longer than clients keep idle connections, so that the server never closes one just as it is used again."""


def serve(
    host: str = "127.0.0.1",
    port: int = 8080,
    *,
    seed: int = 0,
    dialect: str = "2.2",
    speed: float = 1.0,
    deployments: Iterable[Mapping[str, Any]] = (),
    echo: Callable[[str], object] = print,
) -> None:
    """Serve in the foreground until interrupted; `echo` gets the lines that tell address and deployments.

    Raises ConfigurationError when it cannot start.
    """
    simulator = _simulator(seed=seed, dialect=dialect, speed=speed, deployments=deployments, record=False)
    with _listen(host, port) as listening:
        echo(f"Embedded gateway (simulated deployments, dialect {dialect}) on {_url(listening)}")
        echo(f'Use it with bf.Client("{_url(listening)}"); no key is needed. Ctrl-C ends it.')
        for item in simulator.deployments.values():
            echo(f"  {item.id:<36} {' and '.join(item.kinds)}")
        with contextlib.suppress(KeyboardInterrupt):
            _run(simulator, listening, control_token=None)


def child() -> None:
    """What the child process runs."""
    options = orjson.loads(sys.stdin.buffer.readline())
    try:
        simulator = _simulator(
            **{name: options[name] for name in ("seed", "dialect", "speed", "deployments", "protection")}, record=True
        )
        listening = _listen("127.0.0.1", options["port"])
    except ConfigurationError as error:
        _tell({"error": str(error)})
        return
    threading.Thread(target=_end_with_parent, args=(options["parent"],), daemon=True).start()
    # The socket listens already: who connects from now on is served as soon as the loop runs.
    _tell({"url": _url(listening), "pid": os.getpid()})
    with contextlib.suppress(KeyboardInterrupt), listening:
        _run(simulator, listening, control_token=options["token"])


def _tell(facts: dict[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(facts) + b"\n")
    sys.stdout.buffer.flush()


def _end_with_parent(parent: int) -> None:
    """End this process when the pipe from the parent closes, or the parent died while a fork of it holds the pipe."""
    ended = threading.Event()

    def wait_for_end_of_input() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 65_536):
                pass
        ended.set()

    threading.Thread(target=wait_for_end_of_input, daemon=True).start()
    while not ended.wait(0.5) and (os.name == "nt" or os.getppid() == parent):
        pass
    os._exit(0)  # nothing is left to save or to say


def _simulator(
    *,
    seed: int,
    dialect: str,
    speed: float,
    deployments: Iterable[Mapping[str, Any]],
    record: bool,
    protection: Mapping[str, Any] | None = None,
) -> Simulator:
    if dialect not in DIALECTS:
        raise ConfigurationError(f"There is no dialect {dialect!r}; known are {', '.join(DIALECTS)}.")
    if not 0 < speed < float("inf"):
        raise ConfigurationError(f"speed must be a number above 0, not {speed!r}.")
    try:
        table = deployments_by_id(deployments)
    except ValueError as error:
        raise ConfigurationError(f"A simulated deployment cannot be used: {in_one_line(error)}") from None
    try:
        guarded = Protection.model_validate(protection or {})
    except ValueError as error:
        raise ConfigurationError(f"protection= cannot be used: {in_one_line(error)}") from None
    return Simulator(
        table,
        DIALECTS[dialect],
        seed=seed,
        speed=speed,
        recorder=RequestRecorder(enabled=record),
        protection=guarded,
    )


def _listen(host: str, port: int) -> socket.socket:
    address = _LOOPBACK.get(host)
    if address is None:
        raise ConfigurationError(
            f"The embedded gateway listens on this machine only, not on {host!r}.", hint="Leave the host out."
        )
    # asyncio sets TCP_NODELAY only where the protocol is named; without it each answer waits 40 ms to be acknowledged.
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if os.name == "posix":
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((address, port))
        listening.listen(2048)
    except (OSError, OverflowError) as error:
        listening.close()
        raise ConfigurationError(
            f"Port {port} cannot be used: {error}.", hint="Choose another, or 0 for any free one."
        ) from None
    return listening


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _run(simulator: Simulator, listening: socket.socket, *, control_token: str | None) -> None:
    config = uvicorn.Config(
        gateway_app(simulator, control_token=control_token),
        http=_protocol(),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=1,
    )
    asyncio.run(uvicorn.Server(config).serve(sockets=[listening]))


def _protocol() -> type[asyncio.Protocol]:
    """uvicorn's HTTP protocol, with the transport in the request's state: a script may end a connection."""
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as Base
    except ImportError:
        from uvicorn.protocols.http.h11_impl import H11Protocol as Base  # type: ignore[assignment]

    class Protocol(Base):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.app_state = {**self.app_state, "transport": transport}

    return Protocol


if __name__ == "__main__":
    child()
