"""The summary's figures, against planted frames and NumPy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bifrost_nb import charts
from bifrost_nb._compare.groups import deployments, served
from bifrost_nb._compare.summary import METRICS, summary

from .frames import calls, frame, times

COUNTS = ["runs", "ok", "errors", "cached", "cost_usd_unknown"]


def row(table: pd.DataFrame, deployment: str, who: str | None) -> pd.Series:
    found = table[
        (table["deployment"] == deployment) & (table["served"].isna() if who is None else table["served"] == who)
    ]
    assert len(found) == 1
    return found.iloc[0]


def test_figures_equal_numpy() -> None:
    """Mean and quantiles of a group are NumPy's over its answered runs."""
    values = times(3, 101)
    table = summary(frame(calls("azure/a", values) + calls("azure/b", values * 2)))
    a = row(table, "azure/a", "azure/a")
    assert a["total_ms_mean"] == pytest.approx(values.mean())
    for name, share in (("p50", 50), ("p95", 95), ("p99", 99)):
        assert a[f"total_ms_{name}"] == pytest.approx(np.percentile(values, share))
    assert row(table, "azure/b", "azure/b")["total_ms_mean"] == pytest.approx(2 * values.mean())


@pytest.mark.parametrize("count", [1, 19, 20])
def test_a_p95_of_too_few_runs_is_not_shown(count: int) -> None:
    """With fewer, none of them is expected beyond it: the summary has it, a chart does not call the largest a p95."""
    slow = frame(calls("azure/a", times(3, count)))
    assert pd.notna(row(summary(slow), "azure/a", "azure/a")["total_ms_p95"])
    [label] = [text for text in charts.latency(slow).get_legend_handles_labels()[1] if "n = " in text]
    assert ("p95" in label) == (count >= 20)


def test_errors_cache_hits_and_unanswered_stay_out_of_every_mean() -> None:
    """Errors and cache hits are counted in columns of their own and change no latency figure."""
    clean = calls("azure/a", np.full(10, 100.0), cost_usd=0.5)
    hits = calls("azure/a", np.full(5, 1.0), cache_hit=True, cost_usd=0.0)
    failed = calls("azure/a", np.full(3, 9999.0), status="error", provider=None, model=None)
    table = summary(frame(clean + hits + failed))
    answered = row(table, "azure/a", "azure/a")
    assert answered[["runs", "ok", "errors", "cached"]].tolist() == [15, 15, 0, 5]
    assert answered["total_ms_mean"] == answered["total_ms_p99"] == 100.0
    assert answered["cost_usd_mean"] == 0.5
    nobody = row(table, "azure/a", None)
    assert nobody[["runs", "ok", "errors"]].tolist() == [3, 0, 3]
    assert nobody[["total_ms_mean", "total_ms_p50"]].isna().all()


def test_fallback_share_is_of_the_deployment_asked() -> None:
    """A deployment served 30 % by fallback shows 0.3 on each of its rows, and the two servers apart."""
    rows = calls("azure/a", np.full(70, 100.0)) + calls(
        "azure/a", np.full(30, 500.0), provider="openai", model="x", is_fallback=True
    )
    table = summary(frame(rows + calls("azure/b", np.full(10, 100.0))))
    assert row(table, "azure/a", "azure/a")["fallback_share"] == pytest.approx(0.3)
    assert row(table, "azure/a", "openai/x")["fallback_share"] == pytest.approx(0.3)
    assert row(table, "azure/a", "azure/a")["total_ms_mean"] == 100.0
    assert row(table, "azure/b", "azure/b")["fallback_share"] == 0.0


def test_unknown_fallback_is_na() -> None:
    """Where the gateway never tells whether a fallback answered, the share is NA and not 0."""
    assert summary(frame(calls("azure/a", np.ones(3), is_fallback=None)))["fallback_share"].isna().all()


def test_cost_total_counts_what_is_unknown() -> None:
    """The total sums known costs of all runs, failed ones too; a group without any known cost has no total."""
    rows = calls("azure/a", np.ones(2), cost_usd=1.5) + calls("azure/a", np.ones(1), cost_usd=None)
    rows += calls("azure/a", np.ones(1), cost_usd=0.25, status="cancelled")
    table = summary(frame(rows + calls("azure/b", np.ones(4))))
    a, b = row(table, "azure/a", "azure/a"), row(table, "azure/b", "azure/b")
    assert (a["cost_usd_total"], a["cost_usd_unknown"]) == (3.25, 1)
    assert pd.isna(b["cost_usd_total"])
    assert b["cost_usd_unknown"] == 4


def test_variants_of_one_deployment_stay_apart() -> None:
    """A name given in the comparison, kept in the tags, separates two settings of one deployment."""
    rows = calls("azure/a", np.ones(2), tags='{"variant":"cold"}') + calls("azure/a", np.ones(3), tags='{"x":"b"}')
    data = frame(rows)
    assert deployments(data).tolist() == ["cold"] * 2 + ["azure/a"] * 3
    assert summary(data)["runs"].tolist() == [3, 2] or summary(data)["runs"].tolist() == [2, 3]


@pytest.mark.parametrize("count", [0, 1, 5])
def test_columns_and_dtypes_do_not_depend_on_the_rows(count: int) -> None:
    """No run, one run and all failed give the same columns and dtypes."""
    full = summary(frame(calls("azure/a", times(1, 9), ttft_ms=3.0, cost_usd=1.0, tokens_per_s=4.0)))
    table = summary(frame(calls("azure/a", np.ones(count), status="error", provider=None, model=None)))
    assert list(table.columns) == list(full.columns)
    assert table.dtypes.tolist() == full.dtypes.tolist()
    assert list(full.columns[:7]) == ["deployment", "served", "runs", "ok", "errors", "fallback_share", "cached"]
    assert all(f"{metric}_{name}" in full for metric in METRICS for name in ("mean", "p50", "p95", "p99"))


def test_a_frame_with_any_index_works() -> None:
    """Filtered, concatenated and sorted frames (repeated or shuffled index) give the same summary."""
    data = frame(calls("azure/a", times(1, 20)) + calls("azure/b", times(2, 20)))
    shuffled = data.iloc[::-1]
    shuffled.index = pd.Index([0] * 40)
    expected, found = (summary(one).sort_values("deployment").reset_index(drop=True) for one in (data, shuffled))
    pd.testing.assert_frame_equal(expected, found)


def test_served_names_what_is_known() -> None:
    """Provider or model alone is still a name; neither is NA."""
    rows = [{"provider": "azure"}, {"model": "m"}, {"provider": "azure", "model": "m"}, {}]
    assert served(frame(rows)).fillna("-").tolist() == ["azure", "m", "azure/m", "-"]
