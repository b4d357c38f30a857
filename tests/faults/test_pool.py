"""Connections that are used again: what was read over one before must not touch the call that comes next."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from bifrost_nb import Client, RunLog, TimedOut
from bifrost_nb._client.transport.fetch import fetch

ANSWER = json.dumps(
    {
        "choices": [{"index": 0, "text": "hello", "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }
).encode()
LIMIT_S = 0.3


class KeepAlive(ThreadingHTTPServer):
    """Keeps connections open as a gateway does, and notes each one that was opened."""

    daemon_threads = True

    def __init__(self) -> None:
        self.connections: list[Any] = []
        self.open: list[Any] = []
        super().__init__(("127.0.0.1", 0), Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.append(client_address)
        self.open.append(request)
        super().process_request(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """A list of two megabytes for `/list`, one that comes slowly for `/slow`, half of one for `/silent`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        body = json.dumps({"rows": ["x" * 1000] * 2000}).encode()
        if self.path not in ("/list", "/slow", "/silent"):
            return self._answer(b"{}")
        self._head(len(body))
        if self.path == "/list":
            self.wfile.write(body)
            return None
        pieces = [body[at : at + len(body) // 5] for at in range(0, len(body), len(body) // 5)]
        for piece in pieces if self.path == "/slow" else pieces[:2]:
            self.wfile.write(piece)
            time.sleep(LIMIT_S / 2)
        if self.path == "/silent":
            self.rfile.read(1)  # until the client leaves
        return None

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._answer(ANSWER)

    def _answer(self, body: bytes) -> None:
        self._head(len(body))
        self.wfile.write(body)

    def _head(self, length: int) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(length))
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Nothing to the tests' output."""


@pytest.fixture
def server() -> Iterator[KeepAlive]:
    with KeepAlive() as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield serving
        serving.shutdown()
        thread.join(10)


@pytest.mark.parametrize("path", ["/list", "/slow"])
def test_a_call_after_a_long_list_has_its_own_limit(server: KeepAlive, log: RunLog, path: str) -> None:
    """The time limit of a list ends with the list: the same connection takes a call after that time has passed."""
    client = Client(f"http://127.0.0.1:{server.server_port}", log=log)
    client.complete("azure/fast", "before")  # asks for the version too
    reply = client.run_on_loop(fetch(client.base_url, path, {}, seconds=LIMIT_S))
    assert len(reply.json()["rows"]) == 2000
    opened = len(server.connections)
    time.sleep(2 * LIMIT_S)  # the time of the list's limit
    for _ in range(opened):  # each connection of the pool once
        assert client.complete("azure/fast", "after").text == "hello"
    assert len(server.connections) == opened


def test_a_list_that_stops_in_the_middle_is_told(server: KeepAlive, log: RunLog) -> None:
    """Silence within a list for longer than its limit is an error that names the limit."""
    client = Client(f"http://127.0.0.1:{server.server_port}", log=log)
    with pytest.raises(TimedOut, match=r"sent nothing more within 0\.3 s"):
        client.run_on_loop(fetch(client.base_url, "/silent", {}, seconds=LIMIT_S))


EARLY = {
    "a second answer": b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}",
    "a goodbye": b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n",
    "a hint": b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nx: ",
    "no HTTP": b"bye\r\n\r\n",
}
"""What a server, or a proxy that wants to close, says on a connection when nobody has asked anything."""


@pytest.mark.parametrize("said", EARLY)
def test_what_comes_unasked_answers_nobody(server: KeepAlive, log: RunLog, said: str) -> None:
    """Bytes on an idle connection are no answer to the call that comes next, nor an error of it."""
    client = Client(f"http://127.0.0.1:{server.server_port}", log=log, retries=0)
    client.complete("azure/fast", "before")
    for connection in server.open:
        connection.sendall(EARLY[said])
    time.sleep(0.1)  # on the loop by then, whatever it makes of it
    for _ in range(2):
        assert client.complete("azure/fast", "after").text == "hello"
