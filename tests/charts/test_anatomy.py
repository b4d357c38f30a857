"""Where the time goes: planted times come out, unknown parts stay unknown, and the parts add up."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import bifrost_nb as bf
from bifrost_nb import charts
from bifrost_nb._simulator.process import LocalGateway
from tests.compare.frames import calls, frame

PARTS = ["waiting here", "network", "gateway", "to first text", "generation"]


def planted(**times: float | None) -> dict[str, object]:
    (one,) = calls("azure/a", [100.0])
    return {**one, "queue_ms": 7.0, "total_ms": 100.0, "latency_ms": None, "ttft_ms": None, **times}


def parts(rows: list[dict[str, object]], upstream: list[float | None] | None = None) -> list[float | None]:
    runs = frame(rows)
    if upstream is not None:
        runs["upstream_ms"] = pd.array(upstream, dtype="Float64")
    row = charts.anatomy_parts(runs).loc["azure/a"]
    return [None if pd.isna(row[part]) else float(row[part]) for part in PARTS]


def test_each_part_is_what_was_planted() -> None:
    """What is told is told apart; what is not is in the time to the first text."""
    assert parts([planted()]) == [7, None, None, 100, None]
    assert parts([planted(ttft_ms=60.0)]) == [7, None, None, 60, 40]
    assert parts([planted(ttft_ms=60.0, latency_ms=90.0)]) == [7, 10, None, 50, 40]
    assert parts([planted(ttft_ms=60.0, latency_ms=90.0)], [85.0]) == [7, 10, 5, 45, 40]
    assert parts([planted(latency_ms=103.0)]) == [7, 0, None, 100, None]


def test_runs_that_tell_less_are_left_out() -> None:
    """The parts add up to the mean time of the runs that were used, and those are counted."""
    rows = [planted(ttft_ms=60.0, latency_ms=90.0), planted(total_ms=900.0), planted(ttft_ms=10.0, latency_ms=98.0)]
    found = parts(rows)
    assert found == [7, 6, None, 29, 65]
    assert charts.anatomy_parts(frame(rows))["runs"].tolist() == [2]


def test_a_comparison_shows_the_delays_of_its_gateway(gateway: LocalGateway, tmp_path: Path) -> None:
    """A first text after 150 ms and three gaps of 50 ms are seen as such, and one call at a time waits here."""
    gateway.script([{"first_text_ms": 150, "gap_ms": 50, "chunks": 4}])
    client = bf.Client(gateway.url, log=bf.RunLog(tmp_path / "runs.jsonl"))
    compared = bf.compare(["azure/fast"], "Hi", repeats=4, concurrency=1, client=client, max_tokens=4)
    row = charts.anatomy_parts(compared.frame.assign(deployment=compared.frame["variant"])).loc["azure/fast"]
    first = row["to first text"] + (0 if pd.isna(row["network"]) else row["network"])
    assert first == pytest.approx(150, abs=60)
    assert row["generation"] == pytest.approx(150, abs=60)
    assert row["waiting here"] > 200
    ax = compared.plot.anatomy()
    drawn = [text.get_text() for text in ax.get_legend().get_texts()]
    assert drawn[0] == "waiting here"
    assert drawn[-1] == "generation"
