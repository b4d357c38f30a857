"""``--image``, ``--messages``, ``--schema``, ``--tools``: what goes over the wire, and what is refused before."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell
from IPython.utils.capture import capture_output

from bifrost_nb import Run
from bifrost_nb._notebook.magic.completion import complete
from bifrost_nb._simulator.process import LocalGateway
from tests.compare.test_messages import png
from tests.thorough import thorough

from .conftest import CHAT, TEXT

Cell = Callable[[str], ExecutionResult]
Sent = Callable[[], list[dict[str, Any]]]

BOTH = "azure/gpt-4o"
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
SCHEMA = {"type": "object", "title": "Order", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TURNS = [
    {"role": "user", "content": "Call me {{secret}}."},
    {"role": "assistant", "content": "Yes."},
]


@pytest.fixture
def names(shell: InteractiveShell, tmp_path: Path) -> dict[str, Any]:
    """What a notebook has: pictures, a schema, tools, messages."""
    (tmp_path / "photo.png").write_bytes(png("blue"))
    given = {"photo": png(), "tools": [TOOL], "order": SCHEMA, "turns": TURNS, "secret": "s3cret", "n": 3}
    shell.user_ns.update(given)
    return given


def url(picture: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(picture).decode()


def bodies(sent: Sent) -> list[dict[str, Any]]:
    return [one["body"] for one in sent()]


def test_pictures(run: Cell, sent: Sent, names: dict[str, Any]) -> None:
    """A variable and a file go behind the text, in that order, as data: URLs; no variable is needed for a file."""
    assert run(
        f"%%bifrost {CHAT} --image photo --image ./photo.png --system 'Be {{{{n}}}}.' --max-tokens 5\nWhat?"
    ).success
    assert bodies(sent)[0]["messages"] == [
        {"role": "system", "content": "Be 3."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What?"},
                {"type": "image_url", "image_url": {"url": url(png())}},
                {"type": "image_url", "image_url": {"url": url(png("blue"))}},
            ],
        },
    ]


def test_pictures_by_the_responses_api(run: Cell, sent: Sent, names: dict[str, Any]) -> None:
    """Parts have other names there."""
    assert run(f"%%bifrost {CHAT} --api responses --image photo --max-tokens 20\nWhat?").success
    [body] = bodies(sent)
    assert body["input"][0]["content"] == [
        {"type": "input_text", "text": "What?"},
        {"type": "input_image", "image_url": url(png())},
    ]


def test_a_picture_stays_in_its_chat(run: Cell, sent: Sent, names: dict[str, Any]) -> None:
    """The next turn sends it again, and %bifrost chat says that it is there."""
    run(f"%%bifrost {CHAT} --history --image photo --max-tokens 5\nWhat is it?")
    run(f"%%bifrost {CHAT} --history --max-tokens 5\nAnd its colour?")
    first, _, second = bodies(sent)[-1]["messages"]
    assert [part["type"] for part in first["content"]] == ["text", "image_url"]
    assert second == {"role": "user", "content": "And its colour?"}
    assert "[picture: PNG" in repr(run("%bifrost chat").result)


def test_pictures_of_a_comparison(run: Cell, sent: Sent, names: dict[str, Any]) -> None:
    """With --inputs a column, else one for all; both are columns of the frame."""
    run(f"rows = [{{'name': 'a', 'shot': photo}}, {{'name': 'b', 'shot': {png('green')!r}}}]")
    assert run(f"%%bifrost {CHAT} --inputs rows --image shot --max-tokens 5 -o found\nWhat is {{{{name}}}}?").success
    urls = {part["image_url"]["url"] for body in bodies(sent) for part in body["messages"][0]["content"][1:]}
    assert urls == {url(png()), url(png("green"))}
    assert run(f"%%bifrost {CHAT} --repeat 2 --image photo.png --max-tokens 5 -o found\nWhat?").success
    assert run("list(found.frame.columns)").result.count("input_image") == 1
    assert len(bodies(sent)) == 4


def test_messages_come_before_the_cell(run: Cell, sent: Sent, names: dict[str, Any]) -> None:
    """They are sent as they are: braces in them name no variable of the notebook. Without a text they go alone."""
    ask = f"{CHAT} --messages turns --max-tokens 5"
    assert run(f"%%bifrost {ask}\nHow many? {{{{n}}}}").success
    assert bodies(sent)[-1]["messages"] == [*TURNS, {"role": "user", "content": "How many? 3"}]
    assert run(f"%bifrost {ask}").success
    assert bodies(sent)[-1]["messages"] == TURNS
    assert run(f"%%bifrost {ask} --repeat 2\nHow many? {{{{n}}}}").success
    assert bodies(sent)[-1]["messages"] == [*TURNS, {"role": "user", "content": "How many? 3"}]
    run("rows = [{'secret': 'Ada'}]")
    assert run(f"%%bifrost {ask} --inputs rows\nHow many?").success
    assert bodies(sent)[-1]["messages"][0]["content"] == "Call me Ada."


@pytest.mark.parametrize("more", ["", "--repeat 2"])
def test_what_comes_before_the_cell_may_be_a_system_message_alone(run: Cell, sent: Sent, more: str) -> None:
    """The cell's text is the user's turn; without one, nothing is sent."""
    run("brief = [{'role': 'system', 'content': 'Be brief.'}]")
    assert run(f"%%bifrost {CHAT} --messages brief --max-tokens 5 {more}\nHello?").success
    assert [turn["role"] for turn in bodies(sent)[-1]["messages"]] == ["system", "user"]
    before = len(bodies(sent))
    assert "no turn of a user" in str(run(f"%bifrost {CHAT} --messages brief {more}").error_in_exec)
    assert len(bodies(sent)) == before


def test_tools(run: Cell, sent: Sent, names: dict[str, Any], gateway: LocalGateway) -> None:
    """They make a chat of it, also of a deployment that has both, and of a comparison; a single one needs no list."""
    run("tool = tools[0]")
    for line in ("--tools tools", "--tools tool", "--tools tools --repeat 2", f"-p 'tools=[{json.dumps(TOOL)}]'"):
        assert run(f"%%bifrost {BOTH} {line} --max-tokens 5\nWeather?").success, line
        assert bodies(sent)[-1]["tools"] == [TOOL]
        assert sent()[-1]["path"] == "/v1/chat/completions"


def test_a_dry_run_shows_no_key_of_a_tool(run: Cell, shell: InteractiveShell) -> None:
    """What would be sent is saved with the notebook."""
    shell.user_ns["remote"] = [
        {"type": "mcp", "server_url": "https://example.com", "authorization": "tell-nobody-1234"}
    ]
    shown = str(run(f"%%bifrost {CHAT} --tools remote --dry-run\nhi").result)
    assert '"authorization": "[hidden]"' in shown
    assert "tell-nobody-1234" not in shown


def test_a_typed_answer(run: Cell, sent: Sent, names: dict[str, Any], gateway: LocalGateway) -> None:
    """The schema goes as a strict format, the run has the object; one that does not fit says so under the answer."""
    gateway.script([{"prompt": "good", "text": '{"city": "Oslo"}'}, {"prompt": "bad", "text": '{"city": 1}'}])
    assert run(f"%%bifrost {CHAT} --schema order -o good\ngood").success
    form = bodies(sent)[-1]["response_format"]["json_schema"]
    assert (form["name"], form["strict"]) == ("Order", True)
    good = run("good").result
    assert isinstance(good, Run)
    assert (good.parsed, good.valid) == ({"city": "Oslo"}, True)
    with capture_output() as shown:
        assert run(f"%%bifrost {CHAT} --schema order -o bad\nbad").success
    assert "does not fit the schema: city" in shown.stdout
    assert run("bad.valid").result is False
    assert run(f"%%bifrost {CHAT} --schema order --bg later\ngood").success
    assert run("(await later).parsed").result == {"city": "Oslo"}
    assert run(f"%%bifrost {CHAT} --schema order --repeat 1 -o all\ngood").success
    assert list(run("all.frame").result["answer_city"]) == ["Oslo"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--image phto", "there is no such variable. did you mean 'photo'"),
        ("--image ./nothing.png", "cannot be read"),
        ("--image https://example.com/a.png", "not fetched"),
        ("--image /dev/zero", "no file"),
        ("--image drawing", "SVG"),
        ("--image n", "is an int"),
        ("--schema ordr", "did you mean 'order'"),
        ("--image nothing", "the variable is None. Assign a path"),
        ("--inputs nothing", "the variable is None. Assign a DataFrame"),
        ("--messages nothing", "the variable is None"),
        ("--schema nothing", "the variable is None"),
        ("--tools nothing", "the variable is None"),
        ("--schema n", "schema must be"),
        ("--schema broken", "schema is wrong"),
        ("--tools n", "must be a list of dicts"),
        ("--tools deep", "100 levels deep"),
        ("--messages n", "must be a list"),
        ("--messages unknown_role", "role"),
        ("--tools tools -p tools=[]", "tools is given twice"),
        ("--tools tools --history", "does not go with --history"),
        ("--messages turns --history", "does not go with --history"),
        ("--image photo --api text", "no images"),
        ("--schema order --api text", "no schema"),
        ("--tools tools --api text", "tools"),
        ("-p messages=[]", "use --messages"),
    ],
)
@pytest.mark.parametrize("more", ["", *thorough("--repeat 2")])
def test_what_cannot_be_sent(run: Cell, sent: Sent, names: dict[str, Any], line: str, words: str, more: str) -> None:
    """One error that says what is wrong, before anything is sent, for one answer and for a comparison."""
    run("nothing = [2, 1].sort(); drawing = b'<svg onload=alert(1)>'; broken = {'type': 'object', 'properties': 3}")
    run("unknown_role = [{'content': 'x'}]; deep = {}")
    if "deep" in line:
        run("for _ in range(100_000): deep = {'type': 'x', 'a': deep}")
    error = run(f"%%bifrost {CHAT} {line} {more}\nhi").error_in_exec
    assert len(str(error)) < 1000
    if more and "--history" in line:
        words = "does not go with"
    assert words in str(error).replace("Did you mean", "did you mean"), error
    assert sent() == []


def test_what_is_far_too_large(shell: InteractiveShell, run: Cell, sent: Sent, names: dict[str, Any]) -> None:
    """100 MB of tools, messages, schema or picture: one short error each, nothing is sent."""
    text = "x" * 100_000_000
    shell.user_ns |= {
        "huge": [{"type": "function", "function": {"name": "f", "description": text}}],
        "long": [{"role": "user", "content": text}],
        "large": {"type": "object", "properties": {"a": {"type": "string", "description": text}}},
        "vast": text.encode(),
    }
    for line in ("--tools huge", "--messages long", "--schema large", "--image vast"):
        for more in ("", "--repeat 2"):
            error = str(run(f"%%bifrost {CHAT} {line} {more}\nhi").error_in_exec)
            assert "has 100 MB, more than the 21 MB that are sent" in error
            assert len(error) < 300
    assert sent() == []


def test_a_deployment_that_takes_no_images(run: Cell, sent: Sent, names: dict[str, Any]) -> None:
    """It is named before anything is sent, where the gateway's list says so."""
    error = run(f"%%bifrost {TEXT} --image photo\nhi").error_in_exec
    assert error is not None
    assert sent() == []


def test_completion_offers_what_fits(shell: InteractiveShell, names: dict[str, Any]) -> None:
    """After each option the variables that can stand there."""
    shell.run_cell("from pydantic import BaseModel\nclass Invoice(BaseModel):\n    total: float")
    session = shell.magics_manager.registry["BifrostMagics"].session
    offered = {}
    for option in ("--image", "--schema", "--tools", "--messages"):
        line = f"%%bifrost {CHAT} {option} "
        found = complete(session, line, 0, len(line))
        assert found is not None
        offered[option] = {text for text, _ in found[1]}
    assert offered == {
        "--image": {"photo"},
        "--schema": {"order", "Invoice"},
        "--tools": {"order", "tools", "turns"},
        "--messages": {"tools", "turns"},
    }
