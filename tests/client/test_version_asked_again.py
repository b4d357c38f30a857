"""The gateway's version, where the gateway told none: it may just have been starting."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bifrost_nb import Client, RunLog
from bifrost_nb._client import dispatch


class Starting(ThreadingHTTPServer):
    """A gateway that answers calls at once and tells its version from the second question on."""

    daemon_threads = True

    def __init__(self) -> None:
        self.asked = 0
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Starting

    def do_GET(self) -> None:
        if self.path != "/api/version":
            return self._answer(404, b"{}")
        self.server.asked += 1
        return self._answer(*((503, b"{}") if self.server.asked == 1 else (200, b'"v1.5.16"')))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._answer(200, b'{"choices": [{"index": 0, "text": "hello", "finish_reason": "stop"}]}')

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def starting() -> Iterator[Starting]:
    with Starting() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_version_that_was_not_told_is_asked_for_again(
    starting: Starting, log: RunLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not with every call, but after a while; one that was told is not asked for again."""
    client = Client(f"http://127.0.0.1:{starting.server_port}", log=log)

    def version() -> str | None:
        return client.complete("azure/fast", "Hi").gateway_version

    assert [version(), version()] == [None, None]
    assert starting.asked == 1
    monkeypatch.setattr(dispatch, "ASK_AGAIN_S", 0.0)  # else 30 s
    assert [version(), version()] == ["v1.5.16", "v1.5.16"]
    assert starting.asked == 2
