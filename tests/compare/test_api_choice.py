"""By which API deployments are asked, why a comparison failed, and what a mistyped name was meant to be."""

from __future__ import annotations

from typing import Any

import pytest

import bifrost_nb as bf
from bifrost_nb import Client, LocalGateway, RunLog
from bifrost_nb._compare.compare import compare
from bifrost_nb.scorers import rubric

CHATS, TEXTS = "openai/gpt-4o-mini", "azure/fast"


def kinds(comparison: Any) -> list[str]:
    return list(comparison.frame["request_type"])


def test_each_deployment_is_asked_as_it_can_be(client: Client) -> None:
    """One that only chats by chat, one that has text completions by those; both answer, and the table says so."""
    comparison = compare([CHATS, TEXTS], "Hi", client=client, max_tokens=5)
    assert kinds(comparison) == ["chat_completion", "text_completion"]
    assert list(comparison.frame["status"]) == ["ok", "ok"]
    assert f"{TEXTS} by text completions; {CHATS} by chat" in str(comparison)
    assert comparison.frame["prompt_id"].nunique() == 1
    again = compare([CHATS, TEXTS], "Hi", client=client, max_tokens=5)
    assert again.progress.reused == 2


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"api": "chat"}, "chat_completion"),
        ({"chat": True}, "chat_completion"),
        ({"api": "responses"}, "responses"),
        ({"api": "responses", "system": "Be brief."}, "responses"),
        ({"system": "Be brief."}, "chat_completion"),
        ({}, "chat_completion"),
    ],
)
def test_what_is_decided_counts(options: Any, expected: str, client: Client) -> None:
    """``api=`` and ``chat=True`` decide for all; a system message wants a chat."""
    comparison = compare([CHATS], "Hi", client=client, max_tokens=20, **options)
    assert set(kinds(comparison)) == {expected}
    assert set(comparison.frame["status"]) == {"ok"}
    assert "same way" not in str(comparison)


def test_one_deployment_may_have_its_own(client: Client) -> None:
    """An entry's own ``api`` is its own."""
    entries = [{"deployment": CHATS, "api": "responses"}, {"deployment": CHATS, "name": "chat"}]
    comparison = compare(entries, "Hi", client=client, max_tokens=20)
    assert kinds(comparison) == ["responses", "chat_completion"]


def test_an_api_that_is_not_known_is_refused(client: Client, gateway: LocalGateway) -> None:
    """Before anything is sent, for all and for one."""
    three = "'text', 'chat' or 'responses', not"
    six = "'text', 'chat', 'responses', 'image', 'speech' or 'transcription', not"
    for entry, options, said in ((CHATS, {"api": "completions"}, six), ({"deployment": CHATS, "api": 1}, {}, three)):
        with pytest.raises(bf.ConfigurationError, match=said):
            compare([entry], "Hi", client=client, **options)
    assert not [one for one in gateway.requests() if one["method"] == "POST"]


def test_a_table_of_failures_says_why(client: Client) -> None:
    """Each reason once with its count, and what to do where a deployment only chats."""
    comparison = compare([CHATS], "About {{n}}.", inputs={"n": [1, 2, 3]}, api="text", client=client, max_tokens=5)
    shown = str(comparison)
    assert f"{CHATS}: 3 failed: " in shown
    assert "not supported" in shown
    assert "api='chat'" in shown
    assert "3 failed" in comparison._repr_html_()


@pytest.mark.parametrize(
    "rule",
    [{"status": 401}, {"status": 402}, {"status": 500}, {"drop": {}}, {"drop": {"after_chunks": 2}}, {"silent": True}],
)
def test_what_has_nothing_to_do_with_the_api_names_none(
    client: Client, gateway: LocalGateway, rule: dict[str, Any]
) -> None:
    """A wrong key, no money, a broken connection or silence: the reason, and no advice to chat."""
    gateway.script([{"chunks": 5, **rule}])
    shown = str(compare([TEXTS], "Hi", client=client, timeout=0.5 if rule.get("silent") else 20))
    assert f"{TEXTS}: 1 failed: " in shown
    assert "api=" not in shown


def test_variants_that_fail_alike_are_told_together(client: Client) -> None:
    """Seven variants with one reason are one line: the first five, how many more, and all their runs."""
    asked = [{"deployment": CHATS, "name": f"v{place}", "temperature": place / 10} for place in range(7)]
    comparison = compare(asked, "About {{n}}.", inputs={"n": [1, 2]}, api="text", client=client, max_tokens=5)
    lines = [line for line in str(comparison).splitlines() if " failed: " in line]
    assert len(lines) == 1
    assert "v0, v1, v2, v3, v4 and 2 more: 14 failed: " in lines[0]


@pytest.mark.parametrize(
    ("typed", "meant"), [("azure/fsat", TEXTS), ("openai/gpt-4o-mni", CHATS), ("azzure/fast", TEXTS)]
)
@pytest.mark.parametrize("way", ["call", "stream", "compare", "judge"])
def test_a_typo_gets_the_name_that_was_meant(
    typed: str, meant: str, way: str, gateway: LocalGateway, log: RunLog
) -> None:
    """The list is asked for once, after the error, and the hint names the nearest deployment."""
    client = Client(gateway.url, log=log, retries=0)
    if way == "compare":
        told = str(compare([typed], "Hi", client=client, api="text", repeats=3))
    elif way == "judge":
        told = str(compare([TEXTS], "Hi", client=client, max_tokens=2, score=rubric("Is it short?", judge=typed)))
    else:
        with pytest.raises(bf.GatewayError) as caught:
            if way == "call":
                client.complete(typed, "Hi")
            else:
                with client.stream(typed, "Hi") as stream:
                    list(stream)
        told = str(caught.value)
        assert told == log.read()[-1].error_message
    assert f"Did you mean '{meant}'?" in told
    paths = [one["path"] for one in gateway.requests()]
    assert paths.count("/v1/models") <= 1


def test_a_name_that_is_there_is_not_asked_about(gateway: LocalGateway, log: RunLog) -> None:
    """Where the gateway has the deployment and answers 404 all the same, nothing is suggested."""
    gateway.script([{"status": 404, "error": {"message": "gone for a moment"}}])
    with pytest.raises(bf.GatewayError) as caught:
        Client(gateway.url, log=log, retries=0).complete(TEXTS, "Hi")
    assert "mean" not in str(caught.value)


@pytest.mark.parametrize("api", ["text", "responses"])
def test_what_contradicts_itself_is_refused(api: Any, client: Client, gateway: LocalGateway) -> None:
    """``chat=True`` beside another ``api=`` is one error, in `compare`, the playground and `load_curve`."""
    asks: list[Any] = [
        lambda: compare([CHATS], "Hi", api=api, chat=True, client=client),
        lambda: bf.playground([CHATS], "Hi", api=api, chat=True, client=client),
        lambda: bf.load_curve(CHATS, "Hi", rates=[1], seconds=1, api=api, chat=True, client=client),
    ]
    for ask in asks:
        with pytest.raises(bf.ConfigurationError, match=f"chat=True and api='{api}' contradict"):
            ask()
    assert not [one for one in gateway.requests() if one["method"] == "POST"]


@pytest.mark.parametrize(("deployment", "expected"), [(CHATS, "chat_completion"), (TEXTS, "text_completion")])
def test_the_playground_asks_as_compare_does(deployment: str, expected: str, client: Client) -> None:
    """What is left to the gateway goes by its list; a system message makes a chat of a deployment that has both."""
    play = bf.playground([deployment], "Hi", client=client, max_tokens=5)
    assert list(play.run().wait(20).frame["request_type"]) == [expected]
    assert "api" not in play.request
    play.update(api="responses", deployments=[CHATS], max_tokens=20).run().wait(20)
    assert list(play.frame["request_type"]) == ["responses"]


@pytest.mark.parametrize(
    ("deployment", "options", "expected"),
    [
        (CHATS, {}, "chat_completion"),
        (TEXTS, {}, "text_completion"),
        (CHATS, {"api": "responses", "max_tokens": 20, "system": "Be brief."}, "responses"),
    ],
)
def test_a_load_curve_asks_as_compare_does(deployment: str, options: Any, expected: str, client: Client) -> None:
    """The way that the list says, unless decided."""
    curve = bf.load_curve(deployment, "Hi", rates=[4], seconds=0.5, client=client, **{"max_tokens": 5, **options})
    assert set(curve.runs["request_type"]) == {expected}
    assert set(curve.runs["status"]) == {"ok"}
