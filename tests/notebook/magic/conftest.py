"""A real IPython shell with the extension loaded, on the embedded gateway."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell

from bifrost_nb._simulator.process import LocalGateway
from tests.shells import fresh_shell

TEXT = "azure/gpt-35-turbo-instruct"
CHAT = "openai/gpt-4o-mini"


@pytest.fixture
def shell(gateway: LocalGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """A fresh shell without history, its settings in the environment, its files in this test's folder."""
    monkeypatch.setenv("BIFROST_BASE_URL", gateway.url)
    monkeypatch.setenv("BIFROST_RUN_LOG", str(tmp_path / "runs.jsonl"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    with fresh_shell() as shell:
        yield shell


@pytest.fixture
def run(shell: InteractiveShell) -> Callable[[str], ExecutionResult]:
    """Run a cell as a front end does."""
    return lambda cell: shell.run_cell(cell, store_history=True)


@pytest.fixture
def sent(gateway: LocalGateway) -> Callable[[], list[dict[str, Any]]]:
    """The completions that the gateway received, in order."""
    return lambda: [request for request in gateway.requests() if request["method"] == "POST"]
