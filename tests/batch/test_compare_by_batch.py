"""`compare(mode="batch")`: half the price, answers later, in any kernel, and nothing paid for twice."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pytest
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

import bifrost_nb as bf
from bifrost_nb import Client, ConfigurationError, LocalGateway, RunLog, local_gateway, scorers
from bifrost_nb._batch.comparison import BatchComparison
from bifrost_nb._batch.ledger import Ledger, SentJob
from bifrost_nb._batch.requests import PROVIDERS, Rules, chunks
from bifrost_nb._batch.result_line import run_of
from bifrost_nb._compare.interrupted import ComparisonInterrupted
from bifrost_nb._compare.plan import make_plan
from bifrost_nb._compare.verdict import amount
from bifrost_nb._prompts.pictures import data_url
from tests.admin.servers import Table, json as json_answer, served
from tests.compare.test_messages import png

A, B, C = "openai/gpt-4o-mini", "azure/gpt-4o", "anthropic/claude-haiku-4-5"
INPUTS = {"x": ["bird", "tree"]}


@pytest.fixture(scope="module")
def slow_gateway() -> Iterator[LocalGateway]:
    """Whose jobs take hours."""
    with local_gateway(speed=0.0005) as gateway:
        yield gateway


def ask(client: Client, deployments: Any = (A, B, C), **asked: Any) -> BatchComparison:
    question = {"prompt": "Name a {{x}}.", "inputs": INPUTS, "max_tokens": 20, "chat": True, "mode": "batch"}
    result = bf.compare(deployments, client=client, **{**question, **asked})
    assert isinstance(result, BatchComparison)
    return result


def jobs(gateway: LocalGateway) -> list[dict[str, Any]]:
    return [one for one in gateway.requests() if one["path"] == "/v1/batches" and one["method"] == "POST"]


def lines(gateway: LocalGateway) -> list[Any]:
    """The requests in all files that were sent."""
    uploads = [one["body"] for one in gateway.requests() if one["path"] == "/v1/files"]
    return [json.loads(line) for body in uploads for line in body.splitlines() if line.startswith("{")]


def test_the_same_frame_as_of_single_calls_at_half_the_price(client: Client, gateway: LocalGateway) -> None:
    """Same columns and types, the tokens of single calls, half of their cost, and no times."""
    batch = ask(client)
    assert (batch.pending, len(batch.runs), len(jobs(gateway))) == (6, 0, 3)
    assert batch.collect(wait=20).pending == 0
    live = bf.compare([A, B, C], "Name a {{x}}.", inputs=INPUTS, max_tokens=20, chat=True, stream=False, client=client)
    live.wait_for_costs()
    found, other = batch.frame, live.frame
    assert found.dtypes.to_dict() == other.dtypes.to_dict()
    same = ["variant", "prompt", "prompt_id", "input_id", "status", "request_type", "provider", "model",
            "prompt_tokens", "completion_tokens", "finish_reason", "input_x"]  # fmt: skip
    pd.testing.assert_frame_equal(found[same], other[same])
    assert (found["cost_usd"] / other["cost_usd"]).tolist() == pytest.approx([0.5] * 6)
    assert set(found["cost_source"]) == {"prices"}
    assert found[["total_ms", "ttft_ms", "queue_ms", "latency_ms", "tokens_per_s"]].isna().all(axis=None)
    assert {json.loads(one)["batch_rate"] for one in found["params"]} == {0.5}
    assert all("times 0.5, the batch rate that" in run.notes[-1] for run in batch.runs)
    assert "6 of 6 answers are here" in repr(batch)
    assert batch.batches["status"].tolist() == ["collected"] * 3
    assert batch.batches["cost_low_usd"].lt(batch.batches["cost_high_usd"]).all()


def test_what_goes_over_the_wire(client: Client, gateway: LocalGateway) -> None:
    """Files of JSON lines for OpenAI and Azure, a list in its own words for Anthropic; each trial's identity."""
    batch = ask(client, [A, B, {"deployment": C, "system": "Be brief.", "stop": ["."]}], inputs={"x": ["bird"]})
    [openai, azure] = lines(gateway)
    ids = {trial.asked.name: trial.trial_id for trial in batch.plan.trials}
    turn = {"role": "user", "content": "Name a bird."}
    assert openai == {
        "custom_id": ids[A], "method": "POST", "url": "/v1/chat/completions",
        "body": {"model": "gpt-4o-mini", "messages": [turn], "max_completion_tokens": 20},
    }  # fmt: skip
    assert (azure["custom_id"], azure["body"]["model"]) == (ids[B], "gpt-4o-2024-11-20")
    by_file, _, inline = (one["body"] for one in jobs(gateway))
    assert by_file.keys() == {"model", "endpoint", "input_file_id", "completion_window", "metadata"}
    assert (by_file["model"], by_file["endpoint"]) == (A, "/v1/chat/completions")
    assert inline["requests"] == [
        {
            "custom_id": ids[C],
            "params": {
                "model": "claude-haiku-4-5", "max_tokens": 20, "messages": [turn], "system": "Be brief.",
                "stop_sequences": ["."],
            },
        }
    ]  # fmt: skip
    batch.collect(wait=20)
    asked = [one for one in gateway.requests() if one["method"] == "GET" and one["path"].startswith("/v1/batches/")]
    assert {one["query"]["provider"] for one in asked} == {"openai", "azure", "anthropic"}


def test_a_job_under_way_is_not_sent_again(slow_gateway: LocalGateway, log: RunLog) -> None:
    """The same cell sends nothing more; a longer one only what is new; `fresh` all of it."""
    slow_gateway.reset()
    client = Client(slow_gateway.url, log=log)
    first, again = ask(client), ask(client)
    assert (len(jobs(slow_gateway)), again.pending) == (3, 6)
    assert again.batches["batch_id"].tolist() == first.batches["batch_id"].tolist()
    assert "0 of 6 answers are here, 6 under way" in repr(again)
    assert "6 under way" in again._repr_html_()
    low, high = again.batches["cost_low_usd"].sum(), again.batches["cost_high_usd"].sum()
    price = f"{amount(low, 'cost_usd')} to {amount(high, 'cost_usd')} at 50% of the list price"
    assert price in again._repr_html_().replace("<span>$</span>", "$")
    assert f"3 batch jobs, {price}; 0 of 6 answers are here" in repr(again)
    assert all(job in again._repr_html_() for job in again.batches["batch_id"])
    longer = ask(client, inputs={"x": ["bird", "tree", "fish"]})
    assert (len(jobs(slow_gateway)), longer.pending) == (6, 9)
    assert [json.loads(line["custom_id"] and json.dumps(line))["custom_id"] for line in lines(slow_gateway)][4:] == [
        trial.trial_id for trial in longer.plan.trials if trial.prompt.text == "Name a fish." and trial.asked.name != C
    ]
    assert ask(client, fresh=True).pending == 6
    assert len(jobs(slow_gateway)) == 9
    assert first.collect().pending == 6


KERNEL = """
import sys, os
import bifrost_nb as bf
comparison = bf.compare(["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5"], "Name a {{x}}.", inputs={"x": ["bird"]},
    max_tokens=20, chat=True, mode="batch", client=bf.Client(sys.argv[1]))
if len(sys.argv) > 2:
    os._exit(9)  # as a kernel that is killed
comparison.collect(wait=20)
print(len(comparison.runs), comparison.pending, comparison.frame["status"].tolist())
"""


def test_a_killed_kernel_loses_nothing(gateway: LocalGateway, tmp_path: Path) -> None:
    """The same cell in another process collects what the dead one had sent, and sends nothing."""
    environment = {**os.environ, "BIFROST_RUN_LOG": str(tmp_path / "runs.jsonl")}
    command = [sys.executable, "-c", KERNEL, gateway.url]
    assert subprocess.run([*command, "die"], env=environment, check=False).returncode == 9
    assert len(jobs(gateway)) == 2
    out = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    assert out.strip() == "2 0 ['ok', 'ok']"
    assert len(jobs(gateway)) == 2
    ledger = tmp_path / "runs.jsonl.batches"
    assert ledger.stat().st_mode & 0o077 == 0
    assert b"Name a" not in ledger.read_bytes()


def test_an_interrupt_while_it_is_sent_says_how_to_go_on(client: Client, gateway: LocalGateway) -> None:
    """Stopped while the second of three jobs leaves: it says what was sent, and the same cell sends the third alone."""
    gateway.script([{"path": "/v1/batches", "delay_ms": 700}])

    def interrupt() -> None:
        end = time.monotonic() + 30
        while len(jobs(gateway)) < 2 and time.monotonic() < end:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    watcher = threading.Thread(target=interrupt)
    watcher.start()
    try:
        with pytest.raises(ComparisonInterrupted, match=r"0 of 6 calls .* 4 are in batch jobs, .* the cell") as it:
            ask(client)
    finally:
        watcher.join()
    assert it.value.comparison.batches["deployment"].tolist() == [A, B]
    gateway.script([])
    again = ask(client)
    assert [one["body"]["model"] for one in jobs(gateway)] == [A, B, C]
    assert len(again.runs) + again.pending == 6


def test_two_that_collect_at_once_write_one_row(client: Client, gateway: LocalGateway, log: RunLog) -> None:
    """Two kernels, or two threads, whose jobs end while both wait: no answer and no cost is in the log twice."""
    gateway.script(
        [{"path": "/v1/files/*/content", "delay_ms": 400}, {"path": "/v1/batches/*/results", "delay_ms": 400}]
    )
    both = [ask(client), ask(client)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda one: one.collect(wait=20), both))
    assert [one.pending for one in both] == [0, 0]
    written = log.frame()
    assert len(written) == len(both[0].frame) == 6
    assert sorted(written["run_id"]) == sorted(run.run_id for run in both[1].runs)
    assert written["cost_usd"].sum() == pytest.approx(both[0].frame["cost_usd"].sum())


@pytest.mark.parametrize("deployment", [A, C])
def test_an_answer_that_was_lost_makes_no_second_job(
    client: Client, gateway: LocalGateway, log: RunLog, deployment: str
) -> None:
    """The gateway took the job and the connection broke: it is found by its mark, at Anthropic by time and size."""
    gateway.script([{"path": "/v1/batches", "times": 1, "drop": {"after_bytes": 0}}])
    batch = ask(client, [deployment])
    assert len(jobs(gateway)) == 1
    assert batch.collect(wait=20).frame["status"].tolist() == ["ok", "ok"]
    assert len(jobs(gateway)) == 1


ODD = [None, 5, ["completed"], {"a": 1}, "\x1b[2J<script>"]


ONE_JOB: dict[str, Any] = {
    "/v1/models": {"data": []},
    "/v1/files": {"id": "file"},
    "/v1/batches": {"id": "job"},
    "/v1/batches/job": {"id": "job", "status": "in_progress"},
}


@pytest.fixture
def table(log: RunLog) -> Iterator[tuple[Table, Client]]:
    """A gateway with one job, which says whatever it is told to say."""
    answers = Table(dict(ONE_JOB))
    with served(answers) as url:
        yield answers, Client(url, log=log)


def sent(table: Table) -> int:
    return sum(one.method == "POST" and one.url.path == "/v1/batches" for one in table.asked)


def results_of(file: str, lines: Any) -> dict[str, Any]:
    """The routes that give `lines`: Anthropic's list of results and, a line for each, the output file of others."""
    told = lines if isinstance(lines, list) else [lines]
    return {
        "/v1/batches/job/results": {"results": lines},
        f"/v1/files/{file}/content": Response(b"".join(orjson.dumps(line) + b"\n" for line in told)),
    }


@pytest.mark.parametrize("deployment", [A, C])
def test_odd_facts_of_a_job_are_no_end_of_it(table: tuple[Table, Client], deployment: str) -> None:
    """Whatever a job is said to be, it stays under way until it is said to have ended, and shows itself; one that has
    ended and gives none of its answers, or something else, keeps what was paid for until they come."""
    answers, client = table
    batch = ask(client, [deployment])
    for odd in ODD:
        facts = {"status": odd, "request_counts": odd, "expires_at": odd, "errors": odd, "output_file_id": odd}
        answers.answers = {**ONE_JOB, "/v1/batches/job": facts}
        assert batch.collect().pending == 2
        assert batch.batches["completed"].isna().all()
        assert "<script>" not in batch._repr_html_()
        assert "\x1b" not in repr(batch)
    ended = {"status": "completed", "request_counts": {"total": 2, "completed": 2}, "output_file_id": "out"}
    for odd in (None, [], {}, "none", 5, [None, "line"]):
        answers.answers = {**ONE_JOB, "/v1/batches/job": ended, **results_of("out", odd)}
        assert (batch.collect().pending, len(batch.notes)) == (2, 1), odd
        assert ask(client, [deployment]).pending == 2
    body = {"choices": [{"message": {"role": "assistant", "content": "Crow."}, "finish_reason": "stop"}]}
    whole = {"content": [{"type": "text", "text": "Crow."}], "stop_reason": "end_turn"}
    kinds = {
        A: {"response": {"status_code": 200, "body": body}},
        C: {"result": {"type": "succeeded", "message": whole}},
    }
    lines = [{"custom_id": trial.trial_id, **kinds[deployment]} for trial in batch.plan.trials]
    answers.answers = {**ONE_JOB, "/v1/batches/job": ended, **results_of("out", lines)}
    assert batch.collect().frame["response"].tolist() == ["Crow."] * 2
    assert sent(answers) == 1


@pytest.mark.parametrize("deployment", [A, C])
def test_odd_jobs_in_a_list_are_not_ours(table: tuple[Table, Client], deployment: str) -> None:
    """Looked for in a list of anything, a job whose id was lost stays in doubt, and is not sent again."""
    answers, client = table
    listed = [{"id": "b", "metadata": odd, "request_counts": odd, "created_at": odd} for odd in ODD]
    for odd in ([*listed, *ODD], *ODD):

        def lost(request: Request, data: Any = odd) -> Any:
            return json_answer({"error": {"message": "lost"}}, 500) if request.method == "POST" else {"data": data}

        answers.answers = {**ONE_JOB, "/v1/batches": lost}
        assert ask(client, [deployment]).pending == 2
        assert ask(client, [deployment]).pending == 2
    assert sent(answers) == 1


def test_a_job_that_never_arrived_is_sent_again_and_one_in_doubt_is_not(
    client: Client, gateway: LocalGateway, log: RunLog
) -> None:
    """The process died before the request left: after two minutes the provider's list decides, not before."""
    plan = make_plan(client, [A], "Name a {{x}}.", inputs=INPUTS, kind="chat", stream=False, batch=True,
                     parameters={"max_tokens": 20})  # fmt: skip
    cells = [trial.trial_id for trial in plan.trials]
    job = SentJob(gateway=gateway.url, variant=A, deployment=A, model="gpt-4o-mini", kind="chat", rate=0.5, cells=cells)
    Ledger(log).sending(job)
    doubtful = ask(client, [A])
    assert (doubtful.pending, jobs(gateway)) == (2, [])
    assert "not known whether this job was made" in repr(doubtful)
    assert doubtful.batches["status"].tolist() == ["sending"]
    ledger = log.path.with_name(log.path.name + ".batches")
    Ledger(log).sent(job, "batch_1")
    ledger.write_bytes(b'{"state":"over","jo' + ledger.read_bytes().replace(b"\n", b""))  # line ends that were lost
    assert [job.batch_id for job in Ledger(log).jobs_of(gateway.url, cells)] == ["batch_1"]
    job.at = time.time() - 200
    Ledger(log).sending(job)
    assert ask(client, [A]).collect(wait=20).frame["status"].tolist() == ["ok", "ok"]
    assert len(jobs(gateway)) == 1


def test_somebody_elses_job_is_not_taken_for_ours(client: Client, gateway: LocalGateway, log: RunLog) -> None:
    """Anthropic keeps no mark: a job of the same size that has ended and holds other requests is not taken for ours,
    and where there is none but that, ours never arrived."""
    somebody = Client(gateway.url, log=RunLog(log.path.with_name("theirs.jsonl")))
    other = ask(somebody, [C], prompt="Name a {{x}}, please.").collect(wait=20)
    plan = make_plan(client, [C], "Name a {{x}}.", inputs=INPUTS, kind="chat", stream=False, batch=True,
                     parameters={"max_tokens": 20})  # fmt: skip
    cells = [trial.trial_id for trial in plan.trials]
    Ledger(log).sending(
        SentJob(gateway=gateway.url, variant=C, deployment=C, model="claude", kind="chat", rate=0.5, cells=cells)
    )
    ours = ask(client, [C])
    assert (len(other.runs), len(ours.runs), ours.pending, len(jobs(gateway))) == (2, 0, 2, 1)
    assert "not known whether this job was made" in repr(ours)
    [job] = Ledger(log).jobs_of(gateway.url, cells)
    job.at -= 200
    Ledger(log).sending(job)
    assert ask(client, [C]).collect(wait=20).frame["status"].tolist() == ["ok", "ok"]
    assert len(jobs(gateway)) == 2


def test_a_refused_job_costs_nothing_and_may_be_sent_again(client: Client, gateway: LocalGateway) -> None:
    """What the gateway says is said, with what to do; the other variants are sent."""
    refusal = "no config found for batch apis; enable 'Use for Batch APIs' on at least one key for provider: openai"
    gateway.script([{"path": "/v1/batches", "times": 1, "status": 400, "error": {"message": refusal}}])
    batch = ask(client, [A, B])
    assert batch.notes[0].startswith(f"{A} was not sent: The gateway answered 400: {refusal}")
    assert batch.batches["deployment"].tolist() == [B]
    assert "Use for Batch APIs" in repr(batch)
    assert ask(client, [A, B]).collect(wait=20).frame["status"].tolist() == ["ok"] * 4
    assert len(jobs(gateway)) == 3


def test_what_cannot_be_batched_is_named_before_anything_is_sent(client: Client, gateway: LocalGateway) -> None:
    """All of it at once, with the reason for each."""
    wrong = [
        A,
        "mistral/mistral-small-latest",
        "gemini/gemini-2.5-flash",
        {"deployment": "gemini/gemini-2.5-flash", "name": "with tools", "tools": [{"type": "function"}]},
        "bedrock/anthropic.claude-3",
        {"deployment": A, "name": "with fallback", "fallbacks": [B]},
        {"deployment": B, "name": "with header", "headers": {"x-bf-cache-key": "a"}},
        {"deployment": B, "name": "with pace", "requests_per_minute": 30},
        {"deployment": B, "name": "with retries", "retries": 2},
        {"deployment": B, "name": "with timeout", "timeout": 60},
        {"deployment": B, "name": "with route", "route": "v1"},
        {"deployment": C, "name": "with format", "response_format": {"type": "json_object"}},
        {"deployment": "anthropic/claude-sonnet-4-5", "max_tokens": None},
    ]
    with pytest.raises(ConfigurationError) as caught:
        ask(client, wrong)
    told = str(caught.value)
    assert told.startswith("Nothing was sent, as not all of it can be batched: mistral/mistral-small-latest: only ")
    for reason in (
        "with tools: tools is not taken in a batch of Gemini's",
        "not bedrock, for which gateways want an S3 bucket",
        "with fallback: a batch has no fallbacks", "with header: the requests of a batch have no headers",
        "with pace: a batch has no requests_per_minute", "with retries: a batch has no retries",
        "with timeout: a batch has no timeout", "with route: a batch has no route",
        "with format: response_format is not taken", "anthropic/claude-sonnet-4-5: Anthropic wants max_tokens=",
    ):  # fmt: skip
        assert reason in told
    assert "gemini/gemini-2.5-flash:" not in told
    assert not [one for one in gateway.requests() if one["method"] == "POST"]


def test_what_a_batch_cannot_keep_to_is_refused_for_all(client: Client, gateway: LocalGateway) -> None:
    """A pace or repeats for the whole comparison are refused, in a dry run too; none of them is what a batch does."""
    for asked in ({"requests_per_minute": 30}, {"retries": 2}, {"retries": 2, "dry_run": True}):
        with pytest.raises(ConfigurationError, match=f"a batch has no {next(iter(asked))}"):
            ask(client, [A, B], **asked)
    assert not [one for one in gateway.requests() if one["method"] == "POST"]
    assert ask(client, [A], requests_per_minute=None, retries=0, timeout=None).pending == 2


def test_geminis_batches(client: Client, gateway: LocalGateway) -> None:
    """Its own form keeps every parameter; the frame is that of single calls, at half the price."""
    name = "gemini/gemini-2.5-flash"
    asked: dict[str, Any] = {"system": "Be brief.", "temperature": 0, "stop": ["!"]}
    batch = ask(client, [name], **asked)
    [job] = jobs(gateway)
    assert job["body"]["model"] == name
    [first, _] = job["body"]["requests"]
    assert first == {
        "custom_id": batch.plan.trials[0].trial_id,
        "body": {
            "contents": [{"role": "user", "parts": [{"text": "Name a bird."}]}],
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "generationConfig": {"temperature": 0, "maxOutputTokens": 20, "stopSequences": ["!"]},
        },
    }  # fmt: skip
    found = batch.collect(wait=20)
    live = bf.compare(
        [name], "Name a {{x}}.", inputs=INPUTS, max_tokens=20, chat=True, stream=False, client=client, **asked
    )
    live.wait_for_costs()
    same = [
        "variant",
        "prompt_id",
        "status",
        "provider",
        "model",
        "prompt_tokens",
        "completion_tokens",
        "finish_reason",
    ]
    pd.testing.assert_frame_equal(found.frame[same], live.frame[same])
    assert (found.frame["cost_usd"] / live.frame["cost_usd"]).tolist() == pytest.approx([0.5] * 2)
    paths = [one["path"] for one in gateway.requests() if one["path"].startswith("/v1/batches/")]
    assert paths
    assert not any("batches/batches" in path for path in paths)
    url = data_url(png())
    said = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]
    typed = bf.compare([name], messages=said, schema=Animal, client=client, mode="batch")
    body = jobs(gateway)[-1]["body"]["requests"][0]["body"]
    assert body["contents"][0]["parts"][0]["inlineData"]["mimeType"] == "image/png"
    assert body["generationConfig"]["responseJsonSchema"]["required"] == ["name", "legs"]
    assert typed.collect(wait=20).frame["valid"].tolist() == [True]
    broken = ask(client, [name], inputs={"x": ["word " * 1_200_000]}).collect(wait=20)
    assert broken.frame["status"].tolist() == ["error"]
    assert broken.frame["cost_usd"].isna().all()


@pytest.mark.parametrize("dialect", ["1.5", "1.3"])
def test_geminis_batches_want_a_gateway_that_finds_them_again(log: RunLog, dialect: str) -> None:
    """Up to 1.5.16 a job is made and its results are not found: said before anything is sent, with the version."""
    with local_gateway(dialect=dialect) as gateway:
        with pytest.raises(ConfigurationError, match=r"from 2\.0\.0 on is needed, older ones .* this is v1\."):
            ask(Client(gateway.url, log=log), ["gemini/gemini-2.5-flash"])
        assert not jobs(gateway)


def test_a_lost_job_of_geminis_is_found_by_its_time(client: Client, gateway: LocalGateway) -> None:
    """Its list has no marks and no sizes: the only one since then, whose requests are ours."""
    gateway.script([{"path": "/v1/batches", "times": 1, "drop": {"after_bytes": 0}}])
    batch = ask(client, ["gemini/gemini-2.5-flash"])
    assert batch.collect(wait=20).frame["status"].tolist() == ["ok", "ok"]
    assert len(jobs(gateway)) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "later"}, "mode must be"),
        ({"live": print}, "go with single calls"),
        ({"max_cost_usd": 1e-9}, "cannot be stopped halfway"),
    ],
)
def test_wrong_settings_are_refused(
    client: Client, gateway: LocalGateway, options: dict[str, Any], message: str
) -> None:
    """Before anything is sent."""
    with pytest.raises((ConfigurationError, bf.BifrostError), match=message):
        ask(client, **options) if "mode" not in options else bf.compare([A], "Hi", client=client, **options)
    assert not [one for one in gateway.requests() if one["path"] in ("/v1/files", "/v1/batches")]


def test_without_a_log_there_is_no_batch(gateway: LocalGateway) -> None:
    """The jobs would be lost with the kernel."""
    with pytest.raises(ConfigurationError, match="needs the run log"):
        ask(Client(gateway.url, log=RunLog("off")))
    assert not jobs(gateway)


def test_a_request_that_failed_is_a_row_and_alone_is_sent_again(client: Client, gateway: LocalGateway) -> None:
    """Of OpenAI with the provider's words, out of the error file; of Anthropic without, as gateways drop them."""
    inputs = {"x": ["bird", "word " * 250_000]}
    first = ask(client, [A, C], inputs=inputs).collect(wait=20)
    assert first.frame["status"].tolist() == ["ok", "ok", "error", "error"]
    said = first.frame["error_message"].tolist()
    assert "maximum context length is 128000" in said[2]
    assert "'errored'" in said[3]
    assert first.frame["cost_usd"].isna().tolist() == [False, False, True, True]
    assert "2 failed" in repr(first) or "1 failed" in repr(first)
    ask(client, [A, C], inputs=inputs)
    assert len(jobs(gateway)) == 4
    assert len(jobs(gateway)[-1]["body"]["requests"]) == 1


class Animal(BaseModel):
    name: str
    legs: int


def test_typed_answers_pictures_tools_and_the_other_routes(client: Client, gateway: LocalGateway) -> None:
    """A schema's columns, `api="responses"`, text completions, Anthropic's pictures and calls of tools."""
    typed = bf.compare([A], "Name an animal.", schema=Animal, client=client, mode="batch")
    text = bf.compare(["openai/gpt-3.5-turbo-instruct"], "Once", max_tokens=5, client=client, mode="batch")
    responses = bf.compare([A], "Hi", api="responses", max_output_tokens=20, client=client, mode="batch")
    png = bytes.fromhex("89504e470d0a1a0a0000000049454e44ae426082")
    seen = bf.compare([B], "What?", inputs={"p": [png]}, images="p", max_tokens=9, client=client, mode="batch")
    urls = [line["url"] for line in lines(gateway)]
    assert urls == ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/chat/completions"]
    for one in (typed, text, responses, seen):
        assert one.collect(wait=20).frame["status"].tolist() == ["ok"]
    assert {"valid", "answer_name", "answer_legs"} <= set(typed.frame)
    assert [one.frame["request_type"][0] for one in (text, responses)] == ["text_completion", "responses"]
    assert responses.frame["completion_tokens"].notna().all()
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    called = bf.compare([C], "Look it up.", tools=tools, max_tokens=50, client=client, mode="batch")
    [asked] = jobs(gateway)[-1]["body"]["requests"]
    assert asked["params"]["tools"] == [{"name": "look", "input_schema": {"type": "object"}}]
    live = bf.compare([C], "Look it up.", tools=tools, max_tokens=50, client=client, stream=False)
    names = [[call["function"]["name"] for call in run.tool_calls] for run in (*called.collect(20).runs, *live.runs)]
    assert names[0] == names[1]


def test_scores_when_all_is_here_and_a_dry_run(client: Client, gateway: LocalGateway) -> None:
    """`score=` counts the collected answers; a dry run says the batch's price and sends no job."""
    estimate = bf.compare(
        [A], "Name a {{x}}.", inputs=INPUTS, max_tokens=20, chat=True, client=client, mode="batch", dry_run=True
    )
    live = bf.compare([A], "Name a {{x}}.", inputs=INPUTS, max_tokens=20, chat=True, client=client, dry_run=True)
    assert (estimate.cost_range_usd[1], jobs(gateway)) == (pytest.approx(live.cost_range_usd[1] / 2), [])
    found = ask(client, [A], score=lambda run: len(run.text) > 0).collect(wait=20)
    assert found.frame["score"].tolist() == [1.0, 1.0]
    kept = pickle.loads(pickle.dumps(found))
    assert kept.frame["response"].tolist() == found.frame["response"].tolist()
    with pytest.raises(ConfigurationError, match="Run the cell again"):
        kept.collect()


@pytest.mark.parametrize(
    "line",
    [
        None, {}, {"response": "x"}, {"response": {"status_code": "x"}}, {"response": {"body": [1]}},
        {"response": {"status_code": float("inf")}},
        {"response": {"status_code": 200, "body": {"choices": "x"}}}, {"response": {"status_code": 200}},
        {"response": {"status_code": 200, "body": {"object": "error", "message": "full"}}},
        {"result": {"type": "succeeded"}}, {"result": {"type": "succeeded", "message": []}},
        {"result": {"type": "\x1b[31m" * 1000}},
        {"error": {"message": "<script>"}}, {"response": {"status_code": 500, "body": {"error": "x" * 10_000}}},
    ],
)  # fmt: skip
def test_odd_results_are_failed_runs(client: Client, line: Any) -> None:
    """Whatever a result is, it ends in a run that says so."""
    plan = make_plan(client, [A], "Hi", kind="chat", stream=False, batch=True)
    job = SentJob(gateway="g", variant=A, deployment=A, model="m", kind="chat", rate=0.5, cells=[])
    run = run_of(client, plan, plan.trials[0], job, line, None)
    assert run.status == "error"
    assert len(run.error_message or "") <= 2_000
    assert "\x1b" not in (run.error_message or "")


def test_damaged_lines_of_the_ledger_are_passed_over(log: RunLog) -> None:
    """A line that is cut off, of a newer version, or no JSON hides no other."""
    ledger = Ledger(log)
    job = SentJob(gateway="g", variant=A, deployment=A, model="m", kind="chat", rate=0.5, cells=["c"])
    ledger.sending(job)
    with ledger.path.open("ab") as file:
        file.write(b'{"state": "sent", "jo\n[]\n{"state":"sending","job":5}\n{"state":"new","job":"x"}\n\xff\n')
        odd = {"gateway": "g", "variant": A, "deployment": 5, "model": "m", "kind": "chat", "rate": 1, "cells": ["c"]}
        for line in (odd, {**odd, "gateway": "http://[::", "deployment": A}):
            file.write(orjson.dumps({"state": "sending", "job": "odd", "at": 1, **line}) + b"\n")
    ledger.sent(job, "batch_1")
    [found] = ledger.jobs_of("g", ["c"])
    assert (found.batch_id, found.over, found.cells) == ("batch_1", None, ["c"])
    assert ledger.jobs_of("elsewhere", ["c"]) == []


def test_a_large_batch_is_cut_by_number_and_size() -> None:
    """No chunk holds more than its provider allows, and together they hold all in order."""
    items = [{"custom_id": str(n), "body": "x" * (n % 50)} for n in range(200)]
    for rules in (Rules(30, 10**9, 0.5, True), Rules(10**6, 700, 0.5, True)):
        found = list(chunks(rules, items))
        assert [item for chunk in found for item, _ in chunk] == items
        assert all(len(chunk) <= rules.requests and sum(len(line) + 1 for _, line in chunk) <= rules.bytes
                   for chunk in found)  # fmt: skip
        assert len(found) > 5
    assert orjson.dumps(items[3]) == next(iter(chunks(PROVIDERS["openai"], items)))[3][1]


def test_a_later_row_that_cannot_be_batched_is_found_before(client: Client, gateway: LocalGateway) -> None:
    """Rows have tools and formats of their own, so each is looked at before the first job leaves."""
    rows = {"x": ["bird", "tree"], "form": [None, {"type": "json_object"}]}
    asked = [{"deployment": A, "response_format": None}, C]
    with pytest.raises(ConfigurationError, match=f"{C}: response_format is not taken in a batch of Anthropic's"):
        ask(client, asked, inputs=rows, response_format="form")
    assert not [one for one in gateway.requests() if one["path"] in ("/v1/files", "/v1/batches")]


def test_answers_asked_for_anew_are_those_that_come(client: Client, gateway: LocalGateway) -> None:
    """`fresh` beside old answers in the log: the new ones are waited for and collected, by the same cell without it,
    too; then the log holds both, and the newer is found."""
    old = ask(client, [A]).collect(wait=20)
    anew = ask(client, [A], fresh=True)
    assert (anew.pending, len(anew.runs)) == (2, 0)
    again = ask(client, [A])
    assert (again.pending, len(again.runs), len(jobs(gateway))) == (2, 0, 2)
    first = {run.run_id for run in old.runs}
    assert first.isdisjoint(run.run_id for run in anew.collect(wait=20).runs)
    assert anew.batches["status"].tolist() == ["collected"]
    assert [run.run_id for run in again.collect(wait=20).runs] == [run.run_id for run in anew.runs]
    assert [run.run_id for run in ask(client, [A]).runs] == [run.run_id for run in anew.runs]
    assert len(client.log.frame()) == 4


def test_an_answer_asked_for_anew_that_failed_is_no_old_one(client: Client, gateway: LocalGateway) -> None:
    """A fresh job whose requests fail shows that, whatever the log has from before."""
    ask(client, [A]).collect(wait=20)
    gateway.script([{"deployment": A, "status": 400, "error": {"message": "no"}}])
    anew = ask(client, [A], fresh=True).collect(wait=20).collect()
    assert anew.frame["status"].tolist() == ["error", "error"]


def test_scores_stay_when_nothing_new_is_collected(client: Client, gateway: LocalGateway) -> None:
    """`collect` once more keeps scores and judgements; of answers that came after a scoring it says so."""
    batch = ask(client, [A], score=lambda run: 1.0).collect(wait=20)
    batch.score(mine=lambda run: 0.5)
    gateway.script([{"prompt": "Question:", "text": [json.dumps({"reason": "why", "grade": "yes"})], "cost": 0.5}])
    batch.score(grade=scorers.rubric("Is it a name?", judge=A))
    before = batch.frame
    pd.testing.assert_frame_equal(batch.collect().frame, before)
    assert (before["score_mine"].tolist(), batch.judging_cost_usd) == ([0.5, 0.5], 1.0)


def test_scores_of_a_part_stay_with_it(client: Client) -> None:
    """What was scored before the rest came keeps its score; the rest says that it came later."""
    ask(client, [A], inputs={"x": ["bird"]}).collect(wait=20)
    both = ask(client, [A])
    both.score(mine=lambda run: 0.5)
    both.collect(wait=20)
    assert both.frame["score_mine"].tolist() == [0.5, pd.NA]
    assert both.frame["score_mine_error"][1] == "not judged: the answer came after the others were"


def test_a_judge_of_a_batch_keeps_within_its_money(client: Client, gateway: LocalGateway) -> None:
    """`max_cost_usd` counts judging as in single calls, less what the answers cost; `fresh` judges anew."""
    gateway.script([{"prompt": "Question:", "text": [json.dumps({"reason": "why", "grade": "yes"})], "cost": 0.5}])
    grade = scorers.rubric("Is it a name?", judge=A)
    five = {"x": ["bird", "tree", "fish", "dog", "cat"]}
    batch = ask(client, [B], inputs=five, score=grade, max_cost_usd=0.4).collect(wait=20)
    assert batch.judging_cost_usd == 0.5  # the one call that finds out whether the judge takes a schema
    assert batch.frame["score"].count() == 1
    assert batch.frame["score_error"].dropna().unique().tolist() == ["not judged: max_cost_usd is reached"]
    asked = len(gateway.requests())
    ask(client, [B], inputs={"x": ["bird"]}, score=grade)
    assert len(gateway.requests()) == asked
    ask(client, [B], inputs={"x": ["bird"]}, score=grade, fresh=True).collect(wait=20)
    assert sum(one["path"] == "/v1/chat/completions" for one in gateway.requests()) == 2


def test_the_questions_of_a_batch_are_asked_again_elsewhere(client: Client, gateway: LocalGateway) -> None:
    """`replay` of a batch's answers sends its questions without the marks of the job."""
    batch = ask(client, [A]).collect(wait=20)
    for rows in (batch, client.log.frame(deployment=A)):
        replayed = bf.replay(rows, [B], client=client)
        assert replayed.frame["status"].tolist() == ["ok", "ok"]
    sent = [one["body"] for one in gateway.requests() if one["path"] == "/v1/chat/completions"]
    assert [(one["model"], one["max_completion_tokens"]) for one in sent] == [(B, 20)] * 2
