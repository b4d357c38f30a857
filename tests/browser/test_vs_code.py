"""VS Code shows widgets with `@vscode/jupyter-ipywidgets8`, whose style has the colours of a light JupyterLab."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest

from tests.thorough import thorough

from .test_live import contrast

LIGHT = {"layout-color0": "white", "layout-color1": "white", "layout-color2": "#eee", "border-color2": "#e0e0e0",
         "content-font-color1": "rgba(0, 0, 0, 0.87)"}  # fmt: skip
ROOTS = {
    "pane.css": ("bifrost-live", ["bifrost-summary", "bifrost-hint"]),
    "grid.css": ("bifrost-board", ["bifrost-g-label", ""]),
    "playground.css": ("bifrost-pg-root", ["bifrost-pg-label", "bifrost-pg-quiet"]),
}


@pytest.mark.parametrize("sheet", ROOTS)
@pytest.mark.parametrize(
    ("ground", "colours"),
    [("#ffffff", {}), ("#1f1f1f", LIGHT), *thorough(("#1f1f1f", {}), ("#ffffff", LIGHT))],
    ids=["light", "dark, vs-code", "dark", "light, vs-code"],
)
def test_texts_can_be_read_on_any_page(chromium: Any, sheet: str, colours: dict[str, str], ground: str) -> None:
    """On a dark page with a light theme's variables, and with none: what stands in no box of its own, too."""
    root, parts = ROOTS[sheet]
    style = (files("bifrost_nb") / "_notebook" / "static" / sheet).read_text()
    own = ":root {" + "".join(f"--jp-{name}: {value};" for name, value in colours.items())
    dark = "dark" if ground == "#1f1f1f" and not colours else "light"
    page = chromium.new_page()
    texts = "".join(f"<p class='{part}'>Words</p>" for part in parts)
    own += f" color-scheme: {dark} }} body {{ background: {ground} }}"
    page.set_content(f"<style>{own}{style}</style><div class={root}>{texts}</div>")
    for place in range(len(parts)):
        assert contrast(page.locator("p").nth(place)) >= 4.5, parts[place]
    page.close()
