"""An async client with connections of its own for each event loop, as google-genai's own client has.

A connection belongs to the loop that opened it: a client that outlives one ``asyncio.run`` would break at the next.
"""

from __future__ import annotations

import asyncio
import weakref
from importlib import import_module
from typing import Any

from .httpx_clients import record
from .recorder import Recorder

__all__ = ["per_loop_client"]


def per_loop_client(library: str, recorder: Recorder, **options: Any) -> Any:
    """A recorded ``AsyncClient`` of `library` (``httpx`` or ``httpx2``); `options` are those of that class."""
    kind: Any = import_module(library).AsyncClient
    clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = weakref.WeakKeyDictionary()

    async def send(self: Any, request: Any, **arguments: Any) -> Any:
        loop = asyncio.get_running_loop()
        if loop not in clients:
            clients[loop] = record(kind(**options), recorder)
        return await clients[loop].send(request, **arguments)

    async def aclose(self: Any) -> None:
        client = clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()
        await kind.aclose(self)

    return type("RecordingClient", (kind,), {"send": send, "aclose": aclose})(**options)
