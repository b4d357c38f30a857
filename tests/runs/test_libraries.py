"""The run log in other libraries' tables: the same columns, rows and unknowns."""

from __future__ import annotations

import subprocess
import sys

import duckdb
import polars as pl
import pyarrow as pa
import pytest

import bifrost_nb as bf
from bifrost_nb import Client, ConfigurationError, RunLog
from bifrost_nb._runs.columns import NAMES


@pytest.fixture
def log(client: Client, log: RunLog) -> RunLog:
    """Three runs, one of which failed and has no answer."""
    for prompt in ("one", "two"):
        client.complete("azure/fast", prompt, max_tokens=3)
    with pytest.raises(bf.GatewayError):
        client.complete("azure/always-fails", "three", retries=0)
    return log


def test_arrow_and_polars_hold_what_pandas_does(log: RunLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every column, in its order; unknown is null, never 0 or NaN; filters count as ever."""
    monkeypatch.setenv("BIFROST_RUN_LOG", str(log.path))
    frame, table, polars = bf.runs(), bf.runs("arrow"), bf.runs(to="polars")
    assert isinstance(table, pa.Table)
    assert isinstance(polars, pl.DataFrame)
    assert tuple(table.column_names) == tuple(polars.columns) == NAMES == tuple(frame.columns)
    for name in NAMES:
        ours = [None if missing else value for value, missing in zip(frame[name], frame[name].isna(), strict=True)]
        assert table[name].to_pylist() == polars[name].to_list() == ours, name
    assert polars["completion_tokens"].null_count() == 1
    assert str(polars["started_at"].dtype) == "Datetime(time_unit='us', time_zone='UTC')"
    assert len(bf.runs("polars", status="error")) == len(log.frame("arrow", status="error")) == 1
    assert bf.to_frame(log.read(), to="polars").equals(polars)
    assert len(RunLog("off").frame("polars")) == 0


def test_duckdb_reads_the_arrow_table(log: RunLog) -> None:
    """A query over the table itself, without pandas."""
    table = log.frame("arrow")
    found = duckdb.sql("select status, count(*) from t group by status order by status",
                       connection=_with(t=table)).fetchall()  # fmt: skip
    assert found == [("error", 1), ("ok", 2)]


def _with(**tables: pa.Table) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    for name, table in tables.items():
        connection.register(name, table)
    return connection


def test_another_library_is_one_clear_error(log: RunLog) -> None:
    """A misspelled name says what there is; without polars the error says what to install, and pandas still works."""
    with pytest.raises(ConfigurationError, match="'pandas', 'arrow' or 'polars', not 'polar'"):
        log.frame("polar")
    code = f"""
import sys
sys.modules["polars"] = None
import bifrost_nb as bf
log = bf.RunLog({str(log.path)!r})
assert len(log.frame()) == 3
try:
    log.frame("polars")
except bf.ConfigurationError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install polars" in done.stdout
