"""One Jupyter server and one Chromium for this folder: Playwright keeps an event loop running in the main thread."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bifrost_nb._simulator.process import LocalGateway
from tests.thorough import thorough

from .lab import CHROMIUM, CHROMIUM_FLAGS, Notebook, Server

ROOT = Path(__file__).parents[2]
SETUP = """
import time
from bifrost_nb import Client
from bifrost_nb._notebook.live.watch import watch
client = Client({url!r})
def show(*prompts, deployments=("azure/fast",), title=None, **options):
    names = list(deployments) if len(prompts) == 1 else list(deployments) * len(prompts)
    prompts = list(prompts) * (len(names) if len(prompts) == 1 else 1)
    calls = [client.prepare("text", name, prompt, stream=True, **options) for name, prompt in zip(names, prompts)]
    return [outcome.run for outcome in watch(client, calls, title=title)]
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs Chromium."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Any]:
    """A headless Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no Chromium at {CHROMIUM}; install it, or name it in the environment variable CHROMIUM")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def context(chromium: Any) -> Iterator[Any]:
    """One browser context: pages share its cache."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    yield context
    context.close()


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Jupyter server whose kernels have the checkout under test and a run log of their own."""
    folder = tmp_path_factory.mktemp("jupyter")
    server = Server(folder, {"PYTHONPATH": str(ROOT), "BIFROST_RUN_LOG": str(folder / "runs.jsonl")})
    yield server
    server.stop()


@pytest.fixture(scope="package")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go: BIFROST_NB_PICTURES, or a temporary folder."""
    named = os.environ.get("BIFROST_NB_PICTURES")
    folder = Path(named) if named else tmp_path_factory.mktemp("pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="package")
def lab_notebook(context: Any, server: Server, shared_gateway: LocalGateway) -> Notebook:
    """A notebook open in JupyterLab, with the toolkit loaded."""
    notebook = Notebook(context, server, "lab", "lab.ipynb")
    notebook.run(SETUP.format(url=shared_gateway.url))
    return notebook


@pytest.fixture(scope="package")
def classic_notebook(context: Any, server: Server, shared_gateway: LocalGateway) -> Notebook:
    """A notebook open in Notebook 7, with the toolkit loaded."""
    notebook = Notebook(context, server, "notebook", "classic.ipynb")
    notebook.run(SETUP.format(url=shared_gateway.url))
    return notebook


def emptied(notebook: Notebook, gateway: LocalGateway) -> None:
    """Leave nothing of the test before: one that failed while its cell ran would take all that follow with it."""
    with contextlib.suppress(AssertionError):
        notebook.until(lambda: not notebook.busy, 5, "the last test's cells to end")
    busy = notebook.busy
    if busy:
        notebook.restart()
    notebook.clear()
    if busy:
        notebook.run(SETUP.format(url=gateway.url))
        notebook.clear()
    notebook.console.clear()


@pytest.fixture
def lab(lab_notebook: Notebook, gateway: LocalGateway) -> Iterator[Notebook]:
    """JupyterLab; after the test its console must be free of errors."""
    emptied(lab_notebook, gateway)
    yield lab_notebook
    assert lab_notebook.console == []


@pytest.fixture(params=["lab", *thorough("notebook")])
def either(request: pytest.FixtureRequest, gateway: LocalGateway) -> Iterator[Notebook]:
    """JupyterLab and Notebook 7 in turn; after the test the console must be free of errors."""
    notebook: Notebook = request.getfixturevalue({"lab": "lab_notebook", "notebook": "classic_notebook"}[request.param])
    emptied(notebook, gateway)
    yield notebook
    assert notebook.console == []
