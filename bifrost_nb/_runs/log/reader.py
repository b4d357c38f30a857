"""The lines of a run log as one Arrow table: one row per run, the newest facts in it.

Read in blocks. pyarrow's JSON reader takes a block whose every line is as we write it; any other block is read line
by line, slower, keeping what can be kept. Both give the same rows, and only a block at a time is held beside them.
"""

from __future__ import annotations

import json
import os
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from ..columns import COLUMNS, NAMES, Dtype
from .blocks import LINE_BYTES, TOO_LONG, Block, parts
from .codec import SCHEMA, cell

__all__ = ["ARROW_TYPES", "LINE", "Skipped", "column_array", "merge", "parse", "pick", "schema"]

A = TypeVar("A")
B = TypeVar("B")

LINE = "line"
"""Name of the column that holds the 1-based number of the line a row comes from."""

# large_string, because the texts of a long log pass the 2 GiB that string's 32-bit offsets reach.
ARROW_TYPES: Mapping[Dtype, pa.DataType] = {
    "string": pa.large_string(),
    "Int64": pa.int64(),
    "Float64": pa.float64(),
    "boolean": pa.bool_(),
    "datetime64[us, UTC]": pa.timestamp("us", "UTC"),
}
_START = b'{"schema":'
_FIRST, _LAST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)  # what a datetime holds in any zone


class Skipped:
    """Lines that hold no record, by reason: how many, and the numbers of the first ten."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.lines: dict[str, list[int]] = {}

    def add(self, reason: str, lines: list[int], count: int = 1) -> None:
        """Count `count` more lines, of which `lines` are the first."""
        self.counts[reason] += count
        shown = self.lines.setdefault(reason, [])
        shown += lines[: 10 - len(shown)]

    def behind(self, lines: int) -> Skipped:
        """The same in a file that has so many lines before those that were read."""
        moved = Skipped()
        moved.counts = self.counts
        moved.lines = {reason: [line + lines for line in found] for reason, found in self.lines.items()}
        return moved

    def __str__(self) -> str:
        return ", ".join(
            f"{count} {reason} (line {', '.join(map(str, self.lines[reason]))}{', …' if count > 10 else ''})"
            for reason, count in self.counts.items()
        )


@cache
def schema() -> pa.Schema:
    """The frame's columns with their Arrow types."""
    return pa.schema([(column.name, ARROW_TYPES[column.dtype]) for column in COLUMNS])


@cache
def _line_schema() -> pa.Schema:
    return schema().append(pa.field("schema", pa.int64())).append(pa.field("update", pa.bool_()))


@cache
def _row_schema() -> pa.Schema:
    return schema().append(pa.field(LINE, pa.int64()))


def merge(blocks: Iterable[Block]) -> tuple[pa.Table, Skipped]:
    """The frame's columns and LINE, one row per run in the order in which the runs finished.

    In each column stands the newest known value, where a later line adds or corrects one; of ``tags`` that of each tag,
    so that a note takes none away.
    """
    runs, updates, skipped = [], [], Skipped()
    for rows, more in _in_parallel(parse, blocks):
        for reason, count in more.counts.items():
            skipped.add(reason, more.lines[reason], count)
        is_update = rows["update"]
        if is_update.null_count < len(rows):  # null: a whole run
            is_update = pc.fill_null(is_update, False)
            updates.append(rows.filter(is_update).select(_row_schema().names))
            rows = rows.filter(pc.invert(is_update))
        runs.append(rows.select(_row_schema().names))
    table = pa.concat_tables([_row_schema().empty_table(), *runs])
    runs.clear()
    later = pa.concat_tables([_row_schema().empty_table(), *updates])
    return _with_updates(table, later), skipped


def _in_parallel(function: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
    """`map` on as many threads as are useful, in order, with few items at a time in memory."""
    workers = min(os.cpu_count() or 1, 8)
    with ThreadPoolExecutor(workers) as pool:
        pending: deque[Future[B]] = deque()
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def pick(blocks: Iterable[Block], numbers: Collection[int]) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """The lines with these numbers, each with its records."""
    for block in blocks:
        for number, line in enumerate(_split(block.data), block.first):
            if number in numbers:
                yield number, [found for part in _parts(line) if isinstance(found := load(part), dict)]


def parse(block: Block) -> tuple[pa.Table, Skipped]:
    """The rows of one block (the columns, ``schema``, ``update`` and LINE) and the lines that were skipped."""
    table = parse_quickly(block)
    return (table, Skipped()) if table is not None else parse_tolerantly(block)


def parse_quickly(block: Block) -> pa.Table | None:
    """The rows of a block in which every line is a whole record of ours; None for any other block."""
    data, lines = block.data, block.newlines
    if not _one_object_per_line(data):
        return None
    try:
        table = pa.json.read_json(
            pa.BufferReader(data),
            # A block at a time on each of our own threads keeps the other steps parallel too.
            read_options=pa.json.ReadOptions(use_threads=False, block_size=len(data)),
            parse_options=pa.json.ParseOptions(
                explicit_schema=_line_schema(), newlines_in_values=False, unexpected_field_behavior="ignore"
            ),
        )
        table.validate(full=True)  # pyarrow takes bytes that are not UTF-8
    except (pa.ArrowException, ValueError):
        return None
    if len(table) != lines or not _all_ours(table):
        return None
    for index, column in enumerate(COLUMNS):
        if column.dtype == "Float64":
            table = table.set_column(index, column.name, _finite(table.column(index)))
    return table.append_column(LINE, pa.array(np.arange(block.first, block.first + lines)))


def _one_object_per_line(data: bytes) -> bool:
    """Whether each line begins and ends like an object.

    Else a line number would not be a row number. It also keeps a bare `null` from pyarrow, which crashes on one in
    first place (apache/arrow#47409).
    """
    if not data.startswith(b"{") or not data.endswith(b"}\n"):
        return False
    characters = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(characters == ord("\n"))
    return bool((characters[ends - 1] == ord("}")).all() and (characters[ends[:-1] + 1] == ord("{")).all())


def _all_ours(table: pa.Table) -> bool:
    """Whether each row is of a schema we know, names its run, and started at a time that Python can hold."""
    versions = pc.min_max(table["schema"]).as_py()
    started = pc.min_max(table["started_at"])
    span = started["min"].value, started["max"].value
    return (
        (versions["max"] or 0) <= SCHEMA
        and (versions["min"] or 0) >= 0
        and table["run_id"].null_count == 0
        and pc.min(pc.binary_length(table["run_id"])).as_py() != 0
        and (span[0] is None or _micros(_FIRST) <= span[0] <= span[1] <= _micros(_LAST))
    )


def _micros(instant: datetime) -> int:
    return int(pa.scalar(instant, ARROW_TYPES["datetime64[us, UTC]"]).value)


def _finite(values: Any) -> Any:
    """The Arrow array `values` with null for NaN and the infinities."""
    finite = pc.is_finite(values)
    return values if pc.all(finite).as_py() is not False else pc.if_else(finite, values, None)


def parse_tolerantly(block: Block) -> tuple[pa.Table, Skipped]:
    """The rows of any block: what is not a record is skipped, what is not of its column's type is null."""
    columns: dict[str, list[Any]] = {name: [] for name in _line_schema().names}
    numbers, skipped = [], Skipped()
    for number, line in enumerate(_split(block.data), block.first):
        if not line.strip():
            continue
        for part in _parts(line):
            record = _record(part)
            if isinstance(record, str):
                skipped.add(record, [number])
                continue
            numbers.append(number)
            for name, values in columns.items():
                values.append(record.get(name))
    arrays = [column_array(columns[column.name], column.dtype) for column in COLUMNS]
    arrays += [pa.array(columns["schema"], pa.int64()), pa.array(columns["update"], pa.bool_())]
    table = pa.table(arrays, schema=_line_schema())
    return table.append_column(LINE, pa.array(numbers, pa.int64())), skipped


def _split(data: bytes) -> Iterator[bytes]:
    """The lines of `data`, one at a time: a block of empty lines must not become millions of objects."""
    start = 0
    while start < len(data):
        end = data.find(b"\n", start) + 1 or len(data)
        yield data[start:end]
        start = end


def _parts(line: bytes) -> list[bytes]:
    """`line`, or the records on it where it is none itself. Most lines are, and take no more than a search."""
    if line.count(_START) < 1 + line.startswith(_START) or isinstance(load(line), dict):
        return [line]
    return parts(line, _START)


def _record(line: bytes) -> dict[str, Any] | str:
    """The record of `line`, or why there is none."""
    if line.startswith(TOO_LONG):
        return f"longer than {LINE_BYTES >> 20} MiB"
    record = load(line)
    if not isinstance(record, dict):
        return "cut off or damaged"
    version, update = record.get("schema"), record.get("update")
    if isinstance(version, int) and version > SCHEMA:
        return "written by a newer bifrost-nb"
    if version is not None and (isinstance(version, bool) or not isinstance(version, int) or version < 0):
        return "with a schema that is no version number"
    if not isinstance(record.get("run_id"), str) or not record["run_id"]:
        return "without a run_id"
    if update is not None and not isinstance(update, bool):
        return "whose update is not true or false"
    return record


def load(line: bytes) -> Any:
    """The JSON value of `line`; None if it has none. Takes NaN, lone surrogates and bytes that are not UTF-8."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(line.decode("utf-8", "replace"))
    except ValueError:  # not JSON, or a number of thousands of digits
        return None
    except RecursionError:  # only pyarrow follows any nesting, and it may do so in a part that is of no use
        table = parse_quickly(Block(1, 1, line.rstrip(b"\n") + b"\n"))
        return None if table is None else table.to_pylist()[0]


def column_array(values: list[Any], dtype: Dtype) -> pa.Array:
    """`values` as an Arrow array of the column type, null for each that is not of that type."""
    kind = ARROW_TYPES[dtype]
    if dtype in _EXACT and set(map(type, values)) <= {_EXACT[dtype], type(None)}:  # nearly always, and far quicker
        try:
            array = pa.array(values, kind)
            return _finite(array) if dtype == "Float64" else array
        except (pa.ArrowException, OverflowError, UnicodeError):  # an integer beyond 64 bits, a lone surrogate
            pass
    return pa.array([cell(value, dtype) for value in values], kind)


_EXACT: Mapping[Dtype, type] = {"string": str, "Int64": int, "Float64": float, "boolean": bool}


def _with_updates(table: pa.Table, later: pa.Table) -> pa.Table:
    """`table` with one row per run id, the newest known value of each column taken from all its lines."""
    ids = pa.chunked_array([*table["run_id"].chunks, *later["run_id"].chunks], pa.large_string())
    if len(later) == 0 and pc.count_distinct(ids).as_py() == len(ids):
        return table
    codes = ids.combine_chunks().dictionary_encode().indices.to_numpy()
    lines = np.concatenate([table[LINE].to_numpy(), later[LINE].to_numpy()])
    _, firsts = np.unique(codes[: len(table)], return_index=True)
    firsts = np.sort(firsts)
    place = np.full(codes.max(initial=-1) + 1, -1)
    place[codes[firsts]] = np.arange(len(firsts))
    is_first = np.zeros(len(codes), bool)
    is_first[firsts] = True
    rest = np.flatnonzero(~is_first & (place[codes] >= 0))  # updates of runs whose own line is missing tell nothing
    own = firsts[place[codes[rest]]]
    rest = np.concatenate([rest, np.unique(own[lines[rest] < lines[own]])])  # an update may stand before its run
    rest = rest[np.argsort(lines[rest], kind="stable")]  # several may be on one line
    columns = []
    for name in NAMES:
        values = pa.chunked_array([*table[name].chunks, *later[name].chunks], table.schema.field(name).type)
        known = rest[values.is_valid().to_numpy()[rest]]
        source = firsts.copy()
        source[place[codes[known]]] = known  # of several to one place numpy keeps the last: the newest
        column = values.take(pa.array(source))
        if name == "tags" and len(known):
            column = _with_older_tags(column, values, firsts, place[codes[known]], known)
        columns.append(column)
    columns.append(pa.chunked_array([pa.array(lines[firsts])]))
    return pa.table(columns, schema=_row_schema())


def _with_older_tags(column: Any, values: Any, firsts: Any, places: Any, known: Any) -> Any:
    """`column` (the newest tags) with each run's older ones beside them; `known` are their later lines, in order."""
    found: dict[int, str | None] = {}
    for place, row in zip(places.tolist(), known.tolist(), strict=True):
        older = found[place] if place in found else values[int(firsts[place])].as_py()
        found[place] = _tags_beside(older, values[row].as_py())
    order = sorted(found)
    mask = np.zeros(len(column), bool)
    mask[order] = True
    texts = pa.array([found[place] for place in order], column.type)
    return pc.replace_with_mask(column.combine_chunks(), pa.array(mask), texts)


def _tags_beside(older: str | None, newer: str) -> str:
    """The tags of two lines of one run; where one is no JSON object, the newer."""
    old, new = (load(text.encode("utf-8", "replace")) if text else None for text in (older, newer))
    return orjson.dumps({**old, **new}).decode() if isinstance(old, dict) and isinstance(new, dict) else newer
