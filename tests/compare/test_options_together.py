"""Options of a comparison in pairs: each holds beside the others, or is refused before anything is sent."""

from __future__ import annotations

import contextlib
import pickle
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import BaseModel

import bifrost_nb as bf
from bifrost_nb import Client, ConfigurationError, LocalGateway, RunLog, scorers

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


@pytest.mark.parametrize("where", ["client", "call", "deployment"])
def test_each_repeat_is_a_sample_wherever_the_cache_key_stands(gateway: LocalGateway, log: RunLog, where: str) -> None:
    """An answer out of the gateway's cache is no second sample, also where the client has the key."""
    key = {"X-BF-Cache-Key": "mine"}
    client = Client(gateway.url, log=log, headers=key if where == "client" else None)
    given: dict[str, Any] = {"headers": key} if where == "call" else {}
    deployment = {"deployment": CHAT, **({"headers": key} if where == "deployment" else {})}
    asked = {"prompt": "Name a {{x}}.", "inputs": {"x": ["bird", "bird", "tree"]}, "repeats": 2, "client": client}
    compared = bf.compare([deployment], **asked, **given)
    assert compared.frame["cache_hit"].tolist() == [False] * 6
    keys = [one["headers"]["x-bf-cache-key"] for one in sent(gateway)]
    assert sorted(keys) == ["mine-0", "mine-0", "mine-0-2", "mine-1", "mine-1", "mine-1-2"]
    bf.compare([deployment], **asked, **given)
    assert len(sent(gateway)) == 6


PICKLED = """
import pickle, sys
import bifrost_nb as bf
from pydantic import BaseModel

class Animal(BaseModel):
    name: str
    legs: int

client = bf.Client(sys.argv[1], log=bf.RunLog(None))
compared = bf.compare(["openai/gpt-4o-mini"], "Name an animal.", schema=Animal, client=client)
assert isinstance(compared.runs[0].parsed, Animal)
open(sys.argv[2], "wb").write(pickle.dumps(compared))
"""


def test_typed_answers_are_read_in_another_kernel(gateway: LocalGateway, tmp_path: Path) -> None:
    """A comparison with a schema that is a class of a notebook is pickled there, and loaded where the class is not."""
    path = tmp_path / "compared.pickle"
    subprocess.run([sys.executable, "-c", PICKLED, gateway.url, str(path)], check=True)
    loaded = pickle.loads(path.read_bytes())
    assert loaded.frame["valid"].tolist() == [True]
    assert loaded.runs[0].parsed == {"name": loaded.frame["answer_name"][0], "legs": loaded.frame["answer_legs"][0]}


class Place(BaseModel):
    """A class that another process can import."""

    name: str


def test_a_pickle_keeps_what_can_be_imported(client: Client) -> None:
    """Of a module's class the object itself; of a function's class what it holds."""

    class Inner(BaseModel):
        name: str

    for schema, kept in ((Place, Place), (Inner, dict)):
        compared = bf.compare([CHAT], "Name a place.", schema=schema, client=client)
        assert type(compared.runs[0].parsed) is schema
        assert type(pickle.loads(pickle.dumps(compared)).runs[0].parsed) is kept


WAYS_TO_LOOK: dict[str, Callable[[Any, Path], Any]] = {
    "frame": lambda one, _: one.frame,
    "summary": lambda one, _: one.summary(),
    "answers": lambda one, _: one.answers(),
    "prompts": lambda one, _: one.prompts,
    "text": lambda one, _: (repr(one), one._repr_html_()),
    "grid": lambda one, _: one.grid()._repr_html_(),
    "report": lambda one, folder: bf.load_report(one.report(folder / "report.html")),
    "files": lambda one, folder: (one.to_excel(folder / "x.xlsx"), one.to_csv(folder / "x.csv")),
    "pickle": lambda one, _: pickle.loads(pickle.dumps(one)).frame,
    "charts": lambda one, _: one.plot.latency(),
    "differences": lambda one, _: one.differences("total_ms"),
    "gate": lambda one, _: one.gate(one.variants[0], p95_ms=1),
    "vote": lambda one, _: one.vote(),
    "judge": lambda one, _: one.judge("Which?", judge=CHAT),
    "replay": lambda one, _: bf.replay(one, [CHAT], client=one.client),
}


@pytest.mark.parametrize("way", WAYS_TO_LOOK)
def test_nothing_has_come_yet(client: Client, tmp_path: Path, way: str) -> None:
    """A batch that was just sent, as a comparison stopped at once, can be looked at, or says what it lacks."""
    compared = bf.compare(
        [CHAT, OTHER], {"a": "Name a {{x}}.", "b": "Say {{x}}."}, inputs={"x": ["bird"]}, schema=Place, client=client,
        mode="batch",
    )  # fmt: skip
    lacking = way in ("differences", "gate", "vote", "judge", "replay")
    with pytest.raises(ConfigurationError) if lacking else contextlib.nullcontext():
        WAYS_TO_LOOK[way](compared, tmp_path)


SECRET = "ask anna@example.org"


@pytest.mark.parametrize("what", ["prompt", "response"])
def test_what_was_asked_again_is_pickled_as_the_hook_wants_it(gateway: LocalGateway, log: RunLog, what: str) -> None:
    """The questions of a replay are whole in memory, where the old answers may be, too; in no file."""
    whole = Client(gateway.url, log=RunLog(None))
    gateway.script([{"text": "Dear anna@example.org."}])
    asked = bf.compare([CHAT], f"Please {SECRET} {{{{x}}}}.", inputs={"x": ["now"]}, client=whole)
    client = Client(gateway.url, log=log, redact=lambda text, kind: None if kind == what else text)
    replayed = bf.replay(asked, [OTHER], client=client)
    assert "anna@example.org" in str(replayed.frame.to_dict())
    hidden = SECRET if what == "prompt" else "Dear anna"
    for one in (replayed, replayed.comparison):
        written = pickle.dumps(one)
        assert hidden.encode() not in written
        assert len(pickle.loads(written)) == 1
    loaded = pickle.loads(pickle.dumps(replayed))
    assert loaded.frame["status"].tolist() == ["ok"]
    assert loaded.frame["before"].tolist() == [CHAT]
    assert loaded.summary()["prompts"].tolist() == [1]


def test_a_judgement_is_pickled_as_the_hook_wants_it(gateway: LocalGateway, log: RunLog) -> None:
    """Its reasons quote answers."""
    client = Client(gateway.url, log=log, redact=lambda text, kind: None if kind == "response" else text)
    compared = bf.compare([CHAT, OTHER], "Name a bird.", client=client)
    gateway.script([{"prompt": "Question:", "text": ['{"reason": "says anna@example.org", "better": "first"}']}])
    judged = compared.judge("Which is nicer?", judge=CHAT)
    assert "anna@" in judged.frame["reason"][0]
    written = pickle.dumps(judged)
    assert b"anna@" not in written
    loaded = pickle.loads(written)
    assert loaded.frame.dtypes.equals(judged.frame.dtypes)
    assert loaded.frame["winner"].tolist() == judged.frame["winner"].tolist()


def test_the_same_deployment_twice_is_two_samples_of_a_cache(client: Client) -> None:
    """Under two names, to see how far apart equals come out: the second is no echo of the first."""
    compared = bf.compare(
        [{"deployment": CHAT, "name": "a"}, {"deployment": CHAT, "name": "b"}], "Name a {{x}}.",
        inputs={"x": ["bird", "tree"]}, headers={"x-bf-cache-key": "mine"}, client=client,
    )  # fmt: skip
    assert compared.frame["cache_hit"].tolist() == [False] * 4


DRAWN = """
import sys
import bifrost_nb as bf
log = bf.RunLog(sys.argv[2])
compared = bf.compare(["openai/gpt-image-1"], "A {{x}}", inputs={"x": ["bird", "tree"]}, api="image",
    client=bf.Client(sys.argv[1], log=log), score=lambda run: len(run.images))
print(compared.frame["score"].astype(object).fillna("NA").tolist(), compared.frame["score_error"].isna().sum())
"""


def test_pictures_that_are_gone_have_no_score(gateway: LocalGateway, tmp_path: Path) -> None:
    """In the next kernel the log has none of them: no score is worked out of nothing, and the column says why."""
    command = [sys.executable, "-c", DRAWN, gateway.url, str(tmp_path / "runs.jsonl")]
    told = [subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip() for _ in range(2)]
    assert told == ["[1.0, 1.0] 2", "['NA', 'NA'] 0"]
    assert len([one for one in sent(gateway) if "images" in one["path"]]) == 2


@pytest.mark.parametrize(
    "together",
    [
        {"until": "decided", "live": True, "score": lambda run: 1},
        {"cluster": object(), "max_cost_usd": 1.0},
        {"cluster": object(), "live": True},
        {"cluster": object(), "api": "image", "deployments": ["openai/gpt-image-1"]},
    ],
    ids=["until and live", "cluster and money", "cluster and live", "cluster and pictures"],
)
def test_a_dry_run_refuses_what_would_be_refused(client: Client, gateway: LocalGateway, together: Any) -> None:
    """What it says can be sent can be sent."""
    inputs = {"x": [f"bird {number}" for number in range(40)]}
    asked = {"deployments": [CHAT, OTHER], "prompt": "Name a {{x}}.", "inputs": inputs, "client": client, **together}
    for dry in (True, False):
        with pytest.raises(ConfigurationError, match=r"leave (them|cluster=) out"):
            bf.compare(**asked, dry_run=dry)
    assert sent(gateway) == []


@pytest.mark.parametrize("mode", ["live", "batch"])
def test_a_dry_run_says_that_judging_is_not_in_it(client: Client, mode: Any) -> None:
    """What a rubric or embeddings cost depends on the answers; of scorers that only compute nothing is said."""
    rubric = scorers.rubric("Is it a name?", judge=OTHER)
    for score, told in ((rubric, True), (scorers.bounded(rubric, 0, 1), True), (scorers.length(max=9), False)):
        estimate = bf.compare(
            [CHAT], "Name a bird.", max_tokens=5, score=score, client=client, mode=mode, dry_run=True
        )  # fmt: skip
        assert ("What the models that judge cost comes on top." in repr(estimate)) is told
        assert ("comes on top" in estimate._repr_html_()) is told


class Visit(BaseModel):
    """An answer with a time of day."""

    at: datetime
    place: str


def test_a_report_keeps_the_types_of_answers(client: Client, tmp_path: Path) -> None:
    """Times too, which other rows may lack."""
    compared = bf.compare([CHAT, OTHER], "When and where?", schema=Visit, client=client)
    loaded = bf.load_report(compared.report(tmp_path / "report.html"))
    columns = ["valid", "answer_at", "answer_place"]
    assert compared.frame["answer_at"].dtype == "datetime64[us, UTC]"
    assert compared.frame["answer_at"].notna().any()
    pd.testing.assert_frame_equal(loaded[columns], compared.frame[columns])
