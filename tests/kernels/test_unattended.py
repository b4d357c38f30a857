"""Where nobody watches: nbclient, which nbconvert, papermill and nbmake stand on."""

from __future__ import annotations

from pathlib import Path

import pytest

from bifrost_nb._simulator.process import LocalGateway
from tests import lazy

from .conftest import SETUP

HOSTILE = "Hello <script>alert(1)</script> **world**"


@pytest.fixture(scope="module")
def executed(shared_gateway: LocalGateway, tmp_path_factory: pytest.TempPathFactory) -> lazy.nbformat.NotebookNode:
    """A notebook with one answer and one race, run as nbconvert --execute runs it."""
    shared_gateway.reset()
    shared_gateway.script([{"prompt": "hostile", "text": HOSTILE}])
    sources = [
        SETUP.format(url=shared_gateway.url),
        "one, = show('hostile')",
        "show('hostile', 'two words')\nprint('after')",
    ]
    notebook = lazy.nbformat.v4.new_notebook(cells=[lazy.nbformat.v4.new_code_cell(source) for source in sources])
    folder = tmp_path_factory.mktemp("unattended")
    environment = pytest.MonkeyPatch()
    with environment.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        patch.setenv("BIFROST_RUN_LOG", str(folder / "runs.jsonl"))
        lazy.nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    return notebook


def test_only_the_static_answer_is_saved(executed: lazy.nbformat.NotebookNode) -> None:
    """The saved notebook holds each answer once, as HTML and text with its facts as metadata, and no widget state."""
    _, one, race = executed.cells
    (output,) = one.outputs
    assert set(output.data) == {"text/html", "text/plain"}
    assert HOSTILE in output.data["text/plain"]
    assert "<script>" not in output.data["text/html"]
    assert output.metadata["bifrost_nb"]["response"] == HOSTILE
    answers, printed = race.outputs
    assert [run["prompt"] for run in answers.metadata["bifrost_nb"]["runs"]] == ["hostile", "two words"]
    assert printed.text == "after\n"
    assert "widgets" not in executed.metadata


def test_exports(executed: lazy.nbformat.NotebookNode) -> None:
    """Exported to HTML and Markdown the answer is there, inert, and nothing of ours is fetched from a network."""
    page, _ = lazy.nbconvert.HTMLExporter().from_notebook_node(executed)
    assert "<strong>world</strong>" in page
    assert "<script>alert(1)</script>" not in page
    assert "application/vnd.jupyter.widget" not in page
    text, _ = lazy.nbconvert.MarkdownExporter().from_notebook_node(executed)
    assert "azure/fast" in text
