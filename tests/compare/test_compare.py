"""`compare` against the embedded gateway: what it sends, what it keeps, how it ends."""

from __future__ import annotations

import re
import traceback
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel

from bifrost_nb import Client, ConfigurationError, LocalGateway, LogError, Run, RunLog, TemplateError, load_report
from bifrost_nb._compare.compare import compare
from bifrost_nb._compare.comparison import Comparison
from bifrost_nb._compare.comparison_view import as_text
from bifrost_nb._compare.dry_run import tokens_of
from bifrost_nb._runs.columns import NAMES
from bifrost_nb._runs.log.dataset import export_dataset
from bifrost_nb.errors import BifrostError
from tests.thorough import some_of

A, B, C = "azure/gpt-35-turbo-instruct", "openai/gpt-3.5-turbo-instruct", "azure/fast"
TOPICS = {"topic": [f"topic {number}" for number in range(6)]}


@pytest.fixture
def ask(client: Client) -> Any:
    """`compare` with small answers, so that a test is about the calls and not about text."""

    def ask(deployments: Any = (A, B), prompt: Any = "Write about {{topic}}.", **asked: Any) -> Comparison:
        return compare(deployments, prompt, **{"inputs": TOPICS, "client": client, "max_tokens": 5, **asked})

    return ask


def sent(gateway: LocalGateway) -> list[dict[str, Any]]:
    """The completions that the gateway was asked for."""
    return [one for one in gateway.requests() if one["path"].endswith("completions")]


def test_the_result_has_every_run_and_the_contract_columns(ask: Any, gateway: LocalGateway) -> None:
    """One row per cell in table order, the columns of every frame, and each call received exactly once."""
    result = ask(repeats=2)
    frame = result.frame
    assert list(frame.columns) == [*NAMES, "variant", "template", "input_id", "input_topic"]
    assert len(frame) == len(result) == 6 * 2 * 2 == len(sent(gateway))
    assert frame["status"].eq("ok").all()
    assert frame["repeat"].tolist() == [0, 1] * 12
    assert frame["requested_model"].tolist()[:4] == [A.split("/")[1]] * 2 + [B.split("/")[1]] * 2
    assert frame["comparison_id"].nunique() == 1
    assert (result.missing, result.notes) == (0, [])
    assert frame[["queue_ms", "total_ms", "ttft_ms"]].notna().all(axis=None)
    assert {one["body"]["prompt"] for one in sent(gateway)} == {f"Write about topic {n}." for n in range(6)}


def test_running_it_again_sends_nothing_and_equals(ask: Any, gateway: LocalGateway) -> None:
    """The second run of the same cell comes out of the log, frame, summary and text included."""
    first = ask(repeats=2)
    assert first.wait_for_costs(10) == 0
    again = ask(repeats=2)
    assert len(sent(gateway)) == 24
    pd.testing.assert_frame_equal(first.frame, again.frame)
    pd.testing.assert_frame_equal(first.summary(), again.summary())
    assert again.progress.reused == 24
    assert "24 from the log" in repr(again)


@pytest.mark.parametrize(
    ("more", "added"),
    [
        ({"deployments": (A, B, C)}, 12),
        ({"repeats": 3}, 12),
        ({"inputs": {"topic": [*TOPICS["topic"], "another"]}}, 4),
        ({"prompt": {"about": "Write about {{topic}}.", "on": "Write on {{topic}}."}}, 24),
        ({"deployments": (B, A), "seed": 9, "concurrency": 1, "tags": {"run": "two"}}, 0),
        ({"deployments": (A, {"deployment": B, "temperature": 0.1})}, 12),
    ],
)
def test_adding_sends_only_what_is_new(more: dict[str, Any], added: int, ask: Any, gateway: LocalGateway) -> None:
    """A further deployment, repeat, row or template sends only its own cells; order and names send none."""
    ask(repeats=2)
    result = ask(**{"repeats": 2, **more})
    assert len(sent(gateway)) == 24 + added
    assert result.missing == 0
    assert result.frame["comparison_id"].nunique() == 1


def test_fresh_sends_all_anew(ask: Any, gateway: LocalGateway) -> None:
    """`fresh` ignores what the log holds."""
    ask()
    assert ask(fresh=True).progress.reused == 0
    assert len(sent(gateway)) == 24


def test_no_column_of_the_inputs_hides_another(ask: Any) -> None:
    """Named like columns of every frame, with or without the dash that would set them apart: all are there."""
    names = ["cost_usd_", "cost_usd", "id", "id_", "", "=1+1", "score", "__class__", "a\nb", "\u202ex"]
    frame = ask([A], "About {{cost_usd}}.", inputs={name: [f"of {name}"] for name in names}).frame
    assert not frame.columns.has_duplicates
    held = {text for column in frame.columns if str(column).startswith("input_") for text in frame[column]}
    assert {f"of {name}" for name in names} <= held
    assert frame["input_cost_usd"].isna().all() or frame["input_cost_usd"].dtype == "Float64"


NUMBERS: dict[str, list[Any]] = {
    "one is missing": [9_007_199_254_740_993, None, 1],
    "pandas' own missing one": [9_007_199_254_740_993, pd.NA, 1],
    "one is NaN": [9_007_199_254_740_993, float("nan"), 1],
    "beside a fraction": [9_007_199_254_740_993, 0.5, 1],
    "of numpy": [np.int64(9_007_199_254_740_993), None, np.int8(1)],
    "beyond 64 bits": [2**70, None, 1],
    "beyond 64 bits beside a fraction": [2**70, 0.5, 1],
    "unsigned": [2**63, None, 1],
}


@pytest.mark.parametrize("name", some_of(NUMBERS))
def test_numbers_of_the_inputs_stay_what_they_are(ask: Any, tmp_path: Path, name: str) -> None:
    """In the frame, the prompts, a report that is read again and a workbook, whatever stands beside them."""
    values = NUMBERS[name]
    result = ask([A], "{{x}}", inputs=[{"x": f"row {at}", "y": value} for at, value in enumerate(values)])
    frame = result.frame.sort_values("input_x")
    again = load_report(result.report(tmp_path / "r.html")).sort_values("input_x")
    sheet = pd.read_excel(result.to_excel(tmp_path / "r.xlsx"), dtype=object).sort_values("input_x")
    for column in (frame["input_y"], again["input_y"], sheet["input_y"], result.prompts.sort_values("x")["y"]):
        assert [None if pd.isna(value) else str(value) for value in column] == [
            None if pd.isna(value) else str(value) for value in values
        ]


class Shape(Enum):
    ROUND = "round"


@dataclass
class Size:
    wide: int


class Form(BaseModel):
    high: int


OBJECTS: dict[str, list[Any]] = {
    "paths": [Path("a.txt"), PurePosixPath("/b.txt")],
    "bytes": [b"a", b"\xff"],
    "objects": [{"a": 1}, {"a": "x"}],
    "empty objects": [{}, {}],
    "members": [Shape.ROUND, Shape.ROUND],
    "dataclasses": [Size(1), Size(2)],
    "models": [Form(high=1), Form(high=2)],
}


@pytest.mark.parametrize("name", some_of(OBJECTS))
def test_inputs_of_any_class_can_be_exported(ask: Any, tmp_path: Path, name: str) -> None:
    """By all that the package writes; paths are text, so that pandas' own writers take them too."""
    values = OBJECTS[name]
    result = ask([A], "{{x}}", inputs={"x": ["1", "2"], "y": values})
    frame = result.frame
    export_dataset(frame, tmp_path / "runs")
    load_report(result.report(tmp_path / "r.html"))
    files = [result.to_excel(tmp_path / "r.xlsx"), result.to_csv(tmp_path / "r.csv")]
    grid = result.grid().export(tmp_path / "g.csv")
    assert all(file.stat().st_size for file in (*files, grid))
    if isinstance(values[0], Path):
        assert frame["input_y"].tolist() == result.prompts["y"].tolist() == ["a.txt", "/b.txt"]
        frame.to_parquet(tmp_path / "f.parquet")
        frame.to_json(tmp_path / "f.json", date_format="iso")
    else:
        assert frame["input_y"].tolist() == values


def test_a_whole_number_of_any_size_fills_a_template(ask: Any, gateway: LocalGateway) -> None:
    """Beyond what JSON's readers hold, too: a prompt is text."""
    values = [2**70, 2**70 + 1, -(2**64)]
    ask([A], "n = {{x}}", inputs={"x": values})
    ask([A], "n = {{x}}", inputs={"x": values})
    assert sorted(call["body"]["prompt"] for call in sent(gateway)) == sorted(f"n = {value}" for value in values)


def test_failed_cells_are_rows_and_sent_again_next_time(ask: Any, gateway: LocalGateway) -> None:
    """A 500 is an error row, not an exception; the next run sends the failed cells and no other."""
    gateway.script([{"prompt": "topic 3", "status": 500}])
    first = ask()
    assert first.frame.groupby("status", observed=True).size().to_dict() == {"ok": 10, "error": 2}
    assert first.frame["http_status"].eq(500).sum() == 2
    gateway.script([])
    second = ask()
    assert len(sent(gateway)) == 14
    assert second.frame["status"].eq("ok").all()
    assert (second.progress.reused, second.progress.done) == (10, 2)


def test_429_is_sent_again_and_no_call_is_lost(ask: Any, gateway: LocalGateway) -> None:
    """Refused calls come again after the named time, are no errors in the result, and each run is in the log."""
    gateway.script([{"deployment": A, "times": 3, "status": 429, "headers": {"retry-after": "1"}}])
    result = ask(concurrency=3)
    assert result.frame["status"].eq("ok").all()
    assert result.progress.resent == 3
    assert len(sent(gateway)) == 12 + 3
    refused = [one for one in sent(gateway) if one["status"] == 429]
    accepted = [one for one in sent(gateway) if one["status"] == 200 and one["deployment"] == A]
    last_refusal = max(one["ended_at"] for one in refused)
    before = [one for one in accepted if one["received_at"] < min(each["ended_at"] for each in refused)]
    assert min(one["received_at"] for one in accepted if one not in before) >= last_refusal + 0.9


def test_retry_after_of_a_5xx_is_honoured_without_narrowing(ask: Any, gateway: LocalGateway) -> None:
    """A 503 that names a time holds the next call back so long; the call itself stays an error."""
    gateway.script([{"deployment": A, "nth": 1, "status": 503, "headers": {"retry-after": "1"}}])
    result = ask([A], concurrency=1)
    assert result.frame["status"].eq("ok").sum() == 5
    calls = sent(gateway)
    assert len(calls) == 6
    assert calls[1]["received_at"] >= calls[0]["ended_at"] + 0.9


def test_a_quota_that_is_used_up_is_not_waited_for(ask: Any, gateway: LocalGateway) -> None:
    """A deployment that asks to wait for a day ends its part at once; the others go on, and the result says so."""
    gateway.script([{"deployment": A, "status": 429, "headers": {"retry-after": "86400"}}])
    result = ask(concurrency=1)
    assert "it asks to wait for 86,400 s" in result.notes[0]
    assert result.frame["status"].eq("ok").sum() == 6
    assert result.missing == 5


def test_our_wait_is_not_the_deployments_latency(ask: Any, gateway: LocalGateway) -> None:
    """Waiting for a slot and for Retry-After is queue time; total time stays that of the call alone."""
    gateway.script(
        [{"deployment": A, "nth": 1, "status": 429, "headers": {"retry-after": "3"}}, {"first_text_ms": 100}]
    )
    frame = ask([A], concurrency=1).frame
    assert frame["queue_ms"].max() >= 3000
    assert frame["total_ms"].max() < 2900
    assert frame["total_ms"].min() >= 95


def test_a_deployment_that_only_refuses_is_given_up(ask: Any, gateway: LocalGateway) -> None:
    """Wrong keys are not tried six hundred times: after three the rest stays unsent, and the result says so."""
    gateway.script([{"deployment": A, "status": 401}])
    result = ask(concurrency=1, repeats=5)
    assert Counter(one["status"] for one in sent(gateway))[401] == 3
    assert result.frame["status"].eq("ok").sum() == 30
    assert result.missing == 27
    assert A in result.notes[0]
    assert "27 of 60 runs are missing" in repr(result)
    assert "27 of 60 runs are missing" in result._repr_html_()


def test_no_gateway_ends_soon_and_says_so(log: RunLog) -> None:
    """A wrong address gives a result without answers and its reason, after a few probes and not after minutes."""
    client = Client("http://127.0.0.1:9", log=log)
    result = compare([A, B], "Hello", repeats=50, client=client)
    assert not result.frame["status"].eq("ok").any()
    assert "was given up" in result.notes[0]
    assert len(log.read()) == result.progress.failed + result.progress.resent < 50
    for shown in (repr(result), result._repr_html_()):  # said once, of both
        assert " were given up; nothing more was sent there." in shown
        assert shown.count("No gateway answered") == 1
        assert "unknown" in shown
        assert "+ " not in shown  # as if something were known


def test_a_wrong_call_shows_few_frames(client: Client) -> None:
    """An error in what was asked names it under the call; the frames that found it say nothing to who asked."""
    for wrong in ({"inputs": {"y": ["a"]}}, {"inputs": {"x": ["a"]}, "tempreature": 1}):
        with pytest.raises(BifrostError) as caught:
            compare([A], "Say {{x}}.", client=client, **wrong)
        assert len(traceback.extract_tb(caught.value.__traceback__)) == 2
        assert caught.value.__cause__ is caught.value.__context__ is None


def test_fallbacks_show_in_the_summary(ask: Any, gateway: LocalGateway) -> None:
    """A deployment that fails over is listed with who served, and refused as a comparison of deployments."""
    gateway.script([{"deployment": A, "nth": [2, 4, 6], "status": 503}])
    result = ask(fallbacks=[C], repeats=2)
    table = result.summary()
    rows = table[(table["deployment"] == A) & (table["served"] == C)]
    assert rows["runs"].tolist() == [3]
    assert rows["fallback_share"].iloc[0] == pytest.approx(3 / 12)
    verdict = result.difference(A, B)
    assert verdict.outcome == "refused"
    assert C in verdict.verdict


def test_variants_of_one_deployment(ask: Any) -> None:
    """The same deployment under two names with different parameters is two rows, here and out of the log."""
    cold, hot = ({"deployment": A, "name": name, "temperature": heat} for name, heat in (("cold", 0.0), ("hot", 1.0)))
    for _ in range(2):
        result = ask([cold, hot])
        assert result.summary()["deployment"].tolist() == ["cold", "hot"]
        assert result.deployments == ["cold", "hot"]
        assert result.difference("cold", "hot").n == 6


def test_one_deployment_twice_is_two_samples(ask: Any, gateway: LocalGateway) -> None:
    """The same settings under two names show how far apart equals come out: each gets calls of its own, and resumes."""
    for _ in range(2):
        result = ask([A, {"deployment": A, "name": "again"}])
        assert len(sent(gateway)) == 12
        assert result.summary()["runs"].tolist() == [6, 6]
        assert result.frame["run_id"].nunique() == 12
        assert result.difference(A, "again").n == 6


def test_the_same_request_written_otherwise_is_the_same(ask: Any, gateway: LocalGateway) -> None:
    """0 is 0.0, one stop text is a list of one, None is not there: nothing is sent twice."""
    ask(temperature=0, stop="x", logit_bias={"1": 2}, fallbacks=[C])
    ask(temperature=0.0, stop=["x"], logit_bias={"1": 2.0}, fallbacks=(C,), top_p=None)
    assert len(sent(gateway)) == 12


def test_ratings_and_notes_show_in_the_frame(ask: Any, client: Client) -> None:
    """A judgement given after the frame was first read is in it, at once and when the cell runs again."""
    result = ask()
    assert result.frame["rating"].isna().all()
    grid = result.grid().state
    grid.rate(grid.answer(0, 0, 0), "up", "good")
    for one in (result, ask()):
        rated = one.frame[one.frame["rating"].notna()]
        assert set(rated["rating"]) == {"up"}
        assert '"note":"good"' in rated["tags"].iloc[0]


def test_chat_with_a_system_message(ask: Any, gateway: LocalGateway) -> None:
    """`chat=True` sends chat completions, the system message first."""
    result = ask(["openai/gpt-4o-mini"], chat=True, system="Be brief.", inputs={"topic": ["tea"]})
    assert result.frame["status"].tolist() == ["ok"]
    assert [turn["role"] for turn in sent(gateway)[0]["body"]["messages"]] == ["system", "user"]


def test_without_streaming_there_is_no_time_to_first_text(ask: Any, gateway: LocalGateway) -> None:
    """`stream=False` sends plain requests; what cannot be measured is NA."""
    frame = ask(stream=False).frame
    assert frame["ttft_ms"].isna().all()
    assert frame["total_ms"].notna().all()
    assert not any(one["body"].get("stream") for one in sent(gateway))


def test_concurrency_is_a_limit_per_deployment(ask: Any, gateway: LocalGateway) -> None:
    """Never more than `concurrency` calls of one deployment are open, and deployments run side by side."""
    gateway.script([{"first_text_ms": 300}])
    ask(concurrency=3, repeats=3)
    calls = sent(gateway)
    most = {name: _most_open([one for one in calls if one["deployment"] == name]) for name in (A, B)}
    assert most == {A: 3, B: 3}
    assert _most_open(calls) > 3


def _most_open(calls: list[dict[str, Any]]) -> int:
    edges = [(one["received_at"], 1) for one in calls] + [(one["ended_at"], -1) for one in calls]
    running = most = 0
    for _, step in sorted(edges):
        running += step
        most = max(most, running)
    return most


def test_requests_per_minute_is_kept(ask: Any, gateway: LocalGateway) -> None:
    """600 a minute are sent a tenth of a second apart."""
    ask([A], requests_per_minute=600, repeats=2)
    times = sorted(one["received_at"] for one in sent(gateway))
    assert times[-1] - times[0] >= 11 * 0.1 * 0.7, "the first may arrive late, where the machine is busy"


def test_a_slow_deployment_holds_the_others_near(ask: Any, gateway: LocalGateway) -> None:
    """The runs of a pair are close in time although one deployment is much slower."""
    gateway.script([{"deployment": A, "first_text_ms": 100}])
    ask(concurrency=1, repeats=4)
    calls = sent(gateway)
    last = {name: max(one["received_at"] for one in calls if one["deployment"] == name) for name in (A, B)}
    first = min(one["received_at"] for one in calls)
    assert last[B] - first > 0.7 * (last[A] - first)


def test_max_cost_stops_within_one_wave(ask: Any, gateway: LocalGateway) -> None:
    """With a dollar a call and a budget of five, at most five and one wave are sent, and the result says why."""
    gateway.script([{"cost": 1.0}])
    result = ask([A], concurrency=2, repeats=5, max_cost_usd=5)
    assert 5 <= len(sent(gateway)) <= 5 + 2
    assert 5 <= result.frame["cost_usd"].sum() <= 7
    assert "max_cost_usd=5 is reached" in result.notes[0]
    assert result.missing == 30 - len(result)


def test_max_cost_counts_costs_that_come_later(ask: Any, gateway: LocalGateway) -> None:
    """Costs from the gateway's log, written after the answer, are waited for before the next wave."""
    gateway.script([{"log_cost": 1.0, "log_delay_ms": 100}])
    result = ask([A], concurrency=2, repeats=5, max_cost_usd=4)
    assert 4 <= len(sent(gateway)) <= 4 + 2
    assert result.wait_for_costs(10) == 0
    assert result.frame["cost_source"].eq("log").all()


def test_max_cost_counts_calls_that_were_cut_off(gateway: LocalGateway, log: RunLog) -> None:
    """A call that broke off or ran out of time may have been paid for, so it is not taken to be free."""
    unknown = [{"path": "/api/logs*", "status": 404}, {"path": "/v1/models", "status": 404}]
    gateway.script([*unknown, {"drop": {"after_chunks": 2, "how": "fin"}, "chunks": 5}])
    client = Client(gateway.url, log=log, virtual_key="sk-bf-cut-off")  # the price list is kept for each key
    result = compare([A], "Hello {{n}}", inputs={"n": range(20)}, client=client, concurrency=2, max_cost_usd=1)
    assert len(sent(gateway)) == 2
    assert result.frame["status"].eq("truncated").all()


def test_max_cost_without_any_price_refuses_to_guess(log: RunLog, gateway: LocalGateway) -> None:
    """A budget that cannot be observed stops after one wave instead of being ignored."""
    gateway.script([{"path": "/v1/models", "status": 404}, {"path": "/api/logs*", "status": 404}])
    client = Client(gateway.url, log=log, virtual_key="sk-bf-no-price")
    result = compare([A], "Hello {{n}}", inputs={"n": range(20)}, client=client, concurrency=2, max_cost_usd=1)
    assert len(sent(gateway)) == 2
    assert "no run's cost is known" in result.notes[0]


def test_scores_become_columns(ask: Any) -> None:
    """Judges get the run, or the run and its row; sync and async alike; an exception is NA with its reason."""

    async def length(run: Any) -> int:
        return len(run.text)

    def named(run: Any, row: dict[str, Any]) -> bool:
        return row["topic"] in run.prompt

    def broken(run: Any) -> float:
        raise ValueError("cannot read this")

    result = ask(score={"length": length, "named": named, "broken": broken, "odd": lambda run: "text"})
    frame = result.frame
    assert [name for name in frame.columns if name.startswith("score")] == [
        f"score_{name}{kind}" for name in ("length", "named", "broken", "odd") for kind in ("", "_reason", "_error")
    ]
    assert frame["score_length"].tolist() == frame["response"].str.len().tolist()
    assert frame["score_named"].eq(1.0).all()
    assert frame["score_broken"].isna().all()
    assert frame["score_broken_error"].eq("ValueError: cannot read this").all()
    assert frame["score_odd_error"].eq("returned str, not a number").all()
    assert frame["score_length_error"].isna().all()
    assert result.difference(A, B, "score_named").same == result.difference(A, B, "score_named").n
    assert ask(score=length).frame["score"].notna().all()


def test_failed_runs_have_no_score(ask: Any, gateway: LocalGateway) -> None:
    """A judge never sees a run without an answer."""
    gateway.script([{"deployment": A, "status": 500}])
    frame = ask(score=lambda run: 1).frame
    assert frame.loc[frame["status"] != "ok", "score"].isna().all()
    assert frame.loc[frame["status"] == "ok", "score"].eq(1).all()


def test_equal_answers_are_folded_and_different_ones_diffed(ask: Any, gateway: LocalGateway) -> None:
    """Exact repeats are one row with a count, the most frequent first; the diff marks words."""
    gateway.script(
        [
            {"deployment": A, "nth": 2, "text": "Something else."},
            {"deployment": A, "text": "The quick fox."},
            {"deployment": B, "text": "The slow <b>fox</b>."},
        ]
    )
    result = ask(inputs={"topic": ["tea"]}, repeats=3, max_tokens=50)
    answers = result.answers()
    assert answers["count"].tolist() == [2, 1, 3]
    assert answers["share"].tolist() == pytest.approx([2 / 3, 1 / 3, 1.0])
    diff = result.diff(A, B)
    assert str(diff) == "The [-quick-]{+slow+} {+<b>+}fox{+</b>+}."
    assert "<b>fox" not in diff._repr_html_()
    assert 0 < diff.similarity < 1
    assert "".join(text for kind, text in diff.parts() if kind != "added") == diff.a
    assert "".join(text for kind, text in diff.parts() if kind != "removed") == diff.b


def test_dry_run_sends_nothing_and_brackets_the_cost(ask: Any, gateway: LocalGateway) -> None:
    """The estimate counts what is not recorded yet, and the real cost lies in its range."""
    estimate = ask(dry_run=True)
    assert not sent(gateway)
    assert estimate.frame["to_send"].tolist() == [6, 6]
    assert estimate.minutes is None
    low, high = estimate.cost_range_usd
    result = ask()
    assert low <= result.frame["cost_usd"].sum() <= high
    later = ask(dry_run=True, repeats=2)
    assert later.frame["recorded"].tolist() == [6, 6]
    assert later.frame["to_send"].tolist() == [6, 6]
    assert later.minutes > 0
    assert "< 0.1" in repr(later)  # minutes; 0.0 says that there are none
    assert "12 of 24 calls" in repr(later)
    assert "12 of 24 calls" in later._repr_html_()
    shown = later._repr_html_()
    assert "$" in shown
    assert "$" not in shown.replace("<span>$</span>", "")  # MathJax would read a formula between two bare dollars


@pytest.mark.parametrize(
    "facts", [{"cache_hit": True}, {"is_fallback": True}, {"status": "error"}, {"request_type": "chat_completion"}]
)
def test_dry_run_counts_no_time_of_another(ask: Any, client: Client, facts: dict[str, Any]) -> None:
    """How long a call takes is not told by a cache, a fallback, a failure or calls of another kind."""
    provider, model = A.split("/")
    for n in range(30):
        told: dict[str, Any] = {"status": "ok", "requested_provider": provider, "requested_model": model}
        told |= {"request_type": "text_completion", "total_ms": 60_000.0}
        client.log.append(Run(**{**told, **({"total_ms": 2.0, **facts} if n < 20 else {})}))
    estimate = ask(deployments=[A], concurrency=1, dry_run=True)
    assert estimate.minutes == pytest.approx(int(estimate.frame["to_send"].sum()))


def test_dry_run_counts_each_variants_own_system_message(client: Client) -> None:
    """The tokens of a system message are those of the variant that sends it, filled in."""
    asked = [{"deployment": "azure/gpt-4o", "name": "long", "system": "{{x}} " * 100}, "azure/gpt-4o"]
    estimate = compare(asked, "{{x}}", inputs={"x": ["word " * 80]}, chat=True, client=client, dry_run=True)
    long, short = estimate.frame["prompt_tokens"]
    assert short == 100
    assert long == 100 + 100 * 100 + 25


def test_dry_run_names_prompts_that_are_too_long(ask: Any) -> None:
    """A prompt beyond the context length the gateway names is counted."""
    inputs = {"topic": ["short", "word " * 40_000]}
    assert tokens_of(inputs["topic"][1]) == 50_000
    estimate = ask(dry_run=True, inputs=inputs)
    assert estimate.frame["too_long"].tolist() == [1, 1]
    assert "too long" in repr(estimate)


def test_dry_run_takes_the_longest_answer_for_none_that_was_asked_for(client: Client) -> None:
    """A deployment's answers may be as long as its context: without `max_tokens` a short prompt is not too long."""
    short = {"deployments": ["azure/gpt-35-turbo-instruct"], "prompt": "Hello", "client": client, "dry_run": True}
    assert "too long" not in repr(compare(**short))
    assert "1 prompt is too long" in repr(compare(**short, max_tokens=4096))


def test_dry_run_without_a_gateway(log: RunLog) -> None:
    """Without a gateway the plan is still shown; what it would tell is NA."""
    estimate = compare([A], "Hello", client=Client("http://127.0.0.1:9", log=log), dry_run=True)
    assert estimate.cost_range_usd is None
    assert estimate.frame["cost_low_usd"].isna().all()
    assert "cost unknown" in repr(estimate)


def test_nothing_is_sent_for_a_wrong_question(ask: Any, gateway: LocalGateway) -> None:
    """Mistakes are told before the first call."""
    for wrong in (
        *({"inputs": None}, {"max_tokens": 0}, {"max_cost_usd": -1}, {"repeats": 0}, {"seed": "a"}, {"messages": []}),
        *({"deployments": None}, {"deployments": 5}, {"client": "demo"}, {"fallbacks": 5}, {"tags": ["a"]}),
        *({"score": 5}, {"score": {"x": len, "x_error": len}}, {"live": "yes"}),
    ):
        with pytest.raises((ConfigurationError, TemplateError)):
            ask(**wrong)
    assert not sent(gateway)


def test_whole_numbers_of_a_frame_count(ask: Any, gateway: LocalGateway) -> None:
    """Numbers that come out of pandas and NumPy are numbers."""
    two = pd.Series([2]).iloc[0]
    assert len(ask(repeats=two, seed=two, concurrency=two, max_tokens=two)) == len(sent(gateway)) == 24


def test_hostile_names_and_answers_are_only_text(ask: Any, gateway: LocalGateway) -> None:
    """Markup in a name or an error runs nothing and breaks no table."""
    gateway.script([{"deployment": A, "status": 401, "error": {"message": "<img src=x onerror=alert(1)>\x1b[31m"}}])
    name = "<script>alert(1)</script>\x1b[2J"
    result = ask([{"deployment": A, "name": name}, B])
    html = result._repr_html_()
    assert "<script" not in html
    assert "<img" not in html
    assert "\x1b" not in html + repr(result)
    assert not re.search(r"<style|class=|var\(", html)


def test_a_terminal_has_figures_below_each_other(ask: Any) -> None:
    """In 80 columns, too: each figure ends where its heading does."""
    head, _, *rows = as_text(ask([A, {"deployment": B, "name": "b"}]), 80).splitlines()[2:6]
    endless = "azure/" + "withoutanybreak" * 8
    both = as_text(ask([A, {"deployment": B, "name": f"{endless}-1"}, {"deployment": B, "name": f"{endless}-2"}]), 80)
    cut = both.partition("\n! ")[0]  # what is said of the sweep names them whole
    assert max(map(len, cut.splitlines())) <= 80
    assert cut.count("asked → served") <= 3
    assert cut.count("break-1") == cut.count("break-2") == cut.count("asked → served")
    for title in ("$ per 1,000", "cost in all", "total p50"):
        end = head.index(title) + len(title)
        assert all(row[end - 1] != " " and row[end : end + 1] in ("", " ") for row in rows), title


def test_charts_of_a_comparison(ask: Any) -> None:
    """Each chart draws the comparison, named as its deployments are."""
    result = ask([{"deployment": A, "name": "first"}, B])
    for name in ("latency", "ttft", "tokens", "cost", "errors", "tradeoff", "over_time", "timeline"):
        assert getattr(result.plot, name)()._repr_png_().startswith(b"\x89PNG")
    labels = [text.get_text() for text in result.plot.latency().texts]
    assert [label.partition("\n")[0] for label in labels] == ["first", B]


def test_without_a_log_it_runs_and_does_not_resume(gateway: LocalGateway) -> None:
    """A switched-off log costs the resume, not the comparison."""
    client = Client(gateway.url, log=RunLog(None))
    for count in (1, 2):
        assert compare([A], "Hello", client=client).frame["status"].tolist() == ["ok"]
        assert len(sent(gateway)) == count


def test_a_full_disk_costs_no_answer(gateway: LocalGateway, tmp_path: Path) -> None:
    """Every answer is in the result, and one note says that the log could not take them."""
    resource = pytest.importorskip("resource", reason="only Unix limits the size of files")
    client = Client(gateway.url, log=RunLog(tmp_path / "runs.jsonl"))
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, unlimited[1]))
    try:
        result = compare([A], "Hello", repeats=3, client=client)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert result.frame["status"].eq("ok").all()
    assert [("cannot be written" in note, "too large" in note) for note in result.notes] == [(True, True)]


def test_a_log_that_cannot_be_read_is_told_before_anything_is_sent(gateway: LocalGateway, tmp_path: Path) -> None:
    """Without knowing what is already paid for, nothing is paid again."""
    (tmp_path / "file").write_text("")
    client = Client(gateway.url, log=RunLog(tmp_path / "file" / "runs.jsonl"))
    with pytest.raises(LogError, match="cannot be read"):
        compare([A], "Hello", client=client)
    assert not sent(gateway)


def test_live_receives_the_pieces(ask: Any) -> None:
    """`live` is called with each run and its pieces, which make up its text."""
    texts: dict[str, str] = {}

    def live(run: Any, pieces: list[Any]) -> None:
        texts[run.run_id] = texts.get(run.run_id, "") + "".join(piece.text for piece in pieces)

    result = ask(live=live)
    assert texts == {run.run_id: run.text for run in result.runs}


def test_planted_truths_come_out(ask: Any, gateway: LocalGateway) -> None:
    """A fifth slower is called slower; ten cached answers change no figure; 30 % by a fallback gets no verdict."""
    hit = {"cache_hit": True, "hit_type": "direct"}
    gateway.script(
        [
            {"deployment": A, "nth": list(range(1, 60, 6)), "first_text_ms": 5, "cache": hit},
            {"deployment": C, "nth": [n for n in range(1, 61) if n % 10 < 3], "status": 503},
            {"deployment": B, "first_text_ms": 1200},
            {"first_text_ms": 1000},
        ]
    )
    asked = [A, B, {"deployment": C, "fallbacks": ["azure/large"]}]
    result = ask(asked, inputs={"topic": range(60)}, concurrency=20)
    table = result.summary().set_index(["deployment", "served"])
    found = result.difference(A, B)
    assert (found.winner, found.n) == (A, 50)
    assert found.excluded["from a cache"] == 10
    assert (table.loc[(A, A), "runs"], table.loc[(A, A), "cached"]) == (60, 10)
    assert table.loc[(A, A), "total_ms_mean"] >= 1000, "the cached answers took 5 ms"
    assert table.loc[(C, C), "fallback_share"] == pytest.approx(0.3)
    assert table.loc[(C, "azure/large"), "runs"] == 18
    assert result.difference(B, C).outcome == "refused"
    told = result.difference(B, C, mixed="drop")
    assert (told.winner, told.n) == (C, 42)
