"""Every notebook of the project runs in JupyterLab without an error, and is photographed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from .lab import Notebook, Server

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
BROKEN = ("Error displaying widget", "Error creating widget", "Failed to load model class", "Javascript Error")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs(context: Any, server: Server, pictures: Path, path: Path) -> None:
    """All cells run, none shows an error or a widget that cannot be drawn, and the console stays free of errors."""
    shutil.copy(path, server.root / path.name)
    notebook = Notebook(context, server, "lab", path.name)
    cells = notebook.run_all()
    errors = [output["evalue"] for cell in cells for output in cell.outputs if output["output_type"] == "error"]
    assert errors == []
    assert notebook.console == []
    text = notebook.page.inner_text(".jp-Notebook")
    assert [words for words in BROKEN if words in text] == []
    height = notebook.page.evaluate("document.querySelector('.jp-WindowedPanel-outer').scrollHeight")
    notebook.page.set_viewport_size({"width": 1280, "height": min(height + 120, 12_000)})
    notebook.picture(pictures / f"{path.stem}.png")
    notebook.command("kernelmenu:shutdown")
    notebook.page.close()
