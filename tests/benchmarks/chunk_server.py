"""A bare server that streams prepared chunks as quickly as the socket takes them: it must never be what is measured.

python tests/benchmarks/chunk_server.py CHUNKS      prints its port, serves until its standard input closes
"""

from __future__ import annotations

import asyncio
import json
import sys

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


def chunk(index: int, text: str, finish: str | None = None) -> bytes:
    """One event as a gateway of 1.4 writes it, in one HTTP chunk."""
    body = {
        "id": "cmpl-1",
        "object": "text_completion",
        "model": "fast",
        "choices": [{"index": 0, "text": text, "finish_reason": finish}],
        "extra_fields": {
            "request_type": "text_completion_stream",
            "provider": "azure",
            "model_requested": "fast",
            "latency": 3,
            "chunk_index": index,
        },
    }
    event = b"data: " + json.dumps(body).encode() + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(event), event)


def answer(chunks: int) -> bytes:
    done = b"data: [DONE]\n\n"
    events = [chunk(index, f"word{index} ") for index in range(chunks)] + [chunk(chunks, "", "stop")]
    return HEAD + b"".join(events) + b"%x\r\n%s\r\n0\r\n\r\n" % (len(done), done)


async def main(chunks: int) -> None:
    whole = answer(chunks)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                if lengths:
                    await reader.readexactly(int(lengths[0].split(b":")[1]))
                writer.write(NOT_FOUND if head.startswith(b"GET") else whole)
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):  # the peer left, or the end
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
