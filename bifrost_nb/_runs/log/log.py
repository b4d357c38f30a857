"""The run log: one durable line per finished run, and the runs back as objects, a frame or a file."""

from __future__ import annotations

import asyncio
import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

from ... import _settings as settings
from ..._files import user_path
from ..._paths import data_path
from ..._safe_text import quoted, type_with_article
from ..._suggest import did_you_mean
from ...errors import ConfigurationError, LogError
from ..columns import COLUMNS
from ..redact_hook import Redact, as_written, decide, dropping, hide_keys
from ..run import Run
from .append import Appender
from .blocks import blocks, newlines_before
from .codec import JSON_COLUMNS, cell, decode, encode, encode_update, json_text
from .filters import Filters, selection, shows_filters

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from ..frame import Library
    from .reader import Skipped

__all__ = ["LogWarning", "RunLog", "run_log"]

_DTYPES = {column.name: column.dtype for column in COLUMNS if column.name != "run_id"}

_ONE_BY_ONE = "Pass what client.chat(...) returned, several one by one; a file of runs is opened by bf.RunLog(path)."


class LogWarning(UserWarning):
    """Lines of a run log were skipped: cut off, damaged, or written by a newer version."""


class RunLog:
    """An append-only file of runs, one JSON object per line (format: `bifrost_nb._runs.log.codec`).

    Made at the first append with the folders it needs, readable by its owner only. Any number of threads and processes
    may append at once. A later line about a run adds facts to it; the newest known value of each column wins. `path`
    None (or ``"off"``, as in ``BIFROST_RUN_LOG``) is a switched-off log: it takes every run and keeps none.

    `redact` decides what is written of each run's texts (see `bifrost_nb._runs.redact_hook`): ``redact(text, what)``,
    `what` being ``"prompt"`` or ``"response"``, returns the text to write or None.

        log = bf.run_log()
        log.frame(since="1d")
        log.export("runs.parquet")
    """

    def __init__(self, path: str | os.PathLike[str] | None, *, redact: Redact | None = None) -> None:
        if isinstance(path, str) and path.strip().lower() == "off":  # as in BIFROST_RUN_LOG; ./off is a file
            path = None
        # Absolute now: a notebook that changes its folder later goes on with the same log.
        self.path = None if path is None else user_path(path, "the run log's path").absolute()
        """The file; None if the log is off."""
        if redact is not None and not callable(redact):
            raise ConfigurationError(f"redact must be a function of (text, what), not {type(redact).__name__}.")
        self.redact = redact
        self._appender = None if self.path is None else Appender(self.path)
        self._reported: Counter[str] = Counter()

    @property
    def off(self) -> bool:
        """Whether nothing is recorded."""
        return self.path is None

    def size(self) -> int:
        """Bytes of the file; 0 where there is none.

        For example:

            bf.run_log().size() / 1e6  # MB
        """
        try:
            return 0 if self.path is None else self.path.stat().st_size
        except OSError:
            return 0

    def __repr__(self) -> str:
        return f"RunLog({None if self.path is None else str(self.path)!r})"

    def append(self, run: Run, *, redact: Redact | None = None, secrets: Iterable[str] = ()) -> None:
        """Record a finished run; when this returns, the operating system has the whole line.

            bf.RunLog("kept.jsonl").append(run)

        `redact` is asked before this log's own hook. `secrets` are keys that neither the line nor what `run` has from
        outside may hold, whoever repeats them. Raises ConfigurationError for what is no run, LogError if it could not
        be written; the run is unharmed.
        """
        self.append_line(self._line(run, redact, secrets))

    async def append_on_loop(self, run: Run, *, redact: Redact | None = None, secrets: Iterable[str] = ()) -> None:
        """`append` on an event loop that takes times: where another process holds the file, a thread waits for it."""
        if rest := self.offer(run, redact=redact, secrets=secrets):
            await self.append_line_on_loop(rest)

    def offer(self, run: Run, *, redact: Redact | None = None, secrets: Iterable[str] = ()) -> bytes:
        """`append` that waits for nobody: the line, while another writer holds the file, else nothing is left of it."""
        line = self._line(run, redact, secrets)
        return b"" if self._appender is None or self._appender.offer(line) else line

    def append_line(self, line: bytes) -> None:
        """Write what `offer` left. Raises LogError."""
        if self._appender is not None:
            self._appender.append(line)

    def append_line_soon(self, line: bytes) -> None:
        """`append_line` by a thread of the log's own, which alone waits for the file."""
        if self._appender is not None:
            self._appender.later(line)

    async def append_line_on_loop(self, line: bytes) -> None:
        """`append_line`, a thread waiting for the file."""
        if self._appender is not None:
            await asyncio.shield(asyncio.wrap_future(self._appender.later(line)))

    def _line(self, run: Run, redact: Redact | None, secrets: Iterable[str]) -> bytes:
        if not isinstance(run, Run):
            raise ConfigurationError(f"A log takes a finished run, not {type_with_article(run)}.", hint=_ONE_BY_ONE)
        if redact is not None or self.redact is not None:  # also where nothing is logged: a notebook keeps runs too
            decide(run, (hook for hook in (redact, self.redact) if hook is not None))
        written = hide_keys(run, tuple(secrets))
        return b"" if self.off else encode(as_written(written))

    def update(self, run_id: str, /, **facts: Any) -> None:
        """Add what was learned later about a recorded run: a cost that arrived, a rating. None means nothing learned.

            bf.run_log().update(run.run_id, rating="up", tags={"note": "too long"})

        `facts` are columns of the frame; ``tags``, ``params`` and ``fallbacks`` as objects. Tags come beside those that
        the run has: a note loses none, and a comparison still finds its runs. Raises ConfigurationError for an unknown
        column or a value that its type cannot hold, LogError as `append` does.
        """
        if (line := _update_line(run_id, facts)) and self._appender is not None:
            self._appender.append(line)

    def update_soon(self, facts_of: Mapping[str, Mapping[str, Any]]) -> None:
        """`update` of many runs at once, the facts of each by its ``run_id``, that waits for nobody.

        The facts are those that runs hold, so they are not checked, which takes longer than all else. While another
        process holds the file, a thread of the log's own waits; what that thread cannot write is lost without an error,
        as a cost that never arrived would be.
        """
        lines = b"".join([encode_update(run_id, facts) for run_id, facts in facts_of.items() if facts])
        if lines and self._appender is not None and not self._appender.offer(lines):
            self._appender.later(lines)

    @shows_filters
    def read(self, **filters: Unpack[Filters]) -> list[Run]:
        """The recorded runs in the order in which they finished, each with its newest facts.

            bf.run_log().read(since="1d", status="error")

        The filters `since`, `until`, `deployment`, `status`, `run_id`, `comparison_id`, `prompt_id`, `tags` and `limit`
        are those of `bf.runs`, and so are the errors. Lines that cannot be read are skipped with a `LogWarning`.
        """
        return list(self.read_each(**filters))

    @shows_filters
    def read_each(self, **filters: Unpack[Filters]) -> Iterator[Run]:
        """What `read` gives, run by run, for who keeps less of them: a `Run` and what it was read from take some 13 kB.

            sum(run.cost_usd or 0 for run in bf.run_log().read_each(since="7d"))

        Filters as for `read`: `since`, `until`, `deployment`, `status`, `run_id`, `comparison_id`, `prompt_id`, `tags`,
        `limit`.
        """
        from .reader import LINE, pick

        table, start = self._table_from(**filters)
        if self.path is None or len(table) == 0:
            return
        lines = pick(blocks(self.path, start=start), set(table[LINE].to_pylist()))
        records: dict[int, list[dict[str, Any]]] = {}  # read, and of a row that comes later
        for batch in table.to_batches(max_chunksize=1000):
            for row in batch.to_pylist():
                line = row.pop(LINE)
                while line not in records and (found := next(lines, None)) is not None:
                    records[found[0]] = found[1]
                of_line = records.pop(line, [])
                record = next((one for one in of_line if one.get("run_id") == row["run_id"]), {})
                if len(of_line) > 1:  # a line end was lost
                    records[line] = of_line
                yield decode(row, record.get("extra"))

    @overload
    def frame(self, to: Literal["pandas"] = "pandas", **filters: Unpack[Filters]) -> pd.DataFrame: ...
    @overload
    def frame(self, to: Literal["arrow"], **filters: Unpack[Filters]) -> pa.Table: ...
    @overload
    def frame(self, to: Literal["polars"], **filters: Unpack[Filters]) -> pl.DataFrame: ...
    @overload
    def frame(self, to: Library, **filters: Unpack[Filters]) -> Any: ...
    @shows_filters
    def frame(self, to: Library = "pandas", **filters: Unpack[Filters]) -> Any:
        """The recorded runs as a DataFrame (or `to` ``"arrow"``, ``"polars"``), one row per run.

        The columns of every frame, NA where unknown. See `bifrost_nb.runs`.

            bf.run_log().frame(since="1d", deployment="azure/fast")["total_ms"].median()

        Filters as for `read`: `since`, `until`, `deployment`, `status`, `run_id`, `comparison_id`, `prompt_id`, `tags`,
        `limit`.
        """
        from ..frame import table_as

        return table_as(self._table_from(**filters)[0], to)

    @shows_filters
    def export(self, path: str | os.PathLike[str], **filters: Unpack[Filters]) -> Path:
        """Write the runs, newest facts merged, to a ``.parquet``, ``.csv`` or ``.jsonl`` file; returns its `path`.

            bf.run_log().export("last_week.parquet", since="7d")

        Parquet keeps the columns' types, CSV has no text that a spreadsheet takes for a formula, JSONL can be read as a
        run log. The file is readable by its owner only and appears whole or not at all. Raises ConfigurationError for
        another suffix, LogError when it cannot be written.

        Filters as for `read`: `since`, `until`, `deployment`, `status`, `run_id`, `comparison_id`, `prompt_id`, `tags`,
        `limit`.
        """
        from .export import export, writer

        if self.path is None:
            raise LogError("The run log is off: there is nothing to export.", hint="Set BIFROST_RUN_LOG to a file.")
        target = user_path(path).absolute()
        if target == self.path or (target.exists() and self.path.exists() and target.samefile(self.path)):
            raise ConfigurationError(f"{target} is the run log itself.", hint="Export to another file.")
        write = writer(target)  # a wrong suffix is told before a long log is read
        return export(self._table_from(**filters)[0], target, write)

    def _table_from(self, **filters: Any) -> tuple[pa.Table, int]:
        """The rows that satisfy the filters, and the byte of the file from which their lines are counted.

        Of a long file only the end is read where that is enough: a run's later facts stand behind it.
        """
        from .reader import merge
        from .seek import since_start, tail_starts

        chosen = selection(**filters)  # before reading: a wrong filter is told at once
        if self.path is None:
            return chosen.apply(merge(())[0]), 0
        first = 0 if chosen.since is None else since_start(self.path, chosen.since)
        for start in tail_starts(self.path, first) if chosen.limit is not None else (first,):
            merged, skipped = merge(blocks(self.path, start=start))
            table = chosen.apply(merged)
            if start == first or len(table) == chosen.limit:
                break
        self._report(skipped, start)
        return table, start

    def _report(self, skipped: Skipped, start: int) -> None:
        """Warn of lines that were skipped behind byte `start`, once for each."""
        if skipped.counts <= self._reported:
            return
        self._reported = self._reported | skipped.counts
        if start and self.path is not None:
            skipped = skipped.behind(newlines_before(self.path, start))
        warnings.warn(f"{self.path}: lines were skipped: {skipped}. All others are read.", LogWarning, stacklevel=4)


def _update_line(run_id: str, facts: Mapping[str, Any]) -> bytes:
    """The line that adds `facts` to a run, checked; empty where nothing was learned."""
    if not isinstance(run_id, str) or not run_id:
        raise ConfigurationError(f"run_id must be the id of a recorded run, not {quoted(run_id)}.")
    cells = {name: _fact(name, value) for name, value in facts.items() if value is not None}
    return encode_update(run_id, cells) if cells else b""


def _fact(name: str, value: Any) -> Any:
    if name not in _DTYPES:
        raise ConfigurationError(
            f"A run has no column {name!r} that can be updated.{did_you_mean(name, _DTYPES)}",
            hint="Use tags={...} for facts of your own.",
        )
    if (shape := JSON_COLUMNS.get(name)) is not None:
        if not isinstance(value, shape):  # a text would stand in place of all tags that the run has
            raise ConfigurationError(f"{name} takes a {shape.__name__}, not {quoted(value)}.")
        return json_text(value)
    fact = cell(value, _DTYPES[name])
    if fact is None:
        raise ConfigurationError(f"{name}={value!r} does not fit its column, which is {_DTYPES[name]}.")
    return fact


_logs: dict[tuple[str | None, str | None], RunLog] = {}


def run_log() -> RunLog:
    """The run log in force: ``BIFROST_RUN_LOG`` (a path or ``off``), else ``runs.jsonl`` in the user's data folder.

    ``BIFROST_REDACT`` (``prompt``, ``response`` or both) says what it is not to hold.

        bf.run_log().path
    """
    found = settings.resolve()
    chosen, dropped = (found.run_log or "").strip(), found.redact
    if not chosen:
        path: str | None = str(data_path("runs.jsonl"))
    else:
        path = None if chosen.lower() == "off" else str(user_path(chosen, "BIFROST_RUN_LOG").absolute())
    if (path, dropped) not in _logs:
        _logs[path, dropped] = RunLog(path, redact=dropping(dropped.split(",")) if dropped else None)
    return _logs[path, dropped]
