"""An event stream without its comments, for Google's SDK, which takes each line for an event.

Gateway 2.0 writes ``: heartbeat`` and an empty line on ``/genai`` once a second (measured). The blank line goes with
the comment, unless it ends an event that came before.
"""

from __future__ import annotations

from .exchange import Exchange

__all__ = ["CommentFilter", "comment_filter"]


def comment_filter(exchange: Exchange) -> CommentFilter | None:
    """A filter for the answer whose head has come; None where nothing is to be left out."""
    if not exchange.path.startswith("/genai/"):
        return None
    headers = exchange.headers
    kind = headers.get("content-type", "").lower()
    # The SDK goes by what it asked for, whatever the content type says.
    streamed = kind.startswith("text/event-stream") or ":streamGenerateContent" in exchange.path
    plain = headers.get("content-encoding", "identity") == "identity"
    return CommentFilter(exchange) if streamed and plain else None


class CommentFilter:
    """Bytes in blocks of any size; counts in `exchange` what it leaves out."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._at_start = self._after_blank = True
        self._in_comment = self._after_comment = False

    def feed(self, block: bytes) -> bytes:
        """What of `block` is no comment."""
        kept = []
        for line in block.splitlines(keepends=True):
            if self._at_start:
                blank = line in (b"\n", b"\r\n")
                skip, self._after_comment = blank and self._after_comment and self._after_blank, False
                if skip:
                    continue
                self._in_comment = line.startswith(b":")
                if not self._in_comment:
                    self._after_blank = blank
            self._at_start = line.endswith(b"\n")
            if not self._in_comment:
                kept.append(line)
            elif self._at_start:
                self._after_comment = True
                self._exchange.dropped += 1
        return b"".join(kept)
