"""The chunks of an HTTP body that came together are parsed as one, and nothing else changes."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from aiohttp import streams
from aiohttp.http import HttpResponseParser
from hypothesis import example, given, strategies as st

from bifrost_nb._client.transport.chunks import OneChunk

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


class Reading:
    """The protocol of a parser: nobody pauses."""

    connected = True

    def pause_reading(self) -> None: ...

    def resume_reading(self, resume_parser: bool = True) -> None: ...


def parsed(blocks: list[bytes]) -> tuple[bytes, bool, str | None, int]:
    """What aiohttp's parser makes of a body: content, whether it ended, the kind of error, HTTP chunks."""
    loop: Any = asyncio.new_event_loop()
    try:
        parser: Any = HttpResponseParser(Reading(), loop, 2**16)  # type: ignore[arg-type]
        [(_, payload)], _, _ = parser.feed_data(HEAD)
        error = None
        try:
            for block in blocks:
                parser.feed_data(block)
        except Exception as found:
            error = type(found).__name__
        assert isinstance(payload, streams.StreamReader)
        content = b"".join(payload._buffer)
        return content, payload.is_eof(), error, len(payload._buffer)
    finally:
        loop.close()


def cut(body: bytes, places: list[int]) -> list[bytes]:
    """`body` in the blocks in which a socket may give it."""
    edges = [0, *sorted({place % (len(body) + 1) for place in places}), len(body)]
    return [body[start:end] for start, end in itertools.pairwise(edges) if end > start]


def joined(blocks: list[bytes]) -> tuple[list[bytes], str | None]:
    """What is given to the parser, and what was found wrong."""
    one = OneChunk()
    return [one.joined(block) for block in blocks], one.wrong


def framed(contents: list[bytes]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(content), content) for content in contents)


_CONTENTS = st.lists(st.sampled_from([b"a", b'data: {"t": 1}\n\n', b"\r\n", b"5\r\nhello\r\n", b"0", b"x" * 300]))
_ENDS = st.sampled_from(
    [b"0\r\n\r\n", b"0\r\nx-more: 1\r\n\r\n", b"00\r\n\r\n", b"", b"zz\r\n", b"5\r\nab", b"-1\r\na\r\n"]
)
_ODD = st.sampled_from([
    b"", b"", b"A\r\n0123456789\r\n", b"02\r\nab\r\n", b"2;x=1\r\nab\r\n", b"2\nab\n", b"2\r\nabc", b"+2\r\nab\r\n",
    b"0x2\r\nab\r\n", b"\r\n", b" 2\r\nab\r\n", b"1_0\r\n0123456789abcdef\r\n",
])  # fmt: skip
_PLACES = st.lists(st.integers(0, 2000), max_size=8)


@example([b"abc", b"de"], b"", [b"f"], b"0\r\n\r\n", [1, 2, 4, 6, 7, 9])
@given(_CONTENTS, _ODD, _CONTENTS, _ENDS, _PLACES)
def test_a_body_stays_what_it_was(
    contents: list[bytes], odd: bytes, more: list[bytes], end: bytes, places: list[int]
) -> None:
    """Sound or not, cut anywhere: aiohttp reads the same content and the same end, and what is wrong is found."""
    blocks = cut(framed(contents) + odd + framed(more) + end, places)
    content, ended, error, count = parsed(blocks)
    given, wrong = joined(blocks)
    ours, ours_ended, ours_error, ours_count = parsed([block for block in given if block])
    assert (ours_ended, bool(wrong), ours_error) == (ended, bool(error), None)
    # Of a block in which something is wrong aiohttp alone reads nothing.
    assert ours == content if error is None else ours.startswith(content)
    assert ours_count <= count


@pytest.mark.parametrize("block", [64, 1000, 100_000])
def test_events_that_came_together_are_one_chunk(block: int) -> None:
    """However the socket cuts them, the parser has one piece for each block that holds any of them."""
    body = framed([b'data: {"n": %d}\n\n' % number for number in range(2000)]) + b"0\r\n\r\n"
    blocks = [body[at : at + block] for at in range(0, len(body), block)]
    given, wrong = joined(blocks)
    content, ended, error, count = parsed([block for block in given if block])
    assert (content, ended, error, wrong) == (parsed([body])[0], True, None, None)
    assert count <= len(blocks)


def test_nothing_is_held_back() -> None:
    """Each byte of the content that comes byte by byte is passed on at once."""
    body = framed([b"abc", b"x" * 20]) + b"0\r\n\r\n"
    one = OneChunk()
    given = [one.joined(body[at : at + 1]) for at in range(len(body))]
    assert [block for block in given if block] == [
        *(b"1\r\n%b\r\n" % byte for byte in (b"a", b"b", b"c", *[b"x"] * 20)),
        b"0\r\n\r\n",
    ]
    assert one.wrong is None
    assert one.joined(b"HTTP/1.1 200 OK\r\n") == b""
    assert one.wrong == "more came than the body"
