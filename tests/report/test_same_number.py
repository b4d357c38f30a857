"""One comparison has one number for one thing, wherever it is told."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pandas as pd
import pytest

from bifrost_nb import Client, LocalGateway, RunLog, compare, load_report, scorers
from bifrost_nb._compare.verdict import amount
from bifrost_nb._gate.gate_files import as_junit, as_markdown

FAST, LARGE = "azure/fast", "azure/large"


def test_the_same_number_everywhere(gateway: LocalGateway, tmp_path: Path) -> None:
    """Table, summary, report, chart, workbook and gate agree on money, counts and medians of each deployment."""
    client = Client(gateway.url, log=RunLog(tmp_path / "runs.jsonl"))
    found = compare(
        [FAST, LARGE], "Say {{n}}.", inputs={"n": list(range(12))}, max_tokens=8, client=client,
        score=scorers.length(max=1_000),
    )  # fmt: skip
    client.wait_costs(found.runs)
    summary = found.summary().set_index("deployment")
    written = load_report(found.report(tmp_path / "report.html"))
    sheet = pd.read_excel(found.to_excel(tmp_path / "runs.xlsx"))
    page = unescape(re.sub("<[^>]+>", " ", (tmp_path / "report.html").read_text()))
    table, markup = repr(found), unescape(re.sub("<[^>]+>", "", found._repr_html_()))
    bars = [text.get_text().replace("\\$", "$") for text in found.plot.cost().texts]
    curves = [text.get_text() for text in found.plot.latency().texts]
    for place, name in enumerate((FAST, LARGE)):
        row = summary.loc[name]
        runs = [run for who, run in found.named_runs() if who == name]
        total = sum(run.cost_usd or 0 for run in runs)
        assert (row["runs"], row["ok"]) == (len(runs), 12)
        assert float(row["cost_usd_total"]) == pytest.approx(total)
        for frame in (found.frame, written, sheet):
            own = frame[frame["requested_model"] == name.partition("/")[2]]
            assert own["cost_usd"].astype(float).sum() == pytest.approx(total)
            assert own["total_ms"].astype(float).median() == pytest.approx(float(row["total_ms_p50"]))
        spent, each = amount(total, "cost_usd"), amount(1000 * float(row["cost_usd_mean"]), "cost_usd")
        for told in (table, markup):
            assert all(each_told in told for each_told in (spent, each, amount(row["total_ms_p50"], "total_ms")))
        assert amount(row["total_ms_p95"], "total_ms") in page.replace("  ", " ")
        assert bars[place] == f" {each}, in all {spent}"
        p50, p95 = (amount(row[f"total_ms_{figure}"], "total_ms") for figure in ("p50", "p95"))
        assert curves[place] == f"{name}\np50 {p50}, p95 {p95}, n = 12"
    gate = found.gate(FAST, p50_ms=60_000, cost_usd_per_1000=100.0)
    median = amount(float(summary.loc[FAST, "total_ms_p50"]), "total_ms")
    for text in (as_markdown({"g": gate}), as_junit({"g": gate}, "x.py")):
        assert median in text
