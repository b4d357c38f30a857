"""The playground's state, without a browser: fields, request, rounds, history, code."""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Callable
from datetime import date
from typing import Any

import pandas as pd
import pytest

from bifrost_nb import Client, ConfigurationError, TemplateError, compare
from bifrost_nb._notebook.playground.playground import CODE, Playground, playground
from bifrost_nb._runs.frame import to_frame
from bifrost_nb._simulator.process import LocalGateway

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
     {"inputs": 3}, {"parameters": "max_tokens=3"}, {"fallbacks": {"a": 1}}],
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
    bundle = made._repr_mimebundle_()
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
