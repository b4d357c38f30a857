"""The house's own rules: one name for one thing, nobody reaches into another's private parts, no cycle, no giant."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import bifrost_nb as bf

PACKAGE = Path(bf.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
FOREIGN = {  # (file, underscored name of somebody else's library) has its reason beside the use
    ("_admin/doctor.py", "_fields"),  # named tuples' public methods have underscores
    ("_admin/histograms.py", "_replace"),
    ("charts/direct_labels.py", "_replace"),
    ("_notebook/live/live_widget.py", "_asdict"),
    ("_notebook/magic/magic.py", "_getframe"),
    ("_simulator/serve.py", "_exit"),
    ("_notebook/magic/options.py", "_actions"),
    *(("_foreground/comm_pump.py", name) for name in ("_run_callback", "_recv_callback", "_handle_events")),
    *(("_foreground/comm_pump.py", name) for name in ("_publish_status", "_parent_ident", "_shell_channel_to_main")),
    *(("_sdks/httpx_clients.py", name) for name in ("_transport", "_mounts")),
}
IPYTHON = {"_repr_html_", "_repr_markdown_", "_repr_mimebundle_", "_repr_png_", "_ipython_display_"}


@cache
def trees() -> dict[Path, ast.Module]:
    """Parsed when first asked for: that takes seconds, and every process of a run imports this file."""
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def _name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def test_no_class_name_stands_for_two_things() -> None:
    """A reader who knows a class by its name knows which one it is."""
    homes = defaultdict(list)
    for path, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(_name(path))
    assert {name: where for name, where in homes.items() if len(where) > 1} == {}


def _own(tree: ast.Module) -> set[str]:
    """The underscored names that a file itself defines: methods, fields, functions, attributes of `self`."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.id if isinstance(node, ast.Name) else node.attr)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return found


def _private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in IPYTHON


def _intrusions(path: Path) -> Iterator[str]:
    own = _own(trees()[path])
    for node in ast.walk(trees()[path]):
        if isinstance(node, ast.Attribute) and _private(node.attr) and node.attr not in own:
            if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
                continue  # a base class's
            if (_name(path), node.attr) not in FOREIGN:
                yield f"{_name(path)}:{node.lineno} reaches for {ast.unparse(node)}"
        elif isinstance(node, ast.ImportFrom) and node.level and node.module:
            for alias in node.names:
                if _private(alias.name):
                    yield f"{_name(path)}:{node.lineno} imports {alias.name} from {node.module}"


def test_nobody_reaches_into_anothers_private_parts() -> None:
    """What begins with an underscore is used in its own file only."""
    assert [one for path in FILES for one in _intrusions(path)] == []


def test_each_exception_is_in_use() -> None:
    """An exception that nothing needs any more is taken off the list."""
    used = {
        (_name(path), node.attr)
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
    }
    assert used >= FOREIGN


def _at_load(path: Path) -> Iterator[str]:
    """The modules of ours that are imported when this one is, as dotted names below the package."""
    package = list(path.relative_to(PACKAGE).parts[:-1])

    def visit(node: ast.AST) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                continue
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.ImportFrom) and child.level:
                base = package[: len(package) - child.level + 1]
                module = ".".join([*base, *([child.module] if child.module else [])])
                yield module
                yield from (f"{module}.{alias.name}".lstrip(".") for alias in child.names)
            yield from visit(child)

    yield from visit(trees()[path])


def test_no_import_cycle() -> None:
    """Modules load in an order: none is needed, over any number of others, by what it needs itself."""
    modules = {_name(path).removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for path in FILES}
    needs = {name: {other for other in _at_load(path) if other in modules} - {name} for name, path in modules.items()}
    for name, path in modules.items():
        if path.name == "__init__.py":  # a part of a package needs its __init__, which loads the parts
            needs[name] -= {name}
    while ready := [name for name, others in needs.items() if not others]:
        for name in ready:
            del needs[name]
        for others in needs.values():
            others.difference_update(ready)
    assert needs == {}, "these need each other"


def test_no_package_is_a_giant() -> None:
    """The largest package has at most a fifth of the lines."""
    lines: dict[str, int] = defaultdict(int)
    for path in FILES:
        lines[path.relative_to(PACKAGE).parts[0]] += len(path.read_text(encoding="utf-8").splitlines())
    largest = max(lines, key=lambda name: lines[name])
    assert lines[largest] <= sum(lines.values()) / 5, largest


OLD_NAMES = (
    "comparing/",
    "comparing.",
    "`gateway/",
    "records.show",
    "notebook.wait",
    "gateway.launch",
    "wire.responses`",
)


def test_a_package_names_modules_that_are_there() -> None:
    """What a package's docstring calls by a bare name in backticks is one of its modules, or public."""
    gone = []
    for path, tree in trees().items():
        if path.name == "__init__.py":
            there = {each.stem for each in path.parent.iterdir()} | set(bf.__all__)
            named = re.findall(r"(?<!`)`([a-z_]+)`(?!`)", ast.get_docstring(tree) or "")
            gone += [f"{_name(path)}: {name}" for name in named if name not in there]
    assert gone == []


@pytest.mark.parametrize("old", OLD_NAMES)
def test_no_text_names_a_module_that_is_gone(old: str) -> None:
    """Docstrings and comments name modules that are there."""
    assert [_name(path) for path in FILES if old in path.read_text(encoding="utf-8")] == []
