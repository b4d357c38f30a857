"""Every option of the magic, each in real kernels: what the gateway received, what Python then holds."""

from __future__ import annotations

import base64
import time
from typing import Any, NamedTuple

import pytest

from bifrost_nb._notebook.magic.options import options
from bifrost_nb._simulator.process import LocalGateway

from .conftest import CHAT, TEXT, posts
from .frontend import FrontEnd

TWO = f"{TEXT} --max-tokens 2"
BY_CODE = "get_ipython().run_cell_magic"
AWKWARD = 'it\'s {"a": [1, {}]} $x $$ % << \\frac{a}{b} ("open\n\nlast'
PNG = bytes.fromhex("89504e470d0a1a0a0000000049454e44ae426082")
"""The head and the end of a picture."""
PIXEL = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


class Row(NamedTuple):
    """Cells, and what is true after them. UNIQUE in a cell is a word that no other test uses."""

    cells: str | tuple[str, ...]
    body: dict[str, Any]
    """What the body of the last request holds."""
    then: str = "True"
    """An expression of Python."""
    headers: dict[str, str] = {}  # noqa: RUF012 - a tuple's default, changed by nobody
    script: tuple[dict[str, Any], ...] = ()
    asked: int | None = None
    """How many requests were sent; None: not looked at."""


ROWS = {
    "one streams": Row(f"%%bifrost {TWO} -o a\nhi", {"max_tokens": 2, "stream": True}, "a.ttft_ms > 0", asked=1),
    "sampling": Row(
        f"%%bifrost {TWO} -t 0.5 --top-p 0.9 --seed 7 -o a\nhi",
        {"temperature": 0.5, "top_p": 0.9, "seed": 7},
        "a.params['seed'] == 7",
    ),
    "choices": Row(f"%%bifrost {TWO} -n 2 -o a\nhi", {"n": 2}, "len(a.texts) == 2"),
    "stop": Row(f"%%bifrost {TWO} --stop END --stop '\\n'\nhi", {"stop": ["END", "\n"]}),
    "quoted value": Row(f"%%bifrost {TWO} -p user='a = {{b}} c'\nhi", {"user": "a = {b} c"}),
    "typed values": Row(f"%%bifrost {TWO} -p echo=true -p logprobs=2\nhi", {"echo": True, "logprobs": 2}),
    "an object as value": Row(
        f"%%bifrost {CHAT} --chat -p 'metadata={{\"a b\": \"c = d\"}}' --max-tokens 2\nhi",
        {"metadata": {"a b": "c = d"}},
    ),
    "extra": Row(
        f"%%bifrost {TWO} --extra top_k=5 -o a\nhi",
        {"extra_params": {"top_k": 5}},
        "a.params['extra'] == {'top_k': 5}",
    ),
    "fallbacks in order": Row(
        f"%%bifrost azure/always-fails --fallback azure/nope --fallback {TEXT} --max-tokens 2 -o a\nhi",
        {"fallbacks": ["azure/nope", TEXT]},
        f"a.is_fallback and a.served == {TEXT!r}",
    ),
    "chat": Row(
        f"%%bifrost {CHAT} --chat --max-tokens 2 -o a\nhi",
        {"messages": [{"role": "user", "content": "hi"}]},
        "a.request_type == 'chat_completion'",
    ),
    "system": Row(
        ("what = 'the sea'", f"%%bifrost {CHAT} --system 'Know {{{{what}}}}.' --max-tokens 20\nhi"),
        {"messages": [{"role": "system", "content": "Know the sea."}, {"role": "user", "content": "hi"}]},
    ),
    "another API": Row(
        f"%%bifrost {CHAT} --api responses --max-tokens 20 -o a\nhi",
        {"input": "hi", "max_output_tokens": 20},
        "a.request_type == 'responses'",
    ),
    "an image": Row(
        (
            f"pixel = {PNG!r}",
            f"%%bifrost {CHAT} --image pixel --max-tokens 2\nhi",
        ),
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "hi"},
                        {"type": "image_url", "image_url": {"url": PIXEL}},
                    ],
                }
            ]
        },
    ),
    "messages": Row(
        ("said = [{'role': 'user', 'content': 'A'}]", f"%%bifrost {CHAT} --messages said --max-tokens 2\nB"),
        {"messages": [{"role": "user", "content": "A"}, {"role": "user", "content": "B"}]},
    ),
    "tools": Row(
        (
            "tools = [{'type': 'function', 'function': {'name': 'look'}}]",
            f"%%bifrost {CHAT} --tools tools --max-tokens 2\nhi",
        ),
        {"tools": [{"type": "function", "function": {"name": "look"}}]},
    ),
    "a schema": Row(
        (
            "from pydantic import BaseModel\nclass Item(BaseModel):\n    name: str",
            f"%%bifrost {CHAT} --schema Item -o a\nhi",
        ),
        {"stream": True},
        "a.valid and type(a.parsed) is Item",
        script=({"prompt": "hi", "text": '{"name": "x"}'},),
    ),
    "history": Row(
        (
            "%bifrost forget",
            f"%%bifrost {CHAT} --history --system 'Be brief.' --max-tokens 3 -o a\nOne",
            f"%%bifrost {CHAT} --history --max-tokens 3 -o b\nTwo",
        ),
        {"stream": True},
        "[each['content'] for each in __import__('json').loads(b.prompt)] == ['Be brief.', 'One', a.text, 'Two']",
    ),
    "history from": Row(
        (
            "%bifrost forget",
            f"%%bifrost {CHAT} --history --max-tokens 3\nOne",
            f"%%bifrost {CHAT} --history-from 0 --max-tokens 3 -o b\nTwo",
        ),
        {"messages": [{"role": "user", "content": "Two"}]},
    ),
    "names, attributes and items": Row(
        ("what = {'name': ['sea'], 'a b': 1}", f"%%bifrost {TWO}\n{{{{what.name[0]}}}} {{{{ what[\"a b\"] }}}}"),
        {"prompt": "sea 1"},
    ),
    "nothing is evaluated": Row(
        ("what = 1", f"%%bifrost {TWO}\n{{{{what + 1}}}} {{{{what()}}}} {{what}} {{{{{{{{what}}}}}}}} $what"),
        {"prompt": "{{what + 1}} {{what()}} {what} {{what}} $what"},
    ),
    "inside a function": Row(
        f"what = 1\ndef ask(what): {BY_CODE}('bifrost', '{TWO}', '{{{{what}}}}')\nask('mine')", {"prompt": "mine"}
    ),
    "awkward text": Row(f"%%bifrost {TWO}\n{AWKWARD}", {"prompt": AWKWARD}),
    "second name": Row(f"%%bifrost_nb {TWO} -o a\nhi", {"prompt": "hi"}, "a.status == 'ok'"),
    "line form": Row(f'%bifrost {TWO} -o a "hi there"', {"prompt": "hi there"}, "a.status == 'ok'"),
    "line form as it is": Row(f"%bifrost {TWO} -- it's {{x}} -t 5", {"prompt": "it's {x} -t 5"}),
    "line form assigned": Row(f'a = %bifrost {TWO} "hi"', {"prompt": "hi"}, "a.status == 'ok'"),
    "several race": Row(f"%%bifrost {TWO} azure/fast -o a\nhi", {"max_tokens": 2}, "len(a.frame) == 2", asked=2),
    "prompts of the line": Row(
        f"%%bifrost {TWO} --prompt short='{{{{body}}}}' --prompt long='Say {{{{body}}}}' -p user=UNIQUE -o a\nhi",
        {"max_tokens": 2},
        "sorted(a.frame['template']) == ['long', 'short']",
        asked=2,
    ),
    "repeat": Row(
        f"%%bifrost {TWO} --repeat 3 --seed 9 --score short=length:20 -p user=UNIQUE -o a\nhi",
        {"prompt": "hi", "seed": 9},
        "len(a.frame) == 3 and list(a.frame['repeat']) == [0, 1, 2]",
        asked=3,
    ),
    "inputs from a DataFrame": Row(
        (
            "import pandas; rows = pandas.DataFrame({'x': ['one', 'two'], 'y': 3})",
            f"%%bifrost {TWO} -i rows -p user=UNIQUE -o a\nSay {{{{x}}}} {{{{y}}}}",
        ),
        {"max_tokens": 2},
        "set(a.frame['prompt']) == {'Say one 3', 'Say two 3'}",
        asked=2,
    ),
    "inputs from a dict": Row(
        (
            "rows = {'x': ['one', 'two']}; z = 'loud'",
            f"%%bifrost {TWO} --inputs rows -p user=UNIQUE -o a\n{{{{x}}}} {{{{z}}}}",
        ),
        {"max_tokens": 2},
        "set(a.frame['prompt']) == {'one loud', 'two loud'}",
        asked=2,
    ),
    "most cost": Row(
        f"%%bifrost {TWO} --repeat 60 --max-cost 0.02 -p user=UNIQUE -o a\ndear",
        {"prompt": "dear"},
        "2 <= len(a) < 60 and 'max_cost_usd' in a.notes[0]",
        script=({"prompt": "dear", "cost": 0.01},),
    ),
    "tags": Row(
        f"%%bifrost {TWO} --tag team=a --tag week=3 -o a\nhi", {}, "a.tags['team'] == 'a' and a.tags['week'] == 3"
    ),
    "saved and used": Row(
        (
            f"%%bifrost {TWO} --save UNIQUE\nfirst {{{{{{{{z}}}}}}}}",
            f"%%bifrost {TWO} --save UNIQUE\nsecond",
            f"%bifrost {TWO} --use UNIQUE@1 -o a",
        ),
        {"prompt": "first {{z}}"},
        "a.prompt_id.endswith('@1')",
        asked=3,
    ),
    "used with the cell as body": Row(
        (
            f"%%bifrost {TWO} --save UNIQUE --dry-run --quiet\n<{{{{body}}}}>",
            f"%%bifrost {TWO} --use UNIQUE\nmy {{text}}",
        ),
        {"prompt": "<my {text}>"},
        asked=1,
    ),
    "used in a comparison": Row(
        (
            f"%%bifrost {TWO} --save UNIQUE --dry-run --quiet\n<{{{{body}}}}>",
            f"%%bifrost {TWO} --use UNIQUE --repeat 2 -p user=UNIQUE\nmine",
        ),
        {"prompt": "<mine>"},
        asked=2,
    ),
    "timeout": Row(
        f"%%bifrost {TEXT} --timeout 0.3 --no-raise -o a\nlate",
        {"prompt": "late"},
        "a.status == 'timeout'",
        script=({"prompt": "late", "silent": True},),
    ),
    "cache on": Row(
        (f"%%bifrost {TWO} --cache on -p user=UNIQUE -o a\nhi", f"%%bifrost {TWO} --cache on -p user=UNIQUE -o b\nhi"),
        {"prompt": "hi"},
        "not a.cache_hit and b.cache_hit and a.text == b.text",
        asked=2,
    ),
    "cache off": Row(f"%%bifrost {TWO} --cache off\nhi", {"prompt": "hi"}, headers={"x-bf-cache-no-store": "true"}),
    "cache and repeats": Row(
        f"%%bifrost {TWO} --cache on --repeat 3 -p user=UNIQUE -o a\nhi",
        {"prompt": "hi"},
        "len(a) == 3 and not any(run.cache_hit for run in a.runs)",
        asked=3,
    ),
    "quiet": Row(f"%%bifrost {TWO} --quiet -o a\nhi", {"prompt": "hi"}, "a.status == 'ok'"),
    "no raise": Row("%%bifrost azure/always-fails --no-raise -o a\nhi", {"prompt": "hi"}, "a.status == 'error'"),
}  # fmt: skip
"""Options of displays (--format, --quiet, --dry-run) and --bg have tests of their own besides."""


@pytest.mark.parametrize("name", ROWS)
def test_an_option_in_a_real_kernel(loaded: FrontEnd, gateway: LocalGateway, name: str) -> None:
    """The option reaches the gateway as the field it names, and the result can be used from Python."""
    row = ROWS[name]
    gateway.script(row.script)
    # Another kernel's comparison is in the log that all share: what it asked is not sent again.
    unique = f"u{time.monotonic_ns()}"
    for source in (row.cells,) if isinstance(row.cells, str) else row.cells:
        cell = loaded.run(source.replace("UNIQUE", unique)).wait()
        assert cell.status == "ok", cell.of("error", "stream")
    asked = posts(gateway)
    body, headers = asked[-1]["body"], asked[-1]["headers"]
    assert {field: body.get(field) for field in row.body} == row.body
    assert {field: headers.get(field) for field in row.headers} == row.headers
    assert row.asked in (None, len(asked))
    assert loaded.value(f"bool({row.then})") == "True"


def test_every_option_has_a_row() -> None:
    """No option is without a test in real kernels."""
    written = " ".join(str(row.cells) for row in ROWS.values())
    elsewhere = {"--format", "--dry-run", "--bg"}  # below, and in test_magic.py
    for option in options():
        assert elsewhere & set(option.names) or any(f" {name} " in written for name in option.names), option.names


def test_cache_keys_are_a_users_own(loaded: FrontEnd, gateway: LocalGateway) -> None:
    """The key is random and the same in every notebook of one user; without the option none is sent."""
    for line in (f"%%bifrost {TWO} --cache on", f"%%bifrost_nb {TWO} --cache on", f"%%bifrost {TWO}"):
        assert loaded.run(f"{line}\nhi").wait().status == "ok"
    first, second, none = (record["headers"].get("x-bf-cache-key") for record in posts(gateway))
    assert first == second
    assert len(str(first).removeprefix("bifrost-nb-")) == 32
    assert none is None


@pytest.mark.parametrize("more", ["", " --repeat 3"])
def test_dry_run_sends_nothing(loaded: FrontEnd, gateway: LocalGateway, more: str) -> None:
    """--dry-run says what would be sent, of a comparison what it may cost."""
    cell = loaded.run(f"%%bifrost {TWO} --dry-run{more}\nhi").wait()
    assert cell.status == "ok"
    assert ("Nothing was sent" if more else "POST http") in cell.shown[0]["text/plain"]
    assert not posts(gateway)


def test_quiet_shows_nothing(loaded: FrontEnd) -> None:
    """--quiet leaves the notebook as it is; the line form shows its value as every expression does."""
    cell = loaded.run(f"%%bifrost {TWO} --quiet\nhi").wait()
    assert (cell.shown, cell.printed) == ([], "")
    assert len(loaded.run(f'%bifrost {TWO} "hi"').wait().shown) == 1


@pytest.mark.parametrize("form", ["md", "text", "json", "code"])
def test_formats(loaded: FrontEnd, gateway: LocalGateway, form: str) -> None:
    """--format decides how the static answer is read; what arrived is the same in all of them."""
    gateway.script([{"prompt": "format", "text": '{"a": [1, 2]}'}])
    cell = loaded.run(f"%%bifrost {TEXT} --format {form} -o a\nformat").wait()
    assert ("<pre" in cell.shown[0]["text/html"]) == (form != "md")
    assert ("color:" in cell.shown[0]["text/html"].partition("<pre")[2]) == (form in ("json", "code"))
    assert loaded.value("a.text") == repr('{"a": [1, 2]}')
