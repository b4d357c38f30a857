"""The gateway's log as a frame: columns, meaning of each field, pages, filters, gateways that know less."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest
from starlette.requests import Request

from bifrost_nb import Client, ConfigurationError, GatewayError, NotFound, to_frame
from bifrost_nb._admin.api import gateway_histogram, gateway_logs, gateway_stats, reconcile
from bifrost_nb._simulator.process import LocalGateway, local_gateway
from tests.thorough import some_of

from .conftest import logged
from .servers import Log, Table, log_row, served

ClientOf = Callable[..., Client]


def of_rows(client_of: ClientOf, rows: list[dict[str, Any]], **filters: Any) -> pd.DataFrame:
    with served(Table({"/api/logs": Log(rows).page})) as url:
        return gateway_logs(client=client_of(url), **filters)


EVERY_FIELD = log_row(
    7,
    object="chat.completion.chunk",
    alias="mini",
    model="gpt-4o-2024",
    provider="openai",
    status="error",
    stop_reason="length",
    number_of_retries=2,
    latency=41,
    cost=0.125,
    token_usage={
        "prompt_tokens": 11,
        "completion_tokens": 13,
        "total_tokens": 24,
        "prompt_tokens_details": {"cached_read_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 4},
        "cost": {"input_cost": 0.025, "output_cost": 0.1, "total_cost": 0.125},
    },
    cache_debug={"cache_hit": True, "hit_type": "semantic", "similarity": 0.75},
    error_details={
        "is_bifrost_error": False,
        "status_code": 429,
        "error": {"type": "rate_limit_error", "code": "slow_down", "message": "Too many."},
    },
    input_history=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}],
    output_message={
        "role": "assistant",
        "content": [{"type": "text", "text": "Be"}, {"type": "text", "text": "cause"}],
    },
    params={"temperature": 0.5, "max_tokens": 9},
    metadata={"team": "blue"},
)
EXPECTED = {
    "run_id": "row-7",
    "request_id": "row-7",
    "started_at": pd.Timestamp("2026-11-01T00:00:07.123456Z"),
    "request_type": "chat_completion",
    "requested_provider": "openai",
    "requested_model": "mini",
    "provider": "openai",
    "model": "mini",
    "model_deployment": "gpt-4o-2024",
    "is_fallback": False,
    "fallback_index": 0,
    "status": "error",
    "finish_reason": "length",
    "http_status": 429,
    "error_type": "rate_limit_error",
    "error_code": "slow_down",
    "error_message": "Too many.",
    "prompt_tokens": 11,
    "completion_tokens": 13,
    "total_tokens": 24,
    "cached_tokens": 2,
    "reasoning_tokens": 4,
    "input_cost_usd": 0.025,
    "output_cost_usd": 0.1,
    "cost_usd": 0.125,
    "cost_source": "log",
    "latency_ms": 41.0,
    "cache_hit": True,
    "cache_hit_type": "semantic",
    "cache_similarity": 0.75,
    "prompt": '[{"role":"system","content":"Be brief."},{"role":"user","content":"Why?"}]',
    "response": "Because",
    "params": '{"max_tokens":9,"temperature":0.5}',
    "tags": '{"team":"blue"}',
}


def test_every_field_finds_its_column(client_of: ClientOf) -> None:
    """Each field of a row stands in its column, and what the gateway does not log is NA."""
    row = of_rows(client_of, [EVERY_FIELD]).iloc[0]
    assert {name: value for name, value in row.items() if not pd.isna(value)} == EXPECTED


@pytest.mark.parametrize("rows", [[], [log_row(1)], [EVERY_FIELD, log_row(2)]], ids=["none", "one", "two"])
def test_columns_and_dtypes_are_those_of_every_frame(client_of: ClientOf, rows: list[dict[str, Any]]) -> None:
    """For no row as for many: the same columns in the same order with the same dtypes as our own log."""
    frame = of_rows(client_of, rows)
    pd.testing.assert_series_equal(frame.dtypes, to_frame([]).dtypes)
    assert len(frame) == len(rows)


def test_ten_thousand_rows_are_paged(client_of: ClientOf) -> None:
    """10,000 rows come in pages of 1,000, each once, oldest first, in seconds."""
    gateway = Table({"/api/logs": Log([log_row(number) for number in range(10_000)]).page})
    with served(gateway) as url:
        began = time.monotonic()
        frame = gateway_logs(client=client_of(url))
        seconds = time.monotonic() - began
    assert list(frame["run_id"]) == [f"row-{number}" for number in range(10_000)]
    assert frame["started_at"].is_monotonic_increasing
    assert frame["total_tokens"].sum() == 80_000
    assert [int(request.query_params["limit"]) for request in gateway.asked] == [1000] * len(gateway.asked)
    assert len(gateway.asked) <= 11
    assert seconds < 30


@pytest.mark.parametrize("bursts", some_of([[7] * 9, [0, 1_000], [0, 400, 400, 400], [0, 0, 2_600]]))
def test_rows_written_while_reading_cost_no_other(client_of: ClientOf, bursts: list[int]) -> None:
    """New rows, be they as many as a page has, move the others to later pages; each old one is there exactly once."""
    log, coming = Log([log_row(number) for number in range(3_500)]), iter(bursts)
    log.before_page = lambda: log.rows.extend(log_row(len(log.rows)) for _ in range(next(coming, 0)))
    with served(Table({"/api/logs": log.page})) as url:
        frame = gateway_logs(client=client_of(url))
    assert frame["run_id"].is_unique
    assert {f"row-{number}" for number in range(3_500)} <= set(frame["run_id"])


@pytest.mark.parametrize("most", [100, 1000])
def test_a_gateway_without_a_total_is_read_to_its_end(client_of: ClientOf, most: int) -> None:
    """An old gateway that tells no total, and gives smaller pages than asked for, is read until nothing comes."""
    with served(Table({"/api/logs": Log([log_row(n) for n in range(1_234)], most=most, total=False).page})) as url:
        assert len(gateway_logs(client=client_of(url))) == 1_234


def test_a_total_that_lags_behind_ends_nothing(client_of: ClientOf) -> None:
    """Newer gateways count from a table that is refreshed now and then; a full page is followed by another."""

    def page(request: Any) -> Any:
        return log.page(request) | {"pagination": {"total_count": 10}}

    log = Log([log_row(number) for number in range(2_500)])
    with served(Table({"/api/logs": page})) as url:
        assert len(gateway_logs(client=client_of(url))) == 2_500


def test_a_gateway_that_ignores_pages_is_asked_twice(client_of: ClientOf) -> None:
    """It gives the same rows each time, however many it says there are."""
    gateway = Table({"/api/logs": {"logs": [log_row(1), log_row(2)], "pagination": {"total_count": 5_000}}})
    with served(gateway) as url:
        assert len(gateway_logs(client=client_of(url))) == 2
    assert gateway.paths().count("/api/logs") == 2


def test_a_gateway_that_ignores_everything_is_filtered_here(client_of: ClientOf) -> None:
    """Filters and pages that a gateway silently ignores are applied to what it sends; the reading still ends."""
    rows = [
        log_row(1),
        log_row(2, provider="openai"),
        log_row(3, status="error"),
        log_row(4, model="large"),
        log_row(5, alias="fast", model="fast-0613"),
        log_row(6, status="processing"),
    ]
    gateway = Table({"/api/logs": {"logs": rows}})
    with served(gateway) as url:
        client = client_of(url)

        def kept(**filters: Any) -> list[str]:
            return [name.removeprefix("row-") for name in gateway_logs(client=client, **filters)["run_id"]]

        # The table's rows are in the order of time, and a gateway sends the newest first: read backwards here.
        assert sorted(kept()) == ["1", "2", "3", "4", "5", "6"]
        assert kept(provider="openai") == ["2"]
        assert kept(status=["error", "cancelled"]) == ["3"]
        assert sorted(kept(model=("large", "fast-0613"))) == ["4", "5"]
        assert sorted(kept(since="2026-11-01T00:00:03Z", until=datetime(2026, 11, 1, 0, 0, 5, tzinfo=UTC))) == [
            "3",
            "4",
        ]
        assert kept(provider="nobody") == []
    sent = next(dict(each.query_params) for each in gateway.asked if "providers" in each.query_params)
    assert sent == {"providers": "openai", "limit": "1000", "offset": "0", "sort_by": "timestamp", "order": "desc"}


def test_filters_are_sent_in_the_gateways_words(client_of: ClientOf) -> None:
    """Times go as RFC 3339 in UTC, names joined by commas, our words for the status as the gateway's."""
    gateway = Table({"/api/logs": {"logs": []}})
    with served(gateway) as url:
        gateway_logs(
            since=datetime(2026, 11, 1, 12, 30, 0, 5, tzinfo=UTC),
            until="2026-11-02",
            model=["fast", "large"],
            status=["ok", "cancelled"],
            client=client_of(url),
        )
    sent = dict(gateway.asked[0].query_params)
    assert sent["start_time"] == "2026-11-01T12:30:00.000005Z"
    assert sent["end_time"] == "2026-11-02T00:00:00Z"
    assert "models" not in sent, "it means the provider's names there, and would miss aliases"
    assert sent["status"] == "success,cancelled,error", "up to 1.5.16 a cancelled call is an error there"


@pytest.mark.parametrize("name", ["provider", "model", "status"])
def test_no_names_find_nothing(client_of: ClientOf, name: str) -> None:
    """A gateway ignores an empty filter and adds up all; a list of no names means none of them, as for `bf.runs`."""

    def counted(request: Request) -> Any:
        told = {request.query_params.get(each) for each in ("providers", "models", "aliases", "status", "objects")}
        some = 5 if told <= {None, ""} else 0
        return {"total_requests": some, "buckets": [{"timestamp": "2026-11-01T00:00:00Z", "success": some}]}

    answers = {"/api/logs/stats": counted, "/api/logs/histogram": counted, "/api/logs": {"logs": [log_row(1)]}}
    with served(Table(answers)) as url:
        none: dict[str, Any] = {name: [], "client": client_of(url)}
        assert gateway_stats(client=none["client"])["requests"].tolist() == [5]
        assert gateway_stats(**none)["requests"].tolist() == [0]
        assert gateway_histogram("requests", **none)["requests"].tolist() == [0]
        assert len(gateway_logs(**none)) == 0


@pytest.mark.parametrize("dialect", ["1.4.18", "2.0"])
def test_what_only_the_gateway_filters_by(client_of: ClientOf, dialect: str) -> None:
    """By words, keys, tokens on every version; by reasons, sessions and tags from 1.5.1 on, before that an error."""
    with local_gateway(dialect=dialect, speed=50) as gateway:
        client = client_of(gateway.url)
        client.complete("azure/fast", "Explain tides", max_tokens=4, headers={"x-bf-dim-team": "sea"})
        client.chat("openai/gpt-4o-mini", "Hi", headers={"baggage": "session-id=s1"})
        logged(client, 2)

        def found(**filters: Any) -> list[str]:
            return list(gateway_logs(client=client, **filters)["request_type"])

        assert found(text="tides") == ["text_completion"]
        assert found(virtual_key_id=["no-such-key"]) == []
        assert found(min_tokens=1_000_000) == []
        assert found(max_tokens=1_000_000, min_tokens=1.5) == ["text_completion", "chat_completion"]
        newer = {"finish_reason": "length", "session_id": "s1", "tags": {"team": "sea"}}
        if dialect == "2.0":
            assert [found(**{name: value}) for name, value in newer.items()] == [
                ["text_completion"], ["chat_completion"], ["text_completion"],
            ]  # fmt: skip
            assert found(tags={"team": "lake"}) == []
            return
        for name, value in newer.items():
            with pytest.raises(ConfigurationError, match=rf"before 1\.5\.1 do not filter .* {name}, .* v1\.4\.18"):
                found(**{name: value})


def test_a_gateway_of_unknown_version_is_not_trusted_with_a_filter(client_of: ClientOf) -> None:
    """It may send every row: an error says so, and the log is not read."""
    gateway = Table({"/api/logs": Log([log_row(1)]).page})
    with served(gateway) as url, pytest.raises(ConfigurationError, match="does not tell its version"):
        gateway_logs(finish_reason="length", client=client_of(url))
    assert not [each for each in gateway.asked if each.url.path == "/api/logs"]


def test_limit_keeps_the_newest(client_of: ClientOf) -> None:
    """`limit` asks for no more pages than it needs and keeps the newest rows, oldest first."""
    gateway = Table({"/api/logs": Log([log_row(number) for number in range(5_000)]).page})
    with served(gateway) as url:
        frame = gateway_logs(limit=3, client=client_of(url))
        assert len(gateway.asked) == 1
        assert gateway_logs(limit=0, client=client_of(url)).empty
    assert list(frame["run_id"]) == ["row-4997", "row-4998", "row-4999"]


@pytest.mark.parametrize(
    ("filters", "named"),
    [
        ({"since": "yesterday-ish"}, "since='yesterday-ish'"),
        ({"until": 12}, "until=12"),
        ({"since": "1d", "until": "2d"}, "not before"),
        ({"status": "success"}, "success"),
        ({"status": "timeout"}, "timeout"),
        ({"provider": "a,b"}, "a,b"),
        ({"model": [1]}, "model"),
        ({"limit": -1}, "limit"),
        ({"min_tokens": -1}, "min_tokens"),
        ({"finish_reason": 3}, "finish_reason"),
        ({"finish_reason": ["a,b"]}, "without commas"),
        ({"session_id": ""}, "session_id"),
        ({"tags": {"a b": "c"}}, "name of a tag"),
        ({"tags": {"team": 3}}, "tags['team']"),
        ({"text": "x" * 2_000}, "text takes"),
    ],
)
def test_wrong_filters_are_told_before_anything_is_sent(
    client_of: ClientOf, filters: dict[str, Any], named: str
) -> None:
    """The gateway silently ignores a time it cannot read and would send everything; here it is an error."""
    gateway = Table({"/api/logs": {"logs": []}})
    with served(gateway) as url, pytest.raises(ConfigurationError) as caught:
        gateway_logs(client=client_of(url), **filters)
    assert named in str(caught.value)
    assert gateway.asked == []


def test_whole_texts_are_asked_for_row_by_row(client_of: ClientOf) -> None:
    """Newer gateways leave answers out of the list; `texts` reads each row's own, and a row deleted meanwhile stays."""
    rows = [log_row(1), log_row(2), log_row(3)]
    short = [{**row, "output_message": None, "input_history": row["input_history"][-1:]} for row in rows]
    whole = {f"/api/logs/{row['id']}": row for row in rows[:2]}
    with served(Table({"/api/logs": Log(short).page, **whole})) as url:
        assert gateway_logs(client=client_of(url))["response"].isna().all()
        frame = gateway_logs(client=client_of(url), texts=True)
    assert list(frame["response"].fillna("gone")) == ["answer 1", "answer 2", "gone"]
    assert list(frame["prompt"]) == ["prompt 1", "prompt 2", "prompt 3"]


@pytest.mark.parametrize(
    ("facts", "prompt", "response"),
    [
        ({"input_history": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]}, "Hi", "answer 1"),
        (
            {"input_history": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]},
            '["a","b"]',
            "answer 1",
        ),
        (
            {"input_history": [{"role": "assistant", "content": "a"}]},
            '[{"role":"assistant","content":"a"}]',
            "answer 1",
        ),
        (
            {"input_history": [{"role": "user", "content": "a", "name": "Zoë"}]},
            '[{"role":"user","content":"a","name":"Zoë"}]',
            "answer 1",
        ),
        (
            {"input_history": [{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {}}]}]},
            '[{"role":"user","content":[{"type":"text","text":"a","cache_control":{}}]}]',
            "answer 1",
        ),
        ({"input_history": None, "output_message": None}, None, None),
        ({"input_history": "text", "output_message": {"content": None}}, None, None),
        (
            {"output_message": None, "responses_output": [{"content": [{"type": "output_text", "text": "R"}]}]},
            "prompt 1",
            "R",
        ),
        ({"output_message": {"content": "\x1b[31mred\x1b[0m\x07 and \x00nul"}}, "prompt 1", "red and nul"),
    ],
)
def test_texts_in_every_shape(
    client_of: ClientOf, facts: dict[str, Any], prompt: str | None, response: str | None
) -> None:
    """Prompts and answers are text as in our own log, without control sequences; what is no text is NA."""
    row = of_rows(client_of, [log_row(1, **facts)]).iloc[0]
    assert (None if pd.isna(row["prompt"]) else row["prompt"]) == prompt
    assert (None if pd.isna(row["response"]) else row["response"]) == response


def test_a_cost_of_nothing(client_of: ClientOf) -> None:
    """0 is what the gateway writes where it knows no price, so it is unknown; an answer from a cache did cost 0."""
    hit = {"cache_debug": {"cache_hit": True, "hit_type": "direct"}}
    frame = of_rows(client_of, [log_row(1, cost=0), log_row(2, cost=None), log_row(3, cost=0, **hit)])
    assert frame["cost_usd"].isna().tolist() == [True, True, False]
    assert frame["cost_usd"].iloc[2] == 0.0


@pytest.mark.parametrize("nonsense", [True, [5], "", {"a": [None]}], ids=repr)
def test_rows_of_nonsense_are_unknown(client_of: ClientOf, nonsense: Any) -> None:
    """Wrong types in any field give NA, never an error; what is no row at all is left out."""
    broken = {"id": "x"} | {name: nonsense for name in EVERY_FIELD if name not in ("id", "input_history", "metadata")}
    with served(Table({"/api/logs": {"logs": [broken, 5, None, {"no": "id"}]}})) as url:
        frame = gateway_logs(client=client_of(url))
    assert list(frame["run_id"]) == ["x"]
    known = {name for name, value in frame.iloc[0].items() if not pd.isna(value)}
    assert known - {"params", "error_message"} == {"run_id", "request_id"}


def test_fallbacks_share_their_primarys_request(client_of: ClientOf, gateway: LocalGateway) -> None:
    """Of a request that a fallback answered there are two rows with one request id, and both name who was asked."""
    client = client_of(gateway.url, retries=0)
    run = client.complete("azure/always-fails", "Hi", fallbacks=["openai/gpt-3.5-turbo-instruct"], max_tokens=3)
    logged(client, 2)
    frame = gateway_logs(since="5m", texts=True, client=client)
    assert set(frame["request_id"]) == {run.request_id}
    assert frame["run_id"].is_unique
    assert list(frame["status"]) == ["error", "ok"]
    assert list(frame["is_fallback"]) == [False, True]
    assert list(frame["requested_model"]) == ["always-fails", "always-fails"]
    assert list(frame["model"]) == ["always-fails", "gpt-3.5-turbo-instruct"]
    assert frame["response"].iloc[1] == run.response
    assert frame["prompt"].iloc[1] == "Hi"


@pytest.mark.parametrize(
    ("kind", "row", "model", "deployment"),
    [
        ("chat_completion_stream", {"alias": "always-fails", "model": "small", "app": "Other"}, "small", None),
        ("chat_completion", {"alias": "gpt-4o", "model": "gpt-4o-2024", "app": "Other"}, "gpt-4o", "gpt-4o-2024"),
        ("chat_completion_stream", {"alias": "gpt-4o", "model": "gpt-4o-2024"}, "gpt-4o", "gpt-4o-2024"),
    ],
    ids=["2.0 streamed", "2.0 whole", "1.5.16 streamed"],
)
def test_a_streamed_fallback_is_not_told_under_the_primarys_name(
    client_of: ClientOf, kind: str, row: dict[str, Any], model: str, deployment: str | None
) -> None:
    """2.0.0-prerelease3 writes that as the fallback's alias (captured): a deployment that there is not."""
    primary = log_row(1, status="error", object=kind, model="always-fails")
    fallback = log_row(2, object=kind, provider="local", parent_request_id="row-1", fallback_index=1, **row)
    frame = of_rows(client_of, [primary, fallback])
    assert frame["requested_model"].tolist() == ["always-fails"] * 2
    assert frame["model"].tolist() == ["always-fails", model]
    assert frame["model_deployment"].fillna("none").tolist() == ["none", deployment or "none"]


def test_a_session_is_no_request(client_of: ClientOf) -> None:
    """A primary's row may have a session as its parent; its request id is its own all the same."""
    frame = of_rows(client_of, [log_row(1, parent_request_id="session-1")])
    assert frame["request_id"].iloc[0] == "row-1"


@pytest.mark.parametrize("dialect", ["1.3", "1.4.18", "1.5", "2.2"])
def test_every_generation_of_gateway(client_of: ClientOf, dialect: str) -> None:
    """The log of each generation gives our own run's figures."""
    with local_gateway(speed=20, dialect=dialect) as gateway:
        client = client_of(gateway.url)
        run = client.chat("azure/fast", "Why?", system="Be brief.", max_tokens=5)
        logged(client, 1)
        row = gateway_logs(client=client, texts=True).iloc[0]
    assert row["request_id"] == run.request_id
    assert row["request_type"] == "chat_completion"
    assert (row["provider"], row["model"], row["status"]) == ("azure", "fast", "ok")
    assert row["total_tokens"] == run.total_tokens
    assert row["response"] == run.response
    assert row["prompt"] == run.prompt
    assert row["cost_usd"] > 0
    assert row["started_at"] >= pd.Timestamp(run.started_at)


def test_no_log_is_told(client_of: ClientOf) -> None:
    """A gateway whose log is off, or that is too old, gives one error that says so."""
    with served(Table({})) as url, pytest.raises(NotFound, match="keeps no log"):
        gateway_logs(client=client_of(url))


def test_rows_of_listed_models_and_cancelled_calls_are_told_apart(client_of: ClientOf) -> None:
    """Nobody's call is left out unless asked for; a cancelled call is one on every version, by status and in sums."""
    cancelled = {"error_details": {"status_code": 499, "error": {"type": "request_cancelled", "message": "cancelled"}}}
    failed = {"error_details": {"status_code": 500, "error": {"type": "server_error", "message": "no"}}}
    rows = [
        log_row(1),
        log_row(2, object="list_models"),
        log_row(3, status="error", **cancelled),
        log_row(4, status="error", **failed),
        log_row(5, status="cancelled"),
        log_row(6, status="error", object="list_models", **failed),
    ]

    def stats(request: Any) -> Any:
        kind = request.query_params.get("objects")
        return {"total_requests": sum(kind in (None, row["object"]) for row in rows), "success_rate": 50}

    with served(Table({"/api/logs": Log(rows).page, "/api/logs/stats": stats})) as url:
        client = client_of(url)

        def kept(**filters: Any) -> list[str]:
            return [name.removeprefix("row-") for name in gateway_logs(client=client, **filters)["run_id"]]

        assert kept() == ["1", "3", "4", "5"]
        assert kept(list_models=True) == ["1", "2", "3", "4", "5", "6"]
        assert kept(status="cancelled") == ["3", "5"]
        assert kept(status="error") == ["4"]
        told = gateway_stats(client=client).iloc[0]
        assert (told["requests"], told["list_models_rows"], told["failed"], told["cancelled"]) == (6, 2, 1, 2)
        found = reconcile(since=None, client=client)
    assert found.list_models_rows == 2
    assert "1 answered, 1 failed, 2 cancelled" in repr(found)
    assert "2 rows of listing the models" in repr(found)


def test_a_gateway_that_knows_no_kinds_leaves_them_unknown(client_of: ClientOf) -> None:
    """Where the filter for the kind is ignored, the sum of all is not taken for that of listed models."""
    with served(Table({"/api/logs/stats": {"total_requests": 9}, "/api/logs": {"logs": []}})) as url:
        told = gateway_stats(client=client_of(url))
    assert told["list_models_rows"].isna().all()


def test_errors_without_details_are_asked_for(client_of: ClientOf) -> None:
    """Where the list has only the message (2.0), status and type come from the row itself."""
    row = log_row(1, status="error", content_summary="prompt 1 no such model")
    details = {
        "status_code": 404,
        "error": {"type": "invalid_request_error", "code": "none", "message": "no such model"},
    }
    table = Table({"/api/logs": Log([row]).page, "/api/logs/row-1": {**row, "error_details": details}})
    with served(table) as url:
        run = gateway_logs(client=client_of(url)).iloc[0]
    assert (run["http_status"], run["error_type"], run["error_code"]) == (404, "invalid_request_error", "none")
    assert run["error_message"] == "no such model"


@pytest.mark.parametrize("dialect", ["1.3", "2.2"])
def test_costs_times_and_kinds_are_filtered(client_of: Callable[..., Client], dialect: str) -> None:
    """On every generation, whatever it filters by itself; a figure that is unknown is within no bounds."""
    with local_gateway(dialect=dialect, speed=50) as gateway:
        client = client_of(gateway.url)
        client.chat("openai/gpt-4o-mini", "Hi", max_tokens=4)
        client.embed("openai/text-embedding-3-small", ["Hi"])
        with pytest.raises(GatewayError):
            client.complete("azure/always-fails", "Hi", retries=0)
        logged(client, 3)
        every = gateway_logs(client=client)
        assert len(every) == 3
        chats = gateway_logs(request_type="chat_completion", client=client)
        assert chats["request_type"].tolist() == ["chat_completion"]
        cost = float(chats["cost_usd"].iloc[0])
        assert gateway_logs(min_cost_usd=cost * 0.99, max_cost_usd=cost * 1.01, client=client)["run_id"].tolist() == [
            chats["run_id"].iloc[0]
        ]
        slow = float(every["latency_ms"].max())
        assert len(gateway_logs(min_latency_ms=slow, client=client)) >= 1
        assert gateway_logs(min_latency_ms=slow + 1, client=client).empty
        known = every["latency_ms"].notna().sum()
        assert len(gateway_logs(max_latency_ms=slow, client=client)) == known
    for wrong in ({"min_cost_usd": -1}, {"max_latency_ms": "fast"}, {"min_cost_usd": 2, "max_cost_usd": 1}):
        with pytest.raises(ConfigurationError, match=next(iter(wrong))):
            gateway_logs(client=client, **wrong)  # type: ignore[arg-type]
