"""``%bifrost``: sub-commands and one-liners; each returns something that shows itself and is usable from Python."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell

import bifrost_nb as bf
from bifrost_nb import Run
from bifrost_nb._display.table import Table, Text
from bifrost_nb._notebook.code_export import FORMS
from bifrost_nb._notebook.magic.subcommands import COMMANDS
from bifrost_nb._simulator.process import LocalGateway, local_gateway
from tests.data.hostile import HOSTILE
from tests.markup import read

from .conftest import CHAT, TEXT

SINCE = "the run log since %load_ext"
Cell = Callable[[str], ExecutionResult]
Sent = Callable[[], list[dict[str, Any]]]


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"cancel", "cache"}))
def test_each_command_returns_something_that_shows_itself(run: Cell, name: str) -> None:
    """Every sub-command gives a value with a text and an HTML form."""
    run(f"%%bifrost {TEXT} --quiet --max-tokens 2\nhi")
    result = run(f"%bifrost {name}").result
    assert repr(result)
    assert isinstance(result, Table | Text | pd.DataFrame | Run)


def test_results_can_be_assigned(run: Cell, shell: InteractiveShell) -> None:
    """``x = %bifrost ...`` binds what the command returns."""
    run("rows = %bifrost config")
    assert list(shell.user_ns["rows"].frame.columns) == ["name", "value", "from"]
    run(f"answer = %bifrost {TEXT} --max-tokens 2 'hi'")
    assert shell.user_ns["answer"].status == "ok"


@pytest.mark.parametrize(
    ("line", "prompt"),
    [
        (f'{TEXT} --max-tokens 2 "Why is the sky blue?"', "Why is the sky blue?"),
        (f"{TEXT} 'one' --max-tokens 2", "one"),
        (f'{TEXT} --max-tokens 2 -- it\'s "raw" {{x}} $y -t 5', 'it\'s "raw" {x} $y -t 5'),
        (f"{TEXT} -t 0 --max-tokens 2 'and/or'", "and/or"),
    ],
)
def test_one_liners(run: Cell, sent: Sent, line: str, prompt: str) -> None:
    """The line form takes the prompt last, in quotes or as it is after ``--``."""
    assert isinstance(run(f"%bifrost {line}").result, Run)
    assert sent()[-1]["body"]["prompt"] == prompt


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("modls", "Did you mean 'models'?"),
        ("nonsense", "no command 'nonsense'"),
        ("runs --nope", "unrecognized arguments: --nope"),
        ("runs --limit many", "invalid int value"),
        ("models a b", "unrecognized arguments: b"),
        ("copy --as fortran", "invalid choice"),
        ("copy nothing", "is no run"),
        ("cancel nothing", "there is no job 'nothing'"),
        ("use a/b -o x", "--out belongs to one cell"),
        ("--chat", "write the prompt last"),
        ("azure/fast", "write the prompt last"),
        ("'and/or what?'", "name a deployment"),
        ("last", "nothing has been asked"),
    ],
)
def test_bad_usage_is_one_line(run: Cell, sent: Sent, line: str, message: str) -> None:
    """A wrong command or argument is one short message that says what to do."""
    error = run(f"%bifrost {line}").error_in_exec
    assert type(error) is UsageError
    assert message in str(error)
    assert "\n" not in str(error)
    assert sent() == []


def test_use_sets_defaults(run: Cell, sent: Sent) -> None:
    """%bifrost use gives later cells a deployment and options; a line's own win; --reset forgets."""
    run(f"%bifrost use {TEXT} -t 0.5 --max-tokens 3")
    run("%%bifrost --quiet\nhi")
    run("%%bifrost --quiet openai/gpt-3.5-turbo-instruct -t 1\nhi")
    run('%bifrost "one line"')
    first, second, third = (request["body"] for request in sent())
    assert (first["temperature"], first["max_tokens"]) == (0.5, 3)
    assert (second["model"], second["temperature"], second["max_tokens"]) == ("openai/gpt-3.5-turbo-instruct", 1.0, 3)
    assert third["prompt"] == "one line"
    assert "temperature: 0.5" in run("%bifrost use").result
    run("%bifrost use --reset")
    assert "name a deployment" in str(run("%%bifrost\nhi").error_in_exec)


def test_models(run: Cell) -> None:
    """Deployments with prices per million tokens; unknown prices are missing, not 0."""
    frame = run("%bifrost models").result.set_index("id")
    assert frame.loc["azure/gpt-4o", "input_usd_per_million_tokens"] == 2.5
    assert frame.isna().loc["ollama/llama3.2", "input_usd_per_million_tokens"]
    assert list(run("%bifrost models GROQ").result["provider"]) == ["groq"]
    assert len(run("%bifrost models a.*").result) == 0


def test_runs(run: Cell) -> None:
    """The run log as a frame, filtered."""
    run(f"%%bifrost {TEXT} --quiet --max-tokens 2\nhi")
    run("%%bifrost azure/nope --quiet\nhi")
    assert list(run("%bifrost runs").result["status"]) == ["ok", "error"]
    assert list(run("%bifrost runs --status error --since 1h").result["requested_model"]) == ["nope"]
    assert len(run("%bifrost runs --limit 1").result) == 1


def test_cost_says_what_it_does_not_know(run: Cell, gateway: LocalGateway) -> None:
    """The session's cost is the sum of what is known, beside the number of runs without a known cost."""
    run(f"%%bifrost {TEXT} --quiet --max-tokens 20 -o known\nhi")
    run("%%bifrost azure/nope --quiet\nhi")
    row = run("%bifrost cost").result[0]
    assert (row["runs"], row["unknown"]) == (2, 1)
    assert row["cost_usd"] == pytest.approx(run("known.cost_usd").result)


def test_cost_names_the_log_whose_runs_it_counts(run: Cell) -> None:
    """Another kernel's runs in the same log count too, so the row is not called this session's."""
    bf.run_log().append(Run(status="ok", cost_usd=0.25, started_at=datetime.now(UTC)))
    row = run("%bifrost cost").result[0]
    assert (row["of"], row["runs"], row["cost_usd"]) == (SINCE, 1, 0.25)


def test_cost_of_this_notebook(run: Cell, shell: InteractiveShell) -> None:
    """The notebook's cost holds its single calls and its comparisons, also those of earlier sessions."""
    shell.user_ns["__vsc_ipynb_file__"] = "/somewhere/mine.ipynb"
    run("%reload_ext bifrost_nb")
    run(f"%%bifrost {TEXT} --quiet --max-tokens 2\nhi")
    run(f"%%bifrost {TEXT} --quiet --max-tokens 2 --repeat 3 --tag a=1\nhi")
    run("%reload_ext bifrost_nb")
    session, notebook = run("%bifrost cost").result
    assert session["runs"] == 0
    assert (notebook["of"], notebook["runs"]) == ("%%bifrost in mine.ipynb", 4)


def test_cost_knows_the_keys_budget(run: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a virtual key, its budgets and what is used of them are rows; a key that nobody knows has none."""
    assert [row["of"] for row in run("%bifrost cost").result] == [SINCE]
    monkeypatch.setenv("BIFROST_VIRTUAL_KEY", "sk-bf-demo-0123456789abcdef")
    _, budget = run("%bifrost cost").result
    assert budget == {"of": "the key's budget per 1M", "cost_usd": 1.25, "limit_usd": 10.0}
    monkeypatch.setenv("BIFROST_VIRTUAL_KEY", "sk-bf-unknown-0123456789abcdef")
    assert [row["of"] for row in run("%bifrost cost").result] == [SINCE]


def test_cost_where_the_gateway_tells_no_budget(run: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older gateway has no route for the key's budget: the other rows are told all the same."""
    monkeypatch.setenv("BIFROST_VIRTUAL_KEY", "sk-bf-demo-0123456789abcdef")
    with local_gateway(dialect="1.3") as old:
        monkeypatch.setenv("BIFROST_BASE_URL", old.url)
        assert [row["of"] for row in run("%bifrost cost").result] == [SINCE]


def test_doctor_finds_a_gateway(run: Cell) -> None:
    """What answers, its version, deployments, prices, whether its log can be read."""
    rows = {row["check"]: row for row in run("%bifrost doctor").result}
    assert "Bifrost v2.2" in rows["gateway"]["found"]
    assert rows["gateway log"]["found"].startswith("on")
    assert int(rows["deployments"]["found"].split()[0]) >= 5


def test_doctor_explains_a_dead_gateway(run: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing answers, it says so, says what to do, and still reports the rest."""
    monkeypatch.setenv("BIFROST_BASE_URL", "http://127.0.0.1:9")
    rows = {row["check"]: row for row in run("%bifrost doctor").result}
    assert "127.0.0.1:9" in rows["gateway"]["found"]
    assert "Client('demo')" in rows["gateway"]["advice"]
    assert "python" in rows


def test_prompts(run: Cell) -> None:
    """Saved prompts are listed with their versions, one is shown by name."""
    for body in ("one", "two"):
        run(f"%%bifrost {TEXT} --save greet --dry-run --quiet\n{body}")
    assert [(row["name"], row["versions"]) for row in run("%bifrost prompts").result] == [("greet", 2)]
    assert run("%bifrost prompts greet").result == "two"


@pytest.mark.parametrize("line", [f"{TEXT} --max-tokens 4 -t 0", f"{CHAT} --system 'Be brief' --max-tokens 4 --seed 3"])
@pytest.mark.parametrize("form", ["httpx", "curl", "magic"])
def test_copied_code_sends_the_same_request(run: Cell, sent: Sent, form: str, line: str, tmp_path: Path) -> None:
    """Copied code runs, and the gateway receives what it received before."""
    run(f'%%bifrost {line} --quiet\nit\'s "{{{{name}}}}" and $x `y` {{{{{{{{z}}}}}}}}'.replace("{{name}}", "a"))
    copied = run(f"%bifrost copy --as {form}").result
    if form == "magic":
        assert run(str(copied).replace("%%bifrost", "%%bifrost --quiet", 1)).success
    else:
        program = [sys.executable, "-c", copied] if form == "httpx" else ["bash", "-c", copied]
        subprocess.run(program, check=True, capture_output=True, timeout=60, cwd=tmp_path)
    first, second = (request["body"] for request in sent()[-2:])
    first.pop("stream")
    second.pop("stream", None)
    assert first == second
    assert first.get("prompt", first.get("messages", [{}])[-1].get("content")).startswith('it\'s "a"')


def test_copied_code_for_the_openai_sdk_is_python(run: Cell) -> None:
    """The SDK's code compiles and names the deployment as the gateway's OpenAI route wants it."""
    run(f"%%bifrost {CHAT} --chat --quiet --max-tokens 4 --fallback azure/gpt-4o\nhi")
    copied = str(run("%bifrost copy --as openai").result)
    compile(copied, "copied", "exec")
    assert "chat.completions.create" in copied
    assert f"model='{CHAT}'" in copied
    assert "extra_body={'fallbacks': ['azure/gpt-4o']}" in copied


def test_copy_takes_a_variable_or_a_run_id(run: Cell, shell: InteractiveShell) -> None:
    """A run can be named by its variable, or by a variable that holds its id."""
    run(f"%%bifrost {TEXT} --quiet --max-tokens 2 -o one\nfirst prompt")
    run(f"%%bifrost {TEXT} --quiet --max-tokens 2\nsecond prompt")
    assert "first prompt" in run("%bifrost copy one").result
    shell.user_ns["wanted"] = shell.user_ns["one"].run_id
    assert "first prompt" in run("%bifrost copy wanted").result
    assert "second prompt" in run("%bifrost copy").result


@pytest.mark.parametrize("form", sorted(FORMS))
def test_copied_code_holds_no_keys(run: Cell, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are environment variables in copied code."""
    monkeypatch.setenv("BIFROST_VIRTUAL_KEY", "sk-bf-0123456789abcdef0123")
    run(f"%%bifrost {TEXT} --quiet --no-raise --max-tokens 2\nhi")
    copied = str(run(f"%bifrost copy --as {form}").result)
    assert "0123456789" not in copied
    assert ("BIFROST_VIRTUAL_KEY" in copied) == (form != "magic")


def test_help_lists_every_command(run: Cell) -> None:
    """%bifrost help, and %bifrost alone, name every command and every option."""
    text = run("%bifrost help").result
    assert run("%bifrost").result == text
    for name in COMMANDS:
        assert f"%bifrost {name}" in text
    assert "--max-tokens" in text


@pytest.mark.parametrize("hostile", HOSTILE[::7])
def test_tables_and_texts_escape_what_they_show(hostile: str) -> None:
    """Names from a gateway and texts from a file are shown as text."""
    table = Table(["name"], [{"name": hostile}, {"name": None}], title=hostile)
    for shown in (table, Text(hostile)):
        assert read(shown._repr_html_()).errors == []
    assert "–" in repr(table)
    assert not any(ord(character) < 32 and character not in "\n\t" for character in repr(table))
    assert json.loads(json.dumps(table))[1]["name"] is None
