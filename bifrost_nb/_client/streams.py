"""A running completion whose text can be read while it arrives: `Stream` for any code, `AsyncStream` for async code."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import queue
import warnings
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from .._runs.collector import UNEXPLAINED
from .._runs.pieces import Piece, Pieces
from .._runs.run import Run
from .call_notes import is_shared
from .inbox import inbox_of
from .portal import portal

if TYPE_CHECKING:
    from .calls import Call, Outcome
    from .client import Client
    from .portal import Job

__all__ = ["AsyncStream", "Stream", "finished"]


def finished(outcome: Outcome) -> Run:
    """The run of an outcome that is good; raises its error otherwise.

    Warns of a log that failed and of notes that put the answer itself in doubt; what else a note tells is on the run.
    An error has all notes of its run, which a traceback shows below the message.
    """
    if outcome.log_error is not None:
        warnings.warn(str(outcome.log_error), RuntimeWarning, stacklevel=3)
    for note in outcome.run.notes:
        if outcome.error is not None:
            if note not in getattr(outcome.error, "__notes__", ()):  # a stream may raise it twice
                outcome.error.add_note(note)
        elif not (is_shared(note) or UNEXPLAINED in note):
            warnings.warn(note, RuntimeWarning, stacklevel=3)
    if outcome.error is not None:
        raise outcome.error.bare()
    return outcome.run


class _Base:
    def __init__(self, client: Client, call: Call) -> None:
        self._client, self._call = client, call
        self._job: Job[Outcome] | None = None

    @property
    def run(self) -> Run:
        """The run: in flight while `run.status` is None, complete after the stream has ended."""
        return self._call.run

    def cancel(self) -> None:
        """End the call now: the connection is closed and the run is logged as ``cancelled``. From any thread.

        For example:

            with client.stream("azure/fast", "Once upon a time") as stream:
                for piece in stream:
                    stream.cancel()  # the first piece is enough
        """
        if self._job is not None:
            self._job.cancel()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.run.requested} {self.run.status or 'in flight'}>"


class Stream(_Base):
    """Iterate for the first choice's text, as it arrives; `pieces()` gives every choice with times.

    Leaving the ``with`` block early cancels the call. Errors are raised where the text is read.

        with client.stream("azure/fast", "Once upon a time") as stream:
            for piece in stream:
                print(piece, end="")
        stream.run
    """

    def __enter__(self) -> Self:
        self._queue: queue.SimpleQueue[Pieces | None] = queue.SimpleQueue()
        self._job = self._client.start(self._call, lambda _, pieces: self._queue.put(pieces))
        self._job.add_done_callback(lambda _: self._queue.put(None))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._job is not None and not self._job.done():
            self._job.cancel()
            concurrent.futures.wait([self._job], timeout=2)

    def __iter__(self) -> Iterator[str]:
        for batch in self._batches():
            yield from batch.first_texts()

    def pieces(self) -> Iterator[Piece]:
        """What each chunk added: (choice, text, reasoning, ms since the call began), for every choice.

            with client.stream("azure/fast", "Once upon a time", n=2) as stream:
                for choice, text, reasoning, ms in stream.pieces():
                    print(choice, ms, text or reasoning)

        Raises BifrostError as iterating does, StreamInterrupted where it ended early.
        """
        for batch in self._batches():
            yield from batch

    def _batches(self) -> Iterator[Pieces]:
        """What arrived together, handed over together."""
        if self._job is None:
            with self:
                yield from self._batches()
            return
        while not (self._job.done() and self._queue.empty()):
            with contextlib.suppress(queue.Empty):
                batch = self._queue.get(timeout=0.5)  # a wait without limit cannot be interrupted on Windows
                if batch is None:
                    break
                yield batch
        finished(self._job.result())


class AsyncStream(_Base):
    """The same for ``async with`` and ``async for``, on any event loop.

    For example:

        async with client.astream("azure/fast", "Once upon a time") as stream:
            async for piece in stream:
                print(piece, end="")
    """

    async def __aenter__(self) -> Self:
        inbox = inbox_of(asyncio.get_running_loop())
        self._queue: asyncio.Queue[Pieces | None] = asyncio.Queue()
        put, private = self._queue.put_nowait, portal().loop
        self._job = self._client.start(self._call, lambda _, pieces: inbox.put_from(private, put, pieces))

        def ended(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # the caller's loop has been closed
                inbox.put(put, None)

        self._job.add_done_callback(ended)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._job is not None and not self._job.done():
            self._job.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([asyncio.wrap_future(self._job)], timeout=2)

    def __aiter__(self) -> AsyncIterator[str]:
        return self._texts()

    async def _texts(self) -> AsyncIterator[str]:
        async for batch in self._batches():
            for text in batch.first_texts():
                yield text

    async def pieces(self) -> AsyncIterator[Piece]:
        """`Stream.pieces` for async code, inside ``async with``.

        For example:

            async with client.astream("azure/fast", "Once upon a time", n=2) as stream:
                async for choice, text, reasoning, ms in stream.pieces():
                    print(choice, ms, text or reasoning)
        """
        async for batch in self._batches():
            for piece in batch:
                yield piece

    async def _batches(self) -> AsyncIterator[Pieces]:
        if self._job is None:
            raise RuntimeError("Read an async stream inside `async with client.astream(...) as stream:`.")
        while (batch := await self._queue.get()) is not None:
            yield batch
        self._queue.put_nowait(None)  # reading again ends at once
        finished(self._job.result())
