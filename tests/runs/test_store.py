"""Runs in little memory: what is read is what was put in, whoever holds it and however often it was packed."""

from __future__ import annotations

import copy
import pickle
import threading
import tracemalloc
from typing import Any

import pydantic
import pytest

from bifrost_nb._runs.run import Run, new_id
from bifrost_nb._runs.store import FEW, RunsInOrder, RunStore

from .samples import STARTED, full_run

MANY = FEW + 100


def nothing(run: Run) -> None:
    """No facts."""


def cost(run: Run) -> float | None:
    return run.cost_usd


def answered(number: int) -> Run:
    """A run in which every field differs, begun at a time of UTC as our own are."""
    run = full_run()
    run.run_id, run.started_at, run.total_ms = new_id(), STARTED, 28.125 + number
    return run


def filled(count: int = MANY) -> RunStore:
    store = RunStore()
    for number in range(count):
        store[str(number)] = Run(prompt=f"Number {number}", cost_usd=0.5)
    store.state(nothing)
    return store


def test_a_run_comes_back_as_it_was() -> None:
    """Every field of a full run, by value, after it was packed among many."""
    store, run = filled(), answered(0)
    before = copy.deepcopy(run)
    store["full"] = run
    del run
    store.state(nothing)
    assert store["full"] is not before
    assert store["full"] == before


def test_many_runs_take_little_memory() -> None:
    """A run of a sweep takes less than a quarter of what it takes as an object."""
    sizes = {}
    tracemalloc.start()
    try:
        for kind in ("objects", "store"):
            runs: Any = {} if kind == "objects" else RunStore()
            before = tracemalloc.get_traced_memory()[0]
            count = 100 if kind == "objects" else MANY
            for number in range(count):
                runs[str(number)] = answered(number)
            if kind == "store":
                runs.state(nothing)
            sizes[kind] = (tracemalloc.get_traced_memory()[0] - before) / count
    finally:
        tracemalloc.stop()
    assert sizes["store"] < sizes["objects"] / 4


def test_a_glance_leaves_packed_what_is_packed() -> None:
    """A frame is made of runs that are read and let go; only those that somebody holds are objects after it."""
    store = filled()
    held, facts = store["7"], store.state(nothing)
    held.cost_usd = 0.25
    runs = RunsInOrder(store, ["8", "7", "9"])
    assert [run.prompt for run in runs.glances()] == ["Number 8", "Number 7", "Number 9"]
    assert [run.cost_usd for run in runs.glances()] == [0.5, 0.25, 0.5]
    assert list(runs.glances())[1] is held
    assert runs.awake() == [held]
    assert store.state(nothing) == facts


def test_a_held_run_stays_the_same_object() -> None:
    """Who holds a run sees what others change in it; what was changed is there after nobody held it."""
    store = filled()
    held = store["7"]
    store.state(nothing)
    list(store.values())
    assert store["7"] is held
    held.rating, held.tags["note"] = "up", "good"
    del held
    store.state(nothing)
    list(store.values())
    assert (store["7"].rating, store["7"].tags) == ("up", {"note": "good"})


def test_the_state_tells_of_changes() -> None:
    """It stays equal while runs are only read, and differs once one has changed, held or not."""
    store = filled()
    before = store.state(cost)
    assert [run.prompt for run in store.values()] == [f"Number {number}" for number in range(MANY)]
    assert store.state(cost) == before
    store["3"].cost_usd = 0.75
    changed = store.state(cost)
    assert changed != before
    held = store["4"]
    with_one = store.state(cost)
    held.cost_usd = 1.5
    assert store.state(cost) != with_one
    assert store["3"].cost_usd == 0.75


@pytest.mark.parametrize("what", ["a model", "a number of numpy", "a picture", "not a number"])
def test_what_cannot_be_packed_stays(what: str) -> None:
    """A run that holds more than plain values is kept as the object it is."""
    import numpy as np

    class Answer(pydantic.BaseModel):
        n: int

    fields: dict[str, dict[str, Any]] = {
        "a model": {"parsed": Answer(n=1)},
        "a number of numpy": {"tags": {"threshold": np.float64(0.5)}},
        "a picture": {"images": [b"\x89PNG"]},
        "not a number": {"total_ms": float("nan")},
    }
    store, run = filled(), Run(**fields[what])
    store["odd"], name = run, id(run)
    del run
    store.state(nothing)
    assert id(store["odd"]) == name


def test_threads_meet_one_object() -> None:
    """Several threads that read, hold and change the same runs, while all others are packed, lose no change."""
    store = filled()
    problems: list[str] = []

    def work() -> None:
        for number in range(100):
            run = store[str(number % 5)]
            with lock:
                run.chunks = (run.chunks or 0) + 1
            store.state(nothing)
            if store[str(number % 5)] is not run:
                problems.append(str(number))

    lock = threading.Lock()
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert sum(store[str(number)].chunks or 0 for number in range(5)) == 4 * 100


def test_runs_in_order_are_a_list_to_their_reader() -> None:
    """Places, slices, sums, comparisons, copies and pickles as of a list."""
    store = filled(10)
    runs = RunsInOrder(store, ["5", "3", "9"])
    assert [run.prompt for run in runs] == ["Number 5", "Number 3", "Number 9"]
    assert (len(runs), runs[-1].prompt, [run.prompt for run in runs[:2]]) == (3, "Number 9", ["Number 5", "Number 3"])
    assert runs == list(runs)
    assert runs + [Run()] != runs  # noqa: RUF005
    assert len([Run()] + runs) == 4  # noqa: RUF005
    assert copy.deepcopy(runs) == runs
    assert pickle.loads(pickle.dumps(runs)) == runs
    assert repr(runs) == repr(list(runs))
