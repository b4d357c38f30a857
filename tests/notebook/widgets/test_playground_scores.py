"""The playground's scores: chosen, computed on bound rows, shown, kept, and copied as code."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import bifrost_nb as bf
from bifrost_nb import Client, ConfigurationError, scorers
from bifrost_nb._notebook.playground.playground import Playground, playground
from bifrost_nb._simulator.process import LocalGateway

ONE, OTHER = "azure/fast", "azure/large"
ROWS = [{"country": "France", "capital": "Paris"}, {"country": "Peru", "capital": "Lima"}]
RIGHT = {"capital": scorers.contains("capital")}


@pytest.fixture
def made(client: Client, gateway: LocalGateway) -> Playground:
    """Two deployments on two rows; planted: the first is right on both, the second on France only."""
    gateway.script(
        [
            {"deployment": ONE, "prompt": "France", "text": ["It is Paris."]},
            {"deployment": ONE, "prompt": "Peru", "text": ["It is Lima."]},
            {"deployment": OTHER, "text": ["It is Paris."]},
        ]
    )
    return playground([ONE, OTHER], "Capital of {{country}}?", inputs=ROWS, score=RIGHT, client=client)


def found(made: Playground, column: str) -> dict[tuple[str, str], Any]:
    """(variant, prompt) -> score."""
    frame = made.frame
    return {(f"azure/{model}", prompt[11:-1]): score for model, prompt, score in
            zip(frame["requested_model"], frame["prompt"], frame[column], strict=True)}  # fmt: skip


def test_scores_of_bound_rows(made: Playground) -> None:
    """Each answer is judged with its row; the frame, the comparison and the page hold scores and mean per variant."""
    comparison = made.run().wait(20)
    assert found(made, "score_capital") == {
        (ONE, "France"): 1, (ONE, "Peru"): 1, (OTHER, "France"): 1, (OTHER, "Peru"): 0,
    }  # fmt: skip
    assert comparison.summary().set_index("deployment")["score_capital_mean"].to_dict() == {ONE: 1.0, OTHER: 0.5}
    html = made.history[-1].html
    assert html.count("✓ capital") == 3
    assert html.count("✕ capital") == 1
    assert "0.50" in html
    assert "n = 2" in html


def test_choosing(made: Playground, gateway: LocalGateway) -> None:
    """Given scorers are chosen by column or not at all; `update` gives others; a round keeps its own."""
    made.update(score={**RIGHT, "long": lambda run: len(run.text)})
    assert made.form.scores == ("score_capital", "score_long")
    made.update(scores=["score_long"]).run().wait(20)
    assert "score_capital" not in made.frame
    assert set(made.frame["score_long"]) == {11, 12}
    made.update(scores=[]).run().wait(20)
    assert not [name for name in made.frame if name.startswith("score")]
    made.update(score=scorers.contains("Lima")).run().wait(20)
    assert made.frame["score"].sum() == 1
    made.update(score=None)
    assert "score" not in made.request
    made.restore(1)
    assert made.request["score"].keys() == {"long"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"score": 3}, "must be a function"),
        ({"score": {"a b": len}}, "cannot be the name of a score"),
        ({"score": {"": len}}, "'' cannot be the name of a score"),
        ({"scores": ["score_captial"]}, "score_capital"),
        ({"scores": 3}, "scores must be a list"),
    ],
)
def test_wrong_scores(made: Playground, change: dict[str, Any], said: str) -> None:
    """A wrong score is one error that says what to do, and changes nothing."""
    before = made.form
    with pytest.raises(ConfigurationError, match=said):
        made.update(**change)
    assert made.form is before


def test_a_missing_column(made: Playground, gateway: LocalGateway) -> None:
    """A scorer whose column the rows lack is said in the form, and nothing is sent."""
    made.update(score=scorers.exact("capitol"))
    assert made.problem is not None
    assert "Did you mean 'capital'" in made.problem
    with pytest.raises(ConfigurationError, match="capitol"):
        made.run()
    assert [one for one in gateway.requests() if one["method"] == "POST"] == []


def test_failing_and_hostile_scorers(made: Playground) -> None:
    """A scorer that fails makes an unknown score with its reason, escaped on the page; the answers stay."""

    def broken(run: bf.Run) -> float:
        raise ValueError("<img src=x onerror=alert(1)>")

    made.update(score={"broken": broken}).run().wait(20)
    assert made.frame["score_broken"].isna().all()
    assert list(made.frame["status"]) == ["ok"] * 4
    html = made.history[-1].html
    assert "<img" not in html
    assert "&lt;img" in html
    assert "broken ?" in html


def test_stop_while_judging(made: Playground) -> None:
    """Stop during judging asks no further judge; what was judged and every answer are kept."""
    begun, go_on = threading.Barrier(5), threading.Event()  # all four answers, and this test

    def slow(run: bf.Run) -> float:
        begun.wait(30)
        go_on.wait(30)
        return 1.0

    made.update(score={"slow": slow, "later": lambda run: 1.0}).run()
    begun.wait(30)
    assert made.running
    made.stop()
    while made._round is not None and not made._round._judging.stopped:
        threading.Event().wait(0.01)
    go_on.set()
    made.wait(20)
    assert list(made.frame["status"]) == ["ok"] * 4
    assert list(made.frame["score_slow"]) == [1.0] * 4
    assert set(made.frame["score_later_error"]) == {"not judged: the round was stopped"}


def test_code_with_scores(made: Playground) -> None:
    """Copied code scores the same way as it stands; a scorer of the user's own is to be defined first."""
    asked: dict[str, Any] = {}
    exec(made.code().replace("bf.compare(", "asked.update("), {"asked": asked})
    assert repr(asked["score"]) == repr(RIGHT)

    def mine(run: bf.Run) -> float:
        return 1.0

    code = made.update(score=mine).code()
    assert "# Define mine first" in code
    assert "score=mine," in code
