"""Each real SDK x (answer, stream, error, cancel), blocking and awaited, with and without the recorder.

The gateway answers equal requests equally after a reset, so what an SDK gives with the recorder must equal what it
gives without. The run is compared with what the gateway itself noted of the request, and with what the SDK told.
"""

from __future__ import annotations

import asyncio
import importlib.util
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

import bifrost_nb as bf
from bifrost_nb import Client, Run, RunLog
from bifrost_nb._simulator.process import LocalGateway, local_gateway

from .drivers import DRIVERS, PROMPT, Driver, plain

_MODULES = {"genai": "google.genai", "bedrock": "boto3", "langchain": "langchain_openai", "pydanticai": "pydantic_ai"}
# SDKs leave sockets to the garbage collector, and their users close no client made for one call.
# What SDKs warn of is theirs.
pytestmark = pytest.mark.filterwarnings(
    "ignore:unclosed:ResourceWarning", "ignore::DeprecationWarning", "ignore::UserWarning"
)
VARYING = re.compile(
    r"[0-9a-f]{8}-[0-9a-f-]{27}|\b[0-9a-f]{32}\b|\d+\.\d+|\d\d:\d\d:\d\d|(?<=latency\W\W\W)\d+"
    r"|(?<=latency\W\W)\d+"
)
SPENT = 3
"""Events read before a stream is left."""


def _there(driver: Driver) -> bool:
    try:
        return importlib.util.find_spec(_MODULES.get(driver.name, driver.name)) is not None
    except ModuleNotFoundError:
        return False


def _cases() -> list[Any]:
    cases = []
    for driver in DRIVERS:
        missing = pytest.mark.skipif(not _there(driver), reason=f"{driver.name} is not installed (extra: sdks)")
        for asynchronous in (False, True):
            if driver.awaited if asynchronous else driver.blocking:
                label = f"{type(driver).__name__}-{'awaited' if asynchronous else 'blocking'}"
                cases.append(pytest.param(Case(driver, asynchronous), id=label, marks=missing))
    return cases


@dataclass
class Case:
    driver: Driver
    asynchronous: bool
    runner: asyncio.Runner = field(default_factory=asyncio.Runner)
    """One loop for all calls, as in a notebook: some SDKs share connections among their clients."""

    def client(self, gateway: LocalGateway, ours: Client | None) -> Any:
        """Ours with the recorder where a client of ours is given, the SDK's own otherwise."""
        if ours is None:
            return self.driver.alone(gateway.url, self.asynchronous)
        name: Any = self.driver.name
        return bf.sdk(name, client=ours, asynchronous=self.asynchronous, **self.driver.options)

    def answer(self, gateway: LocalGateway, ours: Client | None) -> Any:
        if not self.asynchronous:
            return self.driver.answer(self.client(gateway, ours))

        async def ask() -> Any:
            return await self.driver.aanswer(self.client(gateway, ours))

        return self.runner.run(ask())

    def events(self, gateway: LocalGateway, ours: Client | None, most: int | None = None) -> list[Any]:
        """The events of a stream, which is left after `most`."""
        if not self.asynchronous:
            return self._blocking_events(self.client(gateway, ours), most)

        async def ask() -> list[Any]:
            return await self._awaited_events(self.client(gateway, ours), most)

        return self.runner.run(ask())

    def _blocking_events(self, client: Any, most: int | None) -> list[Any]:
        found: list[Any] = []
        stream: Any = self.driver.stream(client)
        for event in stream:
            found.append(plain(event))
            if len(found) == most:
                break
        stream.close()
        return found

    async def _awaited_events(self, client: Any, most: int | None) -> list[Any]:
        """A stream that is left is cancelled in the middle of waiting, as a task is."""
        found: list[Any] = []
        enough = asyncio.Event()

        async def read() -> None:
            async for event in self.driver.astream(client):
                found.append(plain(event))
                if len(found) == most:
                    enough.set()

        task = asyncio.create_task(read())
        if most is None:
            await task
            return found
        waiting = asyncio.create_task(enough.wait())
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
        while not task.done():  # langchain swallows a cancellation that reaches it inside a callback
            task.cancel()
            await asyncio.wait([task], timeout=0.1)
        waiting.cancel()
        return found[:most]


CASES = pytest.mark.parametrize("case", _cases())


@pytest.fixture(scope="module")
def quick() -> Iterator[LocalGateway]:
    with local_gateway(speed=50) as gateway:
        yield gateway


@pytest.fixture(scope="module", autouse=True)
def _loops() -> Iterator[None]:
    """The loops of the awaited cases end with the last of them."""
    yield
    for case in CASES.args[1]:
        case.values[0].runner.close()


@pytest.fixture
def gateway(quick: LocalGateway) -> LocalGateway:
    quick.reset()
    return quick


@pytest.fixture
def ours(gateway: LocalGateway, log: RunLog) -> Client:
    return Client(gateway.url, log=log, virtual_key="sk-bf-matrix")


def only_run(log: RunLog) -> Run:
    (run,) = log.read()
    return run


def posts(requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the recorder's own looks at the gateway's log."""
    return [request for request in requests if request["method"] == "POST"]


def only_request(gateway: LocalGateway) -> dict[str, Any]:
    (request,) = posts(gateway.requests())
    return request


def gone(gateway: LocalGateway) -> dict[str, Any]:
    """The one request, when its SDK has closed the connection."""
    (request,) = posts(gateway.wait_for(lambda requests: posts(requests)[0]["disconnected_at"], 30))
    return request


def check_who(run: Run, case: Case, request: dict[str, Any]) -> None:
    """The run names who was asked and who served, as the gateway noted it, and is found in the gateway's log."""
    assert run.requested == case.driver.deployment
    assert run.served == request["served"]
    assert run.request_id == request["id"]
    assert run.tags == {"sdk": case.driver.name, "sdk_call": run.request_id, "attempt": 1}
    assert run.prompt == PROMPT
    assert request["headers"]["x-bf-vk"] == "sk-bf-matrix"
    assert "without-key" not in str(request["headers"])


def check_times(run: Run, request: dict[str, Any], wall_ms: float) -> None:
    """The gateway's own interval lies within the run's, and that within what the caller waited."""
    assert run.total_ms is not None
    assert 1000 * (request["headers_at"] - request["received_at"]) <= run.total_ms <= wall_ms
    if request["first_text_at"] is not None and run.chunks:
        assert run.ttft_ms is not None
        assert 1000 * (request["first_text_at"] - request["received_at"]) <= run.ttft_ms <= run.total_ms


@CASES
def test_an_answer(case: Case, gateway: LocalGateway, ours: Client, log: RunLog) -> None:
    """A whole answer is the same with the recorder, and its run tells the tokens that the SDK tells."""
    expected = case.answer(gateway, None)
    gateway.reset()
    began = time.monotonic()
    answer = case.answer(gateway, ours)
    wall_ms = 1000 * (time.monotonic() - began)
    assert plain(answer) == plain(expected)
    run, request = only_run(log), only_request(gateway)
    check_who(run, case, request)
    check_times(run, request, wall_ms)
    assert (run.status, run.http_status, run.finish_reason) == ("ok", 200, "stop")
    assert (run.prompt_tokens, run.completion_tokens) == case.driver.counts(answer)
    assert run.total_tokens == sum(case.driver.counts(answer))
    assert run.chunks is None
    assert run.response
    assert run.response in str(plain(answer)).replace("\\n", "\n")


@CASES
def test_a_stream(case: Case, gateway: LocalGateway, ours: Client, log: RunLog) -> None:
    """Each event of a stream is the same with the recorder; its run has the text, first text, gaps and tokens."""
    expected = case.events(gateway, None)
    gateway.reset()
    began = time.monotonic()
    found = case.events(gateway, ours)
    wall_ms = 1000 * (time.monotonic() - began)
    assert found == expected
    assert len(found) > SPENT
    run, request = only_run(log), only_request(gateway)
    check_who(run, case, request)
    check_times(run, request, wall_ms)
    assert (run.status, run.http_status, run.finish_reason) == ("ok", 200, "stop")
    row = next(row for row in bf.Admin(ours).logs(texts=True).to_dict("records") if row["request_id"] == request["id"])
    assert (run.prompt_tokens, run.completion_tokens) == (row["prompt_tokens"], row["completion_tokens"])
    assert run.response == row["response"]
    assert run.chunks == len(run.chunk_times_ms) > 1
    assert run.gap_p50_ms is not None
    assert run.gap_max_ms >= run.gap_p50_ms


@CASES
def test_an_error(case: Case, gateway: LocalGateway, ours: Client, log: RunLog) -> None:
    """An error is raised as the same class with the same words, and its run says what the gateway said."""
    rule = {"deployment": case.driver.deployment, "status": 400, "error": {"message": "no tides today", "type": "moon"}}
    gateway.script([rule])
    with pytest.raises(Exception, match="no tides today") as expected:
        case.answer(gateway, None)
    gateway.reset()
    gateway.script([rule])
    with pytest.raises(Exception, match="no tides today") as found:
        case.answer(gateway, ours)
    assert type(found.value) is type(expected.value)
    assert VARYING.sub("*", str(found.value)) == VARYING.sub("*", str(expected.value))
    run, request = only_run(log), only_request(gateway)
    assert (run.status, run.http_status) == ("error", 400)
    assert "no tides today" in (run.error_message or "")
    assert run.error_type is not None
    assert run.requested == case.driver.deployment
    assert run.request_id == request["id"]
    assert run.prompt_tokens is None
    assert run.cost_usd is None


@CASES
def test_a_stream_that_is_left(case: Case, gateway: LocalGateway, ours: Client, log: RunLog) -> None:
    """Leaving a stream closes the connection as without the recorder; the run is cancelled, with the text so far."""
    rule = {"deployment": case.driver.deployment, "chunks": 12, "stall_after_chunks": 8}
    gateway.script([rule])
    expected = case.events(gateway, None, most=SPENT)
    gone(gateway)
    gateway.reset()
    gateway.script([rule])
    assert case.events(gateway, ours, most=SPENT) == expected
    request = gone(gateway)
    run = only_run(log)
    check_who(run, case, request)
    assert (run.status, run.http_status, run.finish_reason) == ("cancelled", 200, None)
    assert run.completion_tokens is None
    assert run.response
    assert run.ttft_ms is not None
    assert run.ttft_ms <= (run.total_ms or 0)
