"""The load scripts in small: hundreds of streams, thousands of cells; no run twice, none missing, nothing left."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks import load

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory and descriptors are read from /proc"),
    pytest.mark.usefixtures("_warm"),
    pytest.mark.timeout(600),  # a busy machine is no fault
]


@pytest.mark.thorough
def test_two_hundred_streams_at_once() -> None:
    """All are open together, each is in the log exactly once, and neither task, thread nor socket is left."""
    before = load.settled()
    facts = load.streams(200, 1.0, chunks=10, gap_ms=250)
    assert facts["open_at_once"] > 100, "on a busy machine the first may end before the last begins"
    assert facts["ended"] == {"ok": facts["runs"]}
    assert (facts["all_ok"], facts["exactly_once"]) == (True, True)
    assert facts["left"]["tasks"] == 0
    assert facts["left"]["sockets"] <= before["sockets"]
    assert facts["left"]["threads"] <= before["threads"] + 1  # the loop keeps one to look up names


def test_a_sweep_of_two_thousand_cells() -> None:
    """Every cell is answered and recorded exactly once; what memory grows by is the result itself."""
    facts = load.sweep(2000, 64)
    assert (facts["all_ok"], facts["exactly_once"], facts["logged"]) == (True, True, 2002)
    assert facts["rss_kb_per_cell"] < 40
    assert facts["left"]["tasks"] == 0
