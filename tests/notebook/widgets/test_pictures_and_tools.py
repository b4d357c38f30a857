"""Pictures of prompts and tool calls of answers in the grid, the vote and what stays in the saved notebook."""

from __future__ import annotations

import base64
import io
import json
import re
import struct
import zlib
from typing import Any

import pytest
from PIL import Image

import bifrost_nb as bf
from bifrost_nb import Client, Comparison, Run
from bifrost_nb._display.run import as_html, as_text, mimebundle_many, said
from bifrost_nb._notebook.live.live_widget import Pane
from bifrost_nb._notebook.live.race import Race, RaceUpdate
from bifrost_nb._notebook.live.terminal_view import Terminal
from bifrost_nb._notebook.widgets.grid import GridView
from bifrost_nb._notebook.widgets.vote import Vote
from bifrost_nb._prompts.pictures import SHOWN_BYTES, showable
from bifrost_nb._runs.pieces import Piece
from tests.thorough import thorough

A, B = "openai/gpt-4o-mini", "azure/gpt-4o"


def picture(kind: str = "PNG", size: tuple[int, int] = (8, 8), colour: str = "red") -> bytes:
    made = io.BytesIO()
    Image.new("RGB", size, colour).save(made, kind)
    return made.getvalue()


def url(content: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def bomb(side: int) -> bytes:
    """A small PNG whose head says that it opens to side x side pixels."""
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + head
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))


def call(name: str, arguments: str) -> dict[str, Any]:
    return {"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}}


def called(arguments: str, name: str = "get_weather") -> Run:
    return Run(status="ok", response="", texts=[""], tool_calls=[call(name, arguments)])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_the_four_kinds_are_shown(kind: str) -> None:
    """What its first bytes say it is."""
    given = url(picture(kind), kind.lower())
    assert showable([given]) == [given]


@pytest.mark.parametrize(
    "given",
    [
        "https://example.com/a.png",
        "data:image/svg+xml;base64," + base64.b64encode(b"<svg onload=alert(1)>").decode(),
        url(b"<svg onload=alert(1)>"),
        url(picture("JPEG")),
        url(picture(), "jpeg"),
        url(picture()) + '" onerror="alert(1)',
        url(bomb(60_000)),
        url(b"\x89PNG\r\n\x1a\n" + b"x" * 50),
        url(picture())[:-3] + "!!!",
        "data:text/html;base64,PHNjcmlwdD4=",
        "javascript:alert(1)",
        None,
        3,
    ],
)
def test_nothing_else_is_shown(given: Any) -> None:
    """Remote, SVG, of another kind than it says, broken, a bomb of pixels, no picture at all."""
    assert showable([given]) == []


def test_only_so_many_bytes_are_shown() -> None:
    """A page is not made of hundreds of megabytes; later ones that fit still are."""
    small = url(picture())
    large = url(b"\x89PNG\r\n\x1a\n" + b"x" * SHOWN_BYTES)
    assert showable([large, "data:image/png;base64," + "A" * 100_000_000, small]) == [small]
    assert showable([small] * 5, most_bytes=2 * len(picture())) == [small] * 2


@pytest.fixture
def compared(client: Client) -> Comparison:
    """Two pictures asked of two deployments."""
    return bf.compare(
        [A, B],
        messages=[{"role": "system", "content": "Be <b>brief</b>."}, {"role": "user", "content": "What is {{name}}?"}],
        inputs={"name": ["one", "two"], "shot": [picture(), picture(colour="blue")]},
        images="shot",
        max_tokens=5,
        client=client,
    )


def test_pictures_in_the_grid(compared: Comparison) -> None:
    """Each prompt has its picture, small in the table, whole in the opened answer and in the table that is saved."""
    grid = compared.grid()
    opened = grid.detail(0, 0)
    assert opened["pictures"] == [url(picture())]
    assert opened["prompt"] == "system: Be <b>brief</b>.\n\nuser: What is one?\n[picture: PNG, 1 kB]"
    html = grid._repr_html_()
    assert sorted(re.findall(r'<img src="([^"]+)"', html)) == sorted([url(picture()), url(picture(colour="blue"))])
    shown = [row["pictures"] for row in grid.state.page()["rows"]]
    assert [[one.partition(",")[0] for one in each] for each in shown] == [["data:image/webp;base64"]] * 2
    assert shown[0] != shown[1]
    assert "Be &lt;b&gt;brief&lt;/b&gt;." in html
    assert "base64" not in repr(grid)


def test_pictures_in_the_vote() -> None:
    """The voter sees what was asked; a hostile address in a log that somebody else wrote becomes no picture."""
    runs = []
    for name, text in ((A, "yes"), (B, "no")):
        content = [
            {"type": "text", "text": "What?"},
            {"type": "image_url", "image_url": {"url": url(picture())}},
            {"type": "image_url", "image_url": {"url": "https://example.com/spy.png"}},
            {"type": "image_url", "image_url": "javascript:alert(1)"},
        ]
        prompt = json.dumps([{"role": "user", "content": content}])
        runs.append((name, Run(status="ok", response=text, texts=[text], prompt=prompt, prompt_id="p")))
    ballot = Vote(runs)._ballot()
    assert ballot["pictures"] == [url(picture())]
    assert ballot["prompt"].startswith("What?\n[picture: PNG")


def test_tool_calls_are_answers() -> None:
    """They are told apart, shown as name and arguments, voted on, and compared argument by argument."""
    runs = []
    for name, where in ((A, "Oslo"), (B, "Rome")):
        run = called(json.dumps({"unit": "C", "city": where}))
        run.prompt, run.prompt_id = "Weather?", "p"
        runs.append((name, run))
    grid = GridView(runs)
    assert len({box.answers[0].text for box in grid.state.rows[0].boxes.values()}) == 2
    first = grid.state.page()["rows"][0]["cells"][0]["text"]
    assert first == 'get_weather({"unit": "C", "city": "Oslo"})'  # in one line, of the few of a cell
    changed = grid.diff(0, 0, 1)
    assert re.search("<del[^>]*>Oslo</del>", changed)
    assert re.search("<ins[^>]*>Rome</ins>", changed)
    assert all("get_weather(" in answer for answer in Vote(runs)._ballot()["answers"])
    assert "get_weather(" in grid.detail(0, 0)["answers"][0]["html"]


def test_the_diff_of_a_comparison_has_tool_calls(client: Client) -> None:
    """Of real answers: name and arguments where there is no text."""
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
    compared = bf.compare([A, B], "Weather?", tools=[tool], tool_choice="required", client=client)
    assert list(compared.frame["status"]) == ["ok", "ok"]
    assert "look_up(" in compared.diff(A, B).a
    answers = compared.answers()
    assert answers["variant"].tolist() == [A, B]
    assert all("look_up(" in answer for answer in answers["response"])
    assert str(answers["response"].dtype) == str(compared.frame["response"].dtype)


@pytest.mark.parametrize(
    "arguments",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        json.dumps({"a": "<img src=x onerror=alert(1)>", "<script>": 1}),
        *thorough("x" * 30_000_000),
        '{"path": "../../etc/passwd"}',
        '{"a": "\\u001b[2J\\u202e"}',
        "",
    ],
)
def test_hostile_arguments_are_text(arguments: str) -> None:
    """Deep, huge, with markup or control characters: shown as words, cut where they are long, and never run."""
    for name in ("get", "<script>alert(1)</script>\x1b[2J"):
        run = called(arguments, name)
        shown, html = said(run), as_html(run)
        assert len(shown) < 30_000
        assert len(html) < 60_000
        assert "\x1b" not in shown + html
        assert "\u202e" not in shown + html
        assert not re.search(r"<(script|img)", html)


@pytest.mark.parametrize("calls", [["x"], [{}], [{"function": 3}], [{"function": {"name": {}, "arguments": []}}]])
def test_calls_of_odd_shapes(calls: Any) -> None:
    """What is no call of a tool breaks nothing."""
    run = Run(status="ok", response="", texts=[""], tool_calls=calls)
    assert isinstance(said(run), str)
    assert isinstance(as_html(run), str)


def asked_with(*urls: str, **answer: Any) -> Run:
    """A run whose prompt holds pictures."""
    parts = [{"type": "image_url", "image_url": {"url": one}} for one in urls]
    prompt = json.dumps([{"role": "user", "content": [{"type": "text", "text": "What?"}, *parts]}])
    given: dict[str, Any] = {"status": "ok", "response": "", "texts": [""], **answer}
    return Run(
        request_type="chat_completion", requested_provider="azure", requested_model="gpt-4o", prompt=prompt, **given
    )


HOSTILE_URLS = [
    "https://example.com/spy.png;base64,x",
    "data:image/svg+xml;base64," + base64.b64encode(b"<svg onload=alert(1)>").decode(),
    url(bomb(60_000)),
    url(picture()) + '" onerror="alert(1)',
]


def test_the_static_answer_shows_pictures_and_calls() -> None:
    """What was sent stands above the answer, once for all; text and calls are both there; hostile ones are words."""
    run = asked_with(
        url(picture()), *HOSTILE_URLS, response="Look.", texts=["Look."], tool_calls=[call("f", '{"a": 1}')]
    )
    html, said_ = as_html(run), as_text(run)
    assert re.findall(r'<img src="([^"]+)"', html) == [url(picture())]
    for words in ("asked with [picture: PNG, 1 kB], [picture:", "Look.", 'f({"a": 1})'):
        assert words in said_
    both = mimebundle_many([run, run])["text/html"]
    assert both.count("<img") == 1
    assert both.count('f({"a": 1})') == 2
    many = as_text(asked_with(*[url(picture())] * 50))
    assert "and 45 more" in many


def test_the_terminal_says_what_was_there() -> None:
    """One line for the pictures, one for each call, whatever the answer's text is."""
    run = asked_with(url(picture()), tool_calls=[call("look_up", '{"city": "Oslo\\u001b[2J"}'), call("go", "{}")])
    out = io.StringIO()
    terminal = Terminal(Race([run]), out)
    terminal.open()
    terminal.update(final=True)
    lines = out.getvalue().split("\n")
    assert "asked with [picture: PNG, 1 kB]" in lines
    assert any(one.startswith("look_up({") for one in lines)
    assert "go({})" in lines
    assert "\x1b" not in out.getvalue()
    assert Race([run]).columns[0].facts(0).note == "calls look_up, go"


def test_the_terminal_leaves_no_choice_out() -> None:
    """Only the first is written as it comes; the others follow, and where nothing came that is said."""
    written = []
    for run in (Run(status="ok", response="a", texts=["a", "b", "c"]), Run(status="ok", response="", texts=[""])):
        race, out = Race([run]), io.StringIO()
        race.receive([RaceUpdate(0, [Piece(0, run.text, "", 1.0)] if run.text else [])])
        Terminal(race, out).update(final=True)
        written.append(out.getvalue())
    assert "a\n\n[2] b\n\n[3] c\n" in written[0]
    assert "(the answer is empty)\n" in written[1]


def test_the_pane_gets_the_pictures_of_the_question() -> None:
    """Those that a page may show; none where the columns were asked differently."""
    runs = [asked_with(url(picture()), *HOSTILE_URLS) for _ in range(2)]
    pane = Pane(Race(runs), lambda _: None)
    assert pane.widget.pictures == [url(picture())]
    pane.close()
    other = Pane(Race([runs[0], Run(prompt="x")]), lambda _: None)
    assert other.widget.pictures == []
    other.close()
