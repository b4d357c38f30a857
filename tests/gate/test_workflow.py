"""The workflow that notebook 09 shows, run step by step in a repository of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from packaging.specifiers import SpecifierSet

import bifrost_nb as bf
from bifrost_nb import LocalGateway

ROOT = Path(__file__).parents[2]
KEY = "sk-bf-demo-0123456789abcdef"
CELL = """
import bifrost_nb as bf
cases = {"n": [f"number {n}" for n in range(300)], "expected": ["leaf"] * 300}
comparison = bf.compare(["azure/fast"], "{{n}}", inputs=cases, score=bf.scorers.contains("expected"), max_tokens=5)
"""


@pytest.fixture(scope="module")
def job() -> dict[str, Any]:
    """The job of the workflow, as it stands in the notebook."""
    cells = json.loads((ROOT / "notebooks" / "09_gate.ipynb").read_text())["cells"]
    (shown,) = re.findall(r"```yaml\n(.*?)```", "\n".join("".join(cell["source"]) for cell in cells), re.DOTALL)
    assert shown.startswith("# .github/workflows/gate.yml\n")
    (job,) = yaml.safe_load(shown)["jobs"].values()
    return dict(job)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a notebook that leaves a comparison, asked of the gateway that the settings name."""
    (tmp_path / "evals").mkdir()
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": CELL}
    page = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    (tmp_path / "evals" / "taglines.ipynb").write_text(json.dumps(page))
    return tmp_path


def run(script: str, folder: Path, job: dict[str, Any], gateway: LocalGateway) -> subprocess.CompletedProcess[str]:
    """A step's script as a runner of GitHub runs it: a fresh log, the job's environment, a file for the summary."""
    stored = {"vars.BIFROST_BASE_URL": gateway.url, "secrets.BIFROST_VIRTUAL_KEY": KEY}
    own = {
        name: re.sub(r"\$\{\{ (.*?) \}\}", lambda found: stored[found[1]], each) for name, each in job["env"].items()
    }
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    around = {name: value for name, value in os.environ.items() if not name.startswith("BIFROST_")}
    around |= {"PATH": path, "PYTHONPATH": str(ROOT), "GITHUB_STEP_SUMMARY": str(folder / "summary.md")}
    (folder / own["BIFROST_RUN_LOG"]).unlink(missing_ok=True)
    return subprocess.run(
        ["bash", "-e", "-c", script], cwd=folder, env=around | own,
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip


@pytest.mark.thorough
@pytest.mark.skipif(shutil.which("bash") is None, reason="the steps of a runner are run by bash, which is not here")
def test_the_steps_do_what_the_notebook_says(job: dict[str, Any], repository: Path, gateway: LocalGateway) -> None:
    """As good as the baseline passes, worse fails the step; summary, log and uploads are where they should be."""
    gateway.script([{"text": ["a leaf"]}])
    first = "bifrost-nb gate evals/taglines.ipynb --rule error_rate=0.2 --report evals/baseline.html"
    made = run(first, repository, job, gateway)
    assert made.returncode == 0, made.stderr
    (gate,) = [step["run"] for step in job["steps"] if "bifrost-nb gate" in step.get("run", "")]
    done = run(gate, repository, job, gateway)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Passed" in done.stdout
    assert {one["headers"].get("x-bf-vk") for one in gateway.requests() if one["method"] == "POST"} == {KEY}
    gateway.script([{"prompt": "7", "text": ["a stone"]}, {"text": ["a leaf"]}])
    (repository / "summary.md").unlink()
    failed = run(gate, repository, job, gateway)
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert (repository / "summary.md").read_text().startswith("### Gate failed: azure/fast")
    suite = ElementTree.parse(repository / "gate.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert len(bf.load_report(repository / "gate.html")) == 300
    (upload,) = [step for step in job["steps"] if "upload-artifact" in step.get("uses", "")]
    assert upload["if"] == "always()"
    assert {name for name in os.listdir(repository) if fnmatch(name, upload["with"]["path"])} == {
        "gate.xml",
        "gate.html",
    }
    assert [path.relative_to(repository) for path in repository.rglob("runs.jsonl")] == [
        Path(job["env"]["BIFROST_RUN_LOG"])
    ]
    assert KEY not in "".join(path.read_text() for path in repository.rglob("*") if path.is_file())


def test_the_other_steps_fit_the_package(job: dict[str, Any]) -> None:
    """The Python that is set up is one that the package takes, and every step is an action or a command."""
    said = (ROOT / "pyproject.toml").read_text()
    (python,) = [step["with"]["python-version"] for step in job["steps"] if "setup-python" in step.get("uses", "")]
    (takes,) = re.findall(r'^requires-python = "(.*)"', said, re.MULTILINE)
    assert python in SpecifierSet(takes)
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"]) for step in job["steps"] if "uses" in step)
    commands = [step["run"].split()[:2] for step in job["steps"] if "run" in step]
    assert commands == [["pip", "install"], ["bifrost-nb", "gate"]]
