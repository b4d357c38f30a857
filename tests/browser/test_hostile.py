"""Model text can run nothing and load nothing, while it streams and afterwards."""

from __future__ import annotations

import contextlib
import http.server
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from bifrost_nb._simulator.process import LocalGateway
from tests.thorough import thorough

from .lab import Notebook

HOSTILE = """<script>window.__ran = 1</script><script src="{canary}/script.js"></script>
<img src=x onerror="window.__ran = 2"><img src="{canary}/image.png"> ![picture]({canary}/markdown.png)
<svg onload="window.__ran = 3"><use href="{canary}/use.svg#a"></use></svg>
<iframe srcdoc="<script>parent.__ran = 4</script>"></iframe><iframe src="{canary}/frame"></iframe>
<style>@import url({canary}/style.css); * {{ background: url({canary}/background.png) }}</style>
<link rel=stylesheet href="{canary}/link.css"><object data="{canary}/object"></object><embed src="{canary}/embed">
<a href="javascript:window.__ran = 5" autofocus onfocus="window.__ran = 6">a</a> [link](javascript:window.__ran=7)
<details open ontoggle="window.__ran = 8"><video poster="{canary}/poster.png" src="{canary}/video"></video></details>
</div></section></pre></textarea></title><!-- <math><mtext><img src=x onerror="window.__ran = 9"></mtext></math> -->
$\\href{{javascript:window.__ran = 10}}{{x}}$ `<img src=x onerror="window.__ran = 11">`
&lt;img src=x onerror=alert(1)&gt;
<form action="{canary}/form"><input autofocus onfocus="window.__ran = 12"></form><base href="{canary}/">
<meta http-equiv=refresh content="0; url={canary}/refresh"><body onload="window.__ran = 13">
```html
<img src=x onerror="window.__ran = 14">
```
the end"""


@contextlib.contextmanager
def listening() -> Iterator[tuple[str, list[str]]]:
    """A server that nobody should ask: its address and the paths asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        do_POST = do_GET  # noqa: N815 - http.server's own name

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def canary() -> Iterator[tuple[str, list[str]]]:
    """A canary of this test's own."""
    with listening() as server:
        yield server


def test_the_traps_work(context: Any, canary: tuple[str, list[str]]) -> None:
    """The same markup taken for HTML does run and load: so the test below would see it."""
    address, asked = canary
    page = context.new_page()
    page.set_content(HOSTILE.format(canary=address), wait_until="commit")
    page.wait_for_function("window.__ran > 0")
    end = time.monotonic() + 30
    while not asked and time.monotonic() < end:
        page.wait_for_timeout(20)
    assert asked
    page.close()


WATCH = """() => {
    window.__names = new Set();
    new MutationObserver(changes => {
        for (const {addedNodes} of changes) for (const node of addedNodes) if (node.nodeType === Node.ELEMENT_NODE)
            for (const one of [node, ...node.querySelectorAll('*')])
                if (one.parentElement?.closest('.bifrost-text')) window.__names.add(one.tagName);
    }).observe(document, {subtree: true, childList: true});
}"""


@pytest.mark.parametrize("size", [7, *thorough(1, 10_000)])
@pytest.mark.parametrize("columns", [1, 2])
def test_markup_in_an_answer(
    lab: Notebook, gateway: LocalGateway, canary: tuple[str, list[str]], size: int, columns: int
) -> None:
    """Markup of every kind, cut into chunks of any size, is text in the live pane and harmless in the static answer."""
    address, asked = canary
    text = HOSTILE.format(canary=address)
    chunks = [text[start : start + size] for start in range(0, len(text), size)]
    held = {"first_text_ms": 0, "gap_ms": 600 / len(chunks), "hold_after_chunks": len(chunks)}
    gateway.script([{"prompt": "hostile", "text": chunks, **held}])
    lab.page.evaluate("window.__ran = 0")
    lab.page.evaluate(WATCH)
    cell = lab.start(f"show(*['hostile'] * {columns}, fallbacks=None);")
    texts = cell.pane.locator(".bifrost-text")
    lab.until(lambda: texts.all_text_contents() == [text] * columns, 60, "the whole text in each column")
    assert lab.page.evaluate("[...window.__names]") == ["DIV"]
    gateway.script([])
    cell.wait()
    assert cell.pane.count() == 0
    shown = cell.output.inner_text()
    assert "<script>window.__ran = 1</script>" in shown
    assert shown.count("the end") == columns
    active = (
        "script, img[src^=http], svg, iframe, style, link, object, embed, video, form, base, meta, [onerror], [onload]"
    )
    rendered = cell.output.locator(".jp-RenderedHTMLCommon")
    assert rendered.count() == 1
    assert rendered.locator(active).count() == 0
    assert rendered.locator("a[href^=javascript]").count() == 0
    assert lab.page.evaluate("window.__ran") == 0
    assert asked == []
