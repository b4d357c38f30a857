"""Our run log against the gateway's: joined by every attempt's id, differences, one side only, costs filled in."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bifrost_nb import Client, GatewayError, NotFound
from bifrost_nb._admin.api import reconcile
from bifrost_nb._admin.reconcile_rows import LATEST_S
from bifrost_nb._runs.log.log import RunLog
from bifrost_nb._runs.run import Attempt, Run
from bifrost_nb._simulator.process import LocalGateway

from .conftest import logged
from .servers import Log, Table, log_row, served

ClientOf = Callable[..., Client]
NEXT_DECADE = datetime.now(UTC) + timedelta(days=3650)


def our_run(number: int, **facts: object) -> Run:
    """A run that fits `log_row(number)`."""
    run = Run(
        run_id=f"run-{number}",
        request_id=f"row-{number}",
        started_at=datetime(2026, 11, 1, 0, 0, number, tzinfo=UTC),
        requested_provider="azure",
        requested_model="fast",
        provider="azure",
        model="fast",
        status="ok",
        http_status=200,
        prompt_tokens=3,
        completion_tokens=5,
        total_tokens=8,
        cost_usd=0.25,
        cost_source="response",
        total_ms=1000.0,
        attempts=[Attempt(request_id=f"row-{number}", started_ms=980.0, ended_ms=1000.0, http_status=200)],
    )
    for name, value in facts.items():
        setattr(run, name, value)
    return run


def test_real_runs_are_found_again(client_of: ClientOf, gateway: LocalGateway) -> None:
    """Completions, streams, retries and fallbacks each meet all their rows; tokens agree; the client took longer."""
    client = client_of(gateway.url, retries=1)
    gateway.script([{"deployment": "azure/large", "times": 1, "status": 500}])
    runs = [client.complete("azure/fast", "Hi", max_tokens=4), client.complete("azure/large", "Hi", max_tokens=4)]
    with client.stream("azure/fast", "Tell", max_tokens=8) as stream:
        list(stream)
    runs += [stream.run, client.complete("azure/always-fails", "Hi", fallbacks=["azure/fast"], max_tokens=4, retries=0)]
    with pytest.raises(GatewayError):
        client.complete("azure/always-fails", "Hi", max_tokens=4, retries=1)
    logged(client, 8)
    found = reconcile(client=client)
    joined = found.joined.set_index("run_id")
    assert len(joined) == 5
    assert list(joined.loc[[run.run_id for run in runs], "gateway_rows"]) == [1, 2, 1, 2]
    assert found.only_ours.empty
    assert found.only_gateway.empty
    assert found.differences.empty
    assert (joined["served"] == joined["gateway_served"]).sum() >= 4
    assert joined["overhead_ms"].gt(-1).all()  # the gateway's time is rounded to whole milliseconds
    assert joined["overhead_ms"].max() < 3_000
    assert joined.loc[runs[1].run_id, "client_ms"] < runs[1].total_ms  # the first attempt and the pause are not in it
    assert "5 in both logs, 0 only in ours, 0 only in the gateway's" in repr(found)


def test_what_only_one_side_has(client_of: ClientOf, gateway: LocalGateway, tmp_path: Path) -> None:
    """A run whose row is missing is only ours, another client's is only the gateway's, an unanswered one is neither."""
    gateway.script([{"deployment": "azure/large", "log": False}])
    client = client_of(gateway.url)
    both = client.complete("azure/fast", "Hi", max_tokens=3)
    ours = client.complete("azure/large", "Hi", max_tokens=3)
    theirs = Client(gateway.url, log=RunLog(tmp_path / "other.jsonl")).complete("azure/fast", "Other", max_tokens=3)
    client.log.append(Run(status="error", request_id="never-arrived"))
    logged(client, 2)
    found = reconcile(client=client)
    assert list(found.joined["run_id"]) == [both.run_id]
    assert list(found.only_ours["run_id"]) == [ours.run_id]
    assert list(found.only_gateway["request_id"]) == [theirs.request_id]
    assert "1 in both logs, 1 only in ours, 1 only in the gateway's" in repr(found)


def test_another_gateways_runs_are_left_out(client_of: ClientOf, gateway: LocalGateway) -> None:
    """A log that two gateways share: the other's young runs are neither waited for nor ours alone, but counted.

    One gateway may have two addresses, so a run that its log has is joined all the same.
    """
    client = client_of(gateway.url)
    here = client.complete("azure/fast", "Hi", max_tokens=3)
    logged(client, 1)
    client.log.append(our_run(1, started_at=datetime.now(UTC), base_url="http://elsewhere:8080"))
    began = time.monotonic()
    found = reconcile(client=client)
    assert time.monotonic() - began < 8  # twelve seconds is how late a row may come
    assert (list(found.joined["run_id"]), len(found.only_ours), found.elsewhere) == ([here.run_id], 0, 1)
    assert "1 of our runs, to another gateway's address" in repr(found)
    other = client_of(gateway.url.replace("127.0.0.1", "localhost"))
    assert list(reconcile(client=other).joined["run_id"]) == [here.run_id]


@pytest.mark.parametrize("cost", [None, 0.25])
def test_rows_that_come_late_are_waited_for(client_of: ClientOf, gateway: LocalGateway, cost: float | None) -> None:
    """Right after the answers it finds what it would find seconds later: their rows, and the costs looked up."""
    gateway.script([{"log_delay_ms": 2_500, **({} if cost is None else {"cost": cost})}])
    client = client_of(gateway.url)
    runs = [client.complete("azure/fast", f"Hi {number}", max_tokens=3) for number in range(2)]
    found = reconcile(client=client, fill=True)
    assert set(found.joined["run_id"]) == {run.run_id for run in runs}
    assert found.only_ours.empty
    assert found.joined["cost_usd"].notna().all()
    assert found.joined["gateway_cost_usd"].notna().all()
    assert found.filled == 0
    assert reconcile(client=client).summary() == found.summary()


@pytest.mark.parametrize("odd", [{"started_at": NEXT_DECADE}, {"started_at": None}, {"total_ms": 1e300}])
def test_no_time_in_a_log_makes_it_wait(client_of: ClientOf, gateway: LocalGateway, odd: dict[str, Any]) -> None:
    """A clock that was wrong, or a damaged line: no row is to come, though the answer seems to have just been given."""
    client = client_of(gateway.url)
    client.log.append(replace(our_run(1), **odd))
    began = time.monotonic()
    assert len(reconcile(since=None, client=client).only_ours) == 1
    assert time.monotonic() - began < LATEST_S / 2


def test_figures_that_differ(client_of: ClientOf) -> None:
    """Each differing figure is a row; unknown on one side is no difference; a cost may differ by rounding."""
    rows = [
        log_row(1),
        log_row(2, cost=0.5),
        log_row(3, token_usage={"prompt_tokens": 4, "completion_tokens": 5, "total_tokens": 9}),
        log_row(4, cost=None),
        log_row(5, cost=0.25 * (1 + 1e-9)),
        log_row(6, model="large"),
    ]
    with served(Table({"/api/logs": Log(rows).page})) as url:
        client = client_of(url)
        for number in range(1, 7):
            client.log.append(our_run(number))
        found = reconcile(since=None, client=client)
    differences = [tuple(row) for row in found.differences.itertuples(index=False)]
    assert differences == [
        ("run-2", "row-2", "cost_usd", 0.25, 0.5, -0.25),
        ("run-3", "row-3", "prompt_tokens", 3.0, 4.0, -1.0),
        ("run-3", "row-3", "total_tokens", 8.0, 9.0, -1.0),
    ]
    told = found.summary()
    assert told["tokens"] == "2 of 18 figures differ"
    one = replace(found, differences=found.differences[:2]).summary()["tokens"]
    assert one == "1 of 18 figures differs"
    assert told["cost"] == "1 of 5 differ; ours $1.25, the gateway's $1.50"
    assert told["served by another"] == "1 of 6"
    assert told["client minus gateway"].startswith("p50 7.5 ms")  # 20 ms of the attempt, 12.5 of them the gateway's


def test_costs_are_filled_in_when_asked(client_of: ClientOf) -> None:
    """`fill` writes what only the gateway knows, the sum over attempts and fallbacks, and nothing that we know."""
    retried = our_run(2, cost_usd=None, cost_source=None)
    retried.attempts.insert(0, Attempt(request_id="row-1", started_ms=0.0, ended_ms=10.0, http_status=500))
    runs = [retried, our_run(3), our_run(4, cost_usd=None, cost_source=None), our_run(5, cost_usd=None)]
    rows = [
        log_row(1, status="error", cost=0.125),
        log_row(2, status="error", cost=None),
        log_row(20, id="fallback", parent_request_id="row-2", fallback_index=1, cost=0.5),
        log_row(3, cost=0.75),
        log_row(4, cost=None),
        log_row(5, cost=0.0625),
    ]
    with served(Table({"/api/logs": Log(rows).page})) as url:
        client = client_of(url)
        for run in runs:
            client.log.append(run)
        looked = reconcile(since=None, client=client)
        assert looked.filled == 0
        assert "fill=True" in repr(looked)
        assert client.log.frame()["cost_usd"].isna().sum() == 3
        found = reconcile(since=None, client=client, fill=True)
    assert found.filled == 2
    assert "2 costs, written to our run log" in repr(found)
    frame = client.log.frame().set_index("run_id")
    assert frame["cost_usd"].fillna(-1).to_dict() == {"run-2": 0.625, "run-3": 0.25, "run-4": -1.0, "run-5": 0.0625}
    assert frame["cost_source"].fillna("unknown").to_dict() == {
        "run-2": "log",
        "run-3": "response",
        "run-4": "unknown",
        "run-5": "log",
    }


def test_a_part_of_a_cost_is_not_filled_in(client_of: ClientOf) -> None:
    """Where the row that answered tells none, what a failed one before it cost is not the cost of the run."""
    rows = [
        log_row(1, status="error", cost=0.125),
        log_row(10, id="fallback", parent_request_id="row-1", fallback_index=1, cost=None),
    ]
    with served(Table({"/api/logs": Log(rows).page})) as url:
        client = client_of(url)
        client.log.append(our_run(1, cost_usd=None, cost_source=None))
        found = reconcile(since=None, client=client, fill=True)
    assert (found.filled, found.joined["gateway_cost_usd"].isna().all()) == (0, True)
    assert client.log.frame()["cost_usd"].isna().all()


def test_a_row_of_one_call_of_several_has_not_the_cost_of_the_answer(client_of: ClientOf) -> None:
    """Where the gateway ran tools between calls of the model, the row of the request is the first call's."""
    with served(Table({"/api/logs": Log([log_row(1), log_row(2, id="unlinked")]).page})) as url:
        client = client_of(url)
        answer = {"prompt_tokens": 166, "completion_tokens": 45, "total_tokens": 211}
        client.log.append(our_run(1, cost_usd=None, cost_source=None, **answer))
        found = reconcile(since=None, client=client, fill=True)
    assert found.filled == 0
    assert found.differences["figure"].tolist() == list(answer)
    assert client.log.frame()["cost_usd"].isna().all()


@pytest.mark.parametrize(("version", "timed"), [("v1.4.18", False), ("v1.5.1", True)])
def test_a_row_with_a_part_of_the_time_makes_no_overhead(client_of: ClientOf, version: str, timed: bool) -> None:
    """Up to 1.4.18 the row of a stream that a fallback answers ends when that begins to write (measured)."""
    told = {"is_fallback": True, "params": {"stream": True}, "gateway_version": version}
    with served(Table({"/api/logs": Log([log_row(1)]).page})) as url:
        client = client_of(url)
        client.log.append(our_run(1, **told))
        joined = reconcile(since=None, client=client).joined
    assert joined[["gateway_ms", "overhead_ms"]].notna().all(axis=None) == timed


def test_what_neither_knows_is_unknown_and_what_was_read_in_the_log_is_no_check(client_of: ClientOf) -> None:
    """No figure known to both is not "0 differ"; costs that were read in this log agree with it by themselves."""
    nothing = dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens", "cost_usd", "cost_source"))
    with served(Table({"/api/logs": Log([log_row(1), log_row(2), log_row(3)]).page})) as url:
        client = client_of(url)
        client.log.append(our_run(1, **nothing, provider=None, model=None))
        told = reconcile(since=None, client=client).summary()
        assert [told[name] for name in ("tokens", "cost", "served by another")] == [
            "unknown",
            "unknown",
            "0 of 0, unknown of 1",
        ]
        client.log.append(our_run(2, cost_source="log"))
        told = reconcile(since=None, client=client).summary()
        client.log.append(our_run(3))
        more = reconcile(since=None, client=client).summary()
    assert told["cost"] == "nothing to check (1 of ours read in this log); ours $0.250, the gateway's $0.250"
    assert more["cost"] == "0 of 1 differ (1 more of ours read in this log); ours $0.500, the gateway's $0.500"
    assert told["tokens"] == "0 of 3 figures differ"


def test_a_failed_attempts_row_is_not_that_of_the_answer(client_of: ClientOf) -> None:
    """The row of the answer is missing: cost and tokens of the attempt before it, and who failed, are not the run's."""
    retried = our_run(2, cost_usd=None, cost_source=None, model="large")
    retried.attempts.insert(0, Attempt(request_id="row-1", started_ms=0.0, ended_ms=10.0, http_status=500))
    failed = log_row(1, status="error", cost=0.125, token_usage={"prompt_tokens": 9, "total_tokens": 9})
    with served(Table({"/api/logs": Log([failed]).page})) as url:
        client = client_of(url)
        client.log.append(retried)
        found = reconcile(since=None, client=client, fill=True)
    assert (found.filled, len(found.differences)) == (0, 0)
    assert found.joined[["gateway_cost_usd", "overhead_ms"]].isna().all(axis=None)
    assert found.summary()["served by another"] == "0 of 0"
    assert "of 1 in both the gateway's has attempts, but not the answer" in repr(found)


def test_client_minus_gateway_is_of_what_both_saw_end(client_of: ClientOf) -> None:
    """Planted: 7.5 ms each. A client that left early, and a row or a time of the chain that is missing, are no part."""
    fallback = {"parent_request_id": "row-5", "fallback_index": 1}
    rows = [
        *(log_row(number) for number in (1, 2, 3)),
        log_row(4, latency=8_000.0),  # worked on when nobody waited
        log_row(5, status="error", latency=None),
        log_row(50, id="fallback", **fallback),
        log_row(60, id="alone", parent_request_id="row-6", fallback_index=1),
        log_row(7, status="error", latency=5_000.0),
    ]
    runs = [
        *(our_run(number) for number in (1, 2, 3)),
        our_run(4, status="timeout", http_status=None),
        *(our_run(number, is_fallback=True, fallback_index=1) for number in (5, 6)),
        our_run(7, status="error", http_status=None),
    ]
    with served(Table({"/api/logs": Log(rows).page})) as url:
        client = client_of(url)
        for run in runs:
            client.log.append(run)
        found = reconcile(since=None, client=client)
    known = found.joined.set_index("run_id")["overhead_ms"].dropna()
    assert known.to_dict() == {f"run-{number}": 7.5 for number in (1, 2, 3)}
    assert found.summary()["client minus gateway"] == "p50 7.5 ms, at most 7.5 ms, n = 3"


def test_the_time_asked_for(client_of: ClientOf) -> None:
    """Rows just outside the time still join, as clocks differ, but are not reported as only the gateway's."""
    rows = [log_row(number) for number in (5, 29, 31, 35, 62)]
    with served(Table({"/api/logs": Log(rows).page})) as url:
        client = client_of(url)
        client.log.append(our_run(30, request_id="row-29", attempts=[]))
        since = datetime(2026, 11, 1, 0, 0, 30, tzinfo=UTC)
        found = reconcile(since=since, until=since + timedelta(seconds=30), client=client)
    assert list(found.joined["run_id"]) == ["run-30"]
    assert list(found.only_gateway["run_id"]) == ["row-31", "row-35"]
    assert found.joined["client_ms"].iloc[0] == 1000.0


def test_a_run_at_the_edge_of_the_time_is_not_only_the_gateways(client_of: ClientOf) -> None:
    """A call that began 0.1 s before the time asked for has its row 0.2 s later, which is within: it is ours."""
    since = datetime(2026, 11, 1, 0, 0, 30, tzinfo=UTC)
    with served(Table({"/api/logs": Log([log_row(number) for number in (30, 40)]).page})) as url:
        client = client_of(url)
        client.log.append(our_run(30, started_at=since - timedelta(seconds=0.1)))
        client.log.append(our_run(40))
        found = reconcile(since=since, client=client)
    assert (list(found.joined["run_id"]), len(found.only_ours), len(found.only_gateway)) == (["run-40"], 0, 0)
    assert found.gateway_ahead_s == 0


@pytest.mark.parametrize("minutes", [-5, 3])
def test_clocks_that_differ_by_minutes(client_of: ClientOf, minutes: int) -> None:
    """An hour's runs, one a minute, of which a middle half hour is asked for: each meets its row, and it is told.

    One row of somebody else's is within the time, one before it, by the clock of the gateway.
    """
    began, ahead = datetime(2026, 11, 1, tzinfo=UTC), timedelta(minutes=minutes)
    times = [began + timedelta(minutes=minute) for minute in range(60)]
    rows = [log_row(minute, timestamp=(at + ahead).isoformat()) for minute, at in enumerate(times)]
    theirs = [
        log_row(70 + minute, timestamp=(times[minute] + ahead + timedelta(seconds=9)).isoformat())
        for minute in (16, 14)
    ]
    rows = sorted([*rows, *theirs], key=lambda row: row["timestamp"])
    with served(Table({"/api/logs": Log(rows).page})) as url:
        client = client_of(url)
        for minute, at in enumerate(times):
            client.log.append(
                our_run(0, run_id=f"run-{minute}", request_id=f"row-{minute}", attempts=[], started_at=at)
            )
        found = reconcile(since=times[15], until=times[45], client=client)
    assert (len(found.joined), len(found.only_ours)) == (30, 0)
    assert list(found.only_gateway["run_id"]) == ["row-86"]
    assert found.gateway_ahead_s == 60 * minutes
    side = "ahead of" if minutes > 0 else "behind"
    assert found.summary()["clocks"] == f"the gateway's is {abs(minutes)}:00 min {side} ours"


@pytest.mark.parametrize("minutes", [-300, 300])
def test_clocks_that_differ_by_more_than_the_time_asked_for(client_of: ClientOf, minutes: int) -> None:
    """None of ten minutes' runs has its row in them: the newest rows, whenever they are of, tell by how much."""
    began, ahead = datetime(2026, 11, 1, tzinfo=UTC), timedelta(minutes=minutes)
    times = [began + timedelta(minutes=minute) for minute in range(10)]
    rows = [log_row(minute, timestamp=(at + ahead).isoformat()) for minute, at in enumerate(times)]
    with served(Table({"/api/logs": Log(rows).page})) as url:
        client = client_of(url)
        for minute, at in enumerate(times):
            client.log.append(
                our_run(0, run_id=f"run-{minute}", request_id=f"row-{minute}", attempts=[], started_at=at)
            )
        found = reconcile(since=began, until=began + timedelta(minutes=10), client=client)
        assert (len(found.joined), len(found.only_ours), len(found.only_gateway)) == (10, 0, 0)
        side = "ahead of" if minutes > 0 else "behind"
        assert found.summary()["clocks"] == f"the gateway's is 300:00 min {side} ours"
        assert "none of ours" not in found.summary()


def test_why_none_of_ours_may_be_there(client_of: ClientOf) -> None:
    """Nothing is known of it, so nothing is claimed: what may be, and how to look further."""
    with served(Table({"/api/logs": Log([log_row(1)]).page})) as url:
        client = client_of(url)
        client.log.append(our_run(2))
        found = reconcile(since=datetime(2026, 11, 1, tzinfo=UTC), client=client)
    assert (len(found.joined), len(found.only_ours), found.gateway_ahead_s) == (0, 1, 0)
    assert "its clock may differ from ours" in found.summary()["none of ours"]
    assert "since=None" in repr(found)


def test_nothing_on_both_sides(client_of: ClientOf) -> None:
    """Empty logs give empty frames with the same columns and dtypes, and a summary."""
    with served(Table({"/api/logs": Log([log_row(1), log_row(2)]).page})) as url:
        client = client_of(url)
        client.log.append(our_run(1))
        some = reconcile(since=None, client=client)
    with served(Table({"/api/logs": {"logs": None}})) as url:
        none = reconcile(client=client_of(url))
    for name in ("joined", "only_ours", "only_gateway"):
        pd.testing.assert_series_equal(getattr(none, name).dtypes, getattr(some, name).dtypes)
    assert "0 in both logs" in repr(none)
    assert "unknown" in repr(none)
    assert none._repr_html_().startswith("<div")


def test_a_gateway_without_a_log_is_told(client_of: ClientOf) -> None:
    """There is nothing to reconcile with; the error says that the log is off."""
    with served(Table({})) as url, pytest.raises(NotFound, match="keeps no log"):
        reconcile(client=client_of(url))
