"""What `help` says of each public name, method and attribute: an example that fits the code, and every argument."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

import bifrost_nb as bf
from bifrost_nb import charts, scorers
from bifrost_nb._admin.doctor import Check
from bifrost_nb._compare.agreement import Agreement
from bifrost_nb._compare.judge_pairs import Judgement
from bifrost_nb._compare.multiple_comparisons import Best
from bifrost_nb._compare.plots import Plots
from bifrost_nb._compare.text_diff import TextDiff
from bifrost_nb._compare.until import Decision
from bifrost_nb._gate.gate_rules import RuleCheck
from bifrost_nb._notebook.playground.playground import Entry
from bifrost_nb._notebook.playground.versions import Version
from bifrost_nb._notebook.widgets.grid import GridView
from bifrost_nb._notebook.widgets.vote import Vote
from bifrost_nb._runs.pieces import Piece
from bifrost_nb._runs.run import Attempt

NAMES = [name for name in bf.__all__ if not inspect.ismodule(getattr(bf, name))]
FUNCTIONS = [name for name in NAMES if inspect.isfunction(getattr(bf, name))]
CLASSES = [name for name in NAMES if inspect.isclass(getattr(bf, name))]
ERRORS = [name for name in CLASSES if issubclass(getattr(bf, name), BaseException)]
RESULTS = (
    *(Agreement, Attempt, Best, Check, Decision, Entry, GridView, Judgement, Piece, Plots, RuleCheck, TextDiff),
    *(Version, Vote),
)
"""What public functions return under names that nobody imports."""
PUBLIC_CLASSES = [*(getattr(bf, name) for name in CLASSES if name not in ERRORS), *RESULTS]
RAISED = [getattr(bf, name) for name in ERRORS]

INNER = {  # class -> what only packages of ours call, and none of them may reach for a name with an underscore
    "BatchComparison": {"judge_collected"},
    "Client": {
        *("prepare", "checked_headers", "made_ready", "start", "send", "record", "sender", "run_on_loop"),
        *("models", "known_models"),
    },
    "Comparison": {"frame_now", "judge_answers", "judged", "judge_runs", "named_runs"},
    "GridView": {"detail", "diff"},
    "Playground": {"kept", "edited"},
    "RunLog": {
        *("append_on_loop", "offer", "append_line", "append_line_soon", "append_line_on_loop", "update_soon"),
    },
    "Timeouts": {"of"},
}
MADE_BY_US = {  # classes whose instances our functions return: what `__init__` takes is nobody's business
    *(bf.AsyncStream, bf.BatchComparison, bf.Comparison, bf.Doctor, bf.LaunchedGateway, bf.LoadCurve),
    *(bf.LocalGateway, bf.Playground, bf.Replayed, bf.Stream),
    *(Agreement, GridView, Judgement, Plots, Vote),
}


def doc(thing: Any) -> str:
    return inspect.getdoc(thing) or ""


def examples(doc: str) -> list[str]:
    """The indented blocks of a docstring."""
    blocks = re.findall(r"(?:^|\n)\n((?:    .*(?:\n|$)|\n(?=    ))+)", doc)
    return [textwrap.dedent(block) for block in blocks]


def ours(kind: type) -> list[type]:
    """A class and its bases in this package."""
    return [base for base in kind.__mro__ if base.__module__.startswith("bifrost_nb")]


def methods(kind: type) -> Iterator[tuple[str, Any]]:
    """(name, function) of what a class has for users, its own and what it inherits from one that is not public."""
    inner = {name for base in ours(kind) for name in INNER.get(base.__name__, ())}
    own = [base for base in ours(kind) if base is kind or base not in PUBLIC_CLASSES]
    for name in dict.fromkeys(name for base in own for name in vars(base)):
        method = getattr(kind, name)
        if not name.startswith("_") and name not in inner and (inspect.isfunction(method) or inspect.ismethod(method)):
            yield name, method


MEMBERS = {
    **{f"{kind.__name__}.{name}": method for kind in PUBLIC_CLASSES for name, method in methods(kind)},
    **{f"charts.{name}": getattr(charts, name) for name in charts.__all__},
    **{f"scorers.{name}": getattr(scorers, name) for name in scorers.__all__},
}
"""Methods of public classes and the functions of public modules, by the names under which they are called."""


def explained(thing: Any) -> str:
    """Its docstring, with that of the function which it is the same as."""
    text = doc(thing)
    if same := re.match(r"`(?:Stream\.)?(\w+)` for async code", text):
        text += doc(getattr(bf.Stream if same[1] == "pieces" else bf.Client, same[1]))
    elif same := re.match(r"See `bifrost_nb\.(\w+)`", text):
        text += doc(getattr(bf, same[1]))
    return text


def unexplained(thing: Any, kind: str = "") -> list[str]:
    """The arguments of which neither its docstring nor its class's has a word; those that are collected need none."""
    text = explained(thing)
    text += "".join(re.findall(r"`+\w+", next((doc(each) for each in PUBLIC_CLASSES if each.__name__ == kind), "")))
    taken = inspect.signature(thing).parameters.values()
    names = [each.name for each in taken if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
    return [name for name in names if name not in ("self", "cls") and not re.search(rf"\b{name}\b", text)]


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
    """`help(bf.compare)` has a word on each parameter, those that are collected too."""
    function = getattr(bf, name)
    missing = [each for each in inspect.signature(function).parameters if not re.search(rf"\b{each}\b", doc(function))]
    assert missing == []


@pytest.mark.parametrize("name", MEMBERS)
def test_each_method_has_an_example_and_every_argument(name: str) -> None:
    """So have the functions of `charts` and `scorers`, whose classes are called as well."""
    assert examples(doc(MEMBERS[name])), "no example"
    assert unexplained(MEMBERS[name], name.partition(".")[0]) == []


@pytest.mark.parametrize(
    "kind", [each for each in PUBLIC_CLASSES if each not in MADE_BY_US], ids=lambda each: each.__name__
)
def test_a_class_that_users_make_explains_what_it_takes(kind: type) -> None:
    """In its own docstring, or of a dataclass beside the field."""
    beside = attributes(kind)
    assert [name for name in unexplained(kind) if name not in beside and not name.startswith("_")] == []


@pytest.mark.parametrize("kind", [*PUBLIC_CLASSES, *RAISED], ids=lambda each: each.__name__)
def test_each_attribute_is_explained(kind: type) -> None:
    """A field, or what `__init__` sets: named in the docstring of its class, or with one of its own beside it."""
    text = "".join(doc(base) for base in ours(kind))
    silent = [name for name, own in attributes(kind).items() if not own and f"`{name}`" not in text]
    assert silent == []


def attributes(kind: type) -> dict[str, bool]:
    """The public fields of a class, and what its `__init__` sets: whether a docstring stands below each."""
    found: dict[str, bool] = {}
    for base in ours(kind):
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(tree, ast.ClassDef)
        functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
        makers = [node.body for node in functions if node.name in ("__init__", "_set_up")]
        for body, prefix in ((tree.body, ""), *((maker, "self.") for maker in makers)):
            for node, below in pairwise([*body, None]):
                for name in assigned(node, prefix):
                    found[name] = found.get(name, False) or isinstance(below, ast.Expr)
    return found


def assigned(node: ast.stmt, prefix: str) -> list[str]:
    """The public names that a statement assigns to."""
    targets = getattr(node, "targets", None) or [getattr(node, "target", ast.Constant(0))]
    single = [one for each in targets for one in getattr(each, "elts", [each])]
    return [found[1] for one in single if (found := re.fullmatch(rf"{prefix}([a-z]\w*)", ast.unparse(one)))]


def test_what_is_inner_is_there() -> None:
    """A name that is gone is taken off the list."""
    classes = {kind.__name__: kind for kind in PUBLIC_CLASSES}
    assert [
        f"{kind}.{name}" for kind, names in INNER.items() for name in names if not hasattr(classes[kind], name)
    ] == []


@pytest.mark.parametrize("kind", [*PUBLIC_CLASSES, *RAISED], ids=lambda each: each.__name__)
def test_every_public_method_says_what_it_does(kind: type) -> None:
    """Methods and properties of public classes have a docstring, their own or that of the one they override."""
    functions = {each: getattr(kind, each, None) for base in ours(kind) for each in vars(base) if each[0] != "_"}
    silent = [each for each, member in functions.items() if inspect.isroutine(member) and not doc(member)]
    silent += [each for each, member in functions.items() if isinstance(member, property) and not doc(member)]
    assert silent == []
