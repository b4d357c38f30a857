"""Error answers and error frames of any gateway from 1.3 to 2.x, and the exception each becomes."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import orjson

from .._keys import hide_in, without_keys
from .._safe_text import plain
from ..errors import AuthenticationFailed, BudgetExceeded, GatewayError, NotFound, ProtocolError, RateLimited
from .json_text import loads
from .metadata import header, name_of
from .sse import EventDecoder, looks_like_events

__all__ = [
    "ErrorInfo",
    "TryAgain",
    "error_class",
    "gateway_error",
    "innermost",
    "is_error",
    "is_passing",
    "may_have_arrived",
    "no_answer",
    "parse_error",
    "retry_after",
    "tells_error",
]


class TryAgain(str):
    """A hint to send the call again or to name a fallback, of which a batch has none."""

    __slots__ = ()


_NO_REASON = "no reason was given"
_MESSAGE_LIMIT = 2000
_READ_LIMIT = 64 * 1024  # of a page that is not JSON
_DEEPEST = 4  # error objects inside one another
LONGEST_TOLD_S = 86_400
"""Nobody waits for longer, so it is not proposed."""

_BUDGET = frozenset({"budget_exceeded"})
_RATE = frozenset({"rate_limited", "token_limited", "request_limited", "rate_limit_exceeded", "rate_limit_error"})
_AUTHENTICATION = frozenset(
    {"virtual_key_required", "virtual_key_not_found", "virtual_key_blocked", "access_not_found", "access_blocked"}
    | {"model_blocked", "provider_blocked", "mcp_tool_blocked"}
    | {"authentication_error", "permission_error", "invalid_api_key"}
)
_NOT_FOUND = frozenset({"model_not_found", "not_found_error", "deploymentnotfound", "not_found"})
_FAILING = frozenset({"server_error", "internal_server_error", "api_error", "overloaded_error", "overloaded"})
_UNTOLD = (None, 400)
"""A frame inside a stream has no status. Of an error that a provider's stream begins with, gateways 1.4.18 to
2.0.0-prerelease3 make a 400, whatever its kind (measured)."""
_GOVERNANCE = _BUDGET | _RATE | _AUTHENTICATION

_NEEDS_KEY = (
    "Pass virtual_key=..., or set BIFROST_VIRTUAL_KEY; gateway 1.4.18 says the same of a key that it does not know."
)
_NOT_ALLOWED = "The virtual key may not use this; bf.virtual_keys() shows what it allows."
_HINTS: dict[str, str] = {
    "virtual_key_required": _NEEDS_KEY,
    "virtual_key_not_found": "The gateway does not know this virtual key; check BIFROST_VIRTUAL_KEY.",
    "access_not_found": "The gateway does not know this virtual key; check BIFROST_VIRTUAL_KEY.",
    "virtual_key_blocked": "The virtual key is switched off or has expired; its owner can renew it in the gateway.",
    "access_blocked": _NOT_ALLOWED,
    "model_blocked": _NOT_ALLOWED,
    "provider_blocked": _NOT_ALLOWED,
    "budget_exceeded": "The budget is used up until it is reset; bf.budgets() shows whose and when.",
    "token_limited": "The token limit is used up until it is reset; bf.rate_limits() shows whose and when.",
    "request_limited": "The request limit is used up until it is reset; bf.rate_limits() shows whose and when.",
    "insufficient_quota": "The provider's account has no quota left; waiting does not help.",
    "missing_required_headers": "The gateway wants these with every request: bf.Client(..., headers={...}).",
    "content_filter": "The provider's content filter refused it; change the prompt.",
    "content_policy_violation": "The provider's content filter refused it; change the prompt.",
    "moderation_blocked": "The provider's content filter refused it; change the prompt.",
    "context_length_exceeded": "Shorten the prompt, or ask for a shorter answer.",
    "upstream_credentials_exhausted": "The provider refused every key that the gateway has for it; renew them there.",
}
_QUEUE_FULL = re.compile("request dropped: queue is full", re.IGNORECASE)
"""The gateway's own limit (drop_excess_requests): nobody was asked. Measured: 503 on 2.0.0-prerelease3, 400 on 1.5.16,
500 before, without a type up to there."""
_BROKEN = re.compile("failed to execute HTTP request to provider API|network error occurred", re.IGNORECASE)
"""A provider that did not answer, or could not be reached. Gateways up to 1.5.1 tell it as 400, without a type; 502
since (measured)."""
_NOT_REACHED = re.compile("connect: connection refused|no such host", re.IGNORECASE)
"""Of `_BROKEN`, what failed before anything was sent: the same words on 1.3.63 to 2.0.0-prerelease3 (measured)."""
_HINTS_BY_MESSAGE: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), hint)
    for pattern, hint in (
        (
            r"provider/model format|provider is required|no providers? found|auto resolve a provider",
            "Write the deployment as provider/model, with a provider that the gateway has; bf.models() lists them.",
        ),
        (r"virtual key .*required|virtual key is missing", _NEEDS_KEY),
        (
            _QUEUE_FULL.pattern,
            "The gateway's queue for this provider is full; wait and try again, or send fewer at once.",
        ),
        (
            r"^error when parsing request",  # its HTTP server's own words, when a body is too large for it
            "The gateway could not read the request: it may be larger than it takes (max_request_body_size_mb there).",
        ),
        (
            r"azure key config not set",  # 1.3.63 to 1.4.18, where the gateway allows direct keys
            "The gateway took api_key= (or your Authorization) for Azure's own key, and has no address for that: leave "
            "it out, or name one in headers={'x-bf-azure-endpoint': ...}.",
        ),
        (
            r"network error occurred(?!.*connection reset)|connect: connection refused",
            "The gateway did not reach the provider; its address is set there.",
        ),
        (r"timed out|timeout", TryAgain("The provider took too long; try again, or name a fallback.")),
        (
            _BROKEN.pattern,
            TryAgain("The connection to the provider broke before its answer came; try again, or name a fallback."),
        ),
        (
            r"not a chat model|chat.?completion operation does not work",
            "This deployment has no chat; ask it for a text completion (client.complete, or --api text in the magic).",
        ),
        (
            r"is a chat model|\bcompletion operation does not work",
            "This deployment has no text completions; ask it by chat (client.chat, or --chat in the magic).",
        ),
        (
            r"(text.?completion|operation).*(not supported|unsupported)|unsupported operation",
            "This provider has no text completions; ask it by chat (client.chat, or --chat in the magic).",
        ),
        (
            r"embedding\w*\b.*(not (supported|allowed|work)|unsupported)|generate embeddings",
            "This deployment has no embeddings; the column `embedding` of bf.models() tells which ones have.",
        ),
        (
            r"use for batch apis",  # 1.3.63 to 2.0.0-prerelease3
            "Mark one of this provider's keys for batches in the gateway, and run the cell again.",
        ),
        (
            r"no (supported )?keys? found|provider .*not (configured|found|supported)|unsupported provider|"
            r"config(uration)? (for provider )?.*not found",
            "Configure this provider, with a key for the model, in the gateway; bf.providers() lists what it has.",
        ),
    )
)
_NOT_TAKEN = "The message says what is not taken; leave that parameter out, or change it."
_REFUSED = "The gateway or the provider refuses this request as it is; the message says why."
_HINTS_BY_STATUS: dict[int, str] = {
    400: _NOT_TAKEN,
    401: "Check virtual_key (BIFROST_VIRTUAL_KEY) and api_key (BIFROST_API_KEY).",
    402: _HINTS["budget_exceeded"],
    403: _NOT_ALLOWED,
    404: "Check the deployment's name against bf.models().",
    405: "Check base_url: it is the gateway's own address, without /v1.",
    407: "A proxy on the way asks who you are; write http://user:password@host:port in HTTPS_PROXY or HTTP_PROXY.",
    408: "Try again, or ask for a shorter answer.",
    413: "The request is too large for the gateway or a proxy before it; send less at once.",
    414: "The address is too long for the gateway or a proxy before it; check the deployment's name.",
    415: _NOT_TAKEN,
    422: _NOT_TAKEN,
    421: "This address does not serve that host; check base_url.",
    424: TryAgain("Something that the provider needs for this failed; try again, or name a fallback."),
    425: "Try again; a proxy before the gateway does not take requests this early.",
    431: "The headers are too large for the gateway or a proxy before it; pass fewer or shorter headers=.",
    451: "The provider may not answer this here; ask another deployment.",
    499: "The gateway treated the call as cancelled; try again.",
    429: TryAgain("Wait and try again, or name a fallback."),
    500: TryAgain("The gateway or the provider failed; try again, or name a fallback."),
    502: TryAgain("The gateway did not reach the provider; try again, or name a fallback."),
    503: TryAgain("The gateway or the provider is overloaded; try again, or name a fallback."),
    504: TryAgain("The provider took too long; try again, or name a fallback."),
    529: TryAgain("The provider is overloaded; try again, or name a fallback."),
}
_PROVIDER_REFUSES = "The provider refused the key that the gateway (or you, by api_key=) has for it."
_PROVIDER_FAILS = TryAgain("The provider failed or is overloaded; try again, or name a fallback.")
_NO_SUCH_ROUTE = "The provider has no such route at the address that the gateway has for it; correct it there."
_PROVIDERS_HINTS: dict[int, str] = {
    402: "The provider's account has no money left; waiting does not help.",
    405: _NO_SUCH_ROUTE,
    407: "A proxy between the gateway and the provider asks who is there; that is set in the gateway.",
    421: _NO_SUCH_ROUTE,
    502: TryAgain("The provider, or what is before it, failed; try again, or name a fallback."),
}
"""What a status means where the provider said it, not the gateway or a proxy before that."""
_HINTS_BY_CLASS: dict[int, str] = {
    3: "The provider redirects elsewhere; the address that the gateway has for it is to be corrected there.",
    4: _REFUSED,
    5: TryAgain("The gateway, the provider or a proxy between failed; try again, or name a fallback."),
}


class ErrorInfo(NamedTuple):
    """What an error answer says; None where unknown. Texts are safe to show: no control sequences, no keys."""

    status: int | None
    type: str | None
    code: str | None
    message: str
    provider: str | None
    request_id: str | None
    retry_after_s: float | None


def is_error(payload: object) -> bool:
    """Whether the JSON of an answer, or of a stream's event, tells of an error: an ``error``, or all of it (vLLM)."""
    return isinstance(payload, Mapping) and bool(payload.get("error") or payload.get("object") == "error")


def tells_error(body: bytes) -> bool:
    """Whether the body of a redirect, or of what should be sound, says what failed.

    The gateway hands on a provider's status with an error of its own, and a proxy or web server that redirects sends a
    page or nothing.
    """
    return is_error(_decoded(body))


def parse_error(
    body: bytes | str | Mapping[str, Any],
    status: int | None,
    headers: Mapping[str, str],
    *,
    secrets: Sequence[str | None] = (),
) -> ErrorInfo:
    """What went wrong, from the body of an error answer or from the JSON of an error frame.

    Read are the gateway's object, the same once more inside ``error`` (gateway 1.3), ``error`` as plain text, HTML and
    plain text of what stands between. `status` is the HTTP status (below 300, as with a frame inside a stream, the
    body's ``status_code`` counts). `secrets` are hidden in all texts.
    """
    content = _decoded(body)
    outer = content if isinstance(content, Mapping) else {}
    frame = innermost(outer)
    detail: Mapping[str, Any] = _object(frame.get("error")) or frame
    extra = _object(frame.get("extra_fields") or outer.get("extra_fields"))

    def safe(value: object, limit: int = 200) -> str | None:
        if isinstance(value, bool) or not isinstance(value, str | int):
            return None
        text = plain(str(value)[:_READ_LIMIT])  # first, so that no control sequence splits a key
        return plain(without_keys(text, *secrets), limit).strip() or None

    message = _message(outer, frame, detail) if isinstance(content, Mapping) else _page_text(content)
    kind = safe(frame.get("type")) or safe(outer.get("type"))
    if kind not in _GOVERNANCE:  # governance writes its kind on top, providers theirs inside
        kind = (safe(detail.get("type")) if detail is not frame else None) or kind
    provider = extra.get("provider") or _object(extra.get("routing_info")).get("provider")
    return ErrorInfo(
        status=_status(status, frame, outer, {"status_code": _code(detail)}),
        type=kind or safe(extra.get("error_type")),
        code=safe(detail.get("code")),
        message=safe(message, _MESSAGE_LIMIT) or _NO_REASON,
        provider=hide_in(name_of(provider) or name_of(header(headers, "x-bifrost-provider")), secrets),
        request_id=safe(header(headers, "x-bifrost-request-id") or header(headers, "x-request-id")),
        retry_after_s=retry_after(headers),
    )


def gateway_error(info: ErrorInfo) -> GatewayError:
    """The exception for `info`: its class, its message and what to do next."""
    kinds = ", ".join(dict.fromkeys(kind for kind in (info.type, info.code) if kind))
    error = error_class(info.status, info.type, info.code, info.message)(
        f"The gateway answered {info.status or 'with an error'}"
        f"{f' for {info.provider}' if info.provider else ''}{f' ({kinds})' if kinds else ''}: "
        f"{info.message}{'' if info.message.endswith(('.', '!', '?')) else '.'}",
        hint=_hint(info),
    )
    error.status, error.type, error.code = info.status, info.type, info.code
    error.provider, error.request_id, error.retry_after_s = info.provider, info.request_id, info.retry_after_s
    return error


def no_answer(info: ErrorInfo, lacking: str) -> GatewayError | ProtocolError:
    """The exception for a body of a good status that holds no answer, and so tells a failure or nothing."""
    if info.message != _NO_REASON:
        return gateway_error(info)
    if info.provider:  # so it is a gateway, which reads no error that a provider sends with a good status
        return ProtocolError(
            f"The gateway handed on an answer of {info.provider} that has no {lacking}.",
            hint=TryAgain(
                "The provider may have told a failure in a form that the gateway does not read; try again, or name a "
                "fallback."
            ),
        )
    return ProtocolError(
        f"The gateway answered with an object that holds no answer: it has no {lacking}.",
        hint="Is base_url the address of a Bifrost gateway? bf.gateway_logs() may say what happened.",
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from ``retry-after-ms`` or ``Retry-After`` (seconds or a date); None for nonsense.

    A date counts from the answer's own ``Date`` where it has one, so that clocks need not agree. Some write it as the
    seconds since 1970.
    """
    milliseconds = _seconds(header(headers, "retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = header(headers, "retry-after")
    now = _date(header(headers, "date")) or datetime.now(UTC)
    seconds = _seconds(value)
    if seconds is not None and abs(seconds - now.timestamp()) <= LONGEST_TOLD_S:
        return max(0.0, seconds - now.timestamp())
    if seconds is not None or value is None:
        return seconds
    moment = _date(value)
    if moment is None:
        return None
    return max(0.0, (moment - now).total_seconds())


def is_passing(error: GatewayError) -> bool:
    """Whether the same request may succeed a moment later: a limit on the rate, a time limit, a failing server."""
    if isinstance(error, RateLimited) or error.status == 408 or (error.status or 0) >= 500:
        return True
    failing = not _FAILING.isdisjoint(_lower((error.type, error.code))) or bool(_BROKEN.search(error.message))
    return error.status in _UNTOLD and failing


def may_have_arrived(error: GatewayError) -> bool:
    """Whether the provider may have taken the request, and done what it asks for, though this error came of it."""
    if _BROKEN.search(error.message):  # up to 1.5.1 a 400 (measured), which otherwise is a refusal
        return not _NOT_REACHED.search(error.message)
    return error.status in (408, 499) or not 400 <= (error.status or 0) < 500


def _lower(kinds: Iterable[str | None]) -> set[str]:
    return {(kind or "").lower() for kind in kinds}


def error_class(status: int | None, kind: str | None, code: str | None, message: str) -> type[GatewayError]:
    """The exception for an error of this status (of 400 or more), type, code and message."""
    kinds = _lower((kind, code))
    if status == 402 or kinds & _BUDGET:
        return BudgetExceeded
    if _QUEUE_FULL.search(message):
        return RateLimited
    if status in (401, 403):
        return AuthenticationFailed
    if status == 404:
        return NotFound
    if status == 429:
        return RateLimited
    if status in _UNTOLD:
        for names, error in ((_RATE, RateLimited), (_AUTHENTICATION, AuthenticationFailed), (_NOT_FOUND, NotFound)):
            if kinds & names:
                return error
    return GatewayError


def _hint(info: ErrorInfo) -> str | None:
    for kind in (info.type, info.code):
        if kind and (hint := _HINTS.get(kind.lower())):
            return hint
    for pattern, hint in _HINTS_BY_MESSAGE:
        if pattern.search(info.message):
            return hint
    if info.status == 429 and info.retry_after_s is not None and info.retry_after_s <= LONGEST_TOLD_S:
        return TryAgain(f"Wait {info.retry_after_s:g} s and try again, or name a fallback.")
    kinds = _lower((info.type, info.code))
    if info.provider and (info.status in (401, 403) or (info.status in _UNTOLD and kinds & _AUTHENTICATION)):
        return _PROVIDER_REFUSES  # governance, which is about our key, has a hint of its kind
    if info.status in _UNTOLD and kinds & _RATE:
        return _HINTS_BY_STATUS[429]
    if info.status in _UNTOLD and (kinds & _FAILING or info.status is None):
        return _PROVIDER_FAILS
    if info.provider and info.status in _PROVIDERS_HINTS:
        return _PROVIDERS_HINTS[info.status]
    status = info.status or 0
    hint = _HINTS_BY_STATUS.get(status) or _HINTS_BY_CLASS.get(status // 100)
    if info.message == _NO_REASON and hint in (_NOT_TAKEN, _REFUSED):
        return "The gateway's own log may say why: bf.gateway_logs()."
    return hint


def _decoded(body: bytes | str | Mapping[str, Any]) -> Mapping[str, Any] | str:
    """The JSON object of a body, or its text."""
    if isinstance(body, Mapping):
        return body
    try:
        content = loads(body)
    except orjson.JSONDecodeError:
        content = None
    if content is None and isinstance(body, bytes):
        content = _first_event(body)
    if isinstance(content, list) and len(content) == 1:  # as Gemini writes its errors
        content = content[0]
    if isinstance(content, Mapping):
        return content
    if isinstance(content, str):
        return content
    text = body[:_READ_LIMIT]
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else text


def _first_event(body: bytes) -> object:
    """The JSON of the first event that has some, where an error is sent as a stream is."""
    if not looks_like_events(body):
        return None
    decoder = EventDecoder()
    with suppress(ProtocolError, orjson.JSONDecodeError):
        return loads(next(iter(decoder.feed(body) + decoder.end()), b""))
    return None


def innermost(frame: Mapping[str, Any]) -> Mapping[str, Any]:
    """The gateway's error object; 1.3 sends it inside another one's ``error`` in a stream."""
    for _ in range(_DEEPEST):
        inner = frame.get("error")
        if not isinstance(inner, Mapping):
            break
        if "is_bifrost_error" not in inner and not isinstance(inner.get("error"), Mapping):
            break
        frame = inner
    return frame


def _message(outer: Mapping[str, Any], frame: Mapping[str, Any], detail: Mapping[str, Any]) -> str | None:
    """The error's text, and what the gateway's own code ran into where that says more."""
    told = (frame.get("error"), detail.get("message"), outer.get("message"), outer.get("detail"))
    message = next((text for text in told if isinstance(text, str) and text.strip()), None)
    if message is None:
        more = (*told[1:], outer.get("errors"))
        message = next((_spelled(value) for value in more if value and isinstance(value, Mapping | list)), None)
    cause = detail.get("error") if detail is not frame else None
    if not isinstance(cause, str) or not cause.strip():
        return message
    cause = _page_text(cause[:_READ_LIMIT])
    if message is None:
        return cause
    return message if cause in message else f"{message.rstrip('.')}: {cause}"


def _spelled(reason: Mapping[str, Any] | list[Any]) -> str | None:
    """A reason that is no text: the faults of a request as FastAPI lists them in words, anything else as JSON."""
    faults = [each for each in reason if isinstance(each, Mapping) and isinstance(each.get("msg"), str)]
    if faults and len(faults) == len(reason):
        places = [each["loc"] if isinstance(each.get("loc"), list) else [] for each in faults]
        found = [(".".join(map(str, place)), each["msg"]) for place, each in zip(places, faults, strict=True)]
        return "; ".join(f"{place}: {told}" if place else told for place, told in found)
    try:
        return json.dumps(reason, ensure_ascii=False)
    except RecursionError:
        return None


def _page_text(page: str) -> str:
    """One line that says what a page of a proxy or web server says: its title, or its text without markup."""
    if not page.strip():
        return "the answer has no body"
    if not re.match(r"\s*(?:<!doctype|<html|<\?xml|<head|<body)", page, re.IGNORECASE):
        return " ".join(page.split())
    title = re.search(r"<title[^<>]*>([^<]*)<", page, re.IGNORECASE)
    text = title[1] if title and title[1].strip() else re.sub(r"<[^<>]*>", " ", page)
    return f"a web page instead of JSON: {' '.join(html.unescape(text).split())[:300]!r}"


def _status(status: int | None, *frames: Mapping[str, Any]) -> int | None:
    if status is not None and status >= 300:
        return status
    told = (frame.get("status_code") for frame in frames)
    return next((code for code in told if type(code) is int and 400 <= code <= 599), None)


def _code(detail: Mapping[str, Any]) -> int | None:
    """OpenRouter, Google and LiteLLM write the status into the error as its code."""
    code = detail.get("code")
    return int(code) if type(code) is str and code.isascii() and code.isdecimal() and len(code) == 3 else code


def _seconds(value: str | None) -> float | None:
    try:
        seconds = float(value or "nan")
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _date(value: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value or "")
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
