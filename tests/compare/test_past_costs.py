"""Costs that a process did not live to hear: the next one asks the gateway's log for them, once and in few requests."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import orjson
import pytest

from bifrost_nb import Client, RunLog, compare, replay, scorers
from bifrost_nb._compare.comparison import Comparison

from ..admin.servers import served
from ..benchmarks.log_server import LogServer

PROGRAM = """
import sys
from bifrost_nb import Client, RunLog
from tests.compare.test_past_costs import asked

asked(Client(sys.argv[1], log=RunLog(sys.argv[2])), 12)
print("answered", flush=True)
sys.stdin.read()
"""


def asked(client: Client, count: int = 12) -> Comparison:
    """One deployment, `count` inputs."""
    return compare(["openai/m"], "Say {{n}}", inputs={"n": range(count)}, client=client, stream=False)


def costless(server: LogServer, url: str, log: RunLog, count: int = 12) -> None:
    """Answers whose costs nobody heard."""
    server.route = False
    result = asked(Client(url, log=log), count)
    assert result.wait_for_costs(10) == 0
    assert result.frame["cost_usd"].isna().all()
    server.route, server.looks = True, 0


def made_older(log: RunLog, server: LogServer, days: dict[int, float]) -> None:
    """Each run, and its row, so many days back as `days` says of its place."""
    lines = [orjson.loads(line) for line in Path(str(log.path)).read_bytes().splitlines()]
    ids = [line["request_id"] for line in lines if "request_id" in line]
    back = {name: timedelta(days=days.get(place, 0)) for place, name in enumerate(ids)}

    def earlier(text: str, name: str) -> str:
        return (datetime.fromisoformat(text) - back[name]).isoformat()

    for line in lines:
        if "request_id" in line:
            line["started_at"] = earlier(line["started_at"], line["request_id"])
    for _, row in server.rows:
        row["timestamp"] = earlier(row["timestamp"], row["id"])
    Path(str(log.path)).write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))


@pytest.fixture
def server() -> LogServer:
    """Its rows come at once."""
    return LogServer(0.0)


@pytest.fixture
def url(server: LogServer) -> Iterator[str]:
    """Where it answers."""
    with served(server) as address:
        yield address


def test_a_killed_process_leaves_no_cost_unknown(tmp_path: Path) -> None:
    """Killed between answers and costs: the same comparison sends nothing, and has every cost; so has the log."""
    server, log = LogServer(4.0), RunLog(tmp_path / "runs.jsonl")
    with served(server) as url:
        command = [sys.executable, "-c", PROGRAM, url, str(log.path)]
        where = Path(__file__).parents[2]
        with subprocess.Popen(command, cwd=where, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == b"answered"
            process.kill()
        assert all(run.cost_usd is None for run in log.read(status="ok"))
        sent = len(server.rows)
        result = asked(Client(url, log=log))
        assert result.costs_awaited == 12
        assert result.wait_for_costs(20) == 0
        assert len(server.rows) == sent == 12
    assert result.frame["cost_usd"].eq(0.25).all()
    assert [run.cost_usd for run in RunLog(log.path).read(status="ok")] == [0.25] * 12


def test_old_runs_are_looked_for_where_they_lie(server: LogServer, url: str, tmp_path: Path) -> None:
    """Of three days, with a gap between each, three lists tell; what no row tells stays unknown, and is asked once."""
    log = RunLog(tmp_path / "runs.jsonl")
    costless(server, url, log)
    made_older(log, server, {place: 1.0 + place // 4 for place in range(12)})
    server.rows.pop(0)
    client = Client(url, log=log)
    result = asked(client)
    assert result.wait_for_costs(10) == 0
    assert sorted(result.frame["cost_usd"].fillna(0)) == [0.0, *[0.25] * 11]
    assert server.looks == 3
    assert server.told == 11  # nothing is read that lies between
    assert asked(client).wait_for_costs(10) == 0
    assert server.looks == 3
    found = asked(Client(url, log=log))
    assert found.wait_for_costs(10) == 0
    assert server.looks == 4


def test_new_runs_are_not_held_up_by_old_ones(server: LogServer, url: str, tmp_path: Path) -> None:
    """A resumed comparison with more inputs gets the costs of both, each where it lies."""
    log = RunLog(tmp_path / "runs.jsonl")
    costless(server, url, log, 5)
    made_older(log, server, dict.fromkeys(range(5), 40.0))
    result = asked(Client(url, log=log), 12)
    assert result.wait_for_costs(20) == 0
    assert result.frame["cost_usd"].eq(0.25).all()
    assert server.looks <= 1 + 8


@pytest.mark.parametrize("gone", ["route", "rows"])
def test_a_gateway_that_tells_nothing_is_asked_once(server: LogServer, url: str, tmp_path: Path, gone: str) -> None:
    """Without a log, or with one that was emptied, the old costs stay unknown, and only a log keeps new ones."""
    log = RunLog(tmp_path / "runs.jsonl")
    costless(server, url, log, 5)
    made_older(log, server, dict.fromkeys(range(5), 2.0))
    server.rows, server.route = [], gone == "rows"
    client = Client(url, log=log)
    began = time.monotonic()
    old = asked(client, 5)
    assert old.wait_for_costs(10) == 0
    assert time.monotonic() - began < 5
    assert old.frame["cost_usd"].isna().all()
    assert server.looks == 1
    new = asked(client, 8)
    assert new.wait_for_costs(20) == 0
    assert new.frame["cost_usd"].notna().sum() == (3 if gone == "rows" else 0)


def test_replays_find_their_costs_too(server: LogServer, url: str, tmp_path: Path) -> None:
    """A replay that is resumed asks as a comparison does."""
    log = RunLog(tmp_path / "runs.jsonl")
    costless(server, url, log, 4)
    questions = log.frame(status="ok")
    server.route = False
    replay(questions, ["openai/other"], client=Client(url, log=log)).comparison.wait_for_costs(10)
    server.route = True
    made_older(log, server, dict.fromkeys(range(8), 2.0))
    result = replay(questions, ["openai/other"], client=Client(url, log=log)).comparison
    assert result.wait_for_costs(10) == 0
    assert result.frame["cost_usd"].eq(0.25).all()


def test_a_price_of_today_is_no_cost_of_then(client: Client, gateway: object) -> None:
    """What the gateway's log has no more is not made up from its price list."""
    scored = compare(["azure/fast"], "Say {{n}}", inputs={"n": range(3)}, client=client, stream=False,
                     score=scorers.length(max=9), max_tokens=2)  # fmt: skip
    scored.wait_for_costs(10)
    lines = [orjson.loads(line) for line in Path(str(client.log.path)).read_bytes().splitlines()]
    runs = [line for line in lines if "request_id" in line]
    for number, line in enumerate(runs):
        line["request_id"] = f"long-ago-{number}"
        line["started_at"] = (datetime.fromisoformat(line["started_at"]) - timedelta(days=9)).isoformat()
        line |= dict.fromkeys(("cost_usd", "input_cost_usd", "output_cost_usd", "cost_source"))
    Path(str(client.log.path)).write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in runs))
    fresh = Client(client.base_url, log=RunLog(client.log.path))
    again = compare(["azure/fast"], "Say {{n}}", inputs={"n": range(3)}, client=fresh, stream=False, max_tokens=2)
    assert again.progress.reused == 3
    assert again.wait_for_costs(10) == 0
    assert again.frame["cost_usd"].isna().all()
