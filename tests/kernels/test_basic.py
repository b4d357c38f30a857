"""A notebook without anywidget still shows the answer live, and the interrupt key still stops it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from bifrost_nb._simulator.process import LocalGateway

from .frontend import FrontEnd
from .test_stop import AT_ONCE_S, gone_at


@pytest.fixture
def without(front: FrontEnd) -> Iterator[FrontEnd]:
    """A kernel in which anywidget cannot be imported."""
    front.run(
        "from bifrost_nb._notebook.live import live_widget as pane\npane._widget_class.cache_clear()\n"
        "kept = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split('.')[0] == 'anywidget'}\n"
        "sys.modules['anywidget'] = None"
    ).wait()
    yield front
    front.run("del sys.modules['anywidget']; sys.modules.update(kept)").wait()


def test_without_anywidget(without: FrontEnd, gateway: LocalGateway) -> None:
    """Escaped HTML is redrawn at most four times a second, and the static answer ends it."""
    rule = {"prompt": "basic", "text": ["<b>bold</b> "] * 150, "gap_ms": 10, "first_text_ms": 300}
    gateway.script([{**rule, "hold_after_chunks": 20}])
    cell = without.run("run, = show('basic');")
    without.until(lambda: "bold" in str(cell.shown), 60, "text")
    gateway.script([rule])
    cell.wait()
    assert cell.status == "ok"
    assert not cell.of("comm_open")
    drawn = [message["content"]["data"]["text/html"] for message in cell.of("display_data", "update_display_data")]
    assert "waiting for the gateway" in drawn[0]
    assert 3 <= len(drawn) <= 5 + 4 * float(without.value("run.total_ms")) / 1000
    assert all("<b>" not in html for html in drawn)
    assert any("&lt;b&gt;bold&lt;/b&gt;" in html and "served by azure/fast" in html for html in drawn[1:-1])
    assert "Press ■" in drawn[0]
    assert "Press ■" not in drawn[-1]


def test_interrupt_without_anywidget(without: FrontEnd, slow: LocalGateway) -> None:
    """The interrupt key closes the connection as quickly as with a pane."""
    prompt = f"slowly, without widgets {time.monotonic()}"
    cell = without.run(f"show({prompt!r})")
    without.until(lambda: any("word" in str(shown) for shown in cell.shown), 60, "text")
    pressed = without.interrupt()
    cell.wait()
    assert gone_at(slow, prompt) - pressed < AT_ONCE_S
    assert cell.error["ename"] == "Interrupted"
    assert "word" in cell.shown[0]["text/plain"]
