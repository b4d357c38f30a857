"""One comparison has one number for one thing, wherever it is told."""

from __future__ import annotations

import os
import re
from html import unescape
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

import bifrost_nb as bf
from bifrost_nb import Client, Comparison, LocalGateway, RunLog, compare, load_report, scorers
from bifrost_nb._compare.verdict import amount
from bifrost_nb._display.describe import usd
from bifrost_nb._gate.gate_files import as_junit, as_markdown

FAST, LARGE = "azure/fast", "azure/large"


ROWS = {"n": list(range(12))}


@pytest.fixture
def found(gateway: LocalGateway, tmp_path: Path) -> Comparison:
    """Two deployments, twelve inputs, a score; all costs are known."""
    client = Client(gateway.url, log=RunLog(tmp_path / "runs.jsonl"))
    found = compare(
        [FAST, LARGE], "Say {{n}}.", inputs=ROWS, max_tokens=8, client=client, score=scorers.length(max=1_000)
    )
    client.wait_costs(found.runs)
    return found


def test_the_same_number_everywhere(found: Comparison, tmp_path: Path) -> None:
    """Table, summary, report, chart, workbook and gate agree on money, counts and medians of each deployment."""
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
        assert "n < 20" in page
        assert bars[place] == f" {each}, in all {spent}"
        assert curves[place] == f"{name}\np50 {amount(row['total_ms_p50'], 'total_ms')}, n = 12"
    gate = found.gate(FAST, p50_ms=60_000, cost_usd_per_1000=100.0)
    median = amount(float(summary.loc[FAST, "total_ms_p50"]), "total_ms")
    for text in (as_markdown({"g": gate}), as_junit({"g": gate}, "x.py")):
        assert median in text
    each = gate.frame.set_index("name").loc["cost_usd_per_1000", "estimate"]
    assert float(each) == pytest.approx(1000 * float(summary.loc[FAST, "cost_usd_mean"]))
    for text in (repr(gate), as_markdown({"g": gate})):
        assert amount(float(each), "cost_usd") in text


def test_the_magics_table_is_the_same(found: Comparison) -> None:
    """``%%bifrost`` with the same rows takes the same answers from the log, and shows and sums what `compare` does."""
    shell: Any = InteractiveShell()
    bf.load_ipython_extension(shell)
    try:
        shell.user_ns["rows"] = ROWS
        line = f"%%bifrost {FAST} {LARGE} -i rows --max-tokens 8 --score length:1000 -o again\nSay {{{{n}}}}."
        with capture_output() as shown:
            assert shell.run_cell(line).success
        again = shell.user_ns["again"]
        assert again.progress.reused == 24
        table = repr(found).splitlines()[2:6]
        assert "\n".join(table) in shown.stdout  # what this shell displays with; a notebook takes the HTML
        assert again._repr_html_().partition("<table")[2] == found._repr_html_().partition("<table")[2]
    finally:
        bf.unload_ipython_extension(shell)


def test_mlflow_has_the_same(found: Comparison, tmp_path: Path) -> None:
    """Each metric that MLflow reads back is the summary's figure."""
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    mlflow = pytest.importorskip("mlflow", reason="needs the extra mlflow")
    address = (tmp_path / "mlruns").as_uri()
    run = mlflow.MlflowClient(tracking_uri=address).get_run(bf.export_mlflow(found, tracking_uri=address, report=False))
    for row in found.summary(by="variant").to_dict("records"):
        for column, value in row.items():
            if isinstance(value, int | float) and pd.notna(value):
                assert run.data.metrics[f"{row['variant']}/{column}"] == pytest.approx(float(value))


def test_a_grid_has_the_same(found: Comparison) -> None:
    """An answer's time and cost in the grid are those of its run; the file of the grid sums up to the table."""
    grid = found.grid()
    total = grid.frame["cost_usd"].sum()
    assert float(total) == pytest.approx(float(found.summary()["cost_usd_total"].sum()))
    for run in found.runs[:4]:
        assert usd(run.cost_usd or 0) in repr(grid)


@pytest.mark.parametrize("late", [0, 700])
def test_a_budgets_stop_is_the_tables_sum(gateway: LocalGateway, tmp_path: Path, late: int) -> None:
    """What the note says was spent is what the table sums up to, also where the costs came after the stop."""
    gateway.script([{"log_cost": 1.0, "log_delay_ms": late} if late else {"cost": 1.0}])
    client = Client(gateway.url, log=RunLog(tmp_path / "runs.jsonl"))
    found = compare([FAST], "{{n}}", inputs=ROWS, client=client, concurrency=2, max_cost_usd=3, max_tokens=2)
    assert found.wait_for_costs(20) == 0
    (told,) = re.findall(r"Stopped: (\S+) spent", repr(found))
    assert told == amount(float(found.summary()["cost_usd_total"].sum()), "cost_usd")
