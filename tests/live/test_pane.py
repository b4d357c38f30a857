"""The notebook pane's messages, read where a kernel would send them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import comm
import comm.base_comm
import pytest

from bifrost_nb import Client
from bifrost_nb.gateway.local import LocalGateway
from bifrost_nb.notebook.pane import Pane
from bifrost_nb.notebook.race import Arrival, Race
from bifrost_nb.notebook.wait import drain
from bifrost_nb.records.collector import Piece
from bifrost_nb.records.run import Run

from .test_race import Clock, asked


class Wire(list[tuple[str, Any]]):
    """What was sent over all comms, as (message type, data)."""

    @property
    def frames(self) -> list[dict[str, Any]]:
        """The pane's custom messages."""
        messages = [data for kind, data in self if kind == "comm_msg" and data.get("method") == "custom"]
        return [message["content"] for message in messages]

    @property
    def bytes(self) -> int:
        """Of all custom messages, as JSON."""
        return sum(
            len(json.dumps(data)) for kind, data in self if kind == "comm_msg" and data.get("method") == "custom"
        )


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """The comm layer that a kernel would supply, recording."""
    wire = Wire()

    class Recording(comm.base_comm.BaseComm):
        def publish_msg(self, msg_type: str, data: Any = None, **_: Any) -> None:  # type: ignore[override]
            wire.append((msg_type, json.loads(json.dumps(data))))

    monkeypatch.setattr(comm, "create_comm", Recording)
    return wire


def text_of(frames: list[dict[str, Any]], column: int = 0) -> str:
    """What a page shows that got all frames."""
    text = ""
    for number, frame in enumerate(frames):
        assert frame["n"] == number
        text = frame["w"][column] if "w" in frame else text
        text += "".join(new for index, new in frame.get("t", []) if index == column)
    return text


def click(pane: Pane, content: Any) -> None:
    """A message of the page."""
    pane.widget.comm.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})


@pytest.mark.parametrize(("tokens_per_s", "columns"), [(30, 1), (100, 1), (1000, 1), (100, 8)])
def test_bytes_of_a_long_answer(wire: Wire, tokens_per_s: int, columns: int) -> None:
    """20,000 tokens cost at most 3 times their text in messages, however slowly they come, and all of it arrives."""
    clock = Clock()
    race = Race([asked() for _ in range(columns)], clock=clock)
    pane = Pane(race, lambda column: None)
    sent = ""
    for number in range(20_000):
        clock.now += 1 / tokens_per_s
        word = f"word{number % 7} "[: 5 + number % 3]
        sent += word
        race.receive(Arrival(column, [Piece(0, word, "", 1000 * race.elapsed_s)]) for column in range(columns))
        if number % max(1, tokens_per_s // 20) == 0:  # as often as the waiting thread draws
            pane.update()
    for column in race.columns:
        column.run.status = "ok"
    pane.update(final=True)
    for index in range(columns):
        assert text_of(wire.frames, index) == sent
    assert wire.bytes < 3 * columns * len(sent)
    pane.close()


def test_frames_are_few_and_prompt(wire: Wire) -> None:
    """The first text goes out with the next update, then a frame each 0.1 s at most, and one a second in silence."""
    clock = Clock()
    run = asked()
    race = Race([run], clock=clock)
    pane = Pane(race, lambda column: None)
    pane.update()
    race.receive([Arrival(0, [Piece(0, "first", "", 5.0)])])
    pane.update()
    assert text_of(wire.frames) == "first"
    before = len(wire.frames)
    for _ in range(100):  # five seconds
        clock.now += 0.05
        race.receive([Arrival(0, [Piece(0, "x", "", 1000 * race.elapsed_s)])])
        pane.update()
    assert 35 <= len(wire.frames) - before <= 65
    before = len(wire.frames)
    for _ in range(100):
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
    inbox: SimpleQueue[Arrival] = SimpleQueue()

    def draw(batch: list[Arrival]) -> None:
        race.receive(batch)
        pane.update()
        if "served by" in str(wire.frames[-1]):
            gateway.script([])  # now the text may come

    drain([client.start(call, lambda _, pieces: inbox.put(Arrival(0, pieces)))], inbox, draw)
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
    race.receive([Arrival(0, [Piece(0, "zero", "", 1.0)]), Arrival(1, [Piece(0, "one", "", 1.0)])])
    pane.update()
    click(pane, {"whole": True})
    race.receive([Arrival(0, [Piece(0, " more", "", 2.0)])])
    pane.update()
    whole = wire.frames[-1]
    assert whole["w"] == ["zero more", "one"]
    assert whole["f"]["1"]["asked"] == "azure/fast"
    race.receive([Arrival(1, [Piece(0, " end", "", 3.0)])])
    pane.update(final=True)
    assert (text_of(wire.frames, 0), text_of(wire.frames, 1)) == ("zero more", "one end")
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
