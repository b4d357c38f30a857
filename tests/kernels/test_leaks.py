"""Runs leave nothing behind: no widget, figure, thread, task or file descriptor."""

from __future__ import annotations

import ast

import pytest

from bifrost_nb._simulator.process import LocalGateway
from tests.thorough import thorough

from .frontend import FrontEnd

COUNT = """
import gc, os, asyncio, ipywidgets
from bifrost_nb import charts, to_frame
from bifrost_nb._client.portal import portal
def tasks(): return [task for task in asyncio.all_tasks(portal().loop) if not task.done()]
def count():
    gc.collect()
    widgets = ipywidgets.widgets.widget._instances
    ours = ("LivePane", "Race", "Column", "Pane")
    kinds = [(type(thing).__module__, type(thing).__name__) for thing in gc.get_objects()]
    live = sum(str(module).startswith("bifrost_nb._notebook.") and name in ours for module, name in kinds)
    figures = sum(kind == ("matplotlib.figure", "Figure") for kind in kinds)
    threads = sorted(thread.name for thread in threading.enumerate())
    return [threads, len(os.listdir("/proc/self/fd")), len(tasks()), len(widgets), live, figures]
def settled():
    end = time.monotonic() + 20  # looking up costs goes on in the background for some seconds
    while tasks() and time.monotonic() < end:
        time.sleep(0.05)
    return count()
"""


RACES = 20
"""What one race leaves shows at once; this many show also what is left now and then."""


@pytest.mark.parametrize("columns", [3, *thorough(1)])
def test_nothing_is_left(front: FrontEnd, gateway: LocalGateway, columns: int) -> None:
    """After 20 races, each with a chart, as many threads, descriptors, tasks, widgets, figures and objects of ours."""
    gateway.script([{"prompt": "brief", "chunks": 3, "gap_ms": 0, "first_text_ms": 0, "cost": 0.01}])
    front.run(COUNT).wait()
    race = f"display(charts.latency(to_frame(show(*['brief'] * {columns}))))"
    front.run(race).wait()
    before = ast.literal_eval(front.value("settled()"))
    cell = front.run(f"for number in range({RACES}): {race}").wait(120)
    assert cell.status == "ok", cell.error
    assert len([message for message in cell.of("comm_open") if "LivePane" in str(message["content"])]) == RACES
    assert sum("image/png" in shown for shown in cell.shown) == RACES
    after = ast.literal_eval(front.value("settled()"))
    assert after[0] <= before[0]
    assert after[1] <= before[1] + RACES // 4  # some more idle connections may be kept, not one for each race
    assert [left for left, had in zip(after[2:], before[2:], strict=True) if left > had] == [], (before, after)


def test_nothing_is_left_after_stops(front: FrontEnd, slow: LocalGateway) -> None:
    """Stopped and interrupted runs leave nothing either."""
    front.run(COUNT).wait()
    front.run("show('brief');").wait()
    before = ast.literal_eval(front.value("settled()"))
    for number in range(6):
        cell = front.run(f"show('slowly {number}');")
        pane = cell.pane()
        pane.wait_for_text(1)
        if number % 2:
            front.interrupt()
        else:
            pane.send({"stop": 0})
        cell.wait()
        del pane, cell
    front.run("import sys; sys.last_exc = sys.last_value = sys.last_traceback = sys.last_type = None").wait()
    after = ast.literal_eval(front.value("settled()"))
    assert after[0] <= before[0]
    assert after[1] <= before[1] + 1  # one more idle connection may be kept
    assert after[2] <= before[2]
    assert after[3] <= before[3]
    assert after[4] <= before[4]


def test_a_comparison_leaves_no_bar(front: FrontEnd, gateway: LocalGateway) -> None:
    """The widgets of a comparison's bar are closed, and a line of text is what stays in the output."""
    front.run(COUNT + "from bifrost_nb import compare").wait()
    before = ast.literal_eval(front.value("settled()"))
    source = "for number in range(3): compare(['azure/fast'], f'bar {number}', client=client, fresh=True, max_tokens=3)"
    cell = front.run(f"{source}").wait(60)
    assert cell.status == "ok", cell.error
    after = ast.literal_eval(front.value("settled()"))
    assert after[3] <= before[3]
    assert cell.shown == [{"text/plain": "1 run: 1 done"}] * 3
