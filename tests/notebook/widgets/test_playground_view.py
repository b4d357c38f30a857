"""The playground's messages, read where a kernel would send them."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import comm
import comm.base_comm
import pytest
from pydantic import BaseModel

from bifrost_nb import Client, RunLog
from bifrost_nb._notebook.playground.playground import Playground, playground
from bifrost_nb._prompts.pictures import data_url
from bifrost_nb._simulator.process import LocalGateway
from tests.compare.test_messages import png
from tests.data.hostile import HOSTILE
from tests.panes import frames, text


class Place(BaseModel):
    """As a user of the notebook writes it."""

    city: str


class Wire(list[tuple[str, str, Any]]):
    """What was sent over all comms: (comm id, message type, data)."""

    def values(self, widget: Any) -> dict[str, Any]:
        """The synced values that a page knows of `widget`."""
        known: dict[str, Any] = {}
        for sender, kind, data in self:
            if sender == widget.model_id and (kind == "comm_open" or data.get("method") == "update"):
                known.update(data["state"])
        return known

    def customs(self, model_id: str) -> list[Any]:
        """The custom messages to a widget, which may be closed by now."""
        return frames(
            (data["content"], data["buffers"])
            for sender, kind, data in self
            if sender == model_id and kind == "comm_msg" and data["method"] == "custom"
        )


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """The comm layer that a kernel would supply, recording."""
    wire = Wire()

    class Recording(comm.base_comm.BaseComm):
        def publish_msg(  # type: ignore[override]
            self, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **_: Any
        ) -> None:
            wire.append((self.comm_id, msg_type, {**json.loads(json.dumps(data)), "buffers": list(buffers or ())}))

    monkeypatch.setattr(comm, "create_comm", Recording)
    return wire


@pytest.fixture
def made(wire: Wire, client: Client) -> Iterator[Playground]:
    """A playground whose form is open in a page."""
    made = playground(["azure/fast"], "Say {{a}}", max_tokens=20, client=client)
    _ = made.view
    yield made
    made.close()


def say(made: Playground, content: Any) -> None:
    """A message of the page."""
    made.view.form.comm.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})


def test_typing(wire: Wire, made: Playground) -> None:
    """What is typed is taken in and its consequences told; the page's own words are no new revision."""
    before = wire.values(made.view.form)
    assert before["told"]["variables"] == [["a", False]]
    assert "Fill in {{a}}" in before["told"]["problem"]
    say(made, {"form": {"prompt": "Say {{a}} {{b}}", "values": {"a": "1", "b": "2"}, "repeats": 3}})
    after = wire.values(made.view.form)
    assert (after["told"]["problem"], after["told"]["calls"]) == ("", 3)
    assert after["told"]["variables"] == [["a", False], ["b", False]]
    assert after["form"]["revision"] == before["form"]["revision"]
    made.update(prompt="Say it")
    assert wire.values(made.view.form)["form"]["revision"] > before["form"]["revision"]


def test_a_round(wire: Wire, made: Playground, gateway: LocalGateway) -> None:
    """Run returns at once; the race's frames come from the private loop; at the end the answers take their place."""
    gateway.script([{"prompt": "Say", "text": ["The ", "**end**."], "hold_after_chunks": 1}])
    say(made, {"form": {"values": {"a": "x"}}, "do": "run"})
    assert made.running
    assert wire.values(made.view.form)["told"]["running"] is True
    (pane,) = [child.model_id for child in made.view._live.children]
    say(made, {"do": "run"})  # a second click
    gateway.wait_for(lambda found: any(one["chunks"] for one in found), 30)
    gateway.script([])  # until here the answer was held
    made.wait(20)
    assert len(made.history) == 1
    assert text(wire.customs(pane)) == "The **end**."
    assert wire.values(made.view.form)["told"]["running"] is False
    assert wire.values(made.view.form)["history"][0][0] == 1
    assert wire.values(made.view.form)["line"] == "Done. 1 run: 1 done"
    assert "<strong>end</strong>" in wire.values(made.view._results)["value"]
    assert made.view._live.children == ()


def test_wishes(wire: Wire, made: Playground, gateway: LocalGateway) -> None:
    """Stop, restore and code do what they say."""
    gateway.script([{"prompt": "Say", "chunks": 1000, "first_text_ms": 1, "gap_ms": 20}])
    say(made, {"form": {"values": {"a": "x"}, "parameters": {}}, "do": "run"})
    say(made, {"do": "stop"})
    assert {run.status for run in made.wait(20).runs} <= {"cancelled"}
    say(made, {"form": {"prompt": "other"}})
    say(made, {"do": "restore", "number": 1})
    assert made.form.prompt == "Say {{a}}"
    gateway.script([])
    say(made, {"form": {"prompt": "other", "repeats": 2}, "do": "run"})
    made.wait(20)
    assert made.view.form.line.startswith("Done. 2 runs: 2 done")
    say(made, {"do": "restore", "number": 1})
    assert made.view.form.line.startswith("Round 1, restored. 1 run: ")  # of the answers that are shown
    say(made, {"do": "code", "as": "compare"})
    assert "bf.compare(" in wire.customs(made.view.form.model_id)[-1]["code"]


def test_a_restore_from_python(wire: Wire, made: Playground) -> None:
    """The page names the round whose answers it shows, also in a view that is made anew after the restore."""
    for prompt in ("first", "second"):
        made.update(prompt=prompt).run().wait(20)
    assert wire.values(made.view.form)["shown"] == 2
    made.restore(1)
    assert wire.values(made.view.form)["shown"] == 1
    assert made.history[0].html in made._repr_mimebundle_()[0]["text/html"]
    made.close()
    assert wire.values(made.view.form)["shown"] == 1
    assert wire.values(made.view._results)["value"] == made.history[0].html


@pytest.mark.parametrize(
    "content",
    [None, 3, "run", [], {}, {"form": 3}, {"form": {"repeats": "x"}}, {"form": {"client": 1, "history": []}},
     {"do": "restore"}, {"do": "restore", "number": True}, {"do": ["run"]}, {"do": "code"}, {"do": "code", "as": {}},
     {"form": {"turns": 3}}, {"form": {"turns": [["tool", "x", 0]]}}, {"form": {"turns": [["user", "x"]]}},
     {"do": "attach"}, {"do": "go_on"}, {"form": {"settings": {"azure/fast": 3}}},
     {"form": {"pictures": ["/etc/passwd"], "images": ["x"]}},
     {"do": "use", "name": []}, {"do": "diff", "name": {}, "to": 3}, {"do": "keep", "name": "x" * 1000},
     {"do": "beside"}, {"do": "beside", "names": [[], 3]}, {"do": "beside", "names": {}},
     {"do": "detach", "place": "x"}, {"do": "go_on", "column": ["x"]},
     {"form": {"deployments": [1]}}, {"form": {"values": {"a": {}}}, "do": "close"}, {"do": "run"}],
)  # fmt: skip
def test_nonsense_of_the_page(wire: Wire, made: Playground, gateway: LocalGateway, content: Any) -> None:
    """Whatever a page sends, nothing raises and nothing is sent; a wish that cannot be done is said."""
    say(made, content)
    assert not made.running
    assert [record for record in gateway.requests() if record["method"] == "POST"] == []
    assert made.history == []


def test_pictures_turns_and_versions_of_the_page(wire: Wire, made: Playground, gateway: LocalGateway) -> None:
    """Bytes become pictures or are refused, a turn keeps its own; prompts are kept, used and compared."""
    made.update(deployments=["openai/gpt-4o-mini"], prompt="What?")
    attach = {"method": "custom", "content": {"do": "attach"}}
    for content in (png(), b"<svg onload=alert(1)>", b"x" * 30_000_000):
        made.view.form.comm.handle_msg({"content": {"data": attach}, "buffers": [memoryview(content)]})
    assert wire.values(made.view.form)["pictures"] == [[data_url(png())]]
    assert "more than the 21 MB" in wire.values(made.view.form)["line"]
    say(made, {"do": "keep", "name": "mine"})
    say(made, {"do": "run"})
    made.wait(20)
    say(made, {"do": "go_on", "column": "openai/gpt-4o-mini"})
    assert wire.values(made.view.form)["pictures"] == [[], [data_url(png())], []]
    say(made, {"form": {"turns": [["assistant", "a", 1], ["user", "b", 0], ["user", "c", 9]]}})
    assert [len(turn.pictures) for turn in made.form.turns] == [0, 1, 0]
    say(made, {"do": "diff", "name": "mine"})
    said = wire.customs(made.view.form.model_id)[-1]
    assert said["title"] == "mine → what is filled in"
    assert {kind for kind, _ in said["diff"]} <= {"same", "added", "removed"}
    say(made, {"do": "use", "name": "mine"})
    assert (made.form.turns, made.form.pictures) == ((), (data_url(png()),))
    say(made, {"do": "detach", "place": 0})
    assert made.form.pictures == ()


def test_prompts_beside_each_other_of_the_page(wire: Wire, made: Playground) -> None:
    """Kept prompts are chosen by name and told with the count of calls; no conversation goes on from such a round."""
    say(made, {"do": "keep", "name": "short"})
    say(made, {"form": {"prompt": "Please say {{a}}", "values": {"a": "x"}, "templates": {"evil": "text"}}})
    assert made.form.templates == {}
    say(made, {"do": "beside", "names": ["short"]})
    told = wire.values(made.view.form)["told"]
    assert (told["beside"], told["calls"], told["problem"]) == (["short"], 2, "")
    say(made, {"do": "run"})
    made.wait(20)
    assert wire.values(made.view.form)["told"]["goes_on"] == []
    say(made, {"do": "beside", "names": ["nobody"]})
    assert "No prompt was kept as 'nobody'" in wire.values(made.view.form)["line"]
    say(made, {"do": "beside", "names": []})
    assert wire.values(made.view.form)["told"]["calls"] == 1


SCHEMA = '{"title": "Order", "type": "object", "properties": {"city": {"type": "string"}}}'
WRONG_SCHEMAS = {
    '{"type": "object",': "no JSON: Expecting property name enclosed in double quotes at line 1, column 19.",
    '["type"]': "The schema must be an object",
    '{"type": "array"}': "The schema must describe an object.",
    '{"type": "object", "properties": {"a": {"type": "text"}}}': "The schema is wrong at properties.a.type",
    '{"type": "object", "properties": {"a": {"$ref": "http://other/a.json"}}}': "nothing is fetched",
    '{"a":' * 100_000: "The schema cannot be read",
    '{"type": "object", "maxProperties": ' + "9" * 5_000 + "}": "The schema cannot be read",
}


def test_a_schema_is_typed(wire: Wire, made: Playground, gateway: LocalGateway) -> None:
    """What answers must look like is typed as JSON: said back, sent, restored, and written in the kept rounds."""
    gateway.script([{"text": '{"city": "Oslo"}'}])
    made.update(deployments=["openai/gpt-4o-mini"], prompt="Where?")
    say(made, {"form": {"schema": SCHEMA}})
    told = wire.values(made.view.form)["told"]
    assert (told["typed"], told["problem"]) == (["Answers are read as Order: city", ""], "")
    say(made, {"do": "run"})
    comparison = made.wait(20)
    assert comparison.frame["valid"].tolist() == [True]
    assert comparison.frame["answer_city"].tolist() == ["Oslo"]
    (body,) = [one["body"] for one in gateway.requests() if one["method"] == "POST"]
    assert body["response_format"]["json_schema"]["name"] == "Order"
    say(made, {"form": {"schema": " "}})
    assert made.form.schema is None
    assert wire.values(made.view.form)["told"]["typed"] == ["", ""]
    say(made, {"do": "restore", "number": 1})
    assert wire.values(made.view.form)["form"]["schema"] == SCHEMA
    kept = made.kept()[0]["text/html"]
    assert "Answers are read as Order" in kept
    say(made, {"do": "code", "as": "compare"})
    assert "schema={'title': 'Order'," in wire.customs(made.view.form.model_id)[-1]["code"]
    assert "&quot;city&quot;" in kept or '"city"' in kept


@pytest.mark.parametrize("text", WRONG_SCHEMAS, ids=range(len(WRONG_SCHEMAS)))
def test_a_schema_that_is_none(wire: Wire, made: Playground, gateway: LocalGateway, text: str) -> None:
    """What is no schema stays as it was typed, is said with its place, and nothing is sent until it is one."""
    made.update(deployments=["openai/gpt-4o-mini"], prompt="Where?")
    say(made, {"form": {"schema": text}, "do": "run"})
    told = wire.values(made.view.form)["told"]
    assert WRONG_SCHEMAS[text] in told["typed"][1]
    assert told["problem"] == told["typed"][1]
    assert made.form.schema == text
    assert not made.running
    assert [one for one in gateway.requests() if one["method"] == "POST"] == []
    say(made, {"form": {"schema": SCHEMA}})
    assert wire.values(made.view.form)["told"]["problem"] == ""


def test_a_schema_too_long_is_not_taken(wire: Wire, made: Playground) -> None:
    """A text of megabytes is refused in words and not kept."""
    say(made, {"form": {"schema": '"' + "x" * 2_000_000}})
    assert made.form.schema is None
    assert "2,000,001 characters, more than 1,000,000" in wire.values(made.view.form)["line"]


def test_a_model_stays_a_model(wire: Wire, made: Playground) -> None:
    """The page shows a model's JSON schema; sent back unchanged it is the model, edited it is what was typed."""
    made.update(deployments=["openai/gpt-4o-mini"], prompt="Where?", schema=Place)
    shown = wire.values(made.view.form)["form"]["schema"]
    assert json.loads(shown) == Place.model_json_schema()
    say(made, {"form": {"prompt": "And where?", "schema": shown}})
    assert made.form.schema is Place
    say(made, {"form": {"schema": shown.replace("city", "town")}})
    assert wire.values(made.view.form)["told"]["typed"][0] == "Answers are read as Place: town"


@pytest.mark.parametrize("answer", HOSTILE[::8])
def test_hostile_answers(wire: Wire, made: Playground, gateway: LocalGateway, answer: str) -> None:
    """What goes to the page as HTML is exactly what the renderer makes of the run."""
    from bifrost_nb._display.run import as_html

    gateway.script([{"prompt": "Say", "text": [answer]}])
    say(made, {"form": {"values": {"a": answer}}, "do": "run"})
    (run,) = made.wait(20).runs
    assert wire.values(made.view._results)["value"] == as_html(run)


def test_closing_lets_go(wire: Wire, client: Client) -> None:
    """Rounds leave no widget behind, and a closed playground none at all."""
    from ipywidgets.widgets import widget

    before = len(widget._instances)
    made = playground(["azure/fast"], "Hi", max_tokens=2, client=client)
    _ = made.view
    made.run().wait(20)
    alive = len(widget._instances)
    for _ in range(5):
        made.run().wait(20)
    assert len(widget._instances) == alive
    made.close()
    assert len(widget._instances) == before


def test_keys_stay_out_of_the_page(wire: Wire, client: Client, gateway: LocalGateway) -> None:
    """Keys in headers and tools are hidden on the page, in the rounds and in code; what it returns has them again."""
    key, mine = "tell-nobody-1234", "another-word-5678"
    tool = {"type": "mcp", "server_url": "https://example.com", "authorization": key}
    chat = "openai/gpt-4o-mini"
    cold = {"deployment": chat, "name": "cold", "headers": {"x-api-key": mine, "x-team": "blue"}}
    play = playground(
        [chat, cold], "Hi", headers={"x-auth-token": key}, extra={"mcp_servers": [tool]}, client=client, max_tokens=3
    )
    shown = wire.values(play.view.form)["form"]
    assert shown["settings"]["cold"]["headers"] == {"x-api-key": "[hidden]", "x-team": "blue"}
    settings = {**shown["settings"], "cold (2)": shown["settings"]["cold"]}  # as "Ask it twice" does on the page
    edited = {"prompt": "Hi you", "settings": settings, "deployments": [*shown["deployments"], "cold (2)"]}
    say(play, {"form": {**shown, **edited}})
    assert play.problem is None
    play.run().wait(20)
    sent = [one for one in gateway.requests() if one["method"] == "POST"]
    headers = [one["headers"] for one in sent]
    assert sorted(one.get("x-auth-token") or one["x-api-key"] for one in headers) == [mine, mine, key]
    assert [one["body"]["mcp_servers"][0]["authorization"] for one in sent] == [key] * 3
    everything = json.dumps(
        [*wire, play.kept(), repr(play.form), repr(play.history), *map(play.code, ("compare", "curl", "magic"))],
        default=str,
    )
    assert key not in everything
    assert mine not in everything
    assert "os.environ['X_API_KEY']" in play.code()
    play.close()


def test_a_gateway_that_is_down_is_the_reason_why_no_deployments_are_known(wire: Wire, log: RunLog) -> None:
    """The page gets the error's own words, without the key, and no empty list alone; where it answers again, none."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and listens not
        client = Client(f"http://127.0.0.1:{taken.getsockname()[1]}", virtual_key="sk-bf-down-0123456789", log=log)
        made = playground(prompt="Hi", client=client)
        _ = made.view
        end = time.monotonic() + 20
        while not wire.values(made.view.form)["missing"] and time.monotonic() < end:
            say(made, {"do": "models"})
            time.sleep(0.02)
        known = wire.values(made.view.form)
        made.close()
    assert known["models"] == []
    assert known["missing"].startswith(f"No gateway answered at {client.base_url}")
    assert "sk-bf-" not in known["missing"]
