"""Nothing may be left after a fault: a look at tasks, threads, sockets and files before and after."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from bifrost_nb import Client, RunLog
from bifrost_nb._client.portal import portal

from .server import FaultServer, Wire, done, head

_staying: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
"""Tasks of earlier tests that did not end when they were waited for."""


def good(wire: Wire) -> None:
    wire.send(head() + done())


def running() -> set[asyncio.Task[Any]]:
    """The tasks of the private loop. Costs are looked up for some seconds after an answer, as the gateway writes its
    log late; that ends by itself."""
    tasks = (task for task in asyncio.all_tasks(portal().loop) if not task.done())
    return {task for task in tasks if "Costs." not in getattr(task.get_coro(), "__qualname__", "")}


def held(but: Collection[asyncio.Task[Any]] = ()) -> Counter[str]:
    """What this process holds: tasks of the private loop, threads, sockets, and files other than a run log."""
    found: Counter[str] = Counter()
    found["tasks"] = len(running().difference(but))
    for thread in threading.enumerate():
        # The loop looks up names on a pool of threads that it keeps.
        found[f"thread {'of asyncio' if thread.name.startswith('asyncio_') else thread.name}"] += 1
    del found["thread of asyncio"]
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the one that lists
            name = str(Path("/proc/self/fd", descriptor).readlink())
            if not name.endswith("runs.jsonl"):
                found["socket" if name.startswith("socket:") else name] += 1
    return found


@contextlib.contextmanager
def nothing_left(seconds: float = 8.0) -> Iterator[None]:
    """What the block began has ended soon after it.

    What came before ends first, or is left alone: a call that a second interrupt left behind goes on for minutes.
    """
    settled = time.monotonic() + 2.0
    while running().difference(_staying) and time.monotonic() < settled:
        time.sleep(0.02)
    earlier = running()
    _staying.update(earlier)  # waited for once, not by each test that follows
    before = held(earlier)
    yield
    end = time.monotonic() + seconds
    while more := held(earlier) - before:
        assert time.monotonic() < end, f"left behind: {dict(more)}"
        time.sleep(0.02)
        gc.collect()


@pytest.fixture(scope="session")
def _warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The private loop, its connection pool and what is imported late are there before anything is counted."""
    with FaultServer(good) as server:
        client = Client(server.url, log=RunLog(tmp_path_factory.mktemp("warm") / "runs.jsonl"))
        for url in (server.url, server.url.replace("127.0.0.1", "localhost")):
            with Client(url, log=client.log).stream("azure/fast", "Hi") as stream:
                list(stream)
    gc.collect()
    gc.freeze()  # the modules that other tests loaded are not looked through again for each fault


@pytest.fixture
def faulty(_warm: None) -> Iterator[Callable[..., FaultServer]]:
    """Starts servers; after the test they are gone and so is everything else."""
    with nothing_left(), contextlib.ExitStack() as stack:
        yield lambda act, **options: stack.enter_context(FaultServer(act, **options))


@pytest.fixture
def ask(log: RunLog) -> Any:
    """One call without retries, streamed or not; the text that was read."""

    def ask(url: str, stream: bool, **options: Any) -> str:
        client = Client(url, log=log, retries=options.pop("retries", 0))
        if not stream:
            return client.complete("azure/fast", "Hi", **options).text
        with client.stream("azure/fast", "Hi", **options) as running:
            return "".join(running)

    return ask
