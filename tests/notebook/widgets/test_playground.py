"""The playground's state, without a browser: fields, request, rounds, history, code."""

from __future__ import annotations

import concurrent.futures
import io
import random
import re
import time
from collections.abc import Callable
from datetime import date
from typing import Any

import pandas as pd
import pytest
from PIL import Image
from pydantic import BaseModel

from bifrost_nb import Client, ConfigurationError, RunLog, TemplateError, compare, scorers
from bifrost_nb._notebook.playground.playground import CODE, Playground, playground
from bifrost_nb._prompts.messages import user_turn
from bifrost_nb._prompts.pictures import data_url
from bifrost_nb._runs.frame import to_frame
from bifrost_nb._simulator.process import LocalGateway
from tests.compare.test_messages import png

ONE, OTHER = "azure/fast", "azure/large"


def sent(gateway: LocalGateway) -> list[dict[str, Any]]:
    """The bodies of the completions that were asked for."""
    return [record["body"] for record in gateway.requests() if record["method"] == "POST"]


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for `condition`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def made(client: Client) -> Playground:
    """A playground with a prompt that holds a variable."""
    return playground([ONE, OTHER], "Say {{thing}}.", values={"thing": "hello"}, max_tokens=5, client=client)


def test_a_round(made: Playground, gateway: LocalGateway) -> None:
    """Run starts and returns; wait gives the comparison of what the gateway was asked; the frame has a row per call."""
    assert made.problem is None
    assert made.comparison is None
    assert list(made.frame.columns) == list(to_frame([]).columns)
    comparison = made.run().wait(20)
    assert not made.running
    assert [body["prompt"] for body in sent(gateway)] == ["Say hello."] * 2
    assert {body["max_tokens"] for body in sent(gateway)} == {5}
    assert comparison is made.comparison
    assert list(made.frame["requested_model"]) == ["fast", "large"]
    assert list(made.frame["status"]) == ["ok", "ok"]
    assert len(made.client.log.frame()) == 2


def test_the_request_is_a_comparison(made: Playground) -> None:
    """`request` holds the arguments of `compare` that ask the same: after a round they cost nothing more."""
    made.update(seed=7, stop=["\n"], repeats=2, fallbacks=["openai/gpt-3.5-turbo-instruct"])
    assert made.request == {
        "deployments": [{"deployment": ONE, "seed": 7}, {"deployment": OTHER, "seed": 7}],
        "prompt": "Say {{thing}}.",
        "inputs": [{"thing": "hello"}],
        "fallbacks": ["openai/gpt-3.5-turbo-instruct"],
        "repeats": 2,
        "max_tokens": 5,
        "stop": ["\n"],
    }
    made.run().wait(20)
    again = compare(**made.request, client=made.client)
    assert (again.progress.reused, again.progress.done) == (4, 0)


def test_chat(made: Playground, gateway: LocalGateway) -> None:
    """A chat sends the system message; text keeps it in the form and leaves it out."""
    made.update(chat=True, system="Be brief.", deployments=[ONE])
    made.run().wait(20)
    made.update(api="text").run().wait(20)
    chat, text = sent(gateway)
    assert [(turn["role"], turn["content"]) for turn in chat["messages"]] == [
        ("system", "Be brief."),
        ("user", "Say hello."),
    ]
    assert text["prompt"] == "Say hello."
    assert made.form.system == "Be brief."


def test_bound_rows(made: Playground, gateway: LocalGateway) -> None:
    """A bound frame gives each variable its column, one prompt a row; what it does not have is typed."""
    frame = pd.DataFrame({"thing": ["tea", "milk"], "price": [1, 2]})
    made.update(inputs=frame, prompt="Say {{thing}} for {{price}} {{unit}}.", values={"unit": "EUR"}, deployments=[ONE])
    assert made.problem is None
    made.run().wait(20)
    assert sorted(body["prompt"] for body in sent(gateway)) == ["Say milk for 2 EUR.", "Say tea for 1 EUR."]
    assert len(made.frame) == 2
    made.update(prompt="Say {{thing}}.")
    assert made.request["inputs"] is frame
    made.update(prompt="Say it.")
    assert "inputs" not in made.request
    assert made.form.rows(frame) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"deployments": []}, "Choose a deployment"),
        ({"deployments": ["fast"]}, "provider/model"),
        ({"prompt": " "}, "Write a prompt"),
        ({"values": {}}, r"Fill in \{\{thing\}\}"),
        ({"temperature": 9}, "temperature must be a number from 0 to 2"),
        ({"tempature": 1}, "did you mean 'temperature'"),
        ({"fallbacks": ["gpt"]}, "provider/model"),
    ],
)
def test_what_cannot_be_sent(made: Playground, gateway: LocalGateway, change: dict[str, Any], said: str) -> None:
    """The problem is said in words, and running it raises the same without sending anything."""
    made.update(**change)
    assert made.problem is not None
    with pytest.raises((ConfigurationError, TemplateError), match=said):
        made.run()
    assert sent(gateway) == []
    assert not made.running
    assert made.update(temperature=None, tempature=None, deployments=[ONE], prompt="x", fallbacks=[]).problem is None


@pytest.mark.parametrize(
    "change",
    [{"deployments": 3}, {"chat": "yes"}, {"prompt": None}, {"values": ["a"]}, {"repeats": 0}, {"repeats": True},
     {"inputs": 3}, {"parameters": "max_tokens=3"}, {"fallbacks": {"a": 1}}, {"values": pd.DataFrame({"thing": ["a"]})},
     {"parameters": {"response_format": BaseModel}}, {"settings": {ONE: {"stop": pd.Series(["a"])}}}],
)  # fmt: skip
def test_wrong_types(made: Playground, change: dict[str, Any]) -> None:
    """A field of a wrong type is one error that names it, and nothing changes."""
    before = made.form
    (name,) = change
    with pytest.raises(ConfigurationError, match=name):
        made.update(**change)
    assert made.form is before


def test_stop(made: Playground, gateway: LocalGateway) -> None:
    """Stop ends every call and keeps what had arrived; a second run is refused until then."""
    gateway.script([{"prompt": "hello", "chunks": 2000, "first_text_ms": 1, "gap_ms": 20}])
    made.update(max_tokens=None).run()
    with pytest.raises(ConfigurationError, match="running"):
        made.run()
    with pytest.raises(TimeoutError):
        made.wait(0.1)
    until(lambda: made._round is not None and all(column.characters for column in made._round.race.columns))
    made.stop()
    comparison = made.wait(20)
    assert [run.status for run in comparison.runs] == ["cancelled", "cancelled"]
    assert all(run.text for run in comparison.runs)
    assert list(made.client.log.frame()["status"]) == ["cancelled", "cancelled"]
    made.stop()
    gateway.reset()
    assert [run.status for run in made.run().wait(20).runs] == ["ok", "ok"]


def test_stopping_at_once(made: Playground, gateway: LocalGateway) -> None:
    """A stop right after run, before anything could begin, ends the round too."""
    gateway.script([{"prompt": "hello", "chunks": 2000, "gap_ms": 20}])
    made.update(max_tokens=None).run()
    made.stop()
    assert [run.status for run in made.wait(20).runs if run.status != "cancelled"] == []


def test_stopping_one(made: Playground, gateway: LocalGateway) -> None:
    """One deployment can be stopped while the other goes on to its end."""
    gateway.script([{"deployment": OTHER, "chunks": 2000, "first_text_ms": 1, "gap_ms": 20}])
    made.update(max_tokens=None).run()
    assert made._round is not None
    until(lambda: made._round is not None and made._round.race.columns[1].characters > 0)
    made._round.stop(1)
    assert {run.requested: run.status for run in made.wait(20).runs} == {ONE: "ok", OTHER: "cancelled"}


def test_failures_are_rows(made: Playground, gateway: LocalGateway) -> None:
    """A call that fails is a row of the frame and says so in the results, not an exception."""
    gateway.script([{"deployment": OTHER, "status": 400, "error": {"message": "No <b>luck</b>."}}])
    made.run().wait(20)
    assert list(made.frame["status"]) == ["ok", "error"]
    assert "No &lt;b&gt;luck&lt;/b&gt;." in made.history[-1].html


def test_values_become_what_they_are_in_every_prompt(made: Playground) -> None:
    """A value given by Python is written as `compare` writes it: a long frame whole; None is no text."""
    frame = pd.DataFrame({"n": range(500)})
    made.update(values={"thing": frame})
    assert "250" in made.request["inputs"][0]["thing"]
    assert "..." not in made.request["inputs"][0]["thing"]
    with pytest.raises(ConfigurationError, match="values: thing is None, which is no text"):
        made.update(values={"thing": None})


def test_history(made: Playground) -> None:
    """Each round is kept with its form and answers, and can be brought back."""
    made.run().wait(20)
    first = made.frame["response"].tolist()
    made.update(prompt="Now {{other}}.", values={"other": "x"}, deployments=[ONE], max_tokens=9).run().wait(20)
    assert [entry.number for entry in made.history] == [1, 2]
    assert "Say {{thing}}" in made.history[0].line
    made.restore(1)
    assert (made.form.prompt, made.form.deployments) == ("Say {{thing}}.", (ONE, OTHER))
    assert made.form.parameters == {"max_tokens": 5}
    assert made.frame["response"].tolist() == first
    with pytest.raises(ConfigurationError, match="no round 7"):
        made.restore(7)


def test_code_runs(made: Playground) -> None:
    """The Python form asks the same when it is run; the other forms show one deployment's call; none holds a key."""
    keyed = Client(made.client.base_url, virtual_key="sk-bf-0123456789abcdef", log=made.client.log)
    made.client = keyed
    made.update(temperature=0.5)
    asked: dict[str, Any] = {}
    source = made.code()
    exec(source.replace("bf.compare(", "asked.update("), {"asked": asked})
    assert asked.pop("client").base_url == keyed.base_url, "it goes to the address it was made with"
    assert asked == made.request
    for form in CODE:
        assert "0123456789abcdef" not in made.code(form)
    assert "azure/large" in made.code("magic", OTHER)
    assert "Say hello." in made.code("curl")
    with pytest.raises(ConfigurationError, match="no form"):
        made.code("cobol")
    with pytest.raises(ConfigurationError, match="not chosen"):
        made.code("curl", "azure/unknown")


def test_code_with_bound_rows(made: Playground) -> None:
    """Code of bound rows runs as it stands and asks the same; rows that have no literal are to be defined first."""
    made.update(inputs=pd.DataFrame({"thing": ["a", "b'\n"], "price": [1, 2.5]}), prompt="{{thing}} {{price}}")
    asked: dict[str, Any] = {}
    exec(made.code().replace("bf.compare(", "asked.update("), {"asked": asked})
    assert asked["inputs"] == made.inputs.to_dict("records")
    for rows in ({"thing": [date(2026, 1, 2)], "price": [1]}, {"thing": ["a"] * 201, "price": [1] * 201}):
        code = made.update(inputs=rows).code()
        assert "# Define inputs first" in code
        assert "inputs=inputs," in code


def test_names_out_of_a_frame(client: Client) -> None:
    """Deployments may be a column or an array, as in `compare`; a frame as `values` is told, not compared with none."""
    names = pd.Series([ONE, OTHER])
    assert playground(names, "Hi", client=client).form.deployments == (ONE, OTHER)
    assert playground(names.to_numpy(), "Hi", fallbacks=names, client=client).form.fallbacks == (ONE, OTHER)
    with pytest.raises(ConfigurationError, match="values must be a dict"):
        playground(names, "Hi {{a}}", values=pd.DataFrame({"a": [1]}), client=client)


def test_repeats_of_a_frame(made: Playground) -> None:
    """More calls than columns: the results show the first answers under the figures of all."""
    made.update(inputs={"thing": ["a", "b"]}, repeats=2).run().wait(20)
    assert len(made.frame) == 8
    html = made.history[-1].html
    assert "Answers to prompt 1 of 2, repeat 1 of 2" in html
    assert "8 runs: 8 done" in html


def test_shows_itself_without_widgets(made: Playground) -> None:
    """Outside a notebook it shows text and escaped HTML, and says what is chosen."""
    made.update(prompt="<img src=x onerror=alert(1)>")
    bundle, _ = made._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert "<img" not in bundle["text/html"]
    assert "azure/fast, azure/large" in repr(made)


def test_waiting_for_nothing(made: Playground) -> None:
    """Waiting before anything ran is an error with the way out, as is an unknown field."""
    with pytest.raises(ConfigurationError, match="run"):
        made.wait()
    with pytest.raises(ConfigurationError, match="Did you mean 'prompt'"):
        made.edited({"promt": "x"})


def test_from_many_threads(made: Playground) -> None:
    """Only one of many simultaneous runs starts a round; the others are told that it is running."""

    def press(_: int) -> bool:
        try:
            made.run()
        except ConfigurationError:
            return False
        return True

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        started = list(pool.map(press, range(8)))
    made.wait(20)
    assert sum(started) == len(made.history)
    assert len(made.client.log.frame()) == 2 * len(made.history)


PICTURE = png()
URL = data_url(PICTURE)


def assert_code_asks_the_same(play: Playground, gateway: LocalGateway, calls: int) -> None:
    """The code as it stands sends what the last round sent."""
    before = sent(gateway)[-calls:]
    exec(play.code(), {})
    after = sent(gateway)[-calls:]
    assert len(sent(gateway)) >= 2 * calls
    assert sorted(map(repr, after)) == sorted(map(repr, before))


def test_settings_of_a_column(made: Playground, gateway: LocalGateway) -> None:
    """A column's own settings take the place of the shared ones; the same deployment may stand there twice by name."""
    cold = {"deployment": ONE, "name": "cold", "temperature": 0, "system": "Be cold."}
    made.update(deployments=[ONE, cold, OTHER], settings={OTHER: {"max_tokens": 3, "seed": 4}}, api="chat", seed=1)
    made.update(system="Be brief.", temperature=0.5)
    assert made.request["deployments"] == [
        {"deployment": ONE, "seed": 1},
        {**cold, "seed": 1},
        {"deployment": OTHER, "max_tokens": 3, "seed": 4},
    ]
    made.run().wait(30)
    bodies = {
        (body["messages"][0]["content"], body["temperature"], body["max_completion_tokens"]) for body in sent(gateway)
    }
    assert bodies == {("Be brief.", 0.5, 5), ("Be cold.", 0, 5), ("Be brief.", 0.5, 3)}
    assert [name for name, _ in made.history[0].answers] == [ONE, "cold", OTHER]
    assert "<strong>cold</strong>" in made.history[0].html
    assert [column.facts(0).asked for column in made._round.race.columns] == [ONE, "cold", OTHER]  # type: ignore[union-attr]
    again = playground(**made.request, client=made.client)
    assert (again.request, again.form.deployments) == (made.request, (ONE, "cold", OTHER))
    assert '"temperature": 0' in made.code("curl", "cold").replace('":', '": ')
    assert_code_asks_the_same(made, gateway, 3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"settings": {ONE: {"temperature": 9}}}, "temperature must be a number from 0 to 2"),
        ({"settings": {ONE: {"tempature": 1}}}, "did you mean 'temperature'"),
        ({"settings": {ONE: {"deployment": "fast"}}}, "provider/model"),
        ({"settings": {ONE: {"schema": {"type": "object"}}}}, "schema goes for all deployments"),
        ({"turns": [{"role": "user", "content": "Hi"}], "api": "text"}, "takes no messages"),
        ({"turns": [{"role": "user", "content": "{{who}}"}]}, r"Fill in \{\{who\}\}"),
        ({"pictures": [png()], "api": "text"}, "no images"),
        ({"images": ["photo"], "deployments": ["openai/gpt-4o-mini"]}, "no column 'photo'"),
    ],
)
def test_what_cannot_be_sent_of_columns_and_turns(
    made: Playground, gateway: LocalGateway, change: dict[str, Any], said: str
) -> None:
    """The same of what a column has of its own, of earlier turns and of pictures."""
    made.update(**change)
    assert made.problem is not None
    assert re.search(said, made.problem), made.problem
    with pytest.raises((ConfigurationError, TemplateError)):
        made.run()
    assert sent(gateway) == []


@pytest.mark.parametrize(
    "change",
    [{"settings": 3}, {"settings": {ONE: 3}}, {"settings": {ONE: {"api": "fax"}}}, {"settings": {ONE: {"system": 1}}},
     {"deployments": [{"name": "x"}]}, {"deployments": [{"deployment": ONE, "name": "a"}] * 2}, {"turns": "x"},
     {"turns": [{"role": "tool", "content": "x"}]}, {"turns": [{"role": "user", "content": [{"type": "x"}]}]},
     {"turns": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "/etc/passwd"}}]}]},
     {"pictures": [b"<svg onload=alert(1)>"]}, {"pictures": ["https://example.com/a.png"]},
     {"pictures": b"x" * 100_000_000}, {"pictures": ["data:image/png;base64," + "A" * 100_000_000]},
     {"messages": [{"role": "assistant", "content": "x"}]}, {"chats": 3}, {"chats": {ONE: "x"}},
     {"chats": {ONE: [{"role": "tool", "content": "x"}]}}, {"settings": {ONE: {"history": "x"}}},
     {"deployments": [{"deployment": ONE, "history": 3}]}, {"schema": 3}, {"schema": {"type": "array"}}],
)  # fmt: skip
def test_wrong_types_of_columns_turns_and_pictures(made: Playground, change: dict[str, Any]) -> None:
    """One error, nothing changes: also of what is hostile, huge, or would be fetched or read from a disk."""
    before = made.form
    with pytest.raises(ConfigurationError) as caught:
        made.update(**change)
    assert len(str(caught.value)) < 500
    assert made.form is before


def test_a_conversation_goes_on(client: Client, gateway: LocalGateway) -> None:
    """The chosen answer becomes a turn for all; braces in it name nothing; what was typed meanwhile stays."""
    gateway.script([{"deployment": "azure/gpt-4o", "text": "Use {{x}}."}, {"text": "Other."}])
    play = playground(["openai/gpt-4o-mini", "azure/gpt-4o"], "Hi {{who}}", values={"who": "Ada"}, client=client)
    play.update(system="Be kind.", pictures=[PICTURE], max_tokens=20)
    with pytest.raises(ConfigurationError, match="no answer to go on with"):
        play.go_on()
    play.run().wait(30)
    for column, said in ((None, "Choose whose answer"), ("azure/fast", "no column of that round")):
        with pytest.raises(ConfigurationError, match=said):
            play.go_on(column)
    play.go_on("azure/gpt-4o")
    assert (play.form.prompt, play.form.pictures, len(play.form.turns)) == ("", (), 2)
    assert "Write what you say next" in str(play.problem)
    play.update(prompt="And {{who}}?").run().wait(30)
    said = [
        {"role": "system", "content": "Be kind."},
        user_turn("Hi Ada", [URL]),
        {"role": "assistant", "content": "Use {{x}}."},
        {"role": "user", "content": "And Ada?"},
    ]
    assert [body["messages"] for body in sent(gateway)[2:]] == [said, said]
    assert_code_asks_the_same(play, gateway, 2)
    again = playground(**play.request, client=client)
    assert again.request == play.request
    play.update(prompt="typed meanwhile").go_on("openai/gpt-4o-mini")
    assert (play.form.prompt, len(play.form.turns)) == ("typed meanwhile", 4)
    play.restore(1)
    assert (play.form.turns, play.form.prompt) == ((), "Hi {{who}}")


def test_each_column_keeps_its_own_conversation(client: Client, gateway: LocalGateway) -> None:
    """Each goes on with its own answer, turn after turn; the code asks the same, and one of them can be chosen."""
    gateway.script(
        [
            {"deployment": "azure/gpt-4o", "times": 1, "text": "Use {{x}}."},
            {"deployment": "openai/gpt-4o-mini", "times": 1, "text": "Other."},
        ]
    )
    both = ["openai/gpt-4o-mini", "azure/gpt-4o"]
    play = playground(both, "Hi {{who}}", values={"who": "Ada"}, system="Be kind.", max_tokens=20, client=client)
    play.update(pictures=[PICTURE]).run().wait(30)
    with pytest.raises(ConfigurationError, match="Each column goes on, or one"):
        play.go_on("azure/gpt-4o", each=True)
    play.go_on(each=True)
    assert "Write what you say next" in str(play.problem)
    play.update(prompt="And {{who}}?").run().wait(30)

    def turns(*answers: str) -> list[list[Any]]:
        first = [{"role": "system", "content": "Be kind."}, user_turn("Hi Ada", [URL])]
        last = {"role": "user", "content": "And Ada?"}
        return sorted(([*first, {"role": "assistant", "content": each}, last] for each in answers), key=repr)

    assert sorted((body["messages"] for body in sent(gateway)[2:]), key=repr) == turns("Use {{x}}.", "Other.")
    assert play.frame["prompt_id"].nunique() == 1, "still one question, whose answers are compared"
    assert_code_asks_the_same(play, gateway, 2)
    again = playground(**play.request, client=client)
    assert (again.request, again.form.chats) == (play.request, play.form.chats)
    assert compare(**play.request, client=client).progress.reused == 2
    html = play._repr_mimebundle_()[0]["text/html"]
    assert html.count("Before, with ") == 2
    second = play.history[-1].answers[0][1].text
    play.go_on("openai/gpt-4o-mini")
    assert play.form.chats == {}
    assert [turn.text for turn in play.form.turns] == ["Hi {{who}}", "Other.", "And {{who}}?", second]
    play.restore(2)
    assert set(play.form.chats) == set(both)
    assert play.update(chats={}, prompt="Anew").request["prompt"] == "Anew"


def test_rows_and_columns_each_keep_their_own(client: Client, gateway: LocalGateway) -> None:
    """Two rows before two columns are four conversations; a column without an answer is named, and nothing changes."""
    rules = [
        {"deployment": who, "prompt": f"Say {what}", "times": 1, "text": f"{what} of {who}"}
        for who in ("openai/gpt-4o-mini", "azure/gpt-4o")
        for what in ("tea", "milk")
    ]
    gateway.script(rules)
    rows = pd.DataFrame({"thing": ["tea", "milk"]})
    play = playground(["openai/gpt-4o-mini", "azure/gpt-4o"], "Say {{thing}}", inputs=rows, api="chat", client=client)
    play.run().wait(30)
    play.go_on(each=True).update(prompt="Louder.").run().wait(30)
    assert sorted(body["messages"][1]["content"] for body in sent(gateway)[4:]) == sorted(
        str(rule["text"]) for rule in rules
    )
    gateway.script([{"deployment": "azure/gpt-4o", "status": 400, "error": {"message": "no"}}])
    play.update(prompt="Again").run().wait(30)
    before = play.form
    with pytest.raises(ConfigurationError, match="2 of 2 answers of azure/gpt-4o"):
        play.go_on(each=True)
    assert play.form is before


class Invoice(BaseModel):
    """As a user of the notebook writes it."""

    number: str
    total: float


def test_typed_answers(client: Client, gateway: LocalGateway) -> None:
    """A schema is sent as the strict format; the round says who fits it, who not and why, and where they differ."""
    texts = {"openai/gpt-4o-mini": '{"number": "A1", "total": 3}', "azure/gpt-4o": '{"number": "A1", "total": 4}'}
    gateway.script([{"deployment": name, "text": text} for name, text in texts.items()])
    play = playground(list(texts), "Read {{it}}.", values={"it": "this"}, schema=Invoice, client=client)
    play.run().wait(30)
    formats = [body["response_format"]["json_schema"] for body in sent(gateway)]
    assert [(one["name"], one["strict"], sorted(one["schema"]["properties"])) for one in formats] == [
        ("Invoice", True, ["number", "total"])
    ] * 2
    assert play.frame["valid"].tolist() == [True, True]
    assert play.frame["answer_total"].tolist() == [3.0, 4.0]
    html = play.history[-1].html
    assert html.count("1 of 1 valid") == 2
    assert "Fields on which the columns differ" in html
    assert re.search(r"total.*3\.0.*4\.0", html, re.S)
    assert_code_asks_the_same(play, gateway, 2)
    assert playground(**play.request, client=client).request == play.request
    gateway.script([{"deployment": "azure/gpt-4o", "text": "<b>no json"}, {"text": texts["openai/gpt-4o-mini"]}])
    play.run().wait(30)
    html = play.history[-1].html
    assert "0 of 1 valid" in html
    assert "The answer is no JSON" in html
    assert "<b>no json" not in html
    play.update(schema=None, prompt="Hi").run().wait(30)
    assert "valid" not in play.frame
    assert "response_format" not in sent(gateway)[-1]


def test_each_row_goes_on_with_its_own_answer(client: Client, gateway: LocalGateway) -> None:
    """Of bound rows each has the answer that it got, as a column; one that failed is said."""
    gateway.script([{"prompt": "tea", "text": "T"}, {"prompt": "milk", "text": "M"}])
    rows = pd.DataFrame({"thing": ["tea", "milk"]})
    play = playground(["openai/gpt-4o-mini"], "Say {{thing}}.", inputs=rows, client=client)
    play.run().wait(30)
    play.go_on().update(prompt="Louder.").run().wait(30)
    assert sorted([turn["content"] for turn in body["messages"]] for body in sent(gateway)[2:]) == [
        ["Say milk.", "M", "Louder."],
        ["Say tea.", "T", "Louder."],
    ]
    gateway.script([{"prompt": "Again", "status": 400, "error": {"message": "no"}}])
    play.update(prompt="Again").run().wait(30)
    with pytest.raises(ConfigurationError, match="2 of 2 answers"):
        play.go_on()


def test_whole_conversations(client: Client, gateway: LocalGateway) -> None:
    """`messages` as `compare` takes them: the system message, the turns and the prompt are filled in."""
    turns = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "U"},
        {"role": "assistant", "content": "A"},
    ]
    play = playground(["openai/gpt-4o-mini"], messages=[*turns, user_turn("P", [URL])], max_tokens=5, client=client)
    assert (play.form.system, play.form.prompt, play.form.pictures) == ("S", "P", (URL,))
    play.run().wait(30)
    assert sent(gateway)[0]["messages"] == [*turns, user_turn("P", [URL])]
    for form in CODE:
        assert play.code(form)


def test_pictures_of_rows_and_of_the_prompt(client: Client, gateway: LocalGateway) -> None:
    """Both go behind the text; a deployment whose listed inputs are texts only is named before anything is sent."""
    play = playground(["openai/gpt-4o-mini"], "What?", pictures=PICTURE, max_tokens=5, client=client)
    play.update(inputs={"photo": [png("blue"), png("green")]}, images="photo").run().wait(30)
    contents = [body["messages"][0]["content"] for body in sent(gateway)]
    assert {content[1]["image_url"]["url"] for content in contents} == {data_url(png("blue")), data_url(png("green"))}
    assert {content[2]["image_url"]["url"] for content in contents} == {URL}
    assert play.form.rows(play.inputs) == 2
    play.update(inputs=None, images=()).run().wait(30)
    assert_code_asks_the_same(play, gateway, 1)


def test_versions(made: Playground) -> None:
    """Kept by name, filled in again, compared word by word; a kept prompt stays what it is."""
    assert made.keep().name == "v1"
    assert made.keep("v1") is made.versions["v1"]
    made.update(prompt="Shout {{thing}} now.", system="Be loud.")
    with pytest.raises(ConfigurationError, match="which stays"):
        made.keep("v1")
    assert str(made.diff("v1")) == "[-Say-]{+system: Be loud.\n\nuser: Shout+} {{thing}}{+ now+}."
    made.keep("loud")
    assert list(made.versions) == ["v1", "loud"]
    assert str(made.diff("loud", "v1")).count("[-") > 0
    made.use("v1")
    assert (made.form.prompt, made.form.system) == ("Say {{thing}}.", "")
    made.run().wait(20)
    html = made._repr_mimebundle_()[0]["text/html"]
    assert "prompt v1</summary>" in html
    assert "Kept prompts: v1, loud" in html
    for wrong in ("", "a\nb", "x" * 61, 3):
        with pytest.raises(ConfigurationError, match="short text"):
            made.keep(wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="Did you mean 'loud'"):
        made.use("lout")
    two = playground([ONE], {"short": "Say it.", "long": "Please say it."}, client=made.client)
    assert (list(two.versions), two.form.prompt) == (["short", "long"], "Please say it.")


def test_prompts_beside_each_other(client: Client, gateway: LocalGateway) -> None:
    """Named prompts are variants of one round: columns, scores by row, verdict, code; one alone is asked as before."""
    gateway.script([{"prompt": "Briefly", "text": ["leaf"]}, {"text": ["I would say water."]}])
    rows = {"thing": ["tea", "rain"], "of": ["leaf", "water"]}
    made = playground(
        [ONE, OTHER], {"short": "Briefly: {{thing}}?", "long": "Please, {{thing}}?"},
        inputs=rows, score=scorers.contains("of"), client=client, max_tokens=9,
    )  # fmt: skip
    compared = made.run().wait(30)
    names = [f"{name} · {template}" for name in (ONE, OTHER) for template in ("short", "long")]
    assert sorted(compared.variants) == sorted(names)
    assert [name for name, _ in made.history[-1].answers] == names
    assert compared.difference("short", "long", "score").n == 2
    html = made.history[-1].html
    assert "thing: tea, of: leaf" in html
    assert html.count("✓ score") == html.count("✕ score") == 4
    assert "Answers to each prompt, row 1 of 2" in html
    assert "prompts short, long" in made._repr_mimebundle_()[0]["text/html"]
    with pytest.raises(ConfigurationError, match="beside each other"):
        made.go_on(ONE)
    assert_code_asks_the_same(made, gateway, 8)
    made.update(prompt="Just {{thing}}.").beside("short")
    assert made.form.prompts == {"short": "Briefly: {{thing}}?", "now": "Just {{thing}}."}
    with pytest.raises(ConfigurationError, match="begin a conversation"):
        made.form.changed(turns=[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]).plan(
            client
        )
    made.update(system="Be kind.")
    with pytest.raises(ConfigurationError, match="another system message"):
        made.beside("short")
    with pytest.raises(ConfigurationError, match="Did you mean 'short'"):
        made.beside("shirt")
    made.update(system="").beside()
    assert made.run().wait(30).variants == [ONE, OTHER]
    for wrong in ({"now": "x"}, {"a": ""}, {"a": 3}, 3):
        with pytest.raises(ConfigurationError, match="templates"):
            made.update(templates=wrong)


def test_stop_ends_a_deployments_prompts(client: Client, gateway: LocalGateway) -> None:
    """Of prompts beside each other a column's Stop ends its deployment; the other's answers come."""
    gateway.script([{"deployment": ONE, "first_text_ms": 30_000}, {"text": ["Here."]}])
    made = playground([ONE, OTHER], {"a": "One.", "b": "Two."}, client=client, max_tokens=9)
    made.run()
    until(lambda: len(sent(gateway)) == 4)
    assert made._round is not None
    made._round.stop(1)
    frame = made.wait(20).frame.set_index("variant")
    assert frame["status"].to_dict() == {
        f"{ONE} · a": "cancelled", f"{ONE} · b": "cancelled", f"{OTHER} · a": "ok", f"{OTHER} · b": "ok",
    }  # fmt: skip


def test_rounds_stay_in_the_notebook(made: Playground, gateway: LocalGateway) -> None:
    """What is kept has every round with question, settings and answers, as static text; hostile text stays text."""
    assert "Each will stand here" in made._repr_mimebundle_()[0]["text/html"]
    assert "notebook" not in made._repr_mimebundle_()[0]["text/plain"]  # it may be a terminal
    gateway.script([{"text": "<img src=x onerror=alert(1)> **bold**"}])
    made.update(settings={OTHER: {"temperature": 0.25}}, values={"thing": "<script>alert(1)</script>"})
    made.update(max_tokens=None).run().wait(20)
    made.update(prompt="Second?").run().wait(20)
    bundle, kept = made._repr_mimebundle_()
    html = bundle["text/html"]
    assert html.index("#2 ·") < html.index("#1 ·")
    assert html.count("<details open") == 1
    assert html.count("<strong>bold</strong>") == 4
    assert "azure/large: temperature 0.25" in html
    assert not re.search(r"<(script|img|iframe)", html)
    assert "Second?" in bundle["text/plain"]
    rows = kept["bifrost_nb"]["runs"]
    assert {row["run_id"] for row in rows} == {run.run_id for run in made.client.log.read()}
    made.restore(1)
    html = made._repr_mimebundle_()[0]["text/html"]
    assert html.index("<details open") > html.index("#2 ·")


def test_a_notebook_is_not_flooded(made: Playground, gateway: LocalGateway) -> None:
    """The newest rounds are kept whole; older ones say where their answers are. Metadata has no picture."""
    noise = io.BytesIO()
    Image.frombytes("RGB", (450, 450), random.Random(1).randbytes(450 * 450 * 3)).save(noise, "PNG")
    made.update(deployments=["openai/gpt-4o-mini"], pictures=noise.getvalue())
    for _ in range(5):
        made.run().wait(60)
    bundle, kept = made._repr_mimebundle_()
    assert bundle["text/html"].count("<img src=") == 3
    assert bundle["text/html"].count("the run log has its answers") == 2
    assert len(repr(bundle)) < 4_000_000
    assert len(repr(kept)) < 20_000


def test_code_names_its_client(gateway: LocalGateway, log: RunLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copied code makes a client of the same gateway with the same headers, and keys from the environment."""
    keyed = Client(
        gateway.url, virtual_key="sk-bf-demo-alice", headers={"x-plain": "it's", "x-api-key": "secret-of-mine"}, log=log
    )
    code = playground([ONE], "Hi", max_tokens=2, client=keyed).code()
    assert "secret-of-mine" not in code
    assert "sk-bf-demo-alice" not in code
    assert "reads BIFROST_VIRTUAL_KEY from the environment" in code
    monkeypatch.setenv("BIFROST_VIRTUAL_KEY", "sk-bf-demo-alice")
    monkeypatch.setenv("X_API_KEY", "secret-of-mine")
    monkeypatch.setenv("BIFROST_RUN_LOG", str(log.path))
    exec(code, {})
    [record] = [one for one in gateway.requests() if one["method"] == "POST"]
    assert {name: record["headers"][name] for name in ("x-bf-vk", "x-plain", "x-api-key")} == {
        "x-bf-vk": "sk-bf-demo-alice", "x-plain": "it's", "x-api-key": "secret-of-mine",
    }  # fmt: skip
    assert "bf.Client('demo')" in playground([ONE], "Hi", client=Client("demo", log=log)).code()
