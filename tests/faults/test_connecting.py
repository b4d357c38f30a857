"""Addresses at which nobody answers as a gateway does: the error says why, and nothing is left of the attempt."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import bifrost_nb as bf
from bifrost_nb import RunLog, Timeouts

from .conftest import good
from .server import FaultServer

Faulty = Callable[..., FaultServer]


@contextlib.contextmanager
def full_backlog() -> Iterator[str]:
    """A port that takes no further connection: its queue is full and nobody accepts."""
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(8):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        yield f"http://127.0.0.1:{full.getsockname()[1]}"


@contextlib.contextmanager
def nobody(scheme: str = "http") -> Iterator[str]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"{scheme}://127.0.0.1:{held.getsockname()[1]}"


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(
    ("where", "error", "said"),
    [
        (nobody, bf.ConnectionFailed, "connection refused"),
        (lambda: nobody("https"), bf.ConnectionFailed, "connection refused"),
        (lambda: contextlib.nullcontext("http://nowhere.invalid"), bf.ConnectionFailed, "unknown host"),
        (lambda: contextlib.nullcontext("https://nowhere.invalid"), bf.ConnectionFailed, "unknown host"),
        (full_backlog, bf.TimedOut, "did not accept the connection within 0.4 s"),
        (lambda: FaultServer(good, tls=True), bf.ConnectionFailed, "self-signed certificate"),
        (lambda: FaultServer(lambda wire: wire.send(b"HTTP/1.1 400 No TLS\r\n\r\n"), at_once=True), None, "TLS|SSL"),
        (lambda: FaultServer(lambda wire: wire.wait(), at_once=True), None, "within 0.4 s"),
        (lambda: FaultServer(lambda wire: wire.reset(), at_once=True), None, "reset|closed"),
    ],
    ids=["refused", "refused TLS", "no name", "no name TLS", "black hole", "self-signed", "no TLS", "silent", "reset"],
)  # fmt: skip
def test_no_connection(
    faulty: Faulty, ask: Any, log: RunLog, where: Any, error: type[bf.BifrostError] | None, said: str, stream: bool
) -> None:
    """Refused, unknown, black-holed, untrusted: one error that names the reason and the address, one run, in time."""
    with where() as there:
        url = there if isinstance(there, str) else there.url
        if error is None:  # it does not speak TLS, and is asked to
            url = url.replace("http://", "https://")
        began = time.monotonic()
        with pytest.raises(error or (bf.ConnectionFailed, bf.TimedOut), match=said) as caught:
            ask(url, stream, timeout=Timeouts(connect=0.4 if "0.4" in said else 20, total=30))
    assert time.monotonic() - began < 20
    [run] = log.read()
    assert (run.run_id, run.http_status, run.text) == (caught.value.run.run_id, None, "")  # type: ignore[union-attr]
    assert run.status == ("timeout" if isinstance(caught.value, bf.TimedOut) else "error")
    if isinstance(caught.value, bf.ConnectionFailed):
        assert url in str(caught.value)
    if isinstance(caught.value, bf.TimedOut):
        assert caught.value.phase == "connect"


def test_a_tls_server_asked_without_tls(faulty: Faulty, ask: Any) -> None:
    """http where https is spoken: not taken for an answer."""
    server = faulty(good, tls=True)
    with pytest.raises((bf.ConnectionFailed, bf.ProtocolError)):
        ask(server.url.replace("https:", "http:"), True)


def test_a_gateway_that_comes_back_is_reached_again(faulty: Faulty, ask: Any, log: RunLog) -> None:
    """A connection that the gateway closed in the meantime costs no call: the next one is opened anew."""
    for _ in range(3):
        server = faulty(good)
        assert ask(server.url, True) == ""
        server.__exit__(None, None, None)
        with pytest.raises(bf.ConnectionFailed):
            ask(server.url, True)
    assert [run.status for run in log.read()] == ["ok", "error"] * 3
