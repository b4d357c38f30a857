"""Fetch from the gateway what a frame of its data shows: rows of all pages, sums that are told apart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from ..errors import AuthenticationFailed, NotFound
from .access import Access
from .fields import objects
from .log_query import LIST_MODELS, LogQuery, read_log, with_names

__all__ = ["NO_LOG", "model_rows", "provider_rows", "rule_rows", "stats_row", "virtual_key_rows", "with_keys"]

T = TypeVar("T")

MOST_PAGES = 200
MOST_FAILED = 10_000
"""So many rows that did not succeed are counted one by one."""
NO_LOG = "The gateway keeps no log (its logs_store is switched off), or is older than this route."
_NO_RULES = "Routing rules came after gateway 1.4.0; 1.4.18 has them."


async def model_rows(access: Access) -> list[Mapping[str, Any]]:
    """All models of all pages."""
    return list(await access.models())


async def provider_rows(access: Access) -> list[Mapping[str, Any]]:
    """The providers, each with its keys."""
    answer = await access.get_object("/api/providers")
    found = [dict(row) for row in objects(answer.get("providers")) if isinstance(row.get("name"), str)]

    async def add_keys(row: dict[str, Any]) -> None:
        if not isinstance(row.get("keys"), list):  # from 1.5 on they have a route of their own
            try:
                told = await access.get_object(f"/api/providers/{_segment(row['name'])}/keys")
            except NotFound:
                return
            row["keys"] = told.get("keys")

    await asyncio.gather(*(add_keys(row) for row in found))
    return list(found)


async def virtual_key_rows(access: Access, *, own: bool) -> list[Mapping[str, Any]]:
    """All keys; where only an administrator may see them and `own` is true, what the client's key tells of itself."""
    try:
        return await paged(access, "/api/governance/virtual-keys", "virtual_keys")
    except AuthenticationFailed:
        if not own:
            raise
        try:
            return [await access.get_object("/api/governance/virtual-keys/quota")]
        except (AuthenticationFailed, NotFound):
            pass
        raise


async def rule_rows(access: Access) -> list[Mapping[str, Any]]:
    """All routing rules."""
    return await paged(access, "/api/governance/routing-rules", "rules", missing=_NO_RULES)


async def paged(
    access: Access, path: str, name: str, *, missing: str | None = None, now: bool = False
) -> list[Mapping[str, Any]]:
    """The objects under `name` of all pages of `path`, each id once; `now`: out of the gateway's memory, in any order.

    100 a page, since more are not given at once (and fewer by one that says how many there are); a gateway without
    paging sends all each time.
    """
    found: dict[str, Mapping[str, Any]] = {}
    offset = 0
    for _ in range(MOST_PAGES):
        asked = {"limit": 100, "offset": offset, **({"from_memory": "true"} if now else {})}
        answer = await access.get_object(path, asked, missing=missing)
        page = objects(answer.get(name))
        new = {row["id"]: row for row in page if isinstance(row.get("id"), str) and row["id"] not in found}
        found |= new
        offset += len(page)
        total = answer.get("total_count")
        if not new or (len(page) != 100 and not (isinstance(total, int) and offset < total)):
            break
    return list(found.values())


async def with_keys(access: Access, rows: Callable[[Access, list[Mapping[str, Any]]], Coroutine[Any, Any, T]]) -> T:
    """`rows` of the gateway's virtual keys, which say whose a budget or a limit is, and how much of it is used by now:
    the database learns that up to ten seconds later (measured on 1.3.63 to 2.0.0-prerelease3)."""
    try:
        keys = await paged(access, "/api/governance/virtual-keys", "virtual_keys", now=True)
    except NotFound:
        keys = []  # the route of `rows` itself says what is missing
    return await rows(access, keys)


async def stats_row(access: Access, query: LogQuery) -> Mapping[str, Any]:
    """The gateway's sums, with what they mix told apart and the rows it dropped."""
    query = await with_names(access, query, missing=NO_LOG)
    row = await access.get_object("/api/logs/stats", query.params(), missing=NO_LOG)
    row |= await _told_apart(access, query)
    try:
        dropped = await access.get_object("/api/logs/dropped")
    except (NotFound, AuthenticationFailed):
        return row
    return {**row, "dropped_requests": dropped.get("dropped_requests")}


async def _told_apart(access: Access, query: LogQuery) -> dict[str, int]:
    """What the gateway's sums mix: rows of listed models, cancelled calls, and failed ones; unknown: left out.

    The filter ``objects`` is known to every version that was tried; a version that ignored it would tell its sum of
    all, so the answer for a kind that does not exist is asked for as well.
    """
    counts: dict[str, int] = {}
    listed, nothing = [
        await access.get_object("/api/logs/stats", query.params() | {"objects": kind}, missing=NO_LOG)
        for kind in (LIST_MODELS, "no_such_kind")
    ]
    if nothing.get("total_requests") == 0 and isinstance(found := listed.get("total_requests"), int):
        counts["list_models_rows"] = found
    wanted = ("error", "cancelled") if query.statuses is None else query.statuses
    if not_ok := tuple(status for status in ("error", "cancelled") if status in wanted):
        asked = replace(query, statuses=not_ok, limit=MOST_FAILED)
        try:
            runs = await read_log(access, asked, missing=NO_LOG, details=False)
        except NotFound:
            return counts
        if len(runs) < MOST_FAILED:
            names = {"error": "failed", "cancelled": "cancelled"}
            counts |= {names[status]: sum(run.status == status for run in runs) for status in not_ok}
    return counts


def _segment(name: str) -> str:
    from urllib.parse import quote

    return quote(name, safe="")
