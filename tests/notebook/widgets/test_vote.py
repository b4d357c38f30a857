"""The blind vote: blind until revealed, counted right, and recorded."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from typing import Any

import pandas as pd
import pytest

from bifrost_nb import Client, ConfigurationError, RunLog
from bifrost_nb._compare.compare import compare
from bifrost_nb._compare.judge_pairs import PairAnswer, _pairs
from bifrost_nb._notebook.widgets.vote import Vote
from bifrost_nb._notebook.widgets.vote_state import COLUMNS, Ballots
from bifrost_nb._simulator.process import LocalGateway

from ..live.test_pane import Wire, wire  # noqa: F401
from .test_grid import HOSTILE, run

MODELS = "azure/alpha", "azure/beta", "azure/gamma"


def answers(prompts: int = 20) -> list[tuple[str, Any]]:
    """Three models, each with an answer of its own to every prompt."""
    return [(name, run(str(n), f"answer {n} of {name[6:7]}")) for n in range(prompts) for name in MODELS]


def test_every_pair_once_shuffled_by_the_seed() -> None:
    """Each prompt asks about each pair once; sides and order are mixed, and come from the seed alone."""
    ballots = Ballots(answers(), seed=3).ballots
    asked = Counter((one.prompt_id, frozenset((one.model_a, one.model_b))) for one in ballots)
    assert len(asked) == 20 * 3 == len(ballots)
    lefts = Counter(one.model_a for one in ballots)
    assert all(10 < lefts[name] < 30 for name in MODELS)
    places = [[one.prompt_id, one.model_a, one.model_b] for one in ballots]
    assert places == [[one.prompt_id, one.model_a, one.model_b] for one in Ballots(answers(), seed=3).ballots]
    assert places != [[one.prompt_id, one.model_a, one.model_b] for one in Ballots(answers(), seed=4).ballots]
    assert [one[0] for one in places] != sorted(one[0] for one in places)


def test_what_cannot_be_voted_on_is_no_ballot() -> None:
    """Failures, empty answers and equal answers make no ballot; where none is left the reason is told."""
    runs = [("a", run("1", None)), ("b", run("1", "x")), ("a", run("2", " ")), ("b", run("2", "x"))]
    with pytest.raises(ConfigurationError, match="nothing to vote on"):
        Ballots([*runs, ("a", run("3", "same ")), ("b", run("3", "same"))])
    with pytest.raises(ConfigurationError, match="A vote is between two or more, and here only 'b' has answers"):
        Ballots(runs)
    with pytest.raises(ConfigurationError, match="limit must be"):
        Ballots(answers(), limit=0)
    assert len(Ballots(answers(), limit=5).ballots) == 5


def test_many_pairs_are_folded_once_revealed() -> None:
    """Of 3 pairs each is told at once, of 15 behind a line that says how many; the ranking stands before them."""
    for prompts, folds in ((1, 0), (5, 1)):
        vote = Vote(answers(prompts))
        while vote.state.current is not None:
            vote.state.choose("1")
        vote.reveal()
        shown = vote._repr_html_()
        assert shown.count("<details>") == folds
        assert ("All 15 pairs: who was who, and your vote" in shown) == bool(folds)
        assert shown.index("strength") < shown.index("your vote</th>" if not folds else "<details>")


def test_the_votes_frame() -> None:
    """A vote is a row with models, winner, prompt and seed; a skip has no winner; types never change."""
    ballots = Ballots(answers(), seed=9)
    empty = ballots.frame
    for choice in ("1", "2", "tie", "skip"):
        ballots.choose(choice)  # type: ignore[arg-type]
    frame = ballots.frame
    assert tuple(frame.columns) == COLUMNS
    assert frame["winner"].tolist() == ["model_a", "model_b", "tie", pd.NA]
    assert frame["model_a"].tolist() == [one.model_a for one in ballots.ballots[:4]]
    assert frame["seed"].eq(9).all()
    assert (empty.dtypes == frame.dtypes).all()
    with pytest.raises(ConfigurationError, match="one of 1, 2, tie, skip"):
        ballots.choose("3")  # type: ignore[arg-type]
    ballots.reveal()
    with pytest.raises(ConfigurationError, match="closed"):
        ballots.choose("1")


def test_always_the_same_winner_ranks_first() -> None:
    """A voter who always takes one model ranks it first, with an interval above the others' strengths."""
    ballots = Ballots(answers())
    while (ballot := ballots.current) is not None:
        ballots.choose("1" if ballot.model_a == MODELS[1] else "2" if ballot.model_b == MODELS[1] else "tie")
    table = ballots.ranking()
    assert table["model"][0] == MODELS[1]
    assert table["wins"].tolist() == [40, 0, 0]
    assert table["low"][0] > table["high"][1]


def send(vote: Vote, content: Any) -> None:
    """What the page sends."""
    vote.widget.comm.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})


def test_equal_answers_are_ties_of_the_ranking() -> None:
    """95 of 100 prompts answered alike and 5 won make nobody much better, and the table says that they count."""
    runs = [(m, run(f"p{p}", "same" if p < 95 else m)) for p in range(100) for m in ("a", "b")]
    vote = Vote(runs)
    while (ballot := vote.state.current) is not None:
        vote.state.choose("1" if ballot.model_a == "a" else "2")
    table = vote.ranking().set_index("model")
    assert (table.loc["a", "wins"], table.loc["a", "ties"], table.loc["a", "votes"]) == (5, 95, 100)
    assert table.loc["a", "low"] < 0 < table.loc["a", "high"]
    assert 0.5 < table.loc["a", "win_chance"] < 0.6
    assert len(vote.frame) == 5
    vote.reveal()
    assert "95 equal answers count as ties" in repr(vote)


def test_equal_answers_count_in_proportion_to_the_votes() -> None:
    """Who votes on a part of the ballots has a part of the ties: a limit changes no share, and no vote has no tie."""
    runs = [(m, run(f"p{p}", "same" if p < 300 else m)) for p in range(400) for m in ("a", "b")]
    some = Ballots(runs, limit=50, seed=1)
    assert some.alike == 0
    while some.current is not None:
        some.choose("tie")
    assert 110 < some.alike < 190  # half of 300; six standard deviations


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("caf\u00e9", "cafe\u0301", True), ("a\r\nb", "a\nb", True), (" a\n", "a", True), ("a  b", "a b", False),
        ("Yes", "yes", False), ("0", "0.0", False),
    ],
)  # fmt: skip
def test_what_looks_the_same_is_equal(one: str, other: str, alike: bool) -> None:
    """Nobody can choose between two spellings of one text; between texts that can be told apart they can."""
    ballots = Ballots([("a", run("p", one)), ("b", run("p", other)), ("a", run("q", "1")), ("b", run("q", "2"))])
    assert len(ballots.ballots) == (1 if alike else 2)
    while ballots.current is not None:
        ballots.choose("1")
    assert ballots.alike == alike
    answers = [PairAnswer(name, "p", {}, run("p", text)) for name, text in (("a", one), ("b", other))]
    assert [pair.same for pair in _pairs(answers)] == [alike]


def test_three_models_of_which_two_agree() -> None:
    """Pairs count one by one: two models that always agree tie with each other and not with the third."""
    runs = [(m, run(f"p{p}", "same" if m != "c" else "own")) for p in range(10) for m in ("a", "b", "c")]
    ballots = Ballots(runs)
    while (ballot := ballots.current) is not None:
        ballots.choose("1" if ballot.model_a == "c" else "2")
    table = ballots.ranking().set_index("model")
    assert table["ties"].to_dict() == {"c": 0, "a": 10, "b": 10}
    assert table["wins"].to_dict() == {"c": 20, "a": 0, "b": 0}


def test_nothing_names_a_model_before_the_reveal(wire: Wire) -> None:  # noqa: F811
    """All that crosses until the reveal has no deployment's name, time or cost; strange messages change nothing."""
    timed = [(name, run(one.prompt_id or "", one.text, total_ms=12345.0, cost_usd=0.0777)) for name, one in answers(4)]
    vote = Vote(timed)
    for number in range(3):
        send(vote, {"vote": "1", "number": number})
    for content in [None, "1", {"vote": "1"}, {"vote": "1", "number": 0}, {"vote": ["1"], "number": 3}, {"reveal": 1}]:
        send(vote, content)
    assert vote.state.number == 3
    sent = json.dumps(list(wire)) + repr(vote) + vote._repr_html_()
    for secret in ("alpha", "beta", "gamma", "azure", "12345", "12.3 s", "0.0777", *(one.run_id for _, one in timed)):
        assert secret not in sent
    assert "3 of 12 pairs done (seed 0)" in repr(vote)
    send(vote, {"reveal": True})
    shown = vote._repr_html_()
    for fact in ("alpha", "12.3 s", "0.0777", "your vote"):
        assert fact in shown
    assert vote.state.revealed


def test_a_double_key_votes_once(wire: Wire) -> None:  # noqa: F811
    """The same pair's number twice counts once, so that the next pair is not voted on unseen."""
    vote = Vote(answers())
    send(vote, {"vote": "2", "number": 0})
    send(vote, {"vote": "2", "number": 0})
    assert vote.state.number == 1
    vote.close()


def test_hostile_answers_are_text(wire: Wire) -> None:  # noqa: F811
    """Answers cross rendered and cleaned; in what is revealed prompts and names are escaped."""
    vote = Vote([("<b>a", run(HOSTILE, HOSTILE)), ("b", run(HOSTILE, "x"))])
    vote.widget  # noqa: B018
    state = next(data["state"]["ballot"] for _, data in wire if "ballot" in data.get("state", {}))
    assert all("<script" not in one and "<img" not in one for one in state["answers"])
    send(vote, {"vote": "skip", "number": 0})
    vote.reveal()
    assert "<script" not in vote._repr_html_()
    assert "<b>a" not in vote._repr_html_()


def test_ratings_reach_the_log(client: Client, gateway: LocalGateway, log: RunLog) -> None:
    """A vote on a comparison is the rating of both runs in the log; a skip rates nothing."""
    inputs = {"topic": ["one", "two"]}
    names = ["azure/fast", "azure/large"]
    comparison = compare(names, "On {{topic}}", inputs=inputs, client=client, max_tokens=9)
    vote = comparison.vote(seed=1)
    vote.state.choose("2")
    vote.state.choose("skip")
    rated = {one.run_id: one.rating for one in log.read()}
    (row, _) = vote.frame.itertuples(index=False)
    assert rated[row.run_a] == "loss"
    assert rated[row.run_b] == "win"
    assert sum(rating is not None for rating in rated.values()) == 2


def test_a_vote_goes_on_from_a_file(wire: Wire, client: Client, log: RunLog) -> None:  # noqa: F811
    """A pickle of a vote that stands in a page has its pairs and votes, and rates on in the same log."""
    comparison = compare(["azure/fast", "azure/large"], "Name a {{x}}.", inputs={"x": [*"abcdef"]}, client=client)
    vote = comparison.vote(seed=2)
    vote._ipython_display_()
    vote.state.choose("1")
    back = pickle.loads(pickle.dumps(vote))
    pd.testing.assert_frame_equal(back.frame, vote.frame)
    assert [one.prompt for one in back.state.ballots] == [one.prompt for one in vote.state.ballots]
    ballot = back.state.current
    assert ballot is not None
    assert ballot.run_a in [run for runs in back._runs.values() for run in runs]
    back.state.choose("2")
    assert {run.rating for run in log.read(run_id=[ballot.run_a.run_id, ballot.run_b.run_id])} == {"win", "loss"}
    back.reveal()
    assert "2 votes" not in repr(vote)
    assert "2 votes" in repr(back)
