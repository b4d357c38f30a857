"""From `%load_ext bifrost_nb` to the first streamed text in a fresh kernel, beside importing the openai SDK for it.

    python tests/benchmarks/bench_kernel.py [--rounds 5]

Both ask the embedded gateway, which runs already, for a stream of a chat. Ours is the magic, with its view, its run in
the log and all that it looks up; theirs prints each chunk. The time is the front end's: from sending the cells to the
first message of the kernel that has the answer's first word. Each round starts a kernel of its own for either way, in
turn; its start is not counted.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import tempfile
import time
import zlib
from pathlib import Path

from jupyter_client.manager import KernelManager
from rows import Row, at_most, row, told

import bifrost_nb as bf

WORD = "Zebrafinch"
DEPLOYMENT = "openai/gpt-4o-mini"
OURS = ["%load_ext bifrost_nb", f"%%bifrost {DEPLOYMENT} --api chat\nHi"]
THEIRS = [
    f"""
import os, openai
client = openai.OpenAI(base_url=os.environ["BIFROST_BASE_URL"] + "/v1", api_key="none")
asked = [{{"role": "user", "content": "Hi"}}]
for chunk in client.chat.completions.create(model={DEPLOYMENT!r}, messages=asked, stream=True):
    print(chunk.choices[0].delta.content or "" if chunk.choices else "", end="", flush=True)
"""
]
LIMIT_S = 60.0


def first_word_s(cells: list[str], url: str, folder: str) -> float:
    """Seconds until the first message with `WORD`, in a kernel of its own."""
    manager = KernelManager()
    environment = {**os.environ, "BIFROST_BASE_URL": url, "BIFROST_RUN_LOG": str(Path(folder) / "runs.jsonl")}
    manager.start_kernel(env=environment, cwd=folder)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(LIMIT_S)
        began = time.monotonic()
        for cell in cells:
            client.execute(cell, allow_stdin=True)
        inflate = zlib.decompressobj(-15)
        while True:
            message = client.get_iopub_msg(LIMIT_S)
            took = time.monotonic() - began
            if message["msg_type"] == "error":
                raise RuntimeError("\n".join(message["content"]["traceback"]))
            shown = json.dumps(message["content"], default=str)
            if message["msg_type"] == "comm_msg":  # the pane's frames are one deflated stream (`_notebook.live`)
                shown += "".join(inflate.decompress(bytes(part)).decode() for part in message["buffers"])
            if message["msg_type"] != "execute_input" and WORD in shown:
                return took
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def rows(rounds: int) -> list[Row]:
    ways = {"ours": OURS} | ({"openai": THEIRS} if importlib.util.find_spec("openai") else {})
    taken: dict[str, list[float]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as folder, bf.local_gateway() as gateway:
        gateway.script([{"text": [WORD, *(f" w{number}" for number in range(40))], "first_text_ms": 50, "gap_ms": 20}])
        for number in range(rounds + 1):
            for way, cells in ways.items():
                seconds = first_word_s(cells, gateway.url, folder)
                if number:  # the first one compiles
                    taken[way].append(seconds)
    median = {way: statistics.median(seconds) for way, seconds in taken.items()}
    theirs = median.get("openai")
    return [
        row(
            "`%load_ext` to the first streamed text in a fresh kernel (`bench_kernel.py`)",
            f"{1000 * median['ours']:,.0f} ms",
            f"openai SDK {1000 * theirs:,.0f} ms" if theirs else "openai SDK is not here",
            *(at_most(median["ours"] / theirs, 1.5) if theirs else ("", None)),
        )
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    told(rows(parser.parse_args().rounds))
