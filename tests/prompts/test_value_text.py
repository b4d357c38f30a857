"""What a variable becomes in a prompt: whole, as the person sees it, or refused by name."""

from __future__ import annotations

import dataclasses
import functools
import io
import operator
import re
import threading
import types
from array import array
from collections import UserList, UserString, deque
from concurrent.futures import Future
from datetime import date
from decimal import Decimal
from typing import Any

import duckdb
import ipywidgets
import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pydantic
import pytest
import scipy.sparse
from matplotlib.figure import Figure

from bifrost_nb import ConfigurationError
from bifrost_nb._prompts.inputs import rows_of
from bifrost_nb._prompts.template import render
from bifrost_nb._prompts.value_text import Fault, as_text
from bifrost_nb.errors import TemplateError


def text_of(value: Any) -> str:
    return render("{{x}}", {"x": value})


NUMBERS = "[" + ", ".join(map(str, range(1500))) + "]"


@pytest.mark.parametrize(
    "value",
    [
        np.arange(1500), pd.Index(range(1500)), pd.array(range(1500), dtype="Int64"), pa.array(range(1500)),
        pa.chunked_array([range(1000), range(1000, 1500)]), array("i", range(1500)), deque(range(1500)),
        UserList(range(1500)), dict.fromkeys(range(1500)).keys(), pd.Series(range(1500)).unique(),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_a_long_array_is_its_list(value: Any) -> None:
    """Every element goes in, written as a list of Python would be, alone and inside of something else."""
    assert text_of(value) == NUMBERS
    assert text_of({"ids": [value]}) == f'{{"ids": [{NUMBERS}]}}'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.array([0.1, 0.2], dtype="float32"), "[0.1, 0.2]"),
        ([np.int64(3), np.float32(0.1), np.bool_(True), np.str_("x")], '[3, 0.1, true, "x"]'),
        ({"n": np.uint64(2**64 - 1)}, '{"n": 18446744073709551615}'),
        ({np.int64(3): "a", date(2026, 1, 2): "b"}, '{"3": "a", "2026-01-02": "b"}'),
        (np.array([["a", "b"], ["c", "d"]]), '[["a", "b"], ["c", "d"]]'),
        (np.array(["2026-01-02T03:04"], dtype="datetime64[ns]"), '["2026-01-02 03:04:00"]'),
        ([pd.Timestamp("2026-01-02 03:04")], '["2026-01-02 03:04:00"]'),
        (np.array(["2026-01-02"], dtype="datetime64[D]"), '["2026-01-02"]'),
        (np.array(3), "3"),
        (np.array([b"a"]), '["a"]'),
        (np.array([{"a": np.arange(2)}, None], dtype=object), '[{"a": [0, 1]}, null]'),
        (pd.Categorical(["b", "a"]), '["b", "a"]'),
        (pd.MultiIndex.from_tuples([("a", 1)]), '[["a", 1]]'),
        (pa.scalar(5), "5"),
        (pa.table({"a": [1, None]}), '[{"a": 1}, {"a": null}]'),
        ([UserString("hi")], '["hi"]'),
        (bytearray(b"text"), "text"),
        (range(3), "[0, 1, 2]"),
        ({"rows": [range(0)]}, '{"rows": [[]]}'),
    ],
    ids=repr,
)
def test_scalars_of_any_library_are_what_they_show(value: Any, text: str) -> None:
    """Numbers stay numbers inside of lists and mappings, times are dates, no digit is added and none lost."""
    assert text_of(value) == text


def test_a_list_column_survives_parquet() -> None:
    """Written to Parquet and read again a column of lists holds arrays; the prompts are the same."""
    frame = pd.DataFrame({"x": [["a b", "c"], ["d"]], "t": [[pd.Timestamp("2026-01-02")], []]})
    kept = io.BytesIO()
    frame.to_parquet(kept)
    again = pd.read_parquet(kept)
    for column in frame:
        assert [text_of(value) for value in frame[column]] == [text_of(value) for value in again[column]]


def test_cells_of_frames_are_not_cut() -> None:
    """Long words, long lists and many digits in the cells of a DataFrame or Series go in whole."""
    frame = pd.DataFrame({"a": ["x" * 300, "y"], "b": [list(range(300)), np.arange(1200)], "c": [0.123456789123, 2.0]})
    for text in (text_of(frame), *(text_of(frame[column]) for column in frame)):
        assert "..." not in text
    assert "x" * 300 in text_of(frame["a"])
    assert "1199" in text_of(frame)
    assert "0.123456789123" in text_of(frame)


def test_a_polars_frame_is_whole() -> None:
    """polars prints ten rows and 32 signs of a cell; all go in, and its Series is a list."""
    text = text_of(polars.DataFrame({"n": range(100), "s": ["x" * 100] * 100, "f": [0.123456789] * 100}))
    assert "…" not in text
    assert "│ 50 " in text
    assert "0.123456789" in text
    assert text_of(polars.Series(range(1500))) == NUMBERS


def test_a_relation_of_duckdb_is_whole() -> None:
    """A query's result goes in with all of its rows, where its own text leaves some out."""
    assert text_of(duckdb.sql("select range as n from range(50)")).count('{"n": ') == 50


@dataclasses.dataclass
class Holder:
    """A person's own record."""

    held: Any


class Model(pydantic.BaseModel):
    """A pydantic model of anything."""

    model_config = {"arbitrary_types_allowed": True}
    held: Any


@pytest.mark.parametrize(
    "kind", [Holder, Model, lambda held: types.SimpleNamespace(held=held)], ids=["data", "model", "ns"]
)
@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        (np.arange(1500), "700"), (pd.Series(range(100)), "50"), (pd.DataFrame({"n": range(100)}), "50"),
        (polars.Series(range(100)), "50"), (np.array([0.123456789123]), "0.123456789123"),
        (pd.DataFrame({"n": [0.123456789123]}), "0.123456789123"),
    ],
    ids=["array", "Series", "frame", "polars", "digits", "digits of a frame"],
)  # fmt: skip
def test_what_an_object_holds_is_whole(kind: Any, held: Any, wanted: str) -> None:
    """An array inside of a dataclass, model or namespace loses no element and no digit; options are as before."""
    before = np.get_printoptions(), pd.get_option("display.max_rows")
    text = text_of(kind(held=held))
    assert wanted in text
    assert "..." not in text
    assert "…" not in text
    assert before == (np.get_printoptions(), pd.get_option("display.max_rows"))


@pytest.mark.parametrize(
    "value",
    [
        Holder(held=threading.Lock()),
        Model(held=[object()]),
        types.SimpleNamespace(a={"b": memoryview(b"x")}),
    ],
    ids=["data", "model", "ns"],
)
def test_an_address_inside_is_refused(value: Any) -> None:
    """A record whose text holds the address of one of its parts is no text; an error's own words are."""
    with pytest.raises(TemplateError, match=f"{type(value).__name__} that holds something without a text"):
        text_of(value)
    assert text_of(ValueError("<Foo object at 0x7f00> failed")) == "<Foo object at 0x7f00> failed"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (pydantic.SecretStr("sesame"), "get_secret_value"), ([pydantic.SecretBytes(b"sesame")], "get_secret_value"),
        (polars.col("a"), "no values yet"), (polars.LazyFrame({"a": [1]}), "collect"), (np.ma.masked, "is NA"),
        (Decimal("sNaN"), "is NA"), ([Decimal("sNaN")], "NaN"), ({float("nan"): 1}, "as a key"), (10**5000, "digits"),
        (..., "ellipsis"), (np.ma.array([1, 2], mask=[0, 1]), "masked"), ({"a": np.ma.masked_all(2)}, "masked"),
        (Figure(), "images="), ([Figure().subplots()], "images="), (ipywidgets.IntSlider(), r"\.value"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_hides_or_lacks_its_value_is_refused(value: Any, said: str) -> None:
    """Asterisks, expressions and missing values are never sent in place of what was meant."""
    with pytest.raises(TemplateError, match=said) as failed:
        text_of(value)
    assert "sesame" not in str(failed.value)


SHORT = [
    polars.Series([0.1], dtype=polars.Float32), pa.array([0.1], pa.float32()), pd.Series([0.1], dtype="Float32").array,
    pa.array(np.array([0.1], dtype="float16")), pa.array([0.1], pa.float32()).dictionary_encode(),
]  # fmt: skip


@pytest.mark.parametrize("value", SHORT, ids=lambda value: f"{type(value).__module__}.{type(value).__name__}")
def test_short_floats_gain_no_digits(value: Any) -> None:
    """0.1 of 32 bits is 0.1 in every library, also inside of structs, lists and tables."""
    assert text_of(value) == "[0.1]"


def test_short_floats_inside_of_others() -> None:
    """Structs, lists, maps, tables and frames of them as well."""
    struct = pa.struct([("a", pa.list_(pa.float32()))])
    assert text_of(pa.scalar({"a": [0.1]}, struct)) == '{"a": [0.1]}'
    assert text_of(pa.array([[("k", 0.1)]], pa.map_(pa.string(), pa.float32()))) == '[[["k", 0.1]]]'
    assert text_of(pa.table({"a": pa.array([0.1, None], pa.float32())})) == '[{"a": 0.1}, {"a": null}]'
    assert text_of([polars.DataFrame({"a": polars.Series([0.1], dtype=polars.Float32)})]) == '[[{"a": 0.1}]]'
    assert text_of(polars.Series([[0.1]], dtype=polars.List(polars.Float32))) == "[[0.1]]"
    assert text_of(duckdb.sql("select 0.1::float as a")) == '[{"a": 0.1}]'


@pytest.mark.parametrize(
    "inputs",
    [
        pd.DataFrame({"a": np.array([0.1], dtype="float32")}), pd.DataFrame({"a": pd.array([0.1], dtype="Float32")}),
        pd.DataFrame({"a": pd.array([0.1], dtype="float[pyarrow]")}), {"a": SHORT[0]}, {"a": SHORT[1]},
        polars.DataFrame({"a": SHORT[0]}), pa.table({"a": SHORT[1]}), {"a": np.array([0.1], dtype="float32")},
        duckdb.sql("select 0.1::float as a"), pd.DataFrame({"a": np.array([0.1], dtype="float16")}),
    ],
    ids=lambda inputs: type(inputs).__name__,
)  # fmt: skip
def test_short_floats_of_inputs(inputs: Any) -> None:
    """A column of 32-bit numbers makes the prompts that the frame shows, whatever library holds it."""
    [row] = rows_of(inputs)
    assert text_of(row["a"]) == "0.1"


def test_data_sets_and_patterns_are_whole() -> None:
    """What lists itself is its rows, where its repr is a summary; a long pattern is not cut."""

    class DataSet:
        """As Hugging Face's or awkward's."""

        def __repr__(self) -> str:
            return "Dataset({num_rows: 2})"

        def to_list(self) -> list[Any]:
            return [{"a": 1}, {"a": 2}]

    assert text_of(DataSet()) == '[{"a": 1}, {"a": 2}]'
    assert text_of(re.compile("x" * 300)) == "x" * 300


async def _coroutine() -> None:
    """Never awaited."""


def _refused() -> dict[str, Any]:
    frame = pd.DataFrame({"a": [1]})
    later = _coroutine()
    later.close()
    return {
        "generator": (n for n in [1]), "map": map(str, [1]), "file": io.StringIO("text"), "list_iterator": iter([1]),
        "lock": threading.Lock(), "Event": threading.Event(), "memoryview": memoryview(b"text"), "coroutine": later,
        "Future": Future(), "DataFrameGroupBy": frame.groupby("a"),
        "Rolling": frame["a"].rolling(1), "csr_matrix": scipy.sparse.csr_matrix(np.eye(2)), "object": object(),
        "NA": pd.NaT, "no UTF-8": b"\xff\xfe", "as a key": {(1, 2): 3}, "JSON": _endless(),
    }  # fmt: skip


def _endless() -> list[Any]:
    endless: list[Any] = []
    endless.append(endless)
    return endless


@pytest.mark.parametrize("name", list(_refused()))
def test_what_is_no_text_is_refused_by_name(name: str) -> None:
    """Neither an address nor half of a value is ever sent; the error names the placeholder and the kind of thing."""
    value = _refused()[name]
    for nested in (value, [value]):
        with pytest.raises(TemplateError, match=re.escape("{{x}} ")):
            text_of(nested)
    with pytest.raises(TemplateError, match=name if name != "file" else "StringIO"):
        text_of(value)


@pytest.mark.parametrize(
    "value",
    [
        [1, float("nan")],
        np.array([1, np.nan]),
        {"a": {"b": pd.NA}},
        [np.datetime64("NaT")],
        (pd.NaT,),
        pd.Series([1, np.nan]),
        pd.DataFrame({"a": ["x", "y"], "b": [pd.NaT, pd.Timestamp(0)]}),
        [pd.Series([pd.NA])],
        pd.DataFrame({"a": pd.array(["x", None], dtype="string")}),
        polars.DataFrame({"a": [1.0, float("nan")]}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_missing_value_inside_is_refused(value: Any) -> None:
    """NaN is no JSON, and nobody means the word; None inside a list stays null."""
    with pytest.raises(TemplateError, match="holds NaN or NA"):
        text_of(value)
    assert text_of([None]) == "[null]"
    assert "None" in text_of(pd.DataFrame({"a": pd.Series(["x", None], dtype=object)}))


def _frames() -> dict[str, Any]:
    columns = {"word": ["a", "b"], "n": [1, 2]}

    class DataSet:
        """As Hugging Face's: rows are chosen by an index that only its own conversion knows."""

        column_names = tuple(columns)

        def to_pandas(self) -> pd.DataFrame:
            return pd.DataFrame(columns)

    class Expression:
        """As ibis': a query that gives Arrow."""

        def to_arrow(self) -> pa.Table:
            return pa.table(columns)

    made = {"arrow": pa.table(columns), "batch": pa.record_batch(columns), "set": DataSet(), "query": Expression()}
    made["duckdb"] = duckdb.sql("select * from (values ('a', 1), ('b', 2)) t(word, n)")
    return {**made, "polars": polars.DataFrame(columns)}


def test_inputs_may_be_a_data_set_of_hugging_face() -> None:
    """A real one, whole, selected and streamed; one of several parts says which to pass."""
    datasets = pytest.importorskip("datasets", reason="Hugging Face's datasets are not installed")
    whole = datasets.Dataset.from_dict({"word": ["a", "b", "c"], "n": [1, 2, 3]})
    rows = [{"word": "a", "n": 1}, {"word": "b", "n": 2}, {"word": "c", "n": 3}]
    assert [dict(row) for row in rows_of(whole)] == rows
    assert [dict(row) for row in rows_of(whole.select([2, 0]))] == [rows[2], rows[0]]
    assert [dict(row) for row in rows_of(whole.to_iterable_dataset())] == rows
    with pytest.raises(ConfigurationError, match="train"):
        rows_of(datasets.DatasetDict({"train": whole}))


@pytest.mark.parametrize("name", list(_frames()))
def test_inputs_may_be_a_frame_of_any_library(name: str) -> None:
    """Rows of Arrow, polars, duckdb, data sets and queries are what pandas' would be."""
    assert [dict(row) for row in rows_of(_frames()[name])] == [{"word": "a", "n": 1}, {"word": "b", "n": 2}]


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"train": _frames()["set"], "test": _frames()["set"]}, "of its own"),
        ({"word": {"a", "b"}}, "no order"),
        (pa.array([1]), "list of dicts"),
        (pd.Series([1]), "no columns"),
        ({"word": {"a": 1}}, "list of values"),
        (iter([{"word": 1}]), "list of dicts"),
        ([{"\ufeffword": 1, "word": 2}], "byte-order mark"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_inputs_that_are_no_rows_are_told(inputs: Any, said: str) -> None:
    """One error before anything is sent, never a TypeError of another library or rows nobody meant."""
    with pytest.raises(ConfigurationError, match=said):
        rows_of(inputs)


@pytest.mark.parametrize("head", ["\ufeffword", '\ufeff"word"', "\xef\xbb\xbfword"])
def test_a_mark_at_the_head_of_a_csv_is_no_part_of_a_name(head: str) -> None:
    """Excel's byte-order mark, before quotes and read as Latin-1 too; other names keep their quotes."""
    for inputs in ([{head: "a", '"n"': 1}], {head: ["a"], '"n"': [1]}, pd.DataFrame({head: ["a"], '"n"': [1]})):
        assert [dict(row) for row in rows_of(inputs)] == [{"word": "a", '"n"': 1}]


@dataclasses.dataclass(slots=True)
class Reading:
    """A value with parts."""

    place: str
    value: Any
    hidden: float = dataclasses.field(default=float("nan"), repr=False)


class ReadingModel(pydantic.BaseModel):
    """The same by pydantic."""

    place: str
    value: Any


@pytest.mark.parametrize("made", [Reading, ReadingModel, lambda **parts: types.SimpleNamespace(**parts)])
@pytest.mark.parametrize(
    "inside", [float("nan"), pd.NA, [1.0, float("nan")], {"a": np.float32("nan")}, pa.scalar(None)]
)
def test_nan_in_a_field_is_refused(made: Any, inside: Any) -> None:
    """Wherever it stands; a field that the text does not show may hold it, and None is said as such."""
    with pytest.raises(Fault, match="holds NaN"):
        as_text(made(place="Kiel", value=inside))
    with pytest.raises(Fault, match="holds NaN"):
        as_text(made(place="Kiel", value=made(place="Brest", value=inside)))
    assert "Kiel" in as_text(made(place="Kiel", value="nan"))
    assert "None" in as_text(made(place="Kiel", value=None))


@pytest.mark.parametrize("kind", [pa.null(), pa.string(), pa.float64(), pa.list_(pa.int8())])
def test_a_null_of_arrow_is_no_text(kind: pa.DataType) -> None:
    """As None and NA are none."""
    with pytest.raises(Fault, match="is NA"):
        as_text(pa.scalar(None, kind))
    assert as_text(pa.scalar("x")) == "x"


class Callable:
    """An object with parts that can be called."""

    def __call__(self) -> None: ...

    def __repr__(self) -> str:
        return "Callable(3)"


@pytest.mark.parametrize(
    "value", [functools.partial(int), functools.partial(text_of), operator.itemgetter(1), Callable()]
)
def test_what_is_to_be_called_is_no_text(value: Any) -> None:
    """Somebody forgot the parentheses, as with a function."""
    with pytest.raises(Fault, match="to be called"):
        as_text(value)


@pytest.mark.parametrize("value", [{1: "a", "1": "b"}, [{None: 1, "null": 2}], {"a": {True: 1, "true": 2}}])
def test_keys_that_are_one_in_json(value: Any) -> None:
    """A reader of JSON would keep one of them."""
    with pytest.raises(Fault, match="two keys"):
        as_text(value)
