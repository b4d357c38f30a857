"""The numbers of a stream's chunks: what can be known about chunks that are missing, doubled or out of order."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, strategies as st

from bifrost_nb._wire.chunk_sequence import ChunkOrder


def note(numbers: Iterable[object]) -> str | None:
    order = ChunkOrder()
    for number in numbers:
        if number == order.due:
            order.due += 1
        else:
            order.odd(number)
    return order.note()


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ([0, 1, 3, 4], "1 chunk never came:"),
        ([0, 1, 2, 6, 7, 8, 9], "3 chunks never came:"),
        ([2, 3, 4, 5], "2 chunks never came:"),
        ([0, 1, 1, 2], "1 chunk came twice:"),
        ([0, 1, 3, 2, 4], "1 chunk came late:"),
        ([0, 1, 2, 3, 6, 4, 6, 7, 8], "1 chunk never came, 1 chunk came twice, 1 chunk came late:"),
    ],
)
def test_what_is_odd_is_told(numbers: list[int], said: str) -> None:
    """Gaps, repetitions and changes of order are counted."""
    assert said in (note(numbers) or "")


@pytest.mark.parametrize(
    "numbers",
    [
        [],
        [0, 1, 2, 3],
        [1, 2, 3],
        [0, 1, 2, 4],  # Anthropic through the engine: the event before the last is counted and not sent on
        [0] * 9,
        [0, 10, 20, 30],
        [7, 7, 7],
        [0, 10**18, 10**18 + 1],
        [0, 1, None, "2", -1, 2.5, {}, 2],
    ],
)
def test_numbers_that_are_no_evidence_are_not_believed(numbers: list[object]) -> None:
    """Constant, leaping or foreign numbers are no evidence against the stream, and fill no memory."""
    assert note(numbers) is None


@given(st.lists(st.integers(0, 10**20) | st.integers(0, 30) | st.none() | st.text(max_size=2), max_size=60))
def test_any_numbers_are_taken(numbers: list[object]) -> None:
    """Nothing fails, and what comes back is None or a sentence."""
    assert note(numbers) is None or str(note(numbers)).startswith("By the gateway's numbers ")
