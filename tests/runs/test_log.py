"""The run log: what is recorded comes back, as runs, as a frame and as files; wrong calls are told clearly."""

from __future__ import annotations

import csv
import inspect
import os
import stat
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pyarrow.parquet as pq
import pytest
from pandas.testing import assert_frame_equal

from bifrost_nb import ConfigurationError, LogError
from bifrost_nb._runs.columns import NAMES
from bifrost_nb._runs.frame import frame_from_arrow, runs, to_frame
from bifrost_nb._runs.log.log import LogWarning, RunLog, run_log
from bifrost_nb._runs.run import Run

from .samples import EXPECTED, STARTED, full_run
from .test_frame import assert_contract

OLD = Path(__file__).parent / "data" / "old.jsonl"
NOW = datetime.now(UTC)


@pytest.fixture
def days(log: RunLog) -> RunLog:
    """Runs a, b, c, d, started 3, 2, 1 and 0 days ago."""
    asked = [("azure", "fast"), ("azure", "large"), ("openrouter", "meta/llama"), ("azure", "fast")]
    for number, (provider, model) in enumerate(asked):
        run = Run(run_id="abcd"[number], started_at=NOW - timedelta(days=3 - number, minutes=5))
        run.requested_provider, run.requested_model = provider, model
        run.provider, run.model = "openai", "served"
        run.status = ("ok", "error", "ok", "cancelled")[number]  # type: ignore[assignment]
        run.comparison_id, run.prompt_id = "xxyy"[number], "pqpq"[number]
        run.tags = {"team": number % 2, "note": "é"} if number else {}
        log.append(run)
    return log


def ids(frame: pd.DataFrame) -> str:
    return "".join(frame["run_id"])


def test_a_run_comes_back_as_it_was(log: RunLog) -> None:
    """Every field returns from the log, but the raw answer, which is not written."""
    run = full_run()
    log.append(run)
    assert log.read() == [replace(run, raw=None)]
    assert log.read()[0].started_at.tzinfo is UTC


def test_the_log_gives_the_frame_of_its_runs(log: RunLog) -> None:
    """Frame of the log and frame of the runs in memory are equal, dtypes included."""
    recorded = [full_run(), Run(), Run(cost_usd=float("nan"), response="\ud800", tags={"a": {1, 2}}, chunks=1 << 70)]
    for run in recorded:
        log.append(run)
    assert_frame_equal(log.frame(), to_frame(recorded))


def test_a_tag_that_is_missing_is_null(log: RunLog) -> None:
    """A cell of a frame may be any of these; pandas' own were the words <NA> and NaT."""
    recorded = Run(tags={"nan": float("nan"), "na": pd.NA, "nat": pd.NaT})
    log.append(recorded)
    assert log.read()[0].tags == {"nan": None, "na": None, "nat": None}
    assert_frame_equal(log.frame(), to_frame([recorded]))


def test_a_line_holds_the_columns_the_schema_and_the_rest(log: RunLog) -> None:
    """A line is the documented format: flat columns as in the frame, `schema`, `extra`."""
    log.append(full_run())
    assert log.path is not None
    record = orjson.loads(log.path.read_bytes())
    assert record.keys() == {"schema", *NAMES, "extra"}
    assert record["schema"] == 1
    assert record["started_at"] == "2026-03-04T05:06:07.890123+00:00"
    assert {name: record[name] for name in NAMES if name != "started_at"} == {
        name: value for name, value in EXPECTED.items() if name != "started_at"
    }
    assert "raw" not in record["extra"]


def test_an_empty_log_has_the_columns(log: RunLog) -> None:
    """A log nobody wrote to is an empty frame with all columns, and reading does not make the file."""
    frame = log.frame(since="1d", status="ok")
    assert_contract(frame)
    assert len(frame) == 0
    assert log.read() == []
    assert not log.path.exists()  # type: ignore[union-attr]


def test_log_and_folder_are_made_for_their_owner_only(tmp_path: Path) -> None:
    """A new file is 0600 in new folders of 0700, whatever the umask; folders that were there are left alone."""
    tmp_path.chmod(0o755)
    before = os.umask(0)
    try:
        log = RunLog(tmp_path / "new" / "deep" / "runs.jsonl")
        log.append(Run())
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (log.path, log.path.parent, log.path.parents[1], tmp_path)]  # type: ignore[union-attr]
    assert modes == [0o600, 0o700, 0o700, 0o755]


def test_later_facts_win(log: RunLog) -> None:
    """Updates add to and correct a run, the newest known value wins, None tells nothing, and others are untouched."""
    first, second = full_run(), replace(full_run(), run_id="run-2", rating=None, cost_usd=None)
    log.append(first)
    log.append(second)
    log.update("run-2", cost_usd=0.5, rating="bad")
    log.update("run-1", tags={"c": 1}, fallbacks=["x/y"], status=None)
    log.update("run-2", rating="good", cost_usd=None)
    log.update("nobody", rating="bad")
    log.update("run-1", status=None)
    third = replace(full_run(), run_id="run-3")
    log.append(third)

    first.tags, first.fallbacks = {**first.tags, "c": 1}, ["x/y"]
    second.cost_usd, second.rating = 0.5, "good"
    assert_frame_equal(log.frame(), to_frame([first, second, third]))
    assert log.read() == [replace(run, raw=None) for run in (first, second, third)]
    assert log.path.read_bytes().count(b"\n") == 7  # type: ignore[union-attr]


def test_a_run_recorded_twice_is_one_row(log: RunLog) -> None:
    """Two logs put together do not double a run: the later line wins, in the place of the first."""
    log.append(replace(full_run(), cost_usd=1.0))
    log.append(Run(run_id="other"))
    log.append(replace(full_run(), cost_usd=2.0, rating=None))
    frame = log.frame()
    assert list(frame["run_id"]) == ["run-1", "other"]
    assert frame["cost_usd"][0] == 2.0
    assert frame["rating"][0] == "good"


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"cost": 1.0}, r"no column 'cost' that can be updated. Did you mean 'cost_usd'\?"),
        ({"run_id": "other"}, "no column 'run_id' that can be updated"),
        ({"cost_usd": "cheap"}, "cost_usd='cheap' does not fit its column, which is Float64"),
        ({"chunks": 1.5}, "chunks=1.5 does not fit its column, which is Int64"),
        ({"tags": "too long"}, "tags takes a dict, not 'too long'"),
        ({"fallbacks": {"a": 1}}, "fallbacks takes a list, not"),
        ({"rating": {"a": 1}}, "rating={'a': 1} does not fit its column, which is string"),
    ],
)
def test_an_update_takes_columns_only(log: RunLog, facts: dict[str, Any], message: str) -> None:
    """A wrong name or value is told before anything is written."""
    with pytest.raises(ConfigurationError, match=message):
        log.update("run-1", **facts)
    with pytest.raises(ConfigurationError, match="run_id must be the id"):
        log.update("", rating="good")
    assert not log.path.exists()  # type: ignore[union-attr]


@pytest.mark.parametrize("odd", [5, None, "kept.jsonl", {"run_id": "1"}, [Run()]])
@pytest.mark.parametrize("redact", [None, lambda text, what: text])
def test_a_log_takes_runs_only(tmp_path: Path, odd: Any, redact: Any) -> None:
    """One clear error that names what was given, and no file; also of a log that is switched off."""
    for log in (RunLog(tmp_path / "new.jsonl", redact=redact), RunLog("off", redact=redact)):
        with pytest.raises(
            ConfigurationError, match=f"takes a finished run, not an? {type(odd).__name__}.* one by one"
        ):
            log.append(odd)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, "abcd"),
        ({"since": "1w"}, "abcd"),
        ({"since": "25h"}, "cd"),
        ({"since": "36h", "until": "12h"}, "c"),
        ({"since": "90m"}, "d"),
        ({"since": "3600s"}, "d"),
        ({"since": "1.5d"}, "cd"),
        ({"since": timedelta(days=2, hours=1)}, "bcd"),
        ({"since": NOW - timedelta(days=1, minutes=5)}, "cd"),  # inclusive
        ({"until": NOW - timedelta(days=1, minutes=5)}, "ab"),  # exclusive
        ({"since": (NOW - timedelta(hours=1)).isoformat()}, "d"),
        ({"since": (NOW - timedelta(hours=1)).replace(tzinfo=None)}, "d"),  # no zone: UTC
        ({"since": pd.Timestamp(NOW - timedelta(hours=30))}, "cd"),
        ({"since": pd.Timestamp("2020-01-01 00:00:00.000000001")}, "abcd"),
        ({"since": "2020-01-01", "until": "2021-01-01"}, ""),
        ({"since": date(2020, 1, 1), "until": date(2021, 1, 1)}, ""),
        ({"since": np.datetime64("2020-01-01", "ns")}, "abcd"),
        ({"since": np.datetime64((NOW - timedelta(hours=30)).replace(tzinfo=None), "s")}, "cd"),
        ({"since": np.timedelta64(36, "h"), "until": pd.Timedelta("12h")}, "c"),
        ({"deployment": "azure/fast"}, "ad"),
        ({"deployment": ["azure/large", "openrouter/meta/llama"]}, "bc"),
        ({"deployment": "openai/served"}, ""),
        ({"deployment": []}, ""),
        ({"status": []}, ""),
        ({"prompt_id": set(), "deployment": "azure/fast"}, ""),
        ({"run_id": ()}, ""),
        ({"run_id": pd.Series([], dtype="string")}, ""),
        ({"deployment": iter([]), "status": "ok"}, ""),
        ({"status": "ok"}, "ac"),
        ({"status": ("ok", "error")}, "abc"),
        ({"comparison_id": "x"}, "ab"),
        ({"prompt_id": ["p"], "comparison_id": "y"}, "c"),
        ({"run_id": {"a", "d"}}, "ad"),
        ({"tags": {"team": 1}}, "bd"),
        ({"tags": {"team": 1, "note": "é"}}, "bd"),
        ({"tags": {"missing": None}}, ""),
        ({"tags": {}}, "abcd"),
        ({"limit": 2}, "cd"),
        ({"limit": 0}, ""),
        ({"status": "ok", "limit": 1}, "c"),
    ],
)
def test_filters(days: RunLog, filters: dict[str, Any], expected: str) -> None:
    """Each filter keeps the runs it names; frame and read agree."""
    frame = days.frame(**filters)
    assert_contract(frame)
    assert ids(frame) == expected
    assert "".join(run.run_id for run in days.read(**filters)) == expected


def test_a_note_keeps_the_tags(log: RunLog) -> None:
    """What is tagged later comes beside what was tagged before, tag by tag, however often and in whatever order."""
    for name in "abc":
        log.append(Run(run_id=name, status="ok", tags={"cell": f"cell of {name}", "n": 1} if name != "c" else {}))
    log.update("b", tags={"note": "good"})
    log.update("b", tags={"n": 2})
    log.update("c", tags={"note": "late"}, rating="up")
    expected = {
        "a": {"cell": "cell of a", "n": 1},
        "b": {"cell": "cell of b", "n": 2, "note": "good"},
        "c": {"note": "late"},
    }
    assert {run.run_id: run.tags for run in log.read()} == expected
    assert len(log.frame(tags={"cell": "cell of b", "note": "good"})) == 1


def test_filters_see_later_facts(days: RunLog) -> None:
    """A run is found by what is known of it now."""
    days.update("a", status="error", tags={"team": 7})
    assert ids(days.frame(status="error")) == "ab"
    assert ids(days.frame(tags={"team": 7})) == "a"


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"since": "yesterday"}, r"since='yesterday' is no time. Write an age such as '30m'"),
        ({"since": "1y"}, "since='1y' is no time"),
        ({"since": "-1d"}, "since='-1d' is no time"),
        ({"until": "99999999w"}, "is no time"),
        ({"since": 5}, "since=5 is no time"),
        ({"since": pd.NaT}, "since=NaT is no time"),
        ({"since": np.datetime64("NaT", "ns")}, "is no time"),
        ({"since": "1h", "until": "2h"}, "is not before until"),
        ({"deployment": "fast"}, "deployment='fast' is not written provider/model"),
        ({"deployment": "azure/"}, "is not written provider/model"),
        ({"deployment": 5}, "deployment takes text or several texts, not int"),
        ({"status": "okay"}, r"no status 'okay'. Did you mean 'ok'\?"),
        ({"tags": "team"}, "tags takes a dict"),
        ({"limit": -1}, "limit takes a number of runs, not -1"),
        ({"limit": True}, "limit takes a number of runs, not True"),
        ({"deployments": "azure/fast"}, r"no filter 'deployments'. Did you mean 'deployment'\?"),
    ],
)
def test_a_wrong_filter_is_told(log: RunLog, filters: dict[str, Any], message: str) -> None:
    """Nonsense is one clear error that names the filter, never an empty frame."""
    for method in (log.frame, log.read):
        with pytest.raises(ConfigurationError, match=message):
            method(**filters)


def test_tooltips_name_the_filters() -> None:
    """A person who types runs( sees every filter."""
    names = list(inspect.signature(runs).parameters)
    assert names[:4] == ["to", "since", "until", "deployment"]
    assert list(inspect.signature(RunLog.export).parameters)[:3] == ["self", "path", "since"]


def test_parquet_gives_the_same_frame(log: RunLog, tmp_path: Path) -> None:
    """pandas reads the export back with the same values, columns, order and dtypes."""
    log.append(full_run())
    log.append(Run(response="", is_fallback=False, chunks=0))
    target = log.export(tmp_path / "new" / "runs.parquet")
    with pd.option_context("mode.string_storage", "pyarrow"):  # else pandas 2 reads strings into Python objects
        frame = pd.read_parquet(target)
    assert_frame_equal(frame, log.frame())
    assert_frame_equal(frame_from_arrow(pq.read_table(target)), log.frame())
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert list(target.parent.iterdir()) == [target]


def test_an_empty_log_exports(log: RunLog, tmp_path: Path) -> None:
    """No run yet: the file has the columns and no row."""
    assert_contract(pd.read_parquet(log.export(tmp_path / "a.parquet")))
    assert (log.export(tmp_path / "a.csv")).read_text().count("\n") == 1
    assert log.export(tmp_path / "a.jsonl").read_bytes() == b""


def test_jsonl_export_is_a_log_of_merged_runs(log: RunLog, tmp_path: Path) -> None:
    """The export has one line per run with the newest facts, and opens as a run log."""
    log.append(full_run())
    log.update("run-1", rating="bad")
    target = log.export(tmp_path / "runs.jsonl.JSONL")
    assert orjson.loads(target.read_bytes()).keys() == {"schema", *NAMES}
    assert_frame_equal(RunLog(target).frame(), log.frame())


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " \n=1", "＝1"])
def test_csv_cells_are_no_formulas(log: RunLog, tmp_path: Path, text: str) -> None:
    """Text from a model that a spreadsheet would run gets an apostrophe in front; numbers and other text stay."""
    log.append(Run(response=text, prompt="a=b -c", gap_max_ms=-1.5, started_at=STARTED))
    with log.export(tmp_path / "runs.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["response"] == "'" + text
    assert row["prompt"] == "a=b -c"
    assert row["gap_max_ms"] == "-1.5"
    assert row["started_at"] == "2026-03-04T05:06:07.890123+00:00"
    assert row["cost_usd"] == ""
    assert tuple(row) == NAMES


def test_an_export_takes_filters(days: RunLog, tmp_path: Path) -> None:
    """Only the runs asked for are written."""
    assert ids(pd.read_parquet(days.export(tmp_path / "a.parquet", deployment="azure/fast"))) == "ad"


def test_a_failed_export_leaves_what_was_there(log: RunLog, tmp_path: Path) -> None:
    """A wrong suffix, the log itself as target or a place that cannot be written destroys nothing."""
    log.append(Run())
    with pytest.raises(ConfigurationError, match=r"'.xlsx'. Use .parquet, .csv, .jsonl"):
        log.export(tmp_path / "runs.xlsx")
    (tmp_path / "link.jsonl").symlink_to(log.path)  # type: ignore[arg-type]
    for itself in (log.path, tmp_path / "link.jsonl"):
        with pytest.raises(ConfigurationError, match="is the run log itself"):
            log.export(itself)  # type: ignore[arg-type]
    with pytest.raises(LogError, match=r"a.csv cannot be written: File exists. Export to another place"):
        log.export(log.path / "a.csv")  # type: ignore[operator]
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(LogError, match=r"folder.csv cannot be written"):
        log.export(tmp_path / "folder.csv")
    assert len(log.frame()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.csv", "link.jsonl", "runs.jsonl"]


def test_a_log_that_is_off_records_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """BIFROST_RUN_LOG=off: every call works, nothing is written, and an export says why it cannot."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BIFROST_RUN_LOG", "off")
    log = run_log()
    assert log.off
    assert log.path is None
    log.append(full_run())
    log.update("run-1", rating="good")
    assert log.read() == []
    assert_contract(runs())
    with pytest.raises(LogError, match="off: there is nothing to export"):
        log.export("a.csv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("off", [None, "off", "OFF", " off "])
def test_off_is_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, off: str | None) -> None:
    """The word that switches the log off in the environment does so here, and writes no file of that name."""
    monkeypatch.chdir(tmp_path)
    log = RunLog(off)
    assert log.off
    log.append(full_run())
    assert list(tmp_path.iterdir()) == []
    assert RunLog("./off").path == tmp_path / "off"
    assert RunLog(Path("off")).path == tmp_path / "off"


def test_the_default_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One log per path: from the environment, fixed when first used, else in the user's data folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BIFROST_RUN_LOG", "own.jsonl")
    log = run_log()
    assert run_log() is log
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    log.append(Run(run_id="a"))
    assert log.path == tmp_path / "own.jsonl"
    assert log.path.exists()
    monkeypatch.chdir(tmp_path)
    assert ids(runs()) == "a"

    monkeypatch.delenv("BIFROST_RUN_LOG")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    default = run_log()
    assert default.path is not None
    assert default.path.name == "runs.jsonl"
    assert default.path.parent.name == "bifrost-nb"
    if sys.platform == "linux":
        assert default.path == tmp_path / "data" / "bifrost-nb" / "runs.jsonl"
    monkeypatch.setenv("BIFROST_RUN_LOG", " ")
    assert run_log() is default, "blank is not set"


@pytest.mark.parametrize("path", ["", "a\0b", 5])
def test_a_path_that_cannot_be_one_is_told(path: Any) -> None:
    """An empty path, one with a NUL, and what is none, are refused where they are given."""
    with pytest.raises(ConfigurationError, match="run log's path must be the path of a file"):
        RunLog(path)  # type: ignore[arg-type]


def test_old_logs_load() -> None:
    """A log from before the schema had a number: what it lacks is NA, what is not ours is left out."""
    log = RunLog(OLD)
    frame = log.frame()
    assert_contract(frame)
    assert list(frame["run_id"]) == ["old-1", "old-2"]
    assert list(frame["rating"].fillna("-")) == ["-", "bad"]
    assert frame["cost_usd"][0] == 0.25
    assert frame["started_at"][1] == pd.Timestamp("2025-01-02T01:04:06.5Z")
    assert frame["gateway_version"].isna().all()
    first, second = log.read()
    assert first.response == "written before there was a schema number"
    assert second.attempts[0].request_id == "r"
    assert second.texts == []
    assert first.request_type is None
    assert_frame_equal(to_frame([first, second]), frame)


def test_skipped_lines_are_reported_once(log: RunLog) -> None:
    """Damaged lines and those of a newer version are skipped and told with their numbers, once, never an error."""
    log.append(Run(run_id="a"))
    assert log.path is not None
    with log.path.open("ab") as file:
        file.write(b'no\n\n{"schema":2,"run_id":"new"}\n{"schema":1}\n{"run_id":"cut')
    with pytest.warns(LogWarning) as caught:
        assert ids(log.frame()) == "a"
    message = str(caught[0].message)
    assert str(log.path) in message
    assert "2 cut off or damaged (line 2, 6)" in message
    assert "1 written by a newer bifrost-nb (line 4)" in message
    assert "1 without a run_id (line 5)" in message
    assert caught[0].filename == __file__
    log.append(Run(run_id="b"))
    assert ids(log.frame()) == "ab"  # a second warning would be an error here
    with log.path.open("ab") as file:
        file.write(b"no\n")
    with pytest.warns(LogWarning, match=r"3 cut off or damaged \(line 2, 6, 8\)"):
        assert [run.run_id for run in log.read()] == ["a", "b"]


def test_import_stays_light(tmp_path: Path) -> None:
    """The log is written without loading pandas, numpy or pyarrow."""
    import subprocess

    code = (
        "import sys, bifrost_nb._runs.log.log as log, bifrost_nb._runs.run as run\n"
        f"log.RunLog({str(tmp_path / 'x')!r}).append(run.Run())\n"
        "print([name for name in ('pandas', 'numpy', 'pyarrow') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize("secret", ["response", "chat_completion", 'a"quoted\\key', "schlüssel-größer"])
def test_a_key_is_hidden_in_values_alone(log: RunLog, secret: str) -> None:
    """A key that is a word of the line, or that JSON writes another way, is hidden and costs nothing else."""
    run = Run(request_type="chat_completion", status="ok", response="It was fine.", tags={"note": f"my {secret}"})
    run.tool_calls = [{"function": {"name": "f", "arguments": secret}}]
    log.append(run, secrets=[secret])
    (found,) = log.read()
    assert (found.run_id, found.request_type, found.response) == (run.run_id, "chat_completion", "It was fine.")
    assert found.tags == {"note": "my [hidden]"}
    assert found.tool_calls[0]["function"]["arguments"] == "[hidden]"
    assert run.tags == {"note": f"my {secret}"}
