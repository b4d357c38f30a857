"""One attempt of a call: sent, read, and handed to its collector as it comes."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson

from ..._runs.collector import Collector
from ..._runs.pieces import Pieces
from ..._wire.gateway_errors import tells_error
from ..._wire.json_text import loads
from ..._wire.sse import EventDecoder, is_done, looks_like_events
from ...errors import GatewayError, ProtocolError, StreamInterrupted
from .body import HEADERS, blocks, counted, form, head, in_pieces, whole
from .deadline import Deadline
from .network_errors import foreign, mapped, of_proxy_perhaps
from .pool import Pool, address

if TYPE_CHECKING:
    from aiohttp import ClientResponse

    from ..._runs.run import Run
    from ..calls import Call

__all__ = ["Sink", "attempt"]

STREAMED = ("text", "chat", "responses")
"""The kinds of call whose answers can be streams."""
AFTER_ERROR_S = 0.25
"""How long to wait for the token counts that may follow an error frame, where the stream does not end by itself."""

Sink = Callable[["Run", Pieces], None]
"""Called on the private loop's thread: once when it is known who serves, once per block, once at the end."""


async def attempt(
    http: Pool,
    base_url: str,
    call: Call,
    headers: Mapping[str, str],
    collector: Collector,
    began: float,
    sink: Sink | None,
) -> None:
    """Send `call` once and feed what comes back into `collector`.

    `began` is `time.monotonic()` when the call began: all times and the total limit count from there.
    Raises a BifrostError; what had arrived is in the collector.
    """
    limits, run = call.timeouts, call.run
    deadline = Deadline(limits, began)
    told = {**HEADERS, **headers}
    try:
        url, content = address(base_url + call.path, tuple(call.query.items())), _content(call, told)
        async with deadline.timer, http.request("POST", url, told, content, limits.connect) as response:
            answered = head(response)
            collector.headers(response.status, answered)
            kind = answered.get("content-type", "").lower() if response.status < 300 else ""
            can_stream = call.stream or call.kind in STREAMED  # some do it unasked, and it is paid for all the same
            if can_stream and kind.startswith("text/event-stream"):
                if sink is not None:
                    collector.who_serves()
                    sink(run, Pieces(collector.began_ms))
                await _read_stream(blocks(response, answered), collector, began, deadline, sink)
            else:
                body = await whole(response, answered)
                if not (can_stream and response.status < 300 and looks_like_events(body)):
                    sound = call.kind == "speech" and _is_sound(kind, body)
                    pieces = collector.take({"sound": body} if sound else _answer(response, body, collector, base_url))
                    if sink is not None:
                        sink(run, pieces)
                    return
                await _read_stream(_once(body), collector, began, deadline, sink)
    except Exception as error:
        late = isinstance(error, TimeoutError) and deadline.timer.expired()
        if not (late or foreign(error)):
            raise
        if not (collector.ended or collector.finished):  # else it broke after all had been said
            raise (deadline.passed() if late else mapped(error, base_url, collector.received, limits.connect)) from None
    if not collector.complete:
        raise StreamInterrupted(
            "The stream ended before the answer was complete: no finish reason"
            f"{'' if collector.done else ' and no [DONE]'} came.",
            hint="The text so far is in .text; the provider or a proxy closed the connection.",
        )
    collector.check_choices()


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _read_stream(
    rest: AsyncIterator[bytes], collector: Collector, began: float, deadline: Deadline, sink: Sink | None
) -> None:
    decoder, taken = EventDecoder(), 0
    async for block in rest:
        now = time.monotonic()
        taken, waiting = counted(taken, block), decoder.waiting
        payloads = decoder.feed(block)
        try:
            _feed(collector, payloads, 1000 * (now - began), sink)
        except (GatewayError, StreamInterrupted):
            if not any(map(is_done, payloads)):
                await _after_error(rest, decoder, collector)
            raise
        if payloads or decoder.waiting > waiting:
            deadline.heard(now, collector.ended, collector.finished)
    with suppress(ProtocolError):  # an event that was cut off: the answer is not complete
        _feed(collector, decoder.end(), 1000 * (time.monotonic() - began), sink)


def _feed(collector: Collector, payloads: Sequence[bytes], at_ms: float, sink: Sink | None) -> None:
    """What came together is handed on together, also before an error that came with it."""
    pieces = Pieces(at_ms)
    try:
        collector.feed(payloads, at_ms, pieces)
    finally:
        if pieces and sink is not None:
            sink(collector.run, pieces)


async def _after_error(rest: AsyncIterator[bytes], decoder: EventDecoder, collector: Collector) -> None:
    """Read on for a moment after an error frame: the tokens that were used may follow."""
    try:
        async with asyncio.timeout(AFTER_ERROR_S):
            async for block in rest:
                if collector.after_error(decoder.feed(block)):
                    return
    except Exception as error:  # the error frame says more than how the connection ended
        if not (isinstance(error, ProtocolError) or foreign(error)):  # a TimeoutError is an OSError
            raise


def _content(call: Call, headers: dict[str, str]) -> bytes | AsyncIterator[bytes]:
    """The body of a call, sent with `headers`, which are completed."""
    if call.file is None:
        return in_pieces(orjson.dumps(call.body, option=orjson.OPT_NON_STR_KEYS), headers)
    name, content = call.file  # as a file object, which is sent in pieces
    return form(call.body, {"file": (name, io.BytesIO(content), "application/octet-stream")}, headers)


def _is_sound(kind: str, body: bytes) -> bool:
    """Whether the body of a good answer to `speech` is sound: what a provider says of its failure with a good status
    is handed on as sound, too (measured on 1.4.18 to 2.0.0-prerelease3)."""
    sound = kind.startswith(("audio/", "application/octet-stream"))
    return sound and not (body[:1] == b"{" and tells_error(body))


def _answer(response: ClientResponse, body: bytes, collector: Collector, base_url: str) -> dict[str, Any]:
    """The JSON object of an answer with a good status; anything else raises."""
    status = response.status
    if status >= 400 or (status >= 300 and tells_error(body)):
        raise of_proxy_perhaps(collector.refusal(body), base_url, body)
    if status >= 300:
        what = f"{_told(response)}, a redirect, which is not followed."
        raise ProtocolError(what, hint="Set base_url to the gateway itself.")
    try:
        answer = loads(body)
    except orjson.JSONDecodeError:
        kind = response.headers.get("content-type") or "no content type"
        error = ProtocolError(
            f"{_told(response)} with something that is not JSON ({kind}, {len(body)} bytes).",
            hint="Is base_url the address of a Bifrost gateway?",
        )
        raise of_proxy_perhaps(error, base_url, body) from None
    if not isinstance(answer, dict):
        raise ProtocolError(f"{_told(response)} with JSON that is not an object.")
    return answer


def _told(response: ClientResponse) -> str:
    return f"{response.method} {response.url.path} answered {response.status}"
