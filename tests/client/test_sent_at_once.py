"""A request is written in the step that begins it: no call's clock runs while others are prepared."""

from __future__ import annotations

import asyncio
import concurrent.futures
import socket
import threading
from collections.abc import Iterator

import pytest

from bifrost_nb import Client, RunLog

ANSWER = b'{"choices":[{"index":0,"text":"hi","finish_reason":"stop"}]}'
LONG = "w " * 4_000_000


class Held:
    """Answers one request over each connection and reads nothing more; `kept` are connections that carried a call."""

    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        self.kept: list[socket.socket] = []
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        while True:
            try:
                connection = self.listening.accept()[0]
            except OSError:
                return
            request = connection.recv(65_536)
            if request.startswith(b"GET"):
                connection.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                connection.close()
                continue
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(ANSWER), ANSWER))
            self.kept.append(connection)

    def close(self) -> None:
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        for connection in self.kept:
            connection.close()
        self.thread.join(10)


@pytest.fixture
def held() -> Iterator[Held]:
    server = Held()
    yield server
    server.close()


def test_a_request_is_on_the_wire_before_another_call_begins(held: Held, log: RunLog) -> None:
    """Where both begin in one turn of the loop, as in `asyncio.gather`."""
    client = Client(held.url, log=log, retries=0)
    client.complete("azure/fast", "The connection is open now.")
    arrived: list[bytes] = []

    async def two() -> None:
        begun = asyncio.create_task(client.send(client.prepare("text", "azure/fast", "The first")))
        after = asyncio.create_task(look())
        await after
        begun.cancel()
        await asyncio.wait([begun])

    async def look() -> None:  # runs in the same turn, after it
        held.kept[0].settimeout(1)  # while this waits the loop stands still
        arrived.append(held.kept[0].recv(65_536))

    client.run_on_loop(two())
    assert b"The first" in arrived[0]


def test_a_long_prompt_arrives_whole_where_the_gateway_reads_slowly(held: Held, log: RunLog) -> None:
    """What does not go out at once follows as there is room, and the answer to it is taken."""
    client = Client(held.url, log=log, retries=0)
    client.complete("azure/fast", "The connection is open now.")
    job = client.start(client.prepare("text", "azure/fast", LONG))
    read = b""
    while b"w w w" not in read or not read.endswith(b"}"):
        read += held.kept[0].recv(100_000)
    held.kept[0].sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(ANSWER), ANSWER))
    assert job.result(10).run.text == "hi"
    assert read.count(b"w ") == LONG.count("w ")


def test_a_call_that_is_cancelled_while_its_prompt_goes_out_is_recorded(held: Held, log: RunLog) -> None:
    """Its connection ends, since the request was not whole."""
    client = Client(held.url, log=log, retries=0)
    client.complete("azure/fast", "The connection is open now.")
    job = client.start(client.prepare("text", "azure/fast", LONG))
    assert held.kept[0].recv(1000)
    job.cancel()
    concurrent.futures.wait([job], 10)
    while held.kept[0].recv(1_000_000):  # its end comes
        pass
    assert [run.status for run in log.read()] == ["ok", "cancelled"]
