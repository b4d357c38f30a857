"""Asking the gateway's log: filters checked before they are sent, pages of 1,000 rows, each row once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import ceil, floor
from typing import Any
from urllib.parse import quote

from .._numbers import number, whole
from .._runs.log.filters import instant
from .._runs.run import Run
from .._safe_text import quoted
from .._suggest import did_you_mean
from ..errors import ConfigurationError, NotFound
from .access import Access
from .fields import objects
from .log_filters import check_known, filters_of
from .log_rows import STATUSES, run_of, with_primaries

__all__ = [
    "LIST_MODELS",
    "PAGE",
    "LogQuery",
    "check_length",
    "checked_statuses",
    "is_last",
    "listed",
    "names_of",
    "read_log",
    "rfc3339",
    "span",
    "whole_limit",
    "with_names",
]

PAGE = 1000
"""The gateway refuses more."""
DETAILS_AT_ONCE = 8
MOST_ERRORS = 500
"""So many failed rows of a list without details are asked for one by one, the newest first."""
MOST_ROWS, MOST_PAGES = 200_000, 500
"""So much of a list is read: a run of each row takes some 13 kB, and a list without an end would be read for ever."""
LIST_MODELS = "list_models"
"""The kind of the rows that the gateway writes when it is asked for its models (1.4.18 and later, measured)."""


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Checked filters. The gateway silently ignores what it cannot read or does not know, so `keeps` asks again."""

    since: datetime | None = None
    until: datetime | None = None
    providers: tuple[str, ...] | None = None
    models: tuple[str, ...] | None = None
    statuses: tuple[str, ...] | None = None
    """In our words."""
    limit: int | None = None
    request_types: tuple[str, ...] | None = None
    cost_usd: tuple[float | None, float | None] = (None, None)
    """The least and the most; None: no bound."""
    latency_ms: tuple[float | None, float | None] = (None, None)
    list_models: bool = False
    """Whether rows count that no call made: each ``GET /v1/models`` writes one for each provider."""
    tokens: tuple[float | None, float | None] = (None, None)
    """Of prompt and answer together."""
    others: Mapping[str, str] = field(default_factory=dict)
    """What only the gateway can filter by (`log_filters`), in its own words."""
    by_alias: bool = False
    """Whether the gateway is asked for `models` as its own names of them, not as the providers'; see `with_names`."""

    @classmethod
    def of(
        cls,
        *,
        since: Any = None,
        until: Any = None,
        provider: Any = None,
        model: Any = None,
        status: Any = None,
        limit: Any = None,
        list_models: bool = False,
        request_type: Any = None,
        min_cost_usd: Any = None,
        max_cost_usd: Any = None,
        min_latency_ms: Any = None,
        max_latency_ms: Any = None,
        min_tokens: Any = None,
        max_tokens: Any = None,
        **others: Any,
    ) -> LogQuery:
        """Raises ConfigurationError, naming the filter and what it takes."""
        start, end = span(since, until)
        statuses = names_of("status", status)
        checked_statuses(statuses, STATUSES.values())
        rows = whole_limit(limit)
        return cls(
            start,
            end,
            names_of("provider", provider),
            names_of("model", model),
            statuses,
            rows,
            names_of("request_type", request_type),
            _bounds("cost_usd", min_cost_usd, max_cost_usd),
            _bounds("latency_ms", min_latency_ms, max_latency_ms),
            list_models,
            tokens=_bounds("tokens", min_tokens, max_tokens),
            others=filters_of(others),
        )

    def params(self) -> dict[str, str]:
        """The query parameters, as the gateway names them."""
        words: dict[str, str] = {ours: theirs for theirs, ours in STATUSES.items()}
        told = {
            "start_time": None if self.since is None else rfc3339(self.since),
            "end_time": None if self.until is None else rfc3339(self.until),
            "providers": listed(self.providers),
            "aliases" if self.by_alias else "models": listed(self.models),
            "status": listed(self.statuses, words),
        }
        for name, bounds in (("cost", self.cost_usd), ("latency", self.latency_ms)):
            for side, bound in zip(("min", "max"), bounds, strict=True):  # all of 1.3.63 to 2.0 know these (measured)
                told[f"{side}_{name}"] = None if bound is None else repr(bound)
        for side, bound in zip(("min", "max"), self.tokens, strict=True):  # a whole number, or it is ignored
            told[f"{side}_tokens"] = None if bound is None else str(ceil(bound) if side == "min" else floor(bound))
        told |= self.others
        return {name: value for name, value in told.items() if value is not None}

    def spans(self, moment: datetime | None) -> bool:
        """Whether `moment` is within the time asked for; None, which nothing tells, is."""
        return moment is None or (
            (self.since is None or moment >= self.since) and (self.until is None or moment < self.until)
        )

    def keeps(self, run: Run) -> bool:
        """Whether a row passes every filter. A time that the row does not tell passes."""
        return (
            self.spans(run.started_at)
            and (self.providers is None or run.provider in self.providers)
            and (self.models is None or run.model in self.models or run.model_deployment in self.models)
            and (self.statuses is None or run.status in self.statuses)
            and (self.request_types is None or run.request_type in self.request_types)
            and _within(run.cost_usd, self.cost_usd)
            and _within(run.latency_ms, self.latency_ms)
            and _within(run.total_tokens, self.tokens)
            and (self.list_models or run.request_type != LIST_MODELS)
        )


async def read_log(
    access: Access, query: LogQuery, *, missing: str, texts: bool = False, details: bool = True
) -> list[Run]:
    """The rows that `query` keeps, oldest first; with `texts` each with its whole prompt and its answer.

    `details` False: without the status and type of an error where the list has none.

    Newest first while reading, so that rows written meanwhile move others to later pages, where they are met a second
    time, and none is missed: each page begins where the last one ended, however many of its rows had been met.
    """
    await check_known(access, query.others)
    found: list[Run] = []
    seen: set[str] = set()
    offset = pages = 0
    while query.limit is None or len(found) < query.limit:
        # Left to `keeps`: `models` means the provider's names there, so aliases would be missed; and up to 1.5.16 a
        # cancelled call is logged as an error.
        asked = {name: value for name, value in query.params().items() if name != "models"}
        if "cancelled" in (query.statuses or ()) and "error" not in (query.statuses or ()):
            asked["status"] += ",error"
        params = {**asked, "limit": PAGE, "offset": offset, "sort_by": "timestamp", "order": "desc"}
        answer = await access.get_object("/api/logs", params, missing=missing)
        page = objects(answer.get("logs"))
        rows = {row["id"]: row for row in page if isinstance(row.get("id"), str)}
        runs = [run_of(row, access.hide) for row_id, row in rows.items() if row_id not in seen]
        seen |= rows.keys()
        found += [run for run in runs if query.keeps(run)]
        pages, offset = pages + 1, offset + len(page)
        check_length(len(seen), pages)
        if is_last(answer, page, offset, new=bool(runs)):
            break
    newest = found[: query.limit]
    if texts:
        newest = await _whole(access, newest)
    elif details:
        untold = [run for run in newest if run.status == "error" and run.error_type is None and run.http_status is None]
        told = {run.run_id: run for run in await _whole(access, untold[:MOST_ERRORS])}
        for run in newest:  # the list of 2.0 has the message only
            if (whole := told.get(run.run_id)) is not None:
                run.http_status, run.error_type, run.error_code = whole.http_status, whole.error_type, whole.error_code
                run.error_message = whole.error_message or run.error_message
    return with_primaries(reversed(newest))


def is_last(answer: Mapping[str, Any], page: Sequence[Any], offset: int, *, new: bool) -> bool:
    """Whether nothing follows `page`, which ends at `offset`. `new`: it has rows that were not met before.

    Where as many rows were written meanwhile as a page has, it holds none that is new, and the older ones follow.
    """
    total = _total(answer)
    if not page or total is None:
        return not page or not new
    if not new and len(page) < PAGE:  # the gateway gives the same rows each time
        return True
    return offset >= total and (not new or len(page) < PAGE)


def check_length(rows: int, pages: int) -> None:
    """Raises ConfigurationError where a list is longer than can be read."""
    if rows > MOST_ROWS or pages > MOST_PAGES:
        raise ConfigurationError(
            f"The gateway's log goes on after {rows:,} rows.", hint="Ask for fewer by since=, until= or filters."
        )


async def with_names(access: Access, query: LogQuery, *, missing: str) -> LogQuery:
    """`query` so that the gateway's sums find its `models` by either name, as `LogQuery.keeps` does.

    The gateway has a filter for each, and takes both together as "and" (1.5.1 and later, measured; older ones know no
    ``aliases`` and ignore that). So the one that finds all is taken. Raises ConfigurationError where neither does.
    """
    if query.models is None:
        return query
    names = listed(query.models) or ""

    async def count(**filters: str) -> int:
        params = replace(query, models=None).params() | filters
        found = (await access.get_object("/api/logs/stats", params, missing=missing)).get("total_requests")
        return found if isinstance(found, int) else 0

    nobody, by_model, by_alias, by_both = await asyncio.gather(
        count(aliases="no-such-alias"), count(models=names), count(aliases=names), count(models=names, aliases=names)
    )
    if nobody or by_alias == by_both:
        return query
    if by_model == by_both:
        return replace(query, by_alias=True)
    raise ConfigurationError(
        f"The gateway has {names} as its own names of some calls, as providers' names of others, and adds up only one.",
        hint="Ask for one name at a time, or add up the rows of bf.gateway_logs(model=...), which have both.",
    )


async def _whole(access: Access, runs: list[Run]) -> list[Run]:
    room = asyncio.Semaphore(DETAILS_AT_ONCE)

    async def whole(run: Run) -> Run:
        async with room:
            try:
                return run_of(await access.get_object(f"/api/logs/{quote(run.run_id, safe='')}"), access.hide)
            except NotFound:  # deleted meanwhile, or a version without this route
                return run

    return list(await asyncio.gather(*(whole(run) for run in runs)))


def _bounds(name: str, least: Any, most: Any) -> tuple[float | None, float | None]:
    """Both bounds as numbers. Raises ConfigurationError."""
    found = []
    for side, given in (("min", least), ("max", most)):
        bound = None if given is None else number(given)
        if given is not None and (bound is None or not 0 <= bound < float("inf")):
            raise ConfigurationError(f"{side}_{name} must be a number from 0 on, not {quoted(given)}.")
        found.append(bound)
    low, high = found
    if low is not None and high is not None and low > high:
        raise ConfigurationError(f"min_{name} ({low:g}) is more than max_{name} ({high:g}): nothing is between them.")
    return low, high


def _within(figure: float | None, bounds: tuple[float | None, float | None]) -> bool:
    """Whether a figure is between both; one that is unknown is not, where there is a bound."""
    low, high = bounds
    if low is None and high is None:
        return True
    return figure is not None and (low is None or figure >= low) and (high is None or figure <= high)


def _total(answer: Mapping[str, Any]) -> int | None:
    """How many rows there are. It may lag behind, so it only ends the reading together with a short page."""
    for holder, name in (("pagination", "total_count"), ("stats", "total_requests")):
        part = answer.get(holder)
        total = part.get(name) if isinstance(part, Mapping) else None
        if isinstance(total, int) and not isinstance(total, bool) and total > 0:
            return total
    return None


def span(since: Any, until: Any) -> tuple[datetime | None, datetime | None]:
    """Both ends of the time that is asked for. Raises ConfigurationError."""
    start, end = instant("since", since), instant("until", until)
    if start is not None and end is not None and start >= end:
        raise ConfigurationError(
            f"since ({start.isoformat()}) is not before until ({end.isoformat()}): nothing can be between them.",
            hint="An age counts back from now: since='2d', until='1d' is the day before yesterday.",
        )
    return start, end


def checked_statuses(names: tuple[str, ...] | None, known: Iterable[str]) -> None:
    """Raises ConfigurationError for a status that no row of the gateway's log has."""
    known = list(known)
    for name in names or ():
        if name not in known:
            raise ConfigurationError(
                f"There is no status {name!r} in the gateway's log.{did_you_mean(name, known)}",
                hint=f"It is {', '.join(known)}.",
            )


def whole_limit(limit: Any) -> int | None:
    """A number of rows. Raises ConfigurationError."""
    rows = None if limit is None else whole(limit)
    if limit is not None and (rows is None or rows < 0):
        raise ConfigurationError(f"limit takes a number of rows, not {quoted(limit)}.")
    return rows


def rfc3339(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def listed(names: tuple[str, ...] | None, words: Mapping[str, str] | None = None) -> str | None:
    """`names` for a filter of the gateway's, in its `words`. No names find nothing, as everywhere: an empty filter is
    ignored there, and would find all (measured, 1.5.16)."""
    if names is None:
        return None
    return ",".join(names if words is None else [words[name] for name in names]) or "no-such-name"


def names_of(what: str, value: Any) -> tuple[str, ...] | None:
    """One or several names as the gateway's lists take them. Raises ConfigurationError."""
    if value is None:
        return None
    names = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else (value,)
    for name in names:
        if not isinstance(name, str) or not name.strip() or "," in name:
            raise ConfigurationError(f"{what} takes a name or several names without commas, not {quoted(name)}.")
    return names
