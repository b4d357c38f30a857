"""``%%bifrost`` under ``nbconvert --execute``: what is left in the file are static answers with their evidence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import bifrost_nb as bf
from bifrost_nb._simulator.process import LocalGateway
from tests import lazy

CELLS = [
    "%load_ext bifrost_nb\nproducts = {{'product': ['tea', 'boots']}}\n%config Bifrost.base_url = {url!r}",
    "%%bifrost azure/fast --max-tokens 5 -o one\nhi",
    "%%bifrost azure/fast azure/large --max-tokens 5\nhi",
    "%%bifrost azure/fast --max-tokens 5 -i products --repeat 2\nAbout {{{{product}}}}.",
    "%%bifrost azure/fast --max-tokens 5 --bg later\nhi",
    "print((await later).status)",
]


def test_the_file_holds_static_outputs_only(shared_gateway: LocalGateway, tmp_path: Path) -> None:
    """Single answers, races, comparisons and jobs are saved as HTML and text, and the file rebuilds their runs."""
    shared_gateway.reset()
    cells = [lazy.nbformat.v4.new_code_cell(source.format(url=shared_gateway.url)) for source in CELLS]
    path, executed = tmp_path / "magic.ipynb", tmp_path / "executed.ipynb"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    lazy.nbformat.write(lazy.nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    root = str(Path(__file__).parents[2])
    own = {"PYTHONPATH": root, "BIFROST_RUN_LOG": str(tmp_path / "runs.jsonl"), "XDG_CACHE_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "nbconvert", "--execute", "--to", "notebook", "--output", executed.name, str(path)]
    done = subprocess.run(command, env={**os.environ, **own}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    notebook = lazy.nbformat.read(executed, as_version=4)
    assert "widgets" not in notebook.metadata
    setup, *asked, awaited = (cell.outputs for cell in notebook.cells)
    assert setup == []
    assert [output.get("text") for output in awaited] == ["ok\n"]
    for outputs in asked:
        displayed = [output for output in outputs if output.output_type != "stream"]
        assert [set(output.data) for output in displayed] == [{"text/html", "text/plain"}]
        assert [output.name for output in outputs if output.output_type == "stream"] in ([], ["stdout"])  # no red box
    frame = bf.from_notebook(executed)
    assert len(frame) == 1 + 2 + 4 + 1
    assert set(frame["status"]) == {"ok"}
    assert frame["cost_usd"].notna().all()
