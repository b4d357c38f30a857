"""`bf.prompts` and `bf.prompt`: the gateway's repository read, written to, and its use found in the log."""

from __future__ import annotations

import pickle
from pathlib import Path

import httpx
import pandas as pd
import pytest

import bifrost_nb as bf
from bifrost_nb._simulator.process import LocalGateway

CHAT = "openai/gpt-4o-mini"
PIRATE = [{"role": "system", "content": "Talk like a pirate about {{topic}}."}]


@pytest.fixture
def client(gateway: LocalGateway, tmp_path: Path) -> bf.Client:
    return bf.Client(gateway.url, log=bf.RunLog(tmp_path / "runs.jsonl"))


def test_a_prompt_is_committed_and_read_again(client: bf.Client) -> None:
    """The first commit makes folder and prompt; each one is a version, and old ones stay."""
    new = bf.prompt("team/pirate", create=True, client=client)
    assert (new.id, new.version) == (None, None)
    assert bf.prompts(client).empty
    first = new.commit(PIRATE, message="first", deployment=CHAT, parameters={"temperature": 0.5})
    second = first.commit("Write a tagline for {{product}}.", message="shorter")
    assert (first.version, second.version, second.id) == (1, 2, first.id)
    read = bf.prompt("team/pirate", client=client)
    assert (read, read.text, read.deployment) == (second, "Write a tagline for {{product}}.", CHAT)
    assert read.parameters == {"temperature": 0.5}
    old = bf.prompt("team/pirate", version=1, client=client)
    assert (list(old.messages), old.message) == (PIRATE, "first")
    assert old.created_at is not None
    assert bf.prompt(str(first.id), client=client) == second
    (row,) = bf.prompts(client).to_dict("records")
    assert (row["name"], row["version"], row["message"], row["messages"]) == ("team/pirate", 2, "shorter", 1)
    assert pd.Timestamp(row["updated_at"]).tzinfo is not None
    another = bf.prompt("team/second", create=True, client=client).commit("Hi")
    assert another.name == "team/second"
    assert httpx.get(f"{client.base_url}/api/prompt-repo/folders").json()["folders"][0]["name"] == "team"
    assert len(httpx.get(f"{client.base_url}/api/prompt-repo/folders").json()["folders"]) == 1


def test_the_gateway_is_asked_whether_it_used_the_prompt(client: bf.Client) -> None:
    """A chat with the headers is sent with the version; with an unknown id it is not, silently; a text never is."""
    made = bf.prompt("pirate", create=True, client=client).commit(PIRATE)
    with_prompt = client.chat(CHAT, "Hello", headers=made.headers, max_tokens=3)
    without = client.chat(CHAT, "Hello", max_tokens=3)
    assert with_prompt.prompt_tokens > without.prompt_tokens
    assert made.used_by(with_prompt) is True
    assert made.used_by(without) is False
    wrong = client.chat(CHAT, "Hello", headers={**made.headers, "x-bf-prompt-version": "9"}, max_tokens=3)
    assert wrong.prompt_tokens == without.prompt_tokens
    assert made.used_by(wrong) is False
    text = client.complete("azure/gpt-35-turbo-instruct", "Hello", headers=made.headers, max_tokens=3)
    assert made.used_by(text) is False


def test_what_is_wrong_is_said_with_what_there_is(client: bf.Client, gateway: LocalGateway) -> None:
    """Near names, versions that exist, doubled names, and nothing sent for what cannot be right."""
    made = bf.prompt("team/pirate", create=True, client=client).commit(PIRATE)
    with pytest.raises(bf.NotFound, match="Did you mean 'team/pirate'"):
        bf.prompt("team/pirat", client=client)
    with pytest.raises(bf.NotFound, match="has no version 3; there is 1"):
        bf.prompt("team/pirate", version=3, client=client)
    with pytest.raises(bf.ConfigurationError, match="has no version yet"):
        _ = bf.prompt("new", create=True, client=client).headers
    httpx.post(f"{gateway.url}/api/prompt-repo/prompts", json={"name": "two"})
    httpx.post(f"{gateway.url}/api/prompt-repo/prompts", json={"name": "two"})
    with pytest.raises(bf.ConfigurationError, match="2 prompts called 'two': give an id"):
        bf.prompt("two", client=client)
    for wrong, message in (([], "a text or a list"), ([{"role": "user"}], "'content'"), (5, "a text or a list")):
        with pytest.raises(bf.ConfigurationError, match=message):
            made.commit(wrong)  # type: ignore[arg-type]
    with pytest.raises(bf.ConfigurationError, match="provider/model"):
        made.commit("Hi", deployment="gpt")
    with pytest.raises(bf.ConfigurationError, match="folder/name"):
        bf.prompt(" / ", client=client)
    for name in ("a//b", "/x", "x/", "team/ ", "a\x1b[2Jb", "\ud800", 5, None, ["x"]):
        with pytest.raises(bf.ConfigurationError, match="folder/name"):
            bf.prompt(name, create=True, client=client)  # type: ignore[arg-type]
    for options, message in (
        ({"deployment": 5}, "deployment must be text"),
        ({"parameters": [1]}, "parameters must be a dict"),
        ({"parameters": {"temperature": float("nan")}}, "parameters.temperature is nan"),
        ({"parameters": {"stop": {1: "x"}}}, "not text"),
        ({"messages": [{"role": "user", "content": [float("inf")]}]}, "is inf"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "half of a character"),
    ):
        with pytest.raises(bf.ConfigurationError, match=message):
            made.commit(**{"messages": "Hi", **options})  # type: ignore[arg-type]
    with pytest.raises(bf.ConfigurationError, match="used_by takes a run, not str"):
        made.used_by("x")  # type: ignore[arg-type]
    assert bf.prompt("team/pirate", client=client).version == 1
    with pytest.raises(bf.ConfigurationError, match="whole number"):
        bf.prompt("x", version=0, client=client)
    with pytest.raises(bf.ConfigurationError, match="was not read from a gateway"):
        pickle.loads(pickle.dumps(made)).commit("Hi")


def test_stored_messages_of_all_forms_are_read(client: bf.Client, gateway: LocalGateway) -> None:
    """As they are, in the envelope of the gateway's pages, as a model's answer in one; what is none is left out."""
    made = bf.prompt("forms", create=True, client=client).commit("Hi")
    stored = [
        {"role": "system", "content": "a"},
        {"originalType": "completion_request", "payload": {"role": "user", "content": "b"}},
        {
            "originalType": "completion_result",
            "payload": {"choices": [{"message": {"role": "assistant", "content": "c"}}]},
        },
        {"payload": "odd"},
        "odd",
    ]
    url = f"{gateway.url}/api/prompt-repo/prompts/{made.id}/versions"
    assert httpx.post(url, json={"messages": stored}).status_code == 200
    read = bf.prompt("forms", client=client)
    assert [(each["role"], each["content"]) for each in read.messages] == [
        ("system", "a"),
        ("user", "b"),
        ("assistant", "c"),
    ]
    with pytest.raises(bf.ConfigurationError, match="3 messages, not one text"):
        _ = read.text


def test_a_key_in_a_prompt_is_nowhere(gateway: LocalGateway, log: bf.RunLog) -> None:
    """A gateway that repeats our key in a prompt's messages, parameters or names; control sequences stay out of the
    table, and what is sent again keeps them."""
    key = "sk-bf-secret-0123456789"
    client = bf.Client(gateway.url, virtual_key=key, log=log)
    new = bf.prompt("echo", create=True, client=client)
    new.commit(f"\x1b[2J Say {key}", message=f"for {key}\x1b[2J", parameters={"user": key, "stop": [key]})
    read = bf.prompt("echo", client=client)
    table = bf.prompts(client)
    assert key not in repr(read) + str(read.messages) + str(read.parameters) + table.to_csv()
    assert (read.text, read.parameters["stop"]) == ("\x1b[2J Say [hidden]", ["[hidden]"])
    assert "\x1b" not in table.to_csv() + str(read.message)


def test_a_gateway_without_a_repository_is_told(tmp_path: Path) -> None:
    """Gateways 1.3 and 1.4.0 answer with their pages; the error names the version that brought it."""
    with bf.local_gateway(dialect="1.4") as gateway:
        client = bf.Client(gateway.url, log=bf.RunLog(tmp_path / "runs.jsonl"))
        with pytest.raises(bf.NotFound) as raised:
            bf.prompts(client)
    assert "1.4.18" in str(raised.value) + str(raised.value.hint)
