"""The gateway's histograms as tidy time series: one row per bucket of time and series, the figure in the last column.

Shapes follow the gateway's framework/logstore from 1.3 to 2.x: ``{buckets: [...], bucket_size_seconds, models?}``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from .._runs.log.codec import cell
from .._safe_text import quoted
from .._suggest import did_you_mean
from ..errors import ConfigurationError
from .access import Access
from .log_query import LogQuery, with_names

if TYPE_CHECKING:
    import pandas as pd

    from .._runs.columns import Dtype

__all__ = ["SERIES", "By", "Kind", "Series", "kind_of", "read_series"]

Kind = Literal["requests", "tokens", "cost", "latency", "models", "throughput"]
By = Literal["provider"]
Object = Mapping[str, Any]
Points = Iterator[tuple[tuple[str, ...], Any]]

_OUTCOMES = {"success": "ok", "error": "error", "cancelled": "cancelled"}
_PERCENTILES = {"avg_latency": "mean", "p90_latency": "p90", "p95_latency": "p95", "p99_latency": "p99"}


def _requests(bucket: Object, models: list[str]) -> Points:
    for theirs, ours in _OUTCOMES.items():
        if theirs in bucket:  # cancelled: from 1.5 on
            yield (ours,), bucket[theirs]


def _tokens(bucket: Object, models: list[str]) -> Points:
    for kind in ("prompt", "completion"):
        yield (kind,), bucket.get(f"{kind}_tokens")


def _cost(bucket: Object, models: list[str]) -> Points:
    told = _object(bucket.get("by_model"))
    for model in models:
        yield (model,), told.get(model, 0.0)


def _models(bucket: Object, models: list[str]) -> Points:
    told = _object(bucket.get("by_model"))
    for model in models:
        counts = _object(told.get(model))
        for theirs, ours in _OUTCOMES.items():
            if theirs != "cancelled" or theirs in counts:
                yield (model, ours), counts.get(theirs, 0)


def _latency(bucket: Object, models: list[str]) -> Points:
    empty = bucket.get("total_requests") == 0  # the gateway writes 0 ms for no requests
    for theirs, ours in _PERCENTILES.items():
        yield (ours,), None if empty else bucket.get(theirs)


def _throughput(bucket: Object, models: list[str]) -> Points:
    yield (), bucket.get("tokens_per_second") if bucket.get("total_requests") else None


def _by_provider(points: Callable[[Object, list[str]], Points]) -> Callable[[Object, list[str]], Points]:
    """The same of each provider; where a bucket does not name one, it had no request there."""

    def each(bucket: Object, providers: list[str]) -> Points:
        told = _object(bucket.get("by_provider"))
        for name in providers:
            nothing = {"prompt_tokens": 0, "completion_tokens": 0, "total_requests": 0}
            for labels, figure in points(_object(told.get(name, nothing)), []):
                yield (name, *labels), figure

    return each


def _provider_cost(bucket: Object, providers: list[str]) -> Points:
    told = _object(bucket.get("by_provider"))
    for name in providers:
        yield (name,), told.get(name, 0.0)


class Series(NamedTuple):
    """One histogram: its route, the columns that tell its series apart, the figure's column, how to read a bucket."""

    path: str
    labels: tuple[str, ...]
    figure: str
    dtype: Dtype
    points: Callable[[Object, list[str]], Points]
    since: str
    """The gateways that have it, for the hint of a 404."""


_ONLY_2 = "Of the gateways up to 2.0 only 2.0 has this histogram; bf.gateway_logs() has tokens and times of each call."
_EVERY = "The gateway keeps no log, or is older than its histograms."
SERIES: Mapping[str, Series] = {
    "requests": Series("/api/logs/histogram", ("status",), "requests", "Int64", _requests, _EVERY),
    "tokens": Series("/api/logs/histogram/tokens", ("token_type",), "tokens", "Int64", _tokens, _EVERY),
    "cost": Series("/api/logs/histogram/cost", ("model",), "cost_usd", "Float64", _cost, _EVERY),
    "models": Series("/api/logs/histogram/models", ("model", "status"), "requests", "Int64", _models, _EVERY),
    "latency": Series(
        "/api/logs/histogram/latency",
        ("statistic",),
        "latency_ms",
        "Float64",
        _latency,
        "The gateway is older than its latency histogram (1.3 and 1.4 have none); bf.gateway_logs() has each latency.",
    ),
    "throughput": Series("/api/logs/histogram/throughput", (), "tokens_per_s", "Float64", _throughput, _ONLY_2),
}
BY_PROVIDER: Mapping[str, Series] = {
    name: SERIES[name]._replace(
        path=f"{SERIES[name].path}/by-provider", labels=("provider", *labels), points=points, since=since
    )
    for name, labels, points, since in (
        ("tokens", ("token_type",), _by_provider(_tokens), _EVERY),
        ("cost", (), _provider_cost, _EVERY),
        ("latency", ("statistic",), _by_provider(_latency), _EVERY),
        ("throughput", (), _by_provider(_throughput), _ONLY_2),
    )
}
"""Measured: 1.4.18 to 2.0.0-prerelease3 have them by provider, throughput 2.0.0-prerelease3 alone; the form of the
costs was read in its sources."""


def kind_of(kind: str, by: str | None = None) -> Series:
    """The series of that name. Raises ConfigurationError."""
    if not isinstance(kind, str) or kind not in SERIES:
        raise ConfigurationError(
            f"There is no histogram {quoted(kind)}.{did_you_mean(kind, SERIES)}",
            hint=f"It is one of {', '.join(SERIES)}.",
        )
    if by is None:
        return SERIES[kind]
    if not isinstance(by, str) or by != "provider" or kind not in BY_PROVIDER:
        raise ConfigurationError(
            f"The gateway has no {kind} by {quoted(by)}.",
            hint=f"by='provider' goes with {', '.join(BY_PROVIDER)}.",
        )
    return BY_PROVIDER[kind]


async def read_series(access: Access, series: Series, query: LogQuery, missing: str) -> pd.DataFrame:
    """The columns bucket_start, bucket_s, the series' labels and its figure, in the order of time."""
    if query.until is None:  # the gateway chooses the buckets' width, and fills empty ones, by both ends
        query = replace(query, until=datetime.now(UTC))
    query = await with_names(access, query, missing=missing)
    answer = await access.get_object(series.path, query.params(), missing=series.since)
    told = answer.get("buckets")
    buckets = [bucket for bucket in told if isinstance(bucket, Mapping)] if isinstance(told, list) else []
    width = cell(answer.get("bucket_size_seconds"), "Int64")
    named = answer.get("providers" if "provider" in series.labels else "models")
    models = [name for name in named if isinstance(name, str)] if isinstance(named, list) else []
    held = "by_provider" if "provider" in series.labels else "by_model"
    models = models or sorted({name for bucket in buckets for name in _object(bucket.get(held))})
    rows = [
        (bucket.get("timestamp"), width, *map(access.hide, labels), figure)
        for bucket in buckets
        for labels, figure in series.points(bucket, models)
    ]
    return _frame(series, rows)


def _frame(series: Series, rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    import pandas as pd

    from .._runs.frame import to_array

    columns: list[tuple[str, Dtype]] = [
        ("bucket_start", "datetime64[us, UTC]"),
        ("bucket_s", "Int64"),
        *((label, "string") for label in series.labels),
        (series.figure, series.dtype),
    ]
    values = list(zip(*rows, strict=True)) or [()] * len(columns)
    data = {name: to_array(column, dtype) for (name, dtype), column in zip(columns, values, strict=True)}
    found = pd.DataFrame(data)
    return found.sort_values("bucket_start", kind="stable", ignore_index=True)


def _object(value: object) -> Object:
    return value if isinstance(value, Mapping) else {}
