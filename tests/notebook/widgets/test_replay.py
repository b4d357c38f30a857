"""Replaying recorded questions to other deployments: what is sent, what is compared, what is left out."""

from __future__ import annotations

import time
from typing import Any

import orjson
import pytest

from bifrost_nb import Client, ConfigurationError, RateLimited, gateway_logs
from bifrost_nb._compare.replay import replay
from bifrost_nb._prompts.pictures import data_url
from bifrost_nb._runs.frame import to_frame
from bifrost_nb._runs.log.log import RunLog
from bifrost_nb._runs.run import Run
from bifrost_nb._simulator.process import LocalGateway
from tests.thorough import thorough

from ...admin.conftest import logged
from ...compare.test_messages import png

OLD, NEW = "azure/large", "azure/fast"


def answers(gateway: LocalGateway) -> None:
    """Every deployment has an answer and a pace of its own."""
    gateway.script(
        [
            {"deployment": OLD, "text": ["The ", "old ", "answer."], "first_text_ms": 200},
            {"deployment": NEW, "text": ["The ", "new ", "answer."], "first_text_ms": 5},
        ]
    )


def test_the_question_is_sent_as_it_was(gateway: LocalGateway, client: Client) -> None:
    """Kind, messages, parameters and the form of the answer are those recorded; old fallbacks and routes are not."""
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    client.complete(OLD, "Once", max_tokens=7, temperature=0.5, fallbacks=["openai/gpt-3.5-turbo-instruct"], route="v1")
    client.chat(OLD, messages=turns, max_tokens=9)
    with client.stream(OLD, ["one", "two"], stop="\n") as stream:
        list(stream)
    gateway.reset()
    replayed = replay(client.log.frame(), [NEW], client=client, concurrency=1)
    sent = [request for request in gateway.requests() if request["method"] == "POST"]
    assert replayed.notes == []
    bodies = sorted((request["body"] for request in sent), key=lambda body: str(sorted(body)))
    chat = next(body for body in bodies if "messages" in body)
    assert (chat["messages"], chat["max_completion_tokens"], chat["model"]) == (turns, 9, NEW)
    once = next(body for body in bodies if body.get("prompt") == "Once")
    assert (once["max_tokens"], once["temperature"], once.get("fallbacks"), once.get("stream")) == (7, 0.5, None, None)
    several = next(body for body in bodies if body.get("prompt") == ["one", "two"])
    assert (several["stream"], several["stop"]) == (True, ["\n"])
    assert len(sent) == 3


def test_conversations_of_the_gateways_log(gateway: LocalGateway, client: Client) -> None:
    """Turns, pictures, calls of tools with their results, and the tools go out as they once came in."""
    chats = ("openai/gpt-4o-mini", "azure/gpt-4o")
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
    call = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
    picture = {"type": "image_url", "image_url": {"url": data_url(png())}}
    turns: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is it? {{x}}"}, picture]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": '[{"role": "user", "content": "no turn"}]'},
        {"role": "assistant", "content": "A lamp."},
        {"role": "user", "content": "And its price?"},
    ]
    client.chat(chats[0], messages=turns, tools=[tool], max_tokens=9)
    before = next(one["body"] for one in gateway.requests() if one["method"] == "POST")
    logged(client, 1)
    listed, whole = gateway_logs(client=client), gateway_logs(client=client, texts=True)
    gateway.reset()
    with pytest.raises(ConfigurationError, match=r"leaves its parameters out: take gateway_logs\(texts=True\)"):
        replay(listed, [chats[1]], client=client)  # newer gateways list neither parameters nor answers
    replayed = replay(whole[whole["request_type"] == "chat_completion"], [chats[1]], client=client)
    assert replayed.notes == []
    [sent] = [one["body"] for one in gateway.requests() if one["method"] == "POST"]
    same = ("messages", "tools", "max_completion_tokens")
    assert {name: sent.get(name) for name in same} == {name: before.get(name) for name in same}
    assert sent["model"] == chats[1]


def test_what_changed(gateway: LocalGateway, client: Client) -> None:
    """Each row tells text, cost and time before, after and changed; the summary adds costs and takes median times."""
    answers(gateway)
    old = [client.complete(OLD, f"question {number}", max_tokens=20) for number in range(3)]
    client.wait_costs(old)
    replayed = replay(client.log.frame(), [NEW], client=client)
    client.wait_costs(replayed.comparison.runs)
    frame = replayed.frame
    assert list(frame["row"]) == [0, 1, 2]
    assert set(frame["response_before"]) == {"The old answer."}
    assert set(frame["response"]) == {"The new answer."}
    assert not frame["same"].any()
    assert frame["similarity"].between(0.5, 0.99).all()
    new = {run.prompt: run for run in replayed.comparison.runs}
    for row, run in zip(frame.itertuples(), old, strict=True):
        after = new[run.prompt]
        assert row.cost_usd_change == pytest.approx(after.cost_usd - run.cost_usd)  # type: ignore[operator]
        assert row.total_ms_change == pytest.approx(after.total_ms - run.total_ms)  # type: ignore[operator]
    (row,) = replayed.summary().itertuples()
    assert (row.deployment, row.prompts, row.ok, row.same, row.cost_usd_pairs, row.total_ms_pairs) == (
        NEW,
        3,
        3,
        0,
        3,
        3,
    )
    assert row.cost_usd_change == pytest.approx(frame["cost_usd_change"].sum())
    assert row.cost_usd_change < 0
    assert row.total_ms_change == pytest.approx(frame["total_ms_change"].median())
    assert str(replayed.diff(1)) == "The [-old-]{+new+} answer."
    assert "3 of 3 answered, 0 the same" in repr(replayed)
    html = replayed._repr_html_()
    assert html.count("$") == html.count("<span>$</span>") > 3  # two dollars in one text node would become a formula
    assert "timed at another hour" in repr(replayed)
    assert "timed at another hour" in replayed._repr_html_()


def test_what_is_unknown_or_not_its_own(gateway: LocalGateway, client: Client) -> None:
    """An unknown cost, a cached time and a failed call have no change; nothing is taken as 0."""
    answers(gateway)
    gateway.script([{"deployment": NEW, "prompt": "broken", "status": 400, "error": {"message": "No."}}])
    kept = {"requested_provider": "azure", "requested_model": "large", "status": "ok", "response": "The old answer."}
    rows = [
        Run(prompt="no cost", total_ms=10.0, **kept),  # type: ignore[arg-type]
        Run(prompt="cached", total_ms=1.0, cost_usd=0.5, cache_hit=True, **kept),  # type: ignore[arg-type]
        Run(prompt="broken", total_ms=10.0, cost_usd=0.5, **kept),  # type: ignore[arg-type]
    ]
    frame = replay(rows, [NEW], client=client).frame
    assert list(frame["prompt"]) == ["no cost", "cached", "broken"]
    assert list(frame["status"]) == ["ok", "ok", "error"]
    assert list(frame["cost_usd_change"].isna()) == [True, False, True]
    assert list(frame["total_ms_change"].isna()) == [False, True, True]
    assert frame["latency_ms_change"].isna().all()


def test_why_calls_failed_is_told(gateway: LocalGateway, client: Client) -> None:
    """Grouped by reason in both forms, what a gateway says as text; nothing is said where all were answered."""
    answers(gateway)
    asked = [Run(prompt=text, response="The old answer.", status="ok") for text in ("one broken", "two broken", "fine")]
    assert "failed" not in repr(replay(asked, [NEW], client=client))
    gateway.script([{"prompt": "broken", "status": 400, "error": {"message": "No <b>such</b> thing."}}])
    replayed = replay(asked, [NEW], client=client, fresh=True)
    assert "1 of 3 answered" in repr(replayed)
    assert f"{NEW}: 2 failed: " in repr(replayed)
    assert "No <b>such</b> thing." in repr(replayed)
    page = replayed._repr_html_()
    assert "2 failed: " in page
    assert "No &lt;b&gt;such&lt;/b&gt; thing." in page


@pytest.mark.parametrize(
    ("rule", "failed"),
    [
        ({"prompt": "two", "status": 400, "error": {"message": "No <b>."}}, 1),
        ({"status": 503}, 3),
        *thorough(
            ({"prompt": "one", "silent": True}, 1),
            ({"prompt": "three", "chunks": 3, "drop": {"after_chunks": 1}}, 1),
        ),
    ],
    ids=["one", "all", "a time limit", "broken off"],
)
def test_a_failure_shows(gateway: LocalGateway, client: Client, rule: dict[str, Any], failed: int) -> None:
    """As text, HTML, table and diff, whatever failed; so does what is asked again of rows that failed."""
    rows = []
    for prompt in ("one", "two", "three"):
        with client.stream(OLD, prompt, max_tokens=5) as stream:
            list(stream)
        rows.append(stream.run)
    gateway.script([{"deployment": NEW, **rule}])
    replayed = replay(rows, [NEW], client=client, timeout=1, retries=0)
    assert int(replayed.frame["status"].ne("ok").sum()) == failed
    gateway.script([])
    for one in (replayed, replay(replayed.comparison.frame, [OLD], client=client)):
        assert "3 prompts sent again" in repr(one)
        html = one._repr_html_()
        assert "<b>." not in html
        assert one.summary()["prompts"].tolist() == [3]
        assert all(str(one.diff(row)) for row in range(3))
    assert f"{3 - failed} of 3 answered" in repr(replayed)


def test_rows_that_cannot_be_sent(gateway: LocalGateway, client: Client) -> None:
    """They are left out with the row and the reason; where none is left, nothing is sent and the error says why."""
    bad = [Run(request_type="embedding", prompt="x"), Run(prompt=None), Run(prompt="y", params={"tempature": 1})]
    replayed = replay([*bad, Run(prompt="good")], [NEW], client=client)
    assert [note.partition(": ")[0] for note in replayed.notes] == [f"row {place} was left out" for place in range(3)]
    assert "embedding" in replayed.notes[0]
    assert "'tempature' is not a parameter" in replayed.notes[2]
    assert list(replayed.frame["row"]) == [3]
    gateway.reset()
    with pytest.raises(ConfigurationError, match="embedding"):
        replay(bad[:1], [NEW], client=client)
    with pytest.raises(ConfigurationError, match="the frame has no rows"):
        replay(to_frame([]), [NEW], client=client)
    with pytest.raises(ConfigurationError, match="'request_type'"):
        replay(to_frame([]).drop(columns="request_type"), [NEW], client=client)
    with pytest.raises(ConfigurationError, match="int"):
        replay(3, [NEW], client=client)
    assert [asked for asked in gateway.requests() if asked["method"] == "POST"] == []  # a cost may still be looked up


def test_nothing_is_paid_twice(gateway: LocalGateway, client: Client) -> None:
    """The same replay again takes its answers from the run log; `fresh` sends all; new parameters are new questions."""
    rows = [Run(prompt="a"), Run(prompt="b"), Run(prompt="b")]
    first = replay(rows, [NEW, OLD], client=client)
    assert (first.comparison.progress.done, len(first)) == (6, 6)
    assert replay(rows, [NEW, OLD], client=client).comparison.progress.reused == 6
    assert replay(rows, [NEW, OLD], client=client, fresh=True).comparison.progress.done == 6
    assert replay(rows, [NEW], client=client, max_tokens=5).comparison.progress.done == 3


def test_new_parameters_replace_old_ones(gateway: LocalGateway, client: Client) -> None:
    """A limit given now replaces the recorded one under either of its names."""
    recorded = Run(request_type="chat_completion", prompt="a", params={"max_completion_tokens": 50, "temperature": 1})
    replay([recorded], [NEW], client=client, max_tokens=5)
    body = next(request["body"] for request in gateway.requests() if "chat" in request["path"])
    assert (body["max_completion_tokens"], body["temperature"]) == (5, 1)


def test_rows_of_the_gateways_log(gateway: LocalGateway, client: Client) -> None:
    """The gateway's own log can be replayed; what only a client can measure is unknown before, its own time is not."""
    from bifrost_nb._admin.api import gateway_logs

    answers(gateway)
    others = Client(gateway.url, log=RunLog(client.log.path.with_name("others.jsonl")))
    others.complete(OLD, "logged", max_tokens=20)
    others.chat(OLD, "logged too", system="Be brief.", max_tokens=20)
    end = time.monotonic() + 30
    while len(rows := gateway_logs(client=client, texts=True)) < 2:  # a row is written a moment after its answer
        assert time.monotonic() < end
    replayed = replay(rows, [NEW], client=client)
    frame = replayed.frame
    assert replayed.notes == []
    assert set(frame["response_before"]) == {"The old answer."}
    assert set(frame["before"]) == {OLD}
    assert frame["total_ms_change"].isna().all()
    assert frame["latency_ms_change"].notna().all()
    assert "of the gateway's own time" in repr(replayed)
    bodies = [request["body"] for request in gateway.requests() if request["method"] == "POST"]
    chat = next(body for body in bodies if body["model"] == NEW and "messages" in body)
    assert [turn["role"] for turn in chat["messages"]] == ["system", "user"]


def test_failed_rows_of_the_gateways_log(gateway: LocalGateway, client: Client) -> None:
    """Of a list, which tells no parameters, none is sent with made-up ones; whole rows are sent as they were."""
    chat = "openai/gpt-4o-mini"
    gateway.script([{"deployment": chat, "status": 429, "error": {"message": "slow"}}])
    others = Client(gateway.url, log=RunLog(client.log.path.with_name("others.jsonl")), retries=0)
    with pytest.raises(RateLimited):
        others.chat(chat, "cold", temperature=0.25, max_tokens=9)
    with pytest.raises(RateLimited):
        others.chat(chat, "plain")
    with pytest.raises(RateLimited), others.stream_chat(chat, "streamed") as stream:
        list(stream)
    logged(client, 3)
    listed, whole = gateway_logs(client=client), gateway_logs(client=client, texts=True)
    gateway.reset()
    with pytest.raises(ConfigurationError, match=r"3 rows .* leaves its parameters out: take gateway_logs\(texts=True"):
        replay(listed, ["azure/gpt-4o"], client=client)
    assert [one for one in gateway.requests() if one["method"] == "POST"] == []
    assert replay(whole, ["azure/gpt-4o"], client=client).notes == []
    sent = {one["body"]["messages"][0]["content"]: one["body"] for one in gateway.requests() if one["method"] == "POST"}
    assert sent.keys() == {"cold", "plain", "streamed"}
    assert (sent["cold"]["temperature"], sent["cold"]["max_completion_tokens"]) == (0.25, 9)
    assert "temperature" not in sent["plain"]
    assert [sent[name].get("stream") for name in sent] == [True if name == "streamed" else None for name in sent]


def test_attempts_at_one_request_are_asked_once(gateway: LocalGateway, client: Client) -> None:
    """The gateway's log has a row for the primary that failed and one for the fallback that answered: one question."""
    others = Client(gateway.url, log=RunLog(client.log.path.with_name("others.jsonl")), retries=0)
    others.complete("azure/always-fails", "Once", fallbacks=[OLD], max_tokens=5)
    others.complete(OLD, "Once", max_tokens=5)
    logged(client, 3)
    rows = gateway_logs(client=client, texts=True)
    replayed = replay(rows, [NEW], client=client)
    assert list(replayed.frame["row"]) == rows.index[rows["status"] == "ok"].to_list()
    assert len(replayed) == 2
    [note] = replayed.notes
    assert "another attempt at a request of these rows" in note


def test_hostile_texts_are_shown_as_text(gateway: LocalGateway, client: Client) -> None:
    """Markup in prompts and answers is escaped in the HTML; control sequences reach no view."""
    markup = "<img src=x onerror=alert(1)>\x1b[2J"
    gateway.script([{"text": [markup]}])
    replayed = replay([Run(prompt=markup, response=markup, status="ok")], [NEW], client=client)
    html = replayed._repr_html_()
    assert "<img" not in html
    assert "&lt;img src=x" in html
    assert "\x1b" not in html + repr(replayed) + repr(replayed.diff())


def test_a_frame_with_few_columns(client: Client) -> None:
    """A selection of columns is enough to ask; what it does not hold is unknown, not an error."""
    rows = to_frame([Run(prompt="a", response="b", status="ok", params=orjson.loads(b'{"max_tokens": 3}'))])
    replayed = replay(rows[["request_type", "prompt", "params"]], [NEW], client=client)
    frame = replayed.frame
    assert "cost change unknown" in replayed._repr_html_()
    assert frame.loc[0, "response"]
    assert frame[["response_before", "status_before", "cost_usd_before", "similarity"]].isna().all(axis=None)
