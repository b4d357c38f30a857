"""One call from sending to the recorded run: attempts with backoff, the run log, the cost that comes later.

Everything here runs on the private loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from .._keys import secrets_in, tool_keys, without_keys
from .._runs.collector import Collector
from .._runs.late_facts import learn_version
from .._runs.log.log import RunLog
from .._runs.pieces import Pieces
from .._runs.redact_hook import Redact
from .._runs.route_collectors import collector_of
from .._runs.run import Attempt, Run, Status, new_id
from .._runs.trace_ids import traceparent
from .._safe_text import plain
from .._suggest import did_you_mean
from ..errors import (
    AuthenticationFailed,
    BifrostError,
    GatewayError,
    LogError,
    StreamInterrupted,
    TimedOut,
)
from .call_notes import notes_for
from .calls import Call, Outcome
from .cost_lookup import Costs
from .credentials import Credentials
from .portal import Portal, portal
from .retries import GIVEN_UP_ON, pause_s, worth_retrying
from .transport import Pool, Sink, attempt, get_json, pool

__all__ = ["Sender", "describe", "status_of"]

LIST_WAIT_S = 3.0
"""An error about a deployment's name waits at most so long for the names that the gateway has."""
_UNKNOWN = (
    "model_not_found",
    "no keys found",
    "no key found",
    "does not exist",
    "not found",
    "not configured",
    "auto resolve",
)
VERSION_WAIT_S = 0.25
"""The first run of a client waits at most so long for the gateway's version."""


ASK_AGAIN_S = 30.0
"""A version, or a list of deployments, that the gateway did not tell is asked for again after that."""
Told = TypeVar("Told")


@dataclass(slots=True)
class _Sending:
    """The state of one call while it is sent."""

    call: Call
    sink: Sink | None
    secrets: tuple[str, ...]
    """The keys that go out with it: the client's, and those among the call's own headers."""
    began: float = field(default_factory=time.monotonic)
    collector: Collector = field(init=False)

    def __post_init__(self) -> None:
        self.collector = self.collect(0.0)

    def collect(self, began_ms: float) -> Collector:
        """A collector for an attempt that begins then."""
        body = self.call.body
        collector = collector_of(self.call.kind, self.call.run, began_ms, self.secrets, body.get("input"))
        prompts = body.get("prompt")
        collector.choices = (body.get("n") or 1) * (len(prompts) if isinstance(prompts, list) else 1)
        return collector

    def now_ms(self) -> float:
        return 1000 * (time.monotonic() - self.began)

    def left_s(self) -> float | None:
        """Seconds until the total limit; None without one."""
        total = self.call.timeouts.total
        return None if total is None else total - self.now_ms() / 1000


class Sender:
    """Sends the calls of one client. Belongs to the private loop it was made on."""

    def __init__(
        self,
        base_url: str,
        credentials: Credentials,
        log: Callable[[], RunLog],
        redact: Redact | None = None,
        traceparent: bool = False,
    ) -> None:
        self.portal: Portal = portal()
        self.base_url = base_url
        self.costs = Costs(base_url, credentials)
        self._credentials, self._log, self._redact = credentials, log, redact
        self._traceparent = traceparent
        self._locked = False
        """The gateway asks for the administrator's log-in for completions too."""
        self._version: asyncio.Task[str | None] | None = None
        self._asked_at = float("-inf")
        """When the version was asked for, by the monotonic clock; `_listed_at`: when the deployments were."""
        self._listed_at = float("-inf")
        self._listing: asyncio.Task[Sequence[str]] | None = None

    async def send(self, call: Call, sink: Sink | None = None) -> Outcome:
        """Send a call. Being cancelled records the run and raises CancelledError; every other end is an Outcome."""
        http = await pool(self.base_url, self._credentials.ca_file)  # loading it is no time of the gateway's
        secrets = (*self._credentials.secrets, *secrets_in(call.headers), *tool_keys(call.body))
        sending = _Sending(call, _sink_that_cannot_fail(sink), secrets)
        version = self._version_asked()
        error: BifrostError | None = None
        try:
            await self._attempts(sending, http)
        except BifrostError as failure:
            error = failure
        except asyncio.CancelledError:
            ended_ms = sending.now_ms()
            await _wait_for(version)  # it says whether the provider hears of this
            await self._finish(sending, "cancelled", None, ended_ms)
            raise
        except Exception as defect:  # of ours or of a library: what was sent is recorded all the same
            call.run.error_type = type(defect).__name__
            await self._finish(sending, "error", None)
            raise
        ended_ms = sending.now_ms()
        if error is not None and _may_be_a_typo(error):
            known = await self._known()
            meant = "" if call.run.requested in known else did_you_mean(call.run.requested, known)
            error.hint = f"{error.hint or ''}{meant}".strip() or None
        await _wait_for(version)
        return await self._finish(sending, status_of(error), error, ended_ms)

    async def known_version(self) -> str | None:
        """The gateway's version, asked for once; None where it does not say."""
        return await asyncio.shield(self._version_asked())

    def _version_asked(self) -> asyncio.Task[str | None]:
        """The look-up of the version, under way or done; a new one where the last told nothing and is a while ago: the
        gateway may just have been starting."""
        again = self._version is not None and self._version.done() and _told(self._version) is None
        if self._version is None or (again and time.monotonic() - self._asked_at > ASK_AGAIN_S):
            self._asked_at = time.monotonic()
            self._version = asyncio.create_task(self.version())
        return self._version

    async def _known(self) -> Sequence[str]:
        """The deployments that the gateway lists, for an error; asked for once, and only after one."""
        again = self._listing is not None and self._listing.done() and not _told(self._listing)
        if self._listing is None or (again and time.monotonic() - self._listed_at > ASK_AGAIN_S):
            self._listed_at = time.monotonic()
            self._listing = asyncio.create_task(self._listed())
        done, _ = await asyncio.wait([self._listing], timeout=LIST_WAIT_S)
        return (_told(self._listing) or ()) if done else ()

    async def _listed(self) -> Sequence[str]:
        with suppress(BifrostError):
            return [plain(model["id"], 200) for model in await self.costs.models()]
        return ()

    async def version(self) -> str | None:
        """The gateway's version; None where it does not say."""
        try:
            keys = self._credentials
            status, answer = await get_json(
                self.base_url, "/api/version", keys.management, seconds=5.0, ca_file=keys.ca_file
            )
        except BifrostError:
            return None
        told = answer if status == 200 and isinstance(answer, str) else None
        return None if told is None else without_keys(plain(told, 40), *self._credentials.secrets)

    async def _attempts(self, sending: _Sending, http: Pool) -> None:
        # A loop of our own: tenacity's cost as much processor time as all other recording of a call that just works.
        for number in range(sending.call.retries + 1):
            try:
                await self._opened(sending, http)
                return
            except BifrostError as error:
                received = sending.collector.received
                if number == sending.call.retries or not worth_retrying(error, received, sending.left_s()):
                    raise
                pause = pause_s(error, number)
            sending.call.run.attempts[-1].wait_ms = 1000 * pause
            await asyncio.sleep(pause)

    async def _opened(self, sending: _Sending, http: Pool) -> None:
        """An attempt, made again with the administrator's user and password where the gateway locks completions too.

        1.4.18 and 1.5.1 can do that: then Basic opens, a virtual key does not, and the refusal has no type (measured).
        They are not sent before, since a gateway that needs none might take them for a provider's key.
        """
        tried = self._locked  # another call may find out while this one is under way
        try:
            await self._attempt(sending, http)
        except AuthenticationFailed as error:
            basic = self._credentials.admin.get("authorization", "").startswith("Basic ")
            if tried or not basic or error.type or "authorization" in self._credentials.inference:
                raise
            self._locked = True
            try:
                await self._attempt(sending, http)
            except AuthenticationFailed:
                self._locked = False
                raise

    async def _attempt(self, sending: _Sending, http: Pool) -> None:
        call, run = sending.call, sending.call.run
        if run.attempts:
            sending.collector = sending.collect(sending.now_ms())
        run.request_id = new_id()
        note = Attempt(request_id=run.request_id, started_ms=sending.now_ms())
        run.attempts.append(note)
        headers = {
            "content-type": "application/json",
            "accept": "text/event-stream" if call.stream else "application/json",
            **({"traceparent": traceparent(run.run_id)} if self._traceparent else {}),
            **call.headers,
            **self._credentials.inference,
            **(self._credentials.admin if self._locked else {}),
            "x-request-id": run.request_id,
        }
        if call.stream:
            headers["accept-encoding"] = "identity"  # a compressing proxy would hold chunks back
        try:
            await attempt(http, self.base_url, call, headers, sending.collector, sending.began, sending.sink)
        except BifrostError as error:
            note.error = type(error).__name__
            broken = isinstance(error, StreamInterrupted) or (isinstance(error, TimedOut) and error.phase != "connect")
            late = isinstance(error, GatewayError) and error.status in GIVEN_UP_ON
            note.taken = broken or late or sending.collector.received or getattr(error, "taken", False)
            raise
        except asyncio.CancelledError:
            note.error = "cancelled"
            raise
        finally:
            note.ended_ms = sending.now_ms()
            note.http_status = run.http_status

    async def _finish(
        self, sending: _Sending, status: Status, error: BifrostError | None, ended_ms: float | None = None
    ) -> Outcome:
        """Complete the run, write it to the log, look for its cost, tell the view.

        Without an await between, unless another process holds the log: waiting for it must not stop other calls.
        """
        run, log = sending.call.run, self._log()
        run.base_url, run.total_ms = self.base_url, sending.now_ms() if ended_ms is None else ended_ms
        sending.collector.finish(run.total_ms)
        if self._version is not None:
            learn_version(run, _told(self._version))
        if error is not None:
            describe(run, error, sending.secrets)
        run.status = status
        run.notes += notes_for(run)
        outcome = Outcome(run, error)
        if sending.call.before_log is not None:
            sending.call.before_log(run)
        try:
            await log.append_on_loop(run, redact=self._redact, secrets=sending.secrets)
        except LogError as failure:
            outcome.log_error = failure
        self.costs.follow(run, log)
        if sending.sink is not None:
            sending.sink(run, Pieces(run.total_ms or 0.0))
        return outcome


def _told(task: asyncio.Task[Told]) -> Told | None:
    """What a look-up gave; None while it is under way, and where it was cancelled."""
    return task.result() if task.done() and not task.cancelled() else None


async def _wait_for(version: asyncio.Task[str | None]) -> None:
    """Wait a moment for the version, which says what an end means; it comes while the first call is under way."""
    if not version.done():
        with suppress(asyncio.CancelledError):  # a second one, which must not cost the record of the first
            await asyncio.wait([version], timeout=VERSION_WAIT_S)


def describe(run: Run, error: BifrostError, secrets: Sequence[str]) -> None:
    """The error's facts into the run, the run into the error; keys out of both."""
    error.bare().args = (without_keys(error.message, *secrets),)
    error.run = run
    run.error_message = str(error)
    run.error_type, run.error_code = type(error).__name__, None
    if isinstance(error, GatewayError | StreamInterrupted):
        run.error_type, run.error_code = error.type or run.error_type, error.code
    if isinstance(error, GatewayError):
        run.http_status = error.status or run.http_status
        error.request_id = run.request_id  # the one sent: a provider's own may stand in the headers


def status_of(error: BifrostError | None) -> Status:
    """How a call ended."""
    if error is None:
        return "ok"
    if isinstance(error, TimedOut):
        return "timeout"
    return "truncated" if isinstance(error, StreamInterrupted) else "error"


def _may_be_a_typo(error: BifrostError) -> bool:
    """Whether the gateway did not know the deployment, in the words of any version (404, or 400 and a sentence)."""
    if not isinstance(error, GatewayError) or error.status not in (400, 404):
        return False
    said = f"{error.code} {error.message}".lower()
    return error.status == 404 or any(word in said for word in _UNKNOWN)


def _sink_that_cannot_fail(sink: Sink | None) -> Sink | None:
    """A view that fails must not cost the run: its first exception is reported and the view is left alone."""
    if sink is None:
        return None
    broken = False

    def call(run: Run, pieces: Pieces) -> None:
        nonlocal broken
        if not broken:
            try:
                sink(run, pieces)
            except Exception as error:  # noqa: BLE001 - any bug of a view
                broken = True
                context = {"message": "bifrost-nb: a live view failed", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)

    return call
