"""Many small HTTP chunks that came together, as one.

A gateway writes each event of a stream in an HTTP chunk of its own, and for each aiohttp (3.14) runs a dozen functions
in Python: it tells its reader of the chunk's begin, data and end, and when the reader takes it, whether the transport
paused. httptools reads them by the same parser, llhttp, and runs one function in C for each. So it reads them first,
and aiohttp's parser is given what came together as one chunk.
"""

from __future__ import annotations

import httptools

__all__ = ["OneChunk"]

_HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
_MORE = "more came than the body"


class OneChunk:
    """Follows the chunks of one body; `joined` takes what the socket gave and gives what to parse.

    >>> OneChunk().joined(b"2\\r\\nab\\r\\n3\\r\\ncde\\r\\n")
    b'5\\r\\nabcde\\r\\n'
    """

    def __init__(self) -> None:
        self.wrong: str | None = None
        """What is no chunk, or that more came than the body."""
        self._contents: list[bytes] = []
        self._ended = False
        # httptools calls what has these names.
        self.on_body = self._contents.append
        parser = httptools.HttpResponseParser(self)
        parser.set_dangerous_leniencies(  # those of aiohttp
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        parser.feed_data(_HEAD)
        self._parser: httptools.HttpResponseParser | None = parser
        """None once the body has ended or broken: it holds this object."""

    def on_message_begin(self) -> None:
        if self._ended:
            self.wrong = _MORE

    def on_message_complete(self) -> None:
        self._ended = True

    def joined(self, block: bytes) -> bytes:
        """The same content in one chunk, all of it: nothing is held back but what is `wrong`, and what follows that."""
        if self._parser is None:
            self.wrong = self.wrong or _MORE
            return b""
        try:
            self._parser.feed_data(block)
        except httptools.HttpParserError as error:
            self.wrong = str(error)
        if self._ended or self.wrong:
            self._parser = None
        contents = list(self._contents)
        self._contents.clear()
        if contents:
            contents = [b"%x\r\n" % sum(map(len, contents)), *contents, b"\r\n"]
        return b"".join((*contents, b"0\r\n\r\n" if self._ended else b""))
