"""Templates as variants in a vote, in a judgement and in a replay: who meets whom, and that a vote stays blind."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest

from bifrost_nb import Client, ConfigurationError, LocalGateway
from bifrost_nb._compare.compare import compare
from bifrost_nb._compare.comparison import Comparison
from bifrost_nb._compare.groups import By
from bifrost_nb._compare.replay import replay

A, B, C = "azure/gpt-35-turbo-instruct", "openai/gpt-3.5-turbo-instruct", "azure/fast"
JUDGE = "openai/gpt-4o-mini"
PROMPTS = {"short": "Briefly on {{n}}.", "long": "At length on {{n}}."}
SIZE = 8


@pytest.fixture
def comparison(client: Client, gateway: LocalGateway) -> Comparison:
    """Two deployments x two templates x eight inputs, each with an answer of its own."""
    gateway.script(
        [{"deployment": name, "prompt": f"{text} on {n}.", "text": [f"{kind}, {name[0]}, {n}"]}
         for name in (A, B, C) for kind, text in (("short", "Briefly"), ("long", "At length")) for n in range(SIZE)]
        + [{"deployment": JUDGE, "text": [json.dumps({"reason": "r", "better": "tie"})]}]
    )  # fmt: skip
    return compare([A, B], PROMPTS, inputs={"n": range(SIZE)}, client=client, stream=False)


def test_a_vote_between_templates(comparison: Comparison) -> None:
    """Each ballot is one deployment's two answers; the page shows the inputs, and of the prompts nothing."""
    vote = comparison.vote(by="template")
    ballots = vote.state.ballots
    assert len(ballots) == 2 * SIZE
    for one in ballots:
        assert {one.model_a, one.model_b} == {"short", "long"}
        assert one.run_a.requested == one.run_b.requested
        assert one.prompt.startswith("n: ")
    assert not any(word in str(vote._ballot()) for word in ("Briefly", "At length"))
    while (ballot := vote.state.current) is not None:
        vote.state.choose("1" if ballot.model_a == "long" else "2")
    ranking = vote.ranking()
    assert ranking["model"].tolist() == ["long", "short"]
    assert ranking["wins"].tolist() == [2 * SIZE, 0]
    assert ranking["low"].iloc[0] > ranking["high"].iloc[1]
    known = comparison.agreement(comparison.judge("Which is better?", judge=JUDGE, by="template"), vote)
    assert (known.n, known.unit, known.share) == (2 * SIZE, "pairs", 0)


def test_a_vote_between_variants_hides_the_prompts(comparison: Comparison) -> None:
    """Where any two variants meet, a pair of one template shows its prompt, a pair of two its inputs."""
    for one in comparison.vote().state.ballots:
        same = one.model_a.split(" · ")[1] == one.model_b.split(" · ")[1]
        assert one.prompt.startswith("n: ") != same
    pairs = comparison.vote(by="deployment").state.ballots
    assert len(pairs) == 2 * SIZE
    assert all(one.run_a.prompt == one.run_b.prompt == one.prompt for one in pairs)


def test_a_judge_between_templates(comparison: Comparison) -> None:
    """Only pairs of one deployment are asked about, and the ranking is of the templates."""
    judgement = comparison.judge("Which is better?", judge=JUDGE, by="template")
    frame = judgement.frame
    assert len(frame) == 2 * SIZE
    assert set(zip(frame["model_a"], frame["model_b"], strict=True)) == {("short", "long")}
    requested = {run.run_id: run.requested for run in comparison.runs}
    assert all(requested[a] == requested[b] for a, b in zip(frame["run_a"], frame["run_b"], strict=True))
    assert set(judgement.ranking()["model"]) == {"short", "long"}


def test_a_table_of_templates_counts_inputs_and_names_each_variant_once(comparison: Comparison) -> None:
    """The arrow stands where another deployment answered, as a fallback does, not behind each template."""
    for shown in (repr(comparison), comparison._repr_html_()):
        assert f"{SIZE} inputs x 2 prompts x 2 deployments x 1 repeat" in shown
        assert f"{A} · short" in shown
        assert "short → " not in shown


def test_answers_diff_grid_and_charts_of_templates(comparison: Comparison) -> None:
    """Each takes ``by``: a template's answers are those of both deployments, a deployment's those of both templates."""
    answers = comparison.answers(by="template")
    assert list(answers.columns) == ["prompt_id", "template", "response", "count", "share"]
    of_long = answers[answers["template"] == "long"].set_index("response")
    assert (len(of_long), set(of_long["share"])) == (2 * SIZE, {0.5})
    assert set(comparison.answers(by="deployment")["deployment"]) == {A, B}
    first = comparison.frame["input_id"].iloc[0]
    for changed in (comparison.diff("short", "long"), comparison.diff("short", "long", first, by="template")):
        assert changed.title == "short → long: n: 0"
        assert str(changed) == "[-short-]{+long+}, a, 0"
    assert comparison.diff(A, B).title == f"{A} → {B}: n: 0"
    assert str(comparison.diff(f"{A} · short", f"{B} · short")) == "short, [-a-]{+o+}, 0"
    grid = comparison.grid(by="template").state
    assert grid.deployments == ["short", "long"]
    assert [row["prompt"] for row in grid.page()["rows"]] == [f"n: {n}" for n in range(SIZE)]
    assert {run.text for run in grid.rows[0].boxes["long"].runs} == {"long, a, 0", "long, o, 0"}
    comparison.score(right=lambda run: run.text.startswith("long"))
    ways: list[tuple[By, list[str]]] = [("template", ["short", "long"]), ("deployment", [A, B])]
    for by, names in ways:
        for name in ("latency", "ttft", "tokens", "cost", "errors", "anatomy", "over_time", "timeline", "tradeoff"):
            assert getattr(comparison.plot, name)(by=by).get_title()
        said = [one.get_text() for one in comparison.plot.scores(by=by).get_yticklabels()]
        assert said == names


def test_names_choose_what_is_shown(comparison: Comparison) -> None:
    """`names=` are the variants (templates, deployments) that answers, grid, vote, judge and charts are about."""
    three = comparison.variants[:3]
    two = [three[0], three[2]]
    assert set(comparison.answers(names=two)["variant"]) == set(two)
    assert set(comparison.answers(by="template", names=["long"])["template"]) == {"long"}
    assert comparison.grid(names=two).state.deployments == two
    assert {name for one in comparison.vote(names=two).state.ballots for name in (one.model_a, one.model_b)} == set(two)
    assert set(comparison.judge("Which is better?", judge=JUDGE, names=two).ranking()["model"]) == set(two)
    comparison.score(right=lambda run: run.text.startswith("long"))
    assert [one.get_text() for one in comparison.plot.scores(names=two).get_yticklabels()] == two
    assert [one.get_text() for one in comparison.plot.cost(by="deployment", names=[B]).get_yticklabels()] == [B]
    for chart in ("latency", "ttft", "tokens", "errors", "anatomy", "tradeoff", "over_time", "timeline"):
        getattr(comparison.plot, chart)(by="deployment", names=[B])
    wrong: list[Any] = [["nobody"], [], three[0], 3]
    for names in wrong:
        with pytest.raises(ConfigurationError, match=r"no variant of this comparison|is empty|list of names"):
            comparison.grid(names=names)


def test_names_of_two_kinds_are_refused(comparison: Comparison) -> None:
    """A template against a deployment, an unknown name and an unknown way are one clear error each."""
    for call in (
        lambda: comparison.diff("short", A),
        lambda: comparison.diff("short", "nobody"),
        lambda: comparison.diff("short", "long", by="deployment"),
        lambda: comparison.answers(by="prompt"),  # type: ignore[arg-type]
        lambda: comparison.grid(by="prompt"),  # type: ignore[arg-type]
        lambda: comparison.plot.scores(by="prompt"),  # type: ignore[arg-type]
    ):
        with pytest.raises(ConfigurationError, match=r"one kind|is not in this comparison|by must be"):
            call()
    with pytest.raises(ConfigurationError, match="several charts") as found:
        comparison.plot()
    assert "comparison.plot.latency(), comparison.plot.ttft(), " in (found.value.hint or "")


@pytest.mark.parametrize("asked", [{"by": "prompt"}, {"by": "template"}])
def test_what_cannot_be_set_side_by_side(client: Client, gateway: LocalGateway, asked: dict[str, Any]) -> None:
    """An unknown word, and templates where there is one, are refused before a judge is asked."""
    single = compare([A, B], "On {{n}}.", inputs={"n": range(2)}, client=client, stream=False)
    before = len(gateway.requests())
    judge = functools.partial(single.judge, "Which?", judge=JUDGE)
    for call in (single.vote, judge, single.grid, single.answers, single.plot.latency):
        with pytest.raises(ConfigurationError, match=r"by must be|no two templates"):
            call(**asked)
    assert not [one for one in gateway.requests(before) if one["method"] == "POST"]


def test_a_replay_keeps_the_templates(comparison: Comparison, client: Client, gateway: LocalGateway) -> None:
    """The new answers are variants of deployment and template, paired by the old inputs; a second replay is free."""
    frame = comparison.frame
    replayed = replay(frame[frame["requested_model"] == A.split("/")[1]], [B, C], client=client)
    assert sorted(replayed.variants) == sorted(f"{name} · {kind}" for kind in PROMPTS for name in (B, C))
    table = replayed.frame
    assert set(table["template"]) == {"short", "long"}
    assert set(table["deployment"]) == {B, C}
    assert (table["variant"] == table["deployment"] + " · " + table["template"]).all()
    assert replayed.summary("variant")["prompts"].tolist() == [SIZE] * 4
    assert replayed.summary("template")["template"].tolist() == ["short", "long"]
    new = replayed.comparison
    new.score(right=lambda run: run.text.startswith("long"))
    found = new.difference("long", "short", "score_right")
    assert (found.n, found.better, found.winner) == (SIZE, SIZE, "long")
    assert len(new.vote(by="template").state.ballots) == 2 * SIZE
    before = len(gateway.requests())
    again = replay(frame[frame["requested_model"] == A.split("/")[1]], [B, C], client=client)
    assert not [one for one in gateway.requests(before) if one["method"] == "POST"]
    assert again.variants == replayed.variants


def test_a_replay_of_rows_without_templates_pairs_by_the_question(client: Client) -> None:
    """Ten questions of the log are ten inputs: a difference of two deployments counts each."""
    for n in range(10):
        client.complete(A, f"Question {n}", max_tokens=4)
    new = replay(client.log.frame(), [B, C], client=client).comparison
    assert new.difference(B, C, "total_tokens").n == 10
    with pytest.raises(ConfigurationError, match="tell no template"):
        replay(client.log.frame(), [B], client=client).summary("template")
