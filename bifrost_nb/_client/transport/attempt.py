"""One attempt of a call: sent, read, and handed to its collector as it comes."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import httpx
import orjson

from ..._runs.collector import Collector, Piece
from ..._wire.json_text import loads
from ..._wire.metadata import LowerNames
from ..._wire.sse import EventDecoder
from ...errors import GatewayError, ProtocolError, StreamInterrupted
from .body import HEADERS, blocks, counted, sent, whole
from .deadline import Deadline
from .error_map import foreign, mapped, of_proxy_perhaps

if TYPE_CHECKING:
    from ..._runs.run import Run
    from ..calls import Call

__all__ = ["Sink", "attempt"]

AFTER_ERROR_S = 0.25
"""How long to wait for the token counts that may follow an error frame, where the stream does not end by itself."""

Sink = Callable[["Run", list[Piece]], None]
"""Called on the private loop's thread: once when it is known who serves, once per block, once at the end."""


async def attempt(
    http: httpx.AsyncBaseTransport,
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
    try:
        async with deadline.timer, sent(http, _request(base_url, call, headers)) as response:
            collector.headers(response.status_code, LowerNames.of(response.headers.raw))
            if call.stream and _is_event_stream(response):
                if sink is not None:
                    collector.who_serves()
                    sink(run, [])
                await _read_stream(response, collector, began, deadline, sink)
            else:
                body = await whole(response)
                sound = call.kind == "speech" and _is_sound(response)
                pieces = collector.answer({"sound": body} if sound else _answer(response, body, collector, base_url))
                if sink is not None:
                    sink(run, pieces)
                return
    except TimeoutError:
        if not (collector.ended or collector.finished):
            raise deadline.passed() from None
    except Exception as error:
        if not foreign(error):
            raise
        if not (collector.ended or collector.finished):  # else it broke after all had been said
            raise mapped(error, base_url, collector.received, limits.connect) from None
    if not collector.complete:
        raise StreamInterrupted(
            "The stream ended before the answer was complete: no finish reason and no [DONE] came.",
            hint="The text so far is in .text; the provider or a proxy closed the connection.",
        )


async def _read_stream(
    response: httpx.Response, collector: Collector, began: float, deadline: Deadline, sink: Sink | None
) -> None:
    decoder, taken, rest = EventDecoder(), 0, blocks(response)
    async for block in rest:
        now = time.monotonic()
        taken, waiting = counted(taken, block), decoder.waiting
        payloads = decoder.feed(block)
        try:
            pieces = collector.feed(payloads, 1000 * (now - began))
        except (GatewayError, StreamInterrupted):
            if b"[DONE]" not in payloads:
                await _after_error(rest, decoder, collector)
            raise
        if payloads or decoder.waiting > waiting:
            deadline.heard(now, collector.ended, collector.finished)
        if pieces and sink is not None:
            sink(collector.run, pieces)
    with suppress(ProtocolError):  # an event that was cut off: the answer is not complete
        collector.feed(decoder.end(), 1000 * (time.monotonic() - began))


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


def _request(base_url: str, call: Call, headers: Mapping[str, str]) -> httpx.Request:
    told = {**HEADERS, **headers}
    sent: dict[str, Any]
    if call.file is None:
        sent = {"content": orjson.dumps(call.body, option=orjson.OPT_NON_STR_KEYS)}
    else:  # as a file object, which httpx sends in pieces
        name, content = call.file
        sent = {"data": call.body, "files": {"file": (name, io.BytesIO(content), "application/octet-stream")}}
        del told["content-type"]  # httpx writes it, with the boundary
    return httpx.Request(
        "POST",
        _url(base_url + call.path, tuple(call.query.items())),
        **sent,
        headers=httpx.Headers(told, encoding="utf-8"),  # a header may hold a person's name
        extensions={"timeout": {"connect": call.timeouts.connect}},
    )


@lru_cache(maxsize=256)  # a client asks few addresses, and reading one takes as long as parsing an answer
def _url(address: str, query: tuple[tuple[str, str], ...] = ()) -> httpx.URL:
    return httpx.URL(address, params=dict(query)) if query else httpx.URL(address)


def _is_event_stream(response: httpx.Response) -> bool:
    kind = response.headers.get("content-type", "").lower()
    return response.status_code < 300 and kind.startswith("text/event-stream")


def _is_sound(response: httpx.Response) -> bool:
    kind = response.headers.get("content-type", "").lower()
    return response.status_code < 300 and kind.startswith(("audio/", "application/octet-stream"))


def _answer(response: httpx.Response, body: bytes, collector: Collector, base_url: str) -> dict[str, Any]:
    """The JSON object of a good answer; anything else raises."""
    status = response.status_code
    if status >= 400:
        raise of_proxy_perhaps(collector.refusal(body), base_url, body)
    what = f"{response.request.method} {response.request.url.path} answered {status}"
    if status >= 300:
        raise ProtocolError(f"{what}, a redirect, which is not followed.", hint="Set base_url to the gateway itself.")
    try:
        answer = loads(body)
    except orjson.JSONDecodeError:
        kind = response.headers.get("content-type") or "no content type"
        error = ProtocolError(
            f"{what} with something that is not JSON ({kind}, {len(body)} bytes).",
            hint="Is base_url the address of a Bifrost gateway?",
        )
        raise of_proxy_perhaps(error, base_url, body) from None
    if not isinstance(answer, dict):
        raise ProtocolError(f"{what} with JSON that is not an object.")
    if answer.get("error") and not answer.get("choices"):
        raise collector.refusal(answer)
    return answer
