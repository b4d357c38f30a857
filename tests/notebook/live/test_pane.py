"""The notebook pane's messages, read where a kernel would send them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pydoc_data.topics import topics
from queue import SimpleQueue
from typing import Any

import comm
import comm.base_comm
import pytest

from bifrost_nb import Client
from bifrost_nb._display.markdown import LONGEST_MARKDOWN, to_html
from bifrost_nb._foreground.wait import drain
from bifrost_nb._notebook.live.live_widget import Pane
from bifrost_nb._notebook.live.race import Race, RaceColumn, RaceUpdate
from bifrost_nb._runs.pieces import Piece
from bifrost_nb._runs.run import Run
from bifrost_nb._simulator.process import LocalGateway
from tests.thorough import thorough

from ...panes import frames, text
from .test_race import Clock, asked


class Wire(list[tuple[str, Any]]):
    """What was sent over all comms, as (message type, data)."""

    @property
    def customs(self) -> list[tuple[Any, list[bytes]]]:
        """Content and buffers of the custom messages."""
        messages = [data for kind, data in self if kind == "comm_msg" and data.get("method") == "custom"]
        return [(message["content"], message["buffers"]) for message in messages]

    @property
    def frames(self) -> list[dict[str, Any]]:
        """The pane's custom messages."""
        return frames(self.customs)

    @property
    def bytes(self) -> int:
        """Of all custom messages: JSON and buffers."""
        return sum(len(json.dumps(content)) + sum(map(len, buffers)) for content, buffers in self.customs)


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """The comm layer that a kernel would supply, recording."""
    wire = Wire()

    class Recording(comm.base_comm.BaseComm):
        def publish_msg(  # type: ignore[override]
            self, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **_: Any
        ) -> None:
            wire.append((msg_type, {**json.loads(json.dumps(data)), "buffers": list(buffers or ())}))

    monkeypatch.setattr(comm, "create_comm", Recording)
    return wire


def text_of(frames: list[dict[str, Any]], column: int = 0) -> str:
    """What a page shows that got all frames."""
    assert [frame["n"] for frame in frames] == list(range(len(frames)))
    return text(frames, column)


def click(pane: Pane, content: Any) -> None:
    """A message of the page."""
    pane.widget.comm.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})


ENVELOPE = 600
"""Bytes of a message's headers and framing on the websocket."""


@pytest.mark.parametrize(
    ("tokens_per_s", "columns"), [(200, 1), (100, 8), *thorough((50, 1), (1000, 1), (4000, 1), (30, 8))]
)
def test_bytes_of_a_long_answer(wire: Wire, tokens_per_s: int, columns: int) -> None:
    """20,000 tokens cost at most 1.7 times their text in frames, envelopes included, however slowly they come, and all
    of it arrives: the text that stays then makes it less than 3."""
    clock = Clock()
    race = Race([asked() for _ in range(columns)], clock=clock)
    pane = Pane(race, lambda column: None)
    whole = "\n".join(topics.values())[:80_000]
    for start in range(0, len(whole), 4):
        clock.now += 1 / tokens_per_s
        token = whole[start : start + 4]
        race.receive(RaceUpdate(column, [Piece(0, token, "", 1000 * race.elapsed_s)]) for column in range(columns))
        if start // 4 % max(1, tokens_per_s // 20) == 0:  # as often as the waiting thread draws
            pane.update()
    for column in race.columns:
        column.run.status = "ok"
    pane.update(final=True)
    for index in range(columns):
        assert text_of(wire.frames, index) == whole
    assert wire.bytes + ENVELOPE * len(wire.customs) < 1.7 * columns * len(whole)
    pane.close()


@pytest.mark.parametrize("tokens_per_s", [3, 10, 50, 200, 1000])
def test_short_answers_are_drawn_often(wire: Wire, tokens_per_s: int) -> None:
    """Of the first 250 tokens none is held back for longer than 0.5 s, the very first and the last not at all."""
    clock = Clock()
    race = Race([asked()], clock=clock)
    pane = Pane(race, lambda column: None)
    pane.update()
    came: list[float] = []
    delays = []
    for _ in range(250):
        for _ in range(max(1, 20 // tokens_per_s)):  # the waiting thread draws 20 times a second
            clock.now += 1 / max(tokens_per_s, 20)
            pane.update()
        race.receive([RaceUpdate(0, [Piece(0, "word", "", 1000 * race.elapsed_s)])])
        came.append(clock.now)
        pane.update()
        shown = len(text_of(wire.frames)) // 4
        assert shown > 0
        delays.append(clock.now - came[shown] if shown < len(came) else 0)
    assert max(delays) <= 0.5
    pane.update(final=True)
    assert text_of(wire.frames) == "word" * 250
    pane.close()


def test_frames_are_few_and_prompt(wire: Wire) -> None:
    """The first text goes out with the next update, then a frame each 0.1 s at most, and one each 4 s in silence."""
    clock = Clock()
    run = asked()
    race = Race([run], clock=clock)
    pane = Pane(race, lambda column: None)
    pane.update()
    race.receive([RaceUpdate(0, [Piece(0, "first", "", 5.0)])])
    pane.update()
    assert text_of(wire.frames) == "first"
    before = len(wire.frames)
    for _ in range(100):  # five seconds
        clock.now += 0.05
        race.receive([RaceUpdate(0, [Piece(0, "x", "", 1000 * race.elapsed_s)])])
        pane.update()
    assert 35 <= len(wire.frames) - before <= 65
    before = len(wire.frames)
    for _ in range(400):  # twenty
        clock.now += 0.05
        pane.update()
    assert 4 <= len(wire.frames) - before <= 7
    pane.close()


def test_a_real_call(wire: Wire, client: Client, gateway: LocalGateway) -> None:
    """Frames of a real call show its text, who served before any text, and its end with the final facts."""
    gateway.script([{"prompt": "real", "chunks": 400, "delay_ms": 0, "gap_ms": 2, "hold_after_chunks": 0}])
    call = client.prepare("text", "azure/fast", "real", stream=True)
    race = Race([call.run])
    pane = Pane(race, lambda column: None)
    inbox: SimpleQueue[RaceUpdate] = SimpleQueue()

    def draw(batch: list[RaceUpdate]) -> None:
        race.receive(batch)
        pane.update()
        if "served by" in str(wire.frames[-1]):
            gateway.script([])  # now the text may come

    drain([client.start(call, lambda _, pieces: inbox.put(RaceUpdate(0, pieces)))], inbox, draw)
    pane.update(final=True)
    frames = wire.frames
    assert text_of(frames) == call.run.text
    served = next(
        n for n, frame in enumerate(frames) if "served by" in frame.get("f", {}).get("0", {}).get("served", "")
    )
    assert served < next(n for n, frame in enumerate(frames) if "t" in frame)
    known: dict[str, str] = {}
    for frame in frames:
        known.update(frame.get("f", {}).get("0", {}))
    assert known["state"] == "done"
    assert "tokens/s" in known["speed"]
    pane.close()


def test_whole_text_on_request(wire: Wire) -> None:
    """A page that asks gets all text and facts in the next frame, and goes on from there."""
    race = Race([asked(), asked()])
    pane = Pane(race, lambda column: None)
    race.receive([RaceUpdate(0, [Piece(0, "zero", "", 1.0)]), RaceUpdate(1, [Piece(0, "one", "", 1.0)])])
    pane.update()
    click(pane, {"whole": True})
    race.receive([RaceUpdate(0, [Piece(0, " more", "", 2.0)])])
    pane.update()
    whole = wire.frames[-1]
    assert whole["w"] == ["zero more", "one"]
    assert whole["f"]["1"]["asked"] == "azure/fast"
    race.receive([RaceUpdate(1, [Piece(0, " end", "", 3.0)])])
    pane.update(final=True)
    assert (text_of(wire.frames, 0), text_of(wire.frames, 1)) == ("zero more", "one end")
    pane.close()


def test_a_page_that_cannot_inflate(wire: Wire) -> None:
    """A page that says so gets frames as they are, all text first."""
    race = Race([asked()])
    pane = Pane(race, lambda column: None)
    race.receive([RaceUpdate(0, [Piece(0, "zero", "", 1.0)])])
    pane.update()
    click(pane, {"whole": True, "plain": True})
    pane.update()
    race.receive([RaceUpdate(0, [Piece(0, " more", "", 2.0)])])
    pane.update(final=True)
    assert [bool(buffers) for _, buffers in wire.customs] == [True, False, False]
    assert wire.customs[1][0]["frame"]["w"] == ["zero"]
    assert text_of(wire.frames) == "zero more"
    pane.close()


def test_finished_columns_are_rendered(wire: Wire) -> None:
    """An answer is sent as sanitised HTML once it is complete while another goes on, once, and again with the whole."""
    one, two = asked(), asked()
    race = Race([one, two])
    pane = Pane(race, lambda column: None)
    answer = "**bold** <img src=x onerror=alert(1)>"
    race.receive([RaceUpdate(0, [Piece(0, answer, "", 1.0)]), RaceUpdate(1, [Piece(0, "late", "", 1.0)])])
    pane.update()
    assert not [frame for frame in wire.frames if frame.get("h")]
    one.status, one.response, one.texts = "ok", answer, [answer]
    race.receive([RaceUpdate(0, [])])
    pane.update()
    pane.update()
    (html,) = [frame["h"] for frame in wire.frames if frame.get("h")]
    assert html == [[0, to_html(answer)]]
    assert "<img" not in html[0][1]
    click(pane, {"whole": True})
    pane.update()
    assert wire.frames[-1]["h"] == html
    two.status, two.response, two.texts = "ok", "late", ["late"]
    race.receive([RaceUpdate(1, [])])
    pane.update(final=True)  # the static answers follow
    assert "h" not in wire.frames[-1]
    pane.close()


def test_the_last_one_is_rendered_while_its_cost_is_awaited(wire: Wire) -> None:
    """What the static answers do not replace at once is rendered; a very long answer stays as it is."""
    for answer, rendered in (("**short**", True), ("long " * LONGEST_MARKDOWN, False)):
        run = asked(status="ok", response=answer, texts=[answer])
        race = Race([run])
        pane = Pane(race, lambda column: None)
        wire.clear()
        race.receive([RaceUpdate(0, [Piece(0, answer, "", 1.0)])])
        pane.update()
        assert not [frame for frame in wire.frames if frame.get("h")]
        pane.update()
        pane.update()
        assert len([frame for frame in wire.frames if frame.get("h")]) == rendered
        pane.close()


def test_a_call_that_is_sent_again(wire: Wire) -> None:
    """Its column begins anew on the page too, without what the first sending had left."""
    race = Race([asked(status="error"), asked()])
    pane = Pane(race, lambda column: None)
    race.receive([RaceUpdate(0, [Piece(0, "half an", "", 1.0)]), RaceUpdate(1, [Piece(0, "other", "", 1.0)])])
    pane.update()
    assert [frame["h"][0][0] for frame in wire.frames if frame.get("h")] == [0]
    race.columns[0] = RaceColumn(asked())
    race.receive([RaceUpdate(0, [Piece(0, "answer", "", 1.0)])])
    pane.update(final=True)
    assert (text_of(wire.frames, 0), text_of(wire.frames, 1)) == ("answer", "other")
    assert wire.frames[-1]["h"] == []
    pane.close()


def test_clicks(wire: Wire) -> None:
    """A click names its column or all; anything else a page may send does nothing."""
    stopped: list[int | None] = []
    pane = Pane(Race([asked(), asked()]), stopped.append)
    for content in ({"stop": 1}, {"stop": "all"}, {"stop": 0}):
        click(pane, content)
    for content in ({"stop": 2}, {"stop": -1}, {"stop": True}, {"stop": None}, {"stop": [0]}, "stop", None, 3, {}):
        click(pane, content)
    assert stopped == [1, None, 0]
    pane.close()


def test_closing_lets_go(wire: Wire) -> None:
    """A closed pane leaves no widget behind, neither in Python nor in the page."""
    from ipywidgets.widgets import widget

    before = len(widget._instances)
    for _ in range(60):
        Pane(Race([Run()]), lambda column: None).close()
    assert len(widget._instances) == before
    opened = [kind for kind, _ in wire if kind == "comm_open"]
    assert len(opened) == len([kind for kind, _ in wire if kind == "comm_close"]) == 120  # a pane and its layout each
