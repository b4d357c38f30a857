"""`Recorder`: what to add to a request of an SDK, and what becomes of an exchange that has ended.

It must never harm the call it looks at: whatever goes wrong here is reported by `logging` and nowhere else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import count
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from .._client.client import Client, chosen_client
from .._client.portal import portal
from .._client.transport import NetworkRoute, route_to
from .._runs.late_facts import learn_version
from .._runs.pending import cost_follows
from .._runs.run import Run
from .._runs.trace_ids import traceparent
from ..errors import ConfigurationError, LogError
from .exchange import Exchange
from .exchange_to_run import read
from .helper_thread import beside

__all__ = ["ASKED_HEADERS", "NO_KEY", "Recorder"]

NO_KEY = "bifrost-nb-without-key"
"""Given to SDKs that insist on a key where none is configured; never sent."""
RETRY_S = 120.0
"""The same request within so long after a failure is a retry of it, where the SDK does not number its attempts."""

_KEY_HEADERS = ("authorization", "x-api-key", "x-goog-api-key")
ASKED_HEADERS = ("x-request-id", "x-bf-vk", "traceparent", *_KEY_HEADERS)
"""What `Recorder.headers` wants to know of a request."""
_RETRIED = {408, 409, 429}
_PORTS = {"http": 80, "https": 443}
_logger = logging.getLogger("bifrost_nb._sdks")


class Recorder:
    """Records the exchanges of SDK clients with one gateway. Any thread may call it."""

    def __init__(self, client: Client | None = None, tags: Mapping[str, Any] | None = None) -> None:
        self.client = chosen_client(client)
        self.base_url = self.client.base_url
        if tags is not None and not isinstance(tags, Mapping):
            raise ConfigurationError(f"tags must be a dict, not {type(tags).__name__}.")
        self.tags = dict(tags or {})
        parts = urlsplit(self.base_url)
        self._origin = (parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme])
        self._below = parts.path.rstrip("/")
        settings = self.client.settings
        self._key = settings.virtual_key
        self._secrets = self.client.credentials.secrets
        self._failed: OrderedDict[Any, tuple[str, int, float]] = OrderedDict()
        self._version: str | None = None
        self._asked_version = False
        self._early: list[Run] = []
        """Recorded before the version was asked for. This and the next belong to the private loop."""
        self._asking: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Recorder of {self.base_url}>"

    @property
    def route(self) -> NetworkRoute:
        """The way to the gateway, as its own client goes it. Raises ConfigurationError."""
        return route_to(self.base_url, self.client.credentials.ca_file)

    def begin(
        self, method: str, scheme: str, host: str, port: int | None, path: str, question: bytes, attempt: str | None
    ) -> Exchange | None:
        """An exchange for a request that is about to be sent; None for one to another address.

        `attempt` is what the SDK itself says of its retries: ``"0"`` for a first attempt; None where it says nothing.
        """
        if (scheme, host, port or _PORTS.get(scheme)) != self._origin or not path.startswith(self._below + "/"):
            return None
        exchange = Exchange(path[len(self._below) :], question)
        if method == "POST":
            self._link(exchange, attempt)
        else:
            exchange.over = True  # lists of models and the like need the key, and are no runs
        return exchange

    def headers(self, exchange: Exchange, given: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
        """(headers to add, names of headers to leave out) for a request; `given` has its `ASKED_HEADERS`."""
        added = {}
        if told := given.get("x-request-id"):
            exchange.request_id = told
        else:
            added["x-request-id"] = exchange.request_id
        if self._key and "x-bf-vk" not in given:
            added["x-bf-vk"] = self._key
        if self.client.traceparent and "traceparent" not in given:  # whoever traces already stays in charge
            added["traceparent"] = traceparent(exchange.run_id)
        return added, [name for name in _KEY_HEADERS if name in given and NO_KEY in given[name]]

    def end(
        self, exchange: Exchange, failure: BaseException | None = None, *, exhausted: bool = False, late: bool = False
    ) -> None:
        """An exchange is over; its run is in the log when this returns. Only the first call counts.

        `exhausted`: the answer came to its own end. `late`: nobody saw when it ended.
        """
        if exchange.over:
            return
        exchange.over, exchange.failure, exchange.exhausted = True, failure, exhausted
        exchange.ended_ms = None if late else exchange.now_ms()
        with _harmless():
            self._remember(exchange)
            # A dropped stream is closed by the garbage collector, in the midst of anything: it must wait for nobody.
            here = late or self._hooked
            run, early, rest = self._recorded(exchange) if here else beside(partial(self._recorded, exchange))
            if rest:
                log = self.client.log
                (log.append_line_soon if late else log.append_line)(rest)
                self._look_later(run, early)

    async def aend(self, exchange: Exchange, failure: BaseException | None = None, *, exhausted: bool = False) -> None:
        """`end` on the event loop of an async SDK, which must not stand still while another process holds the log."""
        if exchange.over:
            return
        exchange.over, exchange.failure, exchange.exhausted = True, failure, exhausted
        exchange.ended_ms = exchange.now_ms()
        with _harmless():
            self._remember(exchange)
            here = self._hooked
            run, early, rest = self._recorded(exchange) if here else beside(partial(self._recorded, exchange))
            if rest:
                await self.client.log.append_line_on_loop(rest)
                self._look_later(run, early)

    @property
    def _hooked(self) -> bool:
        """Whether functions of the person's decide what is written: they are called on the thread of their call."""
        return self.client.redact is not None or self.client.log.redact is not None

    def _recorded(self, exchange: Exchange) -> tuple[Run, bool, bytes]:
        """The run of an exchange; whether that is before the gateway told its version; its line, where another writer
        holds the log. Never waits for anybody."""
        run, client, early = read(exchange, self._secrets), self.client, not self._asked_version
        run.base_url = self.base_url
        learn_version(run, self._version)
        latency = run.latency_ms
        if early and run.params.get("stream"):
            run.latency_ms = None  # by some versions a part, and the log takes nothing back: see `_add_version`
        rest = client.log.offer(run, redact=client.redact, secrets=exchange.secrets)
        run.latency_ms = latency
        if not rest:
            self._look_later(run, early)
        return run, early, rest

    def _look_later(self, run: Run, early: bool) -> None:
        """What `run` does not know yet is looked for on the private loop."""
        if sys.is_finalizing():  # an answer that was left open is closed last of all: it is recorded, and no more
            return
        private = portal()
        if run.cost_usd is None and run.http_status is not None:
            cost_follows(run, private.thread)  # from now on, so that whoever asks at once knows that it may come

        def look() -> None:
            self.client.sender().costs.follow(run, self.client.log)
            if early:
                self._early.append(run)
                if self._asked_version:  # since the run was recorded
                    self._add_version()
                elif self._asking is None:
                    self._asking = private.loop.create_task(self._learn_version())

        private.loop.call_soon_threadsafe(look)

    async def _learn_version(self) -> None:
        self._version = await self.client.sender().known_version()
        self._asked_version = True
        self._add_version()

    def _add_version(self) -> None:
        """What the version, or that none is told, says of the runs recorded before."""
        runs, self._early = self._early, []
        for run in runs:
            learn_version(run, self._version)
            told = {"gateway_version": run.gateway_version, "latency_ms": run.latency_ms}
            known = {name: fact for name, fact in told.items() if fact is not None}
            with contextlib.suppress(LogError):
                self.client.log.update_soon({run.run_id: known})

    # Which attempts belong together

    def _link(self, exchange: Exchange, attempt: str | None) -> None:
        known = None if attempt == "0" else self._failed.pop(_fingerprint(exchange), None)
        call, number = exchange.request_id, 1
        if known is not None and exchange.began - known[2] < RETRY_S:
            call, number = known[0], known[1] + 1
        exchange.tags = {**self.tags, "sdk_call": call, "attempt": number}

    def _remember(self, exchange: Exchange) -> None:
        """A failure of the kind that SDKs try again; what was cancelled or interrupted they do not."""
        status = exchange.status
        failed = isinstance(exchange.failure, Exception) if status is None else status in _RETRIED or status >= 500
        if failed:
            tags = exchange.tags
            self._failed[_fingerprint(exchange)] = (tags["sdk_call"], tags["attempt"], time.monotonic())
            if len(self._failed) > 1000:
                self._failed.popitem(last=False)


@contextlib.contextmanager
def _harmless() -> Iterator[None]:
    """The call of the SDK is worth more than our record of it."""
    try:
        yield
    except Exception:
        _logger.exception("bifrost-nb: a call could not be recorded")


def _fingerprint(exchange: Exchange) -> Any:
    """The same request, from the same task or thread."""
    try:
        caller: Any = asyncio.current_task() or threading.current_thread()
    except RuntimeError:
        caller = threading.current_thread()
    return _callers.setdefault(caller, next(_numbers)), exchange.path, hash(exchange.question)


_callers: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
"""A number for each task and thread: the next one often has the `id` of one that has ended."""
_numbers = count()
