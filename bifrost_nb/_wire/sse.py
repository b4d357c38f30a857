"""Server-sent events: bytes of a response body to the payloads of its ``data:`` lines.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html, plus what gateways do beside it: a comment
(``: heartbeat``) directly before a ``data:`` line, and a last event without its blank line.

Why not httpx-sse 0.4.3, which is well kept: it reads text by lines (six times slower per event; a chunk
costs less to parse than to frame that way), it keeps a byte-order mark, it drops an event whose blank line is
missing at the end of the stream, and it buffers a line of any length. ``tests/wire/test_sse.py`` shows each of
these side by side, and that both agree on everything else.
"""

from __future__ import annotations

import re

from ..errors import ProtocolError

__all__ = ["DONE", "EventDecoder", "is_done", "looks_like_events"]

DONE = b"[DONE]"
"""The payload that ends a stream of completions."""

_events = re.compile(rb"\n\ndata: ").split  # faster than the method of bytes
_LIMIT = 8 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"


def is_done(payload: object) -> bool:
    """Whether a payload ends a stream of completions: ``[DONE]``, and what may follow it, as the SDKs read it."""
    return isinstance(payload, bytes) and payload.startswith(DONE)


def looks_like_events(body: bytes) -> bool:
    """Whether `body` is a stream of events, whatever it is called: servers and proxies mistake its type.

    >>> looks_like_events(b"data: {}"), looks_like_events(b'{"data": 1}')
    (True, False)
    """
    return body[:64].removeprefix(_BOM).lstrip().startswith((b"data:", b"event:"))


class EventDecoder:
    """Bytes in blocks of any size to payloads, in order; `feed` each block, then call `end` once.

    `limit` is the size in bytes that one line, and the data of one event, may have. Payloads stay bytes: UTF-8 cut
    between two blocks needs no care, and the JSON parser refuses what is not UTF-8. Payloads of ``event: error`` are
    among the others; `bifrost_nb._wire.gateway_errors.is_error` tells them. An event without data is not reported.
    """

    def __init__(self, limit: int = _LIMIT) -> None:
        self._limit = limit
        self._partial: list[bytes] = []  # the line that has not ended yet, in pieces
        self._size = 0  # of these pieces
        self._data: list[bytes] = []  # data lines of the event that has not ended yet
        self._data_size = 0
        self._after_cr = False  # the last byte was CR: an LF that follows belongs to it
        self._first = True  # no line seen yet: it may start with a byte-order mark

    @property
    def waiting(self) -> int:
        """Bytes of the data of an event that has not ended yet; those of comments do not count."""
        partial = 0 if not self._partial or self._partial[0].startswith(b":") else self._size
        return self._data_size + partial

    def feed(self, block: bytes) -> list[bytes]:
        """The payloads of all events that `block` completes.

        Raises ProtocolError for a line or event over the limit; whole events before it in the same block are lost.
        """
        block = self._newlines_only(block)
        if b"\n" not in block:
            if block:
                self._partial.append(block)
                self._size += len(block)
                self._check(self._size)
            return []
        text = b"".join((*self._partial, block)) if self._partial else block
        payloads, text = self._plain_events(text)
        lines = text.split(b"\n")
        rest = lines.pop()
        for line in lines:
            self._line(line, payloads)
        self._partial = [rest] if rest else []
        self._size = len(rest)
        self._check(self._size)
        return payloads

    def end(self) -> list[bytes]:
        """The payload of an event that lacks its blank line, if any.

        The connection may have been cut in the middle of it: a payload from here that is not JSON means a truncated
        stream, not a wrong one.
        """
        payloads: list[bytes] = []
        if self._partial:
            self._line(b"".join(self._partial), payloads)
        self._line(b"", payloads)
        self._partial, self._size = [], 0
        return payloads

    def _newlines_only(self, block: bytes) -> bytes:
        """`block` with CR and CRLF as LF, wherever the CRLF was cut."""
        if not block:
            return block
        if self._after_cr and block[0] == 0x0A:
            block = block[1:]
        self._after_cr = block.endswith(b"\r")
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return block

    def _plain_events(self, text: bytes) -> tuple[list[bytes], bytes]:
        """The fast path: events that are one ``data: `` line each, or one behind ``event: ``, and what follows them.

        A few scans in C for a whole block. They are plain if no newline is left but those that part them, which is
        looked up five times as fast as newlines are counted.
        """
        head, separator, rest = text.rpartition(b"\n\n")
        if not separator or self._data:
            return [], text
        if head.startswith(b"data: "):
            payloads = _events(head)
            payloads[0] = payloads[0][6:]
            plain = b"\n" not in b"".join(payloads)
        elif head.startswith(b"event: "):
            payloads = _named_events(head)
            plain = head.count(b"\n") == 3 * len(payloads) - 2
        else:
            return [], text
        if not plain or b"" in payloads:
            return [], text
        if len(head) > self._limit:
            self._check(6 + max(map(len, payloads)))
        self._first = False
        return payloads, rest

    def _line(self, line: bytes, payloads: list[bytes]) -> None:
        self._check(len(line))
        if self._first:
            line = line.removeprefix(_BOM)
            self._first = False
        if not line:
            if self._data_size:
                payloads.append(b"\n".join(self._data))
            self._data.clear()
            self._data_size = 0
            return
        field, _, value = line.partition(b":")
        if field == b"data":  # comments have an empty field name; event, id and retry say nothing we use
            value = value.removeprefix(b" ")
            self._data_size += len(value) + bool(self._data)
            self._data.append(value)
            self._check(self._data_size)

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise ProtocolError(
                f"A line of the stream is longer than the size limit of {self._limit:,} bytes.",
                hint="A gateway sends small chunks; look at what answers at base_url.",
            )


def _named_events(head: bytes) -> list[bytes]:
    """The data of events that name their kind first, as Anthropic's and the Responses API's do; empty of any other."""
    parts = [event.partition(b"\ndata: ") for event in head[7:].split(b"\n\nevent: ")]
    return [data for _, _, data in parts]
