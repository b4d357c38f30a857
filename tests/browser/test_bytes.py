"""What a long answer costs on the way to the browser, counted at the browser's end of the websocket."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pydoc_data.topics import topics
from typing import Any

import pytest

from bifrost_nb._display.evidence import from_notebook
from bifrost_nb._keys import without_keys
from bifrost_nb._simulator.process import LocalGateway

from .conftest import SETUP
from .lab import Notebook, Server

TOKENS = 20_000
RATES = (4000, 1000, 200) if os.environ.get("BIFROST_NB_THOROUGH") else (4000,)
"""Tokens a second; the slowest takes 100 seconds, so only `.ci/run` asks for more than one.

The slower an answer comes, the more messages it takes, each with the protocol's own headers.
"""


class Counted:
    """The bytes that a page's websockets have received."""

    def __init__(self, page: Any) -> None:
        self.bytes = self.messages = 0
        page.on("websocket", lambda socket: socket.on("framereceived", self._add))

    def _add(self, payload: str | bytes) -> None:
        self.messages += 1
        self.bytes += len(payload.encode() if isinstance(payload, str) else payload)


@pytest.fixture
def counts(context: Any) -> Iterator[dict[Any, Counted]]:
    """Counts for each page that is opened in the test, from before its first connection."""
    counts: dict[Any, Counted] = {}

    def watch(page: Any) -> None:
        counts[page] = Counted(page)

    context.on("page", watch)
    yield counts
    context.remove_listener("page", watch)


def answer() -> list[str]:
    """20,000 tokens of four characters, as English has them: the text of Python's manual."""
    text = "\n".join(topics.values())
    return [text[start : start + 4] for start in range(0, 4 * TOKENS, 4)]


SOURCE = """
(run,) = [outcome.run for outcome in watch(client, [client.prepare(
    "chat", "anthropic/claude-haiku-4-5", "long at {rate};", stream=True, max_tokens={tokens})])]
"""


@pytest.mark.thorough
@pytest.mark.timeout(400)  # at 200 tokens a second it takes 100 seconds; the faster ones run beside it
def test_bytes_of_a_long_answer(
    context: Any, server: Server, gateway: LocalGateway, counts: dict[Any, Counted]
) -> None:
    """20,000 tokens cost at most 3 times their text, however fast they come: live frames, what stays, all headers."""
    tokens = answer()
    text = "".join(tokens)
    size = len(text.encode())
    rules = ({"prompt": f"long at {rate};", "first_text_ms": 50, "gap_ms": 1000 / rate} for rate in RATES)
    gateway.script([{**rule, "text": tokens} for rule in rules])
    notebooks = {rate: Notebook(context, server, "lab", f"bytes-{rate}.ipynb", new_page=True) for rate in RATES}
    for notebook in notebooks.values():
        notebook.run(SETUP.format(url=gateway.url))
    before = {rate: (counts[each.page].bytes, counts[each.page].messages) for rate, each in notebooks.items()}
    cells = {rate: each.start(SOURCE.format(rate=rate, tokens=TOKENS)) for rate, each in notebooks.items()}
    times = {}
    for rate, cell in cells.items():
        cell.wait(300)
        count, (bytes_before, messages_before) = counts[cell.notebook.page], before[rate]
        got, messages = count.bytes - bytes_before, count.messages - messages_before
        times[rate] = got / size
        print(f"{rate:,} a second: {got:,} bytes in {messages} messages for {size:,}: {times[rate]:.2f} times")
        assert "".join(cell.outputs[0]["data"]["text/plain"]).startswith(text)
        assert messages > 15  # it was shown while it came
        assert from_notebook_text(cell.notebook) == without_keys(text)
        cell.notebook.close()
    assert {rate: cost for rate, cost in times.items() if cost > 3} == {}


def from_notebook_text(notebook: Notebook) -> str:
    """The answer as the saved file alone gives it back."""
    notebook.saved()
    return str(from_notebook(notebook.path)["response"].iloc[0])
