"""What a long answer costs on the way to the browser, counted at the browser's end of the websocket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

import bifrost_nb
from bifrost_nb.gateway.local import LocalGateway

from .conftest import SETUP
from .lab import Notebook, Server

TOKENS = 20_000
PROSE = "render.py", "formulas.py", "untrusted.py"


class Counted:
    """The bytes that a page's websockets have received."""

    def __init__(self) -> None:
        self.bytes = self.messages = 0

    def watch(self, page: Any) -> None:
        """Count what comes to `page`; before it opens a connection."""
        page.on("websocket", lambda socket: socket.on("framereceived", self._add))

    def _add(self, payload: str | bytes) -> None:
        self.messages += 1
        self.bytes += len(payload.encode() if isinstance(payload, str) else payload)


@pytest.fixture
def counted(context: Any) -> Iterator[Counted]:
    """Counts for the pages that are opened in the test."""
    counted = Counted()
    context.on("page", counted.watch)
    yield counted
    context.remove_listener("page", counted.watch)


def answer() -> list[str]:
    """20,000 tokens of the length that they have in English, of words in a random order: hard to compress."""
    words = " ".join(Path(bifrost_nb.__file__).parent.joinpath(name).read_text() for name in PROSE).split()
    random = Random(5)
    return [random.choice(words) + ("\n" if number % 40 == 0 else " ") for number in range(TOKENS)]


def test_bytes_of_a_long_answer(context: Any, server: Server, gateway: LocalGateway, counted: Counted) -> None:
    """20,000 tokens cost at most 3 times their text: live frames, what stays, and the messages' headers together."""
    tokens = answer()
    notebook = Notebook(context, server, "lab", "bytes.ipynb")
    notebook.run(SETUP.format(url=gateway.url))
    gateway.script([{"prompt": "long", "text": tokens, "first_text_ms": 50, "gap_ms": 0.8}])
    before, messages = counted.bytes, counted.messages
    cell = notebook.run(f"run, = show('long', max_tokens={TOKENS})")
    got = counted.bytes - before
    text = len("".join(tokens).encode())
    assert notebook.run("print(len(run.text.encode()))").outputs[0]["text"] == f"{text}\n"
    print(
        got,
        text,
        got / text,
        counted.messages - messages,
        {k: len(str(v)) for k, v in cell.outputs[0]["data"].items()},
        len(str(cell.outputs[0]["metadata"])),
    )
    assert got <= 3 * text
    notebook.command("kernelmenu:shutdown")
    notebook.page.close()
