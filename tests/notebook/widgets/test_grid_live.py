"""`compare(..., live=True)`: counters without a browser, and a running comparison's messages."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest

from bifrost_nb import Client, ConfigurationError
from bifrost_nb._compare.compare import compare
from bifrost_nb._compare.plan import Plan, make_plan
from bifrost_nb._compare.sweep import Progress
from bifrost_nb._notebook.widgets.compare_live import run_live
from bifrost_nb._notebook.widgets.overview import Event, Overview
from bifrost_nb._simulator.process import LocalGateway
from tests.markup import read

from ...panes import text
from ..live.test_pane import Wire, wire  # noqa: F401
from .test_grid import run

TWO = ["azure/fast", "azure/large"]


def plan_of(client: Client, prompts: int, repeats: int = 1) -> Plan:
    """Two deployments, so many prompts."""
    return make_plan(
        client, TWO, "On {{n}}", inputs={"n": list(range(prompts))}, repeats=repeats, kind="text", stream=True,
        system=None, fallbacks=None, concurrency=16, requests_per_minute=None, seed=0, tags=None,
        parameters={"max_tokens": 8},
    )  # fmt: skip


def states(wire: Wire, name: str) -> list[Any]:  # noqa: F811
    """Every state of a trait that was sent."""
    sent = [data["state"] for kind, data in wire if kind == "comm_msg" and data.get("method") == "update"]
    return [state[name] for state in sent if name in state]


def test_counters(client: Client) -> None:
    """Running, done, failed, first text and cost follow what happened; a call to be sent again is not a failure."""
    plan = plan_of(client, 3)
    overview = Overview(plan, {}, Progress(total=6))
    fast = [cell.trial_id for cell in plan.trials if cell.asked.name == TWO[0]]
    overview.receive(Event(cell_id) for cell_id in fast)
    overview.receive([Event(fast[0], run("1", "x", ttft_ms=40.0)), Event(fast[1], run("1", None), final=False)])
    first, second = overview.rows()
    assert first["ended"] == "1 of 3 done"
    assert (first["running"], second["running"]) == ("1", "0")
    assert (first["first"], first["cost"]) == ("median 40 ms", "$0.00100")
    overview.receive([Event(fast[1]), Event(fast[1], run("1", None, cost_usd=None))])
    overview.receive([Event(fast[2], run("1", "x", cost_usd=None))])
    overview.receive([Event(plan.trials[-1].trial_id, run("1", "half", status="cancelled", cost_usd=None))])
    (first, second) = overview.rows()
    assert first["ended"] == "2 of 3 done, 1 failed"
    assert second["ended"] == "0 of 3 done, 1 stopped"
    assert first["cost"] == "$0.00100 + 1 pending"
    assert second["cost"] == "–"
    assert overview.said().startswith("4 of 6 runs, 0 running.")
    overview.settle()
    assert "$0.00100 + 1 unknown" in read(overview.as_html()).text


def test_many_are_counted_with_few_messages(client: Client, wire: Wire) -> None:  # noqa: F811
    """120 calls end complete, shown by counters in at most ten messages a second, however many calls there are."""
    plan = plan_of(client, 20, repeats=3)
    began = time.monotonic()
    sweep = run_live(client, plan, {})
    took = time.monotonic() - began
    assert sweep.progress.done == 120
    rows = states(wire, "rows")
    assert len(rows) <= 2 + 10 * took
    assert len(json.dumps(rows[-1])) < 1000
    assert not [frame for frame in wire.frames if "t" in frame]


def test_few_are_a_race(client: Client, gateway: LocalGateway, wire: Wire) -> None:  # noqa: F811
    """Up to eight calls stream their text into columns, a refused one with its second sending."""
    gateway.script([{"deployment": "azure/fast", "times": 1, "status": 429, "headers": {"retry-after": "0"}}])
    plan = plan_of(client, 2)
    sweep = run_live(client, plan, {})
    texts = {column: text(wire.frames, column) for column in range(4)}
    assert texts == {place: sweep.results[cell.trial_id].text for place, cell in enumerate(plan.trials)}
    assert all(texts.values())
    assert sweep.progress.resent == 1


@pytest.mark.parametrize(("prompts", "wish", "left"), [(30, "all", 0), (2, "all", 0), (2, 1, 3)])
def test_stop(client: Client, gateway: LocalGateway, prompts: int, wish: Any, left: int, wire: Wire) -> None:  # noqa: F811
    """Stop all ends what runs and sends nothing more; a column's Stop ends that one call; both are recorded."""
    held = {"chunks": 8, "first_text_ms": 0, "gap_ms": 1, "hold_after_chunks": 4}
    gateway.script([{"deployment": name, **held} for name in TWO])
    plan = plan_of(client, prompts)

    def click() -> None:
        from ipywidgets.widgets import widget

        gateway.wait_for(lambda found: sum(one["chunks"] == 4 for one in found) >= min(4, len(plan.trials)), 30)
        kinds = ("OverviewWidget", "LivePane")  # other tests of this process may have left forms and grids
        (live,) = (one for one in widget._instances.values() if type(one).__name__ in kinds)
        live.comm.handle_msg({"content": {"data": {"method": "custom", "content": {"stop": wish}}}, "buffers": []})

        hit = all if wish == "all" else any  # who is still open would be answered by what follows
        gateway.wait_for(lambda found: hit(one["disconnected_at"] for one in found if one["method"] == "POST"), 30)
        gateway.script([])

    clicker = threading.Thread(target=click)
    clicker.start()
    sweep = run_live(client, plan, {})
    clicker.join()
    statuses = [one.status for one in sweep.results.values()]
    assert statuses.count("ok") == left
    assert statuses.count("cancelled") >= 1
    assert ("Stopped by a click." in sweep.progress.notes) == (wish == "all")
    sent = [one for one in gateway.requests() if one["method"] == "POST"]
    assert len(sent) < 60  # beside them costs are looked up


def test_live_outside_a_notebook(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nobody watches `live=True` changes nothing; with a cluster it is refused."""
    comparison = compare(TWO, "Hello", client=client, live=True, max_tokens=4)
    assert len(comparison) == 2
    assert "2 runs: 2 done" in capsys.readouterr().err
    with pytest.raises(ConfigurationError, match="live and max_cost_usd"):
        compare(TWO, "Hello", client=client, live=True, cluster=object(), fresh=True)
