"""The magic line becomes options, or one short message."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from IPython.core.error import UsageError

from bifrost_nb._notebook.magic.line_words import split, split_prompt
from bifrost_nb._notebook.magic.options import Options, help_text, literal, options, parse


@pytest.mark.parametrize(
    ("line", "given"),
    [
        ("azure/a", {"deployments": ["azure/a"]}),
        ("azure/a openai/b", {"deployments": ["azure/a", "openai/b"]}),
        ("azure/a -t 0.2 openai/b", {"deployments": ["azure/a", "openai/b"], "temperature": 0.2}),
        ("--temperature 1", {"temperature": 1.0}),
        ("--fallback a/b --fallback c/d", {"fallbacks": ["a/b", "c/d"]}),
        ("--max-tokens 60 --top-p 0.5 --seed -3 -n 2", {"max_tokens": 60, "top_p": 0.5, "seed": -3, "n": 2}),
        (r"--stop '\n\n' --stop END", {"stop": ["\n\n", "END"]}),
        ("--chat", {"chat": True}),
        ("--system 'Be brief, {really} = \"yes\".'", {"system": 'Be brief, {really} = "yes".'}),
        ("--system=Short", {"system": "Short"}),
        ("-p top_k=5 -p user=me", {"parameters": {"top_k": 5, "user": "me"}}),
        ('-p \'reasoning={"effort": "low"}\'', {"parameters": {"reasoning": {"effort": "low"}}}),
        ('-p "user=some one = {x}"', {"parameters": {"user": "some one = {x}"}}),
        ("-p 'user=\"5\"'", {"parameters": {"user": "5"}}),
        ("-p a=true -p b=True -p c=None -p d=", {"parameters": {"a": True, "b": True, "c": None, "d": ""}}),
        ("-p 'a=[1, \"x y\"]'", {"parameters": {"a": [1, "x y"]}}),
        ("-p user=123e4567 -p suffix=1.10 -p n=7", {"parameters": {"user": "123e4567", "suffix": "1.10", "n": 7}}),
        ("-p suffix=true -p user=[1]", {"parameters": {"suffix": "true", "user": "[1]"}}),
        ("-p service_tier=0x1F -p user=007 -p temperature=1e-1",
         {"parameters": {"service_tier": "0x1F", "user": "007", "temperature": 0.1}}),
        ("--extra safe=true", {"extra": {"safe": True}}),
        ("--tag team=blue --tag week=47", {"tags": {"team": "blue", "week": 47}}),
        ("-o answer", {"out": "answer"}),
        (r"--image C:\pictures\new.png --chat", {"images": [r"C:\pictures\new.png"], "chat": True}),
        (r'--image "C:\my pictures\new.png"', {"images": [r"C:\my pictures\new.png"]}),
        (r"--image=\\host\share\a.png", {"images": [r"\\host\share\a.png"]}),
        (r"--tag folder=C:\runs\ --tag b=1", {"tags": {"folder": "C:\\runs\\", "b": 1}}),
        ("--out antwört", {"out": "antwört"}),
        ("--repeat 3 -i products --max-cost 0.5", {"repeat": 3, "inputs": "products", "max_cost": 0.5}),
        ("--format json --cache off --timeout 5", {"format": "json", "cache": "off", "timeout": 5.0}),
        ("--save p --history --dry-run", {"save": "p", "history": "chat", "dry_run": True}),
        ("--quiet --no-raise", {"quiet": True, "no_raise": True}),
        ("--use p@2 --bg job", {"use": ["p@2"], "bg": "job"}),
    ],
)  # fmt: skip
def test_options_are_read(line: str, given: dict[str, Any]) -> None:
    """Each option by each of its names, values in quotes with blanks, braces and equal signs, typed values."""
    assert parse(split(line)) == Options(**given)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a/b --nope", "no option --nope"),
        ("a/b --repeat many", "many is not a whole number from 1"),
        ("a/b --temprature 1", "Did you mean '--temperature'?"),
        ("a/b --temp 1", "no option --temp. Did you mean '--temperature'?"),
        ("a/b -t 1 --temperature 2", "--temperature is given twice"),
        ("a/b --chat --chat", "--chat is given twice"),
        ("a/b -p x=1 -p x=2", "-p x is given twice"),
        ("a/b -t warm", "invalid float value: 'warm'"),
        ("a/b --max-tokens 1.5", "invalid int value: '1.5'"),
        ("a/b -n 0", "not a whole number from 1"),
        ("a/b -t", "expected one argument"),
        ("a/b -p x", "'x' is not NAME=VALUE"),
        ("a/b -p =x", "is not NAME=VALUE"),
        ("a/b -o 2x", "'2x' is not a name for a variable"),
        ("a/b -o class", "'class' is not a name for a variable"),
        ("a/b -o a.b", "'a.b' is not a name for a variable"),
        ("a/b --format xml", "invalid choice: 'xml'"),
        ("a/b --system 'open", "a quote on the line is not closed"),
        ("a/b --max-tokens 5 \\", "the line ends in a backslash"),
        ("a/b --help", "there is no option --help. %%bifrost? lists"),
        ("a/b --chat=yes", "ignored explicit argument"),
    ],
)
def test_a_wrong_line_is_one_short_message(line: str, message: str) -> None:
    """An unknown, doubled, incomplete or mistyped option raises UsageError itself, which IPython shows in one line."""
    with pytest.raises(UsageError) as caught:
        parse(split(line))
    assert type(caught.value) is UsageError
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "value"),
    [("1", 1), ("1.0", 1.0), ('"1"', "1"), ("text", "text"), ("NaN", "NaN"), ("Infinity", "Infinity"), ("null", None),
     ("{x}", "{x}"), ("'a'", "'a'"), ("", ""), ("[", "["), (".1", 0.1), ("-.5e-1", -0.05), (".", "."), (".1.2", ".1.2"),
     (".env", ".env"), ("1.", "1.")],
)  # fmt: skip
def test_values_are_json_or_text(written: str, value: Any) -> None:
    """What is JSON is read as JSON; everything else is text, never an error and never evaluated."""
    assert literal(written) == value
    assert type(literal(written)) is type(value)


def test_defaults_are_replaced_and_never_changed() -> None:
    """An option on the line replaces what `%bifrost use` set; lists and pairs too; the defaults stay as they were."""
    defaults = parse(split("a/b -t 0 --fallback x/y -p k=1"))
    assert parse(split("c/d -t 1 --fallback z/z -p m=2"), defaults) == Options(
        deployments=["c/d"], temperature=1.0, fallbacks=["z/z"], parameters={"m": 2}
    )
    given = parse([], defaults)
    assert given == defaults
    given.fallbacks.append("q/q")
    assert defaults.fallbacks == ["x/y"]


def test_a_parameter_given_both_ways_is_an_error() -> None:
    """``-t 1 -p temperature=2`` is a contradiction, not a silent choice."""
    with pytest.raises(UsageError, match="temperature is given twice"):
        _ = parse(split("-t 1 -p temperature=2")).wire


def test_help_comes_from_the_declaration() -> None:
    """Every field of the options is declared, and every declared option is in the help."""
    declared = {name for option in options() for name in option.names}
    assert len(options()) == len(fields(Options)) - 1  # all but the deployments
    for name in declared:
        assert name in help_text()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a/b -t 1  # warm-up, it's cold", ["a/b", "-t", "1"]),
        ("# only a comment", []),
        (
            "a/b --tag issue=#12 --stop '#' --stop \"# x\"",
            ["a/b", "--tag", "issue=#12", "--stop", "#", "--stop", "# x"],
        ),
        ('-p logit_bias={"50256":-100} x', ["-p", 'logit_bias={"50256":-100}', "x"]),
        ('--extra a=["x y", {"b": "#"}] -n 2', ["--extra", 'a=["x y", {"b": "#"}]', "-n", "2"]),
        ("-p 'a={\"b\": 1}' c", ["-p", 'a={"b": 1}', "c"]),
        ("-p logit_bias={50256: -100, 5: 1} x  # cold", ["-p", 'logit_bias={"50256": -100, "5": 1}', "x"]),
        ("--extra a={'b': [True, None, 'x y']} -n 2", ["--extra", 'a={"b": [true, null, "x y"]}', "-n", "2"]),
        ("--extra a=['--', '#'] -- z", ["--extra", 'a=["--", "#"]', "--", "z"]),
        ("-p a={x} --tag t={1,2} --tag u=[f(1)]", ["-p", "a={x}", "--tag", "t={1,2}", "--tag", "u=[f(1)]"]),
        ("-p a=[end] --tag t=[draft", ["-p", "a=[end]", "--tag", "t=[draft"]),
        ("--system 'it''s' größer\\ x", ["--system", "its", "größer x"]),
        ('""', [""]),
        ("a\t b", ["a", "b"]),
    ],
)
def test_a_line_is_split_as_a_shell_does(line: str, words: list[str]) -> None:
    """Quotes and comments of a shell; JSON behind an equals sign, or Python's dict, needs no quotes."""
    assert split(line) == words


@pytest.mark.parametrize(
    ("line", "words", "prompt"),
    [
        ('a/b "Explain a -- b"', ["a/b", "Explain a -- b"], None),
        ("a/b --system 'x -- y' -- don't # stop -- now ", ["a/b", "--system", "x -- y"], "don't # stop -- now "),
        ("a/b '--' -- x", ["a/b", "--"], "x"),
        ('a/b --extra a=["x -- y"] -- z', ["a/b", "--extra", 'a=["x -- y"]'], "z"),
        ("a/b --", ["a/b"], ""),
    ],
)
def test_only_dashes_that_stand_alone_begin_the_prompt(line: str, words: list[str], prompt: str | None) -> None:
    """Those inside quotes, JSON or the prompt itself are text."""
    assert split_prompt(line) == (words, prompt)


WRITTEN = {
    **{text: text for text in ("123e4567", "6e10", "1.10", "12345678901234567890123", "007", "1e400", "NaN", "-0.50")},
    "5": 5,
    "1.5": 1.5,
    "-3": -3,
    "true": True,
    '{"a": 1}': {"a": 1},
    "two words": "two words",
    "1_000": "1_000",
    "null": "null",
    "None": "None",
}


@pytest.mark.parametrize("written", WRITTEN)
def test_a_tag_is_what_was_written(written: str) -> None:
    """A commit, a version, an order number: a number only where nothing is lost."""
    assert parse(["a/b", "--tag", f"x={written}"]).tags["x"] == WRITTEN[written]


@pytest.mark.parametrize(
    ("written", "value"), [("1e-5", 1e-5), ("1.10", 1.1), ("123e4567", "123e4567"), ("9" * 30, "9" * 30)]
)
def test_a_parameter_is_a_number_where_one_can_be_sent(written: str, value: Any) -> None:
    """However it is written; what no number of the wire can hold stays text."""
    assert parse(["a/b", "-p", f"x={written}"]).parameters["x"] == value


@pytest.mark.parametrize(
    ("line", "given"),
    [
        ('a/b --stop "--"', {"stop": ["--"]}),
        ("a/b --stop -- --stop --- -t 0.5", {"stop": ["--", "---"], "temperature": 0.5}),
        ('a/b --system "--be brief--"', {"system": "--be brief--"}),
        ("a/b --tag --x=1", {"tags": {"--x": 1}}),
        ("a/b\N{NO-BREAK SPACE}--max-tokens\N{NO-BREAK SPACE}3", {"max_tokens": 3}),
        ('a/b --system "be\N{NO-BREAK SPACE}brief"', {"system": "be\N{NO-BREAK SPACE}brief"}),
        ('a/b --system "a \\"b\N{NO-BREAK SPACE}c"', {"system": 'a "b\N{NO-BREAK SPACE}c'}),
        ('a/b --stop "\\n"\N{NO-BREAK SPACE}--system\N{NO-BREAK SPACE}"x"', {"stop": ["\n"], "system": "x"}),
    ],
)
def test_dashes_and_no_break_blanks(line: str, given: dict[str, Any]) -> None:
    """A value may begin with dashes; a blank copied from a web page stands between words, and stays within quotes."""
    found = parse(split(line))
    assert found.deployments == ["a/b"]
    assert {name: getattr(found, name) for name in given} == given


@pytest.mark.parametrize("line", ["a/b \N{EM DASH}max-tokens 3", "a/b \N{EN DASH}\N{EN DASH}max-tokens 3"])
def test_long_dashes_are_told(line: str) -> None:
    """What a word processor made of two dashes is no deployment."""
    with pytest.raises(UsageError, match="options are written --max-tokens"):
        parse(split(line))


@pytest.mark.parametrize("line", ["a/b --max-tokens --stop x", "a/b --stop --chat"])
def test_a_missing_value_is_still_told(line: str) -> None:
    """An option behind an option is no value."""
    with pytest.raises(UsageError, match="expected one argument"):
        parse(split(line))
