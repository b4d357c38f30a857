"""One request's connection: writing at planned times, and noticing at once when the client goes away.

Every wait is against an absolute time of the monotonic clock, so that delays do not add up over a stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from ..records import RequestRecord

__all__ = ["BodyTooLarge", "ClientGone", "Dropped", "ServerConnection"]

_BODY_LIMIT = 100 * 1024 * 1024
_RESET_AFTER_S = 0.005
"""What was written before is to arrive before the reset does."""


class ClientGone(Exception):
    """The client closed the connection."""


class Dropped(Exception):
    """We closed the connection, by script."""


class BodyTooLarge(Exception):
    """The request has more than 100 MiB."""


class ServerConnection:
    """Reads the request, writes the answer, keeps the record."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._watcher: asyncio.Task[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._gone = False
        self.record = _record(scope)
        self.model: str = scope.get("path_params", {}).get("model", "")
        """The model that the path names, decoded; "" where it names none."""
        self.complete = False
        """The whole answer was handed to the connection."""
        self.drop_after: int | None = None
        """The connection ends after so many bytes of the body (`drop_how`)."""
        self.drop_how = "rst"
        self.buffers = False
        """Whether all of the body is kept until its end, as gateway 1.4 does with streams."""
        self._buffer = bytearray()
        self._headers: dict[str, str] = {}
        self._last_write = self.record.received_at

    async def body(self) -> bytes:
        """The whole request body. Raises ClientGone, BodyTooLarge."""
        content = bytearray()
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._left()
                raise ClientGone
            content += message.get("body", b"")
            more = message.get("more_body", False)
            if len(content) > _BODY_LIMIT:
                raise BodyTooLarge
        return bytes(content)

    def watch(self) -> None:
        """From now on notice when the client goes away, also while idle."""
        self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._left()

    def _left(self) -> None:
        self._gone = True
        self.record.disconnected_at, self.record.disconnected_time = time.monotonic(), time.time()
        if self._waiter is not None:
            _wake(self._waiter)

    async def until(self, when: float | None) -> None:
        """Wait until `when` on the monotonic clock (None: for ever). Raises ClientGone as soon as it happens."""
        while not self._gone:
            rest = None if when is None else when - time.monotonic()
            if rest is not None and rest <= 0:
                return
            loop = asyncio.get_running_loop()
            waiter = self._waiter = loop.create_future()
            timer = None if rest is None else loop.call_later(rest, _wake, waiter)
            try:
                await waiter
            finally:
                self._waiter = None
                if timer is not None:
                    timer.cancel()
        raise ClientGone

    async def idle(self, when: float, heartbeat_s: float | None) -> None:
        """Like `until`, with a heartbeat line after each `heartbeat_s` without a write."""
        while heartbeat_s and self._last_write + heartbeat_s < when:
            await self.until(self._last_write + heartbeat_s)
            # No empty line behind it: that is how gateway 2.x sends it.
            await self.write(b": heartbeat\n")
        await self.until(when)

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        """Send status and headers. Raises ClientGone, Dropped."""
        if self._gone:
            raise ClientGone
        if self.buffers:
            self.record.status, self._headers = status, dict(headers)
            return
        await self._begin(status, headers)

    async def _begin(self, status: int, headers: Mapping[str, str]) -> None:
        self.record.status, self.record.headers_at = status, time.monotonic()
        raw = [(name.encode("latin-1"), value.encode()) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})
        self._last_write = time.monotonic()
        if self.drop_after == 0:
            await self.drop()

    async def write(self, content: bytes, *, last: bool = False) -> None:
        """Send a part of the body. Raises ClientGone, Dropped."""
        if self._gone:
            raise ClientGone
        if self.buffers:
            self._buffer += content
            if not last:
                return
            content, self.buffers = bytes(self._buffer), False
            await self._begin(self.record.status or 200, {**self._headers, "content-length": str(len(content))})
        cut = self.drop_after is not None and self.record.bytes + len(content) >= self.drop_after
        if cut:
            content, last = content[: (self.drop_after or 0) - self.record.bytes], False
        if last:
            self.close()
        await self._send({"type": "http.response.body", "body": content, "more_body": not last})
        self._last_write = time.monotonic()
        self.record.bytes += len(content)
        if last:
            self.complete = True
            self.record.ended_at = self._last_write
        if cut:
            await self.drop()

    async def drop(self, how: str | None = None) -> None:
        """End the connection here: ``fin`` in good order, ``rst`` with a reset. Raises Dropped."""
        self.close()
        self.record.dropped_at = time.monotonic()
        transport: asyncio.Transport = self._scope["state"]["transport"]
        if (how or self.drop_how) == "rst":
            await asyncio.sleep(_RESET_AFTER_S)
            with contextlib.suppress(OSError):
                connection = transport.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        else:
            transport.close()
        raise Dropped

    def close(self) -> None:
        """Stop watching the connection."""
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None


def _wake(waiter: asyncio.Future[Any]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _record(scope: Scope) -> RequestRecord:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    client = scope.get("client") or ("", 0)
    return RequestRecord(
        id=headers.get("x-request-id") or str(uuid.uuid4()),
        method=scope["method"],
        path=scope["path"],
        raw_path=scope.get("raw_path", b"").decode("latin-1"),
        query=dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
        headers=headers,
        connection=f"{client[0]}:{client[1]}",
    )
