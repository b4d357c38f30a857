"""A bare server whose answers are made beforehand: it must never be what is measured.

    python tests/benchmarks/chunk_server.py CHUNKS [GAP_MS]

Prints its port and serves until its standard input closes. A request for a stream gets CHUNKS chunks as quickly as
the socket takes them, or one every GAP_MS; any other POST gets a short completion. Of a paced stream, the time from
the request to the first text is kept by its ``x-request-id``; GET /times tells them, in ms. Any other GET gets 405:
here is no log to look for costs in.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import NamedTuple

from bare_server import Connection, serve

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
EXTRA = {"provider": "azure", "model_requested": "fast", "latency": 3}


def chunk(index: int, text: str, finish: str | None = None) -> bytes:
    """One event as a gateway of 1.4 writes it, in one HTTP chunk."""
    body = {
        "id": "cmpl-1",
        "object": "text_completion",
        "model": "fast",
        "choices": [{"index": 0, "text": text, "finish_reason": finish}],
        "extra_fields": {"request_type": "text_completion_stream", **EXTRA, "chunk_index": index},
    }
    event = b"data: " + json.dumps(body).encode() + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(event), event)


def whole_answer() -> bytes:
    """A short completion that was not streamed."""
    return _json(
        {
            "id": "cmpl-1",
            "object": "text_completion",
            "created": 1_760_000_000,
            "model": "fast",
            "choices": [{"index": 0, "text": "A bridge of light over the river.", "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 9, "total_tokens": 16},
            "extra_fields": {"request_type": "text_completion", **EXTRA, "chunk_index": 0},
        }
    )


def _json(content: object, status: str = "200 OK") -> bytes:
    body = json.dumps(content).encode()
    return b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        status.encode(),
        len(body),
        body,
    )


class Answers(NamedTuple):
    """What is served: the chunks one by one, the whole stream, a completion, and the times told."""

    chunks: list[bytes]
    gap_s: float
    stream: bytes
    completion: bytes
    times_ms: dict[str, float]


class Serving(Connection):
    """Answers a request for a stream, for a completion, or for the times."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._loop = asyncio.get_running_loop()

    def answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET"):
            told = self._answers.times_ms if b" /times " in head else None
            self.transport.write(_json(told, "200 OK" if told is not None else "405 Method Not Allowed"))
        elif not re.search(rb'"stream": ?true', body):
            self.transport.write(self._answers.completion)
        elif not self._answers.gap_s:
            self.transport.write(self._answers.stream)
        else:
            told = re.search(rb"(?i)x-request-id: *(\S+)", head)
            self.transport.write(HEAD)
            self._began = self._loop.time()
            self._request_id = told[1].decode() if told else ""
            self._loop.call_at(self._began + self._answers.gap_s, self._next, 0)

    def _next(self, index: int) -> None:
        if self.transport.is_closing():
            return
        self.transport.write(self._answers.chunks[index])
        if index == 0 and self._request_id:
            self._answers.times_ms[self._request_id] = 1000 * (self._loop.time() - self._began)
        if index + 1 == len(self._answers.chunks):
            self.transport.write(END)
        else:  # at its own time, however late this one was
            self._loop.call_at(self._began + (index + 2) * self._answers.gap_s, self._next, index + 1)


async def main(chunks: int, gap_ms: float = 0.0) -> None:
    events = [chunk(index, f"word{index} ") for index in range(chunks)] + [chunk(chunks, "", "stop")]
    answers = Answers(events, gap_ms / 1000, HEAD + b"".join(events) + END, whole_answer(), {})
    await serve(lambda: Serving(answers))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *map(float, sys.argv[2:])))
