"""What runs learn after their answers: costs, and who served, from the gateway's log, else costs from its price list.

A gateway writes its row of an answer late, and only its list of rows exists in all versions: so one list serves all
runs that wait, at the times of `look_times`. Everything here runs on the private loop; whoever wants to wait does so by
`bifrost_nb._runs.pending`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from .._runs.cost import Price, add_price_cost, broken_off
from .._runs.late_facts import add_log_rows, answered_in, is_one_of_several, tells_all_tokens
from .._runs.pending import cost_follows, costs_settled
from .._runs.run import Run
from .._wire.gateway_errors import gateway_error, parse_error
from .._wire.log_page import log_page
from ..errors import BifrostError, LogError
from .credentials import Credentials
from .look_times import AGES_S, LookTimes, Waiting
from .model_list import MODELS_LAST_S, model_list, prices_in
from .transport import Reply, fetch

if TYPE_CHECKING:
    from .._runs.log.log import RunLog

__all__ = ["Costs"]

PAGE = 1000
"""Rows of a page; the gateway allows no more."""
PAGES = 3
PAST_PAGES = 20
"""Pages read at most for runs of an earlier process."""
PAST_PAUSE_S = 3600.0
"""Runs that lie further apart are looked for by themselves, so that what was logged between them is not read."""
FEW = 200
"""Rows that cost less to read than another request, where what is due is not there yet."""
SOONER_S = 0.05
"""By so much a row may come sooner than any before, and still be on the first page."""
CLOCKS_S = 5.0
"""The gateway's clock may differ so much from ours; what differs more is corrected by the dates of its answers."""
EMPTY_AFTER_S = 6.0
"""A log that is still empty so long after an answered run is not kept."""
AT_ONCE = 25
"""So many runs are filled in before other work of the loop gets its turn: calls are timed on it."""
WRITTEN_AT_ONCE = 100
"""So many runs are written down together, which takes about as long."""

FACTS = (
    *("input_cost_usd", "output_cost_usd", "cost_usd", "cost_source", "request_type"),
    *("provider", "model", "model_deployment", "is_fallback", "fallback_index", "latency_ms"),
)
"""What a run may learn."""
_facts: Callable[[Run], tuple[Any, ...]] = attrgetter(*FACTS)
_started_at: Callable[[Waiting], datetime] = attrgetter("run.started_at")


class Costs:
    """Fills in what the runs of one client learn late."""

    def __init__(self, base_url: str, credentials: Credentials) -> None:
        self.base_url = base_url
        self._credentials = credentials
        self.looks = 0
        """Requests for the gateway's log so far."""
        self._waiting: dict[int, Waiting] = {}
        self._news: dict[RunLog, dict[str, dict[str, Any]]] = {}
        """What runs have learned and their log has not, by run."""
        self._task: asyncio.Task[None] | None = None
        self._past_task: asyncio.Task[None] | None = None
        self._past: dict[str, Waiting] = {}
        """Runs of an earlier process, by id, that are looked for now."""
        self._asked_back: set[str] = set()
        self._times = LookTimes()
        self._ahead = timedelta()
        """By how much the gateway's clock is ahead of ours, where that is more than a little."""
        self._prices: dict[str, Price] = {}
        self._prices_until = 0.0

    def follow(self, run: Run, log: RunLog) -> None:
        """Look for what a finished run does not know yet, in the background, if it may become known."""
        if not _may_learn(run) or (self._times.silent() and time.monotonic() < self._prices_until):
            self._give_up([Waiting(run, log)])  # what is known already may be enough
            return
        self._waiting[id(run)] = Waiting(run, log, step=self._times.start_step)
        if run.cost_usd is None or broken_off(run):
            cost_follows(run)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._look_on())

    def follow_past(self, runs: Iterable[Run], log: RunLog) -> None:
        """Look once more, in the background, for costs of runs whose own process ended before they came.

        Only the gateway's log is asked: by today's price list an old run has no cost.
        """
        now = datetime.now(UTC)
        for run in runs:
            if (
                run.cost_usd is not None
                or not _may_learn(run)
                or run.run_id in self._asked_back
                or self._times.silent()
            ):
                continue
            self._asked_back.add(run.run_id)
            if now - _ended_at(run) < timedelta(seconds=AGES_S[-1]):  # its row is still to come
                self.follow(run, log)
                continue
            self._past[run.run_id] = Waiting(run, log, since=time.monotonic() - AGES_S[-1])
            cost_follows(run)
        if self._past and self._past_task is None:
            self._past_task = asyncio.get_running_loop().create_task(self._look_back())

    def estimate_usd(self, run: Run) -> float | None:
        """What a run without a known cost costs by the price list, if that has been read; None where it does not tell.

        Prices that a list has and the log has not are rare, so this is what the log will say, or a little more.
        """
        price, copy = self._prices.get(run.served or ""), replace(run, cached_tokens=None)
        return copy.cost_usd if price is not None and add_price_cost(copy, price) else None

    async def prices(self) -> dict[str, Price]:
        """Price per token by ``provider/model``; empty where it does not tell. Asked for once in ten minutes."""
        if time.monotonic() >= self._prices_until:
            with contextlib.suppress(BifrostError):
                self._prices = prices_in(await self.models())
            self._prices_until = time.monotonic() + MODELS_LAST_S
        return self._prices

    async def models(self) -> Sequence[Mapping[str, Any]]:
        """What ``/v1/models`` lists, with the keys of this client. Raises ConnectionFailed, GatewayError, ..."""
        return await model_list(self.base_url, self._credentials.listing, self._models)

    async def _models(self, path: str, params: Mapping[str, Any]) -> Any:
        keys = self._credentials
        reply = await fetch(self.base_url, path, keys.listing, params, ca_file=keys.ca_file)
        if reply.status >= 300:
            raise gateway_error(parse_error(reply.body, reply.status, reply.headers))
        return reply.json()

    async def _look_on(self) -> None:
        """Look until nothing waits any more."""
        try:
            while self._waiting:
                if not self._times.silent():
                    # No event: who begins to wait for a cost, and so makes a look urgent, is on another thread.
                    while pause := self._times.pause_s([one.due for one in self._waiting.values()]):  # noqa: ASYNC110
                        await asyncio.sleep(pause)
                    # RuntimeError: at the end of the interpreter no name resolves.
                    with contextlib.suppress(BifrostError, RuntimeError):
                        await self._look()
                if self._times.silent():
                    await self._leave(list(self._waiting.values()))
                else:
                    await self._step_on()
        finally:  # also where the loop ends: nobody waits for what will not come
            left, self._waiting, self._task = list(self._waiting.values()), {}, None
            self._write_down()  # what was learned when it ended
            costs_settled(one.run for one in left)

    async def _look_back(self) -> None:
        """One look for each stretch of time in which runs of an earlier process lie, the newest first."""
        try:
            while self._past:
                waiting, self._past = list(self._past.values()), {}
                pages = PAST_PAGES
                try:
                    for some in _stretches(waiting):
                        before = self.looks
                        with contextlib.suppress(BifrostError, RuntimeError):
                            rows, children = await self._rows(some, pages, _ended_at(some[0].run))
                            await self._fill_in(some, rows, children)
                        pages -= self.looks - before
                        if pages <= 0 or self._times.silent():
                            break
                finally:
                    costs_settled(one.run for one in waiting)
        finally:
            costs_settled(one.run for one in self._past.values())
            self._past, self._past_task = {}, None
            self._write_down()

    async def _look(self) -> None:
        """One list of the log for all that wait; what is found is filled in."""
        waiting, step = list(self._waiting.values()), self._times.start_step
        began = time.monotonic()
        found, priceless = await self._fill_in(waiting, *await self._rows(waiting))
        for one in found:
            self._waiting.pop(id(one.run), None)
        if found:
            self._times.found(began - max(one.since for one in found))
        else:
            self._times.not_found([began - one.since for one in waiting if one.run.status == "ok"])
        if self._times.start_step > step:
            for one in self._waiting.values():  # also those that came before that was known
                one.not_before(self._times.start_step)
        done = {one.run.run_id for one in priceless}
        costs_settled(one.run for one in found if one.run.run_id not in done)
        await self._leave(priceless)

    async def _fill_in(
        self, waiting: list[Waiting], rows: Mapping[str, dict[str, Any]], children: Mapping[str, list[dict[str, Any]]]
    ) -> tuple[list[Waiting], list[Waiting]]:
        """What the rows say, into the runs: those that have theirs, and of these those whose cost is not in it."""
        found, priceless = [], []
        known = rows.keys() | children.keys()
        for one in waiting if known else ():
            if one.ids[-1] not in known:
                continue
            if len(one.ids) == 1 and not children:  # nearly always
                all_rows = last = [rows[one.ids[0]]]
            else:
                theirs = [_present([rows.get(each), *children.get(each, ())]) for each in one.ids]
                if not all(theirs):
                    continue
                all_rows, last = [row for each in theirs for row in each], theirs[-1]
            if not answered_in(one.run, last):
                continue
            found.append(one)
            old = _facts(one.run)
            logged = add_log_rows(one.run, all_rows, last)
            if not logged and (tells_all_tokens(one.run) or not any(is_one_of_several(one.run, row) for row in last)):
                priceless.append(one)
            self._learned(one, old)
            if len(found) % WRITTEN_AT_ONCE == 0:
                self._write_down()
            if len(found) % AT_ONCE == 0:
                await asyncio.sleep(0)
        self._write_down()
        return found, priceless

    async def _rows(
        self, waiting: list[Waiting], pages: int = PAGES, until: datetime | None = None
    ) -> tuple[dict[str, dict[str, Any]], dict[str, list[dict[str, Any]]]]:
        """The finished rows since the first of `waiting` began: by id, and by the id of their parent."""
        first = min(map(_started_at, waiting)) + self._ahead - timedelta(seconds=CLOCKS_S)
        window = {"start_time": _written(first)}
        if until is not None:
            window["end_time"] = _written(until + self._ahead + timedelta(seconds=CLOCKS_S))
        now = time.monotonic()
        rows: dict[str, dict[str, Any]] = {}
        children: dict[str, list[dict[str, Any]]] = {}
        # The newest come first; further back are rows that were read before.
        there = now - self._times.soonest_s + SOONER_S
        soon = sum([one.since <= there or one.due <= now for one in waiting])
        offset, limit = 0, min(PAGE, max(FEW, soon + soon // 8 + 20))
        for _ in range(pages):
            reply = await self._page({**window, "limit": limit, "offset": offset})
            answer = log_page(reply.body) or reply.json()
            page = answer.get("logs") if isinstance(answer, dict) else None
            # That nothing is left of an earlier day does not say that no log is kept.
            if self._tells_nothing(reply, answer, waiting if until is None else ()):
                self._times.fall_silent()
            if reply.status >= 300 and not offset:  # what a first page told counts without a second
                raise gateway_error(parse_error(reply.body, reply.status, reply.headers))
            for row in page if isinstance(page, list) else ():
                if isinstance(row, dict) and row.get("status") != "processing":
                    rows[str(row.get("id"))] = row
                    if type(parent := row.get("parent_request_id")) is str and parent != row.get("id"):
                        children.setdefault(parent, []).append(row)
            if not isinstance(page, list) or len(page) < limit:
                break
            if all(each in rows for one in waiting if one.due <= now for each in one.ids):
                break
            offset, limit = offset + limit, PAGE
        return rows, children

    async def _page(self, params: Mapping[str, Any]) -> Reply:
        self.looks += 1
        order = {"sort_by": "timestamp", "order": "desc"}
        keys = self._credentials
        reply = await fetch(self.base_url, "/api/logs", keys.management, {**params, **order}, ca_file=keys.ca_file)
        with contextlib.suppress(TypeError, ValueError):
            ahead = parsedate_to_datetime(reply.headers.get("date") or "") - datetime.now(UTC)
            self._ahead = ahead if abs(ahead.total_seconds()) > CLOCKS_S / 2 else timedelta()
        return reply

    def _tells_nothing(self, reply: Reply, answer: Any, waiting: Sequence[Waiting]) -> bool:
        """Whether the log is closed, is not there (a page of HTML, 404, 405), or stays empty."""
        if reply.status in (401, 403, 404, 405) or (reply.status == 200 and not isinstance(answer, dict)):
            return True
        if not isinstance(answer, dict) or answer.get("has_logs") is not False or answer.get("logs"):
            return False
        oldest = min((one.since for one in waiting if one.run.status == "ok"), default=time.monotonic())
        return time.monotonic() - oldest > EMPTY_AFTER_S

    async def _step_on(self) -> None:
        """The next age of each run that was not found; without one it is given up."""
        now, gone = time.monotonic(), []
        for one in list(self._waiting.values()):
            if not one.next_age(now):
                gone.append(one)
        # What was not answered may have no row at all; so only answered runs say that no log is kept.
        self._times.given_up(sum(one.run.status == "ok" for one in gone))
        await self._leave(gone)

    async def _leave(self, waiting: list[Waiting]) -> None:
        """The log does not tell; perhaps the price list does."""
        if any(_may_be_priced(one.run) for one in waiting):
            with contextlib.suppress(BifrostError, RuntimeError):
                await self.prices()
        self._give_up(waiting)

    def _give_up(self, waiting: list[Waiting]) -> None:
        """Settle runs by the prices that are known."""
        for one in waiting:
            self._waiting.pop(id(one.run), None)
            if _may_be_priced(one.run) and (price := self._prices.get(one.run.served or "")) is not None:
                old = _facts(one.run)
                add_price_cost(one.run, price)
                self._learned(one, old)
        self._write_down()
        costs_settled(one.run for one in waiting)

    def _learned(self, one: Waiting, old: Sequence[Any]) -> None:
        facts = _facts(one.run)
        new = {n: facts[i] for i, n in enumerate(FACTS) if facts[i] is not None and facts[i] != old[i]}
        if new:
            self._news.setdefault(one.log, {})[one.run.run_id] = new

    def _write_down(self) -> None:
        """What is new, into the run log: many runs at once, since a line by itself costs more than looking for it."""
        news, self._news = self._news, {}
        for log, facts in news.items():
            with contextlib.suppress(LogError):  # the runs themselves have it
                log.update_soon(facts)


def _present(rows: Iterable[dict[str, Any] | None]) -> list[dict[str, Any]]:
    return [row for row in rows if row is not None]


def _ended_at(run: Run) -> datetime:
    with contextlib.suppress(OverflowError):  # what a log holds may be damaged
        return run.started_at + timedelta(milliseconds=run.total_ms or 0.0)
    return run.started_at


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _stretches(waiting: Iterable[Waiting]) -> list[list[Waiting]]:
    """`waiting` from the newest on, cut where nothing of it lies for long."""
    found: list[list[Waiting]] = []
    for one in sorted(waiting, key=lambda one: _ended_at(one.run), reverse=True):
        if found and (found[-1][-1].run.started_at - _ended_at(one.run)).total_seconds() < PAST_PAUSE_S:
            found[-1].append(one)
        else:
            found.append([one])
    return found


def _may_learn(run: Run) -> bool:
    """Whether a run lacks something that the gateway may tell later.

    What was refused before a provider was asked has no log row and no cost, and what a provider refused has no cost. An
    error inside an answer that had begun may have such a status, too.
    """
    if run.http_status is None or run.cache_hit:
        return False
    refused = run.http_status >= 400 and (run.http_status < 500 or run.provider is None)
    if refused and not (broken_off(run) or run.has_begun or run.usage):
        return False
    unnamed = run.provider is None or run.model is None or (bool(run.fallbacks) and run.is_fallback is None)
    return run.cost_usd is None or unnamed or bool(broken_off(run))


def _may_be_priced(run: Run) -> bool:
    return run.cost_usd is None and run.status == "ok" and run.prompt_tokens is not None and not run.cache_hit
