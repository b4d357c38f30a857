"""What the bare servers share: a connection that reads one request at a time, and a server that ends with its input."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable

__all__ = ["Connection", "serve"]


class Connection(asyncio.Protocol):
    """One connection; requests do not overlap on it. A server says what `answer` is."""

    _received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        if end and (not length or len(body) >= int(length[1])):
            self._received = b""
            self.answer(head, body)

    def answer(self, head: bytes, body: bytes) -> None:
        """Called with each whole request."""
        raise NotImplementedError


async def serve(connection: Callable[[], Connection]) -> None:
    """Print the port, and serve until the standard input closes."""
    server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()
