"""Clients that leave are noticed at once, and many streams are served on time."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from urllib.parse import urlsplit

import pytest

from .conftest import Wire

STREAM = {"model": "azure/fast", "prompt": "Explain tides", "stream": True}
NOTICED_S = 0.15
"""Generous for a machine that runs other tests at the same time; alone it takes about a millisecond."""


def connect(wire: Wire) -> socket.socket:
    """A connection on which a stream has been asked for."""
    where = urlsplit(wire.gateway.url)
    content = json.dumps(STREAM).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Length: {len(content)}\r\n\r\n"
    connection = socket.create_connection((where.hostname, where.port), timeout=5)
    connection.sendall(head.encode() + content)
    return connection


@pytest.mark.parametrize(
    "rule",
    [
        {"first_text_ms": 10_000, "delay_ms": 10_000},
        {"first_text_ms": 10_000, "delay_ms": 0},
        {"first_text_ms": 0, "gap_ms": 10_000, "chunks": 5},
        {"first_text_ms": 0, "gap_ms": 2, "chunks": 10_000},
        {"silent": True},
        {"status": 500, "delay_ms": 10_000},
    ],
    ids=["before the headers", "before the text", "between chunks", "in full flow", "silent", "before an error"],
)
def test_a_client_that_leaves_is_noticed_at_once(wire: Wire, rule: dict[str, object]) -> None:
    """The moment of the disconnect is recorded, whatever the gateway was waiting for, and the log says cancelled."""
    wire.gateway.script([{"log_delay_ms": 0, **rule}])
    with connect(wire) as connection:
        wire.gateway.wait_for(lambda found: found)
        if rule.get("chunks"):
            wire.gateway.wait_for(lambda found: found[0]["chunks"])
        left = time.monotonic()
        connection.close()
    record = wire.gateway.wait_for(lambda found: found[0]["disconnected_at"])[0]
    assert 0 <= record["disconnected_at"] - left < NOTICED_S
    assert (
        abs(
            (record["disconnected_time"] - record["received_time"])
            - (record["disconnected_at"] - record["received_at"])
        )
        < 0.01
    )
    assert record["ended_at"] is None
    rows = wire.http.get("/api/logs", params={"status": "cancelled"}).json()["logs"]
    assert [row["id"] for row in rows] == [record["id"]]


def test_a_cancelled_stream_is_billed_for_what_was_sent(wires: dict[str, Wire]) -> None:
    """From 1.5 on the tokens sent so far have a cost; the row of 1.3 never ends (measured)."""
    for dialect, status in (("1.3", "processing"), ("2.2", "cancelled")):
        wire = wires[dialect]
        wire.gateway.reset()
        wire.gateway.script([{"first_text_ms": 0, "gap_ms": 10_000, "chunks": 5, "log_delay_ms": 0}])
        with connect(wire):
            wire.gateway.wait_for(lambda found: found and found[0]["chunks"] == 1)
        wire.gateway.wait_for(lambda found: found[0]["disconnected_at"])
        row = wire.http.get("/api/logs").json()["logs"][0]
        assert row["status"] == status
        assert row.get("token_usage", {}).get("completion_tokens") == (1 if dialect == "2.2" else None)
        assert ("cost" in row) == (dialect == "2.2")


def test_an_ended_answer_is_no_disconnect(wire: Wire) -> None:
    """Closing the connection after the last byte is not recorded as leaving early."""
    with connect(wire) as connection:
        content = b""
        while not content.endswith(b"0\r\n\r\n"):
            content += connection.recv(65_536)
    record = wire.gateway.wait_for(lambda found: found[0]["ended_at"])[0]
    assert record["disconnected_at"] is None


def test_a_hundred_streams_are_served_on_time(wire: Wire) -> None:
    """100 streams of 100 chunks at 10 ms run side by side without drifting apart."""
    wire.gateway.script([{"first_text_ms": 200, "gap_ms": 10, "chunks": 100}])
    where = urlsplit(wire.gateway.url)
    content = json.dumps(STREAM).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Length: {len(content)}\r\n\r\n"

    async def read_one() -> None:
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        writer.write(head.encode() + content)
        await reader.readuntil(b"0\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async def read_all() -> None:
        await asyncio.gather(*(read_one() for _ in range(100)))

    asyncio.run(read_all())
    records = wire.gateway.requests()
    assert {record["chunks"] for record in records} == {100}
    last = sorted(record["chunk_times"][-1] - record["received_at"] - 1.190 for record in records)
    assert last[0] > -0.001
    assert last[50] < 0.3
