"""An `Exchange` that has ended becomes its `Run`. No I/O: all that came is at hand, with its times."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence

import orjson

from .._client.call_notes import missing_notes
from .._client.dispatch import describe, status_of
from .._keys import keys_sent, tool_keys, without_tool_keys
from .._runs.collector import NOTHING_COUNTED, Collector, parsed
from .._runs.pieces import Pieces
from .._runs.run import Run, Status
from .._safe_text import plain
from .._wire.gateway_errors import tells_error
from .._wire.json_text import loads
from .._wire.metadata import merged_usage
from .._wire.sse import EventDecoder
from ..errors import BifrostError, ConnectionFailed, GatewayError, ProtocolError, StreamInterrupted, TimedOut
from .aws_eventstream import FrameDecoder, is_frame
from .exchange import Exchange
from .formats import cohere, openai
from .formats.shape import Format, Json, as_it_came, object_of
from .routes import OTHER, asked_of, operation

__all__ = ["read"]

Blocks = list[tuple[float, bytes]]

_EVENTS = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:data|event|id|retry)?:")
_HEAD = 64
_UNREAD = (
    "The gateway answered Cohere's SDK in its own form, of which that SDK reads nothing: it needs the header "
    "x-bf-send-back-raw-response: true (bf.sdk sends it) and, from gateway 1.5 on, the gateway's client setting "
    "allow_per_request_raw_override."
)
_TEXT_ONLY = {"role", "content", "reasoning"}
_CANCELLED = {"CancelledError", "GeneratorExit", "KeyboardInterrupt"}
_TIMEOUTS = {
    "ConnectTimeout": "connect",
    "PoolTimeout": "connect",
    "ConnectTimeoutError": "connect",
    "TimeoutException": "",
    "ReadTimeoutError": "",
    "TimeoutError": "",
}
"""Names of exceptions of httpx, httpx2, botocore and urllib3, none of which is imported to know them; the phase."""


def read(exchange: Exchange, secrets: Sequence[str] = ()) -> Run:
    """The run of an exchange. Never raises for what a gateway or an SDK did; `secrets` are hidden in its texts,
    and so are the keys that the SDK sent."""
    kind = operation(exchange.path)
    question = kind.format.question(_json(exchange.question))
    asked = asked_of(kind, question.model)
    run = Run(
        run_id=exchange.run_id,
        request_id=exchange.request_id,
        started_at=exchange.started_at,
        request_type=kind.request_type,
        requested_provider=asked.provider or None,
        requested_model=asked.model or None,
        fallbacks=list(question.fallbacks),
        prompt=question.prompt,
        params=without_tool_keys(question.params),
        tags=exchange.tags,
    )
    tools, sent = tool_keys(question.params), keys_sent(exchange.asked())
    exchange.secrets = (*secrets, *tools, *(key for key in sent if not _is_stand_in(key)))
    collector = _SdkCollector(run, kind.format, exchange.secrets)
    error: BifrostError | None = None
    try:
        if exchange.status is not None:
            collector.headers(exchange.status, exchange.headers)
            _take(exchange, collector)
            collector.who_serves()  # which decides whether a stream is complete
        status = _ended(exchange, collector)
    except BifrostError as failure:
        error, status = failure, status_of(failure)
    run.total_ms = _total_ms(exchange, collector)
    collector.finish(run.total_ms or 0.0)
    if exchange.dropped:
        run.notes.append(
            f"{exchange.dropped} comment {'line was' if exchange.dropped == 1 else 'lines were'} (heartbeats) left out "
            "of the stream before Google's SDK, which fails on them."
        )
    if collector.streamed and not collector.complete:
        run.completion_tokens = run.total_tokens = run.tokens_per_s = None  # what was counted so far is not all
    if run.request_type == "embedding":
        run.completion_tokens = None  # the gateway leaves it out, as it does a 0
    if error is not None:
        describe(run, error, (*exchange.secrets, *sent))
    run.status = status
    run.notes += missing_notes(run)
    return run


def _is_stand_in(key: str) -> bool:
    """Whether a key is but words, as many write where an SDK insists on one: an answer may say them too."""
    return len(key) < 24 and re.fullmatch(r"[A-Za-z _.-]+", key) is not None


_REPEATED = (
    "After its pieces the gateway sent the whole text once more, as versions up to 1.4.0 do with streams of /genai: "
    "the SDK has it twice, here it counts once."
)


class _SdkCollector(Collector):
    """A collector for answers and events in the words of any of the APIs."""

    def __init__(self, run: Run, form: Format, secrets: Sequence[str]) -> None:
        super().__init__(run, secrets=secrets)
        self.form = form
        self._event = form.events()
        self._last = {}  # who served is read once, at the end: nobody looks at the run before
        self.usage: Json = {}
        """As it came, put together from what several events said."""
        self._model: object = None
        """Some APIs name it in the first event alone."""
        self._unread = False
        """The SDK cannot read what came."""
        self._repeated = False
        """The SDK was sent the whole text once more."""

    def _rest(self, choice: Json, index: int) -> None:
        delta = choice.get("delta")  # most chunks have nothing but text
        if delta and choice.get("finish_reason") is None and "logprobs" not in choice and delta.keys() <= _TEXT_ONLY:
            return
        super()._rest(choice, index)

    @property
    def streamed(self) -> bool:
        return self._streamed

    @property
    def _expects_choices(self) -> bool:
        return self.form in (openai.CHAT, openai.TEXT, openai.RESPONSES)  # others have forms of their own

    def answer(self, body: Json) -> Pieces:
        pieces = super().answer(self._counted(body if self._is_gateways(body) else self.form.answer(body)))
        if self.form is openai.EMBEDDING and not (type(data := body.get("data")) is list and data):
            raise ProtocolError("The answer holds no embeddings.")  # as OpenAI's SDK does; others take it
        return pieces

    def _is_gateways(self, body: Json) -> bool:
        """Whether an answer has the gateway's own form, whatever was asked (so on ``/cohere``; measured)."""
        found = self._event is not as_it_came and type(body.get("choices")) is list
        self._unread = self._unread or (found and self.form is cohere.CHAT)
        return found

    def _feed(self, payloads: Sequence[bytes | Json], pieces: Pieces) -> None:
        if (
            self._event is as_it_came and type(next(iter(payloads), b"")) is bytes
        ):  # the gateway's own shape, of which plain chunks are read many at once
            return super()._feed(payloads, pieces)  # type: ignore[arg-type]
        for payload in payloads:
            super()._feed([payload], pieces)  # type: ignore[list-item]
        return None

    def _read(self, payload: bytes | Json) -> Json:
        event: Json = payload if type(payload) is dict else parsed(payload)  # type: ignore[arg-type]
        chunk = event if self._is_gateways(event) else self._event(event)
        if self._model is None:
            self._model = chunk.get("model")
        self._repeated = self._repeated or "repeated" in chunk
        return self._counted(chunk) if chunk.get("usage") else chunk

    def who_serves(self) -> None:
        self._who(self._latest())

    def _latest(self) -> Json:
        return {"model": self._model, **(super()._latest() or {})}

    def _counted(self, body: Json) -> Json:
        """`body` with all that is known of its usage, in the gateway's names."""
        usage = body.get("usage")
        if type(usage) is not dict or not usage or usage == NOTHING_COUNTED:
            return body
        self.usage = merged_usage(self.usage, {name: value for name, value in usage.items() if value is not None})
        if "prompt_tokens" in self.usage:  # the gateway's own names
            return {**body, "usage": dict(self.usage)}
        return {**body, "usage": self.form.usage(self.usage)}

    def finish(self, ended_ms: float) -> Run:
        run = super().finish(ended_ms)
        run.usage = self.usage or run.usage
        if self._unread:
            run.notes.append(_UNREAD)
        if self._repeated:
            run.notes.append(_REPEATED)
        return run


def _take(exchange: Exchange, collector: _SdkCollector) -> None:
    """What came, into the collector. Raises BifrostError where it says that the call failed."""
    kind = exchange.headers.get("content-type", "").lower()
    status = exchange.status or 0
    blocks = list(_decoded(exchange))
    if 300 <= status < 400 and not tells_error(b"".join(block for _, block in blocks)):
        raise ProtocolError(f"{exchange.path} answered {status}, a redirect.", hint="Is base_url the gateway itself?")
    if status < 300:
        head = _head(blocks)
        if is_frame(head) or kind.startswith("application/vnd.amazon.eventstream"):
            return _take_frames(blocks, collector)
        if _EVENTS.match(head) or (kind.startswith("text/event-stream") and not head.lstrip().startswith(b"{")):
            return _take_events(blocks, collector)
    if exchange.too_long or not (exchange.exhausted or status >= 300):
        return None
    content = b"".join(block for _, block in blocks)
    if status >= 300:
        raise _typed(collector.refusal(content), content, exchange)
    body = _json(content)
    if body or content.strip() == b"{}":  # a picture or a sound has neither text nor usage
        collector.take(body)
    elif "json" in kind:
        raise ProtocolError(f"{exchange.path} answered {status} with something that is not a JSON object.")
    return None


def _head(blocks: Blocks) -> bytes:
    """How a body begins. SDKs know by what they asked for which it is, and take any content type; this tells it too."""
    head = b""
    for _, block in blocks:
        head += block
        if len(head) >= _HEAD:
            break
    return head


def _take_events(blocks: Blocks, collector: _SdkCollector) -> None:
    decoder, at, rest = EventDecoder(), 0.0, iter(blocks)
    for at, block in rest:
        try:
            collector.feed(decoder.feed(block), at)
        except (GatewayError, StreamInterrupted):
            for _, later in rest:  # the tokens that were used may follow
                collector.after_error(decoder.feed(later))
            raise
    with contextlib.suppress(ProtocolError):  # an event that was cut off: the answer is not complete
        collector.feed(decoder.end(), at)


def _take_frames(blocks: Blocks, collector: _SdkCollector) -> None:
    """Amazon's event stream: binary frames, each with a kind and a JSON payload."""
    frames = FrameDecoder()
    collector.feed([], 0.0)  # a stream, also where nothing came
    for at, block in blocks:
        collector.feed(frames.feed(block), at)


def _typed(error: GatewayError, content: bytes, exchange: Exchange) -> GatewayError:
    """The error with its kind where Google or Amazon write it: in ``error.status``, or in a header."""
    if error.type is None or error.type == "error":
        told = object_of(_json(content).get("error")).get("status")
        named = exchange.headers.get("x-amzn-errortype", "").partition(":")[0]
        error.type = plain(told, 80) if isinstance(told, str) else plain(named, 80) or error.type
    return error


def _decoded(exchange: Exchange) -> Iterator[tuple[float, bytes]]:
    """The blocks of the body, decompressed, each with the arrival of its last byte."""
    encoding = exchange.headers.get("content-encoding", "identity")
    if encoding == "identity":
        yield from exchange.blocks
        return
    import httpx

    now = 0.0

    def raw() -> Iterator[bytes]:
        nonlocal now
        for now, block in exchange.blocks:  # noqa: B007 - read below
            yield block

    with contextlib.suppress(httpx.DecodingError):  # cut off in the middle: what came before counts
        for block in httpx.Response(200, headers={"content-encoding": encoding}, content=raw()).iter_bytes():
            yield now, block


def _ended(exchange: Exchange, collector: _SdkCollector) -> Status:
    """How an exchange ended in which nothing said that it failed. Raises BifrostError for what broke."""
    if collector.streamed and (collector.complete or (exchange.exhausted and collector.form is OTHER)):
        collector.check_choices()
        return "ok"  # whatever happened to the connection after the last word
    if (failure := exchange.failure) is not None:
        names = [kind.__name__ for kind in type(failure).__mro__]
        if not _CANCELLED.isdisjoint(names):
            return "cancelled"
        raise _broken(exchange, collector, failure, names)
    if not (exchange.exhausted or collector.done):  # at the end mark SDKs read no further
        return "cancelled"
    if collector.streamed:
        raise StreamInterrupted("The stream ended before the answer was complete.")
    return "ok"


def _broken(exchange: Exchange, collector: _SdkCollector, failure: BaseException, names: list[str]) -> BifrostError:
    reason = f"{names[0]}: {plain(failure, 200)}".rstrip(": ")
    phase = next((_TIMEOUTS[name] for name in names if name in _TIMEOUTS), None)
    if phase is not None:
        error = TimedOut(f"A time limit of the SDK passed ({reason}).")
        error.phase = phase or ("between_chunks" if collector.received else "first_byte")
        return error
    if exchange.status is None:
        return ConnectionFailed(f"No answer came from the gateway ({reason}).")
    return StreamInterrupted(f"The connection broke in the middle of the answer ({reason}).")


def _total_ms(exchange: Exchange, collector: _SdkCollector) -> float | None:
    """The end of the call; of a complete stream its last byte, however late the SDK closed it. None where unseen."""
    if collector.streamed and collector.complete and exchange.blocks:
        return exchange.blocks[-1][0]
    return exchange.ended_ms


def _json(content: bytes) -> Json:
    """The object that `content` holds; empty where it holds none."""
    try:
        return object_of(loads(content)) if content else {}
    except orjson.JSONDecodeError:
        return {}
