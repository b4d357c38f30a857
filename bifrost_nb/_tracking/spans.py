"""Runs as OpenTelemetry spans, scores as events of theirs, to any OTLP endpoint (extra ``otel``)."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from .._compare.comparison import Comparison
from .._keys import Secret, hide, hide_in
from .._report.redacted import comparison_frame, secrets_of
from .._runs.redact_hook import as_written
from .._runs.run import Run
from .._runs.trace_ids import span_id, trace_id
from .._safe_text import plain
from .._wire.json_text import whole_characters
from ..errors import BifrostError, ConfigurationError
from .attributes import error_type, evaluation_attributes, operation, span_attributes

if TYPE_CHECKING:
    from opentelemetry.sdk._logs.export import LogRecordExporter
    from opentelemetry.sdk.trace.export import SpanExporter

__all__ = ["export_spans"]

BATCH = 500
"""Spans in one request: collectors refuse large ones (4 MB by default)."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOGGER = "opentelemetry.exporter"


class _Score(NamedTuple):
    name: str
    value: float | None
    label: str | None = None
    reason: str | None = None
    error: str | None = None


def export_spans(
    runs: Comparison | Run | Iterable[Run],
    endpoint: str | None = None,
    *,
    content: bool = False,
    headers: Mapping[str, str] | None = None,
    exporter: SpanExporter | None = None,
    log_exporter: LogRecordExporter | None = None,
) -> int:
    """Send `runs` as GenAI spans, and the scores of a comparison as evaluation events; how many spans were taken.

    `runs` is a comparison, a run, or runs of the log (``bf.run_log().read(since="1d")``). `endpoint` is that of an
    OpenTelemetry collector or backend, over HTTP, without ``/v1/traces``; None: ``OTEL_EXPORTER_OTLP_ENDPOINT`` and the
    other variables of OpenTelemetry, else ``http://localhost:4318``. `headers` go there and nowhere else. `exporter`
    and `log_exporter` are OpenTelemetry exporters of your own instead, for gRPC say; without a `log_exporter` then, no
    scores are sent.

    A span is a whole call with its retries; its trace is the `run_id` without the dashes. What the gateway itself
    traces is part of it where the client was made with ``traceparent=True`` (measured on 1.4.0 and later); else both
    have the request's id, ``bifrost.request.id`` (1.5.16 and later; 1.5.1 says ``gen_ai.request_id``).

    Prompts, answers, the reasons of scores and the words of errors go along only with `content`, and redacted as in
    files. Keys never do. Unknown figures are absent. A backend without logs takes spans only: pass exporters.

        comparison = bf.compare(["azure/fast"], "Hi", client=bf.Client("demo", traceparent=True))
        bf.export_spans(comparison, "http://localhost:4318")

    Raises ConfigurationError for an endpoint that is none, or without the extra; BifrostError where not all was taken.
    """
    headers = keys = {name: Secret(value) for name, value in (headers or {}).items()}
    client = runs.client if isinstance(runs, Comparison) else None
    scored = list(_scored(runs))
    secrets = (*keys.values(), *(secrets_of(runs) if isinstance(runs, Comparison) else ()))
    target, log_target = _exporters(endpoint, keys, exporter, log_exporter)
    spans, events = _made(scored, content, secrets, client.settings.base_url if client is not None else None)
    where = plain(endpoint or "the OTLP endpoint of the settings", 200) if exporter is None else "the exporter"
    taken = _send(spans, target, f"spans to {where}", keys)
    if log_target is not None:
        _send(events, log_target, f"scores to {where} (the spans were taken)", keys)
    return taken


def _scored(runs: Any) -> Iterator[tuple[Run, list[_Score]]]:
    if isinstance(runs, Comparison):
        frame = runs.frame
        names = [str(name) for name in frame if f"{name}_error" in frame and f"{name}_reason" in frame]
        rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
        written = comparison_frame(runs).reindex(columns=[f"{name}_reason" for name in names])
        reasons = written.astype(object).where(written.notna(), None).to_dict("records")
        for run, row, reason in zip(runs.runs, rows, reasons, strict=True):
            scores = [
                _Score(name, row[name], None, reason[f"{name}_reason"], row[f"{name}_error"])
                for name in names
                if row[name] is not None or row[f"{name}_error"] is not None
            ]
            yield run, [*scores, *_rating(run)]
        return
    if not isinstance(runs, Run | Iterable) or hasattr(runs, "columns"):  # a frame goes through its columns' names
        raise _no_runs(runs)
    for run in [runs] if isinstance(runs, Run) else runs:
        if not isinstance(run, Run):
            raise _no_runs(run)
        yield run, _rating(run)


def _no_runs(found: object) -> ConfigurationError:
    return ConfigurationError(
        f"runs must be a comparison or runs, not {type(found).__name__}.",
        hint='Pass bf.run_log().read(since="1d") for recorded ones.',
    )


def _rating(run: Run) -> list[_Score]:
    return [_Score("rating", None, label=run.rating)] if run.rating else []


def _exporters(endpoint: str | None, keys: Mapping[str, str], exporter: Any, log_exporter: Any) -> tuple[Any, Any]:
    if exporter is not None or log_exporter is not None:
        if endpoint is not None or keys:
            raise ConfigurationError("Pass endpoint and headers, or exporters of your own, not both.")
        if exporter is None:
            raise ConfigurationError("A log_exporter needs an exporter for the spans beside it.")
        return exporter, log_exporter
    if endpoint is not None:
        parts = urlsplit(endpoint) if isinstance(endpoint, str) else None
        if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise ConfigurationError(
                "endpoint must be the address of an OTLP receiver, without keys in it.",
                hint="Write it like http://localhost:4318; keys go into headers.",
            )
        if parts.path.rstrip("/").endswith("/v1/traces"):
            raise ConfigurationError("endpoint is without /v1/traces: scores go to /v1/logs beside it.")
    try:
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ModuleNotFoundError:
        raise ConfigurationError(
            "OpenTelemetry is not installed.",
            hint="Run `pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http`.",
        ) from None
    base = None if endpoint is None else endpoint.rstrip("/")
    return (
        OTLPSpanExporter(base and f"{base}/v1/traces", headers=dict(keys) or None),
        OTLPLogExporter(base and f"{base}/v1/logs", headers=dict(keys) or None),
    )


def _made(
    scored: Sequence[tuple[Run, list[_Score]]], content: bool, secrets: Sequence[str], address: str | None
) -> tuple[list[Any], list[Any]]:
    """Finished spans, and the log records that are their events."""
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

    spans: list[Any] = []
    events: list[Any] = []
    begin, logger = _makers(spans, events)
    server = _server(address)
    for run, scores in scored:
        written = as_written(run)
        began, ended, odd = _times(run)
        attributes = hide_in(_encodable({**server, **span_attributes(written, content=content), **odd}), secrets)
        span = begin(
            run.run_id,
            whole_characters(f"{operation(run)} {plain(run.requested_model or '', 200)}".strip()),
            context=Context(),  # a trace of its own, whatever else is traced in this process
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=began,
        )
        if failed := error_type(run):
            said = hide(whole_characters(written.error_message or failed), secrets) if content else ""
            span.set_status(Status(StatusCode.ERROR, said))
        span.end(ended)
        for score in scores:
            logger.emit(
                timestamp=ended,
                context=set_span_in_context(span, Context()),
                event_name="gen_ai.evaluation.result",
                attributes=hide_in(_encodable(_evaluated(score, run, content)), secrets),
            )
    if len(spans) < len(scored):
        raise ConfigurationError("OTEL_SDK_DISABLED is set, so OpenTelemetry makes no spans.", hint="Unset it.")
    return spans, events


def _evaluated(score: _Score, run: Run, content: bool) -> dict[str, Any]:
    return evaluation_attributes(
        score.name,
        None if score.value is None else float(score.value),
        label=score.label,
        explanation=score.reason if content else None,
        error=score.error,
        run=run,
    )


def _makers(spans: list[Any], events: list[Any]) -> tuple[Callable[..., Any], Any]:
    """What begins the span of a run, by its id, and what emits events; both of this export alone.

    What they finish is put into `spans` and `events`; the providers that the process set up are left as they are.
    """
    from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON

    class Ids(IdGenerator):  # type: ignore[misc, unused-ignore]
        run_id = ""

        def generate_trace_id(self) -> int:
            return int(trace_id(self.run_id), 16)

        def generate_span_id(self) -> int:
            return int(span_id(self.run_id), 16)

    class KeepSpans(SpanProcessor):  # type: ignore[misc, unused-ignore]
        def on_end(self, span: Any) -> None:
            spans.append(span)

    class KeepEvents(LogRecordProcessor):  # type: ignore[misc, unused-ignore]
        def on_emit(self, log_record: Any) -> None:
            events.append(log_record)

        def shutdown(self) -> None: ...

        def force_flush(self, timeout_millis: int = 0) -> bool:
            return True

    ids = Ids()
    resource = Resource.create()  # with OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES
    if str(resource.attributes.get("service.name")).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": "bifrost-nb"}))
    tracers = TracerProvider(sampler=ALWAYS_ON, resource=resource, id_generator=ids, shutdown_on_exit=False)
    tracers.add_span_processor(KeepSpans())
    loggers = LoggerProvider(resource=resource, shutdown_on_exit=False)
    loggers.add_log_record_processor(KeepEvents())
    tracer = tracers.get_tracer("bifrost-nb")

    def begin(run_id: str, name: str, **given: Any) -> Any:
        ids.run_id = run_id
        return tracer.start_span(name, **given)

    return begin, loggers.get_logger("bifrost-nb")


def _times(run: Run) -> tuple[int, int, dict[str, str]]:
    """When a span began and ended in ns since 1970, and what is to be said of it.

    A line of the log may hold any date, and a clock may be wrong: one that OTLP cannot carry is 0, which is "unknown"
    there, and stands in an attribute; else the whole batch would not be encoded.
    """
    took = run.total_ms or 0.0
    took_ns = round(took * 1e6) if math.isfinite(took) and took >= 0 else 0
    said = {}
    if run.started_at is not None:  # else a line of the log that tells none
        began = (run.started_at - _EPOCH) // timedelta(microseconds=1) * 1_000
        if began >= 0 and began + took_ns < 2**63:
            return began, began + took_ns, {}
        said = {"bifrost.started_at": run.started_at.isoformat()}
    return 0, took_ns if took_ns < 2**63 else 0, said


def _encodable(value: Any) -> Any:
    """`value` with whole characters: one half of a surrogate pair would keep a whole batch from being encoded."""
    if isinstance(value, dict):
        return {name: _encodable(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_encodable(each) for each in value]
    return whole_characters(value) if isinstance(value, str) else value


def _server(address: str | None) -> dict[str, Any]:
    parts = urlsplit(address or "")
    if not parts.hostname:
        return {}
    return {"server.address": parts.hostname, "server.port": parts.port or (443 if parts.scheme == "https" else 80)}


def _send(items: Sequence[Any], exporter: Any, what: str, keys: Mapping[str, str]) -> int:
    """Hand all over in batches; how many. Raises BifrostError with what the exporter said."""
    for start in range(0, len(items), BATCH):
        batch = items[start : start + BATCH]
        with _heard() as said:
            result = exporter.export(batch)
        if result.value:  # both kinds of result have 0 for success
            why = plain(hide(" ".join(said), tuple(keys.values())), 400)
            raise BifrostError(
                f"{start:,} of {len(items):,} {what} were taken{f': {why}' if why else '.'}",
                hint="Check the endpoint and its headers, then call it again: ids stay the same.",
            )
    return len(items)


@contextlib.contextmanager
def _heard() -> Iterator[list[str]]:
    """What the exporters log, which is where they say why; for an error of ours instead of the cell's output."""
    said: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    logger, listener = logging.getLogger(_LOGGER), Listener(logging.WARNING)
    propagates = logger.propagate
    logger.addHandler(listener)
    logger.propagate = False
    try:
        yield said
    finally:
        logger.propagate = propagates
        logger.removeHandler(listener)
