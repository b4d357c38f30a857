"""What the chunks of an answer added: to each choice, piece by piece, as it came."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any, NamedTuple, overload

__all__ = ["Piece", "Pieces"]


class Piece(NamedTuple):
    """What one chunk added to one `choice` (from 0): `text`, `reasoning`; either may be empty.

    `at_ms`: arrival, in ms since the call began.
    """

    choice: int
    text: str
    reasoning: str
    at_ms: float


_piece: Callable[[type[Piece], Iterable[Any]], Piece] = tuple.__new__  # `Piece._make`, in a third of the time


class Pieces(Sequence[Piece]):
    """What came at one moment, by columns: most who read a stream want its texts, and a tuple for each takes as long
    as a third of reading its JSON.

    >>> pieces = Pieces(5.0)
    >>> pieces.add(0, "a word", "")
    >>> list(pieces)
    [Piece(choice=0, text='a word', reasoning='', at_ms=5.0)]
    """

    __slots__ = ("at_ms", "choices", "reasonings", "texts")

    def __init__(self, at_ms: float) -> None:
        self.at_ms = at_ms
        self.choices: list[int] = []
        self.texts: list[str] = []
        self.reasonings: list[str] = []

    def add(self, choice: int, text: str, reasoning: str) -> None:
        self.choices.append(choice)
        self.texts.append(text)
        self.reasonings.append(reasoning)

    def extend(self, texts: list[str], reasonings: list[str]) -> None:
        """Many pieces of the first choice."""
        self.choices += [0] * len(texts)
        self.texts += texts
        self.reasonings += reasonings

    def first_texts(self) -> Iterable[str]:
        """The texts of the first choice that are not empty."""
        if not any(self.choices):
            return filter(None, self.texts)
        return [text for choice, text in zip(self.choices, self.texts, strict=True) if text and not choice]

    def __len__(self) -> int:
        return len(self.choices)

    def __iter__(self) -> Iterator[Piece]:
        columns = zip(self.choices, self.texts, self.reasonings, repeat(self.at_ms))
        return map(_piece, repeat(Piece), columns)

    @overload
    def __getitem__(self, place: int) -> Piece: ...
    @overload
    def __getitem__(self, place: slice) -> list[Piece]: ...
    def __getitem__(self, place: int | slice) -> Piece | list[Piece]:
        if isinstance(place, slice):
            return list(self)[place]
        return Piece(self.choices[place], self.texts[place], self.reasonings[place], self.at_ms)

    def __repr__(self) -> str:
        return f"<Pieces {list(self)!r}>"
