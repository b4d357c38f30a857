"""What a long answer costs on the way to the browser, counted at the browser's end of the websocket."""

from __future__ import annotations

from collections.abc import Iterator
from pydoc_data.topics import topics
from typing import Any

import pytest

from bifrost_nb.gateway.local import LocalGateway
from bifrost_nb.records.evidence import from_notebook
from bifrost_nb.untrusted import redact

from .conftest import SETUP
from .lab import Notebook, Server

TOKENS = 20_000


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
    """20,000 tokens of four characters, as English has them: the text of Python's manual."""
    text = "\n".join(topics.values())
    return [text[start : start + 4] for start in range(0, 4 * TOKENS, 4)]


SOURCE = """
(run,) = [outcome.run for outcome in watch(client, [client.prepare(
    "chat", "anthropic/claude-haiku-4-5", "long", stream=True, max_tokens={tokens})])]
"""


def test_bytes_of_a_long_answer(context: Any, server: Server, gateway: LocalGateway, counted: Counted) -> None:
    """20,000 tokens cost at most 3 times their text: live frames, what stays, and the messages' headers together."""
    tokens = answer()
    notebook = Notebook(context, server, "lab", "bytes.ipynb")
    notebook.run(SETUP.format(url=gateway.url))
    gateway.script([{"prompt": "long", "text": tokens, "first_text_ms": 50, "gap_ms": 0.2}])
    before, messages = counted.bytes, counted.messages
    cell = notebook.start(SOURCE.format(tokens=TOKENS)).wait(180)
    got, count = counted.bytes - before, counted.messages - messages
    text = "".join(tokens)
    assert "".join(cell.outputs[0]["data"]["text/plain"]).startswith(text)
    size = len(text.encode())
    print(f"{got:,} bytes in {count} messages for {size:,} bytes of text: {got / size:.2f} times")
    assert got <= 3 * size
    assert count > 15  # it was shown while it came
    assert from_notebook_text(notebook) == redact(text)
    notebook.command("kernelmenu:shutdown")
    notebook.page.close()


def from_notebook_text(notebook: Notebook) -> str:
    """The answer as the saved file alone gives it back."""
    notebook.saved()
    return str(from_notebook(notebook.path)["response"].iloc[0])
