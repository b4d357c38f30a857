"""``%%bifrost`` in a real shell: what the gateway receives, what the user gets, what stops."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from typing import Any

import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell
from IPython.utils.capture import capture_output

from bifrost_nb import BifrostError, GatewayError, NotFound, Run, TemplateError
from bifrost_nb._display.run import Runs
from bifrost_nb._notebook.magic.saved_prompts import saved_prompts
from bifrost_nb._runs.log.log import run_log
from bifrost_nb._simulator.process import LocalGateway
from tests.prompts.test_template import UNTOUCHED

from .conftest import CHAT, TEXT

Cell = Callable[[str], ExecutionResult]
Sent = Callable[[], list[dict[str, Any]]]

BODIES = [body for body in UNTOUCHED if body.strip() and not body.endswith("\n") and "\r" not in body]


@pytest.mark.parametrize(
    "body", [*BODIES, "two\n\nparagraphs", "end\n\n", "end\n\n\n\n", "  indented\n\ttab", "%%nested\n!ls", "?"]
)
def test_a_prompt_reaches_the_gateway_unchanged(run: Cell, sent: Sent, body: str) -> None:
    """Apostrophes, open quotes and brackets, JSON, code, LaTeX, braces, dollars, trailing blank lines: as typed."""
    assert run(f"%%bifrost {TEXT} --max-tokens 2\n{body}").success
    assert sent()[-1]["body"]["prompt"] == body


def test_one_line_end_at_the_end_is_not_part_of_the_prompt(run: Cell, sent: Sent) -> None:
    """IPython ends every cell with a line end; without a kernel to ask, a single one is not sent."""
    run(f"%%bifrost {TEXT} --max-tokens 2\nOnce upon a time\n")
    assert sent()[-1]["body"]["prompt"] == "Once upon a time"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--max-tokens 5 -t 0.5 --top-p 0.9 --seed 7", {"max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "seed": 7}),
        ("-n 2 --max-tokens 3", {"n": 2}),
        ("--stop END --stop '\\n' --max-tokens 3", {"stop": ["END", "\n"]}),
        ("-p presence_penalty=0.5 -p user='a b' --max-tokens 3", {"presence_penalty": 0.5, "user": "a b"}),
        ("--fallback openai/gpt-3.5-turbo-instruct --max-tokens 3", {"fallbacks": ["openai/gpt-3.5-turbo-instruct"]}),
        ("--max-tokens 3", {"stream": True}),
    ],
)
def test_options_reach_the_gateway(run: Cell, sent: Sent, line: str, expected: dict[str, Any]) -> None:
    """Each option becomes the request field of its name."""
    assert run(f"%%bifrost {TEXT} {line}\nhi").success
    body = sent()[-1]["body"]
    assert {name: body[name] for name in expected} == expected


def test_extra_parameters_are_sent(run: Cell, sent: Sent) -> None:
    """A provider's own parameter goes along with the request."""
    assert run(f"%%bifrost {TEXT} --extra top_k=5 --max-tokens 3\nhi").success
    assert "top_k" in json.dumps(sent()[-1]["body"])


def test_chat_and_system(run: Cell, sent: Sent) -> None:
    """--system makes a chat; both texts are templates."""
    run("topic = 'tea'")
    assert run(f"%%bifrost {CHAT} --system 'Know {{{{topic}}}}.' --max-tokens 3\nWhy {{{{topic}}}}?").success
    assert sent()[-1]["path"] == "/v1/chat/completions"
    assert sent()[-1]["body"]["messages"] == [
        {"role": "system", "content": "Know tea."},
        {"role": "user", "content": "Why tea?"},
    ]


@pytest.mark.parametrize(
    ("line", "path"),
    [
        (CHAT, "/v1/chat/completions"),
        (f"{TEXT} {CHAT}", "/v1/chat/completions"),
        (f"{CHAT} --api responses --system 'Be brief.' -t 0", "/v1/responses"),
        (f"{CHAT} --history --api responses", "/v1/responses"),
        (f"{CHAT} --api responses --repeat 2", "/v1/responses"),
        ("openai/gpt-3.5-turbo-instruct", "/v1/completions"),
    ],
)
def test_how_a_deployment_is_asked(run: Cell, sent: Sent, line: str, path: str) -> None:
    """As the gateway's list says that it can be, each its own way; --api decides otherwise."""
    assert run(f"%%bifrost {line} --max-tokens 20\nhi").success
    assert path in [request["path"] for request in sent()]
    assert {request["status"] for request in sent()} <= {200}


def test_ways_that_contradict_each_other(run: Cell, sent: Sent) -> None:
    """--chat beside another --api is one error; so is a system message for a text completion."""
    for line in ("--chat --api text", "--chat --api responses"):
        assert "contradict" in str(run(f"%%bifrost {CHAT} {line}\nhi").error_in_exec)
    assert isinstance(run(f"%%bifrost {CHAT} --api text --system x\nhi").error_in_exec, BifrostError)
    assert sent() == []


def test_variables_of_the_notebook_and_of_functions(run: Cell, sent: Sent) -> None:
    """Placeholders see the notebook's variables, and inside a function its own first."""
    run("name, other = 'outer', 'global'")
    run(
        "def ask(name):\n"
        f"    get_ipython().run_cell_magic('bifrost', '{TEXT} --max-tokens 2', '{{{{name}}}} {{{{other}}}}')\n"
        "ask('inner')"
    )
    assert sent()[-1]["body"]["prompt"] == "inner global"


def test_the_magic_line_is_not_expanded(run: Cell, sent: Sent) -> None:
    """IPython's own {x} and $x expansion does not touch the line."""
    run("x = 1")
    assert run(f"%%bifrost {TEXT} -p 'user={{x}} $x' --max-tokens 2\nhi").success
    assert sent()[-1]["body"]["user"] == "{x} $x"


def test_the_result_is_bound_everywhere(run: Cell, shell: InteractiveShell) -> None:
    """The run is in _, _bifrost, Out[N] and the named variable; the cell shows it once."""
    with capture_output() as shown:
        result = run(f"%%bifrost {TEXT} --max-tokens 8 -o answer\nhi")
    answer = shell.user_ns["answer"]
    assert isinstance(answer, Run)
    assert answer.status == "ok"
    for name in ("_", "_bifrost"):
        assert shell.user_ns[name] is answer
    assert shell.user_ns["Out"][shell.execution_count - 1] is answer
    assert result.result is answer
    assert shown.stdout.count(answer.text.strip()) == 1
    assert run("_").result is answer


def test_several_deployments_race(run: Cell, sent: Sent, shell: InteractiveShell) -> None:
    """Several deployments are asked at once with the same prompt; the result is a list that makes a frame."""
    run(f"%%bifrost {TEXT} openai/gpt-3.5-turbo-instruct azure/large --max-tokens 5 -o race\nhi")
    race = shell.user_ns["race"]
    assert isinstance(race, Runs)
    assert [run.requested for run in race] == [TEXT, "openai/gpt-3.5-turbo-instruct", "azure/large"]
    assert list(race.frame["status"]) == ["ok"] * 3
    assert {request["body"]["prompt"] for request in sent()} == {"hi"}


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("%%bifrost\nhi", "name a deployment"),
        (f"%%bifrost {TEXT}\n   \n", "the prompt is empty"),
        (f"%%bifrost {TEXT} --nope\nhi", "no option --nope"),
        (f"%%bifrost {TEXT} -t 1 -t 2\nhi", "given twice"),
        (f"%%bifrost {CHAT} --history-from 3\nhi", "this chat has 0 turns"),
        (f"%%bifrost {TEXT} --max-cost 1\nhi", "--max-cost limits a comparison"),
        (f"%%bifrost {TEXT} -i nowhere\nhi", "there is no such variable"),
        (f"%%bifrost {TEXT} --max-tokens 5 \\\nhi", "the line ends in a backslash"),
        (f"%%bifrost {CHAT} --system \u201cBe brief\u201d\nhi", "brief\u201d has a typographic quote"),
    ],
)
def test_bad_usage_is_one_line_and_sends_nothing(
    run: Cell, sent: Sent, capsys: pytest.CaptureFixture[str], cell: str, message: str
) -> None:
    """A wrong line raises UsageError itself: one line on screen, nothing sent, Run All stops."""
    result = run(cell)
    assert type(result.error_in_exec) is UsageError
    shown = capsys.readouterr()
    printed = (shown.out + shown.err).strip()
    assert message in printed
    assert printed.count("\n") == 0
    assert sent() == []


@pytest.mark.parametrize(
    ("cell", "kind", "message"),
    [
        ("%%bifrost azure/nope\nhi", NotFound, "DeploymentNotFound"),
        ("%%bifrost azure/always-fails\nhi", GatewayError, "500"),
        (f"%%bifrost {TEXT}\n{{{{nmae}}}} {{{{b}}}}", TemplateError, "did you mean name?"),
        (f"%%bifrost {TEXT} -p temprature=1\nhi", BifrostError, "temperature"),
        (f"%%bifrost {TEXT} -t 99\nhi", BifrostError, "temperature"),
        ("%%bifrost nonsense\nhi", BifrostError, "provider/model"),
        ("%%bifrost --use nothing azure/a\nhi", BifrostError, "no saved prompt"),
    ],
)
def test_errors_are_one_line_and_typed(
    run: Cell, capsys: pytest.CaptureFixture[str], cell: str, kind: type[Exception], message: str
) -> None:
    """A failure is the typed exception, shown as one line that says how to see all."""
    run("name = 1")
    capsys.readouterr()
    result = run(cell.replace("%%bifrost", "%%bifrost --quiet") if "nope" in cell or "fails" in cell else cell)
    assert isinstance(result.error_in_exec, kind)
    printed = capsys.readouterr().out.strip()
    assert message in printed
    assert "Bifrost.short_errors" in printed
    assert "Traceback" not in printed
    assert printed.count("\n") == 0


def test_the_whole_traceback_on_request(run: Cell, capsys: pytest.CaptureFixture[str]) -> None:
    """%config Bifrost.short_errors = False shows where it happened."""
    run("%config Bifrost.short_errors = False")
    run("%%bifrost --quiet azure/nope\nhi")
    printed = capsys.readouterr().out
    assert "Traceback" in printed
    assert "NotFound" in printed


def test_errors_of_functions_show_the_callers_lines(run: Cell, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a traceback the frames below the call of this package are left out, unless all are asked for."""
    for cell in ("def f():\n    return bf.models(bf.Client('nowhere'))\nf()", "await bf.Client().achat('gpt', 'hi')"):
        run(f"import bifrost_nb as bf\n{cell}")
        printed = capsys.readouterr().out
        assert cell.splitlines()[-1] in re.sub(r"\x1b\[[0-9;]*m", "", printed)
        assert "ConfigurationError" in printed
        assert "bifrost_nb/" not in printed.replace("\\", "/")
    for whole in ("%xmode Verbose", "%xmode Context\n%config Bifrost.short_errors = False"):
        run(f"{whole}\nbf.Client('nowhere')")
        assert "_settings.py" in capsys.readouterr().out


def test_a_failure_keeps_its_partial_result(run: Cell, gateway: LocalGateway, shell: InteractiveShell) -> None:
    """A stream that breaks off binds the run with the text received so far, and raises."""
    gateway.script([{"prompt": "break", "drop": {"after_chunks": 3}}])
    result = run(f"%%bifrost {TEXT} -o part\nbreak")
    assert isinstance(result.error_in_exec, BifrostError)
    part = shell.user_ns["part"]
    assert part.status == "truncated"
    assert part.text
    assert shell.user_ns["_bifrost"] is part
    assert run_log().read(run_id=part.run_id)[0].response == part.text


def test_a_failure_of_several_names_how_many(
    run: Cell, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    """When some fail, all are shown and kept, and the error says how many and why."""
    result = run(f"%%bifrost {TEXT} azure/nope --max-tokens 3 --quiet -o both\nhi")
    assert isinstance(result.error_in_exec, NotFound)
    assert "1 of 2 deployments failed; azure/nope" in capsys.readouterr().out
    assert [run.status for run in shell.user_ns["both"]] == ["ok", "error"]


def test_no_raise_goes_on(run: Cell, shell: InteractiveShell) -> None:
    """With --no-raise the run says what happened and the notebook goes on."""
    assert run("%%bifrost azure/nope --no-raise -o failed\nhi").success
    assert shell.user_ns["failed"].status == "error"


def test_tags_timeout_and_prompt_id_are_recorded(run: Cell, shell: InteractiveShell) -> None:
    """Tags and the saved prompt's id are in the run and in the log."""
    run(f"%%bifrost {TEXT} --tag team=blue --save greet --max-tokens 2 -o answer\nhello")
    answer = shell.user_ns["answer"]
    assert answer.tags["team"] == "blue"
    assert answer.prompt_id == "greet@1"
    assert run_log().read(prompt_id="greet@1")[0].run_id == answer.run_id


def test_the_notebook_is_a_tag(run: Cell, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the server tells the notebook's name, runs carry it, so that costs can be told per notebook."""
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/me/study.ipynb")
    run(f"%%bifrost {TEXT} --max-tokens 2 -o answer\nhello")
    assert shell.user_ns["answer"].tags == {"notebook": "study.ipynb"}
    assert run("%bifrost cost").result[1]["of"] == "%%bifrost in study.ipynb"


def test_timeout_is_kept(run: Cell, gateway: LocalGateway, shell: InteractiveShell) -> None:
    """--timeout ends a call that takes longer."""
    gateway.script([{"prompt": "slow", "first_text_ms": 10_000}])
    run(f"%%bifrost {TEXT} --timeout 0.3 -o late\nslow")
    assert shell.user_ns["late"].status == "timeout"


def test_saved_prompts_have_versions(run: Cell, sent: Sent) -> None:
    """--save keeps a prompt; a changed one is the next version; --use takes the newest or the one asked for."""
    for body in ("one", "one", "two"):
        run(f"%%bifrost {TEXT} --save p --dry-run\n{body}")
    run(f"%bifrost {TEXT} --use p --max-tokens 2")
    run(f"%bifrost {TEXT} --use p@1 --max-tokens 2")
    assert [request["body"]["prompt"] for request in sent()] == ["two", "one"]
    assert "Saved are" in str(run(f"%bifrost {TEXT} --use nothing").error_in_exec)
    assert "no saved prompt 'p@3'" in str(run(f"%bifrost {TEXT} --use p@3").error_in_exec)
    kept = saved_prompts()
    kept.path.write_bytes(kept.path.read_bytes()[:-1] + b'{"name":"p","ver')  # of a kernel that was killed
    kept.save("p", "three")
    assert [(one.id, one.template) for one in kept] == [("p@1", "one"), ("p@2", "two"), ("p@3", "three")]


def test_a_prompt_is_saved_under_a_name(run: Cell, sent: Sent) -> None:
    """An empty name is told: the prompt would be asked and not kept."""
    assert "cannot be saved as ''" in str(run(f"%%bifrost {TEXT} --save ''\nhi").error_in_exec)
    assert sent() == []


def test_a_saved_prompt_takes_the_cell_as_body(run: Cell, sent: Sent) -> None:
    """{{body}} of a saved prompt is the cell's text; without it a cell's text would be lost, so that is an error."""
    run("body = 'unused'")
    run(f"%%bifrost {TEXT} --save summarise --dry-run\nSummarise: {{{{body}}}}")
    run(f"%%bifrost {TEXT} --save plain --dry-run\nno place")
    assert run(f"%%bifrost {TEXT} --use summarise --max-tokens 2\nA long text\n").success
    assert sent()[-1]["body"]["prompt"] == "Summarise: A long text"
    assert "has no {{body}}" in str(run(f"%%bifrost {TEXT} --use plain\nlost").error_in_exec)
    assert run(f"%bifrost {TEXT} --use plain --max-tokens 2").success
    assert sent()[-1]["body"]["prompt"] == "no place"


def test_dry_run_shows_and_sends_nothing(run: Cell, sent: Sent) -> None:
    """--dry-run shows address and body of each request, and the gateway hears nothing."""
    with capture_output() as shown:
        run(f"%%bifrost {TEXT} {CHAT} --chat --dry-run -t 0\nhi")
    assert sent() == []
    text = shown.outputs[0].data["text/plain"]
    assert text.count("POST http") == 2
    assert '"temperature": 0.0' in text


def test_cache_headers(run: Cell, sent: Sent) -> None:
    """--cache on sends a cache key, off keeps the answer out of the cache, nothing sends neither."""
    for option in ("--cache on", "--cache off", ""):
        run(f"%%bifrost {TEXT} {option} --max-tokens 2\nhi")
    on, off, neither = (request["headers"] for request in sent())
    assert on["x-bf-cache-key"]
    assert off["x-bf-cache-no-store"] == "true"
    assert not [name for name in neither if name.startswith("x-bf-cache")]


def test_quiet_shows_nothing(run: Cell, shell: InteractiveShell) -> None:
    """--quiet leaves the screen alone, of a comparison that is judged, too; the result is there."""
    with capture_output() as shown:
        run(f"%%bifrost {TEXT} --quiet --max-tokens 3 -o answer\nhi")
        run(f"%%bifrost {TEXT} --quiet --max-tokens 3 --repeat 2 --score length:5 -o compared\nhi")
    assert (shown.stdout, shown.stderr, shown.outputs) == ("", "", [])
    assert shell.user_ns["answer"].text
    assert len(shell.user_ns["compared"].runs) == 2


def test_the_second_name(run: Cell) -> None:
    """%%bifrost_nb is the same magic under a name that nobody else has."""
    assert run(f"%%bifrost_nb {TEXT} --max-tokens 2\nhi").success
    assert run("%bifrost_nb help").success


def test_help_is_the_docstring(run: Cell, sent: Sent, shell: InteractiveShell) -> None:
    """%%bifrost? shows how to write it and every option; a cell that asks for help in a shell's way gets the latter."""
    text = shell.find_magic("bifrost", "cell").__doc__
    assert "{{name}}" in text
    assert "--max-tokens" in text
    assert "-o NAME" in text
    for line in ("--help", "-h"):
        assert "--max-tokens" in run(f"%%bifrost {line}\nhi").result
    assert not sent()


def test_keys_are_sent_and_shown_nowhere(
    run: Cell, sent: Sent, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A configured key reaches the gateway and no output: errors, configuration, doctor, copied code, dry run."""
    key = "sk-bf-0123456789abcdef0123"
    monkeypatch.setenv("BIFROST_VIRTUAL_KEY", key)
    run(f"%%bifrost {TEXT} --max-tokens 2 -o answer --no-raise\nhi")
    assert sent()[-1]["headers"]["x-bf-vk"] == key
    with capture_output() as shown:
        for command in (
            "config",
            "doctor",
            "copy",
            "copy --as httpx",
            "copy --as openai",
            "copy --as magic",
            "cost",
            "runs",
        ):
            run(f"%bifrost {command}")
        run(f"%%bifrost {TEXT} --dry-run\nhi")
        run("%config Bifrost.short_errors = False")
        run("%%bifrost azure/nope\nhi")
    displayed = "".join(str(output.data) for output in shown.outputs)
    assert key not in shown.stdout + shown.stderr + displayed + str(capsys.readouterr())
    assert key not in repr(shell.user_ns["answer"])
    assert os.environ["BIFROST_VIRTUAL_KEY"] == key
