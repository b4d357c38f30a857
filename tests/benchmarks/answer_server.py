"""A bare server of whole chat answers: each `WAIT_MS` after its request, always the same.

python tests/benchmarks/answer_server.py WAIT_MS      prints its port, serves until its standard input closes

Every GET is answered 405, so that nobody waits for a cost.
"""

from __future__ import annotations

import asyncio
import json
import selectors
import sys

from bare_server import Connection, serve
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


class Waiting(Connection):
    """Answers a POST after a while, and all else with a refusal."""

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s

    def answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"POST"):
            asyncio.get_running_loop().call_later(self._wait_s, self._write)
        else:
            self.transport.write(REFUSAL)

    def _write(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(ANSWER)


if __name__ == "__main__":
    # epoll waits for whole milliseconds, rounded up: 20 would be 20.6 of them.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        runner.run(serve(lambda: Waiting(float(sys.argv[1]) / 1000)))
