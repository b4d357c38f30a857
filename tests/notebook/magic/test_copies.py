"""Copied code is run: the gateway receives the same body once more."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from IPython.core.interactiveshell import ExecutionResult

import bifrost_nb as bf
from bifrost_nb import Client, ConfigurationError, LocalGateway, Run, RunLog
from bifrost_nb._notebook.code_export import copy
from bifrost_nb._prompts.messages import user_turn
from bifrost_nb._prompts.pictures import data_url
from tests.compare.test_messages import png
from tests.thorough import some_of, thorough

from .conftest import CHAT, TEXT

Cell = Callable[[str], ExecutionResult]
PROMPT = 'It\'s "quoted", {{braces}} $HOME `x` \\n größer\n\n# second line -- end'

URL = data_url(png())
SCHEMA = {"type": "object", "title": "Order", "properties": {"city": {"type": "string"}}, "required": ["city"]}
STRICT = {"name": "Order", "strict": True, "schema": {**SCHEMA, "additionalProperties": False}}
SENT = {"response_format": {"type": "json_schema", "json_schema": STRICT}}

OPTIONS: dict[str, dict[str, Any]] = {
    "sampling": {"temperature": 0.25, "top_p": 0.5, "max_tokens": 7, "seed": 11, "n": 2},
    "stop": {"stop": ["END it", "\n", "'"]},
    "one stop": {"stop": "7"},
    "penalties": {"frequency_penalty": 0.5, "presence_penalty": -1.5, "logit_bias": {"50256": -100}},
    "fallbacks": {"fallbacks": ["openai/gpt-3.5-turbo-instruct", "azure/large"]},
    "extra": {"extra": {"top_k": 5, "nested": {"a": [1, "x y"], "b": None}, "text": "true", "on": True}},
    "a user like a number": {"user": "123"},
    "another route": {"route": "v1"},
    "a tiny number": {"temperature": 1e-07, "top_p": 1},
    "extra with names of flags": {"extra": {"route": "x", "deployment": "y", "input": "z", "chat": True}},
    "a stop of a line end": {"stop": "\n"},
    "a name that is an assignment": {"extra": {"a=b": 2}},
    "extra with odd names": {"extra": {"-x": 1, "with space": "it's", "größe": "…", "stream_options": None}},
    "parts of a text": {"suffix": "the end", "echo": True, "logprobs": 2, "best_of": 1},
}
CHAT_OPTIONS: dict[str, dict[str, Any]] = {
    "tools": {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]},
    "format": {"response_format": {"type": "json_object"}, "max_completion_tokens": 9},
    "effort": {"reasoning_effort": "low", "logprobs": True, "top_logprobs": 2},
    "a choice of tools": {
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
    },
    "a system message like a list": {"system": "- be brief"},
    "a system message of lines": {"system": "Be brief.\nBe kind."},
    "system": {"system": "Be {{brief}}, it's 'late'."},
    "an image": {
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "What?"},
                {"type": "image_url", "image_url": {"url": data_url(png())}},
            ]},
        ],
    },
    "turns of tools": {
        "messages": [
            {"role": "user", "content": "Go"},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            ]},
            {"role": "tool", "tool_call_id": "c", "content": "{}"},
        ],
    },
    "turns": {
        "messages": [{"role": role, "content": f"{role} {{{{x}}}} 'q'\n"} for role in ("user", "assistant", "user")],
    },
    "pictures": {
        "messages": [user_turn("What {{is}} it?", [URL, URL])],
    },
    "pictures after turns": {
        "messages": [
            {"role": "system", "content": "Be brief."},
            user_turn("What?", [URL]),
            {"role": "assistant", "content": "A dot."},
            {"role": "user", "content": "Sure?"},
        ],
        "temperature": 0.5,
    },
    "a schema": {"response_format": SENT["response_format"]},
    "a format of its own": {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}},
}  # fmt: skip
RESPONSES: dict[str, dict[str, Any]] = {
    "text": {"prompt": PROMPT, "max_output_tokens": 20, "temperature": 0.5},
    "instructions": {"prompt": "Hi", "instructions": "Be {{brief}}."},
    "turns": {
        "prompt": [
            {
                "role": "user",
                "content": [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": URL}],
            },
            {"role": "assistant", "content": [{"type": "output_text", "text": "b"}]},
            {"role": "user", "content": "c"},
        ],
    },
}
ASKED = {name: ("text", options) for name, options in OPTIONS.items()}
ASKED |= {f"chat: {name}": ("chat", options) for name, options in CHAT_OPTIONS.items()}
ASKED |= {f"responses: {name}": ("responses", options) for name, options in RESPONSES.items()}
NO_CELL = ("prompts", "a name that is an assignment")
ASKED |= {"a prompt like messages": ("chat", {"prompt": '[{"role": "user", "content": "x"}]'})}
ASKED |= {"a prompt like prompts": ("text", {"prompt": '["a", "b"]'}), "prompts": ("text", {"prompt": ["a", "b"]})}


def asked(client: Client, name: str, stream: bool = False) -> bf.Run:
    kind, options = ASKED[name]
    options = dict(options)
    prompt = None if "messages" in options else options.pop("prompt", PROMPT)
    call = client.prepare(kind, TEXT if kind == "text" else CHAT, prompt, stream, **options)  # type: ignore[arg-type]
    client.start(call).result()
    return call.run


def bodies(sent: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """What was received, the deployment written in one way: the SDK always uses the route that has it in the body."""
    found = [{**one["body"], "model": one["body"]["model"].rpartition("/")[2]} for one in sent()]
    for body in found:
        body.pop("stream", None)  # the magic always streams; `test_streams_stay_streams` looks at the others
    return found


@pytest.fixture
def client(gateway: LocalGateway, log: RunLog, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A client with keys, which copied code takes from the environment."""
    monkeypatch.setenv("BIFROST_VIRTUAL_KEY", "sk-bf-demo-alice")
    monkeypatch.setenv("X_API_KEY", "planted-header-key")
    headers = {"x-api-key": "planted-header-key", "x-plain": "it's", "x-user": 'Zoë "日本" \N{GRINNING FACE}'}
    return Client(gateway.url, log=log, headers=headers, retries=0)


def execute(form: str, code: str) -> None:
    if form == "curl":
        subprocess.run(["sh", "-c", code], check=True, capture_output=True, timeout=30)
    else:
        names: dict[str, Any] = {}
        exec(compile(code, form, "exec"), names)
        if form == "openai":  # a program would end here
            names["client"].close()


@pytest.mark.parametrize("form", ["curl", "openai", *thorough("httpx")])
@pytest.mark.parametrize("name", some_of(ASKED))
def test_copied_code_sends_the_same(client: Client, sent: Any, name: str, form: str, capsys: Any) -> None:
    """For each option: the same body, keys and headers, at the same address."""
    run = asked(client, name)
    execute(form, str(copy(client, run, form)))
    first, second = bodies(sent)
    assert first == second
    for header in ("x-bf-vk", "x-api-key", "x-plain", "x-user"):
        assert sent()[0]["headers"][header] == sent()[1]["headers"][header]


@pytest.mark.parametrize("form", ["curl", "httpx", "openai"])
def test_streams_stay_streams(client: Client, sent: Any, form: str, capsys: Any) -> None:
    """A streamed run is copied as code that streams."""
    for name in ("sampling", "chat: effort"):
        execute(form, str(copy(client, asked(client, name, stream=True), form)))
    assert [one["body"].get("stream") for one in sent()] == [True] * 4


@pytest.mark.parametrize("name", some_of(name for name in ASKED if name not in NO_CELL))
def test_a_copied_cell_sends_the_same(run: Cell, client: Client, sent: Any, name: str) -> None:
    """The cell that %bifrost copy --as magic writes, run in a shell."""
    made = asked(client, name)
    result = run(str(copy(client, made, "magic")))
    assert result.error_in_exec is None
    first, second = bodies(sent)
    assert first == second


def test_a_copied_cell_reads_as_one_writes_it(run: Cell, client: Client) -> None:
    """Pictures by --image, tools by --tools, a schema by --schema, whose answer is typed again; a path is not read."""
    forms = {name: str(copy(client, asked(client, f"chat: {name}"), "magic")) for name in CHAT_OPTIONS}
    assert forms["system"].startswith("%%bifrost ")
    assert "--image picture_1 --image picture_2" in forms["pictures"]
    assert "What {{{{is}}}} it?" in forms["pictures"]
    assert "--tools tools" in forms["tools"]
    assert "--messages messages" in forms["turns"]
    assert "--schema schema" in forms["a schema"]
    assert "--schema" not in forms["a format of its own"]
    run(f"{forms['a schema']}\nanswer = _bifrost")
    assert run("answer.valid is not None").result
    made = Run(
        request_type="chat_completion", requested_provider="openai", requested_model="gpt-4o-mini",
        prompt=f'[{{"role": "user", "content": [{{"type": "text", "text": "x"}},'
        f' {{"type": "image_url", "image_url": {{"url": "{__file__}"}}}}]}}]',
    )  # fmt: skip
    assert "--messages messages" in str(copy(client, made, "magic"))


def test_what_no_cell_can_say_is_told(client: Client) -> None:
    """Several prompts and odd names: copied as httpx instead."""
    for name in NO_CELL:
        with pytest.raises(ConfigurationError, match="httpx"):
            copy(client, asked(client, name), "magic")


def test_a_replay_asks_the_text_that_was_asked(client: Client, sent: Any) -> None:
    """What only looks like messages or several prompts is sent again as the text it was."""
    for name in ("a prompt like messages", "a prompt like prompts", "chat: turns", "prompts"):
        run = asked(client, name)
        bf.replay([run], [run.requested or ""], client=client)
    received = bodies(sent)
    assert received[::2] == received[1::2]
    assert len(received) == 8
