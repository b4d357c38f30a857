"""Bedrock clients of boto3 that record what they send to the gateway, through boto3's public events.

Events used, each at most once for an attempt: ``request-created`` (headers), ``before-parse`` (the answer, before
boto3 reads it) and ``response-received`` (an error instead of an answer).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import ConfigurationError
from .exchange import Exchange
from .recorder import Recorder

if TYPE_CHECKING:
    from .._client.client import Client

__all__ = ["record_boto3", "recording_boto3"]

_SERVICE = "bedrock-runtime"


def recording_boto3(boto3_client: Any, client: Client | None = None, *, tags: Mapping[str, Any] | None = None) -> Any:
    """Let a boto3 client for ``bedrock-runtime`` write each call to the gateway into the run log; the same client.

    Its ``endpoint_url`` is the gateway's ``/bedrock``. `client` says which gateway, keys and log (None: the default
    one, see `Client`); `tags` go with each run. ``converse`` and ``converse_stream`` are read in full; each retry is a
    run of its own (tags ``sdk_call``, ``attempt``).

    Raises ConfigurationError for anything but a ``bedrock-runtime`` client.

    `boto3_client` is changed in place.

        bedrock = bf.recording_boto3(boto3.client("bedrock-runtime", endpoint_url="http://localhost:8080/bedrock"))
    """
    return record_boto3(boto3_client, Recorder(client, tags))


def record_boto3(boto3_client: Any, recorder: Recorder) -> Any:
    """`recording_boto3` for a recorder that exists."""
    meta = getattr(boto3_client, "meta", None)
    if meta is None or meta.service_model.service_name != _SERVICE:
        raise ConfigurationError(
            f"{type(boto3_client).__name__} is no boto3 client for {_SERVICE}.",
            hint="Make one with boto3.client('bedrock-runtime', endpoint_url=...), or with bf.sdk('bedrock').",
        )
    watch = _Watch(recorder)
    # First of all, so that a signature covers the headers.
    meta.events.register_first(f"request-created.{_SERVICE}", watch.created)
    meta.events.register_first(f"before-parse.{_SERVICE}", watch.answered)
    meta.events.register_first(f"response-received.{_SERVICE}", watch.received)
    return boto3_client


class _Pending:
    """An exchange between its events. What interrupts boto3 raises no event, so the end may only be noticed later."""

    def __init__(self, exchange: Exchange, recorder: Recorder) -> None:
        self.exchange, self._recorder = exchange, recorder

    def __del__(self) -> None:
        self._recorder.end(self.exchange, late=True)


class _Watch:
    """The handlers of one client. An attempt stays on one thread from its request to the head of its answer."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._current = threading.local()

    def created(self, request: Any, **_: Any) -> None:
        """An attempt is about to be sent."""
        self._current.pending = None
        url, recorder = urlsplit(request.url), self._recorder
        body = request.data if isinstance(request.data, bytes) else str(request.data or "").encode()
        attempt = str(request.context.get("retries", {}).get("attempt", 1) - 1)
        exchange = recorder.begin(request.method, url.scheme, url.hostname or "", url.port, url.path, body, attempt)
        if exchange is None:
            return
        exchange.asked = request.headers.items  # as it is signed later
        given = {name.lower(): value for name, value in request.headers.items()}
        for name, value in recorder.headers(exchange, given)[0].items():
            request.headers[name] = value
        key = recorder.client.settings.api_key
        if key and "authorization" not in given:
            request.headers["authorization"] = f"Bearer {key}"
        self._current.pending = _Pending(exchange, recorder)

    def answered(self, response_dict: dict[str, Any], **_: Any) -> None:
        """An answer has come: whole, or the head of a stream, which boto3 reads from what this puts in its place."""
        pending = getattr(self._current, "pending", None)
        if pending is None:
            return
        exchange, body = pending.exchange, response_dict["body"]
        headers = response_dict["headers"].items()
        # Python's own HTTP client reads headers as Latin-1; gateway 2.0 writes names in UTF-8.
        raw = ((name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in headers)
        exchange.head(response_dict["status_code"], raw)
        self._current.pending = None
        if isinstance(body, bytes):
            exchange.take(body)
            self._recorder.end(exchange, exhausted=True)
        elif hasattr(body, "_raw_stream"):  # a StreamingBody, which the person is given and may read in many ways
            body._raw_stream = _Body(body._raw_stream, pending, self._recorder)
        else:
            response_dict["body"] = _Body(body, pending, self._recorder)

    def received(self, exception: BaseException | None, **_: Any) -> None:
        """An attempt is over; only one without an answer is news."""
        pending = getattr(self._current, "pending", None)
        if pending is not None and exception is not None:
            self._recorder.end(pending.exchange, exception)
            self._current.pending = None


class _Body:
    """The raw stream of an answer: each block passes on as it comes, and is kept with its time."""

    def __init__(self, inner: Any, pending: _Pending, recorder: Recorder) -> None:
        self._inner, self._pending, self._recorder = inner, pending, recorder

    def read(self, *arguments: Any, **options: Any) -> bytes:
        """Of `invoke_model`: all, or so many bytes at a time until none are left."""
        with self._failing():
            block: bytes = self._inner.read(*arguments, **options)
        self._took(block, asked=arguments[0] if arguments else options.get("amt"))
        return block

    def readinto(self, buffer: Any) -> int:
        with self._failing():
            count: int = self._inner.readinto(buffer)
        self._took(bytes(memoryview(buffer)[:count]), asked=len(buffer))
        return count

    def _took(self, block: bytes, *, asked: int | None) -> None:
        exchange = self._pending.exchange
        if block:
            exchange.take(block)
        whole = exchange.headers.get("content-length") == str(exchange.size)
        if whole or asked is None or (asked > 0 and not block):
            self._recorder.end(exchange, exhausted=True)

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except GeneratorExit:
            raise
        except BaseException as failure:
            self._recorder.end(self._pending.exchange, failure)
            raise

    def stream(self, *arguments: Any, **options: Any) -> Iterator[bytes]:
        exchange = self._pending.exchange
        with self._failing():
            for block in self._inner.stream(*arguments, **options):
                exchange.take(block)
                yield block
        self._recorder.end(exchange, exhausted=True)

    def close(self) -> None:
        try:
            self._inner.close()
        finally:
            self._recorder.end(self._pending.exchange)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
