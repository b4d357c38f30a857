"""A bare server of whole chat answers: each `WAIT_MS` after its request, always the same.

python tests/benchmarks/answer_server.py WAIT_MS      prints its port, serves until its standard input closes

Every GET is answered 405, so that nobody waits for a cost.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys

from stream_server import REFUSAL, requests

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


async def serve(wait_s: float) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            async for head in requests(reader):
                if head.startswith(b"POST"):
                    await asyncio.sleep(wait_s)
                    writer.write(ANSWER)
                else:
                    writer.write(REFUSAL)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]) / 1000))
