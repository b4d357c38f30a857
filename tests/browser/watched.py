"""A notebook page that is watched while hostile answers are shown in it, and the answers as they are shown.

Each ends with a mark of its own, so that a view which shows less than all of them fails. `corpus.js` looks at every
element at the moment it is put on the page; a canary stands in for the host that the answers name.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests.data.hostile import HOSTILE

from .lab import Notebook, Server

__all__ = ["COLUMNS", "KERNEL", "MARKS", "WATCH", "Watched", "corpus", "joined", "pieces"]

WATCH = Path(__file__).with_name("corpus.js").read_text()
MARKS = {f"mark{number:03}" for number in range(len(HOSTILE))}
COLUMNS = 8
KERNEL = """
from IPython.display import display
from bifrost_nb._runs.run import Run
from tests.browser.watched import COLUMNS, corpus
answers = corpus({canary!r})
def run(text, model="m", **facts):
    facts = {{"response": text, "texts": [text], "prompt": text, "status": "ok", **facts}}
    return Run(requested_provider="a", requested_model=model, provider="a", model=model, **facts)
sendable = [text.replace("\\ud800", "\\ufffd") for text in answers]  # a request cannot carry half a character
rows = [answers[start:start + COLUMNS] for start in range(0, len(answers), COLUMNS)]
"""


def corpus(canary: str) -> list[str]:
    """All answers, asking the canary, each with its mark as a paragraph at its end."""
    host = canary.removeprefix("http://")
    told = (text.replace("https://attacker.invalid", canary).replace("attacker.invalid", host) for text in HOSTILE)
    return [f"{text}\n\nmark{number:03}" for number, text in enumerate(told)]


class Watched(Notebook):
    """A notebook whose page is watched."""

    def __init__(self, context: Any, server: Server, name: str, canary: tuple[str, list[str]]) -> None:
        self.requests: list[str] = []
        super().__init__(context, server, "lab", name)
        self.canary, self.asked = canary
        self.server = server.url
        self.listen("request", lambda request: self._heard(request.url, request.resource_type))
        self.watch()

    def watch(self) -> None:
        """From now on look at what is put on the page."""
        self.page.evaluate(WATCH)

    def _heard(self, url: str, kind: str) -> None:
        ours = url.startswith((self.server, self.server.replace("http", "ws", 1), "data:", "blob:"))
        if not ours or kind in ("image", "media", "object", "document"):
            self.requests.append(f"{kind} {url}")

    def check(self, marks: set[str] = MARKS) -> None:
        """All answers were shown, and none of them did anything."""
        end = time.monotonic() + 30
        while missing := sorted(marks - set(self.page.evaluate("[...window.__marks]"))):
            assert time.monotonic() < end, missing
            self.page.wait_for_timeout(30)
        self.page.evaluate("document.querySelectorAll('.jp-OutputArea details').forEach(e => { e.open = true; })")
        self.page.wait_for_timeout(200)  # time for what must not happen
        assert self.page.evaluate("window.__suspects") == []
        assert self.page.evaluate("window.bifrostHacked") is None
        assert (self.asked, self.requests, self.console) == ([], [], [])


def joined(canary: str, count: int = COLUMNS) -> list[str]:
    """The corpus as one long answer for each of `count` columns, as a gateway can send it."""
    answers = corpus(canary)
    return ["\n\n".join(answers[column::count]).replace("\ud800", "\ufffd") for column in range(count)]


def pieces(text: str, size: int) -> list[str]:
    """`text` cut into chunks."""
    return [text[start : start + size] for start in range(0, len(text), size)]
