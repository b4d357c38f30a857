"""The pytest plugin in a repository of its own: marker, client, gate, run log; others' runs are as they were."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

TESTS = """
import os
import pytest
import bifrost_nb as bf
from bifrost_nb import scorers

CASES = {"n": [f"number {n}" for n in range(40)], "expected": ["leaf"] * 40}

@pytest.fixture(scope="module")
def gateway():
    with bf.local_gateway(speed=20) as gateway:
        gateway.script([{"deployment": "azure/fast", "text": ["a stone"]}, {"text": ["a leaf"]}])
        os.environ["BIFROST_BASE_URL"] = gateway.url
        yield gateway

def compared(**more):
    return bf.compare(["azure/fast", "azure/large"], "{{n}}", inputs=CASES, score=scorers.contains("expected"), **more)

@pytest.mark.bifrost
def test_good(gateway, bifrost_gate, bifrost_run_log):
    gate = bifrost_gate(compared(), "azure/large", baseline="azure/fast", score="better")
    assert gate.candidate == "azure/large"
    assert bf.run_log().path == bifrost_run_log
    assert len(bf.runs()) == 80

def test_bad(gateway, bifrost_client, bifrost_gate):
    bifrost_gate(compared(client=bifrost_client), "azure/fast", baseline="azure/large", score="not worse by 0.1")

@pytest.mark.bifrost(undecided="skip")
def test_unknown(gateway, bifrost_client, bifrost_gate):
    assert bifrost_client.log.path == bf.run_log().path
    bifrost_gate(compared(client=bifrost_client), "azure/large", score=0.99)

@pytest.mark.bifrost("demo")
def test_demo(bifrost_client):
    assert "'demo'" in repr(bifrost_client)
"""
PLAIN = "import sys\n\ndef test_it(): assert not {'pandas', 'httpx', 'numpy', 'IPython'} & set(sys.modules)\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Somebody's own repository, which has a run log of its own in force."""
    if not any(one.value == "bifrost_nb._pytest_plugin" for one in entry_points(group="pytest11")):
        pytest.skip("the package was installed before it had a pytest plugin; install it again")
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\naddopts = '--strict-markers'\n")
    return tmp_path


def run(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = more | {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    environment["BIFROST_RUN_LOG"] = str(folder / "own.jsonl")
    environment.pop("PYTEST_ADDOPTS", None)  # what is said of the tests of this package
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-rA", "-p", "no:cacheprovider", "-W", "error", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip


def test_gates_in_somebodys_tests(repository: Path) -> None:
    """A gate that passes is a passed test, one that fails says why, an undecided one may be a skip; own logs are left
    alone, and answers are kept where --bifrost-log says."""
    (repository / "test_models.py").write_text(TESTS)
    done = run(repository, "--bifrost-log", "answers.jsonl")
    assert "2 passed, 1 skipped" in done.stdout.replace("1 failed, ", ""), done.stdout + done.stderr
    assert "1 failed" in done.stdout
    assert "✗ score: azure/fast differs from azure/large by -1" in done.stdout
    assert "SKIPPED" in done.stdout
    assert not (repository / "own.jsonl").exists()
    assert len((repository / "answers.jsonl").read_bytes().splitlines()) >= 80


MARKED = """
import os
import pytest
import bifrost_nb as bf

pytestmark = pytest.mark.bifrost("demo")

@pytest.mark.bifrost(undecided="skip")
def test_the_address_is_the_modules(bifrost_client):
    assert bifrost_client.settings.base_url == "demo"

@pytest.mark.bifrost(base_uri="demo")
def test_a_typo(): ...

@pytest.mark.bifrost("demo", undecided="skpi")
def test_another_typo(): ...

@pytest.mark.bifrost("demo", "skip", "more")
def test_too_many(): ...

@pytest.mark.bifrost("demo", base_url="demo")
def test_twice(): ...

@pytest.mark.bifrost("")
def test_empty(bifrost_client): ...

def test_no_comparison(bifrost_gate):
    bifrost_gate(5, "azure/fast")
"""
SHARED = """
import os
import pytest

@pytest.mark.parametrize("n", [pytest.param(1, marks=pytest.mark.bifrost("demo")), 2])
def test_one_parameter(n):
    assert os.environ["BIFROST_RUN_LOG"].endswith("own.jsonl") == (n == 2)

def test_elsewhere(tmp_path, monkeypatch):
    os.chdir(tmp_path)  # a careless test, which stays there

def test_marked_late(bifrost_run_log):
    assert bifrost_run_log == __import__("pathlib").Path(__file__).parent / "answers.jsonl"
    assert os.environ["BIFROST_RUN_LOG"] == str(bifrost_run_log)
"""


ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
"""Other plugins here import much."""


def test_what_a_marker_may_say(repository: Path) -> None:
    """A typo in a marker fails and sends nothing to the settings' gateway, what one marker leaves out another says; one
    marked parameter leaves the others alone, and the log stays where pytest was called."""
    (repository / "test_marked.py").write_text(MARKED)
    (repository / "test_shared.py").write_text(SHARED)
    done = run(repository, "-p", "bifrost_nb", "--bifrost-log", "answers.jsonl", **ALONE, BIFROST_BASE_URL="no address")
    assert "5 passed" in done.stdout, done.stdout + done.stderr
    for said in (
        "takes base_url and undecided, not also base_uri=",
        "undecided must be 'fail' or 'skip', not 'skpi'",
        "not also 'more'",
        "not also base_url=",
        "base_url must be an address or 'demo', not ''",
        "bifrost_gate takes a comparison, not int",
    ):
        assert said in done.stdout, said


@pytest.mark.parametrize(("wrong", "said"), [(".", "is a folder"), ("", "must be the path of a file")])
def test_a_log_that_is_no_file_is_told_first(repository: Path, wrong: str, said: str) -> None:
    """Before any test is run, as one that asks again what was paid for costs money."""
    refused = run(repository, "-p", "bifrost_nb", f"--bifrost-log={wrong}", **ALONE)
    assert (refused.returncode, said in refused.stderr) == (pytest.ExitCode.USAGE_ERROR, True), refused.stderr


def test_others_notice_nothing(repository: Path) -> None:
    """A run without the marker imports nothing heavy, knows the marker, and passes with every warning an error."""
    (repository / "test_plain.py").write_text(PLAIN)
    done = run(repository, "-p", "bifrost_nb", **ALONE)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    assert "@pytest.mark.bifrost" in run(repository, "-p", "bifrost_nb", "--markers", **ALONE).stdout
