"""A log may come from anywhere: nothing in it runs, crashes or fails a read, and both readers agree on every row."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings, strategies as st

from bifrost_nb import BifrostError
from bifrost_nb._runs.columns import COLUMNS
from bifrost_nb._runs.log.blocks import Block
from bifrost_nb._runs.log.codec import encode
from bifrost_nb._runs.log.log import LogWarning, RunLog
from bifrost_nb._runs.log.reader import load, merge, parse_quickly, parse_tolerantly
from bifrost_nb._runs.run import Run
from tests.thorough import some_of

from .samples import full_run
from .test_frame import assert_contract

DEEP = 100_000

HOSTILE = {
    "huge integer": b'{"run_id":"x","chunks":' + b"9" * 5000 + b"}",
    "integer beyond 64 bits": b'{"run_id":"x","chunks":9223372036854775808}',
    "huge float": b'{"run_id":"x","cost_usd":1e400}',
    "NaN": b'{"run_id":"x","cost_usd":NaN}',
    "infinity": b'{"run_id":"x","cost_usd":-Infinity,"unknown":Infinity}',
    "text for a number": b'{"run_id":"x","chunks":"5","cost_usd":"__import__(\'os\')"}',
    "number for a text": b'{"run_id":"x","response":5,"params":1.5,"tags":[1]}',
    "object for a text": b'{"run_id":"x","response":{"a":[1,{"b":null}]}}',
    "number for a truth": b'{"run_id":"x","cache_hit":1,"is_fallback":"true"}',
    "deep nesting": b'{"run_id":"x","unknown":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep objects": b'{"run_id":"x","extra":' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
    "deep nesting for a text": b'{"run_id":"x","response":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "invalid UTF-8": b'{"run_id":"x","response":"a\xff\xc0\x80"}',
    "invalid UTF-8 elsewhere": b'{"run_id":"x","unknown\xff":"\xfe"}',
    "lone surrogate": b'{"run_id":"x","response":"\\ud800","prompt":"\\udc00\\ud800"}',
    "NUL": b'{"run_id":"x\\u0000","response":"\\u0000"}',
    "raw NUL": b'{"run_id":"x"}\0',
    "null first": b"null",
    "null between": b'{"run_id":"x"}null{"run_id":"y"}',
    "array": b"[]",
    "two objects": b'{"run_id":"x"}{"run_id":"y"}',
    "same key twice": b'{"run_id":"x","status":"ok","status":"error"}',
    "empty id": b'{"run_id":""}',
    "no id": b"{}",
    "null id": b'{"run_id":null}',
    "id of another type": b'{"run_id":["x"]}',
    "schema of another type": b'{"run_id":"x","schema":"1"}',
    "negative schema": b'{"run_id":"x","schema":-1}',
    "true schema": b'{"run_id":"x","schema":true}',
    "newer schema": b'{"run_id":"x","schema":99}',
    "update of another type": b'{"run_id":"x","update":"yes"}',
    "no time": b'{"run_id":"x","started_at":"yesterday"}',
    "time before all times": b'{"run_id":"x","started_at":"0000-01-01T00:00:00Z"}',
    "time after all times": b'{"run_id":"x","started_at":"9999-12-31T23:59:59-23:59"}',
    "first day in another zone": b'{"run_id":"x","started_at":"0001-01-01T00:00:00+14:00"}',
    "number for a time": b'{"run_id":"x","started_at":1700000000}',
    "byte order mark": b'\xef\xbb\xbf{"run_id":"x"}',
    "carriage return": b'{"run_id":"x"}\r',
    "blanks": b"  \t ",
    "comment": b'{"run_id":"x"} // comment',
    "extra of wrong shapes": b'{"run_id":"x","extra":{"texts":5,"attempts":[{"colour":1},5],"usage":[]}}',
    "extra of another type": b'{"run_id":"x","extra":"rm -rf"}',
    "JSON columns that are none": b'{"run_id":"x","params":"{","tags":"[]","fallbacks":"{\\"a\\":1}"}',
    "pickle": b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x8c\x06system\x93.",
    "spreadsheet": b'{"run_id":"=cmd|\' /C calc\'!A0"}',
}


@pytest.mark.filterwarnings("ignore::bifrost_nb._runs.log.log.LogWarning")
@pytest.mark.parametrize("line", some_of(HOSTILE.values()), ids=HOSTILE.keys())
def test_a_hostile_line_spoils_no_other(log: RunLog, line: bytes) -> None:
    """Wherever it stands, the line is skipped or has NA cells, and the good lines are whole."""
    good = encode(full_run())
    assert log.path is not None
    for content in (line, line + b"\n" + good, good + line + b"\n" + good.replace(b"run-1", b"run-2"), good + line):
        log.path.write_bytes(content)
        frame = log.frame()
        assert_contract(frame)
        for name in ("run-1", "run-2"):
            assert (name in set(frame["run_id"])) == (name.encode() in content)
        readers_agree(content)


def test_a_byte_order_mark_costs_no_run(log: RunLog) -> None:
    """An editor on Windows puts it at the head of a file, and ends lines in its own way."""
    for name in "ab":
        log.append(Run(run_id=name, status="ok", prompt=name))
    assert log.path is not None
    log.path.write_bytes(b"\xef\xbb\xbf" + log.path.read_bytes().replace(b"\n", b"\r\n"))
    log.append(Run(run_id="c", status="ok", prompt="c"))
    again = RunLog(log.path)
    assert list(again.frame()["run_id"]) == [run.run_id for run in again.read()] == ["a", "b", "c"]
    assert list(again.frame(limit=1)["run_id"]) == ["c"]


@pytest.mark.filterwarnings("ignore::bifrost_nb._runs.log.log.LogWarning")
def test_a_log_of_hostile_lines_works(log: RunLog, tmp_path: Path) -> None:
    """All of them in one log: it is read, filtered, exported and appended to."""
    assert log.path is not None
    log.path.write_bytes(b"\n".join(HOSTILE.values()))
    frame = log.frame()
    assert_contract(frame)
    assert [run.run_id for run in log.read()] == list(frame["run_id"])
    for suffix in ("csv", "jsonl", "parquet"):
        log.export(tmp_path / f"a.{suffix}")
    assert_contract(log.frame(tags={"a": 1}, status="ok", since="1d"))
    log.append(Run(run_id="later"))
    assert list(log.frame()["run_id"]) == [*frame["run_id"], "later"]


def readers_agree(data: bytes) -> bool:
    """Whether the quick reader took `data`; then the tolerant one has the same rows."""
    block = Block(5, data.count(b"\n"), data)
    tolerant, _ = parse_tolerantly(block)
    tolerant.validate(full=True)
    quick = parse_quickly(block)
    assert quick is None or quick.equals(tolerant), (quick.to_pylist(), tolerant.to_pylist())
    return quick is not None


NUMBERS = st.one_of(st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False), st.just(-0.0))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
TIMES = st.one_of(
    st.datetimes().map(lambda time: time.isoformat()),
    st.datetimes().map(lambda time: time.isoformat() + "Z"),
    st.datetimes().map(lambda time: time.isoformat(" ") + "+05:30"),
    st.dates().map(str),
    TEXTS,
)
ANY = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS, TIMES),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=4,
)
FITTING = {
    "string": TEXTS,
    "Int64": st.integers(-(2**63), 2**63 - 1),
    "Float64": NUMBERS,
    "boolean": st.booleans(),
    "datetime64[us, UTC]": TIMES,
}
RECORDS = st.fixed_dictionaries(
    {"run_id": st.text("abc", min_size=1, max_size=2)},
    optional={
        "schema": st.sampled_from([1, 1, 1, None, 0, 2, "1", True]),
        "update": st.sampled_from([True, False, None, 1]),
        "extra": ANY,
        "unknown": ANY,
        **{column.name: st.one_of(FITTING[column.dtype], st.none()) for column in COLUMNS[1:12]},
        **{column.name: st.one_of(FITTING[column.dtype], st.none(), ANY) for column in COLUMNS[12:20]},
        **{column.name: st.one_of(FITTING[column.dtype], st.none()) for column in COLUMNS[20:]},
    },
)


def line_of(record: dict[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=len(record) % 2 == 0).encode() + b"\n"


@settings(max_examples=150, deadline=None)
@given(st.lists(RECORDS, min_size=1, max_size=4))
def test_both_readers_give_the_same_rows(records: list[dict[str, Any]]) -> None:
    """Whatever the cells hold, the quick reader gives what the tolerant one gives, or leaves the block to it."""
    readers_agree(b"".join(map(line_of, records)))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_lines_never_fail(data: st.DataObject) -> None:
    """Bytes changed, cut out or put in anywhere: only skipped lines and NA cells come of it, in both readers."""
    content = bytearray(encode(full_run()) + line_of({"run_id": "b", "update": True, "cost_usd": 1.5}) + encode(Run()))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content)))
        piece = data.draw(
            st.one_of(
                st.sampled_from([b"\n", b"{", b"}", b'"', b"null", b"\\u", b"\0", b",", b"}\n{"]), st.binary(max_size=3)
            )
        )
        content[place : place + data.draw(st.sampled_from([0, 1, 1, 30]))] = piece
    if content:
        readers_agree(bytes(content))


@given(
    st.lists(
        st.builds(
            Run,
            run_id=st.uuids().map(str),
            response=TEXTS,
            cost_usd=st.floats(),
            chunks=st.integers(-(2**63), 2**63 - 1),
        )
    )
)
@settings(max_examples=50, deadline=None)
def test_our_own_lines_are_read_quickly(runs: list[Run]) -> None:
    """Every line that we write is one that the quick reader takes."""
    assert not runs or readers_agree(b"".join(map(encode, runs)))


def test_one_damaged_line_slows_one_block_only(log: RunLog) -> None:
    """Rows, order and line numbers are the same however the file is cut into blocks."""
    content = b"".join(encode(Run(run_id=str(number))) for number in range(20))
    content = (
        content.replace(b'"run_id":"3"', b'"run_id"') + b'{"schema":1,"run_id":"4","update":true,"cost_usd":2.5}\n'
    )
    whole, skipped = merge([Block(1, content.count(b"\n"), content)])
    assert sum(skipped.counts.values()) == 1
    blocks, first = [], 1
    for line in content.splitlines(keepends=True):
        blocks.append(Block(first, 1, line))
        first += 1
    assert merge(blocks)[0].to_pylist() == whole.to_pylist()


@settings(max_examples=50, deadline=None)
@given(st.lists(RECORDS, max_size=8))
def test_merging_keeps_the_newest_known_value(records: list[dict[str, Any]]) -> None:
    """Merging many lines is what a loop over them in order does: first place, last known value."""
    data = b"".join(map(line_of, records))
    expected: dict[str, dict[str, Any]] = {}
    rows = parse_tolerantly(Block(1, len(records), data))[0].to_pylist()
    for row in rows:
        if not row["update"]:
            expected.setdefault(row["run_id"], {})
    for row in rows:
        if (run := expected.get(row["run_id"])) is not None:
            tags = [load((text or "null").encode()) for text in (run.get("tags"), row["tags"])]
            run.update({column.name: row[column.name] for column in COLUMNS if row[column.name] is not None})
            if all(isinstance(each, dict) for each in tags):
                run["tags"] = {**tags[0], **tags[1]}
    merged = merge([Block(1, len(records), data)])[0].drop_columns(["line"]).to_pylist()
    for one, run in zip(merged, expected.values(), strict=True):
        if isinstance(run.get("tags"), dict):
            one["tags"] = load(one["tags"].encode())
        assert one == {column.name: run.get(column.name) for column in COLUMNS}


@given(
    st.builds(Run, response=st.text(), prompt=st.text(), params=st.dictionaries(st.text(), ANY), reasoning=st.text())
)
@settings(max_examples=50, deadline=None)
def test_any_run_makes_one_good_line(run: Run) -> None:
    """Lone surrogates, control characters, line separators and huge integers: always one line that reads back."""
    line = encode(run)
    assert line.count(b"\n") == 1
    assert orjson.loads(line)["run_id"] == run.run_id
    table, skipped = parse_tolerantly(Block(1, 1, line))
    assert not skipped.counts
    assert len(table) == 1


class Foreign:
    """An object that has no place in a run and fails when asked for its text."""

    def __str__(self) -> str:
        raise RuntimeError("no")


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": [value]}
    return value


@pytest.mark.parametrize(
    "content",
    [Foreign(), {Foreign(): 1}, nested(500), nested(5000), 10**5000, b"bytes", {1, 2}, float("nan"), object, "\ud800"],
    ids=["foreign", "foreign key", "deep", "deeper", "huge", "bytes", "set", "nan", "class", "surrogate"],
)
def test_no_content_loses_a_run(log: RunLog, content: Any) -> None:
    """Whatever got into a run, its line is written and the rest of it is kept."""
    run = full_run()
    run.params, run.tags, run.usage = {"x": content}, {"x": content}, {"x": content}
    run.extra_fields, run.rating = content, content
    log.append(run)
    (found,) = log.read()
    assert found.response == run.response
    assert found.attempts == run.attempts
    assert found.cost_usd == run.cost_usd


def test_a_line_of_fifty_megabytes(log: RunLog) -> None:
    """A huge line, valid or not, is skipped or read without an error, and its neighbours are kept."""
    assert log.path is not None
    good = encode(full_run())
    for huge in (
        b"[" * 50_000_000,
        b'{"run_id":"x","response":"' + b"x" * 50_000_000 + b'"}',
        b'{"run_id":"x"' * 4_000_000,
    ):
        log.path.write_bytes(good + huge + b"\n" + good.replace(b"run-1", b"run-2"))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert list(RunLog(log.path).frame()["run_id"]) == ["run-1", "run-2"]
        assert [warning.category for warning in caught] == [LogWarning]
    huge = b'{"run_id":"x","response":"' + b"x" * 20_000_000 + b'"}'
    log.path.write_bytes(good + huge + b"\n" + good)
    assert log.frame()["response"].str.len().max() == 20_000_000


def test_only_our_own_errors(log: RunLog) -> None:
    """Updates and filters with hostile text raise ours or nothing."""
    log.append(full_run())
    for text in ("\ud800", "\0", "a" * 10_000, "'; drop table", "\u2028\n"):
        log.update("run-1", rating=text)
        log.frame(comparison_id=text, tags={text: text})
        with pytest.raises(BifrostError):
            log.frame(deployment=text)
        with pytest.raises(BifrostError):
            log.frame(since=text)
