"""JupyterLab and Notebook 7 in headless Chromium: one private server, driven by commands and models, not by clicks.

The server gets folders of its own for everything Jupyter writes and runs in its own process group, which is the only
one that is ever signalled.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tests import lazy

App = Literal["lab", "notebook"]
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
)

_FOLDERS = ["CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR"]
_SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {
        "fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True,
    },
    # Cells outside the window are drawn too, and the last one ends the page.
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none", "scrollPastEnd": False},
}  # fmt: skip
_NOTEBOOK = "window.jupyterapp.shell.currentWidget"
_PAPER_IS_LIGHT = """() => {
    const style = getComputedStyle(document.body), text = document.createElement('canvas').getContext('2d');
    const [paper, ink] = ['--jp-layout-color1', '--jp-content-font-color1'].map(n => style.getPropertyValue(n).trim());
    if (!paper || !ink) return null;
    text.fillStyle = paper; text.fillRect(0, 0, 1, 1);
    return text.getImageData(0, 0, 1, 1).data[1] > 128;
}"""
_APPEND_AND_RUN = """async source => {
    const notebook = window.jupyterapp.shell.currentWidget.content, model = notebook.model.sharedModel;
    const empty = notebook.widgets.length === 1 && !model.getCell(0).getSource();
    const index = empty ? 0 : notebook.widgets.length;
    if (empty) model.getCell(0).setSource(source);
    else model.insertCell(index, {cell_type: 'code', source});
    await new Promise(done => requestAnimationFrame(done));
    notebook.activeCellIndex = index;
    notebook.deselectAll();
    window.__running.add(index);
    window.jupyterapp.commands.execute('notebook:run-cell').finally(() => window.__running.delete(index));
    return index;
}"""


class Server:
    """A Jupyter server on a free loopback port that serves both front ends."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.root = folder / "root"
        self.token = secrets.token_hex(16)
        self.idle_pages: list[Any] = []
        """Pages in which JupyterLab is open without a notebook."""
        self._runtime = folder / "RUNTIME_DIR"
        self._log = folder / "server.log"
        own = {f"JUPYTER_{name}": str(folder / name) for name in _FOLDERS}
        own |= {f"JUPYTERLAB_{name}": str(folder / name) for name in ("SETTINGS_DIR", "WORKSPACES_DIR")}
        for path in (self.root, *map(Path, own.values())):
            path.mkdir(parents=True, exist_ok=True)
        for name, value in _SETTINGS.items():
            setting = folder / "SETTINGS_DIR" / f"{name}.jupyterlab-settings"
            setting.parent.mkdir(parents=True, exist_ok=True)
            setting.write_text(json.dumps(value))
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ServerApp.ip=127.0.0.1", "--ServerApp.port=0"]
        command += ["--ServerApp.allow_root=True", f"--ServerApp.root_dir={self.root}"]
        command += ["--LabApp.expose_app_in_browser=True", "--JupyterNotebookApp.expose_app_in_browser=True"]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.root,
                env={**os.environ, **own, **environment, "JUPYTER_TOKEN": self.token},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self.url = self._address()
        except BaseException:
            self.stop()
            raise

    def _address(self) -> str:
        end = time.monotonic() + 90
        while time.monotonic() < end:
            if self._process.poll() is not None:
                break
            with contextlib.suppress(OSError, ValueError, IndexError, KeyError):
                url = json.loads(next(self._runtime.glob("jpserver-*.json"), Path()).read_text())["url"].rstrip("/")
                urllib.request.urlopen(f"{url}/api?token={self.token}", timeout=2).close()
                return str(url)
            time.sleep(0.1)
        raise RuntimeError(f"no Jupyter server: {self._log.read_text()[-2000:]}")

    def stop(self) -> None:
        """End the server and its kernels: the process group that was started here, nothing else."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


@dataclass
class Cell:
    """A cell that was started in an open notebook."""

    notebook: Notebook
    index: int

    @property
    def output(self) -> Any:
        """Playwright locator of its output area."""
        return self.notebook.page.locator(".jp-Notebook .jp-Cell").nth(self.index).locator(".jp-Cell-outputArea")

    @property
    def pane(self) -> Any:
        """Locator of the live pane in it."""
        return self.output.locator(".bifrost-live")

    @property
    def outputs(self) -> list[dict[str, Any]]:
        """Its outputs as the notebook file has them."""
        state: list[dict[str, Any]] = self.notebook.page.evaluate(
            f"i => {{ const o = {_NOTEBOOK}.content.widgets[i].model.outputs;"
            " return Array.from({length: o.length}, (_, j) => o.get(j).toJSON()); }",
            self.index,
        )
        return state

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return bool(self.notebook.page.evaluate("i => window.__running.has(i)", self.index))

    def wait(self, seconds: float = 60) -> Cell:
        """Until it has ended and the kernel is idle."""
        self.notebook.until(lambda: not self.running and self.notebook.kernel == "idle", seconds, "the cell to end")
        return self


def _foreign(error: Any) -> bool:
    """Whether a page error is the front end's own: rarely, it detaches a node twice while the window changes its size.

    And of a model that is closed before its module has come, such as the bar of a short sweep on a busy machine,
    anywidget says 2 s later that it was not initialized (measured). What widgets show is looked at by their own tests.

    What our code does wrong has a frame of it in the stack, from a blob or a data URL.
    """
    stack = error.stack or ""
    ours = "/static/" not in stack or "blob:" in stack or "data:" in stack
    return not ours and ("'removeChild'" in error.message or "Failed to initialize model" in error.message)


class Notebook:
    """One notebook open in a page of `context`, in a JupyterLab that `close` has left there if there is one.

    Loading JupyterLab costs six times as much as opening a further notebook in it. `new_page` is for those who count or
    change what belongs to the page.
    """

    def __init__(self, context: Any, server: Server, app: App, name: str, *, new_page: bool = False) -> None:
        path = server.root / name
        if not path.exists():
            kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
            lazy.nbformat.write(lazy.nbformat.v4.new_notebook(metadata={"kernelspec": kernel}), path)
        self.path = path
        self.app = app
        self.console: list[str] = []
        self.closed = False
        self._idle = server.idle_pages
        idle = app == "lab" and not new_page and bool(self._idle)
        self.page = self._idle.pop() if idle else context.new_page()
        if idle:  # a new page is in front
            self.page.bring_to_front()
        self._listeners: list[tuple[str, Callable[[Any], object]]] = []
        self.listen("console", lambda message: message.type == "error" and self.console.append(message.text[:500]))
        self.listen("pageerror", lambda error: _foreign(error) or self.console.append(f"page: {error.stack or error}"))
        if idle:
            self.command("docmanager:open", path=name, factory="Notebook")
        else:
            where = {"lab": "doc/tree", "notebook": "notebooks"}[app]
            self.page.goto(f"{server.url}/{where}/{name}?token={server.token}")
        self.page.wait_for_selector(".jp-Notebook", timeout=60_000)
        self.until(lambda: self.kernel == "idle", 60, "the kernel to start")
        self.page.evaluate("window.__running = new Set()")

    def listen(self, event: str, listener: Callable[[Any], object]) -> None:
        """Call `listener` at each `event` of the page, until the notebook is closed."""
        self._listeners.append((event, listener))
        self.page.on(event, listener)

    def close(self, *, page: bool = False) -> None:
        """End the kernel and close the notebook; JupyterLab stays for the next one, but with `page`."""
        self.closed = True
        self.command("kernelmenu:shutdown")
        if page or self.app != "lab":
            self.page.close()
            return
        self.page.set_viewport_size({"width": 1280, "height": 900})
        self.page.evaluate(f"{_NOTEBOOK}.context.model.dirty = false")  # or it would ask whether to save
        self.command("application:close-all")
        self.until(lambda: self.page.locator(".jp-Notebook").count() == 0, 30, "the notebook to close")
        for event, listener in self._listeners:
            self.page.remove_listener(event, listener)
        self._idle.append(self.page)

    def clear(self) -> None:
        """Leave one empty cell and no pointer over anything, whatever the test before left there.

        A page that holds the cells of all tests lays them out again at every change, and one that is behind another's
        draws several times as slowly.
        """
        self.page.bring_to_front()
        self.page.mouse.move(0, 0)
        self.page.evaluate(
            f"async () => {{ const notebook = {_NOTEBOOK}.content, model = notebook.model.sharedModel;"
            " const count = model.cells.length; notebook.mode = 'command'; window.__running.clear();"
            " model.transact(() => { model.insertCell(count, {cell_type: 'code', source: ''});"
            " model.deleteCellRange(0, count); }); notebook.activeCellIndex = 0; notebook.activate();"
            " await new Promise(done => requestAnimationFrame(done)); }"
        )

    @property
    def busy(self) -> bool:
        """Whether a cell has not ended; the kernel says that it is idle after each message of a widget, too."""
        return self.kernel != "idle" or bool(self.page.evaluate("window.__running.size"))

    def restart(self) -> None:
        """A new kernel in place of one that a failed test left busy."""
        self.page.evaluate(f"() => {_NOTEBOOK}.sessionContext.session.kernel.restart()")
        self.page.evaluate("window.__running.clear()")
        self.until(lambda: self.kernel == "idle", 60, "the kernel to start again")

    @property
    def kernel(self) -> str | None:
        """The kernel's status."""
        status: str | None = self.page.evaluate(
            f"() => {{ const w = window.jupyterapp && {_NOTEBOOK};"
            " const s = w && w.sessionContext && w.sessionContext.session;"
            " return s && s.kernel ? s.kernel.status : null; }"
        )
        return status

    def until(self, condition: Callable[[], Any], seconds: float, what: str) -> None:
        """Poll until `condition()` holds: at first often, later, as with a whole notebook, five times a second."""
        end, pause = time.monotonic() + seconds, 30.0
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"waited {seconds} s for {what}; kernel {self.kernel}; console {self.console}")
            self.page.wait_for_timeout(pause)
            pause = min(200.0, 1.05 * pause)

    def command(self, name: str, **arguments: Any) -> None:
        """Run a JupyterLab command to its end."""
        self.page.evaluate("([n, a]) => window.jupyterapp.commands.execute(n, a).then(() => null)", [name, arguments])

    def theme(self, name: Literal["Light", "Dark"]) -> None:
        """Change to JupyterLab's theme of that name and wait until its style sheet is in force."""
        self.command("apputils:change-theme", theme=f"JupyterLab {name}")
        in_force = f"() => ({_PAPER_IS_LIGHT})() === {str(name == 'Light').lower()}"
        self.until(lambda: self.page.evaluate(in_force), 30, f"the {name} theme")
        self.until(lambda: self.page.locator("#jupyterlab-splash").count() == 0, 30, "the splash screen to go")

    def start(self, source: str) -> Cell:
        """Append a cell and start it."""
        index = self.page.evaluate(
            _APPEND_AND_RUN,
            source,
        )
        return Cell(self, index)

    def run(self, source: str) -> Cell:
        """Append a cell, start it and wait for its end."""
        return self.start(source).wait()

    def start_all(self) -> None:
        """Start every cell of the notebook as it was opened."""
        self.page.evaluate(
            "() => { window.__running.add('all'); window.jupyterapp.commands.execute('notebook:run-all-cells')"
            ".finally(() => window.__running.delete('all')); }"
        )

    def all_ended(self, seconds: float) -> list[Cell]:
        """The code cells, when all that `start_all` began has ended."""
        running = "window.__running.has('all')"
        self.until(lambda: not self.page.evaluate(running) and self.kernel == "idle", seconds, "all cells to end")
        kinds = self.page.evaluate(f"{_NOTEBOOK}.content.widgets.map(w => w.model.type)")
        return [Cell(self, index) for index, kind in enumerate(kinds) if kind == "code"]

    def saved(self) -> Any:
        """The notebook file as it is saved now."""
        self.command("docmanager:save")
        return lazy.nbformat.read(self.path, as_version=4)

    def picture(self, path: Path, cell: Cell | None = None) -> None:
        """Photograph the window, scrolled to the cell's output."""
        if cell is not None:
            cell.output.evaluate("e => e.closest('.jp-Cell').scrollIntoView({block: 'start'})")
        self.page.screenshot(path=str(path))
