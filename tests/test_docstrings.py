"""What `help` says of each public name: an example that fits the code, and every argument."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from typing import Any

import pytest

import bifrost_nb as bf

NAMES = [name for name in bf.__all__ if not inspect.ismodule(getattr(bf, name))]
FUNCTIONS = [name for name in NAMES if inspect.isfunction(getattr(bf, name))]
CLASSES = [name for name in NAMES if inspect.isclass(getattr(bf, name))]
ERRORS = [name for name in CLASSES if issubclass(getattr(bf, name), BaseException)]


def doc(thing: Any) -> str:
    return inspect.getdoc(thing) or ""


def examples(doc: str) -> list[str]:
    """The indented blocks of a docstring."""
    blocks = re.findall(r"(?:^|\n)\n((?:    .*(?:\n|$)|\n(?=    ))+)", doc)
    return [textwrap.dedent(block) for block in blocks]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ERRORS])
def test_each_public_name_has_an_example_that_fits(name: str) -> None:
    """The example is Python, names what is there, and passes arguments that are taken."""
    found = examples(doc(getattr(bf, name)))
    assert found, f"{name} has no example"
    for example in found:
        tree = compile(example, name, "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "bf":
                assert node.attr in bf.__all__
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if isinstance(node, ast.Call) and re.fullmatch(r"bf\.\w+", called):
                given = {keyword.arg: None for keyword in node.keywords if keyword.arg}
                inspect.signature(getattr(bf, called[3:])).bind(*node.args, **given)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_help_explains_every_argument(name: str) -> None:
    """`help(bf.compare)` has a word on each parameter."""
    function = getattr(bf, name)
    missing = [each for each in inspect.signature(function).parameters if not re.search(rf"\b{each}\b", doc(function))]
    assert missing == []


@pytest.mark.parametrize("name", CLASSES)
def test_every_public_method_says_what_it_does(name: str) -> None:
    """Methods and properties of public classes have a docstring, their own or that of the one they override."""
    members = [each for each in vars(getattr(bf, name)) if not each.startswith("_")]
    functions = {each: getattr(getattr(bf, name), each, None) for each in members}
    silent = [each for each, member in functions.items() if inspect.isroutine(member) and not doc(member)]
    silent += [each for each, member in functions.items() if isinstance(member, property) and not doc(member)]
    assert silent == []
