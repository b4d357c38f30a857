"""Which runs of the log: the filters that `runs()`, `RunLog.frame` and `RunLog.read` share."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, TypeVar, get_args

import orjson

from ..._numbers import whole
from ..._safe_text import quoted
from ..._suggest import did_you_mean
from ...errors import ConfigurationError
from ..run import Status
from .codec import cell, valid

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Filters", "Selection", "instant", "selection", "shows_filters"]

F = TypeVar("F", bound=Callable[..., Any])

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*([smhdw])")
_IDS = ("run_id", "comparison_id", "prompt_id")


class Filters(TypedDict, total=False):
    """Runs are kept that satisfy every filter given; None: not filtered."""

    since: str | datetime | timedelta | None
    """Started then or later: an age (``"90s"``, ``"30m"``, ``"24h"``, ``"1d"``, ``"2w"`` or a timedelta), a datetime or
    date, pandas' and numpy's too, or an ISO 8601 text. Without a time zone it is UTC, as all times in the frame are."""
    until: str | datetime | timedelta | None
    """Started before that; written like `since`."""
    deployment: str | Iterable[str] | None
    """Asked for as ``provider/model``; one or several."""
    status: str | Iterable[str] | None
    """``ok``, ``error``, ``cancelled``, ``timeout``, ``truncated``; one or several."""
    run_id: str | Iterable[str] | None
    comparison_id: str | Iterable[str] | None
    prompt_id: str | Iterable[str] | None
    tags: Mapping[str, Any] | None
    """Every tag named here has this value."""
    limit: int | None
    """The newest so many of those that are left."""


def shows_filters(function: F) -> F:
    """Let tooltips and completion name the filters that `function` takes as ``**filters``."""
    own = inspect.signature(function)
    named = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None) for name in Filters.__annotations__]
    kept = [parameter for parameter in own.parameters.values() if parameter.kind is not parameter.VAR_KEYWORD]
    function.__signature__ = own.replace(parameters=[*kept, *named])  # type: ignore[attr-defined]
    return function


class Selection(NamedTuple):
    """Checked filters."""

    since: datetime | None
    until: datetime | None
    deployments: list[tuple[str, str]] | None
    values: dict[str, list[str]]
    tags: dict[str, Any]
    limit: int | None

    def apply(self, table: pa.Table) -> pa.Table:
        """The rows of `table`, which has the frame's columns, that satisfy every filter."""
        import pyarrow as pa
        import pyarrow.compute as pc

        # By masks: `Table.filter` of an expression loads Arrow's datasets with the clients of S3 and others, 80 ms.
        # With their type: of no values Arrow would not know it. Nothing is among them, so no run is found.
        texts = {name: pa.array(values, pa.large_string()) for name, values in self.values.items()}
        masks = [pc.is_in(table[name], value_set=values) for name, values in texts.items()]
        if self.since is not None:
            masks.append(pc.greater_equal(table["started_at"], self.since))
        if self.until is not None:
            masks.append(pc.less(table["started_at"], self.until))
        if self.deployments is not None:
            masks.append(_asked_one_of(table, self.deployments))
        if masks:
            table = table.filter(reduce(pc.and_kleene, masks))
        if self.tags:
            table = table.filter(_has_tags(table["tags"], self.tags))
        return table if self.limit is None else table.slice(max(0, len(table) - self.limit))


def _asked_one_of(table: pa.Table, deployments: list[tuple[str, str]]) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    provider, model = table["requested_provider"], table["requested_model"]
    asked = [pc.and_kleene(pc.equal(provider, name), pc.equal(model, its_model)) for name, its_model in deployments]
    return reduce(pc.or_kleene, asked, pa.repeat(False, len(table)))


def _has_tags(column: pa.ChunkedArray, tags: dict[str, Any]) -> pa.Array:
    import pyarrow as pa

    known: dict[str | None, bool] = {}  # a sweep's runs share a few sets of tags
    for text in column.unique().to_pylist():
        try:
            found = orjson.loads(text) if text else None
        except orjson.JSONDecodeError:
            found = None
        known[text] = isinstance(found, dict) and all(key in found and found[key] == tags[key] for key in tags)
    return pa.array([known[text] for text in column.to_pylist()], pa.bool_())


def selection(**filters: Any) -> Selection:
    """The filters checked. Raises ConfigurationError, naming the filter and what it takes."""
    if unknown := filters.keys() - Filters.__annotations__.keys():
        name = min(unknown)
        raise ConfigurationError(
            f"There is no filter {name!r}.{did_you_mean(name, Filters.__annotations__)}",
            hint=f"Filters are {', '.join(Filters.__annotations__)}; for others, filter the frame.",
        )
    since, until = instant("since", filters.get("since")), instant("until", filters.get("until"))
    if since is not None and until is not None and since >= until:
        raise ConfigurationError(
            f"since ({since.isoformat()}) is not before until ({until.isoformat()}): no run can be between them.",
            hint="An age counts back from now: since='2d', until='1d' is the day before yesterday.",
        )
    deployments = _texts("deployment", filters.get("deployment"))
    values = {name: texts for name in _IDS if (texts := _texts(name, filters.get(name))) is not None}
    if (statuses := _texts("status", filters.get("status"))) is not None:
        values["status"] = [_status(status) for status in statuses]
    return Selection(
        since=since,
        until=until,
        deployments=None if deployments is None else [_deployment(name) for name in deployments],
        values=values,
        tags=_tags(filters.get("tags")),
        limit=_limit(filters.get("limit")),
    )


def instant(name: str, value: Any) -> datetime | None:
    """The moment that the filter `name` means by `value` (see `Filters.since`), in UTC."""
    if value is None:
        return None
    now = datetime.now(UTC)
    moment: datetime | None = None
    try:
        value = _pythons(value)
        if isinstance(value, timedelta):
            moment = now - value
        elif isinstance(value, str) and (ago := _AGO.fullmatch(value.strip())):
            moment = now - timedelta(**{_UNITS[ago[2]]: float(ago[1])})
        elif isinstance(value, (str, datetime)):
            to_python = getattr(value, "to_pydatetime", None)  # a pandas Timestamp is a datetime with nanoseconds
            moment = cell(to_python(warn=False) if to_python else value, "datetime64[us, UTC]")
    except (OverflowError, TypeError, ValueError):  # before the year 1; pandas.NaT
        moment = None
    if moment is None:
        raise ConfigurationError(
            f"{name}={quoted(value)} is no time.",
            hint="Write an age such as '30m', '24h' or '2w', a datetime, or an ISO date such as '2026-11-22'.",
        )
    return moment


def _pythons(value: Any) -> Any:
    """numpy's times as Python's, a day as its ISO text; everything else as it is."""
    kind = type(value).__name__
    if kind in ("datetime64", "timedelta64"):
        return value.astype(f"{kind}[us]").item()
    return value.isoformat() if isinstance(value, date) and not isinstance(value, datetime) else value


def _texts(name: str, value: Any) -> list[str] | None:
    if value is None:
        return None
    texts = [value] if isinstance(value, str) else list(value) if isinstance(value, Iterable) else [value]
    for text in texts:
        if not isinstance(text, str):
            raise ConfigurationError(f"{name} takes text or several texts, not {type(text).__name__}.")
    return [valid(text) for text in texts]


def _deployment(name: str) -> tuple[str, str]:
    provider, _, model = name.partition("/")
    if not provider or not model:
        raise ConfigurationError(f"deployment={quoted(name)} is not written provider/model, for example azure/fast.")
    return provider, model


def _status(status: str) -> str:
    known = get_args(Status)
    if status not in known:
        raise ConfigurationError(
            f"There is no status {quoted(status)}.{did_you_mean(status, known)}", hint=f"It is {', '.join(known)}."
        )
    return status


def _tags(tags: Any) -> dict[str, Any]:
    if tags is None:
        return {}
    if not isinstance(tags, Mapping):
        raise ConfigurationError(f"tags takes a dict of tag and value, not {type(tags).__name__}.")
    return dict(valid(tags))  # compared as the log holds them


def _limit(limit: Any) -> int | None:
    if limit is None:
        return None
    found = whole(limit)
    if found is None or found < 0:
        raise ConfigurationError(f"limit takes a number of runs, not {quoted(limit)}.")
    return found
