"""Everything this package raises on purpose.

::

    BifrostError
    ├── ConfigurationError      a setting or argument is wrong; nothing was sent
    ├── TemplateError           a {{placeholder}} has no value; nothing was sent
    ├── LogError                the run log cannot be written or read
    ├── ConnectionFailed        no gateway answered at the address
    ├── TimedOut                one of the four time limits passed
    ├── GatewayError            the gateway, or the provider behind it, answered with an error
    │   ├── AuthenticationFailed    401, 403: a key is missing, wrong or not allowed
    │   ├── BudgetExceeded          402
    │   ├── NotFound                404: no such deployment or route
    │   └── RateLimited             429
    ├── ProtocolError           what came back is not what a gateway sends
    └── StreamInterrupted       the stream ended early; `.text` holds what arrived

Every error that reached the gateway has `.run`, already in the run log.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from ._runs.run import Run

__all__ = [
    "AuthenticationFailed",
    "BifrostError",
    "BudgetExceeded",
    "ConfigurationError",
    "ConnectionFailed",
    "GatewayError",
    "LogError",
    "NotFound",
    "ProtocolError",
    "RateLimited",
    "StreamInterrupted",
    "TemplateError",
    "TimedOut",
]


_LONGEST = 4_000
"""Characters of a message, and of a hint: what was passed may be huge, and stands in many of them."""


class BifrostError(Exception):
    """Base of all errors of this package.

    Attributes: `run` (the recorded `Run`, or None if nothing was sent), `hint` (what to do next, or None).
    """

    run: Run | None
    hint: str | None

    def __init__(self, message: str, *, hint: str | None = None, run: Run | None = None) -> None:
        super().__init__(_cut(message))
        self.hint = None if hint is None else _cut(hint)
        self.run = run

    def __reduce__(self) -> Any:
        written = {} if self.run is None else self.run.written
        if "error_message" not in written:
            return super().__reduce__()
        # A pickle is a file: what a `redact` hook changed or left out of the message is so there, too.
        said = written["error_message"] or f"{type(self).__name__}; its words are left out, as redact= wants it."
        return type(self), (said,), {**vars(self), "hint": None}

    def bare(self) -> Self:
        """This error without the frames it came through and without what caused it: their variables may hold keys."""
        self.__context__ = self.__cause__ = None
        return self.with_traceback(None)

    def _render_traceback_(self, *_: Any, **__: Any) -> list[str]:
        """What IPython shows: the caller's own lines and the message, nothing of what lies below the call.

        All of it is shown after ``%xmode Verbose``, or ``%config Bifrost.short_errors = False``.
        """
        ipython = sys.modules.get("IPython")
        shell = ipython.get_ipython() if ipython is not None else None
        if shell is None:  # another program's way to show errors
            return traceback.format_exception(self)
        whole = shell.InteractiveTB.mode == "Verbose"
        whole |= not all(getattr(one, "short_errors", True) for one in shell.configurables)
        shown = self.__traceback__ if whole else _callers(self.__traceback__)
        lines: list[str] = shell.InteractiveTB.structured_traceback(type(self), self, shown, tb_offset=1)
        return lines

    @property
    def message(self) -> str:
        """What was wrong, without the hint."""
        return str(self.args[0]) if self.args else ""

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


_PACKAGE = str(Path(__file__).parent / "_")[:-1]


def _callers(trace: TracebackType | None) -> TracebackType | None:
    """The frames of `trace` down to the call of this package; all of them where it made the first call itself."""
    own: list[TracebackType] = []
    at = trace
    while at is not None and not at.tb_frame.f_code.co_filename.startswith(_PACKAGE):
        own.append(at)
        at = at.tb_next
    shown = None
    for one in reversed(own):
        shown = TracebackType(shown, one.tb_frame, one.tb_lasti, one.tb_lineno)
    return shown or trace


def _cut(text: str) -> str:
    return text if not isinstance(text, str) or len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


class ConfigurationError(BifrostError, ValueError):
    """A setting or argument is wrong; nothing was sent."""


class TemplateError(BifrostError, ValueError):
    """A ``{{placeholder}}`` has no value; nothing was sent."""


class LogError(BifrostError, OSError):
    """The run log cannot be written or read. The run itself is never lost: the caller still gets it."""


class ConnectionFailed(BifrostError, ConnectionError):
    """No gateway answered at the address (refused, reset, unknown host, TLS).

    Attribute: `taken` is True if the connection stood, so that the gateway may have read the request and passed it on.
    """

    taken: bool = False


class TimedOut(BifrostError, TimeoutError):
    """A time limit passed.

    Attributes: `phase` is ``connect``, ``first_byte``, ``between_chunks`` or ``total``; `seconds` the limit.
    """

    phase: str | None = None
    seconds: float | None = None


class GatewayError(BifrostError):
    """The gateway, or the provider behind it, answered with an error.

    Attributes: `status` (HTTP status), `type`, `code`, `provider`, `request_id`, `retry_after_s` (seconds, from
    ``Retry-After``); each None where unknown. Texts come from outside: control sequences and keys are removed.
    """

    status: int | None = None
    type: str | None = None
    code: str | None = None
    provider: str | None = None
    request_id: str | None = None
    retry_after_s: float | None = None


class AuthenticationFailed(GatewayError):
    """401 or 403: a key is missing, wrong or not allowed to do this."""


class BudgetExceeded(GatewayError):
    """402: the virtual key's, team's or customer's budget is used up."""


class NotFound(GatewayError):
    """404: no such deployment, model or route."""


class RateLimited(GatewayError):
    """429: too many requests or tokens; also where the gateway tells it by another status, or its own queue is full.

    `retry_after_s` says how long to wait, if the provider said so.
    """


class ProtocolError(BifrostError):
    """What came back is not what a gateway sends (wrong content type, broken JSON, an oversized line)."""


class StreamInterrupted(BifrostError):
    """The stream ended before the answer was complete. `text` holds what arrived.

    Attributes: `type` and `code` are what the gateway calls it, None where it says nothing.
    """

    type: str | None = None
    code: str | None = None

    @property
    def text(self) -> str:
        """The first choice's text received so far; empty if there was none."""
        return (self.run.response or "") if self.run is not None else ""
