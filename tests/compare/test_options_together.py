"""Options of a comparison in pairs: each holds beside the others, or is refused before anything is sent."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

import bifrost_nb as bf
from bifrost_nb import Client, ConfigurationError, LocalGateway

TEXT, CHAT, OTHER = "azure/gpt-35-turbo-instruct", "openai/gpt-4o-mini", "azure/gpt-4o"
RESPONSES = {"deployment": CHAT, "api": "responses", "name": "responses"}


def sent(gateway: LocalGateway) -> list[dict[str, Any]]:
    """The calls, without lists of models and the like."""
    return [one for one in gateway.requests() if one["method"] == "POST" and not one["path"].startswith("/api")]


@pytest.mark.parametrize("first", [CHAT, TEXT, RESPONSES])
@pytest.mark.parametrize("further", [CHAT, TEXT, RESPONSES])
def test_a_further_deployment_by_another_api_is_sent_alone(
    client: Client, gateway: LocalGateway, first: Any, further: Any
) -> None:
    """By whichever APIs the two are asked, the answer that is there is not paid again, nor with a third."""
    if first == further:
        further = OTHER
    question = {"prompt": "Name a {{x}}.", "inputs": {"x": ["bird", "tree"]}, "max_tokens": 20, "client": client}
    before = bf.compare([first], **question)
    both = bf.compare([first, further], **question)
    assert len(sent(gateway)) == 4
    assert [run.run_id for run in both.runs[::2]] == [run.run_id for run in before.runs]
    assert both.id == before.id
    bf.compare([further], **question)
    assert len(sent(gateway)) == 4
    assert both.frame["prompt_id"].nunique() == 2  # by which the two are set beside each other


@pytest.mark.parametrize("api", ["chat", "responses"])
@pytest.mark.parametrize("where", ["all", "one"])
def test_the_estimate_knows_how_long_an_answer_may_be(client: Client, api: str, where: str) -> None:
    """`max_tokens` bounds the cost by whatever name the API has for it."""
    limit: dict[str, Any] = {"max_tokens": 20}
    estimate = bf.compare(
        [{"deployment": CHAT, **(limit if where == "one" else {})}], "Name a bird.", api=api, client=client,
        dry_run=True, **(limit if where == "all" else {}),
    )  # fmt: skip
    assert estimate.frame["max_completion_tokens"].tolist() == [20]


def test_a_batch_of_responses_keeps_within_its_money(client: Client, gateway: LocalGateway) -> None:
    """What 20 tokens cost at most is less than a cent, so the job is sent."""
    batch = bf.compare(
        [CHAT], "Name a bird.", api="responses", max_tokens=20, client=client, mode="batch", max_cost_usd=0.0005
    )
    assert batch.collect(wait=20).frame["status"].tolist() == ["ok"]


@pytest.mark.parametrize(
    "own", [{"system": "Be brief."}, {"history": [{"role": "user", "content": "Hi"}]}], ids=["system", "history"]
)
def test_replay_says_that_it_asks_what_was_asked(client: Client, gateway: LocalGateway, own: dict[str, Any]) -> None:
    """A system message or turns of one's own would be another question; neither is left out in silence."""
    asked = bf.compare([CHAT], "Name a bird.", max_tokens=5, client=client)
    before = len(sent(gateway))
    with pytest.raises(ConfigurationError, match=f"{next(iter(own))} would be another question"):
        bf.replay(asked, [{"deployment": OTHER, **own}], client=client)
    if "system" in own:
        with pytest.raises(ConfigurationError, match="system would be another question"):
            bf.replay(asked, [OTHER], client=client, **own)
    assert len(sent(gateway)) == before


TURNS = [{"role": "user", "content": "Name a {{x}}."}]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"prompt": {"a": "Name a {{x}}.", "b": "Say {{x}}."}}, "fill asks one question"),
        ({"prompt": None, "messages": {"a": TURNS, "b": TURNS}}, "fill asks one question"),
        ({"repeats": 2}, "takes no repeats="),
        ({"dry_run": True}, "takes no dry_run="),
        ({"mode": "batch"}, "takes no mode="),
        ({"inputs": {"x": ["bird"]}}, "takes no inputs="),
        ({"score": lambda run: 1}, "takes no score="),
        ({"until": "decided"}, "takes no until="),
    ],
)
def test_fill_takes_what_gives_each_row_one_answer(
    client: Client, gateway: LocalGateway, asked: dict[str, Any], said: str
) -> None:
    """What makes several answers of a row, or none, is refused before anything is sent."""
    frame = pd.DataFrame({"x": ["bird", "tree"]})
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    with pytest.raises(ConfigurationError, match=said):
        bf.fill(frame, **{"prompt": "Name a {{x}}.", **asked}, schema=schema, deployment=CHAT, client=client)
    assert sent(gateway) == []
