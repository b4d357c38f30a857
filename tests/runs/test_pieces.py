"""What came at one moment, by columns, is the same as a list of its pieces."""

from __future__ import annotations

import pytest

from bifrost_nb._runs.pieces import Piece, Pieces


def test_columns_are_read_as_pieces() -> None:
    """A view counts, indexes and goes through them; `live=` of a person's own may."""
    pieces = Pieces(5.0)
    assert not pieces
    pieces.add(1, "b", "")
    pieces.extend(["a", "c"], ["", "hm"])
    expected = [Piece(1, "b", "", 5.0), Piece(0, "a", "", 5.0), Piece(0, "c", "hm", 5.0)]
    assert list(pieces) == expected
    assert (len(pieces), pieces[-1], pieces[:2]) == (3, expected[-1], expected[:2])
    assert expected[1] in pieces
    assert all(type(piece) is Piece for piece in pieces)
    with pytest.raises(IndexError):
        pieces[3]


def test_texts_are_those_of_the_first_choice() -> None:
    """Without those that are empty, whether there are other choices or not."""
    pieces = Pieces(5.0)
    pieces.extend(["a", "", "c"], ["", "hm", ""])
    assert list(pieces.first_texts()) == ["a", "c"]
    pieces.add(1, "b", "")
    pieces.add(0, "d", "")
    assert list(pieces.first_texts()) == ["a", "c", "d"]
