"""JSON is read as Python's own reader, and so every SDK, reads it; characters come out whole."""

from __future__ import annotations

import json
import math
from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st

from bifrost_nb._wire.json_text import loads, whole_characters

TAKEN = {
    "infinity": b'{"logprob": -Infinity}',
    "mark": b'\xef\xbb\xbf{"a": 1}',
    "half of a character": b'{"a": "ok \\ud83d"}',
    "utf-16": '{"a": "größer"}'.encode("utf-16"),
    "large number": b'{"a": 123456789012345678901234567890}',
}


@pytest.mark.parametrize("content", TAKEN.values(), ids=TAKEN)
def test_what_python_takes_is_taken(content: bytes) -> None:
    """Infinities, marks, halves of characters, other encodings and large numbers are read as Python reads them."""
    assert loads(content) == pytest.approx(json.loads(content)) or loads(content) == json.loads(content)


def test_nan_and_bytes_that_are_no_text() -> None:
    """NaN is a number, and a byte that is not UTF-8 costs its character, not the answer."""
    assert math.isnan(loads(b'{"a": NaN}')["a"])
    assert loads(b'\xef\xbb\xbf{"a": "x\xff"}') == {"a": "x\ufffd"}


@pytest.mark.parametrize("content", [b"", b"{", b"<html>", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b",}"])
def test_what_is_no_json_is_refused(content: bytes) -> None:
    """What Python refuses too is one kind of error."""
    with pytest.raises(orjson.JSONDecodeError):
        loads(content)


@given(st.text(st.characters(categories=None), max_size=20))  # halves of characters among them
def test_characters_come_out_whole(text: Any) -> None:
    """Every text can be encoded after; whole characters stay, and halves that follow each other are joined."""
    found = whole_characters(text)
    found.encode()
    assert found == (text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    assert whole_characters("\ud83d" + "\ude00") == "😀"
