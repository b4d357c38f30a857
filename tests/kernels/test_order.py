"""What else the user does while an answer streams stays in order, and ends up under the right cell."""

from __future__ import annotations

import ast
import time

from bifrost_nb._simulator.process import LocalGateway

from .frontend import FrontEnd, Route


def test_run_all(front: FrontEnd, gateway: LocalGateway) -> None:
    """Cells queued behind a streaming one run after it, in order, and each output is its own cell's."""
    mark = time.monotonic()
    front.run("order = []").wait()
    cells = []
    for number in range(4):
        cells.append(
            front.run(f"run, = show('number {number} {mark}'); order.append(run.status); print('ran {number}')")
        )
        cells.append(front.run(f"order.append({number})"))
    for cell in cells:
        assert cell.wait().status == "ok"
    assert ast.literal_eval(front.value("order")) == ["ok", 0, "ok", 1, "ok", 2, "ok", 3]
    for number, cell in enumerate(cells[::2]):
        assert cell.printed == f"ran {number}\n"
        (shown,) = cell.shown
        assert "text/html" in shown
        assert "azure/fast" in shown["text/plain"]


def test_sliders_and_queued_cells(front: FrontEnd, slow: LocalGateway) -> None:
    """100 slider moves are handled live and in order while an answer streams; cells queued among them wait."""
    made = front.run(
        "import ipywidgets\nmoves, cells, streaming = [], [], False\nslider = ipywidgets.IntSlider()\n"
        "slider.observe(lambda change: moves.append((change['new'], streaming)), 'value')\nprint(slider.comm.comm_id)"
    ).wait()
    for route in front.routes:
        front.run("moves.clear(); cells.clear()").wait()
        cell = front.run(
            f"streaming = True\ntry:\n    show('slowly, sliding {time.monotonic()}')\nfinally:\n    streaming = False"
        )
        pane = cell.pane()
        pane.wait_for_text(20)
        queued = []
        for value in range(1, 101):
            front.send_comm(made.printed.strip(), {"method": "update", "state": {"value": value}}, route)
            if value % 10 == 0:
                queued.append(front.run(f"cells.append({value})"))
        length = len(pane.text())
        pane.wait_for_text(length + 200)
        pane.send({"stop": 0}, route)
        for other in [cell, *queued]:
            assert other.wait().status == "ok"
        assert ast.literal_eval(front.value("moves")) == [(value, True) for value in range(1, 101)]
        assert ast.literal_eval(front.value("cells")) == list(range(10, 101, 10))
        front.run("slider.value = 0").wait()


def test_everything_is_under_its_cell(front: FrontEnd, slow: LocalGateway) -> None:
    """After a click, too, frames and the static answer belong to the cell that asked; nothing is written elsewhere."""
    for route in front.routes:
        start = len(front.messages)
        cell = front.run(f"show('slowly, mine {time.monotonic()}'); print('end')")
        pane = cell.pane()
        pane.wait_for_text(20)
        pane.send({"stop": 0}, route)
        cell.wait()
        kinds = {"stream", "display_data", "update_display_data", "error", "comm_open", "comm_close"}
        foreign = [m for m in front.messages[start:] if m["msg_type"] in kinds and front._cell_of(m) is not cell]
        assert foreign == []
        frames = [m for m in front.messages[start:] if m["msg_type"] == "comm_msg"]
        assert {front._cell_of(m) is cell for m in frames} == {True}
        assert cell.printed == "end\n"


GRID = """
import time
from bifrost_nb._compare.compare import compare
grid = compare(["azure/fast", "azure/large"], "A {{thing}}.", inputs={"thing": ["sea"]}, client=client).grid()
heard = []
def slowly(_, content, __):
    heard.append(content["by"][1])
    time.sleep(0.3)
grid.widget.on_msg(slowly)
"""


def test_clicks_keep_their_order(front: FrontEnd, gateway: LocalGateway) -> None:
    """Two clicks wait for what is slow; one that is made when the first is answered is not taken before the second."""
    assert front.run(GRID).wait().status == "ok"
    comm_id = ast.literal_eval(front.value("grid.widget.comm.comm_id"))
    for route in front.routes:
        front.run("heard.clear()").wait()
        _three_clicks(front, comm_id, route)
        assert ast.literal_eval(front.value("heard")) == [1, 2, 3], route
    front.run("grid.close()").wait()


def _three_clicks(front: FrontEnd, comm_id: str, route: Route) -> None:
    """The third when the first has been answered; until all three have been."""

    def pages() -> int:
        ours = [one["content"] for one in front.messages if one["msg_type"] == "comm_msg"]
        return sum(one["comm_id"] == comm_id and "page" in one["data"].get("state", {}) for one in ours)

    def click(number: int) -> None:
        show = {"show": {"tick": [0, number % 2 == 0]}, "by": ["view", number]}
        front.send_comm(comm_id, {"method": "custom", "content": show}, route)

    before = pages()
    click(1)
    click(2)
    front.until(lambda: pages() > before, 30, "the answer to the first click")
    click(3)
    front.until(lambda: pages() >= before + 3, 30, "all answers")
