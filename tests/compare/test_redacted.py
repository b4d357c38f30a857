"""A comparison run again where a `redact` hook decided what the log holds: nothing is worked out of what it made."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from pydantic import BaseModel

import bifrost_nb as bf
from bifrost_nb import Client, LocalGateway, RunLog, scorers

A, B, JUDGE = "openai/gpt-4o-mini", "azure/gpt-4o", "anthropic/claude-haiku-4-5"


class Animal(BaseModel):
    name: str


def ask(client: Client, **options: Any) -> bf.Comparison:
    given = {"inputs": {"x": list(range(4))}, "chat": True, "live": False, **options}
    return bf.compare([A, B], "Secret question {{x}}.", client=client, **given)


def judged(gateway: LocalGateway) -> int:
    return sum(one["deployment"] == JUDGE for one in gateway.requests())


@pytest.mark.parametrize("left", [None, "name", "{}"])
def test_an_answer_that_a_hook_changed_is_not_read(gateway: LocalGateway, log: RunLog, left: str | None) -> None:
    """Left out or in other words, it says nothing of the one that came: neither valid nor invalid, and no fields."""
    hook = {None: lambda text, what: None, "name": lambda text, what: text.replace("name", "n***")}
    redact = hook.get(left, lambda text, what: "{}")
    client = Client(gateway.url, log=log, redact=lambda text, what: redact(text, what) if what == "response" else text)
    assert ask(client, schema=Animal).frame["valid"].tolist() == [True] * 8
    again = ask(client, schema=Animal)
    assert again.progress.reused == 8
    assert again.frame["valid"].isna().all()
    assert again.frame["valid_error"].isna().all()
    assert again.frame["answer_name"].isna().all()
    loaded = pickle.loads(pickle.dumps(ask(client, schema=Animal, fresh=True)))
    assert loaded.frame["valid"].tolist() == [True] * 8
    assert loaded.frame["answer_name"].isna().all()


def test_fields_that_a_hook_leaves_are_read(gateway: LocalGateway, log: RunLog) -> None:
    """Where what the log holds is still an answer."""
    gateway.script([{"text": ['{"name": "anna"}']}])
    client = Client(gateway.url, log=log, redact=lambda text, what: text.replace("anna", "***"))
    frames = [ask(client, schema=Animal).frame, ask(client, schema=Animal).frame]
    assert [frame["valid"].tolist() for frame in frames] == [[True] * 8] * 2
    assert [frame["answer_name"][0] for frame in frames] == ["anna", "***"]


@pytest.mark.parametrize("how", ["rubric", "pairs"])
def test_a_judge_is_not_paid_again_for_a_hidden_prompt(gateway: LocalGateway, log: RunLog, how: str) -> None:
    """The cell that is run again knows what was asked: the judge reads it as before, and no file does."""
    key, value = ("grade", "yes") if how == "rubric" else ("better", "first")
    gateway.script([{"deployment": JUDGE, "text": [json.dumps({"reason": "why", key: value})]}])
    client = Client(gateway.url, log=log, redact=lambda text, what: None if what == "prompt" else text)

    def twice() -> bf.Comparison:
        compared = ask(client)
        if how == "rubric":
            return compared.score(scorers.rubric("Good?", judge=JUDGE))
        compared.judge("Which is nicer?", judge=JUDGE)
        return compared

    twice()
    paid = judged(gateway)
    assert paid == 8
    again = twice()
    assert judged(gateway) == paid
    assert again.frame["prompt"].str.startswith("Secret question").all()
    assert [run.prompt for run in pickle.loads(pickle.dumps(again)).runs] == [None] * 8
    assert "Secret question" not in log.path.read_text()


def test_answers_that_were_sent_just_now_do_not_come_from_the_log(gateway: LocalGateway, log: RunLog) -> None:
    """`until` says of no answer that it has no score because a hook changed it, before it is read from the log."""
    client = Client(gateway.url, log=log, redact=lambda text, what: None if what == "response" else text)
    asked = {"inputs": {"x": list(range(24))}, "until": "decided", "score": lambda run: 1.0}
    first = ask(client, **asked)
    assert first.notes == []
    assert first.frame["score"].notna().all()
    assert any("come from the log" in note for note in ask(client, **asked).notes)


def test_an_answer_out_of_a_cache_has_no_price(gateway: LocalGateway, log: RunLog) -> None:
    """Its tokens were paid before: it is not charged by the price list, which a budget has read, nor counted in it."""
    client = Client(gateway.url, log=log, virtual_key="sk-bf-demo-0123456789abcdef")
    asked: dict[str, Any] = {"headers": {"x-bf-cache-key": "mine"}, "fresh": True, "max_tokens": 16}
    first = ask(client, **asked)
    first.wait_for_costs(20)
    cost = first.frame["cost_usd"].sum()
    again = ask(client, **asked, max_cost_usd=cost / 2)
    again.wait_for_costs(20)
    assert again.frame["cache_hit"].tolist() == [True] * 8
    assert again.frame["cost_usd"].isna().all()
    assert again.notes == []
