"""The first notebook runs in JupyterLab, in `.ci/run` all and in Notebook 7 too; they read well in both themes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import pytest

from tests import lazy
from tests.thorough import thorough

from .lab import App, Cell, Notebook, Server
from .test_hostile import listening

APPS: tuple[App, ...] = ("lab", "notebook") if os.environ.get("BIFROST_NB_THOROUGH") else ("lab",)
NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
FIRST, *OTHERS = NOTEBOOKS
THEMES: tuple[Literal["Dark", "Light"], ...] = ("Dark", "Light")
BROKEN = ("Error displaying widget", "Error creating widget", "Failed to load model class", "Javascript Error")
FAULTS = """() => {
    const canvas = document.createElement('canvas'), known = new Map();
    canvas.width = canvas.height = 1;
    const c = canvas.getContext('2d', {willReadFrequently: true});
    const parse = colour => {  // a page has a dozen colours on tens of thousands of elements
        if (!known.has(colour)) {
            c.clearRect(0, 0, 1, 1);
            c.fillStyle = colour;
            c.fillRect(0, 0, 1, 1);
            const [r, g, b, a] = c.getImageData(0, 0, 1, 1).data;
            known.set(colour, [r, g, b, a / 255]);
        }
        return known.get(colour);
    };
    const over = ([r, g, b, a], below) => [r, g, b].map((v, i) => v * a + below[i] * (1 - a));
    const ground = node => {
        const layers = [];
        for (; node; node = node.parentElement) layers.push(parse(getComputedStyle(node).backgroundColor));
        return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
    };
    const light = rgb => rgb.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const faults = [];
    for (const output of document.querySelectorAll('.jp-OutputArea-output')) {
        for (const picture of output.querySelectorAll('img, canvas, svg[role=img]')) {
            const words = picture.getAttribute('alt') || picture.getAttribute('aria-label') || '';
            const lab = picture.closest('.jp-RenderedImage');  // JupyterLab's own for image/png, which takes no words
            const silent = !words.trim() && !lab && picture.checkVisibility();
            if (silent) faults.push(`no words: ${picture.outerHTML.slice(0, 80)}`);
        }
        const texts = document.createTreeWalker(output, NodeFilter.SHOW_TEXT);
        while (texts.nextNode()) {
            const node = texts.currentNode.parentElement, words = texts.currentNode.textContent.trim().slice(0, 40);
            const unseen = 'button:disabled, [aria-live], script, style';
            if (!words || !node.checkVisibility() || node.closest(unseen)) continue;
            const below = ground(node), [bright, dark] = [light(over(parse(getComputedStyle(node).color), below)),
                light(below)].sort((a, b) => b - a);
            const contrast = (bright + 0.05) / (dark + 0.05);
            if (contrast < 4.5) faults.push(`hard to read (${contrast.toFixed(1)}): ${words}`);
            const clips = ['hidden', 'clip'].includes(getComputedStyle(node).overflowX);
            if (clips && node.scrollWidth > node.clientWidth + 1) faults.push(`clipped: ${words}`);
        }
    }
    return [...new Set(faults)];
}"""
"""Texts of outputs that are cut, or have less contrast than the 4.5 of the accessibility guidelines; pictures without
words."""


@pytest.mark.timeout(600)  # two front ends at once, each with a kernel and a gateway, on whatever else the machine does
@pytest.mark.parametrize("path", [FIRST, *thorough(*OTHERS)], ids=lambda path: path.stem)
def test_runs(context: Any, server: Server, pictures: Path, path: Path) -> None:
    """All cells run, nothing shows an error or cannot be drawn, every text can be read in the light and the dark.

    Nothing is asked of the gateway that the settings name: a page has its own. Both front ends run it at once: much of
    a page's time is waiting for answers.
    """
    with listening() as (elsewhere, asked):
        opened = [opened_in(app, path, context, server, elsewhere) for app in APPS]
        for notebook in opened:
            notebook.start_all()
        for notebook in opened:
            look_at(notebook, notebook.all_ended(300), pictures)
        assert asked == []


def opened_in(app: App, path: Path, context: Any, server: Server, elsewhere: str) -> Notebook:
    """A copy of the page, open in this front end; its kernel's settings name the gateway `elsewhere`."""
    name = f"{app}-{path.name}"
    page = lazy.nbformat.read(path, as_version=4)
    for cell in page.cells:  # the page on a gateway of one's own takes the one that is named, else the embedded one
        cell.source = cell.source.replace('os.environ.get("BIFROST_BASE_URL", "demo")', '"demo"')
    setting = f"import os\nos.environ['BIFROST_BASE_URL'] = {elsewhere!r}"
    page.cells.insert(0, lazy.nbformat.v4.new_code_cell(setting))
    lazy.nbformat.write(page, server.root / name)
    notebook = Notebook(context, server, app, name)
    notebook.console.clear()  # Notebook 7 has errors of its own while it starts
    return notebook


def look_at(notebook: Notebook, cells: list[Cell], pictures: Path) -> None:
    """What a page shows when all its cells have run; then it is closed."""
    errors = [output["evalue"] for cell in cells for output in cell.outputs if output["output_type"] == "error"]
    assert errors == []
    text = notebook.page.inner_text(".jp-Notebook")
    assert [words for words in BROKEN if words in text] == []
    assert notebook.console == []
    height = notebook.page.evaluate(
        "Math.max(...[...document.querySelectorAll('.jp-WindowedPanel-outer, .jp-Notebook')].map(e => e.scrollHeight))"
    )
    notebook.page.set_viewport_size({"width": 1280, "height": min(height + 160, 12_000)})
    for theme in THEMES:
        notebook.theme(theme)  # not while the splash screen of the last change is there: it would be lost
        if os.environ.get("BIFROST_NB_PICTURES"):  # whole pages take seconds each
            notebook.picture(pictures / f"{notebook.path.stem}-{theme.lower()}.png")
        assert notebook.page.evaluate(FAULTS) == [], theme
    notebook.close()
