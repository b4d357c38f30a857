"""A bare server of whole chat answers: each `WAIT_MS` after its request, always the same.

python tests/benchmarks/answer_server.py WAIT_MS      prints its port, serves until its standard input closes

Every GET is answered 405, so that nobody waits for a cost.
"""

from __future__ import annotations

import asyncio
import json
import re
import selectors
import sys

from stream_server import REFUSAL

BODY = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "leaf"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6},
        "extra_fields": {"provider": "openai", "model_requested": "m", "request_type": "chat_completion"},
    }
).encode()
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)


class Connection(asyncio.Protocol):
    """One connection; requests do not overlap on it."""

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        if not end or (length and len(body) < int(length[1])):
            return
        self._received = b""
        if head.startswith(b"POST"):
            asyncio.get_running_loop().call_later(self._wait_s, self._answer)
        else:
            self._transport.write(REFUSAL)

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(ANSWER)


async def serve(wait_s: float) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Connection(wait_s), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    # epoll waits for whole milliseconds, rounded up: 20 would be 20.6 of them.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        runner.run(serve(float(sys.argv[1]) / 1000))
