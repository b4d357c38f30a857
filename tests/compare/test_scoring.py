"""Scores of a comparison: their columns, functions of the user, interrupts, costs, and nothing judged twice."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import math
import os
import re
import signal
import sys
import threading
import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bifrost_nb import Client, ConfigurationError, LocalGateway, scorers
from bifrost_nb._compare.compare import compare
from bifrost_nb._compare.comparison import Comparison
from bifrost_nb._compare.comparison_view import as_text
from bifrost_nb._compare.identity import content_of
from bifrost_nb._compare.interrupted import ComparisonInterrupted
from bifrost_nb._display.terminal_table import shortened
from bifrost_nb._runs.columns import COLUMNS

A, B = "azure/gpt-35-turbo-instruct", "openai/gpt-3.5-turbo-instruct"
CITIES = {"country": ["France", "Spain", "Italy"], "capital": ["Paris", "Madrid", "Rome"]}


@pytest.fixture
def ask(client: Client, gateway: LocalGateway) -> Any:
    """A comparison whose first deployment knows all capitals, whose second one says Paris every time."""
    gateway.script(
        [
            *(
                {"deployment": A, "prompt": country, "text": [city]}
                for country, city in zip(*CITIES.values(), strict=True)
            ),
            {"deployment": B, "text": ["Paris"]},
        ]
    )

    def ask(**asked: Any) -> Comparison:
        given = {"deployments": [A, B], "prompt": "Capital of {{country}}?", "inputs": CITIES, "client": client}
        return compare(**{**given, "stream": False, **asked})

    return ask


def sent(gateway: LocalGateway) -> int:
    return sum(one["path"].endswith("completions") for one in gateway.requests())


def by_deployment(frame: pd.DataFrame, column: str) -> dict[str, list[Any]]:
    return {
        name: rows[column].astype(object).where(rows[column].notna(), None).tolist()
        for name, rows in frame.groupby(frame["requested_provider"] + "/" + frame["requested_model"])
    }


def test_a_score_is_three_columns(ask: Any) -> None:
    """`score=` gives score, reason and error; what is right has no reason, what is wrong says what was expected."""
    frame = ask(score=scorers.exact("capital")).frame
    assert [name for name in frame if name.startswith("score")] == ["score", "score_reason", "score_error"]
    assert str(frame["score"].dtype) == "Float64"
    assert by_deployment(frame, "score") == {A: [1, 1, 1], B: [1, 0, 0]}
    assert by_deployment(frame, "score_reason")[B] == [None, "'Paris' instead of 'Madrid'", "'Paris' instead of 'Rome'"]
    assert frame["score_error"].isna().all()
    again = ask().score(score=scorers.exact("capital")).frame  # as `compare` takes it; it was a score named score
    assert [name for name in again if name.startswith("score")] == ["score", "score_reason", "score_error"]


def test_scores_come_later_on_the_same_answers(ask: Any, gateway: LocalGateway) -> None:
    """`comparison.score` adds columns, sends no answer again, and gives back the comparison."""
    comparison = ask(score={"right": scorers.exact("capital")})
    before = gateway.requests()
    assert comparison.score(short=scorers.length(max=5), mine=lambda run, row: len(row["country"])) is comparison
    assert [one["method"] for one in gateway.requests()[len(before) :] if one["method"] == "POST"] == []
    frame = comparison.frame
    assert by_deployment(frame, "score_short")[A] == [1, 0, 1]
    assert by_deployment(frame, "score_mine")[B] == [6, 5, 5]
    scored = [f"score_{name}{end}" for name in ("right", "short", "mine") for end in ("", "_reason", "_error")]
    order = ["variant", "template", "input_id", "input_country", "input_capital", *scored]
    assert list(frame.columns) == [*(column.name for column in COLUMNS), *order]
    comparison.score(lambda run: 7)
    assert comparison.frame["score"].eq(7).all()
    comparison.score(short=scorers.length(max=1))
    assert comparison.frame["score_short"].eq(0).all(), "the same name again is judged anew"


def test_what_a_function_may_return(ask: Any) -> None:
    """Numbers and bools count, None and NaN are not judged, a Score brings reason and label, all else is an error."""
    values = {
        "int": (3, 3.0, None, None),
        "bool": (np.True_, 1.0, None, None),
        "none": (None, None, None, None),
        "nan": (float("nan"), None, None, None),
        "na": (pd.NA, None, None, None),
        "infinite": (float("inf"), None, None, "returned inf"),
        "endless": (10**400, None, None, "returned inf"),
        "short": (np.float32(0.1), 0.1, None, None),
        "text": ("0.7", None, None, "returned str, not a number"),
        "list": ([1], None, None, "returned list, not a number"),
        "score": (scorers.Score(False, reason="no total", label="wrong"), 0.0, "wrong: no total", None),
        "label": (scorers.Score(None, label="formal"), None, "formal", None),
    }
    comparison = ask(score={name: (lambda run, value=value[0]: value) for name, value in values.items()})
    first = comparison.frame.iloc[0]
    for name, (_, *expected) in values.items():
        found = [first[f"score_{name}{end}"] for end in ("", "_reason", "_error")]
        assert [None if pd.isna(one) else one for one in found] == expected, name


def test_scores_stand_in_the_comparisons_table(ask: Any) -> None:
    """Mean, interval and n of each score are columns of the table, as text and as HTML."""
    comparison = ask(score={"right": scorers.exact("capital"), "silent": lambda run: None})
    html = re.sub(r"</?span[^>]*>", "", comparison._repr_html_())  # which keep an interval together
    for shown in (repr(comparison), html):
        assert "right" in shown
        assert "1.00 (" in shown
        assert "0.33 (" in shown
        assert "n = 3" in shown
    assert "right" not in repr(ask())
    for width in (40, 80, 100):  # a terminal's: further columns stand below, behind the same first one
        told = as_text(comparison, width).splitlines()[2:]
        assert max(map(len, told)) <= max(width, 61)  # of one column beside the first
        name = shortened(A, max(24, width // 2))
        assert [sum(line.startswith(first) for line in told) for first in (name, "asked → served")] == [
            sum(not line for line in told) + 1
        ] * 2
        assert [line.split()[-1] for line in told if "tokens/s" in line] == ["tokens/s"]


def test_a_scorer_that_fails_is_said_in_the_table(ask: Any) -> None:
    """Text and HTML of the comparison say that a scorer failed for all or for some, and why, without terminal codes."""

    def some(run: Any, row: Any) -> int:
        if row["country"] == "Spain":
            raise ValueError("cannot read \x1b[31mthis<b>")
        return 1

    comparison = ask(score={"words": lambda run: "good", "some": some, "fine": lambda run: 1})
    for shown in (repr(comparison), comparison._repr_html_()):
        assert "score_words: no answer has a score: returned str, not a number" in shown
        assert "score_some: 2 answers have no score: ValueError: cannot read" in shown
        assert "score_fine:" not in shown
        assert "\x1b" not in shown
    assert "this<b>" not in comparison._repr_html_()


def test_a_scorer_that_exits_does_not_end_the_comparison(ask: Any) -> None:
    """`sys.exit` in a scorer, as in a model's code that it runs, fails its score: the answers are paid for."""

    async def later(run: Any) -> int:
        await asyncio.sleep(0)
        sys.exit(2)

    comparison = ask(score={"leaves": lambda run: sys.exit("enough"), "later": later, "fine": lambda run: 1})
    assert set(comparison.frame["score_leaves_error"]) == {"SystemExit: enough"}
    assert set(comparison.frame["score_later_error"]) == {"SystemExit: 2"}
    assert comparison.frame["score_fine"].eq(1).all()


def test_a_missing_column_is_refused_before_anything_is_sent(ask: Any, gateway: LocalGateway) -> None:
    """A scorer's column that the inputs lack is one error with the likely name, and no call was made."""
    with pytest.raises(ConfigurationError, match="capitol") as caught:
        ask(score=scorers.exact("capitol"))
    assert "Did you mean 'capital'?" in str(caught.value)
    assert sent(gateway) == 0
    with pytest.raises(ConfigurationError, match="source"):
        ask().score(grade=scorers.rubric("Is it in {{source}}?", judge="openai/gpt-4o-mini"))
    for wrong in (
        5,
        {"x": len, "x_error": len},
        {"x_reason": len},
        {"math_error": len},
        {"reason": len},
        {"a b": len},
        int,
    ):
        with pytest.raises(ConfigurationError):
            ask(score=wrong)
    with pytest.raises(ConfigurationError, match="no scorer"):
        ask().score()
    for maker in (scorers.exact, scorers.json_valid, scorers.rubric):  # each answer had an error
        with pytest.raises(ConfigurationError, match=rf"Call it: bf\.scorers\.{maker.__name__}\(\.\.\.\)"):
            ask(score=maker, fresh=True)
    with pytest.raises(ConfigurationError, match=r"not list\. Name several in a dict"):
        ask(score=[scorers.exact("capital")])


def test_failed_runs_are_not_judged(ask: Any, gateway: LocalGateway) -> None:
    """A run without an answer is not passed to the scorer and has neither score nor error."""
    gateway.script([{"deployment": B, "status": 400}])
    seen: list[str] = []
    frame = ask(score=lambda run: seen.append(run.status) or 1).frame
    assert by_deployment(frame, "score") == {A: [1, 1, 1], B: [None, None, None]}
    assert (seen, frame["score_error"].isna().all()) == (["ok"] * 3, True)


def test_functions_run_beside_each_other(ask: Any) -> None:
    """Six answers are judged at the same time by a sync function, and by an async one: all six wait for each other."""
    threads, loop_party = threading.Barrier(6), []

    def waits(run: Any) -> int:
        threads.wait(timeout=60)
        return 1

    async def waits_too(run: Any) -> int:
        loop_party.append(run)
        while len(loop_party) < 6:
            await asyncio.sleep(0.001)
        return 1

    frame = ask(score={"sync": waits, "async": waits_too}).frame
    assert frame["score_sync"].eq(1).all()
    assert frame["score_async"].eq(1).all()


def test_quick_functions_keep_to_one_thread(ask: Any) -> None:
    """Threads would cost them more than they take. A machine that stands still for 0.1 s may look like a slow one."""

    def threads() -> int:
        seen: set[int] = set()
        ask(score=lambda run: seen.add(threading.get_ident()) or 1)
        return len(seen)

    assert any(threads() == 1 for _ in range(5))


def test_what_was_judged_before_an_interrupt_is_kept(ask: Any) -> None:
    """An interrupt in the middle of judging keeps the scores there are; the others say that it was interrupted."""
    release = threading.Event()

    ended, hit = threading.Barrier(2), threading.Semaphore(1)

    def judge(run: Any, row: Any) -> int:
        if row["country"] == "Italy":
            ended.wait(20)  # both deployments' third answer
            time.sleep(0.1)  # the other four return at once
            if hit.acquire(blocking=False):
                os.kill(os.getpid(), signal.SIGINT)
            release.wait(20)
        return 1

    with pytest.raises(ComparisonInterrupted) as caught:
        ask(score={"mine": judge, "later": lambda run: 1})
    frame = caught.value.comparison.frame
    release.set()
    assert by_deployment(frame, "score_mine") == {A: [1, 1, None], B: [1, 1, None]}
    assert by_deployment(frame, "score_mine_error")[A] == [None, None, "not judged: interrupted"]
    assert "score_later" not in frame, "it had not begun"


def test_a_function_that_asks_a_model_is_not_paid_twice(ask: Any, client: Client, gateway: LocalGateway) -> None:
    """The cell run again, with its function defined anew, judges nothing again; its calls are tagged and counted."""
    gateway.script([{"text": ["Paris"], "cost": 0.25}])

    def cell(**asked: Any) -> Comparison:
        def judge(run: Any) -> float:
            return len(client.chat("openai/gpt-4o-mini", f"Grade: {run.text}").text)

        return ask(score={"own": judge}, **asked)

    first = cell()
    assert first.frame["score_own"].tolist() == [5] * 6
    assert sent(gateway) == 12
    assert first.judging_cost_usd == pytest.approx(6 * 0.25)
    assert {run.tags["judge"] for run in client.log.read(tags={"judge": "score_own"})} == {"score_own"}
    again = cell()
    assert sent(gateway) == 12
    assert again.frame["score_own"].tolist() == [5] * 6
    again.score({"own": lambda run: len(client.chat("openai/gpt-4o-mini", f"Grade: {run.text}").text)}, fresh=True)
    assert sent(gateway) == 18


def test_a_corrected_row_is_judged_anew(ask: Any, client: Client, gateway: LocalGateway) -> None:
    """The same answers against a corrected expectation: what was paid for the old one is no score of the new."""

    def judge(run: Any, row: Any) -> bool:
        client.chat("openai/gpt-4o-mini", f"Is {run.text} {row['capital']}?")
        return bool(run.text == row["capital"])

    wrong = ask(score=judge, inputs={**CITIES, "capital": ["Paris", "Barcelona", "Rome"]})
    assert by_deployment(wrong.frame, "score")[A] == [1, 0, 1]
    before = sent(gateway)
    assert by_deployment(ask(score=judge).frame, "score")[A] == [1, 1, 1]
    assert sent(gateway) == before + 2, "the row that changed, for both deployments"


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_threads_do_not_pay_twice_for_the_same_judgement(
    ask: Any, client: Client, gateway: LocalGateway, kind: str
) -> None:
    """Two threads judge the same answers by the same function: each is paid once, and both have all scores."""
    gateway.script([{"prompt": "Grade", "text": ["Paris"], "first_text_ms": 300}, {"text": ["Rome"]}])
    comparison, again = ask(), ask()
    answers = sent(gateway)

    def judge(run: Any) -> int:
        return len(client.chat("openai/gpt-4o-mini", f"Grade: {run.text}").text)

    async def judge_later(run: Any) -> int:
        return len((await client.achat("openai/gpt-4o-mini", f"Grade: {run.text}")).text)

    score = judge if kind == "plain" else judge_later
    threads = [threading.Thread(target=one.score, kwargs={"own": score}) for one in (comparison, again)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sent(gateway) == answers + 6
    for one in (comparison, again):
        assert one.frame["score_own"].tolist() == [5] * 6


def test_a_judgement_that_an_interrupt_left_is_waited_for(ask: Any, client: Client, gateway: LocalGateway) -> None:
    """The cell run again at once does not ask what its interrupted run is still asking."""
    gateway.script([{"prompt": "Grade", "text": ["Paris"], "first_text_ms": 1500}, {"text": ["Rome"]}])
    comparison = ask()
    answers = sent(gateway)
    hit = threading.Semaphore(1)

    def cell() -> Comparison:
        def judge(run: Any) -> int:
            if hit.acquire(blocking=False):
                threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
            return len(client.chat("openai/gpt-4o-mini", f"Grade: {run.text}").text)

        comparison.score(own=judge)
        return comparison

    with pytest.raises(KeyboardInterrupt):
        cell()
    assert cell().frame["score_own"].tolist() == [5] * 6
    assert sent(gateway) == answers + 6


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_judgement_that_failed_elsewhere_is_made_here(ask: Any, failure: type[BaseException]) -> None:
    """What another thread began and did not end well is waited for, and then judged by this one."""
    comparison, again, begun, go = ask(), ask(), threading.Event(), threading.Event()

    def judge(run: Any) -> int:
        if not begun.is_set():
            begun.set()
            go.wait(20)
            raise failure("broken")
        return 1

    def other() -> None:
        with contextlib.suppress(KeyboardInterrupt):
            comparison.score(own=judge)

    thread = threading.Thread(target=other)
    thread.start()
    assert begun.wait(20)
    threading.Timer(0.3, go.set).start()
    assert again.score(own=judge).frame["score_own"].tolist() == [1] * 6
    thread.join(20)


def test_a_budget_also_stops_functions_that_ask_models(ask: Any, client: Client, gateway: LocalGateway) -> None:
    """`max_cost_usd` counts what a user's function spends through our client; the rest is not judged and says so."""
    gateway.script([{"text": ["Paris"], "cost": 1.0}])
    comparison = ask(repeats=12)

    def judge(run: Any) -> int:
        client.chat("openai/gpt-4o-mini", run.run_id)
        return 1

    frame = comparison.score(own=judge, max_cost_usd=2.5).frame
    judged = int(frame["score_own"].notna().sum())
    assert 3 <= judged < 72
    assert comparison.judging_cost_usd == judged
    assert frame["score_own_error"].dropna().unique().tolist() == ["not judged: max_cost_usd is reached"]
    assert comparison.score(free=lambda run: 1, max_cost_usd=2.5).frame["score_free"].tolist() == [1] * 72


def test_two_thousand_inputs_by_four_are_scored_quickly() -> None:
    """8,000 answers by a ready scorer and a function of the user: some 0.3 s here; ten times that fails."""
    from bifrost_nb import Run
    from bifrost_nb._compare.judge_calls import JudgeCalls
    from bifrost_nb._compare.scoring import scores

    work = [(Run(response=f"answer {n % 9}", status="ok"), {"want": f"answer {n % 5}"}) for n in range(8_000)]
    calls, began = JudgeCalls(None), time.perf_counter()
    scores("score_exact", scorers.exact("want"), work, calls)
    scores("score_own", lambda run, row: run.text == row["want"], work, calls)
    took = time.perf_counter() - began
    assert [one.value for one in calls.found["score_exact"]] == [one.value for one in calls.found["score_own"]]
    assert took < 3


def test_a_row_that_differs_in_what_has_no_text_is_judged_anew(ask: Any, client: Client, gateway: LocalGateway) -> None:
    """A list with NaN, an array with NaN, a picture: only their kind was looked at, and the old score kept."""

    def judge(run: Any, row: Any) -> bool:
        return bool(client.chat("openai/gpt-4o-mini", f"Judge {run.text}.").text)

    def calls_for(value: int) -> int:
        odd = [[math.nan, value], np.array([math.nan, value]), Image.new("L", (2, 2), value)]
        before = sent(gateway)
        ask(deployments=[A], score=judge, inputs={**CITIES, "odd": odd})
        return sent(gateway) - before

    assert [calls_for(1), calls_for(1), calls_for(2)] == [3 + 3, 0, 3]


def test_equal_rows_are_judged_once_whatever_objects_they_are_made_of(
    ask: Any, client: Client, gateway: LocalGateway
) -> None:
    """One text twice or two equal texts, a set filled in another order: content without a text of its own is equal."""

    def judge(run: Any, row: Any) -> bool:
        return bool(client.chat("openai/gpt-4o-mini", f"Judge {run.text}.").text)

    def calls_for(one: str, other: str, numbers: set[int]) -> int:
        table = pd.DataFrame({"word": [one, other, None], "number": [1.0, math.nan, 2.0]})
        odd = [[one, [other], math.nan, numbers], table, np.array([one, other, math.nan], dtype=object)]
        before = sent(gateway)
        ask(deployments=[A], score=judge, inputs={**CITIES, "odd": odd})
        return sent(gateway) - before

    word, equal = ("".join(["a ", "word"]) for _ in range(2))
    assert word is not equal
    assert [calls_for(word, word, {0, 8}), calls_for(word, equal, {8, 0}), calls_for(word, "", {0})] == [3 + 3, 0, 3]


def test_a_value_that_holds_itself_is_still_told_from_others() -> None:
    """As an ordinary pickle tells it; what cannot be pickled by its type alone."""

    def digest(value: int) -> str:
        holds_itself: list[Any] = [math.nan, value]
        holds_itself.append(holds_itself)
        return content_of({"odd": holds_itself})

    assert digest(1) == digest(1) != digest(2)
    assert content_of({"odd": [math.nan, lambda: 1]}) == content_of({"odd": [math.nan, lambda: 2]})


def test_what_a_function_does_to_its_row_stays_there(ask: Any) -> None:
    """A function that tidies its row changes no input of the frame, of another function, of the user."""
    rows = [{"country": "France", "capital": " Paris ", "also": ["Lutetia", {"x": ["y"]}]}]
    given = copy.deepcopy(rows)

    def tidy(run: Any, row: Any) -> bool:
        row["capital"] = row.pop("capital").strip()
        return bool(run.text == row["capital"] and row["also"].pop(0) and row["also"][0]["x"].pop())

    frame = ask(inputs=rows, score={"tidy": tidy, "later": lambda run, row: row["capital"] == " Paris "}).frame
    assert frame["score_tidy"].tolist() == frame["score_later"].tolist() == [1, 1]
    assert frame["input_capital"].tolist() == [" Paris "] * 2
    assert rows == given


def test_a_row_that_may_be_left_out_is_given(ask: Any) -> None:
    """`row=None` says that the function can do without; another default, such as a closure's, is left alone."""

    def right(run: Any, row: Any = None) -> bool:
        return row is not None and bool(run.text == row["capital"])

    frame = ask(score={"right": right, "own": lambda run, limit=7: limit}).frame
    assert by_deployment(frame, "score_right")[A] == [1, 1, 1]
    assert frame["score_own"].tolist() == [7] * 6


def test_a_plain_function_may_return_a_coroutine(ask: Any, client: Client, gateway: LocalGateway) -> None:
    """A lambda around an async function is awaited, and what it asks is counted as a judge's calls."""

    async def grade(run: Any, scale: int) -> int:
        return scale * len((await client.achat("openai/gpt-4o-mini", f"Grade: {run.text}")).text)

    comparison = ask(deployments=[B])
    gateway.script([{"text": ["Paris"], "cost": 0.25}])
    comparison.score(own=lambda run: grade(run, 2))
    assert comparison.frame["score_own"].tolist() == [10] * 3
    assert comparison.judging_cost_usd == pytest.approx(3 * 0.25)


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "told"),
    [(Mute(), "Mute"), (asyncio.CancelledError(), "CancelledError"), (StopIteration(), "StopIteration")],
    ids=lambda each: each if isinstance(each, str) else "",
)
@pytest.mark.parametrize("kind", ["plain", "async"])
def test_an_error_without_words_is_a_score_of_its_own(ask: Any, error: BaseException, told: str, kind: str) -> None:
    """An error that cannot say itself, or is no `Exception`, ends no scoring: the answers are paid for."""
    if kind == "async" and isinstance(error, StopIteration):
        told = "RuntimeError: coroutine raised StopIteration"

    def judge(run: Any) -> int:
        if run.text == "Madrid":
            raise error
        return 1

    async def judge_later(run: Any) -> int:
        return judge(run)

    frame = ask(score=judge if kind == "plain" else judge_later).frame
    assert by_deployment(frame, "score")[A] == [1, None, 1]
    assert by_deployment(frame, "score_error")[A] == [None, told, None]
