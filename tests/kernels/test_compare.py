"""A comparison in a kernel under the interrupt key: with a bar, and with the live view."""

from __future__ import annotations

import time

import pytest

from bifrost_nb._runs.log.log import RunLog
from bifrost_nb._simulator.process import LocalGateway

from .frontend import FrontEnd


@pytest.mark.parametrize("live", [None, True])
def test_one_interrupt_stops_a_comparison(
    live: bool | None, front: FrontEnd, gateway: LocalGateway, kernel_log: RunLog
) -> None:
    """Every open call is closed and recorded, one line is shown, what was answered is kept, Run All stops."""
    mark = f"{live} {time.monotonic()}"
    gateway.script([{"prompt": "slowly", "first_text_ms": 60_000}])
    asked = f"['azure/fast'], '{{{{how}}}} {mark}', inputs={{'how': ['slowly'] * 12 + ['quickly'] * 4}}"
    cell = front.run(
        f"from bifrost_nb import compare\ncompare({asked}, client=client, live={live}, max_tokens=3, seed=1)"
    )
    queued = front.run("print('this must not run')")

    def open_and_done(requests: list[dict]) -> bool:
        mine = [one for one in requests if mark in str(one["body"])]
        return len(mine) == 16 and sum(one["ended_at"] is not None for one in mine) == 4

    gateway.wait_for(open_and_done, 30)
    front.interrupt()
    cell.wait()
    assert cell.status == "error"
    assert cell.error["ename"] == "ComparisonInterrupted"
    assert len(cell.error["traceback"]) == 1
    assert cell.error["traceback"][0].startswith("Interrupted: 4 of 16 calls were answered and are in the run log;")
    assert queued.wait().status == "aborted"
    gateway.wait_for(lambda requests: sum(one["disconnected_at"] is not None for one in requests) == 12, 20)
    runs = [run for run in kernel_log.read() if mark in (run.prompt or "")]
    assert sorted(run.status for run in runs) == ["cancelled"] * 12 + ["ok"] * 4
    assert front.value("len(sys.last_value.comparison)") == "16"
    assert front.value("1 + 1") == "2"
