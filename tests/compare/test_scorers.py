"""The scorers of `bifrost_nb.scorers`, each on answers whose score is known."""

from __future__ import annotations

import math
import os
import re
import signal
import threading
import time
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bifrost_nb as bf
from bifrost_nb import ConfigurationError, Run, scorers
from bifrost_nb._compare import bounded_search

NA = None


def run(text: str = "", **fields: Any) -> Run:
    return Run(response=text, status="ok", **fields)


def tool(name: str, arguments: str) -> Run:
    return run("", tool_calls=[{"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}}])


CASES: list[tuple[scorers.Scorer, Run, dict[str, Any], float | None]] = [
    (scorers.exact("want"), run(" Paris\n"), {"want": "Paris"}, 1),
    (scorers.exact("want"), run("paris"), {"want": "Paris"}, 0),
    (scorers.exact("want", ignore_case=True), run("paris"), {"want": "Paris"}, 1),
    (scorers.exact("want"), run("Paris."), {"want": "Paris"}, 0),
    (scorers.exact("want"), run("42"), {"want": np.int64(42)}, 1),
    (scorers.exact("want"), run("b"), {"want": ["a", "b"]}, 1),
    (scorers.exact("want"), run("b"), {"want": np.nan}, NA),
    (scorers.exact("want"), run("b"), {"want": pd.NA}, NA),
    (scorers.exact("want"), run("b"), {"want": None}, NA),
    (scorers.contains("must"), run("We refund you."), {"must": "refund"}, 1),
    (scorers.contains("must"), run("We refund you."), {"must": ["refund", "sorry"]}, 0),
    (scorers.contains("must"), run("We refund you."), {"must": ["refund", None, float("nan")]}, 1),
    (scorers.exact("want"), run("nan"), {"want": ["a", float("nan")]}, 0),
    (scorers.exact("want"), run("None"), {"want": [None]}, NA),
    (scorers.contains("must"), run("we must"), {}, 1),  # no such column: the text itself
    (scorers.contains("Must", ignore_case=True), run("we must"), {}, 1),
    (scorers.contains("must"), run("anything"), {"must": None}, NA),
    (scorers.exact("want"), run("Cafe\u0301\r\nau lait"), {"want": "Caf\u00e9\nau lait"}, 1),  # looks the same
    (scorers.contains("must"), run("the Cafe\u0301"), {"must": "Caf\u00e9"}, 1),
    (scorers.fields("want"), run('{"a": "Cafe\u0301"}'), {"want": {"a": "Caf\u00e9"}}, 1),
    (scorers.exact("want"), run("5"), {"want": 5.0}, 1),  # a column of whole numbers in which one is missing
    (scorers.exact("want"), run("5.0"), {"want": 5.0}, 1),
    (scorers.exact("want"), run("5"), {"want": [4.0, 5.0]}, 1),
    (scorers.exact("want"), run("5"), {"want": 5.5}, 0),
    (scorers.contains("must"), run("all 5 of them"), {"must": 5.0}, 1),
    (scorers.fields({"total": "t"}), run('{"total": 1.1}'), {"t": Decimal("1.10")}, 1),
    (scorers.fields({"total": "t"}), run('{"total": 0.1}'), {"t": np.float32(0.1)}, 1),
    (scorers.fields({"total": "t"}), run('{"total": null}'), {"t": Decimal("NaN")}, 1),
    (scorers.fields({"on": "d"}), run('{"on": "2026-11-30"}'), {"d": pd.Timestamp("2026-11-30")}, 1),
    (scorers.fields({"on": "d"}), run('{"on": "2026-11-30"}'), {"d": date(2026, 11, 30)}, 1),
    (scorers.fields({"on": "d"}), run('{"on": "2026-11-29"}'), {"d": date(2026, 11, 30)}, 0),
    (scorers.fields({"at": "d"}), run('{"at": "2026-11-30T01:00:00+01:00"}'), {"d": pd.Timestamp("2026-11-30")}, 1),
    (scorers.fields("want"), run('{"a": null, "b": [1.5]}'), {"want": {"a": np.nan, "b": [Decimal("1.5")]}}, 1),
    (scorers.called("f", on="d"), tool("f", '{"on": "2026-11-30"}'), {"d": date(2026, 11, 30)}, 1),
    (scorers.regex(r"\d{4}-\d\d"), run("on 2026-11"), {}, 1),
    (scorers.regex(r"^\d+$"), run("about 7"), {}, 0),
    (scorers.number("n"), run("First 3, so the answer is 1,234.5."), {"n": 1234.5}, 1),
    (scorers.number("n"), run("It is -7"), {"n": "-7"}, 1),
    (scorers.number("n"), run("It is \u22127"), {"n": -7}, 1),
    (scorers.number("n"), run("1e3"), {"n": 1000}, 1),
    (scorers.number("n"), run("some"), {"n": 1}, 0),
    (scorers.number("n"), run("101"), {"n": 100}, 0),
    (scorers.number("n", rel=0.01), run("101"), {"n": 100}, 1),
    (scorers.number("n", abs=0.5), run("0.4"), {"n": 0}, 1),
    (scorers.number("n"), run("gpt-4 says 5"), {"n": np.float64(5)}, 1),
    (scorers.number("n"), run("5"), {"n": math.nan}, NA),
    (scorers.number("n"), run("Es sind 1.234,50 Euro."), {"n": 1234.5}, 1),
    (scorers.number("n"), run("Es sind 1.234,50 Euro."), {"n": 50}, NA),  # or two numbers without a blank
    (scorers.number("n"), run("Es sind 1.234,50 Euro."), {"n": 7}, 0),
    (scorers.number("n"), run("1234.5"), {"n": "1.234,50"}, 1),
    (scorers.number("n"), run("3,14"), {"n": 3.14}, 1),
    (scorers.number("n"), run("0,500"), {"n": 0.5}, 1),
    (scorers.number("n"), run("1,2,3"), {"n": 3}, 1),
    (scorers.number("n"), run("1.234"), {"n": 1.234}, 1),
    (scorers.number("n"), run("1.234"), {"n": 1234}, NA),
    (scorers.number("n"), run("1,234"), {"n": 1.234}, NA),
    (scorers.number("n"), run("1.234.567"), {"n": 1234567}, 1),
    (scorers.number("n"), run("1'234.50"), {"n": 1234.5}, 1),
    (scorers.number("n"), run("12\u202f345,5"), {"n": 12345.5}, 1),
    (scorers.number("n"), run("12 345"), {"n": 12345}, NA),
    (scorers.number("n"), run("12,34,567"), {"n": 1234567}, 1),
    (scorers.number("n"), run(r"$1{,}234.5$"), {"n": 1234.5}, 1),
    (scorers.number("n"), run("2.5 × 10^6"), {"n": 2.5e6}, 1),
    (scorers.number("n"), run(r"2.5 \times 10^{-3}"), {"n": 0.0025}, 1),
    (scorers.number("n"), run("6.02×10²³"), {"n": 6.02e23}, 1),
    (scorers.number("n"), run("3 x 10"), {"n": 10}, 1),
    (scorers.number("n"), run("-$5"), {"n": -5}, 1),
    (scorers.number("n"), run("€1.234,50"), {"n": 1234.5}, 1),
    (scorers.number("n"), run("50%"), {"n": 50}, 1),
    (scorers.number("n"), run("50 %"), {"n": 0.5}, NA),
    (scorers.number("n"), run("5 million people"), {"n": 5e6}, NA),
    (scorers.number("n"), run("5 millions"), {"n": 5}, 1),
    (scorers.number("n"), run("5k"), {"n": 5000}, NA),
    (scorers.number("n"), run("1.2.3"), {"n": 1.2}, 0),
    (scorers.json_valid(), run(' {"a": [1]} '), {}, 1),
    (scorers.json_valid(), run("{'a': 1}"), {}, 0),
    (scorers.json_valid(), run('{"a": NaN}'), {}, 0),
    (scorers.json_valid(), run('```json\n{"a": 1}\n```'), {}, 0),
    (scorers.json_valid(fenced=True), run('```json\n{"a": 1}\n```'), {}, 1),
    (scorers.json_valid(), run("[" * 100_000), {}, 0),
    (scorers.fields("want"), run('{"total": 12.0, "currency": "EUR "}'), {"want": {"total": 12, "currency": "EUR"}}, 1),
    (scorers.fields("want"), run('{"total": 12}'), {"want": '{"total": 12, "currency": "EUR"}'}, 0.5),
    (scorers.fields("want"), run("no"), {"want": {"total": 12}}, 0),
    (scorers.fields("want"), run("[1]"), {"want": {"total": 12}}, 0),
    (scorers.fields("want"), run('{"ok": true}'), {"want": {"ok": 1}}, 0),  # true is no number
    (scorers.fields("want"), run("{}"), {"want": None}, NA),
    (
        scorers.fields({"a.city": "city", "kind": "x"}),
        run('{"a": {"city": "Bonn"}, "k": "y"}'),
        {"city": "Bonn"},
        0.5,
    ),
    (scorers.called("weather"), tool("weather", "{}"), {}, 1),
    (scorers.called("weather", city="place"), tool("weather", '{"city": "Bonn", "days": 2}'), {"place": "Bonn"}, 1),
    (scorers.called("weather", city="Rome"), tool("weather", '{"city": "Bonn"}'), {}, 0),
    (scorers.called("weather", days=2), tool("weather", '{"days": 2'), {}, 0),
    (scorers.called("weather"), tool("news", "{}"), {}, 0),
    (scorers.called("weather"), run("It rains."), {}, 0),
    (scorers.length(max=5), run("12345"), {}, 1),
    (scorers.length(4), run("12345"), {}, 0),
    (scorers.length(min=2, unit="words"), run("one"), {}, 0),
    (scorers.length(max=9, unit="tokens"), run("one", completion_tokens=9), {}, 1),
    (scorers.length(max=9, unit="tokens"), run("one"), {}, NA),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]!r} {case[1].response!r:.30}")
def test_each_scorer_on_an_answer_with_a_known_score(case: Any) -> None:
    """Right, wrong and not to be judged; what is wrong has a reason that names what was expected or missing."""
    scorer, answer, row, expected = case
    score = scorer(answer, row)
    assert isinstance(score, scorers.Score)
    assert score.value == expected
    assert score.value is None or score.value == 1 or score.reason


def test_reasons_say_what_was_wrong() -> None:
    """Of texts, numbers, fields and tools the reason names given and wanted."""
    assert scorers.exact("w")(run("a"), {"w": "b"}).reason == "'a' instead of 'b'"
    assert scorers.number("w")(run("1 or 2"), {"w": 3}).reason == "2 instead of 3"
    assert scorers.fields({"n": 3})(run('{"n": 2}')).reason == "n: 2 instead of 3"
    assert scorers.called("f", x=1)(run()).reason == "called no tool"
    assert scorers.contains("gold")(run("silver")).reason == "does not contain 'gold'"
    hostile = scorers.exact("w")(run("\x1b[2J\u202eevil"), {"w": "b"}).reason
    assert "\x1b" not in hostile
    assert "\u202e" not in hostile


def test_scorers_have_names_and_show_how_they_were_made() -> None:
    """A scorer's name is the function's, its repr the call that makes it."""
    assert bf.scorers is scorers
    assert (scorers.exact("a").__name__, repr(scorers.exact("a"))) == ("exact", "exact('a')")
    assert repr(scorers.number("n", rel=0.1)) == "number('n', rel=0.1)"
    assert repr(scorers.length(max=4, unit="words")) == "length(max=4, unit='words')"
    assert repr(scorers.rubric("Good?", judge="openai/gpt-4o", scale=5)) == (
        "rubric('Good?', judge='openai/gpt-4o', scale=5)"
    )
    made = {
        "exact": scorers.exact("a"), "contains": scorers.contains("a"), "regex": scorers.regex("a"),
        "number": scorers.number("a"), "json_valid": scorers.json_valid(), "fields": scorers.fields("a"),
        "called": scorers.called("a"), "length": scorers.length(1), "rubric": scorers.rubric("a", judge="a/b"),
        "similar": scorers.similar("a", deployment="a/b"),
    }  # fmt: skip
    assert set(made) | {"Score", "Scorer", "bounded"} == set(scorers.__all__)
    for name, scorer in made.items():
        assert scorer.__name__ == name
        assert f"scorers.{name}(" in str(getattr(scorers, name).__doc__), "a one-line example"


def test_no_pattern_holds_the_kernel() -> None:
    """One that never ends is an error of its answer; other threads run meanwhile, and what Python takes stays as is."""
    beats: list[float] = []
    done = threading.Event()

    def beat() -> None:
        while not done.wait(0.01):
            beats.append(time.monotonic())

    other = threading.Thread(target=beat)
    other.start()
    try:
        with pytest.raises(ValueError, match="took longer than 1 s"):
            scorers.regex(r"^(a+)+$")(run("a" * 40 + "b"))
    finally:
        done.set()
        other.join()
    assert len(beats) > 20  # of a hundred: this machine may be busy
    looks = scorers.regex(re.compile(r"(?<=total: )(\d+|none)(?!\d)", re.IGNORECASE))
    assert [looks(run(text)).value for text in ("x\nTOTAL: 12", "total: NONE \ud800", "in total 12")] == [1, 1, 0]
    long = "x" * 200_000
    assert [scorers.regex("y+")(run(text)).value for text in (long, long + "y")] == [0, 1]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="asks Linux which processes there are")
def test_a_search_process_that_ended_is_reaped() -> None:
    """It ends itself when nobody asks, perhaps for the rest of the kernel's life: no zombie is left until then."""
    search = scorers.regex("(a+)+b")
    assert search(run("aab")).value == 1
    process = bounded_search._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while Path(f"/proc/{process.pid}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert search(run("aab")).value == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: scorers.exact(""),
        lambda: scorers.exact(5),  # type: ignore[arg-type]
        lambda: scorers.regex("("),
        lambda: scorers.regex(b"a"),  # type: ignore[arg-type]
        lambda: scorers.number("n", rel=-1),
        lambda: scorers.number("n", abs=math.nan),
        lambda: scorers.fields({}),
        lambda: scorers.length(),
        lambda: scorers.length(max=-1),
        lambda: scorers.length(3, min=5),
        lambda: scorers.length(max=1, unit="lines"),
        lambda: scorers.similar("a", deployment="b"),
        lambda: scorers.rubric("", judge="a/b"),
        lambda: scorers.rubric("Good?", judge=7),  # type: ignore[arg-type]
        lambda: scorers.rubric("Good?", judge="a/b", scale=1),
        lambda: scorers.rubric("Good?", judge="a/b", scale={"only": 1}),
        lambda: scorers.rubric("Good?", judge="a/b", scale={"a": 1, "b": "two"}),  # type: ignore[dict-item]
    ],
)
def test_a_scorer_that_cannot_work_is_refused_when_it_is_made(make: Any) -> None:
    """What is wrong with a scorer's arguments shows before any answer is paid for."""
    with pytest.raises(ConfigurationError):
        make()


@pytest.mark.parametrize("odd", [5, None, "an answer", [run("an answer")]])
def test_a_scorer_that_is_called_with_no_run_says_so(odd: Any) -> None:
    """What was given is named; what has a text is judged, if it is no run."""
    with pytest.raises(ConfigurationError, match=f"judges a run, not an? {type(odd).__name__}"):
        scorers.length(max=3)(odd)
    assert scorers.exact("want")(SimpleNamespace(text="Paris"), {"want": "Paris"}).value == 1
