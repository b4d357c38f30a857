"""The tools that run a notebook with nobody in front of it: papermill and `jupyter execute` with our first page."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bifrost_nb._simulator.process import LocalGateway
from tests import lazy
from tests.thorough import thorough

ROOT = Path(__file__).parents[2]
WIDGET = "application/vnd.jupyter.widget-view+json"
COMMANDS = {
    "papermill": ["papermill", "page.ipynb", "page.ipynb", "--kernel", "python3", "--no-progress-bar"],
    "jupyter": ["jupyter", "execute", "--inplace", "page.ipynb"],
}


@pytest.mark.parametrize("tool", ["papermill", *thorough("jupyter")])
def test_runs_the_first_page(tool: str, gateway: LocalGateway, tmp_path: Path) -> None:
    """The cells run in order; answers, tables and the chart are saved as static outputs, with text for each."""
    if importlib.util.find_spec({"jupyter": "nbclient"}.get(tool, tool)) is None:
        pytest.skip(f"{tool} is not installed")
    page = lazy.nbformat.read(ROOT / "notebooks" / "01_quickstart.ipynb", as_version=4)
    (settings,) = (cell for cell in page.cells if 'Bifrost.base_url = "demo"' in cell.source)
    settings.source = settings.source.replace('"demo"', repr(gateway.url))  # the same gateway, twenty times as fast
    comparing = next(place for place, cell in enumerate(page.cells) if "bf.compare" in cell.source)
    if tool == "jupyter":  # on the same nbclient: its first answers tell enough
        del page.cells[comparing:]
    lazy.nbformat.write(page, tmp_path / "page.ipynb")
    ended = subprocess.run(
        [Path(sys.executable).parent / COMMANDS[tool][0], *COMMANDS[tool][1:]],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "BIFROST_RUN_LOG": str(tmp_path / "runs.jsonl")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    saved = lazy.nbformat.read(tmp_path / "page.ipynb", as_version=4)
    cells = [cell for cell in saved.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    shown: list[Any] = [output.data for cell in cells for output in cell.outputs if "data" in output]
    assert all("text/plain" in data and WIDGET not in data for data in shown)
    assert sum("text/html" in data for data in shown) == {"papermill": 7, "jupyter": 4}[tool]
    assert sum("image/png" in data for data in shown) == (tool == "papermill")
    assert "widgets" not in saved.metadata
    rescued = next(cell for cell in cells if "always-fails" in cell.source)
    assert "served by openai/gpt-3.5-turbo-instruct (fallback 1" in rescued.outputs[0].data["text/plain"]
    assert ("54 runs: 54 done" in str(cells)) == (tool == "papermill")
