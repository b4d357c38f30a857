"""Many finished runs in little memory: one that nobody holds is kept packed.

A `Run` is some forty Python objects; packed it is one of a tenth of their size, compressed by what a first run of the
same comparison has in common with it. Whoever reads a run gets the object, and everybody gets the same as long as
somebody holds it, so that what is changed in it is kept.
"""

from __future__ import annotations

import marshal
import sys
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, NamedTuple, overload

from .run import Attempt, Run

__all__ = ["RunStore", "RunsInOrder"]

FEW = 4000
"""So many runs are not worth packing, some 22 MB: packing one and reading it again takes 60 µs, a tenth of its call."""

_PLAIN = tuple(field.name for field in fields(Run) if field.name not in ("started_at", "attempts"))
_ATTEMPT = tuple(field.name for field in fields(Attempt))
_plain_values = attrgetter(*_PLAIN)
_attempt_values = attrgetter(*_ATTEMPT)
_alone = {"": Run()}
_HELD_HERE_ALONE = sys.getrefcount(_alone[""])
"""What Python counts for a run that only a dict holds."""


class _Packed(NamedTuple):
    """A run as it was packed: to see whether it has changed, and to put back where it has not."""

    plain: bytes
    small: bytes


class RunStore(MutableMapping[str, Run]):
    """Runs by an id of their trial, in the order in which they were put in. Any thread may use it."""

    def __init__(self, runs: Mapping[str, Run] | None = None) -> None:
        """Of another store it takes what is packed as it is."""
        self._lock = threading.Lock()
        self._entries: dict[str, Run | bytes] = {}
        self._awake: dict[str, _Packed | None] = {}
        """The ids of those that are objects, each with what it was before it was read."""
        self._alike = b""
        """The first run that was packed: what others have in common with it takes no room in them."""
        if isinstance(runs, RunStore):
            with runs._lock:
                self._entries, self._awake, self._alike = dict(runs._entries), dict(runs._awake), runs._alike
        else:
            self._entries = dict(runs or {})
            self._awake = dict.fromkeys(self._entries)
        self._changes = 0
        self._crowd = FEW
        """So many objects are looked through for those that nobody holds any more."""

    def __getitem__(self, key: str) -> Run:
        with self._lock:
            run = self._entries[key]
            if isinstance(run, bytes):
                before = _Packed(_expanded(run, self._alike), run)
                self._awake[key] = before
                run = self._entries[key] = _read(before.plain)
            if len(self._awake) > self._crowd:
                self._pack()
            return run

    def __setitem__(self, key: str, run: Run) -> None:
        with self._lock:
            self._entries[key], self._awake[key] = run, None
            self._changes += 1
            if len(self._awake) > self._crowd:
                self._pack()

    def __delitem__(self, key: str) -> None:
        with self._lock:
            del self._entries[key]
            self._awake.pop(key, None)
            self._changes += 1

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._entries))  # another thread may add to it meanwhile

    def __len__(self) -> int:
        return len(self._entries)

    def glances(self, keys: Iterable[str]) -> Iterator[Run]:
        """Runs to look at and let go: what is packed stays packed, so nothing may be changed in one.

        Packing them all again, to see whether they have changed, takes as long as reading them.
        """
        for key in keys:
            run = self._entries[key]
            yield _read(_expanded(run, self._alike)) if isinstance(run, bytes) else run

    def awake(self, keys: Iterable[str]) -> list[Run]:
        """Those of them that are objects, so all that anybody holds."""
        found = map(self._entries.__getitem__, keys)
        return [run for run in found if not isinstance(run, bytes)]

    def rest(self) -> None:
        """Pack what nobody holds, where there are many: after all were read."""
        with self._lock:
            if len(self._entries) > FEW:
                self._pack()

    def state(self, facts: Callable[[Run], object]) -> tuple[int, list[object]]:
        """Equal to an earlier one where no run has other `facts` than then."""
        self.rest()  # what is packed has not changed since
        with self._lock:
            return self._changes, [facts(self._entries[key]) for key in self._awake]  # type: ignore[arg-type]

    def _pack(self) -> None:
        entries = self._entries
        for key in list(self._awake):
            if sys.getrefcount(entries[key]) > _HELD_HERE_ALONE:  # whoever holds it may change it
                continue
            before = self._awake[key]
            plain = _written(entries[key], before and before.plain)  # type: ignore[arg-type]
            if plain is None:
                continue
            if before is not None and before.plain == plain:
                entries[key] = before.small
            else:
                self._alike = self._alike or plain
                entries[key] = _compressed(plain, self._alike)
                self._changes += 1
            del self._awake[key]
        self._crowd = FEW + 2 * len(self._awake)

    def __reduce__(self) -> tuple[Any, ...]:
        return RunStore, (dict(self),)


class RunsInOrder(Sequence[Run]):
    """Some of a store's runs, in an order of their own."""

    def __init__(self, store: RunStore, keys: Sequence[str]) -> None:
        self._store, self._keys = store, keys

    @overload
    def __getitem__(self, place: int) -> Run: ...
    @overload
    def __getitem__(self, place: slice) -> list[Run]: ...
    def __getitem__(self, place: int | slice) -> Run | list[Run]:
        if isinstance(place, slice):
            return [self._store[key] for key in self._keys[place]]
        return self._store[self._keys[place]]

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[Run]:
        return map(self._store.__getitem__, self._keys)

    def glances(self) -> Iterator[Run]:
        """See `RunStore.glances`."""
        return self._store.glances(self._keys)

    def awake(self) -> list[Run]:
        """See `RunStore.awake`."""
        return self._store.awake(self._keys)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (list, RunsInOrder)) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as a list

    def __add__(self, other: Iterable[Run]) -> list[Run]:
        return [*self, *other]

    def __radd__(self, other: Iterable[Run]) -> list[Run]:
        return [*other, *self]

    def __repr__(self) -> str:
        return repr(list(self))


def _written(run: Run, before: bytes | None = None) -> bytes | None:
    """`run` in one piece; None for what would not come back as it is (a model of pydantic, a number of numpy) or is
    large already (pictures, sound, vectors). It may be as `before`, which did come back."""
    if type(run) is not Run or run.started_at.tzinfo is not UTC or run.images or run.audio or run.embeddings:
        return None
    values = run.started_at.isoformat(), [_attempt_values(each) for each in run.attempts], _plain_values(run)
    try:
        written = marshal.dumps(values)
        same = written == before or marshal.loads(written) == values  # noqa: S302  our own, never leaves the process
        return written if same else None
    except (ValueError, TypeError, AttributeError):
        return None


def _read(written: bytes) -> Run:
    started_at, attempts, plain = marshal.loads(written)  # noqa: S302
    return Run(
        started_at=datetime.fromisoformat(started_at),
        attempts=[Attempt(**dict(zip(_ATTEMPT, each, strict=True))) for each in attempts],
        **dict(zip(_PLAIN, plain, strict=True)),
    )


def _compressed(content: bytes, alike: bytes) -> bytes:
    work = zlib.compressobj(level=1, zdict=alike)
    return work.compress(content) + work.flush()


def _expanded(content: bytes, alike: bytes) -> bytes:
    work = zlib.decompressobj(zdict=alike)
    return work.decompress(content) + work.flush()
