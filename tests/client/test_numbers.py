"""A number out of a frame, a decimal or a fraction is a number for every setting; a truth value is none."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bifrost_nb as bf
from bifrost_nb import Client, LocalGateway, RunLog, scorers

CELL = pd.DataFrame({"n": pd.array([2], dtype="Int64")}).loc[0, "n"]
WHOLE = [np.int64(2), np.uint8(2), CELL]
REAL = [*WHOLE, 2.0, np.float64(2), np.float32(2), Decimal("2"), Fraction(4, 2)]
NO_NUMBER = [True, np.True_, "two", math.nan, np.float64("nan"), Decimal("NaN"), -1, object()]

SETTINGS: dict[str, tuple[list[Any], Callable[[Client, Any], Any]]] = {
    "timeout": (REAL, lambda client, value: client.complete("azure/fast", "a", timeout=value)),
    "timeout of a client": (REAL, lambda client, value: Client(client.base_url, timeout=value, log=client.log)),
    "Timeouts": (REAL, lambda client, value: bf.Timeouts(connect=value)),
    "retries": (REAL, lambda client, value: client.complete("azure/fast", "a", retries=value)),
    "repeats": (REAL, lambda client, value: plan(client, repeats=value)),
    "concurrency": (REAL, lambda client, value: plan(client, concurrency=value)),
    "requests_per_minute": (REAL, lambda client, value: plan(client, requests_per_minute=value)),
    "max_cost_usd": (REAL, lambda client, value: plan(client, max_cost_usd=value)),
    "limit of runs": (REAL, lambda client, value: client.log.frame(limit=value)),
    "limit of the gateway's log": (REAL, lambda client, value: bf.Admin(client).logs(limit=value)),
    "scorers.number": (REAL, lambda client, value: scorers.number("x", abs=value)),
    "scorers.length": (REAL, lambda client, value: scorers.length(max=value)),
    "scale of a rubric": (REAL, lambda client, value: scorers.rubric("Good?", judge="a/b", scale=value)),
}


def plan(client: Client, **more: Any) -> Any:
    return bf.compare(["azure/fast"], "a", client=client, dry_run=True, **more)


@pytest.fixture
def ours(gateway: LocalGateway, log: RunLog) -> Client:
    return Client(gateway.url, log=log)


@pytest.mark.parametrize("name", SETTINGS)
def test_every_kind_of_number_is_taken(name: str, ours: Client) -> None:
    """Of Python, numpy and pandas, and where parts of one make sense decimals and fractions."""
    kinds, ask = SETTINGS[name]
    for value in kinds:
        ask(ours, value)


@pytest.mark.parametrize("name", SETTINGS)
def test_what_is_no_number_is_refused(name: str, ours: Client) -> None:
    """A truth value, a word, NaN and a number below the least: one clear error, and nothing is sent."""
    _, ask = SETTINGS[name]
    for value in NO_NUMBER:
        with pytest.raises(bf.ConfigurationError):
            ask(ours, value)
    assert ours.log.read() == []


@pytest.mark.parametrize("value", [np.float32(0.7), np.float16(0.7), Decimal("0.7"), Fraction(7, 10)], ids=repr)
def test_a_number_is_sent_as_it_shows(gateway: LocalGateway, value: Any) -> None:
    """0.7 of 32 bits is 0.7 on the wire, in a parameter, a provider's own one and a bias, not 0.699999988079071."""
    client = Client(gateway.url, log=RunLog("off"))
    client.complete("azure/fast", "a", temperature=value, max_tokens=1, extra={"mine": value}, logit_bias={5: value})
    [sent] = [asked["body"] for asked in gateway.requests() if asked["method"] == "POST"]
    assert (sent["temperature"], sent["extra_params"]["mine"], sent["logit_bias"]) == (0.7, 0.7, {"5": 0.7})
    assert bf.Timeouts(connect=value).connect == 0.7


@pytest.mark.parametrize("two", WHOLE, ids=lambda value: type(value).__name__)
def test_what_is_kept_and_judged_takes_them_too(gateway: LocalGateway, ours: Client, two: Any) -> None:
    """Recorded as numbers and not as their texts; a seed, a limit, a rule, a setting of the playground, a rule of the
    embedded gateway and a later fact are as good from numpy."""
    gateway.script([{"deployment": "azure/fast", "text": "No.", "first_text_ms": two}, {"text": "Yes."}])
    asked = {"max_tokens": two, "temperature": np.float32(0.7), "tags": {"week": two, "share": np.float32(0.1)}}
    entry = {"deployment": "azure/large", "top_p": np.float32(0.3)}
    found = bf.compare(["azure/fast", entry], "{{n}}", inputs={"n": [1, 2]}, client=ours, **asked)  # type: ignore[call-overload]
    for run in [*found.runs, *ours.log.read()]:
        expected = {"max_tokens": 2, "temperature": 0.7, **({"top_p": 0.3} if run.requested == "azure/large" else {})}
        assert {name: json.loads(json.dumps(run.params[name])) for name in expected} == expected
    for frame in (found.frame, ours.log.frame()):
        assert frame["params"].str.contains('"max_tokens":2,').all()
        assert frame["tags"].str.contains('"share":0.1,.*"week":2').all()
    assert len(found.vote(seed=two, limit=two).state.ballots) == 2
    assert len(found.judge("Which?", judge="openai/gpt-4o-mini", seed=two, limit=two).frame) == 2
    found.difference("azure/fast", "azure/large", seed=two)
    found.gate("azure/fast", p95_ms=two, seed=two)
    made = bf.playground(["azure/fast"], "Hi", client=ours, temperature=np.float32(0.7), max_tokens=two)
    assert {"temperature": 0.7, "max_tokens": 2}.items() <= json.loads(json.dumps(made.request)).items()
    ours.log.update(found.runs[0].run_id, cache_hit=np.True_, chunks=two)
    assert (kept := ours.log.read(run_id=found.runs[0].run_id)[0]).cache_hit is True
    assert kept.chunks == 2
    for odd in ("x", 1.5, True, None):
        for ask in (found.vote, found.gate, found.judge, found.difference):
            first = {
                "vote": (),
                "gate": ("azure/fast",),
                "judge": ("Which?",),
                "difference": ("azure/fast", "azure/large"),
            }
            more = {"gate": {"p95_ms": 1}, "judge": {"judge": "a/b"}}.get(ask.__name__, {})
            with pytest.raises(bf.ConfigurationError, match="seed must be a whole number"):
                ask(*first[ask.__name__], seed=odd, **more)


COLUMN = pd.DataFrame({"n": [2, None]})["n"]
"""Of floats, since one is missing."""


@pytest.mark.parametrize("two", [2.0, COLUMN[0], Decimal("2.0")], ids=repr)
def test_a_whole_float_is_a_whole_number(gateway: LocalGateway, ours: Client, two: Any) -> None:
    """2.0 is sent as 2 wherever a whole number goes, and is the same call as with 2; 2.5 and a missing one are none."""
    client = Client(gateway.url, log=RunLog("off"))
    client.complete("azure/fast", "a", max_tokens=two, n=two, best_of=two, logprobs=two, seed=two, stream=False)
    client.chat("openai/gpt-4o-mini", "a", max_tokens=two)
    client.respond("openai/gpt-4o-mini", "a", max_output_tokens=two)
    client.embed("openai/text-embedding-3-small", "a", dimensions=two)
    bodies = [asked["body"] for asked in gateway.requests() if asked["method"] == "POST"]
    names = {"max_tokens", "n", "best_of", "logprobs", "seed", "dimensions"}
    names |= {"max_completion_tokens", "max_output_tokens"}
    sent = [(name, body[name]) for body in bodies for name in names if name in body]
    assert {name for name, _ in sent} == names
    assert all(type(value) is int and value == 2 for _, value in sent), sent
    first = bf.compare(["azure/fast"], "b", client=ours, max_tokens=2)
    both = [{"deployment": name, "max_tokens": two} for name in ("azure/fast", "azure/large")]
    again = bf.compare(both, "b", client=ours, repeats=two)
    assert first.runs[0].run_id in {run.run_id for run in again.runs}
    assert len(again) == 4
    assert len(again.vote(seed=two, limit=two).state.ballots) == 1
    assert repr(scorers.length(max=two)) == repr(scorers.length(max=2))
    for odd in (COLUMN[1], 2.5, 2.0**60):
        with pytest.raises(bf.ConfigurationError, match="max_tokens must be an integer"):
            client.complete("azure/fast", "a", max_tokens=odd)


BIASED: dict[str, Callable[[Client, Any], Any]] = {
    "complete": lambda client, bias: client.complete("azure/fast", "a", logit_bias=bias),
    "chat": lambda client, bias: client.chat("openai/gpt-4o-mini", "a", logit_bias=bias),
    "compare": lambda client, bias: bf.compare(["azure/fast"], "a", client=client, logit_bias=bias),
    "a deployment": lambda client, bias: bf.compare(
        [{"deployment": "azure/fast", "logit_bias": bias}], "a", client=client
    ),
    "a variable": lambda client, bias: bf.compare(
        ["azure/fast"], {"a": "a {{n}}"}, inputs=[{"n": bias}], client=client, logit_bias=bias
    ),
    "replay": lambda client, bias: bf.replay([bf.Run(prompt="a")], ["azure/fast"], client=client, logit_bias=bias),
    "recorded": lambda client, bias: bf.replay(
        [bf.Run(prompt="a", params={"logit_bias": bias})], ["azure/fast"], client=client
    ),
    "playground": lambda client, bias: (
        bf.playground(["azure/fast"], "a", client=client, logit_bias=bias).run().wait(20)
    ),
}


@pytest.mark.parametrize("key", [50256, np.int64(50256), "50256"], ids=lambda key: type(key).__name__)
@pytest.mark.parametrize("name", BIASED)
def test_token_numbers_are_keys_everywhere(gateway: LocalGateway, ours: Client, name: str, key: Any) -> None:
    """What a call takes, whatever makes calls takes; the body and the record have it as JSON has it."""
    BIASED[name](ours, {key: -100})
    [sent] = [asked["body"] for asked in gateway.requests() if asked["method"] == "POST"]
    [run] = ours.log.read()
    assert sent["logit_bias"] == run.params["logit_bias"] == {"50256": -100}


def test_a_token_is_not_biased_twice(gateway: LocalGateway) -> None:
    """One token as a number and as text would be one key in JSON, and one of the two biases lost."""
    with pytest.raises(bf.ConfigurationError, match=r"the token .*5.* twice"):
        Client(gateway.url, log=RunLog("off")).complete("azure/fast", "a", logit_bias={5: 1, "5": -1})
    assert not [asked for asked in gateway.requests() if asked["method"] == "POST"]
