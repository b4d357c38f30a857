"""What aiohttp raises, and httpx where it unpacks an answer, as our errors."""

from __future__ import annotations

from typing import Any, TypeVar

from ..._wire.json_text import loads
from ...errors import BifrostError, ConnectionFailed, ProtocolError, StreamInterrupted, TimedOut
from .network_route import proxy_of

__all__ = ["foreign", "mapped", "of_proxy_perhaps", "timed_out"]

Refused = TypeVar("Refused", bound=BifrostError)


def foreign(error: BaseException) -> bool:
    """Whether aiohttp, httpx or the operating system raised it."""
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in ("aiohttp", "httpx", "httpx2")


def timed_out(phase: str, seconds: float | None) -> TimedOut:
    """The error for a limit of `seconds` (None: the connection's own) that passed in `phase`, a name of `Timeouts`."""
    what = {
        "connect": "The gateway did not accept the connection",
        "first_byte": "The gateway sent nothing",
        "between_chunks": "The stream sent nothing more",
        "total": "The call did not finish",
    }[phase]
    error = TimedOut(
        f"{what} within {seconds:g} s." if seconds is not None else f"{what} in time.",
        hint=f"Raise the limit with timeout=Timeouts({phase}=...), or look at the load.",
    )
    error.phase, error.seconds = phase, seconds
    return error


def mapped(
    error: BaseException, base_url: str, received: bool = False, connect_limit: float | None = None
) -> BifrostError:
    """Our error for one that is `foreign`."""
    import aiohttp  # late, as its pool is made: loading it takes 0.1 s

    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return timed_out("connect", connect_limit)
    if isinstance(error, aiohttp.ServerTimeoutError):
        return timed_out("between_chunks" if received else "first_byte", connect_limit)
    if isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        return _of_proxy(error, base_url)
    # By what was sent, not by its end; the second is httpx's, about what is not compressed as it says.
    broken = isinstance(error, aiohttp.ClientResponseError) or type(error).__name__ == "DecodingError"
    if not broken and (isinstance(error, aiohttp.ClientPayloadError) or received):
        return StreamInterrupted(
            "The connection broke in the middle of the answer.", hint="The text so far is in .text."
        )
    if broken:
        return ProtocolError(
            f"{base_url} answered with something that is not HTTP as a gateway speaks it.",
            hint="Is base_url the address and port of a Bifrost gateway?",
        )
    if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
        return ProtocolError(f"{base_url} cannot be used as an address.", hint="Check base_url.")
    hint = "Start one, check base_url, or use Client('demo') for the embedded gateway."
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        hint = "Pass ca_file= (BIFROST_CA_FILE) where the gateway's certificate is of an authority of your own."
    if isinstance(_cause(error), ConnectionResetError | BrokenPipeError):  # so gateways end what is too large for them
        hint = "Look at its own log; a large request may be more than it takes (max_request_body_size_mb there)."
    through = f", asked through the proxy {proxy}" if (proxy := proxy_of(base_url)) else ""
    failed = ConnectionFailed(f"No gateway answered at {base_url} ({_reason(error)}{through}).", hint=hint)
    failed.taken = not isinstance(error, aiohttp.ClientConnectorError)
    return failed


def _of_proxy(cause: Any, base_url: str) -> ConnectionFailed:
    """The proxy of the environment did not let us through; the gateway was never reached."""
    if hasattr(cause, "status"):
        proxy, why = proxy_of(base_url) or "of the environment", f"it answered {cause.status}"
    else:
        proxy, why = f"{cause.host}:{cause.port}", _reason(cause)
    return ConnectionFailed(
        f"The proxy {proxy} did not connect to {base_url} ({why}).",
        hint="HTTP_PROXY, HTTPS_PROXY or ALL_PROXY names it; add the gateway's host to NO_PROXY to ask it directly.",
    )


def of_proxy_perhaps(error: Refused, base_url: str, body: bytes) -> Refused:
    """`error`, which says so where a proxy stands before the gateway and the answer is not what a gateway writes."""
    proxy = proxy_of(base_url)
    if proxy is None or _is_object(body):
        return error
    error.args = (f"{error.message} The proxy {proxy} answered, or passed this on.",)
    error.hint = "HTTP_PROXY or HTTPS_PROXY names it; add the gateway's host to NO_PROXY to ask it directly."
    return error


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(loads(body), dict)
    except ValueError:
        return False


def _cause(error: BaseException) -> BaseException:
    """What the operating system said, where it did."""
    return error.__cause__ if isinstance(error.__cause__, OSError) else error


def _reason(cause: BaseException) -> str:
    import aiohttp

    if isinstance(cause, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return f"TLS: {cause.__cause__ or type(cause).__name__}"
    if isinstance(cause, aiohttp.ClientConnectorDNSError):
        return "unknown host"
    if isinstance(cause, aiohttp.ServerDisconnectedError):
        return "it closed the connection without an answer"
    number = _cause(cause)
    if isinstance(number, ConnectionRefusedError):
        return "connection refused"
    if isinstance(number, ConnectionResetError):
        return "connection reset"
    if isinstance(number, OSError) and number.strerror:
        return str(number.strerror)
    return type(cause).__name__
