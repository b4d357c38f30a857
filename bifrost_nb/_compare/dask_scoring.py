"""A person's own scorer on the workers of a Dask cluster, where one process would keep one core busy.

The function travels pickled and the answers as lines of the run log. What cannot travel (a function that holds a
`Client` or a key) is scored in this process, and so is what turns out to ask a model: calls are paid for, recorded and
counted here alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._client.judge_tag import NoCalls, judging
from .._keys import without_keys
from .._runs.log.codec import encode
from .._runs.run import Run
from .._safe_text import plain

if TYPE_CHECKING:
    from .scoring import Judged, ScorerFunction

__all__ = ["Unsendable", "left_by_workers", "pickled"]

LARGEST_SHARD = 10
"""Answers that a worker judges before it tells: what an interrupt loses, and how long one may work after the others."""
LOOK_S = 0.05

Call = tuple[Run, Mapping[str, Any]]


def _pickle() -> Any:
    """Dask's own, which takes functions of a notebook too."""
    from distributed.protocol import pickle

    return pickle


class Unsendable(Exception):
    """Why a scorer stays in this process, in words."""


def pickled(scorer: ScorerFunction, secrets: Sequence[str]) -> bytes:
    """The function as the workers get it. Raises Unsendable where it cannot travel, or one of `secrets` would."""
    try:
        sent: bytes = _pickle().dumps(scorer)
    except Exception as error:  # noqa: BLE001 - whatever its closure holds, it can be scored here
        raise Unsendable(plain(without_keys(f"it cannot be pickled ({error})", *secrets), 200)) from None
    if any(secret.encode() in sent for secret in secrets):
        raise Unsendable("it holds a key")
    return sent


def left_by_workers(
    cluster: Any, scorer: bytes, name: str, work: Sequence[Call], places: Sequence[int], into: list[Judged]
) -> list[int]:
    """Judge `places` of `work` on the workers; those that they could not judge, to be judged here.

    `into` has each shard's judgements once it has ended. Raises KeyboardInterrupt, with what is known in place.
    """
    threads = max(1, sum(cluster.nthreads().values()))
    size = max(1, min(LARGEST_SHARD, len(places) // threads))
    left: list[int] = []
    futures: dict[Any, Sequence[int]] = {}
    try:
        for start in range(0, len(places), size):
            shard = places[start : start + size]
            try:
                answers = _pickle().dumps([_sendable(*work[place]) for place in shard])
            except Exception:  # noqa: BLE001 - a row may hold anything
                left += shard
                continue
            futures[cluster.submit(_judge, scorer, name, answers, pure=False, retries=0)] = shard
        while futures:
            for future in [one for one in futures if one.done()]:
                shard = futures.pop(future)
                # A worker that was lost, or that has not what the function imports.
                found = future.result() if future.status == "finished" else [None] * len(shard)
                for place, judged in zip(shard, found, strict=True):
                    if judged is None:
                        left.append(place)
                    else:
                        into[place] = judged
            time.sleep(LOOK_S)
    finally:
        cluster.cancel(list(futures))
    return left


def _sendable(run: Run, row: Mapping[str, Any]) -> tuple[bytes, tuple[Any, ...], Mapping[str, Any]]:
    """A run as its line of the log, what was read of the answer by a schema, which no line holds, and its row."""
    return encode(run), (run.parsed, run.valid, run.valid_error), row


def _judge(scorer: bytes, name: str, answers: bytes) -> list[Judged | None]:
    """On a worker: a judgement of each answer; None for one that is to be judged where calls are counted."""
    from .dask_cluster import decoded
    from .scoring import called, takes_row

    function: Callable[..., Any] = _pickle().loads(scorer)
    with_row = takes_row(function)
    found: list[Judged | None] = []
    for line, read, row in _pickle().loads(answers):
        calls = NoCalls()
        run = decoded(line)
        run.parsed, run.valid, run.valid_error = read
        with judging(name, calls):
            judged = called(function, run, row, with_row)
        found.append(None if calls.asked else judged)
    return found
