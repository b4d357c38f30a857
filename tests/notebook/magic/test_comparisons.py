"""``--repeat`` and ``--inputs``: one cell asks many times and gives a comparison."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell
from IPython.utils.capture import capture_output

from bifrost_nb._compare.comparison import Comparison
from bifrost_nb._simulator.process import LocalGateway

from .conftest import CHAT, TEXT

Cell = Callable[[str], ExecutionResult]
Sent = Callable[[], list[dict[str, Any]]]
OTHER = "openai/gpt-3.5-turbo-instruct"


def test_repeats(run: Cell, sent: Sent, shell: InteractiveShell) -> None:
    """--repeat asks every deployment so often and shows the comparison once."""
    with capture_output() as shown:
        result = run(f"%%bifrost {TEXT} {OTHER} --repeat 3 --max-tokens 2 -t 0 -o compared\nhi")
    assert result.success
    compared = shell.user_ns["compared"]
    assert isinstance(compared, Comparison)
    assert len(compared.frame) == 6
    assert len(sent()) == 6
    assert shell.user_ns["_"] is compared
    (output,) = shown.outputs
    assert len(output.metadata["bifrost_nb"]["runs"]) == 6


@pytest.mark.parametrize(
    "inputs",
    [
        pd.DataFrame({"product": ["lamp", "bell"]}),
        {"product": ["lamp", "bell"]},
        [{"product": "lamp"}, {"product": "bell"}],
    ],
    ids=["frame", "dict", "list"],
)
def test_inputs(run: Cell, sent: Sent, shell: InteractiveShell, inputs: Any) -> None:
    """One prompt per row; names that are no columns come from the notebook."""
    shell.user_ns.update(products=inputs, tone="dry {{product}}")
    assert run(f"%%bifrost {TEXT} -i products --max-tokens 2 --quiet\n{{{{tone}}}}: {{{{product}}}} {{x}}").success
    prompts = {request["body"]["prompt"] for request in sent()}
    assert prompts == {"dry {{product}}: lamp {x}", "dry {{product}}: bell {x}"}


def test_values_of_the_notebook_are_no_templates(run: Cell, sent: Sent) -> None:
    """With --repeat the notebook's values go in once; braces in them reach the gateway."""
    run("topic = 'the {{braces}} and {{{{more}}}}'")
    assert run(f"%%bifrost {TEXT} --repeat 2 --max-tokens 2 --quiet\nAbout {{{{topic}}}}").success
    assert {request["body"]["prompt"] for request in sent()} == {"About the {{braces}} and {{{{more}}}}"}


def test_options_reach_every_call(run: Cell, sent: Sent, shell: InteractiveShell) -> None:
    """Chat, system, parameters, tags and the cache header go along."""
    run(f"%%bifrost {CHAT} --repeat 2 --system Brief. -t 0 --tag a=1 --cache off --quiet --max-tokens 2 -o c\nhi")
    assert [request["body"]["messages"][0]["content"] for request in sent()] == ["Brief.", "Brief."]
    assert {request["body"]["temperature"] for request in sent()} == {0.0}
    assert {request["headers"].get("x-bf-cache-no-store") for request in sent()} == {"true"}
    assert {run.tags["a"] for run in shell.user_ns["c"].runs} == {1}


@pytest.mark.parametrize("line", ["", " --repeat 2", " -i rows", " -i rows --dry-run"])
def test_a_system_message_is_a_template_everywhere(run: Cell, sent: Sent, shell: InteractiveShell, line: str) -> None:
    """--system is filled in from the notebook and the row alike, and doubled braces come out single."""
    shell.user_ns.update(lang="Czech {{x}}", rows=[{"word": "a"}])
    system = "Speak " + "{" * 2 + "lang" + "}" * 2 + "; " + "{" * 4 + "lang" + "}" * 4
    assert run(
        f'%%bifrost {CHAT} --system "{system}"{line} --quiet --max-tokens 2\nhi {{{{word}}}}'.replace(
            " {{word}}", " {{word}}" if "rows" in line else ""
        )
    ).success
    bodies = [request["body"] for request in sent()]  # in those without messages tokens were counted
    systems = {body["messages"][0]["content"] for body in bodies if "messages" in body}
    assert systems == (set() if "dry" in line else {"Speak Czech {{x}}; {{lang}}"})


def test_inputs_of_another_library(run: Cell, sent: Sent, shell: InteractiveShell) -> None:
    """An Arrow table takes further names from the notebook as a DataFrame does."""
    shell.user_ns.update(products=pa.table({"product": ["lamp"]}), tone="dry")
    assert run(f"%%bifrost {TEXT} -i products --max-tokens 2 --quiet\n{{{{tone}}}}: {{{{product}}}}").success
    assert [request["body"]["prompt"] for request in sent()] == ["dry: lamp"]


def test_a_dry_run_says_what_it_would_take(run: Cell, sent: Sent) -> None:
    """--dry-run of a comparison sends nothing and says how much it would be."""
    with capture_output() as shown:
        assert run(f"%%bifrost {TEXT} --repeat 5 --dry-run\nhi").success
    assert sent() == []
    assert "5" in shown.outputs[0].data["text/plain"]


@pytest.mark.parametrize("option", ["--history", "--bg later"])
def test_what_does_not_go_together(run: Cell, sent: Sent, option: str) -> None:
    """A comparison has no history and no background form; that is said before anything is sent."""
    assert "does not go with a comparison" in str(run(f"%%bifrost {TEXT} --repeat 2 {option}\nhi").error_in_exec)
    assert sent() == []


def test_scores_on_the_line(run: Cell, gateway: LocalGateway, shell: InteractiveShell) -> None:
    """--score takes a ready scorer with a column, a function of the notebook, and names for several."""
    gateway.script([{"deployment": TEXT, "text": ["A bright lamp."]}, {"text": ["Nothing."]}])
    run("products = {'product': ['lamp', 'bell']}\ndef words(run): return len(run.text.split())")
    line = f"%%bifrost {TEXT} {OTHER} -i products --quiet -o"
    assert run(f"{line} one --score contains:product\nAbout {{{{product}}}}").success
    assert shell.user_ns["one"].frame["score"].tolist() == [1, 0, 0, 0]
    assert run(f"{line} two --score words --score brief=length:9 --score json_valid\nAbout {{{{product}}}}").success
    frame = shell.user_ns["two"].frame
    assert frame["score_words"].tolist() == [3, 1, 3, 1]
    assert frame["score_brief"].tolist() == [0, 1, 0, 1]
    assert frame["score_json_valid"].tolist() == [0] * 4


def test_a_score_alone_makes_a_comparison(run: Cell, shell: InteractiveShell, sent: Sent) -> None:
    """With --score one answer each is a comparison, too; what is no column is the text itself."""
    assert run(f"%%bifrost {TEXT} {OTHER} --score regex:. --max-tokens 2 --quiet -o compared\nhi").success
    assert shell.user_ns["compared"].frame["score"].tolist() == [1, 1]
    assert len(sent()) == 2


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("contain:x", "did you mean"),
        ("nothing", "Ready are exact"),
        ("contains", "--score contains:must_mention"),
        ("length:many", "--score length:many: max must be a whole number"),
        ("regex:(", "regex takes a pattern"),
        ("json_valid:x", "takes nothing"),
        ("exact:a --score exact:b", "two scores are called exact; write --score NAME=exact:b"),
        ("a=length:3 --score a=json_valid", "two scores are called a; write --score NAME=json_valid"),
        ("exact:capitol", "capitol"),
    ],
)
def test_a_score_that_cannot_be_is_one_line(run: Cell, sent: Sent, written: str, says: str) -> None:
    """A wrong --score says what was wrong and what there is, before anything is sent."""
    run("products = {'product': ['lamp', 'bell']}")
    result = run(f"%%bifrost {TEXT} -i products --score {written}\nAbout {{{{product}}}}")
    assert says.lower() in str(result.error_in_exec).lower()
    assert not sent()


def test_prompts_of_the_line_are_variants(run: Cell, sent: Sent, shell: InteractiveShell) -> None:
    """--prompt, repeated, compares templates; {{body}} is the cell's text, and inputs fill in the rest."""
    shell.user_ns["products"] = {"product": ["lamp", "bell"]}
    short, long = "short='{{body}} {{product}}.'", "long='Please: {{body}} {{product}}, and say why.'"
    line = f"%%bifrost {TEXT} --prompt {short} --prompt {long} -i products --max-tokens 2 --quiet -o compared"
    assert run(f"{line}\nSell a").success
    assert sorted(request["body"]["prompt"] for request in sent()) == [
        "Please: Sell a bell, and say why.",
        "Please: Sell a lamp, and say why.",
        "Sell a bell.",
        "Sell a lamp.",
    ]
    compared = shell.user_ns["compared"]
    assert set(compared.frame["template"]) == {"short", "long"}
    assert set(compared.summary(by="template").reset_index()["template"]) == {"short", "long"}


def test_saved_prompts_are_compared(run: Cell, sent: Sent, shell: InteractiveShell) -> None:
    """--use, repeated, compares saved prompts, in one line too; one --use alone asks as before."""
    run(f"%%bifrost {TEXT} --save brief --dry-run --quiet\nSay {{{{word}}}}.")
    run(f"%%bifrost {TEXT} --save wordy --dry-run --quiet\nWould you kindly say {{{{word}}}}?")
    shell.user_ns["word"] = "hi"
    assert run(f"both = %bifrost {TEXT} --use brief --use wordy --max-tokens 2").success
    assert {request["body"]["prompt"] for request in sent()} == {"Say hi.", "Would you kindly say hi?"}
    assert len(shell.user_ns["both"].frame) == 2
    assert run(f"%bifrost {TEXT} --use brief --max-tokens 2").result.prompt == "Say hi."


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--prompt short", "not NAME=TEXT"),
        ("--prompt a=x --prompt a=y", "--prompt a is given twice"),
        (TEXT, f"{TEXT} is given twice"),
        (f"{TEXT} --repeat 2", f"{TEXT} is given twice; --repeat 2 asks each deployment twice"),
        ("--prompt a=x", "a has no {{body}} for this cell's text"),
        ("--prompt a={{body}} --save b", "leave --use and --prompt out"),
        ("--prompt a={{body}} --history", "--history does not go with a comparison"),
    ],
)
def test_wrong_prompts_of_the_line(run: Cell, sent: Sent, line: str, message: str) -> None:
    """One sentence, and nothing is sent."""
    assert message in str(run(f"%%bifrost {TEXT} {line}\nhi").error_in_exec)
    assert sent() == []
