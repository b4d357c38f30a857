"""A kernel that runs for a week does not grow with its cells."""

from __future__ import annotations

import asyncio
import gc
import time
from collections import Counter
from collections.abc import Callable

import pytest
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell

from bifrost_nb._client.portal import portal
from bifrost_nb._client.transport.chunks import OneChunk
from bifrost_nb._runs.run import Run
from bifrost_nb._simulator.process import LocalGateway

pytestmark = pytest.mark.filterwarnings("ignore:Output cache limit:UserWarning")

KEPT = 20
"""Results that IPython keeps in ``Out`` here; 1,000 as a rule."""


def ours() -> Counter[str]:
    """How many objects of each class of the package there are, once nothing runs in the background."""
    end = time.monotonic() + 20
    while any(not task.done() for task in asyncio.all_tasks(portal().loop)) and time.monotonic() < end:
        time.sleep(0.05)
    gc.collect()
    kinds = (type(thing) for thing in gc.get_objects())
    return Counter(kind.__qualname__ for kind in kinds if str(kind.__module__).startswith("bifrost_nb."))


def test_cells_leave_nothing_behind(
    shell: InteractiveShell, run: Callable[[str], ExecutionResult], gateway: LocalGateway
) -> None:
    """After 300 more cells there are no more objects of ours, and no more runs than ``Out`` holds."""
    gateway.script([{"chunks": 2, "gap_ms": 0, "first_text_ms": 0, "cost": 0.01}])
    assert shell.displayhook is not None
    shell.displayhook.cache_size = KEPT
    elsewhere = ours()[Run.__qualname__]  # held by tests before this one

    def cells(first: int, last: int) -> None:
        for number in range(first, last):
            run(f"%%bifrost azure/fast --max-tokens 3\nSay {number}").raise_error()

    cells(0, 2 * KEPT)
    before = ours()
    cells(2 * KEPT, 2 * KEPT + 300)
    after = ours()
    assert after[Run.__qualname__] <= elsewhere + KEPT + 5, after
    # Connections that earlier tests left open, some dozens, are taken in turn; each keeps what followed its last body.
    assert after[OneChunk.__qualname__] < 150, after
    del after[OneChunk.__qualname__]
    grown = {kind: (before[kind], count) for kind, count in after.items() if count > before[kind] + KEPT // 2}
    assert not grown


def test_results_that_were_dropped_are_let_go(
    shell: InteractiveShell, run: Callable[[str], ExecutionResult], gateway: LocalGateway
) -> None:
    """What IPython still shows stays: ``Out`` and ``_N`` of the last results, ``_``, and names of the person's own."""
    gateway.script([{"chunks": 2, "gap_ms": 0, "first_text_ms": 0, "cost": 0.01}])
    assert shell.displayhook is not None
    shell.displayhook.cache_size = KEPT
    run("_mine = _99 = 7").raise_error()
    for number in range(2 * KEPT):
        run(f"%%bifrost azure/fast -o answer\nSay {number}").raise_error()
    names, out = shell.user_ns, shell.user_ns["_oh"]
    assert names["_mine"] == names["_99"] == 7
    assert names["_"] is names["answer"] is out[max(out)]
    assert 0 < len(out) <= KEPT
    assert all(names[f"_{number}"] is result for number, result in out.items())
    held = {name: value for name, value in shell.user_ns_hidden.items() if isinstance(value, Run)}
    assert {id(value) for value in held.values()} <= {id(result) for result in out.values()}
