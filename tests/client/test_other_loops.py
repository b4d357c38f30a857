"""Async calls cross from the caller's loop to the private one and back, both woken once for many."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import sys
import threading
import time
from types import FrameType
from typing import Any

import pytest

import bifrost_nb as bf
from bifrost_nb import Client, LocalGateway, RunLog

ASKED: contextvars.ContextVar[str] = contextvars.ContextVar("ASKED", default="nobody")


def test_each_call_runs_in_the_context_of_its_caller(gateway: LocalGateway, log: RunLog) -> None:
    """What tracing and hooks keep in context variables is the caller's own, also of calls that were begun together."""
    seen: dict[str, str] = {}

    def hook(text: str, what: str) -> str:
        if what == "prompt":
            seen[text] = ASKED.get()
        return text

    client = Client(gateway.url, log=log, redact=hook)

    async def one(name: str) -> None:
        ASKED.set(name)
        await client.acomplete("azure/fast", f"I am {name}", max_tokens=2)

    async def several() -> None:
        await asyncio.gather(*(one(f"caller {number}") for number in range(20)))

    asyncio.run(several())
    assert seen == {f"I am caller {number}": f"caller {number}" for number in range(20)}


def test_loops_of_several_threads_are_all_answered(client: Client, log: RunLog) -> None:
    """No loop waits for another's."""
    found: dict[int, list[str | None]] = {}

    async def several(thread: int) -> None:
        runs = await asyncio.gather(
            *(client.acomplete("azure/fast", f"{thread}.{number}", max_tokens=2) for number in range(30))
        )
        found[thread] = [run.prompt for run in runs]

    threads = [threading.Thread(target=lambda number=number: asyncio.run(several(number))) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == {thread: [f"{thread}.{number}" for number in range(30)] for thread in range(4)}
    assert len(log.read(status="ok")) == 120


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # what was never begun says so
def test_an_interrupt_while_a_loop_is_woken_does_not_keep_it_asleep(client: Client) -> None:
    """Whatever step of beginning a call the interrupt key hits, the next call is made."""
    steps, waking = itertools.count(1), ("inbox.py", "base_events.py", "selector_events.py")

    def interrupted_at(wanted: int) -> bool:
        made = itertools.count(1)

        def step(frame: FrameType, event: str, _: object) -> Any:
            if frame.f_code.co_filename.endswith(waking):
                if event == "line" and next(made) == wanted:
                    raise KeyboardInterrupt
                return step
            return None

        before = sys.gettrace()
        sys.settrace(step)
        try:
            client.complete("azure/fast", "interrupted", max_tokens=1)
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(before)
        return False

    while interrupted_at(next(steps)):
        job = client.start(client.prepare("text", "azure/fast", "the next", max_tokens=1))
        assert job.result(10).run.status == "ok"
    assert next(steps) > 5


def test_a_blocking_call_after_an_async_one_that_has_only_been_begun(client: Client) -> None:
    """The loop that would have woken the private one is held up by the blocking call, which wakes it for both."""

    async def both() -> list[str | None]:
        begun = asyncio.ensure_future(client.acomplete("azure/fast", "first", max_tokens=2))
        order: list[str | None] = []

        def block() -> None:
            order.append(client.complete("azure/fast", "second", max_tokens=2).prompt)

        asyncio.get_running_loop().call_soon(block)  # in the turn of the loop in which the first call is begun
        order.append((await begun).prompt)
        return order

    assert asyncio.run(asyncio.wait_for(both(), 30)) == ["second", "first"]


def test_a_loop_that_ends_before_its_answer(
    client: Client, gateway: LocalGateway, log: RunLog, capfd: pytest.CaptureFixture[str]
) -> None:
    """What was begun is cancelled and recorded; nothing is printed, and the next loop works."""
    gateway.script([{"prompt": "left", "silent": True}])

    async def leave() -> None:
        task = asyncio.create_task(client.acomplete("azure/fast", "left", max_tokens=2))
        while not await _asked(gateway, "left"):
            await asyncio.sleep(0.01)
        task.cancel()  # the loop ends without waiting for it

    asyncio.run(leave())
    assert asyncio.run(client.acomplete("azure/fast", "next", max_tokens=2)).status == "ok"
    end = time.monotonic() + 10
    while len(log.read()) < 2 and time.monotonic() < end:
        time.sleep(0.02)
    assert {run.prompt: run.status for run in log.read()} == {"left": "cancelled", "next": "ok"}
    assert capfd.readouterr().err == ""


async def _asked(gateway: LocalGateway, prompt: str) -> bool:
    """Whether the gateway has been asked that."""
    sent = await asyncio.to_thread(gateway.requests)
    return any(record["method"] == "POST" and record["body"]["prompt"] == prompt for record in sent)


def test_errors_and_cancels_come_back(client: Client, gateway: LocalGateway, log: RunLog) -> None:
    """An error is raised in the caller's code, a cancel ends the request and leaves a run."""
    gateway.script([{"deployment": "azure/fast", "silent": True}])

    async def both() -> None:
        with pytest.raises(bf.NotFound):
            await client.acomplete("azure/absent", "Nobody there", max_tokens=2)
        task = asyncio.create_task(client.acomplete("azure/fast", "Hi", max_tokens=2))
        while not await _asked(gateway, "Hi"):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(both())
    end = time.monotonic() + 10
    while len(log.read()) < 2 and time.monotonic() < end:
        time.sleep(0.02)
    assert [run.status for run in log.read()] == ["error", "cancelled"]
