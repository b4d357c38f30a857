"""Every sub-command of ``%bifrost`` in real kernels: what it shows, and what Python gets of it."""

from __future__ import annotations

import ast
from typing import NamedTuple

import pytest

from bifrost_nb._notebook.code_export import FORMS
from bifrost_nb._notebook.magic.subcommands import COMMANDS
from bifrost_nb._runs.columns import NAMES
from bifrost_nb._simulator.process import LocalGateway

from .conftest import CHAT, TEXT, posts
from .frontend import FrontEnd

ASK = f"%%bifrost {TEXT} --max-tokens 2 --quiet -o a\nhi"


class Row(NamedTuple):
    """Cells before it, the command's line, and what is true of its value `got`."""

    before: str
    line: str
    then: str


ROWS = {
    "models": Row("", "models azure", f"{TEXT!r} in set(got['id']) and got['id'].str.contains('azure').all()"),
    "use": Row("", f"use {TEXT} --max-tokens 3 -t 0.5", "'max_tokens: 3' in got and 'temperature: 0.5' in got"),
    "runs": Row(ASK, "runs --limit 1 --status ok", f"len(got) == 1 and list(got.columns) == {list(NAMES)!r}"),
    "last": Row(ASK, "last", "got is a and got is _bifrost"),
    "cost": Row(ASK, "cost", "'since %load_ext' in got[0]['of'] and got[0]['runs'] == 1 and got[0]['cost_usd'] > 0"),
    "jobs": Row(
        f"%%bifrost {TEXT} --max-tokens 2 --bg j\nhi",
        "jobs",
        f"got[0]['name'] == 'j' and got[0]['runs'].startswith({TEXT!r})",
    ),
    "cancel": Row(f"%%bifrost {TEXT} --bg j --no-raise\nslowly", "cancel j", "[each['name'] for each in got] == ['j']"),
    "config": Row("", "config", "{each['name']: each['from'] for each in got}['base_url'] == '%config'"),
    "doctor": Row("", "doctor", "'Bifrost' in {each['check']: each['found'] for each in got}['gateway']"),
    "cache": Row("", "cache clear", "'forgotten' in str(got) or 'nobody' in str(got)"),
    "prompts": Row(f"%%bifrost {TEXT} --save shown --dry-run --quiet\nkept", "prompts shown", "got == 'kept'"),
    "copy": Row(ASK, "copy a --as curl", "got.startswith('curl') and 'max_tokens' in got"),
    "forget": Row(f"%%bifrost {CHAT} --history --max-tokens 2 --quiet\nhi", "forget", "got.endswith('forgotten')"),
    "chat": Row(f"%%bifrost {CHAT} --history --max-tokens 2 --quiet\nhi", "chat", "got[-1]['role'] == 'assistant'"),
    "trust": Row(
        "import os, pathlib, tempfile; here = os.getcwd(); os.chdir(tempfile.mkdtemp())\n"
        "pathlib.Path('pyproject.toml').write_text('[tool.bifrost_nb]\\nrun_log = \"runs.jsonl\"\\n')",
        "trust",
        "[os.chdir(here), 'pyproject.toml' in got][1]",
    ),
    "help": Row("", "help", "'%bifrost models' in got and '--max-tokens' in got"),
}


def test_every_command_has_a_row() -> None:
    """No sub-command is without a test in real kernels."""
    assert set(ROWS) == set(COMMANDS)


@pytest.mark.parametrize("name", ROWS)
def test_a_command_in_a_real_kernel(loaded: FrontEnd, slow: LocalGateway, name: str) -> None:
    """It shows itself once, as text and as HTML, and ``got = %bifrost ...`` is a value that Python can use."""
    row = ROWS[name]
    if row.before:
        assert loaded.run(row.before).wait().status == "ok"
    cell = loaded.run(f"%bifrost {row.line}").wait()
    assert cell.status == "ok", cell.of("error", "stream")
    (shown,) = cell.shown
    assert {"text/plain", "text/html"} <= shown.keys()
    assert shown["text/plain"].strip()
    assert loaded.run(f"got = %bifrost {row.line}").wait().status == "ok"
    assert loaded.value(f"bool({row.then})") == "True"


def test_use_gives_later_cells_their_defaults(loaded: FrontEnd, gateway: LocalGateway) -> None:
    """What was set holds for cells and lines until --reset; a cell's own options win."""
    for source in (
        f"%bifrost use {TEXT} -t 0.5 --max-tokens 3",
        "%%bifrost --quiet\nhi",
        "%%bifrost azure/fast --quiet -t 1\nhi",
        '%bifrost "one line"',
    ):
        assert loaded.run(source).wait().status == "ok"
    sent = [
        (each["body"]["prompt"], each["body"]["temperature"], each["body"]["max_tokens"]) for each in posts(gateway)
    ]
    assert sent == [("hi", 0.5, 3), ("hi", 1.0, 3), ("one line", 0.5, 3)]
    loaded.run("%bifrost use --reset").wait()
    assert loaded.run("%%bifrost\nhi").wait().status == "error"


@pytest.mark.parametrize("form", sorted(FORMS))
def test_copied_code_asks_again(loaded: FrontEnd, gateway: LocalGateway, form: str) -> None:
    """A run as code: the magic and httpx send the same body again, and no form holds a key."""
    key = "sk-bf-0123456789abcdef0123"
    loaded.run(f"import os; os.environ['BIFROST_VIRTUAL_KEY'] = {key!r}").wait()
    try:
        loaded.run(f"%%bifrost {CHAT} --system 'Be \"brief\".' -t 0 --max-tokens 2 --quiet\nit's {{x}} $y").wait()
        assert loaded.run(f"got = %bifrost copy --as {form}").wait().status == "ok"
        code = ast.literal_eval(loaded.value("str(got)"))
        assert key not in code
        assert ("BIFROST_VIRTUAL_KEY" in code) == (form != "magic")
        if form in ("magic", "httpx"):
            again = "get_ipython().run_cell(str(got))" if form == "magic" else "exec(str(got))"
            assert loaded.run(f"{again};").wait().status == "ok"
            first, second = ({**each["body"], "stream": None} for each in posts(gateway))
            assert first == second
            assert [each["headers"].get("x-bf-vk") for each in posts(gateway)] == [key, key]
    finally:
        loaded.run("del os.environ['BIFROST_VIRTUAL_KEY']").wait()


def test_an_empty_log_has_the_same_columns(loaded: FrontEnd) -> None:
    """Where nothing was recorded yet, the frame has no rows and the same columns and types."""
    loaded.run("full = %bifrost runs\nempty = %bifrost runs --deployment azure/never-asked").wait()
    assert loaded.value("len(empty), bool((empty.dtypes == full.dtypes).all())") == "(0, True)"


def test_the_key_appears_nowhere(loaded: FrontEnd, gateway: LocalGateway) -> None:
    """With a key set, nothing that the kernel sends holds it: displays, metadata, errors, listings, tracebacks."""
    key = "sk-bf-fedcba98765432100123"
    gateway.script([{"prompt": "echo", "status": 401, "error": {"message": f"Wrong key {key}."}}])
    loaded.run(f"import os; os.environ['BIFROST_VIRTUAL_KEY'] = 'sk-bf-' + {key[6:]!r}").wait()
    start = len(loaded.messages)
    try:
        for source in (
            ASK,
            "a",
            *(
                f"%bifrost {row.line}"
                for name, row in ROWS.items()
                if name not in ("jobs", "cancel", "prompts", "trust")
            ),
            f"%%bifrost {TEXT} --dry-run\nhi",
            "%%bifrost azure/nope\nhi",
            f"%%bifrost {TEXT}\necho",
            "%config Bifrost.short_errors = False",
            f"%%bifrost {TEXT}\necho",
            "%config Bifrost",
        ):
            loaded.run(source).wait()
        assert posts(gateway)[-1]["headers"]["x-bf-vk"] == key
    finally:
        loaded.run("%config Bifrost.short_errors = True\ndel os.environ['BIFROST_VIRTUAL_KEY']").wait()
    said = "".join(str(message["content"]) for message in loaded.messages[start:])
    assert key[6:] not in said
    assert "Wrong key" in said
