"""The notebook about the gateway's own data runs, on the embedded gateway and on the one that the settings name."""

from __future__ import annotations

from pathlib import Path

import pytest

from bifrost_nb._simulator.process import LocalGateway
from tests import lazy
from tests.thorough import thorough

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "02_gateway.ipynb"


@pytest.mark.parametrize("configured", [pytest.param(True, id="configured"), *thorough(False, ids=["demo"])])
def test_it_runs(gateway: LocalGateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, configured: bool) -> None:
    """Every cell ends well and shows something, and it is saved without output."""
    notebook = lazy.nbformat.read(NOTEBOOK, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(notebook.cells) < 24
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)
    monkeypatch.setenv("BIFROST_RUN_LOG", str(tmp_path / "runs.jsonl"))
    if configured:
        monkeypatch.setenv("BIFROST_BASE_URL", gateway.url)
    lazy.nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    assert all(cell.outputs for cell in cells)
    assert (len(gateway.requests()) > 10) is configured
    shown = str([cell.outputs for cell in cells])
    assert "image/png" in shown
    assert "in both logs, 0 only in ours" in shown
