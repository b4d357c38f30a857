"""`bf.load_curve` before real servers: planted capacities, an exact schedule, early ends."""

from __future__ import annotations

import asyncio
import math
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import matplotlib.axes
import numpy as np
import pandas as pd
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

import bifrost_nb as bf
from bifrost_nb._load.arrivals import Arrival, Step, poisson
from bifrost_nb._load.service_level import holds
from bifrost_nb._load.too_few import too_few
from bifrost_nb._simulator.process import LocalGateway
from bifrost_nb._statistics.intervals import share_interval

FAST = "azure/fast"
CALL_S = 0.05
PLACES = 2
"""A server that answers two at once in 50 ms each has room for 40 calls a second."""


async def _answer(request: Request) -> StreamingResponse:
    async def chunks(places: asyncio.Semaphore) -> object:
        async with places:
            await asyncio.sleep(CALL_S)
        yield b'data: {"object":"text_completion","choices":[{"index":0,"text":"ok","finish_reason":"stop"}]}\n\n'
        yield b"data: [DONE]\n\n"

    return StreamingResponse(chunks(request.app.state.places), media_type="text/event-stream")


@pytest.fixture
def narrow() -> Iterator[str]:
    """The address of a server with room for 40 calls a second."""
    app = Starlette(routes=[Route("/{path:path}", _answer, methods=["POST"])])
    app.state.places = asyncio.Semaphore(PLACES)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
        assert thread.is_alive()
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


def client(url: str, tmp_path: Path) -> bf.Client:
    return bf.Client(url, log=bf.RunLog(tmp_path / "runs.jsonl"))


def test_the_planted_capacity_is_found(narrow: str, tmp_path: Path) -> None:
    """Of a server with room for 40 a second 15 hold and 120 do not; waiting in its line counts, as for a user."""
    log = bf.RunLog(tmp_path / "runs.jsonl")
    curve = bf.load_curve(
        "openai/x", "Hi", rates=[5, 15, 120, 500], seconds=2, slo={"total_ms": 800}, client=bf.Client(narrow, log=log)
    )
    assert curve.rate == 15
    frame = curve.frame
    assert frame["rate_per_s"].tolist() == [5, 15, 120]
    assert frame["planned"].tolist() == [10, 30, 240]
    assert frame["good_share"].tolist()[:2] == [1.0, 1.0]
    assert frame["goodput_per_s"][2] < 60
    assert frame["total_ms_p95"][2] > 1_000
    assert (frame["good_low"] < frame["good_share"]).all()
    assert "higher rates were not tried" in frame["stopped"][2]
    assert frame["cost_usd"].isna().all()
    assert len(log.frame()) == len(curve.runs) == 280
    assert "holds 15 calls a second" in repr(curve)
    assert "At 5 and 15 calls a second too few calls were sent to tell" in repr(curve)
    assert "whether 95% are good (at 5 a second 10 of 10 were good" in repr(curve)
    assert "with total_ms ≤ 800 ms" in repr(curve)
    assert "n < 20" in repr(curve)  # of the first rate, which is no p95
    assert re.findall(r"<th [^>]*>([^<]*)", curve._repr_html_())[:2] == ["calls a second", "holds"]
    chart = curve.plot()
    assert isinstance(chart, matplotlib.axes.Axes)
    chart.figure.draw_without_rendering()
    last = chart.transData.transform((curve.frame["rate_per_s"].iloc[-1], 0))[0]
    assert chart.texts[1].get_window_extent().x1 < last  # the interval of the last rate is not written over


def test_a_slow_answer_holds_no_call_up(gateway: LocalGateway, tmp_path: Path) -> None:
    """Calls start by the schedule, not when others end: all are open at once before an answer that takes its time."""
    gateway.script([{"first_text_ms": 900, "chunks": 1}])
    curve = bf.load_curve(FAST, "Hi", rates=[60], seconds=0.5, client=client(gateway.url, tmp_path), max_tokens=2)
    runs = curve.runs
    assert len(runs) == 30
    ends = runs["started_at"] + pd.to_timedelta(runs["total_ms"].astype("float64"), unit="ms")
    assert runs["started_at"].max() < ends.min()
    assert (runs["late_ms"] >= -1).all()


def test_an_error_burst_ends_it(gateway: LocalGateway, tmp_path: Path) -> None:
    """Half of the last 20 failing stops the sending; nothing is sent again; why they failed is told, grouped."""
    gateway.script([{"status": 503}])
    curve = bf.load_curve(FAST, "Hi", rates=[100, 200], seconds=2, client=client(gateway.url, tmp_path), max_tokens=2)
    (row,) = curve.frame.to_dict("records")
    assert row["sent"] < row["planned"] == 200
    assert row["failed"] == row["sent"]
    assert "of the last 20 calls failed" in row["stopped"]
    assert curve.rate is None
    [said] = [note for note in curve.notes if " failed: " in note]
    assert said.startswith(f"At 100 calls a second {row['failed']} failed: ")
    assert "503" in said
    assert "503" in repr(curve)
    assert sum(one["method"] == "POST" for one in gateway.requests()) == row["sent"]


def test_max_open_and_the_budget_end_it(gateway: LocalGateway, tmp_path: Path) -> None:
    """What is open and what is spent have limits, and the reason is said."""
    gateway.script([{"first_text_ms": 400}])
    asked = {"seconds": 1, "client": client(gateway.url, tmp_path), "max_tokens": 2}
    curve = bf.load_curve(FAST, "Hi", rates=[60], max_open=5, **asked)
    assert "5 calls were open at once (max_open)" in curve.notes[0]
    assert len(curve.runs) == 5
    gateway.reset()
    curve = bf.load_curve(FAST, "Hi", rates=[60], max_cost_usd=1e-9, **asked)
    assert "max_cost_usd" in curve.notes[0]
    assert len(curve.runs) < 60
    assert curve.frame["holds"].isna().all(), "money says nothing of the deployment"


def test_costs_of_the_gateways_log_are_in_it(gateway: LocalGateway, tmp_path: Path) -> None:
    """A frame that is asked for at once has the costs that the log has a moment later, as that of a comparison."""
    for shown in (lambda curve: curve.frame, repr, lambda curve: curve._repr_html_()):
        curve = bf.load_curve(FAST, "Hi", rates=[40], seconds=0.5, client=client(gateway.url, tmp_path), max_tokens=2)
        assert "awaited" not in str(shown(curve))
        assert curve.frame["cost_usd"].notna().all()
        assert curve.frame["cost_usd"][0] == pytest.approx(curve.runs["cost_usd"].sum())


def test_inputs_and_chats_are_sent(gateway: LocalGateway, tmp_path: Path) -> None:
    """Rows are used in turn, a system message makes a chat, and the runs carry their place as a tag."""
    curve = bf.load_curve(
        "openai/gpt-4o-mini",
        "About {{x}}",
        rates=[10],
        seconds=0.4,
        inputs={"x": [1, 2]},
        system="Be brief about {{x}}.",
        client=client(gateway.url, tmp_path),
        max_tokens=2,
    )
    asked = [one["body"]["messages"][1]["content"] for one in gateway.requests() if one["method"] == "POST"]
    assert sorted(asked) == ["About 1", "About 1", "About 2", "About 2"]
    systems = [one["body"]["messages"][0]["content"] for one in gateway.requests() if one["method"] == "POST"]
    assert [f"Be brief about {each[-1]}." for each in asked] == systems
    assert set(curve.runs["tags"]) == {f'{{"load_curve":{number}}}' for number in range(4)}


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"headers": {"x-bf-cache-key": "load"}}, "a cache answered"),
        ({"fallbacks": ["azure/large"]}, "a fallback answered"),
    ],
)
def test_what_others_answer_is_no_load_of_the_deployment(
    gateway: LocalGateway, tmp_path: Path, how: dict, said: str
) -> None:
    """A rate at which a cache or a fallback answered does not hold, though every call was answered at once."""
    gateway.script([{"deployment": FAST, "status": 500}] if "fallbacks" in how else [])
    asked = {"rates": [20], "seconds": 0.5, "client": client(gateway.url, tmp_path), "max_tokens": 2}
    curve = bf.load_curve(FAST, "Hi", **asked, **how)
    (row,) = curve.frame.to_dict("records")
    others = row["cached"] + row["fallback"]
    assert (row["sent"], row["failed"], curve.rate) == (10, 0, None)
    assert others > 0
    assert (row["good"], row["goodput_per_s"]) == (10 - others, 2.0 * (10 - others))
    assert [said in note for note in curve.notes if "answered" in note] == [True]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rates": 5}, "rates must be calls a second"),
        ({"rates": [2, 1]}, "rates must rise"),
        ({"rates": []}, "rates must rise"),
        ({"rates": [0]}, "rates must be above 0"),
        ({"rates": [math.nan]}, "rates must be above 0"),
        ({"slo": {"latency": 5}}, "slo has no 'latency'"),
        ({"slo": {"ttft_ms": True}}, "must be above 0"),
        ({"slo": [5]}, "slo must be a dict"),
        ({"target": 95}, "target is a share"),
        ({"seconds": 0}, "seconds must be above 0"),
        ({"max_open": 0}, "max_open must be"),
        ({"retries": 2}, "sends each call once"),
        ({"rates": [1e9], "seconds": 1e9}, "load_curve sends 1,000,000 at most"),
        ({"seed": "x"}, "seed must be a whole number"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"tags": "mine"}, "tags must be a dict"),
        ({"system": "Speak {{language}}."}, "No value for"),
        ({"max_cost_usd": "1"}, "max_cost_usd must be above 0"),
        ({"client": "demo"}, "client must be a bf.Client"),
        ({"prompt": "{{x}}"}, "No value for"),
        ({"deployment": "fast"}, "provider/model"),
        ({"deployment": [FAST]}, "deployment must be text like 'azure/my-deployment', not list"),
    ],
)
def test_bad_input_sends_nothing(gateway: LocalGateway, tmp_path: Path, wrong: dict, message: str) -> None:
    """One clear error before anything is sent."""
    asked = {"deployment": FAST, "prompt": "Hi", "rates": [1], "client": client(gateway.url, tmp_path), **wrong}
    with pytest.raises(bf.BifrostError, match=message):
        bf.load_curve(**asked)
    assert not any(one["method"] == "POST" for one in gateway.requests())


def test_what_is_unknown_is_neither_good_nor_bad(gateway: LocalGateway, tmp_path: Path) -> None:
    """Answers in one piece have no gap and no speed: whether a rate holds is NA, where it was "no" of 0 % good."""
    gateway.script([{"first_text_ms": 1, "chunks": 1}])
    asked = {"rates": [60], "seconds": 0.3, "client": client(gateway.url, tmp_path), "max_tokens": 1}
    curve = bf.load_curve(FAST, "Hi", slo={"gap_max_ms": 900, "total_ms": 9_000}, **asked)
    row = curve.frame.iloc[0]
    assert row[["good_share", "goodput_per_s", "holds"]].isna().all()
    assert (row["unknown"], row["good"], curve.rate) == (18, 0, None)
    assert "unknown whether a rate holds" in repr(curve)
    assert "unknown of 18 answers whether they were good: they have no gap_max_ms." in repr(curve)
    late = bf.load_curve(FAST, "Hi", slo={"gap_max_ms": 900, "total_ms": 0.001}, **asked)
    assert not late.frame["holds"].iloc[0], "beyond one limit is not good, whatever the other figure is"


@pytest.mark.parametrize(
    ("goods", "cut", "stopped", "held"),
    [
        ([True] * 19 + [False], False, None, True),
        ([True] * 18 + [False] * 2, False, None, False),
        ([True] * 18 + [None] * 2, False, None, None),
        ([True] * 3, True, "money", None),  # as good as all could be, of a fifth of the calls
        ([True] + [False] * 2, True, "money", False),
        ([True] * 19, True, "money", True),
        ([True] * 19, False, "10 of the last 20 calls failed", False),
    ],
)
def test_a_rate_holds_where_what_is_known_decides(
    goods: list[bool | None], cut: bool, stopped: str | None, held: bool | None
) -> None:
    """Of 20 planned calls 19 are to be good: what was not sent for money, or is not known, could have been."""
    step = Step(10.0, 20, [Arrival(0.0, bf.Run())] * len(goods), stopped, cut)
    assert holds(step, goods, 0.95) is held


def test_arrivals_are_those_of_a_poisson_process() -> None:
    """Gaps have the exponential distribution's mean and spread, and the same seed gives the same times."""
    times = poisson(50, 100, np.random.default_rng(1))
    gaps = np.diff(times)
    assert len(times) == 5_000
    assert 0 <= times[0] <= times[-1] <= 100
    assert np.mean(gaps) == pytest.approx(0.02, rel=0.01)
    assert np.std(gaps) == pytest.approx(0.02, rel=0.05)
    assert times == poisson(50, 100, np.random.default_rng(1))
    assert len(poisson(0.01, 1, np.random.default_rng(1))) == 1


@pytest.mark.parametrize(("good", "sent", "words"), [(73, 73, ""), (72, 72, "73 calls can show it"), (90, 100, "")])
def test_few_calls_are_said_to_be_few(good: int, sent: int, words: str) -> None:
    """Of 95 %, 73 good calls of 73 are the fewest that show it; 90 of 100 do not tell, and what is told is not said."""
    low, high = share_interval(good, sent)
    row = {"rate_per_s": 2.0, "sent": sent, "planned": sent, "cached": 0, "good": good, "good_low": low,
           "good_high": high, "holds": good == sent}  # fmt: skip
    notes = too_few([row, {**row, "rate_per_s": 4.0}], 0.95)
    assert len(notes) == (low < 0.95 <= high)
    assert all(words in note and f"{good} of {sent}" in note for note in notes)
    assert too_few([{**row, "cached": 1}], 0.95) == []
