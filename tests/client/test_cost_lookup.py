"""Looking for costs: one list of the gateway's log for many runs, in time, and not at all where there is none."""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pytest
from starlette.requests import Request
from starlette.responses import Response

import bifrost_nb as bf
from bifrost_nb import Client, LocalGateway, RunLog, compare
from bifrost_nb._client.cost_lookup import Costs
from bifrost_nb._client.look_times import AGES_S, GIVE_UP_AFTER, Waiting
from bifrost_nb._client.model_list import _with_true_prices, prices_in
from bifrost_nb._client.portal import portal
from bifrost_nb._runs.cost import Price, add_price_cost
from bifrost_nb._runs.late_facts import add_log_rows
from bifrost_nb._runs.run import Run
from bifrost_nb._wire.log_page import log_page

from ..admin.servers import Table, log_row, served
from ..benchmarks.log_server import LogServer
from ..simulator.captures import CAPTURES, GENERATIONS, captured


def test_many_runs_need_few_looks(tmp_path: Path) -> None:
    """Of 400 answers whose rows come after 2 s few lists of the log tell, hardly a row twice; nobody was held up."""
    server = LogServer(2.0)
    with served(server) as url:
        client = Client(url, log=RunLog(tmp_path / "runs.jsonl"))
        result = compare(
            ["openai/m"], "Say {{n}}", inputs={"n": range(400)}, client=client, stream=False, concurrency=32
        )
        assert result.costs_awaited > 0
        assert result.wait_for_costs(30) == 0
    assert result.frame["cost_usd"].eq(0.25).all()
    assert result.frame["cost_source"].eq("log").all()
    assert server.looks <= 20  # 7 where nothing else runs
    assert server.told <= 8 * 400  # a busy machine reads more often: 1,622 at a load of 13
    assert server.single == 0


def test_a_gateway_without_a_log_is_not_waited_for(tmp_path: Path) -> None:
    """A page of HTML below /api says that there is no such route: nothing is awaited, and no later run asks again."""
    server = LogServer(route=False)
    with served(server) as url:
        client = Client(url, log=RunLog(tmp_path / "runs.jsonl"))
        run = client.complete("openai/m", "Hi")
        client.wait_costs([run], 20)
        looks, began = server.looks, time.monotonic()
        result = compare(["openai/m"], "Say {{n}}", inputs={"n": range(5)}, client=client, stream=False)
        assert result.wait_for_costs(20) == 0
        assert time.monotonic() - began < 4
    assert result.frame["cost_usd"].isna().all()
    assert server.looks == looks == 1
    assert server.price_lists == 2  # refused: asked once for prices, once for what the deployment can do


def test_refused_calls_are_not_looked_for(tmp_path: Path) -> None:
    """What the gateway refused has no log row and no cost, so nobody asks for one."""
    server = LogServer(0.0)
    with served(server) as url:
        client = Client(url, log=RunLog(tmp_path / "runs.jsonl"), retries=0)
        with pytest.raises(bf.NotFound) as refused:
            client.chat("openai/m", "Hi")
        assert refused.value.run is not None
        client.wait_costs([refused.value.run], 5)
    assert server.looks == 0


@pytest.mark.parametrize(("status", "told"), [("ok", False), ("error", True), ("timeout", True), ("cancelled", True)])
def test_only_answered_runs_say_that_no_log_is_kept(tmp_path: Path, status: Any, told: bool) -> None:
    """Failures that have no row, however many, keep nobody from finding the cost of the next answer; answers do."""
    server = LogServer(0.0)
    with served(server) as url:
        log = RunLog(tmp_path / "runs.jsonl")
        client = Client(url, log=log)
        answered = client.complete("openai/m", "Hi")
        client.wait_costs([answered], 10)
        costs = Costs(url, client.credentials)
        long_ago = time.monotonic() - AGES_S[-1] - 1
        lost = [Run(request_id=f"lost-{n}", status=status, http_status=200) for n in range(GIVE_UP_AFTER)]

        async def look() -> None:
            for run in lost:
                costs._waiting[id(run)] = Waiting(run, log, since=long_ago)
            await costs._look_on()
            answered.cost_usd = answered.cost_source = None
            costs.follow(answered, log)
            if costs._task is not None:
                await costs._task

        portal().call(look())
    assert (answered.cost_usd == 0.25) == told


async def _broken(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 500, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": b'{"error": {"message": "the database is locked"}}'})


@pytest.mark.parametrize(
    ("statuses", "server", "age_s"),
    [
        (["ok"] * 3, LogServer(60.0), 0.9),
        (["ok"] * 2, LogServer(60.0), 0.08),
        (["ok", "ok", "error", "cancelled"], LogServer(60.0), 0.08),
        (["ok"] * 3, _broken, 0.08),
    ],
    ids=["three without a row", "two", "not answered", "the log fails"],
)
def test_ages_without_a_row_are_tried_once(tmp_path: Path, statuses: list[Any], server: Any, age_s: float) -> None:
    """Where three answered runs have no row at some age, no run is looked for below it; all else says nothing."""
    with served(server) as url:
        log = RunLog(tmp_path / "runs.jsonl")
        costs = Costs(url, Client(url, log=log).credentials)
        half_a_second_ago = time.monotonic() - 0.5
        runs = [Run(request_id=f"{n}", status=status, http_status=200) for n, status in enumerate(statuses)]
        later = Run(request_id="later", status="ok", http_status=200)

        async def look() -> float:
            for run in runs:
                costs._waiting[id(run)] = Waiting(run, log, since=half_a_second_ago)
            with contextlib.suppress(bf.GatewayError):
                await costs._look()
            one = Waiting(later, log, step=costs._times.start_step)
            return one.due - one.since

        assert portal().call(look()) == pytest.approx(age_s)


async def _one_page(scope: Any, receive: Any, send: Any) -> None:
    """A log whose first page is full, and whose second fails."""
    query = dict(pair.split("=") for pair in scope["query_string"].decode().split("&"))
    rows = [{"id": str(n), "status": "success", "cost": 0.25} for n in range(int(query["limit"]))]
    body, status = orjson.dumps({"logs": rows}), 200
    if query["offset"] != "0":
        body, status = b'{"error": {"message": "no such page"}}', 400
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})


def test_a_second_page_that_fails_loses_nothing_of_the_first(tmp_path: Path) -> None:
    """The cost of the run that stands there is known, and the other is looked for again."""
    with served(_one_page) as url:
        log = RunLog(tmp_path / "runs.jsonl")
        costs = Costs(url, Client(url, log=log).credentials)
        there, not_there = [Run(request_id=name, status="ok", http_status=200) for name in ("7", "none")]

        async def look() -> None:
            for run in (there, not_there):
                costs._waiting[id(run)] = Waiting(run, log, since=time.monotonic() - 1)
            await costs._look()

        portal().call(look())
        assert (there.cost_usd, there.cost_source) == (0.25, "log")
        assert costs.looks == 2
        assert list(costs._waiting) == [id(not_there)]


def test_rounded_prices_are_unknown() -> None:
    """1.3 writes prices with six decimals, which makes most of them wrong: then none is used; ten decimals are."""
    rounded = [{"id": "azure/fast", "pricing": {"prompt": "0.000000", "completion": "0.000001"}}]
    exact = [{"id": "azure/fast", "pricing": {"prompt": "0.0000001500", "completion": "0.0000006000"}}]
    assert prices_in(_with_true_prices(rounded)) == {}
    assert prices_in(_with_true_prices(exact))["azure/fast"].prompt == 1.5e-7


@pytest.mark.parametrize(
    ("cached", "written", "cost"),
    [(0, 0, 20 * 3.0), (5, 0, 15 * 3.0 + 5 * 0.5), (0, 8, 12 * 3.0 + 8 * 4.0), (5000, 0, 20 * 3.0 + 5000 * 0.5)],
)
def test_cache_reads_and_writes_have_prices_of_their_own(cached: int, written: int, cost: float) -> None:
    """They are part of the prompt's tokens, or stand beside them where they are more; no cost is ever negative."""
    run = Run(prompt_tokens=20, completion_tokens=1, cached_tokens=cached, cache_write_tokens=written)
    assert add_price_cost(run, Price(3.0, 0.0, None, 0.5, 4.0))
    assert run.cost_usd == pytest.approx(cost)


@pytest.mark.parametrize(("listed", "cost"), [("3.0", 60 * 8.0 + 40 * 3.0), ("0", 100 * 8.0), (None, 100 * 8.0)])
def test_reasoning_has_a_price_of_its_own(listed: str | None, cost: float) -> None:
    """It is a part of the completion; where the list says nothing of it, or 0, it costs what all of that does."""
    run = Run(prompt_tokens=1, completion_tokens=100, reasoning_tokens=40)
    pricing = {"prompt": "0.0", "completion": "8.0", "internal_reasoning": listed}
    assert add_price_cost(run, prices_in([{"id": "a/b", "pricing": pricing}])["a/b"])
    assert run.cost_usd == run.output_cost_usd == pytest.approx(cost)


def test_the_log_says_who_served() -> None:
    """An alias that was streamed under the provider's name (1.5.1) and a nameless stream learn it from the row."""
    row = {"id": "a", "status": "success", "provider": "azure", "model": "gpt-4o-2024", "alias": "gpt-4o", "cost": 0.5}
    row |= {"object": "chat_completion_stream", "fallback_index": 0}
    nameless = Run(request_id="a", status="ok")
    aliased = Run(request_id="a", status="ok", provider="azure", model="gpt-4o-2024")
    for run in (nameless, aliased):
        assert add_log_rows(run, [row], [row])
        assert (run.served, run.model_deployment, run.is_fallback) == ("azure/gpt-4o", "gpt-4o-2024", False)
    assert nameless.request_type == "chat_completion"


class ToolsBetween:
    """A gateway that runs tools between two calls of a model and logs each call under an id of its own.

    Captured (shortened) from 1.4.18, 1.5.1, 1.5.16 and 2.0.0-prerelease3: the answer has the tokens of both calls, on
    1.4.18 those of the last.
    """

    USAGE = (
        {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10},
        {"prompt_tokens": 161, "completion_tokens": 40, "total_tokens": 201},
    )

    def __init__(self, version: str) -> None:
        self.version = version
        self.rows: list[dict[str, Any]] = []
        first, last = self.USAGE
        self.usage = last if version == "v1.4.18" else {name: first[name] + last[name] for name in first}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if scope["path"] == "/v1/chat/completions":
            sent = dict(scope["headers"])[b"x-request-id"].decode()
            for id_, usage in zip((sent, "unlinked"), self.USAGE, strict=True):
                cost = usage["prompt_tokens"] * 1.5e-7 + usage["completion_tokens"] * 6e-7
                row = {"id": id_, "parent_request_id": None, "status": "success", "object": "chat_completion"}
                self.rows.insert(0, row | {"provider": "openai", "model": "m", "cost": cost, "token_usage": usage})
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Sunny."}}
            served_by = {"request_type": "chat_completion", "provider": "openai", "resolved_model_used": "m"}
            served_by |= {"original_model_requested": "m"}
            answer: Any = {"id": "c", "choices": [choice], "usage": self.usage, "extra_fields": served_by}
        elif scope["path"] == "/api/logs":
            answer = {"logs": self.rows, "has_logs": True}
        elif scope["path"] == "/v1/models":
            answer = {"data": [{"id": "openai/m", "pricing": {"prompt": "0.00000015", "completion": "0.0000006"}}]}
        else:
            answer = self.version
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": orjson.dumps(answer)})


@pytest.mark.parametrize(
    ("version", "cost"), [("v1.4.18", None), ("v1.5.1", 5.19e-05), ("v2.0.0-prerelease3", 5.19e-05)]
)
def test_an_answer_with_tools_at_the_gateway_costs_all_its_calls(
    version: str, cost: float | None, tmp_path: Path
) -> None:
    """The log has the first call only under the request's id: all cost by the prices, or unknown where tokens lack."""
    with served(ToolsBetween(version)) as url:
        client = Client(url, log=RunLog(tmp_path / "runs.jsonl"))
        run = client.chat("openai/m", "The weather in Rome?")
        client.wait_costs([run], 30)
    assert run.cost_usd == (None if cost is None else pytest.approx(cost))
    assert run.cost_source == (None if cost is None else "prices")


@pytest.mark.parametrize("index", [1 << 70, -1, 1.0, True, "1", None])
def test_what_is_no_place_among_the_fallbacks_is_unknown(index: object, tmp_path: Path) -> None:
    """It keeps nothing else out of the log."""
    log = RunLog(tmp_path / "runs.jsonl")
    run = Run(request_id="a", status="ok", provider="azure", model="m")
    row = {"id": "a", "status": "success", "cost": 0.5, "fallback_index": index}
    assert add_log_rows(run, [row], [row])
    assert (run.is_fallback, run.fallback_index) == (None, None)
    log.append(run)
    assert log.read()[0].cost_usd == 0.5


@pytest.mark.shared
@pytest.mark.skipif(not CAPTURES.is_dir(), reason="the captures of real gateways (../shared/captures) are not there")
@pytest.mark.parametrize(
    ("version", "by", "at_once", "later"),
    [("v1.4.18", "openai", None, 2_700.0), ("v1.4.18", "azure", None, None), ("v1.5.1", "openai", None, 2_700.0),
     ("v1.5.16", "openai", 150.0, 150.0)],
)  # fmt: skip
def test_the_log_tells_how_long_a_stream_took(
    version: str, by: str, at_once: float | None, later: float | None, tmp_path: Path
) -> None:
    """Up to 1.5.1 a stream tells the time since its provider's head, which made a slow provider a slow network; of
    a fallback the rows up to 1.4.18 have no more."""
    asked: list[str] = []
    rows: list[dict[str, Any]] = []
    last = {"choices": [{"index": 0, "text": "a", "finish_reason": "stop"}], "usage": {"total_tokens": 2}}
    events = b"data: %b\n\ndata: [DONE]\n\n" % orjson.dumps(last | {"extra_fields": {"latency": 150, "provider": by}})

    def answer(request: Request) -> Response:
        asked.append(request.headers["x-request-id"])
        return Response(events, media_type="text/event-stream")

    table = {"/api/version": version, "/v1/completions": answer, "/api/logs": lambda _: {"logs": rows}}
    with served(Table(table)) as url:
        client = Client(url, log=RunLog(tmp_path / "runs.jsonl"))
        with client.stream("openai/m", "Hi", fallbacks=["azure/m"]) as stream:
            list(stream)
        assert stream.run.latency_ms == at_once
        rows.append(log_row(1, id=asked[0], latency=2_700, provider=by))
        client.wait_costs([stream.run], 20)
        assert stream.run.latency_ms == later
        assert [each.latency_ms for each in client.log.read()] == [later]


@pytest.mark.parametrize("version", GENERATIONS)
def test_of_real_rows_all_that_a_run_learns_is_read(version: str) -> None:
    """A run learns from the fields that are read what it learns from the whole row."""
    answers = [one["json"] for _, one in captured(version, "[0-9]*.json") if isinstance(one.get("json"), dict)]
    rows = [row for answer in answers for row in answer.get("logs") or ()]
    assert {"success"} <= {row["status"] for row in rows}
    for row in rows:
        page = log_page(orjson.dumps({"logs": [row]}))
        assert page is not None
        whole, part = Run(request_id="a", status="ok"), Run(request_id="a", status="ok")
        told = [add_log_rows(run, [one], [one]) for run, one in ((whole, row), (part, page["logs"][0]))]
        assert told[0] == told[1]
        assert asdict(whole) == asdict(replace(part, run_id=whole.run_id, started_at=whole.started_at))


@pytest.mark.parametrize("cost", [10**400, math.inf, math.nan, -0.5, True, "0.5", [0.5], None])
def test_what_is_no_cost_is_unknown(cost: object) -> None:
    """As JSON may say it. Of an earlier attempt it changes nothing of what the answer cost."""
    run = Run(request_id="b", status="ok")
    row = {"id": "b", "status": "success", "cost": cost}
    assert not add_log_rows(run, [row], [row])
    assert run.cost_usd is None
    answered = row | {"cost": 0.5}
    assert add_log_rows(run, [{"id": "a", "status": "error", "cost": cost}, answered], [answered])
    assert run.cost_usd == 0.5


def test_attempts_that_broke_off_are_paid_too() -> None:
    """The rows of earlier attempts add their costs to that of the answer."""
    broken, answered = (
        {"id": name, "status": status, "cost": 0.5} for name, status in (("a", "error"), ("b", "success"))
    )
    run = Run(request_id="b", status="ok")
    assert add_log_rows(run, [broken, answered], [answered])
    assert (run.cost_usd, run.input_cost_usd) == (1.0, None)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_attempt_that_was_answered_and_broke_off_is_counted(
    client: Client, gateway: LocalGateway, stream: bool
) -> None:
    """The run says so, the caller is warned, and its cost is what the gateway's log has for both."""
    gateway.script([{"drop": {"after_bytes": 30}, "times": 1}])

    def ask() -> Run:
        if not stream:
            return client.complete("azure/fast", "Hi", max_tokens=3)
        with client.stream("azure/fast", "Hi", max_tokens=3) as pieces:
            list(pieces)
        return pieces.run

    with pytest.warns(RuntimeWarning, match="1 earlier attempt was answered and broke off"):
        run = ask()
    [note] = run.notes
    assert note.startswith("1 earlier attempt was answered and broke off")
    assert [attempt.http_status for attempt in run.attempts] == [200, 200]
    client.wait_costs([run], 10)
    rows = bf.gateway_logs(client=client).set_index("run_id")["cost_usd"]
    paid = [rows.get(attempt.request_id, 0.0) for attempt in run.attempts]
    assert run.cost_usd == pytest.approx(sum(0.0 if pd.isna(each) else each for each in paid))
    assert len(rows) == 2
