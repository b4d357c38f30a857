"""The same comparison on a Dask cluster: equal frames, and a lost worker costs no finished run."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pytest
from pydantic import BaseModel

from bifrost_nb import Client, ConfigurationError, LocalGateway, RunLog, Timeouts
from bifrost_nb._compare.compare import ComparisonInterrupted, compare
from bifrost_nb._compare.dask_cluster import _told
from bifrost_nb._compare.plan import without_keys
from bifrost_nb.scorers import Score
from tests import lazy

if find_spec("distributed") is None:
    pytest.skip("the extra `cluster` is not installed", allow_module_level=True)

DEPLOYMENTS = ["azure/gpt-35-turbo-instruct", "openai/gpt-3.5-turbo-instruct"]
TIMES = [
    "run_id",
    "request_id",
    "started_at",
    "queue_ms",
    "ttft_ms",
    "total_ms",
    "latency_ms",
    "tokens_per_s",
    "chunks",
]
TIMES += ["gap_p50_ms", "gap_max_ms"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two worker processes of one thread each, and their nannies."""
    local = lazy.distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=logging.CRITICAL
    )
    with local, lazy.distributed.Client(local) as client:
        yield client


def question(client: Client, prompts: int, **more: Any) -> dict[str, Any]:
    topics = {"topic": [f"topic {number}" for number in range(prompts)]}
    asked = {"prompt": "Write about {{topic}}.", "inputs": topics, "repeats": 2, "max_tokens": 4, "client": client}
    return {"deployments": DEPLOYMENTS, **asked, **more}


def sent(gateway: LocalGateway) -> Counter[tuple[str, str]]:
    """How often each (deployment, prompt) was asked for."""
    calls = [one for one in gateway.requests() if one["path"].endswith("completions")]
    return Counter((one["deployment"], one["body"]["prompt"]) for one in calls)


def test_the_frame_equals_a_local_one(cluster: Any, gateway: LocalGateway, tmp_path: Path) -> None:
    """All but clocks and random ids is equal, the log holds every run once, and each call was sent once."""
    gateway.script([{"text": "Always the same answer."}])
    here = compare(**question(Client(gateway.url, log=RunLog(tmp_path / "here.jsonl")), 20))
    assert here.wait_for_costs(20) == 0  # of rows that `reset` takes away only the price list would tell
    gateway.reset()
    gateway.script([{"text": "Always the same answer."}])
    log = RunLog(tmp_path / "there.jsonl")
    there = compare(**question(Client(gateway.url, log=log), 20, cluster=cluster))
    assert there.notes == []
    assert there.wait_for_costs(20) == 0
    frames = [one.frame.drop(columns=TIMES) for one in (here, there)]
    tags = [[orjson.loads(one) for one in frame.pop("tags")] for frame in frames]
    assert [len({tag.pop("sweep") for tag in each}) for each in tags] == [1, 1]  # measured together
    assert tags[0] == tags[1]
    pd.testing.assert_frame_equal(*frames)
    assert here.frame.dtypes.equals(there.frame.dtypes)
    assert set(sent(gateway).values()) == {2}
    assert sorted(log.frame()["run_id"]) == sorted(there.frame["run_id"])
    again = compare(**question(Client(gateway.url, log=log), 20, cluster=cluster))
    assert again.progress.reused == 80
    pd.testing.assert_frame_equal(again.frame, there.frame)


@pytest.mark.thorough
def test_a_lost_worker_loses_no_finished_run_and_repeats_none(
    cluster: Any, gateway: LocalGateway, tmp_path: Path
) -> None:
    """A worker killed in the middle: what was in the log is not sent again, all cells are answered, each once."""
    gateway.script([{"first_text_ms": 40}])
    log = RunLog(tmp_path / "runs.jsonl")
    workers = list(cluster.scheduler_info()["workers"])
    pids = cluster.run(os.getpid)
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(lambda: compare(**question(Client(gateway.url, log=log), 100, cluster=cluster)))
        end = time.monotonic() + 120
        while not (log.path and log.path.exists()) or len(log.read()) < 100:
            assert time.monotonic() < end
            time.sleep(0.02)
        os.kill(pids[workers[0]], signal.SIGKILL)
        result = job.result(120)
    assert result.missing == 0
    assert result.notes == []
    assert result.frame["status"].eq("ok").all()
    runs = log.read(status="ok")
    assert len(runs) == len({run.tags["cell"] for run in runs}) == 400
    # Sent again is only what the lost worker had open, its share of the concurrency for each deployment, and what it
    # had finished in the moment before: as much again at most.
    assert 400 <= sum(sent(gateway).values()) <= 400 + 2 * 2 * 8


def test_an_interrupt_stops_the_workers(cluster: Any, gateway: LocalGateway, tmp_path: Path) -> None:
    """What is open on the workers is cancelled and recorded, nothing more is sent, and what was answered is kept."""
    gateway.script([{"nth": [1, 2, 3, 4], "text": "Quick."}, {"first_text_ms": 60_000}])
    log = RunLog(tmp_path / "runs.jsonl")

    def press() -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end and (len(log.read()) < 4 or sum(sent(gateway).values()) < 8):
            time.sleep(0.05)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    with pytest.raises(ComparisonInterrupted) as stop:
        compare(**question(Client(gateway.url, log=log), 40, cluster=cluster))
    presser.join()
    gateway.wait_for(lambda calls: all(one["ended_at"] or one["disconnected_at"] for one in calls), 20)
    found, calls = stop.value.comparison, sum(sent(gateway).values())
    statuses = Counter(run.status for run in found.runs)
    assert statuses.keys() == {"ok", "cancelled"}
    assert statuses["ok"] == 4
    assert found.progress.cancelled == statuses["cancelled"] >= calls - 4  # some had not reached the gateway yet
    assert sorted(run.run_id for run in log.read()) == sorted(run.run_id for run in found.runs)


def test_keys_are_not_sent_to_a_cluster(cluster: Any, gateway: LocalGateway) -> None:
    """A key passed as an argument is refused in plain words, without showing it."""
    client = Client(gateway.url, virtual_key="sk-bf-planted-secret", log=RunLog(None))
    with pytest.raises(ConfigurationError, match="BIFROST_VIRTUAL_KEY") as caught:
        compare(**question(client, 2, cluster=cluster))
    assert "planted" not in str(caught.value)
    assert not sent(gateway)


def test_keys_of_tools_are_not_sent_to_a_cluster(cluster: Any, gateway: LocalGateway) -> None:
    """Nor a key for a tool's server, the same for all rows or a row's own."""
    client = Client(gateway.url, log=RunLog(None))
    tool = {
        "type": "mcp",
        "server_label": "docs",
        "server_url": "https://x.test",
        "authorization": "tkPLANTED-0123456789",
    }
    asked = {"inputs": {"n": [1, 2], "own": [[tool], None]}, "client": client, "cluster": cluster, "api": "responses"}
    for tools in ([tool], "own"):
        with pytest.raises(ConfigurationError, match="tools hold a key") as caught:
            compare(["openai/gpt-4o-mini"], "One {{n}}.", tools=tools, **asked)
        assert "PLANTED" not in str(caught.value)
    assert not sent(gateway)


def test_a_row_s_own_tools_reach_the_workers(cluster: Any, gateway: LocalGateway) -> None:
    """``tools="column"``: each call goes out with those of its row."""
    tools = [[{"type": "function", "function": {"name": f"find_{n}", "parameters": {}}}] for n in range(3)]
    inputs = {"n": [0, 1, 2], "own": tools}
    client = Client(gateway.url, log=RunLog(None))
    found = compare(["openai/gpt-4o-mini"], "{{n}}", inputs=inputs, tools="own", client=client, cluster=cluster)
    assert found.frame["status"].eq("ok").all(), found.frame["error_message"].tolist()
    calls = [one["body"] for one in gateway.requests() if one["path"].endswith("completions")]
    assert {body["messages"][0]["content"]: body["tools"] for body in calls} == {str(n): tools[n] for n in range(3)}


def test_workers_send_what_this_process_would(cluster: Any, gateway: LocalGateway, tmp_path: Path) -> None:
    """Headers, API version, retries and limits of the client, and the same identity; no key of a header travels."""
    gateway.script([{"text": "Always the same answer."}])
    sendings = []
    for more in ({}, {"cluster": cluster}):
        gateway.reset()
        client = Client(
            gateway.url,
            headers={"x-bf-eh-mode": "strict", "x-auth-token": "hdPLANTED-0123456789"},
            api_version="2024-10-21",
            timeout=Timeouts(total=33),
            retries=0,
            log=RunLog(tmp_path / f"{len(more)}.jsonl"),
        )
        entry = {"deployment": "azure/fast", "headers": {"x-api-key": "sk-PLANTED-0123456789", "x-team": "blue"}}
        found = compare([entry], "One {{n}}.", inputs={"n": [1]}, client=client, **more)
        [asked] = [one for one in gateway.requests() if one["path"].endswith("completions")]
        kept = {name: asked["headers"].get(name) for name in ("x-bf-eh-mode", "x-team")}
        sendings.append((asked["path"], asked["query"], kept, [run.tags["cell"] for run in found.runs]))
    assert sendings[0] == sendings[1]
    assert sendings[1][2] == {"x-bf-eh-mode": "strict", "x-team": "blue"}
    assert not {"x-auth-token", "x-api-key"} & asked["headers"].keys()
    assert ["x-api-key, x-auth-token" in note for note in found.notes] == [True]
    told = pickle.dumps((_told(client), without_keys(found.plan)))
    assert b"PLANTED" not in told
    assert (_told(client)["timeout"].total, _told(client)["retries"]) == (33, 0)


def test_what_a_cluster_cannot_do_is_said_before(client: Client, cluster: Any, gateway: LocalGateway) -> None:
    """A budget and a live view do not reach the workers, and another object is no cluster."""
    for wrong in ({"max_cost_usd": 1.0}, {"live": print}, {"cluster": "tcp://127.0.0.1:1"}):
        with pytest.raises(ConfigurationError):
            compare(**question(client, 2, **{"cluster": cluster, **wrong}))
    assert not sent(gateway)


def test_a_scorer_of_ones_own_runs_on_the_workers(cluster: Any, gateway: LocalGateway, tmp_path: Path) -> None:
    """Its scores, reasons and errors are those that this process gives, and each was computed by a worker."""

    def length(run: Any, row: Any) -> Any:
        if row["topic"].endswith("3"):
            raise ValueError("not this one")
        return Score(len(run.text) / 100, reason=f"{row['topic']}, {run.status}")

    gateway.script([{"text": "Always the same answer."}])
    log = RunLog(tmp_path / "runs.jsonl")
    asked = question(Client(gateway.url, log=log), 12, score={"length": length, "where": lambda run: os.getpid()})
    there = compare(**asked, cluster=cluster)
    here = compare(**asked)
    assert set(there.frame["score_where"]) <= set(cluster.run(os.getpid).values())
    assert set(here.frame["score_where"]) == {os.getpid()}
    columns = ["score_length", "score_length_reason", "score_length_error"]
    pd.testing.assert_frame_equal(there.frame[columns], here.frame[columns])
    assert there.frame["score_length_error"].notna().sum() == 4
    assert there.notes == []


def test_what_asks_a_model_or_holds_a_key_is_scored_here(cluster: Any, gateway: LocalGateway, tmp_path: Path) -> None:
    """A judge of one's own is asked once for each answer, in this process, and counted; nothing secret is pickled."""
    gateway.script([{"text": "Always the same answer."}])
    client = Client(gateway.url, log=RunLog(tmp_path / "runs.jsonl"), headers={"x-auth-token": "hdPLANTED-0123456789"})
    url, key, row_lock = gateway.url, "hdPLANTED-0123456789", threading.Lock()

    def holds_client(run: Any) -> float:
        return len(client.complete(DEPLOYMENTS[0], f"Grade {run.text}").text)

    def makes_client(run: Any) -> float:
        try:
            made = Client(url, log=RunLog(None))
            return len(made.complete(DEPLOYMENTS[0], f"Weigh {run.text}").text)
        except Exception:  # as careless people do
            return -1.0

    def holds_key(run: Any) -> float:
        return os.getpid() + len(key) * 0

    class Refuses:
        def __reduce__(self) -> Any:
            raise TypeError(f"no pickle of {key}")

    refuses = Refuses()

    def holds_one_that_tells(run: Any) -> float:
        return os.getpid() + 0 * len(str(type(refuses)))

    def holds_lock(run: Any) -> float:
        with row_lock:
            return os.getpid()

    scorers = {one.__name__: one for one in (holds_client, makes_client, holds_key, holds_one_that_tells, holds_lock)}
    found = compare(**question(client, 3, score=scorers), cluster=cluster)
    asked = [one["body"]["prompt"].split()[0] for one in gateway.requests() if one["path"].endswith("completions")]
    assert Counter(asked) == {"Write": 12, "Grade": 12, "Weigh": 12}
    assert found.frame["score_makes_client"].eq(23).all()
    assert len(found.judge_runs("score_makes_client")) == len(found.judge_runs("score_holds_client")) == 12
    assert found.frame["score_holds_key"].eq(os.getpid()).all()
    assert found.frame["score_holds_lock"].eq(os.getpid()).all()
    said = "\n".join(found.judge_notes)
    assert "score_holds_key was computed in this process: it holds a key." in said
    assert "it cannot be pickled (no pickle of [hidden])." in said
    assert "score_makes_client: 12 answers were judged in this process" in said
    assert "PLANTED" not in said


def test_an_interrupt_while_workers_score(cluster: Any, gateway: LocalGateway, tmp_path: Path) -> None:
    """What was scored by then stays, the rest says why it has no score, and no worker goes on."""
    counted = tmp_path / "scored"

    def slow(run: Any) -> float:
        with counted.open("a") as file:
            file.write("x")
        time.sleep(0.2)
        return 1.0

    def press() -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end and not (counted.exists() and len(counted.read_text()) > 25):
            time.sleep(0.02)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    with pytest.raises(ComparisonInterrupted) as stop:
        log = RunLog(tmp_path / "runs.jsonl")
        compare(**question(Client(gateway.url, log=log), 40, score=slow), cluster=cluster)
    presser.join()
    frame = stop.value.comparison.frame
    assert frame["status"].eq("ok").all()
    assert 0 < frame["score"].notna().sum() < 160
    assert frame.loc[frame["score"].isna(), "score_error"].eq("not judged: interrupted").all()
    cluster.submit(int, 1, pure=False).result(30)  # behind whatever still ran
    assert len(counted.read_text()) < 160


def test_notes_of_workers_are_redacted_here(cluster: Any, gateway: LocalGateway, tmp_path: Path) -> None:
    """A worker has no hook, and its note on a deployment that it gave up quotes the gateway."""
    gateway.script([{"status": 404, "error": {"message": "no model for anna@example.com"}}] * 200)

    def no_mail(text: str, what: str) -> str:
        return text.replace("anna@example.com", "[mail]")

    def given_up(**more: Any) -> tuple[str, bytes]:
        client = Client(gateway.url, log=RunLog(tmp_path / f"{len(more)}.jsonl"), **more)
        asked = compare(["azure/fast"], "Hi {{n}}", inputs={"n": list(range(40))}, client=client, cluster=cluster)
        [note] = [note for note in asked.notes if "was given up" in note]
        return note, pickle.dumps(asked)

    note, packed = given_up(redact=no_mail)
    assert "[mail]" in note
    assert b"anna@" not in packed
    assert "azure/fast was given up: NotFound (404)" in given_up(redact=lambda text, what: None)[0]
    assert "no model for anna@example.com" in given_up()[0]


def animal() -> type[BaseModel]:
    """As a class of a notebook, which no worker can import."""

    class Animal(BaseModel):
        name: str
        legs: int

    return Animal


def test_a_scorer_on_the_workers_reads_typed_answers(cluster: Any, gateway: LocalGateway, tmp_path: Path) -> None:
    """`run.parsed` is what the schema made of the answer, of a class of this process, too."""

    def legs(run: Any) -> float:
        return 0.5 * run.parsed.legs if run.valid else -1.0

    client = Client(gateway.url, log=RunLog(tmp_path / "runs.jsonl"))
    asked = question(client, 4, deployments=["openai/gpt-4o-mini"], schema=animal(), max_tokens=60, score=legs)
    there = compare(**asked, cluster=cluster)
    assert there.judge_notes == []
    assert there.frame["score"].tolist() == (0.5 * there.frame["answer_legs"]).tolist()


def test_no_more_calls_are_open_than_was_asked_for(cluster: Any, gateway: LocalGateway, tmp_path: Path) -> None:
    """`concurrency=1` is one call at a time, however many workers there are."""
    gateway.script([{"first_text_ms": 100}])
    client = Client(gateway.url, log=RunLog(tmp_path / "runs.jsonl"))
    compare(**question(client, 8, concurrency=1, repeats=1, deployments=DEPLOYMENTS[:1], cluster=cluster))
    times = sorted((one["received_at"], one["ended_at"]) for one in gateway.requests() if "completions" in one["path"])
    assert len(times) == 8
    assert all(ended <= began for (_, ended), (began, _) in pairwise(times))
