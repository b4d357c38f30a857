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
    runs = frame(rows).assign(attempts=1)
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
    assert parts([planted(latency_ms=100.6)]) == [7, 0, None, 100, None], "the gateway rounds"
    assert parts([planted(latency_ms=103.0)]) == [7, None, None, 100, None], "two clocks that do not agree tell nothing"
    assert parts([planted(latency_ms=99.0), planted(latency_ms=100.5)])[1] == 0.25, "rounding is on both sides"


@pytest.mark.parametrize("upstream", [None, 20.0, 58.0])
def test_the_parts_add_up_where_text_was_read_late(upstream: float | None) -> None:
    """The first text after 10 ms, the last read 40 ms after the gateway had it: that is not all before the first."""
    found = parts([planted(ttft_ms=10.0, latency_ms=60.0)], [upstream])
    assert sum(part or 0 for part in found[1:]) == 100
    assert found[1:] == [None, None if upstream != 58 else 2, 10 if upstream != 58 else 8, 90]


def test_the_time_of_the_last_attempt_is_not_that_of_the_call() -> None:
    """What was tried before, and the pauses, are no network: the gateway's time is unknown then."""
    told = [planted(latency_ms=90.0), planted(total_ms=2_000.0, latency_ms=95.0)]
    runs = frame(told).assign(attempts=pd.array([1, 3], dtype="Int64"))
    both = charts.anatomy_parts(runs).loc["azure/a"]
    assert (both["network"], both["to first text"], both["runs"]) == (10, 90, 1)
    alone = charts.anatomy_parts(runs[1:]).loc["azure/a"]
    assert pd.isna(alone["network"])
    assert alone["to first text"] == 2_000
    served = charts.anatomy_parts(
        frame([planted(total_ms=900.0, latency_ms=95.0, is_fallback=True)]).assign(attempts=1)
    ).iloc[0]
    assert (pd.isna(served["network"]), served["to first text"]) == (True, 900)


def test_a_frame_that_does_not_tell_attempts_has_no_network(gateway: LocalGateway, tmp_path: Path) -> None:
    """Of the columns of every frame none does: a retry of 150 ms was drawn as network. The runs of the log tell."""
    gateway.script([{"status": 500, "delay_ms": 150, "times": 1}, {"first_text_ms": 50, "chunks": 1}])
    log = bf.RunLog(tmp_path / "runs.jsonl")
    client = bf.Client(gateway.url, log=log, retries=1)
    for _ in range(2):
        client.chat("azure/large", "Hi", max_tokens=1)
    plain = charts.anatomy_parts(log.frame()).iloc[0]
    assert plain[["network", "gateway"]].isna().all()
    assert plain["runs"] == 2
    ax = charts.anatomy(log.frame())
    assert "network not told apart" in ax.get_xlabel()
    assert "network" not in [text.get_text() for text in ax.get_legend().get_texts()]
    runs = log.read()
    told = log.frame().assign(attempts=[len(run.attempts) or None for run in runs])
    assert told["attempts"].tolist() == [2, 1]
    row = charts.anatomy_parts(told).iloc[0]
    assert (row["runs"], pd.isna(row["network"])) == (1, False)
    assert charts.anatomy(told).get_xlabel() == "mean time (ms)"


def test_a_chart_says_what_it_does_not_know() -> None:
    """A bar without a part that others have is not one of which it took no time; a mean of a few says of how many."""
    rows = [planted(latency_ms=90.0), planted(), *calls("azure/b", [50.0])]
    notes = [text.get_text().strip() for text in charts.anatomy(frame(rows).assign(attempts=1)).texts]
    assert notes == ["107 ms; 1 of 2 runs", "50 ms; waiting here, network unknown"]


def test_runs_that_tell_less_are_left_out() -> None:
    """The parts add up to the mean time of the runs that were used, and those are counted."""
    rows = [planted(ttft_ms=60.0, latency_ms=90.0), planted(total_ms=900.0), planted(ttft_ms=10.0, latency_ms=98.0)]
    found = parts(rows)
    assert found == [7, 6, None, 29, 65]
    assert charts.anatomy_parts(frame(rows).assign(attempts=1))["runs"].tolist() == [2]


def test_what_failed_before_is_no_network(gateway: LocalGateway, tmp_path: Path) -> None:
    """A primary that fails after 150 ms, and a call tried twice: of the answer's 50 ms alone the gateway tells."""
    gateway.script([
        {"deployment": "azure/always-fails", "status": 500, "delay_ms": 150},
        {"deployment": "azure/large", "status": 500, "delay_ms": 150, "times": 1},
        {"first_text_ms": 50, "chunks": 1},
    ])  # fmt: skip
    client = bf.Client(gateway.url, log=bf.RunLog(tmp_path / "runs.jsonl"), retries=1)
    asked = [{"deployment": "azure/always-fails", "fallbacks": ["azure/fast"]}, "azure/large"]
    drawn = bf.compare(asked, "Hi", client=client, stream=False, max_tokens=1).plot.anatomy()
    assert "network" not in [text.get_text() for text in drawn.get_legend().get_texts()]


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
