"""While a ``%%bifrost`` cell is written: a front end reads the prompt as Markdown and offers completions."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import files
from pathlib import Path
from typing import Any, Literal

import pytest

from bifrost_nb._simulator.process import LocalGateway
from tests import lazy
from tests.thorough import thorough

from .lab import Notebook, Server
from .test_live import contrast

SOURCE = Path(__file__).parents[2] / "bifrost_nb" / "labextension"
TEXT = "azure/gpt-35-turbo-instruct"
THEMES: tuple[Literal["Dark", "Light"], ...] = ("Dark", "Light")
_INSERT = """([index, source]) => {
    const notebook = window.jupyterapp.shell.currentWidget.content;
    const at = index ?? notebook.widgets.length;
    notebook.model.sharedModel.insertCell(at, {cell_type: 'code', source});
    notebook.activeCellIndex = at;
    notebook.deselectAll();
    notebook.mode = 'edit';
    return at;
}"""


def test_installed() -> None:
    """An installation of the package, editable or not, puts the front end's extension where JupyterLab looks for it."""
    folder = "share/jupyter/labextensions/bifrost-nb-highlight/"
    found = {str(path).partition(folder)[2]: path for path in files("bifrost-nb") or () if folder in str(path)}
    wanted = {str(path.relative_to(SOURCE)): path for path in SOURCE.rglob("*") if path.is_file()}
    assert found.keys() == wanted.keys()
    for name, path in wanted.items():
        assert Path(str(found[name].locate())).read_bytes() == path.read_bytes(), f"{name}: install the package again"


class Editor:
    """A cell's editor."""

    def __init__(self, notebook: Notebook, index: int) -> None:
        self.notebook = notebook
        self.page = notebook.page
        self.cell = notebook.page.locator(".jp-Notebook .jp-Cell").nth(index)

    @classmethod
    def insert(cls, notebook: Notebook, source: str = "", index: int | None = None) -> Editor:
        """The focused editor of a new cell."""
        index = notebook.page.evaluate(_INSERT, [index, source])
        editor = cls(notebook, index)  # type: ignore[arg-type]
        editor.page.wait_for_function(
            "e => e.contains(document.activeElement)", arg=editor.cell.locator(".cm-editor").element_handle()
        )
        return editor

    def reads(self, language: Literal["markdown", "python"]) -> None:
        """Wait until the editor reads its text as `language`; then words between ** are bold, or they are not."""
        bold = """e => [...e.querySelectorAll('.cm-line:not(:first-child) span')]
            .some(s => s.textContent.includes('word') && getComputedStyle(s).fontWeight >= 600)"""
        content = self.cell.locator(".cm-content")
        self.notebook.until(
            lambda: (
                content.get_attribute("data-language") == language
                and self.cell.evaluate(bold) == (language == "markdown")
            ),
            10,
            f"{language} in {content.inner_text()!r}",
        )


@pytest.fixture
def opened(context: Any, server: Server) -> Iterator[Any]:
    """Opens a notebook with these cells in a front end."""
    notebooks: list[Notebook] = []

    def open_in(app: Literal["lab", "notebook"], name: str, *sources: str, new_page: bool) -> Notebook:
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        cells = [lazy.nbformat.v4.new_code_cell(source) for source in sources]
        if not (server.root / name).exists():
            lazy.nbformat.write(
                lazy.nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), server.root / name
            )
        notebooks.append(Notebook(context, server, app, name, new_page=new_page))
        return notebooks[-1]

    yield open_in
    for notebook in notebooks:
        if not notebook.closed:
            notebook.close()


@pytest.mark.parametrize("app", ["lab", *thorough("notebook")])
def test_an_opened_notebook(opened: Any, pictures: Path, app: Literal["lab", "notebook"]) -> None:
    """Cells of both magics are Markdown, whether or not their page was loaded before; all others are Python."""
    body = "a **word**, `code`\n\n* and $x^2$\n# no heading of ours"
    ours = [f"%%bifrost {TEXT} --max-tokens 60 -o answer\n{body}", f"%%bifrost_nb a/b\n{body}", f"\n %%bifrost\n{body}"]
    others = [f"x = 2\n{body}", f"%%bifrosty\n{body}", f"# %%bifrost\n{body}", f"%%bifrost2 a/b\n{body}"]
    for new_page in (True, False):
        notebook = opened(app, f"highlight-{app}.ipynb", *ours, *others, new_page=new_page)
        for index in range(len(ours)):
            Editor(notebook, index).reads("markdown")
        for index in range(len(others)):
            Editor(notebook, len(ours) + index).reads("python")
        if new_page:
            notebook.close()
    first = Editor(notebook, 0).cell.locator(".cm-line").first
    for theme in THEMES:
        notebook.theme(theme)
        notebook.until(lambda: contrast(first) >= 4.5, 30, "a magic line that can be read")
        notebook.page.screenshot(path=str(pictures / f"highlight-{app}-{theme.lower()}.png"))
    weights = first.evaluate("e => [...e.querySelectorAll('*'), e].map(s => getComputedStyle(s).fontWeight)")
    assert set(weights) == {"400"}  # the magic line itself is no Markdown
    assert {cell.source for cell in notebook.saved().cells} == {*ours, *others}


def test_typing_and_taking_back(either: Notebook) -> None:
    """A new cell is Markdown as soon as its first line is the magic, and Python again as soon as it is not."""
    editor = Editor.insert(either)
    keys = editor.page.keyboard
    keys.type("%%bifros")
    keys.press("Enter")
    keys.type("a **word**")
    editor.reads("python")
    keys.press("ArrowUp")
    keys.press("End")
    keys.type("t")
    editor.reads("markdown")
    keys.type("y")
    editor.reads("python")
    keys.press("Backspace")
    keys.type(" a/b -t 0.5")
    editor.reads("markdown")
    either.command("notebook:undo")
    keys.press("Home")
    keys.type("#")
    editor.reads("python")


def test_cells_made_otherwise(either: Notebook) -> None:
    """Inserted between others, split in two, or turned from Markdown to code: a cell is read as what it holds now."""
    editor = Editor.insert(either, "%%bifrost a/b\na **word**\nx = 1\ny = 'word'", index=1)
    editor.reads("markdown")
    keys = editor.page.keyboard
    keys.press("Control+End")
    keys.press("ArrowUp")
    keys.press("Home")
    either.command("notebook:split-cell-at-cursor")
    Editor(either, 1).reads("markdown")
    Editor(either, 2).reads("python")
    either.command("notebook:change-cell-to-markdown")
    either.command("notebook:change-cell-to-code")
    Editor(either, 2).reads("python")
    either.command("notebook:delete-cell")
    Editor(either, 1).reads("markdown")
    either.command("notebook:change-cell-to-raw")
    either.command("notebook:change-cell-to-code")
    Editor(either, 1).reads("markdown")
    either.command("notebook:delete-cell")


@pytest.fixture
def loaded(either: Notebook, gateway: LocalGateway) -> Iterator[Notebook]:
    """A front end whose kernel has the magic and a list of deployments."""
    either.run(f"%load_ext bifrost_nb\n%config Bifrost.base_url = {gateway.url!r}\n%bifrost models\ntopic_of_today = 1")
    yield either
    either.run("%unload_ext bifrost_nb")


@pytest.mark.parametrize(
    ("typed", "offered", "accepted"),
    [
        ("%%bifrost azure/fast --max-t", {"--max-tokens"}, "--max-tokens"),
        *thorough(
            ("%%bifrost azure/fast --", {"--fallback", "--max-tokens", "--system"}, None),
            ("%%bifrost azure/gpt-35", {TEXT}, TEXT),
            ("%bifrost co", {"config", "copy", "cost"}, None),
        ),
        (f"%%bifrost {TEXT}\nAbout {{{{top", {"topic_of_today"}, "topic_of_today"),
    ],
)
def test_completion(loaded: Notebook, pictures: Path, typed: str, offered: set[str], accepted: str | None) -> None:
    """Tab offers options, deployments, commands and variables in the popup; a single one is completed in the text."""
    editor = Editor.insert(loaded)
    editor.page.keyboard.type(typed)
    items = loaded.page.locator(".jp-Completer:not(.lm-mod-hidden) .jp-Completer-match")
    text = editor.cell.locator(".cm-content")

    def shown() -> set[str]:
        return {item.strip() for item in items.all_inner_texts()}

    def answered() -> bool:
        if offered <= shown() or (accepted and accepted in text.inner_text()):
            return True
        if items.count():  # what was typed, while the list of deployments is still on its way: people ask again
            editor.page.keyboard.press("Escape")
        editor.page.keyboard.press("Tab")
        loaded.page.wait_for_timeout(300)
        return False

    loaded.until(answered, 30, f"{offered} in the popup")
    if accepted is None:
        assert not any(name.startswith(("__", "abs")) for name in shown())  # nothing of Python's
        loaded.page.screenshot(path=str(pictures / f"completion-{len(offered)}-{typed[1:3].strip('%')}.png"))
        editor.page.keyboard.press("Escape")
    else:
        if accepted not in text.inner_text():
            editor.page.keyboard.press("Enter")
        loaded.until(lambda: text.inner_text().rstrip("\n").endswith(accepted), 30, f"{accepted} in the cell")
    editor.page.keyboard.press("Escape")
    loaded.command("notebook:delete-cell")
