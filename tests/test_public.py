"""The package's promises: its public names, what importing it costs, which way imports run."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bifrost_nb as bf

PACKAGE = Path(bf.__file__).parent
ROOT = PACKAGE.parent

ALLOWED = {  # part -> the parts of this package it may import when it is loaded
    "errors": set(),
    "untrusted": set(),
    "settings": {"errors", "untrusted"},
    "portal": {"errors"},
    "nested": {"errors"},
    "wire": {"errors", "untrusted"},
    "render": {"formulas", "untrusted"},
    "formulas": {"untrusted"},
    "records": {"errors", "untrusted", "settings", "wire", "render"},
    "charts": set(),
}
HOMES_OF_LIBRARIES = {  # library -> the parts that may import it
    "httpx": {"transport", "sdks"},  # sdks: clients of other people's SDKs, which do not carry our own calls
    "httpx2": {"sdks"},
    **{sdk: {"sdks"} for sdk in ("openai", "anthropic", "google", "cohere", "boto3", "botocore")},
    **{sdk: {"sdks"} for sdk in ("langchain_openai", "litellm", "pydantic_ai")},
    "aiohttp": {"transport"},
    "IPython": {"notebook"},
    "ipywidgets": {"notebook"},
    "anywidget": {"notebook"},
    "starlette": {"gateway"},
    "uvicorn": {"gateway"},
    "matplotlib": {"charts", "comparing", "gateway"},
}


def _part(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def _imports(path: Path) -> list[str]:
    """The dotted name of each import in a file, those for type checkers alone left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = ["bifrost_nb", *path.relative_to(PACKAGE).parts[:-1]]
    for_types = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.walk(node)
    }
    found = []
    for node in (node for node in ast.walk(tree) if node not in for_types):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found += [f"{module}.{alias.name}" for alias in node.names] if module == "bifrost_nb" else [module]
    return found


def test_every_public_name_is_there_and_documented() -> None:
    """`__all__` is a promise: each name can be imported, says what it is, and stands in the README."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in bf.__all__:
        assert getattr(bf, name).__doc__, name
        assert re.search(rf"\b{name}\b", readme), f"{name} is not in the README"
    assert set(dir(bf)) == set(bf.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A misspelled name fails as on any module."""
    with pytest.raises(AttributeError, match="compute"):
        bf.compute  # noqa: B018


def test_importing_is_light() -> None:
    """`import bifrost_nb` and a Client load no pandas, matplotlib, ipywidgets, IPython, aiohttp or web server."""
    code = (
        "import bifrost_nb, sys, json; bifrost_nb.Client('http://127.0.0.1:9'); print(json.dumps(sorted(sys.modules)))"
    )
    loaded = set(json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout))
    heavy = {
        "pandas",
        "matplotlib",
        "ipywidgets",
        "anywidget",
        "IPython",
        "starlette",
        "uvicorn",
        "scipy",
        "pyarrow",
        "dask",
    }
    assert not (heavy | {"aiohttp"}) & loaded
    bare = "import bifrost_nb, sys, json; print(json.dumps(sorted(sys.modules)))"
    loaded = set(json.loads(subprocess.run([sys.executable, "-c", bare], capture_output=True, check=True).stdout))
    assert not (heavy | {"httpx", "pydantic", "aiohttp", "numpy", "msgspec"}) & loaded
    named = "import bifrost_nb as bf, sys, json; bf.sdk, bf.recording_boto3; print(json.dumps(sorted(sys.modules)))"
    loaded = set(json.loads(subprocess.run([sys.executable, "-c", named], capture_output=True, check=True).stdout))
    foreign = {"httpx2", "openai", "anthropic", "google.genai", "cohere", "boto3", "litellm", "pydantic_ai"}
    assert not (foreign | {"botocore", "langchain_openai"}) & loaded  # an SDK is loaded when it is asked for


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    """Lower layers know nothing of higher ones, and each foreign library has one home."""
    part = _part(path)
    for name in _imports(path):
        top, _, rest = name.partition(".")
        if top == "bifrost_nb" and part in ALLOWED:
            other = rest.partition(".")[0]
            assert not other or other == part or other in ALLOWED[part], f"{part} imports {name}"
        if top in HOMES_OF_LIBRARIES:
            assert part in HOMES_OF_LIBRARIES[top], name
