"""`compare(messages=..., images=..., tools=...)`: what goes over the wire, and what is refused before."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

import bifrost_nb as bf
from bifrost_nb import Client, ConfigurationError, LocalGateway, Run, TemplateError
from bifrost_nb._notebook.code_export import copy
from bifrost_nb._prompts.pictures import MOST_BYTES, data_url, shortened
from bifrost_nb._prompts.value_text import Fault

A, B = "openai/gpt-4o-mini", "azure/gpt-4o"
TURNS = [
    {"role": "system", "content": "You sell {{what}}."},
    {"role": "user", "content": [{"type": "text", "text": "Name a {{what}}."}, {"type": "text", "text": "Be brief."}]},
    {"role": "assistant", "content": "A {{{{what}}}}."},
    {"role": "user", "content": "In {{place}}?"},
]
INPUTS = {"what": ["lamp", "Käse"], "place": ["Oslo", "Rome"]}


def png(colour: str = "red", size: int = 8) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(made, "PNG")
    return made.getvalue()


def sent(gateway: LocalGateway) -> list[dict[str, Any]]:
    return [one["body"] for one in gateway.requests() if one["path"].endswith(("completions", "/responses"))]


def ask(client: Client, deployments: Any = (A, B), **asked: Any) -> bf.Comparison:
    result = bf.compare(deployments, **{"client": client, "max_tokens": 5, **asked})
    assert isinstance(result, bf.Comparison)
    return result


def test_variables_in_every_text_of_every_turn(client: Client, gateway: LocalGateway) -> None:
    """Each row makes its own conversation: all texts filled in, braces that were doubled kept, roles as given."""
    found = ask(client, messages=TURNS, inputs=INPUTS)
    bodies = sorted((body for body in sent(gateway)), key=lambda body: (body["model"], json.dumps(body["messages"])))
    assert len(bodies) == 4
    kaese = [body["messages"] for body in bodies if "Rome" in json.dumps(body)]
    assert (
        kaese
        == [
            [
                {"role": "system", "content": "You sell Käse."},
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "Name a Käse."}, {"type": "text", "text": "Be brief."}],
                },
                {"role": "assistant", "content": "A {{what}}."},
                {"role": "user", "content": "In Rome?"},
            ]
        ]
        * 2
    )
    assert found.frame["status"].eq("ok").all()
    assert found.frame["request_type"].eq("chat_completion").all()
    assert found.prompts["prompt"].iloc[0].startswith("system: You sell lamp.\n\nuser: Name a lamp.\nBe brief.")


def test_a_variant_may_have_a_history_of_its_own(client: Client, gateway: LocalGateway) -> None:
    """Its turns, filled in, stand behind the system message and in front of the prompt; it is one question for all."""
    history = [{"role": "user", "content": "I am in {{place}}."}, {"role": "assistant", "content": "So I see."}]
    two = [A, {"deployment": A, "name": "told", "history": history}]
    found = ask(client, two, prompt="Name a {{what}}.", inputs=INPUTS, system="Sell {{what}}.")
    asked = sorted(([turn["content"] for turn in body["messages"]] for body in sent(gateway)), key=str)
    assert asked == [
        ["Sell Käse.", "I am in Rome.", "So I see.", "Name a Käse."], ["Sell Käse.", "Name a Käse."],
        ["Sell lamp.", "I am in Oslo.", "So I see.", "Name a lamp."], ["Sell lamp.", "Name a lamp."],
    ]  # fmt: skip
    assert found.frame.groupby("input_id")["prompt_id"].nunique().tolist() == [1, 1]
    assert found.difference(A, "told", "completion_tokens").n == 2
    assert ask(client, two, prompt="Name a {{what}}.", inputs=INPUTS, system="Sell {{what}}.").progress.reused == 4
    other = [A, {"deployment": A, "name": "told", "history": [*history, *history]}]
    assert ask(client, other, prompt="Name a {{what}}.", inputs=INPUTS, system="Sell {{what}}.").progress.reused == 2
    assert pickle.loads(pickle.dumps(found)).frame["prompt"].tolist() == found.frame["prompt"].tolist()
    for wrong, said in (
        ("Hi", "list of messages"), ([{"role": "user"}], "content"), ([{"role": "user", "content": "{{no}}"}], "no"),
    ):  # fmt: skip
        with pytest.raises((ConfigurationError, TemplateError), match=said):
            ask(client, [{"deployment": A, "history": wrong}], prompt="Hi {{what}}", inputs=INPUTS)
    with pytest.raises(ConfigurationError, match="goes with chats only"):
        ask(client, [{"deployment": "azure/fast", "history": history, "api": "text"}], prompt="{{what}}", inputs=INPUTS)


def test_a_cell_that_is_run_again_sends_nothing(client: Client, gateway: LocalGateway) -> None:
    """Identity is what is sent: the same conversation is found in the log, one that differs in one turn is sent."""
    first = ask(client, messages=TURNS, inputs=INPUTS, tools=[TOOL])
    again = ask(client, messages=[dict(turn) for turn in TURNS], inputs=pd.DataFrame(INPUTS), tools=[TOOL])
    assert len(sent(gateway)) == 4
    assert first.frame["run_id"].tolist() == again.frame["run_id"].tolist()
    changed = [{**TURNS[0], "content": "You buy {{what}}."}, *TURNS[1:]]
    ask(client, messages=changed, inputs=INPUTS, tools=[TOOL])
    assert len(sent(gateway)) == 8
    assert pickle.loads(pickle.dumps(first)).frame["prompt"].tolist() == first.frame["prompt"].tolist()


TOOL = {"type": "function", "function": {"name": "find_shop", "parameters": {"type": "object", "properties": {}}}}


def test_tools_and_formats_for_all_and_for_one(client: Client, gateway: LocalGateway) -> None:
    """`tools` goes to all; a deployment's own `response_format` only to that one."""
    own = {"deployment": B, "name": "json", "response_format": {"type": "json_object"}}
    ask(client, [A, own], messages=[{"role": "user", "content": "Hi"}], tools=[TOOL], tool_choice="none")
    bodies = {body["model"]: body for body in sent(gateway)}
    assert [body["tools"] for body in bodies.values()] == [[TOOL], [TOOL]]
    assert {name: body.get("response_format") for name, body in bodies.items()} == {
        A: None,
        B: {"type": "json_object"},
    }


def test_tools_and_formats_of_each_row(client: Client, gateway: LocalGateway) -> None:
    """A text names the column with those of each row: lists, JSON, Arrow; an empty cell sends none."""
    other = {"type": "function", "function": {"name": "call_shop", "parameters": {"type": "object"}}}
    inputs = {"what": ["lamp", "kite", "bell"], "own": [[TOOL], orjson.dumps([other, TOOL]).decode(), None]}
    forms = {"deployment": B, "tools": None, "response_format": "form"}
    inputs["form"] = [{"type": "text"}, {"type": "json_object"}, {"type": "text"}]
    first = ask(client, [A, forms], prompt="Sell a {{what}}.", inputs=inputs, tools="own", api="chat")
    bodies = {(body["model"], body["messages"][0]["content"][7:-1]): body for body in sent(gateway)}
    assert [bodies[A, name].get("tools") for name in inputs["what"]] == [[TOOL], [other, TOOL], None]
    assert [bodies[B, name]["response_format"] for name in inputs["what"]] == inputs["form"]
    again = ask(client, [A, forms], prompt="Sell a {{what}}.", inputs=pd.DataFrame(inputs), tools="own", api="chat")
    assert again.frame["run_id"].tolist() == first.frame["run_id"].tolist()
    table = pa.table({"own": [[TOOL], [{**TOOL, "type": "custom"}]]})
    ask(client, [A], prompt="The same for all", inputs=table, tools="own", api="chat")
    assert sorted(body["tools"][0]["type"] for body in sent(gateway)[6:]) == ["custom", "function"]


@pytest.mark.parametrize(
    ("inputs", "tools", "said"),
    [
        ({"what": ["lamp"], "own": [[TOOL]]}, "onw", "'onw' names no column of inputs .what, own.. Did you mean 'own'"),
        ({"what": ["lamp", "kite"], "own": [[TOOL], "{"]}, "own", "Row 1: tools in the column 'own' of inputs must be"),
        ({"what": ["lamp", "kite"], "own": [[TOOL], object()]}, "own", "Row 1: tools in the column 'own'"),
        ({"what": ["lamp", "kite"], "own": [[TOOL], 7]}, "own", "tools"),
        (None, "own", "names no column of inputs"),
    ],
)
def test_what_is_wrong_with_the_tools_of_a_row(
    client: Client, gateway: LocalGateway, inputs: Any, tools: str, said: str
) -> None:
    """Said with the number of the row before anything is sent."""
    with pytest.raises(ConfigurationError, match=said):
        prompt = "Sell it" if inputs is None else "A {{what}}"
        ask(client, [A], prompt=prompt, inputs=inputs, tools=tools, api="chat")
    assert sent(gateway) == []


def test_named_messages_are_templates(client: Client) -> None:
    """A dict of lists makes variants, paired by the row of inputs."""
    short = [{"role": "user", "content": "{{what}}?"}]
    found = ask(client, [A], messages={"short": short, "long": TURNS}, inputs=INPUTS)
    assert found.variants == [f"{A} · short", f"{A} · long"]
    assert found.frame.groupby("input_id")["variant"].nunique().tolist() == [2, 2]


def test_a_replay_asks_the_same_conversation(client: Client, gateway: LocalGateway) -> None:
    """Turns, pictures and tools of recorded runs go to another deployment as they were."""
    ask(client, [A], messages=TURNS, inputs={**INPUTS, "photo": [png(), png("blue")]}, images="photo", tools=[TOOL])
    before = sent(gateway)
    bf.replay(client.log.frame(), [B], client=client)
    after = sent(gateway)[len(before) :]
    key = lambda body: json.dumps(body["messages"])  # noqa: E731
    for old, new in zip(sorted(before, key=key), sorted(after, key=key), strict=True):
        assert (old["messages"], old["tools"]) == (new["messages"], new["tools"])


def test_what_anthropics_sdk_asked_is_not_half_sent(client: Client, gateway: LocalGateway) -> None:
    """Tools and parts that only its API takes are left out with their reason; own tools in their place are sent."""
    tools = [{"name": "look", "input_schema": {"type": "object", "properties": {}}}]
    use = {"type": "tool_use", "id": "a", "name": "look", "input": {}}
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": [use]}]
    picture = [{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "data": "iVBOR"}}]}]
    old = [
        Run(request_type="chat_completion", prompt="Hi", params={"max_tokens": 5, "tools": tools}, status="ok"),
        Run(request_type="chat_completion", prompt=json.dumps(turns), response="a"),
        Run(request_type="chat_completion", prompt=json.dumps(picture), response="a"),
        Run(request_type="chat_completion", prompt="Hi", params={"max_tokens": 5}, status="ok"),
    ]
    replayed = bf.replay(old, ["openai/gpt-4o-mini"], client=client)
    assert len(replayed) == 1
    assert any("row 0 was left out: its tools are written as Anthropic's" in note for note in replayed.notes)
    assert any("2 rows (the first is row 1) were left out: its messages have parts" in note for note in replayed.notes)
    ours = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]
    assert len(bf.replay(old[:1], ["openai/gpt-4o-mini"], tools=ours, client=client)) == 1
    assert [one["body"].get("tools") for one in gateway.requests() if one["method"] == "POST"] == [None, ours]


def test_a_comparison_replays_with_its_pictures_and_its_frame_says_that_it_cannot(
    client: Client, gateway: LocalGateway
) -> None:
    """The frame is to be read: it has digests for pictures, and no replay takes them for what was sent."""
    found = ask(client, [A], prompt="What is it?", inputs={"photo": [png()]}, images="photo")
    bf.replay(found, [B], client=client)
    first, second = sent(gateway)
    assert first["messages"] == second["messages"]
    with pytest.raises(ConfigurationError, match="pictures are not in this frame"):
        bf.replay(found.frame, [B], client=client)


def test_copies_send_the_same_body(client: Client, gateway: LocalGateway) -> None:
    """A run's code as httpx holds the messages with their pictures."""
    run = ask(client, [A], messages=TURNS, inputs={**INPUTS, "p": [png(), png("blue")]}, images="p").runs[0]
    space: dict[str, Any] = {}
    exec(str(copy(client, run, "httpx")).split("with httpx")[0].split("response =")[0], space)
    assert space["body"] in sent(gateway)


def test_pictures_go_behind_the_text_of_the_last_user_turn(
    client: Client, gateway: LocalGateway, tmp_path: Path
) -> None:
    """Paths, bytes, PIL images, arrays and figures are sent as data: URLs of what they hold, whatever their name."""
    from matplotlib.figure import Figure

    jpeg = io.BytesIO()
    Image.new("RGB", (4, 4)).save(jpeg, "JPEG")
    (tmp_path / "named.png").write_bytes(jpeg.getvalue())
    values = [
        str(tmp_path / "named.png"),
        tmp_path / "named.png",
        png(),
        Image.new("L", (3, 3)),
        np.linspace(0, 1, 12).reshape(3, 4),
        Figure(figsize=(1, 1)),
    ]
    found = ask(client, [A], prompt="What is {{n}}?", inputs={"n": range(6), "photo": values}, images="photo")
    contents = {body["messages"][0]["content"][0]["text"]: body["messages"][0]["content"] for body in sent(gateway)}
    kinds = []
    for n in range(6):
        text, picture = contents[f"What is {n}?"]
        url = picture["image_url"]["url"]
        kinds.append(url.partition(";")[0])
        assert (picture["type"], text["type"]) == ("image_url", "text")
        Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).load()
    assert kinds == ["data:image/jpeg"] * 2 + ["data:image/png"] * 4
    frame = found.frame
    assert frame["prompt"].str.len().max() < 300
    assert frame["prompt"].str.contains("sha256=").all()
    assert frame["input_photo"].iloc[:2].tolist() == [str(tmp_path / "named.png")] * 2
    assert frame["input_photo"].iloc[2] == "[picture: PNG, 1 kB]"


def test_identity_is_the_picture_and_not_its_name(client: Client, gateway: LocalGateway, tmp_path: Path) -> None:
    """The same bytes from another place are the same question; another picture under the old name is not."""
    (tmp_path / "a.png").write_bytes(png())
    asked = {"prompt": "What is it?", "images": "photo"}
    ask(client, [A], **asked, inputs={"photo": [tmp_path / "a.png"]})
    ask(client, [A], **asked, inputs={"photo": [png()]})
    assert len(sent(gateway)) == 1
    (tmp_path / "a.png").write_bytes(png("green"))
    ask(client, [A], **asked, inputs={"photo": [tmp_path / "a.png"]})
    assert len(sent(gateway)) == 2


def test_the_responses_api_gets_its_own_words(client: Client, gateway: LocalGateway) -> None:
    """api="responses" sends input_text and input_image for the parts of a chat."""
    ask(client, [A], messages=TURNS[1:2], inputs={**INPUTS, "p": [png(), png("blue")]}, images="p", api="responses")
    parts = sent(gateway)[0]["input"][0]["content"]
    assert [part["type"] for part in parts] == ["input_text", "input_text", "input_image"]
    assert parts[2]["image_url"].startswith("data:image/png;base64,")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"prompt": "x", "messages": TURNS}, "pass one of them"),
        ({}, "pass a prompt, or messages"),
        ({"messages": []}, "nothing to send"),
        ({"messages": "Hi"}, "list of dicts"),
        ({"messages": [{"role": "user"}]}, "no 'content'"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, "needs a 'role'"),
        ({"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}, "dict with a 'type'"),
        ({"messages": [{"role": "tool", "content": "4"}]}, "tool_call_id"),
        ({"messages": [{"role": "system", "content": "Hi"}]}, "no turn of a user"),
        ({"messages": [{"role": "user", "content": "Hi"}], "api": "text"}, "takes no messages"),
        ({"prompt": [{"role": "user", "content": "Hi"}]}, "messages="),
        ({"prompt": "x", "images": "photo"}, "no column 'photo'"),
        ({"prompt": "x", "images": 3}, "name of a column"),
        ({"prompt": "x", "images": "p", "inputs": {"p": [None]}}, "has no picture"),
        ({"prompt": "x", "images": "p", "inputs": {"p": ["https://example.org/a.png"]}}, "not fetched"),
        ({"prompt": "x", "images": "p", "inputs": {"p": ["/dev/zero"]}}, "no file"),
        ({"prompt": "x", "images": "p", "inputs": {"p": ["/nowhere.png"]}}, "cannot be read"),
        ({"prompt": "x", "images": "p", "inputs": {"p": [b"<svg xmlns='x'/>"]}}, "SVG"),
        ({"prompt": "x", "images": "p", "inputs": {"p": [b"%PDF-1.7"]}}, "no PNG, JPEG, WebP or GIF"),
        ({"prompt": "x", "images": "p", "inputs": {"p": [object()]}}, "is an object"),
        ({"prompt": "x", "images": "p", "inputs": {"p": [np.zeros((2, 2, 7))]}}, "shape"),
        ({"prompt": "x", "images": "p", "inputs": {"p": [np.full((2, 2), 9.0)]}}, "outside of 0 to 1"),
    ],
)
def test_nothing_is_sent_for_what_is_wrong(
    asked: dict[str, Any], said: str, client: Client, gateway: LocalGateway
) -> None:
    """Each mistake is one error that says what is wrong, before anything is sent."""
    inputs = {**INPUTS} if asked.get("messages") is TURNS else None
    with pytest.raises(ConfigurationError, match=said):
        ask(client, [A], **{"inputs": inputs, **asked})
    assert sent(gateway) == []


def test_a_variable_without_a_value_names_its_turn(client: Client, gateway: LocalGateway) -> None:
    """A placeholder in any turn needs its column."""
    with pytest.raises(TemplateError, match=r"place.*messages\[3\]"):
        ask(client, messages=TURNS, inputs={"what": ["lamp"], "plase": ["Oslo"]})
    assert sent(gateway) == []


def test_a_deployment_that_takes_no_images_is_told_before(client: Client, gateway: LocalGateway) -> None:
    """What bf.models() says of a deployment's input decides, with the reason."""
    with pytest.raises(ConfigurationError, match=r"azure/fast takes no images, only text \(bf.models"):
        ask(client, [A, "azure/fast"], prompt="x", inputs={"p": [png()]}, images="p")
    assert sent(gateway) == []


def test_what_is_too_large_is_not_read(tmp_path: Path) -> None:
    """A file, bytes, a data: URL and a picture of too many pixels are refused by their size alone."""
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(5 * 2**30)
    os.mkfifo(tmp_path / "pipe.png")
    for value, said in [
        (tmp_path / "large.png", "MB, more than"),
        (tmp_path / "pipe.png", "no file"),
        (png() + bytes(MOST_BYTES), "MB, more than"),
        ("data:image/png;base64," + "A" * (3 * MOST_BYTES), "MB, more than"),
        (Image.new("1", (20_000, 20_000)), "pixels"),
        (np.broadcast_to(np.uint8(0), (20_000, 20_000)), "pixels"),
        ("data:image/svg+xml;base64," + base64.b64encode(b"<svg/>").decode(), "SVG"),
        ("x\0y", "cannot be read"),
    ]:
        with pytest.raises(Fault, match=said):
            data_url(value)
    assert len(shortened(json.dumps(data_url(png(size=200))))) < 60


def test_the_estimate_of_pictures_is_unknown(client: Client, gateway: LocalGateway) -> None:
    """dry_run knows no tokens of a picture that no provider counts, and says so instead of leaving them out."""
    found = bf.compare([B], "x", inputs={"p": [png()]}, images="p", client=client, dry_run=True)
    assert found.frame["prompt_tokens"].isna().all()
    assert "cost unknown" in repr(found)
    assert sent(gateway) == []


WRITTEN = {
    "a path": ("photo.png", "no address: pass a data: URL"),
    "a variable": ("{{photo}}", "name a column of pictures in images="),
    "broken base64": ("data:image/png;base64,@@@@", "holds no picture in base64"),
    "broken off": (data_url(png())[:62], "a PNG that breaks off"),
    "words": ("data:image/jpeg;base64," + base64.b64encode(b"words").decode(), "is no PNG, JPEG, WebP or GIF"),
    "a drawing": ("data:image/svg+xml;base64," + base64.b64encode(b"<svg/>").decode(), "is an SVG"),
}


@pytest.mark.parametrize(("url", "said"), WRITTEN.values(), ids=WRITTEN)
def test_pictures_in_written_messages_are_looked_at(client: Client, gateway: LocalGateway, url: str, said: str) -> None:
    """What no provider can read is one error before anything is sent, by whatever call; the turn is named."""
    part = {"type": "image_url", "image_url": {"url": url}}
    turns = [{"role": "user", "content": "Hi"}, {"role": "user", "content": [{"type": "text", "text": "What?"}, part]}]
    items = [{"role": "user", "content": [{"type": "input_image", "image_url": url}]}]
    own = {"deployment": A, "history": turns}
    for call in (
        lambda: client.chat(A, messages=turns),
        lambda: client.stream_chat(A, messages=turns),
        lambda: asyncio.run(client.achat(A, messages=turns)),
        lambda: ask(client, messages=turns),
        lambda: ask(client, [own], prompt="And?"),
        lambda: client.respond(A, items),
    ):
        with pytest.raises(ConfigurationError, match=said) as caught:
            call()
        assert re.match(r"The picture in (messages\[1\]|input\[0\]) ", str(caught.value))
    assert sent(gateway) == []


def test_pictures_that_a_provider_may_read_are_sent(client: Client, gateway: LocalGateway) -> None:
    """Whole ones, addresses elsewhere, kinds and sizes that only some take, in messages as they were written.

    And what the gateway itself puts right: base64 without its head, and spaces around an address; and base64 in lines.
    """
    urls = [data_url(png()), "https://example.com/a.png", "gs://bucket/a.png", "data:image/heic;base64,AAAA",
            " https://example.com/a.png", data_url(png()).partition(",")[2],
            "data:image/png;base64," + base64.encodebytes(png(size=64)).decode(),
            "data:image/png;base64," + "A" * (MOST_BYTES * 4 // 3 + 400)]  # fmt: skip
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    client.chat(A, messages=[{"role": "user", "content": parts}], max_tokens=3)
    ask(client, [A], messages=[{"role": "user", "content": parts}])
    assert [body["messages"][0]["content"] for body in sent(gateway)] == [parts] * 2
