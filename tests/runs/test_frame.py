"""The frame: contract columns, order and dtypes, whatever the runs hold."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from typing import Any

import pandas as pd
import pytest

from bifrost_nb import ConfigurationError
from bifrost_nb._runs.columns import COLUMNS, NAMES
from bifrost_nb._runs.frame import frame_from_arrow, table_of, to_frame
from bifrost_nb._runs.run import Run

from .samples import EXPECTED, full_run

CONTRACT = {
    "string": """run_id request_id comparison_id prompt_id request_type requested_provider requested_model fallbacks
        provider model model_deployment status finish_reason error_type error_code error_message cost_source
        cache_hit_type prompt response tool_calls params tags rating gateway_version""",
    "datetime64[us, UTC]": "started_at",
    "Int64": """repeat fallback_index http_status prompt_tokens completion_tokens total_tokens cached_tokens
        cache_write_tokens reasoning_tokens chunks""",
    "boolean": "is_fallback cache_hit",
    "Float64": """input_cost_usd output_cost_usd cost_usd queue_ms ttft_ms total_ms latency_ms gap_p50_ms gap_max_ms
        tokens_per_s cache_similarity""",
}


def assert_contract(frame: pd.DataFrame) -> None:
    """Columns, their order and dtypes are the contract's."""
    assert tuple(frame.columns) == NAMES
    for dtype, names in CONTRACT.items():
        for name in names.split():
            assert str(frame[name].dtype) == dtype, name
    assert isinstance(frame.index, pd.RangeIndex)


def test_each_column_shows_its_own_field() -> None:
    """In a run whose fields all differ, each column holds exactly the expected value."""
    assert tuple(EXPECTED) == NAMES
    row = to_frame([full_run()]).iloc[0].to_dict()
    assert row == EXPECTED
    texts = [str(value) for value in EXPECTED.values()]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("count", [0, 1, 20_000])
def test_columns_order_and_dtypes_hold_for_any_number_of_runs(count: int) -> None:
    """No run, one run and twenty thousand have the same columns, order and dtypes."""
    frame = to_frame(Run(run_id=str(number)) for number in range(count))
    assert_contract(frame)
    assert len(frame) == count
    assert frame["run_id"].nunique() == count


def test_text_columns_are_of_one_dtype_whatever_pandas() -> None:
    """Texts are in Arrow's storage with pandas.NA under every pandas and every pandas option."""
    with pd.option_context("mode.string_storage", "python"):
        frame = to_frame([Run()])
    for name in CONTRACT["string"].split():
        assert frame[name].dtype == pd.StringDtype("pyarrow")
        assert frame[name].dtype.na_value is pd.NA


def test_unknown_is_na_and_never_zero() -> None:
    """A run of which nothing is known has NA in every column but its id, start and type."""
    frame = to_frame([Run()])
    known = frame.notna().all()
    assert set(known[known].index) == {"run_id", "started_at", "request_type"}
    assert all(frame[name][0] is pd.NA for name in known[~known].index)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("cost_usd", math.nan),
        ("cost_usd", math.inf),
        ("cost_usd", "0.5"),
        ("cost_usd", True),
        ("cost_usd", 10**400),
        ("chunks", 1.5),
        ("chunks", 2**63),
        ("chunks", True),
        ("chunks", "1"),
        ("cache_hit", 1),
        ("cache_hit", "yes"),
        ("response", b"bytes"),
        ("response", 5),
        ("response", ["a"]),
        ("started_at", "yesterday"),
        ("started_at", 5),
        ("started_at", datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))),
    ],
)
def test_a_value_of_the_wrong_type_is_na_in_its_cell_only(name: str, wrong: Any) -> None:
    """One wrong value neither fails the frame, nor changes a dtype, nor touches its neighbours."""
    run = full_run()
    setattr(run, name, wrong)
    frame = to_frame([full_run(), run])
    assert_contract(frame)
    assert frame[name][1] is pd.NA or frame[name][1] is pd.NaT
    assert frame[name][0] == EXPECTED[name]
    assert frame.drop(columns=name).iloc[1].to_dict() == {k: v for k, v in EXPECTED.items() if k != name}


@pytest.mark.parametrize("odd", ["x", {"run_id": "1"}, None])
def test_what_is_no_run_makes_no_row(odd: Any) -> None:
    """It became a row of NA."""
    with pytest.raises(ConfigurationError, match=r"not (str|dict|NoneType)\."):
        to_frame([Run(), odd])


def test_whole_floats_and_integers_fit_each_others_columns() -> None:
    """40.0 chunks are 40, and a cost of 1 dollar is 1.0: neither is thrown away."""
    frame = to_frame([Run(chunks=40.0, cost_usd=1)])  # type: ignore[arg-type]
    assert frame["chunks"][0] == 40
    assert frame["cost_usd"][0] == 1.0


def test_text_that_is_not_unicode_is_kept_with_replacements() -> None:
    """Surrogate pairs are joined and lone surrogates replaced, in texts and in JSON columns."""
    frame = to_frame([Run(response="a\ud800b\ud83d\ude00", params={"stop": "\udc00"}, tags={1: {2}})])
    assert frame["response"][0] == "a\ufffdb\U0001f600"
    assert frame["params"][0] == '{"stop":"\ufffd"}'
    assert frame["tags"][0] == '{"1":[2]}'


def test_a_table_with_missing_and_foreign_columns_still_makes_the_frame() -> None:
    """What an older export lacks is NA; what is not ours is left out."""
    table = table_of([full_run()]).drop_columns(["rating"])
    frame = frame_from_arrow(table.append_column("foreign", table["run_id"]))
    assert_contract(frame)
    assert frame["rating"][0] is pd.NA
    assert frame["run_id"][0] == "run-1"


def test_the_frame_is_the_users_own() -> None:
    """Cells can be set, and the runs stay as they were."""
    run = full_run()
    frame = to_frame([run, run])
    frame.loc[0, ["rating", "cost_usd", "chunks", "cache_hit"]] = ["bad", 5.0, 6, True]
    assert list(frame["rating"]) == ["bad", "good"]
    assert list(frame["cost_usd"]) == [5.0, 1e-9]
    assert run.rating == "good"
    assert len(COLUMNS) == frame.shape[1]


def test_cells_can_be_changed() -> None:
    """A frame is the user's: every column takes an assignment."""
    frame = to_frame([Run(run_id="a", total_ms=1.0), Run(run_id="b")])
    for name in frame.columns:
        frame.loc[0, name] = frame.loc[1, name]
    assert frame.loc[0, "run_id"] == "b"
    assert frame["total_ms"].isna().all()


@pytest.mark.parametrize("wrong", [Run(run_id="a"), None, 5, "ab", [to_frame([])]])
def test_what_is_no_list_of_runs_is_told(wrong: Any) -> None:
    """A single run, as often passed as a list of one, ended in a TypeError of Python's."""
    with pytest.raises(ConfigurationError, match="A frame of runs is made of"):
        to_frame(wrong)
