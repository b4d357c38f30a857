"""What the widgets ask of a front end: nothing but anywidget, and no colour that only JupyterLab has."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bifrost_nb import _notebook
from bifrost_nb._notebook.live import live_widget
from bifrost_nb._notebook.playground import view
from bifrost_nb._notebook.widgets import compare_live, grid, vote

ROOT = Path(_notebook.__file__).parents[1]
STYLES = sorted([*ROOT.rglob("*.css"), *ROOT.glob("labextension/**/*.js")])
CLASSES = [each._widget_class for each in (live_widget, view, compare_live, grid, vote)] + [view._results_class]


@pytest.mark.parametrize("path", STYLES, ids=lambda path: path.name)
def test_every_variable_has_a_fallback(path: Path) -> None:
    """A style names a variable of its own sheet, or one of the front end with what holds where that one is missing."""
    style = path.read_text()
    style += (path.parent / "grid.css").read_text() if path.name == "vote.css" else ""  # they are sent together
    own = set(re.findall(r"[\s{;](--[\w-]+)\s*:", style))
    assert [
        name for name, end in re.findall(r"var\(\s*(--[\w-]+)\s*([,)])", style) if end == ")" and name not in own
    ] == []


@pytest.mark.parametrize("make", CLASSES, ids=lambda make: make.__module__.rpartition(".")[2])
def test_a_widget_is_an_anywidget_and_no_more(make: object) -> None:
    """Its page imports nothing and knows no front end, so it loads wherever anywidget does, without our extension."""
    made = make()()  # type: ignore[operator]
    assert {made._model_module, made._view_module} == {"anywidget"}
    assert not re.search(r"^import\b|\bimport\s*\(|jupyterapp|_JUPYTERLAB", made._esm, re.MULTILINE)
    made.close()


@pytest.mark.parametrize("colab", [True, False])
def test_colab_is_told_what_to_enable(colab: bool) -> None:
    """Before the first widget, and once, a line says what Colab needs; elsewhere nothing is said."""
    code = "from bifrost_nb._notebook.assets import page; page('pane.css'); page('grid.css')"
    environment = {**os.environ, **({"COLAB_RELEASE_TAG": "release-colab"} if colab else {})}
    said = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stderr
    assert said.count("enable_custom_widget_manager()") == colab
