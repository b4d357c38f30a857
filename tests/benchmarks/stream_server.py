"""A bare server of many slow streams: prepared chunks at a steady gap, and how many streams were open at once.

python tests/benchmarks/stream_server.py CHUNKS GAP_MS      prints its port, serves until its standard input closes

`GET /stats` answers ``{"open": now, "most": at once, "served": whole streams}``; every other GET 405, so that nobody
waits for a cost.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
REFUSAL = b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n"


def framed(event: str) -> bytes:
    data = f"data: {event}\n\n".encode()
    return b"%x\r\n%s\r\n" % (len(data), data)


def chunk(index: int, text: str, more: dict[str, object] | None = None) -> bytes:
    extra = {"provider": "azure", "model_requested": "fast", "chunk_index": index}
    choice = {"index": 0, "text": text, "finish_reason": "stop" if more else None}
    return framed(json.dumps({"id": "cmpl-1", "choices": [choice], "extra_fields": extra, **(more or {})}))


async def requests(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The head of each request of a connection, until it is closed; bodies are passed over."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
        while head := await reader.readuntil(b"\r\n\r\n"):
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            if lengths:
                await reader.readexactly(int(lengths[0].split(b":")[1]))
            yield head


class Server:
    """The parts of every stream, made once."""

    def __init__(self, chunks: int, gap_ms: float) -> None:
        self.gap_s = gap_ms / 1000
        self.parts = [chunk(index, f"word{index} ") for index in range(chunks)]
        usage = {"prompt_tokens": 5, "completion_tokens": chunks, "total_tokens": chunks + 5}
        self.end = chunk(chunks, "", {"usage": usage}) + framed("[DONE]") + b"0\r\n\r\n"
        self.open = self.most = self.served = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            async for head in requests(reader):
                if head.startswith(b"POST"):
                    await self.stream(writer)
                elif head.startswith(b"GET /stats"):
                    told = json.dumps({"open": self.open, "most": self.most, "served": self.served}).encode()
                    kind = b"content-type: application/json\r\n"
                    writer.write(b"HTTP/1.1 200 OK\r\n%scontent-length: %d\r\n\r\n%s" % (kind, len(told), told))
                else:
                    writer.write(REFUSAL)
        writer.close()

    async def stream(self, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            if self.gap_s:
                writer.write(HEAD)
                for part in self.parts:
                    writer.write(part)
                    await asyncio.sleep(self.gap_s)
                writer.write(self.end)
            else:
                writer.write(HEAD + b"".join(self.parts) + self.end)
            await writer.drain()
            self.served += 1
        finally:
            self.open -= 1


async def main(chunks: int, gap_ms: float) -> None:
    server = await asyncio.start_server(Server(chunks, gap_ms).handle, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
