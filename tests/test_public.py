"""The package's promises: its public names, what importing it costs, which way imports run."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import bifrost_nb as bf

PACKAGE = Path(bf.__file__).parent
ROOT = PACKAGE.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "notebooks").glob("*.ipynb"))]

ALLOWED = {  # part -> the parts of this package it may import when it is loaded; every part is listed
    "errors": set(),
    "_safe_text": set(),
    "_keys": set(),
    "_suggest": set(),
    "_loading": set(),
    "_numbers": {"errors", "_safe_text"},
    "_paths": set(),
    "_files": {"errors", "_safe_text"},
    "_nested_loops": {"errors"},
    "_project_file": {"errors", "_safe_text", "_keys", "_suggest", "_paths"},
    "_settings": {"errors", "_files", "_numbers", "_safe_text", "_keys", "_project_file"},
    "_wire": {"errors", "_numbers", "_safe_text", "_keys", "_suggest"},
    "_runs": {"errors", "_files", "_numbers", "_safe_text", "_keys", "_suggest", "_paths", "_settings", "_wire"},
    "_client": {
        *("errors", "_files", "_numbers", "_safe_text", "_keys", "_suggest", "_loading", "_settings", "_wire", "_runs"),
    },
    "_display": {"errors", "_files", "_safe_text", "_keys", "_wire", "_runs"},
    "_foreground": {"errors"},
    "charts": {"errors"},
    "scorers": {"_wire", "errors", "_numbers", "_safe_text", "_keys", "_compare"},
    "_statistics": {"errors"},
    "_prompts": {"errors", "_safe_text", "_keys", "_suggest", "_client"},
    "_compare": {
        *(
            "errors",
            "_files",
            "_wire",
            "_numbers",
            "_safe_text",
            "_keys",
            "_suggest",
            "_loading",
            "_runs",
            "_client",
            "_display",
            "_statistics",
            "_prompts",
        ),
    },
    "_batch": {"errors", "_numbers", "_safe_text", "_keys", "_wire", "_runs", "_client", "_compare"},
    "_gate": {"errors", "_files", "_numbers", "_safe_text", "_keys", "_suggest", "_compare", "_statistics"},
    "_report": {"errors", "_files", "_safe_text", "_keys", "_runs", "_display", "_compare", "_prompts"},
    "_load": {
        *(
            "errors",
            "_numbers",
            "_safe_text",
            "_keys",
            "_client",
            "_runs",
            "_compare",
            "_display",
            "_statistics",
            "_prompts",
        ),
    },
    "_tracking": {"errors", "_safe_text", "_keys", "_runs", "_wire", "_client", "_compare", "_report"},
    "_admin": {
        "errors",
        "_numbers",
        "_safe_text",
        "_keys",
        "_suggest",
        "_settings",
        "_wire",
        "_runs",
        "_client",
        "_display",
    },
    "_launch": {"errors", "_files", "_numbers", "_safe_text", "_keys", "_suggest"},
    "_simulator": {"errors", "_numbers"},
    "_sdks": {"errors", "_safe_text", "_keys", "_suggest", "_wire", "_runs", "_client"},
    "_notebook": {
        *(
            "errors",
            "_safe_text",
            "_keys",
            "_suggest",
            "_numbers",
            "_paths",
            "_files",
            "_settings",
            "_runs",
            "_client",
            "_display",
            "_foreground",
            "_compare",
            "_prompts",
            "_report",
            "_admin",
        ),
    },
    "cli": {"errors"},
    "_pytest_plugin": set(),
    "__init__": {"_loading"},
}
DOORS = {  # (part, part it imports when a function is called) -> why this runs against the order or beside it
    ("__init__", "_notebook"): "IPython's extension hooks",
    ("_client", "_simulator"): 'Client("demo")',
    ("_client", "_prompts"): "pictures in messages that a person wrote",
    ("_compare", "_foreground"): "compare waits in the cell's thread",
    ("_compare", "_notebook"): "live=True, .grid(), .vote()",
    ("_compare", "charts"): ".plot",
    ("_admin", "_prompts"): "the variables of a prompt that is committed are those of a template",
    ("_load", "_foreground"): "load_curve waits in the cell's thread",
    ("_load", "charts"): ".plot",
    ("charts", "_numbers"): "how many runs tell a p95",
    ("charts", "_display"): "how a page shows what has a light ground",
    ("charts", "_compare"): "a score's mean and interval are those of the summary",
    ("_notebook", "scorers"): "%%bifrost --score contains:column",
    ("_notebook", "_simulator"): "the embedded gateway's deployments, for completion",
    ("_runs", "_display"): "a run's own repr",
    ("_display", "_prompts"): "which pictures a page may show",
    ("_notebook", "_project_file"): "%bifrost trust",
    ("cli", "_project_file"): "`bifrost-nb trust`",
    ("cli", "_settings"): "`bifrost-nb trust`",
    ("cli", "_compare"): "`bifrost-nb gate`",
    ("cli", "_gate"): "`bifrost-nb gate`",
    ("_notebook", "_statistics"): "the ranking of a vote",
    ("_compare", "_gate"): ".gate()",
    ("_compare", "_batch"): "compare(mode='batch')",
    ("_batch", "_display"): "a batch's own repr",
    ("_batch", "_sdks"): "the answers of Anthropic's batches are in its own words",
    ("_compare", "_report"): ".report(), .to_excel()",
    ("_gate", "_display"): "a gate's own repr",
    ("_gate", "_report"): "a baseline that is a report",
    ("cli", "_notebook"): "`bifrost-nb gate` runs a notebook",
    ("cli", "_runs"): "`bifrost-nb runs`",
    ("cli", "_simulator"): "`bifrost-nb gateway`",
    ("cli", "__init__"): "the command line uses the public names",
    ("_pytest_plugin", "__init__"): "its fixtures use the public names",
    ("_pytest_plugin", "_files"): "whether --bifrost-log can be a file",
    ("_pytest_plugin", "errors"): "whether --bifrost-log can be a file",
    ("_pytest_plugin", "_client"): "its client is nobody's default after the test",
}
HOMES_OF_LIBRARIES = {  # library -> the parts that may import it; every library is listed
    "httpx": {"_client", "_sdks"},  # _sdks: clients of other people's SDKs, which do not carry our own calls
    "httpx2": {"_sdks"},
    **{sdk: {"_sdks"} for sdk in ("openai", "anthropic", "google", "cohere", "boto3", "botocore")},
    **{sdk: {"_sdks"} for sdk in ("langchain_openai", "litellm", "pydantic_ai")},
    "aiohttp": {"_client"},
    "yarl": {"_client"},
    "httptools": {"_client"},
    "orjson": {
        "_batch",
        "_wire",
        "_client",
        "_runs",
        "_display",
        "_compare",
        "_admin",
        "_simulator",
        "_sdks",
        "_notebook",
    },
    "msgspec": {"_wire"},
    "pydantic": {"_wire", "_simulator"},
    "jsonschema": {"_wire"},
    "referencing": {"_wire"},
    "platformdirs": {"_paths"},
    "pandas": {
        "_batch",
        "_runs",
        "_display",
        "charts",
        "_compare",
        "_load",
        "_admin",
        "_notebook",
        "_gate",
        "_report",
        "_statistics",
        "_tracking",
    },
    "polars": {"_runs"},  # where it is asked for and installed
    "pyarrow": {"_runs", "_prompts", "_compare", "_report"},
    "numpy": {"_runs", "charts", "_statistics", "_prompts", "_compare", "_load", "_gate", "_report"},
    "scipy": {"_statistics", "_compare", "_gate", "_load"},
    "choix": {"_statistics"},
    "distributed": {"_compare"},
    "PIL": {"_simulator", "_prompts", "_display"},
    "openpyxl": {"_report"},
    "opentelemetry": {"_tracking"},  # where it is asked for and installed, as mlflow
    "mlflow": {"_tracking"},
    "tqdm": {"_compare", "_foreground"},
    "matplotlib": {"charts"},
    "IPython": {"_foreground", "_notebook"},
    "traitlets": {"_notebook"},
    "lazy_loader": {"__init__"},
    "pytest": {"_pytest_plugin"},  # which pytest alone loads
    "zmq": {"_foreground"},
    "marimo": {"_notebook"},
    "ipywidgets": {"_notebook"},
    "anywidget": {"_notebook"},
    "markdown_it": {"_display"},
    "mdit_py_plugins": {"_display"},
    "pygments": {"_display"},
    "starlette": {"_simulator"},
    "uvicorn": {"_simulator"},
}


def _part(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


@cache
def _imports(path: Path) -> list[tuple[str, bool]]:
    """The dotted name of each import in a file and whether it runs when the file is loaded.

    Those for type checkers alone are left out.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = ["bifrost_nb", *path.relative_to(PACKAGE).parts[:-1]]
    for_types = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.walk(node)
    }
    in_functions = {
        child
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for child in ast.walk(node)
    }
    found = []
    for node in (node for node in ast.walk(tree) if node not in for_types):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "bifrost_nb" else [module]
        found += [(name, node not in in_functions) for name in names]
    return found


def test_every_public_name_is_there_and_documented() -> None:
    """`__all__` is a promise: each name can be imported, says what it is, and stands in the README or the manual."""
    manual = "".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)
    for name in bf.__all__:
        assert getattr(bf, name).__doc__, name
        assert re.search(rf"\b{name}\b", manual), f"{name} is neither in the README nor in a notebook"
    assert set(dir(bf)) == set(bf.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A misspelled name fails as on any module."""
    with pytest.raises(AttributeError, match="compute"):
        bf.compute  # noqa: B018


def test_importing_is_light() -> None:
    """`import bifrost_nb` and a Client load no pandas, matplotlib, IPython, HTTP library, pydantic or web server."""
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
    assert not (heavy | {"aiohttp", "httpx", "pydantic"}) & loaded
    bare = "import bifrost_nb, sys, json; print(json.dumps(sorted(sys.modules)))"
    loaded = set(json.loads(subprocess.run([sys.executable, "-c", bare], capture_output=True, check=True).stdout))
    assert not (heavy | {"httpx", "pydantic", "aiohttp", "numpy", "msgspec"}) & loaded
    named = "import bifrost_nb as bf, sys, json; bf.sdk, bf.recording_boto3; print(json.dumps(sorted(sys.modules)))"
    loaded = set(json.loads(subprocess.run([sys.executable, "-c", named], capture_output=True, check=True).stdout))
    foreign = {"httpx2", "openai", "anthropic", "google.genai", "cohere", "boto3", "litellm", "pydantic_ai"}
    assert not (foreign | {"botocore", "langchain_openai"}) & loaded  # an SDK is loaded when it is asked for


@pytest.mark.parametrize("kept", [True, False])
def test_loading_looks_for_no_garbage(kept: bool) -> None:
    """Libraries are loaded without garbage collections, but one at the end; whether there are any is as it was."""
    code = (
        "import bifrost_nb as bf, gc, sys\n"
        f"if not {kept}: gc.disable()\n"
        "ran, errors = [], []\n"
        "gc.callbacks.append(lambda phase, info: ran.append(phase))\n"
        "bf.compare\n"
        "try: bf.compute\n"
        "except AttributeError: errors.append(1)\n"
        f"assert gc.isenabled() is {kept} and errors and len(ran) <= 4, ran\n"
        "assert 'bifrost_nb._compare.compare' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    """Lower layers know nothing of higher ones but through a listed door, and each foreign library has its homes."""
    part = _part(path)
    for name, at_load in _imports(path):
        top, _, rest = name.partition(".")
        if top == "bifrost_nb":
            other = rest.partition(".")[0]
            other = other if other in ALLOWED else "__init__"
            allowed = other == part or other in ALLOWED[part] or (not at_load and (part, other) in DOORS)
            assert allowed or not rest, f"{part} imports {name}"
        elif top not in sys.stdlib_module_names:
            assert part in HOMES_OF_LIBRARIES[top], name


def test_each_door_is_in_use() -> None:
    """A door that nothing goes through is taken off the list."""
    used = {
        (_part(path), name.split(".")[1] if name.split(".")[1] in ALLOWED else "__init__")
        for path in PACKAGE.rglob("*.py")
        for name, at_load in _imports(path)
        if name.startswith("bifrost_nb.") and not at_load
    }
    assert set(DOORS) <= used


PUBLIC_MODULES = {"bifrost_nb", "bifrost_nb.charts", "bifrost_nb.errors", "bifrost_nb.scorers"}


def test_public_modules_are_attributes() -> None:
    """`bf.charts` is there before anything has imported it, as `bf.scorers` is."""
    assert {name.removeprefix("bifrost_nb.") for name in PUBLIC_MODULES - {"bifrost_nb"}} <= set(bf.__all__)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_documents_import_only_what_is_public(path: Path) -> None:
    """A module of ours that a notebook or the README imports is a public one."""
    text = path.read_text(encoding="utf-8")
    modules = set(re.findall(r"(?:from|import)\s+(bifrost_nb(?:\.\w+)*)", text))
    assert modules <= PUBLIC_MODULES


def test_nobody_is_told_to_install_what_no_index_has() -> None:
    """This package is installed from its folder: by its name an index has nothing, or somebody else's."""
    told = re.compile(r"""pip install ["'\\]*bifrost-nb""")
    texts = {path.name: path.read_text(encoding="utf-8") for path in [*DOCUMENTS, *PACKAGE.rglob("*.py")]}
    assert [name for name, text in texts.items() if told.search(text)] == []


def test_httpx_is_one_file_away() -> None:
    """Of our own calls a single file uses httpx, so that another library can take its place there."""
    used = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if any(name.split(".")[0] == "httpx" for name, _ in _imports(path))
    }
    ours = {path for path in used if not path.startswith("_sdks")}
    assert ours == {"_client/transport/httpx_work.py"}
