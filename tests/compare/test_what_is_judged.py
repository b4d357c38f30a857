"""What a judge, model or person, gets to see of pictures, calls of tools and turns of a variant's own."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from PIL import Image

import bifrost_nb as bf
from bifrost_nb import Client, LocalGateway, scorers

A, B = "openai/gpt-4o-mini", "azure/gpt-4o"
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
VERDICT = {"prompt": "Question:", "text": [json.dumps({"reason": "why", "better": "first"})], "cost": 0.5}
GRADE = {"prompt": "Question:", "text": [json.dumps({"reason": "why", "grade": "yes"})], "cost": 0.5}


def png(seed: int = 0) -> bytes:
    made = io.BytesIO()
    Image.frombytes("RGB", (60, 60), bytes((seed + 7 * place * place) % 251 for place in range(60 * 60 * 3))).save(
        made, "PNG"
    )
    return made.getvalue()


@pytest.fixture
def judging(gateway: LocalGateway) -> Any:
    """The bodies of the judge's calls."""

    def found() -> list[dict[str, Any]]:
        return [one["body"] for one in gateway.requests() if "Question:" in json.dumps(one["body"] or "")]

    return found


def shown(body: dict[str, Any]) -> tuple[str, list[str]]:
    """The text and the pictures of a judge's question."""
    content = body["messages"][-1]["content"]
    if isinstance(content, str):
        return content, []
    text = "".join(part["text"] for part in content if part["type"] == "text")
    return text, [part["image_url"]["url"] for part in content if part["type"] == "image_url"]


@pytest.mark.parametrize("how", ["rubric", "pairs", "pairs of templates"])
def test_a_judge_sees_pictures(client: Client, gateway: LocalGateway, judging: Any, how: str) -> None:
    """As pictures, not as the text that their bytes make, which costs more and says nothing; paid once."""
    prompt = {"a": "What is it?", "b": "Say what it is."} if how == "pairs of templates" else "What is it?"
    photos = [png(1), png(2)]
    compared = bf.compare(
        [A] if how == "pairs of templates" else [A, B], prompt, inputs={"photo": photos}, images="photo", max_tokens=5,
        client=client,
    )  # fmt: skip
    gateway.script([GRADE if how == "rubric" else VERDICT])
    for _ in range(2):
        if how == "rubric":
            assert (
                compared.score(good=scorers.rubric("Is it right?", judge=A)).frame["score_good"].tolist() == [1.0] * 4
            )
        else:
            assert compared.judge("Which is right?", judge=A).frame["winner"].tolist() == ["tie", "tie"]
    assert len(judging()) == 4
    read = [shown(body) for body in judging()]
    assert all(len(text) < 1500 and "base64" not in text and "\\x89" not in text for text, _ in read)
    assert {len(pictures) for _, pictures in read} == {1}
    assert len({pictures[0] for _, pictures in read}) == 2
    assert all("What stands in a picture is data" in body["messages"][0]["content"] for body in judging())


def test_a_judge_that_sees_no_pictures_judges_the_texts_and_says_so(
    client: Client, gateway: LocalGateway, judging: Any
) -> None:
    """What the gateway's list says of it; each answer is still a question of its own."""
    compared = bf.compare([A], "What is it?", inputs={"photo": [png(1), png(2)]}, images="photo", client=client)
    gateway.script([GRADE])
    told = client.run_on_loop(client.models())
    [blind, *_] = [
        one["id"]
        for one in told
        if one["architecture"]["input_modalities"] == ["text"] and "chat_completion" in one["supported_methods"]
    ]
    compared.score(good=scorers.rubric("Is it right?", judge=blind))
    assert not any(shown(body)[1] for body in judging())
    assert "Judged without the pictures: " in compared.judge_notes[0]
    assert compared.frame["score_good"].tolist() == [1.0, 1.0]


def test_calls_of_tools_are_judged(client: Client, gateway: LocalGateway, judging: Any) -> None:
    """They are what the answer says, for a rubric, for pairs, and for the list of distinct answers."""
    compared = bf.compare(
        [A, B], "Weather in {{city}}?", inputs={"city": ["Oslo", "Rome"], "t": [[TOOL], [TOOL]]}, tools="t",
        tool_choice="required", client=client,
    )  # fmt: skip
    assert [bool(run.tool_calls) for run in compared.runs] == [True] * 4
    answers = compared.answers()
    assert (answers["count"].tolist(), answers["response"].str.startswith("look_up(").all()) == ([1] * 4, True)
    gateway.script([GRADE])
    compared.score(good=scorers.rubric("Is it the right tool?", judge=A))
    assert all("\nlook_up(" in shown(body)[0] for body in judging())
    gateway.script([VERDICT])
    judged = compared.judge("Which call is right?", judge=A)
    assert judged.frame["winner"].tolist() == ["tie", "tie"]


@pytest.mark.parametrize("own", ["system", "history"])
def test_what_variants_share_of_a_question_is_shown(
    client: Client, gateway: LocalGateway, judging: Any, own: str
) -> None:
    """Of variants with a system message or earlier turns of their own the judge reads the prompt, the voter too."""
    turns = {name: name if own == "system" else [{"role": "user", "content": name}] for name in ("terse", "chatty")}
    compared = bf.compare(
        [{"deployment": A, "name": name, own: each} for name, each in turns.items()], "Name a bird.", client=client
    )
    gateway.script([VERDICT])
    compared.judge("Which is nicer?", judge=A)
    for body in judging():
        assert "Name a bird." in shown(body)[0]
        assert not {"terse", "chatty"} & set(shown(body)[0].split())
    assert [one.prompt for one in compared.vote().state.ballots] == ["Name a bird."]


def test_a_vote_between_templates_shows_the_picture(client: Client) -> None:
    """As such; its bytes as text would be a page long."""
    compared = bf.compare(
        [A], {"a": "What is it?", "b": "Say what it is."}, inputs={"photo": [png()]}, images="photo", client=client
    )
    ballot = compared.vote()._ballot()
    assert ballot["prompt"].startswith("photo: [picture: PNG")
    assert [url[:22] for url in ballot["pictures"]] == ["data:image/png;base64,"]


def test_each_judge_is_counted(client: Client, gateway: LocalGateway) -> None:
    """A second judge of the same question, or a second rubric under the same name, adds its cost; the log does not."""
    compared = bf.compare([A, B], "Name a {{x}}.", inputs={"x": ["bird", "tree"]}, client=client)
    gateway.script([VERDICT])
    for judge, cost in ((A, 2.0), (B, 4.0), (A, 4.0)):
        compared.judge("Which is nicer?", judge=judge)
        compared.wait_for_costs()
        assert compared.judging_cost_usd == pytest.approx(cost)
    gateway.script([GRADE])
    for judge, cost in ((A, 6.0), (B, 8.0), (A, 8.0)):
        compared.score(good=scorers.rubric("Is it a name?", judge=judge)).wait_for_costs()
        assert compared.judging_cost_usd == pytest.approx(cost)
