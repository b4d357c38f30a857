"""The Parquet dataset keeps columns, types and unknowns, whoever reads it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bifrost_nb import ConfigurationError
from bifrost_nb._runs.columns import COLUMNS, NAMES
from bifrost_nb._runs.frame import to_frame
from bifrost_nb._runs.log.dataset import export_dataset
from bifrost_nb._runs.run import Run


@pytest.fixture
def runs() -> pd.DataFrame:
    """Runs of three days, every second one with most facts unknown."""
    began = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)
    made = []
    for number in range(60):
        run = Run(run_id=f"run-{number:03}", started_at=began + timedelta(minutes=30 * number), status="ok")
        if number % 2:
            run.repeat, run.is_fallback, run.cost_usd = number, False, number / 1000
            run.provider, run.tags, run.prompt = "azure", {"a": 1}, "It's; -- \u2028 {x}"
        made.append(run)
    return to_frame(made)


def sorted_(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values("run_id").reset_index(drop=True)


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # dask 2026.8 under pandas 3.1
def test_pandas_and_dask_read_the_same_frame(runs: pd.DataFrame, tmp_path: Path) -> None:
    """Both give the contract's columns, dtypes and NA back, one partition a day."""
    dask = pytest.importorskip("dask.dataframe", reason="the extra `cluster` is not installed")
    folder = export_dataset(runs, tmp_path / "runs")
    assert sorted(path.name for path in folder.iterdir()) == [f"day=2026-11-{day}" for day in (20, 21, 22)]
    for read in (pd.read_parquet(folder, columns=NAMES), dask.read_parquet(folder, columns=list(NAMES)).compute()):
        found = sorted_(read)
        expected = {column.name: column.dtype for column in COLUMNS}
        assert {name: str(dtype) for name, dtype in found.dtypes.items()} == expected
        pd.testing.assert_frame_equal(found, runs.astype(expected), check_dtype=False)


def test_duckdb_reads_types_and_unknowns(runs: pd.DataFrame, tmp_path: Path) -> None:
    """DuckDB sees integers, doubles, booleans, timestamps with zone and NULL for unknown."""
    duckdb = pytest.importorskip("duckdb", reason="the extra `cluster` is not installed")
    folder = export_dataset(runs, tmp_path / "runs")
    source = f"read_parquet('{folder}/*/*.parquet', hive_partitioning=true)"
    types = dict(duckdb.sql(f"select column_name, column_type from (describe select * from {source})").fetchall())
    words = {"string": "VARCHAR", "Int64": "BIGINT", "Float64": "DOUBLE", "boolean": "BOOLEAN"}
    words["datetime64[us, UTC]"] = "TIMESTAMP WITH TIME ZONE"
    assert {name: types[name] for name in NAMES} == {column.name: words[column.dtype] for column in COLUMNS}
    counts = duckdb.sql(
        f"select count(*), count(cost_usd), sum(cost_usd), count(distinct day) from {source}"
    ).fetchall()
    assert counts[0] == (60, 30, pytest.approx(runs["cost_usd"].sum()), 3)


def test_a_day_is_replaced_and_others_stay(runs: pd.DataFrame, tmp_path: Path) -> None:
    """Exporting again does not double runs; a part replaces only its own days."""
    folder = export_dataset(runs, tmp_path / "runs")
    export_dataset(runs, folder)
    assert len(pd.read_parquet(folder)) == 60
    export_dataset(runs.iloc[:1], folder)  # one of the two runs of the first day
    assert sorted(pd.read_parquet(folder)["run_id"])[:2] == ["run-000", "run-002"]


def test_none_or_unknown_times(runs: pd.DataFrame, tmp_path: Path) -> None:
    """An empty frame makes an empty folder; runs without a start are kept in a partition of their own."""
    assert list(export_dataset(runs.iloc[:0], tmp_path / "none").iterdir()) == []
    some = runs.assign(started_at=runs["started_at"].where(runs.index > 0))
    assert len(pd.read_parquet(export_dataset(some, tmp_path / "some"))) == 60


def test_what_was_read_can_be_written_again(runs: pd.DataFrame, tmp_path: Path) -> None:
    """A frame from such a folder, or from a CSV file, goes into another one with the same days."""
    folder = export_dataset(runs, tmp_path / "runs")
    runs.to_csv(tmp_path / "runs.csv", index=False)
    for source in (pd.read_parquet(folder), pd.read_csv(tmp_path / "runs.csv")):
        again = export_dataset(source, tmp_path / f"again{len(source.columns)}")
        assert [path.name for path in sorted(again.iterdir())] == [path.name for path in sorted(folder.iterdir())]
        assert sorted(pd.read_parquet(again)["run_id"]) == sorted(runs["run_id"])


def test_inputs_of_several_kinds(runs: pd.DataFrame, tmp_path: Path) -> None:
    """What Arrow has no type for is text; a column of one kind keeps its type, and nothing is lost."""
    odd = [1, "1 \ud83d", [1, "a"], {"b": None}, None, 2**70] * 10
    more = {"input_list": [[1, 2]] * 60, "input_empty": [{}] * 60, "input_deep": [[{"a": {}}]] * 60}
    mixed = runs.assign(input_odd=pd.Series(odd, dtype=object), input_complex=[1 + 2j] * 60, **more)
    back = sorted_(pd.read_parquet(export_dataset(mixed, tmp_path / "runs")))
    told = back["input_odd"][:6].fillna("unknown").tolist()
    assert told == ["1", "1 \ufffd", '[1,"a"]', '{"b":null}', "unknown", str(2**70)]
    assert back["input_list"][0].tolist() == [1, 2]
    assert back.loc[0, ["input_empty", "input_deep", "input_complex"]].tolist() == ["{}", '[{"a":{}}]', "(1+2j)"]


@pytest.mark.parametrize("what", [None, [Run()], pd.DataFrame({"run_id": ["a"]})])
def test_what_is_no_frame_of_runs(what: Any, tmp_path: Path) -> None:
    """The error says what it takes, and no folder is made."""
    with pytest.raises(ConfigurationError, match="takes a frame of runs, not"):
        export_dataset(what, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_column_that_is_there_twice_is_named(runs: pd.DataFrame, tmp_path: Path) -> None:
    """Parquet has no place for it; the error is ours, and no folder is made."""
    with pytest.raises(ConfigurationError, match="The frame has the column 'model' twice"):
        export_dataset(pd.concat([runs, runs[["model"]]], axis=1), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_files_are_the_owners_and_a_file_is_no_folder(runs: pd.DataFrame, tmp_path: Path) -> None:
    """Prompts are private: 0600. A path that is a file is refused."""
    folder = export_dataset(runs, tmp_path / "runs")
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*.parquet")} == {0o600}
    with pytest.raises(ConfigurationError, match="is a file"):
        export_dataset(runs, next(folder.rglob("*.parquet")))
