"""Hostile pictures, sounds, schemas and tools end in one short error at every door, and nothing is sent.

The doors are what takes them from a user or a file: compare, fill, replay, the magic, the playground and the client.
"""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

import bifrost_nb as bf
from bifrost_nb import BifrostError, Client, LocalGateway, RunLog
from tests.thorough import some_of

from ..shells import fresh_shell

CHAT, DRAW, HEAR = "openai/gpt-4o-mini", "openai/gpt-image-1", "openai/whisper-1"
LONGEST = 700
"""Characters of an error: it says what is wrong, and repeats nothing that is huge."""
SECONDS = 60.0
"""For all values at one door: far more than it takes, and less than reading what is endless would."""


def deep(levels: int = 100_000) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def deep_schema(levels: int = 5_000) -> dict[str, Any]:
    value: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        value = {"type": "object", "properties": {"a": value}}
    return value


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    """What is no picture and no sound, whatever its name says."""
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(5 * 2**30)
    return {
        "endless": "/dev/zero",
        "large": tmp_path / "large.png",
        "pipe": tmp_path / "pipe.png",
        "folder": tmp_path / "folder.png",
        "missing": "../" * 500 + "no/such.png",
        "nul": "a\0b.png",
        "nobody": "~no-such-user/a.png",
        "100 MB": bytes(105 * 10**6),
        "pixels": np.broadcast_to(np.uint8(0), (20_000, 20_000)),
        "deep": deep(),
        "nothing": None,
    }


class Breaks:
    """Fails in whatever way it is read as a picture."""

    def __fspath__(self) -> str:
        raise RuntimeError("boom\x1b[2J")


class BreaksAsFigure:
    def savefig(self, *arguments: Any, **options: Any) -> None:
        raise ValueError("boom\x1b[2J")


@pytest.fixture
def pictures(files: dict[str, Any]) -> dict[str, Any]:
    return files | {
        "breaks": Breaks(),
        "breaks as a figure": BreaksAsFigure(),
        "no size": SimpleNamespace(getbands=tuple, save=print, size=("a", "b")),
        "masked": np.ma.masked_array(np.zeros((2, 2), "uint8"), mask=True),
        "passwords": "../../../../../../../../etc/passwd",
        "file address": "file:///etc/passwd",
        "address": "http://127.0.0.1:9/a.png",
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        "svg as data": "data:image/svg+xml;base64," + base64.b64encode(b"<svg/>").decode(),
        "long data": "data:image/png;base64," + "A" * 100_000_000,
    }


@pytest.fixture
def shell(gateway: LocalGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    monkeypatch.setenv("BIFROST_BASE_URL", gateway.url)
    monkeypatch.setenv("BIFROST_RUN_LOG", str(tmp_path / "runs.jsonl"))
    with fresh_shell() as shell:
        yield shell


def refused(doors: dict[str, Callable[[Any], Any]], values: dict[str, Any], gateway: LocalGateway) -> None:
    """Each value at each door is one of our errors, short, soon, and nothing was sent."""
    began = time.monotonic()
    for door, ask in doors.items():
        for name, value in values.items():
            raised: BaseException | None = None
            try:
                ask(value)
            except BaseException as error:
                raised = error
            said = f"{name} at {door}: {type(raised).__name__}: {str(raised)[:300]}"
            assert isinstance(raised, BifrostError | UsageError), said
            assert len(str(raised)) < LONGEST, said
    assert time.monotonic() - began < SECONDS * len(doors)
    assert [one["path"] for one in gateway.requests() if one["method"] == "POST"] == []


def in_a_cell(shell: InteractiveShell, line: str) -> Callable[[Any], Any]:
    """The magic with `value` in the notebook; raises what the cell ended with."""

    def run(value: Any) -> None:
        shell.user_ns["value"] = value
        error = shell.run_cell(f"%%bifrost {CHAT} {line}\nWhat is it?").error_in_exec
        if error is not None:
            raise error

    return run


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


def test_pictures(client: Client, gateway: LocalGateway, shell: InteractiveShell, pictures: dict[str, Any]) -> None:
    """In a column of compare and fill, as a variable of a cell, behind a playground's prompt and in its rows."""
    no_variable = {name: value for name, value in pictures.items() if name != "nothing"}
    asked: dict[str, Any] = {"images": "p", "client": client}
    refused(
        {
            "compare": lambda v: bf.compare([CHAT], "What?", inputs=[{"p": v}], **asked),
            "compare by batch": lambda v: bf.compare([CHAT], "What?", inputs=[{"p": v}], mode="batch", **asked),
            "fill": lambda v: bf.fill(
                pd.DataFrame({"p": pd.Series([v], dtype=object)}), "What?", schema=SCHEMA, deployment=CHAT, **asked
            ),
            "playground": lambda v: bf.playground([CHAT], "What?", pictures=[v], client=client),
            "playground's rows": lambda v: bf.playground([CHAT], "What?", inputs=[{"p": v}], **asked).run(),
        },
        pictures,
        gateway,
    )
    refused(
        {
            "a cell": in_a_cell(shell, "--image value"),
            "a cell of several": in_a_cell(shell, "azure/gpt-4o --image value"),
            "a cell of rows": in_a_cell(shell, "--inputs 'value' --image p"),
        },
        no_variable,
        gateway,
    )


def test_sounds(client: Client, gateway: LocalGateway, files: dict[str, Any]) -> None:
    """Of a call and of a comparison; and what a picture or a spoken text would be written over."""
    refused(
        {
            "transcribe": lambda v: client.transcribe(HEAR, v),
            "compare": lambda v: bf.compare([HEAR], inputs=[{"s": v}], sounds="s", api="transcription", client=client),
        },
        files,
        gateway,
    )
    written = {name: files[name] for name in ("pipe", "folder", "missing", "nul", "nobody", "deep")}
    refused({"image": lambda v: client.image(DRAW, "A cat", path=v)}, written, gateway)


def test_names_of_megabytes(client: Client, gateway: LocalGateway) -> None:
    """What is repeated in a message is cut, wherever a name is taken."""
    long, asked = "p" * 5_000_000, {"inputs": [{"p": b"\x89PNG\r\n\x1a\n"}], "client": client}
    doors: dict[str, Callable[[], Any]] = {
        "images": lambda: bf.compare([CHAT], "What?", images=long, **asked),
        "sounds": lambda: bf.compare([HEAR], sounds=long, api="transcription", **asked),
        "tools": lambda: bf.compare([CHAT], "What?", tools=long, **asked),
        "response_format": lambda: bf.compare([CHAT], "What?", response_format=long, **asked),
        "a variable": lambda: bf.compare([CHAT], f"{{{{{long}}}}}", **asked),
        "a deployment": lambda: bf.compare([long], "What?", **asked),
        "an api": lambda: bf.compare([CHAT], "What?", api=long, **asked),  # type: ignore[arg-type]
        "a mode": lambda: bf.compare([CHAT], "What?", mode=long, **asked),  # type: ignore[call-overload]
        "a variant": lambda: bf.compare([{"deployment": CHAT, "name": long}, {"deployment": CHAT, "name": long}], "x"),
        "a voice": lambda: client.speech("openai/gpt-4o-mini-tts", "Hi", voice="a", response_format=long),
        "a prompt": lambda: bf.prompt(long, client=client),
    }
    for door, ask in doors.items():
        with pytest.raises(BifrostError) as caught:
            ask()
        assert len(str(caught.value)) < 8_100, door
    assert [one["path"] for one in gateway.requests() if one["method"] == "POST"] == []


SCHEMAS = {
    "deep": deep_schema(),
    "2 MB": {"type": "object", "description": "x" * 2_000_000},
    "100 MB": {"type": "object", "description": "x" * 100_000_000},
    "fetched": {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/a.json"}}},
    "a file": {"type": "object", "properties": {"a": {"$ref": "file:///etc/passwd"}}},
    "no JSON": {"type": "object", "x": object()},
    "a list": {"type": "array"},
    "wrong": {"type": "object", "properties": 3},
    "deep list": deep(),
    "leads nowhere": {"type": "object", "properties": {"a": {"$ref": "#/$defs/none"}}},
    "a circle": {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"$ref": "#/$defs/a"}}},
    "a bomb of a pattern": {"type": "object", "properties": {"a": {"pattern": "((a{999}){999}){999}"}}},
    "no bound": {"type": "object", "properties": {"a": {"pattern": "^(?!b)(a+)+$"}}},
}


def test_schemas(client: Client, gateway: LocalGateway, shell: InteractiveShell) -> None:
    """Wherever a schema is taken."""
    frame = pd.DataFrame({"text": ["a"]})
    refused(
        {
            "chat": lambda v: client.chat(CHAT, "Read it.", schema=v),
            "respond": lambda v: client.respond(CHAT, "Read it.", schema=v),
            "compare": lambda v: bf.compare([CHAT], "Read it.", schema=v, client=client),
            "compare by batch": lambda v: bf.compare([CHAT], "Read it.", schema=v, mode="batch", client=client),
            "fill": lambda v: bf.fill(frame, "Read {{text}}", schema=v, deployment=CHAT, client=client),
            "playground": lambda v: bf.playground([CHAT], "Read it.", schema=v, client=client),
            "a cell": in_a_cell(shell, "--schema value"),
            "a cell of several": in_a_cell(shell, "azure/gpt-4o --schema value"),
        },
        SCHEMAS,
        gateway,
    )


def _tool(**more: Any) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": "f", **more}}]


def test_tools(client: Client, gateway: LocalGateway, shell: InteractiveShell) -> None:
    """Tools that no JSON can say, and arguments of earlier calls in a conversation that is sent again."""
    tools = {
        "deep": _tool(parameters=deep_schema(100_000)),
        "object": _tool(parameters=object()),
        "text": "tools",
        "list": deep(),
    }
    refused(
        {
            "chat": lambda v: client.chat(CHAT, "Hi", tools=v),
            "compare": lambda v: bf.compare([CHAT], "Hi", tools=v, client=client),
            "compare by batch": lambda v: bf.compare([CHAT], "Hi", tools=v, mode="batch", client=client),
            "playground": lambda v: bf.playground([CHAT], "Hi", tools=v, client=client).run(),
            "a cell": in_a_cell(shell, "--tools value"),
        },
        tools,
        gateway,
    )
    rows = {
        "deep parameters": {"params": '{"tools":' + "[" * 100_000},
        "pictures elsewhere": {"prompt": '[{"role":"user","content":"data:image/png;sha256=0123456789abcdef"}]'},
        "no messages": {"prompt": '[{"role":"user"}]'},
        "a tool for nobody": {"prompt": '[{"role":"tool","content":"x"}]'},
    }
    refused({"replay": lambda v: bf.replay(recorded(client, **v), CHAT, client=client)}, rows, gateway)


def recorded(client: Client, **facts: Any) -> pd.DataFrame:
    """A row of a log as it may be handed on: one chat."""
    run = bf.Run(
        request_type="chat_completion", requested_provider="openai", requested_model="gpt-4o-mini", status="ok",
        prompt="Hi", response="Hello", total_ms=1.0,
    )  # fmt: skip
    frame = bf.to_frame([run])
    for name, value in facts.items():
        frame[name] = pd.array([value], dtype="string")
    return frame


ARGUMENTS = {
    "deep": '{"a":' * 100_000,
    "deep and whole": '{"a":' * 50_000 + "1" + "}" * 50_000,
    "5 MB": '{"a": "' + "x" * 5_000_000 + '"}',
    "markup": '{"a": "<img src=x onerror=alert(1)>"}',
    "controls": '{"a": "\\u001b[2J\\ud800"}',
    "no JSON": "<script>alert(1)</script>",
    "a number": "7" * 10_000,
}


@pytest.mark.parametrize("name", some_of(ARGUMENTS))
def test_arguments_that_a_model_writes(client: Client, gateway: LocalGateway, log: RunLog, name: str) -> None:
    """An answer whose call has hostile arguments is an answer: shown short and inert at every door, and judged."""
    call = {"id": "c", "type": "function", "function": {"name": "f<b>", "arguments": ARGUMENTS[name]}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    body = {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}], "model": "m"}
    gateway.script([{"body": body}])
    tools = _tool(parameters={"type": "object"})
    found = bf.compare(
        [CHAT, "azure/gpt-4o"], "Hi", tools=tools, stream=False, score=bf.scorers.called("f", a=1), client=client
    )
    assert found.frame["status"].tolist() == ["ok", "ok"]
    replayed = bf.replay(client.log.frame(limit=1), CHAT, client=client)
    shown = [found.grid()._repr_html_(), found.grid().detail(0, 0), found.runs[0]._repr_mimebundle_()[0]["text/html"]]
    shown += [found.diff(CHAT, "azure/gpt-4o")._repr_html_(), replayed._repr_html_()]
    for one in map(str, shown):
        assert not any(tag in one for tag in ("<img", "<script", "<b>f", "\x1b", "f<b>("))
        assert len(one) < 3_000_000


@pytest.mark.thorough
def test_an_answer_of_a_hundred_thousand_calls(client: Client, gateway: LocalGateway) -> None:
    """Shown short and soon at each door; the run has them all."""
    call = {"type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    for many, deployment in ((100_000, CHAT), (90_000, "azure/gpt-4o")):
        message = {"role": "assistant", "content": None, "tool_calls": [{"id": f"c{n}", **call} for n in range(many)]}
        body = {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}], "model": "m"}
        gateway.script([{"deployment": deployment, "body": body}])
        run = client.chat(deployment, "Hi", tools=_tool(parameters={"type": "object"}))
        assert len(run.tool_calls) == many
        assert len(repr(run)) < 5_000
        assert f"and {many - 100:,} more calls" in repr(run)
    gateway.script([{"body": body}])
    found = bf.compare(
        [CHAT, "azure/gpt-4o"], "Hi", tools=_tool(parameters={"type": "object"}), stream=False, client=client,
        score=bf.scorers.called("f", a=1),
    )  # fmt: skip
    began = time.process_time()
    assert found.diff(CHAT, "azure/gpt-4o").similarity == 1
    assert len(str(found.grid().detail(0, 0))) < 20_000_000
    assert len(found.grid()._repr_html_()) < 1_000_000
    assert time.process_time() - began < SECONDS
