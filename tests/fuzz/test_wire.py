"""Through real sockets: whatever a server sends, the call ends with a run or one of our errors, and is logged."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
from hypothesis import given, strategies as st

import bifrost_nb as bf
from bifrost_nb import Client, RunLog, Timeouts
from tests.faults.server import FaultServer, Wire, head

from .conftest import cases
from .streams import ANSWERS, STREAMS, mutated

pytestmark = pytest.mark.timeout(0)  # the number of cases decides
LIMITS = Timeouts(connect=60, first_byte=60, between_chunks=60, total=60)
HEADS = [
    head(),
    head("200 OK", "application/json"),
    head("502 Bad Gateway", "text/html"),
    head("429 Slow down", "application/json", "retry-after: 1"),
    head("200 OK", "text/event-stream", "transfer-encoding: chunked"),
    head("200 OK", "application/json", "content-encoding: gzip"),
    head("200 OK", "text/event-stream", "content-length: 50"),
    head("302 Found", "text/html", "location: /"),
    b"",
]


class Sends:
    """A server that sends what it was last told to, then closes."""

    def __init__(self) -> None:
        self.data = b""

    def __call__(self, wire: Wire) -> None:
        wire.send(self.data)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[FaultServer, Sends]]:
    sends = Sends()
    with FaultServer(sends) as serving:
        yield serving, sends


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> RunLog:
    return RunLog(tmp_path_factory.mktemp("fuzz") / "runs.jsonl")


@cases(0.1)
@given(
    st.sampled_from(HEADS) | mutated(HEADS),
    mutated(STREAMS) | mutated(ANSWERS) | st.binary(max_size=200),
    st.booleans(),
)
def test_over_the_wire(
    server: tuple[FaultServer, Sends], log: RunLog, start: bytes, body: bytes, streamed: bool
) -> None:
    """A good, broken or missing head before a good, broken or senseless body."""
    serving, sends = server
    sends.data = start + body
    client = Client(serving.url, log=log, retries=0, timeout=LIMITS)
    assert log.path is not None
    before = log.path.stat().st_size if log.path.exists() else 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # chunks that came twice or late
            if streamed:
                with client.stream("azure/fast", "Hi") as stream:
                    list(stream)
                run = stream.run
            else:
                run = client.complete("azure/fast", "Hi")
    except bf.BifrostError as error:
        run = error.run or bf.Run(run_id="none: an error without its run")
    line = log.path.read_bytes()[before:].splitlines()[0]
    assert run.run_id.encode() in line
    assert run.status in ("ok", "error", "truncated")
